//! Bad days in short: what `cargo xtask chaos` shows at length.
#![cfg(feature = "localnet")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs one scenario of the short form and gives what it reports.
fn chaos(only: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .args(["chaos", "--short", "--json", "--only", only])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"));
    let all = report["scenarios"].as_array().unwrap().iter().all(|one| one["ok"] == true);
    let code = output.status.code().unwrap();
    assert_eq!(code, if all { 0 } else { 6 }, "the code says whether all held: {report:#}");
    report
}

#[track_caller]
fn held(report: &Value, name: &str) {
    let scenarios = report["scenarios"].as_array().unwrap();
    let scenario = scenarios.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(scenario["ok"], true, "{report:#}");
}

// How late reads become is measured by the full run: in seconds, on a machine that runs other tests, it says nothing.
#[test]
fn one_bad_endpoint_of_three_tells_no_reader_an_old_state_a_false_height_or_another_chain() {
    held(&chaos("reads"), "reads_true");
}

#[test]
fn after_every_disconnect_and_every_lost_endpoint_the_feed_knows_what_the_chain_knows() {
    let report = chaos("disconnects");
    held(&report, "disconnects");
    held(&report, "moved");
}

#[test]
fn a_storm_of_refusals_is_not_answered_by_a_storm_of_requests() {
    let report = chaos("storm");
    held(&report, "storm");
    held(&report, "storm_recovery");
}

#[test]
fn with_every_endpoint_away_nothing_is_ordered_and_nothing_is_lost() {
    held(&chaos("outage"), "outage_safe");
}

#[test]
fn while_endpoints_fail_in_turn_there_is_fresh_data_and_a_healthy_endpoint() {
    let report = chaos("availability");
    held(&report, "availability");
    assert!(report["availability"].as_f64().unwrap() >= 0.999);
}
