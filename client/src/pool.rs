//! Several futures under way at once, polled by one task: transfers side by side.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// At most so many futures under way. Dropping it drops them.
pub struct Pool<'f, T> {
    running: Vec<Pin<Box<dyn Future<Output = T> + 'f>>>,
    most: usize,
}

impl<T> std::fmt::Debug for Pool<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} of {})", self.running.len(), self.most)
    }
}

impl<'f, T> Pool<'f, T> {
    /// A pool for `most` futures, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            running: Vec::new(),
            most: most.max(1),
        }
    }

    /// Waits until there is room for one more; gives what a future ended with, should one have to end for it.
    pub async fn room(&mut self) -> Option<T> {
        if self.running.len() < self.most {
            None
        } else {
            self.next().await
        }
    }

    /// Adds a future. It moves on whenever the pool is waited for.
    pub fn push(&mut self, future: impl Future<Output = T> + 'f) {
        self.running.push(Box::pin(future));
    }

    /// What the next future ends with; `None` when none is under way.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| {
            if self.running.is_empty() {
                return Poll::Ready(None);
            }
            // A pool is small, so each wake-up may look at all of it.
            for at in 0..self.running.len() {
                if let Poll::Ready(value) = self.running[at].as_mut().poll(cx) {
                    drop(self.running.remove(at));
                    return Poll::Ready(Some(value));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::rt::block_on;

    #[test]
    fn futures_run_side_by_side_up_to_the_limit() {
        block_on(async {
            let (sender, receiver) = async_channel::bounded::<u8>(1);
            let mut pool: Pool<'_, u8> = Pool::new(2);
            assert_eq!(pool.room().await, None);
            // The first can only end once the second has run.
            pool.push(async { receiver.recv().await.unwrap() });
            assert_eq!(pool.room().await, None);
            pool.push(async {
                sender.send(7).await.unwrap();
                8
            });
            let mut ended = vec![pool.room().await.unwrap(), pool.next().await.unwrap()];
            ended.sort_unstable();
            assert_eq!((ended, pool.next().await), (vec![7, 8], None));
        });
    }
}
