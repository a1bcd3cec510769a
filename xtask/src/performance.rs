//! `cargo xtask bench`: the program's own bench and its peers, run, and `docs/performance.md` written from what they told.
//!
//! Every figure of the page comes out of those two documents and nothing is kept from an earlier run, but for what was made
//! quicker, which no run can tell: it is kept in a page of its own and put in as it stands. Figures of a build without
//! optimisation say nothing of the product and are refused.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// A limit that does not hold, in the program's and the peers' exit codes.
const FAILED_CHECK: i32 = 6;
/// What was found to cost most and taken out, with figures of before and after.
const MADE_QUICKER: &str = "docs/made-quicker.md";
/// A figure that takes more than this many times its floor is far from it.
const FAR: f64 = 1.5;

/// What is to be run, and where the page goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Time of each group of the program's bench, as its `--for` takes it.
    pub span: String,
    /// The sizes that limits are set for.
    pub full: bool,
    /// Pools that the peers' node knows.
    pub pools: u32,
    /// Rounds of the peers.
    pub rounds: u32,
    /// What the program's bench has told already, instead of running it.
    pub report: Option<PathBuf>,
    /// What the peers have told already, instead of running them.
    pub peers: Option<PathBuf>,
    /// The page.
    pub out: PathBuf,
}

/// Runs what is not there yet and writes the page. Says whether all limits hold.
///
/// # Errors
///
/// When something cannot be built or run, tells no figures, or the page cannot be written.
pub fn run(root: &Path, plan: &Plan) -> anyhow::Result<bool> {
    let report = match &plan.report {
        Some(file) => read(file)?,
        None => told(root, &program(plan))?,
    };
    check(&report)?;
    let peers = match &plan.peers {
        Some(file) => read(file)?,
        None => told(root, &peers(plan))?,
    };
    let made = root.join(MADE_QUICKER);
    let made =
        std::fs::read_to_string(&made).with_context(|| format!("read {}", made.display()))?;
    let page = page(&report, &peers, &made)?;
    let out = root.join(&plan.out);
    std::fs::write(&out, page).with_context(|| format!("write {}", out.display()))?;
    eprintln!("written: {}", out.display());
    let holds = |all: &Value, name| {
        list(all.get(name)).iter().all(|row| row.get("ok") == Some(&true.into()))
    };
    Ok(holds(&report, "rows") && holds(&peers, "peers"))
}

fn program(plan: &Plan) -> Vec<String> {
    let args = ["run", "--release", "--locked", "--package", "sniperforge", "--bin", "sniperforge"];
    let mut args: Vec<String> = args.map(str::to_owned).into();
    args.extend(["--", "bench", "--local", "--json", "--for", &plan.span].map(str::to_owned));
    args.extend(plan.full.then(|| "--full".to_owned()));
    args
}

/// They belong to a workspace of their own.
fn peers(plan: &Plan) -> Vec<String> {
    let args = ["run", "--release", "--locked", "--manifest-path", "benches/Cargo.toml"];
    let mut args: Vec<String> = args.map(str::to_owned).into();
    args.extend(["--target-dir", "target/benches", "--", "--json", "--pools"].map(str::to_owned));
    args.extend([plan.pools.to_string(), "--rounds".to_owned(), plan.rounds.to_string()]);
    args
}

