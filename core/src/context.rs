//! What a verb gets besides its arguments: the user, his home, his working folder, and ways to send rows and contents.

use std::fmt;

use crate::catalog::VerbInfo;
use crate::chunk::Chunk;
use crate::digest::{Digest, Hasher};
use crate::dispatch::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::home::GuardedHome;
use crate::logins::Logins;
use crate::path::{HomePath, RemotePath};
use crate::registry::Registry;
use crate::reply::{Column, Layout, Value};
use crate::spec::{Body, Spec};
use crate::store::{EntryKind, FileInfo, Source, Start, Upload};
use crate::user::User;
use crate::verb::BoxFuture;
use crate::wire::message::{Begin, End, Offer, Problem, Progress, Rows};

/// Rows are sent when they weigh so much, in bytes: a third of a control frame, for a value may be larger than estimated.
const ROWS_FLUSH_BYTES: usize = 20 * 1024;
/// The first rows are sent when there are so many, so that they are seen while the rest is still being read.
const FIRST_ROWS: usize = 64;

/// What a verb sends while it runs.
#[derive(Debug)]
pub enum Event {
    /// How the body starts.
    Begin(Begin),
    /// Some rows.
    Rows(Rows),
    /// One of several things went wrong.
    Problem(Problem),
    /// How far it is.
    Progress(Progress),
    /// Contents.
    Data(Chunk),
    /// The body is complete.
    End(End),
}

/// What a verb receives while it runs.
#[derive(Debug)]
pub enum Inbound {
    /// Contents.
    Data(Chunk),
    /// The body is complete.
    End(End),
}

/// The way to whoever asked: a connection, or a test. Ids in events are filled in on the other side.
pub trait Link: Send + Sync {
    /// Sends an event; waits while the other side has no room.
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>>;

    /// Waits for what comes next.
    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>>;
}

/// Everything that one request may touch.
pub struct Context<'c> {
    user: &'c User,
    registry: &'c Registry,
    spec: &'static Spec,
    home: GuardedHome,
    logins: &'c dyn Logins,
    cwd: HomePath,
    offer: Offer,
    link: &'c mut dyn Link,
    rows: RowBuffer,
    problems: u64,
    begun: bool,
    /// Whether contents go out chunk by chunk, so that their end is still to be told.
    sending: bool,
    received: Hasher,
    sent: Hasher,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} in {} for {})", self.spec.name, self.cwd, self.user.name)
    }
}

#[derive(Default)]
struct RowBuffer {
    columns: Option<(Layout, &'static [Column])>,
    announced: bool,
    rows: Vec<Vec<Value>>,
    weight: usize,
    /// Rows that were gathered under earlier columns.
    earlier: Vec<Rows>,
}

impl RowBuffer {
    /// Takes the rows gathered so far as a message, if there is anything to tell.
    fn take(&mut self) -> Option<Rows> {
        let (layout, columns) = self.columns?;
        if self.rows.is_empty() && self.announced {
            return None;
        }
        let columns = (!self.announced).then(|| columns.iter().map(Into::into).collect());
        (self.announced, self.weight) = (true, 0);
        Some(Rows {
            id: 0,
            columns,
            layout,
            rows: std::mem::take(&mut self.rows),
        })
    }
}

impl<'c> Context<'c> {
    /// The context of one request. Only dispatch makes one.
    pub(crate) fn new(env: &'c Env, spec: &'static Spec, (cwd, offer): (HomePath, Offer), link: &'c mut dyn Link) -> Self {
        let hasher = offer.digest.hasher();
        Self {
            user: &env.user,
            registry: &env.registry,
            spec,
            home: GuardedHome::new(env.home.clone(), spec.access),
            logins: &*env.logins,
            cwd,
            link,
            rows: RowBuffer::default(),
            problems: 0,
            begun: false,
            sending: false,
            received: hasher.clone(),
            sent: hasher,
            offer,
        }
    }

    /// Who asks.
    pub fn user(&self) -> &User {
        self.user
    }

    /// His home, with the rights that the verb declared. Cheap to clone.
    pub fn home(&self) -> &GuardedHome {
        &self.home
    }

    /// His saved logins.
    pub fn logins(&self) -> &'c dyn Logins {
        self.logins
    }

    /// The working folder.
    pub fn cwd(&self) -> &HomePath {
        &self.cwd
    }

    /// What the client said of the body.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The place that a path means.
    ///
    /// # Errors
    /// `denied` above the home, `bad_path`.
    pub fn path(&self, path: &RemotePath) -> Result<HomePath> {
        path.resolve(&self.cwd)
    }

    /// The places that some paths mean; the working folder when there are none.
    ///
    /// # Errors
    /// As [`Self::path`].
    pub fn paths_or_cwd(&self, paths: &[RemotePath]) -> Result<Vec<(RemotePath, HomePath)>> {
        if paths.is_empty() {
            return Ok(vec![(RemotePath::from("."), self.cwd.clone())]);
        }
        paths.iter().map(|path| Ok((path.clone(), self.path(path)?))).collect()
    }

