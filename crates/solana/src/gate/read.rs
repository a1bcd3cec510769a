//! One question after the other, and what its answer is worth.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::gate::{
    Creator, Evidence, Fact, Holder, HolderKind, Liquidity, METAPLEX, Metadata, MintAccount, Place,
    Places, Supply, TokenProgram, Why, decode_metaplex, decode_mint, metaplex_address,
};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Slot};

use super::{LiquidityAt, Request, TokenPool, fact};
use crate::rpc::{AccountInfo, Commitment, RpcConnectionPool, RpcError, TokenAccount};

/// A fork must not show what the chain then takes back.
const COMMITMENT: Commitment = Commitment::Confirmed;

type Answer<T> = Result<(T, Slot), Why>;

pub(super) fn why(error: &RpcError) -> Why {
    match error {
        RpcError::Timeout { .. } => Why::Late,
        RpcError::Node { code, .. } => Why::Refused(*code),
        RpcError::Decode { .. } | RpcError::TooLarge { .. } => Why::Unreadable,
        RpcError::Impossible { .. } => Why::Impossible,
        _ => Why::Unreachable,
    }
}

/// The mint, its metadata and its pool, from one and the same state.
pub(super) struct Accounts {
    slot: Slot,
    by_address: BTreeMap<Address, Option<AccountInfo>>,
}

impl Accounts {
    pub(super) async fn read(rpc: &RpcConnectionPool, request: &Request<'_>) -> Result<Self, Why> {
        let mut wanted = vec![request.mint, metaplex_address(&request.mint)];
        match request.liquidity {
            LiquidityAt::Pool { address, lp_mint, .. } => wanted.extend([address, lp_mint]),
            LiquidityAt::Curve { address, .. } => wanted.push(address),
            LiquidityAt::Elsewhere => {}
        }
        let answer = rpc.multiple_accounts(&wanted, COMMITMENT, None).await;
        let answer = answer.map_err(|error| why(&error))?;
        Ok(Self { slot: answer.slot, by_address: wanted.into_iter().zip(answer.value).collect() })
    }

    /// What these accounts tell. `locked` is what of the liquidity token lies at a burn or a lock.
    pub(super) fn evidence(
        &self,
        request: &Request<'_>,
        locked: Result<Option<(Atoms, Slot)>, Why>,
    ) -> Evidence {
        let mint = self.mint(&request.mint);
        let metadata = match &mint {
            Ok((_, account)) => self.metadata(&request.mint, account),
            Err(_) => Err(Why::Depends),
        };
        let (program, account) = match mint {
            Ok((program, account)) => {
                (Fact::Known(program, self.slot), Fact::Known(account, self.slot))
            }
            Err(why) => (Fact::Unknown(why), Fact::Unknown(why)),
        };
        Evidence {
            program,
            account,
            metadata: fact(metadata.map(|metadata| (metadata, self.slot))),
            liquidity: fact(self.liquidity(request, locked)),
            ..Evidence::nothing(request.mint, Why::NotAsked)
        }
    }

    fn account(&self, address: &Address) -> Result<&AccountInfo, Why> {
        self.by_address.get(address).and_then(Option::as_ref).ok_or(Why::Missing)
    }

    /// An account that a program owns.
    fn owned(&self, address: &Address, program: &Address) -> Result<&AccountInfo, Why> {
        let account = self.account(address)?;
        if account.owner == *program { Ok(account) } else { Err(Why::WrongOwner) }
    }

    fn mint(&self, address: &Address) -> Result<(TokenProgram, MintAccount), Why> {
        let account = self.account(address)?;
        let program = TokenProgram::of(&account.owner).ok_or(Why::WrongOwner)?;
        Ok((program, decode_mint(program, &account.data)?))
    }

    fn metadata(&self, mint: &Address, account: &MintAccount) -> Result<Option<Metadata>, Why> {
        match Place::of(mint, account) {
            Place::InMint(inside) => Ok(Some(inside.into())),
            Place::Elsewhere => Err(Why::Unsupported),
            Place::Metaplex => match self.owned(&metaplex_address(mint), &METAPLEX) {
                Ok(account) => Ok(Some(decode_metaplex(&account.data)?)),
                Err(Why::Missing) => Ok(None),
                Err(why) => Err(why),
            },
        }
    }

    fn liquidity(
        &self,
        request: &Request<'_>,
        locked: Result<Option<(Atoms, Slot)>, Why>,
    ) -> Answer<Liquidity> {
        match request.liquidity {
            LiquidityAt::Elsewhere => Err(Why::Unsupported),
            LiquidityAt::Curve { program, address } => {
                self.owned(&address, &program).map(|_| (Liquidity::Curve, self.slot))
            }
            LiquidityAt::Pool { kind, address, lp_mint } => {
                let (minted, supply) = self.pool(request, kind, &address, &lp_mint)?;
                let (locked, seen) = locked?.ok_or(Why::NotAsked)?;
                let liquidity = Liquidity::Tokens { minted, supply, locked };
                Ok((liquidity, seen.min(self.slot)))
            }
        }
    }

