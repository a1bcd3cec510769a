//! Laws of the engine: what must hold whatever happens.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test may panic"
)]

mod support;

use proptest::prelude::*;
use sniper_core::digest::Digest;
use sniper_core::event::{Alert, Command, Deltas, Effect, Event, OrderEvent, RejectReason};
use sniper_core::execution::State;
use sniper_core::ids::{MintId, Signature};
use sniper_core::ledger::Account;
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Slot, Timestamp};
use support::{
    BONK, RENT, Run, USDC, WSOL, erratic, opening_without_bonk, reference, reserves, seated, slot,
    survives_a_cut,
};

/// What may happen next, drawn by proptest.
#[derive(Clone, Debug)]
enum Happening {
    Wait(i64),
    Swap { pool: u32, tilt: i64 },
    Torn { pool: u32, amount: u64 },
    Slot,
    Timer,
    Reference(i64),
    Sign(usize),
    Fill { nth: usize, generous: bool, fee: u64, rent: u64 },
    Revert(usize),
    Expire(usize),
    Reject(usize),
    Stranger,
    Mode(u8, bool),
    Deposit(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_i64..3_000_000).prop_map(Happening::Wait),
        6 => (0_u32..3, -20_000_i64..20_000).prop_map(|(pool, tilt)| Happening::Swap { pool, tilt }),
        1 => (0_u32..3, any::<u64>()).prop_map(|(pool, amount)| Happening::Torn { pool, amount }),
        3 => Just(Happening::Slot),
        2 => Just(Happening::Timer),
        2 => (-300_i64..300).prop_map(Happening::Reference),
        5 => (0_usize..8).prop_map(Happening::Sign),
        5 => (0_usize..8, any::<bool>(), 0_u64..20_000, rent())
            .prop_map(|(nth, generous, fee, rent)| Happening::Fill { nth, generous, fee, rent }),
        2 => (0_usize..8).prop_map(Happening::Revert),
        1 => (0_usize..8).prop_map(Happening::Expire),
        1 => (0_usize..8).prop_map(Happening::Reject),
        1 => Just(Happening::Stranger),
        1 => (0_u8..4, any::<bool>()).prop_map(|(mode, clear)| Happening::Mode(mode, clear)),
        1 => (0_u64..1_000_000).prop_map(Happening::Deposit),
    ]
}

/// What the chain says that our key gave: an account's rent, nothing, or what nobody expects.
fn rent() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(RENT), 4 => Just(0), 1 => 0..2 * RENT]
}

struct World {
    run: Run,
    slot: u64,
    vaults: [[u64; 2]; 3],
}

impl World {
    fn new(seeds: &[u64]) -> Self {
        let vaults = [
            [10_000_000_000_000, 1_500_000_000_000],
            [5_000_000_000_000, 750_000_000_000],
            [2_500_000_000_000_000, 500_000_000_000],
        ];
        Self { run: Run::after(erratic(seeds), opening_without_bonk()), slot: 2, vaults }
    }

    fn order(&self, nth: usize) -> Option<(sniper_core::ids::OrderId, State, Deltas)> {
        let open = self.run.engine.orders().all().get(nth)?;
        let order = &open.order;
        let paid = -(order.amount_in().get() as i64);
        let got = order.min_out().get() as i64;
        let deltas = if order.mint_in() == order.mint_out() {
            [(order.mint_in(), got + paid)].into_iter().collect()
        } else {
            [(order.mint_in(), paid), (order.mint_out(), got)].into_iter().collect()
        };
        Some((order.id(), open.state, deltas))
    }

