//! `mv`: renames and moves files and folders (POSIX mv).

use ferry_core::{Access, Context, Example, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Renames files and folders, or moves them into a folder.
    ///
    /// A file that is there already is replaced.
    pub(crate) struct Mv {
        /// What to move.
        from: Many<RemotePath>,
        /// New name, or the folder to move into.
        to: RemotePath,
        /// Leaves alone what is there already.
        no_clobber: bool,
    }
}

impl Verb for Mv {
    const SPEC: Spec = Spec::of::<Self>("mv", Access::Write).examples(&[
        Example::new("mv hello.txt bye.txt", "renames a file"),
        Example::new("mv hello.txt docs", "moves a file into a folder"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let several = self.from.len() > 1;
        for from in self.from.iter() {
            let moved = match crate::from_and_to(ctx, from, &self.to, several).await {
                Ok((from, to)) => ctx.home().rename(&from, &to, self.no_clobber).await,
                Err(error) => Err(error),
            };
            ctx.item(moved, several).await?;
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Mv);

#[cfg(test)]
mod tests {
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    #[test]
    fn a_file_gets_another_name_or_another_folder() {
        let h = Harness::standard();
        h.ok("mv hello.txt bye.txt");
        h.ok("mv bye.txt docs");
        h.ok("mv docs/notes.txt docs/bye.txt /");
        assert_eq!(h.files().into_keys().collect::<Vec<_>>(), ["/bye.txt", "/notes.txt"]);
        assert_eq!(h.usage().used, 26);
    }

    #[test]
    fn a_folder_moves_with_all_that_is_in_it() {
        let h = Harness::standard();
        h.seed("/docs/a/b", b"b");
        h.seed_dir("/new");
        h.ok("mv docs new/papers");
        assert_eq!(
            h.files().into_keys().collect::<Vec<_>>(),
            ["/hello.txt", "/new/papers/a/b", "/new/papers/notes.txt"]
        );
    }

    #[test]
    fn a_file_in_the_way_is_replaced_unless_it_must_not_be() {
        let h = Harness::standard();
        assert_eq!(h.err("mv --no-clobber hello.txt docs/notes.txt").kind, ErrorKind::Exists);
        assert_eq!(h.files().len(), 2);
        h.ok("mv hello.txt docs/notes.txt");
        assert_eq!(h.files()["/docs/notes.txt"], b"Hello, world!\n");
        assert_eq!(h.usage().used, 14);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.seed("/full/docs/a", b"a");
        h.seed("/file/hello.txt/a", b"a");
        h.seed("/other/docs", b"a");
        for (line, kind) in [
            ("mv nothing a", ErrorKind::NotFound),
            ("mv hello.txt nowhere/a", ErrorKind::NotFound),
            ("mv hello.txt nowhere/", ErrorKind::NotFound),
            ("mv hello.txt docs/notes.txt/", ErrorKind::NotDirectory),
            ("mv hello.txt docs/notes.txt/a", ErrorKind::NotDirectory),
            ("mv hello.txt file", ErrorKind::IsDirectory),
            ("mv docs other", ErrorKind::NotDirectory),
            ("mv docs full", ErrorKind::NotEmpty),
            ("mv docs docs", ErrorKind::BadRequest),
            ("mv / docs", ErrorKind::Denied),
            ("mv hello.txt ../a", ErrorKind::Denied),
            ("mv hello.txt \"a\tb\"", ErrorKind::BadPath),
            ("mv hello.txt", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert_eq!(h.files().len(), 5);
    }

    #[test]
    fn several_need_a_folder_and_fail_one_by_one() {
        let h = Harness::standard();
        let output = h.ok("mv hello.txt nothing docs");
        assert_eq!(output.problems[0].kind, ErrorKind::NotFound);
        assert_eq!(h.files().len(), 2);
        let output = h.ok("mv docs/hello.txt docs/notes.txt nowhere");
        assert_eq!(output.problems.len(), 2);
        assert!(h.files().contains_key("/docs/hello.txt"));
    }
}
