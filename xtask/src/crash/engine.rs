//! The processes: a local chain that goes on living, and an engine that does not.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

/// A local chain.
pub(super) struct Chain {
    child: Child,
    pub(super) url: String,
}

impl Chain {
    pub(super) fn start(binary: &Path, seed: u64, slot_ms: u32) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(["localnet", "--port", "0", "--json", "--log-level", "warn"])
            .args(["--until-stdin-closes", "--slot-ms", &slot_ms.to_string()])
            .args(["--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {} localnet", binary.display()))?;
        let stdout = child.stdout.take().context("read what the local chain says")?;
        let mut chain = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read what the local chain says")?;
        ensure!(!line.is_empty(), "the local chain ended before it served; its messages are above");
        let ready: Value =
            serde_json::from_str(&line).context("understand what the local chain says")?;
        let url = ready.pointer("/rpcUrls/0").and_then(Value::as_str);
        url.context("find the local chain's address")?.clone_into(&mut chain.url);
        Ok(chain)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What an engine tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has taken up what was open, compared, and trades.
    Trading,
    /// Ledger and chain are not the same.
    Differs(String),
    /// It is about to die where it was told to.
    FailPoint,
}

/// What comes next of an engine.
#[derive(Debug)]
pub(super) enum Next {
    Said(Said),
    Ended(ExitStatus),
    /// The moment has come that was waited for.
    Late,
}

/// An engine; killed when this is dropped.
pub(super) struct Engine {
    child: Child,
    pub(super) started: Instant,
    heard: Receiver<Said>,
    reader: Option<JoinHandle<()>>,
    stdout: Option<JoinHandle<String>>,
}

impl Engine {
    /// Starts one on the folder. With `fail_at` it kills itself at that point.
    pub(super) fn start(
        binary: &Path,
        chain: &Chain,
        folder: &Path,
        fail_at: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["demo", "--headless", "--json", "--log-level", "info", "--attach", &chain.url])
            // Small segments: rotation and snapshots all the time.
            .args(["--segment-records", "400"])
            // And compared so often that this is amid everything as well.
            .args(["--compare", "2s", "--data"])
            .arg(folder)
            .env_remove("SNIPERFORGE_FAIL_AT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(fail_at) = fail_at {
            command.env("SNIPERFORGE_FAIL_AT", fail_at);
        }
        let path = folder.with_extension("log");
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let mut log = log.with_context(|| format!("write {}", path.display()))?;
        writeln!(log, "--- start, to die at {}", fail_at.unwrap_or("a moment of chance"))?;
        let started = Instant::now();
        let mut child =
            command.spawn().with_context(|| format!("start {} demo", binary.display()))?;
        let (told, heard) = channel();
        let stderr = child.stderr.take().context("read the engine's log")?;
        let listen = move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                keep(&mut log, &line);
                if let Some(said) = understand(&line) {
                    // Nobody listens to one that was killed.
                    told.send(said).ok();
                }
            }
        };
        let stdout = child.stdout.take().context("read the engine's summary")?;
        let read = move || std::io::read_to_string(stdout).unwrap_or_default();
        let (reader, stdout) = (std::thread::spawn(listen), std::thread::spawn(read));
        Ok(Self { child, started, heard, reader: Some(reader), stdout: Some(stdout) })
    }

    /// What it says or comes to, until a moment.
    pub(super) fn next(&mut self, until: Instant) -> anyhow::Result<Next> {
        let left = until.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok(said) => Ok(Next::Said(said)),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Late),
            // All was heard: it has ended.
            Err(RecvTimeoutError::Disconnected) => {
                Ok(Next::Ended(self.child.wait().context("wait for the engine")?))
            }
        }
    }

    /// Kills it, with nothing that it could do about it. Gives what it had still said.
    pub(super) fn kill(mut self) -> anyhow::Result<Vec<Said>> {
        self.child.kill().context("kill the engine")?;
        self.child.wait().context("wait for the engine")?;
        self.reader.take().map(JoinHandle::join);
        Ok(self.heard.try_iter().collect())
    }

    /// Asks it to stop, as a person would.
    pub(super) fn ask_to_stop(&self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        ensure!(asked.context("run kill")?.success(), "the engine could not be asked to stop");
        Ok(())
    }

    /// What it printed, after its end.
    pub(super) fn summary(mut self) -> Value {
        let text = self.stdout.take().and_then(|stdout| stdout.join().ok()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether a process has died by SIGKILL.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

fn keep(log: &mut File, line: &str) {
    // What is missing in the log of a run that succeeds nobody misses.
    writeln!(log, "{line}").ok();
}

fn understand(line: &str) -> Option<Said> {
    if line.starts_with("fail point ") {
        Some(Said::FailPoint)
    } else if line.contains("ledger and chain differ")
        // Nobody sends anything here: what is explained by that is a fault of the books.
        || line.contains("the chain held more than the ledger")
    {
        Some(Said::Differs(line.to_owned()))
    } else if line.contains("live::trade: trading mode=") {
        Some(Said::Trading)
    } else {
        None
    }
}

/// Runs a command of the program that answers and ends. Gives its code and the document it prints.
pub(super) fn ask(
    binary: &Path,
    args: &[&str],
    path: &Path,
) -> anyhow::Result<(Option<i32>, Value)> {
    let mut command = Command::new(binary);
    command.args(args).arg(path).arg("--json").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    Ok((output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default()))
}

/// Longest that a start may take until it trades, orders in flight followed to their end.
pub(super) const START_MAX: Duration = Duration::from_secs(180);
/// Longest that a polite end may take.
pub(super) const END_MAX: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_says_is_known_by_its_own_lines() {
        assert_eq!(
            understand("fail point order.send.before passed 2 times"),
            Some(Said::FailPoint)
        );
        let line = "2026-01-01T00:00:00Z  INFO sniperforge::live::trade: trading mode=demo";
        assert_eq!(understand(line), Some(Said::Trading));
        let line = "x ERROR sniperforge::live::desk: ledger and chain differ: trading halts";
        assert!(matches!(understand(line), Some(Said::Differs(_))));
        assert_eq!(understand("INFO sniperforge::live::trade: dashboard url=x"), None);
    }
}
