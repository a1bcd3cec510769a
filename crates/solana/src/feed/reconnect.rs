//! When a lost connection is tried again.

use std::time::Duration;

use crate::rpc::endpoint::jitter;

/// Longest pause where no connection is left.
const ALONE_MAX: Duration = Duration::from_millis(800);

/// Gives the pauses between attempts: short at first, doubling, spread so that many do not come at once.
#[derive(Clone, Copy, Debug)]
pub struct ReconnectionHandler {
    first: Duration,
    longest: Duration,
}

impl Default for ReconnectionHandler {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(15) }
    }
}

impl ReconnectionHandler {
    /// Own bounds.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after `failures` failures in a row: between half and all of the doubled step.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        self.pause_with(failures, jitter())
    }

    /// The same where nobody else tells of the accounts: what is blind until then should look up often.
    #[must_use]
    pub fn pause_alone(&self, failures: u32) -> Duration {
        Self { longest: self.longest.min(ALONE_MAX), ..*self }.pause(failures)
    }

    fn pause_with(&self, failures: u32, jitter: u8) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let step = doubled.min(self.longest);
        step / 2 + step * u32::from(jitter) / 510
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_grows_and_stays_within_its_bounds(failures in 1_u32..100, jitter: u8) {
            let handler = ReconnectionHandler::default();
            let pause = handler.pause_with(failures, jitter);
            prop_assert!(pause >= handler.first / 2 && pause <= handler.longest);
            prop_assert!(handler.pause_with(failures + 1, 0) >= handler.pause_with(failures, 0));
            prop_assert!(handler.pause_with(failures, 255) >= handler.pause_with(failures, 0));
            prop_assert!(handler.pause_alone(failures) <= ALONE_MAX);
        }
    }
}
