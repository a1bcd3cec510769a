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

fn engine(chain: &Chain, data: &Path, run_for: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--headless", "--json", "--log-level", "info", "--for", run_for])
        // Small segments, so that a restart meets snapshots and wires that were carried over.
        .args(["--segment-records", "250", "--attach", &chain.url, "--data"])
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
    let chain = Chain::start(&[]);
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
    assert!(log.contains("journal replayed") && log.contains("from_segment"), "{log}");
    assert!(signed(data.path()) >= before, "what was signed before is still in the journal");
    // And from the very beginning, over all segments and kills.
    let (replayed, _) =
        report(Command::new(BINARY).args(["replay", "--json"]).arg(data.path().join("journal")));
    assert_eq!(replayed["effects_hash"], summary["effects_hash"]);
    assert!(replayed["from_segment"].is_null() && replayed["first_difference"].is_null());
    look_at(&data.path().join("journal"));
}

/// What the commands say of a journal with orders in it.
fn look_at(journal: &Path) {
    let run = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["journal", args[0]]).arg(journal).args(&args[1..]).stdin(Stdio::null());
        command
    };
    let before = files(journal);
    let (verified, _) = report(&mut run(&["verify", "--json"]));
    assert_eq!(
        (&verified["ok"], &verified["damage"]),
        (&true.into(), &Value::Null),
        "{verified:#}"
    );
    let segments = verified["segments"].as_array().unwrap();
    assert!(segments.len() > 2, "{verified:#}");
    let sum = |field: &str| segments.iter().map(|s| s[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(verified["records"], sum("records"));
    for pair in segments.windows(2) {
        let last = pair[0]["last_record"].as_u64().unwrap();
        assert_eq!(pair[1]["first_record"].as_u64().unwrap(), last + 1);
    }
    assert!(verified["snapshots"].as_array().unwrap().iter().all(|s| s["ok"] == true));

    let folder = tempfile::tempdir().unwrap();
    let export = |what: &str| {
        let file = folder.path().join(what);
        let args = ["export", "--json", "--what", what, "--out", file.to_str().unwrap()];
        let (done, _) = report(&mut run(&args));
        let again = run(&args).output().unwrap();
        assert_eq!(again.status.code(), Some(1), "nothing is replaced");
        (std::fs::read_to_string(file).unwrap(), done["lines"].as_u64().unwrap())
    };
    let (events, lines) = export("events");
    assert_eq!(verified["events"], lines);
    let parsed =
        events.lines().map(|line| serde_json::from_str::<sniper_core::event::Stamped>(line));
    assert_eq!(parsed.map(Result::unwrap).count() as u64, lines);
    let (fills, lines) = export("fills");
    let (csv, rows) = export("fills-csv");
    assert_eq!((fills.lines().count() as u64, rows), (lines, lines));
    assert_eq!(csv.lines().count() as u64, lines + 1);
    assert!(lines > 0, "some order landed");
    let fill: Value = serde_json::from_str(fills.lines().last().unwrap()).unwrap();
    assert!(fill["got"].as_u64().unwrap() >= fill["min_out"].as_u64().unwrap());

    let order = fill["order"].as_str().unwrap();
    let (story, _) = report(&mut run(&["show", "--json", "--order", order]));
    let steps: Vec<&str> =
        story["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    for step in ["caused by", "intent", "approved", "signed", "told", "ended"] {
        assert!(steps.contains(&step), "{step}: {story:#}");
    }
    assert_eq!(story["open"], false);
    let unknown = run(&["show", "--order", "1.7"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let (shown, _) = report(&mut run(&["show", "--json", "--from", "3", "--to", "6"]));
    let shown = shown.as_array().unwrap();
    assert!(shown.len() >= 4, "{shown:?}");
    let text = run(&["show", "--from", "3", "--to", "6"]).output().unwrap();
    assert_eq!(String::from_utf8(text.stdout).unwrap().lines().count(), shown.len());
    assert_eq!(files(journal), before, "looking changes nothing");

    // One byte in the middle of the second segment.
    let second = journal.join("00000001.journal");
    let whole = std::fs::read(&second).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    std::fs::write(&second, &bytes).unwrap();
    let output = run(&["verify", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["ok"], false);
    assert!(found["damage"]["byte"].as_u64().unwrap() <= bytes.len() as u64 / 2);
    assert!(found["damage"]["message"].as_str().unwrap().contains("Nothing was changed"));
    std::fs::remove_file(&second).unwrap();
    assert_eq!(run(&["verify"]).output().unwrap().status.code(), Some(6));
    std::fs::write(&second, &whole).unwrap();
    let snapshot = journal.join("00000001.snapshot");
    let bytes = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(run(&["verify"]).output().unwrap().status.code(), Some(6));
    std::fs::write(&snapshot, bytes).unwrap();
    assert_eq!(run(&["verify"]).output().unwrap().status.code(), Some(0));
    let nothing =
        Command::new(BINARY).args(["journal", "verify", "/nonexistent"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1));
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn two_engines_never_trade_with_one_key_whatever_their_folders() {
    let chain = Chain::start(&[]);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = engine(&chain, one.path(), "120s").spawn().unwrap();
    wait_for_orders(one.path(), 0, 1);
    for name in ["demo-wallet.age", "demo-passphrase"] {
        std::fs::copy(one.path().join(name), other.path().join(name)).unwrap();
    }
    for folder in [other.path(), one.path()] {
        let refused = engine(&chain, folder, "1s").output().unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{message}");
        assert!(message.contains("trades with the key"), "{message}");
    }
    // Whoever looks disturbs nobody, and is not disturbed.
    let mut verify = Command::new(BINARY);
    let (verified, _) =
        report(verify.args(["journal", "verify", "--json"]).arg(one.path().join("journal")));
    assert_eq!(verified["ok"], true, "{verified:#}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(engine(&chain, one.path(), "1s").output().unwrap().status.success());
}

/// A file system of a few megabytes in memory, where this user may mount one.
struct Tiny(tempfile::TempDir);

impl Tiny {
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(folder.path())
            .output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let ballast = self.0.path().join("ballast");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(ballast);
        let mut file = file.unwrap();
        while std::io::Write::write_all(&mut file, &[7; 4_096]).is_ok() {}
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[test]
fn on_a_full_disk_nothing_is_ordered_and_trading_goes_on_once_there_is_room() {
    let Some(disk) = Tiny::new(24) else {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: a full disk, as this user may mount none\n"),
        )
        .ok();
        return;
    };
    let chain = Chain::start(&[]);
    let data = disk.0.path().join("data");
    let mut child = engine(&chain, &data, "90s").spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let (told, heard) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            told.send(line).ok();
        }
    });
    let wait_for = |words: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut log = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = heard.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("{words}: {}", log.join("\n")));
            log.push(line.clone());
            if line.contains(words) {
                return log;
            }
        }
    };
    wait_for_orders(&data, 0, 1);
    disk.fill();
    // Gives the room back that the journal has made ready for what comes, so that it needs more at once.
    let last = sniper_store::journal::JournalReader::open(data.join("journal")).unwrap();
    let last = last.map(Result::unwrap).last().unwrap();
    let segment = data.join(format!("journal/{:08}.journal", last.segment));
    let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
    let (start, end) =
        (last.offset.next_multiple_of(4_096) + 16_384, file.metadata().unwrap().len());
    let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, start, end - start).unwrap();
    disk.fill();
    wait_for("ALERT: nothing new is ordered until the journal can be written");
    // Halted, it follows what is in flight and orders nothing more.
    std::thread::sleep(Duration::from_secs(3));
    let before = signed(&data);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(signed(&data), before);
    std::fs::remove_file(disk.0.path().join("ballast")).unwrap();
    wait_for("all that waited is in the journal and durable");
    wait_for_orders(&data, before, 2);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["replay_matches"], true, "{summary:#}");
    assert_eq!(
        (&summary["ledger_matches_chain"], &summary["lamports_difference"]),
        (&true.into(), &0.into())
    );
    assert!(output.status.success());
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
    let journal = folder.path().join("data/paper/journal.bin");
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
