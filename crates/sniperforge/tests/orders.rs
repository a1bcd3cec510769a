//! Orders that stand in a running instance: placed through its socket, carried out on a chain, and still there after the
//! process was killed.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use local::{BINARY, Chain};
use serde_json::Value;

/// An engine that ends with the test.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn demo(chain: &Chain, data: &Path, run_for: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--headless", "--json", "--log-level", "info", "--for", run_for])
        .args(["--segment-records", "250", "--attach", &chain.url, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(chain: &Chain, data: &Path) -> Engine {
    let mut command = demo(chain, data, "300s");
    let engine = Engine(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until(data, "it answers", |told| told["ok"] == true);
    engine
}

/// What the command line says: exit code, document, standard error.
fn ask(data: &Path, args: &[&str]) -> (i32, Value, String) {
    let output = Command::new(BINARY)
        .args(["orders", "--json", "--at"])
        .arg(data)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), told, log)
}

fn done(data: &Path, args: &[&str]) -> Value {
    let (code, told, log) = ask(data, args);
    assert_eq!(code, 0, "{args:?}: {told} {log}");
    told
}

/// Asks for the list until it shows what is waited for.
fn until(data: &Path, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (_, told, log) = ask(data, &["list"]);
        if holds(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{what}: {told:#} {log}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn state(told: &Value, id: &str) -> String {
    let orders = told["orders"].as_array().unwrap();
    let order = orders.iter().find(|order| order["id"] == id);
    order.map_or_else(String::new, |order| order["state"].as_str().unwrap().to_owned())
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn field<'a>(told: &'a Value, id: &str, name: &str) -> &'a Value {
    let orders = told["orders"].as_array().unwrap();
    &orders.iter().find(|order| order["id"] == id).unwrap()[name]
}

#[test]
fn orders_placed_through_the_socket_land_and_survive_a_kill() {
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let engine = start(&chain, data);

    let socket = data.join("control.sock");
    let found = std::fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);

    // A limit that the price has reached already lands; one that it never reaches stands.
    let near =
        done(data, &["place", "buy", "--mint", "SOL", "--dollars", "12.5", "--limit", "100000"]);
    let far = done(data, &["place", "buy", "--mint", "SOL", "--dollars", "10", "--limit", "0.01"]);
    let (near, far) = (format!("{}.0", near["ticket"]), format!("{}.0", far["ticket"]));
    let told = until(data, "the limit lands", |told| state(told, &near) == "done");
    assert_eq!(
        (field(&told, &near, "done"), state(&told, &far).as_str()),
        (&"12.5".into(), "stands")
    );
    let held = number(field(&told, &near, "got"));
    assert!(held > 0.0);

    // A bracket whose entry is at once and whose profit is out of reach, and two sales of which one is.
    let bracket = done(
        data,
        &[
            "place",
            "bracket",
            "--mint",
            "SOL",
            "--dollars",
            "15",
            "--stop",
            "0.01",
            "--take-profit",
            "100000",
        ],
    );
    let leg = |told: &Value, leg: u8| format!("{}.{leg}", told["ticket"]);
    let (entry, stop) = (leg(&bracket, 0), leg(&bracket, 1));
    let told = until(data, "the exits watch", |told| state(told, &stop) == "stands");
    assert_eq!(field(&told, &stop, "amount"), field(&told, &entry, "got"), "what really came in");

    // Killed without a word, it is all still there.
    let before = done(data, &["list"]);
    drop(engine);
    let (code, _, log) = ask(data, &["list"]);
    assert_eq!(code, 3, "{log}");
    let engine = start(&chain, data);
    let after =
        until(data, "it trades", |told| told["orders"].as_array().is_some_and(|o| !o.is_empty()));
    let place = |told: &Value| {
        let orders = told["orders"].as_array().unwrap().iter();
        orders
            .map(|o| (o["id"].clone(), o["done"].clone(), o["amount"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(place(&before), place(&after));

    let amount = format!("{held:.4}");
    let oco = done(
        data,
        &[
            "place",
            "oco",
            "--mint",
            "SOL",
            "--amount",
            &amount,
            "--stop",
            "0.01",
            "--take-profit",
            "0.02",
        ],
    );
    let (stop, profit) = (leg(&oco, 0), leg(&oco, 1));
    // Killed again, with an order of it under way or not yet.
    drop(engine);
    let engine = start(&chain, data);
    let told = until(data, "one of the two lands", |told| state(told, &profit) == "done");
    assert_eq!(state(&told, &stop), "sibling filled");
    assert_eq!(number(field(&told, &profit, "done")), amount.parse::<f64>().unwrap());

    // Cancelled, nothing of it is left.
    let ticket = bracket["ticket"].to_string();
    done(data, &["cancel", &ticket]);
    done(data, &["cancel", &far]);
    let (code, _, log) = ask(data, &["cancel", &far]);
    assert!(code == 1 && log.contains("nothing of that name stands"), "{log}");
    for (args, wanted) in [
        (&["place", "buy", "--mint", "NOSUCH", "--dollars", "5"][..], "no mint here is called"),
        (&["place", "buy", "--mint", "SOL", "--dollars", "0"], "above zero"),
        (&["place", "buy", "--mint", "SOL", "--dollars", "5", "--limit", "0"], "above zero"),
        (
            &["place", "sell", "--mint", "SOL", "--ladder", "200:6000,300:6000"],
            "more than the whole",
        ),
    ] {
        let (code, _, log) = ask(data, args);
        assert!(code == 1 && log.contains(wanted), "{args:?}: {log}");
    }
    let mode = |name: &str| {
        let output =
            Command::new(BINARY).args([name, "--json", "--at"]).arg(data).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), told["mode"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(mode("pause"), (Some(0), "HALT".to_owned()));
    assert_eq!(mode("pause").0, Some(1));
    assert_eq!(mode("resume"), (Some(0), "RUN".to_owned()));
    drop(engine);

    // And the books are those of the chain.
    let output = demo(&chain, data, "3s").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {log}"));
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}\n{log}");
    assert_eq!(summary["lamports_difference"], 0, "{summary:#}");
    assert_eq!(summary["replay_matches"], true, "{summary:#}");
    assert!(!socket.exists(), "it goes with its instance");
}

#[test]
fn nobody_who_dawdles_or_says_nonsense_disturbs_an_instance() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let chain = Chain::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let _engine = start(&chain, data.path());
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(data.path().join("control.sock")).unwrap();
        // It may have hung up before all was said.
        stream.write_all(bytes).ok();
        let mut told = String::new();
        stream.read_to_string(&mut told).ok();
        told
    };
    assert!(say(b"nonsense\n").contains("does not read"));
    assert!(say(b"{\"do\":\"list\",\"more\":1}\n").contains("does not read"));
    assert!(say(&[b'x'; 20_000]).contains("at most"));
    assert!(say(b"{\"do\":\"list\"}\n").contains("\"ok\":true"));
    // One who says nothing is left behind after a while.
    let silent = UnixStream::connect(data.path().join("control.sock")).unwrap();
    let started = Instant::now();
    assert!(say(b"{\"do\":\"list\"}\n").contains("\"ok\":true"));
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(silent);
}
