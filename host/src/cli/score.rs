//! `fooling score`.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, ValueHint};
use fooling::mnist;
use fooling::model::{Model, short_name};
use fooling::picture::{DecodedImage, Picture};
use fooling::report::percent;
use fooling::score::{fit, score_all, top};

use super::scoring::ScoringOptions;

/// Classify pictures with a network, or count its errors on the MNIST test set
///
/// Pictures are PNG, JPEG, WebP, BMP, GIF (the first frame) and PNM files, or folders of them. Pictures of another size are scaled to the
/// network's size, without keeping the aspect ratio. Transparent parts become black, and EXIF orientation is applied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling score picture.png other.png
  fooling score --model squeezenet.onnx photos/ cat.jpg
  fooling score - < picture.png
  fooling score --model lenet --mnist data/mnist")]
pub(super) struct ScoreArgs {
    #[command(flatten)]
    scoring: ScoringOptions,
    /// Folder with the MNIST files: count the errors on the 10 000 test pictures
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "pictures")]
    mnist: Option<PathBuf>,
    /// Pictures, folders of pictures (without subfolders), or `-` for standard input
    #[arg(required_unless_present = "mnist", value_hint = ValueHint::AnyPath)]
    pictures: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let model = args.scoring.model()?;
    match &args.mnist {
        Some(dir) => score_mnist(args, &model, dir),
        None => score_pictures(args, &model),
    }
}

fn score_mnist(args: &ScoreArgs, model: &Model, dir: &Path) -> anyhow::Result<ExitCode> {
    let test = mnist::load_test(dir)?;
    anyhow::ensure!(
        model.classes() >= 10 && model.card().input.picture == 28,
        "'{}' takes pictures of {} pixels for {} classes, so it is not a network for MNIST",
        model.name(),
        model.card().input.picture,
        model.classes()
    );
    let classifier = args.scoring.classifier(model)?;
    let picture = |i| Cow::Owned(Picture::from_bytes(28, 1, test.image(i).to_vec()).expect("28 x 28"));
    let scores = score_all(model, &*classifier, args.scoring.threads(), test.len(), picture)?;
    let wrong = scores.chunks_exact(model.classes()).zip(&test.labels);
    let errors = wrong.filter(|(scores, label)| top(scores, 1)[0].0 != usize::from(**label)).count();
    let percent = errors as f64 * 100.0 / test.len() as f64;
    let mut out = std::io::stdout().lock();
    if args.json {
        let outcome = serde_json::json!({ "model": model.name(), "pictures": test.len(), "errors": errors, "error_percent": percent });
        writeln!(out, "{outcome:#}")?;
    } else {
        writeln!(out, "{}: {errors} errors on {} test images ({percent:.2} %)", model.name(), test.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a picture is read from.
enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// Its name in messages; invalid UTF-8 is replaced.
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Stdin => Cow::Borrowed("-"),
            Self::File(path) => path.to_string_lossy(),
        }
    }

    fn read(&self) -> Result<DecodedImage, String> {
        match self {
            Self::Stdin => DecodedImage::read_from(std::io::stdin().lock()),
            Self::File(path) => DecodedImage::read(path),
        }
    }
}

/// The pictures that the arguments name, and an error for each argument that names none.
fn sources(arguments: &[PathBuf]) -> (Vec<Source>, Vec<String>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for argument in arguments {
        if argument.as_os_str() == "-" {
            sources.push(Source::Stdin);
        } else if argument.join("run.toml").is_file() {
            // Its only pictures are contact sheets, whose scores would mean nothing.
            problems.push(format!(
                "{0} is a run folder, not a folder of pictures; fooling show {0} prints the scores of its elites, and fooling show {0} \
                 --genomes > elites.jsonl && fooling render elites.jsonl --out pictures draws CPPNs to score",
                argument.display()
            ));
        } else if argument.is_dir() {
            match pictures_in(argument) {
                Ok(pictures) if pictures.is_empty() => problems.push(format!("{}: the folder contains no pictures", argument.display())),
                Ok(pictures) => sources.extend(pictures.into_iter().map(Source::File)),
                Err(error) => problems.push(format!("{}: {error}", argument.display())),
            }
        } else {
            sources.push(Source::File(argument.clone()));
        }
    }
    (sources, problems)
}

