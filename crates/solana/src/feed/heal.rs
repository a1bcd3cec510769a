//! What makes up for notices that were missed: the receiver is told, and the accounts are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sniper_core::amm::Part;
use sniper_core::ids::Address;
use sniper_core::units::Slot;

use super::backlog::Key;
use super::deliver::{Closed, event};
use super::event::{FeedEvent, GapCause};
use super::hub::{Hub, State};
use super::registry::Place;
use super::router::Verdict;
use super::watch::{self, Role, WatchId};
use crate::rpc::endpoint::jitter;
use crate::rpc::{AccountInfo, RpcError};

/// Accounts read in one call, so that they are of one state.
const SNAPSHOT_MAX: usize = 100;
/// As many accounts as a tick or bin array counts for: it is that much larger, and what a large answer takes while it is
/// read stays with the allocator.
const ARRAY_WEIGHS: usize = 10;
/// Pause after a snapshot that failed.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(200);
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What remains to be done for the receiver.
enum Work {
    Gap(usize, GapCause),
    Refused(WatchId, i64),
    /// Everything of a shard.
    Snapshot(usize, u64, Vec<Place>),
    /// Some of its watches.
    Few(usize, u64, Vec<Place>),
    Nothing,
}

impl Hub {
    /// Tells of gaps and heals them, for ever.
    pub(crate) async fn heal(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            let outcome = match self.next_work() {
                Work::Nothing => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.events.closed() => return,
                    }
                    continue;
                }
                Work::Gap(shard, cause) => {
                    let gap = FeedEvent::Gap { shard, cause };
                    self.tell(Key::Gap(shard), gap).await.map(|()| Ok(()))
                }
                Work::Refused(watch, code) => {
                    let refused = FeedEvent::Refused { watch, code };
                    self.tell(Key::Watch(watch), refused).await.map(|()| Ok(()))
                }
                Work::Snapshot(shard, at_least, places) => {
                    self.snapshot(shard, Slot::new(at_least), &places).await
                }
                Work::Few(shard, at_least, places) => {
                    let read = self.read(&places, Slot::new(at_least)).await;
                    read.map(|read| read.map(|_| self.finish_few(shard)))
                }
            };
            match outcome {
                Err(Closed) => return,
                Ok(Ok(())) => failures = 0,
                Ok(Err(error)) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "snapshot failed, asking again");
                    let pause = SNAPSHOT_PAUSE.saturating_mul(failures)
                        + Duration::from_millis(u64::from(jitter()));
                    tokio::time::sleep(pause.min(SNAPSHOT_PAUSE_MAX)).await;
                }
            }
        }
    }

    fn next_work(&self) -> Work {
        let mut state = self.state();
        for (shard, need) in state.needs.iter_mut().enumerate() {
            if let Some(cause) = need.gap.take() {
                need.open = true;
                return Work::Gap(shard, cause);
            }
        }
        if let Some((watch, code)) = state.refused.pop() {
            return Work::Refused(watch, code);
        }
        let State { registry, router, needs, .. } = &*state;
        // What no connection covers yet is read when one does: what is told of it before could grow old unseen.
        let covered = |shard, need| Some((shard, need, router.covered(shard)?));
        let mut live = needs.iter().enumerate().filter_map(|(shard, need)| covered(shard, need));
        let mut live_too = live.clone();
        if let Some((shard, at_least, covered)) =
            live.find_map(|(shard, need, covered)| Some((shard, need.snapshot?, covered)))
        {
            let places = registry.of_shard(shard).filter(|(_, entry)| entry.since <= covered);
            return Work::Snapshot(shard, at_least, places.map(|(place, _)| place).collect());
        }
        if let Some((shard, ..)) = live_too.find(|(_, need, _)| need.some) {
            let wanted = registry.of_shard(shard).filter_map(|(at, one)| Some((at, one.wanted?)));
            let wanted: Vec<_> = wanted.take(SNAPSHOT_MAX).collect();
            let at_least = wanted.iter().map(|(_, slot)| *slot).max().unwrap_or(0);
            let places = wanted.into_iter().map(|(place, _)| place).collect();
            return Work::Few(shard, at_least, places);
        }
        Work::Nothing
    }

    /// Waits for room, and then speaks behind what has waited before.
    async fn tell(&self, key: Key, event: FeedEvent) -> Result<(), Closed> {
        let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
        let mut state = self.state();
        if state.backlog.is_empty() {
            permit.send(event);
        } else {
            state.backlog.put(key, event);
        }
        Ok(())
    }

    /// Reads every account of a shard.
    async fn snapshot(
        &self,
        shard: usize,
        at_least: Slot,
        places: &[Place],
    ) -> Result<Result<(), RpcError>, Closed> {
        match self.read(places, at_least).await? {
            Ok(oldest) => self.finish_snapshot(shard, at_least, oldest).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads accounts and passes on what is not known to be newer. Gives the oldest slot that one was read at.
    async fn read(
        &self,
        places: &[Place],
        at_least: Slot,
    ) -> Result<Result<Slot, RpcError>, Closed> {
        let mut oldest = match self.read_others(places, at_least).await? {
            Ok(slot) => slot,
            Err(error) => return Ok(Err(error)),
        };
        for part in self.parts(places) {
            let followed: Vec<(Place, Address)> = {
                let state = self.state();
                let address = |at: &Place| Some((*at, state.registry.get(*at)?.watch()?.address));
                part.iter().filter_map(address).collect()
            };
            if followed.is_empty() {
                continue;
            }
            let addresses: Vec<Address> = followed.iter().map(|(_, address)| *address).collect();
            let read =
                self.pool.multiple_accounts(&addresses, self.commitment, Some(at_least)).await;
            let read = match read {
                Ok(read) => read,
                Err(error) => return Ok(Err(error)),
            };
            oldest = oldest.min(read.slot);
            for ((place, _), account) in followed.into_iter().zip(read.value) {
                self.pass_on(place, read.slot, at_least, account).await?;
            }
        }
        // Nothing is as recent as one likes.
        Ok(Ok(if oldest == Slot::MAX { at_least } else { oldest }))
    }

    /// Cuts places into calls. A pool's stay together where they can: it is quoted from all of them.
    fn parts<'p>(&self, places: &'p [Place]) -> Vec<&'p [Place]> {
        let state = self.state();
        let role = |place: &Place| Some(state.registry.get(*place)?.watch()?.role);
        let pool = |place: &Place| match role(place) {
            Some(Role::Pool { pool, .. }) => Some(pool),
            _ => None,
        };
        let weight = |place: &Place| match role(place) {
            Some(Role::Pool { part: Part::Array(_), .. }) => ARRAY_WEIGHS,
            _ => 1,
        };
        let of_pools = places.chunk_by(|one, next| pool(one) == pool(next) && pool(one).is_some());
        let groups = of_pools.flat_map(|group| group.chunks(SNAPSHOT_MAX));
        let groups = groups.map(|group| (group.len(), group.iter().map(weight).sum::<usize>()));
        let (mut parts, mut begun, mut end, mut weighs) = (Vec::new(), 0, 0, 0);
        for (count, weight) in groups {
            if end > begun && weighs + weight > SNAPSHOT_MAX {
                parts.extend(places.get(begun..end));
                (begun, weighs) = (end, 0);
            }
            (end, weighs) = (end + count, weighs + weight);
        }
        parts.extend(places.get(begun..end).filter(|last| !last.is_empty()));
        parts
    }

    async fn pass_on(
        &self,
        place: Place,
        slot: Slot,
        at_least: Slot,
        account: Option<AccountInfo>,
    ) -> Result<(), Closed> {
        // Room first, then judge and send in one go: nothing newer can slip in between.
        let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
        let (received, mut state) = (Instant::now(), self.state());
        let key = Key::Watch(place.id);
        let State { registry, router, backlog, counters, .. } = &mut *state;
        let Some(entry) = registry.get_mut(place) else { return Ok(()) };
        entry.wanted = entry.wanted.filter(|wanted| *wanted > at_least.get());
        let (lamports, owner, data) = account.map_or_else(
            || (0, watch::SYSTEM_PROGRAM, Vec::new()),
            |account| (account.lamports.get(), account.owner, account.data),
        );
        let print = watch::fingerprint(lamports, &data);
        if let Verdict::Deliver(slot) = router.snapshot(place.index, slot, print, received) {
            let fits = entry.watch().is_some_and(|watch| watch.accepts(&owner, &data));
            let event = event(entry, slot, lamports, fits.then_some(&data), received);
            if backlog.get_mut(&key).is_some() {
                backlog.put(key, event); // in place of what is older
            } else {
                counters.delivered += 1;
                permit.send(event);
            }
        }
        Ok(())
    }

    /// Closes the gap unless a new one was opened meanwhile.
    async fn finish_snapshot(
        &self,
        shard: usize,
        at_least: Slot,
        slot: Slot,
    ) -> Result<(), Closed> {
        let restored = {
            let mut state = self.state();
            state.counters.snapshots += 1;
            let live = state.router.is_live(shard);
            let Some(need) = state.needs.get_mut(shard) else { return Ok(()) };
            if need.snapshot.is_some_and(|wanted| wanted <= at_least.get()) {
                need.snapshot = None;
            }
            need.is_healed() && live
        };
        if !restored {
            return Ok(());
        }
        let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
        let mut state = self.state();
        let State { router, needs, backlog, .. } = &mut *state;
        let Some(need) = needs.get_mut(shard) else { return Ok(()) };
        // A new one may have been opened while there was no room.
        if need.is_healed() && router.is_live(shard) {
            need.open = false;
            let event = FeedEvent::Restored { shard, slot };
            if backlog.is_empty() {
                permit.send(event);
            } else {
                backlog.put(Key::Restored(shard), event);
            }
        }
        Ok(())
    }

    /// Notes whether more of a shard's watches are to be read alone.
    fn finish_few(&self, shard: usize) {
        let mut state = self.state();
        let State { registry, needs, counters, .. } = &mut *state;
        counters.snapshots += 1;
        if let Some(need) = needs.get_mut(shard) {
            need.some = registry.of_shard(shard).any(|(_, entry)| entry.wanted.is_some());
        }
    }
}
