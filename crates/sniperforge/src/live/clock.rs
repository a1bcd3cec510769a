//! The time of stamps: the machine's wall clock while that runs forward.

use std::time::{Duration, Instant, SystemTime};

use sniper_core::units::Timestamp;

/// A clock that is never set back and never stands still.
///
/// While the wall clock is behind what was stamped already, time goes on as it passes: were it to stand until the wall
/// clock has caught up, nothing would look stale and no order would be too old.
#[derive(Debug)]
pub(super) struct Clock {
    at: Timestamp,
    /// When it was `at`.
    read: Instant,
}

impl Clock {
    /// Goes on after a stamp that was made before.
    pub(super) fn after(at: Timestamp) -> Self {
        Self { at, read: Instant::now() }
    }

    /// The time of the next stamp, not before the last.
    pub(super) fn stamp(&mut self) -> Timestamp {
        self.stamp_at(wall(), Instant::now())
    }

    fn stamp_at(&mut self, wall: Timestamp, read: Instant) -> Timestamp {
        let at = self.told(wall, read);
        // What is less than a unit counts the next time.
        let counted = if at == wall { read } else { self.read + since(self.at, at) };
        (self.at, self.read) = (at, counted);
        at
    }

    /// What a stamp would say now.
    pub(super) fn now(&self) -> Timestamp {
        self.told(wall(), Instant::now())
    }

    fn told(&self, wall: Timestamp, read: Instant) -> Timestamp {
        if wall >= self.at {
            return wall;
        }
        let passed = read.saturating_duration_since(self.read).as_micros();
        self.at.saturating_add(Timestamp::new(i64::try_from(passed).unwrap_or(i64::MAX)))
    }
}

/// The wall clock, in the journal's unit.
pub(super) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from).get()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn it_says_what_the_wall_says_while_that_runs_forward() {
        let mut clock = Clock::after(Timestamp::new(5));
        let read = Instant::now();
        assert_eq!(clock.stamp_at(Timestamp::new(HOUR), read), Timestamp::new(HOUR));
        assert_eq!(clock.stamp_at(Timestamp::new(2 * HOUR), read), Timestamp::new(2 * HOUR));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_neither_turns_time_back_nor_stops_it() {
        let mut clock = Clock::after(Timestamp::ZERO);
        let read = Instant::now();
        clock.stamp_at(Timestamp::new(2 * HOUR), read);
        let back = Timestamp::new(HOUR);
        // In steps of less than a unit as well as in one.
        let mut last = Timestamp::ZERO;
        for nth in 1..=10_000 {
            last = clock.stamp_at(back, read + Duration::from_nanos(700 * nth));
        }
        assert_eq!(last, Timestamp::new(2 * HOUR + 7_000));
        let later = clock.stamp_at(back, read + Duration::from_secs(60));
        assert_eq!(later, Timestamp::new(2 * HOUR + 60_000_000));
        assert_eq!(clock.stamp_at(Timestamp::new(3 * HOUR), read), Timestamp::new(3 * HOUR));
    }
}
