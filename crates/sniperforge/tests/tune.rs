//! `tune` before one chain: it finds the slow endpoint and the one that lags, and what it writes holds.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod local;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use local::{BINARY, Chain};
use serde_json::{Value, json};
use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, Script, Step};

const LAYER: &str = "data/tuned.toml";

async fn before(chain: &Chain, fault: Fault) -> FaultProxy {
    let url = |list: &str| chain.ready[list][0].as_str().unwrap().to_owned();
    let config = ProxyConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        http: url("rpcUrls"),
        ws: url("wsUrls"),
        script: Script { seed: 5, steps: vec![Step::always(fault)] },
    };
    FaultProxy::start(config).await.unwrap()
}

fn configure(folder: &Path, endpoints: &[(&str, String, String)]) {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(name, http, ws)| {
            format!(
                "{{ name = '{name}', http = '{http}', ws = '{ws}', requests_per_second = 200 }}"
            )
        })
        .collect();
    let text = format!("[node]\nendpoints = [{}]\n", endpoints.join(", "));
    std::fs::write(folder.join("a.toml"), text).unwrap();
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .args(["-c", "a.toml"])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn left_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("data")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_and_the_lagging_endpoint_are_found_and_moved_off_and_what_is_written_holds() {
    let chain = Chain::start(&["--port", "0"]);
    let slow = before(&chain, Fault::Delay(Duration::from_millis(150))).await;
    let lagging = before(&chain, Fault::StaleSlot(20)).await;
    let of = |list: &str, nth: usize| chain.ready[list][nth].as_str().unwrap().to_owned();
    let gone = "http://127.0.0.1:1/hunter2".to_owned();
    let endpoints = [
        ("sluggish", slow.http_url(), slow.ws_url()),
        ("one", of("rpcUrls", 0), of("wsUrls", 0)),
        ("behind", lagging.http_url(), lagging.ws_url()),
        ("two", of("rpcUrls", 1), of("wsUrls", 1)),
        ("gone", gone.clone(), gone.replace("http", "ws")),
    ];
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &endpoints);
    let output = run(folder.path(), &["tune", "--json", "--for", "24s"]);
    let all = told(&output);
    assert_eq!(output.status.code(), Some(0), "{all}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!all.contains("hunter2") && !all.contains("127.0.0.1"), "names, never addresses");

    let endpoint = |name: &str| {
        let rows = found["latency"]["endpoints"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    for (name, reachable, slow, lagging) in [
        ("sluggish", true, true, true), // its notices are late as well
        ("behind", true, false, true),
        ("one", true, false, false),
        ("two", true, false, false),
        ("gone", false, false, false),
    ] {
        let row = endpoint(name);
        let verdict = (&row["reachable"], &row["slow"], &row["lagging"]);
        assert_eq!(verdict, (&json!(reachable), &json!(slow), &json!(lagging)), "{row:#}");
    }
    assert!(endpoint("gone")["why"].as_str().unwrap().contains("cannot be reached"));
    assert!(endpoint("behind")["lag_slots"].as_u64().unwrap() >= 18, "{:#}", endpoint("behind"));

    let text = std::fs::read_to_string(folder.path().join(LAYER)).unwrap();
    let layer: toml::Value = toml::from_str(&text).unwrap();
    let reserves = layer["node"]["reserves"].as_array().unwrap();
    let mut names: Vec<_> = reserves.iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["behind", "sluggish"], "{text}");
    assert!(text.contains("# reserves: before []") && text.contains("reads, mean"), "{text}");
    assert_eq!(left_in(folder.path()), ["tuned.toml"], "what was measured in is removed");
    // One at a time, each measured beside what held.
    let trials = found["latency"]["trials"].as_array().unwrap();
    let moves: Vec<_> = trials.iter().filter(|trial| trial["setting"] == "node.reserves").collect();
    assert_eq!(moves.len(), 2, "{trials:#?}");
    assert_eq!(moves[0]["to"].as_array().unwrap().len(), 1);
    assert_eq!(moves[1]["from"], moves[0]["to"]);

    let shown = run(folder.path(), &["show-config"]);
    assert_eq!(shown.status.code(), Some(0), "{}", told(&shown));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = shown.lines().find(|line| line.starts_with("reserves = ")).unwrap();
    assert!(line.contains("sluggish") && line.contains(&format!("{LAYER}:")), "{line}");

    let reset = run(folder.path(), &["tune", "--reset"]);
    assert_eq!(reset.status.code(), Some(0), "{}", told(&reset));
    assert!(left_in(folder.path()).is_empty());
    let shown = run(folder.path(), &["show-config"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("reserves = []"));
}

#[test]
fn a_dry_run_prints_and_writes_nothing_and_what_the_environment_sets_is_left() {
    let chain = Chain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let of = |list: &str| chain.ready[list][0].as_str().unwrap().to_owned();
    configure(folder.path(), &[("only", of("rpcUrls"), of("wsUrls"))]);
    let output = Command::new(BINARY)
        .args(["tune", "--dry-run", "--for", "20s", "-c", "a.toml"])
        .current_dir(folder.path())
        .env_clear()
        .env("SNIPERFORGE__STORE__TABLE_BATCH", "300")
        .output()
        .unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "only",
        "not tunable here: worker threads",
        "not tunable here: hedging delay: one endpoint",
        "not tunable here: store.table_batch: the environment sets it",
        "store.cached_answers: 8 -> 16",
        "MALLOC_ARENA_MAX",
        "nothing was written",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(left_in(folder.path()).is_empty());
}

#[test]
fn without_any_endpoint_that_answers_and_over_a_foreign_layer_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dead = |nth: u8| format!("://127.0.0.1:{nth}/hunter2");
    let endpoint = |name, nth| (name, format!("http{}", dead(nth)), format!("ws{}", dead(nth)));
    configure(folder.path(), &[endpoint("first", 1), endpoint("second", 2)]);
    let output = run(folder.path(), &["tune", "--for", "20s"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in ["no endpoint can be used", "first cannot be reached", "second cannot", "doctor"] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!text.contains("hunter2") && !folder.path().join("data").exists(), "{text}");

    let layer = folder.path().join(LAYER);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for (foreign, words) in [
        ("[risk]\nopen_orders = 1000\n", "not written by"),
        (
            "# SniperForge: settings that `sniperforge tune` has measured, format 1.\n[risk]\nopen_orders = 1000\n\
             # End of what was measured.\n",
            "sets risk.open_orders, which it must never set",
        ),
    ] {
        std::fs::write(&layer, foreign).unwrap();
        for command in [&["tune"][..], &["show-config"], &["status"]] {
            let output = run(folder.path(), command);
            let text = told(&output);
            assert_eq!(output.status.code(), Some(4), "{command:?}: {text}");
            assert!(text.contains(words) && text.contains(LAYER), "{text}");
        }
        assert_eq!(std::fs::read_to_string(&layer).unwrap(), foreign);
    }
    std::fs::write(folder.path().join("a.toml"), "").unwrap();
    std::fs::remove_file(&layer).unwrap();
    assert_eq!(run(folder.path(), &["tune"]).status.code(), Some(2), "there is nothing to tune");
}
