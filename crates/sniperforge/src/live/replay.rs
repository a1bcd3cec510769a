//! Proving a journal: the same events through a fresh engine must give the same effects and the same state.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine};
use sniper_core::event::Effect;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::units::{BlockHeight, Seq, Timestamp};
use sniper_store::failpoint::{Point, pass};
use sniper_store::journal::{JournalReader, Record, Segments, Snapshot};

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
    /// Where it began, if not with the first record: at the snapshot before this segment.
    pub from_segment: Option<u64>,
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
        if let Some(segment) = self.from_segment {
            writeln!(f, "from         the snapshot before segment {segment}")?;
        }
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
pub(crate) struct Wire {
    pub(super) order: OrderId,
    pub(super) signature: Signature,
    pub(super) last_valid: BlockHeight,
    pub(super) bytes: Vec<u8>,
}

/// An engine brought to where its journal ends.
pub(crate) struct Replayed {
    pub(super) engine: MultiStrategyEngine,
    pub(super) digest: Digest,
    /// When it first started.
    pub(super) started: Timestamp,
    pub(super) wires: Vec<Wire>,
    pub(super) summary: ReplaySummary,
}

/// A replay under way: from the first record, or from a snapshot.
#[derive(Default)]
pub(crate) struct Replay {
    engine: Option<MultiStrategyEngine>,
    started: Timestamp,
    digest: Digest,
    wires: Vec<Wire>,
    effects: Vec<Effect>,
    events: u64,
    checkpoints: u64,
    first_difference: Option<u64>,
    from: Option<u64>,
}

impl Replay {
    /// From the state in a snapshot. `reader` stands at the first record of its segment, which must tell of the same.
    ///
    /// # Errors
    ///
    /// It is not the state that the journal had there, or not one that this program can take up.
    pub(crate) fn after(
        snapshot: &Snapshot,
        reader: &mut JournalReader,
        tables: Option<&mut Tables>,
    ) -> anyhow::Result<Self> {
        let config = settings(snapshot.version, &snapshot.config)?;
        let engine = MultiStrategyEngine::restore(config, &snapshot.state)?;
        ensure!(engine.state_digest() == snapshot.digest, "the state in it has another digest");
        let Some(Record::Opening { seq, effects, counted, state }) =
            reader.next().transpose()?.map(|entry| entry.record)
        else {
            bail!("the segment behind it does not begin with a checkpoint");
        };
        let last = engine.last().map(|(seq, _)| seq).unwrap_or_default();
        let told = (last, snapshot.effects, snapshot.counted, snapshot.digest);
        ensure!(
            told == (seq, effects, counted, state),
            "the segment behind it goes on from another state"
        );
        if let Some(tables) = tables {
            tables.go_on(snapshot.started, &engine, &snapshot.counts);
        }
        Ok(Self {
            engine: Some(engine),
            started: snapshot.started,
            digest: Digest::resumed(effects, counted),
            checkpoints: 1,
            from: Some(snapshot.segment),
            ..Self::default()
        })
    }

    /// All records that are left, into the tables too where there are some. `None` when there were none at all.
    pub(super) fn run(
        mut self,
        reader: &mut JournalReader,
        mut tables: Option<&mut Tables>,
    ) -> anyhow::Result<Option<Replayed>> {
        for entry in reader.by_ref() {
            self.take(entry?.record, tables.as_deref_mut())?;
            pass(Point::Replay);
        }
        let Some(engine) = self.engine else { return Ok(None) };
        let summary = ReplaySummary {
            events: self.events,
            effects: self.digest.values(),
            checkpoints: self.checkpoints,
            first_difference: self.first_difference,
            from_segment: self.from,
            effects_hash: self.digest.hex(),
            state_hash: hex(&engine.state_digest()),
            torn_bytes: reader.torn_bytes(),
        };
        let (digest, started, wires) = (self.digest, self.started, self.wires);
        Ok(Some(Replayed { engine, digest, started, wires, summary }))
    }

