//! The way of a read: to one endpoint, to a second one when the first is slow, and again when both fail.
//!
//! # Design
//! Sends never come this way. A read without an answer after the 95th percentile of its method, at its endpoint or at
//! all, is asked of a second endpoint too; the first good answer wins. The other request runs to its end and is booked
//! then, so that what an outrun endpoint takes is known (`gather`). A read that failed at one endpoint is asked of
//! another at once, and only after that with pauses. Hedges and retries come out of two budgets, each a tenth of the
//! reads: whatever happens, a cluster in trouble is asked at most a fifth more. Who asks what is being asked already
//! waits for that answer (`share`).

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::breaker::ShareBudget;
use super::endpoint::{Endpoint, Limits, MEASURED_FROM, hedge_pause};
use super::error::{CallKind, EndpointName, Next, RpcError};
use super::floor::Since;
use super::pool::{RpcConnectionPool, usable};
use super::raw::Wrapped;
use super::share::{FOLLOW_MAX, Place, Told, told};
use super::sketch::Sketches;
use super::ticket::Ticket;
use super::types::Commitment;
use super::wire;

/// How heavy an answer is: decides how long it is waited for and how much of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    Heavy,
}

impl Endpoint {
    pub(super) fn limits(&self, method: &str, weight: Weight) -> Limits {
        let (least, most) = weight.timeouts();
        let timeout = self.adaptive_timeout(method, least, most);
        Limits { timeout, answer_bytes: weight.answer_bytes(method) }
    }
}

impl Weight {
    pub(super) const fn timeouts(self) -> (Duration, Duration) {
        match self {
            Self::Light => (Duration::from_millis(400), Duration::from_secs(5)),
            Self::Heavy => (Duration::from_secs(30), Duration::from_secs(30)),
        }
    }

    /// How long another's request is waited for before one's own: it may be that nobody drives it on.
    const fn patience(self) -> Duration {
        match self {
            Self::Light => FOLLOW_MAX,
            Self::Heavy => Duration::from_secs(60),
        }
    }

    pub(super) fn answer_bytes(self, method: &str) -> usize {
        match (self, method) {
            (Self::Heavy, _) => 256 << 20,
            (
                Self::Light,
                "getBalance"
                | "getBlockHeight"
                | "getEpochInfo"
                | "getGenesisHash"
                | "getHealth"
                | "getLatestBlockhash"
                | "getMinimumBalanceForRentExemption"
                | "getRecentPrioritizationFees"
                | "getSignatureStatuses"
                | "getSlot"
                | "getTokenAccountBalance"
                | "getTokenLargestAccounts"
                | "getTokenSupply",
            ) => SMALL_ANSWER,
            (Self::Light, _) => 16 << 20,
        }
    }
}

/// Bytes that are more than enough for methods that tell no contents of accounts: 256 statuses take a quarter.
pub(super) const SMALL_ANSWER: usize = 256 << 10;

/// Why an answer that reads is not taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doubt {
    Impossible(&'static str),
    Stale { slot: u64, least: u64 },
}

/// Any answer of the right shape will do.
pub(super) fn trust<T>(_: &T) -> Result<(), Doubt> {
    Ok(())
}

/// An answer that tells of which slot it is.
pub(super) trait Slotted {
    fn told_slot(&self) -> u64;
}

impl<T: DeserializeOwned> Slotted for Wrapped<T> {
    fn told_slot(&self) -> u64 {
        self.slot().get()
    }
}

/// The answer of `getSlot` is the slot.
impl Slotted for u64 {
    fn told_slot(&self) -> u64 {
        *self
    }
}

/// Longest pause before a retry, and its part that comes of the error's class.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const CLASS_PAUSE_MAX: Duration = Duration::from_millis(500);

