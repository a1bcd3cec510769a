//! The laws of reading: no statement scans, what is missing is found and made, and a file that is not as it should be is left alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sniper_core::event::Trade;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Seq, Timestamp, Usd};
use sniper_store::tables::{
    Action, LogCursor, LogLevel, LogRow, OrderCursor, RunId, Store, StoreError, StoreOptions,
    StoreRow, TableReader, TradeCursor, analyse, apply, migrate,
};

const RUN: RunId = RunId(1_700_000_000_000_000);

fn trade(n: u64) -> StoreRow {
    let at = Timestamp::new(1_700_000_000_000_000 + i64::try_from(n).unwrap() * 60_000_000);
    let trade = Trade {
        strategy: StrategyId(u8::try_from(n % 4).unwrap()),
        order: OrderId { cause: Seq::new(n), nth: 0 },
        mint: MintId(u16::try_from(n % 20).unwrap()),
        amount: Atoms::new(n),
        cost: Usd::new(10),
        proceeds: Usd::new(12),
        fee: Usd::new(1),
        profit: Usd::new(1),
        opened: at,
        closed: at,
    };
    StoreRow::Trade { run: RUN, seq: Seq::new(n), place: 0, trade: Box::new(trade) }
}

fn filled(path: &Path, trades: u64) {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let handle = store.handle();
    let mode = "paper".to_owned();
    assert!(handle.try_send(StoreRow::Run { run: RUN, version: "0.1.0", mode }));
    for n in 0..trades {
        assert!(handle.try_send(trade(n)));
        let (level, text) = (LogLevel::Info, format!("line {n}"));
        let line = LogRow { at: Timestamp::new(1), level, target: "t".into(), text };
        handle.try_log(|| line);
    }
    let (at, opened) = (Timestamp::new(2), Timestamp::new(1));
    let (strategy, mint) = (StrategyId(1), MintId(3));
    let (amount, cost) = (Atoms::new(9), Usd::new(9));
    assert!(handle.try_send(StoreRow::Position {
        run: RUN,
        strategy,
        mint,
        amount,
        cost,
        opened,
        at
    }));
    store.close().unwrap();
}

fn place(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("t.db")
}

fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn no_statement_of_the_program_scans_sorts_or_lacks_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    for trades in [0, 3, 2_000] {
        filled(&path, trades);
        for _ in 0..2 {
            let found = analyse(&path).unwrap();
            assert!(found.holds(), "{:#?}", found.findings);
            assert!(found.statements.len() > 40);
            let history = found.statements.iter().find(|one| one.name == "history page").unwrap();
            let rows = usize::try_from(trades.min(50)).unwrap();
            assert_eq!(history.timing.unwrap().rows, rows, "{history:?}");
            // With statistics, the planner may choose otherwise.
            apply(&path, &[Action::Analyze]).unwrap();
        }
    }
}

#[test]
fn every_index_of_the_schema_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    filled(&path, 2_000);
    let found = analyse(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        .unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let is_used = found.statements.iter().flat_map(|one| &one.plan).any(|s| s.contains(&name));
        assert!(is_used, "{name} only costs");
    }
    // The first column of a primary key finds all that a run has: that is meant where all of it is.
    let whole = ["profit by strategy", "refusals of a run", "open positions"];
    for one in &found.statements {
        let is_broad = one.plan.iter().any(|step| step.ends_with("(run_id=?)"));
        let is_meant = whole.contains(&one.name) || one.name.starts_with("forget a run");
        assert!(!is_broad || is_meant, "{one:#?}");
    }
}

