//! `new-config`: a file with every key, its default and what it means.

use std::io::Write;
use std::path::Path;

use super::error::ConfigError;

/// The file. A test holds it equal to the defaults.
pub const TEMPLATE: &str = include_str!("template.toml");

/// Writes [`TEMPLATE`] to `path`: whole or not at all, and never over a file that is there.
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
    file.write_all(TEMPLATE.as_bytes())?;
    file.sync_all()
}
