//! How many bars of a tape one strategy takes a second, beside a loop over the same bars that only crosses two averages.
//! `sniperforge bench backtest` has the same beside a loop with all the rules of trend following.
//!
//! From the first event built to the last effect hashed. Passes take turns, so that a busy machine slows all of them. Run
//! it with `cargo bench -p sniper-core --bench tape`, and with `-- --only trend` for one strategy alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock, and may panic"
)]

use std::hint::black_box;
use std::time::Instant;

use sniper_core::engine::Enrolled;
use sniper_core::event::Candle;
use sniper_core::ids::{PairId, Symbol};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::sim::SimSettings;
use sniper_core::sim::tape::{World, play};
use sniper_core::stats::price_to_f64;
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, Bps, Lamports, Price, Timestamp, Usd};

const HOUR: i64 = 3_600_000_000;

fn main() {
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let (bars, passes) = if is_test { (2_000, 1) } else { (35_064, 31) };
    let candles = walk(bars);
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    let mut kinds = vec![
        ("trend", StrategyKind::Trend(trend::Params::default())),
        ("momentum", StrategyKind::Momentum(momentum::Params::default())),
        ("mean reversion", StrategyKind::MeanReversion(mean_reversion::Params::default())),
        ("arbitrage", StrategyKind::Arbitrage(arbitrage::Params::default())),
    ];
    kinds.retain(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str())));
    let mut floor = Vec::new();
    let mut took = vec![Vec::new(); kinds.len()];
    let mut told = vec![String::new(); kinds.len()];
    for _ in 0..passes {
        for (((_, kind), took), told) in kinds.iter().zip(&mut took).zip(&mut told) {
            let started = Instant::now();
            black_box(by_hand(black_box(&candles)));
            floor.push(nanos(started, bars));
            let budget = Usd::dollars(10_000);
            let allowance = Allowance { budget, loss_limit: budget };
            let enrolled = vec![Enrolled { kind: kind.clone(), allowance }];
            let (world, width) = (world(), Timestamp::new(HOUR));
            let started = Instant::now();
            let played =
                play(black_box(&candles), width, &world, enrolled, vec![kind.build()], &mut ());
            took.push(nanos(started, bars));
            let played = played.unwrap();
            assert_eq!(played.points.len(), bars);
            *told =
                format!("{} trades, effects {}", played.trades.len(), &played.effects_hash[..8]);
        }
    }
    let floor = median(&mut floor);
    println!("tape: medians of {passes} passes over {bars} bars; by hand {floor:.1} ns a bar");
    for (((name, _), took), told) in kinds.iter().zip(&mut took).zip(&told) {
        let ns = median(took);
        println!(
            "{name:<16}{ns:>8.1} ns (least {:.1}){:>8.2} M bars/s{:>8.2} x by hand   {told}",
            took[0],
            1e3 / ns,
            ns / floor
        );
    }
}

fn nanos(started: Instant, bars: usize) -> f64 {
    started.elapsed().as_nanos() as f64 / bars as f64
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn world() -> World {
    let room = Usd::dollars(1_000_000);
    World {
        symbol: "SOLUSDT".to_owned(),
        base: Symbol::new("SOL"),
        quote: Symbol::new("USDT"),
        base_decimals: 9,
        cash: Usd::dollars(10_000),
        fee_float: Lamports::new(1_000_000_000_000),
        depth: Usd::dollars(5_000_000),
        pool_fee: 2_500,
        sim: SimSettings { landing: Bps::capped(10_000), ..SimSettings::default() },
        limits: Limits {
            order_value_max: room,
            position_value_max: room,
            exposure_max: room,
            daily_loss_max: room,
            drawdown_max: Bps::capped(9_999),
            losses_in_row_max: 0,
            ..Limits::default()
        },
        sol_price: price(100.0),
    }
}

/// Of dollars with six decimals and a base with nine.
fn price(dollars: f64) -> Price {
    Price::of((dollars * 1e6) as u64, 1_000_000_000).unwrap()
}

/// Hours of a seeded walk that trends and turns.
fn walk(bars: usize) -> Vec<Candle> {
    let mut seed = 11_u64;
    let mut noise = || {
        // SplitMix64 (Steele, Lea and Flood 2014).
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % 2_000_001) as f64 / 1e6 - 1.0
    };
    let (mut last, mut drift) = (100.0_f64, 0.0);
    let mut candles = Vec::with_capacity(bars);
    for nth in 0..bars {
        let open = last;
        drift = 0.98 * drift + 0.0005 * noise();
        last *= 1.0 + drift + 0.006 * noise();
        candles.push(Candle {
            pair: PairId(0),
            start: Timestamp::new(1_700_002_800_000_000 + nth as i64 * HOUR),
            width: Timestamp::new(HOUR),
            open: price(open),
            high: price(open.max(last) * 1.002),
            low: price(open.min(last) * 0.998),
            close: price(last),
            volume: Atoms::new(1_000),
            after_gap: nth == 0,
        });
    }
    candles
}

/// Two averages that cross: all in, all out, a fee on each, and the equity at every bar.
fn by_hand(candles: &[Candle]) -> f64 {
    let (mut cash, mut held, mut sum) = (10_000.0, 0.0, 0.0);
    let (mut fast, mut slow) = (100.0, 100.0);
    for candle in candles {
        let close = price_to_f64(candle.close);
        fast += (close - fast) * (2.0 / 51.0);
        slow += (close - slow) * (2.0 / 201.0);
        if fast > slow && cash > 0.0 {
            (held, cash) = (cash * 0.9975 / close, 0.0);
        } else if fast < slow && held > 0.0 {
            (cash, held) = (held * close * 0.9975, 0.0);
        }
        sum += cash + held * close;
    }
    sum
}
