//! The append-only journal: what happened, in order, checked byte by byte.
//!
//! # Format
//!
//! A journal is a folder. `00000000.journal` and so on are its *segments*: each goes on where the one before ends.
//! A segment starts with 112 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the magic `SNPRJRNL` |
//! | 4 | version, 2 |
//! | 4 | CRC-32 of these 12 |
//! | 8 | number of the segment |
//! | 8 | when the journal was begun, in microseconds |
//! | 32, 32 | its owner: public key, and genesis hash of the chain |
//! | 8 | number of its first record |
//! | 4 | CRC of the record before that, in the segment before |
//! | 4 | CRC-32 of what follows the first 16 bytes |
//!
//! `00000007.snapshot` is the state before the first record of segment 7; see [`Snapshot`]. `lock` is held by the one
//! who writes. Version 1 was a single file `journal.bin` beside the folder, with records behind the first 16 bytes. It is
//! taken over as segment 0, and a stub stays in its place that tells programs of that version of the new format.
//!
//! Records, each:
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
//!
//! All but the last segment were durable before the next began, so nothing may be torn in them. The head of a segment
//! says where it belongs, so a missing, swapped or foreign one is found before a record is read.

mod ahead;
mod folder;
mod keep;
mod read;
mod segment;
mod snapshot;
mod write;

pub use folder::{Recovered, Recovery, Segments};
pub use keep::{Bounds, Kept};
pub use read::{Entry, JournalReader};
pub use segment::Owner;
pub use snapshot::{Snapshot, SnapshotError};
pub use sniper_core::journal::{MAX_RECORD, Record};
pub use write::Journal;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

const HEAD_BYTES: usize = segment::SEGMENT_HEAD;

fn base58(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

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
    #[error("no space left for the journal {}: free some", path.display())]
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
    /// A segment that something else goes on from is not there, or was emptied.
    #[error(
        "the segment {} of the journal is missing, and {} is there. Nothing was changed. Put it back; without it, \
         move the journal away, start anew and reconcile with the chain",
        path.display(), next.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What is there and needs it.
        next: PathBuf,
    },
    /// A segment ends before the next one begins.
    #[error(
        "the segment {} ends at byte {offset} before record {record}, and the next one begins with record {next}: what \
         lies between is lost. Nothing was changed. Restore the file from a copy; without one, move the journal away, \
         start anew and reconcile with the chain",
        path.display()
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Where its records end.
        offset: u64,
        /// The record that should be there.
        record: u64,
        /// The first record of the next segment.
        next: u64,
    },
    /// A segment has the name of another.
    #[error("{} is segment {found}, renamed. Nothing was changed: give it its name back", path.display())]
    Renamed {
        /// The file.
        path: PathBuf,
        /// The number that it has.
        found: u64,
    },
    /// A segment of another journal, or of another copy of this one.
    #[error(
        "the segment {} does not follow the one before it: it is of another journal, or of a copy that went on by \
         itself. Nothing was changed. Put back the one that was there",
        path.display()
    )]
    Stranger {
        /// The file.
        path: PathBuf,
    },
    /// The first bytes of a segment are not what was written.
    #[error(
        "the segment {} is damaged in its first {HEAD_BYTES} bytes, and records follow. Nothing was changed. Restore the \
         file from a copy; without one, move the journal away, start anew and reconcile with the chain",
        path.display()
    )]
    DamagedHead {
        /// The file.
        path: PathBuf,
    },
    /// The journal of another key or chain.
    #[error(
        "the journal {} is that of the key {} on the chain {}, not of {} on {}. Nothing was changed: use the data folder \
         of this key and chain, or another one",
        path.display(), found.key, base58(&found.genesis), wanted.key, base58(&wanted.genesis)
    )]
    WrongOwner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: Box<Owner>,
        /// Whose it should be.
        wanted: Box<Owner>,
    },
    /// The disk does not take records; they are kept in memory until it does.
    #[error("the journal {} cannot be written for now: {kept} bytes wait in memory", path.display())]
    Stalled {
        /// The file.
        path: PathBuf,
        /// Bytes that wait.
        kept: usize,
    },
    /// What the system had taken and never said to be durable is not there any more.
    #[error(
        "the journal {} lost what was written from byte {offset} (record {record}) on: restart to go on from what it \
         has",
        path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// Where the loss begins.
        offset: u64,
        /// The first record that is lost.
        record: u64,
    },
    /// More waits in memory than may.
    #[error("the journal {} could not be written for too long: what waits no longer fits", path.display())]
    Overflow {
        /// The file.
        path: PathBuf,
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
}
