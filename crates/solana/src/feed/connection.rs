//! One subscription connection: made, kept alive, watched, and made again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sniper_core::units::Slot;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::deliver::{Lines, Notice, Owner};
use super::event::DownCause;
use super::frame::{Frame, FrameError, FrameReader, Held};
use super::hub::Hub;
use super::manager::FeedSettings;
use super::reconnect::ReconnectionHandler;
use super::source::Source;
#[cfg(feature = "yellowstone")]
use super::source::Via;
use super::subscriptions::{Answered, Subscriptions};
use crate::rpc::EndpointConfig;

/// How long a connection may take to be made, and a request to be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often pings, silence and deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Unreadable frames after which a connection is given up.
pub(super) const GARBAGE_MAX: u32 = 10;
/// Largest frame read: an account of 10 MiB in base64 would not fit, and none we follow is near that.
const FRAME_MAX: usize = 8 << 20;

/// Slots a connection may be away from what requests told: more than an hour.
pub(super) const SLOTS_APART_MAX: u64 = 10_000;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Connection {
    pub(crate) index: usize,
    pub(crate) shard: usize,
    pub(crate) hub: Arc<Hub>,
    pub(crate) assignment: watch::Receiver<Source>,
    /// Rises when the shard's watches change.
    pub(crate) revisions: watch::Receiver<u64>,
    pub(crate) reconnection: ReconnectionHandler,
    pub(crate) settings: FeedSettings,
    /// What the stream before this one came to.
    #[cfg(feature = "yellowstone")]
    pub(crate) past: super::geyser::Past,
}

/// What may change while a connection lives.
pub(super) struct Changes {
    pub(super) source: watch::Receiver<Source>,
    pub(super) watches: watch::Receiver<u64>,
}

/// One connection's life.
struct Session<'a> {
    owner: &'a Connection,
    endpoint: &'a EndpointConfig,
    subscriptions: Subscriptions,
    /// The revision of the shard that is aimed at.
    aim: u64,
    /// The newest that has every subscription acknowledged.
    acknowledged: u64,
    /// The newest of which a slot came after that, so that its new accounts are being read.
    read: u64,
    live: bool,
    last_slot: Instant,
    last_ping: Option<Instant>,
    next_ping: Instant,
    garbage: u32,
    reader: FrameReader,
    /// Something was told on since this task last gave way.
    has_told: bool,
}

impl Connection {
    /// Keeps the connection up until the receiver is gone.
    pub(crate) async fn run(mut self) {
        let mut failures = 0_u32;
        while !self.hub.is_closed() {
            let source = self.assignment.borrow_and_update().clone();
            let mut changes =
                Changes { source: self.assignment.clone(), watches: self.revisions.clone() };
            let session = async {
                match source.via {
                    #[cfg(feature = "yellowstone")]
                    Via::Grpc => super::geyser::session(&mut self, &source, &mut changes).await,
                    _ => self.session(&source.endpoint, &mut changes).await,
                }
            };
            let (cause, was_live) = session.await;
            let (name, via) = (source.endpoint.name(), source.via);
            tracing::warn!(endpoint = %name, connection = self.index, %via, %cause, "feed connection ended");
            self.hub.down(self.index, self.shard, name, cause);
            if cause == DownCause::Moved {
                continue;
            }
            failures = if was_live { 1 } else { failures.saturating_add(1) };
            // One that answers and refuses is not asked more often for that.
            let absent = matches!(
                cause,
                DownCause::Connect
                    | DownCause::Closed
                    | DownCause::Broken
                    | DownCause::Stalled
                    | DownCause::Lagged
                    | DownCause::NoReplay
            );
            let pause = if absent && self.hub.is_torn(self.shard) {
                self.reconnection.pause_alone(failures)
            } else {
                self.reconnection.pause(failures)
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // A gone sender cannot move us any more; the pause then has to do.
                Ok(()) = self.assignment.changed() => {}
            }
        }
    }

    async fn session(&self, endpoint: &EndpointConfig, changes: &mut Changes) -> (DownCause, bool) {
        let connecting = tokio::time::timeout(PATIENCE, connect(endpoint));
        let Ok(Ok(mut socket)) = connecting.await else { return (DownCause::Connect, false) };
        // Before the session looks at them: what changes after that is seen as a change.
        changes.watches.mark_unchanged();
        let mut session = Session::new(self, endpoint);
        let cause = session.run(&mut socket, changes).await;
        let live = session.live;
        // Best effort: a node forgets our subscriptions when the connection ends, however it ends.
        drop(tokio::time::timeout(TICK, socket.close(None)).await);
        (cause, live)
    }
}

