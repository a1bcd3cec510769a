//! Raydium CPMM.

use serde_json::Value;
use sniper_core::amm::cpmm::{
    self, Config, ConfigAccount, Curve, Keys, PoolState, Swap, decode_config,
    decode_config_account, decode_pool,
};
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee, decode_transfer_fees};
use sniper_core::amm::{QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, number, same, same_instruction, text,
};

pub(super) fn check(file: &str, _states: &Value, vector: &Value) -> Verdict {
    match file {
        "swap_base_input" => swap(vector, true),
        "swap_base_output" => swap(vector, false),
        "layout" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        "pda" => derived(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

fn refused(error: impl std::fmt::Debug) -> impl FnOnce() -> Difference {
    move || Difference::new("expected.ok", "true", format!("{error:?}"))
}

/// The transfer fee of one side: from the mint's bytes, which must agree with the plain form beside them.
fn transfer_fee(vector: &Value, side: usize) -> Result<TransferFee, Difference> {
    let plain = &vector[format!("mint_{side}_transfer_fee")];
    let part = |part: &Value| -> Result<TransferFee, Difference> {
        Ok(TransferFee { max: number(part, "max")?, bps: number(part, "bps")? })
    };
    let fees = if plain.is_null() {
        EpochFees::NONE
    } else {
        EpochFees {
            older: part(&plain["older"])?,
            newer: part(&plain["newer"])?,
            newer_epoch: number(&plain["newer"], "epoch")?,
        }
    };
    let field = format!("mint_{side}_data_b64");
    if !vector[&field].is_null() {
        same(&field, Ok(fees), decode_transfer_fees(&bytes(vector, &field)?))?;
    }
    Ok(fees.at(number(vector, "epoch")?))
}

fn run(vector: &Value, exact_in: bool) -> Result<Result<Swap, QuoteError>, Difference> {
    let pool = decode_pool(&bytes(vector, "pool_data_b64")?);
    let (pool, _) = pool.map_err(|error| refused(error)())?;
    let config = decode_config(&bytes(vector, "config_data_b64")?);
    let config = config.map_err(|error| refused(error)())?;
    let vault = |field| Ok::<_, Difference>(Atoms::new(number(vector, field)?));
    let vaults = [vault("vault_0_amount")?, vault("vault_1_amount")?];
    let fees = [transfer_fee(vector, 0)?, transfer_fee(vector, 1)?];
    let forward = flag(vector, "zero_for_one")?;
    let now = number(vector, "clock_unix_timestamp")?;
    let amount = Atoms::new(number(vector, "amount")?);
    Ok(Curve::new(vaults, &pool, &config, fees).and_then(|curve| {
        if exact_in {
            curve.swap_exact_in(forward, amount, now)
        } else {
            curve.swap_exact_out(forward, amount, now)
        }
    }))
}

fn swap(vector: &Value, exact_in: bool) -> Verdict {
    let expected = &vector["expected"];
    let got = run(vector, exact_in)?;
    if !flag(expected, "ok")? {
        let error = match got {
            Ok(swap) => return Err(Difference::new("expected.ok", "false", format!("{swap:?}"))),
            Err(error) => error,
        };
        // 6000 and 6013 are the codes with a single meaning per state: closed, and an unknown fee side.
        let program_error = &expected["error"];
        let custom = &program_error["custom"];
        let closed = matches!(error, QuoteError::Paused | QuoteError::NotOpen);
        same("error.custom is 6000", *custom == 6000, closed)?;
        same("error.custom is 6013", *custom == 6013, error == QuoteError::Unsupported)?;
        return Ok(Outcome::Passed);
    }
    let swap = got.map_err(|error| refused(error)())?;
    let is = |of: &Value, field: &str, got: Atoms| same(field, number(of, field)?, got.get());
    is(expected, "user_paid", swap.paid)?;
    is(expected, "user_received", swap.received)?;
    is(expected, "vault_in_delta", swap.vault_in)?;
    is(expected, "vault_out_delta", swap.vault_out)?;
    let event = &expected["event"];
    is(event, "input_amount", swap.input_amount)?;
    is(event, "output_amount", swap.vault_out)?;
    is(event, "input_transfer_fee", swap.input_transfer_fee)?;
    is(event, "output_transfer_fee", swap.output_transfer_fee)?;
    is(event, "trade_fee", swap.trade_fee)?;
    is(event, "creator_fee", swap.creator_fee)?;
    same("creator_fee_on_input", flag(event, "creator_fee_on_input")?, swap.creator_fee_on_input)?;
    let side_in = usize::from(!flag(vector, "zero_for_one")?);
    let creator_side = if swap.creator_fee_on_input { side_in } else { 1 - side_in };
    for side in 0..2 {
        let when = |here: bool, amount: Atoms| if here { amount } else { Atoms::ZERO };
        let accrued = &expected["accrued"];
        is(accrued, &format!("protocol_{side}"), when(side == side_in, swap.protocol_fee))?;
        is(accrued, &format!("fund_{side}"), when(side == side_in, swap.fund_fee))?;
        is(accrued, &format!("creator_{side}"), when(side == creator_side, swap.creator_fee))?;
    }
    Ok(Outcome::Passed)
}

fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    let e = &vector["expected"];
    match text(vector, "account")? {
        "PoolState" => pool(&data, e)?,
        "AmmConfig" => config(&data, e)?,
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

fn pool(data: &[u8], e: &Value) -> Result<(), Difference> {
    let (state, keys) = decode_pool(data).map_err(|error| refused(error)())?;
    let a = |field: &str, got: Address| same(field, address(e, field)?, got);
    let n = |field: &str, got: u64| same(field, number(e, field)?, got);
    a("configId", keys.config)?;
    a("poolCreator", keys.creator)?;
    a("mintLp", keys.lp_mint)?;
    a("observationId", keys.observation)?;
    n("bump", keys.auth_bump.into())?;
    n("lpDecimals", keys.lp_decimals.into())?;
    n("epoch", keys.recent_epoch)?;
    let sides = ["A", "B"].into_iter().zip(keys.vaults).zip(keys.mints).zip(keys.token_programs);
    for ((((side, vault), mint), program), decimals) in sides.zip(keys.decimals) {
        a(&format!("vault{side}"), vault)?;
        a(&format!("mint{side}"), mint)?;
        a(&format!("mintProgram{side}"), program)?;
        n(&format!("mintDecimal{side}"), decimals.into())?;
    }
    let pair = |name: &str| -> Result<[Atoms; 2], Difference> {
        let side = |side| Ok(Atoms::new(number(e, &format!("{name}Mint{side}"))?));
        Ok([side("A")?, side("B")?])
    };
    let expected = PoolState {
        status: number(e, "status")?,
        open_time: number(e, "openTime")?,
        lp_supply: Atoms::new(number(e, "lpAmount")?),
        protocol_fees: pair("protocolFees")?,
        fund_fees: pair("fundFees")?,
        creator_fees: pair("creatorFees")?,
        shared_creator_fees: [Atoms::ZERO; 2],
        creator_fee_on: number(e, "feeOn")?,
        enable_creator_fee: flag(e, "enableCreatorFee")?,
    };
    same("state", expected, state)
}

fn config(data: &[u8], e: &Value) -> Result<(), Difference> {
    let got = decode_config_account(data).map_err(|error| refused(error)())?;
    let expected = ConfigAccount {
        config: Config {
            trade_fee_rate: number(e, "tradeFeeRate")?,
            protocol_fee_rate: number(e, "protocolFeeRate")?,
            fund_fee_rate: number(e, "fundFeeRate")?,
            creator_fee_rate: number(e, "creatorFeeRate")?,
        },
        bump: number(e, "bump")?,
        disable_create_pool: flag(e, "disableCreatePool")?,
        index: number(e, "index")?,
        create_pool_fee: number(e, "createPoolFee")?,
        protocol_owner: address(e, "protocolOwner")?,
        fund_owner: address(e, "fundOwner")?,
        creator_fee_share_rate: number(e, "creatorFeeShareRate")?,
    };
    same("config", expected, got)
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let a = |field: &str| address(args, field);
    let n = |field: &str| Ok::<_, Difference>(Atoms::new(number(args, field)?));
    let amount = match text(vector, "kind")? {
        "swap_base_input" => {
            LegAmount::ExactIn { amount_in: n("amount_in")?, min_out: n("minimum_amount_out")? }
        }
        "swap_base_output" => {
            LegAmount::ExactOut { amount_out: n("amount_out")?, max_in: n("max_amount_in")? }
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    same("authority", a("authority")?, cpmm::AUTHORITY)?;
    // Both ways round: a pool whose mint 0 is the input, and one whose mint 1 is.
    for forward in [true, false] {
        let order = |input: &str, output: &str| -> Result<[Address; 2], Difference> {
            let [input, output] = [a(input)?, a(output)?];
            Ok(if forward { [input, output] } else { [output, input] })
        };
        let keys = Keys {
            config: a("amm_config")?,
            observation: a("observation")?,
            vaults: order("input_vault", "output_vault")?,
            token_programs: order("input_token_program", "output_token_program")?,
        };
        let accounts = SwapAccounts {
            owner: a("payer")?,
            source: a("user_input")?,
            destination: a("user_output")?,
        };
        let mints = order("input_mint", "output_mint")?;
        let got = cpmm::swap_instruction(a("pool")?, &keys, mints, forward, amount, accounts);
        same_instruction(vector, &got)?;
    }
    Ok(Outcome::Passed)
}

fn derived(vector: &Value) -> Verdict {
    let inputs = &vector["inputs"];
    let expected = &vector["expected"];
    same("program", address(inputs, "program")?, cpmm::PROGRAM_ID)?;
    let mints = [address(inputs, "mint_0")?, address(inputs, "mint_1")?];
    let got = cpmm::derive(&address(inputs, "amm_config")?, mints);
    let is = |field: &str, got: Address| same(field, address(expected, field)?, got);
    is("poolId", got.pool)?;
    is("lpMint", got.lp_mint)?;
    is("vaultA", got.vaults[0])?;
    is("vaultB", got.vaults[1])?;
    is("observationId", got.observation)?;
    is("authority", cpmm::AUTHORITY)?;
    let authority = Address::find_program_address(&[cpmm::AUTHORITY_SEED], &cpmm::PROGRAM_ID);
    same("authority", authority.0, cpmm::AUTHORITY)?;
    Ok(Outcome::Passed)
}
