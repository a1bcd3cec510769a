//! The token gate at work: every mint that nobody vouches for is judged before it may be bought, and again and again.
//!
//! What the gate wants to know is read over RPC beside the trading; the answer comes to the engine as an event, so that a
//! replay has it, and with every reason into the tables. Until a mint was found safe, review refuses to buy it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sniper_core::amm::{Kind, PoolKind, amm_v4, cpmm};
use sniper_core::event::{Event, MarketEvent};
use sniper_core::gate::{Evidence, Fact, Places, Policy, RoundTrip, Verdict, Why, judge};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::market::{Market, Pool};
use sniper_core::order::Hop;
use sniper_core::units::{Atoms, Timestamp, Usd};
use sniper_solana::gate::{LiquidityAt, Rehearsal, Request, TokenPool, gather, rehearse};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use sniper_solana::tx::TransactionBuilder;
use sniper_store::tables::{StoreHandle, StoreRow};
use tokio::sync::mpsc;

use super::snapshot;
use super::universe::Universe;

/// Pause between two judgements of all mints: well within the time that a word holds.
const EVERY: Duration = Duration::from_secs(300);
/// Pause after one that could not even begin.
const RETRY: Duration = Duration::from_secs(10);
/// The longest that gathering evidence on one mint may take.
const WITHIN: Duration = Duration::from_secs(10);
/// What a rehearsal spends.
const SPEND: Usd = Usd::dollars(10);

/// Judges mints for one run.
pub(super) struct Gatekeeper {
    pub(super) rpc: RpcConnectionPool,
    pub(super) wanted: Universe,
    pub(super) policy: Policy,
    /// Builds what is rehearsed: it knows mints and pools by the engine's numbers.
    pub(super) builder: TransactionBuilder,
    /// Mints as the engine numbers them.
    pub(super) mints: Vec<(MintId, Address)>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tables: Option<StoreHandle>,
}

