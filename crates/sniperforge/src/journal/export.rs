//! Events and fills for other programs, in a file that is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Closed, Effect};
use sniper_core::ids::MintId;
use sniper_core::order::Outcome;
use sniper_store::journal::{JournalReader, Record, Segments};

use super::time;
use crate::live::replay::begin_at_the_oldest;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Every event as the engine saw it, a JSON document a line.
    Events,
    /// Every order that landed as wished, a JSON document a line.
    Fills,
    /// The same as comma-separated values.
    FillsCsv,
}

/// An order that landed as wished.
#[derive(Serialize)]
struct Fill {
    order: String,
    at: String,
    strategy: String,
    reason: String,
    mint_in: String,
    mint_out: String,
    /// Atoms that left, and that came.
    given: u64,
    got: u64,
    min_out: u64,
    fee_lamports: u64,
    rent_lamports: u64,
    slot: u64,
    signature: String,
}

/// Writes `out`, which must not be there yet. Says how many lines it has.
///
/// # Errors
///
/// When the journal cannot be read or is damaged, or the file cannot be written: then there is none.
pub(crate) fn export(journal: &Path, what: What, out: &Path) -> anyhow::Result<u64> {
    ensure!(!out.exists(), "{} is there already: name another file", out.display());
    let mut draft = out.as_os_str().to_owned();
    draft.push(".part");
    let draft = Path::new(&draft);
    let written = draft_of(journal, what, draft).and_then(|lines| {
        std::fs::rename(draft, out)?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(lines)
    });
    if written.is_err() {
        std::fs::remove_file(draft).ok();
    }
    written.with_context(|| format!("write {}", out.display()))
}

fn draft_of(journal: &Path, what: What, draft: &Path) -> anyhow::Result<u64> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    let mut out = BufWriter::new(file);
    let lines = match what {
        What::Events => events(journal, &mut out)?,
        What::Fills => fills(journal, |fill| {
            serde_json::to_writer(&mut out, fill)?;
            Ok(out.write_all(b"\n")?)
        })?,
        What::FillsCsv => {
            let mut rows = csv::Writer::from_writer(&mut out);
            let lines = fills(journal, |fill| Ok(rows.serialize(fill)?))?;
            rows.flush()?;
            lines
        }
    };
    out.into_inner().context("write what is left")?.sync_all()?;
    Ok(lines)
}

fn events(journal: &Path, out: &mut impl Write) -> anyhow::Result<u64> {
    let mut lines = 0;
    for entry in JournalReader::open(journal)? {
        if let Record::Event(stamped) = entry?.record {
            serde_json::to_writer(&mut *out, &stamped)?;
            out.write_all(b"\n")?;
            lines += 1;
        }
    }
    Ok(lines)
}

fn fills(journal: &Path, mut take: impl FnMut(&Fill) -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let segments = Segments::open(journal)?;
    let (mut replay, reader) = begin_at_the_oldest(&segments)?;
    let mut lines = 0;
    for entry in reader {
        replay.take(entry?.record, None)?;
        let Some(engine) = replay.engine() else { continue };
        for effect in replay.effects() {
            if let Effect::Closed(closed) = effect
                && let Some(fill) = fill(closed, engine)
            {
                take(&fill)?;
                lines += 1;
            }
        }
    }
    Ok(lines)
}

fn fill(closed: &Closed, engine: &MultiStrategyEngine) -> Option<Fill> {
    let Outcome::Filled { slot, deltas, fee, rent } = &closed.outcome else { return None };
    let order = &closed.order;
    let address = |mint: MintId| {
        engine.market().mint(mint).map(|mint| mint.spec.address.to_string()).unwrap_or_default()
    };
    let delta =
        |mint: MintId| deltas.iter().filter(|(m, _)| *m == mint).map(|(_, d)| *d).sum::<i64>();
    let (mint_in, mint_out) = (order.mint_in(), order.mint_out());
    // Of a cycle only the difference is told: what went in was known before.
    let (given, got) = if mint_in == mint_out {
        let given = order.amount_in().get();
        (given, given.saturating_add_signed(delta(mint_in)))
    } else {
        (delta(mint_in).min(0).unsigned_abs(), delta(mint_out).max(0).unsigned_abs())
    };
    Some(Fill {
        order: order.id().to_string(),
        at: time(closed.at),
        strategy: engine.strategy_name(order.strategy()).to_owned(),
        reason: format!("{:?}", order.reason()),
        mint_in: address(mint_in),
        mint_out: address(mint_out),
        given,
        got,
        min_out: order.min_out().get(),
        fee_lamports: fee.get(),
        rent_lamports: rent.get(),
        slot: slot.get(),
        signature: closed.signature.map(|s| bs58::encode(s.0).into_string()).unwrap_or_default(),
    })
}
