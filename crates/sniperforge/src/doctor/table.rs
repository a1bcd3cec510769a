//! The report for a terminal.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{EndpointRow, Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in &report.checks {
        let ok = if check.ok { "ok  " } else { "FAIL" };
        out.push_str(&format!("{ok}  {:<width$}  {}\n", check.name, check.detail));
    }
    if report.endpoints.iter().any(|row| row.reachable) {
        out.push_str(&format!("\n{}\n", endpoints(&report.endpoints)));
        out.push_str(&format!("\n{}\n", methods(&report.endpoints)));
    }
    let of_one = report
        .endpoints
        .iter()
        .flat_map(|row| row.advice.iter().map(move |advice| format!("{}: {advice}", row.name)));
    let advice: Vec<String> = of_one.chain(report.advice.iter().cloned()).collect();
    if !advice.is_empty() {
        out.push_str("\nadvice\n");
        advice.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
    }
    out
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn shown(value: Option<impl ToString>) -> Cell {
    right(value.map_or_else(|| "-".to_owned(), |value| value.to_string()))
}

fn millis(value: Option<f64>) -> Cell {
    shown(value.map(|value| format!("{value:.1}")))
}

fn endpoints(rows: &[EndpointRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "endpoint",
        "verdict",
        "version",
        "slot",
        "behind",
        "HTTP",
        "batch",
        "notices",
        "missed",
        "later p50 ms",
        "p95 ms",
        "429 at rate",
    ]);
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Good => "good",
            Verdict::Usable => "usable",
            Verdict::Refuse => "REFUSE",
        };
        let feed = row.feed.as_ref();
        table.add_row([
            Cell::new(&row.name),
            Cell::new(verdict),
            shown(row.version.as_ref()),
            shown(row.slot),
            shown(row.lag_slots),
            shown(row.http),
            shown(row.batch.map(|batch| if batch { "yes" } else { "no" })),
            shown(feed.map(|feed| feed.slots + feed.account_notices)),
            shown(feed.map(|feed| feed.missed)),
            millis(feed.and_then(|feed| feed.delay_p50_ms)),
            millis(feed.and_then(|feed| feed.delay_p95_ms)),
            shown(
                row.limit
                    .as_ref()
                    .map(|limit| format!("{} at {}/s", limit.refused, limit.requests_per_second)),
            ),
        ]);
    }
    table
}

/// A line for each method, with p50, p95 and p99 of each endpoint that was asked.
fn methods(rows: &[EndpointRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let asked: Vec<_> = rows.iter().filter(|row| !row.methods.is_empty()).collect();
    let mut header = vec!["p50 / p95 / p99 ms".to_owned()];
    header.extend(asked.iter().map(|row| row.name.clone()));
    table.set_header(header);
    let names = asked.first().map(|row| row.methods.iter().map(|m| m.method)).into_iter().flatten();
    for (nth, name) in names.enumerate() {
        let mut cells = vec![Cell::new(name)];
        cells.extend(asked.iter().map(|row| {
            let Some(method) = row.methods.get(nth) else { return right("-".to_owned()) };
            let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
            let failed = match method.failed {
                0 => String::new(),
                failed => format!(" ({failed} of {} failed)", failed + method.answers),
            };
            right(format!(
                "{} / {} / {}{failed}",
                ms(method.p50_ms),
                ms(method.p95_ms),
                ms(method.p99_ms)
            ))
        }));
        table.add_row(cells);
    }
    table
}
