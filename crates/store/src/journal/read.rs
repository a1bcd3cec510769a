//! Reading a journal, and judging what stands at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sniper_core::journal::{FILE_HEAD, Scanner, Source, Tail, VERSION, examine, file_version};

use super::{JournalError, Record};

/// A record and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from zero.
    pub number: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// What was written.
    pub record: Record,
}

/// What [`super::Journal::open`] found.
#[derive(Debug)]
pub struct Recovered {
    pub(super) path: PathBuf,
    pub(super) records: u64,
    pub(super) end: u64,
    pub(super) cut: u64,
}

impl Recovered {
    /// How many intact records there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.records
    }

    /// Whether the journal is new, or nothing of it was left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of a torn tail that were cut off: records that were never said to be durable.
    #[must_use]
    pub const fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// The records, from the first, read as they are asked for.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened again.
    pub fn records(&self) -> Result<JournalReader, JournalError> {
        JournalReader::limited(&self.path, self.end)
    }
}

/// Reads the records of a journal without locking or changing it, also while an engine writes to it.
///
/// After the last record, [`JournalReader::torn_bytes`] says whether a torn one follows. After an error there is
/// nothing more.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    scanner: Scanner<Disk>,
    torn: u64,
    done: bool,
}

impl JournalReader {
    /// Opens the journal at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no journal of this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::limited(path.as_ref(), u64::MAX)
    }

    fn limited(path: &Path, end: u64) -> Result<Self, JournalError> {
        let unreadable = |source| io_error("read", path, source);
        let file = File::open(path).map_err(unreadable)?;
        let mut head = [0; FILE_HEAD];
        match file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(JournalError::NotAJournal { path: path.to_owned() });
            }
            other => other.map_err(unreadable)?,
        }
        check_version(path, &head)?;
        let scanner = Scanner::new(Disk(file), end);
        Ok(Self { path: path.to_owned(), scanner, torn: 0, done: false })
    }

    /// Bytes of a torn tail, known once the last record was read.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    fn advance(&mut self) -> Result<Option<Entry>, JournalError> {
        let mut retried = false;
        loop {
            let (offset, number) = (self.scanner.position(), self.scanner.number());
            let unreadable = |source| io_error("read", &self.path, source);
            if let Some(payload) = self.scanner.next().map_err(unreadable)? {
                let record = Record::decode(payload).ok_or_else(|| JournalError::Undecodable {
                    path: self.path.clone(),
                    offset,
                    record: number,
                })?;
                return Ok(Some(Entry { number, offset, record }));
            }
            match examine(self.scanner.source(), offset, number, self.scanner.end())
                .map_err(unreadable)?
            {
                Tail::Clean => return Ok(None),
                Tail::Torn { bytes } => {
                    self.torn = bytes;
                    return Ok(None);
                }
                // An engine may have completed the record since it was read.
                Tail::Damaged { .. } if !retried => {
                    retried = true;
                    self.scanner.forget();
                }
                Tail::Damaged { next } => {
                    return Err(damaged(&self.path, offset, number, next));
                }
            }
        }
    }
}

impl Iterator for JournalReader {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let result = self.advance().transpose();
        self.done = !matches!(result, Some(Ok(_)));
        result
    }
}

pub(super) fn check_version(path: &Path, head: &[u8; FILE_HEAD]) -> Result<(), JournalError> {
    match file_version(head) {
        Some(VERSION) => Ok(()),
        Some(found) => Err(JournalError::Version { path: path.to_owned(), found, known: VERSION }),
        None => Err(JournalError::NotAJournal { path: path.to_owned() }),
    }
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { action, path: path.to_owned(), source }
}

pub(super) fn damaged(path: &Path, offset: u64, record: u64, next: u64) -> JournalError {
    JournalError::Damaged { path: path.to_owned(), offset, record, next }
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct Disk(pub(super) File);

impl Source for Disk {
    type Error = io::Error;

    fn read_up_to(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset.saturating_add(bytes(filled))) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

pub(super) fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
