//! Programs, logs, signatures and roots over the connections of a feed, and frames that make no sense.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod quiet;
mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use scripted::feed::{Feed, LONG, clock, ours, settings};
use scripted::{Node, until};
use serde_json::{Value, json};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::Lamports;
use sniper_solana::feed::{
    DownCause, Fault, FeedEvent, FeedSettings, GapCause, ReconnectionHandler, Subscription, Watch,
    WatchId, WebSocketManager,
};
use sniper_solana::rpc::{AccountFilter, Commitment};

const SIGNATURE: Signature = Signature([7; 64]);

fn program() -> Address {
    ours(200)
}

fn of_program() -> Subscription {
    Subscription::Program { program: program(), filters: vec![AccountFilter::DataSize(3)] }
}

fn logs() -> Subscription {
    Subscription::Logs { mentions: ours(201) }
}

fn base58(signature: Signature) -> String {
    bs58::encode(signature.0).into_string()
}

/// What a read of the program gives.
fn set_program(node: &Node, accounts: &[(Address, u64)]) {
    let account = |lamports| {
        json!({"lamports": lamports, "owner": program().to_string(),
        "data": ["AQID", "base64"], "executable": false, "rentEpoch": u64::MAX, "space": 3})
    };
    let all = accounts.iter().map(
        |(address, lamports)| json!({"pubkey": address.to_string(), "account": account(*lamports)}),
    );
    let key = ("getProgramAccounts", program().to_string());
    node.chain().told.insert(key, all.collect::<Value>());
}

fn told(value: Value, slot: u64) -> Value {
    json!({"context": {"slot": slot}, "value": value})
}

fn lines(nth: u8) -> Value {
    let name = base58(Signature([nth; 64]));
    json!({"signature": name, "err": null, "logs": [format!("line {nth}")]})
}

impl Feed {
    /// The next account of a program: which, as of when, and how much.
    async fn of_program(&mut self) -> (Address, u64, u64) {
        self.until("an account of a program", |event| match event {
            FeedEvent::Program { address, slot, account, .. } => {
                assert_eq!((account.owner, account.data.as_slice()), (program(), &[1, 2, 3][..]));
                Some((*address, slot.get(), account.lamports.get()))
            }
            _ => None,
        })
        .await
    }

