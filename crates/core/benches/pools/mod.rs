//! A pool of every kind to time quotes of, and amounts that cross as many ticks or bins as wanted.
//!
//! Prices and depths are those of a busy pool of SOL and dollars. Pools with ticks have one initialised at every step,
//! with liquidity that changes at each; bins hold something at every step.

use std::rc::Rc;

use sniper_core::amm::amm_v4::{self, Fraction};
use sniper_core::amm::pump_fees::{FeeConfig, FeeTier, Fees, Schedule};
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::amm::{
    Clock, Quote, QuoteError, clmm, cpmm, dlmm, pump_curve, pump_swap, whirlpool,
};
use sniper_core::units::{Atoms, Slot};

/// When quotes are for.
pub const CLOCK: Clock = Clock { now: 1_750_000_000, slot: Slot::new(346_000_000), epoch: 800 };

/// A pool of SOL and USDC as there are many: both sides in atoms.
pub const RESERVES: [u64; 2] = [58_431_207_995_113, 9_644_121_050_377];

/// Ticks between two that are initialised.
const SPACING: u16 = 8;
/// How many of them on each side of the price.
const STEPS: i32 = 40;
const LIQUIDITY: u128 = 20_000_000_000_000;
/// So few that the slowest row is done in a quarter of a millisecond: a busy machine takes the core away after some.
pub const AMOUNTS: usize = 512;

/// What is timed.
pub struct Timed<Q> {
    pub name: String,
    /// Nanoseconds.
    pub limit: f64,
    pub amounts: Vec<Atoms>,
    pub quote: Q,
}

/// One direction of a pool.
#[derive(Clone, Copy)]
struct Side {
    forward: bool,
    exact_in: bool,
}

const SIDES: [Side; 4] = [
    Side { forward: true, exact_in: true },
    Side { forward: false, exact_in: true },
    Side { forward: true, exact_in: false },
    Side { forward: false, exact_in: false },
];

impl Side {
    fn name(self) -> &'static str {
        match (self.forward, self.exact_in) {
            (true, true) => "0 to 1, in",
            (false, true) => "1 to 0, in",
            (true, false) => "0 to 1, out",
            (false, false) => "1 to 0, out",
        }
    }
}

/// Told of every pool and direction, each with a quote of a type of its own.
pub trait Take {
    fn take<Q: Fn(Atoms) -> Result<Quote, QuoteError> + Clone + 'static>(
        &mut self,
        timed: Timed<Q>,
    );
}

