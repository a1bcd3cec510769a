//! Orders that stand until their moment comes: limits, stops, ladders, trails, orders over time, and how they cancel each
//! other.
//!
//! They are data of the engine's: placed and cancelled by journaled commands, kept in snapshots, and carried out as wishes
//! that go through the same [`review`](crate::risk::review) as a strategy's, on a budget of the operator's own or out of
//! a strategy's position. A restart, and a replay, find them where they were.
//!
//! # Design
//! **What triggers.** The price that is compared is what the order's own amount would bring, or cost, at this event: fees
//! and depth included, through the settled pools that give most. A middle price would say that a stop has not been reached
//! when what one would really get is far below it. One pool that was moved against us triggers nothing while another still
//! pays; one that shows too good a price may trigger a sale, but a limit and a rung carry their price in the least that
//! must come out, so nothing is ever sold below it. A pool between two states gives no quote; as it may be the one that
//! pays most, no stop and no trail is judged before it has settled, which it does within a slot. A
//! price may be asked to hold for slots ([`Spec::slots`]) and the independent price to agree ([`Spec::agree`]). The
//! mark of a trail is the greatest of the least prices of whole slots, so that no price of a moment raises it, and never
//! falls. While the feed has a gap or is silent nothing triggers, time included, and what held begins to hold anew.
//!
//! **Once.** An order of a ticket that is in flight holds back all of that ticket. What it would give counts as given
//! until it ended. One that reverted in a block that is not final may still land: until it is final nothing more is tried,
//! but for a sale of all that is held, which cannot sell twice what is there.
//!
//! **Together.** The first of a group to land cancels the others; one that did not land brings them back, and so does an
//! abandoned block. A ladder cancels them only by as much as it has sold. Exits of a bracket watch when the entry has
//! landed, for the atoms that came in, and for less when the owner sells some of them otherwise.
//!
//! **Time** is that of events, which never falls. An order over time leaves at least its span between two parts: what was
//! missed while nothing ran, or while it was refused, is made up for later and never at once.

mod check;
mod ends;
mod look;
mod order;
mod ticket;
mod way;

use serde::{Deserialize, Serialize};

pub use order::{End, Setback, Standing, State, Turn};
pub use ticket::{
    Amount, EVERY_MIN, LEGS_MAX, Link, PARTS_MAX, Pace, PlaceError, RUNGS_MAX, Rung, Rungs,
    STANDING_MAX, Side, Spec, StandingId, Ticket, Trigger,
};

use crate::execution::OpenOrders;
use crate::ids::{MintId, OrderId, StrategyId};
use crate::market::Market;
use crate::portfolio::PortfolioManager;
use crate::risk::Limits;
use crate::units::{Atoms, Seq, Timestamp};

/// Most that are over and still told of.
const ENDED_MAX: usize = 64;

/// What an order of a standing order's came to, as long as that may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fate {
    /// It may land.
    Open,
    /// It has landed: what was given, what came.
    Landed(Atoms, Atoms),
    /// It landed and failed, in a block that may be abandoned.
    Failed,
}

/// An order that a standing order has caused, until its end is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Flight {
    order: OrderId,
    of: StandingId,
    amount: Atoms,
    /// Parts or rungs before it, and with it.
    steps: (u16, u16),
    fate: Fate,
}

/// A wish that waits for review.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Its place among the wishes.
    nth: usize,
    of: StandingId,
    amount: Atoms,
    steps: (u16, u16),
}

/// What is looked at besides the standing orders themselves.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) now: Timestamp,
    pub(crate) market: &'a Market,
    pub(crate) portfolio: &'a PortfolioManager,
    pub(crate) orders: &'a OpenOrders,
    pub(crate) limits: &'a Limits,
    /// The operator's own book, if it has one.
    pub(crate) operator: Option<StrategyId>,
}

impl Around<'_> {
    /// What an owner holds of a mint.
    fn held(&self, owner: StrategyId, mint: MintId) -> Atoms {
        let book = self.portfolio.book(owner);
        book.and_then(|book| book.position(mint)).map_or(Atoms::ZERO, |p| p.amount)
    }

    /// What of it orders in flight are about to sell.
    fn on_its_way(&self, owner: StrategyId, mint: MintId) -> Atoms {
        let open = self.orders.all().iter().map(|open| &open.order);
        open.filter(|order| order.strategy() == owner && order.mint_in() == mint)
            .fold(Atoms::ZERO, |sum, order| sum.saturating_add(order.amount_in()))
    }

    /// Whether what an owner holds of a mint may still change by what is not final.
    fn may_change(&self, owner: StrategyId, mint: MintId) -> bool {
        let landed = self.orders.provisional().iter().map(|landed| &landed.order);
        self.orders.touches(owner, mint)
            || landed
                .filter(|order| order.strategy() == owner)
                .any(|order| order.mint_in() == mint || order.mint_out() == mint)
    }
}

/// All standing orders, and those that were over last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StandingOrders {
    orders: Vec<Standing>,
    flights: Vec<Flight>,
    /// No state: empty between two events.
    #[serde(skip)]
    asked: Vec<Asked>,
}

impl StandingOrders {
    /// None is kept, and nothing is left of the last event: there is nothing to look at.
    pub(crate) fn is_idle(&self) -> bool {
        self.orders.is_empty() && self.asked.is_empty()
    }

    /// All, in the order they were placed; those that are over are kept for a while.
    #[must_use]
    pub fn all(&self) -> &[Standing] {
        &self.orders
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: StandingId) -> Option<&Standing> {
        self.orders.iter().find(|standing| standing.id == id)
    }

    /// How many are not over.
    #[must_use]
    pub fn active(&self) -> usize {
        self.orders.iter().filter(|standing| standing.is_active()).count()
    }

    /// The orders of a standing order that may still land.
    pub fn in_flight(&self, id: StandingId) -> impl Iterator<Item = OrderId> {
        let open = move |flight: &&Flight| flight.of == id && flight.fate == Fate::Open;
        self.flights.iter().filter(open).map(|flight| flight.order)
    }

    /// A bug that the simulator plants: the marks of trails are lost.
    pub(crate) fn forget_marks(&mut self) {
        for standing in &mut self.orders {
            (standing.mark, standing.seen) = (None, None);
        }
    }

    /// Another: what was cancelled by a sibling stands again.
    pub(crate) fn forget_siblings(&mut self) {
        for standing in &mut self.orders {
            if let State::Ended(End::Sibling(_), _) = standing.state {
                standing.state = State::Armed;
            }
        }
    }

    /// Whether a cancellation would change anything.
    #[must_use]
    pub fn may_cancel(&self, ticket: Seq, leg: Option<u8>) -> bool {
        let meant = |s: &Standing| s.id.ticket == ticket && leg.is_none_or(|leg| s.id.leg == leg);
        let may_fire = |s: &Standing| s.is_active() || self.may_return(s);
        self.orders.iter().any(|standing| meant(standing) && may_fire(standing))
    }

    /// Whether it is over through a landing that a fork may yet take back, and stands again then.
    fn may_return(&self, standing: &Standing) -> bool {
        let landed = |f: &Flight| matches!(f.fate, Fate::Landed(..));
        let mut landed = self.flights.iter().filter(|flight| landed(flight));
        match standing.state() {
            State::Ended(End::Done, _) => landed.any(|flight| flight.of == standing.id),
            State::Ended(End::Sibling(by), _) => landed.any(|flight| flight.order == by),
            _ => false,
        }
    }
}
