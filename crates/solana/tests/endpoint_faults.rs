//! What becomes of requests when endpoints fail, lie, lag or stall.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::{Duration, Instant};

use scripted::{Fault, KEY, Node, pool, until};
use serde_json::json;
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{Lamports, Slot};
use sniper_solana::rpc::{
    BreakerState, CallKind, Commitment, ConnectError, EndpointConfig, Next, PoolSettings,
    RpcConnectionPool, RpcError, SendRequest,
};

const KEY_OF: Address = Address::new_from_array([7; 32]);

async fn refused(nodes: &[&Node]) -> ConnectError {
    let configs = nodes.iter().map(|node| node.config()).collect();
    RpcConnectionPool::connect(configs, PoolSettings::default()).await.unwrap_err()
}

/// Everything an operator could see of an error.
fn all_words(error: &dyn std::error::Error) -> String {
    let mut words = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    words
}

#[tokio::test]
async fn what_is_not_solana_is_refused_by_name_and_without_its_address() {
    let node = Node::start("shop").await;
    for fault in
        [Fault::Garbage, Fault::Status(404), Fault::Node(-32601), Fault::Result(json!("hello"))]
    {
        node.fail("getGenesisHash", fault);
        let error = refused(&[&node]).await;
        assert!(matches!(&error, ConnectError::NotSolana { .. }), "{error:?}");
        let words = all_words(&error);
        assert!(words.contains("shop") && !words.contains(KEY), "{words}");
    }
    let nobody =
        EndpointConfig::new("gone", &format!("http://127.0.0.1:1/{KEY}"), "ws://127.0.0.1:1", 10)
            .unwrap();
    let error =
        RpcConnectionPool::connect(vec![nobody], PoolSettings::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(
        all_words(&error).contains("gone") && !all_words(&error).contains(KEY),
        "{}",
        all_words(&error)
    );
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_refused_before_use() {
    let (ours, other) = (Node::start("ours").await, Node::start("other").await);
    other.chain().genesis = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d".to_owned();
    let error = refused(&[&ours, &other]).await;
    assert!(
        matches!(&error, ConnectError::WrongGenesis { endpoint, .. } if **endpoint == *"other"),
        "{error:?}"
    );
    assert!(other.calls("getLatestBlockhash").is_empty());
}

#[tokio::test]
async fn an_endpoint_that_takes_slots_for_heights_is_refused() {
    let node = Node::start("liar").await;
    node.chain().height = 1_001;
    assert!(matches!(
        refused(&[&node]).await,
        ConnectError::ImpossibleHeight { height: 1_001, .. }
    ));
    {
        let mut chain = node.chain();
        (chain.slot, chain.height) = (300_000_000, 300_000_000);
    }
    assert!(
        matches!(refused(&[&node]).await, ConnectError::ImpossibleHeight { .. }),
        "an old chain skips slots"
    );
    node.chain().height = 278_000_000;
    pool(&[&node]).await;
}

#[tokio::test]
async fn addresses_are_checked_and_never_shown() {
    let bad = |http, ws| EndpointConfig::new("a", http, ws, 10).unwrap_err();
    for error in [
        bad("ftp://host/s3cr3t-k3y", "ws://host"),
        bad("not a url s3cr3t-k3y", "ws://host"),
        bad("https://host", "https://host/s3cr3t-k3y"),
    ] {
        assert!(matches!(error, ConnectError::Address { .. }));
        assert!(!all_words(&error).contains(KEY));
    }
    let good =
        EndpointConfig::new("a", "https://u:s3cr3t-k3y@host", "wss://host/s3cr3t-k3y", 10).unwrap();
    assert!(!format!("{good:?}").contains(KEY));
    let twins = vec![good.clone(), good];
    let error = RpcConnectionPool::connect(twins, PoolSettings::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::DuplicateName { .. }));
}

#[tokio::test]
async fn a_read_is_hedged_when_the_first_endpoint_stalls() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    for _ in 0..60 {
        pool.slot(Commitment::Processed).await.unwrap();
    }
    for node in [&a, &b] {
        node.heal();
        node.fail("getBalance", Fault::Hang);
        let other = if node.name == "a" { &b } else { &a };
        other.heal();
        let started = Instant::now();
        let balance = pool.balance(&KEY_OF, Commitment::Confirmed).await.unwrap();
        assert_eq!(balance.value, Lamports::ZERO);
        assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_endpoint_that_is_always_outrun_is_no_longer_asked_first() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    for _ in 0..60 {
        pool.slot(Commitment::Processed).await.unwrap();
    }
    let first = if a.calls("getSlot").len() > b.calls("getSlot").len() { &a } else { &b };
    first.fail("getBalance", Fault::Delay(Duration::from_secs(2)));
    for _ in 0..40 {
        pool.balance(&KEY_OF, Commitment::Confirmed).await.unwrap();
    }
    assert!(first.calls("getBalance").len() < 15, "{}", first.calls("getBalance").len());
}

#[tokio::test]
async fn a_read_goes_elsewhere_when_an_endpoint_fails_and_the_breaker_keeps_it_out() {
    for fault in [
        Fault::Throttle,
        Fault::Garbage,
        Fault::Status(502),
        Fault::Node(-32005),
        Fault::Result(json!("text")),
    ] {
        let (a, b) = (Node::start("a").await, Node::start("b").await);
        let pool = pool(&[&a, &b]).await;
        a.fail("getSlot", fault.clone());
        let mut tries = 0;
        while pool.report()[0].breaker == BreakerState::Closed {
            assert_eq!(
                pool.slot(Commitment::Processed).await.unwrap(),
                Slot::new(1_000),
                "{fault:?}"
            );
            // Reads alone may never try the worse one again; the monitor's looks do.
            pool.look().await;
            tries += 1;
            assert!(tries < 20, "{fault:?}: still in use: {:?}", pool.report());
        }
        let before = a.calls("getSlot").len();
        for _ in 0..10 {
            pool.slot(Commitment::Processed).await.unwrap();
        }
        assert_eq!(a.calls("getSlot").len(), before, "{fault:?}");
        a.heal();
        let probed = async {
            while pool.report()[0].breaker != BreakerState::Closed {
                tokio::time::sleep(Duration::from_millis(50)).await;
                pool.look().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), probed).await.expect("probed back in");
    }
}

#[tokio::test]
async fn an_endpoint_that_lags_is_ejected_until_it_has_caught_up() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    b.chain().slot = 2_000;
    pool.look().await;
    let report = pool.report();
    assert_eq!((report[0].lag, report[0].healthy, report[1].healthy), (1_000, false, true));
    for _ in 0..5 {
        assert_eq!(pool.slot(Commitment::Processed).await.unwrap(), Slot::new(2_000));
    }
    a.chain().slot = 2_001;
    let back = async {
        while !pool.report()[0].healthy {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pool.look().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
}

#[tokio::test]
async fn an_older_state_than_asked_for_is_not_accepted() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    // A node that ignores minContextSlot.
    b.chain().slot = 1_010;
    let read = pool
        .multiple_accounts(&[KEY_OF], Commitment::Processed, Some(Slot::new(1_010)))
        .await
        .unwrap();
    assert_eq!(read.slot, Slot::new(1_010));
    let params = b.calls("getMultipleAccounts").pop().unwrap();
    assert_eq!(params[1]["minContextSlot"], 1_010);
}

#[tokio::test]
async fn a_callers_mistake_is_not_repeated() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    node.fail("getBalance", Fault::Node(-32602));
    let error = pool.balance(&KEY_OF, Commitment::Confirmed).await.unwrap_err();
    assert_eq!(error.next(CallKind::Read), Next::GiveUp);
    assert_eq!(node.calls("getBalance").len(), 1);
    assert!(pool.report()[0].healthy, "the endpoint is not to blame");
}

