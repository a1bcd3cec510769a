//! The small market that a world trades on.

use super::chain::Holdings;
use crate::amm::cpmm::{Config, Keys, PoolState};
use crate::amm::{AccountUpdate, PoolKind, PoolSpec};
use crate::engine::{EngineConfig, Enrolled};
use crate::event::{Event, MarketEvent, MintSpec};
use crate::ids::{Address, MintId, PoolId, Symbol};
use crate::market::WRAPPED_SOL;
use crate::portfolio::Allowance;
use crate::risk::Limits;
use crate::sim::pool::Accounts;
use crate::strategy::{StrategyKind, trend};
use crate::units::{Atoms, Bps, Lamports, Price, Slot, Timestamp, Usd};

pub(super) const USDC: MintId = MintId(1);
pub(super) const WSOL: MintId = MintId(2);
pub(super) const BONK: MintId = MintId(3);

/// Mints, native SOL included.
pub(super) const MINTS: usize = 4;
pub(super) const POOLS: usize = 3;
/// What an account of SPL Token locks.
pub(super) const RENT: u64 = 2_039_280;

const TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const CONFIG: Config = Config {
    trade_fee_rate: 2_500,
    protocol_fee_rate: 120_000,
    fund_fee_rate: 40_000,
    creator_fee_rate: 0,
};

/// The mints of each pool.
pub(super) const fn hops() -> [[MintId; 2]; POOLS] {
    [[WSOL, USDC], [WSOL, USDC], [BONK, USDC]]
}

/// What we begin with: no account of BONK yet.
pub(super) fn holdings() -> Holdings {
    let pool = |first, second| {
        Accounts::of([Atoms::new(first), Atoms::new(second)], PoolState::default(), CONFIG)
    };
    Holdings {
        lamports: 1_000_000_000,
        rent: 2 * RENT,
        tokens: [0, 10_000_000_000, 0, 0],
        has: [true, true, true, false],
        delegated: [false; MINTS],
        stolen: [0; MINTS],
        given: [0; MINTS],
        pools: [
            pool(10_000_000_000_000, 1_500_000_000_000),
            pool(5_000_000_000_000, 750_000_000_000),
            pool(2_500_000_000_000_000, 500_000_000_000),
        ],
    }
}

/// Mints and pools, as announced at a first start.
pub(super) fn announcements(has: [bool; MINTS]) -> Vec<Event> {
    let mint = |id: MintId, address, decimals, symbol, is_usd| {
        let rent = if has[id.index()] { 0 } else { RENT };
        Event::Market(MarketEvent::Mint(MintSpec {
            address,
            token_program: TOKEN,
            decimals,
            symbol: Symbol::new(symbol),
            is_usd,
            plain: true,
            trusted: true,
            rent: Lamports::new(rent),
        }))
    };
    let key = |pool: u8, part: u8| {
        let mut bytes = [7; 32];
        (bytes[0], bytes[1]) = (pool, part);
        Address::new_from_array(bytes)
    };
    let pool = |(nth, mints): (u8, [MintId; 2])| {
        Event::Market(MarketEvent::Pool(Box::new(PoolSpec {
            address: key(nth, 0),
            mints,
            kind: PoolKind::Cpmm(Keys {
                config: key(nth, 1),
                observation: key(nth, 2),
                vaults: [key(nth, 3), key(nth, 4)],
                token_programs: [TOKEN; 2],
            }),
        })))
    };
    let mut events = vec![
        mint(USDC, key(1, 9), 6, "USDC", true),
        mint(WSOL, WRAPPED_SOL, 9, "SOL", false),
        mint(BONK, key(3, 9), 5, "BONK", false),
    ];
    events.extend((10..).zip(hops()).map(pool));
    let id = |nth: usize| PoolId(u32::try_from(nth).unwrap_or(0));
    let slot = Slot::new(1);
    let config = |nth| {
        let update = AccountUpdate::CpmmConfig(CONFIG);
        Event::Market(MarketEvent::Account { pool: id(nth), slot, update })
    };
    events.extend((0..POOLS).map(config));
    events
}

/// All accounts of a pool at a slot.
pub(super) fn accounts(nth: usize, pool: &Accounts, slot: u64) -> [Event; 3] {
    let (id, slot) = (PoolId(u32::try_from(nth).unwrap_or(0)), Slot::new(slot));
    let account = |update| Event::Market(MarketEvent::Account { pool: id, slot, update });
    let [first, second] = pool.vaults();
    [
        account(AccountUpdate::Vault { second: false, amount: first }),
        account(AccountUpdate::Vault { second: true, amount: second }),
        account(AccountUpdate::CpmmPool(pool.state())),
    ]
}

/// The independent price of a mint, as its pool has it, times `per_mille` thousandths.
pub(super) fn reference(mint: MintId, pool: &Accounts, per_mille: u64) -> Option<Event> {
    let [base, quote] = pool.vaults().map(Atoms::get);
    let quote = u128::from(quote) * u128::from(per_mille) / 1_000;
    let usd = Price::of(u64::try_from(quote).ok()?, base)?;
    Some(Event::Market(MarketEvent::Reference { mint, usd }))
}

/// How the engine is set up: `strictness` tells one set of limits from another.
pub(super) fn config(strategies: usize, strictness: u64) -> EngineConfig {
    let orders = 30 - u16::try_from(strictness % 3).unwrap_or(0) * 10;
    let allowance = Allowance { budget: Usd::dollars(400), loss_limit: Usd::dollars(2_000) };
    let kind = StrategyKind::Trend(trend::Params::default());
    EngineConfig {
        limits: Limits {
            order_value_max: Usd::dollars(40),
            position_value_max: Usd::dollars(150),
            exposure_max: Usd::dollars(220),
            orders_per_minute_max: orders,
            open_orders_max: 4,
            daily_loss_max: Usd::dollars(5_000),
            drawdown_max: Bps::capped(6_000),
            losses_in_row_max: 0,
            market_age_max: Timestamp::from_millis(5_000),
            reference_age_max: Timestamp::from_millis(30_000),
            ..Limits::default()
        },
        strategies: vec![Enrolled { kind, allowance }; strategies],
        candle_width: Timestamp::ZERO,
        equity_every: Timestamp::from_millis(10_000),
        operator: Some(allowance),
    }
}
