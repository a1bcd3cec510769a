//! A small market and a strategy without sense, for the laws.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

pub mod bench;
pub mod launch;
pub mod tickets;
pub mod web;

use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Command, Effect, Event, MarketEvent, MintSpec, Stamped};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::market::WRAPPED_SOL;
use sniper_core::order::{Hop, Intent, Reason, Route};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::snapshot::{Reader, Unreadable, Writer};
use sniper_core::strategy::{Context, Strategy, StrategyKind};
use sniper_core::units::{Atoms, BlockHeight, Lamports, Price, Seq, Slot, Timestamp, Usd};

pub const USDC: MintId = MintId(1);
pub const WSOL: MintId = MintId(2);
pub const BONK: MintId = MintId(3);
pub const TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

pub fn mint(address: Address, decimals: u8, symbol: &str, is_usd: bool) -> Event {
    let symbol = Symbol::new(symbol);
    Event::Market(MarketEvent::Mint(MintSpec {
        address,
        token_program: TOKEN,
        decimals,
        symbol,
        is_usd,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    }))
}

/// The same mint, of which we have no account yet.
pub fn lacking(mint: Event, rent: u64) -> Event {
    let Event::Market(MarketEvent::Mint(spec)) = mint else { return mint };
    Event::Market(MarketEvent::Mint(MintSpec { rent: Lamports::new(rent), ..spec }))
}

pub fn pool(nth: u8, mints: [MintId; 2]) -> Event {
    let key = |part: u8| {
        Address::new_from_array([
            nth, part, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
            7, 7, 7, 7, 7,
        ])
    };
    Event::Market(MarketEvent::Pool(Box::new(PoolSpec {
        address: key(0),
        mints,
        kind: PoolKind::Cpmm(cpmm::Keys {
            config: key(1),
            observation: key(2),
            vaults: [key(3), key(4)],
            token_programs: [TOKEN; 2],
        }),
    })))
}

pub fn account(pool: u32, slot: u64, update: AccountUpdate) -> Event {
    Event::Market(MarketEvent::Account { pool: PoolId(pool), slot: Slot::new(slot), update })
}

/// All three accounts of a pool at one slot.
pub fn reserves(pool: u32, slot: u64, vaults: [u64; 2]) -> [Event; 3] {
    [
        account(pool, slot, AccountUpdate::Vault { second: false, amount: Atoms::new(vaults[0]) }),
        account(pool, slot, AccountUpdate::Vault { second: true, amount: Atoms::new(vaults[1]) }),
        account(pool, slot, AccountUpdate::CpmmPool(cpmm::PoolState::default())),
    ]
}

/// Three mints, two SOL/USDC pools at 150 dollars and one BONK/USDC pool at 20 millionths, 10 000 dollars of
/// cash and one SOL for fees.
pub fn opening() -> Vec<Event> {
    let config = cpmm::Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
    };
    let mut events = vec![
        mint(Address::new_from_array([1; 32]), 6, "USDC", true),
        mint(WRAPPED_SOL, 9, "SOL", false),
        mint(Address::new_from_array([3; 32]), 5, "BONK", false),
        pool(10, [WSOL, USDC]),
        pool(11, [WSOL, USDC]),
        pool(12, [BONK, USDC]),
    ];
    for id in 0..3 {
        events.push(account(id, 1, AccountUpdate::CpmmConfig(config)));
    }
    events.extend(reserves(0, 1, [10_000_000_000_000, 1_500_000_000_000]));
    events.extend(reserves(1, 1, [5_000_000_000_000, 750_000_000_000]));
    events.extend(reserves(2, 1, [2_500_000_000_000_000, 500_000_000_000]));
    events.push(slot(2));
    events.push(reference(WSOL, 150_000_000, 1_000_000_000));
    events.push(reference(BONK, 20, 100_000));
    events.push(deposit(USDC, 10_000_000_000));
    events.push(deposit(MintId::SOL, 1_000_000_000));
    events
}

pub fn slot(slot: u64) -> Event {
    Event::Market(MarketEvent::Slot { slot: Slot::new(slot), height: BlockHeight::new(slot) })
}

pub fn reference(mint: MintId, micro_dollars: u64, atoms: u64) -> Event {
    Event::Market(MarketEvent::Reference { mint, usd: Price::of(micro_dollars, atoms).unwrap() })
}

pub fn deposit(mint: MintId, amount: u64) -> Event {
    Event::Command(Command::Deposit { mint, amount: Atoms::new(amount) })
}

pub fn allowance() -> Allowance {
    Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(100) }
}

pub fn config(strategies: usize) -> EngineConfig {
    let kind = StrategyKind::Trend(sniper_core::strategy::trend::Params::default());
    EngineConfig {
        limits: Limits::default(),
        strategies: vec![Enrolled { kind, allowance: allowance() }; strategies],
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
        operator: None,
    }
}

/// Wants things without sense, decided by the bytes it was given and by what it has seen.
pub struct Erratic {
    pub seed: u64,
}

