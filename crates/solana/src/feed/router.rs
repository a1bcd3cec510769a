//! Which notices go on, which are dropped, and what that says about the connections.
//!
//! # Design
//! Two connections tell the same story, each in its own order and at its own pace. Per account the router keeps the
//! story as it was passed on (the last few versions: slot and fingerprint), and per connection how far in that story
//! it has come. A notice found further on in the story is a twin: the connection has come that far, and from the time
//! between the two tellings delivery is measured. One not found goes on if it is newer, if it is a version of the
//! newest slot that nobody told yet, or if its connection had come to the end of the story: then it speaks of what
//! came after, such as a fork given up. Otherwise its connection is merely behind, and it is dropped.
//!
//! Watches and connections come while it runs, and watches go; a place is used again with nothing of its past.
//!
//! A fork given up is passed on under the newest slot, not under its older own: as of now, that is what the account
//! holds, and the market never takes an account back to an older slot.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use sniper_core::units::Slot;

use super::story::{Story, Told, Version};
use crate::rpc::Latency;

/// Slots whose start is remembered.
const SLOTS: usize = 64;

#[derive(Debug)]
struct ConnectionState {
    shard: usize,
    /// Which one of its shard's connections it is.
    nth: usize,
    /// The revision of its shard that it has every subscription of; none while it is not up.
    covers: Option<u64>,
    slot: u64,
    first: u64,
    late: Latency,
    after_slot: Latency,
}

/// What to do with a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on, as of this slot.
    Deliver(Slot),
    /// Known already.
    Duplicate,
    /// The connection is behind the others.
    Late,
}

/// How one connection has delivered lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionDelivery {
    /// Notices it told first.
    pub first: u64,
    /// Notices measured: told first, or second to another connection.
    pub samples: u64,
    /// How much later than the first connection it told, median, microseconds.
    pub late_p50_us: u64,
    /// 95th percentile.
    pub late_p95_us: u64,
    /// 99th percentile.
    pub late_p99_us: u64,
    /// From the notice of a slot to an account of it, 95th percentile.
    pub after_slot_p95_us: u64,
}

/// Decides about every notice.
#[derive(Debug, Default)]
pub struct MessageRouter {
    watches: Vec<Story>,
    connections: Vec<ConnectionState>,
    shards: usize,
    forwarded_slot: u64,
    slot_starts: ArrayVec<(u64, Instant), SLOTS>,
    next_start: usize,
}

impl MessageRouter {
    /// A router of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection of a shard is to come. Gives its number.
    pub fn connect(&mut self, shard: usize, now: Instant) -> usize {
        self.shards = self.shards.max(shard.saturating_add(1));
        self.connections.push(ConnectionState {
            shard,
            nth: self.connections.iter().filter(|one| one.shard == shard).count(),
            covers: None,
            slot: 0,
            first: 0,
            late: Latency::new(now),
            after_slot: Latency::new(now),
        });
        self.connections.len().saturating_sub(1)
    }

    /// A watch of a shard is to come; its connections came before it.
    pub fn follow(&mut self, watch: usize, shard: usize) {
        if self.watches.len() <= watch {
            self.watches.resize_with(watch.saturating_add(1), Story::default);
        }
        let blank = self.blank(shard);
        if let Some(state) = self.watches.get_mut(watch) {
            *state = blank;
        }
    }

    /// A watch is gone, and with it all that was known of it.
    pub fn unfollow(&mut self, watch: usize) {
        if let Some(state) = self.watches.get_mut(watch) {
            *state = Story::default();
        }
    }

    /// A connection tells what an account holds.
    pub fn notice(
        &mut self,
        watch: usize,
        connection: usize,
        slot: Slot,
        print: u64,
        now: Instant,
    ) -> Verdict {
        let (Some(state), Some(teller)) =
            (self.watches.get_mut(watch), self.connections.get_mut(connection))
        else {
            return Verdict::Late;
        };
        judge(state, teller, &self.slot_starts, &Told { slot, print, at: now })
    }

    /// The same of an account of a program, whose state is kept elsewhere.
    pub(super) fn judge(&mut self, state: &mut Story, connection: usize, told: &Told) -> Verdict {
        match self.connections.get_mut(connection) {
            Some(teller) => judge(state, teller, &self.slot_starts, told),
            None => Verdict::Late,
        }
    }

