//! Looks at the chain for the token gate: the pools that matter, what is known of a mint, and a rehearsed sell.
//!
//! Every judgement reads everything anew, and numbers pools and mints for itself: it needs nothing of the engine, so it
//! can be made before the engine knows of a coin at all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use sniper_core::amm::{Kind, PoolKind, amm_v4, cpmm, pump_swap};
use sniper_core::gate::{Evidence, Fact, Places, Policy, RoundTrip, Verdict, Why, judge};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::market::{Market, Pool};
use sniper_core::order::Hop;
use sniper_core::units::{Atoms, Timestamp, Usd};
use sniper_solana::gate::{LiquidityAt, Rehearsal, Request, TokenPool, gather, rehearse};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use sniper_solana::tx::TransactionBuilder;
use sniper_store::tables::{StoreHandle, StoreRow};

use super::snapshot;
use super::universe::{Found, Universe, discover};

/// The longest that gathering evidence on one mint may take.
const WITHIN: Duration = Duration::from_secs(10);
/// What a rehearsal spends.
const SPEND: Usd = Usd::dollars(10);

/// Judges mints by what the chain shows.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) rpc: RpcConnectionPool,
    /// The pools that are always looked at: they price what a rehearsal spends.
    pub(super) wanted: Universe,
    pub(super) policy: Policy,
    /// Whose wallet a rehearsal spends from.
    pub(super) owner: Address,
    pub(super) tables: Option<StoreHandle>,
}

/// The market as it was read, and what builds transactions on it.
pub(super) struct Sight {
    pub(super) market: Market,
    pub(super) found: Vec<Found>,
    builder: TransactionBuilder,
}

impl Judge {
    /// Reads the wanted pools and one more.
    pub(super) async fn look(&self, more: Option<Address>) -> anyhow::Result<Sight> {
        let mut wanted = self.wanted.clone();
        wanted.pools.extend(more.filter(|pool| !self.wanted.pools.contains(pool)));
        let found = discover(&self.rpc, &wanted).await?;
        let market = snapshot::of(&self.rpc, &found).await?;
        let mut builder = TransactionBuilder::new(self.owner);
        for mint in market.mints().iter().skip(1) {
            builder.add_mint(&mint.spec);
        }
        for pool in market.pools() {
            builder.add_pool(&pool.spec).context("number the pools")?;
        }
        Ok(Sight { market, found, builder })
    }

    /// Says whether a mint may be bought. `creator` is who is known to have made it, where its
    /// pool does not tell.
    pub(super) async fn judge(
        &self,
        sight: &Sight,
        mint: Address,
        creator: Option<Address>,
    ) -> Verdict {
        let begun = Instant::now();
        let evidence = self.evidence(sight, mint, creator).await;
        let verdict = judge(&evidence, &self.policy, sight.market.slot());
        tracing::debug!(%mint, took_ms = begun.elapsed().as_millis(), "evidence gathered");
        verdict
    }

    /// The verdict on a mint of which nothing could be read: never safe.
    pub(super) fn unreachable(&self, mint: Address) -> Verdict {
        let nothing = Evidence::nothing(mint, Why::Unreachable);
        judge(&nothing, &self.policy, self.rpc.highest_slot())
    }

    /// Tells a verdict that stands, and writes it down with its reasons.
    pub(super) fn note(&self, verdict: &Verdict) {
        let reasons: Vec<String> = verdict.reasons().iter().map(ToString::to_string).collect();
        if verdict.safe() {
            tracing::info!(mint = %verdict.mint(), slot = %verdict.slot(), "token judged safe");
        } else {
            tracing::warn!(mint = %verdict.mint(), reasons = reasons.join("; "), "token not bought");
        }
        if let Some(tables) = &self.tables {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            // What is not taken is counted by the tables.
            tables.try_send(StoreRow::Verdict { verdict: Box::new(verdict.clone()), at });
        }
    }

    async fn evidence(&self, sight: &Sight, mint: Address, creator: Option<Address>) -> Evidence {
        let market = &sight.market;
        let Some(id) = market.mint_by_address(&mint) else {
            return Evidence::nothing(mint, Why::NotAsked);
        };
        let places = Places { vaults: vaults(market), ..Places::default() };
        let (maker, liquidity) = self.liquidity(market, id).await;
        let request = Request { mint, creator: creator.or(maker), liquidity, places: &places };
        gather(&self.rpc, &request, WITHIN, self.round_trip(sight, id)).await
    }

    /// The pool of a kind with liquidity tokens that was announced first, and who made it.
    async fn liquidity(&self, market: &Market, mint: MintId) -> (Option<Address>, LiquidityAt) {
        let with_tokens = |pool: &&Pool| {
            pool.spec.mints.contains(&mint)
                && matches!(pool.live.kind(), Kind::Cpmm | Kind::AmmV4 | Kind::PumpSwap)
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
            Kind::PumpSwap => pump_swap::decode_pool(&account.data)
                .map(|(_, keys)| (Some(keys.creator), keys.lp_mint, TokenPool::PUMP_SWAP)),
            _ => amm_v4::decode_pool(&account.data)
                .map(|(_, keys)| (None, keys.lp_mint, TokenPool::AMM_V4)),
        };
        let Ok((creator, lp_mint, kind)) = found else { return unknown };
        (creator, LiquidityAt::Pool { kind, address, lp_mint })
    }

    async fn round_trip(&self, sight: &Sight, mint: MintId) -> Fact<RoundTrip> {
        let Some(rehearsal) = rehearsal(&sight.market, mint) else {
            return Fact::Unknown(Why::Unsupported);
        };
        rehearse(&self.rpc, &sight.builder, &rehearsal).await
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
