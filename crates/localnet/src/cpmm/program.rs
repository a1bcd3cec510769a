//! The exchange as a native program of the runtime.
//!
//! It trusts nothing it is handed: every account is checked against the pool, the token programs move
//! the tokens, and the vaults' owner signs by its seeds only.

use litesvm::LiteSVM;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction, error::InstructionError};
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::solana_sbpf::program::BuiltinFunctionDefinition;
use solana_program_runtime::stable_log;

use super::create::{INITIALIZE, InitializeArgs, SUPPORT_MINT};
use super::instruction::{DecodeError, SwapArgs};
use super::math::{Direction, Quote, Refusal, Swap, code};
use super::state::{AmmConfig, PoolState, observation};
use super::token::{is_token_program, mint_decimals, transfer_fee};
use super::withdraw::{self, WITHDRAW, WithdrawArgs};
use super::{AUTHORITY_SEED, PROGRAM_ID, initialize, support};
use crate::anchor::{
    self, CONSTRAINT_ADDRESS, CONSTRAINT_RAW, CONSTRAINT_SEEDS, DID_NOT_DESERIALIZE,
    DISCRIMINATOR_MISMATCH, FALLBACK_NOT_FOUND, Given, INVALID_PROGRAM_ID, NOT_INITIALIZED, custom,
};

/// Compute units of one swap besides those of the two transfers.
pub const COMPUTE_UNITS: u64 = 30_000;

const SWAP_EVENT: [u8; 8] = [0x40, 0xc6, 0xcd, 0xe8, 0x26, 0x08, 0x71, 0xe2];

/// A new pool's vault got nothing.
pub(super) const EMPTY_SUPPLY: u32 = 6002;
/// A liquidity token that is not the pool's.
pub(super) const INCORRECT_LP_MINT: u32 = 6004;
/// A mint that the exchange does not take.
pub(super) const NOT_SUPPORT_MINT: u32 = 6007;
/// A new pool has not more liquidity than what is locked.
pub(super) const INIT_LP_TOO_LESS: u32 = 6009;
/// The two vaults are not those of the pool.
const INVALID_VAULT: u32 = 6008;

// Positions in the instruction's account list.
const PAYER: u16 = 0;
const AUTHORITY: u16 = 1;
const CONFIG: u16 = 2;
const POOL: u16 = 3;
const USER_INPUT: u16 = 4;
const USER_OUTPUT: u16 = 5;
const INPUT_VAULT: u16 = 6;
const OUTPUT_VAULT: u16 = 7;
const INPUT_PROGRAM: u16 = 8;
const OUTPUT_PROGRAM: u16 = 9;
const INPUT_MINT: u16 = 10;
const OUTPUT_MINT: u16 = 11;
const OBSERVATION: u16 = 12;
const ACCOUNTS: u16 = 13;

mod entrypoint {
    #![allow(missing_docs, reason = "the macro's type takes no doc comment")]
    #![allow(unreachable_pub, reason = "the macro makes its type public")]

    solana_program_runtime::declare_process_instruction!(
        Entrypoint,
        super::COMPUTE_UNITS,
        |invoke_context| { super::process(invoke_context) }
    );
}

/// Mounts the exchange in `svm`.
pub fn mount(svm: &mut LiteSVM) {
    svm.add_builtin(PROGRAM_ID, entrypoint::Entrypoint::register);
}

fn process(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let outcome = execute(context);
    // Numbers that are not its own come from a program that it called, which has printed its own line.
    if let Err(InstructionError::Custom(number)) = outcome
        && let Some(name) = error_name(number)
    {
        let log = context.get_log_collector();
        stable_log::program_log(
            &log,
            &format!("AnchorError occurred. Error Code: {name}. Error Number: {number}."),
        );
    }
    outcome
}

fn execute(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let call = {
        let instruction = context.transaction_context.get_current_instruction_context()?;
        Call::decode(instruction.get_instruction_data()).map_err(|error| {
            InstructionError::Custom(match error {
                DecodeError::UnknownInstruction => FALLBACK_NOT_FOUND,
                DecodeError::BadArguments => DID_NOT_DESERIALIZE,
            })
        })?
    };
    let log = context.get_log_collector();
    stable_log::program_log(&log, call.line());
    match call {
        Call::Swap(args) => trade(context, args),
        Call::Initialize(args) => initialize::execute(context, args),
        Call::SupportMint => support::execute(context),
        Call::Withdraw(args) => withdraw::execute(context, args),
    }
}

