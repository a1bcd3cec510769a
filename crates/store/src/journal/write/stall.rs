//! A disk that takes no records: they wait in memory, and are written once it does again.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::{Journal, KEPT_MAX, PENDING, write_error};
use crate::journal::JournalError;
use crate::journal::ahead::Ahead;
use crate::journal::read::{bytes, io_error, read_up_to};
use sniper_core::journal::Head;

impl Journal {
    /// Whether a write failed, and records wait in memory.
    #[must_use]
    pub const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Tries to go on after a failed write: opens the file again and writes all that is not known to be durable.
    ///
    /// # Errors
    ///
    /// When it still cannot be written, or what was handed to the system before is lost: then only a restart helps.
    pub fn recover(&mut self) -> Result<(), JournalError> {
        if !self.stalled {
            return Ok(());
        }
        drop(self.ahead.take().map(Ahead::finish));
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        let file = opened.map_err(|source| write_error("open", &self.path, source))?;
        // After a failed sync the system may take pages for written that are not: they are written again.
        let unsure = self.read_back(&file)?;
        let (start, length) = (self.position, bytes(self.pending.len()));
        // A file system that cannot reserve grows the file with the write.
        if let Err(errno @ (Errno::NOSPC | Errno::DQUOT)) =
            fallocate(&file, FallocateFlags::empty(), start, length.max(1))
        {
            return Err(write_error("extend", &self.path, errno.into()));
        }
        file.write_all_at(&unsure, self.durable_position)
            .and_then(|()| file.write_all_at(&self.pending, start))
            .and_then(|()| file.sync_all())
            .map_err(|source| write_error("write", &self.path, source))?;
        self.file = file;
        self.position = start.saturating_add(length);
        (self.reserved, self.can_reserve) = (self.position, true);
        (self.durable, self.durable_position) = (self.next, self.position);
        self.pending.clear();
        self.pending.shrink_to(PENDING);
        self.stalled = false;
        Ok(())
    }

    /// What was handed to the system since the last sync, if it is all still there.
    fn read_back(&self, file: &File) -> Result<Vec<u8>, JournalError> {
        let length = self.position.saturating_sub(self.durable_position);
        let mut unsure = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = read_up_to(file, &mut unsure, self.durable_position);
        read.map_err(|source| io_error("read", &self.path, source))?;
        let (mut rest, mut number) = (unsure.as_slice(), self.durable);
        while !rest.is_empty() {
            let frame = Head::read(rest).filter(|head| head.number == number);
            let whole =
                frame.filter(|head| rest.get(..head.whole()).is_some_and(|f| head.holds(f)));
            let Some(whole) = whole else {
                let offset = self.position.saturating_sub(bytes(rest.len()));
                let path = self.path.clone();
                return Err(JournalError::Lost { path, offset, record: number });
            };
            rest = rest.get(whole.whole()..).unwrap_or_default();
            number = number.saturating_add(1);
        }
        Ok(unsure)
    }

    #[cold]
    pub(super) fn make_room(&mut self) -> Result<(), JournalError> {
        if !self.stalled {
            // Whoever needs it on the disk hears of what went wrong.
            self.flush().ok();
        } else if self.pending.len() > KEPT_MAX {
            return Err(JournalError::Overflow { path: self.path.clone() });
        }
        Ok(())
    }

    pub(super) fn refuse_while_stalled(&self) -> Result<(), JournalError> {
        if self.stalled {
            let (path, kept) = (self.path.clone(), self.pending.len());
            return Err(JournalError::Stalled { path, kept });
        }
        Ok(())
    }
}
