//! How a process starts: as the live one does, from what the disk holds and with the core's own rules for what is owed.

use std::collections::BTreeMap;

use super::bugs::Bug;
use super::env::{Ask, Died, Env};
use super::node::{Told, amounts};
use super::plan::Fault;
use super::process::{Phase, Process, Wire};
use super::setting::{MINTS, announcements, config};
use super::strategies;
use crate::engine::{EngineConfig, MultiStrategyEngine};
use crate::event::{Command, Effect, Event, MarketEvent, OrderEvent};
use crate::execution::recovery::{self, Recovery};
use crate::execution::{Commitment, Input, Machine, Settings, is_majority};
use crate::ids::{MintId, OrderId};
use crate::journal::{
    Borrowed, FILE_HEAD, Record, Scanner, Tail, VERSION, examine, file_head, file_version,
};
use crate::risk::{Limits, Mode};
use crate::units::{Atoms, Bps, Usd};

/// An engine as a journal leaves it.
pub(super) struct Replayed {
    pub(super) engine: MultiStrategyEngine,
    wires: BTreeMap<OrderId, Wire>,
    records: u64,
    end: usize,
}

fn settings(env: &Env) -> EngineConfig {
    let mut config = config(strategies::COUNT, env.strictness);
    let limits = &mut config.limits;
    match env.bug {
        Some(Bug::LoosenOpenOrders) => limits.open_orders_max = 40,
        Some(Bug::LoosenRate) => limits.orders_per_minute_max = 1_000,
        Some(Bug::LoosenValue) => limits.order_value_max = Usd::dollars(100),
        Some(Bug::LoosenExposure) => {
            limits.exposure_max = Usd::dollars(9_000);
            limits.position_value_max = Usd::dollars(9_000);
            limits.drawdown_max = Bps::capped(9_000);
        }
        _ => {}
    }
    config
}

/// The limits that hold, whatever a planted bug makes of them.
pub(super) fn limits(strictness: u64) -> Limits {
    config(strategies::COUNT, strictness).limits
}

fn engine(env: &Env, config: EngineConfig) -> Result<MultiStrategyEngine, Died> {
    let strategies = strategies::all(env.seed, &env.troubled);
    MultiStrategyEngine::with_strategies(config, strategies).map_err(|_| Died::Damaged)
}

/// Replays the records of `bytes`. `None` where there is not even a header.
pub(super) fn replay(env: &Env, bytes: &[u8]) -> Result<Option<Replayed>, Died> {
    let mut known: Option<MultiStrategyEngine> = None;
    let mut wires = BTreeMap::new();
    let mut effects: Vec<Effect> = Vec::new();
    let mut scanner = Scanner::new(bytes, u64::MAX);
    while let Ok(Some(payload)) = scanner.next() {
        match (Record::decode(payload), &mut known) {
            (Some(Record::Header { config, .. }), None) => {
                let config = postcard::from_bytes(&config).map_err(|_| Died::Damaged)?;
                known = Some(engine(env, config)?);
            }
            (Some(Record::Event(stamped)), Some(engine)) => {
                effects.clear();
                engine.step(&stamped, &mut effects);
            }
            (Some(Record::Wire { order, signature, last_valid, bytes }), Some(engine)) => {
                let keeps = |order: &OrderId| match env.bug {
                    Some(Bug::ForgetLandedBytes) => engine.orders().get(*order).is_some(),
                    _ => engine.orders().is_followed(*order),
                };
                wires.retain(|order, _| keeps(order));
                wires.insert(order, Wire { signature, last_valid, bytes });
            }
            (Some(Record::Checkpoint { .. }), Some(_)) => {}
            _ => return Err(Died::Damaged),
        }
    }
    let (end, records) = (scanner.position(), scanner.number());
    let end = usize::try_from(end).map_err(|_| Died::Damaged)?;
    Ok(known.map(|engine| Replayed { engine, wires, records, end }))
}

