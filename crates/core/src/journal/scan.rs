//! Walking over records, and judging what stands where no intact one does.

use super::frame::{FILE_HEAD, HEAD, Head};

const WINDOW: usize = 64 * 1024;

static ZEROS: [u8; WINDOW] = [0; WINDOW];

/// Bytes that can be read at any place.
pub trait Source {
    /// Why they could not be.
    type Error;

    /// Reads until `target` is full or the bytes end; says how many it has.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn read_up_to(&self, target: &mut [u8], offset: u64) -> Result<usize, Self::Error>;
}

/// Bytes in memory.
impl Source for &[u8] {
    type Error = std::convert::Infallible;

    fn read_up_to(&self, target: &mut [u8], offset: u64) -> Result<usize, Self::Error> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.get(from..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(target.len());
        for (to, from) in target.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the source.
    pub position: u64,
    /// Its number.
    pub number: u64,
    /// Checksum of the record before it.
    pub crc: u32,
}

/// Walks over intact records, in order.
#[derive(Debug)]
pub struct Scanner<S> {
    source: S,
    /// Nothing is read from here on.
    end: u64,
    position: u64,
    number: u64,
    crc: u32,
    /// Bytes of the source from `position` on, after `used` that lie before it.
    buffer: Vec<u8>,
    used: usize,
}

impl<S: Source> Scanner<S> {
    /// From the first record of a file on; nothing at `end` or beyond is looked at.
    pub fn new(source: S, end: u64) -> Self {
        Self::from(source, end, Place { position: bytes(FILE_HEAD), number: 0, crc: 0 })
    }

    /// The same from another place on.
    pub fn from(source: S, end: u64, place: Place) -> Self {
        let Place { position, number, crc } = place;
        Self { source, end, position, number, crc, buffer: Vec::new(), used: 0 }
    }

    /// What is read.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Nothing is read from here on.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Where the next record begins, or should.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The number the next record has, or should have.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Checksum of the last record; before the first is read, that of the place it began at.
    pub const fn crc(&self) -> u32 {
        self.crc
    }

    /// The payload of the next record; `None` where there is no intact one.
    ///
    /// # Errors
    ///
    /// When the source cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, S::Error> {
        self.fill(HEAD)?;
        let Some(head) = Head::read(self.ahead()) else { return Ok(None) };
        if head.number != self.number {
            return Ok(None);
        }
        let whole = head.whole();
        self.fill(whole)?;
        if !self.ahead().get(..whole).is_some_and(|frame| head.holds(frame)) {
            return Ok(None);
        }
        let start = self.used;
        self.used = start.saturating_add(whole);
        self.position = self.position.saturating_add(bytes(whole));
        self.number = self.number.saturating_add(1);
        self.crc = head.crc;
        Ok(self.buffer.get(start.saturating_add(HEAD)..self.used))
    }

    /// Drops what was read ahead, to read it again.
    pub fn forget(&mut self) {
        self.buffer.clear();
        self.used = 0;
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads until `need` bytes are ahead, or the source ends.
    fn fill(&mut self, need: usize) -> Result<(), S::Error> {
        if self.ahead().len() >= need {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = self.buffer.len();
        let from = self.position.saturating_add(bytes(have));
        let room = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let want = need.max(WINDOW).saturating_sub(have).min(room);
        self.buffer.resize(have.saturating_add(want), 0);
        let target = self.buffer.get_mut(have..).unwrap_or_default();
        let count = self.source.read_up_to(target, from)?;
        self.buffer.truncate(have.saturating_add(count));
        Ok(())
    }
}

/// What stands where no intact record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or reserved space.
    Clean,
    /// Records that were being written when all stopped.
    Torn {
        /// Up to the last byte that is not zero.
        bytes: u64,
    },
    /// A record that was durable, as a later one tells.
    Damaged {
        /// Where the first intact record after it begins.
        next: u64,
    },
}

/// Judges the bytes from `position` on, where record `number` should begin.
///
/// # Errors
///
/// When the source cannot be read.
pub fn examine<S: Source>(
    source: &S,
    position: u64,
    number: u64,
    end: u64,
) -> Result<Tail, S::Error> {
    let mut window = vec![0; WINDOW];
    let mut candidate = Vec::new();
    let (mut from, mut last_used, mut first_intact) = (position, None, None);
    loop {
        let room = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let size = window.len().min(room);
        let count = source.read_up_to(window.get_mut(..size).unwrap_or_default(), from)?;
        let read = window.get(..count).unwrap_or_default();
        // Reserved space is most of what stands here.
        let used = if ZEROS.starts_with(read) { &[] } else { read };
        let mut skip = 0;
        for (at, start) in used.windows(HEAD).enumerate() {
            if at < skip || start.iter().take(4).all(|byte| *byte == 0) {
                continue;
            }
            let Some(head) = Head::read(start).filter(|head| head.number >= number) else {
                continue;
            };
            let offset = from.saturating_add(bytes(at));
            candidate.resize(head.whole(), 0);
            let got = source.read_up_to(&mut candidate, offset)?;
            if !head.holds(candidate.get(..got).unwrap_or_default()) {
                continue;
            }
            let next = *first_intact.get_or_insert(offset);
            if head.durable > number {
                return Ok(Tail::Damaged { next });
            }
            skip = at.saturating_add(head.whole());
        }
        if let Some(at) = used.iter().rposition(|byte| *byte != 0) {
            last_used = Some(from.saturating_add(bytes(at)));
        }
        if count < window.len() {
            break;
        }
        // The windows overlap, so that no head is cut in two.
        from = from.saturating_add(bytes(count.saturating_sub(HEAD - 1)));
    }
    Ok(match last_used {
        None => Tail::Clean,
        Some(last) => Tail::Torn { bytes: last.saturating_sub(position).saturating_add(1) },
    })
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
