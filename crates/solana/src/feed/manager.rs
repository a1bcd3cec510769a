//! The feed as a whole: which connection listens to which endpoint, and whether it is fast enough.

mod members;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::event::FeedEvent;
use super::frame::FrameError;
use super::hub::{Came, Coming, FeedCounters, Hub};
use super::reconnect::ReconnectionHandler;
use super::router::ConnectionDelivery;
use super::source::{Source, Via};
use super::subscription::{Subject, Subscription};
use super::watch::{Watch, WatchId};
use crate::json::Encoding;
use crate::rpc::{Commitment, EndpointName, RpcConnectionPool};

/// Settings of a [`WebSocketManager`].
#[derive(Clone, Copy, Debug)]
pub struct FeedSettings {
    /// How sure the cluster must be of what is told. `Processed` is fastest; forks are handled.
    pub commitment: Commitment,
    /// How nodes write account data.
    pub encoding: Encoding,
    /// Endpoints that tell the same, at most.
    pub replicas: usize,
    /// Subscriptions of one connection, at most.
    pub accounts_per_connection: usize,
    /// Watches at once, at most, those that come while the feed runs included.
    pub watches_max: usize,
    /// Without a slot for this long a connection is dead.
    pub stall_after: Duration,
    /// Pause between pings.
    pub ping_every: Duration,
    /// Events that may wait for the receiver.
    pub capacity: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            commitment: Commitment::Processed,
            encoding: Encoding::Base64,
            replicas: 2,
            accounts_per_connection: 200,
            watches_max: 10_000,
            stall_after: Duration::from_secs(3),
            ping_every: Duration::from_secs(10),
            capacity: 4_096,
        }
    }
}

/// Why there is no feed, or not of that.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeedError {
    /// There is nothing to follow.
    #[error("a feed needs at least one thing to follow")]
    NothingToWatch,
    /// There is nobody to listen to.
    #[error("a feed needs at least one usable endpoint")]
    NoEndpoint,
    /// It was started before.
    #[error("the feed was started already")]
    AlreadyStarted,
    /// It was not started before.
    #[error("the feed is not started: watches can be added to one that runs")]
    NotStarted,
    /// Too many watches at once.
    #[error(
        "{wanted} watches are more than the {most} of the feed's watches_max: let some go or raise it"
    )]
    TooMany {
        /// How many there would be.
        wanted: usize,
        /// How many there may be.
        most: usize,
    },
}

/// A connection as the manager sees it.
#[derive(Debug)]
struct Line {
    shard: usize,
    endpoint: EndpointName,
    via: Via,
    assign: watch::Sender<Source>,
    /// Seen down at first at this time, and at every look since.
    down_since: Option<Instant>,
}

/// What one connection delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// By position.
    pub connection: usize,
    /// Which part of the subscriptions it carries.
    pub shard: usize,
    /// The endpoint it is assigned to.
    pub endpoint: EndpointName,
    /// What it speaks there.
    pub via: Via,
    /// It is up and acknowledged.
    pub live: bool,
    /// Ping to pong, median, microseconds, once measured.
    pub round_trip_us: Option<u64>,
    /// Measured delivery.
    pub delivery: ConnectionDelivery,
    /// The last frame of it that could not be read, whatever endpoint it was to then.
    pub fault: Option<FrameError>,
}

/// Outcome of [`WebSocketManager::ensure_sub_100ms_delivery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Every part of the subscriptions has a live connection that delivers in time.
    pub met: bool,
    /// The connections, as they were before any was moved.
    pub connections: Vec<ConnectionReport>,
    /// Connections moved, and to where.
    pub moved: Vec<(usize, EndpointName)>,
}

/// The longest delivery may take.
const TARGET_US: u64 = 100_000;
/// How long a connection may be down before it is made to another endpoint.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// Notices needed before lateness is judged.
const SAMPLES_MIN: u64 = 20;

/// Subscriptions, multiplexed over few connections and redundantly over several endpoints.
#[derive(Debug)]
pub struct WebSocketManager {
    pool: RpcConnectionPool,
    settings: FeedSettings,
    connections: Vec<Line>,
    message_router: Option<RouterHandle>,
    reconnection_handler: ReconnectionHandler,
    tasks: Vec<JoinHandle<()>>,
}

struct RouterHandle(Arc<Hub>);

