//! One account in an answer, as text.

use std::borrow::Cow;
use std::str::FromStr as _;

use sniper_core::ids::Address;

use super::data::{Decoder, Encoding};
use super::error::ReplyError;
use super::json::{Cursor, Stop, has_control, whole};
use super::reply::{Account, members};

type Text<'a> = Cow<'a, [u8]>;

/// An account as text.
#[derive(Default)]
pub(super) struct Item<'a> {
    pubkey: Option<Text<'a>>,
    lamports: Option<u64>,
    owner: Option<Text<'a>>,
    space: Option<u64>,
    data: Option<(Text<'a>, Text<'a>)>,
}

/// An account, bare or beside its key; none for `null`.
pub(super) fn item<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Item<'a>>, Stop> {
    if cursor.null()? {
        return Ok(None);
    }
    if let Some((item, length)) = usual(cursor.ahead()) {
        cursor.pass(length);
        return Ok(Some(item));
    }
    let mut item = Item::default();
    members(cursor, |cursor, key| match key {
        b"pubkey" => {
            item.pubkey = Some(cursor.string()?);
            Ok(())
        }
        b"account" => members(cursor, |cursor, key| field(cursor, key, &mut item)),
        key => field(cursor, key, &mut item),
    })?;
    Ok(Some(item))
}

#[inline]
fn field<'a>(cursor: &mut Cursor<'a>, key: &[u8], item: &mut Item<'a>) -> Result<(), Stop> {
    match key {
        b"lamports" => item.lamports = Some(cursor.number()?),
        b"owner" => item.owner = Some(cursor.string()?),
        b"space" if !cursor.null()? => item.space = Some(cursor.number()?),
        b"space" => {}
        b"data" => {
            cursor.expect(b'[')?;
            let text = cursor.string()?;
            cursor.expect(b',')?;
            item.data = Some((text, cursor.string()?));
            cursor.expect(b']')?;
        }
        _ => cursor.skip()?,
    }
    Ok(())
}

impl Item<'_> {
    pub(super) fn open<'a>(
        &'a self,
        at: usize,
        decoder: &'a mut Decoder,
    ) -> Result<Account<'a>, ReplyError> {
        let missing = |field| ReplyError::Missing { at, field };
        let lamports = self.lamports.ok_or(missing("lamports"))?;
        let owner = self.owner.as_deref().ok_or(missing("owner"))?;
        let owner = std::str::from_utf8(owner).map_err(|_| ReplyError::Key { at })?;
        let (text, encoding) = self.data.as_ref().ok_or(missing("data"))?;
        let other = ReplyError::Data { at, encoding: "base64 or base64+zstd" };
        let encoding = Encoding::from_bytes(encoding).ok_or(other)?;
        let broken = ReplyError::Data { at, encoding: encoding.as_str() };
        let data = decoder.decode(text, encoding).ok_or(broken)?;
        let key = |bytes: &Cow<'_, [u8]>| {
            let text = std::str::from_utf8(bytes).ok()?;
            Address::from_str(text).ok()
        };
        let address = match &self.pubkey {
            Some(text) => Some(key(text).ok_or(ReplyError::Key { at })?),
            None => None,
        };
        Ok(Account { address, owner, lamports, space: self.space, data })
    }
}

/// An account exactly as Agave writes it, which is nearly all there are, and how long it is. None for any other; that
/// is read member by member.
fn usual(text: &[u8]) -> Option<(Item<'_>, usize)> {
    let (keyed, rest) = match text.strip_prefix(br#"{"account":"#) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix(br#"{"data":[""#)?;
    // A backslash is no base64: where there is one, this ends here.
    let (data, rest) = rest.split_at_checked(memchr::memchr2(b'"', b'\\', rest)?)?;
    let rest = rest.strip_prefix(br#"","base64"],"executable":false,"lamports":"#)?;
    let (lamports, rest) = digits(rest)?;
    let (owner, rest) = key(rest.strip_prefix(br#","owner":""#)?)?;
    let (_, rest) = digits(rest.strip_prefix(br#"","rentEpoch":"#)?)?;
    let (space, rest) = digits(rest.strip_prefix(br#","space":"#)?)?;
    let mut rest = rest.strip_prefix(b"}")?;
    let mut pubkey = None;
    if keyed {
        let (text, after) = key(rest.strip_prefix(br#","pubkey":""#)?)?;
        rest = after.strip_prefix(br#""}"#)?;
        pubkey = Some(Cow::Borrowed(text));
    }
    let item = Item {
        pubkey,
        lamports: Some(whole(lamports)?),
        owner: Some(Cow::Borrowed(owner)),
        space: Some(whole(space)?),
        data: Some((Cow::Borrowed(data), Cow::Borrowed(b"base64"))),
    };
    Some((item, text.len() - rest.len()))
}

/// The digits of a whole number.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (number, rest) = text.split_at_checked(length)?;
    let good = matches!(number, [b'1'..=b'9', ..] | [b'0']);
    good.then_some((number, rest))
}

/// What may be a key in base58: up to the quote.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let near = text.get(..45).unwrap_or(text);
    let (key, rest) = text.split_at_checked(near.iter().position(|byte| *byte == b'"')?)?;
    let plain = !has_control(key) && !key.contains(&b'\\');
    plain.then_some((key, rest))
}
