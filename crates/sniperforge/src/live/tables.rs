//! The tables beside the journal: written by a thread of their own, rebuilt by every replay.

use std::path::Path;
use std::sync::Arc;

use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Alert, Effect, Stamped};
use sniper_core::ids::{MintId, StrategyId};
use sniper_core::units::Timestamp;
use sniper_store::tables::{
    LogLevel, LogRow, Projector, RunId, Store, StoreHandle, StoreOptions, StoreRow, Timed,
};

use crate::db::FILE;
use crate::telemetry::{LogRing, MetricsCollector};

/// Feeds the tables.
pub(crate) struct Tables {
    store: Store,
    /// There was no database before.
    is_new: bool,
    handle: StoreHandle,
    projector: Option<Projector>,
    mode: &'static str,
    rows: Vec<StoreRow>,
}

impl Tables {
    /// Opens the database in `folder`.
    pub(super) fn open(
        folder: &Path,
        mode: &'static str,
        options: StoreOptions,
        metrics: MetricsCollector,
    ) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let is_new = !path.exists();
        let timed: Timed = Arc::new(move |query, took| metrics.record_query_time(query, took));
        let store = Store::open_timed(path, options, Some(timed))?;
        let handle = store.handle();
        Ok(Self { store, is_new, handle, projector: None, mode, rows: Vec::with_capacity(32) })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.store.path()
    }

    /// Has every further line of the log, for as long as the database is open.
    pub(super) fn take_log(&self, log: &LogRing) {
        let handle = self.handle.clone();
        log.forward(move |line| {
            handle.try_log(|| LogRow {
                at: Timestamp::from_millis(line.t_ms),
                level: level(line.level),
                target: line.target.into(),
                text: line.text.clone(),
            });
        });
    }

    /// Whether only a replay of everything fills them.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// What the projector has counted, for a snapshot.
    pub(super) fn counts(&self) -> Vec<u8> {
        self.projector.as_ref().map(Projector::save).unwrap_or_default()
    }

    /// Begins, or goes on with, the run whose journal started then.
    pub(super) fn begin(&mut self, started: Timestamp, engine: &MultiStrategyEngine) {
        self.go_on(started, engine, &[]);
    }

    /// As [`Self::begin`], from what [`Self::counts`] said at a snapshot.
    pub(super) fn go_on(
        &mut self,
        started: Timestamp,
        engine: &MultiStrategyEngine,
        counts: &[u8],
    ) {
        let run = RunId::from(started);
        let known = Projector::restore(counts).filter(|known| known.run() == run);
        self.projector = Some(known.unwrap_or_else(|| Projector::new(run)));
        self.rows.push(StoreRow::Run {
            run,
            version: env!("CARGO_PKG_VERSION"),
            mode: self.mode.to_owned(),
        });
        for (id, _) in (0_u8..).map(StrategyId).zip(engine.portfolio().books()) {
            let name = engine.strategy_name(id).to_owned();
            self.rows.push(StoreRow::Strategy { run, strategy: id, name });
        }
        self.hand_over();
    }

    /// Takes a step of the engine: live or replayed, the same rows.
    pub(super) fn step(
        &mut self,
        input: &Stamped,
        effects: &[Effect],
        engine: &MultiStrategyEngine,
    ) {
        let Some(projector) = &mut self.projector else { return };
        projector.step(input, effects, &mut self.rows);
        for effect in effects {
            let order = match effect {
                Effect::Closed(closed) => Some(&closed.order),
                Effect::Alert(Alert::RolledBack { order, .. }) => {
                    engine.orders().get(*order).map(|open| &open.order)
                }
                _ => None,
            };
            if let Some(order) = order {
                let run = projector.run();
                for mint in [order.mint_in(), order.mint_out()] {
                    position(run, engine, order.strategy(), mint, input.at, &mut self.rows);
                }
            }
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        // What does not fit is counted by the store and shown: the journal has it all.
        for row in self.rows.drain(..) {
            self.handle.try_send(row);
        }
    }

    /// Another way in, for rows that are no effect of the engine.
    pub(super) fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Rows that were not written.
    pub(super) fn dropped(&self) -> u64 {
        let status = self.handle.status();
        status.dropped.saturating_add(status.failed)
    }

    /// Rows and transactions so far.
    pub(super) fn queries(&self) -> u64 {
        let status = self.handle.status();
        status.written.saturating_add(status.transactions)
    }

    /// Writes what is left and closes the database.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        if let Some(projector) = &mut self.projector {
            projector.counts(&mut self.rows);
        }
        self.hand_over();
        drop(self.handle);
        let status = self.store.close()?;
        if status.dropped > 0 || status.failed > 0 {
            tracing::warn!(
                dropped = status.dropped,
                failed = status.failed,
                cause = status.last_error.unwrap_or_default(),
                "rows are missing in the tables; the journal has them, and the next start writes them"
            );
        }
        Ok(())
    }
}

fn level(name: &str) -> LogLevel {
    let known = LogLevel::ALL.into_iter().find(|level| level.as_str() == name);
    known.unwrap_or(LogLevel::Info)
}

fn position(
    run: RunId,
    engine: &MultiStrategyEngine,
    strategy: StrategyId,
    mint: MintId,
    at: Timestamp,
    rows: &mut Vec<StoreRow>,
) {
    if engine.market().is_usd(mint) {
        return;
    }
    let held = engine.portfolio().book(strategy).and_then(|book| book.position(mint)).copied();
    let held = held.unwrap_or_default();
    rows.push(StoreRow::Position {
        run,
        strategy,
        mint,
        amount: held.amount,
        cost: held.cost,
        opened: held.opened,
        at,
    });
}