    fn events(&mut self, what: &Happening) -> Vec<Event> {
        let order = |e: OrderEvent| vec![Event::Order(e)];
        match *what {
            Happening::Wait(micros) => {
                self.run.wait(micros);
                vec![]
            }
            Happening::Swap { pool, tilt } => {
                self.slot += 1;
                let vaults = &mut self.vaults[pool as usize];
                let moved = (i128::from(vaults[0]) * i128::from(tilt) / 1_000_000) as i64;
                vaults[0] = vaults[0].saturating_add_signed(moved).max(1_000_000);
                let product =
                    [15, 3_750, 1_250][pool as usize] * 1_000_000_000_000_000_000_000_000_u128;
                let product = if pool == 1 { product / 1_000 } else { product };
                vaults[1] = (product / u128::from(vaults[0])) as u64;
                reserves(pool, self.slot, *vaults).into()
            }
            Happening::Torn { pool, amount } => {
                reserves(pool, self.slot + 1, [amount, 5])[..1].into()
            }
            Happening::Slot => {
                self.slot += 1;
                vec![slot(self.slot)]
            }
            Happening::Timer => vec![Event::Timer],
            Happening::Reference(bps) => {
                vec![reference(WSOL, (150_000_000 + 15_000 * bps) as u64, 1_000_000_000)]
            }
            Happening::Sign(nth) => self.order(nth).map_or(vec![], |(id, ..)| {
                order(OrderEvent::Signed {
                    order: id,
                    signature: Signature([nth as u8; 64]),
                    last_valid: BlockHeight::new(self.slot + 150),
                })
            }),
            Happening::Fill { nth, generous, fee, rent } => {
                self.order(nth).map_or(vec![], |(id, _, mut d)| {
                    if generous && let Some((_, delta)) = d.last_mut() {
                        *delta += 17;
                    }
                    order(OrderEvent::Filled {
                        order: id,
                        slot: Slot::new(self.slot),
                        deltas: d,
                        fee: Lamports::new(fee),
                        rent: Lamports::new(rent),
                    })
                })
            }
            Happening::Revert(nth) => self.order(nth).map_or(vec![], |(id, ..)| {
                let fee = Lamports::new(5_000);
                order(OrderEvent::Reverted { order: id, slot: Slot::new(1), fee, code: Some(6005) })
            }),
            Happening::Expire(nth) => {
                self.order(nth).map_or(vec![], |(id, ..)| order(OrderEvent::Expired { order: id }))
            }
            Happening::Reject(nth) => self.order(nth).map_or(vec![], |(id, ..)| {
                order(OrderEvent::Rejected { order: id, reason: RejectReason::TooLate })
            }),
            Happening::Stranger => order(OrderEvent::Expired { order: Default::default() }),
            Happening::Mode(mode, clear_kill) => {
                let modes = [Mode::Run, Mode::ReduceOnly, Mode::Halt, Mode::Kill];
                vec![Event::Command(Command::SetMode {
                    mode: modes[usize::from(mode)],
                    clear_kill,
                })]
            }
            Happening::Deposit(amount) => vec![support::deposit(USDC, amount)],
        }
    }
}

/// Adds up what each mint's accounts should hold by following the effects alone.
#[derive(Default)]
struct Shadow {
    held: [i128; 4],
    rent: i128,
}

