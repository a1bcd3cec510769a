//! What transactions print, by a stream: a connection of a [`LogWatch`](crate::feed::LogWatch).

use std::time::Instant;

use tokio::sync::mpsc;
use yellowstone_grpc_proto::geyser::subscribe_update::UpdateOneof;
use yellowstone_grpc_proto::geyser::{SlotStatus, SubscribeRequest, SubscribeUpdate};
use yellowstone_grpc_proto::tonic::Streaming;

use super::Printed;
use super::dial::{self, NotOpen, Open};
use super::filters::{Asked, Filters};
use super::past::{End, Past};
use crate::feed::connection::{GARBAGE_MAX, PATIENCE, SLOTS_APART_MAX, TICK};
use crate::feed::event::DownCause;
use crate::feed::log_watch::{Listener, LogEvent};
use crate::feed::logs::LogNotice;
use crate::feed::source::Source;
use crate::feed::subscription::Subject;

/// The name of the only request there is.
const FIRST: u64 = 1;

/// One stream's life.
struct Stream<'a> {
    listener: &'a mut Listener,
    past: &'a mut Past,
    source: &'a Source,
    filters: Filters,
    requests: mpsc::Sender<SubscribeRequest>,
    begun: Instant,
    last_slot: Instant,
    next_ping: Instant,
    pings: i32,
    live: bool,
    garbage: u32,
}

/// Listens to a stream until it ends. Says why it did, and whether it ever was in force.
pub(in crate::feed) async fn session(
    listener: &mut Listener,
    source: &Source,
) -> (DownCause, bool) {
    let Some(grpc) = source.endpoint.grpc() else { return (DownCause::Connect, false) };
    let mut past = std::mem::take(&mut listener.past).at(source);
    let mut filters = Filters::default();
    let programs = listener.programs.iter();
    filters.aim(programs.map(|one| (Subject::Logs(*one), Vec::new())).collect(), |_| None);
    let from_slot = past.resume_slot();
    let first = Asked { number: FIRST, from_slot, ping: None };
    let opening = dial::open(grpc, filters.request(first, listener.settings.commitment));
    let outcome = match tokio::time::timeout(PATIENCE, opening).await {
        Err(_) | Ok(Err(NotOpen::Connect)) => (DownCause::Connect, false),
        Ok(Err(NotOpen::Refused(status))) => (past.refused(&status, from_slot.is_some()), false),
        Ok(Ok(Open { requests, mut updates })) => {
            let now = Instant::now();
            let next_ping = now + listener.settings.ping_every;
            let mut stream = Stream {
                listener,
                past: &mut past,
                source,
                filters,
                requests,
                begun: now,
                last_slot: now,
                next_ping,
                pings: 0,
                live: false,
                garbage: 0,
            };
            let ended = stream.listen(&mut updates).await;
            let live = stream.live;
            (past.ended(ended, from_slot.is_some()), live)
        }
    };
    listener.past = past;
    outcome
}

impl Stream<'_> {
    async fn listen(&mut self, updates: &mut Streaming<SubscribeUpdate>) -> End {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Rare things first: a busy stream must not starve them.
            let ended = tokio::select! {
                biased;
                _ = ticks.tick() => self.tick(),
                update = updates.message() => match update {
                    Ok(Some(update)) => self.update(update),
                    Ok(None) => Some(DownCause::Closed),
                    Err(status) => return End::Status(Box::new(status)),
                },
            };
            if let Some(cause) = ended {
                return End::Cause(cause);
            }
        }
    }

    fn tick(&mut self) -> Option<DownCause> {
        let now = Instant::now();
        if self.listener.told.is_closed() {
            return Some(DownCause::Closed);
        }
        if !self.live && now.saturating_duration_since(self.begun) > PATIENCE {
            return Some(DownCause::NoAcknowledgement);
        }
        let silent = now.saturating_duration_since(self.last_slot);
        if self.live && silent > self.listener.settings.stall_after {
            return Some(DownCause::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.listener.settings.ping_every;
            return self.ping();
        }
        None
    }

    fn ping(&mut self) -> Option<DownCause> {
        self.pings = self.pings.wrapping_add(1);
        let asked = Asked { number: FIRST, from_slot: None, ping: Some(self.pings) };
        let request = self.filters.request(asked, self.listener.settings.commitment);
        // Full when the server does not read.
        self.requests.try_send(request).is_err().then_some(DownCause::Broken)
    }

    fn update(&mut self, update: SubscribeUpdate) -> Option<DownCause> {
        let received = Instant::now();
        match update.update_oneof {
            Some(UpdateOneof::Transaction(transaction)) => match Printed::read(transaction) {
                Ok(Printed { slot, signature, succeeded, logs }) => {
                    self.listener.told.lines(LogNotice {
                        slot,
                        signature,
                        succeeded,
                        logs,
                        received,
                    });
                    None
                }
                Err(fault) => {
                    let endpoint = self.source.endpoint.name();
                    tracing::debug!(%fault, %endpoint, "log update skipped");
                    self.listener.pool.blame(endpoint);
                    self.garbage = self.garbage.saturating_add(1);
                    (self.garbage >= GARBAGE_MAX).then_some(DownCause::Garbage)
                }
            },
            // Whatever it says of a slot: that it came shows that the request is in force.
            Some(UpdateOneof::Slot(slot)) => {
                let apart = self.listener.pool.highest_slot().get().abs_diff(slot.slot);
                if apart > SLOTS_APART_MAX {
                    return Some(DownCause::OtherChain);
                }
                self.last_slot = received;
                if SlotStatus::try_from(slot.status) == Ok(SlotStatus::SlotProcessed) {
                    self.past.tell(slot.slot);
                }
                if !self.live {
                    self.live = true;
                    let endpoint = self.source.endpoint.name().clone();
                    self.listener.told.tell(LogEvent::Up { endpoint });
                }
                None
            }
            Some(UpdateOneof::Ping(_)) => self.ping(),
            _ => None,
        }
    }
}
