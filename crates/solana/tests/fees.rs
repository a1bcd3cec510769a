//! What orders bid: estimated in the background, and never more than was reserved.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use scripted::{Fault, Node, pool};
use serde_json::{Value, json};
use sniper_core::amm::{PoolKind, PoolSpec, cpmm};
use sniper_core::event::MintSpec;
use sniper_core::ids::{Address, MintId, Symbol};
use sniper_core::order::Order;
use sniper_core::units::{Lamports, Slot};
use sniper_solana::fees::{FeeEstimator, Landing, Urgency};
use sniper_solana::tx::TransactionBuilder;
use sniper_solana::tx::instructions::TOKEN_PROGRAM;

const METHOD: &str = "getRecentPrioritizationFees";
/// What orders carry: the most that they may bid.
const MOST: u64 = 10_000;
const COIN: MintId = MintId(1);
const DOLLARS: MintId = MintId(2);

fn key(n: u8) -> Address {
    Address::new_from_array([n; 32])
}

fn cpmm(first: u8) -> PoolKind {
    PoolKind::Cpmm(cpmm::Keys {
        config: key(first),
        vaults: [key(first + 1), key(first + 2)],
        observation: key(first + 3),
        token_programs: [TOKEN_PROGRAM; 2],
    })
}

/// A builder of two pools of a coin and dollars.
fn builder() -> TransactionBuilder {
    let mut builder = TransactionBuilder::new(key(1));
    for (n, is_usd) in [(2, false), (3, true)] {
        builder.add_mint(&MintSpec {
            address: key(n),
            token_program: TOKEN_PROGRAM,
            decimals: 6,
            symbol: Symbol::new("T"),
            is_usd,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        });
    }
    for first in [10, 20] {
        let spec = PoolSpec { address: key(first + 9), mints: [COIN, DOLLARS], kind: cpmm(first) };
        builder.add_pool(&spec).unwrap();
    }
    builder
}

/// An approved order through these pools, there and back, as a journal would give it.
fn order(from: MintId, pools: &[u32]) -> Order {
    let mut mint_in = from;
    let mut legs = Vec::new();
    for pool in pools {
        let mint_out = if mint_in == COIN { DOLLARS } else { COIN };
        legs.push(json!({"arrays": [],
            "hop": {"pool": pool, "mint_in": mint_in, "mint_out": mint_out},
            "amount": {"ExactIn": {"amount_in": 5, "min_out": 5}}}));
        mint_in = mint_out;
    }
    serde_json::from_value(json!({
        "id": {"cause": 1, "nth": 0}, "strategy": 0, "legs": legs, "opens": [], "amount_in": 5,
        "min_out": 5, "expected_out": 5, "fee_cap": 10_000, "compute_unit_limit": 200_000,
        "compute_unit_price": MOST, "value": 0, "unpriced": false, "expires": i64::MAX, "at": 0,
        "reason": "TrendEntry",
    }))
    .unwrap()
}

fn fees(prices: impl Iterator<Item = u64>) -> Value {
    let told = (1_000..).zip(prices);
    told.map(|(slot, fee): (u64, _)| json!({"slot": slot, "prioritizationFee": fee})).collect()
}

/// The price in the bytes of what would be signed.
fn bid_in(builder: &TransactionBuilder, order: &Order) -> u64 {
    let message = builder.swap(order, &Default::default()).unwrap();
    // Data of `SetComputeUnitPrice`: nine bytes, the first of them 3.
    let at = message.windows(2).position(|pair| pair == [9, 3]).unwrap();
    u64::from_le_bytes(message[at + 2..at + 10].try_into().unwrap())
}

#[tokio::test]
async fn without_an_estimate_all_that_was_reserved_is_bid() {
    let node = Node::start("a").await;
    let builder = builder();
    let buys = order(DOLLARS, &[0]);
    assert_eq!(bid_in(&builder, &buys), MOST, "nobody estimates");
    let estimator =
        FeeEstimator::new(pool(&[&node]).await, builder.fees().clone(), Urgency::Normal, MOST);
    assert_eq!(bid_in(&builder, &buys), MOST, "nothing is known yet");
    node.fail(METHOD, Fault::Node(-32_601));
    estimator.refresh().await;
    assert_eq!(bid_in(&builder, &buys), MOST, "and cannot be");
}

