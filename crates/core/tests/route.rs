//! Routes are the best there are, and say why pools were left out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;
use sniper_core::amm::QuoteError;
use sniper_core::ids::{MintId, PoolId};
use sniper_core::market::Market;
use sniper_core::order::{Hop, Route};
use sniper_core::route::{Designated, Index, NoRoute, Routed, best_route};
use sniper_core::units::{Atoms, Bps, Price};
use support::web::Web;
use support::{USDC, WSOL};

fn indexed(web: &Web) -> Index {
    let mut index = Index::new();
    index.announce(&web.market);
    index
}

fn route(web: &Web, mints: [MintId; 2], amount: u64, hops: usize) -> Result<Routed, NoRoute> {
    let amount = Atoms::new(amount);
    best_route(&web.market, &indexed(web), mints, amount, hops, Bps::capped(50))
}

/// What each hop gives; `None` when one gives nothing.
fn outs(market: &Market, hops: &[Hop], amount: u64) -> Option<Vec<u64>> {
    let mut amount = Atoms::new(amount);
    let mut outs = vec![];
    for hop in hops {
        let pool = market.pool(hop.pool)?;
        if !pool.live.is_settled() {
            return None;
        }
        amount = market.quote(*hop, amount).ok()?.amount_out;
        outs.push(amount.get());
    }
    Some(outs)
}

/// Every chain of pools from one mint to another without a pool or a mint twice.
fn all(
    market: &Market,
    mints: [MintId; 2],
    left: usize,
    so_far: &[Hop],
    found: &mut Vec<Vec<Hop>>,
) {
    let [from, to] = mints;
    if from == to {
        found.push(so_far.to_vec());
        return;
    }
    if left == 0 {
        return;
    }
    for (nth, pool) in market.pools().iter().enumerate() {
        let [a, b] = pool.spec.mints;
        for (mint_in, mint_out) in [(a, b), (b, a)] {
            let seen = so_far.iter().any(|hop| hop.mint_in == mint_out);
            if mint_in == from && mint_out != from && !seen {
                let hop = Hop { pool: PoolId(nth as u32), mint_in, mint_out };
                let hops: Vec<Hop> = so_far.iter().copied().chain([hop]).collect();
                all(market, [mint_out, to], left - 1, &hops, found);
            }
        }
    }
}

/// A chain of pools and what each gives.
type Tried = (Vec<Hop>, Vec<u64>);

/// The best route by trying all of them, with the rule for equals as it is documented.
fn brute(market: &Market, mints: [MintId; 2], amount: u64, hops: usize) -> Option<(Route, u64)> {
    let mut routes = vec![];
    all(market, mints, hops, &[], &mut routes);
    let pools = |hops: &[Hop]| -> Vec<PoolId> { hops.iter().map(|hop| hop.pool).collect() };
    let mut ways: BTreeMap<Vec<MintId>, Vec<Tried>> = BTreeMap::new();
    for hops in routes {
        if let Some(outs) = outs(market, &hops, amount) {
            let mints = hops.iter().map(|hop| hop.mint_out).collect();
            ways.entry(mints).or_default().push((hops, outs));
        }
    }
    let best = ways.into_values().map(|same_mints| {
        same_mints
            .into_iter()
            .min_by_key(|(hops, outs)| {
                let by_hop: Vec<_> =
                    outs.iter().zip(pools(hops)).map(|(out, pool)| (Reverse(*out), pool)).collect();
                (Reverse(*outs.last().unwrap()), by_hop)
            })
            .unwrap()
    });
    best.min_by_key(|(hops, outs)| (Reverse(*outs.last().unwrap()), hops.len(), pools(hops)))
        .map(|(hops, outs)| (hops.into_iter().collect(), *outs.last().unwrap()))
}

/// Reserves of any size, with the extremes.
fn side() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1_u64..3_000,
        4 => 1_000_000_u64..1 << 40,
        1 => Just(u64::MAX),
        1 => any::<u64>(),
        1 => Just(1_u64),
        1 => Just(0_u64),
    ]
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..100, 1_u64..1 << 36, any::<u64>().prop_map(|x| x.max(1)), Just(u64::MAX)]
}

prop_compose! {
    fn pool()(a in 1_u16..6, b in 1_u16..6, vaults in [side(), side()],
              fee in prop_oneof![Just(100_u64), Just(2_500), Just(10_000)], torn in 0_u8..12)
        -> ([u16; 2], [u64; 2], u64, bool) {
        ([a, if a == b { b % 5 + 1 } else { b }], vaults, fee, torn == 0)
    }
}

