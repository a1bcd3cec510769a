//! The report as one HTML file that needs nothing else.

use maud::{DOCTYPE, PreEscaped, html};

use super::tree::{ordered, time};
use super::{Report, Status};
use crate::live::profile::Recorded;

const CSS: &str = "
:root{color-scheme:light dark;--g:#f3f5f7;--p:#fff;--e:#d9dee4;--t:#17202a;--s:#56616e;--a:#1f62c4;--b:#c0272d;--o:#0c7a43}
@media(prefers-color-scheme:dark){:root{--g:#0d1117;--p:#141a22;--e:#27303b;--t:#dfe6ee;--s:#93a1b0;--a:#6ea8fe;--b:#ff7b7b;--o:#4cc38a}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1200px;padding:16px;background:var(--g);color:var(--t);font:14px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
section{background:var(--p);border:1px solid var(--e);border-radius:6px;margin:12px 0;padding:10px 14px;overflow-x:auto}
h1{font-size:20px}h2{font-size:14px;color:var(--s);margin:0 0 6px}table{border-collapse:collapse;width:100%}
th,td{padding:3px 8px;text-align:right;white-space:nowrap;border-top:1px solid var(--e)}th{color:var(--s);font-weight:500}
th:first-child,td:first-child{text-align:left}.bad{color:var(--b);font-weight:600}.ok{color:var(--o)}p{margin:4px 0}
svg{width:100%;height:56px}.bar{fill:var(--a)}svg.share{width:120px;height:10px}.quiet{color:var(--s)}
";

/// The page.
pub(super) fn page(report: &Report, recorded: &Recorded) -> String {
    let rows = ordered(report);
    let verdict = if report.regressions.is_empty() {
        ("ok", "no stage has regressed".to_owned())
    } else {
        ("bad", format!("regressed: {}", report.regressions.join(", ")))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "SniperForge: profile of " (report.iterations) " trades" }
                style { (PreEscaped(CSS)) }
            }
            body {
                h1 { "Profile of " (report.iterations) " trades" }
                p.quiet { (report.date) " · " (report.machine.to_string()) }
                p class=(verdict.0) { (verdict.1) }
                @if let Some(bottleneck) = &report.bottleneck {
                    section { h2 { "Bottleneck: " (bottleneck.stage) } p { (bottleneck.advice) } }
                }
                section {
                    h2 { "Stages" }
                    table {
                        tr { @for title in ["Stage", "Count", "Mean", "p50", "p95", "p99", "Max", "Share", "", "Memory", "Baseline", "Change", "Status"] {
                            th { (title) }
                        } }
                        @for (depth, name, of) in &rows {
                            @let share = of.share.unwrap_or(0.0).clamp(0.0, 1.0);
                            tr {
                                td { (PreEscaped("&nbsp;".repeat(depth * 4))) (name) }
                                td { (of.count) } td { (time(of.mean_ms)) } td { (time(of.p50_ms)) }
                                td { (time(of.p95_ms)) } td { (time(of.p99_ms)) } td { (time(of.max_ms)) }
                                td { (format!("{:.2}%", share * 100.0)) }
                                td { svg.share viewBox="0 0 100 10" preserveAspectRatio="none" {
                                    rect.bar x="0" y="0" height="10" width=(format!("{:.2}", share * 100.0)) {}
                                } }
                                td { (format!("{:.1} kB", of.memory_kb)) }
                                td { (of.baseline_ms.map_or("-".to_owned(), time)) }
                                td { (of.change.map_or("-".to_owned(), |c| format!("{:+.1}%", (c.ratio - 1.0) * 100.0))) }
                                td class=(class(of.status)) { (of.status.text()) }
                            }
                        }
                    }
                    @for (name, why) in &report.absent { p.quiet { (name) " is absent: " (why) } }
                }
                section {
                    h2 { "Block by block, oldest first: the mean of each middle half" }
                    @for stage in &recorded.stages {
                        p { (stage.stage.as_str()) " " span.quiet { "up to " (time(largest(&stage.blocks_ns) / 1e6)) } }
                        (bars(&stage.blocks_ns))
                    }
                }
                section {
                    h2 { "How it was compared" }
                    p { (report.compared) }
                    p { "Floor: " (time(report.floor.compute_ns / 1e6)) " for a signature and a walk through memory, "
                        (time(report.floor.disk_ns / 1e6)) " for a durable kilobyte." }
                    p { "A regression is a ratio of the middles above 1.10 whose interval at 99.8 %, by a bootstrap over the blocks, lies above one." }
                }
            }
        }
    }
    .into_string()
}

const fn class(status: Status) -> &'static str {
    match status {
        Status::Regressed | Status::OverBudget => "bad",
        Status::Ok | Status::Faster => "ok",
        Status::New | Status::TooFew | Status::Unsure | Status::Elsewhere => "quiet",
    }
}

fn largest(blocks: &[Option<f64>]) -> f64 {
    blocks.iter().flatten().copied().fold(0.0, f64::max)
}

fn bars(blocks: &[Option<f64>]) -> maud::Markup {
    let (most, width) = (largest(blocks).max(1.0), 1_000.0 / count(blocks.len()).max(1.0));
    html! {
        svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="the blocks" {
            @for (nth, ns) in blocks.iter().enumerate() {
                @if let Some(ns) = ns {
                    @let height = ns / most * 100.0;
                    rect.bar x=(format!("{:.1}", width * count(nth))) width=(format!("{:.1}", width * 0.85))
                        y=(format!("{:.1}", 100.0 - height)) height=(format!("{height:.1}")) {}
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
const fn count(n: usize) -> f64 {
    n as f64
}
