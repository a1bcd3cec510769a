//! Pages of the tables for whoever asks again and again: the database is opened when it is first asked for, so an engine that
//! nobody asks pays nothing for it, and answers are kept for as long as the writer has changed nothing that they rest on.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sniper_store::tables::{
    LogCursor, LogLevel, OrderCursor, StoreError, TableCache, TableReader, TradeCursor,
};

use super::{DayLine, LogEntry, OrderLine, PositionLine, Shown, StrategyLine, TradeLine};

/// Rows of a page, unless asked for fewer or more.
const ROWS: u32 = 50;
/// Most rows of a page.
const ROWS_MAX: u32 = 500;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Positions reduced, newest first.
    Trades,
    /// Orders, newest first.
    Orders,
    /// Lines of the log, newest first.
    Logs,
    /// Sums of each day, newest first.
    Days,
    /// Sums of each strategy in the newest run.
    Strategies,
    /// What is held in the newest run.
    Positions,
}

/// Which page of it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    after: Option<String>,
    limit: Option<u32>,
    level: Option<LogLevel>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// What was asked makes no sense.
    Asked(String),
    /// The tables could not be read.
    Read(StoreError),
}

impl From<StoreError> for NoAnswer {
    fn from(error: StoreError) -> Self {
        Self::Read(error)
    }
}

/// The tables, once they are open.
#[derive(Debug)]
pub(crate) struct Pages {
    path: PathBuf,
    /// Answers of each kind that are kept.
    answers: usize,
    open: Mutex<Option<TableCache>>,
}

impl Pages {
    pub(crate) const fn new(path: PathBuf, answers: usize) -> Self {
        Self { path, answers, open: Mutex::new(None) }
    }

    /// Answers; a database that failed is opened anew the next time.
    pub(crate) fn answer(&self, question: Question, asked: &Asked) -> Result<Value, NoAnswer> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = match open.take() {
            Some(cache) => cache,
            None => TableCache::keeping(TableReader::open(&self.path)?, self.answers),
        };
        let answer = read(&mut cache, question, asked);
        if !matches!(answer, Err(NoAnswer::Read(_))) {
            *open = Some(cache);
        }
        answer
    }
}

fn read(cache: &mut TableCache, question: Question, asked: &Asked) -> Result<Value, NoAnswer> {
    let limit = asked.limit.unwrap_or(ROWS).clamp(1, ROWS_MAX);
    let end = None::<&str>;
    match question {
        Question::Trades => {
            let page = cache.trades(asked.after(TradeCursor::NEWEST)?, limit)?;
            json(&Shown::<TradeLine>::new(&page.rows, page.next))
        }
        Question::Orders => {
            let page = cache.orders(asked.after(OrderCursor::NEWEST)?, limit)?;
            json(&Shown::<OrderLine>::new(&page.rows, page.next))
        }
        Question::Logs => {
            let level = asked.level.unwrap_or(LogLevel::Trace);
            let page = cache.logs(asked.after(LogCursor::NEWEST)?, level, limit)?;
            json(&Shown::<LogEntry>::new(&page.rows, page.next))
        }
        Question::Days => {
            let page = cache.days(asked.after(i64::MAX)?, limit)?;
            json(&Shown::<DayLine>::new(&page.rows, page.next))
        }
        Question::Strategies => match cache.newest_run()? {
            Some(run) => json(&Shown::<StrategyLine>::new(&cache.by_strategy(run)?, end)),
            None => json(&Shown::<StrategyLine>::default()),
        },
        Question::Positions => match cache.newest_run()? {
            Some(run) => json(&Shown::<PositionLine>::new(&cache.positions(run)?, end)),
            None => json(&Shown::<PositionLine>::default()),
        },
    }
}

impl Asked {
    /// Where the page begins.
    fn after<C: FromStr<Err: std::fmt::Display>>(&self, first: C) -> Result<C, NoAnswer> {
        let Some(text) = &self.after else { return Ok(first) };
        text.parse().map_err(|error: C::Err| NoAnswer::Asked(format!("after: {error}")))
    }
}

fn json(shown: &impl Serialize) -> Result<Value, NoAnswer> {
    serde_json::to_value(shown).map_err(|error| NoAnswer::Asked(error.to_string()))
}
