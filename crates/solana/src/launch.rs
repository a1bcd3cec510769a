//! From the news that a pool was made to where it is.
//!
//! Not every program prints what it has made: Raydium CPMM tells only that it makes something, and AMM v4 not of what.
//! Then the [`Sighting`] is a [`Fetch`], and [`locate`] asks for the transaction and finds the pool among the accounts
//! of the instruction that made it, wherever in the transaction that was called.
//!
//! | program | instruction | begins with | the pool is account |
//! | --- | --- | --- | --- |
//! | Raydium CPMM | `initialize` | `afaf6d1f0d989bed` | 3 |
//! | Raydium CPMM | `initialize_with_permission` | `3f37fe4131b25979` | 4 |
//! | Raydium AMM v4 | `initialize2` | `01`, and is 26 bytes long | 4 |
//! | Raydium CLMM | `create_pool` | `e992d18ecf6840bc` | 2 |
//! | Raydium CLMM | `create_customizable_pool` | `2b44d4a7592fa401` | 2 |
//! | Raydium CLMM | `create_permissioned_pool` | `24f3b3232aef35e5` | 4 |
//! | PumpSwap | `create_pool` | `e992d18ecf6840bc` | 0 |
//!
//! Accounts are counted from 0. Sources are those named at [`sniper_core::launch`], of the same commits; Anchor's first
//! bytes are the hash of `global:` and the instruction's name. A bonding curve of pump.fun is not looked for: what its
//! program prints says all, and a coin that leaves it is found by PumpSwap's instruction.
//!
//! An address is what the transaction says. Whoever reads the account checks that its program owns it.

use std::time::Duration;

use sniper_core::amm::Kind;
use sniper_core::ids::Address;
use sniper_core::launch::{Detected, Fetch, Program};
use thiserror::Error;
use tokio::time::Instant;

use crate::feed::Sighting;
use crate::rpc::{Call, CallKind, Calls, Commitment, Next, RpcConnectionPool, RpcError};

/// Most pools taken from one transaction.
pub const POOLS_MAX: usize = 8;

/// A pool that a transaction has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// How its account is read.
    pub kind: Kind,
    /// Its state account.
    pub pool: Address,
}

/// How long to wait for a transaction to be visible: what was told as processed can be read when it is confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In all.
    pub within: Duration,
    /// Between two questions.
    pub pause: Duration,
}

impl Default for Patience {
    /// Ten seconds, asked five times a second: a transaction is confirmed within two as a rule.
    fn default() -> Self {
        Self { within: Duration::from_secs(10), pause: Duration::from_millis(200) }
    }
}

/// Why it is not known where the pool is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocateError {
    /// No node knew the transaction in time: it was dropped, or its fork was.
    #[error("the transaction was not to be read within {waited:?}; it may have been undone")]
    NotVisible {
        /// How long we waited.
        waited: Duration,
    },
    /// It failed, and so has made nothing.
    #[error("the transaction failed: no pool was made")]
    Failed,
    /// No instruction in it makes a pool that is known here.
    #[error("no instruction of the transaction makes a pool of {}{}", name(*program), part(*is_whole))]
    NoPool {
        /// Of which program; any if none.
        program: Option<Program>,
        /// Whether calls of programs by programs were told too.
        is_whole: bool,
    },
    /// More pools than a transaction that is meant well makes.
    #[error("the transaction makes more than {POOLS_MAX} pools: none of them is taken")]
    TooMany,
    /// No endpoint gave an answer.
    #[error("the transaction could not be read")]
    Rpc(#[from] RpcError),
}

fn name(program: Option<Program>) -> &'static str {
    match program {
        Some(Program::PumpFun) => "pump.fun",
        Some(Program::PumpSwap) => "PumpSwap",
        Some(Program::AmmV4) => "Raydium AMM v4",
        Some(Program::Cpmm) => "Raydium CPMM",
        Some(Program::Clmm) => "Raydium CLMM",
        None => "any known program",
    }
}

fn part(is_whole: bool) -> &'static str {
    if is_whole { "" } else { " (the node does not record what programs call)" }
}

/// An instruction that makes a pool.
struct Maker {
    program: Program,
    begins: &'static [u8],
    /// Its exact length, where its first byte alone says little.
    length: Option<usize>,
    /// Which of its accounts the pool is.
    pool: usize,
}

const fn maker(program: Program, begins: &'static [u8; 8], pool: usize) -> Maker {
    Maker { program, begins, length: None, pool }
}

const CREATE_POOL: [u8; 8] = [0xe9, 0x92, 0xd1, 0x8e, 0xcf, 0x68, 0x40, 0xbc];

const MAKERS: [Maker; 7] = [
    maker(Program::Cpmm, &[0xaf, 0xaf, 0x6d, 0x1f, 0x0d, 0x98, 0x9b, 0xed], 3),
    maker(Program::Cpmm, &[0x3f, 0x37, 0xfe, 0x41, 0x31, 0xb2, 0x59, 0x79], 4),
    // One byte that says which, a nonce, an opening time and two amounts.
    Maker { program: Program::AmmV4, begins: &[1], length: Some(26), pool: 4 },
    maker(Program::Clmm, &CREATE_POOL, 2),
    maker(Program::Clmm, &[0x2b, 0x44, 0xd4, 0xa7, 0x59, 0x2f, 0xa4, 0x01], 2),
    maker(Program::Clmm, &[0x24, 0xf3, 0xb3, 0x23, 0x2a, 0xef, 0x35, 0xe5], 4),
    maker(Program::PumpSwap, &CREATE_POOL, 0),
];

