//! What a person wrote: every key optional, nothing judged yet.
//!
//! A key that is not here is an error, since a misspelt limit that is silently ignored is no limit.

use serde::{Deserialize, Deserializer, Serialize, de};
use sniper_core::strategy::{mean_reversion, momentum, new_pool, trend};

/// The keys of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// `[node]`
    pub node: RawNode,
    /// `[wallet]`
    pub wallet: RawWallet,
    /// `[trading]`
    pub trading: RawTrading,
    /// `[prices]`
    pub prices: RawPrices,
    /// `[jupiter]`
    pub jupiter: RawJupiter,
    /// `[jito]`
    pub jito: RawJito,
    /// `[risk]`
    pub risk: RawRisk,
    /// `[strategies]`
    pub strategies: RawStrategies,
    /// `[operator]`
    pub operator: RawOperator,
    /// `[store]`
    pub store: RawStore,
    /// `[dashboard]`
    pub dashboard: RawDashboard,
    /// `[performance]`
    pub performance: RawPerformance,
    /// `[sim]`
    pub sim: RawSim,
    /// `[log]`
    pub log: RawLog,
}

/// Declares a table whose keys are all optional and of which an unknown one is refused.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$kind>,
            )*
        }
    };
}

table!(
    /// Where the chain is reached.
    RawNode {
        /// Hash of the chain's first block.
        genesis_hash: String,
        /// The nodes.
        endpoints: Vec<RawEndpoint>,
        /// Names of nodes that are read from and listened to last.
        reserves: Vec<String>,
        /// Share of answers after which a second node is asked.
        hedge_percentile: i64,
        /// How many nodes tell the same.
        feed_replicas: i64,
    }
);
table!(
    /// One node.
    RawEndpoint {
        /// What logs call it.
        name: String,
        /// JSON-RPC address.
        http: String,
        /// PubSub address.
        ws: String,
        /// Address of its Yellowstone stream.
        grpc: String,
        /// A file of mode 0600 with the token that the stream wants.
        grpc_token_file: String,
        /// The most requests it may get.
        requests_per_second: i64,
    }
);
table!(
    /// Whose money.
    RawWallet {
        /// The encrypted key file.
        keystore: String,
        /// The key it must hold.
        public_key: String,
        /// A file of mode 0600 with the passphrase.
        passphrase_file: String,
    }
);
table!(
    /// What is traded.
    RawTrading {
        /// Width of a candle.
        candle_ms: i64,
        /// How often ledger and chain are compared in live trading.
        compare_ms: i64,
        /// Pool accounts.
        pools: Vec<String>,
        /// Mints held as worth one dollar.
        usd_mints: Vec<String>,
        /// Mints that may be bought without the token gate's word.
        trusted_mints: Vec<String>,
        /// Token-2022 extensions that the token gate lets pass.
        allowed_extensions: Vec<String>,
        /// Programs whose new pools are looked at while the strategy for them runs.
        launch_programs: Vec<String>,
        /// Address lookup tables.
        lookup_tables: Vec<String>,
        /// Whether a table of our own is made at the first live start.
        make_lookup_table: bool,
        /// Labels of mints.
        mints: Vec<RawMint>,
        /// What arms live trading.
        live: RawLive,
    }
);
table!(
    /// A label of a mint.
    RawMint {
        /// Its account.
        address: String,
        /// What pages call it.
        symbol: String,
    }
);
table!(
    /// Caps that hold besides `[risk]` while real money is at stake.
    RawLive {
        /// The greatest order.
        order_value_cap_usd: Amount,
        /// The most in positions.
        exposure_cap_usd: Amount,
        /// The most lost in a day.
        daily_loss_usd: Amount,
    }
);
table!(
    /// The independent price.
    RawPrices {
        /// Address of a service that answers as Jupiter's price API does.
        url: String,
        /// How often it is asked.
        every_ms: i64,
    }
);
table!(
    /// Who may build swaps for us.
    RawJupiter {
        /// `never` or `when_better`.
        r#use: String,
        /// Address of a service that answers as Jupiter's swap API does.
        url: String,
        /// A file of mode 0600 with its access key.
        key_file: String,
        /// How often it may be asked.
        requests_per_minute: i64,
        /// How much better than our own way.
        margin_bps: i64,
        /// The least that an order must be worth.
        at_least_usd: Amount,
        /// How long an order waits for the answer.
        wait_ms: i64,
    }
);
table!(
    /// Who else takes our transactions to the leader.
    RawJito {
        /// `never`, `transaction` or `bundle`.
        r#use: String,
        /// Addresses of block engines.
        endpoints: Vec<String>,
        /// A file of mode 0600 with the access key of all.
        key_file: String,
        /// What each order pays to be landed.
        tip_lamports: i64,
        /// The most that may be written for that.
        tip_cap_lamports: i64,
    }
);
table!(
    /// What may be risked.
    RawRisk {
        /// The greatest order.
        order_value_cap_usd: Amount,
        /// The greatest position in one mint.
        position_cap_usd: Amount,
        /// The most in all positions.
        exposure_cap_usd: Amount,
        /// Kept back for fees.
        cash_reserve_lamports: i64,
        /// Furthest from the independent price.
        price_collar_bps: i64,
        /// Furthest below the independent price when a position is sold.
        exit_collar_bps: i64,
        /// Oldest independent price that counts.
        reference_age_ms: i64,
        /// Furthest below the quote.
        slippage_cap_bps: i64,
        /// Longest silence of the feed.
        stale_market_ms: i64,
        /// Span in which the same order twice is one too many.
        duplicate_window_ms: i64,
        /// The most orders in a minute.
        orders_per_minute: i64,
        /// The most orders in flight.
        open_orders: i64,
        /// The most lost in a day.
        daily_loss_usd: Amount,
        /// The furthest fall from peak equity.
        drawdown_bps: i64,
        /// Losses in a row that pause entries.
        consecutive_losses: i64,
        /// How long that pause is.
        cool_down_ms: i64,
        /// What an arbitrage must bring beyond its costs.
        arbitrage_margin_usd: Amount,
        /// Compute units a swap may use.
        compute_units_per_leg: i64,
        /// The most bid for priority.
        compute_unit_price: i64,
        /// How that follows the market.
        priority: String,
        /// How long an order may wait for its signature.
        order_ttl_ms: i64,
    }
);
table!(
    /// Files of the engine.
    RawStore {
        /// The folder.
        data_dir: String,
        /// How many days finished segments of the journal are kept.
        journal_keep_days: i64,
        /// How many lines of the log the tables keep.
        log_lines: i64,
        /// Most rows in one transaction of the tables.
        table_batch: i64,
        /// Answers of each kind that the page keeps of the tables.
        cached_answers: i64,
        /// Steps in which space is made ready for the journal.
        journal_reserve_kb: i64,
    }
);
table!(
    /// The page.
    RawDashboard {
        /// Whether it is served.
        enabled: bool,
        /// Where.
        listen: String,
        /// Whether other machines may read it.
        allow_remote: bool,
    }
);
table!(
    /// What the engine tells of its own speed.
    RawPerformance {
        /// Whether figures are written to a file.
        metrics: bool,
        /// How often.
        metrics_every_ms: i64,
        /// How large a file becomes.
        metrics_file_mb: i64,
        /// How many files are kept.
        metrics_files: i64,
        /// The file of baselines; those of the program without one.
        baselines: String,
        /// The OpenTelemetry collector that figures and ways of orders are sent to; none when empty.
        otlp: String,
        /// How often.
        otlp_every_ms: i64,
    }
);
table!(
    /// What the operator's own orders may use and lose.
    RawOperator {
        /// The most they may have in positions and orders, in dollars; 0 takes none.
        budget_usd: Amount,
        /// The realised loss after which they only sell, in dollars.
        loss_limit_usd: Amount,
    }
);
table!(
    /// The simulated venue of paper trading.
    RawSim {
        /// Opening cash.
        cash_usd: Amount,
        /// Opening lamports.
        lamports: i64,
        /// Time from sending to landing.
        latency_ms: i64,
        /// How many of ten thousand transactions land.
        landing_odds_bps: i64,
        /// Seed of its chances.
        seed: i64,
    }
);
table!(
    /// What is logged.
    RawLog {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
        /// One JSON object a line.
        json: bool,
    }
);

