//! Why a node gave no answer, and what a caller may do next.

use std::sync::Arc;
use std::time::Duration;

use solana_hash::Hash;
use thiserror::Error;

use super::http::HttpError;
use super::line::LineError;

/// A configured endpoint name; cheap to clone. Never the URL: that may hold a key.
pub type EndpointName = Arc<str>;

/// Why a node gave no (usable) answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// Nothing came back in time.
    #[error("{endpoint}: {method}: no answer within {waited:?}")]
    Timeout {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// The endpoint wants fewer requests.
    #[error("{endpoint}: {method}: rate limited")]
    RateLimited {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// How long it wants us to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// The connection failed.
    #[error("{endpoint}: {method}: connection failed")]
    Transport {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// What failed.
        #[source]
        source: HttpError,
    },
    /// The connection kept for sends failed.
    #[error("{endpoint}: {method}: connection failed")]
    Line {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// What failed.
        #[source]
        source: LineError,
    },
    /// An answer that is not an answer: the status of a gateway or a web server.
    #[error("{endpoint}: {method}: HTTP status {status}")]
    Status {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// The node understood and said no.
    #[error("{endpoint}: {method}: the node says {code}: {message}")]
    Node {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// Its error number.
        code: i64,
        /// Its words, shortened and cleaned: for people, never for decisions.
        message: String,
        /// Its `data`, as JSON text, where given.
        data: Option<Box<str>>,
    },
    /// The answer is not what the method gives.
    #[error("{endpoint}: {method}: unreadable answer")]
    Decode {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// Where it stopped making sense.
        #[source]
        source: serde_json::Error,
    },
    /// The answer reads, but cannot be true.
    #[error("{endpoint}: {method}: impossible answer: {what}")]
    Impossible {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The answer is of an older state than we have already seen.
    #[error("{endpoint}: {method}: answer of slot {slot}, wanted {least} or later")]
    Stale {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// The slot it answered from.
        slot: u64,
        /// The oldest that would have done.
        least: u64,
    },
    /// The answer is larger than we read.
    #[error("{endpoint}: {method}: answer of more than {limit} bytes")]
    TooLarge {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// Where we stopped.
        limit: usize,
    },
    /// No endpoint may be asked now: all are ejected.
    #[error("{method}: no usable endpoint; see the endpoint table for why each is out")]
    NoEndpoint {
        /// What was asked.
        method: &'static str,
    },
    /// So many wait for an endpoint that this one is not let in, or it has waited too long.
    #[error(
        "{method}: all endpoints are busy and {waiting} requests wait; ask for less, or add endpoints"
    )]
    Overloaded {
        /// What was to be asked.
        method: &'static str,
        /// Requests that wait.
        waiting: usize,
    },
    /// Too few endpoints agree.
    #[error("{method}: {answers} of {asked} endpoints answered, a majority is needed")]
    NoQuorum {
        /// What was asked.
        method: &'static str,
        /// Usable answers.
        answers: usize,
        /// Endpoints asked.
        asked: usize,
    },
    /// They answer, but tell different things.
    #[error(
        "{method}: at most {agreeing} of {asked} endpoints agree, a majority is needed: one is behind or does not tell \
         the truth; compare them by hand, then remove it"
    )]
    Disagree {
        /// What was asked.
        method: &'static str,
        /// The most that tell the same.
        agreeing: usize,
        /// Endpoints asked.
        asked: usize,
    },
    /// Another had asked the same, and its request failed.
    #[error("{endpoint}: {method}: asked together with others: {what}")]
    Shared {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was asked.
        method: &'static str,
        /// What that request came to.
        what: String,
    },
    /// What we wanted to ask cannot be written.
    #[error("{method}: the request cannot be written as JSON")]
    Encode {
        /// What was asked.
        method: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What a caller may do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same question will get the same answer.
    GiveUp,
    /// Ask again, elsewhere if possible, not before this time has passed.
    Wait(Duration),
    /// It may or may not have happened: only the chain knows. Never a new signature before it was asked.
    AskChain,
}

