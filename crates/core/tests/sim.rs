//! Laws of the simulated venue.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use serde_json::json;
use sniper_core::amm::cpmm::{Config, Curve, Keys, PoolState};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec};
use sniper_core::event::{MarketEvent, OrderEvent, RejectReason};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::order::Order;
use sniper_core::sim::{SimSettings, SimVenue, Venue};
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Timestamp};

const USD: u16 = 1;
const BASE: u16 = 2;
const RESERVES: [u64; 2] = [50_000_000_000_000, 5_000_000_000_000];

fn settings() -> SimSettings {
    SimSettings {
        seed: 7,
        latency: Timestamp::from_millis(400),
        jitter: Timestamp::from_millis(100),
        landing: Bps::capped(10_000),
        expiry: Timestamp::from_millis(60_000),
    }
}

fn account(pool: u32, slot: u64, update: AccountUpdate) -> MarketEvent {
    MarketEvent::Account { pool: PoolId(pool), slot: Slot::new(slot), update }
}

fn vault(pool: u32, slot: u64, second: bool, amount: u64) -> MarketEvent {
    account(pool, slot, AccountUpdate::Vault { second, amount: Atoms::new(amount) })
}

fn config() -> Config {
    Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
    }
}

/// A venue with `pools` equal pools of base and dollars.
fn venue(settings: SimSettings, pools: u32) -> SimVenue {
    let mut venue = SimVenue::new(settings).unwrap();
    for pool in 0..pools {
        let key = |n: u8| Address::new_from_array([n; 32]);
        let keys = Keys {
            config: key(1),
            observation: key(2),
            vaults: [key(3), key(4)],
            token_programs: [key(5), key(5)],
        };
        venue.observe(&MarketEvent::Pool(Box::new(PoolSpec {
            address: key(6),
            mints: [MintId(BASE), MintId(USD)],
            kind: PoolKind::Cpmm(keys),
        })));
        venue.observe(&account(pool, 5, AccountUpdate::CpmmConfig(config())));
        venue.observe(&account(pool, 5, AccountUpdate::CpmmPool(PoolState::default())));
        venue.observe(&vault(pool, 5, false, RESERVES[0]));
        venue.observe(&vault(pool, 5, true, RESERVES[1]));
    }
    venue.observe(&MarketEvent::Slot { slot: Slot::new(9), height: BlockHeight::new(8) });
    venue
}

fn leg(pool: u32, mint_in: u16, mint_out: u16, amount_in: u64, min_out: u64) -> serde_json::Value {
    json!({
        "arrays": [], "hop": { "pool": pool, "mint_in": mint_in, "mint_out": mint_out },
        "amount": { "ExactIn": { "amount_in": amount_in, "min_out": min_out } },
    })
}

/// An approved order as the journal would hold it; only `review` makes one from nothing.
fn order(cause: u64, legs: &[serde_json::Value]) -> Order {
    serde_json::from_value(json!({
        "id": { "cause": cause, "nth": 0 },
        "strategy": 0,
        "legs": legs, "opens": [],
        "amount_in": 1, "min_out": 1, "expected_out": 1,
        "fee_cap": 10_000,
        "compute_unit_limit": 120_000,
        "compute_unit_price": 10_001,
        "value": 1, "unpriced": false,
        "expires": 2_000_000,
        "at": 0,
        "reason": "TrendEntry",
    }))
    .unwrap()
}

fn buy(cause: u64, amount: u64, min_out: u64) -> Order {
    order(cause, &[leg(0, USD, BASE, amount, min_out)])
}

/// Polls to the end, each event with its time.
fn drain(venue: &mut SimVenue) -> Vec<(Timestamp, OrderEvent)> {
    let (mut all, mut out) = (Vec::new(), Vec::new());
    while let Some(due) = venue.next_due() {
        venue.poll(due, &mut out);
        all.extend(out.drain(..).map(|event| (due, event)));
    }
    all
}

fn at(micros: i64) -> Timestamp {
    Timestamp::new(micros)
}

#[test]
fn an_order_is_signed_at_once_and_filled_after_its_latency_by_the_curve_to_the_atom() {
    let mut venue = venue(settings(), 1);
    venue.submit(&buy(3, 1_000_000_000, 1), at(1_000_000));
    let told = drain(&mut venue);
    assert_eq!(told.len(), 2);
    assert!(matches!(told[0], (t, OrderEvent::Signed { last_valid, .. })
        if t == at(1_000_000) && last_valid == BlockHeight::new(8 + 150)));
    let (landed, OrderEvent::Filled { slot, deltas, fee, .. }) = &told[1] else {
        panic!("not filled: {told:?}")
    };
    assert!((at(1_400_000)..=at(1_500_000)).contains(landed));
    // 1000 dollars less 0.25 % is 997_500_000; x * y / (x + dx), rounded down.
    let out = 50_000_000_000_000_u128 * 997_500_000 / (5_000_000_000_000 + 997_500_000);
    let out = i64::try_from(out).unwrap();
    assert_eq!(deltas.as_slice(), [(MintId(USD), -1_000_000_000), (MintId(BASE), out)]);
    assert_eq!(*slot, Slot::new(9));
    // 5000 for the signature; 120 000 units at 10 001 millionths are 1200.12, rounded up.
    assert_eq!(*fee, Lamports::new(6_201));
    assert_eq!(venue.pool_fees(MintId(USD)), 2_500_000);
    assert_eq!(venue.pool_fees(MintId(BASE)), 0);
}

