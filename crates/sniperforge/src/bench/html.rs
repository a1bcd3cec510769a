//! The report as one HTML file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Report, held, of_floor, shown};
use super::row::{Row, Verdict};

const CSS: &str = "
:root{color-scheme:light dark;--g:#f3f5f7;--p:#fff;--e:#d9dee4;--t:#17202a;--s:#56616e;--a:#1f62c4;--b:#c0272d;--o:#0c7a43}
@media(prefers-color-scheme:dark){:root{--g:#0d1117;--p:#141a22;--e:#27303b;--t:#dfe6ee;--s:#93a1b0;--a:#6ea8fe;--b:#ff7b7b;--o:#4cc38a}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1180px;padding:16px;background:var(--g);color:var(--t);font:14px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
section{background:var(--p);border:1px solid var(--e);border-radius:6px;margin:12px 0;padding:10px 14px;overflow-x:auto}
h1{font-size:20px;margin:8px 0}h2{font-size:14px;margin:0 0 6px}h2 small{color:var(--s);font-weight:400}table{border-collapse:collapse;width:100%;min-width:960px;table-layout:fixed}
th,td{padding:3px 8px;text-align:right;white-space:nowrap;border-top:1px solid var(--e)}th{color:var(--s);font-weight:500;border-top:0}
th:first-child,td:first-child{text-align:left;width:23%}th:nth-child(3),td:nth-child(3){text-align:left;width:10%}th:nth-child(4){width:15%}th:nth-child(5){width:150px}th:nth-child(7){width:13%}th:nth-child(8){width:11%}td.why{text-align:left;white-space:normal;color:var(--s);border-top:0;padding-top:0}
.bad{color:var(--b);font-weight:600}.ok{color:var(--o)}.quiet{color:var(--s)}p{margin:4px 0}
svg{width:130px;height:10px;vertical-align:middle}.bar{fill:var(--a)}.over{fill:var(--b)}.unjudged{fill:var(--s)}.all{fill:var(--e)}ul{margin:4px 0;padding-left:18px}
";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let missed = report.rows.iter().filter(|row| !row.ok()).count();
    let verdict = if missed == 0 {
        ("ok", "nothing that was measured and must hold is broken".to_owned())
    } else {
        ("bad", format!("{missed} of what must hold is not shown to hold"))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "SniperForge: performance report" }
                style { (PreEscaped(CSS)) }
            }
            body {
                h1 { "Performance report" }
                p.quiet { (report.date) " · " (report.machine.to_string()) }
                p class=(verdict.0) { (verdict.1) }
                p { (report.summary()) ". What needs a chain: " (report.chain) "." }
                @for group in groups(report) { (section(group, report)) }
                @if !report.rejected.is_empty() {
                    section {
                        h2 { "Runs that did not count" }
                        ul { @for of in &report.rejected { li { (of.what) ", run " (of.run) ": " (of.why) } } }
                    }
                }
                section {
                    h2 { "How it was measured" }
                    p { "Floor and subject take turns in one run. A load comes at a steady rate, and each time is counted from the
                        moment that the request was to be sent." }
                    p { "A run whose floor spreads or drifts beyond its bounds is rejected and made again, three times at most." }
                    p { "The bar is the figure by what it may be: full is the most that holds. A floor is told in the unit of its
                        figure; “of floor” is how many times as much time as the floor takes." }
                    p { "Speed is judged of release builds alone." }
                }
            }
        }
    }
    .into_string()
}

/// Groups in the order of their first row.
fn groups(report: &Report) -> Vec<&str> {
    let mut groups: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !groups.contains(&row.group()) {
            groups.push(row.group());
        }
    }
    groups
}

fn section(group: &str, report: &Report) -> Markup {
    let rows = || report.rows.iter().filter(move |row| row.group() == group);
    let bad = rows().filter(|row| !row.ok()).count();
    html! {
        section {
            h2 { (group) " " small { (rows().count()) " rows" @if bad > 0 { ", " span.bad { (bad) " not held" } } } }
            table {
                tr {
                    th { "metric" } th { "value" } th { "unit" } th { "target" } th { "" }
                    th { "floor" } th { "of floor" } th { "verdict" }
                }
                @for (row, is_new) in rows().zip(new_reasons(rows())) {
                    tr {
                        td { (row.metric) } td { (shown(row.value)) } td { (row.unit) } td { (held(row)) }
                        td { (bar(row)) } td { (shown(row.floor)) } td { (of_floor(row)) }
                        td class=(class(row)) { (row.verdict().text()) }
                    }
                    @if let Some(why) = row.why.as_ref().filter(|_| is_new) { tr { td.why colspan="8" { (why) } } }
                }
            }
        }
    }
}

/// Whether the next row has another reason than this one: the last of several with the same says it.
fn new_reasons<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Vec<bool> {
    let next = rows.clone().skip(1).map(|row| row.why.as_ref()).chain([None]);
    rows.zip(next).map(|(row, next)| row.why.as_ref() != next).collect()
}

fn class(row: &Row) -> &'static str {
    match row.verdict() {
        Verdict::Ok => "ok",
        _ if !row.ok() => "bad",
        _ => "quiet",
    }
}

/// The figure by what it may be; two times as much is as far as it goes.
fn bar(row: &Row) -> Markup {
    let by_floor = row.floor_times.and_then(|most| Some(row.ratio_to_floor()? / most));
    let Some(part) = row.ratio_to_limit().into_iter().chain(by_floor).reduce(f64::max) else {
        return html! {};
    };
    let colour = match row.verdict() {
        Verdict::NotJudged => "unjudged",
        _ if part > 1.0 => "over",
        _ => "bar",
    };
    let width = format!("{:.1}", part.clamp(0.0, 2.0) * 50.0);
    html! {
        svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=(format!("{:.0} percent of what it may be", part * 100.0)) {
            rect.all x="0" y="0" width="50" height="10" {}
            rect class=(colour) x="0" y="2" height="6" width=(width) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn the_page_holds_every_row_and_asks_nobody_for_anything() {
        let page = page(&example());
        for text in ["rpc.hedged.p99", "MISSED", "needs --full", "quote, run 1", "2.00 x"] {
            assert!(page.contains(text), "{text}");
        }
        for outside in ["http:", "https:", "<script", "<link", "@import", "url(", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