/// An instruction of the program.
enum Call {
    Swap(SwapArgs),
    Initialize(InitializeArgs),
    SupportMint,
    Withdraw(WithdrawArgs),
}

impl Call {
    fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        match data.split_first_chunk() {
            Some((&INITIALIZE, rest)) => {
                InitializeArgs::decode(rest).map(Self::Initialize).ok_or(DecodeError::BadArguments)
            }
            Some((&SUPPORT_MINT, _)) => Ok(Self::SupportMint),
            Some((&WITHDRAW, rest)) => {
                WithdrawArgs::decode(rest).map(Self::Withdraw).ok_or(DecodeError::BadArguments)
            }
            _ => SwapArgs::decode(data).map(Self::Swap),
        }
    }

    /// What the program prints first.
    const fn line(&self) -> &'static str {
        match self {
            Self::Swap(SwapArgs::BaseInput { .. }) => "Instruction: SwapBaseInput",
            Self::Swap(SwapArgs::BaseOutput { .. }) => "Instruction: SwapBaseOutput",
            Self::Initialize(_) => "Instruction: Initialize",
            Self::SupportMint => "Instruction: CreateSupportMintAssociated",
            Self::Withdraw(_) => "Instruction: Withdraw",
        }
    }
}

fn trade(context: &mut InvokeContext<'_, '_>, args: SwapArgs) -> Result<(), InstructionError> {
    let log = context.get_log_collector();
    let clock = context.environment_config.sysvar_cache().get_clock()?;
    let now = u64::try_from(clock.unix_timestamp).unwrap_or(0);
    let accounts = Accounts::load(context, clock.epoch)?;
    let quote = Quote {
        pool: &accounts.pool,
        config: &accounts.config,
        vault_0: accounts.vault_amount(true),
        vault_1: accounts.vault_amount(false),
        direction: accounts.direction,
        fee_in: accounts.input.fee,
        fee_out: accounts.output.fee,
        now,
    };
    let swap = match args {
        SwapArgs::BaseInput { amount_in, minimum_amount_out } => {
            let swap = quote.base_input(amount_in).map_err(refused)?;
            if swap.user_receives < minimum_amount_out {
                return Err(InstructionError::Custom(code::EXCEEDED_SLIPPAGE));
            }
            swap
        }
        SwapArgs::BaseOutput { max_amount_in, amount_out } => {
            let swap = quote.base_output(amount_out).map_err(refused)?;
            if swap.user_pays > max_amount_in {
                return Err(InstructionError::Custom(code::EXCEEDED_SLIPPAGE));
            }
            swap
        }
    };
    let event = swap_event(&accounts, &swap, matches!(args, SwapArgs::BaseInput { .. }));
    stable_log::program_data(&log, &[&event]);
    move_tokens(context, &accounts, &swap)?;
    settle(context, &accounts, &swap, now, clock.epoch)
}

fn refused(refusal: Refusal) -> InstructionError {
    match refusal {
        Refusal::Custom(number) => InstructionError::Custom(number),
        Refusal::Abort => InstructionError::ProgramFailedToComplete,
    }
}

/// One side of the swap.
struct Side {
    user: Address,
    vault: Address,
    vault_amount: u64,
    mint: Address,
    program: Address,
    decimals: u8,
    fee: super::math::TransferFee,
}

struct Accounts {
    payer: Address,
    authority: Address,
    pool_address: Address,
    pool: PoolState,
    config: AmmConfig,
    direction: Direction,
    input: Side,
    output: Side,
}

