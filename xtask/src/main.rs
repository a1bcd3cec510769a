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
    /// The scanner beside `solana-rpc-client` in one run. Exit code 6 where the limit does not hold.
    Bench {
        /// Pools that the node knows.
        #[arg(long, default_value_t = 20_000)]
        pools: u32,
        /// Rounds; medians are told.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
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
        Task::Bench { pools, rounds } => match bench(pools, rounds) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::from(FAILED_CHECK),
            Err(error) => Err(error),
        },
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

/// Builds the peers, which belong to a workspace of their own, and measures; says whether the limit holds.
fn bench(pools: u32, rounds: u32) -> anyhow::Result<bool> {
    let built = Path::new("target").join("benches");
    let mut command = cargo(&["run", "--release", "--locked", "--manifest-path"]);
    command.arg(Path::new("benches").join("Cargo.toml")).arg("--target-dir").arg(built);
    command.args(["--", "--pools", &pools.to_string(), "--rounds", &rounds.to_string()]);
    let status =
        command.current_dir(root()).status().with_context(|| format!("start {command:?}"))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(code) if code == i32::from(FAILED_CHECK) => Ok(false),
        _ => bail!("{command:?} ended with {status}"),
    }
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
