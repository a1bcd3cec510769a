//! Time does not run backwards.
//!
//! # Design
//! Endpoints are not equally far. For each commitment the pool remembers the highest slot it has answered from; every
//! later read asks for that state or a newer one (`minContextSlot`), and an answer from an older one is dropped,
//! for not every node heeds the wish. What was remembered when a read began binds it: reads under way at the
//! same time have no order.
//!
//! One node's lie about its slot must not make all others look old. So an answer raises the memory only as far as
//! the chain can have come since the highest slot that looks and feeds have told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::types::Commitment;

/// Slots that an answer may be ahead of what was last told.
const AHEAD_SLOTS: u64 = 32;
/// No chain that we know makes slots faster than this.
const SLOT_MIN: Duration = Duration::from_millis(40);

/// A state that a read may not fall behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) commitment: Commitment,
    pub(super) least: u64,
}

impl Since {
    /// Nor behind this one.
    pub(super) fn and(self, slot: Option<u64>) -> Self {
        Self { least: self.least.max(slot.unwrap_or(0)), ..self }
    }
}

/// The highest slot answered from, for each commitment.
#[derive(Debug)]
pub(super) struct Floors {
    processed: AtomicU64,
    confirmed: AtomicU64,
    finalized: AtomicU64,
    told: Mutex<(u64, Instant)>,
}

impl Floors {
    pub(super) fn new(slot: u64, now: Instant) -> Self {
        let zero = AtomicU64::default;
        Self {
            processed: zero(),
            confirmed: zero(),
            finalized: zero(),
            told: Mutex::new((slot, now)),
        }
    }

    const fn of(&self, commitment: Commitment) -> &AtomicU64 {
        match commitment {
            Commitment::Processed => &self.processed,
            Commitment::Confirmed => &self.confirmed,
            Commitment::Finalized => &self.finalized,
        }
    }

    pub(super) fn since(&self, commitment: Commitment) -> Since {
        Since { commitment, least: self.of(commitment).load(Ordering::Acquire) }
    }

    /// An answer came from this slot.
    pub(super) fn raise(&self, commitment: Commitment, slot: u64, now: Instant) {
        let (told, at) = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(at).as_nanos() / SLOT_MIN.as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let can_be = told.saturating_add(AHEAD_SLOTS).saturating_add(passed);
        if slot <= can_be {
            self.of(commitment).fetch_max(slot, Ordering::AcqRel);
        }
    }

    /// The chain has come this far, as more than one answer has it.
    pub(super) fn tell(&self, slot: u64, now: Instant) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = (slot, now);
    }
}

/// How far the chain is by the word of several: the second highest of three or more, so that none alone says how far
/// it is; of fewer, the highest.
pub(super) fn corroborated(slots: impl Iterator<Item = u64>) -> u64 {
    let (mut count, mut first, mut second) = (0_usize, 0, 0);
    for slot in slots {
        count = count.saturating_add(1);
        if slot > first {
            (first, second) = (slot, first);
        } else {
            second = second.max(slot);
        }
    }
    if count < 3 { first } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_only_rises_and_not_by_what_cannot_be() {
        let now = Instant::now();
        let floors = Floors::new(1_000, now);
        let least = |commitment| floors.since(commitment).least;
        floors.raise(Commitment::Confirmed, 1_010, now);
        floors.raise(Commitment::Confirmed, 1_005, now);
        floors.raise(Commitment::Confirmed, u64::MAX, now);
        floors.raise(Commitment::Confirmed, 1_033, now);
        assert_eq!(least(Commitment::Confirmed), 1_010);
        assert_eq!(least(Commitment::Processed), 0, "each commitment has its own");
        let later = now + Duration::from_secs(1);
        floors.raise(Commitment::Confirmed, 1_057, later);
        assert_eq!(least(Commitment::Confirmed), 1_057, "a second later it can be");
        floors.tell(5_000, later);
        floors.raise(Commitment::Confirmed, 5_001, later);
        assert_eq!(least(Commitment::Confirmed), 5_001);
    }

    #[test]
    fn of_three_none_alone_says_how_far_the_chain_is() {
        let told = |slots: &[u64]| corroborated(slots.iter().copied());
        assert_eq!(told(&[7, u64::MAX, 9]), 9);
        assert_eq!(told(&[9, 9, 3]), 9);
        assert_eq!((told(&[7, 9]), told(&[7]), told(&[])), (9, 7, 0));
    }
}
