//! What is traded: pools and mints, read from the chain and announced to the engine.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use sniper_core::amm::clmm::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use sniper_core::amm::transfer_fee::{EpochFees, decode_transfer_fees};
use sniper_core::amm::{DecodeError, Draft, Kind, PoolKind, PoolSpec, token_account_length};
use sniper_core::event::{AccountState, Command, Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::units::{Atoms, Lamports};
use sniper_solana::feed::Watch;
use sniper_solana::rpc::{AccountInfo, Commitment, RpcConnectionPool};
use sniper_solana::venue::{ChainBalances, TokenBalance};

use super::desk::Desk;
use super::summary::Reconciled;

/// Which pools to trade, and what to call their mints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Universe {
    pub(crate) pools: Vec<Address>,
    pub(crate) usd_mints: Vec<Address>,
    pub(crate) symbols: Vec<(Address, String)>,
    /// Mints that the operator vouches for.
    pub(crate) trusted: Vec<Address>,
}

impl Universe {
    fn symbol(&self, mint: &Address) -> Symbol {
        match self.symbols.iter().find(|(address, _)| address == mint) {
            Some((_, symbol)) => Symbol::new(symbol),
            // Without a label of the operator's own, the start of the address: it cannot be chosen at will.
            None => Symbol::new(&mint.to_string().chars().take(6).collect::<String>()),
        }
    }
}

/// A pool as found on the chain, and all that trading it takes.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) address: Address,
    pub(crate) kind: PoolKind,
    /// Its mints, in its own order.
    pub(crate) mints: [MintSpec; 2],
    /// The tick or bin arrays around its price.
    pub(crate) arrays: Vec<i32>,
}

impl Found {
    /// The accounts to follow, once the pool and its mints have their numbers.
    pub(crate) fn watches(&self, id: PoolId, spec: &PoolSpec) -> Vec<Watch> {
        let [first, second] = &self.mints;
        let mints = [first.address, second.address];
        let programs = [first.token_program, second.token_program];
        Watch::for_pool(id, spec, mints, programs, &self.arrays)
    }
}

/// Reads every wanted pool, and what follows from it.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(crate) async fn discover(
    rpc: &RpcConnectionPool,
    wanted: &Universe,
) -> anyhow::Result<Vec<Found>> {
    let read = rpc.multiple_accounts(&wanted.pools, Commitment::Confirmed, None).await;
    let read = read.context("read the pools")?.value;
    let mut drafts = Vec::with_capacity(wanted.pools.len());
    for (address, account) in wanted.pools.iter().zip(read) {
        let known = account.and_then(|a| Some((Kind::of_program(&a.owner)?, a.data)));
        let Some((kind, data)) = known else {
            bail!("{address} is not a pool of a known exchange on this chain: check trading.pools");
        };
        let draft = Draft::read(kind, *address, &data).with_context(|| {
            format!("read the pool {address} of {}: it cannot be traded", kind.name())
        })?;
        drafts.push((*address, draft));
    }
    let mut beside: Vec<Address> = drafts
        .iter()
        .flat_map(|(_, draft)| draft.mints().into_iter().chain(draft.extra().map(|(at, _)| at)))
        .collect();
    beside.sort_unstable();
    beside.dedup();
    let read = rpc.multiple_accounts(&beside, Commitment::Confirmed, None).await;
    let read = read.context("read the mints of the pools")?.value;
    let accounts: BTreeMap<Address, AccountInfo> =
        beside.into_iter().zip(read).filter_map(|(at, account)| Some((at, account?))).collect();
    let describe = |(address, draft): (Address, Draft)| {
        let [first, second] = draft.mints();
        let mints = [mint_spec(wanted, &accounts, first)?, mint_spec(wanted, &accounts, second)?];
        let extra = draft.extra().and_then(|(at, owner)| {
            Some(accounts.get(&at).filter(|a| a.owner == owner)?.data.as_slice())
        });
        let described = draft
            .finish(mints.map(|mint| mint.token_program), extra)
            .with_context(|| format!("read the pool {address}: it cannot be traded"))?;
        Ok(Found { address, kind: described.kind, mints, arrays: described.arrays })
    };
    drafts.into_iter().map(describe).collect()
}

fn mint_spec(
    wanted: &Universe,
    accounts: &BTreeMap<Address, AccountInfo>,
    address: Address,
) -> anyhow::Result<MintSpec> {
    let account =
        accounts.get(&address).with_context(|| format!("mint {address} does not exist"))?;
    // Also refuses what is not a mint.
    let fees = decode_transfer_fees(&account.data);
    let decimals = account.data.get(44).copied().filter(|_| {
        [TOKEN_PROGRAM, TOKEN_2022_PROGRAM].contains(&account.owner)
            && !matches!(fees, Err(DecodeError::Length { .. }))
    });
    Ok(MintSpec {
        address,
        token_program: account.owner,
        decimals: decimals.with_context(|| format!("{address} is not a mint"))?,
        symbol: wanted.symbol(&address),
        is_usd: wanted.usd_mints.contains(&address),
        plain: fees == Ok(EpochFees::NONE),
        trusted: wanted.trusted.contains(&address),
        rent: Lamports::ZERO,
    })
}

