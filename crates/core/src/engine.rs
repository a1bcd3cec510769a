//! The engine: one event in, effects out. The only module that sees all others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::{
    Alert, Candle, Closed, Command, Deltas, Effect, EquityPoint, Event, MarketEvent, ModeCause,
    OrderEvent, SignalEvent, Stamped, StopCause,
};
use crate::execution::OpenOrders;
use crate::ids::{MintId, OrderId, StrategyId};
use crate::ledger::{Account, Ledger};
use crate::market::Market;
use crate::order::{Intent, Outcome};
use crate::portfolio::{Allowance, PortfolioManager};
use crate::risk::{Control, Desk, Limits, LimitsError, Mode, Refusal, review};
use crate::strategy::{Context, Strategy, StrategyKind};
use crate::units::{Atoms, Bps, Seq, Timestamp, Usd};

/// A strategy and what it may use and lose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Which, with its parameters.
    pub kind: StrategyKind,
    /// What it may use and lose.
    pub allowance: Allowance,
}

/// All that the engine's answers depend on besides the events: part of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineConfig {
    /// The desk's bounds.
    pub limits: Limits,
    /// Strategies in order of registration.
    pub strategies: Vec<Enrolled>,
    /// Width of candles made from pool prices; zero when a tape brings candles.
    pub candle_width: Timestamp,
    /// How often an equity point is emitted at most.
    pub equity_every: Timestamp,
}

/// Parts of a step that a caller may time. The core has no clock; a probe brings its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Taking the event into the market and the books.
    Market,
    /// Risk over the whole portfolio.
    Portfolio,
    /// All strategies together, quoting and sizing included.
    Strategies,
    /// Review of all intents.
    Review,
}

/// Told when a part of a step begins and ends.
pub trait Probe {
    /// The part begins.
    fn begin(&mut self, part: Part);
    /// The part has ended.
    fn end(&mut self, part: Part);
}

impl Probe for () {
    fn begin(&mut self, _: Part) {}
    fn end(&mut self, _: Part) {}
}

/// What all strategies wanted of one event, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StrategyResults {
    /// Wishes.
    pub intents: u32,
    /// Of them approved.
    pub approved: u32,
    /// Of them refused.
    pub refused: u32,
}

/// The state of the portfolio's risk after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskReport {
    /// What may be done.
    pub mode: Mode,
    /// What all is worth, where every holding has a price.
    pub equity: Option<Usd>,
    /// Profit since midnight UTC.
    pub day_profit: Usd,
    /// Fall from peak equity.
    pub drawdown: Bps,
}

struct Seat {
    strategy: Box<dyn Strategy>,
    id: StrategyId,
}

/// Several strategies, one portfolio, one set of limits; a pure state machine.
pub struct MultiStrategyEngine {
    config: EngineConfig,
    market: Market,
    ledger: Ledger,
    portfolio: PortfolioManager,
    control: Control,
    orders: OpenOrders,
    seats: Vec<Seat>,
    signals: Vec<SignalEvent>,
    refusals: Vec<(&'static str, u64)>,
    intents: Vec<Intent>,
    candles: Vec<Candle>,
    last: Option<(Seq, Timestamp)>,
    next_equity: Timestamp,
    revalue: bool,
}

impl MultiStrategyEngine {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    ///
    /// Limits that make no sense.
    pub fn new(config: EngineConfig) -> Result<Self, LimitsError> {
        let strategies = config.strategies.iter().map(|e| e.kind.build()).collect();
        Self::with_strategies(config, strategies)
    }

