//! Pages, and where one goes on.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sniper_core::ids::OrderId;
use sniper_core::units::{Seq, Timestamp};
use thiserror::Error;

use super::row::RunId;

/// Some rows, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T, C> {
    /// The rows.
    pub rows: Vec<T>,
    /// What to ask for next; `None` when there is no more.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// One row more than `count` was asked for: whether it is there tells whether there are more.
    pub(super) fn of(mut rows: Vec<T>, count: u32, cursor: impl FnOnce(&T) -> C) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let is_more = rows.len() > count;
        rows.truncate(count);
        let next = if is_more { rows.last().map(cursor) } else { None };
        Self { rows, next }
    }
}

/// Text that is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a cursor of {what}: give the one that the page before ended with")]
pub struct ParseCursorError {
    what: &'static str,
}

/// Reads numbers between dashes.
fn numbers<const N: usize>(text: &str, what: &'static str) -> Result<[u64; N], ParseCursorError> {
    let mut out = [0; N];
    let mut parts = text.split('-');
    for number in &mut out {
        let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        *number = part.and_then(|part| part.parse().ok()).ok_or(ParseCursorError { what })?;
    }
    if parts.next().is_some() {
        return Err(ParseCursorError { what });
    }
    Ok(out)
}

fn narrow<T: TryFrom<u64>>(number: u64, what: &'static str) -> Result<T, ParseCursorError> {
    T::try_from(number).map_err(|_| ParseCursorError { what })
}

/// Declares a cursor's text and serialized form.
macro_rules! as_text {
    ($($cursor:ty),*) => {$(
        impl Serialize for $cursor {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
as_text!(TradeCursor, OrderCursor, LogCursor);

/// A trade's place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TradeCursor {
    /// When it was closed.
    pub closed: Timestamp,
    /// In which run.
    pub run: RunId,
    /// The event that closed it.
    pub seq: Seq,
    /// Its place among what that event closed.
    pub place: u32,
}

impl TradeCursor {
    /// Before the newest.
    pub const NEWEST: Self = Self {
        closed: Timestamp::new(i64::MAX),
        run: RunId(i64::MAX),
        seq: Seq::new(u64::MAX),
        place: u32::MAX,
    };
}

impl Display for TradeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.closed.get(), self.run.0, self.seq.get(), self.place)
    }
}

impl FromStr for TradeCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        const WHAT: &str = "trades";
        let [closed, run, seq, place] = numbers(text, WHAT)?;
        Ok(Self {
            closed: Timestamp::new(narrow(closed, WHAT)?),
            run: RunId(narrow(run, WHAT)?),
            seq: Seq::new(seq),
            place: narrow(place, WHAT)?,
        })
    }
}

/// An order's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderCursor {
    /// When it was approved.
    pub approved: Timestamp,
    /// In which run.
    pub run: RunId,
    /// Its name.
    pub id: OrderId,
}

impl OrderCursor {
    /// Before the newest.
    pub const NEWEST: Self = Self {
        approved: Timestamp::new(i64::MAX),
        run: RunId(i64::MAX),
        id: OrderId { cause: Seq::new(u64::MAX), nth: u16::MAX },
    };
}

impl Display for OrderCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderId { cause, nth } = self.id;
        write!(f, "{}-{}-{}-{nth}", self.approved.get(), self.run.0, cause.get())
    }
}

impl FromStr for OrderCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        const WHAT: &str = "orders";
        let [approved, run, cause, nth] = numbers(text, WHAT)?;
        Ok(Self {
            approved: Timestamp::new(narrow(approved, WHAT)?),
            run: RunId(narrow(run, WHAT)?),
            id: OrderId { cause: Seq::new(cause), nth: narrow(nth, WHAT)? },
        })
    }
}

/// A line's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogCursor(pub i64);

impl LogCursor {
    /// Before the newest.
    pub const NEWEST: Self = Self(i64::MAX);
}

impl Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LogCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        const WHAT: &str = "log lines";
        let [id] = numbers(text, WHAT)?;
        Ok(Self(narrow(id, WHAT)?))
    }
}
