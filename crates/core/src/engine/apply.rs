//! Taking an event into the market and the books.

use super::MultiStrategyEngine;
use crate::amm::Kind;
use crate::drift::Differs;
use crate::event::{
    AccountState, Alert, Closed, Command, Deltas, Effect, Event, MarketEvent, ModeCause,
    OrderEvent, SignalEvent, Stamped,
};
use crate::execution::{Provisional, Step};
use crate::ids::{MintId, PoolId, StrategyId};
use crate::ledger::Account;
use crate::order::Outcome;
use crate::risk::Mode;
use crate::standing::Ticket;
use crate::units::{Atoms, BlockHeight, Lamports, Seq, Timestamp, Usd};

impl MultiStrategyEngine {
    pub(super) fn apply(&mut self, input: &Stamped, effects: &mut Vec<Effect>) {
        let now = input.at;
        match &input.event {
            Event::Market(event) => {
                if let MarketEvent::Drifted { kind } = event {
                    self.drift(*kind, None, effects);
                }
                self.market.apply(event, now, &mut self.candles);
                if self.routed {
                    self.routes.follow(&self.market, event);
                }
                if let Some(pool) = event.touches() {
                    let differs = self.watchman.changed(pool, &self.market);
                    self.differs(differs, effects);
                }
                if let MarketEvent::Mint(_) = event
                    && let Some(last) = self.market.mints().len().checked_sub(1)
                    && let Ok(last) = u16::try_from(last)
                {
                    self.ledger.open(MintId(last));
                    self.portfolio.open(MintId(last));
                }
            }
            Event::Timer => self.market.advance(now, &mut self.candles),
            Event::Signal(signal) => {
                self.market.advance(now, &mut self.candles);
                self.take_signal(*signal, now);
            }
            Event::Order(event) => {
                self.market.advance(now, &mut self.candles);
                self.take_order_event(event, now, effects);
            }
            Event::Command(command) => {
                self.market.advance(now, &mut self.candles);
                self.take_command(command, input.seq, now, effects);
            }
        }
    }

    fn differs(&mut self, differs: Option<Differs>, effects: &mut Vec<Effect>) {
        if let Some(Differs { kind, pool, quoted, got }) = differs {
            self.drift(kind, Some((pool, quoted, got)), effects);
        }
    }

    fn drift(
        &mut self,
        kind: Kind,
        fill: Option<(PoolId, Atoms, Atoms)>,
        effects: &mut Vec<Effect>,
    ) {
        if self.market.drift(kind) {
            if self.routed {
                self.routes.drifted(&self.market, kind);
            }
            effects.push(Effect::Alert(Alert::Drift { kind, fill }));
        }
    }

    fn take_signal(&mut self, signal: SignalEvent, now: Timestamp) {
        self.signals
            .retain(|s| s.expires > now && !(s.source == signal.source && s.mint == signal.mint));
        // A bound, so that a producer gone wild cannot grow the engine.
        if signal.expires > now && self.signals.len() < 256 {
            self.signals.push(signal);
        }
    }

    fn take_order_event(&mut self, event: &OrderEvent, now: Timestamp, effects: &mut Vec<Effect>) {
        match self.orders.apply(event, now) {
            Err(order) => effects.push(Effect::Alert(Alert::UnknownOrder { order })),
            Ok(Step::On) => {
                if let OrderEvent::Finalized { order } = event {
                    self.standing.finalized(*order, now, effects);
                }
            }
            Ok(Step::RolledBack(landed)) => self.roll_back(&landed, effects),
            Ok(Step::Closed(closed, last_valid)) => {
                if let (OrderEvent::Filled { order, rent: told, .. }, Outcome::Filled { rent, .. }) =
                    (event, &closed.outcome)
                    && *told > rent.saturating_add(closed.order.tip())
                {
                    effects.push(Effect::Alert(Alert::UnexpectedFill { order: *order }));
                }
                self.close(closed, last_valid, effects);
            }
        }
    }

