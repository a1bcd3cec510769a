//! What changes as the day goes: mode, order rate, duplicates, losses in a row, peaks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::StrategyId;
use crate::order::{Intent, Route};
use crate::risk::Limits;
use crate::units::{Atoms, Bps, Timestamp, Usd};

/// What may be done at all. Ordered: each forbids more than the one before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Mode {
    /// Everything within the limits.
    #[default]
    Run,
    /// Only what makes positions smaller.
    ReduceOnly,
    /// Nothing new; orders in flight are followed to their end.
    Halt,
    /// Nothing new and nothing signed. A latch: only a person clears it, in two steps.
    Kill,
}

impl Mode {
    /// The name shown to operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "RUN",
            Self::ReduceOnly => "REDUCE_ONLY",
            Self::Halt => "HALT",
            Self::Kill => "KILL",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Recent {
    at: Timestamp,
    strategy: StrategyId,
    route: Route,
    amount_in: Atoms,
}

/// Risk's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Control {
    mode: Mode,
    recent: VecDeque<Recent>,
    /// Orders approved so far.
    approvals: u32,
    rate_max: usize,
    losses_in_row: u16,
    cool_until: Timestamp,
    day: Timestamp,
    day_start: Usd,
    peak: Usd,
    /// What all was worth at the last valuation, once there was one.
    last: Option<Usd>,
    /// Money moved that had no price: the next valuation jumps by it, and that is no profit.
    unpriced: bool,
}

const MINUTE: Timestamp = Timestamp::from_millis(60_000);

