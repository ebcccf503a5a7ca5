//! A walk through a tree of any size in memory that does not grow with it; see [`GuardedHome::scan`].

use std::fmt;

use super::GuardedHome;
use crate::error::{Error, ErrorKind, Result};
use crate::path::HomePath;
use crate::store::{Entry, EntryKind, Listing};

/// The most entries of one folder that are gathered and sorted. A larger folder is given as it is read, and stays open.
const SORTED_MAX: usize = 1000;
/// The most that is gathered of all folders on the way down together, in bytes; where it is used up, folders are given as they are read.
const GATHERED_MAX_BYTES: usize = 2 << 20;
/// The most folders that stay open: each holds a descriptor of the server.
const LISTINGS_MAX: usize = 4;
/// The most folders inside each other.
const OPEN_MAX: usize = 100;
/// After so many entries others have their turn, and whoever cancels is heard.
const PAUSE_EVERY: u32 = 16;

/// A folder on the way down.
struct Level {
    place: HomePath,
    /// What is still to come of what was read, last one first.
    entries: Vec<Entry>,
    /// What these take, in bytes.
    weight: usize,
    /// Where more comes from.
    listing: Option<Box<dyn Listing>>,
}

/// A walk through a tree; see [`GuardedHome::scan`].
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
/// # rt::block_on(async {
/// home.write_file(&HomePath::parse("/a.txt")?, b"abc").await?;
/// home.write_file(&HomePath::parse("/b.txt")?, b"de").await?;
/// let (mut scan, mut bytes) = (home.scan(&HomePath::root()).await?, 0);
/// while let Some((_place, entry, _depth)) = scan.next().await? {
///     bytes += entry.size;
/// }
/// assert_eq!(bytes, 5);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub struct Scan {
    home: GuardedHome,
    top: Option<(HomePath, Entry)>,
    open: Vec<Level>,
    /// The folder that was given last, whose entries come next.
    enter: Option<HomePath>,
    given: u32,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({} folders open)", self.open.len())
    }
}

impl Scan {
    pub(super) fn new(home: GuardedHome, place: HomePath, entry: Entry) -> Self {
        Self {
            home,
            top: Some((place, entry)),
            open: Vec::new(),
            enter: None,
            given: 0,
        }
    }

    /// The next entry with its place and how many folders it is below the top, which is 0; `None` at the end. A folder that is
    /// gone meanwhile is passed over.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dirs(&HomePath::parse("/a/b")?).await?;
    /// let mut scan = home.scan(&HomePath::parse("/a")?).await?;
    /// assert!(matches!(scan.next().await?, Some((_, _, 0))));
    /// assert!(matches!(scan.next().await?, Some((place, _, 1)) if place == HomePath::parse("/a/b")?));
    /// assert!(scan.next().await?.is_none());
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store says of one folder, `too_large` for one that is more than 100 deep, or in a fifth one that is too large to be
    /// gathered. The walk can go on: the next call passes over the rest of that folder.
    pub async fn next(&mut self) -> Result<Option<(HomePath, Entry, usize)>> {
        self.given = self.given.wrapping_add(1);
        if self.given.is_multiple_of(PAUSE_EVERY) {
            futures_lite::future::yield_now().await;
        }
        if let Some((place, entry)) = self.top.take() {
            return Ok(Some(self.give(place, entry)));
        }
        if let Some(place) = self.enter.take() {
            match self.enter(&place).await {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                entered => entered?,
            }
        }
        loop {
            let Some(level) = self.open.last_mut() else {
                return Ok(None);
            };
            if let Some(entry) = level.entries.pop() {
                let place = level.place.join(&entry.name)?;
                return Ok(Some(self.give(place, entry)));
            }
            let more = match &mut level.listing {
                Some(listing) => listing.next().await,
                None => Ok(Vec::new()),
            };
            match more {
                Ok(entries) if !entries.is_empty() => level.entries = entries,
                ended => {
                    self.open.pop();
                    ended?;
                }
            }
        }
    }

    /// Leaves out what is in the folder that was given last.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dirs(&HomePath::parse("/a/b")?).await?;
    /// let mut scan = home.scan(&HomePath::parse("/a")?).await?;
    /// assert!(scan.next().await?.is_some());
    /// scan.pass_over();
    /// assert!(scan.next().await?.is_none());
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn pass_over(&mut self) {
        self.enter = None;
    }

    fn give(&mut self, place: HomePath, entry: Entry) -> (HomePath, Entry, usize) {
        self.enter = (entry.kind == EntryKind::Dir).then(|| place.clone());
        (place, entry, self.open.len())
    }

    async fn enter(&mut self, place: &HomePath) -> Result<()> {
        if self.open.len() >= OPEN_MAX {
            return Err(too_large(place, format_args!("{OPEN_MAX} folders")));
        }
        let mut listing = self.home.list(place).await?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut weight = 0;
        let mut is_at_end = false;
        let most = GATHERED_MAX_BYTES.saturating_sub(self.open.iter().map(|level| level.weight).sum());
        while !is_at_end && entries.len() <= SORTED_MAX && (entries.is_empty() || weight <= most) {
            let more = listing.next().await?;
            is_at_end = more.is_empty();
            weight += more.iter().map(|entry| size_of::<Entry>() + entry.name.len()).sum::<usize>();
            entries.extend(more);
        }
        if is_at_end {
            entries.sort_by(|a, b| b.name.cmp(&a.name));
        } else if self.open.iter().filter(|level| level.listing.is_some()).count() >= LISTINGS_MAX {
            return Err(too_large(place, format_args!("{LISTINGS_MAX} large folders")));
        }
        self.open.push(Level {
            place: place.clone(),
            entries,
            weight,
            listing: (!is_at_end).then_some(listing),
        });
        Ok(())
    }
}

fn too_large(place: &HomePath, most: fmt::Arguments<'_>) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{place}: more than {most} inside each other"))
        .at(place)
        .hint("name this folder by itself")
}
