//! `initialize`: whoever brings two tokens makes a pool of them.
//!
//! Account order, checks, error numbers and printed lines are those of raydium-io/raydium-cp-swap `81520a01`
//! (`programs/cp-swap/src/instructions/initialize.rs`), with the later admission of mints by accounts after the
//! twentieth. Where several things are wrong at once, another one of them may be named than there.

use solana_address::Address;
use solana_instruction::error::InstructionError;
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::stable_log;
use solana_sdk_ids::{system_program, sysvar};
use spl_associated_token_account_interface::instruction::create_associated_token_account;
use spl_associated_token_account_interface::program::ID as ASSOCIATED_TOKEN;
use spl_token_2022_interface::instruction as token;

use super::create::{FEE_RECEIVER, InitializeArgs};
use super::math::code;
use super::program::{EMPTY_SUPPLY, INIT_LP_TOO_LESS, NOT_SUPPORT_MINT};
use super::state::{AmmConfig, OBSERVATION_LEN, POOL_LEN, PoolState, observation};
use super::support::{Admission, admits};
use super::token::{TokenAccount, is_token_program};
use super::{AUTHORITY_SEED, PROGRAM_ID, authority};
use crate::anchor::{
    CONSTRAINT_ADDRESS, CONSTRAINT_MINT_PROGRAM, CONSTRAINT_RAW, CONSTRAINT_SEEDS,
    CONSTRAINT_TOKEN_MINT, CONSTRAINT_TOKEN_OWNER, DISCRIMINATOR_MISMATCH, Given,
    INVALID_PROGRAM_ID, NOT_INITIALIZED, New, OWNED_BY_WRONG_PROGRAM, REQUIRE_EQ, SYSVAR_MISMATCH,
    custom,
};

/// Decimals of every liquidity token.
const LP_DECIMALS: u8 = 9;
/// Bytes of its mint.
const MINT_LEN: usize = 82;
/// Liquidity that is never given to anybody.
const LP_LOCKED: u64 = 100;

// Positions in the instruction's account list.
const CREATOR: u16 = 0;
const CONFIG: u16 = 1;
const AUTHORITY: u16 = 2;
const POOL: u16 = 3;
const MINTS: [u16; 2] = [4, 5];
const LP_MINT: u16 = 6;
const CREATOR_TOKENS: [u16; 2] = [7, 8];
const CREATOR_LP: u16 = 9;
const VAULTS: [u16; 2] = [10, 11];
const FEE: u16 = 12;
const OBSERVATION: u16 = 13;
const TOKEN_PROGRAM: u16 = 14;
const PROGRAMS: [u16; 2] = [15, 16];
const ASSOCIATED_PROGRAM: u16 = 17;
const SYSTEM: u16 = 18;
const RENT: u16 = 19;
/// How many there must be; what follows are admissions of mints.
const ACCOUNTS: u16 = 20;

/// One side of the pool to be.
struct Side {
    mint: Address,
    program: Address,
    admission: Admission,
    holding: Address,
    vault: Address,
    vault_bump: u8,
}

/// All that was handed in, checked.
struct Accounts {
    creator: Address,
    config_address: Address,
    config: AmmConfig,
    authority: Address,
    auth_bump: u8,
    pool: Address,
    pool_bump: u8,
    lp_mint: (Address, u8),
    lp_mint_lamports: u64,
    creator_lp: Address,
    observation: (Address, u8),
    observation_lamports: u64,
    sides: [Side; 2],
    supported: bool,
}

pub(super) fn execute(
    context: &mut InvokeContext<'_, '_>,
    args: InitializeArgs,
) -> Result<(), InstructionError> {
    let clock = context.environment_config.sysvar_cache().get_clock()?;
    let now = u64::try_from(clock.unix_timestamp).unwrap_or(0);
    let accounts = Accounts::load(context)?;
    make_lp_mint(context, &accounts)?;
    accounts
        .account(
            accounts.observation.0,
            OBSERVATION_LEN,
            PROGRAM_ID,
            &[b"observation", accounts.pool.as_ref(), &[accounts.observation.1]],
        )
        .init(context, accounts.observation_lamports)?;
    if !accounts.supported {
        return Err(custom(NOT_SUPPORT_MINT));
    }
    if accounts.config.disable_create_pool {
        return Err(custom(code::NOT_APPROVED));
    }
    let open_time = if args.open_time <= now { now.saturating_add(1) } else { args.open_time };
    for side in &accounts.sides {
        make_vault(context, &accounts, side)?;
    }
    make_pool_account(context, &accounts)?;
    for (side, amount) in accounts.sides.iter().zip([args.amount_0, args.amount_1]) {
        deposit(context, &accounts, side, amount)?;
    }
    let liquidity = issue(context, &accounts)?;
    charge(context, &accounts)?;
    write_state(context, &accounts, liquidity, open_time, clock.epoch)
}

