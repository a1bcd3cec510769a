//! Whether everything that trading needs is there: this machine, the configuration, and every endpoint.
//!
//! # Design
//! Each thing is looked at for itself, so that one run tells all that is wrong. Whatever the figures of an endpoint mean
//! is decided in [`endpoints`] alone, from what [`sniper_solana::probe`] measured; nothing is advised that no figure
//! stands behind.

mod endpoints;
mod machine;
mod table;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use sniper_core::market::WRAPPED_SOL;
use sniper_solana::probe::{ProbeSettings, probe};
use sniper_wallet::Hardening;

pub(crate) use endpoints::{EndpointRow, Verdict};

use crate::config::{Config, ConfigError};

/// Times that each method is asked at most: enough for a 95th percentile that is not the slowest.
const SAMPLES_MAX: usize = 25;

/// One thing looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

/// Everything looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Nothing stands against trading.
    pub(crate) ok: bool,
    pub(crate) checks: Vec<Finding>,
    pub(crate) endpoints: Vec<EndpointRow>,
    /// What to do about the endpoints together.
    pub(crate) advice: Vec<String>,
}

impl Report {
    pub(crate) fn table(&self) -> String {
        table::render(self)
    }
}

/// Looks at everything, at the endpoints for `span` or a little longer.
///
/// # Errors
///
/// When the event loop or a client for the endpoints cannot be made.
pub(crate) fn examine(
    config: &Config,
    hardening: Hardening,
    span: Duration,
) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")?;
    let settings = ProbeSettings {
        listen: span / 3,
        ask: span / 2,
        samples: SAMPLES_MAX,
        mint: config.trading.usd_mints.first().copied().unwrap_or(WRAPPED_SOL),
    };
    let probes = runtime.block_on(probe(config.node.endpoints.clone(), &settings))?;
    let (rows, advice) = endpoints::judge(&probes, config.node.genesis_hash);

    let mut checks = vec![finding("configuration", Ok("every value is in its range".to_owned()))];
    checks.extend(machine::checks(config, hardening));
    checks.push(clock(&rows));
    checks.push(finding("market", market(config).map_err(|error| error.to_string())));
    for row in &rows {
        let detail = row.summary();
        let outcome = if row.verdict == Verdict::Refuse { Err(detail) } else { Ok(detail) };
        checks.push(finding(&format!("endpoint {}", row.name), outcome));
    }
    let streams = config.node.endpoints.iter().filter(|endpoint| endpoint.has_grpc());
    for endpoint in streams {
        let detail = "listened to before its ws address; it was not opened here";
        checks.push(finding(&format!("stream of {}", endpoint.name()), Ok(detail.to_owned())));
    }
    let armed = match config.require_armed() {
        Ok(_) => "named: chain, key and caps".to_owned(),
        Err(error) => format!("off: {error}"),
    };
    checks.push(finding("live trading", Ok(armed)));
    Ok(Report { ok: checks.iter().all(|check| check.ok), checks, endpoints: rows, advice })
}

/// `Ok` is well, `Err` is not; the text is the same kind of text.
fn finding(name: &str, outcome: Result<String, String>) -> Finding {
    let ok = outcome.is_ok();
    Finding { name: name.to_owned(), ok, detail: outcome.unwrap_or_else(|detail| detail) }
}

fn market(config: &Config) -> Result<String, ConfigError> {
    config.require_market()?;
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let (endpoints, pools) = (config.node.endpoints.len(), config.trading.pools.len());
    Ok(format!("{}, {}", count(endpoints, "endpoint"), count(pools, "pool")))
}

/// The furthest that this machine's clock may be from the chain's, seconds. The chain's is a vote of its validators and
/// may be some seconds off itself; an engine that is off by more dates its orders, limits and days wrongly.
const CLOCK_OFF_MAX: u64 = 15;

/// The machine's clock against the chain's, by the endpoint that is furthest: one that lags tells an old time.
fn clock(rows: &[EndpointRow]) -> Finding {
    let told = rows.iter().filter(|row| row.verdict != Verdict::Refuse);
    let ahead = told.filter_map(|row| row.clock_ahead_seconds).min_by_key(|ahead| ahead.abs());
    finding(
        "clock",
        match ahead {
            None => Ok("not compared: no endpoint tells the chain's time".to_owned()),
            Some(ahead) if ahead.unsigned_abs() <= CLOCK_OFF_MAX => {
                Ok(format!("{ahead:+} s from the chain's"))
            }
            Some(ahead) => Err(format!(
                "{ahead:+} s from the chain's, at most {CLOCK_OFF_MAX} s is well: set this machine's clock, and keep it by NTP"
            )),
        },
    )
}
