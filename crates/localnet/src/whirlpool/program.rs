//! The exchange as a native program of the runtime.
//!
//! It trusts nothing it is handed: every account is checked against the pool, the token programs move
//! the tokens, and the pool, which owns its vaults, signs by its seeds only.

use litesvm::LiteSVM;
use solana_address::{Address, address};
use solana_instruction::{AccountMeta, Instruction, error::InstructionError};
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::solana_sbpf::program::BuiltinFunctionDefinition;
use solana_program_runtime::stable_log;

use super::error::{self, Refusal};
use super::instruction::{DecodeError, SwapArgs, Version};
use super::state::Whirlpool;
use super::swap::{Transferred, sequence, swap_with_transfer_fees};
use super::tick_array::{TickArray, starts_for};
use super::{PROGRAM_ID, oracle_address, tick_array_address};
use crate::anchor::{
    self, CONSTRAINT_ADDRESS, CONSTRAINT_RAW, CONSTRAINT_SEEDS, DID_NOT_DESERIALIZE,
    DISCRIMINATOR_MISMATCH, FALLBACK_NOT_FOUND, Given, INVALID_PROGRAM_ID, NOT_INITIALIZED,
    NOT_MUTABLE, OWNED_BY_WRONG_PROGRAM, custom,
};
use crate::cpmm::math::TransferFee;
use crate::cpmm::token::{TokenAccount, is_token_program, mint_decimals, transfer_fee};

/// Compute units of one swap besides those of the two transfers.
pub const COMPUTE_UNITS: u64 = 45_000;

/// The memo program, which `swap_v2` names and calls only for accounts that demand memos.
pub const MEMO: Address = address!("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

const TRADED_EVENT: [u8; 8] = [0xe1, 0xca, 0x49, 0xaf, 0x93, 0x2b, 0xa0, 0x96];

/// Positions in an instruction's account list.
struct Places {
    /// Token program of each token.
    programs: [u16; 2],
    memo: Option<u16>,
    authority: u16,
    pool: u16,
    /// Mint of each token.
    mints: Option<[u16; 2]>,
    /// Account of the user and vault of the pool, of each token.
    tokens: [[u16; 2]; 2],
    tick_arrays: [u16; 3],
    oracle: u16,
    count: u16,
}

const ONE: Places = Places {
    programs: [0, 0],
    memo: None,
    authority: 1,
    pool: 2,
    mints: None,
    tokens: [[3, 4], [5, 6]],
    tick_arrays: [7, 8, 9],
    oracle: 10,
    count: 11,
};

const TWO: Places = Places {
    programs: [0, 1],
    memo: Some(2),
    authority: 3,
    pool: 4,
    mints: Some([5, 6]),
    tokens: [[7, 8], [9, 10]],
    tick_arrays: [11, 12, 13],
    oracle: 14,
    count: 15,
};

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
    if let Err(InstructionError::Custom(number)) = outcome {
        let name = error::name(number).or_else(|| anchor::error_name(number)).unwrap_or("Unknown");
        let log = context.get_log_collector();
        stable_log::program_log(
            &log,
            &format!("AnchorError occurred. Error Code: {name}. Error Number: {number}."),
        );
    }
    outcome
}

