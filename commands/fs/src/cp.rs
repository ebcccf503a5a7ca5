//! `cp`: copies files on the server, so that no byte crosses the network (POSIX cp).

use ferry_core::{Access, Context, ErrorKind, Example, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Copies files on the server.
    ///
    /// A file that is there already is replaced. A copy appears whole or not at all.
    pub(crate) struct Cp {
        /// Files to copy.
        from: Many<RemotePath>,
        /// Name of the copy, or the folder to copy into.
        to: RemotePath,
        /// Leaves alone what is there already.
        no_clobber: bool,
    }
}

impl Verb for Cp {
    const SPEC: Spec = Spec::of::<Self>("cp", Access::Write).examples(&[
        Example::new("cp hello.txt copy.txt", "copies a file"),
        Example::new("cp --no-clobber hello.txt docs/", "copies into a folder, replacing nothing"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let several = self.from.len() > 1;
        for from in self.from.iter() {
            let copied = match crate::from_and_to(ctx, from, &self.to, several).await {
                Ok((from, to)) => ctx.home().copy(&from, &to, self.no_clobber).await,
                Err(error) => Err(error),
            };
            let copied = copied.map_err(|error| match error.kind {
                ErrorKind::IsDirectory => error.hint("`cp` copies files, not folders"),
                _ => error,
            });
            ctx.item(copied, several).await?;
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Cp);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_testkit::Harness;

    #[test]
    fn a_copy_has_the_bytes_and_the_time_of_the_original() {
        let h = Harness::standard();
        h.ok("cp hello.txt copy.txt");
        h.ok("cp hello.txt docs");
        let files = h.files();
        assert!(files["/copy.txt"] == files["/hello.txt"] && files["/docs/hello.txt"] == files["/hello.txt"]);
        assert_eq!(h.usage().used, 14 * 3 + 12);
        let times = h.ok("stat hello.txt copy.txt").texts("modified");
        assert_eq!(times[0], times[1]);
    }

    #[test]
    fn a_copy_over_the_quota_leaves_no_file() {
        let h = Harness::standard().quota(30);
        assert_eq!(h.err("cp hello.txt copy.txt").kind, ErrorKind::OverQuota);
        assert_eq!((h.files().len(), h.usage().used, h.usage().reserved), (2, 26, 0));
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        h.seed_dir("/full/hello.txt");
        for (line, kind) in [
            ("cp nothing a", ErrorKind::NotFound),
            ("cp hello.txt nowhere/a", ErrorKind::NotFound),
            ("cp hello.txt docs/notes.txt/a", ErrorKind::NotDirectory),
            ("cp docs papers", ErrorKind::IsDirectory),
            ("cp hello.txt full", ErrorKind::IsDirectory),
            ("cp hello.txt /", ErrorKind::BadRequest),
            ("cp / docs", ErrorKind::Denied),
            ("cp link a", ErrorKind::Denied),
            ("cp hello.txt ../a", ErrorKind::Denied),
            ("cp --no-clobber hello.txt docs/notes.txt", ErrorKind::Exists),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert_eq!(h.files().len(), 2);
    }

    #[test]
    fn several_are_copied_one_by_one() {
        let h = Harness::standard();
        h.seed_dir("/new");
        let output = h.ok("cp hello.txt nothing docs/notes.txt new");
        assert_eq!(output.problems[0].kind, ErrorKind::NotFound);
        assert!(h.files().contains_key("/new/hello.txt") && h.files().contains_key("/new/notes.txt"));
    }
}
