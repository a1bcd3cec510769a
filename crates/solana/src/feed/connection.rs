//! One subscription connection: made, kept alive, watched, and made again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::event::DownCause;
use super::hub::{Hub, Notice};
use super::manager::FeedSettings;
use super::parse::{Incoming, parse};
use super::reconnect::ReconnectionHandler;
use crate::rpc::{Commitment, EndpointConfig};

/// How long a connection may take to be made, and its subscriptions to be acknowledged.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often pings, silence and deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Unreadable frames after which a connection is given up.
pub(super) const GARBAGE_MAX: u32 = 10;
/// Largest frame read: an account of 10 MiB in base64 would not fit, and none we follow is near that.
const FRAME_MAX: usize = 8 << 20;

/// Slots a connection may be away from what requests told: more than an hour.
pub(super) const SLOTS_APART_MAX: u64 = 10_000;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Connection {
    pub(crate) index: usize,
    pub(crate) shard: usize,
    pub(crate) hub: Arc<Hub>,
    pub(crate) assignment: watch::Receiver<EndpointConfig>,
    pub(crate) reconnection: ReconnectionHandler,
    pub(crate) settings: FeedSettings,
}

/// One connection's life.
struct Session<'a> {
    owner: &'a Connection,
    endpoint: &'a EndpointConfig,
    /// What each request id subscribes to; the id after the last is the slot clock.
    targets: Vec<(Address, Vec<usize>)>,
    /// Watches by the node's subscription id.
    subscriptions: HashMap<u64, Vec<usize>>,
    pending: usize,
    begun: Instant,
    live: bool,
    /// The first slot since the last acknowledgement has not come yet; with it the snapshot is asked for.
    wants_snapshot: bool,
    last_slot: Instant,
    last_ping: Option<Instant>,
    next_ping: Instant,
    garbage: u32,
    scratch: Vec<u8>,
}

impl Connection {
    /// Keeps the connection up until the receiver is gone.
    pub(crate) async fn run(mut self) {
        let mut failures = 0_u32;
        while !self.hub.is_closed() {
            let endpoint = self.assignment.borrow_and_update().clone();
            let (cause, was_live) = self.session(&endpoint).await;
            let name = endpoint.name();
            tracing::warn!(endpoint = %name, connection = self.index, %cause, "feed connection ended");
            self.hub.down(self.index, self.shard, name, cause);
            if cause == DownCause::Moved {
                continue;
            }
            failures = if was_live { 1 } else { failures.saturating_add(1) };
            let pause = self.reconnection.pause(failures);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // A gone sender cannot move us any more; the pause then has to do.
                Ok(()) = self.assignment.changed() => {}
            }
        }
    }

    async fn session(&mut self, endpoint: &EndpointConfig) -> (DownCause, bool) {
        let connecting = tokio::time::timeout(PATIENCE, connect(endpoint));
        let Ok(Ok(mut socket)) = connecting.await else { return (DownCause::Connect, false) };
        let mut moved = self.assignment.clone();
        let mut session = Session::new(self, endpoint);
        let cause = session.run(&mut socket, &mut moved).await;
        let live = session.live;
        // Best effort: a node forgets our subscriptions when the connection ends, however it ends.
        drop(tokio::time::timeout(TICK, socket.close(None)).await);
        (cause, live)
    }
}

