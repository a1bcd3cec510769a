//! The whole program on a local chain: the demo, paper trading, a polite stop, and a kill amid trading.
#![cfg(feature = "localnet")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod local;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local::{BINARY, Chain, paper_config, paper_config_of};
use serde_json::Value;

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
    assert!(!log.contains("the program has changed"), "an honest program was accused: {log}");
    assert_eq!(summary["mode"], "demo");
    let orders = &summary["orders"];
    assert!(orders["landed"].as_u64().unwrap() >= 3, "{summary:#}");
    for field in ["submitted", "landed", "reverted", "expired", "refused"] {
        assert!(orders[field].is_u64(), "{field}: {orders}");
    }
    assert_eq!(summary["strategies"].as_array().unwrap().len(), 4);
    let kinds = summary["swaps_by_kind"].as_object().unwrap();
    assert!(kinds.len() >= 2, "pools of two kinds: {kinds:?}");
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

#[test]
fn paper_trading_moves_no_money_replays_and_stops_when_asked() {
    let chain = Chain::start(&[]);
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
    let journal = folder.path().join("data/paper/journal");
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

/// What each mint of a journal was announced with: its symbol and what an account of ours takes.
fn announced(journal: &Path) -> Vec<(String, u64)> {
    use sniper_core::event::{Event, MarketEvent};
    let reader = sniper_store::journal::JournalReader::open(journal).unwrap();
    let mint = |record| match record {
        sniper_store::journal::Record::Event(stamped) => match stamped.event {
            Event::Market(MarketEvent::Mint(spec)) => {
                Some((spec.address.to_string(), spec.rent.get()))
            }
            _ => None,
        },
        _ => None,
    };
    reader.map(Result::unwrap).filter_map(|entry| mint(entry.record)).collect()
}

#[test]
fn a_mint_that_a_later_start_adds_says_what_its_account_takes() {
    let chain = Chain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let address = |list: &str, symbol: &str| {
        let all = chain.ready[list].as_array().unwrap();
        let found = all.iter().find(|one| one["symbol"] == symbol);
        found.unwrap_or_else(|| panic!("no {symbol}"))["address"].as_str().unwrap()
    };
    let pools: Vec<&Value> = chain.ready["pools"].as_array().unwrap().iter().collect();
    let of = |symbol: &str| {
        let mint = address("mints", symbol);
        let trades = |pool: &&&Value| pool.to_string().contains(mint);
        pools.iter().find(trades).unwrap()["address"].as_str().unwrap()
    };
    let journal = folder.path().join("data/paper/journal");
    let first = [of("SOL")];
    let later = [of("SOL"), of("BONK"), of("PYUSD")];
    for pools in [&first[..], &later, &later] {
        let config = paper_config_of(&chain, folder.path(), pools);
        let (summary, log) = report(
            Command::new(BINARY)
                .args(["trade", "--headless", "--json", "--for", "1s", "-c"])
                .arg(&config)
                .stdin(Stdio::null()),
        );
        assert_eq!(summary["replay_matches"], true, "{log}");
    }
    let wanted = [("SOL", 0), ("USDC", 0), ("BONK", 2_039_280), ("PYUSD", 2_074_080)];
    let mut wanted = wanted.map(|(symbol, rent)| (address("mints", symbol).to_owned(), rent));
    let mut announced = announced(&journal);
    announced.sort();
    wanted.sort();
    assert_eq!(announced, wanted, "once each, and 165 bytes or 170");
}

#[test]
fn a_killed_latch_lets_nothing_start_until_a_person_has_cleared_it_in_two_steps() {
    let chain = Chain::start(&[]);
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

#[test]
fn a_token_that_nobody_vouches_for_is_judged_refused_and_the_reasons_are_kept() {
    let chain = Chain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let config = paper_config(&chain, folder.path());
    // Whoever runs the chain can make more of every token on it.
    let text = std::fs::read_to_string(&config).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("trusted_mints"));
    std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["trade", "--headless", "--json", "--for", "12s", "-c"]).arg(&config);
    let (summary, log) = report(command.stdin(Stdio::null()));
    assert_eq!(summary["replay_matches"], true, "the gate's word is in the journal: {log}");
    assert!(log.contains("token not bought"), "{log}");
    let tables = folder.path().join("data/paper/sniperforge.sqlite");
    let reader = sniper_store::tables::TableReader::open(&tables).unwrap();
    let verdicts = reader.recent_verdicts(100).unwrap();
    let mints = chain.ready["mints"].as_array().unwrap();
    let judged = |symbol: &str| {
        let mint = mints.iter().find(|mint| mint["symbol"] == symbol).unwrap();
        verdicts.iter().find(|verdict| mint["address"] == verdict.mint.as_str())
    };
    assert!(
        judged("SOL").is_none() && judged("USDC").is_none(),
        "these need no word: {verdicts:?}"
    );
    let found = judged("JUP").unwrap_or_else(|| panic!("{verdicts:?}"));
    assert!(
        !found.safe && found.reasons.iter().any(|reason| reason.contains("authority")),
        "{found:?}"
    );
}
