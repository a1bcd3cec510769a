//! Reference vectors: folders of files that say what a venue's own software does with given bytes and amounts.
//!
//! A file is `{"header": {"dex", "file", "count", ..}, "vectors": [..], "states"?: {..}}`; header and vectors are
//! all that is required. One module a venue knows its groups; what no module knows is skipped, never passed.

mod amm_v4;
mod case;
mod clmm;
mod cpmm;
mod dlmm;
mod pump_curve;
mod pump_swap;
mod whirlpool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub use case::{Difference, Outcome, Verdict};

/// Checks one vector of a venue's `file`; `states` are the file's shared states, or its header where it has none: some
/// venues keep there what their vectors share.
type Check = fn(file: &str, states: &Value, vector: &Value) -> Verdict;

/// Every venue whose vectors are understood, by the name in the header.
const VENUES: &[(&str, Check)] = &[
    ("raydium_cpmm", cpmm::check),
    ("raydium_amm_v4", amm_v4::check),
    ("raydium_clmm", clmm::check),
    ("whirlpool", whirlpool::check),
    ("meteora_dlmm", dlmm::check),
    ("pumpswap", pump_swap::check),
    ("pump_curve", pump_curve::check),
];

/// Folders that are known and not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("core_programs", "no exchange: the tests of the crate that builds transactions run these"),
    ("squads_v4", "multisig proposals are not built yet"),
];

/// What was found, over all files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files read.
    pub files: u64,
    /// Vectors in them.
    pub cases: u64,
    /// Vectors that hold.
    pub passed: u64,
    /// Vectors that do not, and files that cannot be read.
    pub failed: u64,
    /// Vectors not tried.
    pub skipped: u64,
    /// The same per group: venue and file.
    pub by_group: BTreeMap<String, GroupReport>,
    /// Each failure, with the first field that differs.
    pub failures: Vec<Failure>,
}

/// What was found in one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    /// Vectors in it.
    pub cases: u64,
    /// Vectors that hold.
    pub passed: u64,
    /// Vectors that do not.
    pub failed: u64,
    /// Vectors not tried.
    pub skipped: u64,
    /// Why vectors were not tried, and how many each time.
    pub skip_reasons: BTreeMap<String, u64>,
}

/// One vector that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its group, or the file where there is none.
    pub group: String,
    /// Its name in the file.
    pub id: String,
    /// Where it differs first.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Runs every `.json` file below `folder`.
///
/// # Errors
///
/// When a folder cannot be listed, or holds no file at all.
pub fn run(folder: &Path) -> std::io::Result<Report> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    if files.is_empty() {
        let reason = format!("no .json file below {}", folder.display());
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, reason));
    }
    files.sort();
    let mut report = Report::default();
    for path in files {
        report.files += 1;
        match read(&path) {
            Ok(file) => report.file(&file),
            Err(reason) => report.unreadable(&path, reason),
        }
    }
    Ok(report)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut file = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    add_real_accounts(path, &mut file);
    Ok(file)
}

/// Some states only name accounts seen on chain, which lie in a file beside. They become `states.real_accounts`.
fn add_real_accounts(path: &Path, file: &mut Value) {
    let Some(states) = file["states"].as_object_mut() else { return };
    if states.values().any(|state| !state["real_account"].is_null())
        && let Ok(text) = std::fs::read(path.with_file_name("real_accounts.json"))
        && let Ok(mut beside) = serde_json::from_slice::<Value>(&text)
        && let Some(accounts) = beside.get_mut("vectors")
    {
        states.insert("real_accounts".to_owned(), accounts.take());
    }
}

impl Report {
    fn file(&mut self, file: &Value) {
        let header = &file["header"];
        let dex = header["dex"].as_str().unwrap_or("unnamed");
        let name = header["file"].as_str().unwrap_or("unnamed");
        let key = format!("{dex}/{name}");
        let Some(vectors) = file["vectors"].as_array() else {
            return self.failure(&key, "-", Difference::new("vectors", "a list", "absent"));
        };
        let cases = u64::try_from(vectors.len()).unwrap_or(u64::MAX);
        if header["count"].as_u64() != Some(cases) {
            let difference =
                Difference::new("header.count", header["count"].to_string(), cases.to_string());
            self.failure(&key, "-", difference);
        }
        let check = VENUES.iter().find(|(known, _)| *known == dex).map(|(_, check)| check);
        let states = if file["states"].is_null() { header } else { &file["states"] };
        for vector in vectors {
            let verdict = match check {
                Some(check) => check(name, states, vector),
                None => {
                    let known = ELSEWHERE.iter().find(|(known, _)| *known == dex);
                    Ok(Outcome::Skipped(known.map_or("nobody knows this venue", |(_, why)| *why)))
                }
            };
            self.case(&key, vector, verdict);
        }
    }

    fn case(&mut self, key: &str, vector: &Value, verdict: Verdict) {
        self.cases += 1;
        let group = self.by_group.entry(key.to_owned()).or_default();
        group.cases += 1;
        match verdict {
            Ok(Outcome::Passed) => {
                group.passed += 1;
                self.passed += 1;
            }
            Ok(Outcome::Skipped(reason)) => {
                group.skipped += 1;
                *group.skip_reasons.entry(reason.to_owned()).or_default() += 1;
                self.skipped += 1;
            }
            Err(difference) => {
                let id = vector["id"].as_str().unwrap_or("unnamed").to_owned();
                self.failure(key, &id, difference);
            }
        }
    }

    fn unreadable(&mut self, path: &Path, reason: String) {
        let difference = Difference::new("file", "readable JSON", reason);
        self.failed += 1;
        self.failures.push(Failure {
            group: path.display().to_string(),
            id: "-".to_owned(),
            difference,
        });
    }

    fn failure(&mut self, key: &str, id: &str, difference: Difference) {
        self.failed += 1;
        self.by_group.entry(key.to_owned()).or_default().failed += 1;
        self.failures.push(Failure { group: key.to_owned(), id: id.to_owned(), difference });
    }
}
