//! Whether every byte of a journal is what was written.

use std::path::Path;

use serde::Serialize;
use sniper_core::event::{Event, OrderEvent};
use sniper_store::journal::{JournalError, Record, Segments};

use crate::live::replay::Replay;

/// What was found in all segments and snapshots.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct JournalReport {
    pub(crate) journal: String,
    /// Public key of the owner; none of the format before segments.
    pub(crate) owner: Option<String>,
    pub(crate) genesis: Option<String>,
    /// Every segment holds, and every snapshot is the state at its place.
    pub(crate) ok: bool,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) segments: Vec<SegmentReport>,
    pub(crate) snapshots: Vec<SnapshotReport>,
    /// The first damage; behind it nothing was looked at.
    pub(crate) damage: Option<Damage>,
}

/// A segment as far as it was read.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SegmentReport {
    pub(crate) segment: u64,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) orders_signed: u64,
    pub(crate) first_record: Option<u64>,
    pub(crate) last_record: Option<u64>,
    pub(crate) first_seq: Option<u64>,
    pub(crate) last_seq: Option<u64>,
    /// Of a record that was never said to be durable; the next start cuts it off. An engine may just be writing it.
    pub(crate) torn_bytes: u64,
}

/// A snapshot, and what is wrong with it, if anything: a start passes over one that does not hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SnapshotReport {
    pub(crate) segment: u64,
    pub(crate) ok: bool,
    pub(crate) problem: Option<String>,
}

/// Where it is damaged, and what can be done.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Damage {
    pub(crate) file: Option<String>,
    pub(crate) byte: Option<u64>,
    pub(crate) record: Option<u64>,
    pub(crate) message: String,
}

/// Reads all of it.
///
/// # Errors
///
/// When it cannot be read, or is no journal at all. Damage is no error: it is what was asked for.
pub(crate) fn verify(path: &Path) -> anyhow::Result<JournalReport> {
    let mut report = JournalReport { journal: path.display().to_string(), ..Default::default() };
    // An engine may be at work in it, and a segment is there before its snapshot: those that are listed after the snapshots
    // have every snapshot's.
    let listed = Segments::open(path).and_then(|before| before.snapshots());
    let opened = listed.and_then(|snapshots| Ok((snapshots, Segments::open(path)?)));
    let (snapshots, segments) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            report.damage = Some(damage(error)?);
            return Ok(report);
        }
    };
    if let Some(owner) = segments.owner() {
        report.owner = Some(owner.key.to_string());
        report.genesis = Some(bs58::encode(owner.genesis).into_string());
    }
    for (segment, file) in segments.files() {
        let bytes = std::fs::metadata(file)?.len();
        let file = file.display().to_string();
        report.segments.push(SegmentReport { segment, file, bytes, ..Default::default() });
    }
    let mut reader = segments.records_from(segments.first())?;
    for entry in reader.by_ref() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                report.damage = Some(damage(error)?);
                break;
            }
        };
        let Some(segment) = report.segments.iter_mut().find(|s| s.segment == entry.segment) else {
            // Begun by an engine since the files were listed.
            continue;
        };
        segment.take(entry.number, &entry.record);
    }
    if let Some(last) = report.segments.last_mut() {
        last.torn_bytes = reader.torn_bytes();
    }
    for segment in snapshots {
        let held = segments.snapshot(segment).map_err(anyhow::Error::new).and_then(|snapshot| {
            let mut reader = segments.records_from(segment)?;
            Replay::after(&snapshot, &mut reader, None).map(drop)
        });
        let problem = held.err().map(|error| format!("{error:#}"));
        report.snapshots.push(SnapshotReport { segment, ok: problem.is_none(), problem });
    }
    report.records = report.segments.iter().map(|segment| segment.records).sum();
    report.events = report.segments.iter().map(|segment| segment.events).sum();
    report.ok = report.damage.is_none() && report.snapshots.iter().all(|snapshot| snapshot.ok);
    Ok(report)
}

impl SegmentReport {
    fn take(&mut self, number: u64, record: &Record) {
        self.records += 1;
        self.first_record.get_or_insert(number);
        self.last_record = Some(number);
        let Record::Event(stamped) = record else { return };
        self.events += 1;
        self.first_seq.get_or_insert(stamped.seq.get());
        self.last_seq = Some(stamped.seq.get());
        let signed = matches!(stamped.event, Event::Order(OrderEvent::Signed { .. }));
        self.orders_signed += u64::from(signed);
    }
}

fn damage(error: JournalError) -> anyhow::Result<Damage> {
    let message = error.to_string();
    let at = |path: &Path, byte: Option<u64>, record: Option<u64>| {
        let file = Some(path.display().to_string());
        Ok(Damage { file, byte, record, message: message.clone() })
    };
    match &error {
        JournalError::Damaged { path, offset, record, .. }
        | JournalError::Short { path, offset, record, .. }
        | JournalError::Undecodable { path, offset, record } => {
            at(path, Some(*offset), Some(*record))
        }
        JournalError::DamagedHead { path } => at(path, Some(0), None),
        JournalError::Missing { path, .. }
        | JournalError::Renamed { path, .. }
        | JournalError::Stranger { path }
        | JournalError::Version { path, .. } => at(path, None, None),
        _ => Err(error.into()),
    }
}
