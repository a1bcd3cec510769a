//! `profile`: where the time of a trade goes, whether that has become more, and what to look at first.
//!
//! # Design
//! The flow is the engine's own ([`crate::live::profile`]), against a local chain in a process of its own. The rule is that
//! of [`crate::telemetry::compare`]: blocks with the machine's floor beside each, middles, a bootstrap. So a profile can be
//! compared with one that was saved earlier, also when the machine is slower today as a whole.

mod advice;
mod flame;
mod html;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::bench::Machine;
use crate::live::profile::{Recorded, RecordedStage, Wanted, record};
use crate::telemetry::baselines::{Baselines, Measured, MeasuredStage, figures};
use crate::telemetry::compare::{Change, against_bound, compare};
use crate::telemetry::floor::{Against, FloorTimes};
use crate::telemetry::{OrderCounts, SpanTimes, Stage, StageSummary, now_ms, rfc3339_utc};

/// A stage that may be slower by more than this, for all that the times say, is not called as expected.
const UNSURE: f64 = 1.20;

/// What `profile` is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) iterations: u64,
    pub(crate) seed: u64,
    pub(crate) slot_ms: u64,
    pub(crate) baselines: Option<PathBuf>,
    pub(crate) save: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) flamegraph: Option<PathBuf>,
}

/// How a stage compares with what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Nothing is expected of it.
    New,
    /// There were too few times to say anything.
    TooFew,
    /// As expected, within a tenth or by chance.
    Ok,
    /// The times scatter so much that even a fifth more could not be told from chance.
    Unsure,
    /// Faster than the baseline by more than a tenth, and not by chance.
    Faster,
    /// Slower than the baseline of another machine, and not by chance: it may be the machine.
    Elsewhere,
    /// Slower than the baseline by more than a tenth, and not by chance.
    Regressed,
    /// Above its budget by more than a tenth, and not by chance.
    OverBudget,
}

impl Status {
    pub(crate) const fn is_bad(self) -> bool {
        matches!(self, Self::Regressed | Self::OverBudget)
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::TooFew => "too few",
            Self::Ok => "ok",
            Self::Unsure => "unsure",
            Self::Faster => "faster",
            Self::Elsewhere => "other machine",
            Self::Regressed => "REGRESSED",
            Self::OverBudget => "OVER BUDGET",
        }
    }
}

/// A stage in the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageReport {
    pub(crate) count: u64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// The measured median, or without one the budget.
    pub(crate) baseline_ms: Option<f64>,
    pub(crate) budget_ms: Option<f64>,
    pub(crate) status: Status,
    /// How it compares; none where nothing can be said.
    pub(crate) change: Option<Change>,
    /// Its mean by that of a whole trade.
    pub(crate) share: Option<f64>,
    /// Memory that it touched first, in kilobytes per trade.
    pub(crate) memory_kb: f64,
    /// The stage it is a part of.
    pub(crate) within: Option<&'static str>,
}

/// What takes most of a trade that can be changed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bottleneck {
    pub(crate) stage: &'static str,
    pub(crate) share: f64,
    /// What to look at first, from these figures.
    pub(crate) advice: String,
}

/// What a profile has found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) iterations: u64,
    /// Time from block to block of the chain, in milliseconds.
    pub(crate) slot_ms: u64,
    pub(crate) seconds: f64,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) floor: FloorTimes,
    pub(crate) stages: BTreeMap<&'static str, StageReport>,
    /// Stages of a trade that this engine does not have.
    pub(crate) absent: BTreeMap<&'static str, &'static str>,
    pub(crate) bottleneck: Option<Bottleneck>,
    /// Names of stages that have regressed or are above their budget.
    pub(crate) regressions: Vec<&'static str>,
    /// How the comparison was made, and why not where it was not.
    pub(crate) compared: String,
    pub(crate) orders: OrderCounts,
    pub(crate) trades_per_minute: f64,
    pub(crate) rss_mb: f64,
    pub(crate) rss_peak_mb: f64,
}

impl Report {
    /// No stage has regressed.
    pub(crate) fn holds(&self) -> bool {
        self.regressions.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        tree::render(self)
    }
}