    /// Liquidity tokens made, and their supply now.
    fn pool(
        &self,
        request: &Request<'_>,
        kind: TokenPool,
        address: &Address,
        lp_mint: &Address,
    ) -> Result<(Atoms, Atoms), Why> {
        let account = self.owned(address, &kind.program)?;
        let pool = (kind.read)(&account.data)?;
        if pool.lp_mint != *lp_mint || !pool.mints.contains(&request.mint) {
            return Err(Why::WrongMint);
        }
        let (_, mint) = self.mint(lp_mint)?;
        Ok((pool.minted, mint.supply))
    }
}

pub(super) async fn supply(rpc: &RpcConnectionPool, mint: &Address) -> Answer<Supply> {
    let answer = rpc.token_supply(mint, COMMITMENT).await.map_err(|error| why(&error))?;
    let supply = Supply { amount: answer.value.amount, decimals: answer.value.decimals };
    Ok((supply, answer.slot))
}

/// The largest token accounts of a mint: which they are, an index tells; what they hold and whose they are, they
/// themselves do, all from one state.
pub(super) async fn holders(
    rpc: &RpcConnectionPool,
    mint: &Address,
    places: &Places,
) -> Answer<Vec<Holder>> {
    let largest =
        rpc.token_largest_accounts(mint, COMMITMENT).await.map_err(|error| why(&error))?;
    let mut slot = largest.slot;
    let addresses: Vec<Address> = largest.value.iter().map(|one| one.address).collect();
    if addresses.is_empty() {
        return Ok((Vec::new(), slot));
    }
    let accounts = rpc.multiple_accounts(&addresses, COMMITMENT, None).await;
    let accounts = accounts.map_err(|error| why(&error))?;
    slot = slot.min(accounts.slot);
    let mut found = Vec::with_capacity(addresses.len());
    for (address, account) in addresses.into_iter().zip(accounts.value) {
        found.push((address, token_of(mint, &account.ok_or(Why::Missing)?)?));
    }
    let programs = match places.lock_programs.is_empty() {
        true => BTreeMap::new(),
        false => {
            let (programs, seen) =
                programs_of(rpc, found.iter().map(|(_, token)| token.owner)).await?;
            slot = slot.min(seen);
            programs
        }
    };
    let holder = |(account, token): (Address, TokenAccount)| Holder {
        account,
        owner: token.owner,
        amount: token.amount,
        kind: places.kind(&account, &token.owner, programs.get(&token.owner)),
    };
    Ok((found.into_iter().map(holder).collect(), slot))
}

/// A token account of this mint.
fn token_of(mint: &Address, account: &AccountInfo) -> Result<TokenAccount, Why> {
    TokenProgram::of(&account.owner).ok_or(Why::WrongOwner)?;
    let token = TokenAccount::decode(&account.data).ok_or(Why::Unreadable)?;
    if token.mint == *mint { Ok(token) } else { Err(Why::WrongMint) }
}

/// Which programs own the accounts of these owners; one without an account is no program's.
async fn programs_of(
    rpc: &RpcConnectionPool,
    owners: impl Iterator<Item = Address>,
) -> Answer<BTreeMap<Address, Address>> {
    let owners: Vec<Address> = owners.collect::<BTreeSet<_>>().into_iter().collect();
    let accounts = rpc.multiple_accounts(&owners, COMMITMENT, None).await;
    let accounts = accounts.map_err(|error| why(&error))?;
    let owned = owners.into_iter().zip(accounts.value);
    let programs = owned.filter_map(|(owner, account)| Some((owner, account?.owner))).collect();
    Ok((programs, accounts.slot))
}

/// What of a liquidity token lies at a burn or a lock, as far as the largest accounts show.
pub(super) async fn locked(
    rpc: &RpcConnectionPool,
    lp_mint: &Address,
    places: &Places,
) -> Answer<Atoms> {
    let (holders, slot) = holders(rpc, lp_mint, places).await?;
    let fixed =
        holders.iter().filter(|one| matches!(one.kind, HolderKind::Burn | HolderKind::Lock));
    Ok((sum(fixed.map(|one| one.amount))?, slot))
}

pub(super) async fn creator(rpc: &RpcConnectionPool, request: &Request<'_>) -> Answer<Creator> {
    let address = request.creator.ok_or(Why::NotAsked)?;
    let answer = rpc.token_accounts_of_mint(&address, &request.mint, COMMITMENT).await;
    let answer = answer.map_err(|error| why(&error))?;
    let mut amounts = Vec::with_capacity(answer.value.len());
    for (_, account) in &answer.value {
        let token = token_of(&request.mint, account)?;
        if token.owner != address {
            return Err(Why::WrongOwner);
        }
        amounts.push(token.amount);
    }
    let amount = sum(amounts.into_iter())?;
    Ok((Creator { address, amount }, answer.slot))
}

fn sum(mut amounts: impl Iterator<Item = Atoms>) -> Result<Atoms, Why> {
    let sum = amounts.try_fold(Atoms::ZERO, Atoms::checked_add);
    sum.ok_or(Why::Impossible)
}
