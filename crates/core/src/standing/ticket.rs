//! What an operator asks for, as data, and what of it makes no sense.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::ids::{MintId, StrategyId};
use crate::units::{Atoms, Bps, Price, Seq, Timestamp, mul_div_down};

/// Most orders on one ticket.
pub const LEGS_MAX: usize = 4;
/// Most rungs of a ladder.
pub const RUNGS_MAX: usize = 8;
/// Most orders that may stand at once.
pub const STANDING_MAX: usize = 64;
/// Most parts of an order that is carried out over time.
pub const PARTS_MAX: u16 = 10_000;
/// Least time between two of them: less is a burst, which the limit on orders in a minute is there to stop.
pub const EVERY_MIN: Timestamp = Timestamp::SECOND;

/// A standing order's name: the event that placed it and its place on the ticket.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StandingId {
    /// The event that placed the ticket.
    pub ticket: Seq,
    /// Place on the ticket, from 0.
    pub leg: u8,
}

impl std::fmt::Display for StandingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.ticket, self.leg)
    }
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Dollars for the mint.
    Buy,
    /// The mint for dollars: only what the owner holds, so that it passes where only exits may.
    Sell,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Amount {
    /// So many atoms of what goes in: of dollars to buy, of the mint to sell.
    Exactly(Atoms),
    /// All that the owner holds when it is sold. On an exit of a bracket: what its entry has brought.
    Position,
}

/// A part of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rung {
    /// What it must bring at least, in dollar atoms for an atom.
    pub price: Price,
    /// Its share of the whole.
    pub share: Bps,
}

/// Rungs, from the lowest price up.
pub type Rungs = ArrayVec<Rung, RUNGS_MAX>;

/// When it is carried out. Prices are in dollar atoms for an atom of the mint.
///
/// The price that is compared is always what the amount would bring or cost now, fees and depth included, through the
/// pools that give most: see the [module](super).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are at most a few dozen, and a step follows no pointer"
)]
pub enum Trigger {
    /// At once.
    Now,
    /// At this price or a better one, and never at a worse: the price is part of the least that must come out.
    Limit(Price),
    /// When it has become worse than this: to sell at or below it, to buy at or above it.
    Stop(Price),
    /// When it would bring so much less than the most that it would have brought since it is armed. Sells only.
    Trail(Bps),
    /// When it has been armed for so long.
    After(Timestamp),
    /// In parts, each at its price or a better one. Sells only.
    Ladder(Rungs),
}

/// At once or over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pace {
    /// At once.
    Whole,
    /// The amount in so many equal parts (time-weighted average price). A part that is missed is made up for later, never
    /// two at once.
    Split {
        /// Parts.
        parts: u16,
        /// Least time between two.
        every: Timestamp,
    },
    /// The amount so many times (cost averaging).
    Repeat {
        /// Times.
        times: u16,
        /// Least time between two.
        every: Timestamp,
    },
}

impl Pace {
    /// How many orders it takes, and the time between two of them.
    #[must_use]
    pub const fn parts(self) -> (u16, Timestamp) {
        match self {
            Self::Whole => (1, Timestamp::ZERO),
            Self::Split { parts, every } => (parts, every),
            Self::Repeat { times, every } => (times, every),
        }
    }
}

/// One order as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Which way.
    pub side: Side,
    /// What is bought or sold.
    pub mint: MintId,
    /// The dollars it is bought with or sold for.
    pub dollars: MintId,
    /// How much.
    pub amount: Amount,
    /// When.
    pub trigger: Trigger,
    /// At once or over time.
    pub pace: Pace,
    /// How far below the quote the least that must come out may lie.
    pub slippage: Bps,
    /// It waits until the independent price is at most so far from the one that would be paid.
    pub agree: Option<Bps>,
    /// Through how many slots more a price must hold before it counts.
    pub slots: u8,
    /// From when on it is no longer wanted.
    pub expires: Option<Timestamp>,
}

/// What the orders of a ticket are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Link {
    /// There is one alone.
    Alone,
    /// One cancels the others.
    Oco,
    /// The first is an entry; the others are its exits, of which one cancels the others.
    Bracket,
}

/// What is placed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose book it trades on: a strategy's, to sell what that holds, or else the operator's own.
    pub owner: Option<StrategyId>,
    /// What its orders are to each other.
    pub link: Link,
    /// Its orders.
    pub legs: ArrayVec<Spec, LEGS_MAX>,
}

