//! One immutable picture of the engine, for people and for Prometheus.
//!
//! Plain data, filled by the loop that trades. Money is [`Usd`] and becomes a decimal number of dollars only in JSON;
//! token amounts are text, exact to the atom (see [`token_amount`]). Names of tokens and pools are written by
//! strangers: whoever shows them escapes them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use sniper_core::units::Usd;

use super::curve::CurvePoint;
use super::log::LogLine;
use super::performance::PerformanceView;
use super::stage::StageSummary;

/// Most trades a view carries.
pub const TRADES_MAX: usize = 50;

/// Where orders go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunMode {
    /// To a simulated venue: no money moves.
    #[default]
    Paper,
    /// To the chain: money moves.
    Live,
    /// To a chain of our own on this machine.
    Demo,
}

impl RunMode {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "PAPER",
            Self::Live => "LIVE",
            Self::Demo => "DEMO",
        }
    }
}

/// What may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RiskMode {
    /// Everything the limits allow.
    #[default]
    Run,
    /// Only what makes positions smaller.
    ReduceOnly,
    /// No new orders.
    Halt,
    /// Nothing is signed.
    Kill,
}

impl RiskMode {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "RUN",
            Self::ReduceOnly => "REDUCE_ONLY",
            Self::Halt => "HALT",
            Self::Kill => "KILL",
        }
    }
}

/// One picture of the engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct View {
    /// Version of the program.
    pub version: &'static str,
    /// Where orders go.
    pub mode: RunMode,
    /// What may be done.
    pub risk: RiskMode,
    /// Why it is not `RUN`; else empty.
    pub risk_cause: String,
    /// When this picture was made, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Public address of the wallet; empty where there is none.
    pub wallet: String,
    /// Whether the world is heard and written down.
    pub health: HealthView,
    /// What all is worth.
    pub equity: EquityView,
    /// Equity over the run.
    pub curve: Vec<CurvePoint>,
    /// Money in hand, per mint.
    pub cash: Vec<CashView>,
    /// What is held.
    pub positions: Vec<PositionView>,
    /// How each strategy does.
    pub strategies: Vec<StrategyView>,
    /// Orders without an end yet.
    pub open_orders: Vec<OpenOrderView>,
    /// All orders of this run, by what became of them.
    pub orders: OrderCounts,
    /// The last trades, newest first, at most [`TRADES_MAX`].
    pub trades: Vec<TradeView>,
    /// How often each reason refused an intent.
    pub refusals: BTreeMap<String, u64>,
    /// Where the time goes beyond that of all trades together, what is done, and what that takes.
    pub performance: PerformanceView,
    /// How long each stage took.
    pub latency: BTreeMap<&'static str, StageSummary>,
    /// The nodes we talk to.
    pub endpoints: Vec<EndpointView>,
    /// Memory resident now, in megabytes.
    pub rss_mb: f64,
    /// The most memory that was ever resident, in megabytes.
    pub rss_peak_mb: f64,
    /// The last lines of the log, oldest first.
    pub log: Vec<LogLine>,
}

/// Whether the world is heard and written down.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HealthView {
    /// All is well: what `/healthz` answers.
    pub ok: bool,
    /// What is not well, in a few words each.
    pub problems: Vec<String>,
    /// The sources of market events.
    pub feeds: Vec<FeedView>,
    /// Newest slot seen.
    pub slot: u64,
    /// Newest block height seen.
    pub block_height: u64,
    /// Age of the blockhash that the next transaction would carry, in milliseconds.
    pub blockhash_age_ms: u64,
    /// Events written to the journal.
    pub journal_events: u64,
    /// Size of the journal's segment that is written.
    pub journal_bytes: u64,
    /// Rows the database writer had to leave out because it was behind.
    pub store_dropped: u64,
    /// Events the engine has seen.
    pub events: u64,
}

/// A source of market events.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FeedView {
    /// Its configured name.
    pub name: String,
    /// Since its last message, in milliseconds.
    pub age_ms: u64,
    /// It is older than it may be.
    pub stale: bool,
    /// Messages so far.
    pub messages: u64,
    /// How often it had to connect again.
    pub reconnects: u64,
    /// Notices that another connection told as well, or first, as far as they are remembered.
    pub samples: u64,
    /// Of them told first by this one.
    pub first: u64,
    /// Half of them came at most this long after the first telling, in microseconds.
    pub late_p50_us: f64,
    /// Nineteen of twenty.
    pub late_p95_us: f64,
    /// Ninety-nine of a hundred.
    pub late_p99_us: f64,
    /// From ping to pong, median, in microseconds; zero before it is measured.
    pub round_trip_us: f64,
}

