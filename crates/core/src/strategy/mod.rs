//! Ways to trade. A new one is a file here and a line in [`StrategyKind`].

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::Event;
use crate::execution::OpenOrders;
use crate::ids::{MintId, PairId, StrategyId};
use crate::ledger::Ledger;
use crate::market::Market;
use crate::order::{Hop, Intent, Reason, Route};
use crate::portfolio::{Book, Position};
use crate::risk::{Limits, Mode};
use crate::route::Index;
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::units::{Atoms, Bps, Timestamp, Usd};

pub mod arbitrage;
mod common;
pub mod mean_reversion;
pub mod momentum;
pub mod new_pool;
pub mod trend;

pub use common::ParamsError;

/// One way to trade. Sees everything, changes nothing but its own memory.
pub trait Strategy: Send {
    /// Stable name: it appears in metrics, tables and the journal.
    fn name(&self) -> &'static str;

    /// Looks at one event and adds what it wants. A candle may come alone or together with its pool, so ask for it by
    /// [`Event::candle`], and for a pool by [`Event::touches`].
    fn on_event(&mut self, context: Context<'_>, event: &Event, intents: &mut Vec<Intent>);

    /// What it looks at: it is spared the rest. Always the same answer.
    fn wants(&self) -> Wants {
        Wants::ALL
    }

    /// Adds all memory that later answers depend on, so that two runs can be compared.
    fn digest(&self, digest: &mut Digest);

    /// Saves that memory. One that has some and saves none is found out when it is taken back, by its digest: the whole
    /// journal is replayed then.
    fn save(&self, _: &mut Writer) {}

    /// Takes back what [`Self::save`] wrote.
    ///
    /// # Errors
    ///
    /// It is not that.
    fn load(&mut self, _: &mut Reader<'_>) -> Result<(), Unreadable> {
        Ok(())
    }
}

/// What a strategy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// [`Context::routes`]: an engine in which nobody wants them keeps none.
    pub routes: bool,
    /// What [touches](crate::event::MarketEvent::touches) a pool, by far the most frequent event.
    pub accounts: bool,
}

impl Wants {
    /// Everything.
    pub const ALL: Self = Self { routes: true, accounts: true };
    /// Neither: of a strategy that trades on candles.
    pub const CANDLES: Self = Self { routes: false, accounts: false };
}

/// What a strategy does within its look at an event, and a caller may time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Indicators of a closed candle: moving averages, and what a strategy keeps beside them.
    Averages,
    /// How much to trade.
    Sizing,
    /// What pools give for it.
    Quote,
}

impl Task {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Told of a strategy's tasks, with a clock of its own. One task may run within another, never within one of its kind.
pub trait Watch {
    /// The task begins.
    fn begin(&self, task: Task);
    /// The task of this strategy has ended.
    fn end(&self, task: Task, strategy: StrategyId);
}

/// What a strategy may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Time of the event.
    pub now: Timestamp,
    /// Who is asked.
    pub me: StrategyId,
    /// The market.
    pub market: &'a Market,
    /// What its pools bring at the margin, and which cycles they are part of; see [`Wants::routes`].
    pub routes: &'a Index,
    /// Its own positions and budget.
    pub book: &'a Book,
    /// All cash: what is free of a mint.
    pub ledger: &'a Ledger,
    /// All orders in flight.
    pub orders: &'a OpenOrders,
    /// The desk's bounds.
    pub limits: &'a Limits,
    /// What may be done.
    pub mode: Mode,
    /// Who is told of its tasks, if anybody: answers depend on nothing of it.
    pub watch: Option<&'a dyn Watch>,
}

