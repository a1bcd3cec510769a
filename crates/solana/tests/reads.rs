//! How reads are spread, raced and shared, and what they may cost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use scripted::{Fault, Node, pool, until};
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use sniper_solana::rpc::{CallKind, Commitment, Next, PoolSettings, RpcConnectionPool, RpcError};

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
        node.fail("getBalance", Fault::Delay(Duration::from_millis(150)));
    }
    let keys: Vec<_> = (0..40).map(key).collect();
    let reads = keys.iter().map(|key| pool.balance(key, Commitment::Confirmed));
    assert!(join_all(reads).await.iter().all(Result::is_ok));
    let asked = asked(&[&a, &b], "getBalance");
    assert!(asked <= 54, "a tenth, and ten saved up: {asked}");
}

/// Reads while one endpoint after the other goes wrong, no more than there are hedges for; how often it was asked.
async fn outrun(pool: &RpcConnectionPool, nodes: [&Node; 2], fault: &Fault) -> usize {
    let mut outrun = 0;
    for (node, from) in nodes.into_iter().zip([0, 20]) {
        node.fail("getBalance", fault.clone());
        for n in from..from + 5 {
            pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
        }
        outrun += node.calls("getBalance").len();
        node.heal();
    }
    outrun
}

#[tokio::test]
async fn the_endpoint_that_lost_a_race_has_not_failed_and_what_it_took_is_known() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    measure(&pool).await;
    let late = Fault::Delay(Duration::from_millis(200));
    assert!(outrun(&pool, [&a, &b], &late).await > 0, "it was asked, and outrun");
    until("its answer has come", Duration::from_secs(2), || {
        pool.report().iter().any(|report| report.p99_us >= 190_000)
    })
    .await;
    for report in pool.report() {
        assert!(report.healthy && report.error_rate == 0.0, "{report:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_never_answers_has_failed_though_it_was_outrun() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    measure(&pool).await;
    assert!(outrun(&pool, [&a, &b], &Fault::Hang).await > 0, "it was asked, and outrun");
    until("its silence is held against it", Duration::from_secs(20), || {
        pool.report().iter().any(|report| report.error_rate > 0.0)
    })
    .await;
}

#[tokio::test]
async fn a_slow_method_does_not_make_others_wait_for_their_hedge() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    for node in [&a, &b] {
        node.fail("getBalance", Fault::Delay(Duration::from_millis(200)));
    }
    measure(&pool).await;
    let keys: Vec<_> = (0..60).map(key).collect();
    for some in keys.chunks(10) {
        join_all(some.iter().map(|key| pool.balance(key, Commitment::Confirmed))).await;
    }
    // Enough reads to have hedges again; then the one that is asked falls silent.
    measure(&pool).await;
    for (silent, other) in [(&a, &b), (&b, &a)] {
        silent.fail("getSlot", Fault::Hang);
        other.heal();
        let begun = Instant::now();
        pool.slot(Commitment::Processed).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
        silent.heal();
    }
}

#[tokio::test]
async fn time_never_runs_backwards_for_who_reads() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    // The scripted nodes do not heed minContextSlot, as some do not.
    b.chain().slot = 1_010;
    let mut last = Slot::ZERO;
    // First the one that is behind is asked less, then the other.
    for (slow, quick, from) in [(&a, &b, 0), (&b, &a, 20)] {
        quick.heal();
        slow.fail("getBalance", Fault::Delay(Duration::from_millis(40)));
        for n in from..from + 20 {
            let read = pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
            assert!(read.slot >= last, "{} after {last}", read.slot);
            last = read.slot;
        }
        assert_eq!(last, Slot::new(1_010));
    }
    let asked = [&a, &b].iter().flat_map(|node| node.calls("getBalance")).collect::<Vec<_>>();
    assert!(asked.iter().any(|params| params[1]["minContextSlot"] == 1_010), "{asked:?}");
    assert!(pool.report()[0].healthy, "being behind a little is no failure");
}

