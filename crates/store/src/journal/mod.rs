//! The append-only journal: what happened, in order, checked byte by byte.
//!
//! # Format
//!
//! A file starts with 16 bytes: the magic `SNPRJRNL`, the version as u32, and the checksum of these 12. Then come
//! records, each:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the payload, 1 to [`MAX_RECORD`] |
//! | 4 | CRC-32 of all the other bytes of the record |
//! | 8 | number of the record, from 0, rising by one |
//! | 8 | how many records were known to be on the disk when this one was written |
//! | length | payload: a [`Record`] in postcard |
//!
//! All numbers are little-endian. Space is reserved ahead, so zeros after the last record are the end of the journal.
//!
//! # Design
//!
//! After a crash the last records may be torn: they were written but never said to be durable, and are cut off. A
//! damaged record that *was* durable is another matter: money may have moved on its account, so the journal is
//! refused and left as it is. The fourth field tells the two apart. Without it, a power cut that wrote the last
//! pages out of order would look like a damaged middle, and every such crash would need a person.

mod ahead;
mod read;
mod write;

pub use read::{Entry, JournalReader, Recovered};
pub use sniper_core::journal::{MAX_RECORD, Record};
pub use write::Journal;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be created or opened for writing.
    #[error("cannot open the journal {} for writing: check that its folder exists and is writable", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another engine writes to it.
    #[error("the journal {} is in use by another process: stop it first", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No space left.
    #[error("no space left for the journal {}: free some and restart", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} the journal {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Some other file.
    #[error("{} is not a journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of this program.
    #[error("the journal {} has format {found}; this program reads {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// A record that was durable is no longer what was written. Nothing has been changed.
    #[error(
        "the journal {} is damaged at byte {offset} (record {record}), and intact records follow from byte {next}. \
         Nothing was changed. Restore the file from a copy; without one, move it away, start anew and reconcile \
         with the chain",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// The number of the damaged record; all before it are intact.
        record: u64,
        /// Where the first intact record after it begins.
        next: u64,
    },
    /// An intact record that this program does not know.
    #[error("record {record} of the journal {} (byte {offset}) was written by another version of this program", path.display())]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        offset: u64,
        /// Its number.
        record: u64,
    },
    /// A record that is too large to be written.
    #[error("a record exceeds {MAX_RECORD} bytes")]
    TooLarge,
    /// An earlier write failed, so what is on the disk is unknown.
    #[error("an earlier write to the journal {} failed: restart to recover", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
    },
}
