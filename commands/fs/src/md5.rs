//! `md5`: shows digests as md5sum(1) prints them: digest, two blanks, path.

use ferry_core::{
    Access, Algorithm, Column, ColumnKind, Context, Digest, Example, GuardedHome, HomePath, Layout, Many, RemotePath, Reply,
    Result, Spec, Verb,
};

ferry_core::args! {
    /// Shows the MD5 digests of files, as md5sum prints them.
    ///
    /// A digest that an upload has proven is told at once; otherwise the file is read.
    pub(crate) struct Md5 {
        /// Files to look at.
        path: Many<RemotePath>,
    }
}

/// A table puts two blanks between columns, and every digest is equally long: the line is that of md5sum.
const COLUMNS: &[Column] = &[
    Column::new("md5", ColumnKind::Text),
    Column::new("path", ColumnKind::Path),
    Column::new("size", ColumnKind::Size).visible(false),
];

impl Verb for Md5 {
    const SPEC: Spec = Spec::of::<Self>("md5", Access::Read)
        .examples(&[Example::new("md5 hello.txt docs/notes.txt", "prints what md5sum would print")]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        ctx.columns(Layout::Table, COLUMNS);
        for path in self.path.iter() {
            let found = match ctx.path(path) {
                Ok(place) => md5(ctx.home(), &place).await,
                Err(error) => Err(error),
            };
            if let Some((digest, size)) = ctx.item(found, self.path.len() > 1).await? {
                ctx.row([digest.into(), path.into(), size.into()]).await?;
            }
        }
        Ok(Reply::done())
    }
}

async fn md5(home: &GuardedHome, place: &HomePath) -> Result<(Option<Digest>, u64)> {
    let entry = home.stat(place).await?;
    if let Some(digest) = crate::known_md5(&entry) {
        return Ok((Some(digest), entry.size));
    }
    let file = home.digest(place, Algorithm::Md5).await?;
    Ok((file.digest, file.size))
}

ferry_core::register!(Md5);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{ErrorKind, Value};
    use ferry_testkit::Harness;

    #[test]
    fn a_line_is_that_of_md5sum() {
        let h = Harness::standard();
        h.seed("/empty", b"");
        let output = h.ok("md5 ./hello.txt empty");
        assert_eq!(
            output.lines(),
            [
                "746308829575e17c3331bbcb00c0898b  ./hello.txt",
                "d41d8cd98f00b204e9800998ecf8427e  empty"
            ]
        );
        assert_eq!(
            (output.layout, output.column("size")),
            (Layout::Table, vec![Value::Uint(14), Value::Uint(0)])
        );
    }

    #[test]
    fn a_file_whose_digest_nobody_knows_is_read() {
        let h = Harness::standard();
        h.ok("cp hello.txt copy.txt");
        assert_eq!(h.ok("md5 copy.txt").texts("md5"), ["746308829575e17c3331bbcb00c0898b"]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        h.plant_link("/link");
        for (line, kind) in [
            ("md5 nothing", ErrorKind::NotFound),
            ("md5 docs", ErrorKind::IsDirectory),
            ("md5 link", ErrorKind::Denied),
            ("md5 ..", ErrorKind::Denied),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        let output = h.ok("md5 docs hello.txt");
        assert_eq!((output.problems.len(), output.rows.len()), (1, 1));
    }
}
