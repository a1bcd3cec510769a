//! The laws of the journal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use proptest::prelude::*;
use sniper_core::event::{Command, Event, MarketEvent, OrderEvent, SignalEvent, Stamped};
use sniper_core::ids::{MintId, OrderId, Signature, Symbol};
use sniper_core::units::{Atoms, BlockHeight, Seq, Slot, Timestamp};
use sniper_store::journal::{
    Journal, JournalError, JournalReader, MAX_RECORD, Owner, Record, Recovered,
};

const HEAD: usize = 24;
/// Of the first segment.
const FILE_HEAD: usize = 112;
const FIRST: &str = "00000000.journal";

fn start(path: impl AsRef<Path>) -> Result<(Journal, Recovered), JournalError> {
    Journal::open(path, Owner::default())
}

fn timer(seq: u64) -> Stamped {
    Stamped { seq: Seq::new(seq), at: Timestamp::new(7), event: Event::Timer }
}

fn signatures() -> impl Strategy<Value = Signature> {
    any::<([u8; 32], [u8; 32])>().prop_map(|(a, b)| Signature([a, b].concat().try_into().unwrap()))
}

fn order_ids() -> impl Strategy<Value = OrderId> {
    any::<(u64, u16)>().prop_map(|(cause, nth)| OrderId { cause: Seq::new(cause), nth })
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Timer),
        any::<(u64, u64)>().prop_map(|(slot, height)| Event::Market(MarketEvent::Slot {
            slot: Slot::new(slot),
            height: BlockHeight::new(height)
        })),
        any::<(u16, u64)>().prop_map(|(mint, amount)| Event::Command(Command::Deposit {
            mint: MintId(mint),
            amount: Atoms::new(amount)
        })),
        any::<(i16, i64)>().prop_map(|(score, expires)| Event::Signal(SignalEvent {
            source: Symbol::new("test"),
            mint: MintId(1),
            score,
            expires: Timestamp::new(expires)
        })),
        (order_ids(), signatures()).prop_map(|(order, signature)| Event::Order(
            OrderEvent::Signed { order, signature, last_valid: BlockHeight::new(9) }
        )),
    ]
}

fn records() -> impl Strategy<Value = Record> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => (any::<(u64, i64)>(), events()).prop_map(|((seq, at), event)| {
            Record::Event(Stamped { seq: Seq::new(seq), at: Timestamp::new(at), event })
        }),
        1 => (any::<u16>(), bytes()).prop_map(|(version, config)| {
            Record::Header { version, config, started: Timestamp::new(5) }
        }),
        1 => (order_ids(), signatures(), bytes()).prop_map(|(order, signature, bytes)| {
            Record::Wire { order, signature, last_valid: BlockHeight::new(3), bytes }
        }),
        1 => any::<(u64, [u8; 32], [u8; 32])>().prop_map(|(seq, effects, state)| {
            Record::Checkpoint { seq: Seq::new(seq), effects, state }
        }),
    ]
}

/// Records, and whether each is followed by a sync.
fn histories() -> impl Strategy<Value = Vec<(Record, bool)>> {
    prop::collection::vec((records(), any::<bool>()), 1..12)
}

/// The bytes of a journal with these records, and where each begins; the end comes last.
fn written(history: &[(Record, bool)]) -> (Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let (mut journal, _) = start(&path).unwrap();
    let mut starts = vec![usize::try_from(journal.len_bytes()).unwrap()];
    for (record, sync) in history {
        journal.append(record).unwrap();
        starts.push(usize::try_from(journal.len_bytes()).unwrap());
        if *sync {
            journal.sync().unwrap();
        }
    }
    journal.close().unwrap();
    let bytes = std::fs::read(path.join(FIRST)).unwrap();
    assert_eq!(bytes.len(), *starts.last().unwrap());
    (bytes, starts)
}

fn open(folder: &Path, bytes: &[u8]) -> Result<(Journal, Recovered), JournalError> {
    let path = folder.join("j");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(FIRST), bytes).unwrap();
    start(path)
}

fn all(recovered: &Recovered) -> Vec<Record> {
    recovered.records().unwrap().map(|entry| entry.unwrap().record).collect()
}