    /// As [`Self::new`], with strategies of the caller's own: one per allowance in `config.strategies`.
    ///
    /// # Errors
    ///
    /// Limits that make no sense, or a number of strategies that does not match.
    pub fn with_strategies(
        config: EngineConfig,
        strategies: Vec<Box<dyn Strategy>>,
    ) -> Result<Self, LimitsError> {
        config.limits.check()?;
        if strategies.len() != config.strategies.len() || strategies.len() > usize::from(u8::MAX) {
            return Err(LimitsError {
                field: "strategies",
                problem: "one allowance each is needed",
            });
        }
        let allowances: Vec<Allowance> = config.strategies.iter().map(|e| e.allowance).collect();
        let seats =
            (0_u8..).zip(strategies).map(|(id, strategy)| Seat { strategy, id: StrategyId(id) });
        Ok(Self {
            market: Market::new(config.candle_width, config.limits.market_age_max),
            ledger: Ledger::new(),
            portfolio: PortfolioManager::new(&allowances),
            control: Control::new(&config.limits),
            orders: OpenOrders::default(),
            seats: seats.collect(),
            signals: Vec::with_capacity(16),
            refusals: Vec::with_capacity(32),
            intents: Vec::with_capacity(32),
            candles: Vec::with_capacity(32),
            last: None,
            next_equity: Timestamp::new(i64::MIN),
            revalue: true,
            config,
        })
    }

    /// Takes one event and adds what is to be done.
    pub fn step(&mut self, input: &Stamped, effects: &mut Vec<Effect>) {
        self.step_with(input, effects, &mut ());
    }

    /// As [`Self::step`], telling `probe` where the time goes.
    pub fn step_with<P: Probe>(
        &mut self,
        input: &Stamped,
        effects: &mut Vec<Effect>,
        probe: &mut P,
    ) {
        if let Some((seq, at)) = self.last
            && (input.seq <= seq || input.at < at)
        {
            effects.push(Effect::Alert(Alert::OutOfOrder { seq: input.seq }));
            return;
        }
        self.last = Some((input.seq, input.at));

        probe.begin(Part::Market);
        self.candles.clear();
        self.apply(input, effects);
        probe.end(Part::Market);

        probe.begin(Part::Portfolio);
        if self.revalue || !self.candles.is_empty() {
            self.manage_portfolio_risk(input.at, effects);
        }
        probe.end(Part::Portfolio);

        self.execute_concurrent_strategies(input, effects, probe);
    }

