//! The sums of trades: by day, by strategy, by token.
//!
//! A transaction gathers what it adds and takes here, and writes each sum that has changed once.

use std::collections::BTreeMap;

use sniper_core::event::Trade;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::row::RunId;
use super::statements as sql;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What is added to one sum; wide, so that no order of additions overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    trades: i128,
    wins: i128,
    cost: i128,
    proceeds: i128,
    fee: i128,
    profit: i128,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            trades: self.trades + other.trades,
            wins: self.wins + other.wins,
            cost: self.cost + other.cost,
            proceeds: self.proceeds + other.proceeds,
            fee: self.fee + other.fee,
            profit: self.profit + other.profit,
        }
    }

    fn negative(self) -> Self {
        Self {
            trades: -self.trades,
            wins: -self.wins,
            cost: -self.cost,
            proceeds: -self.proceeds,
            fee: -self.fee,
            profit: -self.profit,
        }
    }

    /// As six columns. Beyond nine million million dollars the greatest number stands for all greater ones.
    fn columns(self) -> [i64; 6] {
        [self.trades, self.wins, self.cost, self.proceeds, self.fee, self.profit]
            .map(|sum| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX }))
    }

    fn of_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let column = |at: usize| row.try_get::<i64, _>(at).map(i128::from);
        Ok(Self {
            trades: column(0)?,
            wins: column(1)?,
            cost: column(2)?,
            proceeds: column(3)?,
            fee: column(4)?,
            profit: column(5)?,
        })
    }
}

/// The three statements of one kind of sum.
struct Table {
    old: &'static str,
    put: &'static str,
    drop: &'static str,
}

const DAYS: Table = Table { old: sql::OLD_DAY, put: sql::PUT_DAY, drop: sql::DROP_DAY };
const STRATEGIES: Table =
    Table { old: sql::OLD_STRATEGY, put: sql::PUT_STRATEGY_SUMS, drop: sql::DROP_STRATEGY_SUMS };
const TOKENS: Table = Table { old: sql::OLD_TOKEN, put: sql::PUT_TOKEN, drop: sql::DROP_TOKEN };

/// What a transaction changes in the sums.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    days: BTreeMap<(i64, i64), Sums>,
    strategies: BTreeMap<(i64, i64), Sums>,
    tokens: BTreeMap<(i64, i64), Sums>,
}

impl Summaries {
    /// A trade comes in.
    pub(super) fn add(&mut self, run: RunId, trade: &Trade) {
        let sums = Sums {
            trades: 1,
            wins: i128::from(trade.profit.get() > 0),
            cost: trade.cost.get().into(),
            proceeds: trade.proceeds.get().into(),
            fee: trade.fee.get().into(),
            profit: trade.profit.get().into(),
        };
        let (strategy, mint) = (trade.strategy.0.into(), trade.mint.0.into());
        self.change(run, strategy, mint, trade.closed.get(), sums);
    }

    /// A trade goes: strategy, mint, cost, proceeds, fee, profit and when it was, as the statements give them.
    pub(super) fn take(&mut self, run: RunId, trade: &SqliteRow) -> Result<(), sqlx::Error> {
        let column = |at: usize| trade.try_get::<i64, _>(at);
        let sums = Sums {
            trades: 1,
            wins: i128::from(column(5)? > 0),
            cost: column(2)?.into(),
            proceeds: column(3)?.into(),
            fee: column(4)?.into(),
            profit: column(5)?.into(),
        };
        self.change(run, column(0)?, column(1)?, column(6)?, sums.negative());
        Ok(())
    }

    fn change(&mut self, run: RunId, strategy: i64, mint: i64, closed: i64, by: Sums) {
        let places = [
            (&mut self.days, closed.div_euclid(DAY)),
            (&mut self.strategies, strategy),
            (&mut self.tokens, mint),
        ];
        for (sums, key) in places {
            let sum = sums.entry((run.0, key)).or_default();
            *sum = sum.plus(by);
        }
    }

    /// Writes what has changed.
    pub(super) async fn write(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        let all = [(DAYS, &self.days), (STRATEGIES, &self.strategies), (TOKENS, &self.tokens)];
        for (table, changes) in all {
            for (key, by) in changes.iter().filter(|(_, by)| **by != Sums::default()) {
                table.change(connection, *key, *by).await?;
            }
        }
        Ok(())
    }
}

impl Table {
    async fn change(
        &self,
        connection: &mut SqliteConnection,
        (run, key): (i64, i64),
        by: Sums,
    ) -> Result<(), sqlx::Error> {
        let old = query(self.old).bind(run).bind(key).fetch_optional(&mut *connection).await?;
        let old = old.as_ref().map(Sums::of_row).transpose()?.unwrap_or_default();
        let new = old.plus(by);
        if new.trades <= 0 {
            return query(self.drop).bind(run).bind(key).execute(connection).await.map(drop);
        }
        let mut put = query(self.put).bind(run).bind(key);
        for column in new.columns() {
            put = put.bind(column);
        }
        put.execute(connection).await.map(drop)
    }
}
