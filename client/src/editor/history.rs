//! The lines of before: in a file that only its owner reads, to which several shells add at once.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use reedline::FileBackedHistory;

/// How many lines are remembered.
const LINES_MAX: usize = 10_000;
/// A line that begins so is not remembered.
pub(super) const FORGOTTEN: &str = " ";

/// Where the lines of before are kept.
fn place() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
    Some(state.join("ferry").join("history"))
}

/// The user's history and its file; `None` when there is no place for one, and then it lasts as long as the shell.
pub(super) fn of_user() -> Option<(FileBackedHistory, PathBuf)> {
    let file = place()?;
    open(&file).ok().map(|history| (history, file))
}

fn open(file: &Path) -> io::Result<FileBackedHistory> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    keep_private(file)?;
    FileBackedHistory::with_file(LINES_MAX, file.to_owned()).map_err(|error| io::Error::other(error.to_string()))
}

/// Sees to it that the file is there and that nobody else reads it. Called before each writing, for somebody may have taken it away.
pub(super) fn keep_private(file: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    let meta = opened.metadata()?;
    if meta.permissions().mode() & 0o077 != 0 {
        opened.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reedline::{History as _, HistoryItem, SearchDirection, SearchQuery};

    fn lines(history: &FileBackedHistory) -> Vec<String> {
        let all = history
            .search(SearchQuery::everything(SearchDirection::Forward, None))
            .unwrap();
        all.into_iter().map(|item| item.command_line).collect()
    }

    #[test]
    fn two_shells_at_once_lose_none_of_each_others_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/history");
        let (mut one, mut other) = (open(&file).unwrap(), open(&file).unwrap());
        for n in 0..5 {
            for (shell, history) in [("one", &mut one), ("other", &mut other)] {
                history.save(HistoryItem::from_command_line(format!("{shell} {n}"))).unwrap();
                history.sync().unwrap();
            }
        }
        drop((one, other));
        let all = lines(&open(&file).unwrap());
        assert_eq!(all.len(), 10, "{all:?}");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_file_that_others_could_read_is_made_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        std::fs::write(&file, "pwd\n").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(lines(&open(&file).unwrap()), ["pwd"]);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
