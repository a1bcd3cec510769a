//! What is fuzzed. A target takes any bytes and panics only when a law is broken.
//!
//! The core's tests include this folder as a module and run every seed through every target, so that it stays in step
//! with the core without anyone building a fuzzer.

mod decode;
mod draft;
pub mod engine;
pub mod input;
mod laws;
mod mint;
pub mod quote;
pub mod shape;

use std::hint::black_box;

use sniper_core::amm::Kind;

/// A target: its name, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 18] = [
    ("decode-cpmm", |data| decode::accounts(Kind::Cpmm, data)),
    ("decode-amm-v4", |data| decode::accounts(Kind::AmmV4, data)),
    ("decode-clmm", |data| decode::accounts(Kind::Clmm, data)),
    ("decode-whirlpool", |data| decode::accounts(Kind::Whirlpool, data)),
    ("decode-dlmm", |data| decode::accounts(Kind::Dlmm, data)),
    ("decode-pump-swap", |data| decode::accounts(Kind::PumpSwap, data)),
    ("decode-pump-curve", |data| decode::accounts(Kind::PumpCurve, data)),
    ("quote-cpmm", |data| quote::pool(Kind::Cpmm, data)),
    ("quote-amm-v4", |data| quote::pool(Kind::AmmV4, data)),
    ("quote-clmm", |data| quote::pool(Kind::Clmm, data)),
    ("quote-whirlpool", |data| quote::pool(Kind::Whirlpool, data)),
    ("quote-dlmm", |data| quote::pool(Kind::Dlmm, data)),
    ("quote-pump-swap", |data| quote::pool(Kind::PumpSwap, data)),
    ("quote-pump-curve", |data| quote::pool(Kind::PumpCurve, data)),
    ("mint", mint::extensions),
    ("draft", draft::describe),
    ("instruction", draft::instruction),
    ("engine", engine::steps),
];

/// What a target of one kind of pool ends in.
pub const KINDS: [(&str, Kind); 7] = [
    ("cpmm", Kind::Cpmm),
    ("amm-v4", Kind::AmmV4),
    ("clmm", Kind::Clmm),
    ("whirlpool", Kind::Whirlpool),
    ("dlmm", Kind::Dlmm),
    ("pump-swap", Kind::PumpSwap),
    ("pump-curve", Kind::PumpCurve),
];

/// An answer that matters only for not panicking: it must be worked out all the same.
fn computed<T>(value: T) {
    black_box(&value);
}