/// Runs cargo and reads the document that its program prints. That a limit does not hold is told within.
fn told(root: &Path, args: &[String]) -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root).stderr(std::process::Stdio::inherit());
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() && output.status.code() != Some(FAILED_CHECK) {
        bail!("{command:?} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("read what {command:?} told"))
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", file.display()))
}

/// Whether the report is one to publish.
fn check(report: &Value) -> anyhow::Result<()> {
    let build = report.pointer("/machine/build").and_then(Value::as_str);
    let build = build.context("the report names no machine")?;
    ensure!(
        build == "release",
        "these figures are of a {build} build and say nothing of the product"
    );
    ensure!(!list(report.get("rows")).is_empty(), "the report has no rows");
    Ok(())
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// A figure with as many digits as tell something.
fn shown(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(x) if x.abs() >= 1_000.0 => format!("{x:.0}"),
        Some(x) if x.abs() >= 100.0 => format!("{x:.1}"),
        Some(x) if x.abs() >= 1.0 => format!("{x:.2}"),
        Some(x) => format!("{x:.4}"),
    }
}

/// The page, from what the program and the peers told, and what was made quicker.
///
/// # Errors
///
/// When the report is not of a release build, or holds no rows.
pub fn page(report: &Value, peers: &Value, made: &str) -> anyhow::Result<String> {
    check(report)?;
    let mut out = String::from(
        "# Performance report\n\nWritten by `cargo xtask bench`; do not edit. What was measured by hand, and how it came to be so, \
         stands in [`perf.md`](perf.md).\n\n",
    );
    head(&mut out, report)?;
    let rows = list(report.get("rows"));
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&text(row, "group")) {
            groups.push(text(row, "group"));
        }
    }
    for group in groups {
        let of: Vec<&Value> = rows.iter().filter(|row| text(row, "group") == group).collect();
        table(&mut out, group, &of)?;
    }
    beside_peers(&mut out, peers)?;
    growth(&mut out, rows)?;
    // A page of its own has its title one level up.
    writeln!(out, "#{}\n", made.trim())?;
    open(&mut out, rows)?;
    method(&mut out, report)?;
    Ok(out)
}

fn head(out: &mut String, report: &Value) -> anyhow::Result<()> {
    let machine = &report["machine"];
    let name = |field: &str| machine[field].as_str().unwrap_or("-").to_owned();
    let count = |verdict: &str| {
        list(report.get("rows")).iter().filter(|row| text(row, "verdict") == verdict).count()
    };
    writeln!(
        out,
        "Measured on {} in {} s: {} cores of {}, {} MB, {}, load {} at the end. What needs a chain: {}.\n",
        text(report, "date"),
        shown(&report["seconds"]),
        machine["cores"],
        name("cpu"),
        machine["memory_mb"],
        name("system"),
        shown(&machine["load"]),
        text(report, "chain"),
    )?;
    writeln!(
        out,
        "{} held, **{} missed**, {} told with nothing held against them, {} not measured; {} runs rejected, since their floor was \
         dirty.\n",
        count("ok"),
        count("missed"),
        count("told"),
        count("not_measured"),
        list(report.get("rejected")).len(),
    )?;
    Ok(())
}

fn table(out: &mut String, group: &str, rows: &[&Value]) -> anyhow::Result<()> {
    writeln!(out, "## {group}\n")?;
    writeln!(out, "| metric | value | unit | target | floor | of floor | verdict |")?;
    writeln!(out, "|---|---:|---|---:|---:|---:|---|")?;
    for row in rows {
        let side = if text(row, "side") == "at_least" { "≥" } else { "≤" };
        let target = match &row["limit"] {
            Value::Null => "-".to_owned(),
            limit => format!("{side} {}", shown(limit)),
        };
        let mut ratio = shown(&row["ratio_to_floor"]);
        if ratio != "-" {
            ratio.push_str(" x");
        }
        if let Some(most) = row["floor_times"].as_f64() {
            write!(ratio, " (≤ {most})")?;
        }
        let verdict = match text(row, "verdict") {
            "missed" => "**missed**".to_owned(),
            "told" => String::new(),
            other => other.replace('_', " "),
        };
        let metric = text(row, "metric");
        writeln!(
            out,
            "| `{metric}` | {} | {} | {target} | {} | {ratio} | {verdict} |",
            shown(&row["value"]),
            text(row, "unit"),
            shown(&row["floor"]),
        )?;
    }
    out.push('\n');
    let mut last = "";
    for row in rows {
        let why = text(row, "why");
        if !why.is_empty() && why != last {
            writeln!(out, "- `{}`: {why}", text(row, "metric"))?;
            last = why;
        }
    }
    if !last.is_empty() {
        out.push('\n');
    }
    Ok(())
}

