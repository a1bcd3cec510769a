//! The state before the first record of a segment, so that a restart reads no further back.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sniper_core::ids::Address;
use sniper_core::units::Timestamp;
use thiserror::Error;

use super::Owner;
use crate::failpoint::{Point, pass};

/// The kind of file that snapshots are.
pub(super) const KIND: &str = "snapshot";

const MAGIC: [u8; 8] = *b"SNPRSNAP";
const VERSION: u32 = 1;

/// State as of a place in the journal. What it says is checked against the journal by whoever takes it up: the first
/// record of its segment has the same hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The segment that goes on from it.
    pub segment: u64,
    /// The number of that segment's first record.
    pub first: u64,
    /// When the journal was begun.
    pub born: Timestamp,
    /// Its owner's public key.
    pub key: Address,
    /// Its chain.
    pub genesis: [u8; 32],
    /// Version of what `config` holds.
    pub version: u16,
    /// The engine's settings, as the journal's header has them.
    pub config: Vec<u8>,
    /// When the engine first started.
    pub started: Timestamp,
    /// Hash of all effects so far.
    pub effects: [u8; 32],
    /// How many values that hash has taken.
    pub counted: u64,
    /// Hash of the state.
    pub digest: [u8; 32],
    /// The state, as the engine saves it.
    pub state: Vec<u8>,
    /// What the tables' projector had counted; may be empty.
    pub counts: Vec<u8>,
}

/// Why a snapshot is passed over.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot read the snapshot {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was cut short or changed, or is none.
    #[error("{} is no whole snapshot", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of this program.
    #[error("the snapshot {} has format {found}; this program reads {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// It belongs to another place or journal than its name and folder say.
    #[error("the snapshot {} is not of this journal, or of another place in it", path.display())]
    Stranger {
        /// The file.
        path: PathBuf,
    },
}

impl Snapshot {
    /// Where the one before segment `number` lies.
    pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:08}.{KIND}"))
    }

    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        Owner { key: self.key, genesis: self.genesis }
    }

    /// Writes it as a whole or not at all, also when the power goes.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let path = Self::path_of(folder, self.segment);
        let temporary = path.with_extension("snapshot-part");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        file.write_all(&checksum(&body).to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        pass(Point::SnapshotBefore);
        std::fs::rename(&temporary, &path)?;
        pass(Point::SnapshotAfter);
        File::open(folder)?.sync_all()
    }

    /// The one before segment `number`.
    ///
    /// # Errors
    ///
    /// It is not there, not whole, or not that one.
    pub(super) fn read(folder: &Path, number: u64) -> Result<Self, SnapshotError> {
        let path = Self::path_of(folder, number);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(SnapshotError::Io { path, source }),
        };
        let Some((version, body)) = split(&bytes) else {
            return Err(SnapshotError::Damaged { path });
        };
        if version != VERSION {
            return Err(SnapshotError::Version { path, found: version });
        }
        match postcard::take_from_bytes::<Self>(body) {
            Ok((snapshot, [])) if snapshot.segment == number => Ok(snapshot),
            Ok((_, [])) => Err(SnapshotError::Stranger { path }),
            _ => Err(SnapshotError::Damaged { path }),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (version, rest) = rest.split_first_chunk()?;
    let (crc, body) = rest.split_first_chunk()?;
    let version = u32::from_le_bytes(*version);
    // That of another version may be made otherwise.
    let whole = version != VERSION || checksum(body) == u32::from_le_bytes(*crc);
    whole.then_some((version, body))
}

fn checksum(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}
