//! What was told of one account, as it was passed on.

use std::time::Instant;

use arrayvec::ArrayVec;
use sniper_core::units::Slot;

use super::router::Verdict;

/// Versions of an account remembered.
const VERSIONS: usize = 8;

/// One version of an account, as it was passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    /// The slot it was told under.
    pub(super) slot: u64,
    pub(super) print: u64,
    pub(super) at: Instant,
}

/// A version of an account, as somebody told it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) slot: Slot,
    pub(super) print: u64,
    pub(super) at: Instant,
}

/// What was told of an account, and how far each connection has come in it.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// None of an account that nobody watches.
    shard: Option<usize>,
    versions: ArrayVec<Version, VERSIONS>,
    /// Number of the story's first remembered version.
    start: u64,
    /// Highest slot passed on.
    high: u64,
    /// Number of the version after the one each connection of its shard told last.
    cursors: Box<[u64]>,
}

impl Story {
    /// Of an account of a shard of so many connections, of which nothing is told yet.
    pub(super) fn new(shard: usize, connections: usize) -> Self {
        let cursors = vec![0; connections].into_boxed_slice();
        Self { shard: Some(shard), cursors, ..Self::default() }
    }

    pub(super) const fn shard(&self) -> Option<usize> {
        self.shard
    }

    pub(super) fn is_blank(&self) -> bool {
        self.versions.is_empty()
    }

    pub(super) const fn high(&self) -> u64 {
        self.high
    }

    /// How far a connection has come.
    pub(super) fn cursor(&self, nth: usize) -> Option<u64> {
        self.cursors.get(nth).copied()
    }

    /// What was passed on did not arrive: the next word counts, whatever it is.
    pub(super) fn forget(&mut self) {
        self.start = self.end();
        self.versions.clear();
    }

    /// A connection is gone: what the next one in its place tells begins anew.
    pub(super) fn lose(&mut self, nth: usize) {
        if let Some(cursor) = self.cursors.get_mut(nth) {
            *cursor = 0;
        }
    }

    /// A snapshot tells what an account holds.
    pub(super) fn snapshot(&mut self, told: &Told) -> Verdict {
        if !self.versions.is_empty() && self.high > told.slot.get() {
            return Verdict::Late;
        }
        self.push(Version { slot: told.slot.get(), print: told.print, at: told.at });
        Verdict::Deliver(told.slot)
    }

    /// Number of the version to come.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.versions.len()).unwrap_or(u64::MAX))
    }

    /// That version is the last that was passed on.
    pub(super) fn ends_with(&self, slot: u64, print: u64) -> bool {
        self.versions.last().is_some_and(|last| last.slot == slot && last.print == print)
    }

    /// The first telling of a version from number `cursor` on.
    pub(super) fn find_from(&self, cursor: u64, slot: u64, print: u64) -> Option<(u64, Instant)> {
        let numbered = (self.start..).zip(&self.versions);
        numbered
            .filter(|(number, _)| *number >= cursor)
            .find(|(_, version)| version.slot == slot && version.print == print)
            .map(|(number, version)| (number, version.at))
    }

    /// Adds a version and gives its number.
    pub(super) fn push(&mut self, version: Version) -> u64 {
        let number = self.end();
        if self.versions.is_full() {
            self.versions.remove(0);
            self.start = self.start.saturating_add(1);
        }
        self.high = self.high.max(version.slot);
        self.versions.push(version);
        number
    }

    pub(super) fn set_cursor(&mut self, nth: usize, told: u64) {
        if let Some(cursor) = self.cursors.get_mut(nth) {
            *cursor = told.saturating_add(1);
        }
    }
}