/// What all is worth.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct EquityView {
    /// Cash and positions now.
    #[serde(rename = "now_usd", serialize_with = "dollars")]
    pub now: Usd,
    /// When the run began.
    #[serde(rename = "start_usd", serialize_with = "dollars")]
    pub start: Usd,
    /// The most it ever was.
    #[serde(rename = "peak_usd", serialize_with = "dollars")]
    pub peak: Usd,
    /// Of it in positions.
    #[serde(rename = "exposure_usd", serialize_with = "dollars")]
    pub exposure: Usd,
    /// Won or lost since the day began.
    #[serde(rename = "day_pnl_usd", serialize_with = "dollars")]
    pub day_pnl: Usd,
    /// Fall from the peak, in hundredths of a percent.
    pub drawdown_bps: u32,
    /// Greatest fall of the run.
    pub drawdown_max_bps: u32,
    /// Paid to the chain so far.
    #[serde(rename = "fees_usd", serialize_with = "dollars")]
    pub fees: Usd,
}

/// Money in hand of one mint.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CashView {
    /// The mint's label. Untrusted.
    pub symbol: String,
    /// Free and reserved together.
    pub amount: String,
    /// Promised to open orders.
    pub reserved: String,
    /// In dollars.
    #[serde(rename = "value_usd", serialize_with = "dollars")]
    pub value: Usd,
}

/// Something held.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PositionView {
    /// Who holds it.
    pub strategy: String,
    /// The mint's label. Untrusted.
    pub symbol: String,
    /// How much.
    pub amount: String,
    /// What it had cost, fees included.
    #[serde(rename = "cost_usd", serialize_with = "dollars")]
    pub cost: Usd,
    /// What it is worth now.
    #[serde(rename = "value_usd", serialize_with = "dollars")]
    pub value: Usd,
    /// `value - cost`.
    #[serde(rename = "pnl_usd", serialize_with = "dollars")]
    pub pnl: Usd,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub opened_ms: i64,
}

/// How a strategy does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StrategyView {
    /// Its name.
    pub name: String,
    /// What it may hold.
    #[serde(rename = "budget_usd", serialize_with = "dollars")]
    pub budget: Usd,
    /// What it holds and has promised.
    #[serde(rename = "used_usd", serialize_with = "dollars")]
    pub used: Usd,
    /// Orders submitted.
    pub orders: u64,
    /// Of them landed.
    pub landed: u64,
    /// Of them landed and failed.
    pub reverted: u64,
    /// Intents refused.
    pub refused: u64,
    /// Won or lost, realised and not.
    #[serde(rename = "pnl_usd", serialize_with = "dollars")]
    pub pnl: Usd,
    /// Why it was stopped alone; else empty.
    pub stopped: String,
}

/// An order without an end yet.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OpenOrderView {
    /// Its name.
    pub id: String,
    /// Whose.
    pub strategy: String,
    /// What goes in, such as `50.00 USDC`. Untrusted.
    pub pay: String,
    /// What comes out at least, such as `0.331 SOL`. Untrusted.
    pub receive: String,
    /// What it is worth.
    #[serde(rename = "value_usd", serialize_with = "dollars")]
    pub value: Usd,
    /// How far it is: `reserved`, `signed`, `sent`.
    pub state: String,
    /// Since it was approved, in milliseconds.
    pub age_ms: u64,
    /// Name on the chain; empty before it is signed.
    pub signature: String,
}

/// All orders of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrderCounts {
    /// Approved and handed to the venue.
    pub submitted: u64,
    /// Landed and did what they should.
    pub landed: u64,
    /// Landed and failed.
    pub reverted: u64,
    /// Landings that did what they should, in a block that was abandoned: not among those landed.
    pub landed_taken_back: u64,
    /// Landings that failed, in a block that was abandoned: not among those reverted.
    pub reverted_taken_back: u64,
    /// Can no longer land.
    pub expired: u64,
    /// Never sent.
    pub rejected: u64,
    /// Intents that never became an order.
    pub refused: u64,
    /// Of those submitted, exits without an independent price.
    pub unpriced: u64,
}

