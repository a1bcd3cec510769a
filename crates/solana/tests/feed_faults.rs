//! What the receiver of a feed learns when connections tear, stall, refuse or overflow it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::Duration;

use scripted::feed::{Feed, LONG, clock, ours, settings};
use scripted::{Fault, KEY, Node, until};
use sniper_core::units::{Lamports, Slot};
use sniper_solana::feed::{
    DownCause, FeedEvent, FeedSettings, GapCause, ReconnectionHandler, Watch, WebSocketManager,
};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};

#[tokio::test]
async fn a_feed_begins_with_a_gap_and_a_snapshot_and_then_tells_changes() {
    let node = Node::start("a").await;
    node.set(&ours(0).to_string(), 1_000, 5);
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    assert_eq!(feed.events.recv().await, Some(FeedEvent::Gap { shard: 0, cause: GapCause::Start }));
    assert_eq!(feed.restored().await, [5]);
    let slot = node.chain().slot + 1;
    node.tell(&ours(0).to_string(), slot, 6);
    assert_eq!(feed.balance().await, (slot, 6));
}

#[tokio::test]
async fn a_torn_connection_is_made_again_and_nothing_is_missed() {
    let node = Node::start("a").await;
    for index in 0..3 {
        node.set(&ours(index).to_string(), 1_000, 5);
    }
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 3, settings()).await;
    feed.restored().await;
    node.tear();
    feed.until("a gap", |event| match event {
        FeedEvent::Gap { cause: GapCause::Disconnected, .. } => Some(()),
        _ => None,
    })
    .await;
    // Changed while nobody was listening, or just as the subscription came back: told by no notice.
    node.set(&ours(1).to_string(), 1_000, 77);
    let told = feed.restored().await;
    assert!(told.contains(&77), "{told:?}");
    assert!(node.connections() >= 2);
}

#[tokio::test]
async fn silence_is_seen_against_the_slot_clock() {
    let node = Node::start("a").await;
    let clock_task = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    clock_task.abort();
    assert_eq!(feed.down().await, DownCause::Stalled);
    let _clock = clock(&node);
    feed.restored().await;
}

#[tokio::test]
async fn a_refused_subscription_is_tried_again_at_growing_pauses_and_not_at_once() {
    let node = Node::start("a").await;
    *node.shared.refuse.lock().unwrap() = Some(-32603);
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    for _ in 0..3 {
        assert_eq!(feed.down().await, DownCause::Refused { code: -32603 });
    }
    assert!(node.connections() < 20);
    *node.shared.refuse.lock().unwrap() = None;
    feed.restored().await;
}

#[tokio::test]
async fn rubbish_ends_a_connection_but_not_the_feed() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    for text in ["", "{", "\u{0}", "[]", r#"{"method":5}"#, r#"{"params":{"subscription":-1}}"#] {
        for _ in 0..2 {
            node.tell_text(text);
        }
    }
    assert_eq!(feed.down().await, DownCause::Garbage);
    feed.restored().await;
    assert!(feed.manager.counters().unreadable >= 10);
}

#[tokio::test]
async fn a_feed_of_another_chain_is_not_listened_to() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    let slot = node.chain().slot;
    node.tell_foreign_slot(slot + 1_000_000);
    assert_eq!(feed.down().await, DownCause::OtherChain);
    feed.restored().await;
}

#[tokio::test]
async fn an_endpoint_that_was_never_verified_is_not_followed() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    b.fail("*", Fault::Status(503));
    let _clocks = [clock(&a), clock(&b)];
    let mut feed = Feed::start(&[&a, &b], 1, settings()).await;
    feed.restored().await;
    assert_eq!(feed.manager.report().len(), 1);
    assert_eq!(b.connections(), 0);
}

#[tokio::test]
async fn one_of_two_connections_may_die_without_a_gap() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let (clock_a, _clock_b) = (clock(&a), clock(&b));
    let mut feed = Feed::start(&[&a, &b], 1, settings()).await;
    feed.restored().await;
    let ready = |feed: &Feed| feed.manager.report().iter().all(|report| report.live);
    until("both are up", LONG, || ready(&feed)).await;
    clock_a.abort();
    a.tear();
    feed.down().await;
    let slot = b.chain().slot + 100;
    b.tell(&ours(0).to_string(), slot, 9);
    let told = feed.until("the other one tells", |event| match event {
        FeedEvent::Gap { .. } => panic!("there was no gap"),
        FeedEvent::OwnLamports { lamports, slot: at } if *at == Slot::new(slot) => Some(*lamports),
        _ => None,
    });
    assert_eq!(told.await, Lamports::new(9));
}