    /// Where something called `name` goes when the target is `to`, as with `cp`: into it when it ends in `/` or is a folder,
    /// otherwise `to` is the new name.
    ///
    /// # Errors
    /// `not_directory` when `to` must be a folder (`several`, or it ends in `/`) and is something else, `not_found` when it is
    /// nothing.
    pub async fn target(&mut self, to: &RemotePath, name: &[u8], several: bool) -> Result<HomePath> {
        let place = self.path(to)?;
        match self.home.kind(&place).await? {
            Some(EntryKind::Dir) => place.join(name),
            found if several || to.names_a_folder() => {
                let (kind, text) = if found.is_some() {
                    (ErrorKind::NotDirectory, "not a folder")
                } else {
                    (ErrorKind::NotFound, "no such folder")
                };
                Err(Error::new(kind, format!("{to}: {text}")).at(to.clone()))
            }
            _ => Ok(place),
        }
    }

    /// The verbs that the user may run, by name.
    pub fn verbs(&self) -> impl Iterator<Item = &VerbInfo> {
        self.registry.visible(self.user).map(|entry| &entry.info)
    }

    /// The verb that the user means by a name or an alias.
    ///
    /// # Errors
    /// `unknown_verb`, `denied`.
    pub fn verb(&self, name: &str) -> Result<&VerbInfo> {
        self.registry.resolve(name, self.user).map(|entry| &entry.info)
    }

    /// Says what the following rows are made of.
    pub fn columns(&mut self, layout: Layout, columns: &'static [Column]) {
        let earlier = self.rows.take();
        self.rows.earlier.extend(earlier);
        self.rows.columns = Some((layout, columns));
        self.rows.announced = false;
    }

    /// Sends a row: one value a column. Rows are gathered and sent some at a time; memory does not grow with their number.
    ///
    /// # Errors
    /// `internal` when the values do not fit the columns; `cancelled` or `unreachable` when nobody listens any more.
    pub async fn row(&mut self, values: impl IntoIterator<Item = Value> + Send) -> Result<()> {
        let values: Vec<Value> = values.into_iter().collect();
        if self.rows.columns.is_none_or(|(_, columns)| columns.len() != values.len()) {
            return Err(Error::internal(format!("{}: a row does not fit its columns", self.spec.name)));
        }
        self.rows.weight += values.iter().map(Value::weight).sum::<usize>();
        self.rows.rows.push(values);
        if self.rows.weight >= ROWS_FLUSH_BYTES || (!self.rows.announced && self.rows.rows.len() >= FIRST_ROWS) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends the rows gathered so far.
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn flush(&mut self) -> Result<()> {
        let now = self.rows.take();
        for rows in std::mem::take(&mut self.rows.earlier).into_iter().chain(now) {
            self.link.emit(Event::Rows(rows)).await?;
        }
        Ok(())
    }

    /// Takes the result of one of several things. With `several`, a failure is told as a problem and the request goes on, to
    /// end with exit code 11; alone, it is the request's failure.
    ///
    /// # Errors
    /// The failure itself, unless `several`.
    pub async fn item<T>(&mut self, result: Result<T>, several: bool) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if several && !matches!(error.kind, ErrorKind::Cancelled | ErrorKind::Unreachable) => {
                self.flush().await?;
                self.problems += 1;
                self.link.emit(Event::Problem(Problem::new(0, &error))).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says how far long work is. Call it as often as you like: the client is told a few times a second at most.
    ///
    /// # Errors
    /// `cancelled` or `unreachable` when nobody listens any more.
    pub async fn progress(&mut self, done: u64, total: Option<u64>, text: &str) -> Result<()> {
        self.link
            .emit(Event::Progress(Progress {
                id: 0,
                done,
                total,
                text: text.to_owned(),
            }))
            .await
    }

    /// The next contents from the client; `None` when all of them have come and their digest is right. For verbs with
    /// [`Body::In`] that store no file; those that do hand an upload to [`Self::receive_into`].
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

    /// Sends contents to the client. What a verb sends is one body; its digest follows by itself when the verb ends.
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

    async fn begin(&mut self, begin: Begin) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Err(Error::internal(format!("{}: one request has one body", self.spec.name)));
        }
        self.link.emit(Event::Begin(begin)).await
    }

    /// Sends what is left when the verb has ended well; gives the number of problems.
    pub(crate) async fn finish(&mut self) -> Result<u64> {
        self.flush().await?;
        if self.sending {
            let (size, digest): (u64, Digest) = (self.sent.len_bytes(), self.sent.finish());
            self.link.emit(Event::End(End { id: 0, size, digest })).await?;
        }
        Ok(self.problems)
    }
}

/// Checks the sender's last word against what came.
///
/// # Errors
/// `digest_mismatch`.
pub fn check_end(end: &End, size: u64, digest: Digest) -> Result<()> {
    if end.size == size && end.digest == digest {
        return Ok(());
    }
    let text = format!(
        "the contents are not what was sent: {size} bytes with {digest}, announced {} with {}",
        end.size, end.digest
    );
    Err(Error::new(ErrorKind::DigestMismatch, text).hint("try again"))
}
