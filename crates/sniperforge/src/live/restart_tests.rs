//! A restart from a snapshot is the engine that a replay of everything makes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sniper_core::amm::{AccountUpdate, PoolKind, PoolSpec, cpmm};
use sniper_core::engine::EngineConfig;
use sniper_core::event::{Command, Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, OrderId, PoolId, Signature, Symbol};
use sniper_core::market::WRAPPED_SOL;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Seq, Slot};
use sniper_solana::venue::Prepared;
use sniper_store::journal::{Bounds, Owner, Segments};

use super::desk::Desk;
use super::publish::Publisher;
use super::replay::{Replayed, begin, replay_file, replay_tail};
use super::start::{self, Opened};
use crate::config::{Config, Sources};
use crate::telemetry::baselines::Baselines;
use crate::telemetry::sentinel::Sentinel;
use crate::telemetry::{HealthView, RunMode, Stage};

const BOUNDS: Bounds =
    Bounds { segment_bytes: 1 << 30, segment_records: 400, keep: None, reserve_bytes: 4 << 20 };

fn settings() -> EngineConfig {
    Config::load(&Sources::default()).unwrap().engine(None)
}

fn opened(journal: &Path) -> Opened {
    let publisher = Publisher::new(RunMode::Live, String::new(), None);
    start::open(journal, Owner::default(), BOUNDS, &settings(), publisher, None).unwrap()
}

fn mint(address: Address, symbol: &str, is_usd: bool) -> Event {
    Event::Market(MarketEvent::Mint(MintSpec {
        address,
        token_program: Address::default(),
        decimals: 6,
        symbol: Symbol::new(symbol),
        is_usd,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    }))
}

fn account(slot: u64, update: AccountUpdate) -> Event {
    Event::Market(MarketEvent::Account { pool: PoolId(0), slot: Slot::new(slot), update })
}

/// A pool of SOL and dollars, some money, and a price that wanders.
fn trade(desk: &mut Desk, from: u64, rounds: u64) {
    if desk.engine().market().pools().is_empty() {
        let key = |byte| Address::new_from_array([byte; 32]);
        desk.step(mint(key(1), "USDC", true)).unwrap();
        desk.step(mint(WRAPPED_SOL, "SOL", false)).unwrap();
        let keys = cpmm::Keys {
            config: key(4),
            observation: key(5),
            vaults: [key(6), key(7)],
            token_programs: [key(8); 2],
        };
        let kind = PoolKind::Cpmm(keys);
        let pool = PoolSpec { address: key(3), mints: [MintId(2), MintId(1)], kind };
        desk.step(Event::Market(MarketEvent::Pool(Box::new(pool)))).unwrap();
        desk.step(account(1, AccountUpdate::CpmmConfig(cpmm::Config::default()))).unwrap();
        let amount = Atoms::new(5_000_000_000);
        desk.step(Event::Command(Command::Deposit { mint: MintId(1), amount })).unwrap();
    }
    for round in from..from + rounds {
        let sol = 1_000_000_000_000 + (round * 7_919 % 1_000) * 1_000_000;
        for (second, amount) in [(false, sol), (true, 150_000_000_000)] {
            let vault = AccountUpdate::Vault { second, amount: Atoms::new(amount) };
            desk.step(account(round, vault)).unwrap();
        }
        // Now and then it stays torn.
        if round % 5 != 0 {
            let pool = AccountUpdate::CpmmPool(cpmm::PoolState::default());
            desk.step(account(round, pool)).unwrap();
        }
        desk.step(Event::Timer).unwrap();
        while desk.take_order().is_some() {}
    }
}

/// Trades until `segments` have begun.
fn grow(desk: &mut Desk, segments: u64, wires: &[Prepared]) {
    let mut round = desk.events();
    while desk.journal().segment() < segments {
        trade(desk, round, 20);
        round += 20;
        desk.checkpoint().unwrap();
        desk.begin_segment(wires).unwrap();
    }
    trade(desk, round, 30);
    desk.checkpoint().unwrap();
}

fn replayed(journal: &Path, wanted: impl Fn(usize) -> bool) -> Replayed {
    let segments = Segments::open(journal).unwrap();
    let (replay, mut reader) = begin(&segments, wanted, None).unwrap();
    replay.run(&mut reader, None).unwrap().unwrap()
}

fn journal() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    (folder, path)
}

#[test]
fn from_each_snapshot_and_from_the_beginning_the_same_engine_comes() {
    let (_folder, path) = journal();
    let mut desk = opened(&path).desk;
    grow(&mut desk, 4, &[]);
    let (state, live) = (desk.engine().state_digest(), desk.engine().save());
    desk.close().unwrap();

    let whole = replayed(&path, |_| false);
    assert_eq!((whole.summary.from_segment, whole.summary.first_difference), (None, None));
    assert_eq!(whole.engine.state_digest(), state);
    assert!(whole.engine.save() == live);
    for (nth, segment) in [4, 3, 2, 1].into_iter().enumerate() {
        let tail = replayed(&path, |n| n == nth);
        assert_eq!(tail.summary.from_segment, Some(segment));
        assert_eq!(tail.summary.first_difference, None);
        assert!(tail.summary.events < whole.summary.events);
        assert_eq!(tail.engine.state_digest(), state);
        assert!(tail.engine.save() == live, "byte for byte");
        assert_eq!(tail.digest.value(), whole.digest.value());
        assert_eq!(tail.summary.effects, whole.summary.effects);
        assert_eq!(tail.started, whole.started);
    }
    assert_eq!(replay_tail(&path).unwrap().from_segment, Some(3));
    assert!(replay_file(&path).unwrap().matches());

    let again = opened(&path).desk;
    assert_eq!(again.engine().ledger().held(MintId(1)), whole.engine.ledger().held(MintId(1)));
}

