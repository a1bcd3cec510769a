//! Starting: a crash and a first start share one path. Replay what the journal holds, ask the chain about every
//! order that was signed, compare the ledger with the chain, and only then trade.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::{Command, Event, MarketEvent};
use sniper_core::execution::recovery::{self, Recovery};
use sniper_core::ids::{MintId, OrderId, PoolId};
use sniper_core::risk::Mode;
use sniper_core::units::{Atoms, Lamports, Slot, Usd};
use sniper_solana::rpc::{At, Commitment, Landed, RpcConnectionPool, SendRequest};
use sniper_solana::tx::{BlockhashCache, Priority, sign};
use sniper_solana::venue::{ChainBalances, Prepared, SolanaVenue};
use sniper_store::failpoint::{Point, pass};
use sniper_store::journal::{Bounds, Owner, Recovery as Reopening};
use tokio::sync::mpsc;

use super::desk::Desk;
use super::lookup;
use super::plan::Plan;
use super::publish::Publisher;
use super::replay::{ReplaySummary, Replayed, Wire};
use super::scout::Find;
use super::session::{LiveSigner, Orders, Session, Sources};
use super::tables::Tables;
use super::trade::Background;
use super::universe::{self, Universe};

/// Pause between two tries to read the pool of a coin that is held.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What the start found.
pub(super) struct Opened {
    pub(super) desk: Desk,
    pub(super) wires: Vec<Wire>,
}

/// Opens the journal in the folder `journal` and brings the engine to where it ends.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(super) fn open(
    journal: &Path,
    owner: Owner,
    bounds: Bounds,
    config: &EngineConfig,
    publisher: Publisher,
    mut tables: Option<Tables>,
) -> anyhow::Result<Opened> {
    let recovery = Reopening::open(journal, owner)?;
    let segments = recovery.segments();
    let named = || format!("replay the journal {}", journal.display());
    // Tables that are new are filled by a replay of everything, as long as everything is there.
    let is_whole = segments.first() == 0;
    let fills = is_whole && tables.as_ref().is_some_and(Tables::is_new);
    let (replay, mut reader) =
        super::replay::begin(segments, |_| !fills, tables.as_mut()).with_context(named)?;
    let replayed = replay.run(&mut reader, tables.as_mut()).with_context(named)?;
    if let Some(replayed) = &replayed {
        is_ours(journal, replayed, config)?;
    }
    if reader.torn_bytes() > 0 {
        tracing::warn!(
            bytes = reader.torn_bytes(),
            "a torn record at the journal's end was cut off"
        );
    }
    // Only now is anything changed.
    let mut file = recovery.write(&reader, bounds)?;
    file.ready_ahead();
    let Some(replayed) = replayed else {
        let engine = MultiStrategyEngine::new(config.clone())?;
        let mut desk = Desk::new(engine, file, Digest::default(), publisher, tables);
        desk.write_header(config)?;
        return Ok(Opened { desk, wires: Vec::new() });
    };
    let ReplaySummary { events, from_segment, .. } = replayed.summary;
    tracing::info!(events, from_segment, "journal replayed");
    let mut desk = Desk::new(replayed.engine, file, replayed.digest, publisher, tables);
    desk.started(replayed.started);
    // Nothing is approved before the chain was asked about what was signed, and the ledger compared: see `release`.
    if desk.engine().mode() < Mode::Halt {
        desk.step(Event::Command(Command::SetMode { mode: Mode::Halt, clear_kill: false }))?;
    }
    Ok(Opened { desk, wires: replayed.wires })
}

fn is_ours(journal: &Path, replayed: &Replayed, config: &EngineConfig) -> anyhow::Result<()> {
    if let Some(seq) = replayed.summary.first_difference {
        bail!(
            "the journal {} does not replay: after event {seq} the engine is not what it was. It was written by \
             another version of this program; finish with that one, or move the journal away with no order in flight",
            journal.display()
        );
    }
    ensure!(
        replayed.engine.config() == config,
        "the journal {} was written with other settings. Restore them, or, with no order in flight, move the journal \
         away to start anew with what the chain holds",
        journal.display()
    );
    Ok(())
}

/// Whether money was ever booked: only then is there something to compare with the chain.
pub(super) fn is_funded(desk: &Desk) -> bool {
    recovery::is_funded(desk.engine().ledger())
}

