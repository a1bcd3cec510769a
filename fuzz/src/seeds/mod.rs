//! Where the fuzzer starts from: synthetic accounts, reference vectors where they are at hand, and a dictionary.
//!
//! Nothing of the vectors is kept in the project: they are read when the corpus is made.

mod synthetic;
mod vectors;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use sniper_core::amm::{Kind, Part, clmm, cpmm, dlmm, pump_curve, pump_fees, pump_swap, whirlpool};

use super::targets::KINDS;
use super::targets::input::{ASKS, Ask, SLOT};
use super::targets::quote::tag;
use super::targets::shape::{Shape, shapes};

/// Inputs by target.
pub type Seeds = BTreeMap<String, Vec<Vec<u8>>>;

/// Writes every target's corpus into a folder of its name under `folder`, those of `others` included, and the dictionary
/// beside them.
///
/// # Errors
///
/// A file cannot be written, or a vector file cannot be read.
pub fn write(folder: &Path, vector_folder: Option<&Path>, others: &Seeds) -> io::Result<()> {
    let mut seeds = synthetic();
    seeds.extend(others.clone());
    if let Some(vector_folder) = vector_folder.filter(|folder| folder.is_dir()) {
        vectors::add(&mut seeds, vector_folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("dictionary"), dictionary())?;
    for (target, inputs) in seeds {
        let own = folder.join(target);
        fs::create_dir_all(&own)?;
        for (nth, input) in inputs.iter().enumerate() {
            fs::write(own.join(format!("seed-{nth:04}")), input)?;
        }
    }
    Ok(())
}

/// What needs nothing but the core.
pub fn synthetic() -> Seeds {
    let mut seeds = Seeds::new();
    for (name, kind) in KINDS {
        synthetic::kind(&mut seeds, name, kind);
    }
    synthetic::mints(&mut seeds);
    synthetic::instructions(&mut seeds);
    synthetic::events(&mut seeds);
    seeds
}

/// Which account of a kind some bytes are, by how they begin and how long they are.
fn recognised(kind: Kind, data: &[u8]) -> Option<(u8, Shape)> {
    let newest = |shape: &Shape| shape.lengths.last().copied().unwrap_or(0);
    let grows = matches!(kind, Kind::PumpSwap | Kind::PumpCurve);
    (0..).zip(shapes(kind)).find(|(_, shape)| {
        let long = shape.lengths.contains(&data.len()) || grows && data.len() > newest(shape);
        let dynamic = kind == Kind::Whirlpool
            && shape.start.is_some()
            && data.starts_with(&whirlpool::DYNAMIC_TICK_ARRAY_DISCRIMINATOR);
        let held = shape
            .fixed
            .iter()
            .all(|(at, bytes)| data.get(*at..).is_some_and(|from| from.starts_with(bytes)));
        dynamic || long && held
    })
}

/// An account as a frame of a quote target.
fn frame(kind: Kind, data: &[u8]) -> Option<Vec<u8>> {
    let (nth, shape) = recognised(kind, data)?;
    let exact = shape.fit(data) == data;
    let short = if exact && shape.lengths.len() == 1 {
        let used = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        data.get(..used).unwrap_or(data)
    } else {
        data
    };
    let tag = if exact { nth } else { nth | tag::RAW };
    let length = u16::try_from(short.len()).ok()?;
    let mut out = vec![tag, 0];
    out.extend(length.to_le_bytes());
    out.extend_from_slice(short);
    Some(out)
}

/// A pool to ask: its accounts, and the questions.
fn pool(kind: Kind, flags: u8, asks: [Ask; ASKS], accounts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend(asks.iter().flat_map(Ask::bytes));
    let first = Some(Part::Vault { second: false });
    let mut vault = 0;
    for data in accounts {
        let mut framed = frame(kind, data).unwrap_or_default();
        // Two vaults look alike: the second that comes is the second.
        if recognised(kind, data).map(|(_, shape)| shape.part) == first
            && let Some(tag) = framed.first_mut()
        {
            *tag += vault;
            vault = 1;
        }
        out.extend(framed);
    }
    out
}

/// Questions around an amount, in both directions.
fn asks(amount: u64, now: i64) -> [Ask; ASKS] {
    let slot = u32::try_from(SLOT).unwrap_or(0);
    let ask = |amount, flags| Ask { amount, now, slot, flags };
    [ask(amount, 1), ask(amount / 3, 0), ask(amount.saturating_mul(2), 1)]
}

/// A whole account for a decoder: which of the kind's it is, and its bytes.
fn whole(kind: Kind, data: &[u8]) -> Option<Vec<u8>> {
    let (nth, _) = recognised(kind, data)?;
    let mut out = vec![nth];
    out.extend_from_slice(data);
    Some(out)
}

/// A pool's state with what is read beside it, for the draft.
fn draft(kind: Kind, state: &[u8], extra: &[u8]) -> Option<Vec<u8>> {
    let which = Kind::ALL.iter().position(|known| *known == kind)?;
    let mut out = vec![u8::try_from(which).ok()?, 0, 1, 2, 3];
    out.extend(asks(1_000_000, 7)[0].bytes());
    out.extend(u16::try_from(state.len()).ok()?.to_le_bytes());
    out.extend_from_slice(state);
    out.extend_from_slice(extra);
    Some(out)
}

/// Beginnings of accounts, programs, and the numbers at which arithmetic changes.
fn dictionary() -> String {
    let mut out = String::new();
    let mut add = |bytes: &[u8]| {
        let hex: String = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "\\x{byte:02x}").ok();
            hex
        });
        writeln!(out, "\"{hex}\"").ok();
    };
    let starts: [&[u8]; 15] = [
        &cpmm::POOL_DISCRIMINATOR,
        &cpmm::CONFIG_DISCRIMINATOR,
        &clmm::TICK_ARRAY_DISCRIMINATOR,
        &clmm::EXTENSION_DISCRIMINATOR,
        &whirlpool::POOL_DISCRIMINATOR,
        &whirlpool::TICK_ARRAY_DISCRIMINATOR,
        &whirlpool::DYNAMIC_TICK_ARRAY_DISCRIMINATOR,
        &whirlpool::ORACLE_DISCRIMINATOR,
        &dlmm::PAIR_DISCRIMINATOR,
        &dlmm::ARRAY_DISCRIMINATOR,
        &dlmm::EXTENSION_DISCRIMINATOR,
        &pump_swap::POOL_DISCRIMINATOR,
        &pump_curve::CURVE_DISCRIMINATOR,
        &pump_curve::GLOBAL_DISCRIMINATOR,
        &pump_fees::FEE_CONFIG_DISCRIMINATOR,
    ];
    starts.into_iter().for_each(&mut add);
    for kind in Kind::ALL {
        add(kind.program().as_ref());
    }
    let programs = [pump_fees::WRAPPED_SOL, pump_fees::USDC, pump_fees::FEE_PROGRAM_ID];
    programs.iter().for_each(|program| add(program.as_ref()));
    for power in [8, 15, 16, 31, 32, 40, 53, 62, 63] {
        for number in [(1_u64 << power) - 1, 1 << power, (1 << power) + 1] {
            add(&number.to_le_bytes());
        }
    }
    for number in
        [1, 9_999, 10_000, 10_001, 999_999, 1_000_000, 1_000_000_000, u64::MAX - 1, u64::MAX]
    {
        add(&u64::to_le_bytes(number));
    }
    for number in [-443_637_i32, -443_636, -1, 443_636, 443_637, i32::MIN, i32::MAX] {
        add(&number.to_le_bytes());
    }
    for number in [1_u128 << 64, (1 << 64) - 1, 1 << 127, u128::MAX, i128::MIN.cast_unsigned()] {
        add(&number.to_le_bytes());
    }
    for price in [clmm::MIN_SQRT_PRICE, clmm::MAX_SQRT_PRICE] {
        [price - 1, price, price + 1].iter().for_each(|price| add(&price.to_le_bytes()));
    }
    out
}
