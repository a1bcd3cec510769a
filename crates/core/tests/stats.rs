//! Indicators against TA-Lib, against `kand`'s batch forms and against plain recomputation.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::as_conversions,
    reason = "a test may panic and computes in floats"
)]

use std::path::PathBuf;

use kand::ohlcv::{atr::atr, ema::ema, rsi::rsi, sma::sma};
use kand::stats::stddev::stddev;
use proptest::prelude::*;
use sniper_core::stats::{
    Atr, ChandelierStop, Donchian, EfficiencyRatio, Ema, EwmaVolatility, HalfLife, Momentum,
    RollingMeanStd, Rsi, Sma, price_to_f64, scale_atoms, scale_usd, share_of,
};
use sniper_core::units::{Atoms, Price, Usd};

struct Bars {
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
}

/// A random walk in hundredths, made with integers so that any language can repeat it.
fn walk(count: usize) -> Bars {
    let (mut state, mut price) = (42_u64, 10_000_i64);
    let mut next = || {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        i64::try_from(state >> 16).unwrap()
    };
    let mut bars = Bars { high: vec![], low: vec![], close: vec![] };
    for _ in 0..count {
        let open = price;
        price = (price + next() % 401 - 200).max(1_000);
        bars.high.push((open.max(price) + next() % 100) as f64 / 100.0);
        bars.low.push((open.min(price) - next() % 100) as f64 / 100.0);
        bars.close.push(price as f64 / 100.0);
    }
    bars
}

/// Recorded hourly bars of SOL in dollars; none, and a line that says so, where the data is absent.
fn recorded() -> Option<Bars> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/market/ohlcv/binance_spot/SOLUSDT_1h.csv.zst");
    let Ok(file) = std::fs::File::open(path) else {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: SOLUSDT_1h.csv.zst absent\n"),
        )
        .ok();
        return None;
    };
    let mut reader = csv::Reader::from_reader(zstd::Decoder::new(file).unwrap());
    let mut bars = Bars { high: vec![], low: vec![], close: vec![] };
    for record in reader.records() {
        let record = record.unwrap();
        bars.high.push(record[2].parse().unwrap());
        bars.low.push(record[3].parse().unwrap());
        bars.close.push(record[4].parse().unwrap());
    }
    Some(bars)
}

/// Value of every indicator after each bar, `NaN` while it has none.
fn stream(bars: &Bars) -> [Vec<f64>; 7] {
    let (mut ema, mut sma, mut std) = (Ema::new(20), Sma::new(30), RollingMeanStd::new(20));
    let (mut atr, mut rsi, mut channel) = (Atr::new(14), Rsi::new(14), Donchian::new(20));
    let mut out: [Vec<f64>; 7] = Default::default();
    for ((high, low), close) in bars.high.iter().zip(&bars.low).zip(&bars.close) {
        ema.update(*close);
        sma.update(*close);
        std.update(*close);
        rsi.update(*close);
        atr.update(*high, *low, *close);
        channel.update(*high, *low);
        let (top, bottom) = channel.value().unzip();
        let values = [ema.value(), sma.value(), atr.value(), rsi.value(), std.value(), top, bottom];
        for (column, value) in out.iter_mut().zip(values) {
            column.push(value.unwrap_or(f64::NAN));
        }
    }
    out
}

const NAMES: [&str; 7] = ["EMA20", "SMA30", "ATR14", "RSI14", "STDDEV20", "MAX20", "MIN20"];

fn assert_close(got: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(1e-9);
    assert!((got - expected).abs() <= tolerance * scale, "{what}: {got} != {expected}");
}

fn assert_golden(bars: &Bars, at: [usize; 3], golden: [[f64; 3]; 7], tolerance: f64) {
    for ((column, expected), name) in stream(bars).iter().zip(golden).zip(NAMES) {
        for (index, expected) in at.into_iter().zip(expected) {
            assert_close(column[index], expected, tolerance, &format!("{name} at {index}"));
        }
    }
}

