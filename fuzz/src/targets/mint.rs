//! The extensions of a mint, and what they make of transfers.

use sniper_core::amm::pump_fees::decode_supply;
use sniper_core::amm::transfer_fee::{TransferFee, decode_transfer_fees};

use super::computed;
use super::input::Input;

/// A mint of any bytes and one of any extensions. A fee leaves something of what is sent and lets arrive what is
/// reckoned back.
pub fn extensions(data: &[u8]) {
    let mut input = Input(data);
    let (amount, epoch) = (input.u64(), input.u64());
    let rest = input.0;
    let mut extended = vec![0; 165];
    extended.push(1);
    extended.extend_from_slice(rest);
    for mint in [rest, &extended] {
        computed(decode_supply(mint));
        let Ok(fees) = decode_transfer_fees(mint) else { continue };
        let fee = fees.at(epoch);
        assert!(fee.bps <= 10_000, "{fee:?}");
        for amount in [amount, amount >> 16, amount >> 40, 0, 1, u64::MAX] {
            taken(fee, amount);
        }
    }
}

fn taken(fee: TransferFee, amount: u64) {
    let cost = fee.of(amount);
    assert!(cost <= amount && cost <= fee.max, "{fee:?} takes {cost} of {amount}");
    assert!(amount == 0 || fee.of(amount - 1) <= cost, "{fee:?} takes less of more than {amount}");
    let Some(extra) = fee.so_that_arrives(amount) else { return };
    let Some(sent) = amount.checked_add(extra) else { return };
    let arrives = sent - fee.of(sent);
    // Of all of it nothing arrives beyond the maximum: there the program reckons the maximum, whatever the amount.
    assert!(arrives >= amount || fee.bps == 10_000, "{fee:?}: {arrives} of {sent} for {amount}");
}
