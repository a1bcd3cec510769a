//! What a second core brings where work is parallel: the same work by one thread, and by two at a time.
//!
//! The floor is bare arithmetic that two threads do on registers alone, in turns with the work: what it falls short of two
//! times is the machine's, or somebody else's.

use std::hint::black_box;
use std::time::Duration;

use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

/// Two cores by one at least.
const TIMES: f64 = 1.7;
/// Steps of the floor, some milliseconds of them.
const STEPS: u64 = 4_000_000;

/// `work` is told which of both threads it is on.
pub(super) fn measure(
    what: &'static str,
    metric: &str,
    span: Duration,
    rejected: &mut Vec<Rejected>,
    work: impl Fn(usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Vec<Row>> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Ok(vec![Row::absent(metric, "this machine has one core")]);
    }
    clean(what, Bounds::COMPUTE, rejected, || {
        let mut floor = [Times::default(), Times::default()];
        let mut times = [Times::default(), Times::default()];
        for _ in Rounds::new(8, span) {
            by_one_and_two(&mut floor, |_| {
                bare();
                Ok(())
            })?;
            by_one_and_two(&mut times, &work)?;
        }
        let gain = |[one, two]: &[Times; 2]| one.p50() / two.p50();
        let row = Row::told(metric, gain(&times), "times").at_least(TIMES).beside(gain(&floor));
        let row = row.note(
            "the floor works on registers alone; cores that share caches or units fall behind it",
        );
        let [_, two] = floor;
        Ok(Taken { floor: two.0, rows: vec![row] })
    })
}

fn by_one_and_two(
    [one, two]: &mut [Times; 2],
    work: impl Fn(usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    one.time(1, || work(0))?;
    let both = two.time(2, || {
        std::thread::scope(|threads| {
            let other = threads.spawn(|| work(1));
            let own = work(0);
            [own, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))]
        })
    });
    for done in both {
        done?;
    }
    Ok(())
}

fn bare() {
    let steps = (0..STEPS / if cfg!(debug_assertions) { 10 } else { 1 })
        .fold(7_u64, |last, nth| {
            last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(black_box(nth))
        });
    black_box(steps);
}