impl Given<'_, '_, '_> {
    /// One side of the new pool, checked in the order of the program's constraints.
    fn new_side(
        &self,
        side: usize,
        creator: &Address,
        pool: &Address,
    ) -> Result<Side, InstructionError> {
        let at = |places: [u16; 2]| if side == 0 { places[0] } else { places[1] };
        let program = self.key(at(PROGRAMS))?;
        if !is_token_program(&program) {
            return Err(custom(INVALID_PROGRAM_ID));
        }
        let mint = self.key(at(MINTS))?;
        let (owner, admission) =
            self.any(at(MINTS), |owner, data| (*owner, Admission::read(&mint, owner, data)))?;
        if !is_token_program(&owner) {
            return Err(custom(OWNED_BY_WRONG_PROGRAM));
        }
        let admission = admission.ok_or(InstructionError::InvalidAccountData)?;
        let held = self.token_account(at(CREATOR_TOKENS))?;
        if owner != program {
            return Err(custom(CONSTRAINT_MINT_PROGRAM));
        }
        self.check_writable(at(CREATOR_TOKENS))?;
        if held.mint != mint {
            return Err(custom(CONSTRAINT_TOKEN_MINT));
        }
        if held.owner != *creator {
            return Err(custom(CONSTRAINT_TOKEN_OWNER));
        }
        self.check_writable(at(VAULTS))?;
        let (vault, vault_bump) = Address::find_program_address(
            &[b"pool_vault", pool.as_ref(), mint.as_ref()],
            &PROGRAM_ID,
        );
        self.check_key(at(VAULTS), &vault, CONSTRAINT_SEEDS)?;
        let holding = self.key(at(CREATOR_TOKENS))?;
        Ok(Side { mint, program, admission, holding, vault, vault_bump })
    }

    /// Whether one of the accounts after the twentieth says that the exchange admits `mint`.
    fn is_admitted(&self, mint: &Address) -> Result<bool, InstructionError> {
        for index in ACCOUNTS..self.len()? {
            let key = self.key(index)?;
            if self.any(index, |owner, data| admits(mint, &key, owner, data))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Accounts {
    fn load(context: &InvokeContext<'_, '_>) -> Result<Self, InstructionError> {
        let given = Given(context);
        given.check_count(ACCOUNTS)?;
        given.check_signer(CREATOR)?;
        let ours = |owner: &Address| *owner == PROGRAM_ID;
        let config = given.owned(CONFIG, ours, AmmConfig::decode)?;
        let config = config.ok_or(custom(DISCRIMINATOR_MISMATCH))?;
        for (index, program) in [
            (TOKEN_PROGRAM, spl_token_interface::ID),
            (ASSOCIATED_PROGRAM, ASSOCIATED_TOKEN),
            (SYSTEM, system_program::ID),
        ] {
            given.check_key(index, &program, INVALID_PROGRAM_ID)?;
        }
        given.check_key(RENT, &sysvar::rent::ID, SYSVAR_MISMATCH)?;
        given.check_writable(CREATOR)?;
        let (authority, auth_bump) = authority();
        given.check_key(AUTHORITY, &authority, CONSTRAINT_SEEDS)?;
        for index in [POOL, LP_MINT, CREATOR_LP, OBSERVATION, FEE] {
            given.check_writable(index)?;
        }
        let (creator, pool) = (given.key(CREATOR)?, given.key(POOL)?);
        let derived = |index, seed: &[u8]| {
            let found = Address::find_program_address(&[seed, pool.as_ref()], &PROGRAM_ID);
            given.check_key(index, &found.0, CONSTRAINT_SEEDS).map(|()| found)
        };
        let lp_mint = derived(LP_MINT, b"pool_lp_mint")?;
        let observation = derived(OBSERVATION, b"observation")?;
        let sides = [given.new_side(0, &creator, &pool)?, given.new_side(1, &creator, &pool)?];
        if sides[0].mint >= sides[1].mint {
            return Err(custom(CONSTRAINT_RAW));
        }
        given.token_account(FEE)?;
        given.check_key(FEE, &FEE_RECEIVER, CONSTRAINT_ADDRESS)?;
        let config_address = given.key(CONFIG)?;
        let seeds: [&[u8]; 4] =
            [b"pool", config_address.as_ref(), sides[0].mint.as_ref(), sides[1].mint.as_ref()];
        let (expected, pool_bump) = Address::find_program_address(&seeds, &PROGRAM_ID);
        let mut supported = true;
        for side in &sides {
            supported &= side.admission.open || given.is_admitted(&side.mint)?;
        }
        let taken = given.any(POOL, |owner, _| *owner != system_program::ID)?;
        if taken || given.lamports(POOL)? != 0 {
            // The program finds out later, after accounts that exist by then as well: see `make_lp_mint`.
            if given.lamports(LP_MINT)? == 0 {
                return Err(custom(code::NOT_APPROVED));
            }
        } else if pool != expected && given.check_signer(POOL).is_err() {
            return Err(custom(REQUIRE_EQ));
        }
        Ok(Self {
            creator,
            config_address,
            config,
            authority,
            auth_bump,
            pool,
            pool_bump,
            lp_mint,
            lp_mint_lamports: given.lamports(LP_MINT)?,
            creator_lp: given.key(CREATOR_LP)?,
            observation,
            observation_lamports: given.lamports(OBSERVATION)?,
            sides,
            supported,
        })
    }

    fn account<'a>(
        &self,
        address: Address,
        space: usize,
        owner: Address,
        seeds: &'a [&'a [u8]],
    ) -> New<'a> {
        New { payer: self.creator, address, space, owner, seeds }
    }
}