/// What kind of call failed: it decides what an unknown outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Changes nothing; may be repeated and raced.
    Read,
    /// Hands over signed bytes; only the same bytes may go out again.
    Send,
}

/// First pause before a repeated read.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause an endpoint can impose on us.
const PAUSE_MAX: Duration = Duration::from_secs(5);

impl RpcError {
    /// What may be done next. For a send an unknown outcome is never [`Next::Wait`].
    #[must_use]
    pub fn next(&self, kind: CallKind) -> Next {
        let unknown = match kind {
            CallKind::Read => Next::Wait(PAUSE),
            CallKind::Send => Next::AskChain,
        };
        match self {
            Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::Line { .. }
            | Self::Decode { .. }
            | Self::Impossible { .. }
            | Self::Shared { .. } => unknown,
            Self::Stale { .. } => catching_up(unknown),
            Self::Status { status, .. } if *status >= 500 || *status == 408 => unknown,
            Self::RateLimited { retry_after, .. } => match kind {
                CallKind::Read => Next::Wait(retry_after.unwrap_or(PAUSE * 4).min(PAUSE_MAX)),
                CallKind::Send => Next::AskChain,
            },
            Self::Node { code, .. } => node_code(*code, unknown),
            Self::Overloaded { .. }
            | Self::NoEndpoint { .. }
            | Self::NoQuorum { .. }
            | Self::Disagree { .. } => match kind {
                CallKind::Read => Next::Wait(PAUSE * 4),
                CallKind::Send => Next::AskChain,
            },
            Self::Status { .. } | Self::TooLarge { .. } | Self::Encode { .. } => Next::GiveUp,
        }
    }

