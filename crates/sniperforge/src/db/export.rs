//! Rows for other programs, in a file that is there whole or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::{bail, ensure};
use serde::Serialize;
use sniper_store::tables::{
    LogCursor, LogLevel, OrderCursor, Page, StoreError, TableReader, TradeCursor,
};

use super::{DayLine, LogEntry, OrderLine, TradeLine, write_whole};

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Every reduced position.
    Trades,
    /// Every order.
    Orders,
    /// The sums of each day.
    Days,
    /// The lines of the log that are kept.
    Logs,
}

/// Rows of a page.
const PAGE_ROWS: u32 = 1_000;

/// Writes `out`, which must not be there yet and whose name ends in `.csv` or `.jsonl`, the newest row first. Says how many
/// rows it has.
///
/// # Errors
///
/// When the database cannot be read, or the file cannot be written: then there is none.
pub(crate) fn export(database: &Path, what: What, out: &Path) -> anyhow::Result<u64> {
    ensure!(!out.exists(), "{} is there already: name another file", out.display());
    let is_csv = match out.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => true,
        Some("jsonl") => false,
        _ => bail!("{}: the name must end in .csv or .jsonl", out.display()),
    };
    let reader = TableReader::open(database)?;
    write_whole(out, |file| {
        // One moment for all pages, whatever is written meanwhile.
        reader.hold()?;
        let mut sink = if is_csv {
            Sink::Csv(Box::new(csv::Writer::from_writer(file)))
        } else {
            Sink::Lines(file)
        };
        let rows = match what {
            What::Trades => pages::<_, _, TradeLine>(&mut sink, TradeCursor::NEWEST, |after| {
                reader.trades(after, PAGE_ROWS)
            }),
            What::Orders => pages::<_, _, OrderLine>(&mut sink, OrderCursor::NEWEST, |after| {
                reader.orders(after, PAGE_ROWS)
            }),
            What::Days => {
                pages::<_, _, DayLine>(&mut sink, i64::MAX, |before| reader.days(before, PAGE_ROWS))
            }
            What::Logs => pages::<_, _, LogEntry>(&mut sink, LogCursor::NEWEST, |after| {
                reader.logs(after, LogLevel::Trace, PAGE_ROWS)
            }),
        }?;
        sink.finish()?;
        reader.release()?;
        Ok(rows)
    })
}

enum Sink<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Lines(&'a mut dyn Write),
}

impl Sink<'_> {
    fn put(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Csv(csv) => Ok(csv.serialize(line)?),
            Self::Lines(file) => {
                serde_json::to_writer(&mut **file, line)?;
                Ok(file.write_all(b"\n")?)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut csv) => Ok(csv.flush()?),
            Self::Lines(file) => Ok(file.flush()?),
        }
    }
}

fn pages<T, C, L: Serialize + for<'a> From<&'a T>>(
    sink: &mut Sink<'_>,
    first: C,
    read: impl Fn(C) -> Result<Page<T, C>, StoreError>,
) -> anyhow::Result<u64> {
    let (mut next, mut rows) = (Some(first), 0);
    while let Some(cursor) = next {
        let page = read(cursor)?;
        for row in &page.rows {
            sink.put(&L::from(row))?;
            rows += 1;
        }
        next = page.next;
    }
    Ok(rows)
}
