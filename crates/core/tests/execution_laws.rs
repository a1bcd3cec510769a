//! Whatever nodes say, and in whatever order it comes: the laws of `core::execution` hold.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use allocation_counter::measure;
use proptest::prelude::*;
use sniper_core::event::{Deltas, OrderEvent, RejectReason};
use sniper_core::execution::{
    Commitment, Input, Knows, Landing, Machine, Output, Settings, Status, Word, reached,
};
use sniper_core::ids::{MintId, OrderId, Signature};
use sniper_core::units::{BlockHeight, Lamports, Seq, Slot, Timestamp};

/// Slots from the tip that are not final.
const UNROOTED: u64 = 4;
/// Slots that bytes live for.
const LIFE: u64 = 20;

fn order(nth: u64) -> OrderId {
    OrderId { cause: Seq::new(nth), nth: 0 }
}

fn signature(order: OrderId, nth: u8) -> Signature {
    let mut bytes = [nth; 64];
    bytes[..8].copy_from_slice(&order.cause.get().to_le_bytes());
    Signature(bytes)
}

fn fill(slot: u64, seed: u64) -> Landing {
    if seed.is_multiple_of(3) {
        return Landing::Reverted {
            slot: Slot::new(slot),
            fee: Lamports::new(5_000),
            code: Some(1),
        };
    }
    let mut deltas = Deltas::new();
    deltas.push((MintId(1), -(seed as i64 % 97) - 1));
    Landing::Filled {
        slot: Slot::new(slot),
        deltas,
        fee: Lamports::new(5_000),
        rent: Lamports::ZERO,
    }
}

const fn kind(event: &OrderEvent) -> &'static str {
    match event {
        OrderEvent::Signed { .. } => "signed",
        OrderEvent::Filled { .. } => "filled",
        OrderEvent::Reverted { .. } => "reverted",
        OrderEvent::Expired { .. } => "expired",
        OrderEvent::Rejected { .. } => "rejected",
        OrderEvent::Finalized { .. } => "finalized",
        OrderEvent::RolledBack { .. } => "rolled back",
    }
}