#[tokio::test]
async fn one_node_that_lies_about_its_slot_does_not_make_all_others_look_old() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let pool = pool(&[&a, &b, &c]).await;
    a.chain().slot = 1_000_000;
    for n in 0..60 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
    }
    pool.look().await;
    let healthy: Vec<_> = pool.report().iter().map(|report| report.healthy).collect();
    assert_eq!(healthy, [false, true, true], "the liar is out");
    assert_eq!(pool.highest_slot(), Slot::new(1_000));
    let read = pool.balance(&key(99), Commitment::Confirmed).await.unwrap();
    assert_eq!(read.slot, Slot::new(1_000));
}

#[tokio::test]
async fn of_three_endpoints_the_slow_one_is_hardly_asked() {
    let nodes = [Node::start("a").await, Node::start("b").await, Node::start("c").await];
    nodes[2].fail("getBalance", Fault::Delay(Duration::from_millis(100)));
    let configs = nodes.iter().map(Node::config).collect();
    let settings = PoolSettings { seed: Some(7), ..PoolSettings::default() };
    let pool = RpcConnectionPool::connect(configs, settings).await.unwrap();
    for n in 0..60 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
    }
    let asked: Vec<_> = nodes.iter().map(|node| node.calls("getBalance").len()).collect();
    assert!(asked[2] <= 12 && asked[0] > 4 && asked[1] > 4, "{asked:?}");
}

#[tokio::test]
async fn a_reserve_is_read_from_only_where_no_other_can_be() {
    let nodes = [Node::start("a").await, Node::start("b").await, Node::start("c").await];
    let placed = |(nth, node): (usize, &Node)| node.config().as_reserve(nth < 2);
    let configs = nodes.iter().enumerate().map(placed).collect();
    let pool = RpcConnectionPool::connect(configs, PoolSettings::default()).await.unwrap();
    // A hedge alone may go elsewhere.
    for n in 0..40 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
    }
    let asked = || nodes.iter().map(|node| node.calls("getBalance").len()).collect::<Vec<_>>();
    let [first, second, last] = asked()[..] else { panic!("three nodes") };
    assert!(last == 40 && first + second <= 4, "{:?}", asked());
    nodes[2].fail("getBalance", Fault::Node(-32_005));
    for n in 40..80 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
    }
    let [first, second, _] = asked()[..] else { panic!("three nodes") };
    assert!(first + second >= 30, "{:?}", asked());
}

#[tokio::test]
async fn the_same_question_at_the_same_time_is_one_request() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    node.set(&key(1).to_string(), 1_000, 77);
    node.fail("getBalance", Fault::Delay(Duration::from_millis(100)));
    let same = key(1);
    let read = || pool.balance(&same, Commitment::Confirmed);
    let answers = join_all((0..50).map(|_| read())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().value.get() == 77));
    assert_eq!(node.calls("getBalance").len(), 1);
    read().await.unwrap();
    assert_eq!(node.calls("getBalance").len(), 2, "what was answered is not kept");
    node.fail("getBalance", Fault::Node(-32_602));
    let answers = join_all((0..50).map(|_| read())).await;
    assert!(answers.iter().all(|a| a.as_ref().unwrap_err().node_code() == Some(-32_602)));
    assert_eq!(node.calls("getBalance").len(), 3, "an error is shared as well");
}

#[tokio::test]
async fn who_waits_for_anothers_request_is_answered_when_that_one_gives_up() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    node.fail("getBalance", Fault::Delay(Duration::from_millis(150)));
    let same = key(1);
    let gives_up = async {
        let read = pool.balance(&same, Commitment::Confirmed);
        assert!(tokio::time::timeout(Duration::from_millis(50), read).await.is_err());
    };
    let ((), answer) = tokio::join!(gives_up, pool.balance(&same, Commitment::Confirmed));
    assert_eq!(answer.unwrap().slot, Slot::new(1_000));
    assert_eq!(node.calls("getBalance").len(), 2);
}

