//! The rule against regressions while the engine runs.
//!
//! It is that of `profile` ([`super::compare()`]): a stage's times are cut into blocks of [`EACH`], the last [`BLOCKS`]
//! are compared with the baseline's. What was measured on this machine is compared where there is such a thing;
//! elsewhere budgets alone are. The thread that trades only takes notes; when these look bad, a thread of its own measures
//! the floor, works out the interval, and ends.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::baselines::{Baselines, figures};
use super::compare::{BLOCKS_MIN, Change, TOLERANCE, against_bound, compare, median, middle};
use super::floor::{Against, Floor, FloorTimes};
use super::stage::{Stage, shown};

/// Times of a block.
const EACH: usize = 32;
/// Blocks that are remembered.
const BLOCKS: usize = 24;
/// The floor is looked at so often for a verdict.
const FLOORS: usize = 15;
/// A stage that is not watched.
const UNWATCHED: u8 = u8::MAX;

/// What a stage is held against.
#[derive(Clone, Debug)]
enum Expected {
    /// Blocks of a run on this machine, in nanoseconds, and as multiples of its floor.
    Measured { ns: f64, figures: Vec<f64> },
    /// A bound in nanoseconds.
    Budget(f64),
}

#[derive(Debug)]
struct Watched {
    stage: Stage,
    expected: Expected,
    times: [f32; EACH],
    filled: usize,
    /// The middles of the last blocks in nanoseconds, in a ring.
    blocks: Vec<f32>,
    next: usize,
    is_raised: bool,
}

/// What has become of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) stage: Stage,
    /// How it compares; none where it is as expected again.
    pub(crate) change: Option<Change>,
    /// It was held against a budget, not against a measurement.
    pub(crate) is_budget: bool,
}

/// Watches the stages of a run; see the [module](self).
#[derive(Debug)]
pub(crate) struct Sentinel {
    index: [u8; Stage::ALL.len()],
    watched: Vec<Watched>,
    verdict: Option<Receiver<Vec<Finding>>>,
    folder: PathBuf,
    floor: fn(&Path) -> Option<FloorTimes>,
}

impl Sentinel {
    /// Watches what the baselines know; none where that is nothing. The floor of the disk is that of `folder`.
    pub(crate) fn new(baselines: &Baselines, folder: &Path) -> Option<Self> {
        let measured = baselines.comparable().filter(|measured| measured.machine.is_this());
        let expected = |stage: Stage| {
            // How long a block takes is the chain's, and no chain is another.
            if Against::of(stage) == Against::Clock {
                return None;
            }
            let known = measured.and_then(|m| Some((m.stages.get(stage.as_str())?, &m.floors)));
            if let Some((known, floors)) = known {
                let figures = figures(stage, &known.blocks_ns, floors);
                let mut ns: Vec<f64> = known.blocks_ns.iter().flatten().copied().collect();
                if figures.len() >= BLOCKS_MIN {
                    return Some(Expected::Measured { ns: middle(&mut ns), figures });
                }
            }
            baselines.budget_ms(stage).map(|ms| Expected::Budget(ms * 1e6))
        };
        let mut index = [UNWATCHED; Stage::ALL.len()];
        let mut watched = Vec::new();
        for (stage, place) in Stage::ALL.into_iter().zip(&mut index) {
            let Some(expected) = expected(stage) else { continue };
            *place = u8::try_from(watched.len()).unwrap_or(UNWATCHED);
            watched.push(Watched::new(stage, expected));
        }
        let folder = folder.to_owned();
        let floor = measured_floor;
        (!watched.is_empty()).then_some(Self { index, watched, verdict: None, folder, floor })
    }

    /// Takes note of a time.
    pub(crate) fn timed(&mut self, stage: Stage, ns: u64) {
        let at = self.index.get(stage as usize).copied().unwrap_or(UNWATCHED);
        if let Some(watched) = self.watched.get_mut(usize::from(at)) {
            watched.timed(ns);
        }
    }

