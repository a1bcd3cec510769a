//! Orca Whirlpool.

use serde_json::Value;
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::amm::whirlpool::{
    self, AdaptiveFee, AdaptiveState, Curve, Keys, MAX_SQRT_PRICE, MIN_SQRT_PRICE, Oracle,
    PoolState, Request, SwapArrays, SwapOrder, Tick, TickArray, decode_oracle, decode_pool,
    decode_pool_account, decode_tick_array, decode_tick_array_account,
};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;
use solana_instruction::Instruction;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, list, number, same, same_instruction, text,
};

pub(super) fn check(file: &str, states: &Value, vector: &Value) -> Verdict {
    match file {
        "swap" => swap(states, vector),
        "program_test_cases" => test_case(vector),
        "layout" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        "real_instructions" => real_instruction(vector),
        "pda" => derived(vector),
        "step_math" => step(vector),
        "tick_math" => tick(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

fn refused(error: impl std::fmt::Debug) -> Difference {
    Difference::new("expected.ok", "true", format!("{error:?}"))
}

/// The fee of one mint, which is the same in every epoch.
fn transfer_fee(of: &Value, field: &str) -> Result<EpochFees, Difference> {
    if of[field].is_null() {
        return Ok(EpochFees::NONE);
    }
    let fee = TransferFee { max: number(&of[field], "max")?, bps: number(&of[field], "bps")? };
    Ok(EpochFees { older: fee, newer: fee, newer_epoch: 0 })
}

fn request(vector: &Value) -> Result<Request, Difference> {
    let forward = flag(vector, "a_to_b")?;
    // The SDK always sets a limit, so that an exact output too may end short of what was asked.
    let limit = match number::<u128>(vector, "sqrt_price_limit")? {
        0 if forward => MIN_SQRT_PRICE,
        0 => MAX_SQRT_PRICE,
        limit => limit,
    };
    Ok(Request {
        forward,
        exact_in: flag(vector, "amount_is_input")?,
        amount: Atoms::new(number(vector, "amount")?),
        limit: Some(limit),
    })
}

fn curve(state: &Value, starts: &[i32]) -> Result<Result<Curve, QuoteError>, Difference> {
    let (pool, _) = decode_pool(&bytes(state, "whirlpool_data_b64")?).map_err(refused)?;
    let here = address(state, "pool_address")?;
    let oracle = if state["oracle_data_b64"].is_null() {
        None
    } else {
        let (owner, oracle) = decode_oracle(&bytes(state, "oracle_data_b64")?).map_err(refused)?;
        same("oracle.whirlpool", here, owner)?;
        Some(oracle)
    };
    let mut arrays = Vec::new();
    for array in list(state, "tick_arrays")? {
        let start = number(array, "start_tick_index")?;
        let (owner, decoded) = decode_tick_array(&bytes(array, "data_b64")?).map_err(refused)?;
        same("tick_array.whirlpool", here, owner)?;
        same("start_tick_index", start, decoded.start)?;
        let derived = whirlpool::tick_array_address(&here, start);
        same("tick_array.address", address(array, "address")?, derived)?;
        if starts.contains(&start) {
            arrays.push(decoded);
        }
    }
    let fees =
        [transfer_fee(state, "mint_a_transfer_fee")?, transfer_fee(state, "mint_b_transfer_fee")?];
    Ok(Curve::new(&pool, oracle.as_ref(), &arrays, fees))
}

/// The reasons with a single meaning.
fn same_reason(error: &str, got: QuoteError) -> Result<(), Difference> {
    use QuoteError::{MissingArray, NoLiquidity, Overflow, PriceLimit, TooSmall};
    let expected: &[QuoteError] = match error {
        "InvalidSqrtPriceLimitDirection" => &[PriceLimit],
        "ZeroTradableAmount" => &[TooSmall],
        // Beyond the arrays that are there, or beyond all that one swap may have.
        "TickArraySequenceInvalid" => &[MissingArray, NoLiquidity],
        _ => &[Overflow],
    };
    same("error", true, expected.contains(&got))
        .map_err(|_| Difference::new("error", error, format!("{got:?}")))
}

fn swap(states: &Value, vector: &Value) -> Verdict {
    let expected = &vector["expected"];
    let state = &states[text(vector, "state")?];
    let starts: Vec<i32> = list(vector, "tick_arrays")?
        .iter()
        .map(|start| number(&serde_json::json!({ "start": start }), "start"))
        .collect::<Result<_, _>>()?;
    let request = request(vector)?;
    let clock = Clock { now: number(vector, "timestamp")?, ..Clock::default() };
    let curve = curve(state, &starts)?;
    let got = curve.and_then(|curve| {
        let given = whirlpool::array_starts(curve.pool(), request.forward);
        let swap = curve.swap(request, &clock);
        Ok((given, swap?))
    });
    if !flag(expected, "ok")? {
        return match got {
            Ok((_, swap)) => Err(Difference::new("expected.ok", "false", format!("{swap:?}"))),
            Err(error) => same_reason(text(expected, "error")?, error).map(|()| Outcome::Passed),
        };
    }
    let (given, swap) = got.map_err(refused)?;
    same("tick_arrays", Some(&starts[..]), given.get(..starts.len()))?;
    let is = |field: &str, got: Atoms| same(field, number(expected, field)?, got.get());
    is("amount_in", swap.paid)?;
    is("amount_out", swap.received)?;
    is("fee", swap.fee)?;
    is("transfer_fee_in", swap.input_transfer_fee)?;
    is("transfer_fee_out", swap.output_transfer_fee)?;
    same("fee_rate_min", number(expected, "fee_rate_min")?, swap.fee_rate_min)?;
    same("fee_rate_max", number(expected, "fee_rate_max")?, swap.fee_rate_max)?;
    same("end_sqrt_price", number(expected, "end_sqrt_price")?, swap.sqrt_price)?;
    same("end_tick", number(expected, "end_tick")?, swap.tick)?;
    Ok(Outcome::Passed)
}

/// A pool without initialised ticks, whose price lies exactly on a tick.
fn test_case(vector: &Value) -> Verdict {
    let expected = &vector["expected"];
    let tick_spacing = number(vector, "tick_spacing")?;
    let tick = number(vector, "tick_current")?;
    let pool = PoolState {
        tick_spacing,
        fee_tier: tick_spacing,
        fee_rate: number(vector, "fee_rate")?,
        protocol_fee_rate: number(vector, "protocol_fee_rate")?,
        liquidity: number(vector, "liquidity")?,
        sqrt_price: whirlpool::sqrt_price_at(tick),
        tick,
        ..PoolState::default()
    };
    let request = Request { limit: Some(number(vector, "sqrt_price_limit")?), ..request(vector)? };
    // From the array of the current tick on, in both directions.
    let first = whirlpool::array_start(tick, tick_spacing);
    let span = i32::from(tick_spacing) * 88;
    let arrays =
        (0..3).map(|nth| if request.forward { first - nth * span } else { first + nth * span });
    let arrays: Vec<_> = arrays.map(|start| TickArray { start, ticks: Vec::new() }).collect();
    let curve = Curve::new(&pool, None, &arrays, [EpochFees::NONE; 2]);
    let got = curve.and_then(|curve| curve.swap(request, &Clock::default()));
    if !flag(expected, "ok")? {
        return match got {
            Ok(swap) => Err(Difference::new("expected.ok", "false", format!("{swap:?}"))),
            Err(error) => same_reason(text(expected, "error")?, error).map(|()| Outcome::Passed),
        };
    }
    let swap = got.map_err(refused)?;
    let (a, b) = if request.forward {
        (swap.vault_in, swap.vault_out)
    } else {
        (swap.vault_out, swap.vault_in)
    };
    let is = |field: &str, got: Atoms| same(field, number(expected, field)?, got.get());
    is("amount_a", a)?;
    is("amount_b", b)?;
    is("next_protocol_fee", swap.protocol_fee)?;
    same("next_liquidity", number(expected, "next_liquidity")?, swap.liquidity)?;
    same("next_tick", number(expected, "next_tick")?, swap.tick)?;
    same("next_sqrt_price", number(expected, "next_sqrt_price")?, swap.sqrt_price)?;
    same(
        "next_fee_growth_global_in",
        number(expected, "next_fee_growth_global_in")?,
        swap.fee_growth,
    )?;
    Ok(Outcome::Passed)
}

fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    if !vector["data_len"].is_null() {
        same("data_len", number(vector, "data_len")?, data.len())?;
    }
    same("owner", address(vector, "owner")?, whirlpool::PROGRAM_ID)?;
    let e = &vector["expected"];
    match text(vector, "account")? {
        "Whirlpool" => pool(&data, e)?,
        "TickArray" | "DynamicTickArray" => tick_array(vector, &data, e)?,
        "Oracle" => oracle(&data, e)?,
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

/// A list of small numbers as bytes.
fn octets(of: &Value, field: &str) -> Result<Vec<u8>, Difference> {
    list(of, field)?
        .iter()
        .map(|octet| number(&serde_json::json!({ field: octet }), field))
        .collect()
}

fn pool(data: &[u8], e: &Value) -> Result<(), Difference> {
    let got = decode_pool_account(data).map_err(refused)?;
    let (state, keys) = decode_pool(data).map_err(refused)?;
    same("short form", (&got.state, &got.keys), (&state, &keys))?;
    let a = |field: &str, got: Address| same(field, address(e, field)?, got);
    a("whirlpoolsConfig", keys.config)?;
    same("whirlpoolBump", octets(e, "whirlpoolBump")?, vec![keys.bump])?;
    let sides = ["A", "B"].into_iter().zip(keys.mints).zip(keys.vaults).zip(got.fee_growth);
    for (((side, mint), vault), growth) in sides {
        a(&format!("tokenMint{side}"), mint)?;
        a(&format!("tokenVault{side}"), vault)?;
        let field = format!("feeGrowthGlobal{side}");
        same(&field, number(e, &field)?, growth)?;
    }
    let seed = octets(e, "feeTierIndexSeed")?;
    let expected = PoolState {
        tick_spacing: number(e, "tickSpacing")?,
        fee_tier: seed.try_into().map_or(0, u16::from_le_bytes),
        fee_rate: number(e, "feeRate")?,
        protocol_fee_rate: number(e, "protocolFeeRate")?,
        liquidity: number(e, "liquidity")?,
        sqrt_price: number(e, "sqrtPrice")?,
        tick: number(e, "tickCurrentIndex")?,
        protocol_fees: [
            Atoms::new(number(e, "protocolFeeOwedA")?),
            Atoms::new(number(e, "protocolFeeOwedB")?),
        ],
    };
    same("state", expected, state)?;
    let updated = "rewardLastUpdatedTimestamp";
    same(updated, number(e, updated)?, got.rewards_updated)?;
    if e["rewardInfos"].is_null() {
        return Ok(());
    }
    let rewards = list(e, "rewardInfos")?;
    same("rewardInfos", rewards.len(), got.rewards.len())?;
    for (e, got) in rewards.iter().zip(got.rewards) {
        let expected = whirlpool::Reward {
            mint: address(e, "mint")?,
            vault: address(e, "vault")?,
            extension: octets(e, "extension")?.try_into().unwrap_or_default(),
            emissions_per_second: number(e, "emissionsPerSecondX64")?,
            growth: number(e, "growthGlobalX64")?,
        };
        same("rewardInfos", expected, got)?;
    }
    Ok(())
}

fn tick_array(vector: &Value, data: &[u8], e: &Value) -> Result<(), Difference> {
    let got = decode_tick_array_account(data).map_err(refused)?;
    let (pool, short) = decode_tick_array(data).map_err(refused)?;
    same("whirlpool", address(e, "whirlpool")?, got.pool)?;
    same("startTickIndex", number(e, "startTickIndex")?, got.start)?;
    if vector["address"].is_string() {
        let derived = whirlpool::tick_array_address(&got.pool, got.start);
        same("address", address(vector, "address")?, derived)?;
    }
    let ticks = list(e, "ticks")?;
    same("ticks", ticks.len(), got.ticks.len())?;
    for (e, got) in ticks.iter().zip(&got.ticks) {
        let rewards = list(e, "rewardGrowthsOutside")?;
        same("rewardGrowthsOutside", rewards.len(), 3)?;
        for (reward, got) in rewards.iter().zip(got.reward_growths_outside) {
            let field = "rewardGrowthsOutside";
            same(field, number(&serde_json::json!({ field: reward }), field)?, got)?;
        }
        let expected = whirlpool::TickAccount {
            tick: Tick { slot: number(e, "idx")?, liquidity_net: number(e, "liquidityNet")? },
            liquidity_gross: number(e, "liquidityGross")?,
            fee_growth_outside: [number(e, "feeGrowthOutsideA")?, number(e, "feeGrowthOutsideB")?],
            reward_growths_outside: got.reward_growths_outside,
        };
        same("tick", &expected, got)?;
    }
    let ticks = got.ticks.iter().map(|tick| tick.tick).collect();
    same("short form", (got.pool, TickArray { start: got.start, ticks }), (pool, short))
}

fn oracle(data: &[u8], e: &Value) -> Result<(), Difference> {
    let (owner, got) = decode_oracle(data).map_err(refused)?;
    same("whirlpool", address(e, "whirlpool")?, owner)?;
    let (fee, state) = (&e["adaptiveFeeConstants"], &e["adaptiveFeeVariables"]);
    // What is reserved is not decoded, but tells where the fields around it lie.
    for (of, at) in [(fee, 66..82), (state, 110..126), (e, 126..254)] {
        same("reserved", Some(&octets(of, "reserved")?[..]), data.get(at))?;
    }
    let expected = Oracle {
        trade_from: number(e, "tradeEnableTimestamp")?,
        fee: AdaptiveFee {
            filter_period: number(fee, "filterPeriod")?,
            decay_period: number(fee, "decayPeriod")?,
            reduction_factor: number(fee, "reductionFactor")?,
            control_factor: number(fee, "adaptiveFeeControlFactor")?,
            max_volatility: number(fee, "maxVolatilityAccumulator")?,
            group_size: number(fee, "tickGroupSize")?,
            major_swap_ticks: number(fee, "majorSwapThresholdTicks")?,
        },
        state: AdaptiveState {
            reference_updated: number(state, "lastReferenceUpdateTimestamp")?,
            major_swap: number(state, "lastMajorSwapTimestamp")?,
            volatility_reference: number(state, "volatilityReference")?,
            group_reference: number(state, "tickGroupIndexReference")?,
            volatility: number(state, "volatilityAccumulator")?,
        },
    };
    same("oracle", expected, got)
}

/// What a swap instruction is made of; its mints and token programs are read from `args` where it names them.
fn build(args: &Value, order: SwapOrder, v2: bool) -> Result<Instruction, Difference> {
    let a = |field: &str| address(args, field);
    let pair = |name: &str| Ok::<_, Difference>([a(&format!("{name}A"))?, a(&format!("{name}B"))?]);
    let (token_programs, mints) = if v2 {
        (pair("tokenProgram")?, pair("tokenMint")?)
    } else {
        ([whirlpool::TOKEN_PROGRAM; 2], [Address::default(); 2])
    };
    let keys = Keys { oracle: a("oracle")?, vaults: pair("tokenVault")?, token_programs };
    let [zero, one] = pair("tokenOwnerAccount")?;
    let (source, destination) = if order.forward { (zero, one) } else { (one, zero) };
    let accounts = SwapAccounts { owner: a("tokenAuthority")?, source, destination };
    let mut supplemental = [None; whirlpool::MAX_SUPPLEMENTAL];
    let field = "supplemental_tick_arrays";
    let given = args[field].as_array().into_iter().flatten();
    same(field, true, given.clone().count() <= supplemental.len())?;
    for (array, slot) in given.zip(&mut supplemental) {
        *slot = Some(address(&serde_json::json!({ field: array }), field)?);
    }
    let fixed = [a("tickArray0")?, a("tickArray1")?, a("tickArray2")?];
    let arrays = SwapArrays { fixed, supplemental };
    let pool = a("whirlpool")?;
    Ok(if v2 {
        same("memoProgram", a("memoProgram")?, whirlpool::MEMO_PROGRAM)?;
        whirlpool::swap_instruction(pool, &keys, mints, order, accounts, &arrays)
    } else {
        whirlpool::swap_v1_instruction(pool, &keys, order, accounts, &arrays)
    })
}

fn amount(exact_in: bool, amount: u64, threshold: u64) -> LegAmount {
    let (amount, threshold) = (Atoms::new(amount), Atoms::new(threshold));
    if exact_in {
        LegAmount::ExactIn { amount_in: amount, min_out: threshold }
    } else {
        LegAmount::ExactOut { amount_out: amount, max_in: threshold }
    }
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let order = SwapOrder {
        forward: flag(args, "aToB")?,
        amount: amount(
            flag(args, "amountSpecifiedIsInput")?,
            number(args, "amount")?,
            number(args, "otherAmountThreshold")?,
        ),
        sqrt_price_limit: number(args, "sqrtPriceLimit")?,
    };
    let v2 = match text(vector, "kind")? {
        "swap" => false,
        "swap_v2" => true,
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    same_instruction(vector, &build(args, order, v2)?)?;
    Ok(Outcome::Passed)
}

/// Takes a recorded instruction apart and builds it anew.
fn real_instruction(vector: &Value) -> Verdict {
    let v2 = match text(vector, "id")? {
        "real-whirlpool-swap_ix" => false,
        "real-whirlpool-swap_v2_ix" => true,
        _ => {
            return Ok(Outcome::Skipped(
                "two swaps in one instruction, which the engine never sends",
            ));
        }
    };
    let mut args = serde_json::Map::new();
    let accounts = list(vector, "accounts")?;
    for account in accounts {
        args.insert(text(account, "label")?.to_owned(), account["pubkey"].clone());
    }
    let hex = text(vector, "data_hex")?;
    let octet =
        |at: usize| hex.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let data: Vec<u8> = (0..hex.len() / 2).map_while(octet).collect();
    let word = |at: usize| {
        data.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
    };
    let limit = data.get(24..40).and_then(|limit| limit.try_into().ok()).map(u128::from_le_bytes);
    let short = || Difference::new("data_hex", "42 bytes", data.len().to_string());
    let order = SwapOrder {
        forward: data.get(41) == Some(&1),
        amount: amount(
            data.get(40) == Some(&1),
            word(8).ok_or_else(short)?,
            word(16).ok_or_else(short)?,
        ),
        sqrt_price_limit: limit.ok_or_else(short)?,
    };
    let mut got = build(&Value::Object(args), order, v2)?;
    // Another instruction of the same transaction can raise a flag. It never lowers one, except that a program which
    // swaps on its own account signs for it, so that nobody does in the transaction.
    for (meta, expected) in got.accounts.iter_mut().zip(accounts) {
        let signs = flag(expected, "is_signer")?;
        meta.is_signer = signs || (meta.is_signer && text(expected, "label")? != "tokenAuthority");
        meta.is_writable |= flag(expected, "is_writable")?;
    }
    same_instruction(vector, &got)?;
    Ok(Outcome::Passed)
}

fn derived(vector: &Value) -> Verdict {
    let inputs = &vector["inputs"];
    let expected = &vector["expected"];
    let mints = [address(inputs, "mint_a")?, address(inputs, "mint_b")?];
    let config = address(inputs, "config")?;
    let (pool, bump) = whirlpool::pool_address(&config, mints, number(inputs, "fee_tier_index")?);
    same("whirlpool", address(expected, "whirlpool")?, pool)?;
    same("bump", number(expected, "bump")?, bump)?;
    let array = whirlpool::tick_array_address(&pool, number(inputs, "tick_array_start")?);
    same("tick_array", address(expected, "tick_array")?, array)?;
    same("oracle", address(expected, "oracle")?, whirlpool::oracle_address(&pool))?;
    Ok(Outcome::Passed)
}

fn step(vector: &Value) -> Verdict {
    let function = text(vector, "fn")?;
    let price = |field: &str| number::<u128>(vector, field);
    let got: Option<u128> = match function {
        "amount_delta_a" | "amount_delta_b" => {
            let (one, other) = (price("sqrt_price_1")?, price("sqrt_price_2")?);
            let liquidity = price("liquidity")?;
            let amount = if function == "amount_delta_a" {
                whirlpool::amount_0(one, other, liquidity).ok()
            } else {
                Some(whirlpool::amount_1(one, other, liquidity))
            };
            let up = flag(vector, "round_up")?;
            amount.and_then(|amount| if up { amount.up() } else { amount.down() }).map(u128::from)
        }
        "next_sqrt_price_from_a" | "next_sqrt_price_from_b" => {
            let after = if function == "next_sqrt_price_from_a" {
                whirlpool::price_after_0
            } else {
                whirlpool::price_after_1
            };
            let add = flag(vector, "specified_input")?;
            after(price("sqrt_price")?, price("liquidity")?, number(vector, "amount")?, add).ok()
        }
        "apply_transfer_fee" | "reverse_apply_transfer_fee" => {
            let fee =
                TransferFee { max: number(vector, "max_fee")?, bps: number(vector, "fee_bps")? };
            let amount: u64 = number(vector, "amount")?;
            if function == "apply_transfer_fee" {
                amount.checked_sub(fee.of(amount)).map(u128::from)
            } else {
                let extra = if amount == 0 { Some(0) } else { fee.so_that_arrives(amount) };
                extra.and_then(|extra| amount.checked_add(extra)).map(u128::from)
            }
        }
        _ => return Ok(Outcome::Skipped("unknown function")),
    };
    let expected = &vector["expected"];
    let expected =
        if flag(expected, "ok")? { Some(number::<u128>(expected, "value")?) } else { None };
    same("value", expected, got)?;
    Ok(Outcome::Passed)
}

fn tick(vector: &Value) -> Verdict {
    let tick = number(vector, "tick")?;
    let price = number(vector, "sqrt_price_x64")?;
    if text(vector, "id")?.starts_with("wp-inv") {
        same("tick", tick, whirlpool::tick_at(price))?;
    } else {
        same("sqrt_price_x64", price, whirlpool::sqrt_price_at(tick))?;
    }
    Ok(Outcome::Passed)
}
