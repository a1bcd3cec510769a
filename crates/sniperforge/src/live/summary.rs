//! What a run did, as scripts and people read it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::ids::StrategyId;
use sniper_core::units::Usd;

use super::newcomers::LaunchCounts;
use super::publish::{Publisher, is_of_interest, strategy_profit};
use crate::telemetry::{OrderCounts, StageSummary, StageTimers, rss_mb, rss_peak_mb};

/// What a run did. Field names are a promise to scripts.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// `demo`, `paper` or `live`.
    pub mode: &'static str,
    /// How long it traded.
    pub seconds: f64,
    /// Events the engine took, replayed ones included.
    pub events: u64,
    /// Orders by what became of them.
    pub orders: OrderCounts,
    /// Swaps that landed, by kind of pool; an order through several pools counts for each.
    pub swaps_by_kind: BTreeMap<&'static str, u64>,
    /// Orders that landed and passed through pools of more than one kind.
    pub across_kinds: u64,
    /// What became of new pools, where they were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launches: Option<LaunchCounts>,
    /// How each strategy did.
    pub strategies: Vec<StrategySummary>,
    /// Cash and positions at the end, in dollars.
    pub equity_usd: f64,
    /// Whether every balance of the ledger is the chain's; `null` on paper, where no chain holds the money.
    pub ledger_matches_chain: Option<bool>,
    /// Lamports on the chain less lamports in the ledger; `null` on paper.
    pub lamports_difference: Option<i128>,
    /// Times that the chain held more than the ledger and what was more was booked with its reason.
    pub explained: u64,
    /// Whether the journal, replayed, gave the same effects and the same state.
    pub replay_matches: bool,
    /// Hash of all effects.
    pub effects_hash: String,
    /// Intents refused, by reason.
    pub refusals: BTreeMap<String, u64>,
    /// Resident memory now.
    pub rss_mb: f64,
    /// The most it ever was.
    pub rss_peak_mb: f64,
    /// Where the time went.
    pub latency_us: BTreeMap<&'static str, StageSummary>,
    /// Where the journal is, when it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
}

/// How a strategy did.
#[derive(Clone, Debug, Serialize)]
pub struct StrategySummary {
    /// Its name.
    pub name: String,
    /// Orders submitted.
    pub orders: u64,
    /// Of them landed.
    pub landed: u64,
    /// Of them landed and failed.
    pub reverted: u64,
    /// Intents refused.
    pub refused: u64,
    /// Won or lost in dollars, realised and not.
    pub pnl_usd: f64,
}

/// What ledger and chain said at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reconciled {
    pub(super) lamports_difference: i128,
    pub(super) tokens_differ: bool,
}

impl RunSummary {
    pub(super) fn new(
        mode: &'static str,
        seconds: f64,
        engine: &MultiStrategyEngine,
        publisher: &Publisher,
        timers: &mut StageTimers,
    ) -> Self {
        let books = (0_u8..).map(StrategyId).zip(engine.portfolio().books());
        let books = books.filter(|(id, book)| is_of_interest(engine, *id, book));
        let strategies = books.map(|(id, book)| StrategySummary {
            name: engine.strategy_name(id).to_owned(),
            orders: book.counts.submitted,
            landed: book.counts.landed,
            reverted: book.counts.reverted,
            refused: book.counts.refused,
            pnl_usd: dollars(strategy_profit(engine, id)),
        });
        let refusals = engine.refusals().iter().map(|(name, n)| (name.to_string(), *n));
        Self {
            mode,
            seconds,
            events: engine.last().map_or(0, |(seq, _)| seq.get()),
            orders: publisher.counts(),
            swaps_by_kind: publisher.swaps().by_kind.clone(),
            across_kinds: publisher.swaps().across,
            launches: None,
            strategies: strategies.collect(),
            equity_usd: engine.equity().map_or(0.0, dollars),
            ledger_matches_chain: None,
            lamports_difference: None,
            explained: 0,
            replay_matches: false,
            effects_hash: String::new(),
            refusals: refusals.collect(),
            rss_mb: rss_mb().unwrap_or_default(),
            rss_peak_mb: rss_peak_mb().unwrap_or_default(),
            latency_us: timers.snapshot(),
            journal: None,
        }
    }

    pub(super) fn reconciled(&mut self, found: Reconciled) {
        self.lamports_difference = Some(found.lamports_difference);
        self.ledger_matches_chain = Some(found.lamports_difference == 0 && !found.tokens_differ);
    }

    /// Whether every check held: the ledger is the chain's, and the journal replays.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.ledger_matches_chain != Some(false) && self.replay_matches
    }
}

impl fmt::Display for RunSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = &self.orders;
        writeln!(f, "{} for {:.1} s, {} events", self.mode, self.seconds, self.events)?;
        writeln!(
            f,
            "orders    {} submitted, {} landed, {} reverted, {} expired, {} never sent; {} wishes refused",
            o.submitted, o.landed, o.reverted, o.expired, o.rejected, o.refused
        )?;
        if o.unpriced > 0 {
            writeln!(f, "          {} exits had no independent price", o.unpriced)?;
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["strategy", "orders", "landed", "reverted", "refused", "profit USD"]);
        for s in &self.strategies {
            table.add_row([
                s.name.clone(),
                s.orders.to_string(),
                s.landed.to_string(),
                s.reverted.to_string(),
                s.refused.to_string(),
                format!("{:+.4}", s.pnl_usd),
            ]);
        }
        writeln!(f, "{table}")?;
        for (kind, count) in &self.swaps_by_kind {
            writeln!(f, "swaps     {kind}: {count} landed")?;
        }
        if self.across_kinds > 0 {
            writeln!(f, "swaps     {} orders landed across kinds of pool", self.across_kinds)?;
        }
        if let Some(l) = &self.launches {
            writeln!(
                f,
                "launches  {} seen, {} judged, {} safe, {} followed; {} passed over, {} not to be read",
                l.seen, l.judged, l.safe, l.announced, l.passed, l.unread
            )?;
        }
        for (name, count) in &self.refusals {
            writeln!(f, "refused   {name}: {count}")?;
        }
        writeln!(f, "equity    {:.4} USD", self.equity_usd)?;
        if let (Some(matches), Some(lamports)) =
            (self.ledger_matches_chain, self.lamports_difference)
        {
            let verdict = if matches { "equals" } else { "DIFFERS FROM" };
            writeln!(f, "ledger    {verdict} the chain; lamports differ by {lamports}")?;
        }
        if self.explained > 0 {
            writeln!(f, "          {} times it held more, which was booked", self.explained)?;
        }
        let verdict =
            if self.replay_matches { "gives the same effects and state" } else { "DIFFERS" };
        writeln!(f, "journal   replayed: {verdict}")?;
        for (stage, s) in &self.latency_us {
            writeln!(
                f,
                "latency   {stage:<14} {:>8} times, p50 {:>9.1}, p95 {:>9.1}, p99 {:>9.1} us",
                s.count, s.p50, s.p95, s.p99
            )?;
        }
        write!(f, "memory    {:.1} MB, at most {:.1} MB", self.rss_mb, self.rss_peak_mb)
    }
}

fn dollars(value: Usd) -> f64 {
    // Shown, never settled: a double is exact to the millionth of a dollar up to nine billion.
    #[expect(clippy::cast_precision_loss, reason = "shown, never settled")]
    let micro = value.get() as f64;
    micro / 1e6
}
