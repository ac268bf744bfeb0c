//! From an ONNX graph to layers: shapes inferred and bounded, constants resolved, activations and normalisations folded into the layer
//! before them.
//!
//! What this engine has no layer for is no error of the network: [`Unsupported`] says what it was, and another engine may have it.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::convolution::{Range, Weights};
use crate::model::card::printable;
use crate::model::network::{MAX_ELEMENTS, MAX_WORK, Softmax, node_part};
use fooling_engine::simd::LANES;

/// What this engine cannot compute, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) String);

type Result<T> = std::result::Result<T, Unsupported>;

fn unsupported<T>(why: impl Into<String>) -> Result<T> {
    Err(Unsupported(why.into()))
}

/// Number of a value among all values of a graph.
pub(super) type Value = usize;

/// The shape of what a layer gives for one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Picture { channels: usize, height: usize, width: usize },
    Vector(usize),
}

impl Shape {
    pub(super) fn len(self) -> usize {
        match self {
            // What is made of numbers that have been checked; more than the bound is more than the bound.
            Self::Picture { channels, height, width } => channels.saturating_mul(height).saturating_mul(width),
            Self::Vector(len) => len,
        }
    }
}

/// A window that moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Rows above and columns left of the picture.
    pub(super) before: [usize; 2],
    pub(super) output: [usize; 2],
}

/// Local response normalisation: `x / (bias + alpha / size * sum of squares over the window) ^ (quarters / 4)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lrn {
    pub(super) size: usize,
    pub(super) alpha: f32,
    pub(super) bias: f32,
    /// 2, 3 or 4: square roots are exact, other powers are not.
    pub(super) quarters: u8,
}

/// What a layer does.
#[derive(Debug)]
pub(super) enum Operation {
    Convolution(Weights),
    /// A convolution of each channel by itself.
    Depthwise(Weights),
    /// A convolution of vectors: a product with a matrix.
    Dense(Weights),
    MaxPool(Window),
    /// The mean over what the window sees of the picture, or over all of the window.
    AveragePool {
        window: Window,
        whole: bool,
    },
    /// The mean over a picture, channel by channel; gives a vector.
    GlobalAverage,
    Lrn(Lrn),
    /// Channels of one after channels of the other.
    Concat,
    Add(Range),
    Clamp(Range),
    /// A picture as a vector: channels x rows x columns.
    Flatten,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) operation: Operation,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

/// A network as layers, each after those that it needs. Value 0 is the picture.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) shapes: Vec<Shape>,
    pub(super) layers: Vec<Layer>,
    pub(super) output: Value,
    /// Whether a final softmax was cut off, so that logits come out.
    pub(super) softmax_cut: bool,
}

/// Makes layers of a graph that has been checked, for pictures of `input` channels, rows and columns.
pub(super) fn lower(graph: &GraphProto, softmax: Option<&Softmax>, input: [usize; 3]) -> Result<Graph> {
    let softmaxed = lower_to(graph, softmax.map(|softmax| softmax.logits.as_str()), input)?;
    match softmax {
        Some(softmax) if !softmax.spans(&softmaxed.1) => unsupported("the softmax is over something else than the classes"),
        _ => Ok(softmaxed.0),
    }
}

/// The graph up to the value `logits`, or to its end, and that value's shape in ONNX's eyes.
fn lower_to(graph: &GraphProto, logits: Option<&str>, input: [usize; 3]) -> Result<(Graph, Vec<usize>)> {
    let end = logits.unwrap_or(&graph.output[0].name);
    let mut lowering = Lowering::new(graph, end, input);
    let needed = needed(graph, end);
    for (node, needed) in graph.node.iter().zip(needed) {
        if needed && node.op_type != "Constant" {
            lowering.add(node).map_err(|Unsupported(why)| Unsupported(format!("{}: {why}", node_part(node))))?;
        }
    }
    let (output, dims) = lowering.values.get(end).cloned().ok_or_else(|| Unsupported("the output is a constant".into()))?;
    if !matches!(lowering.shapes[output], Shape::Vector(_)) {
        return unsupported("the output is not a vector a picture");
    }
    Ok((Graph { shapes: lowering.shapes, layers: lowering.layers, output, softmax_cut: logits.is_some() }, dims))
}

