//! The bench in short: its form, and what holds on any machine.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .arg("bench")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_local_bench_tells_every_arm_with_the_machine_and_its_code_says_whether_all_held() {
    let output = bench(&["--local", "--for", "4s", "--json"]);
    let log = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    let rows = report["rows"].as_array().unwrap();
    let row = |metric: &str| {
        rows.iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("{metric}"))
    };
    for arm in ["rpc.one", "rpc.all", "rpc.hedged", "ws.one", "ws.all", "poll.one", "poll.all"] {
        assert!(row(&format!("{arm}.count"))["value"].as_f64().unwrap() >= 10.0, "{report:#}");
        assert_eq!(row(&format!("{arm}.failed"))["value"], 0.0, "{report:#}");
        let at = |percent| row(&format!("{arm}.p{percent}"))["value"].as_f64().unwrap();
        assert!(at(50) <= at(95) && at(95) <= at(99), "{report:#}");
    }
    // Who asks every tenth of a second knows of a slot later than who is told, on any machine.
    assert_eq!(row("ws.all_to_poll_all.p50")["ok"], true, "{report:#}");
    assert_eq!(row("rpc.hedged.extra_requests")["ok"], true, "{report:#}");
    for row in rows.iter().filter(|row| !row["limit"].is_null()) {
        let (value, limit) = (row["value"].as_f64().unwrap(), row["limit"].as_f64().unwrap());
        assert_eq!(row["ok"], value <= limit, "{row}");
        assert!((row["ratio_to_limit"].as_f64().unwrap() - value / limit).abs() < 1e-9, "{row}");
    }
    let held = rows.iter().all(|row| row["ok"] == true);
    assert_eq!(output.status.code(), Some(if held { 0 } else { 6 }));
}

#[test]
fn without_endpoints_or_with_a_span_that_is_none_nothing_is_measured() {
    for (args, words) in [
        (&[][..], "--local"),
        (&["--local", "--for", "1s"], "from 3s to 10m"),
        (&["disk", "--local"], "disk"),
        (&["--local", "-c", "a.toml"], "leave out -c"),
    ] {
        let output = bench(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
