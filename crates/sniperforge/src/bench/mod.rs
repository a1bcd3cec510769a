//! What this machine and these endpoints can do, measured: groups of figures, each with its limit where there is one.
//!
//! # Design
//! What is compared runs in one and the same run, turn by turn, so that a busy moment strikes all alike. Load comes at
//! a steady rate whether answers come or not, and each time is counted from the moment that the request was to be sent:
//! a client that waits would hide how late the others are. Of endpoints out there figures are told and nobody is judged:
//! `doctor` does that. Beside a figure stands its floor, what nobody can do without, and by it a run is known to be worth
//! anything ([`turns`]). Where there is no figure a row says why.

mod answer;
mod arms;
mod backtest;
mod cores;
mod db;
#[cfg(feature = "localnet")]
mod faults;
mod field;
mod html;
mod journal;
#[cfg(feature = "localnet")]
mod jupiter;
#[cfg(feature = "localnet")]
mod load;
mod machine;
mod market;
#[cfg(feature = "localnet")]
mod memory;
mod pools;
mod push;
mod quote;
#[cfg(feature = "localnet")]
mod read;
mod report;
mod row;
mod rpc;
mod scan;
mod signals;
mod symbols;
#[cfg(feature = "localnet")]
mod trade;
mod turns;
#[cfg(feature = "localnet")]
pub mod wire;
mod ws;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use field::Field;
pub(crate) use machine::Machine;
pub(crate) use report::Report;
use row::Row;
use tokio::runtime::Runtime;
use turns::Rejected;

use crate::config::Node;

/// What can be measured. A further group is a file here, a line in [`Bench::measure`] and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// What strategies think of an event, stage by stage: signals, decision, sizing, risk.
    Signals,
    /// A quote, per kind of pool.
    Quote,
    /// The scanner: looking at all pools, updates.
    Scan,
    /// Reads: one endpoint, all of them, and all of them hedged.
    Rpc,
    /// Slots: by subscription and by asking again and again, at one endpoint and at all of them.
    Ws,
    /// Look-ups in the tables, beside the bare statements.
    Db,
    /// The journal: append, barrier, replay.
    Journal,
    /// Bars a second, beside a loop written by hand.
    Backtest,
    /// Trades on a local chain, stage by stage, to confirmation.
    Trade,
    /// Quotes of an aggregator, beside a bare connection.
    Jupiter,
    /// Memory, processor time, start and recovery of a running instance.
    Memory,
    /// Availability while one endpoint after another is bad.
    Faults,
}

impl Group {
    const ALL: [Self; 12] = [
        Self::Signals,
        Self::Quote,
        Self::Scan,
        Self::Rpc,
        Self::Ws,
        Self::Db,
        Self::Journal,
        Self::Backtest,
        Self::Trade,
        Self::Jupiter,
        Self::Memory,
        Self::Faults,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Quote => "quote",
            Self::Scan => "scan",
            Self::Rpc => "rpc",
            Self::Ws => "ws",
            Self::Db => "db",
            Self::Journal => "journal",
            Self::Backtest => "backtest",
            Self::Trade => "trade",
            Self::Jupiter => "jupiter",
            Self::Memory => "memory",
            Self::Faults => "faults",
        }
    }
}

/// How large, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Time of a group.
    pub(crate) span: Duration,
    /// Sizes that take minutes to make ready.
    pub(crate) full: bool,
    /// How long memory is watched, where it is not the time of a group.
    #[cfg_attr(not(feature = "localnet"), expect(dead_code, reason = "an instance needs a chain"))]
    pub(crate) growth: Option<Duration>,
}

/// A measurement under way.
struct Bench<'a> {
    scale: Scale,
    node: Option<&'a Node>,
    /// Made by the first group that needs endpoints.
    field: Option<Field>,
    runtime: Option<Runtime>,
    rejected: Vec<Rejected>,
}

