//! What the operator accepts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::extension::Extension;
use crate::units::{Atoms, Bps};

/// What the operator accepts of a token. The default is strict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Extensions a mint may have, by name; any other denies it.
    pub extensions: BTreeSet<Extension>,
    /// The most a transfer fee may take, now and as announced. Counts only where the extension is listed.
    pub transfer_fee_max: Bps,
    /// Somebody may make more.
    pub mint_authority: bool,
    /// Somebody may freeze accounts.
    pub freeze_authority: bool,
    /// The metadata may still change, or be missing.
    pub mutable_metadata: bool,
    /// The most one owner may hold of what is not burnt.
    pub top_holder_max: Bps,
    /// The most the ten largest owners may hold together.
    pub top_ten_max: Bps,
    /// The most the creator may hold.
    pub creator_max: Bps,
    /// The least share of the liquidity that must be burnt or locked.
    pub liquidity_locked_min: Bps,
    /// The least supply, in atoms.
    pub supply_min: Atoms,
    /// The fewest decimals.
    pub decimals_min: u8,
    /// The most decimals.
    pub decimals_max: u8,
    /// The most that buying and selling at once may lose.
    pub round_trip_loss_max: Bps,
    /// How old evidence may be. About 400 ms each.
    pub age_max_slots: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            extensions: BTreeSet::from(Extension::HARMLESS),
            transfer_fee_max: Bps::ZERO,
            mint_authority: false,
            freeze_authority: false,
            mutable_metadata: false,
            top_holder_max: Bps::capped(1_000),
            top_ten_max: Bps::capped(3_000),
            creator_max: Bps::capped(500),
            liquidity_locked_min: Bps::capped(9_500),
            supply_min: Atoms::new(1_000_000),
            decimals_min: 2,
            decimals_max: 12,
            round_trip_loss_max: Bps::capped(1_000),
            age_max_slots: 150,
        }
    }
}
