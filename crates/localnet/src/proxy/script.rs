//! What goes wrong when: a TOML file, checked.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::fault::{FAULT_NAMES, Fault, GIGANTIC_MAX};

/// Longest script file.
const FILE_MAX: u64 = 1 << 20;
/// Most steps of a script: every message is held against each.
pub const STEPS_MAX: usize = 64;
/// Longest delay and jitter.
const DELAY_MAX: Duration = Duration::from_secs(600);

/// Why a script cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("fault script: cannot be read: {source}")]
    Read {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is longer than a script can be.
    #[error("fault script: above {FILE_MAX} bytes: is it a script?")]
    TooLong,
    /// It is not TOML, or has a key that no script has.
    #[error("fault script line {line}: {message}")]
    Toml {
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// More steps than are kept.
    #[error("fault script: {count} steps; write at most {STEPS_MAX}")]
    TooManySteps {
        /// How many there are.
        count: usize,
    },
    /// There is no such fault.
    #[error("fault script step {step}: there is no fault {name:?}; one of {}", FAULT_NAMES.join(", "))]
    UnknownFault {
        /// The step, from 1.
        step: usize,
        /// What it says.
        name: String,
    },
    /// A key that the fault of this step has no use for.
    #[error("fault script step {step}: `{key}` means nothing to the fault {fault}; leave it out")]
    Foreign {
        /// The step, from 1.
        step: usize,
        /// The key.
        key: &'static str,
        /// The fault.
        fault: &'static str,
    },
    /// A value that cannot be.
    #[error("fault script step {step}: `{key}` is {value}; it must be {expected}")]
    Value {
        /// The step, from 1.
        step: usize,
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
}

/// A seed and what goes wrong when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// Decides which of many requests are struck.
    pub seed: u64,
    /// What goes wrong; steps may overlap.
    pub steps: Vec<Step>,
}

/// One fault for one span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From this long after the start.
    pub after: Duration,
    /// For this long; without it, to the end.
    pub lasts: Option<Duration>,
    /// What goes wrong.
    pub fault: Fault,
    /// Part of requests or messages that it strikes, 0 to 1.
    pub share: f64,
    /// Methods it strikes; all if there are none. Replies on a WebSocket are called `reply`, its opening `upgrade`,
    /// and notifications have the node's names, such as `accountNotification`.
    pub methods: Vec<String>,
}

impl Step {
    /// The fault for everything, from now on and for ever.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { after: Duration::ZERO, lasts: None, fault, share: 1.0, methods: Vec::new() }
    }

    /// Whether it holds after this much time.
    pub(super) fn holds(&self, elapsed: Duration) -> bool {
        elapsed
            .checked_sub(self.after)
            .is_some_and(|since| self.lasts.is_none_or(|lasts| since < lasts))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    step: Vec<RawStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    after: Option<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    fault: String,
    share: Option<f64>,
    #[serde(default)]
    methods: Vec<String>,
    delay: Option<String>,
    bytes_per_second: Option<u64>,
    retry_after: Option<String>,
    status: Option<u16>,
    slots: Option<u64>,
    blocks: Option<u64>,
    bytes: Option<u64>,
}

impl Script {
    /// Reads a script from a file.
    ///
    /// # Errors
    /// [`ScriptError`] says what is wrong with it.
    pub fn read(file: &Path) -> Result<Self, ScriptError> {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(file)
            .and_then(|opened| opened.take(FILE_MAX + 1).read_to_string(&mut text))
            .map_err(|source| ScriptError::Read { source })?;
        if u64::try_from(text.len()).is_ok_and(|length| length > FILE_MAX) {
            return Err(ScriptError::TooLong);
        }
        Self::parse(&text)
    }

    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let raw: RawScript = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ScriptError::Toml { line, message: error.message().replace('\n', " ") }
        })?;
        if raw.step.len() > STEPS_MAX {
            return Err(ScriptError::TooManySteps { count: raw.step.len() });
        }
        let steps = raw
            .step
            .into_iter()
            .enumerate()
            .map(|(nth, step)| step.check(nth + 1))
            .collect::<Result<_, _>>()?;
        Ok(Self { seed: raw.seed, steps })
    }
}

