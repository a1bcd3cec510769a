//! Meteora DLMM.

mod accounts;

use serde_json::Value;
use sniper_core::amm::dlmm::{
    self, Curve, EVENT_AUTHORITY, EVENT_AUTHORITY_SEED, Keys, PROGRAM_ID, Swap, Volatility,
    array_of, bin_array_address, bitmap_extension_address, decode_bin_array, decode_pool,
    oracle_address, pair_address, price_of, reserve_address,
};
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee, decode_transfer_fees};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::{Atoms, Price, Slot};
use solana_instruction::AccountMeta;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, list, number, same, same_instruction, text,
};

pub(super) fn check(file: &str, states: &Value, vector: &Value) -> Verdict {
    match file {
        "swap" => swap(states, vector),
        "layout" | "real_accounts" => accounts::account(vector),
        "instructions" => instruction(vector),
        "real_instructions" => real_instruction(vector),
        "pda" => derived(vector),
        "price_math" => price(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

fn refused(error: impl std::fmt::Debug) -> Difference {
    Difference::new("expected.ok", "true", format!("{error:?}"))
}

/// One of the accounts seen on chain, which a state may name instead of holding it.
fn real(states: &Value, is: impl Fn(&Value) -> bool) -> Option<&Value> {
    states["real_accounts"].as_array()?.iter().find(|account| is(account))
}

/// The bytes of an account of a state: its own, or those seen at its address.
fn state_bytes(
    states: &Value,
    holder: &Value,
    field: &str,
    at: &Value,
) -> Result<Vec<u8>, Difference> {
    if !holder[field].is_null() {
        return bytes(holder, field);
    }
    let seen = real(states, |account| account["address"] == *at);
    bytes(seen.unwrap_or(&Value::Null), "data_b64")
}

/// The transfer fee of one side: from the mint's bytes where they were seen, else from the plain form.
fn transfer_fees(states: &Value, state: &Value, side: &str) -> Result<EpochFees, Difference> {
    let role = format!("token_{side}_mint");
    let pool = &state["real_account"];
    let seen = real(states, |a| !pool.is_null() && a["pool"] == *pool && a["role"] == role);
    if let Some(mint) = seen {
        return decode_transfer_fees(&bytes(mint, "data_b64")?).map_err(refused);
    }
    let plain = &state[format!("mint_{side}_transfer_fee")];
    if plain.is_null() {
        return Ok(EpochFees::NONE);
    }
    let part = |part: &Value| -> Result<TransferFee, Difference> {
        Ok(TransferFee { max: number(part, "max")?, bps: number(part, "bps")? })
    };
    Ok(EpochFees {
        older: part(&plain["older"])?,
        newer: part(&plain["newer"])?,
        newer_epoch: number(&plain["newer"], "epoch")?,
    })
}

fn curve(states: &Value, state: &Value) -> Result<Curve, Difference> {
    let pair = state_bytes(states, state, "lb_pair_data_b64", &state["real_account"])?;
    let (pool, _) = decode_pool(&pair).map_err(refused)?;
    let fees = [transfer_fees(states, state, "x")?, transfer_fees(states, state, "y")?];
    let mut curve = Curve::new(&pool, fees);
    for held in list(state, "bin_arrays")? {
        let data = state_bytes(states, held, "data_b64", &held["address"])?;
        let (array, _) = decode_bin_array(&data).map_err(refused)?;
        same("bin_arrays.index", number(held, "index")?, array.index)?;
        curve.set_array(array);
    }
    let vault = |field| Ok::<_, Difference>(Atoms::new(number(state, field)?));
    curve.set_vaults([vault("reserve_x_amount")?, vault("reserve_y_amount")?]);
    Ok(curve)
}

fn swap(states: &Value, vector: &Value) -> Verdict {
    let state = &states[text(vector, "state")?];
    if !state["real_account"].is_null() && states["real_accounts"].is_null() {
        return Ok(Outcome::Skipped("the accounts seen on chain are not beside this file"));
    }
    let curve = curve(states, state)?;
    let forward = flag(vector, "swap_for_y")?;
    let amount = Atoms::new(number(vector, "amount")?);
    let clock = Clock {
        now: number(vector, "clock_unix_timestamp")?,
        slot: Slot::ZERO,
        epoch: number(vector, "epoch")?,
    };
    let (got, quote, detail) = match text(vector, "mode")? {
        "exact_in" => (
            curve.swap_exact_in(forward, amount, &clock),
            curve.quote_exact_in(forward, amount, &clock),
            curve.detail_exact_in(forward, amount, &clock),
        ),
        "exact_out" => (
            curve.swap_exact_out(forward, amount, &clock),
            curve.quote_exact_out(forward, amount, &clock),
            curve.detail_exact_out(forward, amount, &clock),
        ),
        _ => return Ok(Outcome::Skipped("unknown mode")),
    };
    same("quote", got.map(|swap| swap.quote()), quote)?;
    same("detail", quote, detail.map(|detail| detail.quote))?;
    let expected = &vector["expected"];
    match (flag(expected, "ok")?, got) {
        (true, Ok(swap)) => {
            compare(expected, &swap, forward)?;
            let price = price_of(curve.pool().bin_step, swap.active).map(Price::from_raw);
            same("price_after", price, Some(swap.price_after))?;
        }
        (true, Err(error)) => return Err(refused(error)),
        (false, Ok(swap)) => {
            return Err(Difference::new("expected.ok", "false", format!("{swap:?}")));
        }
        (false, Err(error)) => same("error", class(&expected["error"]), Some(error))?,
    }
    Ok(Outcome::Passed)
}

/// What each of the program's refusals means.
fn class(error: &Value) -> Option<QuoteError> {
    match error["code"].as_str() {
        Some("PoolDisabled") => Some(QuoteError::Paused),
        Some("InvalidInput" | "InsufficientOutAmount") => Some(QuoteError::TooSmall),
        Some("BitmapExtensionAccountIsNotProvided") => Some(QuoteError::NoLiquidity),
        Some("AccountNotEnoughKeys") => Some(QuoteError::MissingArray),
        Some("UndeterminedError") => Some(QuoteError::Inexact),
        // The token program's: the vault holds less than its bins promise.
        None if error.as_str().is_some_and(|text| text.ends_with(" 0x1")) => {
            Some(QuoteError::NoLiquidity)
        }
        _ => None,
    }
}

fn compare(expected: &Value, swap: &Swap, forward: bool) -> Result<(), Difference> {
    let is = |field: &str, got: Atoms| same(field, number(expected, field)?, got.get());
    is("user_paid", swap.paid)?;
    is("user_received", swap.received)?;
    same("active_id", number(expected, "active_id")?, swap.active)?;
    same("v_parameters", volatility(&expected["v_parameters"])?, swap.volatility)?;
    let in_x = forward == swap.fee_on_input;
    let when = |here: bool| if here { swap.protocol_fee } else { Atoms::ZERO };
    is("protocol_fee_x", when(in_x))?;
    is("protocol_fee_y", when(!in_x))
}

fn volatility(of: &Value) -> Result<Volatility, Difference> {
    Ok(Volatility {
        accumulator: number(of, "volatilityAccumulator")?,
        reference: number(of, "volatilityReference")?,
        index: number(of, "indexReference")?,
        updated: number(of, "lastUpdateTimestamp")?,
    })
}

fn each<T>(
    values: &[Value],
    read: impl Fn(&Value) -> Result<T, Difference>,
) -> Result<Vec<T>, Difference> {
    values.iter().map(read).collect()
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let a = |field: &str| address(args, field);
    let n = |field: &str| Ok::<_, Difference>(Atoms::new(number(args, field)?));
    let kind = text(vector, "kind")?;
    let amount = match kind {
        "swap" | "swap2" => {
            LegAmount::ExactIn { amount_in: n("amount_in")?, min_out: n("min_amount_out")? }
        }
        "swap_exact_out" | "swap_exact_out2" => {
            LegAmount::ExactOut { amount_out: n("out_amount")?, max_in: n("max_in_amount")? }
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    let extension = &args["bitmap_extension"];
    let keys = Keys {
        vaults: [a("reserveX")?, a("reserveY")?],
        token_programs: [a("tokenXProgram")?, a("tokenYProgram")?],
        oracle: a("oracle")?,
        bitmap_extension: if extension.is_null() { None } else { Some(a("bitmap_extension")?) },
    };
    let accounts = SwapAccounts {
        owner: a("user")?,
        source: a("userTokenIn")?,
        destination: a("userTokenOut")?,
    };
    let read = |value: &Value| address(&serde_json::json!({ "array": value }), "array");
    let arrays = each(list(args, "bin_arrays")?, read)?;
    let mints = [a("tokenXMint")?, a("tokenYMint")?];
    let build =
        if kind.ends_with('2') { dlmm::swap_instruction } else { dlmm::plain_swap_instruction };
    same_instruction(vector, &build(a("lbPair")?, &keys, mints, amount, accounts, &arrays))?;
    Ok(Outcome::Passed)
}

/// Rebuilds an instruction seen on chain from its own accounts and amounts. Its flags may be raised by others of its
/// transaction, and it may name a host for a share of the fee, which the engine never does.
fn real_instruction(vector: &Value) -> Verdict {
    let seen = list(vector, "accounts")?;
    let labelled = |label: &str| {
        let found = seen.iter().find(|account| account["label"] == label);
        address(found.unwrap_or(&Value::Null), "pubkey")
    };
    let data = text(vector, "data_hex")?;
    let amount = |nth: usize| {
        let digits = data.get(16 * nth..16 * (nth + 1)).unwrap_or_default();
        let value = u64::from_str_radix(digits, 16).map(u64::swap_bytes);
        value
            .map(Atoms::new)
            .map_err(|error| Difference::new("data_hex", "a number", error.to_string()))
    };
    let exact_in = || Ok(LegAmount::ExactIn { amount_in: amount(1)?, min_out: amount(2)? });
    let exact_out =
        || Ok::<_, Difference>(LegAmount::ExactOut { max_in: amount(1)?, amount_out: amount(2)? });
    let newer = seen.iter().any(|account| account["label"] == "memoProgram");
    let id = text(vector, "id")?;
    let amount = match id.rsplit('-').next() {
        Some("swap_ix" | "swap2_ix") => exact_in()?,
        Some("swap_exact_out_ix" | "swap_exact_out2_ix") => exact_out()?,
        Some("swap_with_price_impact2_ix") => {
            return Ok(Outcome::Skipped("the engine bounds amounts, not the move of the price"));
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    let extension = labelled("binArrayBitmapExtension")?;
    let keys = Keys {
        vaults: [labelled("reserveX")?, labelled("reserveY")?],
        token_programs: [labelled("tokenXProgram")?, labelled("tokenYProgram")?],
        oracle: labelled("oracle")?,
        bitmap_extension: (extension != PROGRAM_ID).then_some(extension),
    };
    let accounts = SwapAccounts {
        owner: labelled("user")?,
        source: labelled("userTokenIn")?,
        destination: labelled("userTokenOut")?,
    };
    let unlabelled = seen.iter().filter(|account| account["label"].is_null());
    let arrays: Result<Vec<Address>, _> = unlabelled.map(|a| address(a, "pubkey")).collect();
    let mints = [labelled("tokenXMint")?, labelled("tokenYMint")?];
    let build = if newer { dlmm::swap_instruction } else { dlmm::plain_swap_instruction };
    let mut got = build(labelled("lbPair")?, &keys, mints, amount, accounts, &arrays?);
    for (meta, seen) in got.accounts.iter_mut().zip(seen) {
        if seen["label"] == "hostFeeIn" {
            *meta = AccountMeta::new_readonly(address(seen, "pubkey")?, false);
        }
        meta.is_writable |= flag(seen, "is_writable")?;
    }
    same_instruction(vector, &got)?;
    Ok(Outcome::Passed)
}

fn derived(vector: &Value) -> Verdict {
    let inputs = &vector["inputs"];
    let expected = &vector["expected"];
    let pool = address(inputs, "lb_pair")?;
    let mints = [address(inputs, "token_x")?, address(inputs, "token_y")?];
    let is = |field: &str, got: Address| same(field, address(expected, field)?, got);
    is("bin_array", bin_array_address(&pool, number(inputs, "bin_array_index")?))?;
    is("bitmap_extension", bitmap_extension_address(&pool))?;
    is("oracle", oracle_address(&pool))?;
    is("reserve_x", reserve_address(&pool, &mints[0]))?;
    let [step, factor] = [number(inputs, "bin_step")?, number(inputs, "base_factor")?];
    is("lb_pair_v2", pair_address(mints, step, factor))?;
    is("lb_pair_v2", pair_address([mints[1], mints[0]], step, factor))?;
    let index = "bin_array_index_of_bin_id";
    same(index, number(expected, index)?, array_of(number(inputs, "bin_id")?))?;
    let authority = Address::find_program_address(&[EVENT_AUTHORITY_SEED], &PROGRAM_ID);
    same("event authority", authority.0, EVENT_AUTHORITY)?;
    Ok(Outcome::Passed)
}

fn price(vector: &Value) -> Verdict {
    let got = price_of(number(vector, "bin_step")?, number(vector, "bin_id")?);
    same("price_q64", Some(number(vector, "price_q64")?), got)?;
    Ok(Outcome::Passed)
}
