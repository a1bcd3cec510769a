//! PumpSwap.

use serde_json::Value;
use sniper_core::amm::pump_fees::{
    FEE_PROGRAM_ID, FeeConfig, FeeConfigAccount, FeeTier, Fees, Recipients, SYSTEM_PROGRAM,
    Schedule, WRAPPED_SOL, associated_token, decode_fee_config,
};
use sniper_core::amm::pump_swap::{
    self, Config, ConfigAccount, Curve, DecodedKeys, Inputs, Keys, PoolState, Swap, decode_config,
    decode_config_account, decode_pool,
};
use sniper_core::amm::transfer_fee::TransferFee;
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, list, number, same, same_instruction, text,
};

/// SPL Token.
const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

pub(super) fn check(file: &str, header: &Value, vector: &Value) -> Verdict {
    match file {
        "swap" => swap(header, vector),
        "layout" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        "pda" => derived(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

pub(super) fn refused(error: impl std::fmt::Debug) -> Difference {
    Difference::new("expected.ok", "true", format!("{error:?}"))
}

pub(super) fn atoms(of: &Value, field: &str) -> Result<Atoms, Difference> {
    Ok(Atoms::new(number(of, field)?))
}

/// A list of addresses, as many as there must be.
pub(super) fn addresses<const N: usize>(
    of: &Value,
    field: &str,
) -> Result<[Address; N], Difference> {
    let all: Option<Vec<Address>> =
        list(of, field)?.iter().map(|key| key.as_str()?.parse().ok()).collect();
    let all = all.and_then(|all| <[Address; N]>::try_from(all).ok());
    all.ok_or_else(|| Difference::new(field, format!("{N} addresses"), of[field].to_string()))
}

/// An account that the header holds for all vectors.
pub(super) fn shared(header: &Value, group: &str, name: &str) -> Result<Vec<u8>, Difference> {
    bytes(header[group].get(name).unwrap_or(&Value::Null), "data_b64")
}

struct Case {
    pool: PoolState,
    vaults: [Atoms; 2],
    base_supply: Atoms,
    config: Config,
    fee_config: FeeConfig,
    schedule: Schedule,
}

impl Case {
    fn of(header: &Value, vector: &Value) -> Result<Self, Difference> {
        let (pool, keys) = decode_pool(&bytes(vector, "pool_data_b64")?).map_err(refused)?;
        let config = shared(header, "global_configs", text(vector, "global_config")?)?;
        let fee_config = shared(header, "fee_configs", text(vector, "fee_config")?)?;
        let nobody = Recipients { protocol: FEE_PROGRAM_ID, buyback: FEE_PROGRAM_ID };
        Ok(Self {
            pool,
            vaults: [atoms(vector, "pool_base_amount")?, atoms(vector, "pool_quote_amount")?],
            base_supply: atoms(vector, "base_mint_supply")?,
            config: decode_config(&config).map_err(refused)?,
            fee_config: decode_fee_config(&fee_config).map_err(refused)?.config,
            schedule: Keys::new(&keys, [FEE_PROGRAM_ID; 2], nobody).schedule,
        })
    }

    fn curve(&self) -> Result<Curve, QuoteError> {
        Curve::new(&Inputs {
            pool: &self.pool,
            vaults: self.vaults,
            base_supply: self.base_supply,
            config: &self.config,
            fee_config: &self.fee_config,
            schedule: self.schedule,
            transfer_fees: [TransferFee::NONE; 2],
        })
    }

    /// The same prices, with all that a sale could ask for in the vault.
    fn with_a_full_vault(mut self) -> Self {
        let [_, quote] = &mut self.vaults;
        self.pool.virtual_quote -= i128::from(u64::MAX - quote.get());
        *quote = Atoms::MAX;
        self
    }
}

fn run(function: &str, curve: &Curve, amount: Atoms) -> Option<Result<Swap, QuoteError>> {
    let clock = Clock::default();
    Some(match function {
        "buy_exact_quote_in" => curve.swap_exact_in(false, amount, &clock),
        "sell_exact_base_in" => curve.swap_exact_in(true, amount, &clock),
        "buy_exact_base_out" => curve.swap_exact_out(false, amount, &clock),
        "sell_exact_quote_out" => curve.swap_exact_out(true, amount, &clock),
        _ => return None,
    })
}

/// Why a vector must be refused, if it must.
fn refusal(expected: &Value) -> Result<Option<QuoteError>, Difference> {
    if !flag(expected, "ok")? {
        let error = text(expected, "error")?;
        let too_small = error == "Fees exceed total output; final quote is negative.";
        return Ok(Some(if too_small { QuoteError::TooSmall } else { QuoteError::NoLiquidity }));
    }
    let numbers = ["base_in", "base_out", "quote_in", "quote_out", "quote_wanted"];
    let given = numbers.into_iter().filter(|field| !expected[*field].is_null());
    let values: Vec<i128> = given.map(|field| number(expected, field)).collect::<Result<_, _>>()?;
    // The SDK quotes nothing, less than nothing and more than can be for what the program refuses.
    if expected["degenerate"] == true || values.contains(&0) {
        return Ok(Some(QuoteError::TooSmall));
    }
    let fits = values.iter().all(|value| u64::try_from(*value).is_ok());
    Ok((!fits).then_some(QuoteError::Overflow))
}

fn swap(header: &Value, vector: &Value) -> Verdict {
    let (function, expected) = (text(vector, "fn")?, &vector["expected"]);
    let case = Case::of(header, vector)?;
    let amount = atoms(vector, "amount")?;
    let curve = case.curve().map_err(refused)?;
    same("fee_bps", fees(&vector["fee_bps"], case.pool.has_creator)?, curve.fees())?;
    let Some(mut got) = run(function, &curve, amount) else {
        return Ok(Outcome::Skipped("unknown function"));
    };
    if let Some(error) = refusal(expected)? {
        same("expected.error", Err(error), got)?;
        return Ok(Outcome::Passed);
    }
    // For a sale by its output the SDK does not ask whether the vault can pay it; the program does.
    if function == "sell_exact_quote_out" && got == Err(QuoteError::NoLiquidity) {
        let payable = case.vaults[1];
        let full = case.with_a_full_vault().curve().map_err(refused)?;
        let swap = run(function, &full, amount).and_then(Result::ok).unwrap_or_default();
        let paid = swap.quote_before_fees.saturating_sub(swap.lp_fee);
        same("the vault can pay it", false, paid <= payable)?;
        got = Ok(swap);
    }
    let swap = got.map_err(refused)?;
    let is = |field: &str, got: Atoms| same(field, number(expected, field)?, got.get());
    is("quote_before_fees", swap.quote_before_fees)?;
    let (base, quote) = match function {
        "buy_exact_base_out" | "buy_exact_quote_in" => ("base_out", "quote_in"),
        "sell_exact_base_in" => ("base_in", "quote_out"),
        _ => ("base_in", "quote_wanted"),
    };
    is(base, swap.base)?;
    is(quote, swap.user_quote)?;
    Ok(Outcome::Passed)
}

/// Rates as they are charged: without a creator, the creator's is not.
fn fees(of: &Value, has_creator: bool) -> Result<Fees, Difference> {
    let creator_bps = number(of, "creatorFeeBps")?;
    Ok(Fees {
        lp_bps: number(of, "lpFeeBps")?,
        protocol_bps: number(of, "protocolFeeBps")?,
        creator_bps: if has_creator { creator_bps } else { 0 },
    })
}

fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    same("data_len", number(vector, "data_len")?, data.len())?;
    let (owner, e) = (address(vector, "owner")?, &vector["expected"]);
    match text(vector, "account")? {
        "Pool" => {
            same("owner", owner, pump_swap::PROGRAM_ID)?;
            pool(&data, e)?;
        }
        "GlobalConfig" => {
            same("owner", owner, pump_swap::PROGRAM_ID)?;
            config(&data, e)?;
        }
        "FeeConfig" => {
            same("owner", owner, FEE_PROGRAM_ID)?;
            fee_config(&data, e)?;
        }
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

fn pool(data: &[u8], e: &Value) -> Result<(), Difference> {
    let a = |field: &str| address(e, field);
    let coin_creator = a("coinCreator")?;
    let state = PoolState {
        lp_supply: atoms(e, "lpSupply")?,
        virtual_quote: number(e, "virtualQuoteReserves")?,
        creator_fee_bps: number(e, "creatorFeeBps")?,
        has_creator: coin_creator != Address::default(),
        mayhem: flag(e, "isMayhemMode")?,
    };
    let keys = DecodedKeys {
        bump: number(e, "poolBump")?,
        index: number(e, "index")?,
        creator: a("creator")?,
        mints: [a("baseMint")?, a("quoteMint")?],
        lp_mint: a("lpMint")?,
        vaults: [a("poolBaseTokenAccount")?, a("poolQuoteTokenAccount")?],
        coin_creator,
        cashback: flag(e, "isCashbackCoin")?,
        can_edit_creator_fee: flag(e, "canEditCreatorFee")?,
    };
    same("pool", Ok((state, keys)), decode_pool(data))
}

fn config(data: &[u8], e: &Value) -> Result<(), Difference> {
    let a = |field: &str| address(e, field);
    let n = |field: &str| number(e, field);
    let [b, c, d, e1, f, g, h] = addresses(e, "reservedFeeRecipients")?;
    let expected = ConfigAccount {
        config: Config {
            disable_flags: number(e, "disableFlags")?,
            creator_fee_configurable: flag(e, "creatorFeeConfigurable")?,
        },
        admin: a("admin")?,
        old_rates: [
            n("lpFeeBasisPoints")?,
            n("protocolFeeBasisPoints")?,
            n("coinCreatorFeeBasisPoints")?,
        ],
        protocol_recipients: addresses(e, "protocolFeeRecipients")?,
        set_creator_authority: a("adminSetCoinCreatorAuthority")?,
        whitelist: a("whitelistPda")?,
        reserved_recipients: [a("reservedFeeRecipient")?, b, c, d, e1, f, g, h],
        mayhem_enabled: flag(e, "mayhemModeEnabled")?,
        cashback_enabled: flag(e, "isCashbackEnabled")?,
        buyback_recipients: addresses(e, "buybackFeeRecipients")?,
        buyback_bps: n("buybackBasisPoints")?,
        boost_authority: a("boostAuthority")?,
        boost_enabled: flag(e, "boostEnabled")?,
        max_creator_fee_bps: n("maxConfigurableCreatorFeeBps")?,
    };
    same("config", Ok(expected), decode_config_account(data))
}

fn fee_config(data: &[u8], e: &Value) -> Result<(), Difference> {
    let tiers = |field: &str| -> Result<Vec<FeeTier>, Difference> {
        let tier = |tier: &Value| {
            let market_cap = number(tier, "marketCapLamportsThreshold")?;
            Ok(FeeTier { market_cap, fees: fees(&tier["fees"], true)? })
        };
        list(e, field)?.iter().map(tier).collect()
    };
    let expected = FeeConfigAccount {
        config: FeeConfig {
            flat: fees(&e["flatFees"], true)?,
            tiers: tiers("feeTiers")?,
            stable_tiers: tiers("stableFeeTiers")?,
            exotic: fees(&e["exoticFlatFees"], true)?,
        },
        bump: number(e, "bump")?,
        admin: address(e, "admin")?,
    };
    same("fee config", Ok(expected), decode_fee_config(data))
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let a = |field: &str| address(args, field);
    let (forward, amount) = match text(vector, "kind")? {
        "buy" => {
            let amount_out = atoms(args, "base_out")?;
            (false, LegAmount::ExactOut { amount_out, max_in: atoms(args, "max_quote_in")? })
        }
        "sell" => {
            let amount_in = atoms(args, "base_in")?;
            (true, LegAmount::ExactIn { amount_in, min_out: atoms(args, "min_quote_out")? })
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    let mints = [a("base_mint")?, a("quote_mint")?];
    let pool = DecodedKeys {
        bump: 0,
        index: 0,
        creator: Address::default(),
        mints,
        lp_mint: Address::default(),
        vaults: [a("pool_base")?, a("pool_quote")?],
        coin_creator: a("coin_creator")?,
        cashback: flag(args, "is_cashback_coin")?,
        can_edit_creator_fee: false,
    };
    let recipients =
        Recipients { protocol: a("protocol_fee_recipient")?, buyback: a("buyback_fee_recipient")? };
    let programs = [a("base_token_program")?, a("quote_token_program")?];
    let keys = Keys::new(&pool, programs, recipients);
    let (base, quote) = (a("user_base")?, a("user_quote")?);
    let (source, destination) = if forward { (base, quote) } else { (quote, base) };
    let accounts = SwapAccounts { owner: a("user")?, source, destination };
    let got = pump_swap::swap_instruction(a("pool")?, &keys, mints, forward, amount, accounts);
    let got = got.ok_or_else(|| Difference::new("instruction", "one", "none"))?;
    same_instruction(vector, &got)?;
    sequence(vector, &got, forward, mints[1])?;
    Ok(Outcome::Passed)
}

/// What the SDK puts around a swap: quote that is wrapped SOL is wrapped before a purchase and unwrapped after it.
/// Wrapping is not this kind's business, so that only the order and sizes are compared.
fn sequence(
    vector: &Value,
    swap: &solana_instruction::Instruction,
    forward: bool,
    quote_mint: Address,
) -> Result<(), Difference> {
    let hex = |data: &[u8]| data.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let data = hex(swap.data.get(..16).unwrap_or_default());
    let mut expected = vec![(swap.program_id, data, swap.accounts.len())];
    if quote_mint == WRAPPED_SOL {
        if !forward {
            let most = hex(swap.data.get(16..24).unwrap_or_default());
            expected.insert(0, (SYSTEM_PROGRAM, format!("02000000{most}"), 2));
            expected.insert(1, (TOKEN_PROGRAM, "11".to_owned(), 1));
        }
        expected.push((TOKEN_PROGRAM, "09".to_owned(), 3));
    }
    let whole = list(vector, "whole_sequence")?;
    for (expected, got) in whole.iter().zip(&expected) {
        let one = (
            address(expected, "program_id")?,
            text(expected, "data_hex")?.to_owned(),
            number(expected, "accounts")?,
        );
        same("whole_sequence", &one, got)?;
    }
    same("whole_sequence", whole.len(), expected.len())
}

fn derived(vector: &Value) -> Verdict {
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let (mint, creator) = (address(inputs, "mint")?, address(inputs, "coin_creator")?);
    let is = |field: &str, got: Address| same(field, address(expected, field)?, got);
    let (sol, token) = (WRAPPED_SOL, TOKEN_PROGRAM);
    is("pump_pool_authority", pump_swap::pool_authority(&mint))?;
    is("canonical_pool", pump_swap::canonical_pool([mint, sol]))?;
    let authority = pump_swap::creator_vault_authority(&creator);
    is("coin_creator_vault_authority", authority)?;
    is("coin_creator_vault_ata", pump_swap::creator_vault(&creator, &sol, &token))?;
    is("coin_creator_vault_ata", associated_token(&authority, &sol, &token))?;
    is("user_volume_accumulator", pump_swap::user_volume(&address(inputs, "user")?))?;
    is("pool_v2", pump_swap::pool_v2(&mint))?;
    let find = |seeds: &[&[u8]], program| Address::find_program_address(seeds, program).0;
    let own = |seed: &[u8]| find(&[seed], &pump_swap::PROGRAM_ID);
    for (field, got, constant) in [
        ("global_config", own(b"global_config"), pump_swap::GLOBAL_CONFIG),
        ("event_authority", own(b"__event_authority"), pump_swap::EVENT_AUTHORITY),
        (
            "fee_config",
            find(&[b"fee_config", pump_swap::PROGRAM_ID.as_ref()], &FEE_PROGRAM_ID),
            pump_swap::FEE_CONFIG,
        ),
    ] {
        is(field, got)?;
        is(field, constant)?;
    }
    same("volume", own(b"global_volume_accumulator"), pump_swap::GLOBAL_VOLUME)?;
    Ok(Outcome::Passed)
}
