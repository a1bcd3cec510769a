//! What the receiver of a feed learns from a Yellowstone stream, from a server in this process that speaks the real
//! protocol: alone, beside a WebSocket, and when it goes wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;
mod stream_node;

use std::sync::Arc;
use std::time::Duration;

use scripted::feed::{Feed, LONG, ours, settings};
use scripted::until;
use sniper_core::ids::Signature;
use sniper_solana::feed::{
    DownCause, FeedEvent, FeedSettings, GapCause, LogEvent, LogSettings, LogWatch,
    ReconnectionHandler, Subscription, Via, Watch, WatchId,
};
use sniper_solana::rpc::{AccountFilter, Commitment, PoolSettings, RpcConnectionPool};
use stream_node::{
    Replay, StreamNode, TOKEN, account, balances, feed, feed_of, outcome, transaction,
};
use yellowstone_grpc_proto::geyser::subscribe_update::UpdateOneof;
use yellowstone_grpc_proto::geyser::{SlotStatus, SubscribeUpdateAccount, SubscribeUpdatePing};
use yellowstone_grpc_proto::tonic::Code;

/// The stream alone.
fn alone() -> FeedSettings {
    FeedSettings { replicas: 1, ..settings() }
}

/// A node, and a feed of its stream alone that knows everything; the clock has stopped.
async fn started(watches: u8) -> (Arc<StreamNode>, Feed, u64) {
    let node = Arc::new(StreamNode::start("a").await);
    let mut feed = feed(&[&node], &balances(watches), patient()).await;
    let clock = node.clock();
    feed.restored().await;
    drop(clock);
    let slot = node.step();
    reached(&mut feed, slot).await;
    (node, feed, slot)
}

/// The same, for tests that let the clock stand.
fn patient() -> FeedSettings {
    FeedSettings { stall_after: LONG, ..alone() }
}

async fn reached(feed: &mut Feed, slot: u64) {
    feed.until("a slot", |event| match event {
        FeedEvent::Slot { slot: told, .. } if told.get() >= slot => Some(()),
        _ => None,
    })
    .await;
}

/// The balances told until a slot is.
async fn told_until(feed: &mut Feed, slot: u64) -> Vec<(u64, u64)> {
    let mut told = Vec::new();
    feed.until("a slot", |event| match event {
        FeedEvent::OwnLamports { lamports, slot } => {
            told.push((slot.get(), lamports.get()));
            None
        }
        FeedEvent::Slot { slot: told, .. } if told.get() >= slot => Some(()),
        _ => None,
    })
    .await;
    told
}

#[tokio::test]
async fn a_stream_begins_with_a_gap_and_a_snapshot_and_is_asked_for_what_is_followed() {
    let node = Arc::new(StreamNode::start("a").await);
    node.holds(0, 5);
    let mut feed = feed(&[&node], &balances(1), alone()).await;
    let _clock = node.clock();
    assert_eq!(feed.events.recv().await, Some(FeedEvent::Gap { shard: 0, cause: GapCause::Start }));
    assert_eq!(feed.restored().await, [5]);
    assert_eq!((node.streams(), node.node.connections()), (1, 0), "no WebSocket");
    assert_eq!(feed.manager.report()[0].via, Via::Grpc);
    let asked = &node.requests()[0];
    assert_eq!(asked.accounts.len(), 1, "servers allow few");
    assert_eq!(asked.accounts["a"].account, [ours(0).to_string()]);
    assert_eq!((asked.from_slot, asked.commitment), (None, Some(0)));
}

#[tokio::test]
async fn of_each_account_the_last_write_of_a_slot_is_told_once_when_the_slot_has_ended() {
    let (node, mut feed, slot) = started(2).await;
    let before = feed.manager.counters();
    node.bank(slot + 1, slot);
    node.write(slot + 1, 0, 70, 100);
    node.write(slot + 1, 1, 71, 200);
    node.write(slot + 1, 0, 73, 101);
    node.write(slot + 1, 0, 73, 101); // again
    node.write(slot + 1, 0, 72, 99); // overtaken
    node.processed(slot + 1, slot);
    node.bank(slot + 2, slot + 1);
    let told = told_until(&mut feed, slot + 2).await;
    assert_eq!(told, [(slot + 1, 200), (slot + 1, 101)]);
    let after = feed.manager.counters();
    assert_eq!((after.duplicates - before.duplicates, after.late - before.late), (1, 1));
    // A version is a counter within a slot: that of the next may be anything.
    node.write(slot + 2, 0, 3, 102);
    node.processed(slot + 2, slot + 1);
    node.bank(slot + 3, slot + 2);
    assert_eq!(told_until(&mut feed, slot + 3).await, [(slot + 2, 102)]);
}