    fn close(&mut self, closed: Closed, last_valid: BlockHeight, effects: &mut Vec<Effect>) {
        let (order, now) = (&closed.order, closed.at);
        let (id, strategy) = (order.id(), order.strategy());
        self.revalue = true;
        self.portfolio.ended(order, &self.market);
        if !matches!(closed.outcome, Outcome::Filled { .. }) {
            self.watchman.forget(id);
        }
        let settled = match &closed.outcome {
            Outcome::Filled { deltas, fee, slot, rent } => {
                let differs = self.watchman.filled(order, *slot, deltas, &self.market);
                self.differs(differs, effects);
                if !is_expected(order, deltas) {
                    effects.push(Effect::Alert(Alert::UnexpectedFill { order: id }));
                }
                let posted = self.ledger.post(id, deltas, *fee, *rent);
                order.opens().iter().for_each(|(mint, _)| self.market.opened(*mint));
                let filled = self.portfolio.filled(order, deltas, *fee, &self.market, now);
                let (trade, undo) = filled.unwrap_or_default();
                if let Some(trade) = trade {
                    self.control.traded(trade.profit, now, &self.config.limits);
                    effects.push(Effect::Trade(trade));
                }
                self.orders.landed(&closed, last_valid, undo);
                posted
            }
            Outcome::Reverted { fee, .. } => {
                let value = self.market.value_up(MintId::SOL, Atoms::new(fee.get()));
                let undo = self.portfolio.wasted(strategy, value.unwrap_or(Usd::ZERO));
                self.orders.landed(&closed, last_valid, undo);
                self.count(strategy, |c| &mut c.reverted);
                self.ledger.void(id, *fee)
            }
            Outcome::Expired => {
                self.count(strategy, |c| &mut c.expired);
                self.ledger.void(id, Lamports::ZERO)
            }
            Outcome::Rejected(_) => {
                self.count(strategy, |c| &mut c.rejected);
                self.ledger.void(id, Lamports::ZERO)
            }
        };
        assert!(settled.is_ok(), "Invariant: an order in flight has its cash reserved");
        let may_fork = self.orders.expects_forks() && closed.signature.is_some();
        let mut standing = std::mem::take(&mut self.standing);
        standing.closed(&closed, may_fork, self.around(now), effects);
        self.standing = standing;
        effects.push(Effect::Closed(Box::new(closed)));
        if let Some(cause) = self.portfolio.stop_if_lost(strategy) {
            effects.push(Effect::Alert(Alert::StrategyStopped { strategy, cause }));
        }
    }

    /// The block was abandoned: all that its landing booked is taken back, and the order is in flight again, for its
    /// bytes may land once more.
    fn roll_back(&mut self, landed: &Provisional, effects: &mut Vec<Effect>) {
        self.revalue = true;
        let order = &landed.order;
        let none = Deltas::new();
        let (slot, deltas, fee, rent, filled) = match &landed.outcome {
            Outcome::Filled { slot, deltas, fee, rent } => (*slot, deltas, *fee, *rent, true),
            Outcome::Reverted { slot, fee, .. } => (*slot, &none, *fee, Lamports::ZERO, false),
            Outcome::Expired | Outcome::Rejected(_) => return,
        };
        self.ledger.take_back(order.id(), order.lines(), deltas, fee, rent);
        self.portfolio.undo(order, &landed.undo, filled, &self.market);
        if rent > Lamports::ZERO {
            // Whichever of them it had made: an order that makes one in vain pays nothing for it.
            for (mint, rent) in order.opens() {
                self.market.unopened(*mint, *rent);
            }
        }
        effects.push(Effect::Alert(Alert::RolledBack { order: order.id(), slot }));
        self.standing.rolled_back(order, filled, effects);
    }

    pub(super) fn count(
        &mut self,
        strategy: StrategyId,
        which: impl Fn(&mut crate::portfolio::Counts) -> &mut u64,
    ) {
        if let Some(book) = self.portfolio.book_mut(strategy) {
            let counter = which(&mut book.counts);
            *counter = counter.saturating_add(1);
        }
    }

