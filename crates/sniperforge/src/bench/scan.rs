//! The scanner: how many pools one core looks at per second, what an update costs, and how fast the bytes of an answer
//! become pools.
//!
//! The pass over all pools stands beside a sum of the arrays it reads; an update beside a read of a random cache line of as
//! much memory; reading an answer beside a sum of its bytes.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sniper_core::ids::Address;
use sniper_core::scan::{Anchor, Flags, Kind, NewPool, Place, PoolTable, Sweep, Terms};
use sniper_core::units::{Atoms, Slot};

use super::Scale;
use super::answer;
use super::cores;
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

const MANY: usize = 100_000;
const FEW: usize = 1_000;
/// Updates of a turn.
const STEPS: usize = 4_096;
/// Pools that one core looks at, in millions a second.
const SWEEP_M: f64 = 20.0;
/// How much dearer an update may be with a hundred times as many pools: what the caches no longer hold.
const GROWTH: f64 = 8.0;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let span = scale.span / 3;
    let mut rows = clean("scan in memory", Bounds::COMPUTE, rejected, || sweep(MANY, span))?;
    rows.extend(clean("scan updates", Bounds::COMPUTE, rejected, || update(FEW, MANY, span))?);
    rows.extend(two_cores(span, rejected)?);
    rows.extend(answer::measure(span, scale.full, rejected)?);
    Ok(rows)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of so many.
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % count.max(1)
    }

    fn address(&mut self) -> Address {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()));
        Address::new_from_array(bytes)
    }
}

/// Pools of a token each against SOL, of which a third have four pools.
fn pools(count: usize) -> (Address, Vec<NewPool>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let sol = random.address();
    let mut token = random.address();
    let mut made = Vec::with_capacity(count);
    for nth in 0..count {
        if nth % 100 >= 30 || nth % 4 == 0 {
            token = random.address();
        }
        // Within a pair prices differ by less than a hundredth of a percent, but for one pair of a thousand.
        let apart = if nth % 4_001 == 0 { 50_000_000 } else { random.next() % 90_000 };
        made.push(NewPool {
            address: random.address(),
            kind: if nth % 3 == 0 { Kind::Cpmm } else { Kind::AmmV4 },
            mints: [token, sol],
            reserves: [Atoms::new(9_000_000_000_000), Atoms::new(1_000_000_000 + apart)],
            terms: Terms { rates: [2_500; 2], flags: Flags::NONE },
        });
    }
    (sol, made)
}

fn fill(sol: Address, pools: &[NewPool]) -> anyhow::Result<PoolTable> {
    let anchor = Anchor { mint: sol, depth_min: Atoms::new(5_100_000) };
    let mut table = PoolTable::new(&[anchor], pools.len()).context("make the table of pools")?;
    for pool in pools {
        table.insert(pool, Slot::new(400_000_000)).context("take a pool into the table")?;
    }
    Ok(table)
}

/// Looking at all of them: price, depth, gaps.
fn sweep(count: usize, span: Duration) -> anyhow::Result<Taken> {
    let (sol, made) = pools(count);
    let mut table = fill(sol, &made)?;
    // What the pass reads and writes, as arrays of the same sizes.
    let reserves: Vec<[u64; 2]> = made.iter().map(|pool| pool.reserves.map(Atoms::get)).collect();
    let (terms, prices) = (vec![[2_500_u32; 2]; count], vec![1_u64; count]);
    let bare = || {
        let sum = |all: &[u64]| all.iter().fold(0_u64, |sum, x| sum.wrapping_add(*x));
        let terms = black_box(&terms).iter().flatten().fold(0_u32, |sum, x| sum.wrapping_add(*x));
        sum(black_box(&reserves).as_flattened()).wrapping_add(sum(black_box(&prices)))
            ^ u64::from(terms)
    };
    let (mut floor, mut times, mut found) = (Times::default(), Times::default(), Sweep::default());
    for _ in Rounds::new(24, span) {
        black_box(floor.time(count, bare));
        times.time(count, || black_box(&mut table).sweep(&mut found));
        ensure!(found.pools == count, "{} of {count} pools were looked at", found.pools);
        black_box(&found);
    }
    let row = Row::told("scan.in_memory", 1e3 / times.p50(), "M pools/s");
    let row = row.note("the floor adds up the same bytes; prices, depths and gaps come on top");
    let rows = vec![row.at_least(SWEEP_M).beside(1e3 / floor.p50())];
    Ok(Taken { floor: floor.0, rows })
}

