//! Settings measured on the user's own endpoints and machine, one at a time, and kept where they help.
//!
//! # Design
//! Whatever is measured is what the engine runs: its pool, its feed, its journal, its tables and their cache, the latter on
//! the disk of the data folder. What holds and what is tried are measured in turns in one run ([`trial`]), so that a machine
//! or a network that changes meanwhile changes both. What helps beyond noise holds from then on, also for the next trial.
//! Nothing outside [`TUNABLE`](crate::config::TUNABLE) can be changed here: the layer refuses it.

mod endpoints;
mod latency;
mod machine;
mod memory;
mod place;
mod report;
mod settings;
mod trial;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tempfile::TempDir;
use thiserror::Error;

pub use endpoints::EndpointFound;
pub(crate) use memory::hold;
pub(crate) use report::TuneReport;
pub use report::{LatencyReport, MemoryReport, NotTuned, ThroughputReport};
pub use trial::{Measured, Trial};

use crate::config::{Config, Layers, Place, Sources, TunedFile, TunedValue};
use place::Made;
use settings::{value_of, with};

/// Nobody answers.
#[derive(Debug, Error)]
#[error(
    "no endpoint can be used: {}; nothing was tuned and nothing written; check node.endpoints with `sniperforge doctor`",
    .found.join("; ")
)]
pub(crate) struct NobodyAnswers {
    /// What is the matter with each.
    found: Vec<String>,
}

/// Percentiles after which a second endpoint is asked that are tried.
const HEDGES: [u8; 3] = [50, 80, 99];
/// Endpoints that tell the same.
const REPLICAS: usize = 3;
const BATCHES: [usize; 2] = [2_048, 128];
const RESERVES_KB: [u64; 2] = [16_384, 1_024];
const ANSWERS_MORE: usize = 16;
const ANSWERS_LESS: [usize; 2] = [2, 4];

/// Measures, changes one setting at a time, and keeps what helps beyond noise.
pub struct PerformanceOptimizer {
    config: Config,
    /// Names of reserves, also of those that cannot be reached now.
    reserves: Vec<String>,
    /// What the environment sets is not ours to change.
    fixed: Vec<&'static str>,
    files: Vec<PathBuf>,
    layer: TunedFile,
    began: Vec<(&'static str, Value)>,
    kept: Vec<Trial>,
    span: Duration,
    runtime: tokio::runtime::Runtime,
    folder: TempDir,
    _data: Made,
    progress: ProgressBar,
}

impl std::fmt::Debug for PerformanceOptimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerformanceOptimizer").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl PerformanceOptimizer {
    /// Makes ready to measure for about `span` in each of the three, with what these sources say. Writes below the data
    /// folder, in a folder that is removed in the end.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used, or the data folder cannot be written to.
    pub fn new(sources: &Sources, span: Duration) -> anyhow::Result<Self> {
        let layers = Layers::read(sources)?;
        let config = Config::from_layers(&layers)?;
        let layer = TunedFile::read(&config.data_dir)?.map(|(_, _, file)| file);
        let is_fixed = |key: &&str| matches!(layers.place(key), Place::Variable(_));
        let fixed = crate::config::TUNABLE.into_iter().filter(is_fixed).collect();
        let named =
            layers.value("node.reserves").and_then(|names| serde_json::from_value(names).ok());
        let reserves: Vec<String> = named.unwrap_or_default();
        let (folder, made) = place::make(&config.data_dir)?;
        // As the engine: one thread does everything.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the event loop")?;
        let began = crate::config::TUNABLE.map(|key| (key, value_of(&config, &reserves, key)));
        Ok(Self {
            config,
            reserves,
            fixed,
            files: sources.files.clone(),
            layer: layer.unwrap_or_default(),
            began: began.to_vec(),
            kept: Vec::new(),
            span,
            runtime,
            folder,
            _data: made,
            progress: ProgressBar::new_spinner(),
        })
    }

