//! Why a backtest did not run.

use sniper_core::sim::tape::TapeError;
use std::path::PathBuf;

use super::calendar;
use super::decimal::DecimalError;

/// Why a backtest did not run. Each says where and what to do; nothing is half written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// Not a length of a bar.
    #[error(
        "interval {text:?} is not a length of a bar: write a number and s, m, h, d or w, such as 15m, 1h or 1d"
    )]
    Interval {
        /// What was given.
        text: String,
    },
    /// Not a moment.
    #[error(
        "--{flag} {text:?} is not a moment: write 2023-04-01 or 2023-04-01T12:00, taken as UTC"
    )]
    Moment {
        /// The flag.
        flag: &'static str,
        /// What was given.
        text: String,
    },
    /// A setting outside its range.
    #[error("--{flag} {value}: {rule}")]
    Setting {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// Two settings that contradict each other.
    #[error("--from {from} is not before --to {to}: nothing lies between them")]
    EmptyRange {
        /// Start.
        from: String,
        /// End.
        to: String,
    },
    /// Neither a folder nor a file was named.
    #[error("nothing to read: give --data DIR with --symbol, or --file PATH")]
    NoSource,
    /// No strategy of that name.
    #[error("no strategy {name:?}: choose one of {}, or all", known.join(", "))]
    UnknownStrategy {
        /// What was given.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// No recording of that symbol and interval.
    #[error("{}: no {symbol}_{interval}.csv or .csv.zst below it{}", dir.display(), nearest(known))]
    NoSuchTape {
        /// Where it was looked for.
        dir: PathBuf,
        /// What was wanted.
        symbol: String,
        /// What was wanted.
        interval: String,
        /// Recordings of the same symbol, else of the same interval.
        known: Vec<String>,
    },
    /// The operating system says no.
    #[error("{}: cannot be read: check the path and its permissions", file.display())]
    Read {
        /// The file or folder.
        file: PathBuf,
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
    /// No bars in it.
    #[error("{}: holds no bars: expected a header line {} and one line for each bar", file.display(), super::bars::COLUMNS.join(","))]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// The compressed stream ends in the middle.
    #[error("{}: ends in the middle of a compressed frame after line {line}: the file was cut short, fetch it again", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Last line seen.
        line: u64,
    },
    /// The bytes are not what the name says.
    #[error("{}: cannot be decoded near line {line}: the file is damaged or is not what its name says, fetch it again", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Line reached.
        line: u64,
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
    /// The header is not the one of a tape.
    #[error("{}:1: columns are {found:?}, but must be {}", file.display(), super::bars::COLUMNS.join(","))]
    Columns {
        /// The file.
        file: PathBuf,
        /// Its header.
        found: Vec<String>,
    },
    /// A line that no tape may hold.
    #[error("{}:{line}: column {column}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column by name.
        column: &'static str,
        /// What is wrong and what to do.
        problem: Problem,
    },
    /// The range asked for holds no bar.
    #[error("{}: none of its {bars} bars lies in the range asked for: it spans {} to {}", file.display(), calendar::date_time(*first), calendar::date_time(*last))]
    NothingInRange {
        /// The file.
        file: PathBuf,
        /// Opening of its first bar, epoch milliseconds.
        first: i64,
        /// Opening of its last bar, epoch milliseconds.
        last: i64,
        /// How many it has.
        bars: u64,
    },
    /// The prices on the tape leave what a simulated pool can hold.
    #[error(
        "a pool of {depth_usd} USD cannot hold {symbol} at the prices of this tape: change --depth-usd or --decimals"
    )]
    Pool {
        /// The symbol.
        symbol: String,
        /// Depth asked for.
        depth_usd: u64,
    },
    /// Limits or settings that the engine or the venue refuses.
    #[error("{field}: {problem}")]
    Limits {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The report could not be written; an older one is untouched.
    #[error("{}: the report cannot be written: check that the folder exists, is writable and has room", path.display())]
    Report {
        /// Where.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Standard output is closed.
    #[error("the result cannot be printed")]
    Print(#[source] std::io::Error),
}

impl BacktestError {
    /// True when the command line is at fault, not the data or the machine.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Interval { .. }
                | Self::Moment { .. }
                | Self::Setting { .. }
                | Self::EmptyRange { .. }
                | Self::NoSource
                | Self::UnknownStrategy { .. }
        )
    }
}

/// What is wrong with a line of a tape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Too few or too many fields.
    #[error("{found} fields where the header has {wanted}: remove or repair the line")]
    Fields {
        /// On this line.
        found: usize,
        /// In the header.
        wanted: usize,
    },
    /// Not an opening time.
    #[error("\"{text}\" is not a time in epoch milliseconds")]
    Time {
        /// What stands there.
        text: String,
    },
    /// Off the grid.
    #[error(
        "{ts} is not a multiple of {step} ms: the tape has another --interval, or its clock is off"
    )]
    Misaligned {
        /// Opening time.
        ts: i64,
        /// Length of a bar.
        step: i64,
    },
    /// The same bar twice.
    #[error("{ts} is the time of the line before: remove one of the two bars")]
    Duplicate {
        /// Opening time.
        ts: i64,
    },
    /// Time runs backwards.
    #[error("{ts} is before {last} of the line above: sort the tape by time")]
    Backwards {
        /// Opening time.
        ts: i64,
        /// The one above.
        last: i64,
    },
    /// Not a price or a volume.
    #[error("\"{text}\" is no use: {source}; a missing bar is left out, never filled in")]
    Number {
        /// What stands there.
        text: String,
        /// Why.
        source: DecimalError,
    },
    /// The low is not the least of the four.
    #[error("the low is above the open or the close: the bar is damaged, leave it out")]
    LowAbove,
    /// The high is not the greatest of the four.
    #[error("the high is below the open or the close: the bar is damaged, leave it out")]
    HighBelow,
}

impl From<TapeError> for BacktestError {
    fn from(error: TapeError) -> Self {
        match error {
            TapeError::Limits { field, problem } => Self::Limits { field, problem },
            TapeError::Pool { symbol, depth_usd } => Self::Pool { symbol, depth_usd },
        }
    }
}

fn nearest(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there is {}", known.join(", ")) }
}
