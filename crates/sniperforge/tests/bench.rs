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

fn report(output: &Output) -> Value {
    let log = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {log}"))
}

/// What holds of every report: rows that add up, and an exit code that says whether all is ok.
fn adds_up(output: &Output, report: &Value) {
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        let number = |name: &str| row[name].as_f64();
        if row["value"].is_null() {
            assert_eq!(row["verdict"], "not_measured", "{row}");
            assert!(!row["why"].as_str().unwrap().is_empty(), "{row}");
            continue;
        }
        let at_most = row["side"] == "at_most";
        let of = |value: f64, other: f64| if at_most { value / other } else { other / value };
        if let (Some(value), Some(limit), Some(ratio)) =
            (number("value"), number("limit"), number("ratio_to_limit"))
            && limit > 0.0
        {
            assert!((ratio - of(value, limit)).abs() < 1e-6 * ratio.max(1.0), "{row}");
        }
        if let (Some(value), Some(floor), Some(ratio)) =
            (number("value"), number("floor"), number("ratio_to_floor"))
        {
            assert!((ratio - of(value, floor)).abs() < 1e-6 * ratio.max(1.0), "{row}");
        }
        let over = number("ratio_to_limit").is_some_and(|ratio| ratio > 1.0);
        match row["verdict"].as_str().unwrap() {
            "ok" => assert!(!over && row["ok"] == true, "{row}"),
            "missed" => assert_eq!(row["ok"], false, "{row}"),
            "told" => assert!(row["limit"].is_null() && row["ok"] == true, "{row}"),
            "not_judged" => assert_eq!(report["machine"]["build"], "debug", "{row}"),
            other => panic!("{other}: {row}"),
        }
    }
    let held = rows.iter().all(|row| row["ok"] == true);
    assert_eq!(output.status.code(), Some(if held { 0 } else { 6 }));
}

#[test]
fn a_local_bench_tells_every_arm_with_the_machine_and_its_code_says_whether_all_held() {
    let output = bench(&["rpc", "ws", "--local", "--for", "4s", "--json"]);
    let report = report(&output);
    // What a group measured is told as soon as it has: a run can be cut off.
    let told = String::from_utf8_lossy(&output.stderr);
    let of_group = |name: &str| {
        told.lines()
            .find(|line| line.starts_with(&format!("{name}: ")))
            .unwrap_or_else(|| panic!("{told}"))
    };
    assert!(of_group("rpc").contains(" figures in ") && of_group("ws").contains(" figures in "));
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
    for name in ["rpc.read.p50", "rpc.read.failed"] {
        // Beside its floor, and without a figure only where that was dirty.
        let row = row(name);
        let why = row["why"].as_str().unwrap_or_default();
        assert!(row["value"].is_number() || why.contains("the floor was dirty"), "{row}");
    }
    // The limits of the arms are of behaviour, and held in any build.
    let held = rows.iter().filter(|row| !row["limit"].is_null() && row["value"].is_number());
    for row in held {
        let (value, limit) = (row["value"].as_f64().unwrap(), row["limit"].as_f64().unwrap());
        assert_eq!(row["ok"], value <= limit, "{row}");
    }
    adds_up(&output, &report);
}

#[test]
fn the_groups_of_this_process_give_every_row_with_its_floor_or_say_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let groups = ["signals", "quote", "scan", "db", "journal", "backtest"];
    let mut args = groups.to_vec();
    args.extend(["--for", "3s", "--json", "--html", page.to_str().unwrap()]);
    let output = bench(&args);
    let report = report(&output);
    let rows = report["rows"].as_array().unwrap();
    let metrics = [
        "signals.trend.signal.p99",
        "signals.arbitrage.decision.p99",
        "signals.together.p99",
        "signals.sizing.p99",
        "signals.risk.p99",
        "signals.liquidation",
        "quote.cpmm",
        "quote.amm_v4",
        "quote.pump_swap",
        "quote.pump_curve",
        "quote.whirlpool",
        "quote.clmm",
        "quote.dlmm",
        "scan.in_memory",
        "scan.answer",
        "scan.cold",
        "scan.push",
        "scan.update.pools_1000",
        "scan.update.pools_100000",
        "scan.two_cores_to_one",
        "db.position.p99",
        "db.history_page.p99",
        "db.log_page.p99",
        "db.at_full_size",
        "journal.append",
        "journal.barrier.p50",
        "journal.durable_events",
        "journal.replay",
        "backtest.trend",
        "backtest.arbitrage",
        "backtest.two_cores_to_one",
    ];
    for metric in metrics {
        assert!(rows.iter().any(|row| row["metric"] == metric), "{metric}: {report:#}");
    }
    let rejected = report["rejected"].as_array().unwrap();
    for row in rows {
        // A figure is missing only where it cannot be had, or where the machine was too busy three times.
        let why = row["why"].as_str().unwrap_or_default();
        if row["value"].is_null() && why.contains("in the last of 3 runs") {
            assert!(rejected.len() >= 3, "{report:#}");
            assert!(row["floor"].is_null(), "{row}");
        }
    }
    adds_up(&output, &report);

    let page = std::fs::read_to_string(page).unwrap();
    assert!(metrics.iter().all(|metric| page.contains(metric)));
    for outside in ["http:", "https:", "<script", "<link", "@import", "url(", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_quote_through_the_aggregators_client_is_measured_beside_a_bare_connection() {
    let output = bench(&["jupiter", "--for", "3s", "--json"]);
    let report = report(&output);
    adds_up(&output, &report);
    let rows = report["rows"].as_array().unwrap();
    let failed = rows.iter().find(|row| row["metric"] == "jupiter.failed").unwrap();
    assert!(failed["value"].is_null() || failed["value"] == 0.0, "{report:#}");
    assert!(rows.iter().any(|row| row["metric"] == "jupiter.quote.p99"), "{report:#}");
}

#[test]
fn with_files_that_name_no_endpoints_or_a_span_that_is_none_nothing_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "").unwrap();
    for (args, words) in [
        (&["-c", file.to_str().unwrap()][..], "leave out -c"),
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
