//! How long reading an account takes, per kind of pool, beside what cannot be left out: the base64 decode of the same
//! bytes, in the same run.
//!
//! Accounts are made here: any bytes but for what a decoder checks. Arrays come with few of their ticks or bins in use
//! and with all. The floor is what every client has, the `base64` crate, into a buffer that is kept; beside it stands what
//! the feed decodes with, which takes many characters at a time. All take turns, so that a busy machine slows all. Run it
//! with `cargo bench -p sniper-core --bench decode`; the limit is 1.5 times the base64 decode.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock, and may panic"
)]

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64_simd::AsOut as _;
use sniper_core::amm::{
    DecodeError, amm_v4, clmm, cpmm, decode_vault, dlmm, pump_curve, pump_swap, whirlpool,
};

/// Of a base64 decode of the same bytes.
const LIMIT: f64 = 1.5;
/// Decodes of one account in a row.
const BATCH: usize = 256;
/// Ticks or bins in use where few are.
const FEW: usize = 6;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if is_test { 1 } else { 301 };
    let mut rows = rows();
    for round in 0..rounds + 2 {
        for row in &mut rows {
            row.round(round >= 2);
        }
    }
    if !is_test {
        print(&mut rows, rounds);
    }
}

/// Decodes an account and throws away what was in it.
type Decode = Box<dyn Fn(&[u8])>;

struct Row {
    name: &'static str,
    account: Vec<u8>,
    text: String,
    decode: Decode,
    /// Nanoseconds of one decode in each round: the account's, the text's, and the text's as the feed does it.
    took: [Vec<f64>; 3],
}

impl Row {
    fn new<T: 'static>(
        name: &'static str,
        account: Vec<u8>,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError> + 'static,
    ) -> Self {
        decode(&account).unwrap();
        let text = STANDARD.encode(&account);
        let decode = Box::new(move |account: &[u8]| {
            for _ in 0..BATCH {
                black_box(decode(black_box(account)).unwrap());
            }
        });
        Self { name, account, text, decode, took: [const { Vec::new() }; 3] }
    }

    fn round(&mut self, counts: bool) {
        let started = Instant::now();
        (self.decode)(&self.account);
        let account = started.elapsed().as_nanos() as f64 / BATCH as f64;
        let mut scratch = Vec::with_capacity(2 * self.account.len());
        let started = Instant::now();
        for _ in 0..BATCH {
            scratch.clear();
            STANDARD.decode_vec(black_box(self.text.as_bytes()), &mut scratch).unwrap();
            black_box(&scratch);
        }
        let text = started.elapsed().as_nanos() as f64 / BATCH as f64;
        scratch.resize(self.text.len(), 0);
        let started = Instant::now();
        for _ in 0..BATCH {
            let text = black_box(self.text.as_bytes());
            black_box(base64_simd::STANDARD.decode(text, scratch.as_out()).unwrap());
        }
        let feed = started.elapsed().as_nanos() as f64 / BATCH as f64;
        if counts {
            for (took, nanos) in self.took.iter_mut().zip([account, text, feed]) {
                took.push(nanos);
            }
        }
    }
}

fn rows() -> Vec<Row> {
    let all = usize::from(whirlpool::TICKS_IN_ARRAY);
    vec![
        Row::new("vault", vault(), decode_vault),
        Row::new("cpmm pool", account(cpmm::POOL_LEN, cpmm::POOL_DISCRIMINATOR), cpmm::decode_pool),
        Row::new("amm v4 pool", account(amm_v4::POOL_LEN, [6; 8]), amm_v4::decode_pool),
        Row::new(
            "pump swap pool",
            account(pump_swap::POOL_LENS[6], pump_swap::POOL_DISCRIMINATOR),
            pump_swap::decode_pool,
        ),
        Row::new(
            "pump curve",
            account(pump_curve::CURVE_LENS[6], pump_curve::CURVE_DISCRIMINATOR),
            pump_curve::decode_curve,
        ),
        Row::new(
            "whirlpool pool",
            account(whirlpool::POOL_LEN, whirlpool::POOL_DISCRIMINATOR),
            whirlpool::decode_pool,
        ),
        Row::new("whirlpool ticks, 6", whirlpool_ticks(FEW), whirlpool::decode_tick_array),
        Row::new("whirlpool ticks, 88", whirlpool_ticks(all), whirlpool::decode_tick_array),
        Row::new("whirlpool dynamic, 6", dynamic_ticks(FEW), whirlpool::decode_tick_array),
        Row::new("whirlpool dynamic, 88", dynamic_ticks(all), whirlpool::decode_tick_array),
        Row::new(
            "whirlpool oracle",
            account(whirlpool::ORACLE_LEN, whirlpool::ORACLE_DISCRIMINATOR),
            whirlpool::decode_oracle,
        ),
        Row::new("clmm pool", account(clmm::POOL_LEN, clmm::POOL_DISCRIMINATOR), clmm::decode_pool),
        Row::new("clmm ticks, 6", clmm_ticks(FEW), clmm::decode_tick_array),
        Row::new("clmm ticks, 60", clmm_ticks(60), clmm::decode_tick_array),
        Row::new(
            "clmm bitmap",
            account(clmm::EXTENSION_LEN, clmm::EXTENSION_DISCRIMINATOR),
            clmm::decode_bitmap_extension,
        ),
        Row::new("dlmm pool", dlmm_pool(), dlmm::decode_pool),
        Row::new("dlmm bins, 6", dlmm_bins(FEW), dlmm::decode_bin_array),
        Row::new("dlmm bins, 70", dlmm_bins(70), dlmm::decode_bin_array),
        Row::new(
            "dlmm bitmap",
            account(dlmm::EXTENSION_LEN, dlmm::EXTENSION_DISCRIMINATOR),
            dlmm::decode_extension,
        ),
    ]
}

