//! `du`: adds up the sizes of files, folder by folder (POSIX du, but of contents and not of disk blocks).

use ferry_core::store::EntryKind;
use ferry_core::{Access, Column, ColumnKind, Context, Example, HomePath, Layout, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Adds up the sizes of files, folder by folder.
    ///
    /// Counts contents, not disk blocks, so that `du -s /` is what `quota` calls used.
    pub struct Du {
        /// Folders or files to add up; the working folder when absent.
        path: Vec<RemotePath>,
        /// Shows one total for each PATH.
        #[arg(short('s'))]
        summarize: bool,
        /// Shows sizes with units.
        #[arg(short('h'))]
        human_readable: bool,
    }
}

const fn columns(kind: ColumnKind) -> [Column; 3] {
    let files = Column::new("files", ColumnKind::Count).visible(false);
    let bytes = Column::new("bytes", kind).share_of("bytes");
    [bytes, Column::new("path", ColumnKind::Path), files]
}
const EXACT: &[Column] = &columns(ColumnKind::Size);
const HUMAN: &[Column] = &columns(ColumnKind::HumanSize);

impl Verb for Du {
    const SPEC: Spec = Spec::of::<Self>("du", Access::Read).examples(&[
        Example::new("du", "adds up each folder below the working folder"),
        Example::new("du -sh /", "shows the total of the home"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        ctx.columns(Layout::Table, if self.human_readable { HUMAN } else { EXACT });
        let paths = ctx.paths_or_cwd(&self.path)?;
        for (path, place) in &paths {
            let added = add_up(ctx, path, place, self.summarize).await;
            ctx.item(added, paths.len() > 1).await?;
        }
        Ok(Reply::done())
    }
}

/// What is known of a folder while its tree is walked.
struct Subtotal {
    place: HomePath,
    bytes: u64,
    files: u64,
}

/// Walks the tree of `top` and sends a row for each folder when all below it is known, the inner ones first.
async fn add_up(ctx: &mut Context<'_>, written: &RemotePath, top: &HomePath, summarize: bool) -> Result<()> {
    let mut walk = ctx.home().walk(top).await?;
    let mut open: Vec<Subtotal> = Vec::new();
    loop {
        let next = walk.next().await?;
        while let Some(last) = open.pop_if(|last| next.as_ref().is_none_or(|(place, _)| !place.is_within(&last.place))) {
            if let Some(outer) = open.last_mut() {
                outer.bytes += last.bytes;
                outer.files += last.files;
            }
            if !summarize || open.is_empty() {
                let path = written.down_to(top, &last.place);
                ctx.row([last.bytes.into(), (&path).into(), last.files.into()]).await?;
            }
        }
        let Some((place, entry)) = next else {
            return Ok(());
        };
        let (bytes, files) = (entry.size, u64::from(entry.kind == EntryKind::File));
        match open.last_mut() {
            Some(folder) if entry.kind != EntryKind::Dir => {
                folder.bytes += bytes;
                folder.files += files;
            }
            _ => open.push(Subtotal { place, bytes, files }),
        }
    }
}

ferry_core::register!(Du);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    fn tree() -> Harness {
        let h = Harness::new();
        h.seed("/a/b/one", &[0; 1]);
        h.seed("/a/two", &[0; 20]);
        h.seed("/ab/three", &[0; 300]);
        h.seed_dir("/empty");
        h.seed("/four", &[0; 4000]);
        h
    }

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn every_folder_counts_what_is_below_it_inner_ones_first() {
        let output = tree().ok("du");
        assert_eq!(output.lines(), ["1  ./a/b", "21  ./a", "300  ./ab", "0  ./empty", "4321  ."]);
        assert_eq!(output.texts("files"), ["1", "2", "1", "0", "4"]);
    }

    #[test]
    fn a_total_is_what_the_quota_counts() {
        let h = tree();
        let output = h.ok("du -s /");
        assert_eq!(
            (output.texts("path"), output.column("bytes")),
            (vec!["/".into()], vec![h.usage().used.into()])
        );
    }

    #[test]
    fn paths_are_shown_as_they_were_written() {
        let h = tree();
        assert_eq!(h.ok("du a/").texts("path"), ["a/b", "a/"]);
        assert_eq!(h.ok("du /a").texts("path"), ["/a/b", "/a"]);
        assert_eq!(h.ok("du -s a four").lines(), ["21  a", "4000  four"]);
    }

    #[test]
    fn units_are_shown_when_asked_for() {
        let h = tree();
        assert_eq!(h.ok("du").columns[0].kind, ColumnKind::Size);
        assert_eq!(h.ok("du -h").columns[0].kind, ColumnKind::HumanSize);
    }

    #[test]
    fn links_count_nothing_and_are_not_followed() {
        let h = tree();
        h.plant_link("/ab/link");
        assert_eq!(h.ok("du ab").lines(), ["300  ab"]);
        assert_eq!(h.ok("du ab").texts("files"), ["1"]);
        assert_eq!(h.err("du ab/link/x").kind, ErrorKind::Denied);
    }

    #[test]
    fn what_is_missing_is_told_and_the_rest_still_counted() {
        let h = tree();
        assert_eq!(h.err("du nothing").kind, ErrorKind::NotFound);
        assert_eq!(h.err("du ..").kind, ErrorKind::Denied);
        let output = h.ok("du -s nothing a");
        assert_eq!((output.problems.len(), output.lines()), (1, vec!["21  a".to_owned()]));
    }
}
