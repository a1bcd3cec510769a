//! Transactions around a swap that somebody else has built.

use sniper_core::order::Order;
use sniper_core::risk::Limits;
use solana_hash::Hash;
use solana_instruction::Instruction;

use super::builder::{BuildError, REHEARSAL_UNITS, TransactionBuilder};
use super::instructions as ix;
use super::message::LookupTable;

impl TransactionBuilder {
    /// The message of an order whose swap was built elsewhere and found good: our budget, our making of the account
    /// that it pays into, and that swap.
    ///
    /// It may need more units than our own legs would. They are bid for with what the order has reserved: never more.
    ///
    /// # Errors
    /// See [`BuildError`]; among others more units than a transaction may have.
    pub fn around(
        &self,
        order: &Order,
        swap: &Instruction,
        units: u32,
        tables: &[LookupTable],
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        let units = told_apart(order, units).ok_or(BuildError::TooManyUnits)?;
        let price = self.price(order).min(affordable(order, units));
        self.wrapped(order, swap, [units.into(), price], tables, blockhash)
    }

    /// The same with all the units there may be, to be simulated and never sent.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn rehearsal_around(
        &self,
        order: &Order,
        swap: &Instruction,
        tables: &[LookupTable],
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        self.wrapped(order, swap, [REHEARSAL_UNITS.into(), 0], tables, blockhash)
    }

    fn wrapped(
        &self,
        order: &Order,
        swap: &Instruction,
        [units, price]: [u64; 2],
        tables: &[LookupTable],
        blockhash: &Hash,
    ) -> Result<Vec<u8>, BuildError> {
        let units = u32::try_from(units).map_err(|_| BuildError::TooManyUnits)?;
        let mut instructions = vec![ix::compute_unit_limit(units), ix::compute_unit_price(price)];
        // What lies between passes through no account of ours.
        if order.opens().iter().any(|(mint, _)| *mint == order.mint_out()) {
            instructions.push(self.create(self.mint(order.mint_out())?));
        }
        instructions.push(swap.clone());
        instructions.extend(self.tip(order));
        self.compile_with(&instructions, blockhash, tables)
    }
}

/// So many units, or a few more: no two orders alike may be the same bytes, see [`Limits::SERIALS`].
fn told_apart(order: &Order, units: u32) -> Option<u32> {
    let serial = order.compute_unit_limit() % Limits::SERIALS;
    let units = units.checked_next_multiple_of(Limits::SERIALS)?.checked_add(serial)?;
    (units <= REHEARSAL_UNITS).then_some(units)
}

/// The most that can be bid for each of so many units with what the order has reserved; rounded down.
fn affordable(order: &Order, units: u32) -> u64 {
    let spare = order.fee_cap().saturating_sub(order.tip()).saturating_sub(Limits::SIGNATURE_FEE);
    let micro = u128::from(spare.get()).saturating_mul(1_000_000);
    let price = micro.checked_div(u128::from(units)).unwrap_or(0);
    u64::try_from(price).unwrap_or(u64::MAX)
}