/// Why a ticket is not placed.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[non_exhaustive]
pub enum PlaceError {
    /// A mint that was never announced, or native SOL, which no pool trades.
    #[error("the mint is not known here: name one of the pools that are followed")]
    UnknownMint,
    /// What it is to be paid in counts as no dollar, or what it trades does.
    #[error("a standing order trades a coin against a mint that counts as a dollar")]
    NotDollars,
    /// No pool trades the two, nor do two through SOL.
    #[error("no followed pool leads from the one mint to the other")]
    NoPools,
    /// There is no such strategy.
    #[error("there is no such strategy")]
    NoOwner,
    /// The operator has no budget of its own.
    #[error(
        "the operator has no budget: set operator.budget_usd, or name the strategy whose position is meant"
    )]
    NoBudget,
    /// Only a sale may be in a strategy's name.
    #[error("a strategy's book is only sold from: it buys for itself")]
    OnlyExits,
    /// Nothing goes in.
    #[error("an amount of zero")]
    ZeroAmount,
    /// To buy takes an amount of dollars.
    #[error("to buy, say for how many dollars: there is no position to go by")]
    NoAmount,
    /// A price of zero.
    #[error("a price of zero")]
    ZeroPrice,
    /// A slippage of zero, or above the cap.
    #[error("the slippage must be above zero and at most risk.slippage_cap_bps")]
    Slippage,
    /// No rungs, rungs that do not rise, or a share of zero.
    #[error("a ladder's rungs must rise in price and each have a share")]
    Ladder,
    /// Their shares are more than the whole.
    #[error("the shares of a ladder come to more than the whole")]
    LadderShare,
    /// A trail of nothing or of all.
    #[error("a trail must lie between 1 and 9999 basis points")]
    Trail,
    /// A span of time that is not above zero, or leaves the range.
    #[error("a span of time must be above zero")]
    Span,
    /// No parts, too many, too fast, or more than there are atoms.
    #[error("parts must be 1 to 10000, a second apart at least, and none of them empty")]
    Pace,
    /// Nobody buys in rungs or on a trail.
    #[error("a ladder and a trail are for sales")]
    ForSales,
    /// Rungs are carried out as their prices come.
    #[error("a ladder has parts of its own: leave out the pace")]
    LadderPace,
    /// The number of orders does not fit what they are to each other.
    #[error(
        "one order alone, two to four of which one cancels the others, or an entry with one to three exits"
    )]
    Legs,
    /// Over time, or not of one amount with its siblings.
    #[error(
        "orders that cancel each other are carried out at once and, with a ladder among them, sell the same position"
    )]
    Group,
    /// A bracket begins with a purchase.
    #[error("a bracket is a purchase, made at once, and sales of what it brings")]
    Bracket,
    /// The stop lies above the target.
    #[error("a stop at or above the price that profit is taken at would sell at once")]
    Crossed,
    /// The owner holds nothing of it.
    #[error("the owner holds nothing of it to sell")]
    NothingHeld,
    /// It was over before it began.
    #[error("it has expired")]
    Expired,
    /// As many stand as may.
    #[error("as many orders stand as may: cancel one")]
    TooMany,
    /// A number that does not fit.
    #[error("numbers out of range")]
    Range,
}

