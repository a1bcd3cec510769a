//! A proxy that breaks things: it stands in front of any node's JSON-RPC and PubSub, and goes wrong on purpose.
//!
//! A client is pointed at [`FaultProxy::http_url`] and [`FaultProxy::ws_url`] in the place of the node, and the
//! [`Script`] says what happens to it and when. Nothing but sockets is needed: no privileges, and no support of the
//! system. The client speaks plain HTTP/1.1 and `ws`; the node may be `http` or `https`, `ws` or `wss`.
//!
//! # Script
//!
//! ```
//! # use sniper_localnet::proxy::Script;
//! # let text = r#"
//! seed = 7                          # which requests are struck, where not all are
//!
//! [[step]]                          # from 10 s to 15 s, every third request is refused
//! after = "10s"
//! for = "5s"
//! fault = "too-many-requests"
//! retry_after = "2s"                # without it, no Retry-After
//! share = 0.3
//!
//! [[step]]                          # all the time, reads of accounts are late, some more than others
//! fault = "delay"
//! delay = "80ms"
//! methods = ["getAccountInfo", "getMultipleAccounts"]
//!
//! [[step]]                          # after half a minute, slots are told too low
//! after = "30s"
//! fault = "stale-slot"
//! slots = 200
//! # "#;
//! # assert_eq!(Script::parse(text).unwrap().steps.len(), 3);
//! ```
//!
//! Steps may overlap: waits add up, rewrites are all made, and of several ends (an error, a closed connection) the first
//! that the script names comes. A step without `after` holds at once, one without `for` to the end, one without `methods`
//! for all; opening a WebSocket is the method `upgrade`, what answers a subscription `reply`, and notifications are named
//! as the node names them.
//!
//! | fault | strikes | key, and what holds without it |
//! |---|---|---|
//! | `delay`, `jitter` | everything | `delay`: 200 ms; jitter draws from nothing to this |
//! | `bandwidth`, `slow-loris` | answers, messages | `bytes_per_second`: 32768 in pieces; 10, byte by byte |
//! | `drop`, `reset`, `half-open` | everything | FIN; RST; open, deaf and mute |
//! | `truncate` | answers, messages | half of it, then the end |
//! | `duplicate`, `reorder` | messages | twice; after its follower, or after 500 ms where none comes |
//! | `too-many-requests` | requests, `upgrade` | `retry_after`: none |
//! | `server-error` | requests, `upgrade` | `status`: 503 |
//! | `stale-slot` | answers, messages | `slots`: 100 |
//! | `stale-cache` | answers to `get…` | the first answer of this script, again and again |
//! | `wrong-genesis` | `getGenesisHash` | |
//! | `inflated-height` | `getBlockHeight`, `getEpochInfo`, `getLatestBlockhash` | `blocks`: 1000000 |
//! | `invalid-json` | answers, messages | |
//! | `gigantic` | answers, messages | `bytes`: 1 GiB |
//!
//! The same seed and script strike the same requests and messages, by their number since the start: with several
//! connections at once, which of them sends the third request is the only chance left.
//!
//! # What it must never do
//!
//! - Tell the node's address: it may hold a key. Errors name its part, never the address.
//! - Listen anywhere but on loopback: who reaches it uses the node's key.
//! - Hold what is gigantic: fill is written from one block of 64 KiB, answers are passed on piece by piece, and what must
//!   be held to be changed has a bound, as have connections, requests, waiting messages and kept answers.
//!
//! # What it does not do
//!
//! HTTP/2, compression and chunked requests (400) towards the client. Pings are answered at either end, not passed on:
//! a half-open socket answers none. A delayed WebSocket message keeps its place in the order. Packets are not lost: TCP
//! would only make that a delay.

mod fault;
mod http;
mod plan;
mod rewrite;
mod script;
mod wire;
mod ws;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use fault::{FAULT_NAMES, Fault};
use plan::Plan;
pub use plan::ProxyReport;
pub use script::{STEPS_MAX, Script, ScriptError, Step};
use wire::Client;

/// Connections at once, at most; one more is closed at once.
const CONNECTIONS_MAX: usize = 1_024;