    /// The state of an account of which a shard is told nothing yet.
    pub(super) fn blank(&self, shard: usize) -> Story {
        let connections = self.connections.iter().filter(|one| one.shard == shard).count();
        Story::new(shard, connections)
    }

    /// Which one of its shard's connections this is.
    pub(super) fn nth(&self, connection: usize) -> Option<usize> {
        self.connections.get(connection).map(|one| one.nth)
    }

    /// A snapshot tells what an account holds; it is the truth as of its slot, unless something newer is known.
    pub fn snapshot(&mut self, watch: usize, slot: Slot, print: u64, now: Instant) -> Verdict {
        let Some(state) = self.watches.get_mut(watch) else { return Verdict::Late };
        state.snapshot(&Told { slot, print, at: now })
    }

    /// What was said of an account did not reach the receiver: the next word counts, whatever it is.
    pub fn forget(&mut self, watch: usize) {
        if let Some(state) = self.watches.get_mut(watch) {
            state.forget();
        }
    }

    /// A connection tells of a slot. Gives the slot to pass on: the one that every part of the subscriptions has
    /// reached, if that has risen.
    pub fn slot(&mut self, connection: usize, slot: Slot, now: Instant) -> Option<Slot> {
        let teller = self.connections.get_mut(connection)?;
        teller.slot = teller.slot.max(slot.get());
        if !self.slot_starts.iter().any(|(known, _)| *known == slot.get()) {
            self.remember_start(slot.get(), now);
        }
        let reached = |shard: usize| {
            let of = self.connections.iter().filter(|c| c.shard == shard && c.covers.is_some());
            of.map(|c| c.slot).max()
        };
        let lowest = (0..self.shards).filter_map(reached).min()?;
        (lowest > self.forwarded_slot).then(|| {
            self.forwarded_slot = lowest;
            Slot::new(lowest)
        })
    }

    fn remember_start(&mut self, slot: u64, now: Instant) {
        if self.slot_starts.try_push((slot, now)).is_err() {
            if let Some(oldest) = self.slot_starts.get_mut(self.next_start) {
                *oldest = (slot, now);
            }
            self.next_start = self.next_start.wrapping_add(1) % SLOTS;
        }
    }

    /// A connection has all subscriptions of that revision of its shard.
    pub fn up(&mut self, connection: usize, revision: u64) {
        if let Some(state) = self.connections.get_mut(connection) {
            state.covers = Some(revision);
        }
    }

    /// A connection is gone. Gives the revisions of its shard that nobody tells of any more, and it did.
    pub fn down(&mut self, connection: usize) -> RangeInclusive<u64> {
        const NONE: RangeInclusive<u64> = RangeInclusive::new(1, 0);
        let Some(state) = self.connections.get_mut(connection) else { return NONE };
        let covered = state.covers.take();
        state.slot = 0;
        let (shard, nth) = (state.shard, state.nth);
        for watch in self.watches.iter_mut().filter(|watch| watch.shard() == Some(shard)) {
            watch.lose(nth);
        }
        let left = self.covered(shard).map_or(0, |left| left.saturating_add(1));
        covered.map_or(NONE, |covered| left..=covered)
    }

    /// The newest revision of a shard that somebody tells all of.
    #[must_use]
    pub fn covered(&self, shard: usize) -> Option<u64> {
        self.connections.iter().filter(|c| c.shard == shard).filter_map(|c| c.covers).max()
    }

    /// Somebody tells of this shard.
    #[must_use]
    pub fn is_live(&self, shard: usize) -> bool {
        self.covered(shard).is_some()
    }

    /// A connection goes to another endpoint: its record is not the new one's.
    pub fn reset_delivery(&mut self, connection: usize, now: Instant) {
        if let Some(state) = self.connections.get_mut(connection) {
            state.first = 0;
            state.late = Latency::new(now);
            state.after_slot = Latency::new(now);
        }
    }

    /// How a connection has delivered.
    #[must_use]
    pub fn delivery(&self, connection: usize) -> ConnectionDelivery {
        let Some(state) = self.connections.get(connection) else {
            return ConnectionDelivery::default();
        };
        ConnectionDelivery {
            first: state.first,
            samples: state.late.samples(),
            late_p50_us: state.late.quantile_us(500),
            late_p95_us: state.late.quantile_us(950),
            late_p99_us: state.late.quantile_us(990),
            after_slot_p95_us: state.after_slot.quantile_us(950),
        }
    }
}