fn prefix(history: &[(Record, bool)], count: usize) -> Vec<Record> {
    history[..count].iter().map(|(record, _)| record.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_cut_recovers_the_exact_prefix_and_goes_on_from_there(
        history in histories(),
        at in any::<prop::sample::Index>(),
        reserved in 0_usize..3_000,
    ) {
        let (bytes, starts) = written(&history);
        let cut = at.index(bytes.len() + 1);
        let folder = tempfile::tempdir().unwrap();
        // The rest is zeros, as reserved space is, or nothing.
        let mut torn = bytes[..cut].to_vec();
        if cut >= FILE_HEAD {
            torn.resize(cut + reserved, 0);
        }
        // A record whose missing bytes were zeros anyway is whole.
        let whole = |end: &&usize| bytes.get(..**end) == torn.get(..**end);
        let intact = starts.iter().filter(whole).count().saturating_sub(1);
        let (mut journal, recovered) = open(folder.path(), &torn).unwrap();
        prop_assert_eq!(all(&recovered), prefix(&history, intact));
        // What was only being begun is begun anew.
        let lost = if cut < FILE_HEAD {
            0
        } else {
            torn[starts[intact]..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
        };
        prop_assert_eq!(recovered.cut_bytes(), u64::try_from(lost).unwrap());

        journal.append_event(&timer(77)).unwrap();
        journal.close().unwrap();
        let mut expected = prefix(&history, intact);
        expected.push(Record::Event(timer(77)));
        let (_, recovered) = start(folder.path().join("j")).unwrap();
        prop_assert_eq!(all(&recovered), expected);
        prop_assert_eq!(recovered.cut_bytes(), 0);
    }

    #[test]
    fn a_flipped_byte_is_refused_where_it_was_durable_and_cut_off_where_it_was_not(
        history in histories(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let (mut bytes, starts) = written(&history);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let folder = tempfile::tempdir().unwrap();
        let result = open(folder.path(), &bytes);
        if at < FILE_HEAD {
            let refused =
                matches!(result, Err(JournalError::NotAJournal { .. } | JournalError::DamagedHead { .. }));
            prop_assert!(refused, "byte {}", at);
            prop_assert_eq!(std::fs::read(folder.path().join("j").join(FIRST)).unwrap(), bytes);
            return Ok(());
        }
        let hit = starts.iter().filter(|start| **start <= at).count() - 1;
        // A later record tells that this one was durable, if a sync lies between the two.
        let durable = history[hit..history.len() - 1].iter().any(|(_, sync)| *sync);
        match result {
            Ok((_, recovered)) => {
                prop_assert!(!durable, "record {} was durable", hit);
                prop_assert_eq!(all(&recovered), prefix(&history, hit));
                prop_assert!(recovered.cut_bytes() > 0);
            }
            Err(JournalError::Damaged { offset, record, next, .. }) => {
                prop_assert!(durable);
                prop_assert_eq!(offset, u64::try_from(starts[hit]).unwrap());
                prop_assert_eq!(record, u64::try_from(hit).unwrap());
                prop_assert_eq!(next, u64::try_from(starts[hit + 1]).unwrap());
                prop_assert_eq!(std::fs::read(folder.path().join("j").join(FIRST)).unwrap(), bytes);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        history in histories(),
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let (bytes, _) = written(&history);
        let start = at.index(bytes.len() + 1);
        for mut file in [noise.clone(), [&bytes[..start], &noise].concat()] {
            let folder = tempfile::tempdir().unwrap();
            let intact: Vec<_> = history.iter().map(|(record, _)| record.clone()).collect();
            if let Ok((_, recovered)) = open(folder.path(), &file) {
                let found = all(&recovered);
                prop_assert!(intact.starts_with(&found));
            }
            let end = file.len().min(start + noise.len() / 2);
            file[..end].reverse();
            std::fs::write(folder.path().join("k"), &file).unwrap();
            std::fs::write(folder.path().join("00000000.snapshot"), &file).unwrap();
            if let Ok(reader) = JournalReader::open(folder.path().join("k")) {
                prop_assert!(reader.take(1_000).count() < 1_000);
            }
        }
    }

    #[test]
    fn what_is_written_by_reference_is_the_same_bytes(record in records()) {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = start(folder.path().join("owned")).unwrap();
        journal.append(&record).unwrap();
        journal.close().unwrap();
        let owned = std::fs::read(folder.path().join("owned").join(FIRST)).unwrap();
        prop_assert_eq!(&owned[FILE_HEAD + HEAD..], &postcard::to_stdvec(&record).unwrap()[..]);

        let (mut journal, _) = start(folder.path().join("lent")).unwrap();
        match &record {
            Record::Event(event) => journal.append_event(event).unwrap(),
            Record::Wire { order, signature, last_valid, bytes } => {
                journal.append_wire(*order, signature, *last_valid, bytes).unwrap()
            }
            other => journal.append(other).unwrap(),
        };
        journal.close().unwrap();
        let lent = std::fs::read(folder.path().join("lent").join(FIRST)).unwrap();
        prop_assert_eq!(&owned[FILE_HEAD..], &lent[FILE_HEAD..]);
    }
}

#[test]
fn a_dead_process_loses_nothing_and_leaves_reserved_space_that_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let (mut journal, recovered) = start(&path).unwrap();
    assert!(recovered.is_empty());
    for seq in 0..10 {
        assert_eq!(journal.append_event(&timer(seq)).unwrap(), seq);
    }
    drop(journal);
    let length = std::fs::metadata(path.join(FIRST)).unwrap().len();
    let (mut journal, recovered) = start(&path).unwrap();
    assert_eq!((recovered.len(), recovered.cut_bytes()), (10, 0));
    assert_eq!(
        std::fs::metadata(path.join(FIRST)).unwrap().len(),
        length,
        "reserved space is kept"
    );
    assert_eq!((journal.next_number(), journal.durable()), (10, 10));
    journal.append_event(&timer(10)).unwrap();
    assert_eq!(journal.durable(), 10);
    journal.sync().unwrap();
    assert_eq!(journal.durable(), 11);
    journal.close().unwrap();
    assert!(
        std::fs::metadata(path.join(FIRST)).unwrap().len() < 1_000,
        "reserved space is given back"
    );
}

#[test]
fn space_is_reserved_in_steps_and_the_file_never_runs_ahead_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let (mut journal, _) = start(&path).unwrap();
    let record = Record::Header { version: 1, config: vec![1; 200_000], started: Timestamp::ZERO };
    for _ in 0..50 {
        journal.append(&record).unwrap();
        journal.flush().unwrap();
        let (length, used) =
            (std::fs::metadata(path.join(FIRST)).unwrap().len(), journal.len_bytes());
        assert!(length >= used && length - used <= 4 << 20, "{used} of {length}");
    }
    drop(journal);
    assert_eq!(start(&path).unwrap().1.len(), 50);
}

#[test]
fn pages_lost_in_a_power_cut_are_refused_only_where_a_sync_had_passed() {
    let history: Vec<_> = (0..6).map(|seq| (Record::Event(timer(seq)), seq == 2)).collect();
    let (bytes, starts) = written(&history);
    let folder = tempfile::tempdir().unwrap();
    let zeroed = |record: usize| {
        let mut bytes = bytes.clone();
        bytes[starts[record]..starts[record + 1]].fill(0);
        bytes
    };
    for (record, start) in starts.iter().enumerate().take(3) {
        let error = open(folder.path(), &zeroed(record)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&format!("byte {start}")), "{error}");
    }
    for record in 3..5 {
        let (_, recovered) = open(folder.path(), &zeroed(record)).unwrap();
        assert_eq!(all(&recovered), prefix(&history, record));
        assert!(recovered.cut_bytes() > 0);
    }
}

#[test]
fn what_was_cut_off_never_comes_back() {
    // Record 3 is torn; 4 and 5 are intact, but none was durable.
    let history: Vec<_> = (0..6).map(|seq| (Record::Event(timer(seq)), seq == 2)).collect();
    let (mut bytes, starts) = written(&history);
    bytes[starts[3] + HEAD] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, recovered) = open(folder.path(), &bytes).unwrap();
    assert_eq!(recovered.len(), 3);
    // Of the same length as the torn one, so that the old record 4 would follow it.
    journal.append_event(&timer(9)).unwrap();
    drop(journal);
    let (_, recovered) = start(folder.path().join("j")).unwrap();
    let mut expected = prefix(&history, 3);
    expected.push(Record::Event(timer(9)));
    assert_eq!(all(&recovered), expected);
    assert_eq!(recovered.cut_bytes(), 0);
}

#[test]
fn a_record_that_is_missing_or_repeated_is_damage() {
    let history: Vec<_> = (0..5).map(|seq| (Record::Event(timer(seq)), true)).collect();
    let (bytes, starts) = written(&history);
    let part = |from: usize, to: usize| &bytes[starts[from]..starts[to]];
    let head = &bytes[..starts[0]];
    let folder = tempfile::tempdir().unwrap();
    let missing = [head, part(0, 2), part(3, 5)].concat();
    let error = open(folder.path(), &missing).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { record: 2, .. }), "{error}");
    let repeated = [head, part(0, 2), part(1, 5)].concat();
    let error = open(folder.path(), &repeated).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { record: 2, .. }), "{error}");
}

