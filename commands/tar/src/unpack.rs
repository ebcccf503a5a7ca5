//! `untar`: unpacks an archive that comes as a body (POSIX pax -r, GNU tar -x).
//!
//! Every file goes through the store's upload: durable, proven and within the quota before it has its name. A name that leads
//! anywhere but below the target is refused, and so is all that is neither file nor folder.

use ferry_core::store::UploadRequest;
use ferry_core::text::escape;
use ferry_core::{
    Access, Algorithm, Body, Context, Error, ErrorKind, Example, HomePath, LocalPath, Many, RemotePath, Reply, Result, Spec, Verb,
};
use tar::EntryType;

use crate::file::{SMALL_BYTES, Small, open};
use crate::input::Input;
use crate::member::{Member, PATH_BYTES};
use crate::pool::Stored;

ferry_core::args! {
    /// Unpacks archives into a folder.
    ///
    /// Each file appears whole and durable, or not at all, and replaces one of its name. Links, devices and names that lead out of
    /// the folder are left out and told of. What was unpacked before an archive turns out to be damaged, or before the quota is
    /// used up, stays.
    pub(crate) struct Untar {
        /// Archives to unpack, which must not be compressed; `-` is standard input.
        #[arg(role(Source))]
        local: Many<LocalPath>,
        /// Folder on the server, made when it is missing; the working folder when absent.
        #[arg(role(Target))]
        remote: Option<RemotePath>,
        /// Replaces no file that is there already.
        #[arg(role(NoClobber))]
        no_clobber: bool,
    }
}

/// An archive of nothing.
const EMPTY: &[u8] = &[0; 1024];

impl Verb for Untar {
    const SPEC: Spec = Spec::of::<Self>("untar", Access::Write).body(Body::In).examples(&[
        Example::new("untar docs.tar", "unpacks an archive into the working folder").sends(EMPTY),
        Example::new("untar docs.tar old/docs", "unpacks it into a folder, which is made").sends(EMPTY),
        Example::new("untar - docs", "unpacks what comes from standard input").sends(EMPTY),
    ]);

    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let [_] = &*self.local else {
            return Err(Error::bad_request("untar: a request has one source"));
        };
        let folder = self.remote.as_ref().map_or(Ok(ctx.cwd().clone()), |path| ctx.path(path))?;
        if ctx.offer().folder {
            return Err(Error::new(ErrorKind::IsDirectory, "untar: takes an archive, not a folder"));
        }
        ctx.home().make_dirs(&folder).await?;
        let mut unpacking = Unpacking {
            input: Input::new(ctx),
            folder,
            no_clobber: self.no_clobber,
            again: Vec::new(),
            ends: None,
            small_files: 0,
            files: 0,
            folders: 0,
        };
        let unpacked = unpacking.all().await;
        // Also when the archive is damaged, or a file cannot be stored: what came whole before that is there.
        let settled = unpacking.settle().await;
        if let Some(error) = unpacking.ends.take() {
            return Err(error);
        }
        unpacked.and(settled)?;
        let Unpacking {
            input,
            folder,
            files,
            folders,
            ..
        } = unpacking;
        input.end().await?;
        Ok(Reply::text(format!(
            "{files} files and {folders} folders unpacked into {folder}"
        )))
    }
}

/// An archive on its way into a folder.
struct Unpacking<'i, 'c> {
    input: Input<'i, 'c>,
    folder: HomePath,
    no_clobber: bool,
    /// Small files that found no room beside others.
    again: Vec<Small>,
    /// The first failure that concerns more than one member.
    ends: Option<Error>,
    small_files: u64,
    files: u64,
    folders: u64,
}

