//! Accounts that come and go while a feed runs: nothing is lost, nothing is left behind, and nothing else is disturbed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use scripted::feed::{Feed, LONG, clock, ours, settings};
use scripted::{Node, until};
use serde_json::Value;
use sniper_solana::feed::{
    DownCause, FeedError, FeedEvent, FeedSettings, GapCause, ReconnectionHandler, Subscription,
    Watch, WebSocketManager,
};

fn name(index: u8) -> String {
    ours(index).to_string()
}

fn watch(index: u8) -> Watch {
    Watch::own_lamports(ours(index))
}

impl Feed {
    /// Until that balance is told; nothing may be missing on the way.
    async fn told_undisturbed(&mut self, balance: u64) {
        self.until(&format!("a balance of {balance}"), |event| match event {
            FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
            FeedEvent::OwnLamports { lamports, .. } => (lamports.get() == balance).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Takes what has come so far.
    fn drain(&mut self) -> Vec<FeedEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

/// A slot that the node has not reached.
fn next(node: &Node) -> u64 {
    node.chain().slot + 1
}

fn subscribed(indices: &[u8]) -> BTreeMap<String, u64> {
    indices.iter().map(|index| (name(*index), 1)).collect()
}

async fn up(feed: &Feed) {
    until("all are up", LONG, || feed.manager.report().iter().all(|report| report.live)).await;
}

#[tokio::test]
async fn what_is_followed_later_is_subscribed_to_on_the_live_connection_and_read_alone() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 2, settings()).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 55);
    let (reads, slot) = (node.calls("getMultipleAccounts").len(), node.chain().slot);
    let ids = feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    let read = node.calls("getMultipleAccounts");
    let [read]: &[Value; 1] = read[reads..].try_into().unwrap();
    assert_eq!(read[0], serde_json::json!([name(5)]), "the others are known");
    let least = read[1]["minContextSlot"].as_u64().unwrap();
    assert!(least > slot, "{least}: as of a slot after the acknowledgement");
    assert_eq!(feed.manager.watch(ids[0]), Some(watch(5)));
    let slot = next(&node);
    for (index, balance) in [(5, 56), (1, 77)] {
        node.tell(&name(index), slot, balance);
        feed.told_undisturbed(balance).await;
    }
    assert_eq!((node.connections(), node.subscribed()), (1, subscribed(&[0, 1, 5])));
}

#[tokio::test]
async fn a_change_told_before_its_acknowledgement_is_made_up_for_by_the_read() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 55);
    node.shared.withheld.lock().unwrap().insert(name(5));
    feed.manager.follow(&[watch(5)]).unwrap();
    until("it is asked for", LONG, || node.subscribed().contains_key(&name(5))).await;
    node.tell(&name(5), next(&node), 66);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let early = feed.drain();
    assert!(!early.iter().any(|event| matches!(event, FeedEvent::OwnLamports { .. })), "{early:?}");
    // The account and the slot clock were the requests before it.
    node.acknowledge(&name(5), 2);
    feed.told_undisturbed(66).await;
}

#[tokio::test]
async fn a_subscription_that_is_never_acknowledged_ends_the_connection_and_a_read_covers_all() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.shared.withheld.lock().unwrap().insert(name(5));
    feed.manager.follow(&[watch(5)]).unwrap();
    assert_eq!(feed.down().await, DownCause::NoAcknowledgement);
    node.set(&name(5), 1_000, 66);
    node.shared.withheld.lock().unwrap().clear();
    assert!(feed.restored().await.contains(&66));
    assert_eq!(node.subscribed(), subscribed(&[0, 5]));
}

#[tokio::test]
async fn what_is_followed_while_nobody_is_connected_is_there_when_the_feed_is_whole_again() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    *node.shared.refuse.lock().unwrap() = Some(-32_603);
    node.tear();
    feed.until("a gap", |event| matches!(event, FeedEvent::Gap { .. }).then_some(())).await;
    node.set(&name(5), 1_000, 55);
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.down().await;
    *node.shared.refuse.lock().unwrap() = None;
    assert!(feed.restored().await.contains(&55));
    node.tell(&name(5), next(&node), 56);
    feed.told_undisturbed(56).await;
    assert_eq!(node.subscribed(), subscribed(&[0, 5]));
}

#[tokio::test]
async fn an_account_that_a_node_refuses_is_let_go_alone_and_the_others_go_on() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.set(&name(6), 1_000, 66);
    node.shared.refused.lock().unwrap().insert(name(5));
    let ids = feed.manager.follow(&[watch(5), watch(6)]).unwrap();
    let mut read = false;
    let refused = feed.until("a refusal", |event| match event {
        FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
        FeedEvent::OwnLamports { .. } => {
            read = true;
            None
        }
        FeedEvent::Refused { watch, code } => Some((*watch, *code)),
        _ => None,
    });
    assert_eq!(refused.await, (ids[0], -32_602));
    if !read {
        feed.told_undisturbed(66).await;
    }
    assert_eq!((feed.manager.watch(ids[0]), feed.manager.watched()), (None, 2));
    node.shared.refused.lock().unwrap().clear();
    node.set(&name(5), 1_000, 55);
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    assert_eq!((node.connections(), node.subscribed()), (1, subscribed(&[0, 5, 6])));
}

