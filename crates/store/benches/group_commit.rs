//! Events made durable in groups, beside the floor: the same bytes written and synced with nothing else.
//!
//! Journal and floor take turns, a group each, so that a busy disk slows both. Run it with
//! `cargo bench --workspace --locked --bench group_commit`.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark may panic, and shows floats"
)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use sniper_core::amm::AccountUpdate;
use sniper_core::event::{Event, MarketEvent, Stamped};
use sniper_core::ids::PoolId;
use sniper_core::units::{Atoms, Seq, Slot, Timestamp};
use sniper_store::journal::{Journal, Owner};

/// What group commit must reach.
const LEAST_PER_SECOND: f64 = 200_000.0;

fn event(seq: u64) -> Stamped {
    let update =
        AccountUpdate::Vault { second: seq.is_multiple_of(2), amount: Atoms::new(seq << 20) };
    let event =
        Event::Market(MarketEvent::Account { pool: PoolId(7), slot: Slot::new(seq), update });
    Stamped { seq: Seq::new(seq), at: Timestamp::new(1_700_000_000_000_000), event }
}

fn main() {
    // Cargo may build and run benches as tests: a short pass then shows that they still work.
    let is_test = !std::env::args().any(|arg| arg == "--bench");
    let events = if is_test { 20_000 } else { 400_000 };
    let mut out = std::io::stdout().lock();
    writeln!(out, "group     events/s   floor/s   ratio to floor").unwrap();
    for group in [64_u64, 256, 1_024, 4_096] {
        let (journal, floor) = measure(group, events);
        let per_second = |took: Duration| events as f64 / took.as_secs_f64();
        let verdict = if per_second(journal) >= LEAST_PER_SECOND { "" } else { "  below 200000" };
        writeln!(
            out,
            "{group:>5} {:>12.0} {:>9.0} {:>8.2}{verdict}",
            per_second(journal),
            per_second(floor),
            journal.as_secs_f64() / floor.as_secs_f64()
        )
        .unwrap();
    }
}

/// How long the journal and the floor take for as many events.
fn measure(group: u64, events: u64) -> (Duration, Duration) {
    // The temporary folder of the system may be in memory, where a sync costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut journal, _) = Journal::open(folder.path().join("journal"), Owner::default()).unwrap();
    journal.ready_ahead();
    let raw = File::create(folder.path().join("floor")).unwrap();
    let (mut took, mut floor, mut at, mut seq) = (Duration::ZERO, Duration::ZERO, 0_u64, 0);
    let zeros = vec![0; 4 << 20];
    let mut ready = 0;
    while seq < events {
        let before = journal.len_bytes();
        let started = Instant::now();
        for _ in 0..group {
            seq += 1;
            journal.append_event(&event(seq)).unwrap();
        }
        journal.sync().unwrap();
        took += started.elapsed();

        let bytes = vec![7; usize::try_from(journal.len_bytes() - before).unwrap()];
        while ready < at + bytes.len() as u64 {
            raw.write_all_at(&zeros, ready).unwrap();
            raw.sync_all().unwrap();
            ready += zeros.len() as u64;
        }
        let started = Instant::now();
        raw.write_all_at(&bytes, at).unwrap();
        rustix::fs::fdatasync(&raw).unwrap();
        floor += started.elapsed();
        at += bytes.len() as u64;
    }
    (took, floor)
}
