//! What a maintainer runs: `cargo xtask ci` before a commit leaves the house.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use xtask::fuzz::{NoTarget, Plan};

/// Something was asked for that does not exist.
const USAGE: u8 = 2;
/// A check did not hold: an input that crashes, or a limit of a measurement.
const FAILED_CHECK: u8 = 6;

/// What a maintainer runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Everything that continuous integration checks, and documentation and licences besides.
    Ci,
    /// The house rules alone: imports, file length, links. Seconds.
    Tidy,
    /// Hostile bytes for every decoder, every quote and the engine. Exit code 6 on a crash.
    Fuzz {
        /// How long, over all targets together: a number and `s`, `m` or `h`.
        #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
        time: Duration,
        /// One target alone, as the table names it.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
    /// Reads, the feed and the engine behind fault proxies: what bad nodes do to them. Exit code 6 when one does not
    /// bear it.
    Chaos {
        /// Report as one JSON document on standard output.
        #[arg(long)]
        json: bool,
        /// Each scenario for seconds, as the tests run it.
        #[arg(long)]
        short: bool,
        /// This scenario alone; may be given more than once.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
    },
    /// Hostile worlds: a chain, nodes, a disk, a clock and a process that all fail, from one seed each, and two checkers.
    /// Exit code 6 where a law was broken or a planted bug was not found.
    Simulate {
        /// How many worlds.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first.
        #[arg(long, value_name = "FIRST")]
        seed: Option<u64>,
        /// Live through the one world of `--seed` and tell its story.
        #[arg(long, requires = "seed")]
        trace: bool,
        /// Plant one bug after the other in the process: each must be found within ten thousand worlds.
        #[arg(long)]
        planted: bool,
        /// Plant this bug.
        #[arg(long, value_name = "NAME")]
        bug: Option<String>,
        /// Faults that never strike, separated by commas.
        #[arg(long, value_name = "NAMES")]
        without: Option<String>,
        /// No trouble lasts longer than this.
        #[arg(long, value_name = "MICROSECONDS")]
        until_micros: Option<u64>,
        /// Report as one JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// The real process, killed with SIGKILL at random moments and at named points, and started again. Exit code 6 where
    /// it does not come back, or its ledger is not the chain's.
    Crash {
        /// How often it is killed.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        kills: u32,
        /// Which moments are drawn, and which market is traded.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The program; without it, one with fail points is built.
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
        /// Milliseconds from block to block of the local chain.
        #[arg(long, default_value_t = 400)]
        slot_ms: u32,
        /// Report as one JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Which code of the release binary lies together: watches it trade under callgrind and writes the linker script anew.
    Layout {
        /// How long it trades.
        #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
        time: Duration,
        /// The binary that is watched.
        #[arg(long, value_name = "FILE", default_value = "target/release/sniperforge")]
        binary: PathBuf,
        /// Write nothing; say how much of the script still names something.
        #[arg(long)]
        check: bool,
    },
    /// Every target measured by a release build, its peers beside it, and `docs/performance.md` written from both. Exit code 6
    /// where a limit does not hold.
    Bench {
        /// How long each group is measured.
        #[arg(long = "for", value_name = "TIME", default_value = "10s")]
        span: String,
        /// The sizes that limits are set for: a database of a million trades, a hundred thousand pools, memory for ten minutes.
        #[arg(long)]
        full: bool,
        /// Pools that the peers' node knows.
        #[arg(long, default_value_t = 20_000)]
        pools: u32,
        /// Rounds of the peers; medians are told.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// What `sniperforge bench --json` of a release build has told already, instead of running it.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// What the peers have told already, instead of running them.
        #[arg(long, value_name = "FILE")]
        peers: Option<PathBuf>,
        /// Where the page goes.
        #[arg(long, value_name = "FILE", default_value = "docs/performance.md")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Ci => ci(),
        Task::Tidy => tidy(),
        Task::Layout { time, binary, check } => {
            xtask::layout::run(root(), &xtask::layout::Plan { binary, time, check })
        }
        Task::Chaos { json, short, only } => return chaos(json, short, only),
        Task::Crash { kills, seed, binary, slot_ms, json } => {
            match crash(kills, seed, binary, slot_ms, json) {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::from(FAILED_CHECK),
                Err(error) => Err(error),
            }
        }
        Task::Simulate { seeds, seed, trace, planted, bug, without, until_micros, json } => {
            let number =
                |name: &str, value: Option<u64>| value.map(|v| [name.to_owned(), v.to_string()]);
            let text = |name: &str, value: Option<String>| value.map(|v| [name.to_owned(), v]);
            let flags = [("--trace", trace), ("--planted", planted), ("--json", json)];
            let values = [
                number("--seeds", Some(seeds)),
                number("--seed", seed),
                number("--until-micros", until_micros),
                text("--bug", bug),
                text("--without", without),
            ];
            let flags = flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
            return simulate(values.into_iter().flatten().flatten().chain(flags));
        }
        Task::Fuzz { time, target } => match xtask::fuzz::run(root(), &Plan { time, target }) {
            Ok(crashes) if crashes.is_empty() => Ok(()),
            Ok(crashes) => {
                eprintln!("xtask: {} inputs crash, see above", crashes.len());
                return ExitCode::from(FAILED_CHECK);
            }
            Err(error) => Err(error),
        },
        Task::Bench { span, full, pools, rounds, report, peers, out } => {
            let absolute = |file: PathBuf| file.canonicalize().unwrap_or(file);
            let (report, peers) = (report.map(absolute), peers.map(absolute));
            let plan = xtask::performance::Plan { span, full, pools, rounds, report, peers, out };
            match xtask::performance::run(root(), &plan) {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::from(FAILED_CHECK),
                Err(error) => Err(error),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            let usage = error.downcast_ref::<NoTarget>().is_some();
            if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// Builds the program and lets it break what is around it; its exit code says whether all held.
fn chaos(json: bool, short: bool, only: Vec<String>) -> ExitCode {
    let mut command = cargo(&["run", "--quiet", "--package", "sniperforge", "--", "chaos"]);
    command.args(json.then_some("--json")).args(short.then_some("--short"));
    command.args(only.into_iter().flat_map(|name| ["--only".to_owned(), name]));
    ended(command)
}

/// Kills engines, and prints what came of it. Says whether all came back.
fn crash(
    kills: u32,
    seed: u64,
    binary: Option<PathBuf>,
    slot_ms: u32,
    json: bool,
) -> anyhow::Result<bool> {
    let binary = match binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => xtask::crash::build(root())?,
    };
    let name = format!("crash-{seed}-{}", std::process::id());
    let folder = root().join("target").join(name);
    let plan = xtask::crash::Plan { binary, kills, seed, slot_ms, folder };
    let report = xtask::crash::run(&plan)?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(report.holds())
}

/// Builds the simulator, optimised, and lets it run; its exit code says whether all laws held.
fn simulate(args: impl Iterator<Item = String>) -> ExitCode {
    let mut command = cargo(&["run", "--quiet", "--locked", "--profile", "simulate"]);
    command.args(["--package", "sniper-core", "--example", "simulate", "--"]).args(args);
    ended(command)
}

fn ended(mut command: Command) -> ExitCode {
    match command.current_dir(root()).status() {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("xtask: start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A number of seconds, minutes or hours, more than none.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 60s, 5m or 1h");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let count: u64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wrong())?;
    let total = count.checked_mul(seconds).filter(|total| *total > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(total))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The cheapest check first: what fails in seconds should not wait for what takes minutes.
fn ci() -> anyhow::Result<()> {
    step("house rules", tidy)?;
    step("continuous integration", || run(Command::new(root().join(".ci/run"))))?;
    step("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        run(doc)
    })?;
    step("licences and sources", || {
        let installed = Command::new("cargo")
            .args(["deny", "--version"])
            .output()
            .is_ok_and(|out| out.status.success());
        if installed {
            return run(cargo(&["deny", "check"]));
        }
        eprintln!(
            "skipped: cargo-deny is absent; install it with `cargo install cargo-deny --locked`"
        );
        Ok(())
    })
}

fn tidy() -> anyhow::Result<()> {
    let findings = xtask::tidy::check_workspace(root()).context("read the workspace")?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} house rules are broken", findings.len())
}

fn step(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    work().with_context(|| name.to_owned())?;
    eprintln!("== {name}: fine after {} s", start.elapsed().as_secs());
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let status =
        command.current_dir(root()).status().with_context(|| format!("start {command:?}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("{command:?} ended with {status}")
}
