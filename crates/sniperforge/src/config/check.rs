//! From what was written to what may be believed.

use std::path::PathBuf;
use std::time::Duration;

use sniper_core::gate::Policy;
use sniper_core::ids::Address;
use sniper_core::launch::Program;
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::{StrategyKind, arbitrage};
use sniper_core::units::{Bps, Lamports, Timestamp, Usd};
use sniper_solana::fees::Urgency;
use sniper_solana::rpc::EndpointConfig;
use solana_hash::Hash;

use super::error::{ConfigError, Problem};
use super::layers::Layers;
use super::raw::{
    Amount, RawArbitrage, RawConfig, RawDashboard, RawEndpoint, RawLive, RawLog, RawMint, RawNode,
    RawOperator, RawPrices, RawRisk, RawSim, RawStore, RawStrategies, RawStrategy, RawTrading,
    RawWallet,
};
use super::{
    Config, Dashboard, LiveCaps, Log, Node, Prices, Sim, StrategySettings, Trading, Wallet, grpc,
    tuning,
};

/// The largest amount a setting may name: far above any desk this is for, far below where sums could overflow.
const DOLLARS_MAX: Usd = Usd::dollars(1_000_000_000);
/// The least amount of a setting that must be above zero.
const CENT: Usd = Usd::new(10_000);
/// The longest span a setting may name: 30 days.
const MILLIS_MAX: i64 = 30 * 24 * 3_600_000;

pub(super) type Checked<T> = Result<T, ConfigError>;

/// Checks every value; the first that cannot be ends it.
pub(super) fn check(raw: &RawConfig, layers: &Layers) -> Checked<Config> {
    let check = Check { layers };
    let (jito, tip) = check.jito(&raw.jito)?.unzip();
    let risk = Limits { tip: tip.unwrap_or_default(), ..check.risk(&raw.risk)? };
    let config = Config {
        node: check.node(&raw.node)?,
        wallet: check.wallet(&raw.wallet)?,
        trading: check.trading(&raw.trading)?,
        prices: check.prices(&raw.prices)?,
        jupiter: check.jupiter(raw)?,
        jito,
        risk,
        priority: check.priority(raw.risk.priority.as_deref())?,
        strategies: check.strategies(&raw.strategies)?,
        data_dir: check.path("store.data_dir", raw.store.data_dir.as_deref())?,
        journal_keep: check.journal_keep(&raw.store)?,
        log_lines: check.unsigned("store.log_lines", raw.store.log_lines, 0, 100_000_000)?,
        dashboard: check.dashboard(&raw.dashboard)?,
        performance: check.performance(&raw.performance)?,
        operator: check.operator(&raw.operator)?,
        tuning: check.tuning(raw)?,
        sim: check.sim(&raw.sim)?,
        log: check.log(&raw.log)?,
    };
    Ok(config)
}

pub(super) struct Check<'a> {
    layers: &'a Layers,
}

