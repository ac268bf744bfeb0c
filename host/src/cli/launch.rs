//! Whether this process runs alone or is one of several ranks, started by `mpirun` or `srun`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use fooling::classifier::Classifier;
use fooling::report::Summary;
use fooling::run::{Folder, Observer, Ranks, RunError, Setup};
#[cfg(feature = "mpi")]
use fooling::run::{Team, World};

/// Whether this process prints no messages, because rank 0 prints them.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether messages are suppressed on this rank.
pub(super) fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// The number of this task and the number of all tasks, from the environment variables that launchers set.
fn tasks() -> Option<(usize, usize)> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")]
        .into_iter()
        .find_map(|(task, tasks)| Some((number(task)?, number(tasks)?)))
}

/// The help of `--threads`.
#[cfg(feature = "mpi")]
pub(super) const THREADS_HELP: &str = "Number of threads; does not affect the result [default: all cores; under mpirun or srun, the cores of \
     the machine divided by the ranks on it, or SLURM_CPUS_PER_TASK, but not more than the rank may use]";

/// How this process was started.
pub(super) struct Launch {
    #[cfg(feature = "mpi")]
    world: Option<(World, usize)>,
}

#[cfg(not(feature = "mpi"))]
impl Launch {
    /// Warns if a launcher started several processes: without MPI, each of them computes a run of its own.
    pub(super) fn start() -> anyhow::Result<Self> {
        if let Some((task, tasks)) = tasks().filter(|&(_, tasks)| tasks > 1) {
            say!(
                "warning: this is task {task} of {tasks}, but this program was built without MPI, so each task computes a run of its own; to share \
                 one run, build with --features mpi (docs/CLUSTER.md)"
            );
        }
        Ok(Self {})
    }

    pub(super) fn end(&self, result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
        result
    }

    /// Continues if all ranks succeeded.
    pub(super) fn all<T>(&self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        done
    }

    /// Runs a job on rank 0 only.
    pub(super) fn first<T>(&self, job: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        job().map(Some)
    }

    /// Sends a text of rank 0 to all ranks.
    pub(super) fn share_first(&self, text: Option<String>) -> anyhow::Result<String> {
        Ok(text.unwrap_or_default())
    }

    pub(super) fn threads(&self, asked: Option<u16>) -> usize {
        super::threads(asked)
    }

    pub(super) fn remark(&self, _: &dyn Classifier) {}

    fn ranks(&self) -> Option<&dyn Ranks> {
        None
    }
}

impl Launch {
    /// Evolves on all ranks; rank 0 has the folder, and gets the summary.
    pub(super) fn evolve(
        &self,
        setup: &Setup<'_>,
        folder: Option<&Folder>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Summary>, RunError> {
        match self.ranks() {
            Some(ranks) => fooling::evolve_on(ranks, setup, folder, observer),
            None => folder.map(|folder| fooling::evolve(setup, folder, observer)).transpose(),
        }
    }

    /// Resumes on all ranks; rank 0 has the folder, and gets the summary.
    pub(super) fn resume(
        &self,
        setup: &Setup<'_>,
        folder: Option<&Folder>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Summary>, RunError> {
        match self.ranks() {
            Some(ranks) => fooling::resume_on(ranks, setup, folder, observer),
            None => folder.map(|folder| fooling::resume(setup, folder, observer)).transpose(),
        }
    }
}

#[cfg(feature = "mpi")]
impl Launch {
    /// Starts MPI if a launcher started this process.
    pub(super) fn start() -> anyhow::Result<Self> {
        let launchers = ["OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK", "PALS_RANKID", "MPI_LOCALRANKID", "SLURM_STEP_NUM_TASKS"];
        if !launchers.into_iter().any(|name| std::env::var_os(name).is_some()) {
            return Ok(Self { world: None });
        }
        let world = World::start().ok_or_else(|| anyhow::anyhow!("MPI was started already"))?;
        if let Some((task, tasks)) = tasks().filter(|&(_, tasks)| tasks > 1 && world.size() == 1) {
            anyhow::bail!(
                "this is task {task} of {tasks}, but MPI sees only one, so each would compute a run of its own; use a launcher that fits the MPI \
                 library of this program (srun --mpi=list shows the choices of srun, or use its mpirun)"
            );
        }
        QUIET.store(world.rank() > 0, Ordering::Relaxed);
        let here = world.ranks_here();
        Ok(Self { world: Some((world, here)) })
    }

    /// Reports an error. Rank 0 reports an error that all ranks share; a rank whose exchange with the others failed reports it itself and
    /// aborts all ranks.
    pub(super) fn end(&self, result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
        let (Some((world, _)), Err(error)) = (&self.world, &result) else { return result };
        // The report comes before MPI ends: a launcher may kill the other ranks as soon as one exits with an error.
        if matches!(error.downcast_ref(), Some(RunError::Exchange(_))) {
            QUIET.store(false, Ordering::Relaxed);
            say!("error: rank {} ({}): {}", world.rank(), world.machine(), super::message(error));
            world.abort();
        }
        Ok(super::report_error(error))
    }

    /// Continues if all ranks succeeded.
    pub(super) fn all<T>(&self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some((world, _)) = &self.world else { return done };
        Ok(Team::new(world).all(done.map_err(|error| super::message(&error)))?)
    }

    /// Runs a job on rank 0 only.
    pub(super) fn first<T>(&self, job: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        let first = self.world.as_ref().is_none_or(|(world, _)| world.rank() == 0);
        self.all(first.then(job).transpose())
    }

    /// Sends a text of rank 0 to all ranks.
    pub(super) fn share_first(&self, text: Option<String>) -> anyhow::Result<String> {
        let text = text.unwrap_or_default();
        let Some((world, _)) = &self.world else { return Ok(text) };
        Ok(String::from_utf8(Team::new(world).share_first(text.as_bytes())?)?)
    }

    /// The number of threads of this rank: as requested, or its part of the machine's cores.
    pub(super) fn threads(&self, asked: Option<u16>) -> usize {
        let available = super::threads(asked);
        let Some((_, ranks)) = self.world.as_ref().filter(|_| asked.is_none()) else { return available };
        let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
        let own = number("SLURM_CPUS_PER_TASK").unwrap_or_else(|| number("SLURM_CPUS_ON_NODE").unwrap_or_else(cores) / ranks);
        own.clamp(1, available)
    }

    /// Warns if ranks on other machines may compute other scores with this classifier.
    pub(super) fn remark(&self, classifier: &dyn Classifier) {
        if self.world.is_some() && !classifier.same_everywhere() {
            say!(
                "warning: these scores can differ in the last bits between machines ({}); all ranks have the same CPU model, but another \
                 number of ranks on other machines may give another run",
                classifier.description()
            );
        }
    }

    fn ranks(&self) -> Option<&dyn Ranks> {
        self.world.as_ref().map(|(world, _)| world as &dyn Ranks)
    }
}

/// A rank that panics aborts all ranks. Otherwise it would wait for them in MPI's last call, while they wait for its next message.
#[cfg(feature = "mpi")]
impl Drop for Launch {
    fn drop(&mut self) {
        if let Some((world, _)) = self.world.as_ref().filter(|_| std::thread::panicking()) {
            QUIET.store(false, Ordering::Relaxed);
            say!("error: rank {} ({}) panicked, which ends all ranks", world.rank(), world.machine());
            world.abort();
        }
    }
}

/// The number of cores of this machine, including those that this process may not use.
#[cfg(feature = "mpi")]
fn cores() -> usize {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = online.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    });
    count.sum::<Option<usize>>().unwrap_or_else(|| super::threads(None))
}
