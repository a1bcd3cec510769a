//! Every bad tape ends with one message that says where and what to do, and good ones are read exactly.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;
use proptest::prelude::*;
use sniper_core::units::{Atoms, Price};
use sniperforge::backtest::bars::{self, Interval, TapeSpec};
use sniperforge::backtest::{self, BacktestArgs, BacktestError};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BacktestArgs,
}

const HEADER: &str = "ts_ms,open,high,low,close,volume\n";
const FIRST: i64 = 1_672_531_200_000;

fn spec() -> TapeSpec {
    let interval = Interval::parse("1h").unwrap();
    TapeSpec { interval, base_decimals: 9, quote_decimals: 6, from_ms: None, to_ms: None }
}

fn read(text: &str) -> Result<bars::Bars, BacktestError> {
    bars::read_bars(text.as_bytes(), Path::new("tape.csv"), &spec())
}

/// A tape of flat bars at these hours.
fn tape(hours: &[i64]) -> String {
    let mut text = HEADER.to_owned();
    for hour in hours {
        text.push_str(&format!("{},100,101,99,100.5,12.5\n", FIRST + hour * 3_600_000));
    }
    text
}

/// Runs the command line in a folder and returns its error as a person sees it, causes included.
fn complaint(dir: &Path, args: &[&str]) -> (String, bool) {
    let all = ["backtest"].iter().chain(args).copied();
    let error = backtest::run(&Cli::parse_from(all).args).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    (text.replace(dir.to_str().unwrap(), "DIR"), error.is_usage())
}

fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_tape_is_read_to_the_last_bit_with_its_holes_marked() {
    let bars = read(&tape(&[0, 1, 4, 5])).unwrap();
    let holes: Vec<bool> = bars.candles.iter().map(|candle| candle.after_gap).collect();
    assert_eq!(holes, [true, false, true, false], "nothing lies before the first bar either");
    assert_eq!(bars.gaps(), 1);
    let candle = bars.candles[2];
    assert_eq!(candle.start.millis(), FIRST + 4 * 3_600_000);
    assert_eq!(candle.close, Price::of(100_500_000, 1_000_000_000).unwrap());
    assert_eq!(candle.volume, Atoms::new(12_500_000_000));
}

#[test]
fn columns_go_by_name_not_by_place() {
    let shuffled = format!("close,ts_ms,volume,low,high,open\n100.5,{FIRST},12.5,99,101,100\n");
    let plain = read(&tape(&[0])).unwrap().candles;
    assert_eq!(read(&shuffled).unwrap().candles, plain);
    let windows = tape(&[0]).replace('\n', "\r\n");
    assert_eq!(read(&windows).unwrap().candles, plain);
    assert_eq!(read(&format!("\u{feff}{}", tape(&[0]))).unwrap().candles, plain);
}

#[test]
fn every_bad_line_is_named_with_its_column_and_what_to_do() {
    let good = tape(&[0, 1]);
    let third = FIRST + 2 * 3_600_000;
    let cases = [
        (format!("{third},NaN,101,99,100,1"), "open: \"NaN\" is no use: not a finite number"),
        (format!("{third},100,inf,99,100,1"), "high: \"inf\" is no use: not a finite number"),
        (format!("{third},100,101,0,100,1"), "low: \"0\" is no use: zero"),
        (format!("{third},100,101,99,-100,1"), "close: \"-100\" is no use: below zero"),
        (format!("{third},100,101,99,abc,1"), "close: \"abc\" is no use: not a decimal number"),
        (format!("{third},100,101,99,100,"), "volume: \"\" is no use: not a decimal number"),
        (format!("{third},100,101,99,100,NaN"), "volume: \"NaN\" is no use"),
        (format!("{third},100,99.5,99,100,1"), "high: the high is below the open or the close"),
        (format!("{third},100,101,100.5,100.7,1"), "low: the low is above the open or the close"),
        (format!("{third},100,98,99,100,1"), "high: the high is below"),
        (
            format!("{},100,101,99,100,1", FIRST + 3_600_000),
            "ts_ms: 1672534800000 is the time of the line before: remove one",
        ),
        (
            format!("{FIRST},100,101,99,100,1"),
            "ts_ms: 1672531200000 is before 1672534800000 of the line above: sort",
        ),
        (
            format!("{},100,101,99,100,1", third + 1),
            "ts_ms: 1672538400001 is not a multiple of 3600000 ms",
        ),
        (
            "1672538400,100,101,99,100,1".to_owned(),
            "ts_ms: \"1672538400\" is not a time in epoch milliseconds",
        ),
        ("soon,100,101,99,100,1".to_owned(), "ts_ms: \"soon\" is not a time in epoch milliseconds"),
        (format!("{third},100,101,99,100"), "all: 5 fields where the header has 6"),
        (format!("{third},100,101,99,100,1,2"), "all: 7 fields where the header has 6"),
    ];
    for (line, wanted) in cases {
        let error = read(&format!("{good}{line}\n")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("tape.csv:4: column {wanted}")), "{line}: {error}");
    }
    let hostile =
        read(&format!("{good}{third},\u{1b}[31m{},1,1,1,1\n", "9".repeat(500))).unwrap_err();
    let hostile = hostile.to_string();
    assert!(!hostile.contains('\u{1b}') && hostile.len() < 200, "{hostile}");
}

