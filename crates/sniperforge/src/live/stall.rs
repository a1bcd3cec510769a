//! A disk that takes no records: nothing new is ordered, orders in flight are followed to their end in memory, and
//! trading goes on once all of it is written.

use std::time::{Duration, Instant};

use sniper_core::event::{Command, Event};
use sniper_core::risk::Mode;
use sniper_store::journal::JournalError;

use super::session::Session;

/// Pause between two tries to write again.
const RETRY: Duration = Duration::from_secs(1);

/// A journal that cannot be written.
pub(super) struct Stall {
    /// Whether trading was allowed before.
    was_running: bool,
    since: Instant,
    tried: Instant,
}

impl Session {
    /// Whether the journal takes records.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// Hands what was written to the system.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.is_stalled() {
            return Ok(());
        }
        let done = self.desk.flush();
        self.written(done)
    }

    /// Writes what the engine is now, where that is due, and goes on in a new segment where this one is full.
    pub(super) fn keep_journal(&mut self, is_due: bool) -> anyhow::Result<()> {
        if self.is_stalled() {
            return Ok(());
        }
        let done = if is_due { self.desk.checkpoint() } else { Ok(()) };
        let done = done.and_then(|()| self.desk.begin_segment(&self.wires));
        self.written(done)
    }

    /// Takes note of a write to the journal. One that a later try may mend ends no run.
    pub(super) fn written(&mut self, done: Result<(), JournalError>) -> anyhow::Result<()> {
        match done {
            Err(error) if self.desk.journal().is_stalled() => self.halt_for_the_disk(&error),
            done => Ok(done?),
        }
    }

    fn halt_for_the_disk(&mut self, error: &JournalError) -> anyhow::Result<()> {
        if self.stall.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        let mode = self.desk.engine().mode();
        self.stall = Some(Stall { was_running: mode == Mode::Run, since: now, tried: now });
        tracing::error!(
            %error,
            "ALERT: nothing new is ordered until the journal can be written; orders in flight are followed in memory"
        );
        if mode < Mode::Halt {
            self.set_mode(Mode::Halt)?;
        }
        self.desk.publisher.halted_by_the_disk();
        Ok(())
    }

    /// Tries now and then to write what waits. Where it succeeds, trading goes on as it was.
    pub(super) fn unstall(&mut self) -> anyhow::Result<()> {
        let Some(stall) = &mut self.stall else { return Ok(()) };
        if stall.tried.elapsed() < RETRY {
            return Ok(());
        }
        stall.tried = Instant::now();
        match self.desk.recover() {
            Ok(()) => {}
            Err(error @ JournalError::Lost { .. }) => return Err(error.into()),
            Err(_) => return Ok(()),
        }
        let Some(stall) = self.stall.take() else { return Ok(()) };
        tracing::warn!(
            seconds = stall.since.elapsed().as_secs(),
            "all that waited is in the journal and durable"
        );
        // What else may have halted since is judged again at the next valuation; KILL stays, and so does a difference
        // to the chain.
        let still = self.desk.engine().mode() == Mode::Halt && !self.mismatched();
        if stall.was_running && still { self.set_mode(Mode::Run) } else { Ok(()) }
    }

    fn set_mode(&mut self, mode: Mode) -> anyhow::Result<()> {
        self.step(Event::Command(Command::SetMode { mode, clear_kill: false }), Instant::now())
    }
}
