//! Instructions of the exchange: what callers send and what the program reads.

use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use super::PROGRAM_ID;
use super::error::{self, Refusal};
use super::math::Way;
use super::state::Reader;
use super::swap::Request;

const SWAP: [u8; 8] = [0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8];
const SWAP_V2: [u8; 8] = [0x2b, 0x04, 0xed, 0x0b, 0x1a, 0xc9, 0x1e, 0x62];

/// Remaining accounts for the transfer hook of mint A.
const TRANSFER_HOOK_A: u8 = 0;
/// Remaining accounts for the transfer hook of mint B.
const TRANSFER_HOOK_B: u8 = 1;
/// Remaining accounts that are more tick arrays.
const SUPPLEMENTAL_TICK_ARRAYS: u8 = 6;
/// Kinds of remaining accounts the program knows.
const KINDS: u8 = 7;
/// Most supplemental tick arrays.
const SUPPLEMENTAL_MAX: u8 = 3;

/// The accounts behind the fixed ones of a `swap_v2`: kinds and counts, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remaining(pub Vec<(u8, u8)>);

impl Remaining {
    /// Nothing but this many supplemental tick arrays.
    #[must_use]
    pub fn tick_arrays(count: u8) -> Self {
        Self(vec![(SUPPLEMENTAL_TICK_ARRAYS, count)])
    }

    /// Where in the `given` accounts behind the fixed ones the supplemental tick arrays are.
    ///
    /// # Errors
    /// Kinds a swap does not take or takes once only, and more accounts announced than given.
    pub fn supplemental(&self, given: u16) -> Result<std::ops::Range<u16>, Refusal> {
        let (mut seen, mut next, mut found) = (Vec::new(), 0u16, 0..0);
        for (kind, count) in &self.0 {
            if ![TRANSFER_HOOK_A, TRANSFER_HOOK_B, SUPPLEMENTAL_TICK_ARRAYS].contains(kind) {
                return Err(error::REMAINING_ACCOUNTS_INVALID_SLICE);
            }
            if *count == 0 {
                continue;
            }
            let end = next.saturating_add((*count).into());
            if end > given {
                return Err(error::REMAINING_ACCOUNTS_INSUFFICIENT);
            }
            if seen.contains(kind) {
                return Err(error::REMAINING_ACCOUNTS_DUPLICATED);
            }
            if *kind == SUPPLEMENTAL_TICK_ARRAYS {
                if *count > SUPPLEMENTAL_MAX {
                    return Err(error::TOO_MANY_SUPPLEMENTAL_TICK_ARRAYS);
                }
                found = next..end;
            }
            seen.push(*kind);
            next = end;
        }
        Ok(found)
    }
}

/// Which of the two instructions it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// `swap`: SPL Token only.
    One,
    /// `swap_v2`: either token program, and perhaps accounts behind the fixed ones.
    Two(Option<Remaining>),
}

/// A swap as its instruction data says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapArgs {
    /// Amount, limit and direction.
    pub request: Request,
    /// Fewest atoms out, or most atoms in.
    pub other_amount_threshold: u64,
    /// The instruction.
    pub version: Version,
}

/// Instruction data that is not a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The first eight bytes name no instruction known here.
    UnknownInstruction,
    /// The arguments are cut short or impossible.
    BadArguments,
}

impl SwapArgs {
    /// Reads instruction data.
    ///
    /// # Errors
    /// [`DecodeError`] tells an unknown instruction from damaged arguments.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader { rest: data };
        let two = match r.take() {
            Some(SWAP) => false,
            Some(SWAP_V2) => true,
            _ => return Err(DecodeError::UnknownInstruction),
        };
        Self::arguments(&mut r, two).ok_or(DecodeError::BadArguments)
    }

    fn arguments(r: &mut Reader<'_>, two: bool) -> Option<Self> {
        let flag = |byte: u8| (byte < 2).then_some(byte == 1);
        let amount = r.u64()?;
        let other_amount_threshold = r.u64()?;
        let sqrt_price_limit = r.u128()?;
        let way = Way { exact_in: flag(r.u8()?)?, a_to_b: flag(r.u8()?)? };
        let version = if !two {
            Version::One
        } else if flag(r.u8()?)? {
            let count = r.take().map(u32::from_le_bytes)?;
            let mut slices = Vec::new();
            for _ in 0..count {
                let slice = (r.u8()?, r.u8()?);
                if slice.0 >= KINDS {
                    return None;
                }
                slices.push(slice);
            }
            Version::Two(Some(Remaining(slices)))
        } else {
            Version::Two(None)
        };
        let request = Request { amount, sqrt_price_limit, way };
        Some(Self { request, other_amount_threshold, version })
    }

    /// Writes instruction data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Request { amount, sqrt_price_limit, way } = self.request;
        let mut data = match self.version {
            Version::One => SWAP,
            Version::Two(_) => SWAP_V2,
        }
        .to_vec();
        data.extend(amount.to_le_bytes());
        data.extend(self.other_amount_threshold.to_le_bytes());
        data.extend(sqrt_price_limit.to_le_bytes());
        data.extend([u8::from(way.exact_in), u8::from(way.a_to_b)]);
        match &self.version {
            Version::One => {}
            Version::Two(None) => data.push(0),
            Version::Two(Some(Remaining(slices))) => {
                data.push(1);
                data.extend(u32::try_from(slices.len()).unwrap_or(u32::MAX).to_le_bytes());
                data.extend(slices.iter().flat_map(|(kind, count)| [*kind, *count]));
            }
        }
        data
    }
}

/// One token's side of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Its mint.
    pub mint: Address,
    /// Its token program.
    pub program: Address,
    /// The user's account.
    pub user: Address,
    /// The pool's account.
    pub vault: Address,
}

/// The accounts of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapAccounts {
    /// Who signs and owns the user's token accounts.
    pub authority: Address,
    /// The pool.
    pub pool: Address,
    /// Token A.
    pub a: Side,
    /// Token B.
    pub b: Side,
    /// Three tick arrays; the last in reach may repeat.
    pub tick_arrays: [Address; 3],
    /// Oracle of the pool, there or not.
    pub oracle: Address,
    /// More tick arrays, for `swap_v2`.
    pub supplemental: Vec<Address>,
}

/// Builds a swap instruction.
#[must_use]
pub fn swap(accounts: &SwapAccounts, args: &SwapArgs) -> Instruction {
    let SwapAccounts { authority, pool, a, b, tick_arrays, oracle, supplemental } = accounts;
    let read = |address: &Address| AccountMeta::new_readonly(*address, false);
    let write = |address: &Address| AccountMeta::new(*address, false);
    let signer = AccountMeta::new_readonly(*authority, true);
    let tokens = [&a.user, &a.vault, &b.user, &b.vault].map(write);
    let mut metas = match args.version {
        Version::One => vec![read(&a.program), signer, write(pool)],
        Version::Two(_) => vec![
            read(&a.program),
            read(&b.program),
            read(&super::program::MEMO),
            signer,
            write(pool),
            read(&a.mint),
            read(&b.mint),
        ],
    };
    metas.extend(tokens);
    metas.extend(tick_arrays.iter().map(write));
    metas.push(match args.version {
        Version::One => read(oracle),
        Version::Two(_) => write(oracle),
    });
    metas.extend(supplemental.iter().map(write));
    Instruction { program_id: PROGRAM_ID, accounts: metas, data: args.encode() }
}
