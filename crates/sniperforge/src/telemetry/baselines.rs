//! What every stage is expected to take: budgets, and what was measured once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::floor::{Against, FloorTimes};
use super::stage::Stage;
use crate::bench::Machine;

/// How a file of baselines names itself.
pub(crate) const SCHEMA: &str = "sniperforge-baselines-1";
/// Those that this program carries.
const EMBEDDED: &str = include_str!("../../../../config/performance_baselines.json");
/// Larger than any of ours.
const BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Why baselines cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The file cannot be read.
    #[error(
        "baselines {path}: cannot be read; name another file with --baselines or performance.baselines"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is empty or not what it should be.
    #[error(
        "baselines {path}: {problem}; nothing was changed. Name another file, or make a new one with \
         `sniperforge profile --save-baselines FILE`"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be written.
    #[error("baselines {path}: cannot be written; the file is as it was")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A file of baselines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baselines {
    pub(crate) schema: String,
    /// The most that a stage may take, in milliseconds, whatever was measured.
    pub(crate) budgets_ms: BTreeMap<String, f64>,
    /// What a run has shown, if any was saved.
    pub(crate) measured: Option<Measured>,
}

/// What a run has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    /// When, in UTC.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) iterations: u64,
    /// Time from block to block of the chain it ran on, in milliseconds.
    pub(crate) slot_ms: u64,
    /// The floor beside each block.
    pub(crate) floors: Vec<FloorTimes>,
    pub(crate) stages: BTreeMap<String, MeasuredStage>,
}

/// A stage as a run has shown it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasuredStage {
    pub(crate) count: u64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    /// The middle of each block, in nanoseconds; `null` where a block had none.
    pub(crate) blocks_ns: Vec<Option<f64>>,
}

impl MeasuredStage {
    /// The blocks as multiples of the floors beside them.
    #[cfg_attr(
        not(any(feature = "localnet", test)),
        expect(dead_code, reason = "a profile needs a chain")
    )]
    pub(crate) fn figures(&self, stage: Stage, floors: &[FloorTimes]) -> Vec<f64> {
        figures(stage, &self.blocks_ns, floors)
    }
}

/// Blocks as multiples of the floors beside them.
pub(crate) fn figures(stage: Stage, blocks: &[Option<f64>], floors: &[FloorTimes]) -> Vec<f64> {
    let against = Against::of(stage);
    let pairs = blocks.iter().zip(floors);
    pairs.filter_map(|(ns, floor)| ns.map(|ns| ns / floor.unit(against))).collect()
}

