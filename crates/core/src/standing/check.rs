//! Placing and cancelling.

use super::order::{End, Standing, State, Turn};
use super::ticket::{Amount, Link, PlaceError, STANDING_MAX, Side, Spec, StandingId, Ticket};
use super::way::Way;
use super::{Around, ENDED_MAX, StandingOrders};
use crate::event::Effect;
use crate::ids::{MintId, StrategyId};
use crate::risk::Refusal;
use crate::units::{Atoms, Seq, Timestamp};

impl StandingOrders {
    /// Whether a ticket may be placed now, and on whose book it would trade.
    pub(crate) fn check(
        &self,
        ticket: &Ticket,
        around: Around<'_>,
    ) -> Result<StrategyId, PlaceError> {
        ticket.check()?;
        let owner = match ticket.owner {
            None => around.operator.ok_or(PlaceError::NoBudget)?,
            Some(owner) => owner,
        };
        around.portfolio.book(owner).ok_or(PlaceError::NoOwner)?;
        let is_own = Some(owner) == around.operator;
        if !is_own && ticket.legs.iter().any(|leg| leg.side == Side::Buy) {
            return Err(PlaceError::OnlyExits);
        }
        for (nth, leg) in ticket.legs.iter().enumerate() {
            let is_exit = ticket.link == Link::Bracket && nth > 0;
            check_leg(leg, owner, is_exit, around)?;
        }
        if self.active().saturating_add(ticket.legs.len()) > STANDING_MAX {
            return Err(PlaceError::TooMany);
        }
        Ok(owner)
    }

    /// Places a ticket.
    pub(crate) fn place(
        &mut self,
        ticket: &Ticket,
        cause: Seq,
        around: Around<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PlaceError> {
        let owner = self.check(ticket, around)?;
        self.forget_ended();
        // As many flights as may be open or not final for all that may stand: a step reserves nothing.
        self.flights.reserve(STANDING_MAX.saturating_sub(self.flights.len()));
        self.asked.reserve(STANDING_MAX);
        for (leg, spec) in (0_u8..).zip(&ticket.legs) {
            let id = StandingId { ticket: cause, leg };
            let standing = Standing::new(id, owner, ticket.link, spec, around);
            effects.push(Effect::Standing { id, turn: Turn::Placed });
            self.orders.push(standing);
        }
        Ok(())
    }

    /// Those that were over first make room for others to be.
    fn forget_ended(&mut self) {
        let ended = self.orders.iter().filter(|standing| !standing.is_active()).count();
        let mut surplus = ended.saturating_sub(ENDED_MAX);
        let flights = &self.flights;
        self.orders.retain(|standing| {
            let is_final = !flights.iter().any(|flight| flight.of.ticket == standing.id.ticket);
            let goes = surplus > 0 && !standing.is_active() && is_final;
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
    }

    /// Cancels a ticket, or one order of it. What is in flight may still land; nothing follows it, nor what is over and
    /// would stand again if a fork took its landing back.
    pub(crate) fn cancel(
        &mut self,
        ticket: Seq,
        leg: Option<u8>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        for at in 0..self.orders.len() {
            let Some(standing) = self.orders.get(at) else { continue };
            let id = standing.id;
            let is_meant = id.ticket == ticket && leg.is_none_or(|leg| id.leg == leg);
            if is_meant && (standing.is_active() || self.may_return(standing)) {
                self.end(at, End::Cancelled, now, effects);
            }
        }
    }

    /// What the mode forbade is tried at once.
    pub(crate) fn mode_changed(&mut self, now: Timestamp) {
        let refused = |standing: &Standing| {
            matches!(standing.setback, Some(super::Setback::Refused(Refusal::Mode(_))))
        };
        for standing in self.orders.iter_mut().filter(|standing| refused(standing)) {
            standing.next = standing.next.min(now);
            standing.fails = 0;
        }
    }
}

fn check_leg(
    leg: &Spec,
    owner: StrategyId,
    is_exit: bool,
    around: Around<'_>,
) -> Result<(), PlaceError> {
    let market = around.market;
    let is_known = |mint: MintId| mint != MintId::SOL && market.mint(mint).is_some();
    if !is_known(leg.mint) || !is_known(leg.dollars) {
        return Err(PlaceError::UnknownMint);
    }
    if market.is_usd(leg.mint) || !market.is_usd(leg.dollars) {
        return Err(PlaceError::NotDollars);
    }
    if !Way::find(market, leg.mint, leg.dollars).leads() {
        return Err(PlaceError::NoPools);
    }
    if leg.slippage > around.limits.slippage_max {
        return Err(PlaceError::Slippage);
    }
    if leg.expires.is_some_and(|end| end <= around.now) {
        return Err(PlaceError::Expired);
    }
    let sells = leg.side == Side::Sell && !is_exit;
    if sells && around.held(owner, leg.mint) == Atoms::ZERO {
        return Err(PlaceError::NothingHeld);
    }
    Ok(())
}

impl Standing {
    fn new(id: StandingId, owner: StrategyId, link: Link, spec: &Spec, around: Around<'_>) -> Self {
        let is_exit = link == Link::Bracket && id.leg > 0;
        let mut new = Self {
            id,
            owner,
            link,
            spec: spec.clone(),
            way: Way::find(around.market, spec.mint, spec.dollars),
            state: State::Waiting,
            placed: around.now,
            armed: around.now,
            whole: spec.whole(),
            done: Atoms::ZERO,
            got: Atoms::ZERO,
            cut: Atoms::ZERO,
            step: 0,
            since: None,
            mark: None,
            seen: None,
            due: around.now,
            next: around.now,
            fails: 0,
            setback: None,
        };
        if is_exit {
            new.whole = Some(Atoms::ZERO);
            return new;
        }
        // Where others, or rungs, count on it, what is held now is the whole.
        let is_counted = link == Link::Oco || new.is_ladder();
        if spec.amount == Amount::Position && is_counted {
            new.whole = Some(around.held(owner, spec.mint));
        }
        new.arm(around.now);
        new
    }
}
