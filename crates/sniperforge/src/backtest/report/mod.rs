//! The tear sheet: one HTML file that explains itself and needs nothing else, no network and no server.

mod base64;
mod figures;
pub(crate) mod format;
mod page;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::BacktestError;
use super::summary::{BacktestReport, Study};

/// The chart library, gzipped. It lies in the read-only part of the binary and is read from disk only when a
/// report is written or a page asks for it, so it costs a trading engine no memory.
#[must_use]
pub fn plotly_js_gz() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/plotly.js.gz"))
}

/// Whether a report could be written there: to be told before the work, not after it.
pub(super) fn check_writable(path: &Path) -> Result<(), BacktestError> {
    let failed = |source| BacktestError::Report { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let draft = draft_of(path);
    std::fs::File::create(&draft).map_err(failed)?;
    std::fs::remove_file(&draft).map_err(failed)
}

/// Writes the report whole or not at all: an older one stays until the new one is complete.
pub(super) fn write(
    path: &Path,
    study: &Study<'_>,
    summary: &BacktestReport,
) -> Result<(), BacktestError> {
    let html = page::render(study, summary);
    let draft = draft_of(path);
    let written = std::fs::File::create(&draft)
        .and_then(|mut file| {
            file.write_all(html.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&draft, path));
    written.map_err(|source| {
        // The draft may not even exist; the error that matters is the first.
        std::fs::remove_file(&draft).ok();
        BacktestError::Report { path: path.to_owned(), source }
    })
}

/// Beside the target, so that the rename stays within one file system.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
