//! The view as Prometheus text, format 0.0.4.
//!
//! Labels are small closed sets: strategy, stage, endpoint, reason, outcome. Never a mint, an order or an address.

mod performance;

use std::fmt::{Display, Write};

use sniper_core::units::Usd;

use super::view::{RiskMode, RunMode, View};

/// What a scrape of `/metrics` answers.
#[must_use]
pub fn prometheus(view: &View) -> String {
    let mut text = Text(String::with_capacity(8 * 1_024));
    figures(view, &mut text);
    text.0
}

/// Every figure of the view, family by family.
pub(super) fn figures(view: &View, sink: &mut impl Sink) {
    process(view, sink);
    money(view, sink);
    orders(view, sink);
    health(view, sink);
    latency(view, sink);
    endpoints(view, sink);
    performance::put(view, sink);
}

/// Who takes figures.
pub(super) trait Sink {
    /// A family begins.
    fn head(&mut self, name: &str, kind: &str, help: &str);

    /// One figure of the family, or of its `_sum` or `_count`.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display);

    /// A family of one figure.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }
}

fn process(view: &View, text: &mut impl Sink) {
    text.head("sniper_build_info", "gauge", "The version that runs; always 1.");
    text.line("sniper_build_info", &[("version", view.version)], 1);
    text.head("sniper_mode_info", "gauge", "1 for where orders go now.");
    for mode in [RunMode::Paper, RunMode::Live, RunMode::Demo] {
        let is = u8::from(mode == view.mode);
        text.line("sniper_mode_info", &[("mode", mode.as_str())], is);
    }
    text.head("sniper_risk_mode_info", "gauge", "1 for what may be done now.");
    for risk in [RiskMode::Run, RiskMode::ReduceOnly, RiskMode::Halt, RiskMode::Kill] {
        let is = u8::from(risk == view.risk);
        text.line("sniper_risk_mode_info", &[("mode", risk.as_str())], is);
    }
    text.one("sniper_uptime_seconds", "gauge", "Since the start.", view.uptime_s);
    text.head("sniper_memory_resident_bytes", "gauge", "Memory resident now.");
    text.line("sniper_memory_resident_bytes", &[], view.rss_mb * 1e6);
    text.head("sniper_memory_resident_peak_bytes", "gauge", "Most memory ever resident.");
    text.line("sniper_memory_resident_peak_bytes", &[], view.rss_peak_mb * 1e6);
}

fn money(view: &View, text: &mut impl Sink) {
    let equity = &view.equity;
    text.one("sniper_equity_usd", "gauge", "Cash and positions.", Dollars(equity.now));
    text.one("sniper_equity_peak_usd", "gauge", "The most it ever was.", Dollars(equity.peak));
    text.one("sniper_exposure_usd", "gauge", "Equity in positions.", Dollars(equity.exposure));
    text.one("sniper_day_pnl_usd", "gauge", "Since the day began.", Dollars(equity.day_pnl));
    text.one("sniper_fees_usd", "gauge", "Paid to the chain in this run.", Dollars(equity.fees));
    let ratio = f64::from(equity.drawdown_bps) / 1e4;
    text.one("sniper_drawdown_ratio", "gauge", "Fall from the peak.", ratio);
}

fn orders(view: &View, text: &mut impl Sink) {
    let counts = &view.orders;
    text.one("sniper_orders_submitted_total", "counter", "Orders submitted.", counts.submitted);
    let help = "Positions sold without an independent price.";
    text.one("sniper_exits_unpriced_total", "counter", help, counts.unpriced);
    text.head("sniper_orders_closed_total", "counter", "Orders by how they ended.");
    for (outcome, count) in [
        // A counter never falls: what was taken back is told beside it.
        ("landed", counts.landed + counts.landed_taken_back),
        ("reverted", counts.reverted + counts.reverted_taken_back),
        ("expired", counts.expired),
        ("rejected", counts.rejected),
    ] {
        text.line("sniper_orders_closed_total", &[("outcome", outcome)], count);
    }
    text.head("sniper_orders_taken_back_total", "counter", "Landings in abandoned blocks.");
    for (outcome, count) in
        [("landed", counts.landed_taken_back), ("reverted", counts.reverted_taken_back)]
    {
        text.line("sniper_orders_taken_back_total", &[("outcome", outcome)], count);
    }
    let open = view.open_orders.len();
    text.one("sniper_orders_open", "gauge", "Orders without an end yet.", open);
    text.head("sniper_refusals_total", "counter", "Intents refused, by reason.");
    for (reason, count) in &view.refusals {
        text.line("sniper_refusals_total", &[("reason", reason)], count);
    }
    text.head("sniper_strategy_pnl_usd", "gauge", "Won or lost, realised and not.");
    for strategy in &view.strategies {
        let label = [("strategy", strategy.name.as_str())];
        text.line("sniper_strategy_pnl_usd", &label, Dollars(strategy.pnl));
    }
    text.head("sniper_strategy_orders_total", "counter", "Orders submitted.");
    for strategy in &view.strategies {
        let label = [("strategy", strategy.name.as_str())];
        text.line("sniper_strategy_orders_total", &label, strategy.orders);
    }
}