impl Baselines {
    /// Those of a file, or without one those that this program carries.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, BaselineError> {
        let Some(path) = path else {
            return Self::parse(Path::new("config/performance_baselines.json"), EMBEDDED);
        };
        let read = |source| BaselineError::Read { path: path.to_owned(), source };
        let foreign = |problem: &str| BaselineError::Foreign {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let metadata = std::fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(foreign("it is not a file"));
        }
        if metadata.len() > BYTES_MAX {
            return Err(foreign("it is larger than baselines can be"));
        }
        let bytes = std::fs::read(path).map_err(read)?;
        let text = String::from_utf8(bytes).map_err(|_| foreign("it is not text"))?;
        Self::parse(path, &text)
    }

    /// What a running engine is held against: a file of the operator's, or else budgets alone. What the program carries was
    /// measured on a market of its own, and a desk with other pools and strategies is not slower for having them.
    pub(crate) fn of_engine(path: Option<&Path>) -> Result<Self, BaselineError> {
        let baselines = Self::load(path)?;
        Ok(if path.is_some() { baselines } else { Self { measured: None, ..baselines } })
    }

    fn parse(path: &Path, text: &str) -> Result<Self, BaselineError> {
        let foreign = |problem: String| BaselineError::Foreign { path: path.to_owned(), problem };
        if text.trim().is_empty() {
            return Err(foreign("it is empty".to_owned()));
        }
        let told: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| foreign(format!("it is not JSON ({error})")))?;
        let schema = told.get("schema").and_then(serde_json::Value::as_str);
        if schema != Some(SCHEMA) {
            return Err(foreign(match schema {
                Some(_) => format!("it is of another kind or version than {SCHEMA}"),
                None => {
                    format!("it does not say \"schema\": \"{SCHEMA}\", so it is something else")
                }
            }));
        }
        let baselines: Self =
            serde_json::from_value(told).map_err(|error| foreign(error.to_string()))?;
        baselines.check().map_err(foreign)?;
        Ok(baselines)
    }

    fn check(&self) -> Result<(), String> {
        let is_time = |x: f64| x.is_finite() && x > 0.0;
        if let Some((stage, _)) = self.budgets_ms.iter().find(|(_, ms)| !is_time(**ms)) {
            return Err(format!("the budget of {stage} is no time"));
        }
        let Some(measured) = &self.measured else { return Ok(()) };
        let floors = measured.floors.iter().all(|f| is_time(f.compute_ns) && is_time(f.disk_ns));
        if !floors {
            return Err("a floor is no time".to_owned());
        }
        for (name, stage) in &measured.stages {
            if stage.blocks_ns.len() != measured.floors.len() {
                return Err(format!("{name} has not one block for each floor"));
            }
            // A stage may be faster than the clock tells apart, so a block may be zero.
            let mut blocks = stage.blocks_ns.iter().flatten();
            if !blocks.all(|ns| ns.is_finite() && *ns >= 0.0) {
                return Err(format!("a block of {name} is no time"));
            }
        }
        Ok(())
    }

    /// Writes the file whole or not at all; what was there before is replaced only if it is baselines, too.
    #[cfg_attr(
        not(any(feature = "localnet", test)),
        expect(dead_code, reason = "a profile needs a chain")
    )]
    pub(crate) fn save(&self, path: &Path) -> Result<(), BaselineError> {
        if path.exists() {
            // A mistyped name must not cost somebody else's file.
            Self::load(Some(path))?;
        }
        let write = |source| BaselineError::Write { path: path.to_owned(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(write)?;
        serde_json::to_writer_pretty(&mut file, self)
            .map_err(std::io::Error::from)
            .and_then(|()| std::io::Write::write_all(&mut file, b"\n"))
            .and_then(|()| file.as_file().sync_all())
            .map_err(write)?;
        // Others may read a baseline: the file of a temporary name may be its owner's alone.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let open = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(file.path(), open).map_err(write)?;
        }
        file.persist(path).map_err(|error| write(error.error))?;
        Ok(())
    }

    /// The budget of a stage, in milliseconds.
    pub(crate) fn budget_ms(&self, stage: Stage) -> Option<f64> {
        self.budgets_ms.get(stage.as_str()).copied()
    }

    /// What was measured, where that can be compared with times of this program: a build with other optimisation has
    /// other times, whatever the machine.
    pub(crate) fn comparable(&self) -> Option<&Measured> {
        self.measured.as_ref().filter(|measured| measured.machine.is_same_build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Baselines::parse(Path::new("b.json"), text).unwrap_err().to_string()
    }

    #[test]
    fn the_embedded_baselines_hold_figures_for_a_profile_and_budgets_for_an_engine() {
        let baselines = Baselines::load(None).unwrap();
        let measured = baselines.measured.as_ref().unwrap();
        assert!(measured.stages.len() >= 10 && measured.floors.len() >= 20);
        assert_eq!(serde_json::to_value(&measured.machine).unwrap()["build"], "release");
        // What was measured keeps within what was asked for.
        for (name, ms) in &baselines.budgets_ms {
            assert!(measured.stages.get(name).is_none_or(|stage| stage.p95_ms < *ms), "{name}");
        }
        assert!(Baselines::of_engine(None).unwrap().measured.is_none());
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.json");
        baselines.save(&own).unwrap();
        assert!(Baselines::of_engine(Some(&own)).unwrap().measured.is_some());
        for (stage, ms) in [
            (Stage::SignalMa, 15.0),
            (Stage::Sizing, 10.0),
            (Stage::Risk, 5.0),
            (Stage::FullTrade, 400.0),
        ] {
            assert_eq!(baselines.budget_ms(stage), Some(ms), "{stage:?}");
        }
    }

    #[test]
    fn what_is_no_baseline_is_refused_with_its_reason() {
        assert!(refused(" \n").contains("b.json: it is empty"));
        assert!(refused("{\"a\":").contains("not JSON"));
        assert!(refused("{\"mode\":\"paper\"}").contains("something else"));
        assert!(refused("{\"schema\":\"sniperforge-baselines-9\"}").contains("version"));
        let with = |rest: &str| format!("{{\"schema\":\"{SCHEMA}\",{rest}}}");
        assert!(
            refused(&with("\"budgets_ms\":{\"risk\":-1},\"measured\":null"))
                .contains("risk is no time")
        );
        assert!(refused(&with("\"budgets_ms\":{},\"measured\":null,\"more\":1")).contains("more"));
    }

    #[test]
    fn saving_replaces_baselines_and_never_a_file_of_another_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours.json"), folder.path().join("other.json"));
        let baselines = Baselines::load(None).unwrap();
        baselines.save(&ours).unwrap();
        baselines.save(&ours).unwrap();
        assert_eq!(Baselines::load(Some(&ours)).unwrap().budgets_ms, baselines.budgets_ms);
        std::fs::write(&other, "my notes").unwrap();
        let error = baselines.save(&other).unwrap_err().to_string();
        assert!(error.contains("not JSON") && error.contains("nothing was changed"), "{error}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "my notes");
        let error = baselines.save(&folder.path().join("absent/b.json")).unwrap_err();
        assert!(matches!(error, BaselineError::Write { .. }));
        let error = Baselines::load(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("not a file"), "{error}");
    }
}