impl Spec {
    /// All that it may give, where that is known beforehand.
    #[must_use]
    pub fn whole(&self) -> Option<Atoms> {
        match (self.amount, self.pace) {
            (Amount::Position, _) => None,
            (Amount::Exactly(each), Pace::Repeat { times, .. }) => {
                each.get().checked_mul(u64::from(times)).map(Atoms::new)
            }
            (Amount::Exactly(amount), _) => Some(amount),
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (&self.trigger, self.pace, self.side) {
            (_, Pace::Split { .. }, _) => "twap",
            (_, Pace::Repeat { .. }, _) => "dca",
            (Trigger::Now, ..) => "market",
            (Trigger::Limit(_), ..) => "limit",
            (Trigger::Stop(_), _, Side::Sell) => "stop-loss",
            (Trigger::Stop(_), _, Side::Buy) => "stop-entry",
            (Trigger::Trail(_), ..) => "trailing-stop",
            (Trigger::After(_), ..) => "time-stop",
            (Trigger::Ladder(_), ..) => "take-profit",
        }
    }

    /// What of it makes no sense by itself, whatever the market.
    ///
    /// # Errors
    ///
    /// The first thing.
    pub fn check(&self) -> Result<(), PlaceError> {
        if self.amount == Amount::Exactly(Atoms::ZERO) {
            return Err(PlaceError::ZeroAmount);
        }
        if self.side == Side::Buy && self.amount == Amount::Position {
            return Err(PlaceError::NoAmount);
        }
        if self.slippage == Bps::ZERO || self.agree == Some(Bps::ZERO) {
            return Err(PlaceError::Slippage);
        }
        let for_sales = matches!(self.trigger, Trigger::Trail(_) | Trigger::Ladder(_));
        if for_sales && self.side == Side::Buy {
            return Err(PlaceError::ForSales);
        }
        match &self.trigger {
            Trigger::Limit(price) | Trigger::Stop(price) if price.raw() == 0 => {
                return Err(PlaceError::ZeroPrice);
            }
            Trigger::Trail(share) if share.get() == 0 || share.get() >= Bps::WHOLE => {
                return Err(PlaceError::Trail);
            }
            Trigger::After(span) if *span <= Timestamp::ZERO => return Err(PlaceError::Span),
            Trigger::Ladder(rungs) => self.check_ladder(rungs)?,
            _ => {}
        }
        self.check_pace()
    }

    fn check_ladder(&self, rungs: &Rungs) -> Result<(), PlaceError> {
        let mut before = Price::default();
        let mut shares = 0_u32;
        for rung in rungs {
            if rung.price <= before || rung.share == Bps::ZERO {
                return Err(PlaceError::Ladder);
            }
            before = rung.price;
            shares = shares.saturating_add(u32::from(rung.share.get()));
        }
        if rungs.is_empty() {
            return Err(PlaceError::Ladder);
        }
        if shares > u32::from(Bps::WHOLE) {
            return Err(PlaceError::LadderShare);
        }
        if self.pace == Pace::Whole { Ok(()) } else { Err(PlaceError::LadderPace) }
    }

    fn check_pace(&self) -> Result<(), PlaceError> {
        let (parts, every) = self.pace.parts();
        if self.pace == Pace::Whole {
            return Ok(());
        }
        if parts == 0 || parts > PARTS_MAX || every < EVERY_MIN {
            return Err(PlaceError::Pace);
        }
        match (self.amount, self.pace) {
            (Amount::Exactly(amount), Pace::Split { .. }) if amount.get() < u64::from(parts) => {
                Err(PlaceError::Pace)
            }
            (Amount::Exactly(_), _) => self.whole().map(drop).ok_or(PlaceError::Range),
            // A share of what is held would change with what others do to it.
            (Amount::Position, _) => Err(PlaceError::Pace),
        }
    }

    const fn is_ladder(&self) -> bool {
        matches!(self.trigger, Trigger::Ladder(_))
    }

    /// The least price that it takes profit at.
    fn target(&self) -> Option<Price> {
        match &self.trigger {
            Trigger::Limit(price) => Some(*price),
            Trigger::Ladder(rungs) => rungs.first().map(|rung| rung.price),
            _ => None,
        }
    }
}

impl Ticket {
    /// What of it makes no sense by itself, whatever the market.
    ///
    /// # Errors
    ///
    /// The first thing.
    pub fn check(&self) -> Result<(), PlaceError> {
        self.legs.iter().try_for_each(Spec::check)?;
        let fits = match (self.link, self.legs.len()) {
            (Link::Alone, count) => count == 1,
            (Link::Oco | Link::Bracket, count) => count >= 2,
        };
        if !fits {
            return Err(PlaceError::Legs);
        }
        let (exits, entry) = match (self.link, self.legs.split_first()) {
            (Link::Alone, _) | (_, None) => return Ok(()),
            (Link::Oco, _) => (self.legs.as_slice(), None),
            (Link::Bracket, Some((entry, exits))) => (exits, Some(entry)),
        };
        if let Some(entry) = entry {
            let of_it = |exit: &Spec| {
                exit.side == Side::Sell
                    && exit.mint == entry.mint
                    && exit.dollars == entry.dollars
                    && exit.amount == Amount::Position
            };
            if entry.side != Side::Buy || entry.pace != Pace::Whole || !exits.iter().all(of_it) {
                return Err(PlaceError::Bracket);
            }
        }
        check_group(exits)
    }
}

/// Orders of which one cancels the others.
fn check_group(legs: &[Spec]) -> Result<(), PlaceError> {
    let Some(first) = legs.first() else { return Err(PlaceError::Legs) };
    let alike = |leg: &Spec| leg.side == Side::Sell && leg.mint == first.mint;
    let has_ladder = legs.iter().any(Spec::is_ladder);
    let over_time = legs.iter().any(|leg| leg.pace != Pace::Whole);
    if over_time || has_ladder && !legs.iter().all(alike) {
        return Err(PlaceError::Group);
    }
    let sales = || legs.iter().filter(|leg| leg.side == Side::Sell && leg.mint == first.mint);
    let stop = sales().filter_map(|leg| match leg.trigger {
        Trigger::Stop(price) => Some(price),
        _ => None,
    });
    let target = sales().filter_map(Spec::target).min();
    match (stop.max(), target) {
        (Some(stop), Some(target)) if stop >= target => Err(PlaceError::Crossed),
        _ => Ok(()),
    }
}

/// What the first rungs of a ladder come to, of a whole: cut from the whole, so that roundings do not add up.
#[must_use]
pub(super) fn rungs_down(whole: Atoms, rungs: &Rungs, count: u16) -> Atoms {
    let shares = rungs.iter().take(usize::from(count)).map(|rung| u128::from(rung.share.get()));
    let sum = shares.fold(0, u128::saturating_add);
    Atoms::new(mul_div_down(whole.get(), sum, u128::from(Bps::WHOLE)).unwrap_or(whole.get()))
}
