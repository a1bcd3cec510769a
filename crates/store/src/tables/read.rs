//! Reading the tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Params, Row, params};
use sniper_core::event::EquityPoint;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Lamports, Seq, Slot, Timestamp, Usd};

use super::StoreError;
use super::connect::newest_schema;
use super::generation::Generations;
use super::number::Unsigned;
use super::page::{LogCursor, OrderCursor, Page, TradeCursor};
use super::row::{LogLevel, RunId};
use super::statements as sql;
use super::stored::{
    DailySums, StoredFill, StoredLog, StoredOrder, StoredPosition, StoredRefusals, StoredRun,
    StoredTrade, StoredVerdict, StrategySums, TokenSums, TradeSums,
};

/// Marks a database as ours: "SnpF".
const APPLICATION_ID: i64 = 0x536e_7046;

/// Most rows of one page, whatever is asked for.
pub(super) const PAGE_ROWS_MAX: u32 = 10_000;

/// How long a reader waits for a lock. A writer never holds one that readers need; a vacuum does.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Statements that are kept prepared.
const STATEMENTS: usize = 24;

/// The database, open for reading. An engine may write to it at the same time.
#[derive(Debug)]
pub struct TableReader {
    path: PathBuf,
    connection: Connection,
}

impl TableReader {
    /// Opens the database at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, it is not ours, is damaged, or has a schema that is not this program's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (version, newest) = (schema_of(&connection, path)?, newest_schema());
        let path = path.to_owned();
        if version > newest {
            return Err(StoreError::Newer { path, version });
        }
        if version < newest {
            return Err(StoreError::Older { path, version });
        }
        Ok(Self { path, connection })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What all further reads see is one moment, whatever is written meanwhile, until [`Self::release`].
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn hold(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN").map_err(StoreError::database("read", &self.path))
    }

    /// Ends what [`Self::hold`] began.
    ///
    /// # Errors
    ///
    /// When nothing was held.
    pub fn release(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT").map_err(StoreError::database("read", &self.path))
    }

