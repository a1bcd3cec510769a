//! How reads are spread, raced and shared, and what they may cost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::Duration;

use futures_util::future::join_all;
use scripted::{Fault, Node, pool};
use sniper_core::ids::Address;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};

fn key(n: u8) -> Address {
    Address::new_from_array([n; 32])
}

/// So many reads that times are known.
async fn measure(pool: &RpcConnectionPool) {
    for _ in 0..60 {
        pool.slot(Commitment::Processed).await.unwrap();
    }
}

fn asked(nodes: &[&Node], method: &str) -> usize {
    nodes.iter().map(|node| node.calls(method).len()).sum()
}

#[tokio::test]
async fn a_slow_cluster_is_not_asked_twice_as_much() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    measure(&pool).await;
    for node in [&a, &b] {
        node.fail("getBalance", Fault::Delay(Duration::from_millis(400)));
    }
    let keys: Vec<_> = (0..100).map(key).collect();
    let reads = keys.iter().map(|key| pool.balance(key, Commitment::Confirmed));
    assert!(join_all(reads).await.iter().all(Result::is_ok));
    let asked = asked(&[&a, &b], "getBalance");
    assert!((101..=120).contains(&asked), "a tenth, and ten saved up: {asked}");
}

#[tokio::test]
async fn the_endpoint_that_lost_a_race_has_not_failed() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    measure(&pool).await;
    a.fail("getBalance", Fault::Hang);
    for n in 0..20 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
    }
    assert!(!a.calls("getBalance").is_empty(), "it was asked, and outrun");
    for report in pool.report() {
        assert!(report.healthy && report.error_rate == 0.0, "{report:?}");
    }
}

#[tokio::test]
async fn a_slow_method_does_not_make_others_wait_for_their_hedge() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    for node in [&a, &b] {
        node.fail("getBalance", Fault::Delay(Duration::from_millis(250)));
    }
    measure(&pool).await;
    let keys: Vec<_> = (0..60).map(key).collect();
    join_all(keys.iter().map(|key| pool.balance(key, Commitment::Confirmed))).await;
    // Enough reads to have hedges again; then the one that is asked falls silent.
    measure(&pool).await;
    for (silent, other) in [(&a, &b), (&b, &a)] {
        silent.fail("getSlot", Fault::Hang);
        other.heal();
        let begun = std::time::Instant::now();
        pool.slot(Commitment::Processed).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        silent.heal();
    }
}
