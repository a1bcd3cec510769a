//! New coins, from a transaction's log to a verdict: on a thread of its own, as launch programs print thousands of lines a
//! second, and none of that may hold up a trade.
//!
//! The engine hears of a coin only once the token gate has called it safe, so what is not bought costs it nothing. What
//! transactions printed while the connection was down is not read again: a coin that is a minute old is no longer new.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::amm::Kind;
use sniper_core::gate::Verdict;
use sniper_core::ids::Address;
use sniper_core::launch::{Detected, Detector, Program, Stage};
use sniper_core::market::WRAPPED_SOL;
use sniper_core::units::Slot;
use sniper_solana::feed::{LogEvent, LogSettings, LogWatch, ReconnectionHandler, Sighting};
use sniper_solana::launch::{Located, Patience, locate};
use sniper_solana::rpc::{EndpointConfig, EndpointName, PoolSettings, RpcConnectionPool};
use tokio::sync::{Semaphore, mpsc, watch};

use super::endpoints::{Share, keep_members};
use super::gate::may_change;
use super::judge::Judge;
use super::universe::{Found, account_rent};

/// Pools remembered, so that each is news once.
const KNOWN_MAX: usize = 100_000;
/// Launches looked at together; more at once are passed over, and counted.
const SEATS: usize = 8;
/// How often a launch is looked at until all of it is known: nodes tell of transactions before they let them be read.
const LOOKS_MAX: u32 = 24;
/// The longest pause between two looks, where no slot comes.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is looked whether the endpoint that is listened to is still a member.
const MEMBERS_EVERY: Duration = Duration::from_secs(2);

/// What came of a launch.
#[derive(Debug)]
pub(super) enum Find {
    /// It was judged.
    Judged(Box<Candidate>),
    /// It was not looked at: too many at once, or of a kind that is not traded.
    Passed,
    /// It could not be read.
    Unread,
    /// The pool of a coin that is held from an earlier run, which could not be read before.
    Held(Box<Found>),
}

/// A pool that was made, and the word on its coin.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) found: Found,
    pub(super) verdict: Verdict,
    /// In which slot the pool was made.
    pub(super) slot: Slot,
    /// From the notice's arrival to the verdict.
    pub(super) took: Duration,
}

/// What a scout needs: endpoints with a share of their budgets for it alone, since it has a thread of its own.
pub(super) struct Orders {
    pub(super) endpoints: Vec<EndpointConfig>,
    /// Whole endpoints, as they come and go, and what of them is the scout's.
    pub(super) wanted: watch::Receiver<Vec<EndpointConfig>>,
    pub(super) share: Share,
    pub(super) settings: PoolSettings,
    pub(super) programs: Vec<Program>,
    /// Judges on the scout's own connections; its `rpc` is replaced.
    pub(super) judge: Judge,
    pub(super) finds: mpsc::Sender<Find>,
}

/// Starts the thread. It ends when nobody takes finds any more, or with the process.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(orders: Orders) -> anyhow::Result<JoinHandle<()>> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                if let Err(error) = watch(orders).await {
                    tracing::error!(error = format!("{error:#}"), "new pools are not looked at");
                }
            }),
            Err(error) => tracing::error!(%error, "new pools are not looked at"),
        }
    };
    std::thread::Builder::new().name("scout".to_owned()).spawn(run).context("start the scout")
}

