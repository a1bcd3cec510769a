//! Several small reads of one moment as one request, and what an endpoint may make of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use scripted::{Batching, Fault, Node, pool, until};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{BlockHeight, Lamports, Slot};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use sniper_solana::tx::BlockhashCache;

fn key(n: u8) -> Address {
    Address::new_from_array([n; 32])
}

/// What a tick asks for: four methods, eight questions.
async fn tick(pool: &RpcConnectionPool) {
    let keys: Vec<_> = (1..=5).map(key).collect();
    let signatures = [Signature([7; 64])];
    let balances = keys.iter().map(|key| pool.balance(key, Commitment::Confirmed));
    let (slot, height, latest, statuses, balances) = tokio::join!(
        pool.slot(Commitment::Processed),
        pool.block_height(Commitment::Confirmed),
        pool.latest_blockhash(Commitment::Confirmed),
        pool.signature_statuses(&signatures, false),
        join_all(balances),
    );
    assert_eq!(slot.unwrap(), Slot::new(1_000));
    assert_eq!(height.unwrap(), BlockHeight::new(900));
    assert_eq!(latest.unwrap().value.last_valid, BlockHeight::new(1_050));
    assert_eq!(statuses.unwrap().value, [None]);
    for (n, balance) in (1..).zip(balances) {
        assert_eq!(balance.unwrap().value, Lamports::new(n));
    }
}

async fn node(batching: Batching) -> Node {
    let node = Node::start("a").await;
    for n in 1..=5_u8 {
        node.set(&key(n).to_string(), 1_000, n.into());
    }
    *node.shared.batching.lock().unwrap() = batching;
    node
}

#[tokio::test]
async fn different_reads_of_the_same_moment_are_one_request() {
    for batching in [Batching::Well, Batching::Reversed] {
        let node = node(batching).await;
        let pool = pool(&[&node]).await;
        assert_eq!(pool.report()[0].batches, Some(true), "asked once, at the start");
        assert_eq!(node.batches(), 1);
        let before = pool.report()[0].requests;
        tick(&pool).await;
        assert_eq!((node.batches(), pool.report()[0].requests - before), (2, 1), "{batching:?}");
        assert_eq!(node.calls("getBalance").len(), 5);
        pool.slot(Commitment::Processed).await.unwrap();
        assert_eq!(node.batches(), 2, "one alone is no batch");
    }
}

