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
//! A fork given up is passed on under the newest slot, not under its older own: as of now, that is what the account
//! holds, and the market never takes an account back to an older slot.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use sniper_core::units::Slot;

use crate::rpc::Latency;

/// Versions of an account remembered.
const VERSIONS: usize = 8;
/// Slots whose start is remembered.
const SLOTS: usize = 64;

/// One version of an account, as it was passed on.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// The slot it was told under.
    slot: u64,
    print: u64,
    at: Instant,
}

#[derive(Debug, Default)]
struct WatchState {
    story: ArrayVec<Version, VERSIONS>,
    /// Number of the story's first remembered version.
    start: u64,
    /// Highest slot passed on.
    high: u64,
    /// Number of the version after the one each connection told last.
    cursors: Vec<u64>,
}

#[derive(Debug)]
struct ConnectionState {
    shard: usize,
    live: bool,
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
#[derive(Debug)]
pub struct MessageRouter {
    watches: Vec<WatchState>,
    connections: Vec<ConnectionState>,
    shards: usize,
    forwarded_slot: u64,
    slot_starts: ArrayVec<(u64, Instant), SLOTS>,
    next_start: usize,
}

impl MessageRouter {
    /// A router for `watches` accounts; `connections` gives the shard of each connection.
    #[must_use]
    pub fn new(watches: usize, connections: &[usize], now: Instant) -> Self {
        let watch = || WatchState { cursors: vec![0; connections.len()], ..WatchState::default() };
        let connection = |shard: &usize| ConnectionState {
            shard: *shard,
            live: false,
            slot: 0,
            first: 0,
            late: Latency::new(now),
            after_slot: Latency::new(now),
        };
        Self {
            watches: std::iter::repeat_with(watch).take(watches).collect(),
            connections: connections.iter().map(connection).collect(),
            shards: connections.iter().max().map_or(0, |shard| shard.saturating_add(1)),
            forwarded_slot: 0,
            slot_starts: ArrayVec::new(),
            next_start: 0,
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
        let cursor = state.cursors.get(connection).copied().unwrap_or(0);
        if let Some((number, at)) = state.find_from(cursor, slot.get(), print) {
            state.set_cursor(connection, number);
            teller.late.record(now, now.saturating_duration_since(at));
            return Verdict::Duplicate;
        }
        let newer = slot.get() > state.high || state.story.is_empty();
        let unheard = slot.get() == state.high && state.find_from(0, slot.get(), print).is_none();
        if !newer && !unheard && cursor != state.end() {
            return Verdict::Late;
        }
        if newer {
            teller.tell_first(now, slot, &self.slot_starts);
        }
        let number = state.push(Version { slot: slot.get(), print, at: now });
        state.set_cursor(connection, number);
        Verdict::Deliver(Slot::new(state.high))
    }

    /// A snapshot tells what an account holds; it is the truth as of its slot, unless something newer is known.
    pub fn snapshot(&mut self, watch: usize, slot: Slot, print: u64, now: Instant) -> Verdict {
        let Some(state) = self.watches.get_mut(watch) else { return Verdict::Late };
        if !state.story.is_empty() && state.high > slot.get() {
            return Verdict::Late;
        }
        state.push(Version { slot: slot.get(), print, at: now });
        Verdict::Deliver(slot)
    }

    /// What was said of an account did not reach the receiver: the next word counts, whatever it is.
    pub fn forget(&mut self, watch: usize) {
        if let Some(state) = self.watches.get_mut(watch) {
            state.start = state.end();
            state.story.clear();
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
            let of = self.connections.iter().filter(|c| c.shard == shard && c.live);
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

    /// A connection has all its subscriptions. True if its shard had nobody before.
    pub fn up(&mut self, connection: usize) -> bool {
        let Some(shard) = self.connections.get(connection).map(|c| c.shard) else { return false };
        let first = !self.is_live(shard);
        if let Some(state) = self.connections.get_mut(connection) {
            state.live = true;
        }
        first
    }

    /// A connection is gone. True if its shard now has nobody.
    pub fn down(&mut self, connection: usize) -> bool {
        let Some(state) = self.connections.get_mut(connection) else { return false };
        let was = std::mem::replace(&mut state.live, false);
        let shard = state.shard;
        state.slot = 0;
        for watch in &mut self.watches {
            if let Some(cursor) = watch.cursors.get_mut(connection) {
                *cursor = 0;
            }
        }
        was && !self.is_live(shard)
    }

    /// Somebody tells of this shard.
    #[must_use]
    pub fn is_live(&self, shard: usize) -> bool {
        self.connections.iter().any(|c| c.shard == shard && c.live)
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
            late_p50_us: state.late.quantile_us(0.50),
            late_p95_us: state.late.quantile_us(0.95),
            late_p99_us: state.late.quantile_us(0.99),
            after_slot_p95_us: state.after_slot.quantile_us(0.95),
        }
    }
}

impl WatchState {
    /// Number of the version to come.
    fn end(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.story.len()).unwrap_or(u64::MAX))
    }

