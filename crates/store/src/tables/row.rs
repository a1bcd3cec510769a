//! What is written into the tables.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sniper_core::event::{Closed, EquityPoint, MintSpec, Trade};
use sniper_core::gate::Verdict;
use sniper_core::ids::{MintId, OrderId, Signature, StrategyId};
use sniper_core::order::Order;
use sniper_core::units::{Atoms, BlockHeight, Seq, Timestamp, Usd};

/// A journal's name in the tables: when its first record was written, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl From<Timestamp> for RunId {
    fn from(started: Timestamp) -> Self {
        Self(started.get())
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Every step of it.
    Trace,
}

impl LogLevel {
    /// All, the gravest first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Error => 1,
            Self::Warn => 2,
            Self::Info => 3,
            Self::Debug => 4,
            Self::Trace => 5,
        }
    }

    pub(super) fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }

    /// Its name in capitals, as logs show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// A line of the log, without secrets: who logs cleans it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// When.
    pub at: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: Cow<'static, str>,
    /// Message and fields.
    pub text: String,
}

/// A change of the tables. Writing one twice is the same as writing it once, but for lines of the log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoreRow {
    /// A run began.
    Run {
        /// Which.
        run: RunId,
        /// Version of the program.
        version: &'static str,
        /// Paper, live, demo and so on.
        mode: String,
    },
    /// A strategy takes part.
    Strategy {
        /// In which run.
        run: RunId,
        /// Its number there.
        strategy: StrategyId,
        /// Its name.
        name: String,
    },
    /// A mint was met.
    Mint {
        /// In which run.
        run: RunId,
        /// Its number there.
        mint: MintId,
        /// What it is.
        spec: Box<MintSpec>,
    },
    /// An order was approved.
    Submitted {
        /// In which run.
        run: RunId,
        /// The order.
        order: Box<Order>,
    },
    /// Its transaction was signed.
    Signed {
        /// In which run.
        run: RunId,
        /// The order.
        order: OrderId,
        /// Its name on the chain.
        signature: Box<Signature>,
        /// After this height it can no longer land.
        last_valid: BlockHeight,
    },
    /// It reached its end, with its fills if it has any.
    Closed {
        /// In which run.
        run: RunId,
        /// Order and outcome.
        closed: Box<Closed>,
    },
    /// The block it had landed in was abandoned: its end, its fills and its trades never were.
    RolledBack {
        /// In which run.
        run: RunId,
        /// The order.
        order: OrderId,
    },
    /// A position was reduced.
    Trade {
        /// In which run.
        run: RunId,
        /// The event that did it.
        seq: Seq,
        /// Its place among the effects of that event.
        place: u32,
        /// What was given up, and for what.
        trade: Box<Trade>,
    },
    /// What a strategy holds of a mint; zero when it holds none any more.
    Position {
        /// In which run.
        run: RunId,
        /// Who.
        strategy: StrategyId,
        /// Of which mint.
        mint: MintId,
        /// How much.
        amount: Atoms,
        /// What it had cost.
        cost: Usd,
        /// When it was opened.
        opened: Timestamp,
        /// When this was so.
        at: Timestamp,
    },
    /// What all is worth.
    Equity {
        /// In which run.
        run: RunId,
        /// When and how much.
        point: EquityPoint,
    },
    /// What the token gate said of a mint.
    Verdict {
        /// The answer and every reason.
        verdict: Box<Verdict>,
        /// When it was given.
        at: Timestamp,
    },
    /// How often a strategy was refused for one reason since the run began.
    Refusals {
        /// In which run.
        run: RunId,
        /// Who.
        strategy: StrategyId,
        /// The refusal's short name.
        reason: Cow<'static, str>,
        /// How often.
        count: u64,
        /// When last.
        last: Timestamp,
    },
    /// A line of the log. Given with [`StoreHandle::try_log`](super::StoreHandle::try_log), so that a flood of them never
    /// takes the place of other rows.
    Log {
        /// The line.
        line: Box<LogRow>,
    },
}
