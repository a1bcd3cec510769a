//! The journal: what it costs to append a record, to make it durable, and to come back from it.
//!
//! A barrier stands beside the same bytes written and synced with nothing else, on the same disk, into space reserved as the
//! journal's is; a recovery beside the same events, read already, through the same engine.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use sniper_core::amm::AccountUpdate;
use sniper_core::event::{Event, MarketEvent, Stamped};
use sniper_core::ids::{OrderId, PoolId, Signature};
use sniper_core::units::{Atoms, BlockHeight, Seq, Slot, Timestamp};
use sniper_store::journal::{Journal, JournalReader, Owner, Record};

use super::Scale;
use super::arms::figure;
use super::market::Market;
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

/// As long as a swap's transaction.
const WIRE: [u8; 210] = [7; 210];
/// What a barrier may take beside a bare one.
const BARRIER_TIMES: f64 = 1.5;
/// Events a second, durable in groups.
const GROUPED: f64 = 200_000.0;
const GROUP: u64 = 1_024;
/// Events a second that are replayed.
const REPLAYED_M: f64 = 1.0;

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    // The temporary folder of the system may be in memory, where a sync costs nothing.
    let folder = tempfile::tempdir_in(".").context("make a folder here, on this disk")?;
    let span = scale.span / 3;
    let mut nth = 0;
    let mut fresh = || {
        nth += 1;
        folder.path().join(nth.to_string())
    };
    let mut rows = clean("journal barrier", Bounds::DISK, rejected, || barrier(&fresh(), span))?;
    rows.extend(clean("journal groups", Bounds::DISK, rejected, || groups(&fresh(), span))?);
    let market = Market::draw(if scale.full { 20_000 } else { 4_000 })?;
    rows.extend(clean("journal recovery", Bounds::COMPUTE, rejected, || {
        recovery(&fresh(), &market, span)
    })?);
    Ok(rows)
}

fn event(seq: u64) -> Stamped {
    let amount = Atoms::new(seq << 20);
    let update = AccountUpdate::Vault { second: seq.is_multiple_of(2), amount };
    let event =
        Event::Market(MarketEvent::Account { pool: PoolId(7), slot: Slot::new(seq), update });
    Stamped { seq: Seq::new(seq), at: Timestamp::new(1_700_000_000_000_000), event }
}

/// A file with room reserved as the journal's is.
struct Bare {
    file: File,
    at: u64,
    ready: u64,
}

impl Bare {
    const ROOM: u64 = 4 << 20;

    fn new(folder: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(folder.join("floor.bin")).context("make the floor's file")?;
        Ok(Self { file, at: 0, ready: 0 })
    }

    /// Writes and syncs; making room is not timed.
    fn durable(&mut self, bytes: &[u8], times: &mut Times) -> anyhow::Result<()> {
        let size = u64::try_from(bytes.len())?;
        while self.ready < self.at + size {
            fallocate(&self.file, FallocateFlags::empty(), self.ready, Self::ROOM)?;
            self.file.write_all_at(&vec![0; usize::try_from(Self::ROOM)?], self.ready)?;
            self.file.sync_all()?;
            self.ready += Self::ROOM;
        }
        let done = times.time(1, || {
            self.file.write_all_at(bytes, self.at)?;
            fdatasync(&self.file).map_err(std::io::Error::from)
        });
        done.context("write and sync the floor's file")?;
        self.at += size;
        Ok(())
    }
}

/// One signed transaction made durable, as before each send; and an event appended.
fn barrier(folder: &Path, span: Duration) -> anyhow::Result<Taken> {
    std::fs::create_dir(folder).context("make a folder")?;
    let (mut journal, _) = Journal::open(folder.join("journal"), Owner::default())?;
    journal.ready_ahead();
    let mut bare = Bare::new(folder)?;
    let (mut floor, mut barrier, mut append) = Default::default();
    for nth in Rounds::new(40, span) {
        let nth = u64::try_from(nth)?;
        let before = journal.len_bytes();
        let order = OrderId { cause: Seq::new(nth + 1), nth: 0 };
        let last_valid = BlockHeight::new(300_000_000);
        let done = Times::time(&mut barrier, 1, || {
            journal.append_wire(order, &Signature([9; 64]), last_valid, &WIRE)?;
            journal.sync()
        });
        done.context("make a record durable")?;
        let written = usize::try_from(journal.len_bytes() - before)?;
        bare.durable(&vec![7; written], &mut floor)?;
        let events: Vec<Stamped> = (0..256).map(|at| event(nth * 256 + at)).collect();
        let done = Times::time(&mut append, events.len(), || {
            events.iter().try_for_each(|event| journal.append_event(event).map(|_| ()))
        });
        done.context("append events")?;
    }
    let us = |metric: &str, times: &Times, percent| {
        Row::told(format!("journal.{metric}.p{percent}"), times.at(percent) / 1e3, "us")
    };
    let beside = |percent| us("barrier", &barrier, percent).beside(floor.at(percent) / 1e3);
    let rows = vec![
        Row::told("journal.append", append.p50(), "ns"),
        beside(50).floor_times(BARRIER_TIMES),
        beside(99),
    ];
    Ok(Taken { floor: floor.0, rows })
}

