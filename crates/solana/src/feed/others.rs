//! Reading what is no single account: whole programs, and how far transactions have come.

use std::time::Instant;

use serde::Serialize;
use sniper_core::ids::{Address, Signature};
use sniper_core::units::Slot;

use super::backlog::Key;
use super::deliver::Closed;
use super::event::FeedEvent;
use super::hub::{Hub, State};
use super::registry::{Known, Place};
use super::router::Verdict;
use super::story::Told;
use super::subscription::{END, Subscription};
use super::watch::fingerprint;
use crate::rpc::methods::{RawFilter, raw_filter};
use crate::rpc::raw::{RawKeyed, Wrapped};
use crate::rpc::{AccountFilter, AccountInfo, RpcError};

/// Options of a read of a whole program.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    encoding: &'static str,
    commitment: &'static str,
    min_context_slot: u64,
    with_context: bool,
    filters: Vec<RawFilter>,
}

impl Hub {
    /// Reads the programs and signatures among these and passes on what is news. Gives the oldest slot that one was
    /// read at.
    pub(super) async fn read_others(
        &self,
        places: &[Place],
        at_least: Slot,
    ) -> Result<Result<Slot, RpcError>, Closed> {
        let mut oldest = Slot::MAX;
        let mut signatures = Vec::new();
        for place in places {
            let read = match self.subscription(place.id) {
                Some(Subscription::Program { program, filters }) => {
                    self.read_program(*place, &program, &filters, at_least).await?
                }
                Some(Subscription::Signature(signature)) => {
                    signatures.push((*place, signature));
                    continue;
                }
                // There is nothing to read: what was printed is past, and the next root says more.
                Some(Subscription::Logs { .. } | Subscription::Root) => {
                    self.was_read(*place, at_least);
                    continue;
                }
                Some(Subscription::Account(_)) | None => continue,
            };
            match read {
                Ok(slot) => oldest = oldest.min(slot),
                Err(error) => return Ok(Err(error)),
            }
        }
        if signatures.is_empty() {
            return Ok(Ok(oldest));
        }
        Ok(self.read_signatures(&signatures, at_least).await.map(|slot| oldest.min(slot)))
    }

    async fn read_program(
        &self,
        place: Place,
        program: &Address,
        filters: &[AccountFilter],
        at_least: Slot,
    ) -> Result<Result<Slot, RpcError>, Closed> {
        let options = Options {
            encoding: "base64",
            commitment: self.commitment.as_str(),
            min_context_slot: at_least.get(),
            with_context: true,
            filters: filters.iter().map(raw_filter).collect(),
        };
        let params = (program.to_string(), options);
        let read: Result<Wrapped<Vec<RawKeyed>>, _> =
            self.pool.call("getProgramAccounts", &params).await;
        let read = match read {
            Ok(read) if read.slot() >= at_least => read,
            Ok(read) => return Ok(Err(stale("getProgramAccounts", read.slot(), at_least))),
            Err(error) => return Ok(Err(error)),
        };
        let (slot, received) = (read.slot(), Instant::now());
        for raw in read.value {
            let (address, account) = (raw.pubkey.0, AccountInfo::from(raw.account));
            // Room first, then judge and send in one go: nothing newer can slip in between.
            let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
            let mut state = self.state();
            let print = fingerprint(account.lamports.get(), &account.data);
            let State { registry, router, backlog, counters, .. } = &mut *state;
            let Some(entry) = registry.get_mut(place) else { break };
            let shard = entry.shard;
            let Known::Program(accounts) = &mut entry.known else { break };
            let story = accounts.story(address, || router.blank(shard));
            if let Verdict::Deliver(slot) = story.snapshot(&Told { slot, print, at: received }) {
                let (key, watch) = (Key::Program(place.id, address), place.id);
                let account = Box::new(account);
                let event = FeedEvent::Program { watch, address, account, slot, received };
                if backlog.get_mut(&key).is_some() {
                    backlog.put(key, event); // in place of what is older
                } else {
                    counters.delivered += 1;
                    permit.send(event);
                }
            }
        }
        self.was_read(place, at_least);
        Ok(Ok(slot))
    }

    async fn read_signatures(
        &self,
        followed: &[(Place, Signature)],
        at_least: Slot,
    ) -> Result<Slot, RpcError> {
        let names: Vec<Signature> = followed.iter().map(|(_, signature)| *signature).collect();
        let read = self.pool.signature_statuses(&names, true).await?;
        let received = Instant::now();
        for ((place, _), status) in followed.iter().zip(&read.value) {
            // One that is seen is seen, however old the state.
            if let Some(status) =
                status.as_ref().filter(|one| one.commitment >= END.max(self.commitment))
            {
                self.signature(*place, status.slot, status.err.is_none(), received);
            }
        }
        if read.slot < at_least {
            return Err(stale("getSignatureStatuses", read.slot, at_least));
        }
        followed.iter().for_each(|(place, _)| self.was_read(*place, at_least));
        Ok(read.slot)
    }

    /// A watch needs no read any more, unless one of a later state is wanted.
    fn was_read(&self, place: Place, at_least: Slot) {
        if let Some(entry) = self.state().registry.get_mut(place) {
            entry.wanted = entry.wanted.filter(|wanted| *wanted > at_least.get());
        }
    }
}

fn stale(method: &'static str, found: Slot, wanted: Slot) -> RpcError {
    let (slot, least) = (found.get(), wanted.get());
    RpcError::Stale { endpoint: "the endpoint asked".into(), method, slot, least }
}