/// A curve of any kind.
trait Curve: Clone + 'static {
    fn exact_in(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError>;
    fn exact_out(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError>;
    /// How many ticks or bins an input crosses; none for a pool without.
    fn crossed(&self, _forward: bool, _amount: Atoms) -> Result<u32, QuoteError> {
        Ok(0)
    }
}

macro_rules! curve {
    ($kind:ty, $clock:expr) => {
        #[inline]
        fn exact_in(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError> {
            <$kind>::quote_exact_in(self, forward, amount, $clock)
        }
        #[inline]
        fn exact_out(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError> {
            <$kind>::quote_exact_out(self, forward, amount, $clock)
        }
    };
}

/// Steps between two places, whichever is the higher.
fn steps(one: i32, other: i32, width: u16) -> u32 {
    let width = i32::from(width);
    one.div_euclid(width).abs_diff(other.div_euclid(width))
}

impl Curve for cpmm::Curve {
    curve!(cpmm::Curve, CLOCK.now);
}

impl Curve for amm_v4::Curve {
    curve!(amm_v4::Curve, &CLOCK);
}

impl Curve for pump_swap::Curve {
    curve!(pump_swap::Curve, &CLOCK);
}

impl Curve for pump_curve::Curve {
    curve!(pump_curve::Curve, &CLOCK);
}

impl Curve for whirlpool::Curve {
    curve!(whirlpool::Curve, &CLOCK);
    fn crossed(&self, forward: bool, amount: Atoms) -> Result<u32, QuoteError> {
        let after = self.swap_exact_in(forward, amount, &CLOCK)?.tick;
        Ok(steps(after, self.pool().tick, SPACING))
    }
}

impl Curve for clmm::Curve {
    curve!(clmm::Curve, &CLOCK);
    fn crossed(&self, forward: bool, amount: Atoms) -> Result<u32, QuoteError> {
        let after = self.swap_exact_in(forward, amount, &CLOCK)?.tick;
        Ok(steps(after, self.pool().tick, SPACING))
    }
}

impl Curve for dlmm::Curve {
    curve!(dlmm::Curve, &CLOCK);
    fn crossed(&self, forward: bool, amount: Atoms) -> Result<u32, QuoteError> {
        let after = self.swap_exact_in(forward, amount, &CLOCK)?.active;
        Ok(steps(after, self.pool().active, 1))
    }
}

/// All kinds, directions and numbers of crossings that are timed.
pub fn all(taker: &mut impl Take) {
    plain(taker, "cpmm", cpmm_curve());
    plain(taker, "amm v4", amm_v4_curve());
    plain(taker, "pump swap", pump_swap_curve());
    plain(taker, "pump curve", pump_curve_curve());
    // 0.165 and 6.05 atoms of mint 1 for one of mint 0.
    let (low, high) = (-18_004, 18_004);
    stepped(taker, "whirlpool", &whirlpool_curve(low, false), &[0, 1, 10]);
    stepped(taker, "whirlpool, price 6", &whirlpool_curve(high, false), &[0]);
    stepped(taker, "whirlpool, adaptive", &whirlpool_curve(low, true), &[0, 1, 10]);
    stepped(taker, "clmm", &clmm_curve(low, false), &[0, 1, 10]);
    stepped(taker, "clmm, price 6", &clmm_curve(high, false), &[0]);
    stepped(taker, "clmm, dynamic fee", &clmm_curve(low, true), &[0, 1, 10]);
    stepped(taker, "dlmm", &dlmm_curve(), &[0, 1, 10]);
}

fn add<C: Curve>(
    taker: &mut impl Take,
    name: String,
    limit: f64,
    curve: &Rc<C>,
    side: Side,
    inputs: Vec<Atoms>,
) {
    let Side { forward, exact_in } = side;
    let curve = Rc::clone(curve);
    if exact_in {
        let quote = move |amount| curve.exact_in(forward, amount);
        return taker.take(Timed { name, limit, amounts: inputs, quote });
    }
    let out = |amount: &Atoms| curve.exact_in(forward, *amount).unwrap().amount_out;
    let amounts = inputs.iter().map(out).collect();
    taker.take(Timed {
        name,
        limit,
        amounts,
        quote: move |amount| curve.exact_out(forward, amount),
    });
}

/// A constant product: amounts from a thousandth of a SOL to some thousand, evenly over the orders of magnitude.
fn plain(taker: &mut impl Take, name: &str, curve: impl Curve) {
    let curve = Rc::new(curve);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 22
    };
    let amounts: Vec<Atoms> =
        (0..AMOUNTS).map(|_| Atoms::new(1_000_000 + (next() >> (next() % 22)))).collect();
    for side in SIDES {
        add(taker, format!("{name}, {}", side.name()), 10.0, &curve, side, amounts.clone());
    }
}

/// A pool of ticks or bins, with amounts that cross exactly so many.
fn stepped(taker: &mut impl Take, name: &str, curve: &impl Curve, crossings: &[u32]) {
    let curve = Rc::new(curve.clone());
    for crossed in crossings {
        for side in SIDES {
            let count = |amount: u64| match curve.crossed(side.forward, Atoms::new(amount)) {
                Ok(count) => count,
                Err(QuoteError::TooSmall) => 0,
                Err(_) => u32::MAX,
            };
            // The least that crosses one more, and the least that crosses as many.
            let most = least(|amount| count(amount) > *crossed);
            let from = if *crossed == 0 {
                most / 1_000
            } else {
                least(|amount| count(amount) >= *crossed)
            };
            // Not so near the edges that an exact output of what came out would cross another.
            let margin = (most - from) / 16;
            let width = most - from - 2 * margin;
            let amounts: Vec<Atoms> = (0..AMOUNTS as u64)
                .map(|nth| from + margin + width / AMOUNTS as u64 * (nth * 211 % AMOUNTS as u64))
                .map(Atoms::new)
                .collect();
            assert!(
                amounts.iter().all(|amount| count(amount.get()) == *crossed),
                "{name} {crossed}"
            );
            let limit = 60.0 + 40.0 * f64::from(*crossed);
            add(taker, format!("{name}, {}, {crossed}", side.name()), limit, &curve, side, amounts);
        }
    }
}

/// The least amount for which it is so, as it is for all greater ones.
fn least(is: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, 1_u64 << 50);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if is(middle) { high = middle } else { low = middle }
    }
    high
}

