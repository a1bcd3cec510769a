//! Defaults, files, what was tuned and the environment, laid over each other; each value remembers where it came from.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml::de::{DeTable, DeValue};

use super::ENV_PREFIX;
use super::defaults;
use super::error::{ConfigError, Place, variable_of};
use super::raw::RawConfig;
use super::tuned::TunedFile;

/// The name under which the defaults are kept.
const DEFAULTS: &str = "default";
/// The name under which the environment is kept.
const ENVIRONMENT: &str = "environment";

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files; a later one wins.
    pub files: Vec<PathBuf>,
    /// Variables; only those with our prefix count, and they win over files.
    pub variables: Vec<(String, String)>,
}

impl Sources {
    /// These files and the environment of this process.
    #[must_use]
    pub fn of_process(files: Vec<PathBuf>) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        Self { files, variables }
    }
}

/// A source with a name.
struct Layer {
    name: &'static str,
    path: Option<PathBuf>,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.path {
            Some(path) => Metadata::from(self.name, path.as_path()),
            None => Metadata::named(self.name),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// All sources read, each value with its origin.
pub struct Layers {
    figment: Figment,
    files: Vec<(PathBuf, String)>,
    data_dir: Option<PathBuf>,
}

impl Layers {
    /// Reads every source, and refuses the first that is not a configuration.
    ///
    /// # Errors
    ///
    /// A file that is missing, malformed or holds an unknown key; a variable that does not fit.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Self::read_untuned(sources)?;
        let Some(data_dir) = &layers.data_dir else { return Ok(layers) };
        if let Some((path, text, _)) = TunedFile::read(data_dir)? {
            let tuned =
                Layer { name: "file", values: parse_file(&path, &text)?, path: Some(path.clone()) };
            let environment = Layer {
                name: ENVIRONMENT,
                path: None,
                values: parse_variables(&sources.variables)?,
            };
            layers.figment = layers.figment.merge(tuned).merge(environment);
            layers.files.push((path, text));
        }
        Ok(layers)
    }

    /// The same without what `sniperforge tune` has written.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn read_untuned(sources: &Sources) -> Result<Self, ConfigError> {
        let mut figment =
            Figment::from(Layer { name: DEFAULTS, path: None, values: defaults_as_values()? });
        let mut files = Vec::new();
        for path in &sources.files {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
            let values = parse_file(path, &text)?;
            figment = figment.merge(Layer { name: "file", path: Some(path.clone()), values });
            files.push((path.clone(), text));
        }
        let values = parse_variables(&sources.variables)?;
        figment = figment.merge(Layer { name: ENVIRONMENT, path: None, values });
        let data_dir = figment.find_value("store.data_dir").ok();
        let data_dir =
            data_dir.and_then(|value| value.into_string()).filter(|path| !path.is_empty());
        Ok(Self { figment, files, data_dir: data_dir.map(PathBuf::from) })
    }

    /// Where the layer of measured settings is looked for; none where no data folder is named.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// The value of `key`, if it has one.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<serde_json::Value> {
        serde_json::to_value(self.figment.find_value(key).ok()?).ok()
    }

    /// What all sources together say.
    ///
    /// # Errors
    ///
    /// A value of the wrong kind, which only a variable can still have.
    pub fn extract(&self) -> Result<RawConfig, ConfigError> {
        self.figment.extract().map_err(|error| of_figment(&error))
    }

    /// Where the value of `key` was written. A key of an entry in a list names the list.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        let known =
            |key: &str| self.figment.find_value(key).ok().map(|value| self.origin(key, &value));
        // An entry that is absent is looked for where its list is.
        let mut key = key;
        loop {
            if let Some(place) = known(key) {
                return place;
            }
            match key.rsplit_once('.') {
                Some((parent, _)) => key = parent,
                None => return Place::Default,
            }
        }
    }

    fn origin(&self, key: &str, value: &Value) -> Place {
        let Some(metadata) = self.figment.get_metadata(value.tag()) else { return Place::Default };
        match metadata.source.as_ref().and_then(|source| source.file_path()) {
            Some(path) => {
                let text = self.files.iter().rev().find(|(known, _)| known == path);
                let line = text.and_then(|(_, text)| line_of(text, key));
                Place::File { path: path.to_owned(), line }
            }
            None if metadata.name == ENVIRONMENT => {
                // A list or an entry of one comes from one variable.
                let list = key.split('.').take_while(|part| part.parse::<usize>().is_err());
                Place::Variable(variable_of(&list.collect::<Vec<_>>().join(".")))
            }
            None => Place::Default,
        }
    }

    /// Every value with its key and origin, in the order of the sections.
    #[must_use]
    pub fn flattened(&self) -> Vec<(String, Value, Place)> {
        let mut rows = Vec::new();
        for section in super::SECTIONS {
            if let Ok(value) = self.figment.find_value(section) {
                self.flatten((*section).to_owned(), value, &mut rows);
            }
        }
        rows
    }

    fn flatten(&self, key: String, value: Value, rows: &mut Vec<(String, Value, Place)>) {
        match value {
            Value::Dict(_, dict) => {
                // Plain values come before tables, as TOML wants them.
                let (tables, plain): (Vec<_>, Vec<_>) =
                    dict.into_iter().partition(|(_, value)| matches!(value, Value::Dict(..)));
                for (name, value) in plain.into_iter().chain(tables) {
                    self.flatten(format!("{key}.{name}"), value, rows);
                }
            }
            value => {
                let place = self.origin(&key, &value);
                rows.push((key, value, place));
            }
        }
    }
}

