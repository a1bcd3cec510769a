//! How many pools per second one core reads: out of the bytes of an answer, and in a cold scan over loopback.
//!
//! The peer reads the same bytes as a tree of JSON, `base64` and all, which is what a client without a parser of its
//! own does at best; the real one (`solana-rpc-client`) brings half of the validator with it and does more than that.
//! The floor sums the bytes. Node and scanner are two processes; all times are what the kernel says the
//! thread ran, so that others who want the core do not count; a cold scan's stands beside the time on the wall. Run it with
//! `cargo bench -p sniper-solana --bench scan`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may panic"
)]

#[path = "../tests/scan_node/mod.rs"]
mod scan_node;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use base64::Engine as _;
use scan_node::{Chain, Pool, pool, sol};
use serde_json::{Value, json};
use sniper_core::ids::Address;
use sniper_core::scan::Anchor;
use sniper_core::units::Atoms;
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};
use sniper_solana::scan::{Program, ReplyError, ReplyReader, ScanSettings, Scanner};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--serve") {
        return serve(args[at + 1].parse().unwrap());
    }
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    let (pools, rounds) = if is_test { (500, 1) } else { (100_000, 11) };
    // First, so that memory the others have given back does not hide what this takes.
    cold(pools, pools, rounds);
    cold(pools, 0, rounds);
    for program in Program::CONSTANT {
        parse(program, pools / 10, rounds);
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// One answer, by each of the ways, by turns.
fn parse(program: Program, count: u64, rounds: usize) {
    let pools: Vec<Pool> =
        (0..count * 2).map(pool).filter(|pool| pool.program == program).collect();
    let slice = program.slice();
    let options = json!({"dataSlice": {"offset": slice.offset, "length": slice.length}});
    let text = scan_node::list_json(&pools, 7, &options).into_bytes();
    let count = pools.len() as f64;
    let mut reader = ReplyReader::default();
    let mut room = Vec::new();
    let mut took = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        let mut time = |which: usize, run: &mut dyn FnMut() -> usize| {
            let started = ran();
            assert_eq!(run(), pools.len());
            took[which].push((ran() - started) as f64 / count);
        };
        time(0, &mut || {
            black_box(
                black_box(&text).iter().fold(0_u64, |sum, byte| sum.wrapping_add((*byte).into())),
            );
            pools.len()
        });
        time(1, &mut || {
            let mut read = 0;
            reader.restart();
            reader
                .feed::<ReplyError>(black_box(&text), |_, _, account| {
                    black_box(account);
                    read += 1;
                    Ok(())
                })
                .unwrap();
            reader.finish().unwrap();
            read
        });
        time(2, &mut || {
            let mut read = 0;
            reader.restart();
            reader
                .feed::<ReplyError>(black_box(&text), |_, _, account| {
                    let account = account.unwrap();
                    let address = account.address.unwrap();
                    black_box(program.decode(&address, account.data, &mut room).unwrap());
                    read += 1;
                    Ok(())
                })
                .unwrap();
            read
        });
        time(3, &mut || by_tree(black_box(&text)));
    }
    let [floor, ours, decoded, tree] = took.map(median);
    println!(
        "{program:?}: {:.1} MB, {:.0} bytes a pool; ns a pool: floor {floor:.0}, read {ours:.0}, read and decoded \
         {decoded:.0} ({:.2} M pools/s, {:.2} GB/s), serde_json::Value and base64 {tree:.0} (x {:.1} of read)",
        text.len() as f64 / 1e6,
        text.len() as f64 / count,
        1e3 / decoded,
        text.len() as f64 / count / decoded,
        tree / ours,
    );
}

fn by_tree(text: &[u8]) -> usize {
    let tree: Value = serde_json::from_slice(text).unwrap();
    let list = tree["result"]["value"].as_array().unwrap();
    for item in list {
        let key: Address = item["pubkey"].as_str().unwrap().parse().unwrap();
        let account = &item["account"];
        let data = account["data"][0].as_str().unwrap();
        let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        black_box((key, account["lamports"].as_u64().unwrap(), data));
    }
    list.len()
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
            () = tokio::time::sleep(std::time::Duration::from_secs(300)) => {}
        }
    });
}

/// Nanoseconds that this thread ran.
fn ran() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn cold(pools: u64, expected: u64, rounds: usize) {
    let node = Node::start(pools);
    let settings = || ScanSettings {
        anchors: vec![Anchor { mint: sol(), depth_min: Atoms::new(1_000_000) }],
        pools: usize::try_from(expected).unwrap(),
        ..ScanSettings::default()
    };
    runtime().block_on(async {
        let endpoint = scan_node::endpoint(node.1);
        let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        let before = resident();
        for round in 0..=rounds {
            let mut scanner = Scanner::new(settings()).unwrap();
            let (started, ran_before) = (Instant::now(), ran());
            let report = scanner.cold(&rpc, 1_750_000_000).await.unwrap();
            let (took, ran) = (started.elapsed(), ran() - ran_before);
            assert_eq!((report.new as u64, report.unread), (pools, 0));
            // The node writes its lists in the first round.
            if round > 0 {
                cpu.push(pools as f64 / (ran as f64 / 1e9));
                wall.push(pools as f64 / took.as_secs_f64());
            }
            if round == rounds {
                println!(
                    "cold scan of {pools} pools and their vaults over loopback, {expected} expected: {:.2} M pools/s and \
                     core (limit 0.5), {:.2} M on the wall; {:.0} bytes of answers a pool; {:.1} bytes a pool set \
                     aside; the process grew by {:.1} MB to {:.1} MB",
                    median(cpu.clone()) / 1e6,
                    median(wall.clone()) / 1e6,
                    report.bytes as f64 / pools as f64,
                    scanner.bytes() as f64 / pools as f64,
                    resident().saturating_sub(before) as f64 / 1e6,
                    resident() as f64 / 1e6,
                );
            }
        }
    });
}
