//! What a person with real money wants to know of this machine before it trades.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sniper_wallet::{Hardening, Keystore, KillLatch};

use super::{Finding, finding};
use crate::cli::LATCH;
use crate::config::{Config, Wallet};

/// Least free space, bytes: an engine that cannot write its journal stops.
const DISK_MIN: u64 = 1_000_000_000;
/// What a day of trading writes about: a minute of the busy demo writes 200 kB of journal, tables about as much.
const DISK_A_DAY: u64 = 600_000_000;
/// Least free memory, bytes: opening a key file takes 256 MB for a second, and must not wake the kernel's killer.
const MEMORY_MIN: u64 = 400_000_000;
/// Open files that an engine needs at most: a few connections for each of 32 endpoints, readers of the page, its files.
const FILES_MIN: u64 = 512;

pub(super) fn checks(config: &Config, hardening: Hardening) -> Vec<Finding> {
    vec![
        finding("data folder", writable(&config.data_dir)),
        finding("disk", disk(&config.data_dir)),
        finding("memory", memory()),
        finding("open files", open_files()),
        finding("core dumps", core_dumps(hardening)),
        finding("key file", key_file(&config.wallet)),
        finding("passphrase file", passphrase_file(&config.wallet)),
        finding("kill latch", kill_latch(&config.data_dir)),
    ]
}

/// The folder, or the one above it that exists.
fn existing(folder: &Path) -> &Path {
    let exists = folder.ancestors().find(|folder| folder.exists());
    exists.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes and removes a file in the folder, or in the one above it that exists: nothing is created for good.
fn writable(folder: &Path) -> Result<String, String> {
    let advice = |error: std::io::Error| {
        format!(
            "{}: {error}; choose another store.data_dir or change its permissions",
            folder.display()
        )
    };
    let exists = existing(folder);
    let probe = exists.join(format!(".sniperforge-{}.tmp", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&probe).map_err(advice)?;
    std::fs::remove_file(&probe).map_err(advice)?;
    Ok(if exists == folder {
        format!("{} can be written", folder.display())
    } else {
        format!("{} can be created", folder.display())
    })
}

fn disk(folder: &Path) -> Result<String, String> {
    let found = rustix::fs::statvfs(existing(folder));
    let found = found.map_err(|error| format!("{}: {error}", folder.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} free, about {} days of trading", gigabytes(free), free / DISK_A_DAY);
    if free < DISK_MIN {
        return Err(format!(
            "{text}: free some, or choose another store.data_dir; at least {} is well",
            gigabytes(DISK_MIN)
        ));
    }
    Ok(text)
}

fn memory() -> Result<String, String> {
    use procfs::Current as _;
    let Ok(Some(kib)) = procfs::Meminfo::current().map(|info| info.mem_available) else {
        return Ok("the system does not tell how much is free".to_owned());
    };
    // procfs gives bytes.
    let free = kib;
    let text = format!("{} free", gigabytes(free));
    if free < MEMORY_MIN {
        return Err(format!(
            "{text}: at least {} is well, to open a key file",
            gigabytes(MEMORY_MIN)
        ));
    }
    Ok(text)
}

fn open_files() -> Result<String, String> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.current {
        Some(most) if most < FILES_MIN => Err(format!(
            "at most {most}: raise it to {FILES_MIN} or more, such as by `ulimit -n {FILES_MIN}` before the start"
        )),
        Some(most) => Ok(format!("at most {most}")),
        None => Ok("without limit".to_owned()),
    }
}

fn core_dumps(hardening: Hardening) -> Result<String, String> {
    let Hardening { core_files_off, not_dumpable } = hardening;
    if hardening.is_complete() {
        return Ok("off, and no other process may read the engine's memory".to_owned());
    }
    Err(format!(
        "core files {}, memory {} for other processes: a crash could write the key to disk; start it where \
         setrlimit and prctl are allowed",
        if core_files_off { "off" } else { "ON" },
        if not_dumpable { "closed" } else { "OPEN" },
    ))
}

/// Whether others than its owner may do anything with a file.
fn closed(path: &Path) -> Result<u32, String> {
    let found = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("{} is open to others (mode {mode:o}): chmod 600 it", path.display()));
    }
    Ok(mode)
}