/// Books the opening cash of paper trading, once.
pub(super) fn fund_paper(desk: &mut Desk, lamports: Lamports, cash: Usd) -> anyhow::Result<()> {
    if is_funded(desk) {
        return Ok(());
    }
    let mints = desk.engine().market().mints();
    let usd = mints.iter().position(|m| m.spec.is_usd).and_then(|i| u16::try_from(i).ok());
    let usd = usd.map(MintId).context("find a dollar mint to hold the opening cash")?;
    let cash =
        desk.engine().market().atoms(usd, cash).context("count the opening cash in atoms")?;
    open_books(desk, &[(MintId::SOL, Atoms::new(lamports.get())), (usd, cash)])
}

/// Books what was found at the first start, in an order in which a crash halfway leaves it unbooked.
fn open_books(desk: &mut Desk, found: &[(MintId, Atoms)]) -> anyhow::Result<()> {
    for deposit in recovery::opening(desk.engine().ledger(), found) {
        desk.step(Event::Command(deposit))?;
        desk.flush()?;
        pass(Point::SetupBooks);
    }
    desk.sync()?;
    Ok(())
}

/// A venue that knows what the market knows.
pub(super) fn venue(
    desk: &Desk,
    rpc: &RpcConnectionPool,
    signer: LiveSigner,
    blockhash: &BlockhashCache,
) -> anyhow::Result<SolanaVenue<LiveSigner>> {
    let settings = sniper_solana::venue::TrackerSettings::default();
    let mut venue = SolanaVenue::new(rpc.clone(), signer, blockhash.clone(), settings);
    let market = desk.engine().market();
    for mint in market.mints().iter().skip(1) {
        venue.learn(&MarketEvent::Mint(mint.spec))?;
    }
    for pool in market.pools() {
        venue.learn(&MarketEvent::Pool(Box::new(pool.spec.clone())))?;
    }
    Ok(venue)
}

/// At the first start: makes the token accounts that are missing, and a lookup table if one is wanted, and books all that is found, and what making
/// them cost. Nothing is booked before it is known, so a crash in between only repeats the look.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(super) async fn fund_from_chain(
    desk: &mut Desk,
    rpc: &RpcConnectionPool,
    venue: &SolanaVenue<LiveSigner>,
    plan: &Plan,
) -> anyhow::Result<()> {
    if is_funded(desk) {
        return Ok(());
    }
    let before = balances(venue, Slot::ZERO).await?.value;
    ensure!(
        before.lamports > Lamports::ZERO,
        "the wallet {} holds no SOL on this chain: fees could not be paid",
        venue.builder().owner()
    );
    let mut costs = Vec::new();
    if before.tokens.iter().any(|token| !token.exists()) {
        pass(Point::SetupBefore);
        let hash =
            rpc.latest_blockhash(Commitment::Confirmed).await.context("read a blockhash")?.value;
        let messages =
            venue.builder().setup_transactions(Lamports::ZERO, Priority::default(), &hash.hash)?;
        for message in messages {
            let signed =
                sign(&message, venue.signer()).context("sign the making of token accounts")?;
            let prepared = Prepared::from_journal(
                OrderId::default(),
                signed.signature,
                hash.last_valid,
                signed.bytes,
            )?;
            costs.push(land(rpc, venue, &prepared).await.context("make our token accounts")?);
        }
    }
    if plan.lookups.make {
        costs.extend(lookup::make(rpc, venue, &plan.folder).await?);
    }
    let slot = costs.iter().map(|landed| landed.slot).max().unwrap_or_default();
    let after = balances(venue, slot).await?;
    pass(Point::SetupUnbooked);
    for landed in &costs {
        let paid = landed.lamports_before.saturating_sub(landed.lamports_after);
        let rent = paid.saturating_sub(landed.fee);
        desk.step(Event::Command(Command::Fee { lamports: landed.fee }))?;
        desk.step(Event::Command(Command::Rent { lamports: rent }))?;
    }
    let found: Vec<_> = universe::balances(&after.value).collect();
    desk.step(Event::Command(Command::Opened { slot: after.slot }))?;
    open_books(desk, &found)
}

