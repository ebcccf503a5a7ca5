//! Several futures under way at once, polled by one task: transfers side by side.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The task that polls a pool.
#[derive(Debug, Default)]
struct Parent(Mutex<Option<Waker>>);

impl Parent {
    fn set(&self, waker: &Waker) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|current| current.will_wake(waker)) {
            *current = Some(waker.clone());
        }
    }

    fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Whether one future has something to do, so that the others are left alone.
#[derive(Debug)]
struct Flag {
    is_ready: AtomicBool,
    parent: Arc<Parent>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_ready.store(true, Ordering::Release);
        self.parent.wake();
    }
}

struct Running<'f, T> {
    future: Pin<Box<dyn Future<Output = T> + 'f>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// At most so many futures under way. Dropping it drops them.
pub struct Pool<'f, T> {
    running: Vec<Running<'f, T>>,
    /// Ended while something else was waited for.
    ended: VecDeque<T>,
    parent: Arc<Parent>,
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
            ended: VecDeque::new(),
            parent: Arc::default(),
            most: most.max(1),
        }
    }

    /// Waits until there is room for one more; gives what a future ended with, should one have to end for it.
    pub async fn room(&mut self) -> Option<T> {
        if self.running.len() + self.ended.len() < self.most {
            None
        } else {
            self.next().await
        }
    }

    /// Adds a future. It moves on whenever the pool is waited for.
    pub fn push(&mut self, future: impl Future<Output = T> + 'f) {
        let flag = Arc::new(Flag {
            is_ready: AtomicBool::new(true),
            parent: self.parent.clone(),
        });
        self.running.push(Running {
            future: Box::pin(future),
            waker: flag.clone().into(),
            flag,
        });
    }

    /// Polls what has something to do.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        // First, so that no wake-up from here on is missed.
        self.parent.set(cx.waker());
        for at in 0..self.running.len() {
            let one = &mut self.running[at];
            if one.flag.is_ready.swap(false, Ordering::Acquire)
                && let Poll::Ready(value) = one.future.as_mut().poll(&mut Context::from_waker(&one.waker))
            {
                drop(self.running.remove(at));
                return Poll::Ready(value);
            }
        }
        Poll::Pending
    }

    /// What the next future ends with; `None` when none is under way.
    pub async fn next(&mut self) -> Option<T> {
        if let Some(value) = self.ended.pop_front() {
            return Some(value);
        }
        poll_fn(|cx| match self.running.is_empty() {
            true => Poll::Ready(None),
            false => self.poll(cx).map(Some),
        })
        .await
    }

    /// Waits for something else, while the pool moves on.
    pub async fn beside<R>(&mut self, work: impl Future<Output = R>) -> R {
        let mut work = pin!(work);
        poll_fn(|cx| {
            while let Poll::Ready(value) = self.poll(cx) {
                self.ended.push_back(value);
            }
            work.as_mut().poll(cx)
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

    #[test]
    fn a_pool_moves_on_while_something_else_is_waited_for() {
        block_on(async {
            let (sender, receiver) = async_channel::bounded::<u8>(1);
            let mut pool: Pool<'_, u8> = Pool::new(1);
            pool.push(async {
                sender.send(7).await.unwrap();
                8
            });
            assert_eq!(pool.beside(receiver.recv()).await, Ok(7));
            assert_eq!((pool.room().await, pool.next().await), (Some(8), None));
        });
    }

    #[test]
    fn a_future_is_polled_only_when_it_was_woken() {
        block_on(async {
            let (sender, receiver) = async_channel::bounded::<u8>(1);
            let polls = std::cell::Cell::new(0);
            let mut pool: Pool<'_, u8> = Pool::new(2);
            pool.push(poll_fn(|_| {
                polls.set(polls.get() + 1);
                Poll::Pending
            }));
            pool.push(async { receiver.recv().await.unwrap() });
            pool.beside(ferry_core::rt::unblock(|| ())).await;
            sender.send(1).await.unwrap();
            assert_eq!((pool.next().await, polls.get()), (Some(1), 1));
        });
    }
}
