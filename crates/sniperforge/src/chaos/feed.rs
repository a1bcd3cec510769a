//! All sockets are cut, again and again: after each time the feed must know what the chain knows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sniper_core::amm::{AccountUpdate, Kind, Part};
use sniper_core::event::MarketEvent;
use sniper_core::ids::{Address, PoolId};
use sniper_core::units::Slot;
use sniper_localnet::proxy::Fault;
use sniper_solana::feed::{
    FeedEvent, FeedSettings, ReconnectionHandler, Role, Watch, WatchId, WebSocketManager,
};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use tokio::sync::mpsc;

use super::stage::{Stage, always, figure};
use super::{Scale, Scenario};

/// Longest that a feed may take to be whole again, and to reach the snapshot's slot.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often connections are looked after.
const TEND: Duration = Duration::from_millis(500);
/// From the loss of the endpoints that a feed listens to until it is whole through another.
const MOVED_MAX: f64 = 10.0;
/// Versions of an account that are kept.
const VERSIONS_MAX: usize = 64;

/// A feed on the proxies, and what it has told.
pub(super) struct Follower {
    watches: Vec<Watch>,
    events: mpsc::Receiver<FeedEvent>,
    /// By watch, oldest first.
    versions: HashMap<WatchId, Vec<(Slot, AccountUpdate)>>,
    pub(super) slot: Slot,
    pub(super) heard: Instant,
    pub(super) gaps: Vec<usize>,
    /// Gaps told so far.
    torn: usize,
    manager: WebSocketManager,
    tended: Instant,
}

impl Follower {
    pub(super) async fn start(stage: &Stage, pool: &RpcConnectionPool) -> anyhow::Result<Self> {
        let watches = watches(stage).await?;
        let reconnection = ReconnectionHandler::default();
        let mut manager =
            WebSocketManager::new(pool.clone(), FeedSettings::default(), reconnection);
        let events = manager.start_optimized_feeds(watches.clone())?;
        let mut follower = Self {
            watches,
            events,
            versions: HashMap::new(),
            slot: Slot::ZERO,
            heard: Instant::now(),
            gaps: Vec::new(),
            torn: 0,
            manager,
            tended: Instant::now(),
        };
        follower.until("be whole for the first time", |one| one.torn > 0 && one.is_whole()).await?;
        Ok(follower)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.gaps.is_empty()
    }

    async fn until(
        &mut self,
        what: &'static str,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !done(self) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            match tokio::time::timeout(left, self.events.recv()).await {
                Ok(Some(event)) => self.take(event),
                Ok(None) => bail!("the feed ended"),
                Err(_) => bail!("the feed did not {what} within {} s", PATIENCE.as_secs()),
            }
            ensure!(
                done(self) || start.elapsed() < PATIENCE,
                "the feed did not {what} within {} s",
                PATIENCE.as_secs()
            );
        }
        Ok(())
    }

    /// Takes everything that comes until then.
    pub(super) async fn listen(&mut self, until: tokio::time::Instant) {
        while let Ok(Some(event)) = tokio::time::timeout_at(until, self.events.recv()).await {
            self.take(event);
        }
    }

    /// As the engine does: a connection does not wait for an endpoint that is lost.
    fn tend(&mut self) {
        if self.tended.elapsed() >= TEND {
            self.tended = Instant::now();
            self.manager.leave_lost_endpoints();
        }
    }

    fn take(&mut self, event: FeedEvent) {
        self.tend();
        match event {
            FeedEvent::Market {
                watch, event: MarketEvent::Account { slot, update, .. }, ..
            } => {
                let versions = self.versions.entry(watch).or_default();
                if versions.len() >= VERSIONS_MAX {
                    versions.remove(0);
                }
                versions.push((slot, update));
            }
            FeedEvent::Slot { slot, .. } => {
                self.slot = self.slot.max(slot);
                self.heard = Instant::now();
            }
            FeedEvent::Gap { shard, .. } => {
                self.torn += 1;
                if !self.gaps.contains(&shard) {
                    self.gaps.push(shard);
                }
            }
            FeedEvent::Restored { shard, .. } => self.gaps.retain(|gap| *gap != shard),
            _ => {}
        }
    }

    /// Compares with a snapshot of the chain itself; gives how many accounts differ. A whole feed that has passed the
    /// snapshot's slot has told all that happened up to it.
    async fn differences(&mut self, truth: &RpcConnectionPool) -> anyhow::Result<usize> {
        let addresses: Vec<Address> = self.watches.iter().map(|watch| watch.address).collect();
        let snapshot = truth.multiple_accounts(&addresses, Commitment::Processed, None).await?;
        let (at, torn) = (snapshot.slot, self.torn);
        self.until("pass the snapshot", |one| one.slot > at).await?;
        if self.torn != torn {
            bail!("the feed was torn though nobody cut it");
        }
        let mut differ = 0;
        for ((watch, account), id) in self.watches.iter().zip(&snapshot.value).zip(0..) {
            let read = watch.read(at, account.as_ref()).context("read the snapshot")?;
            let Some(MarketEvent::Account { update: wanted, .. }) = read else { continue };
            let versions = self.versions.get(&WatchId(id)).map_or(&[][..], Vec::as_slice);
            let known = versions.iter().rev().find(|(slot, _)| *slot <= at);
            if known.map(|(_, update)| update) != Some(&wanted) {
                tracing::error!(address = %watch.address, slot = %at, "the feed knows another state");
                differ += 1;
            }
        }
        Ok(differ)
    }
}

