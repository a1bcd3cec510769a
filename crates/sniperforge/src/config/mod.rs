//! Configuration: defaults, then files, then the environment; checked as a whole before anything starts.
//!
//! [`raw::RawConfig`] is what a person wrote, [`Config`] what the engine may believe: every value in its range, with
//! its unit in its type. Nothing else in the program reads a file or a variable for a setting.
//!
//! Secrets are not settings: the key lies encrypted in the keystore and its passphrase is typed, or read from a file
//! that only its owner can read. URLs of endpoints count as secrets, since many hold an access key: no error and no
//! page repeats them.

mod check;
mod defaults;
mod error;
mod grpc;
mod layers;
pub mod raw;
mod reload;
mod show;
mod template;
#[cfg(test)]
mod tests;
mod tuned;
mod tuning;
mod venues;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sniper_core::engine::{EngineConfig, Enrolled};
use sniper_core::gate::Policy;
use sniper_core::ids::Address;
use sniper_core::launch::Program;
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::StrategyKind;
use sniper_core::units::{Bps, Lamports, Timestamp, Usd};
use sniper_solana::fees::Urgency;
use sniper_solana::rpc::EndpointConfig;
use sniper_solana::venue::Handover;
use solana_hash::Hash;

use crate::telemetry::MetricsBounds;

pub(crate) use check::pubsub_of;
pub use error::{ConfigError, Place, Problem, variable_of};
pub use layers::{Layers, Sources};
pub use reload::{Changed, Reload};
pub use show::{to_json, to_toml};
pub use template::{template, write_new};
pub use tuned::{TUNABLE, TUNED_FILE, TunedError, TunedFile, TunedValue, is_tunable};
pub use tuning::Tuning;

/// What the names of our environment variables begin with.
pub const ENV_PREFIX: &str = "SNIPERFORGE__";

/// The tables of a configuration, in the order they are shown.
pub(crate) const SECTIONS: &[&str] = &[
    "node",
    "wallet",
    "trading",
    "prices",
    "jupiter",
    "jito",
    "risk",
    "strategies",
    "operator",
    "store",
    "dashboard",
    "performance",
    "sim",
    "log",
];

/// A configuration in which every value has been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the chain is reached.
    pub node: Node,
    /// Whose money.
    pub wallet: Wallet,
    /// What is traded.
    pub trading: Trading,
    /// The independent price.
    pub prices: Prices,
    /// Who may build swaps for us; nobody unless it is switched on.
    pub jupiter: Option<Jupiter>,
    /// Who else takes our transactions to the leader; nobody unless it is switched on.
    pub jito: Option<Jito>,
    /// What may be risked.
    pub risk: Limits,
    /// How urgent an ordinary order is; without it orders bid the most that the limits allow.
    pub priority: Option<Urgency>,
    /// Who trades, in order of registration.
    pub strategies: Vec<StrategySettings>,
    /// What the operator's own orders may use and lose; without it none are taken.
    pub operator: Option<Allowance>,
    /// Where files go.
    pub data_dir: PathBuf,
    /// How long finished segments of the journal are kept; none for ever.
    pub journal_keep: Option<Duration>,
    /// How many lines of the log the tables keep; with 0 they take none.
    pub log_lines: u64,
    /// The page.
    pub dashboard: Dashboard,
    /// What the engine tells of its own speed.
    pub performance: Performance,
    /// How its parts are set up, which changes how fast it is and never what it does.
    pub tuning: Tuning,
    /// The simulated venue of paper trading.
    pub sim: Sim,
    /// What is logged.
    pub log: Log,
}

/// Where the chain is reached.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The chain wanted; a node on another is refused.
    pub genesis_hash: Option<Hash>,
    /// The nodes, with names that differ. Their URLs can be used but not shown.
    pub endpoints: Vec<EndpointConfig>,
}

