//! `verify`: run a folder of reference vectors.

use std::path::PathBuf;

use anyhow::Context;

use super::Global;
use super::exit::Exit;
use super::output::report;
use crate::telemetry::safe_text;
use crate::verify::{Report, run};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Folder of vector files; folders within it are read too.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Failures shown as text; `--json` has them all.
const SHOWN: usize = 20;
/// Characters of a field or value shown as text. Vector files are not ours.
const WIDTH: usize = 120;

pub(super) fn verify(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let found = run(&args.folder)
        .with_context(|| format!("read vectors below {}", args.folder.display()))?;
    report(global.json, &found, || text(&found))?;
    Ok(if found.failed == 0 { Exit::Done } else { Exit::CheckFailed })
}

fn text(found: &Report) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["group", "cases", "passed", "failed", "skipped", "why skipped"]);
    for (name, group) in &found.by_group {
        let reasons: Vec<String> = group
            .skip_reasons
            .iter()
            .map(|(reason, count)| format!("{reason} ({count})"))
            .collect();
        table.add_row([
            safe_text(name, WIDTH),
            group.cases.to_string(),
            group.passed.to_string(),
            group.failed.to_string(),
            group.skipped.to_string(),
            reasons.join(", "),
        ]);
    }
    let mut out = format!("{table}\n");
    for failure in found.failures.iter().take(SHOWN) {
        let show = |text: &str| safe_text(text, WIDTH);
        out.push_str(&format!(
            "FAILED {} {}: {}: expected {}, got {}\n",
            show(&failure.group),
            show(&failure.id),
            show(&failure.difference.field),
            show(&failure.difference.expected),
            show(&failure.difference.got),
        ));
    }
    if found.failures.len() > SHOWN {
        out.push_str(&format!("... and {} more; --json tells all\n", found.failures.len() - SHOWN));
    }
    out.push_str(&format!(
        "{} files, {} cases: {} passed, {} failed, {} skipped\n",
        found.files, found.cases, found.passed, found.failed, found.skipped
    ));
    out
}
