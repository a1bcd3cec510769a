//! New coins, from the transaction that makes their pool to the sale of what was bought: on a local chain that launches
//! sound and unsound ones, and knows which is which.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use local::{BINARY, Chain};
use serde_json::Value;

fn engine(chain: &Chain, data: &Path, run_for: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--headless", "--json", "--log-level", "info", "--launches"])
        .args(["--for", run_for, "--attach", &chain.url, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn summary(output: &std::process::Output, log: &str) -> Value {
    assert!(output.status.success(), "{}: {log}", output.status);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}\n{log}");
    assert_eq!(summary["lamports_difference"], 0, "{summary:#}");
    assert_eq!(summary["replay_matches"], true, "{summary:#}");
    summary
}

/// What the chain knows of its launches: mint to kind.
fn truth(chain: &Chain) -> BTreeMap<String, String> {
    let address = chain.url.trim_start_matches("http://").trim_end_matches('/');
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"localnet_info","params":[]}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json = answer.get(answer.find('{').unwrap()..=answer.rfind('}').unwrap()).unwrap();
    let answer: Value = serde_json::from_str(json).unwrap();
    let launches = answer["result"]["launches"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    launches.iter().map(|one| (text(&one["mint"]), text(&one["kind"]))).collect()
}

/// The mint that a line of the log names.
fn mint_in(line: &str) -> Option<&str> {
    line.split_once("mint=")?.1.split_ascii_whitespace().next()
}

#[test]
fn sound_coins_alone_are_bought_and_every_lamport_of_rent_is_booked() {
    let chain = Chain::start(&["--launch-every", "1500ms"]);
    let data = tempfile::tempdir().unwrap();
    let output = engine(&chain, data.path(), "30s").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary = summary(&output, &log);
    let truth = truth(&chain);
    let judged = |word: &'static str| {
        log.lines().filter(move |line| line.contains(word)).filter_map(mint_in)
    };
    for mint in judged("token judged safe") {
        assert_eq!(truth.get(mint).map(String::as_str), Some("sound"), "{mint}\n{log}");
    }
    let unsound = |mint: &&str| truth.get(*mint).is_some_and(|kind| kind != "sound");
    assert!(judged("token not bought").any(|mint| unsound(&mint)), "{log}");
    let launches = &summary["launches"];
    assert!(launches["judged"].as_u64().unwrap() >= 5, "{launches}");
    assert!(launches["announced"].as_u64().unwrap() >= 1, "{launches}");
    let strategies = summary["strategies"].as_array().unwrap();
    let new_pool = strategies.iter().find(|one| one["name"] == "new_pool").unwrap();
    assert!(new_pool["landed"].as_u64().unwrap() >= 1, "{summary:#}\n{log}");
    assert!(summary["latency_us"]["launch.verdict"]["count"].as_u64().unwrap() >= 5);
}

#[test]
fn a_coin_that_is_held_when_the_engine_dies_is_followed_and_sold_by_the_next_run() {
    let chain = Chain::start(&["--launch-every", "1500ms"]);
    let data = tempfile::tempdir().unwrap();
    let mut child = engine(&chain, data.path(), "90s").spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // An order that makes an account of ours has bought a coin which we did not hold before.
    let bought = |line: &String| {
        let rent = line.split_once(" rent=").map(|(_, rest)| rest.trim());
        line.contains("order landed") && rent.is_some_and(|rent| !rent.starts_with("0"))
    };
    let seen = lines.map_while(Result::ok).any(|line| bought(&line));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "no coin was bought in 90 s");
    let output = engine(&chain, data.path(), "25s").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary = summary(&output, &log);
    assert!(log.contains("a coin of an earlier run is followed again"), "{log}");
    // Judged by the pool that trades it, and not by those of the configuration, which know nothing of it: else it would be
    // sold for want of an answer.
    assert!(!log.contains("supply not known: not asked for"), "{log}");
    let strategies = summary["strategies"].as_array().unwrap();
    let new_pool = strategies.iter().find(|one| one["name"] == "new_pool").unwrap();
    // The purchase and its sale at the least: counts go on over restarts.
    assert!(new_pool["landed"].as_u64().unwrap() >= 2, "{summary:#}\n{log}");
}
