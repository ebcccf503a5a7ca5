//! What must be caught: a home that asks where a path leads, and opens it when the answer is good.

use std::fs;
use std::io;
use std::path::PathBuf;

use ferry_core::{Algorithm, Digest, Error, HomePath};

use crate::ground::Ground;
use crate::hands::{Ended, Hands, INSIDE};
use crate::trap::MARKER;

/// The control's home.
pub(crate) struct Canonical {
    home: PathBuf,
}

impl Canonical {
    /// The home of alice.
    pub(crate) fn new(ground: &Ground) -> Self {
        let home = ground.home.canonicalize().unwrap();
        Self { home }
    }

    /// Where something is that is there.
    fn there(&self, at: &HomePath) -> io::Result<PathBuf> {
        let relative = std::str::from_utf8(&at.as_bytes()[1..]).unwrap();
        let place = self.home.join(relative).canonicalize()?;
        match place.starts_with(&self.home) {
            true => Ok(place),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Where a name is, whatever it is the name of.
    fn named(&self, at: &HomePath) -> io::Result<PathBuf> {
        let folder = self.there(&at.parent().unwrap())?;
        Ok(folder.join(std::str::from_utf8(at.name().unwrap()).unwrap()))
    }
}

fn ended<T>(result: io::Result<T>) -> Ended<T> {
    result.map_err(|error| Error::from_io("control", error).kind)
}

impl Hands for Canonical {
    fn read(&self, at: &HomePath) -> Ended<Vec<u8>> {
        ended(self.there(at).and_then(fs::read))
    }

    fn stat(&self, at: &HomePath) -> Ended<u64> {
        let meta = self.named(at).and_then(fs::symlink_metadata);
        ended(meta.map(|meta| if meta.is_file() { meta.len() } else { 0 }))
    }

    fn list(&self, at: &HomePath) -> Ended<Vec<Vec<u8>>> {
        let items = self.there(at).and_then(fs::read_dir);
        let names = items.and_then(|items| {
            items
                .map(|item| Ok(item?.file_name().into_encoded_bytes()))
                .collect::<io::Result<_>>()
        });
        ended(names)
    }

    fn write(&self, at: &HomePath, _fresh: bool, no_clobber: bool) -> Ended<()> {
        let place = match self.there(at) {
            Ok(_) if no_clobber => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.named(at),
            place => place,
        };
        ended(place.and_then(|place| fs::write(place, INSIDE)))
    }

    fn recognise(&self, at: &HomePath) -> Ended<Option<Digest>> {
        let bytes = self.read(at)?;
        Ok((bytes.len() == MARKER.len()).then(|| Algorithm::Blake3.digest(&bytes)))
    }

    fn make_dir(&self, at: &HomePath) -> Ended<()> {
        ended(self.named(at).and_then(fs::create_dir))
    }

    fn remove_file(&self, at: &HomePath) -> Ended<()> {
        ended(self.named(at).and_then(fs::remove_file))
    }

    fn remove_dir(&self, at: &HomePath) -> Ended<()> {
        ended(self.named(at).and_then(fs::remove_dir))
    }

    fn rename(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Ended<()> {
        ended(self.named(from).and_then(|from| {
            let to = self.named(to)?;
            if no_clobber && to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }))
    }
}
