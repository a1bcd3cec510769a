//! The command line of `backtest`, and what it means once checked.

use std::path::PathBuf;

use sniper_core::ids::Symbol;
use sniper_core::risk::Limits;
use sniper_core::sim::SimSettings;
use sniper_core::units::{Bps, Lamports, Price, Timestamp, Usd};

use super::bars::{self, Interval, TapeSpec};
use super::calendar;
use super::decimal;
use super::error::BacktestError;
use super::tape::{USD_DECIMALS, World};

/// Run recorded bars through the engine that trades, and report what it would have done.
#[derive(Clone, Debug, clap::Args)]
pub struct BacktestArgs {
    /// Folder of recordings, searched with its subfolders for SYMBOL_INTERVAL.csv or .csv.zst
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub data: Option<PathBuf>,
    /// One recording: ts_ms,open,high,low,close,volume, plain or .zst
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Base and dollar, such as SOLUSDT [default: from the name of --file]
    #[arg(long)]
    pub symbol: Option<String>,
    /// Length of a bar: 1m, 15m, 1h, 1d [default: from the name of --file, else 1h]
    #[arg(long)]
    pub interval: Option<String>,
    /// A strategy by name, or all: each alone, then all together
    #[arg(long, default_value = "all", value_name = "NAME|all")]
    pub strategy: String,
    /// First bar wanted, UTC: 2023-04-01 or 2023-04-01T12:00
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First bar no longer wanted, UTC
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Write a tear sheet that needs no network to be read
    #[arg(long, value_name = "HTML")]
    pub report: Option<PathBuf>,
    /// Opening cash
    #[arg(long, default_value_t = 10_000, value_name = "USD")]
    pub cash_usd: u32,
    /// Most that one order may be worth [default: all the cash]
    #[arg(long, value_name = "USD")]
    pub order_cap_usd: Option<u32>,
    /// Value of both sides of the simulated pool, restored on each bar
    #[arg(long, default_value_t = 10_000_000, value_name = "USD")]
    pub depth_usd: u64,
    /// What the pool keeps of what goes in
    #[arg(long, default_value_t = 25, value_name = "BPS")]
    pub pool_fee_bps: u16,
    /// From decision to landing; at least to the next bar's open
    #[arg(long, default_value_t = 800, value_name = "MS")]
    pub latency_ms: u32,
    /// Up to this much more, drawn for each order
    #[arg(long, default_value_t = 400, value_name = "MS")]
    pub jitter_ms: u32,
    /// Share of orders that land; the others expire
    #[arg(long, default_value_t = 9_500, value_name = "BPS")]
    pub landing_bps: u16,
    /// What luck is drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Priority fee, in millionths of a lamport for each compute unit
    #[arg(long, default_value_t = 10_000, value_name = "PRICE")]
    pub compute_unit_price: u64,
    /// What a SOL of fees costs where the recording is not of SOL
    #[arg(long, default_value = "100", value_name = "USD")]
    pub sol_usd: String,
    /// Decimals of the base's mint [default: those of its mint on Solana, else 6]
    #[arg(long)]
    pub decimals: Option<u8>,
}

/// The command line, checked.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) interval_text: String,
    pub(crate) tape: TapeSpec,
    pub(crate) world: World,
}

/// Where the bars come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// This file.
    File(PathBuf),
    /// The best recording below this folder.
    Below(PathBuf),
}

impl Plan {
    pub(crate) fn new(args: &BacktestArgs) -> Result<Self, BacktestError> {
        let (source, named) = match (&args.file, &args.data) {
            (Some(file), _) => (Source::File(file.clone()), name_parts(file)),
            (None, Some(dir)) => (Source::Below(dir.clone()), None),
            (None, None) => return Err(BacktestError::NoSource),
        };
        let symbol = args.symbol.clone().or_else(|| named.as_ref().map(|(s, _)| s.clone()));
        let symbol = symbol.unwrap_or_else(|| "SOLUSDT".to_owned());
        let interval_text = args.interval.clone().or_else(|| named.map(|(_, i)| i));
        let interval_text = interval_text.unwrap_or_else(|| "1h".to_owned());
        let (base, quote) = split(&symbol)?;
        let base_decimals = args.decimals.unwrap_or_else(|| decimals_of(base));
        if base_decimals > 12 {
            return Err(setting("decimals", base_decimals, "must be at most 12"));
        }
        let moment = |flag, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => calendar::parse(text)
                .map(Some)
                .ok_or_else(|| BacktestError::Moment { flag, text: text.clone() }),
        };
        let (from_ms, to_ms) = (moment("from", &args.from)?, moment("to", &args.to)?);
        if let (Some(from), Some(to)) = (from_ms, to_ms)
            && from >= to
        {
            let [from, to] = [from, to].map(calendar::date_time);
            return Err(BacktestError::EmptyRange { from, to });
        }
        let tape = TapeSpec {
            interval: Interval::parse(&interval_text)?,
            base_decimals,
            quote_decimals: USD_DECIMALS,
            from_ms,
            to_ms,
        };
        let world = world(args, &symbol, (base, quote), base_decimals)?;
        Ok(Self { source, interval_text, tape, world })
    }

    /// The file to read.
    pub(crate) fn file(&self) -> Result<PathBuf, BacktestError> {
        match &self.source {
            Source::File(file) => Ok(file.clone()),
            Source::Below(dir) => bars::find(dir, &self.world.symbol, &self.interval_text),
        }
    }
}

