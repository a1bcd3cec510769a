//! Endpoints that come and go while the pool is in use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::{Duration, Instant};

use scripted::{Fault, KEY, Node, pool, until};
use sniper_core::ids::{Address, Signature};
use sniper_solana::rpc::{Commitment, ConnectError, RpcConnectionPool, SendRequest};

const KEY_OF: Address = Address::new_from_array([7; 32]);

fn names(pool: &RpcConnectionPool) -> Vec<String> {
    pool.report().iter().map(|report| report.name.to_string()).collect()
}

async fn read(pool: &RpcConnectionPool) {
    for n in 0..20 {
        let key = Address::new_from_array([n; 32]);
        pool.balance(&key, Commitment::Confirmed).await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_that_is_added_is_verified_and_then_used() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a]).await;
    let clone = pool.clone();
    pool.add(b.config()).await.unwrap();
    assert_eq!(names(&clone), ["a", "b"], "all clones see it");
    assert_eq!(b.calls("getGenesisHash").len(), 1);
    a.fail("*", Fault::Status(500));
    read(&clone).await;
    let taken = pool.add(b.config()).await.unwrap_err();
    assert!(matches!(taken, ConnectError::DuplicateName { .. }), "{taken}");
}

#[tokio::test]
async fn one_of_another_chain_or_out_of_reach_is_not_added() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a]).await;
    b.chain().genesis = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d".to_owned();
    let error = pool.add(b.config()).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongGenesis { .. }), "{error}");
    b.fail("*", Fault::Status(503));
    let error = pool.add(b.config()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    b.fail("*", Fault::Garbage);
    let error = pool.add(b.config()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NotSolana { .. }), "{error}");
    assert!(!format!("{error:?}").contains(KEY));
    assert_eq!(names(&pool), ["a"]);
}

#[tokio::test]
async fn a_drained_endpoint_gets_nothing_new_and_ends_what_it_has() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a]).await;
    a.fail("getBalance", Fault::Delay(Duration::from_millis(300)));
    let under_way = tokio::spawn({
        let pool = pool.clone();
        async move { pool.balance(&KEY_OF, Commitment::Confirmed).await }
    });
    until("asked", Duration::from_secs(2), || a.calls("getBalance").len() == 1).await;
    pool.add(b.config()).await.unwrap();
    let begun = Instant::now();
    let (drained, ()) = tokio::join!(pool.drain("a"), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        read(&pool).await;
    });
    drained.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(150), "it was waited for");
    under_way.await.unwrap().unwrap();
    assert_eq!(a.calls("getBalance").len(), 1);
    assert_eq!(names(&pool), ["b"]);
    let bytes = [&[1][..], &[5; 64], &[0; 50]].concat();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let request = SendRequest::new(&text, Signature([5; 64]), false).unwrap();
    pool.send_transaction(&request).await.unwrap();
    pool.look().await;
    assert!(a.calls("sendTransaction").is_empty());
}

#[tokio::test]
async fn the_last_verified_endpoint_stays_and_a_majority_is_one_of_those_that_are_here() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    b.fail("*", Fault::Status(500));
    pool.block_height_quorum(Commitment::Finalized).await.unwrap_err();
    pool.remove("b").unwrap();
    assert_eq!(pool.block_height_quorum(Commitment::Finalized).await.unwrap().get(), 900);
    let last = pool.remove("a").unwrap_err();
    assert!(matches!(last, ConnectError::LastEndpoint { .. }), "{last}");
    assert!(matches!(pool.drain("a").await, Err(ConnectError::LastEndpoint { .. })));
    assert!(matches!(pool.remove("b"), Err(ConnectError::UnknownName { .. })));
    read(&pool).await;
}

#[tokio::test]
async fn lines_for_sends_are_kept_to_those_that_are_here() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a]).await;
    let lines = tokio::spawn(pool.clone().keep_lines());
    pool.add(b.config()).await.unwrap();
    pool.remove("a").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bytes = [&[1][..], &[6; 64], &[0; 50]].concat();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let request = SendRequest::new(&text, Signature([6; 64]), false).unwrap();
    pool.send_transaction(&request).await.unwrap();
    assert_eq!((a.calls("sendTransaction").len(), b.calls("sendTransaction").len()), (0, 1));
    assert!(!lines.is_finished());
    lines.abort();
}
