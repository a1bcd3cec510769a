//! Writing a journal.

mod rotate;
mod stall;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use rustix::io::Errno;
use sniper_core::event::Stamped;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::journal::{Borrowed, HEAD, seal};
use sniper_core::units::{BlockHeight, Timestamp};

use super::ahead::Ahead;
use super::folder::now;
use super::keep::{Bounds, Keeper};
use super::read::{End, bytes, io_error};
use super::segment::Segment;
use super::{JournalError, Owner, Record};
use crate::failpoint::{Point, pass};

/// Space is reserved in steps of this size unless told otherwise, so that most syncs need not record a new file length.
pub(super) const RESERVE: u64 = 4 << 20;

/// Space that should be ready beyond the last record where syncs are waited for.
pub(super) const AHEAD: u64 = 1 << 20;

/// More than this is not held back in memory.
const PENDING: usize = 256 * 1024;

/// More than this does not wait in memory for a disk that takes no records.
const KEPT_MAX: usize = 64 << 20;

/// A journal open for writing, by this process alone.
///
/// [`append`](Self::append) puts a record into memory, [`flush`](Self::flush) hands it to the system, where it
/// outlives this process, and [`sync`](Self::sync) puts it on the disk, where it outlives the machine's power. After a
/// failed write records are kept in memory, up to a bound, and nothing counts as durable until
/// [`recover`](Self::recover) has put all of them on the disk.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use sniper_core::units::Timestamp;
/// use sniper_store::journal::{Journal, Owner, Record};
/// let path = folder.path().join("journal");
/// let first = Record::Header { version: 1, config: vec![7], started: Timestamp::new(0) };
/// let (mut journal, _) = Journal::open(&path, Owner::default())?;
/// journal.append(&first)?;
/// journal.sync()?;
/// drop(journal);
/// let (_, recovered) = Journal::open(&path, Owner::default())?;
/// assert_eq!(recovered.records()?.next().transpose()?.map(|entry| entry.record), Some(first));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next flush writes.
    position: u64,
    /// Up to where space is reserved.
    reserved: u64,
    can_reserve: bool,
    /// Space is filled with zeros before it is needed.
    is_ready_ahead: bool,
    ahead: Option<Ahead>,
    /// Records not yet handed to the system. Reused, so that it stops growing.
    pending: Vec<u8>,
    /// Number of the next record.
    next: u64,
    /// Records below this number are durable.
    durable: u64,
    /// Where the first record begins that is not.
    durable_position: u64,
    /// Checksum of the last record.
    crc: u32,
    /// A write failed.
    stalled: bool,
    folder: PathBuf,
    owner: Owner,
    born: Timestamp,
    /// The segment that is written.
    segment: u64,
    /// Number of its first record.
    first: u64,
    bounds: Bounds,
    /// The segment that was finished, until it is left to the keeper.
    finished: Option<(File, u64, Option<Ahead>)>,
    keeper: Option<Keeper>,
    spare: Option<File>,
    /// After a failure: when space for a segment is tried to be made again.
    not_before: Option<Instant>,
    /// Held until the end.
    _locks: Vec<File>,
}

impl Journal {
    /// Goes on at the end of a segment.
    pub(super) fn at(
        folder: PathBuf,
        owner: Owner,
        end: End,
        bounds: Bounds,
        locks: Vec<File>,
    ) -> Result<Self, JournalError> {
        let End { segment, position, number, crc, torn } = end;
        let path = segment.path;
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let file =
            opened.map_err(|source| JournalError::Unwritable { path: path.clone(), source })?;
        if torn > 0 {
            file.set_len(position).map_err(|source| write_error("cut", &path, source))?;
        }
        file.sync_all().map_err(|source| write_error("sync", &path, source))?;
        let reserved = file.metadata().map_err(|source| io_error("read", &path, source))?.len();
        Ok(Self {
            file,
            position,
            reserved,
            can_reserve: true,
            is_ready_ahead: false,
            ahead: None,
            pending: Vec::new(),
            next: number,
            durable: number,
            durable_position: position,
            crc,
            stalled: false,
            folder,
            owner,
            // A journal of the format before segments says nothing of that.
            born: segment.head.map_or_else(now, |head| head.born),
            segment: segment.number,
            first: segment.first,
            bounds,
            finished: None,
            keeper: None,
            spare: None,
            not_before: None,
            path,
            _locks: locks,
        })
    }

