//! What the program's own statements do on a database that exists, and what would make them better.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde::Serialize;
use sqlx::Connection as _;

use super::StoreError;
use super::connect::{for_writing, indexes_of_schema, newest_schema};
use super::read::{AFTER_EVERY_TEXT, TableReader, connect, schema_of};
use super::statements::{ALL, Bind, Statement};

/// How often a statement is tried at most, and for how long.
const TRIES_MAX: usize = 200;
const TRY_FOR: Duration = Duration::from_millis(500);

/// Rows of the pages that are tried.
const PAGE_ROWS: i64 = 50;

/// Rows below which a table is one page.
const SMALL: u64 = 64;

/// Share of free space, and least bytes of it, from which making the file anew is worth its time.
const FREE_SHARE: u64 = 4;
const FREE_BYTES_MIN: u64 = 16 << 20;

/// What was found of a database.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The file.
    pub path: PathBuf,
    /// Its schema.
    pub schema: i64,
    /// Its size.
    pub bytes: u64,
    /// Of it unused.
    pub free_bytes: u64,
    /// Whether the planner knows how full the tables are.
    pub has_statistics: bool,
    /// Each table and its rows.
    pub tables: Vec<(String, u64)>,
    /// Every statement of the program.
    pub statements: Vec<Tried>,
    /// What could be better.
    pub findings: Vec<Finding>,
}

impl Analysis {
    /// Whether statements find their rows as they should: no scan, and no index missing.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_defect)
    }

    /// What would help, each once.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.findings.iter().filter_map(|finding| finding.action.clone()).collect()
    }
}

/// A statement, how the database carries it out, and how long that takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// What it is for.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
    /// The steps of the plan.
    pub plan: Vec<String>,
    /// How long it took; none for one that changes rows, which is not carried out.
    pub timing: Option<Timing>,
}

/// How long a statement took, in microseconds, with all its rows read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// How often it was tried.
    pub tries: usize,
    /// Rows that it gave.
    pub rows: usize,
    /// The median.
    pub p50_us: u64,
    /// Slower was one in a hundred.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// Something that could be better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// Whether statements do not find their rows as they should.
    pub is_defect: bool,
    /// What would help, if this program can do it.
    pub action: Option<Action>,
}

/// What can be done for a database. Nothing of it changes a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Make an index of the schema, in the place of one of its name if there is any.
    MakeIndex {
        /// Its name.
        name: String,
        /// The statement that makes it.
        sql: String,
    },
    /// Drop an index that no statement uses.
    DropIndex {
        /// Its name.
        name: String,
    },
    /// Count how full the tables are, for the planner.
    Analyze,
    /// Make the file anew without its free space.
    Vacuum,
}

impl Action {
    fn sql(&self) -> String {
        match self {
            Self::MakeIndex { name, sql } => {
                format!("DROP INDEX IF EXISTS {}; {sql}", quoted(name))
            }
            Self::DropIndex { name } => format!("DROP INDEX {}", quoted(name)),
            // Bounded, so that it takes no longer on a large table.
            Self::Analyze => "PRAGMA analysis_limit = 1000; ANALYZE".to_owned(),
            Self::Vacuum => "VACUUM".to_owned(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeIndex { name, .. } => write!(f, "make the index {name}"),
            Self::DropIndex { name } => write!(f, "drop the index {name}"),
            Self::Analyze => f.write_str("collect statistics"),
            Self::Vacuum => f.write_str("give free space back: end the engine first"),
        }
    }
}

/// An action that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Which.
    pub action: Action,
    /// How long it took, in milliseconds.
    pub took_ms: u128,
}

/// What a migration did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// The file.
    pub path: PathBuf,
    /// The schema it had.
    pub from: i64,
    /// The schema it has.
    pub to: i64,
}

/// Runs every statement of the program that reads, and has the plan of each that changes rows. Changes nothing.
///
/// # Errors
///
/// When the database cannot be read, is damaged, or has another schema than this program's.
pub fn analyse(path: impl AsRef<Path>) -> Result<Analysis, StoreError> {
    let path = path.as_ref();
    let wanted = on_a_runtime(path, indexes_of_schema)?;
    let reader = TableReader::open(path)?;
    let database = Database { path, connection: reader.connection() };
    let samples = database.samples(&reader)?;
    let mut statements = Vec::with_capacity(ALL.len());
    for statement in ALL {
        statements.push(Tried {
            name: statement.name,
            sql: statement.sql,
            plan: database.plan(statement)?,
            timing: database.time(statement, &samples)?,
        });
    }
    let pages = |pragma| database.number(pragma).map(|pages| u64::try_from(pages).unwrap_or(0));
    let page = pages("PRAGMA page_size")?;
    let bytes = page.saturating_mul(pages("PRAGMA page_count")?);
    let free_bytes = page.saturating_mul(pages("PRAGMA freelist_count")?);
    let has_statistics = database.has_statistics()?;
    let tables = database.tables()?;
    // Of a table that it knows to be that small the planner reads the one page there is.
    let is_small = |name: &str| {
        has_statistics && tables.iter().any(|(table, rows)| table == name && *rows < SMALL)
    };
    let mut findings = of_plans(&statements, is_small);
    findings.extend(of_indexes(&wanted, &database.indexes()?, &statements));
    if !has_statistics {
        findings.push(Finding {
            what: "there are no statistics: the planner guesses how full tables are".to_owned(),
            is_defect: false,
            action: Some(Action::Analyze),
        });
    }
    if free_bytes >= FREE_BYTES_MIN && free_bytes >= bytes / FREE_SHARE {
        findings.push(Finding {
            what: format!("{free_bytes} of {bytes} bytes are free"),
            is_defect: false,
            action: Some(Action::Vacuum),
        });
    }
    let (schema, path) = (newest_schema(), path.to_owned());
    Ok(Analysis { path, schema, bytes, free_bytes, has_statistics, tables, statements, findings })
}

