//! `rm`: removes files, and folders with all that is in them (POSIX rm).

use ferry_core::{Access, Context, ErrorKind, Example, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Removes files.
    pub(crate) struct Rm {
        /// Files to remove.
        path: Many<RemotePath>,
        /// Removes folders too, with all that is in them.
        #[arg(short('r'))]
        recursive: bool,
    }
}

impl Verb for Rm {
    const SPEC: Spec = Spec::of::<Self>("rm", Access::Write).examples(&[
        Example::new("rm hello.txt", "removes a file"),
        Example::new("rm -r docs", "removes a folder with all that is in it"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        for path in self.path.iter() {
            let removed = match ctx.path(path) {
                Ok(place) if self.recursive => ctx.home().remove_tree(&place).await,
                Ok(place) => ctx.home().remove_file(&place).await,
                Err(error) => Err(error),
            };
            let removed = removed.map_err(|error| match error.kind {
                ErrorKind::IsDirectory => error.hint("`rm -r` removes a folder with all that is in it"),
                _ => error,
            });
            ctx.item(removed, self.path.len() > 1).await?;
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Rm);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_testkit::Harness;

    #[test]
    fn a_file_goes_and_gives_its_bytes_back() {
        let h = Harness::standard();
        h.ok("rm hello.txt docs/notes.txt");
        assert!(h.files().is_empty());
        assert_eq!(h.usage().used, 0);
    }

    #[test]
    fn a_folder_is_refused_with_the_way_to_do_it() {
        let h = Harness::standard();
        let error = h.err("rm docs");
        assert_eq!(error.kind, ErrorKind::IsDirectory);
        assert!(error.hint.unwrap().contains("rm -r"));
        assert_eq!(h.files().len(), 2);
    }

    #[test]
    fn a_tree_goes_with_all_that_is_in_it() {
        let h = Harness::standard();
        h.seed("/docs/a/b/c", b"deep");
        h.seed_dir("/docs/empty");
        h.plant_link("/docs/a/link");
        h.ok("rm -r docs hello.txt");
        assert!(h.files().is_empty() && h.folders().is_empty());
        assert_eq!(h.usage().used, 0);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("rm nothing", ErrorKind::NotFound),
            ("rm -r nothing", ErrorKind::NotFound),
            ("rm hello.txt/a", ErrorKind::NotDirectory),
            ("rm -r /", ErrorKind::Denied),
            ("rm -r ..", ErrorKind::Denied),
            ("rm link/a", ErrorKind::Denied),
            ("rm", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert_eq!(h.files().len(), 2);
        h.ok("rm link");
    }

    #[test]
    fn what_fails_of_several_is_told_and_the_rest_goes() {
        let h = Harness::standard();
        let output = h.ok("rm nothing hello.txt");
        assert_eq!(output.problems[0].kind, ErrorKind::NotFound);
        assert_eq!(h.files().len(), 1);
    }

    #[test]
    fn a_pattern_names_what_matches_it() {
        let h = Harness::standard();
        h.seed("/a.txt", b"a");
        h.ok("rm *.txt");
        assert_eq!(h.files().into_keys().collect::<Vec<_>>(), ["/docs/notes.txt"]);
        assert_eq!(h.err("rm '*.txt'").kind, ErrorKind::NotFound);
    }
}