fn judge(
    state: &mut Story,
    teller: &mut ConnectionState,
    starts: &[(u64, Instant)],
    told: &Told,
) -> Verdict {
    let Told { slot, print, at: now } = *told;
    let Some(cursor) = state.cursor(teller.nth) else { return Verdict::Late };
    if let Some((number, at)) = state.find_from(cursor, slot.get(), print) {
        state.set_cursor(teller.nth, number);
        teller.late.record(now, now.saturating_duration_since(at));
        return Verdict::Duplicate;
    }
    if state.ends_with(slot.get(), print) {
        return Verdict::Duplicate; // said again by the one that said it
    }
    let newer = slot.get() > state.high() || state.is_blank();
    let unheard = slot.get() == state.high() && state.find_from(0, slot.get(), print).is_none();
    if !newer && !unheard && cursor != state.end() {
        return Verdict::Late;
    }
    if newer {
        teller.tell_first(now, slot, starts);
    }
    let number = state.push(Version { slot: slot.get(), print, at: now });
    state.set_cursor(teller.nth, number);
    Verdict::Deliver(Slot::new(state.high()))
}

impl ConnectionState {
    fn tell_first(&mut self, now: Instant, slot: Slot, starts: &[(u64, Instant)]) {
        self.first = self.first.saturating_add(1);
        self.late.record(now, Duration::ZERO);
        if let Some((_, start)) = starts.iter().find(|(known, _)| *known == slot.get()) {
            self.after_slot.record(now, now.saturating_duration_since(*start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Tale {
        router: MessageRouter,
        now: Instant,
    }

    impl Tale {
        fn new() -> Self {
            let now = Instant::now();
            let mut router = MessageRouter::new();
            router.connect(0, now);
            router.connect(0, now);
            router.follow(0, 0);
            router.up(0, 1);
            router.up(1, 1);
            Self { router, now }
        }

        fn tell(&mut self, connection: usize, slot: u64, print: u64) -> Verdict {
            self.now += Duration::from_millis(1);
            self.router.notice(0, connection, Slot::new(slot), print, self.now)
        }
    }

    fn deliver(slot: u64) -> Verdict {
        Verdict::Deliver(Slot::new(slot))
    }

    #[test]
    fn a_twin_is_dropped_and_measured() {
        let mut story = Tale::new();
        assert_eq!(story.tell(0, 5, 1), deliver(5));
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.router.delivery(0).first, 1);
        assert_eq!(story.router.delivery(1).first, 0);
        let late = story.router.delivery(1).late_p50_us;
        assert!((990..=1_010).contains(&late), "{late}");
    }

    #[test]
    fn what_a_connection_says_twice_goes_on_once() {
        let mut story = Tale::new();
        assert_eq!(story.tell(0, 5, 1), deliver(5));
        assert_eq!(story.tell(0, 5, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
    }

    #[test]
    fn a_late_connection_does_not_take_the_account_back() {
        let mut story = Tale::new();
        story.tell(0, 5, 1);
        story.tell(0, 5, 2);
        story.tell(0, 6, 3);
        assert_eq!(story.tell(1, 4, 0), Verdict::Late);
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 2), Verdict::Duplicate);
        assert_eq!(story.tell(1, 6, 3), Verdict::Duplicate);
    }

    #[test]
    fn a_second_write_in_the_slot_goes_on_once() {
        let mut story = Tale::new();
        assert_eq!(story.tell(0, 5, 1), deliver(5));
        assert_eq!(story.tell(0, 5, 2), deliver(5));
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 2), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 3), deliver(5), "the other one may be first with the next");
        assert_eq!(story.tell(0, 5, 3), Verdict::Duplicate);
    }

    #[test]
    fn a_fork_given_up_goes_on_once_and_never_under_an_older_slot() {
        let mut story = Tale::new();
        for connection in [0, 1] {
            story.tell(connection, 90, 1);
        }
        for connection in [0, 1] {
            story.tell(connection, 91, 2);
        }
        assert_eq!(story.tell(0, 90, 1), deliver(91));
        assert_eq!(story.tell(1, 90, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 92, 3), deliver(92));
        assert_eq!(story.tell(0, 92, 3), Verdict::Duplicate);
    }

    #[test]
    fn a_connection_that_is_behind_does_not_bring_a_given_up_fork_back() {
        let mut story = Tale::new();
        story.tell(0, 90, 1);
        story.tell(1, 90, 1);
        story.tell(0, 91, 2);
        assert_eq!(story.tell(0, 90, 1), deliver(91));
        assert_eq!(story.tell(1, 91, 2), Verdict::Duplicate);
        assert_eq!(story.tell(1, 90, 1), Verdict::Duplicate);
    }

