//! Reading a journal, and judging what stands at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{FILE_HEAD, HEAD, Head, VERSION, file_version};
use super::{JournalError, Record};

const WINDOW: usize = 64 * 1024;

static ZEROS: [u8; WINDOW] = [0; WINDOW];

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
    scanner: Scanner,
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
        let scanner = Scanner::new(file, end);
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
            let (offset, number) = (self.scanner.position, self.scanner.number);
            let unreadable = |source| io_error("read", &self.path, source);
            if let Some(payload) = self.scanner.next().map_err(unreadable)? {
                let record = Record::decode(payload).ok_or_else(|| JournalError::Undecodable {
                    path: self.path.clone(),
                    offset,
                    record: number,
                })?;
                return Ok(Some(Entry { number, offset, record }));
            }
            match examine(&self.scanner.file, offset, number, self.scanner.end)
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

/// Walks over intact records, in order.
#[derive(Debug)]
pub(super) struct Scanner {
    file: File,
    /// Nothing is read from here on.
    end: u64,
    /// Where the next record begins, or should.
    pub(super) position: u64,
    /// The number the next record has, or should have.
    pub(super) number: u64,
    /// Bytes of the file from `position` on, after `used` that lie before it.
    buffer: Vec<u8>,
    used: usize,
}

impl Scanner {
    /// From the first record of `file` on.
    pub(super) fn new(file: File, end: u64) -> Self {
        Self { file, end, position: bytes(FILE_HEAD), number: 0, buffer: Vec::new(), used: 0 }
    }

    /// The payload of the next record; `None` where there is no intact one.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.fill(HEAD)?;
        let Some(head) = Head::read(self.ahead()) else { return Ok(None) };
        if head.number != self.number {
            return Ok(None);
        }
        let whole = head.whole();
        self.fill(whole)?;
        if !self.ahead().get(..whole).is_some_and(|frame| head.holds(frame)) {
            return Ok(None);
        }
        let start = self.used;
        self.used = start.saturating_add(whole);
        self.position = self.position.saturating_add(bytes(whole));
        self.number = self.number.saturating_add(1);
        Ok(self.buffer.get(start.saturating_add(HEAD)..self.used))
    }

    /// Drops what was read ahead, to read it again.
    fn forget(&mut self) {
        self.buffer.clear();
        self.used = 0;
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads until `need` bytes are ahead, or the file ends.
    fn fill(&mut self, need: usize) -> io::Result<()> {
        if self.ahead().len() >= need {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = self.buffer.len();
        let from = self.position.saturating_add(bytes(have));
        let room = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let want = need.max(WINDOW).saturating_sub(have).min(room);
        self.buffer.resize(have.saturating_add(want), 0);
        let target = self.buffer.get_mut(have..).unwrap_or_default();
        let count = read_up_to(&self.file, target, from)?;
        self.buffer.truncate(have.saturating_add(count));
        Ok(())
    }
}

/// What stands where no intact record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing, or reserved space.
    Clean,
    /// Records that were being written when all stopped.
    Torn {
        /// Up to the last byte that is not zero.
        bytes: u64,
    },
    /// A record that was durable, as a later one tells.
    Damaged {
        /// Where the first intact record after it begins.
        next: u64,
    },
}

/// Judges the bytes from `position` on, where record `number` should begin.
pub(super) fn examine(file: &File, position: u64, number: u64, end: u64) -> io::Result<Tail> {
    let mut window = vec![0; WINDOW];
    let mut candidate = Vec::new();
    let (mut from, mut last_used, mut first_intact) = (position, None, None);
    loop {
        let room = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let size = window.len().min(room);
        let count = read_up_to(file, window.get_mut(..size).unwrap_or_default(), from)?;
        let read = window.get(..count).unwrap_or_default();
        // Reserved space is most of what stands here.
        let used = if ZEROS.starts_with(read) { &[] } else { read };
        let mut skip = 0;
        for (at, start) in used.windows(HEAD).enumerate() {
            if at < skip || start.iter().take(4).all(|byte| *byte == 0) {
                continue;
            }
            let Some(head) = Head::read(start).filter(|head| head.number >= number) else {
                continue;
            };
            let offset = from.saturating_add(bytes(at));
            candidate.resize(head.whole(), 0);
            let got = read_up_to(file, &mut candidate, offset)?;
            if !head.holds(candidate.get(..got).unwrap_or_default()) {
                continue;
            }
            let next = *first_intact.get_or_insert(offset);
            if head.durable > number {
                return Ok(Tail::Damaged { next });
            }
            skip = at.saturating_add(head.whole());
        }
        if let Some(at) = used.iter().rposition(|byte| *byte != 0) {
            last_used = Some(from.saturating_add(bytes(at)));
        }
        if count < window.len() {
            break;
        }
        // The windows overlap, so that no head is cut in two.
        from = from.saturating_add(bytes(count - (HEAD - 1)));
    }
    Ok(match last_used {
        None => Tail::Clean,
        Some(last) => Tail::Torn { bytes: last.saturating_sub(position).saturating_add(1) },
    })
}

/// Reads until `target` is full or the file ends; says how many bytes it has.
fn read_up_to(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(bytes(filled))) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(super) fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
