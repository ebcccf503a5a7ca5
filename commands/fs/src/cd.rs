//! `cd`: changes the working folder (RFC 959 CWD). The client keeps it and sends it along with each request.

use ferry_core::store::EntryKind;
use ferry_core::{Access, Context, Error, ErrorKind, Example, HomePath, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Changes the working folder.
    pub(crate) struct Cd {
        /// Folder to go to; your home when absent.
        path: Option<RemotePath>,
    }
}

impl Verb for Cd {
    const SPEC: Spec = Spec::of::<Self>("cd", Access::Read)
        .examples(&[Example::new("cd docs", "goes into a folder"), Example::new("cd", "goes home")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let place = match &self.path {
            Some(path) => ctx.path(path)?,
            None => HomePath::root(),
        };
        if ctx.home().stat(&place).await?.kind != EntryKind::Dir {
            return Err(Error::new(ErrorKind::NotDirectory, format!("{place}: not a folder")).at(&place));
        }
        Ok(Reply::cwd(place))
    }
}

ferry_core::register!(Cd);

#[cfg(test)]
mod tests {
    use ferry_core::ErrorKind;
    use ferry_testkit::Harness;

    #[test]
    fn the_working_folder_changes_and_back_home() {
        let h = Harness::standard();
        h.seed_dir("/docs/old");
        for (line, place) in [
            ("cd docs", "/docs"),
            ("cd old", "/docs/old"),
            ("cd ..", "/docs"),
            ("cd", "/"),
            ("cd docs/../docs/", "/docs"),
            ("cd /", "/"),
        ] {
            assert_eq!(h.ok(line).cwd.unwrap().to_string(), place, "{line}");
            assert_eq!(h.cwd().to_string(), place, "{line}");
        }
    }

    #[test]
    fn only_a_folder_inside_the_home_can_be_gone_to() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("cd nothing", ErrorKind::NotFound),
            ("cd hello.txt", ErrorKind::NotDirectory),
            ("cd hello.txt/a", ErrorKind::NotDirectory),
            ("cd link", ErrorKind::NotDirectory),
            ("cd link/a", ErrorKind::Denied),
            ("cd ..", ErrorKind::Denied),
            ("cd docs docs", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
            assert!(h.cwd().is_root());
        }
    }
}
