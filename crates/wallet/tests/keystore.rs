//! The laws of the keystore file.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;
use secrecy::SecretString;
use sniper_wallet::{
    Keystore, KeystoreError, KeystoreOptions, LocalSigner, MAX_WORK_FACTOR, Signer,
};

const PHRASE: &str = "correct horse battery staple";

fn phrase() -> SecretString {
    SecretString::from(PHRASE)
}

fn quick(armored: bool) -> KeystoreOptions {
    KeystoreOptions { work_factor: 1, armored }
}

fn written(folder: &Path, armored: bool) -> (Keystore, Vec<u8>) {
    let keystore = Keystore::at(folder.join("key.age"));
    keystore.create(&phrase(), quick(armored)).unwrap();
    let bytes = std::fs::read(keystore.path()).unwrap();
    (keystore, bytes)
}

/// An `age` file made by hand: other contents, or other means to open it.
fn age_file(recipient: &dyn age::Recipient, contents: &[u8]) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient)).unwrap();
    let mut writer = encryptor.wrap_output(Vec::new()).unwrap();
    writer.write_all(contents).unwrap();
    writer.finish().unwrap()
}

fn by_passphrase(work_factor: u8) -> age::scrypt::Recipient {
    let mut recipient = age::scrypt::Recipient::new(phrase());
    recipient.set_work_factor(work_factor);
    recipient
}

#[test]
fn a_created_key_is_unlocked_by_its_passphrase_and_signs_for_its_address() {
    for armored in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::at(folder.path().join("key.age"));
        let address = keystore.create(&phrase(), quick(armored)).unwrap();
        let signer = keystore.unlock(&phrase()).unwrap();
        assert_eq!(signer.address(), address);
        let signature = Signature::from_bytes(&signer.sign(b"a message").unwrap());
        let public = VerifyingKey::from_bytes(address.as_array()).unwrap();
        public.verify_strict(b"a message", &signature).unwrap();
        assert!(public.verify_strict(b"another", &signature).is_err());
        let mode = std::fs::metadata(keystore.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing stays beside it");
    }
}

#[test]
fn two_new_keys_differ() {
    let folder = tempfile::tempdir().unwrap();
    let one = Keystore::at(folder.path().join("1")).create(&phrase(), quick(false)).unwrap();
    let two = Keystore::at(folder.path().join("2")).create(&phrase(), quick(false)).unwrap();
    assert_ne!(one, two);
}

#[test]
fn a_keystore_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, before) = written(folder.path(), false);
    let error = keystore.create(&phrase(), quick(false)).unwrap_err();
    assert!(matches!(error, KeystoreError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(keystore.path()).unwrap(), before);
}

#[test]
fn an_imported_key_is_the_same_key_and_any_age_tool_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    // The secret of 32 sevens, as `solana-keygen` would have written it.
    let public = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let numbers: Vec<String> =
        [[7; 32], public.to_bytes()].concat().iter().map(u8::to_string).collect();
    let json = format!("[{}]", numbers.join(","));
    let from = folder.path().join("id.json");
    std::fs::write(&from, format!("{json}\n")).unwrap();

    let keystore = Keystore::at(folder.path().join("key.age"));
    let address = keystore.import(&from, &phrase(), quick(false)).unwrap();
    assert_eq!(address.to_bytes(), public.to_bytes());
    assert_eq!(keystore.unlock(&phrase()).unwrap().address(), address);

    let file = std::fs::read(keystore.path()).unwrap();
    let identity = age::scrypt::Identity::new(phrase());
    let decryptor = age::Decryptor::new(file.as_slice()).unwrap();
    let mut plain = String::new();
    decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .unwrap()
        .read_to_string(&mut plain)
        .unwrap();
    assert_eq!(plain, json);
}

#[test]
fn what_cannot_be_imported_leaves_no_keystore_and_tells_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("id.json");
    let keystore = Keystore::at(folder.path().join("key.age"));
    for text in ["", "[1,2,3]", "[\"secret-word\"]", "secret-word"] {
        std::fs::write(&from, text).unwrap();
        let error = keystore.import(&from, &phrase(), quick(false)).unwrap_err();
        assert!(matches!(error, KeystoreError::Import { .. }), "{error}");
        assert!(!format!("{error:?} {error}").contains("secret-word"));
    }
    assert!(!keystore.path().exists());
}

