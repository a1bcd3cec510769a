//! The engine: one event in, effects out. The only module that sees all others.

mod apply;
mod read;
mod saved;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use self::read::Worth;
use crate::drift::Watchman;
use crate::event::{
    Alert, Candle, Effect, EquityPoint, Event, MarketEvent, ModeCause, SignalEvent, Stamped,
    StopCause,
};
use crate::execution::OpenOrders;
use crate::ids::{OrderId, StrategyId};
use crate::ledger::Ledger;
use crate::market::Market;
use crate::order::Intent;
use crate::portfolio::{Allowance, PortfolioManager};
use crate::risk::{Control, Desk, Limits, LimitsError, Mode, Refusal, review};
use crate::route::Index;
use crate::standing::{Around, StandingOrders};
use crate::strategy::{Context, Strategy, StrategyKind, Watch};
use crate::units::{Bps, Seq, Timestamp, Usd};

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
    /// What the operator's own orders may use and lose; without it none are taken but sales for a strategy.
    #[serde(default)]
    pub operator: Option<Allowance>,
}

/// Parts of a step that a caller may time. The core has no clock; a probe brings its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Taking the event into the market and the books.
    Market,
    /// Risk over the whole portfolio.
    Portfolio,
    /// One strategy's look at one event, signals, sizing and quoting included.
    Strategy(StrategyId),
    /// Review of one intent of a strategy, and all that an approved one sets off.
    Review(StrategyId),
}

/// Told when a part of a step is over. The parts of a step follow each other without a gap, so the end of one is the
/// beginning of the next, and the clock is read once for each.
pub trait Probe {
    /// What has run since the last lap, or since the step began, was this part.
    fn lap(&mut self, part: Part);

    /// Who is told of the tasks within a strategy, if anybody.
    fn watch(&self) -> Option<&dyn Watch> {
        None
    }
}

impl Probe for () {
    fn lap(&mut self, _: Part) {}
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
    /// It looks at accounts.
    accounts: bool,
}

