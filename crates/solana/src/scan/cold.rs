//! Reading all pools, and all vaults.

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, Stream, StreamExt as _, pending};
use sniper_core::amm::{pump_curve, pump_fees};
use sniper_core::ids::Address;
use sniper_core::scan::{RowId, TableError};
use sniper_core::units::Slot;

use super::beside::Beside;
use super::error::{ReplyError, ScanError};
use super::follow::Account as Followed;
use super::program::{BALANCE, Program};
use super::reply::Summary;
use super::report::ColdReport;
use super::request::{KEYS_MAX, Request, accounts_request, pools_request};
use super::scanner::Scanner;
use super::state::Pools;
use super::torn::From as Source;
use crate::json::{Account, Encoding};
use crate::rpc::{AccountFilter, CallKind, EndpointName, Next, RpcConnectionPool, RpcError};

const POOLS: &str = "getProgramAccounts";
const ACCOUNTS: &str = "getMultipleAccounts";

/// Requests for vaults under way at a time.
const AHEAD: usize = 4;

/// Attempts of one request, the first included.
const ATTEMPTS_MAX: u32 = 4;

/// Owners of token accounts.
const TOKEN_PROGRAMS: [&str; 2] =
    ["TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"];

impl Scanner {
    /// Reads all pools of all programs, then the vaults of those that are new. `now` is in seconds since the Unix
    /// epoch. May be repeated: what is known is brought up to date.
    ///
    /// # Errors
    /// When a node gives no usable answer. What came before stays in the table.
    pub async fn cold(
        &mut self,
        rpc: &RpcConnectionPool,
        now: u64,
    ) -> Result<ColdReport, ScanError> {
        self.cold_beside(rpc, now, &mut pending()).await
    }

    /// As [`Self::cold`], and takes the accounts that are told meanwhile as they come. What is told beyond the end
    /// of the reading is left in the stream.
    ///
    /// # Errors
    /// As [`Self::cold`].
    pub async fn cold_beside(
        &mut self,
        rpc: &RpcConnectionPool,
        now: u64,
        told: &mut (dyn Stream<Item = Followed> + Send + Unpin),
    ) -> Result<ColdReport, ScanError> {
        let mut report = ColdReport { slot: u64::MAX, ..ColdReport::default() };
        let mut beside = Beside::new(told, now);
        let before = (self.pools.table.len(), self.pools.left_out);
        let read = self.read_all(rpc, &mut report, &mut beside).await;
        beside.end(&mut self.pools);
        (report.told, report.told_changes) = (beside.taken, beside.changes);
        report.told_refused = beside.refused;
        read?;
        self.pools.shrink_to_fit();
        report.left_out = self.pools.left_out.saturating_sub(before.1);
        report.new = self.pools.table.len().saturating_sub(before.0);
        if self.warm {
            self.new_pools += u64::try_from(report.new).unwrap_or(0);
        }
        self.warm = true;
        Ok(report)
    }

