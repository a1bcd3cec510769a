//! From the bytes of a notice to the event it makes: beside the bare socket that the bytes come from, and beside
//! `@solana/web3.js`, all in one run and by turns; and what a thousand subscriptions take.
//!
//! Every round tells one change of a token account to one of the three, over a connection of its own from a node on a
//! thread of its own, and waits for it. The floor is `tokio-tungstenite`, which hands on the text. Ours goes on to the
//! event in the receiver's hands. The JavaScript client ends in its `onAccountChange`, which says when by the same
//! clock. Run it on a quiet machine with `cargo bench -p sniper-solana --bench feed`; it takes node and npm, or says
//! what it skipped.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may panic"
)]

#[path = "../tests/scripted/mod.rs"]
mod scripted;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use scripted::feed::{clock, ours};
use scripted::{KEY, Node, until};
use sniper_core::amm::{Kind, Part};
use sniper_core::ids::{Address, PoolId};
use sniper_solana::feed::{
    FeedEvent, FeedSettings, ReconnectionHandler, Role, Watch, WebSocketManager,
};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const LONG: Duration = Duration::from_secs(30);
/// Notices told at once. The node's own queue holds as many, and the receiver's more.
const BURST: u64 = 400;
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--serve") {
        return serve();
    }
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    // First, so that memory the other has given back does not hide what this takes.
    memory(if is_test { 50 } else { 1_000 });
    latency(if is_test { 20 } else { 4_000 }, is_test);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Nanoseconds on the clock that every process of the machine shares.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

fn vault() -> Watch {
    let part = Part::Vault { second: false };
    let role = Role::Pool { pool: PoolId(0), kind: Kind::Cpmm, part };
    Watch { address: ours(0), owner: TOKEN.parse().unwrap(), role }
}

/// The notice of a change, as Agave writes it.
fn notice(subscription: u64, slot: u64) -> String {
    let mut account = [0; 165];
    account[64..72].copy_from_slice(&slot.to_le_bytes());
    account[108] = 1;
    let data = STANDARD.encode(account);
    format!(
        r#"{{"jsonrpc":"2.0","method":"accountNotification","params":{{"result":{{"context":{{"slot":{slot}}},"value":{{"lamports":2039280,"data":["{data}","base64"],"owner":"{TOKEN}","executable":false,"rentEpoch":18446744073709551615,"space":165}}}},"subscription":{subscription}}}}}"#
    )
}

