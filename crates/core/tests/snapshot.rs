//! An engine that was saved and taken back is the one that was not: for pools of every kind, torn or whole, for every
//! strategy, at any moment.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "the fuzzer's own modules, and a test may panic"
)]

#[path = "../../../fuzz/src/seeds/mod.rs"]
mod seeds;
#[path = "../benches/stream/mod.rs"]
mod stream;
mod support;
#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use proptest::prelude::*;
use sniper_core::amm::{AccountUpdate, Kind, PoolKind, PoolSpec};
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{Command, Event, MarketEvent, SignalEvent, Stamped};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::snapshot::{LAYOUT, RestoreError};
use sniper_core::standing::{Link, Trigger};
use sniper_core::strategy::{StrategyKind, new_pool};
use sniper_core::units::{Bps, Slot, Timestamp};
use support::tickets::{alone, buy, price, sell, ticket};
use support::{BONK, Run, USDC, WSOL, account, slot, survives_a_cut};
use targets::KINDS;
use targets::input::{ASKS, Ask, Input};

/// A pool of a kind as the fuzzer knows it: its fixed part, and its accounts in the order they come.
fn pool_of(kind: Kind) -> (PoolKind, Vec<AccountUpdate>) {
    let (name, _) = KINDS.iter().find(|(_, known)| *known == kind).unwrap();
    let seeds = seeds::synthetic();
    let mut input = Input(&seeds[&format!("quote-{name}")][1]);
    let spec = targets::quote::pool_kind(kind, input.u8());
    let _: [Ask; ASKS] = std::array::from_fn(|_| input.ask());
    let shapes = targets::shape::shapes(kind);
    let mut updates = Vec::new();
    while !input.0.is_empty() {
        let (tag, _, length) = (input.u8(), input.u8(), input.u16());
        let bytes = input.take(usize::from(length));
        let shape = &shapes[usize::from(tag & 0x0f)];
        let raw = tag & targets::quote::tag::RAW != 0;
        let data = if raw { bytes.to_vec() } else { shape.fit(bytes) };
        updates.push(shape.decode(kind, &data).unwrap());
    }
    (spec, updates)
}

/// All strategies there are, quick ones.
fn settings() -> EngineConfig {
    let mut config = stream::engine_config(Timestamp::SECOND);
    let allowance = config.strategies[0].allowance;
    let kind = StrategyKind::NewPool(new_pool::Params::default());
    config.strategies.push(Enrolled { kind, allowance });
    config.operator = Some(allowance);
    config
}

fn seats() -> Vec<Box<dyn sniper_core::strategy::Strategy>> {
    settings().strategies.iter().map(|enrolled| enrolled.kind.build()).collect()
}

/// A desk with a pool of every kind beside the three of the opening.
fn every_kind() -> (Run, Vec<Vec<AccountUpdate>>) {
    let mut run = Run::new(MultiStrategyEngine::new(settings()).unwrap());
    let mut all = Vec::new();
    static POOLS: LazyLock<Vec<(PoolKind, Vec<AccountUpdate>)>> =
        LazyLock::new(|| Kind::ALL.map(pool_of).to_vec());
    for (nth, (kind, updates)) in (0_u8..).zip(POOLS.iter().cloned()) {
        let (address, mints) = (Address::new_from_array([50 + nth; 32]), [WSOL, USDC]);
        run.step(Event::Market(MarketEvent::Pool(Box::new(PoolSpec { address, mints, kind }))));
        all.push(updates);
    }
    (run, all)
}

