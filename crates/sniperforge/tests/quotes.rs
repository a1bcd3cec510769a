//! Quotes of the whole program on a local chain, beside those of a service.
#![cfg(feature = "localnet")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod local;

use std::process::{Command, Stdio};

use local::{BINARY, Chain, paper_config};
use serde_json::Value;

#[test]
fn a_quote_names_its_route_its_bound_and_the_difference_to_a_service() {
    let chain = Chain::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let config = paper_config(&chain, folder.path());
    let mint = |symbol: &str| {
        let mints = chain.ready["mints"].as_array().unwrap();
        let found = mints.iter().find(|mint| mint["symbol"] == symbol);
        found.unwrap_or_else(|| panic!("no {symbol}"))["address"].as_str().unwrap().to_owned()
    };
    let run = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("quote").args(args).arg("-c").arg(&config).stdin(Stdio::null());
        command.output().unwrap()
    };
    let (sol, usdc) = (mint("SOL"), mint("USDC"));
    let args = ["--in", &sol, "--out", &usdc, "--amount", "1.5", "--slippage-bps", "100"];
    let service_args = ["--compare", "jupiter", "--compare-url", &chain.url, "--json"];
    let output = run(&[&args[..], &service_args[..]].concat());
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    let quote: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |field: &str| quote[field].as_u64().unwrap_or_else(|| panic!("{field}: {quote}"));
    assert_eq!(number("amount_in"), 1_500_000_000);
    let (out, least) = (number("amount_out"), number("min_out"));
    assert_eq!(least, (u128::from(out) * 9_900).div_ceil(10_000) as u64, "{quote:#}");
    let hops = quote["hops"].as_array().unwrap();
    assert_eq!(
        (&hops[0]["mint_in"], hops[0]["amount_in"].as_u64()),
        (&sol.clone().into(), Some(1_500_000_000))
    );
    assert_eq!(hops.last().unwrap()["amount_out"].as_u64(), Some(out));
    assert!(
        hops.iter().all(|hop| hop["kind"] == "Raydium CPMM" || hop["kind"] == "Orca Whirlpool")
    );
    if let Some(split) = quote["split"].as_object() {
        assert!(
            split["amount_out"].as_u64().unwrap() > out,
            "a split that is no better is not told"
        );
    }
    // The chain's own aggregator, over the same pools and by arithmetic of its own; somebody may trade in between.
    let compared = &quote["compared"];
    let theirs = compared["amount_out"].as_u64().unwrap();
    let difference = compared["difference_bps"].as_f64().unwrap();
    let expected = (out as f64 - theirs as f64) * 1e4 / theirs as f64;
    assert!((difference - expected).abs() < 1e-6, "{difference} {expected}");
    assert!(difference.abs() < 100.0, "{quote:#}");

    let nowhere = ["--compare", "jupiter", "--compare-url", "http://127.0.0.1:1/secret"];
    let output = run(&[&args[..], &nowhere[..]].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("jupiter: order: connection failed"), "{message}");
    assert!(!message.contains("secret"), "{message}");

    for (args, words) in [
        (vec!["--in", &sol, "--out", &sol, "--amount", "1"], "name two mints"),
        (vec!["--in", &sol, "--out", "NOPE", "--amount", "1"], "NOPE"),
        (vec!["--in", &sol, "--out", &usdc, "--amount", "1.0000000001"], "9 decimals"),
        (vec!["--in", &sol, "--out", &usdc, "--amount", "18446744073.7"], "no route"),
    ] {
        let output = run(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(words) && message.lines().count() == 1, "{words}: {message}");
        assert!(output.stdout.is_empty());
    }
}
