//! What is read from the tables.

use serde::Serialize;
use sniper_core::ids::{MintId, OrderId, StrategyId};
use sniper_core::units::{Atoms, Lamports, Seq, Slot, Timestamp, Usd};

use super::row::{LogLevel, RunId};

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRun {
    /// Which.
    pub run: RunId,
    /// Version of the program that wrote it.
    pub version: String,
    /// Paper, live, demo and so on.
    pub mode: String,
}

/// An order, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredOrder {
    /// In which run.
    pub run: RunId,
    /// Its name.
    pub id: OrderId,
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// What it gives.
    pub mint_in: MintId,
    /// What it gets.
    pub mint_out: MintId,
    /// The pools, in order, separated by spaces.
    pub pools: String,
    /// What goes in at most.
    pub amount_in: Atoms,
    /// What comes out at least.
    pub min_out: Atoms,
    /// What should come out.
    pub expected_out: Atoms,
    /// What it was worth.
    pub value: Usd,
    /// Why it was wanted.
    pub reason: String,
    /// When it was approved.
    pub approved: Timestamp,
    /// `submitted`, `signed`, `filled`, `reverted`, `expired` or `rejected`.
    pub status: String,
    /// Its name on the chain.
    pub signature: Option<String>,
    /// When it reached its end.
    pub closed: Option<Timestamp>,
    /// Where it landed.
    pub slot: Option<Slot>,
    /// What the chain took.
    pub fee: Option<Lamports>,
    /// What accounts that it made have locked.
    pub rent: Option<Lamports>,
    /// Error code of a revert, or why it was rejected.
    pub detail: Option<String>,
}

/// What a landed order changed in one mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StoredFill {
    /// Of which mint.
    pub mint: MintId,
    /// How much, with its sign.
    pub delta: i64,
    /// Where it landed.
    pub slot: Slot,
    /// When that was known.
    pub at: Timestamp,
}

/// A position reduced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredTrade {
    /// In which run.
    pub run: RunId,
    /// The event that closed it.
    pub seq: Seq,
    /// The order that reduced it.
    pub order: OrderId,
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// Its place among what that event closed.
    pub place: u32,
    /// What was held.
    pub mint: MintId,
    /// The label of that mint, where it was written.
    pub symbol: Option<String>,
    /// How much of it was given up.
    pub amount: Atoms,
    /// What that had cost.
    pub cost: Usd,
    /// What it brought.
    pub proceeds: Usd,
    /// The fee.
    pub fee: Usd,
    /// What was won.
    pub profit: Usd,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was reduced.
    pub closed: Timestamp,
}

/// What a strategy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredPosition {
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// Of which mint.
    pub mint: MintId,
    /// The label of that mint, where it was written.
    pub symbol: Option<String>,
    /// How much.
    pub amount: Atoms,
    /// What it had cost.
    pub cost: Usd,
    /// When it was opened.
    pub opened: Timestamp,
    /// When this was so.
    pub at: Timestamp,
}

/// How often a strategy was refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRefusals {
    /// Whose wishes.
    pub strategy: StrategyId,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
}

/// What the token gate said of a mint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredVerdict {
    /// Of which mint, in base58.
    pub mint: String,
    /// As of which slot.
    pub slot: Slot,
    /// When.
    pub at: Timestamp,
    /// It may be bought.
    pub safe: bool,
    /// What speaks against it.
    pub reasons: Vec<String>,
}

/// Sums over trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TradeSums {
    /// How many.
    pub trades: i64,
    /// Of them with a profit above zero.
    pub wins: i64,
    /// What was given up had cost.
    pub cost: Usd,
    /// What it brought.
    pub proceeds: Usd,
    /// Fees.
    pub fee: Usd,
    /// What was won.
    pub profit: Usd,
}

/// The trades of a day, over all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DailySums {
    /// Days since the Unix epoch, in UTC.
    pub day: i64,
    /// Their sums.
    #[serde(flatten)]
    pub sums: TradeSums,
}

/// The trades of a strategy in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StrategySums {
    /// Whose.
    pub strategy: StrategyId,
    /// The strategy's name, where it was written.
    pub strategy_name: Option<String>,
    /// Their sums.
    #[serde(flatten)]
    pub sums: TradeSums,
}

/// The trades of a token in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenSums {
    /// Of which mint.
    pub mint: MintId,
    /// The label of that mint, where it was written.
    pub symbol: Option<String>,
    /// Its account in base58, where it was written.
    pub address: Option<String>,
    /// Their sums.
    #[serde(flatten)]
    pub sums: TradeSums,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredLog {
    /// Its number: later lines have greater ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// Message and fields.
    pub text: String,
}