fn transaction(tag: u8) -> (SendRequest, String) {
    use base64::Engine as _;
    let signature = [tag; 64];
    let bytes = [&[1][..], &signature, &[tag; 100]].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    (SendRequest::new(&text, Signature(signature), false).unwrap(), text)
}

#[tokio::test]
async fn a_send_goes_to_all_as_the_same_bytes_and_only_once() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let pool = pool(&[&a, &b, &c]).await;
    a.fail("sendTransaction", Fault::Hang);
    b.fail("sendTransaction", Fault::Status(500));
    let (request, text) = transaction(5);
    let report = pool.send_transaction(&request).await.unwrap();
    assert_eq!(*report.accepted[0], *"c");
    let options = json!({"encoding": "base64", "skipPreflight": true, "preflightCommitment": "confirmed", "maxRetries": 0});
    until("all were asked", Duration::from_secs(2), || {
        [&a, &b, &c].iter().all(|n| !n.calls("sendTransaction").is_empty())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for node in [&a, &b, &c] {
        assert_eq!(node.calls("sendTransaction"), [json!([text, options])], "{}", node.name);
    }
}

#[tokio::test]
async fn a_send_that_nobody_took_is_a_question_for_the_chain() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    let (request, _) = transaction(6);
    for fault in [
        Fault::Status(503),
        Fault::Throttle,
        Fault::Garbage,
        Fault::Result(json!("4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY")),
    ] {
        node.fail("sendTransaction", fault);
        let errors = pool.send_transaction(&request).await.unwrap_err();
        assert!(
            errors.iter().all(|error| error.next(CallKind::Send) == Next::AskChain),
            "{errors:?}"
        );
    }
    let none = RpcError::NoEndpoint { method: "sendTransaction" };
    assert_eq!(none.next(CallKind::Send), Next::AskChain);
}

