//! What was found of a database: for a terminal, and as a page that needs nothing else.

use std::path::Path;

use anyhow::Context;
use comfy_table::Table;
use maud::{DOCTYPE, Markup, html as markup};
use sniper_store::tables::{Analysis, Tried};

use super::write_whole;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;\
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code,pre{font:13px/1.4 ui-monospace,monospace;\
white-space:pre-wrap;margin:0}.bad{color:#a40e26;font-weight:600}.good{color:#116329}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}.bad{color:#ff7b72}.good{color:#7ee787}}";

/// Statements that were carried out, the slowest first.
fn slowest_first(found: &Analysis) -> Vec<&Tried> {
    let mut tried: Vec<&Tried> =
        found.statements.iter().filter(|statement| statement.timing.is_some()).collect();
    tried.sort_by_key(|statement| std::cmp::Reverse(statement.timing.map(|timing| timing.p99_us)));
    tried
}

/// For a terminal.
pub(crate) fn text(found: &Analysis) -> String {
    let mut out = format!(
        "{}: schema {}, {} bytes, of them {} free\n\n",
        found.path.display(),
        found.schema,
        found.bytes,
        found.free_bytes
    );
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["statement", "rows", "p50 us", "p99 us", "max us", "plan"]);
    for tried in slowest_first(found) {
        let Some(timing) = tried.timing else { continue };
        table.add_row([
            tried.name.to_owned(),
            timing.rows.to_string(),
            timing.p50_us.to_string(),
            timing.p99_us.to_string(),
            timing.max_us.to_string(),
            tried.plan.first().cloned().unwrap_or_default(),
        ]);
    }
    out.push_str(&format!("{table}\n\n"));
    let untimed = found.statements.len() - slowest_first(found).len();
    out.push_str(&format!(
        "{untimed} more change rows: their plans were read, they were not run\n"
    ));
    for finding in &found.findings {
        let word = if finding.is_defect { "FOUND" } else { "note " };
        out.push_str(&format!("{word}  {}\n", finding.what));
        if let Some(action) = &finding.action {
            out.push_str(&format!("       --apply can {action}\n"));
        }
    }
    if found.findings.is_empty() {
        out.push_str("nothing to improve: no statement scans, and no index is missing or unused\n");
    }
    out
}

/// Writes the page, in the place of one that is there.
///
/// # Errors
///
/// When it cannot be written: one that was there stays.
pub(crate) fn html(found: &Analysis, out: &Path) -> anyhow::Result<()> {
    let page = page(found).into_string();
    let written = write_whole(out, |file| {
        file.write_all(page.as_bytes())?;
        Ok(0)
    });
    written.map(drop).context("write the report")
}

fn page(found: &Analysis) -> Markup {
    markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "Database of SniperForge" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "How the tables answer" }
                p {
                    code { (found.path.display()) } ": schema " (found.schema) ", "
                    (found.bytes) " bytes, of them " (found.free_bytes) " free; "
                    @if found.has_statistics { "with statistics." } @else { "without statistics." }
                }
                h2 { "Findings" }
                @if found.findings.is_empty() {
                    p.good { "No statement scans, and no index is missing or unused." }
                }
                ul {
                    @for finding in &found.findings {
                        li {
                            span class=(if finding.is_defect { "bad" } else { "" }) { (finding.what) }
                            @if let Some(action) = &finding.action { ": " code { "--apply" } " can " (action) }
                        }
                    }
                }
                h2 { "Statements that read, the slowest first" }
                table {
                    thead { tr {
                        th { "what" } th.n { "rows" } th.n { "p50 µs" } th.n { "p99 µs" } th.n { "max µs" } th { "plan" }
                    } }
                    tbody {
                        @for tried in slowest_first(found) {
                            @if let Some(timing) = tried.timing {
                                tr {
                                    td { details { summary { (tried.name) } pre { (tried.sql) } } }
                                    td.n { (timing.rows) } td.n { (timing.p50_us) }
                                    td.n { (timing.p99_us) } td.n { (timing.max_us) }
                                    td { @for step in &tried.plan { code { (step) } br; } }
                                }
                            }
                        }
                    }
                }
                h2 { "Statements that change rows" }
                p { "Their plans alone: they were not carried out." }
                table { tbody {
                    @for tried in found.statements.iter().filter(|tried| tried.timing.is_none()) {
                        tr {
                            td { details { summary { (tried.name) } pre { (tried.sql) } } }
                            td { @for step in &tried.plan { code { (step) } br; } }
                        }
                    }
                } }
                h2 { "Tables" }
                table { tbody {
                    @for (name, rows) in &found.tables { tr { td { (name) } td.n { (rows) } } }
                } }
            }
        }
    }
}
