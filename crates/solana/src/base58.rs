//! Keys as text, many at a time.
//!
//! A key is eight digits to the base 2^32. Each of them stands for nine digits to the base 58^5, worked out when this
//! is compiled; their weighted sum, with carries, is the key to that base, and each such digit is five letters.

use sniper_core::ids::Address;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// 58^5.
const BASE: u64 = 656_356_768;

/// What one of each of a key's eight digits is worth, the highest first.
const WORTH: [[u64; 9]; 8] = worth();

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a panic is an error")]
const fn worth() -> [[u64; 9]; 8] {
    let mut table = [[0; 9]; 8];
    let mut row = 0;
    while row < 8 {
        // 2^(32 * (7 - row)), as a number of eight digits.
        let mut number = [0_u64; 8];
        number[row] = 1;
        let mut digit = 9;
        while digit > 0 {
            digit -= 1;
            let (mut rest, mut at) = (0, 0);
            while at < 8 {
                let value = (rest << 32) | number[at];
                number[at] = value / BASE;
                rest = value % BASE;
                at += 1;
            }
            table[row][digit] = rest;
        }
        row += 1;
    }
    table
}

/// 58^2.
const PAIR: u64 = 58 * 58;

/// The two letters of every number below that.
const PAIRS: [[u8; 2]; PAIR as usize] = pairs();

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a panic is an error")]
const fn pairs() -> [[u8; 2]; PAIR as usize] {
    let mut table = [[0; 2]; PAIR as usize];
    let mut at = 0;
    while at < table.len() {
        table[at] = [ALPHABET[at / 58], ALPHABET[at % 58]];
        at += 1;
    }
    table
}

fn pair(number: u64) -> [u8; 2] {
    usize::try_from(number).ok().and_then(|at| PAIRS.get(at)).copied().unwrap_or([b'1'; 2])
}

/// Appends a key.
pub(crate) fn push(text: &mut Vec<u8>, key: &Address) {
    let (words, _) = key.as_array().as_chunks::<4>();
    let mut digits = [0_u64; 9];
    let (high, low) = WORTH.split_at(4);
    let (words_high, words_low) = words.split_at(4);
    // Four products of 62 bits fit, eight might not: no sum wraps, and none is checked.
    for (words, worth) in [(words_high, high), (words_low, low)] {
        for (word, worth) in words.iter().zip(worth) {
            let word = u64::from(u32::from_be_bytes(*word));
            for (digit, worth) in digits.iter_mut().zip(worth) {
                *digit = digit.wrapping_add(word.wrapping_mul(*worth));
            }
        }
        let mut carry = 0;
        for digit in digits.iter_mut().rev() {
            let value = *digit + carry;
            carry = value / BASE;
            *digit = value % BASE;
        }
    }
    let mut letters = [0_u8; 45];
    let (fives, _) = letters.as_chunks_mut::<5>();
    for (five, digit) in fives.iter_mut().zip(digits) {
        let (high, low) = (digit / PAIR, digit % PAIR);
        // The first of five is below 58: the second letter of its pair.
        let ([_, a], [b, c], [d, e]) = (pair(high / PAIR), pair(high % PAIR), pair(low));
        *five = [a, b, c, d, e];
    }
    // A zero byte in front is a letter of its own, and no other zero in front is written.
    let zeros = key.as_array().iter().take_while(|byte| **byte == 0).count();
    let ones = letters.iter().take_while(|letter| **letter == b'1').count();
    text.extend_from_slice(letters.get(ones.saturating_sub(zeros)..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: [u8; 32]) -> String {
        let mut text = Vec::new();
        push(&mut text, &Address::new_from_array(bytes));
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn a_key_is_written_as_everybody_writes_it(
            mut bytes: [u8; 32], zeros in 0_usize..33, fill: bool,
        ) {
            bytes[..zeros].fill(0);
            prop_assert_eq!(text(bytes), bs58::encode(bytes).into_string());
            bytes[zeros..].fill(if fill { 0xff } else { 1 });
            prop_assert_eq!(text(bytes), bs58::encode(bytes).into_string());
        }
    }
}