fn cpmm_curve() -> cpmm::Curve {
    let config = cpmm::Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
    };
    let vaults = RESERVES.map(Atoms::new);
    let fees = [TransferFee::NONE; 2];
    cpmm::Curve::new(vaults, &cpmm::PoolState::default(), &config, fees).unwrap()
}

fn amm_v4_curve() -> amm_v4::Curve {
    let pool = amm_v4::PoolState {
        status: amm_v4::STATUS_SWAP_ONLY,
        swap_fee: Fraction { numerator: 25, denominator: 10_000 },
        ..amm_v4::PoolState::default()
    };
    amm_v4::Curve::new(RESERVES.map(Atoms::new), &pool).unwrap()
}

fn pump_fees() -> FeeConfig {
    let fees = Fees { lp_bps: 20, protocol_bps: 5, creator_bps: 5 };
    FeeConfig { flat: fees, tiers: vec![FeeTier { market_cap: 0, fees }], ..FeeConfig::default() }
}

fn pump_swap_curve() -> pump_swap::Curve {
    let pool = pump_swap::PoolState { has_creator: true, ..pump_swap::PoolState::default() };
    pump_swap::Curve::new(&pump_swap::Inputs {
        pool: &pool,
        vaults: RESERVES.map(Atoms::new),
        base_supply: Atoms::new(1_000_000_000_000_000),
        config: &pump_swap::Config::default(),
        fee_config: &pump_fees(),
        schedule: Schedule::Sol,
        transfer_fees: [TransferFee::NONE; 2],
    })
    .unwrap()
}

/// Deeper than any real one, so that it takes the same amounts as the others.
fn pump_curve_curve() -> pump_curve::Curve {
    let [token, quote] = RESERVES.map(Atoms::new);
    let state = pump_curve::CurveState {
        virtual_token: token,
        virtual_quote: quote,
        real_token: token,
        real_quote: quote,
        has_creator: true,
        ..pump_curve::CurveState::default()
    };
    pump_curve::Curve::new(&pump_curve::Inputs {
        state: &state,
        supply: Atoms::new(1_000_000_000_000_000),
        config: &pump_curve::Config::default(),
        fee_config: Some(&pump_fees()),
        schedule: Schedule::Sol,
    })
    .unwrap()
}

/// Where ticks lie around `tick`, and by how much each changes the liquidity upwards: to and fro.
fn ticks(tick: i32) -> impl Iterator<Item = (i32, i128)> {
    let step = i32::from(SPACING);
    let change = (LIQUIDITY / 50).cast_signed();
    let here = tick.div_euclid(step) * step;
    (-STEPS..=STEPS)
        .map(move |nth| (here + nth * step, if nth.rem_euclid(2) == 1 { change } else { -change }))
}

