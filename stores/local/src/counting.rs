//! What a home uses, counted after a crash while whoever only reads goes on: the ledger is gone then, and a walk over a million files takes
//! seconds.
//!
//! Until the number is known nothing reads it and nothing changes the tree. Both wait for the one who counts. A small home is counted before
//! anybody gets it, and none of this is seen of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::verb::BoxFuture;
use ferry_core::{Error, Result, rt};

use crate::home::{Inner, LocalHome};
use crate::ledger::recount;
use crate::lock;

/// The most entries of a home that is counted when it is opened: about 10 ms of work.
pub(crate) const AT_ONCE_ENTRIES: usize = 10_000;

impl Inner {
    /// Enters into the books what is used, when the ledger could not say it.
    fn count(&self) -> Result<()> {
        let ledger = lock(&self.ledger);
        if !self.is_counted.load(Ordering::Acquire) {
            let used = recount(&self.jail, usize::MAX).map_err(|errno| Error::from_io("home", errno.into()))?;
            lock(&self.books).usage.used = used;
            self.is_counted.store(true, Ordering::Release);
        }
        drop(ledger);
        Ok(())
    }
}

impl LocalHome {
    /// Starts counting what is used, where the ledger could not say it: nobody who only reads waits for that.
    pub(crate) fn begin_count(&self) {
        if !self.0.is_counted.load(Ordering::Acquire) {
            let home = self.clone();
            // Whoever needs the number meets a failure himself, and tries again.
            drop(rt::spawn(async move { home.wait_for_count().await.is_ok() }));
        }
    }

    /// Waits until it is known what is used.
    ///
    /// # Errors
    /// What the file system says; the next one tries again.
    pub(crate) async fn wait_for_count(&self) -> Result<()> {
        let count = || {
            let inner = self.0.clone();
            rt::unblock(move || inner.count())
        };
        match self.0.is_counted.load(Ordering::Acquire) {
            true => Ok(()),
            false => self.0.counting.get_or_try_init(count).await.copied(),
        }
    }

    /// Runs blocking work that changes the home or needs to know what is used, once that is known.
    ///
    /// # Errors
    /// As [`Self::wait_for_count`], and what the work says.
    pub(crate) fn counted<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T>> {
        let home = self.clone();
        Box::pin(async move {
            home.wait_for_count().await?;
            home.run(work).await
        })
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::store::{Home as _, UploadRequest, WholeUpload};
    use ferry_core::{Algorithm, Chunk, HomePath};
    use futures_lite::future::poll_once;

    use super::*;
    use crate::{LocalStore, Options, open_home};

    #[test]
    fn a_home_that_is_being_counted_is_read_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path(), Options::default()).unwrap();
        std::fs::create_dir(folder.path().join("homes/al")).unwrap();
        std::fs::write(folder.path().join("homes/al/a"), b"12345").unwrap();
        let home = open_home(&store.folders, Options::default(), "al").unwrap();
        assert!(home.0.is_counted.swap(false, Ordering::AcqRel), "there is little to count");
        let (root, a) = (HomePath::root(), HomePath::parse("/a").unwrap());
        // Whoever counts waits for this, as others wait for whoever counts.
        let held = lock(&home.0.ledger);
        rt::block_on(async {
            home.begin_count();
            assert_eq!(home.stat(&a).await.unwrap().size, 5);
            let mut listing = home.list(&root).await.unwrap();
            assert_eq!(listing.next().await.unwrap().len(), 1);
            assert!(poll_once(home.usage()).await.is_none());
            assert!(poll_once(home.remove_file(&a)).await.is_none());
            assert!(poll_once(home.upload(UploadRequest::new(a.clone()))).await.is_none());
            let whole = WholeUpload {
                request: UploadRequest::new(a.clone()),
                contents: Arc::new(Chunk::from(&b"1"[..])),
                digest: Algorithm::Md5.digest(b"1"),
                spare_same: false,
            };
            assert!(poll_once(home.store(whole)).await.is_none());
        });
        home.0.close().unwrap();
        drop(held);
        rt::block_on(async {
            assert_eq!(home.usage().await.unwrap().used, 5);
            home.remove_file(&a).await.unwrap();
            assert_eq!(home.usage().await.unwrap().used, 0);
        });
        assert!(!folder.path().join("ledger/al").exists());
        home.0.close().unwrap();
        assert!(folder.path().join("ledger/al").exists());
    }
}
