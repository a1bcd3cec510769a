//! A journal as a person looks at it: whether it holds, what it says, and what of it leaves for other programs.
//!
//! Everything here only reads, also while an engine writes.

mod export;
mod show;
mod story;
mod verify;

use sniper_core::engine::MultiStrategyEngine;
use sniper_core::ids::MintId;
use sniper_core::units::{Atoms, Timestamp};

pub(crate) use export::{What, export};
pub(crate) use show::{Range, show};
pub(crate) use story::story;
pub(crate) use verify::{JournalReport, verify};

use crate::telemetry::rfc3339_utc;

/// Characters shown of an event.
const WIDTH: usize = 240;

fn time(at: Timestamp) -> String {
    rfc3339_utc(at.millis())
}

/// An amount with the mint's label.
fn amount(engine: &MultiStrategyEngine, mint: MintId, atoms: Atoms) -> String {
    format!("{atoms} atoms of {}", label(engine, mint))
}

fn label(engine: &MultiStrategyEngine, mint: MintId) -> String {
    let known = engine.market().mint(mint);
    known.map_or_else(|| format!("mint {}", mint.0), |mint| mint.spec.symbol.to_string())
}
