//! The native half of the Python package `fooling`: a thin layer over the library. The other half, in `python/fooling`, checks arguments
//! and has the documentation.
//!
//! Everything that draws, scores with the engine or touches files releases Python's global interpreter lock.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use fooling::{
    Classifier, Device, EncodingName, Folder, InvalidScores, Model, Observer, Picture, Progress, RunConfig, RunError, Scorer,
    ScoringThreads, Setup, Variant,
};
use numpy::{PyArray1, PyArray2, PyArray3, PyArray4, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::{PyFileExistsError, PyFileNotFoundError, PyOSError, PyRuntimeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

/// The exception for an error of a run.
fn raised(error: RunError) -> PyErr {
    let text = error.to_string();
    match error {
        RunError::Config(_) | RunError::AllRefused { .. } => PyValueError::new_err(text),
        RunError::NoRun(_) => PyFileNotFoundError::new_err(text),
        RunError::Occupied(_) => PyFileExistsError::new_err(text),
        RunError::File(_) | RunError::Record { .. } | RunError::InUse(_) => PyOSError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// The same for scores of a callable, which has no model card.
fn raised_by_scorer(error: RunError) -> PyErr {
    match error {
        RunError::AllRefused { pictures, picture, problem } => PyValueError::new_err(format!(
            "there are no valid scores for any of the {pictures} pictures of the first generation, so there is nothing to evolve from; \
             picture {picture}: {problem}{}",
            advice(&problem)
        )),
        other => raised(other),
    }
}

fn advice(problem: &InvalidScores) -> String {
    problem.fitting().map_or_else(String::new, |output| format!("; output=\"{}\" fits such scores", output.name()))
}

fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// As many threads as the system gives, unless the caller says otherwise.
fn thread_count(threads: Option<usize>) -> usize {
    threads.filter(|&threads| threads > 0).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
}

/// The defaults of the method, changed by the fields of a JSON object, of which none is null.
fn configure(name: &str, channels: u8, fields: &str) -> PyResult<RunConfig> {
    let mut given: serde_json::Map<String, Value> = serde_json::from_str(fields).map_err(invalid)?;
    let mut take = |field: &str| given.remove(field);
    let variant = take("variant").map_or(Ok(Variant::Paper), serde_json::from_value).map_err(invalid)?;
    let encoding = take("encoding").map_or(Ok(EncodingName::Cppn), serde_json::from_value).map_err(invalid)?;
    let single = given.contains_key("target");
    let defaults = RunConfig::defaults(name, variant, encoding, channels, single);
    let mut config = serde_json::to_value(&defaults).map_err(invalid)?;
    let rates = given.remove("rates");
    if let Some(batch) = given.get("batch").cloned() {
        given.entry("initial").or_insert(batch);
    }
    let fields = config.as_object_mut().ok_or_else(|| invalid("a configuration is an object"))?;
    fields.extend(given);
    if let (Some(Value::Object(rates)), Some(known)) = (rates, fields.get_mut("rates").and_then(Value::as_object_mut)) {
        known.extend(rates);
    }
    serde_json::from_value(config).map_err(invalid)
}

fn new_folder(out: Option<&Path>, name: &str, encoding: EncodingName) -> Result<Folder, RunError> {
    out.map_or_else(|| Folder::create_numbered(Path::new("runs"), name, encoding), Folder::create)
}

/// The progress of a run as a dictionary.
fn progress_dict<'py>(py: Python<'py>, progress: &Progress) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let stats = &progress.stats;
    dict.set_item("generation", progress.generation)?;
    dict.set_item("generations", progress.generations)?;
    dict.set_item("pictures", progress.pictures)?;
    dict.set_item("refused", progress.refused)?;
    dict.set_item("seconds", progress.elapsed.as_secs_f64())?;
    dict.set_item("filled", stats.filled)?;
    dict.set_item("median", stats.median)?;
    dict.set_item("lowest", stats.lowest)?;
    dict.set_item("highest", stats.highest)?;
    dict.set_item("at_99", stats.at_99)?;
    Ok(dict)
}

/// A warning for the first picture of a generation that is refused.
fn warn_of_refusal(py: Python<'_>, generation: u32, (picture, problem): (usize, InvalidScores)) -> PyResult<()> {
    warn(py, &format!("picture {picture} of generation {generation} is refused: {problem}"))
}

fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = std::ffi::CString::new(text.replace('\0', " "))?;
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 3)
}