#[tokio::test]
async fn of_a_stream_and_a_websocket_the_first_is_heard_and_neither_takes_an_account_back() {
    let node = Arc::new(StreamNode::start("a").await);
    let both = FeedSettings { replicas: 2, ..patient() };
    let mut feed = feed(&[&node], &balances(1), both).await;
    let clock = node.clock();
    feed.restored().await;
    until("both are there", LONG, || feed.manager.report().iter().all(|one| one.live)).await;
    let vias: Vec<_> = feed.manager.report().iter().map(|one| one.via).collect();
    assert_eq!(vias, [Via::Grpc, Via::WebSocket]);
    drop(clock);
    let slot = node.step();
    reached(&mut feed, slot).await;
    let (address, duplicates) = (ours(0).to_string(), feed.manager.counters().duplicates);
    // The WebSocket is first: what the slot went through before is told by nobody.
    node.node.tell(&address, slot + 1, 9);
    assert_eq!(feed.balance().await, (slot + 1, 9));
    node.bank(slot + 1, slot);
    node.write(slot + 1, 0, 1, 8);
    node.write(slot + 1, 0, 2, 9);
    node.processed(slot + 1, slot);
    // The stream is first.
    node.write(slot + 2, 0, 3, 10);
    node.processed(slot + 2, slot + 1);
    assert_eq!(feed.balance().await, (slot + 2, 10));
    node.node.tell(&address, slot + 2, 10);
    node.node.tell(&address, slot + 3, 11);
    assert_eq!(feed.balance().await, (slot + 3, 11));
    assert_eq!(feed.manager.counters().duplicates - duplicates, 2);
    // The WebSocket goes on alone, without a gap.
    node.end(Code::Unavailable, "restart");
    assert_eq!(feed.down().await, DownCause::Broken);
    node.node.tell(&address, slot + 4, 12);
    let next = feed
        .until("a balance or a gap", |event| match event {
            FeedEvent::OwnLamports { lamports, .. } => Some(Some(lamports.get())),
            FeedEvent::Gap { .. } => Some(None),
            _ => None,
        })
        .await;
    assert_eq!(next, Some(12));
}

#[tokio::test]
async fn a_branch_that_is_given_up_is_read_again() {
    let (node, mut feed, slot) = started(1).await;
    node.bank(slot + 1, slot);
    node.write(slot + 1, 0, 1, 50);
    node.processed(slot + 1, slot);
    assert_eq!(feed.balance().await, (slot + 1, 50));
    // The chain goes on without that slot, and a stream tells nothing of it: requests do.
    node.holds(0, 49);
    node.bank(slot + 2, slot);
    node.processed(slot + 2, slot);
    assert_eq!(feed.balance().await, (slot + 2, 49));
    // It does not go on: nothing else is read.
    let reads = node.node.calls("getMultipleAccounts").len();
    node.bank(slot + 3, slot + 2);
    node.processed(slot + 3, slot + 2);
    node.bank(slot + 4, slot + 3);
    reached(&mut feed, slot + 4).await;
    assert_eq!(node.node.calls("getMultipleAccounts").len(), reads);
}

#[tokio::test]
async fn a_lost_stream_is_made_again_from_where_it_ended_and_everything_is_read() {
    for (code, text, cause) in [
        (Code::Unavailable, "server is shutting down try again later", DownCause::Broken),
        (Code::Internal, "lagged to receive geyser messages", DownCause::Lagged),
    ] {
        let (node, mut feed, slot) = started(3).await;
        node.end(code, text);
        assert_eq!(feed.down().await, cause);
        feed.until("a gap", |event| match event {
            FeedEvent::Gap { cause: GapCause::Disconnected, .. } => Some(()),
            _ => None,
        })
        .await;
        // Told by no stream.
        node.holds(1, 77);
        let _clock = node.clock();
        let told = feed.restored().await;
        assert!(told.contains(&77), "{told:?}");
        let requests = node.requests();
        let from: Vec<_> = requests.iter().map(|request| request.from_slot).collect();
        assert_eq!(from, [None, Some(slot)]);
    }
}

