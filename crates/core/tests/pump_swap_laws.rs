//! Laws of PumpSwap's quote that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use sniper_core::amm::pump_fees::{
    FEE_CONFIG_DISCRIMINATOR, FEE_CONFIG_LENS, FeeConfig, FeeTier, Fees, Recipients, Schedule,
    USDC, WRAPPED_SOL, decode_fee_config,
};
use sniper_core::amm::pump_swap::{
    self, Config, Curve, FLAG_NO_BUY, FLAG_NO_SELL, GLOBAL_CONFIG_LENS, Inputs, Keys, POOL_LENS,
    PoolState, Swap, decode_config, decode_pool,
};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::{Atoms, Price};

const CLOCK: Clock =
    Clock { now: 1_750_000_000, slot: sniper_core::units::Slot::new(1), epoch: 800 };

prop_compose! {
    /// Rates that leave something.
    fn fees()(lp_bps in 0_u64..=300, protocol_bps in 0_u64..=300, creator_bps in 0_u64..=300) -> Fees {
        Fees { lp_bps, protocol_bps, creator_bps }
    }
}

fn fee_config() -> impl Strategy<Value = FeeConfig> {
    (fees(), prop::collection::vec((any::<u64>(), fees()), 1..5), fees()).prop_map(
        |(flat, tiers, exotic)| {
            let tier = |(cap, fees)| FeeTier { market_cap: u128::from(cap), fees };
            let mut tiers: Vec<_> = tiers.into_iter().map(tier).collect();
            tiers.sort_by_key(|tier| tier.market_cap);
            FeeConfig { flat, stable_tiers: tiers.clone(), tiers, exotic }
        },
    )
}

fn schedule() -> impl Strategy<Value = Schedule> {
    use Schedule::{Exotic, Flat, Sol, Stable};
    prop_oneof![Just(Flat), Just(Sol), Just(Stable), Just(Exotic)]
}

/// A pool with all that its quotes depend on.
#[derive(Clone, Debug)]
struct Pool {
    state: PoolState,
    vaults: [u64; 2],
    supply: u64,
    config: Config,
    fee_config: FeeConfig,
    schedule: Schedule,
}

impl Pool {
    fn curve(&self) -> Result<Curve, QuoteError> {
        Curve::new(&Inputs {
            pool: &self.state,
            vaults: self.vaults.map(Atoms::new),
            base_supply: Atoms::new(self.supply),
            config: &self.config,
            fee_config: &self.fee_config,
            schedule: self.schedule,
            transfer_fees: [TransferFee::NONE; 2],
        })
    }

    /// The pool as the program leaves it after a swap.
    fn after(mut self, swap: &Swap) -> Self {
        let kept = swap.quote_before_fees.get();
        let [base, quote] = &mut self.vaults;
        if swap.forward {
            *base += swap.base.get();
            *quote -= kept - swap.lp_fee.get();
        } else {
            *base -= swap.base.get();
            *quote += kept + swap.lp_fee.get();
        }
        self
    }

    fn product(&self) -> u128 {
        let [base, quote] = self.curve().unwrap().reserves().map(|side| u128::from(side.get()));
        base * quote
    }
}

prop_compose! {
    /// Some pool with money in it.
    fn pool()(
        vaults in prop::array::uniform2((1_u64 << 20)..1 << 56), virtual_quote in -(1_i128 << 19)..1 << 50,
        supply: u64, creator_fee_bps in 0_u64..=1_000, flags: [bool; 3],
        fee_config in fee_config(), schedule in schedule(),
    ) -> Pool {
        let [has_creator, mayhem, creator_fee_configurable] = flags;
        Pool {
            state: PoolState {
                lp_supply: Atoms::ZERO, virtual_quote, creator_fee_bps, has_creator, mayhem,
            },
            vaults, supply, fee_config, schedule,
            config: Config { disable_flags: 0, creator_fee_configurable },
        }
    }
}

