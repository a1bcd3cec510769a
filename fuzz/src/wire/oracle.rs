//! A frame read by way of a tree, as plainly as can be: what the fast reader must come to as well.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sniper_core::ids::Signature;
use sniper_solana::feed::{Frame, Held};

/// Most bytes of an account, and lines of a transaction.
const ACCOUNT_MAX: usize = 10 << 20;
const LINES_MAX: usize = 10_000;

/// Where the data of a frame's account are kept.
pub type Room = OnceCell<Vec<u8>>;

/// What a text is.
pub enum Verdict<'a> {
    /// This, and it must be read.
    Frame(Frame<'a>),
    /// This, if its compressed data are read at all.
    Packed(Frame<'a>),
    /// No frame.
    Refused,
    /// More than a tree can tell: too deep, or a number or escape that matters only to who looks at it.
    Unknown,
}

/// Reads a frame.
pub fn read<'a>(text: &str, room: &'a Room) -> Verdict<'a> {
    match serde_json::from_str::<Tree>(text) {
        Ok(tree) => match envelope(&tree, room) {
            Some((frame, false)) => Verdict::Frame(frame),
            Some((frame, true)) => Verdict::Packed(frame),
            None => Verdict::Refused,
        },
        Err(error) => {
            let said = error.to_string();
            let beyond = [
                "recursion limit",
                "out of range",
                "surrogate",
                "unicode code point",
                "end of hex escape",
            ];
            if beyond.iter().any(|word| said.contains(word)) {
                Verdict::Unknown
            } else {
                Verdict::Refused
            }
        }
    }
}

/// JSON with every member that was written, in order.
enum Tree {
    Null,
    Bool(bool),
    /// A whole number; none for any other.
    Number(Option<i128>),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(Some(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(Some(value.into())))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Number(None))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        Ok(Tree::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = map.next_entry()? {
            all.push(member);
        }
        Ok(Tree::Object(all))
    }
}

/// None: this is no frame.
type Read<T> = Option<T>;

impl Tree {
    /// A member that may be there once.
    fn get(&self, key: &str) -> Read<Option<&Tree>> {
        let Tree::Object(members) = self else { return None };
        let mut found = members.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
        let first = found.next();
        found.next().is_none().then_some(first)
    }

    /// The same, where null is as good as nothing.
    fn some(&self, key: &str) -> Read<Option<&Tree>> {
        Some(self.get(key)?.filter(|value| !matches!(value, Tree::Null)))
    }

    fn number(&self) -> Read<u64> {
        match self {
            Tree::Number(Some(value)) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    fn text(&self) -> Read<&str> {
        if let Tree::Text(text) = self { Some(text) } else { None }
    }

    fn number_of(&self, key: &str) -> Read<Option<u64>> {
        self.get(key)?.map_or(Some(None), |value| value.number().map(Some))
    }

    fn text_of(&self, key: &str) -> Read<Option<&str>> {
        self.get(key)?.map_or(Some(None), |value| value.text().map(Some))
    }
}

/// The frame, and whether it hangs on compressed data.
fn envelope<'a>(tree: &Tree, room: &'a Room) -> Read<(Frame<'a>, bool)> {
    let method = match tree.some("method")? {
        Some(name) => Some(name.text()?),
        None => None,
    };
    let id = tree.some("id")?.map_or(Some(None), |id| id.number().map(Some))?;
    let result = tree.some("result")?;
    let number = match result {
        None => None,
        Some(Tree::Bool(_)) => None,
        Some(value) => Some(value.number()?),
    };
    let code = match tree.some("error")? {
        None => None,
        Some(error) => match error.get("code")?? {
            Tree::Number(Some(code)) => Some(i64::try_from(*code).ok()?),
            _ => return None,
        },
    };
    let params = tree.get("params")?;
    let known = method.filter(|name| KNOWN.contains(name));
    let notice = match (known, params) {
        (Some(method), Some(params)) => Some(shape(method, params, room)?),
        _ => None,
    };
    if let Some(code) = code {
        return Some((Frame::Refused { id, code }, false));
    }
    if let Some(id) = id {
        if let Some(subscription) = number {
            return Some((Frame::Accepted { id, subscription }, false));
        }
        if let Some(Tree::Bool(done)) = result {
            return Some((Frame::Released { id, done: *done }, false));
        }
    }
    match notice {
        None => Some((Frame::Other, false)),
        Some(notice) => notice,
    }
}

const KNOWN: [&str; 6] = [
    "accountNotification",
    "programNotification",
    "logsNotification",
    "signatureNotification",
    "slotNotification",
    "rootNotification",
];

/// A notice: outer none when it is not of the right shape, inner none when something is missing in it.
type Notice<'a> = Read<(Frame<'a>, bool)>;