#[tokio::test]
async fn what_was_printed_in_a_gap_is_told_again_where_the_server_keeps_it() {
    let node = Arc::new(StreamNode::start("a").await);
    let logs = [Subscription::Logs { mentions: ours(7) }];
    let mut feed = feed(&[&node], &logs, patient()).await;
    let clock = node.clock();
    feed.restored().await;
    drop(clock);
    let slot = node.step();
    reached(&mut feed, slot).await;
    node.tell(slot, transaction(slot, 1, ours(7), "before"));
    let line = |event: &FeedEvent| match event {
        FeedEvent::Logs { notice, .. } => Some((notice.slot.get(), notice.logs.join(","))),
        _ => None,
    };
    assert_eq!(feed.until("a line", line).await, (slot, "before".to_owned()));
    node.keep(slot + 1, transaction(slot + 1, 2, ours(7), "within"));
    node.keep(slot + 1, transaction(slot + 1, 3, ours(8), "another's"));
    node.end(Code::Unavailable, "");
    feed.down().await;
    assert_eq!(feed.until("a line", line).await, (slot + 1, "within".to_owned()), "once");
}

#[tokio::test]
async fn the_lines_of_programs_are_listened_to_by_a_stream_too() {
    let node = Arc::new(StreamNode::start("a").await);
    let config = node.config(Some(TOKEN));
    let pool = RpcConnectionPool::connect(vec![config], PoolSettings::default()).await.unwrap();
    let reconnection =
        ReconnectionHandler::new(Duration::from_millis(20), Duration::from_millis(200));
    let settings = LogSettings { stall_after: LONG, ..LogSettings::default() };
    let (_watch, mut events) =
        LogWatch::start(pool, vec![ours(7), ours(8)], settings, reconnection).unwrap();
    let mut next = async || tokio::time::timeout(LONG, events.recv()).await.unwrap().unwrap();
    let clock = node.clock();
    let endpoint = || "a".into();
    assert_eq!(next().await, LogEvent::Up { endpoint: endpoint() });
    drop(clock);
    let slot = node.step();
    node.tell(slot + 1, transaction(slot + 1, 1, ours(7), "one"));
    node.tell(slot + 1, transaction(slot + 1, 1, ours(7), "one"));
    node.tell(slot + 1, transaction(slot + 1, 2, ours(8), "two"));
    for (signature, line) in [(1, "one"), (2, "two")] {
        let LogEvent::Logs(notice) = next().await else { panic!("not lines") };
        assert_eq!((notice.signature.0[0], notice.logs), (signature, vec![line.to_owned()]));
        assert_eq!((notice.slot.get(), notice.succeeded), (slot + 1, true));
    }
    // The WebSocket is tried next; it refuses, and the stream tells what was printed meanwhile.
    *node.node.shared.refuse.lock().unwrap() = Some(-32_601);
    node.keep(slot + 2, transaction(slot + 2, 3, ours(7), "meanwhile"));
    node.end(Code::Unavailable, "");
    for cause in [DownCause::Broken, DownCause::Refused { code: -32_601 }] {
        assert_eq!(next().await, LogEvent::Down { endpoint: Some(endpoint()), cause });
    }
    let (mut is_up, mut lines) = (false, Vec::new());
    while !is_up || lines.is_empty() {
        match next().await {
            LogEvent::Up { .. } => is_up = true,
            LogEvent::Logs(notice) => lines.extend(notice.logs),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lines, ["meanwhile"], "what was told before is not told again");
    let from: Vec<_> = node.requests().iter().map(|request| request.from_slot).collect();
    assert_eq!(from, [None, Some(slot)]);
}

#[tokio::test]
async fn a_server_that_tells_nothing_again_is_asked_without_and_what_was_missed_is_read() {
    let (node, mut feed, slot) = started(1).await;
    *node.shared().replay.lock().unwrap() = Replay::From(slot + 100);
    node.holds(0, 31);
    node.end(Code::Unavailable, "");
    let clock = node.clock();
    assert_eq!(feed.down().await, DownCause::Broken);
    assert_eq!(feed.down().await, DownCause::NoReplay);
    assert!(feed.restored().await.contains(&31));
    let from = || node.requests().iter().map(|request| request.from_slot).collect::<Vec<_>>();
    assert_eq!(from(), [None, Some(slot), None]);
    // It may keep the next; one that keeps none is asked no more.
    *node.shared().replay.lock().unwrap() = Replay::Unsupported;
    for lost in [DownCause::Broken, DownCause::NoReplay] {
        if lost == DownCause::Broken {
            node.end(Code::Unavailable, "");
        }
        assert_eq!(feed.down().await, lost);
    }
    feed.restored().await;
    node.end(Code::Unavailable, "");
    assert_eq!(feed.down().await, DownCause::Broken);
    feed.restored().await;
    drop(clock);
    let from = from();
    assert!(from[3].is_some());
    assert_eq!(&from[4..], [None, None]);
}

#[tokio::test]
async fn a_wrong_token_is_told_as_such_and_the_websocket_of_the_endpoint_takes_over() {
    let node = Arc::new(StreamNode::start("a").await);
    let config = node.config(Some("wr0ng-token"));
    let mut feed = feed_of(vec![config], &balances(1), patient()).await;
    let down = feed
        .until("a lost connection", |event| match event {
            FeedEvent::ConnectionDown { endpoint, cause, .. } => Some((endpoint.clone(), *cause)),
            _ => None,
        })
        .await;
    assert_eq!((&*down.0, down.1), ("a", DownCause::Unauthenticated));
    assert!(!format!("{down:?} {} {:?}", down.1, feed.manager).contains("wr0ng"));
    let _clock = scripted::feed::clock(&node.node);
    let mut moved = Vec::new();
    until("it is left", LONG, || {
        moved = feed.manager.leave_lost_endpoints();
        !moved.is_empty()
    })
    .await;
    assert_eq!(moved, [(0, "a".into())]);
    feed.restored().await;
    assert_eq!(feed.manager.report()[0].via, Via::WebSocket);
    assert_eq!(node.streams(), 0);
}

#[tokio::test]
async fn a_stream_over_tls_is_never_spoken_to_without() {
    let node = Arc::new(StreamNode::start("a").await);
    let config = node.config_over("https", Some(TOKEN));
    let mut feed = feed_of(vec![config], &balances(1), patient()).await;
    assert_eq!(feed.down().await, DownCause::Connect);
    assert_eq!((node.streams(), node.requests().len()), (0, 0));
}

#[tokio::test]
async fn each_refusal_has_its_cause() {
    for (code, cause) in [
        (Code::InvalidArgument, DownCause::Limits),
        (Code::ResourceExhausted, DownCause::Exhausted),
        (Code::Unimplemented, DownCause::Status { code: 12 }),
    ] {
        let node = Arc::new(StreamNode::start("a").await);
        *node.shared().refuse.lock().unwrap() = Some((code, "s3cr3t"));
        let mut feed = feed(&[&node], &balances(1), alone()).await;
        let down = feed.down().await;
        assert_eq!(down, cause);
        assert!(!down.to_string().contains("s3cr3t"));
        *node.shared().refuse.lock().unwrap() = None;
        let _clock = node.clock();
        feed.restored().await;
    }
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_stream_and_what_it_may_have_told_is_read() {
    let (node, mut feed, slot) = started(1).await;
    node.holds(0, 13);
    node.tell(slot + 1, account(slot + 1, ours(0), 1, 13, &vec![7; 9 << 20]));
    assert_eq!(feed.down().await, DownCause::TooLarge);
    *node.shared().replay.lock().unwrap() = Replay::From(slot + 2);
    let _clock = node.clock();
    assert!(feed.restored().await.contains(&13));
}

#[tokio::test]
async fn what_never_ends_is_not_kept_without_end() {
    let (node, mut feed, slot) = started(1).await;
    for nth in 1..=12 {
        node.tell(slot + nth, account(slot + nth, ours(0), 1, 13, &vec![7; 3 << 20]));
    }
    assert_eq!(feed.down().await, DownCause::Flooded);
}

#[tokio::test]
async fn silence_is_seen_against_the_slot_clock() {
    let node = Arc::new(StreamNode::start("a").await);
    let mut feed = feed(&[&node], &balances(1), alone()).await;
    let clock = node.clock();
    feed.restored().await;
    drop(clock);
    // Alive, and of no use: slots begin and never end.
    let talking = Arc::clone(&node);
    let talk = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            talking.tell(0, UpdateOneof::Ping(SubscribeUpdatePing {}));
            let slot = talking.node.chain().slot + 1;
            talking.bank(slot, slot - 1);
        }
    });
    assert_eq!(feed.down().await, DownCause::Stalled);
    talk.abort();
    let _clock = node.clock();
    feed.restored().await;
}

