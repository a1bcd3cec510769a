//! The engine at its desk: every event is stamped, journaled and stepped; every effect is hashed and shown.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, MultiStrategyEngine, Part, Probe};
use sniper_core::event::{Alert, Effect, Event, Stamped};
use sniper_core::ids::{OrderId, Signature, StrategyId};
use sniper_core::order::Order;
use sniper_core::strategy::{Task, Watch};
use sniper_core::units::{BlockHeight, Seq, Timestamp};
use sniper_solana::venue::Prepared;
use sniper_store::failpoint::{Point, pass};
use sniper_store::journal::{Journal, JournalError, Kept, Record, Snapshot};

use super::clock::{Clock, wall};
use super::publish::{Around, Publisher};
use super::tables::Tables;
use crate::telemetry::sentinel::Finding;
use crate::telemetry::{Change, Stage, StageTimers};

/// Version of the settings in a journal's header.
pub(super) const HEADER_VERSION: u16 = 3;

/// Engine, journal and what watches them.
pub(super) struct Desk {
    engine: MultiStrategyEngine,
    journal: Journal,
    seq: u64,
    clock: Clock,
    /// The last event, until it was told on.
    untold: Option<Stamped>,
    effects: Vec<Effect>,
    orders: Vec<Order>,
    digest: Digest,
    pub(super) timers: StageTimers,
    pub(super) publisher: Publisher,
    tables: Option<Tables>,
    mismatched: bool,
    /// When the engine first started.
    started: Timestamp,
    /// When the last step began and ended.
    stepped: [Instant; 2],
}

impl Desk {
    /// A desk over an engine that has taken all events of `journal` so far, with `digest` over their effects.
    pub(super) fn new(
        engine: MultiStrategyEngine,
        journal: Journal,
        digest: Digest,
        publisher: Publisher,
        tables: Option<Tables>,
    ) -> Self {
        let (seq, at) = engine.last().unwrap_or_default();
        Self {
            engine,
            journal,
            seq: seq.get(),
            clock: Clock::after(at),
            untold: None,
            effects: Vec::with_capacity(64),
            orders: Vec::with_capacity(16),
            digest,
            timers: StageTimers::new(),
            publisher,
            tables,
            mismatched: false,
            started: Timestamp::ZERO,
            stepped: [Instant::now(); 2],
        }
    }

    /// The engine of a journal that goes on first started then.
    pub(super) const fn started(&mut self, at: Timestamp) {
        self.started = at;
    }

    /// Writes how the engine is set up. The first record of a journal.
    pub(super) fn write_header(&mut self, config: &EngineConfig) -> anyhow::Result<()> {
        let config = serde_json::to_vec(config)?;
        self.started = wall();
        let started = self.started;
        if let Some(tables) = &mut self.tables {
            tables.begin(started, &self.engine);
        }
        self.journal.append(&Record::Header { version: HEADER_VERSION, config, started })?;
        self.journal.sync()?;
        Ok(())
    }

    /// Stamps, journals and takes an event. Orders it caused wait in [`Self::take_order`]; while one does, what else there
    /// is to tell waits for [`Self::settle`].
    pub(super) fn step(&mut self, event: Event) -> Result<(), JournalError> {
        if self.untold.is_some() {
            self.settle();
        }
        self.seq = self.seq.saturating_add(1);
        let stamped = Stamped { seq: Seq::new(self.seq), at: self.clock.stamp(), event };
        self.journal.append_event(&stamped)?;

        let started = Instant::now();
        let mut probe = Timing::new(&mut self.timers, started);
        self.engine.step_with(&stamped, &mut self.effects, &mut probe);
        let (ended, strategies) = (probe.since, probe.strategies);
        self.timers.record(Stage::Strategy, strategies);
        self.timers.record(Stage::Step, ended.saturating_duration_since(started));
        self.stepped = [started, ended];
        self.untold = Some(stamped);
        let submitted = self.effects.iter().filter_map(|effect| match effect {
            Effect::Submit(order) => Some((**order).clone()),
            _ => None,
        });
        self.orders.extend(submitted);
        if self.orders.is_empty() {
            self.settle();
        }
        Ok(())
    }

    /// Tells tables, page and log of the last event and what followed: after its orders are on their way, as none of that
    /// is worth their time.
    pub(super) fn settle(&mut self) {
        self.timers.settle();
        let Some(stamped) = self.untold.take() else { return };
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(tables) = &mut self.tables {
            tables.step(&stamped, &effects, &self.engine);
        }
        for effect in effects.drain(..) {
            self.take_effect(&effect);
        }
        self.effects = effects;
    }