fn world(
    args: &BacktestArgs,
    symbol: &str,
    (base, quote): (&str, &str),
    base_decimals: u8,
) -> Result<World, BacktestError> {
    if args.cash_usd == 0 {
        return Err(setting("cash-usd", args.cash_usd, "must be above zero"));
    }
    if !(1_000..=1_000_000_000_000).contains(&args.depth_usd) {
        return Err(setting("depth-usd", args.depth_usd, "must lie between 1000 and 10^12"));
    }
    if args.pool_fee_bps == 0 || args.pool_fee_bps > 1_000 {
        return Err(setting("pool-fee-bps", args.pool_fee_bps, "must lie between 1 and 1000"));
    }
    if args.latency_ms > 50_000 || args.jitter_ms > 10_000 {
        let rule = "latency must be at most 50000 and jitter 10000: by then an order is dead";
        return Err(setting("latency-ms", args.latency_ms, rule));
    }
    let landing = Bps::new(args.landing_bps)
        .filter(|share| *share > Bps::ZERO)
        .ok_or_else(|| setting("landing-bps", args.landing_bps, "must lie between 1 and 10000"))?;
    let sol_price: Price = decimal::price(&args.sol_usd, 9, USD_DECIMALS)
        .map_err(|_| setting("sol-usd", &args.sol_usd, "must be a price above zero"))?;
    let cap = args.order_cap_usd.unwrap_or(args.cash_usd);
    if cap == 0 {
        return Err(setting("order-cap-usd", cap, "must be above zero"));
    }
    if args.compute_unit_price > 100_000_000_000 {
        let rule = "must be at most 10^11: beyond it a fee is a whole SOL and more";
        return Err(setting("compute-unit-price", args.compute_unit_price, rule));
    }
    let sim = SimSettings {
        seed: args.seed,
        latency: Timestamp::from_millis(i64::from(args.latency_ms)),
        jitter: Timestamp::from_millis(i64::from(args.jitter_ms)),
        landing,
        ..SimSettings::default()
    };
    let cash = Usd::dollars(i64::from(args.cash_usd));
    Ok(World {
        symbol: symbol.to_owned(),
        base: Symbol::new(base),
        quote: Symbol::new(quote),
        base_decimals,
        cash,
        // Held aside and no part of equity, so that it may be ample: see `sniper_core::sim::tape`, where equity is noted.
        fee_float: Lamports::new(1_000_000_000_000),
        depth: Usd::dollars(i64::try_from(args.depth_usd).unwrap_or(i64::MAX)),
        pool_fee: u64::from(args.pool_fee_bps) * 100,
        sim,
        limits: limits(cash, Usd::dollars(i64::from(cap)), args.compute_unit_price),
        sol_price,
    })
}

/// The desk of a study: the same review as live, with caps that fit its cash.
///
/// The halts on losses are as wide as they go. A halt waits for a person, and on a tape nobody comes: the rest of
/// the years would be a flat line that says nothing. The drawdown is reported instead.
fn limits(cash: Usd, order_cap: Usd, compute_unit_price: u64) -> Limits {
    // Profits may stay in a position, so that it can grow past the cash that bought it.
    let room = Usd::new(cash.get().saturating_mul(100)).max(order_cap);
    Limits {
        order_value_max: order_cap,
        position_value_max: room,
        exposure_max: room,
        daily_loss_max: room,
        drawdown_max: Bps::capped(9_999),
        losses_in_row_max: 0,
        compute_unit_price,
        ..Limits::default()
    }
}

fn setting(flag: &'static str, value: impl ToString, rule: &'static str) -> BacktestError {
    BacktestError::Setting { flag, value: value.to_string(), rule }
}

/// Symbol and interval of `SYMBOL_INTERVAL.csv[.zst]`.
fn name_parts(file: &std::path::Path) -> Option<(String, String)> {
    let name = file.file_name()?.to_str()?;
    let stem = name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".csv")?;
    let (symbol, interval) = stem.rsplit_once('_')?;
    (split(symbol).is_ok() && Interval::parse(interval).is_ok())
        .then(|| (symbol.to_owned(), interval.to_owned()))
}

/// `SOLUSDT` as `SOL` and `USDT`.
fn split(symbol: &str) -> Result<(&str, &str), BacktestError> {
    let plain = symbol.bytes().all(|b| b.is_ascii_alphanumeric());
    ["USDT", "USDC", "USD"]
        .into_iter()
        .find_map(|quote| Some((symbol.strip_suffix(quote)?, quote)))
        .filter(|(base, _)| !base.is_empty() && plain)
        .ok_or_else(|| {
            let rule = "must be letters and digits ending in USDT, USDC or USD, such as SOLUSDT";
            setting("symbol", symbol, rule)
        })
}

/// Decimals of a token's mint on Solana (the wrapped one, for what is native elsewhere).
fn decimals_of(base: &str) -> u8 {
    match base {
        "SOL" | "JTO" => 9,
        "BTC" | "ETH" | "HNT" => 8,
        "BONK" => 5,
        _ => 6,
    }
}
