//! Mint accounts of SPL Token and Token-2022, with every extension.
//!
//! Layouts: `spl-token-interface` 3.0.0 (`state::Mint`) and `spl-token-2022-interface` 3.1.2 (`extension`).

use serde::{Deserialize, Serialize};

use super::extension::Extension;
use super::metadata::InMint;
use super::reader::Reader;
use crate::amm::DecodeError;
use crate::amm::tlv::{MINT, MINT_LEN, extensions};
use crate::amm::transfer_fee::{EpochFees, transfer_fee_config};
use crate::ids::Address;
use crate::units::Atoms;

/// Which program a mint belongs to. Any other owner means that it is no mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenProgram {
    /// SPL Token: no extensions.
    Spl,
    /// Token-2022.
    Token2022,
}

impl TokenProgram {
    const SPL: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    const TOKEN_2022: Address =
        Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

    /// The token program at this address, if it is one.
    #[must_use]
    pub fn of(owner: &Address) -> Option<Self> {
        match *owner {
            Self::SPL => Some(Self::Spl),
            Self::TOKEN_2022 => Some(Self::Token2022),
            _ => None,
        }
    }

    /// Its address.
    #[must_use]
    pub const fn address(self) -> Address {
        match self {
            Self::Spl => Self::SPL,
            Self::Token2022 => Self::TOKEN_2022,
        }
    }
}

/// All of a mint account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintAccount {
    /// May make more.
    pub mint_authority: Option<Address>,
    /// All there is.
    pub supply: Atoms,
    /// Decimal places of a whole token.
    pub decimals: u8,
    /// It is in use.
    pub initialized: bool,
    /// May freeze anybody's account.
    pub freeze_authority: Option<Address>,
    /// In the order of the account, each kind once.
    pub extensions: Vec<MintExtension>,
}

/// An extension and what it says. Keys that are all zeros mean none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MintExtension {
    /// 1.
    TransferFee {
        /// May change the fee.
        authority: Option<Address>,
        /// May take what was withheld.
        withdraw_authority: Option<Address>,
        /// Withheld and waiting in the mint.
        withheld: Atoms,
        /// The fee now and the one announced.
        fees: EpochFees,
    },
    /// 3: who may close the mint.
    CloseAuthority(Option<Address>),
    /// 4.
    ConfidentialTransfer {
        /// May change this.
        authority: Option<Address>,
        /// Accounts need nobody's consent.
        auto_approve: bool,
        /// Somebody can read all amounts.
        audited: bool,
    },
    /// 6: new accounts begin frozen, or not.
    DefaultState {
        /// Frozen.
        frozen: bool,
    },
    /// 9.
    NonTransferable,
    /// 10.
    InterestBearing {
        /// May change the rate.
        authority: Option<Address>,
        /// Per year, in hundredths of a percent.
        rate_bps: i16,
    },
    /// 12: who may move or burn everybody's tokens.
    PermanentDelegate(Option<Address>),
    /// 14.
    TransferHook {
        /// May set the program.
        authority: Option<Address>,
        /// Runs at every transfer.
        program: Option<Address>,
    },
    /// 16: who may change its key.
    ConfidentialTransferFee(Option<Address>),
    /// 18.
    MetadataPointer {
        /// May point elsewhere.
        authority: Option<Address>,
        /// Where the metadata is.
        address: Option<Address>,
    },
    /// 19.
    Metadata(InMint),
    /// 20.
    GroupPointer {
        /// May point elsewhere.
        authority: Option<Address>,
        /// Where the group is.
        address: Option<Address>,
    },
    /// 21.
    Group {
        /// May change it.
        authority: Option<Address>,
        /// Members now.
        size: u64,
        /// Members at most.
        size_max: u64,
    },
    /// 22.
    MemberPointer {
        /// May point elsewhere.
        authority: Option<Address>,
        /// Where the membership is.
        address: Option<Address>,
    },
    /// 23.
    Member {
        /// The group's mint.
        group: Address,
        /// Its number there.
        number: u64,
    },
    /// 24.
    ConfidentialMintBurn,
    /// 25. Multipliers are kept as the bits of a 64-bit float: they are for display only, and never computed with here.
    ScaledUiAmount {
        /// May change it.
        authority: Option<Address>,
        /// Now.
        multiplier_bits: u64,
        /// When the next one holds, in seconds since the Unix epoch.
        next_from: i64,
        /// Then.
        next_multiplier_bits: u64,
    },
    /// 26.
    Pausable {
        /// May stop and start all transfers.
        authority: Option<Address>,
        /// Stopped now.
        paused: bool,
    },
    /// 28: whose consent burning needs.
    PermissionedBurn(Option<Address>),
    /// A number that has no name here.
    Other {
        /// The number.
        number: u16,
        /// Bytes of its value.
        length: u16,
    },
}

/// A real mint has a handful.
const EXTENSIONS_MAX: usize = 32;

/// Reads a mint account that `program` owns.
///
/// # Errors
///
/// When the bytes are not a mint account of that program, or an extension in it is not as long or not as valued as
/// that extension is. An extension of unknown number is no error here: it is listed, and the policy refuses it.
pub fn decode_mint(program: TokenProgram, data: &[u8]) -> Result<MintAccount, DecodeError> {
    if program == TokenProgram::Spl && data.len() != MINT_LEN {
        return Err(DecodeError::Length { account: MINT, length: data.len() });
    }
    let walk = extensions(data)?;
    let field = |field| DecodeError::Field { account: MINT, field };
    let mut r = Reader(data);
    let mint_authority = r.tagged().ok_or(field("mint authority"))?;
    let supply = Atoms::new(r.u64().ok_or(field("supply"))?);
    let decimals = r.u8().ok_or(field("decimals"))?;
    let initialized = r.flag().ok_or(field("state"))?;
    let freeze_authority = r.tagged().ok_or(field("freeze authority"))?;
    let mut found = Vec::new();
    let mut numbers = std::collections::BTreeSet::new();
    for entry in walk {
        let (number, value) = entry?;
        // The program itself reads the first of a kind only: a second one would hide behind it.
        if !numbers.insert(number) || found.len() >= EXTENSIONS_MAX {
            return Err(field("extension list"));
        }
        found.push(extension(number, value).ok_or(field("extension"))?);
    }
    Ok(MintAccount {
        mint_authority,
        supply,
        decimals,
        initialized,
        freeze_authority,
        extensions: found,
    })
}