impl std::fmt::Debug for RouterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageRouter")
            .field("counters", &self.0.counters())
            .finish_non_exhaustive()
    }
}

impl WebSocketManager {
    /// A manager with nothing to follow yet.
    #[must_use]
    pub fn new(
        pool: RpcConnectionPool,
        settings: FeedSettings,
        reconnection_handler: ReconnectionHandler,
    ) -> Self {
        Self {
            pool,
            settings,
            connections: Vec::new(),
            message_router: None,
            reconnection_handler,
            tasks: Vec::new(),
        }
    }

    /// Subscribes to all `watches` and delivers everything through the one channel returned. First comes a
    /// [`FeedEvent::Gap`] per part, then its accounts, then [`FeedEvent::Restored`]. The feed ends when the receiver
    /// or the manager is dropped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Nothing to follow, nobody to listen to, or started before.
    pub fn start_optimized_feeds(
        &mut self,
        watches: Vec<Watch>,
    ) -> Result<mpsc::Receiver<FeedEvent>, FeedError> {
        let all: Vec<Subscription> = watches.into_iter().map(Subscription::from).collect();
        self.start(&all)
    }

    /// The same with subscriptions of any kind.
    ///
    /// # Errors
    /// As [`Self::start_optimized_feeds`].
    pub fn start(
        &mut self,
        subscriptions: &[Subscription],
    ) -> Result<mpsc::Receiver<FeedEvent>, FeedError> {
        if self.message_router.is_some() {
            return Err(FeedError::AlreadyStarted);
        }
        if subscriptions.is_empty() {
            return Err(FeedError::NothingToWatch);
        }
        let sources = self.sources().into_iter();
        let replicas: Vec<_> = sources.take(self.settings.replicas.max(1)).collect();
        if replicas.is_empty() {
            return Err(FeedError::NoEndpoint);
        }
        let (events, receiver) = mpsc::channel(self.settings.capacity.max(16));
        let FeedSettings { watches_max, commitment, encoding, .. } = self.settings;
        let wire = (commitment, encoding);
        let hub = Hub::new(watches_max, replicas.len(), wire, self.pool.clone(), events);
        let room = even_room(subscriptions, self.settings.accounts_per_connection);
        let came = hub.follow(&Coming { subscriptions, room, first: true })?;
        let hub = Arc::new(hub);
        self.tasks.push(tokio::spawn(Arc::clone(&hub).heal()));
        self.tasks.push(tokio::spawn(Arc::clone(&hub).drain()));
        self.connect(&hub, &came, &replicas);
        self.message_router = Some(RouterHandle(hub));
        Ok(receiver)
    }

    /// Follows more accounts while the feed runs, all or none; gives their numbers in the order of `watches`.
    ///
    /// They go to connections with room, which subscribe to them without being made again, or to new connections over
    /// the same endpoints. Once they are acknowledged and a slot has come, they are read and passed on; what the
    /// connections carry besides goes on undisturbed, and there is no [`FeedEvent::Gap`]. An account that is watched
    /// already is not subscribed to again. One that a node refuses is let go with [`FeedEvent::Refused`]. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// Not started, nothing to follow, or more than [`FeedSettings::watches_max`].
    pub fn follow(&mut self, watches: &[Watch]) -> Result<Vec<WatchId>, FeedError> {
        let all: Vec<Subscription> = watches.iter().copied().map(Subscription::from).collect();
        self.subscribe(&all)
    }

