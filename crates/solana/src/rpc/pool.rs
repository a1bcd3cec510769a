//! Several endpoints used as one.
//!
//! # Design
//! Reads go to the endpoint with the best record, are hedged to a second one after the first's 95th percentile and
//! are repeated, within a shared budget, when the error's class allows. Sends go to all endpoints at once and always
//! carry the same bytes; repeating them is the caller's decision. A failing or lagging endpoint is ejected by its
//! circuit breaker; [`RpcConnectionPool::monitor`] probes it back in.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sniper_core::units::Slot;
use solana_hash::Hash;
use tokio::sync::watch;

use super::breaker::{BreakerState, RetryBudget};
use super::endpoint::{Endpoint, EndpointConfig, EndpointReport, Limits, jitter};
use super::error::{CallKind, ConnectError, Next, RpcError};
use super::verify::{admit, check, is_foreign, make_endpoints, slot_of};
use super::wire;

/// Settings of a [`RpcConnectionPool`].
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// The chain we mean. Without it the first endpoint that answers says which, and the others must agree.
    pub genesis: Option<Hash>,
    /// Slots behind the best at which an endpoint is ejected.
    pub lag_max_slots: u64,
    /// Attempts of one read, the first included.
    pub attempts_max: u32,
    /// Pause between two looks at every endpoint.
    pub monitor_every: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            genesis: None,
            lag_max_slots: 50,
            attempts_max: 4,
            monitor_every: Duration::from_secs(2),
        }
    }
}

/// How heavy an answer is: decides how long it is waited for and how much of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    Heavy,
}

impl Endpoint {
    pub(super) fn limits(&self, weight: Weight) -> Limits {
        let (least, most) = weight.timeouts();
        Limits { timeout: self.adaptive_timeout(least, most), answer_bytes: weight.answer_bytes() }
    }
}

impl Weight {
    const fn timeouts(self) -> (Duration, Duration) {
        match self {
            Self::Light => (Duration::from_millis(400), Duration::from_secs(5)),
            Self::Heavy => (Duration::from_secs(30), Duration::from_secs(30)),
        }
    }

    const fn answer_bytes(self) -> usize {
        match self {
            Self::Light => 16 << 20,
            Self::Heavy => 256 << 20,
        }
    }
}

/// Several endpoints used as one; cheap to clone.
#[derive(Clone, Debug)]
pub struct RpcConnectionPool {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) endpoints: Vec<Endpoint>,
    settings: PoolSettings,
    genesis: Hash,
    retries: Mutex<RetryBudget>,
    /// Highest slot anybody told us.
    slot: watch::Sender<u64>,
}

impl RpcConnectionPool {
    /// Makes the clients and verifies every endpoint before any is used: its genesis hash and that its block height
    /// can be true. An endpoint that cannot be reached now is left out until [`Self::monitor`] has verified it.
    ///
    /// # Errors
    /// An endpoint that is not Solana, serves another chain or lies about heights is refused by name; so is a
    /// configuration none of whose endpoints answers.
    pub async fn connect(
        configs: Vec<EndpointConfig>,
        settings: PoolSettings,
    ) -> Result<Self, ConnectError> {
        let endpoints = make_endpoints(configs)?;
        let checks = join_all(endpoints.iter().map(check)).await;
        let mut genesis = settings.genesis;
        let mut unreachable = None;
        for (endpoint, checked) in endpoints.iter().zip(checks) {
            match checked {
                Ok(checked) => {
                    let wanted = *genesis.get_or_insert(checked.genesis);
                    admit(endpoint, &checked, wanted)?;
                }
                Err(source) if is_foreign(&source) => {
                    return Err(ConnectError::NotSolana {
                        endpoint: endpoint.name().clone(),
                        source,
                    });
                }
                Err(source) => {
                    tracing::warn!(endpoint = %endpoint.name(), error = %source, "endpoint not reached at start");
                    endpoint.vitals().breaker.trip(Instant::now(), jitter());
                    unreachable.get_or_insert(source);
                }
            }
        }
        let verified = endpoints.iter().any(|endpoint| endpoint.vitals().verified);
        let genesis = match (genesis, unreachable) {
            (Some(genesis), _) if verified => genesis,
            (_, Some(source)) => return Err(ConnectError::Unreachable { source }),
            (_, None) => return Err(ConnectError::NoEndpoints),
        };
        let slot = endpoints.iter().map(|endpoint| endpoint.vitals().slot).max().unwrap_or(0);
        Ok(Self {
            inner: Arc::new(Inner {
                endpoints,
                settings,
                genesis,
                retries: Mutex::new(RetryBudget::default()),
                slot: watch::Sender::new(slot),
            }),
        })
    }

