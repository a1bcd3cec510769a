//! Opening the database, and all SQL that changes it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use sniper_core::event::{Closed, Trade};
use sniper_core::ids::OrderId;
use sniper_core::order::{Order, Outcome};
use sniper_core::units::{BlockHeight, Seq};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, query, query_scalar};

use super::StoreError;
use super::number::Unsigned;
use super::row::{RunId, StoreRow};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Marks a database as ours: "SnpF".
const APPLICATION_ID: i64 = 0x536e_7046;

/// Page cache in KiB: rows are written in order and rarely read back.
const CACHE: &str = "-256";

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(32)
        .pragma("cache_size", CACHE)
        .pragma("temp_store", "FILE")
        .disable_statement_logging()
}

/// Opens the database for writing; makes it, or brings its schema up to date.
pub(super) async fn for_writing(path: &Path) -> Result<SqliteConnection, StoreError> {
    let opened = options(path)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", "4194304")
        .connect()
        .await;
    let mut connection = opened.map_err(|source| unopened(path, source))?;
    let known = known_schema(&mut connection).await.map_err(|source| unopened(path, source))?;
    if known == Some(false) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    // Only now, as it lasts: readers then never wait for the writer.
    query("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await
        .map_err(|source| unopened(path, source))?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| migration(path, error))?;
    query("PRAGMA application_id = 1399746630")
        .execute(&mut connection)
        .await
        .map_err(StoreError::database("mark", path))?;
    Ok(connection)
}

/// Opens the database for reading only.
pub(super) async fn for_reading(path: &Path) -> Result<SqliteConnection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Absent { path: path.to_owned() });
    }
    let opened = options(path).read_only(true).connect().await;
    let mut connection = opened.map_err(|source| unopened(path, source))?;
    match known_schema(&mut connection).await.map_err(|source| unopened(path, source))? {
        Some(true) => {}
        Some(false) => return Err(StoreError::Foreign { path: path.to_owned() }),
        None => return Err(StoreError::Absent { path: path.to_owned() }),
    }
    let version: i64 = query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .map_err(StoreError::database("read", path))?;
    if !MIGRATIONS.version_exists(version) {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    Ok(connection)
}

/// Whether the database is ours; `None` when there is nothing in it yet.
async fn known_schema(connection: &mut SqliteConnection) -> Result<Option<bool>, sqlx::Error> {
    let id: i64 = query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: i64 =
        query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    let migrated: i64 =
        query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(connection)
            .await?;
    Ok(match (id, tables, migrated) {
        (APPLICATION_ID, ..) => Some(true),
        (0, 0, _) => None,
        // Begun and not marked yet; the migrations tell whether it is ours.
        (0, _, 1) => Some(true),
        _ => Some(false),
    })
}

fn unopened(path: &Path, source: sqlx::Error) -> StoreError {
    let code = source.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some("26") {
        return StoreError::Foreign { path: path.to_owned() };
    }
    StoreError::Unopened { path: path.to_owned(), source }
}

fn migration(path: &Path, error: MigrateError) -> StoreError {
    let path = path.to_owned();
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer { path, version },
        MigrateError::VersionMismatch(version) => StoreError::Altered { path, version },
        other => {
            let source = sqlx::Error::Migrate(Box::new(other));
            StoreError::Database { action: "migrate", path, source }
        }
    }
}

/// Replaces all rows of a run by these, at once: until it has succeeded, the old ones stay. Gives their number.
///
/// # Errors
///
/// When the database cannot be opened or written.
pub async fn rebuild(
    path: impl AsRef<Path>,
    run: RunId,
    rows: impl IntoIterator<Item = StoreRow>,
) -> Result<u64, StoreError> {
    let path = path.as_ref();
    let mut connection = for_writing(path).await?;
    let failed = StoreError::database("rebuild", path);
    let count = replace(&mut connection, run, rows).await.map_err(failed)?;
    connection.close().await.map_err(StoreError::database("close", path))?;
    Ok(count)
}

async fn replace(
    connection: &mut SqliteConnection,
    run: RunId,
    rows: impl IntoIterator<Item = StoreRow>,
) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for statement in [
        "DELETE FROM runs WHERE run_id = ?",
        "DELETE FROM strategies WHERE run_id = ?",
        "DELETE FROM mints WHERE run_id = ?",
        "DELETE FROM orders WHERE run_id = ?",
        "DELETE FROM fills WHERE run_id = ?",
        "DELETE FROM positions WHERE run_id = ?",
        "DELETE FROM trades WHERE run_id = ?",
        "DELETE FROM equity WHERE run_id = ?",
        "DELETE FROM refusals WHERE run_id = ?",
    ] {
        query(statement).bind(run.0).execute(&mut *transaction).await?;
    }
    let mut count = 0_u64;
    for row in rows {
        write(&mut transaction, &row).await?;
        count = count.saturating_add(1);
    }
    transaction.commit().await?;
    Ok(count)
}

