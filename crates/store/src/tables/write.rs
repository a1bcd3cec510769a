//! What each row changes, and what follows from it: the sums of trades and the generations, in the same transaction.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sniper_core::event::{Closed, Trade};
use sniper_core::ids::OrderId;
use sniper_core::order::{Order, Outcome};
use sniper_core::units::{BlockHeight, Seq};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Connection, Sqlite, query, query_scalar};

use super::StoreError;
use super::connect::for_writing;
use super::generation::{Subject, Touched};
use super::number::Unsigned;
use super::row::{LogRow, RunId, StoreRow};
use super::statements as sql;
use super::summary::Summaries;
use crate::failpoint::{Point, pass};

/// Most old log lines that one transaction forgets, so that a lower bound takes effect without a long one.
const FORGOTTEN_MAX: i64 = 4_096;

/// The database, open for writing on the caller's own thread: for tools. The engine has a [`Store`](super::Store), which
/// keeps nobody waiting.
#[derive(Debug)]
pub struct TableWriter {
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
    connection: SqliteConnection,
    log_lines: u64,
}

impl TableWriter {
    /// Opens the database at `path`, makes it if it is not there, and brings its schema up to date. Of lines of the log it
    /// keeps the last `log_lines`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is not ours, or has a schema that is not known.
    pub fn open(path: impl AsRef<Path>, log_lines: u64) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|_| StoreError::Thread { path: path.clone() })?;
        let connection = runtime.block_on(for_writing(&path))?;
        Ok(Self { path, runtime, connection, log_lines })
    }

    /// Writes rows in one transaction: all or none.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    pub fn write(&mut self, rows: &[StoreRow]) -> Result<(), StoreError> {
        let written = write_all(&mut self.connection, rows, self.log_lines);
        self.runtime.block_on(written).map_err(StoreError::database("write", &self.path))
    }

    /// As [`rebuild`](super::rebuild).
    ///
    /// # Errors
    ///
    /// When the database refuses: the old rows stay.
    pub fn rebuild(
        &mut self,
        run: RunId,
        rows: impl IntoIterator<Item = StoreRow>,
    ) -> Result<u64, StoreError> {
        let replaced = replace(&mut self.connection, run, rows);
        self.runtime.block_on(replaced).map_err(StoreError::database("rebuild", &self.path))
    }

    /// Closes the database.
    ///
    /// # Errors
    ///
    /// When the database refuses.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { path, runtime, connection, .. } = self;
        runtime.block_on(connection.close()).map_err(StoreError::database("close", &path))
    }
}

/// Replaces all rows of a run by these.
pub(super) async fn replace(
    connection: &mut SqliteConnection,
    run: RunId,
    rows: impl IntoIterator<Item = StoreRow>,
) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for statement in sql::FORGET {
        query(statement).bind(run.0).execute(&mut *transaction).await?;
    }
    let mut change = Change { touched: Touched::everything(), ..Change::default() };
    let mut count = 0_u64;
    for row in rows {
        change.write(&mut transaction, &row).await?;
        count = count.saturating_add(1);
    }
    change.finish(&mut transaction).await?;
    transaction.commit().await?;
    Ok(count)
}

/// Writes rows in one transaction: all or none. Of log lines the last `logs_max` stay.
pub(super) async fn write_all(
    connection: &mut SqliteConnection,
    rows: &[StoreRow],
    logs_max: u64,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut change = Change::default();
    let mut left = rows;
    while let Some((row, others)) = left.split_first() {
        left = if let Some((lines, others)) = log_lines(left) {
            change.logs(&mut transaction, lines).await?;
            others
        } else {
            change.write(&mut transaction, row).await?;
            others
        };
    }
    if let Some(newest) = change.newest_log {
        forget_logs(&mut transaction, newest, logs_max).await?;
    }
    change.finish(&mut transaction).await?;
    pass(Point::TablesCommit);
    transaction.commit().await
}

/// What a transaction has changed so far.
#[derive(Debug, Default)]
struct Change {
    touched: Touched,
    summaries: Summaries,
    newest_log: Option<i64>,
}

impl Change {
    /// What follows from all rows together.
    async fn finish(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.summaries.write(connection).await?;
        let mut raise = query(sql::RAISE);
        for by in self.touched.raises() {
            raise = raise.bind(by);
        }
        raise.execute(connection).await.map(drop)
    }

