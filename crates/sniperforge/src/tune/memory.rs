//! Memory of the parts, each time in a process of its own: what one way has freed would serve the other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use sniper_store::tables::{TableCache, TableReader};

use super::machine;
use super::trial::Measured;
use crate::config::{Config, variable_of};
use crate::telemetry::rss_mb;

/// Processes of each way.
const PROCESSES: usize = 10;
/// Barriers of the journal in each.
const BARRIERS: u32 = 8;

/// What such a process tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Resident memory, in megabytes, with everything still open.
    pub(crate) rss_mb: f64,
    /// What a page of the log takes from the cache, in microseconds.
    pub(crate) page_us: f64,
}

/// Opens the parts in `folder`, works with them, and tells what they hold.
///
/// # Errors
///
/// When one of them fails, or the system does not tell.
pub(crate) fn hold(config: &Config, folder: &Path) -> anyhow::Result<Held> {
    let tuning = &config.tuning;
    let mut journal = machine::journal(&folder.join("journal"), tuning)?;
    machine::barriers(&mut journal, BARRIERS)?;
    let store = machine::tables(&folder.join("tables.sqlite"), tuning)?;
    machine::burst(&store, 0)?;
    let path = folder.join("log.sqlite");
    let cursors = machine::log(&path)?;
    let mut cache = TableCache::keeping(TableReader::open(&path)?, tuning.cached_answers);
    machine::leaf(&mut cache, &cursors)?;
    let begun = std::time::Instant::now();
    machine::leaf(&mut cache, &cursors)?;
    let page_us = begun.elapsed().as_secs_f64() * 1e6 / 12.0;
    let rss_mb = rss_mb().context("the system does not tell how much memory a process holds")?;
    drop(cache);
    store.close()?;
    journal.close()?;
    Ok(Held { rss_mb, page_us })
}

/// One way: variables that are set for its processes.
pub(super) type Variables = Vec<(String, String)>;

/// The variable that sets a key.
pub(super) fn setting(key: &str, value: &serde_json::Value) -> (String, String) {
    (variable_of(key), value.to_string())
}

/// Starts processes of both ways in turns; gives their memory and what a page takes in them.
pub(super) fn measure(
    files: &[PathBuf],
    folder: &Path,
    ways: &[Variables; 2],
) -> anyhow::Result<Vec<Measured>> {
    let mut memory: [Vec<f64>; 2] = Default::default();
    let mut pages: [Vec<f64>; 2] = Default::default();
    for nth in 0..PROCESSES {
        for way in if nth.is_multiple_of(2) { [0, 1] } else { [1, 0] } {
            let folder = folder.join(format!("{nth}-{way}"));
            std::fs::create_dir(&folder).context("make a folder to measure in")?;
            let variables = ways.get(way).context("no such way")?;
            let held = process(files, &folder, variables)?;
            std::fs::remove_dir_all(&folder).context("remove a folder that was measured in")?;
            if let (Some(memory), Some(pages)) = (memory.get_mut(way), pages.get_mut(way)) {
                memory.push(held.rss_mb);
                pages.push(held.page_us);
            }
        }
    }
    Ok(vec![
        Measured::of("memory of journal, tables and cache", "MB", memory),
        Measured::of(machine::LEAFED, "us", pages),
    ])
}

fn process(files: &[PathBuf], folder: &Path, variables: &Variables) -> anyhow::Result<Held> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    for file in files {
        command.arg("-c").arg(file);
    }
    command.args(["tune-hold", "--json"]).arg(folder).stdin(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output().context("start a process to measure memory")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "a process that measures memory failed: {}", told.trim());
    serde_json::from_slice(&output.stdout).context("read what a process has measured")
}