#[test]
fn our_own_fill_moves_the_pool_until_the_chain_speaks_again() {
    let mut venue = venue(settings(), 1);
    let amount = 50_000_000_000;
    venue.submit(&buy(1, amount, 1), at(0));
    venue.submit(&buy(2, amount, 1), at(0));
    let outs: Vec<i64> = drain(&mut venue)
        .iter()
        .filter_map(|(_, event)| match event {
            OrderEvent::Filled { deltas, .. } => Some(deltas[1].1),
            _ => None,
        })
        .collect();
    assert_eq!(outs.len(), 2);
    assert!(outs[1] < outs[0], "the second pays for the impact of the first");
    let [base, usd] = venue.vaults(PoolId(0)).unwrap();
    assert_eq!(usd.get(), RESERVES[1] + 2 * amount);
    assert_eq!(base.get(), RESERVES[0] - u64::try_from(outs[0] + outs[1]).unwrap());

    venue.observe(&vault(0, 12, false, 77));
    assert_eq!(venue.vaults(PoolId(0)).unwrap()[0], base, "half a state is no state");
    venue.observe(&vault(0, 12, true, 78));
    venue.observe(&MarketEvent::Slot { slot: Slot::new(14), height: BlockHeight::new(13) });
    assert_eq!(venue.vaults(PoolId(0)).unwrap(), [Atoms::new(77), Atoms::new(78)]);
    venue.observe(&vault(0, 11, true, 1));
    venue.observe(&MarketEvent::Slot { slot: Slot::new(15), height: BlockHeight::new(14) });
    assert_eq!(venue.vaults(PoolId(0)).unwrap()[1], Atoms::new(78), "an older notice is dropped");
}

#[test]
fn a_price_beyond_the_minimum_reverts_costs_the_fee_and_moves_nothing() {
    let mut venue = venue(settings(), 1);
    let before = venue.vaults(PoolId(0));
    venue.submit(&buy(1, 1_000_000_000, 10_000_000_000), at(0));
    let told = drain(&mut venue);
    assert!(matches!(
        told[1].1,
        OrderEvent::Reverted { fee, code: Some(6_005), .. } if fee == Lamports::new(6_201)
    ));
    assert_eq!(venue.vaults(PoolId(0)), before);
    assert_eq!(venue.pool_fees(MintId(USD)), 0);
}

#[test]
fn all_legs_land_or_none_does() {
    let mut venue = venue(settings(), 2);
    let before = [venue.vaults(PoolId(0)), venue.vaults(PoolId(1))];
    let first = leg(0, USD, BASE, 1_000_000, 1);
    // The second leg asks for more than it can get.
    let failing = order(1, &[first.clone(), leg(1, BASE, USD, 9_000_000, 1_000_000)]);
    venue.submit(&failing, at(0));
    assert!(matches!(drain(&mut venue)[1].1, OrderEvent::Reverted { .. }));
    assert_eq!([venue.vaults(PoolId(0)), venue.vaults(PoolId(1))], before);

    venue.submit(&order(2, &[first, leg(1, BASE, USD, 9_000_000, 1)]), at(0));
    let told = drain(&mut venue);
    let OrderEvent::Filled { deltas, .. } = &told[1].1 else { panic!("not filled: {told:?}") };
    let gross = [1_000_000_u64, 9_000_000];
    let quote = |forward, amount| {
        Curve::new(
            RESERVES.map(Atoms::new),
            &PoolState::default(),
            &config(),
            [TransferFee::NONE; 2],
        )
        .unwrap()
        .quote_exact_in(forward, Atoms::new(amount), 0)
        .unwrap()
        .amount_out
        .get()
    };
    let usd = i64::try_from(quote(true, gross[1])).unwrap() - 1_000_000;
    let base = i64::try_from(quote(false, gross[0])).unwrap() - 9_000_000;
    assert_eq!(deltas.as_slice(), [(MintId(USD), usd), (MintId(BASE), base)]);
}

#[test]
fn an_exact_output_leg_pays_no_more_than_its_bound() {
    let exact = |max_in: u64| {
        let mut value = leg(0, USD, BASE, 0, 0);
        value["amount"] = json!({ "ExactOut": { "amount_out": 10_000_000, "max_in": max_in } });
        let mut venue = venue(settings(), 1);
        venue.submit(&order(1, &[value]), at(0));
        drain(&mut venue).pop().unwrap().1
    };
    let OrderEvent::Filled { deltas, .. } = exact(2_000_000) else { panic!("not filled") };
    let paid = deltas[0].1.unsigned_abs();
    assert_eq!(deltas[1], (MintId(BASE), 10_000_000));
    assert!(matches!(exact(paid), OrderEvent::Filled { .. }));
    assert!(matches!(exact(paid - 1), OrderEvent::Reverted { code: Some(6_005), .. }));
}

