//! `upload`: takes a file from the client (RFC 959 STOR and REST, sftp put).
//!
//! A request has one source; of its name the server is told what comes below the folder that the user named, never where
//! that is on the client's machine. The client sends several sources one by one, with a `/` at the end of their common target.
//!
//! A client that sends a tree asks for its folders too ([`Offer::folder`]), the outer ones first. Each reply says where the
//! folder is, and what is in it is then sent to that place: so a target that was not there before means the same folder for
//! all of the tree.

use std::sync::Arc;

use ferry_core::store::{self, CODE_PRESENT, Entry, EntryKind, FileInfo, Stored, UploadRequest, WholeUpload};
use ferry_core::wire::message::Offer;
use ferry_core::{
    Access, Body, Chunk, Context, Digest, Error, ErrorKind, Example, GuardedHome, HomePath, LocalPath, Many, RemotePath, Reply,
    Result, Spec, Verb,
};

ferry_core::args! {
    /// Sends files to the server.
    ///
    /// A file appears whole, proven and durable, or not at all. One that broke off goes on where it stopped when the same line
    /// is run again.
    pub struct Upload {
        /// Files to send; `-` is standard input and needs --as.
        #[arg(role(Source))]
        local: Many<LocalPath>,
        /// Folder or new name on the server; the working folder when absent.
        #[arg(role(Target))]
        remote: Option<RemotePath>,
        /// Sends folders with all that is in them, and leaves alone what is there already with the same size and time.
        #[arg(short('r'), role(Recurse))]
        recursive: bool,
        /// Name on the server, in place of the file's own.
        #[arg(name("as"), option, role(Rename))]
        rename: Option<RemotePath>,
        /// Replaces no file that is there already.
        #[arg(role(NoClobber))]
        no_clobber: bool,
        /// Compares digests where size and time would have done.
        #[arg(role(Checksum))]
        checksum: bool,
    }
}

impl Verb for Upload {
    const SPEC: Spec = Spec::of::<Self>("upload", Access::Write)
        .aliases(&["put"])
        .body(Body::In)
        .examples(&[
            Example::new("upload report.pdf", "sends a file into the working folder"),
            Example::new("upload a.jpg b.jpg docs/", "sends two files into a folder"),
            Example::new("upload -r photos", "sends a folder with all that is in it"),
            Example::new("upload - --as docs/today.log", "stores what is read from standard input"),
        ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let place = self.place(ctx).await?;
        if ctx.offer().folder {
            return make_folder(ctx, &place).await;
        }
        if let Some((contents, digest)) = ctx.receive_whole().await? {
            return self.store(ctx, &place, (contents.into(), digest)).await.map(Reply::file);
        }
        if self.recursive
            && let Some(parent) = place.parent()
        {
            ctx.home().make_dirs(&parent).await?;
        }
        let request = self.request(&place, ctx.offer());
        if let Some(file) = self.already_there(ctx, &request).await? {
            return Ok(Reply::file(file));
        }
        let upload = self.open(ctx.home(), request).await?;
        ctx.receive_into(upload, &place).await.map(Reply::file)
    }
}

impl Upload {
    /// Stores a small file that came with its request. The folders above it are looked for only when one is missing: a client that
    /// sends a tree has had them made.
    async fn store(&self, ctx: &mut Context<'_>, place: &HomePath, (contents, digest): (Arc<Chunk>, Digest)) -> Result<FileInfo> {
        let by_digest = !self.recursive && ctx.offer().expected.is_some();
        let by_time = self.recursive && !self.checksum;
        let mut whole = WholeUpload {
            request: self.request(place, ctx.offer()),
            contents,
            digest,
            spare_same: (by_time || by_digest) && !ctx.offer().fresh && ctx.offer().modified.is_some(),
        };
        let mut stored = ctx.home().store(whole.clone()).await;
        if self.recursive
            && let (Err(error), Some(parent)) = (&stored, place.parent())
            && error.kind == ErrorKind::NotFound
        {
            ctx.home().make_dirs(&parent).await?;
            stored = ctx.home().store(whole.clone()).await;
        }
        let mut stored = stored?;
        if let Stored::Same(entry) = &stored {
            let mut file = file_info(place, entry);
            if by_time {
                return Ok(file);
            }
            if let Some(proof) = same_bytes(ctx.home(), &whole.request).await? {
                file.digest = Some(proof);
                return Ok(file);
            }
            whole.spare_same = false;
            stored = ctx.home().store(whole).await?;
        }
        ctx.begin_whole(place).await?;
        match stored {
            Stored::File(file) => Ok(file),
            Stored::Same(entry) => Ok(file_info(place, &entry)),
        }
    }

