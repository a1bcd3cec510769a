//! A token's metadata: who may change what it calls itself.
//!
//! Layouts: `spl-token-metadata-interface` 1.0.1 (`TokenMetadata`), and `Metadata` of the Metaplex token metadata
//! program, of which later fields are not read: they do not bear on who may change it.

use serde::{Deserialize, Serialize};

use super::mint::{MintAccount, MintExtension};
use super::reader::Reader;
use super::text::Untrusted;
use crate::amm::DecodeError;
use crate::ids::Address;

/// The Metaplex token metadata program.
pub const METAPLEX: Address =
    Address::from_str_const("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s");

/// What a token says of itself, and who may change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The mint it is about, by its own word.
    pub mint: Address,
    /// May change it, as long as [`Self::mutable`].
    pub update_authority: Option<Address>,
    /// It can still be changed.
    pub mutable: bool,
    /// For display only.
    pub name: Untrusted,
    /// For display only.
    pub symbol: Untrusted,
}

/// Metadata kept in the mint itself (extension 19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InMint {
    /// May change it; none means nobody ever.
    pub update_authority: Option<Address>,
    /// The mint it is about.
    pub mint: Address,
    /// For display only.
    pub name: Untrusted,
    /// For display only.
    pub symbol: Untrusted,
}

impl InMint {
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut r = Reader(value);
        let (update_authority, mint) = (r.maybe()?, r.address()?);
        // No limit but the account's own length.
        let (name, symbol, _uri) =
            (r.text(value.len())?, r.text(value.len())?, r.text(value.len())?);
        for _ in 0..r.u32()? {
            let (_key, _value) = (r.text(value.len())?, r.text(value.len())?);
        }
        let (name, symbol) = (Untrusted::new(name), Untrusted::new(symbol));
        r.end(Self { update_authority, mint, name, symbol })
    }
}

impl From<InMint> for Metadata {
    fn from(inside: InMint) -> Self {
        Self {
            mint: inside.mint,
            update_authority: inside.update_authority,
            mutable: inside.update_authority.is_some(),
            name: inside.name,
            symbol: inside.symbol,
        }
    }
}

/// Where a mint's metadata is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the mint itself.
    InMint(InMint),
    /// In the account that [`metaplex_address`] gives.
    Metaplex,
    /// In some account that the mint points to, of a kind that is not read here.
    Elsewhere,
}

impl Place {
    /// Where the metadata of `mint` is, by what its account says.
    #[must_use]
    pub fn of(mint: &Address, account: &MintAccount) -> Self {
        let pointer = account.extensions.iter().find_map(|extension| match extension {
            MintExtension::MetadataPointer { address, .. } => *address,
            _ => None,
        });
        let inside = account.extensions.iter().find_map(|extension| match extension {
            MintExtension::Metadata(inside) => Some(inside.clone()),
            _ => None,
        });
        match (pointer, inside) {
            (None, None) => Self::Metaplex,
            (Some(at), Some(inside)) if at == *mint => Self::InMint(inside),
            (Some(at), _) if at == metaplex_address(mint) => Self::Metaplex,
            // Metadata that nothing points to: which one is meant, nobody can tell.
            _ => Self::Elsewhere,
        }
    }
}

/// Where Metaplex keeps a mint's metadata. Costs some ten microseconds.
#[must_use]
pub fn metaplex_address(mint: &Address) -> Address {
    let seeds: [&[u8]; 3] = [b"metadata", METAPLEX.as_array(), mint.as_array()];
    Address::find_program_address(&seeds, &METAPLEX).0
}

/// First byte of a Metaplex metadata account.
const KEY: u8 = 4;
const NAME_MAX: usize = 32;
const SYMBOL_MAX: usize = 10;
const URI_MAX: usize = 200;
const CREATORS_MAX: u32 = 5;

/// Reads a Metaplex metadata account. Who reads one checks that [`METAPLEX`] owns it.
///
/// # Errors
///
/// When the bytes are not such an account.
pub fn decode_metaplex(data: &[u8]) -> Result<Metadata, DecodeError> {
    const ACCOUNT: &str = "metaplex metadata";
    if data.first() != Some(&KEY) {
        return Err(DecodeError::Discriminator { account: ACCOUNT });
    }
    fields(data).ok_or(DecodeError::Field { account: ACCOUNT, field: "content" })
}

fn fields(data: &[u8]) -> Option<Metadata> {
    let mut r = Reader(data);
    let _key = r.u8()?;
    let (update_authority, mint) = (r.maybe()?, r.address()?);
    let (name, symbol, _uri) = (r.text(NAME_MAX)?, r.text(SYMBOL_MAX)?, r.text(URI_MAX)?);
    let _royalty_bps: [u8; 2] = r.take()?;
    if r.flag()? {
        let count = r.u32().filter(|count| *count <= CREATORS_MAX)?;
        for _ in 0..count {
            // A key, whether it has signed, and its share.
            r.bytes(34)?;
        }
    }
    let _sold_before = r.flag()?;
    let mutable = r.flag()?;
    let (name, symbol) = (Untrusted::new(name), Untrusted::new(symbol));
    Some(Metadata { mint, update_authority, mutable, name, symbol })
}
