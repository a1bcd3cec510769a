//! Which accounts are followed, each by what part of the connections.
//!
//! # Design
//! A watch has a number that is never given twice, and a place in a table that is used again when it is let go. What
//! speaks of a watch names both, so that a late word about one that is gone is not taken for its successor.
//!
//! A part of the subscriptions (a shard) has a revision, which every change of its watches raises. Its connections see
//! it rise and make up what they lack; a watch is covered by a connection that has acknowledged the revision that
//! brought it. No list of changes is kept anywhere, so none can grow.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::known::{Accounts, Recent};
use super::manager::FeedError;
use super::subscription::{Subject, Subscription};
use super::watch::{Watch, WatchId};

/// Where a watch stands, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) id: WatchId,
}

/// A watch that is followed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: WatchId,
    pub(super) subscription: Subscription,
    pub(super) known: Known,
    pub(super) shard: usize,
    /// The revision of its shard that brought it.
    pub(super) since: u64,
    /// It came while the feed ran: a node that refuses it may end it, but not what was there before.
    late: bool,
    /// It is to be read again, no older than this slot.
    pub(super) wanted: Option<u64>,
}

/// What of it was told, so that it is told once.
#[derive(Debug)]
pub(super) enum Known {
    /// The router knows; here is the owner as the wire has it.
    Account(Box<str>),
    Program(Box<Accounts>),
    Logs(Box<Recent>),
    /// Told once, and then it is gone.
    Signature,
    /// The newest slot.
    Root(u64),
}

impl Known {
    fn nothing_of(subscription: &Subscription) -> Self {
        match subscription {
            Subscription::Account(watch) => Self::Account(watch.owner.to_string().into()),
            Subscription::Program { .. } => Self::Program(Box::default()),
            Subscription::Logs { .. } => Self::Logs(Box::default()),
            Subscription::Signature(_) => Self::Signature,
            Subscription::Root => Self::Root(0),
        }
    }
}

