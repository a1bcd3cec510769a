//! Cycles: found as pools change, they are those that a search of everything finds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use std::cmp::Reverse;

use allocation_counter::measure;
use proptest::prelude::*;
use ruint::aliases::U256;
use sniper_core::amm::AccountUpdate;
use sniper_core::event::Event;
use sniper_core::ids::{MintId, PoolId};
use sniper_core::market::Market;
use sniper_core::order::{Hop, Route};
use sniper_core::route::{
    Costs, Cycle, DETOURS_MAX, Finder, Given, Index, LEG_POOLS_MAX, PARTNERS_MAX, QUOTES_MAX,
    SEARCHED_MAX, Start, TRIANGLES_MAX, Terms, Work, best_input, marginal,
};
use sniper_core::units::{Atoms, Price};
use support::web::Web;
use support::{USDC, WSOL, account, slot};

/// What an account of a mint that is neither dollar nor SOL takes, in lamports.
const RENT: u64 = 2_000;

/// The same in atoms of `start`; none while SOL or it has no price.
fn locked(market: &Market, start: MintId, rent: u64) -> Option<u64> {
    let value = market.value_up(MintId::SOL, Atoms::new(rent))?;
    market.atoms_up(start, value).map(Atoms::get)
}

/// Three swaps cost twice as much as two.
fn starts(cost: u64) -> [Start; 2] {
    let cost = Atoms::new(cost);
    let fees = [Atoms::ZERO, cost, Atoms::new(2 * cost.get())];
    let costs = Costs { fees, tip: cost, account: cost };
    let margin = Atoms::ZERO;
    [USDC, WSOL].map(|mint| Start { mint, most: Atoms::new(1 << 40), costs, margin })
}

/// Cycles through a pool by the index as it is, how many passed the screen, and what searching them took.
fn search(
    market: &Market,
    index: &Index,
    finder: &mut Finder,
    pool: PoolId,
    terms: &Terms<'_>,
) -> (Vec<Cycle>, u32, Work) {
    let mints: Vec<MintId> = terms.starts.iter().map(|start| start.mint).collect();
    let passed = finder.screen(index, pool, &mints, |_| true);
    let mut found = vec![];
    let work = finder.size(market, terms, &mut found);
    (found, passed, work)
}

/// Tells the index of a change to a pool that the market has taken.
fn notice(web: &Web, index: &mut Index, pool: PoolId) {
    // The index asks the pool; what the notice said is the market's.
    let update = AccountUpdate::Vault { second: false, amount: Atoms::ZERO };
    follow_event(web, index, &account(pool.0, web.slot, update));
}

/// The chain moves on, for the market and for the index.
fn pass(web: &mut Web, index: &mut Index) {
    web.pass();
    follow_event(web, index, &slot(web.slot));
}

fn follow_event(web: &Web, index: &mut Index, event: &Event) {
    let Event::Market(event) = event else { return };
    index.follow(&web.market, event);
}

fn times_up(a: Price, b: Price) -> Price {
    let product = U256::from(a.raw()) * U256::from(b.raw());
    let up: U256 = (product + U256::from(u64::MAX)) >> 64;
    Price::from_raw(up.try_into().unwrap_or(u128::MAX))
}

/// Rates of all pools of two mints, the best first.
fn ranked(market: &Market, mint_in: MintId, mint_out: MintId) -> Vec<(Reverse<Price>, Hop)> {
    let hops =
        (0..market.pools().len()).map(|id| Hop { pool: PoolId(id as u32), mint_in, mint_out });
    let mut rates: Vec<_> =
        hops.filter_map(|hop| Some((Reverse(marginal(market, hop)?), hop))).collect();
    rates.sort_by_key(|(rate, hop)| (*rate, hop.pool));
    rates
}

fn joins(market: &Market, a: MintId, b: MintId) -> Option<usize> {
    market.pools().iter().position(|pool| pool.spec.mints == [a, b] || pool.spec.mints == [b, a])
}

