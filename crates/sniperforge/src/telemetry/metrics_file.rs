//! `metrics.jsonl`: one line of figures every few seconds, in files of bounded size.
//!
//! The schema is in `docs/metrics.md`. A line is handed to a thread of its own over a short queue: a disk that is slow or
//! full loses lines, which are counted and told, and never holds up a trade.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::Serialize;

use super::clock::now_ms;
use super::view::View;

/// Version of a line's schema.
pub const METRICS_SCHEMA: u32 = 1;
/// The file, in the folder of the data. What a second instance writes on the same folder bears the name of its mode.
pub const METRICS_FILE: &str = "performance/metrics.jsonl";
/// Lines that wait for the disk.
const QUEUE: usize = 4;
/// Longest first line that is looked at.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How large the files become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsBounds {
    /// Bytes after which the next file is begun.
    pub file_bytes: u64,
    /// Files that are kept, the one that is written included.
    pub files: u32,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    t_ms: i64,
    version: &'a str,
    mode: crate::telemetry::RunMode,
    uptime_s: u64,
    events: u64,
    orders: &'a crate::telemetry::OrderCounts,
    stages_us: &'a std::collections::BTreeMap<&'static str, crate::telemetry::StageSummary>,
    strategies: &'a [crate::telemetry::StrategyLatency],
    endpoints: &'a [crate::telemetry::EndpointView],
    feeds: &'a [crate::telemetry::FeedView],
    apis_us: &'a [crate::telemetry::NamedSummary],
    queries_us: &'a [crate::telemetry::NamedSummary],
    throughput: crate::telemetry::Throughput,
    cpu_percent: f64,
    resources: crate::telemetry::Resources,
    rss_mb: f64,
    rss_peak_mb: f64,
    regressions: &'a [crate::telemetry::RegressionView],
    lines_lost: u64,
}

/// The figures of a view as a line.
fn line(view: &View, lines_lost: u64) -> Option<String> {
    let performance = &view.performance;
    let line = Line {
        schema: METRICS_SCHEMA,
        t_ms: view.at_ms,
        version: view.version,
        mode: view.mode,
        uptime_s: view.uptime_s,
        events: view.health.events,
        orders: &view.orders,
        stages_us: &view.latency,
        strategies: &performance.strategies,
        endpoints: &view.endpoints,
        feeds: &view.health.feeds,
        apis_us: &performance.apis,
        queries_us: &performance.queries,
        throughput: performance.throughput,
        cpu_percent: performance.cpu_percent,
        resources: performance.resources,
        rss_mb: view.rss_mb,
        rss_peak_mb: view.rss_peak_mb,
        regressions: &performance.regressions,
        lines_lost,
    };
    let mut line = serde_json::to_string(&line).ok()?;
    line.push('\n');
    Some(line)
}

/// Writes lines until it is dropped.
#[derive(Debug)]
pub struct MetricsFile {
    lines: Option<SyncSender<String>>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsFile {
    /// Opens the file in `folder`, or begins it, and starts to write. Another's file of that name, or a broken one, is kept
    /// beside it.
    ///
    /// # Errors
    ///
    /// When neither can be done: trade without it. A disk that is full later is no error.
    pub fn start(folder: &Path, mode: &str, bounds: MetricsBounds) -> std::io::Result<Self> {
        let path = folder.join(METRICS_FILE);
        let file = match Rotated::open(path.clone(), bounds) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Rotated::open(path.with_file_name(format!("metrics-{mode}.jsonl")), bounds)
            }
            opened => opened,
        }?;
        let (lines, queue) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .stack_size(256 * 1_024)
            .spawn(move || write_lines(file, &queue, &counter))?;
        Ok(Self { lines: Some(lines), lost, thread: Some(thread) })
    }

    /// Hands the figures of a view over, without ever waiting.
    pub fn write(&self, view: &View) {
        let Some(lines) = &self.lines else { return };
        let handed = line(view, self.lost()).is_some_and(|line| lines.try_send(line).is_ok());
        if !handed {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the metrics file ended by a panic");
        }
    }
}

/// Until nobody sends any more.
fn write_lines(mut file: Rotated, queue: &Receiver<String>, lost: &AtomicU64) {
    let mut missing = 0_u64;
    while let Ok(line) = queue.recv() {
        match file.append(line.as_bytes()) {
            Ok(()) => {
                if std::mem::take(&mut missing) > 0 {
                    let lost = lost.load(Ordering::Relaxed);
                    tracing::info!(lost, "the metrics file is written again");
                }
            }
            Err(error) => {
                lost.fetch_add(1, Ordering::Relaxed);
                if missing == 0 {
                    let file = file.path.display().to_string();
                    tracing::warn!(file, %error, "metrics are lost until this file can be written; trading goes on");
                }
                missing += 1;
            }
        }
    }
}

/// A file that becomes `metrics.1.jsonl` when it is full, and so on.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    bounds: MetricsBounds,
    file: Option<File>,
    bytes: u64,
    /// The last line has no end: it was torn by a crash or a full disk.
    is_torn: bool,
}

