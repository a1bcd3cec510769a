//! Requests over HTTP.

mod accounts;
mod answer;
mod breaker;
mod calls;
mod chain;
mod dial;
pub(crate) mod endpoint;
mod error;
mod floor;
mod gather;
mod http;
mod latency;
mod line;
mod members;
pub(crate) mod methods;
mod pool;
mod quorum;
pub(crate) mod raw;
mod read;
mod route;
mod send;
mod share;
mod sketch;
mod stream;
mod ticket;
mod tokens;
mod types;
mod verify;
mod vitals;
mod window;
pub(crate) mod wire;

pub use breaker::{BreakerState, CircuitBreaker, RateBudget, ShareBudget};
pub use calls::{Call, Calls};
pub use chain::{EpochInfo, FEE_ACCOUNTS_MAX, LEADERS_MAX};
pub use endpoint::{EndpointConfig, SecretUrl};
pub use error::{CallKind, ConnectError, EndpointName, Next, RpcError};
pub use http::HttpError;
pub use latency::{ErrorRate, Latency};
pub use line::LineError;
pub use methods::SendRequest;
pub(crate) use pool::EndpointHandle;
pub use pool::{PoolSettings, RpcConnectionPool};
pub use send::SendReport;
pub use tokens::{LARGEST_MAX, LargestAccount};
pub use types::{
    AccountFilter, AccountInfo, At, Commitment, Landed, LatestBlockhash, OwnedToken,
    SignatureStatus, Simulation, TokenAccount, TokenAmount, TxError,
};
pub(crate) use verify::make_endpoints;
pub use vitals::{EndpointReport, HttpVersion};
