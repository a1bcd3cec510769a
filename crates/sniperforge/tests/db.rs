//! The tables as a script sees them: what the commands print, and the codes they end with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use sniper_core::event::Trade;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Seq, Timestamp, Usd};
use sniper_store::tables::{LogLevel, LogRow, RunId, StoreRow, TableWriter};
use tempfile::TempDir;

const RUN: RunId = RunId(1_700_000_000_000_000);

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sniperforge"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, &[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One message with these words, this code, and nothing on standard output.
#[track_caller]
fn refused(folder: &Path, args: &[&str], code: i32, words: &str) {
    let output = run(folder, args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(message.contains(words), "{words:?} is missing in {message}");
    assert!(output.stdout.is_empty());
}

fn trade(n: u64) -> StoreRow {
    let closed = Timestamp::new(RUN.0 + i64::try_from(n).unwrap() * 3_600_000_000);
    let trade = Trade {
        strategy: StrategyId(1),
        order: OrderId { cause: Seq::new(n), nth: 0 },
        mint: MintId(3),
        amount: Atoms::new(u64::MAX),
        cost: Usd::dollars(40),
        proceeds: Usd::dollars(41),
        fee: Usd::new(1),
        profit: Usd::new(if n == 0 { -5 } else { 999_999 }),
        opened: Timestamp::new(RUN.0),
        closed,
    };
    StoreRow::Trade { run: RUN, seq: Seq::new(n), place: 0, trade: Box::new(trade) }
}

/// A data folder with tables of a paper run.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("data/paper")).unwrap();
    let mut writer =
        TableWriter::open(folder.path().join("data/paper/sniperforge.sqlite"), 100).unwrap();
    let name = "trend".to_owned();
    let mut rows = vec![
        StoreRow::Run { run: RUN, version: "0.1.0", mode: "paper".to_owned() },
        StoreRow::Strategy { run: RUN, strategy: StrategyId(1), name },
        StoreRow::Position {
            run: RUN,
            strategy: StrategyId(1),
            mint: MintId(3),
            amount: Atoms::new(7),
            cost: Usd::dollars(2),
            opened: Timestamp::new(RUN.0),
            at: Timestamp::new(RUN.0),
        },
    ];
    rows.extend((0..7).map(trade));
    for (level, text) in [(LogLevel::Info, "trading"), (LogLevel::Warn, "feed late")] {
        let (at, target) = (Timestamp::new(RUN.0), "sniperforge::live".into());
        let text = text.to_owned();
        rows.push(StoreRow::Log { line: Box::new(LogRow { at, level, target, text }) });
    }
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    folder
}