/// The pools' states and vaults.
async fn watches(stage: &Stage) -> anyhow::Result<Vec<Watch>> {
    let truth = stage.truth().await?;
    let addresses = stage.pools()?;
    let states = truth.multiple_accounts(&addresses, Commitment::Processed, None).await?;
    let mut out = Vec::new();
    for ((address, state), id) in addresses.iter().zip(states.value).zip(0..) {
        let state = state.context("a pool of the local chain is absent")?;
        let kinds = [Kind::Cpmm, Kind::Whirlpool].into_iter();
        let kind = kinds.into_iter().find(|kind| kind.program() == state.owner);
        let kind = kind.context("a pool of the local chain has no kind that is known")?;
        let role = |part| Role::Pool { pool: PoolId(id), kind, part };
        out.push(Watch { address: *address, owner: state.owner, role: role(Part::State) });
        if kind != Kind::Cpmm {
            continue;
        }
        // Raydium's layout: discriminator, configuration, creator, then both vaults.
        for (at, second) in [(72, false), (104, true)] {
            let bytes = state.data.get(at..at + 32).context("a pool's state is too short")?;
            let address = Address::try_from(bytes).context("read a vault's address")?;
            let vault = truth.account(&address, Commitment::Processed).await?.value;
            let owner = vault.context("a vault of the local chain is absent")?.owner;
            out.push(Watch { address, owner, role: role(Part::Vault { second }) });
        }
    }
    Ok(out)
}

pub(super) async fn disconnects(scale: Scale) -> anyhow::Result<Scenario> {
    let stage = Stage::set(13).await?;
    let (pool, _monitor) = stage.pool().await?;
    let truth = stage.truth().await?;
    let mut feed = Follower::start(&stage, &pool).await?;
    let mut differ = feed.differences(&truth).await?;
    let mut slowest = Duration::ZERO;
    for nth in 0..scale.disconnects {
        let (torn, start) = (feed.torn, Instant::now());
        stage.cut_all();
        feed.until("notice that all is cut", |one| one.torn > torn)
            .await
            .with_context(|| format!("disconnect {}", nth + 1))?;
        feed.until("be whole again", Follower::is_whole)
            .await
            .with_context(|| format!("disconnect {}", nth + 1))?;
        slowest = slowest.max(start.elapsed());
        differ += feed.differences(&truth).await?;
    }
    Ok(Scenario {
        name: "disconnects",
        ok: differ == 0,
        figure: figure(differ),
        unit: "differences",
        limit: 0.0,
        detail: format!(
            "{} disconnects, {} accounts, whole again after {:.2} s at most",
            scale.disconnects,
            feed.watches.len(),
            slowest.as_secs_f64()
        ),
    })
}

/// The endpoints that the feed listens to are gone, and another is well: how long until it listens to that one.
pub(super) async fn moved() -> anyhow::Result<Scenario> {
    let stage = Stage::set(16).await?;
    let (pool, _monitor) = stage.pool().await?;
    let truth = stage.truth().await?;
    let mut feed = Follower::start(&stage, &pool).await?;
    let names: Vec<String> = pool.report().iter().map(|one| one.name.to_string()).collect();
    let (torn, start) = (feed.torn, Instant::now());
    for connection in feed.manager.report() {
        let at = names.iter().position(|name| *name == *connection.endpoint);
        stage.play(at.context("a connection has an unknown endpoint")?, always(1, &[Fault::Reset]));
    }
    stage.cut_all();
    feed.until("notice that all is cut", |one| one.torn > torn).await?;
    let whole = feed.until("listen to an endpoint that is well", Follower::is_whole).await;
    let took = start.elapsed().as_secs_f64();
    let differ = if whole.is_ok() { feed.differences(&truth).await? } else { 0 };
    Ok(Scenario {
        name: "moved",
        ok: whole.is_ok() && took <= MOVED_MAX && differ == 0,
        figure: took,
        unit: "s",
        limit: MOVED_MAX,
        detail: match whole {
            Ok(()) => format!("{differ} differences afterwards"),
            Err(error) => format!("{error:#}"),
        },
    })
}