#[test]
fn a_snapshot_that_does_not_hold_is_passed_over_for_the_one_before_or_for_everything() {
    let (_folder, path) = journal();
    let mut desk = opened(&path).desk;
    grow(&mut desk, 3, &[]);
    let live = desk.engine().save();
    desk.close().unwrap();
    let snapshot = |n: u64| path.join(format!("{n:08}.snapshot"));
    // Of another place, under the right name: it is whole, and not the state there.
    std::fs::copy(snapshot(2), snapshot(3)).unwrap();
    assert_eq!(replayed(&path, |_| true).summary.from_segment, Some(2));
    let mut bytes = std::fs::read(snapshot(2)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(snapshot(2), bytes).unwrap();
    assert_eq!(replayed(&path, |_| true).summary.from_segment, Some(1));
    std::fs::write(snapshot(1), b"").unwrap();
    let whole = replayed(&path, |_| true);
    assert_eq!(whole.summary.from_segment, None);
    assert!(whole.engine.save() == live);
    std::fs::remove_file(path.join("00000000.journal")).unwrap();
    let segments = Segments::open(&path).unwrap();
    let error = begin(&segments, |_| true, None).err().unwrap().to_string();
    assert!(error.contains("begins with segment 1") && error.contains("restore"), "{error}");
}

#[test]
fn what_was_signed_before_a_snapshot_is_known_after_a_restart_from_it() {
    let (_folder, path) = journal();
    let mut desk = opened(&path).desk;
    let signature = Signature([6; 64]);
    let bytes = [&[1][..], &signature.0, &[9; 50]].concat();
    let order = OrderId { cause: Seq::new(3), nth: 0 };
    let wire =
        Prepared::from_journal(order, signature, BlockHeight::new(77), bytes.clone()).unwrap();
    grow(&mut desk, 2, &[wire]);
    drop(desk);
    let wires = opened(&path).wires;
    let found: Vec<_> = wires.iter().map(|w| (w.order, w.signature, w.last_valid)).collect();
    assert_eq!(found, [(order, signature, BlockHeight::new(77))]);
    assert_eq!(wires[0].bytes, bytes);
}

#[test]
fn after_a_restart_the_state_goes_on_being_kept() {
    let (_folder, path) = journal();
    for segments in [2, 3, 5] {
        let mut desk = opened(&path).desk;
        grow(&mut desk, segments, &[]);
        // As a crash leaves it; and the disk is done before the next one looks.
        drop(desk);
    }
    let (whole, tail) = (replayed(&path, |_| false), replayed(&path, |nth| nth == 0));
    assert!(whole.summary.matches() && tail.summary.matches());
    assert_eq!(tail.summary.from_segment, Some(5));
    assert!(tail.engine.save() == whole.engine.save());
}

#[test]
fn stages_of_a_step_are_timed_and_one_above_its_budget_is_told_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = opened(&folder.path().join("journal")).desk;
    trade(&mut desk, 1, 40);
    let times = desk.timers.snapshot();
    let [step, market, strategy] = ["step", "market", "strategy"].map(|stage| times[stage]);
    assert!(step.count == market.count && step.count == strategy.count, "{times:?}");
    assert!(step.count > 80 && market.total + strategy.total <= step.total, "{times:?}");
    // Every strategy has looked at every event, and at every candle of it; nothing was wished for, so nothing reviewed.
    let lanes = desk.timers.by_strategy();
    // The operator's book has no strategy.
    assert_eq!(lanes.len(), desk.engine().config().strategies.len());
    let looks = lanes.iter().map(|(_, stages)| stages["strategy"].total).sum::<f64>();
    assert!((looks - strategy.total).abs() < 0.5, "{looks} of {}", strategy.total);
    assert!(!times.contains_key("risk"), "{times:?}");

    desk.timers.sentinel =
        Sentinel::new(&Baselines::load(None).unwrap(), folder.path()).map(Box::new);
    for _ in 0..20 {
        (0..32).for_each(|_| desk.timers.record(Stage::Risk, Duration::from_millis(8)));
        desk.timers.settle();
    }
    let told = |desk: &mut Desk| {
        let view = desk.publisher.view();
        desk.publish(HealthView::default(), Vec::new());
        let regressions = view.load().performance.regressions.clone();
        regressions.into_iter().map(|r| (r.stage, r.is_budget)).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut desk), []);
    let begun = Instant::now();
    while told(&mut desk).is_empty() && begun.elapsed() < Duration::from_secs(20) {
        desk.look_for_regressions();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(told(&mut desk), [("risk", true)]);
}