pub(crate) async fn connect(endpoint: &EndpointConfig) -> Result<Socket, DownCause> {
    // All of it is zeroed before every read.
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX));
    let url = endpoint.ws().expose().as_str();
    tokio_tungstenite::connect_async_with_config(url, Some(config), true)
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| {
            // Its text can hold the address.
            let io = matches!(error, tungstenite::Error::Io(_));
            tracing::debug!(endpoint = %endpoint.name(), io, "feed connect failed");
            DownCause::Connect
        })
}

impl<'a> Session<'a> {
    fn new(owner: &'a Connection, endpoint: &'a EndpointConfig) -> Self {
        let (now, (aim, targets)) = (Instant::now(), owner.hub.targets(owner.shard));
        Self {
            owner,
            endpoint,
            subscriptions: Subscriptions::new(targets),
            aim,
            acknowledged: 0,
            read: 0,
            live: false,
            last_slot: now,
            last_ping: None,
            next_ping: now + owner.settings.ping_every,
            garbage: 0,
            reader: FrameReader::default(),
            has_told: false,
        }
    }

    async fn run(&mut self, socket: &mut Socket, changes: &mut Changes) -> DownCause {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.subscriptions.is_ready() && !self.ask(socket).await {
                return DownCause::Broken;
            }
            let aimed = self.subscriptions.is_reached();
            // Rare things first: a busy socket must not starve them.
            let ended = tokio::select! {
                biased;
                Ok(()) = changes.source.changed() => Some(DownCause::Moved),
                Ok(()) = changes.watches.changed(), if aimed => {
                    self.aim_anew();
                    None
                }
                _ = ticks.tick() => self.tick(socket).await,
                frame = socket.next() => self.frame(frame),
            };
            if let Some(cause) = ended {
                return cause;
            }
            if std::mem::take(&mut self.has_told) {
                // Who waits for it comes before the question whether the socket has more.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Writes what may be asked now. False when the socket does not take it.
    async fn ask(&mut self, socket: &mut Socket) -> bool {
        let now = Instant::now();
        let (commitment, encoding) = (self.owner.hub.commitment, self.owner.hub.encoding);
        let subscriptions = &mut self.subscriptions;
        let written = async {
            while let Some(request) = subscriptions.write(now, commitment, encoding) {
                socket.feed(Message::text(request)).await?;
            }
            socket.flush().await
        };
        matches!(tokio::time::timeout(PATIENCE, written).await, Ok(Ok(())))
    }

    /// The shard's watches changed: what is new is subscribed to, what is gone is given back.
    fn aim_anew(&mut self) {
        let (revision, targets) = self.owner.hub.targets(self.owner.shard);
        self.subscriptions.aim(targets);
        self.aim = revision;
        self.reached();
    }

    /// An answer came, or none is needed: perhaps everything is in force now.
    fn reached(&mut self) {
        if !self.subscriptions.is_reached() || self.acknowledged == self.aim {
            return;
        }
        self.acknowledged = self.aim;
        let Connection { index, shard, hub, .. } = self.owner;
        hub.acknowledged(*index, *shard, self.aim);
        if !self.live {
            self.live = true;
            self.last_slot = Instant::now();
            hub.up(*index, self.endpoint.name());
        }
    }

    async fn tick(&mut self, socket: &mut Socket) -> Option<DownCause> {
        let now = Instant::now();
        if self.owner.hub.is_closed() {
            return Some(DownCause::Closed);
        }
        if self.subscriptions.is_overdue(now, PATIENCE) {
            return Some(DownCause::NoAcknowledgement);
        }
        if self.live
            && now.saturating_duration_since(self.last_slot) > self.owner.settings.stall_after
        {
            return Some(DownCause::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.owner.settings.ping_every;
            self.last_ping = Some(now);
            let ping = socket.send(Message::Ping(Bytes::new()));
            if !matches!(tokio::time::timeout(PATIENCE, ping).await, Ok(Ok(()))) {
                return Some(DownCause::Broken);
            }
        }
        None
    }

    /// One frame; some cause ends the connection.
    fn frame(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Option<DownCause> {
        match frame {
            None | Some(Ok(Message::Close(_))) => Some(DownCause::Closed),
            Some(Err(_)) => Some(DownCause::Broken),
            Some(Ok(Message::Text(text))) => self.text(&text),
            Some(Ok(Message::Pong(_))) => {
                let now = Instant::now();
                if let Some(sent) = self.last_ping.take() {
                    self.owner.hub.round_trip(
                        self.owner.index,
                        now,
                        now.saturating_duration_since(sent),
                    );
                }
                None
            }
            Some(Ok(_)) => None,
        }
    }

    fn text(&mut self, text: &Utf8Bytes) -> Option<DownCause> {
        let received = Instant::now();
        // Set aside, since what it read lies in it.
        let mut reader = std::mem::take(&mut self.reader);
        let ended = match reader.read(text.as_str()) {
            Ok(frame) => self.told(&frame, received),
            Err(error) => self.unreadable(Some(error)),
        };
        self.reader = reader;
        ended
    }

    fn told(&mut self, frame: &Frame<'_>, received: Instant) -> Option<DownCause> {
        self.has_told = true;
        match frame {
            Frame::Account { subscription, slot, account } => {
                let notice = notice(*slot, account, received);
                for watch in self.subscriptions.watches(*subscription) {
                    self.owner.hub.account(self.owner.index, *watch, &notice);
                }
                None
            }
            Frame::Program { subscription, slot, address, account } => {
                let notice = notice(*slot, account, received);
                for watch in self.subscriptions.watches(*subscription) {
                    self.owner.hub.program(self.owner.index, *watch, *address, &notice);
                }
                None
            }
            Frame::Logs { subscription, slot, signature, succeeded, logs } => {
                let (slot, signature, succeeded) = (Slot::new(*slot), *signature, *succeeded);
                let lines = Lines { slot, signature, succeeded, logs, received };
                for watch in self.subscriptions.watches(*subscription) {
                    self.owner.hub.logs(*watch, &lines);
                }
                None
            }
            Frame::Signature { subscription, slot, succeeded: Some(succeeded) } => {
                for watch in self.subscriptions.ended(*subscription) {
                    self.owner.hub.signature(watch, Slot::new(*slot), *succeeded, received);
                }
                None
            }
            Frame::Root { subscription, slot } => {
                for watch in self.subscriptions.watches(*subscription) {
                    self.owner.hub.root(*watch, Slot::new(*slot), received);
                }
                None
            }
            Frame::Slot { slot, .. } => self.slot(Slot::new(*slot), received),
            Frame::Accepted { id, subscription } => {
                let answered = self.subscriptions.accepted(*id, *subscription);
                self.answered(answered, 0)
            }
            Frame::Released { id, done } => {
                let answered = self.subscriptions.released(*id, *done);
                self.answered(answered, 0)
            }
            Frame::Refused { id, code } => {
                let answered = self.subscriptions.refused(*id, *code);
                self.answered(answered, *code)
            }
            // One that has only been received, and what was not asked for.
            Frame::Signature { .. } | Frame::Other => None,
        }
    }

    fn answered(&mut self, answered: Answered, code: i64) -> Option<DownCause> {
        match answered {
            Answered::Fine => {}
            Answered::Unreadable => return self.unreadable(None),
            Answered::Refused(subject) => {
                if !self.owner.hub.give_up(self.owner.shard, &subject, code) {
                    return Some(DownCause::Refused { code });
                }
            }
            Answered::End(cause) => return Some(cause),
        }
        self.reached();
        None
    }

    fn unreadable(&mut self, error: Option<FrameError>) -> Option<DownCause> {
        let Connection { index, shard, hub, .. } = self.owner;
        let number = error.and_then(|error| error.subscription);
        let places = number.map(|number| self.subscriptions.watches(number)).unwrap_or_default();
        let told = error.as_ref().map(|error| (error, places));
        hub.unreadable(*index, *shard, self.endpoint.name(), told);
        self.garbage = self.garbage.saturating_add(1);
        (self.garbage >= GARBAGE_MAX).then_some(DownCause::Garbage)
    }

    fn slot(&mut self, slot: Slot, received: Instant) -> Option<DownCause> {
        // Only requests can be checked against the genesis hash; the slot tells whether this is the same chain.
        if self.owner.hub.pool.highest_slot().get().abs_diff(slot.get()) > SLOTS_APART_MAX {
            return Some(DownCause::OtherChain);
        }
        self.last_slot = received;
        self.owner.hub.slot(self.owner.index, slot, received);
        if self.read < self.acknowledged {
            // All subscriptions were in force before this slot: a state as of it, and the notices, miss nothing.
            let (after, upto) = (self.read, self.acknowledged);
            self.owner.hub.want_read(self.owner.shard, after, upto, slot);
            self.read = upto;
        }
        None
    }
}

fn notice<'a>(slot: u64, account: &'a Held<'a>, received: Instant) -> Notice<'a> {
    let Held { owner, lamports, data } = account;
    let owner = Owner::Text(owner);
    Notice { slot: Slot::new(slot), owner, lamports: *lamports, data, received }
}
