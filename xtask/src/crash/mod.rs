//! `cargo xtask crash`: the real process, killed again and again amid trading, at random moments and at named points.
//!
//! One local chain goes on living while engines on one data folder are killed with SIGKILL, started again, and must come
//! back: to what they say themselves is trading, with their ledger equal to the chain. After each kill the journal must
//! hold, and now and then an engine is asked to end as a person would: then its summary is looked at, and its journal
//! replayed from the beginning.
//!
//! The points are in a build of its own, `sniperforge-crash`; a binary without them is killed at random moments alone.

mod engine;
mod report;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use engine::{Chain, END_MAX, Engine, Next, START_MAX, Said, ask, was_killed};
pub use report::{Failure, Report};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program. With fail points it is killed at those too.
    pub binary: PathBuf,
    /// How often.
    pub kills: u32,
    /// Which moments are drawn.
    pub seed: u64,
    /// Milliseconds from block to block of the local chain.
    pub slot_ms: u32,
    /// Where data folders are made. One whose engine did not come back is left there.
    pub folder: PathBuf,
}

/// How long a point may take to be passed, once there is trading.
const POINT_MAX: Duration = Duration::from_secs(25);
/// After so many kills an engine is asked to end.
const KILLS_PER_LIFE: u32 = 10;
/// How long one trades that will be asked to end.
const LAST_TRADES: Duration = Duration::from_secs(3);
/// A random kill before trading comes within this time of the start, in milliseconds.
const EARLY_MAX: u64 = 2_500;
/// One amid trading within this time from there.
const TRADING_MAX: u64 = 6_000;

/// Builds the program with its fail points, as a release, beside the one that is shipped. Gives where it is.
///
/// # Errors
///
/// It does not build.
pub fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--locked", "--package", "sniperforge"]);
    command.args(["--bin", "sniperforge-crash", "--features", "failpoints"]);
    let built = command.current_dir(root).status().with_context(|| format!("run {command:?}"))?;
    ensure!(built.success(), "{command:?} ended with {built}");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release").join("sniperforge-crash"))
}

/// Kills as the plan says, and tells on standard error how it goes.
///
/// # Errors
///
/// When no engine or chain can be started at all.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let started = Instant::now();
    let points = points(&plan.binary)?;
    if points.is_empty() {
        eprintln!("this build has no fail points: it is killed at random moments alone");
    }
    let mut stage = Stage::set(plan, &points)?;
    let mut dice = Dice(plan.seed);
    let mut waiting = VecDeque::new();
    for nth in 1..=plan.kills {
        if waiting.is_empty() {
            waiting.extend(shuffled(&points, &mut dice).into_iter().map(|name| (name, false)));
        }
        let target = match whose_turn(nth, &mut waiting) {
            Some((name, again)) => Target::point(name, again, &mut dice),
            None => Target::moment(&mut dice),
        };
        let killed = stage.kill(&target)?;
        eprintln!("{nth:4} of {}: {killed}", plan.kills);
        if let (Target::Point { name, .. }, Killed::Elsewhere) = (&target, &killed) {
            waiting.push_front((name.clone(), true));
        }
        if stage.kills_since >= KILLS_PER_LIFE {
            stage.settle()?;
        }
    }
    stage.settle()?;
    Ok(stage.report.clone().closed(started.elapsed()))
}

/// The points of a build, none where it has none.
fn points(binary: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(binary).arg("fail-points").output();
    let output = output.with_context(|| format!("run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().map(str::to_owned);
    Ok(if output.status.success() { names.collect() } else { Vec::new() })
}

/// Chance that can be repeated: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// A point and a moment of chance, by turns; a point whose turn is not now keeps its place.
fn whose_turn(nth: u32, waiting: &mut VecDeque<(String, bool)>) -> Option<(String, bool)> {
    if nth % 2 == 1 { waiting.pop_front() } else { None }
}

fn shuffled(points: &[String], dice: &mut Dice) -> Vec<String> {
    let mut left = points.to_vec();
    let mut mixed = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let at = dice.below(u64::try_from(left.len()).unwrap_or(1));
        mixed.push(left.swap_remove(usize::try_from(at).unwrap_or(0)));
    }
    mixed
}

/// When an engine is to die.
#[derive(Clone, Debug)]
enum Target {
    /// So long after its start.
    Early(Duration),
    /// So long after it says that it trades.
    Trading(Duration),
    /// The nth time that it passes a point.
    Point { name: String, nth: u64 },
}

impl Target {
    fn moment(dice: &mut Dice) -> Self {
        if dice.below(3) == 0 {
            Self::Early(Duration::from_millis(dice.below(EARLY_MAX)))
        } else {
            Self::Trading(Duration::from_millis(dice.below(TRADING_MAX)))
        }
    }

    /// One that was not reached is tried the first time that it is passed.
    fn point(name: String, again: bool, dice: &mut Dice) -> Self {
        let most = match name.as_str() {
            _ if again => 1,
            name if name.starts_with("journal.append") => 400,
            "start.replay" => 100,
            name if name.starts_with("journal.sync") => 10,
            name if name.starts_with("order.") => 3,
            "tables.commit.before" => 5,
            "setup.landed" => 2,
            // Passed once in a start, or once in a while.
            _ => 1,
        };
        Self::Point { name, nth: 1 + dice.below(most) }
    }

    /// It is passed at a first start alone.
    fn is_of_setup(&self) -> bool {
        matches!(self, Self::Point { name, .. } if name.starts_with("setup."))
    }
}

/// How an engine has died.
#[derive(Clone, Debug)]
enum Killed {
    /// At the point that was wanted.
    AtPoint(String),
    /// At a moment of chance.
    AtMoment(&'static str),
    /// At another moment, as the point was not passed in time.
    Elsewhere,
    /// Not as it should: see the report.
    Badly,
}

impl std::fmt::Display for Killed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtPoint(name) => write!(f, "killed at {name}"),
            Self::AtMoment(when) => write!(f, "killed {when}"),
            Self::Elsewhere => f.write_str("killed without having passed its point"),
            Self::Badly => f.write_str("FAILED"),
        }
    }
}

