//! Which accounts are followed, and what their bytes mean.

use std::hash::{DefaultHasher, Hasher as _};

use sniper_core::amm::{AccountUpdate, DecodeError, PoolKind, PoolSpec, cpmm};
use sniper_core::event::MarketEvent;
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::units::{Atoms, Lamports, Slot};

/// A watched account, by position in the list given to the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u32);

/// What an account is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The vault of a pool's mint 0, or of mint 1.
    Vault {
        /// The pool.
        pool: PoolId,
        /// Mint 1's.
        second: bool,
    },
    /// The state account of a Raydium CPMM pool.
    CpmmPool(PoolId),
    /// The fee configuration of a Raydium CPMM pool.
    CpmmConfig(PoolId),
    /// Our own token account of a mint.
    OwnToken(MintId),
    /// Our own native balance.
    OwnLamports,
}

/// An account to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Where.
    pub address: Address,
    /// The program that must own it: bytes under another owner are not what they look like.
    pub owner: Address,
    /// What for.
    pub role: Role,
}

/// Owner of native balances.
pub(crate) const SYSTEM_PROGRAM: Address = Address::new_from_array([0; 32]);

impl Watch {
    /// The accounts a pool is quoted from.
    #[must_use]
    pub fn for_pool(id: PoolId, spec: &PoolSpec) -> [Self; 4] {
        let PoolKind::Cpmm(keys) = &spec.kind;
        let [vault_0, vault_1] = keys.vaults;
        let [program_0, program_1] = keys.token_programs;
        let watch = |address, owner, role| Self { address, owner, role };
        [
            watch(vault_0, program_0, Role::Vault { pool: id, second: false }),
            watch(vault_1, program_1, Role::Vault { pool: id, second: true }),
            watch(spec.address, cpmm::PROGRAM_ID, Role::CpmmPool(id)),
            watch(keys.config, cpmm::PROGRAM_ID, Role::CpmmConfig(id)),
        ]
    }

    /// Our own token account.
    #[must_use]
    pub const fn own_token(address: Address, token_program: Address, mint: MintId) -> Self {
        Self { address, owner: token_program, role: Role::OwnToken(mint) }
    }

    /// Our own native balance.
    #[must_use]
    pub const fn own_lamports(address: Address) -> Self {
        Self { address, owner: SYSTEM_PROGRAM, role: Role::OwnLamports }
    }
}

/// What an account's bytes mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Market { pool: PoolId, update: AccountUpdate },
    OwnToken { mint: MintId, amount: Atoms },
    OwnLamports(Lamports),
}

impl Content {
    pub(crate) fn market(pool: PoolId, slot: Slot, update: AccountUpdate) -> MarketEvent {
        MarketEvent::Account { pool, slot, update }
    }
}

/// Reads an account's bytes in its role.
pub(crate) fn decode(role: Role, lamports: u64, data: &[u8]) -> Result<Content, DecodeError> {
    Ok(match role {
        Role::Vault { pool, second } => {
            let amount = cpmm::decode_vault(data)?;
            Content::Market { pool, update: AccountUpdate::Vault { second, amount } }
        }
        Role::CpmmPool(pool) => {
            let (state, _) = cpmm::decode_pool(data)?;
            Content::Market { pool, update: AccountUpdate::CpmmPool(state) }
        }
        Role::CpmmConfig(pool) => {
            let config = cpmm::decode_config(data)?;
            Content::Market { pool, update: AccountUpdate::CpmmConfig(config) }
        }
        Role::OwnToken(mint) => Content::OwnToken { mint, amount: cpmm::decode_vault(data)? },
        Role::OwnLamports => Content::OwnLamports(Lamports::new(lamports)),
    })
}

/// What tells two versions of an account apart.
pub(crate) fn fingerprint(lamports: u64, data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(lamports);
    hasher.write(data);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roles() -> impl Strategy<Value = Role> {
        prop_oneof![
            any::<bool>().prop_map(|second| Role::Vault { pool: PoolId(0), second }),
            Just(Role::CpmmPool(PoolId(0))),
            Just(Role::CpmmConfig(PoolId(0))),
            Just(Role::OwnToken(MintId(1))),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused_in_every_role(
            role in roles(),
            data in proptest::collection::vec(any::<u8>(), 0..700),
        ) {
            if let Ok(Content::OwnToken { amount, .. }) = decode(role, 0, &data) {
                prop_assert_eq!(&amount.get().to_le_bytes()[..], &data[64..72]);
            }
        }
    }
}
