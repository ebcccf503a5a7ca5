//! `verify`: reads all that is in a tree, as a scrub of a disk does, and tells how far it is.

use ferry_core::store::{Entry, EntryKind, ReadRequest};
use ferry_core::{
    Access, Algorithm, Column, ColumnKind, Context, Error, ErrorKind, Example, HomePath, Layout, RemotePath, Reply, Result, Spec,
    Verb,
};

ferry_core::args! {
    /// Reads every file, and tells of those that cannot be read any more or are not what was stored.
    ///
    /// Where the server's store keeps digests, the contents are compared with them; elsewhere a file is right when all of it can
    /// be read. This takes as long as reading everything does.
    pub struct Verify {
        /// Files and folders to read; the working folder when absent.
        path: Vec<RemotePath>,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("files", ColumnKind::Count),
    Column::new("bytes", ColumnKind::HumanSize),
    Column::new("compared", ColumnKind::Count),
    Column::new("damaged", ColumnKind::Count),
];

/// How far it is.
#[derive(Default)]
struct Count {
    total: u64,
    files: u64,
    bytes: u64,
    compared: u64,
    damaged: u64,
}

impl Verb for Verify {
    const SPEC: Spec = Spec::of::<Self>("verify", Access::Read).examples(&[
        Example::new("verify", "reads all that is in the working folder"),
        Example::new("verify docs hello.txt", "reads a folder and a file"),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let paths = ctx.paths_or_cwd(&self.path)?;
        let several = paths.len() > 1;
        let mut count = Count::default();
        let mut tops = Vec::new();
        for (_, top) in paths {
            let counted = count.add_up(ctx, &top).await;
            tops.extend(ctx.item(counted, several).await?.map(|()| top));
        }
        for top in tops {
            count.verify(ctx, &top).await?;
        }
        ctx.columns(Layout::Record, COLUMNS);
        let Count {
            files,
            bytes,
            compared,
            damaged,
            ..
        } = count;
        ctx.row([files.into(), bytes.into(), compared.into(), damaged.into()]).await?;
        Ok(Reply::done())
    }
}

impl Count {
    /// Adds up how much there is to read. What cannot be listed is told of when it is to be read.
    async fn add_up(&mut self, ctx: &mut Context<'_>, top: &HomePath) -> Result<()> {
        let mut scan = ctx.home().scan(top).await?;
        let mut files = 0;
        loop {
            match scan.next().await {
                Ok(None) => return Ok(()),
                Ok(Some((_, entry, _))) if entry.kind == EntryKind::File => {
                    self.total = self.total.saturating_add(entry.size);
                    files += 1;
                    ctx.progress(files, None, "counting files").await?;
                }
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    async fn verify(&mut self, ctx: &mut Context<'_>, top: &HomePath) -> Result<()> {
        let mut scan = ctx.home().scan(top).await?;
        loop {
            let verified = match scan.next().await {
                Ok(None) => return Ok(()),
                Ok(Some((place, entry, _))) if entry.kind == EntryKind::File => self.file(ctx, &place, &entry).await,
                Ok(Some(_)) => Ok(()),
                Err(error) => Err(error),
            };
            let is_gone = |error: &Error| error.kind == ErrorKind::NotFound;
            if verified.as_ref().is_err_and(|error| !is_gone(error)) {
                self.damaged += 1;
                ctx.item(verified, true).await?;
            }
        }
    }

    async fn file(&mut self, ctx: &mut Context<'_>, place: &HomePath, entry: &Entry) -> Result<()> {
        let read = |algorithm| ReadRequest {
            algorithm,
            ..ReadRequest::new(place.clone())
        };
        let algorithm = entry.digest.map_or(Algorithm::Blake3, |digest| digest.algorithm());
        let mut source = ctx.home().open(read(algorithm)).await?;
        if let Some(kept) = source.file().digest.filter(|kept| kept.algorithm() != algorithm) {
            // Only the open file says what it can be compared with.
            source = ctx.home().open(read(kept.algorithm())).await?;
        }
        let is_same_version = source.file().version == entry.version;
        let stored = source.file().digest.or(entry.digest.filter(|_| is_same_version));
        let name = place.to_string();
        self.files += 1;
        while let Some(chunk) = source.next().await? {
            self.bytes += chunk.len() as u64;
            ctx.progress(self.bytes, Some(self.total.max(self.bytes)), &name).await?;
        }
        match stored.filter(|stored| stored.algorithm() == source.digest().algorithm()) {
            Some(stored) if stored != source.digest() => {
                let text = format!("{place}: has {}, and {stored} was stored", source.digest());
                Err(Error::new(ErrorKind::DigestMismatch, text).at(place).hint("upload it again"))
            }
            stored => {
                self.compared += u64::from(stored.is_some());
                Ok(())
            }
        }
    }
}

ferry_core::register!(Verify);

#[cfg(test)]
mod tests {
    use ferry_core::{ErrorKind, HomePath};
    use ferry_testkit::Harness;

    #[test]
    fn the_verb_keeps_the_rules() {
        ferry_testkit::check_linked();
    }

    #[test]
    fn what_is_right_is_counted() {
        let h = Harness::standard();
        h.seed("/big", &[7; 1_000_000]);
        h.seed_dir("/empty");
        h.plant_link("/docs/link");
        let output = h.ok("verify");
        assert_eq!(output.lines(), ["3  1000026  3  0"]);
        assert_eq!(h.ok("verify docs hello.txt").texts("files"), ["2"]);
        assert_eq!(h.ok("verify empty").texts("files"), ["0"]);
    }

    #[test]
    fn what_is_damaged_is_told_and_the_rest_is_read() {
        let h = Harness::standard();
        h.home().rot(&HomePath::parse("/docs/notes.txt").unwrap()).unwrap();
        let output = h.ok("verify");
        let [problem] = &output.problems[..] else {
            panic!("{:?}", output.problems)
        };
        assert_eq!(
            (problem.kind, problem.path.clone()),
            (ErrorKind::DigestMismatch, Some("/docs/notes.txt".into()))
        );
        assert_eq!(
            (output.texts("files"), output.texts("damaged")),
            (vec!["2".to_owned()], vec!["1".to_owned()])
        );
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let h = Harness::standard();
        assert_eq!(h.err("verify nothing").kind, ErrorKind::NotFound);
        assert_eq!(h.err("verify ..").kind, ErrorKind::Denied);
        let output = h.ok("verify nothing docs");
        assert_eq!(
            (output.problems[0].kind, output.texts("files")),
            (ErrorKind::NotFound, vec!["1".to_owned()])
        );
    }
}