/// All cycles through a pool that the documented rules let through, found by looking at everything.
fn screened(market: &Market, pool: PoolId) -> Vec<(Reverse<Price>, Vec<PoolId>, Vec<Hop>)> {
    let [a, b] = market.pool(pool).unwrap().spec.mints;
    let mut found: Vec<(Reverse<Price>, Vec<PoolId>, Vec<Hop>)> = vec![];
    let mut take = |rate: Price, rest: Price, hops: Vec<Hop>| {
        if times_up(rate, rest) > Price::ONE {
            let pools = hops.iter().map(|hop| hop.pool).collect();
            found.push((Reverse(times_up(rate, rest)), pools, hops));
        }
    };
    for (mint_in, mint_out) in [(a, b), (b, a)] {
        let first = Hop { pool, mint_in, mint_out };
        let Some(rate) = marginal(market, first) else { continue };
        let partners = ranked(market, mint_out, mint_in);
        for (Reverse(back), hop) in
            partners.into_iter().filter(|(_, hop)| hop.pool != pool).take(PARTNERS_MAX)
        {
            take(rate, back, vec![first, hop]);
        }
        let mut vias: Vec<(Reverse<Price>, usize, MintId)> = vec![];
        let mut known = 0;
        for via in (1..market.mints().len() as u16).map(MintId).filter(|m| *m != a && *m != b) {
            let formed = joins(market, mint_out, via).zip(joins(market, via, mint_in));
            let Some(formed) = formed else { continue };
            known += 1;
            let best = |x, y| ranked(market, x, y).first().map(|(rate, _)| rate.0);
            let rest = best(mint_out, via).zip(best(via, mint_in)).map(|(x, y)| times_up(x, y));
            if let Some(rest) = rest.filter(|rest| times_up(rate, *rest) > Price::ONE) {
                vias.push((Reverse(rest), formed.0.max(formed.1), via));
            }
        }
        if known > TRIANGLES_MAX {
            vias.sort();
        }
        for (.., via) in vias.into_iter().take(DETOURS_MAX) {
            for (Reverse(x), middle) in
                ranked(market, mint_out, via).into_iter().take(LEG_POOLS_MAX)
            {
                for (Reverse(y), last) in
                    ranked(market, via, mint_in).into_iter().take(LEG_POOLS_MAX)
                {
                    take(rate, times_up(x, y), vec![first, middle, last]);
                }
            }
        }
    }
    found.retain(|(.., hops)| hops.iter().any(|hop| [USDC, WSOL].contains(&hop.mint_in)));
    found.sort_by_key(|(product, pools, _)| (*product, pools.clone()));
    found
}

fn give(market: &Market, hops: &[Hop], amount: u64) -> Given {
    let mut amount = Atoms::new(amount);
    for hop in hops {
        match market.quote(*hop, amount) {
            Ok(quote) => amount = quote.amount_out,
            Err(sniper_core::amm::QuoteError::TooSmall) => return Given::Out(0),
            Err(_) => return Given::TooMuch,
        }
    }
    Given::Out(amount.get())
}

/// What these cycles gain at their best sizes after costs.
fn gaining(market: &Market, pool: PoolId, cost: u64) -> Vec<Cycle> {
    let mut cycles = vec![];
    for (.., mut hops) in screened(market, pool).into_iter().take(SEARCHED_MAX) {
        let start =
            [USDC, WSOL].into_iter().find(|m| hops.iter().any(|h| h.mint_in == *m)).unwrap();
        while hops[0].mint_in != start {
            hops.rotate_left(1);
        }
        let (Some((amount_in, amount_out)), _) =
            best_input(|amount| give(market, &hops, amount), 1 << 40)
        else {
            continue;
        };
        // Dollars and SOL have accounts, other mints need one.
        let new = hops.iter().filter(|hop| ![USDC, WSOL].contains(&hop.mint_in)).count() as u64;
        let rent = if new == 0 { Some(0) } else { locked(market, start, RENT) };
        let Some(rent) = rent else { continue };
        // A dollar that is worth nothing makes an account dearer than any cycle.
        let costs =
            new.checked_mul(rent).and_then(|r| r.checked_add((hops.len() as u64 + new) * cost));
        let Some((costs, floor)) = costs.and_then(|c| Some((c, c.checked_add(amount_in)?))) else {
            continue;
        };
        if amount_out > floor {
            cycles.push(Cycle {
                route: hops.into_iter().collect::<Route>(),
                amount_in: Atoms::new(amount_in),
                amount_out: Atoms::new(amount_out),
                costs: Atoms::new(costs),
                profit: Atoms::new(amount_out - amount_in - costs),
                floor: Atoms::new(floor),
            });
        }
    }
    cycles.sort_by_key(|cycle| Reverse(cycle.profit));
    cycles
}