#[test]
fn a_history_is_read_page_by_page_and_summed() {
    let folder = folder();
    let here = folder.path();
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["trades", "--limit", "3"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = json(here, &args);
        for row in page["rows"].as_array().unwrap() {
            seen.push(row["order"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, ["6.0", "5.0", "4.0", "3.0", "2.0", "1.0", "0.0"]);
    let first = &json(here, &["trades"])["rows"][0];
    assert_eq!(
        (first["strategy"].as_str(), first["profit_usd"].as_str()),
        (Some("trend"), Some("0.999999"))
    );
    assert_eq!(first["amount_atoms"].as_u64(), Some(u64::MAX));
    let days = json(here, &["trades", "--by", "day"]);
    assert_eq!(days["rows"].as_array().unwrap().len(), 2, "{days}");
    let strategies = json(here, &["trades", "--by", "strategy"]);
    assert_eq!(
        (strategies["rows"][0]["trades"].as_i64(), strategies["rows"][0]["wins"].as_i64()),
        (Some(7), Some(6))
    );
    assert_eq!(strategies["rows"][0]["profit_usd"], "5.999989");
    assert_eq!(json(here, &["trades", "--by", "token"])["rows"][0]["cost_usd"], "280.000000");
    assert_eq!(json(here, &["positions"])["rows"][0]["amount_atoms"], 7);
    assert_eq!(json(here, &["orders", "history"])["rows"], serde_json::json!([]));
    let logs = json(here, &["logs", "--level", "warn"]);
    assert_eq!(logs["rows"].as_array().unwrap().len(), 1);
    assert_eq!(logs["rows"][0]["text"], "feed late");
    let text = String::from_utf8(run(here, &["trades", "--limit", "2"]).stdout).unwrap();
    assert!(text.contains("profit usd") && text.contains("more: --after"), "{text}");
}

#[test]
fn what_is_asked_wrongly_or_of_nothing_is_told() {
    let folder = folder();
    let here = folder.path();
    refused(here, &["trades", "--after", "x"], 2, "not a cursor of trades");
    refused(here, &["trades", "--limit", "0"], 2, "--limit");
    refused(here, &["trades", "--run", "5"], 2, "--by");
    refused(here, &["trades", "--db", "none.sqlite"], 1, "there is no database at none.sqlite");
    refused(here, &["db", "migrate", "--db", "none.sqlite"], 1, "there is no database");
    refused(here, &["db", "optimize", "--apply"], 2, "add --yes");
    refused(here, &["db", "optimize", "--yes"], 2, "--apply");
    refused(here, &["db", "export", "--out", "x.txt"], 1, ".csv or .jsonl");
    let elsewhere = TempDir::new().unwrap();
    refused(elsewhere.path(), &["logs"], 1, "there is no database in data");
    assert!(!elsewhere.path().join("data").exists(), "looking makes nothing");
    std::fs::create_dir(here.join("data/live")).unwrap();
    std::fs::copy(
        here.join("data/paper/sniperforge.sqlite"),
        here.join("data/live/sniperforge.sqlite"),
    )
    .unwrap();
    refused(here, &["trades"], 1, "there are two databases");
}

#[test]
fn a_database_that_cannot_be_used_is_told_with_code_1_and_left_as_it_is() {
    let folder = folder();
    let file = folder.path().join("data/paper/sniperforge.sqlite");
    std::fs::write(&file, b"this is no database, though it is long enough to be looked at as one")
        .unwrap();
    let before = std::fs::read(&file).unwrap();
    for args in [
        &["trades"][..],
        &["db", "migrate"],
        &["db", "optimize"],
        &["db", "optimize", "--apply", "--yes"],
        &["db", "export", "--out", "t.csv"],
    ] {
        refused(folder.path(), args, 1, "is not a database of this program");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(!folder.path().join("t.csv").exists());
}

#[test]
fn the_schema_is_checked_and_the_statements_are_tried_and_helped() {
    let folder = folder();
    let here = folder.path();
    let migrated = json(here, &["db", "migrate"]);
    assert_eq!(migrated["from"], migrated["to"]);

    let found = json(here, &["db", "optimize", "--html", "report.html"]);
    assert!(found["statements"].as_array().unwrap().len() > 40);
    assert_eq!(found["applied"], serde_json::json!([]));
    assert_eq!(found["has_statistics"], false);
    let page = std::fs::read_to_string(here.join("report.html")).unwrap();
    assert!(page.contains("history page") && page.contains("no statistics"), "{page}");
    assert!(!page.contains("http:") && !page.contains("https:"), "it needs nothing else");

    let done = json(here, &["db", "optimize", "--apply", "--yes"]);
    assert_eq!(done["applied"][0]["action"]["do"], "analyze");
    assert_eq!((&done["has_statistics"], &done["findings"]), (&true.into(), &Value::Array(vec![])));
}

#[test]
fn rows_leave_as_values_or_documents_and_never_over_a_file() {
    let folder = folder();
    let here = folder.path();
    let done = json(here, &["db", "export", "--out", "trades.csv"]);
    assert_eq!(done["rows"], 7);
    let csv = std::fs::read_to_string(here.join("trades.csv")).unwrap();
    assert_eq!(csv.lines().count(), 8);
    assert!(csv.starts_with("closed,strategy,token,amount_atoms,cost_usd"), "{csv}");
    json(here, &["db", "export", "--what", "days", "--out", "days.jsonl"]);
    let days = std::fs::read_to_string(here.join("days.jsonl")).unwrap();
    let day: Value = serde_json::from_str(days.lines().next().unwrap()).unwrap();
    assert_eq!(day["day"], "2023-11-15");
    json(here, &["db", "export", "--what", "logs", "--out", "logs.csv"]);
    refused(here, &["db", "export", "--out", "trades.csv"], 1, "is there already");
    assert_eq!(std::fs::read_to_string(here.join("trades.csv")).unwrap(), csv);
}

#[test]
fn the_page_answers_from_the_tables_and_sees_what_was_written_since() {
    use sniperforge::dashboard;
    sniper_solana::install_crypto_provider();
    let folder = folder();
    let file = folder.path().join("data/paper/sniperforge.sqlite");
    let view = Arc::new(arc_swap::ArcSwap::from_pointee(sniperforge::telemetry::View::default()));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let page =
        dashboard::serve_with_tables(address, view, Some(file.clone()), shutdown.clone()).unwrap();
    let url = page.url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| {
        runtime.block_on(async {
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.text().await.unwrap())
        })
    };
    let rows = |path: &str| {
        let (status, text) = get(path);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["rows"].as_array().unwrap().len()
    };
    assert_eq!((rows("api/trades"), rows("api/trades")), (7, 7));
    assert_eq!((rows("api/trades?limit=2"), rows("api/days"), rows("api/positions")), (2, 2, 1));
    assert_eq!(
        (rows("api/logs?level=warn"), rows("api/strategies"), rows("api/orders")),
        (1, 1, 0)
    );
    let mut writer = TableWriter::open(&file, 100).unwrap();
    writer.write(&[trade(7)]).unwrap();
    assert_eq!(rows("api/trades"), 8, "a kept answer does not outlive its truth");
    assert_eq!(get("api/trades?after=x").0, 400);
    assert_eq!(get("api/trades?limit=-1").0, 400);
    shutdown.cancel();
    page.wait();
}
