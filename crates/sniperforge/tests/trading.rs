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

use local::{BINARY, Chain};
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

fn paper_config(chain: &Chain, folder: &Path) -> std::path::PathBuf {
    let of = |list: &str| chain.ready[list].as_array().unwrap().iter();
    let pools: Vec<&str> =
        of("pools").chain(of("whirlpools")).map(|p| p["address"].as_str().unwrap()).collect();
    paper_config_of(chain, folder, &pools)
}

fn paper_config_of(chain: &Chain, folder: &Path, pools: &[&str]) -> std::path::PathBuf {
    let of = |list: &str| chain.ready[list].as_array().unwrap().iter();
    // Play money: whoever runs the chain can make more of it.
    let mints: Vec<&str> = of("mints").map(|mint| mint["address"].as_str().unwrap()).collect();
    let path = folder.join("paper.toml");
    let text = format!(
        "[node]\nendpoints = [{{ name = \"local\", http = {}, ws = {} }}]\n\
         [trading]\ncandle_ms = 1000\npools = {pools:?}\ntrusted_mints = {mints:?}\n\
         [prices]\nurl = {}\n\
         [store]\ndata_dir = {:?}\n\
         [sim]\nlanding_odds_bps = 10000\n\
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

/// Answers one request as a quote service does, and gives back what was asked.
fn quote_service(out: u64) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 2_048];
        let length = stream.read(&mut asked).unwrap();
        let body = format!("{{\"outAmount\":\"{out}\",\"inAmount\":\"1\"}}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (url, answer)
}

#[test]
fn a_quote_names_its_route_its_bound_and_the_difference_to_a_service() {
    let chain = Chain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let config = paper_config(&chain, folder.path());
    let mint = |symbol: &str| {
        let mints = chain.ready["mints"].as_array().unwrap();
        let found = mints.iter().find(|mint| mint["symbol"] == symbol);
        found.unwrap_or_else(|| panic!("no {symbol}"))["address"].as_str().unwrap().to_owned()
    };
    let run = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("quote").args(args).arg("-c").arg(&config).stdin(Stdio::null());
        command.output().unwrap()
    };
    let (sol, usdc) = (mint("SOL"), mint("USDC"));
    let (url, service) = quote_service(1_000_000);
    let args = ["--in", &sol, "--out", &usdc, "--amount", "1.5", "--slippage-bps", "100"];
    let service_args = ["--compare", "jupiter", "--compare-url", &url, "--json"];
    let output = run(&[&args[..], &service_args[..]].concat());
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let quote: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |field: &str| quote[field].as_u64().unwrap_or_else(|| panic!("{field}: {quote}"));
    assert_eq!(number("amount_in"), 1_500_000_000);
    let (out, least) = (number("amount_out"), number("min_out"));
    assert_eq!(least, (u128::from(out) * 9_900).div_ceil(10_000) as u64, "{quote:#}");
    let hops = quote["hops"].as_array().unwrap();
    assert_eq!(
        (&hops[0]["mint_in"], hops[0]["amount_in"].as_u64()),
        (&sol.clone().into(), Some(1_500_000_000))
    );
    assert_eq!(hops.last().unwrap()["amount_out"].as_u64(), Some(out));
    assert!(
        hops.iter().all(|hop| hop["kind"] == "Raydium CPMM" || hop["kind"] == "Orca Whirlpool")
    );
    if let Some(split) = quote["split"].as_object() {
        assert!(
            split["amount_out"].as_u64().unwrap() > out,
            "a split that is no better is not told"
        );
    }
    let difference = quote["compared"]["difference_bps"].as_f64().unwrap();
    let expected = (out as f64 - 1e6) * 1e4 / 1e6;
    assert!((difference - expected).abs() < 1e-6, "{difference} {expected}");
    let asked = service.join().unwrap();
    for part in
        [format!("inputMint={sol}"), format!("outputMint={usdc}"), "amount=1500000000".to_owned()]
    {
        assert!(asked.contains(&part), "{part} in {asked}");
    }

    for (args, words) in [
        (vec!["--in", &sol, "--out", &sol, "--amount", "1"], "name two mints"),
        (vec!["--in", &sol, "--out", "NOPE", "--amount", "1"], "NOPE"),
        (vec!["--in", &sol, "--out", &usdc, "--amount", "1.0000000001"], "9 decimals"),
        (vec!["--in", &sol, "--out", &usdc, "--amount", "18446744073.7"], "no route"),
    ] {
        let output = run(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(words) && message.lines().count() == 1, "{words}: {message}");
        assert!(output.stdout.is_empty());
    }
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
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verdicts = runtime.block_on(async {
        let mut reader = sniper_store::tables::TableReader::open(&tables).await.unwrap();
        reader.recent_verdicts(100).await.unwrap()
    });
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
