//! What a read through the pool costs beside a bare request on a connection kept open.
//!
//! The floor is `hyper` alone: the same bytes, written on one idle connection, the answer read and not looked at. The
//! subject chooses an endpoint, pays its budgets, joins those who ask the same, is timed, hedged if need be, parsed and
//! judged. Both ask the same node, a process of its own, by turns within one run. A tick is four different questions at
//! once: bare on four connections, and as the one request that the pool makes of them. Run it with
//! `cargo bench -p sniper-solana --bench rpc`; a limit that is not met is said, and is the exit code.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may panic"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sniper_core::ids::Signature;
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A read through the pool may take this many times a bare request.
const READ_MAX: f64 = 1.25;
const HASH: &str = "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if args.iter().any(|arg| arg == "--serve") {
        runtime.block_on(serve());
    }
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    let (rounds, each) = if is_test { (1, 20) } else { (31, 500) };
    let node = Node::start();
    let read = runtime.block_on(measure(&node, rounds, each));
    if is_test || read <= READ_MAX {
        return ExitCode::SUCCESS;
    }
    println!("a read takes {read:.3} times a bare request; the limit is {READ_MAX}");
    ExitCode::FAILURE
}

/// A node in a process of its own.
struct Node(Child, u16);

impl Node {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().parse().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn serve() -> ! {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(connection(stream));
    }
}

/// One request after the other; it takes them for whole when their last brace has come.
async fn connection(mut stream: TcpStream) {
    let mut read = Vec::with_capacity(16 << 10);
    loop {
        read.clear();
        loop {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if matches!(read.last(), Some(b'}' | b']')) {
                break;
            }
        }
        let text = std::str::from_utf8(&read).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let answer = if body.starts_with('[') {
            let parts: Vec<_> = body.split(r#"{"jsonrpc""#).skip(1).map(result).collect();
            let part = |(id, result)| format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#);
            let parts: Vec<_> = (0..).zip(parts).map(part).collect();
            format!("[{}]", parts.join(","))
        } else {
            format!(r#"{{"jsonrpc":"2.0","result":{},"id":1}}"#, result(body))
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        let answer = format!("{head}{}\r\n\r\n{answer}", answer.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn result(request: &str) -> String {
    let wrapped = |value: &str| format!(r#"{{"context":{{"slot":1000}},"value":{value}}}"#);
    let is = |method: &str| request.contains(method);
    if is("getSignatureStatuses") {
        wrapped("[null]")
    } else if is("getLatestBlockhash") {
        wrapped(&format!(r#"{{"blockhash":"{HASH}","lastValidBlockHeight":1050}}"#))
    } else if is("getGenesisHash") {
        format!("\"{HASH}\"")
    } else if is("getHealth") {
        "\"ok\"".to_owned()
    } else if is("getBlockHeight") {
        "900".to_owned()
    } else {
        "1000".to_owned()
    }
}

/// A connection and nothing else.
struct Bare {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Bare {
    async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, host: format!("127.0.0.1:{port}") }
    }

    async fn ask(&mut self, body: &'static str) -> usize {
        let request = hyper::Request::post("/")
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Full::from(body))
            .unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        // The connection is idle again only when its task has seen the end of the answer.
        self.sender.ready().await.unwrap();
        body.len()
    }
}

const SLOT: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[{"commitment":"processed"}]}"#;
const HEIGHT: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"getBlockHeight","params":[{"commitment":"confirmed"}]}"#;
const LATEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getLatestBlockhash","params":[{"commitment":"confirmed"}]}"#;
const STATUS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getSignatureStatuses","params":[["2"],{"searchTransactionHistory":false}]}"#;

async fn tick(pool: &RpcConnectionPool) {
    let names = [Signature([7; 64])];
    let (slot, height, latest, statuses) = tokio::join!(
        pool.slot(Commitment::Processed),
        pool.block_height(Commitment::Confirmed),
        pool.latest_blockhash(Commitment::Confirmed),
        pool.signature_statuses(&names, false),
    );
    assert!(slot.is_ok() && height.is_ok() && latest.is_ok() && statuses.is_ok());
}

/// How many times a bare request a read takes, in the median of the rounds.
async fn measure(node: &Node, rounds: usize, each: usize) -> f64 {
    let (http, ws) = (format!("http://127.0.0.1:{}", node.1), format!("ws://127.0.0.1:{}", node.1));
    let endpoint = EndpointConfig::new("node", &http, &ws, 1_000_000).unwrap();
    let settings = PoolSettings::default();
    let pool = RpcConnectionPool::connect(vec![endpoint], settings).await.unwrap();
    let mut bare = Bare::open(node.1).await;
    let mut four = Vec::new();
    for _ in 0..4 {
        four.push(Bare::open(node.1).await);
    }
    let mut took: [Vec<f64>; 4] = Default::default();
    let mut ratios: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..each {
            let mut at = Instant::now();
            let mut note = |which: usize| {
                times[which].push(at.elapsed().as_secs_f64() * 1e6);
                at = Instant::now();
            };
            assert!(bare.ask(SLOT).await > 0);
            note(0);
            pool.slot(Commitment::Processed).await.unwrap();
            note(1);
            let [a, b, c, d] = four.as_mut_slice() else { unreachable!("four were opened") };
            tokio::join!(a.ask(SLOT), b.ask(HEIGHT), c.ask(LATEST), d.ask(STATUS));
            note(2);
            tick(&pool).await;
            note(3);
        }
        let round = times.map(median);
        ratios[0].push(round[1] / round[0]);
        ratios[1].push(round[3] / round[2]);
        took.iter_mut().zip(round).for_each(|(all, one)| all.push(one));
    }
    let [bare, read, bare_four, one] = took.map(median);
    let [read_ratio, tick_ratio] = ratios.map(median);
    println!(
        "{rounds} rounds of {each}, medians: a bare request {bare:.1} us, a read {read:.1} us, ratio {read_ratio:.3} \
         (limit {READ_MAX})"
    );
    println!(
        "a tick of four questions: bare on four connections {bare_four:.1} us, through the pool as one request \
         {one:.1} us, ratio {tick_ratio:.3}"
    );
    let report = &pool.report()[0];
    println!(
        "the endpoint speaks {}, batches: {:?}",
        report.http.unwrap().as_str(),
        report.batches
    );
    read_ratio
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