#[test]
fn an_order_that_came_too_late_or_names_no_pool_is_never_signed() {
    let mut venue = venue(settings(), 1);
    venue.submit(&buy(1, 1_000, 1), at(2_000_000));
    venue.submit(&order(2, &[leg(5, USD, BASE, 1, 1)]), at(0));
    venue.submit(&order(3, &[leg(0, USD, USD, 1, 1)]), at(0));
    let told: Vec<OrderEvent> = drain(&mut venue).into_iter().map(|(_, event)| event).collect();
    let reasons: Vec<RejectReason> = told
        .iter()
        .map(|event| match event {
            OrderEvent::Rejected { reason, .. } => *reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [RejectReason::Unbuildable, RejectReason::Unbuildable, RejectReason::TooLate]
    );
}

#[test]
fn orders_in_flight_when_the_market_is_gone_expire() {
    let mut venue = venue(settings(), 1);
    venue.submit(&buy(1, 1_000_000, 1), at(0));
    venue.submit(&buy(2, 1_000_000, 1), at(0));
    let mut out = Vec::new();
    venue.poll(at(0), &mut out);
    assert_eq!(out.len(), 2, "both are signed");
    out.clear();
    venue.expire_all(&mut out);
    assert!(out.iter().all(|event| matches!(event, OrderEvent::Expired { .. })) && out.len() == 2);
    assert_eq!(venue.next_due(), None);
}

#[test]
fn landing_odds_hold_over_many_orders_and_the_unlucky_expire_late() {
    let settings = SimSettings { landing: Bps::capped(8_000), ..settings() };
    let mut venue = venue(settings, 1);
    let mut landed = 0;
    for cause in 1..=5_000 {
        venue.submit(&buy(cause, 1_000, 1), at(0));
        for (due, event) in drain(&mut venue) {
            match event {
                OrderEvent::Filled { .. } => landed += 1,
                OrderEvent::Expired { .. } => assert_eq!(due, settings.expiry),
                _ => {}
            }
        }
    }
    // Five standard deviations of a binomial of 5000 at 0.8 are 141.
    assert!((3_859..=4_141).contains(&landed), "{landed}");
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let field = |settings| SimVenue::new(settings).err().map(|error| error.field);
    let negative = SimSettings { latency: at(-1), ..settings() };
    let early = SimSettings { expiry: Timestamp::from_millis(450), ..settings() };
    assert_eq!(field(negative), Some("latency"));
    assert_eq!(field(early), Some("expiry"));
    assert_eq!(field(settings()), None);
}

proptest! {
    #[test]
    fn the_same_orders_and_seed_give_the_same_events(
        seed in any::<u64>(),
        orders in prop::collection::vec((1_u64..1 << 40, 0_i64..1_000_000), 1..12),
    ) {
        let settings = SimSettings { seed, landing: Bps::capped(7_000), ..settings() };
        let play = || {
            let mut venue = venue(settings, 1);
            for (nth, (amount, time)) in (1_u64..).zip(&orders) {
                venue.submit(&buy(nth, *amount, 1), at(*time));
            }
            drain(&mut venue)
        };
        let first = play();
        prop_assert_eq!(&first, &play());
        prop_assert!(first.windows(2).all(|pair| pair[0].0 <= pair[1].0), "time never runs back");
    }

    #[test]
    fn the_luck_of_an_order_does_not_depend_on_its_company(seed in any::<u64>(), cause in 2_u64..1 << 40) {
        let settings = SimSettings { seed, landing: Bps::capped(5_000), ..settings() };
        let story = |company: bool| {
            let mut venue = venue(settings, 1);
            if company {
                venue.submit(&buy(1, 5, 1), at(0));
            }
            venue.submit(&buy(cause, 1_000, 1), at(0));
            drain(&mut venue)
                .into_iter()
                .filter(|(_, event)| event.order().cause.get() == cause)
                .map(|(due, event)| (due, std::mem::discriminant(&event)))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(story(false), story(true));
    }

    #[test]
    fn no_swap_takes_more_from_the_pools_than_it_brings(
        amounts in prop::collection::vec((1_u64..1 << 50, any::<bool>()), 1..8),
    ) {
        let mut venue = venue(settings(), 1);
        // Fees set aside for the protocol lie in the vaults but not on the curve: here all stays on the curve.
        let config = Config { trade_fee_rate: 2_500, ..Config::default() };
        venue.observe(&account(0, 5, AccountUpdate::CpmmConfig(config)));
        let product = |venue: &SimVenue| {
            let [base, usd] = venue.vaults(PoolId(0)).unwrap();
            u128::from(base.get()) * u128::from(usd.get())
        };
        for (nth, (amount, is_buy)) in (1_u64..).zip(amounts) {
            let before = product(&venue);
            let (mint_in, mint_out) = if is_buy { (USD, BASE) } else { (BASE, USD) };
            venue.submit(&order(nth, &[leg(0, mint_in, mint_out, amount, 1)]), at(0));
            drain(&mut venue);
            prop_assert!(product(&venue) >= before);
        }
    }
}
