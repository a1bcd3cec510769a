//! What connections tell, judged and passed on.
//!
//! # Design
//! One channel, and nobody waits for it: a socket is read on whatever the receiver does. What finds it full goes into
//! the [`Backlog`], and from there, in order, into the channel as room comes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use sniper_core::amm::Kind;
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{Lamports, Slot};
use tokio::sync::mpsc::error::TrySendError;

use super::backlog::{Key, Put};
use super::event::{FeedEvent, GapCause};
use super::hub::{Hub, State};
use super::logs::LogNotice;
use super::registry::{Entry, Known, Place};
use super::router::Verdict;
use super::story::Told;
use super::watch::{self as decoding, Content};
use crate::rpc::AccountInfo;

/// The receiver is gone.
pub(super) struct Closed;

/// An account notice as it came.
#[derive(Clone, Copy)]
pub(super) struct Notice<'a> {
    pub(super) slot: Slot,
    pub(super) owner: Owner<'a>,
    pub(super) lamports: u64,
    pub(super) data: &'a [u8],
    pub(super) received: Instant,
}

/// The program that may write an account, as the wire has it: decoding it would cost more than comparing.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// In base58.
    Text(&'a str),
    #[cfg(feature = "yellowstone")]
    Key(Address),
}

impl Owner<'_> {
    #[cfg_attr(
        not(feature = "yellowstone"),
        expect(unused_variables, reason = "nobody else tells a key")
    )]
    fn is(self, text: &str, key: Option<&Address>) -> bool {
        match self {
            Self::Text(owner) => owner == text,
            #[cfg(feature = "yellowstone")]
            Self::Key(owner) => Some(&owner) == key,
        }
    }

    fn key(self) -> Option<Address> {
        match self {
            Self::Text(owner) => owner.parse().ok(),
            #[cfg(feature = "yellowstone")]
            Self::Key(owner) => Some(owner),
        }
    }
}

/// Lines as they came.
pub(super) struct Lines<'a> {
    pub(super) slot: Slot,
    pub(super) signature: Signature,
    pub(super) succeeded: bool,
    pub(super) logs: &'a [std::borrow::Cow<'a, str>],
    pub(super) received: Instant,
}

impl Hub {
    /// An account notice of a connection.
    pub(super) fn account(&self, connection: usize, place: Place, notice: &Notice<'_>) {
        let Notice { slot, owner, lamports, data, received } = *notice;
        let print = decoding::fingerprint(lamports, data);
        let mut state = self.state();
        let State { registry, router, counters, .. } = &mut *state;
        // One that was let go a moment ago is still told of, until the node knows.
        let Some(entry) = registry.get(place) else { return };
        let Known::Account(wanted) = &entry.known else { return };
        match router.notice(place.index, connection, slot, print, received) {
            Verdict::Duplicate => counters.duplicates += 1,
            Verdict::Late => counters.late += 1,
            Verdict::Deliver(slot) => {
                let key = entry.watch().map(|watch| &watch.owner);
                let data = owner.is(wanted, key).then_some(data);
                let event = event(entry, slot, lamports, data, received);
                counters.unreadable += u64::from(matches!(event, FeedEvent::Unreadable { .. }));
                self.offer(&mut state, Key::Watch(place.id), event);
            }
        }
    }

    /// A notice of a program's account.
    pub(super) fn program(
        &self,
        connection: usize,
        place: Place,
        address: Address,
        notice: &Notice<'_>,
    ) {
        let Notice { slot, owner, lamports, data, received } = *notice;
        let print = decoding::fingerprint(lamports, data);
        let mut state = self.state();
        let State { registry, router, counters, .. } = &mut *state;
        let Some(entry) = registry.get_mut(place) else { return };
        let shard = entry.shard;
        let Known::Program(accounts) = &mut entry.known else { return };
        let story = accounts.story(address, || router.blank(shard));
        match router.judge(story, connection, &Told { slot, print, at: received }) {
            Verdict::Duplicate => counters.duplicates += 1,
            Verdict::Late => counters.late += 1,
            Verdict::Deliver(slot) => {
                let Some(owner) = owner.key() else {
                    counters.unreadable += 1;
                    return;
                };
                let account = AccountInfo {
                    lamports: Lamports::new(lamports),
                    owner,
                    data: data.to_vec(),
                    executable: false,
                };
                self.offer_program(&mut state, place, address, slot, (account, received));
            }
        }
    }

    /// Offers an account of a program. One that cannot even wait opens a gap, and all of them are read again.
    fn offer_program(
        &self,
        state: &mut State,
        place: Place,
        address: Address,
        slot: Slot,
        (account, received): (AccountInfo, Instant),
    ) {
        let account = Box::new(account);
        let event = FeedEvent::Program { watch: place.id, address, account, slot, received };
        if self.offer(state, Key::Program(place.id, address), event) {
            return;
        }
        let State { registry, router, needs, .. } = state;
        let Some(entry) = registry.get_mut(place) else { return };
        let shard = entry.shard;
        if let Known::Program(accounts) = &mut entry.known {
            accounts.story(address, || router.blank(shard)).forget();
        }
        if let Some(need) = needs.get_mut(shard) {
            need.gap = need.gap.or((!need.open).then_some(GapCause::Overflow));
            need.snapshot = need.snapshot.max(Some(slot.get()));
        }
        self.wake.notify_one();
    }

