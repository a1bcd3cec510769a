//! Frames of a subscription connection, from text to meaning in one pass.
//!
//! No tree of JSON is made. An account's bytes are decoded into memory that is used again, so that a notice costs no
//! allocation once the reader is warm. A frame is read by its method, which nodes write first; where one does not, what
//! came before it is passed over and read afterwards.
//!
//! Whoever writes the frame may be broken or hostile: nothing here panics, recurses or takes memory beyond the frame's
//! own length and one account's.

use std::borrow::Cow;
use std::str::FromStr as _;

use sniper_core::ids::{Address, Signature};
use thiserror::Error;

use crate::json::{Cursor, Decoder, Item, ItemError, Stop, account, members};

/// Most lines of one transaction: the runtime cuts its log at ten thousand bytes.
const LINES_MAX: usize = 10_000;

/// The method of a frame whose own is not known.
pub(super) const UNKNOWN_METHOD: &str = "frame";

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An account that is followed changed.
    Account {
        /// The node's number of the subscription.
        subscription: u64,
        /// As of when.
        slot: u64,
        /// What it holds now.
        account: Held<'a>,
    },
    /// An account of a program that is followed changed.
    Program {
        /// The node's number of the subscription.
        subscription: u64,
        /// As of when.
        slot: u64,
        /// Which account.
        address: Address,
        /// What it holds now.
        account: Held<'a>,
    },
    /// A transaction printed something.
    Logs {
        /// The node's number of the subscription.
        subscription: u64,
        /// In which slot.
        slot: u64,
        /// Its name.
        signature: Signature,
        /// It did not fail.
        succeeded: bool,
        /// What it printed.
        logs: Vec<Cow<'a, str>>,
    },
    /// A transaction that is followed was executed.
    Signature {
        /// The node's number of the subscription, which has ended with this.
        subscription: u64,
        /// As of when.
        slot: u64,
        /// It did not fail. None when it has only been received, which does not end the subscription.
        succeeded: Option<bool>,
    },
    /// The node started a slot.
    Slot {
        /// Which.
        slot: u64,
        /// The one it builds on.
        parent: u64,
        /// The newest that cannot be undone.
        root: u64,
    },
    /// A slot can no longer be undone.
    Root {
        /// The node's number of the subscription.
        subscription: u64,
        /// Which slot.
        slot: u64,
    },
    /// A subscription was accepted.
    Accepted {
        /// Of the request.
        id: u64,
        /// The node's number for it.
        subscription: u64,
    },
    /// A subscription that was to end did, or was not there.
    Released {
        /// Of the request.
        id: u64,
        /// It ended.
        done: bool,
    },
    /// A request was refused.
    Refused {
        /// Of the request, where the node could read it.
        id: Option<u64>,
        /// The node's error number.
        code: i64,
    },
    /// Something that was not asked for.
    Other,
}

/// What an account holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// The program that may write it, in base58.
    pub owner: Cow<'a, str>,
    /// Its native balance.
    pub lamports: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is not JSON, or JSON of another shape.
    #[error("not the JSON of such a frame at byte {at}")]
    Json {
        /// Where.
        at: usize,
    },
    /// Something is not there.
    #[error("it tells no {field}")]
    Missing {
        /// What.
        field: &'static str,
    },
    /// A key is not 32 bytes in base58.
    #[error("it tells a key that is none")]
    Key,
    /// A transaction is named by something that is no signature.
    #[error("it names a transaction by what is no signature")]
    Signature,
    /// The data are broken, larger than an account can be, or in an encoding that was not asked for.
    #[error("its data are not {encoding}")]
    Data {
        /// The encoding.
        encoding: &'static str,
    },
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{method}: {fault}")]
pub struct FrameError {
    /// What was being told; `frame` where that is not known.
    pub method: &'static str,
    /// The node's number of the subscription, where that could be read.
    pub subscription: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
}