    fn take_effect(&mut self, effect: &Effect) {
        self.digest.add(effect);
        self.publisher.note(effect, &self.engine);
        match effect {
            Effect::Alert(Alert::LedgerMismatch { .. }) => {
                self.mismatched = true;
                self.log_alert(effect);
            }
            Effect::Alert(Alert::Account { state, .. }) if !state.is_safe() => {
                self.mismatched = true;
            }
            // Whoever finds these tells of them, with the account.
            Effect::Alert(Alert::Account { .. } | Alert::Explained { .. }) => {}
            Effect::Mode { mode, cause } => {
                tracing::warn!(mode = mode.name(), ?cause, "mode changed")
            }
            Effect::Alert(_) => self.log_alert(effect),
            Effect::Standing { id, turn } => {
                tracing::info!(standing = %id, ?turn, "standing order");
            }
            _ => {}
        }
    }

    fn log_alert(&self, effect: &Effect) {
        let Effect::Alert(alert) = effect else { return };
        match alert {
            Alert::LedgerMismatch { mint, ledger, chain } => {
                let mint = self.engine.market().mint(*mint).map(|m| m.spec.address.to_string());
                tracing::error!(
                    mint = mint.unwrap_or_default(),
                    ledger = ledger.get(),
                    chain = chain.get(),
                    "ledger and chain differ: trading halts until a person has looked"
                );
            }
            Alert::Drift { kind, fill } => {
                let fill = fill.map(|(pool, quoted, got)| {
                    let address = self.engine.market().pool(pool).map(|p| p.spec.address);
                    format!(
                        "pool {} gave {got} where {quoted} was quoted",
                        address.unwrap_or_default()
                    )
                });
                tracing::error!(
                    exchange = kind.name(),
                    fill =
                        fill.unwrap_or_else(
                            || "an account or a simulated swap is not what it was".to_owned()
                        ),
                    "the program has changed: none of its pools is traded any more; look for a newer version of this \
                     one"
                );
            }
            Alert::UnpricedExit { order, mint } => {
                let mint = self.engine.market().mint(*mint).map(|m| m.spec.symbol.to_string());
                tracing::warn!(
                    %order,
                    mint = mint.unwrap_or_default(),
                    "sold without an independent price: only our own quote bounds it"
                );
            }
            Alert::StrategyStopped { strategy, cause } => {
                let name = self.engine.strategy_name(*strategy);
                tracing::warn!(strategy = name, ?cause, "strategy stopped");
            }
            other => tracing::warn!(alert = ?other, "unexpected event"),
        }
    }

    /// When the engine's last step began and ended.
    pub(super) const fn stepped(&self) -> [Instant; 2] {
        self.stepped
    }

    /// Whether the ledger was found to differ from the chain since the start, or an account of ours is in other hands.
    pub(super) const fn mismatched(&self) -> bool {
        self.mismatched
    }

    /// The oldest order that waits to be carried out.
    pub(super) fn take_order(&mut self) -> Option<Order> {
        (!self.orders.is_empty()).then(|| self.orders.remove(0))
    }

    /// Writes a signed transaction down; durable after [`Self::sync`].
    pub(super) fn write_wire(
        &mut self,
        order: OrderId,
        signature: &Signature,
        last_valid: BlockHeight,
        bytes: &[u8],
    ) -> Result<(), JournalError> {
        self.journal.append_wire(order, signature, last_valid, bytes).map(drop)
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        let started = Instant::now();
        let done = self.journal.sync();
        self.timers.record(Stage::Journal, started.elapsed());
        done
    }

    /// Hands all that was written to the system, so that the end of this process does not lose it.
    pub(super) fn flush(&mut self) -> Result<(), JournalError> {
        self.journal.flush()
    }

    /// Writes what waits, after a failed write.
    pub(super) fn recover(&mut self) -> Result<(), JournalError> {
        self.journal.recover()
    }

    /// Another way into the tables.
    pub(super) fn tables(&self) -> Option<sniper_store::tables::StoreHandle> {
        self.tables.as_ref().map(Tables::handle)
    }

    /// Writes down what the engine is now, for a replay to compare with.
    pub(super) fn checkpoint(&mut self) -> Result<(), JournalError> {
        self.settle();
        let record = Record::Checkpoint {
            seq: Seq::new(self.seq),
            effects: self.digest.value(),
            state: self.engine.state_digest(),
        };
        self.journal.append(&record)?;
        self.journal.sync()
    }