/// Whose money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The encrypted key file.
    pub keystore: PathBuf,
    /// The key it must hold.
    pub public_key: Option<Address>,
    /// A file with the passphrase, readable by its owner alone; without one it is asked for.
    pub passphrase_file: Option<PathBuf>,
}

/// What is traded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trading {
    /// Width of a candle.
    pub candle: Timestamp,
    /// How often ledger and chain are compared in live trading.
    pub compare: Duration,
    /// Pool accounts, each once.
    pub pools: Vec<Address>,
    /// Mints held as worth one dollar, each once.
    pub usd_mints: Vec<Address>,
    /// Mints that may be bought without the token gate's word, each once.
    pub trusted_mints: Vec<Address>,
    /// What the token gate accepts of every other mint.
    pub gate: Policy,
    /// Programs whose new pools are looked at while the strategy for them runs, each once.
    pub launch_programs: Vec<Program>,
    /// Address lookup tables for orders that would be too large without, each once.
    pub lookup_tables: Vec<Address>,
    /// Make a table of our own at the first live start.
    pub make_lookup_table: bool,
    /// Labels of mints.
    pub symbols: Vec<(Address, String)>,
    /// What arms live trading, if anything does.
    pub live: Option<LiveCaps>,
}

/// The independent price that every quote is compared with.
#[derive(Clone, PartialEq, Eq)]
pub struct Prices {
    /// A service that answers as Jupiter's price API does. May hold an access key: never for a log or a message.
    pub url: String,
    /// How often it is asked.
    pub every: Duration,
}

impl std::fmt::Debug for Prices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prices").field("every", &self.every).finish_non_exhaustive()
    }
}

/// An aggregator that may build swaps for us.
#[derive(Clone, PartialEq, Eq)]
pub struct Jupiter {
    /// A service that answers as Jupiter's swap API does. May hold an access key: never for a log or a message.
    pub url: String,
    /// A file with its access key, readable by its owner alone.
    pub key_file: Option<PathBuf>,
    /// How often it may be asked.
    pub requests_per_minute: u32,
    /// How much more than our own way it must bring.
    pub margin: Bps,
    /// The least that an order must be worth to be asked about.
    pub at_least: Usd,
    /// How long an order waits for the answer.
    pub wait: Duration,
}

impl std::fmt::Debug for Jupiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jupiter").field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// Block engines that take our transactions besides the nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct Jito {
    /// How they are handed over.
    pub handover: Handover,
    /// Where; at least one. May hold access keys: never for a log or a message.
    pub endpoints: Vec<String>,
    /// A file with the access key of all, readable by its owner alone.
    pub key_file: Option<PathBuf>,
}

impl std::fmt::Debug for Jito {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jito").field("handover", &self.handover).finish_non_exhaustive()
    }
}

/// Caps that hold besides the limits while real money is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveCaps {
    /// The greatest order.
    pub order_value_max: Usd,
    /// The most in positions.
    pub exposure_max: Usd,
    /// The most lost in a day.
    pub daily_loss_max: Usd,
}

/// One strategy's share.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategySettings {
    /// Which.
    pub name: &'static str,
    /// Whether it runs.
    pub enabled: bool,
    /// The most it may have in positions.
    pub budget: Usd,
    /// The loss that stops it.
    pub loss_limit: Usd,
    /// Its parameters.
    pub kind: StrategyKind,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    /// Where it is served; `None` when it is not.
    pub listen: Option<SocketAddr>,
    /// Whether other machines may read it.
    pub allow_remote: bool,
}

/// What the engine tells of its own speed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Performance {
    /// The file of figures, if one is written.
    pub metrics: Option<Metrics>,
    /// The file of baselines; those of the program without one.
    pub baselines: Option<PathBuf>,
    /// The collector that figures and ways of orders are sent to.
    pub otlp: Option<Otlp>,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Its address: scheme, host and port, and the path before `/v1/metrics`. Holds no secret.
    pub endpoint: String,
    /// How often figures are sent.
    pub every: Duration,
}