impl Rotated {
    fn open(path: PathBuf, bounds: MetricsBounds) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        if path.try_exists()? && !is_ours(&path)? {
            let aside = path.with_extension(format!("foreign-{}.jsonl", now_ms()));
            std::fs::rename(&path, &aside)?;
            let (file, aside) = (path.display().to_string(), aside.display().to_string());
            tracing::warn!(
                file,
                aside,
                "what was there is not a file of metrics: it is kept under another name"
            );
        }
        let mut rotated = Self { path, bounds, file: None, bytes: 0, is_torn: false };
        rotated.reopen()?;
        Ok(rotated)
    }

    fn reopen(&mut self) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(&self.path)?;
        // Two instances that write one file would tear each other's lines, and rotate them away.
        file.try_lock().map_err(std::io::Error::from)?;
        self.bytes = file.metadata()?.len();
        self.is_torn = false;
        if self.bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            self.is_torn = last != *b"\n";
        }
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.bounds.file_bytes {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.is_torn {
            file.write_all(b"\n")?;
            self.is_torn = false;
        }
        if let Err(error) = file.write_all(line) {
            // A part of it may be there: the next open looks.
            self.file = None;
            return Err(error);
        }
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }

    /// `metrics.2.jsonl` becomes `metrics.3.jsonl`, and so on; the oldest is gone.
    fn rotate(&mut self) -> std::io::Result<()> {
        self.file = None;
        let of = |nth: u32| self.path.with_extension(format!("{nth}.jsonl"));
        let kept = self.bounds.files.saturating_sub(1);
        for nth in (1..kept).rev() {
            if of(nth).exists() {
                std::fs::rename(of(nth), of(nth + 1))?;
            }
        }
        if kept == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, of(1))?;
        }
        self.bytes = 0;
        Ok(())
    }
}

/// Whether the first line is one of ours. An empty file is.
fn is_ours(path: &Path) -> std::io::Result<bool> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut first = Vec::new();
    let mut reader = BufReader::new(File::open(path)?.take(LINE_BYTES_MAX));
    reader.read_until(b'\n', &mut first)?;
    let told: Option<serde_json::Value> = serde_json::from_slice(&first).ok();
    let schema = told.as_ref().and_then(|line| line.get("schema")?.as_u64());
    Ok(first.is_empty() || schema == Some(METRICS_SCHEMA.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Stage, StageTimers};
    use std::time::Duration;

    const SMALL: MetricsBounds = MetricsBounds { file_bytes: 4_000, files: 3 };

    fn view(uptime_s: u64) -> View {
        let mut timers = StageTimers::new();
        timers.record(Stage::Sign, Duration::from_micros(40));
        View { uptime_s, latency: timers.snapshot(), version: "0", ..View::default() }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Writes so many lines; each again where the queue, which is short on purpose, was full.
    fn write(folder: &Path, count: u64) {
        let file = MetricsFile::start(folder, "paper", SMALL).unwrap();
        for nth in 0..count {
            for _ in 0..1_000 {
                let lost = file.lost();
                file.write(&view(nth));
                if file.lost() == lost {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn a_line_has_what_is_documented_and_files_stay_within_their_bounds() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 60);
        let path = folder.path().join(METRICS_FILE);
        let (newest, older) = (lines(&path), lines(&path.with_extension("1.jsonl")));
        let last = newest.last().unwrap();
        assert_eq!((&last["schema"], &last["uptime_s"]), (&1.into(), &59.into()));
        assert_eq!(last["stages_us"]["sign"]["count"], 1);
        assert!(older.last().unwrap()["uptime_s"].as_u64() < newest[0]["uptime_s"].as_u64());
        let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(files.len(), 3, "{files:?}");
        for file in files {
            assert!(file.unwrap().metadata().unwrap().len() <= SMALL.file_bytes);
        }
        // Every name of a line is in the documentation.
        let schema = include_str!("../../../../docs/metrics.md");
        for name in last.as_object().unwrap().keys() {
            assert!(schema.contains(&format!("`{name}`")), "{name} is not in docs/metrics.md");
        }
    }

    #[test]
    fn a_foreign_or_broken_file_is_kept_aside_and_a_torn_line_costs_no_other() {
        for theirs in ["my notes\n", "{\"schema\":99}\n", "\u{0}\u{1}garbage", "[1,2"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(METRICS_FILE);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, theirs).unwrap();
            write(folder.path(), 1);
            assert_eq!(lines(&path).len(), 1);
            let kept = std::fs::read_dir(path.parent().unwrap()).unwrap().filter_map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                name.contains("foreign").then(|| std::fs::read_to_string(entry.path()).unwrap())
            });
            assert_eq!(kept.collect::<Vec<_>>(), [theirs]);
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2);
        let path = folder.path().join(METRICS_FILE);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        write(folder.path(), 1);
        assert_eq!(lines(&path).len(), 2, "the first and the new one");
    }

    #[test]
    fn a_second_instance_writes_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let first = MetricsFile::start(folder.path(), "paper", SMALL).unwrap();
        drop(MetricsFile::start(folder.path(), "live", SMALL).unwrap());
        assert!(folder.path().join("performance/metrics-live.jsonl").exists());
        assert!(MetricsFile::start(folder.path(), "live", SMALL).is_ok());
        drop(first);
    }

    #[test]
    fn a_full_disk_loses_lines_says_so_and_goes_on_when_there_is_room() {
        // Every write to it fails as one to a full disk does.
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut rotated = Rotated::open(folder.path().join("m.jsonl"), SMALL).unwrap();
        rotated.append(b"{\"schema\":1}\n").unwrap();
        rotated.file = Some(full);
        let error = rotated.append(b"{}\n").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        rotated.append(b"{\"schema\":1,\"b\":2}\n").unwrap();
        assert_eq!(lines(&rotated.path).len(), 2, "nothing that was there is lost");
    }
}