#[tokio::test]
async fn two_connections_tell_each_change_once_and_the_later_one_is_measured() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let (_clock_a, _clock_b) = (clock(&a), clock(&b));
    let mut feed = Feed::start(&[&a, &b], 1, settings()).await;
    feed.restored().await;
    until("both are up", LONG, || feed.manager.report().iter().all(|report| report.live)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let first = a.chain().slot.max(b.chain().slot) + 1_000;
    for step in 0..30 {
        a.tell(&ours(0).to_string(), first + step, step);
        tokio::time::sleep(Duration::from_millis(20)).await;
        b.tell(&ours(0).to_string(), first + step, step);
    }
    let mut told = Vec::new();
    while told.last() != Some(&(first + 29, 29)) {
        let balance = feed.balance().await;
        if balance.0 >= first {
            told.push(balance);
        }
    }
    let wanted: Vec<_> = (0..30).map(|step| (first + step, step)).collect();
    assert_eq!(told, wanted);
    let twins = || feed.manager.counters().duplicates >= 30;
    until("the twins have come", LONG, twins).await;
    let report = feed.manager.ensure_sub_100ms_delivery();
    let of = |name: &str| report.connections.iter().find(|c| *c.endpoint == *name).unwrap();
    assert!(report.met && report.moved.is_empty(), "{report:?}");
    assert!(of("a").delivery.first >= 30 && of("b").delivery.first <= 2, "{report:?}");
    assert!(of("b").delivery.late_p50_us >= 19_000, "{report:?}");
}

#[tokio::test]
async fn a_connection_that_tells_too_late_is_moved_to_another_endpoint() {
    let nodes = [Node::start("a").await, Node::start("b").await, Node::start("c").await];
    let _clocks: Vec<_> = nodes.iter().map(clock).collect();
    let mut feed = Feed::start(&[&nodes[0], &nodes[1], &nodes[2]], 1, settings()).await;
    feed.restored().await;
    until("both are up", LONG, || feed.manager.report().iter().all(|report| report.live)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    feed.manager.follow(&[Watch::own_lamports(ours(7))]).unwrap();
    let used: Vec<_> = feed.manager.report().iter().map(|report| report.endpoint.clone()).collect();
    let node = |name: &str| nodes.iter().find(|node| *node.name == *name).unwrap();
    let (fast, slow) = (node(&used[0]), node(&used[1]));
    let slot = nodes.iter().map(|node| node.chain().slot).max().unwrap() + 1_000;
    for step in 0..25 {
        fast.tell(&ours(0).to_string(), slot + step, step);
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    // The story keeps the last few versions: of those the late telling is measured.
    for round in 0..8 {
        for step in 0..3 {
            fast.tell(&ours(0).to_string(), slot + 100 + round * 3 + step, round * 3 + step);
        }
        tokio::time::sleep(Duration::from_millis(130)).await;
        for step in 0..3 {
            slow.tell(&ours(0).to_string(), slot + 100 + round * 3 + step, round * 3 + step);
        }
    }
    let twins = || feed.manager.counters().duplicates >= 24;
    until("the twins have come", LONG, twins).await;
    let report = feed.manager.ensure_sub_100ms_delivery();
    let third = nodes.iter().find(|node| !used.contains(&node.name.into())).unwrap();
    assert_eq!(report.moved, [(1, third.name.into())], "{report:?}");
    assert!(report.met, "the other one is in time");
    assert_eq!(feed.down().await, DownCause::Moved);
    let up = feed.until("the third is up", |event| match event {
        FeedEvent::ConnectionUp { endpoint, connection: 1 } => Some(endpoint.clone()),
        _ => None,
    });
    assert_eq!(*up.await, *third.name);
    let wanted: Vec<_> = [ours(0), ours(7)].iter().map(ToString::to_string).collect();
    let all = third.subscribed();
    assert!(wanted.iter().all(|address| all.contains_key(address)), "what came later moves too");
}

#[tokio::test]
async fn a_receiver_that_stalls_holds_up_no_socket_and_ends_with_the_newest_of_each_account() {
    const NOTICES: u64 = 9_000;
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 3, FeedSettings { capacity: 16, ..settings() }).await;
    feed.restored().await;
    let (reads, before) = (node.calls("getMultipleAccounts").len(), feed.manager.counters());
    let slot = node.chain().slot + 1_000;
    for step in 0..NOTICES {
        node.tell(&ours(u8::try_from(step % 3).unwrap()).to_string(), slot + step / 9, step);
    }
    // Nobody receives, and still every notice is read off the socket.
    let all_read = || {
        let now = feed.manager.counters();
        now.delivered + now.overflows >= before.delivered + before.overflows + NOTICES
    };
    until("every notice was read", LONG, all_read).await;
    let full = feed.manager.counters();
    // Three accounts, and at most one slot behind each and one at the end.
    assert!(full.waiting <= 7, "{full:?}");
    assert!(full.coalesced >= NOTICES - 16 - 3, "{full:?}");
    // Long after a silent connection would have been given up, this one lives.
    tokio::time::sleep(settings().stall_after * 2).await;
    assert_eq!(feed.manager.counters().connects, before.connects);
    let (mut known, mut heard) = (std::collections::BTreeMap::new(), 0);
    feed.until("the last word on each", |event| match event {
        FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
        FeedEvent::OwnLamports { lamports, slot: at } => {
            heard += 1;
            let last = known.insert(lamports.get() % 3, (at.get(), lamports.get()));
            assert!(last < Some((at.get(), lamports.get())), "never back");
            let newest = |nth: u64| known.get(&nth).is_some_and(|word| word.1 >= NOTICES - 3);
            (0..3).all(newest).then_some(())
        }
        FeedEvent::Slot { slot: at, .. } if at.get() > slot + NOTICES / 9 => {
            panic!("a slot overtook what was told before it: {at:?}")
        }
        _ => None,
    })
    .await;
    assert!(heard <= 16 + 3 + 3, "{heard} of {NOTICES}");
    assert_eq!(node.calls("getMultipleAccounts").len(), reads, "nothing had to be read again");
    // And at its own pace again.
    let slot = node.chain().slot + 5;
    node.tell(&ours(0).to_string(), slot, 1_000_000);
    let told = feed.until("news", |event| match event {
        FeedEvent::OwnLamports { lamports, .. } => (lamports.get() == 1_000_000).then_some(()),
        _ => None,
    });
    told.await;
    assert_eq!(feed.manager.counters().waiting, 0);
}

#[tokio::test]
async fn a_dropped_receiver_ends_the_feed() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    drop(feed.events);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let before = node.connections();
    node.tear();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(node.connections(), before, "nobody is listening, so nobody connects");
}

