//! What `cargo xtask fuzz` makes of its flags and of what libFuzzer says.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use xtask::fuzz::{Outcome, parse_log, share, table};

const FINE: &str = "INFO: seed corpus: files: 12
#13\tINITED cov: 1208 ft: 2100 corp: 12/3411b exec/s: 0 rss: 50Mb
#2048\tpulse  cov: 1366 ft: 2400 corp: 40/9Kb exec/s: 1024 rss: 55Mb
Done 31250 runs in 2 second(s)
stat::number_of_executed_units: 31250
stat::average_exec_per_sec:     15625
stat::new_units_added:          28
";

const CRASHED: &str = "#13\tINITED cov: 1208 ft: 2100 corp: 12/3411b exec/s: 0 rss: 50Mb
thread '<unnamed>' panicked at src/targets/laws.rs:151:5:
artifact_prefix='/t/crashes/quote-clmm-'; Test unit written to /t/crashes/quote-clmm-crash-9fb0
Base64: AAAA
stat::number_of_executed_units: 96
stat::average_exec_per_sec:     0
";

#[test]
fn a_log_tells_executions_rate_edges_and_crashes() {
    let fine = parse_log(FINE);
    assert_eq!((fine.executions, fine.per_second, fine.edges), (31_250, 15_625, 1_366));
    assert_eq!(fine.crashes, Vec::<PathBuf>::new());
    let crashed = parse_log(CRASHED);
    assert_eq!(crashed.executions, 96);
    assert_eq!(crashed.crashes, [PathBuf::from("/t/crashes/quote-clmm-crash-9fb0")]);
}

#[test]
fn the_table_names_the_input_of_every_crash() {
    let crashes = vec![PathBuf::from("/t/crash-1")];
    let bad = Outcome { executions: 7, crashes, ..Outcome::default() };
    let shown = table(&[("mint", &Outcome::default()), ("draft", &bad)]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(lines[1].starts_with("mint") && lines[1].ends_with('0'), "{shown}");
    assert!(lines[2].starts_with("draft") && lines[2].ends_with('1'), "{shown}");
    assert_eq!(lines[3], "  crash: /t/crash-1");
}

#[test]
fn every_target_gets_its_share_and_at_least_a_second() {
    let minute = Duration::from_secs(60);
    assert_eq!(share(minute, 18, 2), Duration::from_secs(6));
    assert_eq!(share(minute, 1, 1), minute);
    assert_eq!(share(Duration::from_secs(3), 18, 2), Duration::from_secs(1));
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    for flags in [
        &["fuzz", "--fore", "60s"][..],
        &["fuzz", "--for", "soon"],
        &["fuzz", "--for", "0s"],
        &["fuzz", "--for", "-1s"],
        &["fuzz", "quickly"],
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask")).args(flags).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{flags:?}");
        assert!(!out.stderr.is_empty());
    }
}
