//! The laws of segments and snapshots: what is missing, changed or foreign is found, whatever file it concerns.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use sniper_core::event::{Event, Stamped};
use sniper_core::ids::{Address, OrderId, Signature};
use sniper_core::units::{BlockHeight, Seq, Timestamp};
use sniper_store::journal::{
    Bounds, Journal, JournalError, JournalReader, Owner, Record, Recovery, Segments, Snapshot,
};

fn owner(byte: u8) -> Owner {
    Owner { key: Address::new_from_array([byte; 32]), genesis: [9; 32] }
}

const BOUNDS: Bounds =
    Bounds { segment_bytes: 1 << 30, segment_records: 6, keep: None, reserve_bytes: 4 << 20 };

fn timer(seq: u64) -> Record {
    Record::Event(Stamped { seq: Seq::new(seq), at: Timestamp::new(7), event: Event::Timer })
}

fn wire(seq: u64) -> Record {
    let order = OrderId { cause: Seq::new(seq), nth: 0 };
    let bytes = vec![u8::try_from(seq % 251).unwrap(); 40];
    Record::Wire { order, signature: Signature([3; 64]), last_valid: BlockHeight::new(9), bytes }
}

fn opening(seq: u64) -> Record {
    Record::Opening { seq: Seq::new(seq), effects: [1; 32], counted: 4, state: [2; 32] }
}

fn state(bytes: usize) -> Snapshot {
    Snapshot {
        segment: 0,
        first: 0,
        born: Timestamp::ZERO,
        key: Address::default(),
        genesis: [0; 32],
        version: 3,
        config: b"{}".to_vec(),
        started: Timestamp::new(1),
        effects: [1; 32],
        counted: 4,
        digest: [2; 32],
        state: vec![5; bytes],
        counts: vec![],
    }
}

fn open_with(folder: &Path, bounds: Bounds) -> Journal {
    let recovery = Recovery::open(folder, owner(1)).unwrap();
    let mut reader = recovery.segments().records_from(0).unwrap();
    reader.by_ref().for_each(|entry| drop(entry.unwrap()));
    recovery.write(&reader, bounds).unwrap()
}

/// Appends, and begins the next segment with a snapshot where one is due.
fn grow(journal: &mut Journal, seqs: std::ops::Range<u64>, with_snapshot: bool) {
    for seq in seqs {
        journal.append(&if seq % 3 == 0 { wire(seq) } else { timer(seq) }).unwrap();
        if seq % 2 == 0 {
            journal.sync().unwrap();
        }
        // Asked until space is there: a test does not wait for a thread by the clock.
        let records = journal.next_number();
        let due = records.is_multiple_of(6);
        while due && !journal.is_full() {
            journal.kept().unwrap();
            std::thread::yield_now();
        }
        if due {
            assert!(journal.begin_segment().unwrap());
            journal.append(&opening(seq)).unwrap();
            journal.sync().unwrap();
            if with_snapshot {
                journal.keep(state(50));
            }
        }
    }
}

/// A journal of five segments and a little, with all of its records.
fn made() -> (tempfile::TempDir, PathBuf, Vec<Record>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = open_with(&path, BOUNDS);
    grow(&mut journal, 0..27, true);
    journal.append(&timer(99)).unwrap();
    journal.sync().unwrap();
    journal.append(&timer(100)).unwrap();
    journal.close().unwrap();
    let records = JournalReader::open(&path).unwrap().map(|entry| entry.unwrap().record).collect();
    (folder, path, records)
}

/// The same, many times over: its files.
fn made_again() -> (tempfile::TempDir, PathBuf, Vec<Record>) {
    type Files = Vec<(OsString, Vec<u8>)>;
    static ONE: LazyLock<(Files, Vec<Record>)> = LazyLock::new(|| {
        let (_folder, path, records) = made();
        let named = |(name, bytes): (PathBuf, _)| (name.file_name().unwrap().to_owned(), bytes);
        (bytes_of(&path).into_iter().map(named).collect(), records)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::create_dir(&path).unwrap();
    for (name, bytes) in &ONE.0 {
        std::fs::write(path.join(name), bytes).unwrap();
    }
    (folder, path, ONE.1.clone())
}

fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
    let recovery = Recovery::open(path, owner(1))?;
    let mut reader = recovery.segments().records_from(0)?;
    reader.by_ref().map(|entry| entry.map(|entry| entry.record)).collect()
}

fn files(path: &Path, kind: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|e| e == kind)).collect();
    found.sort();
    found
}