#[test]
fn a_header_that_is_not_one_of_a_tape_is_shown_beside_the_right_one() {
    for header in [
        "time,open,high,low,close,volume",
        "ts_ms,open,high,low,close",
        "ts_ms,open,high,low,close,volume,extra",
        "ts_ms,open,open,low,close,volume",
        "1672531200000,100,101,99,100,1",
    ] {
        let error = read(&format!("{header}\n")).unwrap_err();
        assert!(matches!(error, BacktestError::Columns { .. }), "{error}");
        assert!(error.to_string().contains("but must be ts_ms,open,high,low,close,volume"));
    }
    for empty in ["", "\n\n", HEADER] {
        assert!(matches!(read(empty).unwrap_err(), BacktestError::Empty { .. }), "{empty:?}");
    }
}

#[test]
fn missing_truncated_and_mislabelled_files_are_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let long: Vec<i64> = (0..20_000).collect();
    let packed = zstd::encode_all(tape(&long).as_bytes(), 3).unwrap();
    let whole = file(dir, "SOLUSDT_1h.csv.zst", &packed);
    assert_eq!(bars::load(&whole, &spec()).unwrap().candles.len(), 20_000);

    let cut = file(dir, "cut_SOLUSDT_1h.csv.zst", &packed[..packed.len() / 2]);
    let cut = complaint(dir, &["--file", cut.to_str().unwrap(), "--symbol", "SOLUSDT"]);
    assert!(
        cut.0.starts_with("DIR/cut_SOLUSDT_1h.csv.zst: ends in the middle of a compressed frame"),
        "{}",
        cut.0
    );
    assert!(cut.0.contains("fetch it again") && !cut.1);

    let fake = file(dir, "ETHUSDT_1h.csv.zst", b"not compressed at all, whatever it says");
    let fake = complaint(dir, &["--file", fake.to_str().unwrap()]);
    assert!(fake.0.contains("damaged or is not what its name says"), "{}", fake.0);

    let gone = complaint(dir, &["--file", dir.join("none_1h.csv").to_str().unwrap()]);
    assert!(gone.0.starts_with("DIR/none_1h.csv: cannot be read"), "{}", gone.0);

    let none = complaint(
        dir,
        &["--data", dir.to_str().unwrap(), "--symbol", "SOLUSDT", "--interval", "1d"],
    );
    assert_eq!(none.0, "DIR: no SOLUSDT_1d.csv or .csv.zst below it; there is SOLUSDT_1h.csv.zst");
    let nowhere = complaint(dir, &["--data", dir.join("nowhere").to_str().unwrap()]);
    assert!(nowhere.0.starts_with("DIR/nowhere: cannot be read"), "{}", nowhere.0);

    let late = complaint(dir, &["--file", whole.to_str().unwrap(), "--from", "2040-01-01"]);
    assert!(
        late.0.contains(
            "none of its 20000 bars lies in the range asked for: it spans 2023-01-01T00:00Z to"
        ),
        "{}",
        late.0
    );
}

