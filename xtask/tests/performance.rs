//! The page that `cargo xtask bench` writes, from documents of made-up figures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::performance::{Plan, page, run};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

const MADE: &str = "# What was made quicker\n\n| what | before | after |\n";

#[test]
fn every_row_machine_and_verdict_is_on_the_page() {
    let page = page(&read("bench.json"), &read("peers.json"), MADE).unwrap();
    for line in [
        "2 cores of A Processor, 8000 MB, Linux 6.0, load 0.2500 at the end",
        "2 held, **1 missed**, 2 told with nothing held against them, 1 not measured; 1 runs rejected",
        "| `quote.cpmm` | 12.00 | ns | ≤ 10.00 | 4.00 | 3.00 x | **missed** |",
        "| `scan.in_memory` | 250.0 | M pools/s | ≥ 20.00 | 1000 | 4.00 x | ok |",
        "| `db.position.p99` | 9.00 | us | ≤ 1000 | 7.50 | 1.20 x (≤ 1.5) | ok |",
        "| `journal.replay` | - | M events/s | ≥ 1.00 | - | - | not measured |",
        "| 20000 pools and their vaults | us a pool | 2.50 | solana-rpc-client | 12.50 | 5.00 | 4.00 to 5.50 | ≥ 3.50 | ok |",
        "- pools: an update: `scan.update.pools_1000` 40.00 ns, `scan.update.pools_100000` 150.0 ns",
        "- pools: memory: not all of",
        "\n## What was made quicker\n\n| what | before | after |\n",
        "- `quote.cpmm`: missed",
        "- `journal.replay`: the floor was dirty",
        "- `scan.in_memory` takes 4.00 times its floor: prices and gaps besides",
        "- journal recovery, run 1: the floor was dirty",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let farthest = page.find("`scan.in_memory` takes").unwrap();
    assert!(farthest < page.find("`quote.cpmm` takes").unwrap(), "the farthest comes first");
}

#[test]
fn the_page_is_written_where_it_belongs_and_what_is_missed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        span: "3s".to_owned(),
        full: false,
        pools: 100,
        rounds: 1,
        report: Some(fixture("bench.json")),
        peers: Some(fixture("peers.json")),
        out: PathBuf::from("performance.md"),
    };
    let error = run(folder.path(), &plan).unwrap_err();
    assert!(format!("{error:#}").contains("docs/made-quicker.md"), "{error:#}");
    std::fs::create_dir(folder.path().join("docs")).unwrap();
    std::fs::write(folder.path().join("docs/made-quicker.md"), MADE).unwrap();
    assert!(!run(folder.path(), &plan).unwrap(), "a row was missed");
    let written = std::fs::read_to_string(folder.path().join("performance.md")).unwrap();
    assert!(written.starts_with("# Performance report"));
}

#[test]
fn figures_of_a_debug_build_and_reports_without_rows_are_refused() {
    let peers = read("peers.json");
    let mut report = read("bench.json");
    report["machine"]["build"] = "debug".into();
    assert!(page(&report, &peers, MADE).unwrap_err().to_string().contains("debug build"));
    let mut report = read("bench.json");
    report["rows"] = Value::Array(Vec::new());
    assert!(page(&report, &peers, MADE).unwrap_err().to_string().contains("no rows"));
    assert!(page(&Value::Null, &peers, MADE).is_err());
}
