//! The scanner beside `solana-rpc-client`: the same node, the same accounts, by turns in one run.
//!
//! A node that knows its answers by heart runs in a process of its own. Both sides ask it for all pools of two programs,
//! a slice of each, then for the balances of their vaults, a hundred accounts a request and four requests under way. The
//! scanner also puts what it read into its table; the client's accounts are decoded by the same decoders, which the
//! client does not have, and kept in a list. Beside that, one answer of a hundred token accounts, fetched and decoded.
//! Beside that, indicators ([`indicators`]). Times are what the kernel says the process ran, threads and all, and what the clock on the wall says.
//!
//! Run it with `cargo xtask bench`, or in this folder with `cargo run --release -- [--pools N] [--rounds N] [--json]`. Exit code 6
//! where the scanner is not [`LIMIT`] times as quick. With `--ours` the scanner runs alone: for a profiler.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may panic"
)]

mod indicators;
mod peer;
#[path = "../../crates/solana/tests/scan_node/mod.rs"]
mod scan_node;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use scan_node::{Chain, pool, sol};
use serde_json::{Value, json};
use sniper_core::ids::Address;
use sniper_core::scan::Anchor;
use sniper_core::units::Atoms;
use sniper_solana::rpc::{Commitment, PoolSettings, RpcConnectionPool};
use sniper_solana::scan::{Program, ScanSettings, Scanner};

/// How many times as long as the scanner the client has to take.
const LIMIT: f64 = 3.5;
/// When the scan is for, in seconds since the Unix epoch.
const NOW: u64 = 1_750_000_000;
/// Requests of a hundred accounts a round.
const FETCHES: usize = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(pools) = number("--serve") {
        serve(pools);
        return ExitCode::SUCCESS;
    }
    let pools = number("--pools").unwrap_or(20_000).max(100);
    let rounds = number("--rounds").unwrap_or(7).max(1);
    if args.iter().any(|arg| arg == "--ours") {
        runtime().block_on(alone(pools, rounds));
        return ExitCode::SUCCESS;
    }
    let mut rows = runtime().block_on(measure(pools, rounds));
    rows.extend(indicators::measure(rounds));
    let holds = rows.iter().all(|row| row.limit.is_none_or(|limit| row.ratio >= limit));
    if args.iter().any(|arg| arg == "--json") {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("{}", json!({ "rounds": rounds, "peers": rows }));
    } else {
        println!("medians of {rounds} rounds; node in another process");
        rows.iter().for_each(|row| println!("{row}"));
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::from(6) }
}

/// Both sides of one job: ours, and the peer's.
struct Row {
    what: String,
    unit: &'static str,
    peer: &'static str,
    ran: [f64; 2],
    wall: [f64; 2],
    /// How many times as long the peer ran: the middle, the least and the most of all rounds.
    ratio: f64,
    least: f64,
    most: f64,
    /// How many times it has to.
    limit: Option<f64>,
}

impl Row {
    fn json(&self) -> Value {
        let Self { what, unit, peer, ran, wall, ratio, least, most, limit } = self;
        json!({
            "what": what, "unit": unit, "peer_name": peer,
            "ours": ran[0], "peer": ran[1], "ours_wall": wall[0], "peer_wall": wall[1],
            "ratio": ratio, "ratio_least": least, "ratio_most": most, "limit": limit,
            "ok": limit.is_none_or(|limit| *ratio >= limit),
        })
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, unit, peer, ran, wall, ratio, least, most, limit } = self;
        write!(
            f,
            "{what}, {unit}: ours {:.4} run, {:.4} on the wall; {peer} {:.4} run, {:.4} on the wall; \
             x {ratio:.1} run ({least:.1} to {most:.1}), x {:.1} on the wall",
            ran[0],
            wall[0],
            ran[1],
            wall[1],
            wall[1] / wall[0],
        )?;
        match limit {
            Some(limit) if ratio >= limit => write!(f, "; limit of {limit} times run: held"),
            Some(limit) => write!(f, "; limit of {limit} times run: NOT held"),
            None => Ok(()),
        }
    }
}

/// Seconds that something took.
#[derive(Clone, Copy)]
struct Took {
    /// The process ran.
    ran: f64,
    wall: f64,
}

struct Stopwatch(f64, Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(ran(), Instant::now())
    }

    fn stop(self) -> Took {
        Took { ran: ran() - self.0, wall: self.1.elapsed().as_secs_f64() }
    }
}

