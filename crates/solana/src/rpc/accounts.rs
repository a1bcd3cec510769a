//! Up to a hundred accounts in one answer.
//!
//! # Design
//! Nearly every answer is written one way, and is read in one pass over its text: nothing is copied but what is kept,
//! and an owner that was just read is not read again. Whatever is written another way, or is no good, is left to
//! `wire::open`, whose word is final: what the quick way tells, that one would have told too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sniper_core::ids::Address;
use sniper_core::units::{Lamports, Slot};

use super::error::{EndpointName, RpcError};
use super::floor::Since;
use super::methods::Options;
use super::pool::RpcConnectionPool;
use super::raw::{AtMost, RawAccount, Wrapped};
use super::read::Slotted;
use super::types::{AccountInfo, At, Commitment};
use super::wire;
use crate::base58;
use crate::json::{Cursor, Stop, members, usual_account};

/// Most accounts of one `getMultipleAccounts`.
pub(super) const ACCOUNTS_MAX: usize = 100;

const METHOD: &str = "getMultipleAccounts";

/// Accounts in the order in which they were asked for.
type Told = At<Vec<Option<AccountInfo>>>;

impl Slotted for Told {
    fn told_slot(&self) -> u64 {
        self.slot.get()
    }
}

impl RpcConnectionPool {
    /// Accounts in the order of `addresses`, up to a hundred from one and the same state; beyond that the slot told
    /// is the lowest of the parts. `at_least` refuses older states.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn multiple_accounts(
        &self,
        addresses: &[Address],
        commitment: Commitment,
        at_least: Option<Slot>,
    ) -> Result<At<Vec<Option<AccountInfo>>>, RpcError> {
        let mut all = At { slot: Slot::MAX, value: Vec::new() };
        for part in addresses.chunks(ACCOUNTS_MAX) {
            let told = self.some_accounts(part, commitment, at_least).await?;
            all.slot = all.slot.min(told.slot);
            if all.value.is_empty() {
                all.value = told.value;
            } else {
                all.value.extend(told.value);
            }
        }
        Ok(all)
    }

    /// At most [`ACCOUNTS_MAX`].
    async fn some_accounts(
        &self,
        keys: &[Address],
        commitment: Commitment,
        at_least: Option<Slot>,
    ) -> Result<Told, RpcError> {
        let since = self.since(commitment).and(at_least.map(Slot::get));
        let open = |name: &EndpointName, bytes: &[u8]| open(name, bytes, keys.len());
        let check = |told: &Told| match told.value.len() == keys.len() {
            true => Ok(()),
            false => Err("another number of accounts than asked for"),
        };
        self.read_since_by(since, METHOD, request(keys, since)?, open, check).await
    }
}

/// The request. Keys are plain letters and digits: written as they are.
fn request(keys: &[Address], since: Since) -> Result<Bytes, RpcError> {
    // A key has 44 letters at most, and what is around them all some two hundred.
    let mut text = wire::begun(METHOD, keys.len().saturating_mul(47).saturating_add(256))?;
    text.extend_from_slice(b"[[");
    for (nth, key) in keys.iter().enumerate() {
        text.extend_from_slice(if nth == 0 { &b"\""[..] } else { b",\"" });
        base58::push(&mut text, key);
        text.push(b'"');
    }
    text.extend_from_slice(b"],");
    serde_json::to_writer(&mut text, &Options::base64(since))
        .map_err(|source| RpcError::Encode { method: METHOD, source })?;
    text.extend_from_slice(b"]}");
    Ok(Bytes::from(text))
}

/// What an answer to a question for so many accounts tells.
fn open(endpoint: &EndpointName, bytes: &[u8], asked: usize) -> Result<Told, RpcError> {
    if let Some(told) = quickly(bytes, asked) {
        return Ok(told);
    }
    let answer: Wrapped<AtMost<Option<RawAccount>, ACCOUNTS_MAX>> =
        wire::open(endpoint, METHOD, bytes)?;
    Ok(answer.map(|list| list.0.into_iter().map(|raw| raw.map(AccountInfo::from)).collect()))
}

/// The same, where it is written as nearly all are.
fn quickly(bytes: &[u8], asked: usize) -> Option<Told> {
    let mut cursor = Cursor::new(bytes);
    let mut told = None;
    let read = members(&mut cursor, |cursor, key| match key {
        b"jsonrpc" | b"id" => cursor.skip(),
        b"result" => {
            let result = result(cursor, asked)?;
            cursor.once(&mut told, result)
        }
        // An error, or something that is not known here.
        _ => cursor.bad(),
    });
    // Nothing may follow.
    if read.is_err() || cursor.peek().is_ok() { None } else { told }
}