/// An input that owns its words, to be given twice.
#[derive(Clone, Debug)]
enum Owned {
    Plain(Input<'static>),
    Words(Signature, u32, Vec<Word>),
}

/// What an order was told to be.
#[derive(Clone, Debug, Default)]
struct Told {
    journaled: BTreeSet<Signature>,
    sent: BTreeSet<Signature>,
    signed: bool,
    landed: Option<OrderEvent>,
    over: bool,
}

/// Bytes on the chain, as they really are.
#[derive(Clone, Debug)]
struct Bytes {
    order: OrderId,
    last_valid: u64,
    durable: bool,
    sent: bool,
    landed: Option<Landing>,
    /// Where forks that were abandoned had them.
    ghosts: Vec<Landing>,
}

struct World {
    machine: Machine,
    now: i64,
    tip: u64,
    /// How many endpoints, and how many of them lie.
    nodes: u8,
    liars: u8,
    next: u64,
    chain: BTreeMap<Signature, Bytes>,
    told: BTreeMap<OrderId, Told>,
    past: Vec<Owned>,
    out: Vec<Output>,
    /// What was told, by kind.
    kinds: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(nodes: u8, liars: u8) -> Self {
        Self {
            machine: Machine::new(Settings::default()),
            now: 1_000_000,
            tip: 100,
            nodes,
            liars,
            next: 1,
            chain: BTreeMap::new(),
            told: BTreeMap::new(),
            past: Vec::new(),
            out: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    fn finalized(&self) -> u64 {
        self.tip - UNROOTED
    }

    fn give(&mut self, input: Owned) {
        let mut out = std::mem::take(&mut self.out);
        let at = Timestamp::new(self.now);
        match &input {
            Owned::Plain(plain) => self.machine.step(at, plain.clone(), &mut out),
            Owned::Words(signature, of, words) => {
                let input = Input::Words { signature: *signature, of: *of, words };
                self.machine.step(at, input, &mut out);
            }
        }
        self.past.push(input);
        for output in out.drain(..) {
            self.check(output);
        }
        self.out = out;
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Journal { order, signature } => {
                let told = self.told.entry(order).or_default();
                told.journaled.insert(signature);
                assert_eq!(told.journaled.len(), 1, "law 3: one signature");
                let bytes = self.chain.get_mut(&signature).expect("known bytes");
                assert!(!bytes.durable, "law 3: bytes of one order alone");
                bytes.order = order;
            }
            Output::Send { order, signature } => {
                let bytes = self.chain.get_mut(&signature).expect("known bytes");
                assert!(bytes.durable, "law 1: durable before it is sent");
                bytes.sent = true;
                let told = self.told.entry(order).or_default();
                assert!(!told.over, "law 2: nothing is sent for an order that is over");
                told.sent.insert(signature);
                assert_eq!(told.sent.len(), 1, "law 2: the same bytes");
            }
            Output::Tell(event) => self.tell(event),
            _ => {}
        }
    }

    fn tell(&mut self, event: OrderEvent) {
        *self.kinds.entry(kind(&event)).or_default() += 1;
        let id = event.order();
        let tip = self.finalized();
        let told = self.told.entry(id).or_default();
        assert!(!told.over, "law 4: {event:?} after an end");
        let bytes = self.chain.values().find(|b| b.order == id && b.durable);
        match event {
            OrderEvent::Signed { .. } => {
                assert!(!std::mem::replace(&mut told.signed, true), "signed twice");
            }
            OrderEvent::Rejected { .. } => {
                assert!(told.sent.is_empty() && bytes.is_none(), "law 5: rejected was never sent");
                told.over = true;
            }
            OrderEvent::Filled { .. } | OrderEvent::Reverted { .. } => {
                assert!(told.signed && told.landed.is_none(), "law 4: landed twice");
                told.landed = Some(event);
            }
            OrderEvent::RolledBack { .. } => {
                assert!(told.landed.take().is_some(), "law 6: nothing to take back");
            }
            OrderEvent::Expired { .. } => {
                let bytes = bytes.unwrap();
                assert!(told.landed.is_none(), "law 4: it has landed");
                assert!(bytes.landed.is_none(), "law 5: dead, and on the chain");
                assert!(tip > bytes.last_valid, "law 5: it could still land");
                told.over = true;
            }
            OrderEvent::Finalized { .. } => {
                let truth = bytes.unwrap().landed.as_ref().expect("law 6: final, and not there");
                assert!(truth.slot().get() <= tip, "law 6: not final yet");
                assert_eq!(told.landed, Some(truth.event(id)), "law 6: another landing");
                told.over = true;
            }
        }
    }

    /// What an honest node that lags knows, or one of an abandoned fork.
    fn honest(&self, signature: &Signature, lag: u64, forked: bool) -> Option<(Status, Landing)> {
        let bytes = self.chain.get(signature)?;
        let rooted = self.finalized().saturating_sub(lag);
        let view = self.tip.saturating_sub(lag);
        // The fork is gone wherever the chain is final beyond it.
        if forked && let Some(ghost) = bytes.ghosts.last().filter(|g| g.slot().get() > rooted) {
            let commitment = Commitment::Confirmed;
            let status = Status { commitment, slot: ghost.slot(), failed: ghost.failed() };
            return Some((status, ghost.clone()));
        }
        let landing = bytes.landed.clone().filter(|l| l.slot().get() <= view)?;
        let slot = landing.slot();
        let commitment =
            if slot.get() <= rooted { Commitment::Finalized } else { Commitment::Confirmed };
        Some((Status { commitment, slot, failed: landing.failed() }, landing))
    }

    fn lie(&self, seed: u64) -> Option<(Status, Landing)> {
        let commitment = [Commitment::Processed, Commitment::Confirmed, Commitment::Finalized]
            [(seed % 3) as usize];
        let landing = fill(self.tip.saturating_sub(seed % 40), seed);
        let status = Status { commitment, slot: landing.slot(), failed: landing.failed() };
        (!seed.is_multiple_of(4)).then_some((status, landing))
    }

    fn word(&self, voter: u8, signature: &Signature, seed: u64) -> Option<Word> {
        let knows = |seen: Option<(Status, Landing)>, whole: bool| match seen {
            None => Knows::Nothing,
            Some((status, landing)) => {
                let is_final = status.commitment == Commitment::Finalized;
                Knows::Seen { status, landing: Some(landing).filter(|_| is_final && whole) }
            }
        };
        if voter < self.liars {
            let (height, slot) = (BlockHeight::new(seed * 7 % 1_000), Slot::new(seed * 5 % 1_000));
            return Some(Word { voter, height, slot, knows: knows(self.lie(seed), true) });
        }
        if seed.is_multiple_of(5) {
            return None;
        }
        let lag = seed % 7;
        let rooted = self.finalized() - lag;
        let knows = if seed.is_multiple_of(11) {
            Knows::Stale
        } else {
            knows(self.honest(signature, lag, seed.is_multiple_of(6)), !seed.is_multiple_of(13))
        };
        Some(Word { voter, height: BlockHeight::new(rooted), slot: Slot::new(rooted), knows })
    }

    fn act(&mut self, what: u8, which: u8, seed: u64) {
        let newest = self.next - 1;
        let chosen = order((newest - u64::from(which) % 3 % newest.max(1)).max(1));
        let name = signature(chosen, u8::from(seed.is_multiple_of(9)));
        match what % 20 {
            0 => {
                let id = order(self.next);
                self.next += 1;
                let expires = Timestamp::new(self.now + 2_000_000 - (seed as i64 % 11) * 220_000);
                self.give(Owned::Plain(Input::Approved { order: id, expires }));
            }
            1 => {
                // Bytes of another order's name now and then.
                let name = if seed.is_multiple_of(17) { signature(order(1), 0) } else { name };
                let last_valid = self.tip + LIFE - seed % 5;
                let known = self.chain.get(&name).is_some_and(|bytes| bytes.order != chosen);
                if !known {
                    let new = Bytes {
                        order: chosen,
                        last_valid,
                        durable: false,
                        sent: false,
                        landed: None,
                        ghosts: Vec::new(),
                    };
                    self.chain.entry(name).or_insert(new);
                }
                let last_valid = BlockHeight::new(self.chain[&name].last_valid);
                self.give(Owned::Plain(Input::Signed {
                    order: chosen,
                    signature: name,
                    last_valid,
                }));
            }
            2 => {
                let is_asked =
                    self.told.get(&chosen).is_some_and(|told| told.journaled.contains(&name));
                if is_asked && !seed.is_multiple_of(10) {
                    self.chain.get_mut(&name).unwrap().durable = true;
                    self.give(Owned::Plain(Input::Durable { signature: name }));
                }
            }
            3 if seed.is_multiple_of(4) => {
                let reason = RejectReason::Unbuildable;
                self.give(Owned::Plain(Input::Unsigned { order: chosen, reason }));
            }
            4 => {
                // Time leaps, and now and then it is set back.
                let by = (seed % 3_000_000) as i64;
                self.now += if seed.is_multiple_of(8) { -by } else { by };
                self.give(Owned::Plain(Input::Timer));
            }
            5 | 6 => self.tip += seed % 9,
            7 => {
                // A leader takes what has reached it and can still land.
                let slot = self.tip;
                if let Some(bytes) = self.chain.get_mut(&name)
                    && bytes.sent
                    && bytes.landed.is_none()
                    && slot <= bytes.last_valid
                {
                    bytes.landed = Some(fill(slot, seed));
                }
            }
            8 => {
                // A fork is abandoned with all that is in it.
                let rooted = self.finalized();
                for bytes in self.chain.values_mut() {
                    if let Some(landing) = bytes.landed.take_if(|l| l.slot().get() > rooted) {
                        bytes.ghosts.push(landing);
                    }
                }
            }
            9 => {
                let (honest, lies) = (self.nodes - self.liars, self.liars);
                let mut told: Vec<u64> =
                    (0..honest).map(|nth| self.finalized() - (seed + u64::from(nth)) % 6).collect();
                told.extend((0..lies).map(|_| seed * 31 % 10_000));
                let of = u32::from(self.nodes);
                let Some(all) = reached(&told, of) else { return };
                for commitment in [Commitment::Confirmed, Commitment::Finalized] {
                    let height = BlockHeight::new(all.height);
                    let input = Input::Height { commitment, height, said: all.said, of };
                    self.give(Owned::Plain(input));
                }
                // And one that speaks for itself alone, of several.
                if of > 1 {
                    let (commitment, height) = (Commitment::Finalized, BlockHeight::new(9_999));
                    self.give(Owned::Plain(Input::Height { commitment, height, said: 1, of }));
                }
            }
            10 | 11 => {
                let is_lie = u64::from(self.liars) > seed % u64::from(self.nodes);
                let seen = if is_lie {
                    self.lie(seed)
                } else {
                    self.honest(&name, seed % 7, seed.is_multiple_of(3))
                };
                let status = seen.as_ref().map(|(status, _)| *status);
                self.give(Owned::Plain(Input::Status { signature: name, status }));
                let landing = seen.map(|(_, landing)| landing);
                self.give(Owned::Plain(Input::Read { signature: name, landing }));
            }
            12 | 13 => {
                let words = (0..self.nodes)
                    .filter_map(|voter| self.word(voter, &name, seed / 3 + u64::from(voter) * 7))
                    .flat_map(|word| vec![word; 1 + usize::from(seed.is_multiple_of(2))])
                    .collect();
                self.give(Owned::Words(name, u32::from(self.nodes), words));
            }
            14 => {
                if let Some(again) = self.past.get((seed as usize) % self.past.len().max(1)) {
                    // All but what the journal alone may say.
                    let again = again.clone();
                    self.give(again);
                }
            }
            15 => {
                let engaged = seed.is_multiple_of(11);
                self.give(Owned::Plain(Input::Kill { engaged }));
            }
            // Mostly orders go on as they should.
            _ => {
                self.act(1, 0, seed / 9 * 9 + 1);
                self.act(2, 0, seed / 90 * 90 + 1);
                if seed.is_multiple_of(3) {
                    self.act(7, 0, seed);
                }
            }
        }
    }

    /// From here on all nodes are honest and whole, and nothing more is lost.
    fn heal(&mut self) {
        self.liars = 0;
        self.give(Owned::Plain(Input::Kill { engaged: false }));
        self.tip += LIFE + UNROOTED + 20;
        for _ in 0..40 {
            self.tip += 1;
            self.now += 2_500_000;
            self.give(Owned::Plain(Input::Timer));
            let of = u32::from(self.nodes);
            for commitment in [Commitment::Confirmed, Commitment::Finalized] {
                let height = BlockHeight::new(self.finalized());
                self.give(Owned::Plain(Input::Height { commitment, height, said: of, of }));
            }
            let names: Vec<Signature> = self.chain.keys().copied().collect();
            for name in names {
                let seen = self.honest(&name, 0, false);
                let status = seen.as_ref().map(|(status, _)| *status);
                self.give(Owned::Plain(Input::Status { signature: name, status }));
                let landing = seen.clone().map(|(_, landing)| landing);
                self.give(Owned::Plain(Input::Read { signature: name, landing }));
                let (height, slot) =
                    (BlockHeight::new(self.finalized()), Slot::new(self.finalized()));
                let knows = match seen {
                    None => Knows::Nothing,
                    Some((status, landing)) => Knows::Seen { status, landing: Some(landing) },
                };
                let word = |voter| Word { voter, height, slot, knows: knows.clone() };
                let words = (0..self.nodes).map(word).collect();
                self.give(Owned::Words(name, of, words));
            }
        }
        for (order, told) in &self.told {
            assert!(told.over || told.sent.is_empty(), "{order} was sent and has no end");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_words_breaks_a_law(
        (nodes, liars) in (1_u8..6).prop_flat_map(|nodes| (Just(nodes), 0..nodes.div_ceil(2))),
        acts in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u64..1_000_000), 1..200),
    ) {
        let mut world = World::new(nodes, liars);
        for (what, which, seed) in acts {
            world.act(what, which, seed);
        }
        world.heal();
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn such_sequences_reach_every_end_and_take_landings_back_before_nodes_are_honest_again() {
    let mut kinds = BTreeMap::<&str, u64>::new();
    for seed in 0..2_000 {
        let mut state = seed;
        let nodes = 1 + (draw(&mut state) % 5) as u8;
        let liars = draw(&mut state) % u64::from(nodes.div_ceil(2));
        let mut world = World::new(nodes, liars as u8);
        for _ in 0..150 {
            let drawn = draw(&mut state);
            world.act(drawn as u8, (drawn >> 8) as u8, (drawn >> 16) % 1_000_000);
        }
        for (kind, count) in &world.kinds {
            *kinds.entry(kind).or_default() += count;
        }
        world.heal();
    }
    for (kind, least) in [
        ("signed", 2_000),
        ("filled", 400),
        ("reverted", 200),
        ("expired", 100),
        ("rejected", 1_000),
        ("finalized", 200),
        ("rolled back", 100),
    ] {
        let count = kinds.get(kind).copied().unwrap_or_default();
        assert!(count >= least, "{kind} {count} times: {kinds:?}");
    }
}

/// One order from its approval to its finality.
fn follow(machine: &mut Machine, now: &mut i64, nth: u64, out: &mut Vec<Output>) {
    let id = order(nth);
    let name = signature(id, 0);
    let landing = fill(nth, 1);
    let status = Status { commitment: Commitment::Finalized, slot: Slot::new(nth), failed: false };
    let knows = Knows::Seen { status, landing: Some(landing.clone()) };
    let words = [Word { voter: 0, height: BlockHeight::new(nth), slot: Slot::new(nth), knows }];
    let inputs = [
        Input::Approved { order: id, expires: Timestamp::MAX },
        Input::Signed { order: id, signature: name, last_valid: BlockHeight::new(nth + 150) },
        Input::Durable { signature: name },
        Input::Timer,
        Input::Status { signature: name, status: Some(status) },
        Input::Read { signature: name, landing: Some(landing) },
        Input::Timer,
        Input::Words { signature: name, of: 1, words: &words },
    ];
    for input in inputs {
        *now += 700_000;
        machine.step(Timestamp::new(*now), input, out);
    }
}

#[test]
fn nothing_is_allocated_and_nothing_kept_however_many_orders_have_passed() {
    let (mut machine, mut now) = (Machine::new(Settings::default()), 0);
    let mut out = Vec::with_capacity(64);
    for nth in 1..2_000 {
        follow(&mut machine, &mut now, nth, &mut out);
        out.clear();
    }
    let allocated = measure(|| {
        for nth in 2_000..12_000 {
            out.clear();
            follow(&mut machine, &mut now, nth, &mut out);
        }
    });
    assert_eq!(allocated.count_total, 0);
    assert!(machine.is_idle());
    assert!(matches!(out.last(), Some(Output::Tell(OrderEvent::Finalized { .. }))), "{out:?}");
}

#[test]
fn the_bytes_go_out_on_a_schedule_until_the_chain_is_past_them_and_not_for_a_clock_set_back() {
    let mut machine = Machine::new(Settings::default());
    let (id, mut out) = (order(1), Vec::new());
    let name = signature(id, 0);
    let mut step = |at: i64, input: Input<'_>| {
        out.clear();
        machine.step(Timestamp::from_millis(at), input, &mut out);
        out.iter().filter(|output| matches!(output, Output::Send { .. })).count()
    };
    step(0, Input::Approved { order: id, expires: Timestamp::MAX });
    let last_valid = BlockHeight::new(150);
    assert_eq!(step(0, Input::Signed { order: id, signature: name, last_valid }), 0);
    assert_eq!(step(0, Input::Durable { signature: name }), 1);
    assert_eq!(step(1_999, Input::Timer), 0);
    assert_eq!(step(2_000, Input::Timer), 1);
    assert_eq!(step(-9_000_000, Input::Timer), 0);
    assert_eq!(step(-8_998_000, Input::Timer), 1, "time goes on from where it was set to");
    let (commitment, height) = (Commitment::Confirmed, BlockHeight::new(151));
    step(-8_997_000, Input::Height { commitment, height, said: 1, of: 3 });
    assert_eq!(step(-8_996_000, Input::Timer), 1, "one of three says nothing");
    step(-8_995_000, Input::Height { commitment, height, said: 2, of: 3 });
    assert_eq!(step(-8_990_000, Input::Timer), 0);
}

#[test]
fn after_the_kill_latch_nothing_is_built_and_after_a_failed_write_nothing_is_sent() {
    let mut machine = Machine::new(Settings::default());
    let mut out = Vec::new();
    let mut step = |input: Input<'_>| {
        out.clear();
        machine.step(Timestamp::ZERO, input, &mut out);
        out.clone()
    };
    let expires = Timestamp::MAX;
    step(Input::Approved { order: order(1), expires });
    let rejected =
        |nth, reason| vec![Output::Tell(OrderEvent::Rejected { order: order(nth), reason })];
    assert_eq!(step(Input::Kill { engaged: true }), rejected(1, RejectReason::SignerRefused));
    assert_eq!(
        step(Input::Approved { order: order(2), expires }),
        rejected(2, RejectReason::SignerRefused)
    );
    step(Input::Kill { engaged: false });
    step(Input::Approved { order: order(3), expires });
    let (name, last_valid) = (signature(order(3), 0), BlockHeight::new(9));
    step(Input::Signed { order: order(3), signature: name, last_valid });
    assert_eq!(step(Input::NotDurable { signature: name }), []);
    assert_eq!(step(Input::Durable { signature: name }), [], "what is on the disk is unknown");
    assert_eq!(step(Input::Timer), []);
    assert_eq!(
        step(Input::Approved { order: order(4), expires }),
        rejected(4, RejectReason::NotDurable)
    );
}
