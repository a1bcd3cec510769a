//! How many reads an endpoint gets at once: pure, time is handed in.
//!
//! # Design
//! Additive increase, multiplicative decrease: each good answer while the window is in use widens it a little, a
//! request refused for its rate or lost in time halves it. One bad moment, in which many fail together, counts once.
//! An endpoint that asks for a pause (`Retry-After`) gets no reads until it is over.

use std::time::{Duration, Instant};

/// Reads at once, in hundredths: at first, at least, and at most.
const START: u32 = 3_200;
const LEAST: u32 = 200;
const MOST: u32 = 25_600;
/// Failures within this time of a cut belong to it.
const MOMENT: Duration = Duration::from_millis(100);
/// Longest pause that an endpoint can ask for. It only shuts itself out.
const HOLD_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    hundredths: u32,
    in_flight: u32,
    cut: Option<Instant>,
    held_until: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self { hundredths: START, in_flight: 0, cut: None, held_until: None }
    }
}

impl Window {
    const fn limit(&self) -> u32 {
        self.hundredths / 100
    }

    /// May one more go out? If not, when to look again; none where a place has to become free.
    pub(super) fn enter(&mut self, now: Instant) -> Result<(), Option<Duration>> {
        let held = self.held_until.map(|until| until.saturating_duration_since(now));
        if let Some(rest) = held.filter(|rest| !rest.is_zero()) {
            return Err(Some(rest));
        }
        if self.in_flight >= self.limit() {
            return Err(None);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(())
    }

    /// One has come back, however.
    pub(super) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Nothing is under way.
    pub(super) const fn is_empty(&self) -> bool {
        self.in_flight == 0
    }

    /// A good answer.
    pub(super) fn widen(&mut self) {
        // One that is not in use proves nothing about more.
        if self.in_flight.saturating_mul(2) >= self.limit() {
            let step = 10_000_u32.checked_div(self.hundredths).unwrap_or(1).max(1);
            self.hundredths = self.hundredths.saturating_add(step).min(MOST);
        }
    }

    /// Refused for its rate, or lost.
    pub(super) fn halve(&mut self, now: Instant) {
        if self.cut.is_none_or(|cut| now.saturating_duration_since(cut) >= MOMENT) {
            self.cut = Some(now);
            self.hundredths = (self.hundredths / 2).max(LEAST);
        }
    }

    /// No reads before this time has passed.
    pub(super) fn hold(&mut self, now: Instant, pause: Duration) {
        let until = now.checked_add(pause.min(HOLD_MAX));
        self.held_until = self.held_until.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_halves_a_window_once_and_use_widens_it_again() {
        let (mut window, now) = (Window::default(), Instant::now());
        let fill = |window: &mut Window| {
            std::iter::repeat_with(|| window.enter(now)).take_while(Result::is_ok).count()
        };
        assert_eq!(fill(&mut window), 32);
        assert_eq!(window.enter(now), Err(None));
        for _ in 0..20 {
            window.halve(now + Duration::from_millis(5));
        }
        assert_eq!(window.limit(), 16, "one bad moment");
        window.widen();
        assert!(window.limit() == 16 && window.hundredths > 1_600);
        for n in 1..20 {
            window.halve(now + MOMENT * (n + 1));
        }
        assert_eq!(window.limit(), 2, "never shut for good");
        for _ in 0..100_000 {
            window.widen();
        }
        assert_eq!(window.hundredths, 6_500, "in use up to half of it, so wider is unproved");
        for _ in 0..32 {
            window.leave();
        }
        assert_eq!(fill(&mut window), 65);
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_but_not_for_ever() {
        let (mut window, now) = (Window::default(), Instant::now());
        window.hold(now, Duration::from_secs(2));
        window.hold(now, Duration::from_secs(1));
        assert_eq!(window.enter(now), Err(Some(Duration::from_secs(2))));
        assert_eq!(window.enter(now + Duration::from_secs(2)), Ok(()));
        window.hold(now, Duration::from_secs(u64::MAX));
        assert_eq!(window.enter(now + HOLD_MAX), Ok(()));
    }
}