    /// The chain all endpoints serve.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.inner.genesis
    }

    /// Tells the pool of a slot seen elsewhere, such as by a feed: lag is measured against the highest.
    pub fn observe_slot(&self, slot: Slot) {
        self.inner.slot.send_if_modified(|known| {
            let higher = slot.get() > *known;
            *known = slot.get().max(*known);
            higher
        });
    }

    /// Tells whenever the highest slot has risen.
    pub fn slots(&self) -> watch::Receiver<u64> {
        self.inner.slot.subscribe()
    }

    /// Highest slot anybody told.
    #[must_use]
    pub fn highest_slot(&self) -> Slot {
        Slot::new(*self.inner.slot.borrow())
    }

    /// One row per endpoint.
    #[must_use]
    pub fn report(&self) -> Vec<EndpointReport> {
        self.inner.endpoints.iter().map(|endpoint| self.report_of(endpoint)).collect()
    }

    fn report_of(&self, endpoint: &Endpoint) -> EndpointReport {
        let vitals = endpoint.vitals();
        EndpointReport {
            name: endpoint.name().clone(),
            healthy: vitals.verified && vitals.breaker.is_closed(),
            breaker: vitals.breaker.state(),
            verified: vitals.verified,
            p50_us: vitals.latency.quantile_us(0.50),
            p95_us: vitals.latency.quantile_us(0.95),
            p99_us: vitals.latency.quantile_us(0.99),
            slot: vitals.slot,
            lag: vitals.lag,
            error_rate: vitals.errors.get(),
            requests: vitals.requests,
        }
    }

    /// Looks at every endpoint for ever: slot and lag of those in use, probes for those that are out. Run it as a
    /// task of its own.
    pub async fn monitor(self) {
        let mut ticks = tokio::time::interval(self.inner.settings.monitor_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// One round of [`Self::monitor`].
    pub async fn look(&self) {
        let looks = self.inner.endpoints.iter().map(|endpoint| self.look_at(endpoint));
        let slots = join_all(looks).await;
        let best = slots.iter().flatten().copied().max().unwrap_or(0);
        self.observe_slot(Slot::new(best));
        for (endpoint, slot) in self.inner.endpoints.iter().zip(slots) {
            let Some(slot) = slot else { continue };
            let mut vitals = endpoint.vitals();
            vitals.slot = slot;
            // Within one round, so that a slow round is not taken for a lag.
            vitals.lag = best.saturating_sub(slot);
            if vitals.lag > self.inner.settings.lag_max_slots {
                tracing::warn!(endpoint = %endpoint.name(), lag = vitals.lag, "endpoint lags, ejected");
                vitals.breaker.trip(Instant::now(), jitter());
            }
        }
    }

    async fn look_at(&self, endpoint: &Endpoint) -> Option<u64> {
        let (banned, verified, closed, probing) = {
            let mut vitals = endpoint.vitals();
            let closed = vitals.breaker.is_closed();
            let probing = !closed && vitals.breaker.try_probe(Instant::now());
            (vitals.banned, vitals.verified, closed, probing)
        };
        if banned || (!closed && !probing) {
            return None;
        }
        if !verified {
            return self.verify_late(endpoint).await;
        }
        match slot_of(endpoint).await {
            Ok(slot) => Some(slot),
            Err(error) => {
                tracing::debug!(endpoint = %endpoint.name(), %error, "endpoint look failed");
                None
            }
        }
    }

    /// Verifies an endpoint that was not there at start.
    async fn verify_late(&self, endpoint: &Endpoint) -> Option<u64> {
        match check(endpoint).await {
            Ok(checked) => match admit(endpoint, &checked, self.inner.genesis) {
                Ok(()) => Some(checked.slot),
                Err(error) => {
                    tracing::error!(%error, "endpoint refused for good");
                    endpoint.vitals().banned = true;
                    None
                }
            },
            Err(error) => {
                tracing::debug!(endpoint = %endpoint.name(), %error, "endpoint still not reached");
                None
            }
        }
    }

    /// Where subscriptions can go: usable endpoints first, fastest first.
    pub(crate) fn ws_candidates(&self) -> Vec<EndpointConfig> {
        let mut all: Vec<_> = self
            .inner
            .endpoints
            .iter()
            .filter(|endpoint| {
                // One that was never verified may serve another chain.
                let vitals = endpoint.vitals();
                vitals.verified && !vitals.banned
            })
            .map(|endpoint| (!usable(endpoint), score(endpoint), endpoint.config.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        all.into_iter().map(|(_, _, config)| config).collect()
    }

    /// Endpoints that take reads now, for questions that several must answer.
    pub(crate) fn usable(&self) -> Vec<EndpointHandle> {
        let endpoints = self.inner.endpoints.iter().enumerate();
        endpoints
            .filter(|(_, endpoint)| usable(endpoint))
            .map(|(index, _)| EndpointHandle { pool: self.clone(), index })
            .collect()
    }

    /// Asks a question that may be repeated and raced.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
        weight: Weight,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, RpcError> {
        let body = wire::request(method, params)?;
        self.with_retries(|retries| retries.earn());
        let mut avoid = None;
        let mut attempt = 1;
        loop {
            let (index, error) = match self.attempt(method, &body, weight, avoid, &check).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            let Next::Wait(pause) = error.next(CallKind::Read) else { return Err(error) };
            if attempt >= self.inner.settings.attempts_max || !self.with_retries(RetryBudget::spend)
            {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "read repeated");
            avoid = index;
            let doubled = pause.saturating_mul(1 << attempt.min(5));
            let pause = doubled.saturating_add(doubled * u32::from(jitter()) / 512);
            tokio::time::sleep(pause.min(Duration::from_secs(5))).await;
            attempt += 1;
        }
    }

    fn with_retries<R>(&self, f: impl FnOnce(&mut RetryBudget) -> R) -> R {
        f(&mut self.inner.retries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One attempt: the best endpoint, hedged by the second best.
    async fn attempt<T: DeserializeOwned>(
        &self,
        method: &'static str,
        body: &Bytes,
        weight: Weight,
        avoid: Option<usize>,
        check: &impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, (Option<usize>, RpcError)> {
        let first = self.pick(method, avoid).await.map_err(|error| (None, error))?;
        let ask = |index: usize| async move {
            self.ask_one(index, method, body.clone(), weight, check)
                .await
                .map(|value| (index, value))
                .map_err(|error| (Some(index), error))
        };
        let begun = Instant::now();
        let mut primary = pin!(ask(first));
        if weight == Weight::Light {
            let patience = self.hedge_after(first);
            let timer = pin!(tokio::time::sleep(patience));
            match select(primary.as_mut(), timer).await {
                Either::Left((outcome, _)) => return outcome.map(|(_, value)| value),
                Either::Right(((), _)) => {}
            }
            if let Some(second) = self.hedge_with(first) {
                let (answered, value) = first_good(primary, pin!(ask(second))).await?;
                if answered != first {
                    self.outrun(first, begun);
                }
                return Ok(value);
            }
        }
        primary.await.map(|(_, value)| value)
    }

    /// Books that an endpoint was still silent when another had answered: it would have taken at least this long.
    fn outrun(&self, index: usize, begun: Instant) {
        if let Some(endpoint) = self.inner.endpoints.get(index) {
            let now = Instant::now();
            endpoint.vitals().latency.record(now, now.saturating_duration_since(begun));
        }
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        index: usize,
        method: &'static str,
        body: Bytes,
        weight: Weight,
        check: &impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, RpcError> {
        let endpoint = self.inner.endpoints.get(index).ok_or(RpcError::NoEndpoint { method })?;
        ask_typed(endpoint, method, body, weight, check).await
    }

    /// How long the first endpoint is given before a second is asked too.
    fn hedge_after(&self, index: usize) -> Duration {
        let p95 = self
            .inner
            .endpoints
            .get(index)
            .and_then(|endpoint| endpoint.vitals().latency.quantile(0.95, 20));
        p95.unwrap_or(Duration::from_millis(500))
            .clamp(Duration::from_millis(5), Duration::from_secs(2))
    }

    /// Another endpoint with budget to spare, or none.
    fn hedge_with(&self, first: usize) -> Option<usize> {
        let index = self.best(Some(first)).filter(|index| *index != first)?;
        let endpoint = self.inner.endpoints.get(index)?;
        endpoint.vitals().budget.take(Instant::now()).ok()?;
        Some(index)
    }

    /// The endpoint with the best record; `avoid` only if there is no other.
    fn best(&self, avoid: Option<usize>) -> Option<usize> {
        let endpoints = self.inner.endpoints.iter().enumerate();
        endpoints
            .filter(|(_, endpoint)| usable(endpoint))
            .map(|(index, endpoint)| (Some(index) == avoid, score(endpoint), index))
            .min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
            .map(|(_, _, index)| index)
    }

    /// The endpoint that a request goes to now, paid for.
    pub(super) async fn endpoint(&self, method: &'static str) -> Result<&Endpoint, RpcError> {
        let index = self.pick(method, None).await?;
        self.inner.endpoints.get(index).ok_or(RpcError::NoEndpoint { method })
    }

    /// Picks an endpoint and pays for the request, waiting for budget if need be.
    async fn pick(&self, method: &'static str, avoid: Option<usize>) -> Result<usize, RpcError> {
        let mut skip = avoid;
        for _ in 0..self.inner.endpoints.len().saturating_mul(2).saturating_add(1) {
            let index = self.best(skip).ok_or(RpcError::NoEndpoint { method })?;
            let endpoint =
                self.inner.endpoints.get(index).ok_or(RpcError::NoEndpoint { method })?;
            let Err(wait) = endpoint.vitals().budget.take(Instant::now()) else {
                return Ok(index);
            };
            let other = self.best(Some(index)).filter(|other| *other != index && skip.is_none());
            match other {
                Some(_) => skip = Some(index),
                None => tokio::time::sleep(wait).await,
            }
        }
        self.best(None).ok_or(RpcError::NoEndpoint { method })
    }

    /// A method that is no standard one, such as a local chain's own. Goes to the best endpoint, once.
    ///
    /// # Errors
    /// As any read, without repetition: what the method does is not known here.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<T, RpcError> {
        let body = wire::request(method, params)?;
        let index = self.pick(method, None).await?;
        self.ask_one(index, method, body, Weight::Light, &|_| Ok(())).await
    }
}

/// One endpoint of a pool, for questions that each must answer for itself.
#[derive(Clone, Debug)]
pub(crate) struct EndpointHandle {
    pool: RpcConnectionPool,
    index: usize,
}

impl EndpointHandle {
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<T, RpcError> {
        let body = wire::request(method, params)?;
        self.pool.ask_one(self.index, method, body, Weight::Light, &|_| Ok(())).await
    }
}

pub(crate) async fn ask_typed<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    body: Bytes,
    weight: Weight,
    check: &impl Fn(&T) -> Result<(), &'static str>,
) -> Result<T, RpcError> {
    let started = Instant::now();
    let answer = endpoint.ask(method, body, endpoint.limits(weight)).await;
    judge(endpoint, method, started, answer, check)
}

/// Reads an answer, and books what it says of the endpoint.
pub(super) fn judge<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    started: Instant,
    answer: Result<Bytes, RpcError>,
    check: &impl Fn(&T) -> Result<(), &'static str>,
) -> Result<T, RpcError> {
    let value = answer.and_then(|bytes| {
        let value = wire::open(endpoint.name(), method, &bytes)?;
        check(&value).map(|()| value).map_err(|what| RpcError::Impossible {
            endpoint: endpoint.name().clone(),
            method,
            what,
        })
    });
    // Booked only now: an answer in time that cannot be true is a failure too.
    endpoint.book(started, value.as_ref().err());
    value
}

/// The first of two that is good; the last error if neither is.
async fn first_good<T, E>(
    a: impl Future<Output = Result<T, E>> + Unpin,
    b: impl Future<Output = Result<T, E>> + Unpin,
) -> Result<T, E> {
    match select(a, b).await {
        Either::Left((Ok(value), _)) | Either::Right((Ok(value), _)) => Ok(value),
        Either::Left((Err(_), b)) => b.await,
        Either::Right((Err(_), a)) => a.await,
    }
}

pub(super) fn usable(endpoint: &Endpoint) -> bool {
    let vitals = endpoint.vitals();
    vitals.verified && !vitals.banned && vitals.breaker.state() == BreakerState::Closed
}

/// Expected microseconds, failures and lag included: lower is better. An endpoint without samples is tried.
fn score(endpoint: &Endpoint) -> f64 {
    let vitals = endpoint.vitals();
    let lag = f64::from(u32::try_from(vitals.lag).unwrap_or(u32::MAX));
    vitals.latency.average_us().unwrap_or(0.0) * (1.0 + 10.0 * vitals.errors.get()) + lag * 2_000.0
}
