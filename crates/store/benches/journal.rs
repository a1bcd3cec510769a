//! What it costs to make a record durable, beside the floor: the same bytes written and synced with nothing else.
//!
//! The trading thread pays for this before each send.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use divan::Bencher;
use sniper_core::event::{Event, Stamped};
use sniper_core::ids::{OrderId, Signature};
use sniper_core::units::{BlockHeight, Seq, Timestamp};
use sniper_store::journal::{Journal, Owner};

const WIRE: [u8; 210] = [7; 210];

fn main() {
    divan::main();
}

fn folder() -> tempfile::TempDir {
    // The temporary folder of the system may be in memory, where a sync costs nothing.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[divan::bench(sample_count = 300, sample_size = 1)]
fn floor_write_and_fdatasync_300_bytes(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let file = File::create(folder.path().join("floor")).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 4 << 20).unwrap();
    file.sync_all().unwrap();
    let mut at = 0;
    bencher.bench_local(|| {
        file.write_all_at(&[7; 300], at).unwrap();
        rustix::fs::fdatasync(&file).unwrap();
        at += 300;
    });
}

#[divan::bench(sample_count = 300, sample_size = 1)]
fn append_and_sync_300_bytes(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let (mut journal, _) = Journal::open(folder.path().join("journal"), Owner::default()).unwrap();
    let mut cause = 0;
    bencher.bench_local(|| {
        cause += 1;
        let order = OrderId { cause: Seq::new(cause), nth: 0 };
        let last_valid = BlockHeight::new(300_000_000);
        journal.append_wire(order, &Signature([9; 64]), last_valid, &WIRE).unwrap();
        journal.sync().unwrap();
    });
}

#[divan::bench]
fn append_an_event(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let (mut journal, _) = Journal::open(folder.path().join("journal"), Owner::default()).unwrap();
    let mut event =
        Stamped { seq: Seq::ZERO, at: Timestamp::new(1_700_000_000_000_000), event: Event::Timer };
    bencher.bench_local(|| {
        event.seq = Seq::new(event.seq.get() + 1);
        journal.append_event(&event).unwrap()
    });
}
