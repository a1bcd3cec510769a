//! The whole program on a local chain: the demo, paper trading, a polite stop, and a kill amid trading.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_sniperforge");

/// A local chain that ends with the test, however that ends.
struct Chain {
    child: Child,
    url: String,
    ready: Value,
}

impl Chain {
    fn start() -> Self {
        let mut child = Command::new(BINARY)
            .args(["localnet", "--port", "0", "--slot-ms", "200", "--seed", "7", "--json"])
            .args(["--until-stdin-closes", "--log-level", "warn"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["rpcUrls"][0].as_str().unwrap().to_owned();
        Self { child, url, ready }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn engine(chain: &Chain, data: &Path, run_for: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--headless", "--json", "--log-level", "info", "--for", run_for])
        .args(["--attach", &chain.url, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits until the engine has signed at least `orders` transactions more than before: it is killed amid trading.
fn wait_for_orders(data: &Path, before: usize, orders: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let signed = signed(data);
        if signed >= before + orders {
            return signed;
        }
        assert!(Instant::now() < deadline, "only {signed} transactions were signed in 90 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signed(data: &Path) -> usize {
    let Ok(reader) = sniper_store::journal::JournalReader::open(data.join("journal.bin")) else {
        return 0;
    };
    let wires = reader.map_while(Result::ok);
    wires.filter(|entry| matches!(entry.record, sniper_store::journal::Record::Wire { .. })).count()
}

#[test]
fn an_engine_killed_amid_trading_comes_back_with_its_ledger_equal_to_the_chain() {
    let chain = Chain::start();
    let data = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..3 {
        let mut child = engine(&chain, data.path(), "120s").spawn().unwrap();
        // At another moment of an order's life each time: just signed, under way, about to be confirmed.
        before = wait_for_orders(data.path(), before, 2);
        std::thread::sleep(Duration::from_millis(130 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = engine(&chain, data.path(), "4s").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}\n{log}");
    assert_eq!(summary["lamports_difference"], 0, "{summary:#}");
    assert_eq!(summary["replay_matches"], true, "{summary:#}");
    assert!(output.status.success(), "{log}");
    assert!(log.contains("journal replayed"), "{log}");
    assert!(signed(data.path()) >= before, "what was signed before is still in the journal");
}

/// Runs a command to its end and reads the one document it prints.
fn report(command: &mut Command) -> (Value, String) {
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {log}", output.status);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {log}"));
    (value, log)
}

#[test]
fn the_demo_trades_through_real_transactions_and_proves_what_it_did() {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--for", "25s", "--headless", "--json", "--seed", "3"])
        .stdin(Stdio::null());
    let (summary, log) = report(&mut command);
    for (field, proven) in [("ledger_matches_chain", true), ("replay_matches", true)] {
        assert_eq!(summary[field], proven, "{field}: {summary:#}\n{log}");
    }
    assert_eq!(summary["lamports_difference"], 0);
    assert_eq!(summary["mode"], "demo");
    let orders = &summary["orders"];
    assert!(orders["landed"].as_u64().unwrap() >= 3, "{summary:#}");
    for field in ["submitted", "landed", "reverted", "expired", "refused"] {
        assert!(orders[field].is_u64(), "{field}: {orders}");
    }
    assert_eq!(summary["strategies"].as_array().unwrap().len(), 4);
    for field in ["name", "orders", "landed", "pnl_usd"] {
        assert!(!summary["strategies"][0][field].is_null(), "{field}");
    }
    for stage in ["strategy", "risk", "build", "sign", "journal", "send", "confirm", "full_trade"] {
        assert!(
            summary["latency_us"][stage]["count"].as_u64().unwrap() > 0,
            "{stage}: {summary:#}"
        );
    }
    for field in ["seconds", "events", "rss_mb", "rss_peak_mb"] {
        assert!(summary[field].is_number(), "{field}");
    }
}

fn paper_config(chain: &Chain, folder: &Path) -> std::path::PathBuf {
    let pools: Vec<&str> = chain.ready["pools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["address"].as_str().unwrap())
        .collect();
    let path = folder.join("paper.toml");
    let text = format!(
        "[node]\nendpoints = [{{ name = \"local\", http = {}, ws = {} }}]\n\
         [trading]\ncandle_ms = 1000\npools = {pools:?}\n\
         [prices]\nurl = {}\n\
         [store]\ndata_dir = {:?}\n\
         [strategies.mean_reversion.params]\nwindow = 5\n",
        chain.ready["rpcUrls"][0],
        chain.ready["wsUrls"][0],
        chain.ready["priceUrl"],
        folder.join("data"),
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn paper_trading_moves_no_money_replays_and_stops_when_asked() {
    let chain = Chain::start();
    let folder = tempfile::tempdir().unwrap();
    let config = paper_config(&chain, folder.path());
    let child = Command::new(BINARY)
        .args(["trade", "--headless", "--json", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = folder.path().join("data/paper/journal.bin");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !sniper_store::journal::JournalReader::open(&journal)
        .is_ok_and(|reader| reader.map_while(Result::ok).count() > 200)
    {
        assert!(Instant::now() < deadline, "nothing was journaled in 60 s");
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["mode"], &summary["replay_matches"]), (&"paper".into(), &true.into()));
    assert!(summary["ledger_matches_chain"].is_null(), "no chain holds the money of paper");
    let (replayed, _) = report(Command::new(BINARY).args(["replay", "--json"]).arg(&journal));
    assert_eq!(replayed["effects_hash"], summary["effects_hash"]);
}

#[test]
fn a_killed_latch_lets_nothing_start_until_a_person_has_cleared_it_in_two_steps() {
    let chain = Chain::start();
    let folder = tempfile::tempdir().unwrap();
    let config = paper_config(&chain, folder.path());
    let run = |args: &[&str]| {
        let output = Command::new(BINARY)
            .args(args)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code().unwrap(), output)
    };
    assert_eq!(run(&["kill", "--reason", "drill"]).0, 0);
    let (code, refused) = run(&["trade", "--headless", "--for", "1s"]);
    assert_eq!(code, 1);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("clear-kill"), "{message}");
    assert_ne!(run(&["clear-kill", "00000000"]).0, 0, "no step may be left out");
    let (_, first) = run(&["clear-kill", "--json"]);
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(run(&["clear-kill", first["token"].as_str().unwrap()]).0, 0);
    assert_eq!(run(&["trade", "--headless", "--json", "--for", "1s"]).0, 0);
}
