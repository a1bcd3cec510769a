//! Log lines of transactions: frames read in one pass, and what of new pools they tell.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sniper_core::ids::Signature;
use sniper_core::launch::{Detected, Detector};
use sniper_core::units::Slot;
use thiserror::Error;

use crate::rpc::raw::Text;

/// Why a frame could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// It is not the JSON that a node sends.
    #[error("an unreadable frame")]
    Json(#[from] serde_json::Error),
    /// A transaction is named by something that is no signature.
    #[error("a notice whose signature is none")]
    Signature,
}

/// The lines of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogNotice {
    /// The slot that it is in.
    pub slot: Slot,
    /// Its name.
    pub signature: Signature,
    /// It did not fail.
    pub succeeded: bool,
    /// What it printed, cut off where the node did so.
    pub logs: Vec<String>,
    /// When the notice's bytes arrived.
    pub received: Instant,
}

/// A new pool, and how long it took to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was found.
    pub detected: Detected,
    /// In which slot.
    pub slot: Slot,
    /// In which transaction: the one to fetch, where too little is told.
    pub signature: Signature,
    /// When the notice arrived.
    pub received: Instant,
    /// When it had been read.
    pub read: Instant,
}

impl LogNotice {
    /// Adds what the lines tell that is news to the detector.
    pub fn detect(&self, detector: &mut Detector, sightings: &mut Vec<Sighting>) {
        let mut found = Vec::new();
        detector.logs(&self.logs, self.succeeded, &mut found);
        let read = Instant::now();
        let (slot, signature, received) = (self.slot, self.signature, self.received);
        sightings.extend(found.into_iter().map(|detected| Sighting {
            detected,
            slot,
            signature,
            received,
            read,
        }));
    }
}

impl Sighting {
    /// How long reading took, from the notice's arrival.
    #[must_use]
    pub fn reading(&self) -> Duration {
        self.read.saturating_duration_since(self.received)
    }

    /// How long it was until something else was known of it, a verdict say, from the notice's arrival.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.received)
    }
}

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogFrame<'a> {
    Logs {
        subscription: u64,
        slot: Slot,
        signature: Signature,
        succeeded: bool,
        logs: Vec<Cow<'a, str>>,
    },
    Slot(Slot),
    Accepted {
        id: u64,
    },
    Refused {
        code: i64,
    },
    Other,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
}

#[derive(Deserialize)]
struct Params<'a> {
    subscription: u64,
    #[serde(borrow)]
    result: Body<'a>,
}

/// Union of the two bodies subscribed to, so that one pass over the text is enough.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    context: Option<Context>,
    #[serde(borrow, default)]
    value: Option<Value<'a>>,
    #[serde(default)]
    slot: Option<u64>,
}

#[derive(Deserialize)]
struct Context {
    slot: u64,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    signature: Text<'a>,
    /// Null when it succeeded, but there: a missing one is no success.
    #[serde(deserialize_with = "present")]
    err: Option<IgnoredAny>,
    #[serde(borrow)]
    logs: Vec<Text<'a>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads a frame.
pub(super) fn parse(text: &str) -> Result<LogFrame<'_>, LogError> {
    let frame: Frame<'_> = serde_json::from_str(text)?;
    if let Some(error) = frame.error {
        return Ok(LogFrame::Refused { code: error.code });
    }
    if let (Some(id), Some(result)) = (frame.id, frame.result) {
        serde_json::from_str::<u64>(result.get())?;
        return Ok(LogFrame::Accepted { id });
    }
    let (Some(method), Some(params)) = (frame.method, frame.params) else {
        return Ok(LogFrame::Other);
    };
    Ok(match (&*method.0, params.result) {
        ("logsNotification", Body { context: Some(context), value: Some(value), .. }) => {
            LogFrame::Logs {
                subscription: params.subscription,
                slot: Slot::new(context.slot),
                signature: signature(&value.signature.0)?,
                succeeded: value.err.is_none(),
                logs: value.logs.into_iter().map(|line| line.0).collect(),
            }
        }
        ("slotNotification", Body { slot: Some(slot), .. }) => LogFrame::Slot(Slot::new(slot)),
        _ => LogFrame::Other,
    })
}

fn signature(text: &str) -> Result<Signature, LogError> {
    let mut bytes = [0; 64];
    match bs58::decode(text).onto(&mut bytes) {
        Ok(64) => Ok(Signature(bytes)),
        _ => Err(LogError::Signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOGS: &str = r#"{"jsonrpc":"2.0","method":"logsNotification","params":{"result":{"context":{"slot":5208469},"value":{"signature":"5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv","err":null,"logs":["SBF program 83astBRguLMdt2h5U1Tpdq5tjFoJ6noeGwaY3mDLVcri success"]}},"subscription":24040}}"#;

    #[test]
    fn the_documented_notice_is_read_without_copying_its_lines() {
        let LogFrame::Logs { subscription: 24040, slot, signature, succeeded: true, logs } =
            parse(LOGS).unwrap()
        else {
            panic!("lines");
        };
        assert_eq!(slot, Slot::new(5_208_469));
        assert!(bs58::encode(signature.0).into_string().starts_with("5h6xBEauJ3PK6SWC"));
        assert!(matches!(logs.as_slice(), [Cow::Borrowed(line)] if line.ends_with("success")));
    }

    #[test]
    fn a_failure_is_no_success_and_neither_is_a_missing_word() {
        let failed = LOGS.replace("\"err\":null", r#""err":{"InstructionError":[0,{"Custom":1}]}"#);
        assert!(matches!(parse(&failed), Ok(LogFrame::Logs { succeeded: false, .. })));
        let missing = LOGS.replace("\"err\":null,", "");
        assert!(matches!(parse(&missing), Err(LogError::Json(_))));
    }

    #[test]
    fn a_name_that_is_no_signature_is_refused() {
        for name in ["5h6x", "", "0OIl", &"1".repeat(65), &"z".repeat(88)] {
            let from = LOGS.find("5h6xBE").unwrap();
            let text =
                format!("{}{name}{}", &LOGS[..from], &LOGS[LOGS.find("\",\"err").unwrap()..]);
            assert!(matches!(parse(&text), Err(LogError::Signature)), "{name}");
        }
    }

    #[test]
    fn answers_and_slots_are_told_apart() {
        let slot = r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":76,"parent":75,"root":44},"subscription":7}}"#;
        assert_eq!(parse(slot).unwrap(), LogFrame::Slot(Slot::new(76)));
        let ack = r#"{"jsonrpc":"2.0","result":23784,"id":1}"#;
        assert_eq!(parse(ack).unwrap(), LogFrame::Accepted { id: 1 });
        let no = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"no"},"id":1}"#;
        assert_eq!(parse(no).unwrap(), LogFrame::Refused { code: -32602 });
        assert!(parse(r#"{"jsonrpc":"2.0","result":true,"id":1}"#).is_err());
        assert_eq!(parse("{}").unwrap(), LogFrame::Other);
    }

    proptest! {
        #[test]
        fn any_text_and_any_damage_is_read_or_refused_without_panic(
            text: String, at in 0_usize..400, with: char,
        ) {
            drop(parse(&text));
            let mut damaged: Vec<char> = LOGS.chars().collect();
            let at = at % damaged.len();
            damaged[at] = with;
            drop(parse(&damaged.into_iter().collect::<String>()));
        }
    }
}
