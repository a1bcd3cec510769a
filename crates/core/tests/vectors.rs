//! Every pool kind against what its own program and SDK do, by the runner behind the `verify` command.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "the runner is a module of another crate, and a test may panic"
)]

use std::path::PathBuf;

#[path = "../../sniperforge/src/verify/mod.rs"]
mod verify;

/// Runs one folder of reference vectors; says so where the reference data is absent.
fn run(venue: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !folder.is_dir() {
        let line = format_args!("skipped: no reference vectors beside the checkout ({venue})\n");
        std::io::Write::write_fmt(&mut std::io::stderr(), line).ok();
        return;
    }
    let report = verify::run(&folder.join(venue)).unwrap();
    let shown: Vec<_> = report.failures.iter().take(12).collect();
    for (group, counts) in &report.by_group {
        println!("{group}: {counts:?}");
    }
    assert!(report.failures.is_empty(), "{} failed, the first of them: {shown:#?}", report.failed);
    assert!(report.passed > 0 && report.passed + report.skipped == report.cases, "{report:?}");
}

#[test]
fn raydium_cpmm_does_what_its_program_does() {
    run("raydium_cpmm");
}

#[test]
fn raydium_amm_v4_does_what_its_program_does() {
    run("raydium_amm_v4");
}

#[test]
fn raydium_clmm_does_what_its_program_does() {
    run("raydium_clmm");
}

#[test]
fn whirlpool_does_what_its_program_does() {
    run("whirlpool");
}

#[test]
fn meteora_dlmm_does_what_its_program_does() {
    run("meteora_dlmm");
}

#[test]
fn pumpswap_does_what_its_sdk_does() {
    run("pumpswap");
}

#[test]
fn the_pump_curve_does_what_its_sdk_does() {
    run("pump_curve");
}
