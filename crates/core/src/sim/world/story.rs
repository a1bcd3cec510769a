//! What happened in a world: hashed always, told where somebody wants to read it.

/// The story of a world.
#[derive(Clone, Debug)]
pub(super) struct Story {
    hash: u64,
    lines: Option<Vec<String>>,
    pub(super) now: i64,
}

impl Story {
    pub(super) fn new(told: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: told.then(Vec::new), now: 0 }
    }

    /// Takes note: `what` by its name, with the numbers that tell it from others.
    pub(super) fn note(&mut self, what: &'static str, numbers: [u64; 3]) {
        let now = self.now.to_le_bytes();
        let bytes = what.bytes().chain(now).chain(numbers.iter().flat_map(|n| n.to_le_bytes()));
        for byte in bytes {
            // Fowler, Noll and Vo's FNV-1a.
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// As [`Self::note`], and a sentence for whoever reads.
    pub(super) fn say(
        &mut self,
        what: &'static str,
        numbers: [u64; 3],
        sentence: impl FnOnce() -> String,
    ) {
        self.note(what, numbers);
        if let Some(lines) = &mut self.lines {
            let (seconds, millis) = (self.now / 1_000_000, self.now / 1_000 % 1_000);
            lines.push(format!("{seconds:>5}.{millis:03} s  {}", sentence()));
        }
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