    /// Which endpoints are read from and listened to last, when reads are hedged, and how many tell the same.
    ///
    /// # Errors
    ///
    /// No endpoint can be used.
    pub fn optimize_latency(&mut self) -> anyhow::Result<LatencyReport> {
        self.tell("looking at every endpoint");
        let found = self.runtime.block_on(endpoints::look(&self.config, self.span / 2))?;
        let usable = |name: &str| found.iter().any(|one| one.name == name && !one.is_out());
        let all = std::mem::take(&mut self.config.node.endpoints);
        self.config.node.endpoints =
            all.into_iter().filter(|endpoint| usable(endpoint.name())).collect();
        if self.config.node.endpoints.is_empty() {
            let found = found.iter().map(|one| format!("{} {}", one.name, one.why)).collect();
            return Err(NobodyAnswers { found }.into());
        }
        let mut report = LatencyReport {
            endpoints: found,
            trials: Vec::new(),
            not_tuned: vec![NotTuned::new(
                "HTTP connections",
                "the pool opens as many as requests at once need, one over HTTP/2, and keeps them while they are used",
            )],
        };
        if self.may("node.reserves", &mut report.not_tuned) {
            for (to, reason) in self.placements(&report.endpoints) {
                report.trials.push(self.place(to, &reason)?);
            }
        }
        let count = self.config.node.endpoints.len();
        if count < 2 {
            report.not_tuned.push(NotTuned::new(
                "hedging delay",
                "one endpoint can be used: there is no second one to ask",
            ));
        } else if self.may("node.hedge_percentile", &mut report.not_tuned) {
            let now = self.config.tuning.hedge_percentile;
            for percentile in HEDGES.into_iter().filter(|percentile| *percentile != now) {
                report.trials.push(self.hedge(percentile)?);
            }
        }
        if count < REPLICAS {
            report.not_tuned.push(NotTuned::new(
                "feed connections",
                "fewer than three endpoints can be used: all of them tell the same already",
            ));
        } else if self.config.tuning.feed_replicas < REPLICAS
            && self.may("node.feed_replicas", &mut report.not_tuned)
        {
            report.trials.push(self.replicas()?);
        }
        Ok(report)
    }

    /// How space is made ready for the journal, how many rows go into a transaction, and how many answers are kept.
    ///
    /// # Errors
    ///
    /// The disk or the database refuses.
    pub fn optimize_throughput(&mut self) -> anyhow::Result<ThroughputReport> {
        let mut report = ThroughputReport {
            trials: Vec::new(),
            not_tuned: vec![
                NotTuned::new(
                    "worker threads",
                    "whoever trades is one thread by design, so that a journal replays; readers of the page, the tables and \
                     the journal have threads of their own already",
                ),
                NotTuned::new(
                    "journal batching",
                    "records of one turn are one write already, and each send waits for its own barrier, which may not be \
                     shared; the space made ready for them is tuned instead",
                ),
                NotTuned::new(
                    "batches of requests",
                    "requests of one moment go together as they come, sixteen at most, where the endpoint takes that",
                ),
            ],
        };
        for kb in RESERVES_KB {
            let key = "store.journal_reserve_kb";
            report.trials.extend(self.on_disk(
                key,
                json!(kb),
                &mut report.not_tuned,
                machine::journals,
            )?);
        }
        for rows in BATCHES {
            let key = "store.table_batch";
            report.trials.extend(self.on_disk(
                key,
                json!(rows),
                &mut report.not_tuned,
                machine::batches,
            )?);
        }
        let key = "store.cached_answers";
        let more = json!(ANSWERS_MORE);
        report.trials.extend(self.on_disk(key, more, &mut report.not_tuned, machine::caches)?);
        Ok(report)
    }