    /// The same with subscriptions of any kind.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn subscribe(&mut self, subscriptions: &[Subscription]) -> Result<Vec<WatchId>, FeedError> {
        let Some(RouterHandle(hub)) = &self.message_router else {
            return Err(FeedError::NotStarted);
        };
        if subscriptions.is_empty() {
            return Err(FeedError::NothingToWatch);
        }
        let hub = Arc::clone(hub);
        let room = self.settings.accounts_per_connection.max(1);
        let came = hub.follow(&Coming { subscriptions, room, first: false })?;
        // Where the first part is listened to now: what was too slow was moved away from.
        let first = self.connections.iter().filter(|line| line.shard == 0);
        let sources: Vec<_> = first.map(|line| line.assign.borrow().clone()).collect();
        self.connect(&hub, &came, &sources);
        Ok(came.ids)
    }

    /// Lets watches go and gives how many of them there still were. Nothing is put into the channel about them any
    /// more, but what was in it before is still to come. An account is unsubscribed from when nobody watches it;
    /// connections that carry nothing any more stay for what comes next.
    pub fn unfollow(&mut self, watches: &[WatchId]) -> usize {
        self.message_router.as_ref().map_or(0, |router| router.0.unfollow(watches))
    }

    /// What a watch follows, while it does.
    #[must_use]
    pub fn subscription(&self, id: WatchId) -> Option<Subscription> {
        self.message_router.as_ref().and_then(|router| router.0.subscription(id))
    }

    /// The account that a watch follows, while it does follow one.
    #[must_use]
    pub fn watch(&self, id: WatchId) -> Option<Watch> {
        self.message_router.as_ref().and_then(|router| router.0.watch(id))
    }

    /// How many watches there are.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.message_router.as_ref().map_or(0, |router| router.0.watched())
    }

    /// Makes the connections of new shards, each shard's to all of `sources`.
    fn connect(&mut self, hub: &Arc<Hub>, came: &Came, sources: &[Source]) {
        let sources = sources.iter().cycle();
        for ((index, shard), source) in came.connections.iter().copied().zip(sources) {
            let Some(revisions) = hub.revisions(shard) else { continue };
            let (assign, assignment) = watch::channel(source.clone());
            let connection = Connection {
                index,
                shard,
                hub: Arc::clone(hub),
                assignment,
                revisions,
                reconnection: self.reconnection_handler,
                settings: self.settings,
                #[cfg(feature = "yellowstone")]
                past: super::geyser::Past::default(),
            };
            self.tasks.push(tokio::spawn(connection.run()));
            let (endpoint, via) = (source.endpoint.name().clone(), source.via);
            self.connections.push(Line { shard, endpoint, via, assign, down_since: None });
        }
    }

    /// Measures delivery and moves each connection that is too slow to a faster endpoint, where there is one that
    /// does not carry the same part already. Lateness is judged against the connection that told first; a part with
    /// only one connection is judged by half its round trip.
    pub fn ensure_sub_100ms_delivery(&mut self) -> DeliveryReport {
        let connections = self.report();
        let mut moved = Vec::new();
        for report in
            connections.iter().filter(|report| judged(report).is_some_and(|us| us > TARGET_US))
        {
            let Some(better) = self.better_than(report) else { continue };
            let (from, to, via) = (&report.endpoint, better.endpoint.name(), better.via);
            tracing::warn!(%from, %to, %via, "delivery too slow, moving a feed connection");
            moved.extend(self.move_to(report.connection, better));
        }
        DeliveryReport { met: all_met(&connections), connections, moved }
    }

    /// Moves each connection that has been down for two seconds to an endpoint that takes reads and does not carry the
    /// same part already, where there is one: waiting for an endpoint to come back makes nobody hear. Gives those moved.
    /// Cheap: call it about every second. One that is subscribed to and then silent counts as up until it has stalled.
    pub fn leave_lost_endpoints(&mut self) -> Vec<(usize, EndpointName)> {
        let now = Instant::now();
        let mut moved = Vec::new();
        for report in self.report() {
            let Some(line) = self.connections.get_mut(report.connection) else { continue };
            if report.live {
                line.down_since = None;
                continue;
            }
            if now.duration_since(*line.down_since.get_or_insert(now)) < LOST_AFTER {
                continue;
            }
            let rows = self.pool.report();
            let takes_reads =
                |name: &EndpointName| rows.iter().any(|row| row.healthy && row.name == *name);
            let other = self.better_than(&report);
            let Some(other) = other.filter(|other| takes_reads(other.endpoint.name())) else {
                continue;
            };
            let (from, to, via) = (&report.endpoint, other.endpoint.name(), other.via);
            tracing::warn!(%from, %to, %via, "endpoint lost, moving a feed connection");
            moved.extend(self.move_to(report.connection, other));
        }
        moved
    }

    fn move_to(&mut self, connection: usize, source: Source) -> Option<(usize, EndpointName)> {
        let line = self.connections.get_mut(connection)?;
        let name = source.endpoint.name().clone();
        line.endpoint = name.clone();
        line.via = source.via;
        line.down_since = None;
        line.assign.send_replace(source);
        if let Some(router) = &self.message_router {
            router.0.reset_delivery(connection);
        }
        Some((connection, name))
    }

    fn sources(&self) -> Vec<Source> {
        Source::of(&self.pool.ws_candidates())
    }

    /// The best source that does not carry the part of this connection.
    fn better_than(&self, report: &ConnectionReport) -> Option<Source> {
        let carries = |source: &Source| {
            let mut of = self.connections.iter().filter(|line| line.shard == report.shard);
            of.any(|line| line.assign.borrow().is_named_as(source))
        };
        self.sources().into_iter().find(|source| !carries(source))
    }

    /// One row per connection.
    #[must_use]
    pub fn report(&self) -> Vec<ConnectionReport> {
        let Some(RouterHandle(hub)) = &self.message_router else { return Vec::new() };
        let lines = self.connections.iter().enumerate();
        lines
            .map(|(connection, line)| ConnectionReport {
                connection,
                shard: line.shard,
                endpoint: line.endpoint.clone(),
                via: line.via,
                live: hub.endpoint_of(connection).is_some_and(|name| name == line.endpoint),
                round_trip_us: hub.round_trip_us(connection),
                delivery: hub.with_router(|router| router.delivery(connection)),
                fault: hub.fault(connection),
            })
            .collect()
    }

    /// What the feed has counted.
    #[must_use]
    pub fn counters(&self) -> FeedCounters {
        self.message_router.as_ref().map(|router| router.0.counters()).unwrap_or_default()
    }
}