    /// From here on space is filled with zeros well before records need it, by a thread of its own: a sync then
    /// rarely has to wait for the file system's own bookkeeping. For a journal whose syncs somebody waits for.
    pub fn ready_ahead(&mut self) {
        self.is_ready_ahead = true;
    }

    /// The file of the segment that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the segment that is written.
    #[must_use]
    pub const fn segment(&self) -> u64 {
        self.segment
    }

    /// The number the next record gets.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// All records below this number are durable.
    #[must_use]
    pub const fn durable(&self) -> u64 {
        self.durable
    }

    /// Length of the segment in bytes, reserved space left out.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.position.saturating_add(bytes(self.pending.len()))
    }

    /// Adds a record. Gives its number.
    ///
    /// # Errors
    ///
    /// When it is too large, or more waits in memory than may. What else goes wrong [`Journal::flush`] tells.
    pub fn append(&mut self, record: &Record) -> Result<u64, JournalError> {
        self.add(&record.into())
    }

    /// Adds an event. The same as [`Journal::append`] of a [`Record::Event`], without a copy.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub fn append_event(&mut self, event: &Stamped) -> Result<u64, JournalError> {
        self.add(&Borrowed::Event(event))
    }

    /// Adds a signed transaction. The same as [`Journal::append`] of a [`Record::Wire`], without a copy.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub fn append_wire(
        &mut self,
        order: OrderId,
        signature: &Signature,
        last_valid: BlockHeight,
        bytes: &[u8],
    ) -> Result<u64, JournalError> {
        self.add(&Borrowed::Wire { order, signature, last_valid, bytes })
    }

    fn add(&mut self, record: &Borrowed<'_>) -> Result<u64, JournalError> {
        pass(Point::AppendBefore);
        let start = self.pending.len();
        self.pending.resize(start.saturating_add(HEAD), 0);
        let number = self.next;
        // Writing into memory cannot fail but by what the record is.
        let written = postcard::to_io(record, &mut self.pending).is_ok();
        let frame = self.pending.get_mut(start..).filter(|_| written);
        let Some(crc) = frame.and_then(|frame| seal(frame, number, self.durable)) else {
            self.pending.truncate(start);
            return Err(JournalError::TooLarge);
        };
        (self.crc, self.next) = (crc, number.saturating_add(1));
        pass(Point::AppendAfter);
        if self.pending.len() > PENDING {
            self.make_room()?;
        }
        Ok(number)
    }

    /// Hands all records to the system: they outlive this process, but not yet the machine.
    ///
    /// # Errors
    ///
    /// When the disk is full or the write fails; then records are kept in memory, and only [`Journal::recover`] helps.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.refuse_while_stalled()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let end = self.position.saturating_add(bytes(self.pending.len()));
        let written = self.reserve(end).and_then(|()| {
            self.file
                .write_all_at(&self.pending, self.position)
                .map_err(|source| write_error("write", &self.path, source))
        });
        self.stalled = written.is_err();
        written?;
        self.position = end;
        self.reserved = self.reserved.max(end);
        self.pending.clear();
        Ok(())
    }

    /// Puts all records on the disk: when it returns, everything appended before is durable.
    ///
    /// # Errors
    ///
    /// As [`Journal::flush`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        if self.durable == self.next {
            return Ok(());
        }
        pass(Point::SyncBefore);
        let synced =
            fdatasync(&self.file).map_err(|errno| write_error("sync", &self.path, errno.into()));
        self.stalled = synced.is_err();
        synced?;
        pass(Point::SyncAfter);
        (self.durable, self.durable_position) = (self.next, self.position);
        Ok(())
    }

    /// Syncs, and gives back the space that was reserved.
    ///
    /// # Errors
    ///
    /// As [`Journal::sync`].
    pub fn close(mut self) -> Result<(), JournalError> {
        self.recover()?;
        self.sync()?;
        // What it wrote, or why it could not, no longer matters; that it has ended does.
        drop(self.ahead.take().map(Ahead::finish));
        self.file
            .set_len(self.position)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| write_error("close", &self.path, source))?;
        // What was done beside the writing no record depends on.
        drop(self.gather(true));
        if self.spare.take().is_some() {
            let spare = Segment::path_of(&self.folder, self.segment.saturating_add(1));
            std::fs::remove_file(&spare).map_err(|source| io_error("remove", &spare, source))?;
        }
        Ok(())
    }

    /// The same, by a thread that starts before the space is needed. Where it did not keep up, space is only reserved:
    /// that is slower to sync than zeros, and quicker than waiting for them.
    fn reserve_ahead(&mut self, end: u64) -> Result<(), JournalError> {
        let failed = |source| write_error("extend", &self.path, source);
        let mut is_outrun = false;
        if self.ahead.as_ref().is_some_and(|ahead| ahead.is_done() || end > self.reserved)
            && let Some(ahead) = self.ahead.take()
        {
            match ahead.finish_now() {
                Ok(ready) => {
                    self.reserved = self.reserved.max(ready);
                    is_outrun = end > self.reserved;
                }
                // Not needed yet: what is left may do, and space may come back.
                Err(_) if end <= self.reserved => {}
                Err(error) if is_full(&error) => return Err(failed(error)),
                Err(_) => self.can_reserve = false,
            }
        }
        if is_outrun {
            return self.reserve_at_once(end);
        }
        if self.ahead.is_none() && end.saturating_add(AHEAD) > self.reserved {
            let (start, step) = (self.reserved.max(end), self.step());
            let target = start.saturating_add(AHEAD).div_ceil(step).saturating_mul(step);
            // What is written now lies below `start` and is no concern of the thread's.
            self.ahead = Ahead::start(&self.file, start, target).ok();
            self.can_reserve = self.ahead.is_some();
        }
        Ok(())
    }

    /// Reserves space up to `end` and some more. Finds a full disk before anything is half written.
    fn reserve(&mut self, end: u64) -> Result<(), JournalError> {
        if !self.can_reserve {
            return Ok(());
        }
        if self.is_ready_ahead {
            return self.reserve_ahead(end);
        }
        if end <= self.reserved { Ok(()) } else { self.reserve_at_once(end) }
    }

    /// Bytes that are made ready at once.
    fn step(&self) -> u64 {
        self.bounds.reserve_bytes.max(1)
    }

    fn reserve_at_once(&mut self, end: u64) -> Result<(), JournalError> {
        let step = self.step();
        let target = end.div_ceil(step).saturating_mul(step);
        let missing = target.saturating_sub(self.reserved);
        match fallocate(&self.file, FallocateFlags::empty(), self.reserved, missing) {
            Ok(()) => self.reserved = target,
            Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => {
                return Err(write_error("extend", &self.path, errno.into()));
            }
            // The filesystem cannot: the file then grows with each write.
            Err(_) => self.can_reserve = false,
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The next who opens the journal must find nobody at work in it.
        drop(self.ahead.take().map(Ahead::finish));
        drop(self.keeper.take().map(Keeper::finish));
        // As if the process had ended here: what was appended survives it, and errors show at the next start.
        self.flush().ok();
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn write_error(action: &'static str, path: &Path, source: io::Error) -> JournalError {
    if is_full(&source) {
        return JournalError::DiskFull { path: path.to_owned() };
    }
    io_error(action, path, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::event::Event;
    use sniper_core::units::{Seq, Timestamp};

    fn event(seq: u64) -> Stamped {
        Stamped { seq: Seq::new(seq), at: Timestamp::new(1), event: Event::Timer }
    }

    #[test]
    fn an_event_needs_no_new_memory_once_the_buffer_is_warm() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        for seq in 0..100 {
            journal.append_event(&event(seq)).unwrap();
        }
        journal.flush().unwrap();
        let warm = (journal.pending.capacity(), journal.pending.as_ptr());
        for seq in 100..200 {
            journal.append_event(&event(seq)).unwrap();
        }
        assert_eq!((journal.pending.capacity(), journal.pending.as_ptr()), warm);
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_counts_as_durable_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        // A device that is always full.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let disk = std::mem::replace(&mut journal.file, full);
        journal.append_event(&event(0)).unwrap();
        assert!(matches!(journal.sync(), Err(JournalError::DiskFull { .. })));
        assert_eq!(journal.durable(), 0);
        journal.file = disk;
        journal.append_event(&event(1)).unwrap();
        assert!(matches!(journal.sync(), Err(JournalError::Stalled { .. })));
        assert!(journal.is_stalled());
        let path = journal.folder.clone();
        drop(journal);
        assert!(Journal::open(path, Owner::default()).unwrap().1.is_empty());
    }

    #[test]
    fn what_waited_for_a_full_disk_is_written_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        journal.append_event(&event(0)).unwrap();
        journal.sync().unwrap();
        // Handed to the system, and perhaps lost by a sync that fails.
        journal.append_event(&event(1)).unwrap();
        journal.flush().unwrap();
        journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        journal.append_event(&event(2)).unwrap();
        assert!(matches!(journal.sync(), Err(JournalError::DiskFull { .. })));
        for seq in 3..10_000 {
            journal.append_event(&event(seq)).unwrap();
        }
        assert_eq!((journal.durable(), journal.next_number()), (1, 10_000));
        journal.recover().unwrap();
        assert_eq!((journal.durable(), journal.is_stalled()), (10_000, false));
        journal.append_event(&event(10_000)).unwrap();
        journal.close().unwrap();
        let (_, recovered) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        let seqs = recovered.records().unwrap().map(|entry| match entry.unwrap().record {
            Record::Event(stamped) => stamped.seq.get(),
            other => panic!("{other:?}"),
        });
        assert!(seqs.eq(0..=10_000));
    }

    #[test]
    fn what_the_system_lost_after_a_failed_sync_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        journal.append_event(&event(0)).unwrap();
        journal.sync().unwrap();
        let durable = journal.position;
        journal.append_event(&event(1)).unwrap();
        journal.flush().unwrap();
        journal.file.write_all_at(&[0; 8], durable).unwrap();
        journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        journal.append_event(&event(2)).unwrap();
        journal.sync().unwrap_err();
        let error = journal.recover().unwrap_err();
        assert!(matches!(error, JournalError::Lost { record: 1, .. }), "{error}");
    }

    #[test]
    fn no_more_waits_in_memory_than_may() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let config = vec![1; 1_000_000];
        let record = Record::Header { version: 1, config, started: Timestamp::ZERO };
        let kept = (0..100).take_while(|_| journal.append(&record).is_ok()).count();
        assert!((60..70).contains(&kept), "{kept} MB");
        assert!(matches!(journal.append(&record), Err(JournalError::Overflow { .. })));
    }

    #[test]
    fn zeros_written_ahead_never_meet_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (mut journal, _) = Journal::open(&path, Owner::default()).unwrap();
        journal.ready_ahead();
        // In leaps of most of what is kept ready, so that records keep catching up with the thread.
        let count = 30;
        for nth in 0..count {
            let config = vec![nth | 0x80; 700_000];
            let record = Record::Header { version: 1, config, started: Timestamp::ZERO };
            journal.append(&record).unwrap();
            journal.sync().unwrap();
        }
        assert!(journal.reserved > journal.position || journal.ahead.is_some());
        // As after a crash: the space made ready stays.
        drop(journal);
        let (journal, recovered) = Journal::open(&path, Owner::default()).unwrap();
        assert_eq!((recovered.len(), recovered.cut_bytes()), (count.into(), 0));
        for (nth, entry) in recovered.records().unwrap().enumerate() {
            let Record::Header { config, .. } = entry.unwrap().record else { panic!("a header") };
            assert!(config.iter().all(|byte| usize::from(*byte) == nth | 0x80), "record {nth}");
        }
        assert!(std::fs::metadata(journal.path()).unwrap().len() > journal.len_bytes());
        journal.close().unwrap();
    }

    #[test]
    fn much_is_not_held_back_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j"), Owner::default()).unwrap();
        let record =
            Record::Header { version: 1, config: vec![1; 100_000], started: Timestamp::ZERO };
        for _ in 0..20 {
            journal.append(&record).unwrap();
            assert!(journal.pending.len() <= PENDING + 100_100);
        }
        assert!(journal.position > 1_500_000);
    }
}
