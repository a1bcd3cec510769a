//! What endpoints swear to, and what follows from it.
//!
//! # Design
//! A lost transaction and a late one look the same, so "not seen" proves nothing and an error proves nothing. What
//! proves that it is dead is a node that has finalized a block above the last one the transaction could be in, and
//! that, asked after that and with its whole history, does not know it. A majority of all endpoints must have got that
//! far, all on their own word, and none may know the transaction. In the same way a majority says that a landing is
//! final, or that the finalized chain does not have it.

use super::input::{Commitment, Landing, Status};
use super::quorum::{is_beyond_liars, is_majority};
use crate::units::{BlockHeight, Slot};

/// What one endpoint swears to, in one go: its finalized height and slot are read first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which endpoint, by a number of its own below 64. Nobody is counted twice.
    pub voter: u8,
    /// Its finalized height.
    pub height: BlockHeight,
    /// Its finalized slot.
    pub slot: Slot,
    /// What it then knows of the bytes, its history searched.
    pub knows: Knows,
}

/// What an endpoint knows of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knows {
    /// It answered from a state older than its height: no word.
    Stale,
    /// Nothing at all.
    Nothing,
    /// They were executed.
    Seen {
        /// How far they have come.
        status: Status,
        /// What they did, where they are final and it could say.
        landing: Option<Landing>,
    },
}

/// Whether bytes can still land.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// They cannot, and did not.
    Dead,
    /// Somebody knows them: they have landed, or may have.
    Known,
    /// Too few words.
    Unproved,
}

/// What is said of a landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality<'a> {
    /// It is final, as it was told.
    Final,
    /// The finalized chain has another one instead.
    Other(&'a Landing),
    /// The finalized chain is past it and does not have it.
    Undone,
    /// Too few words.
    Unproved,
}

/// Whether bytes that can land up to `last_valid` are dead, by the words of some of `of` endpoints.
#[must_use]
pub fn death(words: &[Word], of: u32, last_valid: BlockHeight) -> Death {
    if words.iter().any(|word| matches!(word.knows, Knows::Seen { .. })) {
        return Death::Known;
    }
    let is_past = |word: &Word| word.height > last_valid && word.knows == Knows::Nothing;
    if is_majority(voters(words, is_past), of) { Death::Dead } else { Death::Unproved }
}

/// What a majority of `of` endpoints says of `told`, or, where nothing was told, whether it agrees on something.
///
/// An endpoint that keeps no transactions still confirms where the bytes were executed; but what they did there was told
/// by one node, perhaps of another block of that very slot, so somebody honest must have read it from the final one.
#[must_use]
pub fn finality<'a>(words: &'a [Word], of: u32, told: Option<&Landing>) -> Finality<'a> {
    if let Some(told) = told
        && is_majority(voters(words, |word| confirms(word, told)), of)
        && is_beyond_liars(voters(words, |word| final_landing(word) == Some(told)), of)
    {
        return Finality::Final;
    }
    for landing in words.iter().filter_map(final_landing) {
        let is_same = |word: &Word| final_landing(word) == Some(landing);
        if Some(landing) != told && is_majority(voters(words, is_same), of) {
            return Finality::Other(landing);
        }
    }
    match told {
        Some(told) if is_majority(voters(words, |word| denies(word, told)), of) => Finality::Undone,
        _ => Finality::Unproved,
    }
}

/// How many endpoints speak in `words` that hold, each counted once.
fn voters(words: &[Word], holds: impl Fn(&Word) -> bool) -> u32 {
    let seen = words.iter().filter(|word| holds(word)).fold(0_u64, |seen, word| {
        seen | 1_u64.checked_shl(u32::from(word.voter)).unwrap_or_default()
    });
    seen.count_ones()
}

fn final_landing(word: &Word) -> Option<&Landing> {
    match &word.knows {
        Knows::Seen { status, landing } if status.commitment == Commitment::Finalized => {
            landing.as_ref()
        }
        _ => None,
    }
}

fn confirms(word: &Word, told: &Landing) -> bool {
    let Knows::Seen { status, landing } = &word.knows else { return false };
    // One that keeps no transactions still knows where it was executed, and whether it failed.
    let agrees = match landing {
        Some(landing) => landing == told,
        None => status.slot == told.slot() && status.failed == told.failed(),
    };
    status.commitment == Commitment::Finalized && agrees
}

