//! Opening the folder of a journal: who may write, what is there, and where to go on.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sniper_core::units::Timestamp;

use super::keep::Bounds;
use super::read::{End, bytes, io_error, stub};
use super::segment::{Begins, Head, SEGMENT_HEAD, Segment, list, numbers};
use super::snapshot::{KIND, Snapshot};
use super::write::write_error;
use super::{Journal, JournalError, JournalReader, Owner, SnapshotError};

/// The segments and snapshots of a journal, to be read: by anyone, also while an engine writes.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    all: Vec<Segment>,
}

impl Segments {
    /// Looks at the journal in the folder `path`, or at one of the format before segments.
    ///
    /// # Errors
    ///
    /// When there is none, or a segment of it is missing or not its own.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let beside = path.with_extension("");
        let is_folder = path.is_dir();
        let folder = if is_folder || !beside.is_dir() { path.to_owned() } else { beside };
        let all = if folder.is_dir() { list(&folder)?.segments } else { Vec::new() };
        if !all.is_empty() {
            return Ok(Self { folder, all });
        }
        // Where no program of this version has written yet.
        let single = if is_folder { path.with_extension("bin") } else { path.to_owned() };
        if is_folder && !single.exists() {
            return Err(JournalError::NotAJournal { path: folder });
        }
        match Segment::look(&single, number_of(&single))? {
            Begins::As(segment) => Ok(Self { folder, all: vec![segment] }),
            Begins::Unfinished => Err(JournalError::NotAJournal { path: single }),
        }
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Files and numbers of the segments, lowest first.
    pub fn files(&self) -> impl Iterator<Item = (u64, &Path)> {
        self.all.iter().map(|segment| (segment.number, segment.path.as_path()))
    }

    /// Whose journal it is; none of the format before segments.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.all.iter().find_map(|segment| segment.head).map(|head| head.owner)
    }

    /// The first segment that is left.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.all.first().map_or(0, |first| first.number)
    }

    /// The segments that go on from a snapshot which is there, the newest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn snapshots(&self) -> Result<Vec<u64>, JournalError> {
        if !self.folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = numbers(&self.folder, KIND)?;
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The snapshot that segment `number` goes on from.
    ///
    /// # Errors
    ///
    /// It is not whole, or does not belong there.
    pub fn snapshot(&self, number: u64) -> Result<Snapshot, SnapshotError> {
        let snapshot = Snapshot::read(&self.folder, number)?;
        let segment = self.all.iter().find(|segment| segment.number == number);
        let belongs = segment.and_then(|segment| segment.head).is_some_and(|head| {
            let told = (snapshot.first, snapshot.born, snapshot.owner());
            told == (head.first, head.born, head.owner)
        });
        if belongs {
            Ok(snapshot)
        } else {
            Err(SnapshotError::Stranger { path: Snapshot::path_of(&self.folder, number) })
        }
    }

    /// The records from the first of segment `number` on.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened.
    pub fn records_from(&self, number: u64) -> Result<JournalReader, JournalError> {
        let from = self.all.iter().filter(|segment| segment.number >= number);
        JournalReader::over(Some(self.folder.clone()), from.cloned().collect(), None)
    }
}

