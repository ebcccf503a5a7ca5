//! `ls`: lists folders (POSIX ls; RFC 3659 MLSD for programs).

use std::cmp::Reverse;

use ferry_core::store::{Entry, EntryKind};
use ferry_core::{Access, Column, ColumnKind, Context, Example, HomePath, Layout, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Lists folders.
    ///
    /// Entries are sorted by name, or as -S and -t say, as long as a folder has at most 10,000 of them. A larger folder is
    /// listed as it is read, so that its first entries come at once.
    pub(crate) struct Ls {
        /// Folders or files to list; the working folder when absent.
        path: Vec<RemotePath>,
        /// Shows kind, size and time.
        #[arg(short('l'))]
        long: bool,
        /// Shows names that start with a dot too.
        #[arg(short('a'))]
        all: bool,
        /// Lists folders inside folders too.
        #[arg(short('R'))]
        recursive: bool,
        /// Sorts by size, largest first.
        #[arg(short('S'))]
        by_size: bool,
        /// Sorts by time, newest first.
        #[arg(short('t'))]
        by_time: bool,
        /// Shows sizes with units (for -l).
        #[arg(short('h'))]
        human_readable: bool,
    }
}

/// The most entries of one folder that are gathered to be sorted, and the most bytes of their names.
const SORTED_MAX: (usize, usize) = (10_000, 512 << 10);

/// The keys are the same in every form; people see those that they asked for, with `path` for `name` where one name could
/// stand for several places.
const fn columns(long: bool, full: bool, size: ColumnKind) -> [Column; 6] {
    [
        Column::new("kind", ColumnKind::Entry).visible(long),
        Column::new("size", size).visible(long),
        Column::new("modified", ColumnKind::Time).visible(long),
        Column::new("name", ColumnKind::Path).visible(!full),
        Column::new("path", ColumnKind::Path).visible(full),
        Column::new("executable", ColumnKind::Executable).visible(false),
    ]
}
const SHORT_NAMES: &[Column] = &columns(false, false, ColumnKind::Size);
const SHORT_PATHS: &[Column] = &columns(false, true, ColumnKind::Size);
const LONG_NAMES: &[Column] = &columns(true, false, ColumnKind::Size);
const LONG_PATHS: &[Column] = &columns(true, true, ColumnKind::Size);
const HUMAN_NAMES: &[Column] = &columns(true, false, ColumnKind::HumanSize);
const HUMAN_PATHS: &[Column] = &columns(true, true, ColumnKind::HumanSize);

