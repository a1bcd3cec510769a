//! The extensions of a Token-2022 mint, walked as the program itself walks them.

use crate::amm::DecodeError;

pub(crate) const MINT: &str = "mint";
/// Length of a mint without extensions.
pub(crate) const MINT_LEN: usize = 82;
/// An extended mint is padded to the length of a token account; its kind follows, 1 is a mint.
const KIND_AT: usize = 165;
/// A Token-2022 multisig has this length, so no mint may.
const MULTISIG_LEN: usize = 355;

/// The extensions of a mint account, each as its number and its value; none for a mint without any.
///
/// # Errors
///
/// When the bytes cannot be a mint account.
pub(crate) fn extensions(data: &[u8]) -> Result<Extensions<'_>, DecodeError> {
    if data.len() == MINT_LEN {
        return Ok(Extensions { rest: &[], length: MINT_LEN });
    }
    let wrong = DecodeError::Length { account: MINT, length: data.len() };
    let (plain, rest) = match data.split_at_checked(KIND_AT) {
        Some((plain, [1, rest @ ..])) if data.len() != MULTISIG_LEN => (plain, rest),
        _ => return Err(wrong),
    };
    // The program refuses anything else here, so that no account passes for another kind.
    if plain.get(MINT_LEN..).ok_or(wrong)?.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Field { account: MINT, field: "padding" });
    }
    Ok(Extensions { rest, length: data.len() })
}

/// See [`extensions`]. Ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Extensions<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<(u16, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A number of zero ends the list, and so does a rest too short for a number.
        let (kind, rest) = std::mem::take(&mut self.rest).split_first_chunk()?;
        let kind = u16::from_le_bytes(*kind);
        if kind == 0 {
            return None;
        }
        let value = || {
            let (length, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
        };
        let Some((value, rest)) = value() else {
            return Some(Err(DecodeError::Length { account: MINT, length: self.length }));
        };
        self.rest = rest;
        Some(Ok((kind, value)))
    }
}
