//! The one error type of this crate's edge.

use std::path::PathBuf;

use thiserror::Error;

/// Why the local chain could not start or went down.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalnetError {
    /// The port, or the one above it, is taken.
    #[error(
        "port {port} of the local chain cannot be opened: {source}; stop what holds it, or choose \
         another port (0 picks a free one)"
    )]
    Port {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No port was configured.
    #[error("the local chain needs at least one port: add one to the configuration")]
    NoPorts,
    /// A configured value is impossible.
    #[error("local chain setting `{name}` is {value}: it must be {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The refused value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The tape cannot be opened or read.
    #[error("tape {}: {source}; give a CSV or CSV.zst file of bars", path.display())]
    TapeRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A row of the tape is not a bar.
    #[error(
        "tape {} line {line}: {reason}; columns are ts_ms,open,high,low,close,volume",
        path.display()
    )]
    TapeRow {
        /// The file.
        path: PathBuf,
        /// Line in the file, the header being 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The runtime refused the first state of the chain.
    #[error("the runtime refused genesis account {address}: {reason}")]
    Genesis {
        /// The account.
        address: String,
        /// What the runtime said.
        reason: String,
    },
    /// The server's own machinery failed.
    #[error("the local chain's {what} failed: {source}")]
    Io {
        /// Which part.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