fn ran() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// All rounds; gives how many times as long the client ran for a scan.
async fn measure(pools: u64, rounds: u64) -> Vec<Row> {
    let node = Node::start(pools);
    let endpoint = scan_node::endpoint(node.1);
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let client = peer::client(node.1);
    let keys: Vec<Address> = (0..50).flat_map(|nth| pool(nth).vaults).collect();
    let mut scans = [Vec::new(), Vec::new()];
    let mut fetches = [Vec::new(), Vec::new()];
    // The node writes its lists in the first round, which counts for neither.
    for round in 0..=rounds {
        let took = [scan(&rpc, pools).await, peer::scan(&client, pools).await];
        let fetched = [fetch(&rpc, &keys).await, peer::fetch(&client, &keys).await];
        if round > 0 {
            for side in 0..2 {
                scans[side].push(took[side]);
                fetches[side].push(fetched[side]);
            }
        }
    }
    let scan = row(format!("{pools} pools and their vaults"), "us a pool", pools as f64, &scans);
    let fetch = row("100 token accounts".to_owned(), "us a request", FETCHES as f64, &fetches);
    [scan, fetch].map(|row| Row { limit: Some(LIMIT), ..row }).into()
}

/// The scanner without its peer.
async fn alone(pools: u64, rounds: u64) {
    let node = Node::start(pools);
    let endpoint = scan_node::endpoint(node.1);
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let mut speeds = Vec::new();
    for round in 0..=rounds {
        let took = scan(&rpc, pools).await;
        if round > 0 {
            speeds.push(pools as f64 / took.ran / 1e6);
        }
    }
    speeds.sort_by(f64::total_cmp);
    println!(
        "{pools} pools and their vaults, no room set aside: {:.3} M pools a second that the process ran ({:.3} to {:.3})",
        speeds[speeds.len() / 2],
        speeds[0],
        speeds[speeds.len() - 1],
    );
}

/// Medians of both sides.
fn row(what: String, unit: &'static str, parts: f64, sides: &[Vec<Took>; 2]) -> Row {
    let per = |side: usize, of: fn(&Took) -> f64| {
        let mut all: Vec<f64> = sides[side].iter().map(|took| of(took) * 1e6 / parts).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    // Of each round by itself, so that what slows a round slows both sides.
    let pairs = sides[0].iter().zip(&sides[1]);
    let mut ratios: Vec<f64> = pairs.map(|(ours, peer)| peer.ran / ours.ran).collect();
    ratios.sort_by(f64::total_cmp);
    Row {
        what,
        unit,
        peer: "solana-rpc-client",
        ran: [0, 1].map(|side| per(side, |took| took.ran)),
        wall: [0, 1].map(|side| per(side, |took| took.wall)),
        ratio: ratios[ratios.len() / 2],
        least: ratios[0],
        most: ratios[ratios.len() - 1],
        limit: None,
    }
}

/// A cold scan, no room set aside.
async fn scan(rpc: &RpcConnectionPool, pools: u64) -> Took {
    let settings = ScanSettings {
        anchors: vec![Anchor { mint: sol(), depth_min: Atoms::new(1_000_000) }],
        programs: Program::CONSTANT.to_vec(),
        ..ScanSettings::default()
    };
    let watch = Stopwatch::start();
    let mut scanner = Scanner::new(settings).unwrap();
    let report = scanner.cold(rpc, NOW).await.unwrap();
    let took = watch.stop();
    assert_eq!((report.new as u64, report.unread), (pools, 0));
    took
}

async fn fetch(rpc: &RpcConnectionPool, keys: &[Address]) -> Took {
    let watch = Stopwatch::start();
    for _ in 0..FETCHES {
        let found = rpc.multiple_accounts(keys, Commitment::Processed, None).await.unwrap();
        let read = found.value.iter().flatten().filter(|account| account.data.len() == 165);
        assert_eq!(black_box(read).count(), keys.len());
    }
    watch.stop()
}

/// A node in a process of its own.
struct Node(Child, u16);

impl Node {
    fn start(pools: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--serve", &pools.to_string()])
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn serve(pools: u64) {
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chain = Arc::new(Mutex::new(Chain::new((0..pools).map(pool).collect())));
        println!("{}", listener.local_addr().unwrap().port());
        // Whatever happens to the parent, this ends.
        tokio::select! {
            () = scan_node::serve(chain, listener) => {}
            () = tokio::time::sleep(std::time::Duration::from_secs(600)) => {}
        }
    });
}
