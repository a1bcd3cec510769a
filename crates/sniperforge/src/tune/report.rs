//! What was measured, and what became of it.

use serde::Serialize;

use super::endpoints::EndpointFound;
use super::trial::{Measured, Trial};

/// Something that is not a setting here, or not looked at in this run.
#[derive(Clone, Debug, Serialize)]
pub struct NotTuned {
    /// What.
    pub what: &'static str,
    /// Why not, and what to do instead if anything can be done.
    pub why: String,
    /// What it would bring, where that was measured.
    pub measured: Option<Measured>,
}

impl NotTuned {
    pub(super) fn new(what: &'static str, why: &str) -> Self {
        Self { what, why: why.to_owned(), measured: None }
    }
}

/// Where reads go, when they are hedged, and who tells what.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyReport {
    /// Every endpoint, as it was found.
    pub endpoints: Vec<EndpointFound>,
    /// What was tried.
    pub trials: Vec<Trial>,
    /// What was not.
    pub not_tuned: Vec<NotTuned>,
}

/// How quickly this machine writes and looks up.
#[derive(Clone, Debug, Serialize)]
pub struct ThroughputReport {
    /// What was tried.
    pub trials: Vec<Trial>,
    /// What was not.
    pub not_tuned: Vec<NotTuned>,
}

/// What the parts hold in memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryReport {
    /// What was tried.
    pub trials: Vec<Trial>,
    /// What was not.
    pub not_tuned: Vec<NotTuned>,
}

/// All of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TuneReport {
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) latency: LatencyReport,
    pub(crate) throughput: ThroughputReport,
    pub(crate) memory: MemoryReport,
    /// What is kept, by key: before and after.
    pub(crate) kept: Vec<Kept>,
    /// The file that was written, if one was.
    pub(crate) written: Option<String>,
    pub(crate) dry_run: bool,
}

/// A setting that is kept.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) setting: String,
    pub(crate) before: serde_json::Value,
    pub(crate) after: serde_json::Value,
}

impl TuneReport {
    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut out = String::from("endpoints\n");
        let width = self.latency.endpoints.iter().map(|one| one.name.len()).max().unwrap_or(0);
        for one in &self.latency.endpoints {
            let shown = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"))
            };
            let lag = one.lag_slots.map_or_else(|| "-".to_owned(), |lag| lag.to_string());
            let why = if one.why.is_empty() { "well" } else { &one.why };
            out.push_str(&format!(
                "  {:<width$}  read {:>9}  behind {lag:>3}  notices {:>9}  {why}\n",
                one.name,
                shown(one.read_ms),
                shown(one.notice_ms),
            ));
        }
        let parts: [(&str, &[Trial], &[NotTuned]); 3] = [
            ("latency", &self.latency.trials, &self.latency.not_tuned),
            ("throughput", &self.throughput.trials, &self.throughput.not_tuned),
            ("memory", &self.memory.trials, &self.memory.not_tuned),
        ];
        for (name, trials, not_tuned) in parts {
            out.push_str(&format!("\n{name}\n"));
            for trial in trials {
                let kept = if trial.kept { "kept" } else { "left" };
                let Trial { setting, from, to, why, .. } = trial;
                out.push_str(&format!("  {kept}  {setting}: {from} -> {to}: {why}\n"));
                for measured in &trial.measures {
                    out.push_str(&format!("          {}\n", measured.line()));
                }
            }
            for one in not_tuned {
                out.push_str(&format!("  not tunable here: {}: {}\n", one.what, one.why));
                if let Some(measured) = &one.measured {
                    out.push_str(&format!("          {}\n", measured.line()));
                }
            }
        }
        out.push('\n');
        for Kept { setting, before, after } in &self.kept {
            out.push_str(&format!("{setting}: {before} -> {after}\n"));
        }
        out.push_str(&match (&self.written, self.kept.is_empty()) {
            (Some(path), _) => format!(
                "wrote {path}; it holds from the next start on, and `sniperforge tune --reset` removes it\n"
            ),
            (None, true) => "nothing helps beyond noise: nothing was written\n".to_owned(),
            (None, false) => "only looked: nothing was written\n".to_owned(),
        });
        out
    }
}
