//! `status`: what a running instance says of itself on its page's address.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::Global;
use super::exit::{Exit, NoInstance, TimedOut};
use super::output::{aligned, report};
use crate::config::Config;

/// The longest an instance may take to answer: it only copies a snapshot.
const ANSWER_SECONDS_MAX: u64 = 5;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Address of the instance's page; by default that of the configuration.
    #[arg(long, value_name = "ADDRESS:PORT")]
    at: Option<SocketAddr>,
}

pub(super) fn status(args: &StatusArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let address = args.at.or(config.dashboard.listen);
    let Some(address) = address else {
        return Err(NoInstance { address: "no page: dashboard.enabled is false".to_owned() }.into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let view = runtime.block_on(fetch(address))?;
    report(global.json, &view, || {
        let text = |pointer: &str| match view.pointer(pointer) {
            Some(Value::String(text)) => crate::telemetry::safe_text(text, 80),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        aligned([
            ("mode", text("/mode")),
            ("risk", text("/risk")),
            ("healthy", text("/health/ok")),
            ("uptime", format!("{} s", text("/uptime_s"))),
            ("orders landed", text("/orders/landed")),
            (
                "orders open",
                view.pointer("/open_orders")
                    .and_then(Value::as_array)
                    .map_or(0, Vec::len)
                    .to_string(),
            ),
            ("memory", format!("{} MB", text("/rss_mb"))),
            ("page", format!("http://{address}/")),
        ])
    })?;
    Ok(Exit::Done)
}

async fn fetch(address: SocketAddr) -> anyhow::Result<Value> {
    let nobody = || NoInstance { address: address.to_string() };
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
        .no_proxy()
        .build()?;
    let answer =
        client.get(format!("http://{address}/api/view")).send().await.map_err(|error| {
            if error.is_timeout() {
                anyhow::Error::from(TimedOut {
                    what: format!("the instance at {address}"),
                    seconds: ANSWER_SECONDS_MAX,
                })
            } else {
                nobody().into()
            }
        })?;
    // Something else may listen there; that is not our instance either.
    let answer = answer.error_for_status().map_err(|_| nobody())?;
    Ok(answer.json().await.map_err(|_| nobody())?)
}
