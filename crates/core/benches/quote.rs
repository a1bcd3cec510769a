//! How long a quote takes, per kind of pool, beside a floor measured in the same run.
//!
//! The floor is what no constant-product quote can leave out: one product of 128 bits, and its quotient, of the same
//! numbers. Two figures for each: `apart` is quotes that do not wait for each other, as when many pools are looked at;
//! `chained` is quotes of which each needs the one before, as along a route. Kinds and floor take turns, so that a
//! busy machine slows all of them. Run it with `cargo bench -p sniper-core --bench quote`; limits are for `apart`.
#![allow(
    clippy::unwrap_used,
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

use sniper_core::amm::amm_v4::{self, Fraction};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Clock, Quote, QuoteError, cpmm};
use sniper_core::units::Atoms;

/// A pool of SOL and USDC as there are many: both sides in atoms.
const RESERVES: [u64; 2] = [58_431_207_995_113, 9_644_121_050_377];

const AMOUNTS: usize = 4_096;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if is_test { 3 } else { 301 };
    let clock = Clock { now: 1_750_000_000, ..Clock::default() };
    let (cpmm, amm_v4) = (cpmm_curve(), amm_v4_curve());
    let mut rows = vec![
        Row::new("floor", f64::INFINITY, |amount| Ok(floor(amount))),
        Row::new("cpmm", 10.0, move |amount| cpmm.quote_exact_in(true, amount, clock.now)),
        Row::new("amm v4", 10.0, move |amount| amm_v4.quote_exact_in(true, amount, &clock)),
    ];
    measure(&mut rows, rounds);
    if !is_test {
        print(&mut rows, rounds);
    }
}

fn cpmm_curve() -> cpmm::Curve {
    let config = cpmm::Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
    };
    let vaults = RESERVES.map(Atoms::new);
    let fees = [TransferFee::NONE; 2];
    cpmm::Curve::new(vaults, &cpmm::PoolState::default(), &config, fees).unwrap()
}

fn amm_v4_curve() -> amm_v4::Curve {
    let pool = amm_v4::PoolState {
        status: amm_v4::STATUS_SWAP_ONLY,
        swap_fee: Fraction { numerator: 25, denominator: 10_000 },
        ..amm_v4::PoolState::default()
    };
    amm_v4::Curve::new(RESERVES.map(Atoms::new), &pool).unwrap()
}

#[inline]
fn floor(amount: Atoms) -> Quote {
    let [reserve_in, reserve_out] = black_box(&RESERVES).map(u128::from);
    let given = u128::from(amount.get());
    let out = given * reserve_out / (reserve_in + given);
    Quote { amount_in: amount, amount_out: Atoms::new(out as u64), fee: Atoms::ZERO }
}

/// Quotes all amounts and adds up what comes out.
type Batch = Box<dyn Fn(&[Atoms]) -> u64>;

struct Row {
    name: &'static str,
    /// For `apart`, in nanoseconds.
    limit: f64,
    apart: Batch,
    chained: Batch,
    /// Nanoseconds per quote of each round: `apart`, `chained`.
    took: [Vec<f64>; 2],
}

impl Row {
    fn new(
        name: &'static str,
        limit: f64,
        quote: impl Fn(Atoms) -> Result<Quote, QuoteError> + Copy + 'static,
    ) -> Self {
        let apart = move |amounts: &[Atoms]| {
            let out = |amount: &Atoms| black_box(quote(*black_box(amount))).unwrap().amount_out;
            amounts.iter().map(out).fold(0, |sum, out| sum ^ out.get())
        };
        let chained = move |amounts: &[Atoms]| {
            // What comes out never has its highest bit set; the machine cannot know, and has to wait for it.
            let next = |last: u64, amount: &Atoms| {
                let amount = Atoms::new(amount.get() | (last >> 63));
                black_box(quote(black_box(amount))).unwrap().amount_out.get()
            };
            amounts.iter().fold(0, next)
        };
        let took = [Vec::new(), Vec::new()];
        Self { name, limit, apart: Box::new(apart), chained: Box::new(chained), took }
    }
}

fn measure(rows: &mut [Row], rounds: usize) {
    let amounts = amounts();
    for round in 0..rounds + 2 {
        for row in &mut *rows {
            for (batch, took) in [&row.apart, &row.chained].into_iter().zip(&mut row.took) {
                let started = Instant::now();
                black_box(batch(black_box(&amounts)));
                let nanos = started.elapsed().as_nanos() as f64 / amounts.len() as f64;
                // The first two rounds warm up.
                if round >= 2 {
                    took.push(nanos);
                }
            }
        }
    }
}

/// From a thousandth of a SOL to some thousand, spread evenly over the orders of magnitude.
fn amounts() -> Vec<Atoms> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 22
    };
    (0..AMOUNTS).map(|_| Atoms::new(1_000_000 + (next() >> (next() % 22)))).collect()
}

fn print(rows: &mut [Row], rounds: usize) {
    println!("quote: exact input, medians of {rounds} rounds of {AMOUNTS} quotes");
    println!(
        "{:<12}{:>10}{:>10}{:>12}{:>10}{:>10}",
        "what", "apart ns", "x floor", "chained ns", "x floor", "limit ns"
    );
    let mut base = None;
    for row in rows {
        let took = row.took.each_mut().map(|took| median(took));
        let [apart, chained] = took;
        let [floor_apart, floor_chained] = *base.get_or_insert(took);
        let verdict = match row.limit {
            limit if limit.is_infinite() => String::from("-"),
            limit if apart <= limit => format!("{limit:.0} held"),
            limit => format!("{limit:.0} NOT held"),
        };
        println!(
            "{:<12}{apart:>10.2}{:>10.2}{chained:>12.2}{:>10.2}  {verdict:>8}",
            row.name,
            apart / floor_apart,
            chained / floor_chained,
        );
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
