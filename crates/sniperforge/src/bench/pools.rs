//! A pool of every kind, as its accounts tell it to the engine.
//!
//! Prices and depths are those of a busy pool of SOL and dollars. Pools with ticks have one initialised at every step;
//! bins hold something at every step.

use anyhow::Context as _;
use sniper_core::amm::amm_v4::{self, Fraction};
use sniper_core::amm::pump_fees::{FeeConfig, FeeTier, Fees, Recipients, Schedule};
use sniper_core::amm::{
    AccountUpdate, Clock, Live, PoolKind, clmm, cpmm, dlmm, pump_curve, pump_swap, whirlpool,
};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Slot};

/// When quotes are for.
pub(super) const CLOCK: Clock =
    Clock { now: 1_750_000_000, slot: Slot::new(346_000_000), epoch: 800 };
/// A pool of SOL and USDC as there are many: both sides in atoms.
pub(super) const RESERVES: [u64; 2] = [58_431_207_995_113, 9_644_121_050_377];

const KEY: Address = Address::new_from_array([7; 32]);
/// Ticks between two that are initialised.
const SPACING: u16 = 8;
/// How many of them on each side of the price.
const STEPS: i32 = 40;
const LIQUIDITY: u128 = 20_000_000_000_000;
/// 0.165 atoms of mint 1 for one of mint 0.
const TICK: i32 = -18_004;

/// One that is quoted.
pub(super) struct Pool {
    pub(super) name: &'static str,
    pub(super) live: Live,
    /// It has ticks or bins.
    pub(super) stepped: bool,
    /// The largest amount: with ticks or bins one that crosses few of them.
    pub(super) most: u64,
}

/// One of every kind.
pub(super) fn all() -> anyhow::Result<Vec<Pool>> {
    let (vaults, token_programs) = ([KEY; 2], [KEY; 2]);
    let plain = 1_000_000_000_000;
    let stepped = 10_000_000_000;
    let cpmm_keys = cpmm::Keys { config: KEY, observation: KEY, vaults, token_programs };
    let clmm_keys = clmm::Keys { config: KEY, observation: KEY, vaults };
    Ok(vec![
        pool("cpmm", &PoolKind::Cpmm(cpmm_keys), plain, cpmm_accounts()),
        pool("amm_v4", &PoolKind::AmmV4(amm_v4::Keys { vaults }), plain, amm_v4_accounts()),
        pool("pump_swap", &PoolKind::PumpSwap(pump_swap_keys()), plain, pump_swap_accounts()),
        pool("pump_curve", &PoolKind::PumpCurve(pump_curve_keys()), plain, pump_curve_accounts()),
        pool(
            "whirlpool",
            &PoolKind::Whirlpool {
                keys: whirlpool::Keys { oracle: KEY, vaults, token_programs },
                adaptive: false,
            },
            stepped,
            whirlpool_accounts()?,
        ),
        pool(
            "clmm",
            &PoolKind::Clmm { keys: clmm_keys, bitmap_extension: None },
            stepped,
            clmm_accounts()?,
        ),
        pool(
            "dlmm",
            &PoolKind::Dlmm(dlmm::Keys {
                vaults,
                token_programs,
                oracle: KEY,
                bitmap_extension: None,
            }),
            stepped,
            dlmm_accounts()?,
        ),
    ])
}

fn pool(name: &'static str, kind: &PoolKind, most: u64, accounts: Vec<AccountUpdate>) -> Pool {
    let mut live = Live::new(kind, true);
    for account in accounts {
        live.apply(&account, CLOCK.slot);
    }
    let stepped =
        matches!(kind, PoolKind::Clmm { .. } | PoolKind::Whirlpool { .. } | PoolKind::Dlmm(_));
    Pool { name, live, stepped, most }
}

fn reserves() -> [AccountUpdate; 2] {
    let [first, second] = RESERVES.map(Atoms::new);
    [
        AccountUpdate::Vault { second: false, amount: first },
        AccountUpdate::Vault { second: true, amount: second },
    ]
}

fn with_reserves(others: impl IntoIterator<Item = AccountUpdate>) -> Vec<AccountUpdate> {
    reserves().into_iter().chain(others).collect()
}