fn bytes_of(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = [files(path, "journal"), files(path, "snapshot")].concat();
    names.into_iter().map(|name| (name.clone(), std::fs::read(name).unwrap())).collect()
}

#[test]
fn what_was_written_over_many_segments_is_read_in_one_go_and_gone_on_with() {
    let (_folder, path, records) = made();
    let segments = files(&path, "journal");
    assert_eq!(segments.len(), 6, "{segments:?}");
    assert_eq!(files(&path, "snapshot").len(), 5);
    let events = records.iter().filter(|record| !matches!(record, Record::Opening { .. }));
    assert_eq!(events.count(), 29);
    for pair in segments.windows(2) {
        let length = std::fs::metadata(&pair[0]).unwrap().len();
        assert!(length < 1_000, "reserved space is given back: {length}");
    }
    let entries: Vec<_> = JournalReader::open(&path).unwrap().map(Result::unwrap).collect();
    assert!(entries.iter().map(|entry| entry.number).eq(0..entries.len() as u64));
    assert!(entries.is_sorted_by_key(|entry| (entry.segment, entry.offset)));

    let mut journal = open_with(&path, BOUNDS);
    assert_eq!(journal.next_number(), records.len() as u64);
    journal.append(&timer(777)).unwrap();
    journal.close().unwrap();
    let again = read(&path).unwrap();
    assert_eq!(
        (&again[..records.len()], &again[records.len()..]),
        (&records[..], &[timer(777)][..])
    );
}

#[test]
fn the_records_after_a_snapshot_are_those_of_its_segment_and_later_ones() {
    let (_folder, path, records) = made();
    let recovery = Recovery::open(&path, owner(1)).unwrap();
    assert_eq!(recovery.segments().snapshots().unwrap(), [5, 4, 3, 2, 1]);
    for number in 1..=5 {
        let snapshot = recovery.segments().snapshot(number).unwrap();
        assert_eq!((snapshot.segment, snapshot.owner()), (number, owner(1)));
        let tail: Vec<_> = recovery
            .segments()
            .records_from(number)
            .unwrap()
            .map(|entry| entry.unwrap().record)
            .collect();
        assert!(matches!(tail[0], Record::Opening { .. }));
        assert_eq!(tail, records[usize::try_from(snapshot.first).unwrap()..]);
    }
}

#[test]
fn a_missing_swapped_renamed_or_foreign_segment_is_refused_and_nothing_is_changed() {
    type Crime = fn(&Path);
    let segment = |path: &Path, n: usize| path.join(format!("{n:08}.journal"));
    let crimes: [(&str, Crime); 6] = [
        ("is missing", |path| std::fs::remove_file(path.join("00000002.journal")).unwrap()),
        ("is missing", |path| std::fs::remove_file(path.join("00000005.journal")).unwrap()),
        ("renamed", |path| {
            std::fs::rename(path.join("00000005.journal"), path.join("00000006.journal")).unwrap();
            std::fs::rename(path.join("00000004.journal"), path.join("00000005.journal")).unwrap();
            std::fs::remove_file(path.join("00000000.journal")).unwrap();
            std::fs::rename(path.join("00000006.journal"), path.join("00000004.journal")).unwrap();
        }),
        ("another journal", |path| {
            let (_folder, other, _) = made();
            std::fs::copy(other.join("00000003.journal"), path.join("00000003.journal")).unwrap();
        }),
        ("is damaged in its first", |path| {
            let mut bytes = std::fs::read(path.join("00000003.journal")).unwrap();
            bytes[17] ^= 1;
            std::fs::write(path.join("00000003.journal"), bytes).unwrap();
        }),
        ("what lies between is lost", |path| {
            let bytes = std::fs::read(path.join("00000003.journal")).unwrap();
            std::fs::write(path.join("00000003.journal"), &bytes[..bytes.len() - 1]).unwrap();
        }),
    ];
    for (words, crime) in crimes {
        let (_folder, path, _) = made();
        crime(&path);
        let before = bytes_of(&path);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert!(error.contains(&path.display().to_string()), "it says where: {error}");
        assert_eq!(bytes_of(&path), before);
        assert!(!segment(&path, 9).exists());
    }
}

