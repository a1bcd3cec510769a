//! What becomes of orders in flight, and what that does to the rest of their ticket.

use super::order::{End, Setback, Standing, State, Turn};
use super::ticket::{Side, StandingId};
use super::{Around, Fate, Flight, StandingOrders};
use crate::event::{Closed, Effect};
use crate::ids::{MintId, OrderId, StrategyId};
use crate::order::{Order, Outcome};
use crate::units::{Atoms, Timestamp};

/// What an order has moved of the two mints it trades: given, got.
fn moved(order: &Order, outcome: &Outcome) -> Option<(Atoms, Atoms)> {
    let Outcome::Filled { deltas, .. } = outcome else { return None };
    let change = |mint: MintId| {
        let of_it = deltas.iter().filter(|(known, _)| *known == mint);
        of_it.fold(0_i64, |sum, (_, change)| sum.saturating_add(*change))
    };
    let paid = change(order.mint_in()).min(0).unsigned_abs();
    let got = change(order.mint_out()).max(0).unsigned_abs();
    Some((Atoms::new(paid), Atoms::new(got)))
}

impl StandingOrders {
    /// An order of anybody's has ended, and is booked. `may_fork` tells whether that may be taken back.
    pub(crate) fn closed(
        &mut self,
        closed: &Closed,
        may_fork: bool,
        around: Around<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if self.orders.is_empty() {
            return;
        }
        let (order, now) = (&closed.order, closed.at);
        let landed = moved(order, &closed.outcome);
        if let Some(at) = self.flights.iter().position(|flight| flight.order == order.id()) {
            match (landed, &closed.outcome) {
                (Some((paid, got)), _) => {
                    if let Some(flight) = self.decide(at, Fate::Landed(paid, got), may_fork) {
                        self.landed(flight, paid, got, now, effects);
                    }
                }
                (None, outcome) => {
                    // What landed and failed may land well on another fork; what never landed is proven dead.
                    let (setback, may_fork) = match outcome {
                        Outcome::Reverted { .. } => (Setback::Reverted, may_fork),
                        Outcome::Rejected(reason) => (Setback::Rejected(*reason), false),
                        _ => (Setback::Expired, false),
                    };
                    if let Some(flight) = self.decide(at, Fate::Failed, may_fork) {
                        self.gave_back(flight, setback, now, effects);
                    }
                }
            }
        }
        if landed.is_some() {
            self.keep_to_what_is_held(order.strategy(), order.mint_in(), around);
        }
    }

    /// What was told of an order is final.
    pub(crate) fn finalized(&mut self, order: OrderId, now: Timestamp, effects: &mut Vec<Effect>) {
        let is_it = |flight: &Flight| flight.order == order && flight.fate != Fate::Open;
        if let Some(at) = self.flights.iter().position(is_it) {
            let flight = self.flights.swap_remove(at);
            self.without_entry(flight.of, now, effects);
        }
    }

    /// The block that an order landed in was abandoned, and what was booked for it is taken back: it may land again.
    pub(crate) fn rolled_back(&mut self, order: &Order, filled: bool, effects: &mut Vec<Effect>) {
        let flight = self.flights.iter_mut().find(|flight| flight.order == order.id());
        let was = flight.map(|flight| {
            let was = *flight;
            flight.fate = Fate::Open;
            was
        });
        if let Some(was) = was {
            match was.fate {
                Fate::Landed(paid, got) => self.take_back(was, paid, got),
                Fate::Failed => {
                    if let Some(standing) = self.find(was.of) {
                        standing.claim(was.steps);
                    }
                }
                Fate::Open => return,
            }
            effects.push(Effect::Standing { id: was.of, turn: Turn::TakenBack });
        }
        if !filled {
            return;
        }
        // What was cut because it had been sold is there again.
        let (owner, mint, sold) = (order.strategy(), order.mint_in(), order.amount_in());
        for standing in &mut self.orders {
            let is_other = was.is_none_or(|was| was.of.ticket != standing.id.ticket);
            if is_other && standing.is_sale_of(owner, mint) {
                standing.cut = standing.cut.saturating_sub(sold);
            }
        }
    }

    /// Takes note of what an order came to, for as long as that may change.
    fn decide(&mut self, at: usize, fate: Fate, may_change: bool) -> Option<Flight> {
        let flight = self.flights.get_mut(at)?;
        flight.fate = fate;
        let decided = *flight;
        if !may_change {
            self.flights.swap_remove(at);
        }
        Some(decided)
    }

    fn find(&mut self, id: StandingId) -> Option<&mut Standing> {
        self.orders.iter_mut().find(|standing| standing.id == id)
    }

    fn is_open(&self, id: StandingId) -> bool {
        self.flights.iter().any(|flight| flight.of == id && flight.fate == Fate::Open)
    }

