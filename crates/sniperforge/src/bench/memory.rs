//! What a running instance takes: memory, processor time, and the time to start and to come back, each of a child process of
//! its own, as the kernel tells it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use procfs::process::Process;

use super::Scale;
use super::row::Row;
use super::turns::{Bounds, Rejected, Taken, Times, clean};
use super::wire;
use crate::live::LocalChain;
use crate::live::control::{Request, ask};
use crate::telemetry::compare::median;

/// Resident memory at most, in megabytes of a million bytes.
const IDLE_MB: f64 = 12.0;
const POOLS_MB: [(usize, f64); 2] = [(10_000, 16.0), (100_000, 28.0)];
const NEVER_MB: f64 = 35.0;
/// In ten minutes.
const GROWTH_MB: f64 = 1.0;
const GROWTH_SPAN: Duration = Duration::from_secs(600);
/// Before that, code and tables are used for the first time. Told beside it, so that nothing hides there.
const WARM_UP: Duration = Duration::from_secs(120);
/// Of one core, in percent.
const IDLE_CPU: f64 = 0.5;
/// Of the processor time of a reader that only parses and decodes, at four fifths of what the engine can take.
const EFFICIENCY: f64 = 0.85;
/// How long a child may take until it trades.
const PATIENCE: Duration = Duration::from_secs(60);
/// Starts that are timed.
const STARTS: usize = 5;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let mut rows = idle(scale.span).context("an idle instance")?;
    let growth = scale.growth.unwrap_or(if scale.full { GROWTH_SPAN } else { scale.span });
    rows.extend(loaded(growth).context("a trading instance")?);
    for (pools, limit) in POOLS_MB {
        let metric = format!("memory.pools_{pools}");
        rows.push(if pools > 10_000 && !scale.full {
            Row::absent(metric, "--full scans so many")
        } else {
            let seen = scanning(pools, scale.span).with_context(|| format!("{pools} pools"))?;
            Row::told(metric, seen, "MB").at_most(Some(limit))
        });
    }
    rows.extend(clean("memory.start", Bounds::SYSTEM, rejected, starts)?);
    rows.extend(clean("memory.cpu_efficiency", Bounds::SYSTEM, rejected, || {
        efficient(scale.span)
    })?);
    Ok(rows)
}

/// A process that ends with what holds it.
struct Instance {
    child: Child,
}

impl Instance {
    fn spawn(args: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("find this program's own file")?;
        let child = Command::new(binary)
            .args(args)
            .args(["--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start an instance")?;
        Ok(Self { child })
    }

    /// An engine on that chain, which trades already: only then it answers its operator.
    fn demo(url: &str, folder: &Path) -> anyhow::Result<Self> {
        let data = folder.to_str().context("name the data folder")?;
        let mut instance = Self::spawn(&["demo", "--attach", url, "--headless", "--data", data])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start the event loop")?;
        let begun = Instant::now();
        // Who asks too early is not answered, or finds nobody.
        while !matches!(runtime.block_on(ask(folder, &Request::List {})), Ok(Some(_))) {
            if let Some(status) = instance.child.try_wait().context("look after an instance")? {
                bail!("the instance ended before it traded: {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("the instance did not trade within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(instance)
    }

    fn process(&self) -> anyhow::Result<Process> {
        let pid = i32::try_from(self.child.id()).context("name an instance")?;
        Process::new(pid).context("look at an instance: has it ended?")
    }

    /// Resident now, and the most it ever was, in megabytes.
    fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = self.process()?.status().context("ask how large an instance is")?;
        let megabytes = |kib: Option<u64>| {
            let kib = kib.context("this system does not tell how large an instance is")?;
            anyhow::Ok(crate::telemetry::stage::shown(kib) * 1_024.0 / 1e6)
        };
        Ok((megabytes(status.vmrss)?, megabytes(status.vmhwm)?))
    }

    /// Processor time so far, in seconds.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = self.process()?.stat().context("ask how long an instance ran")?;
        let ticks = procfs::ticks_per_second().max(1);
        let shown = crate::telemetry::stage::shown;
        Ok(shown(stat.utime + stat.stime) / shown(ticks))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // As a crash would: what it leaves is a journal, and the folder goes too.
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            tracing::warn!("an instance that was measured could not be stopped");
        }
    }
}

fn chain(more: &[&str]) -> anyhow::Result<(LocalChain, String)> {
    let (chain, told) = LocalChain::start_with(&[&["--port", "0"], more].concat())?;
    let url = told.rpc_urls.into_iter().next().context("the local chain has no port")?;
    Ok((chain, url))
}

/// Nobody trades: slots pass, and nothing else.
fn idle(span: Duration) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let (_chain, url) = chain(&["--no-agents"])?;
    let instance = Instance::demo(&url, folder.path())?;
    // What a start needs is given back in the first seconds.
    std::thread::sleep(Duration::from_secs(2).min(span));
    let (before, begun) = (instance.cpu()?, Instant::now());
    std::thread::sleep(span);
    let share = (instance.cpu()? - before) / begun.elapsed().as_secs_f64() * 100.0;
    let (resident, _) = instance.memory()?;
    let seconds = span.as_secs();
    Ok(vec![
        Row::told("memory.idle", resident, "MB")
            .at_most(Some(IDLE_MB))
            .note(format!("after {seconds} s on a chain on which nobody trades")),
        Row::told("memory.idle_cpu", share, "% of a core")
            .at_most(Some(IDLE_CPU))
            .note(format!("over {seconds} s, in hundredths of a second")),
    ])
}