#[test]
fn a_copy_that_went_on_by_itself_is_told_from_the_one_that_was_copied() {
    let (_folder, path, _) = made();
    let copy = tempfile::tempdir().unwrap();
    let twin = copy.path().join("journal");
    std::fs::create_dir(&twin).unwrap();
    for name in files(&path, "journal") {
        std::fs::copy(&name, twin.join(name.file_name().unwrap())).unwrap();
    }
    for (folder, from) in [(&path, 200), (&twin, 300)] {
        let mut journal = open_with(folder, BOUNDS);
        grow(&mut journal, from..from + 14, false);
        journal.close().unwrap();
    }
    let last = files(&twin, "journal").pop().unwrap();
    let before = files(&path, "journal").len();
    assert_eq!(before, files(&twin, "journal").len());
    std::fs::copy(&last, path.join(last.file_name().unwrap())).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Stranger { .. }), "{error}");
}

#[test]
fn the_journal_of_another_key_or_chain_is_refused_by_name() {
    let (_folder, path, _) = made();
    let other_chain = Owner { genesis: [8; 32], ..owner(1) };
    for other in [owner(2), other_chain] {
        let error = Recovery::open(&path, other).unwrap_err();
        assert!(matches!(error, JournalError::WrongOwner { .. }), "{error}");
        assert!(error.to_string().contains(&owner(1).key.to_string()), "{error}");
    }
    assert_eq!(JournalReader::open(&path).unwrap().owner(), Some(owner(1)));
}

#[test]
fn a_snapshot_whose_segment_was_emptied_is_proof_that_it_had_begun() {
    let (_folder, path, _) = made();
    let last = path.join("00000005.journal");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..40]).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, JournalError::Missing { .. }), "{error}");
    // Without a snapshot nothing says so, and what was only being begun is no damage.
    std::fs::remove_file(path.join("00000005.snapshot")).unwrap();
    let mut journal = open_with(&path, BOUNDS);
    grow(&mut journal, 40..52, true);
    journal.close().unwrap();
    assert!(read(&path).is_ok());
}

#[test]
fn a_segment_that_was_only_begun_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = open_with(&path, Bounds { segment_records: 3, ..BOUNDS });
    for seq in 0..3 {
        journal.append(&timer(seq)).unwrap();
    }
    journal.flush().unwrap();
    while !journal.is_full() {
        journal.kept().unwrap();
    }
    assert!(journal.begin_segment().unwrap());
    // All stops here: the head is on the disk, and no record behind it.
    drop(journal);
    let mut journal = open_with(&path, BOUNDS);
    assert_eq!((journal.segment(), journal.next_number()), (1, 3));
    journal.append(&timer(3)).unwrap();
    journal.close().unwrap();
    assert_eq!(read(&path).unwrap().len(), 4);
}

#[test]
fn space_made_ready_for_a_segment_is_none_and_a_reader_goes_on_when_it_becomes_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = open_with(&path, Bounds { segment_records: 3, ..BOUNDS });
    for seq in 0..3 {
        journal.append(&timer(seq)).unwrap();
    }
    journal.sync().unwrap();
    while !journal.is_full() {
        journal.kept().unwrap();
    }
    assert_eq!(files(&path, "journal").len(), 2);
    let mut reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.by_ref().take(2).map(Result::unwrap).count(), 2);
    assert!(journal.begin_segment().unwrap());
    journal.append(&opening(2)).unwrap();
    journal.sync().unwrap();
    let rest: Vec<_> = reader.map(|entry| entry.unwrap().record).collect();
    assert_eq!(rest, [timer(2), opening(2)]);
    journal.close().unwrap();
}