impl Control {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let rate_max = usize::from(limits.orders_per_minute_max);
        Self {
            mode: Mode::Run,
            recent: VecDeque::with_capacity(rate_max.saturating_add(1)),
            approvals: 0,
            rate_max,
            losses_in_row: 0,
            cool_until: Timestamp::new(i64::MIN),
            day: Timestamp::ZERO,
            day_start: Usd::ZERO,
            peak: Usd::ZERO,
            last: None,
            unpriced: false,
        }
    }

    /// What may be done.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Sets the mode; the caller has checked that it may.
    pub(crate) const fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Whether entries pause after losses.
    #[must_use]
    pub fn is_cooling(&self, now: Timestamp) -> bool {
        now < self.cool_until
    }

    /// Whether another order would pass the rate.
    #[must_use]
    pub fn is_rate_full(&self, now: Timestamp) -> bool {
        let since = now.saturating_sub(MINUTE);
        self.recent.iter().filter(|r| r.at > since).count() >= self.rate_max
    }

    /// Whether the same wish was approved within `window`.
    #[must_use]
    pub fn is_duplicate(&self, intent: &Intent, now: Timestamp, window: Timestamp) -> bool {
        let since = now.saturating_sub(window);
        self.recent.iter().rev().take_while(|r| r.at > since).any(|r| {
            r.strategy == intent.strategy
                && r.amount_in == intent.amount_in
                && r.route == intent.route
        })
    }

    /// A number that no two orders share which could be on their way at once: see
    /// [`Limits::SERIALS`](super::Limits::SERIALS).
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.approvals.checked_rem(Limits::SERIALS).unwrap_or(0)
    }

    /// Remembers an approval.
    pub(crate) fn approved(&mut self, intent: &Intent, now: Timestamp) {
        self.approvals = self.approvals.wrapping_add(1);
        let since = now.saturating_sub(MINUTE);
        while self.recent.front().is_some_and(|r| r.at <= since) {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            at: now,
            strategy: intent.strategy,
            route: intent.route.clone(),
            amount_in: intent.amount_in,
        });
    }

    /// Remembers the result of a trade.
    pub(crate) fn traded(&mut self, profit: Usd, now: Timestamp, limits: &Limits) {
        if profit >= Usd::ZERO {
            self.losses_in_row = 0;
            return;
        }
        self.losses_in_row = self.losses_in_row.saturating_add(1);
        if limits.losses_in_row_max > 0 && self.losses_in_row >= limits.losses_in_row_max {
            self.cool_until = now.saturating_add(limits.cool_down);
            self.losses_in_row = 0;
        }
    }

    /// Money came in (or went, if negative), of that value where it has a price: neither profit nor loss.
    pub(crate) fn funded(&mut self, value: Option<Usd>) {
        match value {
            Some(value) => self.rebase(value),
            None => self.unpriced = true,
        }
    }

    fn rebase(&mut self, value: Usd) {
        self.day_start = self.day_start.saturating_add(value);
        self.peak = self.peak.saturating_add(value);
        self.last = self.last.map(|last| last.saturating_add(value));
    }

    /// Takes a new valuation: rolls the day, raises the peak.
    pub(crate) fn valued(&mut self, equity: Usd, now: Timestamp) {
        if std::mem::take(&mut self.unpriced)
            && let Some(last) = self.last
        {
            self.rebase(equity.saturating_sub(last));
        }
        if self.last.is_none() || now >= self.day.saturating_add(Timestamp::DAY) {
            self.day = now.floor(Timestamp::DAY);
            self.day_start = equity;
        }
        if self.last.is_none() || equity > self.peak {
            self.peak = equity;
        }
        self.last = Some(equity);
    }

    /// Profit since midnight UTC, given what all is worth now.
    #[must_use]
    pub fn day_profit(&self, equity: Usd) -> Usd {
        if self.last.is_some() { equity.saturating_sub(self.day_start) } else { Usd::ZERO }
    }

    /// Fall from the peak, as a share of it, rounded up.
    #[must_use]
    pub fn drawdown(&self, equity: Usd) -> Bps {
        let fall = self.peak.saturating_sub(equity).get();
        if self.last.is_none() || fall <= 0 || self.peak <= Usd::ZERO {
            return Bps::ZERO;
        }
        let scaled = i128::from(fall).saturating_mul(i128::from(Bps::WHOLE));
        let peak = i128::from(self.peak.get());
        let share = scaled.saturating_add(peak.saturating_sub(1)).checked_div(peak).unwrap_or(0);
        Bps::capped(u16::try_from(share).unwrap_or(u16::MAX))
    }

    /// Whether [`Self::drawdown`] is at least `most`, without a division.
    pub(crate) fn has_fallen(&self, equity: Usd, most: Bps) -> bool {
        let fall = self.peak.saturating_sub(equity).get();
        if self.last.is_none() || fall <= 0 || self.peak <= Usd::ZERO {
            return most == Bps::ZERO;
        }
        // Rounded up, a share is at least `most` where, unrounded, it is above the number before it. Both amounts are above
        // zero, and no product of 63 and 14 bits passes 128.
        let scaled =
            |amount: i64, times: u16| u128::from(amount.unsigned_abs()).wrapping_mul(times.into());
        match most.get().checked_sub(1) {
            Some(below) => scaled(fall, Bps::WHOLE) > scaled(self.peak.get(), below),
            None => true,
        }
    }

    /// What all was worth at the last valuation, once there was one.
    #[must_use]
    pub const fn last(&self) -> Option<Usd> {
        self.last
    }

    /// Highest equity seen, deposits taken out.
    #[must_use]
    pub const fn peak(&self) -> Usd {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fall_is_told_without_the_division_it_is_defined_by(
            peak in any::<i64>(), fall in any::<i64>(), near in 0_u16..=10_000, most in 0_u16..=10_000,
        ) {
            let mut control = Control::new(&Limits::default());
            control.valued(Usd::new(peak), Timestamp::ZERO);
            let share = Usd::new(peak).share(Bps::capped(near));
            let just = [-1, 0, 1].map(|off| Usd::new(peak).saturating_sub(share).saturating_add(Usd::new(off)));
            for equity in [Usd::new(fall), just[0], just[1], just[2]] {
                let drawdown = control.drawdown(equity);
                for most in [most, near, drawdown.get(), drawdown.get().saturating_add(1)] {
                    let most = Bps::capped(most);
                    prop_assert_eq!(control.has_fallen(equity, most), drawdown >= most);
                }
            }
        }
    }
}
