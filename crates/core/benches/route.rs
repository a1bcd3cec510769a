//! How long taking in an update of a pool takes, with few and with many pools known, beside a floor of the same run.
//!
//! The floor is one access to a random place of a table as large as the market's pools, each place told by the one
//! before. An update asks the pool for its rates, puts them into the index and looks for cycles; the pools' accounts
//! were applied before, 512 pools at a time, so that a pool is as cold as 511 others have left it. Rows take turns, so
//! that a busy machine slows all of them, and each begins with a pass that does not count, so that caches hold what its
//! own traffic leaves in them and not what another row's did. Run it with `cargo bench -p sniper-core --bench route`.
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

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use sniper_core::ids::{MintId, PoolId};
use sniper_core::market::Pool;
use sniper_core::route::{Costs, Cycle, Finder, Index, Start, Terms};
use sniper_core::units::Atoms;
use support::web::Web;
use support::{USDC, WSOL};

const BATCH: usize = 512;
const SIDE: u64 = 1 << 40;
/// Pools of SOL and dollars, announced first.
const HUB: usize = 20;
/// Of each token: against SOL, and against dollars.
const POOLS: [usize; 2] = [7, 3];

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let (rounds, sizes) = if is_test { (2, [200, 1_000]) } else { (201, [1_000, 100_000]) };
    let mut worlds = sizes.map(World::new);
    for round in 0..rounds + 2 {
        for world in &mut worlds {
            world.round(round >= 2);
        }
    }
    println!(
        "route: medians of {rounds} rounds of {BATCH} updates ({HUB} of the hub); cap of a search: 8 cycles"
    );
    println!(
        "{:<9}{:<28}{:>10}{:>9}{:>9}{:>9}{:>10}{:>10}",
        "pools", "what", "ns", "x floor", "min ns", "p95 ns", "searched", "found"
    );
    for world in &mut worlds {
        world.print();
    }
    let [few, many] =
        worlds.each_mut().map(|world| [0, 1, 3].map(|row| at(&mut world.rows[row], 0.5)));
    for (row, what) in ["a token's pool", "a pool of SOL and dollars"].iter().enumerate() {
        println!(
            "{what}: with many pools an update takes {:.2} x that with few; {:.0} ns more, where an access takes {:.0} ns more",
            many[row] / few[row],
            many[row] - few[row],
            many[2] - few[2],
        );
    }
}

struct World {
    web: Web,
    index: Index,
    finder: Finder,
    found: Vec<Cycle>,
    table: Vec<[usize; size_of::<Pool>() / 8]>,
    seed: u64,
    at: usize,
    /// Nanoseconds per update of each round.
    rows: [Vec<f64>; 4],
    /// Per row: updates, cycles whose size was searched, cycles that gain.
    seen: [[u64; 3]; 4],
}

const NAMES: [&str; 4] =
    ["token, nothing gains", "hub, nothing gains", "token, cycles gain", "floor: access"];

impl World {
    fn new(pools: usize) -> Self {
        let tokens = (pools - HUB) / 10;
        let mut web = Web::new(u16::try_from(tokens + 2).unwrap());
        for _ in 0..HUB {
            web.add([2, 1], [SIDE; 2], 2_500);
        }
        for token in 0..tokens {
            let token = u16::try_from(token + 3).unwrap();
            for (quote, count) in [2, 1].into_iter().zip(POOLS) {
                for _ in 0..count {
                    web.add([token, quote], [SIDE; 2], 2_500);
                }
            }
        }
        let mut index = Index::new();
        let started = Instant::now();
        index.announce(&web.market);
        println!(
            "{} pools announced to the index in {:.0} ns each",
            index.len(),
            started.elapsed().as_nanos() as f64 / index.len() as f64
        );
        let mut world = Self {
            table: vec![[0; _]; index.len()],
            web,
            index,
            finder: Finder::new(),
            found: Vec::with_capacity(64),
            seed: 7,
            at: 0,
            rows: [const { Vec::new() }; 4],
            seen: [[0; 3]; 4],
        };
        // One ring through all places, in random order.
        let mut order: Vec<usize> = (0..world.table.len()).collect();
        for nth in (1..order.len()).rev() {
            let other = world.draw(nth + 1);
            order.swap(nth, other);
        }
        for pair in order.windows(2) {
            world.table[pair[0]][0] = pair[1];
        }
        world.table[*order.last().unwrap()][0] = order[0];
        world
    }