/// What one direction can ask for, small and large.
fn amount() -> impl Strategy<Value = Atoms> {
    prop_oneof![1_u64..100, 1_u64..1 << 24, 1_u64..1 << 50].prop_map(Atoms::new)
}

proptest! {
    #[test]
    fn a_round_trip_never_profits(pool in pool(), forward: bool, amount in amount()) {
        let Ok(there) = pool.curve().unwrap().swap_exact_in(forward, amount, &CLOCK) else {
            return Ok(());
        };
        let got = there.quote().amount_out;
        let turned = pool.after(&there).curve().unwrap();
        if let Ok(back) = turned.quote_exact_in(!forward, got, &CLOCK) {
            prop_assert!(back.amount_out <= amount, "{} -> {}", amount, back.amount_out);
        }
    }

    /// Fails on any answer or refusal that the short way gives otherwise than the one that tells the fees apart.
    #[test]
    fn a_quote_is_the_swap_in_short(pool in pool(), forward: bool, amount in amount()) {
        let curve = pool.curve().unwrap();
        let short = |swap: Result<Swap, QuoteError>| swap.map(|swap| swap.quote());
        for amount in [amount, Atoms::ZERO, Atoms::new(amount.get() >> 32)] {
            prop_assert_eq!(
                curve.quote_exact_in(forward, amount, &CLOCK),
                short(curve.swap_exact_in(forward, amount, &CLOCK))
            );
            prop_assert_eq!(
                curve.quote_exact_out(forward, amount, &CLOCK),
                short(curve.swap_exact_out(forward, amount, &CLOCK))
            );
        }
    }

    #[test]
    fn a_swap_never_shrinks_the_product_of_the_reserves(
        pool in pool(), forward: bool, amount in amount(), exact_in: bool,
    ) {
        let curve = pool.curve().unwrap();
        let swap = if exact_in {
            curve.swap_exact_in(forward, amount, &CLOCK)
        } else {
            curve.swap_exact_out(forward, amount, &CLOCK)
        };
        if let Ok(swap) = swap {
            prop_assert!(pool.clone().after(&swap).product() >= pool.product());
        }
    }

    /// Three fees that are each rounded up can grow by three where the amount grows by one.
    #[test]
    fn more_in_gives_no_less_out_but_for_rounding_and_never_empties_the_pool(
        pool in pool(), forward: bool, low in amount(), more in amount(),
    ) {
        let curve = pool.curve().unwrap();
        let [base, quote] = curve.reserves().map(Atoms::get);
        let high = low.checked_add(more).unwrap();
        let of = |amount| curve.quote_exact_in(forward, amount, &CLOCK);
        if let (Ok(small), Ok(large)) = (of(low), of(high)) {
            let slack = if forward { 2 } else { 2 * (base / quote + 1) };
            prop_assert!(small.amount_out.get() <= large.amount_out.get() + slack);
            prop_assert!(large.amount_out.get() <= pool.vaults[usize::from(forward)]);
            let reserve = if forward { quote } else { base };
            prop_assert!(large.amount_out.get() < reserve);
        }
    }

    /// Asking for what an exact input gave costs at most that input, and what it costs gives as much but for rounding.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(pool in pool(), forward: bool, amount in amount()) {
        let curve = pool.curve().unwrap();
        let Ok(sold) = curve.quote_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        let bought = curve.quote_exact_out(forward, sold.amount_out, &CLOCK).unwrap();
        prop_assert_eq!(bought.amount_out, sold.amount_out);
        prop_assert!(bought.amount_in <= amount, "{} > {}", bought.amount_in, amount);
        let again = curve.quote_exact_in(forward, bought.amount_in, &CLOCK);
        let again = again.map_or(0, |quote| quote.amount_out.get());
        let [base, quote] = curve.reserves().map(Atoms::get);
        let slack = if forward { 2 } else { 4 * (base / quote + 1) };
        let missing = sold.amount_out.get().saturating_sub(again);
        prop_assert!(missing <= slack, "{} missing", missing);
    }

    #[test]
    fn the_parts_of_a_swap_add_up(pool in pool(), forward: bool, amount in amount()) {
        let Ok(swap) = pool.curve().unwrap().swap_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        let (before, user, fee) =
            (swap.quote_before_fees.get(), swap.user_quote.get(), swap.fee().get());
        if forward {
            prop_assert_eq!(before - fee, user);
        } else {
            prop_assert!(before + fee <= user && user - before - fee <= 2, "{} + {} {}", before, fee, user);
        }
    }

    #[test]
    fn a_price_moves_with_the_swap(pool in pool(), forward: bool, amount in amount()) {
        let curve = pool.curve().unwrap();
        let Ok(detail) = curve.detail_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        prop_assert_eq!(Some(detail.price_before), curve.spot_price());
        let swap = curve.swap_exact_in(forward, amount, &CLOCK).unwrap();
        prop_assert_eq!(detail.quote, swap.quote());
        prop_assert_eq!(Some(detail.price_after), pool.after(&swap).curve().unwrap().spot_price());
        let (low, high) = if forward {
            (detail.price_after, detail.price_before)
        } else {
            (detail.price_before, detail.price_after)
        };
        prop_assert!(low <= high);
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        vaults in prop::array::uniform2(prop_oneof![Just(0), Just(1), any::<u64>(), Just(u64::MAX)]),
        virtual_quote in prop_oneof![Just(0), any::<i128>(), any::<i64>().prop_map(i128::from)],
        supply: u64, rates: [u64; 4], small: bool, flags: [bool; 3], disable_flags: u8,
        amount: u64, forward: bool, schedule in schedule(), market_cap: u128, tiers in 0_usize..3,
    ) {
        let [lp_bps, protocol_bps, creator_bps, creator_fee_bps] =
            rates.map(|rate| if small { rate % 4_000 } else { rate });
        let fees = Fees { lp_bps, protocol_bps, creator_bps };
        let tiers = vec![FeeTier { market_cap, fees }; tiers];
        let [has_creator, mayhem, creator_fee_configurable] = flags;
        let pool = Pool {
            state: PoolState {
                lp_supply: Atoms::MAX, virtual_quote, creator_fee_bps, has_creator, mayhem,
            },
            vaults, supply, schedule,
            config: Config { disable_flags, creator_fee_configurable },
            fee_config: FeeConfig { flat: fees, stable_tiers: tiers.clone(), tiers, exotic: fees },
        };
        let Ok(curve) = pool.curve() else { return Ok(()) };
        for amount in [0, 1, amount & 0xff, amount >> 32, amount, u64::MAX].map(Atoms::new) {
            let sold = curve.swap_exact_in(forward, amount, &CLOCK);
            let bought = curve.swap_exact_out(forward, amount, &CLOCK);
            for swap in [sold, bought].into_iter().flatten() {
                let quote = swap.quote();
                prop_assert!(quote.amount_in > Atoms::ZERO && quote.amount_out > Atoms::ZERO);
                prop_assert!(quote.amount_out.get() <= vaults[usize::from(forward)]);
            }
            let details = [
                curve.detail_exact_in(forward, amount, &CLOCK),
                curve.detail_exact_out(forward, amount, &CLOCK),
            ];
            for (swap, detail) in [sold, bought].into_iter().zip(details) {
                let same = detail.map(|detail| detail.quote) == swap.map(|swap| swap.quote());
                prop_assert!(same || detail == Err(QuoteError::NoLiquidity));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(
        mut data in prop::collection::vec(any::<u8>(), 0..1_100), length in 0_usize..16, head in 0_usize..4,
        tiers in 0_u8..120,
    ) {
        let lengths = [&POOL_LENS[..], &GLOBAL_CONFIG_LENS, &FEE_CONFIG_LENS].concat();
        data.resize(lengths.get(length).copied().unwrap_or(data.len()), 1);
        let heads = [
            None, Some(pump_swap::POOL_DISCRIMINATOR), Some(pump_swap::GLOBAL_CONFIG_DISCRIMINATOR),
            Some(FEE_CONFIG_DISCRIMINATOR),
        ];
        if let (Some(head), Some(start)) = (heads[head], data.get_mut(..8)) {
            start.copy_from_slice(&head);
        }
        if let (3, Some(count)) = (head, data.get_mut(65..69)) {
            count.copy_from_slice(&[tiers, 0, 0, 0]);
        }
        let is = |nth: usize, lengths: &[usize]| {
            let fits = lengths.contains(&data.len()) || data.len() > *lengths.last().unwrap();
            fits && data.get(..8) == heads[nth].as_ref().map(|head| &head[..])
        };
        prop_assert_eq!(decode_pool(&data).is_ok(), is(1, &POOL_LENS));
        prop_assert_eq!(decode_config(&data).is_ok(), is(2, &GLOBAL_CONFIG_LENS));
        if let Ok(account) = decode_fee_config(&data) {
            prop_assert!(is(3, &FEE_CONFIG_LENS) && !account.config.tiers.is_empty());
        }
    }
}

fn plain() -> Pool {
    let fees = Fees { lp_bps: 20, protocol_bps: 5, creator_bps: 100 };
    Pool {
        state: PoolState { has_creator: true, ..PoolState::default() },
        vaults: [1_000_000, 3_000_000],
        supply: 10_000_000,
        config: Config::default(),
        fee_config: FeeConfig { flat: fees, ..FeeConfig::default() },
        schedule: Schedule::Flat,
    }
}

#[test]
fn what_is_switched_off_is_refused_in_its_direction_alone() {
    for (flag, off) in [(FLAG_NO_SELL, true), (FLAG_NO_BUY, false)] {
        let mut pool = plain();
        pool.config.disable_flags = flag;
        let curve = pool.curve().unwrap();
        for forward in [true, false] {
            let quotes = [
                curve.quote_exact_in(forward, Atoms::new(1_000), &CLOCK),
                curve.quote_exact_out(forward, Atoms::new(1_000), &CLOCK),
            ];
            for quote in quotes {
                assert_eq!(quote == Err(QuoteError::Paused), forward == off);
            }
        }
    }
}

#[test]
fn fees_that_wait_in_the_vault_count_neither_for_the_price_nor_against_a_sale() {
    let mut pool = plain();
    let before = pool.curve().unwrap();
    pool.vaults[1] += 500_000;
    pool.state.virtual_quote = -500_000;
    let after = pool.curve().unwrap();
    assert_eq!(after.spot_price(), Price::of(3, 1));
    for forward in [true, false] {
        let quote = |curve: &Curve| curve.quote_exact_in(forward, Atoms::new(12_345), &CLOCK);
        assert_eq!(quote(&before), quote(&after));
    }
    pool.state.virtual_quote = -3_500_000;
    assert_eq!(pool.curve(), Err(QuoteError::NoLiquidity));
    pool.state.virtual_quote = i128::from(u64::MAX);
    assert_eq!(pool.curve(), Err(QuoteError::Overflow));
}

#[test]
fn a_sale_is_paid_from_the_vault_alone() {
    let mut pool = plain();
    pool.state.virtual_quote = 3_000_000;
    let curve = pool.curve().unwrap();
    let sell = |amount| curve.quote_exact_in(true, Atoms::new(amount), &CLOCK);
    assert!(sell(990_000).is_ok());
    assert_eq!(sell(1_100_000), Err(QuoteError::NoLiquidity));
    let want = Atoms::new(2_999_999);
    assert_eq!(curve.quote_exact_out(true, want, &CLOCK), Err(QuoteError::NoLiquidity));
}

#[test]
fn a_mint_with_a_transfer_fee_gives_no_curve() {
    let pool = plain();
    let curve = Curve::new(&Inputs {
        pool: &pool.state,
        vaults: pool.vaults.map(Atoms::new),
        base_supply: Atoms::new(pool.supply),
        config: &pool.config,
        fee_config: &pool.fee_config,
        schedule: pool.schedule,
        transfer_fees: [TransferFee { max: 1, bps: 1 }, TransferFee::NONE],
    });
    assert_eq!(curve, Err(QuoteError::Unsupported));
}

#[test]
fn the_market_cap_picks_the_tier_that_it_has_reached() {
    let fees = |lp_bps| Fees { lp_bps, protocol_bps: 0, creator_bps: 0 };
    let tier = |market_cap, lp_bps| FeeTier { market_cap, fees: fees(lp_bps) };
    let mut config = FeeConfig {
        flat: fees(1),
        tiers: vec![tier(10, 2), tier(20, 3)],
        stable_tiers: Vec::new(),
        exotic: fees(0),
    };
    for (cap, lp_bps) in [(0, 2), (10, 2), (19, 2), (20, 3), (u128::MAX, 3)] {
        assert_eq!(config.fees(Schedule::Sol, cap), Some(fees(lp_bps)), "{cap}");
        assert_eq!(config.fees(Schedule::Stable, cap), Some(fees(lp_bps)), "{cap}");
    }
    assert_eq!(config.fees(Schedule::Exotic, 20), Some(fees(1)), "not set");
    config.exotic = fees(4);
    config.stable_tiers = vec![tier(0, 5)];
    assert_eq!(config.fees(Schedule::Exotic, 20), Some(fees(4)));
    assert_eq!(config.fees(Schedule::Stable, 20), Some(fees(5)));
    assert_eq!(config.fees(Schedule::Flat, 20), Some(fees(1)));
    assert_eq!(FeeConfig::default().fees(Schedule::Sol, 0), None);
    assert_eq!(Schedule::of_coin(&Address::default()), Schedule::Sol);
    assert_eq!(Schedule::of_coin(&WRAPPED_SOL), Schedule::Sol);
    assert_eq!(Schedule::of_coin(&USDC), Schedule::Stable);
    assert_eq!(Schedule::of_coin(&pump_swap::PROGRAM_ID), Schedule::Exotic);
}

/// No vector has a purchase by its input: it differs from one by its output in its data alone.
#[test]
fn a_purchase_by_its_input_names_the_same_accounts_as_one_by_its_output() {
    let key = |byte| Address::new_from_array([byte; 32]);
    let (_, pool) = decode_pool(&{
        let mut data = vec![3; POOL_LENS[6]];
        data[..8].copy_from_slice(&pump_swap::POOL_DISCRIMINATOR);
        data
    })
    .unwrap();
    let recipients = Recipients { protocol: key(4), buyback: key(5) };
    let keys = Keys::new(&pool, [key(6); 2], recipients);
    let build = |forward, amount| {
        let accounts = SwapAccounts { owner: key(7), source: key(8), destination: key(9) };
        pump_swap::swap_instruction(key(1), &keys, [key(2), key(3)], forward, amount, accounts)
    };
    let [one, two] = [1, 2].map(Atoms::new);
    let by_input = LegAmount::ExactIn { amount_in: one, min_out: two };
    let by_output = LegAmount::ExactOut { amount_out: one, max_in: two };
    let (input, output) = (build(false, by_input).unwrap(), build(false, by_output).unwrap());
    assert_eq!(input.accounts, output.accounts);
    assert_eq!(input.data[8..], output.data[8..]);
    assert_eq!(input.data[..8], [0xc6, 0x2e, 0x15, 0x52, 0xb4, 0xd9, 0xe8, 0x70]);
    assert!(build(true, by_input).is_some());
    assert_eq!(build(true, by_output), None, "no sale by its output");
}
