//! `journal`: whether it holds, what it says, and what of it leaves for other programs. Nothing here changes it.

use std::io::{BufWriter, ErrorKind};
use std::path::PathBuf;

use serde::Serialize;
use sniper_core::ids::OrderId;

use super::Global;
use super::exit::Exit;
use super::output::report;
use crate::journal::{JournalReport, Range, What, export, show, story, verify};

/// What is asked of a journal.
#[derive(Debug, clap::Subcommand)]
pub enum JournalCommand {
    /// Read every byte of all segments and snapshots and say whether they hold.
    Verify(VerifyJournalArgs),
    /// Show records, or the story of one order.
    Show(ShowArgs),
    /// Write events or fills to a file.
    Export(ExportArgs),
}

/// Arguments of `journal verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyJournalArgs {
    /// The journal's folder, such as data/live/journal.
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
}

/// Arguments of `journal show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The journal's folder, such as data/live/journal.
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
    /// From this event on.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// Up to this event.
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Only this order, from its cause to its end: intent, reservation, signature, sends and fate.
    #[arg(long, value_name = "CAUSE.NTH", conflicts_with_all = ["from", "to"])]
    order: Option<OrderId>,
}

/// Arguments of `journal export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The journal's folder, such as data/live/journal.
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = What::Events)]
    what: What,
    /// The file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    lines: u64,
}

pub(super) fn journal(command: &JournalCommand, global: &Global) -> anyhow::Result<Exit> {
    match command {
        JournalCommand::Verify(args) => {
            let found = verify(&args.journal)?;
            report(global.json, &found, || text(&found))?;
            Ok(if found.ok { Exit::Done } else { Exit::CheckFailed })
        }
        JournalCommand::Show(ShowArgs { journal, order: Some(order), .. }) => {
            let told = story(journal, *order)?;
            report(global.json, &told, || told.to_string())?;
            Ok(Exit::Done)
        }
        JournalCommand::Show(ShowArgs { journal, from, to, .. }) => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            match show(journal, Range { from: *from, to: *to }, global.json, &mut out) {
                // Whoever read has seen enough.
                Err(error) if is_broken_pipe(&error) => Ok(Exit::Done),
                shown => shown.map(|()| Exit::Done),
            }
        }
        JournalCommand::Export(args) => {
            let lines = export(&args.journal, args.what, &args.out)?;
            let done = Exported { file: args.out.clone(), lines };
            report(global.json, &done, || format!("{lines} lines in {}", args.out.display()))?;
            Ok(Exit::Done)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let by_io = cause.downcast_ref().map(std::io::Error::kind);
        let by_json = cause.downcast_ref().and_then(serde_json::Error::io_error_kind);
        by_io.or(by_json) == Some(ErrorKind::BrokenPipe)
    })
}

fn text(found: &JournalReport) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "segment",
        "bytes",
        "records",
        "events",
        "event numbers",
        "signed",
        "torn bytes",
    ]);
    for segment in &found.segments {
        let range = match (segment.first_seq, segment.last_seq) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "-".to_owned(),
        };
        table.add_row([
            segment.segment.to_string(),
            segment.bytes.to_string(),
            segment.records.to_string(),
            segment.events.to_string(),
            range,
            segment.orders_signed.to_string(),
            segment.torn_bytes.to_string(),
        ]);
    }
    let mut out = format!("{table}\n");
    if let (Some(owner), Some(genesis)) = (&found.owner, &found.genesis) {
        out.push_str(&format!("key {owner} on the chain {genesis}\n"));
    }
    let held = found.snapshots.iter().filter(|snapshot| snapshot.ok).count();
    out.push_str(&format!("{held} of {} snapshots hold\n", found.snapshots.len()));
    for snapshot in &found.snapshots {
        if let Some(problem) = &snapshot.problem {
            out.push_str(&format!(
                "DOES NOT HOLD: snapshot before segment {}: {problem}\n",
                snapshot.segment
            ));
        }
    }
    match &found.damage {
        Some(damage) => out.push_str(&format!("DAMAGED: {}\n", damage.message)),
        None => out
            .push_str(&format!("{} records, {} events: all whole\n", found.records, found.events)),
    }
    out
}
