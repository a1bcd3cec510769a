//! What is known of an endpoint.

use std::time::{Duration, Instant};

use super::breaker::{BreakerState, CircuitBreaker, RateBudget};
use super::error::{EndpointName, RpcError};
use super::latency::{ErrorRate, Latency};
use super::sketch::Sketches;
use super::window::Window;

/// The HTTP that an endpoint speaks with us: the newest that both know where it is reached by TLS, else 1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// One request at a time on each connection.
    Http1,
    /// Many at once on one connection.
    Http2,
}

impl HttpVersion {
    /// A stable word for tables and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How an endpoint is doing: one row of the dashboard's table.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// Its configured name.
    pub name: EndpointName,
    /// Takes reads now.
    pub healthy: bool,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// Its chain was verified since start.
    pub verified: bool,
    /// Median time of an answer, microseconds.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The slowest of the last two minutes.
    pub max_us: u64,
    /// Highest slot it told.
    pub slot: u64,
    /// Slots behind the best we know of.
    pub lag: u64,
    /// Moving share of failed requests.
    pub error_rate: f64,
    /// Requests made.
    pub requests: u64,
    /// The HTTP of its newest answer; none before the first.
    pub http: Option<HttpVersion>,
    /// Whether it answers several requests in one, as it showed when it was asked; none while that is not known.
    pub batches: Option<bool>,
}

/// Guarded by one lock that is never held across an await.
#[derive(Debug)]
pub(crate) struct Vitals {
    pub(crate) latency: Latency,
    /// The same for each method that was asked, smaller.
    methods: Sketches,
    pub(crate) errors: ErrorRate,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) budget: RateBudget,
    pub(super) window: Window,
    /// When each small request that is under way was made, and when one was answered last.
    asked: Vec<Instant>,
    heard: Option<Instant>,
    pub(crate) slot: u64,
    /// Slots behind the best, in the last round of looks.
    pub(crate) lag: u64,
    /// Genesis and height were checked.
    pub(crate) verified: bool,
    /// Serves another chain or lies about heights: never used again.
    pub(crate) banned: bool,
    /// It is on its way out: nothing new is asked of it.
    pub(super) leaving: bool,
    pub(crate) requests: u64,
    pub(super) http: Option<HttpVersion>,
    pub(super) batches: Option<bool>,
    /// Times that finding that out came to nothing.
    pub(super) batch_tries: u8,
}

/// Pause for an endpoint that wants fewer requests and does not say when.
const THROTTLED: Duration = Duration::from_millis(200);
/// The node's number for a `minContextSlot` that it has not reached.
const BEHIND_WISH: i64 = -32016;

impl Vitals {
    pub(super) fn new(requests_per_second: u32, now: Instant) -> Self {
        Self {
            latency: Latency::new(now),
            methods: Sketches::default(),
            errors: ErrorRate::default(),
            breaker: CircuitBreaker::default(),
            budget: RateBudget::new(requests_per_second),
            window: Window::default(),
            asked: Vec::new(),
            heard: None,
            slot: 0,
            lag: 0,
            verified: false,
            banned: false,
            leaving: false,
            requests: 0,
            http: None,
            batches: None,
            batch_tries: 0,
        }
    }

    /// Its word counts: it was verified and is to stay.
    pub(super) const fn is_sworn(&self) -> bool {
        self.verified && !self.banned && !self.leaving
    }

    /// A small request is made.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked.push(now);
    }

    /// One that was made then has ended, with an answer or without.
    pub(super) fn ended(&mut self, asked: Instant, answered: Option<Instant>) {
        if let Some(place) = self.asked.iter().position(|other| *other == asked) {
            self.asked.swap_remove(place);
        }
        self.heard = self.heard.max(answered);
    }

    /// How long it has been silent while there was something to answer.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        let oldest =
            self.asked.iter().min().copied().max(self.heard.filter(|_| !self.asked.is_empty()));
        oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest))
    }

    /// Adds the time of an answer, or of a silence that nobody waited for any longer.
    fn took(&mut self, method: &'static str, now: Instant, took: Duration) {
        self.latency.record(now, took);
        self.methods.record(method, now, took);
    }

    /// The recent percentile of a method's times, where `least` answers are known.
    pub(super) fn percentile(
        &self,
        method: &str,
        now: Instant,
        percent: u16,
        least: u16,
    ) -> Option<Duration> {
        self.methods.percentile(method, now, percent, least)
    }

    /// Counts an outcome for or against the endpoint. `jitter` spreads the probes of many.
    pub(super) fn book(
        &mut self,
        method: &'static str,
        (started, now): (Instant, Instant),
        jitter: u8,
        error: Option<&RpcError>,
    ) {
        let took = now.saturating_duration_since(started);
        match error {
            // Slow to follow is no fault to be ejected for, but others are asked sooner until the next look.
            Some(RpcError::Stale { slot, least, .. }) => {
                self.lag = self.lag.max(least.saturating_sub(*slot));
                self.errors.record(true);
                return;
            }
            // What became of the request was booked by another who asked with it.
            Some(RpcError::Shared { .. }) => return,
            Some(error) if error.node_code() == Some(BEHIND_WISH) => self.lag = self.lag.max(1),
            Some(RpcError::RateLimited { retry_after, .. }) => {
                self.window.halve(now);
                self.window.hold(now, retry_after.unwrap_or(THROTTLED));
            }
            Some(RpcError::Timeout { .. }) => {
                self.window.halve(now);
                // It takes at least so long now: waiting for ever as long as in better days would find nobody in time.
                self.took(method, now, took);
            }
            Some(_) => {}
            None => self.window.widen(),
        }
        let failed = error.is_some_and(RpcError::blames_endpoint);
        self.errors.record(failed);
        if failed {
            self.breaker.failure(now, jitter);
        } else {
            self.took(method, now, took);
            self.breaker.success();
        }
    }
}