#[tokio::test]
async fn accounts_asked_for_at_the_same_moment_are_read_together() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    let keys: Vec<_> = (1..=20).map(key).collect();
    for (n, key) in (1..).zip(&keys[..19]) {
        node.set(&key.to_string(), 1_000, n);
    }
    let reads = keys.iter().chain(&keys).map(|key| pool.account(key, Commitment::Confirmed));
    let accounts = join_all(reads).await;
    for (n, account) in accounts.into_iter().enumerate() {
        let account = account.unwrap().value.map(|account| account.lamports.get());
        let wanted = u64::try_from(n % 20 + 1).unwrap();
        assert_eq!(account, (wanted < 20).then_some(wanted));
    }
    let asked = node.calls("getMultipleAccounts");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0][0].as_array().unwrap().len(), 20);
    assert!(node.calls("getAccountInfo").is_empty());
}

#[tokio::test]
async fn a_storm_of_refusals_is_not_answered_with_a_storm_of_retries() {
    for nth in [1, 2] {
        let (a, b) = (Node::start("a").await, Node::start("b").await);
        let pool = pool(&[&a, &b]).await;
        measure(&pool).await;
        for node in [&a, &b] {
            node.fail("getBalance", Fault::ThrottleEach(nth));
        }
        let keys: Vec<_> = (0..200).map(key).collect();
        let mut failed = 0;
        for some in keys.chunks(50) {
            let reads = some.iter().map(|key| pool.balance(key, Commitment::Confirmed));
            let failures = join_all(reads).await.into_iter().filter_map(Result::err);
            failed += failures
                .inspect(|error| {
                    assert!(matches!(error.next(CallKind::Read), Next::Wait(_)), "{error:?}");
                })
                .count();
        }
        let asked = asked(&[&a, &b], "getBalance");
        assert!(asked <= 240, "{asked} for 200 reads");
        assert!(nth > 1 || failed == 200);
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_pause_gets_it_while_the_other_is_asked() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    a.fail("getBalance", Fault::Throttle); // for a second
    let begun = Instant::now();
    for n in 0..100 {
        pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let asked = [&a, &b].map(|node| node.calls("getBalance").len());
    assert!(asked[0] <= seconds && asked[1] >= 100, "{asked:?} in {seconds} s");
}

#[tokio::test]
async fn only_so_many_reads_wait_for_a_slow_endpoint_and_the_rest_are_told_so() {
    let node = Node::start("a").await;
    let pool = pool(&[&node]).await;
    node.fail("getBalance", Fault::Delay(Duration::from_millis(50)));
    let keys: Vec<_> = (0..700_u16)
        .map(|n| {
            let mut bytes = [9; 32];
            bytes[..2].copy_from_slice(&n.to_le_bytes());
            Address::new_from_array(bytes)
        })
        .collect();
    let reads = keys.iter().map(|key| pool.balance(key, Commitment::Confirmed));
    let outcomes = join_all(reads).await;
    let shed =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(RpcError::Overloaded { .. })));
    assert!((1..=170).contains(&shed.count()));
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() >= 500);
    pool.balance(&keys[0], Commitment::Confirmed).await.unwrap();
}

#[tokio::test]
async fn an_answer_far_too_large_is_not_read_and_another_endpoint_is_asked() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let pool = pool(&[&a, &b]).await;
    for (floods, from) in [(&a, 0), (&b, 20)] {
        floods.fail("getBalance", Fault::Flood(8 << 20));
        // Fewer than get it ejected.
        for n in from..from + 3 {
            pool.balance(&key(n), Commitment::Confirmed).await.unwrap();
        }
        floods.heal();
    }
    let alone = scripted::pool(&[&a]).await;
    a.fail("getBalance", Fault::Flood(8 << 20));
    let error = alone.balance(&key(99), Commitment::Confirmed).await.unwrap_err();
    assert!(matches!(error, RpcError::Impossible { .. }), "{error:?}");
    assert!(alone.report()[0].error_rate > 0.0, "it is blamed");
}
