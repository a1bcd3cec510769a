//! Bars as a journal for the engine, and [`SimVenue`] as the market that takes its orders.
//!
//! Time runs like this, and no other way:
//!
//! ```text
//!  close of bar k                     open of bar k+1            close of bar k+1
//!  pool accounts at close(k)          venue's pool moves         pool accounts at close(k+1)
//!  candle k -> engine decides  ----->  to open(k+1); what is ...  candle k+1 -> engine decides
//!              order is signed         due in this bar lands
//! ```
//!
//! - The engine sees a bar only once it has closed. High and low of a bar that is still open are never used.
//! - An order decided at the close of bar `k` is filled against the open of the bar in which its latency ends, so
//!   at the earliest against the open of bar `k+1`: a price that did not exist when it was decided.
//! - The pool holds a constant dollar depth and is re-centred on each open and close; between two re-centrings our
//!   own fills move it, so that size has impact and a second order in the same bar pays for the first.
//! - Across a hole nothing is filled: orders in flight expire, and the next candle says that a gap came before it.

use std::borrow::Cow;

use super::{SimSettings, SimVenue, Venue};
use crate::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use crate::digest::Digest;
use crate::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use crate::event::{
    Candle, Closed, Command, Effect, EquityPoint, Event, MarketEvent, MintSpec, OrderEvent,
    Stamped, Trade,
};
use crate::ids::{Address, MintId, PoolId, StrategyId, Symbol};
use crate::market::WRAPPED_SOL;
use crate::order::Outcome;
use crate::risk::Limits;
use crate::strategy::Strategy;
use crate::units::{Atoms, BlockHeight, Lamports, Price, Seq, Slot, Timestamp, Usd};

/// Decimals of the dollar mint: one atom is a millionth of a dollar, as [`Usd`] counts.
pub const USD_DECIMALS: u8 = 6;

/// The dollar mint of a tape.
pub const USD: MintId = MintId(1);
/// The mint that a tape prices.
pub const BASE: MintId = MintId(2);
const POOL: PoolId = PoolId(0);
const SOL_POOL: PoolId = PoolId(1);

const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

/// The world that a tape is run in.
#[derive(Clone, Debug)]
pub struct World {
    /// What is traded, such as `SOLUSDT`.
    pub symbol: String,
    /// Label of the base.
    pub base: Symbol,
    /// Label of the dollar.
    pub quote: Symbol,
    /// Decimals of the base mint.
    pub base_decimals: u8,
    /// Opening cash.
    pub cash: Usd,
    /// SOL held aside to pay the chain; it is no part of equity, what is spent of it is.
    pub fee_float: Lamports,
    /// Value of both sides of the pool together.
    pub depth: Usd,
    /// What the pool keeps of what goes in, in millionths.
    pub pool_fee: u64,
    /// How the venue treats orders.
    pub sim: SimSettings,
    /// Bounds of the desk.
    pub limits: Limits,
    /// Millionths of a dollar per lamport, where the tape itself does not price SOL.
    pub sol_price: Price,
}

impl World {
    fn prices_sol(&self) -> bool {
        self.base.as_str() == "SOL"
    }

    /// Vault balances that hold the depth at a price, base first; rounded down.
    fn vaults(&self, depth: Usd, price: Price) -> Result<[Atoms; 2], TapeError> {
        let quote = u64::try_from(depth.get() / 2).unwrap_or(0);
        let base = (u128::from(quote) << 64).checked_div(price.raw());
        base.and_then(|base| u64::try_from(base).ok())
            .filter(|base| *base > 0 && quote > 0)
            .map(|base| [Atoms::new(base), Atoms::new(quote)])
            .ok_or_else(|| TapeError::Pool {
                symbol: self.symbol.clone(),
                depth_usd: u64::try_from(self.depth.get() / 1_000_000).unwrap_or(0),
            })
    }
}

/// Why a tape cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// Limits or the venue's settings make no sense.
    #[error("{field}: {problem}")]
    Limits {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No pool of that depth can stand at a price of the tape.
    #[error("no pool of {depth_usd} dollars can hold a price of {symbol}")]
    Pool {
        /// What is priced.
        symbol: String,
        /// Both sides together.
        depth_usd: u64,
    },
}

/// A fill, as the report shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub strategy: StrategyId,
    /// Into the base, or out of it.
    pub is_buy: bool,
    /// Base atoms.
    pub base: Atoms,
    /// Dollar atoms, pool fee included.
    pub quote: Atoms,
    /// What the chain took.
    pub fee: Lamports,
}