fn health(view: &View, text: &mut impl Sink) {
    let health = &view.health;
    text.one("sniper_healthy_info", "gauge", "1 while all is well.", u8::from(health.ok));
    text.one("sniper_slot_number", "gauge", "Newest slot seen.", health.slot);
    text.one("sniper_block_height_number", "gauge", "Newest height seen.", health.block_height);
    text.one("sniper_events_total", "counter", "Events the engine has seen.", health.events);
    let journaled = health.journal_events;
    text.one("sniper_journal_events_total", "counter", "Events written down.", journaled);
    text.one("sniper_journal_bytes", "gauge", "Size of the journal.", health.journal_bytes);
    let dropped = health.store_dropped;
    text.one("sniper_store_rows_dropped_total", "counter", "Rows left out.", dropped);
    text.head("sniper_feed_age_seconds", "gauge", "Since the feed's last message.");
    for (nth, feed) in view.health.feeds.iter().enumerate() {
        let age = std::time::Duration::from_millis(feed.age_ms).as_secs_f64();
        // Several connections may be to one endpoint, and a series may be given once.
        let labels = [("feed", feed.name.as_str()), ("connection", &nth.to_string())];
        text.line("sniper_feed_age_seconds", &labels, age);
    }
}

fn latency(view: &View, text: &mut impl Sink) {
    const NAME: &str = "sniper_stage_seconds";
    text.head(NAME, "summary", "How long each stage of a trade takes.");
    for (stage, summary) in &view.latency {
        for (quantile, us) in [("0.5", summary.p50), ("0.95", summary.p95), ("0.99", summary.p99)] {
            text.line(NAME, &[("stage", stage), ("quantile", quantile)], us / 1e6);
        }
        text.line("sniper_stage_seconds_sum", &[("stage", stage)], summary.total / 1e6);
        text.line("sniper_stage_seconds_count", &[("stage", stage)], summary.count);
    }
    text.head("sniper_stage_max_seconds", "gauge", "The slowest of each stage.");
    for (stage, summary) in &view.latency {
        text.line("sniper_stage_max_seconds", &[("stage", stage)], summary.max / 1e6);
    }
}

fn endpoints(view: &View, text: &mut impl Sink) {
    text.head("sniper_endpoint_healthy_info", "gauge", "1 while the node may be asked.");
    for node in &view.endpoints {
        let label = [("endpoint", node.name.as_str())];
        text.line("sniper_endpoint_healthy_info", &label, u8::from(node.healthy));
    }
    text.head("sniper_endpoint_lag_slots", "gauge", "Slots behind the best node.");
    for node in &view.endpoints {
        text.line("sniper_endpoint_lag_slots", &[("endpoint", &node.name)], node.slot_lag);
    }
    text.head("sniper_endpoint_error_ratio", "gauge", "Failed among recent requests.");
    for node in &view.endpoints {
        let ratio = f64::from(node.error_bps) / 1e4;
        text.line("sniper_endpoint_error_ratio", &[("endpoint", &node.name)], ratio);
    }
    text.head("sniper_endpoint_requests_total", "counter", "Requests so far.");
    for node in &view.endpoints {
        text.line("sniper_endpoint_requests_total", &[("endpoint", &node.name)], node.requests);
    }
}

/// Exposition text in the making. Writing to a `String` cannot fail.
struct Text(String);

impl Text {
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        self.0.write_fmt(what).expect("Invariant: writing to a String cannot fail");
    }
}

impl Sink for Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.put(format_args!("{open}{label}=\"{}\"", Escaped(text)));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }
}

/// Micro-dollars as an exact decimal number of dollars.
struct Dollars(Usd);

impl Display for Dollars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0.get() < 0 { "-" } else { "" };
        let micro = self.0.get().unsigned_abs();
        write!(f, "{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
    }
}

