//! How a process starts: as the live one does, from what the disk holds and with the core's own rules for what is owed.

use std::collections::BTreeMap;

use super::bugs::Bug;
use super::env::{Ask, Died, Env};
use super::node::{Of, Told, amounts};
use super::plan::Fault;
use super::process::{Phase, Process, Wire};
use super::setting::{MINTS, RENT, announcements, config};
use super::strategies;
use crate::engine::{EngineConfig, MultiStrategyEngine};
use crate::event::{AccountState, Command, Effect, Event, MarketEvent, OrderEvent};
use crate::execution::recovery::{self, Recovery};
use crate::execution::{
    Commitment, Findings, Holding, Input, Machine, Seen, Settings, is_majority,
};
use crate::ids::{Address, MintId, OrderId};
use crate::journal::{
    Borrowed, FILE_HEAD, Record, Scanner, Tail, VERSION, examine, file_head, file_version,
};
use crate::risk::{Limits, Mode};
use crate::units::{Atoms, Bps, Lamports, Seq, Slot, Usd};

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

/// As the store judges it: a file whose head was never on the disk has nothing behind it but space made ready.
fn is_unfinished(bytes: &[u8]) -> bool {
    let has_head = bytes.first_chunk().is_some_and(|head| file_version(head).is_some());
    !has_head && bytes.iter().skip(FILE_HEAD).all(|byte| *byte == 0)
}

