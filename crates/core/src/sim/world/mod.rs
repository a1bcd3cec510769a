//! A hostile world: one seed is one chain, its nodes, a disk, a clock, an operator and a process that trades amid them, and
//! all of them fail.
//!
//! # Design
//! The process is the real engine and the real execution machine around the real journal format; its recovery asks the
//! core's own rules for what is owed. Everything else is made up, and drawn from the seed: the same seed gives the same
//! world, event for event. Which faults there are and how often is drawn as well, so that what is rare shows where
//! something else is quiet. After a time of trouble all is healed, no new order is approved, and when every order has come
//! to its final end three checkers that share nothing with the process compare what it believes with what is so:
//!
//! - `audit` watches each approval, signature and send: limits, the kill latch, durable before sent, one signature;
//! - `overseer` holds what standing orders do against what the operator has asked for;
//! - `accountant` counts the chain, the ledger and the journal, each for itself, to the lamport, and replays the journal.
//!
//! [`Bug`]s are planted to prove that they would be found.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    reason = "made-up worlds: what overflows or is out of bounds ends the simulation, never money"
)]

mod accountant;
mod audit;
mod bugs;
mod chain;
mod dice;
mod disk;
mod env;
mod node;
mod operator;
mod overseer;
mod plan;
mod process;
mod setting;
mod shrink;
mod start;
mod story;
mod strategies;

use std::collections::BTreeMap;

pub use bugs::Bug;
pub use plan::Fault;
pub use shrink::{Found, shrink};

use crate::event::{Command, Event, MarketEvent};
use crate::execution::{Commitment, Input};
use crate::ids::Signature;
use crate::risk::Mode;
use crate::units::{BlockHeight, Slot, Usd};
use audit::Auditor;
use chain::Chain;
use dice::Dice;
use disk::Disk;
use env::{Ask, Died, Env};
use node::Nodes;
use overseer::Overseer;
use plan::Plan;
use process::{Phase, Process};
use setting::{BONK, POOLS, WSOL};
use story::Story;

/// How a world is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A bug that the process has.
    pub bug: Option<Bug>,
    /// Faults that never strike.
    pub without: Vec<Fault>,
    /// No trouble lasts longer than this, in microseconds.
    pub until: Option<i64>,
    /// Tell the story.
    pub trace: bool,
}

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first law that was broken.
    pub violation: Option<String>,
    /// Events that engines took, replays left out.
    pub events: u64,
    /// Orders approved.
    pub orders: u64,
    /// How often each of [`Fault::ALL`] struck.
    pub faults: Vec<u64>,
    /// Orders of standing orders approved, by kind.
    pub standing: BTreeMap<&'static str, u64>,
    /// Simulated time, in microseconds.
    pub micros: i64,
    /// Hash of all that happened.
    pub hash: u64,
    /// The journal was damaged and therefore refused: there was nothing to compare at the end.
    pub refused: bool,
    /// The story, where it was asked for.
    pub story: Vec<String>,
}

/// Time of a slot, in microseconds.
const SLOT: i64 = 400_000;
const TICK: i64 = 200_000;
/// From the end of trouble on, all must have come to rest within this.
const REST_MAX: i64 = 400_000_000;

enum Task {
    Slot,
    Tick,
    Start,
    /// To the process that asked.
    Answer(u64, Ask),
    /// A notice that was held back.
    Late(u64, Box<Event>),
    Snapshot(u64),
}

struct World {
    env: Env,
    process: Option<Process>,
    /// Which process it is.
    epoch: u64,
    queue: BTreeMap<(i64, u64), Task>,
    turns: u64,
    /// The feed has a gap.
    gap: bool,
    healed: bool,
    /// In which slot all was healed.
    healed_in: u64,
    /// Since when nothing has been open.
    rests: Option<i64>,
    refused: bool,
    events: u64,
    quiet_prices_until: i64,
    /// Luck of the operator's tickets.
    tickets: Dice,
}

