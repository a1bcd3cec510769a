//! The laws of the kill latch and of passphrase sources.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use secrecy::ExposeSecret;
use sniper_wallet::{
    CLEAR_WITHIN, ClearToken, KillLatch, LatchError, LocalSigner, PassphraseError,
    PassphraseSource, PolicySigner, SignError, Signer, read_passphrase,
};

fn armed(path: &Path) -> PolicySigner<LocalSigner> {
    PolicySigner::new(LocalSigner::generate().unwrap(), KillLatch::open(path))
}

#[test]
fn nothing_is_signed_after_kill_not_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("KILL");
    let signer = armed(&path);
    assert!(signer.sign(b"m").is_ok());
    signer.latch().engage("loss of the day\nreached").unwrap();
    assert!(matches!(signer.sign(b"m"), Err(SignError::Killed)));
    assert_eq!(signer.latch().cause().as_deref(), Some("loss of the day reached"));
    drop(signer);
    assert!(matches!(armed(&path).sign(b"m"), Err(SignError::Killed)));
}

#[test]
fn another_process_can_kill_and_deleting_the_file_does_not_revive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("KILL");
    let signer = armed(&path);
    assert!(signer.sign(b"m").is_ok());
    KillLatch::open(&path).engage("from elsewhere").unwrap();
    assert!(matches!(signer.sign(b"m"), Err(SignError::Killed)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(signer.sign(b"m"), Err(SignError::Killed)));
}

#[test]
fn the_first_cause_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let latch = KillLatch::open(folder.path().join("data/KILL"));
    latch.engage("first").unwrap();
    latch.engage("second").unwrap();
    assert_eq!(latch.cause().as_deref(), Some("first"));
}

#[test]
fn clearing_takes_two_steps_and_the_right_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("KILL");
    let signer = armed(&path);
    let latch = signer.latch();
    assert!(matches!(latch.request_clear(), Err(LatchError::NotEngaged)));
    latch.engage("test").unwrap();
    let guess = ClearToken::new("00000000");
    assert!(matches!(latch.confirm_clear(&guess), Err(LatchError::NotRequested)));

    let token = latch.request_clear().unwrap();
    assert!(signer.sign(b"m").is_err(), "a request alone clears nothing");
    let wrong = ClearToken::new(&token.to_string().replace(|_| true, "g"));
    assert!(matches!(latch.confirm_clear(&wrong), Err(LatchError::WrongToken)));
    assert!(
        matches!(latch.confirm_clear(&token), Err(LatchError::NotRequested)),
        "closed by the slip"
    );

    let token = latch.request_clear().unwrap();
    latch
        .confirm_clear(&ClearToken::new(&format!(" {}\n", token.to_string().to_uppercase())))
        .unwrap();
    assert!(signer.sign(b"m").is_ok());
    assert!(armed(&path).sign(b"m").is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_new_kill_or_time_closes_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let latch = KillLatch::open(folder.path().join("KILL"));
    latch.engage("one").unwrap();
    let token = latch.request_clear().unwrap();
    latch.engage("two").unwrap();
    assert!(matches!(latch.confirm_clear(&token), Err(LatchError::NotRequested)));

    let token = latch.request_clear().unwrap();
    let request =
        std::fs::File::options().write(true).open(folder.path().join("KILL.clear")).unwrap();
    request.set_modified(SystemTime::now() - CLEAR_WITHIN * 2).unwrap();
    assert!(matches!(latch.confirm_clear(&token), Err(LatchError::Expired)));
    assert!(latch.is_engaged());
}

#[test]
fn a_latch_that_cannot_be_written_still_kills_this_process_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: this stops even the superuser.
    let path = folder.path().join("file/KILL");
    let signer = armed(&path);
    assert!(signer.sign(b"m").is_ok());
    std::fs::write(folder.path().join("file"), b"").unwrap();
    assert!(
        matches!(signer.sign(b"m"), Err(SignError::LatchUnreadable { .. })),
        "unknown counts as killed"
    );
    assert!(matches!(signer.latch().engage("test"), Err(LatchError::Io { .. })));
    std::fs::remove_file(folder.path().join("file")).unwrap();
    assert!(matches!(signer.sign(b"m"), Err(SignError::Killed)));
}

