//! Writing a journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, fdatasync, flock};
use rustix::io::Errno;
use sniper_core::event::Stamped;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::journal::{
    Borrowed, FILE_HEAD, HEAD, Scanner, Tail, VERSION, examine, file_head, seal,
};
use sniper_core::units::BlockHeight;

use super::ahead::Ahead;
use super::read::{Disk, bytes, check_version, damaged, io_error};
use super::{JournalError, Record, Recovered};

/// Space is reserved in steps of this size, so that most syncs need not record a new file length.
const RESERVE: u64 = 4 << 20;

/// Space that should be ready beyond the last record where syncs are waited for.
const AHEAD: u64 = 1 << 20;

/// More than this is not held back in memory.
const PENDING: usize = 256 * 1024;

/// A journal open for writing, by this process alone.
///
/// [`append`](Self::append) puts a record into memory, [`flush`](Self::flush) hands it to the system, where it
/// outlives this process, and [`sync`](Self::sync) puts it on the disk, where it outlives the machine's power. After
/// any failed write nothing more is accepted: what is on the disk is unknown until the journal is opened again.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use sniper_core::units::Timestamp;
/// use sniper_store::journal::{Journal, Record};
/// let path = folder.path().join("engine.journal");
/// let first = Record::Header { version: 1, config: vec![7], started: Timestamp::new(0) };
/// let (mut journal, _) = Journal::open(&path)?;
/// journal.append(&first)?;
/// journal.sync()?;
/// drop(journal);
/// let (_, recovered) = Journal::open(&path)?;
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
    failed: bool,
}

impl Journal {
    /// Opens the journal at `path`, or starts one, and says what is in it.
    ///
    /// A torn tail is cut off; what is found after that is durable.
    ///
    /// # Errors
    ///
    /// When it cannot be written, is in use, is no journal of this version, or is damaged. Then nothing has been
    /// changed.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Recovered), JournalError> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| JournalError::Unwritable { path: path.to_owned(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                return Err(JournalError::Locked { path: path.to_owned() });
            }
            other => other.map_err(|errno| io_error("lock", path, errno.into()))?,
        }
        let cut_head = start_if_new(&file, path)?;
        let unreadable = |source| io_error("read", path, source);
        let copy = Disk(File::open(path).map_err(unreadable)?);
        let mut scanner = Scanner::new(copy, u64::MAX);
        while scanner.next().map_err(unreadable)?.is_some() {}
        let (position, next) = (scanner.position(), scanner.number());
        let cut = match examine(scanner.source(), position, next, u64::MAX).map_err(unreadable)? {
            Tail::Clean => 0,
            Tail::Torn { bytes } => {
                file.set_len(position).map_err(|source| write_error("cut", path, source))?;
                bytes
            }
            Tail::Damaged { next: intact } => return Err(damaged(path, position, next, intact)),
        };
        file.sync_all().map_err(|source| write_error("sync", path, source))?;
        let reserved = file.metadata().map_err(unreadable)?.len();
        let journal = Self {
            file,
            path: path.to_owned(),
            position,
            reserved,
            can_reserve: true,
            is_ready_ahead: false,
            ahead: None,
            pending: Vec::new(),
            next,
            durable: next,
            failed: false,
        };
        let cut = cut.saturating_add(cut_head);
        Ok((journal, Recovered { path: path.to_owned(), records: next, end: position, cut }))
    }

    /// From here on space is filled with zeros well before records need it, by a thread of its own: a sync then
    /// rarely has to wait for the file system's own bookkeeping. For a journal whose syncs somebody waits for.
    pub fn ready_ahead(&mut self) {
        self.is_ready_ahead = true;
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Length of the journal in bytes, reserved space left out.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.position.saturating_add(bytes(self.pending.len()))
    }

    /// Adds a record. Gives its number.
    ///
    /// # Errors
    ///
    /// When it is too large, or a write failed now or before.
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
        self.refuse_after_failure()?;
        let start = self.pending.len();
        self.pending.resize(start.saturating_add(HEAD), 0);
        let number = self.next;
        // Writing into memory cannot fail but by what the record is.
        let sealed = postcard::to_io(record, &mut self.pending).is_ok()
            && self
                .pending
                .get_mut(start..)
                .and_then(|frame| seal(frame, number, self.durable))
                .is_some();
        if !sealed {
            self.pending.truncate(start);
            return Err(JournalError::TooLarge);
        }
        self.next = number.saturating_add(1);
        if self.pending.len() > PENDING {
            self.flush()?;
        }
        Ok(number)
    }

    /// Hands all records to the system: they outlive this process, but not yet the machine.
    ///
    /// # Errors
    ///
    /// When the disk is full or the write fails.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.refuse_after_failure()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let end = self.position.saturating_add(bytes(self.pending.len()));
        let written = self.reserve(end).and_then(|()| {
            self.file
                .write_all_at(&self.pending, self.position)
                .map_err(|source| write_error("write", &self.path, source))
        });
        self.failed = written.is_err();
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
    /// When the disk is full or the write fails.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        if self.durable == self.next {
            return Ok(());
        }
        let synced =
            fdatasync(&self.file).map_err(|errno| write_error("sync", &self.path, errno.into()));
        // What a failed sync left on the disk cannot be known, and a second try may lie.
        self.failed = synced.is_err();
        synced?;
        self.durable = self.next;
        Ok(())
    }

    /// Syncs, and gives back the space that was reserved.
    ///
    /// # Errors
    ///
    /// As [`Journal::sync`].
    pub fn close(mut self) -> Result<(), JournalError> {
        self.sync()?;
        // What it wrote, or why it could not, no longer matters; that it has ended does.
        drop(self.ahead.take().map(Ahead::finish));
        self.file
            .set_len(self.position)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| write_error("close", &self.path, source))
    }

    fn refuse_after_failure(&self) -> Result<(), JournalError> {
        if self.failed { Err(JournalError::Failed { path: self.path.clone() }) } else { Ok(()) }
    }

    /// The same, by a thread that starts before the space is needed; waits for it only where it did not keep up.
    fn reserve_ahead(&mut self, end: u64) -> Result<(), JournalError> {
        let failed = |source| write_error("extend", &self.path, source);
        if self.ahead.as_ref().is_some_and(|ahead| ahead.is_done() || end > self.reserved)
            && let Some(ahead) = self.ahead.take()
        {
            match ahead.finish() {
                Ok(ready) => self.reserved = ready,
                // Not needed yet: what is left may do, and space may come back.
                Err(_) if end <= self.reserved => {}
                Err(error) if is_full(&error) => return Err(failed(error)),
                Err(_) => self.can_reserve = false,
            }
        }
        if self.ahead.is_none() && end.saturating_add(AHEAD) > self.reserved {
            let start = self.reserved.max(end);
            let target = start.saturating_add(AHEAD).div_ceil(RESERVE).saturating_mul(RESERVE);
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
        if end <= self.reserved {
            return Ok(());
        }
        let target = end.div_ceil(RESERVE).saturating_mul(RESERVE);
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
        // The next who opens the file must find nobody writing zeros into it.
        drop(self.ahead.take().map(Ahead::finish));
        // As if the process had ended here: what was appended survives it, and errors show at the next start.
        self.flush().ok();
    }
}

