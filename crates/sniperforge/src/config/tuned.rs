//! The layer that `sniperforge tune` writes: `tuned.toml` in the data folder, between the files of a person and the
//! environment.
//!
//! # Design
//! Such a file is written by a program that has measured something, so it may set what is in one list and nothing else:
//! never a limit, a key, an address or what is traded. The list is held to where the file is written and again where it is
//! read. Its first line says who wrote it and its last that nothing is missing; a file without them is somebody else's or
//! damaged, and is neither used nor replaced.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Value;

use super::error::ConfigError;
use super::raw::RawConfig;

/// The file's name, in the data folder.
pub const TUNED_FILE: &str = "tuned.toml";

/// Every setting that such a file may have.
pub const TUNABLE: [&str; 6] = [
    "node.feed_replicas",
    "node.hedge_percentile",
    "node.reserves",
    "store.cached_answers",
    "store.journal_reserve_kb",
    "store.table_batch",
];

const FIRST_LINE: &str = "# SniperForge: settings that `sniperforge tune` has measured, format 1.";
const LAST_LINE: &str = "# End of what was measured.";
/// Far more than all of them take.
const BYTES_MAX: u64 = 64 << 10;

/// Whether such a file may set this.
#[must_use]
pub fn is_tunable(key: &str) -> bool {
    TUNABLE.contains(&key)
}

/// Why such a file is neither used nor replaced.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TunedError {
    /// Another program's, or a person's.
    #[error(
        "was not written by `sniperforge tune`: move it away, or give settings of your own in a file with -c"
    )]
    Foreign,
    /// Not whole.
    #[error("is damaged ({0}): remove it with `sniperforge tune --reset`, and tune anew")]
    Damaged(String),
    /// A setting that it may not have.
    #[error(
        "sets {0}, which it must never set: remove it with `sniperforge tune --reset`, and set {0} in a file with -c if \
         you mean it"
    )]
    Forbidden(String),
    /// The system refused.
    #[error("cannot be {what}: {source}; check the folder's permissions and its disk")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

/// One setting, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedValue {
    /// What it is set to.
    pub value: Value,
    /// What was measured before and after, one line each.
    pub why: Vec<String>,
}

/// What such a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunedFile(BTreeMap<String, TunedValue>);

impl TunedFile {
    /// Reads the file in this data folder; none where there is none.
    ///
    /// # Errors
    ///
    /// A file that is somebody else's, damaged or sets what it must not, by its path.
    pub fn read(data_dir: &Path) -> Result<Option<(PathBuf, String, Self)>, ConfigError> {
        let path = data_dir.join(TUNED_FILE);
        let refused = |problem| ConfigError::Tuned { path: path.clone(), problem };
        let Some(text) = text_of(&path).map_err(refused)? else { return Ok(None) };
        let file = Self::parse(&text).map_err(refused)?;
        Ok(Some((path, text, file)))
    }