#[test]
fn every_statement_stands_in_the_list_that_is_tried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tables");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "statements.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let is_sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM "]
                .iter()
                .any(|word| line.contains(word) && !line.trim_start().starts_with("//"));
            // The schema has no tables of ours, and what looks at a whole database says so.
            let is_schema = ["sqlite_schema", "sqlite_stat1", "_sqlx_migrations"]
                .iter()
                .any(|table| line.contains(table));
            let is_looking = name == "optimize.rs";
            assert!(!is_sql || is_schema || is_looking, "{name}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn a_missing_index_is_found_with_the_scan_it_causes_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    filled(&path, 500);
    change(
        &path,
        "DROP INDEX trades_by_time; DROP INDEX logs_by_level; CREATE INDEX logs_by_level ON logs (at);
         CREATE INDEX \"theirs \"\"x\" ON trades (fee_usd)",
    );
    let before = std::fs::metadata(&path).unwrap().len();
    let found = analyse(&path).unwrap();
    assert!(!found.holds());
    let said: Vec<&str> = found.findings.iter().map(|finding| finding.what.as_str()).collect();
    let says = |words: &str| said.iter().any(|what| what.contains(words));
    assert!(says("trades_by_time is missing"), "{said:#?}");
    assert!(says("logs_by_level is not the one of the schema"), "{said:#?}");
    assert!(says("\"history page\" goes through a whole table"), "{said:#?}");
    assert!(says("theirs"), "{said:#?}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before, "looking changes nothing");
    let rows = |path: &Path| TableReader::open(path).unwrap().trades(TradeCursor::NEWEST, 900);
    let history = rows(&path).unwrap();

    let done = apply(&path, &found.actions()).unwrap();
    assert_eq!(done.len(), 4, "{done:?}");
    let after = analyse(&path).unwrap();
    assert_eq!(after.findings, [], "nothing is left to do");
    assert!(after.has_statistics);
    assert_eq!(rows(&path).unwrap(), history);
}

#[test]
fn of_actions_that_fail_half_way_none_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    filled(&path, 10);
    let bad = Action::DropIndex { name: "nobody".to_owned() };
    let error = apply(&path, &[Action::Analyze, bad]).unwrap_err();
    assert!(matches!(error, StoreError::Database { action: "optimize", .. }), "{error}");
    assert!(!analyse(&path).unwrap().has_statistics);
}

/// A database as the version before made it.
fn old(path: &Path) {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let first = tempfile::tempdir().unwrap();
    for name in ["0001_tables.sql", "0002_verdicts.sql", "0003_rent.sql"] {
        std::fs::copy(migrations.join(name), first.path().join(name)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection as _;
        let migrator = sqlx::migrate::Migrator::new(first.path()).await.unwrap();
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        migrator.run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    change(
        path,
        "PRAGMA application_id = 1399746630;
         INSERT INTO runs VALUES (5, '0.1.0', 'paper');
         INSERT INTO trades VALUES (5, 1, 0, 1, 0, 2, 3, 7, 10, 20, 1, 9, 0, -1),
                                   (5, 2, 0, 2, 0, 2, 3, 7, 30, 20, 1, -11, 0, 86399999999),
                                   (5, 3, 0, 3, 0, 1, 3, 7, 30, 40, 2, 8, 0, 86400000000)",
    );
}

#[test]
fn an_old_database_is_brought_up_to_date_with_its_sums() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    old(&path);
    let error = TableReader::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Older { version: 3, .. }), "{error}");
    assert!(error.to_string().contains("db migrate"), "{error}");
    let done = migrate(&path).unwrap();
    assert_eq!((done.from, done.to), (3, 4));
    assert_eq!(migrate(&path).unwrap().from, 4, "and once only");
    let reader = TableReader::open(&path).unwrap();
    let days = reader.days(i64::MAX, 10).unwrap().rows;
    let told: Vec<_> = days.iter().map(|d| (d.day, d.sums.trades, d.sums.profit.get())).collect();
    assert_eq!(told, [(1, 1, 8), (0, 1, -11), (-1, 1, 9)]);
    let strategies = reader.by_strategy(RunId(5)).unwrap();
    let told: Vec<_> =
        strategies.iter().map(|s| (s.strategy.0, s.sums.trades, s.sums.wins)).collect();
    assert_eq!(told, [(1, 1, 1), (2, 2, 1)]);
    let tokens = reader.by_token(RunId(5), None, 10).unwrap().rows;
    assert_eq!((tokens.len(), tokens.first().unwrap().sums.cost.get()), (1, 70));
    assert!(analyse(&path).unwrap().holds());
}