impl Verb for Ls {
    const SPEC: Spec = Spec::of::<Self>("ls", Access::Read).aliases(&["dir"]).examples(&[
        Example::new("ls", "lists the working folder"),
        Example::new("ls -lt docs", "shows the newest files first, with size and time"),
        Example::new("ls -lhS", "shows the largest files first, with sizes that are easy to read"),
        Example::new("ls -R /", "lists all that is in the home"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let paths = ctx.paths_or_cwd(&self.path)?;
        let several = paths.len() > 1;
        match (self.long, self.human_readable, self.recursive || several) {
            (false, _, false) => ctx.columns(Layout::List, SHORT_NAMES),
            (false, _, true) => ctx.columns(Layout::List, SHORT_PATHS),
            (true, false, false) => ctx.columns(Layout::Table, LONG_NAMES),
            (true, false, true) => ctx.columns(Layout::Table, LONG_PATHS),
            (true, true, false) => ctx.columns(Layout::Table, HUMAN_NAMES),
            (true, true, true) => ctx.columns(Layout::Table, HUMAN_PATHS),
        }
        for (_, place) in paths {
            let listed = self.list(ctx, place).await;
            ctx.item(listed, several).await?;
        }
        Ok(Reply::done())
    }
}

impl Ls {
    /// Lists what is at `place`: the entries of a folder, or the file itself.
    async fn list(&self, ctx: &mut Context<'_>, place: HomePath) -> Result<()> {
        let entry = ctx.home().stat(&place).await?;
        if entry.kind != EntryKind::Dir {
            return row(ctx, place, &entry).await;
        }
        let mut folders = vec![place];
        while let Some(folder) = folders.pop() {
            let mut inner = self.list_folder(ctx, &folder).await?;
            // The last of the stack comes first.
            inner.reverse();
            folders.append(&mut inner);
        }
        Ok(())
    }

    /// Lists one folder; gives those inside it that are to be listed too.
    async fn list_folder(&self, ctx: &mut Context<'_>, folder: &HomePath) -> Result<Vec<HomePath>> {
        let mut listing = ctx.home().list(folder).await?;
        let (mut gathered, mut bytes) = (Vec::new(), 0);
        let mut inner = Vec::new();
        let mut at_end = false;
        while !at_end {
            let entries = listing.next().await?;
            at_end = entries.is_empty();
            bytes += entries.iter().map(|entry| entry.name.len()).sum::<usize>();
            gathered.extend(entries.into_iter().filter(|entry| self.all || !entry.name.starts_with(b".")));
            if at_end {
                self.sort(&mut gathered);
            } else if gathered.len() <= SORTED_MAX.0 && bytes <= SORTED_MAX.1 {
                continue;
            }
            // Beyond the bound every further batch goes out as it is: `gathered` keeps it until the next comes.
            for entry in gathered.drain(..) {
                let place = folder.join(&entry.name)?;
                if self.recursive && entry.kind == EntryKind::Dir {
                    inner.push(place.clone());
                }
                row(ctx, place, &entry).await?;
            }
        }
        Ok(inner)
    }

    fn sort(&self, entries: &mut [Entry]) {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if self.by_size {
            entries.sort_by_key(|entry| Reverse(entry.size));
        } else if self.by_time {
            entries.sort_by_key(|entry| Reverse(entry.modified));
        }
    }
}

async fn row(ctx: &mut Context<'_>, place: HomePath, entry: &Entry) -> Result<()> {
    let (kind, size, modified) = (entry.kind.into(), entry.size.into(), entry.modified.into());
    let name = crate::name_of(&place).into();
    let executable = (entry.kind == EntryKind::File && entry.executable).into();
    ctx.row([kind, size, modified, name, (&place).into(), executable]).await
}

ferry_core::register!(Ls);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    fn home() -> Harness {
        let h = Harness::standard();
        h.seed("/.hidden", b"h");
        h.seed("/docs/.secret/a", b"a");
        h.seed("/docs/more/b", b"bb");
        h
    }

    #[test]
    fn people_see_names_and_programs_see_all() {
        let output = home().ok("ls");
        assert_eq!(
            (output.lines(), output.layout),
            (vec!["docs".into(), "hello.txt".to_owned()], Layout::List)
        );
        assert_eq!(output.texts("path"), ["/docs", "/hello.txt"]);
        assert_eq!(output.texts("kind"), ["dir", "file"]);
        assert_eq!(output.texts("size"), ["0", "14"]);
        assert!(output.column("modified").iter().all(|time| time.as_i64().is_some()));
    }

    #[test]
    fn a_long_listing_is_a_table() {
        let output = home().ok("dir -l docs/notes.txt");
        assert_eq!(output.layout, Layout::Table);
        let shown: Vec<&str> = output.columns.iter().filter(|c| !c.hidden).map(|c| c.name.as_str()).collect();
        assert_eq!(shown, ["kind", "size", "modified", "name"]);
        assert_eq!(output.texts("name"), ["notes.txt"]);
    }

    #[test]
    fn sizes_have_units_when_asked_for() {
        assert_eq!(home().ok("ls -l").columns[1].kind, ColumnKind::Size);
        assert_eq!(home().ok("ls -lh").columns[1].kind, ColumnKind::HumanSize);
        assert_eq!(home().ok("ls -lh docs hello.txt").columns[1].kind, ColumnKind::HumanSize);
    }

    #[test]
    fn names_with_a_dot_are_shown_when_asked_for_or_named() {
        let h = home();
        assert_eq!(h.ok("ls -a").texts("name"), [".hidden", "docs", "hello.txt"]);
        assert_eq!(h.ok("ls .hidden").texts("name"), [".hidden"]);
    }

    #[test]
    fn a_tree_is_listed_folder_by_folder() {
        let h = home();
        assert_eq!(
            h.ok("ls -R").lines(),
            ["/docs", "/hello.txt", "/docs/more", "/docs/notes.txt", "/docs/more/b"]
        );
        assert_eq!(h.ok("ls -aR docs").texts("name"), [".secret", "more", "notes.txt", "a", "b"]);
    }

    #[test]
    fn entries_are_sorted_as_asked_for() {
        let h = Harness::new();
        for (name, size) in [("b", 5), ("a", 70), ("c", 600), ("d", 5)] {
            h.seed(name, &vec![0; size]);
        }
        assert_eq!(h.ok("ls").texts("name"), ["a", "b", "c", "d"]);
        assert_eq!(h.ok("ls -S").texts("name"), ["c", "a", "b", "d"]);
        assert_eq!(h.ok("ls -t").texts("name"), ["d", "c", "a", "b"]);
    }

    #[test]
    fn a_folder_beyond_the_bound_is_listed_whole_without_being_sorted() {
        let h = Harness::new();
        for n in 0..=SORTED_MAX.0 {
            h.seed(&format!("/{n:05}"), b"");
        }
        let output = h.ok("ls");
        let mut names = output.texts("name");
        assert!(!names.is_sorted());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SORTED_MAX.0 + 1);
    }

    #[test]
    fn several_paths_are_told_apart_and_fail_one_by_one() {
        let output = home().ok("ls hello.txt nothing docs");
        assert_eq!(output.lines(), ["/hello.txt", "/docs/more", "/docs/notes.txt"]);
        assert_eq!(output.problems[0].kind, ErrorKind::NotFound);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = home();
        h.plant_link("/link");
        for (line, kind) in [
            ("ls nothing", ErrorKind::NotFound),
            ("ls hello.txt/a", ErrorKind::NotDirectory),
            ("ls link/a", ErrorKind::Denied),
            ("ls ..", ErrorKind::Denied),
            ("ls -x", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert_eq!(h.ok("ls link").texts("kind"), ["link"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_or_hostile_arrives_as_it_is() {
        let h = Harness::new();
        h.seed("caf\u{e9}\u{202e}", b"");
        assert_eq!(h.ok("ls").texts("name"), ["caf\u{e9}\u{202e}"]);
    }
}
