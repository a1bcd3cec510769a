//! Engines that are killed, doubled, or out of disk: what they come back to, and what is left to read.
#![cfg(feature = "localnet")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod local;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local::{BINARY, Chain};
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

/// A kill in the moment in which a segment was begun leaves it without one, and each of the kills may come in such a moment.
fn wait_for_a_snapshot(data: &Path) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while snapshots(&data.join("journal")).next().is_none() {
        assert!(Instant::now() < deadline, "no snapshot was written in 90 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn snapshots(journal: &Path) -> impl Iterator<Item = PathBuf> {
    let all = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|end| end == "snapshot"))
}

fn signed(data: &Path) -> usize {
    let Ok(reader) = sniper_store::journal::JournalReader::open(data.join("journal")) else {
        return 0;
    };
    let wires = reader.map_while(Result::ok);
    wires.filter(|entry| matches!(entry.record, sniper_store::journal::Record::Wire { .. })).count()
}

/// Runs a command to its end and reads the one document it prints.
fn report(command: &mut Command) -> (Value, String) {
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {told}\n{log}", output.status);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {log}"));
    (value, log)
}

#[test]
fn an_engine_killed_amid_trading_comes_back_with_its_ledger_equal_to_the_chain() {
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..3 {
        let mut child = engine(&chain, data.path(), "120s").spawn().unwrap();
        if kill == 2 {
            wait_for_a_snapshot(data.path());
        }
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
    let parsed = events.lines().map(serde_json::from_str::<sniper_core::event::Stamped>);
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
    let snapshot = snapshots(journal).max().expect("the last start went on from a snapshot");
    let bytes = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(run(&["verify"]).output().unwrap().status.code(), Some(6));
    std::fs::write(&snapshot, bytes).unwrap();
    assert_eq!(run(&["verify"]).output().unwrap().status.code(), Some(0));
    let nothing =
        Command::new(BINARY).args(["journal", "verify", "/nonexistent"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1));
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
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

#[test]
fn asked_twice_an_engine_stops_although_nobody_can_tell_how_its_orders_end() {
    assert!((0..5).any(|_| is_stopped_amid_orders()), "no order was in flight in five runs");
}

/// Whether orders were in flight when the chain went, so that asking once was not enough.
fn is_stopped_amid_orders() -> bool {
    // An order takes a second or two to land here.
    let chain = Chain::start_at(1_000, &[]);
    let data = tempfile::tempdir().unwrap();
    let mut child = engine(&chain, data.path(), "120s").spawn().unwrap();
    let id = child.id().to_string();
    let log = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || std::io::read_to_string(log).unwrap());
    // The chain goes just after an order was signed.
    wait_for_orders(data.path(), 0, 1);
    drop(chain);
    let asks = || assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    asks();
    std::thread::sleep(Duration::from_secs(1));
    let is_following = child.try_wait().unwrap().is_none();
    if is_following {
        asks();
    }
    let asked = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if asked.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it goes on for ever: {}", log.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = log.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{log}");
    let is_told = log.contains("orders in flight are in the journal");
    // It may have had none, and still be looking for who could tell what the chain holds.
    is_following && is_told
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
