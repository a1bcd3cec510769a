//! The data behind the charts, thinned to what a screen can show.

use serde::Serialize;
use sniper_core::event::EquityPoint;
use sniper_core::units::Price;

use super::super::metrics::dollars;
use super::super::summary::Study;
use super::super::tape::{Fill, USD_DECIMALS};

/// Points of a line: twice what a wide screen has pixels for in a chart.
const POINTS_MAX: usize = 1_600;
/// Markers on the price chart.
const MARKERS_MAX: usize = 3_000;

/// What the page's script draws. Times are epoch milliseconds; `null` breaks a line.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    time: Vec<i64>,
    equity: Vec<Line>,
    drawdown: Vec<Line>,
    price: Vec<Option<f64>>,
    buys: Markers,
    sells: Markers,
    /// Whether the lines differ so much in size that a linear axis would flatten most of them.
    wide: bool,
    /// Fills that are not drawn, for there are too many.
    pub(super) hidden_fills: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    /// `portfolio`, `hold` or `strategy`: what it looks like.
    role: &'static str,
    values: Vec<Option<f64>>,
}

#[derive(Debug, Default, Serialize)]
struct Markers {
    time: Vec<i64>,
    price: Vec<f64>,
    text: Vec<String>,
}

/// Index ranges of the bars behind each drawn point; an empty one breaks the lines at a hole.
struct Grid {
    spans: Vec<std::ops::Range<usize>>,
    time: Vec<i64>,
}

impl Grid {
    fn new(times: &[i64]) -> Self {
        let step = times.len().div_ceil(POINTS_MAX).max(1);
        let usual = match (times.first(), times.get(step)) {
            (Some(first), Some(second)) => second - first,
            _ => 0,
        };
        let mut grid = Self { spans: Vec::new(), time: Vec::new() };
        let mut before: Option<i64> = None;
        for start in (0..times.len()).step_by(step) {
            let end = (start + step).min(times.len());
            let Some(time) = times.get(end - 1) else { break };
            if let Some(before) = before
                && time - before > 3 * usual
            {
                grid.spans.push(start..start);
                grid.time.push(before + 1);
            }
            grid.spans.push(start..end);
            grid.time.push(*time);
            before = Some(*time);
        }
        grid
    }

    fn sample(&self, value: impl Fn(std::ops::Range<usize>) -> Option<f64>) -> Vec<Option<f64>> {
        self.spans
            .iter()
            .map(|span| if span.is_empty() { None } else { value(span.clone()) })
            .collect()
    }

    /// The last value of each span.
    fn last(&self, values: &[f64], places: i32) -> Vec<Option<f64>> {
        self.sample(|span| values.get(span.end - 1).map(|v| rounded(*v, places)))
    }

    /// The least value of each span: thinning must not hide a fall.
    fn least(&self, values: &[f64]) -> Vec<Option<f64>> {
        self.sample(|span| {
            let least = values.get(span)?.iter().copied().fold(f64::INFINITY, f64::min);
            least.is_finite().then(|| rounded(least, 5))
        })
    }
}

fn rounded(value: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (value * factor).round() / factor
}

fn fall(equity: &[f64], opening: f64) -> Vec<f64> {
    let mut peak = opening;
    equity
        .iter()
        .map(|value| {
            peak = peak.max(*value);
            if peak > 0.0 { value / peak - 1.0 } else { 0.0 }
        })
        .collect()
}

fn equity_of(points: &[EquityPoint]) -> Vec<f64> {
    points.iter().map(|point| dollars(point.equity)).collect()
}

/// Dollars for a whole base token.
fn usd(price: Price, base_decimals: u8) -> f64 {
    let ratio = price.raw() as f64 / 2_f64.powi(64);
    ratio * 10_f64.powi(i32::from(base_decimals) - i32::from(USD_DECIMALS))
}