    /// Where the journal's segment is full: begins the next one, with all that a restart from here needs, and has the
    /// state kept beside it. `wires` are those of the orders in flight. For a quiet moment: it waits for the disk.
    pub(super) fn begin_segment(&mut self, wires: &[Prepared]) -> Result<(), JournalError> {
        match self.journal.kept() {
            Ok(None) => {}
            Ok(Some(Kept { snapshot, deleted })) => {
                tracing::info!(?snapshot, ?deleted, "the journal's state was kept");
            }
            Err(error) => {
                tracing::warn!(%error, "the journal's state was not kept; it is tried again")
            }
        }
        if !self.journal.is_full() {
            return Ok(());
        }
        let _timed = crate::timed_scope!("begin_segment");
        self.settle();
        match self.journal.begin_segment() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if !self.journal.is_stalled() => {
                tracing::warn!(%error, "the journal goes on in the segment that it has");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let (effects, counted) = (self.digest.value(), self.digest.values());
        let digest = self.engine.state_digest();
        let seq = Seq::new(self.seq);
        let (version, started) = (HEADER_VERSION, self.started);
        let config = serde_json::to_vec(self.engine.config()).unwrap_or_default();
        self.journal.append(&Record::Opening { seq, effects, counted, state: digest })?;
        self.journal.append(&Record::Header { version, config: config.clone(), started })?;
        for wire in wires {
            let (signature, last_valid) = (wire.signature(), wire.last_valid());
            self.journal.append_wire(wire.order(), &signature, last_valid, wire.bytes())?;
        }
        self.digest = Digest::resumed(effects, counted);
        self.journal.flush()?;
        pass(Point::RotateRecords);
        self.journal.sync()?;
        let counts = self.tables.as_ref().map(Tables::counts).unwrap_or_default();
        let state = self.engine.save();
        self.journal.keep(Snapshot {
            version,
            config,
            started,
            effects,
            counted,
            digest,
            state,
            counts,
            ..Snapshot::default()
        });
        Ok(())
    }

    /// What time it is for the engine.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The engine, to look at.
    pub(super) const fn engine(&self) -> &MultiStrategyEngine {
        &self.engine
    }

    /// The journal, to look at.
    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Events taken so far, those replayed included.
    pub(super) const fn events(&self) -> u64 {
        self.seq
    }

    /// Rows the tables had to leave out.
    pub(super) fn rows_dropped(&self) -> u64 {
        self.tables.as_ref().map_or(0, Tables::dropped)
    }

    /// Publishes the newest picture.
    pub(super) fn publish(
        &mut self,
        health: crate::telemetry::HealthView,
        endpoints: Vec<crate::telemetry::EndpointView>,
    ) {
        self.settle();
        let queries = self.tables.as_ref().map_or(0, Tables::queries);
        let around = Around { health, endpoints, queries };
        self.publisher.publish(&self.engine, &mut self.timers, around);
    }

    /// Has the times of the stages compared with what is expected of them, and tells what has changed.
    pub(super) fn look_for_regressions(&mut self) {
        let Some(sentinel) = &mut self.timers.sentinel else { return };
        for finding in sentinel.look() {
            let Finding { stage, change, is_budget } = finding;
            let stage = stage.as_str();
            match change {
                Some(Change { ratio, low, high }) => tracing::warn!(
                    stage,
                    ratio,
                    low,
                    high,
                    is_budget,
                    "this stage takes more than a tenth longer than expected, and not by chance"
                ),
                None => tracing::info!(stage, "this stage takes no longer than expected again"),
            }
            self.publisher.note_finding(&finding);
        }
    }

    /// Closes journal and tables.
    pub(super) fn close(mut self) -> anyhow::Result<(MultiStrategyEngine, StageTimers, Publisher)> {
        self.settle();
        self.journal.close()?;
        if let Some(tables) = self.tables {
            tables.close()?;
        }
        Ok((self.engine, self.timers, self.publisher))
    }
}

/// Brings the engine's step a clock: one look at it for each part.
struct Timing<'a> {
    timers: RefCell<&'a mut StageTimers>,
    /// The end of the last part.
    since: Instant,
    /// What all strategies took.
    strategies: Duration,
    /// When each kind of task began.
    began: [Cell<Instant>; Task::COUNT],
}

impl<'a> Timing<'a> {
    fn new(timers: &'a mut StageTimers, since: Instant) -> Self {
        let began = std::array::from_fn(|_| Cell::new(since));
        Self { timers: RefCell::new(timers), since, strategies: Duration::ZERO, began }
    }
}

impl Probe for Timing<'_> {
    fn lap(&mut self, part: Part) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        self.since = now;
        let timers = self.timers.get_mut();
        match part {
            Part::Market => timers.record(Stage::Market, took),
            Part::Portfolio => {}
            Part::Strategy(id) => {
                self.strategies += took;
                timers.record_for(Stage::Strategy, id, took);
            }
            Part::Review(id) => timers.record_for(Stage::Risk, id, took),
        }
    }

    fn watch(&self) -> Option<&dyn Watch> {
        Some(self)
    }
}

impl Watch for Timing<'_> {
    fn begin(&self, task: Task) {
        if let Some(began) = self.began.get(task as usize) {
            began.set(Instant::now());
        }
    }

    fn end(&self, task: Task, strategy: StrategyId) {
        let Some(began) = self.began.get(task as usize) else { return };
        let stage = match task {
            Task::Averages => Stage::SignalMa,
            Task::Sizing => Stage::Sizing,
            Task::Quote => Stage::Quote,
        };
        self.timers.borrow_mut().record_for(stage, strategy, began.get().elapsed());
    }
}