/// After a restart: coins that an earlier run had announced are followed again where something of them is held. Of the
/// others nobody tells any more, so what is known of their pools must not be taken for the market.
pub(super) async fn take_up_newcomers(
    session: &mut Session,
    wanted: &Universe,
    finds: &mpsc::Sender<Find>,
    background: &mut Background,
) -> anyhow::Result<()> {
    let engine = session.desk.engine();
    let announced = (0_u32..).map(PoolId).zip(engine.market().pools());
    let others = announced.filter(|(_, pool)| !wanted.pools.contains(&pool.spec.address));
    let others: Vec<_> = others
        .map(|(id, pool)| {
            let market = engine.market();
            let is_coin =
                |mint: &MintId| !market.is_usd(*mint) && market.wrapped_sol() != Some(*mint);
            let held = |mint: &MintId| {
                engine.ledger().held(*mint) != 0 || engine.orders().any_touches(*mint)
            };
            let is_held = pool.spec.mints.iter().any(|mint| is_coin(mint) && held(mint));
            (id, pool.spec.address, is_held, pool.live.is_settled() || pool.live.is_torn())
        })
        .collect();
    for (pool, address, is_held, is_known) in others {
        if is_known {
            let lost = Event::Market(MarketEvent::Lost { pool });
            session.step(lost, std::time::Instant::now())?;
        }
        if !is_held {
            continue;
        }
        let one = Universe { pools: vec![address], ..wanted.clone() };
        match universe::discover(&session.rpc, &one).await {
            Ok(found) => found.iter().try_for_each(|found| session.take_up(found))?,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(pool = %address, error, "{UNREAD}");
                background.spawn(take_up_later(session.rpc.clone(), one, finds.clone()));
            }
        }
    }
    Ok(())
}

const UNREAD: &str =
    "a coin is held whose pool cannot be read: it cannot be sold until it is; asking again";

/// Asks for a pool until it can be read, and has it followed then.
async fn take_up_later(rpc: RpcConnectionPool, one: Universe, finds: mpsc::Sender<Find>) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        match universe::discover(&rpc, &one).await {
            Ok(found) => {
                for found in found {
                    // Nobody listens any more when the run has ended.
                    finds.send(Find::Held(Box::new(found))).await.ok();
                }
                return;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(pools = ?one.pools, error, "{UNREAD}");
            }
        }
    }
}

/// Sends a transaction and waits until the chain says how it ended.
pub(super) async fn land(
    rpc: &RpcConnectionPool,
    venue: &SolanaVenue<LiveSigner>,
    prepared: &Prepared,
) -> anyhow::Result<Landed> {
    let request = SendRequest::new(prepared.base64(), prepared.signature(), false)?;
    let owner = venue.builder().owner();
    let mut every = tokio::time::interval(Duration::from_millis(400));
    loop {
        every.tick().await;
        if let Some(landed) =
            rpc.transaction(&prepared.signature(), &owner, Commitment::Confirmed).await?
        {
            pass(Point::SetupLanded);
            return match &landed.err {
                None => Ok(landed),
                Some(error) => bail!("the transaction failed on the chain: {}", error.text),
            };
        }
        if rpc.block_height(Commitment::Finalized).await? > prepared.last_valid() {
            bail!("the transaction did not land while it could");
        }
        // The same bytes again: the chain takes them once.
        if let Err(errors) = rpc.send_transaction(&request).await {
            for error in errors {
                tracing::warn!(%error, "not accepted, asking again");
            }
        }
    }
}

/// Our balances as of `at_least` or later.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(super) async fn balances(
    venue: &SolanaVenue<LiveSigner>,
    at_least: Slot,
) -> anyhow::Result<At<ChainBalances>> {
    let mints: Vec<MintId> = venue.builder().mints().map(|(id, ..)| id).collect();
    let mut every = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..100 {
        every.tick().await;
        let read = venue.chain_balances(&mints).await.context("read our balances")?;
        if read.slot >= at_least {
            return Ok(read);
        }
    }
    bail!("no endpoint has reached slot {at_least}, in which something of ours landed")
}