    /// A file of the same size, time and mode that is taken for the same one, so that nothing is stored. In a tree that is enough,
    /// unless digests are asked for; the reply then has no digest. Elsewhere contents that came along with a digest are compared,
    /// and the BLAKE3 digest of the file that is there is the client's proof.
    async fn already_there(&self, ctx: &Context<'_>, request: &UploadRequest) -> Result<Option<FileInfo>> {
        let offer = ctx.offer();
        let by_time = self.recursive && !self.checksum;
        let by_digest = !self.recursive && offer.eager && offer.expected.is_some();
        if !(by_time || by_digest) || offer.fresh || offer.modified.is_none() {
            return Ok(None);
        }
        let found = match ctx.home().stat(&request.path).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let (size, modified, executable) = (Some(found.size), Some(found.modified), found.executable);
        let is_same = (size, modified, executable) == (offer.size, offer.modified, offer.executable);
        if found.kind != EntryKind::File || !is_same {
            return Ok(None);
        }
        let mut file = file_info(&request.path, &found);
        if by_digest {
            let Some(proof) = same_bytes(ctx.home(), request).await? else {
                return Ok(None);
            };
            file.digest = Some(proof);
        }
        ctx.home().make_durable(&request.path).await?;
        Ok(Some(file))
    }

    /// What the client offers, as the store asks for it.
    fn request(&self, place: &HomePath, offer: &Offer) -> UploadRequest {
        UploadRequest {
            path: place.clone(),
            size: offer.size,
            modified: offer.modified,
            executable: offer.executable,
            algorithm: offer.digest,
            expected: offer.expected,
            no_clobber: self.no_clobber,
            // Eager contents are on their way already, from the first byte on.
            fresh: offer.fresh || offer.eager,
        }
    }

    async fn open(&self, home: &GuardedHome, request: UploadRequest) -> Result<Box<dyn store::Upload>> {
        if self.checksum
            && !request.fresh
            && let Some(upload) = open_present(home, &request).await?
        {
            return Ok(upload);
        }
        home.upload(request).await
    }

    /// Where the file goes.
    async fn place(&self, ctx: &mut Context<'_>) -> Result<HomePath> {
        let [source] = &*self.local else {
            return Err(Error::bad_request("upload: a request has one source"));
        };
        if let Some(rename) = &self.rename {
            let last = rename.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if !ctx.offer().folder && [&b""[..], b".", b".."].contains(&last) {
                return Err(Error::new(ErrorKind::IsDirectory, format!("{rename}: names a folder")).at(rename.clone()));
            }
            let folder = self
                .remote
                .as_ref()
                .map_or(Ok(ctx.cwd().clone()), |target| ctx.path(target))?;
            return rename.resolve(&folder);
        }
        let name = source.to_remote().0;
        if name == b"-" {
            return Err(Error::bad_request("upload: standard input has no name").hint("give it one with --as NAME"));
        }
        let (first, rest) = match name.iter().position(|byte| *byte == b'/') {
            None => (&name[..], None),
            Some(slash) if self.recursive => (&name[..slash], Some(&name[slash + 1..])),
            Some(_) => return Err(Error::bad_path("upload: the name of a file has no `/`")),
        };
        let mut place = match &self.remote {
            None => ctx.cwd().join(first)?,
            // A folder that is named as one is made with the other parents.
            Some(target) if self.recursive && target.names_a_folder() => ctx.path(target)?.join(first)?,
            Some(target) => ctx.target(target, first, false).await?,
        };
        for name in rest.into_iter().flat_map(|rest| rest.split(|byte| *byte == b'/')) {
            place = place.join(name)?;
        }
        Ok(place)
    }
}

/// The BLAKE3 digest of the file that is there, when it has the digest that is expected.
async fn same_bytes(home: &GuardedHome, request: &UploadRequest) -> Result<Option<Digest>> {
    let claim = UploadRequest {
        fresh: false,
        ..request.clone()
    };
    let start = home.upload(claim).await?.start();
    Ok(start.prefix.filter(|_| start.code == CODE_PRESENT))
}

/// Has the store compare digests with a file of the same size and another time, which it would take for another file.
async fn open_present(home: &GuardedHome, request: &UploadRequest) -> Result<Option<Box<dyn store::Upload>>> {
    let found = match home.stat(&request.path).await {
        Ok(entry) => entry,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if found.kind != EntryKind::File || Some(found.size) != request.size {
        return Ok(None);
    }
    let claim = UploadRequest {
        modified: Some(found.modified),
        ..request.clone()
    };
    let upload = home.upload(claim).await?;
    // An unfinished upload goes first. It is opened again, for it is to have its own time.
    Ok((upload.start().code == CODE_PRESENT).then_some(upload))
}

/// Makes a folder of a tree; fine when it is there.
async fn make_folder(ctx: &mut Context<'_>, place: &HomePath) -> Result<Reply> {
    ctx.home().make_dirs(place).await?;
    let entry = ctx.home().stat(place).await?;
    Ok(Reply::file(file_info(place, &entry)))
}

/// What is told of an entry whose bytes nobody has read.
fn file_info(place: &HomePath, entry: &Entry) -> FileInfo {
    FileInfo {
        path: place.into(),
        size: entry.size,
        modified: entry.modified,
        executable: entry.executable,
        digest: entry.digest,
        version: entry.version,
    }
}

ferry_core::register!(Upload);

#[cfg(test)]
mod tests;
