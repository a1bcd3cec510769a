//! The laws of sums, pages and kept answers, with transactions as a test wants them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use sniper_core::event::{EquityPoint, Trade};
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Seq, Timestamp, Usd};
use sniper_store::tables::{
    LogCursor, LogLevel, LogRow, RunId, StoreRow, TableCache, TableReader, TableWriter, TradeCursor,
};

/// Lines of the log that are kept.
const LOG_LINES: u64 = 25;
const DAY: i64 = 86_400_000_000;

/// A trade of one of few orders, strategies and mints; the same key may come again with another content.
fn trade(run: i64, seq: u64, key: (u8, u16), profit: i64, closed: i64) -> StoreRow {
    let trade = Trade {
        strategy: StrategyId(key.0),
        order: OrderId { cause: Seq::new(seq / 2), nth: 0 },
        mint: MintId(key.1),
        amount: Atoms::new(seq),
        cost: Usd::new(profit.wrapping_mul(7) >> 8),
        proceeds: Usd::new(profit >> 3),
        fee: Usd::new(profit.rem_euclid(1_000)),
        profit: Usd::new(profit),
        opened: Timestamp::new(closed - 5),
        closed: Timestamp::new(closed),
    };
    StoreRow::Trade { run: RunId(run), seq: Seq::new(seq), place: 0, trade: Box::new(trade) }
}

fn log(n: i64, level: LogLevel) -> StoreRow {
    let text = format!("line {n}");
    let line = LogRow { at: Timestamp::new(n), level, target: "test".into(), text };
    StoreRow::Log { line: Box::new(line) }
}

type Sums = BTreeMap<(&'static str, i64, i64), [i64; 6]>;

/// The sums as the writer keeps them, and as all trades make them.
fn kept_and_made_anew(path: &Path) -> (Sums, Sums) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut kept = Sums::new();
    for table in ["daily", "per_strategy", "per_token"] {
        let mut rows = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let mut rows = rows.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let key = (table, row.get(0).unwrap(), row.get(1).unwrap());
            kept.insert(key, std::array::from_fn(|at| row.get(at + 2).unwrap()));
        }
    }
    let mut made = Sums::new();
    let mut rows = connection
        .prepare(
            "SELECT run_id, closed_at, strategy, mint, cost_usd, proceeds_usd, fee_usd, profit_usd FROM trades",
        )
        .unwrap();
    let mut rows = rows.raw_query();
    while let Some(row) = rows.next().unwrap() {
        let column = |at: usize| row.get::<_, i64>(at).unwrap();
        let keys = [
            ("daily", column(1).div_euclid(DAY)),
            ("per_strategy", column(2)),
            ("per_token", column(3)),
        ];
        for (table, key) in keys {
            let sums = made.entry((table, column(0), key)).or_default();
            let profit = column(7);
            let by = [1, i64::from(profit > 0), column(4), column(5), column(6), profit];
            for (sum, by) in sums.iter_mut().zip(by) {
                *sum += by;
            }
        }
    }
    (kept, made)
}

