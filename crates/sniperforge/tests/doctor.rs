//! What the doctor says of endpoints that are each wrong in their own way, before one chain.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use local::{BINARY, Chain};
use serde_json::Value;
use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, Script, Step};

/// A proxy before the first port of the chain.
async fn before(chain: &Chain, steps: Vec<Step>) -> FaultProxy {
    let url = |list: &str| chain.ready[list][0].as_str().unwrap().to_owned();
    let config = ProxyConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        http: url("rpcUrls"),
        ws: url("wsUrls"),
        script: Script { seed: 5, steps },
    };
    FaultProxy::start(config).await.unwrap()
}

fn only(fault: Fault, methods: &[&str], share: f64) -> Vec<Step> {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    vec![Step { methods, share, ..Step::always(fault) }]
}

fn doctor(folder: &Path, endpoints: &[(&str, String, String)], more: &[&str]) -> Output {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(name, http, ws)| {
            format!("{{ name = '{name}', http = '{http}', ws = '{ws}', requests_per_second = 40 }}")
        })
        .collect();
    let text = format!(
        "[node]\nendpoints = [{}]\n[trading]\npools = ['So11111111111111111111111111111111111111112']\n",
        endpoints.join(", ")
    );
    std::fs::write(folder.join("a.toml"), text).unwrap();
    Command::new(BINARY)
        .args(["doctor", "-c", "a.toml"])
        .args(more)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_is_judged_by_what_is_wrong_with_it_and_told_what_to_do() {
    let chain = Chain::start(&[]);
    let late = Fault::Delay(Duration::from_millis(400));
    let notices = ["slotNotification", "accountNotification"];
    let proxies = [
        ("late", before(&chain, only(late, &notices, 1.0)).await),
        ("behind", before(&chain, only(Fault::StaleSlot(100), &[], 1.0)).await),
        ("tight", before(&chain, only(Fault::TooManyRequests(None), &["getSlot"], 0.3)).await),
        ("tall", before(&chain, only(Fault::InflatedHeight(1_000_000), &[], 1.0)).await),
        ("other", before(&chain, only(Fault::WrongGenesis, &[], 1.0)).await),
        ("mute", before(&chain, only(Fault::Reset, &["upgrade"], 1.0)).await),
        (
            "slow",
            before(&chain, only(Fault::Delay(Duration::from_millis(600)), &["getBalance"], 1.0))
                .await,
        ),
    ];
    let url = |list: &str| chain.ready[list][0].as_str().unwrap().to_owned();
    let mut endpoints = vec![("plain", url("rpcUrls"), url("wsUrls"))];
    endpoints.extend(proxies.iter().map(|(name, proxy)| (*name, proxy.http_url(), proxy.ws_url())));
    endpoints.push((
        "gone",
        "http://127.0.0.1:1/hunter2".into(),
        "ws://127.0.0.1:1/hunter2".into(),
    ));

    let folder = tempfile::tempdir().unwrap();
    let output = doctor(folder.path(), &endpoints, &["--json", "--for", "8s"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{log}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = found["endpoints"].as_array().unwrap();
    assert_eq!(rows.len(), endpoints.len());
    let says = |name: &str, verdict: &str, words: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["verdict"], verdict, "{row:#}");
        let advice = row["advice"].to_string();
        assert!(advice.contains(words), "{name}: {words:?} is not in {advice}");
    };
    says("plain", "good", "");
    says("late", "usable", "ms after the first");
    says("behind", "refuse", "slots behind");
    says("tight", "usable", "requests_per_second");
    says("tall", "refuse", "cannot be true");
    says("other", "refuse", "wrong chain");
    says("mute", "refuse", "no notices");
    says("slow", "usable", "getBalance takes");
    says("gone", "refuse", "cannot be reached");

    let plain = &rows[0];
    assert_eq!((&plain["http"], &plain["batch"]), (&"HTTP/1.1".into(), &true.into()), "{plain:#}");
    assert!(plain["feed"]["slots"].as_u64().unwrap() >= 3, "{plain:#}");
    assert!(plain["feed"]["account_notices"].as_u64().unwrap() >= 3, "{plain:#}");
    for method in plain["methods"].as_array().unwrap() {
        assert_eq!(method["failed"], 0, "{method}");
        let at = |p: &str| method[p].as_f64().unwrap();
        assert!(at("p50_ms") <= at("p95_ms") && at("p95_ms") <= at("p99_ms"), "{method}");
    }
    let checks = found["checks"].as_array().unwrap();
    let check = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    for name in ["disk", "open files", "core dumps", "kill latch", "clock", "endpoint plain"] {
        assert_eq!(check(name)["ok"], true, "{name}: {checks:#?}");
    }
    assert_eq!(check("endpoint gone")["ok"], false);
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("hunter2") && !log.contains("hunter2")
    );
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("127.0.0.1"),
        "names, never addresses"
    );
}

#[test]
fn where_all_is_well_the_doctor_says_so_and_a_killed_engine_is_not_well() {
    let chain = Chain::start(&["--port", "0"]);
    let of = |list: &str, nth: usize| chain.ready[list][nth].as_str().unwrap().to_owned();
    let named = [("first", 0), ("second", 1)];
    let endpoints = named.map(|(name, nth)| (name, of("rpcUrls", nth), of("wsUrls", nth)));
    let folder = tempfile::tempdir().unwrap();
    let output = doctor(folder.path(), &endpoints, &["--for", "3s"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for words in
        ["ok    endpoint first", "getMultipleAccounts", "add a third", "genesis_hash is not set"]
    {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let killed = Command::new(BINARY)
        .args(["kill", "--reason", "a test", "-c", "a.toml"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(killed.success());
    let output = doctor(folder.path(), &[], &["--for", "3s"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stdout).contains("engaged (a test)"));
}
