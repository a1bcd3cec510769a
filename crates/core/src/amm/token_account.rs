//! How long a token account of ours is, which decides its rent.
//!
//! An associated account asks its token program for the length that its mint demands. Some extensions of a mint put one
//! of their own into every account: `spl-token-2022-interface` 3.1.2,
//! `ExtensionType::get_required_init_account_extensions`. An associated account of Token-2022 is always marked as one
//! whose owner never changes.

use super::DecodeError;
use super::clmm::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use super::tlv::{MINT, MINT_LEN, extensions};
use crate::ids::Address;

/// Bytes of an account without extensions.
const PLAIN: usize = 165;
/// The kind of account that follows where there are extensions.
const KIND: usize = 1;
/// Number and length before each extension's value.
const HEAD: usize = 4;

/// Bytes of the associated token account of a mint, as it is made.
///
/// # Errors
///
/// When `program` is no token program, or `mint` is no mint account of it.
pub fn token_account_length(program: &Address, mint: &[u8]) -> Result<usize, DecodeError> {
    let walk = extensions(mint)?;
    match *program {
        TOKEN_PROGRAM if mint.len() == MINT_LEN => Ok(PLAIN),
        TOKEN_2022_PROGRAM => {
            let owner = PLAIN.saturating_add(KIND).saturating_add(HEAD);
            walk.into_iter().try_fold(owner, |length, extension| {
                let value = match extension?.0 {
                    // Transfer fee: what was withheld of transfers into the account.
                    1 => 8,
                    // Transfer hook: whether a transfer is under way.
                    14 => 1,
                    // Not transferable, pausable: marks.
                    9 | 26 => 0,
                    _ => return Ok(length),
                };
                Ok(length.saturating_add(HEAD).saturating_add(value))
            })
        }
        TOKEN_PROGRAM => Err(DecodeError::Length { account: MINT, length: mint.len() }),
        _ => Err(DecodeError::Field { account: MINT, field: "token program" }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// A mint with extensions of these numbers, each with a value of that many bytes.
    fn mint(extensions: &[(u16, u16)]) -> Vec<u8> {
        if extensions.is_empty() {
            return vec![0; 82];
        }
        let mut data = vec![0; PLAIN];
        data.push(1);
        for (number, length) in extensions {
            data.extend(number.to_le_bytes());
            data.extend(length.to_le_bytes());
            data.resize(data.len().checked_add(usize::from(*length)).unwrap(), 0);
        }
        data
    }

    #[test]
    fn an_account_is_as_long_as_its_mint_demands() {
        let of = |extensions| token_account_length(&TOKEN_2022_PROGRAM, &mint(extensions));
        assert_eq!(token_account_length(&TOKEN_PROGRAM, &mint(&[])), Ok(165));
        assert_eq!(of(&[]), Ok(170));
        assert_eq!(of(&[(18, 64), (19, 90)]), Ok(170), "metadata stays with the mint");
        assert_eq!(of(&[(1, 108)]), Ok(182));
        assert_eq!(of(&[(14, 64), (26, 33)]), Ok(170 + 5 + 4));
        assert_eq!(of(&[(9, 0)]), Ok(174));
    }

    #[test]
    fn what_is_no_mint_of_a_token_program_has_no_account() {
        assert!(token_account_length(&Address::default(), &mint(&[])).is_err());
        assert!(token_account_length(&TOKEN_2022_PROGRAM, &[0; 165]).is_err());
        assert!(token_account_length(&TOKEN_PROGRAM, &mint(&[(18, 64)])).is_err());
    }
}
