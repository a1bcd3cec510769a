//! Every frame, and every mutation of one, is read as a tree of JSON would have it; and what is read costs no memory.
#![allow(dead_code, unreachable_pub, reason = "the fuzzer's own module")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../../../fuzz/src/wire/mod.rs"]
mod wire;

use proptest::prelude::*;
use proptest::sample::Index;
use sniper_solana::feed::{Frame, FrameReader};

fn seeds() -> &'static [Vec<u8>] {
    &wire::seeds()["frame"]
}

#[test]
fn every_seed_and_every_beginning_of_one_is_read_as_by_a_tree() {
    for seed in seeds() {
        for length in (0..seed.len()).step_by((seed.len() / 200).max(1)).chain([seed.len()]) {
            wire::frame(&seed[..length]);
        }
    }
}

#[test]
fn a_warm_reader_reads_accounts_without_taking_memory() {
    let frames: Vec<String> =
        seeds().iter().map(|seed| String::from_utf8(seed.clone()).unwrap()).collect();
    let mut reader = FrameReader::default();
    let mut accounts = 0;
    let mut pass = |reader: &mut FrameReader| {
        for frame in &frames {
            if matches!(reader.read(frame), Ok(Frame::Account { .. })) {
                accounts += 1;
            }
        }
    };
    pass(&mut reader);
    // Those that nodes write: escapes and strangers are for serde_json, which has its own memory.
    let usual = [0, 1, 4, 6, 8, 11, 12, 18].map(|nth| &frames[nth]);
    let used = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            for frame in usual {
                reader.read(frame).unwrap();
            }
        }
    });
    assert_eq!((used.count_total, used.bytes_total), (0, 0));
    assert!(accounts >= 3);
}

/// What is done to a frame.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte becomes another.
    Byte(Index, u8),
    /// A piece is taken out.
    Cut(Index, usize),
    /// A piece of any frame is put in.
    Graft(Index, Index, Index, usize),
    /// A piece is there twice.
    Twice(Index, usize),
    /// A word that matters.
    Word(Index, usize),
}

const WORDS: [&str; 16] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    ",",
    ":",
    "-1",
    "1.5",
    "1e999",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\"slot\":1,",
    "\"data\":[\"\",\"base64+zstd\"],",
    "\"err\":null,",
    "\u{feff}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = || any::<Index>();
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (at(), 1_usize..60).prop_map(|(at, length)| Damage::Cut(at, length)),
        (at(), at(), at(), 1_usize..200).prop_map(|(a, b, c, n)| Damage::Graft(a, b, c, n)),
        (at(), 1_usize..60).prop_map(|(at, length)| Damage::Twice(at, length)),
        (at(), 0..WORDS.len()).prop_map(|(at, word)| Damage::Word(at, word)),
    ]
}

fn apply(text: &mut Vec<u8>, damage: &Damage, seeds: &[Vec<u8>]) {
    if text.is_empty() {
        return;
    }
    let piece = |of: &[u8], at: usize, length: usize| of[at..of.len().min(at + length)].to_vec();
    match damage {
        Damage::Byte(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
        Damage::Cut(at, length) => {
            let at = at.index(text.len());
            text.drain(at..text.len().min(at + length));
        }
        Damage::Graft(at, which, from, length) => {
            let seed = &seeds[which.index(seeds.len())];
            let at = at.index(text.len());
            text.splice(at..at, piece(seed, from.index(seed.len()), *length));
        }
        Damage::Twice(at, length) => {
            let at = at.index(text.len());
            text.splice(at..at, piece(text, at, *length));
        }
        Damage::Word(at, word) => {
            let at = at.index(text.len());
            text.splice(at..at, WORDS[*word].bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_mutated_frame_is_read_as_by_a_tree(
        which: Index,
        damages in proptest::collection::vec(damage(), 1..5),
    ) {
        let seeds = seeds();
        let mut text = seeds[which.index(seeds.len())].clone();
        for damage in &damages {
            apply(&mut text, damage, seeds);
        }
        wire::frame(&text);
    }
}
