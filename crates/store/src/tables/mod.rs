//! The SQLite tables: a projection of the journal for people and reports.
//!
//! [`Projector`] turns the engine's events and effects into [`StoreRow`]s, [`Store`] writes them from a thread of its
//! own, [`TableReader`] reads them. Rows are keyed by what they are about, so a replay writes the same rows again and
//! duplicates none.
//!
//! Every statement stands in one list (`statements`), and none of them scans a table: pages go by key, sums are kept by the
//! writer, and [`TableCache`] serves an answer again for as long as the writer has changed nothing that it rests on.
//! [`analyse`] runs that list on a database that exists. The writer is `sqlx`, which also has the schema; readers call the
//! same SQLite library directly, since a look-up takes less time than handing it to another thread.
//!
//! Unsigned 64-bit numbers are an INTEGER where they fit, else TEXT of 20 digits; there is no REAL anywhere.

mod cache;
mod connect;
mod generation;
pub mod lookups;
mod number;
mod optimize;
mod page;
mod project;
mod read;
mod row;
mod statements;
mod stored;
mod summary;
mod write;
mod writer;

pub use cache::TableCache;
pub use connect::rebuild;
pub use optimize::{
    Action, Analysis, Applied, Finding, Migrated, Timing, Tried, analyse, apply, migrate,
};
pub use page::{LogCursor, OrderCursor, Page, ParseCursorError, TradeCursor};
pub use project::Projector;
pub use read::TableReader;
pub use row::{LogLevel, LogRow, RunId, StoreRow};
pub use stored::{
    DailySums, StoredFill, StoredLog, StoredOrder, StoredPosition, StoredRefusals, StoredRun,
    StoredTrade, StoredVerdict, StrategySums, TokenSums, TradeSums,
};
pub use write::TableWriter;
pub use writer::{Store, StoreHandle, StoreOptions, StoreStatus, Timed};

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the tables cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the database {}: check that its folder exists and is writable", path.display())]
    Unopened {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nothing to read yet.
    #[error("there is no database at {}: it is made when the engine first runs", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// Some other file, or the database of another program.
    #[error("{} is not a database of this program: choose another path", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error(
        "the database {} has schema {version}, which this version of the program does not know: use a newer version, \
         or move the file away and rebuild it from the journal",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        version: i64,
    },
    /// Made by an older version of this program.
    #[error(
        "the database {} has schema {version}, which is older than this program reads: bring it up to date with \
         `sniperforge db migrate`, or start the engine, which does the same",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        version: i64,
    },
    /// Its pages do not agree.
    #[error(
        "the database {} is damaged ({what}): nothing was changed; move the file away and start the engine, which makes \
         it anew from the journal",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A schema that differs from ours under the same number.
    #[error(
        "schema {version} of the database {} is not the one this program made: move the file away and rebuild it \
         from the journal",
        path.display()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The schema that differs.
        version: i64,
    },
    /// The database refused.
    #[error("cannot {action} the database {}", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writing thread could not be started, or is gone.
    #[error("the thread that writes the database {} does not run", path.display())]
    Thread {
        /// The file.
        path: PathBuf,
    },
}

/// What both libraries can tell of a failure.
trait SqliteError: std::error::Error + Send + Sync + Sized + 'static {
    /// SQLite's result code, without its extension.
    fn primary_code(&self) -> Option<i32>;
}

impl SqliteError for sqlx::Error {
    fn primary_code(&self) -> Option<i32> {
        let code = self.as_database_error()?.code()?.parse::<i32>().ok()?;
        Some(code & 0xff)
    }
}

impl SqliteError for rusqlite::Error {
    fn primary_code(&self) -> Option<i32> {
        self.sqlite_error().map(|error| error.extended_code & 0xff)
    }
}

/// `SQLITE_CORRUPT`.
const CORRUPT: i32 = 11;
/// `SQLITE_NOTADB`.
const NOT_A_DATABASE: i32 = 26;

impl StoreError {
    fn database<E: SqliteError>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| {
            Self::of_the_file(path, &source).unwrap_or_else(|| Self::Database {
                action,
                path: path.to_owned(),
                source: Box::new(source),
            })
        }
    }

    fn unopened<E: SqliteError>(path: &Path) -> impl FnOnce(E) -> Self {
        move |source| {
            Self::of_the_file(path, &source).unwrap_or_else(|| Self::Unopened {
                path: path.to_owned(),
                source: Box::new(source),
            })
        }
    }

    /// What is wrong with the file itself, if that is it.
    fn of_the_file(path: &Path, source: &impl SqliteError) -> Option<Self> {
        let path = path.to_owned();
        match source.primary_code()? {
            NOT_A_DATABASE => Some(Self::Foreign { path }),
            CORRUPT => Some(Self::Damaged { path, what: source.to_string() }),
            _ => None,
        }
    }
}
