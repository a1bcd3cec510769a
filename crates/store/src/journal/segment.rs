//! A journal is a folder of segments: how each begins, and whether they are all there and of one journal.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sniper_core::ids::Address;
use sniper_core::journal::{
    FILE_HEAD, MAGIC, VERSION, VERSION_OF_ONE_FILE, file_head, file_version,
};
use sniper_core::units::Timestamp;

use super::JournalError;
use super::read::{bytes, io_error, read_up_to};

/// Bytes before the first record of a segment.
pub(super) const SEGMENT_HEAD: usize = 112;

const NAME: &str = "journal";

/// Whose journal it is: one of another key or another chain is not continued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The public key whose money it tells of.
    pub key: Address,
    /// Hash of the first block of the chain.
    pub genesis: [u8; 32],
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its place among the segments, from zero.
    pub(super) number: u64,
    /// When the journal was begun: the same in all of its segments.
    pub(super) born: Timestamp,
    pub(super) owner: Owner,
    /// Number of its first record.
    pub(super) first: u64,
    /// Checksum of the record before that, in the segment before.
    pub(super) link: u32,
}

impl Head {
    pub(super) fn to_bytes(self) -> [u8; SEGMENT_HEAD] {
        let mut all = [0; SEGMENT_HEAD];
        let parts: [&[u8]; 7] = [
            &file_head(VERSION),
            &self.number.to_le_bytes(),
            &self.born.get().to_le_bytes(),
            self.owner.key.as_ref(),
            &self.owner.genesis,
            &self.first.to_le_bytes(),
            &self.link.to_le_bytes(),
        ];
        let body = parts.concat();
        let crc = crc32fast::hash(body.get(FILE_HEAD..).unwrap_or_default());
        all.iter_mut()
            .zip(body.iter().chain(&crc.to_le_bytes()))
            .for_each(|(to, from)| *to = *from);
        all
    }

    /// The head that these bytes are, if they are one.
    fn read(all: &[u8; SEGMENT_HEAD]) -> Option<Self> {
        let (_, body) = all.split_first_chunk::<FILE_HEAD>()?;
        let (number, body) = body.split_first_chunk()?;
        let (born, body) = body.split_first_chunk()?;
        let (key, body) = body.split_first_chunk::<32>()?;
        let (genesis, body) = body.split_first_chunk()?;
        let (first, body) = body.split_first_chunk()?;
        let (link, _) = body.split_first_chunk()?;
        let head = Self {
            number: u64::from_le_bytes(*number),
            born: Timestamp::new(i64::from_le_bytes(*born)),
            owner: Owner { key: Address::new_from_array(*key), genesis: *genesis },
            first: u64::from_le_bytes(*first),
            link: u32::from_le_bytes(*link),
        };
        (head.to_bytes() == *all).then_some(head)
    }
}

/// A segment and where its records begin.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    /// None in the one file of the format before segments, which names nobody.
    pub(super) head: Option<Head>,
    pub(super) start: u64,
    pub(super) first: u64,
}

/// What the beginning of a file is.
#[derive(Debug)]
pub(super) enum Begins {
    /// A segment.
    As(Segment),
    /// Space made ready for one, or one that was being begun when all stopped: nothing was ever written behind its head.
    Unfinished,
}

