//! Which slot it is, between two notices of slots: pure, time is handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sniper_core::units::Slot;

use super::ClockError;

/// Notices that the pace is measured over.
const NOTICES: usize = 64;
/// Slots that it takes to measure a pace.
const PACE_FROM: u64 = 4;
/// A pace outside of these bounds is that of a clock, or a node, that is wrong.
const PACE: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(10));
/// After so long without a notice nobody knows where the chain is.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The chain's slot clock, as its notices tell it.
#[derive(Clone, Debug, Default)]
pub struct SlotClock {
    /// Slots ascend, and so do times.
    notices: VecDeque<(u64, Instant)>,
}

impl SlotClock {
    /// A slot has begun. Older ones than the newest tell nothing new.
    pub fn observe(&mut self, slot: Slot, now: Instant) {
        if self.notices.back().is_some_and(|(last, at)| slot.get() <= *last || now < *at) {
            return;
        }
        if self.notices.len() >= NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back((slot.get(), now));
    }

    /// How long a slot lasts, measured over the last notices; none while too few are known.
    #[must_use]
    pub fn pace(&self) -> Option<Duration> {
        let (first, begun) = self.notices.front()?;
        let (last, ended) = self.notices.back()?;
        let slots = last.saturating_sub(*first);
        let took = ended.saturating_duration_since(*begun).as_nanos();
        let pace = took.checked_div(u128::from(slots))?;
        let pace = Duration::from_nanos(u64::try_from(pace).ok()?);
        (slots >= PACE_FROM && pace >= PACE.0 && pace <= PACE.1).then_some(pace)
    }

    /// The slot it is now: the last that was told, and those that have passed since at the measured pace, rounded down.
    ///
    /// # Errors
    /// No slot was told, or none for too long.
    pub fn slot(&self, now: Instant) -> Result<Slot, ClockError> {
        let (last, at) = self.notices.back().ok_or(ClockError::NoSlot)?;
        let silent = now.saturating_duration_since(*at);
        if silent > SILENCE_MAX {
            return Err(ClockError::Silent { silent });
        }
        let pace = self.pace().map_or(u128::MAX, |pace| pace.as_nanos());
        let passed = silent.as_nanos().checked_div(pace).unwrap_or(0);
        Ok(Slot::new(last.saturating_add(u64::try_from(passed).unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(slots: &[(u64, u64)]) -> (SlotClock, Instant) {
        let (mut clock, start) = (SlotClock::default(), Instant::now());
        for (slot, ms) in slots {
            clock.observe(Slot::new(*slot), start + Duration::from_millis(*ms));
        }
        (clock, start)
    }

    #[test]
    fn between_notices_slots_pass_at_the_measured_pace() {
        let (clock, start) = told(&[(10, 0), (11, 400), (14, 1_600)]);
        assert_eq!(clock.pace(), Some(Duration::from_millis(400)), "skipped slots count");
        let at = |ms| clock.slot(start + Duration::from_millis(ms));
        assert_eq!(at(1_600), Ok(Slot::new(14)));
        assert_eq!(at(1_999), Ok(Slot::new(14)), "rounded down");
        assert_eq!(at(2_000), Ok(Slot::new(15)));
        assert_eq!(at(3_000), Ok(Slot::new(17)));
        let silent = Duration::from_millis(10_001);
        assert_eq!(at(11_601), Err(ClockError::Silent { silent }));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let (clock, start) = told(&[]);
        assert_eq!((clock.slot(start), clock.pace()), (Err(ClockError::NoSlot), None));
        let (clock, start) = told(&[(10, 0), (12, 800)]);
        assert_eq!(clock.pace(), None, "two slots are too few");
        assert_eq!(clock.slot(start + Duration::from_secs(5)), Ok(Slot::new(12)));
        let (clock, _) = told(&[(10, 0), (1_000_000, 400)]);
        assert_eq!(clock.pace(), None, "no chain is that fast");
    }

    #[test]
    fn an_older_slot_tells_nothing_new() {
        let (clock, start) = told(&[(10, 0), (9, 100), (10, 200), (15, 2_000)]);
        assert_eq!(clock.pace(), Some(Duration::from_millis(400)));
        assert_eq!(clock.slot(start + Duration::from_secs(2)), Ok(Slot::new(15)));
    }

    proptest! {
        #[test]
        fn the_clock_never_runs_backwards_while_notices_do_not_come_late(
            steps in proptest::collection::vec((1_u64..4, 300_u64..500), 1..200),
        ) {
            let (mut clock, mut now) = (SlotClock::default(), Instant::now());
            let mut slot = 1_000;
            for (slots, ms) in steps {
                slot += slots;
                now += Duration::from_millis(ms * slots);
                clock.observe(Slot::new(slot), now);
                let told = clock.slot(now).unwrap();
                prop_assert_eq!(told, Slot::new(slot));
                let later = clock.slot(now + Duration::from_millis(250)).unwrap();
                prop_assert!(later == told, "less than a slot has passed");
                if let Some(pace) = clock.pace() {
                    let range = Duration::from_millis(300)..=Duration::from_millis(500);
                    prop_assert!(range.contains(&pace), "{pace:?}");
                }
            }
        }
    }
}
