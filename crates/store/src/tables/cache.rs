//! Answers that are served again for as long as they hold.
//!
//! # Design
//!
//! An answer is kept with the generations that the database had *before* it was read. If the ones that it rests on are
//! the same when it is wanted again, no transaction that changed them was committed in between, so reading again would
//! give the same. A transaction that is committed while an answer is read makes it at worst look older than it is: it is
//! then read once more than needed. The writer raises generations in the transaction that changes the rows, so there is
//! no moment at which one is seen without the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StoreError;
use super::generation::{Generations, Subject};
use super::page::{LogCursor, OrderCursor, Page, TradeCursor};
use super::read::TableReader;
use super::row::{LogLevel, RunId};
use super::stored::{DailySums, StoredLog, StoredOrder, StoredPosition, StoredTrade, StrategySums};

/// Answers of one kind that are kept unless told otherwise: the first pages are what is asked for again.
const ANSWERS_MAX: usize = 8;

/// Answers of one kind, the newest last.
#[derive(Debug)]
struct Answers<K, T>(VecDeque<(K, Generations, Arc<T>)>);

impl<K, T> Default for Answers<K, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: PartialEq, T> Answers<K, T> {
    fn get(
        &mut self,
        reader: &TableReader,
        counts: &mut Counts,
        rests_on: &[Subject],
        key: K,
        read: impl FnOnce(&TableReader) -> Result<T, StoreError>,
    ) -> Result<Arc<T>, StoreError> {
        let now = reader.generations()?;
        let place = self.0.iter().position(|(known, ..)| *known == key);
        if let Some((_, then, answer)) = place.and_then(|place| self.0.get(place))
            && now.agree(then, rests_on)
        {
            counts.hits = counts.hits.saturating_add(1);
            return Ok(Arc::clone(answer));
        }
        counts.misses = counts.misses.saturating_add(1);
        let answer = Arc::new(read(reader)?);
        if let Some(place) = place {
            self.0.remove(place);
        } else if self.0.len() >= counts.answers_max {
            self.0.pop_front();
        }
        self.0.push_back((key, now, Arc::clone(&answer)));
        Ok(answer)
    }
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    hits: u64,
    misses: u64,
    /// Answers of one kind that are kept.
    answers_max: usize,
}

/// A reader that answers the same question from memory until the writer has changed what the answer rests on.
#[derive(Debug)]
pub struct TableCache {
    reader: TableReader,
    counts: Counts,
    trades: Answers<(TradeCursor, u32), Page<StoredTrade, TradeCursor>>,
    orders: Answers<(OrderCursor, u32), Page<StoredOrder, OrderCursor>>,
    logs: Answers<(LogCursor, LogLevel, u32), Page<StoredLog, LogCursor>>,
    days: Answers<(i64, u32), Page<DailySums, i64>>,
    strategies: Answers<RunId, Vec<StrategySums>>,
    positions: Answers<RunId, Vec<StoredPosition>>,
    newest: Answers<(), Option<RunId>>,
}

impl TableCache {
    /// Around a reader; keeps eight answers of each kind.
    #[must_use]
    pub fn new(reader: TableReader) -> Self {
        Self::keeping(reader, ANSWERS_MAX)
    }

    /// Around a reader; keeps so many answers of each kind, at least one.
    #[must_use]
    pub fn keeping(reader: TableReader, answers: usize) -> Self {
        Self {
            reader,
            counts: Counts { hits: 0, misses: 0, answers_max: answers.max(1) },
            trades: Answers::default(),
            orders: Answers::default(),
            logs: Answers::default(),
            days: Answers::default(),
            strategies: Answers::default(),
            positions: Answers::default(),
            newest: Answers::default(),
        }
    }

    /// How many answers came from memory, and how many from the database.
    #[must_use]
    pub const fn hits_and_misses(&self) -> (u64, u64) {
        (self.counts.hits, self.counts.misses)
    }

    /// As [`TableReader::newest_run`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn newest_run(&mut self) -> Result<Option<RunId>, StoreError> {
        let Self { reader, counts, newest, .. } = self;
        newest.get(reader, counts, &[Subject::Runs], (), TableReader::newest_run).map(|run| *run)
    }

    /// As [`TableReader::trades`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn trades(
        &mut self,
        after: TradeCursor,
        count: u32,
    ) -> Result<Arc<Page<StoredTrade, TradeCursor>>, StoreError> {
        let Self { reader, counts, trades, .. } = self;
        let on = [Subject::Trades, Subject::Runs];
        trades.get(reader, counts, &on, (after, count), |reader| reader.trades(after, count))
    }

    /// As [`TableReader::orders`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn orders(
        &mut self,
        after: OrderCursor,
        count: u32,
    ) -> Result<Arc<Page<StoredOrder, OrderCursor>>, StoreError> {
        let Self { reader, counts, orders, .. } = self;
        let on = [Subject::Orders, Subject::Runs];
        orders.get(reader, counts, &on, (after, count), |reader| reader.orders(after, count))
    }

    /// As [`TableReader::logs`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn logs(
        &mut self,
        after: LogCursor,
        least: LogLevel,
        count: u32,
    ) -> Result<Arc<Page<StoredLog, LogCursor>>, StoreError> {
        let Self { reader, counts, logs, .. } = self;
        logs.get(reader, counts, &[Subject::Logs], (after, least, count), |reader| {
            reader.logs(after, least, count)
        })
    }

    /// As [`TableReader::days`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn days(
        &mut self,
        before: i64,
        count: u32,
    ) -> Result<Arc<Page<DailySums, i64>>, StoreError> {
        let Self { reader, counts, days, .. } = self;
        days.get(reader, counts, &[Subject::Trades], (before, count), |reader| {
            reader.days(before, count)
        })
    }

    /// As [`TableReader::by_strategy`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn by_strategy(&mut self, run: RunId) -> Result<Arc<Vec<StrategySums>>, StoreError> {
        let Self { reader, counts, strategies, .. } = self;
        let on = [Subject::Trades, Subject::Runs];
        strategies.get(reader, counts, &on, run, |reader| reader.by_strategy(run))
    }

    /// As [`TableReader::positions`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn positions(&mut self, run: RunId) -> Result<Arc<Vec<StoredPosition>>, StoreError> {
        let Self { reader, counts, positions, .. } = self;
        let on = [Subject::Positions, Subject::Runs];
        positions.get(reader, counts, &on, run, |reader| reader.positions(run))
    }
}
