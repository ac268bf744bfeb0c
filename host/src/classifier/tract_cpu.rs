//! The network on the CPU, by tract.
//!
//! tract plans a graph for one shape and runs it on the calling thread; a run uses all cores by giving each worker a
//! session, and all sessions share one plan and its weights. The final softmax is cut off and taken in
//! [`scores`](super::scores): tract's own differs between CPUs, while the layers before it give the same bits on all
//! x86-64 CPUs that have FMA, for a fixed batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike, TypedOp};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::plan::SimpleState;
use tract_onnx::tract_hir::infer::Factoid;

use super::scores::{Finisher, Raw};
use super::{Classifier, ClassifyError, Refusals, Session, check_call};
use crate::model::card::printable;
use crate::model::network::{MAX_ELEMENTS, Network, Softmax, contained, panic_text};
use crate::model::{Model, ModelError, Output};

const ENGINE: &str = "tract";
/// Most multiplications and additions for a picture; VGG-19 takes 2e10.
const MAX_WORK: usize = 1 << 40;

type State = SimpleState<TypedFact, Box<dyn TypedOp>>;

/// A network on the CPU.
#[derive(Debug)]
pub struct TractCpu {
    plan: Arc<TypedSimplePlan>,
    shape: [usize; 4],
    batch: usize,
    crops: usize,
    classes: usize,
    raw: Raw,
}

impl TractCpu {
    /// Prepares a model for batches of `batch` pictures.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: the file has changed since the model was loaded; an operator, shape or type that tract cannot run;
    /// another number of classes than there are labels; tensors or work beyond all bounds.
    ///
    /// # Panics
    ///
    /// If `batch` is 0.
    pub fn new(model: &Model, batch: usize) -> Result<Self, ModelError> {
        assert!(batch > 0, "a batch holds at least one picture");
        let crops = model.preprocess().crops();
        let shape = model.preprocess().shape(batch.saturating_mul(crops));
        let network = model.network()?;
        let file = network.file().to_owned();
        let (compiled, rewritten) = compile(network, shape)?;
        model.check_classes(&file, compiled.classes)?;
        let Compiled { plan, classes, softmax_cut } = compiled;
        let logits = softmax_cut || model.card().output == Output::Logits;
        let raw = if logits { Raw::Logits } else { Raw::Probabilities };
        let cpu = Self { plan, shape, batch, crops, classes, raw };
        if rewritten {
            cpu.probe().map_err(|problem| ModelError::network(&file, "batch", problem))?;
        }
        Ok(cpu)
    }

    fn start(&self) -> TractResult<TractSession<'_>> {
        Ok(TractSession {
            cpu: self,
            state: Some(self.plan.spawn()?),
            input: Tensor::zero::<f32>(&self.shape)?.into_arc_tensor(),
            finisher: Finisher::new(self.raw, self.classes),
        })
    }

    /// Tries whether the pictures of a batch are independent, for a graph that was made for a batch of one: a picture must
    /// score the same bits in another slot with other neighbours.
    fn probe(&self) -> Result<(), String> {
        if self.batch == 1 {
            return Ok(());
        }
        let mut session = self.start().map_err(|error| error_text(&error))?;
        let mut score = |first: f32, last: f32, at: usize| {
            (0..self.batch).for_each(|slot| session.slot(slot).fill(0.0));
            fill_pattern(session.slot(0), first);
            fill_pattern(session.slot(self.batch - 1), last);
            let mut scores = vec![0.0; self.batch * self.classes];
            // A refusal gives NaN in both runs; the search will meet it again and count it.
            let _refusals = session.run(self.batch, &mut scores).map_err(|error| error.to_string())?;
            let scores = &scores[at * self.classes..][..self.classes];
            Ok::<_, String>(scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>())
        };
        if score(1.0, -0.5, 0)? == score(0.0, 1.0, self.batch - 1)? {
            return Ok(());
        }
        Err("the network was made for one picture at a time, and in a batch its pictures influence each other; export it \
             with an open batch"
            .into())
    }
}

/// A picture for [`TractCpu::probe`].
fn fill_pattern(slot: &mut [f32], factor: f32) {
    for (i, number) in (0..=255_u8).cycle().zip(slot) {
        *number = factor * f32::from(i.wrapping_mul(37)) / 256.0;
    }
}