    /// How often each kind of row has changed.
    pub(super) fn generations(&self) -> Result<Generations, StoreError> {
        let read = |row: &Row<'_>| {
            let mut generations = Generations::default();
            for (at, generation) in generations.0.iter_mut().enumerate() {
                *generation = row.get(at)?;
            }
            Ok(generations)
        };
        let found = self.one(sql::GENERATIONS, [], read)?;
        // Without them nothing could be known to hold.
        found.ok_or_else(|| {
            StoreError::database("read", &self.path)(rusqlite::Error::QueryReturnedNoRows)
        })
    }

    /// The newest `count` runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn runs(&self, count: u32) -> Result<Vec<StoredRun>, StoreError> {
        self.all(sql::RUNS, params![i64::MAX, bounded(count)], |row| {
            Ok(StoredRun { run: run(row)?, version: row.get(1)?, mode: row.get(2)? })
        })
    }

    /// The newest run.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn newest_run(&self) -> Result<Option<RunId>, StoreError> {
        Ok(self.runs(1)?.first().map(|run| run.run))
    }

    /// The `count` orders that were approved before `after`, over all runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn orders(
        &self,
        after: OrderCursor,
        count: u32,
    ) -> Result<Page<StoredOrder, OrderCursor>, StoreError> {
        let OrderCursor { approved, run, id } = after;
        let count = bounded(count);
        let at = (approved.get(), run.0, Unsigned(id.cause.get()), id.nth);
        let rows = self.all(sql::ORDERS, params![at.0, at.1, at.2, at.3, count + 1], order)?;
        Ok(Page::of(rows, count, |last| OrderCursor {
            approved: last.approved,
            run: last.run,
            id: last.id,
        }))
    }

    /// What an order changed in each mint.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn fills(&self, run: RunId, id: OrderId) -> Result<Vec<StoredFill>, StoreError> {
        self.all(sql::FILLS, params![run.0, Unsigned(id.cause.get()), id.nth], |row| {
            Ok(StoredFill {
                mint: MintId(row.get(0)?),
                delta: row.get(1)?,
                slot: Slot::new(unsigned(row, 2)?),
                at: Timestamp::new(row.get(3)?),
            })
        })
    }

    /// The `count` trades that come before `after`, over all runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn trades(
        &self,
        after: TradeCursor,
        count: u32,
    ) -> Result<Page<StoredTrade, TradeCursor>, StoreError> {
        let TradeCursor { closed, run, seq, place } = after;
        let count = bounded(count);
        let at = params![closed.get(), run.0, Unsigned(seq.get()), place, count + 1];
        let rows = self.all(sql::TRADES, at, trade)?;
        Ok(Page::of(rows, count, |last| TradeCursor {
            closed: last.closed,
            run: last.run,
            seq: last.seq,
            place: last.place,
        }))
    }

    /// The trades of each of `count` days before `before`, over all runs, the newest first. A day is counted from the
    /// Unix epoch.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn days(&self, before: i64, count: u32) -> Result<Page<DailySums, i64>, StoreError> {
        let count = bounded(count);
        let rows = self.all(sql::DAYS, params![before, count + 1], |row| {
            Ok(DailySums { day: row.get(0)?, sums: sums(row, 1)? })
        })?;
        Ok(Page::of(rows, count, |last| last.day))
    }

    /// The trades of each strategy in a run.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn by_strategy(&self, run: RunId) -> Result<Vec<StrategySums>, StoreError> {
        self.all(sql::STRATEGIES, [run.0], |row| {
            Ok(StrategySums {
                strategy: StrategyId(row.get(0)?),
                strategy_name: row.get(1)?,
                sums: sums(row, 2)?,
            })
        })
    }

    /// The trades of each of `count` tokens of a run that come after `after`, by their number.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn by_token(
        &self,
        run: RunId,
        after: Option<MintId>,
        count: u32,
    ) -> Result<Page<TokenSums, MintId>, StoreError> {
        let count = bounded(count);
        let after = after.map_or(-1, |mint| i64::from(mint.0));
        let rows = self.all(sql::TOKENS, params![run.0, after, count + 1], |row| {
            Ok(TokenSums {
                mint: MintId(row.get(0)?),
                symbol: row.get(1)?,
                address: row.get(2)?,
                sums: sums(row, 3)?,
            })
        })?;
        Ok(Page::of(rows, count, |last| last.mint))
    }

    /// The first `count` points from a time on of what all was worth in a run.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn equity(
        &self,
        run: RunId,
        from: Timestamp,
        count: u32,
    ) -> Result<Vec<EquityPoint>, StoreError> {
        self.all(sql::EQUITY, params![run.0, from.get(), bounded(count)], |row| {
            Ok(EquityPoint {
                at: Timestamp::new(row.get(0)?),
                equity: Usd::new(row.get(1)?),
                exposure: Usd::new(row.get(2)?),
            })
        })
    }

    /// What each strategy of a run holds.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn positions(&self, run: RunId) -> Result<Vec<StoredPosition>, StoreError> {
        self.all(sql::POSITIONS, [run.0], position)
    }

    /// What a strategy holds, or held last, of a mint.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn position(
        &self,
        run: RunId,
        strategy: StrategyId,
        mint: MintId,
    ) -> Result<Option<StoredPosition>, StoreError> {
        self.one(sql::POSITION, params![run.0, strategy.0, mint.0], position)
    }

    /// How often each strategy of a run was refused, by reason, the most frequent first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn refusals(&self, run: RunId) -> Result<Vec<StoredRefusals>, StoreError> {
        let mut rows = self.all(sql::REFUSALS, [run.0], |row| {
            Ok(StoredRefusals {
                strategy: StrategyId(row.get(0)?),
                reason: row.get(1)?,
                count: unsigned(row, 2)?,
                last: Timestamp::new(row.get(3)?),
            })
        })?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        Ok(rows)
    }

    /// The last verdicts of the token gate, newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn recent_verdicts(&self, count: u32) -> Result<Vec<StoredVerdict>, StoreError> {
        let newest = params![i64::MAX, Unsigned(u64::MAX), AFTER_EVERY_TEXT, bounded(count)];
        self.all(sql::VERDICTS, newest, |row| {
            let reasons: String = row.get(4)?;
            Ok(StoredVerdict {
                mint: row.get(0)?,
                slot: Slot::new(unsigned(row, 1)?),
                at: Timestamp::new(row.get(2)?),
                safe: row.get::<_, i64>(3)? == 1,
                reasons: reasons.lines().map(str::to_owned).collect(),
            })
        })
    }

    /// The `count` lines of the log that come before `after` and are at least as grave as `least`, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn logs(
        &self,
        after: LogCursor,
        least: LogLevel,
        count: u32,
    ) -> Result<Page<StoredLog, LogCursor>, StoreError> {
        let count = bounded(count);
        let mut rows = Vec::new();
        if least == LogLevel::Trace {
            rows = self.all(sql::LOGS, params![after.0, count + 1], log)?;
        } else {
            // One search a level finds as many as can be wanted of it, however rare it is.
            for level in LogLevel::ALL.into_iter().filter(|level| *level <= least) {
                let page = params![level.number(), after.0, count + 1];
                rows.extend(self.all(sql::LOGS_OF_LEVEL, page, log)?);
            }
            rows.sort_unstable_by_key(|line| std::cmp::Reverse(line.id));
        }
        Ok(Page::of(rows, count, |last| LogCursor(last.id)))
    }

    /// Closes the database.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { path, connection } = self;
        connection.close().map_err(|(_, error)| StoreError::database("close", &path)(error))
    }

    fn all<T>(
        &self,
        statement: &str,
        binds: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare_cached(statement)?;
            let mut rows = statement.query(binds)?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(read(row)?);
            }
            Ok(out)
        };
        rows().map_err(StoreError::database("read", &self.path))
    }

    fn one<T>(
        &self,
        statement: &str,
        binds: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let row = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare_cached(statement)?;
            let mut rows = statement.query(binds)?;
            rows.next()?.map(read).transpose()
        };
        row().map_err(StoreError::database("read", &self.path))
    }
}