impl Check<'_> {
    pub(super) fn invalid(&self, key: &str, problem: Problem) -> ConfigError {
        ConfigError::Invalid { place: self.layers.place(key), key: key.to_owned(), problem }
    }

    pub(super) fn present<T>(&self, key: &str, value: Option<T>) -> Checked<T> {
        value.ok_or_else(|| self.invalid(key, Problem::Absent))
    }

    pub(super) fn whole(
        &self,
        key: &str,
        value: Option<i64>,
        least: i64,
        most: i64,
    ) -> Checked<i64> {
        let value = self.present(key, value)?;
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(self.invalid(key, Problem::Range { value, least, most }))
        }
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(
        &self,
        key: &str,
        value: Option<i64>,
        least: i64,
        most: i64,
    ) -> Checked<T> {
        let value = self.whole(key, value, least, most)?;
        T::try_from(value).map_err(|_| self.invalid(key, Problem::Range { value, least, most }))
    }

    /// None for ever, which zero stands for.
    fn journal_keep(&self, raw: &RawStore) -> Checked<Option<Duration>> {
        let days: u64 =
            self.unsigned("store.journal_keep_days", raw.journal_keep_days, 0, 36_500)?;
        Ok((days > 0).then(|| Duration::from_secs(days * 86_400)))
    }

    fn millis(&self, key: &str, value: Option<i64>, least: i64) -> Checked<Timestamp> {
        Ok(Timestamp::from_millis(self.whole(key, value, least, MILLIS_MAX)?))
    }

    pub(super) fn bps(&self, key: &str, value: Option<i64>, least: i64, most: i64) -> Checked<Bps> {
        Ok(Bps::capped(self.unsigned(key, value, least, most)?))
    }

    pub(super) fn dollars(&self, key: &str, value: Option<&Amount>, least: Usd) -> Checked<Usd> {
        let text = self.present(key, value)?;
        parse_dollars(&text.0)
            .filter(|value| (least..=DOLLARS_MAX).contains(value))
            .ok_or_else(|| self.invalid(key, Problem::Dollars { least, most: DOLLARS_MAX }))
    }

    pub(super) fn path(&self, key: &str, value: Option<&str>) -> Checked<PathBuf> {
        match self.present(key, value)? {
            "" => Err(self.invalid(key, Problem::Empty)),
            path => Ok(PathBuf::from(path)),
        }
    }

    fn address(&self, key: &str, value: &str) -> Checked<Address> {
        value.parse().map_err(|_| self.invalid(key, Problem::Address))
    }

    fn addresses(&self, key: &str, values: &[String]) -> Checked<Vec<Address>> {
        let mut all = Vec::with_capacity(values.len());
        for (nth, value) in values.iter().enumerate() {
            let key = format!("{key}.{nth}");
            let address = self.address(&key, value)?;
            if all.contains(&address) {
                return Err(self.invalid(&key, Problem::Duplicate));
            }
            all.push(address);
        }
        Ok(all)
    }

    fn name(&self, key: &str, value: Option<&str>) -> Checked<String> {
        let value = self.present(key, value)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=32).contains(&value.len()) && value.chars().all(fits) {
            Ok(value.to_owned())
        } else {
            Err(self.invalid(key, Problem::Name))
        }
    }

    fn node(&self, raw: &RawNode) -> Checked<Node> {
        let hash = |text: &str| {
            text.parse::<Hash>().map_err(|_| self.invalid("node.genesis_hash", Problem::Hash))
        };
        let genesis_hash = raw.genesis_hash.as_deref().map(hash).transpose()?;
        let mut endpoints: Vec<EndpointConfig> = Vec::new();
        let reserves = raw.reserves.as_deref().unwrap_or_default();
        for (nth, raw) in raw.endpoints.iter().flatten().enumerate() {
            let endpoint = self.endpoint(nth, raw)?;
            let endpoint = tuning::placed(endpoint, reserves);
            if endpoints.iter().any(|other| other.name() == endpoint.name()) {
                return Err(self.invalid(&format!("node.endpoints.{nth}.name"), Problem::Duplicate));
            }
            endpoints.push(endpoint);
        }
        Ok(Node { genesis_hash, endpoints })
    }

    fn endpoint(&self, nth: usize, raw: &RawEndpoint) -> Checked<EndpointConfig> {
        let key = |field: &str| format!("node.endpoints.{nth}.{field}");
        let name = self.name(&key("name"), raw.name.as_deref())?;
        let http_key = key("http");
        let http =
            self.url(&http_key, self.present(&http_key, raw.http.as_deref())?, ["http", "https"])?;
        let ws = match raw.ws.as_deref() {
            Some(text) => self.url(&key("ws"), text, ["ws", "wss"])?,
            None => pubsub_of(&http).ok_or_else(|| self.invalid(&key("ws"), Problem::Absent))?,
        };
        let rate = match raw.requests_per_second {
            None => 10,
            some => self.unsigned(&key("requests_per_second"), some, 1, 100_000)?,
        };
        // What the client itself refuses beyond that is said in its words, which hold no address.
        let endpoint = EndpointConfig::new(&name, http.as_str(), ws.as_str(), rate)
            .map_err(|error| self.invalid(&key("http"), Problem::Odds(error.to_string())))?;
        let place = |field: &str, problem| self.invalid(&key(field), Problem::Odds(problem));
        grpc::with_stream(endpoint, raw).map_err(|(field, problem)| place(field, problem))
    }

    pub(super) fn url(&self, key: &str, text: &str, schemes: [&str; 2]) -> Checked<reqwest::Url> {
        reqwest::Url::parse(text)
            .ok()
            .filter(|url| schemes.contains(&url.scheme()) && url.has_host())
            .ok_or_else(|| {
                let schemes = if schemes == ["ws", "wss"] {
                    "ws:// or wss://"
                } else {
                    "http:// or https://"
                };
                self.invalid(key, Problem::Url { schemes })
            })
    }

    fn wallet(&self, raw: &RawWallet) -> Checked<Wallet> {
        Ok(Wallet {
            keystore: self.path("wallet.keystore", raw.keystore.as_deref())?,
            public_key: match raw.public_key.as_deref() {
                None => None,
                Some(text) => Some(self.address("wallet.public_key", text)?),
            },
            passphrase_file: match raw.passphrase_file.as_deref() {
                None => None,
                some => Some(self.path("wallet.passphrase_file", some)?),
            },
        })
    }

    fn trading(&self, raw: &RawTrading) -> Checked<Trading> {
        Ok(Trading {
            candle: Timestamp::from_millis(self.whole(
                "trading.candle_ms",
                raw.candle_ms,
                100,
                86_400_000,
            )?),
            compare: Duration::from_millis(self.unsigned(
                "trading.compare_ms",
                raw.compare_ms,
                1_000,
                3_600_000,
            )?),
            pools: self.addresses("trading.pools", raw.pools.as_deref().unwrap_or_default())?,
            usd_mints: self
                .addresses("trading.usd_mints", raw.usd_mints.as_deref().unwrap_or_default())?,
            trusted_mints: self.addresses(
                "trading.trusted_mints",
                raw.trusted_mints.as_deref().unwrap_or_default(),
            )?,
            gate: self.gate(raw.allowed_extensions.as_deref().unwrap_or_default())?,
            lookup_tables: self.addresses(
                "trading.lookup_tables",
                raw.lookup_tables.as_deref().unwrap_or_default(),
            )?,
            make_lookup_table: raw.make_lookup_table.unwrap_or_default(),
            launch_programs: self.programs(raw.launch_programs.as_deref().unwrap_or_default())?,
            symbols: self.symbols(raw.mints.as_deref().unwrap_or_default())?,
            live: raw.live.as_ref().map(|raw| self.live(raw)).transpose()?,
        })
    }

    fn gate(&self, allowed: &[String]) -> Checked<Policy> {
        let mut policy = Policy::default();
        for (nth, name) in allowed.iter().enumerate() {
            let key = format!("trading.allowed_extensions.{nth}");
            let extension = name.parse().map_err(|_| self.invalid(&key, Problem::Extension))?;
            policy.extensions.insert(extension);
        }
        Ok(policy)
    }

    fn programs(&self, names: &[String]) -> Checked<Vec<Program>> {
        let mut all = Vec::new();
        for (nth, name) in names.iter().enumerate() {
            let key = format!("trading.launch_programs.{nth}");
            let program = Program::ALL.into_iter().find(|program| program.name() == name);
            let program = program.ok_or_else(|| self.invalid(&key, Problem::Program))?;
            if all.contains(&program) {
                return Err(self.invalid(&key, Problem::Duplicate));
            }
            all.push(program);
        }
        Ok(all)
    }

    fn symbols(&self, raw: &[RawMint]) -> Checked<Vec<(Address, String)>> {
        let mut all: Vec<(Address, String)> = Vec::new();
        for (nth, mint) in raw.iter().enumerate() {
            let address_key = format!("trading.mints.{nth}.address");
            let text = self.present(&address_key, mint.address.as_deref())?;
            let address = self.address(&address_key, text)?;
            if all.iter().any(|(other, _)| *other == address) {
                return Err(self.invalid(&address_key, Problem::Duplicate));
            }
            let symbol =
                self.name(&format!("trading.mints.{nth}.symbol"), mint.symbol.as_deref())?;
            all.push((address, symbol));
        }
        Ok(all)
    }

    /// All caps or none: half a guard is an oversight.
    fn live(&self, raw: &RawLive) -> Checked<LiveCaps> {
        let cap = |field: &str, value: &Option<Amount>| {
            self.dollars(&format!("trading.live.{field}"), value.as_ref(), CENT)
        };
        Ok(LiveCaps {
            order_value_max: cap("order_value_cap_usd", &raw.order_value_cap_usd)?,
            exposure_max: cap("exposure_cap_usd", &raw.exposure_cap_usd)?,
            daily_loss_max: cap("daily_loss_usd", &raw.daily_loss_usd)?,
        })
    }

    fn prices(&self, raw: &RawPrices) -> Checked<Prices> {
        let url = self.url(
            "prices.url",
            self.present("prices.url", raw.url.as_deref())?,
            ["http", "https"],
        )?;
        let every: u64 = self.unsigned("prices.every_ms", raw.every_ms, 100, 60_000)?;
        Ok(Prices { url: url.into(), every: Duration::from_millis(every) })
    }

    fn risk(&self, raw: &RawRisk) -> Checked<Limits> {
        let usd = |field: &str, value: &Option<Amount>, least| {
            self.dollars(&format!("risk.{field}"), value.as_ref(), least)
        };
        let limits = Limits {
            order_value_max: usd("order_value_cap_usd", &raw.order_value_cap_usd, CENT)?,
            position_value_max: usd("position_cap_usd", &raw.position_cap_usd, CENT)?,
            exposure_max: usd("exposure_cap_usd", &raw.exposure_cap_usd, CENT)?,
            fee_reserve: Lamports::new(self.unsigned(
                "risk.cash_reserve_lamports",
                raw.cash_reserve_lamports,
                0,
                1_000_000_000_000,
            )?),
            collar: self.bps("risk.price_collar_bps", raw.price_collar_bps, 1, 9_999)?,
            exit_collar: self.bps("risk.exit_collar_bps", raw.exit_collar_bps, 1, 9_999)?,
            reference_age_max: self.millis("risk.reference_age_ms", raw.reference_age_ms, 1)?,
            slippage_max: self.bps("risk.slippage_cap_bps", raw.slippage_cap_bps, 1, 9_999)?,
            market_age_max: self.millis("risk.stale_market_ms", raw.stale_market_ms, 1)?,
            duplicate_window: self.millis(
                "risk.duplicate_window_ms",
                raw.duplicate_window_ms,
                0,
            )?,
            orders_per_minute_max: self.unsigned(
                "risk.orders_per_minute",
                raw.orders_per_minute,
                1,
                10_000,
            )?,
            open_orders_max: self.unsigned("risk.open_orders", raw.open_orders, 1, 256)?,
            daily_loss_max: usd("daily_loss_usd", &raw.daily_loss_usd, CENT)?,
            drawdown_max: self.bps("risk.drawdown_bps", raw.drawdown_bps, 1, 9_999)?,
            losses_in_row_max: self.unsigned(
                "risk.consecutive_losses",
                raw.consecutive_losses,
                0,
                1_000,
            )?,
            cool_down: self.millis("risk.cool_down_ms", raw.cool_down_ms, 0)?,
            arbitrage_margin: usd("arbitrage_margin_usd", &raw.arbitrage_margin_usd, Usd::ZERO)?,
            compute_units_per_leg: self.unsigned(
                "risk.compute_units_per_leg",
                raw.compute_units_per_leg,
                1_000,
                405_300,
            )?,
            // At the most expensive, all the units that a transaction may have cost a tenth of a SOL.
            compute_unit_price: self.unsigned(
                "risk.compute_unit_price",
                raw.compute_unit_price,
                0,
                71_428_571,
            )?,
            order_ttl: self.millis("risk.order_ttl_ms", raw.order_ttl_ms, 1)?,
            // That of [jito], where it is used.
            tip: Lamports::ZERO,
        };
        self.risk_as_a_whole(&limits)?;
        Ok(limits)
    }

    fn priority(&self, text: Option<&str>) -> Checked<Option<Urgency>> {
        let key = "risk.priority";
        match self.present(key, text)? {
            "fixed" => Ok(None),
            word => word.parse().map(Some).map_err(|_| self.invalid(key, Problem::Priority)),
        }
    }

    /// What the ranges alone do not say.
    fn risk_as_a_whole(&self, limits: &Limits) -> Checked<()> {
        let odds = |key: &str, text: &str| Err(self.invalid(key, Problem::Odds(text.to_owned())));
        if limits.order_value_max > limits.position_value_max {
            return odds(
                "risk.order_value_cap_usd",
                "is above risk.position_cap_usd, so no full order could ever be held; lower it or raise the other",
            );
        }
        if limits.position_value_max > limits.exposure_max {
            return odds(
                "risk.position_cap_usd",
                "is above risk.exposure_cap_usd, so no full position could ever be held; lower it or raise the other",
            );
        }
        if limits.exit_collar < limits.collar {
            return odds(
                "risk.exit_collar_bps",
                "is below risk.price_collar_bps, so what may be bought could not be sold at the same price; raise it",
            );
        }
        // The core has the last word; a rule that only it knows is shown in its own words.
        limits.check().or_else(|error| odds("risk", &error.to_string()))
    }

    fn strategies(&self, raw: &RawStrategies) -> Checked<Vec<StrategySettings>> {
        let arbitrage = StrategyKind::Arbitrage(self.arbitrage(&raw.arbitrage.params)?);
        Ok(vec![
            self.strategy("trend", &raw.trend, StrategyKind::Trend(raw.trend.params.clone()))?,
            self.strategy(
                "momentum",
                &raw.momentum,
                StrategyKind::Momentum(raw.momentum.params.clone()),
            )?,
            self.strategy(
                "mean_reversion",
                &raw.mean_reversion,
                StrategyKind::MeanReversion(raw.mean_reversion.params.clone()),
            )?,
            self.strategy("arbitrage", &raw.arbitrage, arbitrage)?,
            self.strategy(
                "new_pool",
                &raw.new_pool,
                StrategyKind::NewPool(raw.new_pool.params.clone()),
            )?,
        ])
    }

    fn arbitrage(&self, raw: &RawArbitrage) -> Checked<arbitrage::Params> {
        let key = |field: &str| format!("strategies.arbitrage.params.{field}");
        Ok(arbitrage::Params {
            margin: self.dollars(&key("margin_usd"), raw.margin_usd.as_ref(), Usd::ZERO)?,
            share: self.present(&key("share"), raw.share)?,
            retry: self.millis(&key("retry_ms"), raw.retry_ms, 0)?,
        })
    }

    fn strategy<P: Default>(
        &self,
        name: &'static str,
        raw: &RawStrategy<P>,
        kind: StrategyKind,
    ) -> Checked<StrategySettings> {
        let key = |field: &str| format!("strategies.{name}.{field}");
        // The strategy itself knows best which parameters make sense together.
        kind.check().map_err(|error| {
            self.invalid(
                &key(&format!("params.{}", error.field)),
                Problem::Odds(error.problem.to_owned()),
            )
        })?;
        Ok(StrategySettings {
            name,
            enabled: self.present(&key("enabled"), raw.enabled)?,
            budget: self.dollars(&key("budget_usd"), raw.budget_usd.as_ref(), CENT)?,
            loss_limit: self.dollars(&key("loss_limit_usd"), raw.loss_limit_usd.as_ref(), CENT)?,
            kind,
        })
    }

    fn operator(&self, raw: &RawOperator) -> Checked<Option<Allowance>> {
        let budget = self.dollars("operator.budget_usd", raw.budget_usd.as_ref(), Usd::ZERO)?;
        let loss_limit =
            self.dollars("operator.loss_limit_usd", raw.loss_limit_usd.as_ref(), CENT)?;
        Ok((budget > Usd::ZERO).then_some(Allowance { budget, loss_limit }))
    }

    fn dashboard(&self, raw: &RawDashboard) -> Checked<Dashboard> {
        let key = "dashboard.listen";
        let listen: std::net::SocketAddr = self
            .present(key, raw.listen.as_deref())?
            .parse()
            .map_err(|_| self.invalid(key, Problem::Socket))?;
        let allow_remote = self.present("dashboard.allow_remote", raw.allow_remote)?;
        if !listen.ip().is_loopback() && !allow_remote {
            return Err(self.invalid(key, Problem::Remote));
        }
        let enabled = self.present("dashboard.enabled", raw.enabled)?;
        Ok(Dashboard { listen: enabled.then_some(listen), allow_remote })
    }

    fn sim(&self, raw: &RawSim) -> Checked<Sim> {
        let latency: u64 = self.unsigned("sim.latency_ms", raw.latency_ms, 0, 60_000)?;
        Ok(Sim {
            cash: self.dollars("sim.cash_usd", raw.cash_usd.as_ref(), CENT)?,
            lamports: Lamports::new(self.unsigned(
                "sim.lamports",
                raw.lamports,
                0,
                1_000_000_000_000_000,
            )?),
            latency: Duration::from_millis(latency),
            landing_odds: self.bps("sim.landing_odds_bps", raw.landing_odds_bps, 0, 10_000)?,
            seed: self.unsigned("sim.seed", raw.seed, 0, i64::MAX)?,
        })
    }

    fn log(&self, raw: &RawLog) -> Checked<Log> {
        let key = "log.level";
        let level = match self.present(key, raw.level.as_deref())? {
            "error" => tracing::Level::ERROR,
            "warn" => tracing::Level::WARN,
            "info" => tracing::Level::INFO,
            "debug" => tracing::Level::DEBUG,
            "trace" => tracing::Level::TRACE,
            _ => return Err(self.invalid(key, Problem::Level)),
        };
        Ok(Log { level, json: self.present("log.json", raw.json)? })
    }
}

/// The PubSub address that goes with a JSON-RPC one: the same host with the socket's scheme, and the next port where
/// one is written, as Solana's own tools have it.
pub(crate) fn pubsub_of(http: &reqwest::Url) -> Option<reqwest::Url> {
    let mut ws = http.clone();
    ws.set_scheme(if http.scheme() == "https" { "wss" } else { "ws" }).ok()?;
    if let Some(port) = http.port() {
        ws.set_port(Some(port.checked_add(1)?)).ok()?;
    }
    Some(ws)
}

/// Exact dollars from decimal text: an optional sign, digits, and at most six decimals.
pub(super) fn parse_dollars(text: &str) -> Option<Usd> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 6 {
        return None;
    }
    let micros: i64 = format!("{decimals:0<6}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(Usd::new(if negative { value.checked_neg()? } else { value }))
}

mod performance;
#[cfg(test)]
mod tests;
