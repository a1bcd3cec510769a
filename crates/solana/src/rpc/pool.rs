//! Several endpoints used as one.
//!
//! # Design
//! Reads go to the better of two endpoints drawn by lot, are hedged to a second one after the 95th percentile for the
//! method and are repeated, within shared budgets, when the error's class allows (`read`, `route`); small ones of one
//! moment go as one request (`gather`). Sends go to all endpoints at once and always carry the same bytes; repeating them is the caller's decision. A failing or lagging endpoint is ejected by its
//! circuit breaker; [`RpcConnectionPool::monitor`] probes it back in. What decides over money is asked of all (`quorum`).
//! Endpoints come and go at run time: [`RpcConnectionPool::add`], [`RpcConnectionPool::drain`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sniper_core::units::Slot;
use solana_hash::Hash;
use tokio::sync::watch;

use super::breaker::{BreakerState, ShareBudget};
use super::endpoint::{Endpoint, EndpointConfig, jitter};
use super::error::{ConnectError, EndpointName, RpcError};
use super::floor::{Floors, corroborated};
use super::read::{Doubt, ask_along, trust};
use super::route::{Dice, cost};
use super::share::{Batches, Flights};
use super::sketch::Sketches;
use super::ticket::Queue;
use super::verify::{admit, check, is_foreign, make_endpoints, slot_of};
use super::vitals::EndpointReport;
use super::wire;

/// The longest pause between two looks while no endpoint can be asked: nothing can be traded meanwhile. Well below the time
/// that a breaker stays open, so that no look comes just too early.
const LOST_EVERY: Duration = Duration::from_millis(200);
/// The same before an endpoint that has answered one probe is probed again.
const AGAIN: Duration = Duration::from_millis(10);
/// Longest wait for a slot's notice before a look.
const BEAT: Duration = Duration::from_millis(400);

