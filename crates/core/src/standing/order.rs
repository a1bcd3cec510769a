//! A standing order and how far it has come.

use serde::{Deserialize, Serialize};

use super::ticket::{Amount, Link, Pace, Side, Spec, StandingId, Trigger, rungs_down};
use super::way::Way;
use crate::event::RejectReason;
use crate::ids::{OrderId, StrategyId};
use crate::risk::Refusal;
use crate::units::{Atoms, Bps, Price, Slot, Timestamp, mul_div_down, mul_div_up};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// An exit whose entry has brought nothing yet.
    Waiting,
    /// It watches, or is under way.
    Armed,
    /// It is over.
    Ended(End, Timestamp),
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum End {
    /// All of it was carried out.
    Done,
    /// The operator cancelled it.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// This order of a sibling's landed instead.
    Sibling(OrderId),
    /// What it was to sell is gone.
    NothingHeld,
    /// An exit whose entry ended before it brought anything.
    NoEntry,
}

impl End {
    /// A short stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Sibling(_) => "sibling filled",
            Self::NothingHeld => "nothing held",
            Self::NoEntry => "no entry",
        }
    }
}

/// Why the last try came to nothing. It is tried again after a pause that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setback {
    /// Review refused it.
    Refused(Refusal),
    /// It landed and failed.
    Reverted,
    /// It never landed.
    Expired,
    /// It was never sent.
    Rejected(RejectReason),
}

/// What happened to a standing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// It was placed.
    Placed,
    /// Its entry has brought so much: it watches from here on.
    Armed(Atoms),
    /// Its trigger was reached and review approved this order.
    Fired(OrderId),
    /// A try came to nothing.
    Failed(Setback),
    /// A part of it, or all, was carried out: what was given, what came.
    Landed(Atoms, Atoms),
    /// What had landed was taken back: it is under way again.
    TakenBack,
    /// It is over.
    Ended(End),
}

/// One order of a ticket, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub(super) id: StandingId,
    pub(super) owner: StrategyId,
    pub(super) link: Link,
    pub(super) spec: Spec,
    pub(super) way: Way,
    pub(super) state: State,
    pub(super) placed: Timestamp,
    /// When it began to watch.
    pub(super) armed: Timestamp,
    /// All that it may give; none where that is whatever is held.
    pub(super) whole: Option<Atoms>,
    pub(super) done: Atoms,
    pub(super) got: Atoms,
    /// What of the whole was sold otherwise.
    pub(super) cut: Atoms,
    /// Parts or rungs that are carried out or under way.
    pub(super) step: u16,
    /// Since which slot its price holds.
    pub(super) since: Option<Slot>,
    /// The most that an atom would have brought.
    pub(super) mark: Option<Price>,
    /// The least that an atom would have brought in this slot: a mark only when the slot is over.
    pub(super) seen: Option<(Slot, Price)>,
    /// Its next part is not due before.
    pub(super) due: Timestamp,
    /// After a setback, not to be tried before.
    pub(super) next: Timestamp,
    pub(super) fails: u8,
    pub(super) setback: Option<Setback>,
}

/// Pauses double up to sixteen seconds.
const DOUBLINGS_MAX: u8 = 4;

impl Standing {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> StandingId {
        self.id
    }

    /// Whose book it trades on.
    #[must_use]
    pub const fn owner(&self) -> StrategyId {
        self.owner
    }

    /// What it is to the others of its ticket.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// As it was asked for.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What it does.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// When it was placed.
    #[must_use]
    pub const fn placed(&self) -> Timestamp {
        self.placed
    }

    /// All that it may give; `None` where that is whatever is held when it is sold.
    #[must_use]
    pub const fn whole(&self) -> Option<Atoms> {
        self.whole
    }

    /// What it has given, by what has landed.
    #[must_use]
    pub const fn done(&self) -> Atoms {
        self.done
    }

    /// What that has brought.
    #[must_use]
    pub const fn got(&self) -> Atoms {
        self.got
    }

    /// What of the whole was sold otherwise.
    #[must_use]
    pub const fn cut(&self) -> Atoms {
        self.cut
    }

    /// Parts or rungs that are carried out or under way.
    #[must_use]
    pub const fn step(&self) -> u16 {
        self.step
    }

    /// Of a trailing stop, the most that an atom would have brought.
    #[must_use]
    pub const fn mark(&self) -> Option<Price> {
        self.mark
    }

    /// Why the last try came to nothing, until one lands.
    #[must_use]
    pub const fn setback(&self) -> Option<Setback> {
        self.setback
    }

