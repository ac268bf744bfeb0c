//! From a graph with folded constants to layers.
//!
//! A value can be held in two forms: as a **picture**, one of whose axes lies in blocks of channels while all others are its pixels, and as
//! a **tensor** in row-major order. Convolutions, products with matrices and pooling need pictures; layers that mix axes need tensors. A
//! form is made when a layer needs it, and kept for other layers. Changes of shape that keep the order of the numbers cost nothing.
//!
//! A network that the engine does not support is not wrong: [`Unsupported`] says what is not supported, and another engine may support it.

mod channels;
mod dense;
mod normalise;
mod patterns;
mod pointwise;
mod reduce;
mod shape;
mod window;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, Unsupported, unsupported};
use crate::fold::call::{Operand, TensorType, floats_of};
use crate::fold::operation::{Operation, is_float};
use crate::fold::{Folded, fold_noting_exponentials};
use crate::graph::{Graph, Node, Tensor};
use crate::ir::{Layer, LayerKind, Lowered, Shape, Value};
use crate::kernels::function::Activation;
use crate::kernels::tensor::TensorLayer;
use crate::limits::{MAX_ELEMENTS, MAX_OPERANDS, MAX_WORK};

/// Lowers a graph to layers, up to the value `end`, for an input of these dimensions.
pub(crate) fn lower(mut graph: Graph, end: &str, input: &[usize]) -> Result<Lowered> {
    graph.outputs = vec![end.into()];
    if let [picture] = &mut graph.inputs[..] {
        picture.shape = input.iter().map(|&side| Some(side)).collect();
    }
    let (folded, folded_exponentials) = fold_noting_exponentials(graph, input).map_err(|error| Unsupported(error.to_string()))?;
    let calls = folded.graph.nodes.iter().map(|node| Call::new(&folded, node)).collect::<Result<Vec<_>>>()?;
    let calls = patterns::simplify(&folded, calls);
    let mut lowering = Lowering::new(&folded, &calls, input);
    for call in &calls {
        lowering.add(call).map_err(|Unsupported(why)| Unsupported(format!("{}: {why}", node_part(call.node))))?;
    }
    Ok(Lowered { folded_exponentials, ..lowering.finish(&folded.graph.outputs[0])? })
}

/// How a message calls a node: its name, or its first output's, and the operator.
fn node_part(node: &Node) -> String {
    crate::fold::node_part(node)
}

/// A node to be lowered.
#[derive(Debug, Clone)]
struct Call<'g> {
    node: &'g Node,
    operation: Operation,
    /// Names of its operands; empty for those that are omitted.
    operands: Vec<&'g str>,
}

impl<'g> Call<'g> {
    fn new(folded: &'g Folded, node: &'g Node) -> Result<Self> {
        let operation = folded.operation(node).map_err(|error| Unsupported(error.to_string()))?;
        Ok(Self { node, operation, operands: node.inputs.iter().map(String::as_str).collect() })
    }

    fn operand(&self, at: usize) -> &'g str {
        self.operands.get(at).copied().unwrap_or("")
    }

    fn output(&self) -> &'g str {
        self.node.outputs.first().map_or("", |name| name.as_str())
    }
}

/// How a value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Tensor,
    /// The axis stored in channels; all others, in order, are the pixels.
    Picture(usize),
    /// A picture whose channels are this axis and the next one.
    Groups(usize),
}

/// A value that depends on the network's input.
#[derive(Debug, Clone, Default)]
struct Known {
    dims: Vec<usize>,
    forms: Vec<(Form, Value)>,
}

struct Lowering<'g> {
    folded: &'g Folded,
    known: BTreeMap<&'g str, Known>,
    /// The number of nodes that read each value; the end of the graph counts as a reader.
    readers: BTreeMap<&'g str, usize>,
    /// Values that have several names, each with its own readers.
    shared: BTreeSet<Value>,
    /// The planes of the network's input, once a convolution reads them.
    input: Option<Shape>,
    shapes: Vec<Shape>,
    layers: Vec<Layer>,
    /// The layer that makes each value.
    makers: Vec<Option<usize>>,
    /// Multiplications per picture.
    work: usize,
    /// Weights of all layers, padded to whole blocks of outputs.
    weights: usize,
}