    fn draw(&mut self, below: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as usize % below
    }

    fn round(&mut self, counts: bool) {
        let all = self.index.len();
        // A tenth of a percent is within the fees, two percent is not.
        for (row, (pools, from, most)) in
            [(all - HUB, HUB, SIDE >> 10), (HUB, 0, SIDE >> 10), (all - HUB, HUB, SIDE >> 5)]
                .into_iter()
                .enumerate()
        {
            for counts in [false, counts] {
                self.pass(row, (pools, from, most), counts);
            }
        }
        for counts in [false, counts] {
            let steps = if counts { BATCH } else { 2 * BATCH };
            let started = Instant::now();
            for _ in 0..steps {
                self.at = black_box(self.table[self.at][0]);
            }
            if counts {
                self.rows[3].push(started.elapsed().as_nanos() as f64 / BATCH as f64);
            }
        }
    }

    fn pass(&mut self, row: usize, (pools, from, most): (usize, usize, u64), counts: bool) {
        // Few pools of SOL and dollars: each once, so that every update has something new.
        let draw = |world: &mut Self| PoolId((from + world.draw(pools)) as u32);
        let batch: Vec<PoolId> = if row == 1 {
            (0..HUB as u32).map(PoolId).collect()
        } else {
            (0..BATCH).map(|_| draw(self)).collect()
        };
        for pool in &batch {
            let more = SIDE + self.draw(most as usize) as u64;
            self.web.set(*pool, [more, SIDE]);
        }
        let nanos = self.updates(&batch, row, counts);
        if counts {
            self.rows[row].push(nanos);
        }
        if row == 2 {
            for pool in &batch {
                self.web.set(*pool, [SIDE; 2]);
            }
            self.updates(&batch, row, false);
        }
    }

    fn updates(&mut self, batch: &[PoolId], row: usize, counts: bool) -> f64 {
        let fees = [Atoms::new(5_000); 3];
        let costs = Costs { fees, tip: Atoms::new(10_000), account: Atoms::ZERO };
        let (most, margin) = (Atoms::new(1 << 38), Atoms::ZERO);
        let mints: [MintId; 2] = [USDC, WSOL];
        let starts = mints.map(|mint| Start { mint, most, costs, margin });
        let terms = Terms { starts: &starts };
        let (mut searched, mut cycles) = (0, 0);
        let started = Instant::now();
        for pool in batch {
            self.found.clear();
            let Self { web, index, finder, found, .. } = self;
            index.refresh(&web.market, black_box(*pool));
            if finder.screen(index, *pool, &mints, |_| true) > 0 {
                searched += u64::from(finder.size(&web.market, &terms, found).searched);
            }
            cycles += found.len() as u64;
        }
        let nanos = started.elapsed().as_nanos() as f64 / batch.len() as f64;
        if counts {
            let seen = &mut self.seen[row];
            *seen = [seen[0] + batch.len() as u64, seen[1] + searched, seen[2] + cycles];
        }
        nanos
    }

    fn print(&mut self) {
        let floor = at(&mut self.rows[3], 0.5);
        for (row, name) in NAMES.iter().enumerate() {
            let [updates, searched, cycles] = self.seen[row].map(|count| count as f64);
            let samples = &mut self.rows[row];
            let (median, least, most) = (at(samples, 0.5), at(samples, 0.0), at(samples, 0.95));
            println!(
                "{:<9}{name:<28}{median:>10.1}{:>9.1}{least:>9.1}{most:>9.1}{:>10.2}{:>10.2}",
                self.index.len(),
                median / floor,
                searched / updates.max(1.0),
                cycles / updates.max(1.0),
            );
        }
    }
}

fn at(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples
        .get((samples.len().saturating_sub(1) as f64 * share) as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
