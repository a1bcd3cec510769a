//! Which block an answer is made from.

use serde_json::json;
use solana_hash::Hash;

use super::params::Config;
use super::{Node, RpcError};
use crate::chain::ledger::{Commitment, Ledger};

/// The block whose state answers a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bank {
    pub(crate) slot: u64,
    pub(crate) height: u64,
    pub(crate) hash: Hash,
}

impl Node {
    /// The bank of a commitment level, as this port sees it.
    pub(crate) fn bank(&self, ledger: &Ledger, commitment: Commitment) -> Bank {
        let block = ledger.block_behind(self.port.lag() + self.chain.depths.of(commitment));
        Bank { slot: block.slot, height: block.height, hash: block.hash }
    }

    /// The bank a call asks for; refused if it is older than the call allows.
    pub(crate) fn bank_for(&self, ledger: &Ledger, config: Config<'_>) -> Result<Bank, RpcError> {
        let bank = self.bank(ledger, config.commitment()?);
        check_min_slot(bank, config)?;
        Ok(bank)
    }
}

pub(crate) fn check_min_slot(bank: Bank, config: Config<'_>) -> Result<(), RpcError> {
    match config.number("minContextSlot")? {
        Some(least) if bank.slot < least => Err(RpcError::with_data(
            -32016,
            "Minimum context slot has not been reached",
            json!({"contextSlot": bank.slot}),
        )),
        _ => Ok(()),
    }
}