/// Golden numbers: EMA(20), SMA(30), ATR(14), RSI(14), STDDEV(20, 1) of the close, MAX(20) of the high and
/// MIN(20) of the low by TA-Lib 0.8.1 (through its Python wrapper 0.8.2) over the same bars.
#[test]
fn indicators_equal_ta_lib_on_a_synthetic_walk() {
    let bars = walk(600);
    assert_eq!((bars.close[0], bars.close[599]), (100.34, 81.62), "not the same walk");
    let golden = [
        [96.08482634897307, 98.96972233561532, 78.59888962509223],
        [94.41366666666663, 98.02733333333329, 78.00533333333331],
        [2.007885346327268, 1.9537110534379132, 2.0752922769406044],
        [59.98511420298765, 52.301722596539136, 61.307238252428895],
        [1.692656492026664, 1.6028115141837487, 1.853340227805011],
        [99.53, 102.43, 81.85],
        [91.04, 96.31, 73.81],
    ];
    assert_golden(&bars, [40, 123, 599], golden, 1e-12);
    let first = [19, 29, 14, 14, 19, 19, 19];
    for ((column, first), name) in stream(&bars).iter().zip(first).zip(NAMES) {
        let warm = column.iter().position(|value| !value.is_nan());
        assert_eq!(warm, Some(first), "{name} warms up as TA-Lib's");
    }
}

/// Golden numbers as above, over the recorded bars. TA-Lib's own running sums drift a little over 33 000 bars.
#[test]
fn indicators_equal_ta_lib_on_recorded_bars() {
    let Some(bars) = recorded() else { return };
    let golden = [
        [3.4704272564548884, 162.77839916974528, 168.2886416743623],
        [3.4823333333333344, 160.53966666666676, 166.38500000000016],
        [0.13345852571173267, 3.4460062385367056, 2.237109677747553],
        [49.94570808325332, 79.29109020009832, 69.20532561495868],
        [0.1094015350669258, 5.191459789885712, 1.4670289704022517],
        [3.74, 175.0, 174.86],
        [3.163, 156.06, 165.78],
    ];
    assert_golden(&bars, [100, 10_000, 33_000], golden, 1e-9);
}