    /// Parses what [`Self::text`] gives.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, TunedError> {
        if text.lines().next() != Some(FIRST_LINE) {
            return Err(TunedError::Foreign);
        }
        if text.lines().last() != Some(LAST_LINE) {
            return Err(TunedError::Damaged("its last line is missing".to_owned()));
        }
        let damaged = |error: toml::de::Error| {
            // The line alone: what stands there may be anything.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            TunedError::Damaged(format!("line {line} is no setting"))
        };
        let table: toml::Table = toml::from_str(text).map_err(damaged)?;
        let mut values = BTreeMap::new();
        flatten(String::new(), &table, &mut values);
        if let Some(key) = values.keys().find(|key| !is_tunable(key)) {
            return Err(TunedError::Forbidden(key.clone()));
        }
        toml::from_str::<RawConfig>(text).map_err(damaged)?;
        for (key, tuned) in &mut values {
            tuned.why = why(text, key);
        }
        Ok(Self(values))
    }

    /// Sets one.
    ///
    /// # Errors
    ///
    /// It may not be set.
    pub fn set(&mut self, key: &str, value: TunedValue) -> Result<(), TunedError> {
        if !is_tunable(key) {
            return Err(TunedError::Forbidden(key.to_owned()));
        }
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    /// Every setting, by key.
    pub fn values(&self) -> impl Iterator<Item = (&str, &TunedValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{FIRST_LINE}\n# It wins over your files, and the environment over it. `sniperforge tune --reset` removes it.\n"
        );
        let mut table = "";
        for (key, tuned) in &self.0 {
            let (parent, name) = key.split_once('.').unwrap_or(("", key));
            if parent != table {
                out.push_str(&format!("\n[{parent}]\n"));
                table = parent;
            }
            for line in &tuned.why {
                out.push_str(&format!("# {name}: {}\n", line.replace(['\n', '\r'], " ")));
            }
            out.push_str(&format!("{name} = {}\n", tuned.value));
        }
        out.push_str(&format!("\n{LAST_LINE}\n"));
        out
    }

    /// Writes it into this data folder, whole or not at all, in the place of an earlier one.
    ///
    /// # Errors
    ///
    /// What is there is not ours, or the folder cannot be written to.
    pub fn write(&self, data_dir: &Path) -> Result<PathBuf, ConfigError> {
        let path = data_dir.join(TUNED_FILE);
        let refused = |problem| ConfigError::Tuned { path: path.clone(), problem };
        // Once more what is read: nothing else may ever stand there.
        let text = self.text();
        Self::parse(&text).map_err(refused)?;
        Self::read(data_dir)?;
        let part = data_dir.join(format!(".{TUNED_FILE}.{}.tmp", std::process::id()));
        let written = write_part(&part, &text).and_then(|()| {
            std::fs::rename(&part, &path)?;
            File::open(data_dir)?.sync_all()
        });
        if let Err(source) = written {
            // It may not have been made.
            std::fs::remove_file(&part).ok();
            return Err(refused(TunedError::Io { what: "written", source }));
        }
        Ok(path)
    }

    /// Removes the file from this data folder, also a damaged one, but none that is not ours. False where there is none.
    ///
    /// # Errors
    ///
    /// It is not ours, or cannot be removed.
    pub fn remove(data_dir: &Path) -> Result<bool, ConfigError> {
        let path = data_dir.join(TUNED_FILE);
        let refused = |problem| ConfigError::Tuned { path: path.clone(), problem };
        match text_of(&path).map_err(refused)? {
            None => return Ok(false),
            Some(text) if text.lines().next() != Some(FIRST_LINE) => {
                return Err(refused(TunedError::Foreign));
            }
            Some(_) => {}
        }
        let removed = std::fs::remove_file(&path).and_then(|()| File::open(data_dir)?.sync_all());
        removed.map_err(|source| refused(TunedError::Io { what: "removed", source }))?;
        Ok(true)
    }
}

fn text_of(path: &Path) -> Result<Option<String>, TunedError> {
    let io = |source| TunedError::Io { what: "read", source };
    let file = match File::open(path) {
        Ok(file) => file,
        // Below what is no folder there is nothing; who is to write there says so.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(io(source)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    let is_ours = bytes.starts_with(FIRST_LINE.as_bytes());
    match String::from_utf8(bytes) {
        Ok(text) if u64::try_from(text.len()).is_ok_and(|length| length <= BYTES_MAX) => {
            Ok(Some(text))
        }
        _ if is_ours => Err(TunedError::Damaged("it is no text, or too much".to_owned())),
        _ => Err(TunedError::Foreign),
    }
}

fn write_part(part: &Path, text: &str) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn flatten(parent: String, table: &toml::Table, into: &mut BTreeMap<String, TunedValue>) {
    for (name, value) in table {
        let key = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
        match value {
            // An empty table sets nothing, and is not ours to write either.
            Value::Table(inner) if !inner.is_empty() => flatten(key, inner, into),
            value => {
                into.insert(key, TunedValue { value: value.clone(), why: Vec::new() });
            }
        }
    }
}

/// What the file says of a setting.
fn why(text: &str, key: &str) -> Vec<String> {
    let (_, name) = key.split_once('.').unwrap_or(("", key));
    let begins = format!("# {name}: ");
    text.lines().filter_map(|line| line.strip_prefix(&begins)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
