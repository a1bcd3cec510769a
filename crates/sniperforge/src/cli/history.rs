//! `trades`, `orders history`, `positions`, `logs`: pages of the tables, also while an engine writes and after it has ended.

use serde::Serialize;
use sniper_store::tables::{LogCursor, LogLevel, OrderCursor, RunId, TableReader, TradeCursor};

use super::Global;
use super::db::DbFlag;
use super::exit::Exit;
use super::output::report;
use crate::config::Config;
use crate::db::{
    Columns, DayLine, LogEntry, OrderLine, PositionLine, Shown, StrategyLine, TokenLine, TradeLine,
    table,
};

/// Arguments of `trades`.
#[derive(Debug, clap::Args)]
pub struct TradesArgs {
    #[command(flatten)]
    db: DbFlag,
    /// Sums instead: of each day over all runs, or of each strategy or token of a run.
    #[arg(long, value_enum, conflicts_with = "after")]
    by: Option<By>,
    /// With --by strategy or token: the run; by default the newest.
    #[arg(long, value_name = "RUN", requires = "by")]
    run: Option<i64>,
    /// Rows of a page; with --by day: the newest so many days.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on where the page before ended.
    #[arg(long, value_name = "CURSOR")]
    after: Option<TradeCursor>,
}

/// What trades are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// Each day, in UTC, over all runs.
    Day,
    /// Each strategy of a run.
    Strategy,
    /// Each token of a run.
    Token,
}

/// Arguments of `orders history`.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    db: DbFlag,
    /// Rows of a page.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on where the page before ended.
    #[arg(long, value_name = "CURSOR")]
    after: Option<OrderCursor>,
}

/// Arguments of `positions`.
#[derive(Debug, clap::Args)]
pub struct PositionsArgs {
    #[command(flatten)]
    db: DbFlag,
    /// The run; by default the newest.
    #[arg(long, value_name = "RUN")]
    run: Option<i64>,
}

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    #[command(flatten)]
    db: DbFlag,
    /// The least grave that is shown.
    #[arg(long, value_enum, default_value_t = Level::Trace)]
    level: Level,
    /// Rows of a page.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on where the page before ended.
    #[arg(long, value_name = "CURSOR")]
    after: Option<LogCursor>,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

fn print<L: Serialize + Columns>(shown: &Shown<L>, global: &Global) -> anyhow::Result<Exit> {
    report(global.json, shown, || {
        let more = shown.next.as_ref().map(|next| format!("more: --after {next}\n"));
        format!("{}{}", table(&shown.rows), more.unwrap_or_default())
    })?;
    Ok(Exit::Done)
}

pub(super) fn trades(args: &TradesArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let reader = TableReader::open(args.db.path(config)?)?;
    let end = None::<&str>;
    match args.by {
        None => {
            let page = reader.trades(args.after.unwrap_or(TradeCursor::NEWEST), args.limit)?;
            print(&Shown::<TradeLine>::new(&page.rows, page.next), global)
        }
        Some(By::Day) => {
            let days = reader.days(i64::MAX, args.limit)?.rows;
            print(&Shown::<DayLine>::new(&days, end), global)
        }
        Some(By::Strategy) => {
            let sums = match run(&reader, args.run)? {
                Some(run) => reader.by_strategy(run)?,
                None => Vec::new(),
            };
            print(&Shown::<StrategyLine>::new(&sums, end), global)
        }
        Some(By::Token) => {
            let (mut sums, mut next) = (Vec::new(), None);
            if let Some(run) = run(&reader, args.run)? {
                loop {
                    let page = reader.by_token(run, next, args.limit)?;
                    sums.extend(page.rows);
                    next = page.next;
                    if next.is_none() {
                        break;
                    }
                }
            }
            print(&Shown::<TokenLine>::new(&sums, end), global)
        }
    }
}

pub(super) fn orders(args: &HistoryArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let reader = TableReader::open(args.db.path(config)?)?;
    let page = reader.orders(args.after.unwrap_or(OrderCursor::NEWEST), args.limit)?;
    print(&Shown::<OrderLine>::new(&page.rows, page.next), global)
}

pub(super) fn positions(
    args: &PositionsArgs,
    config: &Config,
    global: &Global,
) -> anyhow::Result<Exit> {
    let reader = TableReader::open(args.db.path(config)?)?;
    let held = match run(&reader, args.run)? {
        Some(run) => reader.positions(run)?,
        None => Vec::new(),
    };
    print(&Shown::<PositionLine>::new(&held, None::<&str>), global)
}

pub(super) fn logs(args: &LogsArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let reader = TableReader::open(args.db.path(config)?)?;
    let after = args.after.unwrap_or(LogCursor::NEWEST);
    let page = reader.logs(after, args.level.into(), args.limit)?;
    print(&Shown::<LogEntry>::new(&page.rows, page.next), global)
}

/// The run that is meant, if there is any.
fn run(reader: &TableReader, named: Option<i64>) -> anyhow::Result<Option<RunId>> {
    Ok(match named {
        Some(run) => Some(RunId(run)),
        None => reader.newest_run()?,
    })
}
