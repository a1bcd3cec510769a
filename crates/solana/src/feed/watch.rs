//! Which accounts are followed, and what their bytes mean.

use std::hash::{DefaultHasher, Hasher as _};

use sniper_core::amm::{AccountUpdate, DecodeError, Followed, Kind, Part, PoolSpec, decode_vault};
use sniper_core::event::MarketEvent;
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::units::{Atoms, Lamports, Slot};

use crate::rpc::AccountInfo;

/// A watched account. Those that the feed starts with are numbered from zero in their order; no number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// What an account is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An account that a pool is quoted from.
    Pool {
        /// The pool.
        pool: PoolId,
        /// Its kind, which knows how to read it.
        kind: Kind,
        /// What it is to the pool.
        part: Part,
    },
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
    /// The accounts a pool is quoted from: its `mints` and the `programs` that own them in its own order, and the tick
    /// or bin `arrays` around its price.
    #[must_use]
    pub fn for_pool(
        id: PoolId,
        spec: &PoolSpec,
        mints: [Address; 2],
        programs: [Address; 2],
        arrays: &[i32],
    ) -> Vec<Self> {
        let kind = spec.kind.kind();
        let followed = spec.followed(mints, programs, arrays).into_iter();
        let watch = |at: Followed| Self {
            address: at.address,
            owner: at.owner,
            role: Role::Pool { pool: id, kind, part: at.part },
        };
        followed.map(watch).collect()
    }

    /// What an account says to the market, as read at `slot`; none for an account of our own.
    ///
    /// # Errors
    ///
    /// When it is absent, or is not what it should be.
    pub fn read(
        &self,
        slot: Slot,
        account: Option<&AccountInfo>,
    ) -> Result<Option<MarketEvent>, DecodeError> {
        let empty = (SYSTEM_PROGRAM, &[][..]);
        let (owner, data) = account.map_or(empty, |account| (account.owner, &account.data[..]));
        if !self.accepts(&owner, data) {
            return Err(DecodeError::Field { account: "a pool's account", field: "owner" });
        }
        let lamports = account.map_or(0, |account| account.lamports.get());
        Ok(match decode(self.role, lamports, data)? {
            Content::Market { pool, update } => Some(Content::market(pool, slot, update)),
            _ => None,
        })
    }

    /// The kind whose program has changed, if bytes that it wrote do not read for this reason: another length or
    /// another discriminator than any that is known.
    pub(crate) fn drifted(&self, error: &DecodeError) -> Option<Kind> {
        let shape = matches!(error, DecodeError::Length { .. } | DecodeError::Discriminator { .. });
        match self.role {
            Role::Pool { kind, .. } if shape && self.owner == kind.program() => Some(kind),
            _ => None,
        }
    }

    /// Whether bytes under that owner are what we watch. A tick array that nobody has made yet belongs to nobody.
    pub(crate) fn accepts(&self, owner: &Address, data: &[u8]) -> bool {
        let absent = *owner == SYSTEM_PROGRAM && data.is_empty();
        self.owner == *owner
            || (absent && matches!(self.role, Role::Pool { part: Part::Array(_), .. }))
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
        Role::Pool { pool, kind, part } => {
            Content::Market { pool, update: kind.decode(part, data)? }
        }
        Role::OwnToken(mint) => Content::OwnToken { mint, amount: decode_vault(data)? },
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
        let parts = prop_oneof![
            any::<bool>().prop_map(|second| Part::Vault { second }),
            Just(Part::State),
            Just(Part::Config),
            Just(Part::Schedules),
            Just(Part::Supply),
            Just(Part::Oracle),
            Just(Part::Bitmap),
            any::<i32>().prop_map(Part::Array),
        ];
        let kinds = proptest::sample::select(&Kind::ALL[..]);
        let pool = (kinds, parts);
        prop_oneof![
            pool.prop_map(|(kind, part)| Role::Pool { pool: PoolId(0), kind, part }),
            Just(Role::OwnToken(MintId(1))),
        ]
    }

    #[test]
    fn only_a_shape_that_is_not_known_under_the_right_program_is_a_change_of_it() {
        let of = |owner, part| Watch {
            address: Address::default(),
            owner,
            role: Role::Pool { pool: PoolId(0), kind: Kind::Cpmm, part },
        };
        let state = of(Kind::Cpmm.program(), Part::State);
        let error = |data: &[u8]| Kind::Cpmm.decode(Part::State, data).unwrap_err();
        assert_eq!(state.drifted(&error(&[0; 637])), Some(Kind::Cpmm), "another discriminator");
        assert_eq!(state.drifted(&error(&[0; 700])), Some(Kind::Cpmm), "another length");
        let field = DecodeError::Field { account: "pool", field: "status" };
        assert_eq!(state.drifted(&field), None, "a value out of its range");
        let vault = of(SYSTEM_PROGRAM, Part::Vault { second: false });
        assert_eq!(vault.drifted(&error(&[0; 700])), None, "a token account is not the program's");
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
