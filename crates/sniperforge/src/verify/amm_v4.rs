//! Raydium AMM v4.

use serde_json::Value;
use sniper_core::amm::amm_v4::{
    self, Curve, DecodedKeys, Fraction, Keys, OrderBook, OrderSettings, PoolAccount, PoolState,
    Swap, Totals, decode_pool, decode_pool_account,
};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, list, number, same, same_instruction, text,
};

/// SOL/USDC, which moved from its Serum market to one of OpenBook and kept its addresses.
const MOVED: Address = Address::from_str_const("58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2");

pub(super) fn check(file: &str, _states: &Value, vector: &Value) -> Verdict {
    match file {
        "swap_base_in" => swap(vector, true),
        "swap_base_out" => swap(vector, false),
        "layout_pool" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

fn refused(error: impl std::fmt::Debug) -> impl FnOnce() -> Difference {
    move || Difference::new("expected.ok", "true", format!("{error:?}"))
}

/// What one swap vector puts in.
struct Input {
    pool: PoolState,
    vaults: [Atoms; 2],
    forward: bool,
    amount: Atoms,
    clock: Clock,
}

impl Input {
    fn read(vector: &Value) -> Result<Self, Difference> {
        let pool = decode_pool(&bytes(vector, "pool_data_b64")?);
        let (pool, _) = pool.map_err(|error| refused(error)())?;
        let vault = |field| Ok::<_, Difference>(Atoms::new(number(vector, field)?));
        let forward = match text(vector, "direction")? {
            "coin_to_pc" => true,
            "pc_to_coin" => false,
            other => return Err(Difference::new("direction", "a known one", other)),
        };
        Ok(Self {
            pool,
            vaults: [vault("coin_vault_amount")?, vault("pc_vault_amount")?],
            forward,
            amount: vault("amount")?,
            clock: Clock { now: number(vector, "clock_unix_timestamp")?, ..Clock::default() },
        })
    }

    fn run(&self, exact_in: bool) -> Result<Swap, QuoteError> {
        let curve = Curve::new(self.vaults, &self.pool)?;
        if exact_in {
            curve.swap_exact_in(self.forward, self.amount, &self.clock)
        } else {
            curve.swap_exact_out(self.forward, self.amount, &self.clock)
        }
    }

    /// A side holds exactly what is owed from it: every swap is refused, which the program finds out step by step.
    fn is_empty(&self) -> bool {
        self.vaults.iter().zip(&self.pool.owed).any(|(vault, owed)| vault == owed)
    }
}

fn swap(vector: &Value, exact_in: bool) -> Verdict {
    let expected = &vector["expected"];
    let input = Input::read(vector)?;
    let got = input.run(exact_in);
    if !flag(expected, "ok")? {
        return match got {
            Ok(swap) => Err(Difference::new("expected.ok", "false", format!("{swap:?}"))),
            Err(error) => refusal(&expected["error"], &input, error),
        };
    }
    let swap = got.map_err(|error| refused(error)())?;
    let is = |of: &Value, field: &str, got: Atoms| same(field, number(of, field)?, got.get());
    is(expected, "amount_in", swap.paid)?;
    is(expected, "amount_out", swap.received)?;
    same("pool_status_after", number(expected, "pool_status_after")?, swap.status_after)?;
    // The second opinion counts where it agrees with the program.
    let sdk = &vector["sdk"];
    if exact_in && !sdk.is_null() && flag(sdk, "matches_program")? {
        is(sdk, "amount_out", swap.received)?;
        is(sdk, "fee", swap.fee)?;
    }
    Ok(Outcome::Passed)
}

/// Each of the program's codes has one meaning; where it breaks off without one, it must be about numbers.
fn refusal(expected: &Value, input: &Input, got: QuoteError) -> Verdict {
    use QuoteError::{NoLiquidity, NotOpen, Overflow, Paused, TooSmall};
    let fits = match (expected["in"].as_str(), expected["custom"].as_u64()) {
        (Some("amm"), Some(22)) => matches!(got, Paused | NotOpen),
        (Some("amm"), Some(29)) if input.is_empty() => got == NoLiquidity,
        (Some("amm"), Some(29)) => got == TooSmall,
        (Some("amm"), Some(32 | 40)) => got == NoLiquidity,
        (Some("token_program"), Some(14)) => got == Overflow,
        (None, None) if expected["abort"] == true => matches!(got, NoLiquidity | Overflow),
        _ => return Err(Difference::new("expected.error", "a known one", expected.to_string())),
    };
    if fits {
        return Ok(Outcome::Passed);
    }
    Err(Difference::new("expected.error", expected.to_string(), format!("{got:?}")))
}

fn account(vector: &Value) -> Verdict {
    let got = decode_pool_account(&bytes(vector, "data_b64")?);
    let got = got.map_err(|error| refused(error)())?;
    same("owner", address(vector, "owner")?, amm_v4::PROGRAM_ID)?;
    same("account", pool(&vector["expected"])?, got.clone())?;
    if vector["account"].is_null() {
        return Ok(Outcome::Passed);
    }
    // Real pools: the same authority for all, and addresses that follow from the market of their first day.
    Keys::try_from(&got.keys).map_err(|error| refused(error)())?;
    let derived = amm_v4::derive(&got.keys.market);
    if !vector["address"].is_null() {
        let address = address(vector, "address")?;
        if address == MOVED {
            return Ok(Outcome::Passed);
        }
        same("address", address, derived.pool)?;
    }
    same("lpMint", got.keys.lp_mint, derived.lp_mint)?;
    same("vaults", got.keys.vaults, derived.vaults)?;
    same("openOrders", got.keys.open_orders, derived.open_orders)?;
    same("targetOrders", got.keys.target_orders, derived.target_orders)?;
    Ok(Outcome::Passed)
}

fn pool(e: &Value) -> Result<PoolAccount, Difference> {
    let n = |field: &str| number::<u64>(e, field);
    let wide = |field: &str| number::<u128>(e, field);
    let a = |field: &str| address(e, field);
    let fraction = |name: &str| {
        let part = |part: &str| n(&format!("{name}{part}"));
        Ok(Fraction { numerator: part("Numerator")?, denominator: part("Denominator")? })
    };
    let padding = list(e, "padding")?;
    same("padding", 3, padding.len())?;
    let padding = |nth: usize| {
        let parsed = padding.get(nth).and_then(Value::as_str).and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| Difference::new("padding", "three numbers", e["padding"].to_string()))
    };
    Ok(PoolAccount {
        state: PoolState {
            status: n("status")?,
            open_time: n("poolOpenTime")?,
            lp_supply: Atoms::new(n("lpReserve")?),
            owed: [Atoms::new(n("baseNeedTakePnl")?), Atoms::new(n("quoteNeedTakePnl")?)],
            swap_fee: fraction("swapFee")?,
        },
        keys: DecodedKeys {
            nonce: n("nonce")?,
            decimals: [n("baseDecimal")?, n("quoteDecimal")?],
            vaults: [a("baseVault")?, a("quoteVault")?],
            mints: [a("baseMint")?, a("quoteMint")?],
            lp_mint: a("lpMint")?,
            open_orders: a("openOrders")?,
            market: a("marketId")?,
            market_program: a("marketProgramId")?,
            target_orders: a("targetOrders")?,
            withdraw_queue: a("withdrawQueue")?,
            lp_vault: a("lpVault")?,
            owner: a("owner")?,
        },
        orders: OrderSettings {
            max_order: n("maxOrder")?,
            depth: n("depth")?,
            state: n("state")?,
            reset_flag: n("resetFlag")?,
            min_size: n("minSize")?,
            vol_max_cut_ratio: n("volMaxCutRatio")?,
            amount_wave_ratio: n("amountWaveRatio")?,
            lot_sizes: [n("baseLotSize")?, n("quoteLotSize")?],
            min_price_multiplier: n("minPriceMultiplier")?,
            max_price_multiplier: n("maxPriceMultiplier")?,
            system_decimal_value: n("systemDecimalValue")?,
            min_separate: fraction("minSeparate")?,
            trade_fee: fraction("tradeFee")?,
            pnl: fraction("pnl")?,
            orderbook_to_init_time: n("orderbookToInitTime")?,
        },
        totals: Totals {
            pnl: [n("baseTotalPnl")?, n("quoteTotalPnl")?],
            punished: [n("punishCoinAmount")?, n("punishPcAmount")?],
            swapped_in: [wide("swapBaseInAmount")?, wide("swapQuoteInAmount")?],
            swapped_out: [wide("swapBaseOutAmount")?, wide("swapQuoteOutAmount")?],
            swap_fees: [n("swapBase2QuoteFee")?, n("swapQuote2BaseFee")?],
        },
        client_order_id: padding(0)?,
        recent_epoch: padding(1)?,
        padding: padding(2)?,
    })
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let a = |field: &str| address(args, field);
    let n = |field: &str| Ok::<_, Difference>(Atoms::new(number(args, field)?));
    let kind = text(vector, "kind")?;
    let amount = match kind {
        "swap_base_in" | "swap_base_in_v2" => {
            LegAmount::ExactIn { amount_in: n("amount_in")?, min_out: n("minimum_amount_out")? }
        }
        "swap_base_out" | "swap_base_out_v2" => {
            LegAmount::ExactOut { amount_out: n("amount_out")?, max_in: n("max_amount_in")? }
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    same("authority", a("authority")?, amm_v4::AUTHORITY)?;
    let nonce = [u8::try_from(amm_v4::AUTHORITY_NONCE).unwrap_or_default()];
    let seeds = [amm_v4::AUTHORITY_SEED, &nonce];
    let authority = Address::create_program_address(&seeds, &amm_v4::PROGRAM_ID);
    same("authority", Some(amm_v4::AUTHORITY), authority.ok())?;
    let pool = a("pool")?;
    let keys = Keys { vaults: [a("vault_coin")?, a("vault_pc")?] };
    let accounts = SwapAccounts {
        owner: a("owner")?,
        source: a("user_source")?,
        destination: a("user_destination")?,
    };
    let got = if kind.ends_with("_v2") {
        amm_v4::swap_instruction(pool, &keys, amount, accounts)
    } else {
        let book = OrderBook {
            open_orders: a("open_orders")?,
            target_orders: a("target_orders")?,
            program: a("market_program")?,
            market: a("market")?,
            bids: a("bids")?,
            asks: a("asks")?,
            event_queue: a("event_queue")?,
            vaults: [a("market_base_vault")?, a("market_quote_vault")?],
            vault_signer: a("market_vault_signer")?,
        };
        amm_v4::book_swap_instruction(pool, &keys, &book, amount, accounts)
    };
    same_instruction(vector, &got)?;
    Ok(Outcome::Passed)
}