    /// Takes one record.
    ///
    /// # Errors
    ///
    /// It makes no sense where it stands.
    pub(crate) fn take(
        &mut self,
        record: Record,
        tables: Option<&mut Tables>,
    ) -> anyhow::Result<()> {
        self.effects.clear();
        match record {
            Record::Header { version, config, started } => {
                let config = settings(version, &config)?;
                match &self.engine {
                    None => {
                        let engine = MultiStrategyEngine::new(config)?;
                        if let Some(tables) = tables {
                            tables.begin(started, &engine);
                        }
                        (self.engine, self.started) = (Some(engine), started);
                    }
                    Some(engine) if *engine.config() == config => {}
                    Some(_) => bail!("its settings change halfway"),
                }
            }
            Record::Event(stamped) => {
                let Some(engine) = &mut self.engine else { bail!("it has no header") };
                engine.step(&stamped, &mut self.effects);
                self.effects.iter().for_each(|effect| self.digest.add(effect));
                if let Some(tables) = tables {
                    tables.step(&stamped, &self.effects, engine);
                }
                self.events += 1;
            }
            Record::Wire { order, signature, last_valid, bytes } => {
                // Only what is still in flight matters; the rest would grow without bound.
                if let Some(engine) = &self.engine {
                    self.wires.retain(|w| w.order != order && engine.orders().is_followed(w.order));
                }
                self.wires.push(Wire { order, signature, last_valid, bytes });
            }
            Record::Checkpoint { seq, effects, state } => self.compare(seq, effects, state)?,
            Record::Opening { seq, effects, state, .. } => {
                self.compare(seq, effects, state)?;
                // Whoever begins here knows no more of what came before.
                self.digest = Digest::resumed(self.digest.value(), self.digest.values());
            }
            _ => bail!("it holds a kind of record that this program does not know"),
        }
        Ok(())
    }

    /// The engine, once the settings were read.
    pub(crate) const fn engine(&self) -> Option<&MultiStrategyEngine> {
        self.engine.as_ref()
    }

    /// What the record that was taken last had the engine do.
    pub(crate) fn effects(&self) -> &[Effect] {
        &self.effects
    }

    fn compare(&mut self, seq: Seq, effects: [u8; 32], state: [u8; 32]) -> anyhow::Result<()> {
        let Some(engine) = &self.engine else { bail!("it has no header") };
        self.checkpoints += 1;
        let agrees = effects == self.digest.value() && state == engine.state_digest();
        if !agrees && self.first_difference.is_none() {
            self.first_difference = Some(seq.get());
        }
        Ok(())
    }
}

fn settings(version: u16, config: &[u8]) -> anyhow::Result<EngineConfig> {
    ensure!(
        version == HEADER_VERSION,
        "its settings have version {version}; this program reads {HEADER_VERSION}"
    );
    serde_json::from_slice(config).context("read the settings in its header")
}

/// Begins at the newest snapshot that holds, of those that `wanted` wants; or at the first record. What does not hold is
/// passed over with a warning.
pub(crate) fn begin(
    segments: &Segments,
    wanted: impl Fn(usize) -> bool,
    mut tables: Option<&mut Tables>,
) -> anyhow::Result<(Replay, JournalReader)> {
    for (_, number) in segments.snapshots()?.into_iter().enumerate().filter(|(nth, _)| wanted(*nth))
    {
        let taken = segments.snapshot(number).map_err(anyhow::Error::new).and_then(|snapshot| {
            let mut reader = segments.records_from(number)?;
            let replay = Replay::after(&snapshot, &mut reader, tables.as_deref_mut())?;
            Ok((replay, reader))
        });
        match taken {
            Ok(taken) => return Ok(taken),
            Err(error) => tracing::warn!(
                segment = number,
                error = format!("{error:#}"),
                "a snapshot of the journal is passed over"
            ),
        }
    }
    let first = segments.first();
    ensure!(
        first == 0,
        "the journal begins with segment {first}, and no snapshot that it could go on from holds: restore a snapshot or \
         the segments before from a copy; a program of the version that wrote them reads them; without either, with no \
         order in flight, move the journal away to start anew with what the chain holds"
    );
    Ok((Replay::default(), segments.records_from(first)?))
}

/// Replays a journal that nobody needs to have open.
///
/// # Errors
///
/// When it cannot be read, is damaged, or holds nothing.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<ReplaySummary> {
    replay_file(&args.journal)
}

/// At the first record, or where the beginning is gone, at the oldest snapshot.
pub(crate) fn begin_at_the_oldest(segments: &Segments) -> anyhow::Result<(Replay, JournalReader)> {
    let whole = segments.first() == 0;
    let oldest = segments.snapshots()?.len();
    begin(segments, |nth| !whole && nth + 1 == oldest, None)
}

/// All of a journal that is left.
pub(super) fn replay_file(path: &Path) -> anyhow::Result<ReplaySummary> {
    let segments = Segments::open(path)?;
    finish(path, begin_at_the_oldest(&segments))
}

/// A journal from its second newest snapshot on, if it has one: what a run proves at its end, however long it was.
pub(super) fn replay_tail(path: &Path) -> anyhow::Result<ReplaySummary> {
    let segments = Segments::open(path)?;
    finish(path, begin(&segments, |nth| nth > 0, None))
}

fn finish(
    path: &Path,
    begun: anyhow::Result<(Replay, JournalReader)>,
) -> anyhow::Result<ReplaySummary> {
    let named = || format!("replay the journal {}", path.display());
    let (replay, mut reader) = begun.with_context(named)?;
    match replay.run(&mut reader, None).with_context(named)? {
        Some(replayed) => Ok(replayed.summary),
        None => bail!("the journal {} holds nothing to replay", path.display()),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
