//! The view as the words and numbers of the page.
//!
//! The one place where a view becomes text: the server's HTML and the browser's updates both come from here.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use sniper_core::units::Usd;

use super::chart::{self, Chart};
use super::format as f;
use crate::telemetry::{RiskMode, RunMode, Stage, View, safe_text, time_of_day_utc};

/// Most characters of a stranger's text in a cell.
const TEXT_CHARS_MAX: usize = 64;
/// Most characters of a line of the log.
const LOG_CHARS_MAX: usize = 1_000;

/// Text and how it looks. Written as the text alone, or as `[text, class]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) class: &'static str,
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.class.is_empty() {
            self.text.serialize(serializer)
        } else {
            (&self.text, self.class).serialize(serializer)
        }
    }
}

/// A cell as it is.
fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), class: "" }
}

/// A cell that looks in a way.
fn styled(text: impl Into<String>, class: &'static str) -> Cell {
    Cell { text: text.into(), class }
}

/// A cell with text that others wrote: bounded, and without characters that steer.
fn foreign(text: &str) -> Cell {
    plain(safe_text(text, TEXT_CHARS_MAX))
}

/// A signature or an address, shortened.
fn mono(name: &str) -> Cell {
    styled(f::short(&safe_text(name, 2 * TEXT_CHARS_MAX)), "mono")
}

/// Gains and losses differ by sign and by colour.
fn change(text: String, value: Usd) -> Cell {
    let class = match value.get() {
        ..0 => "neg",
        0 => "",
        1.. => "pos",
    };
    Cell { text, class }
}

/// Single values, by name.
pub(super) type Facts = BTreeMap<&'static str, Cell>;
/// Rows of cells.
pub(super) type Rows = Vec<Vec<Cell>>;

/// All that the page shows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Model {
    pub(super) facts: Facts,
    pub(super) chart: Chart,
    pub(super) positions: Rows,
    pub(super) cash: Rows,
    pub(super) orders: Rows,
    pub(super) strategies: Rows,
    pub(super) trades: Rows,
    pub(super) refusals: Rows,
    pub(super) latency: Rows,
    pub(super) endpoints: Rows,
    pub(super) feeds: Rows,
    pub(super) log: Rows,
}

impl From<&View> for Model {
    fn from(view: &View) -> Self {
        Self {
            facts: facts(view),
            chart: chart::draw(&view.curve, view.equity.start),
            positions: positions(view),
            cash: cash(view),
            orders: orders(view),
            strategies: strategies(view),
            trades: trades(view),
            refusals: refusals(view),
            latency: latency(view),
            endpoints: endpoints(view),
            feeds: feeds(view),
            log: log(view),
        }
    }
}

fn facts(view: &View) -> Facts {
    let (equity, health, counts) = (&view.equity, &view.health, &view.orders);
    let mode = match view.mode {
        // Before the first picture nobody knows, and a wrong PAPER would be worse than none.
        _ if view.at_ms == 0 => styled("STARTING", "warn"),
        RunMode::Paper => styled("PAPER", "paper"),
        RunMode::Live => styled("LIVE", "live"),
        RunMode::Demo => styled("DEMO", "demo"),
    };
    let risk = match view.risk {
        RiskMode::Run => "ok",
        RiskMode::ReduceOnly => "warn",
        RiskMode::Halt | RiskMode::Kill => "bad",
    };
    let drawdown = if equity.drawdown_bps > 0 { "neg" } else { "" };
    let run = Usd::new(equity.now.get().saturating_sub(equity.start.get()));
    let journal =
        format!("{} events, {}", f::count(health.journal_events), f::bytes(health.journal_bytes));
    let dropped = if health.store_dropped > 0 { "warn" } else { "" };
    let mut ended = format!(
        "{} reverted · {} expired · {} refused",
        f::count(counts.reverted),
        f::count(counts.expired),
        f::count(counts.refused)
    );
    if counts.unpriced > 0 {
        ended.push_str(&format!(
            " · {} sold without an independent price",
            f::count(counts.unpriced)
        ));
    }
    BTreeMap::from([
        ("version", plain(view.version)),
        ("mode", mode.clone()),
        ("risk", styled(view.risk.as_str(), risk)),
        ("health", health_fact(view)),
        ("alert", alert(view)),
        ("wallet", mono(&view.wallet)),
        ("at", plain(time_of_day_utc(view.at_ms))),
        ("uptime", plain(f::duration(view.uptime_s))),
        ("equity", plain(f::usd(equity.now))),
        ("run", change(f::usd_change(run), run)),
        ("run_share", change(f::percent_change(run, equity.start), run)),
        ("day", change(f::usd_change(equity.day_pnl), equity.day_pnl)),
        ("day_share", change(day_share(view), equity.day_pnl)),
        ("drawdown", styled(f::percent(equity.drawdown_bps), drawdown)),
        ("drawdown_max", plain(f::percent(equity.drawdown_max_bps))),
        ("exposure", plain(f::usd(equity.exposure))),
        ("exposure_share", plain(share(equity.exposure, equity.now))),
        ("fees", plain(f::usd_paid(equity.fees))),
        ("landed", plain(f::count(counts.landed))),
        ("submitted", plain(f::count(counts.submitted))),
        ("ended", plain(ended)),
        ("slot", plain(f::count(health.slot))),
        ("height", plain(f::count(health.block_height))),
        ("blockhash", plain(f::age(health.blockhash_age_ms))),
        ("events", plain(f::count(health.events))),
        ("journal", plain(journal)),
        ("dropped", styled(f::count(health.store_dropped), dropped)),
        ("rss", plain(format!("{:.1} MB", view.rss_mb))),
        ("rss_peak", plain(format!("{:.1} MB", view.rss_peak_mb))),
        ("title", plain(format!("{} {} · SniperForge", mode.text, f::usd(equity.now)))),
    ])
}

