//! A connection of its own that listens to what the transactions of some programs print.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::connection::{GARBAGE_MAX, PATIENCE, SLOTS_APART_MAX, Socket, TICK, connect};
use super::event::DownCause;
use super::frame::{Frame, FrameReader};
use super::known::Recent;
use super::logs::LogNotice;
use super::manager::FeedError;
use super::reconnect::ReconnectionHandler;
use super::source::Source;
#[cfg(feature = "yellowstone")]
use super::source::Via;
use super::subscriptions::slot_subscribe;
use crate::rpc::{Commitment, EndpointConfig, EndpointName, RpcConnectionPool};

/// Settings of a [`LogWatch`].
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// How sure the cluster must be of what is told. What is `Processed` may yet be undone.
    pub commitment: Commitment,
    /// Without a slot for this long the connection is dead.
    pub stall_after: Duration,
    /// Pause between pings.
    pub ping_every: Duration,
    /// Events that may wait for the receiver.
    pub capacity: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            commitment: Commitment::Processed,
            stall_after: Duration::from_secs(3),
            ping_every: Duration::from_secs(10),
            capacity: 4_096,
        }
    }
}

/// What a [`LogWatch`] delivers, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The lines of a transaction.
    Logs(LogNotice),
    /// Every subscription is in force: from here on nothing is missing.
    Up {
        /// At which endpoint.
        endpoint: EndpointName,
    },
    /// The connection was lost and is being made again; until the next [`Self::Up`] transactions are missed.
    Down {
        /// At which endpoint; none when there is no usable one.
        endpoint: Option<EndpointName>,
        /// Why.
        cause: DownCause,
    },
    /// The receiver was too slow: so many notices did not fit.
    Missed(u64),
}

/// Listens to what transactions that mention some programs print. What was printed while the connection was down is
/// not fetched, unless by a stream whose server still has it: [`LogEvent::Down`] and [`LogEvent::Up`] say between which
/// moments something may be missing.
#[derive(Debug)]
pub struct LogWatch {
    task: JoinHandle<()>,
}