/// Records, compares, and writes what was asked for. `told` hears how many trades have landed.
///
/// # Errors
///
/// When baselines cannot be used (before anything is started), the chain does not start, or a file cannot be written.
pub(crate) fn run(
    request: &Request,
    spans: &SpanTimes,
    told: impl Fn(u64) + Send + 'static,
) -> anyhow::Result<Report> {
    let baselines = Baselines::load(request.baselines.as_deref())?;
    if let Some(path) = request.save.as_deref().filter(|path| path.exists()) {
        // After minutes of work it would be a pity to learn that this is somebody else's file.
        Baselines::load(Some(path))?;
    }
    let Request { iterations, seed, slot_ms, .. } = *request;
    let recorded = record(Wanted { iterations, seed, slot_ms }, told)?;
    let report = report(&recorded, &baselines);
    if let Some(path) = &request.save {
        measured(&recorded, &report, &baselines).save(path)?;
    }
    if let Some(path) = &request.html {
        write(path, html::page(&report, &recorded).as_bytes())?;
    }
    if let Some(path) = &request.flamegraph {
        write(path, flame::draw(&report, &spans.stacks()).as_bytes())?;
    }
    Ok(report)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| {
        format!("write {}: check that its folder exists and has room", path.display())
    })
}

/// Holds what was recorded against what is expected.
pub(crate) fn report(recorded: &Recorded, baselines: &Baselines) -> Report {
    let machine = Machine::this();
    let mean_of = |stage: Stage| {
        let of = recorded.stages.iter().find(|s| s.stage == stage);
        of.map(|s| s.summary.mean()).filter(|mean| *mean > 0.0)
    };
    let whole = mean_of(Stage::FullTrade);
    let stages = recorded.stages.iter().map(|recorded_stage| {
        let judged = judge(recorded_stage, recorded, baselines);
        (recorded_stage.stage.as_str(), stage_report(recorded_stage, judged, whole, recorded))
    });
    let stages: BTreeMap<_, _> = stages.collect();
    let in_order = Stage::ALL.iter().map(|stage| stage.as_str());
    let regressions = in_order.filter(|name| stages.get(name).is_some_and(|s| s.status.is_bad()));
    let regressions = regressions.collect();
    let minutes = recorded.seconds / 60.0;
    let trades = crate::telemetry::stage::shown(recorded.iterations);
    let mut report = Report {
        iterations: recorded.iterations,
        slot_ms: recorded.slot_ms,
        seconds: recorded.seconds,
        date: rfc3339_utc(now_ms()),
        compared: compared(&machine, baselines),
        machine,
        floor: typical(&recorded.floors),
        stages,
        absent: Stage::ABSENT.into(),
        bottleneck: None,
        regressions,
        orders: recorded.orders,
        trades_per_minute: if minutes > 0.0 { trades / minutes } else { 0.0 },
        rss_mb: recorded.rss_mb,
        rss_peak_mb: recorded.rss_peak_mb,
    };
    report.bottleneck = advice::bottleneck(&report);
    report
}

/// What is expected of a stage, and how it compares.
struct Judged {
    baseline_ms: Option<f64>,
    budget_ms: Option<f64>,
    status: Status,
    change: Option<Change>,
}

fn judge(recorded: &RecordedStage, run: &Recorded, baselines: &Baselines) -> Judged {
    let stage = recorded.stage;
    let budget_ms = baselines.budget_ms(stage);
    // The chain's own time depends on how often it makes a block.
    let is_alike = |m: &&Measured| Against::of(stage) != Against::Clock || m.slot_ms == run.slot_ms;
    let known = baselines.comparable().filter(is_alike);
    let is_here = known.is_some_and(|measured| measured.machine.is_this());
    let known = known.and_then(|m| Some((m.stages.get(stage.as_str())?, &m.floors)));
    let blocks: Vec<f64> = recorded.blocks_ns.iter().flatten().copied().collect();
    let over = budget_ms.and_then(|ms| against_bound(ms * 1e6, &blocks));
    let baseline_ms = known.map(|(stage, _)| stage.p50_ms).or(budget_ms);
    let change = match known {
        Some((known, old_floors)) => compare(
            &known.figures(stage, old_floors),
            &figures(stage, &recorded.blocks_ns, &run.floors),
        ),
        None => over,
    };
    let status = match (known.is_some(), change) {
        _ if over.is_some_and(|over| over.is_regression()) => Status::OverBudget,
        (false, _) if budget_ms.is_none() => Status::New,
        (_, None) => Status::TooFew,
        (true, Some(change)) if change.is_regression() && is_here => Status::Regressed,
        (true, Some(change)) if change.is_regression() => Status::Elsewhere,
        (true, Some(change)) if change.is_improvement() => Status::Faster,
        (true, Some(change)) if change.high > UNSURE => Status::Unsure,
        (_, Some(_)) => Status::Ok,
    };
    let change = if status == Status::OverBudget { over } else { change };
    Judged { baseline_ms, budget_ms, status, change }
}