    /// The first telling of a version from number `cursor` on.
    fn find_from(&self, cursor: u64, slot: u64, print: u64) -> Option<(u64, Instant)> {
        let numbered = (self.start..).zip(&self.story);
        numbered
            .filter(|(number, _)| *number >= cursor)
            .find(|(_, version)| version.slot == slot && version.print == print)
            .map(|(number, version)| (number, version.at))
    }

    /// Adds a version and gives its number.
    fn push(&mut self, version: Version) -> u64 {
        let number = self.end();
        if self.story.is_full() {
            self.story.remove(0);
            self.start = self.start.saturating_add(1);
        }
        self.high = self.high.max(version.slot);
        self.story.push(version);
        number
    }

    fn set_cursor(&mut self, connection: usize, told: u64) {
        if let Some(cursor) = self.cursors.get_mut(connection) {
            *cursor = told.saturating_add(1);
        }
    }
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

    struct Story {
        router: MessageRouter,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            let mut router = MessageRouter::new(1, &[0, 0], now);
            router.up(0);
            router.up(1);
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
        let mut story = Story::new();
        assert_eq!(story.tell(0, 5, 1), deliver(5));
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.router.delivery(0).first, 1);
        assert_eq!(story.router.delivery(1).first, 0);
        let late = story.router.delivery(1).late_p50_us;
        assert!((990..=1_010).contains(&late), "{late}");
    }

    #[test]
    fn a_late_connection_does_not_take_the_account_back() {
        let mut story = Story::new();
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
        let mut story = Story::new();
        assert_eq!(story.tell(0, 5, 1), deliver(5));
        assert_eq!(story.tell(0, 5, 2), deliver(5));
        assert_eq!(story.tell(1, 5, 1), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 2), Verdict::Duplicate);
        assert_eq!(story.tell(1, 5, 3), deliver(5), "the other one may be first with the next");
        assert_eq!(story.tell(0, 5, 3), Verdict::Duplicate);
    }

    #[test]
    fn a_fork_given_up_goes_on_once_and_never_under_an_older_slot() {
        let mut story = Story::new();
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
        let mut story = Story::new();
        story.tell(0, 90, 1);
        story.tell(1, 90, 1);
        story.tell(0, 91, 2);
        assert_eq!(story.tell(0, 90, 1), deliver(91));
        assert_eq!(story.tell(1, 91, 2), Verdict::Duplicate);
        assert_eq!(story.tell(1, 90, 1), Verdict::Duplicate);
    }

    #[test]
    fn a_write_after_a_snapshot_within_its_slot_is_not_lost() {
        let mut story = Story::new();
        let now = story.now;
        assert_eq!(story.router.snapshot(0, Slot::new(100), 1, now), deliver(100));
        assert_eq!(story.tell(0, 100, 2), deliver(100));
        assert_eq!(story.tell(0, 99, 7), deliver(100), "it had come to the end, so this is later");
        assert_eq!(story.tell(1, 98, 9), Verdict::Late);
    }

    #[test]
    fn a_snapshot_never_hides_something_newer() {
        let mut story = Story::new();
        story.tell(0, 101, 5);
        let now = story.now;
        assert_eq!(story.router.snapshot(0, Slot::new(100), 1, now), Verdict::Late);
        assert_eq!(story.router.snapshot(0, Slot::new(101), 6, now), deliver(101));
    }

    #[test]
    fn what_did_not_arrive_is_told_again() {
        let mut story = Story::new();
        story.tell(0, 5, 1);
        story.router.forget(0);
        assert_eq!(story.tell(1, 5, 1), deliver(5));
    }

    #[test]
    fn a_slot_goes_on_when_every_shard_has_reached_it() {
        let now = Instant::now();
        let mut router = MessageRouter::new(2, &[0, 0, 1, 1], now);
        for connection in 0..4 {
            router.up(connection);
        }
        let mut slot = |connection, slot| router.slot(connection, Slot::new(slot), now);
        assert_eq!(slot(0, 7), None);
        assert_eq!(slot(2, 6), Some(Slot::new(6)));
        assert_eq!(slot(3, 7), Some(Slot::new(7)));
        assert_eq!(slot(1, 7), None, "told already");
    }

    #[test]
    fn a_shard_is_lost_with_its_last_connection() {
        let mut story = Story::new();
        assert!(!story.router.down(0));
        assert!(story.router.down(1));
        assert!(!story.router.down(1), "only once");
        assert!(story.router.up(0));
        assert!(!story.router.up(1));
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
            let (mut story, mut at, mut passed) = (Story::new(), [0, 0], Vec::new());
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