impl LogWatch {
    /// Listens to transactions that mention any of `programs`, which may be any addresses: one subscription each, as
    /// nodes take no more. Must be called within a tokio runtime; ends when it or the receiver is dropped.
    ///
    /// # Errors
    /// Nothing to listen to.
    pub fn start(
        pool: RpcConnectionPool,
        programs: Vec<Address>,
        settings: LogSettings,
        reconnection: ReconnectionHandler,
    ) -> Result<(Self, mpsc::Receiver<LogEvent>), FeedError> {
        if programs.is_empty() {
            return Err(FeedError::NothingToWatch);
        }
        let (events, receiver) = mpsc::channel(settings.capacity.max(16));
        let listener = Listener {
            pool,
            programs,
            settings,
            reconnection,
            told: Told { events, missed: 0, recent: Recent::default() },
            #[cfg(feature = "yellowstone")]
            past: super::geyser::Past::default(),
        };
        Ok((Self { task: tokio::spawn(listener.run()) }, receiver))
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Listener {
    pub(super) pool: RpcConnectionPool,
    pub(super) programs: Vec<Address>,
    pub(super) settings: LogSettings,
    reconnection: ReconnectionHandler,
    pub(super) told: Told,
    /// What the stream before came to.
    #[cfg(feature = "yellowstone")]
    pub(super) past: super::geyser::Past,
}

/// The way to the receiver.
pub(super) struct Told {
    events: mpsc::Sender<LogEvent>,
    missed: u64,
    /// So that a transaction which mentions two programs is told once.
    recent: Recent,
}

impl Told {
    /// Nobody listens any more.
    #[cfg(feature = "yellowstone")]
    pub(super) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Lines of a transaction, unless they were told before.
    #[cfg(feature = "yellowstone")]
    pub(super) fn lines(&mut self, notice: LogNotice) {
        if self.recent.is_new(notice.slot, &notice.signature) {
            self.tell(LogEvent::Logs(notice));
        }
    }

    /// Never waits: the socket must be read on.
    pub(super) fn tell(&mut self, event: LogEvent) {
        if self.missed > 0 {
            match self.events.try_send(LogEvent::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(_) => return self.missed = self.missed.saturating_add(1),
            }
        }
        if let Err(TrySendError::Full(_)) = self.events.try_send(event) {
            self.missed = self.missed.saturating_add(1);
        }
    }
}

impl Listener {
    async fn run(mut self) {
        let mut failures = 0_u32;
        let mut lost: Option<Source> = None;
        while !self.told.events.is_closed() {
            let sources = Source::of(&self.pool.ws_candidates());
            // The best one that was not just lost, if there is another.
            let was_lost = |one: &&Source| lost.as_ref().is_some_and(|lost| lost.is_named_as(one));
            let other = sources.iter().find(|one| !was_lost(one));
            let source = other.or(sources.first()).cloned();
            let (cause, was_live) = match &source {
                None => (DownCause::Connect, false),
                #[cfg(feature = "yellowstone")]
                Some(source) if source.via == Via::Grpc => {
                    super::geyser::logs::session(&mut self, source).await
                }
                Some(source) => self.session(&source.endpoint).await,
            };
            let endpoint = source.as_ref().map(|source| source.endpoint.name().clone());
            lost = source;
            tracing::warn!(endpoint = endpoint.as_deref(), %cause, "log connection ended");
            // The receiver must hear of this one, however slow it is.
            let down = self.told.events.send(LogEvent::Down { endpoint, cause });
            if down.await.is_err() {
                return;
            }
            failures = if was_live { 1 } else { failures.saturating_add(1) };
            tokio::time::sleep(self.reconnection.pause(failures)).await;
        }
    }

    async fn session(&mut self, endpoint: &EndpointConfig) -> (DownCause, bool) {
        let Ok(Ok(mut socket)) = tokio::time::timeout(PATIENCE, connect(endpoint)).await else {
            return (DownCause::Connect, false);
        };
        let now = Instant::now();
        let mut session = Session {
            pool: &self.pool,
            settings: self.settings,
            told: &mut self.told,
            endpoint,
            waiting: (0..=self.programs.len()).map(|id| id as u64).collect(),
            begun: now,
            last_slot: now,
            next_ping: now + self.settings.ping_every,
            live: false,
            garbage: 0,
            reader: FrameReader::default(),
        };
        let cause = match session.subscribe(&mut socket, &self.programs).await {
            Ok(()) => session.listen(&mut socket).await,
            Err(_) => DownCause::Broken,
        };
        let live = session.live;
        // Best effort: a node forgets our subscriptions when the connection ends, however it ends.
        drop(tokio::time::timeout(TICK, socket.close(None)).await);
        (cause, live)
    }
}

/// One connection's life.
struct Session<'a> {
    pool: &'a RpcConnectionPool,
    settings: LogSettings,
    told: &'a mut Told,
    endpoint: &'a EndpointConfig,
    /// Requests not yet acknowledged, the slot clock's the last.
    waiting: HashSet<u64>,
    begun: Instant,
    last_slot: Instant,
    next_ping: Instant,
    live: bool,
    garbage: u32,
    reader: FrameReader,
}

impl Session<'_> {
    async fn subscribe(
        &self,
        socket: &mut Socket,
        programs: &[Address],
    ) -> Result<(), tungstenite::Error> {
        let commitment = self.settings.commitment.as_str();
        for (id, program) in programs.iter().enumerate() {
            let request = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"logsSubscribe","params":[{{"mentions":["{program}"]}},{{"commitment":"{commitment}"}}]}}"#
            );
            socket.feed(Message::text(request)).await?;
        }
        socket.feed(Message::text(slot_subscribe(programs.len() as u64))).await?;
        socket.flush().await
    }

    async fn listen(&mut self, socket: &mut Socket) -> DownCause {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Rare things first: a busy socket must not starve them.
            let ended = tokio::select! {
                biased;
                _ = ticks.tick() => self.tick(socket).await,
                frame = socket.next() => match frame {
                    None | Some(Ok(Message::Close(_))) => Some(DownCause::Closed),
                    Some(Err(_)) => Some(DownCause::Broken),
                    Some(Ok(Message::Text(text))) => self.text(text.as_str()),
                    Some(Ok(_)) => None,
                },
            };
            if let Some(cause) = ended {
                return cause;
            }
        }
    }

    async fn tick(&mut self, socket: &mut Socket) -> Option<DownCause> {
        let now = Instant::now();
        if self.told.events.is_closed() {
            return Some(DownCause::Closed);
        }
        if !self.live && now.saturating_duration_since(self.begun) > PATIENCE {
            return Some(DownCause::NoAcknowledgement);
        }
        if self.live && now.saturating_duration_since(self.last_slot) > self.settings.stall_after {
            return Some(DownCause::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.settings.ping_every;
            let ping = socket.send(Message::Ping(Bytes::new()));
            if !matches!(tokio::time::timeout(PATIENCE, ping).await, Ok(Ok(()))) {
                return Some(DownCause::Broken);
            }
        }
        None
    }

    fn text(&mut self, text: &str) -> Option<DownCause> {
        let received = Instant::now();
        match self.reader.read(text) {
            Ok(Frame::Logs { slot, signature, succeeded, logs, .. }) => {
                let slot = Slot::new(slot);
                if self.told.recent.is_new(slot, &signature) {
                    let logs = logs.into_iter().map(std::borrow::Cow::into_owned).collect();
                    let notice = LogNotice { slot, signature, succeeded, logs, received };
                    self.told.tell(LogEvent::Logs(notice));
                }
                None
            }
            Ok(Frame::Slot { slot, .. }) => {
                self.last_slot = received;
                // Only requests can be checked against the genesis hash; the slot tells whether this is that chain.
                let apart = self.pool.highest_slot().get().abs_diff(slot);
                (apart > SLOTS_APART_MAX).then_some(DownCause::OtherChain)
            }
            Ok(Frame::Accepted { id, .. }) => {
                self.waiting.remove(&id);
                if self.waiting.is_empty() && !self.live {
                    self.live = true;
                    self.last_slot = received;
                    self.told.tell(LogEvent::Up { endpoint: self.endpoint.name().clone() });
                }
                None
            }
            Ok(Frame::Refused { code, .. }) => Some(DownCause::Refused { code }),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, endpoint = %self.endpoint.name(), "log frame skipped");
                self.pool.blame(self.endpoint.name());
                self.garbage = self.garbage.saturating_add(1);
                (self.garbage >= GARBAGE_MAX).then_some(DownCause::Garbage)
            }
        }
    }
}
