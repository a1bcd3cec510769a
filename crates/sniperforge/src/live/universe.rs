//! What is traded: pools and mints, read from the chain and announced to the engine.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use sniper_core::amm::clmm::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use sniper_core::amm::transfer_fee::{EpochFees, decode_transfer_fees};
use sniper_core::amm::{DecodeError, Draft, Kind, PoolSpec};
use sniper_core::event::{Command, Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::units::Atoms;
use sniper_solana::feed::Watch;
use sniper_solana::rpc::{AccountInfo, Commitment, RpcConnectionPool};
use sniper_solana::venue::ChainBalances;

use super::desk::Desk;
use super::summary::Reconciled;

/// Which pools to trade, and what to call their mints.
#[derive(Clone, Debug, Default)]
pub(super) struct Universe {
    pub(super) pools: Vec<Address>,
    pub(super) usd_mints: Vec<Address>,
    pub(super) symbols: Vec<(Address, String)>,
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

/// Reads every wanted pool and announces what the engine does not know yet, mints before their pools. Gives the accounts
/// to follow.
pub(super) async fn announce(
    desk: &mut Desk,
    rpc: &RpcConnectionPool,
    wanted: &Universe,
) -> anyhow::Result<Vec<Watch>> {
    let read = accounts(rpc, &wanted.pools).await.context("read the pools")?;
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
    let read = accounts(rpc, &beside).await.context("read the mints of the pools")?;
    let found: BTreeMap<Address, AccountInfo> =
        beside.into_iter().zip(read).filter_map(|(at, account)| Some((at, account?))).collect();
    let mut watches = Vec::new();
    for (address, draft) in drafts {
        let addresses = draft.mints();
        let mut mints = [MintId::default(); 2];
        let mut programs = [Address::default(); 2];
        for ((mint, program), of) in mints.iter_mut().zip(&mut programs).zip(addresses) {
            let account = found.get(&of).with_context(|| format!("mint {of} does not exist"))?;
            *program = account.owner;
            *mint = announce_mint(desk, wanted, of, account)?;
        }
        let extra = draft.extra().and_then(|(at, owner)| {
            Some(found.get(&at).filter(|a| a.owner == owner)?.data.as_slice())
        });
        let described = draft
            .finish(programs, extra)
            .with_context(|| format!("read the pool {address}: it cannot be traded"))?;
        let known = |desk: &Desk| {
            let pools = desk.engine().market().pools();
            pools.iter().position(|p| p.spec.address == address)
        };
        let spec = PoolSpec { address, mints, kind: described.kind };
        if known(desk).is_none() {
            desk.step(Event::Market(MarketEvent::Pool(Box::new(spec.clone()))))?;
        }
        let id = known(desk).and_then(|at| u32::try_from(at).ok()).context("announce a pool")?;
        watches.extend(Watch::for_pool(PoolId(id), &spec, addresses, programs, &described.arrays));
    }
    ensure!(
        desk.engine().market().mints().iter().any(|m| m.spec.is_usd),
        "no pool trades a mint of trading.usd_mints: profits could not be counted"
    );
    Ok(watches)
}

/// Reads accounts, a hundred at a time.
async fn accounts(
    rpc: &RpcConnectionPool,
    addresses: &[Address],
) -> anyhow::Result<Vec<Option<AccountInfo>>> {
    let mut read = Vec::with_capacity(addresses.len());
    for some in addresses.chunks(100) {
        read.extend(rpc.multiple_accounts(some, Commitment::Confirmed, None).await?.value);
    }
    Ok(read)
}

fn announce_mint(
    desk: &mut Desk,
    wanted: &Universe,
    address: Address,
    account: &AccountInfo,
) -> anyhow::Result<MintId> {
    if let Some(known) = desk.engine().market().mint_by_address(&address) {
        return Ok(known);
    }
    // Also refuses what is not a mint.
    let fees = decode_transfer_fees(&account.data);
    let decimals = account.data.get(44).copied().filter(|_| {
        [TOKEN_PROGRAM, TOKEN_2022_PROGRAM].contains(&account.owner)
            && !matches!(fees, Err(DecodeError::Length { .. }))
    });
    let decimals = decimals.with_context(|| format!("{address} is not a mint"))?;
    desk.step(Event::Market(MarketEvent::Mint(MintSpec {
        address,
        token_program: account.owner,
        decimals,
        symbol: wanted.symbol(&address),
        is_usd: wanted.usd_mints.contains(&address),
        plain: fees == Ok(EpochFees::NONE),
    })))?;
    desk.engine().market().mint_by_address(&address).context("announce a mint")
}

/// Books what was found at the first start as money from outside.
pub(super) fn deposit(desk: &mut Desk, found: &ChainBalances) -> anyhow::Result<()> {
    for (mint, amount) in balances(found) {
        if amount > Atoms::ZERO {
            desk.step(Event::Command(Command::Deposit { mint, amount }))?;
        }
    }
    Ok(())
}

/// Compares the ledger with the chain; a difference halts trading and is logged with the account.
pub(super) fn reconcile(desk: &mut Desk, found: &ChainBalances) -> anyhow::Result<()> {
    for (mint, chain) in balances(found) {
        desk.step(Event::Command(Command::Reconcile { mint, chain }))?;
    }
    Ok(())
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

fn balances(found: &ChainBalances) -> impl Iterator<Item = (MintId, Atoms)> {
    let lamports = (MintId::SOL, Atoms::new(found.lamports.get()));
    std::iter::once(lamports).chain(found.tokens.iter().map(|t| (t.mint, t.amount)))
}
