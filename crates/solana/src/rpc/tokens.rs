//! The methods that tell who holds a token.

use serde::Deserialize;
use sniper_core::ids::Address;
use sniper_core::units::Atoms;

use super::error::RpcError;
use super::methods::{Options, any};
use super::pool::RpcConnectionPool;
use super::raw::{Parsed, RawKeyed, RawTokenAmount, Wrapped};
use super::types::{AccountInfo, At, Commitment, TokenAmount};

/// Most accounts that [`RpcConnectionPool::token_largest_accounts`] tells.
pub const LARGEST_MAX: usize = sniper_core::gate::LARGEST_MAX;

/// One of a mint's largest token accounts, as a node's index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargestAccount {
    /// The token account. Whose it is, the account itself tells.
    pub address: Address,
    /// What it holds.
    pub amount: Atoms,
}

#[derive(Deserialize)]
struct RawLargest {
    address: Parsed<Address>,
    amount: Parsed<u64>,
}

impl RpcConnectionPool {
    /// All there is of a token.
    ///
    /// # Errors
    /// As every read: see [`RpcError`]. For a mint that is not there a node refuses with -32602.
    pub async fn token_supply(
        &self,
        mint: &Address,
        commitment: Commitment,
    ) -> Result<At<TokenAmount>, RpcError> {
        let params = (mint.to_string(), Options::at(commitment));
        let answer: Wrapped<RawTokenAmount> =
            self.read_since(self.since(commitment), "getTokenSupply", &params, any).await?;
        Ok(answer.map(TokenAmount::from))
    }

    /// The largest token accounts of a mint, the largest first, at most [`LARGEST_MAX`]. Nodes that keep no index of
    /// the mint refuse with -32010.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn token_largest_accounts(
        &self,
        mint: &Address,
        commitment: Commitment,
    ) -> Result<At<Vec<LargestAccount>>, RpcError> {
        let params = (mint.to_string(), Options::at(commitment));
        let check = |answer: &Wrapped<Vec<RawLargest>>| list_of_largest(&answer.value);
        let since = self.since(commitment);
        let answer = self.read_since(since, "getTokenLargestAccounts", &params, check).await?;
        let account = |raw: RawLargest| LargestAccount {
            address: raw.address.0,
            amount: Atoms::new(raw.amount.0),
        };
        Ok(answer.map(|list| list.into_iter().map(account).collect()))
    }

    /// The accounts in which `owner` holds a token, undecoded: a caller that counts must see one that does not read.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn token_accounts_of_mint(
        &self,
        owner: &Address,
        mint: &Address,
        commitment: Commitment,
    ) -> Result<At<Vec<(Address, AccountInfo)>>, RpcError> {
        let filter = std::collections::BTreeMap::from([("mint", mint.to_string())]);
        let since = self.since(commitment);
        let params = (owner.to_string(), filter, Options::base64(since));
        let answer: Wrapped<Vec<RawKeyed>> =
            self.read_since(since, "getTokenAccountsByOwner", &params, any).await?;
        let keyed = |raw: RawKeyed| (raw.pubkey.0, AccountInfo::from(raw.account));
        Ok(answer.map(|list| list.into_iter().map(keyed).collect()))
    }
}

fn list_of_largest(list: &[RawLargest]) -> Result<(), &'static str> {
    if list.len() > LARGEST_MAX {
        return Err("more accounts than the method tells");
    }
    if !list.is_sorted_by(|one, next| one.amount.0 >= next.amount.0) {
        return Err("not the largest first");
    }
    let mut seen = std::collections::BTreeSet::new();
    if list.iter().all(|one| seen.insert(one.address.0)) { Ok(()) } else { Err("an account twice") }
}