/// Applies moves one by one; after each, what the finder finds is what looking at everything finds.
fn follow(
    mut web: Web,
    moves: &[(usize, [u64; 2], u8)],
    cost: u64,
) -> Result<usize, TestCaseError> {
    let (mut index, mut finder) = (Index::new(), Finder::new());
    index.announce(&web.market);
    let starts = starts(cost);
    let terms = Terms { starts: &starts };
    let mut count = 0;
    for (pool, vaults, kind) in moves {
        let pool = PoolId((pool % web.market.pools().len()) as u32);
        if *kind == 0 {
            web.tear(pool, vaults[0]);
        } else {
            web.set(pool, *vaults);
        }
        notice(&web, &mut index, pool);
        if *kind == 1 {
            // Settles whatever else was torn, which must be found as well.
            pass(&mut web, &mut index);
        }
        let (found, passed, work) = search(&web.market, &index, &mut finder, pool, &terms);
        if *kind == 0 {
            prop_assert!(found.is_empty() && passed == 0, "a torn pool has no cycles");
            continue;
        }
        prop_assert!(work.searched <= SEARCHED_MAX as u32);
        prop_assert!(work.quotes <= work.searched * QUOTES_MAX);
        let mut fresh = Index::new();
        fresh.announce(&web.market);
        let (again, ..) = search(&web.market, &fresh, &mut Finder::new(), pool, &terms);
        let wanted = gaining(&web.market, pool, cost);
        prop_assert_eq!(&again, &wanted, "from scratch, pool {}", pool.0);
        prop_assert_eq!(passed as usize, screened(&web.market, pool).len());
        prop_assert_eq!(&found, &wanted, "by updates, pool {}", pool.0);
        count += found.len();
    }
    Ok(count)
}