fn health_fact(view: &View) -> Cell {
    match (view.health.ok, view.health.problems.len()) {
        _ if view.at_ms == 0 => styled("not heard yet", "warn"),
        (true, 0) => styled("healthy", "ok"),
        (true, n) => styled(format!("{n} warning{}", plural(n)), "warn"),
        (false, 0) => styled("unhealthy", "bad"),
        (false, n) => styled(format!("{n} problem{}", plural(n)), "bad"),
    }
}

const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// What the operator must see before all else; empty on a good day.
fn alert(view: &View) -> Cell {
    let mut parts = Vec::new();
    if view.risk != RiskMode::Run {
        let cause = safe_text(&view.risk_cause, TEXT_CHARS_MAX);
        let what = match view.risk {
            RiskMode::Run => "",
            RiskMode::ReduceOnly => "REDUCE_ONLY: positions may only shrink",
            RiskMode::Halt => "HALT: no new orders",
            RiskMode::Kill => "KILL: nothing is signed",
        };
        parts.push(if cause.is_empty() { what.to_owned() } else { format!("{what} ({cause})") });
    }
    parts.extend(view.health.problems.iter().map(|problem| safe_text(problem, 120)));
    let halted = matches!(view.risk, RiskMode::Halt | RiskMode::Kill) || !view.health.ok;
    styled(parts.join(" · "), if halted { "bad" } else { "warn" })
}

fn day_share(view: &View) -> String {
    let began = view.equity.now.get().saturating_sub(view.equity.day_pnl.get());
    f::percent_change(view.equity.day_pnl, Usd::new(began))
}

/// `part` of `whole` in percent; empty where there is no whole.
fn share(part: Usd, whole: Usd) -> String {
    ratio(part, whole).map(f::percent).unwrap_or_default()
}

fn ratio(part: Usd, whole: Usd) -> Option<u32> {
    let share = (i128::from(part.get()) * 10_000).checked_div(i128::from(whole.get()))?;
    u32::try_from(share).ok()
}

fn positions(view: &View) -> Rows {
    let row = |p: &crate::telemetry::PositionView| {
        vec![
            foreign(&p.symbol),
            foreign(&p.strategy),
            foreign(&f::amount(&p.amount)),
            plain(f::usd(p.cost)),
            plain(f::usd(p.value)),
            change(f::usd_change(p.pnl), p.pnl),
            change(f::percent_change(p.pnl, p.cost), p.pnl),
            plain(f::age(elapsed(p.opened_ms, view.at_ms))),
        ]
    };
    view.positions.iter().map(row).collect()
}

fn elapsed(from_ms: i64, to_ms: i64) -> u64 {
    u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0)
}

fn cash(view: &View) -> Rows {
    let row = |c: &crate::telemetry::CashView| {
        let reserved = if c.reserved == "0" { "dim" } else { "" };
        vec![
            foreign(&c.symbol),
            foreign(&f::amount(&c.amount)),
            styled(foreign(&f::amount(&c.reserved)).text, reserved),
            plain(f::usd(c.value)),
        ]
    };
    view.cash.iter().map(row).collect()
}

fn orders(view: &View) -> Rows {
    let row = |o: &crate::telemetry::OpenOrderView| {
        vec![
            foreign(&o.id),
            foreign(&o.strategy),
            foreign(&o.pay),
            foreign(&o.receive),
            plain(f::usd(o.value)),
            foreign(&o.state),
            plain(f::age(o.age_ms)),
            mono(&o.signature),
        ]
    };
    view.open_orders.iter().map(row).collect()
}