#[tokio::test]
async fn what_is_followed_changes_on_the_same_stream() {
    let (node, mut feed, _) = started(1).await;
    let _clock = node.clock();
    node.holds(5, 55);
    let new = feed.manager.follow(&[Watch::own_lamports(ours(5))]).unwrap();
    let told = feed
        .until("its balance", |event| match event {
            FeedEvent::OwnLamports { lamports, .. } => Some(lamports.get()),
            FeedEvent::Gap { .. } => panic!("what was followed goes on"),
            _ => None,
        })
        .await;
    assert_eq!(told, 55);
    let mut both = node.requests().last().unwrap().accounts["a"].account.clone();
    both.sort();
    assert_eq!(both, [ours(0).to_string(), ours(5).to_string()]);
    feed.manager.unfollow(&new);
    let last = || node.requests().last().unwrap().clone();
    until("it is let go", LONG, || last().accounts["a"].account == [ours(0).to_string()]).await;
    let names: Vec<_> =
        node.requests().iter().flat_map(|one| one.slots.clone().into_keys()).collect();
    assert_eq!(names, ["s1", "s2", "s3"], "each request has slots of its own name");
    assert_eq!(node.streams(), 1);
    feed.manager.unfollow(&[WatchId(0)]);
    until("nothing is left", LONG, || last().accounts.is_empty()).await;
    assert_eq!(last().slots.len(), 1, "an empty filter would mean every account");
}