/// Lives through the world of a seed.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    let plan = Plan::draw(seed, &options.without, options.until);
    let chain = Chain::new(seed, setting::holdings());
    let env = Env {
        seed,
        bug: options.bug,
        disk: Disk::default(),
        first_slot: chain.slot,
        found: [0; setting::MINTS],
        before: [[0; setting::MINTS]; 2],
        missing: [false; setting::MINTS],
        chain,
        nodes: Nodes::new(seed, &plan),
        story: Story::new(options.trace),
        audit: Auditor::new(start::limits(0)),
        overseer: Overseer::default(),
        dice: Dice::new(seed, 4),
        now: 0,
        skew: 0,
        latch: false,
        die_in: None,
        asks: Vec::new(),
        counts: vec![0; Fault::ALL.len()],
        strictness: 0,
        troubled: plan.clone(),
        plan,
    };
    let mut world = World {
        env,
        process: None,
        epoch: 0,
        queue: BTreeMap::new(),
        turns: 0,
        gap: false,
        healed: false,
        healed_in: 0,
        rests: None,
        refused: false,
        events: 0,
        quiet_prices_until: 0,
        tickets: Dice::new(seed, 7),
    };
    for fault in strategies::faults(seed, &world.env.plan) {
        world.env.struck(fault);
    }
    world.live();
    let World { env, process, refused, events, .. } = world;
    let events = events + process.map_or(0, |process| process.taken());
    Outcome {
        violation: env.audit.violation,
        events,
        orders: env.audit.submitted,
        faults: env.counts,
        standing: env.overseer.kinds,
        micros: env.now,
        hash: env.story.hash(),
        refused,
        story: env.story.lines(),
    }
}

impl World {
    fn at(&mut self, delay: i64, task: Task) {
        self.turns += 1;
        self.queue.insert((self.env.now + delay, self.turns), task);
    }

    fn live(&mut self) {
        self.at(0, Task::Start);
        self.at(SLOT, Task::Slot);
        self.at(TICK, Task::Tick);
        let end = self.env.plan.trouble;
        while let Some(((now, _), task)) = self.queue.pop_first() {
            self.env.now = now;
            self.env.story.now = now;
            if !self.healed && now >= end {
                self.heal();
            }
            match task {
                Task::Slot => self.slot(),
                Task::Tick => self.tick(),
                Task::Start => self.start(),
                Task::Answer(epoch, ask) if epoch == self.epoch => self.answer(ask),
                Task::Late(epoch, event) if epoch == self.epoch => self.feed(*event),
                Task::Snapshot(epoch) if epoch == self.epoch => self.snapshot(),
                Task::Answer(..) | Task::Late(..) | Task::Snapshot(_) => {}
            }
            if self.env.audit.violation.is_some() || self.refused {
                break;
            }
            if self.healed && self.is_at_rest(now) {
                if let Some(process) = &mut self.process {
                    let flushed = process.flush(&mut self.env);
                    self.env
                        .audit
                        .must(flushed.is_ok(), || "a sound disk takes no more".to_owned());
                    accountant::check(process, &mut self.env);
                }
                break;
            }
            if now > end + REST_MAX {
                let open = self.process.as_ref().map(Process::open);
                self.env.audit.must(false, || format!("no rest: still open is {open:?}"));
                break;
            }
        }
        if let Some(violation) = self.env.audit.violation.clone() {
            self.env.story.say("violation", [0; 3], || format!("VIOLATION: {violation}"));
        }
    }

    fn heal(&mut self) {
        self.healed = true;
        self.healed_in = self.env.chain.slot;
        self.env.plan.heal();
        self.env.nodes.heal();
        self.env.latch = false;
        self.env.disk.is_full = false;
        self.env.disk.fails = false;
        self.env.die_in = None;
        self.env.story.say("heal", [0; 3], || "all is healed; nothing new is approved".to_owned());
    }