    async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        row: &StoreRow,
    ) -> Result<(), sqlx::Error> {
        self.touched.add(Subject::of(row));
        let statement = match row {
            StoreRow::Submitted { run, order } => return submitted(connection, *run, order).await,
            StoreRow::Closed { run, closed } => {
                return self::closed(connection, *run, closed).await;
            }
            StoreRow::Trade { run, seq, place, trade } => {
                return self.trade(connection, *run, *seq, *place, trade).await;
            }
            StoreRow::RolledBack { run, order } => {
                return self.rolled_back(connection, *run, *order).await;
            }
            StoreRow::Log { line } => return self.log(connection, line).await,
            StoreRow::Run { run, version, mode } => {
                query(sql::PUT_RUN).bind(run.0).bind(*version).bind(mode)
            }
            StoreRow::Strategy { run, strategy, name } => {
                query(sql::PUT_STRATEGY).bind(run.0).bind(strategy.0).bind(name)
            }
            StoreRow::Mint { run, mint, spec } => query(sql::PUT_MINT)
                .bind(run.0)
                .bind(mint.0)
                .bind(spec.address.to_string())
                .bind(spec.symbol.to_string())
                .bind(spec.decimals)
                .bind(i64::from(spec.is_usd)),
            StoreRow::Signed { run, order, signature, last_valid } => query(sql::SIGN_ORDER)
                .bind(text_of(&signature.0))
                .bind(height(*last_valid))
                .bind(run.0)
                .bind(Unsigned(order.cause.get()))
                .bind(order.nth),
            StoreRow::Position { run, strategy, mint, amount, cost, opened, at } => {
                query(sql::PUT_POSITION)
                    .bind(run.0)
                    .bind(strategy.0)
                    .bind(mint.0)
                    .bind(Unsigned(amount.get()))
                    .bind(cost.get())
                    .bind(opened.get())
                    .bind(at.get())
            }
            StoreRow::Equity { run, point } => query(sql::PUT_EQUITY)
                .bind(run.0)
                .bind(point.at.get())
                .bind(point.equity.get())
                .bind(point.exposure.get()),
            StoreRow::Verdict { verdict, at } => {
                let reasons: Vec<String> =
                    verdict.reasons().iter().map(ToString::to_string).collect();
                query(sql::PUT_VERDICT)
                    .bind(verdict.mint().to_string())
                    .bind(Unsigned(verdict.slot().get()))
                    .bind(at.get())
                    .bind(i64::from(verdict.safe()))
                    .bind(reasons.join("\n"))
            }
            StoreRow::Refusals { run, strategy, reason, count, last } => query(sql::PUT_REFUSALS)
                .bind(run.0)
                .bind(strategy.0)
                .bind(reason.as_ref())
                .bind(Unsigned(*count))
                .bind(last.get()),
        };
        statement.execute(connection).await.map(drop)
    }

    /// One that is there already, as in a replay, is replaced: its share of the sums goes with it.
    async fn trade(
        &mut self,
        connection: &mut SqliteConnection,
        run: RunId,
        seq: Seq,
        place: u32,
        trade: &Trade,
    ) -> Result<(), sqlx::Error> {
        let old = query(sql::OLD_TRADE).bind(run.0).bind(Unsigned(seq.get())).bind(place);
        if let Some(old) = old.fetch_optional(&mut *connection).await? {
            self.summaries.take(run, &old)?;
        }
        self.summaries.add(run, trade);
        query(sql::PUT_TRADE)
            .bind(run.0)
            .bind(Unsigned(seq.get()))
            .bind(place)
            .bind(Unsigned(trade.order.cause.get()))
            .bind(trade.order.nth)
            .bind(trade.strategy.0)
            .bind(trade.mint.0)
            .bind(Unsigned(trade.amount.get()))
            .bind(trade.cost.get())
            .bind(trade.proceeds.get())
            .bind(trade.fee.get())
            .bind(trade.profit.get())
            .bind(trade.opened.get())
            .bind(trade.closed.get())
            .execute(connection)
            .await
            .map(drop)
    }

    /// Takes the end of an order back: it is signed and under way again.
    async fn rolled_back(
        &mut self,
        connection: &mut SqliteConnection,
        run: RunId,
        order: OrderId,
    ) -> Result<(), sqlx::Error> {
        self.touched.add(Subject::Trades);
        for statement in [sql::REOPEN_ORDER, sql::DROP_FILLS] {
            let cause = Unsigned(order.cause.get());
            let bound = query(statement).bind(run.0).bind(cause).bind(order.nth);
            bound.execute(&mut *connection).await?;
        }
        let gone =
            query(sql::DROP_TRADES).bind(run.0).bind(Unsigned(order.cause.get())).bind(order.nth);
        for trade in gone.fetch_all(connection).await? {
            self.summaries.take(run, &trade)?;
        }
        Ok(())
    }

    async fn log(
        &mut self,
        connection: &mut SqliteConnection,
        line: &LogRow,
    ) -> Result<(), sqlx::Error> {
        let done = bind_line(query(sql::PUT_LOG), line).execute(connection).await?;
        self.newest_log = Some(done.last_insert_rowid());
        Ok(())
    }

    /// The same for many in one statement: each statement costs a way to the library's thread and back.
    async fn logs(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &[StoreRow; sql::LOG_LINES],
    ) -> Result<(), sqlx::Error> {
        let mut put = query(sql::PUT_LOGS);
        for row in rows {
            if let StoreRow::Log { line } = row {
                self.touched.add(Subject::of(row));
                put = bind_line(put, line);
            }
        }
        let done = put.execute(connection).await?;
        self.newest_log = Some(done.last_insert_rowid());
        Ok(())
    }
}