/// Reads frames, one after the other.
#[derive(Debug, Default)]
pub struct FrameReader {
    decoder: Decoder,
}

impl FrameReader {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`FrameError`], which says what of the frame made no sense. The reader can go on with the next.
    pub fn read<'a>(&'a mut self, text: &'a str) -> Result<Frame<'a>, FrameError> {
        let mut envelope = Envelope::default();
        let read = envelope.read(text.as_bytes());
        let method = envelope.method().map_or(UNKNOWN_METHOD, Method::as_str);
        let known = envelope.params.as_ref().and_then(|params| params.subscription);
        let error = |fault| FrameError { method, subscription: known, fault };
        read.map_err(|stop| match stop {
            Stop::Bad(at) => error(Fault::Json { at }),
            Stop::More => error(Fault::Json { at: text.len() }),
        })?;
        if let Some(code) = envelope.error.flatten() {
            return Ok(Frame::Refused { id: envelope.id.flatten(), code });
        }
        if let (Some(id), Some(answer)) = (envelope.id.flatten(), envelope.result.flatten()) {
            return Ok(match answer {
                Answer::Number(subscription) => Frame::Accepted { id, subscription },
                Answer::Done(done) => Frame::Released { id, done },
            });
        }
        match (envelope.method(), envelope.params) {
            (None | Some(Method::Other), _) | (_, None) => Ok(Frame::Other),
            (Some(method), Some(params)) => params.open(method, &mut self.decoder).map_err(error),
        }
    }
}

/// What notices there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Account,
    Program,
    Logs,
    Signature,
    Slot,
    Root,
    Other,
}

impl Method {
    fn of(name: &[u8]) -> Self {
        match name {
            b"accountNotification" => Self::Account,
            b"programNotification" => Self::Program,
            b"logsNotification" => Self::Logs,
            b"signatureNotification" => Self::Signature,
            b"slotNotification" => Self::Slot,
            b"rootNotification" => Self::Root,
            _ => Self::Other,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "accountNotification",
            Self::Program => "programNotification",
            Self::Logs => "logsNotification",
            Self::Signature => "signatureNotification",
            Self::Slot => "slotNotification",
            Self::Root => "rootNotification",
            Self::Other => UNKNOWN_METHOD,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Number(u64),
    Done(bool),
}

/// What stands around. The inner `Option` is one that was null.
#[derive(Debug, Default)]
struct Envelope<'a> {
    method: Option<Option<Method>>,
    params: Option<Params<'a>>,
    /// Parameters were there, of whatever method.
    told: bool,
    /// Parameters that came before their method.
    passed: Option<Cursor<'a>>,
    id: Option<Option<u64>>,
    result: Option<Option<Answer>>,
    error: Option<Option<i64>>,
}

impl<'a> Envelope<'a> {
    fn method(&self) -> Option<Method> {
        self.method.flatten()
    }

    fn read(&mut self, text: &'a [u8]) -> Result<(), Stop> {
        let mut cursor = Cursor::new(text);
        members(&mut cursor, |cursor, key| self.member(cursor, key))?;
        if cursor.peek().is_ok() {
            return cursor.bad(); // something follows
        }
        match (self.method(), self.passed.take()) {
            (Some(method), Some(mut passed)) => self.params(&mut passed, method),
            _ => Ok(()),
        }
    }

    fn member(&mut self, cursor: &mut Cursor<'a>, key: &[u8]) -> Result<(), Stop> {
        match key {
            b"method" => {
                let method =
                    if cursor.null()? { None } else { Some(Method::of(&cursor.string()?)) };
                cursor.once(&mut self.method, method)
            }
            b"params" if self.told => cursor.bad(),
            b"params" => {
                self.told = true;
                match self.method() {
                    Some(method) => self.params(cursor, method),
                    None => {
                        self.passed = Some(*cursor);
                        cursor.skip()
                    }
                }
            }
            b"id" => {
                let id = if cursor.null()? { None } else { Some(cursor.number()?) };
                cursor.once(&mut self.id, id)
            }
            b"result" => {
                let result = answer(cursor)?;
                cursor.once(&mut self.result, result)
            }
            b"error" => {
                let code = if cursor.null()? { None } else { Some(code(cursor)?) };
                cursor.once(&mut self.error, code)
            }
            _ => cursor.skip(),
        }
    }