#[tokio::test]
async fn an_account_that_was_had_and_is_refused_at_a_new_connection_is_tried_again() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 55);
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    node.shared.refused.lock().unwrap().insert(name(5));
    node.tear();
    let mut causes = vec![feed.down().await];
    causes.push(feed.down().await);
    assert_eq!(causes[1], DownCause::Refused { code: -32_602 }, "never silently without it");
    node.shared.refused.lock().unwrap().clear();
    assert!(feed.restored().await.contains(&55));
}

#[tokio::test]
async fn what_is_let_go_is_silent_and_followed_again_it_is_another() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 55);
    let first = feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    assert_eq!(feed.manager.unfollow(&first), 1);
    assert_eq!(feed.manager.unfollow(&first), 0, "once");
    // Told while the node may not know yet.
    node.tell(&name(5), next(&node), 56);
    until("the node let it go", LONG, || node.subscribed() == subscribed(&[0])).await;
    let after = feed.drain();
    assert!(!after.iter().any(|event| matches!(event, FeedEvent::OwnLamports { .. })), "{after:?}");
    node.set(&name(5), 1_000, 57);
    let second = feed.manager.follow(&[watch(5)]).unwrap();
    assert_ne!(first, second);
    assert_eq!(feed.manager.watch(first[0]), None);
    feed.told_undisturbed(57).await;
    // Let go and followed again within a moment: the node, which has one number for it, must not end both.
    feed.manager.unfollow(&second);
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(57).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.tell(&name(5), next(&node), 58);
    feed.told_undisturbed(58).await;
    assert_eq!((node.connections(), node.subscribed()), (1, subscribed(&[0, 5])));
}

#[tokio::test]
async fn an_account_of_two_watches_is_subscribed_to_once_and_until_both_are_gone() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 55);
    let ids = feed.manager.follow(&[watch(5), watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    feed.told_undisturbed(55).await;
    assert_eq!(node.subscribed(), subscribed(&[0, 5]));
    feed.manager.unfollow(&ids[..1]);
    // One that joins it is read, too, though nothing has to be asked for.
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    node.tell(&name(5), next(&node), 56);
    feed.told_undisturbed(56).await;
    feed.told_undisturbed(56).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let more = feed.drain();
    assert!(!more.iter().any(|event| matches!(event, FeedEvent::OwnLamports { .. })), "{more:?}");
}

#[tokio::test]
async fn more_than_a_connection_takes_comes_over_new_ones_to_the_same_endpoints_without_a_gap() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let settings = FeedSettings { accounts_per_connection: 2, ..settings() };
    let mut feed = Feed::start(&[&a, &b], 1, settings).await;
    feed.restored().await;
    up(&feed).await;
    for node in [&a, &b] {
        (5..10).for_each(|index| node.set(&name(index), 1_000, u64::from(index)));
    }
    let watches: Vec<_> = (5..10).map(watch).collect();
    feed.manager.follow(&watches).unwrap();
    let mut told = BTreeMap::new();
    feed.until("all are read", |event| {
        match event {
            FeedEvent::Gap { .. } | FeedEvent::Restored { .. } => panic!("{event:?}"),
            FeedEvent::OwnLamports { lamports, .. } if lamports.get() >= 5 => {
                *told.entry(lamports.get()).or_insert(0) += 1;
            }
            _ => {}
        }
        (told.len() == 5).then_some(())
    })
    .await;
    up(&feed).await;
    let report = feed.manager.report();
    assert_eq!(report.len(), 6, "three parts of two accounts, over two endpoints each");
    for node in [&a, &b] {
        let all = || node.subscribed() == subscribed(&[0, 5, 6, 7, 8, 9]);
        until("all are subscribed to", LONG, all).await;
        assert_eq!(node.connections(), 3);
    }
    assert!(feed.manager.ensure_sub_100ms_delivery().met);
}

#[tokio::test]
async fn what_only_a_lost_connection_told_of_is_a_gap_until_another_does() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let mut feed = Feed::start(&[&a, &b], 1, settings()).await;
    feed.restored().await;
    up(&feed).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for node in [&a, &b] {
        node.set(&name(5), 1_000, 55);
    }
    b.shared.withheld.lock().unwrap().insert(name(5));
    feed.manager.follow(&[watch(5)]).unwrap();
    feed.told_undisturbed(55).await;
    *a.shared.refuse.lock().unwrap() = Some(-32_603);
    a.tear();
    // The other connection is live, but of this account it does not tell yet.
    feed.until("a gap", |event| match event {
        FeedEvent::Gap { cause: GapCause::Disconnected, .. } => Some(()),
        FeedEvent::Restored { .. } => panic!("{event:?}"),
        _ => None,
    })
    .await;
    for node in [&a, &b] {
        node.set(&name(5), 1_000, 66);
    }
    b.acknowledge(&name(5), 2);
    assert!(feed.restored().await.contains(&66));
}