    fn take_command(
        &mut self,
        command: &Command,
        seq: Seq,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.revalue = true;
        match *command {
            Command::SetMode { mode, clear_kill } => {
                let killed = self.control.mode() == Mode::Kill;
                if mode != self.control.mode() && (!killed || clear_kill) {
                    self.set_mode(mode, ModeCause::Operator, effects);
                    self.standing.mode_changed(now);
                }
            }
            Command::Deposit { mint, amount } => {
                self.ledger.transfer(mint, Account::External, Account::Cash, amount);
                self.fund(mint, amount, |value| value);
            }
            Command::Withdraw { mint, amount } => {
                self.ledger.transfer(mint, Account::Cash, Account::External, amount);
                self.fund(mint, amount, Usd::negated);
            }
            Command::Rent { lamports } => {
                let amount = Atoms::new(lamports.get());
                self.ledger.transfer(MintId::SOL, Account::Cash, Account::Rent, amount);
            }
            Command::Fee { lamports } => {
                let amount = Atoms::new(lamports.get());
                self.ledger.transfer(MintId::SOL, Account::Cash, Account::Fees, amount);
            }
            Command::Reconcile { mint, chain } => self.reconcile(mint, chain, effects),
            Command::ExpectForks => self.orders.expect_forks(),
            Command::Place(ref ticket) => self.place(ticket, seq, now, effects),
            Command::Cancel { ticket, leg } => self.standing.cancel(ticket, leg, now, effects),
            Command::Opened { slot } => self.orders.opened(slot),
            Command::Explained { mint, amount, why } => {
                self.ledger.transfer(mint, Account::External, Account::Cash, amount);
                self.fund(mint, amount, |value| value);
                effects.push(Effect::Alert(Alert::Explained { mint, amount, why }));
            }
            Command::Missing { mint, ledger, chain } => {
                effects.push(Effect::Alert(Alert::LedgerMismatch { mint, ledger, chain }));
                self.at_least(Mode::Halt, ModeCause::LedgerMismatch, effects);
            }
            Command::Account { mint, state } => self.account(mint, state, effects),
        }
    }

    fn account(&mut self, mint: MintId, state: AccountState, effects: &mut Vec<Effect>) {
        effects.push(Effect::Alert(Alert::Account { mint, state }));
        if let AccountState::Closed { rent } = state {
            self.market.unopened(mint, rent);
            // Of one that was there before the journal began nothing is booked as locked.
            let locked = self.ledger.balance(MintId::SOL, Account::Rent).max(0);
            let locked = Atoms::new(u64::try_from(locked).unwrap_or(u64::MAX));
            let gone = Atoms::new(rent.get()).min(locked);
            self.ledger.transfer(MintId::SOL, Account::Rent, Account::External, gone);
        }
        if !state.is_safe() {
            self.at_least(Mode::Halt, ModeCause::UnsafeAccount, effects);
        }
    }

    fn place(&mut self, ticket: &Ticket, seq: Seq, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut standing = std::mem::take(&mut self.standing);
        if let Err(error) = standing.place(ticket, seq, self.around(now), effects) {
            effects.push(Effect::Alert(Alert::NotPlaced(error)));
        }
        self.standing = standing;
    }

    /// Money moved from or to the outside. SOL for fees is not at stake, so it moves no base.
    fn fund(&mut self, mint: MintId, amount: Atoms, sign: fn(Usd) -> Usd) {
        if mint != MintId::SOL {
            self.control.funded(self.market.value(mint, amount).map(sign));
        }
    }

    fn reconcile(&mut self, mint: MintId, chain: Atoms, effects: &mut Vec<Effect>) {
        if self.orders.any_touches(mint) {
            return;
        }
        let held = self.ledger.held(mint);
        if held == i128::from(chain.get()) {
            return;
        }
        let ledger = Atoms::new(u64::try_from(held.max(0)).unwrap_or(u64::MAX));
        effects.push(Effect::Alert(Alert::LedgerMismatch { mint, ledger, chain }));
        self.at_least(Mode::Halt, ModeCause::LedgerMismatch, effects);
    }

    fn set_mode(&mut self, mode: Mode, cause: ModeCause, effects: &mut Vec<Effect>) {
        self.control.set_mode(mode);
        effects.push(Effect::Mode { mode, cause });
    }

    /// The engine itself only ever tightens.
    pub(super) fn at_least(&mut self, mode: Mode, cause: ModeCause, effects: &mut Vec<Effect>) {
        if self.control.mode() < mode {
            self.set_mode(mode, cause, effects);
        }
    }
}

/// Whether a fill stays within what the order allowed. Other mints than its own may only gain dust.
fn is_expected(order: &crate::order::Order, deltas: &Deltas) -> bool {
    let (mint_in, mint_out) = (order.mint_in(), order.mint_out());
    deltas.iter().all(|(mint, delta)| {
        let delta = i128::from(*delta);
        let paid = i128::from(order.amount_in().get());
        let got = i128::from(order.min_out().get());
        match *mint {
            m if m == mint_in && m == mint_out => delta >= got.saturating_sub(paid),
            m if m == mint_in => delta < 0 && delta >= paid.saturating_neg(),
            m if m == mint_out => delta >= got,
            _ => delta >= 0,
        }
    })
}
