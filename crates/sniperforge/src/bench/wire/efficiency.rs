//! How much of the processor time of a bare reader the engine needs for the same notices.
//!
//! The engine's side is the session of [`super::run`] without the strategy that orders: feed, router, market, candles, four
//! strategies, journal. The bare reader takes the frame off its socket, parses it and decodes the account, as anyone must who
//! wants to look at it. Both run on the same processor, by turns, and are told the same notices, one by one at their times:
//! four fifths of what the engine can take at most, as its own time for a notice says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::node::{Shared, lock};
use super::{ENGINE_ON, HasEnded, Stage, Wires, beside_engine, floor, on_processor};
use crate::telemetry::stage::shown;

/// Of what would keep the engine busy without a pause.
const LOAD: f64 = 0.8;
/// Notices a second at first, when nothing is known of the engine.
const GENTLY: f64 = 5_000.0;
/// More than this the node's own processor cannot tell one by one.
const RATE_MAX: f64 = 150_000.0;
/// How long each is told notices at a time, and what it is given to read the last of them.
const TURN: Duration = Duration::from_millis(150);
const REST: Duration = Duration::from_millis(20);
/// States of the pool that are told in turn.
const STATES: usize = 64;

/// What was measured.
pub(crate) struct Efficiency {
    /// The bare reader's nanoseconds a notice, turn by turn.
    pub bare: Vec<f64>,
    /// The engine's.
    pub own: Vec<f64>,
    /// Notices a second.
    pub rate: f64,
    /// Share of the notices that made no event, since a newer one of the same account had come.
    pub merged: f64,
    /// Both had a processor that the node did not share.
    pub apart: bool,
}

/// Measures for so long, with the journal in a folder below `parent`.
///
/// # Errors
///
/// When the engine does not start, ends before, or something cannot be written.
pub(crate) fn efficiency(parent: &Path, span: Duration) -> anyhow::Result<Efficiency> {
    let prepare = async |_: &Path| {
        let (bare, bare_thread) = open_bare().await?;
        // What runs now is not the engine.
        let known: BTreeSet<i32> = cpu_times()?.into_keys().collect();
        Ok((bare, bare_thread, known))
    };
    let drive = async |stage: Stage, prepared, has_ended: HasEnded<'_>| {
        let (bare, bare_thread, known) = prepared;
        let Stage { shared, wires, apart } = stage;
        wires.begin(&shared, has_ended).await?;
        let mut driver = Driver { wires, bare, bare_thread, known, told: 0, states: 0 };
        let taken = driver.drive(&shared, span).await?;
        Ok((Efficiency { apart, ..taken }, driver.told))
    };
    let ((taken, told), measured) = beside_engine(parent, false, prepare, drive)?;
    let events = measured.summary.events;
    let merged = (1.0 - shown(events) / shown(told.max(1))).max(0.0);
    Ok(Efficiency { merged, ..taken })
}

/// The bare reader: where to tell it notices, and its thread's number.
async fn open_bare() -> anyhow::Result<(mpsc::UnboundedSender<String>, i32)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (notices, told) = mpsc::unbounded_channel();
    tokio::spawn(floor::serve_notices(listener, told));
    let (number_in, number) = oneshot::channel();
    let thread = std::thread::Builder::new().name("bare".to_owned()).spawn(move || {
        on_processor(ENGINE_ON);
        number_in.send(rustix::thread::gettid().as_raw_nonzero().get()).ok();
        floor::listen(address)
    });
    drop(thread.context("start the bare reader")?);
    Ok((notices, number.await.context("start the bare reader")?))
}

/// Nanoseconds on a processor of every thread of this process, by its number, as the kernel keeps them
/// (<https://docs.kernel.org/scheduler/sched-stats.html>).
fn cpu_times() -> anyhow::Result<BTreeMap<i32, u64>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").context("list this process's threads")? {
        let path = entry.context("list this process's threads")?.path();
        // A thread that has just ended has no times.
        let Ok(text) = std::fs::read_to_string(path.join("schedstat")) else { continue };
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.parse().ok()).context("read a thread's number")?;
        let ns = text.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok());
        all.insert(
            number,
            ns.context("this kernel keeps no times of threads (CONFIG_SCHED_INFO)")?,
        );
    }
    Ok(all)
}

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Engine,
    Bare,
}

