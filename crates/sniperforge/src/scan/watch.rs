//! What is watched, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use sniper_core::ids::Address;
use sniper_core::scan::{Figures, RowId, Verdict};
use sniper_core::units::Slot;
use sniper_solana::rpc::{Commitment, RpcConnectionPool, RpcError};
use sniper_solana::scan::{Change, ColdReport, Notice, ScanError, Scanner, Told};
use tokio::sync::mpsc::Receiver;

use super::feed::{Accounts, Fed};

/// Pools of one request: a state and two vaults each, or more that have a state alone.
const POOLS_ASKED: usize = 33;
/// Requests per slot where pools are asked for instead of told.
const POLLS_PER_SLOT: usize = 4;
/// Requests per slot for vaults that nobody tells of, of fifty pools each: more than one exchange trades on in a slot.
const VAULTS_PER_SLOT: usize = 4;
/// Verdicts read again in one slot, so that a busy market does not use up the node's patience.
const CONFIRMED_PER_SLOT: usize = 4;
/// Slots after which a verdict that did not hold may be tried again.
const DOUBT_SLOTS: u64 = 25;

/// How pools are kept fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing has been read yet.
    Starting,
    /// A node tells of what changes.
    Subscribed,
    /// Nobody tells: some pools are asked for in every slot.
    Asked,
}

/// A pool worth showing.
pub(super) struct Shown {
    pub(super) address: Address,
    pub(super) kind: &'static str,
    pub(super) figures: Figures,
    pub(super) confirmed: bool,
}

/// Everything `scan` knows.
pub(super) struct Watching {
    pub(super) scanner: Scanner,
    rpc: RpcConnectionPool,
    pub(super) started: Instant,
    pub(super) source: Source,
    /// The connection is up: what is asked for instead can rest.
    live: bool,
    pub(super) slot: u64,
    /// The newest slot that an account was told of.
    told: u64,
    /// Slot of the last pass over all pools.
    passed: u64,
    pub(super) cold: Option<(ColdReport, Duration)>,
    pub(super) scans: u64,
    pub(super) changes: u64,
    pub(super) notices: u64,
    /// Changes that only reading again brought to light.
    pub(super) repaired: u64,
    pub(super) refused: u64,
    pub(super) downs: u64,
    pub(super) busy: Duration,
    /// Verdicts of the last pass, the widest first.
    pub(super) verdicts: Vec<Verdict>,
    /// Verdicts that held when they were read again, by pools.
    pub(super) open: BTreeSet<(RowId, RowId)>,
    pub(super) opportunities: u64,
    /// When a verdict that did not hold was last tried.
    doubted: BTreeMap<(RowId, RowId), u64>,
    next_row: u32,
}

impl Watching {
    pub(super) fn new(scanner: Scanner, rpc: RpcConnectionPool, started: Instant) -> Self {
        Self {
            scanner,
            rpc,
            started,
            source: Source::Starting,
            live: false,
            slot: 0,
            told: 0,
            passed: 0,
            cold: None,
            scans: 0,
            changes: 0,
            notices: 0,
            repaired: 0,
            refused: 0,
            downs: 0,
            busy: Duration::ZERO,
            verdicts: Vec::new(),
            open: BTreeSet::new(),
            opportunities: 0,
            doubted: BTreeMap::new(),
            next_row: 0,
        }
    }

    /// What the feed says.
    pub(super) async fn take(
        &mut self,
        feed: &mut Receiver<Fed>,
        fed: Option<Fed>,
    ) -> anyhow::Result<()> {
        let mut next = self.take_one(feed, fed).await?;
        while next.is_some() {
            next = self.take_one(feed, next).await?;
        }
        Ok(())
    }

