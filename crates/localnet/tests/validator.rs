//! The same questions to the real validator and to the local chain: answers have one shape.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Client, Net, Socket, quiet, runtime};
use serde_json::{Map, Value, json};

const ARCHIVE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/tools/solana-test-validator.xz");

/// A real validator, stopped when dropped.
struct Validator {
    child: Child,
    rpc: u16,
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Unpacks and starts the validator, or says why not.
fn start(folder: &Path) -> Result<Validator, String> {
    if !Path::new(ARCHIVE).exists() {
        return Err("../shared/tools/solana-test-validator.xz absent".into());
    }
    let program = folder.join("solana-test-validator");
    let unpacked = Command::new("xz")
        .args(["-dkc", ARCHIVE])
        .stdout(std::fs::File::create(&program).unwrap())
        .status()
        .map_err(|error| format!("xz absent ({error})"))?;
    assert!(unpacked.success());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    // Apart from the usual ports, so that two tests with a validator do not meet.
    let base = 30_000 + u16::try_from(std::process::id() % 400).unwrap() * 60;
    let range = format!("{}-{}", base + 10, base + 50);
    let port = |offset: u16| (base + offset).to_string();
    let child = Command::new(&program)
        .args(["--ledger", folder.join("ledger").to_str().unwrap()])
        .args(["--bind-address", "127.0.0.1", "--rpc-port", &port(0), "--faucet-port", &port(3)])
        .args(["--gossip-port", &port(4), "--dynamic-port-range", &range])
        .args(["--reset", "--quiet", "--limit-ledger-size", "10000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the validator does not start here ({error})"))?;
    Ok(Validator { child, rpc: base })
}

/// Names and types of an answer, values left out. A list is shown by its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("flag"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(values) => Value::Array(values.first().map(shape).into_iter().collect()),
        Value::Object(fields) => {
            let fields: Map<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect();
            Value::Object(fields)
        }
    }
}

/// What the local chain leaves out: figures of a cost model and a loader it does not have.
fn without_extras(mut value: Value) -> Value {
    let extras = [
        "costUnits",
        "loadedAccountsDataSize",
        "preBalances",
        "postBalances",
        "preTokenBalances",
        "postTokenBalances",
        "loadedAddresses",
    ];
    fn strip(value: &mut Value, names: &[&str]) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !names.contains(&name.as_str()));
                fields.values_mut().for_each(|value| strip(value, names));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| strip(value, names)),
            _ => {}
        }
    }
    strip(&mut value, &extras);
    value
}

fn questions(airdrop: &Value, wire: &Value) -> Vec<(&'static str, Value)> {
    const SYSTEM: &str = "11111111111111111111111111111111";
    const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    const SOL: &str = "So11111111111111111111111111111111111111112";
    const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
    let far = 1u64 << 62;
    let base64 = json!({"encoding": "base64"});
    let v0 = |encoding: &str| {
        json!({"maxSupportedTransactionVersion": 0, "encoding": encoding,
        "commitment": "confirmed"})
    };
    vec![
        ("getAccountInfo", json!([CLOCK, base64])),
        ("getAccountInfo", json!([CLOCK])),
        ("getAccountInfo", json!([SOL, {"encoding": "jsonParsed"}])),
        ("getAccountInfo", json!(["abc"])),
        ("getAccountInfo", json!([])),
        ("getAccountInfo", json!([SOL, {"minContextSlot": far}])),
        ("getMultipleAccounts", json!([[SOL, CLOCK, STRANGER]])),
        ("getMultipleAccounts", json!([vec![SOL; 101]])),
        ("getProgramAccounts", json!([TOKEN, {"encoding": "base64", "withContext": true}])),
        ("getProgramAccounts", json!([TOKEN, {"filters": vec![json!({"dataSize": 1}); 5]}])),
        ("getProgramAccounts", json!([TOKEN, {"filters": [{"x": 1}]}])),
        ("getBalance", json!([STRANGER])),
        ("getLatestBlockhash", json!([])),
        ("isBlockhashValid", json!([SYSTEM])),
        ("isBlockhashValid", json!(["zz"])),
        ("getSlot", json!([])),
        ("getBlockHeight", json!([])),
        ("getHealth", json!([])),
        ("getVersion", json!([])),
        ("getGenesisHash", json!([])),
        ("getIdentity", json!([])),
        ("getEpochInfo", json!([])),
        ("getTransactionCount", json!([])),
        ("getFirstAvailableBlock", json!([])),
        ("getMinimumBalanceForRentExemption", json!([165])),
        ("getTokenAccountsByOwner", json!([SYSTEM, {"programId": TOKEN}, base64])),
        ("getTokenAccountsByOwner", json!([SYSTEM, {"programId": SYSTEM}])),
        ("getTokenAccountBalance", json!([STRANGER])),
        ("getTokenAccountBalance", json!([SOL])),
        ("getTokenSupply", json!([SOL])),
        ("getTokenSupply", json!([SYSTEM])),
        ("getTokenSupply", json!([STRANGER])),
        ("getRecentPrioritizationFees", json!([])),
        ("getRecentPrioritizationFees", json!([vec![SOL; 129]])),
        ("getSignatureStatuses", json!([[airdrop]])),
        ("getSignatureStatuses", json!([["x"]])),
        ("getSignatureStatuses", json!([vec![airdrop; 257]])),
        ("getTransaction", json!([airdrop, v0("json")])),
        ("getTransaction", json!([airdrop, v0("base64")])),
        ("getTransaction", json!([airdrop, {"commitment": "processed"}])),
        ("getSignaturesForAddress", json!([SYSTEM, {"limit": 5_000}])),
        ("sendTransaction", json!(["!!", base64])),
        ("sendTransaction", json!(["AAAA", base64])),
        ("sendTransaction", json!(["A".repeat(1_700), base64])),
        ("sendTransaction", json!([wire, {"encoding": "base64", "minContextSlot": far}])),
        (
            "simulateTransaction",
            json!([wire, {"encoding": "base64", "sigVerify": true,
            "replaceRecentBlockhash": true}]),
        ),
        (
            "simulateTransaction",
            json!([wire, {"encoding": "base64", "commitment": "confirmed",
            "replaceRecentBlockhash": true}]),
        ),
        ("simulateTransaction", json!([wire, {"encoding": "base64", "commitment": "confirmed"}])),
        (
            "simulateTransaction",
            json!([wire, {"encoding": "base64", "commitment": "confirmed",
            "replaceRecentBlockhash": true,
            "accounts": {"encoding": "base64", "addresses": [STRANGER]}}]),
        ),
        ("getFeeForMessage", json!(["AAAA"])),
        ("noSuchMethod", json!([])),
    ]
}

