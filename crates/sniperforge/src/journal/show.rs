//! Records as lines.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use sniper_store::journal::{Entry, JournalReader, Record};

use super::{WIDTH, time};
use crate::telemetry::safe_text;

/// Which events, by number; records between them come along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A record for other programs.
#[derive(Serialize)]
struct Shown<'a> {
    record: u64,
    segment: u64,
    offset: u64,
    content: &'a Record,
}

/// Writes the records of a range: a line each, or one JSON document.
///
/// # Errors
///
/// When the journal cannot be read or is damaged, or nobody takes the output.
pub(crate) fn show(
    path: &Path,
    range: Range,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut seq = 0;
    let mut is_first = true;
    if json {
        out.write_all(b"[")?;
    }
    for entry in JournalReader::open(path)? {
        let entry = entry?;
        if let Record::Event(stamped) = &entry.record {
            seq = stamped.seq.get();
        }
        if seq > range.to {
            break;
        }
        if seq < range.from {
            continue;
        }
        if json {
            out.write_all(if is_first { b"\n" } else { b",\n" })?;
            is_first = false;
            let Entry { number, segment, offset, record } = &entry;
            let shown =
                Shown { record: *number, segment: *segment, offset: *offset, content: record };
            serde_json::to_writer(&mut *out, &shown)?;
        } else {
            line(&entry, out)?;
        }
    }
    if json {
        out.write_all(b"\n]\n")?;
    }
    out.flush()?;
    Ok(())
}

fn line(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let number = entry.number;
    match &entry.record {
        Record::Event(stamped) => {
            let what = safe_text(&format!("{:?}", stamped.event), WIDTH);
            writeln!(
                out,
                "{number:>9}  event {:<9} {}  {what}",
                stamped.seq.get(),
                time(stamped.at)
            )
        }
        Record::Header { version, started, config } => writeln!(
            out,
            "{number:>9}  settings of version {version}, {} bytes; the engine first started {}",
            config.len(),
            time(*started)
        ),
        Record::Wire { order, signature, last_valid, bytes } => writeln!(
            out,
            "{number:>9}  signed transaction {} of order {order}, {} bytes, can land up to height {last_valid}",
            bs58::encode(signature.0).into_string(),
            bytes.len()
        ),
        Record::Checkpoint { seq, state, .. } => {
            writeln!(out, "{number:>9}  checkpoint after event {seq}: state {}", hex(state))
        }
        Record::Opening { seq, state, .. } => writeln!(
            out,
            "{number:>9}  segment {} begins after event {seq}: state {}",
            entry.segment,
            hex(state)
        ),
        other => writeln!(out, "{number:>9}  {other:?}"),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