/// Any bytes, the same every time, after the first eight.
fn account(length: usize, discriminator: [u8; 8]) -> Vec<u8> {
    let mut seed = 7_u64;
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed.to_le_bytes()[7]
        })
        .collect();
    bytes[..8].copy_from_slice(&discriminator);
    bytes
}

fn vault() -> Vec<u8> {
    let mut bytes = account(165, [1; 8]);
    bytes[108] = 1;
    bytes
}

/// Whether `used` of `all` take this place, spread evenly.
fn is_used(place: usize, used: usize, all: usize) -> bool {
    place * used / all != (place + 1) * used / all
}

fn whirlpool_ticks(used: usize) -> Vec<u8> {
    let mut bytes = account(whirlpool::TICK_ARRAY_LEN, whirlpool::TICK_ARRAY_DISCRIMINATOR);
    for slot in 0..88 {
        let tick = &mut bytes[12 + slot * 113..][..113];
        if is_used(slot, used, 88) {
            tick[0] = 1;
        } else {
            tick.fill(0);
        }
    }
    bytes
}

fn dynamic_ticks(used: usize) -> Vec<u8> {
    let any = account(88 * 112, [3; 8]);
    let mut bytes = whirlpool::DYNAMIC_TICK_ARRAY_DISCRIMINATOR.to_vec();
    bytes.extend([0; 4]);
    bytes.extend([5; 32]);
    let flags = (0..88).filter(|slot| is_used(*slot, used, 88));
    bytes.extend(flags.fold(0_u128, |flags, slot| flags | 1 << slot).to_le_bytes());
    for slot in 0..88 {
        if is_used(slot, used, 88) {
            bytes.push(1);
            bytes.extend(&any[slot * 112..][..112]);
        } else {
            bytes.push(0);
        }
    }
    bytes
}

fn clmm_ticks(used: usize) -> Vec<u8> {
    let mut bytes = account(clmm::TICK_ARRAY_LEN, clmm::TICK_ARRAY_DISCRIMINATOR);
    for place in 0..60 {
        let tick = &mut bytes[44 + place * 168..][..168];
        if is_used(place, used, 60) {
            tick[..4].copy_from_slice(&i32::try_from(place).unwrap().to_le_bytes());
        } else {
            tick.fill(0);
        }
    }
    bytes
}

fn dlmm_pool() -> Vec<u8> {
    let mut bytes = account(dlmm::PAIR_LEN, dlmm::PAIR_DISCRIMINATOR);
    // SPL Token, and Token-2022.
    bytes[880..882].copy_from_slice(&[0, 1]);
    bytes
}

fn dlmm_bins(used: usize) -> Vec<u8> {
    let mut bytes = account(dlmm::ARRAY_LEN, dlmm::ARRAY_DISCRIMINATOR);
    bytes[8..16].fill(0);
    for place in 0..70 {
        if !is_used(place, used, 70) {
            bytes[56 + place * 144..][..144].fill(0);
        }
    }
    bytes
}

fn print(rows: &mut [Row], rounds: usize) {
    println!("decode: medians of {rounds} rounds of {BATCH} decodes a row");
    println!(
        "{:<24}{:>8}{:>11}{:>9}{:>12}{:>10}{:>10}{:>10}  limit",
        "what", "bytes", "decode ns", "min", "base64 ns", "x base64", "feed's ns", "x feed's"
    );
    let mut missed = 0;
    for row in rows {
        let least = row.took[0].iter().copied().fold(f64::INFINITY, f64::min);
        let [account, text, feed] = row.took.each_mut().map(|took| median(took));
        let held = account <= LIMIT * text;
        missed += u32::from(!held);
        println!(
            "{:<24}{:>8}{account:>11.1}{least:>9.1}{text:>12.1}{:>10.2}{feed:>10.1}{:>10.2}  {LIMIT} {}",
            row.name,
            row.account.len(),
            account / text,
            account / feed,
            if held { "held" } else { "NOT held" },
        );
    }
    println!("limits not held: {missed}");
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
