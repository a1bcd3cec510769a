//! `cargo xtask fuzz`: builds the fuzzer, gives every target its share of the time, and says what came of it.
//!
//! Coverage guides it on a stable compiler: LLVM's own counters, switched on by flags for this build alone, and
//! libFuzzer, which is C++ and built from source; no sanitizer is needed where there is no `unsafe`. The corpus grows
//! from run to run in the target folder, so that a short run goes on where the last one stopped.

mod report;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

pub use report::{Outcome, parse_log, table};

/// What `rustc` is told so that libFuzzer sees where an input leads: a counter on every edge, and both sides of every
/// comparison.
const COVERAGE: &str = "--cfg fuzzing -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares";

/// An input that takes longer than this hangs the engine: it counts as a crash.
const SECONDS_PER_INPUT: u32 = 10;

/// Memory at which an input counts as a crash.
const MEMORY_MB: u32 = 2_048;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Over all targets together, as the clock goes.
    pub time: Duration,
    /// One target alone; all of them otherwise.
    pub target: Option<String>,
}

/// Runs targets side by side, one for each processor, and prints what came of each. Gives the inputs that crashed.
///
/// # Errors
///
/// The fuzzer cannot be built or started, or there is no such target.
pub fn run(root: &Path, plan: &Plan) -> anyhow::Result<Vec<PathBuf>> {
    let shop = Shop::new(root)?;
    shop.build()?;
    let targets = shop.targets(plan.target.as_deref())?;
    shop.seed()?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let share = share(plan.time, targets.len(), workers);
    eprintln!(
        "{} targets, {workers} at a time, {} s each; corpus and crashes in {}",
        targets.len(),
        share.as_secs(),
        shop.work.display()
    );
    let waiting = Mutex::new(targets.iter().rev().cloned().collect::<Vec<_>>());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // What a worker takes it also reports: a target is never lost between the two.
                while let Some(target) = waiting.lock().ok().and_then(|mut waiting| waiting.pop()) {
                    let outcome = shop.fuzz(&target, share);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push((target, outcome));
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    ensure!(outcomes.len() == targets.len(), "{} of {} targets ran", outcomes.len(), targets.len());
    let mut rows = Vec::new();
    for target in &targets {
        let found = outcomes.iter().find(|(name, _)| name == target);
        match found {
            Some((_, Ok(outcome))) => rows.push((target.as_str(), outcome)),
            Some((_, Err(error))) => bail!("{target}: {error:#}"),
            None => bail!("{target} did not run"),
        }
    }
    print!("{}", table(&rows));
    Ok(rows.iter().flat_map(|(_, outcome)| outcome.crashes.clone()).collect())
}

/// The time of one target, in whole seconds, when `workers` share `time` out among `targets`.
#[must_use]
pub fn share(time: Duration, targets: usize, workers: usize) -> Duration {
    let rounds = targets.div_ceil(workers.max(1)).max(1);
    let rounds = u64::try_from(rounds).unwrap_or(u64::MAX);
    Duration::from_secs((time.as_secs() / rounds).max(1))
}

/// Where things are.
struct Shop {
    manifest: PathBuf,
    vectors: PathBuf,
    /// Build output, in a folder of its own: other flags would rebuild what everyone else uses.
    built: PathBuf,
    /// Corpus, crashes, logs.
    work: PathBuf,
    host: String,
}

impl Shop {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let told = Command::new(rustc).arg("-vV").output().context("ask rustc for its host")?;
        let told = String::from_utf8(told.stdout).context("read what rustc said")?;
        let host = told.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self {
            manifest: root.join("fuzz/Cargo.toml"),
            vectors: root.join("../shared/vectors"),
            built: target.join("fuzz/build"),
            work: target.join("fuzz"),
            host: host.context("rustc -vV names no host")?.to_owned(),
        })
    }

    fn build(&self) -> anyhow::Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--target"]).arg(&self.host);
        command.arg("--manifest-path").arg(&self.manifest);
        // With a target named, these flags reach neither build scripts nor macros.
        command.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &self.built);
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        let status = command.status().with_context(|| format!("start {command:?}"))?;
        ensure!(status.success(), "the fuzzer does not build; it needs a C++ compiler (`c++`)");
        Ok(())
    }

    fn program(&self) -> Command {
        Command::new(self.built.join(&self.host).join("release/sniper-fuzz"))
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.work.join("corpus").join(target)
    }

    fn targets(&self, wanted: Option<&str>) -> anyhow::Result<Vec<String>> {
        let listed = self.program().arg("--list").output().context("list the targets")?;
        let listed = String::from_utf8(listed.stdout).context("read the list of targets")?;
        let all: Vec<String> = listed.lines().map(str::to_owned).collect();
        ensure!(!all.is_empty(), "the fuzzer lists no target");
        match wanted {
            None => Ok(all),
            Some(wanted) if all.iter().any(|name| name == wanted) => Ok(vec![wanted.to_owned()]),
            Some(wanted) => bail!(NoTarget { wanted: wanted.to_owned(), all }),
        }
    }

    fn seed(&self) -> anyhow::Result<()> {
        let mut command = self.program();
        command.arg(flag("--seeds=", &self.work.join("seeds")));
        if self.vectors.is_dir() {
            command.arg(flag("--vectors=", &self.vectors));
        }
        let status = command.stderr(Stdio::null()).status().context("write the seeds")?;
        ensure!(status.success(), "the seeds cannot be written to {}", self.work.display());
        Ok(())
    }

    /// One run of one target. A crash is an outcome, not an error.
    fn fuzz(&self, target: &str, time: Duration) -> anyhow::Result<Outcome> {
        let (crashes, logs) = (self.work.join("crashes"), self.work.join("logs"));
        let corpus = self.corpus(target);
        for folder in [&crashes, &logs, &corpus] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let log = logs.join(target);
        let file = File::create(&log).with_context(|| format!("write {}", log.display()))?;
        let mut command = self.program();
        command
            .arg(format!("--target={target}"))
            .arg(format!("-max_total_time={}", time.as_secs()))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg("-print_final_stats=1")
            .arg(flag("-artifact_prefix=", &crashes.join(format!("{target}-"))))
            .arg(flag("-dict=", &self.work.join("seeds/dictionary")))
            // What is new goes into the first folder; the second is only read.
            .arg(&corpus)
            .arg(self.work.join("seeds").join(target))
            .stdout(Stdio::null())
            .stderr(file);
        let status = command.status().with_context(|| format!("start {command:?}"))?;
        let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
        let mut outcome = parse_log(&String::from_utf8_lossy(&text));
        outcome.corpus = count(&corpus)? + count(&self.work.join("seeds").join(target))?;
        let crashed = !status.success();
        ensure!(
            crashed != outcome.crashes.is_empty(),
            "ended with {status} and without an input; see {}",
            log.display()
        );
        Ok(outcome)
    }
}

/// A target that is not there: the one wrong flag that only the fuzzer itself can tell.
#[derive(Debug)]
pub struct NoTarget {
    wanted: String,
    all: Vec<String>,
}

impl std::fmt::Display for NoTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no target {:?}; there are {}", self.wanted, self.all.join(", "))
    }
}

impl std::error::Error for NoTarget {}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

fn count(folder: &Path) -> anyhow::Result<u64> {
    let files = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    Ok(u64::try_from(files.count()).unwrap_or(u64::MAX))
}