/// Settings of a [`RpcConnectionPool`].
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// The chain we mean. Without it the first endpoint that answers says which, and the others must agree.
    pub genesis: Option<Hash>,
    /// Slots behind the best at which an endpoint is ejected.
    pub lag_max_slots: u64,
    /// Attempts of one read, the first included.
    pub attempts_max: u32,
    /// A second endpoint is asked when the first is slow. Off to measure what that brings.
    pub hedge: bool,
    /// The share of a method's answers, in hundredths, that have come by the time a second endpoint is asked; 1 to 99.
    pub hedge_percentile: u8,
    /// Pause between two looks at every endpoint.
    pub monitor_every: Duration,
    /// Fixes the lots by which reads are spread; without it each process draws its own.
    pub seed: Option<u64>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            genesis: None,
            lag_max_slots: 50,
            attempts_max: 4,
            hedge: true,
            hedge_percentile: 95,
            monitor_every: Duration::from_secs(2),
            seed: None,
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
    /// Replaced whole when one comes or goes.
    pub(super) endpoints: watch::Sender<Arc<[Arc<Endpoint>]>>,
    pub(super) settings: PoolSettings,
    genesis: Hash,
    /// Lots drawn between endpoints.
    pub(super) dice: Dice,
    pub(super) retries: Mutex<ShareBudget>,
    pub(super) hedges: Mutex<ShareBudget>,
    /// What reads take, by method.
    pub(super) times: Mutex<Sketches>,
    /// Those who wait for an endpoint.
    pub(super) queue: Queue,
    pub(super) floors: Floors,
    pub(super) flights: Flights,
    pub(super) batches: Batches,
    /// Highest slot that was told to us.
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
        let endpoints: Vec<_> = make_endpoints(configs)?.into_iter().map(Arc::new).collect();
        let checks = join_all(endpoints.iter().map(|endpoint| check(endpoint))).await;
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
        let verified = endpoints.iter().map(|endpoint| endpoint.vitals().slot).filter(|s| *s > 0);
        let slot = corroborated(verified);
        Ok(Self {
            inner: Arc::new(Inner {
                endpoints: watch::Sender::new(endpoints.into()),
                settings,
                genesis,
                dice: Dice::new(settings.seed),
                retries: Mutex::default(),
                hedges: Mutex::default(),
                times: Mutex::default(),
                flights: Flights::default(),
                batches: Batches::default(),
                queue: Queue::default(),
                floors: Floors::new(slot, Instant::now()),
                slot: watch::Sender::new(slot),
            }),
        })
    }

    pub(super) fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.inner.endpoints.borrow())
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
            if higher {
                self.inner.floors.tell(slot.get(), Instant::now());
            }
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
        self.endpoints().iter().map(|endpoint| self.report_of(endpoint)).collect()
    }

    fn report_of(&self, endpoint: &Endpoint) -> EndpointReport {
        let vitals = endpoint.vitals();
        EndpointReport {
            name: endpoint.name().clone(),
            healthy: vitals.is_sworn() && vitals.breaker.is_closed(),
            breaker: vitals.breaker.state(),
            verified: vitals.verified,
            p50_us: vitals.latency.quantile_us(500),
            p95_us: vitals.latency.quantile_us(950),
            p99_us: vitals.latency.quantile_us(990),
            max_us: vitals.latency.max_us(),
            slot: vitals.slot,
            lag: vitals.lag,
            error_rate: vitals.errors.get(),
            requests: vitals.requests,
            http: vitals.http,
            batches: vitals.batches,
        }
    }

    /// Looks at every endpoint for ever: slot and lag of those in use, probes for those that are out. Run it as a
    /// task of its own.
    pub async fn monitor(self) {
        loop {
            self.look().await;
            let every = self.inner.settings.monitor_every;
            if !self.is_lost() {
                tokio::time::sleep(every).await;
                // With the questions that others have at a new slot.
                self.beat(BEAT).await;
                continue;
            }
            // One that has just answered is asked once more at once: there is nobody to turn to meanwhile.
            let answered = |endpoint: &Arc<Endpoint>| {
                endpoint.vitals().breaker.state() == BreakerState::HalfOpen
            };
            let again = if self.endpoints().iter().any(answered) { AGAIN } else { LOST_EVERY };
            tokio::time::sleep(every.min(again)).await;
        }
    }

    /// No endpoint can be asked.
    fn is_lost(&self) -> bool {
        !self.endpoints().iter().any(|endpoint| usable(endpoint))
    }

    /// One round of [`Self::monitor`].
    pub async fn look(&self) {
        let (endpoints, is_lost) = (self.endpoints(), self.is_lost());
        let looks = endpoints.iter().map(|endpoint| self.look_at(endpoint, is_lost));
        let slots = join_all(looks).await;
        let best = corroborated(slots.iter().flatten().copied());
        self.observe_slot(Slot::new(best));
        for (endpoint, slot) in endpoints.iter().zip(slots) {
            let Some(slot) = slot else { continue };
            let mut vitals = endpoint.vitals();
            vitals.slot = slot;
            // Within one round, so that a slow round is not taken for a lag.
            vitals.lag = best.saturating_sub(slot);
            let most = self.inner.settings.lag_max_slots;
            let ahead = slot.saturating_sub(best);
            if vitals.lag > most || ahead > most {
                tracing::warn!(endpoint = %endpoint.name(), lag = vitals.lag, ahead, "endpoint not with the others, ejected");
                vitals.breaker.trip(Instant::now(), jitter());
            }
        }
    }

    async fn look_at(&self, endpoint: &Arc<Endpoint>, is_lost: bool) -> Option<u64> {
        let (banned, verified, closed, probing) = {
            let mut vitals = endpoint.vitals();
            let closed = vitals.breaker.is_closed();
            let probing = !closed && vitals.breaker.try_probe(Instant::now(), is_lost);
            (vitals.banned, vitals.verified, closed, probing)
        };
        if banned || (!closed && !probing) {
            return None;
        }
        if !verified {
            return self.verify_late(endpoint).await;
        }
        match slot_of(endpoint).await {
            Ok(slot) => {
                endpoint.learn_batching().await;
                Some(slot)
            }
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

    /// Where subscriptions can go: usable endpoints first, reserves last, fastest first.
    pub(crate) fn ws_candidates(&self) -> Vec<EndpointConfig> {
        let mut all: Vec<_> = self
            .endpoints()
            .iter()
            .filter(|endpoint| {
                // One that was never verified may serve another chain.
                let vitals = endpoint.vitals();
                vitals.is_sworn()
            })
            .map(|endpoint| {
                let rank = (!usable(endpoint), endpoint.config.is_reserve());
                (rank, cost(endpoint, "", Instant::now()), endpoint.config.clone())
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        all.into_iter().map(|(_, _, config)| config).collect()
    }

    /// Counts what an endpoint told a subscriber against it: others come before it wherever one is chosen.
    pub(crate) fn blame(&self, name: &EndpointName) {
        if let Some(endpoint) = self.endpoints().iter().find(|endpoint| endpoint.name() == name) {
            endpoint.vitals().errors.record(true);
        }
    }

    /// The verified endpoints, for questions that several must answer: those ejected for now are asked as well.
    pub(crate) fn sworn(&self) -> Vec<EndpointHandle> {
        let is_sworn = |endpoint: &&Arc<Endpoint>| {
            let vitals = endpoint.vitals();
            vitals.is_sworn()
        };
        self.endpoints().iter().filter(is_sworn).cloned().map(EndpointHandle).collect()
    }
}

/// One endpoint of a pool, for questions that each must answer for itself.
#[derive(Clone, Debug)]
pub(crate) struct EndpointHandle(Arc<Endpoint>);

impl EndpointHandle {
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<T, RpcError> {
        self.ask_checked(method, params, &trust).await
    }

    pub(super) async fn ask_checked<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
        check: &impl Fn(&T) -> Result<(), Doubt>,
    ) -> Result<T, RpcError> {
        let body = wire::request(method, params)?;
        // Money waits for no budget, but pays.
        self.0.vitals().budget.take_in_debt(Instant::now());
        ask_along(&self.0, method, body, check).await
    }
}

pub(super) fn usable(endpoint: &Endpoint) -> bool {
    let vitals = endpoint.vitals();
    vitals.is_sworn() && vitals.breaker.state() == BreakerState::Closed
}
