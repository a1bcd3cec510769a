//! Looking at the engine: everything here is as of the last event.

use std::borrow::Cow;

use super::{EngineConfig, MultiStrategyEngine, RiskReport};
use crate::digest::Digest;
use crate::event::SignalEvent;
use crate::execution::{Findings, OpenOrders, Seen, compare};
use crate::ids::{MintId, StrategyId};
use crate::ledger::Ledger;
use crate::market::Market;
use crate::portfolio::PortfolioManager;
use crate::risk::Mode;
use crate::route::Index;
use crate::standing::{PlaceError, StandingOrders, Ticket};
use crate::units::{Atoms, Bps, Lamports, Seq, Timestamp, Usd};

/// What all is worth at the pools' prices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Worth {
    /// All of it.
    pub(super) equity: Usd,
    /// The SOL among it.
    pub(super) float: Usd,
}

impl MultiStrategyEngine {
    /// What all is worth at the pools' prices; `None` while something held has no price.
    #[must_use]
    pub fn equity(&self) -> Option<Usd> {
        self.worth().map(|worth| worth.equity)
    }

    pub(super) fn worth(&self) -> Option<Worth> {
        let mut worth = Worth::default();
        for (index, held) in self.ledger.holdings().enumerate() {
            if held == 0 {
                continue;
            }
            let mint = MintId::at(index)?;
            let Ok(amount) = u64::try_from(held) else {
                worth.equity = worth.equity.saturating_sub(self.owed(mint, held)?);
                continue;
            };
            let value = self.market.value(mint, Atoms::new(amount))?;
            worth.equity = worth.equity.saturating_add(value);
            if mint == MintId::SOL {
                worth.float = value;
            }
        }
        Some(worth)
    }

    /// What it would take to make up for a holding below zero; `None` beyond what can be valued.
    #[cold]
    fn owed(&self, mint: MintId, held: i128) -> Option<Usd> {
        let amount = u64::try_from(held.checked_neg()?).ok()?;
        self.market.value(mint, Atoms::new(amount))
    }

    /// Mode, equity and falls as of the last event.
    #[must_use]
    pub fn risk_report(&self) -> RiskReport {
        self.report_of(self.worth())
    }

    /// Equity without the SOL that is held to pay fees, whose own price is nobody's skill, and less those fees.
    pub(super) fn at_stake(&self, worth: Worth) -> Usd {
        let books = self.portfolio.books().iter();
        let fees = books.fold(Usd::ZERO, |sum, book| sum.saturating_add(book.fees()));
        worth.equity.saturating_sub(worth.float).saturating_sub(fees)
    }

    /// What trading can win or lose at the pools' prices: equity without the SOL held for fees, less the fees of all orders
    /// at what they were worth when paid. `None` while something held has no price.
    #[must_use]
    pub fn stake(&self) -> Option<Usd> {
        self.worth().map(|worth| self.at_stake(worth))
    }

    /// [`Self::stake`] when all was valued last.
    #[must_use]
    pub const fn last_stake(&self) -> Option<Usd> {
        self.control.last()
    }

    pub(super) fn report_of(&self, worth: Option<Worth>) -> RiskReport {
        let stake = worth.map(|worth| self.at_stake(worth));
        RiskReport {
            mode: self.control.mode(),
            equity: worth.map(|worth| worth.equity),
            day_profit: stake.map_or(Usd::ZERO, |stake| self.control.day_profit(stake)),
            drawdown: stake.map_or(Bps::ZERO, |stake| self.control.drawdown(stake)),
        }
    }

    /// The configuration it was made with.
    #[must_use]
    pub const fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The market as of the last event.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// What the pools bring at the margin, and which cycles they are part of, as of the last event; of no pools where no
    /// strategy [wants them](crate::strategy::Wants::routes).
    #[must_use]
    pub const fn routes(&self) -> &Index {
        &self.routes
    }

    /// The books as of the last event.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Positions and budgets as of the last event.
    #[must_use]
    pub const fn portfolio(&self) -> &PortfolioManager {
        &self.portfolio
    }

    /// Orders in flight as of the last event.
    #[must_use]
    pub const fn orders(&self) -> &OpenOrders {
        &self.orders
    }

    /// What is to be done about what the chain holds for us: see [`crate::execution::compare`].
    #[must_use]
    pub fn compare(&self, seen: Seen<'_>) -> Findings {
        let is_open =
            |mint| self.market.mint(mint).is_some_and(|known| known.rent == Lamports::ZERO);
        compare(&self.ledger, &self.orders, is_open, seen)
    }

    /// What may be done.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.control.mode()
    }

    /// The most that was ever at stake: equity without the SOL held for fees, deposits taken out.
    #[must_use]
    pub const fn peak_equity(&self) -> Usd {
        self.control.peak()
    }

    /// Signals that have not expired by the last event that brought one.
    #[must_use]
    pub fn signals(&self) -> &[SignalEvent] {
        &self.signals
    }

    /// Refusals so far, by name, in order of first appearance.
    #[must_use]
    pub fn refusals(&self) -> &[(Cow<'static, str>, u64)] {
        &self.refusals
    }

    /// The name of a strategy, or of the operator's own book.
    #[must_use]
    pub fn strategy_name(&self, id: StrategyId) -> &'static str {
        match self.seats.get(id.index()) {
            Some(seat) => seat.strategy.name(),
            None if self.operator() == Some(id) => "operator",
            None => "?",
        }
    }

    /// The operator's own book, if it has one: the one behind those of the strategies.
    #[must_use]
    pub const fn operator(&self) -> Option<StrategyId> {
        self.operator
    }

    /// Orders that stand until their moment comes, as of the last event.
    #[must_use]
    pub const fn standing(&self) -> &StandingOrders {
        &self.standing
    }

    /// For bugs that the simulator plants.
    pub(crate) const fn standing_mut(&mut self) -> &mut StandingOrders {
        &mut self.standing
    }

    /// Whether a ticket would be placed by a command at that time.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn may_place(&self, ticket: &Ticket, now: Timestamp) -> Result<(), PlaceError> {
        self.standing.check(ticket, self.around(now)).map(drop)
    }

    /// Number and time of the last event taken.
    #[must_use]
    pub const fn last(&self) -> Option<(Seq, Timestamp)> {
        self.last
    }

    /// A hash of all state: equal for two engines that will answer alike.
    #[must_use]
    pub fn state_digest(&self) -> [u8; 32] {
        let mut digest = Digest::default();
        digest.add(&self.market);
        digest.add(&self.routes);
        digest.add(&self.ledger);
        digest.add(&self.portfolio);
        digest.add(&self.control);
        digest.add(&self.orders);
        // An engine in which none ever stood is what it was before there were any.
        if !self.standing.all().is_empty() {
            digest.add(&self.standing);
        }
        digest.add(&self.signals);
        digest.add(&self.refusals);
        digest.add(&self.last);
        digest.add(&self.next_equity);
        for seat in &self.seats {
            seat.strategy.digest(&mut digest);
        }
        digest.value()
    }
}
