//! The scanner's table: how many pools one core looks at per second, what an update costs, what a pool takes in memory.
//!
//! Each figure stands beside a floor measured in turns with it, so that a busy machine slows both: the pass over all
//! pools beside summing the arrays it reads; an update beside one read of a random cache line of as much memory. Run
//! it with `cargo bench -p sniper-core --bench scan`.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock, and may panic"
)]

use std::hint::black_box;
use std::time::Instant;

use sniper_core::ids::Address;
use sniper_core::scan::{Anchor, Flags, Kind, NewPool, Place, PoolTable, RowId, Sweep, Terms};
use sniper_core::units::{Atoms, Slot};

const MANY: usize = 100_000;

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let (pools, rounds) = if is_test { (2_000, 2) } else { (MANY, 201) };
    memory(pools);
    println!("\nlooking at all of {pools} pools, medians of {rounds} rounds");
    println!(
        "{:<34}{:>12}{:>12}{:>10}{:>10}",
        "pools that share their pair", "M pools/s", "ns/pool", "x floor", "gaps"
    );
    for shared in [0, 30, 100] {
        sweep(pools, shared, rounds);
    }
    println!("\na sum of the same arrays is the floor; limit 20 M pools/s");
    update(1_000.min(pools), pools, rounds);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn address(&mut self) -> Address {
        let words = [self.next(), self.next(), self.next(), self.next()];
        Address::new_from_array(*words.map(u64::to_le_bytes).as_flattened().first_chunk().unwrap())
    }
}

/// Pools of a token each against SOL, of which `shared` percent have four pools.
fn pools(count: usize, shared: usize) -> (Address, Vec<NewPool>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let sol = random.address();
    let mut token = random.address();
    let mut made = Vec::with_capacity(count);
    for i in 0..count {
        let alone = i % 100 >= shared;
        if alone || i % 4 == 0 {
            token = random.address();
        }
        // Within a pair prices differ by less than a hundredth of a percent, but for one pair of a thousand.
        let apart = if i % 4_001 == 0 { 50_000_000 } else { random.next() % 90_000 };
        made.push(NewPool {
            address: random.address(),
            kind: if i % 3 == 0 { Kind::Cpmm } else { Kind::AmmV4 },
            mints: [token, sol],
            reserves: [Atoms::new(9_000_000_000_000), Atoms::new(1_000_000_000 + apart)],
            terms: Terms { rates: [2_500; 2], flags: Flags::NONE },
        });
    }
    (sol, made)
}

fn fill(sol: Address, pools: &[NewPool], room: usize) -> PoolTable {
    let anchor = Anchor { mint: sol, depth_min: Atoms::new(5_100_000) };
    let mut table = PoolTable::new(&[anchor], room).unwrap();
    for pool in pools {
        table.insert(pool, Slot::new(400_000_000)).unwrap();
    }
    table
}

/// Resident memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn memory(count: usize) {
    // The dearest case: a mint and a pair of its own for every pool, and no room set aside.
    let (sol, made) = pools(count, 0);
    drop(fill(sol, &made[..1], 0));
    let before = resident();
    let started = Instant::now();
    let mut table = fill(sol, &made, 0);
    let took = started.elapsed();
    table.sweep(&mut Sweep::default());
    table.shrink_to_fit();
    let grown = resident() - before;
    println!(
        "{count} pools, a mint and a pair each: {:.1} bytes a pool resident, {:.1} set aside (limit 160); \
         {:.2} MB in all; {:.1} MB of process; filled at {:.2} M pools/s",
        grown as f64 / count as f64,
        table.bytes() as f64 / count as f64,
        grown as f64 / 1e6,
        resident() as f64 / 1e6,
        count as f64 / took.as_secs_f64() / 1e6,
    );
    black_box(&table);
}

fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn sweep(count: usize, shared: usize, rounds: usize) {
    let (sol, made) = pools(count, shared);
    let mut table = fill(sol, &made, count);
    // What the pass reads and writes, as arrays of the same sizes.
    let reserves: Vec<[u64; 2]> = made.iter().map(|pool| pool.reserves.map(Atoms::get)).collect();
    let terms: Vec<[u32; 2]> = vec![[2_500; 2]; count];
    let floor = || {
        let sum = |all: &[u64]| all.iter().fold(0_u64, |sum, x| sum.wrapping_add(*x));
        let terms = terms.iter().flatten().fold(0_u32, |sum, x| sum.wrapping_add(*x));
        sum(black_box(&reserves).as_flattened()) ^ u64::from(terms)
    };
    let mut found = Sweep::default();
    let (mut took, mut base) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let started = Instant::now();
        black_box(floor());
        base.push(started.elapsed().as_nanos() as f64 / count as f64);
        let started = Instant::now();
        black_box(&mut table).sweep(&mut found);
        took.push(started.elapsed().as_nanos() as f64 / count as f64);
        assert_eq!(found.pools, count);
        black_box(&found);
    }
    let (took, base) = (median(took), median(base));
    println!(
        "{:<34}{:>12.1}{:>12.2}{:>10.1}{:>10}",
        format!("{shared} %"),
        1e3 / took,
        took,
        took / base,
        found.verdicts.len(),
    );
}

fn update(few: usize, many: usize, rounds: usize) {
    const STEPS: usize = 4_096;
    let (sol, made) = pools(many, 30);
    let mut tables = [few, many].map(|count| fill(sol, &made[..count], count));
    let lines: Vec<[u64; 8]> = vec![[1; 8]; tables[1].bytes() / 64];
    let mut random = Random(7);
    let mut took: [Vec<f64>; 5] = Default::default();
    for round in 0..rounds as u64 {
        let at: Vec<usize> = (0..STEPS).map(|_| (random.next() >> 33) as usize).collect();
        let amount = |i: usize| Atoms::new(1_000_000_000 + round * 4_096 + i as u64);
        for (which, table) in tables.iter_mut().enumerate() {
            let known = table.len();
            let keys: Vec<Address> = at.iter().map(|at| made[at % known].address).collect();
            let slot = Slot::new(400_000_001 + round);
            let started = Instant::now();
            for (i, key) in keys.iter().enumerate() {
                let Some(Place::Constant(row)) = table.find(key) else { panic!("unknown") };
                black_box(table.update(row, [Atoms::new(9_000_000_000_000), amount(i)], slot))
                    .unwrap();
            }
            took[which].push(started.elapsed().as_nanos() as f64 / STEPS as f64);
            let rows: Vec<RowId> = at.iter().map(|at| RowId::new((at % known) as u32)).collect();
            let started = Instant::now();
            for (i, row) in rows.iter().enumerate() {
                let reserves = [Atoms::new(9_000_000_000_001), amount(i)];
                black_box(table.update(*row, reserves, slot)).unwrap();
            }
            took[which + 2].push(started.elapsed().as_nanos() as f64 / STEPS as f64);
        }
        // Each read waits for the one before, as an update waits for what it finds.
        let started = Instant::now();
        let mut last = 0;
        for at in &at {
            last = black_box(&lines)[(*at + last as usize) % lines.len()][last as usize & 7];
        }
        black_box(last);
        took[4].push(started.elapsed().as_nanos() as f64 / STEPS as f64);
    }
    let [find_few, find_many, few_ns, many_ns, line] = took.map(median);
    println!("\nan update, median of {rounds} rounds of {STEPS} in random order, in ns");
    println!("{:<34}{:>12}{:>12}{:>10}", "", few, many, "ratio");
    println!("{:<34}{find_few:>12.1}{find_many:>12.1}{:>10.2}", "by address", find_many / find_few);
    println!("{:<34}{few_ns:>12.1}{many_ns:>12.1}{:>10.2}", "by row", many_ns / few_ns);
    println!("a random cache line of as much memory as {many} pools take: {line:.1} ns");
}