impl Given<'_, '_, '_> {
    fn side(
        &self,
        [user, vault, mint, program]: [u16; 4],
        epoch: u64,
    ) -> Result<Side, InstructionError> {
        self.token_account(user)?;
        let held = self.token_account(vault)?;
        let program = self.key(program)?;
        if !is_token_program(&program) {
            return Err(custom(INVALID_PROGRAM_ID));
        }
        let (decimals, fee) = self.owned(mint, is_token_program, |data| {
            (mint_decimals(data), transfer_fee(data, epoch))
        })?;
        let mint = self.key(mint)?;
        if mint != held.mint {
            return Err(custom(CONSTRAINT_ADDRESS));
        }
        Ok(Side {
            user: self.key(user)?,
            vault: self.key(vault)?,
            vault_amount: held.amount,
            mint,
            program,
            decimals: decimals.ok_or(custom(NOT_INITIALIZED))?,
            fee,
        })
    }

    /// Whether the list is long enough, signed and writable where the venue wants it so.
    fn check_flags(&self) -> Result<(), InstructionError> {
        self.check_count(ACCOUNTS)?;
        self.check_signer(PAYER)?;
        [POOL, USER_INPUT, USER_OUTPUT, INPUT_VAULT, OUTPUT_VAULT, OBSERVATION]
            .into_iter()
            .try_for_each(|index| self.check_writable(index))
    }
}

impl Accounts {
    fn load(context: &InvokeContext<'_, '_>, epoch: u64) -> Result<Self, InstructionError> {
        let ours = |owner: &Address| *owner == PROGRAM_ID;
        let given = Given(context);
        given.check_flags()?;
        let mismatch = || custom(DISCRIMINATOR_MISMATCH);
        let config = given.owned(CONFIG, ours, AmmConfig::decode)?.ok_or_else(mismatch)?;
        let pool = given.owned(POOL, ours, PoolState::decode)?.ok_or_else(mismatch)?;
        let input = given.side([USER_INPUT, INPUT_VAULT, INPUT_MINT, INPUT_PROGRAM], epoch)?;
        let output = given.side([USER_OUTPUT, OUTPUT_VAULT, OUTPUT_MINT, OUTPUT_PROGRAM], epoch)?;
        let pool_address = given.key(POOL)?;
        let observed =
            given.owned(OBSERVATION, ours, |data| observation::belongs_to(data, &pool_address))?;
        if !observed {
            return Err(mismatch());
        }
        let authority =
            Address::create_program_address(&[AUTHORITY_SEED, &[pool.auth_bump]], &PROGRAM_ID)
                .map_err(|_| custom(CONSTRAINT_SEEDS))?;
        if given.key(AUTHORITY)? != authority {
            return Err(custom(CONSTRAINT_SEEDS));
        }
        if given.key(CONFIG)? != pool.amm_config || given.key(OBSERVATION)? != pool.observation {
            return Err(custom(CONSTRAINT_ADDRESS));
        }
        let direction = direction(&pool, &input.vault, &output.vault)?;
        let payer = given.key(PAYER)?;
        Ok(Self { payer, authority, pool_address, pool, config, direction, input, output })
    }

    fn vault_amount(&self, zero: bool) -> u64 {
        let input_is_zero = self.direction == Direction::ZeroForOne;
        if zero == input_is_zero { self.input.vault_amount } else { self.output.vault_amount }
    }
}

/// Which way the vaults say the swap goes.
fn direction(
    pool: &PoolState,
    input: &Address,
    output: &Address,
) -> Result<Direction, InstructionError> {
    let known = |vault: &Address| *vault == pool.vault_0 || *vault == pool.vault_1;
    if !known(input) || !known(output) {
        return Err(custom(CONSTRAINT_RAW));
    }
    if input == output {
        return Err(custom(INVALID_VAULT));
    }
    let zero_for_one = *input == pool.vault_0;
    Ok(if zero_for_one { Direction::ZeroForOne } else { Direction::OneForZero })
}

fn move_tokens(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    swap: &Swap,
) -> Result<(), InstructionError> {
    let Accounts { input, output, .. } = accounts;
    let paid = transfer(input, [input.user, input.vault], accounts.payer, swap.user_pays);
    context.native_invoke_signed(paid, &[])?;
    let seeds: &[&[u8]] = &[AUTHORITY_SEED, &[accounts.pool.auth_bump]];
    let received =
        transfer(output, [output.vault, output.user], accounts.authority, swap.pool_pays);
    context.native_invoke_signed(received, &[seeds])
}

/// `TransferChecked` of either token program, from the first to the second account.
fn transfer(side: &Side, accounts: [Address; 2], owner: Address, amount: u64) -> Instruction {
    const TRANSFER_CHECKED: u8 = 12;
    let [from, to] = accounts;
    let mut data = vec![TRANSFER_CHECKED];
    data.extend(amount.to_le_bytes());
    data.push(side.decimals);
    Instruction {
        program_id: side.program,
        accounts: vec![
            AccountMeta::new(from, false),
            AccountMeta::new_readonly(side.mint, false),
            AccountMeta::new(to, false),
            AccountMeta::new_readonly(owner, true),
        ],
        data,
    }
}

