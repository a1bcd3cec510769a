//! Every fault of the proxy as a plain client meets it, in front of a real local chain.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common::{Net, quiet};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, ProxyError, Script, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything takes that is not swallowed.
const LONG: Duration = Duration::from_secs(20);

fn config(net: &Net, script: Script) -> ProxyConfig {
    ProxyConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        http: net.ready.rpc_urls[0].clone(),
        ws: net.ready.ws_urls[0].clone(),
        script,
    }
}

/// Runs a test against one proxy in front of one chain.
fn with_proxy(steps: Vec<Step>, test: impl AsyncFnOnce(&FaultProxy, &Net)) {
    let net = Net::start(quiet(40));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let proxy = FaultProxy::start(config(&net, Script { seed: 5, steps })).await.unwrap();
        test(&proxy, &net).await;
    });
}

/// What came of one request.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// How the connection ended before the answer was whole, if it did.
    broke: Option<ErrorKind>,
    took: Duration,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(proxy: &FaultProxy, method: &str, patience: Duration) -> Got {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method}).to_string();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let start = Instant::now();
    stream.write_all((request + &body).as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let mut length = None;
    let mut broke = None;
    loop {
        let head = all.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let (Some(head), None) = (head, length) {
            let text = String::from_utf8_lossy(&all[..head]).into_owned();
            let of = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            length = Some(head + of.unwrap().parse::<usize>().unwrap());
        }
        if length.is_some_and(|length| all.len() >= length) {
            break;
        }
        match timeout(patience.saturating_sub(start.elapsed()), stream.read_buf(&mut all)).await {
            Ok(Ok(0)) => broke = Some(ErrorKind::UnexpectedEof),
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => broke = Some(error.kind()),
            Err(_) => broke = Some(ErrorKind::TimedOut),
        }
        break;
    }
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.get(9..12).and_then(|text| text.parse().ok()).unwrap_or(0);
    Got { status, head, body: all.split_off(end), broke, took: start.elapsed() }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn slots(proxy: &FaultProxy) -> Socket {
    let (mut socket, _) = connect_async(proxy.ws_url()).await.unwrap();
    let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}).to_string();
    socket.send(Message::Text(subscribe.into())).await.unwrap();
    socket
}

async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    timeout(LONG, socket.next()).await.unwrap()
}

