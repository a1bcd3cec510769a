//! How fast a journal is replayed, and how long a restart takes after a busy day: the newest snapshot and a full segment
//! behind it.
//!
//! Floor of a replay: the same events, read already, through the same engine. Run it with
//! `cargo bench --workspace --locked --bench restart`.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    dead_code,
    unreachable_pub,
    reason = "a benchmark may panic, and shows floats"
)]

#[path = "../../core/benches/stream/mod.rs"]
mod stream;
#[path = "../../core/tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sniper_core::digest::Digest;
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::Stamped;
use sniper_core::units::Timestamp;
use sniper_store::journal::{Bounds, Journal, JournalReader, Owner, Record};

fn engine() -> MultiStrategyEngine {
    MultiStrategyEngine::new(stream::engine_config(Timestamp::SECOND)).unwrap()
}

fn step(engine: &mut MultiStrategyEngine, digest: &mut Digest, event: &Stamped) {
    let mut effects = Vec::new();
    engine.step(event, &mut effects);
    effects.iter().for_each(|effect| digest.add(effect));
}

fn replay(path: &Path, mut engine: MultiStrategyEngine) -> (Duration, [u8; 32]) {
    let started = Instant::now();
    let mut digest = Digest::default();
    for entry in JournalReader::open(path).unwrap() {
        if let Record::Event(event) = entry.unwrap().record {
            step(&mut engine, &mut digest, &event);
        }
    }
    (started.elapsed(), engine.state_digest())
}

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let records = if is_test { 4_000 } else { Bounds::default().segment_records };
    let mut out = std::io::stdout().lock();
    let mut events = stream::live(usize::try_from(records / 8).unwrap());
    events.truncate(usize::try_from(records).unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path, Owner::default()).unwrap();
    for event in &events {
        journal.append_event(event).unwrap();
    }
    let bytes = journal.len_bytes();
    journal.close().unwrap();
    writeln!(out, "{} events of four strategies and six pools, {bytes} bytes", events.len())
        .unwrap();

    let (mut whole, mut floor, mut read) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let started = Instant::now();
        assert!(JournalReader::open(&path).unwrap().count() >= events.len());
        read = read.min(started.elapsed());
        let started = Instant::now();
        let (mut engine, mut digest) = (engine(), Digest::default());
        events.iter().for_each(|event| step(&mut engine, &mut digest, event));
        floor = floor.min(started.elapsed());
        let (took, state) = replay(&path, self::engine());
        assert_eq!(state, engine.state_digest());
        whole = whole.min(took);
    }
    let count = events.len() as f64;
    for (what, took) in [("read and decode", read), ("step alone", floor), ("replay", whole)] {
        let seconds = took.as_secs_f64();
        writeln!(out, "{what:<16} {:>10.0} events/s  {seconds:.3} s", count / seconds).unwrap();
    }

    let mut saved = engine();
    let mut digest = Digest::default();
    events.iter().for_each(|event| step(&mut saved, &mut digest, event));
    let started = Instant::now();
    let state = saved.save();
    let save = started.elapsed();
    let started = Instant::now();
    let config = stream::engine_config(Timestamp::SECOND);
    let restored = MultiStrategyEngine::restore(config, &state).unwrap();
    assert_eq!(restored.state_digest(), saved.state_digest());
    let restore = started.elapsed();
    writeln!(
        out,
        "snapshot of {} bytes: saved in {save:?}, restored and compared in {restore:?}; a restart with a full segment \
         behind it: {:?}",
        state.len(),
        restore + whole
    )
    .unwrap();
}