    /// Nothing has been open for as long as the chain takes to make all final.
    fn is_at_rest(&mut self, now: i64) -> bool {
        let rests = self.process.as_ref().is_some_and(|process| {
            let is_compared = process.compared > self.healed_in;
            process.phase == Phase::Trading && process.is_idle() && is_compared
        });
        if !rests {
            self.rests = None;
            return false;
        }
        let unrooted = i64::try_from(self.env.plan.unrooted).unwrap_or(0);
        now - *self.rests.get_or_insert(now) > (unrooted + 5) * SLOT
    }

    /// Lets the process do something; it may die of it.
    fn with(&mut self, act: impl FnOnce(&mut Process, &mut Env) -> Result<(), Died>) {
        let Some(process) = &mut self.process else { return };
        if let Err(died) = act(process, &mut self.env) {
            return self.bury(died);
        }
        self.pass_on_asks();
    }

    fn pass_on_asks(&mut self) {
        for ask in std::mem::take(&mut self.env.asks) {
            if self.env.strikes(Fault::LostAnswer) {
                continue;
            }
            let mut delay = self.env.dice.between(10_000, 250_000);
            if self.env.strikes(Fault::LateAnswer) {
                delay += self.env.dice.between(500_000, 8_000_000);
            }
            let times = if self.env.strikes(Fault::AnswerTwice) { 2 } else { 1 };
            for nth in 0..times {
                let again = nth * self.env.dice.between(0, 3_000_000);
                self.at(delay + again, Task::Answer(self.epoch, ask));
            }
        }
    }

    /// The process is no more; somebody starts it again.
    fn bury(&mut self, died: Died) {
        self.env
            .story
            .say("died", [died as u64, 0, 0], || format!("the process has died: {died:?}"));
        if let Some(process) = self.process.take() {
            self.events += process.taken();
        }
        self.env.asks.clear();
        self.env.die_in = None;
        self.epoch += 1;
        let is_rotten = self.env.disk.is_rotten;
        match died {
            Died::Damaged | Died::Lost if is_rotten => self.refused = true,
            Died::Damaged | Died::Lost => {
                self.env.audit.must(false, || format!("a whole journal is refused: {died:?}"));
            }
            Died::Unwritable => {
                // Somebody makes room.
                self.env.disk.is_full = false;
                self.env.disk.fails = false;
                self.at(2_000_000, Task::Start);
            }
            Died::Crashed | Died::Killed => {
                if died == Died::Killed && self.env.dice.chance(300) {
                    // A person clears it, in two steps.
                    self.env.latch = false;
                }
                let delay = self.env.dice.between(200_000, 4_000_000);
                self.at(delay, Task::Start);
            }
        }
    }

    fn start(&mut self) {
        if self.env.strikes(Fault::CrashInStart) {
            self.env.die_in = Some(self.env.dice.below(40));
        }
        let started = start::start(&mut self.env);
        self.env.die_in = None;
        match started {
            Ok(process) => {
                let is_rotten = self.env.disk.is_rotten;
                self.env
                    .audit
                    .must(!is_rotten, || "a damaged journal was taken for a whole one".to_owned());
                self.env
                    .story
                    .say("start", [process.seq, 0, 0], || "a process has started".to_owned());
                self.process = Some(process);
                self.gap = false;
                self.pass_on_asks();
                self.at(SLOT, Task::Snapshot(self.epoch));
            }
            Err(died) => self.bury(died),
        }
    }

    fn slot(&mut self) {
        self.at(SLOT, Task::Slot);
        let unix = self.env.unix();
        for fault in self.env.chain.pass(&self.env.plan, unix) {
            self.env.struck(fault);
        }
        if self.env.chain.slot.is_multiple_of(10) {
            for fault in self.env.nodes.turn(&self.env.plan) {
                self.env.struck(fault);
            }
        }
        self.trouble();
        self.operate();
        if self.process.is_some() {
            self.tell_market();
            self.measure();
        }
    }