/// Orders by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Orders {
    /// Approved.
    pub submitted: u64,
    /// Landed as wished.
    pub landed: u64,
    /// Landed and failed: the price had moved past the minimum output.
    pub reverted: u64,
    /// Never landed.
    pub expired: u64,
    /// Wishes that review refused.
    pub refused: u64,
}

/// What happened on a tape.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Equity and exposure at the close of each bar.
    pub points: Vec<EquityPoint>,
    /// Profits taken.
    pub trades: Vec<Trade>,
    /// Fills.
    pub fills: Vec<Fill>,
    /// Orders by how they ended.
    pub orders: Orders,
    /// Refusals by reason.
    pub refusals: Vec<(Cow<'static, str>, u64)>,
    /// What the chain took, valued when it did.
    pub network_fees: Usd,
    /// What the pools kept of our swaps, valued when they did.
    pub pool_fees: Usd,
    /// BLAKE3 of all effects.
    pub effects_hash: String,
    /// Events the engine took.
    pub events: u64,
    /// Dollars and base atoms that the ledger holds at the end.
    pub held: [i128; 2],
}

/// Told of progress and of each effect.
pub trait Watch {
    /// So many bars are done.
    fn bars(&mut self, done: usize) {
        // Nobody need listen.
        let _ = done;
    }
    /// The engine answered this at that time.
    fn effect(&mut self, at: Timestamp, effect: &Effect) {
        let _ = (at, effect);
    }
}

impl Watch for () {}

/// Plays bars of one `width` through an engine of these strategies, one for each allowance in `enrolled`.
///
/// # Errors
///
/// See [`TapeError`].
pub fn play(
    candles: &[Candle],
    width: Timestamp,
    world: &World,
    enrolled: Vec<Enrolled>,
    strategies: Vec<Box<dyn Strategy>>,
    watch: &mut dyn Watch,
) -> Result<Played, TapeError> {
    let config = EngineConfig {
        limits: world.limits.clone(),
        strategies: enrolled,
        // The tape brings the candles.
        candle_width: Timestamp::ZERO,
        equity_every: width,
        operator: None,
    };
    let engine = MultiStrategyEngine::with_strategies(config, strategies)
        .map_err(|error| TapeError::Limits { field: error.field, problem: error.problem })?;
    // With no latency at all an order would land at the very close that it was decided on.
    let sim = SimSettings { latency: world.sim.latency.max(Timestamp::new(1)), ..world.sim };
    let venue = SimVenue::new(sim)
        .map_err(|error| TapeError::Limits { field: error.field, problem: error.problem })?;
    let mut tape = Tape {
        world,
        engine,
        venue,
        watch,
        seq: 0,
        slot: 0,
        now: Timestamp::ZERO,
        effects: Vec::with_capacity(16),
        answers: Vec::with_capacity(16),
        digest: Digest::default(),
        point: None,
        pool_fees_seen: [0; 2],
        run: Played {
            points: Vec::with_capacity(candles.len()),
            trades: Vec::with_capacity(256),
            fills: Vec::with_capacity(512),
            ..Played::default()
        },
    };
    tape.play(candles)?;
    Ok(tape.finish())
}

/// Of no type of the caller's, so that it is built with the core and as quick.
struct Tape<'a> {
    world: &'a World,
    engine: MultiStrategyEngine,
    venue: SimVenue,
    watch: &'a mut dyn Watch,
    seq: u64,
    slot: u64,
    now: Timestamp,
    effects: Vec<Effect>,
    answers: Vec<OrderEvent>,
    digest: Digest,
    point: Option<EquityPoint>,
    pool_fees_seen: [u128; 2],
    run: Played,
}