impl Classifier for TractCpu {
    fn classes(&self) -> usize {
        self.classes
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.crops * self.shape[1..].iter().product::<usize>()
    }

    fn description(&self) -> String {
        format!("tract {} on the CPU, batch {} x {} crops", TRACT_VERSION, self.batch, self.crops)
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        let session = self.start().map_err(|error| failure(error_text(&error)))?;
        Ok(Box::new(session))
    }
}

/// Kept in step with Cargo.lock by a test.
const TRACT_VERSION: &str = "0.23.9";

fn failure(problem: String) -> ClassifyError {
    ClassifyError::Engine { engine: ENGINE, problem }
}

struct TractSession<'a> {
    cpu: &'a TractCpu,
    /// `None` after a panic inside the engine.
    state: Option<State>,
    /// The input of all slots. The engine borrows it for a run and gives it back, so it is never copied.
    input: Arc<Tensor>,
    finisher: Finisher,
}

impl TractSession<'_> {
    fn eval(&mut self) -> Result<TValue, ClassifyError> {
        let Some(state) = &mut self.state else {
            return Err(failure("it panicked in an earlier batch".into()));
        };
        let input = self.input.clone().into_tvalue();
        let _quiet = crate::quiet::panics();
        let result = catch_unwind(AssertUnwindSafe(|| state.run(tvec![input])));
        match result {
            Ok(outputs) => {
                let output = outputs.map_err(|error| failure(error_text(&error)))?.pop();
                output.ok_or_else(|| failure("no output".into()))
            }
            Err(panic) => {
                self.state = None;
                Err(failure(panic_text(&*panic)))
            }
        }
    }
}

impl Session for TractSession<'_> {
    fn slot(&mut self, picture: usize) -> &mut [f32] {
        let len = self.cpu.slot_len();
        // Alone in holding the tensor but after a failed run, when a copy does no harm.
        let input = Arc::make_mut(&mut self.input);
        let numbers = input.to_plain_array_view_mut::<f32>().expect("made of f32 in plain memory");
        let numbers = numbers.into_slice().expect("made contiguous");
        &mut numbers[picture * len..][..len]
    }

    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError> {
        let (classes, crops) = (self.cpu.classes, self.cpu.crops);
        check_call(filled, self.cpu.batch, classes, scores);
        let output = self.eval()?;
        let output = output.try_as_plain_ram().map_err(|error| failure(error_text(&error)))?;
        let raw = output.as_slice::<f32>().map_err(|error| failure(error_text(&error)))?;
        let expected = self.cpu.batch * crops * classes;
        if raw.len() != expected {
            return Err(ClassifyError::ScoreCount { engine: ENGINE, expected, found: raw.len() });
        }
        let mut refusals = Refusals::default();
        let rows = raw.chunks_exact(crops * classes).zip(scores.chunks_exact_mut(classes));
        for (slot, (raw, scores)) in rows.enumerate() {
            if let Err(what) = self.finisher.finish(raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}

/// A graph planned for one shape.
struct Compiled {
    plan: Arc<TypedSimplePlan>,
    classes: usize,
    softmax_cut: bool,
}

/// How many classes a network has, by the engine's inference, where its file does not say.
pub(crate) fn classes_of(network: Network) -> Result<usize, ModelError> {
    let dims = network.facts().input;
    let shape = [1, dims[1].unwrap_or(1), dims[2].unwrap_or(1), dims[3].unwrap_or(1)];
    compile(network, shape).map(|(compiled, _)| compiled.classes)
}

/// Plans a network for an input of `shape`. The second result is [`Network::for_batch`]'s.
fn compile(network: Network, shape: [usize; 4]) -> Result<(Compiled, bool), ModelError> {
    let (file, softmax) = (network.file().to_owned(), network.facts().softmax.clone());
    let fail = |problem| ModelError::network(&file, "engine (tract)", problem);
    if shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim)).is_none_or(|all| all > MAX_ELEMENTS) {
        return Err(fail(format!("an input of {shape:?} is too large; choose a smaller batch")));
    }
    let (proto, rewritten) = network.for_batch(shape)?;
    let compiled = contained(move || plan(&proto, softmax.as_ref(), shape[0])).map_err(fail)?;
    Ok((compiled, rewritten))
}