/// All that is there at a time.
struct Stage<'a> {
    plan: &'a Plan,
    chain: Chain,
    /// The data folder, and how many there were.
    data: PathBuf,
    folders: u32,
    /// Kills that nothing has come back from yet, and kills since an engine was last asked to end.
    pending: u32,
    kills_since: u32,
    report: Report,
}

impl<'a> Stage<'a> {
    fn set(plan: &'a Plan, points: &[String]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&plan.folder)
            .with_context(|| format!("make {}", plan.folder.display()))?;
        let chain = Chain::start(&plan.binary, plan.seed, plan.slot_ms)?;
        let report = Report::new(plan.seed, points);
        let data = PathBuf::new();
        let mut stage = Self { plan, chain, data, folders: 0, pending: 0, kills_since: 0, report };
        stage.begin_anew()?;
        Ok(stage)
    }

    /// Another wallet, with another folder.
    fn begin_anew(&mut self) -> anyhow::Result<()> {
        self.folders += 1;
        self.data = self.plan.folder.join(format!("data-{}", self.folders));
        std::fs::create_dir_all(&self.data)
            .with_context(|| format!("make {}", self.data.display()))?;
        (self.pending, self.kills_since) = (0, 0);
        Ok(())
    }

    fn start(&self, fail_at: Option<&str>) -> anyhow::Result<Engine> {
        Engine::start(&self.plan.binary, &self.chain, &self.data, fail_at)
    }

    /// Starts an engine, lets it come back from the kills before, and kills it.
    fn kill(&mut self, target: &Target) -> anyhow::Result<Killed> {
        if target.is_of_setup() && self.kills_since > 0 {
            self.settle()?;
        }
        if target.is_of_setup() {
            self.forget_folder();
            self.begin_anew()?;
        }
        let fail_at = match target {
            Target::Point { name, nth } => Some(format!("{name}:{nth}")),
            _ => None,
        };
        let mut engine = self.start(fail_at.as_deref())?;
        self.report.kills += 1;
        let killed = self.let_it_die(&mut engine, target)?;
        let last_words = engine.kill()?;
        let differs = last_words.iter().find_map(|said| match said {
            Said::Differs(line) => Some(line.clone()),
            _ => None,
        });
        if let Some(line) = differs {
            self.fail("ledger and chain differ", line);
            return Ok(Killed::Badly);
        }
        match &killed {
            Killed::Badly => return Ok(killed),
            Killed::AtPoint(name) => self.report.killed_at(name),
            Killed::AtMoment(_) | Killed::Elsewhere => {}
        }
        self.pending += 1;
        self.kills_since += 1;
        Ok(if self.journal_holds()? { killed } else { Killed::Badly })
    }

    fn let_it_die(&mut self, engine: &mut Engine, target: &Target) -> anyhow::Result<Killed> {
        let mut moment = match target {
            Target::Early(after) => Some(engine.started + *after),
            Target::Trading(_) | Target::Point { .. } => None,
        };
        let mut has_said = false;
        loop {
            match engine.next(moment.unwrap_or(engine.started + START_MAX))? {
                Next::Said(Said::Trading) => {
                    self.came_back(engine.started.elapsed());
                    let now = Instant::now();
                    match target {
                        Target::Early(_) => {}
                        Target::Trading(after) => moment = Some(now + *after),
                        Target::Point { .. } => moment = Some(now + POINT_MAX),
                    }
                }
                Next::Said(Said::FailPoint) => has_said = true,
                Next::Said(Said::Differs(line)) => {
                    self.fail("ledger and chain differ", line);
                    return Ok(Killed::Badly);
                }
                Next::Ended(status) => {
                    return Ok(match target {
                        Target::Point { name, .. } if has_said && was_killed(status) => {
                            Killed::AtPoint(name.clone())
                        }
                        _ => {
                            self.fail("ended by itself", status.to_string());
                            Killed::Badly
                        }
                    });
                }
                Next::Late if moment.is_none() => {
                    self.fail("did not come to trade", format!("within {START_MAX:?}"));
                    return Ok(Killed::Badly);
                }
                Next::Late => {
                    return Ok(match target {
                        Target::Early(_) => Killed::AtMoment("early"),
                        Target::Trading(_) => Killed::AtMoment("amid trading"),
                        Target::Point { .. } => Killed::Elsewhere,
                    });
                }
            }
        }
    }

