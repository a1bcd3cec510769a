//! What a closed candle costs with few and with many symbols: each has a pool of its own, and four strategies look at all.
//!
//! A second is let pass, which closes a candle of each symbol at once; what came before it is not timed.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Command, Effect, Event, MarketEvent, MintSpec, Stamped};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::units::{Atoms, Lamports, Seq, Slot, Timestamp};

use super::Scale;
use super::market;
use super::row::Row;
use super::turns::{Rounds, Times};

/// How many symbols, few and many.
const SYMBOLS: [u16; 2] = [2, 64];
/// The dollar, and the first symbol behind it.
const USD: MintId = MintId(1);
const FIRST: u16 = 2;

pub(super) fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let mut worlds: Vec<World> =
        SYMBOLS.into_iter().map(World::new).collect::<anyhow::Result<_>>()?;
    let mut times = [Times::default(), Times::default()];
    for round in Rounds::new(64, scale.span / 2) {
        for (world, times) in worlds.iter_mut().zip(&mut times) {
            world.second(times)?;
        }
        // The first ones warm up, and fill the windows of the indicators.
        if round == 31 {
            times = Default::default();
        }
    }
    let row = |(count, times): (u16, &Times)| {
        let row = Row::told(format!("signals.candle.symbols_{count}"), times.p50() / 1e3, "us");
        row.note("a candle through four strategies, as one of so many that close at once")
    };
    Ok(SYMBOLS.into_iter().zip(&times).map(row).collect())
}

struct World {
    engine: MultiStrategyEngine,
    effects: Vec<Effect>,
    symbols: u16,
    seq: u64,
    now: Timestamp,
    seconds: u64,
}

impl World {
    fn new(symbols: u16) -> anyhow::Result<Self> {
        let engine = MultiStrategyEngine::new(market::config()).context("set up the engine")?;
        let now = Timestamp::from_millis(1_700_000_000_000);
        let effects = Vec::with_capacity(256);
        let mut world = Self { engine, effects, symbols, seq: 0, now, seconds: 0 };
        let mints = (1..FIRST + symbols).map(|nth| mint(nth, nth == USD.0));
        for mint in mints {
            world.feed(Event::Market(MarketEvent::Mint(mint)));
        }
        for nth in 0..symbols {
            let keys = cpmm::Keys {
                config: key(nth, 1),
                observation: key(nth, 2),
                vaults: [key(nth, 3), key(nth, 4)],
                token_programs: [key(0, 9); 2],
            };
            let mints = [MintId(FIRST + nth), USD];
            let spec = PoolSpec { address: key(nth, 5), mints, kind: PoolKind::Cpmm(keys) };
            world.feed(Event::Market(MarketEvent::Pool(Box::new(spec))));
            let config = cpmm::Config { trade_fee_rate: 2_500, ..cpmm::Config::default() };
            world.account(nth, AccountUpdate::CpmmConfig(config));
        }
        let amount = Atoms::new(10_000_000_000);
        world.feed(Event::Command(Command::Deposit { mint: USD, amount }));
        Ok(world)
    }

    fn feed(&mut self, event: Event) {
        self.seq += 1;
        self.effects.clear();
        let stamped = Stamped { seq: Seq::new(self.seq), at: self.now, event };
        self.engine.step(&stamped, &mut self.effects);
    }

    fn account(&mut self, pool: u16, update: AccountUpdate) {
        let (pool, slot) = (PoolId(pool.into()), Slot::new(self.seconds + 1));
        self.feed(Event::Market(MarketEvent::Account { pool, slot, update }));
    }

    /// All pools move a little, and the second ends.
    fn second(&mut self, times: &mut Times) -> anyhow::Result<()> {
        self.seconds += 1;
        for nth in 0..self.symbols {
            // Up and down by less than fees: a strategy that trades would measure more than candles.
            let base =
                1_000_000_000_000 + (self.seconds * 37 + u64::from(nth) * 11) % 64 * 1_000_000;
            let vaults = [Atoms::new(base), Atoms::new(150_000_000_000)];
            for (second, amount) in [false, true].into_iter().zip(vaults) {
                self.account(nth, AccountUpdate::Vault { second, amount });
            }
            self.account(nth, AccountUpdate::CpmmPool(cpmm::PoolState::default()));
        }
        self.now = self.now.saturating_add(Timestamp::SECOND);
        self.seq += 1;
        self.effects.clear();
        let event = Stamped { seq: Seq::new(self.seq), at: self.now, event: Event::Timer };
        let (engine, effects) = (&mut self.engine, &mut self.effects);
        times.time(usize::from(self.symbols), || engine.step(black_box(&event), effects));
        let orders = effects.iter().any(|effect| matches!(effect, Effect::Submit(_)));
        ensure!(!orders, "a strategy trades on a market that stands still");
        Ok(())
    }
}

fn mint(nth: u16, is_usd: bool) -> MintSpec {
    MintSpec {
        address: key(nth, 6),
        token_program: key(0, 9),
        decimals: if is_usd { 6 } else { 9 },
        symbol: Symbol::new("MINT"),
        is_usd,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    }
}

fn key(nth: u16, part: u8) -> Address {
    let [high, low] = nth.to_be_bytes();
    let mut bytes = [3; 32];
    bytes.iter_mut().zip([part, high, low]).for_each(|(byte, own)| *byte = own);
    Address::new_from_array(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candles_of_all_symbols_close_and_reach_the_strategies() {
        let mut world = World::new(5).unwrap();
        let mut times = Times::default();
        for _ in 0..20 {
            world.second(&mut times).unwrap();
        }
        let priced = world.engine.market().pairs().iter().filter(|pair| pair.price.is_some());
        assert_eq!((priced.count(), times.0.len()), (5, 20));
        assert!(world.effects.iter().any(|effect| matches!(effect, Effect::Equity(_))));
        let rows =
            measure(Scale { span: std::time::Duration::ZERO, full: false, growth: None }).unwrap();
        assert!(rows.iter().all(|row| row.value.is_some_and(|us| us > 0.0)), "{rows:?}");
    }
}
