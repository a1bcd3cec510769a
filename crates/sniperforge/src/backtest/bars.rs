//! Recorded bars: what a tape holds, which file it comes from, and every way in which it can be bad.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sniper_core::event::Candle;
use sniper_core::ids::PairId;
use sniper_core::units::{Atoms, Price, Timestamp};

use super::decimal::{self, DecimalError};
use super::error::{BacktestError, Problem};

/// The columns of a tape. Their order in the file is free, their names are not.
pub const COLUMNS: [&str; 6] = ["ts_ms", "open", "high", "low", "close", "volume"];

/// How long a bar lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(i64);

impl Interval {
    /// Reads `1m`, `15m`, `1h`, `4h`, `1d`, `1w`.
    pub fn parse(text: &str) -> Result<Self, BacktestError> {
        let bad = || BacktestError::Interval { text: text.to_owned() };
        let (split, unit) = text.char_indices().last().ok_or_else(bad)?;
        let unit_ms = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            'w' => 604_800_000,
            _ => return Err(bad()),
        };
        let count: u16 = text.get(..split).and_then(|n| n.parse().ok()).ok_or_else(bad)?;
        if count == 0 {
            return Err(bad());
        }
        Ok(Self(i64::from(count) * unit_ms))
    }

    /// Its length in milliseconds; never zero.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Its length.
    #[must_use]
    pub const fn width(self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

/// What is being read: decides how decimals become atoms and what counts as a hole.
#[derive(Clone, Copy, Debug)]
pub struct TapeSpec {
    /// Length of a bar.
    pub interval: Interval,
    /// Decimals of the base mint.
    pub base_decimals: u8,
    /// Decimals of the quote mint.
    pub quote_decimals: u8,
    /// First opening time wanted, epoch milliseconds.
    pub from_ms: Option<i64>,
    /// First opening time no longer wanted, epoch milliseconds.
    pub to_ms: Option<i64>,
}

/// A tape in memory: bars in order of time, each on the grid of the interval, holes marked.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Where they came from.
    pub file: PathBuf,
    /// Length of each.
    pub interval: Interval,
    /// The bars. `after_gap` is set where the bar before is missing, and on the first.
    pub candles: Vec<Candle>,
}

impl Bars {
    /// Number of holes between bars.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.candles.iter().skip(1).filter(|candle| candle.after_gap).count()
    }
}

/// Finds the tape of `symbol` and `interval` below `dir`: `SYMBOL_INTERVAL.csv` or `.csv.zst`.
///
/// Where several recordings match, one from a folder named `binance_spot` wins, then the first by path: spot prices
/// are nearest to what a pool on the chain trades at.
pub fn find(dir: &Path, symbol: &str, interval: &str) -> Result<PathBuf, BacktestError> {
    let wanted = [format!("{symbol}_{interval}.csv.zst"), format!("{symbol}_{interval}.csv")];
    let mut files = Vec::new();
    walk(dir, 0, &mut files)?;
    files.sort();
    let name = |file: &Path| file.file_name().map(|n| n.to_string_lossy().into_owned());
    let mut matching =
        files.iter().filter(|file| name(file).is_some_and(|n| wanted.contains(&n))).peekable();
    let first = matching.peek().map(|file| (*file).clone());
    let spot = matching.find(|file| file.iter().any(|part| part == "binance_spot")).cloned();
    spot.or(first).ok_or_else(|| {
        let mut known: Vec<String> = files
            .iter()
            .filter_map(|file| name(file))
            .filter(|n| n.starts_with(&format!("{symbol}_")))
            .collect();
        if known.is_empty() {
            known = files
                .iter()
                .filter_map(|file| name(file))
                .filter(|n| n.contains(&format!("_{interval}.")))
                .collect();
        }
        known.sort();
        known.dedup();
        known.truncate(12);
        BacktestError::NoSuchTape {
            dir: dir.to_owned(),
            symbol: symbol.to_owned(),
            interval: interval.to_owned(),
            known,
        }
    })
}

/// Deeper than any layout of recordings; a bound against folders without end.
const DEPTH_MAX: u32 = 8;

fn walk(dir: &Path, depth: u32, files: &mut Vec<PathBuf>) -> Result<(), BacktestError> {
    let read = |source| BacktestError::Read { file: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        let path = entry.path();
        if kind.is_dir() {
            if depth < DEPTH_MAX {
                walk(&path, depth + 1, files)?;
            }
        } else if path.to_string_lossy().ends_with(".csv")
            || path.to_string_lossy().ends_with(".csv.zst")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads a tape, plain or compressed, and checks every line of it.
pub fn load(file: &Path, spec: &TapeSpec) -> Result<Bars, BacktestError> {
    let read = |source| BacktestError::Read { file: file.to_owned(), source };
    let handle = File::open(file).map_err(read)?;
    let compressed = file.extension().is_some_and(|ext| ext == "zst");
    let reader: Box<dyn Read> = if compressed {
        Box::new(zstd::Decoder::new(handle).map_err(read)?)
    } else {
        Box::new(BufReader::new(handle))
    };
    read_bars(reader, file, spec)
}

/// Reads bars from any source; `file` is what errors call it.
pub fn read_bars(reader: impl Read, file: &Path, spec: &TapeSpec) -> Result<Bars, BacktestError> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let headers = csv.byte_headers().map_err(|error| unreadable(error, file, 1))?.clone();
    let columns = columns(&headers, file)?;
    let mut rows = Rows { file, spec: *spec, columns, width: headers.len(), last: None };
    let mut candles = Vec::new();
    let mut record = csv::ByteRecord::new();
    let mut total = 0_u64;
    let mut span: Option<(i64, i64)> = None;
    loop {
        let line = csv.position().line();
        match csv.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(unreadable(error, file, line)),
        }
        let line = record.position().map_or(line, csv::Position::line);
        let (ts, candle) = rows.read(&record, line)?;
        total += 1;
        span = Some((span.map_or(ts, |(first, _)| first), ts));
        let wanted =
            spec.from_ms.is_none_or(|from| ts >= from) && spec.to_ms.is_none_or(|to| ts < to);
        if wanted {
            // What lies before the first bar wanted counts as missing: nothing of it is known to the engine.
            let after_gap = candle.after_gap || candles.is_empty();
            candles.push(Candle { after_gap, ..candle });
        }
    }
    match span {
        None => Err(BacktestError::Empty { file: file.to_owned() }),
        Some((first, last)) if candles.is_empty() => {
            Err(BacktestError::NothingInRange { file: file.to_owned(), first, last, bars: total })
        }
        Some(_) => Ok(Bars { file: file.to_owned(), interval: spec.interval, candles }),
    }
}