/// What every strategy has, and parameters of its own.
///
/// In a file, parameters that are left out keep their defaults; a lower layer always sets all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStrategy<P: Default> {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The most it may have in positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<Amount>,
    /// The loss that stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_limit_usd: Option<Amount>,
    /// Its own parameters.
    pub params: P,
}

table!(
    /// Parameters of arbitrage, in the units of a configuration.
    RawArbitrage {
        /// What must be gained beyond all costs.
        margin_usd: Amount,
        /// Share of the budget that one cycle may use.
        share: f64,
        /// How long unchanged pools are left alone after an order.
        retry_ms: i64,
    }
);

/// `[strategies]`: one table for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStrategies {
    /// `[strategies.trend]`
    pub trend: RawStrategy<trend::Params>,
    /// `[strategies.momentum]`
    pub momentum: RawStrategy<momentum::Params>,
    /// `[strategies.mean_reversion]`
    pub mean_reversion: RawStrategy<mean_reversion::Params>,
    /// `[strategies.arbitrage]`
    pub arbitrage: RawStrategy<RawArbitrage>,
    /// `[strategies.new_pool]`
    pub new_pool: RawStrategy<new_pool::Params>,
}

/// A decimal number kept as it was written, so that money never passes through a binary fraction.
///
/// TOML has only binary fractions; their shortest text that reads back the same is what the person wrote, up to
/// fifteen digits. More digits go into quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an amount such as 50 or 12.5")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
                Ok(Amount(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
                Ok(Amount(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
                Ok(Amount(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Amount, E> {
                Ok(Amount(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