fn cpmm_accounts() -> Vec<AccountUpdate> {
    let config = cpmm::Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
    };
    let state = cpmm::PoolState::default();
    with_reserves([AccountUpdate::CpmmConfig(config), AccountUpdate::CpmmPool(state)])
}

fn amm_v4_accounts() -> Vec<AccountUpdate> {
    with_reserves([AccountUpdate::AmmV4Pool(amm_v4::PoolState {
        status: amm_v4::STATUS_SWAP_ONLY,
        swap_fee: Fraction { numerator: 25, denominator: 10_000 },
        ..amm_v4::PoolState::default()
    })])
}

fn pump_fees() -> AccountUpdate {
    let fees = Fees { lp_bps: 20, protocol_bps: 5, creator_bps: 5 };
    let tiers = vec![FeeTier { market_cap: 0, fees }];
    AccountUpdate::PumpFees(Box::new(FeeConfig { flat: fees, tiers, ..FeeConfig::default() }))
}

fn pump_swap_keys() -> pump_swap::Keys {
    pump_swap::Keys {
        vaults: [KEY; 2],
        token_programs: [KEY; 2],
        schedule: Schedule::Sol,
        recipients: Recipients { protocol: KEY, buyback: KEY },
        recipient_accounts: [KEY; 2],
        creator_authority: KEY,
        creator_vault: KEY,
        pool_v2: None,
        cashback: false,
    }
}

fn pump_swap_accounts() -> Vec<AccountUpdate> {
    let state = pump_swap::PoolState { has_creator: true, ..pump_swap::PoolState::default() };
    with_reserves([
        AccountUpdate::PumpSwapConfig(pump_swap::Config::default()),
        pump_fees(),
        AccountUpdate::Supply(Atoms::new(1_000_000_000_000_000)),
        AccountUpdate::PumpSwapPool(state),
    ])
}

fn pump_curve_keys() -> pump_curve::Keys {
    pump_curve::Keys {
        vaults: [KEY; 2],
        token_programs: [KEY; 2],
        schedule: Schedule::Sol,
        recipients: Recipients { protocol: KEY, buyback: KEY },
        recipient_accounts: [KEY; 2],
        creator_vault: KEY,
        creator_account: KEY,
        sharing_config: KEY,
        curve_v2: KEY,
        cashback: false,
    }
}

/// Deeper than any real one, so that it takes the same amounts as the others.
fn pump_curve_accounts() -> Vec<AccountUpdate> {
    let [token, quote] = RESERVES.map(Atoms::new);
    let state = pump_curve::CurveState {
        virtual_token: token,
        virtual_quote: quote,
        real_token: token,
        real_quote: quote,
        has_creator: true,
        ..pump_curve::CurveState::default()
    };
    vec![
        AccountUpdate::PumpCurveConfig(pump_curve::Config::default()),
        pump_fees(),
        AccountUpdate::Supply(Atoms::new(1_000_000_000_000_000)),
        AccountUpdate::PumpCurve(state),
    ]
}

/// Where ticks lie around the price, and by how much each changes the liquidity upwards: to and fro.
fn ticks() -> impl Iterator<Item = (i32, i128)> {
    let step = i32::from(SPACING);
    let change = (LIQUIDITY / 50).cast_signed();
    let here = TICK.div_euclid(step) * step;
    (-STEPS..=STEPS)
        .map(move |nth| (here + nth * step, if nth.rem_euclid(2) == 1 { change } else { -change }))
}

fn whirlpool_accounts() -> anyhow::Result<Vec<AccountUpdate>> {
    let [low, high] = [TICK, TICK + 1].map(whirlpool::sqrt_price_at);
    let state = whirlpool::PoolState {
        tick_spacing: SPACING,
        fee_tier: SPACING,
        fee_rate: 400,
        protocol_fee_rate: 1_300,
        liquidity: LIQUIDITY,
        sqrt_price: low.midpoint(high),
        tick: TICK,
        protocol_fees: [Atoms::ZERO; 2],
    };
    let span = i32::from(SPACING) * i32::from(whirlpool::TICKS_IN_ARRAY);
    let first = whirlpool::array_start(TICK, SPACING) - 3 * span;
    let mut arrays: Vec<whirlpool::TickArray> = (0..7)
        .map(|nth| whirlpool::TickArray { start: first + nth * span, ticks: Vec::new() })
        .collect();
    for (tick, liquidity_net) in ticks() {
        let array = usize::try_from((tick - first) / span)?;
        let array = arrays.get_mut(array).context("find the array of a tick")?;
        let slot = u8::try_from((tick - array.start) / i32::from(SPACING))?;
        array.ticks.push(whirlpool::Tick { slot, liquidity_net });
    }
    let arrays = arrays.into_iter().map(|array| AccountUpdate::WhirlpoolTicks(Box::new(array)));
    Ok(arrays.chain([AccountUpdate::Whirlpool(state)]).collect())
}