fn execute(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let log = context.get_log_collector();
    let args = {
        let instruction = context.transaction_context.get_current_instruction_context()?;
        SwapArgs::decode(instruction.get_instruction_data()).map_err(|error| {
            custom(match error {
                DecodeError::UnknownInstruction => FALLBACK_NOT_FOUND,
                DecodeError::BadArguments => DID_NOT_DESERIALIZE,
            })
        })?
    };
    let (name, places) = match args.version {
        Version::One => ("Instruction: Swap", &ONE),
        Version::Two(_) => ("Instruction: SwapV2", &TWO),
    };
    stable_log::program_log(&log, name);
    let clock = context.environment_config.sysvar_cache().get_clock()?;
    let now = u64::try_from(clock.unix_timestamp).unwrap_or(0);
    let accounts = Accounts::load(context, places, clock.epoch)?;
    if accounts.pool.has_adaptive_fee() {
        stable_log::program_log(&log, "This local exchange has no adaptive fees");
        return Err(InstructionError::ProgramFailedToComplete);
    }
    let given = tick_arrays(context, &accounts, places, &args)?;
    let a_to_b = args.request.way.a_to_b;
    let arrays: Vec<TickArray> = given.iter().map(|(_, array)| array.clone()).collect();
    let arrays = sequence(&accounts.pool, a_to_b, &arrays).map_err(refused)?;
    let (input, output) = accounts.sides(a_to_b);
    let done = swap_with_transfer_fees(
        &accounts.pool,
        &arrays,
        &args.request,
        (input.fee, output.fee),
        now,
    )
    .map_err(refused)?;
    check_threshold(&args, &done).map_err(refused)?;
    move_tokens(context, &accounts, a_to_b, &done)?;

    let instruction = context.transaction_context.get_current_instruction_context()?;
    for crossed in &done.swap.crossed {
        let start = arrays.get(crossed.array).map(|array| array.start);
        let index = given
            .iter()
            .find_map(|(index, array)| (Some(array.start) == start).then_some(*index))
            .ok_or(InstructionError::ProgramFailedToComplete)?;
        let mut account = instruction.try_borrow_instruction_account(index)?;
        TickArray::overwrite(account.get_data_mut()?, crossed.place, &crossed.tick)
            .ok_or(InstructionError::InvalidAccountData)?;
    }
    let mut account = instruction.try_borrow_instruction_account(places.pool)?;
    account.get_data_mut()?.copy_from_slice(&done.swap.pool.encode());
    stable_log::program_data(&log, &[&traded_event(&accounts, a_to_b, &done)]);
    Ok(())
}

fn refused(refusal: Refusal) -> InstructionError {
    match refusal {
        Refusal::Custom(number) => custom(number),
        Refusal::Abort => InstructionError::ProgramFailedToComplete,
    }
}

fn check_threshold(args: &SwapArgs, done: &Transferred) -> Result<(), Refusal> {
    if args.request.way.exact_in {
        if done.user_receives < args.other_amount_threshold {
            return Err(error::AMOUNT_OUT_BELOW_MINIMUM);
        }
    } else if done.user_pays > args.other_amount_threshold {
        return Err(error::AMOUNT_IN_ABOVE_MAXIMUM);
    }
    Ok(())
}

/// A mint that `swap_v2` names.
struct MintRead {
    address: Address,
    decimals: u8,
    fee: TransferFee,
}

/// One side of the swap.
struct Side {
    user: Address,
    vault: Address,
    program: Address,
    /// Mint and decimals, where the transfer names them.
    checked: Option<(Address, u8)>,
    fee: TransferFee,
}

struct Accounts {
    authority: Address,
    pool_address: Address,
    pool: Whirlpool,
    /// Token A and token B.
    sides: [Side; 2],
}

impl Given<'_, '_, '_> {
    fn whirlpool(&self, index: u16) -> Result<Whirlpool, InstructionError> {
        self.owned(index, |owner| *owner == PROGRAM_ID, Whirlpool::decode)?
            .ok_or(custom(DISCRIMINATOR_MISMATCH))
    }

    fn mint(&self, index: u16, epoch: u64) -> Result<MintRead, InstructionError> {
        let read = |data: &[u8]| Some((mint_decimals(data)?, transfer_fee(data, epoch)));
        let (decimals, fee) =
            self.owned(index, is_token_program, read)?.ok_or(custom(NOT_INITIALIZED))?;
        Ok(MintRead { address: self.key(index)?, decimals, fee })
    }

    /// The programs are those they should be.
    fn check_programs(&self, places: &Places) -> Result<(), InstructionError> {
        for index in places.programs {
            let program = self.key(index)?;
            let known = match places.mints {
                None => program == spl_token_interface::ID,
                Some(_) => is_token_program(&program),
            };
            if !known {
                return Err(custom(INVALID_PROGRAM_ID));
            }
        }
        match places.memo {
            Some(index) if self.key(index)? != MEMO => Err(custom(INVALID_PROGRAM_ID)),
            _ => Ok(()),
        }
    }

    /// A token account; `swap` takes those of SPL Token only.
    fn holding(&self, places: &Places, index: u16) -> Result<TokenAccount, InstructionError> {
        if places.mints.is_none() {
            self.owned(index, |owner| *owner == spl_token_interface::ID, |_| ())?;
        }
        self.token_account(index)
    }
}

