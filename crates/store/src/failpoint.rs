//! Places in a process at which it can be told to die, as a power cut or a SIGKILL would have it: `cargo xtask crash` goes
//! through all of them.
//!
//! # Design
//!
//! Only a build with the feature `failpoints` has them, and none that is shipped does; in all others [`pass`] is nothing.
//! `SNIPERFORGE_FAIL_AT=NAME:N` makes the process kill itself the N-th time that it passes the point of that name. It
//! dies by SIGKILL, so nothing is flushed, dropped or told: what was not handed to the system before is gone.

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        /// A place to die at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $point,)+ }

        impl Point {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// As it is asked for.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }
        }
    };
}

points! {
    /// A record is about to be put into memory.
    AppendBefore = "journal.append.before",
    /// It is in memory, and the system knows nothing of it.
    AppendAfter = "journal.append.after",
    /// Records were handed to the system, and are not on the disk.
    SyncBefore = "journal.sync.before",
    /// They are on the disk, and nobody knows.
    SyncAfter = "journal.sync.after",
    /// The next segment is about to begin.
    RotateBefore = "journal.rotate.before",
    /// It has a head, which is not on the disk.
    RotateHead = "journal.rotate.head",
    /// Its first records were handed over, and are not on the disk.
    RotateRecords = "journal.rotate.records",
    /// The segment before it was cut to its length.
    RotateTrimmed = "journal.rotate.trimmed",
    /// A snapshot is whole, and has not got its name.
    SnapshotBefore = "snapshot.rename.before",
    /// It has its name, which the disk does not know.
    SnapshotAfter = "snapshot.rename.after",
    /// Rows are about to be committed to the tables.
    TablesCommit = "tables.commit.before",
    /// An order's bytes are durable, and were not sent.
    SendBefore = "order.send.before",
    /// They were handed to the sender, and the engine does not know.
    SendAfter = "order.send.after",
    /// They are on the wire, and the engine knows in memory.
    SendWire = "order.send.wire",
    /// The chain has told an order's end, and nothing has noted it.
    EndBefore = "order.end.before",
    /// It is noted in memory alone.
    EndAfter = "order.end.after",
    /// A record was replayed at a start.
    Replay = "start.replay",
    /// All was replayed, and the chain was not asked.
    AskBefore = "start.ask.before",
    /// Every old order has its end, and balances were not compared.
    AskAfter = "start.ask.after",
    /// All was compared, and nothing is traded yet.
    TradeBefore = "start.trade.before",
    /// It is known how the chain differs, and nothing of it is booked.
    CompareBefore = "compare.booking.before",
    /// Token accounts are about to be made, at the first start.
    SetupBefore = "setup.accounts.before",
    /// A transaction of the setup has landed, and nobody has noted it.
    SetupLanded = "setup.landed",
    /// A lookup table is whole on the chain, and its address is nowhere else.
    SetupTable = "setup.table.unnoted",
    /// All was made, and nothing of it is in the books.
    SetupUnbooked = "setup.unbooked",
    /// Some of what was found is booked.
    SetupBooks = "setup.booking",
}

/// Dies here, where that was asked for and this was the time.
#[cfg(feature = "failpoints")]
pub fn pass(point: Point) {
    armed::pass(point);
}

/// Nothing: this build has no fail points.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn pass(_: Point) {}

#[cfg(feature = "failpoints")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    const VARIABLE: &str = "SNIPERFORGE_FAIL_AT";

    static ARMED: OnceLock<Option<(Point, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn pass(point: Point) {
        let Some((armed, nth)) = ARMED.get_or_init(wanted) else { return };
        if *armed == point && PASSED.fetch_add(1, Ordering::Relaxed).saturating_add(1) == *nth {
            die(&format!("fail point {} passed {nth} times", point.name()));
        }
    }

    fn wanted() -> Option<(Point, u64)> {
        let text = std::env::var(VARIABLE).ok()?;
        let parsed = text.split_once(':').and_then(|(name, nth)| {
            let point = Point::ALL.iter().find(|point| point.name() == name)?;
            Some((*point, nth.parse().ok().filter(|nth| *nth > 0)?))
        });
        if parsed.is_none() {
            die(&format!("{VARIABLE}={text:?} names no fail point, or no number from 1 on"));
        }
        parsed
    }

    fn die(why: &str) {
        // Whoever arms it reads this. It dies all the same where nobody does.
        writeln!(std::io::stderr(), "{why}").ok();
        let me = rustix::process::getpid();
        while rustix::process::kill_process(me, rustix::process::Signal::KILL).is_err() {}
        // Until the signal is here.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Point;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