/// What the chain holds for us now; none on paper.
pub(super) async fn held(
    orders: &Orders,
    landed: Slot,
) -> anyhow::Result<Option<At<ChainBalances>>> {
    match orders {
        Orders::Paper(..) => Ok(None),
        Orders::Chain(venue) => Ok(Some(balances(venue, landed).await?)),
    }
}

/// After a restart: every order the journal left open is brought to its end by what the chain says, before
/// anything new is approved; then the ledger is compared with the chain.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(super) async fn resolve(
    session: &mut Session,
    sources: &mut Sources,
    wires: Vec<Wire>,
) -> anyhow::Result<()> {
    pass(Point::AskBefore);
    let orders = session.desk.engine().orders();
    let is_open = !orders.all().is_empty();
    // The newest record of an order counts: the one before it was never sent.
    let record = |order| {
        let wire = wires.iter().rfind(|wire| wire.order == order)?;
        Some((wire.signature, wire.last_valid))
    };
    let owed = recovery::owed(orders, record);
    let halt = Command::SetMode { mode: Mode::Halt, clear_kill: false };
    if is_open && session.desk.engine().mode() < Mode::Halt {
        session.step(Event::Command(halt), std::time::Instant::now())?;
    }
    for owed in owed {
        match (&session.orders, owed) {
            (Orders::Paper(..), owed) => end_on_paper(session, &owed)?,
            (_, Recovery::Follow { order, signature, last_valid, untold, landing }) => {
                let wire = wires.iter().rfind(|w| w.order == order && w.signature == signature);
                let bytes = wire.map(|wire| wire.bytes.clone()).with_context(|| lost(order))?;
                let prepared = Prepared::from_journal(order, signature, last_valid, bytes)?;
                tracing::info!(%order, "asking the chain what became of an order");
                session.resume(prepared, untold, landing)?;
            }
            (_, Recovery::Reject { order, reason }) => session.reject(order, reason)?,
            (_, Recovery::Lost { order }) => bail!("{}", lost(order)),
        }
    }
    session.drain(sources).await?;
    pass(Point::AskAfter);
    if let Orders::Chain(venue) = &session.orders {
        let found = balances(venue, session.landed()).await?;
        if !universe::agrees(&session.desk, &found.value) {
            // It may be taken back yet, or be explained: a final state says what is so.
            tracing::warn!(
                "ledger and chain are not the same: waiting for a final state to compare with"
            );
            session.compare_now(sources, found.slot).await?;
        }
    }
    session.desk.checkpoint()?;
    Ok(())
}

fn lost(order: OrderId) -> String {
    format!(
        "order {order} was signed but its bytes are not in the journal: it cannot be followed; restore the journal from a \
         copy"
    )
}

/// The simulated venue forgets at the end of the process: what was in flight never lands.
fn end_on_paper(session: &mut Session, owed: &Recovery) -> anyhow::Result<()> {
    let order = match *owed {
        Recovery::Reject { order, reason } => return session.reject(order, reason),
        Recovery::Follow { order, .. } | Recovery::Lost { order } => order,
    };
    let expired = sniper_core::event::OrderEvent::Expired { order };
    session.step(Event::Order(expired), std::time::Instant::now())
}

/// A person has started the engine: whatever halt the last run ended with is over, unless its cause still holds.
///
/// Losses of the day and falls from the peak are judged again at the next valuation, a difference to the chain
/// was judged just before, and KILL is a latch that no start opens.
pub(super) fn release(session: &mut Session) -> anyhow::Result<()> {
    if !recovery::may_release(session.desk.engine().mode(), session.mismatched()) {
        return Ok(());
    }
    let run = Command::SetMode { mode: Mode::Run, clear_kill: false };
    session.step(Event::Command(run), std::time::Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::telemetry::RunMode;

    #[test]
    fn after_a_replay_nothing_is_approved_before_the_chain_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let config = Config::load(&Sources::default()).unwrap().engine(None);
        let opened = || {
            let publisher = Publisher::new(RunMode::Live, String::new(), None);
            open(&journal, Owner::default(), Bounds::default(), &config, publisher, None)
                .unwrap()
                .desk
        };
        let mut first = opened();
        assert_eq!(first.engine().mode(), Mode::Run, "a new journal has nothing to ask after");
        first.sync().unwrap();
        drop(first);
        assert_eq!(opened().engine().mode(), Mode::Halt);
    }
}
