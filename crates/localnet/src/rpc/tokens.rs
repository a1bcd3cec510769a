//! Methods that read tokens.

use serde_json::{Value, json};
use solana_account::ReadableAccount;
use solana_address::Address;
use solana_program_pack::Pack;
use spl_token_interface::state::Mint;

use super::accounts::token_account;
use super::encode::{self, Encoding, Shape, token_amount};
use super::params::{self, Params};
use super::{Answer, Node, RpcError, with_context};
use crate::cpmm::token::{is_token_program, mint_decimals};

const TOKEN_PROGRAMS: [Address; 2] = [spl_token_interface::ID, spl_token_2022_interface::ID];
/// Most accounts `getTokenLargestAccounts` names.
const LARGEST: usize = 20;

fn not_found() -> RpcError {
    RpcError::invalid_params("Invalid param: could not find account")
}

fn no_mint() -> RpcError {
    RpcError::invalid_params("Invalid param: could not find mint")
}

pub(super) fn accounts_by_owner(node: &Node, params: &Params<'_>) -> Answer {
    let owner = params.address(0)?;
    let filter = params.config(1)?;
    let config = params.config(2)?;
    let shape = Shape::read(config, Encoding::Legacy)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let (mint, programs): (Option<Address>, Vec<Address>) =
        match (filter.text("mint")?, filter.text("programId")?) {
            (Some(mint), None) => {
                let mint = params::address(mint)?;
                let account = ledger.account(&mint, bank.slot).ok_or_else(no_mint)?;
                if !is_token_program(account.owner()) {
                    return Err(RpcError::invalid_params("Invalid param: not a Token mint"));
                }
                (Some(mint), vec![*account.owner()])
            }
            (None, Some(program)) => {
                let program = params::address(program)?;
                if !is_token_program(&program) {
                    return Err(RpcError::invalid_params(
                        "Invalid param: unrecognized Token program id",
                    ));
                }
                (None, vec![program])
            }
            _ => {
                return Err(RpcError::invalid_params(
                    "Invalid params: expected either `mint` or `programId`.",
                ));
            }
        };
    let decimals = Node::decimals_at(&ledger, bank.slot);
    let mut found = Vec::new();
    for program in &programs {
        for (address, account) in ledger.owned_by(program, bank.slot) {
            let Some(token) = token_account(account) else { continue };
            if token.owner == owner && mint.is_none_or(|mint| mint == token.mint) {
                found.push((*address, account));
            }
        }
    }
    found.sort_unstable_by_key(|(address, _)| *address);
    let values = found
        .into_iter()
        .map(|(address, account)| {
            let account = encode::account(account, shape, &decimals)?;
            Ok(json!({"pubkey": address.to_string(), "account": account}))
        })
        .collect::<Result<Vec<_>, RpcError>>()?;
    Ok(with_context(&bank, &Value::Array(values)))
}

pub(super) fn account_balance(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    let account = ledger.account(&address, bank.slot).ok_or_else(not_found)?;
    let token = token_account(account)
        .ok_or_else(|| RpcError::invalid_params("Invalid param: not a Token account"))?;
    let decimals = Node::decimals_at(&ledger, bank.slot)(&token.mint).ok_or_else(no_mint)?;
    Ok(with_context(&bank, &token_amount(token.amount, decimals)))
}

pub(super) fn supply(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    let account = ledger.account(&address, bank.slot).ok_or_else(not_found)?;
    let not_a_mint = || RpcError::invalid_params("Invalid param: not a Token mint");
    if !is_token_program(account.owner()) || mint_decimals(account.data()).is_none() {
        return Err(not_a_mint());
    }
    let data = account.data().get(..Mint::LEN).ok_or_else(not_a_mint)?;
    let mint = Mint::unpack_from_slice(data).map_err(|_| not_a_mint())?;
    Ok(with_context(&bank, &token_amount(mint.supply, mint.decimals)))
}

pub(super) fn largest_accounts(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    ledger.account(&address, bank.slot).ok_or_else(not_found)?;
    let decimals = Node::decimals_at(&ledger, bank.slot)(&address)
        .ok_or_else(|| RpcError::invalid_params("Invalid param: not a Token mint"))?;
    let mut held: Vec<(u64, Address)> = TOKEN_PROGRAMS
        .iter()
        .flat_map(|program| ledger.owned_by(program, bank.slot))
        .filter_map(|(holder, account)| {
            let token = token_account(account)?;
            (token.mint == address).then_some((token.amount, *holder))
        })
        .collect();
    held.sort_unstable_by_key(|(amount, holder)| (std::cmp::Reverse(*amount), *holder));
    held.truncate(LARGEST);
    let values = held
        .into_iter()
        .map(|(amount, holder)| {
            let mut value = token_amount(amount, decimals);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("address".into(), json!(holder.to_string()));
            }
            value
        })
        .collect();
    Ok(with_context(&bank, &Value::Array(values)))
}
