//! A recorded market that drives SOL's fair value.

use std::io::Read;
use std::path::Path;

use crate::error::LocalnetError;

/// Most bars kept in memory.
const BARS_MAX: usize = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

/// Bars, played at a fixed pace and from the start again when they end.
#[derive(Debug)]
pub(crate) struct Tape {
    bars: Vec<Bar>,
    position: f64,
    bars_per_second: f64,
}

impl Tape {
    /// Reads `ts_ms,open,high,low,close,volume`, plain or Zstandard-compressed.
    pub(crate) fn open(path: &Path, bars_per_second: f64) -> Result<Self, LocalnetError> {
        let failed = |source| LocalnetError::TapeRead { path: path.to_path_buf(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let reader: Box<dyn Read> = if path.extension().is_some_and(|end| end == "zst") {
            Box::new(zstd::Decoder::new(file).map_err(failed)?)
        } else {
            Box::new(file)
        };
        let bars = read_bars(reader).map_err(|problem| match problem {
            Problem::Read(source) => failed(source),
            Problem::Row(line, reason) => {
                LocalnetError::TapeRow { path: path.to_path_buf(), line, reason }
            }
        })?;
        Ok(Self { bars, position: 0.0, bars_per_second })
    }

    /// Lets `seconds` pass and tells the price. A bar goes from open over its nearer extreme to the
    /// other one and on to close.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a position within the tape, never negative and far below 2^52"
    )]
    pub(crate) fn advance(&mut self, seconds: f64) -> f64 {
        self.position = (self.position + seconds * self.bars_per_second) % self.bars.len() as f64;
        let Some(bar) = self.bars.get(self.position as usize) else { return 0.0 };
        let (first, second) = if (bar.open - bar.low) < (bar.high - bar.open) {
            (bar.low, bar.high)
        } else {
            (bar.high, bar.low)
        };
        let along = self.position.fract() * 3.0;
        let (from, to) = match along as u8 {
            0 => (bar.open, first),
            1 => (first, second),
            _ => (second, bar.close),
        };
        from + (to - from) * along.fract()
    }
}

enum Problem {
    Read(std::io::Error),
    Row(u64, &'static str),
}

fn read_bars(reader: impl Read) -> Result<Vec<Bar>, Problem> {
    let mut rows = csv::ReaderBuilder::new().has_headers(true).from_reader(reader);
    let mut bars = Vec::new();
    let header = rows.headers().map_err(|error| row_problem(error, 1))?;
    let expected = ["ts_ms", "open", "high", "low", "close", "volume"];
    if header.iter().take(6).ne(expected) {
        return Err(Problem::Row(1, "the header is not that of a tape"));
    }
    for row in rows.records() {
        let line = u64::try_from(bars.len()).unwrap_or(u64::MAX).saturating_add(2);
        let row = row.map_err(|error| row_problem(error, line))?;
        let field = |index: usize| -> Option<f64> {
            row.get(index)?.parse().ok().filter(|price: &f64| price.is_finite() && *price > 0.0)
        };
        let bar =
            (|| Some(Bar { open: field(1)?, high: field(2)?, low: field(3)?, close: field(4)? }))();
        let bar =
            bar.ok_or(Problem::Row(line, "a price is missing, not a number or not positive"))?;
        if bar.low > bar.open.min(bar.close) || bar.high < bar.open.max(bar.close) {
            return Err(Problem::Row(line, "open and close are not within low and high"));
        }
        bars.push(bar);
        if bars.len() > BARS_MAX {
            return Err(Problem::Row(line, "more than two million bars"));
        }
    }
    if bars.is_empty() {
        return Err(Problem::Row(2, "no bar in the file"));
    }
    Ok(bars)
}

fn row_problem(error: csv::Error, line: u64) -> Problem {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Problem::Read(source),
        _ => Problem::Row(line, "the row is not well-formed CSV"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn bars(text: &str) -> Result<Vec<Bar>, (u64, &'static str)> {
        read_bars(text.as_bytes()).map_err(|problem| match problem {
            Problem::Row(line, reason) => (line, reason),
            Problem::Read(error) => panic!("{error}"),
        })
    }

    #[test]
    fn a_bar_is_walked_from_open_over_both_extremes_to_close() {
        let text = "ts_ms,open,high,low,close,volume\n0,10,13,9,12,1\n1,12,12,12,12,1\n";
        let mut tape = Tape { bars: bars(text).unwrap(), position: 0.0, bars_per_second: 1.0 };
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
        close(tape.advance(0.0), 10.0);
        close(tape.advance(1.0 / 3.0 + 1e-12), 9.0);
        close(tape.advance(1.0 / 3.0), 13.0);
        close(tape.advance(1.0 / 3.0 + 1e-12), 12.0);
        close(tape.advance(1.0), 10.0);
    }

    #[test]
    fn a_damaged_row_is_refused_with_its_line() {
        let head = "ts_ms,open,high,low,close,volume\n0,1,1,1,1,1\n";
        for bad in ["1,NaN,1,1,1,1", "1,0,1,1,1,1", "1,2,1,1,1,1", "1,1,1", "1,x,1,1,1,1"] {
            assert_eq!(bars(&format!("{head}{bad}\n")).unwrap_err().0, 3, "{bad}");
        }
        assert_eq!(bars("time,o,h,l,c,v\n").unwrap_err().0, 1);
        assert_eq!(bars("ts_ms,open,high,low,close,volume\n").unwrap_err().0, 2);
    }
}