/// Why a proxy could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It may listen on loopback alone.
    #[error(
        "the fault proxy would listen on {address}; give an address of this machine alone, such as \
         127.0.0.1:0: who reaches it uses the node's key"
    )]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The port is taken.
    #[error(
        "the fault proxy cannot listen on {address}: {source}; choose another port (0 picks a free \
         one)"
    )]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The node's address cannot be one.
    #[error("the node's {which} address is not a URL that starts with {schemes}")]
    Address {
        /// Which of the two.
        which: &'static str,
        /// What it may start with.
        schemes: &'static str,
    },
    /// TLS cannot be set up.
    #[error("the fault proxy cannot set up TLS: {source}")]
    Tls {
        /// What the library said.
        #[source]
        source: rustls::Error,
    },
    /// The HTTP client cannot be made.
    #[error("the fault proxy cannot make its HTTP client: {source}")]
    Client {
        /// What the library said.
        #[source]
        source: reqwest::Error,
    },
}

/// What a proxy stands in front of, and what it does.
#[derive(Clone)]
pub struct ProxyConfig {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The node's JSON-RPC: `http` or `https`.
    pub http: String,
    /// The node's PubSub: `ws` or `wss`.
    pub ws: String,
    /// What goes wrong.
    pub script: Script,
}

impl std::fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The node's addresses may hold a key.
        f.debug_struct("ProxyConfig")
            .field("listen", &self.listen)
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

/// What every connection shares.
struct Shared {
    plan: Plan,
    http: reqwest::Url,
    ws: reqwest::Url,
    client: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    kept: Mutex<rewrite::Kept>,
}

/// A running proxy; it ends when this is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    cut: watch::Sender<u64>,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// Listens, and serves in the background. The node is not asked anything before a client asks.
    ///
    /// # Errors
    /// [`ProxyError`]: an address that cannot be used, or a port that is taken.
    pub async fn start(config: ProxyConfig) -> Result<Self, ProxyError> {
        let ProxyConfig { listen, http, ws, script } = config;
        if !listen.ip().is_loopback() {
            return Err(ProxyError::NotLoopback { address: listen });
        }
        let http = address("JSON-RPC", "http:// or https://", ["http", "https"], &http)?;
        let ws = address("PubSub", "ws:// or wss://", ["ws", "wss"], &ws)?;
        let tls = tls()?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .gzip(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .build()
            .map_err(|source| ProxyError::Client { source: source.without_url() })?;
        let failed = |source| ProxyError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            plan: Plan::new(script),
            http,
            ws,
            client,
            tls: Arc::new(tls),
            kept: Mutex::default(),
        });
        let (cut, cutting) = watch::channel(0);
        let serving = tokio::spawn(accept(listener, Arc::clone(&shared), cutting));
        Ok(Self { address, shared, cut, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its JSON-RPC.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its PubSub.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Starts another script in the place of the running one.
    pub fn replace(&self, script: Script) {
        self.shared.plan.replace(script);
    }

    /// Closes every open connection, and goes on taking new ones.
    pub fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// What it has done so far.
    #[must_use]
    pub fn report(&self) -> ProxyReport {
        self.shared.plan.report()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn address(
    which: &'static str,
    schemes: &'static str,
    allowed: [&str; 2],
    text: &str,
) -> Result<reqwest::Url, ProxyError> {
    let url = reqwest::Url::parse(text).ok();
    url.filter(|url| allowed.contains(&url.scheme()) && url.has_host())
        .ok_or(ProxyError::Address { which, schemes })
}

fn tls() -> Result<rustls::ClientConfig, ProxyError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| ProxyError::Tls { source })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes connections for ever; they end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>, cutting: watch::Receiver<u64>) {
    let mut open = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: a moment later there may be some.
                tracing::warn!(%error, "the fault proxy cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while open.try_join_next().is_some() {}
        if open.len() >= CONNECTIONS_MAX {
            shared.plan.connections_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        shared.plan.connections.fetch_add(1, Ordering::Relaxed);
        let (shared, mut cutting) = (Arc::clone(&shared), cutting.clone());
        cutting.mark_unchanged();
        open.spawn(async move {
            tokio::select! {
                served = connection(&shared, stream) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection of the fault proxy broke");
                    }
                }
                _ = cutting.changed() => {}
            }
        });
    }
}

async fn connection(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    http::serve(shared, Client::new(stream)).await
}