/// A landed trade.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TradeView {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whose.
    pub strategy: String,
    /// What was done, such as `SELL 0.331 SOL` or `USDC > SOL > USDC`. Untrusted.
    pub what: String,
    /// Why, such as `trend_exit`.
    pub reason: String,
    /// What it was worth.
    #[serde(rename = "value_usd", serialize_with = "dollars")]
    pub value: Usd,
    /// Paid to the chain for it.
    #[serde(rename = "fee_usd", serialize_with = "dollars")]
    pub fee: Usd,
    /// Won or lost; `None` where it only opened a position.
    #[serde(rename = "pnl_usd", serialize_with = "dollars_or_null")]
    pub pnl: Option<Usd>,
    /// Name on the chain.
    pub signature: String,
}

/// A node we talk to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EndpointView {
    /// Its configured name, never its address.
    pub name: String,
    /// It may be asked.
    pub healthy: bool,
    /// State of its breaker: `closed`, `open`, `half_open`.
    pub breaker: String,
    /// Half of its answers were faster, in microseconds.
    pub p50_us: f64,
    /// Nineteen of twenty were faster.
    pub p95_us: f64,
    /// Ninety-nine of a hundred were faster.
    pub p99_us: f64,
    /// The slowest of the last two minutes.
    pub max_us: f64,
    /// Slots behind the best.
    pub slot_lag: u64,
    /// Requests so far.
    pub requests: u64,
    /// Failed requests among the recent ones, in hundredths of a percent.
    pub error_bps: u32,
}

/// Micro-dollars as a JSON number of dollars. A double holds them exactly up to nine billion dollars.
fn dollars<S: Serializer>(usd: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(dollars_f64(*usd))
}

fn dollars_or_null<S: Serializer>(usd: &Option<Usd>, serializer: S) -> Result<S::Ok, S::Error> {
    match usd {
        Some(usd) => dollars(usd, serializer),
        None => serializer.serialize_none(),
    }
}

/// Dollars as a double, for JSON alone.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 micro-dollars; shown, never settled"
)]
pub(super) fn dollars_f64(usd: Usd) -> f64 {
    usd.get() as f64 / 1e6
}

/// Atoms as a decimal number of whole tokens, exact, without needless zeros.
///
/// ```
/// use sniperforge::telemetry::token_amount;
/// assert_eq!(token_amount(1_500_000_000, 9), "1.5");
/// assert_eq!(token_amount(7, 9), "0.000000007");
/// assert_eq!(token_amount(42, 0), "42");
/// ```
#[must_use]
pub fn token_amount(atoms: u64, decimals: u8) -> String {
    let width = usize::from(decimals);
    let digits = format!("{atoms:0>width$}", width = width.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(width));
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_shows_money_as_dollars_and_modes_as_words() {
        let view = View {
            mode: RunMode::Demo,
            risk: RiskMode::ReduceOnly,
            equity: EquityView { now: Usd::new(10_000_250_000), ..EquityView::default() },
            trades: vec![TradeView::default()],
            curve: vec![CurvePoint { t_ms: 5, equity: Usd::new(-1_500_000) }],
            ..View::default()
        };
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["mode"], "DEMO");
        assert_eq!(json["risk"], "REDUCE_ONLY");
        assert_eq!(json["equity"]["now_usd"], 10_000.25);
        assert_eq!(json["trades"][0]["pnl_usd"], serde_json::Value::Null);
        assert_eq!(json["curve"][0], serde_json::json!([5, -1.5]));
    }

    #[test]
    fn the_words_of_a_mode_are_the_same_in_json_and_on_the_page() {
        for risk in [RiskMode::Run, RiskMode::ReduceOnly, RiskMode::Halt, RiskMode::Kill] {
            assert_eq!(serde_json::to_value(risk).unwrap(), risk.as_str());
        }
        for mode in [RunMode::Paper, RunMode::Live, RunMode::Demo] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_to_the_same_atoms(atoms in any::<u64>(), decimals in 0_u8..19) {
            let text = token_amount(atoms, decimals);
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert!(part.len() <= usize::from(decimals) && !part.ends_with('0'));
            let digits = format!("{whole}{part:0<width$}", width = usize::from(decimals));
            prop_assert_eq!(digits.parse::<u128>().unwrap(), u128::from(atoms));
        }
    }
}