impl Maker {
    /// The pool that a call makes, if it is one of these.
    fn pool_of(&self, call: &Call) -> Option<Located> {
        let is_it = call.program == self.program.address()
            && call.data.starts_with(self.begins)
            && self.length.is_none_or(|length| call.data.len() == length);
        let pool = call.accounts.get(self.pool).filter(|_| is_it)?;
        Some(Located { kind: self.program.kind(), pool: *pool })
    }
}

/// The pools that a transaction has made, in its order, of one program or, if none is named, of any.
///
/// # Errors
/// It failed, or made none or too many.
pub fn pools_of(calls: &Calls, program: Option<Program>) -> Result<Vec<Located>, LocateError> {
    if !calls.succeeded {
        return Err(LocateError::Failed);
    }
    // What pump.fun makes besides its curve is made by PumpSwap.
    let sought = match program {
        Some(Program::PumpFun) => Some(Program::PumpSwap),
        other => other,
    };
    let makers = || MAKERS.iter().filter(|maker| sought.is_none_or(|one| one == maker.program));
    let mut found: Vec<Located> = Vec::new();
    for call in &calls.calls {
        let Some(located) = makers().find_map(|maker| maker.pool_of(call)) else { continue };
        if found.contains(&located) {
            continue;
        }
        if found.len() >= POOLS_MAX {
            return Err(LocateError::TooMany);
        }
        found.push(located);
    }
    if found.is_empty() {
        return Err(LocateError::NoPool { program, is_whole: calls.is_whole });
    }
    Ok(found)
}

/// Where the pools of a sighting are: at once if that was told, or else by reading its transaction, which may not be
/// visible yet.
///
/// # Errors
/// See [`LocateError`].
pub async fn locate(
    rpc: &RpcConnectionPool,
    sighting: &Sighting,
    patience: Patience,
) -> Result<Vec<Located>, LocateError> {
    let program = match &sighting.detected {
        Detected::Launch(launch) => {
            return Ok(vec![Located { kind: launch.kind, pool: launch.pool }]);
        }
        Detected::Fetch(Fetch { program: Some(program), pool: Some(pool), .. }) => {
            return Ok(vec![Located { kind: program.kind(), pool: *pool }]);
        }
        Detected::Fetch(fetch) => fetch.program,
    };
    let begun = Instant::now();
    loop {
        let answer = rpc.transaction_calls(&sighting.signature, Commitment::Confirmed).await;
        let again = match answer {
            Ok(Some(calls)) => return pools_of(&calls, program),
            Ok(None) => LocateError::NotVisible { waited: begun.elapsed() },
            Err(error) if matches!(error.next(CallKind::Read), Next::Wait(_)) => error.into(),
            Err(error) => return Err(error.into()),
        };
        if begun.elapsed().saturating_add(patience.pause) > patience.within {
            return Err(again);
        }
        tokio::time::sleep(patience.pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::units::Slot;

    fn key(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    fn call(program: Address, data: &[u8]) -> Call {
        Call { program, accounts: (0..20).map(key).collect(), data: data.to_vec() }
    }

    fn calls(calls: Vec<Call>) -> Calls {
        Calls { slot: Slot::new(1), succeeded: true, calls, is_whole: true }
    }

    #[test]
    fn each_instruction_that_makes_a_pool_names_it() {
        for maker in MAKERS {
            let mut data = maker.begins.to_vec();
            data.resize(maker.length.unwrap_or(32), 9);
            let made = calls(vec![call(key(99), &data), call(maker.program.address(), &data)]);
            let at = u8::try_from(maker.pool).unwrap();
            let located = Located { kind: maker.program.kind(), pool: key(at) };
            for program in [Some(maker.program), None] {
                assert_eq!(pools_of(&made, program).unwrap(), [located]);
            }
            let short =
                Call { accounts: vec![key(0); maker.pool], ..call(maker.program.address(), &data) };
            let none = pools_of(&calls(vec![short]), None);
            assert!(matches!(none, Err(LocateError::NoPool { program: None, is_whole: true })));
        }
    }

    #[test]
    fn swaps_and_other_programs_pools_are_not_taken() {
        let cpmm = Program::Cpmm.address();
        let swap = [0x8f, 0xbe, 0x5a, 0xda, 0xc4, 0x1e, 0x33, 0xde];
        let made = calls(vec![
            call(cpmm, &swap),
            call(Program::AmmV4.address(), &[1; 25]),
            call(Program::AmmV4.address(), &[9; 26]),
            call(Program::PumpSwap.address(), &CREATE_POOL),
        ]);
        let none = pools_of(&made, Some(Program::Cpmm)).unwrap_err();
        assert!(matches!(none, LocateError::NoPool { program: Some(Program::Cpmm), .. }));
        let moved = pools_of(&made, Some(Program::PumpFun)).unwrap();
        assert_eq!(moved, [Located { kind: Kind::PumpSwap, pool: key(0) }]);
    }

    #[test]
    fn a_failed_transaction_has_made_nothing_and_one_pool_is_told_once() {
        let data = MAKERS[0].begins;
        let mut made = calls(vec![call(Program::Cpmm.address(), data); 3]);
        assert_eq!(pools_of(&made, None).unwrap().len(), 1);
        made.calls = (0..9)
            .map(|nth| Call { accounts: vec![key(nth); 4], ..call(Program::Cpmm.address(), data) })
            .collect();
        assert!(matches!(pools_of(&made, None), Err(LocateError::TooMany)));
        made.succeeded = false;
        assert!(matches!(pools_of(&made, None), Err(LocateError::Failed)));
    }
}
