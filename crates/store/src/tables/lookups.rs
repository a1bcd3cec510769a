//! Look-ups beside the same statements prepared and read with nothing else: what `sniperforge bench db` measures.
//!
//! Reader and floor take turns, so that a busy machine slows both, and take turns in who is first, since whoever is finds
//! the pages cold. Both use one connection: this SQLite is built with one list of cached pages for all connections of a
//! process, where one takes the other's pages for good. The database is made through the writer.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Params, params};
use sniper_core::event::{MintSpec, Trade};
use sniper_core::ids::{Address, MintId, OrderId, StrategyId, Symbol};
use sniper_core::units::{Atoms, Lamports, Seq, Timestamp, Usd};

use super::{
    LogCursor, LogLevel, LogRow, RunId, StoreError, StoreRow, TableCache, TableReader, TableWriter,
    TradeCursor, analyse,
};

const RUN: RunId = RunId(1_700_000_000_000_000);
const STRATEGIES: u8 = 5;
const MINTS: u16 = 500;
/// Rows of a page.
const PAGE: u32 = 50;
/// Rows written at a time.
const BATCH: u64 = 10_000;

/// How large a database is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Positions reduced.
    pub trades: u64,
    /// Lines of the log.
    pub logs: u64,
}

/// A look-up and its floor: as many times of each, in the order in which they were taken.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What is looked up.
    pub name: &'static str,
    /// By the program's own reader.
    pub reader: Vec<Duration>,
    /// By the same statement, prepared once; every column of every row is read, and nothing is made of it.
    pub floor: Vec<Duration>,
}

/// Makes a database of that size in `folder`, or takes the one that is there, and gives its file.
///
/// # Errors
///
/// When it cannot be written.
pub fn database(folder: &Path, size: Size) -> Result<PathBuf, StoreError> {
    let path = folder.join(format!("lookups-{}-{}.sqlite", size.trades, size.logs));
    // One that is of another schema or was not finished is made anew.
    if analyse(&path).is_ok_and(|found| found.tables.contains(&("logs".to_owned(), size.logs))) {
        return Ok(path);
    }
    let draft = path.with_extension("part");
    for end in ["part", "part-wal", "part-shm", "sqlite", "sqlite-wal", "sqlite-shm"] {
        std::fs::remove_file(path.with_extension(end)).ok();
    }
    let mut writer = TableWriter::open(&draft, u64::MAX)?;
    writer.write(&names())?;
    in_batches(&mut writer, size.trades, trade)?;
    in_batches(&mut writer, size.logs, log)?;
    writer.close()?;
    std::fs::rename(&draft, &path).map_err(|error| failed("finish", &path, error))?;
    Ok(path)
}

