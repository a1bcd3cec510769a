//! The last so many values.

use serde::{Deserialize, Serialize};

/// A window over the newest values, with room set aside once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ring {
    values: Vec<f64>,
    /// Where the next value goes: the oldest, once full.
    next: usize,
    size: usize,
}

impl Ring {
    /// A window of `size` values, at least one.
    pub(super) fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { values: Vec::with_capacity(size), next: 0, size }
    }

    /// Adds a value and returns the one that fell out.
    pub(super) fn push(&mut self, value: f64) -> Option<f64> {
        let at = self.next;
        self.next = match at.saturating_add(1) {
            next if next < self.size => next,
            _ => 0,
        };
        match self.values.get_mut(at) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                self.values.push(value);
                None
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.values.len() == self.size
    }

    /// Whether the window has just been replaced in full.
    pub(super) const fn at_start(&self) -> bool {
        self.next == 0
    }

    /// The value that falls out next.
    pub(super) fn oldest(&self) -> Option<f64> {
        self.values.get(if self.is_full() { self.next } else { 0 }).copied()
    }

    /// All values, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        let (newer, older) = self.values.split_at_checked(self.next).unwrap_or((&self.values, &[]));
        older.iter().chain(newer).copied()
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.next = 0;
    }
}

/// A count of at most a few thousand, as a float.
pub(super) fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