/// What a builder of instructions refuses, which takes a program that is no token program.
fn unbuilt<E>(_: E) -> InstructionError {
    InstructionError::IncorrectProgramId
}

/// The liquidity token and the creator's account of it. The system program refuses a pool that is there already.
fn make_lp_mint(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
) -> Result<(), InstructionError> {
    let (lp_mint, bump) = accounts.lp_mint;
    let program = spl_token_interface::ID;
    accounts
        .account(lp_mint, MINT_LEN, program, &[b"pool_lp_mint", accounts.pool.as_ref(), &[bump]])
        .init(context, accounts.lp_mint_lamports)?;
    let initialize =
        token::initialize_mint2(&program, &lp_mint, &accounts.authority, None, LP_DECIMALS);
    context.native_invoke_signed(initialize.map_err(unbuilt)?, &[])?;
    let holder = &accounts.creator;
    let create = create_associated_token_account(holder, holder, &lp_mint, &program);
    context.native_invoke_signed(create, &[])
}

fn make_vault(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    side: &Side,
) -> Result<(), InstructionError> {
    let seeds: [&[u8]; 4] =
        [b"pool_vault", accounts.pool.as_ref(), side.mint.as_ref(), &[side.vault_bump]];
    accounts
        .account(side.vault, side.admission.account_len, side.program, &seeds)
        .create(context)?;
    let initialize =
        token::initialize_account3(&side.program, &side.vault, &side.mint, &accounts.authority);
    context.native_invoke_signed(initialize.map_err(unbuilt)?, &[])
}

fn make_pool_account(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
) -> Result<(), InstructionError> {
    let [zero, one] = &accounts.sides;
    let seeds: [&[u8]; 5] = [
        b"pool",
        accounts.config_address.as_ref(),
        zero.mint.as_ref(),
        one.mint.as_ref(),
        &[accounts.pool_bump],
    ];
    accounts.account(accounts.pool, POOL_LEN, PROGRAM_ID, &seeds).create(context)
}