/// Its finalized chain has got past the landing's slot, and holds no such landing.
fn denies(word: &Word, told: &Landing) -> bool {
    match &word.knows {
        Knows::Stale => false,
        Knows::Nothing => word.slot >= told.slot(),
        Knows::Seen { status, .. } if status.commitment == Commitment::Finalized => {
            !confirms(word, told)
        }
        Knows::Seen { status, .. } => word.slot >= told.slot() && status.slot != told.slot(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Deltas;
    use crate::units::Lamports;

    fn word(voter: u8, height: u64, knows: Knows) -> Word {
        Word { voter, height: BlockHeight::new(height), slot: Slot::new(height), knows }
    }

    fn nothing(voter: u8, height: u64) -> Word {
        word(voter, height, Knows::Nothing)
    }

    fn landing(slot: u64, fee: u64) -> Landing {
        Landing::Filled {
            slot: Slot::new(slot),
            deltas: Deltas::new(),
            fee: Lamports::new(fee),
            rent: Lamports::ZERO,
        }
    }

    fn seen(voter: u8, commitment: Commitment, slot: u64, landing: Option<Landing>) -> Word {
        let status = Status { commitment, slot: Slot::new(slot), failed: false };
        word(voter, 200, Knows::Seen { status, landing })
    }

    fn is_dead(words: &[Word], of: u32) -> bool {
        death(words, of, BlockHeight::new(100)) == Death::Dead
    }

    #[test]
    fn a_transaction_is_dead_when_a_majority_is_past_it_and_nobody_knows_it() {
        assert!(is_dead(&[nothing(0, 101)], 1));
        assert!(is_dead(&[nothing(0, 101), nothing(1, 102)], 3));
    }

    #[test]
    fn it_may_live_while_too_few_are_past_it() {
        assert!(!is_dead(&[nothing(0, 100)], 1), "the last valid height itself still counts");
        assert!(!is_dead(&[nothing(0, 101), nothing(1, 99)], 2));
        assert!(!is_dead(&[nothing(0, 101)], 2), "the other did not answer");
        assert!(!is_dead(&[], 0));
        assert!(!is_dead(&[word(0, 101, Knows::Stale)], 1), "an answer of an older state");
        assert!(!is_dead(&[nothing(0, 101), nothing(0, 101)], 3), "one that speaks twice");
        assert!(!is_dead(&[nothing(64, 101)], 1), "nobody");
    }

    #[test]
    fn one_that_knows_it_outweighs_all_others() {
        let known = seen(2, Commitment::Processed, 50, None);
        let words = [nothing(0, 101), nothing(1, 101), known];
        assert_eq!(death(&words, 3, BlockHeight::new(100)), Death::Known);
    }

    #[test]
    fn a_landing_is_final_when_a_majority_has_the_very_same() {
        let told = landing(50, 5);
        let same = |voter| seen(voter, Commitment::Finalized, 50, Some(landing(50, 5)));
        assert_eq!(finality(&[same(0), same(1)], 3, Some(&told)), Finality::Final);
        assert_eq!(finality(&[same(0), same(0)], 3, Some(&told)), Finality::Unproved);
        let bare = |voter| seen(voter, Commitment::Finalized, 50, None);
        assert_eq!(finality(&[same(0), bare(1)], 2, Some(&told)), Finality::Final);
        assert_eq!(finality(&[same(0), same(1), bare(2)], 4, Some(&told)), Finality::Final);
        let early = seen(1, Commitment::Confirmed, 50, None);
        assert_eq!(finality(&[same(0), early], 3, Some(&told)), Finality::Unproved);
    }

    #[test]
    fn where_bytes_were_executed_does_not_prove_what_they_did_there() {
        let told = landing(50, 5);
        let bare = |voter| seen(voter, Commitment::Finalized, 50, None);
        let same = seen(2, Commitment::Finalized, 50, Some(landing(50, 5)));
        assert_eq!(finality(&[bare(0)], 1, Some(&told)), Finality::Unproved);
        assert_eq!(finality(&[bare(0), bare(1)], 2, Some(&told)), Finality::Unproved);
        assert_eq!(finality(&[bare(0), bare(1), same], 3, Some(&told)), Finality::Unproved);
    }

    #[test]
    fn a_landing_that_a_majority_has_otherwise_or_not_at_all_is_not_what_was_told() {
        let told = landing(50, 5);
        let other = landing(51, 5);
        let elsewhere = |voter| seen(voter, Commitment::Finalized, 51, Some(other.clone()));
        let words = [elsewhere(0), elsewhere(1)];
        assert_eq!(finality(&words, 3, Some(&told)), Finality::Other(&other));
        assert_eq!(finality(&words, 3, None), Finality::Other(&other));
        let words = [nothing(0, 50), nothing(1, 60), nothing(2, 49)];
        assert_eq!(finality(&words, 3, Some(&told)), Finality::Undone);
        let words = [nothing(0, 50), nothing(1, 49), nothing(2, 49)];
        assert_eq!(finality(&words, 3, Some(&told)), Finality::Unproved, "not there yet");
        let words = [elsewhere(0), nothing(1, 60), seen(2, Commitment::Finalized, 50, None)];
        assert_eq!(finality(&words, 3, Some(&told)), Finality::Undone);
    }
}
