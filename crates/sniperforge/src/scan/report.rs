//! What a scan tells when it ends.

use std::collections::BTreeMap;

use serde::Serialize;
use sniper_solana::scan::{CycleTimes, Program};

use super::mints::Mints;
use super::rows::{self, Row};
use super::watch::{Source, Watching};
use crate::telemetry::{rss_mb, rss_peak_mb};

/// The first reading of all pools.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cold {
    pools: usize,
    seconds: f64,
    pools_per_second: f64,
    bytes: usize,
    slot: u64,
    /// Pools whose vaults could not be read.
    unread: usize,
    /// Bonding curves that were more than are kept.
    left_out: usize,
    /// A program with so many accounts that the node did not list them.
    unlisted: Option<&'static str>,
}

/// What a scan tells of itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScanReport {
    /// Pools known at the end.
    pub(crate) pools: usize,
    /// Of those, by exchange.
    pub(crate) by_kind: BTreeMap<&'static str, usize>,
    /// From start to end.
    pub(crate) seconds: f64,
    /// Times that new bytes of a pool were decoded, priced and judged.
    pub(crate) scans: u64,
    /// Of those, per second from start to end: what the node had to tell.
    pub(crate) scans_per_second: f64,
    /// Of those, per second spent on it: what this machine could take. The first reading counts with its waiting.
    pub(crate) scans_per_busy_second: f64,
    /// One pass over all pools, in microseconds.
    pub(crate) cycle_us: CycleTimes,
    /// Pools that came after the first reading.
    pub(crate) new_pools: u64,
    /// Gaps between two pools that were still there when both were read again from one state.
    pub(crate) opportunities: u64,
    /// Gaps at the end that accounts of several slots show.
    pub(crate) candidates: usize,
    /// Changes of known pools.
    pub(crate) changes: u64,
    /// Accounts that a node told of.
    pub(crate) notices: u64,
    /// Changes found by reading again that nobody had told of.
    pub(crate) repaired: u64,
    /// Accounts that are not what they should be.
    pub(crate) refused: u64,
    /// How pools were kept fresh at the end.
    pub(crate) fresh_by: &'static str,
    /// Connections that ended.
    pub(crate) connections_lost: u64,
    /// The first reading; none if it was not finished.
    pub(crate) cold: Option<Cold>,
    /// Bytes set aside for pools.
    pub(crate) table_bytes: usize,
    /// Memory of this process.
    pub(crate) rss_mb: Option<f64>,
    /// The most it ever was.
    pub(crate) rss_peak_mb: Option<f64>,
    /// The rows shown.
    pub(crate) top: Vec<Row>,
}

pub(super) fn report(of: &Watching, mints: &Mints, top: usize) -> ScanReport {
    let scanned = of.scanner.report();
    let seconds = of.started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let cold = of.cold.map(|(cold, took)| Cold {
        pools: cold.pools,
        seconds: took.as_secs_f64(),
        pools_per_second: per(u64::try_from(cold.pools).unwrap_or(0), took.as_secs_f64()),
        bytes: cold.bytes,
        slot: cold.slot,
        unread: cold.unread,
        left_out: cold.left_out,
        unlisted: cold.unlisted.map(Program::text),
    });
    ScanReport {
        pools: scanned.pools,
        by_kind: of.by_kind(),
        seconds,
        scans: of.scans,
        scans_per_second: per(of.scans, seconds),
        scans_per_busy_second: per(of.scans, of.busy.as_secs_f64()),
        cycle_us: scanned.cycle_us,
        new_pools: scanned.new_pools,
        opportunities: of.opportunities,
        candidates: of.verdicts.len(),
        changes: of.changes,
        notices: of.notices,
        repaired: of.repaired,
        refused: of.refused,
        fresh_by: fresh_by(of.source),
        connections_lost: of.downs,
        cold,
        table_bytes: of.scanner.bytes(),
        rss_mb: rss_mb(),
        rss_peak_mb: rss_peak_mb(),
        top: rows::rows(of, mints, top),
    }
}

pub(super) fn fresh_by(source: Source) -> &'static str {
    match source {
        Source::Starting => "nothing yet",
        Source::Subscribed => "program subscriptions",
        Source::Asked => "getMultipleAccounts, slot by slot",
    }
}

impl std::fmt::Display for ScanReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.by_kind.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        writeln!(f, "pools          {} ({})", self.pools, kinds.join(", "))?;
        if let Some(cold) = &self.cold {
            writeln!(
                f,
                "first reading  {:.2} s, {:.0} pools a second",
                cold.seconds, cold.pools_per_second
            )?;
        }
        if let Some(program) = self.cold.as_ref().and_then(|cold| cold.unlisted) {
            writeln!(f, "left out       {program}: the node does not list its accounts")?;
        }
        writeln!(f, "kept fresh by  {}", self.fresh_by)?;
        writeln!(
            f,
            "scans          {} in {:.1} s, {:.0} a second; {:.0} a second of work",
            self.scans, self.seconds, self.scans_per_second, self.scans_per_busy_second
        )?;
        writeln!(
            f,
            "one pass       {} us, {} us at the 99th percentile",
            self.cycle_us.p50, self.cycle_us.p99
        )?;
        writeln!(
            f,
            "changes        {}, of which {} found by reading again; {} new pools",
            self.changes, self.repaired, self.new_pools
        )?;
        writeln!(
            f,
            "opportunities  {} confirmed, {} candidates at the end",
            self.opportunities, self.candidates
        )?;
        writeln!(
            f,
            "memory         {} kB for pools, {:.0} MB in all",
            self.table_bytes / 1_000,
            self.rss_peak_mb.unwrap_or(0.0)
        )?;
        if !self.top.is_empty() {
            writeln!(f)?;
            f.write_str(&rows::table(&self.top))?;
        }
        Ok(())
    }
}
