//! Ranks as threads of one process: the exchange without MPI.

use std::sync::{Arc, Barrier, Mutex};

use super::{Gathered, Ranks};

struct Shared {
    barrier: Barrier,
    messages: Mutex<Vec<Vec<u8>>>,
}

/// One of several threads that exchange messages.
pub(crate) struct Thread {
    rank: usize,
    size: usize,
    shared: Arc<Shared>,
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn machine(&self) -> String {
        format!("machine {}", self.rank / 2)
    }

    fn all_gather(&self, bytes: &[u8], gathered: &mut Gathered) -> Result<(), String> {
        self.shared.messages.lock().unwrap()[self.rank] = bytes.to_vec();
        self.shared.barrier.wait();
        gathered.clear();
        self.shared.messages.lock().unwrap().iter().for_each(|message| gathered.push(&[message]));
        self.shared.barrier.wait();
        Ok(())
    }
}

/// Runs a job on several ranks, and returns their results.
pub(crate) fn on_ranks<X: Send>(size: usize, job: impl Fn(&Thread) -> X + Sync) -> Vec<X> {
    let shared = Arc::new(Shared { barrier: Barrier::new(size), messages: Mutex::new(vec![Vec::new(); size]) });
    std::thread::scope(|scope| {
        let start = |rank| {
            let (shared, job) = (Arc::clone(&shared), &job);
            scope.spawn(move || job(&Thread { rank, size, shared }))
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