fn unreadable(error: csv::Error, file: &Path, line: u64) -> BacktestError {
    let file = file.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            BacktestError::Truncated { file, line }
        }
        csv::ErrorKind::Io(source) => BacktestError::Damaged { file, line, source },
        other => BacktestError::Damaged {
            file,
            line,
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{other:?}")),
        },
    }
}

/// Where each of [`COLUMNS`] stands; every name once and no other.
fn columns(headers: &csv::ByteRecord, file: &Path) -> Result<[usize; 6], BacktestError> {
    if headers.is_empty() {
        return Err(BacktestError::Empty { file: file.to_owned() });
    }
    let names: Vec<String> =
        headers.iter().map(|h| String::from_utf8_lossy(h).trim().to_owned()).collect();
    let mut places = [0; 6];
    for (place, wanted) in places.iter_mut().zip(COLUMNS) {
        let mut at = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(i, _)| i);
        match (at.next(), at.next()) {
            (Some(index), None) if names.len() == COLUMNS.len() => *place = index,
            _ => {
                return Err(BacktestError::Columns { file: file.to_owned(), found: names });
            }
        }
    }
    Ok(places)
}

struct Rows<'a> {
    file: &'a Path,
    spec: TapeSpec,
    columns: [usize; 6],
    width: usize,
    /// Opening time of the bar before.
    last: Option<i64>,
}

impl Rows<'_> {
    fn read(
        &mut self,
        record: &csv::ByteRecord,
        line: u64,
    ) -> Result<(i64, Candle), BacktestError> {
        if record.len() != self.width {
            let problem = Problem::Fields { found: record.len(), wanted: self.width };
            return Err(self.bad(line, "all", problem));
        }
        let [ts_at, open_at, high_at, low_at, close_at, volume_at] = self.columns;
        let ts = self.time(text(record, ts_at), line)?;
        let open = self.price(record, open_at, "open", line)?;
        let high = self.price(record, high_at, "high", line)?;
        let low = self.price(record, low_at, "low", line)?;
        let close = self.price(record, close_at, "close", line)?;
        if low > open.min(close) {
            return Err(self.bad(line, "low", Problem::LowAbove));
        }
        if high < open.max(close) {
            return Err(self.bad(line, "high", Problem::HighBelow));
        }
        let volume = self.volume(text(record, volume_at), line)?;
        let width = self.spec.interval;
        let after_gap = self.last.is_none_or(|last| ts.checked_sub(last) != Some(width.millis()));
        self.last = Some(ts);
        let candle = Candle {
            pair: PairId(0),
            start: Timestamp::from_millis(ts),
            width: width.width(),
            open,
            high,
            low,
            close,
            volume,
            after_gap,
        };
        Ok((ts, candle))
    }

    fn time(&self, text: &str, line: u64) -> Result<i64, BacktestError> {
        let step = self.spec.interval.millis();
        let bad = |problem| self.bad(line, "ts_ms", problem);
        let ts: i64 = text.trim().parse().map_err(|_| bad(Problem::Time { text: quoted(text) }))?;
        // Beyond this a time in microseconds no longer fits; it also catches seconds and microseconds.
        if !(100_000_000_000..=9_000_000_000_000).contains(&ts) {
            return Err(bad(Problem::Time { text: quoted(text) }));
        }
        if ts.rem_euclid(step) != 0 {
            return Err(bad(Problem::Misaligned { ts, step }));
        }
        match self.last {
            Some(last) if ts == last => Err(bad(Problem::Duplicate { ts })),
            Some(last) if ts < last => Err(bad(Problem::Backwards { ts, last })),
            _ => Ok(ts),
        }
    }

    fn price(
        &self,
        record: &csv::ByteRecord,
        at: usize,
        column: &'static str,
        line: u64,
    ) -> Result<Price, BacktestError> {
        let text = text(record, at);
        decimal::price(text, self.spec.base_decimals, self.spec.quote_decimals).map_err(|source| {
            self.bad(line, column, Problem::Number { text: quoted(text), source })
        })
    }

    fn volume(&self, text: &str, line: u64) -> Result<Atoms, BacktestError> {
        decimal::atoms(text, self.spec.base_decimals).map_err(|source: DecimalError| {
            self.bad(line, "volume", Problem::Number { text: quoted(text), source })
        })
    }

    fn bad(&self, line: u64, column: &'static str, problem: Problem) -> BacktestError {
        BacktestError::Line { file: self.file.to_owned(), line, column, problem }
    }
}

fn text(record: &csv::ByteRecord, at: usize) -> &str {
    // What is not UTF-8 is no number either, and is refused as such.
    record.get(at).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or("\u{fffd}")
}

/// A field as an error may show it: short and without control characters.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    short.escape_debug().to_string()
}
