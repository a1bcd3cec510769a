//! Why a configuration cannot be used: where, what and what to do.

use std::path::PathBuf;

use sniper_core::units::Usd;
use thiserror::Error;

use super::defaults::dollars;

/// Why there is no configuration. Every one of these ends a command with exit code 4.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "{}: cannot read the configuration: {source}; name an existing file with -c or write one with `sniperforge new-config`",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what a configuration is: syntax, an unknown key or the wrong kind of value.
    #[error("{}:{line}:{column}: {problem}; `sniperforge new-config` writes a file with every key explained", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words, without any value.
        problem: String,
    },
    /// An environment variable does not fit its key.
    #[error("{variable}: {problem}; correct or unset the variable")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong, without the value.
        problem: String,
    },
    /// A value that cannot be.
    #[error("{place}: {key} {problem}")]
    Invalid {
        /// Where it was written.
        place: Place,
        /// The key.
        key: String,
        /// What is wrong and what to write instead.
        problem: Problem,
    },
    /// A command needs a key that nothing sets.
    #[error("{key} is not set: {need}; set it in a file given with -c or as {}", variable_of(key))]
    Missing {
        /// The key.
        key: &'static str,
        /// Why it is needed.
        need: &'static str,
    },
    /// The layer of measured settings cannot be used.
    #[error("{} {problem}", path.display())]
    Tuned {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: super::tuned::TunedError,
    },
    /// `new-config` never overwrites.
    #[error("{}: already exists; choose another name or move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// `new-config` could not write.
    #[error("{}: cannot write the configuration: {source}; choose a folder you may write to", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1, where it could be found.
        line: Option<usize>,
    },
    /// In an environment variable.
    Variable(String),
    /// Nowhere: a default, at odds with something that was written.
    Default,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with a value. Numbers are shown, text never: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Outside its range.
    #[error("is {value}; write a whole number from {least} to {most}")]
    Range {
        /// As written.
        value: i64,
        /// Inclusive.
        least: i64,
        /// Inclusive.
        most: i64,
    },
    /// Not an amount of dollars in range.
    #[error("is not an amount of dollars from {} to {} with at most six decimals; write a number such as 50 or 12.5", dollars(*least).0, dollars(*most).0)]
    Dollars {
        /// Inclusive.
        least: Usd,
        /// Inclusive.
        most: Usd,
    },
    /// Not a key.
    #[error("is not a Solana address; write 32 bytes in base58")]
    Address,
    /// Not an extension of Token-2022.
    #[error("is not a Token-2022 extension; write a name such as transfer_fee, or extension_N")]
    Extension,
    /// Not a program that makes pools.
    #[error(
        "is not a program that makes pools; write pump_fun, pump_swap, raydium_amm_v4, raydium_cpmm or raydium_clmm"
    )]
    Program,
    /// Not a word for how urgent orders are.
    #[error("is not an urgency; write fixed, low, normal, high or urgent")]
    Priority,
    /// Not a word for when another service is used.
    #[error("is not a word for when it is used; write {words}")]
    Usage {
        /// Those there are.
        words: &'static str,
    },
    /// Not a genesis hash.
    #[error("is not a genesis hash; write 32 bytes in base58 as `getGenesisHash` answers")]
    Hash,
    /// Not an address of a node.
    #[error("is not a URL that starts with {schemes}; write the address your provider gave you")]
    Url {
        /// What it may start with.
        schemes: &'static str,
    },
    /// Not an address of a collector.
    #[error(
        "is not the address of a collector; write one such as http://127.0.0.1:4318, without a name, password or query"
    )]
    Collector,
    /// Not in this build.
    #[error(
        "is set, and this build has no {what}; build it with `cargo build --release --features {feature}`, or take this out"
    )]
    Feature {
        /// What is wanted.
        what: &'static str,
        /// What brings it.
        feature: &'static str,
    },
    /// Not a name.
    #[error("is not a name; write 1 to 32 letters, digits, `-` or `_`")]
    Name,
    /// Twice the same.
    #[error("is the same as an earlier one; write each once")]
    Duplicate,
    /// Empty.
    #[error("is empty; write a path")]
    Empty,
    /// Not a socket address.
    #[error("is not an address and port; write one such as 127.0.0.1:8080")]
    Socket,
    /// Open to other machines without saying so.
    #[error(
        "is reachable from other machines; listen on 127.0.0.1, or set dashboard.allow_remote = true behind a proxy that asks for a password"
    )]
    Remote,
    /// Not a level.
    #[error("is not a log level; write error, warn, info, debug or trace")]
    Level,
    /// Not set inside an entry of a list.
    #[error("is not set; every entry needs it")]
    Absent,
    /// At odds with another setting.
    #[error("{0}")]
    Odds(String),
}

/// The environment variable of a key.
#[must_use]
pub fn variable_of(key: &str) -> String {
    format!("{}{}", super::ENV_PREFIX, key.replace('.', "__").to_uppercase())
}