/// Starts a process, which may die while it does.
pub(super) fn start(env: &mut Env) -> Result<Process, Died> {
    if env.latch && !env.is(Bug::SignAfterKill) {
        return Err(Died::Killed);
    }
    if env.disk.bytes().len() < FILE_HEAD {
        env.disk.clear();
        env.disk.append(&file_head(VERSION)).map_err(|_| Died::Unwritable)?;
        env.disk.sync().map_err(|_| Died::Unwritable)?;
    }
    let head = env.disk.bytes().first_chunk().and_then(file_version);
    if head != Some(VERSION) {
        return Err(Died::Damaged);
    }
    let replayed = replay(env, env.disk.bytes())?;
    let (position, records) = replayed.as_ref().map_or((FILE_HEAD, 0), |r| (r.end, r.records));
    let bytes = env.disk.bytes();
    match examine(&bytes, position as u64, records, u64::MAX) {
        Ok(Tail::Clean) => env.disk.cut(position),
        Ok(Tail::Torn { .. }) if env.is(Bug::KeepTornTail) => {}
        Ok(Tail::Torn { bytes }) => {
            env.story
                .say("torn", [bytes, 0, 0], || format!("a torn tail of {bytes} bytes is cut off"));
            env.disk.cut(position);
        }
        Ok(Tail::Damaged { .. }) if env.is(Bug::SkipDamage) => env.disk.cut(position),
        Ok(Tail::Damaged { .. }) | Err(_) => return Err(Died::Damaged),
    }
    env.disk.sync().map_err(|_| Died::Unwritable)?;
    let is_followed = |replayed: &Option<Replayed>, order| {
        replayed.as_ref().is_some_and(|r| r.engine.orders().is_followed(order))
    };
    env.audit.started(env.disk.bytes(), |order| is_followed(&replayed, order));
    let is_free = |r: &Replayed| {
        r.engine.orders().all().is_empty() && r.engine.orders().provisional().is_empty()
    };
    if replayed.as_ref().is_some_and(is_free) && env.strikes(Fault::NewLimits) {
        // The journal is moved away and the engine set up anew, with what the chain holds.
        env.strictness += 1;
        env.first_slot = env.chain.slot;
        env.found = env.chain.holdings(Commitment::Finalized, 0).tokens;
        env.disk.clear();
        env.audit.new_journal(limits(env.strictness));
        return start(env);
    }
    let mut process = match replayed {
        Some(Replayed { engine, wires, records, .. }) => {
            let mut process = Process::new(engine, Machine::new(Settings::default()), records);
            process.wires = wires;
            if env.is(Bug::NumbersBeginAnew) {
                process.seq = 0;
            }
            process
        }
        None => {
            let config = settings(env);
            let engine = engine(env, config.clone())?;
            let mut process = Process::new(engine, Machine::new(Settings::default()), 0);
            let config = postcard::to_extend(&config, Vec::new()).map_err(|_| Died::Unwritable)?;
            let started = env.wall();
            process.append(&Borrowed::Header { version: 1, config: &config, started })?;
            process.sync(env)?;
            process
        }
    };
    set_up(&mut process, env)?;
    owed(&mut process, env)?;
    process.flush(env)?;
    Ok(process)
}

/// Announces what is not known, and books what is there at the first start.
fn set_up(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    if process.engine.mode() < Mode::Halt {
        process.command(env, Command::SetMode { mode: Mode::Halt, clear_kill: false })?;
    }
    let has = env.chain.holdings(Commitment::Confirmed, 0).has;
    for event in announcements(has) {
        let market = process.engine.market();
        let is_known = match &event {
            Event::Market(MarketEvent::Mint(spec)) => {
                market.mint_by_address(&spec.address).is_some()
            }
            Event::Market(MarketEvent::Pool(spec)) => {
                market.pools().iter().any(|pool| pool.spec.address == spec.address)
            }
            _ => false,
        };
        if !is_known {
            process.step(env, event)?;
        }
    }
    if !process.engine.orders().expects_forks() && !env.is(Bug::NoForks) {
        process.command(env, Command::ExpectForks)?;
    }
    if !recovery::is_funded(process.engine.ledger()) || env.is(Bug::DepositAgain) {
        let held = amounts(env.chain.holdings(Commitment::Confirmed, 0));
        let found: Vec<(MintId, Atoms)> = (0_u16..).map(MintId).zip(held.map(Atoms::new)).collect();
        let mut deposits = recovery::opening(process.engine.ledger(), &found);
        if env.is(Bug::DepositAgain) {
            deposits =
                found.into_iter().map(|(mint, amount)| Command::Deposit { mint, amount }).collect();
        }
        for deposit in deposits {
            process.command(env, deposit)?;
        }
        process.sync(env)?;
    }
    process.remember_orders();
    Ok(())
}