impl Bench<'_> {
    fn measure(&mut self, group: Group) -> anyhow::Result<Vec<Row>> {
        let (scale, rejected) = (self.scale, &mut self.rejected);
        match group {
            Group::Signals => signals::measure(scale, rejected),
            Group::Quote => quote::measure(scale, rejected),
            Group::Scan => scan::measure(scale, rejected),
            Group::Db => db::measure(scale, rejected),
            Group::Journal => journal::measure(scale, rejected),
            Group::Backtest => backtest::measure(scale, rejected),
            #[cfg(feature = "localnet")]
            Group::Trade => trade::measure(scale, rejected),
            #[cfg(feature = "localnet")]
            Group::Jupiter => jupiter::measure(scale, rejected),
            #[cfg(feature = "localnet")]
            Group::Memory => memory::measure(scale, rejected),
            #[cfg(feature = "localnet")]
            Group::Faults => faults::measure(scale),
            #[cfg(not(feature = "localnet"))]
            Group::Trade | Group::Jupiter | Group::Memory | Group::Faults => {
                Ok(vec![Row::absent(group.name(), "this build has no local chain")])
            }
            Group::Rpc => self.rpc(),
            Group::Ws => {
                let span = self.scale.span;
                self.on_field(|field, runtime| runtime.block_on(ws::measure(field, span)))
            }
        }
    }

    fn rpc(&mut self) -> anyhow::Result<Vec<Row>> {
        let span = self.scale.span;
        #[cfg_attr(not(feature = "localnet"), expect(unused_mut, reason = "a chain adds rows"))]
        let mut rows =
            self.on_field(|field, runtime| runtime.block_on(rpc::measure(field, span)))?;
        // Of endpoints out there nobody has a floor.
        #[cfg(feature = "localnet")]
        if self.node.is_none() {
            rows.extend(read::measure(span, &mut self.rejected)?);
        }
        Ok(rows)
    }

    /// With the endpoints that are measured, and an event loop for them.
    fn on_field<T>(
        &mut self,
        run: impl FnOnce(&Field, &Runtime) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("start the event loop")?,
        };
        let runtime = self.runtime.insert(runtime);
        let field = match (self.field.take(), self.node) {
            (Some(field), _) => field,
            (None, Some(node)) => Field::configured(node),
            (None, None) => runtime.block_on(Field::local())?,
        };
        run(self.field.insert(field), runtime)
    }
}

/// How far a run has come: some groups take many minutes.
pub(crate) enum Progress {
    /// This group is next.
    Begins(&'static str),
    /// It is over: what came of it, in a line.
    Ended(String),
}

/// Measures the groups, one after the other: what needs endpoints on the configured ones, or without any on a local
/// chain of its own. A group that cannot be measured is a row that says why.
pub(crate) fn run(
    groups: &[Group],
    scale: Scale,
    node: Option<&Node>,
    mut tell: impl FnMut(Progress),
) -> Report {
    let groups = if groups.is_empty() { &Group::ALL[..] } else { groups };
    let begun = Instant::now();
    let mut bench = Bench { scale, node, field: None, runtime: None, rejected: Vec::new() };
    let mut rows = Vec::new();
    for group in groups {
        let (name, begun) = (group.name(), Instant::now());
        tell(Progress::Begins(name));
        let measured = match bench.measure(*group) {
            Ok(measured) => measured,
            Err(error) => vec![Row::failed(name, format!("{error:#}"))],
        };
        tell(Progress::Ended(summary(name, &measured, begun.elapsed())));
        rows.extend(measured);
    }
    let chain =
        if node.is_some() { "the configured endpoints" } else { "a local chain of its own" };
    let mut report = Report::new(chain, begun.elapsed().as_secs_f64());
    (report.rows, report.rejected) = (rows, bench.rejected);
    report
}

/// A group in a line, with what did not hold or could not be shown to.
fn summary(name: &str, rows: &[Row], took: Duration) -> String {
    let missed = rows.iter().filter(|row| !row.ok());
    let missed: Vec<String> = missed
        .map(|row| format!("{} {} {}", row.metric, report::shown(row.value), row.unit))
        .collect();
    let missed =
        if missed.is_empty() { String::new() } else { format!("; missed {}", missed.join(", ")) };
    format!("{name}: {} figures in {:.0} s{missed}", rows.len(), took.as_secs_f64())
}

/// Whether a page could be written there; what is there already is not touched.
///
/// # Errors
///
/// When it could not.
pub(crate) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).with_context(|| {
        format!("write {}: check that its folder exists and may be written", path.display())
    })
}

/// Writes the report as a page.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn write_html(report: &Report, path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, html::page(report)).with_context(|| {
        format!("write {}: check that its folder exists and has room", path.display())
    })
}
