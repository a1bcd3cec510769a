//! Where is measured: a folder below the data folder, on the same disk, that is gone afterwards.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

const PREFIX: &str = ".tune-";

/// A data folder that was made for this; it goes again unless something has come to be in it.
#[derive(Debug)]
pub(super) struct Made(Option<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // What was written stays, and the folder with it.
            std::fs::remove_dir(folder).ok();
        }
    }
}

/// Makes such a folder. What an earlier run could not remove goes, as its process is gone.
///
/// # Errors
///
/// The data folder cannot be made or written to.
pub(super) fn make(data: &Path) -> anyhow::Result<(TempDir, Made)> {
    let made = Made((!data.exists()).then(|| data.to_owned()));
    let name = data.display();
    std::fs::create_dir_all(data).with_context(|| {
        format!("make the data folder {name}: check that its parent is writable")
    })?;
    sweep(data).with_context(|| format!("remove what an earlier run left in {name}"))?;
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(data);
    Ok((folder.with_context(|| format!("write to the data folder {name}"))?, made))
}

fn sweep(data: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let process = rest.split_once('-').and_then(|(id, _)| id.parse::<u32>().ok());
        let lives = |id: u32| Path::new("/proc").join(id.to_string()).exists();
        if entry.file_type()?.is_dir() && process.is_some_and(|id| !lives(id)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_run_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (place, made) = make(&data).unwrap();
        assert!(place.path().starts_with(&data));
        // No process has this number: the system's greatest is four million.
        let others =
            [".tune-99999999-x", ".tune-mine", "paper", &format!(".tune-{}-y", std::process::id())];
        others.iter().for_each(|name| std::fs::create_dir(data.join(name)).unwrap());
        sweep(&data).unwrap();
        let stays: Vec<_> = others.iter().map(|name| data.join(name).exists()).collect();
        assert_eq!(stays, [false, true, true, true]);
        assert!(place.path().exists());
        drop((place, made));
        assert!(data.join("paper").exists(), "a folder that is not empty stays");
        std::fs::remove_dir_all(&data).unwrap();
        drop(make(&data).unwrap());
        assert!(!data.exists());
    }
}