#[test]
fn one_writer_at_a_time_and_anyone_may_read() {
    let (_folder, path, records) = made();
    let journal = open_with(&path, BOUNDS);
    assert!(matches!(Recovery::open(&path, owner(1)), Err(JournalError::Locked { .. })));
    assert_eq!(JournalReader::open(&path).unwrap().count(), records.len());
    drop(journal);
    Recovery::open(&path, owner(1)).unwrap();
}

/// A journal of the format before segments.
fn single_file(records: &[Record]) -> Vec<u8> {
    let mut bytes = b"SNPRJRNL\x01\x00\x00\x00".to_vec();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    for (number, record) in (0_u64..).zip(records) {
        let payload = postcard::to_stdvec(record).unwrap();
        let rest = [&number.to_le_bytes()[..], &number.to_le_bytes(), &payload].concat();
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let crc = crc32fast::hash(&[&length[..], &rest].concat()).to_le_bytes();
        bytes.extend([&length[..], &crc, &rest].concat());
    }
    bytes
}

#[test]
fn a_journal_of_one_file_is_taken_over_and_the_older_program_finds_out() {
    let folder = tempfile::tempdir().unwrap();
    let (path, single) = (folder.path().join("journal"), folder.path().join("journal.bin"));
    let mut records: Vec<Record> = (0..9).map(timer).collect();
    // As the older program leaves it when it is killed: with reserved space.
    let bytes = [single_file(&records), vec![0; 500]].concat();
    std::fs::write(&single, &bytes).unwrap();
    assert_eq!(JournalReader::open(&single).unwrap().count(), 9, "it is read where it is");

    let recovery = Recovery::open(&path, owner(1)).unwrap();
    assert_eq!(std::fs::read(&single).unwrap(), bytes, "nothing has changed yet");
    drop(recovery);
    for path in [&path, &single] {
        let segments = Segments::open(path).unwrap();
        assert_eq!(segments.snapshots().unwrap(), [] as [u64; 0]);
        assert_eq!(segments.records_from(0).unwrap().count(), 9, "and beside an empty folder");
    }
    let mut journal = open_with(&path, BOUNDS);
    assert_eq!(journal.next_number(), 9);
    grow(&mut journal, 10..20, true);
    journal.close().unwrap();
    let read_now: Vec<_> =
        JournalReader::open(&single).unwrap().map(|entry| entry.unwrap().record).collect();
    records.push(timer(10));
    assert_eq!(read_now[..10], records[..]);
    assert_eq!(read(&path).unwrap(), read_now);
    assert!(read_now.iter().any(|record| matches!(record, Record::Opening { .. })));

    let stub = std::fs::read(&single).unwrap();
    assert_eq!((stub.len(), stub[8]), (16, 2), "a version that the older program refuses");
    // The older program starts anew all the same, where somebody removed the mark.
    std::fs::write(&single, single_file(&records)).unwrap();
    let error = Recovery::open(&path, owner(1)).unwrap_err();
    assert!(matches!(error, JournalError::Stranger { .. }), "{error}");
}

#[test]
fn a_damaged_journal_of_one_file_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, single) = (folder.path().join("journal"), folder.path().join("journal.bin"));
    let mut bytes = single_file(&(0..9).map(timer).collect::<Vec<_>>());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&single, &bytes).unwrap();
    assert!(matches!(read(&path), Err(JournalError::Damaged { .. })));
    assert_eq!(std::fs::read(&single).unwrap(), bytes);
}