    fn landed(
        &mut self,
        flight: Flight,
        paid: Atoms,
        got: Atoms,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let id = flight.of;
        let is_last = !self.is_open(id);
        let Some(at) = self.orders.iter().position(|standing| standing.id == id) else { return };
        let Some(standing) = self.orders.get_mut(at) else { return };
        standing.done = standing.done.saturating_add(paid);
        standing.got = standing.got.saturating_add(got);
        standing.fails = 0;
        standing.setback = None;
        effects.push(Effect::Standing { id, turn: Turn::Landed(paid, got) });
        let (is_entry, is_ladder) = (standing.is_entry(), standing.is_ladder());
        if standing.is_armed() && is_last && standing.is_complete() {
            self.end(at, End::Done, now, effects);
        }
        for at in 0..self.orders.len() {
            let Some(other) = self.orders.get_mut(at) else { continue };
            if other.id.ticket != id.ticket || other.id == id || other.is_entry() {
                continue;
            }
            if is_entry {
                other.brought(got, now, effects);
            } else if other.is_active() {
                if is_ladder {
                    other.cut = other.cut.saturating_add(paid.min(other.left().unwrap_or(paid)));
                }
                if !is_ladder || other.left() == Some(Atoms::ZERO) {
                    self.end(at, End::Sibling(flight.order), now, effects);
                }
            }
        }
    }

    fn take_back(&mut self, was: Flight, paid: Atoms, got: Atoms) {
        let Some(standing) = self.find(was.of) else { return };
        standing.done = standing.done.saturating_sub(paid);
        standing.got = standing.got.saturating_sub(got);
        if let State::Ended(End::Done, _) = standing.state {
            standing.state = State::Armed;
        }
        let (is_entry, is_ladder) = (standing.is_entry(), standing.is_ladder());
        for other in &mut self.orders {
            if other.id.ticket != was.of.ticket || other.id == was.of || other.is_entry() {
                continue;
            }
            if is_entry {
                other.whole = other.whole.map(|whole| whole.saturating_sub(got));
            } else {
                if is_ladder {
                    other.cut = other.cut.saturating_sub(paid);
                }
                if matches!(other.state, State::Ended(End::Sibling(by), _) if by == was.order) {
                    other.state = State::Armed;
                }
            }
            other.wait_for_entry();
        }
    }

    fn gave_back(
        &mut self,
        flight: Flight,
        setback: Setback,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(standing) = self.find(flight.of) else { return };
        standing.give_back(flight.steps);
        standing.fail(setback, now);
        effects.push(Effect::Standing { id: flight.of, turn: Turn::Failed(setback) });
        self.without_entry(flight.of, now, effects);
    }

    /// A try came to nothing before it was an order.
    pub(super) fn set_back(
        &mut self,
        of: StandingId,
        setback: Setback,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(standing) = self.find(of) {
            standing.fail(setback, now);
            effects.push(Effect::Standing { id: of, turn: Turn::Failed(setback) });
        }
    }

    /// It is over.
    pub(super) fn end(&mut self, at: usize, end: End, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(standing) = self.orders.get_mut(at) else { return };
        standing.state = State::Ended(end, now);
        let id = standing.id;
        effects.push(Effect::Standing { id, turn: Turn::Ended(end) });
        self.without_entry(id, now, effects);
    }

    /// Where an entry is over and nothing of it has come in or may still, nothing waits for it.
    fn without_entry(&mut self, id: StandingId, now: Timestamp, effects: &mut Vec<Effect>) {
        let entry = self.orders.iter().find(|standing| standing.id == id);
        let is_gone = entry.is_some_and(|entry| {
            let is_undone = !matches!(entry.state, State::Ended(End::Done, _));
            entry.is_entry() && !entry.is_active() && is_undone && entry.got == Atoms::ZERO
        });
        let may_land = self.flights.iter().any(|flight| flight.of == id);
        if !is_gone || may_land {
            return;
        }
        for exit in &mut self.orders {
            if exit.id.ticket == id.ticket && exit.state == State::Waiting {
                exit.state = State::Ended(End::NoEntry, now);
                effects.push(Effect::Standing { id: exit.id, turn: Turn::Ended(End::NoEntry) });
            }
        }
    }

    /// The owner has sold: no order may sell more than is left.
    fn keep_to_what_is_held(&mut self, owner: StrategyId, mint: MintId, around: Around<'_>) {
        let held = around.held(owner, mint);
        for standing in &mut self.orders {
            if let Some(left) = standing.left()
                && standing.is_armed()
                && standing.is_sale_of(owner, mint)
            {
                standing.cut = standing.cut.saturating_add(left.saturating_sub(held));
            }
        }
    }
}

impl Standing {
    fn is_sale_of(&self, owner: StrategyId, mint: MintId) -> bool {
        self.owner == owner && self.spec.mint == mint && self.spec.side == Side::Sell
    }

    /// Its entry has brought something to sell.
    fn brought(&mut self, got: Atoms, now: Timestamp, effects: &mut Vec<Effect>) {
        self.whole = self.whole.map(|whole| whole.saturating_add(got));
        if self.state == State::Waiting && got > Atoms::ZERO {
            self.arm(now);
            effects.push(Effect::Standing { id: self.id, turn: Turn::Armed(got) });
        }
    }

    /// What its entry had brought is gone.
    fn wait_for_entry(&mut self) {
        if self.is_armed() && self.id.leg > 0 && self.whole == Some(Atoms::ZERO) {
            self.state = State::Waiting;
        }
    }

    /// Parts or rungs that did not land may be tried again.
    fn give_back(&mut self, (before, with): (u16, u16)) {
        self.step = if self.is_ladder() {
            self.step.min(before)
        } else {
            self.step.saturating_sub(with.saturating_sub(before))
        };
    }

    /// They may land after all.
    fn claim(&mut self, (before, with): (u16, u16)) {
        self.step = if self.is_ladder() {
            self.step.max(with)
        } else {
            self.step.saturating_add(with.saturating_sub(before))
        };
    }
}
