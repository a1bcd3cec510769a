//! The journal, the tables and their cache, on the disk of the data folder, two ways in turns.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sniper_core::event::EquityPoint;
use sniper_core::units::{Timestamp, Usd};
use sniper_store::journal::{Journal, Owner, Record, Recovery};
use sniper_store::tables::{
    LogCursor, LogLevel, LogRow, RunId, Store, StoreRow, TableCache, TableReader, TableWriter,
};

use super::trial::{BLOCKS, Measured};
use crate::config::Tuning;

/// Rows in a burst: half of what may wait.
const BURST: u32 = 4_096;
/// Longest wait for a burst to be written.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of the log, those of a page, and pages that are leafed through.
const LINES: u32 = 2_000;
const PAGE: u32 = 100;
const PAGES: usize = 12;
/// What is measured of a cache.
pub(super) const LEAFED: &str = "a page, twelve leafed through again and again";
/// Barriers in a turn, and bytes before each.
const BARRIERS: u32 = 16;
const RECORD: usize = 16 << 10;

/// Does a turn of each way until there are enough and the time is over, and begins with each as often.
fn in_turns(
    span: Duration,
    mut turn: impl FnMut(usize) -> anyhow::Result<f64>,
) -> anyhow::Result<[Vec<f64>; 2]> {
    let begun = Instant::now();
    let mut figures: [Vec<f64>; 2] = Default::default();
    for nth in 0_usize.. {
        // Twice as long at most: a disk may be slow.
        let took = begun.elapsed();
        if (nth >= BLOCKS && took >= span) || (nth >= 8 && took >= span * 2) {
            break;
        }
        for way in if nth.is_multiple_of(2) { [0, 1] } else { [1, 0] } {
            let figure = turn(way)?;
            if let Some(figures) = figures.get_mut(way) {
                figures.push(figure);
            }
        }
    }
    Ok(figures)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// A journal of a run, set up as the engine's is.
pub(super) fn journal(folder: &Path, tuning: &Tuning) -> anyhow::Result<Journal> {
    let recovery = Recovery::open(folder, Owner::default())?;
    let segments = recovery.segments();
    let mut reader = segments.records_from(segments.first())?;
    for entry in reader.by_ref() {
        entry?;
    }
    let mut journal = recovery.write(&reader, tuning.journal(None))?;
    journal.ready_ahead();
    Ok(journal)
}

/// Writes records and puts each on the disk, as before a send.
pub(super) fn barriers(journal: &mut Journal, count: u32) -> anyhow::Result<()> {
    let record = Record::Header { version: 1, config: vec![7; RECORD], started: Timestamp::ZERO };
    for _ in 0..count {
        journal.append(&record)?;
        journal.sync()?;
    }
    Ok(())
}

/// How long a barrier of the journal takes.
pub(super) fn journals(
    folder: &Path,
    ways: [&Tuning; 2],
    span: Duration,
) -> anyhow::Result<Measured> {
    let [one, other] = ways;
    let mut both =
        [journal(&folder.join("journal-0"), one)?, journal(&folder.join("journal-1"), other)?];
    let turns = in_turns(span, |way| {
        let journal = both.get_mut(way).context("no such journal")?;
        let begun = Instant::now();
        barriers(journal, BARRIERS)?;
        Ok(ms(begun) / f64::from(BARRIERS))
    })?;
    for journal in both {
        journal.close()?;
    }
    Ok(Measured::of("barrier of the journal", "ms", turns))
}

/// Tables of a run, set up as the engine's are.
pub(super) fn tables(path: &Path, tuning: &Tuning) -> anyhow::Result<Store> {
    let store = Store::open(path, tuning.tables(0))?;
    let run = StoreRow::Run { run: RunId(1), version: "tune", mode: "tune".to_owned() };
    store.handle().try_send(run);
    Ok(store)
}

/// Hands over a burst of rows, and waits until they are in the tables. `nth` makes them others than those before.
pub(super) fn burst(store: &Store, nth: u32) -> anyhow::Result<()> {
    let handle = store.handle();
    let before = handle.status();
    let first = i64::from(nth) * i64::from(BURST);
    for row in 0..i64::from(BURST) {
        let at = Timestamp::from_millis(first + row);
        let point = EquityPoint { at, equity: Usd::dollars(1), exposure: Usd::ZERO };
        let taken = handle.try_send(StoreRow::Equity { run: RunId(1), point });
        ensure!(taken, "the tables take no rows any more");
    }
    let wanted = before.written + u64::from(BURST);
    let begun = Instant::now();
    loop {
        let now = handle.status();
        let refused = now.last_error.unwrap_or_default();
        ensure!(now.failed == before.failed, "the tables could not be written: {refused}");
        if now.written >= wanted {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the tables were not written within {PATIENCE:?}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// How long a burst of rows takes into the tables.
pub(super) fn batches(
    folder: &Path,
    ways: [&Tuning; 2],
    span: Duration,
) -> anyhow::Result<Measured> {
    let [one, other] = ways;
    let both = [tables(&folder.join("t0.sqlite"), one)?, tables(&folder.join("t1.sqlite"), other)?];
    let mut nth = 0;
    let turns = in_turns(span, |way| {
        nth += 1;
        let begun = Instant::now();
        burst(both.get(way).context("no such tables")?, nth)?;
        Ok(ms(begun))
    })?;
    for store in both {
        store.close()?;
    }
    Ok(Measured::of("4,096 rows into the tables", "ms", turns))
}

/// Makes tables with a log, and the cursor of each of its first pages.
pub(super) fn log(path: &Path) -> anyhow::Result<Vec<LogCursor>> {
    let mut writer = TableWriter::open(path, u64::from(LINES))?;
    let line = |nth: u32| StoreRow::Log {
        line: Box::new(LogRow {
            at: Timestamp::from_millis(i64::from(nth)),
            level: LogLevel::Info,
            target: "sniperforge::tune".into(),
            text: format!("line {nth} of a log that is leafed through, as long as most lines are"),
        }),
    };
    writer.write(&(0..LINES).map(line).collect::<Vec<_>>())?;
    writer.close()?;
    let reader = TableReader::open(path)?;
    let mut cursors = vec![LogCursor::NEWEST];
    while cursors.len() < PAGES {
        let last = *cursors.last().context("no page")?;
        let next = reader.logs(last, LogLevel::Trace, PAGE)?.next;
        cursors.push(next.context("the log has too few lines")?);
    }
    reader.close()?;
    Ok(cursors)
}

/// Leafs through the log once.
pub(super) fn leaf(cache: &mut TableCache, cursors: &[LogCursor]) -> anyhow::Result<()> {
    for cursor in cursors {
        let page = cache.logs(*cursor, LogLevel::Trace, PAGE)?;
        ensure!(!page.rows.is_empty(), "a page of the log is empty");
    }
    Ok(())
}

/// How long a page takes for somebody who leafs through twelve of them again and again.
pub(super) fn caches(
    folder: &Path,
    ways: [&Tuning; 2],
    span: Duration,
) -> anyhow::Result<Measured> {
    let path = folder.join("log.sqlite");
    let cursors = log(&path)?;
    let mut both = Vec::new();
    for tuning in ways {
        both.push(TableCache::keeping(TableReader::open(&path)?, tuning.cached_answers));
    }
    let turns = in_turns(span, |way| {
        let cache = both.get_mut(way).context("no such cache")?;
        let begun = Instant::now();
        leaf(cache, &cursors)?;
        leaf(cache, &cursors)?;
        Ok(ms(begun) * 1_000.0 / 24.0)
    })?;
    Ok(Measured::of(LEAFED, "us", turns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_tables_and_cache_are_the_real_ones_and_their_settings_are_felt() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Tuning::default();
        let span = Duration::from_millis(1);
        let roomy = Tuning { cached_answers: 32, ..plain };
        let kept = caches(folder.path(), [&plain, &roomy], span).unwrap();
        assert!(kept.change.unwrap().is_improvement(), "{}", kept.line());
        let single = Tuning { table_batch: 8, ..plain };
        let slow = batches(folder.path(), [&plain, &single], span).unwrap();
        assert!(slow.before > 0.0 && slow.change.is_some(), "{}", slow.line());
        let transactions = |name: &str, tuning| {
            let store = tables(&folder.path().join(name), tuning).unwrap();
            burst(&store, 0).unwrap();
            store.close().unwrap().transactions
        };
        assert!(transactions("a", &single) >= u64::from(BURST) / 8);
        assert!(transactions("b", &plain) < 64);
        let small = Tuning { journal_reserve: 64 << 10, ..plain };
        let barrier = journals(folder.path(), [&plain, &small], span).unwrap();
        assert!(barrier.before > 0.0 && barrier.change.is_some(), "{}", barrier.line());
    }
}
