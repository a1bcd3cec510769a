//! What the exchange reads out of mints and token accounts, of either token program.

use solana_address::Address;

use super::math::TransferFee;

const TOKEN_ACCOUNT_LEN: usize = 165;
const MINT_LEN: usize = 82;
/// Offset of the account-type byte in an account with extensions.
const TYPE_AT: usize = 165;
const TRANSFER_FEE_CONFIG: u16 = 1;

/// Whether `program` is one of the two token programs.
#[must_use]
pub fn is_token_program(program: &Address) -> bool {
    *program == spl_token_interface::ID || *program == spl_token_2022_interface::ID
}

/// The part of a token account that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenAccount {
    /// Mint of the tokens.
    pub mint: Address,
    /// Who may move them.
    pub owner: Address,
    /// How many atoms.
    pub amount: u64,
}

impl TokenAccount {
    /// Reads an initialised token account; `None` if the bytes are not one.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        if data.len() != TOKEN_ACCOUNT_LEN
            && (data.len() <= TYPE_AT || data.get(TYPE_AT) != Some(&2))
        {
            return None;
        }
        if *data.get(108)? == 0 {
            return None;
        }
        Some(Self {
            mint: address(data.get(0..32)?)?,
            owner: address(data.get(32..64)?)?,
            amount: u64::from_le_bytes(data.get(64..72)?.try_into().ok()?),
        })
    }
}

/// Decimals of an initialised mint; `None` if the bytes are not one.
#[must_use]
pub fn mint_decimals(data: &[u8]) -> Option<u8> {
    let extended = data.len() > TYPE_AT && data.get(TYPE_AT) == Some(&1);
    if data.len() != MINT_LEN && !extended {
        return None;
    }
    if *data.get(45)? == 0 {
        return None;
    }
    data.get(44).copied()
}

/// The transfer fee of a Token-2022 mint in `epoch`; none if the mint has no such extension.
#[must_use]
pub fn transfer_fee(mint: &[u8], epoch: u64) -> TransferFee {
    transfer_fee_config(mint)
        .and_then(|config| {
            let newer = config.get(90..108)?;
            let starts = u64::from_le_bytes(newer.get(0..8)?.try_into().ok()?);
            let active = if epoch >= starts { newer } else { config.get(72..90)? };
            Some(TransferFee {
                max: u64::from_le_bytes(active.get(8..16)?.try_into().ok()?),
                bps: u16::from_le_bytes(active.get(16..18)?.try_into().ok()?),
            })
        })
        .unwrap_or_default()
}

fn transfer_fee_config(mint: &[u8]) -> Option<&[u8]> {
    if mint.get(TYPE_AT) != Some(&1) {
        return None;
    }
    let mut rest = mint.get(TYPE_AT + 1..)?;
    loop {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        let [kind_low, kind_high, len_low, len_high] = *head;
        let kind = u16::from_le_bytes([kind_low, kind_high]);
        let (value, next) =
            tail.split_at_checked(u16::from_le_bytes([len_low, len_high]).into())?;
        match kind {
            0 => return None,
            TRANSFER_FEE_CONFIG => return Some(value),
            _ => rest = next,
        }
    }
}

fn address(bytes: &[u8]) -> Option<Address> {
    bytes.try_into().ok().map(Address::new_from_array)
}
