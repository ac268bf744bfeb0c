//! Worker threads that are started once, each with its own storage, and live until they are dropped.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use super::panics;

/// Workers with their storage. Work that is passed to them may borrow; it is finished when the call returns.
pub(crate) struct Workers<T> {
    /// None if the calling thread is the only worker.
    pool: Option<ThreadPool>,
    tools: Vec<Mutex<T>>,
}

/// A worker panicked, with its message.
#[derive(Debug)]
pub(crate) struct WorkerPanic(pub(crate) String);

impl<T: Send> Workers<T> {
    /// Starts up to `most` workers, at least one. If the system cannot start that many threads, there are fewer. Each creates its own
    /// storage.
    ///
    /// # Errors
    ///
    /// The error of the first worker that could not create its storage.
    pub(crate) fn new<E: From<WorkerPanic> + Send>(most: usize, make: impl Fn() -> Result<T, E> + Sync) -> Result<Self, E> {
        let pool = start(most, spawn);
        let tools = on_each(pool.as_ref(), |_| make())?.into_iter().map(Mutex::new).collect();
        Ok(Self { pool, tools })
    }

    /// The number of workers.
    pub(crate) fn count(&self) -> usize {
        self.tools.len()
    }

    /// Lets every worker do `work` with its own storage, and returns when all are finished: their results, in order.
    ///
    /// # Errors
    ///
    /// The error of the first worker that failed or panicked; the others finish their part.
    pub(crate) fn run<X: Send, E: From<WorkerPanic> + Send>(&mut self, work: impl Fn(&mut T) -> Result<X, E> + Sync) -> Result<Vec<X>, E> {
        let tools = &self.tools;
        on_each(self.pool.as_ref(), |worker| work(&mut tools[worker].lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// How many of `count` items a worker takes at once: at most `batch`, and so that all workers have about the same amount of work.
pub(crate) fn even_chunk(count: usize, batch: usize, workers: usize) -> usize {
    let rounds = count.div_ceil(batch * workers);
    count.div_ceil(rounds.max(1) * workers).max(1)
}

fn on_each<X: Send, E: From<WorkerPanic> + Send>(
    pool: Option<&ThreadPool>,
    work: impl Fn(usize) -> Result<X, E> + Sync,
) -> Result<Vec<X>, E> {
    let contained = |worker| {
        let done = catch_unwind(AssertUnwindSafe(|| work(worker)));
        done.unwrap_or_else(|panic| Err(WorkerPanic(panics::text(&*panic).to_owned()).into()))
    };
    match pool {
        Some(pool) => pool.broadcast(|context| contained(context.index())).into_iter().collect(),
        None => Ok(vec![contained(0)?]),
    }
}

/// Starts `most` threads; if some are refused, tries again with half as many, and so on. None for a single one.
fn start(most: usize, spawn: fn(ThreadBuilder) -> io::Result<()>) -> Option<ThreadPool> {
    let counts = std::iter::successors(Some(most), |count| Some(count / 2)).take_while(|count| *count > 1);
    counts.map(|count| ThreadPoolBuilder::new().num_threads(count).spawn_handler(spawn).build()).find_map(Result::ok)
}

fn spawn(worker: ThreadBuilder) -> io::Result<()> {
    std::thread::Builder::new().name(format!("worker {}", worker.index())).spawn(|| worker.run()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::{ThreadId, current};

    use super::*;

    impl From<WorkerPanic> for String {
        fn from(WorkerPanic(said): WorkerPanic) -> Self {
            format!("panic: {said}")
        }
    }

    fn workers(count: usize) -> Workers<(ThreadId, usize)> {
        Workers::new(count, || Ok::<_, String>((current().id(), 0))).unwrap()
    }

    #[test]
    fn each_worker_keeps_its_thread_and_its_tools() {
        for count in [1, 4] {
            let mut workers = workers(count);
            assert_eq!(workers.count(), count);
            let mut threads = HashSet::new();
            for calls in 1..20 {
                let found = workers.run(|(thread, calls)| {
                    assert_eq!(*thread, current().id());
                    *calls += 1;
                    Ok::<_, String>((*thread, *calls))
                });
                threads.extend(found.unwrap().into_iter().map(|(thread, made)| {
                    assert_eq!(made, calls);
                    thread
                }));
            }
            assert_eq!(threads.len(), count);
        }
    }

    #[test]
    fn work_may_borrow() {
        let mut numbers = vec![0; 1000];
        let chunks = Mutex::new(numbers.chunks_mut(7));
        let work = |_: &mut _| {
            while let Some(chunk) = { chunks.lock().unwrap().next() } {
                chunk.iter_mut().for_each(|number| *number += 1);
            }
            Ok::<_, String>(())
        };
        workers(3).run(work).unwrap();
        assert!(numbers.iter().all(|number| *number == 1));
    }

    #[test]
    fn errors_and_panics_do_not_end_threads() {
        for count in [1, 3] {
            let mut workers = workers(count);
            let failed = workers.run(|_| Err::<(), _>("no".to_owned())).unwrap_err();
            assert_eq!(failed, "no");
            let _silent = (count == 1).then(panics::silence);
            let panicked = workers.run(|_| -> Result<(), String> { panic!("it is {}", 5) }).unwrap_err();
            assert_eq!(panicked, "panic: it is 5");
            assert_eq!(workers.run(|_| Ok::<_, String>(())).unwrap().len(), count);
        }
    }

    #[test]
    fn if_threads_are_refused_fewer_do_the_work() {
        let at_most_three = |worker: ThreadBuilder| if worker.index() < 3 { spawn(worker) } else { Err(io::Error::other("no more")) };
        assert_eq!(start(8, at_most_three).map(|pool| pool.current_num_threads()), Some(2));
        assert_eq!(start(3, at_most_three).map(|pool| pool.current_num_threads()), Some(3));
        assert!(start(8, |_| Err(io::Error::other("none"))).is_none() && start(1, spawn).is_none());
    }

    #[test]
    fn chunks_are_even_and_no_larger_than_the_batch() {
        for (count, batch, workers) in [(400, 16, 2), (200, 16, 2), (1, 16, 8), (17, 16, 1), (33, 4, 3), (0, 16, 2)] {
            let chunk = even_chunk(count, batch, workers);
            assert!((1..=batch).contains(&chunk), "{count} in chunks of {chunk}");
            // No worker gets more chunks than necessary.
            assert_eq!(count.div_ceil(chunk).div_ceil(workers), count.div_ceil(batch * workers), "{count} in chunks of {chunk}");
        }
    }
}
