//! `demo --faults` in short.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn amid_bad_endpoints_lost_transactions_and_forks_the_ledger_stays_the_chains() {
    let output = Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .args(["demo", "--faults", "--headless", "--json", "--seed", "3", "--for", "40s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(summary["ledger_matches_chain"], true, "{summary:#}\n{log}");
    assert_eq!(summary["lamports_difference"], 0);
    assert_eq!((&summary["replay_matches"], &summary["explained"]), (&true.into(), &0.into()));
    assert!(log.contains("from here on the chain forks and loses transactions"), "{log}");
    let of = |counts: &Value, name: &str| counts[name].as_u64().unwrap();
    let orders = &summary["orders"];
    assert!(of(orders, "landed") > 0, "{summary:#}");
    // Each order has one end, and a landing that a fork took back is none.
    let ends = ["landed", "reverted", "expired", "rejected"].map(|end| of(orders, end));
    assert_eq!(ends.iter().sum::<u64>(), of(orders, "submitted"), "{summary:#}");
    for end in ["landed", "reverted"] {
        let strategies = summary["strategies"].as_array().unwrap();
        let sum: u64 = strategies.iter().map(|strategy| of(strategy, end)).sum();
        assert_eq!(sum, of(orders, end), "{end}: {summary:#}");
    }
    assert_eq!(output.status.code(), Some(0), "{log}");
}
