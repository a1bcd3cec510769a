//! Splits: near the best, and never further from it than they say.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::amm::amm_v4::{self, Fraction};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Clock, QuoteError, cpmm};
use sniper_core::ids::{MintId, PoolId};
use sniper_core::order::{Hop, Route};
use sniper_core::route::{
    Given, Index, Leg, SplitError, best_parts, best_split, proven_gap, split_routes,
};
use sniper_core::units::Atoms;
use support::web::Web;
use support::{USDC, WSOL};

#[derive(Clone, Copy, Debug)]
enum Curve {
    Cpmm(cpmm::Curve),
    V4(amm_v4::Curve),
}

impl Curve {
    fn new([a, b]: [u64; 2], fee: u64, v4: bool, creator: u64) -> Self {
        let vaults = [Atoms::new(a), Atoms::new(b)];
        if v4 {
            let pool = amm_v4::PoolState {
                status: amm_v4::STATUS_SWAP_ONLY,
                swap_fee: Fraction { numerator: fee, denominator: 1_000_000 },
                ..amm_v4::PoolState::default()
            };
            return Self::V4(amm_v4::Curve::new(vaults, &pool).unwrap());
        }
        let config = cpmm::Config {
            trade_fee_rate: fee,
            creator_fee_rate: creator,
            ..cpmm::Config::default()
        };
        // The creator's fee is taken from what comes out.
        let pool = cpmm::PoolState {
            creator_fee_on: 2,
            enable_creator_fee: creator > 0,
            ..cpmm::PoolState::default()
        };
        let fees = [TransferFee::NONE; 2];
        Self::Cpmm(cpmm::Curve::new(vaults, &pool, &config, fees).unwrap())
    }

    fn give(&self, input: u64) -> Given {
        let input = Atoms::new(input);
        let quote = match self {
            Self::Cpmm(curve) => curve.quote_exact_in(true, input, 0),
            Self::V4(curve) => curve.quote_exact_in(true, input, &Clock::default()),
        };
        match quote {
            Ok(quote) => Given::Out(quote.amount_out.get()),
            Err(QuoteError::TooSmall) => Given::Out(0),
            Err(_) => Given::TooMuch,
        }
    }

    fn rounding(&self) -> u64 {
        let [a, b] = match self {
            Self::Cpmm(curve) => curve.reserves(),
            Self::V4(curve) => curve.reserves(),
        };
        3 + 3 * b.get().div_ceil(a.get())
    }
}

fn legs(curves: &[Curve]) -> Vec<Leg> {
    curves.iter().map(|curve| Leg { rounding: curve.rounding() }).collect()
}

fn total(curves: &[Curve], shares: &[u64]) -> Option<u64> {
    curves.iter().zip(shares).try_fold(0, |sum, (curve, share)| match curve.give(*share) {
        _ if *share == 0 => Some(sum),
        Given::Out(out) => Some(sum + out),
        Given::TooMuch => None,
    })
}

fn brute(curves: &[Curve], amount: u64) -> u64 {
    let splits = |amount: u64| (0..=amount).map(move |first| [first, amount - first]);
    let best = match curves.len() {
        2 => splits(amount).filter_map(|s| total(curves, &s)).max(),
        _ => splits(amount)
            .flat_map(|[first, rest]| {
                splits(rest).map(move |[second, third]| [first, second, third])
            })
            .filter_map(|s| total(curves, &s))
            .max(),
    };
    best.unwrap()
}

prop_compose! {
    fn small()(vaults in [20_u64..5_000, 20_u64..5_000], fee in 1_u64..30_000, v4 in any::<bool>(),
               creator in prop_oneof![Just(0_u64), 1_u64..20_000]) -> Curve {
        Curve::new(vaults, fee, v4, creator)
    }
}

