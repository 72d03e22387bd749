//! A pool of threads that each own one model, fed by three bounded queues: live work first, the rest after.
//! While live work may come, the first thread does nothing else ([`Pool::expect_live`]): it is free at once, and its
//! model never grows to the size that the rest needs.
//!
//! A model is built on its thread and never leaves it. A full queue makes the sender wait (async) or fail at
//! once (`try_`-less on purpose: who waits holds the back-pressure). Work whose client has gone is dropped
//! unrun. A panic inside a model is a failed reply, and the thread builds the model anew.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::{EngineError, Job};

/// Which queue a job waits in; the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody is waiting for it right now.
    Live,
    /// The second look at a visit that goes on: its worth ends with the visit.
    Second,
    /// It may wait until nothing else is there.
    Deferred,
}

const LANES: usize = 3;

/// Why a job gave no reply.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The model said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The pool is shut down, or the model's thread died on this job.
    #[error("the model's thread is gone")]
    Gone,
}

type Task<M> = Box<dyn FnOnce(&mut M) + Send>;
type Factory<M> = Arc<dyn Fn() -> Result<Box<M>, EngineError> + Send + Sync>;

struct Queues<M: ?Sized> {
    /// By lane, in their order.
    lanes: [VecDeque<Task<M>>; LANES],
    /// Those who said that live work may come.
    expected: usize,
    open: bool,
}

impl<M: ?Sized> Queues<M> {
    /// The next task for a thread; one `for_live` takes no other while live work may come.
    fn next(&mut self, for_live: bool) -> Option<Task<M>> {
        let lanes = if for_live && self.expected > 0 { 1 } else { LANES };
        self.lanes.iter_mut().take(lanes).find_map(VecDeque::pop_front)
    }
}

struct Shared<M: ?Sized> {
    queues: Mutex<Queues<M>>,
    work: Condvar,
}

impl<M: ?Sized> Shared<M> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queues<M>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cheap handle to the threads; the last one dropped ends them.
pub struct Pool<M: ?Sized + 'static> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: ?Sized + 'static> {
    shared: Arc<Shared<M>>,
    /// By lane.
    places: [Semaphore; LANES],
    workers: usize,
}

/// Live work may come for as long as this is held.
pub struct Expected<M: ?Sized + 'static>(Pool<M>);

impl<M: ?Sized> Drop for Expected<M> {
    fn drop(&mut self) {
        self.0.inner.shared.lock().expected -= 1;
        self.0.inner.shared.work.notify_all();
    }
}

impl<M: ?Sized> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<M: ?Sized + 'static> Pool<M> {
    /// Starts `workers` threads, each with its own model from `factory`, and waits until all are built.
    ///
    /// `queue` bounds each lane. The first factory error is returned and the threads end.
    pub fn start(
        name: &str,
        workers: usize,
        queue: usize,
        factory: impl Fn() -> Result<Box<M>, EngineError> + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let shared = Arc::new(Shared {
            queues: Mutex::new(Queues {
                lanes: std::array::from_fn(|_| VecDeque::new()),
                expected: 0,
                open: true,
            }),
            work: Condvar::new(),
        });
        let pool = Self {
            inner: Arc::new(Inner {
                shared: shared.clone(),
                places: std::array::from_fn(|_| Semaphore::new(queue.max(1))),
                workers: workers.max(1),
            }),
        };
        let factory: Factory<M> = Arc::new(factory);
        let (built, results) = std::sync::mpsc::channel();
        for n in 0..workers.max(1) {
            let (shared, factory, built) = (shared.clone(), factory.clone(), built.clone());
            thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || own_model(&shared, n == 0 && workers > 1, &factory, &built))
                .map_err(|e| EngineError::Failed(format!("cannot start a thread: {e}")))?;
        }
        drop(built);
        // Each thread reports once; they keep their end of the channel for as long as they live.
        for result in results.iter().take(workers.max(1)) {
            result?;
        }
        Ok(pool)
    }

    /// Number of threads.
    pub fn workers(&self) -> usize {
        self.inner.workers
    }

    /// Jobs that wait, all lanes.
    pub fn waiting(&self) -> usize {
        let queues = self.inner.shared.lock();
        queues.lanes.iter().map(VecDeque::len).sum()
    }

    /// Says that live work may come: from now on the first thread takes no other, where there are several.
    pub fn expect_live(&self) -> Expected<M> {
        self.inner.shared.lock().expected += 1;
        Expected(self.clone())
    }

    /// Whether each one who said that live work may come could have a thread of its own.
    pub fn is_calm(&self) -> bool {
        self.inner.shared.lock().expected <= self.inner.workers
    }

    /// Runs a job, waiting for a place in its lane first. Dropping the future drops a job that has not begun.
    pub async fn run<J: Job<M>>(&self, lane: Lane, job: J) -> Result<J::Reply, PoolError> {
        let _place = self.inner.places[lane as usize].acquire().await.map_err(|_| PoolError::Gone)?;
        let (reply, result) = oneshot::channel();
        let task: Task<M> = Box::new(move |model| {
            if !reply.is_closed() {
                // The receiver may go away meanwhile; then nobody wants the answer.
                let _ = reply.send(job.run(model));
            }
        });
        self.inner.shared.lock().lanes[lane as usize].push_back(task);
        // Not every thread may take every task.
        self.inner.shared.work.notify_all();
        result.await.map_err(|_| PoolError::Gone)?.map_err(PoolError::Engine)
    }
}