#[tokio::test]
async fn orders_bid_what_is_estimated_for_the_dearest_of_their_pools() {
    let node = Node::start("a").await;
    node.fail(METHOD, Fault::Result(fees((1..=100).map(|n| n * 50))));
    let builder = builder();
    let estimator =
        FeeEstimator::new(pool(&[&node]).await, builder.fees().clone(), Urgency::Normal, MOST);
    estimator.refresh().await;
    assert_eq!(bid_in(&builder, &order(DOLLARS, &[0])), 3_750);
    assert_eq!(bid_in(&builder.clone(), &order(COIN, &[1])), 4_500, "a sale is more urgent");
    assert_eq!(bid_in(&builder, &order(DOLLARS, &[0, 1])), 4_500, "a round trip too");
    let asked = node.calls(METHOD);
    assert_eq!(asked.len(), 2, "each pool for itself");
    let of_first = [key(11), key(12), key(19)].map(|key| json!(key.to_string()));
    let named = |asked: &Value, key: &Value| asked[0].as_array().unwrap().contains(key);
    let first = asked.iter().find(|asked| named(asked, &of_first[0])).unwrap();
    assert!(of_first.iter().all(|key| named(first, key)), "state and vaults: {first}");
    assert!(!named(first, &json!(key(10).to_string())), "nobody writes a configuration: {first}");
    let ours = builder.token_account(COIN).unwrap();
    assert!(!named(first, &json!(ours.to_string())), "nobody else writes ours: {first}");
}

#[tokio::test]
async fn a_bid_is_never_above_what_was_reserved() {
    let node = Node::start("a").await;
    node.fail(METHOD, Fault::Result(fees([u64::MAX; 150].into_iter())));
    let builder = builder();
    // The estimator's own cap being wrong, the order's holds.
    let estimator =
        FeeEstimator::new(pool(&[&node]).await, builder.fees().clone(), Urgency::Urgent, 1 << 40);
    estimator.refresh().await;
    for order in [order(DOLLARS, &[0]), order(COIN, &[1]), order(DOLLARS, &[0, 1])] {
        assert_eq!(bid_in(&builder, &order), MOST);
    }
}

#[tokio::test]
async fn what_our_own_orders_needed_to_land_is_learnt() {
    let node = Node::start("a").await;
    node.fail(METHOD, Fault::Result(fees([0; 150].into_iter())));
    let builder = builder();
    let estimator =
        FeeEstimator::new(pool(&[&node]).await, builder.fees().clone(), Urgency::Normal, MOST);
    let buys = order(DOLLARS, &[0]);
    estimator.refresh().await;
    assert_eq!(bid_in(&builder, &buys), 1_000, "nobody pays anything");
    let note = |price, landed: Option<u64>| {
        let sent = Slot::new(1_000);
        (0..8).for_each(|_| estimator.note(Landing { price, sent, landed: landed.map(Slot::new) }));
    };
    note(1_000, None);
    estimator.refresh().await;
    assert_eq!(bid_in(&builder, &buys), 2_000, "not enough: none has landed");
    note(2_000, Some(1_001));
    estimator.refresh().await;
    assert_eq!(bid_in(&builder, &buys), 2_000);
    // What was true an hour ago says nothing of now.
    node.chain().slot = 20_000;
    let alone = pool(&[&node]).await;
    assert_eq!(alone.highest_slot(), Slot::new(20_000));
    let later = FeeEstimator::new(alone, builder.fees().clone(), Urgency::Normal, MOST);
    (0..8).for_each(|_| {
        later.note(Landing { price: 9_000, sent: Slot::new(1_000), landed: None });
    });
    later.refresh().await;
    assert_eq!(bid_in(&builder, &buys), 1_000);
}

#[tokio::test]
async fn sets_that_are_many_are_asked_for_in_turn_and_new_ones_first() {
    let node = Node::start("a").await;
    node.fail(METHOD, Fault::Result(fees([5_000; 150].into_iter())));
    let mut builder = builder();
    let estimator =
        FeeEstimator::new(pool(&[&node]).await, builder.fees().clone(), Urgency::Normal, MOST);
    for n in 0..30_u8 {
        let spec =
            PoolSpec { address: key(100 + n), mints: [COIN, DOLLARS], kind: cpmm(140 + 2 * n) };
        builder.add_pool(&spec).unwrap();
    }
    for round in 1..=3 {
        estimator.refresh().await;
        assert!(node.calls(METHOD).len() <= 12 * round);
    }
    for pool in 0..32 {
        assert_eq!(bid_in(&builder, &order(DOLLARS, &[pool])), 5_000, "pool {pool}");
    }
    let asked = node.calls(METHOD).len();
    let spec = PoolSpec { address: key(9), mints: [COIN, DOLLARS], kind: cpmm(4) };
    let new = builder.add_pool(&spec).unwrap();
    estimator.refresh().await;
    assert_eq!(node.calls(METHOD).len(), asked + 12);
    assert_eq!(bid_in(&builder, &order(DOLLARS, &[new.0])), 5_000, "the new one among them");
}