/// Books the fees owed and the price that held before the swap.
fn settle(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    swap: &Swap,
    now: u64,
    epoch: u64,
) -> Result<(), InstructionError> {
    let mut pool = accounts.pool.clone();
    let input_is_zero = accounts.direction == Direction::ZeroForOne;
    book(&mut pool, swap, input_is_zero, epoch)?;

    let (zero, one) = if input_is_zero {
        (swap.reserve_in, swap.reserve_out)
    } else {
        (swap.reserve_out, swap.reserve_in)
    };
    let price = |of: u64, other: u64| {
        (u128::from(other) << 32)
            .checked_div(u128::from(of))
            .ok_or(InstructionError::ProgramFailedToComplete)
    };
    let (price_0, price_1) = (price(zero, one)?, price(one, zero)?);

    let instruction = context.transaction_context.get_current_instruction_context()?;
    let mut account = instruction.try_borrow_instruction_account(POOL)?;
    pool.write(account.get_data_mut()?).ok_or(InstructionError::InvalidAccountData)?;
    drop(account);
    let mut account = instruction.try_borrow_instruction_account(OBSERVATION)?;
    observation::update(account.get_data_mut()?, now, price_0, price_1)
        .ok_or(InstructionError::InvalidAccountData)
}

/// Books what a swap owes to protocol, fund and creator.
pub(crate) fn book(
    pool: &mut PoolState,
    swap: &Swap,
    input_is_zero: bool,
    epoch: u64,
) -> Result<(), InstructionError> {
    let (protocol, fund) = if input_is_zero {
        (&mut pool.protocol_fees_0, &mut pool.fund_fees_0)
    } else {
        (&mut pool.protocol_fees_1, &mut pool.fund_fees_1)
    };
    add(protocol, swap.protocol_fee)?;
    add(fund, swap.fund_fee)?;
    let creator = if input_is_zero == swap.creator_fee_on_input {
        &mut pool.creator_fees_0
    } else {
        &mut pool.creator_fees_1
    };
    add(creator, swap.creator_fee)?;
    pool.recent_epoch = epoch;
    Ok(())
}

fn add(counter: &mut u64, amount: u64) -> Result<(), InstructionError> {
    *counter = counter.checked_add(amount).ok_or(InstructionError::ProgramFailedToComplete)?;
    Ok(())
}

fn swap_event(accounts: &Accounts, swap: &Swap, base_input: bool) -> Vec<u8> {
    let mut event = Vec::with_capacity(170);
    event.extend(SWAP_EVENT);
    event.extend(accounts.pool_address.as_array());
    for number in [
        swap.reserve_in,
        swap.reserve_out,
        swap.input_amount,
        swap.pool_pays,
        swap.input_transfer_fee,
        swap.output_transfer_fee,
    ] {
        event.extend(number.to_le_bytes());
    }
    event.push(u8::from(base_input));
    event.extend(accounts.input.mint.as_array());
    event.extend(accounts.output.mint.as_array());
    event.extend(swap.trade_fee.to_le_bytes());
    event.extend(swap.creator_fee.to_le_bytes());
    event.push(u8::from(swap.creator_fee_on_input));
    event
}

fn error_name(number: u32) -> Option<&'static str> {
    Some(match number {
        code::NOT_APPROVED => "NotApproved",
        code::EXCEEDED_SLIPPAGE => "ExceededSlippage",
        code::ZERO_TRADING_TOKENS => "ZeroTradingTokens",
        EMPTY_SUPPLY => "EmptySupply",
        INCORRECT_LP_MINT => "IncorrectLpMint",
        NOT_SUPPORT_MINT => "NotSupportMint",
        INVALID_VAULT => "InvalidVault",
        INIT_LP_TOO_LESS => "InitLpAmountTooLess",
        code::INSUFFICIENT_VAULT => "InsufficientVault",
        code::INVALID_FEE_MODEL => "InvalidFeeModel",
        _ => return anchor::error_name(number),
    })
}
