//! The engine's indicators beside those of `ta`, `yata` and `kand`: one value at a time, the same prices, by turns.
//!
//! They need not agree with each other: `ta` starts its averages with the first price, `yata` takes it for all earlier
//! ones. From [`SETTLED`] on that no longer shows, and there each peer is held against ours before anything is timed.
//! `kand` keeps no state: its caller does, which here is what the engine itself does with it.

use std::hint::black_box;

use sniper_core::stats::{Ema, RollingMeanStd, Sma};
use ta::Next as _;
use ta::indicators::{ExponentialMovingAverage, SimpleMovingAverage, StandardDeviation};
use yata::core::Method as _;

use crate::{Row, Stopwatch, Took};

/// Values of a round.
const VALUES: usize = 100_000;
const PERIOD: u16 = 20;
/// After so many values no start shows beyond the precision that is asked for.
const SETTLED: usize = 2_000;

/// What a run over all prices came to: the sum of what was told, and the last of it.
type Ran = fn(&[f64]) -> [f64; 2];

fn run(prices: &[f64], mut next: impl FnMut(f64) -> f64) -> [f64; 2] {
    prices.iter().fold([0.0, 0.0], |[sum, _], price| {
        let told = next(*price);
        [sum + told, told]
    })
}

fn ema(prices: &[f64]) -> [f64; 2] {
    let mut ours = Ema::new(PERIOD);
    run(prices, |price| {
        ours.update(price);
        ours.value().unwrap_or(0.0)
    })
}

fn sma(prices: &[f64]) -> [f64; 2] {
    let mut ours = Sma::new(PERIOD);
    run(prices, |price| {
        ours.update(price);
        ours.value().unwrap_or(0.0)
    })
}

fn deviation(prices: &[f64]) -> [f64; 2] {
    let mut ours = RollingMeanStd::new(PERIOD);
    run(prices, |price| {
        ours.update(price);
        ours.value().unwrap_or(0.0)
    })
}

fn ta_ema(prices: &[f64]) -> [f64; 2] {
    let mut peer = ExponentialMovingAverage::new(PERIOD.into()).unwrap();
    run(prices, |price| peer.next(price))
}

fn ta_sma(prices: &[f64]) -> [f64; 2] {
    let mut peer = SimpleMovingAverage::new(PERIOD.into()).unwrap();
    run(prices, |price| peer.next(price))
}

fn ta_deviation(prices: &[f64]) -> [f64; 2] {
    let mut peer = StandardDeviation::new(PERIOD.into()).unwrap();
    run(prices, |price| peer.next(price))
}

fn yata_ema(prices: &[f64]) -> [f64; 2] {
    let mut peer = yata::methods::EMA::new(20, &prices[0]).unwrap();
    run(prices, |price| peer.next(&price))
}

fn yata_sma(prices: &[f64]) -> [f64; 2] {
    let mut peer = yata::methods::SMA::new(20, &prices[0]).unwrap();
    run(prices, |price| peer.next(&price))
}

fn yata_deviation(prices: &[f64]) -> [f64; 2] {
    let mut peer = yata::methods::StDev::new(20, &prices[0]).unwrap();
    run(prices, |price| peer.next(&price))
}

fn kand_ema(prices: &[f64]) -> [f64; 2] {
    let mut held = prices[0];
    run(prices, |price| {
        held = kand::ohlcv::ema::ema_inc(price, held, PERIOD.into(), None).unwrap();
        held
    })
}

/// What, ours, and every peer with its name. A deviation of the sample is as many times that of all as is said.
const JOBS: [(&str, Ran, &[(&str, Ran, f64)]); 3] = [
    ("EMA(20)", ema, &[("ta", ta_ema, 1.0), ("yata", yata_ema, 1.0), ("kand", kand_ema, 1.0)]),
    ("SMA(20)", sma, &[("ta", ta_sma, 1.0), ("yata", yata_sma, 1.0)]),
    (
        "deviation(20)",
        deviation,
        &[("ta", ta_deviation, 1.0), ("yata", yata_deviation, 1.025_978_352_085_154)],
    ),
];

/// A seeded walk around 100.
fn prices() -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut price = 100.0;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        price += ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 0.2 + (100.0 - price) * 1e-3;
        price
    };
    (0..VALUES).map(step).collect()
}

pub(crate) fn measure(rounds: u64) -> Vec<Row> {
    let prices = prices();
    let mut rows = Vec::new();
    for (what, ours, peers) in JOBS {
        for (name, peer, times) in peers {
            let [_, told] = ours(&prices[..SETTLED]);
            let [_, theirs] = peer(&prices[..SETTLED]);
            assert!((told * times - theirs).abs() < 1e-6 * told, "{what}: {told}, {name} {theirs}");
            let mut sides = [Vec::new(), Vec::new()];
            for round in 0..=rounds {
                let took = [ours, *peer].map(|side| timed(side, &prices));
                if round > 0 {
                    (0..2).for_each(|side| sides[side].push(took[side]));
                }
            }
            let row = crate::row(what.to_owned(), "us a value", VALUES as f64, &sides);
            rows.push(Row { peer: name, ..row });
        }
    }
    rows
}

fn timed(side: Ran, prices: &[f64]) -> Took {
    let watch = Stopwatch::start();
    black_box(side(black_box(prices)));
    watch.stop()
}
