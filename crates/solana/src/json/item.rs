//! One account in an answer or a notice, as text.

use std::borrow::Cow;
use std::str::FromStr as _;

use sniper_core::ids::Address;

use super::data::{Decoder, Encoding};
use super::{Cursor, Stop, has_control, members, whole};

type Text<'a> = Cow<'a, [u8]>;

/// An account in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its address; `getMultipleAccounts` tells none.
    pub address: Option<Address>,
    /// The program that may write it, in base58.
    pub owner: &'a str,
    /// Its native balance.
    pub lamports: u64,
    /// All bytes that it has, where told: with a slice asked for, `data` are fewer.
    pub space: Option<u64>,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Why the text of an account stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemError {
    /// It has no such field.
    Missing(&'static str),
    /// A key is not 32 bytes in base58.
    Key,
    /// Its data are not in this encoding.
    Data(&'static str),
}

/// An account as text.
#[derive(Debug, Default)]
pub(crate) struct Item<'a> {
    pubkey: Option<Text<'a>>,
    lamports: Option<u64>,
    owner: Option<Text<'a>>,
    space: Option<u64>,
    data: Option<(Text<'a>, Text<'a>)>,
}

/// An account, bare or beside its key; none for `null`.
pub(crate) fn item<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Item<'a>>, Stop> {
    if cursor.null()? {
        return Ok(None);
    }
    if let Some((usual, length)) = usual(cursor.ahead()) {
        cursor.pass(length);
        return Ok(Some(usual.into()));
    }
    let mut item = Item::default();
    members(cursor, |cursor, key| match key {
        b"pubkey" => {
            let text = cursor.string()?;
            cursor.once(&mut item.pubkey, text)
        }
        b"account" => members(cursor, |cursor, key| field(cursor, key, &mut item)),
        key => field(cursor, key, &mut item),
    })?;
    Ok(Some(item))
}

/// An account without its key.
pub(crate) fn account<'a>(cursor: &mut Cursor<'a>) -> Result<Item<'a>, Stop> {
    cursor.peek()?;
    if let Some(usual) = usual_account(cursor) {
        return Ok(usual.into());
    }
    let mut item = Item::default();
    members(cursor, |cursor, key| field(cursor, key, &mut item))?;
    Ok(item)
}

/// An account without its key that is written as nearly all are. Where it is not, nothing is taken; that is read
/// member by member.
pub(crate) fn usual_account<'a>(cursor: &mut Cursor<'a>) -> Option<Usual<'a>> {
    let (usual, length) = usual(cursor.ahead()).filter(|(usual, _)| usual.pubkey.is_none())?;
    cursor.pass(length);
    Some(usual)
}

#[inline]
fn field<'a>(cursor: &mut Cursor<'a>, key: &[u8], item: &mut Item<'a>) -> Result<(), Stop> {
    match key {
        b"lamports" => {
            let lamports = cursor.number()?;
            cursor.once(&mut item.lamports, lamports)
        }
        b"owner" => {
            let owner = cursor.string()?;
            cursor.once(&mut item.owner, owner)
        }
        b"space" if cursor.null()? => Ok(()),
        b"space" => {
            let space = cursor.number()?;
            cursor.once(&mut item.space, space)
        }
        b"data" => {
            cursor.expect(b'[')?;
            let text = cursor.string()?;
            cursor.expect(b',')?;
            let encoding = cursor.string()?;
            cursor.expect(b']')?;
            cursor.once(&mut item.data, (text, encoding))
        }
        _ => cursor.skip(),
    }
}

