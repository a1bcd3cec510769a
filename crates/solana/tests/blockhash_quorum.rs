//! How long bytes can land is not one node's word.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use scripted::{Fault, GENESIS, Node, pool};
use serde_json::json;
use sniper_solana::rpc::RpcError;
use sniper_solana::tx::BlockhashCache;

/// A blockhash that is said to be good up to that height.
fn hash(last_valid: u64) -> Fault {
    let value = json!({"blockhash": GENESIS, "lastValidBlockHeight": last_valid});
    Fault::Result(json!({"context": {"slot": 1_000}, "value": value}))
}

/// Three nodes at height 900, all of which tell this of a new blockhash.
async fn told(last_valid: u64) -> ([Node; 3], BlockhashCache) {
    let nodes = [Node::start("a").await, Node::start("b").await, Node::start("c").await];
    let cache = BlockhashCache::new(pool(&[&nodes[0], &nodes[1], &nodes[2]]).await);
    for node in &nodes {
        node.fail("getLatestBlockhash", hash(last_valid));
    }
    (nodes, cache)
}

#[tokio::test]
async fn a_hash_is_good_for_no_less_than_its_life_beyond_what_the_nodes_have_reached() {
    let (_nodes, cache) = told(3).await;
    assert_eq!(cache.refresh().await.unwrap().last_valid.get(), 1_050);
    let (_nodes, cache) = told(1_052).await;
    assert_eq!(cache.refresh().await.unwrap().last_valid.get(), 1_052);
}

#[tokio::test]
async fn a_hash_that_would_outlive_all_others_by_far_is_not_built_on() {
    let (_nodes, cache) = told(99_000).await;
    assert!(matches!(cache.refresh().await, Err(RpcError::Impossible { .. })));
    assert!(cache.get().is_err());
}

#[tokio::test]
async fn a_node_that_tells_a_low_height_while_another_is_silent_is_not_a_majority() {
    let (nodes, cache) = told(3).await;
    nodes[0].chain().height = 0;
    nodes[1].fail("getBlockHeight", Fault::Status(500));
    assert!(matches!(cache.refresh().await, Err(RpcError::Impossible { .. })));
    nodes[1].heal();
    assert_eq!(cache.refresh().await.unwrap().last_valid.get(), 1_050);
}

#[tokio::test]
async fn while_too_few_nodes_answer_what_was_known_is_carried_on() {
    let (nodes, cache) = told(1_050).await;
    cache.refresh().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(4_100)).await;
    for node in &nodes {
        node.fail("getBlockHeight", Fault::Status(500));
        node.fail("getLatestBlockhash", hash(3));
    }
    // Four seconds are at most eleven blocks.
    assert_eq!(cache.refresh().await.unwrap().last_valid.get(), 1_061);
    let cache = BlockhashCache::new(pool(&[&Node::start("d").await]).await);
    assert!(cache.refresh().await.is_err(), "its node is gone");
}