/// Starts a process, which may die while it does.
pub(super) fn start(env: &mut Env) -> Result<Process, Died> {
    if env.latch && !env.is(Bug::SignAfterKill) {
        return Err(Died::Killed);
    }
    if is_unfinished(env.disk.bytes()) {
        env.disk.clear();
        env.disk.append(&file_head(VERSION)).map_err(|_| Died::Unwritable)?;
        env.disk.sync().map_err(|_| Died::Unwritable)?;
    }
    let head = env.disk.bytes().first_chunk().and_then(file_version);
    if head != Some(VERSION) {
        return Err(Died::Damaged);
    }
    let mut replayed = replay(env, env.disk.bytes())?;
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
    if let Some(Replayed { engine, .. }) = &mut replayed {
        if env.is(Bug::ForgetMark) {
            engine.standing_mut().forget_marks();
        }
        env.overseer.started(&mut env.audit, env.disk.bytes(), engine);
    }
    let is_free = |r: &Replayed| {
        r.engine.orders().all().is_empty() && r.engine.orders().provisional().is_empty()
    };
    if replayed.as_ref().is_some_and(is_free) && env.strikes(Fault::NewLimits) {
        // The journal is moved away and the engine set up anew, with what the chain holds.
        env.strictness += 1;
        env.first_slot = env.chain.slot;
        let holdings = env.chain.holdings(Commitment::Finalized, 0).clone();
        (env.found, env.before) = (holdings.tokens, [holdings.stolen, holdings.given]);
        env.missing = [false; MINTS];
        env.disk.clear();
        env.audit.new_journal(limits(env.strictness));
        env.overseer.new_journal();
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
    if env.is(Bug::PlaceAgain) {
        for ticket in env.overseer.all_acknowledged() {
            process.command(env, Command::Place(Box::new(ticket)))?;
        }
    }
    process.flush(env)?;
    Ok(process)
}

/// Announces what is not known, and books what is there at the first start.
fn set_up(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    if process.engine.mode() < Mode::Halt {
        process.command(env, Command::SetMode { mode: Mode::Halt, clear_kill: false })?;
    }
    let has = env.chain.holdings(Commitment::Finalized, 0).has;
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
        process.is_first = true;
        let slot = Slot::new(env.chain.view(Commitment::Finalized, 0).slot);
        process.command(env, Command::Opened { slot })?;
        let now = env.chain.holdings(Commitment::Finalized, 0).clone();
        // An earlier start may have died before it booked anything: what was taken or given since then is not in its books.
        for nth in 0..MINTS {
            let mint = MintId(u16::try_from(nth).unwrap_or(u16::MAX));
            if process.engine.ledger().held(mint) == 0 {
                env.before[0][nth] = now.stolen[nth];
                env.before[1][nth] = now.given[nth];
            }
        }
        let held = amounts(&now);
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
    // What is open could not be compared: whoever does not wait for it does not compare.
    let skips = process.is_first || env.is(Bug::TradeBeforeResolved);
    if process.phase == Phase::Comparing && skips {
        return released(process, env);
    }
    judge(process, env)?;
    let due = process.phase == Phase::Comparing || process.compare_at <= env.now;
    if process.known.is_none() && due && process.phase >= Phase::Comparing {
        process.compare_at = env.now + COMPARE_EVERY;
        env.asks.push(Ask::Balances);
    }
    Ok(())
}

/// Pause between two comparisons, in microseconds.
const COMPARE_EVERY: i64 = 5_000_000;
/// For so much longer a state is kept in which something cannot be told yet: what has landed becomes final by then.
const HOLD: i64 = 15_000_000;

/// What endpoints tell of ours has come.
pub(super) fn told(process: &mut Process, env: &mut Env, told: &[Told]) -> Result<(), Died> {
    let agreed = told.iter().find_map(|(_, ours): &Told| {
        let alike: Vec<u64> =
            told.iter().filter(|(_, other)| other == ours).map(|(slot, _)| *slot).collect();
        let count = u32::try_from(alike.len()).unwrap_or(u32::MAX);
        let slot = crate::execution::reached(&alike, env.nodes.count())?.height;
        is_majority(count, env.nodes.count()).then_some((slot, *ours))
    });
    let Some((slot, ours)) = agreed else { return Ok(()) };
    let slot = if env.is(Bug::CompareOld) { u64::MAX } else { slot };
    let holding = |(mint, of): (MintId, Of)| {
        let state = match of {
            Of { is_there: false, .. } => Some(AccountState::Closed { rent: Lamports::new(RENT) }),
            Of { is_delegated: true, .. } => {
                Some(AccountState::Delegated { to: Address::default() })
            }
            _ => None,
        };
        Holding { mint, amount: Atoms::new(of.amount), state }
    };
    let holdings = (0_u16..).map(MintId).zip(ours).map(holding).collect();
    process.known = Some((Slot::new(slot), Seq::new(process.seq), holdings));
    judge(process, env)
}

/// Compares the ledger with what is known of the chain, as far as anybody can tell yet, and lets trading go on.
fn judge(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    let Some((at, asked, mut holdings)) = process.known.take() else { return Ok(()) };
    let seen = Seen { at, asked, holdings: &holdings };
    let Findings { commands, open } = process.engine.compare(seen);
    for command in commands {
        let command = match command {
            Command::Missing { mint, ledger, chain } if env.is(Bug::BookLosses) => {
                Command::Withdraw { mint, amount: ledger.saturating_sub(chain) }
            }
            Command::Explained { .. } if env.is(Bug::ForgetGifts) => continue,
            command => command,
        };
        process.command(env, command)?;
    }
    holdings.retain(|holding| open.contains(&holding.mint));
    if !holdings.is_empty() {
        // One that is too old for what is booked since is never told apart: another is asked for.
        if process.compare_at + HOLD > env.now {
            process.known = Some((at, asked, holdings));
        }
        return Ok(());
    }
    process.compared = process.compared.max(at.get());
    if process.phase == Phase::Comparing { released(process, env) } else { process.flush(env) }
}

fn released(process: &mut Process, env: &mut Env) -> Result<(), Died> {
    process.phase = Phase::Trading;
    env.story.say("trading", [u64::from(process.mismatched), 0, 0], || {
        "compared with the chain".to_owned()
    });
    if recovery::may_release(process.engine.mode(), process.mismatched) {
        process.command(env, Command::SetMode { mode: Mode::Run, clear_kill: false })?;
    }
    process.sync(env)
}