    /// What strikes the machine, the process and its people.
    fn trouble(&mut self) {
        if self.env.strikes(Fault::PowerFails) {
            for fault in self.env.disk.lose_power(&self.env.plan, &mut self.env.dice) {
                self.env.struck(fault);
            }
            if self.process.is_some() {
                return self.bury(Died::Crashed);
            }
        }
        if self.process.is_some() && self.env.strikes(Fault::Crash) {
            self.env.die_in = Some(self.env.dice.below(60));
        }
        if self.env.strikes(Fault::DiskFull) {
            self.env.disk.is_full = true;
        }
        if self.env.strikes(Fault::SyncFails) {
            self.env.disk.fails = true;
        }
        if self.env.strikes(Fault::ClockJumps) {
            self.env.skew += self.env.dice.between(-30_000_000, 30_000_000);
        }
        if self.env.strikes(Fault::Kill) {
            self.env.latch = true;
        }
        if self.env.strikes(Fault::FeedGap) && !self.gap && self.process.is_some() {
            self.gap = true;
            self.feed(Event::Market(MarketEvent::Feed { whole: false }));
            let delay = self.env.dice.between(400_000, 8_000_000);
            self.at(delay, Task::Snapshot(self.epoch));
        }
        let pauses = self.env.strikes(Fault::Pause);
        let reduces = self.env.strikes(Fault::ReduceOnly);
        let mode = match (pauses, reduces) {
            (true, _) if self.env.dice.chance(500) => Mode::Run,
            (true, _) => Mode::Halt,
            (_, true) => Mode::ReduceOnly,
            _ => return,
        };
        let trades = |process: &Process| {
            process.phase == Phase::Trading && process.engine.mode() != Mode::Kill
        };
        if self.process.as_ref().is_some_and(trades) {
            self.env.audit.wanted(mode);
            if !self.env.is(Bug::IgnorePause) {
                self.with(|process, env| {
                    process.command(env, Command::SetMode { mode, clear_kill: false })
                });
            }
        }
    }

    fn feed(&mut self, event: Event) {
        self.with(|process, env| process.step(env, event));
    }

    /// The feed tells of a block.
    fn tell_market(&mut self) {
        if self.gap {
            return;
        }
        let block = self.env.chain.view(Commitment::Confirmed, 0);
        let (slot, height) = (block.slot, block.height);
        let pools = self.env.chain.holdings(Commitment::Confirmed, 0).pools;
        let nth = usize::try_from(slot % POOLS as u64).unwrap_or(0);
        for event in setting::accounts(nth, &pools[nth], slot) {
            if self.env.strikes(Fault::FeedLoses) {
                continue;
            }
            if self.env.strikes(Fault::FeedDisorder) {
                let delay = self.env.dice.between(10_000, 900_000);
                self.at(delay, Task::Late(self.epoch, Box::new(event)));
                continue;
            }
            if self.env.strikes(Fault::FeedTwice) {
                self.feed(event.clone());
            }
            self.feed(event);
        }
        if slot.is_multiple_of(12) {
            self.tell_prices(&pools);
        }
        let (slot, height) = (Slot::new(slot), BlockHeight::new(height));
        self.feed(Event::Market(MarketEvent::Slot { slot, height }));
    }

    fn tell_prices(&mut self, pools: &[crate::sim::pool::Accounts; POOLS]) {
        if self.env.strikes(Fault::NoPrice) {
            self.quiet_prices_until = self.env.now + self.env.dice.between(5_000_000, 60_000_000);
        }
        if self.env.now < self.quiet_prices_until {
            return;
        }
        for (mint, pool) in [(WSOL, &pools[0]), (BONK, &pools[2])] {
            let per_mille = if self.env.strikes(Fault::AbsurdPrice) {
                [0, 1, 500, 900, 1_100, 2_000, 1_000_000]
                    [usize::try_from(self.env.dice.below(7)).unwrap_or(0)]
            } else {
                1_000
            };
            if let Some(event) = setting::reference(mint, pool, per_mille) {
                self.feed(event);
            }
        }
    }

