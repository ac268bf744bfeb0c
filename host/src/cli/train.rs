//! `fooling train`: from the MNIST files to a LeNet in an ONNX file with its card.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Train LeNet on MNIST and write it as an ONNX file with a model card
///
/// Needs a build with the feature `train`: cargo run --release --features train -- train ...
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Folder with the four MNIST files (train-images-idx3-ubyte and so on, plain or .gz)
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,

    /// ONNX file to write; the model card gets the same name with .toml
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Number of epochs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: u32,

    /// Random seed of the initial weights, the order of the images and their shifts
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Number of threads; does not affect the result [default: all cores]
    ///
    /// The training framework adds threads of its own for additions of large tensors, one per core. The environment variable
    /// CANDLE_NUM_THREADS sets their number.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Images per minibatch
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) batch: usize,

    /// Initial learning rate; it decays to 0 along half a cosine
    #[arg(long, value_name = "RATE", default_value_t = 0.02)]
    pub(crate) learning_rate: f64,

    /// Momentum of the gradient descent
    #[arg(long, value_name = "FACTOR", default_value_t = 0.9)]
    pub(crate) momentum: f64,

    /// Weight decay (L2 regularisation)
    #[arg(long, value_name = "RATE", default_value_t = 5e-4)]
    pub(crate) weight_decay: f64,

    /// Shift each image by up to this many pixels, differently in each epoch
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub(crate) shift: u8,

    /// Add this many pictures of uniform noise to each minibatch, and train the network to give them equal probabilities (outlier exposure)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) outliers: usize,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  The shipped LeNet:
    cargo run --release --features train -- train --data mnist --out host/models/lenet.onnx
  A quick one with another seed, to see how pictures transfer between networks:
    cargo run --release --features train -- train --data mnist --out other.onnx --epochs 5 --seed 2";

/// Explains how to get a build that can train.
#[cfg(not(feature = "train"))]
pub(crate) fn run(_args: TrainArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the feature `train`; use `cargo run --release --features train -- train ...`")
}

/// Trains, with progress on stderr and the result on stdout.
#[cfg(feature = "train")]
pub(crate) fn run(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let options = with_train::options(args);
    let outcome = fooling::train::run(&options, &mut with_train::Progress::default())?;
    with_train::print(&outcome, json)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "train")]
mod with_train {
    use std::io::{self, IsTerminal as _, Write as _};

    use fooling::train::{Epoch, Observer, Options, Outcome, Step, TrainingConfig, TrainingPlan};
    use indicatif::{ProgressBar, ProgressStyle};

    pub(super) fn options(args: super::TrainArgs) -> Options {
        let super::TrainArgs { data, out, epochs, seed, threads, batch, learning_rate, momentum, weight_decay, shift, outliers, json: _ } =
            args;
        let settings = TrainingConfig { epochs, batch, seed, threads, learning_rate, momentum, weight_decay, shift, outliers };
        Options { data, out, settings }
    }

    pub(super) fn print(outcome: &Outcome, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Outcome { last, model, card, bytes, contents } = outcome;
        if json {
            let report = serde_json::json!({
                "model": model, "card": card, "bytes": bytes, "sha256": contents.sha256, "errors": last.errors,
                "tested": last.tested, "error_percent": last.error_percent(), "loss": last.loss,
            });
            return writeln!(out, "{report}");
        }
        writeln!(out, "{} ({bytes} bytes) and {}", model.display(), card.display())?;
        writeln!(out, "test error {:.2} % ({} of {})", last.error_percent(), last.errors, last.tested)
    }

    /// On a terminal, a bar for the minibatches; everywhere, a line per epoch.
    #[derive(Default)]
    pub(super) struct Progress {
        bar: Option<ProgressBar>,
        epochs: u32,
    }

    impl Observer for Progress {
        fn started(&mut self, plan: &TrainingPlan) {
            self.epochs = plan.epochs;
            let TrainingPlan { examples, epochs, threads, .. } = plan;
            say!("training LeNet: {examples} images, {epochs} epochs, {threads} threads");
            if std::io::stderr().is_terminal() {
                let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
                let bar = ProgressBar::new((plan.steps_per_epoch * plan.epochs as usize) as u64);
                self.bar = Some(bar.with_style(style.expect("the template is fixed and valid")));
            }
        }

        fn step(&mut self, step: &Step) {
            if let Some(bar) = &self.bar {
                bar.inc(1);
                bar.set_message(format!("epoch {}/{} loss {:.4}", step.epoch, self.epochs, step.loss));
            }
        }

        fn epoch(&mut self, epoch: &Epoch) {
            let line = format!(
                "epoch {:>2}/{}  loss {:.5}  test error {:.2} % ({} of {})  {:.1} s",
                epoch.epoch,
                self.epochs,
                epoch.loss,
                epoch.error_percent(),
                epoch.errors,
                epoch.tested,
                epoch.seconds,
            );
            match &self.bar {
                Some(bar) => bar.suspend(|| say!("{line}")),
                None => say!("{line}"),
            }
            if epoch.epoch == self.epochs
                && let Some(bar) = &self.bar
            {
                bar.finish_and_clear();
            }
        }
    }
}