#[test]
fn two_engines_never_share_a_journal_but_anyone_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let (mut journal, _) = start(&path).unwrap();
    assert!(matches!(start(&path), Err(JournalError::Locked { .. })));
    journal.append_event(&timer(1)).unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert!(reader.next().is_none(), "still in memory");
    journal.flush().unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().record, Record::Event(timer(1)));
    assert!(reader.next().is_none());
    assert_eq!(reader.torn_bytes(), 0);
    drop(journal);
    start(&path).unwrap();
}

#[test]
fn a_reader_changes_nothing_and_tells_of_a_torn_tail_or_damage() {
    let history: Vec<_> = (0..4).map(|seq| (Record::Event(timer(seq)), true)).collect();
    let (bytes, starts) = written(&history);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");

    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 3);
    // Counted up to the last byte that is not zero, as zeros may be reserved space.
    let torn = bytes[starts[3]..bytes.len() - 5].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(reader.torn_bytes(), u64::try_from(torn).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), &bytes[..bytes.len() - 5]);

    let mut bad = bytes.clone();
    bad[starts[1] + HEAD] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let mut reader = JournalReader::open(&path).unwrap();
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert!(matches!(error, JournalError::Damaged { record: 1, .. }), "{error}");
    assert!(reader.next().is_none(), "nothing comes after an error");
}