impl<'t> Item<'t> {
    pub(crate) fn open<'a>(&'a self, decoder: &'a mut Decoder) -> Result<Account<'a>, ItemError> {
        let owner = self.owner.as_deref().ok_or(ItemError::Missing("owner"))?;
        let owner = std::str::from_utf8(owner).map_err(|_| ItemError::Key)?;
        let (lamports, data) = self.held(decoder)?;
        let key = |bytes: &Text<'_>| {
            let text = std::str::from_utf8(bytes).ok()?;
            Address::from_str(text).ok()
        };
        let address = match &self.pubkey {
            Some(text) => Some(key(text).ok_or(ItemError::Key)?),
            None => None,
        };
        Ok(Account { address, owner, lamports, space: self.space, data })
    }

    /// Its balance, and its data, which lie in the decoder.
    pub(crate) fn held<'d>(&self, decoder: &'d mut Decoder) -> Result<(u64, &'d [u8]), ItemError> {
        let lamports = self.lamports.ok_or(ItemError::Missing("lamports"))?;
        let (text, encoding) = self.data.as_ref().ok_or(ItemError::Missing("data"))?;
        let other = ItemError::Data("base64 or base64+zstd");
        let encoding = Encoding::from_bytes(encoding).ok_or(other)?;
        let broken = ItemError::Data(encoding.as_str());
        Ok((lamports, decoder.decode(text, encoding).ok_or(broken)?))
    }

    /// The program that may write it.
    pub(crate) fn into_owner(self) -> Result<Text<'t>, ItemError> {
        self.owner.ok_or(ItemError::Missing("owner"))
    }
}

/// An account that is no program, exactly as Agave writes it: nearly all there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual<'a> {
    pubkey: Option<&'a [u8]>,
    pub(crate) lamports: u64,
    /// In base58, if it is a key at all.
    pub(crate) owner: &'a [u8],
    space: u64,
    /// In base64, if they are data at all.
    pub(crate) data: &'a [u8],
}

impl<'a> From<Usual<'a>> for Item<'a> {
    fn from(usual: Usual<'a>) -> Self {
        Self {
            pubkey: usual.pubkey.map(Cow::Borrowed),
            lamports: Some(usual.lamports),
            owner: Some(Cow::Borrowed(usual.owner)),
            space: Some(usual.space),
            data: Some((Cow::Borrowed(usual.data), Cow::Borrowed(b"base64"))),
        }
    }
}

/// Such an account at the start of a text, and how long it is.
fn usual(text: &[u8]) -> Option<(Usual<'_>, usize)> {
    let (keyed, rest) = match text.strip_prefix(br#"{"account":"#) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix(br#"{"data":[""#)?;
    // A backslash is no base64: where there is one, this ends here.
    let (data, rest) = rest.split_at_checked(memchr::memchr2(b'"', b'\\', rest)?)?;
    let rest = rest.strip_prefix(br#"","base64"],"executable":false,"lamports":"#)?;
    let (lamports, rest) = number(rest)?;
    let (owner, rest) = key(rest.strip_prefix(br#","owner":""#)?)?;
    let (space, rest) = number(past_rent_epoch(rest)?)?;
    let mut rest = rest.strip_prefix(b"}")?;
    let mut pubkey = None;
    if keyed {
        let (text, after) = key(rest.strip_prefix(br#","pubkey":""#)?)?;
        rest = after.strip_prefix(br#""}"#)?;
        pubkey = Some(text);
    }
    Some((Usual { pubkey, lamports, owner, space, data }, text.len() - rest.len()))
}

/// Past the epoch at which rent is next due: never, of nearly all accounts.
fn past_rent_epoch(text: &[u8]) -> Option<&[u8]> {
    const NEVER: &[u8] = br#"","rentEpoch":18446744073709551615,"space":"#;
    text.strip_prefix(NEVER).or_else(|| {
        let (_, rest) = number(text.strip_prefix(br#"","rentEpoch":"#)?)?;
        rest.strip_prefix(br#","space":"#)
    })
}

/// A whole number of at most 64 bits; what follows it must be there.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(length)?;
    let good = matches!(digits, [b'1'..=b'9', ..] | [b'0']);
    Some((whole(digits).filter(|_| good)?, rest))
}

/// What may be a key in base58: up to the quote.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let near = text.get(..45).unwrap_or(text);
    // A backslash is of no key: where there is one, this ends here.
    let (key, rest) = text.split_at_checked(memchr::memchr2(b'"', b'\\', near)?)?;
    (!has_control(key) && rest.first() == Some(&b'"')).then_some((key, rest))
}