/// A change that the writer may be given.
fn change() -> impl Strategy<Value = StoreRow> {
    let profit = prop_oneof![-50_i64..50, -(1_i64 << 40)..1 << 40];
    let closed = prop_oneof![-3 * DAY..3 * DAY, Just(0), Just(-1), Just(DAY), Just(DAY - 1)];
    prop_oneof![
        4 => (1..3_i64, 0..12_u64, (0..3_u8, 1..4_u16), profit, closed)
            .prop_map(|(run, seq, key, profit, closed)| trade(run, seq, key, profit, closed)),
        1 => (1..3_i64, 0..6_u64).prop_map(|(run, cause)| StoreRow::RolledBack {
            run: RunId(run),
            order: OrderId { cause: Seq::new(cause), nth: 0 },
        }),
        1 => (1..3_i64, 0..3_u8, 1..4_u16, 0..3_u64).prop_map(|(run, strategy, mint, amount)| {
            StoreRow::Position {
                run: RunId(run),
                strategy: StrategyId(strategy),
                mint: MintId(mint),
                amount: Atoms::new(amount),
                cost: Usd::new(5),
                opened: Timestamp::new(1),
                at: Timestamp::new(2),
            }
        }),
        1 => (1..3_i64, 0..3_u8, "[a-c]").prop_map(|(run, strategy, name)| StoreRow::Strategy {
            run: RunId(run),
            strategy: StrategyId(strategy),
            name,
        }),
        1 => (1..3_i64, 0..9_i64).prop_map(|(run, at)| StoreRow::Equity {
            run: RunId(run),
            point: EquityPoint { at: Timestamp::new(at), equity: Usd::ZERO, exposure: Usd::ZERO },
        }),
        1 => (0..5_usize).prop_map(|at| log(1, LogLevel::ALL[at])),
        1 => (1..4_i64).prop_map(|run| StoreRow::Run {
            run: RunId(run),
            version: "1",
            mode: "paper".to_owned(),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sums_equal_those_of_all_trades_after_any_writes(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..12), 1..8),
        rebuilt in prop::option::of(0..8_usize),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let mut writer = TableWriter::open(&path, LOG_LINES).unwrap();
        for (at, batch) in batches.iter().enumerate() {
            if rebuilt == Some(at) {
                writer.rebuild(RunId(1), batch.iter().cloned()).unwrap();
            } else {
                writer.write(batch).unwrap();
            }
            let (kept, made) = kept_and_made_anew(&path);
            prop_assert_eq!(kept, made);
        }
        writer.close().unwrap();
    }

    #[test]
    fn a_kept_answer_is_never_one_that_a_later_write_has_changed(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let mut writer = TableWriter::open(&path, LOG_LINES).unwrap();
        let fresh = TableReader::open(&path).unwrap();
        let mut cache = TableCache::new(TableReader::open(&path).unwrap());
        for batch in &batches {
            writer.write(batch).unwrap();
            // Twice, so that the second comes from memory where it may.
            for _ in 0..2 {
                let (run, newest) = (RunId(1), TradeCursor::NEWEST);
                prop_assert_eq!(&*cache.trades(newest, 4).unwrap(), &fresh.trades(newest, 4).unwrap());
                prop_assert_eq!(&*cache.days(i64::MAX, 9).unwrap(), &fresh.days(i64::MAX, 9).unwrap());
                prop_assert_eq!(&*cache.by_strategy(run).unwrap(), &fresh.by_strategy(run).unwrap());
                prop_assert_eq!(&*cache.positions(run).unwrap(), &fresh.positions(run).unwrap());
                let (first, level) = (LogCursor::NEWEST, LogLevel::Warn);
                prop_assert_eq!(
                    &*cache.logs(first, level, 9).unwrap(), &fresh.logs(first, level, 9).unwrap()
                );
                prop_assert_eq!(cache.newest_run().unwrap(), fresh.newest_run().unwrap());
            }
        }
        let (hits, misses) = cache.hits_and_misses();
        prop_assert!(hits >= misses, "{hits} hits, {misses} misses");
    }
}

#[test]
fn what_a_write_does_not_touch_is_still_served_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = TableWriter::open(&path, LOG_LINES).unwrap();
    writer.write(&[trade(1, 1, (0, 1), 5, 10)]).unwrap();
    let mut cache = TableCache::new(TableReader::open(&path).unwrap());
    cache.trades(TradeCursor::NEWEST, 5).unwrap();
    writer.write(&[log(1, LogLevel::Info)]).unwrap();
    cache.trades(TradeCursor::NEWEST, 5).unwrap();
    assert_eq!(cache.hits_and_misses(), (1, 1));
    writer.write(&[trade(1, 2, (0, 1), 5, 11)]).unwrap();
    assert_eq!(cache.trades(TradeCursor::NEWEST, 5).unwrap().rows.len(), 2);
    // A rebuild may change everything.
    writer.rebuild(RunId(1), []).unwrap();
    assert_eq!(cache.trades(TradeCursor::NEWEST, 5).unwrap().rows.len(), 0);
    assert_eq!(cache.hits_and_misses(), (1, 3));
}