    /// How few answers and rows can be held without a page taking longer.
    ///
    /// # Errors
    ///
    /// A process to measure in cannot be started, or fails.
    pub fn optimize_memory(&mut self) -> anyhow::Result<MemoryReport> {
        let mut report = MemoryReport { trials: Vec::new(), not_tuned: Vec::new() };
        let fewer = ANSWERS_LESS.map(|answers| ("store.cached_answers", json!(answers)));
        for (key, to) in fewer.into_iter().chain([("store.table_batch", json!(128))]) {
            // What was chosen for its speed is not taken back for its size.
            let chosen = self.kept.iter().any(|trial| trial.setting == key);
            let from = value_of(&self.config, &self.reserves, key);
            if chosen || from.as_u64() <= to.as_u64() || !self.may(key, &mut report.not_tuned) {
                continue;
            }
            self.tell(&format!("memory with {key} = {to}"));
            let measures = self.held(key, &from, &to)?;
            let trial = Trial::judged(key, from, to, measures);
            report.trials.push(self.settle(trial));
        }
        self.tell("memory with one heap for all threads");
        let ways = [Vec::new(), vec![("MALLOC_ARENA_MAX".to_owned(), "1".to_owned())]];
        let measured = memory::measure(&self.files, &self.inner()?, &ways)?.into_iter().next();
        let better = measured.as_ref().and_then(|measured| measured.change);
        let better = better.is_some_and(|change| change.ratio < 1.0 && change.high < 1.0);
        let mut trimming = NotTuned::new(
            "allocator trimming",
            if better {
                "the system's allocator reads its settings before this program does, so no configuration can hold them: \
                 start the engine with MALLOC_ARENA_MAX=1 in its environment to have what is measured here"
            } else {
                "the system's allocator reads its settings before this program does, so no configuration can hold them; one \
                 heap for all threads (MALLOC_ARENA_MAX=1) brings nothing here"
            },
        );
        trimming.measured = measured;
        report.not_tuned.push(trimming);
        Ok(report)
    }

    /// Everything, and then writes what is kept, unless it is only looked.
    pub(crate) fn run(mut self, dry_run: bool) -> anyhow::Result<TuneReport> {
        let begun = Instant::now();
        let latency = self.optimize_latency()?;
        let throughput = self.optimize_throughput()?;
        let memory = self.optimize_memory()?;
        self.progress.finish_and_clear();
        let kept = self.changes();
        let written =
            if dry_run { None } else { self.write()? }.map(|path| path.display().to_string());
        self.folder.close().context("remove the folder that was measured in")?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(TuneReport { seconds, latency, throughput, memory, kept, written, dry_run })
    }

    /// What is kept, by setting: what held at the beginning, and what holds now.
    fn changes(&self) -> Vec<report::Kept> {
        let now = |key| value_of(&self.config, &self.reserves, key);
        let changed = self.began.iter().filter(|(key, before)| now(key) != *before);
        changed
            .map(|(key, before)| report::Kept {
                setting: (*key).to_owned(),
                before: before.clone(),
                after: now(key),
            })
            .collect()
    }

    /// Writes the layer: what is kept now, besides what an earlier run has kept. Nothing where there is nothing new.
    ///
    /// # Errors
    ///
    /// What is there is not ours, or the folder cannot be written to.
    pub fn write(&self) -> anyhow::Result<Option<PathBuf>> {
        let mut layer = self.layer.clone();
        let changes = self.changes();
        for report::Kept { setting, after, .. } in &changes {
            let trials = self.kept.iter().filter(|trial| trial.setting == setting);
            let why = trials.flat_map(Trial::comments).collect();
            let value = toml::Value::try_from(after).context("write a setting down")?;
            layer.set(setting, TunedValue { value, why }).with_context(|| setting.clone())?;
        }
        if changes.is_empty() {
            return Ok(None);
        }
        Ok(Some(layer.write(&self.config.data_dir)?))
    }

    fn tell(&self, what: &str) {
        self.progress.set_message(what.to_owned());
        self.progress.tick();
    }

    /// A folder of its own in that which is removed.
    fn inner(&self) -> anyhow::Result<PathBuf> {
        let inner = tempfile::Builder::new().prefix("t").tempdir_in(self.folder.path());
        Ok(inner.context("make a folder to measure in")?.keep())
    }

    /// Whether a setting is ours to change; says so where it is not.
    fn may(&self, key: &'static str, not_tuned: &mut Vec<NotTuned>) -> bool {
        if !self.fixed.contains(&key) {
            return true;
        }
        if !not_tuned.iter().any(|one| one.what == key) {
            let why =
                format!("the environment sets it: unset {} first", crate::config::variable_of(key));
            not_tuned.push(NotTuned { what: key, why, measured: None });
        }
        false
    }

    /// Takes up what is kept.
    fn settle(&mut self, trial: Trial) -> Trial {
        if trial.kept {
            self.config = with(&self.config, trial.setting, &trial.to);
            if trial.setting == "node.reserves" {
                self.reserves = settings::names(&trial.to);
            }
            self.kept.push(trial.clone());
        }
        trial
    }

