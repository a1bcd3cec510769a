//! `scan` on a local chain with hundreds of pools, and what those pools are.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Draft, Kind, clmm, decode_vault, dlmm, pump_curve, whirlpool};
use sniper_core::ids::Address;
use sniper_solana::rpc::{
    AccountFilter, Commitment, EndpointConfig, PoolSettings, RpcConnectionPool,
};
use sniper_solana::scan::Program;

/// A local chain that ends with the test.
struct Chain {
    child: Child,
    url: String,
    ws: String,
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn chain(seed: &str) -> Chain {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .args(["localnet", "--port", "0", "--until-stdin-closes", "--json", "--slot-ms", "200"])
        .args(["--pools", "300", "--seed", seed])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let of = |list: &str| ready[list][0].as_str().unwrap().to_owned();
    Chain { child, url: of("rpcUrls"), ws: of("wsUrls") }
}

fn scan(args: &[&str]) -> Output {
    let folder = tempfile::TempDir::new().unwrap();
    Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .arg("scan")
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Keys of every pool by its address, all of whose accounts were read by the core's decoders.
async fn pools(chain: &Chain) -> BTreeMap<Address, [Address; 4]> {
    sniper_solana::install_crypto_provider();
    let endpoint = EndpointConfig::new("local", &chain.url, &chain.ws, 1_000).unwrap();
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let mut out = BTreeMap::new();
    let (mut vaults, mut owners, mut arrays) = (Vec::new(), Vec::new(), 0);
    for program in Program::ALL {
        let kind = Kind::of_program(&program.id()).unwrap();
        let (id, filters) = (program.id(), program.filters());
        let found = rpc.program_accounts(&id, &filters, Commitment::Confirmed);
        let mut room = Vec::new();
        for (address, account) in found.await.unwrap() {
            let decoded = program.decode(&address, &account.data, &mut room).unwrap();
            let sliced = program.slice();
            let end = account.data.len().min(sliced.offset + sliced.length);
            let part = &account.data[sliced.offset..end];
            let by_part = program.decode(&address, part, &mut room).unwrap();
            assert_eq!(by_part, decoded, "by the slice alone");
            assert!(!decoded.swaps_off && decoded.mints[0] != decoded.mints[1]);
            let [first, second] = decoded.vaults;
            out.insert(address, [decoded.mints[0], decoded.mints[1], first, second]);
            if kind == Kind::PumpCurve {
                // It names neither its coin nor its account.
                continue;
            }
            Draft::read(kind, address, &account.data).unwrap();
            for (vault, mint) in decoded.vaults.into_iter().zip(decoded.mints) {
                vaults.push((vault, mint));
                owners.push(program.vaults_owner().unwrap_or(address));
            }
        }
    }
    for (part, owners) in vaults.chunks(100).zip(owners.chunks(100)) {
        let keys: Vec<Address> = part.iter().map(|(vault, _)| *vault).collect();
        let read = rpc.multiple_accounts(&keys, Commitment::Confirmed, None).await.unwrap().value;
        for (((_, mint), owner), account) in part.iter().zip(owners).zip(read) {
            let account = account.unwrap();
            assert!(decode_vault(&account.data).unwrap().get() > 0);
            assert_eq!(&account.data[..32], &mint.to_bytes(), "the vault is of its mint");
            assert_eq!(&account.data[32..64], &owner.to_bytes(), "and the program's");
        }
    }
    liquidity_lies_where_the_pools_say(&rpc).await;
    // Fixed arrays of the chain's own pools, dynamic ones of the scenery.
    let all = rpc.program_accounts(&whirlpool::PROGRAM_ID, &[], Commitment::Confirmed);
    for (_, account) in all.await.unwrap() {
        if account.data.len() != whirlpool::POOL_LEN {
            let (pool, _) = whirlpool::decode_tick_array(&account.data).unwrap();
            assert!(out.contains_key(&pool));
            arrays += 1;
        }
    }
    let filters = [AccountFilter::DataSize(653)];
    let whirlpools = rpc.program_accounts(&whirlpool::PROGRAM_ID, &filters, Commitment::Confirmed);
    let whirlpools = whirlpools.await.unwrap().len();
    assert!(whirlpools > 30 && arrays >= 2 * whirlpools, "{arrays} arrays of {whirlpools} pools");
    out
}

/// Ticks and bins are where the pools' bitmaps and prices say, at the prices that our own arithmetic gives them.
async fn liquidity_lies_where_the_pools_say(rpc: &RpcConnectionPool) {
    let all = rpc.program_accounts(&clmm::PROGRAM_ID, &[], Commitment::Confirmed).await.unwrap();
    let (mut starts, mut nets) = (BTreeMap::new(), BTreeMap::new());
    for (address, account) in &all {
        if let Ok((pool, array)) = clmm::decode_tick_array(&account.data) {
            assert_eq!(*address, clmm::tick_array_address(&pool, array.start));
            starts.entry(pool).or_insert_with(BTreeSet::new).insert(array.start);
            nets.entry(pool).or_insert_with(Vec::new).extend(array.ticks);
        }
    }
    assert!(starts.len() >= 15, "{} pools of CLMM", starts.len());
    for (address, account) in &all {
        let Ok((state, _)) = clmm::decode_pool(&account.data) else { continue };
        let ticks = clmm::Ticks::new(&state, None, &[]).unwrap();
        let (config, fees) = (clmm::Config::default(), [TransferFee::NONE; 2]);
        let curve = clmm::Curve::new(&state, &config, fees, ticks).unwrap();
        let ahead: BTreeSet<i32> =
            curve.array_starts(true).chain(curve.array_starts(false)).collect();
        assert_eq!(ahead, starts[address], "the bitmap names the arrays there are");
        let below = nets[address].iter().filter(|tick| tick.tick <= state.tick);
        let liquidity: i128 = below.map(|tick| tick.liquidity_net).sum();
        assert_eq!(u128::try_from(liquidity).unwrap(), state.liquidity);
        assert_eq!(clmm::tick_at_sqrt_price(state.sqrt_price).unwrap(), state.tick);
    }
    let all = rpc.program_accounts(&dlmm::PROGRAM_ID, &[], Commitment::Confirmed).await.unwrap();
    let mut bins = BTreeMap::new();
    for (address, account) in &all {
        if let Ok((array, pool)) = dlmm::decode_bin_array(&account.data) {
            assert_eq!(*address, dlmm::bin_array_address(&pool, array.index));
            for bin in array.bins {
                bins.insert((pool, array.index * dlmm::BINS_PER_ARRAY + i32::from(bin.place)), bin);
            }
        }
    }
    let mut pools = 0;
    for (address, account) in &all {
        let Ok((state, _)) = dlmm::decode_pool(&account.data) else { continue };
        assert_eq!(state.active_array_holds(), Some(true));
        let bin = bins[&(*address, state.active)];
        assert_eq!(Some(bin.price), dlmm::price_of(state.bin_step, state.active));
        pools += 1;
    }
    assert!(pools >= 15, "{pools} pools of DLMM");
}

#[tokio::test]
async fn generated_pools_read_as_real_ones_and_are_the_same_for_the_same_seed() {
    let one = pools(&chain("4")).await;
    assert_eq!(one.len(), 309, "three hundred beside the chain's own nine");
    assert_eq!(one, pools(&chain("4")).await);
    let other = pools(&chain("5")).await;
    let shared = one.keys().filter(|address| other.contains_key(address)).count();
    assert!(shared <= 9 + 30, "only pools over the chain's own mints have addresses of their own");
    let pairs: BTreeSet<_> = one.values().map(|keys| BTreeSet::from([keys[0], keys[1]])).collect();
    assert!(pairs.len() < 280, "{} pairs: some have several pools", pairs.len());
}

#[test]
fn a_scan_finds_all_pools_and_counts_what_changes() {
    let chain = chain("1");
    let output = scan(&["--url", &chain.url, "--for", "5s", "--json", "--top", "5"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).unwrap().as_u64().unwrap();
    assert_eq!(number("/pools"), 309, "{report}");
    for (kind, least) in [
        ("cpmm", 40),
        ("amm_v4", 40),
        ("whirlpool", 30),
        ("clmm", 15),
        ("dlmm", 15),
        ("pump_swap", 15),
        ("pump_curve", 12),
    ] {
        assert!(number(&format!("/by_kind/{kind}")) >= least, "{kind}: {report}");
    }
    assert_eq!(number("/cold/unread") + number("/refused"), 0, "{report}");
    assert_eq!(report["fresh_by"], "program subscriptions");
    assert!(number("/changes") >= 10, "two changes in a block of 200 ms: {report}");
    // Every scan is a pool of the first reading or a change.
    assert!(number("/scans") >= 309 + number("/changes"), "{report}");
    assert!(number("/scans") <= 309 + number("/changes") + number("/new_pools"), "{report}");
    assert!(report["scans_per_second"].as_f64().unwrap() > 0.0);
    assert!(number("/cycle_us/p50") <= number("/cycle_us/p99"));
    assert!(number("/notices") > number("/changes"), "several accounts make a change");
    let top = report["top"].as_array().unwrap();
    assert_eq!(top.len(), 5, "{report}");
    assert!(top.iter().all(|row| row["price"].as_f64().is_some_and(|price| price > 0.0)));

    let curves = ["--url", &chain.url, "--for", "6s", "--kind", "pump-curve", "--json"];
    let report: Value = serde_json::from_slice(&scan(&curves).stdout).unwrap();
    let top = report["top"].as_array().unwrap();
    assert!(!top.is_empty(), "two pools in three hundred change in a block: {report}");
    for row in top {
        let coin: Address = row["base_mint"].as_str().unwrap().parse().unwrap();
        assert_eq!(row["pool"], pump_curve::bonding_curve(&coin).to_string(), "its own coin");
        assert!(row["price"].as_f64().unwrap() > 0.0 && row["verdict"].is_null(), "{row}");
    }
    let bins =
        ["--url", &chain.url, "--for", "6s", "--kind", "dlmm", "--kind", "pump-swap", "--json"];
    let report: Value = serde_json::from_slice(&scan(&bins).stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).unwrap().as_u64().unwrap();
    assert_eq!(report["by_kind"].as_object().unwrap().len(), 2, "{report}");
    assert_eq!(number("/cold/unread") + number("/refused"), 0, "{report}");
    assert!(number("/changes") > 0, "vaults that nobody tells of are read: {report}");
    for row in report["top"].as_array().unwrap() {
        let price_alone = row["depth_atoms"].is_null() && row["flow_atoms"].is_null();
        assert_eq!(price_alone, row["kind"] == "dlmm", "{row}");
    }

    let one = scan(&["--url", &chain.url, "--for", "2s", "--kind", "whirlpool"]);
    let text = String::from_utf8(one.stdout).unwrap();
    assert!(text.contains("whirlpool)") && !text.contains("cpmm"), "{text}");
    assert!(!text.contains('\u{1b}'), "no terminal, no drawing: {text}");
}

#[test]
fn a_scan_that_cannot_begin_says_what_to_do() {
    let refused = |args: &[&str], code: i32, words: &[&str]| {
        let output = scan(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(output.stdout.is_empty());
        for word in words {
            assert!(message.contains(word), "{word:?} is missing in {message}");
        }
    };
    refused(&["--for", "1s"], 4, &["node.endpoints", "--url"]);
    refused(&["--url", "nonsense", "--for", "1s"], 2, &["--url", "http://"]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(&["--url", &format!("http://{free}"), "--for", "5s"], 1, &["--url", "connect"]);
    // Nodes that are none, and one that does not list accounts.
    let foreign = answering(|_| "<html>".to_owned());
    refused(&["--url", &foreign, "--for", "5s"], 1, &["not a Solana"]);
    let poor = answering(|request| {
        let result = match request["method"].as_str().unwrap_or_default() {
            "getGenesisHash" => r#""5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d""#,
            "getSlot" => "300000000",
            "getBlockHeight" => "278000000",
            _ => {
                let error =
                    r#"{"code":-32010,"message":"excluded from account secondary indexes"}"#;
                return format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request["id"]);
            }
        };
        format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"])
    });
    refused(&["--url", &poor, "--for", "20s"], 1, &["getProgramAccounts", "--mint"]);
}

/// A web server that answers every request so, and nothing to those who want a socket.
fn answering(answer: impl Fn(&Value) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut length, mut line) = (0, String::new());
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let request = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let text = answer(&request);
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
            let reply = format!("{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.get_mut().write_all(reply.as_bytes()).ok();
        }
    });
    url
}
