//! Compiling instructions into the bytes that are signed.
//!
//! # Design
//! Keys stand in the order in which the instructions first name them, within the four classes the format wants. That
//! is what `@solana/web3.js` does, so its messages are reproduced byte for byte; it is also faster than sorting.

use sniper_core::ids::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;

use super::BuildError;

/// Largest transaction on the wire.
pub const WIRE_MAX: usize = 1_232;
/// What one signature adds to a message: itself and its count.
const SIGNATURE: usize = 65;
/// First byte of a version 0 message.
const VERSION_0: u8 = 0x80;

/// An address lookup table: its keys can be named by one byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTable {
    /// Where it is.
    pub address: Address,
    /// What it holds.
    pub addresses: Vec<Address>,
}

/// How instructions use a key.
#[derive(Clone, Copy, Debug)]
struct Key {
    address: Address,
    signer: bool,
    writable: bool,
    invoked: bool,
}

/// Keys of one table that a message loads.
struct Loaded<'a> {
    table: &'a Address,
    writable: Vec<(u8, Address)>,
    readonly: Vec<(u8, Address)>,
}

/// Compiles a version 0 message with one signer, `payer`.
///
/// # Errors
/// More signers than one, more keys or bytes than the format or the wire can carry.
pub fn compile(
    payer: Address,
    instructions: &[Instruction],
    blockhash: &Hash,
    tables: &[LookupTable],
) -> Result<Vec<u8>, BuildError> {
    let message = compile_any(payer, instructions, blockhash, tables)?;
    let signers = message.get(1).copied().unwrap_or_default();
    if signers != 1 {
        return Err(BuildError::Signers { signers });
    }
    let length = message.len().saturating_add(SIGNATURE);
    if length > WIRE_MAX {
        return Err(BuildError::TooLarge { length });
    }
    Ok(message)
}

/// [`compile`] without the limits that hold only for what we send.
pub(crate) fn compile_any(
    payer: Address,
    instructions: &[Instruction],
    blockhash: &Hash,
    tables: &[LookupTable],
) -> Result<Vec<u8>, BuildError> {
    let mut keys = collect(payer, instructions);
    let loaded: Vec<Loaded<'_>> =
        tables.iter().filter_map(|table| load(table, &mut keys)).collect();
    // A stable sort into the four classes keeps the order of first mention within each.
    keys.sort_by_key(|key| (!key.signer, !key.writable));
    let count = |f: &dyn Fn(&Key) -> bool| short(keys.iter().filter(|key| f(key)).count());
    let header = [
        count(&|key| key.signer)?,
        count(&|key| key.signer && !key.writable)?,
        count(&|key| !key.signer && !key.writable)?,
    ];
    // Keys of tables follow the static ones: first what all tables load writable, then read-only.
    let order: Vec<Address> = keys
        .iter()
        .map(|key| key.address)
        .chain(loaded.iter().flat_map(|l| l.writable.iter().map(|(_, address)| *address)))
        .chain(loaded.iter().flat_map(|l| l.readonly.iter().map(|(_, address)| *address)))
        .collect();
    let index = |address: &Address| {
        let at = order.iter().position(|known| known == address);
        at.map_or(Err(BuildError::TooManyKeys), short)
    };
    let mut out = Vec::with_capacity(WIRE_MAX);
    out.push(VERSION_0);
    out.extend_from_slice(&header);
    length(&mut out, keys.len())?;
    for key in &keys {
        out.extend_from_slice(key.address.as_array());
    }
    out.extend_from_slice(blockhash.as_bytes());
    length(&mut out, instructions.len())?;
    for instruction in instructions {
        out.push(index(&instruction.program_id)?);
        length(&mut out, instruction.accounts.len())?;
        for meta in &instruction.accounts {
            out.push(index(&meta.pubkey)?);
        }
        length(&mut out, instruction.data.len())?;
        out.extend_from_slice(&instruction.data);
    }
    length(&mut out, loaded.len())?;
    for l in &loaded {
        out.extend_from_slice(l.table.as_array());
        for list in [&l.writable, &l.readonly] {
            length(&mut out, list.len())?;
            out.extend(list.iter().map(|(at, _)| *at));
        }
    }
    Ok(out)
}

/// Every key the instructions name, once, in order of first mention, the payer first.
fn collect(payer: Address, instructions: &[Instruction]) -> Vec<Key> {
    let mut keys = Vec::with_capacity(48);
    let mut name = |address: &Address, signer: bool, writable: bool, invoked: bool| match keys
        .iter_mut()
        .find(|key: &&mut Key| key.address == *address)
    {
        Some(key) => {
            key.signer |= signer;
            key.writable |= writable;
            key.invoked |= invoked;
        }
        None => keys.push(Key { address: *address, signer, writable, invoked }),
    };
    name(&payer, true, true, false);
    for instruction in instructions {
        name(&instruction.program_id, false, false, true);
        for meta in &instruction.accounts {
            name(&meta.pubkey, meta.is_signer, meta.is_writable, false);
        }
    }
    keys
}