/// The files of a folder with the extension of a picture, sorted by name.
fn pictures_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    const ENDINGS: [&str; 10] = ["bmp", "gif", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "webp"];
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().and_then(std::ffi::OsStr::to_str).map(str::to_lowercase);
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && path.is_file()
    };
    let entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    let mut pictures: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_picture).collect();
    pictures.sort();
    Ok(pictures)
}

/// The number of scores held in memory at once.
const MOST_SCORES: usize = 1 << 22;

fn score_pictures(args: &ScoreArgs, model: &Model) -> anyhow::Result<ExitCode> {
    let (sources, problems) = sources(&args.pictures);
    let classifier = args.scoring.classifier(model)?;
    let mut results = Results { model, json: args.json.then(Vec::new), scored: 0, failed: 0 };
    problems.iter().for_each(|problem| results.fail(problem));
    for sources in sources.chunks((MOST_SCORES / model.classes()).max(1)) {
        let read: Vec<OnceLock<Result<bool, String>>> = sources.iter().map(|_| OnceLock::new()).collect();
        let picture = |i: usize| {
            let (result, picture) = match sources[i].read() {
                Ok(image) => (Ok(image.was_transparent()), fit(image, &model.card().input)),
                Err(problem) => (Err(problem), Picture::new(model.card().input.picture, 1)),
            };
            read[i].get_or_init(|| result);
            Cow::Owned(picture)
        };
        let scores = score_all(model, &*classifier, args.scoring.threads(), sources.len(), picture)?;
        for ((source, read), scores) in sources.iter().zip(&read).zip(scores.chunks_exact(model.classes())) {
            results.add(&source.name(), read.get().expect("every picture was requested"), scores)?;
        }
    }
    results.finish()
}

/// Prints the results, and counts them.
struct Results<'m> {
    model: &'m Model,
    json: Option<Vec<serde_json::Value>>,
    scored: usize,
    failed: usize,
}

impl Results<'_> {
    fn fail(&mut self, problem: &str) {
        say!("error: {problem}");
        self.failed += 1;
    }

    /// `read`: whether the picture was transparent, or why it could not be read.
    fn add(&mut self, name: &str, read: &Result<bool, String>, scores: &[f32]) -> anyhow::Result<()> {
        match read {
            Err(problem) => self.fail(&format!("{name}: {problem}")),
            Ok(_) if scores.iter().any(|score| score.is_nan()) => {
                self.scored += 1;
                self.fail(&format!("{name}: the network's scores are not probabilities"));
            }
            Ok(transparent) => {
                if *transparent {
                    say!("{name}: transparent parts are shown as black");
                }
                self.scored += 1;
                self.show(name, &top(scores, 5))?;
            }
        }
        Ok(())
    }

    fn show(&mut self, name: &str, top: &[(usize, f32)]) -> anyhow::Result<()> {
        let label = |class: usize| self.model.labels().get(class).map_or("", String::as_str);
        if let Some(json) = &mut self.json {
            let top = top.iter().map(|&(class, score)| serde_json::json!({ "class": class, "label": label(class), "confidence": score }));
            let top: Vec<_> = top.collect();
            json.push(serde_json::json!({ "picture": name, "top": top }));
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name}")?;
        for &(class, score) in top {
            let label = if label(class).parse() == Ok(class) { "" } else { short_name(label(class)) };
            writeln!(out, "{}", format!("  {:>11}  {class} {label}", percent(score.into(), 5)).trim_end())?;
        }
        Ok(())
    }

    /// The exit code: 1 if some pictures have no scores, 2 if none could be read.
    fn finish(self) -> anyhow::Result<ExitCode> {
        if let (Some(json), true) = (self.json, self.scored > 0) {
            writeln!(std::io::stdout().lock(), "{:#}", serde_json::Value::from(json))?;
        }
        Ok(match (self.scored, self.failed) {
            (_, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(2),
            _ => ExitCode::from(1),
        })
    }
}
