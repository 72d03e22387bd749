//! A pool of threads that each own one model, fed by two bounded queues: live work first, the rest after.
//!
//! A model is built on its thread and never leaves it. A full queue makes the sender wait (async) or fail at
//! once (`try_`-less on purpose: who waits holds the back-pressure). Work whose client has gone is dropped
//! unrun. A panic inside a model is a failed reply, and the thread builds the model anew.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::{EngineError, Job};

/// Which queue a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody is waiting for it right now.
    Live,
    /// It may wait until no live work is there.
    Deferred,
}

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
    live: VecDeque<Task<M>>,
    deferred: VecDeque<Task<M>>,
    open: bool,
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
    live_places: Semaphore,
    deferred_places: Semaphore,
    workers: usize,
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
            queues: Mutex::new(Queues { live: VecDeque::new(), deferred: VecDeque::new(), open: true }),
            work: Condvar::new(),
        });
        let pool = Self {
            inner: Arc::new(Inner {
                shared: shared.clone(),
                live_places: Semaphore::new(queue.max(1)),
                deferred_places: Semaphore::new(queue.max(1)),
                workers: workers.max(1),
            }),
        };
        let factory: Factory<M> = Arc::new(factory);
        let (built, results) = std::sync::mpsc::channel();
        for n in 0..workers.max(1) {
            let (shared, factory, built) = (shared.clone(), factory.clone(), built.clone());
            thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || own_model(&shared, &factory, &built))
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

    /// Jobs that wait, both lanes.
    pub fn waiting(&self) -> usize {
        let queues = self.inner.shared.lock();
        queues.live.len() + queues.deferred.len()
    }

    /// Runs a job, waiting for a place in its lane first. Dropping the future drops a job that has not begun.
    pub async fn run<J: Job<M>>(&self, lane: Lane, job: J) -> Result<J::Reply, PoolError> {
        let places = match lane {
            Lane::Live => &self.inner.live_places,
            Lane::Deferred => &self.inner.deferred_places,
        };
        let _place = places.acquire().await.map_err(|_| PoolError::Gone)?;
        let (reply, result) = oneshot::channel();
        let task: Task<M> = Box::new(move |model| {
            if !reply.is_closed() {
                // The receiver may go away meanwhile; then nobody wants the answer.
                let _ = reply.send(job.run(model));
            }
        });
        {
            let mut queues = self.inner.shared.lock();
            match lane {
                Lane::Live => queues.live.push_back(task),
                Lane::Deferred => queues.deferred.push_back(task),
            }
        }
        self.inner.shared.work.notify_one();
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
    while let Some(task) = next_task(shared) {
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

fn next_task<M: ?Sized>(shared: &Shared<M>) -> Option<Task<M>> {
    let mut queues = shared.lock();
    loop {
        if let Some(task) = queues.live.pop_front().or_else(|| queues.deferred.pop_front()) {
            return Some(task);
        }
        if !queues.open {
            return None;
        }
        queues = shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
    }
}
