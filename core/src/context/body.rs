//! Contents: a body that comes in, a body that goes out.

use super::{Context, Event, Inbound, check_end};
use crate::chunk::{CHUNK_BYTES, Chunk};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::path::HomePath;
use crate::spec::Body;
use crate::store::{FileInfo, Source, Start, Upload};
use crate::wire::message::{Begin, End};

impl Context<'_> {
    /// The next contents from the client; `None` when all of them have come and their digest is right. For verbs with
    /// [`Body::In`] that store no file; those that do hand an upload to [`Self::receive_into`].
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to send.
    /// #         #[arg(role(Source))]
    /// #         file: LocalPath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read).body(Body::In);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let mut lines = 0;
    ///     while let Some(chunk) = ctx.receive().await? {
    ///         lines += chunk.iter().filter(|byte| **byte == b'\n').count();
    ///     }
    ///     Ok(Reply::text(format!("{lines} lines")))
    /// }
    /// # }
    /// let output = Harness::of::<Mine>().send("mine a.txt", b"one\ntwo\n").unwrap();
    /// assert_eq!(output.text.as_deref(), Some("2 lines"));
    /// ```
    ///
    /// # Errors
    /// `digest_mismatch`; `bad_request` when there is no body.
    pub async fn receive(&mut self) -> Result<Option<Chunk>> {
        self.expect_body(Body::In)?;
        if !self.begun {
            self.begin(Begin::new(Start::BEGINNING)).await?;
        }
        match self.link.receive().await? {
            Inbound::Data(chunk) => {
                self.received.update(&chunk);
                Ok(Some(chunk))
            }
            Inbound::End(end) => check_end(&end, self.received.len_bytes(), self.received.finish()).map(|()| None),
        }
    }

    /// Receives the whole body into an upload and commits it.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to send.
    /// #         #[arg(role(Source))]
    /// #         file: LocalPath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Write).body(Body::In);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.file.to_remote())?;
    ///     let request = UploadRequest { algorithm: ctx.offer().digest, ..UploadRequest::new(place.clone()) };
    ///     let upload = ctx.home().upload(request).await?;
    ///     Ok(Reply::file(ctx.receive_into(upload, &place).await?))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// let output = harness.send("mine a.txt", b"abc").unwrap();
    /// assert_eq!(output.file.unwrap().size, 3);
    /// assert_eq!(harness.files()["/a.txt"], b"abc");
    /// ```
    ///
    /// # Errors
    /// Those of [`Upload::write`] and [`Upload::commit`].
    pub async fn receive_into(&mut self, mut upload: Box<dyn Upload>, path: &HomePath) -> Result<FileInfo> {
        self.expect_body(Body::In)?;
        let start = upload.start();
        let id = Some(upload.id().to_owned()).filter(|id| !id.is_empty());
        self.begin(Begin {
            upload: id,
            path: Some(path.into()),
            ..Begin::new(start)
        })
        .await?;
        let mut held = start.offset;
        loop {
            match self.link.receive().await? {
                Inbound::Data(chunk) => {
                    held += chunk.len() as u64;
                    upload.write(chunk).await?;
                }
                Inbound::End(end) if end.size != held => {
                    let text = format!("{path}: {} bytes were announced and {held} are here", end.size);
                    return Err(Error::new(ErrorKind::OffsetMismatch, text).at(path));
                }
                Inbound::End(end) => return upload.commit(end.digest).await,
            }
        }
    }

    /// Receives a body that follows its request at once (an [`eager`](crate::wire::message::Offer::eager) one) and fits into one
    /// chunk; gives it with the digest that the client announced, which is still to be compared. Whoever stores it says so by
    /// [`Self::begin_whole`]; without, the client takes it that nothing was stored. `None` for any other body.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::{Harness, Sent};
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to send.
    /// #         #[arg(role(Source))]
    /// #         file: LocalPath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Write).body(Body::In);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.file.to_remote())?;
    ///     let Some((contents, digest)) = ctx.receive_whole().await? else {
    ///         return Err(Error::bad_request("small files only"));
    ///     };
    ///     let request = UploadRequest { size: Some(contents.len() as u64), ..UploadRequest::new(place.clone()) };
    ///     let whole = WholeUpload { request, contents: contents.into(), digest, spare_same: true };
    ///     match ctx.home().store(whole).await? {
    ///         Stored::File(file) => ctx.begin_whole(&place).await.map(|()| Reply::file(file)),
    ///         Stored::Same(_) => Ok(Reply::done()),
    ///     }
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// let sent = Sent::file(*b"abc").offer(|offer| offer.eager = true);
    /// assert!(harness.send("mine a.txt", sent).unwrap().begin.is_some());
    /// assert_eq!(harness.files()["/a.txt"], b"abc");
    /// ```
    ///
    /// # Errors
    /// `too_large` for more than was announced, `offset_mismatch` for less.
    pub async fn receive_whole(&mut self) -> Result<Option<(Chunk, Digest)>> {
        self.expect_body(Body::In)?;
        let len = self.offer.size.and_then(|size| usize::try_from(size).ok());
        let Some(len) = len.filter(|len| self.offer.eager && *len <= CHUNK_BYTES) else {
            return Ok(None);
        };
        let mut whole = Chunk::with_len(0);
        // Gathered when it comes in pieces, and grown as they come: nothing is taken on the client's word.
        let mut pieces = Vec::new();
        loop {
            let have = whole.len().max(pieces.len());
            match self.link.receive().await? {
                Inbound::Data(chunk) if have + chunk.len() > len => {
                    let text = format!("more than the {len} bytes that were announced");
                    return Err(Error::new(ErrorKind::TooLarge, text));
                }
                Inbound::Data(chunk) if have == 0 => whole = chunk,
                Inbound::Data(chunk) => {
                    if pieces.is_empty() {
                        pieces.extend_from_slice(&whole);
                    }
                    pieces.extend_from_slice(&chunk);
                }
                Inbound::End(end) if have != len || end.size != len as u64 => {
                    let text = format!("{} bytes were announced, {len} before, and {have} are here", end.size);
                    return Err(Error::new(ErrorKind::OffsetMismatch, text));
                }
                Inbound::End(end) if pieces.is_empty() => return Ok(Some((whole, end.digest))),
                Inbound::End(end) => return Ok(Some((Chunk::from(&pieces[..]), end.digest))),
            }
        }
    }

    /// Says that what [`Self::receive_whole`] gave was stored at `path`.
    ///
    /// ```
    /// # use ferry_core::*;
    /// # use ferry_testkit::{Harness, Sent};
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to send.
    /// #         #[arg(role(Source))]
    /// #         file: LocalPath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Write).body(Body::In);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.file.to_remote())?;
    ///     if let Some((contents, _)) = ctx.receive_whole().await? {
    ///         ctx.home().write_file(&place, &contents).await?;
    ///         ctx.begin_whole(&place).await?;
    ///     }
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// let sent = Sent::file(*b"abc").offer(|offer| offer.eager = true);
    /// let output = Harness::of::<Mine>().send("mine a.txt", sent).unwrap();
    /// assert_eq!(output.begin.unwrap().path, Some("/a.txt".into()));
    /// ```
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn begin_whole(&mut self, path: &HomePath) -> Result<()> {
        self.begin(Begin {
            path: Some(path.into()),
            ..Begin::new(Start::BEGINNING)
        })
        .await
    }

    /// Sends contents to the client. What a verb sends is one body; its digest follows by itself when the verb ends. One that sends
    /// nothing, and no rows either, gives an empty body.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read).body(Body::Out);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     for line in ["one\n", "two\n"] {
    ///         ctx.send(Chunk::from(line.as_bytes())).await?;
    ///     }
    ///     Ok(Reply::done())
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").body, b"one\ntwo\n");
    /// ```
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn send(&mut self, chunk: Chunk) -> Result<()> {
        self.expect_body(Body::Out)?;
        if !self.begun {
            self.begin(Begin::new(Start::BEGINNING)).await?;
        }
        self.sending = true;
        self.sent.update(&chunk);
        self.link.emit(Event::Data(chunk)).await
    }

    /// Sends a whole file as the body, from where the client's bytes end.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to fetch.
    /// #         #[arg(role(Source))]
    /// #         path: RemotePath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read).body(Body::Out);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.path)?;
    ///     let source = ctx.home().open(ReadRequest { algorithm: ctx.offer().digest, ..ReadRequest::new(place) }).await?;
    ///     Ok(Reply::file(ctx.send_from(source).await?))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed("a.txt", b"abc");
    /// assert_eq!(harness.ok("mine a.txt").body, b"abc");
    /// ```
    ///
    /// # Errors
    /// Those of [`Source::next`].
    pub async fn send_from(&mut self, mut source: Box<dyn Source>) -> Result<FileInfo> {
        self.expect_body(Body::Out)?;
        let mut file = source.file().clone();
        self.begin(Begin {
            path: Some(file.path.clone()),
            size: Some(file.size),
            modified: Some(file.modified),
            executable: file.executable,
            version: Some(file.version),
            ..Begin::new(source.start())
        })
        .await?;
        let mut size = source.start().offset;
        while let Some(chunk) = source.next().await? {
            size += chunk.len() as u64;
            self.link.emit(Event::Data(chunk)).await?;
        }
        let digest = source.digest();
        self.link.emit(Event::End(End { id: 0, size, digest })).await?;
        (file.size, file.digest) = (size, Some(digest));
        Ok(file)
    }

    fn expect_body(&self, body: Body) -> Result<()> {
        if self.spec.body == body {
            Ok(())
        } else {
            Err(Error::internal(format!("{}: declared no such body", self.spec.name)))
        }
    }

    pub(super) async fn begin(&mut self, begin: Begin) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Err(Error::internal(format!("{}: one request has one body", self.spec.name)));
        }
        self.link.emit(Event::Begin(begin)).await
    }
}
