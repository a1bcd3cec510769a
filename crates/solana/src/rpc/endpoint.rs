//! One endpoint: where it is, how it behaves, and one request to it.

#[cfg(feature = "yellowstone")]
pub(crate) mod grpc;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{StatusCode, Version};
use url::Url;

use super::answer::Reply;
use super::error::{ConnectError, EndpointName, RpcError};
use super::gather::Gather;
use super::http::{Answer, Client, HttpError};
use super::line::{Line, LineError};
use super::read::SMALL_ANSWER;
use super::vitals::{HttpVersion, Vitals};
use crate::http;

/// An endpoint's address. Providers put keys into it, so nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    pub(crate) fn parse(text: &str, schemes: [&str; 2]) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not a URL")?;
        if !schemes.contains(&url.scheme()) {
            return Err("its scheme is neither of the two that belong here");
        }
        if !url.has_host() {
            return Err("it has no host");
        }
        Ok(Self(url))
    }

    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.0.scheme(), "https" | "wss")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// One node as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    name: EndpointName,
    http: SecretUrl,
    ws: SecretUrl,
    #[cfg(feature = "yellowstone")]
    grpc: Option<Box<grpc::Grpc>>,
    requests_per_second: u32,
    is_reserve: bool,
}

impl EndpointConfig {
    /// Checks the addresses: `http(s)://` for requests, `ws(s)://` for subscriptions.
    ///
    /// # Errors
    /// [`ConnectError::Address`] names what is wrong, never the address.
    pub fn new(
        name: &str,
        http: &str,
        ws: &str,
        requests_per_second: u32,
    ) -> Result<Self, ConnectError> {
        let address = |which, text, schemes| {
            SecretUrl::parse(text, schemes).map_err(|problem| ConnectError::Address {
                endpoint: name.to_owned(),
                which,
                problem,
            })
        };
        Ok(Self {
            name: name.into(),
            http: address("http", http, ["http", "https"])?,
            ws: address("ws", ws, ["ws", "wss"])?,
            #[cfg(feature = "yellowstone")]
            grpc: None,
            requests_per_second,
            is_reserve: false,
        })
    }

    /// The same endpoint with a Yellowstone stream besides, to which the feed listens first: `http(s)://`, and the token
    /// that its provider gave.
    ///
    /// # Errors
    /// [`ConnectError::Address`] names what is wrong, never the address or the token.
    #[cfg(feature = "yellowstone")]
    pub fn with_grpc(mut self, address: &str, token: Option<&str>) -> Result<Self, ConnectError> {
        let grpc = grpc::Grpc::parse(address, token).map_err(|problem| ConnectError::Address {
            endpoint: self.name.to_string(),
            which: "grpc",
            problem,
        })?;
        self.grpc = Some(Box::new(grpc));
        Ok(self)
    }

    /// The feed can listen to a stream of it.
    #[must_use]
    pub const fn has_grpc(&self) -> bool {
        #[cfg(feature = "yellowstone")]
        return self.grpc.is_some();
        #[cfg(not(feature = "yellowstone"))]
        false
    }

    #[cfg(feature = "yellowstone")]
    pub(crate) fn grpc(&self) -> Option<&grpc::Grpc> {
        self.grpc.as_deref()
    }

    /// The same endpoint with a share of its budget, at least one request a second: for a pool beside another.
    #[must_use]
    pub fn with_share(mut self, part: u32, whole: u32) -> Self {
        let share = self.requests_per_second.saturating_mul(part).checked_div(whole).unwrap_or(1);
        self.requests_per_second = share.max(1);
        self
    }

    /// The same endpoint as a reserve, or as none: a reserve is read from and listened to where no other can be. Sends
    /// still go to it, and questions that a majority answers are still asked of it: it is slow, not wrong.
    #[must_use]
    pub fn as_reserve(mut self, is_reserve: bool) -> Self {
        self.is_reserve = is_reserve;
        self
    }

    /// Whether others are read from before it.
    #[must_use]
    pub const fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Its name, for logs and tables.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.name
    }

    /// Requests a second that it may be asked.
    #[must_use]
    pub const fn requests_per_second(&self) -> u32 {
        self.requests_per_second
    }

    pub(crate) fn needs_tls(&self) -> bool {
        self.http.is_tls() || self.ws.is_tls()
    }

    pub(crate) fn ws(&self) -> &SecretUrl {
        &self.ws
    }
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) config: EndpointConfig,
    client: Arc<Client>,
    /// For sends alone.
    line: Option<Line>,
    /// Small requests of this moment.
    pub(super) gather: Gather,
    vitals: Mutex<Vitals>,
}