/// Writes rows in one transaction: all or none.
pub(super) async fn write_all(
    connection: &mut SqliteConnection,
    rows: &[StoreRow],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for row in rows {
        write(&mut transaction, row).await?;
    }
    transaction.commit().await
}

async fn write(connection: &mut SqliteConnection, row: &StoreRow) -> Result<(), sqlx::Error> {
    let statement = match row {
        StoreRow::Submitted { run, order } => return submitted(connection, *run, order).await,
        StoreRow::Closed { run, closed } => return self::closed(connection, *run, closed).await,
        StoreRow::Trade { run, seq, place, trade } => {
            return self::trade(connection, *run, *seq, *place, trade).await;
        }
        StoreRow::RolledBack { run, order } => return rolled_back(connection, *run, *order).await,
        StoreRow::Run { run, version, mode } => {
            query("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)")
                .bind(run.0)
                .bind(*version)
                .bind(mode)
        }
        StoreRow::Strategy { run, strategy, name } => {
            query("INSERT OR REPLACE INTO strategies VALUES (?, ?, ?)")
                .bind(run.0)
                .bind(strategy.0)
                .bind(name)
        }
        StoreRow::Mint { run, mint, spec } => {
            query("INSERT OR REPLACE INTO mints VALUES (?, ?, ?, ?, ?, ?)")
                .bind(run.0)
                .bind(mint.0)
                .bind(spec.address.to_string())
                .bind(spec.symbol.to_string())
                .bind(spec.decimals)
                .bind(i64::from(spec.is_usd))
        }
        // An order that was closed before, as in a replay, stays so.
        StoreRow::Signed { run, order, signature, last_valid } => query(
            "UPDATE orders SET status = 'signed', signature = ?, last_valid = ?
             WHERE run_id = ? AND cause = ? AND nth = ? AND status IN ('submitted', 'signed')",
        )
        .bind(text_of(&signature.0))
        .bind(height(*last_valid))
        .bind(run.0)
        .bind(Unsigned(order.cause.get()))
        .bind(order.nth),
        StoreRow::Position { run, strategy, mint, amount, cost, opened, at } => {
            query("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)")
                .bind(run.0)
                .bind(strategy.0)
                .bind(mint.0)
                .bind(Unsigned(amount.get()))
                .bind(cost.get())
                .bind(opened.get())
                .bind(at.get())
        }
        StoreRow::Equity { run, point } => {
            query("INSERT OR REPLACE INTO equity VALUES (?, ?, ?, ?)")
                .bind(run.0)
                .bind(point.at.get())
                .bind(point.equity.get())
                .bind(point.exposure.get())
        }
        StoreRow::Verdict { verdict, at } => {
            let reasons: Vec<String> = verdict.reasons().iter().map(ToString::to_string).collect();
            query("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)")
                .bind(verdict.mint().to_string())
                .bind(Unsigned(verdict.slot().get()))
                .bind(at.get())
                .bind(i64::from(verdict.safe()))
                .bind(reasons.join("\n"))
        }
        StoreRow::Refusals { run, strategy, reason, count, last } => {
            query("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)")
                .bind(run.0)
                .bind(strategy.0)
                .bind(reason.as_ref())
                .bind(Unsigned(*count))
                .bind(last.get())
        }
    };
    statement.execute(connection).await.map(drop)
}

/// An order that is there already, as in a replay, may be further on: it is left as it is.
async fn submitted(
    connection: &mut SqliteConnection,
    run: RunId,
    order: &Order,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO orders (run_id, cause, nth, strategy, mint_in, mint_out, pools, amount_in, min_out, expected_out,
                             fee_cap, value_usd, reason, approved_at, expires_at, status)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'submitted')
         ON CONFLICT DO NOTHING",
    )
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
    query(
        "UPDATE orders SET status = ?, signature = coalesce(?, signature), closed_at = ?, slot = ?, fee = ?, rent = ?, detail = ?
         WHERE run_id = ? AND cause = ? AND nth = ?",
    )
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
        query("INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?)")
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

/// Takes the end of an order back: it is signed and under way again.
async fn rolled_back(
    connection: &mut SqliteConnection,
    run: RunId,
    order: OrderId,
) -> Result<(), sqlx::Error> {
    for statement in [
        "UPDATE orders SET status = 'signed', closed_at = NULL, slot = NULL, fee = NULL, rent = NULL, detail = NULL
         WHERE run_id = ? AND cause = ? AND nth = ?",
        "DELETE FROM fills WHERE run_id = ? AND cause = ? AND nth = ?",
        "DELETE FROM trades WHERE run_id = ? AND cause = ? AND nth = ?",
    ] {
        let cause = Unsigned(order.cause.get());
        let bound = query(statement).bind(run.0).bind(cause).bind(order.nth);
        bound.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn trade(
    connection: &mut SqliteConnection,
    run: RunId,
    seq: Seq,
    place: u32,
    trade: &Trade,
) -> Result<(), sqlx::Error> {
    query("INSERT OR REPLACE INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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
