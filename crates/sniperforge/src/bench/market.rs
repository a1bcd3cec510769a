//! A market that is drawn from a seed: four pools over two coins that swap, slots, independent prices, and a simulated
//! venue that takes the orders of four strategies.
//!
//! It answers the engine, so it is lived through once and written down; what measures replays the same events every time.

use anyhow::Context as _;
use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Command, Effect, Event, MarketEvent, MintSpec, Stamped};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::market::WRAPPED_SOL;
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::sim::{SimSettings, SimVenue, Venue as _};
use sniper_core::strategy::{StrategyKind, arbitrage, mean_reversion, momentum, trend};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Price, Seq, Slot, Timestamp, Usd};

const TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const USD: MintId = MintId(1);
/// The coins: which mint, how many atoms are a whole one, and its dollars at the start.
const COINS: [(MintId, f64, f64); 2] = [(MintId(2), 1e9, 150.0), (MintId(3), 1e5, 0.000_02)];
/// Which coin each pool trades, and dollars on each side of it at the start.
const POOLS: [(usize, f64); 4] = [(0, 1.5e6), (0, 7.5e5), (1, 5e5), (1, 2.5e5)];
/// From one swap to the next.
const ROUND: Timestamp = Timestamp::from_millis(100);

/// All that the engine saw, and how it was set up.
pub(super) struct Market {
    pub(super) config: EngineConfig,
    pub(super) events: Vec<Stamped>,
    /// Orders that were made.
    #[cfg(test)]
    pub(super) orders: usize,
}

impl Market {
    /// Lives through so many swaps.
    pub(super) fn draw(rounds: usize) -> anyhow::Result<Self> {
        let config = config();
        let engine = MultiStrategyEngine::new(config.clone()).context("set up the engine")?;
        let venue = SimVenue::new(SimSettings::default()).context("set up the venue")?;
        let mut world = World {
            engine,
            venue,
            events: Vec::with_capacity(rounds * 6),
            #[cfg(test)]
            orders: 0,
            seed: 7,
            now: Timestamp::from_millis(1_700_000_000_000),
            slot: 1,
            dollars: COINS.map(|(.., dollars)| dollars),
            tilts: [0.0; POOLS.len()],
        };
        world.open()?;
        for nth in 0..rounds {
            world.round(nth)?;
        }
        Ok(Self {
            config,
            events: world.events,
            #[cfg(test)]
            orders: world.orders,
        })
    }

    pub(super) fn engine(&self) -> anyhow::Result<MultiStrategyEngine> {
        MultiStrategyEngine::new(self.config.clone()).context("set up the engine")
    }
}

/// The four strategies, quick ones, behind limits that do not end the run.
pub(super) fn config() -> EngineConfig {
    let allowance = Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(1_000_000) };
    let kinds = [
        StrategyKind::Trend(trend::Params::fast()),
        StrategyKind::Momentum(momentum::Params::fast()),
        StrategyKind::MeanReversion(mean_reversion::Params::fast()),
        StrategyKind::Arbitrage(arbitrage::Params::fast()),
    ];
    EngineConfig {
        limits: Limits {
            orders_per_minute_max: 1_000,
            duplicate_window: Timestamp::ZERO,
            losses_in_row_max: 0,
            daily_loss_max: Usd::dollars(1_000_000),
            drawdown_max: Bps::capped(9_999),
            ..Limits::default()
        },
        strategies: kinds.into_iter().map(|kind| Enrolled { kind, allowance }).collect(),
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
        operator: None,
    }
}

struct World {
    engine: MultiStrategyEngine,
    venue: SimVenue,
    events: Vec<Stamped>,
    #[cfg(test)]
    orders: usize,
    seed: u64,
    now: Timestamp,
    slot: u64,
    dollars: [f64; COINS.len()],
    tilts: [f64; POOLS.len()],
}

impl World {
    fn feed(&mut self, event: Event) {
        if let Event::Market(event) = &event {
            self.venue.observe(event);
        }
        let seq = Seq::new(u64::try_from(self.events.len()).unwrap_or(u64::MAX) + 1);
        let stamped = Stamped { seq, at: self.now, event };
        let mut effects = Vec::new();
        self.engine.step(&stamped, &mut effects);
        self.events.push(stamped);
        for effect in effects {
            if let Effect::Submit(order) = effect {
                #[cfg(test)]
                {
                    self.orders += 1;
                }
                self.venue.submit(&order, self.now);
            }
        }
    }

    fn market(&mut self, event: MarketEvent) {
        self.feed(Event::Market(event));
    }