fn clmm_accounts() -> anyhow::Result<Vec<AccountUpdate>> {
    let low = clmm::sqrt_price_at_tick(TICK).context("price a tick")?;
    let high = clmm::sqrt_price_at_tick(TICK + 1).context("price a tick")?;
    let mut arrays: Vec<clmm::TickArray> = Vec::new();
    let mut bitmap = [0_u64; 16];
    for (tick, liquidity_net) in ticks() {
        let start = clmm::array_start(tick, SPACING);
        if arrays.last().is_none_or(|array| array.start != start) {
            arrays.push(clmm::TickArray { start, ticks: Vec::new() });
            set(&mut bitmap, start / (i32::from(SPACING) * 60) + 512)?;
        }
        let tick = clmm::Tick { tick, liquidity_net, has_liquidity: true, ..clmm::Tick::default() };
        arrays.last_mut().context("find the array of a tick")?.ticks.push(tick);
    }
    let state = clmm::PoolState {
        tick_spacing: SPACING,
        liquidity: LIQUIDITY,
        sqrt_price: low.midpoint(high),
        tick: TICK,
        bitmap,
        ..clmm::PoolState::default()
    };
    let config =
        clmm::Config { trade_fee_rate: 400, protocol_fee_rate: 120_000, fund_fee_rate: 40_000 };
    let arrays = arrays.into_iter().map(|array| AccountUpdate::ClmmTicks(Box::new(array)));
    let pool = AccountUpdate::ClmmPool(Box::new(state));
    Ok(arrays.chain([AccountUpdate::ClmmConfig(config), pool]).collect())
}

fn set(bitmap: &mut [u64], bit: i32) -> anyhow::Result<()> {
    let bit = usize::try_from(bit)?;
    *bitmap.get_mut(bit / 64).context("find a bit of the bitmap")? |= 1 << (bit % 64);
    Ok(())
}

fn dlmm_accounts() -> anyhow::Result<Vec<AccountUpdate>> {
    // A step of a tenth of a percent: 0.165 at bin -1800.
    let active = -1_800;
    let mut state = dlmm::PoolState {
        parameters: dlmm::Parameters {
            base_factor: 10_000,
            filter_period: 30,
            decay_period: 600,
            reduction_factor: 5_000,
            variable_fee_control: 40_000,
            max_volatility: 350_000,
            protocol_share: 500,
            ..dlmm::Parameters::default()
        },
        volatility: dlmm::Volatility {
            accumulator: 40_000,
            reference: 20_000,
            index: active - 2,
            updated: 1_749_999_990,
        },
        active,
        bin_step: 10,
        ..dlmm::PoolState::default()
    };
    let mut arrays: Vec<dlmm::BinArray> = Vec::new();
    for id in active - STEPS..=active + STEPS {
        let index = dlmm::array_of(id);
        if arrays.last().is_none_or(|array| array.index != index) {
            arrays.push(dlmm::BinArray { index, bins: Vec::new() });
            set(&mut state.bitmap, index + 512)?;
        }
        let held = |here, amount| Atoms::new(if here { amount } else { 0 });
        arrays.last_mut().context("find the array of a bin")?.bins.push(dlmm::Bin {
            place: u8::try_from(id.rem_euclid(dlmm::BINS_PER_ARRAY))?,
            amounts: [held(id >= active, 300_000_000_000), held(id <= active, 50_000_000_000)],
            price: dlmm::price_of(state.bin_step, id).context("price a bin")?,
            ..dlmm::Bin::default()
        });
    }
    let arrays = arrays.into_iter().map(|array| AccountUpdate::DlmmBins(Box::new(array)));
    Ok([AccountUpdate::DlmmPool(Box::new(state))].into_iter().chain(arrays).collect())
}