impl Shadow {
    fn follow(&mut self, event: &Event, effects: &[Effect]) {
        if let Event::Command(Command::Deposit { mint, amount }) = event {
            self.held[mint.index()] += i128::from(amount.get());
        }
        for effect in effects {
            let Effect::Closed(closed) = effect else { continue };
            match &closed.outcome {
                sniper_core::order::Outcome::Filled { deltas, fee, rent, .. } => {
                    self.rent += i128::from(rent.get());
                    self.held[0] -= i128::from(rent.get());
                    for (mint, delta) in deltas {
                        self.held[mint.index()] += i128::from(*delta);
                    }
                    self.held[0] -= i128::from(fee.get());
                }
                sniper_core::order::Outcome::Reverted { fee, .. } => {
                    self.held[0] -= i128::from(fee.get());
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_loses_creates_or_shares_an_atom(
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        story in prop::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new(&seeds);
        let mut shadow = Shadow::default();
        shadow.held[USDC.index()] = 10_000_000_000;
        shadow.held[0] = 1_000_000_000;
        for what in &story {
            for event in world.events(what) {
                let before = world.run.engine.mode();
                let effects = world.run.step(event.clone());
                shadow.follow(&event, &effects);
                let engine = &world.run.engine;
                let ledger = engine.ledger();
                prop_assert!(ledger.is_balanced());
                prop_assert_eq!(ledger.balance(MintId::SOL, Account::Rent), shadow.rent);
                for mint in [MintId::SOL, USDC, WSOL, BONK] {
                    prop_assert_eq!(ledger.held(mint), shadow.held[mint.index()]);
                    // What orders in flight may spend is set aside, each atom once.
                    let wanted: i128 = engine.orders().all().iter().map(|o| {
                        let paid = if o.order.mint_in() == mint { o.order.amount_in().get() } else { 0 };
                        let sol = [o.order.fee_cap(), o.order.rent_cap()].map(Lamports::get);
                        let sol: u64 = if mint == MintId::SOL { sol.iter().sum() } else { 0 };
                        i128::from(paid) + i128::from(sol)
                    }).sum();
                    prop_assert_eq!(ledger.balance(mint, Account::Reserved), wanted);
                }
                for mint in [USDC, WSOL, BONK] {
                    prop_assert!(ledger.balance(mint, Account::Cash) >= 0);
                }
                // The event itself may have opened the gate.
                let mode = before.min(engine.mode());
                for effect in &effects {
                    if let Effect::Submit(order) = effect {
                        prop_assert!(mode <= Mode::ReduceOnly);
                        prop_assert!(order.min_out() > Atoms::ZERO);
                        let sells = engine.market().is_usd(order.mint_out())
                            && !engine.market().is_usd(order.mint_in());
                        prop_assert!(sells || order.value() <= engine.config().limits.order_value_max);
                        prop_assert!(sells || mode == Mode::Run);
                        let (now, age) = (Timestamp::new(world.run.now), engine.config().limits.reference_age_max);
                        let fresh = |mint| engine.market().reference(mint, now, age).is_some();
                        let cycle = order.mint_in() == order.mint_out();
                        let priced = fresh(order.mint_in()) && fresh(order.mint_out());
                        prop_assert!(sells || cycle || priced, "bought without a price");
                        prop_assert_eq!(order.is_unpriced(), sells && !priced);
                    }
                }
            }
        }
    }

    #[test]
    fn an_engine_saved_at_any_moment_goes_on_as_if_it_had_not_been(
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        story in prop::collection::vec(happening(), 1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(&seeds);
        for what in &story {
            for event in world.events(what) {
                world.run.step(event);
            }
        }
        let Run { journal, engine, .. } = &world.run;
        survives_a_cut(engine.config(), || seated(&seeds), journal, cut.index(journal.len() + 1));
    }

    #[test]
    fn the_same_journal_gives_the_same_effects_and_the_same_state(
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        story in prop::collection::vec(happening(), 1..80),
    ) {
        let mut world = World::new(&seeds);
        for what in &story {
            for event in world.events(what) {
                world.run.step(event);
            }
        }
        let mut again = erratic(&seeds);
        let mut digest = Digest::default();
        let mut effects = vec![];
        for stamped in &world.run.journal {
            // Through bytes, as a journal on disk does.
            let bytes = postcard::to_allocvec(stamped).unwrap();
            let read: sniper_core::event::Stamped = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&read, stamped);
            effects.clear();
            again.step(&read, &mut effects);
            for effect in &effects {
                digest.add(effect);
            }
        }
        prop_assert_eq!(digest.value(), world.run.digest.value());
        prop_assert_eq!(again.state_digest(), world.run.engine.state_digest());
    }
}

#[test]
fn erratic_strategies_do_get_orders_through_so_that_the_laws_are_put_to_the_test() {
    let mut submitted = 0;
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut world = World::new(&[seed, seed + 100]);
        for round in 0..60 {
            world.run.wait(1_100_000);
            for what in [
                Happening::Swap { pool: round % 3, tilt: 3_000 },
                Happening::Reference(0),
                Happening::Sign(0),
                Happening::Fill { nth: 0, generous: false, fee: 5_001, rent: RENT },
            ] {
                for event in world.events(&what) {
                    for effect in world.run.step(event) {
                        match effect {
                            Effect::Submit(_) => submitted += 1,
                            Effect::Refused { refusal, .. } => {
                                kinds.insert(refusal.name());
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    assert!(submitted > 100, "only {submitted} orders");
    assert!(kinds.len() > 8, "only {kinds:?}");
}

#[test]
fn an_event_out_of_order_changes_nothing() {
    let mut run = Run::new(erratic(&[1]));
    let digest = run.engine.state_digest();
    let mut old = run.journal[3].clone();
    let mut effects = vec![];
    run.engine.step(&old, &mut effects);
    assert!(matches!(effects[..], [Effect::Alert(Alert::OutOfOrder { .. })]));
    old.seq = sniper_core::units::Seq::new(1_000);
    old.at = sniper_core::units::Timestamp::ZERO;
    run.engine.step(&old, &mut effects);
    assert_eq!(effects.len(), 2);
    assert_eq!(digest, run.engine.state_digest());
}