/// Updates by address, in random order, of small and of large tables.
fn update(few: usize, many: usize, span: Duration) -> anyhow::Result<Taken> {
    let (sol, made) = pools(many);
    let mut tables = [fill(sol, made.get(..few).unwrap_or(&made))?, fill(sol, &made)?];
    let [_, large] = &tables;
    let lines: Vec<[u64; 8]> = vec![[1; 8]; (large.bytes() / 64).max(1)];
    let (mut random, mut floor, mut took) =
        (Random(7), Times::default(), [(); 2].map(|()| Times::default()));
    for round in Rounds::new(24, span) {
        let slot = Slot::new(400_000_001 + u64::try_from(round)?);
        for (table, took) in tables.iter_mut().zip(&mut took) {
            let known = made.get(..table.len()).unwrap_or(&made);
            let keys: Vec<Address> = (0..STEPS)
                .filter_map(|_| known.get(random.below(known.len())).map(|pool| pool.address))
                .collect();
            let mut missed = 0;
            took.time(keys.len(), || {
                for (nth, key) in (0_u64..).zip(&keys) {
                    let Some(Place::Constant(row)) = table.find(key) else {
                        missed += 1;
                        continue;
                    };
                    let second = Atoms::new(1_000_000_000 + nth);
                    let reserves = [Atoms::new(9_000_000_000_000), second];
                    missed += u32::from(black_box(table.update(row, reserves, slot)).is_err());
                }
            });
            ensure!(missed == 0, "{missed} pools could not be updated");
        }
        let at: Vec<usize> = (0..STEPS).map(|_| random.below(lines.len())).collect();
        // Each read waits for the one before, as an update waits for what it finds.
        black_box(floor.time(STEPS, || {
            at.iter().fold(0_u64, |last, at| {
                let next = (*at + usize::try_from(last & 7).unwrap_or(0)) % lines.len();
                black_box(&lines).get(next).and_then(|line| line.first()).copied().unwrap_or(0)
            })
        }));
    }
    let [small, large] = &took;
    let row = |name: &str, ns: f64| {
        let row = Row::told(format!("scan.update.{name}"), ns, "ns").beside(floor.p50());
        row.note(
            "the floor reads one line; an address is looked up, and its row and pair are written",
        )
    };
    let growth = Row::told("scan.update.growth", large.p50() / small.p50(), "times");
    let rows = vec![
        row("pools_1000", small.p50()),
        row("pools_100000", large.p50()),
        growth
            .at_most(Some(GROWTH))
            .note("an update of 100 000 pools by one of 1 000: more is the caches' part"),
    ];
    Ok(Taken { floor: floor.0, rows })
}

/// Passes over a table of its own, for each of two threads.
fn two_cores(span: Duration, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    const PASSES: usize = 40;
    let (sol, made) = pools(MANY / 4);
    let tables = [Mutex::new(fill(sol, &made)?), Mutex::new(fill(sol, &made)?)];
    cores::measure("scan by two", "scan.two_cores_to_one", span, rejected, |thread| {
        let table = tables.get(thread).context("find a thread's table")?;
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Sweep::default();
        for _ in 0..PASSES {
            black_box(&mut *table).sweep(&mut found);
            black_box(&found);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_give_every_row_and_every_pool_is_found() {
        let swept = sweep(2_000, Duration::ZERO).unwrap();
        let updated = update(200, 2_000, Duration::ZERO).unwrap();
        for row in swept.rows.iter().chain(&updated.rows) {
            assert!(row.value.is_some_and(|value| value > 0.0), "{row:?}");
        }
        assert_eq!((swept.floor.len(), updated.floor.len(), updated.rows.len()), (24, 24, 3));
    }
}
