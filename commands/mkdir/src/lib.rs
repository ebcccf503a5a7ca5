//! `mkdir`: makes folders (POSIX mkdir).
use ferry_core::{Access, Context, Example, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Makes folders.
    pub struct Mkdir {
        /// Folders to make.
        path: Many<RemotePath>,
        /// Makes missing parents too, and is content with a folder that is there already.
        #[arg(short('p'))]
        parents: bool,
    }
}

impl Verb for Mkdir {
    const SPEC: Spec = Spec::of::<Self>("mkdir", Access::Write).examples(&[Example::new("mkdir -p a/b/c", "makes all three")]);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        for path in self.path.iter() {
            let made = match ctx.path(path) {
                Ok(place) if self.parents => ctx.home().make_dirs(&place).await,
                Ok(place) => ctx.home().make_dir(&place).await,
                Err(error) => Err(error),
            };
            ctx.item(made, self.path.len() > 1).await?;
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Mkdir);

#[cfg(test)]
mod tests {
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn folders_are_made_where_the_user_is() {
        let h = Harness::standard();
        h.ok("mkdir a docs/b '/c d'");
        assert_eq!(h.folders(), ["/a", "/c d", "/docs", "/docs/b"]);
    }

    #[test]
    fn parents_are_made_only_when_asked_for() {
        let h = Harness::new();
        assert_eq!(h.err("mkdir a/b/c").kind, ErrorKind::NotFound);
        h.ok("mkdir -p a/b/c");
        h.ok("mkdir -p a/b/c");
        assert_eq!(h.folders(), ["/a", "/a/b", "/a/b/c"]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("mkdir docs", ErrorKind::Exists),
            ("mkdir /", ErrorKind::Exists),
            ("mkdir hello.txt/a", ErrorKind::NotDirectory),
            ("mkdir -p hello.txt/a", ErrorKind::NotDirectory),
            ("mkdir -p hello.txt", ErrorKind::NotDirectory),
            ("mkdir link/a", ErrorKind::Denied),
            ("mkdir ../a", ErrorKind::Denied),
            ("mkdir \"a\tb\"", ErrorKind::BadPath),
            ("mkdir", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        assert_eq!(h.folders(), ["/docs"]);
    }

    #[test]
    fn one_of_several_that_fails_leaves_the_others() {
        let h = Harness::standard();
        let output = h.ok("mkdir a docs b");
        assert_eq!(output.problems.len(), 1);
        assert_eq!(output.problems[0].kind, ErrorKind::Exists);
        assert_eq!(h.folders(), ["/a", "/b", "/docs"]);
    }

    #[test]
    fn a_user_who_may_only_read_is_refused() {
        assert_eq!(Harness::new().read_only().err("mkdir a").kind, ErrorKind::Denied);
    }
}