fn defaults_as_values() -> Result<Dict, ConfigError> {
    match Value::serialize(defaults::raw()) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        Ok(_) => Ok(Dict::new()),
        Err(error) => Err(of_figment(&error)),
    }
}

/// Parses one file twice: for its kinds and unknown keys with line and column, then as plain values.
fn parse_file(path: &Path, text: &str) -> Result<Dict, ConfigError> {
    let malformed = |error: &toml::de::Error| {
        let (line, column) = error.span().map_or((1, 1), |span| position(text, span.start));
        ConfigError::Malformed {
            path: path.to_owned(),
            line,
            column,
            problem: without_values(error.message()),
        }
    };
    toml::from_str::<RawConfig>(text).map_err(|error| malformed(&error))?;
    let table: toml::Table = toml::from_str(text).map_err(|error| malformed(&error))?;
    match Value::serialize(table) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        Ok(_) => Ok(Dict::new()),
        Err(error) => Err(of_figment(&error)),
    }
}

/// Reads each variable as a TOML value, or as plain text where it is none.
fn parse_variables(variables: &[(String, String)]) -> Result<Dict, ConfigError> {
    let mut root = Dict::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(ENV_PREFIX) else { continue };
        let key = key.to_lowercase();
        let mut parts: Vec<&str> = key.split("__").collect();
        let fault = |problem: String| ConfigError::Variable { variable: name.clone(), problem };
        let Some(last) = parts.pop().filter(|last| !last.is_empty() && !parts.contains(&"")) else {
            return Err(fault(format!("is not a key; write {ENV_PREFIX}SECTION__KEY")));
        };
        let value = match text.parse::<toml::Value>() {
            Ok(toml::Value::Datetime(_)) | Err(_) => Value::from(text.clone()),
            Ok(value) => Value::serialize(value).map_err(|_| fault("cannot be read".to_owned()))?,
        };
        let mut table = &mut root;
        for part in parts {
            let entry = table.entry(part.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            match entry {
                Value::Dict(_, inner) => table = inner,
                _ => {
                    return Err(fault(
                        "sets a key below one that another variable sets".to_owned(),
                    ));
                }
            }
        }
        table.insert(last.to_owned(), value);
        // Judged one by one, so that the message names the variable.
        let alone = Figment::from(Layer { name: ENVIRONMENT, path: None, values: root.clone() });
        alone.extract::<RawConfig>().map_err(|error| fault(problem_of(&error)))?;
    }
    Ok(root)
}

fn of_figment(error: &figment::Error) -> ConfigError {
    ConfigError::Variable {
        variable: variable_of(&error.path.join(".")),
        problem: problem_of(error),
    }
}

fn problem_of(error: &figment::Error) -> String {
    use figment::error::Kind;
    match &error.kind {
        Kind::UnknownField(name, known) => {
            format!("unknown key `{name}`, expected {}", list(known))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("invalid value, expected {expected}")
        }
        other => without_values(&other.to_string()),
    }
}

fn list(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// A parser's message without the text it found: that may be a URL with a key in it.
fn without_values(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message.lines().next().unwrap_or_default();
    while let Some(start) = rest.find("string \"") {
        let (before, found) = rest.split_at(start);
        out.push_str(before);
        out.push_str("text");
        // A quote inside the found text is escaped in the message, so the last one ends it.
        rest =
            found.rfind('"').and_then(|end| found.get(end.saturating_add(1)..)).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Line and column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}

/// The line on which `key` is written.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut parts = key.split('.');
    let first = parts.next()?;
    let (name, mut value) =
        table.get_ref().iter().find(|(name, _)| name.get_ref().as_ref() == first)?;
    let mut offset = name.span().start;
    for part in parts {
        match value.get_ref() {
            DeValue::Table(inner) => {
                let (name, next) =
                    inner.iter().find(|(name, _)| name.get_ref().as_ref() == part)?;
                offset = name.span().start;
                value = next;
            }
            DeValue::Array(items) => {
                value = items.get(part.parse::<usize>().ok()?)?;
                offset = value.span().start;
            }
            _ => return None,
        }
    }
    Some(position(text, offset).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_repeats_the_text_it_found() {
        let message = "invalid type: string \"https://node/?key=s\\\"ecret\", expected i64";
        assert_eq!(without_values(message), "invalid type: text, expected i64");
    }

    #[test]
    fn a_key_is_found_on_its_line_in_tables_and_lists() {
        let text = "[risk]\n\norders_per_minute = 1\n[[node.endpoints]]\nname = 'a'\n[[node.endpoints]]\nname = 'b'\n";
        assert_eq!(line_of(text, "risk.orders_per_minute"), Some(3));
        assert_eq!(line_of(text, "node.endpoints.0.name"), Some(5));
        assert_eq!(line_of(text, "node.endpoints.1.name"), Some(7));
        assert_eq!(line_of(text, "risk.absent"), None);
    }
}