/// A blob: it sorts after every text.
pub(super) const AFTER_EVERY_TEXT: &[u8] = &[];

fn bounded(count: u32) -> u32 {
    count.min(PAGE_ROWS_MAX)
}

/// Opens a file that is there, without changing it.
pub(super) fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Absent { path: path.to_owned() });
    }
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(LOCK_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Sorting is never needed; what a large page touches need not stay.
        connection.execute_batch("PRAGMA cache_size = -1024; PRAGMA temp_store = FILE")?;
        Ok(connection)
    });
    opened.map_err(StoreError::unopened(path))
}

/// Which schema it has.
///
/// # Errors
///
/// When it is not ours, or there is nothing in it.
pub(super) fn schema_of(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let count = |statement| connection.query_row(statement, [], |row| row.get::<_, i64>(0));
    let known = || -> rusqlite::Result<_> {
        let id = count("PRAGMA application_id")?;
        let tables = count("SELECT count(*) FROM sqlite_schema")?;
        let migrated = count("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")?;
        Ok((id, tables, migrated))
    };
    let absent = || StoreError::Absent { path: path.to_owned() };
    match known().map_err(StoreError::unopened(path))? {
        (APPLICATION_ID, _, 1) | (0, 1.., 1) => {}
        (APPLICATION_ID | 0, 0, _) => return Err(absent()),
        _ => return Err(StoreError::Foreign { path: path.to_owned() }),
    }
    match count("SELECT coalesce(max(version), 0) FROM _sqlx_migrations") {
        Ok(0) => Err(absent()),
        Ok(version) => Ok(version),
        Err(error) => Err(StoreError::database("read", path)(error)),
    }
}

