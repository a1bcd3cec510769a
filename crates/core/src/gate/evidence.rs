//! What is known of a mint. What is not known says why, and is never taken for good.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::mint::{MintAccount, TokenProgram};
use crate::amm::DecodeError;
use crate::ids::Address;
use crate::units::{Atoms, Slot};

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<T> {
    /// What was found, and the slot of the oldest state it was read from.
    Known(T, Slot),
    /// Not known.
    Unknown(Why),
}

impl<T> Fact<T> {
    /// What was found.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value, _) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Why something is not known.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[non_exhaustive]
pub enum Why {
    /// Nobody asked, or nobody said what to ask for.
    #[error("not asked for")]
    NotAsked,
    /// There is no way yet to find it out for this kind of pool or metadata.
    #[error("cannot be found out for this kind of account")]
    Unsupported,
    /// No answer before the deadline.
    #[error("no answer in time")]
    Late,
    /// No endpoint gave an answer.
    #[error("no endpoint answered")]
    Unreachable,
    /// A node understood and refused, with this number.
    #[error("the node refused with {0}")]
    Refused(i64),
    /// The answer, or the account in it, does not read.
    #[error("unreadable")]
    Unreadable,
    /// There is no such account.
    #[error("no such account")]
    Missing,
    /// Another program owns the account than must.
    #[error("owned by another program")]
    WrongOwner,
    /// The account is of another mint, or of another pool.
    #[error("about another mint")]
    WrongMint,
    /// It reads, but cannot be true.
    #[error("impossible")]
    Impossible,
    /// It needs another piece of evidence that is not known.
    #[error("needs what is not known")]
    Depends,
}

impl From<DecodeError> for Why {
    fn from(_: DecodeError) -> Self {
        Self::Unreadable
    }
}

/// Everything asked of a mint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of which mint.
    pub mint: Address,
    /// The program that owns its account.
    pub program: Fact<TokenProgram>,
    /// The account, with authorities and extensions.
    pub account: Fact<MintAccount>,
    /// Supply and decimals as the node tells them on their own: a second opinion on the account.
    pub supply: Fact<Supply>,
    /// The largest token accounts.
    pub holders: Fact<Vec<Holder>>,
    /// What of the pool's liquidity cannot be taken away.
    pub liquidity: Fact<Liquidity>,
    /// What the creator holds.
    pub creator: Fact<Creator>,
    /// What it calls itself; none if it has no metadata.
    pub metadata: Fact<Option<Metadata>>,
    /// A buy and the sell of all of it, simulated.
    pub sell: Fact<RoundTrip>,
}

impl Evidence {
    /// Of a mint that nothing is known of yet.
    #[must_use]
    pub const fn nothing(mint: Address, why: Why) -> Self {
        Self {
            mint,
            program: Fact::Unknown(why),
            account: Fact::Unknown(why),
            supply: Fact::Unknown(why),
            holders: Fact::Unknown(why),
            liquidity: Fact::Unknown(why),
            creator: Fact::Unknown(why),
            metadata: Fact::Unknown(why),
            sell: Fact::Unknown(why),
        }
    }
}

/// Which piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// [`Evidence::program`].
    Program,
    /// [`Evidence::account`].
    Account,
    /// [`Evidence::supply`].
    Supply,
    /// [`Evidence::holders`].
    Holders,
    /// [`Evidence::liquidity`].
    Liquidity,
    /// [`Evidence::creator`].
    Creator,
    /// [`Evidence::metadata`].
    Metadata,
    /// [`Evidence::sell`].
    Sell,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Program => "token program",
            Self::Account => "mint account",
            Self::Supply => "supply",
            Self::Holders => "holders",
            Self::Liquidity => "liquidity",
            Self::Creator => "creator's share",
            Self::Metadata => "metadata",
            Self::Sell => "simulated sell",
        })
    }
}

/// Supply and decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// All there is.
    pub amount: Atoms,
    /// Decimal places of a whole token.
    pub decimals: u8,
}

/// Most token accounts a node tells; a list of fewer is the whole list.
pub const LARGEST_MAX: usize = 20;

/// One of the largest token accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The token account.
    pub account: Address,
    /// Whose it is.
    pub owner: Address,
    /// How much is in it.
    pub amount: Atoms,
    /// What kind of owner that is.
    pub kind: HolderKind,
}

/// Whether somebody can sell what an account holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HolderKind {
    /// Somebody's: counts against the token.
    Wallet,
    /// The vault of a pool that is known: sold to whoever buys.
    Pool,
    /// Nobody can ever move it.
    Burn,
    /// Kept by a program that the operator trusts to keep it.
    Lock,
}