#[test]
fn each_way_of_being_wrong_has_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, good) = written(folder.path(), false);
    let unlock = |bytes: &[u8]| {
        std::fs::write(keystore.path(), bytes).unwrap();
        keystore.unlock(&phrase()).unwrap_err()
    };
    let wrong = SecretString::from("incorrect horse");
    assert!(matches!(keystore.unlock(&wrong), Err(KeystoreError::WrongPassphrase { .. })));
    assert!(matches!(unlock(b""), KeystoreError::Damaged { .. }));
    assert!(matches!(unlock(b"[1,2,3]"), KeystoreError::NotAKeystore { .. }));
    assert!(matches!(unlock(&good[..good.len() - 1]), KeystoreError::Damaged { .. }));

    let no_key = age_file(&by_passphrase(1), b"not a key");
    assert!(matches!(unlock(&no_key), KeystoreError::Payload { .. }));
    let long = age_file(&by_passphrase(1), &[b' '; 10_000]);
    assert!(matches!(unlock(&long), KeystoreError::Payload { .. }));
    let to_a_key = age_file(&age::x25519::Identity::generate().to_public(), b"[]");
    assert!(matches!(unlock(&to_a_key), KeystoreError::NotByPassphrase { .. }));
    let text = String::from_utf8_lossy(&good[..60]).replace(" 1\n", " 30\n");
    let costly = [text.as_bytes(), &good[60..]].concat();
    let costly = unlock(&costly);
    assert!(matches!(costly, KeystoreError::TooCostly { work_factor: 30, .. }), "{costly:?}");

    std::fs::remove_file(keystore.path()).unwrap();
    assert!(matches!(keystore.unlock(&phrase()), Err(KeystoreError::Io { action: "open", .. })));
}

#[test]
fn every_cut_of_a_keystore_is_refused() {
    for armored in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (keystore, good) = written(folder.path(), armored);
        // Without its last line end an armored file is still whole.
        let ends = if armored { good.len() - 1 } else { good.len() };
        for length in 0..ends {
            std::fs::write(keystore.path(), &good[..length]).unwrap();
            let error = keystore.unlock(&phrase()).unwrap_err();
            assert!(matches!(error, KeystoreError::Damaged { .. }), "{length}: {error:?}");
        }
    }
}

#[test]
fn tampering_with_any_byte_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, good) = written(folder.path(), false);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            std::fs::write(keystore.path(), &bad).unwrap();
            assert!(keystore.unlock(&phrase()).is_err(), "byte {at} flipped by {flip:#x}");
        }
    }
}

#[test]
fn tampering_with_armor_never_opens_to_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, good) = written(folder.path(), true);
    let address = keystore.unlock(&phrase()).unwrap().address();
    let mut detected = 0;
    for at in 0..good.len() {
        for flip in [0x01, 0x20] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            std::fs::write(keystore.path(), &bad).unwrap();
            match keystore.unlock(&phrase()) {
                Ok(signer) => assert_eq!(signer.address(), address, "byte {at}"),
                Err(_) => detected += 1,
            }
        }
    }
    // What may differ is white space around the armor.
    assert!(detected >= (good.len() - 2) * 2, "{detected} of {}", good.len() * 2);
}

#[test]
fn weak_settings_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = Keystore::at(folder.path().join("key.age"));
    let short = keystore.create(&SecretString::from("short"), quick(false)).unwrap_err();
    assert!(matches!(short, KeystoreError::ShortPassphrase));
    for work_factor in [0, MAX_WORK_FACTOR + 1, 64, 255] {
        let options = KeystoreOptions { work_factor, armored: false };
        let error = keystore.create(&phrase(), options).unwrap_err();
        assert!(matches!(error, KeystoreError::WorkFactor { .. }), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_folder_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = Keystore::at(folder.path().join("absent/key.age"));
    let error = keystore.create(&phrase(), quick(false)).unwrap_err();
    assert!(matches!(error, KeystoreError::Io { action: "write", .. }), "{error}");
}

#[test]
fn no_error_shows_the_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, good) = written(folder.path(), false);
    let secret = SecretString::from("hunter2-hunter2");
    let mut errors = vec![keystore.unlock(&secret).unwrap_err()];
    errors.push(keystore.create(&secret, quick(false)).unwrap_err());
    std::fs::write(keystore.path(), &good[..40]).unwrap();
    errors.push(keystore.unlock(&secret).unwrap_err());
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_signature_verifies_for_its_message_alone(
        message in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
    ) {
        let signer = LocalSigner::generate().unwrap();
        let signature = Signature::from_bytes(&signer.sign(&message).unwrap());
        let public = VerifyingKey::from_bytes(signer.address().as_array()).unwrap();
        prop_assert!(public.verify_strict(&message, &signature).is_ok());
        let mut other = message.clone();
        other[at.index(message.len())] ^= 1;
        prop_assert!(public.verify_strict(&other, &signature).is_err());
    }

    #[test]
    fn arbitrary_files_never_panic(
        start in prop::sample::select(vec![
            "", "age-encryption.org/v1\n", "-----BEGIN AGE ENCRYPTED FILE-----\n",
            "age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 1\n",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::at(folder.path().join("key.age"));
        std::fs::write(keystore.path(), [start.as_bytes(), &rest].concat()).unwrap();
        prop_assert!(keystore.unlock(&phrase()).is_err());
    }
}