/// What making our token account of a mint takes on this chain.
pub(super) async fn account_rent(
    rpc: &RpcConnectionPool,
    mint: &Address,
) -> anyhow::Result<Lamports> {
    let read = rpc.multiple_accounts(&[*mint], Commitment::Confirmed, None).await;
    let account = read.with_context(|| format!("read the mint {mint}"))?.value.pop().flatten();
    let account = account.with_context(|| format!("mint {mint} does not exist"))?;
    let length = token_account_length(&account.owner, &account.data)
        .with_context(|| format!("work out how long an account of the mint {mint} is"))?;
    rpc.minimum_balance_for_rent_exemption(length).await.context("read the rent of an account")
}

/// Announces what the engine does not know yet, mints before their pools. Gives the accounts to follow.
///
/// Before the first money is booked, our accounts of all mints are about to be made ([`super::start`]). What a later
/// start adds has its account made by the first order that needs it, and says what that takes.
pub(super) async fn announce(
    desk: &mut Desk,
    rpc: &RpcConnectionPool,
    wanted: &Universe,
) -> anyhow::Result<Vec<Watch>> {
    let mut watches = Vec::new();
    for mut found in discover(rpc, wanted).await? {
        for mint in &mut found.mints {
            let known = desk.engine().market().mint_by_address(&mint.address).is_some();
            if !known && super::start::is_funded(desk) {
                mint.rent = account_rent(rpc, &mint.address).await?;
            }
        }
        let (id, spec, _) = introduce(desk, &found)?;
        watches.extend(found.watches(id, &spec));
    }
    ensure!(
        desk.engine().market().mints().iter().any(|m| m.spec.is_usd),
        "no pool trades a mint of trading.usd_mints: profits could not be counted"
    );
    Ok(watches)
}

/// Announces what the engine does not know yet of a pool, mints before it. Gives its number, what it is, and what was
/// announced, for all else that numbers mints and pools.
pub(super) fn introduce(
    desk: &mut Desk,
    found: &Found,
) -> anyhow::Result<(PoolId, PoolSpec, Vec<MarketEvent>)> {
    let mut news = Vec::new();
    let mut mints = [MintId::default(); 2];
    for (id, spec) in mints.iter_mut().zip(&found.mints) {
        let known = |desk: &Desk| desk.engine().market().mint_by_address(&spec.address);
        if known(desk).is_none() {
            news.push(MarketEvent::Mint(*spec));
            desk.step(Event::Market(MarketEvent::Mint(*spec)))?;
        }
        *id = known(desk).context("announce a mint")?;
    }
    let known = |desk: &Desk| {
        let pools = desk.engine().market().pools();
        pools.iter().position(|p| p.spec.address == found.address)
    };
    let spec = PoolSpec { address: found.address, mints, kind: found.kind.clone() };
    if known(desk).is_none() {
        let event = MarketEvent::Pool(Box::new(spec.clone()));
        news.push(event.clone());
        desk.step(Event::Market(event))?;
    }
    let id = known(desk).and_then(|at| u32::try_from(at).ok()).context("announce a pool")?;
    Ok((PoolId(id), spec, news))
}

/// Compares the ledger with the chain; a difference halts trading and is logged with the account.
#[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
pub(super) fn reconcile(desk: &mut Desk, found: &ChainBalances) -> anyhow::Result<()> {
    for (mint, chain) in balances(found) {
        desk.step(Event::Command(Command::Reconcile { mint, chain }))?;
    }
    Ok(())
}

/// Whether the ledger holds what the chain does, in accounts that are as they should be.
pub(super) fn agrees(desk: &Desk, found: &ChainBalances) -> bool {
    let market = desk.engine().market();
    let is_fine = |token: &TokenBalance| match token.state {
        None => true,
        // One that nothing needed yet is not there.
        Some(AccountState::Closed { .. }) => {
            market.mint(token.mint).is_none_or(|mint| mint.rent > Lamports::ZERO)
        }
        Some(_) => false,
    };
    let Reconciled { lamports_difference, tokens_differ } = difference(desk, found);
    lamports_difference == 0 && !tokens_differ && found.tokens.iter().all(is_fine)
}

/// By how much ledger and chain differ.
pub(super) fn difference(desk: &Desk, found: &ChainBalances) -> Reconciled {
    let ledger = desk.engine().ledger();
    Reconciled {
        lamports_difference: i128::from(found.lamports.get()) - ledger.held(MintId::SOL),
        tokens_differ: found
            .tokens
            .iter()
            .any(|t| ledger.held(t.mint) != i128::from(t.amount.get())),
    }
}

/// What was found of each mint.
pub(super) fn balances(found: &ChainBalances) -> impl Iterator<Item = (MintId, Atoms)> {
    let lamports = (MintId::SOL, Atoms::new(found.lamports.get()));
    std::iter::once(lamports).chain(found.tokens.iter().map(|t| (t.mint, t.amount)))
}