fn with<R>(budget: &Mutex<ShareBudget>, f: impl FnOnce(&mut ShareBudget) -> R) -> R {
    // One number: a panic elsewhere leaves it usable.
    f(&mut budget.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A good answer: what it means, and what was sent.
struct Good<T> {
    endpoint: Arc<Endpoint>,
    value: T,
    bytes: Bytes,
}

/// Why an attempt failed, and at which endpoint.
type Failed = (Option<Arc<Endpoint>>, RpcError);

impl RpcConnectionPool {
    /// Asks a question that may be repeated and raced.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
        weight: Weight,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, RpcError> {
        let check = |value: &T| check(value).map_err(Doubt::Impossible);
        let open = |name: &EndpointName, bytes: &[u8]| opened(name, method, bytes, &check);
        self.read_unless(method, wire::request(method, params)?, weight, open).await
    }

    /// The state that a read which begins now may not fall behind.
    pub(super) fn since(&self, commitment: Commitment) -> Since {
        self.inner.floors.since(commitment)
    }

    /// As [`Self::read`], of no older state than was already answered from.
    pub(super) async fn read_since<T: Slotted + DeserializeOwned>(
        &self,
        since: Since,
        method: &'static str,
        params: &impl Serialize,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, RpcError> {
        let open = |name: &EndpointName, bytes: &[u8]| wire::open(name, method, bytes);
        self.read_since_by(since, method, wire::request(method, params)?, open, check).await
    }

    /// The same of a request that is written already, with a way of its own to open the answer.
    pub(super) async fn read_since_by<T: Slotted>(
        &self,
        since: Since,
        method: &'static str,
        body: Bytes,
        open: impl Fn(&EndpointName, &[u8]) -> Result<T, RpcError>,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<T, RpcError> {
        let check = |value: &T| {
            let (slot, least) = (value.told_slot(), since.least);
            if slot < least {
                return Err(Doubt::Stale { slot, least });
            }
            check(value).map_err(Doubt::Impossible)
        };
        let open = |name: &EndpointName, bytes: &[u8]| {
            open(name, bytes).and_then(|value| checked(name, method, value, &check))
        };
        let value = self.read_unless(method, body, Weight::Light, open).await?;
        self.inner.floors.raise(since.commitment, value.told_slot(), Instant::now());
        Ok(value)
    }

    async fn read_unless<T>(
        &self,
        method: &'static str,
        body: Bytes,
        weight: Weight,
        open: impl Fn(&EndpointName, &[u8]) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        loop {
            let lead = match self.inner.flights.place(&body) {
                Place::Lead(lead) => Some(lead),
                Place::Alone => None,
                Place::Follow(waiting) => match told(waiting, weight.patience()).await {
                    Told::This(Ok((name, bytes))) => {
                        if let Ok(value) = open(&name, &bytes) {
                            return Ok(value);
                        }
                        // Good enough for who asked, but we have seen a newer state since.
                        None
                    }
                    Told::This(Err(error)) => return Err(error.twin()),
                    // Who asked gave up: the next one asks.
                    Told::Nothing => continue,
                    Told::TooLate => None,
                },
            };
            let outcome = self.read_alone(method, &body, weight, &open).await;
            if let Some(lead) = lead {
                lead.tell(match &outcome {
                    Ok(good) => Ok((good.endpoint.name().clone(), good.bytes.clone())),
                    Err(error) => Err(Arc::new(error.twin())),
                });
            }
            return outcome.map(|good| good.value);
        }
    }

    /// Asks, and repeats what may be repeated.
    async fn read_alone<T>(
        &self,
        method: &'static str,
        body: &Bytes,
        weight: Weight,
        open: &impl Fn(&EndpointName, &[u8]) -> Result<T, RpcError>,
    ) -> Result<Good<T>, RpcError> {
        with(&self.inner.retries, ShareBudget::earn);
        with(&self.inner.hedges, ShareBudget::earn);
        let mut avoid = None;
        let mut attempt = 1;
        loop {
            let (failed, error) =
                match self.attempt(method, body, weight, avoid.as_ref(), open).await {
                    Ok(value) => return Ok(value),
                    Err(failed) => failed,
                };
            let Next::Wait(pause) = error.next(CallKind::Read) else { return Err(error) };
            // To ask again is what those shed must not do.
            if matches!(error, RpcError::Overloaded { .. }) {
                return Err(error);
            }
            if attempt >= self.inner.settings.attempts_max
                || !with(&self.inner.retries, ShareBudget::spend)
            {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "read repeated");
            // Another endpoint need not be given time to come round.
            let elsewhere = failed.as_ref().is_some_and(|failed| self.has_other(failed));
            if attempt > 1 || !elsewhere {
                tokio::time::sleep(self.pause_before_retry(pause, attempt)).await;
            }
            avoid = failed;
            attempt += 1;
        }
    }

    /// Whether another than this one can be asked.
    fn has_other(&self, than: &Arc<Endpoint>) -> bool {
        self.endpoints().iter().any(|endpoint| usable(endpoint) && !Arc::ptr_eq(endpoint, than))
    }

    /// Anything up to the pause of the error's class, doubled with each attempt: who failed together shall not come
    /// back together. What an endpoint asked for (`Retry-After`) is kept by its window, while others are asked.
    fn pause_before_retry(&self, class: Duration, attempt: u32) -> Duration {
        let most = class.min(CLASS_PAUSE_MAX).saturating_mul(1 << attempt.min(5));
        let most_us = usize::try_from(most.min(PAUSE_MAX).as_micros()).unwrap_or(0);
        Duration::from_micros(u64::try_from(self.inner.dice.below(most_us)).unwrap_or(0))
    }

    /// One attempt: one endpoint, hedged by another.
    async fn attempt<T>(
        &self,
        method: &'static str,
        body: &Bytes,
        weight: Weight,
        avoid: Option<&Arc<Endpoint>>,
        open: &impl Fn(&EndpointName, &[u8]) -> Result<T, RpcError>,
    ) -> Result<Good<T>, Failed> {
        let ticket = self.pick(method, avoid).await.map_err(|error| (None, error))?;
        let first = Arc::clone(&ticket.endpoint);
        let ask = |ticket: Ticket| async move {
            let endpoint = Arc::clone(&ticket.endpoint);
            let started = Instant::now();
            let answer = match weight {
                Weight::Light => endpoint.submit(method, body.clone(), started, Some(ticket)).await,
                Weight::Heavy => {
                    endpoint.ask(method, body.clone(), endpoint.limits(method, weight)).await
                }
            };
            match judged(&endpoint, method, started, answer, open) {
                Ok((value, bytes)) => Ok(Good { endpoint, value, bytes }),
                Err(error) => Err((Some(endpoint), error)),
            }
        };
        let begun = Instant::now();
        let mut primary = pin!(ask(ticket));
        if weight == Weight::Heavy {
            return primary.await;
        }
        let timer = pin!(tokio::time::sleep(self.hedge_after(&first, method)));
        let good = match select(primary.as_mut(), timer).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => match self.hedge_with(&first, method) {
                Some(second) => first_good(primary, pin!(ask(second))).await,
                None => primary.await,
            },
        }?;
        let now = Instant::now();
        self.times().record(method, now, now.saturating_duration_since(begun));
        Ok(good)
    }

    /// How long reads of each method have taken, hedged ones included, whoever answered.
    fn times(&self) -> MutexGuard<'_, Sketches> {
        // Counters: a panic elsewhere leaves them usable.
        self.inner.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hedge_after(&self, first: &Endpoint, method: &str) -> Duration {
        let percentile = self.inner.settings.hedge_percentile;
        let all = self.times().percentile(method, Instant::now(), percentile.into(), MEASURED_FROM);
        let own = first.hedge_after(method, percentile, all);
        // One that is hardly ever asked is given no more time than those that are.
        let usual = || self.endpoints().iter().filter_map(|other| other.usual(percentile)).min();
        hedge_pause(own.or_else(usual))
    }

    /// Another endpoint with room and budget to spare, or none.
    fn hedge_with(&self, first: &Arc<Endpoint>, method: &str) -> Option<Ticket> {
        if !self.inner.settings.hedge
            || !self.has_other(first)
            || !with(&self.inner.hedges, ShareBudget::spend)
        {
            return None;
        }
        let ticket = self.ticket(method, Some(first)).ok()?;
        (!Arc::ptr_eq(&ticket.endpoint, first)).then_some(ticket)
    }

    /// A method that is no standard one, such as a local chain's own. Goes to one endpoint, once.
    ///
    /// # Errors
    /// As any read, without repetition: what the method does is not known here.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<T, RpcError> {
        let body = wire::request(method, params)?;
        let ticket = self.pick(method, None).await?;
        ask_typed(&ticket.endpoint, method, body, &trust).await
    }
}

/// Asks one endpoint, by a request that goes alone and ends with whoever asks.
pub(crate) async fn ask_typed<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    body: Bytes,
    check: &impl Fn(&T) -> Result<(), Doubt>,
) -> Result<T, RpcError> {
    let started = Instant::now();
    let answer = endpoint.ask(method, body, endpoint.limits(method, Weight::Light)).await;
    judge(endpoint, method, started, answer, check).map(|(value, _)| value)
}

/// Asks one endpoint, together with others where it can be.
pub(crate) async fn ask_along<T: DeserializeOwned>(
    endpoint: &Arc<Endpoint>,
    method: &'static str,
    body: Bytes,
    check: &impl Fn(&T) -> Result<(), Doubt>,
) -> Result<T, RpcError> {
    let started = Instant::now();
    let answer = endpoint.submit(method, body, started, None).await;
    judge(endpoint, method, started, answer, check).map(|(value, _)| value)
}

/// Reads an answer, and books what it says of the endpoint.
pub(super) fn judge<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    started: Instant,
    answer: Result<Bytes, RpcError>,
    check: &impl Fn(&T) -> Result<(), Doubt>,
) -> Result<(T, Bytes), RpcError> {
    let open = |name: &EndpointName, bytes: &[u8]| opened(name, method, bytes, check);
    judged(endpoint, method, started, answer, &open)
}

