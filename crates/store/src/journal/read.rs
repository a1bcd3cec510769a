//! Reading a journal, and judging what stands at its end.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sniper_core::journal::{FILE_HEAD, Place, Scanner, Source, Tail, VERSION, examine, file_head};

use super::segment::{Begins, Segment};
use super::{JournalError, Owner, Record, Segments};

/// A record and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from zero.
    pub number: u64,
    /// The segment it lies in.
    pub segment: u64,
    /// Where in that file it begins.
    pub offset: u64,
    /// What was written.
    pub record: Record,
}

/// Reads the records of a journal without locking or changing it, also while an engine writes to it.
///
/// After the last record, [`JournalReader::torn_bytes`] says whether a torn one follows. After an error there is
/// nothing more.
#[derive(Debug)]
pub struct JournalReader {
    /// Where segments are looked for that are not in `coming`.
    folder: Option<PathBuf>,
    coming: VecDeque<Segment>,
    current: Option<(Segment, Scanner<Disk>)>,
    /// Where the last segment ends that is to be read.
    until: Option<(u64, u64)>,
    torn: u64,
    done: bool,
}

/// Where the records of a journal end.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) segment: Segment,
    pub(super) position: u64,
    /// The number of the next record.
    pub(super) number: u64,
    /// Checksum of the last one.
    pub(super) crc: u32,
    pub(super) torn: u64,
}

impl JournalReader {
    /// Opens the journal in the folder `path`; or one segment of it; or a journal of the format before segments.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no journal of a known version, or a segment of it is missing or not its own.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Segments::open(path)?.records_from(0)
    }

    /// Over `segments`, and over those that come to be in `folder`.
    pub(super) fn over(
        folder: Option<PathBuf>,
        mut segments: VecDeque<Segment>,
        until: Option<(u64, u64)>,
    ) -> Result<Self, JournalError> {
        let first = segments.pop_front();
        let current = first.map(|first| begin(first, until)).transpose()?;
        Ok(Self { folder, coming: segments, current, until, torn: 0, done: false })
    }

    /// Bytes of a torn tail, known once the last record was read.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Whose journal it is; none of the format before segments.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let (segment, _) = self.current.as_ref()?;
        segment.head.map(|head| head.owner)
    }

    /// The file that is read now.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.current.as_ref().map(|(segment, _)| segment.path.as_path())
    }

    /// Passes all records that are left. Where they end is known then.
    pub(super) fn skip_all(&mut self) -> Result<(), JournalError> {
        while self.advance(|_| Some(()))?.is_some() {}
        self.done = true;
        Ok(())
    }

    /// Where the records end, once all were read; none of a journal without segments, or after an error.
    pub(super) fn end(&self) -> Option<End> {
        let (segment, scanner) = self.current.as_ref().filter(|_| self.done)?;
        Some(End {
            segment: segment.clone(),
            position: scanner.position(),
            number: scanner.number(),
            crc: scanner.crc(),
            torn: self.torn,
        })
    }

    /// The place of the next record, and what `decode` makes of its payload.
    fn advance<T>(
        &mut self,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<(u64, u64, T)>, JournalError> {
        let mut retried = false;
        loop {
            let Some((segment, scanner)) = &mut self.current else { return Ok(None) };
            let (offset, number) = (scanner.position(), scanner.number());
            let unreadable = |source| io_error("read", &segment.path, source);
            if let Some(payload) = scanner.next().map_err(unreadable)? {
                let value = decode(payload).ok_or_else(|| JournalError::Undecodable {
                    path: segment.path.clone(),
                    offset,
                    record: number,
                })?;
                return Ok(Some((number, offset, value)));
            }
            let tail =
                examine(scanner.source(), offset, number, scanner.end()).map_err(unreadable)?;
            let following = self.following()?;
            let Some((segment, scanner)) = &mut self.current else { return Ok(None) };
            let fault = match (following, tail) {
                (Some(next), _) if next.follows(number, scanner.crc()) => {
                    self.current = Some(begin(next, self.until)?);
                    retried = false;
                    continue;
                }
                (None, Tail::Clean) => return Ok(None),
                (None, Tail::Torn { bytes }) => {
                    self.torn = bytes;
                    return Ok(None);
                }
                (following, Tail::Damaged { next }) => {
                    let path = segment.path.clone();
                    following.into_iter().for_each(|next| self.coming.push_front(next));
                    damaged(&path, offset, number, next)
                }
                (Some(following), _) if following.first > number => {
                    let (path, next) = (segment.path.clone(), following.first);
                    self.coming.push_front(following);
                    JournalError::Short { path, offset, record: number, next }
                }
                (Some(following), _) => {
                    return Err(JournalError::Stranger { path: following.path });
                }
            };
            // An engine may have completed the record, or the segment, since it was read.
            if retried {
                return Err(fault);
            }
            retried = true;
            scanner.forget();
        }
    }

    /// The segment after the one that is read.
    fn following(&mut self) -> Result<Option<Segment>, JournalError> {
        if let Some(next) = self.coming.pop_front() {
            return Ok(Some(next));
        }
        let (Some(folder), Some((segment, _))) = (&self.folder, &self.current) else {
            return Ok(None);
        };
        let number = segment.number.saturating_add(1);
        let path = Segment::path_of(folder, number);
        if self.until.is_some() || !path.exists() {
            return Ok(None);
        }
        match Segment::look(&path, number)? {
            Begins::As(next) => Ok(Some(next)),
            Begins::Unfinished => Ok(None),
        }
    }
}

impl Iterator for JournalReader {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.advance(Record::decode) {
            Ok(Some((number, offset, record))) => {
                let segment = self.current.as_ref().map_or(0, |(segment, _)| segment.number);
                Some(Ok(Entry { number, segment, offset, record }))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                self.current = None;
                Some(Err(error))
            }
        }
    }
}

fn begin(
    segment: Segment,
    until: Option<(u64, u64)>,
) -> Result<(Segment, Scanner<Disk>), JournalError> {
    let file =
        File::open(&segment.path).map_err(|source| io_error("read", &segment.path, source))?;
    let end =
        until.filter(|(number, _)| *number == segment.number).map_or(u64::MAX, |(_, end)| end);
    // Until a record is read, the last one is that before the segment.
    let crc = segment.head.map_or(0, |head| head.link);
    let place = Place { position: segment.start, number: segment.first, crc };
    let scanner = Scanner::from(Disk(file), end, place);
    Ok((segment, scanner))
}

/// What stands where the one file of the format before was: its first bytes alone, of a version that it does not read.
pub(super) fn stub() -> [u8; FILE_HEAD] {
    file_head(VERSION)
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
        read_up_to(&self.0, target, offset)
    }
}

/// Reads until `target` is full or the file ends; says how many bytes it has.
pub(super) fn read_up_to(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
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
