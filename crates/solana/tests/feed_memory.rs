//! A notice costs no memory once the feed is warm, from the socket to the event in the receiver's hands.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scripted::feed::{clock, ours};
use scripted::{Node, pool};
use sniper_core::amm::{Kind, Part};
use sniper_core::event::MarketEvent;
use sniper_core::ids::PoolId;
use sniper_core::units::Slot;
use sniper_solana::feed::{
    FeedEvent, FeedSettings, ReconnectionHandler, Role, Watch, WebSocketManager,
};
use tokio::sync::mpsc;

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const NOTICES: u64 = 2_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn account(amount: u64) -> String {
    let mut account = [0; 165];
    account[64..72].copy_from_slice(&amount.to_le_bytes());
    account[108] = 1;
    STANDARD.encode(account)
}

fn notice(subscription: u64, slot: u64) -> String {
    let data = account(slot);
    format!(
        r#"{{"jsonrpc":"2.0","method":"accountNotification","params":{{"result":{{"context":{{"slot":{slot}}},"value":{{"lamports":2039280,"data":["{data}","base64"],"owner":"{TOKEN}","executable":false,"rentEpoch":18446744073709551615,"space":165}}}},"subscription":{subscription}}}}}"#
    )
}

async fn hear(events: &mut mpsc::Receiver<FeedEvent>, first: u64) {
    for slot in first..first + NOTICES {
        match events.recv().await.unwrap() {
            FeedEvent::Market { event: MarketEvent::Account { slot: at, .. }, .. } => {
                assert_eq!(at, Slot::new(slot));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_warm_feed_takes_no_memory_for_a_notice() {
    // The node runs on a thread of its own, whose memory is not counted.
    let (send, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            send.send(Node::start("a").await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let node = started.recv().unwrap();
    let told = serde_json::json!({"lamports": 1, "owner": TOKEN, "executable": false,
        "data": [account(1), "base64"], "rentEpoch": 0, "space": 165});
    node.chain().accounts.insert(ours(0).to_string(), told);
    let runtime = runtime();
    let (_manager, mut events) = runtime.block_on(async {
        let settings = FeedSettings { stall_after: Duration::from_secs(600), ..Default::default() };
        let pauses = ReconnectionHandler::default();
        let mut manager = WebSocketManager::new(pool(&[&node]).await, settings, pauses);
        let part = Part::Vault { second: false };
        let role = Role::Pool { pool: PoolId(0), kind: Kind::Cpmm, part };
        let vault = Watch { address: ours(0), owner: TOKEN.parse().unwrap(), role };
        let mut events = manager.start_optimized_feeds(vec![vault]).unwrap();
        let clock = clock(&node);
        while !matches!(events.recv().await.unwrap(), FeedEvent::Restored { .. }) {}
        clock.abort();
        tokio::time::sleep(Duration::from_millis(200)).await;
        while events.try_recv().is_ok() {}
        (manager, events)
    });
    let (number, first) = (node.number(&ours(0).to_string()), node.chain().slot + 10);
    let tell = |from: u64| {
        let texts: Vec<_> = (from..from + NOTICES).map(|slot| notice(number, slot)).collect();
        let shared = std::sync::Arc::clone(&node.shared);
        std::thread::spawn(move || texts.iter().for_each(|text| shared.tell_text(text)))
    };
    let warm = tell(first);
    runtime.block_on(hear(&mut events, first));
    warm.join().unwrap();
    let told = tell(first + NOTICES);
    let used = allocation_counter::measure(|| {
        runtime.block_on(hear(&mut events, first + NOTICES));
    });
    told.join().unwrap();
    // The socket's buffer is its library's, which takes a new one now and then.
    assert!(used.count_total <= NOTICES / 20, "{used:?}");
    assert!(used.bytes_current.unsigned_abs() < 64 << 10, "{used:?}");
    println!("{NOTICES} notices: {used:?}");
}