/// All four strategies on a market that moves.
fn loaded(span: Duration) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let (_chain, url) = chain(&[])?;
    let instance = Instance::demo(&url, folder.path())?;
    std::thread::sleep(Duration::from_secs(5).min(span));
    let (first, _) = instance.memory()?;
    let warm_up = WARM_UP.min(span / 5);
    std::thread::sleep(warm_up);
    let (warm, _) = instance.memory()?;
    std::thread::sleep(span);
    let (last, peak) = instance.memory()?;
    let growth = Row::told("memory.growth", last - warm, "MB").at_most(Some(GROWTH_MB));
    let warmed = Row::told("memory.warm_up", warm - first, "MB")
        .note(format!("over the {} s before that", warm_up.as_secs()));
    let seconds = span.as_secs();
    let note = if span < GROWTH_SPAN {
        format!("over {seconds} s; the limit is for 600: --growth 10m")
    } else {
        format!("over {seconds} s")
    };
    Ok(vec![
        Row::told("memory.loaded", last, "MB").note(format!("after {seconds} s of trading")),
        Row::told("memory.peak", peak, "MB").at_most(Some(NEVER_MB)),
        growth.note(note),
        warmed,
    ])
}

/// A scanner that follows so many pools.
fn scanning(pools: usize, span: Duration) -> anyhow::Result<f64> {
    let (_chain, url) = chain(&["--no-agents", "--pools", &pools.to_string()])?;
    let mut instance = Instance::spawn(&["scan", "--url", &url])?;
    std::thread::sleep(span.max(Duration::from_secs(3)));
    if let Some(status) = instance.child.try_wait().context("look after a scanner")? {
        bail!("the scanner ended: {status}");
    }
    Ok(instance.memory()?.0)
}

/// The processor time of a reader as bare as it can be, by the engine's for the same notices.
fn efficient(span: Duration) -> anyhow::Result<Taken> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let mut taken = wire::efficiency(folder.path(), span)?;
    let floor = taken.bare.clone();
    let (bare, own) = (median(&mut taken.bare), median(&mut taken.own));
    let note = format!(
        "{:.0} notices a second, each told at its time; a bare reader takes {bare:.0} ns of each, the engine {own:.0}; {:.1} % merged into newer ones{}",
        taken.rate,
        taken.merged * 100.0,
        if taken.apart { "" } else { "; the node shared the processor" }
    );
    let row = Row::told("memory.cpu_efficiency", bare / own, "times").at_least(EFFICIENCY);
    Ok(Taken { floor, rows: vec![row.note(note)] })
}

/// From nothing until it trades, and again after a kill; beside a process of the same program that only ends.
fn starts() -> anyhow::Result<Taken> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let (_chain, url) = chain(&[])?;
    let (mut floor, mut start, mut recovery) = Default::default();
    for nth in 0..STARTS {
        let data = folder.path().join(nth.to_string());
        for times in [&mut start, &mut recovery] {
            for _ in 0..2 {
                Times::time(&mut floor, 1, bare)?;
            }
            let begun = Instant::now();
            let instance = Instance::demo(&url, &data)?;
            Times::took(times, begun.elapsed(), 1);
            // It trades for a moment, so that there is something to come back to.
            std::thread::sleep(Duration::from_millis(500));
            drop(instance);
        }
    }
    let ms = |metric: &str, times: &Times| {
        Row::told(metric, times.p50() / 1e6, "ms").beside(floor.p50() / 1e6)
    };
    let rows = vec![
        ms("memory.start_up", &start).note(
            "until the engine trades; making and funding the demo's wallet on the chain included",
        ),
        ms("memory.recovery", &recovery)
            .note("the same after a SIGKILL: replay and comparison with the chain included"),
    ];
    Ok(Taken { floor: floor.0, rows })
}

fn bare() -> anyhow::Result<()> {
    let binary = std::env::current_exe().context("find this program's own file")?;
    let mut command = Command::new(binary);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().context("start this program")?;
    if status.success() { Ok(()) } else { bail!("this program cannot tell its version: {status}") }
}