#[test]
fn old_segments_go_only_where_two_newer_snapshots_read_and_their_time_has_come() {
    let grown = |bounds: Bounds, spoil: bool| {
        let (folder, path, _) = made();
        if spoil {
            for number in 2..=5 {
                std::fs::write(path.join(format!("{number:08}.snapshot")), b"SNPRSNAP").unwrap();
            }
        }
        let mut journal = open_with(&path, bounds);
        let next = (40_u64..).take_while(|seq| {
            grow(&mut journal, *seq..seq + 1, true);
            journal.segment() < 6
        });
        assert!(next.count() < 9);
        journal.close().unwrap();
        let names =
            |kind| files(&path, kind).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        let found: (Vec<_>, Vec<_>) = (names("journal"), names("snapshot"));
        let read = JournalReader::open(&path).unwrap().map(Result::unwrap).count();
        drop(folder);
        (found.0, found.1, read)
    };
    let (segments, snapshots, _) = grown(BOUNDS, false);
    assert_eq!((segments.len(), snapshots.len()), (7, 6), "kept for ever");
    let now = Bounds { keep: Some(Duration::ZERO), ..BOUNDS };
    let (segments, snapshots, read) = grown(now, false);
    assert_eq!(segments, ["00000005.journal", "00000006.journal"]);
    assert_eq!(snapshots, ["00000005.snapshot", "00000006.snapshot"]);
    assert!(read > 6, "{read}");
    let later = Bounds { keep: Some(Duration::from_secs(3_600)), ..BOUNDS };
    assert_eq!(grown(later, false).0.len(), 7, "none is old enough");
    let (segments, ..) = grown(now, true);
    assert_eq!(
        segments.len(),
        6,
        "the second newest that reads is that of segment 1: {segments:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever byte changes and wherever a file ends early: what is read is what was written, up to a torn tail of the
    /// last segment, or it is refused. Snapshots are whole or passed over.
    #[test]
    fn one_changed_byte_or_one_short_file_is_never_taken_for_the_truth(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        is_cut: bool,
    ) {
        let (_folder, path, records) = made_again();
        let last = files(&path, "journal").pop().unwrap();
        let (name, mut bytes) = {
            let mut all = bytes_of(&path);
            let nth = file.index(all.len());
            all.swap_remove(nth)
        };
        let at = at.index(bytes.len());
        if is_cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        std::fs::write(&name, &bytes).unwrap();
        let before = bytes_of(&path);
        match read(&path) {
            Ok(found) => {
                prop_assert!(records.starts_with(&found));
                let lost = records.len() - found.len();
                prop_assert!(lost == 0 || name == last, "{} lost in {}", lost, name.display());
                if name == last && !is_cut {
                    // Only what no later record says to be durable.
                    prop_assert!(lost <= 1, "{} lost", lost);
                }
            }
            Err(error) => {
                prop_assert!(name.extension().is_some_and(|kind| kind == "journal"));
                prop_assert!(error.to_string().contains("Nothing was changed")
                    || matches!(error, JournalError::NotAJournal { .. }), "{}", error);
            }
        }
        prop_assert_eq!(bytes_of(&path), before);
        if let Ok(recovery) = Recovery::open(&path, owner(1)) {
            for number in recovery.segments().snapshots().unwrap() {
                let found = recovery.segments().snapshot(number);
                let spoiled = name == path.join(format!("{number:08}.snapshot"));
                prop_assert_eq!(found.is_ok(), !spoiled, "{:?}", found);
            }
        }
    }

    #[test]
    fn noise_in_the_place_of_any_file_is_refused_and_never_a_panic(
        file in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..400),
        keep in 0_usize..120,
    ) {
        let (_folder, path, records) = made_again();
        let all = bytes_of(&path);
        let (name, bytes) = &all[file.index(all.len())];
        let kept = &bytes[..keep.min(bytes.len())];
        std::fs::write(name, [kept, &noise].concat()).unwrap();
        if let Ok(found) = read(&path) {
            prop_assert!(records.starts_with(&found));
        }
        if let Ok(recovery) = Recovery::open(&path, owner(1)) {
            for number in recovery.segments().snapshots().unwrap() {
                drop(recovery.segments().snapshot(number));
            }
        }
    }
}
