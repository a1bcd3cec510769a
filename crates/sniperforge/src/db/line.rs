//! Rows as people and other programs read them: times in UTC, dollars as decimals, orders by their name.

use comfy_table::Table;
use serde::Serialize;
use sniper_core::units::{Timestamp, Usd};
use sniper_store::tables::{
    DailySums, StoredLog, StoredOrder, StoredPosition, StoredTrade, StrategySums, TokenSums,
    TradeSums,
};

use crate::telemetry::{rfc3339_utc, safe_text};

/// Lines, and what to ask for next.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown<L> {
    pub(crate) rows: Vec<L>,
    /// For `after`; null when there is no more.
    pub(crate) next: Option<String>,
}

impl<L> Default for Shown<L> {
    fn default() -> Self {
        Self { rows: Vec::new(), next: None }
    }
}

impl<L> Shown<L> {
    pub(crate) fn new<'a, T: 'a>(rows: &'a [T], next: Option<impl ToString>) -> Self
    where
        L: From<&'a T>,
    {
        Self { rows: rows.iter().map(L::from).collect(), next: next.map(|next| next.to_string()) }
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Declares a line: its fields are the columns of a table, of comma-separated values, and of JSON.
macro_rules! line {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub(crate) struct $name { $(pub(crate) $field: $kind,)* }

        impl Columns for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];

            fn cells(&self) -> Vec<String> {
                vec![$(Cell::cell(&self.$field),)*]
            }
        }
    };
}

/// What a table shows of a line.
pub(crate) trait Columns {
    /// The names of the columns.
    const NAMES: &'static [&'static str];

    /// Their values.
    fn cells(&self) -> Vec<String>;
}

trait Cell {
    fn cell(&self) -> String;
}

