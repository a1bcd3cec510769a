//! The changing part of a pool: what its accounts hold, and whether they agree.

use serde::Serialize;

use crate::amm::cpmm;
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{AccountUpdate, PoolKind, Quote, QuoteError};
use crate::units::{Atoms, Price, Slot};

const TOKEN_2022: crate::ids::Address =
    crate::ids::Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// What a pool's accounts hold now.
#[derive(Clone, Debug, Serialize)]
pub struct Live {
    vaults: [Option<Atoms>; 2],
    pool: Option<cpmm::PoolState>,
    config: Option<cpmm::Config>,
    /// Slots of vault 0, vault 1 and the state account: every swap changes all three.
    slots: [Slot; 3],
    settled: bool,
    supported: bool,
    #[serde(skip)]
    curve: Result<cpmm::Curve, QuoteError>,
}

impl Live {
    /// A pool of which no account has been seen.
    #[must_use]
    pub fn new(kind: &PoolKind) -> Self {
        let PoolKind::Cpmm(keys) = kind;
        Self {
            vaults: [None; 2],
            pool: None,
            config: None,
            slots: [Slot::ZERO; 3],
            settled: false,
            // A Token-2022 mint may charge for transfers; what it charges is not part of these accounts.
            supported: !keys.token_programs.contains(&TOKEN_2022),
            curve: Err(QuoteError::Unknown),
        }
    }

    /// Takes what an account holds at a slot. An account never goes back: older states are dropped.
    pub fn apply(&mut self, update: &AccountUpdate, slot: Slot) {
        let place = match update {
            AccountUpdate::Vault { second, .. } => usize::from(*second),
            AccountUpdate::CpmmPool(_) => 2,
            AccountUpdate::CpmmConfig(config) => {
                self.config = Some(*config);
                return self.refresh();
            }
        };
        match self.slots.get_mut(place) {
            Some(known) if *known <= slot => *known = slot,
            _ => return,
        }
        match update {
            AccountUpdate::Vault { second, amount } => {
                if let Some(vault) = self.vaults.get_mut(usize::from(*second)) {
                    *vault = Some(*amount);
                }
            }
            AccountUpdate::CpmmPool(pool) => self.pool = Some(*pool),
            AccountUpdate::CpmmConfig(_) => {}
        }
        let [a, b, c] = self.slots;
        self.settled = a == b && b == c;
        self.refresh();
    }

    /// The chain has reached `slot`. Accounts that still disagree two slots after the newest of them really were
    /// changed apart, by a deposit into one vault, say; one slot would race with notices still under way.
    pub fn settle_before(&mut self, slot: Slot) {
        if !self.settled && self.slot().saturating_add(Slot::new(2)) <= slot {
            self.settled = true;
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        if !self.settled {
            return;
        }
        let all = (self.vaults, &self.pool, &self.config);
        self.curve = match all {
            _ if !self.supported => Err(QuoteError::Unsupported),
            ([Some(first), Some(second)], Some(pool), Some(config)) => cpmm::Curve::new(
                [first, second],
                pool,
                config,
                [TransferFee::NONE, TransferFee::NONE],
            ),
            _ => Err(QuoteError::Unknown),
        };
    }

    /// Whether its accounts disagree, so that only more notices or time can settle it.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        !self.settled
    }

    /// Whether its accounts agree on one moment and all of them are known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled && self.vaults.iter().all(Option::is_some) && self.pool.is_some()
    }

    /// The slot of its newest account.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slots.iter().copied().max().unwrap_or_default()
    }

    /// The curve as of the last settled moment.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn curve(&self) -> Result<&cpmm::Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }

    /// What comes out for `amount`; `forward` gives mint 0 for mint 1, `now` in Unix seconds.
    ///
    /// # Errors
    ///
    /// Why nothing comes out.
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        now: i64,
    ) -> Result<Quote, QuoteError> {
        self.curve()?.quote_exact_in(forward, amount, now)
    }

    /// What must go in for `amount` to come out; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// Why nothing can come out.
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        now: i64,
    ) -> Result<Quote, QuoteError> {
        self.curve()?.quote_exact_out(forward, amount, now)
    }

    /// Price from the reserves, without fees: atoms of mint 1 per atom of mint 0, or the inverse.
    #[must_use]
    pub fn spot_price(&self, of_first: bool) -> Option<Price> {
        let [first, second] = self.curve.as_ref().ok()?.reserves();
        if of_first {
            Price::of(second.get(), first.get())
        } else {
            Price::of(first.get(), second.get())
        }
    }
}