struct Driver {
    wires: Wires,
    bare: mpsc::UnboundedSender<String>,
    bare_thread: i32,
    /// Threads that are not the engine's.
    known: BTreeSet<i32>,
    /// Notices that the engine was told.
    told: u64,
    states: usize,
}

impl Driver {
    async fn drive(&mut self, shared: &Shared, span: Duration) -> anyhow::Result<Efficiency> {
        let states = states(shared)?;
        let mut rate = GENTLY;
        // A busy engine finds more to do each time that it wakes, so what it takes is asked at the rate that follows from it.
        for _ in 0..3 {
            let own = self.turn(Reader::Engine, rate, &states, shared).await?;
            rate = (LOAD * 1e9 / own).min(RATE_MAX);
        }
        let (mut bare, mut own) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while own.len() < 20 || begun.elapsed() < span {
            own.push(self.turn(Reader::Engine, rate, &states, shared).await?);
            bare.push(self.turn(Reader::Bare, rate, &states, shared).await?);
        }
        Ok(Efficiency { bare, own, rate, merged: 0.0, apart: false })
    }

    /// Tells one of them notices for a while. Gives its nanoseconds on the processor for each.
    async fn turn(
        &mut self,
        reader: Reader,
        rate: f64,
        states: &[Notice],
        shared: &Shared,
    ) -> anyhow::Result<f64> {
        self.wires.slot(shared)?;
        sleep(REST).await;
        let slot = lock(shared).slot;
        let before = cpu_times()?;
        let (begun, mut count) = (Instant::now(), 0_u32);
        let gap = Duration::from_secs_f64(1.0 / rate);
        while begun.elapsed() < TURN {
            // Each at its time, whatever became of those before it; the node's sockets are served meanwhile.
            while begun.elapsed() < gap * count {
                yield_now().await;
            }
            let notice = states.get(self.states % states.len()).context("no state to tell")?;
            self.states += 1;
            let notice = notice.at(slot);
            match reader {
                Reader::Engine => self.wires.tell(notice)?,
                Reader::Bare => self.bare.send(notice).ok().context("the bare reader has ended")?,
            }
            count += 1;
            yield_now().await;
        }
        sleep(REST).await;
        let after = cpu_times()?;
        let is_asked = |number: &i32| match reader {
            Reader::Engine => !self.known.contains(number),
            Reader::Bare => *number == self.bare_thread,
        };
        let spent = after.iter().filter(|(number, _)| is_asked(number));
        let spent = spent.map(|(number, ns)| ns.saturating_sub(*before.get(number).unwrap_or(ns)));
        if reader == Reader::Engine {
            self.told += u64::from(count);
        }
        Ok(shown(spent.sum::<u64>()) / f64::from(count.max(1)))
    }
}

/// A notice without its slot.
struct Notice {
    before: String,
    after: String,
}

impl Notice {
    fn new(text: &str) -> anyhow::Result<Self> {
        const SLOT: &str = "\"slot\":";
        let at = text.find(SLOT).context("a notice tells no slot")? + SLOT.len();
        let (before, rest) = text.split_at(at);
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    fn at(&self, slot: u64) -> String {
        format!("{}{slot}{}", self.before, self.after)
    }
}

/// The pool's accounts in some states, in the order in which they are told.
fn states(shared: &Shared) -> anyhow::Result<Vec<Notice>> {
    let mut chain = lock(shared);
    let mut all = Vec::new();
    for _ in 0..STATES {
        for account in chain.swap()? {
            all.push(Notice::new(&chain.notice(&account)?)?);
        }
    }
    Ok(all)
}
