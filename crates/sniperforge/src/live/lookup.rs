//! Lookup tables of a run: those that the settings name, and the one that the first start made.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sniper_core::ids::{Address, OrderId};
use sniper_solana::rpc::{Commitment, Landed, RpcConnectionPool};
use sniper_solana::tx::{LookupTable, Priority, sign};
use sniper_solana::venue::{Prepared, SolanaVenue};

use sniper_store::failpoint::{Point, pass};

use super::session::LiveSigner;
use super::start::land;

/// Which tables orders may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookups {
    /// Named by the settings.
    pub(super) named: Vec<Address>,
    /// Make one of our own at the first start.
    pub(super) make: bool,
}

/// Where a data folder keeps the address of the table that was made for it.
fn note(folder: &Path) -> PathBuf {
    folder.join("lookup_table")
}

/// Reads the tables that the settings name and the one that was made.
///
/// # Errors
/// One that the settings name is no table, or one about to end: a person should know before it is missed.
pub(super) async fn read(
    rpc: &RpcConnectionPool,
    lookups: &Lookups,
    folder: &Path,
) -> anyhow::Result<Vec<LookupTable>> {
    let mut tables = Vec::new();
    for address in &lookups.named {
        let table = read_one(rpc, *address).await;
        tables.push(table.with_context(|| format!("use trading.lookup_tables: {address}"))?);
    }
    let Some(own) = own(folder)? else { return Ok(tables) };
    match read_one(rpc, own).await {
        Ok(table) => tables.push(table),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(table = %own, error, "our lookup table is not used: large orders are not sent");
        }
    }
    Ok(tables)
}

fn own(folder: &Path) -> anyhow::Result<Option<Address>> {
    let path = note(folder);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => bail!("{} holds no address: delete it to go without a table", path.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

async fn read_one(rpc: &RpcConnectionPool, address: Address) -> anyhow::Result<LookupTable> {
    let read = rpc.account(&address, Commitment::Confirmed).await?;
    let account = read.value.context("no such account")?;
    Ok(LookupTable::decode(address, &account.owner, &account.data)?)
}

/// Makes a table of all that our orders name, and notes where it is. Gives what the transactions cost.
pub(super) async fn make(
    rpc: &RpcConnectionPool,
    venue: &SolanaVenue<LiveSigner>,
    folder: &Path,
) -> anyhow::Result<Vec<Landed>> {
    // The program takes slots that are over, and every node must agree that this one is.
    let recent = rpc.slot(Commitment::Finalized).await.context("read a slot")?;
    let hash = rpc.latest_blockhash(Commitment::Confirmed).await.context("read a blockhash")?.value;
    let (table, messages) =
        venue.builder().table_transactions(recent, Priority::default(), &hash.hash)?;
    let mut costs = Vec::new();
    for message in messages {
        let signed = sign(&message, venue.signer()).context("sign the making of a lookup table")?;
        let prepared = Prepared::from_journal(
            OrderId::default(),
            signed.signature,
            hash.last_valid,
            signed.bytes,
        )?;
        costs.push(land(rpc, venue, &prepared).await.context("make a lookup table")?);
    }
    pass(Point::SetupTable);
    let (path, text) = (note(folder), format!("{}\n", table.address));
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    tracing::info!(table = %table.address, keys = table.addresses.len(), "lookup table made");
    Ok(costs)
}