fn result(cursor: &mut Cursor<'_>, asked: usize) -> Result<Told, Stop> {
    let (mut slot, mut value) = (None, None);
    members(cursor, |cursor, key| match key {
        b"context" => members(cursor, |cursor, key| match key {
            b"apiVersion" => cursor.skip(),
            b"slot" => {
                let number = cursor.number()?;
                cursor.once(&mut slot, number)
            }
            _ => cursor.bad(),
        }),
        b"value" => {
            let list = accounts(cursor, asked)?;
            cursor.once(&mut value, list)
        }
        _ => cursor.bad(),
    })?;
    match (slot, value) {
        (Some(slot), Some(value)) => Ok(At { slot: Slot::new(slot), value }),
        _ => cursor.bad(),
    }
}

fn accounts(cursor: &mut Cursor<'_>, asked: usize) -> Result<Vec<Option<AccountInfo>>, Stop> {
    let mut all = Vec::with_capacity(asked.min(ACCOUNTS_MAX));
    let mut owners = Owner::default();
    let mut more = cursor.begins(b'[', b']')?;
    while more {
        if all.len() >= asked {
            return cursor.bad();
        }
        let account = if cursor.null()? { None } else { Some(account(cursor, &mut owners)?) };
        all.push(account);
        more = cursor.comma_or(b']')?;
    }
    Ok(all)
}

fn account<'a>(cursor: &mut Cursor<'a>, owners: &mut Owner<'a>) -> Result<AccountInfo, Stop> {
    let Some(usual) = usual_account(cursor) else {
        // A program's, or one by a node that writes it in another order.
        return cursor.by_serde::<RawAccount>().map(AccountInfo::from);
    };
    let owner = owners.read(usual.owner).ok_or(Stop::Bad(cursor.at()))?;
    let data = STANDARD.decode(usual.data).map_err(|_| Stop::Bad(cursor.at()))?;
    let lamports = Lamports::new(usual.lamports);
    Ok(AccountInfo { lamports, owner, data, executable: false })
}

/// The owner that was read last: accounts that are asked for together mostly have the same.
#[derive(Default)]
struct Owner<'a>(Option<(&'a [u8], Address)>);

impl<'a> Owner<'a> {
    fn read(&mut self, text: &'a [u8]) -> Option<Address> {
        if let Some((known, address)) = self.0
            && known == text
        {
            return Some(address);
        }
        let address = std::str::from_utf8(text).ok()?.parse().ok()?;
        self.0 = Some((text, address));
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    /// What the quick way has to agree with.
    fn slowly(bytes: &[u8]) -> Result<Told, RpcError> {
        let answer: Wrapped<AtMost<Option<RawAccount>, ACCOUNTS_MAX>> =
            wire::open(&"a".into(), METHOD, bytes)?;
        Ok(answer.map(|list| list.0.into_iter().map(|raw| raw.map(AccountInfo::from)).collect()))
    }

    /// The same accounts, or the same words.
    fn agree(bytes: &[u8], asked: usize) {
        let text = || String::from_utf8_lossy(bytes);
        let slow = slowly(bytes);
        if let Some(quick) = quickly(bytes, asked) {
            assert_eq!(slow.as_ref().ok(), Some(&quick), "{}", text());
        }
        let open = open(&"a".into(), bytes, asked).map_err(|error| error.to_string());
        assert_eq!(open, slow.map_err(|error| error.to_string()), "{}", text());
    }

    type Account = (u64, [u8; 32], Vec<u8>, bool);

    fn an_account() -> impl Strategy<Value = Option<Account>> {
        let owner = prop_oneof![Just([6; 32]), any::<[u8; 32]>()];
        let data = prop::collection::vec(any::<u8>(), 0..100);
        prop::option::weighted(0.9, (any::<u64>(), owner, data, prop::bool::weighted(0.1)))
    }

    /// As Agave writes it.
    fn written(slot: u64, accounts: &[Option<Account>]) -> String {
        let mut text = format!(
            r#"{{"jsonrpc":"2.0","result":{{"context":{{"apiVersion":"3.0.1","slot":{slot}}},"value":["#
        );
        for (nth, account) in accounts.iter().enumerate() {
            text.push_str(if nth == 0 { "" } else { "," });
            let Some((lamports, owner, data, executable)) = account else {
                text.push_str("null");
                continue;
            };
            let (owner, space) = (Address::new_from_array(*owner), data.len());
            let data = STANDARD.encode(data);
            write!(
                text,
                r#"{{"data":["{data}","base64"],"executable":{executable},"lamports":{lamports},"owner":"{owner}","rentEpoch":18446744073709551615,"space":{space}}}"#
            )
            .unwrap();
        }
        text + r#"]},"id":1}"#
    }

    /// Pieces that answers are made of, and some that they are not.
    const PIECES: [&str; 38] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "null",
        "true",
        "0",
        "7",
        "-1",
        "1.5",
        "1e3",
        "\"\"",
        "\"jsonrpc\":",
        "\"result\":",
        "\"res\\u0075lt\":",
        "\"id\":",
        "\"error\":",
        "\"error\":null,",
        "\"context\":",
        "\"slot\":5",
        "\"apiVersion\":\"3\",",
        "\"value\":",
        "\"value\":[",
        "\"data\":",
        "[\"AQID\",\"base64\"]",
        "[\"AQ==\",\"base58\"]",
        "\"executable\":false",
        "\"lamports\":",
        "\"owner\":\"11111111111111111111111111111111\"",
        "\"space\":0",
        "\"rentEpoch\":0",
        "\"x\":",
        "{\"context\":{\"slot\":5},\"value\":[null]}",
        r#"{"data":["","base64"],"executable":false,"lamports":1,"owner":"11111111111111111111111111111111","rentEpoch":0,"space":0}"#,
    ];

