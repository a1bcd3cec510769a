//! A key at rest: an `age` file that a passphrase opens.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt};
use ed25519_dalek::SigningKey;
use secrecy::{ExposeSecret, SecretString};
use solana_address::Address;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::durable;
use crate::keygen::{self, KeygenError};
use crate::signer::{LocalSigner, Signer as _};

/// Work factor of new keystores: 256 MiB and about a second for each guess at the passphrase.
pub const DEFAULT_WORK_FACTOR: u8 = 18;

/// Greatest work factor accepted: 1 GiB of memory.
pub const MAX_WORK_FACTOR: u8 = 20;

/// Least length of a new passphrase.
pub const MIN_PASSPHRASE_CHARS: usize = 8;

const BINARY_START: &[u8] = b"age-encryption.org/";
const ARMOR_START: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const MAX_FILE: u64 = 16 * 1024;

/// A keystore file.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use secrecy::SecretString;
/// use sniper_wallet::{Keystore, KeystoreOptions, Signer};
/// let keystore = Keystore::at(folder.path().join("key.age"));
/// let passphrase = SecretString::from("correct horse battery staple");
/// let options = KeystoreOptions { work_factor: 4, ..KeystoreOptions::default() };
/// let address = keystore.create(&passphrase, options)?;
/// assert_eq!(keystore.unlock(&passphrase)?.address(), address);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystore {
    path: PathBuf,
}

/// How a new keystore is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeystoreOptions {
    /// Each guess at the passphrase costs `2^work_factor` KiB of memory, and time in proportion. So does unlocking.
    pub work_factor: u8,
    /// Text that survives copy and paste instead of bytes.
    pub armored: bool,
}

impl Default for KeystoreOptions {
    fn default() -> Self {
        Self { work_factor: DEFAULT_WORK_FACTOR, armored: false }
    }
}

/// Why a keystore was not written or not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// There is one already.
    #[error("{} exists: a keystore is never overwritten, choose another path", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Some other file.
    #[error("{} is not a keystore: it is no `age` file", path.display())]
    NotAKeystore {
        /// The file.
        path: PathBuf,
    },
    /// An `age` file that a key opens, not a passphrase.
    #[error("{} is encrypted to a key and not with a passphrase", path.display())]
    NotByPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("wrong passphrase for {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// Not what was written.
    #[error("{} was cut short or changed after it was written: restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It would take more memory than this program spends on it.
    #[error("{} asks for 2^{work_factor} KiB of memory; at most 2^{MAX_WORK_FACTOR} KiB is spent", path.display())]
    TooCostly {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        work_factor: u8,
    },
    /// It opens, but holds no key.
    #[error("{} opens with this passphrase but holds no key", path.display())]
    Payload {
        /// The file.
        path: PathBuf,
        /// What is wrong with its contents.
        #[source]
        source: KeygenError,
    },
    /// Not a key file to import.
    #[error("{} is not a `solana-keygen` file", path.display())]
    Import {
        /// The file to import.
        path: PathBuf,
        /// What is wrong with its contents.
        #[source]
        source: KeygenError,
    },
    /// Too easy to guess.
    #[error("the passphrase is shorter than {MIN_PASSPHRASE_CHARS} characters")]
    ShortPassphrase,
    /// Not a usable work factor.
    #[error("work factor {work_factor} is not within 1 to {MAX_WORK_FACTOR}")]
    WorkFactor {
        /// What was asked for.
        work_factor: u8,
    },
}

impl Keystore {
    /// The keystore at `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new random key and writes it. Gives its address.
    ///
    /// # Errors
    ///
    /// When the file exists, cannot be written, or the passphrase is too short.
    pub fn create(
        &self,
        passphrase: &SecretString,
        options: KeystoreOptions,
    ) -> Result<Address, KeystoreError> {
        let signer = LocalSigner::generate().map_err(|source| self.io("make a key for", source))?;
        self.write(signer.key(), passphrase, options)?;
        Ok(signer.address())
    }

    /// Writes the key of a `solana-keygen` file. Gives its address. The file itself is left alone.
    ///
    /// # Errors
    ///
    /// When `from` holds no key, or as [`Keystore::create`].
    pub fn import(
        &self,
        from: &Path,
        passphrase: &SecretString,
        options: KeystoreOptions,
    ) -> Result<Address, KeystoreError> {
        let file = std::fs::File::open(from);
        let unreadable =
            |source| KeystoreError::Io { action: "read", path: from.to_owned(), source };
        let text = read_bounded(file.map_err(unreadable)?).map_err(unreadable)?;
        let signer = LocalSigner::from_keygen_json(text.bytes())
            .map_err(|source| KeystoreError::Import { path: from.to_owned(), source })?;
        self.write(signer.key(), passphrase, options)?;
        Ok(signer.address())
    }