impl Cell for String {
    fn cell(&self) -> String {
        self.clone()
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> String {
        self.as_ref().map_or_else(|| "-".to_owned(), Cell::cell)
    }
}

macro_rules! number_cells {
    ($($kind:ty),*) => {$(
        impl Cell for $kind {
            fn cell(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
number_cells!(i64, u64, u16);

/// An aligned table.
pub(crate) fn table<T: Columns>(lines: &[T]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(T::NAMES.iter().map(|name| name.replace('_', " ")));
    for line in lines {
        table.add_row(line.cells());
    }
    format!("{table}\n")
}

line!(
    /// A trade.
    TradeLine {
        closed: String,
        strategy: String,
        token: String,
        amount_atoms: u64,
        cost_usd: String,
        proceeds_usd: String,
        fee_usd: String,
        profit_usd: String,
        opened: String,
        order: String,
        run: i64,
    }
);
line!(
    /// An order.
    OrderLine {
        approved: String,
        order: String,
        strategy: String,
        reason: String,
        status: String,
        value_usd: String,
        mint_in: u16,
        mint_out: u16,
        amount_in: u64,
        min_out: u64,
        slot: Option<u64>,
        fee_lamports: Option<u64>,
        signature: Option<String>,
        detail: Option<String>,
        run: i64,
    }
);
line!(
    /// A position.
    PositionLine {
        strategy: String,
        token: String,
        amount_atoms: u64,
        cost_usd: String,
        opened: String,
        as_of: String,
    }
);
line!(
    /// The trades of a day.
    DayLine {
        day: String,
        trades: i64,
        wins: i64,
        cost_usd: String,
        proceeds_usd: String,
        fee_usd: String,
        profit_usd: String,
    }
);
line!(
    /// The trades of a strategy.
    StrategyLine {
        strategy: String,
        trades: i64,
        wins: i64,
        cost_usd: String,
        proceeds_usd: String,
        fee_usd: String,
        profit_usd: String,
    }
);
line!(
    /// The trades of a token.
    TokenLine {
        token: String,
        mint: String,
        trades: i64,
        wins: i64,
        cost_usd: String,
        proceeds_usd: String,
        fee_usd: String,
        profit_usd: String,
    }
);
line!(
    /// A line of the log.
    LogEntry {
        at: String,
        level: String,
        target: String,
        text: String,
    }
);

/// Labels come from the chain: whoever made a token chose its name.
fn label(name: Option<&str>, kind: &str, number: u64) -> String {
    name.map_or_else(|| format!("{kind} {number}"), |name| safe_text(name, 40))
}

fn time(at: Timestamp) -> String {
    rfc3339_utc(at.millis())
}

fn date(day: i64) -> String {
    let mut text = rfc3339_utc(day.saturating_mul(DAY_MS));
    text.truncate(10);
    text
}

/// Dollars with their millionths.
fn dollars(value: Usd) -> String {
    let micros = value.get().unsigned_abs();
    let sign = if value.get() < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl From<&StoredTrade> for TradeLine {
    fn from(row: &StoredTrade) -> Self {
        Self {
            closed: time(row.closed),
            strategy: label(row.strategy_name.as_deref(), "strategy", row.strategy.0.into()),
            token: label(row.symbol.as_deref(), "mint", row.mint.0.into()),
            amount_atoms: row.amount.get(),
            cost_usd: dollars(row.cost),
            proceeds_usd: dollars(row.proceeds),
            fee_usd: dollars(row.fee),
            profit_usd: dollars(row.profit),
            opened: time(row.opened),
            order: row.order.to_string(),
            run: row.run.0,
        }
    }
}

impl From<&StoredOrder> for OrderLine {
    fn from(row: &StoredOrder) -> Self {
        Self {
            approved: time(row.approved),
            order: row.id.to_string(),
            strategy: label(row.strategy_name.as_deref(), "strategy", row.strategy.0.into()),
            reason: row.reason.clone(),
            status: row.status.clone(),
            value_usd: dollars(row.value),
            mint_in: row.mint_in.0,
            mint_out: row.mint_out.0,
            amount_in: row.amount_in.get(),
            min_out: row.min_out.get(),
            slot: row.slot.map(|slot| slot.get()),
            fee_lamports: row.fee.map(|fee| fee.get()),
            signature: row.signature.clone(),
            detail: row.detail.clone(),
            run: row.run.0,
        }
    }
}

impl From<&StoredPosition> for PositionLine {
    fn from(row: &StoredPosition) -> Self {
        Self {
            strategy: label(row.strategy_name.as_deref(), "strategy", row.strategy.0.into()),
            token: label(row.symbol.as_deref(), "mint", row.mint.0.into()),
            amount_atoms: row.amount.get(),
            cost_usd: dollars(row.cost),
            opened: time(row.opened),
            as_of: time(row.at),
        }
    }
}

impl From<&DailySums> for DayLine {
    fn from(row: &DailySums) -> Self {
        let TradeSums { trades, wins, cost, proceeds, fee, profit } = row.sums;
        Self {
            day: date(row.day),
            trades,
            wins,
            cost_usd: dollars(cost),
            proceeds_usd: dollars(proceeds),
            fee_usd: dollars(fee),
            profit_usd: dollars(profit),
        }
    }
}

impl From<&StrategySums> for StrategyLine {
    fn from(row: &StrategySums) -> Self {
        let TradeSums { trades, wins, cost, proceeds, fee, profit } = row.sums;
        Self {
            strategy: label(row.strategy_name.as_deref(), "strategy", row.strategy.0.into()),
            trades,
            wins,
            cost_usd: dollars(cost),
            proceeds_usd: dollars(proceeds),
            fee_usd: dollars(fee),
            profit_usd: dollars(profit),
        }
    }
}

impl From<&TokenSums> for TokenLine {
    fn from(row: &TokenSums) -> Self {
        let TradeSums { trades, wins, cost, proceeds, fee, profit } = row.sums;
        Self {
            token: label(row.symbol.as_deref(), "mint", row.mint.0.into()),
            mint: row.address.clone().unwrap_or_default(),
            trades,
            wins,
            cost_usd: dollars(cost),
            proceeds_usd: dollars(proceeds),
            fee_usd: dollars(fee),
            profit_usd: dollars(profit),
        }
    }
}

impl From<&StoredLog> for LogEntry {
    fn from(row: &StoredLog) -> Self {
        Self {
            at: time(row.at),
            level: row.level.as_str().to_owned(),
            target: row.target.clone(),
            text: safe_text(&row.text, 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_and_days_read_as_people_write_them() {
        assert_eq!(dollars(Usd::new(-1)), "-0.000001");
        assert_eq!(dollars(Usd::new(i64::MIN)), "-9223372036854.775808");
        assert_eq!(dollars(Usd::dollars(40)), "40.000000");
        assert_eq!((date(0).as_str(), date(-1).as_str()), ("1970-01-01", "1969-12-31"));
    }

    #[test]
    fn a_token_cannot_paint_the_terminal() {
        let name = label(Some("EVIL\u{1b}[2J"), "mint", 3);
        assert!(!name.chars().any(char::is_control), "{name:?}");
        assert_eq!(label(None, "mint", 3), "mint 3");
    }
}