impl RawStep {
    fn check(self, step: usize) -> Result<Step, ScriptError> {
        let Some(fault) = Fault::named(&self.fault) else {
            return Err(ScriptError::UnknownFault { step, name: self.fault });
        };
        let share = self.share.unwrap_or(1.0);
        if !(share > 0.0 && share <= 1.0) {
            let (key, expected) = ("share", "above 0 and at most 1");
            return Err(ScriptError::Value { step, key, value: share.to_string(), expected });
        }
        if let Some(empty) = self.methods.iter().find(|name| name.is_empty()) {
            let (key, expected) = ("methods", "names such as getSlot");
            return Err(ScriptError::Value { step, key, value: format!("{empty:?}"), expected });
        }
        let time = |key, text: &Option<String>| {
            text.as_deref().map(|text| duration(step, key, text)).transpose()
        };
        let after = time("after", &self.after)?.unwrap_or_default();
        let lasts = time("for", &self.lasts)?;
        if lasts == Some(Duration::ZERO) {
            let (key, value, expected) = ("for", "nothing".to_owned(), "longer than nothing");
            return Err(ScriptError::Value { step, key, value, expected });
        }
        let fault = self.size(step, fault)?;
        Ok(Step { after, lasts, fault, share, methods: self.methods })
    }

    /// The fault with the size that this step gives it.
    fn size(&self, step: usize, usual: Fault) -> Result<Fault, ScriptError> {
        self.refuse_foreign(step, &usual)?;
        let number = |key, given: Option<u64>, usual: u64, most: u64, expected| match given {
            None => Ok(usual),
            Some(value) if (1..=most).contains(&value) => Ok(value),
            Some(value) => {
                Err(ScriptError::Value { step, key, value: value.to_string(), expected })
            }
        };
        let rate = |usual| {
            number("bytes_per_second", self.bytes_per_second, usual, 1 << 30, "1 to 1073741824")
        };
        let wait = |usual| match &self.delay {
            None => Ok(usual),
            Some(text) => match duration(step, "delay", text)? {
                time if time <= DELAY_MAX => Ok(time),
                _ => {
                    let (key, value, expected) = ("delay", text.clone(), "at most 10m");
                    Err(ScriptError::Value { step, key, value, expected })
                }
            },
        };
        Ok(match usual {
            Fault::Delay(usual) => Fault::Delay(wait(usual)?),
            Fault::Jitter(usual) => Fault::Jitter(wait(usual)?),
            Fault::Bandwidth(usual) => Fault::Bandwidth(rate(usual)?),
            Fault::SlowLoris(usual) => Fault::SlowLoris(rate(usual)?),
            Fault::TooManyRequests(_) => {
                let given = self.retry_after.as_deref();
                let wait = given.map(|text| duration(step, "retry_after", text)).transpose()?;
                Fault::TooManyRequests(wait)
            }
            Fault::ServerError(usual) => match self.status.unwrap_or(usual) {
                status @ 500..=599 => Fault::ServerError(status),
                status => {
                    let (key, expected) = ("status", "from 500 to 599");
                    let value = status.to_string();
                    return Err(ScriptError::Value { step, key, value, expected });
                }
            },
            Fault::StaleSlot(usual) => {
                Fault::StaleSlot(number("slots", self.slots, usual, u64::MAX, "at least 1")?)
            }
            Fault::InflatedHeight(usual) => {
                Fault::InflatedHeight(number("blocks", self.blocks, usual, u64::MAX, "at least 1")?)
            }
            Fault::Gigantic(usual) => {
                let expected = "from 1 to 1099511627776";
                Fault::Gigantic(number("bytes", self.bytes, usual, GIGANTIC_MAX, expected)?)
            }
            other => other,
        })
    }

