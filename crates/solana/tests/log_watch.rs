//! What a listener to logs learns from a node that tells, tears, refuses, stalls and lies, and from a real runtime.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::{Duration, Instant};

use scripted::{KEY, Node, pool};
use serde_json::json;
use sniper_core::ids::Address;
use sniper_core::launch::{Detected, Detector, Program};
use sniper_core::units::Slot;
use sniper_localnet::{LocalnetConfig, PortConfig, Ready};
use sniper_solana::feed::{
    DownCause, FeedError, LogEvent, LogNotice, LogSettings, LogWatch, ReconnectionHandler,
};
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::sync::mpsc;

const LONG: Duration = Duration::from_secs(15);
/// pump.fun's `create_v2`, mainnet.
const CREATE: &str = "G3KpTd7rY3YEAAAAMTAwawQAAAAxMDBrUAAAAGh0dHBzOi8vaXBmcy5pby9pcGZzL2JhZmtyZWlkcHh5NWkyNXJ2M3Ezb2VvaG5mbXJhZDN2cmJndDVrYWtsbW9ucnI0ZTN3eWxtbmd0Nmg0K+T3P/I+e0zWu6OEE56W088qbp3nm/YbCPoxqcqnl58AAAvh7GU8u74DNCowKDSNy9q8qObVSiwzKs3NxZsNDo7lsMJuRMrT6KfN5AuRku0L5eWtl+NXbyxEgyJtONGfjuWwwm5EytPop83kC5GS7Qvl5a2X41dvLESDIm040Z8NWSpqAAAAAAAQ2EfjzwMAAKwj/AYAAAAAeMX7UdECAACAxqR+jQMABt324e51j94YQl285GzN2rYa/E2DuQ0n/r35KNihi/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKwj/AYAAAA=";

struct Listener {
    _watch: LogWatch,
    events: mpsc::Receiver<LogEvent>,
}

impl Listener {
    fn of(pool: RpcConnectionPool, programs: Vec<Address>, settings: LogSettings) -> Self {
        let pauses =
            ReconnectionHandler::new(Duration::from_millis(20), Duration::from_millis(200));
        let (watch, events) = LogWatch::start(pool, programs, settings, pauses).unwrap();
        Self { _watch: watch, events }
    }

    async fn start(nodes: &[&Node], settings: LogSettings) -> Self {
        let programs = Program::ALL.map(Program::address).to_vec();
        Self::of(pool(nodes).await, programs, settings)
    }

    async fn next(&mut self) -> LogEvent {
        tokio::time::timeout(LONG, self.events.recv()).await.expect("in time").expect("a listener")
    }

    async fn up(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, LogEvent::Up { .. }), "{event:?}");
    }

    async fn down(&mut self) -> DownCause {
        match self.next().await {
            LogEvent::Down { cause, .. } => cause,
            other => panic!("down, not {other:?}"),
        }
    }

    async fn logs(&mut self) -> LogNotice {
        match self.next().await {
            LogEvent::Logs(notice) => notice,
            other => panic!("lines, not {other:?}"),
        }
    }
}

fn settings() -> LogSettings {
    LogSettings { stall_after: Duration::from_millis(1_500), ..LogSettings::default() }
}

/// A node whose slot clock runs.
fn clock(node: &Node) -> tokio::task::JoinHandle<()> {
    let shared = std::sync::Arc::clone(&node.shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            shared.tick();
        }
    })
}

fn notice(nth: u8, slot: u64, logs: &[&str]) -> String {
    let signature = bs58::encode([nth + 1; 64]).into_string();
    json!({"jsonrpc": "2.0", "method": "logsNotification", "params": {"subscription": 101, "result": {
        "context": {"slot": slot}, "value": {"signature": signature, "err": null, "logs": logs}}}})
    .to_string()
}

#[tokio::test]
async fn lines_are_delivered_once_with_their_slot_name_and_time() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut listener = Listener::start(&[&node], settings()).await;
    listener.up().await;
    let before = Instant::now();
    node.tell_text(&notice(1, 1_007, &["a", "b"]));
    // Of a second subscription, and on another fork.
    node.tell_text(&notice(1, 1_007, &["a", "b"]));
    node.tell_text(&notice(1, 1_008, &["a", "b"]));
    let first = listener.logs().await;
    assert_eq!((first.slot, first.signature.0, first.succeeded), (Slot::new(1_007), [2; 64], true));
    assert_eq!(first.logs, ["a", "b"]);
    assert!(first.received >= before && first.received <= Instant::now());
    assert_eq!(listener.logs().await.slot, Slot::new(1_008));
}