pub(super) async fn connect(endpoint: &EndpointConfig) -> Result<Socket, DownCause> {
    let config = WebSocketConfig::default()
        .read_buffer_size(32 << 10)
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
        let (now, targets) = (Instant::now(), owner.hub.targets(owner.shard));
        Self {
            owner,
            endpoint,
            pending: targets.len().saturating_add(1),
            subscriptions: HashMap::with_capacity(targets.len()),
            targets,
            begun: now,
            live: false,
            wants_snapshot: false,
            last_slot: now,
            last_ping: None,
            next_ping: now + owner.settings.ping_every,
            garbage: 0,
            scratch: Vec::with_capacity(1 << 10),
        }
    }

    async fn run(
        &mut self,
        socket: &mut Socket,
        moved: &mut watch::Receiver<EndpointConfig>,
    ) -> DownCause {
        if self.subscribe(socket).await.is_err() {
            return DownCause::Broken;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut may_move = true;
        loop {
            // Rare things first: a busy socket must not starve them.
            let ended = tokio::select! {
                biased;
                changed = moved.changed(), if may_move => match changed {
                    Ok(()) => Some(DownCause::Moved),
                    Err(_) => { may_move = false; None }
                },
                _ = ticks.tick() => self.tick(socket).await,
                frame = socket.next() => self.frame(frame),
            };
            if let Some(cause) = ended {
                return cause;
            }
        }
    }

    async fn subscribe(&self, socket: &mut Socket) -> Result<(), tungstenite::Error> {
        let commitment = self.owner.settings.commitment;
        for (id, (address, _)) in self.targets.iter().enumerate() {
            socket.feed(Message::text(account_subscribe(id, address, commitment))).await?;
        }
        socket.feed(Message::text(slot_subscribe(self.targets.len()))).await?;
        socket.flush().await
    }

    async fn tick(&mut self, socket: &mut Socket) -> Option<DownCause> {
        let now = Instant::now();
        if self.owner.hub.is_closed() {
            return Some(DownCause::Closed);
        }
        if self.pending > 0 && now.saturating_duration_since(self.begun) > PATIENCE {
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
        match parse(text.as_str()) {
            Ok(Incoming::Account { subscription, slot, lamports, owner, base64 }) => {
                // One that overtook its acknowledgement is made up for by the snapshot after it.
                let watches =
                    self.subscriptions.get(&subscription).map(Vec::as_slice).unwrap_or_default();
                let slot = Slot::new(slot);
                let notice = Notice { slot, lamports, owner: &owner, base64: &base64, received };
                for watch in watches {
                    self.owner.hub.account(self.owner.index, *watch, &notice, &mut self.scratch);
                }
                None
            }
            Ok(Incoming::Slot { slot, .. }) => self.slot(Slot::new(slot), received),
            Ok(Incoming::Accepted { id, subscription }) => {
                self.accepted(id, subscription);
                None
            }
            Ok(Incoming::Refused { code, .. }) => Some(DownCause::Refused { code }),
            Ok(Incoming::Other) => None,
            Err(_) => {
                self.owner.hub.garbage();
                self.garbage = self.garbage.saturating_add(1);
                (self.garbage >= GARBAGE_MAX).then_some(DownCause::Garbage)
            }
        }
    }

    fn slot(&mut self, slot: Slot, received: Instant) -> Option<DownCause> {
        // Only requests can be checked against the genesis hash; the slot tells whether this is the same chain.
        if self.owner.hub.pool.highest_slot().get().abs_diff(slot.get()) > SLOTS_APART_MAX {
            return Some(DownCause::OtherChain);
        }
        self.last_slot = received;
        self.owner.hub.slot(self.owner.index, slot, received);
        if self.live && std::mem::take(&mut self.wants_snapshot) {
            // All subscriptions were in force before this slot: a state as of it, and the notices, miss nothing.
            self.owner.hub.want_snapshot(self.owner.shard, slot);
        }
        None
    }

    fn accepted(&mut self, id: u64, subscription: u64) {
        let target = usize::try_from(id).ok().and_then(|id| self.targets.get_mut(id));
        if let Some((_, watches)) = target {
            let watches = std::mem::take(watches);
            if watches.is_empty() {
                return; // acknowledged before
            }
            self.subscriptions.entry(subscription).or_default().extend(watches);
        }
        self.pending = self.pending.saturating_sub(1);
        if self.pending == 0 && !self.live {
            self.live = true;
            self.wants_snapshot = true;
            self.last_slot = Instant::now();
            self.owner.hub.up(self.owner.index, self.endpoint.name());
        }
    }
}

fn account_subscribe(id: usize, address: &Address, commitment: Commitment) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"accountSubscribe","params":["{address}",{{"encoding":"base64","commitment":"{}"}}]}}"#,
        commitment.as_str()
    )
}

pub(super) fn slot_subscribe(id: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"slotSubscribe"}}"#)
}