/// Several strategies, one portfolio, one set of limits; a pure state machine.
pub struct MultiStrategyEngine {
    config: EngineConfig,
    market: Market,
    /// One for all strategies, kept in step with the market.
    routes: Index,
    ledger: Ledger,
    portfolio: PortfolioManager,
    control: Control,
    orders: OpenOrders,
    watchman: Watchman,
    standing: StandingOrders,
    operator: Option<StrategyId>,
    seats: Vec<Seat>,
    /// Some strategy looks at routes.
    routed: bool,
    signals: Vec<SignalEvent>,
    refusals: Vec<(Cow<'static, str>, u64)>,
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
        // One book more may be the operator's.
        if strategies.len() != config.strategies.len() || strategies.len() >= usize::from(u8::MAX) {
            return Err(LimitsError {
                field: "strategies",
                problem: "one allowance each is needed",
            });
        }
        // The operator's own book stands behind those of the strategies.
        let allowances = config.strategies.iter().map(|e| e.allowance).chain(config.operator);
        let allowances: Vec<Allowance> = allowances.collect();
        let behind = u8::try_from(strategies.len()).ok().map(StrategyId);
        let routed = strategies.iter().any(|strategy| strategy.wants().routes);
        let operator = config.operator.and(behind);
        let seats = (0_u8..).zip(strategies).map(|(id, strategy)| {
            let accounts = strategy.wants().accounts;
            Seat { strategy, id: StrategyId(id), accounts }
        });
        Ok(Self {
            market: Market::new(config.candle_width, config.limits.market_age_max),
            routes: Index::new(),
            ledger: Ledger::new(),
            portfolio: PortfolioManager::new(&allowances),
            control: Control::new(&config.limits),
            orders: OpenOrders::default(),
            watchman: Watchman::default(),
            standing: StandingOrders::default(),
            operator,
            seats: seats.collect(),
            routed,
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

        self.candles.clear();
        self.apply(input, effects);
        probe.lap(Part::Market);

        if self.revalue || !self.candles.is_empty() || input.event.candle().is_some() {
            self.value(input.at, effects);
            probe.lap(Part::Portfolio);
        }

        self.execute_concurrent_strategies(input, effects, probe);
    }

    /// Values everything, rolls the day, and halts when a loss limit is reached.
    pub fn manage_portfolio_risk(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> RiskReport {
        let worth = self.value(now, effects);
        self.report_of(worth)
    }

    /// The same without a report. What all is worth, where every holding has a price.
    fn value(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> Option<Worth> {
        // Before the first deposit there is nothing to lose, and no base to judge a loss by.
        if self.ledger.is_empty() {
            return None;
        }
        let worth = self.worth()?;
        self.revalue = false;
        let stake = self.at_stake(worth);
        self.control.valued(stake, now);
        let limits = &self.config.limits;
        let has_fallen = self.control.has_fallen(stake, limits.drawdown_max);
        if self.control.day_profit(stake) <= limits.daily_loss_max.negated() {
            self.at_least(Mode::Halt, ModeCause::DailyLoss, effects);
        }
        if has_fallen {
            self.at_least(Mode::Halt, ModeCause::Drawdown, effects);
        }
        if now >= self.next_equity {
            let every = self.config.equity_every;
            // Mostly it comes just when it is due, and has no need of a division.
            let since = if now == self.next_equity { now } else { now.floor(every) };
            self.next_equity = since.saturating_add(every);
            let exposure = self.portfolio.exposure(&self.market);
            effects.push(Effect::Equity(EquityPoint { at: now, equity: worth.equity, exposure }));
        }
        Some(worth)
    }

    /// Lets every strategy look at the event and at each candle it closed, and reviews what they want.
    pub fn execute_concurrent_strategies<P: Probe>(
        &mut self,
        input: &Stamped,
        effects: &mut Vec<Effect>,
        probe: &mut P,
    ) -> StrategyResults {
        self.intents.clear();
        // What the operator asked for comes first: the rate of orders may not suffice for all.
        if !self.standing.is_idle() {
            let mut standing = std::mem::take(&mut self.standing);
            let mut intents = std::mem::take(&mut self.intents);
            standing.look(&input.event, self.around(input.at), &mut intents, effects);
            (self.standing, self.intents) = (standing, intents);
        }
        // A candle from a tape is the event itself; one made here is shown after it.
        self.ask(input.at, &input.event, effects, probe);
        for at in 0..self.candles.len() {
            if let Some(candle) = self.candles.get(at).copied() {
                let event = Event::Market(MarketEvent::Candle(candle));
                self.ask(input.at, &event, effects, probe);
            }
        }
        self.review_all(input, effects, probe)
    }

    fn ask<P: Probe>(
        &mut self,
        now: Timestamp,
        event: &Event,
        effects: &mut Vec<Effect>,
        probe: &mut P,
    ) {
        let of_account = event.touches().is_some() && event.candle().is_none();
        for seat in &mut self.seats {
            if of_account && !seat.accounts {
                continue;
            }
            let Some(book) = self.portfolio.book(seat.id) else { continue };
            if book.stopped() == Some(StopCause::Panicked) {
                continue;
            }
            let context = Context {
                now,
                me: seat.id,
                market: &self.market,
                routes: &self.routes,
                book,
                ledger: &self.ledger,
                orders: &self.orders,
                limits: &self.config.limits,
                mode: self.control.mode(),
                watch: probe.watch(),
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
            probe.lap(Part::Strategy(seat.id));
        }
    }

    fn review_all<P: Probe>(
        &mut self,
        input: &Stamped,
        effects: &mut Vec<Effect>,
        probe: &mut P,
    ) -> StrategyResults {
        let mut results = StrategyResults::default();
        if self.intents.is_empty() {
            return results;
        }
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
                    self.watchman.submitted(&order, &self.market);
                    self.orders.open(order.clone());
                    self.standing.approved(usize::from(nth), id, input.at, effects);
                    if order.is_unpriced() {
                        let (order, mint) = (order.id(), order.mint_in());
                        effects.push(Effect::Alert(Alert::UnpricedExit { order, mint }));
                    }
                    effects.push(Effect::Submit(Box::new(order)));
                }
                Err(refusal) => {
                    results.refused = results.refused.saturating_add(1);
                    self.refused(intent.strategy, refusal);
                    self.standing.refused(usize::from(nth), refusal, input.at, effects);
                    effects.push(Effect::Refused { strategy: intent.strategy, refusal });
                }
            }
            probe.lap(Part::Review(intent.strategy));
        }
        self.intents = intents;
        results
    }

    /// What standing orders look at.
    const fn around(&self, now: Timestamp) -> Around<'_> {
        Around {
            now,
            market: &self.market,
            portfolio: &self.portfolio,
            orders: &self.orders,
            limits: &self.config.limits,
            operator: self.operator(),
        }
    }

    fn refused(&mut self, strategy: StrategyId, refusal: Refusal) {
        self.count(strategy, |c| &mut c.refused);
        let name = refusal.name();
        match self.refusals.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.refusals.push((Cow::Borrowed(name), 1)),
        }
    }
}
