//! What is done beside the writing, on a thread that nobody waits for: a snapshot is written, old segments go, and space
//! is made ready for the next one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::ahead::{Ahead, fill};
use super::read::io_error;
use super::segment::{Segment, numbers};
use super::snapshot::{KIND, Snapshot};
use super::write::{AHEAD, RESERVE};
use super::{JournalError, Owner};
use crate::failpoint::{Point, pass};

/// When a segment is full, and how long old ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes after which the next segment begins.
    pub segment_bytes: u64,
    /// Records after which it does: a restart replays no more than about this many.
    pub segment_records: u64,
    /// How long a segment is kept after it was finished; none keeps all. What the newest two snapshots need is always
    /// kept.
    pub keep: Option<Duration>,
    /// Space is made ready in steps of so many bytes, at least one.
    pub reserve_bytes: u64,
}

impl Default for Bounds {
    /// Segments of 64 MiB or 250 000 records, kept for ever.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_records: 250_000,
            keep: None,
            reserve_bytes: RESERVE,
        }
    }
}

/// What was done beside the writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The segment that goes on from the snapshot which was written.
    pub snapshot: Option<u64>,
    /// Segments that were deleted.
    pub deleted: Vec<u64>,
}

/// What is to be done.
pub(super) struct Task {
    pub(super) folder: PathBuf,
    /// The segment that is finished: its file, where it ends, and zeros that may be on their way into it.
    pub(super) finished: Option<(File, u64, Option<Ahead>)>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) keep: Option<Duration>,
    /// The number of the segment that space is made for.
    pub(super) spare: u64,
}

/// Work under way.
#[derive(Debug)]
pub(super) struct Keeper(JoinHandle<(Result<Kept, JournalError>, io::Result<File>)>);

impl Keeper {
    pub(super) fn start(task: Task) -> io::Result<Self> {
        let thread = std::thread::Builder::new()
            .name("journal-keeper".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let path = Segment::path_of(&task.folder, task.spare);
                let folder = task.folder.clone();
                (run(task), spare(&path, &folder))
            })?;
        Ok(Self(thread))
    }

    /// Whether [`Self::finish`] would not wait.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    pub(super) fn finish(self) -> (Result<Kept, JournalError>, io::Result<File>) {
        self.0.join().unwrap_or_else(|_| {
            (Ok(Kept::default()), Err(io::Error::other("the thread beside the journal panicked")))
        })
    }
}

fn run(task: Task) -> Result<Kept, JournalError> {
    let Task { folder, finished, snapshot, keep, .. } = task;
    if let Some((file, end, ahead)) = finished {
        // What it wrote, or why it could not, no longer matters; that it has ended does.
        drop(ahead.map(Ahead::finish));
        let trimmed = file.set_len(end).and_then(|()| file.sync_all());
        trimmed.map_err(|source| io_error("finish a segment of", &folder, source))?;
        pass(Point::RotateTrimmed);
    }
    let mut kept = Kept::default();
    if let Some(snapshot) = snapshot {
        let written = snapshot.write(&folder);
        written.map_err(|source| io_error("write a snapshot of", &folder, source))?;
        kept.snapshot = Some(snapshot.segment);
        if let Some(keep) = keep {
            kept.deleted = retain(&folder, snapshot.owner(), keep)?;
        }
    }
    Ok(kept)
}

/// Deletes segments that are older than `keep` and lie before the second newest snapshot that reads; and the snapshots
/// whose segment is gone.
fn retain(folder: &Path, owner: Owner, keep: Duration) -> Result<Vec<u64>, JournalError> {
    let failed = |source| io_error("delete old segments of", folder, source);
    let mut snapshots = numbers(folder, KIND)?;
    snapshots.sort_unstable_by(|a, b| b.cmp(a));
    let reads = |number: &u64| {
        Snapshot::read(folder, *number).is_ok_and(|snapshot| snapshot.owner() == owner)
    };
    let Some(floor) = snapshots.iter().copied().filter(reads).nth(1) else {
        return Ok(Vec::new());
    };
    let mut segments = numbers(folder, "journal")?;
    segments.sort_unstable();
    let mut deleted = Vec::new();
    // From the oldest up to the first that must stay, so that no hole comes to be.
    for number in segments.into_iter().take_while(|number| *number < floor) {
        let path = Segment::path_of(folder, number);
        let written = std::fs::metadata(&path).and_then(|data| data.modified()).map_err(failed)?;
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        if age < keep {
            break;
        }
        std::fs::remove_file(&path).map_err(failed)?;
        deleted.push(number);
    }
    if let Some(last) = deleted.last() {
        for number in snapshots.iter().filter(|number| *number <= last) {
            std::fs::remove_file(Snapshot::path_of(folder, *number)).map_err(failed)?;
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(deleted)
}

/// Space for a segment that has not begun: zeros under its name.
fn spare(path: &Path, folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let never = AtomicBool::new(false);
    let made = fill(&file, 0, AHEAD, &never).and_then(|_| File::open(folder)?.sync_all());
    if made.is_err() {
        // A full disk has no room for half of it either.
        std::fs::remove_file(path).ok();
    }
    made.map(|()| file)
}