/// Calls back into Python after each generation of a run that the engine scores, and notices Ctrl-C.
struct Watcher {
    callback: Option<Py<PyAny>>,
    warned: bool,
    raised: Option<PyErr>,
}

impl Watcher {
    fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, warned: false, raised: None }
    }

    fn notify(&mut self, py: Python<'_>, progress: &Progress) -> PyResult<()> {
        py.check_signals()?;
        if let Some(refusal) = progress.invalid_scores
            && !std::mem::replace(&mut self.warned, true)
        {
            warn_of_refusal(py, progress.generation, refusal)?;
        }
        match &self.callback {
            Some(callback) => callback.call1(py, (progress_dict(py, progress)?,)).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Observer for Watcher {
    fn started(&mut self, _: u32, warning: Option<&str>) {
        if let Some(warning) = warning {
            self.raised = Python::attach(|py| warn(py, warning)).err();
        }
    }

    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let notified = self.raised.take().map_or_else(|| Python::attach(|py| self.notify(py, progress)), Err);
        self.raised = notified.err();
        if self.raised.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Pictures as an array (number, side, side, channels), without a copy.
fn picture_array(py: Python<'_>, bytes: Vec<u8>, side: usize, channels: usize) -> PyResult<Bound<'_, PyArray4<u8>>> {
    let number = bytes.len() / (side * side * channels).max(1);
    PyArray1::from_vec(py, bytes).reshape([number, side, side, channels])
}

fn one_picture(py: Python<'_>, picture: Picture) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let (side, channels) = (picture.side(), picture.channels());
    PyArray1::from_vec(py, picture.bytes().to_vec()).reshape([side, side, channels])
}

/// A thread that keeps the engine's threads between calls, because starting them takes as long as scoring several small pictures.
#[derive(Debug)]
struct ScoringThread {
    /// The process and the number of threads for which it was started: a process that was forked has none of them.
    key: (u32, usize),
    requests: Sender<Request>,
}

/// Pictures, and where their scores go.
type Request = (Vec<Picture>, Sender<Result<Vec<f32>, String>>);

impl ScoringThread {
    fn start(model: Arc<Model>, classifier: Arc<dyn Classifier>, key: (u32, usize)) -> std::io::Result<Self> {
        let (requests, received) = channel::<Request>();
        // It ends when the sender is dropped.
        std::thread::Builder::new().name("scoring".to_owned()).spawn(move || {
            let mut threads = ScoringThreads::start(&model, &*classifier, key.1).map_err(|error| error.to_string());
            for (pictures, reply) in received {
                let scores = threads.as_mut().map_err(|problem| problem.clone());
                let scores = scores.and_then(|threads| threads.score(&pictures).map_err(|error| error.to_string()));
                // Nobody waits if the caller has ended.
                let _ = reply.send(scores);
            }
        })?;
        Ok(Self { key, requests })
    }
}

/// A network that the engine runs.
#[pyclass(frozen, name = "NativeModel", module = "fooling._fooling")]
#[derive(Debug)]
struct NativeModel {
    model: Arc<Model>,
    classifier: Arc<dyn Classifier>,
    scoring: Mutex<Option<ScoringThread>>,
    path: String,
}

impl NativeModel {
    fn load(path: String) -> PyResult<Self> {
        let name = Path::new(&path);
        let model = if name.extension().is_none() && !name.exists() { Model::named(&path) } else { Model::load(name) };
        Self::open(model.map_err(invalid)?, path)
    }

    fn open(model: Model, path: String) -> PyResult<Self> {
        let classifier = Arc::from(fooling::open(&model, Device::Cpu).map_err(invalid)?);
        Ok(Self { model: Arc::new(model), classifier, scoring: Mutex::new(None), path })
    }

    /// The probabilities of these pictures, one after another.
    fn scores(&self, pictures: Vec<Picture>, threads: usize) -> Result<Vec<f32>, String> {
        let key = (std::process::id(), threads);
        let (reply, scores) = channel();
        let mut scoring = self.scoring.lock().unwrap_or_else(PoisonError::into_inner);
        if scoring.as_ref().is_none_or(|thread| thread.key != key) {
            let started = ScoringThread::start(Arc::clone(&self.model), Arc::clone(&self.classifier), key);
            *scoring = Some(started.map_err(|error| format!("no thread can be started: {error}"))?);
        }
        let sent = scoring.as_ref().is_some_and(|thread| thread.requests.send((pictures, reply)).is_ok());
        drop(scoring);
        let ended = || "the thread that scores has ended".to_owned();
        if sent { scores.recv().unwrap_or_else(|_| Err(ended())) } else { Err(ended()) }
    }
}

#[pymethods]
impl NativeModel {
    #[new]
    fn new(py: Python<'_>, path: String) -> PyResult<Self> {
        py.detach(|| Self::load(path))
    }

    #[getter]
    fn name(&self) -> &str {
        self.model.name()
    }

    #[getter]
    fn digest(&self) -> String {
        self.model.digest()
    }

    #[getter]
    fn engine(&self) -> String {
        self.classifier.description()
    }

    #[getter]
    fn labels(&self) -> Vec<String> {
        self.model.labels().to_vec()
    }

    #[getter]
    fn assumptions(&self) -> Vec<String> {
        self.model.assumptions().to_vec()
    }

    /// Height, width and channels of the pictures that it is given.
    #[getter]
    fn picture(&self) -> (usize, usize, usize) {
        let (side, channels) = self.model.picture_shape();
        (side, side, channels)
    }

    fn score<'py>(
        &self,
        py: Python<'py>,
        pictures: PyReadonlyArray4<'py, u8>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let &[number, side, width, channels] = pictures.shape() else { return Err(invalid("pictures have four axes")) };
        if side != width || ![1, 3].contains(&channels) || side == 0 {
            let found = pictures.shape();
            return Err(invalid(format!("pictures have the shape (number, side, side, 1 or 3), not {found:?}; they are square")));
        }
        // Copies, because another thread of Python may write to the array while the lock is released.
        let picture = |bytes: &[u8]| Picture::from_bytes(side, channels, bytes.to_vec()).expect("the bytes of one picture");
        let pictures: Vec<Picture> = pictures.as_slice()?.chunks_exact(side * side * channels).map(picture).collect();
        let (classes, threads) = (self.model.classes(), thread_count(threads));
        let scores = py.detach(|| self.scores(pictures, threads)).map_err(PyRuntimeError::new_err)?;
        PyArray1::from_vec(py, scores).reshape([number, classes])
    }

    /// Evolves a run with this network, and returns its folder.
    fn evolve(
        &self,
        py: Python<'_>,
        fields: &str,
        out: Option<PathBuf>,
        threads: Option<usize>,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<PathBuf> {
        let (_, channels) = self.model.picture_shape();
        let config = configure(&self.path, channels as u8, fields)?;
        // Other crops are other pictures, so the network is loaded with them.
        let cropped = match config.crops {
            Some(_) => Some(Self::open(py.detach(|| fooling::model_of(&config)).map_err(invalid)?, self.path.clone())?),
            None => None,
        };
        let network = cropped.as_ref().unwrap_or(self);
        let setup = Setup { config, model: &network.model, classifier: &*network.classifier, threads: thread_count(threads) };
        let mut watcher = Watcher::new(callback);
        let folder = py
            .detach(|| {
                setup.check()?;
                let folder = new_folder(out.as_deref(), self.model.name(), setup.config.encoding)?;
                fooling::evolve(&setup, &folder, &mut watcher).map(|_| folder)
            })
            .map_err(raised)?;
        watcher.raised.map_or_else(|| Ok(folder.root().to_owned()), Err)
    }
}

/// Resumes a run with the network in its run.toml, or with the one at `model`.
#[pyfunction]
fn resume_model(
    py: Python<'_>,
    dir: PathBuf,
    model: Option<String>,
    generations: Option<u32>,
    threads: Option<usize>,
    callback: Option<Py<PyAny>>,
) -> PyResult<()> {
    let mut watcher = Watcher::new(callback);
    let (error, resumed) = py.detach(|| {
        let resume = || -> PyResult<()> {
            let folder = Folder::open(&dir).map_err(raised)?;
            let fooling::Rebuilt { run, .. } = fooling::rebuild(&folder).map_err(raised)?;
            let mut config = run.config;
            if run.provenance.caller().is_some() {
                let scorer = run.provenance.engine;
                return Err(invalid(format!("the run was scored by a callable ({scorer}); give it again: resume(dir, score)")));
            }
            config.generations = generations.unwrap_or(config.generations);
            let mut moved = config.clone();
            moved.model = model.unwrap_or(moved.model);
            let model = fooling::model_of(&moved).map_err(invalid)?;
            let classifier = fooling::open(&model, Device::Cpu).map_err(invalid)?;
            let setup = Setup { config, model: &model, classifier: &*classifier, threads: thread_count(threads) };
            fooling::resume(&setup, &folder, &mut watcher).map(|_| ()).map_err(raised)
        };
        let resumed = resume();
        (watcher.raised, resumed)
    });
    resumed?;
    error.map_or(Ok(()), Err)
}

/// A run whose pictures Python scores.
#[pyclass(name = "NativeSearch", module = "fooling._fooling")]
#[derive(Debug)]
struct NativeSearch {
    /// None after it has ended.
    search: Option<fooling::Search>,
    warned: bool,
}

impl NativeSearch {
    fn of(search: fooling::Search, skip_repeated: bool) -> Self {
        Self { search: Some(if skip_repeated { search.skipping_repeats() } else { search }), warned: false }
    }

    fn live(&mut self) -> PyResult<&mut fooling::Search> {
        self.search.as_mut().ok_or_else(ended)
    }

    fn peek(&self) -> PyResult<&fooling::Search> {
        self.search.as_ref().ok_or_else(ended)
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the search has ended")
}

#[pymethods]
impl NativeSearch {
    #[staticmethod]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    fn create(
        py: Python<'_>,
        fields: &str,
        side: usize,
        channels: u8,
        name: String,
        version: String,
        labels: Vec<String>,
        output: &str,
        out: Option<PathBuf>,
        threads: Option<usize>,
        skip_repeated: bool,
    ) -> PyResult<Self> {
        let output = fooling::Output::from_name(output)
            .ok_or_else(|| invalid(format!("unknown output '{output}' (known: probabilities, logits, log-probabilities, sigmoid)")))?;
        let config = configure(&name, channels, fields)?;
        let scorer = Scorer { name, version, labels, output };
        let search = py.detach(|| {
            let folder = new_folder(out.as_deref(), &scorer.name, config.encoding)?;
            fooling::Search::create(config, side, channels, &scorer, folder, thread_count(threads))
        });
        Ok(Self::of(search.map_err(raised_by_scorer)?, skip_repeated))
    }

    #[staticmethod]
    fn resume(
        py: Python<'_>,
        dir: PathBuf,
        name: &str,
        version: &str,
        generations: Option<u32>,
        threads: Option<usize>,
        skip_repeated: bool,
    ) -> PyResult<Self> {
        let resume = || fooling::Search::resume(Folder::open(&dir)?, name, version, generations, thread_count(threads));
        let search = py.detach(resume).map_err(raised)?;
        if let Some(warning) = search.warning() {
            warn(py, warning)?;
        }
        Ok(Self::of(search, skip_repeated))
    }

    #[getter]
    fn generation(&self) -> PyResult<u32> {
        Ok(self.peek()?.generation())
    }

    #[getter]
    fn generations(&self) -> PyResult<u32> {
        Ok(self.peek()?.generations())
    }

    #[getter]
    fn done(&self) -> PyResult<bool> {
        Ok(self.peek()?.done())
    }

    #[getter]
    fn batch_size(&self) -> PyResult<usize> {
        Ok(self.peek()?.pictures())
    }

    #[getter]
    fn classes(&self) -> PyResult<usize> {
        Ok(self.peek()?.classes())
    }

    #[getter]
    fn dir(&self) -> PyResult<PathBuf> {
        Ok(self.peek()?.folder().root().to_owned())
    }

    /// The best score of each cell; NaN for an empty one.
    #[getter]
    fn confidences<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let best = self.peek()?.best().iter().map(|score| score.unwrap_or(f32::NAN));
        Ok(PyArray1::from_vec(py, best.collect()))
    }

    fn ask<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyArray4<u8>>> {
        let search = self.live()?;
        let (side, channels) = search.picture_shape();
        let bytes = py.detach(|| search.ask()).map_err(raised)?;
        picture_array(py, bytes, side, channels)
    }

    fn tell<'py>(&mut self, py: Python<'py>, scores: PyReadonlyArray2<'py, f32>) -> PyResult<Bound<'py, PyDict>> {
        // A copy, because another thread of Python may write to the array while the lock is released.
        let scores = scores.as_slice()?.to_vec();
        let warned = self.warned;
        let search = self.live()?;
        if !warned && let Some(refusal) = py.detach(|| search.check(&scores)).map_err(raised_by_scorer)? {
            // Before the generation is recorded: where warnings are errors, nothing has changed then.
            warn_of_refusal(py, search.generation(), refusal)?;
            self.warned = true;
        }
        let search = self.live()?;
        let progress = py.detach(|| search.tell(&scores)).map_err(raised_by_scorer)?;
        progress_dict(py, &progress)
    }

    /// Ends the run and writes its pictures, sheets and figures.
    fn finish(&mut self, py: Python<'_>) -> PyResult<PathBuf> {
        let search = self.search.take().ok_or_else(ended)?;
        let dir = search.folder().root().to_owned();
        py.detach(|| search.finish()).map_err(raised)?;
        Ok(dir)
    }

    /// Ends the run; its folder is removed if this process made it and nothing is recorded.
    fn abandon(&mut self, py: Python<'_>) {
        if let Some(search) = self.search.take() {
            py.detach(|| search.abandon());
        }
    }
}

/// A run as a dictionary, rebuilt from its journal.
#[pyfunction]
fn rebuild<'py>(py: Python<'py>, dir: PathBuf, compare: bool) -> PyResult<Bound<'py, PyDict>> {
    let read = || {
        let folder = Folder::view(&dir)?;
        let run = fooling::rebuild(&folder)?;
        let differences = if compare { run.compare(&folder) } else { Vec::new() };
        let sheet = fooling::sheet(&run)?;
        let summary = run.last_generation.map(|_| fooling::summarize(&folder)).transpose()?;
        Ok((run, differences, sheet, summary))
    };
    let (run, differences, sheet, summary) = py.detach(read).map_err(raised)?;
    let picture = run.settings.picture;
    let (side, channels, cells) = (usize::from(picture.side), run.settings.channels.count(), run.run.cells.len());
    let bytes = side * side * channels;
    let mut pictures = vec![0; cells * bytes];
    let mut confidences = vec![f32::NAN; cells];
    let mut births = vec![-1_i64; cells];
    let mut genomes: Vec<Option<&str>> = vec![None; cells];
    for elite in &run.elites {
        pictures[elite.cell * bytes..][..bytes].copy_from_slice(elite.picture.bytes());
        confidences[elite.cell] = elite.score;
        births[elite.cell] = elite.birth.generation.into();
        genomes[elite.cell] = elite.genome.as_deref();
    }
    let classes: Vec<i64> = run.run.cells.iter().map(|cell| cell.class as i64).collect();
    let labels = run.run.cells.iter().map(|cell| cell.label.as_str());
    let differences = differences.iter().map(|difference| format!("{}: {}", difference.path.display(), difference.what));
    let json = |value: Result<String, serde_json::Error>| value.map_err(invalid);

    let dict = PyDict::new(py);
    dict.set_item("pictures", picture_array(py, pictures, side, channels)?)?;
    dict.set_item("confidences", PyArray1::from_vec(py, confidences))?;
    dict.set_item("births", PyArray1::from_vec(py, births))?;
    dict.set_item("genomes", PyList::new(py, genomes)?)?;
    dict.set_item("classes", PyArray1::from_vec(py, classes))?;
    dict.set_item("labels", PyList::new(py, labels)?)?;
    dict.set_item("generation", run.last_generation)?;
    dict.set_item("differences", PyList::new(py, differences)?)?;
    dict.set_item("warning", &run.warning)?;
    dict.set_item("sheet", sheet.as_slice())?;
    dict.set_item("summary", json(serde_json::to_string(&summary))?)?;
    dict.set_item("config", json(serde_json::to_string(&run.run.config))?)?;
    dict.set_item("provenance", json(serde_json::to_string(&run.run.provenance))?)?;
    Ok(dict)
}

/// Names and values of the figures after each generation.
#[pyfunction]
fn curve(py: Python<'_>, dir: PathBuf) -> PyResult<(Vec<&'static str>, Bound<'_, PyArray2<f64>>)> {
    let curve = py.detach(|| fooling::curve(&Folder::view(&dir)?)).map_err(raised)?;
    let mut values = Vec::new();
    for (generation, stats) in &curve {
        let counts = [stats.at_50, stats.at_90, stats.at_99, stats.at_9999].map(|count| count as f64);
        values.extend([f64::from(*generation), stats.filled as f64, stats.median, stats.lowest, stats.highest]);
        values.extend(counts);
    }
    let names = vec!["generation", "filled", "median", "lowest", "highest", "at_50", "at_90", "at_99", "at_9999"];
    let array = PyArray1::from_vec(py, values).reshape([curve.len(), names.len()])?;
    Ok((names, array))
}

/// Generation, child, cell, score and picture of an elite's ancestors.
type AncestorTuple<'py> = (u32, u32, usize, f32, Bound<'py, PyArray3<u8>>);

#[pyfunction]
fn lineage(py: Python<'_>, dir: PathBuf, cell: usize, most: usize) -> PyResult<Vec<AncestorTuple<'_>>> {
    let lineage = py.detach(|| fooling::lineage(&Folder::view(&dir)?, cell, most)).map_err(raised)?;
    let film = lineage.map_or_else(Vec::new, |lineage| lineage.film);
    let tuple = |ancestor: fooling::Ancestor| {
        let picture = one_picture(py, ancestor.picture)?;
        Ok((ancestor.birth.generation, ancestor.birth.child, ancestor.cell, ancestor.score, picture))
    };
    film.into_iter().map(tuple).collect()
}

#[pyfunction]
fn render<'py>(py: Python<'py>, genome: &str, size: Option<u16>) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let picture = py.detach(|| fooling::render(genome, size)).map_err(invalid)?;
    one_picture(py, picture)
}

/// The native half of the package `fooling`.
#[pymodule]
mod _fooling {
    #[pymodule_export]
    use super::{NativeModel, NativeSearch, curve, lineage, rebuild, render, resume_model};
}