impl Gatekeeper {
    /// Judges until the run ends; returns at once when there is nothing to judge.
    pub(super) async fn keep(self) {
        if self.mints.is_empty() {
            return;
        }
        loop {
            let pause = match snapshot::read(&self.rpc, &self.wanted).await {
                Ok(market) => {
                    for (id, address) in &self.mints {
                        let verdict = self.judge(&market, *address).await;
                        if !self.tell(*id, verdict).await {
                            return;
                        }
                    }
                    EVERY
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "tokens cannot be judged: none of them is bought");
                    // An error takes back an earlier word: it is not safe, never safe until read again.
                    for (id, address) in &self.mints {
                        let nothing = Evidence::nothing(*address, Why::Unreachable);
                        let verdict = judge(&nothing, &self.policy, self.rpc.highest_slot());
                        if !self.tell(*id, verdict).await {
                            return;
                        }
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// Whether anybody still listens.
    async fn tell(&self, mint: MintId, verdict: Verdict) -> bool {
        let reasons: Vec<String> = verdict.reasons().iter().map(ToString::to_string).collect();
        if verdict.safe() {
            tracing::info!(mint = %verdict.mint(), slot = %verdict.slot(), "token judged safe");
        } else {
            tracing::warn!(mint = %verdict.mint(), reasons = reasons.join("; "), "token not bought");
        }
        let event = MarketEvent::Gate { mint, safe: verdict.safe(), at: verdict.slot() };
        if let Some(tables) = &self.tables {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            // What is not taken is counted by the tables.
            tables.try_send(StoreRow::Verdict { verdict: Box::new(verdict), at });
        }
        self.events.send(Event::Market(event)).await.is_ok()
    }

    async fn judge(&self, market: &Market, mint: Address) -> Verdict {
        let begun = Instant::now();
        let evidence = self.evidence(market, mint).await;
        let verdict = judge(&evidence, &self.policy, market.slot());
        tracing::debug!(%mint, took_ms = begun.elapsed().as_millis(), "evidence gathered");
        verdict
    }

    async fn evidence(&self, market: &Market, mint: Address) -> Evidence {
        let Some(id) = market.mint_by_address(&mint) else {
            return Evidence::nothing(mint, Why::NotAsked);
        };
        let places = Places { vaults: vaults(market), ..Places::default() };
        let (creator, liquidity) = self.liquidity(market, id).await;
        let request = Request { mint, creator, liquidity, places: &places };
        gather(&self.rpc, &request, WITHIN, self.round_trip(market, id)).await
    }

    /// The pool of a kind with liquidity tokens that was announced first, and who made it.
    async fn liquidity(&self, market: &Market, mint: MintId) -> (Option<Address>, LiquidityAt) {
        let with_tokens = |pool: &&Pool| {
            pool.spec.mints.contains(&mint) && matches!(pool.live.kind(), Kind::Cpmm | Kind::AmmV4)
        };
        let unknown = (None, LiquidityAt::Elsewhere);
        let Some(pool) = market.pools().iter().find(with_tokens) else { return unknown };
        let address = pool.spec.address;
        let read = self.rpc.multiple_accounts(&[address], Commitment::Confirmed, None).await;
        let Some(account) = read.ok().and_then(|read| read.value.into_iter().next().flatten())
        else {
            return unknown;
        };
        let found = match pool.live.kind() {
            Kind::Cpmm => cpmm::decode_pool(&account.data)
                .map(|(_, keys)| (Some(keys.creator), keys.lp_mint, TokenPool::CPMM)),
            _ => amm_v4::decode_pool(&account.data)
                .map(|(_, keys)| (None, keys.lp_mint, TokenPool::AMM_V4)),
        };
        let Ok((creator, lp_mint, kind)) = found else { return unknown };
        (creator, LiquidityAt::Pool { kind, address, lp_mint })
    }

    async fn round_trip(&self, market: &Market, mint: MintId) -> Fact<RoundTrip> {
        let Some(rehearsal) = rehearsal(market, mint) else {
            return Fact::Unknown(Why::Unsupported);
        };
        rehearse(&self.rpc, &self.builder, &rehearsal).await
    }
}

/// The buy that gives most for the money, by the first pool in dollars or SOL that quotes.
fn rehearsal(market: &Market, mint: MintId) -> Option<Rehearsal> {
    let numbered = (0_u32..).map(PoolId).zip(market.pools());
    let mut found = numbered.filter_map(|(pool, known)| {
        let [first, second] = known.spec.mints;
        let paid = if first == mint { second } else { first };
        if !known.spec.mints.contains(&mint) || !market.may_be_bought(paid) {
            return None;
        }
        let hop = Hop { pool, mint_in: paid, mint_out: mint };
        let spend = market.atoms(paid, SPEND)?;
        let quoted = market.quote(hop, spend).ok()?.amount_out;
        let forward = known.direction(hop)?;
        let (buy_arrays, sell_arrays) = (known.live.arrays(forward), known.live.arrays(!forward));
        (quoted > Atoms::ZERO).then_some(Rehearsal { hop, spend, quoted, buy_arrays, sell_arrays })
    });
    found.next()
}

/// The vaults of all pools that were read from accounts of known programs.
fn vaults(market: &Market) -> BTreeSet<Address> {
    let of = |pool: &Pool| match &pool.spec.kind {
        PoolKind::Cpmm(keys) => keys.vaults,
        PoolKind::AmmV4(keys) => keys.vaults,
        PoolKind::Clmm { keys, .. } => keys.vaults,
        PoolKind::Whirlpool { keys, .. } => keys.vaults,
        PoolKind::Dlmm(keys) => keys.vaults,
        PoolKind::PumpSwap(keys) => keys.vaults,
        PoolKind::PumpCurve(keys) => keys.vaults,
    };
    market.pools().iter().flat_map(of).collect()
}
