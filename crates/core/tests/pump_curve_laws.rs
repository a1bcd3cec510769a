//! Laws of the bonding curve's quote that hold for every state.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use sniper_core::amm::pump_curve::{
    self, CURVE_LENS, Config, Curve, CurveState, GLOBAL_LENS, Inputs, Keys, Swap, decode_config,
    decode_curve,
};
use sniper_core::amm::pump_fees::{FeeConfig, FeeTier, Fees, Recipients, Schedule};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

const CLOCK: Clock =
    Clock { now: 1_750_000_000, slot: sniper_core::units::Slot::new(1), epoch: 800 };

/// A curve with all that its quotes depend on.
#[derive(Clone, Debug)]
struct Coin {
    state: CurveState,
    supply: u64,
    config: Config,
    fee_config: Option<FeeConfig>,
    schedule: Schedule,
}

impl Coin {
    fn curve(&self) -> Result<Curve, QuoteError> {
        Curve::new(&Inputs {
            state: &self.state,
            supply: Atoms::new(self.supply),
            config: &self.config,
            fee_config: self.fee_config.as_ref(),
            schedule: self.schedule,
        })
    }

    /// The curve as the program leaves it after a swap.
    fn after(mut self, swap: &Swap) -> Self {
        let (tokens, quote) = (swap.tokens, swap.quote_before_fees);
        let CurveState { virtual_token, real_token, virtual_quote, real_quote, .. } =
            &mut self.state;
        for (tokens_held, quote_held) in [(virtual_token, virtual_quote), (real_token, real_quote)]
        {
            (*tokens_held, *quote_held) = if swap.forward {
                (tokens_held.checked_add(tokens).unwrap(), quote_held.checked_sub(quote).unwrap())
            } else {
                (tokens_held.checked_sub(tokens).unwrap(), quote_held.checked_add(quote).unwrap())
            };
        }
        self
    }

    fn product(&self) -> u128 {
        let [token, quote] = self.curve().unwrap().reserves().map(|side| u128::from(side.get()));
        token * quote
    }
}

prop_compose! {
    fn fees()(protocol_bps in 0_u64..=500, creator_bps in 0_u64..=500) -> Fees {
        Fees { lp_bps: 20, protocol_bps, creator_bps }
    }
}

prop_compose! {
    /// Some curve on which there is something to buy and something to sell.
    fn coin()(
        token in (1_u64 << 20)..1 << 56, quote in (1_u64 << 20)..1 << 56, left in 1_u64..1000, paid in 0_u64..1000,
        supply in prop_oneof![Just(1_000_000_000_000_000), any::<u64>()],
        creator_fee_bps in 0_u64..=1_000, flags: [bool; 4],
        tiers in prop::collection::vec((any::<u64>(), fees()), 1..5), flat in fees(),
    ) -> Coin {
        let [has_creator, mayhem, creator_fee_configurable, without] = flags;
        let tier = |(cap, fees)| FeeTier { market_cap: u128::from(cap), fees };
        let mut tiers: Vec<_> = tiers.into_iter().map(tier).collect();
        tiers.sort_by_key(|tier| tier.market_cap);
        Coin {
            state: CurveState {
                virtual_token: Atoms::new(token), virtual_quote: Atoms::new(quote),
                real_token: Atoms::new(token / 1000 * left), real_quote: Atoms::new(quote / 1000 * paid),
                creator_fee_bps, complete: false, has_creator, mayhem,
            },
            supply,
            config: Config { fee_bps: 95, creator_fee_bps: 30, creator_fee_configurable },
            fee_config: (!without).then(|| FeeConfig {
                flat, stable_tiers: Vec::new(), tiers, exotic: Fees::default(),
            }),
            schedule: Schedule::Sol,
        }
    }
}

/// What one direction can ask for, small and large.
fn amount() -> impl Strategy<Value = Atoms> {
    prop_oneof![1_u64..100, 1_u64..1 << 24, 1_u64..1 << 58].prop_map(Atoms::new)
}

