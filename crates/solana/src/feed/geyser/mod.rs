//! A node's Yellowstone stream as a connection of the feed, beside those over WebSocket.
//!
//! # Design
//! Nothing of the feed knows which of its connections is a stream: this one tells the same hub the same things in the same
//! order, and makes up for what it may have missed in the same way. [`slots`] says how what a stream tells becomes what
//! a WebSocket would have told, [`filters`] how a stream is asked and how it shows that it was.
//!
//! A new request is in force when a slot is told under its name. But what that slot's bank did before is missed, and that
//! of a slot that began meanwhile. So what is followed from then on is read as of a bank that was made after, or where a
//! server does not tell when one is made, as of the second slot that ended after.
//!
//! When a stream is made again at the same endpoint it asks for what came since the last slot that it told. That brings
//! back what is told once and cannot be read, the lines of transactions. Accounts are read all the same: whether nothing
//! is missing is not for the server to say. One that does not keep so many slots says so, and is asked again without.

mod dial;
mod filters;
pub(super) mod logs;
mod past;
mod slots;
mod status;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use sniper_core::ids::{Address, Signature};
use sniper_core::units::Slot;
use tokio::sync::mpsc;
use yellowstone_grpc_proto::geyser::subscribe_update::UpdateOneof;
use yellowstone_grpc_proto::geyser::{
    SlotStatus, SubscribeRequest, SubscribeUpdate, SubscribeUpdateAccount, SubscribeUpdateSlot,
    SubscribeUpdateTransaction, SubscribeUpdateTransactionStatus,
};
use yellowstone_grpc_proto::tonic::Streaming;

use self::dial::{NotOpen, Open};
use self::filters::{Asked, Filters, Named, named};
use self::past::End;
pub(crate) use self::past::Past;
use self::slots::{Again, Ended, Kept, Of, Slots, Write};
use super::connection::{Changes, Connection, GARBAGE_MAX, PATIENCE, SLOTS_APART_MAX, TICK};
use super::deliver::{Lines, Notice, Owner};
use super::event::DownCause;
use super::frame::{Fault, FrameError};
use super::registry::Place;
use super::source::Source;
use super::subscription::Subscription;
use crate::rpc::Commitment;

/// Requests that no slot has shown to be in force, beyond which changes wait.
const UNSHOWN_MAX: usize = 4;
/// Started slots whose parents have not ended yet.
const STARTED_MAX: usize = 64;

/// A request on its way to be in force.
struct Unshown {
    number: u64,
    revision: u64,
    asked: Instant,
    /// Slots that ended under its name.
    ends: u8,
}

/// One stream's life.
struct Stream<'a> {
    owner: &'a Connection,
    source: &'a Source,
    past: &'a mut Past,
    requests: mpsc::Sender<SubscribeRequest>,
    filters: Filters,
    slots: Slots,
    unshown: VecDeque<Unshown>,
    /// Slots that began, each with the one it is built on.
    started: VecDeque<(u64, u64)>,
    number: u64,
    /// The newest revision whose watches are being read.
    read: u64,
    live: bool,
    last_slot: Instant,
    next_ping: Instant,
    ping: Option<(i32, Instant)>,
    pings: i32,
    garbage: u32,
}

/// Listens to a stream until it ends. Says why it did, and whether it ever was in force.
pub(super) async fn session(
    owner: &mut Connection,
    source: &Source,
    changes: &mut Changes,
) -> (DownCause, bool) {
    let Some(grpc) = source.endpoint.grpc() else { return (DownCause::Connect, false) };
    let mut past = std::mem::take(&mut owner.past).at(source);
    // Before they are looked at: what changes after that is seen as a change.
    changes.watches.mark_unchanged();
    let mut filters = Filters::default();
    let revision = aim(owner, &mut filters);
    let from_slot = past.resume_slot();
    let first = Asked { number: 1, from_slot, ping: None };
    let opening = dial::open(grpc, filters.request(first, owner.hub.commitment));
    let outcome = match tokio::time::timeout(PATIENCE, opening).await {
        Err(_) | Ok(Err(NotOpen::Connect)) => (DownCause::Connect, false),
        Ok(Err(NotOpen::Refused(status))) => (past.refused(&status, from_slot.is_some()), false),
        Ok(Ok(Open { requests, mut updates })) => {
            let mut stream = Stream::new(owner, source, &mut past, requests, filters);
            stream.expect(revision);
            let ended = stream.run(&mut updates, changes).await;
            let live = stream.live;
            (past.ended(ended, from_slot.is_some()), live)
        }
    };
    owner.past = past;
    outcome
}

