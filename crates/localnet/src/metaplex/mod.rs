//! What tokens call themselves: the one instruction of the Metaplex token metadata program that makes an account of it,
//! mounted at that program's address.
//!
//! Layout, order of accounts, fee, padding and error numbers are those of metaplex-foundation/mpl-token-metadata
//! (`CreateMetadataAccountV3`: `processor/metadata/create_medatata_accounts_v3.rs` at `609afd20`, `utils/metadata.rs` at
//! `29087abd`, `state/fee.rs` at `2e063604`), the account's length that of mainnet since its accounts were shortened.
//!
//! What it does not have: creators, collections and uses, which are refused; every other instruction. So what was made
//! as changeable stays as it is too: that somebody may change it, is all that it says.

pub mod program;

use solana_address::{Address, address};
use solana_instruction::{AccountMeta, Instruction};
use solana_sdk_ids::system_program;

/// Address the program is mounted at.
pub const PROGRAM_ID: Address = address!("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s");

/// Bytes of an account.
pub const ACCOUNT_LEN: usize = 607;
/// First byte of an instruction that makes an account.
pub const CREATE: u8 = 33;
/// Most bytes of a name.
pub const NAME_MAX: usize = 32;
/// Most bytes of a symbol.
pub const SYMBOL_MAX: usize = 10;
/// Most bytes of a link.
pub const URI_MAX: usize = 200;

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its name.
    pub name: String,
    /// Its short name.
    pub symbol: String,
    /// Where more is told.
    pub uri: String,
    /// It may still be changed.
    pub mutable: bool,
}

/// Who makes the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// The token.
    pub mint: Address,
    /// May make more of it: signs.
    pub mint_authority: Address,
    /// Pays: signs.
    pub payer: Address,
    /// May change it later.
    pub update_authority: Address,
}

/// Where the metadata of `mint` is, with its bump.
#[must_use]
pub fn metadata_address(mint: &Address) -> (Address, u8) {
    Address::find_program_address(&[b"metadata", PROGRAM_ID.as_ref(), mint.as_ref()], &PROGRAM_ID)
}

/// Builds the instruction that makes the account.
#[must_use]
pub fn create(by: &Creation, data: &Data) -> Instruction {
    let mut bytes = vec![CREATE];
    for text in [&data.name, &data.symbol, &data.uri] {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    // No royalty, and neither creators, nor a collection, nor uses.
    bytes.extend([0, 0, 0, 0, 0]);
    // No size of a collection either.
    bytes.extend([u8::from(data.mutable), 0]);
    Instruction {
        program_id: PROGRAM_ID,
        accounts: vec![
            AccountMeta::new(metadata_address(&by.mint).0, false),
            AccountMeta::new_readonly(by.mint, false),
            AccountMeta::new_readonly(by.mint_authority, true),
            AccountMeta::new(by.payer, true),
            AccountMeta::new_readonly(by.update_authority, false),
            AccountMeta::new_readonly(system_program::ID, false),
        ],
        data: bytes,
    }
}
