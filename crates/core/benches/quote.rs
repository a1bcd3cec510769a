//! How long a quote takes, per kind of pool, beside a floor measured in the same run.
//!
//! The floor is what no constant-product quote can leave out: one product of 128 bits, and its quotient, of the same
//! numbers, by the processor's own division. Where that is slow, quotes do without it and lie below. Two figures for each: `apart` is quotes that do not wait for each other, as when many pools are looked at;
//! `chained` is quotes of which each needs the one before, as along a route. Directions are timed apart, and pools of
//! ticks and bins by how many of them a swap crosses: the number at the end of the row's name. Rows take turns, so that
//! a busy machine slows all of them. Run it with `cargo bench -p sniper-core --bench quote`; limits are for `apart`.
//! `-- --only TEXT` measures only the rows whose name begins so, beside the floor: for a profiler.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a bench has a clock, and may panic"
)]

mod pools;

use std::hint::black_box;
use std::time::Instant;

use pools::{RESERVES, Take, Timed};
use sniper_core::amm::{Quote, QuoteError};
use sniper_core::units::Atoms;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if is_test { 1 } else { 801 };
    let mut rows = Rows(Vec::new());
    let amounts =
        (0..pools::AMOUNTS as u64).map(|nth| Atoms::new(1_000_000 + nth * 1_000_003)).collect();
    let name = String::from("floor");
    rows.take(Timed { name, limit: f64::INFINITY, amounts, quote: |amount| Ok(floor(amount)) });
    pools::all(&mut rows);
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    if let Some(only) = only {
        rows.0.retain(|row| row.name == "floor" || row.name.starts_with(&only));
    }
    measure(&mut rows.0, rounds);
    if !is_test {
        print(&mut rows.0, rounds);
    }
}

#[inline]
fn floor(amount: Atoms) -> Quote {
    let [reserve_in, reserve_out] = black_box(&RESERVES).map(u128::from);
    let given = u128::from(amount.get());
    let out = given * reserve_out / (reserve_in + given);
    Quote { amount_in: amount, amount_out: Atoms::new(out as u64), fee: Atoms::ZERO }
}

/// Quotes all amounts and adds up what they say.
type Batch = Box<dyn Fn(&[Atoms]) -> u64>;

struct Row {
    name: String,
    /// For `apart`, in nanoseconds.
    limit: f64,
    amounts: Vec<Atoms>,
    apart: Batch,
    chained: Batch,
    /// Nanoseconds per quote of each round: `apart`, `chained`.
    took: [Vec<f64>; 2],
}

struct Rows(Vec<Row>);

impl Take for Rows {
    fn take<Q: Fn(Atoms) -> Result<Quote, QuoteError> + Clone + 'static>(
        &mut self,
        timed: Timed<Q>,
    ) {
        let Timed { name, limit, amounts, quote } = timed;
        let again = quote.clone();
        let apart = move |amounts: &[Atoms]| {
            let sum = |quote: Quote| quote.amount_in.get() ^ quote.amount_out.get();
            let one = |amount: &Atoms| sum(black_box(quote(*black_box(amount))).unwrap());
            amounts.iter().map(one).fold(0, |sum, one| sum ^ one)
        };
        let chained = move |amounts: &[Atoms]| {
            // What moves never has its highest bit set; the machine cannot know, and has to wait for it.
            let next = |last: u64, amount: &Atoms| {
                let amount = Atoms::new(amount.get() | (last >> 63));
                let quote = black_box(again(black_box(amount))).unwrap();
                quote.amount_in.get() | quote.amount_out.get()
            };
            amounts.iter().fold(0, next)
        };
        let (apart, chained): (Batch, Batch) = (Box::new(apart), Box::new(chained));
        self.0.push(Row { name, limit, amounts, apart, chained, took: [Vec::new(), Vec::new()] });
    }
}

fn measure(rows: &mut [Row], rounds: usize) {
    for round in 0..rounds + 2 {
        for row in &mut *rows {
            for (batch, took) in [&row.apart, &row.chained].into_iter().zip(&mut row.took) {
                let started = Instant::now();
                black_box(batch(black_box(&row.amounts)));
                let nanos = started.elapsed().as_nanos() as f64 / row.amounts.len() as f64;
                // The first two rounds warm up.
                if round >= 2 {
                    took.push(nanos);
                }
            }
        }
    }
}

fn print(rows: &mut [Row], rounds: usize) {
    println!("quote: medians of {rounds} rounds of {} quotes a row", rows[0].amounts.len());
    println!(
        "{:<36}{:>10}{:>9}{:>9}{:>12}{:>9}  limit ns",
        "what", "apart ns", "min", "x floor", "chained ns", "x floor"
    );
    let mut base = None;
    let mut missed = 0;
    for row in rows {
        let least = row.took[0].iter().copied().fold(f64::INFINITY, f64::min);
        let took = row.took.each_mut().map(|took| median(took));
        let [apart, chained] = took;
        let [floor_apart, floor_chained] = *base.get_or_insert(took);
        let verdict = match row.limit {
            limit if limit.is_infinite() => String::from("-"),
            limit if apart <= limit => format!("{limit:.0} held"),
            limit => {
                missed += 1;
                format!("{limit:.0} NOT held")
            }
        };
        println!(
            "{:<36}{apart:>10.2}{least:>9.2}{:>9.2}{chained:>12.2}{:>9.2}  {verdict}",
            row.name,
            apart / floor_apart,
            chained / floor_chained,
        );
    }
    println!("limits not held: {missed}");
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
