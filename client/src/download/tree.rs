//! Folders being fetched: the list that the server gave, file by file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use async_lock::Semaphore;
use ferry_core::line::{Call, Word};
use ferry_core::store::CODE_START;
use ferry_core::{Error, ErrorKind, rt};

use super::file::{Fetched, Transfer};
use super::{Answer, Download};
use crate::args::{Role, literal, set};
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::local;
use crate::manifest::{Entry, Manifest};
use crate::part::{self, New, PART_SUFFIX, SmallFile};
use crate::place;
use crate::pool::Pool;
use crate::progress::Meter;
use crate::source::SMALL_BYTES;
use crate::transfer::{Items, Moved, persist};

/// What the server's list has brought so far.
struct Known<'t> {
    target: &'t Path,
    /// The folders that are real ones here: made, or looked at, by us. And whether we made them, so that nothing was in them.
    folders: HashMap<PathBuf, bool>,
    /// Every path that was named.
    paths: HashSet<Vec<u8>>,
}

impl<'t> Known<'t> {
    fn new(target: &'t Path, is_new: bool) -> Self {
        Self {
            target,
            folders: HashMap::from([(target.to_owned(), is_new)]),
            paths: HashSet::new(),
        }
    }

    /// Where an entry goes, and whether nothing can be there already. Only into folders that came before it in the list: so no link
    /// that lies here leads it elsewhere. And only once: two that are fetched side by side would write one file.
    ///
    /// # Errors
    /// `bad_path` for what leads out, `not_directory` for what lies in no folder of the list, `exists` for what was named before.
    fn place_of(&mut self, entry: &Entry) -> Result<(PathBuf, bool)> {
        let place = place::below(self.target, &entry.path)?;
        let shown = || ferry_core::text::escape(&entry.path);
        let Some(is_new) = place.parent().and_then(|folder| self.folders.get(folder).copied()) else {
            let text = format!("{}: lies in no folder that was fetched before it", shown());
            return Err(Error::new(ErrorKind::NotDirectory, text).into());
        };
        if !self.paths.insert(entry.path.clone()) {
            return Err(Error::exists(format!("{}: is twice in the server's list", shown())).into());
        }
        Ok((place, is_new))
    }
}

