//! `fooling score`.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use fooling::classifier::{DeviceChoice, Engine};
use fooling::mnist;
use fooling::model::{Crops, Model, short_name};
use fooling::picture::Picture;
use fooling::report::percent;
use fooling::score::{score_all, top};

/// Ask a network about pictures, or for its errors on the MNIST test set
///
/// Pictures are PNG files; one of another size is scaled to the network's (the aspect ratio is not kept).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fooling score picture.png other.png
  fooling score --model squeezenet.onnx runs/*/cells/*.png
  fooling score --model lenet --mnist data/mnist")]
pub(super) struct ScoreArgs {
    /// A model's name (fooling models list), or the path of an ONNX file or of a model card
    #[arg(long, default_value = "lenet")]
    model: String,
    /// Folder of the MNIST files: count the errors on the 10 000 test pictures
    #[arg(long, value_name = "DIR", conflicts_with = "pictures")]
    mnist: Option<PathBuf>,
    /// PNG files
    #[arg(required_unless_present = "mnist")]
    pictures: Vec<PathBuf>,
    /// What the network sees of a picture [default: as its card says]
    #[arg(long, value_enum)]
    crops: Option<Crops>,
    /// Threads [default: all cores]
    #[arg(long, value_parser = super::thread_count())]
    threads: Option<u16>,
    /// What computes the scores
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// The processor's engine [default: exact, or tract for layers that exact has not]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let model = super::with_crops(super::open_model(&args.model)?, args.crops)?;
    match &args.mnist {
        Some(dir) => score_mnist(args, &model, dir),
        None => score_pictures(args, &model),
    }
}

fn score_mnist(args: &ScoreArgs, model: &Model, dir: &Path) -> anyhow::Result<ExitCode> {
    let test = mnist::load_test(dir)?;
    anyhow::ensure!(
        model.classes() >= 10 && model.card().input.picture == 28,
        "'{}' takes pictures of {} pixels for {} classes: it is no network for MNIST",
        model.name(),
        model.card().input.picture,
        model.classes()
    );
    let classifier = super::open_classifier(model, super::device(args.device), args.engine)?;
    let picture = |i| Cow::Owned(Picture::from_bytes(28, 1, test.image(i).to_vec()).expect("28 x 28"));
    let scores = score_all(model, &*classifier, super::threads(args.threads), test.len(), picture)?;
    let wrong = scores.chunks_exact(model.classes()).zip(&test.labels);
    let errors = wrong.filter(|(scores, label)| top(scores, 1)[0].0 != usize::from(**label)).count();
    let percent = errors as f64 * 100.0 / test.len() as f64;
    let mut out = std::io::stdout().lock();
    if args.json {
        let outcome = serde_json::json!({ "model": model.name(), "pictures": test.len(), "errors": errors, "error_percent": percent });
        writeln!(out, "{outcome:#}")?;
    } else {
        writeln!(out, "{}: {errors} errors on {} test pictures ({percent:.2} %)", model.name(), test.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn score_pictures(args: &ScoreArgs, model: &Model) -> anyhow::Result<ExitCode> {
    let input = &model.card().input;
    let channels = if input.channels.count() == 1 { 1 } else { 3 };
    let mut pictures = Vec::new();
    for path in &args.pictures {
        let picture = Picture::read_fitted(path, input.picture, channels);
        pictures.push(picture.map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))?);
    }
    let classifier = super::open_classifier(model, super::device(args.device), args.engine)?;
    let scores = score_all(model, &*classifier, super::threads(args.threads), pictures.len(), |i| Cow::Borrowed(&pictures[i]))?;
    let mut out = std::io::stdout().lock();
    let mut json = Vec::new();
    let mut refused = false;
    for (path, scores) in args.pictures.iter().zip(scores.chunks_exact(model.classes())) {
        if scores.iter().any(|score| score.is_nan()) {
            say!("{}: the network's scores are no probabilities", path.display());
            refused = true;
            continue;
        }
        let top: Vec<_> =
            top(scores, 5).into_iter().map(|(class, score)| (class, model.labels().get(class).map_or("", String::as_str), score)).collect();
        if args.json {
            let top: Vec<_> = top
                .iter()
                .map(|(class, label, score)| serde_json::json!({ "class": class, "label": label, "confidence": score }))
                .collect();
            json.push(serde_json::json!({ "picture": path, "top": top }));
        } else {
            writeln!(out, "{}", path.display())?;
            for (class, label, score) in top {
                let label = if label.parse() == Ok(class) { "" } else { short_name(label) };
                writeln!(out, "  {:>11}  {class} {label}", percent(score.into(), 5))?;
            }
        }
    }
    if args.json {
        writeln!(out, "{:#}", serde_json::Value::from(json))?;
    }
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