/// The value of an extension; `None` when it is not one of that number.
fn extension(number: u16, value: &[u8]) -> Option<MintExtension> {
    let mut r = Reader(value);
    let read = match Extension::of(number) {
        Extension::TransferFee => {
            let fees = transfer_fee_config(value)?;
            let (authority, withdraw_authority) = (r.maybe()?, r.maybe()?);
            let withheld = Atoms::new(r.u64()?);
            // Two fees of an epoch, a maximum and a rate each, which were read above.
            r.bytes(36)?;
            MintExtension::TransferFee { authority, withdraw_authority, withheld, fees }
        }
        Extension::CloseAuthority => MintExtension::CloseAuthority(r.maybe()?),
        Extension::ConfidentialTransfer => MintExtension::ConfidentialTransfer {
            authority: r.maybe()?,
            auto_approve: r.flag()?,
            audited: r.maybe()?.is_some(),
        },
        Extension::DefaultState => match r.u8()? {
            1 => MintExtension::DefaultState { frozen: false },
            2 => MintExtension::DefaultState { frozen: true },
            _ => return None,
        },
        Extension::NonTransferable => MintExtension::NonTransferable,
        Extension::InterestBearing => {
            let authority = r.maybe()?;
            // When it began, the rate until the last change, and when that was.
            r.bytes(18)?;
            MintExtension::InterestBearing { authority, rate_bps: i16::from_le_bytes(r.take()?) }
        }
        Extension::PermanentDelegate => MintExtension::PermanentDelegate(r.maybe()?),
        Extension::TransferHook => {
            MintExtension::TransferHook { authority: r.maybe()?, program: r.maybe()? }
        }
        Extension::ConfidentialTransferFee => {
            let authority = r.maybe()?;
            // An encryption key, a switch and an encrypted amount.
            r.bytes(97)?;
            MintExtension::ConfidentialTransferFee(authority)
        }
        Extension::MetadataPointer => {
            MintExtension::MetadataPointer { authority: r.maybe()?, address: r.maybe()? }
        }
        Extension::Metadata => return InMint::decode(value).map(MintExtension::Metadata),
        Extension::GroupPointer => {
            MintExtension::GroupPointer { authority: r.maybe()?, address: r.maybe()? }
        }
        Extension::Group => {
            let (authority, _mint) = (r.maybe()?, r.address()?);
            MintExtension::Group { authority, size: r.u64()?, size_max: r.u64()? }
        }
        Extension::MemberPointer => {
            MintExtension::MemberPointer { authority: r.maybe()?, address: r.maybe()? }
        }
        Extension::Member => {
            let _mint = r.address()?;
            MintExtension::Member { group: r.address()?, number: r.u64()? }
        }
        Extension::ConfidentialMintBurn => {
            // The supply encrypted twice, a key, and burns that wait.
            r.bytes(196)?;
            MintExtension::ConfidentialMintBurn
        }
        Extension::ScaledUiAmount => MintExtension::ScaledUiAmount {
            authority: r.maybe()?,
            multiplier_bits: r.u64()?,
            next_from: r.i64()?,
            next_multiplier_bits: r.u64()?,
        },
        Extension::Pausable => MintExtension::Pausable { authority: r.maybe()?, paused: r.flag()? },
        Extension::PermissionedBurn => MintExtension::PermissionedBurn(r.maybe()?),
        Extension::Other(number) => {
            return Some(MintExtension::Other { number, length: u16::try_from(value.len()).ok()? });
        }
    };
    r.end(read)
}

impl MintExtension {
    /// Which it is.
    #[must_use]
    pub const fn kind(&self) -> Extension {
        match self {
            Self::TransferFee { .. } => Extension::TransferFee,
            Self::CloseAuthority(_) => Extension::CloseAuthority,
            Self::ConfidentialTransfer { .. } => Extension::ConfidentialTransfer,
            Self::DefaultState { .. } => Extension::DefaultState,
            Self::NonTransferable => Extension::NonTransferable,
            Self::InterestBearing { .. } => Extension::InterestBearing,
            Self::PermanentDelegate(_) => Extension::PermanentDelegate,
            Self::TransferHook { .. } => Extension::TransferHook,
            Self::ConfidentialTransferFee(_) => Extension::ConfidentialTransferFee,
            Self::MetadataPointer { .. } => Extension::MetadataPointer,
            Self::Metadata(_) => Extension::Metadata,
            Self::GroupPointer { .. } => Extension::GroupPointer,
            Self::Group { .. } => Extension::Group,
            Self::MemberPointer { .. } => Extension::MemberPointer,
            Self::Member { .. } => Extension::Member,
            Self::ConfidentialMintBurn => Extension::ConfidentialMintBurn,
            Self::ScaledUiAmount { .. } => Extension::ScaledUiAmount,
            Self::Pausable { .. } => Extension::Pausable,
            Self::PermissionedBurn(_) => Extension::PermissionedBurn,
            Self::Other { number, .. } => Extension::Other(*number),
        }
    }
}
