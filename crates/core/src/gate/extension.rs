//! The extensions a Token-2022 mint can have, by name.

use serde::{Deserialize, Serialize};

/// Which extension of a mint. Written by name in a configuration; one without a name as `extension_N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Extension {
    /// 1: a fee on every transfer, which its authority may raise to all of it.
    TransferFee,
    /// 3: the mint can be closed once its supply is zero.
    CloseAuthority,
    /// 4: amounts can be moved encrypted, so balances tell less than they seem to.
    ConfidentialTransfer,
    /// 6: new accounts begin in a state that the freeze authority sets: frozen ones cannot sell.
    DefaultState,
    /// 9: it can never be sold.
    NonTransferable,
    /// 10: shown amounts grow; atoms do not.
    InterestBearing,
    /// 12: somebody may move or burn everybody's tokens.
    PermanentDelegate,
    /// 14: a program runs at every transfer and may refuse it.
    TransferHook,
    /// 16: withheld fees are encrypted.
    ConfidentialTransferFee,
    /// 18: says where the metadata is.
    MetadataPointer,
    /// 19: metadata in the mint itself.
    Metadata,
    /// 20: says where the group is.
    GroupPointer,
    /// 21: a group of mints.
    Group,
    /// 22: says where the membership is.
    MemberPointer,
    /// 23: membership of a group.
    Member,
    /// 24: the supply itself is encrypted.
    ConfidentialMintBurn,
    /// 25: shown amounts are scaled; atoms are not.
    ScaledUiAmount,
    /// 26: somebody may stop all transfers.
    Pausable,
    /// 28: burning needs an authority's consent.
    PermissionedBurn,
    /// Any other number: not known, so nothing is known of what it does.
    Other(u16),
}

const NAMED: [(u16, Extension, &str); 19] = [
    (1, Extension::TransferFee, "transfer_fee"),
    (3, Extension::CloseAuthority, "close_authority"),
    (4, Extension::ConfidentialTransfer, "confidential_transfer"),
    (6, Extension::DefaultState, "default_account_state"),
    (9, Extension::NonTransferable, "non_transferable"),
    (10, Extension::InterestBearing, "interest_bearing"),
    (12, Extension::PermanentDelegate, "permanent_delegate"),
    (14, Extension::TransferHook, "transfer_hook"),
    (16, Extension::ConfidentialTransferFee, "confidential_transfer_fee"),
    (18, Extension::MetadataPointer, "metadata_pointer"),
    (19, Extension::Metadata, "metadata"),
    (20, Extension::GroupPointer, "group_pointer"),
    (21, Extension::Group, "group"),
    (22, Extension::MemberPointer, "member_pointer"),
    (23, Extension::Member, "member"),
    (24, Extension::ConfidentialMintBurn, "confidential_mint_burn"),
    (25, Extension::ScaledUiAmount, "scaled_ui_amount"),
    (26, Extension::Pausable, "pausable"),
    (28, Extension::PermissionedBurn, "permissioned_burn"),
];

impl Extension {
    /// Those that can neither take, stop nor hide anything: what a policy allows unless it says otherwise.
    pub const HARMLESS: [Self; 9] = [
        Self::CloseAuthority,
        Self::InterestBearing,
        Self::MetadataPointer,
        Self::Metadata,
        Self::GroupPointer,
        Self::Group,
        Self::MemberPointer,
        Self::Member,
        Self::ScaledUiAmount,
    ];

    /// By its number in the account. Those that only token accounts can have are [`Self::Other`] on a mint.
    #[must_use]
    pub fn of(number: u16) -> Self {
        let named = NAMED.iter().find(|(known, ..)| *known == number);
        named.map_or(Self::Other(number), |(_, extension, _)| *extension)
    }

    /// Its number in the account.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Other(number) => number,
            named => {
                NAMED.iter().find(|(_, one, _)| *one == named).map_or(0, |(number, ..)| *number)
            }
        }
    }
}

impl std::fmt::Display for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NAMED.iter().find(|(_, one, _)| one == self) {
            Some((.., name)) => f.pad(name),
            None => write!(f, "extension_{}", self.number()),
        }
    }
}

impl std::str::FromStr for Extension {
    type Err = UnknownExtension;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, extension, _)) = NAMED.iter().find(|(.., name)| *name == text) {
            return Ok(*extension);
        }
        let number = text.strip_prefix("extension_").and_then(|number| number.parse().ok());
        match number.map(Self::of) {
            // A number with a name is written by name: whoever lists it shall read what it does.
            Some(other @ Self::Other(_)) => Ok(other),
            _ => Err(UnknownExtension(text.chars().take(40).collect())),
        }
    }
}

impl TryFrom<String> for Extension {
    type Error = UnknownExtension;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> Self {
        extension.to_string()
    }
}

/// A name that no extension has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no mint extension is called {0:?}; write a name such as transfer_fee, or extension_N for one without a name"
)]
pub struct UnknownExtension(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_name_and_reads_back() {
        for number in 0..=u16::MAX {
            let extension = Extension::of(number);
            assert_eq!(extension.number(), number);
            assert_eq!(extension.to_string().parse(), Ok(extension));
        }
        for wrong in ["", "extension_1", "extension_", "extension_70000", "Transfer_Fee"] {
            assert!(wrong.parse::<Extension>().is_err(), "{wrong}");
        }
    }
}