fn shape<'a>(method: &str, params: &Tree, room: &'a Room) -> Read<Notice<'a>> {
    if matches!(params, Tree::Null) {
        return Some(None);
    }
    let subscription = params.number_of("subscription")?;
    let result = params.get("result")?;
    let plain = |frame: Option<Frame<'a>>| Some(frame.map(|frame| (frame, false)));
    let Some(result) = result else { return Some(None) };
    match method {
        "rootNotification" => {
            let slot = result.number()?;
            plain(subscription.map(|subscription| Frame::Root { subscription, slot }))
        }
        "slotNotification" => {
            let [slot, parent, root] = ["slot", "parent", "root"].map(|key| result.number_of(key));
            let (slot, parent, root) = (slot?, parent?, root?);
            let frame = || {
                subscription?;
                Some(Frame::Slot { slot: slot?, parent: parent?, root: root? })
            };
            plain(frame())
        }
        _ => {
            let slot = match result.get("context")? {
                Some(context) => context.number_of("slot")?,
                None => None,
            };
            let value = result.some("value")?;
            told(method, value, subscription, slot, room)
        }
    }
}

fn told<'a>(
    method: &str,
    value: Option<&Tree>,
    subscription: Option<u64>,
    slot: Option<u64>,
    room: &'a Room,
) -> Read<Notice<'a>> {
    let Some(value) = value else {
        return Some(None);
    };
    match method {
        "accountNotification" => {
            let held = held(value, room)?;
            let frame = || {
                let (subscription, slot) = (subscription?, slot?);
                let (account, packed) = held?;
                Some((Frame::Account { subscription, slot, account }, packed))
            };
            Some(frame())
        }
        "programNotification" => {
            let key = value.text_of("pubkey")?;
            let held = match value.get("account")? {
                Some(account) => held(account, room)?,
                None => None,
            };
            let frame = || {
                let (subscription, slot, address) = (subscription?, slot?, key?.parse().ok()?);
                let (account, packed) = held?;
                Some((Frame::Program { subscription, slot, address, account }, packed))
            };
            Some(frame())
        }
        "logsNotification" => {
            let name = value.text_of("signature")?;
            let err = value.get("err")?;
            let logs = match value.get("logs")? {
                Some(Tree::List(lines)) if lines.len() <= LINES_MAX => {
                    let owned = |line: &Tree| Some(Cow::Owned(line.text()?.to_owned()));
                    Some(lines.iter().map(owned).collect::<Option<Vec<_>>>()?)
                }
                Some(_) => return None,
                None => None,
            };
            let frame = || {
                let (subscription, slot) = (subscription?, slot?);
                let signature: [u8; 64] = bs58::decode(name?).into_vec().ok()?.try_into().ok()?;
                let signature = Signature(signature);
                let succeeded = matches!(err?, Tree::Null);
                Some(Frame::Logs { subscription, slot, signature, succeeded, logs: logs? })
            };
            Some(frame().map(|frame| (frame, false)))
        }
        _ => {
            let succeeded = match value {
                Tree::Text(word) if word == "receivedSignature" => Some(None),
                Tree::Object(_) => value.get("err")?.map(|err| Some(matches!(err, Tree::Null))),
                _ => return None,
            };
            let frame = || {
                let (subscription, slot, succeeded) = (subscription?, slot?, succeeded?);
                Some(Frame::Signature { subscription, slot, succeeded })
            };
            Some(frame().map(|frame| (frame, false)))
        }
    }
}

fn held<'a>(value: &Tree, room: &'a Room) -> Read<Option<(Held<'a>, bool)>> {
    let lamports = value.number_of("lamports")?;
    let owner = value.text_of("owner")?;
    let Tree::Object(members) = value else { return None };
    // Null is as good as nothing here, and may stand beside a number.
    let spaces = members.iter().filter(|(name, _)| name == "space").map(|(_, value)| value);
    let spaces: Vec<&Tree> = spaces.filter(|value| !matches!(value, Tree::Null)).collect();
    if spaces.len() > 1 || spaces.first().is_some_and(|value| value.number().is_none()) {
        return None;
    }
    let data = match value.get("data")? {
        None => None,
        Some(Tree::List(pair)) => match pair.as_slice() {
            [text, encoding] => Some((text.text()?, encoding.text()?)),
            _ => return None,
        },
        Some(_) => return None,
    };
    let account = || {
        let (text, encoding) = data?;
        let bytes = STANDARD.decode(text).ok()?;
        let (data, packed) = match encoding {
            "base64" => (bytes, false),
            "base64+zstd" if bytes.is_empty() => (bytes, false),
            "base64+zstd" => (zstd::bulk::decompress(&bytes, ACCOUNT_MAX).ok()?, true),
            _ => return None,
        };
        let data = room.get_or_init(|| data);
        let owner = Cow::Owned(owner?.to_owned());
        Some((Held { owner, lamports: lamports?, data }, packed))
    };
    Some(account())
}