fn whirlpool_curve(tick: i32, adaptive: bool) -> whirlpool::Curve {
    let [low, high] = [tick, tick + 1].map(whirlpool::sqrt_price_at);
    let pool = whirlpool::PoolState {
        tick_spacing: SPACING,
        fee_tier: if adaptive { 1_024 } else { SPACING },
        fee_rate: 400,
        protocol_fee_rate: 1_300,
        liquidity: LIQUIDITY,
        sqrt_price: low.midpoint(high),
        tick,
        protocol_fees: [Atoms::ZERO; 2],
    };
    let span = i32::from(SPACING) * i32::from(whirlpool::TICKS_IN_ARRAY);
    let first = whirlpool::array_start(tick, SPACING) - 3 * span;
    let mut arrays: Vec<whirlpool::TickArray> = (0..7)
        .map(|nth| whirlpool::TickArray { start: first + nth * span, ticks: Vec::new() })
        .collect();
    for (tick, liquidity_net) in ticks(tick) {
        let array = &mut arrays[usize::try_from((tick - first) / span).unwrap()];
        let slot = u8::try_from((tick - array.start) / i32::from(SPACING)).unwrap();
        array.ticks.push(whirlpool::Tick { slot, liquidity_net });
    }
    let fee = whirlpool::AdaptiveFee {
        filter_period: 30,
        decay_period: 600,
        reduction_factor: 5_000,
        control_factor: 4_000,
        max_volatility: 350_000,
        group_size: SPACING,
        major_swap_ticks: 64,
    };
    let group = tick.div_euclid(i32::from(SPACING));
    let state = whirlpool::AdaptiveState {
        reference_updated: 1_749_999_990,
        major_swap: 0,
        volatility_reference: 20_000,
        group_reference: group - 2,
        volatility: 40_000,
    };
    let oracle = adaptive.then_some(whirlpool::Oracle { trade_from: 0, fee, state });
    whirlpool::Curve::new(&pool, oracle.as_ref(), &arrays, [EpochFees::NONE; 2]).unwrap()
}

fn clmm_curve(tick: i32, dynamic: bool) -> clmm::Curve {
    let [low, high] = [tick, tick + 1].map(|tick| clmm::sqrt_price_at_tick(tick).unwrap());
    let mut arrays: Vec<clmm::TickArray> = Vec::new();
    let mut bitmap = [0_u64; 16];
    for (tick, liquidity_net) in ticks(tick) {
        let start = clmm::array_start(tick, SPACING);
        if arrays.last().is_none_or(|array| array.start != start) {
            arrays.push(clmm::TickArray { start, ticks: Vec::new() });
            let number = usize::try_from(start / (i32::from(SPACING) * 60) + 512).unwrap();
            bitmap[number / 64] |= 1 << (number % 64);
        }
        let tick = clmm::Tick { tick, liquidity_net, has_liquidity: true, ..clmm::Tick::default() };
        arrays.last_mut().unwrap().ticks.push(tick);
    }
    let fee = clmm::DynamicFee {
        filter_period: 30,
        decay_period: 600,
        reduction_factor: 5_000,
        control: 4_000,
        max_accumulator: 350_000,
        reference_group: tick.div_euclid(i32::from(SPACING)) - 2,
        reference: 20_000,
        accumulator: 40_000,
        updated: 1_749_999_990,
    };
    let pool = clmm::PoolState {
        tick_spacing: SPACING,
        liquidity: LIQUIDITY,
        sqrt_price: low.midpoint(high),
        tick,
        dynamic_fee: dynamic.then_some(fee),
        bitmap,
        ..clmm::PoolState::default()
    };
    let config =
        clmm::Config { trade_fee_rate: 400, protocol_fee_rate: 120_000, fund_fee_rate: 40_000 };
    let known = clmm::Ticks::new(&pool, None, &arrays).unwrap();
    clmm::Curve::new(&pool, &config, [TransferFee::NONE; 2], known).unwrap()
}

fn dlmm_curve() -> dlmm::Curve {
    // A step of a tenth of a percent: 0.165 at bin -1800.
    let active = -1_800;
    let mut pool = dlmm::PoolState {
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
            let bit = usize::try_from(index + 512).unwrap();
            pool.bitmap[bit / 64] |= 1 << (bit % 64);
        }
        let held = |here, amount| Atoms::new(if here { amount } else { 0 });
        arrays.last_mut().unwrap().bins.push(dlmm::Bin {
            place: u8::try_from(id.rem_euclid(dlmm::BINS_PER_ARRAY)).unwrap(),
            amounts: [held(id >= active, 300_000_000_000), held(id <= active, 50_000_000_000)],
            price: dlmm::price_of(pool.bin_step, id).unwrap(),
            ..dlmm::Bin::default()
        });
    }
    let mut curve = dlmm::Curve::new(&pool, [EpochFees::NONE; 2]);
    for array in arrays {
        curve.set_array(array);
    }
    curve
}