impl Figures {
    pub(super) fn new(study: &Study<'_>) -> Self {
        let decimals = study.world.base_decimals;
        let opening = dollars(study.world.cash);
        let closes: Vec<f64> = study.bars.candles.iter().map(|c| usd(c.close, decimals)).collect();
        let times: Vec<i64> =
            study.bars.candles.iter().map(|c| c.start.saturating_add(c.width).millis()).collect();
        let grid = Grid::new(&times);
        let first = study.bars.candles.first().map_or(1.0, |c| usd(c.open, decimals));
        let hold: Vec<f64> = closes.iter().map(|close| opening * close / first).collect();
        let portfolio = equity_of(&study.portfolio.points);

        let line = |name: &str, role, values| Line { name: title(name), role, values };
        let mut equity = vec![line("buy and hold", "hold", grid.last(&hold, 2))];
        for (name, run) in study.runs.iter().filter(|_| study.runs.len() > 1) {
            equity.push(line(name, "strategy", grid.last(&equity_of(&run.points), 2)));
        }
        equity.push(line("portfolio", "portfolio", grid.last(&portfolio, 2)));
        let drawdown = vec![
            line("buy and hold", "hold", grid.least(&fall(&hold, opening))),
            line("portfolio", "portfolio", grid.least(&fall(&portfolio, opening))),
        ];
        let extremes = |values: &[f64]| {
            let least = values.iter().copied().fold(opening, f64::min);
            let most = values.iter().copied().fold(opening, f64::max);
            most / least.max(1e-9)
        };
        let names: Vec<&str> = study.runs.iter().map(|(name, _)| *name).collect();
        let fills = &study.portfolio.fills;
        let step = fills.len().div_ceil(MARKERS_MAX).max(1);
        let drawn = || fills.iter().step_by(step);
        Self {
            equity,
            drawdown,
            price: grid.sample(|span| closes.get(span.end - 1).copied()),
            buys: Markers::new(drawn().filter(|fill| fill.is_buy), decimals, &names),
            sells: Markers::new(drawn().filter(|fill| !fill.is_buy), decimals, &names),
            wide: extremes(&hold).max(extremes(&portfolio)) > 4.0,
            hidden_fills: fills.len() - drawn().count(),
            time: grid.time,
        }
    }

    /// As JSON that may stand inside a script element: nothing in it can end that element.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default().replace('<', "\\u003c")
    }
}

/// `mean_reversion` as `Mean reversion`.
pub(super) fn title(name: &str) -> String {
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

impl Markers {
    fn new<'a>(fills: impl Iterator<Item = &'a Fill>, decimals: u8, names: &[&str]) -> Self {
        let mut markers = Self::default();
        for fill in fills {
            let Some(price) = Price::of(fill.quote.get(), fill.base.get()) else { continue };
            let name = names.get(fill.strategy.index()).copied().unwrap_or("?");
            let value = fill.quote.get() as f64 / 10_f64.powi(i32::from(USD_DECIMALS));
            markers.time.push(fill.at.millis());
            markers.price.push(usd(price, decimals));
            markers.text.push(format!("{}, ${value:.2}", title(name)));
        }
        markers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_ends_and_every_fall_and_breaks_at_holes() {
        let mut times: Vec<i64> = (0..10_000).map(|n| n * 60_000).collect();
        for time in times.iter_mut().skip(5_000) {
            *time += 1_000_000_000;
        }
        let grid = Grid::new(&times);
        assert!(grid.time.len() <= POINTS_MAX + 1);
        assert_eq!(grid.time.last(), times.last());
        let mut values = vec![1.0; 10_000];
        values[6_123] = -0.5;
        let least = grid.least(&values);
        assert!(least.contains(&Some(-0.5)), "the one bad bar is drawn");
        assert_eq!(
            least.iter().filter(|v| v.is_none()).count(),
            1,
            "the hole breaks the line once"
        );
        assert!(grid.time.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_name_is_written_for_people() {
        assert_eq!(title("mean_reversion"), "Mean reversion");
        assert_eq!(title(""), "");
    }
}