fn build(pools: &[([u16; 2], [u64; 2], u64, bool)]) -> Web {
    let mut web = Web::new(5);
    for (mints, vaults, fee, torn) in pools {
        let id = web.add(*mints, *vaults, *fee);
        if *torn {
            web.tear(id, 1_000);
        }
    }
    web
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_route_is_the_one_that_trying_all_of_them_finds(
        pools in prop::collection::vec(pool(), 1..12),
        to in 2_u16..6, amount in amount(), hops in 1_usize..=3,
    ) {
        let web = build(&pools);
        let mints = [USDC, MintId(to)];
        let found = route(&web, mints, amount, hops);
        match (brute(&web.market, mints, amount, hops), found) {
            (Some((route, out)), Ok(found)) => {
                prop_assert_eq!(found.amount_out.get(), out);
                prop_assert_eq!(&found.route, &route);
                let given: Vec<u64> = found.quotes.iter().map(|quote| quote.amount_out.get()).collect();
                prop_assert_eq!(Some(given), outs(&web.market, &route, amount));
                prop_assert!(found.min_out > Atoms::ZERO && found.min_out <= found.amount_out);
                let least = u128::from(out) * 9_950;
                prop_assert!(u128::from(found.min_out.get()) * 10_000 >= least);
                prop_assert!(found.quotes.windows(2).all(|q| q[0].amount_out == q[1].amount_in));
            }
            (None, Err(NoRoute::Nothing { .. })) => {}
            (brute, found) => prop_assert!(false, "tried all: {brute:?}, found: {found:?}"),
        }
    }

    #[test]
    fn the_cost_of_a_swap_covers_its_fee_and_its_impact(
        base in 1_u64 << 30..1 << 50, quote in 1_u64 << 30..1 << 50, shift in 4_u32..14,
    ) {
        let mut web = Web::new(2);
        web.add([2, 1], [base, quote], 2_500);
        let amount = base >> shift;
        let found = route(&web, [WSOL, USDC], amount, 1).unwrap();
        // A constant-product pool gives a / (1 + a) of its price away for a share a of its reserve.
        let share = 10_000.0 / (1.0 + f64::from(1 << shift));
        let (cost, impact) = (f64::from(found.cost.get()), f64::from(found.impact.get()));
        prop_assert!(cost >= impact && cost <= share + 25.0 + 2.0, "{cost} {share}");
        prop_assert!((impact - share).abs() <= 0.002 * share + 2.0, "{impact} {share}");
    }
}

#[test]
fn the_first_announced_of_equal_pools_is_taken() {
    let mut web = Web::new(4);
    for _ in 0..3 {
        web.add([1, 2], [1 << 40, 1 << 40], 2_500);
    }
    let found = route(&web, [USDC, WSOL], 1_000_000, 3).unwrap();
    assert_eq!(found.route.iter().map(|hop| hop.pool).collect::<Vec<_>>(), [PoolId(0)]);
}

#[test]
fn a_pool_that_refuses_the_most_is_reached_with_less() {
    let mut web = Web::new(3);
    web.add([1, 3], [1 << 40, 1 << 60], 2_500);
    web.add([1, 3], [1 << 40, 1 << 30], 2_500);
    // The vault cannot hold as much as the first pool gives.
    web.add([3, 2], [u64::MAX - (1 << 40), 1 << 60], 2_500);
    let found = route(&web, [USDC, WSOL], 1 << 36, 3).unwrap();
    assert_eq!(found.route.iter().map(|hop| hop.pool).collect::<Vec<_>>(), [PoolId(1), PoolId(2)]);
    assert_eq!(found.refused.of(QuoteError::Overflow), 1);
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut web = Web::new(3);
    web.add([1, 2], [1_000_000, 0], 2_500);
    let torn = web.add([1, 2], [1_000_000, 1_000_000], 2_500);
    web.tear(torn, 5);
    web.add([1, 2], [1 << 40, 5], 2_500);
    let Err(NoRoute::Nothing { refused }) = route(&web, [USDC, WSOL], 100, 3) else { panic!() };
    assert_eq!(refused.of(QuoteError::NoLiquidity), 1);
    assert_eq!(refused.of(QuoteError::TooSmall), 1);
    assert_eq!(refused.unsettled, 1);
    assert_eq!(refused.errors().len(), 2);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let web = Web::new(3);
    assert_eq!(route(&web, [USDC, USDC], 1, 1), Err(NoRoute::SameMint));
    assert_eq!(route(&web, [USDC, WSOL], 0, 1), Err(NoRoute::ZeroAmount));
    for hops in [0, 4] {
        assert_eq!(route(&web, [USDC, WSOL], 1, hops), Err(NoRoute::Hops { hops }));
    }
    assert!(matches!(route(&web, [USDC, MintId(77)], 1, 3), Err(NoRoute::Nothing { .. })));
}

#[test]
fn one_moved_pool_does_not_move_a_dollar_price() {
    let mut web = Web::new(3);
    let pools: Vec<PoolId> = [150, 151, 152, 900]
        .map(|price| web.add([2, 1], [1_000_000_000, price * 1_000_000_000], 2_500))
        .into();
    let direct = web.add([3, 2], [1_000_000_000, 2_000_000_000], 2_500);
    let mut designated = Designated::default();
    assert_eq!(designated.usd_reference(&web.market, WSOL), None);
    for pool in &pools {
        assert!(designated.add(&web.market, *pool));
        assert!(!designated.add(&web.market, *pool), "twice");
    }
    assert!(designated.add(&web.market, direct));
    assert!(!designated.add(&web.market, PoolId(99)), "unknown");
    // A millionth of a dollar per atom is a dollar per token of six decimals.
    let sol = designated.usd_reference(&web.market, WSOL).unwrap();
    assert_eq!((sol.price, sol.pool, sol.voices), (Price::of(151, 1).unwrap(), Some(pools[1]), 4));
    assert_eq!(designated.usd_reference(&web.market, MintId::SOL), Some(sol));
    let token = designated.usd_reference(&web.market, MintId(3)).unwrap();
    assert_eq!((token.price, token.pool), (Price::of(302, 1).unwrap(), Some(direct)));
    web.tear(pools[1], 7);
    let sol = designated.usd_reference(&web.market, WSOL).unwrap();
    assert_eq!((sol.pool, sol.voices), (Some(pools[2]), 3));
    assert_eq!(designated.usd_reference(&web.market, USDC).unwrap().price, Price::ONE);
}