    fn refuse_foreign(&self, step: usize, fault: &Fault) -> Result<(), ScriptError> {
        let own = match fault {
            Fault::Delay(_) | Fault::Jitter(_) => "delay",
            Fault::Bandwidth(_) | Fault::SlowLoris(_) => "bytes_per_second",
            Fault::TooManyRequests(_) => "retry_after",
            Fault::ServerError(_) => "status",
            Fault::StaleSlot(_) => "slots",
            Fault::InflatedHeight(_) => "blocks",
            Fault::Gigantic(_) => "bytes",
            _ => "",
        };
        let given = [
            ("delay", self.delay.is_some()),
            ("bytes_per_second", self.bytes_per_second.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("status", self.status.is_some()),
            ("slots", self.slots.is_some()),
            ("blocks", self.blocks.is_some()),
            ("bytes", self.bytes.is_some()),
        ];
        match given.into_iter().find(|(key, given)| *given && *key != own) {
            Some((key, _)) => Err(ScriptError::Foreign { step, key, fault: fault.name() }),
            None => Ok(()),
        }
    }
}

/// `500ms`, `10s`, `2m` or `1h`, at most a day.
fn duration(step: usize, key: &'static str, text: &str) -> Result<Duration, ScriptError> {
    const DAY_MS: u64 = 86_400_000;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = scale.and_then(|scale: u64| number.parse::<u64>().ok()?.checked_mul(scale));
    millis.filter(|millis| *millis <= DAY_MS).map(Duration::from_millis).ok_or_else(|| {
        let expected = "a whole number and a unit, at most a day, such as 500ms, 10s or 2m";
        ScriptError::Value { step, key, value: format!("{text:?}"), expected }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Script::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_script_says_what_goes_wrong_when() {
        let text = r#"
            seed = 7
            [[step]]
            after = "10s"
            for = "5s"
            fault = "too-many-requests"
            retry_after = "2s"
            share = 0.3
            methods = ["getSlot"]
            [[step]]
            fault = "delay"
        "#;
        let script = Script::parse(text).unwrap();
        assert_eq!(script.seed, 7);
        let storm = Step {
            after: Duration::from_secs(10),
            lasts: Some(Duration::from_secs(5)),
            fault: Fault::TooManyRequests(Some(Duration::from_secs(2))),
            share: 0.3,
            methods: vec!["getSlot".to_owned()],
        };
        assert_eq!(script.steps, [storm, Step::always(Fault::Delay(Duration::from_millis(200)))]);
        let at = |ms| script.steps[0].holds(Duration::from_millis(ms));
        assert_eq!([9_999, 10_000, 14_999, 15_000].map(at), [false, true, true, false]);
    }

    #[test]
    fn what_no_script_can_mean_is_refused_with_the_step_and_the_key() {
        assert!(refused("sead = 1").contains("sead"));
        assert!(refused("[[step]]\nfault = \"drop\"\nspeed = 1").contains("speed"));
        assert!(refused("[[step]]\nfault = \"drop\"\nshare = 1.5").contains("step 1: `share`"));
        assert!(refused("[[step]]\nfault = \"drop\"\nshare = nan").contains("`share`"));
        assert!(refused("[[step]]\nfault = \"rain\"").contains("no fault \"rain\""));
        assert!(refused("[[step]]\nfault = \"drop\"\nslots = 3").contains("`slots` means nothing"));
        assert!(refused("[[step]]\nfault = \"drop\"\nafter = \"-1s\"").contains("`after`"));
        assert!(refused("[[step]]\nfault = \"drop\"\nfor = \"0s\"").contains("`for`"));
        assert!(refused("[[step]]\nfault = \"delay\"\ndelay = \"11m\"").contains("`delay`"));
        assert!(refused("[[step]]\nfault = \"server-error\"\nstatus = 404").contains("`status`"));
        assert!(refused("[[step]]\nfault = \"gigantic\"\nbytes = 0").contains("`bytes`"));
        assert!(refused(&"[[step]]\nfault = \"drop\"\n".repeat(65)).contains("65 steps"));
    }
}
