//! Looking at an event: what is due, and the wish that comes of it.

use super::order::{End, Standing, State, Turn};
use super::ticket::{Side, Trigger};
use super::way::{Found, Way};
use super::{Around, Asked, Fate, Flight, StandingOrders};
use crate::event::{Effect, Event, MarketEvent};
use crate::ids::{OrderId, PairId};
use crate::order::{Intent, Reason};
use crate::risk::Refusal;
use crate::units::{Atoms, Price, Timestamp};

/// What a standing order wants now.
struct Wish {
    part: Atoms,
    found: Found,
    /// The least by the price that was set.
    floor: Atoms,
    steps: (u16, u16),
    reason: Reason,
}

impl StandingOrders {
    /// Looks at an event and adds what is wanted. What becomes of each wish is to be told to [`Self::approved`] or
    /// [`Self::refused`] before the next event.
    pub(crate) fn look(
        &mut self,
        event: &Event,
        around: Around<'_>,
        intents: &mut Vec<Intent>,
        effects: &mut Vec<Effect>,
    ) {
        self.asked.clear();
        if self.orders.is_empty() {
            return;
        }
        let pair = match event {
            Event::Market(MarketEvent::Account { pool, .. } | MarketEvent::Close { pool, .. }) => {
                let Some(pool) = around.market.pool(*pool) else { return };
                Some(pool.pair)
            }
            Event::Market(MarketEvent::Pool(_)) => return self.find_ways(around),
            Event::Market(MarketEvent::Slot { .. } | MarketEvent::Feed { .. })
            | Event::Timer
            | Event::Order(_)
            | Event::Command(_) => None,
            Event::Market(_) | Event::Signal(_) => return,
        };
        for at in 0..self.orders.len() {
            self.look_at(at, pair, around, intents, effects);
        }
    }

    /// A new pool may be a new way.
    fn find_ways(&mut self, around: Around<'_>) {
        for standing in self.orders.iter_mut().filter(|standing| standing.is_active()) {
            standing.way = Way::find(around.market, standing.spec.mint, standing.spec.dollars);
        }
    }

    fn look_at(
        &mut self,
        at: usize,
        pair: Option<PairId>,
        around: Around<'_>,
        intents: &mut Vec<Intent>,
        effects: &mut Vec<Effect>,
    ) {
        let now = around.now;
        let Some(standing) = self.orders.get_mut(at) else { return };
        if !standing.is_active() || pair.is_some_and(|pair| !standing.way.touches(pair)) {
            return;
        }
        let (id, owner, mint) = (standing.id, standing.owner, standing.spec.mint);
        let is_under_way = is_open(&self.flights, id.ticket);
        if standing.spec.expires.is_some_and(|end| end <= now) && !is_under_way {
            return self.end(at, End::Expired, now, effects);
        }
        if standing.state == State::Waiting {
            return;
        }
        let limits = around.limits;
        if !around.market.is_whole() || around.market.silence(now) > limits.market_age_max {
            standing.since = None;
            standing.seen = None;
            return;
        }
        // The pool that pays most may be the one between two states: whether a stop is reached is known when it is not.
        let is_stop = matches!(standing.spec.trigger, Trigger::Stop(_) | Trigger::Trail(_));
        if is_stop && standing.way.is_torn(around.market) {
            return;
        }
        let held = around.held(owner, mint);
        let is_sale = standing.spec.side == Side::Sell;
        let is_empty = held == Atoms::ZERO || standing.left() == Some(Atoms::ZERO);
        if is_sale && is_empty {
            if !is_under_way && !around.may_change(owner, mint) {
                self.end(at, End::NothingHeld, now, effects);
            }
            return;
        }
        let Some(wish) = standing.wish(held, around) else { return };
        let is_asked = self.asked.iter().any(|asked| asked.of.ticket == id.ticket);
        let is_all = is_sale && wish.part == held;
        if is_under_way || is_asked || now < standing.next.max(standing.due) {
            return;
        }
        // What failed in a block that may be abandoned may land after all.
        if !is_all
            && self.flights.iter().any(|f| f.of.ticket == id.ticket && f.fate == Fate::Failed)
        {
            return;
        }
        // Somebody else is selling it: what is left is known when that has ended.
        let free = held.saturating_sub(around.on_its_way(owner, mint));
        if is_sale && wish.part > free {
            return;
        }
        let least = wish.found.out.less(standing.spec.slippage).max(wish.floor);
        self.asked.push(Asked { nth: intents.len(), of: id, amount: wish.part, steps: wish.steps });
        intents.push(Intent {
            strategy: owner,
            route: wish.found.route,
            amount_in: wish.part,
            min_out: least,
            expires: now.saturating_add(limits.order_ttl),
            reason: wish.reason,
        });
    }