    /// All accounts are read again, and the feed is whole.
    fn snapshot(&mut self) {
        self.gap = false;
        let slot = self.env.chain.view(Commitment::Confirmed, 0).slot;
        let pools = self.env.chain.holdings(Commitment::Confirmed, 0).pools;
        for (nth, pool) in pools.iter().enumerate() {
            for event in setting::accounts(nth, pool, slot) {
                self.feed(event);
            }
        }
        self.tell_prices(&pools);
        self.feed(Event::Market(MarketEvent::Feed { whole: true }));
    }

    fn tick(&mut self) {
        self.at(TICK, Task::Tick);
        let healed = self.healed;
        self.with(|process, env| {
            if env.now / TICK % 4 == 0 {
                process.take_hash(env);
            }
            process.tick(env)?;
            if healed && process.engine.mode() < Mode::Halt {
                env.audit.wanted(Mode::Halt);
                process.command(env, Command::SetMode { mode: Mode::Halt, clear_kill: false })?;
            }
            start::go_on(process, env)
        });
        let followed = self.process.as_ref().and_then(Process::any_bytes);
        if let Some(signature) = followed
            && self.env.strikes(Fault::Notice)
        {
            self.answer(Ask::Status { signature, history: false });
        }
    }

    fn answer(&mut self, ask: Ask) {
        let Env { nodes, chain, .. } = &mut self.env;
        match ask {
            Ask::Status { signature, history } => {
                if let Some(status) = nodes.status(chain, &signature, history) {
                    self.give(Input::Status { signature, status });
                }
            }
            Ask::Read(signature) => {
                if let Some(landing) = nodes.read(chain, &signature) {
                    self.give(Input::Read { signature, landing });
                }
            }
            Ask::Height(height) => self.answer_height(height.commitment()),
            Ask::Words(signature) => self.answer_words(signature),
            Ask::Balances => {
                let told = nodes.balances(chain);
                self.with(|process, env| start::told(process, env, &told));
            }
        }
    }

    fn give(&mut self, input: Input<'_>) {
        self.with(|process, env| process.give(env, input));
    }

    fn answer_height(&mut self, commitment: Commitment) {
        let Env { nodes, chain, bug, .. } = &mut self.env;
        let heights = nodes.heights(chain, commitment);
        let (heights, of) = match (bug, heights.first()) {
            (Some(Bug::TrustOneNode), Some(first)) => (vec![*first], 1),
            _ => (heights, nodes.count()),
        };
        if let Some(reached) = crate::execution::reached(&heights, of) {
            let height = BlockHeight::new(reached.height);
            self.give(Input::Height { commitment, height, said: reached.said, of });
        }
    }

    fn answer_words(&mut self, signature: Signature) {
        let Env { nodes, chain, bug, .. } = &mut self.env;
        let mut of = nodes.count();
        let words = match bug {
            None => nodes.words(chain, &signature),
            Some(bug) => {
                let words = nodes.words(chain, &signature);
                bugs::bend_words(*bug, words, &mut of, chain, &signature)
            }
        };
        self.with(|process, env| process.give(env, Input::Words { signature, of, words: &words }));
    }

    /// What is at stake, by the chain's own count.
    fn measure(&mut self) {
        // Where nodes make fills up, what the engine believes to hold until a majority corrects it bounds nothing.
        if self.env.has_struck(Fault::NodeLies) {
            return;
        }
        let holdings = self.env.chain.holdings(Commitment::Processed, 0);
        let worth = |mint: crate::ids::MintId, nth: usize| {
            let [base, quote] = holdings.pools[nth].vaults().map(|v| u128::from(v.get()));
            let found = self.env.found[mint.index()];
            let bought = holdings.tokens[mint.index()].saturating_sub(found);
            u128::from(bought) * quote / base.max(1)
        };
        let usd = |worth: u128| Usd::new(i64::try_from(worth).unwrap_or(i64::MAX));
        let (sol, bonk) = (worth(WSOL, 0), worth(BONK, 2));
        self.env.audit.exposed(usd(sol + bonk), usd(sol.max(bonk)));
    }
}
