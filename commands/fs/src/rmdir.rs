//! `rmdir`: removes empty folders (POSIX rmdir).

use ferry_core::{Access, Context, ErrorKind, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Removes empty folders.
    pub(crate) struct Rmdir {
        /// Folders to remove.
        path: Many<RemotePath>,
    }
}

impl Verb for Rmdir {
    const SPEC: Spec = Spec::of::<Self>("rmdir", Access::Write);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        for path in self.path.iter() {
            let removed = match ctx.path(path) {
                Ok(place) => ctx.home().remove_dir(&place).await,
                Err(error) => Err(error),
            };
            let removed = removed.map_err(|error| match error.kind {
                ErrorKind::NotEmpty => error.hint("`rm -r` removes a folder with all that is in it"),
                ErrorKind::NotDirectory => error.hint("`rm` removes a file"),
                _ => error,
            });
            ctx.item(removed, self.path.len() > 1).await?;
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Rmdir);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_testkit::Harness;

    #[test]
    fn empty_folders_go() {
        let h = Harness::standard();
        h.seed_dir("/a/b");
        h.ok("rmdir a/b a");
        assert_eq!(h.folders(), ["/docs"]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("rmdir docs", ErrorKind::NotEmpty),
            ("rmdir hello.txt", ErrorKind::NotDirectory),
            ("rmdir link", ErrorKind::NotDirectory),
            ("rmdir nothing", ErrorKind::NotFound),
            ("rmdir /", ErrorKind::Denied),
            ("rmdir ..", ErrorKind::Denied),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert!(h.err("rmdir docs").hint.unwrap().contains("rm -r"));
        assert_eq!((h.folders().len(), h.files().len()), (1, 2));
    }
}