fn beside_peers(out: &mut String, peers: &Value) -> anyhow::Result<()> {
    writeln!(out, "## Beside peers\n")?;
    writeln!(
        out,
        "In turns in one run, medians of {} rounds, by time that the process ran.\n",
        peers["rounds"]
    )?;
    writeln!(
        out,
        "| what | unit | ours | peer | its figure | times ours | least to most | target | verdict |"
    )?;
    writeln!(out, "|---|---|---:|---|---:|---:|---:|---:|---|")?;
    for row in list(peers.get("peers")) {
        let (target, verdict) = match &row["limit"] {
            Value::Null => ("-".to_owned(), ""),
            limit if row["ok"] == true => (format!("≥ {}", shown(limit)), "ok"),
            limit => (format!("≥ {}", shown(limit)), "**missed**"),
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} to {} | {target} | {verdict} |",
            text(row, "what"),
            text(row, "unit"),
            shown(&row["ours"]),
            text(row, "peer_name"),
            shown(&row["peer"]),
            shown(&row["ratio"]),
            shown(&row["ratio_least"]),
            shown(&row["ratio_most"]),
        )?;
    }
    out.push('\n');
    Ok(())
}

/// Rows that show the same with less and with more of something.
const GROWING: [(&str, &[&str]); 5] = [
    ("pools: an update", &["scan.update.pools_1000", "scan.update.pools_100000"]),
    ("pools: memory", &["memory.idle", "memory.pools_10000", "memory.pools_100000"]),
    ("symbols: a candle", &["signals.candle.symbols_2", "signals.candle.symbols_64"]),
    ("strategies: one, and all four", &["signals.trend.decision.p99", "signals.together.p99"]),
    ("history: a page of trades", &["db.history_page.p50", "db.history_page.p99"]),
];

fn growth(out: &mut String, rows: &[Value]) -> anyhow::Result<()> {
    writeln!(out, "## How cost grows\n")?;
    for (what, metrics) in GROWING {
        let figures: Vec<String> = metrics
            .iter()
            .filter_map(|metric| rows.iter().find(|row| text(row, "metric") == *metric))
            .filter(|row| !row["value"].is_null())
            .map(|row| {
                format!("`{}` {} {}", text(row, "metric"), shown(&row["value"]), text(row, "unit"))
            })
            .collect();
        if figures.len() == metrics.len() {
            writeln!(out, "- {what}: {}", figures.join(", "))?;
        } else {
            writeln!(out, "- {what}: not all of {} was measured", metrics.join(", "))?;
        }
    }
    out.push('\n');
    Ok(())
}

/// What is missed, was not measured, or lies far from its floor, the farthest first.
fn open(out: &mut String, rows: &[Value]) -> anyhow::Result<()> {
    writeln!(out, "## What is still open\n")?;
    for row in rows.iter().filter(|row| row["ok"] == false) {
        let why = if row["value"].is_null() { text(row, "why") } else { "missed" };
        writeln!(out, "- `{}`: {why}", text(row, "metric"))?;
    }
    let mut far: Vec<(f64, &Value)> = rows
        .iter()
        .filter_map(|row| Some((row["ratio_to_floor"].as_f64()?, row)))
        .filter(|(ratio, _)| *ratio > FAR)
        .collect();
    far.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (ratio, row) in far {
        let why = match text(row, "why") {
            "" => "why is not told yet",
            why => why,
        };
        writeln!(out, "- `{}` takes {ratio:.2} times its floor: {why}", text(row, "metric"))?;
    }
    out.push('\n');
    Ok(())
}

fn method(out: &mut String, report: &Value) -> anyhow::Result<()> {
    out.push_str(
        "## Method\n\n\
         - Floor and subject take turns in one run, so that a busy moment strikes both. “Of floor” is how many times as much time as \
         the floor the subject takes.\n\
         - A load comes at a steady rate whether answers come or not; each time is counted from the moment that the request was \
         to be sent.\n\
         - A run whose floor spreads or drifts beyond its bounds is rejected and made again, three times at most; then the row says \
         so in the place of its figure.\n\
         - One machine, one run, a release build. Compare ratios, not times, with those of another machine.\n",
    );
    let rejected = list(report.get("rejected"));
    if !rejected.is_empty() {
        out.push_str("\nRuns that did not count:\n\n");
    }
    for of in rejected {
        writeln!(out, "- {}, run {}: {}", text(of, "what"), of["run"], text(of, "why"))?;
    }
    Ok(())
}