prop_compose! {
    fn any_size()(a in 10_u32..63, b in 10_u32..63, noise in any::<[u16; 2]>(), fee in 1_u64..30_000,
                  v4 in any::<bool>()) -> Curve {
        let side = |bits: u32, noise: u16| (1_u64 << bits) + ((1_u64 << bits) >> 16) * u64::from(noise);
        Curve::new([side(a, noise[0]), side(b, noise[1])], fee, v4, 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_split_of_small_pools_is_nearly_the_best_and_its_bound_holds(
        curves in prop::collection::vec(small(), 2..4), amount in 1_u64..160,
    ) {
        let parts = best_parts(&legs(&curves), amount, |leg, input| curves[leg].give(input)).unwrap();
        prop_assert_eq!(parts.shares.iter().sum::<u64>(), amount);
        prop_assert_eq!(total(&curves, &parts.shares), Some(parts.out));
        let best = brute(&curves, amount);
        prop_assert!(best >= parts.out);
        let gap = parts.gap.unwrap();
        prop_assert!(best <= parts.out + gap, "best {best}, found {} and {gap}", parts.out);
        // What rounding hides: about an atom of input and one of output for each way.
        let most: u64 = curves.iter().map(|curve| curve.rounding() / 3).sum();
        prop_assert!(best - parts.out <= most, "best {best}, found {}", parts.out);
    }

    #[test]
    fn the_bound_of_a_bad_split_holds_and_is_no_idle_talk(
        curves in prop::collection::vec(small(), 2..4), amount in 2_u64..160, cuts in any::<[u16; 2]>(),
    ) {
        let first = u64::from(cuts[0]) % (amount + 1);
        let second = if curves.len() == 2 { amount - first } else { u64::from(cuts[1]) % (amount - first + 1) };
        let mut shares = vec![first, second];
        shares.resize(curves.len(), amount - first - second);
        let gap = proven_gap(&legs(&curves), &shares, |leg, input| curves[leg].give(input)).unwrap();
        let (best, out) = (brute(&curves, amount), total(&curves, &shares).unwrap());
        prop_assert!(best <= out + gap, "best {best}, {shares:?} gives {out} and {gap}");
    }

    #[test]
    fn the_bound_holds_against_any_other_split_at_any_size(
        curves in prop::collection::vec(any_size(), 2..6), bits in 8_u32..62, seed in any::<u64>(),
    ) {
        let amount = (1_u64 << bits) + (seed & ((1 << bits) - 1));
        let give = |leg: usize, input| curves[leg].give(input);
        let Some(parts) = best_parts(&legs(&curves), amount, give) else { return Ok(()) };
        prop_assert_eq!(parts.shares.iter().map(|s| u128::from(*s)).sum::<u128>(), u128::from(amount));
        prop_assert_eq!(total(&curves, &parts.shares), Some(parts.out));
        let Some(gap) = parts.gap else { return Ok(()) };
        let mut state = seed;
        for nth in 0..200_u32 {
            // Near the split and far from it: pieces of every size move from one way to another.
            let mut shares: Vec<u64> = parts.shares.to_vec();
            for _ in 0..=nth % 3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (from, to) = ((state >> 40) as usize % shares.len(), (state >> 50) as usize % shares.len());
                let piece = (amount >> (nth % bits)).min(shares[from]);
                shares[from] -= piece;
                shares[to] += piece;
            }
            if let Some(other) = total(&curves, &shares) {
                prop_assert!(u128::from(other) <= u128::from(parts.out) + u128::from(gap),
                    "{shares:?} gives {other}; {:?} gives {} and {gap}", parts.shares, parts.out);
                // And the other way round: the bound of the other split holds against this one.
                if (seed % 100 + u64::from(nth)).is_multiple_of(100) && let Some(gap) = proven_gap(&legs(&curves), &shares, give) {
                    prop_assert!(u128::from(parts.out) <= u128::from(other) + u128::from(gap),
                        "{shares:?} gives {other} and {gap}; {:?} gives {}", parts.shares, parts.out);
                }
            }
        }
    }

    #[test]
    fn the_bound_is_tight_for_pools_of_use(
        sizes in prop::collection::vec((30_u32..48, 0_u64..1 << 20, 400_u64..10_000), 2..5), bits in 24_u32..44,
    ) {
        // The same price but for a tenth of a percent or so, with fees that differ.
        let curves: Vec<Curve> = sizes
            .iter()
            .map(|(bits, noise, fee)| {
                let side = 1_u64 << bits;
                Curve::new([side, 3 * (side + (side >> 30) * noise)], *fee, false, 0)
            })
            .collect();
        let amount = 1_u64 << bits;
        let parts = best_parts(&legs(&curves), amount, |leg, input| curves[leg].give(input)).unwrap();
        let gap = parts.gap.unwrap();
        // A millionth, and rounding.
        prop_assert!(gap <= parts.out / 1_000_000 + 100 * curves.len() as u64, "{gap} of {}", parts.out);
    }
}

#[test]
fn the_pools_of_a_pair_are_split_over_by_what_they_give() {
    let mut web = Web::new(3);
    web.add([2, 1], [1 << 40, 150 << 40], 2_500);
    web.add([2, 1], [1 << 39, 150 << 39], 2_500);
    let torn = web.add([1, 2], [150 << 42, 1 << 42], 2_500);
    web.tear(torn, 9);
    let mut index = Index::new();
    index.announce(&web.market);
    let amount = Atoms::new(3 << 32);
    let split = best_split(&web.market, &index, [WSOL, USDC], amount, 8).unwrap();
    let shares: Vec<(PoolId, u64)> =
        split.shares.iter().map(|share| (share.route[0].pool, share.amount_in.get())).collect();
    // Twice as deep takes twice as much.
    assert_eq!(shares.iter().map(|share| share.0).collect::<Vec<_>>(), [PoolId(0), PoolId(1)]);
    assert!(shares[0].1.abs_diff(2 << 32) < 1 << 20, "{shares:?}");
    assert_eq!(split.left_out, 1);
    let alone = best_split(&web.market, &index, [WSOL, USDC], amount, 1).unwrap();
    assert!(alone.amount_out < split.amount_out && alone.left_out == 2);
    assert!(split.gap.unwrap() < Atoms::new(10_000), "{:?}", split.gap);
}

#[test]
fn routes_that_share_a_pool_or_lead_elsewhere_are_not_split_over() {
    let mut web = Web::new(3);
    web.add([1, 2], [1 << 40, 1 << 40], 2_500);
    web.add([1, 3], [1 << 40, 1 << 40], 2_500);
    web.add([3, 2], [1 << 40, 1 << 40], 2_500);
    let hop = |pool, a, b| Hop { pool: PoolId(pool), mint_in: MintId(a), mint_out: MintId(b) };
    let direct: Route = [hop(0, 1, 2)].into_iter().collect();
    let around: Route = [hop(1, 1, 3), hop(2, 3, 2)].into_iter().collect();
    let amount = Atoms::new(1 << 34);
    let split = split_routes(&web.market, &[direct.clone(), around.clone()], amount).unwrap();
    assert_eq!(split.shares.len(), 2);
    let one = split_routes(&web.market, std::slice::from_ref(&direct), amount).unwrap();
    assert!(one.amount_out < split.amount_out);
    assert_eq!(one.amount_out, web.market.quote_route(&direct, amount).unwrap());
    let of = |routes: &[Route], amount| split_routes(&web.market, routes, amount);
    assert_eq!(
        of(&[direct.clone(), direct.clone()], amount),
        Err(SplitError::SharedPool { pool: PoolId(0) })
    );
    let elsewhere: Route = [hop(1, 1, 3)].into_iter().collect();
    assert_eq!(of(&[direct.clone(), elsewhere], amount), Err(SplitError::NotParallel { nth: 1 }));
    assert_eq!(of(&[], amount), Err(SplitError::NoPools));
    assert_eq!(of(std::slice::from_ref(&direct), Atoms::ZERO), Err(SplitError::ZeroAmount));
    assert_eq!(of(&[direct], Atoms::MAX), Err(SplitError::Refused));
}
