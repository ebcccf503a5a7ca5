//! Sources that the user named, on their way side by side.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ferry_core::line::{Call, Word};

use super::Download;
use super::file::Fetched;
use crate::args::{Role, is_given, literal, set};
use crate::exit::Result;
use crate::manifest::Manifest;
use crate::part::part_of;
use crate::pool::Pool;
use crate::transfer::{Ends, Moved};

/// A source by its place on the line, and what became of it.
type Ended = (usize, Result<Fetched>);

/// The sources of one command.
pub(super) struct Named<'n> {
    download: &'n Download<'n>,
    /// The command without its sources.
    call: &'n Call,
    words: &'n [Word],
    /// Where each goes; `None` for those that cannot go anywhere.
    targets: Vec<Option<PathBuf>>,
    ends: Ends<'n>,
    /// What turned out to be a folder. They are fetched one by one while nothing else is under way, for each has a pool of its
    /// own.
    folders: Vec<(usize, Manifest)>,
}

impl<'n> Named<'n> {
    /// Of these sources, each with where it goes.
    ///
    /// # Errors
    /// That a lone source cannot go anywhere.
    pub(super) fn new(
        download: &'n Download<'n>,
        call: &'n Call,
        words: &'n [Word],
        targets: impl Iterator<Item = Result<PathBuf>>,
    ) -> Result<Self> {
        let mut named = Self {
            download,
            call,
            words,
            targets: Vec::with_capacity(words.len()),
            ends: Ends::new(download.session, words.len() > 1),
            folders: Vec::new(),
        };
        for (at, target) in targets.enumerate() {
            let target = match target {
                Ok(target) => Some(target),
                Err(failure) => {
                    named.ends.put(at, Err(failure))?;
                    None
                }
            };
            named.targets.push(target);
        }
        Ok(named)
    }

    /// Fetches them.
    ///
    /// # Errors
    /// Why it did not end well; exit code 11 when some of several failed.
    pub(super) async fn run(mut self) -> Result<()> {
        let (download, session) = (self.download, self.download.session);
        if self.words.len() > 1 && !is_given(download.verb, self.call, Role::Recurse) {
            session.tally.show(session, None);
        }
        // Each is proven by itself, and how large it is only its answer says: so not as many as small files of a folder.
        let mut pool = Pool::new(session.settings.jobs.min(session.in_flight()?));
        let mut places = BTreeSet::new();
        for at in 0..self.words.len() {
            let Some(target) = self.targets[at].clone() else {
                continue;
            };
            // One that writes where another one does comes after it.
            let ours = [part_of(&target), target.clone()];
            if ours.iter().any(|place| places.contains(place)) {
                self.settle(&mut pool).await?;
            }
            places.extend(ours);
            if let Some(ended) = pool.room().await {
                self.take(ended)?;
            }
            if !self.folders.is_empty() {
                self.settle(&mut pool).await?;
            }
            let call = self.call_of(at);
            pool.push(async move { (at, download.save(&call, &target).await) });
        }
        self.settle(&mut pool).await?;
        self.ends.finish()
    }

    fn call_of(&self, at: usize) -> Call {
        let mut call = self.call.clone();
        if self.download.joins() {
            return call;
        }
        let source = literal(self.words[at].text.clone());
        set(self.download.verb, &mut call, Role::Source, vec![source]);
        call
    }

    fn take(&mut self, (at, result): Ended) -> Result<()> {
        match result {
            Ok(Fetched::File(moved)) => self.ends.put(at, Ok(*moved)),
            Ok(Fetched::Folder(manifest)) => {
                self.folders.push((at, manifest));
                Ok(())
            }
            Err(failure) => self.ends.put(at, Err(failure)),
        }
    }

    /// Waits for all that is under way, and fetches the folders that were found.
    async fn settle(&mut self, pool: &mut Pool<'n, Ended>) -> Result<()> {
        while let Some(ended) = pool.next().await {
            self.take(ended)?;
        }
        let mut folders = std::mem::take(&mut self.folders);
        folders.sort_by_key(|(at, _)| *at);
        for (at, manifest) in folders {
            let Some(target) = &self.targets[at] else {
                continue;
            };
            let (call, items) = (self.call_of(at), &mut self.ends.items);
            items.are_several();
            let result = self.download.tree(&call, &self.words[at], manifest, target, items).await;
            self.ends.put(at, result.map(|()| Moved::default()))?;
        }
        Ok(())
    }
}