    proptest! {
        #[test]
        fn an_answer_is_read_in_one_pass_and_tells_what_was_written(
            slot: u64, accounts in prop::collection::vec(an_account(), 0..=ACCOUNTS_MAX),
        ) {
            let text = written(slot, &accounts);
            let told = quickly(text.as_bytes(), accounts.len()).unwrap();
            prop_assert_eq!(told.slot.get(), slot);
            let told = told.value.into_iter().map(|account| account.map(|of| {
                (of.lamports.get(), of.owner.to_bytes(), of.data, of.executable)
            }));
            prop_assert_eq!(told.collect::<Vec<_>>(), accounts);
        }

        #[test]
        fn a_damaged_answer_means_the_same_whichever_way_it_is_read(
            accounts in prop::collection::vec(an_account(), 0..5),
            asked in 0_usize..6,
            damage in prop::collection::vec((any::<Index>(), 0_u8..5, any::<u8>(), select(&PIECES[..])), 1..4),
        ) {
            let mut text = written(7, &accounts).into_bytes();
            for (at, how, byte, piece) in damage {
                let at = at.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => drop(text.remove(at)),
                    2 => text.truncate(at),
                    3 => drop(text.splice(at..at, piece.bytes())),
                    // Said twice.
                    _ => {
                        let end = text.len().min(at + usize::from(byte));
                        text.extend_from_within(at..end);
                        text[at..].rotate_right(end - at);
                    }
                }
                if text.is_empty() {
                    break;
                }
            }
            agree(&text, asked);
        }

        #[test]
        fn any_text_means_the_same_whichever_way_it_is_read(
            pieces in prop::collection::vec(select(&PIECES[..]), 0..24), bytes: Vec<u8>, asked in 0_usize..3,
        ) {
            agree(pieces.concat().as_bytes(), asked);
            agree(&bytes, asked);
            let list = pieces.concat();
            agree(format!(r#"{{"result":{{"context":{{"slot":5}},"value":[{list}]}}}}"#).as_bytes(), asked);
            agree(format!(r#"{{"result":{{"context":{{"slot":5}},"value":[]{list}}}}}"#).as_bytes(), asked);
        }

        #[test]
        fn a_request_is_what_serde_would_have_written(
            keys in prop::collection::vec(any::<[u8; 32]>(), 0..=ACCOUNTS_MAX), least: u64,
        ) {
            let keys: Vec<Address> = keys.into_iter().map(Address::new_from_array).collect();
            let since = Since { commitment: Commitment::Confirmed, least };
            let names: Vec<String> = keys.iter().map(Address::to_string).collect();
            let expected = wire::request(METHOD, &(names, Options::base64(since))).unwrap();
            prop_assert_eq!(request(&keys, since).unwrap(), expected);
        }
    }

    #[test]
    fn more_accounts_than_asked_for_are_told_by_the_way_that_knows_the_words() {
        let text = written(7, &vec![None; ACCOUNTS_MAX + 1]);
        assert_eq!(quickly(text.as_bytes(), ACCOUNTS_MAX), None);
        let error = open(&"a".into(), text.as_bytes(), ACCOUNTS_MAX).unwrap_err();
        assert!(matches!(error, RpcError::Decode { .. }), "{error}");
    }
}
