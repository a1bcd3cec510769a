//! The kill latch: a file that, while it exists, stops every signature.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::durable;
use crate::signer::SignError;

/// How long a request to clear stays open.
pub const CLEAR_WITHIN: Duration = Duration::from_secs(600);

/// A latch on disk, shared by all who hold a clone.
///
/// Engaged means: the file exists, or this process has seen it engaged since. So a second process can engage it by
/// creating the file, a crash cannot release it, and deleting the file behind our back does not either, until the
/// next start. Only [`KillLatch::confirm_clear`] releases it, after [`KillLatch::request_clear`] gave the token.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use sniper_wallet::{KillLatch, LocalSigner, PolicySigner, Signer};
/// let latch = KillLatch::open(folder.path().join("KILL"));
/// let signer = PolicySigner::new(LocalSigner::generate()?, latch.clone());
/// assert!(signer.sign(b"message").is_ok());
/// latch.engage("operator")?;
/// assert!(signer.sign(b"message").is_err());
/// let token = latch.request_clear()?;
/// latch.confirm_clear(&token)?;
/// assert!(signer.sign(b"message").is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KillLatch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    engaged: AtomicBool,
}

/// What a person repeats to clear the latch: proof of a second thought, not a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearToken(String);

impl ClearToken {
    /// A token as typed by a person.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        Self(typed.trim().to_ascii_lowercase())
    }
}

impl std::fmt::Display for ClearToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Why the latch could not be moved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LatchError {
    /// The file could not be written or removed. After a failed [`KillLatch::engage`] this process is killed all
    /// the same, but a restart would not be.
    #[error("cannot {action} {}: make the folder writable", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is nothing to clear.
    #[error("the kill latch is not engaged")]
    NotEngaged,
    /// A token was given that nobody asked for, or the latch was engaged again since.
    #[error("no request to clear is open: request one first")]
    NotRequested,
    /// The token is another. The request is closed.
    #[error("that is not the token of the request: request a new one")]
    WrongToken,
    /// The request is too old. It is closed.
    #[error("the request to clear is older than {} minutes: request a new one", CLEAR_WITHIN.as_secs() / 60)]
    Expired,
}

impl KillLatch {
    /// The latch at `path`; engaged from the start if the file exists.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let shared = Shared { path: path.into(), engaged: AtomicBool::new(false) };
        let latch = Self { shared: Arc::new(shared) };
        // Remembers what it sees; what cannot be read is asked again at each signature.
        latch.check().ok();
        latch
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether nothing may be signed. A latch that cannot be read counts as engaged.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.check().is_err()
    }

    /// What was given as the reason, if the latch is engaged and its file can be read.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let text = fs::read_to_string(&self.shared.path).ok()?;
        Some(clean(&text))
    }

    /// Stops every signature from now on, in this process at once and in every later one.
    ///
    /// # Errors
    ///
    /// When the file could not be made durable; this process is killed even then.
    pub fn engage(&self, cause: &str) -> Result<(), LatchError> {
        self.shared.engaged.store(true, Ordering::SeqCst);
        let path = &self.shared.path;
        remove_if_there(&self.request_path())
            .map_err(|source| io_error("remove", &self.request_path(), source))?;
        fs::create_dir_all(durable::folder_of(path))
            .map_err(|source| io_error("create the folder of", path, source))?;
        let written = match durable::create_new(path, format!("{}\n", clean(cause)).as_bytes()) {
            // The first cause is the one to keep.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                durable::sync_folder_of(path)
            }
            other => other,
        };
        written.map_err(|source| io_error("write", path, source))
    }

    /// First step of clearing: gives the token that the second step wants.
    ///
    /// # Errors
    ///
    /// When the latch is not engaged, or the request cannot be written.
    pub fn request_clear(&self) -> Result<ClearToken, LatchError> {
        if !self.is_engaged() {
            return Err(LatchError::NotEngaged);
        }
        let request = self.request_path();
        let mut random = [0; 4];
        getrandom::fill(&mut random)
            .map_err(|error| io_error("make a token for", &request, io::Error::other(error)))?;
        let token = ClearToken(format!("{:08x}", u32::from_ne_bytes(random)));
        remove_if_there(&request).map_err(|source| io_error("remove", &request, source))?;
        durable::create_new(&request, token.0.as_bytes())
            .map_err(|source| io_error("write", &request, source))?;
        Ok(token)
    }

    /// Second step of clearing: signatures are possible again.
    ///
    /// # Errors
    ///
    /// When the token is not the one of an open request; any attempt closes the request.
    pub fn confirm_clear(&self, token: &ClearToken) -> Result<(), LatchError> {
        let request = self.request_path();
        let expected = match fs::read_to_string(&request) {
            Ok(text) => ClearToken::new(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LatchError::NotRequested);
            }
            Err(source) => return Err(io_error("read", &request, source)),
        };
        let age = fs::metadata(&request).and_then(|metadata| metadata.modified()).map_or(
            Duration::MAX,
            // A clock that was set back makes no request younger.
            |made| made.elapsed().unwrap_or(Duration::MAX),
        );
        remove_if_there(&request).map_err(|source| io_error("remove", &request, source))?;
        if *token != expected {
            return Err(LatchError::WrongToken);
        }
        if age > CLEAR_WITHIN {
            return Err(LatchError::Expired);
        }
        let path = &self.shared.path;
        remove_if_there(path)
            .and_then(|()| durable::sync_folder_of(path))
            .map_err(|source| io_error("remove", path, source))?;
        self.shared.engaged.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Whether this process knows of a kill: one atomic load.
    pub(crate) fn check_here(&self) -> Result<(), SignError> {
        if self.shared.engaged.load(Ordering::SeqCst) { Err(SignError::Killed) } else { Ok(()) }
    }

    /// Asked before each signature: one atomic load, and one look at the folder.
    pub(crate) fn check(&self) -> Result<(), SignError> {
        self.check_here()?;
        match fs::symlink_metadata(&self.shared.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(SignError::LatchUnreadable { source }),
            Ok(_) => {
                self.shared.engaged.store(true, Ordering::SeqCst);
                Err(SignError::Killed)
            }
        }
    }

    fn request_path(&self) -> PathBuf {
        let mut name = self.shared.path.clone().into_os_string();
        name.push(".clear");
        name.into()
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> LatchError {
    LatchError::Io { action, path: path.to_owned(), source }
}

/// One line of printable text: it is shown to people.
fn clean(text: &str) -> String {
    let line = text.trim().chars().take(200);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
