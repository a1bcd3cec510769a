//! Proving a journal: the same events through a fresh engine must give the same effects and the same state.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::Effect;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::units::BlockHeight;
use sniper_store::journal::{JournalReader, Record};

use super::desk::HEADER_VERSION;
use super::tables::Tables;
use crate::cli::ReplayArgs;

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct ReplaySummary {
    /// Events replayed.
    pub events: u64,
    /// Effects they had.
    pub effects: u64,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// Event of the first checkpoint that differed.
    pub first_difference: Option<u64>,
    /// Hash of all effects.
    pub effects_hash: String,
    /// Hash of the final state.
    pub state_hash: String,
    /// Bytes of a torn record at the end, ignored.
    pub torn_bytes: u64,
}

impl ReplaySummary {
    /// Whether there was something to compare, and all of it agreed.
    #[must_use]
    pub const fn matches(&self) -> bool {
        self.checkpoints > 0 && self.first_difference.is_none()
    }
}

impl fmt::Display for ReplaySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "events       {}", self.events)?;
        writeln!(f, "effects      {}", self.effects)?;
        writeln!(f, "effects hash {}", self.effects_hash)?;
        writeln!(f, "state hash   {}", self.state_hash)?;
        match (self.checkpoints, self.first_difference) {
            (0, _) => write!(f, "no checkpoint to compare with: nothing is proven"),
            (n, None) => write!(f, "all {n} checkpoints agree"),
            (_, Some(seq)) => write!(f, "DIFFERS at the checkpoint after event {seq}"),
        }
    }
}

/// A signed transaction as the journal has it.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) order: OrderId,
    pub(super) signature: Signature,
    pub(super) last_valid: BlockHeight,
    pub(super) bytes: Vec<u8>,
}

/// An engine brought to where its journal ends.
pub(super) struct Replayed {
    pub(super) engine: MultiStrategyEngine,
    pub(super) digest: Digest,
    pub(super) wires: Vec<Wire>,
    pub(super) summary: ReplaySummary,
}

/// Replays all records of a journal, into the tables too where there are some. `None` when it holds none.
pub(super) fn replay_records(
    reader: &mut JournalReader,
    mut tables: Option<&mut Tables>,
) -> anyhow::Result<Option<Replayed>> {
    let mut state: Option<(MultiStrategyEngine, EngineConfig)> = None;
    let mut digest = Digest::default();
    let mut wires = Vec::new();
    let mut effects: Vec<Effect> = Vec::new();
    let (mut events, mut checkpoints, mut first_difference) = (0, 0, None);
    for entry in reader.by_ref() {
        match entry?.record {
            Record::Header { version, config, started } => {
                if version != HEADER_VERSION {
                    bail!(
                        "its settings have version {version}; this program reads {HEADER_VERSION}"
                    );
                }
                let config: EngineConfig =
                    serde_json::from_slice(&config).context("read the settings in its header")?;
                match &state {
                    None => {
                        let engine = MultiStrategyEngine::new(config.clone())?;
                        if let Some(tables) = tables.as_mut() {
                            tables.begin(started, &engine);
                        }
                        state = Some((engine, config));
                    }
                    Some((_, known)) if *known == config => {}
                    Some(_) => bail!("its settings change halfway"),
                }
            }
            Record::Event(stamped) => {
                let Some((engine, _)) = &mut state else { bail!("it has no header") };
                effects.clear();
                engine.step(&stamped, &mut effects);
                effects.iter().for_each(|effect| digest.add(effect));
                if let Some(tables) = tables.as_mut() {
                    tables.step(&stamped, &effects, engine);
                }
                events += 1;
            }
            Record::Wire { order, signature, last_valid, bytes } => {
                // Only what is still in flight matters; the rest would grow without bound.
                if let Some((engine, _)) = &state {
                    wires.retain(|w: &Wire| engine.orders().is_followed(w.order));
                }
                wires.push(Wire { order, signature, last_valid, bytes });
            }
            Record::Checkpoint { seq, effects, state: hash } => {
                let Some((engine, _)) = &state else { bail!("it has no header") };
                checkpoints += 1;
                let agrees = effects == digest.value() && hash == engine.state_digest();
                if !agrees && first_difference.is_none() {
                    first_difference = Some(seq.get());
                }
            }
            _ => bail!("it holds a kind of record that this program does not know"),
        }
    }
    let Some((engine, _)) = state else { return Ok(None) };
    let summary = ReplaySummary {
        events,
        effects: digest.values(),
        checkpoints,
        first_difference,
        effects_hash: digest.hex(),
        state_hash: hex(&engine.state_digest()),
        torn_bytes: reader.torn_bytes(),
    };
    Ok(Some(Replayed { engine, digest, wires, summary }))
}

/// Replays a journal that nobody needs to have open.
///
/// # Errors
///
/// When it cannot be read, is damaged, or holds nothing.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<ReplaySummary> {
    replay_file(&args.journal)
}

pub(super) fn replay_file(path: &Path) -> anyhow::Result<ReplaySummary> {
    let named = || format!("replay the journal {}", path.display());
    let mut reader = JournalReader::open(path)?;
    match replay_records(&mut reader, None).with_context(named)? {
        Some(replayed) => Ok(replayed.summary),
        None => bail!("the journal {} holds nothing to replay", path.display()),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
