//! Where a passphrase may come from: a terminal, a file descriptor or a private file. Never the command line, never
//! the environment: other processes can read those.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

const MAX_BYTES: usize = 4096;

/// Where to read a passphrase from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassphraseSource {
    /// Typed by a person, without echo, after this prompt.
    Terminal {
        /// What to ask.
        prompt: String,
    },
    /// Typed twice by a person: for a new keystore, where a slip of the finger would lose the key.
    NewOnTerminal {
        /// What to ask.
        prompt: String,
    },
    /// An open descriptor of this process, such as a pipe that the parent made.
    Descriptor(u32),
    /// A file that nobody else can read (`chmod 600`).
    File(PathBuf),
}

/// Why there is no passphrase. Never holds any part of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nobody to ask.
    #[error("no terminal to ask for the passphrase: give it by descriptor or file")]
    NoTerminal {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Typed twice, differently.
    #[error("the two passphrases differ: try again")]
    Differ,
    /// Cannot be read.
    #[error("cannot read the passphrase from {from}")]
    Unreadable {
        /// Where it should have come from.
        from: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could read it too.
    #[error("{} can be read by others (mode {mode:03o}): run `chmod 600` on it and change the passphrase", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to another user (id {owner})", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Not a plain file.
    #[error("{} is not a regular file: give a pipe by its descriptor", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A descriptor that would echo what is typed.
    #[error(
        "descriptor {descriptor} is a terminal and would show the passphrase: ask on the terminal instead"
    )]
    IsTerminal {
        /// Which.
        descriptor: u32,
    },
    /// Nothing there.
    #[error("the passphrase from {from} is empty")]
    Empty {
        /// Where it came from.
        from: String,
    },
    /// Not text, or far too long.
    #[error("the passphrase from {from} is not UTF-8 text of at most {MAX_BYTES} bytes")]
    NotText {
        /// Where it came from.
        from: String,
    },
}

/// Reads a passphrase. One line end after it is dropped; everything else belongs to it.
///
/// # Errors
///
/// See [`PassphraseError`].
pub fn read_passphrase(source: &PassphraseSource) -> Result<SecretString, PassphraseError> {
    match source {
        PassphraseSource::Terminal { prompt } => ask(prompt),
        PassphraseSource::NewOnTerminal { prompt } => {
            let first = ask(prompt)?;
            let second = ask("Again: ")?;
            if first.expose_secret() == second.expose_secret() {
                Ok(first)
            } else {
                Err(PassphraseError::Differ)
            }
        }
        PassphraseSource::Descriptor(descriptor) => from_descriptor(*descriptor),
        PassphraseSource::File(path) => from_file(path),
    }
}

fn ask(prompt: &str) -> Result<SecretString, PassphraseError> {
    let typed = rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|source| PassphraseError::NoTerminal { source })?;
    secret(typed.as_bytes(), || "the terminal".to_owned())
}

fn from_descriptor(descriptor: u32) -> Result<SecretString, PassphraseError> {
    let from = || format!("descriptor {descriptor}");
    let unreadable = |source| PassphraseError::Unreadable { from: from(), source };
    // Opened by name: taking over a bare number would need `unsafe`.
    let file = File::open(format!("/dev/fd/{descriptor}")).map_err(unreadable)?;
    if file.is_terminal() {
        return Err(PassphraseError::IsTerminal { descriptor });
    }
    read(file, &from)
}

fn from_file(path: &Path) -> Result<SecretString, PassphraseError> {
    let from = || path.display().to_string();
    let unreadable = |source| PassphraseError::Unreadable { from: from(), source };
    // Asked before it is opened, as opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(PassphraseError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PassphraseError::Exposed { path: path.to_owned(), mode });
    }
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(PassphraseError::ForeignOwner { path: path.to_owned(), owner });
    }
    read(file, &from)
}

fn read(mut source: impl Read, from: &dyn Fn() -> String) -> Result<SecretString, PassphraseError> {
    // One buffer of full size from the start: a growing one would leave copies behind.
    let mut buffer = Zeroizing::new(vec![0; MAX_BYTES + 2]);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(PassphraseError::Unreadable { from: from(), source }),
        }
    }
    secret(buffer.get(..filled).unwrap_or_default(), from)
}

fn secret(bytes: &[u8], from: impl Fn() -> String) -> Result<SecretString, PassphraseError> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(PassphraseError::Empty { from: from() });
    }
    if line.len() > MAX_BYTES {
        return Err(PassphraseError::NotText { from: from() });
    }
    let text = std::str::from_utf8(line).map_err(|_| PassphraseError::NotText { from: from() })?;
    // A boxed copy of the exact size: nothing is moved, so nothing is left behind.
    Ok(SecretString::from(Box::<str>::from(text)))
}
