//! The performance view: where the time of the last trades went, stages against what is expected of them, endpoints, feeds
//! and memory.
//!
//! It is a page of its own, whole as the server writes it; a script fetches it again and puts the new part in the place of
//! the old one. Pictures are drawn here: attributes alone, no styles.

use maud::{DOCTYPE, Markup, html};

use super::format as f;
use super::page::ICON;
use crate::telemetry::{
    Expected, NamedSummary, Stage, StageSummary, View, WaterfallView, safe_text, time_of_day_utc,
};

/// Shortest and longest time on the scale of histograms, in powers of ten of a microsecond.
const SCALE: [f64; 2] = [-1.5, 7.0];
/// Bars of a histogram.
const BARS: usize = 68;
const TEXT_CHARS_MAX: usize = 64;

/// The whole page.
pub(super) fn render(view: &View) -> Markup {
    let performance = &view.performance;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Performance · SniperForge" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href="/page.css";
                link rel="stylesheet" href="/performance.css";
                script src="/performance.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the numbers" }
                header {
                    div.bar-top {
                        h1 {
                            svg.mark viewBox="0 0 16 16" aria-hidden="true" { path d="M2 11l3-4 3 2 5-6" {} }
                            "SniperForge"
                        }
                        nav aria-label="Views" { a href="/" { "Trading" } a href="/performance" aria-current="page" { "Performance" } }
                        span.badge { (view.mode.as_str()) }
                        span.grow {}
                        span #conn.badge.still role="status" { "snapshot " (time_of_day_utc(view.at_ms)) }
                    }
                }
                main #main {
                    (alerts(view))
                    (tiles(view))
                    (ways(&performance.ways))
                    (stages(view))
                    (strategies(view))
                    (memory(view))
                    (endpoints(view))
                    (feeds(view))
                    (named("Services", "service", &performance.apis))
                    (named("Database", "query", &performance.queries))
                }
                footer {
                    span { "SniperForge " (view.version) }
                    span { "Times are UTC, counted since the start. The same figures: /metrics, /api/view." }
                }
            }
        }
    }
}

fn foreign(text: &str) -> String {
    safe_text(text, TEXT_CHARS_MAX)
}

fn alerts(view: &View) -> Markup {
    html! {
        @for regression in &view.performance.regressions {
            p.regressed role="alert" {
                (regression.stage) " takes " (format!("{:.0} %", (regression.change.ratio - 1.0) * 100.0))
                " longer than " @if regression.is_budget { "its budget" } @else { "was measured" }
                ", at least " (format!("{:.0} %", (regression.change.low - 1.0) * 100.0))
                ", since " (time_of_day_utc(regression.since_ms))
            }
        }
    }
}

fn tiles(view: &View) -> Markup {
    let performance = &view.performance;
    let (throughput, resources) = (&performance.throughput, &performance.resources);
    let tile = |label: &str, value: String, below: String| {
        html! { div.tile { dt { (label) } dd.value { (value) } dd.below { (below) } } }
    };
    let one = |x: f64| format!("{x:.1}");
    html! {
        dl.tiles aria-label="Key figures" {
            (tile("Trades a minute", one(throughput.trades_per_minute), format!("{} landed", f::count(view.orders.landed))))
            (tile("Events a second", one(throughput.events_per_second), format!("{} in all", f::count(view.health.events))))
            (tile("API calls a second", one(throughput.api_calls_per_second), "endpoints and services".to_owned()))
            (tile("Queries a second", one(throughput.queries_per_second), format!("{} rows dropped", f::count(view.health.store_dropped))))
            (tile("Processor", format!("{:.1} %", performance.cpu_percent), format!("of a core; {} threads, {} files", resources.threads, resources.descriptors)))
            (tile("Memory", format!("{:.1} MB", view.rss_mb), format!("peak {:.1} MB", view.rss_peak_mb)))
        }
    }
}

/// The class that colours a stage.
fn colour(stage: &str) -> &'static str {
    match stage {
        "feed.delivery" => "c-feed",
        "step" => "c-step",
        "build" => "c-build",
        "sign" => "c-sign",
        "journal" => "c-journal",
        "send" => "c-send",
        _ => "c-confirm",
    }
}