    /// It trades: whatever was killed before has come back.
    fn came_back(&mut self, took: Duration) {
        if self.pending > 0 {
            self.report.recovered += self.pending;
            self.report.times.push(took);
            self.pending = 0;
        }
    }

    /// Whether what is on the disk is a whole journal, torn at its end at most.
    fn journal_holds(&mut self) -> anyhow::Result<bool> {
        let journal = self.data.join("journal");
        if !journal.exists() {
            return Ok(true);
        }
        let (code, told) = ask(&self.plan.binary, &["journal", "verify"], &journal)?;
        // One in which nothing was ever written cannot be looked at.
        let holds = code == Some(0) || (code == Some(1) && told.is_null());
        if !holds {
            self.fail("the journal does not hold", told.to_string());
        }
        Ok(holds)
    }

    /// Starts an engine that is asked to end, and looks at all that it leaves.
    fn settle(&mut self) -> anyhow::Result<()> {
        if self.kills_since == 0 {
            return Ok(());
        }
        let mut engine = self.start(None)?;
        let mut until = engine.started + START_MAX;
        let mut has_traded = false;
        let mut was_asked = false;
        let status = loop {
            match engine.next(until)? {
                Next::Said(Said::Trading) => {
                    self.came_back(engine.started.elapsed());
                    has_traded = true;
                    until = Instant::now() + LAST_TRADES;
                }
                Next::Said(Said::FailPoint) => {}
                Next::Said(Said::Differs(line)) => {
                    self.fail("ledger and chain differ", line);
                    return Ok(());
                }
                Next::Ended(status) => break status,
                Next::Late if has_traded && !was_asked => {
                    engine.ask_to_stop()?;
                    was_asked = true;
                    until = Instant::now() + END_MAX;
                }
                Next::Late => {
                    let what = if has_traded { "did not end" } else { "did not come to trade" };
                    self.fail(what, format!("within {END_MAX:?}"));
                    return Ok(());
                }
            }
        };
        let summary = engine.summary();
        let told = |field: &str| summary.get(field).cloned().unwrap_or_default();
        let is_whole = told("ledger_matches_chain") == true && told("lamports_difference") == 0;
        if !is_whole || told("replay_matches") != true || status.code() != Some(0) {
            let what = if is_whole { "did not end well" } else { "ledger and chain differ" };
            self.fail(what, format!("{status}: {summary}"));
            return Ok(());
        }
        let journal = told("journal");
        let journal = PathBuf::from(journal.as_str().unwrap_or_default());
        let (code, replayed) = ask(&self.plan.binary, &["replay"], &journal)?;
        let same = replayed.get("effects_hash") == summary.get("effects_hash");
        if code != Some(0) || !same {
            self.fail("replays to something else", replayed.to_string());
            return Ok(());
        }
        let count =
            |name: &str| summary.pointer(&format!("/orders/{name}")).and_then(|n| n.as_u64());
        self.report.orders_in_lives_asked_to_end += count("landed").unwrap_or(0);
        self.kills_since = 0;
        Ok(())
    }

    /// Takes note, keeps the folder, and goes on with another.
    fn fail(&mut self, what: &str, detail: String) {
        let failure = Failure {
            what: what.to_owned(),
            detail,
            data: self.data.display().to_string(),
            look: format!(
                "less {}; {binary} journal verify {data}/journal; {binary} journal show {data}/journal",
                self.data.with_extension("log").display(),
                binary = self.plan.binary.display(),
                data = self.data.display()
            ),
        };
        eprintln!("FAILED: {}: {}\n  look at it: {}", failure.what, failure.detail, failure.look);
        self.report.differences += u32::from(what == "ledger and chain differ");
        self.report.failures.push(failure);
        if let Err(error) = self.begin_anew() {
            eprintln!("no other data folder: {error:#}");
        }
    }

    /// What came back leaves nothing behind.
    fn forget_folder(&self) {
        let name = self.data.display().to_string();
        if !self.report.failures.iter().any(|failure| failure.data == name) {
            std::fs::remove_dir_all(&self.data).ok();
            std::fs::remove_file(self.data.with_extension("log")).ok();
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.forget_folder();
        // Not while something is kept in it.
        std::fs::remove_dir(&self.plan.folder).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_gets_its_turn_and_every_other_kill_is_one_of_chance() {
        let all: Vec<String> = (0..26).map(|nth| format!("point-{nth}")).collect();
        let mut waiting: VecDeque<_> = all.iter().map(|name| (name.clone(), false)).collect();
        let turns: Vec<_> = (1..=52).map(|nth| whose_turn(nth, &mut waiting)).collect();
        let met: Vec<String> = turns.iter().flatten().map(|(name, _)| name.clone()).collect();
        assert_eq!(met, all);
        assert!(turns.iter().skip(1).step_by(2).all(Option::is_none), "{turns:?}");
        assert!(waiting.is_empty());
    }
}
