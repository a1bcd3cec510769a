//! The JSON array of 64 numbers that `solana-keygen` writes: 32 bytes of secret, then the public key.

use ed25519_dalek::SigningKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest text accepted; the longest that a key needs is 257 bytes.
pub(crate) const MAX_TEXT: usize = 1024;

const BYTES: usize = 64;

/// Why a text is not a key. Says where, never what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// No `[` at the start or no `]` at the end.
    #[error("not a JSON array; expected the 64 numbers that `solana-keygen` writes")]
    NotAnArray,
    /// Too few or too many numbers.
    #[error("{found} numbers; expected 64")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// Something else than a number below 256.
    #[error("element {index} is not a number from 0 to 255")]
    Element {
        /// Which, from zero.
        index: usize,
    },
    /// The two halves are not a pair.
    #[error("the public half does not belong to the secret half")]
    Mismatch,
    /// Longer than any key.
    #[error("longer than {MAX_TEXT} bytes")]
    TooLong,
}

/// Reads a key.
pub(crate) fn parse(text: &[u8]) -> Result<SigningKey, KeygenError> {
    if text.len() > MAX_TEXT {
        return Err(KeygenError::TooLong);
    }
    let inner = text
        .trim_ascii()
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .ok_or(KeygenError::NotAnArray)?;
    let found = inner.split(|byte| *byte == b',').count();
    if found != BYTES {
        return Err(KeygenError::Count { found });
    }
    let mut pair = Zeroizing::new([0; BYTES]);
    let elements = inner.split(|byte| *byte == b',');
    for (index, (slot, element)) in pair.iter_mut().zip(elements).enumerate() {
        *slot = number(element.trim_ascii()).ok_or(KeygenError::Element { index })?;
    }
    SigningKey::from_keypair_bytes(&pair).map_err(|_| KeygenError::Mismatch)
}

fn number(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 3 || (digits.len() > 1 && digits.first() == Some(&b'0'))
    {
        return None;
    }
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes a key.
pub(crate) fn print(key: &SigningKey) -> Zeroizing<Vec<u8>> {
    // Room for the longest text, so that no half-written copy is left behind by a growing buffer.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_TEXT));
    let pair = Zeroizing::new(key.to_keypair_bytes());
    for (index, byte) in pair.iter().enumerate() {
        text.push(if index == 0 { b'[' } else { b',' });
        let (hundreds, tens, ones) = (byte / 100, byte / 10 % 10, byte % 10);
        if hundreds > 0 {
            text.push(b'0' + hundreds);
        }
        if hundreds > 0 || tens > 0 {
            text.push(b'0' + tens);
        }
        text.push(b'0' + ones);
    }
    text.push(b']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrong_text_is_refused_by_what_is_wrong_with_it() {
        let good = print(&SigningKey::from_bytes(&[7; 32])).to_vec();
        let text = String::from_utf8(good.clone()).unwrap();
        assert_eq!(parse(b"").err(), Some(KeygenError::NotAnArray));
        assert_eq!(parse(&good[1..]).err(), Some(KeygenError::NotAnArray));
        assert_eq!(parse(b"[1,2]").err(), Some(KeygenError::Count { found: 2 }));
        assert_eq!(
            parse(text.replacen("7,", "256,", 1).as_bytes()).err(),
            Some(KeygenError::Element { index: 0 })
        );
        assert_eq!(
            parse(text.replacen("7,", "-7,", 1).as_bytes()).err(),
            Some(KeygenError::Element { index: 0 })
        );
        assert_eq!(
            parse(text.replacen("7,", "8,", 1).as_bytes()).err(),
            Some(KeygenError::Mismatch)
        );
        assert_eq!(parse(&vec![b' '; MAX_TEXT + 1]).err(), Some(KeygenError::TooLong));
        let spaced = format!(" {}\n", text.replace(',', " ,\n "));
        assert_eq!(parse(spaced.as_bytes()).unwrap().to_bytes(), [7; 32]);
    }

    proptest! {
        #[test]
        fn a_printed_key_reads_back(secret in any::<[u8; 32]>()) {
            let key = SigningKey::from_bytes(&secret);
            prop_assert_eq!(parse(&print(&key)).unwrap().to_bytes(), secret);
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(parse(&text).is_err());
        }

        #[test]
        fn near_misses_never_panic(text in "\\[?([0-9 ]{0,4},){60,66}[0-9]{0,3}\\]?") {
            prop_assert!(parse(text.as_bytes()).is_err());
        }
    }
}
