//! Opening the database for writing, and its schema.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, query, query_scalar};

use super::StoreError;
use super::row::{RunId, StoreRow};
use super::write::replace;

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
    // Before anything is changed.
    if known.is_some()
        && let version =
            version_of(&mut connection).await.map_err(|source| unopened(path, source))?
        && version > newest_schema()
    {
        return Err(StoreError::Newer { path: path.to_owned(), version });
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

/// The newest schema that this program knows.
pub(super) fn newest_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn version_of(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
}

/// The indexes that the schema of this program has, each with the statement that makes it.
pub(super) async fn indexes_of_schema() -> Result<Vec<(String, String)>, StoreError> {
    let path = Path::new(":memory:");
    let failed = |source| unopened(path, source);
    let mut connection = options(path).in_memory(true).connect().await.map_err(failed)?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| migration(path, error))?;
    let rows =
        query("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
            .fetch_all(&mut connection)
            .await
            .map_err(failed)?;
    let both = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    both.collect::<Result<_, _>>().map_err(failed)
}

fn unopened(path: &Path, source: sqlx::Error) -> StoreError {
    StoreError::unopened(path)(source)
}

fn migration(path: &Path, error: MigrateError) -> StoreError {
    let path = path.to_owned();
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer { path, version },
        MigrateError::VersionMismatch(version) => StoreError::Altered { path, version },
        other => {
            let source = match other {
                MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source,
                other => sqlx::Error::Migrate(Box::new(other)),
            };
            StoreError::database("migrate", &path)(source)
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
