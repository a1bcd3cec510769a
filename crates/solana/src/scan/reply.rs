//! Answers of `getProgramAccounts` and `getMultipleAccounts`, from bytes to accounts in one pass.
//!
//! An answer is read while it arrives: what is kept of it is the account under way, so that the answer for a hundred
//! thousand pools needs no more memory than the answer for one.

use super::error::ReplyError;
use crate::json::{Account, Cursor, Decoder, ItemError, Stop, item, members};
use crate::rpc::wire::clean;

/// Most text of one account: the largest there can be takes 14 million characters in base64.
const ITEM_MAX: usize = 16 << 20;

/// How much of a new piece is looked at to end what the last one began.
const SEAM: usize = 4_096;

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The slot of the state that answered, where told.
    pub slot: Option<u64>,
    /// How many accounts it listed, absent ones included.
    pub accounts: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first brace.
    #[default]
    Start,
    /// Between members of the answer; true when one must follow.
    Envelope(bool),
    /// Between members of the result that has a context.
    Wrapped(bool),
    /// Before an account, in the list of a result with a context or of one without.
    Item { wrapped: bool },
    /// After an account.
    Between { wrapped: bool },
    /// After the last brace.
    End,
}

/// Reads answers, one after the other.
#[derive(Debug, Default)]
pub struct ReplyReader {
    state: State,
    /// The start of what is not read yet.
    kept: Vec<u8>,
    /// Bytes read before it.
    before: usize,
    slot: Option<u64>,
    accounts: usize,
    listed: bool,
    node: Option<(i64, String)>,
    decoder: Decoder,
}

impl ReplyReader {
    /// Makes ready for a new answer; its memory is used again.
    pub fn restart(&mut self) {
        self.state = State::Start;
        self.kept.clear();
        self.before = 0;
        self.slot = None;
        self.accounts = 0;
        self.listed = false;
        self.node = None;
    }

    /// The slot of the state that answered, once it was told: before the first account, by every node we know.
    #[must_use]
    pub const fn slot(&self) -> Option<u64> {
        self.slot
    }

    /// Reads a piece of an answer and hands every account that ends in it to `each`, with its number; none for one
    /// that does not exist.
    ///
    /// # Errors
    /// A [`ReplyError`] when it is no such answer, or what `each` says. The answer is of no use then.
    pub fn feed<E: From<ReplyError>>(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(usize, Option<u64>, Option<Account<'_>>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.kept.is_empty() && !piece.is_empty() {
            let held = self.kept.len();
            // What began before ends soon, as a rule: no more than that is copied.
            let (seam, rest) = piece.split_at_checked(SEAM.max(held)).unwrap_or((piece, &[]));
            let mut kept = std::mem::take(&mut self.kept);
            kept.extend_from_slice(seam);
            let read = self.read(&kept, &mut each)?;
            if read >= held {
                // The rest of the seam is read where it lies.
                piece = piece.get(read - held..).unwrap_or_default();
                kept.clear();
            } else {
                kept.drain(..read);
                piece = rest;
            }
            self.kept = kept;
            self.check_kept()?;
        }
        if !piece.is_empty() {
            let read = self.read(piece, &mut each)?;
            self.kept.extend_from_slice(piece.get(read..).unwrap_or_default());
            self.check_kept()?;
        }
        Ok(())
    }

    fn check_kept(&self) -> Result<(), ReplyError> {
        if self.kept.len() > ITEM_MAX {
            return Err(ReplyError::TooLarge { limit: ITEM_MAX });
        }
        Ok(())
    }

    /// The answer has ended.
    ///
    /// # Errors
    /// What the node said, or what is missing.
    pub fn finish(&mut self) -> Result<Summary, ReplyError> {
        let spaces = self.kept.iter().all(u8::is_ascii_whitespace);
        if self.state != State::End || !spaces {
            return Err(ReplyError::Truncated { accounts: self.accounts });
        }
        if let Some((code, message)) = self.node.take() {
            return Err(ReplyError::Node { code, message });
        }
        if !self.listed {
            return Err(ReplyError::Empty);
        }
        Ok(Summary { slot: self.slot, accounts: self.accounts })
    }