impl Tape<'_> {
    fn play(&mut self, candles: &[Candle]) -> Result<(), TapeError> {
        let Some(first) = candles.first() else { return Ok(()) };
        self.open(first)?;
        for (done, candle) in candles.iter().enumerate() {
            if candle.after_gap && done > 0 {
                self.lose_orders(candle.start);
            }
            self.bar(candle)?;
            if done % 16_384 == 0 {
                self.watch.bars(done);
            }
        }
        // The tape ends here: what is still in flight never lands.
        self.lose_orders(Timestamp::MAX);
        self.watch.bars(candles.len());
        Ok(())
    }

    /// Announces mints and pools and pays in the opening cash.
    fn open(&mut self, first: &Candle) -> Result<(), TapeError> {
        let at = first.start;
        let base = if self.world.prices_sol() { WRAPPED_SOL } else { key(2) };
        self.market(at, mint(key(1), USD_DECIMALS, self.world.quote, true));
        self.market(at, mint(base, self.world.base_decimals, self.world.base, false));
        if !self.world.prices_sol() {
            self.market(at, mint(WRAPPED_SOL, 9, Symbol::new("SOL"), false));
        }
        self.pool(at, POOL, BASE, self.world.vaults(self.world.depth, first.open)?);
        if !self.world.prices_sol() {
            // A pool that nobody trades on: it says what fees are worth where the tape does not price SOL.
            let vaults = self.world.vaults(Usd::dollars(1_000_000), self.world.sol_price)?;
            self.pool(at, SOL_POOL, MintId(3), vaults);
        }
        let cash = Atoms::new(u64::try_from(self.world.cash.get()).unwrap_or(0));
        let float = Atoms::new(self.world.fee_float.get());
        for (mint, amount) in [(USD, cash), (MintId::SOL, float)] {
            self.feed(at, Event::Command(Command::Deposit { mint, amount }));
        }
        Ok(())
    }

    fn pool(&mut self, at: Timestamp, pool: PoolId, base: MintId, vaults: [Atoms; 2]) {
        let nth = u8::try_from(pool.0).unwrap_or(0);
        let key = |group: u8| key(group.saturating_add(nth));
        let keys = cpmm::Keys {
            config: self::key(10),
            observation: key(30),
            vaults: [key(40), key(50)],
            token_programs: [TOKEN_PROGRAM; 2],
        };
        let spec = PoolSpec { address: key(20), mints: [base, USD], kind: PoolKind::Cpmm(keys) };
        self.market(at, MarketEvent::Pool(Box::new(spec)));
        // The whole fee stays in the pool: between two re-centrings that is where it would be.
        let config = cpmm::Config { trade_fee_rate: self.world.pool_fee, ..Default::default() };
        self.slot = self.slot.saturating_add(1);
        let slot = Slot::new(self.slot);
        let [first, second] = vaults;
        for update in [
            AccountUpdate::CpmmConfig(config),
            AccountUpdate::CpmmPool(cpmm::PoolState::default()),
            AccountUpdate::Vault { second: false, amount: first },
            AccountUpdate::Vault { second: true, amount: second },
        ] {
            self.market(at, MarketEvent::Account { pool, slot, update });
        }
    }

    fn bar(&mut self, candle: &Candle) -> Result<(), TapeError> {
        let close = candle.start.saturating_add(candle.width);
        self.land(candle, close)?;

        let vaults = self.world.vaults(self.world.depth, candle.close)?;
        self.slot = self.slot.saturating_add(1);
        let slot = Slot::new(self.slot);
        // Three accounts of a swap and a candle, told as one: the pool is never seen between two states.
        self.seq = self.seq.saturating_add(3);
        self.point = None;
        // Made where it is read: most of a bar's time would be copying it.
        let seq = self.next(close);
        let closed = MarketEvent::Close { pool: POOL, slot, vaults, candle: *candle };
        self.step(&Stamped { seq, at: close, event: Event::Market(closed) });
        self.mark(close);
        // What was decided now is signed now, and lands later.
        if self.venue.next_due() == Some(close) {
            self.poll(close);
        }
        Ok(())
    }

    /// Fills what is due within the bar, against its open.
    fn land(&mut self, candle: &Candle, close: Timestamp) -> Result<(), TapeError> {
        if self.venue.next_due().is_none_or(|due| due >= close) {
            return Ok(());
        }
        self.venue.recentre(POOL, self.world.vaults(self.world.depth, candle.open)?);
        let (slot, height) = (Slot::new(self.slot), BlockHeight::new(self.slot));
        self.venue.observe(&MarketEvent::Slot { slot, height });
        while let Some(due) = self.venue.next_due().filter(|due| *due < close) {
            self.poll(due);
        }
        Ok(())
    }

    fn poll(&mut self, at: Timestamp) {
        let mut answers = std::mem::take(&mut self.answers);
        self.venue.poll(at, &mut answers);
        self.tell(at, &mut answers);
        self.answers = answers;
        self.count_pool_fees();
    }

    fn lose_orders(&mut self, before: Timestamp) {
        let mut answers = std::mem::take(&mut self.answers);
        self.venue.expire_all(&mut answers);
        let at = self.now.saturating_add(self.world.sim.expiry).min(before);
        self.tell(at, &mut answers);
        self.answers = answers;
    }

    fn tell(&mut self, at: Timestamp, answers: &mut Vec<OrderEvent>) {
        for answer in answers.drain(..) {
            self.feed(at, Event::Order(answer));
        }
    }

    /// For engine and venue alike.
    fn market(&mut self, at: Timestamp, event: MarketEvent) {
        self.venue.observe(&event);
        self.feed(at, Event::Market(event));
    }

    fn feed(&mut self, at: Timestamp, event: Event) {
        let seq = self.next(at);
        self.step(&Stamped { seq, at, event });
    }

    /// The number of the next event, and its time.
    fn next(&mut self, at: Timestamp) -> Seq {
        self.seq = self.seq.saturating_add(1);
        self.now = at;
        Seq::new(self.seq)
    }

    fn step(&mut self, input: &Stamped) {
        let at = input.at;
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.step(input, &mut effects);
        for effect in &effects {
            self.digest.add_effect(effect);
            self.watch.effect(at, effect);
            self.take(at, effect);
        }
        effects.clear();
        self.effects = effects;
    }

    fn take(&mut self, at: Timestamp, effect: &Effect) {
        match effect {
            Effect::Submit(order) => {
                self.counted(|orders| &mut orders.submitted);
                self.venue.submit(order, at);
            }
            Effect::Refused { .. } => self.counted(|orders| &mut orders.refused),
            Effect::Closed(closed) => self.closed(closed),
            Effect::Trade(trade) => self.run.trades.push(*trade),
            Effect::Equity(point) => self.point = Some(*point),
            // For who watches to tell. Standing orders nobody places.
            Effect::Mode { .. } | Effect::Alert(_) | Effect::Standing { .. } => {}
        }
    }

    fn counted(&mut self, which: fn(&mut Orders) -> &mut u64) {
        let count = which(&mut self.run.orders);
        *count = count.saturating_add(1);
    }

    fn closed(&mut self, closed: &Closed) {
        let fee = match &closed.outcome {
            Outcome::Filled { deltas, fee, .. } => {
                self.counted(|orders| &mut orders.landed);
                let of =
                    |mint| deltas.iter().find(|(m, _)| *m == mint).map_or(0, |(_, delta)| *delta);
                let (base, quote) = (of(BASE), of(USD));
                self.run.fills.push(Fill {
                    at: closed.at,
                    strategy: closed.order.strategy(),
                    is_buy: base > 0,
                    base: Atoms::new(base.unsigned_abs()),
                    quote: Atoms::new(quote.unsigned_abs()),
                    fee: *fee,
                });
                *fee
            }
            Outcome::Reverted { fee, .. } => {
                self.counted(|orders| &mut orders.reverted);
                *fee
            }
            Outcome::Expired | Outcome::Rejected(_) => {
                self.counted(|orders| &mut orders.expired);
                Lamports::ZERO
            }
        };
        let value = self.engine.market().value_up(MintId::SOL, Atoms::new(fee.get()));
        self.run.network_fees = self.run.network_fees.saturating_add(value.unwrap_or(Usd::ZERO));
    }

    fn count_pool_fees(&mut self) {
        for (seen, mint) in self.pool_fees_seen.iter_mut().zip([USD, BASE]) {
            let total = self.venue.pool_fees(mint);
            let new = Atoms::new(u64::try_from(total.saturating_sub(*seen)).unwrap_or(u64::MAX));
            *seen = total;
            let value = self.engine.market().value_up(mint, new).unwrap_or(Usd::ZERO);
            self.run.pool_fees = self.run.pool_fees.saturating_add(value);
        }
    }

    /// Notes equity at a close: cash and positions as the engine values them, less fees at what they cost when
    /// they were paid. The SOL held to pay them is left out, so that its own price does not pass for skill.
    fn mark(&mut self, at: Timestamp) {
        // Told in the step that valued all, so what was at stake then is of this moment.
        let (equity, exposure) = match self.point.take() {
            Some(point) => (self.engine.last_stake(), point.exposure),
            None => (self.engine.stake(), self.engine.portfolio().exposure(self.engine.market())),
        };
        if let Some(equity) = equity {
            self.run.points.push(EquityPoint { at, equity, exposure });
        }
    }

    fn finish(self) -> Played {
        let mut run = self.run;
        run.refusals = self.engine.refusals().to_vec();
        run.effects_hash = self.digest.hex();
        run.events = self.seq;
        run.held = [USD, BASE].map(|mint| self.engine.ledger().held(mint));
        run
    }
}

fn key(nth: u8) -> Address {
    Address::new_from_array([nth; 32])
}

fn mint(address: Address, decimals: u8, symbol: Symbol, is_usd: bool) -> MarketEvent {
    MarketEvent::Mint(MintSpec {
        address,
        token_program: TOKEN_PROGRAM,
        decimals,
        symbol,
        is_usd,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    })
}