    /// Something of the feed; what came in the middle of it is still to be taken.
    async fn take_one(
        &mut self,
        feed: &mut Receiver<Fed>,
        fed: Option<Fed>,
    ) -> anyhow::Result<Option<Fed>> {
        match fed {
            None => bail!("the task that follows the programs ended; this is a fault of ours"),
            Some(Fed::Told(Told::Live)) => {
                let end = self.read_all(feed).await?;
                (self.live, self.source) = (true, Source::Subscribed);
                return Ok(end);
            }
            Some(Fed::Told(Told::Account(account))) => {
                self.notices += 1;
                self.told = self.told.max(account.slot);
                if let Some(Change::New(_)) = self.apply(&account.notice()) {
                    let at_least = Slot::new(account.slot);
                    let read = self.scanner.read_new(&self.rpc, at_least).await;
                    // Its vaults stay on the list of those to be read.
                    if let Err(error) = read {
                        tracing::warn!(%error, "the vaults of a new pool were not read");
                    }
                    self.scans += 1;
                }
            }
            Some(Fed::Told(Told::Slot(slot))) => self.reach(slot).await?,
            Some(Fed::Down(cause)) => {
                self.downs += u64::from(self.live);
                if self.source == Source::Starting {
                    tracing::warn!(%cause, "no program subscriptions: pools are asked for slot by slot");
                    let end = self.read_all(feed).await?;
                    (self.live, self.source) = (false, Source::Asked);
                    return Ok(end);
                }
                (self.live, self.source) = (false, Source::Asked);
            }
        }
        Ok(None)
    }

    /// Finds and reads all pools, and takes what is told meanwhile; tells what ended that, if something did.
    async fn read_all(&mut self, feed: &mut Receiver<Fed>) -> anyhow::Result<Option<Fed>> {
        let started = Instant::now();
        let mut told = Accounts::new(feed);
        let read = self.scanner.cold_beside(&self.rpc, unix_seconds(), &mut told).await;
        let (slots, end) = (told.slots, told.end);
        let report = read.map_err(advise)?;
        let took = started.elapsed();
        let first = self.cold.is_none();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.refused += count(report.refused + report.told_refused);
        self.notices += count(report.told);
        self.changes += count(report.told_changes);
        self.scans += count(report.told_changes);
        self.told = self.told.max(slots[1]);
        let rows = u32::try_from(self.scanner.table().rows()).unwrap_or(u32::MAX);
        let mut changed = 0;
        for row in (0..rows).map(RowId::new) {
            changed += u64::from(self.scanner.take_change(row));
        }
        self.reach(report.slot.max(slots[0]).max(self.slot)).await?;
        if first {
            self.cold = Some((report, took));
            // Every pool was decoded, priced and, by the pass just made, judged.
            self.scans += count(report.pools.saturating_sub(report.refused + report.unread));
            self.busy += took;
        } else {
            self.scans += changed;
            self.repaired += changed;
        }
        Ok(end)
    }

    /// An account as it is now; what was done with it.
    fn apply(&mut self, notice: &Notice<'_>) -> Option<Change> {
        let started = Instant::now();
        let applied = self.scanner.apply(notice, unix_seconds());
        self.busy += started.elapsed();
        match applied {
            Ok(change) => {
                if let Change::Settled(row) = change
                    && self.scanner.take_change(row)
                {
                    self.scans += 1;
                    self.changes += 1;
                }
                Some(change)
            }
            Err(error) => {
                tracing::debug!(%error, "account left out");
                self.refused += 1;
                None
            }
        }
    }