    fn open(&mut self) -> anyhow::Result<()> {
        self.mint(key(1, 0), 6, "USDC", true);
        self.mint(WRAPPED_SOL, 9, "SOL", false);
        self.mint(key(3, 0), 5, "BONK", false);
        for (nth, (coin, _)) in (0_u8..).zip(POOLS) {
            let keys = cpmm::Keys {
                config: key(9, 1),
                observation: key(nth, 2),
                vaults: [key(nth, 3), key(nth, 4)],
                token_programs: [TOKEN; 2],
            };
            let mints = [COINS.get(coin).map_or(USD, |(mint, ..)| *mint), USD];
            let spec = PoolSpec { address: key(nth, 5), mints, kind: PoolKind::Cpmm(keys) };
            self.market(MarketEvent::Pool(Box::new(spec)));
        }
        let config = cpmm::Config {
            trade_fee_rate: 2_500,
            protocol_fee_rate: 120_000,
            fund_fee_rate: 40_000,
            creator_fee_rate: 0,
        };
        for id in 0..POOLS.len() {
            self.account(id, AccountUpdate::CpmmConfig(config));
            self.swap(id);
        }
        self.slot();
        self.references()?;
        for (mint, amount) in [(USD, 10_000_000_000), (MintId::SOL, 10_000_000_000)] {
            self.feed(Event::Command(Command::Deposit { mint, amount: Atoms::new(amount) }));
        }
        Ok(())
    }

    fn mint(&mut self, address: Address, decimals: u8, symbol: &str, is_usd: bool) {
        self.market(MarketEvent::Mint(MintSpec {
            address,
            token_program: TOKEN,
            decimals,
            symbol: Symbol::new(symbol),
            is_usd,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        }));
    }

    fn account(&mut self, pool: usize, update: AccountUpdate) {
        let pool = PoolId(u32::try_from(pool).unwrap_or(0));
        self.market(MarketEvent::Account { pool, slot: Slot::new(self.slot), update });
    }

    fn slot(&mut self) {
        let (slot, height) = (Slot::new(self.slot), BlockHeight::new(self.slot));
        self.market(MarketEvent::Slot { slot, height });
        self.slot += 1;
    }

    /// Between minus one and one. SplitMix64 (Steele, Lea and Flood 2014).
    fn noise(&mut self) -> f64 {
        f64::from(u32::try_from(self.draw() % 2_000_001).unwrap_or(0)) / 1e6 - 1.0
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Three notices of one pool, as every swap makes them: both reserves move along the curve.
    fn swap(&mut self, id: usize) {
        let Some((coin, depth)) = POOLS.get(id).copied() else { return };
        let Some((_, unit, start)) = COINS.get(coin).copied() else { return };
        let (walk, lean) = (self.noise(), self.noise());
        let price = self.dollars.get_mut(coin).map_or(start, |price| {
            *price *= 1.0 + 0.001 * walk;
            *price
        });
        let tilt = self.tilts.get_mut(id).map_or(0.0, |tilt| {
            *tilt = 0.9 * *tilt + 0.002 * lean;
            *tilt
        });
        let root = (price * (1.0 + tilt) / start).sqrt();
        for (second, amount) in [(false, depth / start * unit / root), (true, depth * 1e6 * root)] {
            self.account(id, AccountUpdate::Vault { second, amount: atoms(amount) });
        }
        self.account(id, AccountUpdate::CpmmPool(cpmm::PoolState::default()));
    }

    fn references(&mut self) -> anyhow::Result<()> {
        for ((mint, unit, _), dollars) in COINS.into_iter().zip(self.dollars) {
            let usd = Price::of(atoms(dollars * 1e6 * 1e7).get(), atoms(unit * 1e7).get());
            let usd = usd.context("price a coin")?;
            self.market(MarketEvent::Reference { mint, usd });
        }
        Ok(())
    }

    /// A tenth of a second: what is due at the venue, a swap, and now and then a slot and independent prices.
    fn round(&mut self, nth: usize) -> anyhow::Result<()> {
        let end = self.now.saturating_add(ROUND);
        while let Some(due) = self.venue.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let mut answers = Vec::new();
            self.venue.poll(due, &mut answers);
            answers.into_iter().for_each(|answer| self.feed(Event::Order(answer)));
        }
        self.now = end;
        let pools = u64::try_from(POOLS.len()).unwrap_or(1);
        let id = usize::try_from(self.draw() % pools).unwrap_or(0);
        self.swap(id);
        if nth.is_multiple_of(4) {
            self.slot();
        }
        if nth.is_multiple_of(5) {
            self.references()?;
        }
        self.feed(Event::Timer);
        Ok(())
    }
}

fn key(nth: u8, part: u8) -> Address {
    let mut bytes = [7; 32];
    bytes.iter_mut().zip([nth, part]).for_each(|(byte, own)| *byte = own);
    Address::new_from_array(bytes)
}

/// A drawn amount: never none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "drawn, above zero")]
fn atoms(amount: f64) -> Atoms {
    Atoms::new((amount as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_market_is_drawn_every_time_and_all_four_strategies_see_candles_and_trade() {
        let (one, two) = (Market::draw(900).unwrap(), Market::draw(900).unwrap());
        assert_eq!(one.events, two.events);
        assert!(one.orders > 5, "{}", one.orders);
        let ends = |event: &&Stamped| matches!(event.event, Event::Order(_));
        assert!(one.events.iter().filter(ends).count() > one.orders, "orders are signed and end");
    }

    #[test]
    fn a_replay_makes_as_many_orders() {
        let market = Market::draw(900).unwrap();
        let (mut engine, mut effects) = (market.engine().unwrap(), Vec::new());
        market.events.iter().for_each(|event| engine.step(event, &mut effects));
        let orders = effects.iter().filter(|effect| matches!(effect, Effect::Submit(_))).count();
        assert_eq!(orders, market.orders);
    }
}
