//! Space made ready before records need it.
//!
//! Space that was only reserved must be marked as written when the first record lands in it, and that mark travels
//! through the file system's own journal: now and then a sync waits for it. Space that holds zeros needs no mark. So
//! zeros are written ahead of the records, on a thread that nobody waits for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};

/// Zeros handed to the system at once: a sync of records waits for no more than this.
const PIECE: u64 = 64 << 10;

/// Zeros on their way. The file must hold nothing from the start of the range on.
#[derive(Debug)]
pub(super) struct Ahead {
    stop: Arc<AtomicBool>,
    /// Its copy of the file keeps the lock until it is done.
    thread: JoinHandle<io::Result<u64>>,
}

impl Ahead {
    /// Starts to fill `start..end` of `file`.
    pub(super) fn start(file: &File, start: u64, end: u64) -> io::Result<Self> {
        let (file, stop) = (file.try_clone()?, Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("journal-ahead".to_owned())
            .stack_size(64 << 10)
            .spawn(move || fill(&file, start, end, &told))?;
        Ok(Self { stop, thread })
    }

    /// Whether [`Self::finish`] would not wait.
    pub(super) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits, and says up to where space is ready now.
    pub(super) fn finish(self) -> io::Result<u64> {
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread that makes space panicked")))
    }

    /// The same, without waiting for more than the piece under way: records need the space now.
    pub(super) fn finish_now(self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

/// Fills until it is told to stop. Says up to where zeros are on the disk.
pub(super) fn fill(file: &File, start: u64, end: u64, stop: &AtomicBool) -> io::Result<u64> {
    // A full disk shows here, before anything is written.
    fallocate(file, FallocateFlags::empty(), start, end.saturating_sub(start))?;
    let zeros = vec![0; usize::try_from(PIECE).unwrap_or(4096)];
    let mut at = start;
    while at < end && !stop.load(Ordering::Relaxed) {
        let length = end.saturating_sub(at).min(PIECE);
        let piece = zeros.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
        file.write_all_at(piece, at)?;
        fdatasync(file)?;
        at = at.saturating_add(length);
    }
    file.sync_all()?;
    Ok(at)
}