proptest! {
    #[test]
    fn a_round_trip_never_profits(coin in coin(), forward: bool, amount in amount()) {
        let Ok(there) = coin.curve().unwrap().swap_exact_in(forward, amount, &CLOCK) else {
            return Ok(());
        };
        let turned = coin.after(&there).curve().unwrap();
        if let Ok(back) = turned.quote_exact_in(!forward, there.quote().amount_out, &CLOCK) {
            prop_assert!(back.amount_out <= amount, "{} -> {}", amount, back.amount_out);
        }
    }

    /// Fails on any answer or refusal that the short way gives otherwise than the one that tells the fees apart.
    #[test]
    fn a_quote_is_the_swap_in_short(coin in coin(), forward: bool, amount in amount()) {
        let curve = coin.curve().unwrap();
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
        coin in coin(), forward: bool, amount in amount(), exact_in: bool,
    ) {
        let curve = coin.curve().unwrap();
        let swap = if exact_in {
            curve.swap_exact_in(forward, amount, &CLOCK)
        } else {
            curve.swap_exact_out(forward, amount, &CLOCK)
        };
        if let Ok(swap) = swap {
            prop_assert!(coin.clone().after(&swap).product() >= coin.product());
        }
    }

    /// Two fees that are each rounded up can grow by two where a sale brings one more.
    #[test]
    fn more_in_gives_no_less_out_but_for_rounding_and_never_more_than_is_there(
        coin in coin(), forward: bool, low in amount(), more in amount(),
    ) {
        let curve = coin.curve().unwrap();
        let of = |amount| curve.quote_exact_in(forward, amount, &CLOCK);
        if let (Ok(small), Ok(large)) = (of(low), of(low.checked_add(more).unwrap())) {
            prop_assert!(small.amount_out.get() <= large.amount_out.get() + u64::from(forward));
            prop_assert!(large.amount_out <= curve.real_reserves()[usize::from(forward)]);
        }
    }

    /// What an exact input gave can be had for hardly more; a sale for it brings no less.
    #[test]
    fn an_exact_output_agrees_with_the_exact_input(coin in coin(), forward: bool, amount in amount()) {
        let curve = coin.curve().unwrap();
        let Ok(sold) = curve.quote_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        let bought = curve.quote_exact_out(forward, sold.amount_out, &CLOCK);
        if !forward && coin.supply != 1_000_000_000_000_000 && !coin.state.mayhem {
            // The SDK reckons the two ways to buy with other supplies, and so at other rates.
            prop_assert_eq!(bought.unwrap().amount_out, sold.amount_out);
            return Ok(());
        }
        if !forward {
            let bought = bought.unwrap();
            prop_assert_eq!(bought.amount_out, sold.amount_out);
            prop_assert!(bought.amount_in.get() <= amount.get() + 3, "{} > {}", bought.amount_in, amount);
        } else if let Ok(bought) = bought {
            prop_assert!(bought.amount_out >= sold.amount_out);
            let again = curve.quote_exact_in(true, bought.amount_in, &CLOCK);
            prop_assert_eq!(again, Ok(bought));
        }
    }

    #[test]
    fn a_price_moves_with_the_swap(coin in coin(), forward: bool, amount in amount()) {
        let curve = coin.curve().unwrap();
        let Ok(detail) = curve.detail_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        let swap = curve.swap_exact_in(forward, amount, &CLOCK).unwrap();
        prop_assert_eq!(detail.quote, swap.quote());
        prop_assert_eq!(Some(detail.price_before), curve.spot_price());
        prop_assert_eq!(Some(detail.price_after), coin.after(&swap).curve().unwrap().spot_price());
    }

    #[test]
    fn the_parts_of_a_swap_add_up(coin in coin(), forward: bool, amount in amount()) {
        let Ok(swap) = coin.curve().unwrap().swap_exact_in(forward, amount, &CLOCK) else { return Ok(()) };
        let (before, user, fee) =
            (swap.quote_before_fees.get(), swap.user_quote.get(), swap.fee().get());
        if forward {
            prop_assert_eq!(before - fee, user);
        } else {
            prop_assert!(before + fee <= user, "{} + {} > {}", before, fee, user);
        }
    }

    /// Fails on wrong bounds checks or unguarded arithmetic: every field is free, overflow checks are on.
    #[test]
    fn extreme_states_never_panic(
        held in prop::array::uniform4(prop_oneof![Just(0), Just(1), any::<u64>(), Just(u64::MAX)]),
        supply: u64, rates: [u64; 4], small: bool, flags: [bool; 5], amount: u64, forward: bool,
        market_cap: u128, tiers in 0_usize..3,
    ) {
        let [lp_bps, protocol_bps, creator_bps, creator_fee_bps] =
            rates.map(|rate| if small { rate % 6_000 } else { rate });
        let fees = Fees { lp_bps, protocol_bps, creator_bps };
        let tiers = vec![FeeTier { market_cap, fees }; tiers];
        let [has_creator, mayhem, creator_fee_configurable, complete, without] = flags;
        let [virtual_token, virtual_quote, real_token, real_quote] = held.map(Atoms::new);
        let coin = Coin {
            state: CurveState {
                virtual_token, virtual_quote, real_token, real_quote,
                creator_fee_bps, complete, has_creator, mayhem,
            },
            supply,
            config: Config { fee_bps: rates[0], creator_fee_bps: rates[1], creator_fee_configurable },
            fee_config: (!without).then(|| FeeConfig {
                flat: fees, stable_tiers: tiers.clone(), tiers, exotic: fees,
            }),
            schedule: Schedule::Sol,
        };
        let curve = match coin.curve() {
            Ok(curve) => curve,
            Err(error) => {
                prop_assert_eq!(complete, error == QuoteError::Complete);
                return Ok(());
            }
        };
        for amount in [0, 1, amount & 0xff, amount >> 32, amount, u64::MAX].map(Atoms::new) {
            let sold = curve.swap_exact_in(forward, amount, &CLOCK);
            let bought = curve.swap_exact_out(forward, amount, &CLOCK);
            for swap in [sold, bought].into_iter().flatten() {
                let quote = swap.quote();
                prop_assert!(quote.amount_in > Atoms::ZERO && quote.amount_out > Atoms::ZERO);
                prop_assert!(quote.amount_out <= curve.real_reserves()[usize::from(forward)]);
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
        mut data in prop::collection::vec(any::<u8>(), 0..1_100), length in 0_usize..12, head in 0_usize..3,
    ) {
        let lengths = [&CURVE_LENS[..], &GLOBAL_LENS].concat();
        data.resize(lengths.get(length).copied().unwrap_or(data.len()), 1);
        let heads = [None, Some(pump_curve::CURVE_DISCRIMINATOR), Some(pump_curve::GLOBAL_DISCRIMINATOR)];
        if let (Some(head), Some(start)) = (heads[head], data.get_mut(..8)) {
            start.copy_from_slice(&head);
        }
        let is = |nth: usize, lengths: &[usize]| {
            let fits = lengths.contains(&data.len()) || data.len() > *lengths.last().unwrap();
            fits && data.get(..8) == heads[nth].as_ref().map(|head| &head[..])
        };
        prop_assert_eq!(decode_curve(&data).is_ok(), is(1, &CURVE_LENS));
        prop_assert_eq!(decode_config(&data).is_ok(), is(2, &GLOBAL_LENS));
    }
}

fn plain() -> Coin {
    Coin {
        state: CurveState {
            virtual_token: Atoms::new(1_073_000_000_000_000),
            virtual_quote: Atoms::new(30_000_000_000),
            real_token: Atoms::new(793_100_000_000_000),
            has_creator: true,
            ..CurveState::default()
        },
        supply: 1_000_000_000_000_000,
        config: Config { fee_bps: 95, creator_fee_bps: 30, creator_fee_configurable: false },
        fee_config: None,
        schedule: Schedule::Sol,
    }
}

#[test]
fn a_complete_curve_and_an_emptied_one_give_no_quote() {
    let mut coin = plain();
    coin.state.complete = true;
    assert_eq!(coin.curve(), Err(QuoteError::Complete));
    coin.state.complete = false;
    coin.state.virtual_token = Atoms::ZERO;
    assert_eq!(coin.curve(), Err(QuoteError::NoLiquidity));
}

#[test]
fn a_new_curve_sells_what_it_has_and_buys_nothing() {
    let curve = plain().curve().unwrap();
    let sale = curve.quote_exact_in(true, Atoms::new(1_000_000_000), &CLOCK);
    assert_eq!(sale, Err(QuoteError::NoLiquidity), "nobody can own what it has not sold");
    let left = curve.real_reserves()[0];
    let all = curve.quote_exact_in(false, Atoms::new(1_000_000_000_000), &CLOCK).unwrap();
    assert_eq!(all.amount_out, left);
    let more = left.checked_add(Atoms::new(1)).unwrap();
    assert!(curve.quote_exact_out(false, left, &CLOCK).is_ok());
    assert_eq!(curve.quote_exact_out(false, more, &CLOCK), Err(QuoteError::NoLiquidity));
}

/// No vector has a purchase by its input: it differs from one by its output in its data alone.
#[test]
fn a_purchase_by_its_input_names_the_same_accounts_as_one_by_its_output() {
    let key = |byte| Address::new_from_array([byte; 32]);
    let (_, curve) = decode_curve(&{
        let mut data = vec![3; CURVE_LENS[6]];
        data[..8].copy_from_slice(&pump_curve::CURVE_DISCRIMINATOR);
        data
    })
    .unwrap();
    let recipients = Recipients { protocol: key(4), buyback: key(5) };
    let keys = Keys::new(&curve, &key(2), [key(6); 2], recipients);
    let accounts = SwapAccounts { owner: key(7), source: key(8), destination: key(9) };
    let build = |forward, amount| {
        let mints = [key(2), key(3)];
        let new = pump_curve::swap_instruction(key(1), &keys, mints, forward, amount, accounts);
        let old =
            pump_curve::legacy_swap_instruction(key(1), &keys, key(2), forward, amount, accounts);
        [new, old]
    };
    let [one, two] = [1, 2].map(Atoms::new);
    let by_input = LegAmount::ExactIn { amount_in: one, min_out: two };
    let by_output = LegAmount::ExactOut { amount_out: one, max_in: two };
    let heads = [
        [0xc2, 0xab, 0x1c, 0x46, 0x68, 0x4d, 0x5b, 0x2f],
        [0x38, 0xfc, 0x74, 0x08, 0x9e, 0xdf, 0xcd, 0x5f],
    ];
    for ((input, output), head) in
        build(false, by_input).into_iter().zip(build(false, by_output)).zip(heads)
    {
        let (input, output) = (input.unwrap(), output.unwrap());
        assert_eq!(input.accounts, output.accounts);
        assert_eq!(input.data[8..], output.data[8..]);
        assert_eq!(input.data[..8], head);
    }
    assert!(build(true, by_input).iter().all(Option::is_some));
    assert_eq!(build(true, by_output), [None, None], "no sale by its output");
}