/// The same with a way of its own to open the answer and to doubt it.
fn judged<T>(
    endpoint: &Endpoint,
    method: &'static str,
    started: Instant,
    answer: Result<Bytes, RpcError>,
    open: &impl Fn(&EndpointName, &[u8]) -> Result<T, RpcError>,
) -> Result<(T, Bytes), RpcError> {
    let value = answer.and_then(|bytes| Ok((open(endpoint.name(), &bytes)?, bytes)));
    // Booked only now: an answer in time that cannot be true is a failure too.
    endpoint.book(method, started, value.as_ref().err());
    value
}

/// What an answer says, if it can be.
fn opened<T: DeserializeOwned>(
    name: &EndpointName,
    method: &'static str,
    bytes: &[u8],
    check: &impl Fn(&T) -> Result<(), Doubt>,
) -> Result<T, RpcError> {
    checked(name, method, wire::open(name, method, bytes)?, check)
}

fn checked<T>(
    name: &EndpointName,
    method: &'static str,
    value: T,
    check: &impl Fn(&T) -> Result<(), Doubt>,
) -> Result<T, RpcError> {
    check(&value).map(|()| value).map_err(|doubt| match doubt {
        Doubt::Impossible(what) => RpcError::Impossible { endpoint: name.clone(), method, what },
        Doubt::Stale { slot, least } => {
            RpcError::Stale { endpoint: name.clone(), method, slot, least }
        }
    })
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