/// Takes up what a shard follows now, and gives the revision that this is.
fn aim(owner: &Connection, filters: &mut Filters) -> u64 {
    let (revision, targets) = owner.hub.targets(owner.shard);
    filters.aim(targets, |place| match owner.hub.subscription(place.id) {
        Some(Subscription::Program { filters, .. }) => Some(filters),
        _ => None,
    });
    revision
}

impl<'a> Stream<'a> {
    fn new(
        owner: &'a Connection,
        source: &'a Source,
        past: &'a mut Past,
        requests: mpsc::Sender<SubscribeRequest>,
        filters: Filters,
    ) -> Self {
        let now = Instant::now();
        Self {
            owner,
            source,
            past,
            requests,
            filters,
            slots: Slots::new(owner.hub.commitment == Commitment::Processed),
            unshown: VecDeque::new(),
            started: VecDeque::new(),
            number: 0,
            read: 0,
            live: false,
            last_slot: now,
            next_ping: now + owner.settings.ping_every,
            ping: None,
            pings: 0,
            garbage: 0,
        }
    }

    async fn run(
        &mut self,
        updates: &mut Streaming<SubscribeUpdate>,
        changes: &mut Changes,
    ) -> End {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let has_room = self.unshown.len() < UNSHOWN_MAX;
            // Rare things first: a busy stream must not starve them.
            let ended = tokio::select! {
                biased;
                Ok(()) = changes.source.changed() => Some(DownCause::Moved),
                Ok(()) = changes.watches.changed(), if has_room => self.aim_anew(),
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

    /// A request is on its way.
    fn expect(&mut self, revision: u64) {
        self.number = self.number.saturating_add(1);
        let (number, asked) = (self.number, Instant::now());
        self.unshown.push_back(Unshown { number, revision, asked, ends: 0 });
    }

    /// The shard's watches changed.
    fn aim_anew(&mut self) -> Option<DownCause> {
        let revision = aim(self.owner, &mut self.filters);
        self.expect(revision);
        self.ask(None)
    }

    /// Writes what the stream should tell, as an answer to a ping or a new request.
    fn ask(&self, ping: Option<i32>) -> Option<DownCause> {
        let asked = Asked { number: self.number, from_slot: None, ping };
        let request = self.filters.request(asked, self.owner.hub.commitment);
        // Full when the server does not read.
        self.requests.try_send(request).is_err().then_some(DownCause::Broken)
    }

    fn ping(&mut self, now: Instant) -> Option<DownCause> {
        self.pings = self.pings.wrapping_add(1);
        self.ping = Some((self.pings, now));
        self.ask(Some(self.pings))
    }

    fn tick(&mut self) -> Option<DownCause> {
        let now = Instant::now();
        if self.owner.hub.is_closed() {
            return Some(DownCause::Closed);
        }
        let waited = |since: Instant| now.saturating_duration_since(since);
        if self.unshown.front().is_some_and(|one| waited(one.asked) > PATIENCE) {
            return Some(DownCause::NoAcknowledgement);
        }
        if self.live && waited(self.last_slot) > self.owner.settings.stall_after {
            return Some(DownCause::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.owner.settings.ping_every;
            return self.ping(now);
        }
        None
    }

    /// One update; some cause ends the stream.
    fn update(&mut self, update: SubscribeUpdate) -> Option<DownCause> {
        let received = Instant::now();
        let SubscribeUpdate { filters: names, update_oneof, .. } = update;
        match update_oneof {
            Some(UpdateOneof::Account(account)) => self.account(account, &names),
            Some(UpdateOneof::Slot(slot)) => self.slot(&slot, &names, received),
            Some(UpdateOneof::Transaction(transaction)) => {
                self.transaction(transaction, &names, received)
            }
            Some(UpdateOneof::TransactionStatus(status)) => self.status(&status, &names, received),
            Some(UpdateOneof::Ping(_)) => self.ping(received),
            Some(UpdateOneof::Pong(pong)) => {
                if let Some((_, sent)) = self.ping.take_if(|(id, _)| *id == pong.id) {
                    let took = received.saturating_duration_since(sent);
                    self.owner.hub.round_trip(self.owner.index, received, took);
                }
                None
            }
            // What was not asked for, or is of a newer server.
            _ => None,
        }
    }

    fn account(&mut self, update: SubscribeUpdateAccount, names: &[String]) -> Option<DownCause> {
        // What a starting validator holds is of no slot that it saw.
        if update.is_startup {
            return None;
        }
        let (slot, of) = (update.slot, Filters::of_names(names));
        if of == Of::default() {
            return None; // of a filter that was never ours
        }
        let Some(info) = update.account else {
            return self.unreadable("account", &of.programs, Fault::Missing { field: "account" });
        };
        let key = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map(Address::new_from_array);
        let (Ok(address), Ok(owner)) = (key(info.pubkey), key(info.owner)) else {
            return self.unreadable("account", &of.programs, Fault::Key);
        };
        let write = Write {
            address,
            version: info.write_version,
            owner,
            lamports: info.lamports,
            data: info.data,
            of,
        };
        match self.slots.write(slot, write) {
            Kept::Waits => {}
            Kept::Duplicate => self.owner.hub.passed_over(false),
            Kept::Older => self.owner.hub.passed_over(true),
            Kept::TooLate(told) => {
                let at_least = slot.max(self.slots.tip().unwrap_or(0));
                self.read_again(&self.filters.of_told(&told), at_least);
            }
            Kept::Full => return Some(DownCause::Flooded),
        }
        None
    }

    fn slot(
        &mut self,
        update: &SubscribeUpdateSlot,
        names: &[String],
        received: Instant,
    ) -> Option<DownCause> {
        let slot = update.slot;
        // Only requests can be checked against the genesis hash; the slot tells whether this is the same chain.
        if self.owner.hub.pool.highest_slot().get().abs_diff(slot) > SLOTS_APART_MAX {
            return Some(DownCause::OtherChain);
        }
        let commitment = self.owner.hub.commitment;
        let number = names.iter().filter_map(|name| match named(name) {
            Some(Named::Slots(number)) => Some(number),
            _ => None,
        });
        let number = number.max();
        // One of a newer server says nothing here, and is not to be taken for the first that there was.
        let Ok(status) = SlotStatus::try_from(update.status) else { return None };
        let mut cause = None;
        match status {
            SlotStatus::SlotCreatedBank => {
                self.started(slot, update.parent, received);
                if commitment == Commitment::Processed {
                    self.shown(number, slot, u8::MAX);
                }
            }
            SlotStatus::SlotDead => self.slots.give_up(slot),
            status if ends(commitment) == status => {
                if self.ended(slot, update.parent, received) {
                    // Elsewhere all of a slot comes with its end, and nothing of the next before.
                    let ends = if commitment == Commitment::Processed { 1 } else { u8::MAX };
                    self.shown(number, slot, ends);
                }
                // Without it no branch can be told from another, and everything is read again and again.
                if update.parent.is_none() && commitment == Commitment::Processed {
                    cause = self.unreadable("slot", &[], Fault::Missing { field: "parent" });
                }
            }
            _ => {}
        }
        if status == SlotStatus::SlotFinalized {
            for place in self.filters.of_roots() {
                self.owner.hub.root(*place, Slot::new(slot), received);
            }
            let unended = self.slots.settle(slot);
            self.read_again(&self.filters.of_told(&unended), slot);
        }
        cause
    }

    /// A bank was made, on top of one that has ended or will in a moment: the same moment a WebSocket tells.
    fn started(&mut self, slot: u64, parent: Option<u64>, received: Instant) {
        match parent {
            Some(parent) if self.slots.tip() == Some(parent) => {
                self.owner.hub.slot(self.owner.index, Slot::new(slot), received);
            }
            Some(parent) => {
                if self.started.len() >= STARTED_MAX {
                    self.started.pop_front();
                }
                self.started.push_back((slot, parent));
            }
            None => {}
        }
    }

    /// A slot has ended as surely as the feed's commitment says. False when a higher one had before.
    fn ended(&mut self, slot: u64, parent: Option<u64>, received: Instant) -> bool {
        let Ended { advances, tell, again } = self.slots.end(slot, parent);
        for write in &tell {
            self.tell(slot, write, received);
        }
        let places = match again {
            Again::These(told) => self.filters.of_told(&told),
            Again::All => self.filters.of_all(),
        };
        self.read_again(&places, slot);
        if advances {
            self.last_slot = received;
            self.past.tell(slot);
            let Connection { index, hub, .. } = self.owner;
            hub.slot(*index, Slot::new(slot), received);
            self.started.retain(|(_, parent)| *parent >= slot);
            if let Some((next, _)) = self.started.iter().find(|(_, parent)| *parent == slot) {
                hub.slot(*index, Slot::new(*next), received);
            }
        }
        advances
    }

    fn tell(&self, slot: u64, write: &Write, received: Instant) {
        let Connection { index, hub, .. } = self.owner;
        let notice = Notice {
            slot: Slot::new(slot),
            owner: Owner::Key(write.owner),
            lamports: write.lamports,
            data: &write.data,
            received,
        };
        if write.of.account {
            for place in self.filters.of_account(&write.address) {
                hub.account(*index, *place, &notice);
            }
        }
        for place in write.of.programs.iter().flat_map(|number| self.filters.of_number(*number)) {
            hub.program(*index, *place, write.address, &notice);
        }
    }

    fn read_again(&self, places: &[Place], at_least: u64) {
        if !places.is_empty() {
            self.owner.hub.read_again(self.owner.shard, places, Slot::new(at_least));
        }
    }

    /// A slot came under the name of a request, by `ends` times the end of one: all before it, and perhaps it, is in force.
    fn shown(&mut self, number: Option<u64>, slot: u64, ends: u8) {
        let Some(number) = number else { return };
        let mut revision = None;
        for one in self.unshown.iter_mut().filter(|one| one.number <= number) {
            one.ends = one.ends.saturating_add(ends);
            if one.ends >= 2 {
                revision = Some(one.revision);
            }
        }
        self.unshown.retain(|one| one.ends < 2);
        let Some(revision) = revision else { return };
        let Connection { index, shard, hub, .. } = self.owner;
        hub.acknowledged(*index, *shard, revision);
        if !self.live {
            self.live = true;
            self.last_slot = Instant::now();
            hub.up(*index, self.source.endpoint.name());
        }
        hub.want_read(*shard, self.read, revision, Slot::new(slot));
        self.read = revision;
    }

    fn transaction(
        &mut self,
        update: SubscribeUpdateTransaction,
        names: &[String],
        received: Instant,
    ) -> Option<DownCause> {
        let Printed { slot, signature, succeeded, logs } = match Printed::read(update) {
            Ok(printed) => printed,
            Err(fault) => return self.unreadable("transaction", &[], fault),
        };
        let logs: Vec<_> = logs.into_iter().map(Cow::Owned).collect();
        let lines = Lines { slot, signature, succeeded, logs: &logs, received };
        for name in names {
            if let Some(Named::Logs(number)) = named(name) {
                for place in self.filters.of_number(number) {
                    self.owner.hub.logs(*place, &lines);
                }
            }
        }
        None
    }

    fn status(
        &mut self,
        update: &SubscribeUpdateTransactionStatus,
        names: &[String],
        received: Instant,
    ) -> Option<DownCause> {
        for name in names {
            if let Some(Named::Signature(number)) = named(name) {
                for place in self.filters.of_number(number) {
                    let (slot, succeeded) = (Slot::new(update.slot), update.err.is_none());
                    self.owner.hub.signature(*place, slot, succeeded, received);
                }
            }
        }
        None
    }

    /// What came makes no sense; those that it can have been about are read.
    fn unreadable(
        &mut self,
        method: &'static str,
        programs: &[u64],
        fault: Fault,
    ) -> Option<DownCause> {
        let Connection { index, shard, hub, .. } = self.owner;
        let places: Vec<Place> =
            programs.iter().flat_map(|number| self.filters.of_number(*number)).copied().collect();
        let subscription = programs.first().copied().filter(|_| !places.is_empty());
        let error = FrameError { method, subscription, fault };
        hub.unreadable(*index, *shard, self.source.endpoint.name(), Some((&error, &places)));
        self.garbage = self.garbage.saturating_add(1);
        (self.garbage >= GARBAGE_MAX).then_some(DownCause::Garbage)
    }
}

/// What a transaction printed.
struct Printed {
    slot: Slot,
    signature: Signature,
    succeeded: bool,
    logs: Vec<String>,
}

impl Printed {
    fn read(update: SubscribeUpdateTransaction) -> Result<Self, Fault> {
        let missing = |field| Fault::Missing { field };
        let info = update.transaction.ok_or(missing("transaction"))?;
        let signature = <[u8; 64]>::try_from(info.signature).map_err(|_| Fault::Signature)?;
        let meta = info.meta.ok_or(missing("meta"))?;
        Ok(Self {
            slot: Slot::new(update.slot),
            signature: Signature(signature),
            succeeded: meta.err.is_none(),
            logs: meta.log_messages,
        })
    }
}

/// What ends a slot for a feed of this commitment.
const fn ends(commitment: Commitment) -> SlotStatus {
    match commitment {
        Commitment::Processed => SlotStatus::SlotProcessed,
        Commitment::Confirmed => SlotStatus::SlotConfirmed,
        Commitment::Finalized => SlotStatus::SlotFinalized,
    }
}
