//! A client that nobody here wrote reads, subscribes, sends and confirms.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Net, quiet};
use serde_json::{Value, json};
use sniper_localnet::cpmm::PROGRAM_ID;

const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// Installs the client into a copy of its folder, or says why not.
fn install(folder: &Path) -> Result<(), String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    for name in ["package.json", "package-lock.json", "client.mjs"] {
        std::fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).current_dir(folder).output()
    };
    run("node", &["--version"]).map_err(|error| format!("node absent ({error})"))?;
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"];
    let installed = run("npm", &install).map_err(|error| format!("npm absent ({error})"))?;
    if installed.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&installed.stderr).into_owned();
    let offline =
        ["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH", "ECONNRESET"];
    if offline.iter().any(|code| said.contains(code)) {
        return Err("the packages cannot be fetched (no network)".into());
    }
    panic!("npm ci failed: {said}");
}

#[test]
fn the_javascript_client_reads_subscribes_sends_and_confirms() {
    let folder = tempfile::tempdir().unwrap();
    if let Err(reason) = install(folder.path()) {
        std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {reason}\n")).ok();
        return;
    }
    let net = Net::start(quiet(100));
    let output = Command::new("node")
        .args(["client.mjs", &net.ready.rpc_urls[0], USDC, &PROGRAM_ID.to_string()])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let saw: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{saw}");
    assert_eq!(saw["genesis"], json!(net.ready.genesis_hash));
    assert_eq!(saw["funded"], 3_000_000_000u64);
    assert_eq!(saw["sent"]["err"], Value::Null);
    assert_eq!(saw["sentVersioned"]["err"], Value::Null);
    assert_eq!(saw["simulated"], Value::Null);
    assert_eq!(saw["left"], 3_000_000_000u64 - 1_500_000_000 - 2 * 5_000);
    assert_eq!(saw["friend"], 1_500_000_000);
    let told = saw["seen"]["accounts"].as_array().unwrap();
    let lamports: Vec<_> = told.iter().map(|one| one["lamports"].as_u64().unwrap()).collect();
    assert_eq!(lamports, [1_000_000_000, 1_500_000_000]);
    assert_eq!(saw["seen"]["logs"], 2);
    assert_eq!((&saw["fee"], &saw["feeForMessage"]), (&json!(5_000), &json!(5_000)));
    assert_eq!(saw["parsedKeys"], 3);
    assert!(saw["status"] == "confirmed" || saw["status"] == "finalized");
    assert_eq!(saw["history"], 2);
    assert_eq!((&saw["decimals"], &saw["mintType"]), (&json!(6), &json!("mint")));
    assert_eq!(saw["pools"], net.ready.pools.len());
    let refused = saw["refused"].as_str().unwrap();
    assert!(refused.contains("already been processed"), "{refused}");
}