impl<M: ?Sized> Drop for Inner<M> {
    fn drop(&mut self) {
        self.shared.lock().open = false;
        self.shared.work.notify_all();
    }
}

/// A worker's life: build the model, run tasks until the pool closes, rebuild after a panic.
fn own_model<M: ?Sized>(
    shared: &Shared<M>,
    for_live: bool,
    factory: &Factory<M>,
    built: &std::sync::mpsc::Sender<Result<(), EngineError>>,
) {
    let mut model = match factory() {
        Ok(model) => {
            let _ = built.send(Ok(()));
            model
        }
        Err(e) => {
            let _ = built.send(Err(e));
            return;
        }
    };
    while let Some(task) = next_task(shared, for_live) {
        let run = std::panic::AssertUnwindSafe(|| task(&mut *model));
        if std::panic::catch_unwind(run).is_err() {
            tracing::error!("a model panicked; it is loaded anew");
            match factory() {
                Ok(fresh) => model = fresh,
                Err(error) => {
                    tracing::error!(%error, "the model cannot be loaded again; its thread ends");
                    return;
                }
            }
        }
    }
}

fn next_task<M: ?Sized>(shared: &Shared<M>, for_live: bool) -> Option<Task<M>> {
    let mut queues = shared.lock();
    loop {
        if let Some(task) = queues.next(for_live) {
            return Some(task);
        }
        if !queues.open {
            return None;
        }
        queues = shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Says that it began, and waits until it may end.
    struct Wait(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl Job<()> for Wait {
        type Reply = ();
        fn run(self, (): &mut ()) -> Result<(), EngineError> {
            // The test may be gone already.
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(())
        }
    }

    /// Sends a job off; tells its beginning, and lets it end when dropped.
    fn send(pool: &Pool<()>, lane: Lane) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((began, begins), (ends, end)) = (mpsc::channel(), mpsc::channel());
        let pool = pool.clone();
        tokio::spawn(async move { pool.run(lane, Wait(began, end)).await });
        (begins, ends)
    }

    /// That a job begins, and soon.
    fn begun(job: &mpsc::Receiver<()>) {
        job.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[tokio::test]
    async fn one_thread_stays_free_while_live_work_may_come() {
        let pool: Pool<()> = Pool::start("test", 2, 8, || Ok(Box::new(()))).unwrap();
        let expected = pool.expect_live();
        let (deferred, _deferred_end) = send(&pool, Lane::Deferred);
        tokio::task::yield_now().await;
        begun(&deferred);
        let (second, _second_end) = send(&pool, Lane::Second);
        tokio::task::yield_now().await;
        for _ in 0..3 {
            // If the free thread had begun the one that waits, no live job would begin.
            let (live, _live_end) = send(&pool, Lane::Live);
            tokio::task::yield_now().await;
            begun(&live);
            assert!(second.try_recv().is_err(), "both threads are taken");
        }
        drop(expected);
        begun(&second);
    }
}