/// That the key file is there, is one and is its owner's alone; opening it takes the passphrase, which `wallet show`
/// asks for. Where no key is named as armed it may be absent.
fn key_file(wallet: &Wallet) -> Result<String, String> {
    let path = wallet.keystore.display();
    if !wallet.keystore.exists() && wallet.public_key.is_none() {
        return Ok(format!("{path} is absent; only live trading needs it"));
    }
    Keystore::at(&wallet.keystore).look().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let cause = cause.unwrap_or_default();
        format!("{error}{cause}; set wallet.keystore, or make one with `sniperforge wallet new`")
    })?;
    let mode = closed(&wallet.keystore)?;
    Ok(format!("{path} can be read, by its owner alone (mode {mode:o})"))
}

fn passphrase_file(wallet: &Wallet) -> Result<String, String> {
    let Some(path) = &wallet.passphrase_file else {
        return Ok("none: the passphrase is typed".to_owned());
    };
    let mode = closed(path)?;
    Ok(format!("{} can be read by its owner alone (mode {mode:o})", path.display()))
}

fn kill_latch(folder: &Path) -> Result<String, String> {
    let latch = KillLatch::open(folder.join(LATCH));
    if latch.is_engaged() {
        let cause = crate::telemetry::safe_text(&latch.cause().unwrap_or_default(), 80);
        return Err(format!("engaged ({cause}): nothing is signed until `clear-kill`"));
    }
    Ok("open".to_owned())
}

/// Bytes for a person, rounded down.
fn gigabytes(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wallet(path: &Path, armed: bool) -> Wallet {
        Wallet {
            keystore: path.to_owned(),
            public_key: armed.then(sniper_core::ids::Address::default),
            passphrase_file: Some(path.to_owned()),
        }
    }

    fn with_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_file_must_be_one_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.age");
        assert!(key_file(&wallet(&path, false)).unwrap().contains("absent"));
        assert!(key_file(&wallet(&path, true)).unwrap_err().contains("wallet new"));
        std::fs::write(&path, "[1, 2, 3]").unwrap();
        assert!(key_file(&wallet(&path, false)).unwrap_err().contains("not a keystore"));
        std::fs::write(&path, "age-encryption.org/v1\nsealed").unwrap();
        with_mode(&path, 0o640);
        assert!(key_file(&wallet(&path, false)).unwrap_err().contains("chmod 600"));
        assert!(passphrase_file(&wallet(&path, false)).unwrap_err().contains("mode 640"));
        with_mode(&path, 0o600);
        assert!(key_file(&wallet(&path, true)).unwrap().contains("mode 600"));
        assert!(passphrase_file(&wallet(&path, false)).is_ok());
    }

    #[test]
    fn a_latch_that_is_engaged_stands_against_trading_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        assert!(kill_latch(folder.path()).is_ok());
        KillLatch::open(folder.path().join(LATCH)).engage("a bad day").unwrap();
        let why = kill_latch(folder.path()).unwrap_err();
        assert!(why.contains("a bad day") && why.contains("clear-kill"), "{why}");
    }

    #[test]
    fn an_open_core_dump_is_told() {
        let half = Hardening { core_files_off: true, not_dumpable: false };
        assert!(core_dumps(half).unwrap_err().contains("OPEN"));
        assert!(core_dumps(Hardening { not_dumpable: true, ..half }).is_ok());
    }

    #[test]
    fn what_is_free_is_told_in_gigabytes_and_of_a_folder_that_is_not_there_yet() {
        assert_eq!(gigabytes(1_999_999_999), "1.9 GB");
        let folder = tempfile::tempdir().unwrap();
        let text = disk(&folder.path().join("not/yet"));
        let (Ok(text) | Err(text)) = text;
        assert!(text.contains("GB free"), "{text}");
        let (Ok(text) | Err(text)) = memory();
        assert!(text.contains("GB free"), "{text}");
    }
}