#[derive(Clone, Debug)]
enum Happening {
    /// The next accounts of a pool, at a slot that lies a little apart.
    Accounts {
        pool: prop::sample::Index,
        from: prop::sample::Index,
        count: usize,
        apart: u64,
    },
    Slot(u64),
    Wait(i64),
    Forget {
        pool: prop::sample::Index,
        nth: prop::sample::Index,
    },
    Lose(prop::sample::Index),
    Drift(prop::sample::Index),
    Launch(u64),
    Gate(bool),
    Signal(i16),
    Feed(bool),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let index = any::<prop::sample::Index>;
    let one = prop_oneof![
        12 => (index(), index(), 1_usize..8, 0_u64..3)
            .prop_map(|(pool, from, count, apart)| Happening::Accounts { pool, from, count, apart }),
        3 => (0_u64..4).prop_map(Happening::Slot),
        3 => (0_i64..2_500_000).prop_map(Happening::Wait),
        1 => (index(), index()).prop_map(|(pool, nth)| Happening::Forget { pool, nth }),
        1 => index().prop_map(Happening::Lose),
        1 => index().prop_map(Happening::Drift),
        1 => (0_u64..40).prop_map(Happening::Launch),
        1 => any::<bool>().prop_map(Happening::Gate),
        1 => any::<i16>().prop_map(Happening::Signal),
        1 => any::<bool>().prop_map(Happening::Feed),
    ];
    prop::collection::vec(one, 1..80)
}

fn live(story: &[Happening]) -> Vec<Stamped> {
    let (mut run, accounts) = every_kind();
    let mut now = 3;
    let id = |nth: usize| PoolId(3 + u32::try_from(nth).unwrap());
    for what in story {
        match what {
            Happening::Accounts { pool, from, count, apart } => {
                let pool = pool.index(accounts.len());
                let from = from.index(accounts[pool].len());
                let updates = accounts[pool].iter().cycle().skip(from).take(*count);
                for (nth, update) in (0..).zip(updates) {
                    now += u64::from(nth % 3 == 2) * apart;
                    run.step(account(id(pool).0, now, update.clone()));
                }
            }
            Happening::Slot(more) => {
                now += more;
                run.step(slot(now));
            }
            Happening::Wait(micros) => {
                run.wait(*micros);
                run.step(Event::Timer);
            }
            Happening::Forget { pool, nth } => {
                let pool = id(pool.index(accounts.len()));
                let known = run.engine.market().pool(pool).unwrap().live.known_arrays();
                if !known.is_empty() {
                    let array = known[nth.index(known.len())];
                    run.step(Event::Market(MarketEvent::Forgotten { pool, array }));
                }
            }
            Happening::Lose(pool) => {
                let pool = id(pool.index(accounts.len()));
                run.step(Event::Market(MarketEvent::Lost { pool }));
            }
            Happening::Drift(kind) => {
                let kind = Kind::ALL[kind.index(Kind::ALL.len())];
                run.step(Event::Market(MarketEvent::Drifted { kind }));
            }
            Happening::Launch(ago) => {
                let at = Slot::new(now.saturating_sub(*ago));
                run.step(Event::Market(MarketEvent::Launched { pool: PoolId(2), at }));
            }
            Happening::Gate(safe) => {
                let gate = MarketEvent::Gate { mint: BONK, safe: *safe, at: Slot::new(now) };
                run.step(Event::Market(gate));
            }
            Happening::Signal(score) => {
                let expires = Timestamp::new(run.now + 2_000_000);
                let source = Symbol::new("mood");
                let signal = SignalEvent { source, mint: MintId(2), score: *score, expires };
                run.step(Event::Signal(signal));
            }
            Happening::Feed(whole) => {
                run.step(Event::Market(MarketEvent::Feed { whole: *whole }));
            }
        }
    }
    run.journal
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pools_of_every_kind_are_what_they_were_whole_or_torn(
        story in happenings(),
        cut in any::<prop::sample::Index>(),
    ) {
        let journal = live(&story);
        survives_a_cut(&settings(), seats, &journal, cut.index(journal.len() + 1));
    }

    #[test]
    fn bytes_that_were_changed_or_cut_short_are_refused_or_another_engine_and_never_a_panic(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        is_cut: bool,
    ) {
        let (run, _) = every_kind();
        let mut bytes = run.engine.save();
        let at = at.index(bytes.len());
        if is_cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        if let Ok(engine) = MultiStrategyEngine::restore(settings(), &bytes) {
            prop_assert!(!is_cut, "cut at {}", at);
            prop_assert!(engine.save() != run.engine.save(), "byte {}", at);
        }
    }
}

