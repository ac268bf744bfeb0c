//! Ranks over MPI.

use std::cell::RefCell;

use ::mpi::Threading;
use ::mpi::datatype::PartitionMut;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::{Gathered, Ranks};

/// Bytes that every rank sends first: the length of its message, and the beginning of the message. Most messages fit, so that one
/// collective operation is enough.
const HEAD: usize = 64;
const LENGTH: usize = 4;

/// All processes that `mpirun` or `srun` started. MPI ends when this is dropped.
pub(crate) struct World {
    world: SimpleCommunicator,
    machine: String,
    buffers: RefCell<Buffers>,
    // Dropped last: it ends MPI.
    _universe: Universe,
}

#[derive(Default)]
struct Buffers {
    heads: Vec<u8>,
    rests: Vec<u8>,
    counts: Vec<i32>,
    starts: Vec<i32>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("rank", &self.rank()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl World {
    /// Starts MPI; none if it has been started before. Only the calling thread may use it.
    #[must_use]
    pub(crate) fn start() -> Option<Self> {
        let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled)?;
        let machine = ::mpi::environment::processor_name().unwrap_or_else(|_| "unknown machine".to_owned());
        Some(Self { world: universe.world(), machine, buffers: RefCell::default(), _universe: universe })
    }

    /// The number of ranks on this machine. All ranks must call this.
    #[must_use]
    pub(crate) fn ranks_here(&self) -> usize {
        self.world.split_shared(self.world.rank()).size().max(1) as usize
    }

    /// Ends all ranks at once.
    pub(crate) fn abort(&self) -> ! {
        self.world.abort(2)
    }
}

impl Ranks for World {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn machine(&self) -> String {
        self.machine.clone()
    }

    fn all_gather(&self, bytes: &[u8], gathered: &mut Gathered) -> Result<(), String> {
        let Buffers { heads, rests, counts, starts } = &mut *self.buffers.borrow_mut();
        // A failure of MPI ends the program: its default, which this crate does not change.
        let length = u32::try_from(bytes.len()).map_err(|_| "a message is too long for MPI".to_owned())?;
        let (first, rest) = bytes.split_at(bytes.len().min(HEAD - LENGTH));
        let mut head = [0; HEAD];
        head[..LENGTH].copy_from_slice(&length.to_le_bytes());
        head[LENGTH..][..first.len()].copy_from_slice(first);
        heads.resize(self.size() * HEAD, 0);
        self.world.all_gather_into(&head[..], &mut heads[..]);
        counts.clear();
        starts.clear();
        let mut total = 0_i32;
        for head in heads.chunks_exact(HEAD) {
            let (length, _) = length_and_start(head);
            let count = i32::try_from(length.saturating_sub(HEAD - LENGTH)).map_err(|_| "a message is too long for MPI".to_owned())?;
            starts.push(total);
            counts.push(count);
            total = total.checked_add(count).ok_or("the messages of all ranks are too long for MPI")?;
        }
        rests.resize(total as usize, 0);
        if total > 0 {
            let mut parts = PartitionMut::new(&mut rests[..], &counts[..], &starts[..]);
            self.world.all_gather_varcount_into(rest, &mut parts);
        }
        gathered.clear();
        for ((head, &start), &count) in heads.chunks_exact(HEAD).zip(&*starts).zip(&*counts) {
            let (_, first) = length_and_start(head);
            gathered.push(&[first, &rests[start as usize..][..count as usize]]);
        }
        Ok(())
    }
}

/// The length of a message, and the part of it that a head contains.
fn length_and_start(head: &[u8]) -> (usize, &[u8]) {
    let (length, start) = head.split_at(LENGTH);
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    (length, &start[..length.min(start.len())])
}