impl Download<'_> {
    /// Makes a folder like the server's and fetches its files.
    pub(super) async fn tree(
        &self,
        call: &Call,
        word: &Word,
        manifest: Manifest,
        target: &Path,
        items: &mut Items,
    ) -> Result<()> {
        let place = target.to_owned();
        let is_new = rt::unblock(move || local::make_folder(&place)).await?;
        let mut call = call.clone();
        set(self.verb, &mut call, Role::Recurse, Vec::new());
        let (large, folders) = (Semaphore::new(self.session.settings.jobs), Mutex::default());
        let mut pool = Pool::new(self.session.in_flight()?);
        let entries = manifest.into_entries();
        let total = entries.iter().map(|entry| entry.size).fold(0, u64::saturating_add);
        self.session.tally.show(self.session, Some(total));
        let mut known = Known::new(target, is_new);
        for entry in entries {
            let (place, is_new) = match known.place_of(&entry) {
                Ok(place) => place,
                Err(failure) => {
                    items.take(self.session, Err::<(), _>(failure))?;
                    continue;
                }
            };
            if entry.kind == "dir" {
                // Before what is in it.
                let folder = place.clone();
                let made = pool.beside(rt::unblock(move || local::make_folder(&folder))).await;
                if let Ok(is_new) = made {
                    known.folders.insert(place, is_new);
                }
                items.take(self.session, made)?;
                continue;
            }
            // What another file is written to before it gets its name: not while that is under way.
            let is_part = place.as_os_str().as_bytes().ends_with(PART_SUFFIX.as_bytes());
            while is_part && let Some(ended) = pool.next().await {
                items.take(self.session, ended)?;
            }
            if let Some(ended) = pool.room().await {
                items.take(self.session, ended)?;
            }
            pool.push(self.entry(call.clone(), word, (entry, place, is_new), (&large, &folders)));
            while is_part && let Some(ended) = pool.next().await {
                items.take(self.session, ended)?;
            }
        }
        while let Some(ended) = pool.next().await {
            items.take(self.session, ended)?;
        }
        drop(pool);
        let folders: BTreeSet<PathBuf> = folders.into_inner().unwrap_or_else(PoisonError::into_inner);
        rt::unblock(move || folders.iter().try_for_each(|folder| part::sync_folder(folder))).await
    }

    async fn entry(
        &self,
        mut call: Call,
        top: &Word,
        (entry, place, is_new): (Entry, PathBuf, bool),
        (large, folders): (&Semaphore, &Mutex<BTreeSet<PathBuf>>),
    ) -> Result<()> {
        let shown = || ferry_core::text::escape(&entry.path);
        match entry.kind.as_str() {
            "file" => {}
            kind => {
                let kind = ferry_core::text::escape(kind.as_bytes());
                return Err(Error::unsupported(format!("{}: is a {kind}; only files and folders are fetched", shown())).into());
            }
        }
        if !self.checksum && !is_new {
            let there = place.clone();
            let found = rt::unblock(move || local::look(&there)).await?;
            if let Some((meta, false)) = found
                && (meta.size, Some(meta.modified)) == (entry.size, entry.modified)
            {
                self.session.tally.skip(entry.size);
                return Ok(());
            }
        }
        let slash: &[u8] = if top.text.ends_with(b"/") { b"" } else { b"/" };
        let path = [&top.text, slash, &entry.path].concat();
        set(self.verb, &mut call, Role::Source, vec![literal(path)]);
        if entry.size <= SMALL_BYTES && !self.checksum {
            self.check_clobber(&place).await?;
            let reach = AtomicU64::new(0);
            let outcome = persist(self.session, async |connection| {
                self.small(connection, &call, &place, &reach).await
            })
            .await?;
            outcome.tell(self.session)?;
            let mut folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(folder) = place.parent().filter(|folder| !folders.contains(*folder)) {
                folders.insert(folder.to_owned());
            }
            return Ok(());
        }
        let _turn = large.acquire().await;
        let reach = AtomicU64::new(0);
        match persist(self.session, async |connection| {
            self.fetch(connection, &call, &place, &reach).await
        })
        .await?
        {
            Fetched::File(moved) => moved.tell(self.session),
            Fetched::Folder(_) => Err(self.became_folder(&place)),
        }
    }

    fn became_folder(&self, target: &Path) -> Failure {
        Error::new(ErrorKind::IsDirectory, format!("{}: became a folder", self.short(target))).into()
    }

    /// Takes a small file in memory, and writes it in one go.
    async fn small(&self, connection: &Connection, call: &Call, target: &Path, reach: &AtomicU64) -> Result<Moved> {
        let Answer::Contents(mut request, begin) = self.ask(connection, call, None).await? else {
            return Err(self.became_folder(target));
        };
        let Some(size) = begin.size.filter(|size| *size <= SMALL_BYTES) else {
            // It has grown since the list was made.
            let (part, _) = self.part(target).await?;
            let transfer = Transfer {
                connection,
                target,
                reach,
            };
            return self.receive(request, begin, part, transfer).await;
        };
        if begin.code != CODE_START || begin.offset != 0 {
            return Err(Failure::unexpected("contents that do not start at their beginning"));
        }
        let session = self.session;
        let mut meter = Meter::small(session, &self.short(target));
        meter.open(begin.path.as_ref(), begin.size, begin.code, 0)?;
        let mut contents = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let end = loop {
            match request.next().await? {
                Event::Data(chunk) => {
                    if (contents.len() + chunk.len()) as u64 > size {
                        return Err(Error::new(ErrorKind::DigestMismatch, "more contents than were announced").into());
                    }
                    contents.extend_from_slice(&chunk);
                    request.taken(chunk.len()).await?;
                    session.pace.keep(chunk.len()).await;
                }
                Event::End(end) => break end,
                Event::Done(_) => return Err(Failure::unexpected("contents without an end")),
                Event::Problem(error) => session.output.error(&error)?,
                _ => {}
            }
        };
        session.tally.came(size);
        // The answer's end makes room for the next request while the disk is busy with this one.
        let done = self.ended(request).await?;
        let new = New {
            modified: begin.modified,
            executable: begin.executable,
        };
        let file = SmallFile {
            target: target.to_owned(),
            contents,
            end: end.clone(),
            new,
            no_clobber: self.spares.is_some(),
        };
        part::store(&self.small_files, file).await?;
        let outcome = Some(self.outcome(&begin, &end, size, target));
        Ok(Moved { outcome, done })
    }
}
