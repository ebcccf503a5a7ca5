//! Small verbs that the examples of this documentation run. None is registered, so no test links them by accident.

use ferry_core::store::{ReadRequest, UploadRequest};
use ferry_core::{Access, Body, Column, ColumnKind, Context, Example, Layout, LocalPath, RemotePath, Reply, Result, Spec, Verb};

ferry_core::args! {
    /// Writes a text into a file.
    pub struct Write {
        /// The file.
        path: RemotePath,
        /// What is to be in it.
        text: String,
    }
}

/// ```
/// # use ferry_testkit::{Harness, example::Write};
/// Harness::of::<Write>().ok("write a.txt 'some text'");
/// ```
impl Verb for Write {
    const SPEC: Spec = Spec::of::<Self>("write", Access::Write).examples(&[Example::new("write a.txt text", "writes a text")]);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let path = ctx.path(&self.path)?;
        ctx.home().write_file(&path, self.text.as_bytes()).await.map(Reply::file)
    }
}

fn request(path: ferry_core::HomePath) -> UploadRequest {
    UploadRequest {
        fresh: false,
        ..UploadRequest::new(path)
    }
}

ferry_core::args! {
    /// Stores what is sent.
    pub struct Take {
        /// The file to send.
        #[arg(role(Source))]
        local: LocalPath,
    }
}

/// ```
/// # use ferry_testkit::{Harness, example::Take};
/// Harness::of::<Take>().send("take a.txt", b"contents").unwrap();
/// ```
impl Verb for Take {
    const SPEC: Spec = Spec::of::<Self>("take", Access::Write).body(Body::In);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let path = ctx.path(&self.local.to_remote())?;
        if ctx.offer().folder {
            ctx.home().make_dirs(&path).await?;
            return Ok(Reply::done());
        }
        let upload = ctx
            .home()
            .upload(UploadRequest {
                size: ctx.offer().size,
                ..request(path.clone())
            })
            .await?;
        ctx.receive_into(upload, &path).await.map(Reply::file)
    }
}

ferry_core::args! {
    /// Gives a file.
    pub struct Give {
        /// The file.
        #[arg(role(Source))]
        path: RemotePath,
    }
}

/// ```
/// # use ferry_testkit::{Harness, example::Give};
/// let output = Harness::of::<Give>().furnish().ok("give hello.txt");
/// assert_eq!(output.body, b"Hello, world!\n");
/// ```
impl Verb for Give {
    const SPEC: Spec = Spec::of::<Self>("give", Access::Read).body(Body::Out);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let (path, offer) = (ctx.path(&self.path)?, ctx.offer());
        let (algorithm, held) = (offer.digest, offer.held());
        let source = ctx
            .home()
            .open(ReadRequest {
                held,
                algorithm,
                ..ReadRequest::new(path)
            })
            .await?;
        ctx.send_from(source).await.map(Reply::file)
    }
}

ferry_core::args! {
    /// Lists the names in a folder.
    pub struct Names {
        /// The folder; the working folder when absent.
        path: Option<RemotePath>,
    }
}

/// ```
/// # use ferry_testkit::{Harness, example::Names};
/// let output = Harness::of::<Names>().furnish().ok("names docs");
/// assert_eq!(output.texts("name"), ["notes.txt"]);
/// ```
impl Verb for Names {
    const SPEC: Spec = Spec::of::<Self>("names", Access::Read);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let path = match &self.path {
            Some(path) => ctx.path(path)?,
            None => ctx.cwd().clone(),
        };
        let entries = ctx.home().entries(&path).await?;
        const COLUMNS: &[Column] = &[
            Column::new("name", ColumnKind::Path),
            Column::new("size", ColumnKind::Size).visible(false),
        ];
        ctx.columns(Layout::List, COLUMNS);
        for entry in entries {
            ctx.row([entry.name.as_slice().into(), entry.size.into()]).await?;
        }
        Ok(Reply::done())
    }
}