/// Takes up what an earlier process left open.
fn owed(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    let wires = if env.is(Bug::ForgetRecords) { BTreeMap::new() } else { process.wires.clone() };
    let record = |order| wires.get(&order).map(|wire: &Wire| (wire.signature, wire.last_valid));
    for owed in recovery::owed(process.engine.orders(), record) {
        match owed {
            Recovery::Follow { landing: Some(_), .. } if env.is(Bug::ForgetProvisional) => {}
            Recovery::Follow { order, landing: None, .. } if env.is(Bug::ResignOnRestart) => {
                process.take_hash(env);
                let expires = crate::units::Timestamp::MAX;
                process.give(env, Input::Approved { order, expires })?;
            }
            Recovery::Follow { order, signature, last_valid, untold, landing } => {
                if wires.get(&order).is_none_or(|wire| wire.signature != signature) {
                    return Err(Died::Lost);
                }
                env.story.say("follow", [order.cause.get(), 0, 0], || {
                    format!("order {order} is followed on from the journal")
                });
                process.give(env, Input::Recovered { order, signature, last_valid, landing })?;
                if untold {
                    let signed = OrderEvent::Signed { order, signature, last_valid };
                    process.step(env, Event::Order(signed))?;
                }
            }
            Recovery::Reject { order, reason } => {
                process.step(env, Event::Order(OrderEvent::Rejected { order, reason }))?;
            }
            Recovery::Lost { .. } => return Err(Died::Lost),
        }
    }
    Ok(())
}

/// Goes from learning fates to comparing, and asks for balances while it compares.
pub(super) fn go_on(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    let is_resolved = process.engine.orders().all().is_empty() || env.is(Bug::TradeBeforeResolved);
    if process.phase == Phase::Resolving && is_resolved {
        process.phase = Phase::Comparing;
    }
    if process.phase == Phase::Comparing {
        env.asks.push(Ask::Balances);
    }
    Ok(())
}

/// Compares the ledger with the chain, as a majority tells it, and lets trading go on.
pub(super) fn compare(process: &mut Process, env: &mut Env, told: &[Told]) -> Result<(), Died> {
    if process.phase != Phase::Comparing {
        return Ok(());
    }
    let agreed = told.iter().find_map(|(_, amounts): &Told| {
        let alike: Vec<u64> =
            told.iter().filter(|(_, other)| other == amounts).map(|(slot, _)| *slot).collect();
        let count = u32::try_from(alike.len()).unwrap_or(u32::MAX);
        let slot = crate::execution::reached(&alike, env.nodes.count())?.height;
        (is_majority(count, env.nodes.count()) && slot >= process.landed).then_some(*amounts)
    });
    let Some(amounts): Option<[u64; MINTS]> = agreed else { return Ok(()) };
    for (mint, amount) in (0_u16..).map(MintId).zip(amounts) {
        let chain = Atoms::new(amount);
        process.command(env, Command::Reconcile { mint, chain })?;
    }
    process.phase = Phase::Trading;
    env.story.say("trading", [u64::from(process.mismatched), 0, 0], || {
        "compared with the chain".to_owned()
    });
    if recovery::may_release(process.engine.mode(), process.mismatched) {
        process.command(env, Command::SetMode { mode: Mode::Run, clear_kill: false })?;
    }
    process.sync(env)
}