fn ways(ways: &[WaterfallView]) -> Markup {
    html! {
        section.ways aria-labelledby="h-ways" {
            h2 #h-ways { "The last trades, stage by stage" }
            @if ways.is_empty() { p.none { "no trade has landed yet; on paper nothing is sent" } }
            @else {
                p.legend aria-hidden="true" {
                    @for stage in [Stage::FeedDelivery, Stage::Step, Stage::Build, Stage::Sign, Stage::Journal, Stage::Send, Stage::Confirm] {
                        span { svg viewBox="0 0 10 10" { rect class=(colour(stage.as_str())) width="10" height="10" rx="2" {} } (stage.as_str()) }
                    }
                }
                @for way in ways { (one_way(way)) }
            }
        }
    }
}

/// Our own part, from the event to the send, fills the first line; the second is the whole, nearly all of it the chain's.
fn one_way(way: &WaterfallView) -> Markup {
    let sent = way.spans.iter().find(|(stage, ..)| *stage == Stage::Confirm.as_str());
    let ours = sent.map_or(way.total_us, |(_, from, _)| *from).max(0.001);
    let send = way.spans.iter().find(|(stage, ..)| *stage == Stage::Send.as_str());
    let ours = ours + send.map_or(0.0, |(_, _, took)| *took);
    let whole = way.total_us.max(0.001);
    let bar = |from: f64, took: f64, scale: f64, stage: &str| {
        html! {
            rect class=(colour(stage)) x=(place(from / scale)) width=(place((took / scale).max(0.0015))) y="0" height="10" {
                title { (stage) " " (f::latency(took)) }
            }
        }
    };
    html! {
        div.way {
            span.when { (time_of_day_utc(way.at_ms)) " " b { (foreign(&way.strategy)) } }
            span.what { (f::latency(ours)) " ours, " (f::latency(whole)) " in all" }
            svg.ours viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="until it was sent" {
                @for (stage, from, took) in way.spans.iter().filter(|(stage, ..)| *stage != Stage::Confirm.as_str()) {
                    (bar(*from, *took, ours, stage))
                }
            }
            svg.whole viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="until it landed" {
                @for (stage, from, took) in &way.spans { (bar(*from, *took, whole, stage)) }
            }
            span.parts {
                @for (stage, _, took) in &way.spans { span { (stage) " " b { (f::latency(*took)) } } }
            }
        }
    }
}

/// A share as a place on a scale of a thousand.
fn place(share: f64) -> String {
    format!("{:.1}", share.clamp(0.0, 1.0) * 1_000.0)
}

/// Where a time lies on the scale of histograms, from 0 to 1.
fn at(us: f64) -> f64 {
    let [least, most] = SCALE;
    ((us.max(0.001).log10() - least) / (most - least)).clamp(0.0, 1.0)
}

fn stages(view: &View) -> Markup {
    let performance = &view.performance;
    let rows = Stage::ALL.iter().filter_map(|stage| {
        let name = stage.as_str();
        Some((name, view.latency.get(name)?, performance.shapes.get(name)))
    });
    let regressed = |name: &str| performance.regressions.iter().any(|r| r.stage == name);
    html! {
        section.stages aria-labelledby="h-stages" {
            h2 #h-stages { "Stages against what is expected of them" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-stages" {
                table {
                    thead { tr {
                        th scope="col" { "Stage" } th.shape scope="col" { "Histogram" }
                        th.num scope="col" { "p50" } th.num scope="col" { "p95" } th.num scope="col" { "p99" }
                        th.num.opt scope="col" { "Max" } th.num.opt scope="col" { "Count" }
                        th.num.opt scope="col" { "Measured" } th.num.opt scope="col" { "Budget" }
                    } }
                    tbody {
                        @for (name, of, shape) in rows {
                            @let expected = performance.baselines.get(name).copied().unwrap_or_default();
                            tr {
                                td class={ "key " (if regressed(name) { "bad" } else { "" }) } { (name) }
                                td.shape { (picture(shape.map_or(&[][..], Vec::as_slice), of, expected)) }
                                td.num { (f::latency(of.p50)) } td.num { (f::latency(of.p95)) } td.num { (f::latency(of.p99)) }
                                td.num.opt { (f::latency(of.max)) } td.num.opt { (f::count(of.count)) }
                                td.num.opt { (expected.p50_us.map_or("-".to_owned(), f::latency)) }
                                td.num.opt { (expected.budget_us.map_or("-".to_owned(), f::latency)) }
                            }
                        }
                        @if view.latency.is_empty() { tr { td.none colspan="9" { "nothing timed yet" } } }
                    }
                }
            }
            p.note {
                "Histograms go from 0.1 \u{b5}s to 10 s in steps of ten, their bars by fourth roots. Marks: " span.m-p50 { "p50" } ", " span.m-base { "measured" } ", " span.m-budget { "budget" } ". Not part of this engine: "
                (Stage::ABSENT.map(|(name, _)| name).join(", ")) "."
            }
        }
    }
}