/// Looks everything up so many times, in random order, and as often by its floor.
///
/// # Errors
///
/// When the database cannot be read, or reader and floor do not find the same.
pub fn pairs(path: &Path, size: Size, tries: usize) -> Result<Vec<Pair>, StoreError> {
    let reader = TableReader::open(path)?;
    let fail = |error: rusqlite::Error| failed("read", path, error);
    let found = analyse(path)?;
    let prepare = |name: &str| {
        let known = found.statements.iter().find(|one| one.name == name);
        let sql = known.map(|one| one.sql).ok_or(rusqlite::Error::InvalidQuery).map_err(fail)?;
        reader.connection().prepare(sql).map_err(fail)
    };
    let asked = PAGE + 1;
    let wanted = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let shown = |rows: rusqlite::Result<usize>| rows.map(|rows| rows.min(wanted)).map_err(fail);
    let (trades, lines) = (size.trades.max(1), size.logs.max(1));
    let closed_at = |n: u64| closed(n % trades);
    let line = |n: u64| i64::try_from(n % lines).unwrap_or(0);

    let mut position = prepare("position look-up")?;
    let key = |n: u64| {
        let strategy = u8::try_from(n % u64::from(STRATEGIES)).unwrap_or(0);
        (strategy, u16::try_from(n / 64 % u64::from(MINTS)).unwrap_or(0))
    };
    let positions = pair(
        "position",
        tries,
        path,
        |n| {
            let (strategy, mint) = key(n);
            let found = reader.position(RUN, StrategyId(strategy), MintId(mint))?;
            Ok(usize::from(found.is_some()))
        },
        |n| drain(&mut position, params![RUN.0, key(n).0, key(n).1]).map_err(fail),
    )?;

    let mut history = prepare("history page")?;
    let pages = pair(
        "history_page",
        tries,
        path,
        |n| {
            let after = TradeCursor { closed: closed_at(n), ..TradeCursor::NEWEST };
            Ok(reader.trades(after, PAGE)?.rows.len())
        },
        |n| {
            let at = closed_at(n).get();
            let most = params![at, i64::MAX, u64::MAX.to_string(), u32::MAX, asked];
            shown(drain(&mut history, most))
        },
    )?;

    let mut log_page = prepare("log page")?;
    let logs = pair(
        "log_page",
        tries,
        path,
        |n| Ok(reader.logs(LogCursor(line(n)), LogLevel::Trace, PAGE)?.rows.len()),
        |n| shown(drain(&mut log_page, params![line(n), asked])),
    )?;

    let mut errors = prepare("log page of a level")?;
    let rare = pair(
        "log_page_of_errors",
        tries,
        path,
        |n| Ok(reader.logs(LogCursor(line(n)), LogLevel::Error, PAGE)?.rows.len()),
        |n| shown(drain(&mut errors, params![1, line(n), asked])),
    )?;

    let mut cache = TableCache::new(TableReader::open(path)?);
    let kept = pair(
        "history_page_kept",
        tries,
        path,
        |_| Ok(cache.trades(TradeCursor::NEWEST, PAGE)?.rows.len()),
        |_| {
            let most = params![i64::MAX, i64::MAX, u64::MAX.to_string(), u32::MAX, asked];
            shown(drain(&mut history, most))
        },
    )?;
    Ok(vec![positions, pages, logs, rare, kept])
}

fn failed(
    action: &'static str,
    path: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Database { action, path: path.to_owned(), source: Box::new(error) }
}

fn in_batches(
    writer: &mut TableWriter,
    rows: u64,
    row: impl Fn(u64) -> StoreRow,
) -> Result<(), StoreError> {
    let mut from = 0;
    while from < rows {
        let until = (from + BATCH).min(rows);
        writer.write(&(from..until).map(&row).collect::<Vec<_>>())?;
        from = until;
    }
    Ok(())
}

/// The run, its strategies and mints, and a position of each strategy in every mint, of which one in ten is open.
fn names() -> Vec<StoreRow> {
    let mut rows = vec![StoreRow::Run { run: RUN, version: "0.1.0", mode: "paper".to_owned() }];
    for strategy in 0..STRATEGIES {
        let name = format!("strategy_{strategy}");
        rows.push(StoreRow::Strategy { run: RUN, strategy: StrategyId(strategy), name });
    }
    for mint in 0..MINTS {
        let [low, _] = mint.to_le_bytes();
        let spec = MintSpec {
            address: Address::new_from_array([low; 32]),
            token_program: Address::new_from_array([4; 32]),
            decimals: 6,
            symbol: Symbol::new(&format!("T{mint}")),
            is_usd: false,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        };
        rows.push(StoreRow::Mint { run: RUN, mint: MintId(mint), spec: Box::new(spec) });
        for strategy in 0..STRATEGIES {
            rows.push(StoreRow::Position {
                run: RUN,
                strategy: StrategyId(strategy),
                mint: MintId(mint),
                amount: Atoms::new(if mint % 10 == 0 { 1_000 } else { 0 }),
                cost: Usd::new(5),
                opened: Timestamp::new(1),
                at: Timestamp::new(2),
            });
        }
    }
    rows
}

/// So many steps of a width after the run's beginning.
fn after(n: u64, width: i64) -> Timestamp {
    Timestamp::new(RUN.0 + i64::try_from(n).unwrap_or(0) * width)
}