fn vaults() -> impl proptest::strategy::Strategy<Value = [u64; 2]> {
    prop_oneof![
        6 => [1_u64 << 34..1 << 35, 1_u64 << 34..1 << 35],
        1 => [any::<u64>(), any::<u64>()],
        1 => (prop_oneof![Just(0_u64), Just(1_u64), Just(u64::MAX)], any::<u64>()).prop_map(|(a, b)| [a, b]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cycles_found_by_updates_are_those_found_from_scratch(
        pools in prop::collection::vec((1_u16..6, 1_u16..6, vaults()), 2..14),
        moves in prop::collection::vec((0_usize..14, vaults(), 0_u8..8), 1..25),
        cost in prop_oneof![Just(0_u64), 1_u64..1 << 30],
    ) {
        let mut web = Web::with_rents(&[0, 0, RENT, RENT, RENT]);
        for (a, b, vaults) in pools {
            web.add([a, if a == b { b % 5 + 1 } else { b }], vaults, 2_500);
        }
        follow(web, &moves, cost)?;
    }

    #[test]
    fn the_size_found_is_nearly_the_best(
        sides in prop::collection::vec([200_u64..6_000, 200_u64..6_000], 2..4), most in 1_u64..6_000,
    ) {
        let mut web = Web::new(3);
        let last = sides.len() as u16;
        let mut hops = vec![];
        for (nth, vaults) in sides.iter().enumerate() {
            let (a, b) = (nth as u16 + 1, (nth as u16 + 1) % last + 1);
            let pool = web.add([a, b], *vaults, 2_500);
            hops.push(Hop { pool, mint_in: MintId(a), mint_out: MintId(b) });
        }
        let gain = |amount| match give(&web.market, &hops, amount) {
            Given::Out(out) if out > 0 => Some(i128::from(out) - i128::from(amount)),
            _ => None,
        };
        let best = (1..=most).filter_map(gain).max();
        let (found, quotes) = best_input(|amount| give(&web.market, &hops, amount), most);
        prop_assert!(quotes <= QUOTES_MAX);
        match (best, found) {
            (Some(best), Some((amount, out))) => {
                let found = i128::from(out) - i128::from(amount);
                prop_assert_eq!(gain(amount), Some(found));
                // Half of what the roundings on the way are worth.
                let worth: u64 = sides[1..].iter().map(|[a, b]| b.div_ceil(*a)).product();
                prop_assert!(best <= 0 || best - found <= i128::from(worth), "{best} {found} {worth}");
            }
            (best, found) => prop_assert!(best.is_none() && found.is_none(), "{best:?} {found:?}"),
        }
    }

    #[test]
    fn the_closed_form_of_two_pools_is_reached(
        bits in 30_u32..50, tilt in 6_000_u64..200_000,
    ) {
        let mut web = Web::new(2);
        let side = 1_u64 << bits;
        let dear = side + (u128::from(side) * u128::from(tilt) / 1_000_000) as u64;
        let buy = web.add([1, 2], [side, side], 2_500);
        let sell = web.add([1, 2], [dear, side], 2_500);
        let hop = |pool, a, b| Hop { pool, mint_in: MintId(a), mint_out: MintId(b) };
        let hops = [hop(buy, 1, 2), hop(sell, 2, 1)];
        let (found, quotes) = best_input(|amount| give(&web.market, &hops, amount), u64::MAX);
        let (amount, out) = found.unwrap();
        let (f, a, b) = (0.9975_f64, side as f64, dear as f64);
        let (k, c, d) = (a * f * b * f, a * a, f * (a + f * a));
        let best = ((k * c).sqrt() - c) / d;
        let gain = k * best / (c + d * best) - best;
        let got = (i128::from(out) - i128::from(amount)) as f64;
        prop_assert!((got - gain).abs() <= 4.0 + gain * 1e-9, "{got} {gain}");
        prop_assert!(quotes < 320, "{quotes}");
    }
}

fn tilted(bits: u32) -> impl proptest::strategy::Strategy<Value = [u64; 2]> {
    (0..1_u64 << bits).prop_map(|more| [(1 << 40) + more, 1 << 40])
}

/// Two mints with so many third ones between them that the pair is a hub.
fn star(tokens: u16) -> Web {
    let mut rents = vec![RENT; usize::from(tokens) + 2];
    rents[..2].fill(0);
    star_of(&rents)
}

fn star_of(rents: &[u64]) -> Web {
    let tokens = rents.len() as u16 - 2;
    let mut web = Web::with_rents(rents);
    let side = 1_u64 << 40;
    web.add([2, 1], [side, side], 2_500);
    web.add([2, 1], [side, side], 2_500);
    for token in 3..tokens + 3 {
        web.add([token, 1], [side, side], 2_500);
        web.add([token, 2], [side, side], 2_500);
    }
    web
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_pair_with_very_many_third_mints_finds_the_best_of_them(
        moves in prop::collection::vec((0_usize..160, tilted(35), 2_u8..8), 1..8),
        hub in prop::collection::vec((0_usize..2, tilted(37), 2_u8..8), 1..3),
    ) {
        let moves: Vec<_> = moves.into_iter().zip(hub.into_iter().cycle()).flat_map(|(a, b)| [a, b]).collect();
        follow(star(75), &moves, 0)?;
    }
}

#[test]
fn cycles_of_two_and_of_three_pools_are_found_and_pay_their_costs() {
    let side = 1_u64 << 40;
    let moves = [(0, [side, side + (side >> 5)], 2), (3, [side, side + (side >> 6)], 2)];
    assert!(follow(star(3), &moves, 0).unwrap() > 4);
    assert!(follow(star(80), &moves, 0).unwrap() > SEARCHED_MAX);
    assert_eq!(follow(star(3), &moves, 1 << 40).unwrap(), 0);
}

#[test]
fn a_cycle_pays_for_each_account_that_we_lack() {
    let side = 1_u64 << 40;
    // What one swap or two would cost counts for nothing here.
    let fees = [1 << 39, 1 << 39, 1].map(Atoms::new);
    let costs = Costs { fees, tip: Atoms::new(10), account: Atoms::new(100) };
    let start = Start { mint: USDC, most: Atoms::new(1 << 30), costs, margin: Atoms::ZERO };
    for (rents, fixed) in [([0, 0, 0], 11), ([0, 0, 7], 111), ([0, 9, 7], 211), ([5, 9, 7], 311)] {
        let mut web = star_of(&rents);
        web.set(PoolId(2), [side, side + (side >> 5)]);
        let (mut index, mut finder) = (Index::new(), Finder::new());
        index.announce(&web.market);
        let rents = rents.map(|rent| locked(&web.market, USDC, rent).unwrap());
        let costs = fixed + rents.iter().sum::<u64>();
        let mut cycles = |margin| {
            let starts = [Start { margin, ..start }];
            let terms = Terms { starts: &starts };
            search(&web.market, &index, &mut finder, PoolId(2), &terms).0
        };
        let found = cycles(Atoms::ZERO);
        assert_eq!(found[0].route.len(), 3);
        assert_eq!(found[0].costs, Atoms::new(costs));
        let all = found[0].profit.get() + costs + found[0].amount_in.get();
        assert_eq!(found[0].amount_out.get(), all);
        assert!(found[0].amount_in <= start.most);
        let margin = found[0].profit;
        for (margin, count) in [(margin, 1), (Atoms::new(margin.get() + 1), 0)] {
            let mut again = cycles(margin);
            again.retain(|cycle| cycle.route == found[0].route);
            assert_eq!(again.len(), count);
            assert!(again.iter().all(|cycle| cycle.floor == cycle.amount_out));
        }
    }
}

#[test]
fn a_torn_pool_has_no_cycles_until_it_settles() {
    let mut web = star(1);
    let (mut index, mut finder) = (Index::new(), Finder::new());
    index.announce(&web.market);
    let starts = starts(0);
    let terms = Terms { starts: &starts };
    let mut cycles = |web: &Web, index: &Index, pool| {
        search(&web.market, index, &mut finder, PoolId(pool), &terms).0
    };
    let passes = |cycle: &Cycle| cycle.route.iter().any(|hop| hop.pool == PoolId(0));
    let side = 1_u64 << 40;
    web.tear(PoolId(0), side + (side >> 4));
    notice(&web, &mut index, PoolId(0));
    assert!(cycles(&web, &index, 0).is_empty());
    // Nor may others pass through it.
    web.set(PoolId(1), [side, side + (side >> 7)]);
    notice(&web, &mut index, PoolId(1));
    assert!(!cycles(&web, &index, 1).iter().any(passes));
    pass(&mut web, &mut index);
    assert!(!cycles(&web, &index, 0).is_empty());
    assert!(cycles(&web, &index, 1).iter().any(passes));
}

#[test]
fn what_may_not_be_used_makes_room_for_the_next_best() {
    let side = 1_u64 << 40;
    let mut web = Web::new(3);
    // Three pools for each leg of a way round three mints, the first announced the best.
    for mints in [[1, 2], [2, 3], [3, 1]] {
        for worse in 0..3 {
            web.add(mints, [side, side + (side >> 5) - (worse << 30)], 2_500);
        }
    }
    let mut index = Index::new();
    index.announce(&web.market);
    let mut finder = Finder::new();
    let starts = starts(0);
    let terms = Terms { starts: &starts };
    let mut best = |barred: &[u32]| {
        finder.screen(&index, PoolId(0), &[USDC], |pool| !barred.contains(&pool.0));
        let mut found = vec![];
        finder.size(&web.market, &terms, &mut found);
        let pools = |cycle: &Cycle| cycle.route.iter().map(|hop| hop.pool.0).collect::<Vec<_>>();
        found.iter().find(|cycle| cycle.route.len() == 3).map(pools)
    };
    assert_eq!(best(&[]), Some(vec![0, 3, 6]));
    // More than are tried for a leg.
    assert_eq!(best(&[3, 4, 6]), Some(vec![0, 5, 7]));
    assert_eq!(best(&[3, 4, 5]), None);
}

#[test]
fn a_warm_update_allocates_nothing() {
    let mut web = star(80);
    let (mut index, mut finder) = (Index::new(), Finder::new());
    index.announce(&web.market);
    let starts = starts(0);
    let terms = Terms { starts: &starts };
    let mut found = Vec::with_capacity(64);
    let mut cycles = 0;
    for nth in 0..600_u64 {
        let pool = PoolId((nth * 7 % 162) as u32);
        web.set(pool, [1 << 40, (1 << 40) + ((nth % 13) << 33)]);
        found.clear();
        let counted = measure(|| {
            notice(&web, &mut index, pool);
            finder.screen(&index, pool, &[USDC, WSOL], |_| true);
            finder.size(&web.market, &terms, &mut found);
        });
        assert_eq!(counted.count_total, 0, "update {nth} of pool {}", pool.0);
        cycles += found.len();
    }
    assert!(cycles > 600, "{cycles} cycles put it to the test");
}