/// Which nodes the value `end` depends on.
fn needed(graph: &GraphProto, end: &str) -> Vec<bool> {
    let mut values = HashSet::from([end]);
    let mut needed: Vec<bool> = graph
        .node
        .iter()
        .rev()
        .map(|node| {
            let needed = node.output.iter().any(|output| values.contains(output.as_str()));
            if needed {
                values.extend(node.input.iter().map(String::as_str));
            }
            needed
        })
        .collect();
    needed.reverse();
    needed
}

struct Lowering<'g> {
    constants: HashMap<&'g str, &'g TensorProto>,
    /// Values that depend on the picture, each with its shape in ONNX's eyes, the batch (1) first.
    values: HashMap<&'g str, (Value, Vec<usize>)>,
    /// How many nodes read each value; the end of the graph is read as well.
    readers: HashMap<&'g str, usize>,
    /// Values that have several names, with readers of their own.
    shared: HashSet<Value>,
    shapes: Vec<Shape>,
    layers: Vec<Layer>,
    /// Multiplications for a picture.
    work: usize,
    /// Weights of all layers, filled up to whole blocks of outputs.
    weights: usize,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g GraphProto, end: &'g str, [channels, height, width]: [usize; 3]) -> Self {
        let initializers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let nodes = nodes.filter_map(|node| Some((node.output.first()?.as_str(), node.attribute.iter().find_map(|a| a.t.as_ref())?)));
        let constants: HashMap<_, _> = initializers.chain(nodes).collect();
        let mut readers = HashMap::from([(end, 1)]);
        for input in graph.node.iter().flat_map(|node| &node.input) {
            *readers.entry(input.as_str()).or_default() += 1;
        }
        let input = graph.input.iter().find(|input| !constants.contains_key(input.name.as_str())).map_or("", |input| &input.name);
        Self {
            constants,
            values: HashMap::from([(input, (0, vec![1, channels, height, width]))]),
            readers,
            shared: HashSet::new(),
            shapes: vec![Shape::Picture { channels, height, width }],
            layers: Vec::new(),
            work: 0,
            weights: 0,
        }
    }

    fn add(&mut self, node: &'g NodeProto) -> Result<()> {
        match node.op_type.as_str() {
            "Conv" => self.convolution(node),
            "Gemm" | "MatMul" => self.dense(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "Relu" => self.activation(node, Range { least: 0.0, most: f32::INFINITY }),
            "Clip" => self.clip(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" => self.global_average(node, true),
            "ReduceMean" => self.mean(node),
            "LRN" => self.lrn(node),
            "Concat" => self.concat(node),
            "Add" | "Sum" => self.sum(node),
            "Flatten" | "Reshape" | "Squeeze" => self.reshape(node),
            "Dropout" if self.trains(node) => unsupported("is told to train"),
            "Dropout" | "Identity" => {
                let value = self.input(node, 0)?;
                self.alias(node, value);
                Ok(())
            }
            _ => unsupported("this engine has no such layer"),
        }
    }

    fn input(&self, node: &NodeProto, at: usize) -> Result<(Value, Vec<usize>)> {
        let name = node.input.get(at).map_or("", String::as_str);
        self.values.get(name).cloned().ok_or_else(|| Unsupported(format!("its input `{}` is not made of the picture", printable(name))))
    }

    fn picture(&self, node: &NodeProto, at: usize) -> Result<(Value, [usize; 3])> {
        let (value, _) = self.input(node, at)?;
        match self.shapes[value] {
            Shape::Picture { channels, height, width } => Ok((value, [channels, height, width])),
            Shape::Vector(_) => unsupported("its input is no picture"),
        }
    }

    /// The constant at an input of a node: its dimensions and numbers. `None` if there is none.
    fn floats(&self, node: &NodeProto, at: usize) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(name) = node.input.get(at).filter(|name| !name.is_empty()) else { return Ok(None) };
        let Some(tensor) = self.constants.get(name.as_str()) else {
            return unsupported(format!("its input `{}` is no constant", printable(name)));
        };
        let numbers = float_values(tensor)?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return unsupported(format!("`{}` has numbers that are not finite", printable(name)));
        }
        let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
        Ok(Some((dims, numbers)))
    }

    /// Gives the node's output the name of a value.
    fn name(&mut self, node: &'g NodeProto, value: (Value, Vec<usize>)) {
        self.values.insert(&node.output[0], value);
    }

    /// Gives the node's output the name of the value that it reads. If others read that value too, it must stay as it is.
    fn alias(&mut self, node: &'g NodeProto, value: (Value, Vec<usize>)) {
        if self.readers.get(node.input[0].as_str()) != Some(&1) {
            self.shared.insert(value.0);
        }
        self.name(node, value);
    }

    /// Whether a dropout is told to drop, or may be.
    fn trains(&self, node: &NodeProto) -> bool {
        let told = node.input.get(2).filter(|name| !name.is_empty());
        told.is_some_and(|name| match self.constants.get(name.as_str()) {
            Some(told) => told.int32_data.iter().any(|&told| told != 0) || told.raw_data.iter().any(|&told| told != 0),
            None => true,
        })
    }

    /// Adds a layer whose output has this shape; `dims` is that shape in ONNX's eyes.
    fn layer(&mut self, node: &'g NodeProto, operation: Operation, inputs: Vec<Value>, shape: Shape, dims: Vec<usize>) -> Result<()> {
        if shape.len() > MAX_ELEMENTS || shape.len() == 0 {
            return unsupported(format!("gives {} numbers for a picture", shape.len()));
        }
        let output = self.shapes.len();
        self.shapes.push(shape);
        self.layers.push(Layer { operation, inputs, output });
        self.name(node, (output, dims));
        Ok(())
    }

    fn picture_layer(&mut self, node: &'g NodeProto, operation: Operation, inputs: Vec<Value>, shape: [usize; 3]) -> Result<()> {
        let [channels, height, width] = shape;
        self.layer(node, operation, inputs, Shape::Picture { channels, height, width }, vec![1, channels, height, width])
    }

    /// Counts multiplications, and bounds them.
    fn works(&mut self, multiplications: usize) -> Result<()> {
        self.work = self.work.saturating_add(multiplications);
        if self.work > MAX_WORK { unsupported("too many multiplications for a picture") } else { Ok(()) }
    }

    /// Counts the weights of a layer as they will be laid out, and bounds them.
    fn holds(&mut self, outputs: usize, groups: usize, weights: usize) -> Result<()> {
        let filled_up = (outputs / groups).next_multiple_of(LANES).saturating_mul(groups).saturating_mul(weights / outputs);
        self.weights = self.weights.saturating_add(filled_up);
        if self.weights > MAX_ELEMENTS { unsupported("too many weights") } else { Ok(()) }
    }

    fn convolution(&mut self, node: &'g NodeProto) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let Some((kernel, weights)) = self.floats(node, 1)? else { return unsupported("has no weights") };
        let [outputs, inputs, rows, columns] = kernel[..] else { return unsupported("is not over rows and columns") };
        let groups = usize::try_from(integer(node, "group", 1)).unwrap_or(0);
        if kernel.contains(&0) || groups == 0 || outputs % groups != 0 || dims.get(1) != Some(&inputs.saturating_mul(groups)) {
            return unsupported("its weights do not fit its input");
        }
        let bias = self.bias(node, 2, outputs)?;
        let [dilation, stride] = [pair(node, "dilations")?, pair(node, "strides")?];
        let extent = [(rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1];
        let plain = Weights { weights, bias, groups, kernel: [rows, columns], stride, dilation, before: [0; 2], range: Range::ALL };
        let Shape::Picture { channels, height, width } = self.shapes[value] else {
            if [rows, columns] != [1, 1] || groups != 1 || pads(node)? != [0; 4] {
                return unsupported("is no dense layer, but its input is a vector");
            }
            // Strides and dilations change nothing where there is but one pixel.
            let plain = Weights { stride: [1; 2], dilation: [1; 2], ..plain };
            return self.dense_layer(node, value, plain, vec![1, outputs, 1, 1]);
        };
        let window = window(node, [height, width], extent, stride)?;
        if ![1, 2, 4].contains(&stride[1]) {
            return unsupported("has a stride other than 1, 2 and 4");
        }
        let [height, width] = window.output;
        let weights = Weights { before: window.before, ..plain };
        let operation = if groups == channels && groups == outputs && groups > 1 {
            self.works(weights.weights.len().saturating_mul(height).saturating_mul(width))?;
            self.holds(outputs, 1, weights.weights.len())?;
            Operation::Depthwise(weights)
        } else {
            let weights = ungrouped(weights)?;
            self.works(weights.weights.len().saturating_mul(height).saturating_mul(width))?;
            self.holds(outputs, weights.groups, weights.weights.len())?;
            Operation::Convolution(weights)
        };
        self.picture_layer(node, operation, vec![value], [outputs, height, width])
    }

    fn bias(&self, node: &NodeProto, at: usize, outputs: usize) -> Result<Vec<f32>> {
        match self.floats(node, at)? {
            None => Ok(vec![0.0; outputs]),
            Some((dims, bias)) if bias.len() == outputs && dims.last().is_none_or(|&dim| dim == outputs) => Ok(bias),
            Some((_, bias)) if bias.len() == 1 && node.op_type == "Gemm" => Ok(vec![bias[0]; outputs]),
            Some(_) => unsupported("its bias does not fit its weights"),
        }
    }

    fn dense(&mut self, node: &'g NodeProto) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let Some((matrix, numbers)) = self.floats(node, 1)? else { return unsupported("has no weights") };
        let ([rows, columns], [_, _]) = (&matrix[..], &dims[..]) else { return unsupported("is not a product of two matrices") };
        let plain = float(node, "alpha", 1.0) == 1.0 && float(node, "beta", 1.0) == 1.0 && integer(node, "transA", 0) == 0;
        if !plain {
            return unsupported("has a factor, or a turned input");
        }
        let turned = integer(node, "transB", 0) != 0;
        let (inputs, outputs) = if turned { (*columns, *rows) } else { (*rows, *columns) };
        if inputs * outputs == 0 || inputs != self.shapes[value].len() {
            return unsupported("its weights do not fit its input");
        }
        let at = |output: usize, input: usize| if turned { output * inputs + input } else { input * outputs + output };
        let weights = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
        let weights = weights.map(|(output, input)| numbers[at(output, input)]).collect();
        let bias = self.bias(node, 2, outputs)?;
        let layer =
            Weights { weights, bias, groups: 1, kernel: [1; 2], stride: [1; 2], dilation: [1; 2], before: [0; 2], range: Range::ALL };
        self.dense_layer(node, value, layer, vec![1, outputs])
    }

    fn dense_layer(&mut self, node: &'g NodeProto, value: Value, layer: Weights, dims: Vec<usize>) -> Result<()> {
        let outputs = layer.bias.len();
        self.works(layer.weights.len())?;
        self.holds(outputs, 1, layer.weights.len())?;
        self.layer(node, Operation::Dense(layer), vec![value], Shape::Vector(outputs), dims)
    }

    /// The layer that makes the node's first input, if nobody else reads what it makes.
    fn layer_before(&mut self, node: &NodeProto) -> Option<&mut Operation> {
        let name = node.input[0].as_str();
        let value = self.values.get(name)?.0;
        if self.readers.get(name) != Some(&1) || self.shared.contains(&value) {
            return None;
        }
        self.layers.iter_mut().find(|layer| layer.output == value).map(|layer| &mut layer.operation)
    }

    /// The weights of the layer before a node, if they may be changed: no activation has been applied to what it makes.
    fn weights_before(&mut self, node: &NodeProto) -> Option<&mut Weights> {
        match self.layer_before(node)? {
            Operation::Convolution(weights) | Operation::Depthwise(weights) | Operation::Dense(weights) => {
                (weights.range == Range::ALL).then_some(weights)
            }
            _ => None,
        }
    }

    /// Where the layer before a node takes its activation, if it has none yet.
    fn range_before(&mut self, node: &NodeProto) -> Option<&mut Range> {
        let range = match self.layer_before(node)? {
            Operation::Convolution(weights) | Operation::Depthwise(weights) | Operation::Dense(weights) => &mut weights.range,
            Operation::Add(range) => range,
            _ => return None,
        };
        (*range == Range::ALL).then_some(range)
    }

    fn batch_normalisation(&mut self, node: &'g NodeProto) -> Result<()> {
        let constants = (1..5).map(|at| self.floats(node, at)).collect::<Result<Vec<_>>>()?;
        let [Some(scale), Some(shift), Some(mean), Some(variance)] = &constants[..] else {
            return unsupported("lacks a constant");
        };
        if integer(node, "training_mode", 0) != 0 || node.output.len() > 1 {
            return unsupported("is told to train");
        }
        let epsilon = f64::from(float(node, "epsilon", 1e-5));
        let value = self.input(node, 0)?;
        let Some(weights) = self.weights_before(node) else { return unsupported("does not follow a convolution") };
        let outputs = weights.bias.len();
        if [scale, shift, mean, variance].iter().any(|constant| constant.1.len() != outputs) {
            return unsupported("its constants do not fit its input");
        }
        let each = weights.weights.len() / outputs;
        for output in 0..outputs {
            // In double precision, each rounded once: the same everywhere.
            let factor = f64::from(scale.1[output]) / (f64::from(variance.1[output]) + epsilon).sqrt();
            for weight in &mut weights.weights[output * each..][..each] {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            let bias = (f64::from(weights.bias[output]) - f64::from(mean.1[output])) * factor + f64::from(shift.1[output]);
            weights.bias[output] = bias as f32;
        }
        if weights.weights.iter().chain(&weights.bias).any(|weight| !weight.is_finite()) {
            return unsupported("makes weights that are not finite");
        }
        self.name(node, value);
        Ok(())
    }

    fn activation(&mut self, node: &'g NodeProto, range: Range) -> Result<()> {
        let value = self.input(node, 0)?;
        if let Some(before) = self.range_before(node) {
            *before = range;
            self.name(node, value);
            return Ok(());
        }
        let shape = self.shapes[value.0];
        self.layer(node, Operation::Clamp(range), vec![value.0], shape, value.1)
    }

    fn clip(&mut self, node: &'g NodeProto) -> Result<()> {
        let bound = |at: usize, attribute: &str, default: f32| match self.floats(node, at)? {
            Some((_, bound)) if bound.len() == 1 => Ok(bound[0]),
            Some(_) => unsupported("its bounds are not single numbers"),
            None => Ok(float(node, attribute, default)),
        };
        let (least, most) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        if least.is_nan() || most.is_nan() || least > most {
            return unsupported("its bounds are no range");
        }
        self.activation(node, Range { least, most })
    }

    fn pool(&mut self, node: &'g NodeProto) -> Result<()> {
        let (value, [channels, height, width]) = self.picture(node, 0)?;
        let Some(kernel) = extents(node, "kernel_shape")? else { return unsupported("has no kernel") };
        let stride = pair(node, "strides")?;
        if pair(node, "dilations")? != [1, 1] || node.output.len() > 1 || integer(node, "storage_order", 0) != 0 {
            return unsupported("has dilations or indices");
        }
        let window = window(node, [height, width], kernel, stride)?;
        let operation = match node.op_type.as_str() {
            "MaxPool" => Operation::MaxPool(window),
            _ if integer(node, "ceil_mode", 0) != 0 => return unsupported("has a size that is rounded up"),
            _ => Operation::AveragePool { window, whole: integer(node, "count_include_pad", 0) != 0 },
        };
        let sees = |axis: usize, side: usize| {
            window.before[axis] < window.kernel[axis] && (window.output[axis] - 1) * window.stride[axis] < side + window.before[axis]
        };
        if !(sees(0, height) && sees(1, width)) {
            return unsupported("has a window that sees nothing of the picture");
        }
        self.works(channels.saturating_mul(window.output[0] * window.output[1]).saturating_mul(kernel[0] * kernel[1]))?;
        self.picture_layer(node, operation, vec![value], [channels, window.output[0], window.output[1]])
    }

    fn global_average(&mut self, node: &'g NodeProto, keeps_dims: bool) -> Result<()> {
        let (value, [channels, ..]) = self.picture(node, 0)?;
        let dims = if keeps_dims { vec![1, channels, 1, 1] } else { vec![1, channels] };
        self.layer(node, Operation::GlobalAverage, vec![value], Shape::Vector(channels), dims)
    }

    /// A mean over rows and columns.
    fn mean(&mut self, node: &'g NodeProto) -> Result<()> {
        let axes = self.axes(node)?;
        if axes != [2, 3] && axes != [-2, -1] {
            return unsupported("is not over rows and columns");
        }
        self.global_average(node, integer(node, "keepdims", 1) != 0)
    }

    /// The axes that a node works on, given as an attribute or as a constant.
    fn axes(&self, node: &NodeProto) -> Result<Vec<i64>> {
        let listed = attribute(node, "axes").map(|attribute| attribute.ints.clone());
        match (listed, node.input.get(1).and_then(|name| self.constants.get(name.as_str()))) {
            (Some(axes), None) => Ok(axes),
            (None, Some(tensor)) => integer_values(tensor),
            _ => unsupported("has no axes"),
        }
    }

    fn lrn(&mut self, node: &'g NodeProto) -> Result<()> {
        let (value, shape) = self.picture(node, 0)?;
        let size = usize::try_from(integer(node, "size", 0)).unwrap_or(0);
        let quarters = float(node, "beta", 0.75) * 4.0;
        let quarters = [2_u8, 3, 4].into_iter().find(|&count| f32::from(count) == quarters);
        let Some(quarters) = quarters else { return unsupported("has a beta other than 0.5, 0.75 and 1") };
        if size == 0 || size > 64 {
            return unsupported("has a window that is empty, or larger than 64");
        }
        let lrn = Lrn { size, alpha: float(node, "alpha", 1e-4), bias: float(node, "bias", 1.0), quarters };
        self.works(shape.iter().product::<usize>().saturating_mul(size))?;
        self.picture_layer(node, Operation::Lrn(lrn), vec![value], shape)
    }

    fn concat(&mut self, node: &'g NodeProto) -> Result<()> {
        if ![1, -3].contains(&integer(node, "axis", 0)) {
            return unsupported("does not join channels");
        }
        let parts = (0..node.input.len()).map(|at| self.picture(node, at)).collect::<Result<Vec<_>>>()?;
        let (_, [_, height, width]) = parts[0];
        if parts.iter().any(|(_, part)| part[1..] != [height, width]) {
            return unsupported("joins pictures of different sizes");
        }
        let channels = parts.iter().fold(0, |sum: usize, (_, part)| sum.saturating_add(part[0]));
        self.picture_layer(node, Operation::Concat, parts.iter().map(|part| part.0).collect(), [channels, height, width])
    }

    fn sum(&mut self, node: &'g NodeProto) -> Result<()> {
        let [first, second] = &node.input[..] else { return unsupported("has not two inputs") };
        if self.constants.contains_key(second.as_str()) {
            return self.late_bias(node);
        }
        let (first, second) = (self.input(node, 0)?, self.input(node, usize::from(first != second))?);
        let shape = self.shapes[first.0];
        if shape != self.shapes[second.0] || first.1 != second.1 {
            return unsupported("adds values of different shapes");
        }
        self.layer(node, Operation::Add(Range::ALL), vec![first.0, second.0], shape, first.1)
    }

    /// A bias that is added after the layer.
    fn late_bias(&mut self, node: &'g NodeProto) -> Result<()> {
        let value = self.input(node, 0)?;
        let (dims, bias) = self.floats(node, 1)?.unwrap_or_default();
        // Behind the channels come rows and columns, if anything.
        let behind = value.1.len() - 2;
        let places = || dims.iter().rev().enumerate();
        let per_channel = dims.len() > behind && dims.len() <= value.1.len() && places().all(|(at, &dim)| at == behind || dim == 1);
        let Some(weights) = self.weights_before(node) else { return unsupported("does not follow a layer with weights") };
        let bare = weights.bias.iter().all(|&bias| bias == 0.0);
        if !per_channel || bias.len() != weights.bias.len() || !bare {
            return unsupported("is no bias of the layer before it");
        }
        weights.bias = bias;
        self.name(node, value);
        Ok(())
    }

    fn reshape(&mut self, node: &'g NodeProto) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let len = self.shapes[value].len();
        let to = match node.op_type.as_str() {
            "Flatten" if integer(node, "axis", 1) == 1 => vec![1, len],
            "Squeeze" => squeezed(&dims, &self.axes(node)?)?,
            "Reshape" if integer(node, "allowzero", 0) != 0 => return unsupported("has a shape of 0"),
            "Reshape" => {
                let tensor = node.input.get(1).and_then(|name| self.constants.get(name.as_str()));
                reshaped(&dims, len, &integer_values(tensor.ok_or_else(|| Unsupported("its shape is no constant".into()))?)?)?
            }
            _ => return unsupported("is no flattening"),
        };
        if matches!(self.shapes[value], Shape::Vector(_)) || to == dims {
            self.alias(node, (value, to));
            return Ok(());
        }
        if !is_flat(&to[1..], len) {
            return unsupported("gives no vector");
        }
        self.layer(node, Operation::Flatten, vec![value], Shape::Vector(len), to)
    }
}

/// The shape without these axes, each of which must be 1, and none the batch.
fn squeezed(dims: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = i64::try_from(dims.len()).unwrap_or(0);
    let axes: HashSet<i64> = axes.iter().map(|&axis| if axis < 0 { axis + rank } else { axis }).collect();
    if axes.iter().any(|&axis| usize::try_from(axis).ok().filter(|&axis| axis > 0).and_then(|axis| dims.get(axis)) != Some(&1)) {
        return unsupported("takes away more than rows and columns of one");
    }
    Ok((0..rank).zip(dims).filter(|(axis, _)| !axes.contains(axis)).map(|(_, &dim)| dim).collect())
}

/// Whether a shape (without the batch) is that of a vector.
fn is_flat(rest: &[usize], len: usize) -> bool {
    rest.first() == Some(&len) && rest[1..].iter().all(|&dim| dim == 1)
}

/// The shape that a picture of `dims` (batch first) gets: it must stay one row a picture.
fn reshaped(dims: &[usize], len: usize, shape: &[i64]) -> Result<Vec<usize>> {
    let Some((batch, rest)) = shape.split_first() else { return unsupported("its shape is empty") };
    let known = |at: usize, dim: i64| if dim == 0 { dims.get(at + 1).copied() } else { usize::try_from(dim).ok() };
    let open = shape.iter().filter(|&&dim| dim == -1).count();
    let product =
        rest.iter().enumerate().filter(|(_, dim)| **dim != -1).try_fold(1_usize, |all, (at, &dim)| all.checked_mul(known(at, dim)?));
    let Some(product) = product.filter(|&product| product > 0 && len.is_multiple_of(product)) else {
        return unsupported("its shape does not fit");
    };
    let batch_stays = match batch {
        0 | 1 => open <= 1 && (open == 1 || product == len),
        -1 => open == 1 && product == len,
        _ => false,
    };
    if !batch_stays {
        return unsupported("its shape does not keep one row a picture");
    }
    let rest: Vec<usize> = rest.iter().enumerate().map(|(at, &dim)| known(at, dim).unwrap_or(len / product)).collect();
    if is_flat(&rest, len) || rest == dims[1..] { Ok([&[1], &rest[..]].concat()) } else { unsupported("its shape is no vector") }
}

/// A grouped convolution whose groups do not begin at whole blocks as one without groups: the weights between groups are 0, and adding
/// products of finite numbers with 0 changes no sum.
fn ungrouped(layer: Weights) -> Result<Weights> {
    let (outputs, groups) = (layer.bias.len() / layer.groups, layer.groups);
    let each = layer.weights.len() / layer.bias.len();
    let inputs = each / (layer.kernel[0] * layer.kernel[1]);
    if groups == 1 || (outputs.is_multiple_of(LANES) && inputs.is_multiple_of(LANES)) {
        return Ok(layer);
    }
    if layer.weights.len().saturating_mul(groups) > MAX_ELEMENTS / 16 {
        return unsupported("has too many groups");
    }
    let mut weights = vec![0.0; layer.weights.len() * groups];
    for (output, row) in layer.weights.chunks_exact(each).enumerate() {
        weights[(output * groups + output / outputs) * each..][..each].copy_from_slice(row);
    }
    Ok(Weights { weights, groups: 1, ..layer })
}

/// How a window moves over a picture of `side` rows and columns; `extent` is what it spans.
fn window(node: &NodeProto, side: [usize; 2], extent: [usize; 2], stride: [usize; 2]) -> Result<Window> {
    let mode = attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |attribute| &attribute.s);
    let given = pads(node)?;
    let round_up = integer(node, "ceil_mode", 0) != 0;
    let mut window = Window { kernel: extent, stride, before: [0; 2], output: [0; 2] };
    for axis in 0..2 {
        let (before, after) = match mode {
            b"NOTSET" | b"" => (given[axis], given[axis + 2]),
            b"VALID" => (0, 0),
            b"SAME_UPPER" | b"SAME_LOWER" => {
                let all = ((side[axis].div_ceil(stride[axis]) - 1) * stride[axis] + extent[axis]).saturating_sub(side[axis]);
                let less = all / 2;
                if mode == b"SAME_UPPER" { (less, all - less) } else { (all - less, less) }
            }
            _ => return unsupported("has padding of an unknown kind"),
        };
        let Some(room) = (side[axis] + before + after).checked_sub(extent[axis]) else { return unsupported("is larger than its input") };
        let mut count = if round_up { room.div_ceil(stride[axis]) } else { room / stride[axis] } + 1;
        // A window that would begin behind the picture is left out.
        if round_up && (count - 1) * stride[axis] >= side[axis] + before {
            count -= 1;
        }
        (window.before[axis], window.output[axis]) = (before, count);
    }
    Ok(window)
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |attribute| attribute.i)
}

fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |attribute| attribute.f)
}

/// An attribute of two positive numbers, for rows and columns; `None` if it is not there.
fn extents(node: &NodeProto, name: &str) -> Result<Option<[usize; 2]>> {
    let Some(attribute) = attribute(node, name) else { return Ok(None) };
    let numbers: Option<Vec<usize>> = attribute.ints.iter().map(|&i| usize::try_from(i).ok().filter(|&i| i > 0)).collect();
    match numbers.as_deref() {
        Some(&[rows, columns]) => Ok(Some([rows, columns])),
        _ => unsupported(format!("its `{name}` are not two positive numbers")),
    }
}

fn pair(node: &NodeProto, name: &str) -> Result<[usize; 2]> {
    Ok(extents(node, name)?.unwrap_or([1, 1]))
}

/// Rows above, columns left, rows below, columns right.
fn pads(node: &NodeProto) -> Result<[usize; 4]> {
    let Some(attribute) = attribute(node, "pads") else { return Ok([0; 4]) };
    let numbers: Option<Vec<usize>> = attribute.ints.iter().map(|&i| usize::try_from(i).ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| Unsupported("its `pads` are not four numbers".into()))
}

fn float_values(tensor: &TensorProto) -> Result<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        return unsupported(format!("`{}` is not of 32-bit floats", printable(&tensor.name)));
    }
    if tensor.raw_data.is_empty() {
        return Ok(tensor.float_data.clone());
    }
    Ok(tensor.raw_data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

fn integer_values(tensor: &TensorProto) -> Result<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 {
        return unsupported(format!("`{}` is not of 64-bit integers", printable(&tensor.name)));
    }
    if tensor.raw_data.is_empty() {
        return Ok(tensor.int64_data.clone());
    }
    Ok(tensor.raw_data.as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
}