/// The file of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// How often a line is written.
    pub every: Duration,
    /// How large files become, and how many are kept.
    pub bounds: MetricsBounds,
}

impl Default for Metrics {
    fn default() -> Self {
        let bounds = MetricsBounds { file_bytes: 16_000_000, files: 4 };
        Self { every: Duration::from_secs(10), bounds }
    }
}

/// The simulated venue of paper trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sim {
    /// Opening cash.
    pub cash: Usd,
    /// Opening lamports.
    pub lamports: Lamports,
    /// Time from sending to landing.
    pub latency: Duration,
    /// Share of transactions that land.
    pub landing_odds: Bps,
    /// Seed of its chances.
    pub seed: u64,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// One JSON object a line.
    pub json: bool,
}

/// What live trading needs to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arming {
    /// The chain.
    pub genesis_hash: Hash,
    /// The key.
    pub public_key: Address,
    /// The caps.
    pub caps: LiveCaps,
}

impl Config {
    /// Reads and checks all sources.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place and what to write instead.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layers = Layers::read(sources)?;
        check::check(&layers.extract()?, &layers)
    }

    /// The same from layers already read, for a command that also shows them.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        check::check(&layers.extract()?, layers)
    }

    /// That there is something to connect to and something to trade.
    ///
    /// # Errors
    ///
    /// The key that is missing.
    pub fn require_market(&self) -> Result<(), ConfigError> {
        if self.node.endpoints.is_empty() {
            return Err(ConfigError::Missing {
                key: "node.endpoints",
                need: "trading needs at least one Solana node to read the market from",
            });
        }
        if self.trading.pools.is_empty() {
            return Err(ConfigError::Missing {
                key: "trading.pools",
                need: "trading needs at least one pool account to watch",
            });
        }
        Ok(())
    }

    /// What live trading needs, all of it named by a person.
    ///
    /// # Errors
    ///
    /// The key that is missing.
    pub fn require_armed(&self) -> Result<Arming, ConfigError> {
        let missing = |key, need| ConfigError::Missing { key, need };
        let genesis_hash = self
            .node
            .genesis_hash
            .ok_or_else(|| missing("node.genesis_hash", "live trading must name its chain"))?;
        let public_key = self
            .wallet
            .public_key
            .ok_or_else(|| missing("wallet.public_key", "live trading must name its key"))?;
        let caps = self
            .trading
            .live
            .ok_or_else(|| missing("trading.live", "live trading must name its caps"))?;
        Ok(Arming { genesis_hash, public_key, caps })
    }

    /// The limits that hold: the configured ones, and while armed never above the live caps.
    #[must_use]
    pub fn limits(&self, armed: Option<&Arming>) -> Limits {
        let mut limits = self.risk.clone();
        if let Some(Arming { caps, .. }) = armed {
            limits.exposure_max = limits.exposure_max.min(caps.exposure_max);
            limits.position_value_max = limits.position_value_max.min(limits.exposure_max);
            limits.order_value_max =
                limits.order_value_max.min(caps.order_value_max).min(limits.position_value_max);
            limits.daily_loss_max = limits.daily_loss_max.min(caps.daily_loss_max);
        }
        limits
    }

    /// What the engine is made of: limits, and the strategies that run, each with its allowance.
    #[must_use]
    pub fn engine(&self, armed: Option<&Arming>) -> EngineConfig {
        let running = self.strategies.iter().filter(|strategy| strategy.enabled);
        EngineConfig {
            limits: self.limits(armed),
            strategies: running
                .map(|strategy| Enrolled {
                    kind: strategy.kind.clone(),
                    allowance: Allowance {
                        budget: strategy.budget,
                        loss_limit: strategy.loss_limit,
                    },
                })
                .collect(),
            candle_width: self.trading.candle,
            equity_every: self.trading.candle,
            operator: self.operator,
        }
    }
}
