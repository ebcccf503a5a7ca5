//! `endings`: adds up the files below a folder by how their names end, as `du` does by folders.
//!
//! It shows an argument type of its own ([`Order`]), values that the verb itself proposes (`--only <Tab>`), rows with typed columns,
//! and progress of work that may take long.

mod order;

use std::collections::BTreeMap;

use ferry_core::store::EntryKind;
use ferry_core::{
    Access, Column, ColumnKind, Context, Error, ErrorKind, Example, HomePath, Layout, RemotePath, Reply, Result, Spec, Verb,
};

pub use order::Order;

ferry_core::args! {
    /// Adds up files by how their names end.
    ///
    /// Looks at all files below a folder. Those whose name has no ending are counted under `-`.
    pub struct Endings {
        /// Folder to look at; the working folder when absent.
        path: Option<RemotePath>,
        /// What is largest comes first: `bytes` or `files`; `bytes` when absent.
        #[arg(option)]
        by: Option<Order>,
        /// Counts no others than this ending.
        #[arg(option, dynamic)]
        only: Option<String>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("ending", ColumnKind::Text),
    Column::new("files", ColumnKind::Count),
    Column::new("bytes", ColumnKind::HumanSize).share_of("bytes"),
];
/// The most endings that are told apart, so that memory does not grow with what somebody else calls his files.
const ENDINGS_MAX: usize = 10_000;

/// What there is of one ending.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    files: u64,
    bytes: u64,
}

impl Verb for Endings {
    const SPEC: Spec = Spec::of::<Self>("endings", Access::Read).examples(&[
        Example::new("endings", "adds up all files below the working folder"),
        Example::new("endings docs --by files", "shows first what there is most of in docs"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let top = match &self.path {
            Some(path) => ctx.path(path)?,
            None => ctx.cwd().clone(),
        };
        let counts = add_up(ctx, &top).await?;
        let mut rows: Vec<(String, Count)> = counts
            .into_iter()
            .filter(|(ending, _)| self.only.as_ref().is_none_or(|only| only == ending))
            .collect();
        let by = self.by.unwrap_or_default();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(by.of(count.files, count.bytes)));
        ctx.columns(Layout::Table, COLUMNS);
        for (ending, count) in rows {
            ctx.row([ending.into(), count.files.into(), count.bytes.into()]).await?;
        }
        Ok(Reply::done())
    }

    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        // Of the working folder alone: somebody waits for the Tab key.
        let entries = ctx.home().entries(ctx.cwd()).await?;
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        let mut endings: Vec<String> = files.map(|entry| ending(&entry.name)).collect();
        endings.sort();
        endings.dedup();
        Ok(endings)
    }
}

/// Walks all below `top`; says how far it is, for that may take long.
async fn add_up(ctx: &mut Context<'_>, top: &HomePath) -> Result<BTreeMap<String, Count>> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut walk = ctx.home().walk(top).await?;
    let mut seen = 0;
    while let Some((place, entry)) = walk.next().await? {
        if entry.kind == EntryKind::File {
            let count = counts.entry(ending(&entry.name)).or_default();
            count.files += 1;
            count.bytes += entry.size;
        }
        if counts.len() > ENDINGS_MAX {
            let text = format!("{top}: more than {ENDINGS_MAX} endings");
            return Err(Error::new(ErrorKind::TooLarge, text).at(top).hint("name a folder below it"));
        }
        seen += 1;
        ctx.progress(seen, None, &place.to_string()).await?;
    }
    Ok(counts)
}

/// What stands behind the last point of a name; `-` for nothing, and for names that are no text or too long to be an ending.
fn ending(name: &[u8]) -> String {
    let text = std::str::from_utf8(name).unwrap_or_default();
    match text.rsplit_once('.') {
        Some((start, end)) if !start.is_empty() && (1..=16).contains(&end.len()) => end.to_lowercase(),
        _ => "-".to_owned(),
    }
}

ferry_core::register!(Endings);

#[cfg(test)]
mod tests;
