//! The equity curve in fixed memory.

use serde::Serialize;
use sniper_core::units::Usd;

/// Most points a curve shows.
pub const CURVE_POINTS_MAX: usize = 512;

/// The three newest points are still in the making: least, greatest and last of the open span.
const CLOSED_MAX: usize = CURVE_POINTS_MAX - 3;

/// A span narrower than this would not be seen.
const SPAN_MS_MIN: i64 = 1_000;

/// What all was worth at a moment. Written as `[t_ms, usd]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurvePoint {
    /// Milliseconds since the Unix epoch.
    pub t_ms: i64,
    /// Cash and positions.
    pub equity: Usd,
}

impl Serialize for CurvePoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.t_ms, super::view::dollars_f64(self.equity)).serialize(serializer)
    }
}

/// Equity over the whole run in at most [`CURVE_POINTS_MAX`] points.
///
/// Time is cut into spans of equal width, and of each span the least and the greatest value are kept. When there is
/// no more room, two spans become one. So the picture gets coarser with time, but the first and the newest value, the
/// highest peak and the deepest trough of the run are always in it.
///
/// ```
/// use sniperforge::telemetry::EquityCurve;
/// use sniper_core::units::Usd;
/// let mut curve = EquityCurve::new();
/// curve.push(1_000, Usd::dollars(100));
/// curve.push(1_001, Usd::dollars(101));
/// assert_eq!(curve.points().last().map(|p| p.equity), Some(Usd::dollars(101)));
/// ```
#[derive(Clone, Debug)]
pub struct EquityCurve {
    /// The first value alone, then two points for each span that is over.
    closed: Vec<CurvePoint>,
    open: Option<Span>,
    span_ms: i64,
}

/// A part of time, in the making.
#[derive(Clone, Copy, Debug)]
struct Span {
    index: i64,
    least: CurvePoint,
    greatest: CurvePoint,
    last: CurvePoint,
}

impl Span {
    /// Least and greatest in the order of time.
    const fn extremes(&self) -> [CurvePoint; 2] {
        if self.least.t_ms <= self.greatest.t_ms {
            [self.least, self.greatest]
        } else {
            [self.greatest, self.least]
        }
    }
}

impl Default for EquityCurve {
    fn default() -> Self {
        Self { closed: Vec::with_capacity(CLOSED_MAX), open: None, span_ms: SPAN_MS_MIN }
    }
}

impl EquityCurve {
    /// An empty curve. Its memory is taken now and does not grow.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a point. One that is older than the last is left out.
    pub fn push(&mut self, t_ms: i64, equity: Usd) {
        let point = CurvePoint { t_ms, equity };
        let index = t_ms.div_euclid(self.span_ms);
        let fresh = Span { index, least: point, greatest: point, last: point };
        let Some(mut open) = self.open else {
            self.closed.push(point);
            self.open = Some(fresh);
            return;
        };
        if t_ms < open.last.t_ms {
            return;
        }
        if open.index == index {
            if equity < open.least.equity {
                open.least = point;
            }
            if equity > open.greatest.equity {
                open.greatest = point;
            }
            open.last = point;
            self.open = Some(open);
            return;
        }
        self.closed.extend(open.extremes());
        // The span opens under the old width; when two spans become one its index is of the new width.
        self.open = Some(fresh);
        if self.closed.len() + 2 > CLOSED_MAX {
            self.thin();
        }
    }

    /// The points, oldest first.
    #[must_use]
    pub fn points(&self) -> Vec<CurvePoint> {
        let mut points = Vec::with_capacity(self.closed.len() + 3);
        points.extend_from_slice(&self.closed);
        if let Some(open) = self.open {
            points.extend(open.extremes());
            points.push(open.last);
        }
        points.dedup();
        points
    }

    /// Makes one span of every two, in place.
    fn thin(&mut self) {
        self.span_ms = self.span_ms.saturating_mul(2);
        let mut kept = Vec::with_capacity(CLOSED_MAX);
        kept.extend(self.closed.first());
        for four in self.closed.get(1..).unwrap_or_default().chunks(4) {
            let least = four.iter().min_by_key(|point| point.equity);
            let greatest = four.iter().max_by_key(|point| point.equity);
            if let (Some(least), Some(greatest)) = (least, greatest) {
                let span = Span { index: 0, least: *least, greatest: *greatest, last: *least };
                kept.extend(span.extremes());
            }
        }
        self.closed = kept;
        if let Some(open) = &mut self.open {
            open.index = open.last.t_ms.div_euclid(self.span_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_run_keeps_its_bound_its_ends_and_its_extremes() {
        let mut curve = EquityCurve::new();
        let value = |i: i64| match i {
            77_777 => 9_000_000,
            123_456 => -9_000_000,
            _ => i % 1_000,
        };
        for i in 0..300_000 {
            curve.push(i * 250, Usd::new(value(i)));
        }
        let points = curve.points();
        assert!(points.len() <= CURVE_POINTS_MAX, "{}", points.len());
        assert!(points.len() > CURVE_POINTS_MAX / 3, "{} points are a poor picture", points.len());
        let has =
            |i: i64| points.contains(&CurvePoint { t_ms: i * 250, equity: Usd::new(value(i)) });
        assert!(has(0) && has(77_777) && has(123_456) && has(299_999));
    }

    #[test]
    fn a_point_from_the_past_is_left_out() {
        let mut curve = EquityCurve::new();
        curve.push(2_000, Usd::new(1));
        curve.push(1_500, Usd::new(9));
        assert_eq!(curve.points(), [CurvePoint { t_ms: 2_000, equity: Usd::new(1) }]);
    }

    proptest! {
        #[test]
        fn ends_and_extremes_are_always_in_the_picture(
            steps in prop::collection::vec((0_i64..5_000, -1_000_i64..1_000), 1..4_000),
        ) {
            let (mut curve, mut t_ms, mut all) = (EquityCurve::new(), 1_000_000, Vec::new());
            for (wait, value) in steps {
                t_ms += wait;
                curve.push(t_ms, Usd::new(value));
                all.push(CurvePoint { t_ms, equity: Usd::new(value) });
            }
            let points = curve.points();
            prop_assert!(points.len() <= CURVE_POINTS_MAX);
            prop_assert!(points.windows(2).all(|pair| pair[0].t_ms <= pair[1].t_ms));
            prop_assert!(points.iter().all(|point| all.contains(point)));
            prop_assert_eq!(points.first(), all.first());
            prop_assert_eq!(points.last(), all.last());
            let of = |all: &[CurvePoint]| {
                let values = all.iter().map(|point| point.equity);
                (values.clone().min(), values.max())
            };
            prop_assert_eq!(of(&points), of(&all));
        }
    }
}