    /// The chain is at a slot: pools that waited settle, and all are looked at in one pass.
    async fn reach(&mut self, slot: u64) -> anyhow::Result<()> {
        self.slot = self.slot.max(slot);
        if self.source == Source::Starting && self.cold.is_none() && self.scanner.table().is_empty()
        {
            return Ok(());
        }
        self.read_told().await;
        let before = self.scanner.report().scans;
        let started = Instant::now();
        // Accounts of a confirmed slot come while the node is already at a later one.
        let settled = self.slot.saturating_sub(2);
        self.scanner.settle(Slot::new(settled), unix_seconds())?;
        let late = self.scanner.report().scans.saturating_sub(before);
        self.scans += late;
        self.changes += late;
        if self.slot > self.passed {
            self.passed = self.slot;
            self.verdicts.clone_from(&self.scanner.cycle().verdicts);
            self.verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.edge));
        }
        self.busy += started.elapsed();
        self.confirm().await;
        Ok(())
    }

    /// Reads the vaults of pools that were told to have changed, where nobody tells of the vaults.
    async fn read_told(&mut self) {
        let at_least = Slot::new(self.told);
        match self.scanner.read_told(&self.rpc, at_least, VAULTS_PER_SLOT).await {
            Ok(rows) => {
                for row in rows {
                    let changed = u64::from(self.scanner.take_change(row));
                    self.scans += changed;
                    self.changes += changed;
                }
            }
            // They stay on the list of those to be read.
            Err(error) => tracing::debug!(%error, "vaults of changed pools not read"),
        }
    }

    /// Reads the pools of new verdicts again, each verdict's in one request.
    async fn confirm(&mut self) {
        let now: BTreeSet<_> = self.verdicts.iter().map(|v| (v.buy, v.sell)).collect();
        self.open.retain(|pair| now.contains(pair));
        let slot = self.slot;
        self.doubted.retain(|_, tried| slot.saturating_sub(*tried) < DOUBT_SLOTS);
        let new = |v: &&Verdict| {
            let pair = (v.buy, v.sell);
            !self.open.contains(&pair) && !self.doubted.contains_key(&pair)
        };
        let wanted: Vec<Verdict> =
            self.verdicts.iter().filter(new).take(CONFIRMED_PER_SLOT).copied().collect();
        for verdict in wanted {
            let pair = (verdict.buy, verdict.sell);
            let confirmed = self.scanner.confirm(&self.rpc, verdict, unix_seconds()).await;
            for row in [verdict.buy, verdict.sell] {
                let changed = u64::from(self.scanner.take_change(row));
                self.scans += changed;
                self.changes += changed;
            }
            match confirmed {
                Ok(Some(_)) => {
                    self.open.insert(pair);
                    self.opportunities += 1;
                }
                Ok(None) => drop(self.doubted.insert(pair, slot)),
                Err(error) => {
                    tracing::debug!(%error, "a verdict was not read again");
                    self.doubted.insert(pair, slot);
                }
            }
        }
    }

    /// Reads a few pools again, one after the other through the table.
    pub(super) async fn repair(&mut self) -> anyhow::Result<()> {
        if self.cold.is_some() && self.live {
            self.repaired += self.ask(1).await;
        }
        Ok(())
    }

    /// Where nobody tells: asks for the slot and for some pools.
    pub(super) async fn poll(&mut self) -> anyhow::Result<()> {
        if self.live || self.cold.is_none() {
            return Ok(());
        }
        match self.rpc.slot(Commitment::Confirmed).await {
            Ok(slot) if slot.get() > self.slot => {
                self.ask(POLLS_PER_SLOT).await;
                self.reach(slot.get()).await?;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "slot not read"),
        }
        Ok(())
    }

    /// Asks for the next pools of the table, so many requests; how many had changed.
    async fn ask(&mut self, requests: usize) -> u64 {
        let before = self.changes;
        for _ in 0..requests {
            let rows = u32::try_from(self.scanner.table().rows()).unwrap_or(u32::MAX);
            let mut keys = Vec::with_capacity(POOLS_ASKED * 3);
            let mut looked = 0;
            while keys.len() + 3 <= POOLS_ASKED * 3 && looked < rows {
                looked += 1;
                let row = RowId::new(self.next_row);
                self.next_row = if self.next_row + 1 >= rows { 0 } else { self.next_row + 1 };
                match self.scanner.accounts(row) {
                    Ok(accounts) => keys.extend(accounts),
                    Err(error) => tracing::debug!(%error, "a pool is not read again"),
                }
            }
            if keys.is_empty() {
                break;
            }
            match self.rpc.multiple_accounts(&keys, Commitment::Confirmed, None).await {
                Ok(read) => {
                    let slot = read.slot.get();
                    for (address, account) in keys.into_iter().zip(read.value) {
                        let (owner, data) = account
                            .map_or_else(Default::default, |a| (a.owner.to_string(), a.data));
                        self.apply(&Notice { address, owner: &owner, slot, data: &data });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "pools not read again");
                    break;
                }
            }
        }
        self.changes.saturating_sub(before)
    }

    /// Pools to show: those of the widest verdicts first, then of the deep ones those that moved most, then of the
    /// others.
    pub(super) fn top(&self, count: usize) -> Vec<Shown> {
        let table = self.scanner.table();
        let mut rows = Vec::with_capacity(count);
        let mut taken = BTreeSet::new();
        for verdict in &self.verdicts {
            for row in [verdict.buy, verdict.sell] {
                if rows.len() < count && taken.insert(row) {
                    rows.push(row);
                }
            }
        }
        for deep in [true, false] {
            if rows.len() >= count {
                break;
            }
            let all = u32::try_from(table.rows()).unwrap_or(u32::MAX);
            let mut rest: Vec<_> = (0..all)
                .map(RowId::new)
                .filter(|row| !taken.contains(row) && table.was_deep(*row) == deep)
                .filter_map(|row| Some((table.moves(row)?, row)))
                .filter(|((volatility, is_priced), _)| deep || (*is_priced && *volatility > 0))
                .map(|((volatility, _), row)| (volatility, row))
                .collect();
            rest.sort_unstable_by_key(|(volatility, row)| (std::cmp::Reverse(*volatility), *row));
            rows.extend(
                rest.into_iter().map(|(_, row)| row).take(count.saturating_sub(rows.len())),
            );
        }
        let shown = rows.into_iter().filter_map(|row| {
            let pool = table.get(row)?;
            let figures = table.figures(row, Slot::new(self.slot))?;
            let confirmed = figures.verdict.is_some_and(|v| self.open.contains(&(v.buy, v.sell)));
            Some(Shown { address: pool.address, kind: kind_name(pool.kind), figures, confirmed })
        });
        shown.collect()
    }

    /// How many pools there are of each kind.
    pub(super) fn by_kind(&self) -> BTreeMap<&'static str, usize> {
        let table = self.scanner.table();
        let rows = u32::try_from(table.rows()).unwrap_or(u32::MAX);
        let mut out = BTreeMap::new();
        for pool in (0..rows).filter_map(|row| table.get(RowId::new(row))) {
            *out.entry(kind_name(pool.kind)).or_insert(0) += 1;
        }
        out
    }
}

fn kind_name(kind: sniper_core::scan::Kind) -> &'static str {
    use sniper_core::scan::Kind;
    match kind {
        Kind::Cpmm => "cpmm",
        Kind::AmmV4 => "amm_v4",
        Kind::PumpSwap => "pump_swap",
        Kind::Whirlpool => "whirlpool",
        Kind::Clmm => "clmm",
        Kind::Dlmm => "dlmm",
        Kind::PumpCurve => "pump_curve",
        _ => "other",
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A node that refuses to list a program's accounts is the error that most meet first.
fn advise(error: ScanError) -> anyhow::Error {
    let method = match &error {
        ScanError::Rpc(
            RpcError::Node { method, .. }
            | RpcError::Status { method, .. }
            | RpcError::RateLimited { method, .. }
            | RpcError::Timeout { method, .. },
        ) => *method,
        _ => "",
    };
    let error = anyhow::Error::from(error);
    if method == "getProgramAccounts" {
        return error.context(
            "list the pools: the node does not serve getProgramAccounts; name one that does (your own, or a provider's \
             plan that includes it), or ask for less with --kind or --mint",
        );
    }
    error.context("read the pools")
}