/// Writes the head of a new file, also of one whose creation was cut short. Says how many bytes that dropped.
fn start_if_new(file: &File, path: &Path) -> Result<u64, JournalError> {
    let unreadable = |source| io_error("read", path, source);
    let length = file.metadata().map_err(unreadable)?.len();
    let mut head = [0; FILE_HEAD];
    if length >= bytes(FILE_HEAD) {
        file.read_exact_at(&mut head, 0).map_err(unreadable)?;
        check_version(path, &head)?;
        return Ok(0);
    }
    let whole = file_head(VERSION);
    let part = head.get_mut(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    file.read_exact_at(part, 0).map_err(unreadable)?;
    if !whole.starts_with(part) {
        return Err(JournalError::NotAJournal { path: path.to_owned() });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    file.write_all_at(&whole, 0)
        .and_then(|()| file.sync_all())
        // The name of the file must last as well.
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all())
        .map_err(|source| write_error("start", path, source))?;
    Ok(length)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn write_error(action: &'static str, path: &Path, source: io::Error) -> JournalError {
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
        let (mut journal, _) = Journal::open(folder.path().join("j")).unwrap();
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
    fn a_full_disk_is_told_and_nothing_is_accepted_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j")).unwrap();
        // A device that is always full.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let disk = std::mem::replace(&mut journal.file, full);
        journal.append_event(&event(0)).unwrap();
        assert!(matches!(journal.sync(), Err(JournalError::DiskFull { .. })));
        assert_eq!(journal.durable(), 0);
        journal.file = disk;
        assert!(matches!(journal.append_event(&event(1)), Err(JournalError::Failed { .. })));
        assert!(matches!(journal.sync(), Err(JournalError::Failed { .. })));
        let path = journal.path.clone();
        drop(journal);
        assert!(Journal::open(path).unwrap().1.is_empty());
    }

    #[test]
    fn zeros_written_ahead_never_meet_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (mut journal, _) = Journal::open(&path).unwrap();
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
        let (journal, recovered) = Journal::open(&path).unwrap();
        assert_eq!((recovered.len(), recovered.cut_bytes()), (count.into(), 0));
        for (nth, entry) in recovered.records().unwrap().enumerate() {
            let Record::Header { config, .. } = entry.unwrap().record else { panic!("a header") };
            assert!(config.iter().all(|byte| usize::from(*byte) == nth | 0x80), "record {nth}");
        }
        assert!(std::fs::metadata(&path).unwrap().len() > journal.len_bytes());
        journal.close().unwrap();
    }

    #[test]
    fn much_is_not_held_back_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path().join("j")).unwrap();
        let record =
            Record::Header { version: 1, config: vec![1; 100_000], started: Timestamp::ZERO };
        for _ in 0..20 {
            journal.append(&record).unwrap();
            assert!(journal.pending.len() <= PENDING + 100_100);
        }
        assert!(journal.position > 1_500_000);
    }
}