fn deposit(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    side: &Side,
    amount: u64,
) -> Result<(), InstructionError> {
    if amount == 0 {
        return Ok(());
    }
    let transfer = token::transfer_checked(
        &side.program,
        &side.holding,
        &side.mint,
        &side.vault,
        &accounts.creator,
        &[],
        amount,
        side.admission.decimals,
    );
    context.native_invoke_signed(transfer.map_err(unbuilt)?, &[])
}

/// Issues liquidity tokens for what has reached the vaults, and tells how much liquidity that is.
fn issue(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
) -> Result<u64, InstructionError> {
    let mut held = [0; 2];
    for (amount, vault) in held.iter_mut().zip(VAULTS) {
        let account = Given(context).owned(vault, is_token_program, TokenAccount::decode)?;
        *amount = account.ok_or(custom(NOT_INITIALIZED))?.amount;
    }
    let [vault_0, vault_1] = held;
    if vault_0 == 0 || vault_1 == 0 {
        return Err(custom(EMPTY_SUPPLY));
    }
    let root = u128::from(vault_0).saturating_mul(vault_1.into()).isqrt();
    let liquidity = u64::try_from(root).map_err(|_| InstructionError::ProgramFailedToComplete)?;
    let log = context.get_log_collector();
    stable_log::program_log(
        &log,
        &format!(
            "liquidity:{liquidity}, lock_lp_amount:{LP_LOCKED}, vault_0_amount:{vault_0},\
             vault_1_amount:{vault_1}"
        ),
    );
    let issued = liquidity.checked_sub(LP_LOCKED).ok_or(custom(INIT_LP_TOO_LESS))?;
    let issue = token::mint_to(
        &spl_token_interface::ID,
        &accounts.lp_mint.0,
        &accounts.creator_lp,
        &accounts.authority,
        &[],
        issued,
    );
    let seeds: &[&[u8]] = &[AUTHORITY_SEED, &[accounts.auth_bump]];
    context.native_invoke_signed(issue.map_err(unbuilt)?, &[seeds])?;
    Ok(liquidity)
}

/// Pays for the pool, in lamports that become wrapped SOL.
fn charge(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
) -> Result<(), InstructionError> {
    let fee = accounts.config.create_pool_fee;
    if fee == 0 {
        return Ok(());
    }
    let pay = solana_system_interface::instruction::transfer(&accounts.creator, &FEE_RECEIVER, fee);
    context.native_invoke_signed(pay, &[])?;
    let wrap = token::sync_native(&spl_token_interface::ID, &FEE_RECEIVER);
    context.native_invoke_signed(wrap.map_err(unbuilt)?, &[])
}

fn write_state(
    context: &InvokeContext<'_, '_>,
    accounts: &Accounts,
    liquidity: u64,
    open_time: u64,
    epoch: u64,
) -> Result<(), InstructionError> {
    let [zero, one] = &accounts.sides;
    let state = PoolState {
        amm_config: accounts.config_address,
        creator: accounts.creator,
        vault_0: zero.vault,
        vault_1: one.vault,
        lp_mint: accounts.lp_mint.0,
        mint_0: zero.mint,
        mint_1: one.mint,
        program_0: zero.program,
        program_1: one.program,
        observation: accounts.observation.0,
        auth_bump: accounts.auth_bump,
        status: 0,
        lp_decimals: LP_DECIMALS,
        decimals_0: zero.admission.decimals,
        decimals_1: one.admission.decimals,
        lp_supply: liquidity,
        protocol_fees_0: 0,
        protocol_fees_1: 0,
        fund_fees_0: 0,
        fund_fees_1: 0,
        open_time,
        recent_epoch: epoch,
        creator_fee_on: 0,
        enable_creator_fee: false,
        creator_fees_0: 0,
        creator_fees_1: 0,
    };
    let instruction = context.transaction_context.get_current_instruction_context()?;
    let mut account = instruction.try_borrow_instruction_account(POOL)?;
    state.write(account.get_data_mut()?).ok_or(InstructionError::InvalidAccountData)?;
    drop(account);
    let mut account = instruction.try_borrow_instruction_account(OBSERVATION)?;
    let written = observation::new(&accounts.pool);
    let data = account.get_data_mut()?;
    if data.len() != written.len() {
        return Err(InstructionError::InvalidAccountData);
    }
    data.copy_from_slice(&written);
    Ok(())
}