#[test]
fn strategies_and_orders_go_on_where_they_were() {
    let journal = stream::live(600);
    let config = stream::engine_config(Timestamp::SECOND);
    let seats = || config.strategies.iter().map(|enrolled| enrolled.kind.build()).collect();
    for nth in 0..24 {
        survives_a_cut(&config, seats, &journal, journal.len() * nth / 24);
    }
}

#[test]
fn a_strategy_whose_memory_is_not_saved_is_found_out_by_the_digest() {
    struct Forgetful(u64);
    impl sniper_core::strategy::Strategy for Forgetful {
        fn name(&self) -> &'static str {
            "forgetful"
        }
        fn on_event(
            &mut self,
            _: sniper_core::strategy::Context<'_>,
            _: &Event,
            _: &mut Vec<sniper_core::order::Intent>,
        ) {
            self.0 += 1;
        }
        fn digest(&self, digest: &mut sniper_core::digest::Digest) {
            digest.add(&self.0);
        }
    }
    let seat = || vec![Box::new(Forgetful(0)) as Box<dyn sniper_core::strategy::Strategy>];
    let config = support::config(1);
    let engine = MultiStrategyEngine::with_strategies(config.clone(), seat()).unwrap();
    let run = Run::new(engine);
    let restored = MultiStrategyEngine::restore_with(config, seat(), &run.engine.save()).unwrap();
    assert_ne!(restored.state_digest(), run.engine.state_digest());
}

#[test]
fn another_layout_or_other_strategies_are_refused() {
    let (run, _) = every_kind();
    let mut bytes = run.engine.save();
    let fewer = stream::engine_config(Timestamp::SECOND);
    assert!(MultiStrategyEngine::restore(fewer, &bytes).is_err());
    assert_eq!(bytes[0], u8::try_from(LAYOUT).unwrap());
    bytes[0] += 1;
    let error = MultiStrategyEngine::restore(settings(), &bytes).err();
    assert_eq!(error, Some(RestoreError::Layout { found: LAYOUT + 1 }));
}

/// Whoever changes the shape of anything that is saved changes these bytes: raise [`LAYOUT`], then note the new hash.
#[test]
fn the_shape_of_what_is_saved_has_not_changed_without_a_new_layout() {
    let story: Vec<Happening> = Vec::new();
    let mut engine = MultiStrategyEngine::new(settings()).unwrap();
    let mut effects = Vec::new();
    live(&story).iter().for_each(|event| engine.step(event, &mut effects));
    let (_, accounts) = every_kind();
    let mut seq = engine.last().unwrap().0.get();
    for (pool, updates) in (3_u32..).zip(&accounts) {
        for update in updates {
            seq += 1;
            let at = Timestamp::new(1_700_000_000_000_000 + i64::try_from(seq).unwrap() * 400_000);
            let seq = sniper_core::units::Seq::new(seq);
            let event = account(pool, 5, update.clone());
            engine.step(&Stamped { seq, at, event }, &mut effects);
        }
    }
    let standing = [
        alone(buy(10, Trigger::Limit(price(1)))),
        ticket(Link::Bracket, &[buy(10, Trigger::Now), sell(Trigger::Trail(Bps::capped(500)))]),
    ];
    for ticket in standing {
        seq += 1;
        let at = engine.last().unwrap().1;
        let event = Event::Command(Command::Place(Box::new(ticket)));
        let seq = sniper_core::units::Seq::new(seq);
        engine.step(&Stamped { seq, at, event }, &mut effects);
    }
    assert_eq!(engine.standing().active(), 3);
    let mut hash = sniper_core::digest::Digest::default();
    hash.add(&engine.save());
    let known = "e6d0290d3bf7080a0ff1ff7a126848281d0fc01afab05c862fc69dfd9c27d1c7";
    assert_eq!((LAYOUT, hash.hex().as_str()), (5, known));
}
