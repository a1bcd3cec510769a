//! Reading the tables.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sniper_core::event::EquityPoint;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Lamports, Seq, Slot, Timestamp, Usd};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, query};

use super::StoreError;
use super::connect::for_reading;
use super::number::Unsigned;
use super::row::RunId;

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRun {
    /// Which.
    pub run: RunId,
    /// Version of the program that wrote it.
    pub version: String,
    /// Paper, live, demo and so on.
    pub mode: String,
}

/// An order, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredOrder {
    /// In which run.
    pub run: RunId,
    /// Its name.
    pub id: OrderId,
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// What it gives.
    pub mint_in: MintId,
    /// What it gets.
    pub mint_out: MintId,
    /// The pools, in order, separated by spaces.
    pub pools: String,
    /// What goes in at most.
    pub amount_in: Atoms,
    /// What comes out at least.
    pub min_out: Atoms,
    /// What should come out.
    pub expected_out: Atoms,
    /// What it was worth.
    pub value: Usd,
    /// Why it was wanted.
    pub reason: String,
    /// When it was approved.
    pub approved: Timestamp,
    /// `submitted`, `signed`, `filled`, `reverted`, `expired` or `rejected`.
    pub status: String,
    /// Its name on the chain.
    pub signature: Option<String>,
    /// When it reached its end.
    pub closed: Option<Timestamp>,
    /// Where it landed.
    pub slot: Option<Slot>,
    /// What the chain took.
    pub fee: Option<Lamports>,
    /// What accounts that it made have locked.
    pub rent: Option<Lamports>,
    /// Error code of a revert, or why it was rejected.
    pub detail: Option<String>,
}

/// What a landed order changed in one mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StoredFill {
    /// Of which mint.
    pub mint: MintId,
    /// How much, with its sign.
    pub delta: i64,
    /// Where it landed.
    pub slot: Slot,
    /// When that was known.
    pub at: Timestamp,
}

/// A position reduced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredTrade {
    /// In which run.
    pub run: RunId,
    /// The event that closed it.
    pub seq: Seq,
    /// The order that reduced it.
    pub order: OrderId,
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// What was held.
    pub mint: MintId,
    /// How much of it was given up.
    pub amount: Atoms,
    /// What that had cost.
    pub cost: Usd,
    /// What it brought.
    pub proceeds: Usd,
    /// The fee.
    pub fee: Usd,
    /// What was won.
    pub profit: Usd,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was reduced.
    pub closed: Timestamp,
}

/// What a strategy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StoredPosition {
    /// Whose.
    pub strategy: StrategyId,
    /// Of which mint.
    pub mint: MintId,
    /// How much.
    pub amount: Atoms,
    /// What it had cost.
    pub cost: Usd,
    /// When it was opened.
    pub opened: Timestamp,
    /// When this was so.
    pub at: Timestamp,
}

/// How often a strategy was refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRefusals {
    /// Whose wishes.
    pub strategy: StrategyId,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
}

/// What the token gate said of a mint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredVerdict {
    /// Of which mint, in base58.
    pub mint: String,
    /// As of which slot.
    pub slot: Slot,
    /// When.
    pub at: Timestamp,
    /// It may be bought.
    pub safe: bool,
    /// What speaks against it.
    pub reasons: Vec<String>,
}

/// The database, open for reading. An engine may write to it at the same time.
#[derive(Debug)]
pub struct TableReader {
    path: PathBuf,
    connection: SqliteConnection,
}

