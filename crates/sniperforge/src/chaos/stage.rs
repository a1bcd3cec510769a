//! A chain with three ports, and a fault proxy before each.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sniper_core::ids::Address;
use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, Script, Step};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::task::JoinHandle;

use crate::live::{Announced, LocalChain};

/// Milliseconds from block to block.
pub(super) const SLOT_MS: u64 = 200;
/// Requests a second that every endpoint is given.
const REQUESTS_PER_SECOND: u32 = 1_000;

/// Everything a scenario plays on.
pub(super) struct Stage {
    pub(super) proxies: Vec<FaultProxy>,
    pub(super) chain: Announced,
    _process: LocalChain,
}

/// A task that ends with its scenario.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    pub(super) async fn set(seed: u64) -> anyhow::Result<Self> {
        let (process, chain) = LocalChain::start_with(&[
            "--port",
            "0",
            "--port",
            "0",
            "--port",
            "0",
            "--slot-ms",
            &SLOT_MS.to_string(),
            "--seed",
            &seed.to_string(),
        ])?;
        let mut proxies = Vec::new();
        for (http, ws) in chain.rpc_urls.iter().zip(&chain.ws_urls) {
            let config = ProxyConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                http: http.clone(),
                ws: ws.clone(),
                script: Script::default(),
            };
            proxies.push(FaultProxy::start(config).await?);
        }
        Ok(Self { proxies, chain, _process: process })
    }

    /// The endpoints as the engine sees them: the proxies.
    pub(super) fn endpoints(&self) -> anyhow::Result<Vec<EndpointConfig>> {
        let named = ["first", "second", "third"].into_iter().zip(&self.proxies);
        named
            .map(|(name, proxy)| {
                let (http, ws) = (proxy.http_url(), proxy.ws_url());
                Ok(EndpointConfig::new(name, &http, &ws, REQUESTS_PER_SECOND)?)
            })
            .collect()
    }

    pub(super) fn settings(&self) -> anyhow::Result<PoolSettings> {
        let genesis = self.chain.genesis_hash.parse().context("read the genesis hash")?;
        Ok(PoolSettings { genesis: Some(genesis), ..PoolSettings::default() })
    }

    /// What the engine reads by, with its monitor.
    pub(super) async fn pool(&self) -> anyhow::Result<(RpcConnectionPool, Task)> {
        let pool = RpcConnectionPool::connect(self.endpoints()?, self.settings()?).await?;
        let monitor = Task::spawn(pool.clone().monitor());
        Ok((pool, monitor))
    }

    /// The chain itself, past every proxy: the truth.
    pub(super) async fn truth(&self) -> anyhow::Result<RpcConnectionPool> {
        let first = self.chain.rpc_urls.first().zip(self.chain.ws_urls.first());
        let (http, ws) = first.context("the local chain has no port")?;
        let endpoint = EndpointConfig::new("truth", http, ws, 10_000)?;
        Ok(RpcConnectionPool::connect(vec![endpoint], self.settings()?).await?)
    }

    /// Breaks one endpoint, or mends it.
    pub(super) fn play(&self, endpoint: usize, script: Script) {
        if let Some(proxy) = self.proxies.get(endpoint) {
            proxy.replace(script);
        }
    }

    /// Breaks every endpoint in the same way, or mends them.
    pub(super) fn play_all(&self, faults: &[Fault]) {
        for (proxy, seed) in self.proxies.iter().zip(1..) {
            proxy.replace(always(seed, faults));
        }
    }

    /// Closes every connection of all proxies.
    pub(super) fn cut_all(&self) {
        self.proxies.iter().for_each(FaultProxy::cut);
    }

    pub(super) fn pools(&self) -> anyhow::Result<Vec<Address>> {
        let pools = self.chain.pools.iter().chain(&self.chain.whirlpools);
        pools.map(|pool| pool.address.parse().context("read a pool's address")).collect()
    }
}

/// Faults that hold all the time.
pub(super) fn always(seed: u64, faults: &[Fault]) -> Script {
    Script { seed, steps: faults.iter().cloned().map(Step::always).collect() }
}

/// Waits until every endpoint is in use again.
pub(super) async fn recovered(pool: &RpcConnectionPool) -> anyhow::Result<Duration> {
    let start = Instant::now();
    while !pool.report().iter().all(|endpoint| endpoint.healthy) {
        ensure!(start.elapsed() < Duration::from_secs(120), "an endpoint did not come back in 2 m");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(start.elapsed())
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn figure(count: usize) -> f64 {
    count as f64
}