/// The first rows, where they are log lines and as many as one statement takes, and those behind them.
fn log_lines(rows: &[StoreRow]) -> Option<(&[StoreRow; sql::LOG_LINES], &[StoreRow])> {
    let (lines, others) = rows.split_first_chunk()?;
    lines.iter().all(|row| matches!(row, StoreRow::Log { .. })).then_some((lines, others))
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind_line<'q>(put: Bound<'q>, line: &'q LogRow) -> Bound<'q> {
    put.bind(line.at.get()).bind(line.level.number()).bind(line.target.as_ref()).bind(&line.text)
}

async fn forget_logs(
    connection: &mut SqliteConnection,
    newest: i64,
    logs_max: u64,
) -> Result<(), sqlx::Error> {
    let most = i64::try_from(logs_max).unwrap_or(i64::MAX);
    let oldest: Option<i64> = query_scalar(sql::OLDEST_LOG).fetch_one(&mut *connection).await?;
    let last_gone = newest.saturating_sub(most);
    let Some(oldest) = oldest.filter(|oldest| *oldest <= last_gone) else { return Ok(()) };
    let last_gone = last_gone.min(oldest.saturating_add(FORGOTTEN_MAX));
    query(sql::DROP_LOGS).bind(last_gone).execute(connection).await.map(drop)
}

/// An order that is there already, as in a replay, may be further on: it is left as it is.
async fn submitted(
    connection: &mut SqliteConnection,
    run: RunId,
    order: &Order,
) -> Result<(), sqlx::Error> {
    query(sql::PUT_ORDER)
        .bind(run.0)
        .bind(Unsigned(order.id().cause.get()))
        .bind(order.id().nth)
        .bind(order.strategy().0)
        .bind(order.mint_in().0)
        .bind(order.mint_out().0)
        .bind(pools(order))
        .bind(Unsigned(order.amount_in().get()))
        .bind(Unsigned(order.min_out().get()))
        .bind(Unsigned(order.expected_out().get()))
        .bind(Unsigned(order.fee_cap().get()))
        .bind(order.value().get())
        .bind(format!("{:?}", order.reason()))
        .bind(order.at().get())
        .bind(order.expires().get())
        .execute(connection)
        .await
        .map(drop)
}

async fn closed(
    connection: &mut SqliteConnection,
    run: RunId,
    closed: &Closed,
) -> Result<(), sqlx::Error> {
    let id = closed.order.id();
    // The row of its beginning may have been dropped.
    submitted(connection, run, &closed.order).await?;
    let rent = match &closed.outcome {
        Outcome::Filled { rent, .. } => Some(*rent),
        _ => None,
    };
    let (status, slot, fee, detail) = match &closed.outcome {
        Outcome::Filled { slot, fee, .. } => ("filled", Some(*slot), Some(*fee), None),
        Outcome::Reverted { slot, fee, code } => {
            let detail = code.map(|code| format!("error {code}"));
            ("reverted", Some(*slot), Some(*fee), detail)
        }
        Outcome::Expired => ("expired", None, None, None),
        Outcome::Rejected(reason) => ("rejected", None, None, Some(format!("{reason:?}"))),
    };
    query(sql::CLOSE_ORDER)
        .bind(status)
        .bind(closed.signature.map(|signature| text_of(&signature.0)))
        .bind(closed.at.get())
        .bind(slot.map(|slot| Unsigned(slot.get())))
        .bind(fee.map(|fee| Unsigned(fee.get())))
        .bind(rent.map(|rent| Unsigned(rent.get())))
        .bind(detail)
        .bind(run.0)
        .bind(Unsigned(id.cause.get()))
        .bind(id.nth)
        .execute(&mut *connection)
        .await?;
    let Outcome::Filled { slot, deltas, .. } = &closed.outcome else { return Ok(()) };
    for (mint, delta) in deltas {
        query(sql::PUT_FILL)
            .bind(run.0)
            .bind(Unsigned(id.cause.get()))
            .bind(id.nth)
            .bind(mint.0)
            .bind(*delta)
            .bind(Unsigned(slot.get()))
            .bind(closed.at.get())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn height(height: BlockHeight) -> Unsigned {
    Unsigned(height.get())
}

fn text_of(signature: &[u8]) -> String {
    bs58::encode(signature).into_string()
}

fn pools(order: &Order) -> String {
    let mut text = String::new();
    for leg in order.legs() {
        let space = if text.is_empty() { "" } else { " " };
        // Writing into a string cannot fail.
        write!(text, "{space}{}", leg.hop.pool.0).ok();
    }
    text
}