    async fn up(&self) {
        until("all are up", LONG, || self.manager.report().iter().all(|report| report.live)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn drain(&mut self) -> Vec<FeedEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn the_accounts_of_a_program_are_read_and_each_change_is_told_once_and_never_back() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    [&a, &b].iter().for_each(|node| set_program(node, &[(ours(1), 11), (ours(2), 22)]));
    let mut feed = Feed::of(&[&a, &b], vec![of_program()], settings()).await;
    let mut first = BTreeMap::new();
    feed.until("the gap is closed", |event| match event {
        FeedEvent::Program { address, account, .. } => {
            first.insert(*address, account.lamports.get());
            None
        }
        FeedEvent::Restored { .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(first, BTreeMap::from([(ours(1), 11), (ours(2), 22)]));
    let reads = [&a, &b].map(|node| node.calls("getProgramAccounts")).concat();
    let options = &reads[0][1];
    assert!(options["minContextSlot"].as_u64() >= Some(1_000), "{options}");
    assert_eq!(options["filters"], json!([{"dataSize": 3}]));
    feed.up().await;
    let slot = a.chain().slot.max(b.chain().slot) + 10;
    let key = |nth| (program().to_string(), ours(nth).to_string());
    for step in 0..20 {
        let (first, second) = if step % 2 == 0 { (&a, &b) } else { (&b, &a) };
        for node in [first, second] {
            let (program, address) = key(1);
            node.tell_program(&program, &address, slot + step, 100 + step);
            // One that is behind.
            node.tell_program(&program, &key(2).1, slot + step / 4, 200 + step / 4);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut heard: BTreeMap<Address, Vec<(u64, u64)>> = BTreeMap::new();
    while heard.values().map(Vec::len).sum::<usize>() < 25 {
        let (address, slot, lamports) = feed.of_program().await;
        heard.entry(address).or_default().push((slot, lamports));
    }
    let wanted =
        |by: u64, from: u64| -> Vec<_> { (0..by).map(|step| (slot + step, from + step)).collect() };
    assert_eq!(heard[&ours(1)], wanted(20, 100));
    assert_eq!(heard[&ours(2)], wanted(5, 200));
    let twins = || feed.manager.counters().duplicates >= 20 + 20 + 15;
    until("the twins were dropped", LONG, twins).await;
    let more = feed.drain();
    assert!(!more.iter().any(|event| matches!(event, FeedEvent::Program { .. })), "{more:?}");
}

#[tokio::test]
async fn what_changed_in_a_program_while_nobody_listened_is_read_before_it_counts_as_whole() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    set_program(&node, &[(ours(1), 11)]);
    let mut feed = Feed::of(&[&node], vec![of_program()], settings()).await;
    feed.restored().await;
    node.tear();
    set_program(&node, &[(ours(1), 12), (ours(3), 33)]);
    let mut heard = Vec::new();
    feed.until("whole again", |event| match event {
        FeedEvent::Program { address, account, .. } => {
            heard.push((*address, account.lamports.get()));
            None
        }
        FeedEvent::Restored { .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(heard, [(ours(1), 12), (ours(3), 33)]);
}

#[tokio::test]
async fn more_accounts_of_a_program_than_may_wait_are_a_gap_and_are_read() {
    const ACCOUNTS: u32 = 6_000;
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let address = |nth: u32| {
        let mut bytes = [3; 32];
        bytes[..4].copy_from_slice(&nth.to_le_bytes());
        Address::new_from_array(bytes)
    };
    let all: Vec<_> = (0..ACCOUNTS).map(|nth| (address(nth), 1)).collect();
    set_program(&node, &[]);
    // Slots come after all of these: on a busy machine that may take longer than silence is otherwise borne.
    let stall_after = Duration::from_secs(60);
    let settings = FeedSettings { capacity: 64, stall_after, ..settings() };
    let mut feed = Feed::of(&[&node], vec![of_program()], settings).await;
    feed.restored().await;
    let slot = node.chain().slot + 10;
    for (address, lamports) in &all {
        node.tell_program(&program().to_string(), &address.to_string(), slot, *lamports);
    }
    until("as many wait as may", LONG, || feed.manager.counters().waiting >= 4_096).await;
    set_program(&node, &all);
    let (mut heard, mut gaps) = (BTreeMap::new(), 0);
    feed.until("whole again", |event| match event {
        FeedEvent::Program { address, account, .. } => {
            heard.insert(*address, account.lamports.get());
            None
        }
        FeedEvent::Gap { cause, .. } => {
            assert_eq!(*cause, GapCause::Overflow);
            gaps += 1;
            None
        }
        FeedEvent::Restored { .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!((heard.len(), gaps), (all.len(), 1));
}

#[tokio::test]
async fn lines_are_told_once_and_those_that_a_slow_receiver_misses_are_counted() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let settings = FeedSettings { capacity: 32, ..settings() };
    let mut feed = Feed::of(&[&a, &b], vec![logs()], settings).await;
    feed.restored().await;
    feed.up().await;
    for node in [&a, &b] {
        node.tell_kind("logs", &ours(201).to_string(), told(lines(1), 2_000));
        node.tell_kind("logs", &ours(201).to_string(), told(lines(1), 2_001));
    }
    for slot in [2_000, 2_001] {
        let notice = feed.until("lines", |event| match event {
            FeedEvent::Logs { notice, watch: WatchId(0) } => Some(notice.clone()),
            _ => None,
        });
        let notice = notice.await;
        assert_eq!((notice.slot.get(), notice.signature), (slot, Signature([1; 64])));
        assert!(notice.succeeded && notice.logs == ["line 1"]);
    }
    until("the twins", LONG, || feed.manager.counters().duplicates >= 2).await;
    feed.drain();
    for nth in 2..102 {
        a.tell_kind("logs", &ours(201).to_string(), told(lines(nth), 2_002));
    }
    let all_came = || {
        let counters = feed.manager.counters();
        counters.missed + counters.delivered >= 2 + 100
    };
    until("all were read off the socket", LONG, all_came).await;
    let missed = feed.manager.counters().missed;
    assert!(missed >= 100 - 32, "{missed}");
    let mut heard = 0;
    let counted = feed.until("how many were missed", |event| match event {
        FeedEvent::Logs { .. } => {
            heard += 1;
            None
        }
        FeedEvent::Missed { notices, watch: WatchId(0) } => Some(*notices),
        _ => None,
    });
    assert_eq!(counted.await + heard, 100);
}

#[tokio::test]
async fn the_end_of_a_transaction_is_told_once_and_then_it_is_followed_no_more() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let mut feed = Feed::start(&[&a, &b], 1, settings()).await;
    feed.restored().await;
    feed.up().await;
    for round in 0..40 {
        let signature = Signature([round + 1; 64]);
        let name = base58(signature);
        let ids = feed.manager.subscribe(&[Subscription::Signature(signature)]).unwrap();
        let asked = format!("signature {name}");
        let both = || [&a, &b].iter().all(|node| node.subscribed().contains_key(&asked));
        until("both follow it", LONG, both).await;
        // The other node is told to give back what has just ended there, too.
        let err = if round % 2 == 0 { Value::Null } else { json!({"InstructionError": [0, 1]}) };
        for node in [&a, &b] {
            let slot = node.chain().slot;
            node.tell_kind("signature", &name, told(json!("receivedSignature"), slot));
            node.tell_kind("signature", &name, told(json!({"err": err}), slot));
        }
        let end = feed.until("the end", |event| match event {
            FeedEvent::Signature { watch, succeeded, .. } => Some((*watch, *succeeded)),
            FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
            _ => None,
        });
        assert_eq!(end.await, (ids[0], round % 2 == 0));
        assert_eq!(feed.manager.subscription(ids[0]), None);
        assert_eq!((feed.manager.unfollow(&ids), feed.manager.watched()), (0, 1));
        let none = || [&a, &b].iter().all(|node| !node.subscribed().contains_key(&asked));
        until("nobody follows it", LONG, none).await;
    }
    let more = feed.drain();
    assert!(!more.iter().any(|event| matches!(event, FeedEvent::Signature { .. })), "{more:?}");
}

#[tokio::test]
async fn a_transaction_that_ended_before_it_was_followed_or_during_a_gap_is_told_by_its_status() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 1, settings()).await;
    feed.restored().await;
    let status = |level: &str| json!({"slot": 999, "confirmations": 1, "err": null, "confirmationStatus": level});
    node.chain().statuses.insert(base58(SIGNATURE), status("confirmed"));
    let ids = feed.manager.subscribe(&[Subscription::Signature(SIGNATURE)]).unwrap();
    let end = feed.until("the end", |event| match event {
        FeedEvent::Signature { watch, succeeded: true, slot, .. } => Some((*watch, slot.get())),
        _ => None,
    });
    assert_eq!(end.await, (ids[0], 999));
    let other = Signature([8; 64]);
    let ids = feed.manager.subscribe(&[Subscription::Signature(other)]).unwrap();
    let asked = || node.subscribed().contains_key(&format!("signature {}", base58(other)));
    until("it is followed", LONG, asked).await;
    node.tear();
    node.chain().history.insert(base58(other), status("finalized"));
    let end = feed.until("the end", |event| match event {
        FeedEvent::Signature { watch, .. } => Some(*watch),
        _ => None,
    });
    assert_eq!(end.await, ids[0]);
}

#[tokio::test]
async fn the_root_rises_and_is_told_once_and_what_is_refused_is_let_go_alone() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let _clocks = [clock(&a), clock(&b)];
    let mut feed = Feed::of(&[&a, &b], vec![Subscription::Root], settings()).await;
    feed.restored().await;
    feed.up().await;
    for root in [5_u64, 6, 9, 8, 9, 12] {
        [&a, &b].iter().for_each(|node| node.tell_kind("root", "", json!(root)));
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&12) {
        heard.push(
            feed.until("a root", |event| match event {
                FeedEvent::Root { slot, watch: WatchId(0), .. } => Some(slot.get()),
                _ => None,
            })
            .await,
        );
    }
    assert!(heard.is_sorted_by(|one, next| one < next), "{heard:?}");
    for node in [&a, &b] {
        node.shared.refused.lock().unwrap().insert(ours(201).to_string());
    }
    let ids = feed.manager.subscribe(&[logs()]).unwrap();
    let refused = feed.until("a refusal", |event| match event {
        FeedEvent::Refused { watch, code } => Some((*watch, *code)),
        FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
        _ => None,
    });
    assert_eq!(refused.await, (ids[0], -32_602));
}

#[tokio::test]
async fn a_broken_notice_is_named_counted_against_its_endpoint_and_made_up_for() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut feed = Feed::start(&[&node], 2, settings()).await;
    feed.restored().await;
    let rate = |pool: &sniper_solana::rpc::RpcConnectionPool| pool.report()[0].error_rate;
    let before = rate(&feed.pool);
    let number = node.number(&ours(1).to_string());
    let slot = node.chain().slot;
    node.set(&ours(1).to_string(), slot, 77);
    // The news, in data that nobody can read: a frame of zstd that says it is 1 GiB.
    let bomb = "KLUv/aAAAABA";
    let text = |data: &str, subscription: u64| {
        let value = json!({"lamports": 77, "data": [data, "base64+zstd"], "executable": false,
            "owner": "11111111111111111111111111111111", "rentEpoch": 0, "space": 0});
        json!({"jsonrpc": "2.0", "method": "accountNotification", "params":
            {"result": told(value, 2_000), "subscription": subscription}})
        .to_string()
    };
    node.tell_text(&text(bomb, number));
    let balance = feed.until("what it was news of", |event| match event {
        FeedEvent::OwnLamports { lamports, .. } => Some(*lamports),
        FeedEvent::Unreadable { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
        _ => None,
    });
    assert_eq!(balance.await, Lamports::new(77), "read instead");
    let report = &feed.manager.report()[0];
    let error = report.fault.unwrap();
    assert_eq!((&*report.endpoint, error.method), ("a", "accountNotification"));
    assert_eq!(error.fault, Fault::Data { encoding: "base64+zstd" });
    assert!(rate(&feed.pool) > before, "others would be asked first");
    // Of no subscription that there is, or cut off: nothing is taken for it.
    node.tell_text(&text("", 999_999));
    let whole = text("", number);
    (1..9).for_each(|nth| node.tell_text(&whole[..whole.len() - nth * 9]));
    node.tell_text("{}");
    node.tell_text(&whole[..20]);
    assert_eq!(feed.down().await, DownCause::Garbage);
    feed.restored().await;
}

#[tokio::test]
async fn a_real_runtime_tells_every_kind_over_two_ports() {
    let chain = quiet::Chain::start();
    let pool = chain.connect().await;
    let owner = Address::new_from_array([77; 32]);
    let settings = FeedSettings { commitment: Commitment::Confirmed, ..FeedSettings::default() };
    let mut manager = WebSocketManager::new(pool.clone(), settings, ReconnectionHandler::default());
    let all = [
        Watch::own_lamports(owner).into(),
        Subscription::Program {
            program: Address::default(),
            filters: vec![AccountFilter::DataSize(0)],
        },
        Subscription::Logs { mentions: owner },
        Subscription::Root,
    ];
    let events = manager.start(&all).unwrap();
    let mut feed = Feed { manager, events, pool: pool.clone() };
    feed.restored().await;
    feed.up().await;
    let name = pool.request_airdrop(&owner, Lamports::new(3_000_000_000)).await.unwrap();
    let ids = feed.manager.subscribe(&[Subscription::Signature(name)]).unwrap();
    let mut seen = BTreeMap::new();
    feed.until("every kind", |event| {
        match event {
            FeedEvent::OwnLamports { lamports, .. } if lamports.get() == 3_000_000_000 => {
                *seen.entry("account").or_insert(0) += 1;
            }
            FeedEvent::Program { address, account, .. } if *address == owner => {
                assert_eq!(account.lamports, Lamports::new(3_000_000_000));
                *seen.entry("program").or_insert(0) += 1;
            }
            FeedEvent::Logs { notice, .. } if notice.signature == name => {
                assert!(notice.succeeded && !notice.logs.is_empty());
                *seen.entry("logs").or_insert(0) += 1;
            }
            FeedEvent::Signature { watch, succeeded, .. } => {
                assert_eq!((*watch, *succeeded), (ids[0], true));
                *seen.entry("signature").or_insert(0) += 1;
            }
            FeedEvent::Root { .. } => {
                seen.entry("root").or_insert(1);
            }
            FeedEvent::Gap { .. } | FeedEvent::ConnectionDown { .. } => panic!("{event:?}"),
            _ => {}
        }
        (seen.len() == 5).then_some(())
    })
    .await;
    assert!(seen.values().all(|times| *times == 1), "once over two ports: {seen:?}");
}
