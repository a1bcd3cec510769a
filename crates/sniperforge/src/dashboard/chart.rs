//! Where the equity curve goes in its picture.

use serde::Serialize;
use sniper_core::units::Usd;

use super::format;
use crate::telemetry::{CurvePoint, time_of_day_utc};

/// The picture is a square of this side; the browser stretches it.
const SIDE: i128 = 10_000;
/// Spaces between the horizontal lines.
const ROWS: i128 = 4;
/// Finest distance between two lines: one cent.
const STEP_MIN: i128 = 10_000;

/// The picture of a curve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Chart {
    /// The line, as SVG path data; empty where there is nothing to draw.
    pub(super) line: String,
    /// The height of the equity at the start of the run, as a line of its own.
    pub(super) start: String,
    /// Labels of the horizontal lines, from above.
    pub(super) values: Vec<String>,
    /// Labels of begin, middle and end.
    pub(super) times: Vec<String>,
    /// Least and greatest drawable value in micro-dollars, and first and last time: to read a place off the picture.
    pub(super) range: [i128; 4],
}

/// Draws the curve.
pub(super) fn draw(points: &[CurvePoint], start: Usd) -> Chart {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Chart::default();
    };
    let values =
        points.iter().map(|point| point.equity).chain([start]).map(|v| i128::from(v.get()));
    let (least, greatest) =
        values.fold((i128::MAX, i128::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let (bottom, step) = scale(least, greatest);
    let top = bottom + step * ROWS;
    let y = |value: Usd| SIDE - place(i128::from(value.get()), bottom, top);
    let (from, to) = (i128::from(first.t_ms), i128::from(last.t_ms));
    let mut line = String::with_capacity(points.len() * 10);
    for (index, point) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let x = place(i128::from(point.t_ms), from, to);
        line.push_str(&format!("{command}{x} {}", y(point.equity)));
    }
    if from == to {
        line = format!("M0 {height}L{SIDE} {height}", height = y(last.equity));
    }
    let middle = first.t_ms.midpoint(last.t_ms);
    let labels = (0..=ROWS).rev().map(|row| bottom + step * row);
    Chart {
        line,
        start: format!("M0 {}H{SIDE}", y(start)),
        values: labels.map(|value| format::usd_axis(value, step)).collect(),
        times: [first.t_ms, middle, last.t_ms].map(time_of_day_utc).to_vec(),
        range: [bottom, top, from, to],
    }
}

/// The lowest line and the distance of lines, so that all values lie between the lowest line and the highest and
/// about in the middle. The distance is one, two or five of a power of ten.
///
/// In 128 bits, where the lines around any 64-bit values still fit.
fn scale(least: i128, greatest: i128) -> (i128, i128) {
    let middle = least.midpoint(greatest);
    let mut power = STEP_MIN;
    loop {
        for factor in [1, 2, 5] {
            let step = power * factor;
            let bottom = (middle - step * ROWS / 2 + step / 2).div_euclid(step) * step;
            if bottom <= least && greatest <= bottom + step * ROWS {
                return (bottom, step);
            }
        }
        power *= 10;
    }
}

/// Where `value` lies between `from` and `to`, on a way of [`SIDE`].
fn place(value: i128, from: i128, to: i128) -> i128 {
    if to <= from { 0 } else { ((value - from) * SIDE / (to - from)).clamp(0, SIDE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(t_ms: i64, micro: i64) -> CurvePoint {
        CurvePoint { t_ms, equity: Usd::new(micro) }
    }

    #[test]
    fn a_curve_fills_its_picture_and_its_lines_are_round_numbers() {
        let points =
            [point(0, 10_000_000_000), point(30_000, 10_003_100_000), point(60_000, 9_999_000_000)];
        let chart = draw(&points, Usd::dollars(10_000));
        assert_eq!(chart.values, ["$10,006", "$10,004", "$10,002", "$10,000", "$9,998"]);
        assert_eq!(chart.times, ["00:00:00", "00:00:30", "00:01:00"]);
        assert_eq!(chart.line, "M0 7500L5000 3625L10000 8750");
        assert_eq!(chart.start, "M0 7500H10000");
    }

    #[test]
    fn a_single_value_is_a_flat_line_in_the_middle() {
        let chart = draw(&[point(5_000, 1_000_000)], Usd::dollars(1));
        assert_eq!(chart.line, "M0 5000L10000 5000");
        assert_eq!(chart.values, ["$1.02", "$1.01", "$1.00", "$0.99", "$0.98"]);
        assert_eq!(draw(&[], Usd::dollars(1)), Chart::default());
    }

    proptest! {
        #[test]
        fn every_value_lies_between_the_outer_lines(a in any::<i64>(), b in any::<i64>()) {
            let (least, greatest) = (i128::from(a.min(b)), i128::from(a.max(b)));
            let (bottom, step) = scale(least, greatest);
            prop_assert!(bottom <= least && greatest <= bottom + ROWS * step);
            prop_assert!(step <= (greatest - least).max(STEP_MIN), "too coarse");
        }

        #[test]
        fn no_curve_leaves_the_picture(
            values in prop::collection::vec((any::<i64>(), any::<i64>()), 1..20), start in any::<i64>(),
        ) {
            let points: Vec<_> = values.into_iter().map(|(t, v)| point(t, v)).collect();
            let chart = draw(&points, Usd::new(start));
            for pair in chart.line.split(['M', 'L']).skip(1) {
                let (x, y) = pair.split_once(' ').unwrap();
                prop_assert!((0..=SIDE).contains(&x.parse().unwrap()));
                prop_assert!((0..=SIDE).contains(&y.parse().unwrap()));
            }
        }
    }
}