#[test]
fn a_spot_recording_wins_over_others_of_the_same_name() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for venue in ["a_perp", "binance_spot", "z_spot"] {
        file(dir, &format!("ohlcv/{venue}/SOLUSDT_1h.csv"), tape(&[0]).as_bytes());
    }
    assert!(bars::find(dir, "SOLUSDT", "1h").unwrap().ends_with("binance_spot/SOLUSDT_1h.csv"));
    std::fs::remove_dir_all(dir.join("ohlcv/binance_spot")).unwrap();
    assert!(bars::find(dir, "SOLUSDT", "1h").unwrap().ends_with("a_perp/SOLUSDT_1h.csv"));
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let path = file(dir, "SOLUSDT_1h.csv", tape(&[0, 1, 2]).as_bytes());
    let path = path.to_str().unwrap();
    for (args, wanted) in [
        (vec![], "give --data DIR with --symbol, or --file PATH"),
        (
            vec!["--file", path, "--strategy", "grid"],
            "no strategy \"grid\": choose one of trend, momentum, mean_reversion, arbitrage, or all",
        ),
        (vec!["--file", path, "--interval", "1x"], "interval \"1x\" is not a length of a bar"),
        (vec!["--file", path, "--interval", "0h"], "interval \"0h\" is not a length of a bar"),
        (vec!["--file", path, "--symbol", "../x"], "--symbol ../x: must be letters and digits"),
        (vec!["--file", path, "--from", "2023-02-30"], "--from \"2023-02-30\" is not a moment"),
        (
            vec!["--file", path, "--from", "2023-03-01", "--to", "2023-02-01"],
            "--from 2023-03-01T00:00Z is not before --to",
        ),
        (vec!["--file", path, "--cash-usd", "0"], "--cash-usd 0: must be above zero"),
        (vec!["--file", path, "--landing-bps", "0"], "--landing-bps 0: must lie between"),
        (vec!["--file", path, "--pool-fee-bps", "0"], "--pool-fee-bps 0: must lie between"),
        (vec!["--file", path, "--depth-usd", "5"], "--depth-usd 5: must lie between"),
        (vec!["--file", path, "--sol-usd", "NaN"], "--sol-usd NaN: must be a price above zero"),
        (vec!["--file", path, "--latency-ms", "60000"], "--latency-ms 60000"),
        (vec!["--file", path, "--decimals", "13"], "--decimals 13: must be at most 12"),
    ] {
        let (text, usage) = complaint(dir, &args);
        assert!(text.contains(wanted) && usage, "{args:?}: {text}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_first_and_leaves_the_old_one() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let path = file(dir, "SOLUSDT_1h.csv", tape(&[0, 1, 2]).as_bytes());
    let missing = dir.join("no/such/folder/report.html");
    let (text, usage) =
        complaint(dir, &["--file", path.to_str().unwrap(), "--report", missing.to_str().unwrap()]);
    assert!(
        text.starts_with("DIR/no/such/folder/report.html: the report cannot be written") && !usage,
        "{text}"
    );
    let (text, _) =
        complaint(dir, &["--file", path.to_str().unwrap(), "--report", dir.to_str().unwrap()]);
    assert!(text.starts_with("DIR: the report cannot be written"), "{text}");

    // A run that fails after the check leaves the report of the run before as it was, and no draft beside it.
    let old = file(dir, "report.html", b"old");
    let bad = file(dir, "ETHUSDT_1h.csv", b"ts_ms\n");
    complaint(dir, &["--file", bad.to_str().unwrap(), "--report", old.to_str().unwrap()]);
    assert_eq!(std::fs::read(&old).unwrap(), b"old");
    let drafts = std::fs::read_dir(dir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(drafts.count(), 0);
}

#[test]
fn every_recording_of_the_shared_market_is_read() {
    let market = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/market/ohlcv"));
    if !market.is_dir() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: shared/market absent\n"),
        )
        .ok();
        return;
    }
    let mut read = 0;
    for venue in std::fs::read_dir(market).unwrap() {
        for entry in std::fs::read_dir(venue.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let interval = name.split('_').nth(1).unwrap().trim_end_matches(".csv.zst");
            // A minute or five of years are many bars for an unoptimised test; their format is the same.
            if matches!(interval, "1m" | "5m") {
                continue;
            }
            let decimals = if name.starts_with("BONK") { 5 } else { 6 };
            let spec = TapeSpec {
                interval: Interval::parse(interval).unwrap(),
                base_decimals: decimals,
                ..spec()
            };
            let bars = bars::load(&path, &spec).unwrap();
            assert!(!bars.candles.is_empty(), "{name}");
            read += 1;
        }
    }
    assert!(read >= 30, "{read} recordings");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut text = HEADER.as_bytes().to_vec();
        text.write_all(&bytes).unwrap();
        for tape in [&text, &bytes] {
            if let Ok(bars) = bars::read_bars(tape.as_slice(), Path::new("tape.csv"), &spec()) {
                prop_assert!(!bars.candles.is_empty());
            }
        }
    }

    #[test]
    fn what_is_read_is_in_order_on_the_grid_and_sound(
        rows in prop::collection::vec((0_i64..50, 1_u32..500, 1_u32..500, 1_u32..500, 1_u32..500), 1..20),
    ) {
        let mut text = HEADER.to_owned();
        for (hour, open, high, low, close) in &rows {
            text.push_str(&format!("{},{open},{high},{low},{close},1\n", FIRST + hour * 3_600_000));
        }
        let sound = rows.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && rows.iter().all(|(_, o, h, l, c)| l <= o.min(c) && h >= o.max(c));
        match read(&text) {
            Ok(bars) => {
                prop_assert!(sound);
                prop_assert_eq!(bars.candles.len(), rows.len());
            }
            Err(_) => prop_assert!(!sound),
        }
    }
}