#[tokio::test]
async fn a_thousand_rounds_leave_nothing_behind() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let mut feed = Feed::start(&[&a, &b], 2, settings()).await;
    feed.restored().await;
    up(&feed).await;
    let watches: Vec<_> = (10..15).map(watch).collect();
    let mut last = Vec::new();
    for round in 0..1_000 {
        let ids = feed.manager.follow(&watches).unwrap();
        assert!(last < ids, "no number is given twice");
        // Some are let go before they are asked for, some after.
        if round % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(feed.manager.unfollow(&ids), 5);
        assert_eq!(feed.manager.watched(), 2);
        let events = feed.drain();
        let gap = |event: &FeedEvent| {
            matches!(event, FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. })
        };
        assert!(!events.iter().any(gap), "{events:?}");
        last = ids;
    }
    for node in [&a, &b] {
        until("all is let go", LONG, || node.subscribed() == subscribed(&[0, 1])).await;
        assert_eq!(node.connections(), 1);
    }
    a.tell(&name(1), next(&a).max(next(&b)), 77);
    feed.told_undisturbed(77).await;
}

#[tokio::test]
async fn a_node_that_does_not_end_subscriptions_is_connected_to_anew() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    *node.shared.clings.lock().unwrap() = true;
    for index in 10..50 {
        let ids = feed.manager.follow(&[watch(index)]).unwrap();
        let known = || node.subscribed().contains_key(&name(index));
        until("it is subscribed to", LONG, known).await;
        feed.manager.unfollow(&ids);
    }
    assert_eq!(feed.down().await, DownCause::NotReleased);
    feed.restored().await;
    until("the rest is gone", LONG, || node.subscribed().len() < 20).await;
}

#[tokio::test]
async fn more_watches_than_may_be_are_refused_all_together() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 2, FeedSettings { watches_max: 4, ..settings() }).await;
    feed.restored().await;
    let three: Vec<_> = (5..8).map(watch).collect();
    let refused = feed.manager.follow(&three).unwrap_err();
    assert!(matches!(refused, FeedError::TooMany { wanted: 5, most: 4 }), "{refused}");
    assert_eq!(feed.manager.watched(), 2);
    let ids = feed.manager.follow(&three[..2]).unwrap();
    assert!(matches!(feed.manager.follow(&three[2..]), Err(FeedError::TooMany { .. })));
    feed.manager.unfollow(&ids[..1]);
    feed.manager.follow(&three[2..]).unwrap();
    assert!(matches!(feed.manager.follow(&[]), Err(FeedError::NothingToWatch)));
    let pool = scripted::pool(&[&node]).await;
    let mut idle =
        WebSocketManager::new(pool, FeedSettings::default(), ReconnectionHandler::default());
    assert!(matches!(idle.follow(&three), Err(FeedError::NotStarted)));
    assert_eq!((idle.unfollow(&ids), idle.watched()), (0, 0));
}

#[tokio::test]
async fn what_is_not_acknowledged_yet_is_not_read_with_the_others() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let program = ours(200);
    let key = ("getProgramAccounts", program.to_string());
    node.chain().told.insert(key, serde_json::json!([]));
    let all = vec![watch(0).into(), Subscription::Program { program, filters: vec![] }];
    // Slots come after all that is told below: on a busy machine that may take longer than silence is otherwise borne.
    let stall_after = Duration::from_secs(60);
    let settings = FeedSettings { capacity: 16, stall_after, ..settings() };
    let mut feed = Feed::of(&[&node], all, settings).await;
    feed.restored().await;
    node.set(&name(5), 1_000, 1_000_055);
    node.shared.withheld.lock().unwrap().insert(name(5));
    feed.manager.follow(&[watch(5)]).unwrap();
    until("it is asked for", LONG, || node.subscribed().contains_key(&name(5))).await;
    let slot = next(&node) + 1_000;
    node.set(&name(0), slot, 199);
    // More accounts of the program than may wait.
    for nth in 0_u32..5_000 {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&nth.to_le_bytes());
        let address = sniper_core::ids::Address::new_from_array(bytes).to_string();
        node.tell_program(&program.to_string(), &address, slot, 7);
    }
    until("the gap is told", LONG, || feed.manager.counters().waiting >= 4_096).await;
    // All of the part is read again; of this account, what changes after that would go unheard.
    let told = feed.restored().await;
    assert!(told.contains(&199) && !told.contains(&1_000_055), "{told:?}");
    node.acknowledge(&name(5), 3);
    feed.told_undisturbed(1_000_055).await;
}