/// Carries actions out: all or none, but for [`Action::Vacuum`], which comes last and by itself.
///
/// # Errors
///
/// When the database cannot be changed, is damaged, or has another schema than this program's. Nothing is changed then.
pub fn apply(path: impl AsRef<Path>, actions: &[Action]) -> Result<Vec<Applied>, StoreError> {
    let path = path.as_ref();
    TableReader::open(path)?.close()?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(&connection, path)?;
    let failed = || StoreError::database("optimize", path);
    let mut done = Vec::with_capacity(actions.len());
    let mut run = |action: &Action| {
        let started = Instant::now();
        connection.execute_batch(&action.sql()).map_err(failed())?;
        done.push(Applied { action: action.clone(), took_ms: started.elapsed().as_millis() });
        Ok(())
    };
    let (vacuums, others): (Vec<_>, Vec<_>) =
        actions.iter().partition(|action| **action == Action::Vacuum);
    // What fails half-way is taken back when the connection is dropped.
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed())?;
    others.into_iter().try_for_each(&mut run)?;
    connection.execute_batch("COMMIT").map_err(failed())?;
    vacuums.into_iter().try_for_each(run)?;
    Ok(done)
}

/// Brings the schema of a database that is there up to date. One that is up to date already is left as it is.
///
/// # Errors
///
/// When there is none, it is not ours, is damaged, is newer than this program, or cannot be changed.
pub fn migrate(path: impl AsRef<Path>) -> Result<Migrated, StoreError> {
    let path = path.as_ref();
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (from, to) = (schema_of(&connection, path)?, newest_schema());
    if from > to {
        return Err(StoreError::Newer { path: path.to_owned(), version: from });
    }
    check(&connection, path)?;
    drop(connection);
    on_a_runtime(path, async || {
        let connection = for_writing(path).await?;
        connection.close().await.map_err(StoreError::database("close", path))
    })?;
    Ok(Migrated { path: path.to_owned(), from, to })
}

/// That its pages agree.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let said = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match said.map_err(StoreError::database("check", path))? {
        said if said == "ok" => Ok(()),
        what => {
            let what = what.replace('\n', " ");
            Err(StoreError::Damaged { path: path.to_owned(), what })
        }
    }
}

fn on_a_runtime<T>(
    path: &Path,
    run: impl AsyncFnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|_| StoreError::Thread { path: path.to_owned() })?.block_on(run())
}

/// What parameters are tried with.
struct Samples {
    run: i64,
    cause: Value,
    nth: Value,
    strategy: i64,
    mint: i64,
}

struct Database<'a> {
    path: &'a Path,
    connection: &'a Connection,
}