impl Context<'_> {
    /// Does a task, and has whoever watches told of it. Where nobody does, this costs a branch.
    pub fn timed<T>(&self, task: Task, run: impl FnOnce() -> T) -> T {
        let Some(watch) = self.watch else { return run() };
        watch.begin(task);
        let done = run();
        watch.end(task, self.me);
        done
    }

    /// What it holds of a mint.
    #[must_use]
    pub fn position(&self, mint: MintId) -> Option<&Position> {
        self.book.position(mint)
    }

    /// Whether an order of its own that gives or gets `mint` is in flight.
    #[must_use]
    pub fn is_pending(&self, mint: MintId) -> bool {
        self.orders.touches(self.me, mint)
    }

    /// The greatest value of an entry that budget, cap and free cash of `quote` allow, at most `wanted`.
    #[must_use]
    pub fn size(&self, quote: MintId, wanted: Usd) -> Usd {
        self.timed(Task::Sizing, || {
            let cash = self.market.value(quote, self.ledger.available(quote)).unwrap_or(Usd::ZERO);
            wanted.min(self.book.budget_left()).min(self.limits.order_value_max).min(cash)
        })
    }

    /// Buys the base of a pair for `value`, through the pool that gives most; `None` when no pool quotes or the
    /// value is too small to buy an atom.
    #[must_use]
    pub fn buy(&self, pair: PairId, value: Usd, slippage: Bps, reason: Reason) -> Option<Intent> {
        let quote = self.market.pair(pair)?.quote;
        let amount = self.market.atoms(quote, value)?.min(self.ledger.available(quote));
        self.swap(pair, quote, amount, slippage, reason)
    }

    /// Sells all it holds of the base of a pair, through the pool that gives most; `None` when it holds nothing
    /// or no pool quotes.
    #[must_use]
    pub fn sell_all(&self, pair: PairId, slippage: Bps, reason: Reason) -> Option<Intent> {
        let base = self.market.pair(pair)?.base;
        let amount = self.position(base)?.amount;
        self.swap(pair, base, amount, slippage, reason)
    }

    fn swap(
        &self,
        pair: PairId,
        mint_in: MintId,
        amount_in: Atoms,
        slippage: Bps,
        reason: Reason,
    ) -> Option<Intent> {
        if amount_in == Atoms::ZERO {
            return None;
        }
        let best = || self.market.best(pair, mint_in, amount_in);
        let (hop, quote) = self.timed(Task::Quote, best)?;
        Some(Intent {
            strategy: self.me,
            route: [hop].into_iter().collect(),
            amount_in,
            min_out: quote.amount_out.less(slippage),
            expires: self.now.saturating_add(self.limits.order_ttl),
            reason,
        })
    }

    /// A wish over any route, for instance a cycle.
    #[must_use]
    pub fn intent(&self, route: Route, amount_in: Atoms, min_out: Atoms, reason: Reason) -> Intent {
        let expires = self.now.saturating_add(self.limits.order_ttl);
        Intent { strategy: self.me, route, amount_in, min_out, expires, reason }
    }

    /// A hop through a pool, if it trades these mints.
    #[must_use]
    pub fn hop(&self, pool: crate::ids::PoolId, mint_in: MintId) -> Option<Hop> {
        let [first, second] = self.market.pool(pool)?.spec.mints;
        let mint_out = match mint_in {
            m if m == first => second,
            m if m == second => first,
            _ => return None,
        };
        Some(Hop { pool, mint_in, mint_out })
    }
}

/// Every strategy there is, with its parameters: what configuration and journal header hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// Trend following.
    Trend(trend::Params),
    /// Time-series momentum.
    Momentum(momentum::Params),
    /// Mean reversion.
    MeanReversion(mean_reversion::Params),
    /// Arbitrage over cycles of two and three pools.
    Arbitrage(arbitrage::Params),
    /// New pools.
    NewPool(new_pool::Params),
}

impl StrategyKind {
    /// The strategy, with empty memory.
    #[must_use]
    pub fn build(&self) -> Box<dyn Strategy> {
        match self {
            Self::Trend(params) => Box::new(trend::Trend::new(params.clone())),
            Self::Momentum(params) => Box::new(momentum::Momentum::new(params.clone())),
            Self::MeanReversion(params) => {
                Box::new(mean_reversion::MeanReversion::new(params.clone()))
            }
            Self::Arbitrage(params) => Box::new(arbitrage::Arbitrage::new(params.clone())),
            Self::NewPool(params) => Box::new(new_pool::NewPool::new(params.clone())),
        }
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    ///
    /// The first parameter that does not.
    pub fn check(&self) -> Result<(), ParamsError> {
        match self {
            Self::Trend(params) => params.check(),
            Self::Momentum(params) => params.check(),
            Self::MeanReversion(params) => params.check(),
            Self::Arbitrage(params) => params.check(),
            Self::NewPool(params) => params.check(),
        }
    }
}