#[tokio::test]
async fn what_is_missing_or_told_twice_is_asked_again_and_nothing_else_is() {
    for batching in [Batching::Short, Batching::Doubled] {
        let node = node(Batching::Well).await;
        let pool = pool(&[&node]).await;
        *node.shared.batching.lock().unwrap() = batching;
        tick(&pool).await;
        let asked: usize = ["getSlot", "getBlockHeight", "getLatestBlockhash", "getBalance"]
            .map(|method| node.calls(method).len())
            .iter()
            .sum();
        // At the start slot and height twice each; then eight, and one of them once more.
        let statuses = node.calls("getSignatureStatuses").len();
        assert_eq!(asked + statuses, 4 + 9 + 1, "{batching:?}");
        assert_eq!(pool.report()[0].batches, Some(true));
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_no_batches_is_known_from_the_start() {
    for batching in [
        Batching::OnlyFirst,
        Batching::Error,
        Batching::Status(400),
        Batching::Status(403),
        Batching::Status(413),
    ] {
        let node = node(batching).await;
        let pool = pool(&[&node]).await;
        assert_eq!(pool.report()[0].batches, Some(false), "{batching:?}");
        tick(&pool).await;
        assert_eq!(node.batches(), 1, "{batching:?}: not asked again");
        assert!(pool.report()[0].error_rate == 0.0, "that is no failure");
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_no_batches_any_more_is_asked_one_by_one_and_nobody_notices() {
    for batching in [Batching::OnlyFirst, Batching::Error, Batching::Status(405)] {
        let node = node(Batching::Well).await;
        let pool = pool(&[&node]).await;
        *node.shared.batching.lock().unwrap() = batching;
        tick(&pool).await;
        tick(&pool).await;
        assert_eq!(node.batches(), 2, "{batching:?}: the first, and the one that was refused");
        let report = &pool.report()[0];
        assert_eq!((report.batches, report.healthy), (Some(false), true));
        assert!(report.error_rate == 0.0, "{batching:?}");
    }
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_asked_later_whether_it_takes_batches() {
    let node = node(Batching::Status(503)).await;
    let pool = pool(&[&node]).await;
    assert_eq!(pool.report()[0].batches, None);
    tick(&pool).await;
    assert!(pool.report()[0].healthy && pool.report()[0].error_rate == 0.0);
    *node.shared.batching.lock().unwrap() = Batching::Well;
    pool.look().await;
    assert_eq!(pool.report()[0].batches, Some(true));
}

#[tokio::test]
async fn an_error_of_one_question_is_that_ones_alone() {
    let node = node(Batching::Well).await;
    let pool = pool(&[&node]).await;
    node.fail("getBalance", Fault::Node(-32_602));
    let key = key(1);
    let (slot, balance) =
        tokio::join!(pool.slot(Commitment::Processed), pool.balance(&key, Commitment::Confirmed));
    assert_eq!(slot.unwrap(), Slot::new(1_000));
    assert_eq!(balance.unwrap_err().node_code(), Some(-32_602));
    assert_eq!(node.batches(), 2);
}

#[tokio::test]
async fn a_batch_that_fails_is_one_failure_and_its_reads_go_elsewhere() {
    for fault in [Fault::Status(502), Fault::Garbage, Fault::Throttle, Fault::Hang] {
        let (bad, good) = (node(Batching::Well).await, Node::start("b").await);
        for n in 1..=5_u8 {
            good.set(&key(n).to_string(), 1_000, n.into());
        }
        // So that the other is asked first.
        good.fail("*", Fault::Delay(Duration::from_millis(30)));
        let pool = pool(&[&bad, &good]).await;
        bad.fail("*", fault.clone());
        // Until it was the one that was asked.
        let mut ticks = 0;
        while bad.batches() < 2 && ticks < 20 {
            tick(&pool).await;
            ticks += 1;
        }
        assert_eq!(bad.batches(), 2, "{fault:?}");
        until("it is held against it", Duration::from_secs(20), || {
            pool.report()[0].error_rate > 0.0
        })
        .await;
        let report = &pool.report()[0];
        assert!(report.healthy, "{fault:?}: eight questions, but one request: {report:?}");
    }
}

#[tokio::test]
async fn more_than_a_batch_holds_are_asked_all_the_same() {
    let node = node(Batching::Well).await;
    let pool = pool(&[&node]).await;
    let keys: Vec<_> = (0..100).map(key).collect();
    let reads = keys.iter().map(|key| pool.balance(key, Commitment::Confirmed));
    assert!(join_all(reads).await.iter().all(Result::is_ok));
    assert_eq!(node.calls("getBalance").len(), 100);
    assert!(node.batches() > 1);
}

#[tokio::test]
async fn a_search_through_history_does_not_hold_up_others() {
    let node = node(Batching::Well).await;
    let pool = pool(&[&node]).await;
    let signatures = [Signature([7; 64])];
    let (slot, statuses) =
        tokio::join!(pool.slot(Commitment::Processed), pool.signature_statuses(&signatures, true));
    assert!(slot.is_ok() && statuses.is_ok());
    assert_eq!(node.batches(), 1, "only the one at the start");
}

#[tokio::test]
async fn what_runs_in_the_background_asks_together_at_a_new_slot() {
    let node = node(Batching::Well).await;
    let pool = pool(&[&node]).await;
    let cache = BlockhashCache::new(pool.clone());
    let tasks = [tokio::spawn(cache.run()), tokio::spawn(pool.clone().monitor())];
    let mut slot = 1_000;
    let mut last = Instant::now();
    // Refreshed every second or so, and looked at every other: at some slot both are due.
    until("blockhash and look are one request", Duration::from_secs(30), || {
        if last.elapsed() > Duration::from_millis(400) {
            (slot, last) = (slot + 1, Instant::now());
            node.chain().slot = slot;
            pool.observe_slot(Slot::new(slot));
        }
        node.batches() > 1
    })
    .await;
    assert!(pool.report()[0].healthy);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}