/// Bars on a scale of powers of ten, and marks on it.
fn picture(shape: &[(f64, u64)], of: &StageSummary, expected: Expected) -> Markup {
    let mut bars = [0_u64; BARS];
    for (us, count) in shape {
        let bar = bars.get_mut(index(at(*us)));
        if let Some(bar) = bar {
            *bar = bar.saturating_add(*count);
        }
    }
    // By roots, so that a tail of one in ten thousand is still seen.
    let tall = |count: u64| number(count).sqrt().sqrt();
    let most = bars.iter().copied().map(tall).fold(1.0, f64::max);
    let width = 1_000.0 / number(BARS as u64);
    let mark = |us: f64| {
        let x = place(at(us));
        format!("M{x} 0V100")
    };
    html! {
        svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"
            aria-label={ "half within " (f::latency(of.p50)) ", 99 of 100 within " (f::latency(of.p99)) } {
            path.grid d="M176 0V100M294 0V100M412 0V100M529 0V100M647 0V100M765 0V100M882 0V100" {}
            @for (nth, count) in (0_u64..).zip(bars) {
                @if count > 0 {
                    @let height = tall(count) / most * 100.0;
                    rect.hist x=(format!("{:.1}", width * number(nth))) width=(format!("{:.1}", width * 0.9))
                        y=(format!("{:.1}", 100.0 - height)) height=(format!("{height:.1}")) {}
                }
            }
            path.p50 d=(mark(of.p50)) {}
            @if let Some(us) = expected.p50_us { path.base d=(mark(us)) {} }
            @if let Some(us) = expected.budget_us { path.budget d=(mark(us)) {} }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share times the number of bars"
)]
fn index(share: f64) -> usize {
    ((share * number(BARS as u64)) as usize).min(BARS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
const fn number(n: u64) -> f64 {
    n as f64
}

fn memory(view: &View) -> Markup {
    let points = &view.performance.memory;
    let (first, last) = (points.first(), points.last());
    let most = points.iter().map(|(_, mb)| *mb).fold(1.0, f64::max) * 1.1;
    let path = match (first, last) {
        (Some((from, _)), Some((to, _))) if to > from => {
            let span = number(to.abs_diff(*from));
            let mut path = String::new();
            for (t, mb) in points {
                let x = number(t.abs_diff(*from)) / span * 1_000.0;
                let y = 100.0 - mb / most * 100.0;
                path.push_str(&format!("{}{x:.1} {y:.2}", if path.is_empty() { "M" } else { "L" }));
            }
            path
        }
        _ => String::new(),
    };
    html! {
        section.memory aria-labelledby="h-memory" {
            h2 #h-memory { "Memory over the run" }
            svg.curve viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="resident memory" {
                path.grid d="M0 0H1000M0 50H1000M0 100H1000" {}
                @if !path.is_empty() {
                    path.area d={ (path) "V100H0Z" } {}
                    path.line d=(path) {}
                }
            }
            p.note.ends {
                span { (first.map_or_else(String::new, |(t, _)| time_of_day_utc(*t))) }
                span { "0 to " (format!("{most:.1} MB")) }
                span { (last.map_or_else(String::new, |(t, _)| time_of_day_utc(*t))) }
            }
            dl.lines {
                div { dt { "Major page faults" } dd { (f::count(view.performance.resources.major_faults)) } }
                div { dt { "Network, all interfaces" } dd {
                    (f::bytes(view.performance.resources.network_received_bytes)) " in, "
                    (f::bytes(view.performance.resources.network_sent_bytes)) " out" } }
                div { dt { "Disk" } dd {
                    (f::bytes(view.performance.resources.disk_read_bytes)) " read, "
                    (f::bytes(view.performance.resources.disk_written_bytes)) " written" } }
                div { dt { "Lines of metrics lost" } dd { (f::count(view.performance.metrics_lost)) } }
            }
        }
    }
}

fn strategies(view: &View) -> Markup {
    let shown = [
        Stage::Strategy,
        Stage::SignalMa,
        Stage::Sizing,
        Stage::Quote,
        Stage::Risk,
        Stage::Confirm,
        Stage::FullTrade,
    ];
    html! {
        section.by-strategy aria-labelledby="h-by-strategy" {
            h2 #h-by-strategy { "By strategy: p50 and p99" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-by-strategy" {
                table {
                    thead { tr { th scope="col" { "Strategy" } @for stage in shown { th.num scope="col" { (stage.as_str()) } } } }
                    tbody {
                        @for strategy in &view.performance.strategies {
                            tr {
                                td.key { (foreign(&strategy.name)) }
                                @for stage in shown {
                                    td.num {
                                        @if let Some(of) = strategy.stages.get(stage.as_str()) {
                                            (f::latency(of.p50)) " · " span.dim { (f::latency(of.p99)) }
                                        } @else { "-" }
                                    }
                                }
                            }
                        }
                        @if view.performance.strategies.is_empty() { tr { td.none colspan="8" { "nothing timed yet" } } }
                    }
                }
            }
        }
    }
}

fn endpoints(view: &View) -> Markup {
    html! {
        section.nodes aria-labelledby="h-nodes" {
            h2 #h-nodes { "Endpoints, last two minutes" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-nodes" {
                table {
                    thead { tr { @for (title, class) in [("Endpoint", ""), ("p50", "num"), ("p95", "num"), ("p99", "num"), ("Max", "num opt"), ("Lag", "num"), ("Errors", "num"), ("Requests", "num opt")] {
                        th scope="col" class=(class) { (title) }
                    } } }
                    tbody {
                        @for node in &view.endpoints {
                            tr {
                                td class={ "key " (if node.healthy { "" } else { "bad" }) } { (foreign(&node.name)) }
                                td.num { (f::latency(node.p50_us)) } td.num { (f::latency(node.p95_us)) } td.num { (f::latency(node.p99_us)) }
                                td.num.opt { (f::latency(node.max_us)) } td.num { (f::count(node.slot_lag)) }
                                td.num { (f::percent(node.error_bps)) } td.num.opt { (f::count(node.requests)) }
                            }
                        }
                        @if view.endpoints.is_empty() { tr { td.none colspan="8" { "no endpoint" } } }
                    }
                }
            }
        }
    }
}

fn feeds(view: &View) -> Markup {
    html! {
        section.streams aria-labelledby="h-streams" {
            h2 #h-streams { "Feeds: later than the first to tell" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-streams" {
                table {
                    thead { tr { @for (title, class) in [("Connection", ""), ("First", "num"), ("p50", "num opt"), ("p95", "num"), ("p99", "num"), ("Ping", "num opt"), ("Age", "num")] {
                        th scope="col" class=(class) { (title) }
                    } } }
                    tbody {
                        @for feed in &view.health.feeds {
                            @let first = feed.first.saturating_mul(10_000) / feed.samples.max(1);
                            tr {
                                td class={ "key " (if feed.stale { "bad" } else { "" }) } { (foreign(&feed.name)) }
                                td.num { (f::percent(u32::try_from(first).unwrap_or(10_000))) }
                                td.num.opt { (f::latency(feed.late_p50_us)) } td.num { (f::latency(feed.late_p95_us)) } td.num { (f::latency(feed.late_p99_us)) }
                                td.num.opt { (f::latency(feed.round_trip_us)) } td.num { (f::age(feed.age_ms)) }
                            }
                        }
                        @if view.health.feeds.is_empty() { tr { td.none colspan="7" { "no feed" } } }
                    }
                }
            }
        }
    }
}

fn named(title: &str, what: &str, each: &[NamedSummary]) -> Markup {
    let heading = format!("h-{what}");
    html! {
        section.named aria-labelledby=(heading) {
            h2 id=(heading) { (title) }
            div.scroll tabindex="0" role="region" aria-labelledby=(heading) {
                table {
                    thead { tr { th scope="col" { (what) } th.num.opt scope="col" { "Count" } th.num scope="col" { "p50" } th.num scope="col" { "p95" } th.num scope="col" { "p99" } } }
                    tbody {
                        @for of in each {
                            tr {
                                td.key { (foreign(&of.name)) } td.num.opt { (f::count(of.summary.count)) }
                                td.num { (f::latency(of.summary.p50)) } td.num { (f::latency(of.summary.p95)) } td.num { (f::latency(of.summary.p99)) }
                            }
                        }
                        @if each.is_empty() { tr { td.none colspan="5" { "none yet" } } }
                    }
                }
            }
        }
    }
}