#[test]
fn what_is_no_journal_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), b"not a journal, but longer than a head").unwrap_err();
    assert!(matches!(error, JournalError::NotAJournal { .. }), "{error}");
    let error = open(folder.path(), b"text").unwrap_err();
    assert!(matches!(error, JournalError::NotAJournal { .. }), "{error}");
    assert_eq!(std::fs::read(folder.path().join("j").join(FIRST)).unwrap(), b"text");

    let mut next = written(&[(Record::Event(timer(0)), true)]).0;
    next[8] = 3;
    let crc = crc32fast::hash(&next[..12]);
    next[12..16].copy_from_slice(&crc.to_le_bytes());
    let error = open(folder.path(), &next).unwrap_err();
    assert!(matches!(error, JournalError::Version { found: 3, known: 2, .. }), "{error}");
    let error = JournalReader::open(folder.path().join("j")).unwrap_err();
    assert!(matches!(error, JournalError::Version { .. }), "{error}");
}

#[test]
fn an_unknown_record_is_told_apart_from_damage() {
    let (bytes, _) = written(&[(Record::Event(timer(0)), true)]);
    // The same frame with a variant that does not exist, and a checksum that fits.
    let mut frame = bytes[FILE_HEAD..].to_vec();
    frame[HEAD] = 99;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[..4]);
    crc.update(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.finalize().to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let (_, recovered) = open(folder.path(), &[&bytes[..FILE_HEAD], &frame].concat()).unwrap();
    let error = recovered.records().unwrap().next().unwrap().unwrap_err();
    assert!(matches!(error, JournalError::Undecodable { record: 0, .. }), "{error}");
}

#[test]
fn a_path_that_cannot_be_written_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    // These stop even the superuser; permissions do not.
    for path in [folder.path().join("absent/j"), file.join("j"), file.clone()] {
        let error = start(&path).unwrap_err();
        assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("folder exists and is writable"), "{error}");
    }
    let mut permissions = std::fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    if std::fs::write(folder.path().join("probe"), b"").is_ok() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: a read-only folder, as this user may write anywhere\n"),
        )
        .ok();
    } else {
        let error = start(folder.path().join("j")).unwrap_err();
        assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
    }
}

#[test]
fn a_record_that_is_too_large_is_refused_and_the_journal_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let (mut journal, _) = start(&path).unwrap();
    let config = vec![0; MAX_RECORD];
    let large = Record::Header { version: 1, config, started: Timestamp::ZERO };
    assert!(matches!(journal.append(&large), Err(JournalError::TooLarge)));
    assert_eq!(journal.append_event(&timer(1)).unwrap(), 0);
    drop(journal);
    assert_eq!(all(&start(&path).unwrap().1), vec![Record::Event(timer(1))]);
}