/// Answers needed before limits are taken from them.
pub(super) const MEASURED_FROM: u16 = 20;
/// Shortest and longest time before a hedge, and the time while nothing is measured.
const HEDGE_MIN: Duration = Duration::from_millis(5);
const HEDGE_MAX: Duration = Duration::from_secs(2);
const HEDGE_UNMEASURED: Duration = Duration::from_millis(500);

/// The time before a hedge, where reads are known to take so long.
pub(super) fn hedge_pause(known: Option<Duration>) -> Duration {
    known.unwrap_or(HEDGE_UNMEASURED).clamp(HEDGE_MIN, HEDGE_MAX)
}

/// Most memory that is set aside for an answer of which only the head has come.
const ROOM_MAX: usize = 256 << 10;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) answer_bytes: usize,
}

impl Endpoint {
    pub(crate) fn new(
        config: EndpointConfig,
        roots: &Arc<rustls::RootCertStore>,
    ) -> Result<Self, ConnectError> {
        let tls = http::tls(Arc::clone(roots)).map_err(|source| ConnectError::Tls { source })?;
        let line = Line::new(&config.http, tls.clone());
        let client = Client::new(&config.http, tls).ok_or_else(|| ConnectError::Address {
            endpoint: config.name.to_string(),
            which: "http",
            problem: "it cannot be written into a request",
        })?;
        let client = Arc::new(client);
        let vitals = Mutex::new(Vitals::new(config.requests_per_second, Instant::now()));
        Ok(Self { config, client, line, gather: Gather::default(), vitals })
    }

    pub(crate) fn name(&self) -> &EndpointName {
        &self.config.name
    }

    pub(crate) fn vitals(&self) -> MutexGuard<'_, Vitals> {
        // Plain counters: a panic elsewhere leaves them usable.
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request, one answer; [`Self::book`] its outcome once it was read. `body` is the whole JSON-RPC request.
    pub(crate) async fn ask(
        &self,
        method: &'static str,
        body: Bytes,
        limits: Limits,
    ) -> Result<Bytes, RpcError> {
        let started = Instant::now();
        self.vitals().requests += 1;
        let outcome =
            tokio::time::timeout(limits.timeout, self.exchange(method, body, limits)).await;
        outcome.unwrap_or_else(|_| {
            Err(RpcError::Timeout {
                endpoint: self.name().clone(),
                method,
                waited: started.elapsed(),
            })
        })
    }

    /// Counts an outcome for or against the endpoint.
    pub(crate) fn book(&self, method: &'static str, started: Instant, error: Option<&RpcError>) {
        let (now, jitter) = (Instant::now(), jitter());
        self.vitals().book(method, (started, now), jitter, error);
    }