    /// Reads as far as whole steps go, and tells how far.
    fn read<E: From<ReplyError>>(
        &mut self,
        text: &[u8],
        each: &mut impl FnMut(usize, Option<u64>, Option<Account<'_>>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut cursor = Cursor::new(text);
        let base = self.before;
        loop {
            let mut ahead = cursor;
            let step = match self.state {
                State::Item { wrapped } => match item(&mut ahead) {
                    Ok(item) => {
                        let account = match &item {
                            Some(item) => {
                                let at = base + ahead.at();
                                let opened = item.open(&mut self.decoder);
                                Some(opened.map_err(|error| unreadable(error, at))?)
                            }
                            None => None,
                        };
                        each(self.accounts, self.slot, account)?;
                        self.accounts += 1;
                        self.state = State::Between { wrapped };
                        Ok(())
                    }
                    Err(stop) => Err(stop),
                },
                State::End if ahead.peek().is_err() => Err(Stop::More),
                State::End => ahead.bad(),
                _ => self.step(&mut ahead),
            };
            match step {
                Ok(()) => cursor = ahead,
                Err(Stop::Bad(at)) => return Err(ReplyError::Shape { at: base + at }.into()),
                Err(Stop::More) => {
                    self.before = base + cursor.at();
                    return Ok(cursor.at());
                }
            }
        }
    }

    /// One step outside of accounts. Nothing of `self` changes unless the whole step can be read.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        self.state = match self.state {
            State::Start => {
                if cursor.begins(b'{', b'}')? {
                    State::Envelope(true)
                } else {
                    State::End
                }
            }
            State::Envelope(true) => self.envelope(cursor)?,
            State::Envelope(false) => {
                if cursor.comma_or(b'}')? {
                    State::Envelope(true)
                } else {
                    State::End
                }
            }
            State::Wrapped(true) => self.wrapped(cursor)?,
            State::Wrapped(false) => {
                if cursor.comma_or(b'}')? {
                    State::Wrapped(true)
                } else {
                    State::Envelope(false)
                }
            }
            State::Between { wrapped } => {
                if cursor.comma_or(b']')? {
                    State::Item { wrapped }
                } else {
                    after(wrapped)
                }
            }
            state @ (State::Item { .. } | State::End) => state,
        };
        Ok(())
    }

    /// A member of the answer.
    fn envelope(&mut self, cursor: &mut Cursor<'_>) -> Result<State, Stop> {
        match &*cursor.key()? {
            b"result" if self.listed => return cursor.bad(),
            b"result" => {
                if cursor.peek()? == b'[' {
                    return self.list(cursor, false);
                }
                if cursor.begins(b'{', b'}')? {
                    return Ok(State::Wrapped(true));
                }
            }
            b"error" if !cursor.null()? => self.node = Some(node_error(cursor)?),
            b"error" => {}
            _ => cursor.skip()?,
        }
        Ok(State::Envelope(false))
    }

    /// A member of a result with a context.
    fn wrapped(&mut self, cursor: &mut Cursor<'_>) -> Result<State, Stop> {
        match &*cursor.key()? {
            b"context" => {
                let mut slot = None;
                members(cursor, |cursor, key| match key {
                    b"slot" => {
                        slot = Some(cursor.number()?);
                        Ok(())
                    }
                    _ => cursor.skip(),
                })?;
                self.slot = slot;
            }
            b"value" if self.listed => return cursor.bad(),
            b"value" => return self.list(cursor, true),
            _ => cursor.skip()?,
        }
        Ok(State::Wrapped(false))
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, wrapped: bool) -> Result<State, Stop> {
        let any = cursor.begins(b'[', b']')?;
        self.listed = true;
        Ok(if any { State::Item { wrapped } } else { after(wrapped) })
    }
}

const fn after(wrapped: bool) -> State {
    if wrapped { State::Wrapped(false) } else { State::Envelope(false) }
}

/// What is wrong with the account before this byte.
const fn unreadable(error: ItemError, at: usize) -> ReplyError {
    match error {
        ItemError::Missing(field) => ReplyError::Missing { at, field },
        ItemError::Key => ReplyError::Key { at },
        ItemError::Data(encoding) => ReplyError::Data { at, encoding },
    }
}

fn node_error(cursor: &mut Cursor<'_>) -> Result<(i64, String), Stop> {
    let (mut code, mut message) = (0, String::new());
    members(cursor, |cursor, key| match key {
        b"code" => {
            code = cursor.signed()?;
            Ok(())
        }
        b"message" => {
            message = clean(&String::from_utf8_lossy(&cursor.string()?));
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    Ok((code, message))
}
