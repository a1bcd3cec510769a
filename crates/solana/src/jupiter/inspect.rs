//! What only the chain can say of an offer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::ids::Address;
use sniper_core::order::Order;
use sniper_core::units::{Atoms, Lamports};
use solana_hash::Hash;
use solana_instruction::Instruction;
use thiserror::Error;

use super::policy::{Approved, Terms};
use crate::rpc::{AccountInfo, Commitment, RpcConnectionPool, RpcError, TokenAccount};
use crate::tx::instructions::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use crate::tx::{BuildError, LookupTable, TableError, TransactionBuilder};

/// Units that a swap may take beyond those of its rehearsal, in hundredths of them: pools move in between.
const ROOM: u64 = 120;

/// A swap that may be signed.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The swap.
    pub swap: Instruction,
    /// Tables that it is built with.
    pub tables: Vec<LookupTable>,
    /// Compute units that it needs, with room.
    pub units: u32,
    /// What it would have brought on the state that a node has now.
    pub brings: Atoms,
}

/// Why an offer that looks well is not signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The chain was not read.
    #[error("the chain was not read")]
    Rpc(#[source] RpcError),
    /// It cannot be built.
    #[error("it cannot be built")]
    Build(#[source] BuildError),
    /// One of its lookup tables is not there.
    #[error("lookup table {0} does not exist")]
    NoTable(Address),
    /// One of its lookup tables is none, or is about to end.
    #[error("lookup table {address}: {problem}")]
    Table {
        /// Which.
        address: Address,
        /// What is wrong with it.
        problem: TableError,
    },
    /// A token account that we own, or may move, could be changed by it.
    #[error("{0} is under our hand, and could be changed by the swap")]
    OursWritable(Address),
    /// An account of ours is not what it should be, before or after.
    #[error("{0} is not a plain token account of ours")]
    NotPlain(Address),
    /// It would fail.
    #[error("it would fail: {0}")]
    Fails(String),
    /// It would take more of what goes in, or of our lamports, than the order has reserved.
    #[error("it would take more from {0} than the order has reserved")]
    TakesMore(Address),
    /// It would bring less than the order allows.
    #[error("it would bring {brings} atoms, and {least} must come")]
    BringsLess {
        /// What would come.
        brings: Atoms,
        /// What must.
        least: Atoms,
    },
}

/// Asks the chain: whose the accounts are, whether the tables hold, and what the transaction would do to us.
///
/// # Errors
/// What does not hold; or that nobody could say, which is the same.
pub async fn inspect(
    rpc: &RpcConnectionPool,
    builder: &TransactionBuilder,
    order: &Order,
    terms: &Terms<'_>,
    approved: &Approved,
    tables: &[Address],
) -> Result<Checked, InspectError> {
    let swap = &approved.swap;
    let mut addresses = vec![terms.wallet, terms.source, terms.destination];
    addresses.extend(tables);
    let written = swap.accounts.iter().filter(|meta| meta.is_writable).map(|meta| meta.pubkey);
    for address in written {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let at = Commitment::Processed;
    let read = rpc.multiple_accounts(&addresses, at, None).await.map_err(InspectError::Rpc)?;
    let mut accounts = addresses.iter().copied().zip(read.value);
    let mut next = || accounts.next().and_then(|(_, account)| account);
    let (wallet, source, destination) = (next(), next(), next());
    let tables =
        tables.iter().map(|address| table(*address, next())).collect::<Result<Vec<_>, _>>()?;
    for (address, account) in accounts {
        if account.is_some_and(|account| is_in_our_hand(&account, &terms.wallet)) {
            return Err(InspectError::OursWritable(address));
        }
    }
    let held = Held::of(terms, wallet.as_ref(), source.as_ref(), destination.as_ref())?;

    let message = builder.rehearsal_around(order, swap, &tables, &Hash::default());
    let mut unsigned = vec![1];
    unsigned.extend_from_slice(&[0; 64]);
    unsigned.extend_from_slice(&message.map_err(InspectError::Build)?);
    let shown = [terms.wallet, terms.source, terms.destination];
    let done = rpc.rehearse(&STANDARD.encode(unsigned), at, &shown).await;
    let (simulation, after) = done.map_err(InspectError::Rpc)?.value;
    if let Some(error) = simulation.err {
        return Err(InspectError::Fails(error.text));
    }
    let mut after = after.iter();
    let mut next = || after.next().and_then(Option::as_ref);
    let left = Held::of(terms, next(), next(), next())?;
    let brings = held.becomes(&left, order, terms)?;
    let units = simulation.units.unwrap_or(u64::MAX).saturating_mul(ROOM) / 100;
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    // Now, while there is another way.
    let built = builder.around(order, swap, units, &tables, &Hash::default());
    built.map_err(InspectError::Build)?;
    Ok(Checked { swap: swap.clone(), tables, units, brings })
}

fn table(address: Address, account: Option<AccountInfo>) -> Result<LookupTable, InspectError> {
    let account = account.ok_or(InspectError::NoTable(address))?;
    LookupTable::decode(address, &account.owner, &account.data)
        .map_err(|problem| InspectError::Table { address, problem })
}

/// Whether our signature could move or close what a token account holds.
fn is_in_our_hand(account: &AccountInfo, wallet: &Address) -> bool {
    if account.owner != TOKEN_PROGRAM && account.owner != TOKEN_2022_PROGRAM {
        return false;
    }
    let key = |at: usize| account.data.get(at..at.saturating_add(32));
    let is_set = |at: usize| account.data.get(at).is_some_and(|tag| *tag != 0);
    let ours = Some(wallet.as_array().as_slice());
    key(32) == ours || (is_set(72) && key(76) == ours) || (is_set(129) && key(133) == ours)
}

/// What we hold of all that an order may touch.
struct Held {
    lamports: Lamports,
    source: Atoms,
    destination: Atoms,
}

impl Held {
    fn of(
        terms: &Terms<'_>,
        wallet: Option<&AccountInfo>,
        source: Option<&AccountInfo>,
        destination: Option<&AccountInfo>,
    ) -> Result<Self, InspectError> {
        let amount = |address, mint, account: Option<&AccountInfo>| match account {
            None => Ok(Atoms::ZERO),
            Some(account) => {
                plain(account, &terms.wallet, mint).ok_or(InspectError::NotPlain(address))
            }
        };
        Ok(Self {
            lamports: wallet.map_or(Lamports::ZERO, |account| account.lamports),
            source: amount(terms.source, terms.mint_in, source)?,
            destination: amount(terms.destination, terms.mint_out, destination)?,
        })
    }

    /// What came, if no more went than may.
    fn becomes(
        &self,
        left: &Self,
        order: &Order,
        terms: &Terms<'_>,
    ) -> Result<Atoms, InspectError> {
        let costs = order.fee_cap().saturating_add(order.rent_cap());
        if left.lamports.saturating_add(costs) < self.lamports {
            return Err(InspectError::TakesMore(terms.wallet));
        }
        if left.source.get().saturating_add(terms.amount_in.get()) < self.source.get() {
            return Err(InspectError::TakesMore(terms.source));
        }
        let brings = left.destination.saturating_sub(self.destination);
        if brings < terms.min_out {
            return Err(InspectError::BringsLess { brings, least: terms.min_out });
        }
        Ok(brings)
    }
}

/// What a token account of ours holds, if nobody else has a hand in it.
fn plain(account: &AccountInfo, wallet: &Address, mint: Address) -> Option<Atoms> {
    if account.owner != TOKEN_PROGRAM && account.owner != TOKEN_2022_PROGRAM {
        return None;
    }
    let token = TokenAccount::decode(&account.data)?;
    let is_unset = |at: usize| account.data.get(at..at.saturating_add(4)) == Some(&[0; 4]);
    // Neither a delegate nor one who may close it.
    let is_plain = is_unset(72) && is_unset(129) && !token.frozen;
    (token.owner == *wallet && token.mint == mint && is_plain).then_some(token.amount)
}
