//! Whether a verdict still holds, by accounts of one state.

use sniper_core::amm::dlmm;
use sniper_core::ids::Address;
use sniper_core::scan::{Kind, RowId, Verdict};
use sniper_core::units::{Atoms, Slot};

use super::cold::{check, fetch};
use super::error::ScanError;
use super::program::Program;
use super::report::Opportunity;
use super::request::{Request, accounts_request};
use super::scanner::Scanner;
use super::state::{Beside, Extra, Notice};
use crate::json::Encoding;
use crate::rpc::RpcConnectionPool;

/// The bin that a DLMM pool trades in, and the account it lies in.
struct Active {
    row: RowId,
    bin: i32,
    array: Address,
    /// The side of the bin that would come out.
    second: bool,
}

impl Scanner {
    /// Reads the pools of a verdict again, both and their vaults from one state, and judges anew; none where nothing
    /// is left of it. The active bin of a DLMM pool is read as well: a verdict needs something in it to take.
    ///
    /// # Errors
    /// As [`Self::cold`].
    pub async fn confirm(
        &mut self,
        rpc: &RpcConnectionPool,
        verdict: Verdict,
        now: u64,
    ) -> Result<Option<Opportunity>, ScanError> {
        let mut keys = Vec::with_capacity(6);
        let (mut pools, mut bins) = (Vec::with_capacity(2), Vec::new());
        for (row, buys) in [(verdict.buy, true), (verdict.sell, false)] {
            let Some(known) = self.pools.table.get(row) else { return Ok(None) };
            keys.extend(self.accounts(row)?);
            pools.push((known.address, known.slot.get()));
            bins.extend(self.active(row, buys));
        }
        let at_least = pools.iter().map(|(_, slot)| *slot).max().unwrap_or(0);
        keys.extend(bins.iter().map(|active| active.array));
        let request = Request {
            commitment: self.settings.commitment,
            encoding: Encoding::Base64,
            slice: None,
            at_least: Some(at_least),
        };
        let (endpoint, chunks) = fetch(rpc, accounts_request(keys.iter(), &request)?).await?;
        // Nothing is taken before the whole answer is known to be one.
        let mut accounts = Vec::with_capacity(keys.len());
        let summary = self.read(&endpoint, &chunks, |_, account| {
            accounts.push(account.map(|a| (a.owner.to_owned(), a.data.to_vec())));
            Ok(())
        })?;
        let slot = check(&summary, keys.len(), at_least)?;
        let arrays = accounts.split_off(keys.len() - bins.len());
        for (address, account) in keys.iter().zip(&accounts) {
            let (owner, data) = account.as_ref().map_or(("", &[][..]), |(o, d)| (o, d));
            self.apply(&Notice { address: *address, owner, slot, data }, now)?;
        }
        let held = bins.iter().zip(&arrays).all(|(active, array)| {
            let array = array.as_ref().filter(|(owner, _)| owner == Program::Dlmm.text());
            array.is_some_and(|(_, data)| self.holds(active, data))
        });
        let best = self.pools.table.figures(verdict.buy, Slot::new(slot)).and_then(|f| f.verdict);
        let same = |best: &Verdict| best.buy == verdict.buy && best.sell == verdict.sell && held;
        let agree = |row| self.pools.table.get(row).is_some_and(|known| known.slot.get() == slot);
        let Some(verdict) = best.filter(same).filter(|v| agree(v.buy) && agree(v.sell)) else {
            return Ok(None);
        };
        self.opportunities += 1;
        let [buy, sell] =
            [pools.first(), pools.last()].map(|pool| pool.map(|(address, _)| *address));
        Ok(buy.zip(sell).map(|(buy, sell)| Opportunity { verdict, buy, sell, slot }))
    }

    /// The active bin of a DLMM pool, as far as its row knows; none for other kinds.
    fn active(&self, row: RowId, buys: bool) -> Option<Active> {
        let pool = self.pools.table.get(row).filter(|pool| pool.kind == Kind::Dlmm)?;
        let figures = self.pools.table.figures(row, pool.slot)?;
        let Beside::Bin(bin) = self.pools.extra(row)?.beside() else { return None };
        let index = dlmm::array_of(bin);
        let array = dlmm::bin_array_address(&pool.address, index);
        // Whoever buys takes the base out, whoever sells the quote.
        let wanted = if buys { figures.base } else { figures.quote };
        Some(Active { row, bin, array, second: wanted == pool.mints[1] })
    }

    /// Whether the pool still trades in that bin, and the bin holds what would come out.
    fn holds(&self, active: &Active, data: &[u8]) -> bool {
        let still = self.pools.extra(active.row).map(Extra::beside);
        let place = u8::try_from(active.bin.rem_euclid(dlmm::BINS_PER_ARRAY)).ok();
        let Ok((array, _)) = dlmm::decode_bin_array(data) else { return false };
        let bin = array.bins.iter().find(|bin| Some(bin.place) == place);
        let amount = bin.and_then(|bin| bin.amounts.get(usize::from(active.second)));
        still == Some(Beside::Bin(active.bin)) && amount.is_some_and(|amount| *amount > Atoms::ZERO)
    }
}