fn strategies(view: &View) -> Rows {
    let row = |s: &crate::telemetry::StrategyView| {
        let state = if s.stopped.is_empty() {
            styled("running", "ok")
        } else {
            styled(safe_text(&s.stopped, TEXT_CHARS_MAX), "bad")
        };
        let failed = if s.reverted > 0 { "warn" } else { "dim" };
        vec![
            foreign(&s.name),
            state,
            change(f::usd_change_fine(s.pnl), s.pnl),
            styled(f::usd(s.used), bar(ratio(s.used, s.budget).unwrap_or(0))),
            plain(f::usd(s.budget)),
            plain(f::count(s.orders)),
            plain(f::count(s.landed)),
            styled(f::count(s.reverted), failed),
            plain(f::count(s.refused)),
        ]
    };
    view.strategies.iter().map(row).collect()
}

fn trades(view: &View) -> Rows {
    let row = |t: &crate::telemetry::TradeView| {
        let profit = match t.pnl {
            Some(pnl) => change(f::usd_change_fine(pnl), pnl),
            None => styled("opened", "dim"),
        };
        vec![
            plain(time_of_day_utc(t.at_ms)),
            foreign(&t.strategy),
            foreign(&t.what),
            foreign(&t.reason),
            plain(f::usd(t.value)),
            plain(f::usd_paid(t.fee)),
            profit,
            mono(&t.signature),
        ]
    };
    view.trades.iter().map(row).collect()
}

/// Most frequent first; the bar is the share of all.
fn refusals(view: &View) -> Rows {
    let total: u64 = view.refusals.values().sum();
    let mut counted: Vec<_> = view.refusals.iter().filter(|(_, count)| **count > 0).collect();
    counted.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), reason.as_str()));
    let row = |(reason, count): (&String, &u64)| {
        let bps = u128::from(*count) * 10_000 / u128::from(total.max(1));
        let bps = u32::try_from(bps).unwrap_or(10_000);
        vec![
            styled(foreign(reason).text, bar(bps)),
            plain(f::count(*count)),
            plain(f::percent(bps)),
        ]
    };
    counted.into_iter().map(row).collect()
}

/// In the order of a trade's way; what was not timed is left out.
fn latency(view: &View) -> Rows {
    let known = Stage::ALL.iter().map(|stage| stage.as_str());
    let row = |name: &'static str| {
        let s = view.latency.get(name)?;
        let time = |us| plain(f::latency(us));
        let count = plain(f::count(s.count));
        Some(vec![plain(name), count, time(s.p50), time(s.p95), time(s.p99), time(s.max)])
    };
    known.filter_map(row).collect()
}

fn endpoints(view: &View) -> Rows {
    let row = |e: &crate::telemetry::EndpointView| {
        let health = if e.healthy { styled("healthy", "ok") } else { styled("ejected", "bad") };
        let breaker = if e.breaker == "closed" { "dim" } else { "warn" };
        vec![
            foreign(&e.name),
            health,
            styled(foreign(&e.breaker).text, breaker),
            plain(f::latency(e.p50_us)),
            plain(f::latency(e.p95_us)),
            plain(f::latency(e.p99_us)),
            styled(f::count(e.slot_lag), if e.slot_lag > 2 { "warn" } else { "" }),
            styled(f::percent(e.error_bps), if e.error_bps > 100 { "warn" } else { "" }),
            plain(f::count(e.requests)),
        ]
    };
    view.endpoints.iter().map(row).collect()
}

fn feeds(view: &View) -> Rows {
    let row = |feed: &crate::telemetry::FeedView| {
        vec![
            foreign(&feed.name),
            styled(f::age(feed.age_ms), if feed.stale { "bad" } else { "ok" }),
            plain(f::count(feed.messages)),
            styled(f::count(feed.reconnects), if feed.reconnects > 0 { "warn" } else { "dim" }),
        ]
    };
    view.health.feeds.iter().map(row).collect()
}

/// Newest first, so that nothing has to be scrolled to.
fn log(view: &View) -> Rows {
    let row = |line: &crate::telemetry::LogLine| {
        let class = match line.level {
            "ERROR" => "bad",
            "WARN" => "warn",
            "INFO" => "",
            _ => "dim",
        };
        vec![
            plain(time_of_day_utc(line.t_ms)),
            styled(line.level, class),
            styled(line.target, "dim"),
            plain(safe_text(&line.text, LOG_CHARS_MAX)),
        ]
    };
    view.log.iter().rev().map(row).collect()
}

/// The class that fills a cell to a share, in steps of a twentieth; what is not nothing shows.
fn bar(bps: u32) -> &'static str {
    const BARS: [&str; 21] = [
        "bar", "bar w1", "bar w2", "bar w3", "bar w4", "bar w5", "bar w6", "bar w7", "bar w8",
        "bar w9", "bar w10", "bar w11", "bar w12", "bar w13", "bar w14", "bar w15", "bar w16",
        "bar w17", "bar w18", "bar w19", "bar w20",
    ];
    let step = usize::try_from(bps.div_ceil(500)).unwrap_or(0).min(20);
    BARS.get(step).copied().unwrap_or_default()
}