#[test]
fn indicators_equal_the_batch_forms_bar_by_bar() {
    let Some(bars) = recorded() else { return };
    let Bars { high, low, close } = &bars;
    let room = || vec![0.0; close.len()];
    let mut batch = [room(), room(), room(), room(), room()];
    let (mut unused, mut unused_too) = (room(), room());
    ema(close, 20, None, &mut batch[0]).unwrap();
    sma(close, 30, &mut batch[1]).unwrap();
    atr(high, low, close, 14, &mut batch[2]).unwrap();
    rsi(close, 14, &mut batch[3], &mut unused, &mut unused_too).unwrap();
    stddev(close, 20, &mut batch[4], &mut unused, &mut unused_too).unwrap();
    for ((got, expected), name) in stream(&bars).iter().zip(&batch).zip(NAMES) {
        // The batch deviation subtracts large squares of undrifted sums: nothing below 1e-5 of a dollar is left.
        let tolerance = if name == "STDDEV20" { 1e-4 } else { 1e-9 };
        for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
            assert_eq!(got.is_nan(), expected.is_nan(), "{name} at {index}");
            if !got.is_nan() {
                assert_close(*got, *expected, tolerance, &format!("{name} at {index}"));
            }
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let middle = mean(values);
    mean(&values.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt()
}

fn returns(prices: &[f64]) -> Vec<f64> {
    prices.windows(2).map(|pair| (pair[1] - pair[0]) / pair[0]).collect()
}

/// Minus the slope of the least-squares line of each step on the price before it.
fn pull(prices: &[f64]) -> f64 {
    let levels = &prices[..prices.len() - 1];
    let steps: Vec<f64> = prices.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (x, y) = (mean(levels), mean(&steps));
    let (mut up, mut down) = (0.0, 0.0);
    for (level, step) in levels.iter().zip(&steps) {
        up += (level - x) * (step - y);
        down += (level - x).powi(2);
    }
    -up / down
}

proptest! {
    /// Prices of any size, far from zero in relation to their steps: where naive sums of squares lose digits.
    #[test]
    fn streaming_equals_recomputation_of_the_window(
        base in 1.0_f64..1e6, steps in prop::collection::vec(-100_i32..=100, 90..160), n in 4_u16..20,
    ) {
        let mut price = base + 20.0;
        let prices: Vec<f64> = steps
            .iter()
            .map(|step| {
                price = (price + f64::from(*step) * base * 1e-5).max(base * 0.5);
                price
            })
            .collect();
        let width = usize::from(n);
        let (mut sma, mut std, mut channel) =
            (Sma::new(n), RollingMeanStd::new(n), Donchian::new(n));
        let (mut score, mut straight, mut half) =
            (Momentum::new(n), EfficiencyRatio::new(n), HalfLife::new(n));
        for (index, price) in prices.iter().enumerate() {
            sma.update(*price);
            std.update(*price);
            channel.update(*price * 1.01, *price);
            score.update(*price);
            straight.update(*price);
            half.update(*price);
            if index + 1 < width {
                prop_assert_eq!((sma.value(), std.value(), channel.value()), (None, None, None));
                continue;
            }
            let window = &prices[index + 1 - width..=index];
            assert_close(sma.value().unwrap(), mean(window), 1e-12, "mean");
            assert_close(std.mean().unwrap(), mean(window), 1e-12, "mean");
            let exact = deviation(window);
            prop_assert!((std.value().unwrap() - exact).abs() <= 1e-6 * exact + 1e-12 * base);
            let (top, bottom) = channel.value().unwrap();
            let max = window.iter().fold(f64::MIN, |a, b| a.max(*b * 1.01));
            prop_assert_eq!(top, max);
            prop_assert_eq!(bottom, window.iter().copied().fold(f64::MAX, f64::min));
            if index < width {
                prop_assert_eq!((score.value(), straight.value(), half.pull()), (None, None, None));
                continue;
            }
            let window = &prices[index - width..=index];
            let change = (price - window[0]) / window[0];
            assert_close(score.change().unwrap(), change, 1e-12, "change");
            let wide = deviation(&returns(window)) * f64::from(n).sqrt();
            if wide > 1e-6 {
                assert_close(score.value().unwrap(), change / wide, 1e-5, "score");
            }
            let walked: f64 = window.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
            if walked > base * 1e-6 {
                let exact = (price - window[0]).abs() / walked;
                prop_assert!((straight.value().unwrap() - exact).abs() < 1e-6);
            }
            if deviation(&window[..width]) > base * 1e-5 {
                prop_assert!((half.pull().unwrap() - pull(window)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn after_a_reset_nothing_of_before_is_left(
        before in prop::collection::vec(1_u32..10_000, 0..60),
        after in prop::collection::vec(1_u32..10_000, 0..60),
    ) {
        let all = |prices: &[u32], reset: &[u32]| {
            let (mut ema, mut sma, mut atr, mut rsi) =
                (Ema::new(5), Sma::new(5), Atr::new(5), Rsi::new(5));
            let (mut std, mut channel, mut vol, mut score) = (
                RollingMeanStd::new(5), Donchian::new(5), EwmaVolatility::new(5), Momentum::new(5),
            );
            let (mut straight, mut half) = (EfficiencyRatio::new(5), HalfLife::new(5));
            for (place, price) in reset.iter().chain(prices).enumerate() {
                if place == reset.len() {
                    ema.reset(); sma.reset(); atr.reset(); rsi.reset(); std.reset();
                    channel.reset(); vol.reset(); score.reset(); straight.reset(); half.reset();
                }
                let price = f64::from(*price);
                ema.update(price); sma.update(price); atr.update(price + 1.0, price, price);
                rsi.update(price); std.update(price); channel.update(price, price);
                score.update(price).into_iter().for_each(|change| vol.update(change));
                straight.update(price); half.update(price);
            }
            let (top, bottom) = channel.value().unzip();
            [
                ema.value(), sma.value(), atr.value(), rsi.value(), std.value(), std.z_score(),
                top, bottom, vol.value(), score.value(), straight.value(), half.value(),
            ]
        };
        if !after.is_empty() {
            prop_assert_eq!(all(&after, &before), all(&after, &[]));
        }
    }

    #[test]
    fn a_share_rounds_down_and_is_exact(value: u64, share in 0.0_f64..1.0) {
        let got = u128::from(scale_atoms(Atoms::new(value), share).get());
        // got <= value * share < got + 1, in integers: share is mantissa / 2^k.
        let (mut mantissa, mut k) = (share, 0_u32);
        while mantissa.fract() != 0.0 && k < 60 {
            mantissa *= 2.0;
            k += 1;
        }
        prop_assume!(mantissa.fract() == 0.0);
        let exact = u128::from(value) * (mantissa as u128);
        prop_assert_eq!(got, exact >> k);
    }

    #[test]
    fn a_price_as_a_float_is_within_two_units_in_the_last_place(raw: u128) {
        let got = price_to_f64(Price::from_raw(raw));
        let exact = raw as f64 / 18_446_744_073_709_551_616.0;
        prop_assert!((got - exact).abs() <= exact * 4.5e-16);
    }

    #[test]
    fn no_input_makes_a_share_of_money_leave_its_bounds(bits: [u64; 3], value: i64) {
        let [a, b, c] = bits.map(f64::from_bits);
        let share = share_of(a, b, c);
        prop_assert!((0.0..=1.0).contains(&share));
        let scaled = scale_usd(Usd::new(value), a);
        prop_assert!(scaled >= Usd::ZERO && scaled <= Usd::new(value.max(0)));
    }
}

#[test]
fn a_flat_price_has_no_score_of_any_kind() {
    let (mut std, mut score, mut rsi) = (RollingMeanStd::new(10), Momentum::new(10), Rsi::new(10));
    let (mut straight, mut half) = (EfficiencyRatio::new(10), HalfLife::new(10));
    for _ in 0..50 {
        std.update(0.1);
        score.update(0.1);
        rsi.update(0.1);
        straight.update(0.1);
        half.update(0.1);
    }
    assert_eq!(std.z_score(), None);
    assert_eq!(score.value(), None);
    assert_eq!(rsi.value(), None);
    assert_eq!(straight.value(), None);
    assert_eq!(half.value(), None);
}

#[test]
fn a_price_pulled_back_by_a_tenth_per_bar_has_a_half_life_of_seven_bars() {
    let mut half = HalfLife::new(60);
    let (mut price, mut state) = (120.0, 7_u64);
    for _ in 0..61 {
        half.update(price);
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        let noise = (state >> 16) as f64 / 32_768.0 - 0.5;
        price += (100.0 - price) * 0.1 + noise * 0.2;
    }
    let bars = half.value().unwrap();
    assert!((6.0..8.0).contains(&bars), "{bars}");
    half.reset();
    for step in 0..61 {
        half.update(100.0 * 1.05_f64.powi(step));
    }
    assert_eq!(half.value(), None, "a price that runs away returns to nothing");
}

#[test]
fn volatility_follows_the_size_of_returns() {
    let mut volatility = EwmaVolatility::new(10);
    for step in 0..200 {
        volatility.update(if step % 2 == 0 { 0.01 } else { 1.0 / 1.01 - 1.0 });
    }
    assert_close(volatility.value().unwrap(), 0.01, 0.02, "one percent a bar");
    for step in 0..200 {
        volatility.update(if step % 2 == 0 { 0.03 } else { 1.0 / 1.03 - 1.0 });
    }
    assert_close(volatility.value().unwrap(), 0.03, 0.03, "three percent a bar");
}

#[test]
fn a_chandelier_stop_never_falls() {
    let mut stop = ChandelierStop::default();
    let mut last = f64::MIN;
    for (high, range) in [(100.0, 2.0), (110.0, 2.0), (90.0, 9.0), (111.0, 20.0), (130.0, 1.0)] {
        stop.update(high, 3.0, range);
        let level = stop.value().unwrap();
        assert!(level >= last, "{level} < {last}");
        last = level;
    }
    assert_eq!(last, 127.0);
    stop.update(f64::INFINITY, 3.0, 1.0);
    assert_eq!(stop.value(), Some(127.0), "a broken bar moves nothing");
}

#[test]
fn money_at_risk_shrinks_as_the_stop_moves_away() {
    assert_eq!(share_of(0.01, 100.0, 5.0), 0.2);
    assert_eq!(share_of(0.01, 100.0, 10.0), 0.1);
    assert_eq!(share_of(0.01, 100.0, 0.5), 1.0, "never more than all");
    assert_eq!(share_of(0.01, 100.0, 0.0), 0.0, "without a stop nothing");
}