fn number_of(path: &Path) -> u64 {
    path.file_stem().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// A journal that this process alone may write, and has not begun to: nothing in it has been changed.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use sniper_store::journal::{Owner, Bounds, Recovery};
/// let recovery = Recovery::open(folder.path().join("journal"), Owner::default())?;
/// let mut records = recovery.segments().records_from(0)?;
/// assert!(records.by_ref().all(|entry| entry.is_ok()));
/// let journal = recovery.write(&records, Bounds::default())?;
/// assert_eq!(journal.next_number(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Recovery {
    segments: Segments,
    owner: Owner,
    unfinished: Option<PathBuf>,
    /// The journal of the format before, still in its place.
    single: Option<PathBuf>,
    locks: Vec<File>,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub struct Recovered {
    segments: Vec<Segment>,
    records: u64,
    last: (u64, u64),
    cut: u64,
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
    /// When a file cannot be opened again.
    pub fn records(&self) -> Result<JournalReader, JournalError> {
        JournalReader::over(None, self.segments.clone().into(), Some(self.last))
    }
}

impl Journal {
    /// Opens the journal in the folder `path`, or starts one, and says what is in it: reads all of it to do so.
    ///
    /// A torn tail is cut off; what is found after that is durable.
    ///
    /// # Errors
    ///
    /// When it cannot be written, is in use, is no journal of this version and owner, or is damaged. Then nothing has
    /// been changed.
    pub fn open(path: impl AsRef<Path>, owner: Owner) -> Result<(Self, Recovered), JournalError> {
        let recovery = Recovery::open(path, owner)?;
        let mut reader = recovery.segments.records_from(recovery.segments.first())?;
        reader.skip_all()?;
        let cut = reader.torn_bytes();
        let journal = recovery.write(&reader, Bounds::default())?;
        let segments = list(journal.folder())?.segments;
        let last = (journal.segment(), journal.len_bytes());
        Ok((
            journal,
            Recovered { segments, records: reader.end().map_or(0, |end| end.number), last, cut },
        ))
    }
}

impl Recovery {
    /// Locks the journal in the folder `path` and looks at how its segments begin.
    ///
    /// # Errors
    ///
    /// When it cannot be written, is in use, is of another version or owner, or a segment of it is missing or not its
    /// own.
    pub fn open(path: impl AsRef<Path>, owner: Owner) -> Result<Self, JournalError> {
        let folder = path.as_ref().to_owned();
        let unwritable = |source| JournalError::Unwritable { path: folder.clone(), source };
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unwritable(error));
            }
            _ => {}
        }
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
        };
        let mut locks = vec![lock(open(&folder.join("lock")).map_err(unwritable)?, &folder)?];
        let listed = list(&folder)?;
        let mut recovery = Self {
            owner,
            segments: Segments { folder: folder.clone(), all: listed.segments },
            unfinished: listed.unfinished,
            single: None,
            locks: Vec::new(),
        };
        let single = recovery.single_file();
        if single.exists() && std::fs::read(&single).map_err(unwritable)? != stub() {
            let old = open(&single).map_err(unwritable)?;
            match Segment::look(&single, 0)? {
                Begins::As(_) if !recovery.segments.is_empty() => {
                    return Err(JournalError::Stranger { path: single });
                }
                Begins::As(segment) => {
                    // A program of that version may be at work.
                    locks.push(lock(old, &single)?);
                    recovery.segments.all.push(segment);
                    recovery.single = Some(single);
                }
                Begins::Unfinished => {}
            }
        }
        recovery.locks = locks;
        if let Some(found) = recovery.segments.owner()
            && found != owner
        {
            let (found, wanted) = (Box::new(found), Box::new(owner));
            return Err(JournalError::WrongOwner { path: folder, found, wanted });
        }
        recovery.demand_segments_of_snapshots()?;
        Ok(recovery)
    }

    /// A snapshot is written once its segment has begun: where there is the one, the other must be.
    fn demand_segments_of_snapshots(&self) -> Result<(), JournalError> {
        let all = &self.segments.all;
        let last = all.last().map(|last| last.number);
        let born = all.iter().find_map(|segment| segment.head).map(|head| head.born);
        for number in self.segments.snapshots()?.into_iter().filter(|number| Some(*number) > last) {
            let found = Snapshot::read(&self.segments.folder, number);
            if found.is_ok_and(|found| born.is_none_or(|born| born == found.born)) {
                let path = Segment::path_of(&self.segments.folder, number);
                let next = Snapshot::path_of(&self.segments.folder, number);
                return Err(JournalError::Missing { path, next });
            }
        }
        Ok(())
    }

    fn single_file(&self) -> PathBuf {
        self.segments.folder.with_extension("bin")
    }

    /// What is there, to be read.
    #[must_use]
    pub const fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Goes on writing where `read`, which has come to the end, found it. A torn tail is cut off.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(self, read: &JournalReader, bounds: Bounds) -> Result<Journal, JournalError> {
        let end = match read.end() {
            Some(end) => self.take_over(end)?,
            None => self.begin()?,
        };
        if let Some(unfinished) = &self.unfinished
            && *unfinished != end.segment.path
        {
            let failed = |source| write_error("remove what was begun of", unfinished, source);
            std::fs::remove_file(unfinished).map_err(failed)?;
        }
        self.leave_stub()?;
        Journal::at(self.segments.folder, self.owner, end, bounds, self.locks)
    }

    /// Starts the first segment.
    fn begin(&self) -> Result<End, JournalError> {
        let path = Segment::path_of(&self.segments.folder, 0);
        let failed = |source| write_error("start", &path, source);
        let born = now();
        let head = Head { number: 0, born, owner: self.owner, first: 0, link: 0 };
        let mut file = OpenOptions::new();
        file.write(true).create(true).truncate(true).mode(0o600);
        let file = file.open(&path).map_err(failed)?;
        file.write_all_at(&head.to_bytes(), 0).and_then(|()| file.sync_all()).map_err(failed)?;
        self.sync_names().map_err(failed)?;
        let start = bytes(SEGMENT_HEAD);
        let segment = Segment { path, number: 0, head: Some(head), start, first: 0 };
        Ok(End { segment, position: start, number: 0, crc: 0, torn: 0 })
    }

    /// The one file of the format before becomes the first segment.
    fn take_over(&self, mut end: End) -> Result<End, JournalError> {
        if let Some(single) = &self.single {
            let path = Segment::path_of(&self.segments.folder, 0);
            std::fs::rename(single, &path)
                .and_then(|()| self.sync_names())
                .map_err(|source| write_error("move", single, source))?;
            end.segment.path = path;
        }
        Ok(end)
    }

    /// Programs of the version before look for a file: they must not start anew beside what is here.
    fn leave_stub(&self) -> Result<(), JournalError> {
        let path = self.single_file();
        if path.exists() {
            return Ok(());
        }
        let failed = |source| write_error("leave a mark at", &path, source);
        let mut file = OpenOptions::new();
        file.write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(&path).map_err(failed)?;
        file.write_all_at(&stub(), 0).and_then(|()| file.sync_all()).map_err(failed)?;
        self.sync_names().map_err(failed)
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.segments.folder)?.sync_all()?;
        let parent = self.segments.folder.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn lock(file: File, path: &Path) -> Result<File, JournalError> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(JournalError::Locked { path: path.to_owned() }),
        Err(errno) => Err(io_error("lock", path, errno.into())),
        Ok(()) => Ok(file),
    }
}

pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    Timestamp::new(i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX))
}
