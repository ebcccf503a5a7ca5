//! Folders being sent, with all that is in them.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use ferry_core::line::Call;
use ferry_core::wire::message::Offer;
use ferry_core::{Error, ErrorKind, RemotePath, rt};

use super::Upload;
use crate::args::{Role, literal, set};
use crate::exit::{Failure, Result};
use crate::local::{self, shown};
use crate::pool::Pool;
use crate::request::Request;
use crate::source;
use crate::transfer::{Items, persist_aside};

/// How deep a folder tree may be that is sent.
const DEPTH_MAX: usize = 256;
/// The most folders that are asked for at once, so that many of them are not as many round trips.
const FOLDERS: usize = 8;

impl Upload<'_> {
    /// Sends a folder and what is in it, folders first; each entry goes to where the server says that its folder is.
    pub(super) async fn tree(&self, top: PathBuf, call: Call, items: &mut Items) -> Result<()> {
        let folder = self.folder(&call).await?;
        let mut pending = vec![(top, folder, 0)];
        let mut call = call;
        set(self.verb, &mut call, Role::Rename, Vec::new());
        let in_flight = self.session.in_flight()?;
        let folders_at_once = FOLDERS.min(in_flight.div_ceil(2));
        let mut pool = Pool::new(in_flight.saturating_sub(folders_at_once));
        let mut making = Pool::new(folders_at_once);
        while let Some((place, remote, depth)) = pending.pop() {
            let entries = {
                let place = place.clone();
                pool.beside(rt::unblock(move || local::entries(&place))).await
            };
            let Some(entries) = items.take(self.session, entries)? else {
                continue;
            };
            let target = [remote.0.as_slice(), if remote.names_a_folder() { b"" } else { b"/" }].concat();
            set(self.verb, &mut call, Role::Target, vec![literal(target)]);
            let mut folders = Vec::new();
            for (name, kind) in entries {
                let path = place.join(&name);
                set(self.verb, &mut call, Role::Source, vec![literal(name.as_bytes())]);
                if kind.is_dir() {
                    if let Some(made) = pool.beside(making.room()).await {
                        folders.extend(items.take(self.session, made)?);
                    }
                    making.push(self.folder_in(path, call.clone(), depth + 1));
                    continue;
                }
                if let Some(ended) = pool.room().await {
                    items.take(self.session, ended)?;
                }
                pool.push(self.entry(path, kind.is_symlink(), call.clone()));
            }
            while let Some(made) = pool.beside(making.next()).await {
                folders.extend(items.take(self.session, made)?);
            }
            // In the order of their names, however they came.
            folders.sort_by(|(one, ..), (other, ..)| other.cmp(one));
            pending.append(&mut folders);
        }
        while let Some(ended) = pool.next().await {
            items.take(self.session, ended)?;
        }
        Ok(())
    }

    /// Sends one entry of a folder. Links are told, not followed.
    async fn entry(&self, path: PathBuf, is_link: bool, call: Call) -> Result<()> {
        if is_link {
            let text = format!("{}: is a link; links are not followed", self.short(&path));
            return Err(Error::unsupported(text).into());
        }
        let name = self.short(&path);
        let called = name.clone();
        let eager = self.eager(&call);
        let read = self.reads.call(move || {
            let source = source::open(&path, &called, false)?;
            match eager {
                Some(algorithm) => source.read_small(&called, algorithm),
                None => Ok(source),
            }
        });
        let source = read.await?;
        self.send(source, &name, &call).await?.tell(self.session)
    }

    /// Has a folder in a tree made; gives where it is on both sides, and how deep.
    async fn folder_in(&self, path: PathBuf, call: Call, depth: usize) -> Result<(PathBuf, RemotePath, usize)> {
        if depth > DEPTH_MAX {
            return Err(Error::new(ErrorKind::TooLarge, format!("{}: too deep", shown(&path))).into());
        }
        let remote = self.folder(&call).await?;
        Ok((path, remote, depth))
    }

    /// Has a folder made; gives its place.
    async fn folder(&self, call: &Call) -> Result<RemotePath> {
        let offer = Offer {
            folder: true,
            digest: self.session.settings.digest,
            ..Offer::default()
        };
        let done = persist_aside(self.session, async |connection| {
            let mut request = Request::start(connection, self.verb, call, &self.session.cwd, Some(offer.clone())).await?;
            request.done().await
        })
        .await?;
        match done.file {
            Some(file) => Ok(file.path),
            None => Err(Failure::unexpected("a folder without a place")),
        }
    }
}
