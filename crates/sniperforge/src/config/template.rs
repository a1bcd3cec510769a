//! `new-config`: a file with every key, its default and what it means.

use std::io::Write;
use std::path::Path;

use super::defaults;
use super::error::ConfigError;

/// The text around the values.
const TEXT: &str = include_str!("template.toml.in");

/// The file: every key explained, with its default.
///
/// The values come from the defaults themselves, so that the file can never disagree with them.
#[must_use]
pub fn template() -> String {
    let defaults = toml::Table::try_from(defaults::raw()).unwrap_or_default();
    let mut table = String::new();
    let mut out = String::new();
    for line in TEXT.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.to_owned();
        }
        match line.split_once(" =") {
            Some((key, rest)) if !key.starts_with('#') => {
                let value = value_of(&defaults, &table, key);
                out.push_str(format!("{key} = {value}{rest}").trim_end());
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The default of `table.key` as a person would write it.
fn value_of(defaults: &toml::Table, table: &str, key: &str) -> String {
    let table = table.split('.').try_fold(defaults, |inner, part| inner.get(part)?.as_table());
    match table.and_then(|table| table.get(key)) {
        // An amount is kept as text, but is a number to the reader.
        Some(toml::Value::String(amount)) if key.ends_with("_usd") => amount.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// Writes [`template`] to `path`: whole or not at all, and never over a file that is there.
///
/// # Errors
///
/// The file exists, or the folder cannot be written to.
pub fn write_new(path: &Path) -> Result<(), ConfigError> {
    let unwritable = |source| ConfigError::Unwritable { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| unwritable(std::io::Error::from(std::io::ErrorKind::InvalidFilename)))?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.tmp", std::process::id()));
    let part = folder.join(part);
    let written = write_part(&part).and_then(|()| {
        // A link fails where the name is taken, so two writers can never replace each other's file.
        std::fs::hard_link(&part, path)
    });
    let removed = std::fs::remove_file(&part);
    match written {
        Ok(()) => removed.map_err(unwritable),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(ConfigError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(unwritable(error)),
    }
}

/// Endpoint URLs may hold keys, so nobody else may read the file.
fn write_part(part: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
    file.write_all(template().as_bytes())?;
    file.sync_all()
}