#[tokio::test]
async fn a_ping_is_answered_and_filters_survive_it_on_servers_of_both_kinds() {
    for is_old in [false, true] {
        let (node, mut feed, slot) = started(1).await;
        *node.shared().is_old.lock().unwrap() = is_old;
        let before = node.requests().len();
        node.tell(0, UpdateOneof::Ping(SubscribeUpdatePing {}));
        until("an answer", LONG, || node.requests().len() > before).await;
        let answer = node.requests().last().unwrap().clone();
        assert!(answer.ping.is_some() && answer.from_slot.is_none());
        node.write(slot + 1, 0, 1, 64);
        node.processed(slot + 1, slot);
        assert_eq!(feed.balance().await, (slot + 1, 64), "old: {is_old}");
        if !is_old {
            until("a round trip", LONG, || feed.manager.report()[0].round_trip_us.is_some()).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_never_tells_when_a_bank_is_made_is_believed_a_slot_later() {
    let node = Arc::new(StreamNode::start("a").await);
    let mut feed = feed(&[&node], &balances(1), patient()).await;
    until("it is asked", LONG, || !node.requests().is_empty()).await;
    let asked_at = node.node.chain().slot;
    for nth in 1..=2 {
        assert_eq!(feed.manager.counters().connects, 0, "what began before may go on");
        node.processed(asked_at + nth, asked_at + nth - 1);
        until("it is told", LONG, || feed.pool.highest_slot().get() >= asked_at + nth).await;
    }
    feed.restored().await;
    let least = &node.node.calls("getMultipleAccounts")[0][1]["minContextSlot"];
    assert_eq!(least, asked_at + 2);
}

#[tokio::test]
async fn programs_signatures_and_roots_are_told_like_accounts() {
    let node = Arc::new(StreamNode::start("a").await);
    let (program, signature) = (sniper_core::ids::Address::default(), Signature([9; 64]));
    node.node.fail(
        "getProgramAccounts",
        scripted::Fault::Result(serde_json::json!({"context": {"slot": 6_000}, "value": []})),
    );
    let filters =
        vec![AccountFilter::DataSize(3), AccountFilter::Memcmp { offset: 1, bytes: vec![2, 3] }];
    let all = [
        Subscription::Program { program, filters },
        Subscription::Signature(signature),
        Subscription::Root,
    ];
    let mut feed = feed(&[&node], &all, patient()).await;
    let clock = node.clock();
    feed.restored().await;
    drop(clock);
    let slot = node.step();
    reached(&mut feed, slot).await;
    node.tell(slot + 1, account(slot + 1, ours(1), 1, 5, &[1, 2, 3]));
    node.tell(slot + 1, account(slot + 1, ours(2), 2, 6, &[1, 2, 4]));
    node.tell(slot + 1, outcome(slot + 1, 9, false));
    node.status(slot - 1, Some(slot - 2), SlotStatus::SlotFinalized);
    node.processed(slot + 1, slot);
    let mut seen = (None, None, None);
    feed.until("all of them", |event| {
        match event {
            FeedEvent::Program { address, account, slot, .. } => {
                assert_eq!(*address, ours(1), "the other is filtered out");
                seen.0 = Some((account.data.clone(), account.lamports.get(), slot.get()));
            }
            FeedEvent::Signature { succeeded, slot, .. } => seen.1 = Some((*succeeded, slot.get())),
            FeedEvent::Root { slot, .. } => seen.2 = Some(slot.get()),
            _ => {}
        }
        (seen.0.is_some() && seen.1.is_some() && seen.2.is_some()).then_some(())
    })
    .await;
    assert_eq!(seen, (Some((vec![1, 2, 3], 5, slot + 1)), Some((false, slot + 1)), Some(slot - 1)));
}

#[tokio::test]
async fn at_a_higher_commitment_a_slot_ends_when_it_is_that_sure() {
    let node = Arc::new(StreamNode::start("a").await);
    let sure = FeedSettings { commitment: Commitment::Confirmed, ..patient() };
    let mut feed = feed(&[&node], &balances(1), sure).await;
    until("it is asked", LONG, || !node.requests().is_empty()).await;
    assert_eq!(node.requests()[0].commitment, Some(1));
    let slot = node.step();
    node.status(slot, None, SlotStatus::SlotConfirmed);
    feed.restored().await;
    node.write(slot + 1, 0, 1, 70);
    node.processed(slot + 1, slot);
    node.status(slot + 1, None, SlotStatus::SlotConfirmed);
    node.write(slot + 2, 0, 2, 71);
    node.processed(slot + 2, slot + 1);
    node.status(slot + 2, None, SlotStatus::SlotConfirmed);
    assert_eq!(feed.balance().await, (slot + 1, 70));
    assert_eq!(feed.balance().await, (slot + 2, 71));
}

#[tokio::test]
async fn what_makes_no_sense_is_read_and_too_much_of_it_ends_the_stream() {
    let (node, mut feed, slot) = started(1).await;
    node.holds(0, 21);
    let broken = SubscribeUpdateAccount { slot: slot + 1, ..Default::default() };
    node.tell(slot + 1, UpdateOneof::Account(broken.clone()));
    assert_eq!(feed.balance().await.1, 21);
    assert!(feed.manager.report()[0].fault.is_some());
    for _ in 0..10 {
        node.tell(slot + 1, UpdateOneof::Account(broken.clone()));
    }
    assert_eq!(feed.down().await, DownCause::Garbage);
}

#[tokio::test]
async fn another_chain_is_not_listened_to() {
    let (node, mut feed, slot) = started(1).await;
    node.status(slot + 1_000_000, Some(slot), SlotStatus::SlotProcessed);
    assert_eq!(feed.down().await, DownCause::OtherChain);
    assert!(!format!("{:?}", node.config(Some(TOKEN))).contains(TOKEN));
}