#[tokio::test]
async fn a_new_coin_is_seen_with_the_times_it_took() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let mut listener = Listener::start(&[&node], settings()).await;
    listener.up().await;
    let pump = Program::PumpFun.text();
    let data = format!("Program data: {CREATE}");
    let (invoke, success) =
        (format!("Program {pump} invoke [1]"), format!("Program {pump} success"));
    node.tell_text(&notice(1, 1_007, &[&invoke, &data, &success]));
    let notice = listener.logs().await;
    let (mut detector, mut sightings) = (Detector::new(100), vec![]);
    notice.detect(&mut detector, &mut sightings);
    notice.detect(&mut detector, &mut sightings);
    assert_eq!(sightings.len(), 1, "once");
    let Detected::Launch(launch) = &sightings[0].detected else { panic!("{sightings:?}") };
    assert_eq!(launch.symbol.as_str(), "100k");
    assert_eq!((sightings[0].slot, sightings[0].received), (notice.slot, notice.received));
    assert!(sightings[0].reading() < Duration::from_secs(5));
    let verdict = Instant::now();
    assert!(sightings[0].until(verdict) >= sightings[0].reading());
}

#[tokio::test]
async fn a_torn_connection_is_made_again_and_the_gap_is_told() {
    let (first, second) = (Node::start("a").await, Node::start("b").await);
    let (_one, _two) = (clock(&first), clock(&second));
    let mut listener = Listener::start(&[&first, &second], settings()).await;
    for _ in 0..4 {
        listener.up().await;
        first.tear();
        second.tear();
        let cause = listener.down().await;
        assert!(matches!(cause, DownCause::Closed | DownCause::Broken), "{cause}");
    }
    assert!(first.connections() > 0 && second.connections() > 0, "endpoints take turns");
}

#[tokio::test]
async fn a_refusal_a_stall_rubbish_and_another_chain_end_the_connection() {
    let node = Node::start("a").await;
    *node.shared.refuse.lock().unwrap() = Some(-32_602);
    let mut listener = Listener::start(&[&node], settings()).await;
    assert_eq!(listener.down().await, DownCause::Refused { code: -32_602 });
    *node.shared.refuse.lock().unwrap() = None;
    while !matches!(listener.next().await, LogEvent::Up { .. }) {}
    // No slot comes.
    assert_eq!(listener.down().await, DownCause::Stalled);
    listener.up().await;
    for _ in 0..10 {
        node.tell_text("<html>");
    }
    assert_eq!(listener.down().await, DownCause::Garbage);
    listener.up().await;
    node.tell_foreign_slot(999_999_999);
    assert_eq!(listener.down().await, DownCause::OtherChain);
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_told_how_much_it_missed() {
    let node = Node::start("a").await;
    let _clock = clock(&node);
    let settings = LogSettings { capacity: 16, ..settings() };
    let mut listener = Listener::start(&[&node], settings).await;
    listener.up().await;
    for nth in 0..30 {
        node.tell_text(&notice(nth, 1_007, &["x"]));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..16 {
        listener.logs().await;
    }
    node.tell_text(&notice(40, 1_007, &["x"]));
    assert_eq!(listener.next().await, LogEvent::Missed(14));
    assert_eq!(listener.logs().await.signature.0, [41; 64]);
}

#[tokio::test]
async fn nothing_to_listen_to_is_refused_and_no_address_is_shown() {
    let node = Node::start("a").await;
    let pauses = ReconnectionHandler::default();
    let refused = LogWatch::start(pool(&[&node]).await, vec![], settings(), pauses);
    assert!(matches!(refused, Err(FeedError::NothingToWatch)));
    let listener = Listener::start(&[&node], settings()).await;
    assert!(!format!("{:?}", listener._watch).contains(KEY));
}

#[tokio::test]
async fn a_real_runtime_tells_what_its_pools_print() {
    let config = LocalnetConfig {
        ports: vec![PortConfig::default()],
        slot_time: Duration::from_millis(40),
        skip_rate: 0.0,
        ..LocalnetConfig::default()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (told, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let shutdown = async move { drop(stopped.await) };
        sniper_localnet::run_blocking(config, shutdown, |ready: &Ready| {
            told.send(ready.clone()).unwrap();
        })
        .unwrap();
    });
    let ready = ready.recv_timeout(Duration::from_secs(60)).unwrap();
    let endpoint =
        EndpointConfig::new("local", &ready.rpc_urls[0], &ready.ws_urls[0], 10_000).unwrap();
    let chain = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let settings = LogSettings { commitment: Commitment::Processed, ..LogSettings::default() };
    let mut listener = Listener::of(chain, vec![Program::Cpmm.address()], settings);
    listener.up().await;
    let (mut detector, mut sightings) = (Detector::new(100), vec![]);
    for _ in 0..5 {
        let notice = listener.logs().await;
        let own = format!("Program {} invoke [", Program::Cpmm.text());
        assert!(notice.logs.iter().any(|line| line.starts_with(&own)), "{:?}", notice.logs);
        notice.detect(&mut detector, &mut sightings);
    }
    assert_eq!(sightings, [], "swaps make no pool, and the frames of a real runtime nest");
    drop(stop);
    drop(listener);
    thread.join().unwrap();
}