#[test]
fn no_signature_begun_after_kill_ever_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let latch = KillLatch::open(folder.path().join("KILL"));
    let killed = AtomicBool::new(false);
    let signed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let signer = PolicySigner::new(LocalSigner::generate().unwrap(), latch.clone());
            let (killed, signed) = (&killed, &signed);
            scope.spawn(move || {
                loop {
                    let after = killed.load(Ordering::SeqCst);
                    let result = signer.sign(b"m");
                    assert!(!(after && result.is_ok()), "signed after kill");
                    if result.is_err() {
                        break;
                    }
                    signed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        while signed.load(Ordering::SeqCst) < 30 {
            std::thread::yield_now();
        }
        latch.engage("test").unwrap();
        killed.store(true, Ordering::SeqCst);
    });
}

/// A device during whose work someone kills.
struct Device<'a> {
    latch: KillLatch,
    asked: &'a AtomicU32,
}

impl Signer for Device<'_> {
    fn address(&self) -> solana_address::Address {
        solana_address::Address::default()
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.latch.engage("while the device works").unwrap();
        Ok([1; 64])
    }
}

#[test]
fn a_signature_killed_while_it_was_made_is_thrown_away_and_the_device_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let latch = KillLatch::open(folder.path().join("KILL"));
    let asked = AtomicU32::new(0);
    let signer = PolicySigner::new(Device { latch: latch.clone(), asked: &asked }, latch);
    for _ in 0..2 {
        assert!(matches!(signer.sign(b"m"), Err(SignError::Killed)));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

fn file_source(folder: &Path, contents: &[u8], mode: u32) -> PassphraseSource {
    let path = folder.join(format!("phrase-{mode:o}"));
    std::fs::write(&path, contents).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    PassphraseSource::File(path)
}

#[test]
fn a_passphrase_file_must_be_private_and_plain() {
    let folder = tempfile::tempdir().unwrap();
    let read = |contents: &[u8], mode| read_passphrase(&file_source(folder.path(), contents, mode));
    assert_eq!(read(b" two words \r\n", 0o600).unwrap().expose_secret(), " two words ");
    assert_eq!(read(b"no line end", 0o400).unwrap().expose_secret(), "no line end");
    for mode in [0o604, 0o640, 0o644, 0o620] {
        let error = read(b"secret-word", mode).unwrap_err();
        assert!(matches!(error, PassphraseError::Exposed { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret-word"));
    }
    assert!(matches!(read(b"\n", 0o600), Err(PassphraseError::Empty { .. })));
    assert!(matches!(read(b"\xff\xfe", 0o600), Err(PassphraseError::NotText { .. })));
    assert!(matches!(read(&[b'a'; 4097], 0o600), Err(PassphraseError::NotText { .. })));
    assert_eq!(read(&[b'a'; 4096], 0o600).unwrap().expose_secret().len(), 4096);
    let folder_itself = PassphraseSource::File(folder.path().to_owned());
    assert!(matches!(read_passphrase(&folder_itself), Err(PassphraseError::NotAFile { .. })));
    let absent = PassphraseSource::File(folder.path().join("absent"));
    assert!(matches!(read_passphrase(&absent), Err(PassphraseError::Unreadable { .. })));
    // A link to an exposed file is judged by the file.
    let link = folder.path().join("link");
    symlink(folder.path().join("phrase-644"), &link).unwrap();
    let linked = read_passphrase(&PassphraseSource::File(link));
    assert!(matches!(linked, Err(PassphraseError::Exposed { .. })));
}

#[test]
fn a_passphrase_comes_through_a_descriptor() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"through the pipe\n").unwrap();
    drop(writer);
    let descriptor = u32::try_from(reader.as_raw_fd()).unwrap();
    let phrase = read_passphrase(&PassphraseSource::Descriptor(descriptor)).unwrap();
    assert_eq!(phrase.expose_secret(), "through the pipe");
    assert!(!format!("{phrase:?}").contains("pipe"));
    let closed = read_passphrase(&PassphraseSource::Descriptor(9_999));
    assert!(matches!(closed, Err(PassphraseError::Unreadable { .. })));
}