fn order(row: &Row<'_>) -> rusqlite::Result<StoredOrder> {
    Ok(StoredOrder {
        run: run(row)?,
        id: order_id(row, 1)?,
        strategy: StrategyId(row.get(3)?),
        strategy_name: row.get(4)?,
        mint_in: MintId(row.get(5)?),
        mint_out: MintId(row.get(6)?),
        pools: row.get(7)?,
        amount_in: Atoms::new(unsigned(row, 8)?),
        min_out: Atoms::new(unsigned(row, 9)?),
        expected_out: Atoms::new(unsigned(row, 10)?),
        value: Usd::new(row.get(11)?),
        reason: row.get(12)?,
        approved: Timestamp::new(row.get(13)?),
        status: row.get(14)?,
        signature: row.get(15)?,
        closed: row.get::<_, Option<i64>>(16)?.map(Timestamp::new),
        slot: row.get::<_, Option<Unsigned>>(17)?.map(|slot| Slot::new(slot.0)),
        fee: row.get::<_, Option<Unsigned>>(18)?.map(|fee| Lamports::new(fee.0)),
        rent: row.get::<_, Option<Unsigned>>(19)?.map(|rent| Lamports::new(rent.0)),
        detail: row.get(20)?,
    })
}

fn trade(row: &Row<'_>) -> rusqlite::Result<StoredTrade> {
    Ok(StoredTrade {
        run: run(row)?,
        seq: Seq::new(unsigned(row, 1)?),
        place: row.get(2)?,
        order: order_id(row, 3)?,
        strategy: StrategyId(row.get(5)?),
        strategy_name: row.get(6)?,
        mint: MintId(row.get(7)?),
        symbol: row.get(8)?,
        amount: Atoms::new(unsigned(row, 9)?),
        cost: Usd::new(row.get(10)?),
        proceeds: Usd::new(row.get(11)?),
        fee: Usd::new(row.get(12)?),
        profit: Usd::new(row.get(13)?),
        opened: Timestamp::new(row.get(14)?),
        closed: Timestamp::new(row.get(15)?),
    })
}

fn position(row: &Row<'_>) -> rusqlite::Result<StoredPosition> {
    Ok(StoredPosition {
        strategy: StrategyId(row.get(0)?),
        strategy_name: row.get(1)?,
        mint: MintId(row.get(2)?),
        symbol: row.get(3)?,
        amount: Atoms::new(unsigned(row, 4)?),
        cost: Usd::new(row.get(5)?),
        opened: Timestamp::new(row.get(6)?),
        at: Timestamp::new(row.get(7)?),
    })
}

fn log(row: &Row<'_>) -> rusqlite::Result<StoredLog> {
    let level = row.get(2)?;
    let level =
        LogLevel::of_number(level).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, level))?;
    Ok(StoredLog {
        id: row.get(0)?,
        at: Timestamp::new(row.get(1)?),
        level,
        target: row.get(3)?,
        text: row.get(4)?,
    })
}

fn sums(row: &Row<'_>, first: usize) -> rusqlite::Result<TradeSums> {
    Ok(TradeSums {
        trades: row.get(first)?,
        wins: row.get(first + 1)?,
        cost: Usd::new(row.get(first + 2)?),
        proceeds: Usd::new(row.get(first + 3)?),
        fee: Usd::new(row.get(first + 4)?),
        profit: Usd::new(row.get(first + 5)?),
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunId> {
    row.get(0).map(RunId)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, Unsigned>(column).map(|number| number.0)
}

fn order_id(row: &Row<'_>, column: usize) -> rusqlite::Result<OrderId> {
    let cause = Seq::new(unsigned(row, column)?);
    Ok(OrderId { cause, nth: row.get(column + 1)? })
}