impl Unpacking<'_, '_> {
    async fn all(&mut self) -> Result<()> {
        while self.ends.is_none()
            && let Some(member) = self.input.next().await?
        {
            self.take_ended().await?;
            let place = match below(&self.folder, &member.path) {
                Ok(place) => place,
                Err(error) => {
                    self.tell(&member, Err(error)).await?;
                    continue;
                }
            };
            // Of two members of one name the later one counts. And small files are not kept waiting by one that may take hours.
            if self.input.pool.meets(&place) || member.size > SMALL_BYTES {
                self.settle().await?;
            }
            if self.ends.is_some() {
                break;
            }
            match member.kind {
                EntryType::Regular | EntryType::Continuous if member.size <= SMALL_BYTES => self.small(member, place).await?,
                EntryType::Regular | EntryType::Continuous => {
                    let stored = self.large(&member, place).await?;
                    self.tell(&member, stored).await?;
                }
                EntryType::Directory => {
                    let made = self.input.ctx.home().make_dirs(&place).await;
                    self.tell(&member, made).await?;
                }
                kind => {
                    let error = Error::unsupported(format!("is {}; only files and folders are unpacked", what(kind)));
                    self.tell(&member, Err(error.at(&place))).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes what became of a member. What is wrong with it alone is told, and the rest goes on.
    ///
    /// # Errors
    /// When nobody can be told.
    async fn tell(&mut self, member: &Member, result: Result<()>) -> Result<()> {
        if result.is_ok() {
            let is_folder = member.kind.is_dir();
            self.folders += u64::from(is_folder);
            self.files += u64::from(!is_folder);
        }
        let ends = |error: &Error| matches!(error.kind, ErrorKind::OverQuota | ErrorKind::DiskFull | ErrorKind::Internal);
        match result.map_err(|error| explain(error, member)) {
            Err(error) if ends(&error) => {
                self.ends.get_or_insert(error);
                Ok(())
            }
            result => self.input.ctx.item(result, true).await.map(drop),
        }
    }

    /// Takes what became of a small file. One that found no room is tried once more when it is alone: the others may have held more
    /// room than they needed, beside files that they replaced.
    async fn take(&mut self, (small, stored): Stored) -> Result<()> {
        if stored.as_ref().is_err_and(|error| error.kind == ErrorKind::OverQuota) {
            self.again.push(small);
            return Ok(());
        }
        self.tell(&small.member, stored).await
    }

    /// Takes what has ended already.
    async fn take_ended(&mut self) -> Result<()> {
        while let Some(stored) = self.input.pool.ended() {
            self.take(stored).await?;
        }
        if !self.again.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits for all that is on its way into the store.
    ///
    /// # Errors
    /// When nobody could be told of one; the others are stored nevertheless.
    async fn settle(&mut self) -> Result<()> {
        let mut told = Ok(());
        while let Some(stored) = self.input.pool.next().await {
            told = told.and(self.take(stored).await);
        }
        let mut again = std::mem::take(&mut self.again);
        again.sort_by_key(|small| small.number);
        for small in again {
            let stored = small.store(self.input.ctx.home()).await;
            let is_stored = stored.is_ok();
            told = told.and(self.tell(&small.member, stored).await);
            if !is_stored && self.ends.is_some() {
                break;
            }
        }
        told
    }

    /// Has a small file stored while the archive is read on.
    async fn small(&mut self, member: Member, place: HomePath) -> Result<()> {
        let mut contents = Vec::new();
        while let Some(chunk) = self.input.piece().await? {
            contents.extend_from_slice(&chunk);
        }
        self.small_files += 1;
        let small = Small {
            request: self.request(&member, &place),
            member,
            contents,
            number: self.small_files,
        };
        let fits = self.make_room(small.size()).await?;
        let home = self.input.ctx.home().clone();
        if self.ends.is_none() && fits {
            self.input.pool.push(small, home);
        } else if self.ends.is_none() {
            // It fails, and what is behind it must not come before that.
            let stored = small.store(&home).await;
            self.tell(&small.member, stored).await?;
        }
        Ok(())
    }

    /// Waits until a file of so many bytes can be stored beside the others as well as behind them: each takes room beside the file
    /// that it replaces. Gives whether there is enough of it.
    async fn make_room(&mut self, size: u64) -> Result<bool> {
        loop {
            self.take_ended().await?;
            // If it cannot be known now, the upload fails of itself.
            let usage = self.input.ctx.home().usage().await.unwrap_or_default();
            let pool = &mut self.input.pool;
            let needed = size.saturating_add(pool.size());
            let fits = usage.free().is_none_or(|free| needed <= free);
            if pool.is_idle() || (fits && !pool.is_full()) || self.ends.is_some() {
                return Ok(fits);
            }
            if let Some(stored) = pool.next().await {
                self.take(stored).await?;
            }
        }
    }

    /// Stores a file as it comes. The outer error is the archive's and ends it, the inner one the file's.
    async fn large(&mut self, member: &Member, place: HomePath) -> Result<Result<()>> {
        let request = self.request(member, &place);
        let mut hasher = request.algorithm.hasher();
        let mut upload = match open(self.input.ctx.home(), request, member.size).await {
            Ok(upload) => upload,
            Err(error) => return Ok(Err(error)),
        };
        while let Some(chunk) = self.input.piece().await? {
            hasher.update(&chunk);
            if let Err(error) = upload.write(chunk).await {
                return Ok(Err(error));
            }
        }
        Ok(upload.commit(hasher.finish()).await.map(drop))
    }

    fn request(&self, member: &Member, place: &HomePath) -> UploadRequest {
        UploadRequest {
            modified: member.modified,
            executable: member.executable,
            algorithm: Algorithm::Blake3,
            no_clobber: self.no_clobber,
            // A stream leaves nothing behind when the archive breaks off in it.
            ..UploadRequest::new(place.clone())
        }
    }
}

/// A member's failure, with the name that it has in the archive.
fn explain(mut error: Error, member: &Member) -> Error {
    let name = member.shown();
    if !error.message.contains(&name) {
        error.message = format!("{name}: {}", error.message).into();
    }
    error
}

/// The place of a member: below the folder, whatever its name says.
fn below(folder: &HomePath, path: &[u8]) -> Result<HomePath> {
    if path.len() > PATH_BYTES {
        return Err(Error::bad_path(format!("a name of more than {PATH_BYTES} bytes")));
    }
    if path.starts_with(b"/") {
        return Err(Error::denied("an absolute name leads out of the folder"));
    }
    let mut place = folder.clone();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(Error::denied("a name with `..` leads out of the folder")),
            name => place = place.join(name)?,
        }
    }
    Ok(place)
}

fn what(kind: EntryType) -> String {
    match kind {
        EntryType::Link => "a second name of a file".to_owned(),
        EntryType::Symlink => "a link".to_owned(),
        EntryType::Char | EntryType::Block => "a device".to_owned(),
        EntryType::Fifo => "a pipe".to_owned(),
        EntryType::GNUSparse => "a sparse file".to_owned(),
        kind => format!("of kind `{}`", escape(&[kind.as_byte()])),
    }
}

ferry_core::register!(Untar);
