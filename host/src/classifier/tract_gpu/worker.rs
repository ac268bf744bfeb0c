//! The thread of a session: the only one that talks to the device.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::runtime::{Runnable, State};

use super::error_text;
use crate::util::panics;

/// A job for the thread.
enum Job {
    /// Run the network on this input, or on what has been drawn.
    Infer(Option<Arc<Tensor>>),
    #[cfg(feature = "cuda")]
    Draw(Box<crate::gpu::launch::Drawing>),
}

/// The thread's answer.
enum Answer {
    Ready,
    Scores(Vec<f32>),
    #[cfg(feature = "cuda")]
    Drawn(Box<crate::gpu::launch::Drawing>),
}

/// The thread, and the channels to it.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    answers: Receiver<Result<Answer, String>>,
    thread: Option<JoinHandle<()>>,
    /// The last drawing job, whose storage is used again.
    #[cfg(feature = "cuda")]
    drawing: Box<crate::gpu::launch::Drawing>,
}

impl Worker {
    pub(super) fn new(runnable: Arc<dyn Runnable>, shape: &[usize]) -> Result<Self, String> {
        let (jobs, to_do) = channel();
        let (done, answers) = channel();
        let shape = shape.to_vec();
        let thread = std::thread::Builder::new().name("device".into());
        let thread = thread.spawn(move || serve(&*runnable, &shape, &to_do, &done)).map_err(|error| {
            format!(
                "cannot start a thread: \
             {error}"
            )
        })?;
        let worker = Self {
            jobs: Some(jobs),
            answers,
            thread: Some(thread),
            #[cfg(feature = "cuda")]
            drawing: Box::default(),
        };
        worker.answer()?;
        Ok(worker)
    }

    /// The network's output for the whole batch.
    pub(super) fn infer(&mut self, input: Option<Arc<Tensor>>) -> Result<Vec<f32>, String> {
        match self.ask(Job::Infer(input))? {
            Answer::Scores(scores) => Ok(scores),
            _ => Err("the thread of the device sent an unexpected answer; this is a bug in fooling".into()),
        }
    }

    /// Draws into the device's input.
    #[cfg(feature = "cuda")]
    pub(super) fn draw(
        &mut self,
        genomes: &[&fooling_core::StandardGenome],
        picture: fooling_core::PictureSpec,
        preprocess: &crate::model::Preprocess,
    ) -> Result<(), String> {
        let mut drawing = std::mem::take(&mut self.drawing);
        drawing.fill(genomes, picture, preprocess);
        match self.ask(Job::Draw(drawing))? {
            Answer::Drawn(drawing) => self.drawing = drawing,
            _ => return Err("the thread of the device sent an unexpected answer; this is a bug in fooling".into()),
        }
        Ok(())
    }

    fn ask(&self, job: Job) -> Result<Answer, String> {
        let ended = "the thread of the device has ended";
        self.jobs.as_ref().ok_or(ended)?.send(job).map_err(|_| ended)?;
        self.answer()
    }

    fn answer(&self) -> Result<Answer, String> {
        self.answers.recv().unwrap_or_else(|_| Err("the thread of the device has ended".into()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Dropping the sender ends the thread.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Does jobs until the sender is dropped. After a panic the state of the engine is undefined, so the thread ends.
fn serve(runnable: &dyn Runnable, shape: &[usize], jobs: &Receiver<Job>, answers: &Sender<Result<Answer, String>>) {
    let begun = caught(|| WorkerState::new(runnable, shape));
    let (mut desk, ready) = match begun {
        Ok(Ok(desk)) => (Some(desk), Ok(Answer::Ready)),
        Ok(Err(problem)) | Err(problem) => (None, Err(problem)),
    };
    let _ = answers.send(ready);
    while let (Some(open), Ok(job)) = (&mut desk, jobs.recv()) {
        let answer = match caught(|| open.work(job)) {
            Ok(answer) => answer,
            Err(panic) => {
                desk = None;
                Err(panic)
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// Turns a panic in foreign code into an error.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let _quiet = crate::util::panics::silence();
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panics::text(&*panic).to_owned())
}

/// The state of the thread.
struct WorkerState {
    state: Box<dyn State>,
    #[cfg(feature = "cuda")]
    painter: crate::gpu::launch::Painter,
}

impl WorkerState {
    #[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "only a painter needs the shape"))]
    fn new(runnable: &dyn Runnable, shape: &[usize]) -> Result<Self, String> {
        let state = runnable.spawn().map_err(|error| error_text(&error))?;
        Ok(Self {
            state,
            #[cfg(feature = "cuda")]
            painter: crate::gpu::launch::Painter::new(shape),
        })
    }

    fn work(&mut self, job: Job) -> Result<Answer, String> {
        let text = |error: TractError| error_text(&error);
        match job {
            #[cfg(feature = "cuda")]
            Job::Draw(drawing) => {
                self.painter.draw(&drawing).map_err(text)?;
                Ok(Answer::Drawn(drawing))
            }
            Job::Infer(input) => {
                let input = match input {
                    Some(input) => input.into_tvalue(),
                    #[cfg(feature = "cuda")]
                    None => self.painter.drawn().map_err(text)?,
                    #[cfg(not(feature = "cuda"))]
                    None => return Err("nothing has been drawn".into()),
                };
                let outputs = self.state.run(tvec![input]).map_err(text)?;
                let output = outputs.into_iter().next().ok_or("no output")?;
                let output = output.try_as_plain_ram().map_err(text)?;
                Ok(Answer::Scores(output.as_slice::<f32>().map_err(text)?.to_vec()))
            }
        }
    }
}