    /// The reserves to try, one more or one less than before at a time, each with its reason.
    fn placements(&self, found: &[EndpointFound]) -> Vec<(String, String)> {
        let is_bad = |one: &&EndpointFound| one.slow || one.lagging;
        let usable: Vec<_> = found.iter().filter(|one| !one.is_out()).collect();
        // Somebody has to be first.
        if usable.iter().all(is_bad) {
            return Vec::new();
        }
        let changes =
            usable.into_iter().filter(|one| is_bad(one) != self.reserves.contains(&one.name));
        changes
            .map(|one| {
                let why = if is_bad(&one) {
                    one.why.clone()
                } else {
                    "as good as the best again".to_owned()
                };
                (one.name.clone(), format!("{}: {why}", one.name))
            })
            .collect()
    }

    /// Makes an endpoint a reserve, or none any more.
    fn place(&mut self, name: String, reason: &str) -> anyhow::Result<Trial> {
        self.tell(&format!("moving {name}"));
        let mut to = self.reserves.clone();
        match to.iter().position(|known| *known == name) {
            Some(place) => drop(to.remove(place)),
            None => to.push(name),
        }
        let key = "node.reserves";
        let to = json!(to);
        let both = self.both(key, &to, true)?;
        let measures = vec![both.mean_read(), both.notices()];
        let from = json!(self.reserves);
        Ok(self.settle(Trial::reasoned(key, from, to, measures, reason)))
    }

    fn hedge(&mut self, percentile: u8) -> anyhow::Result<Trial> {
        let (key, to) = ("node.hedge_percentile", json!(percentile));
        self.tell(&format!("asking a second endpoint after {percentile} of 100 answers"));
        let both = self.both(key, &to, false)?;
        let measures = vec![both.slowest_read(), both.mean_read()];
        let from = json!(self.config.tuning.hedge_percentile);
        Ok(self.settle(Trial::judged(key, from, to, measures)))
    }

    fn replicas(&mut self) -> anyhow::Result<Trial> {
        let (key, to) = ("node.feed_replicas", json!(REPLICAS));
        self.tell("listening to three endpoints");
        let both = self.both(key, &to, true)?;
        let measures = vec![both.notices(), both.mean_read()];
        let from = json!(self.config.tuning.feed_replicas);
        Ok(self.settle(Trial::judged(key, from, to, measures)))
    }

    /// Measures what holds, and what is tried, by pool and feed.
    fn both(&self, key: &str, to: &Value, listens: bool) -> anyhow::Result<latency::Both> {
        let after = with(&self.config, key, to);
        let span = self.span / 12;
        self.runtime.block_on(latency::measure([&self.config, &after], span, listens))
    }

    /// Measures the memory of processes in which a setting is one and the other.
    fn held(&self, key: &str, from: &Value, to: &Value) -> anyhow::Result<Vec<Measured>> {
        let ways = [from, to].map(|value| vec![memory::setting(key, value)]);
        memory::measure(&self.files, &self.inner()?, &ways)
    }

    /// Measures what holds, and what is tried, on the disk. None where it holds already, or may not be changed.
    fn on_disk(
        &mut self,
        key: &'static str,
        to: Value,
        not_tuned: &mut Vec<NotTuned>,
        measure: impl Fn(
            &std::path::Path,
            [&crate::config::Tuning; 2],
            Duration,
        ) -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Option<Trial>> {
        let from = value_of(&self.config, &self.reserves, key);
        if from == to || !self.may(key, not_tuned) {
            return Ok(None);
        }
        self.tell(&format!("{key} = {to}"));
        let after = with(&self.config, key, &to);
        let folder = self.inner()?;
        let measured = measure(&folder, [&self.config.tuning, &after.tuning], self.span / 24)?;
        std::fs::remove_dir_all(&folder).context("remove a folder that was measured in")?;
        let mut measures = vec![measured];
        if key == "store.cached_answers" {
            // What is kept takes room.
            measures.extend(self.held(key, &from, &to)?.into_iter().next());
        }
        Ok(Some(self.settle(Trial::judged(key, from, to, measures))))
    }
}