    /// Looks at the notes, now and then. What has changed since the last look comes out; a verdict takes until a later one.
    pub(crate) fn look(&mut self) -> Vec<Finding> {
        match self.verdict.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return Vec::new(),
            Some(Ok(found)) => {
                self.verdict = None;
                return self.raise(&found);
            }
            // It could not measure: the next look tries again.
            Some(Err(TryRecvError::Disconnected)) => self.verdict = None,
            None => {}
        }
        let (suspects, cleared): (Vec<&mut Watched>, Vec<&mut Watched>) = self
            .watched
            .iter_mut()
            .filter(|w| w.blocks.len() >= BLOCKS_MIN)
            .partition(|w| w.looks_bad());
        let cleared = cleared.into_iter().filter(|w| w.is_raised).map(Watched::clear).collect();
        let asked: Vec<_> = suspects.into_iter().map(|w| w.ask()).collect();
        if !asked.is_empty() {
            let (told, verdict) = sync_channel(1);
            let (folder, floor) = (self.folder.clone(), self.floor);
            let judge = std::thread::Builder::new().name("regression".to_owned());
            // Without a thread there is no verdict this time.
            let judged = judge.spawn(move || told.send(judge_all(&asked, floor(&folder))).ok());
            self.verdict = judged.is_ok().then_some(verdict);
        }
        cleared
    }

    /// Keeps what is new of a verdict.
    fn raise(&mut self, found: &[Finding]) -> Vec<Finding> {
        let mut news = Vec::new();
        for finding in found {
            let watched = self.watched.iter_mut().find(|w| w.stage == finding.stage);
            if let Some(watched) = watched.filter(|w| w.is_raised != finding.change.is_some()) {
                watched.is_raised = finding.change.is_some();
                news.push(*finding);
            }
        }
        news
    }
}

impl Watched {
    fn new(stage: Stage, expected: Expected) -> Self {
        let (times, blocks) = ([0.0; EACH], Vec::with_capacity(BLOCKS));
        Self { stage, expected, times, filled: 0, blocks, next: 0, is_raised: false }
    }

    fn timed(&mut self, ns: u64) {
        if let Some(time) = self.times.get_mut(self.filled) {
            *time = narrow(shown(ns));
            self.filled += 1;
        }
        if self.filled < EACH {
            return;
        }
        self.filled = 0;
        let block = narrow(middle(&mut self.times.map(f64::from)));
        if self.blocks.len() < BLOCKS {
            self.blocks.push(block);
        } else if let Some(oldest) = self.blocks.get_mut(self.next) {
            *oldest = block;
        }
        self.next = (self.next + 1) % BLOCKS;
    }

    fn level(&self) -> f64 {
        middle(&mut self.blocks.iter().map(|ns| f64::from(*ns)).collect::<Vec<_>>())
    }

    /// Worth a verdict: the machine may be slow as a whole.
    fn looks_bad(&self) -> bool {
        let expected = match &self.expected {
            Expected::Measured { ns, .. } => *ns,
            Expected::Budget(ns) => *ns,
        };
        self.level() > TOLERANCE * expected
    }

    fn clear(&mut self) -> Finding {
        self.is_raised = false;
        let is_budget = matches!(self.expected, Expected::Budget(_));
        Finding { stage: self.stage, change: None, is_budget }
    }

    fn ask(&self) -> Asked {
        let blocks = self.blocks.iter().map(|ns| f64::from(*ns)).collect();
        Asked { stage: self.stage, expected: self.expected.clone(), blocks }
    }
}

/// A stage that waits for its verdict.
struct Asked {
    stage: Stage,
    expected: Expected,
    blocks: Vec<f64>,
}

/// The floor now: the middle of several looks; none where it cannot be measured.
fn measured_floor(folder: &Path) -> Option<FloorTimes> {
    let mut floor = Floor::new(folder).ok()?;
    let times: Vec<FloorTimes> =
        (0..FLOORS).map(|_| floor.measure().ok()).collect::<Option<_>>()?;
    let typical =
        |of: fn(&FloorTimes) -> f64| median(&mut times.iter().map(of).collect::<Vec<_>>());
    Some(FloorTimes { compute_ns: typical(|t| t.compute_ns), disk_ns: typical(|t| t.disk_ns) })
}

/// The verdicts; none of what was measured where the floor cannot be.
fn judge_all(asked: &[Asked], floor: Option<FloorTimes>) -> Vec<Finding> {
    let judge = |asked: &Asked| {
        let (change, is_budget) = match &asked.expected {
            Expected::Budget(ns) => (against_bound(*ns, &asked.blocks)?, true),
            Expected::Measured { figures, .. } => {
                let unit = floor?.unit(Against::of(asked.stage));
                let now: Vec<f64> = asked.blocks.iter().map(|ns| ns / unit).collect();
                (compare(figures, &now)?, false)
            }
        };
        let change = change.is_regression().then_some(change);
        Some(Finding { stage: asked.stage, change, is_budget })
    };
    asked.iter().filter_map(judge).collect()
}

