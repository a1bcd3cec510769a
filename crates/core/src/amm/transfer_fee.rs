//! Token-2022's fee on every transfer: it can change once per epoch and is capped.

use serde::{Deserialize, Serialize};

use crate::amm::DecodeError;
use crate::amm::tlv::{MINT, extensions};

/// A transfer fee in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferFee {
    /// The most it takes of one transfer.
    pub max: u64,
    /// In hundredths of a percent, at most 10 000.
    pub bps: u16,
}

/// The fee now and the one announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochFees {
    /// In force before [`Self::newer_epoch`].
    pub older: TransferFee,
    /// In force from [`Self::newer_epoch`] on.
    pub newer: TransferFee,
    /// When it changes.
    pub newer_epoch: u64,
}

impl EpochFees {
    /// No fee, ever.
    pub const NONE: Self =
        Self { older: TransferFee::NONE, newer: TransferFee::NONE, newer_epoch: 0 };

    /// The fee in force in `epoch`.
    #[must_use]
    pub const fn at(&self, epoch: u64) -> TransferFee {
        if epoch >= self.newer_epoch { self.newer } else { self.older }
    }
}

impl TransferFee {
    /// No fee.
    pub const NONE: Self = Self { max: 0, bps: 0 };

    const WHOLE: u16 = 10_000;

    /// What a transfer of `amount` loses on the way, rounded up.
    #[must_use]
    pub fn of(&self, amount: u64) -> u64 {
        if self.bps == 0 {
            return 0;
        }
        let fee = u128::from(amount)
            .saturating_mul(u128::from(self.bps))
            .div_ceil(u128::from(Self::WHOLE));
        u64::try_from(fee).unwrap_or(u64::MAX).min(self.max)
    }

    /// The fee the program reckons with so that `amount` arrives; `None` when nothing sent could do it.
    ///
    /// The program takes the maximum for a fee of 100 %, whatever the amount.
    #[must_use]
    pub fn so_that_arrives(&self, amount: u64) -> Option<u64> {
        if self.bps >= Self::WHOLE {
            return Some(self.max);
        }
        if self.bps == 0 || amount == 0 {
            return Some(0);
        }
        let kept = Self::WHOLE.saturating_sub(self.bps);
        let gross =
            u128::from(amount).saturating_mul(u128::from(Self::WHOLE)).div_ceil(u128::from(kept));
        let fee = gross.saturating_sub(u128::from(amount));
        let sent = if fee >= u128::from(self.max) {
            amount.checked_add(self.max)?
        } else {
            u64::try_from(gross).ok()?
        };
        Some(self.of(sent))
    }
}

/// The transfer fees of a mint account of Token-2022 (or SPL Token, which has none).
///
/// # Errors
///
/// When the bytes are not a mint, or it has an extension under which a constant-product pool's transfers are not
/// plain: what is not known to be harmless is refused.
pub fn decode_transfer_fees(data: &[u8]) -> Result<EpochFees, DecodeError> {
    let mut fees = EpochFees::NONE;
    for extension in extensions(data)? {
        let (kind, value) = extension?;
        match kind {
            1 => {
                fees = transfer_fee_config(value)
                    .ok_or(DecodeError::Field { account: MINT, field: "transfer fee" })?;
            }
            // Close authority, interest-bearing, metadata and group pointers, scaled amount: none moves atoms.
            3 | 10 | 18..=23 | 25 => {}
            _ => return Err(DecodeError::Field { account: MINT, field: "extension" }),
        }
    }
    Ok(fees)
}

/// The fees in the value of a mint's transfer-fee extension; `None` when it is not one.
pub(crate) fn transfer_fee_config(value: &[u8]) -> Option<EpochFees> {
    if value.len() != 108 {
        return None;
    }
    let read = |at: usize| -> Option<(u64, TransferFee)> {
        let (epoch, rest) = value.get(at..)?.split_first_chunk()?;
        let (max, rest) = rest.split_first_chunk()?;
        let (bps, _) = rest.split_first_chunk()?;
        let bps = u16::from_le_bytes(*bps);
        let fee = TransferFee { max: u64::from_le_bytes(*max), bps };
        (bps <= TransferFee::WHOLE).then_some((u64::from_le_bytes(*epoch), fee))
    };
    let (_, older) = read(72)?;
    let (newer_epoch, newer) = read(90)?;
    Some(EpochFees { older, newer, newer_epoch })
}
