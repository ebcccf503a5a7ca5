//! `find`: searches a tree for names, kinds, sizes and ages (POSIX find, with options in this house's style).

use std::time::{SystemTime, UNIX_EPOCH};

use ferry_core::line::Pattern;
use ferry_core::store::{Entry, EntryKind};
use ferry_core::{
    Access, ByteSize, Column, ColumnKind, Context, Example, HomePath, Layout, RemotePath, Reply, Result, Spec, Verb,
};

mod words;

use words::{Age, Kind};

ferry_core::args! {
    /// Searches folders with all that is in them, and lists what has every property that is asked for.
    ///
    /// What is found is shown as it is found, however large the tree is; -l shows kind, size and time too.
    pub struct Find {
        /// Folders or files to search; the working folder when absent.
        path: Vec<RemotePath>,
        /// Only names that fit, like `*.txt`; in quotes, so that nothing else takes it for a pattern.
        #[arg(option)]
        name: Option<String>,
        /// Only files, folders or links.
        #[arg(name("type"), option)]
        kind: Option<Kind>,
        /// Only files of more bytes than this.
        #[arg(option)]
        larger: Option<ByteSize>,
        /// Only files of fewer bytes than this.
        #[arg(option)]
        smaller: Option<ByteSize>,
        /// Only what was changed within this time, like `12h`, `2d` or `1w`.
        #[arg(option)]
        newer: Option<Age>,
        /// Only what was last changed before this time, like `30d`.
        #[arg(option)]
        older: Option<Age>,
        /// Looks at most so many folders deep; 0 is PATH itself.
        #[arg(option)]
        max_depth: Option<u32>,
        /// Shows kind, size and time.
        #[arg(short('l'))]
        long: bool,
    }
}

/// The keys are those of `ls`.
const fn columns(long: bool) -> [Column; 5] {
    [
        Column::new("kind", ColumnKind::Entry).visible(long),
        Column::new("size", ColumnKind::Size).visible(long),
        Column::new("modified", ColumnKind::Time).visible(long),
        Column::new("path", ColumnKind::Path),
        Column::new("executable", ColumnKind::Executable).visible(false),
    ]
}
const SHORT: &[Column] = &columns(false);
const LONG: &[Column] = &columns(true);

impl Verb for Find {
    const SPEC: Spec = Spec::of::<Self>("find", Access::Read).examples(&[
        Example::new("find docs --name '*.txt'", "finds text files"),
        Example::new("find --larger 100MiB -l", "finds large files, and shows their size"),
        Example::new(
            "find / --newer 2d --type f",
            "finds files of the last two days in all of the home",
        ),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let name = self.name.as_ref().map(|name| Pattern::new(name.as_bytes())).transpose()?;
        ctx.columns(Layout::Table, if self.long { LONG } else { SHORT });
        let paths = ctx.paths_or_cwd(&self.path)?;
        for (written, top) in &paths {
            let searched = self.search(ctx, name.as_ref(), written, top).await;
            ctx.item(searched, paths.len() > 1).await?;
        }
        Ok(Reply::done())
    }
}

impl Find {
    async fn search(&self, ctx: &mut Context<'_>, name: Option<&Pattern>, written: &RemotePath, top: &HomePath) -> Result<()> {
        let now = now();
        let most = self
            .max_depth
            .map_or(usize::MAX, |depth| usize::try_from(depth).unwrap_or(usize::MAX));
        let mut scan = ctx.home().scan(top).await?;
        loop {
            // A folder that cannot be read is told of, and the search goes on behind it.
            let Some(next) = ctx.item(scan.next().await, true).await? else {
                continue;
            };
            let Some((place, entry, depth)) = next else {
                return Ok(());
            };
            if depth >= most {
                scan.pass_over();
            }
            if name.is_none_or(|name| name.matches(&entry.name)) && self.fits(&entry, now) {
                let path = written.down_to(top, &place);
                let (kind, size, modified) = (entry.kind.into(), entry.size.into(), entry.modified.into());
                let executable = (entry.kind == EntryKind::File && entry.executable).into();
                ctx.row([kind, size, modified, (&path).into(), executable]).await?;
            }
        }
    }

    /// Whether an entry has all that is asked for beside its name. Folders and links have no size.
    fn fits(&self, entry: &Entry, now: i64) -> bool {
        let has_size = |fits: &dyn Fn(u64) -> bool| entry.kind == EntryKind::File && fits(entry.size);
        self.kind.is_none_or(|kind| kind.0 == entry.kind)
            && self.larger.is_none_or(|least| has_size(&|size| size > least.0))
            && self.smaller.is_none_or(|most| has_size(&|size| size < most.0))
            && self.newer.is_none_or(|age| entry.modified > now.saturating_sub(age.nanos()))
            && self.older.is_none_or(|age| entry.modified <= now.saturating_sub(age.nanos()))
    }
}

/// Nanoseconds since 1970-01-01 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

ferry_core::register!(Find);

#[cfg(test)]
mod tests;
