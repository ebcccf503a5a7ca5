//! `stat`: shows all that is known of an entry without reading it (RFC 3659 MLST).

use ferry_core::{Access, Column, ColumnKind, Context, Example, Layout, Many, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Shows what is known of files and folders.
    pub(crate) struct Stat {
        /// What to look at.
        path: Many<RemotePath>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("name", ColumnKind::Path),
    Column::new("path", ColumnKind::Path),
    Column::new("kind", ColumnKind::Text),
    Column::new("size", ColumnKind::Size),
    Column::new("modified", ColumnKind::Time),
    Column::new("md5", ColumnKind::Text),
];

impl Verb for Stat {
    const SPEC: Spec = Spec::of::<Self>("stat", Access::Read).examples(&[Example::new(
        "stat hello.txt",
        "shows kind, size, time, and MD5 where it is known",
    )]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        ctx.columns(Layout::Record, COLUMNS);
        for path in self.path.iter() {
            let found = match ctx.path(path) {
                Ok(place) => ctx.home().stat(&place).await.map(|entry| (place, entry)),
                Err(error) => Err(error),
            };
            if let Some((place, entry)) = ctx.item(found, self.path.len() > 1).await? {
                let name = crate::name_of(&place).into();
                let (kind, size, modified) = (entry.kind.into(), entry.size.into(), entry.modified.into());
                ctx.row([name, (&place).into(), kind, size, modified, crate::known_md5(&entry).into()])
                    .await?;
            }
        }
        Ok(Reply::done())
    }
}

ferry_core::register!(Stat);

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{ErrorKind, Value};
    use ferry_testkit::Harness;

    #[test]
    fn all_that_is_known_of_a_file_is_told() {
        let h = Harness::standard();
        h.ok("cd docs");
        let output = h.ok("stat ../hello.txt");
        assert_eq!(output.layout, Layout::Record);
        let row = &output.maps()[0];
        assert_eq!(row["name"], &Value::from("hello.txt"));
        assert_eq!(row["path"], &Value::from("/hello.txt"));
        assert_eq!(row["kind"], &Value::from("file"));
        assert_eq!(row["size"], &Value::Uint(14));
        assert!(row["modified"].as_i64().is_some());
        assert_eq!(row["md5"], &Value::from("746308829575e17c3331bbcb00c0898b"));
    }

    #[test]
    fn folders_links_and_the_home_have_no_digest() {
        let h = Harness::standard();
        h.plant_link("/link");
        let output = h.ok("stat docs link /");
        assert_eq!(output.texts("kind"), ["dir", "link", "dir"]);
        assert_eq!(output.texts("name"), ["docs", "link", "/"]);
        assert_eq!(output.column("md5"), [Value::Nil, Value::Nil, Value::Nil]);
    }

    #[test]
    fn a_digest_of_another_kind_is_not_told_as_md5() {
        let h = Harness::standard();
        h.ok("cp hello.txt copy.txt");
        assert_eq!(h.ok("stat copy.txt").column("md5"), [Value::Nil]);
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        for (line, kind) in [
            ("stat nothing", ErrorKind::NotFound),
            ("stat hello.txt/a", ErrorKind::NotDirectory),
            ("stat ..", ErrorKind::Denied),
            ("stat", ErrorKind::BadRequest),
        ] {
            assert_eq!(h.err(line).kind, kind, "{line}");
        }
        let output = h.ok("stat nothing hello.txt");
        assert_eq!((output.problems.len(), output.rows.len()), (1, 1));
    }
}