    fn apply(&mut self, input: &Stamped, effects: &mut Vec<Effect>) {
        let now = input.at;
        match &input.event {
            Event::Market(event) => {
                self.market.apply(event, now, &mut self.candles);
                if let MarketEvent::Mint(_) = event
                    && let Some(last) = self.market.mints().len().checked_sub(1)
                    && let Ok(last) = u16::try_from(last)
                {
                    self.ledger.open(MintId(last));
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
                self.take_command(command, effects);
            }
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
            Ok(None) => {}
            Ok(Some(closed)) => self.close(closed, effects),
        }
    }

    fn close(&mut self, closed: Closed, effects: &mut Vec<Effect>) {
        let (order, now) = (&closed.order, closed.at);
        let (id, strategy) = (order.id(), order.strategy());
        self.revalue = true;
        self.portfolio.ended(order, &self.market);
        let settled = match &closed.outcome {
            Outcome::Filled { deltas, fee, .. } => {
                if !is_expected(order, deltas) {
                    effects.push(Effect::Alert(Alert::UnexpectedFill { order: id }));
                }
                let posted = self.ledger.post(id, deltas, *fee);
                let trade = self.portfolio.filled(order, deltas, *fee, &self.market, now);
                if let Some(trade) = trade {
                    self.control.traded(trade.profit, now, &self.config.limits);
                    effects.push(Effect::Trade(trade));
                }
                posted
            }
            Outcome::Reverted { fee, .. } => {
                let value = self.market.value_up(MintId::SOL, Atoms::new(fee.get()));
                self.portfolio.wasted(strategy, value.unwrap_or(Usd::ZERO));
                self.count(strategy, |c| &mut c.reverted);
                self.ledger.void(id, *fee)
            }
            Outcome::Expired => {
                self.count(strategy, |c| &mut c.expired);
                self.ledger.void(id, crate::units::Lamports::ZERO)
            }
            Outcome::Rejected(_) => {
                self.count(strategy, |c| &mut c.rejected);
                self.ledger.void(id, crate::units::Lamports::ZERO)
            }
        };
        assert!(settled.is_ok(), "Invariant: an order in flight has its cash reserved");
        effects.push(Effect::Closed(Box::new(closed)));
        if let Some(cause) = self.portfolio.stop_if_lost(strategy) {
            effects.push(Effect::Alert(Alert::StrategyStopped { strategy, cause }));
        }
    }

    fn count(
        &mut self,
        strategy: StrategyId,
        which: impl Fn(&mut crate::portfolio::Counts) -> &mut u64,
    ) {
        if let Some(book) = self.portfolio.book_mut(strategy) {
            let counter = which(&mut book.counts);
            *counter = counter.saturating_add(1);
        }
    }

    fn take_command(&mut self, command: &Command, effects: &mut Vec<Effect>) {
        self.revalue = true;
        match *command {
            Command::SetMode { mode, clear_kill } => {
                let killed = self.control.mode() == Mode::Kill;
                if mode != self.control.mode() && (!killed || clear_kill) {
                    self.set_mode(mode, ModeCause::Operator, effects);
                }
            }
            Command::Deposit { mint, amount } => {
                self.ledger.transfer(mint, Account::External, Account::Cash, amount);
                self.control.funded(self.market.value(mint, amount).unwrap_or(Usd::ZERO));
            }
            Command::Withdraw { mint, amount } => {
                self.ledger.transfer(mint, Account::Cash, Account::External, amount);
                let value = self.market.value(mint, amount).unwrap_or(Usd::ZERO);
                self.control.funded(value.negated());
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
    fn at_least(&mut self, mode: Mode, cause: ModeCause, effects: &mut Vec<Effect>) {
        if self.control.mode() < mode {
            self.set_mode(mode, cause, effects);
        }
    }

    /// Values everything, rolls the day, and halts when a loss limit is reached.
    pub fn manage_portfolio_risk(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> RiskReport {
        let equity = self.equity();
        if let Some(equity) = equity {
            self.revalue = false;
            self.control.valued(equity, now);
            let limits = &self.config.limits;
            if self.control.day_profit(equity) <= limits.daily_loss_max.negated() {
                self.at_least(Mode::Halt, ModeCause::DailyLoss, effects);
            }
            if self.control.drawdown(equity) >= self.config.limits.drawdown_max {
                self.at_least(Mode::Halt, ModeCause::Drawdown, effects);
            }
            if now >= self.next_equity {
                self.next_equity =
                    now.floor(self.config.equity_every).saturating_add(self.config.equity_every);
                let exposure = self.portfolio.exposure(&self.market);
                effects.push(Effect::Equity(EquityPoint { at: now, equity, exposure }));
            }
        }
        self.risk_report()
    }

    /// Lets every strategy look at the event and at each candle it closed, and reviews what they want.
    pub fn execute_concurrent_strategies<P: Probe>(
        &mut self,
        input: &Stamped,
        effects: &mut Vec<Effect>,
        probe: &mut P,
    ) -> StrategyResults {
        probe.begin(Part::Strategies);
        self.intents.clear();
        // A candle from a tape is the event itself; one made here is shown after it.
        let from_tape = matches!(input.event, Event::Market(MarketEvent::Candle(_)));
        self.ask(input.at, &input.event, effects);
        if !from_tape {
            for at in 0..self.candles.len() {
                if let Some(candle) = self.candles.get(at).copied() {
                    self.ask(input.at, &Event::Market(MarketEvent::Candle(candle)), effects);
                }
            }
        }
        probe.end(Part::Strategies);

        probe.begin(Part::Review);
        let results = self.review_all(input, effects);
        probe.end(Part::Review);
        results
    }

    fn ask(&mut self, now: Timestamp, event: &Event, effects: &mut Vec<Effect>) {
        for seat in &mut self.seats {
            let Some(book) = self.portfolio.book(seat.id) else { continue };
            if book.stopped() == Some(StopCause::Panicked) {
                continue;
            }
            let context = Context {
                now,
                me: seat.id,
                market: &self.market,
                book,
                ledger: &self.ledger,
                orders: &self.orders,
                limits: &self.config.limits,
                mode: self.control.mode(),
            };
            let wanted = self.intents.len();
            let intents = &mut self.intents;
            let strategy = &mut seat.strategy;
            let asked =
                catch_unwind(AssertUnwindSafe(|| strategy.on_event(context, event, intents)));
            if asked.is_err() {
                // What it wanted before it fell is not to be trusted either.
                self.intents.truncate(wanted);
                self.portfolio.stop(seat.id, StopCause::Panicked);
                effects.push(Effect::Alert(Alert::StrategyStopped {
                    strategy: seat.id,
                    cause: StopCause::Panicked,
                }));
            }
        }
    }

    fn review_all(&mut self, input: &Stamped, effects: &mut Vec<Effect>) -> StrategyResults {
        let mut results = StrategyResults::default();
        let intents = std::mem::take(&mut self.intents);
        for (nth, intent) in (0_u16..).zip(&intents) {
            results.intents = results.intents.saturating_add(1);
            let id = OrderId { cause: input.seq, nth };
            let desk = Desk {
                now: input.at,
                market: &self.market,
                portfolio: &self.portfolio,
                orders: &self.orders,
                control: &self.control,
            };
            match review(intent, id, desk, &self.config.limits, &mut self.ledger) {
                Ok(order) => {
                    results.approved = results.approved.saturating_add(1);
                    self.control.approved(intent, input.at);
                    self.portfolio.opened(&order, &self.market);
                    self.orders.open(order.clone());
                    effects.push(Effect::Submit(Box::new(order)));
                }
                Err(refusal) => {
                    results.refused = results.refused.saturating_add(1);
                    self.refused(intent.strategy, refusal);
                    effects.push(Effect::Refused { strategy: intent.strategy, refusal });
                }
            }
        }
        self.intents = intents;
        results
    }

    fn refused(&mut self, strategy: StrategyId, refusal: Refusal) {
        self.count(strategy, |c| &mut c.refused);
        let name = refusal.name();
        match self.refusals.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.refusals.push((name, 1)),
        }
    }

    /// What all is worth at the pools' prices; `None` while something held has no price.
    #[must_use]
    pub fn equity(&self) -> Option<Usd> {
        let mut sum = Usd::ZERO;
        for index in 0..self.ledger.mints() {
            let mint = MintId(u16::try_from(index).ok()?);
            let held = self.ledger.held(mint);
            if held == 0 {
                continue;
            }
            let amount = Atoms::new(u64::try_from(held.unsigned_abs()).ok()?);
            let value = self.market.value(mint, amount)?;
            sum = if held < 0 { sum.saturating_sub(value) } else { sum.saturating_add(value) };
        }
        Some(sum)
    }

    /// Mode, equity and falls as of the last event.
    #[must_use]
    pub fn risk_report(&self) -> RiskReport {
        let equity = self.equity();
        RiskReport {
            mode: self.control.mode(),
            equity,
            day_profit: equity.map_or(Usd::ZERO, |e| self.control.day_profit(e)),
            drawdown: equity.map_or(Bps::ZERO, |e| self.control.drawdown(e)),
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

    /// What may be done.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.control.mode()
    }

    /// Signals that have not expired by the last event that brought one.
    #[must_use]
    pub fn signals(&self) -> &[SignalEvent] {
        &self.signals
    }

    /// Refusals so far, by name, in order of first appearance.
    #[must_use]
    pub fn refusals(&self) -> &[(&'static str, u64)] {
        &self.refusals
    }

    /// A strategy's name.
    #[must_use]
    pub fn strategy_name(&self, id: StrategyId) -> &'static str {
        self.seats.get(id.index()).map_or("?", |s| s.strategy.name())
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
        digest.add(&self.ledger);
        digest.add(&self.portfolio);
        digest.add(&self.control);
        digest.add(&self.orders);
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