/// Events made durable a group at a time.
fn groups(folder: &Path, span: Duration) -> anyhow::Result<Taken> {
    std::fs::create_dir(folder).context("make a folder")?;
    let (mut journal, _) = Journal::open(folder.join("journal"), Owner::default())?;
    journal.ready_ahead();
    let mut bare = Bare::new(folder)?;
    let (mut floor, mut times) = (Times::default(), Times::default());
    for nth in Rounds::new(24, span) {
        let first = u64::try_from(nth)? * GROUP;
        let events: Vec<Stamped> = (first..first + GROUP).map(event).collect();
        let before = journal.len_bytes();
        let done = times.time(1, || {
            events.iter().try_for_each(|event| journal.append_event(event).map(|_| ()))?;
            journal.sync()
        });
        done.context("make a group durable")?;
        let written = usize::try_from(journal.len_bytes() - before)?;
        bare.durable(&vec![7; written], &mut floor)?;
    }
    let per_second = |times: &Times| figure(events_of(GROUP)) / times.p50() * 1e9;
    let row = Row::told("journal.durable_events", per_second(&times), "1/s");
    let row = row.at_least(GROUPED).beside(per_second(&floor));
    let rows = vec![row.note(format!("in groups of {GROUP}"))];
    Ok(Taken { floor: floor.0, rows })
}

fn events_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A journal of the drawn market is read and goes through a fresh engine, as at every start.
fn recovery(folder: &Path, market: &Market, span: Duration) -> anyhow::Result<Taken> {
    std::fs::create_dir(folder).context("make a folder")?;
    let path = folder.join("journal");
    let (mut journal, _) = Journal::open(&path, Owner::default())?;
    market.events.iter().try_for_each(|event| journal.append_event(event).map(|_| ()))?;
    journal.close()?;
    let count = market.events.len();
    let (mut floor, mut times) = (Times::default(), Times::default());
    for round in Rounds::new(10, span) {
        let mut engine = market.engine()?;
        let mut effects = Vec::new();
        let begun = Instant::now();
        for event in &market.events {
            effects.clear();
            engine.step(black_box(event), &mut effects);
        }
        floor.took(begun.elapsed(), count);
        let mut replayed = market.engine()?;
        let begun = Instant::now();
        for entry in JournalReader::open(&path)? {
            if let Record::Event(event) = entry?.record {
                effects.clear();
                replayed.step(&event, &mut effects);
            }
        }
        times.took(begun.elapsed(), count);
        ensure!(replayed.state_digest() == engine.state_digest(), "a replay came out otherwise");
        if round == 0 {
            (floor, times) = (Times::default(), Times::default());
        }
    }
    let row = Row::told("journal.replay", 1e3 / times.p50(), "M events/s");
    let row = row.note("the floor reads the journal back; stepping the engine comes on top");
    let rows = vec![row.at_least(REPLAYED_M).beside(1e3 / floor.p50())];
    Ok(Taken { floor: floor.0, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_of_a_real_journal() {
        let folder = tempfile::tempdir().unwrap();
        let market = Market::draw(60).unwrap();
        let mut rows = barrier(&folder.path().join("a"), Duration::ZERO).unwrap().rows;
        rows.extend(groups(&folder.path().join("b"), Duration::ZERO).unwrap().rows);
        rows.extend(recovery(&folder.path().join("c"), &market, Duration::ZERO).unwrap().rows);
        assert_eq!(rows.len(), 5);
        assert!(rows.iter().all(|row| row.value.is_some_and(|value| value > 0.0)), "{rows:?}");
    }
}