    /// A wish was approved: its order is in flight.
    pub(crate) fn approved(
        &mut self,
        nth: usize,
        order: OrderId,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(asked) = self.asked.iter().find(|asked| asked.nth == nth).copied() else { return };
        let Asked { of, amount, steps, .. } = asked;
        self.flights.push(Flight { order, of, amount, steps, fate: Fate::Open });
        if let Some(standing) = self.orders.iter_mut().find(|standing| standing.id == of) {
            standing.step = steps.1;
            standing.since = None;
            standing.due = now.saturating_add(standing.spec.pace.parts().1);
            effects.push(Effect::Standing { id: of, turn: Turn::Fired(order) });
        }
    }

    /// A wish was refused.
    pub(crate) fn refused(
        &mut self,
        nth: usize,
        refusal: Refusal,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(of) = self.asked.iter().find(|asked| asked.nth == nth).map(|asked| asked.of)
        else {
            return;
        };
        self.set_back(of, super::Setback::Refused(refusal), now, effects);
    }
}

/// Whether an order of that ticket may land.
fn is_open(flights: &[Flight], ticket: crate::units::Seq) -> bool {
    flights.iter().any(|flight| flight.of.ticket == ticket && flight.fate == Fate::Open)
}

impl Standing {
    /// What it wants now, if its moment has come. Takes note of the price on the way.
    fn wish(&mut self, held: Atoms, around: Around<'_>) -> Option<Wish> {
        let wish = match self.spec.trigger {
            Trigger::Ladder(_) => self.highest_rung(held, around),
            _ => self.whole_wish(held, around),
        };
        let slot = around.market.slot();
        if wish.is_none() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(slot);
        let (held_for, slots) = (slot.get().saturating_sub(since.get()), u64::from(self.slots()));
        // The slot in which it was seen first was under way already.
        let holds = slots == 0 || held_for > slots;
        wish.filter(|_| holds)
    }

    fn whole_wish(&mut self, held: Atoms, around: Around<'_>) -> Option<Wish> {
        let part = self.part(held)?;
        if let Trigger::After(span) = self.spec.trigger
            && around.now < self.armed.saturating_add(span)
        {
            return None;
        }
        let found = self.quote(part, around)?;
        if let (Trigger::Trail(_), Some(price)) =
            (&self.spec.trigger, Price::of(found.out.get(), part.get()))
        {
            self.trail(around.market.slot(), price);
        }
        if !self.is_reached(part, found.out, around.now) || !self.agrees(part, found.out, around) {
            return None;
        }
        let (floor, reason) = match self.spec.trigger {
            Trigger::Limit(price) => (self.floor(part, price)?, self.limit_reason()),
            Trigger::Stop(_) if self.spec.side == Side::Sell => (Atoms::ZERO, Reason::Stop),
            Trigger::Trail(_) => (Atoms::ZERO, Reason::Stop),
            Trigger::After(_) => (Atoms::ZERO, Reason::TimeStop),
            _ => (Atoms::ZERO, Reason::Operator),
        };
        Some(Wish { part, found, floor, steps: (self.step, self.step.saturating_add(1)), reason })
    }

    const fn limit_reason(&self) -> Reason {
        match self.spec.side {
            Side::Buy => Reason::Limit,
            Side::Sell => Reason::TakeProfit,
        }
    }

    /// The highest rung that is reached takes those below it along.
    fn highest_rung(&self, held: Atoms, around: Around<'_>) -> Option<Wish> {
        let Trigger::Ladder(rungs) = &self.spec.trigger else { return None };
        let count = u16::try_from(rungs.len()).ok()?;
        (self.step..count).rev().find_map(|below| {
            let rung = rungs.get(usize::from(below))?;
            let count = below.saturating_add(1);
            let part = self.rung(count, held)?;
            let found = self.quote(part, around)?;
            let floor = self.floor(part, rung.price)?;
            let reached = found.out >= floor && self.agrees(part, found.out, around);
            let steps = (self.step, count);
            reached.then_some(Wish { part, found, floor, steps, reason: Reason::TakeProfit })
        })
    }

    fn quote(&self, part: Atoms, around: Around<'_>) -> Option<Found> {
        let spec = &self.spec;
        self.way.quote(around.market, spec.side, [spec.mint, spec.dollars], part)
    }

    /// Whether the independent price is as near as was asked for.
    fn agrees(&self, part: Atoms, out: Atoms, around: Around<'_>) -> bool {
        let Some(apart) = self.spec.agree else { return true };
        let (mint, dollars) = (self.spec.mint, self.spec.dollars);
        let [given, taken] = match self.spec.side {
            Side::Buy => [dollars, mint],
            Side::Sell => [mint, dollars],
        };
        let age_max = around.limits.reference_age_max;
        let value =
            |mint, amount| around.market.reference(mint, around.now, age_max)?.value_down(amount);
        let (Some(paid), Some(got)) = (value(given, part), value(taken, out)) else { return false };
        let [paid, got] = [paid, got].map(|value| Price::from_raw(u128::from(value.get())));
        got.distance(paid) <= apart
    }
}
