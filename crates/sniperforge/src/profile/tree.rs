//! The report as text: the stages as a tree.

use std::fmt::Write as _;

use super::{Report, StageReport, Status};
use crate::telemetry::Stage;

/// Stages in the order of the tree, with how deep they lie: each below the one it is a part of.
pub(super) fn ordered(report: &Report) -> Vec<(usize, &'static str, &StageReport)> {
    let mut rows = Vec::new();
    for root in Stage::ALL.into_iter().filter(|stage| stage.parent().is_none()) {
        below(root, 0, report, &mut rows);
    }
    rows
}

fn below<'a>(
    stage: Stage,
    depth: usize,
    report: &'a Report,
    rows: &mut Vec<(usize, &'static str, &'a StageReport)>,
) {
    let name = stage.as_str();
    if let Some(of) = report.stages.get(name) {
        rows.push((depth, name, of));
    }
    for part in Stage::ALL.into_iter().filter(|part| part.parent() == Some(stage)) {
        below(part, depth + 1, report, rows);
    }
}

/// A time in the unit that suits it.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 0.001 => format!("{:.0} ns", ms * 1e6),
        ms if ms < 1.0 => format!("{:.1} us", ms * 1e3),
        ms => format!("{ms:.1} ms"),
    }
}

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    put(&mut out, report).ok();
    out
}

fn put(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "{} trades in {:.1} s, {:.0} a minute, a block every {} ms; {} submitted, {} landed, {} reverted, {} expired\n{}\n",
        report.iterations,
        report.seconds,
        report.trades_per_minute,
        report.slot_ms,
        report.orders.submitted,
        report.orders.landed,
        report.orders.reverted,
        report.orders.expired,
        report.machine
    )?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "stage", "count", "mean", "p50", "p95", "p99", "max", "share", "memory", "baseline",
        "change", "",
    ]);
    for (depth, name, of) in ordered(report) {
        let change = of.change.map_or("-".to_owned(), |change| {
            format!(
                "{:+.0}% ({:+.0}..{:+.0})",
                percent(change.ratio),
                percent(change.low),
                percent(change.high)
            )
        });
        table.add_row([
            format!("{}{name}", "  ".repeat(depth)),
            of.count.to_string(),
            time(of.mean_ms),
            time(of.p50_ms),
            time(of.p95_ms),
            time(of.p99_ms),
            time(of.max_ms),
            of.share.map_or("-".to_owned(), |share| format!("{:.2}%", share * 100.0)),
            format!("{:.1} kB", of.memory_kb),
            of.baseline_ms.map_or("-".to_owned(), time),
            change,
            of.status.text().to_owned(),
        ]);
    }
    writeln!(out, "{table}\n")?;
    for (name, why) in &report.absent {
        writeln!(out, "absent      {name}: {why}")?;
    }
    writeln!(
        out,
        "floor       {} a signature and a walk through memory, {} a durable kilobyte",
        time(report.floor.compute_ns / 1e6),
        time(report.floor.disk_ns / 1e6)
    )?;
    writeln!(
        out,
        "memory      {:.1} MB, at most {:.1} MB; per stage what it touches first, per trade",
        report.rss_mb, report.rss_peak_mb
    )?;
    writeln!(out, "compared    {}", report.compared)?;
    if let Some(bottleneck) = &report.bottleneck {
        writeln!(out, "bottleneck  {}: {}", bottleneck.stage, bottleneck.advice)?;
    }
    let unsure = report.stages.values().filter(|of| of.status == Status::Unsure).count();
    if unsure > 0 {
        writeln!(
            out,
            "scatter     of {unsure} stages a fifth more could not be told from chance: take more iterations, or a quieter \
             machine"
        )?;
    }
    if report.regressions.is_empty() {
        writeln!(out, "verdict     no stage has regressed")
    } else {
        writeln!(out, "verdict     REGRESSED: {}", report.regressions.join(", "))
    }
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}
