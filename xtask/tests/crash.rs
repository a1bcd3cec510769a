//! A few kills of the run that `cargo xtask crash` makes at length.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;

use xtask::crash::{Plan, Report, run};

/// The program that this build made, if it made it. With `--features sniperforge/failpoints` it can be told where to die.
fn binary() -> Option<PathBuf> {
    // Tests lie in a folder beside the programs.
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    Some(folder.join("sniperforge")).filter(|binary| binary.exists())
}

#[test]
fn engines_that_are_killed_come_back_with_a_ledger_equal_to_the_chain() {
    let Some(binary) = binary() else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: the program that is to be killed is absent\n",
        )
        .unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("crash");
    let plan = Plan { binary, kills: 5, seed: 3, slot_ms: 200, folder: data };
    let report: Report = run(&plan).unwrap();
    assert!(report.holds(), "{report:?}");
    assert_eq!((report.kills, report.recovered, report.differences), (5, 5, 0));
    assert!(report.median_recovery_seconds > 0.0);
    if !report.points.is_empty() {
        assert!(
            report.points.values().sum::<u32>() > 0,
            "it died where it was told to: {report:?}"
        );
    }
}

#[test]
fn a_binary_that_is_none_and_no_kill_at_all_are_refused() {
    for (flags, code) in [
        (&["crash", "--kills", "0"][..], 2),
        (&["crash", "--kills", "many"], 2),
        (&["crash", "--binary", "/nonexistent"], 1),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask")).args(flags).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{flags:?}");
        assert!(!out.stderr.is_empty());
    }
}
