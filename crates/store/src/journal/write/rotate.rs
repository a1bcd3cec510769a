//! From one segment to the next, in a quiet moment: space for it was made ready, and what is left to do afterwards is
//! left to a thread.

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::fs::fdatasync;

use super::{AHEAD, Journal, write_error};
use crate::failpoint::{Point, pass};
use crate::journal::keep::{Keeper, Kept, Task};
use crate::journal::read::bytes;
use crate::journal::segment::{Head, SEGMENT_HEAD, Segment};
use crate::journal::{JournalError, Snapshot};

/// Pause before space for a segment is tried to be made again.
const RETRY: Duration = Duration::from_secs(10);

impl Journal {
    /// Whether the segment has reached its bounds and the next one can begin at once: to be asked in quiet moments.
    /// Space for it is made ready on the way.
    pub fn is_full(&mut self) -> bool {
        let length = self.position.saturating_sub(bytes(SEGMENT_HEAD));
        let records = self.next.saturating_sub(self.first);
        if self.stalled
            || self.keeper.is_some()
            || (length < self.bounds.segment_bytes && records < self.bounds.segment_records)
        {
            return false;
        }
        if self.spare.is_none() && self.not_before.is_none_or(|at| at <= Instant::now()) {
            self.begin_work(None);
        }
        self.spare.is_some()
    }

    /// Begins the next segment, all of this one being durable. What is to be its first records comes next, then a
    /// [`sync`](Self::sync), then [`keep`](Self::keep).
    ///
    /// # Errors
    ///
    /// When the disk does not take it; then this segment goes on. False where no space is ready.
    pub fn begin_segment(&mut self) -> Result<bool, JournalError> {
        self.sync()?;
        let Some(spare) = self.spare.take() else { return Ok(false) };
        pass(Point::RotateBefore);
        let number = self.segment.saturating_add(1);
        let head =
            Head { number, born: self.born, owner: self.owner, first: self.next, link: self.crc };
        let path = Segment::path_of(&self.folder, number);
        // On the disk before any record is: a head that does not read then has nothing behind it, or is damaged.
        spare
            .write_all_at(&head.to_bytes(), 0)
            .and_then(|()| {
                pass(Point::RotateHead);
                Ok(fdatasync(&spare)?)
            })
            .map_err(|source| write_error("begin", &path, source))?;
        let before = std::mem::replace(&mut self.file, spare);
        self.finished = Some((before, self.position, self.ahead.take()));
        self.path = path;
        (self.segment, self.first) = (number, self.next);
        self.position = bytes(SEGMENT_HEAD);
        self.durable_position = self.position;
        (self.reserved, self.can_reserve) = (AHEAD, true);
        Ok(true)
    }

    /// Leaves the snapshot that this segment goes on from to a thread, which also gives back what the finished segment
    /// had reserved, deletes what is too old, and makes space for the next one. The place of the snapshot is filled in
    /// here.
    pub fn keep(&mut self, snapshot: Snapshot) {
        let place = Snapshot {
            segment: self.segment,
            first: self.first,
            born: self.born,
            key: self.owner.key,
            genesis: self.owner.genesis,
            ..snapshot
        };
        self.begin_work(Some(place));
    }

    fn begin_work(&mut self, snapshot: Option<Snapshot>) {
        let task = Task {
            folder: self.folder.clone(),
            finished: self.finished.take(),
            snapshot,
            keep: self.bounds.keep,
            spare: self.segment.saturating_add(1),
        };
        // Without the thread there is no next segment yet, and this one goes on.
        self.keeper = Keeper::start(task).ok();
    }

    /// What was done beside the writing since the last question, if anything is done.
    ///
    /// # Errors
    ///
    /// Why it could not be. Nothing depends on it: the segment goes on, and it is tried again.
    pub fn kept(&mut self) -> Result<Option<Kept>, JournalError> {
        self.gather(false)
    }

    pub(super) fn gather(&mut self, wait: bool) -> Result<Option<Kept>, JournalError> {
        if !self.keeper.as_ref().is_some_and(|keeper| wait || keeper.is_done()) {
            return Ok(None);
        }
        let Some(keeper) = self.keeper.take() else { return Ok(None) };
        let (kept, spare) = keeper.finish();
        self.not_before = spare.is_err().then(|| Instant::now() + RETRY);
        let made = spare.map(|file| self.spare = Some(file));
        let kept = kept?;
        made.map_err(|source| write_error("make space for", &self.folder, source))?;
        Ok(Some(kept))
    }
}