/// For the notes: seven digits of a time are more than it is good for.
#[expect(clippy::cast_possible_truncation, reason = "a time of seven digits")]
const fn narrow(ns: f64) -> f32 {
    ns as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Machine;
    use crate::telemetry::baselines::{Measured, MeasuredStage};
    use std::time::{Duration, Instant};

    /// Baselines of this machine: signing takes so long, give or take a little.
    fn baselines(ns: f64) -> Baselines {
        let floors = vec![FloorTimes { compute_ns: 1.0, disk_ns: 1.0 }; 20];
        let blocks_ns = (0..20).map(|i| Some(ns + f64::from(i % 5) * ns / 100.0)).collect();
        let stage = MeasuredStage {
            count: 100,
            mean_ms: 0.4,
            p50_ms: 0.4,
            p95_ms: 0.4,
            p99_ms: 0.4,
            blocks_ns,
        };
        let measured = Measured {
            date: String::new(),
            machine: Machine::this(),
            iterations: 100,
            slot_ms: 100,
            floors,
            stages: [(Stage::Sign.as_str().to_owned(), stage)].into(),
        };
        Baselines { measured: Some(measured), ..Baselines::load(None).unwrap() }
    }

    /// A sentinel on a machine whose floor is so many times that of the baseline.
    fn sentinel(baselines: &Baselines, floor: fn(&Path) -> Option<FloorTimes>) -> Sentinel {
        let sentinel = Sentinel::new(baselines, &std::env::temp_dir()).unwrap();
        Sentinel { floor, ..sentinel }
    }

    fn same(_: &Path) -> Option<FloorTimes> {
        Some(FloorTimes { compute_ns: 1.0, disk_ns: 1.0 })
    }

    fn slower(_: &Path) -> Option<FloorTimes> {
        Some(FloorTimes { compute_ns: 1.25, disk_ns: 1.25 })
    }

    fn until_verdict(sentinel: &mut Sentinel) -> Vec<Finding> {
        let begun = Instant::now();
        loop {
            let found = sentinel.look();
            if !found.is_empty() || begun.elapsed() > Duration::from_secs(20) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn run(sentinel: &mut Sentinel, stage: Stage, ns: u64, times: u64) {
        (0..times).for_each(|nth| sentinel.timed(stage, ns + nth * 7_919 % (ns / 20)));
    }

    #[test]
    fn a_stage_that_has_become_a_fifth_slower_is_told_once_and_so_is_its_recovery() {
        let mut sentinel = sentinel(&baselines(400_000.0), same);
        run(&mut sentinel, Stage::Sign, 395_000, 1_000);
        assert!(sentinel.look().is_empty() && sentinel.verdict.is_none(), "as it was");
        run(&mut sentinel, Stage::Sign, 490_000, 1_000);
        let found = until_verdict(&mut sentinel);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].stage == Stage::Sign && !found[0].is_budget);
        assert!(found[0].change.unwrap().ratio > 1.15, "{found:?}");
        // It stays so: nothing new.
        assert!(sentinel.look().is_empty());
        while sentinel.verdict.is_some() {
            assert!(sentinel.look().is_empty());
        }
        run(&mut sentinel, Stage::Sign, 395_000, 1_000);
        let cleared = until_verdict(&mut sentinel);
        assert_eq!(cleared.iter().map(|f| f.change).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn a_machine_that_is_slower_as_a_whole_and_the_chains_own_time_are_no_regression() {
        let mut sentinel = sentinel(&baselines(400_000.0), slower);
        run(&mut sentinel, Stage::Sign, 490_000, 1_000);
        assert!(sentinel.look().is_empty() && sentinel.verdict.is_some(), "it looks bad");
        let found = sentinel.verdict.take().unwrap().recv().unwrap();
        assert!(found.len() == 1 && found[0].change.is_none(), "{found:?}");
        run(&mut sentinel, Stage::FullTrade, 900_000_000, 1_000);
        assert!(sentinel.watched.iter().all(|w| w.stage != Stage::FullTrade));
    }

    #[test]
    fn a_budget_is_watched_where_nothing_was_measured() {
        let mut sentinel =
            Sentinel::new(&Baselines::of_engine(None).unwrap(), &std::env::temp_dir()).unwrap();
        run(&mut sentinel, Stage::Risk, 2_000, 1_000);
        assert!(sentinel.look().is_empty());
        run(&mut sentinel, Stage::Risk, 7_000_000, 1_000);
        let found = until_verdict(&mut sentinel);
        assert!(found.len() == 1 && found[0].is_budget, "{found:?}");
    }

    #[test]
    fn a_few_slow_times_are_no_regression() {
        let mut sentinel = sentinel(&baselines(400_000.0), same);
        for nth in 0..2_000_u64 {
            sentinel.timed(Stage::Sign, if nth % 10 == 0 { 90_000_000 } else { 400_000 });
        }
        assert!(sentinel.look().is_empty() && sentinel.verdict.is_none());
    }
}
