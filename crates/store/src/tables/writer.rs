//! Writing the tables without making anyone wait.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::StoreError;
use super::connect::for_writing;
use super::row::{LogRow, StoreRow};
use super::write::write_all;

/// Most rows in one transaction, unless told otherwise.
const BATCH: usize = 512;

/// How long the first row of a batch waits for company: the sender wakes the writer once in this time at most.
const GATHER: Duration = Duration::from_millis(50);

/// Log lines that may wait: a flood of them must not take the place of other rows.
const LOG_LINES_WAITING_MAX: usize = 512;

/// How the writer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Rows that may wait; what comes on top is dropped and counted.
    pub capacity: usize,
    /// Lines of the log that the tables keep; the oldest go. With 0 none is taken.
    pub log_lines: u64,
    /// Most rows in one transaction, at least one.
    pub batch: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { capacity: 8_192, log_lines: 100_000, batch: BATCH }
    }
}

/// Told how long a query took, by its name.
pub type Timed = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// What became of the rows so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Written.
    pub written: u64,
    /// Transactions that wrote them.
    pub transactions: u64,
    /// Not taken, as too many were waiting. The tables can be rebuilt from the journal.
    pub dropped: u64,
    /// Taken and not written, as the database failed. The tables can be rebuilt from the journal.
    pub failed: u64,
    /// Log lines that were not taken, as too many were waiting. They are nowhere else.
    pub log_lines_dropped: u64,
    /// The last failure.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    transactions: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    log_lines_waiting: AtomicUsize,
    log_lines_dropped: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    fn status(&self) -> StoreStatus {
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        StoreStatus {
            written: self.written.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            log_lines_dropped: self.log_lines_dropped.load(Ordering::Relaxed),
            last_error: last_error.clone(),
        }
    }
}

/// Gives rows to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    rows: Sender<StoreRow>,
    shared: Arc<Shared>,
    log_lines: u64,
}

impl StoreHandle {
    /// Hands a row over without ever waiting. False when it was dropped, which is also counted.
    ///
    /// A line of the log goes by [`Self::try_log`].
    pub fn try_send(&self, row: StoreRow) -> bool {
        if let StoreRow::Log { line } = row {
            return self.try_log(|| *line);
        }
        let taken = self.rows.try_send(row).is_ok();
        if !taken {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Hands a line of the log over without ever waiting, if lines are kept at all. A few may wait: what comes on top is
    /// dropped and counted. False when it was not taken.
    pub fn try_log(&self, line: impl FnOnce() -> LogRow) -> bool {
        if self.log_lines == 0 {
            return false;
        }
        let waiting = self.shared.log_lines_waiting.fetch_add(1, Ordering::Relaxed);
        let taken = waiting < LOG_LINES_WAITING_MAX
            && self.rows.try_send(StoreRow::Log { line: Box::new(line()) }).is_ok();
        if !taken {
            self.shared.log_lines_waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// What became of the rows so far.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        self.shared.status()
    }
}

/// The database, open for writing, and the thread that writes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    handle: StoreHandle,
    closing: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Opens the database at `path`, makes it if it is not there, brings its schema up to date, and starts to write.
    ///
    /// Waits for the disk, so do it before trading begins.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is not ours, or has a schema that is not known.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_timed(path, options, None)
    }

    /// As [`Self::open`], and tells `timed` on the writing thread how long each transaction took.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_timed(
        path: impl AsRef<Path>,
        options: StoreOptions,
        timed: Option<Timed>,
    ) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let (rows, receiver) = channel(options.capacity.max(1));
        let shared = Arc::new(Shared::default());
        let closing = Arc::new(Notify::new());
        let (opened, outcome) = std::sync::mpsc::sync_channel(1);
        let log_lines = options.log_lines;
        let writer = Writer {
            rows: receiver,
            shared: Arc::clone(&shared),
            closing: Arc::clone(&closing),
            log_lines,
            batch: options.batch.max(1),
            timed,
        };
        let lost = || StoreError::Thread { path: path.clone() };
        let target = path.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let runtime =
                    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
                        Ok(runtime) => runtime,
                        // The sender is dropped, which tells.
                        Err(_) => return,
                    };
                runtime.block_on(async move {
                    match for_writing(&target).await {
                        Ok(connection) => {
                            if opened.send(Ok(())).is_ok() {
                                writer.run(connection).await;
                            }
                        }
                        Err(error) => drop(opened.send(Err(error))),
                    }
                });
            })
            .map_err(|_| lost())?;
        outcome.recv().map_err(|_| lost())??;
        Ok(Self { path, handle: StoreHandle { rows, shared, log_lines }, closing, thread })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle to give rows to.
    #[must_use]
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Writes what was handed over so far, closes the database, and says what became of all rows.
    ///
    /// Handles that are left drop what they are given from now on. Waits for the disk.
    ///
    /// # Errors
    ///
    /// When the writing thread has died.
    pub fn close(self) -> Result<StoreStatus, StoreError> {
        self.closing.notify_one();
        let Self { path, handle, thread, .. } = self;
        thread.join().map_err(|_| StoreError::Thread { path })?;
        Ok(handle.status())
    }
}

struct Writer {
    rows: Receiver<StoreRow>,
    shared: Arc<Shared>,
    closing: Arc<Notify>,
    log_lines: u64,
    batch: usize,
    timed: Option<Timed>,
}

impl Writer {
    /// Until all senders are gone or the store is closed; then what waits is still written.
    async fn run(mut self, mut connection: SqliteConnection) {
        let mut batch = Vec::new();
        loop {
            batch.clear();
            tokio::select! {
                count = self.rows.recv_many(&mut batch, self.batch) => if count == 0 { break },
                () = self.closing.notified() => {
                    self.rows.close();
                    continue;
                }
            }
            self.gather(&mut batch).await;
            let logs = batch.iter().filter(|row| matches!(row, StoreRow::Log { .. })).count();
            self.shared.log_lines_waiting.fetch_sub(logs, Ordering::Relaxed);
            let begun = Instant::now();
            let outcome = write_all(&mut connection, &batch, self.log_lines).await;
            if let Some(timed) = &self.timed {
                timed("tables.transaction", begun.elapsed());
            }
            count(&self.shared.transactions, 1);
            match outcome {
                Ok(()) => count(&self.shared.written, batch.len()),
                Err(error) => self.failed(batch.len(), &error),
            }
        }
        if let Err(error) = connection.close().await {
            self.failed(0, &error);
        }
    }

    /// Gives more rows the time to come, so that many share a transaction.
    async fn gather(&mut self, batch: &mut Vec<StoreRow>) {
        let until = Instant::now() + GATHER;
        if batch.len() < self.batch && !self.rows.is_closed() {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.closing.notified() => self.rows.close(),
            }
        }
        while batch.len() < self.batch {
            let Ok(row) = self.rows.try_recv() else { break };
            batch.push(row);
        }
    }

    fn failed(&self, rows: usize, error: &sqlx::Error) {
        count(&self.shared.failed, rows);
        let mut last = self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(error.to_string());
    }
}

fn count(counter: &AtomicU64, rows: usize) {
    counter.fetch_add(u64::try_from(rows).unwrap_or(u64::MAX), Ordering::Relaxed);
}
