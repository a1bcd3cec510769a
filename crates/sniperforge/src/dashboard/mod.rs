//! The page: a snapshot, and a stream of what changed in it.
//!
//! It runs on a thread of its own and reads the [`View`] that the engine publishes; it never holds the engine and
//! offers nothing that changes anything. It listens on loopback alone unless told otherwise, and answers only
//! requests that name this machine, so that no web site can read it through the operator's browser.
//!
//! | route | what it answers |
//! |---|---|
//! | `/` | the page as it is now, readable without scripts; then kept up to date |
//! | `/performance` | where the time goes: the last trades, stages, endpoints, memory |
//! | `/events` | server-sent events: what changed, at most four times a second |
//! | `/api/view` | the whole [`View`] as JSON |
//! | `/api/trades`, `/api/orders`, `/api/logs`, `/api/days` | a page of the tables, newest first; `limit`, and `after` with what `next` said; `level` of logs |
//! | `/api/strategies`, `/api/positions` | sums of trades and what is held, of the newest run |
//! | `/metrics` | Prometheus text |
//! | `/healthz` | 200 while all is well, else 503 and why |
//!
//! # Design
//!
//! All numbers become text in one place, [`model`], for the server's HTML and the browser's updates alike. The script
//! only puts text where it belongs: it formats nothing, and it never makes markup out of data.

mod chart;
mod format;
mod history;
mod model;
mod page;
mod performance;
mod server;
mod stream;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::telemetry::View;

/// Where the page is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Listen beyond this machine. The page has no password: whoever reaches it reads it.
    pub allow_remote: bool,
    /// Answers of each kind that are kept of the tables.
    pub cached_answers: usize,
}

impl From<SocketAddr> for Options {
    fn from(address: SocketAddr) -> Self {
        Self { address, allow_remote: false, cached_answers: 8 }
    }
}

/// Why there is no page.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// Others could reach it, and nobody said they may.
    #[error(
        "dashboard: {address} can be reached from other machines; use 127.0.0.1, or allow it explicitly"
    )]
    NotLoopback {
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// Something else listens there.
    #[error(
        "dashboard: {address} is taken by another program; choose another port, or 0 for any free one"
    )]
    Taken {
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// The system refused the address.
    #[error("dashboard: cannot listen on {address}")]
    Bind {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no thread, or no event loop.
    #[error("dashboard: cannot start")]
    Start {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A page being served. Dropping it leaves the page running until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to type into a browser.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for its end: about a second after the token was cancelled at most.
    pub fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the dashboard ended by a panic");
        }
    }
}

/// Serves `view` on a thread of its own until `shutdown` is cancelled.
///
/// # Errors
/// When the address is taken, refused, or open to other machines without `allow_remote`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{net::SocketAddr, sync::Arc};
/// use sniperforge::{dashboard, telemetry::View};
///
/// let view = Arc::new(arc_swap::ArcSwap::from_pointee(View::default()));
/// let shutdown = tokio_util::sync::CancellationToken::new();
/// let page = dashboard::serve(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&view), shutdown.clone())?;
/// println!("open {}", page.url());
/// view.store(Arc::new(View { uptime_s: 1, ..View::default() })); // whoever looks sees it
/// shutdown.cancel();
/// page.wait();
/// # Ok(())
/// # }
/// ```
pub fn serve(
    options: impl Into<Options>,
    view: Arc<ArcSwap<View>>,
    shutdown: CancellationToken,
) -> Result<Running, DashboardError> {
    serve_with_tables(options, view, None, shutdown)
}

/// As [`serve`], with the database of tables that `/api/trades` and its like answer from.
///
/// # Errors
/// As [`serve`].
pub fn serve_with_tables(
    options: impl Into<Options>,
    view: Arc<ArcSwap<View>>,
    tables: Option<PathBuf>,
    shutdown: CancellationToken,
) -> Result<Running, DashboardError> {
    let Options { address, allow_remote, cached_answers } = options.into();
    if !address.ip().is_loopback() && !allow_remote {
        return Err(DashboardError::NotLoopback { address });
    }
    let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => DashboardError::Taken { address },
        _ => DashboardError::Bind { address, source },
    })?;
    let bind = |source| DashboardError::Bind { address, source };
    listener.set_nonblocking(true).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| DashboardError::Start { source })?;
    let thread = std::thread::Builder::new()
        .name("dashboard".to_owned())
        .spawn(move || {
            let history = history::History::new(tables, cached_answers);
            server::run(runtime, listener, view, history, allow_remote, shutdown);
        })
        .map_err(|source| DashboardError::Start { source })?;
    Ok(Running { address, thread })
}