    /// It is not over.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !matches!(self.state, State::Ended(..))
    }

    pub(super) fn is_armed(&self) -> bool {
        self.state == State::Armed
    }

    /// It may bring something for others to sell.
    pub(super) const fn is_entry(&self) -> bool {
        matches!(self.link, Link::Bracket) && self.id.leg == 0
    }

    pub(super) const fn is_ladder(&self) -> bool {
        matches!(self.spec.trigger, Trigger::Ladder(_))
    }

    /// What it may still give, by its own count; `None` where only what is held bounds it.
    #[must_use]
    pub fn left(&self) -> Option<Atoms> {
        Some(self.whole?.saturating_sub(self.done).saturating_sub(self.cut))
    }

    /// Begins to watch.
    pub(super) fn arm(&mut self, now: Timestamp) {
        self.state = State::Armed;
        self.armed = now;
        self.since = None;
        self.seen = None;
        self.mark = None;
    }

    /// Waits before it is tried again.
    pub(super) fn fail(&mut self, setback: Setback, now: Timestamp) {
        self.setback = Some(setback);
        let pause = Timestamp::SECOND.get().checked_shl(u32::from(self.fails)).unwrap_or(0);
        self.next = self.next.max(now.saturating_add(Timestamp::new(pause)));
        self.fails = self.fails.saturating_add(1).min(DOUBLINGS_MAX);
    }

    /// All of it is carried out, or on its way.
    pub(super) fn is_complete(&self) -> bool {
        match &self.spec.trigger {
            Trigger::Ladder(rungs) => {
                usize::from(self.step) >= rungs.len() || self.left() == Some(Atoms::ZERO)
            }
            _ => self.step >= self.spec.pace.parts().0,
        }
    }

    /// What its next order gives at most, given what its owner holds.
    pub(super) fn part(&self, held: Atoms) -> Option<Atoms> {
        let bound = |amount: Atoms| match self.spec.side {
            Side::Buy => amount,
            Side::Sell => amount.min(held),
        };
        let left = match (self.left(), self.spec.side) {
            (Some(left), _) => left,
            (None, Side::Sell) => held,
            (None, Side::Buy) => return None,
        };
        let part = match self.spec.pace {
            Pace::Whole => left,
            Pace::Split { parts, .. } => {
                let rest = u64::from(parts.saturating_sub(self.step).max(1));
                if rest == 1 {
                    left
                } else {
                    Atoms::new(left.get().checked_div(rest)?.max(1)).min(left)
                }
            }
            Pace::Repeat { .. } => match self.spec.amount {
                Amount::Exactly(each) => each.min(left),
                Amount::Position => return None,
            },
        };
        Some(bound(part)).filter(|part| *part > Atoms::ZERO)
    }

    /// What is sold when the rungs up to `count` are: what those below it left included.
    pub(super) fn rung(&self, count: u16, held: Atoms) -> Option<Atoms> {
        let Trigger::Ladder(rungs) = &self.spec.trigger else { return None };
        let part = rungs_down(self.whole?, rungs, count).saturating_sub(self.done);
        Some(part.min(self.left()?).min(held)).filter(|part| *part > Atoms::ZERO)
    }

    /// The least that must come out by the price that was set, rounded up; none where none was.
    pub(super) fn floor(&self, part: Atoms, price: Price) -> Option<Atoms> {
        match self.spec.side {
            Side::Sell => price.value_up(part),
            Side::Buy => mul_div_up(part.get(), 1 << 64, price.raw()).map(Atoms::new),
        }
    }

    /// The most that comes out while a stop at this price is reached, rounded down.
    fn ceiling(&self, part: Atoms, price: Price) -> Option<Atoms> {
        match self.spec.side {
            Side::Sell => price.value_down(part),
            Side::Buy => mul_div_down(part.get(), 1 << 64, price.raw()).map(Atoms::new),
        }
    }

    /// Takes note of what an atom would bring in this slot. A mark is raised by the least of a slot, once that is over, so
    /// that no price of a moment raises it; it never falls.
    pub(super) fn trail(&mut self, slot: Slot, price: Price) {
        self.seen = match self.seen {
            Some((known, least)) if known == slot => Some((known, least.min(price))),
            Some((_, least)) => {
                self.mark = Some(self.mark.map_or(least, |mark| mark.max(least)));
                Some((slot, price))
            }
            None => Some((slot, price)),
        };
    }

    /// Whether `part` bringing `out` is what it waits for. Time is `now`'s own business: see [`Trigger::After`].
    pub(super) fn is_reached(&self, part: Atoms, out: Atoms, now: Timestamp) -> bool {
        match &self.spec.trigger {
            Trigger::Now => true,
            Trigger::After(span) => now >= self.armed.saturating_add(*span),
            Trigger::Limit(price) => self.floor(part, *price).is_some_and(|least| out >= least),
            // What does not fit is more than any pool could bring.
            Trigger::Stop(price) => self.ceiling(part, *price).is_none_or(|most| out <= most),
            Trigger::Trail(share) => self.mark.is_some_and(|mark| {
                let stop = below(mark, *share).and_then(|stop| stop.value_down(part));
                stop.is_some_and(|most| out <= most)
            }),
            Trigger::Ladder(_) => false,
        }
    }

    /// Whether it looks at prices, and so for how long they must hold.
    pub(super) const fn slots(&self) -> u8 {
        match self.spec.trigger {
            Trigger::Now | Trigger::After(_) => 0,
            _ => self.spec.slots,
        }
    }
}

/// A price less a share of it, rounded down.
fn below(price: Price, share: Bps) -> Option<Price> {
    let kept = Bps::WHOLE.saturating_sub(share.get());
    price.times(Price::of(u64::from(kept), u64::from(Bps::WHOLE))?)
}