impl Accounts {
    /// Reads all accounts first and holds them against each other then, in the framework's order.
    fn load(
        context: &InvokeContext<'_, '_>,
        places: &Places,
        epoch: u64,
    ) -> Result<Self, InstructionError> {
        let given = Given(context);
        given.check_count(places.count)?;
        given.check_programs(places)?;
        given.check_signer(places.authority)?;
        let pool = given.whirlpool(places.pool)?;
        let mints = match places.mints {
            None => [None, None],
            Some([a, b]) => [Some(given.mint(a, epoch)?), Some(given.mint(b, epoch)?)],
        };
        let [tokens_a, tokens_b] = places.tokens;
        let mut held = Vec::new();
        for [user, vault] in [tokens_a, tokens_b] {
            held.push(given.holding(places, user)?);
            given.holding(places, vault)?;
        }

        if let Some(indexes) = places.mints {
            for (mint, program) in indexes.into_iter().zip(places.programs) {
                let program = given.key(program)?;
                if !given.any(mint, |owner, _| *owner == program)? {
                    return Err(custom(CONSTRAINT_ADDRESS));
                }
            }
        }
        given.check_writable(places.pool)?;
        let of_pool = [(pool.mint_a, pool.vault_a), (pool.mint_b, pool.vault_b)];
        for (mint, (expected, _)) in mints.iter().zip(of_pool) {
            if mint.as_ref().is_some_and(|mint| mint.address != expected) {
                return Err(custom(CONSTRAINT_ADDRESS));
            }
        }
        for (([user, vault], held), (mint, own_vault)) in
            places.tokens.into_iter().zip(&held).zip(of_pool)
        {
            given.check_writable(user)?;
            if held.mint != mint {
                return Err(custom(CONSTRAINT_RAW));
            }
            given.check_writable(vault)?;
            if given.key(vault)? != own_vault {
                return Err(custom(CONSTRAINT_ADDRESS));
            }
        }
        for index in places.tick_arrays {
            given.check_writable(index)?;
        }
        if places.mints.is_some() {
            given.check_writable(places.oracle)?;
        }
        let pool_address = given.key(places.pool)?;
        if given.key(places.oracle)? != oracle_address(&pool_address) {
            return Err(custom(CONSTRAINT_SEEDS));
        }
        let [mint_a, mint_b] = mints;
        let [program_a, program_b] = places.programs;
        let side = |[user, vault]: [u16; 2], program, mint: Option<MintRead>| {
            Ok::<_, InstructionError>(Side {
                user: given.key(user)?,
                vault: given.key(vault)?,
                program: given.key(program)?,
                checked: mint.as_ref().map(|mint| (mint.address, mint.decimals)),
                fee: mint.map(|mint| mint.fee).unwrap_or_default(),
            })
        };
        let sides = [side(tokens_a, program_a, mint_a)?, side(tokens_b, program_b, mint_b)?];
        Ok(Self { authority: given.key(places.authority)?, pool_address, pool, sides })
    }

    /// What goes in and what comes out.
    fn sides(&self, a_to_b: bool) -> (&Side, &Side) {
        let [a, b] = &self.sides;
        if a_to_b { (a, b) } else { (b, a) }
    }
}