impl<'g> Lowering<'g> {
    fn new(folded: &'g Folded, calls: &[Call<'g>], input: &[usize]) -> Self {
        let mut readers = BTreeMap::new();
        let operands = calls.iter().flat_map(|call| call.operands.iter().copied());
        for name in operands.chain([folded.graph.outputs[0].as_str()]) {
            *readers.entry(name).or_default() += 1;
        }
        let known = Known { dims: input.into(), forms: vec![(Form::Tensor, 0)] };
        Self {
            folded,
            known: BTreeMap::from([(folded.graph.inputs[0].name.as_str(), known)]),
            readers,
            shared: BTreeSet::new(),
            input: None,
            shapes: vec![Shape::flat(product(input))],
            layers: Vec::new(),
            makers: vec![None],
            work: 0,
            weights: 0,
        }
    }

    fn finish(mut self, output: &str) -> Result<Lowered> {
        let output_dims = self.known.get(output).map(|known| known.dims.clone()).unwrap_or_default();
        if output_dims.iter().filter(|&&side| side > 1).count() > 1 {
            return unsupported(format!("the output has the dimensions {output_dims:?}: it is not a vector for each picture"));
        }
        let output = self.tensor(output)?;
        let input = self.input.unwrap_or(self.shapes[0]);
        let layers = needed(self.layers, output, self.shapes.len());
        Ok(Lowered { input, shapes: self.shapes, layers, output, output_dims, folded_exponentials: false })
    }

    fn add(&mut self, call: &Call<'g>) -> Result<()> {
        match &call.operation {
            Operation::Keep => self.keep(call),
            // Every number is a float here.
            Operation::Cast { to } if is_float(*to) => self.keep(call),
            Operation::Convolution(convolution) => self.convolution(call, convolution),
            Operation::Pool(pooling) => self.pool(call, pooling),
            Operation::GlobalPool { reduction } => self.global_pool(call, *reduction),
            Operation::Reduce { reduction, axes, keep } => self.reduce(call, *reduction, axes, *keep),
            Operation::Gemm { transpose_a: false, transpose_b, alpha, beta } => self.gemm(call, *transpose_b, *alpha, *beta),
            Operation::MatMul => self.product(call),
            Operation::BatchNormalization { epsilon } => self.batch_normalisation(call, *epsilon),
            Operation::LayerNormalization { axis, epsilon } => self.layer_normalisation(call, *axis, *epsilon),
            Operation::Lrn { size, alpha, beta, bias } => self.lrn(call, *size, [*alpha, *beta, *bias]),
            Operation::Unary(function) => self.unary(call, *function),
            Operation::Binary(function) => self.binary(call, *function),
            Operation::Reshape { .. } => self.reshape(call),
            Operation::Transpose { order } => self.transpose(call, order),
            Operation::Concat { axis } => self.concat(call, *axis),
            Operation::Slice { starts, steps, sizes } => self.slice(call, starts, steps, sizes),
            Operation::Split { axis, sizes } => self.split(call, *axis, sizes),
            Operation::Pad { before, after, mode, value } => self.pad(call, before, after, *mode, *value),
            _ => self.tensor_layer(call),
        }
    }

    // What is known about names.

    fn dims(&self, name: &str) -> Result<Vec<usize>> {
        self.known.get(name).map(|known| known.dims.clone()).map_or_else(|| unsupported("an operand is missing"), Ok)
    }

    /// The dimensions of a node's output.
    fn result(&self, name: &str) -> Result<Vec<usize>> {
        self.folded.types.get(name).map(|kind| kind.shape.clone()).map_or_else(|| unsupported("a result has no type"), Ok)
    }

    fn is_known(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    fn constant(&self, name: &str) -> Option<&'g Tensor> {
        self.folded.graph.constants.get(name)
    }

    /// Elements of a constant factor: infinities would turn what they are multiplied with into NaN.
    fn weights_of(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(tensor) = self.constant(name) else { return Ok(None) };
        let numbers = floats_of(tensor);
        if numbers.iter().any(|number| !number.is_finite()) {
            return unsupported("its weights are not all finite");
        }
        Ok(Some((tensor.shape.clone(), numbers)))
    }

    /// Names a node's output, in one form.
    fn give(&mut self, name: &'g str, form: Form, value: Value) -> Result<()> {
        let dims = self.result(name)?;
        self.known.insert(name, Known { dims, forms: vec![(form, value)] });
        Ok(())
    }

    /// Gives a node's output the forms of its operand.
    fn alias(&mut self, from: &str, to: &'g str, forms: Vec<(Form, Value)>) -> Result<()> {
        if self.readers.get(from) != Some(&1) {
            self.shared.extend(forms.iter().map(|form| form.1));
        }
        let dims = self.result(to)?;
        self.known.insert(to, Known { dims, forms });
        Ok(())
    }

    fn keep(&mut self, call: &Call<'g>) -> Result<()> {
        let forms = self.known.get(call.operand(0)).map(|known| known.forms.clone()).unwrap_or_default();
        self.alias(call.operand(0), call.output(), forms)
    }

    // Layers.

    fn layer(&mut self, kind: LayerKind, inputs: Vec<Value>, shape: Shape) -> Result<Value> {
        if shape.len() > MAX_ELEMENTS || shape.len() == 0 {
            return unsupported(format!("gives {} numbers for each picture", shape.len()));
        }
        let output = self.shapes.len();
        self.shapes.push(shape);
        self.makers.push(Some(self.layers.len()));
        self.layers.push(Layer { kind, inputs, output });
        Ok(output)
    }

    /// Counts multiplications, and checks the limit.
    fn count_work(&mut self, multiplications: usize) -> Result<()> {
        self.work = self.work.saturating_add(multiplications);
        if self.work > MAX_WORK { unsupported("too many multiplications per picture") } else { Ok(()) }
    }

    /// Counts weights as they will be laid out, and checks the limit.
    fn count_weights(&mut self, weights: usize) -> Result<()> {
        self.weights = self.weights.saturating_add(weights);
        if self.weights > MAX_ELEMENTS { unsupported("too many weights") } else { Ok(()) }
    }

    /// The layer that makes a value, if nothing but the only reader of `name` reads it: then it may be changed.
    fn maker(&mut self, name: &str) -> Option<(Form, Value, &mut LayerKind)> {
        let (form, value) = *self.known.get(name)?.forms.first()?;
        if self.readers.get(name) != Some(&1) || self.shared.contains(&value) || self.known[name].forms.len() > 1 {
            return None;
        }
        let layer = &mut self.layers[self.makers[value]?];
        Some((form, value, &mut layer.kind))
    }

    /// Where the previous layer stores its activation, if it has none yet.
    fn activation_before(&mut self, name: &str) -> Option<(Form, Value, &mut Activation)> {
        let (form, value, kind) = self.maker(name)?;
        let activation = match kind {
            LayerKind::FirstConvolution(convolution) | LayerKind::Convolution(convolution) | LayerKind::Depthwise(convolution) => {
                &mut convolution.activation
            }
            LayerKind::Combination(combination) => &mut combination.activation,
            LayerKind::Affine { activation, .. } => activation,
            _ => return None,
        };
        (*activation == Activation::NONE).then_some((form, value, activation))
    }

    // Forms.

    /// A value as a tensor.
    fn tensor(&mut self, name: &str) -> Result<Value> {
        let Some(known) = self.known.get(name) else { return unsupported("an operand is missing") };
        let dims = known.dims.clone();
        let tensor = known.forms.iter().find(|(form, _)| *form == Form::Tensor).map(|form| form.1);
        // The last axis of its channels.
        let picture = known.forms.iter().find_map(|&(form, value)| match form {
            Form::Picture(axis) => Some((axis, value)),
            Form::Groups(axis) => Some((axis + 1, value)),
            Form::Tensor => None,
        });
        let value = match (tensor, picture) {
            (Some(value), _) if value != 0 => return Ok(value),
            // The network's input is only read as pictures.
            (Some(_), _) => self.layer(LayerKind::ToPicture { inner: 1 }, vec![0], self.shapes[0])?,
            (None, Some((_, value))) if self.shapes[value].is_flat() => value,
            (None, Some((axis, value))) => {
                let inner = product(&dims[axis + 1..]);
                let len = self.shapes[value].len();
                self.count_work(len)?;
                self.layer(LayerKind::ToTensor { inner }, vec![value], Shape::flat(len))?
            }
            (None, None) => return unsupported("an operand has no form"),
        };
        if let Some(known) = self.known.get_mut(name) {
            known.forms.retain(|(form, _)| *form != Form::Tensor);
            known.forms.push((Form::Tensor, value));
        }
        Ok(value)
    }

    /// A value as a picture with this axis in channels.
    fn picture(&mut self, name: &str, axis: usize) -> Result<Value> {
        let Some(known) = self.known.get(name) else { return unsupported("an operand is missing") };
        let dims = known.dims.clone();
        if axis >= dims.len() {
            return unsupported("has no such axis");
        }
        let same = |form: Form| matches!(form, Form::Picture(other) if same_axis(&dims, axis, other));
        if let Some((_, value)) = known.forms.iter().find(|(form, _)| same(*form)) {
            return Ok(*value);
        }
        let is_input = known.forms.contains(&(Form::Tensor, 0));
        let tensor = if is_input { 0 } else { self.tensor(name)? };
        let shape = picture_shape(&dims, axis);
        let value = if shape.is_flat() && tensor != 0 {
            tensor
        } else {
            self.count_work(shape.len())?;
            self.layer(LayerKind::ToPicture { inner: product(&dims[axis + 1..]) }, vec![tensor], shape)?
        };
        if let Some(known) = self.known.get_mut(name) {
            known.forms.push((Form::Picture(axis), value));
        }
        Ok(value)
    }

    /// The stored picture of a value with the axis in channels. The network's input becomes one if it has rows, columns and channels.
    fn any_picture(&mut self, name: &str) -> Result<Option<(usize, Value)>> {
        let Some(known) = self.known.get(name) else { return Ok(None) };
        let picture = known.forms.iter().find_map(|&(form, value)| if let Form::Picture(axis) = form { Some((axis, value)) } else { None });
        if picture.is_none() && known.forms[..] == [(Form::Tensor, 0)] && known.dims.len() == 4 {
            let axis = if known.dims[3] < known.dims[1] { 3 } else { 1 };
            return Ok(Some((axis, self.picture(name, axis)?)));
        }
        Ok(picture)
    }

    /// A picture whose channels are this axis and the next one.
    fn groups(&self, name: &str) -> Option<(usize, Value)> {
        self.known.get(name)?.forms.iter().find_map(|&(form, value)| if let Form::Groups(axis) = form { Some((axis, value)) } else { None })
    }

    /// A picture in rows of this length.
    fn in_rows(&mut self, value: Value, height: usize, width: usize) -> Result<Value> {
        let shape = self.shapes[value];
        if (shape.height, shape.width) == (height, width) {
            return Ok(value);
        }
        if shape.pixels() != height.saturating_mul(width) {
            return unsupported("its operands have different sizes");
        }
        self.layer(LayerKind::Reflow, vec![value], Shape { height, width, ..shape })
    }

    /// A node over tensors.
    fn tensor_layer(&mut self, call: &Call<'g>) -> Result<()> {
        let operand = |name: &&'g str| match (self.folded.types.get(*name), self.constant(name)) {
            (Some(kind), _) => Some(Operand { element: kind.element, shape: &kind.shape, constant: None }),
            (_, Some(tensor)) => Some(Operand::of(tensor)),
            _ => None,
        };
        let operands: Vec<Option<Operand<'_>>> = call.operands.iter().map(operand).collect();
        let results = call.node.outputs.iter().map(|name| self.folded.types.get(name.as_str()).cloned());
        let results: Vec<TensorType> = results.map_while(|kind| kind).collect();
        let layer = TensorLayer::new(&call.operation, &operands, &results).map_err(Unsupported)?;
        let runtime: Vec<&str> = call.operands.iter().copied().filter(|name| self.is_known(name)).collect();
        if runtime.len() > MAX_OPERANDS {
            return unsupported("has too many operands");
        }
        self.count_work(layer.work())?;
        let constants = call.operands.iter().filter_map(|name| self.constant(name)).map(|tensor| product(&tensor.shape));
        let results = call.node.outputs.len().max(1);
        self.count_weights(constants.fold(0, usize::saturating_add).saturating_mul(results))?;
        let inputs = runtime.iter().map(|name| self.tensor(name)).collect::<Result<Vec<_>>>()?;
        for (number, name) in call.node.outputs.iter().enumerate() {
            if !self.readers.contains_key(name.as_str()) {
                continue;
            }
            let shape = Shape::flat(product(&self.result(name)?));
            let value = self.layer(LayerKind::Tensor(layer.clone(), number), inputs.clone(), shape)?;
            self.give(name, Form::Tensor, value)?;
        }
        Ok(())
    }
}

