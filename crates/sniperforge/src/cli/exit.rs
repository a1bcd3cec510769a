//! How a command ends.

use std::process::ExitCode;

use thiserror::Error;

use crate::backtest::BacktestError;
use crate::config::ConfigError;
use crate::telemetry::{BaselineError, LogError};

/// The codes a script may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it should.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// There is no running instance to talk to.
    NoInstance = 3,
    /// The configuration cannot be used.
    Configuration = 4,
    /// It took too long.
    TimedOut = 5,
    /// It ran, and what it was to prove did not hold.
    CheckFailed = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoInstance => 3,
            Exit::Configuration => 4,
            Exit::TimedOut => 5,
            Exit::CheckFailed => 6,
        })
    }
}

/// Something that was to be proven did not hold; for commands that end by an error.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct CheckFailed {
    /// What did not hold, and what to do.
    pub what: String,
}

/// Nobody answers where an instance should be.
#[derive(Debug, Error)]
#[error(
    "no instance answers at {address}; start one with `sniperforge trade` or name another with --at"
)]
pub struct NoInstance {
    /// Where it was looked for.
    pub address: String,
}

/// Something took longer than it may.
#[derive(Debug, Error)]
#[error("{what} took longer than {seconds} s")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub seconds: u64,
}

/// A command line that parses and still makes no sense.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) &'static str);

/// The code that an error stands for: that of the first cause that has one.
#[must_use]
pub fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<ConfigError>() {
            return Exit::Configuration;
        }
        #[cfg(feature = "localnet")]
        if cause.is::<sniper_localnet::proxy::ScriptError>() {
            return Exit::Configuration;
        }
        if cause.is::<BaselineError>() {
            return Exit::Configuration;
        }
        if cause.is::<CheckFailed>() {
            return Exit::CheckFailed;
        }
        if cause.is::<NoInstance>() {
            return Exit::NoInstance;
        }
        if cause.is::<TimedOut>() {
            return Exit::TimedOut;
        }
        // The configured level was checked with the configuration, so only a flag can still be wrong.
        if cause.is::<UsageError>() || matches!(cause.downcast_ref(), Some(LogError::Level { .. }))
        {
            return Exit::Usage;
        }
        if cause.downcast_ref::<BacktestError>().is_some_and(BacktestError::is_usage) {
            return Exit::Usage;
        }
    }
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_code_survives_the_context_around_its_error() {
        let wrapped = |error: anyhow::Error| exit_of(&error.context("outer").context("outermost"));
        let missing = ConfigError::Missing { key: "a.b", need: "x" };
        assert_eq!(wrapped(missing.into()), Exit::Configuration);
        assert_eq!(wrapped(CheckFailed { what: "x".to_owned() }.into()), Exit::CheckFailed);
        assert_eq!(wrapped(NoInstance { address: "x".to_owned() }.into()), Exit::NoInstance);
        assert_eq!(wrapped(TimedOut { what: "x".to_owned(), seconds: 1 }.into()), Exit::TimedOut);
        assert_eq!(wrapped(UsageError("x").into()), Exit::Usage);
        let plain: anyhow::Result<()> = Err(std::io::Error::other("x")).context("y");
        assert_eq!(exit_of(&plain.unwrap_err()), Exit::Failed);
    }
}
