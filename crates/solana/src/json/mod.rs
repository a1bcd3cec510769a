//! One pass over the text of a value, as far as the text goes.
//!
//! Made for answers of a hundred thousand alike objects, and for notices that somebody waits for: what is common is
//! read here, byte by byte, without copying; what is rare (escapes, values nobody asked for) is handed to `serde_json`.

mod data;
mod item;

use std::borrow::Cow;

use serde::de::IgnoredAny;

pub(crate) use data::Decoder;
pub use data::Encoding;
pub use item::Account;
pub(crate) use item::{Item, ItemError, account, item, usual_account};

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The text ends here; with more of it, reading may go on.
    More,
    /// It is not JSON, at this byte.
    Bad(usize),
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub(crate) fn ahead(&self) -> &'a [u8] {
        self.rest()
    }

    /// Goes on this many bytes later.
    pub(crate) const fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(crate) const fn bad<T>(&self) -> Result<T, Stop> {
        Err(Stop::Bad(self.at))
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space; it is not taken.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, Stop> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Stop::More),
            }
        }
    }

    /// Takes the next byte, which must be this one.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek()? != byte {
            return self.bad();
        }
        self.at += 1;
        Ok(())
    }

    /// After a member: true if another follows, false at the end.
    #[inline]
    pub(crate) fn comma_or(&mut self, end: u8) -> Result<bool, Stop> {
        let byte = self.peek()?;
        if byte != b',' && byte != end {
            return self.bad();
        }
        self.at += 1;
        Ok(byte == b',')
    }

    /// Takes the start of a list or object; true if it has members.
    pub(crate) fn begins(&mut self, start: u8, end: u8) -> Result<bool, Stop> {
        self.expect(start)?;
        let empty = self.peek()? == end;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// A key and its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// A string, borrowed where it has no escapes. It is not looked at for being UTF-8 unless it has.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        self.expect(b'"')?;
        let rest = self.rest();
        let length = memchr::memchr2(b'"', b'\\', rest).ok_or(Stop::More)?;
        if rest.get(length) == Some(&b'\\') {
            return self.escaped();
        }
        let body = rest.get(..length).unwrap_or_default();
        if has_control(body) {
            return self.bad();
        }
        self.at += length + 1;
        Ok(Cow::Borrowed(body))
    }

    /// The opening quote has been taken.
    #[cold]
    fn escaped(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        self.at -= 1;
        let text: String = self.by_serde()?;
        Ok(Cow::Owned(text.into_bytes()))
    }

    /// A whole number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Stop> {
        self.peek()?;
        let rest = self.rest();
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).ok_or(Stop::More)?;
        let leading_zero = digits > 1 && rest.first() == Some(&b'0');
        // A fraction or exponent is no whole number.
        let broken = matches!(rest.get(digits), Some(b'.' | b'e' | b'E'));
        if digits == 0 || leading_zero || broken {
            return self.bad();
        }
        let value = whole(rest.get(..digits).unwrap_or_default()).ok_or(Stop::Bad(self.at))?;
        self.at += digits;
        Ok(value)
    }

    /// A whole number that may be negative.
    pub(crate) fn signed(&mut self) -> Result<i64, Stop> {
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        // No white space after the sign.
        if negative && !self.rest().first().ok_or(Stop::More)?.is_ascii_digit() {
            return self.bad();
        }
        let value = i128::from(self.number()?);
        let value = if negative { -value } else { value };
        i64::try_from(value).or_else(|_| self.bad())
    }

    /// Keeps the value of a key, which may be there once: of two, who knows which is meant?
    #[inline]
    pub(crate) fn once<T>(&self, kept: &mut Option<T>, value: T) -> Result<(), Stop> {
        if kept.replace(value).is_some() { self.bad() } else { Ok(()) }
    }

    /// Takes `null` if it is next.
    #[inline]
    pub(crate) fn null(&mut self) -> Result<bool, Stop> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        let rest = self.rest();
        let seen = rest.get(..4).unwrap_or(rest);
        if !b"null".starts_with(seen) {
            return self.bad();
        }
        if seen.len() < 4 {
            return Err(Stop::More);
        }
        self.at += 4;
        Ok(true)
    }

    /// Any value, not looked at but for being JSON.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<(), Stop> {
        let first = self.peek()?;
        for word in [&b"false"[..], b"true", b"null"] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        match first {
            b'1'..=b'9' => {
                let mut ahead = *self;
                if ahead.number().is_ok() {
                    *self = ahead;
                    return Ok(());
                }
            }
            b'"' => {
                let body = self.string()?;
                // Nobody reads it: then it is only asked for being text.
                return if std::str::from_utf8(&body).is_ok() { Ok(()) } else { self.bad() };
            }
            _ => {}
        }
        self.by_serde::<IgnoredAny>().map(drop)
    }

    /// A value that is read as serde reads it.
    #[cold]
    pub(crate) fn by_serde<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Stop> {
        let mut values = serde_json::Deserializer::from_slice(self.rest()).into_iter::<T>();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) if !error.is_eof() && !at_end(&error, self.rest()) => {
                return self.bad();
            }
            _ => return Err(Stop::More),
        };
        let end = self.at + values.byte_offset();
        // A number may go on where the text ends, and every value of an answer is followed by something.
        if end >= self.text.len() {
            return Err(Stop::More);
        }
        self.at = end;
        Ok(value)
    }
}

/// Members of an object, in any order.
#[inline]
pub(crate) fn members<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(&mut Cursor<'a>, &[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut more = cursor.begins(b'{', b'}')?;
    while more {
        let key = cursor.key()?;
        member(cursor, &key)?;
        more = cursor.comma_or(b'}')?;
    }
    Ok(())
}

/// The number that digits stand for; none beyond 64 bits.
#[inline]
pub(crate) fn whole(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Without an early end, so that it takes many bytes at a time.
#[inline]
pub(crate) fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | (*byte < b' '))
}

/// Whether it is the last byte that is wrong: `1.` is no number, and may become one.
fn at_end(error: &serde_json::Error, text: &[u8]) -> bool {
    let lines_before = error.line().saturating_sub(1);
    let start = match lines_before.checked_sub(1) {
        Some(nth) => memchr::memchr_iter(b'\n', text).nth(nth).map_or(text.len(), |at| at + 1),
        None => 0,
    };
    start.saturating_add(error.column()) >= text.len()
}