    async fn exchange(
        &self,
        method: &'static str,
        body: Bytes,
        limits: Limits,
    ) -> Result<Bytes, RpcError> {
        let transport = |source| self.transport(method, source);
        let mut response = self.open(method, body).await?;
        let limit = limits.answer_bytes;
        // By its own word, before anything of it is held.
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(self.too_large(method, limit));
        }
        response.bound(limit.saturating_add(1));
        let first = response.chunk().await.map_err(transport)?.unwrap_or_default();
        if first.len() > limit {
            return Err(self.too_large(method, limit));
        }
        if response.is_over() {
            return Ok(first); // the common case: one chunk, no copy
        }
        let Some(second) = response.chunk().await.map_err(transport)? else {
            return Ok(first);
        };
        // Its own word is believed only so far, and then as far as it is kept.
        let room = announced.unwrap_or_default().min(ROOM_MAX).max(first.len());
        let mut all = BytesMut::with_capacity(room);
        all.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if all.len().saturating_add(chunk.len()) > limit {
                return Err(self.too_large(method, limit));
            }
            all.extend_from_slice(&chunk);
            next = response.chunk().await.map_err(transport)?;
        }
        Ok(all.freeze())
    }

    /// Too much for us to read; of a method whose answers are small, more than it can be.
    fn too_large(&self, method: &'static str, limit: usize) -> RpcError {
        let endpoint = self.name().clone();
        if limit <= SMALL_ANSWER {
            let what = "far larger than the method's answers are";
            return RpcError::Impossible { endpoint, method, what };
        }
        RpcError::TooLarge { endpoint, method, limit }
    }

    /// Sends a request and judges the head of the answer; its body is still to be read.
    pub(crate) async fn open(&self, method: &'static str, body: Bytes) -> Result<Answer, RpcError> {
        let answer =
            self.client.post(body).await.map_err(|source| self.transport(method, source))?;
        let http = match answer.version() {
            Version::HTTP_2 => HttpVersion::Http2,
            _ => HttpVersion::Http1,
        };
        self.vitals().http = Some(http);
        self.accept(method, answer.status(), answer.headers())?;
        Ok(answer)
    }

    pub(super) fn transport(&self, method: &'static str, source: HttpError) -> RpcError {
        RpcError::Transport { endpoint: self.name().clone(), method, source }
    }

    /// What the head of an answer means.
    fn accept(
        &self,
        method: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), RpcError> {
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            return Err(RpcError::RateLimited {
                endpoint: self.name().clone(),
                method,
                retry_after,
            });
        }
        if !status.is_success() {
            let status = status.as_u16();
            return Err(RpcError::Status { endpoint: self.name().clone(), method, status });
        }
        Ok(())
    }

    /// Writes a request on the line kept for sends. None where the line is busy or down; then [`Self::ask`].
    pub(crate) fn begin(
        &self,
        body: &[u8],
        answer_bytes: usize,
    ) -> Option<impl Future<Output = Result<Reply, LineError>> + Send + use<>> {
        let answer = self.line.as_ref()?.begin(body, answer_bytes)?;
        self.vitals().requests += 1;
        Some(answer)
    }

    /// Waits for what [`Self::begin`] began; else as [`Self::ask`].
    pub(crate) async fn finish(
        &self,
        method: &'static str,
        answer: impl Future<Output = Result<Reply, LineError>>,
        limits: Limits,
    ) -> Result<Bytes, RpcError> {
        let endpoint = || self.name().clone();
        let Ok(answer) = tokio::time::timeout(limits.timeout, answer).await else {
            // What the next request would find there is the answer to this one.
            if let Some(line) = &self.line {
                line.hang_up();
            }
            return Err(RpcError::Timeout { endpoint: endpoint(), method, waited: limits.timeout });
        };
        let reply = answer.map_err(|source| match source {
            LineError::TooLarge(limit) => {
                RpcError::TooLarge { endpoint: endpoint(), method, limit }
            }
            source => RpcError::Line { endpoint: endpoint(), method, source },
        })?;
        self.accept(method, reply.status, &reply.headers)?;
        Ok(reply.body)
    }

    /// Keeps the line for sends open, for ever; returns at once where there can be none.
    pub(crate) async fn keep_line(&self) {
        if let Some(line) = &self.line {
            line.keep().await;
        }
    }

    /// How long it is given before another endpoint is asked too: this percentile of its times for the method or that of
    /// all endpoints together, whichever is less. Its own alone would grant a slow one all the time it takes. `None` where
    /// too few are known.
    pub(super) fn hedge_after(
        &self,
        method: &str,
        percentile: u8,
        all: Option<Duration>,
    ) -> Option<Duration> {
        let own =
            self.vitals().percentile(method, Instant::now(), percentile.into(), MEASURED_FROM);
        own.or_else(|| self.usual(percentile)).into_iter().chain(all).min()
    }

    /// This percentile of all its times, whatever was asked; `None` where too few are known.
    pub(super) fn usual(&self, percentile: u8) -> Option<Duration> {
        self.vitals().latency.quantile(u32::from(percentile) * 10, MEASURED_FROM.into())
    }

    /// The time an answer is waited for: what was measured, with room, within bounds.
    pub(crate) fn adaptive_timeout(
        &self,
        method: &str,
        least: Duration,
        most: Duration,
    ) -> Duration {
        let vitals = self.vitals();
        let own = vitals.percentile(method, Instant::now(), 99, MEASURED_FROM);
        match own.or_else(|| vitals.latency.quantile(990, MEASURED_FROM.into())) {
            Some(p99) => (p99 * 4 + Duration::from_millis(100)).clamp(least, most),
            None => most,
        }
    }
}

/// A byte that differs between calls and processes; enough to spread retries.
pub(crate) fn jitter() -> u8 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u8::try_from(hash & 0xff).unwrap_or(0)
}

#[cfg(test)]
mod tests;