#[test]
fn what_is_newer_foreign_absent_or_damaged_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    for error in [analyse(&path).unwrap_err(), migrate(&path).unwrap_err()] {
        assert!(matches!(error, StoreError::Absent { .. }), "{error}");
    }
    assert!(apply(&path, &[]).is_err() && !path.exists(), "nothing is made");

    filled(&path, 2_000);
    change(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    let good = std::fs::read(&path).unwrap();
    change(
        &path,
        "INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2030-01-01', 1, x'00', 1);
         PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let newer = std::fs::read(&path).unwrap();
    for error in [
        analyse(&path).unwrap_err(),
        migrate(&path).unwrap_err(),
        apply(&path, &[Action::Vacuum]).unwrap_err(),
        Store::open(&path, StoreOptions::default()).map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Newer { version: 9999, .. }), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == newer, "nothing was changed");

    // A page in the middle is overwritten.
    let mut bad = good.clone();
    let half = bad.len() / 2;
    bad.iter_mut().skip(half).take(20_000).for_each(|byte| *byte = 0xaa);
    std::fs::write(&path, &bad).unwrap();
    for error in [migrate(&path).unwrap_err(), apply(&path, &[Action::Analyze]).unwrap_err()] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == bad, "nothing was changed");
    std::fs::write(
        &path,
        b"no database, but long enough to be looked at as if it were one of them",
    )
    .unwrap();
    for error in [analyse(&path).unwrap_err(), migrate(&path).unwrap_err()] {
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}

#[test]
fn a_cursor_reads_back_what_it_wrote_and_nothing_else() {
    let cursor =
        TradeCursor { closed: Timestamp::new(5), run: RunId(6), seq: Seq::new(u64::MAX), place: 8 };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    assert_eq!(OrderCursor::NEWEST.to_string().parse(), Ok(OrderCursor::NEWEST));
    assert_eq!("17".parse(), Ok(LogCursor(17)));
    for text in
        ["", "1", "1-2-3", "1-2-3-4-5", "a-2-3-4", "-1-2-3-4", "1-2-3-99999999999", "+1-2-3-4"]
    {
        assert!(text.parse::<TradeCursor>().is_err(), "{text:?}");
        assert!(text.parse::<OrderCursor>().is_err(), "{text:?}");
    }
    assert!("99999999999999999999".parse::<LogCursor>().is_err());
}

#[test]
fn a_flood_of_log_lines_takes_no_other_rows_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let handle = store.handle();
    // Another writer holds the database meanwhile.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let line = || LogRow {
        at: Timestamp::new(1),
        level: LogLevel::Info,
        target: "t".into(),
        text: "x".to_owned(),
    };
    let taken = (0..50_000).filter(|_| handle.try_log(line)).count();
    assert!(taken <= 2_000, "{taken}");
    for n in 0..100 {
        assert!(handle.try_send(trade(n)));
    }
    other.execute_batch("COMMIT").unwrap();
    let status = store.close().unwrap();
    assert_eq!((status.dropped, status.failed), (0, 0), "{status:?}");
    let lines = TableReader::open(&path).unwrap().logs(LogCursor::NEWEST, LogLevel::Trace, 9_000);
    assert_eq!(lines.unwrap().rows.len(), taken);
    assert_eq!(status.log_lines_dropped, u64::try_from(50_000 - taken).unwrap());
}

#[test]
fn a_table_without_log_lines_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let options = StoreOptions { log_lines: 0, ..StoreOptions::default() };
    let store = Store::open(&path, options).unwrap();
    assert!(!store.handle().try_log(|| unreachable!("no line is even made")));
    assert_eq!(store.close().unwrap(), sniper_store::tables::StoreStatus::default());
}
