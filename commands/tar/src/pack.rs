//! `tar`: gives a tree as one body (POSIX pax -w, GNU tar -c).

use ferry_core::store::{Entry, EntryKind, ReadRequest};
use ferry_core::{
    Access, Algorithm, Body, Chunk, Context, Error, ErrorKind, Example, HomePath, LocalPath, Many, RemotePath, Reply, Result,
    Spec, Verb,
};
use tar::EntryType;

use crate::member::Member;
use crate::{BLOCK_BYTES, padding};

ferry_core::args! {
    /// Packs files and folders into one archive, and gives it as it is made.
    ///
    /// Names are kept as they are written, without a `/` in front. Links are left out. An archive cannot be gone on with: when it
    /// breaks off, it is made again.
    pub(crate) struct Tar {
        /// Files and folders to pack.
        #[arg(role(Source))]
        path: Many<RemotePath>,
        /// Folder or name of the archive on this machine; PATH with `.tar` in the working folder when absent.
        #[arg(role(Target))]
        local: Option<LocalPath>,
        /// Name of the archive on this machine; `-` is standard output.
        #[arg(name("as"), option, role(Rename))]
        rename: Option<LocalPath>,
    }
}

/// Headers and small files are gathered until there is so much of them.
const GATHERED_BYTES: usize = 64 << 10;
/// What ends an archive.
const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

impl Verb for Tar {
    const SPEC: Spec = Spec::of::<Self>("tar", Access::Read)
        .body(Body::Out)
        .makes(".tar")
        .examples(&[
            Example::new("tar docs", "makes docs.tar in the local working folder"),
            Example::new("tar docs hello.txt both.tar", "packs a folder and a file"),
            Example::new("tar docs --as -", "writes the archive to standard output"),
        ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let several = self.path.len() > 1;
        let mut output = Output {
            ctx,
            gathered: Vec::new(),
        };
        for written in self.path.iter() {
            let scanned = match output.ctx.path(written) {
                Ok(top) => output.ctx.home().scan(&top).await.map(|scan| (scan, top)),
                Err(error) => Err(error),
            };
            let Some((mut scan, top)) = output.ctx.item(scanned, several).await? else {
                continue;
            };
            loop {
                // What cannot be read is told of, and the rest is packed.
                match output.ctx.item(scan.next().await, true).await? {
                    None => {}
                    Some(None) => break,
                    Some(Some((place, entry, _))) => output.pack(named(written, &top, &place), &place, &entry).await?,
                }
            }
        }
        output.put(&END).await?;
        output.flush().await?;
        Ok(Reply::done())
    }
}

/// The name of `place` in the archive, when the user wrote `written` for `top`: never absolute, and without `.` and `..`, but for
/// the working folder itself.
fn named(written: &RemotePath, top: &HomePath, place: &HomePath) -> Vec<u8> {
    let mut names: Vec<&[u8]> = written
        .0
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    if names.contains(&&b".."[..]) {
        names = top.names().collect();
    }
    if names.is_empty() {
        names.push(b".");
    }
    names.extend(place.names().skip(top.names().count()));
    names.join(&b'/')
}

struct Output<'o, 'c> {
    ctx: &'o mut Context<'c>,
    gathered: Vec<u8>,
}

impl Output<'_, '_> {
    async fn pack(&mut self, path: Vec<u8>, place: &HomePath, entry: &Entry) -> Result<()> {
        match entry.kind {
            EntryKind::Dir => {
                let member = Member {
                    path: [&path[..], b"/"].concat(),
                    kind: EntryType::Directory,
                    size: 0,
                    modified: Some(entry.modified),
                    executable: true,
                };
                self.put(&member.to_bytes()).await
            }
            EntryKind::File => self.file(path, place).await,
            kind => {
                let text = format!("{place}: is a {}; only files and folders are packed", kind.as_str());
                self.ctx
                    .item(Err(Error::unsupported(text).at(place)), true)
                    .await
                    .map(|_: Option<()>| ())
            }
        }
    }

    async fn file(&mut self, path: Vec<u8>, place: &HomePath) -> Result<()> {
        let request = ReadRequest {
            // Nobody sees this digest: the body has its own.
            algorithm: Algorithm::Blake3,
            ..ReadRequest::new(place.clone())
        };
        let opened = self.ctx.home().open(request).await;
        let Some(mut source) = self.ctx.item(opened, true).await? else {
            return Ok(());
        };
        let file = source.file().clone();
        let member = Member {
            path,
            kind: EntryType::Regular,
            size: file.size,
            modified: Some(file.modified),
            executable: file.executable,
        };
        self.put(&member.to_bytes()).await?;
        let mut left = file.size;
        // From here on its size is said: a file that breaks off breaks the archive off.
        while let Some(chunk) = source.next().await? {
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| changed(place))?;
            self.take(chunk).await?;
        }
        if left > 0 {
            return Err(changed(place));
        }
        self.put(&[0; BLOCK_BYTES][..padding(file.size)]).await
    }

    async fn take(&mut self, chunk: Chunk) -> Result<()> {
        if chunk.len() < GATHERED_BYTES {
            return self.put(&chunk).await;
        }
        self.flush().await?;
        self.ctx.send(chunk).await
    }

    /// Adds fewer bytes than a chunk has.
    async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            self.flush().await?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = Chunk::from(&self.gathered[..]);
        self.gathered.clear();
        self.ctx.send(chunk).await
    }
}

fn changed(place: &HomePath) -> Error {
    Error::new(ErrorKind::Changed, format!("{place}: changed while it was packed"))
        .at(place)
        .hint("try again once nobody writes to it")
}

ferry_core::register!(Tar);