fn plan(proto: &ModelProto, softmax: Option<&Softmax>, batch: usize) -> Result<Compiled, String> {
    let text = |error: TractError| error_text(&error);
    let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(proto, None).map_err(text)?;
    let mut model = parsed.model;
    model.analyse(false).map_err(text)?;
    let logits = softmax.and_then(|softmax| {
        let outlet = *parsed.outlets_by_name.get(&softmax.logits)?;
        let shape = model.outlet_fact(outlet).ok()?.shape.concretize()?;
        let shape: Option<Vec<usize>> = shape.iter().map(|dim| dim.to_usize().ok()).collect();
        softmax.spans(&shape?).then_some(outlet)
    });
    if let Some(logits) = logits {
        model.select_output_outlets(&[logits]).map_err(text)?;
    }
    let model = model.into_typed().map_err(text)?;
    check_sizes(&model, batch)?;
    let classes = classes(&model, batch)?;
    let plan = model.into_optimized().and_then(TypedModel::into_runnable).map_err(text)?;
    Ok(Compiled { plan, classes, softmax_cut: logits.is_some() })
}

/// Checks every tensor that the graph will make, and the work, before memory is taken for it.
fn check_sizes(model: &TypedModel, batch: usize) -> Result<(), String> {
    let mut work = 0_usize;
    for node in model.nodes() {
        for output in &node.outputs {
            let shape = concrete(&output.fact);
            let shape = shape.ok_or_else(|| format!("the shape of `{}` cannot be told", printable(&node.name)))?;
            let elements = shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
            if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
                return Err(format!(
                    "`{}` has the shape {shape:?}; at most {MAX_ELEMENTS} numbers are taken (choose a smaller batch if the \
                     network is sound)",
                    printable(&node.name)
                ));
            }
        }
        work = work.saturating_add(convolution_work(model, node, batch)?);
    }
    if work / batch > MAX_WORK {
        return Err(format!("{} multiplications for a picture; at most {MAX_WORK} are taken", work / batch));
    }
    Ok(())
}

/// Multiplications of a convolution, 0 for other nodes. Also bounds its unrolled input, of which the engine makes one
/// picture's at a time.
fn convolution_work(model: &TypedModel, node: &TypedNode, batch: usize) -> Result<usize, String> {
    if node.op.name() != "Conv" {
        return Ok(0);
    }
    let (Ok(inputs), Ok(outputs)) = (model.node_input_facts(node.id), model.node_output_facts(node.id)) else {
        return Ok(0);
    };
    let volume = |fact: &TypedFact| concrete(fact).map_or(0, |shape| shape.iter().product::<usize>());
    let (kernel, output) = (inputs.get(1).map_or(0, |fact| volume(fact)), volume(outputs[0]));
    // The kernel is O x I x H x W, and the output has at most O channels.
    let channels = inputs.get(1).and_then(|fact| concrete(fact)).and_then(|shape| shape.first().copied());
    let channels = channels.unwrap_or(1).max(1);
    let unrolled = (kernel / channels).saturating_mul(output / channels / batch.max(1));
    if unrolled > MAX_ELEMENTS {
        let name = printable(&node.name);
        return Err(format!("the convolution `{name}` would unroll a picture to {unrolled} numbers; too many"));
    }
    Ok((kernel / channels).saturating_mul(output))
}

fn concrete(fact: &TypedFact) -> Option<Vec<usize>> {
    fact.shape.iter().map(|dim| dim.to_usize().ok()).collect()
}

/// How many numbers come out for a picture.
fn classes(model: &TypedModel, batch: usize) -> Result<usize, String> {
    let [output] = model.output_outlets().map_err(|error| error_text(&error))?[..] else {
        return Err("the network has not one output".into());
    };
    let fact = model.outlet_fact(output).map_err(|error| error_text(&error))?;
    let shape = concrete(fact).unwrap_or_default();
    if fact.datum_type != f32::datum_type() {
        return Err(format!("the output is {:?}, not 32-bit floats", fact.datum_type));
    }
    match shape.split_first() {
        Some((&first, rest)) if first == batch => Ok(rest.iter().product()),
        _ => Err(format!(
            "for {batch} pictures the output has the shape {shape:?}, not {batch} x classes; export the network with an open \
             batch"
        )),
    }
}

/// The whole chain of an engine's error in one bounded line.
fn error_text(error: &TractError) -> String {
    let text = format!("{error:#}");
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(400).collect();
    if text.len() > line.len() {
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests;