impl Erratic {
    fn draw(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

impl Strategy for Erratic {
    fn name(&self) -> &'static str {
        "erratic"
    }

    fn on_event(&mut self, cx: Context<'_>, _: &Event, out: &mut Vec<Intent>) {
        for _ in 0..self.draw(4) {
            let mints = [USDC, WSOL, BONK, MintId::SOL, MintId(9)];
            let mut route = Route::new();
            let mut mint_in = mints[usize::try_from(self.draw(5)).unwrap()];
            for _ in 0..self.draw(4) {
                let mint_out = mints[usize::try_from(self.draw(5)).unwrap()];
                let pool = PoolId(u32::try_from(self.draw(4)).unwrap());
                if route.try_push(Hop { pool, mint_in, mint_out }).is_err() {
                    break;
                }
                mint_in = mint_out;
            }
            let amount_in = match self.draw(6) {
                0 => 0,
                1 => u64::MAX,
                2 => self.draw(1 << 50),
                _ => self.draw(60_000_000),
            };
            let expected = cx.market.quote_route(&route, Atoms::new(amount_in)).unwrap_or_default();
            let min_out = match self.draw(5) {
                0 => Atoms::ZERO,
                1 => Atoms::MAX,
                _ => expected.less(sniper_core::units::Bps::capped(50)),
            };
            out.push(cx.intent(route, Atoms::new(amount_in), min_out, Reason::Arbitrage));
        }
        // And sometimes something sensible, so that orders get through.
        if self.draw(3) == 0 {
            let pair = sniper_core::ids::PairId(u32::try_from(self.draw(2)).unwrap());
            let slip = sniper_core::units::Bps::capped(50);
            let value = Usd::dollars(i64::try_from(self.draw(60)).unwrap());
            out.extend(cx.buy(pair, value, slip, Reason::TrendEntry));
            out.extend(cx.sell_all(pair, slip, Reason::TrendExit));
        }
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&self.seed);
    }

    fn save(&self, to: &mut Writer) {
        to.put(&self.seed);
    }

    fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        self.seed = from.take()?;
        Ok(())
    }
}

pub fn erratic(seeds: &[u64]) -> MultiStrategyEngine {
    MultiStrategyEngine::with_strategies(config(seeds.len()), seated(seeds)).unwrap()
}

pub fn seated(seeds: &[u64]) -> Vec<Box<dyn Strategy>> {
    seeds.iter().map(|seed| Box::new(Erratic { seed: *seed }) as Box<dyn Strategy>).collect()
}

/// Saves the engine that `journal` makes after `cut` of its events and goes on with what comes of the bytes: it must
/// answer each event after that as the engine that was never saved, and end as the same bytes.
pub fn survives_a_cut(
    config: &EngineConfig,
    strategies: impl Fn() -> Vec<Box<dyn Strategy>>,
    journal: &[Stamped],
    cut: usize,
) {
    let mut whole = MultiStrategyEngine::with_strategies(config.clone(), strategies()).unwrap();
    let (before, after) = journal.split_at(cut);
    let mut effects = vec![];
    before.iter().for_each(|event| whole.step(event, &mut effects));
    let bytes = whole.save();
    let restored = MultiStrategyEngine::restore_with(config.clone(), strategies(), &bytes);
    let mut restored = restored.unwrap();
    assert_eq!(restored.state_digest(), whole.state_digest());
    assert!(restored.save() == bytes, "saved again it is the same");
    let hash = Digest::default();
    let [mut of_whole, mut of_restored] = [0; 2].map(|_| Digest::resumed(hash.value(), 0));
    for (nth, event) in after.iter().enumerate() {
        let [mut wanted, mut found] = [vec![], vec![]];
        whole.step(event, &mut wanted);
        restored.step(event, &mut found);
        assert_eq!(wanted, found, "event {nth} after the cut: {event:?}");
        wanted.iter().for_each(|effect| of_whole.add(effect));
        found.iter().for_each(|effect| of_restored.add(effect));
    }
    assert_eq!(of_restored.value(), of_whole.value());
    assert_eq!(restored.state_digest(), whole.state_digest());
    assert!(restored.save() == whole.save(), "what the digest leaves out is the same too");
}

/// What an account of SPL Token locks, in lamports.
pub const RENT: u64 = 2_039_280;

/// The opening, but we have no account of BONK yet.
pub fn opening_without_bonk() -> Vec<Event> {
    let bonk = |event: &Event| matches!(event, Event::Market(MarketEvent::Mint(spec)) if spec.symbol == Symbol::new("BONK"));
    let lack = |event: Event| if bonk(&event) { lacking(event, RENT) } else { event };
    opening().into_iter().map(lack).collect()
}

/// An engine that numbers its events and keeps everything.
pub struct Run {
    pub engine: MultiStrategyEngine,
    pub journal: Vec<Stamped>,
    pub effects: Vec<Effect>,
    pub digest: Digest,
    pub now: i64,
}

impl Run {
    /// Nothing has happened.
    pub fn empty(engine: MultiStrategyEngine) -> Self {
        let now = 1_700_000_000_000_000;
        Self { engine, journal: vec![], effects: vec![], digest: Digest::default(), now }
    }

    /// After the opening.
    pub fn new(engine: MultiStrategyEngine) -> Self {
        Self::after(engine, opening())
    }

    /// After these events.
    pub fn after(engine: MultiStrategyEngine, events: Vec<Event>) -> Self {
        let mut run = Self::empty(engine);
        for event in events {
            run.step(event);
        }
        run
    }

    /// Steps and returns what is to be done.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let seq = Seq::new(self.journal.len() as u64 + 1);
        let stamped = Stamped { seq, at: Timestamp::new(self.now), event };
        let mut effects = vec![];
        self.engine.step(&stamped, &mut effects);
        self.journal.push(stamped);
        for effect in &effects {
            self.digest.add(effect);
        }
        self.effects.extend(effects.iter().cloned());
        effects
    }

    pub fn wait(&mut self, micros: i64) {
        self.now += micros;
    }
}
