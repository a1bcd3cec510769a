//! What is traded: pools and mints, read from the chain and announced to the engine.

use anyhow::{Context, bail, ensure};
use sniper_core::amm::{PoolKind, PoolSpec, cpmm};
use sniper_core::event::{Command, Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, Symbol};
use sniper_core::units::Atoms;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
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

/// Reads every wanted pool and announces what the engine does not know yet, mints before their pools.
pub(super) async fn announce(
    desk: &mut Desk,
    rpc: &RpcConnectionPool,
    wanted: &Universe,
) -> anyhow::Result<()> {
    let read = rpc.multiple_accounts(&wanted.pools, Commitment::Confirmed, None).await;
    let accounts = read.context("read the pools")?.value;
    for (address, account) in wanted.pools.iter().zip(accounts) {
        let Some(account) = account.filter(|a| a.owner == cpmm::PROGRAM_ID) else {
            bail!("{address} is not a Raydium CPMM pool on this chain: check trading.pools");
        };
        let (_, keys) = cpmm::decode_pool(&account.data)
            .with_context(|| format!("read the pool {address}: its layout is not known"))?;
        let mut mints = [MintId::default(); 2];
        for (side, mint) in mints.iter_mut().enumerate() {
            *mint = announce_mint(desk, wanted, &keys, side)?;
        }
        if desk.engine().market().pools().iter().any(|p| p.spec.address == *address) {
            continue;
        }
        let kind = PoolKind::Cpmm(cpmm::Keys {
            config: keys.config,
            observation: keys.observation,
            vaults: keys.vaults,
            token_programs: keys.token_programs,
        });
        let spec = PoolSpec { address: *address, mints, kind };
        desk.step(Event::Market(MarketEvent::Pool(Box::new(spec))))?;
    }
    ensure!(
        desk.engine().market().mints().iter().any(|m| m.spec.is_usd),
        "no pool trades a mint of trading.usd_mints: profits could not be counted"
    );
    Ok(())
}

fn announce_mint(
    desk: &mut Desk,
    wanted: &Universe,
    keys: &cpmm::DecodedKeys,
    side: usize,
) -> anyhow::Result<MintId> {
    let (Some(address), Some(program), Some(decimals)) =
        (keys.mints.get(side), keys.token_programs.get(side), keys.decimals.get(side))
    else {
        bail!("a pool has two mints");
    };
    if let Some(known) = desk.engine().market().mint_by_address(address) {
        return Ok(known);
    }
    desk.step(Event::Market(MarketEvent::Mint(MintSpec {
        address: *address,
        token_program: *program,
        decimals: *decimals,
        symbol: wanted.symbol(address),
        is_usd: wanted.usd_mints.contains(address),
    })))?;
    desk.engine().market().mint_by_address(address).context("announce a mint")
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