async fn told(socket: &mut Socket) -> Value {
    match next(socket).await.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn slot(socket: &mut Socket) -> u64 {
    told(socket).await["params"]["result"]["slot"].as_u64().unwrap()
}

/// A fault for slot notifications alone.
fn for_slots(fault: Fault) -> Vec<Step> {
    vec![Step { methods: vec!["slotNotification".to_owned()], ..Step::always(fault) }]
}

#[test]
fn without_a_script_nothing_changes() {
    with_proxy(Vec::new(), async |proxy, net| {
        let client = common::Client::new(&proxy.http_url());
        let genesis = client.ok("getGenesisHash", json!([])).await;
        assert_eq!(genesis, json!(net.ready.genesis_hash));
        assert_eq!(client.error("getNothing", json!([])).await["code"], -32601);
        let batch = json!([
            {"jsonrpc": "2.0", "id": 1, "method": "getSlot"},
            {"jsonrpc": "2.0", "id": 2, "method": "getHealth"},
        ]);
        assert_eq!(client.raw(batch.to_string()).await.1.as_array().unwrap().len(), 2);
        let health = reqwest::get(proxy.http_url() + "/health").await.unwrap();
        assert_eq!(health.text().await.unwrap(), "ok");
        let mut socket = slots(proxy).await;
        assert!(told(&mut socket).await["result"].is_u64());
        let first = slot(&mut socket).await;
        assert_eq!(slot(&mut socket).await, first + 1);
        let report = proxy.report();
        assert!(report.faults.is_empty(), "{report:?}");
        assert_eq!((report.requests, report.upstream_failures), (4, 0));
    });
}

#[test]
fn delay_and_jitter_make_answers_late_by_what_they_say() {
    let delay = Step::always(Fault::Delay(Duration::from_millis(150)));
    let jitter = Step::always(Fault::Jitter(Duration::from_millis(100)));
    with_proxy(vec![delay, jitter], async |proxy, _| {
        let mut took = Vec::new();
        for _ in 0..8 {
            let got = ask(proxy, "getSlot", LONG).await;
            assert_eq!(got.status, 200);
            assert!(got.took >= Duration::from_millis(150), "{got:?}");
            took.push(got.took);
        }
        took.sort();
        assert!(took[7] - took[0] > Duration::from_millis(10), "{took:?}");
    });
}

#[test]
fn a_narrow_line_takes_its_time_and_a_slow_loris_drips() {
    let narrow = Step::always(Fault::Bandwidth(2_000));
    let mut drip = Step::always(Fault::SlowLoris(400));
    drip.methods = vec!["getHealth".to_owned()];
    with_proxy(vec![narrow, drip], async |proxy, _| {
        let got = ask(proxy, "localnet_info", LONG).await;
        let bytes = got.head.len() + got.body.len();
        let least = Duration::from_secs_f64(bytes as f64 / 2_000.0);
        assert!(got.took >= least, "{bytes} bytes in {:?}", got.took);
        assert_eq!(got.json()["id"], 7);
        let got = ask(proxy, "getHealth", LONG).await;
        let bytes = got.head.len() + got.body.len();
        assert!(got.took >= Duration::from_secs_f64(bytes as f64 / 400.0), "{got:?}");
        assert_eq!(got.json()["result"], "ok");
    });
}

#[test]
fn a_connection_is_closed_reset_or_left_half_open_as_the_script_says() {
    let only =
        |method: &str, fault| Step { methods: vec![method.to_owned()], ..Step::always(fault) };
    let steps = vec![
        only("getSlot", Fault::Drop),
        only("getHealth", Fault::Reset),
        only("getVersion", Fault::HalfOpen),
        only("getGenesisHash", Fault::Truncate),
    ];
    with_proxy(steps, async |proxy, _| {
        let got = ask(proxy, "getSlot", LONG).await;
        assert_eq!((got.status, got.broke), (0, Some(ErrorKind::UnexpectedEof)));
        let got = ask(proxy, "getHealth", LONG).await;
        assert_eq!((got.status, got.broke), (0, Some(ErrorKind::ConnectionReset)));
        let got = ask(proxy, "getVersion", Duration::from_secs(1)).await;
        assert_eq!((got.status, got.broke), (0, Some(ErrorKind::TimedOut)));
        let got = ask(proxy, "getGenesisHash", LONG).await;
        assert_eq!((got.status, got.broke), (200, Some(ErrorKind::UnexpectedEof)));
        assert!(!got.body.is_empty() && serde_json::from_slice::<Value>(&got.body).is_err());
        let faults = proxy.report().faults;
        for name in ["drop", "reset", "half-open", "truncate"] {
            assert_eq!(faults[name], 1, "{faults:?}");
        }
    });
}

#[test]
fn refusals_come_with_and_without_retry_after() {
    let mut with = Step::always(Fault::TooManyRequests(Some(Duration::from_secs(3))));
    with.methods = vec!["getSlot".to_owned()];
    let mut without = Step::always(Fault::TooManyRequests(None));
    without.methods = vec!["getHealth".to_owned(), "upgrade".to_owned()];
    let error = Step::always(Fault::ServerError(507));
    with_proxy(vec![with, without, error], async |proxy, _| {
        let got = ask(proxy, "getSlot", LONG).await;
        assert_eq!((got.status, got.head.contains("retry-after: 3\r\n")), (429, true));
        let got = ask(proxy, "getHealth", LONG).await;
        assert_eq!((got.status, got.head.contains("retry-after")), (429, false));
        assert_eq!(ask(proxy, "getVersion", LONG).await.status, 507);
        match connect_async(proxy.ws_url()).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 429),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_node_is_made_to_lie_about_slots_heights_and_its_genesis() {
    with_proxy(Vec::new(), async |proxy, net| {
        let node = common::Client::new(&net.ready.rpc_urls[0]);
        let liar = common::Client::new(&proxy.http_url());
        let lie = |fault| proxy.replace(Script { seed: 1, steps: vec![Step::always(fault)] });
        // What is final moves only once the chain is deeper than a fork can be.
        let start = node.ok("getSlot", json!([])).await;
        while node.ok("getSlot", json!([])).await == start {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        lie(Fault::StaleSlot(15));
        let true_slot = node.ok("getSlot", json!([])).await.as_u64().unwrap();
        let told_slot = liar.ok("getSlot", json!([])).await.as_u64().unwrap();
        assert!(told_slot < true_slot, "{told_slot} for {true_slot}");
        let hash = liar.ok("getLatestBlockhash", json!([])).await;
        assert!(hash["context"]["slot"].as_u64().unwrap() < true_slot, "{hash}");
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        assert!(slot(&mut socket).await < node.ok("getSlot", json!([])).await.as_u64().unwrap());
        assert!(proxy.report().faults["stale-slot"] >= 3, "{:?}", proxy.report());

        lie(Fault::WrongGenesis);
        let genesis = liar.ok("getGenesisHash", json!([])).await;
        assert_ne!(genesis, json!(net.ready.genesis_hash));

        lie(Fault::InflatedHeight(1_000_000));
        assert!(liar.ok("getBlockHeight", json!([])).await.as_u64().unwrap() >= 1_000_000);
        let hash = liar.ok("getLatestBlockhash", json!([])).await;
        assert!(hash["value"]["lastValidBlockHeight"].as_u64().unwrap() >= 1_000_000);

        lie(Fault::StaleCache);
        let first = liar.ok("getSlot", json!([])).await;
        while node.ok("getSlot", json!([])).await == first {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        assert_eq!(liar.ok("getSlot", json!([])).await, first, "an answer of before");

        lie(Fault::InvalidJson);
        let got = ask(proxy, "getSlot", LONG).await;
        assert_eq!((got.status, got.broke), (200, None));
        assert!(serde_json::from_slice::<Value>(&got.body).is_err());
    });
}

#[test]
fn the_same_seed_strikes_the_same_requests_in_the_same_order() {
    let mut runs = Vec::new();
    for seed in [11, 11, 12] {
        with_proxy(Vec::new(), async |_, net| {
            let half = Step { share: 0.5, ..Step::always(Fault::ServerError(503)) };
            let script = Script { seed, steps: vec![half] };
            let proxy = FaultProxy::start(config(net, script)).await.unwrap();
            let mut run = Vec::new();
            for _ in 0..40 {
                run.push(ask(&proxy, "getSlot", LONG).await.status);
            }
            runs.push(run);
        });
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0].contains(&200) && runs[0].contains(&503), "{:?}", runs[0]);
}

/// Resident memory of this process now, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
fn a_gigantic_answer_is_sent_whole_and_never_held() {
    const BYTES: u64 = 1 << 29;
    with_proxy(vec![Step::always(Fault::Gigantic(BYTES))], async |proxy, _| {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let body = "{\"jsonrpc\":\"2.0\",\"id\":\"me\",\"method\":\"getSlot\"}";
        let length = body.len();
        let request =
            format!("POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let before = resident();
        stream.write_all((request + body).as_bytes()).await.unwrap();
        let mut piece = vec![0; 1 << 16];
        let (mut read, mut peak, mut first) = (0, 0, Vec::new());
        loop {
            let got = timeout(LONG, stream.read(&mut piece)).await.unwrap().unwrap();
            if got == 0 {
                break;
            }
            if first.len() < 200 {
                first.extend_from_slice(&piece[..got]);
            }
            read += u64::try_from(got).unwrap();
            if read % 64 < 8 {
                peak = peak.max(resident());
            }
        }
        let head = first.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(read - u64::try_from(head).unwrap(), BYTES);
        assert!(String::from_utf8_lossy(&first[head..]).contains("\"id\":\"me\",\"result\":\"xx"));
        assert!(peak.saturating_sub(before) < 64 << 20, "grew by {} bytes", peak - before);
    });
}

#[test]
fn messages_come_late_twice_and_after_their_followers() {
    with_proxy(for_slots(Fault::Duplicate), async |proxy, _| {
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let (first, second) = (slot(&mut socket).await, slot(&mut socket).await);
        assert_eq!((first, slot(&mut socket).await), (second, first + 1));

        let mut rare = for_slots(Fault::Reorder);
        rare[0].share = 0.5;
        proxy.replace(Script { seed: 3, steps: rare });
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let mut seen = Vec::new();
        for _ in 0..20 {
            seen.push(slot(&mut socket).await);
        }
        let swapped = seen.windows(2).filter(|pair| pair[0] == pair[1] + 1).count();
        assert!(swapped >= 3, "{seen:?}");
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == 20 && sorted[19] - sorted[0] <= 20, "none is lost: {seen:?}");

        proxy.replace(Script {
            seed: 3,
            steps: for_slots(Fault::Delay(Duration::from_millis(400))),
        });
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let late = slot(&mut socket).await;
        let node = common::Client::new(&proxy.http_url());
        let processed = json!([{"commitment": "processed"}]);
        let got = node.ok("getSlot", processed).await.as_u64().unwrap();
        assert!(got >= late + 4, "told {late} when the node was at {got}");
        assert_eq!(slot(&mut socket).await, late + 1, "lateness keeps the order");
    });
}

#[test]
fn a_socket_is_closed_reset_cut_short_or_goes_silent() {
    with_proxy(for_slots(Fault::Drop), async |proxy, _| {
        let set = |fault| proxy.replace(Script { seed: 1, steps: for_slots(fault) });
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        assert!(!matches!(next(&mut socket).await, Some(Ok(Message::Text(_)))), "closed");

        set(Fault::Reset);
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        match next(&mut socket).await {
            Some(Err(Error::Io(error))) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }

        set(Fault::Truncate);
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let got = next(&mut socket).await;
        assert!(!matches!(got, Some(Ok(Message::Text(_)))), "half a frame is none: {got:?}");

        set(Fault::InvalidJson);
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let Some(Ok(Message::Text(text))) = next(&mut socket).await else { panic!("no text") };
        assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");

        set(Fault::SlowLoris(300));
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let start = Instant::now();
        slot(&mut socket).await;
        assert!(start.elapsed() > Duration::from_millis(250), "{:?}", start.elapsed());

        set(Fault::Gigantic(1 << 28));
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        assert!(
            matches!(next(&mut socket).await, Some(Err(Error::Capacity(_)))),
            "a client with a limit sees one"
        );

        set(Fault::HalfOpen);
        let mut socket = slots(proxy).await;
        told(&mut socket).await;
        let silent = timeout(Duration::from_secs(1), socket.next()).await;
        assert!(silent.is_err(), "{silent:?}");
        socket.send(Message::Ping(Vec::new().into())).await.unwrap();
        let silent = timeout(Duration::from_millis(500), socket.next()).await;
        assert!(silent.is_err(), "it is deaf too: {silent:?}");
        proxy.cut();
        assert!(!matches!(next(&mut socket).await, Some(Ok(_))), "until it is cut");
    });
}

#[test]
fn an_address_that_may_hold_a_key_is_never_told() {
    let runtime = common::runtime();
    runtime.block_on(async {
        let start = async |listen: &str, http: &str, ws: &str| {
            let listen = listen.parse().unwrap();
            let (http, ws) = (http.to_owned(), ws.to_owned());
            let config = ProxyConfig { listen, http, ws, script: Script::default() };
            assert!(!format!("{config:?}").contains("secret"));
            FaultProxy::start(config).await
        };
        let loopback = "127.0.0.1:0";
        for (http, ws) in [
            ("ftp://node/secret", "ws://node/secret"),
            ("http://node/secret", "http://node/secret"),
            ("secret", "ws://node"),
        ] {
            let error = start(loopback, http, ws).await.unwrap_err();
            assert!(matches!(error, ProxyError::Address { .. }));
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        let error = start("0.0.0.0:0", "http://node", "ws://node").await.unwrap_err();
        assert!(matches!(error, ProxyError::NotLoopback { .. }));
        let proxy = start(loopback, "http://127.0.0.1:1/secret", "ws://127.0.0.1:1/secret");
        let proxy = proxy.await.unwrap();
        let got = ask(&proxy, "getSlot", LONG).await;
        assert_eq!(got.status, 502);
        assert!(!String::from_utf8_lossy(&got.body).contains("secret"));
        assert_eq!(proxy.report().upstream_failures, 1);
    });
}