    /// Opens it. Takes the memory and time that its work factor asks for.
    ///
    /// # Errors
    ///
    /// See [`KeystoreError`]: each way of being wrong has its own.
    pub fn unlock(&self, passphrase: &SecretString) -> Result<LocalSigner, KeystoreError> {
        let bytes = self.read()?;
        let armored = self.kind(&bytes)?;
        let key = if armored {
            self.decrypt(ArmoredReader::new(BufReader::new(bytes.as_slice())), passphrase)?
        } else {
            self.decrypt(bytes.as_slice(), passphrase)?
        };
        Ok(LocalSigner::new(key))
    }

    /// That it is there, can be read, and begins as a keystore does. Whether it opens, only its passphrase can tell.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is some other file.
    pub fn look(&self) -> Result<(), KeystoreError> {
        self.kind(&self.read()?).map(drop)
    }

    fn read(&self) -> Result<Vec<u8>, KeystoreError> {
        let file = std::fs::File::open(&self.path).map_err(|source| self.io("open", source))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|source| self.io("read", source))?;
        Ok(bytes)
    }

    /// Whether `bytes` are armored, judged by how they start.
    fn kind(&self, bytes: &[u8]) -> Result<bool, KeystoreError> {
        let path = || self.path.clone();
        for (start, armored) in [(BINARY_START, false), (ARMOR_START, true)] {
            if bytes.starts_with(start) {
                return Ok(armored);
            }
            if start.starts_with(bytes) {
                return Err(KeystoreError::Damaged { path: path() });
            }
        }
        Err(KeystoreError::NotAKeystore { path: path() })
    }

    fn decrypt(
        &self,
        file: impl Read,
        passphrase: &SecretString,
    ) -> Result<SigningKey, KeystoreError> {
        let decryptor = Decryptor::new(file).map_err(|error| self.refused(&error))?;
        if !decryptor.is_scrypt() {
            return Err(KeystoreError::NotByPassphrase { path: self.path.clone() });
        }
        let mut identity = scrypt::Identity::new(passphrase.clone());
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let plain = decryptor
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .map_err(|error| self.refused(&error))?;
        let text =
            read_bounded(plain).map_err(|_| KeystoreError::Damaged { path: self.path.clone() })?;
        keygen::parse(text.bytes())
            .map_err(|source| KeystoreError::Payload { path: self.path.clone(), source })
    }

    fn refused(&self, error: &DecryptError) -> KeystoreError {
        let path = self.path.clone();
        match error {
            DecryptError::ExcessiveWork { required, .. } => {
                KeystoreError::TooCostly { path, work_factor: *required }
            }
            // The key of the file is sealed with the passphrase alone: this is what a wrong one looks like.
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                KeystoreError::WrongPassphrase { path }
            }
            DecryptError::NoMatchingKeys => KeystoreError::NotByPassphrase { path },
            DecryptError::UnknownFormat => KeystoreError::NotAKeystore { path },
            _ => KeystoreError::Damaged { path },
        }
    }

    fn write(
        &self,
        key: &SigningKey,
        passphrase: &SecretString,
        options: KeystoreOptions,
    ) -> Result<(), KeystoreError> {
        let work_factor = options.work_factor;
        if !(1..=MAX_WORK_FACTOR).contains(&work_factor) {
            return Err(KeystoreError::WorkFactor { work_factor });
        }
        if passphrase.expose_secret().chars().count() < MIN_PASSPHRASE_CHARS {
            return Err(KeystoreError::ShortPassphrase);
        }
        // Told before the work is done; the write itself refuses too.
        if self.path.symlink_metadata().is_ok() {
            return Err(KeystoreError::Exists { path: self.path.clone() });
        }
        let bytes = encrypt(key, passphrase, options)
            .map_err(|source| self.io("encrypt the key for", source))?;
        match durable::create_new(&self.path, &bytes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeystoreError::Exists { path: self.path.clone() })
            }
            other => other.map_err(|source| self.io("write", source)),
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> KeystoreError {
        KeystoreError::Io { action, path: self.path.clone(), source }
    }
}

fn encrypt(
    key: &SigningKey,
    passphrase: &SecretString,
    options: KeystoreOptions,
) -> io::Result<Vec<u8>> {
    let mut recipient = scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(options.work_factor);
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|error| match error {
            EncryptError::Io(error) => error,
            other => io::Error::other(other),
        })?;
    let format = if options.armored { Format::AsciiArmor } else { Format::Binary };
    let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), format)?)?;
    writer.write_all(&keygen::print(key))?;
    writer.finish()?.finish()
}

/// At most a little more than the longest key text, on the heap, where it is wiped and never moved.
struct Text {
    buffer: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

fn read_bounded(mut source: impl Read) -> io::Result<Text> {
    let mut text = Text { buffer: Zeroizing::new(vec![0; keygen::MAX_TEXT + 1]), filled: 0 };
    while let Some(rest) = text.buffer.get_mut(text.filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => text.filled = text.filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(text)
}