impl Drop for WebSocketManager {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What a connection is judged by, in microseconds, once there is enough to judge.
fn judged(report: &ConnectionReport) -> Option<u64> {
    if report.delivery.samples >= SAMPLES_MIN && report.delivery.first < report.delivery.samples {
        return Some(report.delivery.late_p95_us);
    }
    report.round_trip_us.map(|us| us / 2)
}

fn all_met(reports: &[ConnectionReport]) -> bool {
    let met = |shard: usize| {
        let mut of = reports.iter().filter(|report| report.shard == shard && report.live);
        of.any(|report| judged(report).is_none_or(|us| us <= TARGET_US))
    };
    let shards =
        reports.iter().map(|report| report.shard).max().map_or(0, |last| last.saturating_add(1));
    shards > 0 && (0..shards).all(met)
}

/// Subjects of a connection, so that all have about the same number and none more than `most`.
fn even_room(subscriptions: &[Subscription], most: usize) -> usize {
    let subjects: BTreeSet<_> = subscriptions.iter().map(Subject::of).collect();
    let parts = subjects.len().div_ceil(most.max(1)).max(1);
    subjects.len().div_ceil(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sniper_core::ids::Address;

    proptest! {
        #[test]
        fn parts_are_even_and_as_few_as_can_be(count in 1_usize..1_000, most in 1_usize..300) {
            let address = |index: usize| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&index.to_le_bytes());
                Subscription::Account(Watch::own_lamports(Address::new_from_array(bytes)))
            };
            let watches: Vec<_> = (0..count).chain(0..count / 2).map(address).collect();
            let room = even_room(&watches, most);
            prop_assert!(room <= most);
            prop_assert_eq!(count.div_ceil(room), count.div_ceil(most));
        }
    }

    fn report(late_p95_us: u64, first: u64, round_trip_us: Option<u64>) -> ConnectionReport {
        let delivery = ConnectionDelivery {
            first,
            samples: 100,
            late_p95_us,
            ..ConnectionDelivery::default()
        };
        let endpoint = "a".into();
        ConnectionReport {
            connection: 0,
            shard: 0,
            endpoint,
            via: Via::WebSocket,
            live: true,
            round_trip_us,
            delivery,
            fault: None,
        }
    }

    #[test]
    fn a_connection_is_judged_by_its_twin_or_else_by_its_round_trip() {
        assert_eq!(judged(&report(150_000, 3, Some(10))), Some(150_000));
        assert_eq!(judged(&report(1, 100, Some(300_000))), Some(150_000), "no twin told anything");
        assert_eq!(judged(&report(1, 100, None)), None);
        assert!(all_met(&[report(150_000, 3, None), report(200, 90, None)]));
        assert!(!all_met(&[report(150_000, 3, None)]));
        assert!(!all_met(&[]));
    }
}