/// Takes out of `keys` what a table can load; none if it helps nothing.
fn load<'a>(table: &'a LookupTable, keys: &mut Vec<Key>) -> Option<Loaded<'a>> {
    let mut loaded = Loaded { table: &table.address, writable: Vec::new(), readonly: Vec::new() };
    keys.retain(|key| {
        // Signers and programs must be static.
        if key.signer || key.invoked {
            return true;
        }
        let at = table.addresses.iter().position(|address| *address == key.address);
        let Some(at) = at.and_then(|at| u8::try_from(at).ok()) else { return true };
        let list = if key.writable { &mut loaded.writable } else { &mut loaded.readonly };
        list.push((at, key.address));
        false
    });
    (!loaded.writable.is_empty() || !loaded.readonly.is_empty()).then_some(loaded)
}

fn short(count: usize) -> Result<u8, BuildError> {
    u8::try_from(count).map_err(|_| BuildError::TooManyKeys)
}

/// A length in seven-bit groups, the low ones first.
fn length(out: &mut Vec<u8>, length: usize) -> Result<(), BuildError> {
    let mut rest = u16::try_from(length).map_err(|_| BuildError::TooLarge { length })?;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0x7f);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return Ok(());
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use solana_instruction::AccountMeta;
    use solana_message::VersionedMessage;

    const NOT_RESERVED: Option<&std::collections::BTreeSet<Address>> = None;

    /// The official library's reading of a message.
    fn read(bytes: &[u8]) -> VersionedMessage {
        wincode::deserialize(bytes).unwrap()
    }

    fn address(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    proptest! {
        #[test]
        fn the_official_library_reads_back_every_instruction(
            spec in proptest::collection::vec(
                (0_u8..40, proptest::collection::vec((0_u8..40, any::<bool>(), any::<bool>()), 0..12),
                 proptest::collection::vec(any::<u8>(), 0..200)), 1..6),
        ) {
            let instructions: Vec<Instruction> = spec.iter().map(|(program, accounts, data)| Instruction {
                program_id: address(100 + program),
                accounts: accounts.iter().map(|(key, signer, writable)| AccountMeta {
                    pubkey: address(*key), is_signer: *signer, is_writable: *writable,
                }).collect(),
                data: data.clone(),
            }).collect();
            let bytes = compile_any(address(0), &instructions, &Hash::new_from_array([9; 32]), &[]).unwrap();
            let message = read(&bytes);
            let keys = message.static_account_keys();
            prop_assert_eq!(keys[0].to_bytes(), [0; 32]);
            prop_assert_eq!(message.recent_blockhash().to_bytes(), [9; 32]);
            prop_assert_eq!(message.instructions().len(), instructions.len());
            for (compiled, wanted) in message.instructions().iter().zip(&instructions) {
                let key = |index: u8| keys[usize::from(index)].to_bytes();
                prop_assert_eq!(key(compiled.program_id_index), wanted.program_id.to_bytes());
                prop_assert_eq!(&compiled.data, &wanted.data);
                prop_assert_eq!(compiled.accounts.len(), wanted.accounts.len());
                for (index, meta) in compiled.accounts.iter().zip(&wanted.accounts) {
                    prop_assert_eq!(key(*index), meta.pubkey.to_bytes());
                    let at = usize::from(*index);
                    prop_assert!(!meta.is_signer || message.is_signer(at));
                    prop_assert!(!meta.is_writable || message.is_maybe_writable_with_reserved_addresses(at, NOT_RESERVED));
                }
            }
        }
    }

    #[test]
    fn a_transaction_too_large_for_the_wire_is_refused() {
        let fat = |bytes| {
            [Instruction { program_id: address(9), accounts: vec![], data: vec![0; bytes] }]
        };
        let compiled = |bytes| compile(address(1), &fat(bytes), &Hash::default(), &[]);
        let most =
            compiled(1_000).map(|message| 1_000 + WIRE_MAX - SIGNATURE - message.len()).unwrap();
        assert_eq!(compiled(most).unwrap().len() + SIGNATURE, WIRE_MAX);
        assert!(
            matches!(compiled(most + 1), Err(BuildError::TooLarge { length }) if length == WIRE_MAX + 1)
        );
    }

    #[test]
    fn a_second_signer_is_refused() {
        let accounts = vec![AccountMeta::new(address(2), true)];
        let instruction = Instruction { program_id: address(9), accounts, data: vec![] };
        let compiled = compile(address(1), &[instruction], &Hash::default(), &[]);
        assert!(matches!(compiled, Err(BuildError::Signers { signers: 2 })));
    }
}