/// When the `n`th trade was closed: a minute after the one before.
fn closed(n: u64) -> Timestamp {
    after(n, 60_000_000)
}

fn trade(n: u64) -> StoreRow {
    let trade = Trade {
        strategy: StrategyId(u8::try_from(n % u64::from(STRATEGIES)).unwrap_or(0)),
        order: OrderId { cause: Seq::new(n * 3), nth: 0 },
        mint: MintId(u16::try_from(n * 7 % u64::from(MINTS)).unwrap_or(0)),
        amount: Atoms::new(n << 20),
        cost: Usd::dollars(40),
        proceeds: Usd::dollars(41),
        fee: Usd::new(12_000),
        profit: Usd::new(if n.is_multiple_of(3) { -400_000 } else { 900_000 }),
        opened: Timestamp::new(closed(n).get() - 30_000_000),
        closed: closed(n),
    };
    StoreRow::Trade { run: RUN, seq: Seq::new(n * 3 + 1), place: 0, trade: Box::new(trade) }
}

fn log(n: u64) -> StoreRow {
    let level = match n % 1_000 {
        0 => LogLevel::Error,
        1..=9 => LogLevel::Warn,
        _ => LogLevel::Info,
    };
    let text = format!("order landed order={n}.0 slot={} endpoint=main took_ms=412", n * 2);
    let (at, target) = (after(n, 6_000_000), "sniperforge::live::desk".into());
    StoreRow::Log { line: Box::new(LogRow { at, level, target, text }) }
}

/// Both in turns; the first tenth warms them up.
fn pair(
    name: &'static str,
    tries: usize,
    path: &Path,
    mut reader: impl FnMut(u64) -> Result<usize, StoreError>,
    mut floor: impl FnMut(u64) -> Result<usize, StoreError>,
) -> Result<Pair, StoreError> {
    let mut taken = Pair { name, reader: Vec::with_capacity(tries), floor: Vec::new() };
    // Whole numbers spread over a range, the same in every run.
    let mut seed = 7_u64;
    for at in 0..tries + tries / 10 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = seed >> 33;
        let (mut own, mut bare) = ((Duration::ZERO, 0), (Duration::ZERO, 0));
        for turn in 0..2 {
            let started = Instant::now();
            if (turn + at) % 2 == 0 {
                let rows = black_box(reader(number)?);
                own = (started.elapsed(), rows);
            } else {
                let rows = black_box(floor(number)?);
                bare = (started.elapsed(), rows);
            }
        }
        if own.1 != bare.1 {
            let what = format!("{name}: the reader found {} rows and the floor {}", own.1, bare.1);
            return Err(failed("compare look-ups in", path, std::io::Error::other(what)));
        }
        if at >= tries / 10 {
            taken.reader.push(own.0);
            taken.floor.push(bare.0);
        }
    }
    Ok(taken)
}

/// Every column of every row is read, text is copied out, and nothing is made of it.
fn drain(statement: &mut rusqlite::Statement<'_>, binds: impl Params) -> rusqlite::Result<usize> {
    let columns = statement.column_count();
    let mut rows = statement.query(binds)?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Text(text) | ValueRef::Blob(text) => drop(black_box(text.to_vec())),
                ValueRef::Integer(number) => drop(black_box(number)),
                ValueRef::Real(_) | ValueRef::Null => {}
            }
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_and_floor_find_the_same_and_a_database_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size { trades: 300, logs: 2_000 };
        let path = database(folder.path(), size).unwrap();
        let made = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(database(folder.path(), size).unwrap(), path);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), made);
        let pairs = pairs(&path, size, 20).unwrap();
        let names: Vec<_> = pairs.iter().map(|pair| pair.name).collect();
        let all =
            ["position", "history_page", "log_page", "log_page_of_errors", "history_page_kept"];
        assert_eq!(names, all);
        assert!(pairs.iter().all(|pair| (pair.reader.len(), pair.floor.len()) == (20, 20)));
    }
}