/// The tick arrays given, each with its place in the account list.
///
/// An account that does not exist yet stands for an array without ticks, if its address is that of one
/// the swap needs.
fn tick_arrays(
    context: &InvokeContext<'_, '_>,
    accounts: &Accounts,
    places: &Places,
    args: &SwapArgs,
) -> Result<Vec<(u16, TickArray)>, InstructionError> {
    let given = Given(context);
    let mut indexes = places.tick_arrays.to_vec();
    if let Version::Two(Some(remaining)) = &args.version {
        let behind = given.len()?.saturating_sub(places.count);
        let found = remaining.supplemental(behind).map_err(refused)?;
        indexes.extend(found.map(|index| index.saturating_add(places.count)));
    }
    let pool = &accounts.pool;
    let starts = starts_for(pool.tick, pool.tick_spacing, args.request.way.a_to_b);
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for index in indexes {
        let key = given.key(index)?;
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        if !given.is_writable(index)? {
            return Err(custom(NOT_MUTABLE));
        }
        let missing = given.any(index, |owner, data| {
            *owner == solana_sdk_ids::system_program::ID && data.is_empty()
        })?;
        if missing {
            let is_at = |start: &&i32| tick_array_address(&accounts.pool_address, **start) == key;
            if let Some(start) = starts.iter().find(is_at) {
                out.push((index, TickArray::empty(accounts.pool_address, *start)));
            }
            continue;
        }
        let (ours, array) =
            given.any(index, |owner, data| (*owner == PROGRAM_ID, TickArray::decode(data)))?;
        if !ours {
            return Err(custom(OWNED_BY_WRONG_PROGRAM));
        }
        let array = array.ok_or(custom(DISCRIMINATOR_MISMATCH))?;
        if array.pool != accounts.pool_address {
            return Err(refused(error::DIFFERENT_WHIRLPOOL_TICK_ARRAY));
        }
        out.push((index, array));
    }
    Ok(out)
}

fn move_tokens(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    a_to_b: bool,
    done: &Transferred,
) -> Result<(), InstructionError> {
    let (input, output) = accounts.sides(a_to_b);
    let paid = transfer(input, [input.user, input.vault], accounts.authority, done.user_pays);
    context.native_invoke_signed(paid, &[])?;
    let received =
        transfer(output, [output.vault, output.user], accounts.pool_address, done.pool_pays);
    accounts.pool.with_seeds(|seeds| context.native_invoke_signed(received, &[seeds]))
}

/// A transfer from the first to the second account: `TransferChecked` where the mint is known.
fn transfer(side: &Side, accounts: [Address; 2], owner: Address, amount: u64) -> Instruction {
    const TRANSFER: u8 = 3;
    const TRANSFER_CHECKED: u8 = 12;
    let [from, to] = accounts;
    let tag = if side.checked.is_some() { TRANSFER_CHECKED } else { TRANSFER };
    let mut data = vec![tag];
    data.extend(amount.to_le_bytes());
    let mut metas = vec![AccountMeta::new(from, false)];
    if let Some((mint, decimals)) = side.checked {
        data.push(decimals);
        metas.push(AccountMeta::new_readonly(mint, false));
    }
    metas.push(AccountMeta::new(to, false));
    metas.push(AccountMeta::new_readonly(owner, true));
    Instruction { program_id: side.program, accounts: metas, data }
}

fn traded_event(accounts: &Accounts, a_to_b: bool, done: &Transferred) -> Vec<u8> {
    let mut event = Vec::with_capacity(121);
    event.extend(TRADED_EVENT);
    event.extend(accounts.pool_address.as_array());
    event.push(u8::from(a_to_b));
    event.extend(accounts.pool.sqrt_price.to_le_bytes());
    event.extend(done.swap.pool.sqrt_price.to_le_bytes());
    for number in [
        done.user_pays,
        done.pool_pays,
        done.input_transfer_fee,
        done.output_transfer_fee,
        done.swap.fee.saturating_sub(done.swap.protocol_fee),
        done.swap.protocol_fee,
    ] {
        event.extend(number.to_le_bytes());
    }
    event
}
