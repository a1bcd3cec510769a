//! What `demo --faults` has to bear: endpoints behind fault proxies that go wrong in turn, transactions that are lost, and a
//! chain that abandons blocks.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, Script, Step};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::child::Announced;

/// How long one endpoint has a bad time, and the pause after it.
const BAD: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(1);
/// What was made ready before trading lies deeper than any fork goes after so long.
const SETTLED: Duration = Duration::from_secs(4);
/// Part of blocks before which the newest are abandoned.
const FORKS: f64 = 0.03;
/// Part of transactions that a port takes and loses.
const LOST: f64 = 0.4;

/// Proxies that break nothing yet.
pub(super) struct Trouble {
    proxies: Vec<FaultProxy>,
    /// The chain itself, past all proxies.
    chain: Vec<String>,
    seed: u64,
}

/// Trouble that has begun, or will once there is trading; it ends when this is dropped.
pub(super) struct Begun(JoinHandle<()>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What an endpoint does for a while.
fn kinds() -> Vec<Vec<Fault>> {
    vec![
        vec![Fault::Reset],
        vec![Fault::Delay(Duration::from_millis(400))],
        vec![Fault::HalfOpen],
        vec![Fault::TooManyRequests(None)],
        vec![Fault::Duplicate, Fault::Reorder],
        vec![Fault::StaleSlot(100)],
        vec![Fault::InvalidJson],
        vec![Fault::Truncate],
        vec![Fault::InflatedHeight(10_000)],
        vec![Fault::ServerError(503), Fault::Jitter(Duration::from_millis(300))],
    ]
}

impl Trouble {
    /// Puts a proxy before each port of the chain.
    pub(super) async fn prepare(chain: &Announced, seed: u64) -> anyhow::Result<Self> {
        let mut proxies = Vec::new();
        for (http, ws) in chain.rpc_urls.iter().zip(&chain.ws_urls) {
            let listen = ([127, 0, 0, 1], 0).into();
            let (http, ws, script) = (http.clone(), ws.clone(), Script::default());
            let config = ProxyConfig { listen, http, ws, script };
            proxies.push(FaultProxy::start(config).await.context("start a fault proxy")?);
        }
        Ok(Self { proxies, chain: chain.rpc_urls.clone(), seed })
    }

    /// The chain as it is reached through the proxies.
    pub(super) fn before(&self, mut chain: Announced) -> Announced {
        chain.rpc_urls = self.proxies.iter().map(FaultProxy::http_url).collect();
        chain.ws_urls = self.proxies.iter().map(FaultProxy::ws_url).collect();
        chain
    }

    /// Begins once there is trading.
    pub(super) fn begin(self, trades: oneshot::Receiver<()>) -> Begun {
        Begun(tokio::spawn(async move {
            if trades.await.is_err() {
                return;
            }
            tokio::time::sleep(SETTLED).await;
            if let Err(error) = self.let_loose().await {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the chain takes no orders to misbehave: endpoints alone do"
                );
            }
            self.go_on().await;
        }))
    }

    /// Has the chain fork, and each of its ports lose transactions.
    async fn let_loose(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let ask = async |url: &String, method: &str, params: serde_json::Value| {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            let asked = client.post(url).json(&body).send().await;
            asked.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url)
        };
        for url in &self.chain {
            ask(url, "localnet_faults", json!([{"faults": {"dropRate": LOST}}])).await?;
        }
        if let Some(url) = self.chain.first() {
            ask(url, "localnet_forks", json!([FORKS])).await?;
        }
        tracing::warn!(
            forks = FORKS,
            lost = LOST,
            "from here on the chain forks and loses transactions"
        );
        Ok(())
    }

    /// One endpoint after the other has a bad time, in ways that the seed chooses.
    async fn go_on(&self) {
        let kinds = kinds();
        let mut state = self.seed;
        let mut below = |limit: usize| {
            // Knuth's MMIX; its high bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap_or(0) % limit.max(1)
        };
        loop {
            let (endpoint, kind) = (below(self.proxies.len()), below(kinds.len()));
            let (Some(proxy), Some(faults)) = (self.proxies.get(endpoint), kinds.get(kind)) else {
                return;
            };
            tracing::debug!(endpoint, ?faults, "an endpoint has a bad time");
            let steps = faults.iter().cloned().map(Step::always).collect();
            proxy.replace(Script { seed: self.seed, steps });
            tokio::time::sleep(BAD).await;
            proxy.replace(Script::default());
            tokio::time::sleep(PAUSE).await;
        }
    }
}