    #[test]
    fn a_write_after_a_snapshot_within_its_slot_is_not_lost() {
        let mut story = Tale::new();
        let now = story.now;
        assert_eq!(story.router.snapshot(0, Slot::new(100), 1, now), deliver(100));
        assert_eq!(story.tell(0, 100, 2), deliver(100));
        assert_eq!(story.tell(0, 99, 7), deliver(100), "it had come to the end, so this is later");
        assert_eq!(story.tell(1, 98, 9), Verdict::Late);
    }

    #[test]
    fn a_snapshot_never_hides_something_newer() {
        let mut story = Tale::new();
        story.tell(0, 101, 5);
        let now = story.now;
        assert_eq!(story.router.snapshot(0, Slot::new(100), 1, now), Verdict::Late);
        assert_eq!(story.router.snapshot(0, Slot::new(101), 6, now), deliver(101));
    }

    #[test]
    fn what_did_not_arrive_is_told_again() {
        let mut story = Tale::new();
        story.tell(0, 5, 1);
        story.router.forget(0);
        assert_eq!(story.tell(1, 5, 1), deliver(5));
    }

    #[test]
    fn a_slot_goes_on_when_every_shard_has_reached_it() {
        let now = Instant::now();
        let mut router = MessageRouter::new();
        for shard in [0, 0, 1, 1] {
            let connection = router.connect(shard, now);
            router.up(connection, 1);
        }
        let mut slot = |connection, slot| router.slot(connection, Slot::new(slot), now);
        assert_eq!(slot(0, 7), None);
        assert_eq!(slot(2, 6), Some(Slot::new(6)));
        assert_eq!(slot(3, 7), Some(Slot::new(7)));
        assert_eq!(slot(1, 7), None, "told already");
    }

    #[test]
    fn a_shard_is_lost_with_its_last_connection() {
        let mut story = Tale::new();
        assert!(story.router.down(0).is_empty());
        assert!(story.router.down(1).contains(&1));
        assert!(story.router.down(1).is_empty(), "only once");
        assert!(!story.router.is_live(0));
        story.router.up(0, 1);
        assert!(story.router.is_live(0));
    }

    #[test]
    fn what_only_a_lost_connection_told_of_is_lost_with_it() {
        let mut story = Tale::new();
        story.router.up(0, 3);
        assert_eq!(story.router.covered(0), Some(3));
        assert_eq!(story.router.down(0), 2..=3, "the other one has the first alone");
        assert_eq!(story.router.covered(0), Some(1));
        assert_eq!(story.router.down(1), 0..=1);
    }

    #[test]
    fn a_watch_in_a_used_place_has_no_past() {
        let mut story = Tale::new();
        story.tell(0, 9, 1);
        story.router.unfollow(0);
        assert_eq!(story.tell(1, 9, 1), Verdict::Late, "nobody's");
        story.router.follow(0, 0);
        assert_eq!(story.tell(1, 5, 7), deliver(5));
        assert_eq!(story.tell(0, 5, 7), Verdict::Duplicate);
    }

    proptest! {
        // Two connections tell the same story, each in order; however they interleave, what goes on ends with the
        // story's last version and never repeats a version in a row.
        #[test]
        fn any_interleaving_converges(
            steps in proptest::collection::vec((0_u64..3, any::<bool>()), 1..40),
            order in proptest::collection::vec(any::<bool>(), 80),
        ) {
            let mut slot = 100;
            let versions: Vec<(u64, u64)> = steps.iter().enumerate().map(|(index, (by, _))| {
                slot += by;
                (slot, u64::try_from(index).unwrap())
            }).collect();
            let (mut story, mut at, mut passed) = (Tale::new(), [0, 0], Vec::new());
            let rest = std::iter::repeat([false, true]).flatten();
            for second in order.into_iter().chain(rest) {
                let connection = usize::from(second);
                if at == [versions.len(); 2] { break; }
                let Some((slot, print)) = versions.get(at[connection]) else { continue };
                at[connection] += 1;
                if let Verdict::Deliver(as_of) = story.tell(connection, *slot, *print) {
                    passed.push((as_of.get(), *print));
                }
            }
            prop_assert_eq!(passed.last(), versions.last());
            prop_assert!(passed.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1));
        }
    }
}