const STRANGER: &str = "9aE476sH92Vz7DMPyq5WLPkrKWivxeuTKEFKd2sZZcde";
const FUNDED: &str = "8opHzTAnfzRpPEx21XtnrVTX28YQuCpAjcn1PczScKh";

/// Asks everything and gives the answers' shapes; of an error, code and words too.
async fn ask(client: &Client) -> Vec<(String, Value)> {
    let airdrop = client.ok("requestAirdrop", json!([FUNDED, 1_000_000_000u64])).await;
    client.wait_for(airdrop.as_str().unwrap(), "confirmed").await;
    let config = json!({"encoding": "base64", "commitment": "confirmed"});
    let found = client.ok("getTransaction", json!([airdrop, config])).await;
    let mut answers = Vec::new();
    for (method, params) in questions(&airdrop, &found["transaction"][0]) {
        let mut asked = format!("{method} {params}");
        asked.truncate(110);
        let answer = match client.call(method, params).await {
            Ok(value) => json!({"result": shape(&value)}),
            Err(error) => json!({
                "code": error["code"],
                "words": error["message"],
                "data": shape(&error["data"]),
            }),
        };
        answers.push((asked, without_extras(answer)));
    }
    answers
}

/// One notification of each kind that needs no transaction of a known form.
async fn hear(client: &Client, url: &str) -> Vec<(String, Value)> {
    let mut socket = Socket::open(url).await;
    let base64 = json!({"encoding": "base64", "commitment": "processed"});
    let subscriptions = [
        ("slotSubscribe", json!([])),
        ("rootSubscribe", json!([])),
        ("accountSubscribe", json!([FUNDED, base64])),
        ("logsSubscribe", json!([{"mentions": [FUNDED]}, {"commitment": "processed"}])),
    ];
    let mut heard = Vec::new();
    let mut ids = Vec::new();
    for (method, params) in subscriptions {
        ids.push((method, socket.subscribe(method, params).await));
    }
    client.ok("requestAirdrop", json!([FUNDED, 2_000_000_000u64])).await;
    for (method, id) in ids {
        let (name, result) = socket.notification(id).await;
        heard.push((method.to_owned(), json!({"method": name, "result": shape(&result)})));
    }
    for (method, params) in [
        ("slotUnsubscribe", json!([1u64 << 40])),
        ("logsSubscribe", json!([{"mentions": [FUNDED, FUNDED]}])),
        ("noSuchSubscribe", json!([])),
    ] {
        let error = socket.call(method, params).await.unwrap_err();
        heard.push((method.to_owned(), json!([error["code"], error["message"]])));
    }
    heard
}

#[test]
fn the_local_chain_answers_in_the_shape_and_the_words_of_the_real_validator() {
    let folder = tempfile::tempdir().unwrap();
    let validator = match start(folder.path()) {
        Ok(validator) => validator,
        Err(reason) => {
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {reason}\n"))
                .ok();
            return;
        }
    };
    let net = Net::start(quiet(100));
    runtime().block_on(async {
        let real = Client::new(&format!("http://127.0.0.1:{}", validator.rpc));
        let until = Instant::now() + Duration::from_secs(60);
        while !real.is_healthy().await {
            assert!(Instant::now() < until, "the validator is not healthy after a minute");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let ours = net.client();
        let (theirs, answers) = (ask(&real).await, ask(&ours).await);
        let ws = format!("ws://127.0.0.1:{}", validator.rpc + 1);
        let theirs = [theirs, hear(&real, &ws).await].concat();
        let answers = [answers, hear(&ours, &net.ready.ws_urls[0]).await].concat();
        let mut differences = Vec::new();
        for ((asked, want), (_, got)) in theirs.iter().zip(&answers) {
            if want != got {
                differences.push(format!("{asked}\n  real {want}\n  ours {got}"));
            }
        }
        let count = theirs.len();
        assert_eq!(count, answers.len());
        assert!(differences.is_empty(), "of {count}:\n{}", differences.join("\n"));
        println!("{count} answers and notifications agree");
    });
}