/// Places where tokens lie that are nobody's to sell, told by the caller and the operator.
///
/// A vault belongs in here only if its pool was read from an account of a known program: anybody can make an account
/// that looks like a vault. A lock is believed for as long as the token is held: one that opens tomorrow counts too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Places {
    /// Token accounts of pools.
    pub vaults: BTreeSet<Address>,
    /// Owners of token accounts that only a lock program can sign for.
    pub lock_owners: BTreeSet<Address>,
    /// Programs that own such owners.
    pub lock_programs: BTreeSet<Address>,
}

/// Signs for the liquidity that Raydium's lock program keeps for ever: its derived address with the seed
/// `lock_cp_authority_seed`.
pub const RAYDIUM_LOCK: Address =
    Address::from_str_const("3f7GcQFG397GAaEnv51zR6tsTVihYRydnydDD1cXekxH");

impl Default for Places {
    /// No vault, no program, and Raydium's permanent lock.
    fn default() -> Self {
        Self {
            vaults: BTreeSet::new(),
            lock_owners: BTreeSet::from([RAYDIUM_LOCK]),
            lock_programs: BTreeSet::new(),
        }
    }
}

/// Owners that nobody can sign for: what is sent there is gone.
///
/// The second is the system program itself. Ordinary wallets are accounts that the system program owns, which is quite
/// another thing.
pub const BURNS: [Address; 2] = [
    Address::from_str_const("1nc1nerator11111111111111111111111111111111"),
    Address::new_from_array([0; 32]),
];

impl Places {
    /// What kind of holder a token account is: `owner` is whose it is, `program` the program that owns the owner's
    /// account, where there is one.
    #[must_use]
    pub fn kind(
        &self,
        account: &Address,
        owner: &Address,
        program: Option<&Address>,
    ) -> HolderKind {
        if BURNS.contains(owner) {
            HolderKind::Burn
        } else if self.vaults.contains(account) {
            HolderKind::Pool
        } else if self.lock_owners.contains(owner)
            || program.is_some_and(|program| self.lock_programs.contains(program))
        {
            HolderKind::Lock
        } else {
            HolderKind::Wallet
        }
    }
}

/// What of a pool's liquidity cannot be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liquidity {
    /// A pool with liquidity tokens.
    Tokens {
        /// Made since the pool began less those given back, by the pool's own account. Burnt ones count.
        minted: Atoms,
        /// Supply of the liquidity token's mint. Burnt ones do not count.
        supply: Atoms,
        /// Of that supply, what lies at a burn or a lock.
        locked: Atoms,
    },
    /// A bonding curve: its program pays out to sellers only, nobody can withdraw.
    Curve,
}

/// What the creator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creator {
    /// Who.
    pub address: Address,
    /// How much, over all its token accounts.
    pub amount: Atoms,
}

/// A buy and the sell of all of it, in one simulated transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoundTrip {
    /// It went through.
    Sold {
        /// What went in.
        paid: Atoms,
        /// What came out again.
        received: Atoms,
    },
    /// It did not, with this error number where a program gave one.
    Failed {
        /// The number.
        code: Option<u32>,
    },
}

/// Sums over the largest token accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// In all of them.
    pub(super) held: u128,
    /// Nobody's any more.
    pub(super) burnt: u128,
    /// The largest owner's.
    pub(super) top: u128,
    /// The ten largest owners'.
    pub(super) top_ten: u128,
}

impl Sums {
    /// Over `holders` of a token of which there is at most `supply`. Where the list is the whole list, what is missing
    /// in it counts as one more owner's: a node cannot hide a holder by leaving it out.
    pub(super) fn of(holders: &[Holder], supply: Atoms) -> Self {
        let mut sums = Self::default();
        let mut owners: BTreeMap<Address, u128> = BTreeMap::new();
        for holder in holders {
            let amount = u128::from(holder.amount.get());
            sums.held = sums.held.saturating_add(amount);
            match holder.kind {
                HolderKind::Wallet => {
                    let sum = owners.entry(holder.owner).or_default();
                    *sum = sum.saturating_add(amount);
                }
                HolderKind::Burn => sums.burnt = sums.burnt.saturating_add(amount),
                HolderKind::Pool | HolderKind::Lock => {}
            }
        }
        let mut wallets: Vec<u128> = owners.into_values().collect();
        if holders.len() < LARGEST_MAX {
            wallets.push(u128::from(supply.get()).saturating_sub(sums.held));
        }
        wallets.sort_unstable_by(|a, b| b.cmp(a));
        sums.top = wallets.first().copied().unwrap_or_default();
        sums.top_ten = wallets.iter().take(10).fold(0, |sum, one| sum.saturating_add(*one));
        sums
    }
}