#[tokio::test]
async fn a_quorum_believes_the_height_that_a_majority_has_reached() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let pool = pool(&[&a, &b, &c]).await;
    b.chain().height = 901;
    c.chain().height = 9_999_999;
    let height = pool.block_height_quorum(Commitment::Finalized).await.unwrap();
    assert_eq!(height.get(), 901, "two of three have reached it, and one alone is not believed");
    for node in [&a, &b] {
        node.fail("getBlockHeight", Fault::Status(500));
    }
    let error = pool.block_height_quorum(Commitment::Finalized).await.unwrap_err();
    assert!(matches!(error, RpcError::NoQuorum { answers: 1, asked: 3, .. }), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_comes_later_is_verified_before_it_is_used() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    b.fail("*", Fault::Status(503));
    let pool = pool(&[&a, &b]).await;
    b.chain().genesis = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d".to_owned();
    b.heal();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        pool.look().await;
    }
    assert!(!pool.report()[1].verified && b.calls("getGenesisHash").len() == 2, "refused for good");
    let (request, _) = transaction(7);
    pool.send_transaction(&request).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(b.calls("sendTransaction").is_empty());
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_behind_is_left_out_until_it_has_caught_up() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    b.fail("getHealth", Fault::Node(-32005));
    let alone = refused(&[&b]).await;
    assert!(matches!(alone, ConnectError::Unreachable { .. }), "{alone:?}");
    let pool = pool(&[&a, &b]).await;
    assert!(!pool.report()[1].healthy);
    b.heal();
    b.fail("getHealth", Fault::Node(-32601)); // a provider may switch the method off
    let back = async {
        while !pool.report()[1].healthy {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pool.look().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
}

#[tokio::test]
async fn balances_count_when_a_majority_tells_the_same() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let pool = pool(&[&a, &b, &c]).await;
    let name = KEY_OF.to_string();
    let read = || pool.agreed_accounts(&[KEY_OF], Commitment::Confirmed);
    a.set(&name, 1_000, 999_999);
    b.set(&name, 1_003, 70);
    c.set(&name, 1_002, 70);
    let read_one = read().await.unwrap();
    assert_eq!(read_one.slot, Slot::new(1_002), "both that agree have reached it");
    assert_eq!(read_one.value[0].as_ref().unwrap().lamports, Lamports::new(70));
    c.fail("getMultipleAccounts", Fault::Status(500));
    let error = read().await.unwrap_err();
    assert!(matches!(error, RpcError::Disagree { agreeing: 1, asked: 3, .. }), "{error:?}");
    b.fail("getMultipleAccounts", Fault::Status(500));
    let error = read().await.unwrap_err();
    assert!(matches!(error, RpcError::NoQuorum { answers: 1, asked: 3, .. }), "{error:?}");
}

#[tokio::test]
async fn a_change_that_is_under_way_is_waited_for() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    let name = KEY_OF.to_string();
    a.set(&name, 1_001, 5);
    let follows = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        b.set(&name, 1_001, 5);
    };
    let (read, ()) = tokio::join!(pool.agreed_accounts(&[KEY_OF], Commitment::Confirmed), follows);
    assert_eq!(read.unwrap().value[0].as_ref().unwrap().lamports, Lamports::new(5));
}

#[tokio::test]
async fn with_one_endpoint_its_word_is_taken() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    node.set(&KEY_OF.to_string(), 1_000, 5);
    let read = pool.agreed_accounts(&[KEY_OF], Commitment::Confirmed).await.unwrap();
    assert_eq!(read.value[0].as_ref().unwrap().lamports, Lamports::new(5));
    assert_eq!(pool.block_height_quorum(Commitment::Finalized).await.unwrap().get(), 900);
}

#[tokio::test]
async fn a_status_seen_by_anybody_is_seen() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let pool = pool(&[&a, &b, &c]).await;
    let signatures = [Signature([1; 64]), Signature([2; 64])];
    let name = bs58::encode([2; 64]).into_string();
    c.chain().history.insert(
        name,
        json!({"slot": 9, "confirmations": null, "err": null, "confirmationStatus": "finalized"}),
    );
    a.fail("getSignatureStatuses", Fault::Status(500));
    let seen = pool.statuses_seen_by_any(&signatures).await.unwrap().value;
    assert_eq!(seen[0], None);
    assert_eq!(seen[1].as_ref().unwrap().slot, Slot::new(9));
}
