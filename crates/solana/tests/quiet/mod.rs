//! A quiet chain of two ports on a thread of its own: nobody trades but the test.
#![allow(unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use sniper_localnet::{LocalnetConfig, PortConfig, Ready};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::sync::oneshot;

pub const LONG: Duration = Duration::from_secs(30);
pub const SLOT: Duration = Duration::from_millis(40);

/// Ends with the test.
pub struct Chain {
    pub ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Chain {
    pub fn start() -> Self {
        let config = LocalnetConfig {
            ports: vec![PortConfig::default(), PortConfig::default()],
            slot_time: SLOT,
            agents: false,
            skip_rate: 0.0,
            finalized_depth: 8,
            ..LocalnetConfig::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let shutdown = async move { drop(stopped.await) };
            let ready = |ready: &Ready| told.send(ready.clone()).unwrap();
            sniper_localnet::run_blocking(config, shutdown, ready).unwrap();
        });
        let ready = ready.recv_timeout(LONG).unwrap();
        Self { ready, stop: Some(stop), thread: Some(thread) }
    }

    /// An endpoint for each port.
    pub async fn connect(&self) -> RpcConnectionPool {
        let urls = self.ready.rpc_urls.iter().zip(&self.ready.ws_urls).enumerate();
        let endpoints = urls.map(|(i, (http, ws))| {
            EndpointConfig::new(&format!("port-{i}"), http, ws, 1_000).unwrap()
        });
        let genesis = Some(self.ready.genesis_hash.parse().unwrap());
        let settings = PoolSettings { genesis, ..PoolSettings::default() };
        RpcConnectionPool::connect(endpoints.collect(), settings).await.unwrap()
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}