    /// The endpoint is to blame, not the question: counts against its health.
    #[must_use]
    pub fn blames_endpoint(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::Line { .. }
            | Self::Status { .. }
            | Self::Decode { .. }
            | Self::Impossible { .. }
            | Self::RateLimited { .. } => true,
            Self::Node { code, .. } => matches!(code, -32603 | -32005),
            _ => false,
        }
    }

    /// The same error for another who waited for the same answer.
    #[must_use]
    pub(super) fn twin(&self) -> Self {
        let shared = |endpoint: &EndpointName, method, source: &dyn std::error::Error| {
            let what = super::wire::clean(&source.to_string());
            Self::Shared { endpoint: endpoint.clone(), method, what }
        };
        match self {
            Self::Timeout { endpoint, method, waited } => {
                Self::Timeout { endpoint: endpoint.clone(), method, waited: *waited }
            }
            Self::RateLimited { endpoint, method, retry_after } => {
                Self::RateLimited { endpoint: endpoint.clone(), method, retry_after: *retry_after }
            }
            Self::Transport { endpoint, method, source } => shared(endpoint, method, source),
            Self::Line { endpoint, method, source } => shared(endpoint, method, source),
            Self::Status { endpoint, method, status } => {
                Self::Status { endpoint: endpoint.clone(), method, status: *status }
            }
            Self::Node { endpoint, method, code, message, data } => Self::Node {
                endpoint: endpoint.clone(),
                method,
                code: *code,
                message: message.clone(),
                data: data.clone(),
            },
            Self::Decode { endpoint, method, source } => Self::Decode {
                endpoint: endpoint.clone(),
                method,
                source: serde::de::Error::custom(source),
            },
            Self::Impossible { endpoint, method, what } => {
                Self::Impossible { endpoint: endpoint.clone(), method, what }
            }
            Self::Stale { endpoint, method, slot, least } => {
                Self::Stale { endpoint: endpoint.clone(), method, slot: *slot, least: *least }
            }
            Self::TooLarge { endpoint, method, limit } => {
                Self::TooLarge { endpoint: endpoint.clone(), method, limit: *limit }
            }
            Self::NoEndpoint { method } => Self::NoEndpoint { method },
            Self::Overloaded { method, waiting } => Self::Overloaded { method, waiting: *waiting },
            Self::NoQuorum { method, answers, asked } => {
                Self::NoQuorum { method, answers: *answers, asked: *asked }
            }
            Self::Disagree { method, agreeing, asked } => {
                Self::Disagree { method, agreeing: *agreeing, asked: *asked }
            }
            Self::Shared { endpoint, method, what } => {
                Self::Shared { endpoint: endpoint.clone(), method, what: what.clone() }
            }
            Self::Encode { method, source } => {
                Self::Encode { method, source: serde::de::Error::custom(source) }
            }
        }
    }

    /// The error number of the node, if it gave one.
    #[must_use]
    pub fn node_code(&self) -> Option<i64> {
        match self {
            Self::Node { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The node is older than what we saw: it needs about a slot, another may need nothing.
fn catching_up(unknown: Next) -> Next {
    match unknown {
        Next::Wait(_) => Next::Wait(PAUSE * 4),
        other => other,
    }
}

/// The class of a documented error number.
fn node_code(code: i64, unknown: Next) -> Next {
    match code {
        // Internal; behind; history elsewhere; not yet there.
        -32603 | -32005 | -32004 | -32011 | -32014 | -32019 | -32010 => unknown,
        -32016 => catching_up(unknown),
        -32017 => match unknown {
            Next::Wait(_) => Next::Wait(PAUSE * 10),
            other => other,
        },
        _ => Next::GiveUp,
    }
}

/// Why the endpoints of a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// None was named.
    #[error("no endpoint is configured; name at least one under [node]")]
    NoEndpoints,
    /// Two share a name.
    #[error("two endpoints are called {name}; give each its own name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A pool holds no more.
    #[error("a pool holds at most {most} endpoints; remove one first")]
    TooMany {
        /// How many it holds.
        most: usize,
    },
    /// None has this name.
    #[error("no endpoint is called {name}; see the endpoint table for their names")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// Without it there would be none.
    #[error("{name} is the last verified endpoint; add another before it leaves")]
    LastEndpoint {
        /// The name.
        name: String,
    },
    /// The address cannot be used.
    #[error("{endpoint}: the {which} address is not usable: {problem}")]
    Address {
        /// Which endpoint.
        endpoint: String,
        /// `http`, `ws` or `grpc`.
        which: &'static str,
        /// What is wrong with it. Never the address: it may hold a key.
        problem: &'static str,
    },
    /// The HTTP client of a service could not be made.
    #[error("{endpoint}: the HTTP client cannot be made")]
    Client {
        /// Which service.
        endpoint: String,
        /// Why, URL removed.
        #[source]
        source: reqwest::Error,
    },
    /// The TLS library refuses to start.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// It answers, but not as a Solana node does.
    #[error(
        "{endpoint}: this is not a Solana JSON-RPC node; check its address in the configuration"
    )]
    NotSolana {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What it did.
        #[source]
        source: RpcError,
    },
    /// It serves another chain.
    #[error(
        "{endpoint}: wrong chain: its genesis hash is {found}, wanted {wanted}; \
         check the endpoint and genesis_hash in the configuration"
    )]
    WrongGenesis {
        /// Which endpoint.
        endpoint: EndpointName,
        /// What was wanted.
        wanted: Hash,
        /// What it has.
        found: Hash,
    },
    /// Its block height cannot be right, so expiry could not be judged by it.
    #[error(
        "{endpoint}: answers block height {height} at slot {slot}, which cannot be; expiry would be \
         judged wrongly, so it is not used: remove it from the configuration"
    )]
    ImpossibleHeight {
        /// Which endpoint.
        endpoint: EndpointName,
        /// Its slot.
        slot: u64,
        /// Its block height.
        height: u64,
    },
    /// Nobody answered.
    #[error("no endpoint can be reached; the first says")]
    Unreachable {
        /// What the first said.
        #[source]
        source: RpcError,
    },
}