    async fn read_all(
        &mut self,
        rpc: &RpcConnectionPool,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<(), ScanError> {
        let mut at_least = rpc.highest_slot().get();
        for program in self.settings.programs.clone() {
            match self.list_program(rpc, program, at_least, report, beside).await {
                Ok(slot) => at_least = at_least.max(slot),
                Err(ScanError::Rpc(error)) if program.is_vast() && self.goes_on_without() => {
                    tracing::warn!(%error, program = program.text(), "not listed: it has too many accounts");
                    report.unlisted = Some(program);
                }
                Err(error) => return Err(error),
            }
        }
        let rows = std::mem::take(&mut self.pools.to_read);
        self.read_vaults(rpc, rows, at_least, report, beside).await?;
        // Pools that were told of while those were read.
        let rows = std::mem::take(&mut self.pools.to_read);
        self.read_vaults(rpc, rows, at_least, report, beside).await
    }

    /// Whether there is another program to scan.
    fn goes_on_without(&self) -> bool {
        self.settings.programs.len() > 1
    }

    /// A program's shared fees and its pools.
    async fn list_program(
        &mut self,
        rpc: &RpcConnectionPool,
        program: Program,
        at_least: u64,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<u64, ScanError> {
        let mut at_least = at_least;
        if let Some(filters) = program.config_filters() {
            self.list(rpc, program, &filters, at_least, report, beside).await?;
        }
        if let Some((address, owner)) = program.fee_account() {
            self.read_fees(rpc, address, owner).await?;
        }
        let mut queries = vec![program.list_filters()];
        if let Some(mint) = self.settings.mint {
            let with = [false, true].map(|second| program.with_mint(second, &mint));
            if with.iter().any(Option::is_some) {
                let with = with.into_iter().flatten();
                queries = with.map(|mint| [program.list_filters(), vec![mint]].concat()).collect();
            }
            if program == Program::PumpCurve {
                self.read_curve(rpc, pump_curve::bonding_curve(&mint), beside.now).await?;
                // Only what is priced in SOL is not found by its account.
                queries.retain(|filters| filters.len() > 2 || mint == pump_fees::WRAPPED_SOL);
            }
        }
        for filters in queries {
            let slot = self.list(rpc, program, &filters, at_least, report, beside).await?;
            at_least = at_least.max(slot);
        }
        Ok(at_least)
    }

    /// The account of fees that all pools of a program share. Without it they stay out of every comparison.
    async fn read_fees(
        &mut self,
        rpc: &RpcConnectionPool,
        address: Address,
        owner: Address,
    ) -> Result<(), ScanError> {
        let read = self.read_one(rpc, address).await?;
        let known = read.filter(|(found, ..)| *found == owner.to_string());
        let Some((_, data, _)) = known else {
            tracing::warn!(account = %address, "no such fees: pools that pay them are not compared");
            return Ok(());
        };
        match self.pools.take_config(address, &data) {
            Err(error @ ScanError::Account { .. }) => {
                tracing::warn!(%error, "fees not read: pools that pay them are not compared");
                Ok(())
            }
            taken => taken.map(drop),
        }
    }

    /// The bonding curve of one mint, if it has one.
    async fn read_curve(
        &mut self,
        rpc: &RpcConnectionPool,
        address: Address,
        now: u64,
    ) -> Result<(), ScanError> {
        let read = self.read_one(rpc, address).await?;
        let known = read.filter(|(owner, ..)| owner == Program::PumpCurve.text());
        let Some((_, data, slot)) = known else { return Ok(()) };
        let from = (data.as_slice(), Source::List);
        self.pools.take_state(Program::PumpCurve, address, from, slot, now).map(drop)
    }

    /// One account as a node has it, old or new: its owner, its bytes and their slot.
    async fn read_one(
        &mut self,
        rpc: &RpcConnectionPool,
        address: Address,
    ) -> Result<Option<(String, Vec<u8>, u64)>, ScanError> {
        let request = Request {
            commitment: self.settings.commitment,
            encoding: Encoding::Base64,
            slice: None,
            at_least: None,
        };
        let (endpoint, chunks) = fetch(rpc, accounts_request([address].iter(), &request)?).await?;
        let mut found = None;
        let summary = self.read(&endpoint, &chunks, |_, account| {
            found = account.map(|account| (account.owner.to_owned(), account.data.to_vec()));
            Ok(())
        })?;
        let slot = check(&summary, 1, 0)?;
        Ok(found.map(|(owner, data)| (owner, data, slot)))
    }

    /// One list of a program's accounts: its pools, or its shared fee accounts.
    async fn list(
        &mut self,
        rpc: &RpcConnectionPool,
        program: Program,
        filters: &[AccountFilter],
        at_least: u64,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<u64, ScanError> {
        let is_config = program.config_filters().as_deref() == Some(filters);
        let request = Request {
            commitment: self.settings.commitment,
            encoding: self.settings.encoding,
            slice: if is_config { None } else { Some(program.slice()) },
            at_least: Some(at_least),
        };
        let body = pools_request(&program.id(), filters, &request)?;
        let (mut attempt, before) = (1, *report);
        loop {
            // What an answer that broke off had is in the table, and is read again.
            *report = ColdReport { bytes: report.bytes, ..before };
            let once =
                self.list_once(rpc, (program, is_config), body.clone(), at_least, report, beside);
            match once.await {
                Err(ScanError::Rpc(error)) => pause(error, &mut attempt).await?,
                other => return other,
            }
        }
    }

    async fn list_once(
        &mut self,
        rpc: &RpcConnectionPool,
        (program, is_config): (Program, bool),
        body: Bytes,
        at_least: u64,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<u64, ScanError> {
        let pools = &mut self.pools;
        let mut chunks = beside.until(pools, rpc.open(POOLS, body)).await?;
        let endpoint = chunks.endpoint().clone();
        self.reader.restart();
        let now = beside.now;
        let outcome = loop {
            let chunk = match beside.until(pools, chunks.next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break self.reader.finish().map_err(Refused::Reply),
                Err(error) => break Err(Refused::Scan(ScanError::Rpc(error))),
            };
            report.bytes += chunk.len();
            let taken = self.reader.feed(&chunk, |_, slot, account| {
                take_listed(pools, program, is_config, slot, account, now, report)
            });
            if let Err(refused) = taken {
                break Err(refused);
            }
        };
        let outcome = outcome.map_err(|refused| refused.at(&endpoint, POOLS));
        let blame = match &outcome {
            Err(ScanError::Rpc(error)) => Some(error),
            _ => None,
        };
        chunks.done(blame);
        let found = outcome?.slot;
        match found {
            Some(slot) if slot >= at_least => {
                report.slot = report.slot.min(slot);
                Ok(slot)
            }
            _ => Err(ScanError::Slot { method: POOLS, wanted: at_least, found }),
        }
    }

    /// Reads the vaults of all pools whose vaults were never read.
    ///
    /// # Errors
    /// As [`Self::cold`].
    pub async fn read_new(
        &mut self,
        rpc: &RpcConnectionPool,
        at_least: Slot,
    ) -> Result<ColdReport, ScanError> {
        let mut report = ColdReport { slot: u64::MAX, ..ColdReport::default() };
        let rows = std::mem::take(&mut self.pools.to_read);
        let mut nothing = pending();
        let mut alone = Beside::new(&mut nothing, 0);
        self.read_vaults(rpc, rows, at_least.get(), &mut report, &mut alone).await?;
        Ok(report)
    }

    /// Reads the vaults of pools whose state was told and whose vaults nobody tells of: at most so many requests, the
    /// rest next time. Tells which pools they were.
    ///
    /// # Errors
    /// As [`Self::cold`].
    pub async fn read_told(
        &mut self,
        rpc: &RpcConnectionPool,
        at_least: Slot,
        requests_max: usize,
    ) -> Result<Vec<RowId>, ScanError> {
        let most = requests_max.saturating_mul(KEYS_MAX / 2);
        let mut rows: Vec<RowId> = self.pools.asked.iter().copied().take(most).collect();
        if !rows.is_empty() {
            let mut report = ColdReport { slot: u64::MAX, ..ColdReport::default() };
            let mut nothing = pending();
            let mut alone = Beside::new(&mut nothing, 0);
            // After an error they are still asked for.
            self.read_vaults_of(rpc, &mut rows, at_least.get(), &mut report, &mut alone).await?;
            for row in &rows {
                self.pools.asked.remove(row);
            }
        }
        Ok(rows)
    }

    /// Rows that could not be read go back to those that are to be.
    async fn read_vaults(
        &mut self,
        rpc: &RpcConnectionPool,
        mut rows: Vec<RowId>,
        at_least: u64,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<(), ScanError> {
        let read = self.read_vaults_of(rpc, &mut rows, at_least, report, beside).await;
        if read.is_err() {
            self.pools.to_read.extend(rows);
        }
        read
    }

    async fn read_vaults_of(
        &mut self,
        rpc: &RpcConnectionPool,
        rows: &mut Vec<RowId>,
        at_least: u64,
        report: &mut ColdReport,
        beside: &mut Beside<'_>,
    ) -> Result<(), ScanError> {
        rows.sort_unstable();
        rows.dedup();
        let request = Request {
            commitment: self.settings.commitment,
            encoding: Encoding::Base64,
            slice: Some(BALANCE),
            at_least: Some(at_least),
        };
        let mut parts = rows.chunks(KEYS_MAX / 2);
        let mut ahead = FuturesOrdered::new();
        loop {
            // A request is written when its turn comes: all of them together would be larger than the table.
            while ahead.len() < AHEAD
                && let Some(part) = parts.next()
            {
                let mut vaults = Vec::with_capacity(KEYS_MAX);
                self.pools.vaults_of_all(part, &mut vaults)?;
                let body = accounts_request(vaults.iter(), &request)?;
                ahead.push_back(async move { (part, fetch(rpc, body).await) });
            }
            let answer = beside.until(&mut self.pools, ahead.next()).await;
            let Some((part, answer)) = answer else { return Ok(()) };
            let (endpoint, chunks) = answer?;
            let mut balances = [None; KEYS_MAX];
            let summary = self.read(&endpoint, &chunks, |number, account| {
                if let Some(place) = balances.get_mut(number) {
                    *place = balance(account);
                }
                Ok(())
            })?;
            report.bytes += chunks.iter().map(Bytes::len).sum::<usize>();
            let slot = check(&summary, part.len() * 2, at_least)?;
            report.slot = report.slot.min(slot);
            let (pairs, _) = balances.as_chunks::<2>();
            for (row, pair) in part.iter().zip(pairs) {
                match *pair {
                    [Some(first), Some(second)] => {
                        self.pools.take_vaults(*row, [first, second], slot)?;
                    }
                    _ => report.unread += 1,
                }
            }
        }
    }

    /// An answer of `getMultipleAccounts`.
    pub(super) fn read(
        &mut self,
        endpoint: &EndpointName,
        chunks: &[Bytes],
        mut each: impl FnMut(usize, Option<Account<'_>>) -> Result<(), ScanError>,
    ) -> Result<Summary, ScanError> {
        self.reader.restart();
        for chunk in chunks {
            let fed = self
                .reader
                .feed(chunk, |number, _, account| each(number, account).map_err(Refused::Scan));
            fed.map_err(|refused| refused.at(endpoint, ACCOUNTS))?;
        }
        self.reader.finish().map_err(|source| Refused::Reply(source).at(endpoint, ACCOUNTS))
    }
}

/// Why an account or an answer was not taken, before it is known whose it was.
#[derive(Debug)]
enum Refused {
    Reply(ReplyError),
    Scan(ScanError),
}

impl From<ReplyError> for Refused {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

impl Refused {
    /// A node's own no is an error of the request; the rest is an answer that cannot be used.
    fn at(self, endpoint: &EndpointName, method: &'static str) -> ScanError {
        let endpoint = endpoint.clone();
        match self {
            Self::Reply(ReplyError::Node { code, message }) => {
                ScanError::Rpc(RpcError::Node { endpoint, method, code, message, data: None })
            }
            Self::Reply(source) => ScanError::Reply { endpoint, method, source },
            Self::Scan(error) => error,
        }
    }
}

/// An account of a list. What is no pool is counted and left out; a full table ends the scan.
fn take_listed(
    pools: &mut Pools,
    program: Program,
    is_config: bool,
    slot: Option<u64>,
    account: Option<Account<'_>>,
    now: u64,
    report: &mut ColdReport,
) -> Result<(), Refused> {
    let slot = slot.ok_or(ScanError::Slot { method: POOLS, wanted: 0, found: None });
    let slot = slot.map_err(Refused::Scan)?;
    let Some((address, account)) = account.and_then(|account| account.address.zip(Some(account)))
    else {
        report.refused += 1;
        return Ok(());
    };
    let taken = if account.owner != program.text() {
        report.refused += 1;
        return Ok(());
    } else if is_config {
        pools.take_config(address, account.data)
    } else {
        report.pools += 1;
        pools.take_state(program, address, (account.data, Source::List), slot, now)
    };
    match taken {
        Ok(_) => {}
        Err(
            ScanError::Account { .. }
            | ScanError::Table(TableError::SameMint(_) | TableError::Different(_)),
        ) => report.refused += 1,
        Err(error) => return Err(Refused::Scan(error)),
    }
    Ok(())
}

/// A token account's balance, from the slice that was asked for or from all of it.
fn balance(account: Option<Account<'_>>) -> Option<u64> {
    let account = account.filter(|account| TOKEN_PROGRAMS.contains(&account.owner))?;
    let bytes = match account.data.len() {
        8 => account.data,
        _ => account.data.get(BALANCE.offset..)?,
    };
    bytes.first_chunk().copied().map(u64::from_le_bytes)
}

/// Whether an answer is as long and as new as was asked for.
pub(super) fn check(summary: &Summary, wanted: usize, at_least: u64) -> Result<u64, ScanError> {
    if summary.accounts != wanted {
        return Err(ScanError::Count { method: ACCOUNTS, wanted, found: summary.accounts });
    }
    let found = summary.slot;
    let slot = found.filter(|slot| *slot >= at_least);
    slot.ok_or(ScanError::Slot { method: ACCOUNTS, wanted: at_least, found })
}

/// The whole answer of one `getMultipleAccounts`, repeated as its errors allow.
pub(super) async fn fetch(
    rpc: &RpcConnectionPool,
    body: Bytes,
) -> Result<(EndpointName, Vec<Bytes>), ScanError> {
    let mut attempt = 1;
    loop {
        let error = match fetch_once(rpc, body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        pause(error, &mut attempt).await?;
    }
}

async fn fetch_once(
    rpc: &RpcConnectionPool,
    body: Bytes,
) -> Result<(EndpointName, Vec<Bytes>), RpcError> {
    const LIMIT: usize = 64 << 20;
    let mut chunks = rpc.open(ACCOUNTS, body).await?;
    let endpoint = chunks.endpoint().clone();
    let (mut all, mut length) = (Vec::new(), 0);
    let error = loop {
        match chunks.next().await {
            Ok(Some(chunk)) if length + chunk.len() <= LIMIT => {
                length += chunk.len();
                all.push(chunk);
            }
            Ok(Some(_)) => {
                break Some(RpcError::TooLarge {
                    endpoint: endpoint.clone(),
                    method: ACCOUNTS,
                    limit: LIMIT,
                });
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    chunks.done(error.as_ref());
    error.map_or(Ok((endpoint, all)), Err)
}

/// Waits before another attempt, or gives the error back.
async fn pause(error: RpcError, attempt: &mut u32) -> Result<(), RpcError> {
    match error.next(CallKind::Read) {
        Next::Wait(pause) if *attempt < ATTEMPTS_MAX => {
            tracing::debug!(%error, attempt = *attempt, "scan request repeated");
            tokio::time::sleep(pause.saturating_mul(1 << *attempt)).await;
            *attempt += 1;
            Ok(())
        }
        _ => Err(error),
    }
}