impl TableReader {
    /// Opens the database at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, it is not ours, or has a schema that is not known.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let connection = for_reading(path).await?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn runs(&mut self) -> Result<Vec<StoredRun>, StoreError> {
        self.all(query("SELECT run_id, version, mode FROM runs ORDER BY run_id DESC"), |row| {
            Ok(StoredRun { run: run(row)?, version: row.try_get(1)?, mode: row.try_get(2)? })
        })
        .await
    }

    /// The last `count` orders over all runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn recent_orders(&mut self, count: u32) -> Result<Vec<StoredOrder>, StoreError> {
        let statement = query(
            "SELECT o.run_id, o.cause, o.nth, o.strategy, s.name, o.mint_in, o.mint_out, o.pools, o.amount_in,
                    o.min_out, o.expected_out, o.value_usd, o.reason, o.approved_at, o.status, o.signature,
                    o.closed_at, o.slot, o.fee, o.rent, o.detail
             FROM orders AS o LEFT JOIN strategies AS s ON s.run_id = o.run_id AND s.strategy = o.strategy
             ORDER BY o.approved_at DESC, o.run_id DESC, o.cause DESC, o.nth DESC LIMIT ?",
        )
        .bind(count);
        self.all(statement, |row| {
            Ok(StoredOrder {
                run: run(row)?,
                id: order(row, 1)?,
                strategy: StrategyId(row.try_get(3)?),
                strategy_name: row.try_get(4)?,
                mint_in: MintId(row.try_get(5)?),
                mint_out: MintId(row.try_get(6)?),
                pools: row.try_get(7)?,
                amount_in: Atoms::new(unsigned(row, 8)?),
                min_out: Atoms::new(unsigned(row, 9)?),
                expected_out: Atoms::new(unsigned(row, 10)?),
                value: Usd::new(row.try_get(11)?),
                reason: row.try_get(12)?,
                approved: Timestamp::new(row.try_get(13)?),
                status: row.try_get(14)?,
                signature: row.try_get(15)?,
                closed: row.try_get::<Option<i64>, _>(16)?.map(Timestamp::new),
                slot: row.try_get::<Option<Unsigned>, _>(17)?.map(|slot| Slot::new(slot.0)),
                fee: row.try_get::<Option<Unsigned>, _>(18)?.map(|fee| Lamports::new(fee.0)),
                rent: row.try_get::<Option<Unsigned>, _>(19)?.map(|rent| Lamports::new(rent.0)),
                detail: row.try_get(20)?,
            })
        })
        .await
    }

    /// What an order changed in each mint.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn fills(&mut self, run: RunId, id: OrderId) -> Result<Vec<StoredFill>, StoreError> {
        let statement = query(
            "SELECT mint, delta, slot, at FROM fills WHERE run_id = ? AND cause = ? AND nth = ? ORDER BY mint",
        )
        .bind(run.0)
        .bind(Unsigned(id.cause.get()))
        .bind(id.nth);
        self.all(statement, |row| {
            Ok(StoredFill {
                mint: MintId(row.try_get(0)?),
                delta: row.try_get(1)?,
                slot: Slot::new(unsigned(row, 2)?),
                at: Timestamp::new(row.try_get(3)?),
            })
        })
        .await
    }

    /// The last `count` trades over all runs, the newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn recent_trades(&mut self, count: u32) -> Result<Vec<StoredTrade>, StoreError> {
        let statement = query(
            "SELECT t.run_id, t.seq, t.cause, t.nth, t.strategy, s.name, t.mint, t.amount, t.cost_usd, t.proceeds_usd,
                    t.fee_usd, t.profit_usd, t.opened_at, t.closed_at
             FROM trades AS t LEFT JOIN strategies AS s ON s.run_id = t.run_id AND s.strategy = t.strategy
             ORDER BY t.closed_at DESC, t.run_id DESC, t.seq DESC, t.place DESC LIMIT ?",
        )
        .bind(count);
        self.all(statement, |row| {
            Ok(StoredTrade {
                run: run(row)?,
                seq: Seq::new(unsigned(row, 1)?),
                order: order(row, 2)?,
                strategy: StrategyId(row.try_get(4)?),
                strategy_name: row.try_get(5)?,
                mint: MintId(row.try_get(6)?),
                amount: Atoms::new(unsigned(row, 7)?),
                cost: Usd::new(row.try_get(8)?),
                proceeds: Usd::new(row.try_get(9)?),
                fee: Usd::new(row.try_get(10)?),
                profit: Usd::new(row.try_get(11)?),
                opened: Timestamp::new(row.try_get(12)?),
                closed: Timestamp::new(row.try_get(13)?),
            })
        })
        .await
    }

    /// What all was worth in a run, from a time on, the oldest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn equity(
        &mut self,
        run: RunId,
        from: Timestamp,
    ) -> Result<Vec<EquityPoint>, StoreError> {
        let statement = query(
            "SELECT at, equity_usd, exposure_usd FROM equity WHERE run_id = ? AND at >= ? ORDER BY at",
        )
        .bind(run.0)
        .bind(from.get());
        self.all(statement, |row| {
            Ok(EquityPoint {
                at: Timestamp::new(row.try_get(0)?),
                equity: Usd::new(row.try_get(1)?),
                exposure: Usd::new(row.try_get(2)?),
            })
        })
        .await
    }

    /// What each strategy of a run holds.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn positions(&mut self, run: RunId) -> Result<Vec<StoredPosition>, StoreError> {
        let statement = query(
            "SELECT strategy, mint, amount, cost_usd, opened_at, at FROM positions
             WHERE run_id = ? AND amount <> 0 ORDER BY strategy, mint",
        )
        .bind(run.0);
        self.all(statement, |row| {
            Ok(StoredPosition {
                strategy: StrategyId(row.try_get(0)?),
                mint: MintId(row.try_get(1)?),
                amount: Atoms::new(unsigned(row, 2)?),
                cost: Usd::new(row.try_get(3)?),
                opened: Timestamp::new(row.try_get(4)?),
                at: Timestamp::new(row.try_get(5)?),
            })
        })
        .await
    }

    /// How often each strategy of a run was refused, by reason.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn refusals(&mut self, run: RunId) -> Result<Vec<StoredRefusals>, StoreError> {
        let statement = query(
            "SELECT strategy, reason, count, last_at FROM refusals
             WHERE run_id = ? ORDER BY count DESC, strategy, reason",
        )
        .bind(run.0);
        self.all(statement, |row| {
            Ok(StoredRefusals {
                strategy: StrategyId(row.try_get(0)?),
                reason: row.try_get(1)?,
                count: unsigned(row, 2)?,
                last: Timestamp::new(row.try_get(3)?),
            })
        })
        .await
    }

    /// The last verdicts of the token gate, newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn recent_verdicts(&mut self, count: u32) -> Result<Vec<StoredVerdict>, StoreError> {
        let statement = query(
            "SELECT mint, slot, at, safe, reasons FROM verdicts ORDER BY at DESC, slot DESC, mint LIMIT ?",
        )
        .bind(count);
        self.all(statement, |row| {
            let reasons: String = row.try_get(4)?;
            Ok(StoredVerdict {
                mint: row.try_get(0)?,
                slot: Slot::new(unsigned(row, 1)?),
                at: Timestamp::new(row.try_get(2)?),
                safe: row.try_get::<i64, _>(3)? == 1,
                reasons: reasons.lines().map(str::to_owned).collect(),
            })
        })
        .await
    }

    /// Closes the database.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    pub async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await.map_err(StoreError::database("close", &self.path))
    }

    async fn all<T>(
        &mut self,
        statement: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = statement.fetch_all(&mut self.connection).await;
        rows.and_then(|rows| rows.iter().map(read).collect())
            .map_err(StoreError::database("read", &self.path))
    }
}

fn run(row: &SqliteRow) -> Result<RunId, sqlx::Error> {
    row.try_get(0).map(RunId)
}

fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    row.try_get::<Unsigned, _>(column).map(|number| number.0)
}

fn order(row: &SqliteRow, column: usize) -> Result<OrderId, sqlx::Error> {
    let cause = Seq::new(unsigned(row, column)?);
    Ok(OrderId { cause, nth: row.try_get(column + 1)? })
}