impl Segment {
    /// Where the segment of that number lies.
    pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:08}.{NAME}"))
    }

    /// Looks at the beginning of the file that should be segment `number`.
    pub(super) fn look(path: &Path, number: u64) -> Result<Begins, JournalError> {
        let unreadable = |source| io_error("read", path, source);
        let file = File::open(path).map_err(unreadable)?;
        let mut all = [0; SEGMENT_HEAD];
        let length = read_up_to(&file, &mut all, 0).map_err(unreadable)?;
        let path = path.to_owned();
        let known = all.get(..length.min(MAGIC.len())).unwrap_or_default();
        if all.iter().any(|byte| *byte != 0) && !MAGIC.starts_with(known) {
            return Err(JournalError::NotAJournal { path });
        }
        let head = match all.first_chunk::<FILE_HEAD>().and_then(file_version) {
            Some(VERSION_OF_ONE_FILE) => {
                let start = bytes(FILE_HEAD);
                return Ok(Begins::As(Self { path, number, head: None, start, first: 0 }));
            }
            Some(VERSION) => Head::read(&all),
            Some(found) => return Err(JournalError::Version { path, found, known: VERSION }),
            None => None,
        };
        match head {
            Some(head) if head.number != number => {
                Err(JournalError::Renamed { path, found: head.number })
            }
            Some(head) => {
                let (start, first) = (bytes(SEGMENT_HEAD), head.first);
                Ok(Begins::As(Self { path, number, head: Some(head), start, first }))
            }
            // The head is on the disk before any record is written behind it.
            None if is_zero_from(&file, bytes(SEGMENT_HEAD)).map_err(unreadable)? => {
                Ok(Begins::Unfinished)
            }
            None => Err(JournalError::DamagedHead { path }),
        }
    }

    /// Whether its records go on where others end: before record `next`, with one of checksum `crc`.
    pub(super) fn follows(&self, next: u64, crc: u32) -> bool {
        self.first == next && self.head.is_some_and(|head| head.link == crc)
    }
}

/// The segments of a journal, lowest first, and what lies behind the last of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) segments: Vec<Segment>,
    /// A file that is none yet.
    pub(super) unfinished: Option<PathBuf>,
}

/// Looks at all segments of a folder: that none between the first and the last is missing or in the place of another,
/// and that all are of one journal.
pub(super) fn list(folder: &Path) -> Result<Listed, JournalError> {
    let mut numbers = numbers(folder, NAME)?;
    numbers.sort_unstable();
    let mut listed = Listed::default();
    let last = numbers.last().copied();
    for number in numbers {
        let path = Segment::path_of(folder, number);
        let expected = listed.segments.last().map_or(number, |before| before.number + 1);
        if number != expected {
            let path = Segment::path_of(folder, expected);
            return Err(JournalError::Missing { path, next: Segment::path_of(folder, number) });
        }
        match Segment::look(&path, number)? {
            Begins::As(segment) => {
                same_journal(&listed.segments, &segment)?;
                listed.segments.push(segment);
            }
            Begins::Unfinished if Some(number) == last => listed.unfinished = Some(path),
            Begins::Unfinished => return Err(JournalError::DamagedHead { path }),
        }
    }
    Ok(listed)
}

fn same_journal(before: &[Segment], segment: &Segment) -> Result<(), JournalError> {
    let known = before.iter().find_map(|before| before.head);
    let stranger = match (known, segment.head) {
        (Some(known), Some(head)) => known.born != head.born || known.owner != head.owner,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let falls = before.last().is_some_and(|before| before.first > segment.first);
    if stranger || falls {
        return Err(JournalError::Stranger { path: segment.path.clone() });
    }
    Ok(())
}

/// Numbers of the files of a kind in a folder, in no order.
pub(super) fn numbers(folder: &Path, kind: &str) -> Result<Vec<u64>, JournalError> {
    let unreadable = |source| io_error("look through", folder, source);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number = name.to_str().and_then(|name| name.split_once('.'));
        if let Some((digits, found)) = number
            && found == kind
            && digits.len() >= 8
            && let Ok(number) = digits.parse()
        {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn is_zero_from(file: &File, start: u64) -> io::Result<bool> {
    let (mut from, mut window) = (start, vec![0; 64 << 10]);
    loop {
        let count = read_up_to(file, &mut window, from)?;
        if window.iter().take(count).any(|byte| *byte != 0) {
            return Ok(false);
        }
        if count < window.len() {
            return Ok(true);
        }
        from = from.saturating_add(bytes(count));
    }
}
