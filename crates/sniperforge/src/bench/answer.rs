//! Pools out of a node: the bytes of an answer read and decoded, and a cold scan of a local chain.
//!
//! Reading stands beside a sum of the answer's bytes. Of a cold scan the scanner's own processor time is told, since the
//! local chain is no quick node.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::ids::Address;
use sniper_solana::scan::{Program, ReplyError, ReplyReader};

use super::arms::figure;
use super::push;
use super::row::Row;
use super::turns::{Bounds, Rejected, Rounds, Taken, Times, clean};

const POOLS: usize = 10_000;
/// Millions of pools a second and core, vaults too.
#[cfg(feature = "localnet")]
const COLD_M: f64 = 0.5;

pub(super) fn measure(
    span: Duration,
    full: bool,
    rejected: &mut Vec<Rejected>,
) -> anyhow::Result<Vec<Row>> {
    let text = answer(POOLS)?;
    let mut rows = clean("scan answer", Bounds::COMPUTE, rejected, || read(&text, POOLS, span))?;
    rows.push(cold(if full { 100_000 } else { POOLS }, span)?);
    rows.extend(push::measure(span, rejected)?);
    Ok(rows)
}

/// A node's answer that lists so many pools of Raydium AMM v4, a slice of each.
fn answer(pools: usize) -> anyhow::Result<Vec<u8>> {
    let program = Program::AmmV4;
    let slice = program.slice();
    let mut text = String::from(
        r#"{"jsonrpc":"2.0","result":{"context":{"apiVersion":"4.2.2","slot":7},"value":["#,
    );
    for nth in 0..pools {
        let data = amm_v4(nth)?;
        let whole = data.len();
        let sliced = data.get(slice.offset..slice.offset + slice.length).context("cut a slice")?;
        let comma = if nth == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"pubkey":"{}","account":{{"lamports":2039280,"data":["{}","base64"],"owner":"{}","executable":false,"rentEpoch":18446744073709551615,"space":{whole}}}}}"#,
            key(nth, 5),
            STANDARD.encode(sliced),
            program.id(),
        )?;
    }
    text.push_str(r#"]},"id":1}"#);
    Ok(text.into_bytes())
}

/// The account of a pool of Raydium AMM v4: its vaults are the keys 1 and 2, its mints 3 and 4, its own address 5.
pub(super) fn amm_v4(nth: usize) -> anyhow::Result<Vec<u8>> {
    let whole = Program::AmmV4.pool_len().context("know how long a pool's account is")?;
    let mut data = vec![0; whole];
    let mut put = |at: usize, bytes: &[u8]| {
        data.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    for (at, word) in [(0, 6_u64), (8, 254), (176, 25), (184, 10_000)] {
        put(at, &word.to_le_bytes());
    }
    for (at, part) in [(336, 1), (368, 2), (400, 3), (432, 4)] {
        put(at, key(nth, part).as_array());
    }
    Ok(data)
}

pub(super) fn key(nth: usize, part: u8) -> Address {
    let mut bytes = [part; 32];
    bytes.iter_mut().zip(nth.to_le_bytes()).for_each(|(byte, own)| *byte ^= own);
    Address::new_from_array(bytes)
}

fn read(text: &[u8], pools: usize, span: Duration) -> anyhow::Result<Taken> {
    let (mut floor, mut times) = (Times::default(), Times::default());
    let (mut reader, mut room) = (ReplyReader::default(), Vec::new());
    for _ in Rounds::new(16, span) {
        black_box(floor.time(pools, || {
            black_box(text).iter().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte)))
        }));
        let mut decoded = 0;
        reader.restart();
        let done = times.time(pools, || {
            reader.feed::<ReplyError>(black_box(text), |_, _, account| {
                let Some(account) = account else { return Ok(()) };
                let Some(address) = account.address else { return Ok(()) };
                let pool = Program::AmmV4.decode(&address, account.data, &mut room);
                decoded += usize::from(black_box(pool).is_ok());
                Ok(())
            })
        });
        done.context("read an answer")?;
        reader.finish().context("read an answer to its end")?;
        ensure!(decoded == pools, "{decoded} of {pools} pools were decoded");
    }
    let row = Row::told("scan.answer", 1e3 / times.p50(), "M pools/s").more_is_better();
    let size = figure(text.len()) / figure(pools.max(1));
    let row =
        row.beside(1e3 / floor.p50()).note(format!("{size:.0} bytes a pool, read and decoded"));
    Ok(Taken { floor: floor.0, rows: vec![row] })
}

#[cfg(not(feature = "localnet"))]
fn cold(_: usize, _: Duration) -> anyhow::Result<Row> {
    Ok(Row::absent("scan.cold", "this build has no local chain"))
}

/// All pools of a local chain and their vaults, into a fresh table.
#[cfg(feature = "localnet")]
fn cold(pools: usize, span: Duration) -> anyhow::Result<Row> {
    use rustix::time::{ClockId, clock_gettime};
    use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
    use sniper_solana::scan::{ScanSettings, Scanner};

    // What this thread ran, so that the node's time is not counted.
    let ran = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
    };
    let count = pools.to_string();
    let args = ["--port", "0", "--no-agents", "--pools", &count];
    let (_chain, told) = crate::live::LocalChain::start_with(&args)?;
    let (http, ws) = told.rpc_urls.first().zip(told.ws_urls.first()).context("find its port")?;
    let endpoint = EndpointConfig::new("local", http, ws, 10_000)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut times = Times::default();
    let found = runtime.context("start the event loop")?.block_on(async {
        let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await?;
        let mut found = 0;
        for _ in Rounds::new(3, span) {
            let mut scanner = Scanner::new(ScanSettings::default())?;
            let before = ran();
            let report = scanner.cold(&rpc, 1_750_000_000).await.context("scan the local chain")?;
            found = report.new;
            times.took(ran().saturating_sub(before), found);
        }
        anyhow::Ok(found)
    })?;
    let row = Row::told("scan.cold", 1e3 / times.p50(), "M pools/s");
    let note = format!("{found} pools and their vaults, by this thread's own time");
    Ok(row.at_least(COLD_M).note(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pool_of_an_answer_is_read_and_decoded() {
        let taken = read(&answer(50).unwrap(), 50, Duration::ZERO).unwrap();
        assert_eq!((taken.floor.len(), taken.rows.len()), (16, 1));
        assert!(taken.rows[0].ratio_to_floor().is_some_and(|ratio| ratio > 1.0));
    }
}
