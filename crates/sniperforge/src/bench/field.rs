//! The endpoints that are measured.

use anyhow::Context as _;
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use solana_hash::Hash;

use crate::config::Node;

/// Endpoints, and whatever stands before and behind them.
pub(super) struct Field {
    endpoints: Vec<EndpointConfig>,
    genesis: Option<Hash>,
    /// The chain past every proxy, where there is one.
    pub(super) truth: Option<EndpointConfig>,
    #[cfg(feature = "localnet")]
    _stage: Option<local::Stage>,
}

impl Field {
    pub(super) fn configured(node: &Node) -> Self {
        Self {
            endpoints: node.endpoints.clone(),
            genesis: node.genesis_hash,
            truth: None,
            #[cfg(feature = "localnet")]
            _stage: None,
        }
    }

    /// Limits are held where faults are known.
    pub(super) const fn is_local(&self) -> bool {
        self.truth.is_some()
    }

    /// Requests a second of the slowest endpoint.
    pub(super) fn rate(&self) -> u32 {
        let rates = self.endpoints.iter().map(EndpointConfig::requests_per_second);
        rates.min().unwrap_or(1)
    }

    /// A pool of the first `count` endpoints, with a part of their budgets. Nobody looks after it but the reads.
    pub(super) async fn pool(
        &self,
        count: usize,
        share: (u32, u32),
        hedge: bool,
    ) -> anyhow::Result<RpcConnectionPool> {
        let first = self.endpoints.iter().take(count);
        let endpoints = first.map(|one| one.clone().with_share(share.0, share.1)).collect();
        self.connect(endpoints, hedge).await
    }

    pub(super) async fn connect(
        &self,
        endpoints: Vec<EndpointConfig>,
        hedge: bool,
    ) -> anyhow::Result<RpcConnectionPool> {
        let settings = PoolSettings { genesis: self.genesis, hedge, ..PoolSettings::default() };
        RpcConnectionPool::connect(endpoints, settings).await.context("reach the endpoints")
    }

    #[cfg(not(feature = "localnet"))]
    pub(super) async fn local() -> anyhow::Result<Self> {
        anyhow::bail!("this build has no local chain; name endpoints with -c")
    }
}

#[cfg(feature = "localnet")]
mod local {
    use std::time::Duration;

    use anyhow::Context as _;
    use sniper_localnet::proxy::{Fault, FaultProxy, ProxyConfig, Script, Step};
    use sniper_solana::rpc::EndpointConfig;

    use super::Field;
    use crate::live::LocalChain;

    /// Part of the messages of the first endpoint that come late, and by how much: few enough for its 95th percentile to
    /// look well, so that nobody avoids it.
    const LATE: (f64, Duration) = (0.04, Duration::from_millis(250));
    /// Requests a second that every endpoint is given.
    const RATE: u32 = 1_000;

    /// A chain with three ports, and a proxy before the first that now and then is late.
    pub(super) struct Stage {
        _chain: LocalChain,
        _proxy: FaultProxy,
    }

    impl Field {
        pub(in super::super) async fn local() -> anyhow::Result<Self> {
            let ports = ["--port", "0", "--port", "0", "--port", "0", "--slot-ms", "200"];
            let (chain, told) = LocalChain::start_with(&ports)?;
            let urls: Vec<_> = told.rpc_urls.iter().zip(&told.ws_urls).collect();
            let (http, ws) = *urls.first().context("the local chain has no port")?;
            let (share, delay) = LATE;
            let step = Step { share, ..Step::always(Fault::Delay(delay)) };
            let config = ProxyConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                http: http.clone(),
                ws: ws.clone(),
                script: Script { seed: 1, steps: vec![step] },
            };
            let proxy = FaultProxy::start(config).await?;
            let endpoint = |name, http: &str, ws: &str| EndpointConfig::new(name, http, ws, RATE);
            let mut endpoints = vec![endpoint("late", &proxy.http_url(), &proxy.ws_url())?];
            for (name, (http, ws)) in ["second", "third"].into_iter().zip(urls.iter().skip(1)) {
                endpoints.push(endpoint(name, http, ws)?);
            }
            let genesis = told.genesis_hash.parse().context("read the genesis hash")?;
            Ok(Self {
                endpoints,
                genesis: Some(genesis),
                truth: Some(endpoint("truth", http, ws)?),
                _stage: Some(Stage { _chain: chain, _proxy: proxy }),
            })
        }
    }
}