impl Entry {
    /// The account that is watched, if one is.
    pub(super) const fn watch(&self) -> Option<&Watch> {
        match &self.subscription {
            Subscription::Account(watch) => Some(watch),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Shard {
    subjects: BTreeMap<Subject, Vec<Place>>,
    revision: watch::Sender<u64>,
    /// The newest revision that any connection ever acknowledged.
    acknowledged: u64,
}

/// What to subscribe to, and who is told of it.
pub(super) type Target = (Subject, Vec<Place>);

#[derive(Debug)]
pub(super) struct Registry {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
    by_id: BTreeMap<WatchId, usize>,
    shards: Vec<Shard>,
    next: u64,
    /// Watches at once, at most.
    most: usize,
}

impl Registry {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            shards: Vec::new(),
            next: 0,
            most,
        }
    }

    /// Watches at present.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether so many more may come.
    pub(super) fn check_room(&self, more: usize) -> Result<(), FeedError> {
        let wanted = self.len().saturating_add(more);
        if wanted > self.most {
            return Err(FeedError::TooMany { wanted, most: self.most });
        }
        Ok(())
    }

    /// The shard for a subject: the one that has it, so that it is subscribed to once, or else one with fewer than
    /// `room` subjects.
    pub(super) fn shard_for(&self, subject: &Subject, room: usize) -> Option<usize> {
        let has = |shard: &Shard| shard.subjects.contains_key(subject);
        let has_room = |shard: &Shard| shard.subjects.len() < room;
        let mut shards = self.shards.iter();
        shards.position(has).or_else(|| self.shards.iter().position(has_room))
    }

    pub(super) fn add_shard(&mut self) -> usize {
        let (subjects, revision) = (BTreeMap::new(), watch::Sender::new(0));
        self.shards.push(Shard { subjects, revision, acknowledged: 0 });
        self.shards.len().saturating_sub(1)
    }

    /// Adds a watch to a shard, in force with its next [`Self::raise`].
    pub(super) fn add(&mut self, shard: usize, subscription: Subscription, late: bool) -> Place {
        let id = WatchId(self.next);
        self.next = self.next.saturating_add(1);
        let index = self.free.pop().unwrap_or(self.places.len());
        let place = Place { index, id };
        let mut since = 0;
        if let Some(shard) = self.shards.get_mut(shard) {
            since = shard.revision.borrow().saturating_add(1);
            shard.subjects.entry(Subject::of(&subscription)).or_default().push(place);
        }
        let known = Known::nothing_of(&subscription);
        let entry = Entry { id, subscription, known, shard, since, late, wanted: None };
        match self.places.get_mut(index) {
            Some(free) => *free = Some(entry),
            None => self.places.push(Some(entry)),
        }
        self.by_id.insert(id, index);
        place
    }

    /// Lets a watch go, in force at once for what is told, and with the next [`Self::raise`] for the connections.
    pub(super) fn remove(&mut self, id: WatchId) -> Option<(usize, Entry)> {
        let index = self.by_id.remove(&id)?;
        let entry = self.places.get_mut(index)?.take()?;
        self.free.push(index);
        let subject = Subject::of(&entry.subscription);
        if let Some(shard) = self.shards.get_mut(entry.shard)
            && let Some(places) = shard.subjects.get_mut(&subject)
        {
            places.retain(|place| place.id != id);
            if places.is_empty() {
                shard.subjects.remove(&subject);
            }
        }
        Some((index, entry))
    }

    /// Lets the connections of these shards know that something changed.
    pub(super) fn raise(&self, shards: &BTreeSet<usize>) {
        for shard in shards.iter().filter_map(|shard| self.shards.get(*shard)) {
            shard.revision.send_modify(|revision| *revision = revision.saturating_add(1));
        }
    }

    /// Tells of a shard's changes.
    pub(super) fn revisions(&self, shard: usize) -> Option<watch::Receiver<u64>> {
        self.shards.get(shard).map(|shard| shard.revision.subscribe())
    }

    /// A connection has every subscription of that revision in force.
    pub(super) fn acknowledge(&mut self, shard: usize, revision: u64) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.acknowledged = shard.acknowledged.max(revision);
        }
    }

    /// What a shard subscribes to now, and as of which revision.
    pub(super) fn targets(&self, shard: usize) -> (u64, Vec<Target>) {
        let Some(shard) = self.shards.get(shard) else { return (0, Vec::new()) };
        let targets =
            shard.subjects.iter().map(|(subject, places)| (subject.clone(), places.clone()));
        (*shard.revision.borrow(), targets.collect())
    }

    /// The watches of a shard.
    pub(super) fn of_shard(&self, shard: usize) -> impl Iterator<Item = (Place, &Entry)> {
        let subjects = self.shards.get(shard).map(|shard| &shard.subjects);
        let places = subjects.into_iter().flat_map(BTreeMap::values).flatten();
        places.filter_map(|place| Some((*place, self.get(*place)?)))
    }

    /// A connection of a shard is gone: what the next in its place tells of a program begins anew.
    pub(super) fn lose(&mut self, shard: usize, nth: usize) {
        for entry in self.places.iter_mut().flatten().filter(|entry| entry.shard == shard) {
            if let Known::Program(accounts) = &mut entry.known {
                accounts.lose(nth);
            }
        }
    }

    /// Marks what came to a shard in these revisions to be read again. Says whether there was any.
    pub(super) fn want(&mut self, shard: usize, after: u64, upto: u64, slot: u64) -> bool {
        let Some(shard) = self.shards.get(shard) else { return false };
        let mut any = false;
        for place in shard.subjects.values().flatten() {
            if let Some(Some(entry)) = self.places.get_mut(place.index)
                && (after < entry.since && entry.since <= upto)
            {
                entry.wanted = entry.wanted.max(Some(slot));
                any = true;
            }
        }
        any
    }

    /// Marks a watch to be read again. Says whether it is there.
    pub(super) fn want_one(&mut self, place: Place, slot: u64) -> bool {
        let entry = self.get_mut(place);
        entry.map(|entry| entry.wanted = entry.wanted.max(Some(slot))).is_some()
    }

    /// Whether a shard's watches of a subject may be given up: all came late, and no connection ever had them.
    pub(super) fn may_give_up(&self, shard: usize, subject: &Subject) -> bool {
        let Some(shard) = self.shards.get(shard) else { return false };
        let mut places = shard.subjects.get(subject).into_iter().flatten();
        places.all(|place| {
            self.get(*place).is_none_or(|one| one.late && one.since > shard.acknowledged)
        })
    }

    /// The watches of a subject within a shard.
    pub(super) fn of_subject(&self, shard: usize, subject: &Subject) -> Vec<WatchId> {
        let places = self.shards.get(shard).and_then(|shard| shard.subjects.get(subject));
        places.into_iter().flatten().map(|place| place.id).collect()
    }

    /// The watch that stands there, if it is still the one meant.
    pub(super) fn get(&self, place: Place) -> Option<&Entry> {
        self.places.get(place.index)?.as_ref().filter(|entry| entry.id == place.id)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.places.get_mut(place.index)?.as_mut().filter(|entry| entry.id == place.id)
    }

    /// The watch of a number.
    pub(super) fn find(&self, id: WatchId) -> Option<&Entry> {
        self.places.get(*self.by_id.get(&id)?)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sniper_core::ids::Address;
    use std::collections::BTreeMap;

    const ROOM: usize = 4;

    fn watch(address: u8) -> Watch {
        Watch::own_lamports(Address::new_from_array([address; 32]))
    }

    fn add(registry: &mut Registry, address: u8) -> Place {
        let watch = Subscription::Account(watch(address));
        let shard = registry.shard_for(&Subject::of(&watch), ROOM);
        let shard = shard.unwrap_or_else(|| registry.add_shard());
        let place = registry.add(shard, watch, true);
        registry.raise(&BTreeSet::from([shard]));
        place
    }

    #[test]
    fn a_place_is_used_again_and_its_number_is_not() {
        let mut registry = Registry::new(10);
        let old = add(&mut registry, 1);
        registry.remove(old.id);
        let new = add(&mut registry, 2);
        assert_eq!(old.index, new.index);
        assert_ne!(old.id, new.id);
        assert!(registry.get(old).is_none(), "a late word is not taken for the new one");
        assert_eq!(registry.get(new).and_then(Entry::watch), Some(&watch(2)));
    }

    #[test]
    fn what_was_there_before_is_never_given_up_for_a_refusal() {
        let mut registry = Registry::new(10);
        let shard = registry.add_shard();
        let first = registry.add(shard, watch(1).into(), false);
        registry.raise(&BTreeSet::from([shard]));
        let subject = |registry: &Registry, place| {
            registry.get(place).map(|entry| Subject::of(&entry.subscription)).unwrap()
        };
        assert!(!registry.may_give_up(shard, &subject(&registry, first)), "had from the start");
        let late = add(&mut registry, 2);
        let late = subject(&registry, late);
        assert!(registry.may_give_up(shard, &late));
        registry.acknowledge(shard, 2);
        assert!(!registry.may_give_up(shard, &late), "somebody had it");
    }

    proptest! {
        // Whatever comes and goes: every watch is found once, its address is in one shard alone, no shard has more
        // addresses than room, and no more places are made than there were watches at once.
        #[test]
        fn watches_that_come_and_go_leave_nothing_behind(
            steps in proptest::collection::vec((any::<bool>(), 0_u8..20), 1..200),
        ) {
            let (mut registry, mut known) = (Registry::new(30), BTreeMap::new());
            let mut peak = 0;
            for (comes, what) in steps {
                if comes && registry.check_room(1).is_ok() {
                    let place = add(&mut registry, what);
                    prop_assert!(known.insert(place.id, what).is_none());
                } else if let Some(id) = known.keys().nth(usize::from(what)).copied() {
                    known.remove(&id);
                    prop_assert!(registry.remove(id).is_some());
                    prop_assert!(registry.remove(id).is_none());
                }
                peak = peak.max(known.len());
                prop_assert_eq!(registry.len(), known.len());
                let mut told = BTreeMap::new();
                let mut subjects = BTreeSet::new();
                for shard in 0..registry.shards.len() {
                    let (_, targets) = registry.targets(shard);
                    prop_assert!(targets.len() <= ROOM);
                    for (subject, places) in targets {
                        told.extend(places.into_iter().map(|place| (place.id, subject.clone())));
                        prop_assert!(subjects.insert(subject), "subscribed to once");
                    }
                }
                let wanted: BTreeMap<_, _> =
                    known.iter().map(|(id, what)| (*id, Subject::Account(watch(*what).address))).collect();
                prop_assert_eq!(told, wanted);
            }
            prop_assert!(registry.places.len() <= peak);
        }
    }
}