async fn watch(orders: Orders) -> anyhow::Result<()> {
    let Orders { endpoints, wanted, share, settings, programs, mut judge, finds } = orders;
    let rpc = RpcConnectionPool::connect(endpoints, settings).await?;
    // Both end with the thread's runtime.
    tokio::spawn(rpc.clone().monitor());
    tokio::spawn(keep_members(rpc.clone(), wanted.clone(), share));
    judge.rpc = rpc.clone();
    let addresses: Vec<Address> = programs.iter().map(|program| program.address()).collect();
    let listen = || {
        let (rpc, reconnection) = (rpc.clone(), ReconnectionHandler::default());
        LogWatch::start(rpc, addresses.clone(), LogSettings::default(), reconnection)
    };
    let (mut log_watch, mut notices) = listen()?;
    let mut listening = None;
    let mut looks = tokio::time::interval(MEMBERS_EVERY);
    let (judge, seats) = (Arc::new(judge), Arc::new(Semaphore::new(SEATS)));
    let mut detector = Detector::new(KNOWN_MAX);
    let mut sightings = Vec::new();
    loop {
        let event = tokio::select! {
            event = notices.recv() => event,
            () = finds.closed() => None,
            _ = looks.tick() => {
                let is_member = |name: &EndpointName| rpc.report().iter().any(|member| member.name == *name);
                if listening.as_ref().is_some_and(|name| !is_member(name)) {
                    // Its endpoint was taken away: listen to one that is here.
                    (log_watch, notices) = listen()?;
                    listening = None;
                }
                continue;
            }
        };
        match event {
            None => break,
            Some(LogEvent::Logs(notice)) => notice.detect(&mut detector, &mut sightings),
            Some(LogEvent::Up { endpoint }) => {
                tracing::info!(%endpoint, "listening for new pools");
                listening = Some(endpoint);
            }
            Some(LogEvent::Down { cause, .. }) => {
                tracing::warn!(%cause, "new pools may be missed until the connection is back");
            }
            Some(LogEvent::Missed(count)) => {
                tracing::warn!(count, "transactions not looked at for new pools: too many at once");
            }
        }
        for sighting in sightings.drain(..) {
            let seat = Arc::clone(&seats).try_acquire_owned();
            let (Ok(seat), true) = (seat, is_of_use(&sighting.detected)) else {
                // Only a counter hangs on it.
                finds.try_send(Find::Passed).ok();
                continue;
            };
            let (judge, finds) = (Arc::clone(&judge), finds.clone());
            tokio::spawn(async move {
                for find in look(&judge, &sighting).await {
                    // Nobody listens any more when the run has ended.
                    finds.send(find).await.ok();
                }
                drop(seat);
            });
        }
    }
    drop(log_watch);
    Ok(())
}

/// Whether what was made can be traded: a curve moves lamports, which no order of ours does, and one that is complete
/// trades no more.
fn is_of_use(detected: &Detected) -> bool {
    match detected {
        Detected::Launch(launch) => {
            launch.kind != Kind::PumpCurve && !matches!(launch.stage, Stage::Complete)
        }
        Detected::Fetch(fetch) => fetch.program.is_none_or(|program| program != Program::PumpFun),
    }
}

async fn look(judge: &Judge, sighting: &Sighting) -> Vec<Find> {
    let creator = match &sighting.detected {
        Detected::Launch(launch) => launch.creator,
        Detected::Fetch(_) => None,
    };
    let pools = match locate(&judge.rpc, sighting, Patience::default()).await {
        Ok(located) => located,
        Err(error) => {
            tracing::warn!(%error, "it is not known which pool a transaction has made");
            return vec![Find::Unread];
        }
    };
    let mut finds = Vec::with_capacity(pools.len());
    for Located { pool, .. } in pools {
        let find = judged(judge, sighting, pool, creator).await;
        if let Find::Judged(found) = &find {
            judge.note(&found.verdict);
        }
        finds.push(find);
    }
    finds
}

/// Looks at a pool until everything asked is known, slot after slot, but not for long.
async fn judged(
    judge: &Judge,
    sighting: &Sighting,
    pool: Address,
    creator: Option<Address>,
) -> Find {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        match candidate(judge, sighting, pool, creator).await {
            Ok(Some(found)) if may_change(&found.verdict) => last = Some(found),
            Ok(Some(found)) => return Find::Judged(Box::new(found)),
            Ok(None) => return Find::Passed,
            Err(error) => {
                tracing::debug!(%pool, error = format!("{error:#}"), "a new pool cannot be read yet");
            }
        }
        let mut slots = judge.rpc.slots();
        slots.mark_unchanged();
        // A pool that hears of no slot is looked at again all the same.
        tokio::time::timeout(PAUSE, slots.changed()).await.ok();
    }
    last.map_or(Find::Unread, |found| Find::Judged(Box::new(found)))
}

/// None when the pool's coin is no coin that could be bought: both of its mints are money, or neither is.
async fn candidate(
    judge: &Judge,
    sighting: &Sighting,
    pool: Address,
    creator: Option<Address>,
) -> anyhow::Result<Option<Candidate>> {
    let mut sight = judge.look(Some(pool)).await?;
    let at = sight.found.iter().position(|found| found.address == pool);
    let at = at.context("find the pool among those read")?;
    let mut found = sight.found.swap_remove(at);
    let is_money = |mint: &Address| *mint == WRAPPED_SOL || judge.wanted.usd_mints.contains(mint);
    let [first, second] = &mut found.mints;
    let coin = match (is_money(&first.address), is_money(&second.address)) {
        (true, false) => second,
        (false, true) => first,
        _ => return Ok(None),
    };
    // Its account is made by the first order that buys it.
    coin.rent = account_rent(&judge.rpc, &coin.address).await?;
    let mint = coin.address;
    let verdict = judge.judge(&sight, mint, creator).await;
    let took = Instant::now().saturating_duration_since(sighting.received);
    Ok(Some(Candidate { found, verdict, slot: sighting.slot, took }))
}