fn stage_report(
    recorded: &RecordedStage,
    judged: Judged,
    whole_us: Option<f64>,
    run: &Recorded,
) -> StageReport {
    let StageSummary { count, p50, p95, p99, max, .. } = recorded.summary;
    let mean = recorded.summary.mean();
    let Judged { baseline_ms, budget_ms, status, change } = judged;
    let kilobytes = crate::telemetry::stage::shown(recorded.pages.saturating_mul(4_096)) / 1e3;
    StageReport {
        count,
        mean_ms: mean / 1e3,
        p50_ms: p50 / 1e3,
        p95_ms: p95 / 1e3,
        p99_ms: p99 / 1e3,
        max_ms: max / 1e3,
        baseline_ms,
        budget_ms,
        status,
        change,
        share: whole_us.filter(|_| recorded.stage != Stage::Verdict).map(|whole| mean / whole),
        memory_kb: kilobytes / crate::telemetry::stage::shown(run.paged.max(1)),
        within: recorded.stage.parent().map(Stage::as_str),
    }
}

fn typical(floors: &[FloorTimes]) -> FloorTimes {
    use crate::telemetry::compare::median;
    FloorTimes {
        compute_ns: median(&mut floors.iter().map(|f| f.compute_ns).collect::<Vec<_>>()),
        disk_ns: median(&mut floors.iter().map(|f| f.disk_ns).collect::<Vec<_>>()),
    }
}

/// How the comparison was made.
fn compared(machine: &Machine, baselines: &Baselines) -> String {
    match (&baselines.measured, baselines.comparable()) {
        (None, _) => {
            "nothing was measured in these baselines: budgets alone are held; make your own with \
                      --save-baselines"
                .to_owned()
        }
        (Some(measured), None) => format!(
            "the baselines were measured by another build ({}), whose times are others: budgets alone are held",
            measured.machine
        ),
        (Some(measured), Some(_)) if measured.machine.is_this() => {
            format!("as multiples of the floor, with what was measured here on {}", measured.date)
        }
        (Some(measured), Some(_)) => format!(
            "as multiples of the floor, with what was measured on {} on another machine ({}), not this one ({machine}): \
             what is slower may be the machine's doing and is no regression; make your own with --save-baselines",
            measured.date, measured.machine
        ),
    }
}

/// The baselines that this run makes: budgets stay as they were.
fn measured(recorded: &Recorded, report: &Report, baselines: &Baselines) -> Baselines {
    let stage = |recorded: &RecordedStage| {
        let of = report.stages.get(recorded.stage.as_str())?;
        let measured = MeasuredStage {
            count: of.count,
            mean_ms: of.mean_ms,
            p50_ms: of.p50_ms,
            p95_ms: of.p95_ms,
            p99_ms: of.p99_ms,
            blocks_ns: recorded.blocks_ns.clone(),
        };
        Some((recorded.stage.as_str().to_owned(), measured))
    };
    Baselines {
        schema: crate::telemetry::baselines::SCHEMA.to_owned(),
        budgets_ms: baselines.budgets_ms.clone(),
        measured: Some(Measured {
            date: report.date.clone(),
            machine: report.machine.clone(),
            iterations: recorded.iterations,
            slot_ms: recorded.slot_ms,
            floors: recorded.floors.clone(),
            stages: recorded.stages.iter().filter_map(stage).collect(),
        }),
    }
}

#[cfg(test)]
mod tests;
