//! Pools as a node pushes them: the three notices of a swap, from the text of a frame to a row that is up to date.
//!
//! The floor is a sum of the same bytes.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::ids::Address;
use sniper_core::scan::Anchor;
use sniper_core::units::Atoms;
use sniper_solana::feed::{Frame, FrameReader};
use sniper_solana::scan::{Change, Notice, Program, ScanSettings, Scanner};

use super::answer::{amm_v4, key};
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

const POOLS: usize = 1_000;
const NOW: u64 = 1_750_000_000;
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

pub(super) fn measure(span: Duration, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    clean("scan push", Bounds::COMPUTE, rejected, || pushed(POOLS, span))
}

/// The text of a frame.
fn frame(address: &Address, owner: &str, slot: u64, data: &[u8]) -> String {
    let space = data.len();
    let data = STANDARD.encode(data);
    format!(
        r#"{{"jsonrpc":"2.0","method":"programNotification","params":{{"result":{{"context":{{"slot":{slot}}},"value":{{"pubkey":"{address}","account":{{"lamports":2039280,"data":["{data}","base64"],"owner":"{owner}","executable":false,"rentEpoch":18446744073709551615,"space":{space}}}}}}},"subscription":7}}}}"#
    )
}

fn vault(mint: &Address, amount: u64) -> Vec<u8> {
    let mut data = vec![0; 165];
    let mut put = |at: usize, bytes: &[u8]| {
        data.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    put(0, mint.as_array());
    put(64, &amount.to_le_bytes());
    put(108, &[1]);
    data
}

/// What every pool's accounts are at a slot, three frames a pool.
fn frames(pools: usize, slot: u64) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::with_capacity(pools * 3);
    for nth in 0..pools {
        let state = amm_v4(nth)?;
        all.push(frame(&key(nth, 5), Program::AmmV4.text(), slot, &state));
        for (part, mint, amount) in [(1, 3, 9_000_000_000_000), (2, 4, 80_000_000_000)] {
            let data = vault(&key(nth, mint), amount + slot);
            all.push(frame(&key(nth, part), TOKEN, slot, &data));
        }
    }
    Ok(all)
}

/// Takes all frames; gives how many rows came to be up to date.
fn take(
    reader: &mut FrameReader,
    scanner: &mut Scanner,
    frames: &[String],
) -> anyhow::Result<usize> {
    let mut settled = 0;
    for text in frames {
        let Frame::Program { slot, address, account, .. } = reader.read(text)? else { continue };
        let notice = Notice { address, owner: &account.owner, slot, data: account.data };
        let change = scanner.apply(black_box(&notice), NOW)?;
        settled += usize::from(matches!(change, Change::Settled(_)));
    }
    Ok(settled)
}

fn pushed(pools: usize, span: Duration) -> anyhow::Result<Taken> {
    let anchor = Anchor { mint: key(0, 4), depth_min: Atoms::new(1_000_000) };
    let settings = ScanSettings { anchors: vec![anchor], pools, ..ScanSettings::default() };
    let mut scanner = Scanner::new(settings).context("make a scanner")?;
    let mut reader = FrameReader::default();
    // They become known, and then their vaults.
    for slot in [100, 101] {
        take(&mut reader, &mut scanner, &frames(pools, slot)?)?;
    }
    let (mut floor, mut times) = (Times::default(), Times::default());
    for (slot, _) in (102..).zip(Rounds::new(16, span)) {
        let frames = frames(pools, slot)?;
        let sum =
            |text: &String| text.bytes().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(byte)));
        black_box(floor.time(frames.len(), || black_box(&frames).iter().map(sum).max()));
        let settled =
            times.time(frames.len(), || take(&mut reader, &mut scanner, black_box(&frames)))?;
        ensure!(settled == pools, "{settled} of {pools} pools came to be up to date");
    }
    let row = Row::told("scan.push", 1e3 / times.p50(), "M notices/s").more_is_better();
    let row = row.beside(1e3 / floor.p50());
    let row = row.note("state and both vaults of a pool, from the text of a frame to its row");
    Ok(Taken { floor: floor.0, rows: vec![row] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_swap_that_is_pushed_brings_its_pool_up_to_date() {
        let taken = pushed(20, Duration::ZERO).unwrap();
        assert_eq!((taken.floor.len(), taken.rows.len()), (16, 1));
    }
}