    /// What a transaction printed.
    pub(super) fn logs(&self, place: Place, lines: &Lines<'_>) {
        let Lines { slot, signature, succeeded, logs, received } = *lines;
        let mut state = self.state();
        let State { registry, backlog, counters, .. } = &mut *state;
        let Some(entry) = registry.get_mut(place) else { return };
        let Known::Logs(recent) = &mut entry.known else { return };
        if !recent.is_new(slot, &signature) {
            counters.duplicates += 1;
            return;
        }
        let missed = Key::Missed(place.id);
        if let Some(FeedEvent::Missed { notices, .. }) = backlog.get_mut(&missed) {
            *notices = notices.saturating_add(1);
            counters.missed += 1;
            return;
        }
        // Each counts: none can take the place of another, so none waits.
        let logs = logs.iter().map(|line| line.clone().into_owned()).collect();
        let notice = Box::new(LogNotice { slot, signature, succeeded, logs, received });
        match self.events.try_send(FeedEvent::Logs { watch: place.id, notice }) {
            Ok(()) => counters.delivered += 1,
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                counters.missed += 1;
                let event = FeedEvent::Missed { watch: place.id, notices: 1 };
                self.offer(&mut state, missed, event);
            }
        }
    }

    /// A transaction was executed. It is told once, and then nobody follows it any more.
    pub(super) fn signature(&self, place: Place, slot: Slot, succeeded: bool, received: Instant) {
        let mut state = self.state();
        let Some(entry) = state.registry.get(place) else { return };
        if !matches!(entry.known, Known::Signature) {
            return;
        }
        let mut touched = BTreeSet::new();
        state.remove(place.id, &mut touched);
        state.registry.raise(&touched);
        let event = FeedEvent::Signature { watch: place.id, succeeded, slot, received };
        self.offer(&mut state, Key::Watch(place.id), event);
    }

    /// A slot can no longer be undone.
    pub(super) fn root(&self, place: Place, slot: Slot, received: Instant) {
        let mut state = self.state();
        let State { registry, counters, .. } = &mut *state;
        let Some(entry) = registry.get_mut(place) else { return };
        let Known::Root(known) = &mut entry.known else { return };
        if slot.get() <= *known {
            counters.duplicates += u64::from(slot.get() == *known);
            counters.late += u64::from(slot.get() < *known);
            return;
        }
        *known = slot.get();
        let event = FeedEvent::Root { watch: place.id, slot, received };
        self.offer(&mut state, Key::Watch(place.id), event);
    }

    /// A slot notice of a connection.
    pub(crate) fn slot(&self, connection: usize, slot: Slot, received: Instant) {
        self.pool.observe_slot(slot);
        let mut state = self.state();
        let Some(slot) = state.router.slot(connection, slot, received) else { return };
        let event = FeedEvent::Slot { slot, received };
        if state.backlog.is_empty() {
            // Missing one is harmless: the next says more.
            drop(self.events.try_send(event));
        } else {
            state.backlog.put(Key::Slot(slot.get()), event);
        }
    }

    /// Puts an event into the channel, or lets it wait behind what waits already. False when it can do neither.
    pub(super) fn offer(&self, state: &mut State, key: Key, event: FeedEvent) -> bool {
        let mut event = event;
        if state.backlog.is_empty() {
            match self.events.try_send(event) {
                Ok(()) => {
                    state.counters.delivered += 1;
                    return true;
                }
                Err(TrySendError::Closed(_)) => return true,
                Err(TrySendError::Full(back)) => event = back,
            }
            self.waits.notify_one();
        }
        state.counters.overflows += 1;
        match state.backlog.put(key, event) {
            Put::Waits => true,
            Put::Replaced => {
                state.counters.coalesced += 1;
                true
            }
            Put::Full => false,
        }
    }

    /// Passes on what waits as the receiver makes room, for ever.
    pub(super) async fn drain(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.waits.notified() => {}
                () = self.events.closed() => return,
            }
            loop {
                let Ok(permit) = self.events.reserve().await else { return };
                let mut state = self.state();
                let Some(event) = state.backlog.next() else { break };
                state.counters.delivered += 1;
                permit.send(event);
            }
        }
    }
}

/// The event of an account's bytes; none stands for bytes that are not what they should be.
pub(super) fn event(
    entry: &Entry,
    slot: Slot,
    lamports: u64,
    data: Option<&[u8]>,
    received: Instant,
) -> FeedEvent {
    let watch = entry.id;
    let unreadable = |drifted| FeedEvent::Unreadable { watch, slot, drifted };
    let (Some(data), Some(of)) = (data, entry.watch()) else { return unreadable(None) };
    match decoding::decode(of.role, lamports, data) {
        Ok(Content::Market { pool, update }) => {
            FeedEvent::Market { watch, event: Content::market(pool, slot, update), received }
        }
        Ok(Content::OwnToken { mint, amount }) => FeedEvent::OwnToken { mint, amount, slot },
        Ok(Content::OwnLamports(lamports)) => FeedEvent::OwnLamports { lamports, slot },
        Err(error) => {
            tracing::warn!(watch = watch.0, %error, "account unreadable");
            let drifted: Option<Kind> = of.drifted(&error);
            unreadable(drifted)
        }
    }
}