/// Nodes on a thread of their own, which ends with the process.
fn nodes(names: &[&'static str]) -> Vec<Node> {
    let (send, nodes) = std::sync::mpsc::channel();
    let names = names.to_vec();
    std::thread::spawn(move || {
        runtime().block_on(async {
            for name in names {
                send.send(Node::start(name).await).unwrap();
            }
            drop(send);
            std::future::pending::<()>().await;
        });
    });
    nodes.into_iter().collect()
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn latency(rounds: u64, is_test: bool) {
    let nodes = nodes(&["bare", "ours", "script"]);
    let [bare_node, our_node, script_node] = &nodes[..] else { panic!("three nodes") };
    let script = if is_test { Err("a short pass".to_owned()) } else { Script::start(script_node) };
    runtime().block_on(async {
        let mut bare = bare(bare_node).await;
        let (_manager, mut events) = feed(our_node).await;
        let number = our_node.number(&ours(0).to_string());
        let mut script = match script {
            Ok(script) => Some(script),
            Err(why) => {
                println!("@solana/web3.js: skipped: {why}");
                None
            }
        };
        if let Some(script) = &script {
            let asked = || script_node.subscribed().contains_key(&ours(0).to_string());
            until("the script has subscribed", LONG, asked).await;
            assert!(script.number(script_node) > 0);
        }
        let mut took = [const { Vec::new() }; 3];
        let mut bursts = [const { Vec::new() }; 3];
        // Short enough that no connection takes these slots for another chain's.
        let first = our_node.chain().slot + 10;
        for round in 0..rounds + rounds / 10 {
            let slot = first + round + round / 500 * BURST;
            for turn in 0..3 {
                let which = usize::try_from((round + turn) % 3).unwrap();
                let (node, number) = match which {
                    0 => (bare_node, number),
                    1 => (our_node, number),
                    _ => match &script {
                        Some(script) => (script_node, script.number(script_node)),
                        None => continue,
                    },
                };
                if round % 500 == 499 {
                    // All at once, and how long each of them took.
                    let texts: Vec<_> = (0..BURST).map(|nth| notice(number, slot + nth)).collect();
                    let told = now();
                    texts.iter().for_each(|text| node.tell_text(text));
                    let mut heard = 0;
                    for (text, slot) in texts.iter().zip(slot..) {
                        heard = match which {
                            0 => next_text(&mut bare, text.len()).await,
                            1 => next_market(&mut events, slot).await,
                            _ => script.as_mut().unwrap().next(slot),
                        };
                    }
                    bursts[which].push(heard.saturating_sub(told) as f64 / 1e3 / BURST as f64);
                    continue;
                }
                let text = notice(number, slot);
                let told = now();
                node.tell_text(&text);
                let heard = match which {
                    0 => next_text(&mut bare, text.len()).await,
                    1 => next_market(&mut events, slot).await,
                    _ => script.as_mut().unwrap().next(slot),
                };
                // The first rounds warm everything up.
                if round >= rounds / 10 {
                    took[which].push(heard.saturating_sub(told) as f64 / 1e3);
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        let [burst_floor, burst, burst_script] = bursts.map(|all| at(&all, 0.5));
        let [floor, ours, script] = took.map(|all| [at(&all, 0.5), at(&all, 0.99)]);
        println!(
            "notice of a token account to event, us p50/p99: bare socket {:.1}/{:.1}, ours {:.1}/{:.1}: ratio {:.2} \
             (limit 1.3) and {:.2} (limit 1.5)",
            floor[0],
            floor[1],
            ours[0],
            ours[1],
            ours[0] / floor[0],
            ours[1] / floor[1],
        );
        if script[0] > 0.0 {
            println!(
                "@solana/web3.js onAccountChange {:.1}/{:.1}: {:.1} and {:.1} times ours (limit 5)",
                script[0],
                script[1],
                script[0] / ours[0],
                script[1] / ours[1],
            );
        }
        if burst > 0.0 {
            println!(
                "a burst of {BURST}, us a notice: bare socket {burst_floor:.2}, ours {burst:.2}, @solana/web3.js \
                 {burst_script:.2} ({:.1} times ours)",
                burst_script / burst,
            );
        }
    });
}

/// A quantile; zero of nothing.
fn at(all: &[f64], quantile: f64) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let nth = (all.len() as f64 * quantile) as usize;
    all.get(nth).copied().unwrap_or(0.0)
}

async fn bare(node: &Node) -> Socket {
    let url = format!("ws://127.0.0.1:{}/{KEY}/ws", node.port);
    let (socket, _) = tokio_tungstenite::connect_async_with_config(url, None, true).await.unwrap();
    // The node serves it from now on.
    until("the node has it", LONG, || node.connections() > 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    socket
}

async fn next_text(socket: &mut Socket, length: usize) -> u64 {
    let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let heard = now();
    assert_eq!(text.len(), length);
    heard
}

async fn feed(node: &Node) -> (WebSocketManager, mpsc::Receiver<FeedEvent>) {
    let endpoint = node.config();
    let account = serde_json::json!({"lamports": 1, "owner": TOKEN, "executable": false,
        "data": [STANDARD.encode([0; 165]), "base64"], "rentEpoch": 0, "space": 165});
    node.chain().accounts.insert(ours(0).to_string(), account);
    let pool = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let settings = FeedSettings { stall_after: Duration::from_secs(3_600), ..Default::default() };
    let mut manager = WebSocketManager::new(pool, settings, ReconnectionHandler::default());
    let mut events = manager.start_optimized_feeds(vec![vault()]).unwrap();
    let clock = clock(node);
    while !matches!(events.recv().await.unwrap(), FeedEvent::Restored { .. }) {}
    clock.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    while events.try_recv().is_ok() {}
    (manager, events)
}

async fn next_market(events: &mut mpsc::Receiver<FeedEvent>, slot: u64) -> u64 {
    let event = events.recv().await.unwrap();
    let heard = now();
    let FeedEvent::Market { event, .. } = event else { panic!("{event:?}") };
    assert!(format!("{event:?}").contains(&slot.to_string()), "{event:?}");
    heard
}

/// The JavaScript client, as a child that ends with this.
struct Script {
    child: Child,
    told: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Script {
    fn start(node: &Node) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = here.join("../localnet/tests/npm");
        for (from, name) in [
            (&packages, "package.json"),
            (&packages, "package-lock.json"),
            (&here.join("benches"), "feed_client.mjs"),
        ] {
            std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
        }
        let run = |program: &str, arguments: &[&str]| {
            let run = Command::new(program).args(arguments).current_dir(folder.path()).output();
            run.map_err(|error| format!("{program} is absent ({error})"))
        };
        run("node", &["--version"])?;
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"];
        let installed = run("npm", &install)?;
        if !installed.status.success() {
            let said = String::from_utf8_lossy(&installed.stderr).into_owned();
            return Err(format!("npm ci failed: {}", said.lines().next().unwrap_or_default()));
        }
        let (http, ws) = (
            format!("http://127.0.0.1:{}/{KEY}", node.port),
            format!("ws://127.0.0.1:{}/{KEY}/ws", node.port),
        );
        let mut child = Command::new("node")
            .args(["feed_client.mjs", &http, &ws, &ours(0).to_string()])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node does not start ({error})"))?;
        let told = BufReader::new(child.stdout.take().unwrap());
        Ok(Self { child, told, _folder: folder })
    }

    fn number(&self, node: &Node) -> u64 {
        node.number(&ours(0).to_string())
    }

    fn next(&mut self, slot: u64) -> u64 {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        let words: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert_eq!((words[0], words[2]), (slot, 165), "{line}");
        words[1]
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two nodes in a process of their own, whose memory is not ours; ends when its input does.
fn serve() {
    let nodes = nodes(&["a", "b"]);
    println!("{} {}", nodes[0].port, nodes[1].port);
    std::thread::spawn(move || {
        runtime().block_on(async {
            let _clocks: Vec<_> = nodes.iter().map(clock).collect();
            std::future::pending::<()>().await;
        });
    });
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn memory(subscriptions: usize) {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoints = line.split_whitespace().enumerate().map(|(nth, port)| {
        let http = format!("http://127.0.0.1:{port}/{KEY}");
        let ws = format!("ws://127.0.0.1:{port}/{KEY}/ws");
        EndpointConfig::new(&format!("node-{nth}"), &http, &ws, 10_000).unwrap()
    });
    let endpoints: Vec<_> = endpoints.collect();
    runtime().block_on(async {
        let pool = RpcConnectionPool::connect(endpoints, PoolSettings::default()).await.unwrap();
        let settings = FeedSettings { accounts_per_connection: 10_000, ..Default::default() };
        let mut manager = WebSocketManager::new(pool, settings, ReconnectionHandler::default());
        let watch = |nth: usize| {
            let mut bytes = [1; 32];
            bytes[..8].copy_from_slice(&nth.to_le_bytes());
            Watch::own_lamports(Address::new_from_array(bytes))
        };
        let mut events = manager.start_optimized_feeds(vec![watch(0)]).unwrap();
        while !matches!(events.recv().await.unwrap(), FeedEvent::Restored { .. }) {}
        until("both are up", LONG, || manager.report().iter().all(|line| line.live)).await;
        let before = resident();
        let more: Vec<_> = (1..subscriptions).map(watch).collect();
        manager.follow(&more).unwrap();
        let mut read = 0;
        while read < more.len() {
            let event = tokio::time::timeout(LONG, events.recv()).await.unwrap().unwrap();
            read += usize::from(matches!(event, FeedEvent::OwnLamports { .. }));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let report = manager.report();
        assert_eq!((report.len(), manager.watched()), (2, subscriptions));
        println!(
            "{subscriptions} subscriptions on {} connections: resident memory grew by {:.2} MB (limit 4)",
            report.len(),
            resident().saturating_sub(before) as f64 / 1e6,
        );
    });
    drop(server.stdin.take());
    drop(server.wait());
}