/// The layers on which the output depends. Those through which a selection has followed channels may have no readers left.
fn needed(layers: Vec<Layer>, output: Value, values: usize) -> Vec<Layer> {
    let mut read = vec![false; values];
    read[output] = true;
    for layer in layers.iter().rev() {
        if read[layer.output] {
            layer.inputs.iter().for_each(|&value| read[value] = true);
        }
    }
    layers.into_iter().filter(|layer| read[layer.output]).collect()
}

fn product(dims: &[usize]) -> usize {
    dims.iter().fold(1, |all, &side| all.saturating_mul(side))
}

/// Whether two axes divide the elements of a tensor in the same way: what is before, along and after them.
fn same_axis(dims: &[usize], a: usize, b: usize) -> bool {
    a == b || (dims.get(a) == dims.get(b) && product(&dims[..a.min(dims.len())]) == product(&dims[..b.min(dims.len())]))
}

/// The picture with this axis in channels; its rows run along the last of the other axes.
fn picture_shape(dims: &[usize], axis: usize) -> Shape {
    let last = if axis + 1 == dims.len() { axis.checked_sub(1) } else { Some(dims.len() - 1) };
    let width = last.map_or(1, |last| dims[last]);
    Shape { channels: dims[axis], height: product(dims) / dims[axis].max(1) / width.max(1), width }
}

/// The axes other than `axis` that have more than one element.
fn pixel_axes(dims: &[usize], axis: usize) -> Vec<usize> {
    (0..dims.len()).filter(|&at| at != axis && dims[at] > 1).collect()
}