impl Database<'_> {
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        read(self.connection).map_err(StoreError::database("read", self.path))
    }

    fn number(&self, statement: &str) -> Result<i64, StoreError> {
        self.read(|connection| connection.query_row(statement, [], |row| row.get(0)))
    }

    fn samples(&self, reader: &TableReader) -> Result<Samples, StoreError> {
        let run = reader.newest_run()?.map_or(0, |run| run.0);
        let cause_and_nth = self.read(|connection| {
            let mut any =
                connection.prepare("SELECT cause, nth FROM orders WHERE run_id = ? LIMIT 1")?;
            let mut rows = any.query([run])?;
            rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
        })?;
        let (cause, nth) = cause_and_nth.unwrap_or((Value::Integer(0), Value::Integer(0)));
        let held = reader.positions(super::RunId(run))?;
        let (strategy, mint) =
            held.first().map_or((0, 0), |held| (held.strategy.0.into(), held.mint.0.into()));
        Ok(Samples { run, cause, nth, strategy, mint })
    }

    fn plan(&self, statement: &Statement) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql))?;
            let mut rows = plan.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next()? {
                steps.push(row.get("detail")?);
            }
            Ok(steps)
        })
    }

    fn time(&self, statement: &Statement, samples: &Samples) -> Result<Option<Timing>, StoreError> {
        let Some(binds) = statement.binds else { return Ok(None) };
        let values: Vec<Value> = binds.iter().map(|bind| samples.value(*bind)).collect();
        self.read(|connection| {
            let mut prepared = connection.prepare_cached(statement.sql)?;
            let (mut took, mut count) = (Vec::new(), 0);
            let began = Instant::now();
            while took.len() < TRIES_MAX && (took.is_empty() || began.elapsed() < TRY_FOR) {
                let started = Instant::now();
                let mut rows = prepared.query(params_from_iter(&values))?;
                count = 0;
                while rows.next()?.is_some() {
                    count += 1;
                }
                took.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok(Some(Timing::of(took, count)))
        })
    }

    fn has_statistics(&self) -> Result<bool, StoreError> {
        let there =
            self.number("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'")?;
        Ok(there > 0 && self.number("SELECT count(*) FROM sqlite_stat1")? > 0)
    }

    fn indexes(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|connection| {
            let mut indexes = connection.prepare(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
            )?;
            let rows = indexes.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn tables(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let names: Vec<String> = self.read(|connection| {
            let mut tables = connection.prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
                 AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY name",
            )?;
            tables.query_map([], |row| row.get(0))?.collect()
        })?;
        let count = |name: String| {
            let rows = self.number(&format!("SELECT count(*) FROM {}", quoted(&name)))?;
            Ok((name, u64::try_from(rows).unwrap_or(0)))
        };
        names.into_iter().map(count).collect()
    }
}

impl Samples {
    fn value(&self, bind: Bind) -> Value {
        match bind {
            Bind::Run => Value::Integer(self.run),
            Bind::Most => Value::Blob(AFTER_EVERY_TEXT.to_vec()),
            Bind::Least => Value::Integer(i64::MIN),
            Bind::Cause => self.cause.clone(),
            Bind::Nth => self.nth.clone(),
            Bind::Strategy => Value::Integer(self.strategy),
            Bind::Mint => Value::Integer(self.mint),
            Bind::Level => Value::Integer(super::LogLevel::Warn.number()),
            Bind::Limit => Value::Integer(PAGE_ROWS),
        }
    }
}

impl Timing {
    fn of(mut took: Vec<u64>, rows: usize) -> Self {
        took.sort_unstable();
        let rank = |share: usize| {
            let place = (took.len() * share).div_ceil(100).saturating_sub(1);
            took.get(place).copied().unwrap_or(0)
        };
        Self { tries: took.len(), rows, p50_us: rank(50), p99_us: rank(99), max_us: rank(100) }
    }
}

/// Steps that go through a whole table, sort, or make an index for the occasion.
fn of_plans(statements: &[Tried], is_small: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for tried in statements {
        if tried.plan.iter().any(|step| step.strip_prefix("SCAN ").is_some_and(&is_small)) {
            continue;
        }
        for step in &tried.plan {
            let problem = if step.starts_with("SCAN ") && !is_of_values(step) {
                "goes through a whole table"
            } else if step.contains("AUTOMATIC") {
                "makes an index for the occasion"
            } else if step.starts_with("USE TEMP B-TREE") {
                "sorts"
            } else {
                continue;
            };
            let what = format!("\"{}\" {problem}: {step}", tried.name);
            findings.push(Finding { what, is_defect: true, action: None });
        }
    }
    findings
}

/// Indexes of the schema that are not there, and others that no statement uses.
fn of_indexes(
    wanted: &[(String, String)],
    there: &[(String, String)],
    statements: &[Tried],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, sql) in wanted {
        let problem = match there.iter().find(|(known, _)| known == name) {
            Some((_, made)) if made == sql => continue,
            Some(_) => "is not the one of the schema",
            None => "is missing",
        };
        findings.push(Finding {
            what: format!("the index {name} {problem}"),
            is_defect: true,
            action: Some(Action::MakeIndex { name: name.clone(), sql: sql.clone() }),
        });
    }
    let uses = |name: &str| {
        let mut steps = statements.iter().flat_map(|tried| &tried.plan);
        steps.any(|step| step.split_whitespace().any(|word| word == name))
    };
    for (name, _) in there {
        if !wanted.iter().any(|(known, _)| known == name) && !uses(name) {
            findings.push(Finding {
                what: format!("the index {name} is not of this program, and no statement uses it"),
                is_defect: false,
                action: Some(Action::DropIndex { name: name.clone() }),
            });
        }
    }
    findings
}

/// A name as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What goes through are rows that the statement itself brings, as SQLite's plans name them.
fn is_of_values(step: &str) -> bool {
    step == "SCAN CONSTANT ROW" || step.ends_with("-ROW VALUES CLAUSE")
}