#[test]
fn pages_give_every_row_once_while_others_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = TableWriter::open(&path, LOG_LINES).unwrap();
    // Many at the same moment, so that the moment alone is no place.
    let old: Vec<StoreRow> =
        (0..400_u64).map(|n| trade(1, n, (0, 1), 1, i64::try_from(n / 50).unwrap())).collect();
    writer.write(&old).unwrap();
    let writer = std::thread::spawn(move || {
        for n in 400..900_u64 {
            // Newer than all, in the middle, and among the same moment.
            let closed = i64::try_from(n * 7 % 12).unwrap();
            writer.write(&[trade(1, n, (0, 1), 1, closed)]).unwrap();
        }
    });
    let reader = TableReader::open(&path).unwrap();
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 2 {
        let mut seen = BTreeSet::new();
        let mut next = Some(TradeCursor::NEWEST);
        while let Some(cursor) = next {
            let page = reader.trades(cursor, 7).unwrap();
            assert!(page.rows.len() <= 7);
            for row in &page.rows {
                assert!(seen.insert(row.seq.get()), "{} came twice", row.seq.get());
            }
            next = page.next;
        }
        let missing: Vec<u64> = (0..400).filter(|n| !seen.contains(n)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        rounds += 1;
    }
    writer.join().unwrap();
}

#[test]
fn the_log_keeps_its_last_lines_and_pages_them_by_gravity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = TableWriter::open(&path, LOG_LINES).unwrap();
    for n in 0..30_i64 {
        let level = if n % 10 == 0 { LogLevel::Error } else { LogLevel::Info };
        writer.write(&[log(n, level)]).unwrap();
    }
    let reader = TableReader::open(&path).unwrap();
    let all = |least, size| {
        let (mut out, mut next) = (Vec::new(), Some(LogCursor::NEWEST));
        while let Some(cursor) = next {
            let page = reader.logs(cursor, least, size).unwrap();
            out.extend(page.rows.into_iter().map(|line| line.at.get()));
            next = page.next;
        }
        out
    };
    let expected: Vec<i64> = (5..30).rev().collect();
    for size in [1, 4, 25, 100] {
        assert_eq!(all(LogLevel::Trace, size), expected);
        assert_eq!(all(LogLevel::Info, size), expected, "one search for each level");
        assert_eq!(all(LogLevel::Warn, size), [20, 10]);
    }
    // A bound that was lowered takes effect.
    writer.close().unwrap();
    let mut writer = TableWriter::open(&path, 2).unwrap();
    writer.write(&[log(30, LogLevel::Warn)]).unwrap();
    assert_eq!(all(LogLevel::Trace, 9), [30, 29]);
}

#[test]
fn lines_written_together_are_the_lines_written_one_by_one() {
    // Runs below, at and above what one statement takes, with another row between.
    let mut rows = Vec::new();
    for (nth, lines) in [1, 31, 32, 33, 64, 70].into_iter().enumerate() {
        let nth = i64::try_from(nth).unwrap();
        rows.push(trade(1, nth.unsigned_abs(), (0, 1), 10 * nth, 100 + nth));
        rows.extend(
            (0..lines).map(|line| log(1_000 * nth + line, LogLevel::ALL[nth as usize % 5])),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, together: usize| {
        let path = folder.path().join(name);
        let mut writer = TableWriter::open(&path, 1_000).unwrap();
        rows.chunks(together).for_each(|rows| writer.write(rows).unwrap());
        let reader = TableReader::open(&path).unwrap();
        let lines = reader.logs(LogCursor::NEWEST, LogLevel::Trace, 500).unwrap().rows;
        let raised = rusqlite::Connection::open(&path).unwrap();
        let raised = raised.query_row("SELECT trades, logs FROM generations", [], |row| {
            Ok((row.get::<_, i64>(0)? > 0, row.get::<_, i64>(1)? > 0))
        });
        (lines, raised.unwrap())
    };
    let (lines, raised) = told("together", rows.len());
    assert_eq!((lines.len(), raised), (231, (true, true)));
    assert_eq!((lines, raised), told("one-by-one", 1));
}