/// A label's text, escaped as the format demands.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{
        Change, EndpointView, EquityView, Expected, FeedView, HealthView, MetricsCollector,
        PerformanceView, RegressionView, Stage, StageTimers, StrategyLatency, StrategyView,
    };
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    fn view() -> View {
        let mut timers = StageTimers::new();
        for ms in 1..=100 {
            timers.record(Stage::Confirm, Duration::from_millis(ms));
        }
        View {
            version: "0.1.0",
            equity: EquityView { now: Usd::new(-1_250_001), ..EquityView::default() },
            refusals: BTreeMap::from([("stale \"x\"\n\\".to_owned(), 3)]),
            strategies: vec![StrategyView { name: "trend".into(), ..StrategyView::default() }],
            endpoints: vec![EndpointView { name: "a".into(), ..EndpointView::default() }],
            performance: performance(&mut timers),
            latency: timers.snapshot(),
            health: HealthView {
                feeds: vec![FeedView { name: "a".into(), ..FeedView::default() }; 2],
                ..HealthView::default()
            },
            ..View::default()
        }
    }

    fn performance(timers: &mut StageTimers) -> PerformanceView {
        let named = |name: &str| {
            let metrics = MetricsCollector::default();
            metrics.record_api_latency(name, Duration::from_millis(7));
            metrics.apis()
        };
        let change = Change { ratio: 1.3, low: 1.2, high: 1.4 };
        let expected = Expected { budget_us: Some(9.0), p50_us: Some(3.0), p95_us: None };
        PerformanceView {
            strategies: vec![StrategyLatency { name: "trend".into(), stages: timers.snapshot() }],
            apis: named("prices"),
            queries: named("tables.transaction"),
            spans: named("discover"),
            baselines: BTreeMap::from([("confirm", expected)]),
            regressions: vec![RegressionView {
                stage: "confirm",
                change,
                is_budget: false,
                since_ms: 5,
            }],
            ..PerformanceView::default()
        }
    }

    /// What a dashboard asks for: names in its queries, read without knowing the query language.
    fn asked(dashboard: &serde_json::Value) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut todo = vec![dashboard];
        while let Some(value) = todo.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    if let Some(expr) = fields.get("expr").and_then(serde_json::Value::as_str) {
                        let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                        names.extend(words.filter(|w| w.starts_with("sniper_")).map(str::to_owned));
                    }
                    todo.extend(fields.values());
                }
                serde_json::Value::Array(items) => todo.extend(items),
                _ => {}
            }
        }
        names
    }

    #[test]
    fn the_grafana_dashboard_asks_for_metrics_that_exist_and_shows_every_stage() {
        let text = include_str!("../../../../docs/grafana/sniperforge.json");
        let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
        let metrics = prometheus(&view());
        let given: BTreeSet<_> = metrics
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
            .collect();
        let declared: BTreeSet<_> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|rest| rest.split(' ').next().unwrap().to_owned())
            .collect();
        let asked = asked(&dashboard);
        let absent: Vec<_> =
            asked.iter().filter(|n| !given.contains(*n) && !declared.contains(*n)).collect();
        assert!(absent.is_empty(), "{absent:?} do not exist");
        for name in [
            "sniper_stage_seconds",
            "sniper_stage_regressed_info",
            "sniper_cpu_ratio",
            "sniper_equity_usd",
        ] {
            assert!(asked.contains(name), "{name} is not shown");
        }
        // A planted name that does not exist is found.
        let planted: serde_json::Value =
            serde_json::json!({"targets": [{"expr": "rate(sniper_no_such_total[1m])"}]});
        assert!(self::asked(&planted).iter().any(|n| !given.contains(n) && !declared.contains(n)));
        assert!(
            dashboard["uid"].is_string() && dashboard["panels"].as_array().unwrap().len() >= 10
        );
    }

    #[test]
    fn a_family_is_declared_before_there_is_a_figure_of_it() {
        let heads = |view: &View| {
            let text = prometheus(view);
            let heads = text.lines().filter(|line| line.starts_with('#'));
            heads.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(heads(&View::default()), heads(&view()));
    }

    #[test]
    fn money_is_exact_and_labels_are_escaped() {
        let text = prometheus(&view());
        assert!(text.contains("\nsniper_equity_usd -1.250001\n"), "{text}");
        assert!(text.contains("\nsniper_refusals_total{reason=\"stale \\\"x\\\"\\n\\\\\"} 3\n"));
        assert!(text.contains("\nsniper_stage_seconds_count{stage=\"confirm\"} 100\n"));
        assert!(text.contains("\nsniper_stage_seconds_sum{stage=\"confirm\"} 5.05\n"));
    }

    /// The rules of the text format, read independently of how it was written.
    #[test]
    fn every_sample_is_declared_before_it_and_every_name_follows_the_house_rule() {
        let text = prometheus(&view());
        let (mut declared, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(declared.insert(name, kind).is_none(), "{name} is declared twice");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
            assert!(seen.insert(series), "{series} is given twice");
            let name = series.split('{').next().unwrap();
            let base = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count"));
            let kind = declared.get(base.unwrap_or(name)).or_else(|| declared.get(name));
            let kind = *kind.unwrap_or_else(|| panic!("{name} is not declared"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(name.starts_with("sniper_"), "{name}");
        }
        assert!(seen.len() > 30);
    }
}
