//! The SQLite tables: a projection of the journal for people and reports.
//!
//! [`Projector`] turns the engine's events and effects into [`StoreRow`]s, [`Store`] writes them from a thread of its
//! own, [`TableReader`] reads them. Rows are keyed by what they are about, so a replay writes the same rows again and
//! duplicates none.
//!
//! Unsigned 64-bit numbers are an INTEGER where they fit, else TEXT of 20 digits; there is no REAL anywhere.

mod connect;
mod number;
mod project;
mod read;
mod row;
mod writer;

pub use connect::rebuild;
pub use project::Projector;
pub use read::{
    StoredFill, StoredOrder, StoredPosition, StoredRefusals, StoredRun, StoredTrade, StoredVerdict,
    TableReader,
};
pub use row::{RunId, StoreRow};
pub use writer::{Store, StoreHandle, StoreOptions, StoreStatus};

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
        source: sqlx::Error,
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
        source: sqlx::Error,
    },
    /// The writing thread could not be started, or is gone.
    #[error("the thread that writes the database {} does not run", path.display())]
    Thread {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    fn database(action: &'static str, path: &Path) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { action, path: path.to_owned(), source }
    }
}