    fn params(&mut self, cursor: &mut Cursor<'a>, method: Method) -> Result<(), Stop> {
        if method == Method::Other {
            return cursor.skip();
        }
        // Here from the start, so that a fault further on is told with what was known before it.
        let params = self.params.insert(Params::default());
        if cursor.null()? {
            return Ok(());
        }
        members(cursor, |cursor, key| match key {
            b"subscription" => {
                let number = cursor.number()?;
                cursor.once(&mut params.subscription, number)
            }
            b"result" if params.result => cursor.bad(),
            b"result" => {
                params.result = true;
                params.body(cursor, method)
            }
            _ => cursor.skip(),
        })
    }
}

fn answer(cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Stop> {
    Ok(match cursor.peek()? {
        b'n' => {
            cursor.skip()?;
            None
        }
        first @ (b't' | b'f') => {
            cursor.skip()?;
            Some(Answer::Done(first == b't'))
        }
        _ => Some(Answer::Number(cursor.number()?)),
    })
}

fn code(cursor: &mut Cursor<'_>) -> Result<i64, Stop> {
    let mut code = None;
    members(cursor, |cursor, key| match key {
        b"code" => {
            let number = cursor.signed()?;
            cursor.once(&mut code, number)
        }
        _ => cursor.skip(),
    })?;
    code.map_or_else(|| cursor.bad(), Ok)
}

/// The parameters of a notice: what its method does not tell stays empty.
#[derive(Debug, Default)]
struct Params<'a> {
    subscription: Option<u64>,
    /// The result was there.
    result: bool,
    slot: Option<u64>,
    parent: Option<u64>,
    root: Option<u64>,
    context: bool,
    value: bool,
    address: Option<Cow<'a, [u8]>>,
    account: Option<Item<'a>>,
    signature: Option<Cow<'a, [u8]>>,
    /// Failed or not, where it was told.
    succeeded: Option<bool>,
    /// Not yet executed.
    received: bool,
    logs: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Params<'a> {
    fn body(&mut self, cursor: &mut Cursor<'a>, method: Method) -> Result<(), Stop> {
        if method == Method::Root {
            self.root = Some(cursor.number()?);
            return Ok(());
        }
        members(cursor, |cursor, key| match (method, key) {
            (Method::Slot, b"slot") => number(cursor, &mut self.slot),
            (Method::Slot, b"parent") => number(cursor, &mut self.parent),
            (Method::Slot, b"root") => number(cursor, &mut self.root),
            (Method::Slot, _) => cursor.skip(),
            (_, b"context") if self.context => cursor.bad(),
            (_, b"context") => {
                self.context = true;
                members(cursor, |cursor, key| match key {
                    b"slot" => number(cursor, &mut self.slot),
                    _ => cursor.skip(),
                })
            }
            (_, b"value") if self.value => cursor.bad(),
            (_, b"value") => {
                self.value = true;
                if cursor.null()? { Ok(()) } else { self.told(cursor, method) }
            }
            _ => cursor.skip(),
        })
    }

    fn told(&mut self, cursor: &mut Cursor<'a>, method: Method) -> Result<(), Stop> {
        match method {
            Method::Account => {
                self.account = Some(account(cursor)?);
                return Ok(());
            }
            Method::Signature if cursor.peek()? == b'"' => {
                self.received = &*cursor.string()? == b"receivedSignature";
                return if self.received { Ok(()) } else { cursor.bad() };
            }
            _ => {}
        }
        members(cursor, |cursor, key| match (method, key) {
            (Method::Program, b"pubkey") => {
                let key = cursor.string()?;
                cursor.once(&mut self.address, key)
            }
            (Method::Program, b"account") => {
                let account = account(cursor)?;
                cursor.once(&mut self.account, account)
            }
            (Method::Logs, b"signature") => {
                let signature = cursor.string()?;
                cursor.once(&mut self.signature, signature)
            }
            (Method::Logs, b"logs") => {
                let lines = lines(cursor)?;
                cursor.once(&mut self.logs, lines)
            }
            // Null when it succeeded, but there: a missing one is no success.
            (Method::Logs | Method::Signature, b"err") => {
                let succeeded = cursor.null()?;
                if !succeeded {
                    cursor.skip()?;
                }
                cursor.once(&mut self.succeeded, succeeded)
            }
            _ => cursor.skip(),
        })
    }

    fn open(self, method: Method, decoder: &'a mut Decoder) -> Result<Frame<'a>, Fault> {
        let missing = |field| Fault::Missing { field };
        let subscription = self.subscription.ok_or(missing("subscription"))?;
        if method == Method::Root {
            let slot = self.root.ok_or(missing("result"))?;
            return Ok(Frame::Root { subscription, slot });
        }
        let slot = self.slot.ok_or(missing("slot"))?;
        let succeeded = self.succeeded.ok_or(missing("err"));
        Ok(match method {
            Method::Account => {
                let account = held(self.account, decoder)?;
                Frame::Account { subscription, slot, account }
            }
            Method::Program => {
                let key = self.address.ok_or(missing("pubkey"))?;
                let key = std::str::from_utf8(&key).map_err(|_| Fault::Key)?;
                let address = Address::from_str(key).map_err(|_| Fault::Key)?;
                let account = held(self.account, decoder)?;
                Frame::Program { subscription, slot, address, account }
            }
            Method::Logs => Frame::Logs {
                subscription,
                slot,
                signature: signature(&self.signature.ok_or(missing("signature"))?)?,
                succeeded: succeeded?,
                logs: self.logs.ok_or(missing("logs"))?,
            },
            Method::Signature => {
                let succeeded = if self.received { None } else { Some(succeeded?) };
                Frame::Signature { subscription, slot, succeeded }
            }
            Method::Slot => Frame::Slot {
                slot,
                parent: self.parent.ok_or(missing("parent"))?,
                root: self.root.ok_or(missing("root"))?,
            },
            Method::Root | Method::Other => Frame::Other,
        })
    }
}

fn number(cursor: &mut Cursor<'_>, kept: &mut Option<u64>) -> Result<(), Stop> {
    let number = cursor.number()?;
    cursor.once(kept, number)
}

fn lines<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Cow<'a, str>>, Stop> {
    let mut lines = Vec::new();
    let mut more = cursor.begins(b'[', b']')?;
    while more {
        if lines.len() >= LINES_MAX {
            return cursor.bad();
        }
        lines.push(text(cursor.string()?).map_or_else(|| cursor.bad(), Ok)?);
        more = cursor.comma_or(b']')?;
    }
    Ok(lines)
}

fn held<'a>(item: Option<Item<'a>>, decoder: &'a mut Decoder) -> Result<Held<'a>, Fault> {
    let item = item.ok_or(Fault::Missing { field: "value" })?;
    let fault = |error| match error {
        ItemError::Missing(field) => Fault::Missing { field },
        ItemError::Key => Fault::Key,
        ItemError::Data(encoding) => Fault::Data { encoding },
    };
    let (lamports, data) = item.held(decoder).map_err(fault)?;
    let owner = text(item.into_owner().map_err(fault)?).ok_or(Fault::Key)?;
    Ok(Held { owner, lamports, data })
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

fn signature(text: &[u8]) -> Result<Signature, Fault> {
    let mut bytes = [0; 64];
    match bs58::decode(text).onto(&mut bytes) {
        Ok(64) => Ok(Signature(bytes)),
        _ => Err(Fault::Signature),
    }
}

#[cfg(test)]
mod tests;