#[tokio::test]
async fn while_nobody_tells_of_an_account_an_endpoint_that_is_away_is_looked_for_every_second() {
    let node = Node::start("a").await;
    // A port that nobody listens on.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let http = format!("http://127.0.0.1:{}/{KEY}", node.port);
    let endpoint = EndpointConfig::new("a", &http, &format!("ws://{away}"), 1_000).unwrap();
    let pool = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let mut manager =
        WebSocketManager::new(pool.clone(), settings(), ReconnectionHandler::default());
    let events = manager.start_optimized_feeds(vec![Watch::own_lamports(ours(0))]).unwrap();
    let mut feed = Feed { manager, events, pool };
    // At pauses that go on doubling, nine failures take at least 12.75 s.
    let nine = async {
        for _ in 0..9 {
            assert_eq!(feed.down().await, DownCause::Connect);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), nine).await.expect("nine failures in 10 s");
}

#[tokio::test]
async fn a_feed_whose_endpoints_are_all_lost_goes_on_through_another_that_is_well() {
    let nodes = [Node::start("a").await, Node::start("b").await, Node::start("c").await];
    let _clocks: Vec<_> = nodes.iter().map(clock).collect();
    let mut feed = Feed::start(&[&nodes[0], &nodes[1], &nodes[2]], 1, settings()).await;
    feed.restored().await;
    until("both are up", LONG, || feed.manager.report().iter().all(|report| report.live)).await;
    assert_eq!(feed.manager.leave_lost_endpoints(), [], "nothing is lost");
    let used: Vec<_> = feed.manager.report().iter().map(|report| report.endpoint.clone()).collect();
    let third = nodes.iter().find(|node| !used.contains(&node.name.into())).unwrap();
    for node in nodes.iter().filter(|node| node.name != third.name) {
        *node.shared.refuse.lock().unwrap() = Some(-32603);
        node.tear();
    }
    let slot = nodes.iter().map(|node| node.chain().slot).max().unwrap() + 1;
    nodes.iter().for_each(|node| node.set(&ours(0).to_string(), slot, 77));
    let mut moved = Vec::new();
    let start = std::time::Instant::now();
    while moved.is_empty() {
        assert!(start.elapsed() < LONG, "no connection was moved");
        tokio::time::sleep(Duration::from_millis(100)).await;
        moved = feed.manager.leave_lost_endpoints();
    }
    let to_third = moved.iter().filter(|(_, name)| **name == *third.name).count();
    assert_eq!(to_third, 1, "the third carries the part once: {moved:?}");
    let up = feed.until("the third is up", |event| match event {
        FeedEvent::ConnectionUp { endpoint, .. } if **endpoint == *third.name => Some(()),
        _ => None,
    });
    up.await;
    assert!(feed.restored().await.contains(&77));
}
