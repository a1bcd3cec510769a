//! How long a quote takes, per kind of pool, as the engine asks for it: through the pool's one face.
//!
//! The floor is what no constant-product quote can leave out: one product of 128 bits, and its quotient, of the same
//! numbers, by the processor's own division; where that is slow, quotes do without it and lie below. Quotes do not wait for each other, as when many pools are looked at.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sniper_core::amm::{Clock, Live};
use sniper_core::units::Atoms;

use super::Scale;
use super::pools::{CLOCK, Pool, RESERVES, all};
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

/// So few that the slowest row is done in a quarter of a millisecond: a busy machine takes the core away after some.
const AMOUNTS: u64 = 512;
/// The smallest amount.
const LEAST: Atoms = Atoms::new(1_000_000);
/// A quote that crosses nothing, of a pool without ticks or bins, in nanoseconds.
const PLAIN_NS: f64 = 10.0;
/// The same of a pool with ticks or bins.
const STEPPED_NS: f64 = 60.0;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let pools = all()?;
    for pool in &pools {
        let quoted = pool.live.quote_exact_in(true, LEAST, &CLOCK);
        let quote = quoted.with_context(|| format!("quote the pool {}", pool.name))?;
        ensure!(quote.amount_out > Atoms::ZERO, "the pool {} gives nothing", pool.name);
    }
    let span = scale.span.min(Duration::from_secs(30));
    clean("quote", Bounds::COMPUTE, rejected, || Ok(run(&pools, span)))
}

fn amounts(pool: &Pool) -> Vec<Atoms> {
    (0..AMOUNTS).map(|nth| Atoms::new(LEAST.get() + nth * pool.most / AMOUNTS)).collect()
}

fn run(pools: &[Pool], span: Duration) -> Taken {
    let each: Vec<Vec<Atoms>> = pools.iter().map(amounts).collect();
    let floor_amounts = each.first().cloned().unwrap_or_default();
    let (mut floor, mut times) = (Times::default(), vec![Times::default(); pools.len()]);
    for round in Rounds::new(32, span) {
        let done = floor.time(floor_amounts.len(), || bare(black_box(&floor_amounts)));
        black_box(done);
        for ((pool, amounts), times) in pools.iter().zip(&each).zip(&mut times) {
            black_box(times.time(amounts.len(), || batch(&pool.live, black_box(amounts))));
        }
        // The first two warm up.
        if round == 1 {
            floor.0.clear();
            times.iter_mut().for_each(|times| times.0.clear());
        }
    }
    let rows = pools.iter().zip(&times).map(|(pool, times)| {
        let limit = if pool.stepped { STEPPED_NS } else { PLAIN_NS };
        let row = Row::told(format!("quote.{}", pool.name), times.p50(), "ns");
        row.at_most(Some(limit)).beside(floor.p50()).note(beyond_floor(pool))
    });
    Taken { rows: rows.collect(), floor: floor.0 }
}

/// What a quote does besides one product and its quotient.
fn beyond_floor(pool: &Pool) -> &'static str {
    match pool.name {
        "pump_swap" | "pump_curve" => {
            "each of its fees is rounded up by itself: a product more for each, and checks of what it may pay"
        }
        "dlmm" => "a fee that follows volatility and the second, and the bin's own price",
        _ if pool.stepped => {
            "prices are square roots: products and quotients of up to 256 bits, and a look at the next tick"
        }
        _ => "a fee, and the program's own checks",
    }
}

fn bare(amounts: &[Atoms]) -> u64 {
    let one = |amount: &Atoms| {
        let [reserve_in, reserve_out] = black_box(&RESERVES).map(u128::from);
        let given = u128::from(black_box(*amount).get());
        black_box(given * reserve_out / (reserve_in + given)) as u64
    };
    amounts.iter().map(one).fold(0, |sum, one| sum ^ one)
}

fn batch(live: &Live, amounts: &[Atoms]) -> u64 {
    const THEN: Clock = CLOCK;
    let one = |amount: &Atoms| {
        let quote = black_box(live.quote_exact_in(true, *black_box(amount), &THEN));
        quote.map_or(0, |quote| quote.amount_out.get())
    };
    amounts.iter().map(one).fold(0, |sum, one| sum ^ one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_pool_quotes_every_amount_and_has_a_row() {
        let pools = all().unwrap();
        for pool in &pools {
            for amount in amounts(pool) {
                let quote = pool.live.quote_exact_in(true, amount, &CLOCK);
                assert!(quote.is_ok_and(|quote| quote.amount_out > Atoms::ZERO), "{}", pool.name);
            }
        }
        let Taken { floor, rows } = run(&pools, Duration::ZERO);
        assert_eq!((floor.len(), rows.len()), (30, 7));
        assert!(rows.iter().all(|row| row.value.is_some_and(|ns| ns > 0.0)), "{rows:?}");
    }
}
