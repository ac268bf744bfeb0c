//! From an ONNX graph to layers: shapes are inferred and checked, constants resolved, activations and normalisations folded into the
//! preceding layer.
//!
//! A network that this engine does not support is not wrong: [`Unsupported`] says what is not supported, and another engine may support it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, Unsupported, printable, unsupported};
use crate::graph::{ElementType, Graph, Node, Tensor};
use crate::ir::{Bounds, Convolution, Layer, LayerKind, Lrn, PoolWindow, Pooling, Shape, Value};
use crate::limits::{MAX_ELEMENTS, MAX_WORK};
use crate::simd::LANES;

/// A network as layers, each after those that it reads. Value 0 is the picture.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output: Value,
    /// The output's ONNX shape, in which the batch (1) comes first.
    pub(crate) output_dims: Vec<usize>,
}

/// Lowers a graph to layers, up to the value `end`, for pictures of `input` channels, rows and columns.
pub(crate) fn lower(graph: &Graph, end: &str, input: [usize; 3]) -> Result<Lowered> {
    if input.iter().fold(1, |all: usize, &side| all.saturating_mul(side)) > MAX_ELEMENTS || input.contains(&0) {
        return unsupported("the input is empty, or too large");
    }
    let mut lowering = Lowering::new(graph, end, input)?;
    let needed = needed(graph, end);
    for (node, needed) in graph.nodes.iter().zip(needed) {
        if needed && !node.is("Constant") {
            lowering.add(node).map_err(|Unsupported(why)| Unsupported(format!("{}: {why}", node_part(node))))?;
        }
    }
    let (output, output_dims) = lowering.values.get(end).cloned().ok_or_else(|| Unsupported("the output is a constant".into()))?;
    if !matches!(lowering.shapes[output], Shape::Vector(_)) {
        return unsupported("the output is not one vector for each picture");
    }
    Ok(Lowered { shapes: lowering.shapes, layers: lowering.layers, output, output_dims })
}

/// How a message calls a node: its name, or its first output's, and the operator.
fn node_part(node: &Node) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    format!("node `{}` ({})", printable(name.map_or("", String::as_str)), printable(&node.operator))
}

/// The nodes on which the value `end` depends.
fn needed(graph: &Graph, end: &str) -> Vec<bool> {
    let mut values = BTreeSet::from([end]);
    let mut needed: Vec<bool> = graph
        .nodes
        .iter()
        .rev()
        .map(|node| {
            let needed = node.outputs.iter().any(|output| values.contains(output.as_str()));
            if needed {
                values.extend(node.inputs.iter().map(String::as_str));
            }
            needed
        })
        .collect();
    needed.reverse();
    needed
}

struct Lowering<'g> {
    constants: BTreeMap<&'g str, &'g Tensor>,
    /// Values that depend on the picture, each with its ONNX shape, in which the batch (1) comes first.
    values: BTreeMap<&'g str, (Value, Vec<usize>)>,
    /// The number of nodes that read each value; the end of the graph counts as a reader.
    readers: BTreeMap<&'g str, usize>,
    /// Values that have several names, each with its own readers.
    shared: BTreeSet<Value>,
    shapes: Vec<Shape>,
    layers: Vec<Layer>,
    /// Multiplications per picture.
    work: usize,
    /// Convolution weights of all layers, padded to whole blocks of outputs.
    weights: usize,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, end: &'g str, [channels, height, width]: [usize; 3]) -> Result<Self> {
        let [input] = &graph.inputs[..] else { return unsupported("a picture classifier has one input") };
        let initializers = graph.constants.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let nodes = graph.nodes.iter().filter(|node| node.is("Constant"));
        let nodes = nodes.filter_map(|node| Some((node.outputs.first()?.as_str(), node.tensor("value")?)));
        let mut readers = BTreeMap::from([(end, 1)]);
        for input in graph.nodes.iter().flat_map(|node| &node.inputs) {
            *readers.entry(input.as_str()).or_default() += 1;
        }
        Ok(Self {
            constants: initializers.chain(nodes).collect(),
            values: BTreeMap::from([(input.name.as_str(), (0, vec![1, channels, height, width]))]),
            readers,
            shared: BTreeSet::new(),
            shapes: vec![Shape::Picture { channels, height, width }],
            layers: Vec::new(),
            work: 0,
            weights: 0,
        })
    }

    fn add(&mut self, node: &'g Node) -> Result<()> {
        match node.operator.as_str() {
            "Conv" => self.convolution(node),
            "Gemm" | "MatMul" => self.dense(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "Relu" => self.activation(node, Bounds { low: 0.0, high: f32::INFINITY }),
            "Clip" => self.clip(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" => self.global_average(node, true),
            "ReduceMean" => self.mean(node),
            "LRN" => self.lrn(node),
            "Concat" => self.concat(node),
            "Add" | "Sum" => self.sum(node),
            "Flatten" | "Reshape" | "Squeeze" => self.reshape(node),
            "Dropout" if self.trains(node) => unsupported("was exported in training mode"),
            "Dropout" | "Identity" => {
                let value = self.input(node, 0)?;
                self.alias(node, value);
                Ok(())
            }
            _ => unsupported("this engine does not support the operator"),
        }
    }

    fn input(&self, node: &Node, at: usize) -> Result<(Value, Vec<usize>)> {
        let name = node.inputs.get(at).map_or("", String::as_str);
        self.values.get(name).cloned().ok_or_else(|| Unsupported(format!("its input `{}` does not depend on the picture", printable(name))))
    }

    fn picture(&self, node: &Node, at: usize) -> Result<(Value, [usize; 3])> {
        let (value, _) = self.input(node, at)?;
        match self.shapes[value] {
            Shape::Picture { channels, height, width } => Ok((value, [channels, height, width])),
            Shape::Vector(_) => unsupported("its input is not a picture"),
        }
    }

    /// The constant at an input of a node: its dimensions and numbers. `None` if the input is omitted.
    fn floats(&self, node: &Node, at: usize) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(name) = node.inputs.get(at).filter(|name| !name.is_empty()) else { return Ok(None) };
        let Some(tensor) = self.constants.get(name.as_str()) else {
            return unsupported(format!("its input `{}` is not a constant", printable(name)));
        };
        let Some(numbers) = tensor.floats().filter(|_| tensor.element == ElementType::F32) else {
            return unsupported(format!("`{}` does not have 32-bit floats", printable(name)));
        };
        if numbers.iter().any(|number| !number.is_finite()) {
            return unsupported(format!("`{}` contains numbers that are not finite", printable(name)));
        }
        Ok(Some((tensor.shape.clone(), numbers.into())))
    }

    /// Makes the node's output a name of a value.
    fn name(&mut self, node: &'g Node, value: (Value, Vec<usize>)) {
        self.values.insert(&node.outputs[0], value);
    }

    /// Makes the node's output a name of the value that it reads. If others read that value too, it must not be changed.
    fn alias(&mut self, node: &'g Node, value: (Value, Vec<usize>)) {
        if self.readers.get(node.inputs[0].as_str()) != Some(&1) {
            self.shared.insert(value.0);
        }
        self.name(node, value);
    }

    /// Whether a dropout is active, or may be.
    fn trains(&self, node: &Node) -> bool {
        node.input(2).is_some_and(|name| match self.constants.get(name) {
            Some(told) => told.integers().is_none_or(|told| told.iter().any(|&told| told != 0)),
            None => true,
        })
    }

    /// Adds a layer whose output has this shape; `dims` is the same shape in ONNX's form.
    fn layer(&mut self, node: &'g Node, kind: LayerKind, inputs: Vec<Value>, shape: Shape, dims: Vec<usize>) -> Result<()> {
        if shape.len() > MAX_ELEMENTS || shape.len() == 0 {
            return unsupported(format!("gives {} numbers for each picture", shape.len()));
        }
        let output = self.shapes.len();
        self.shapes.push(shape);
        self.layers.push(Layer { kind, inputs, output });
        self.name(node, (output, dims));
        Ok(())
    }

    fn picture_layer(&mut self, node: &'g Node, kind: LayerKind, inputs: Vec<Value>, shape: [usize; 3]) -> Result<()> {
        let [channels, height, width] = shape;
        self.layer(node, kind, inputs, Shape::Picture { channels, height, width }, vec![1, channels, height, width])
    }

    /// Counts multiplications, and checks the limit.
    fn works(&mut self, multiplications: usize) -> Result<()> {
        self.work = self.work.saturating_add(multiplications);
        if self.work > MAX_WORK { unsupported("too many multiplications per picture") } else { Ok(()) }
    }

    /// Counts the weights of a layer as they will be laid out, and checks the limit.
    fn holds(&mut self, outputs: usize, groups: usize, weights: usize) -> Result<()> {
        let filled_up = (outputs / groups).next_multiple_of(LANES).saturating_mul(groups).saturating_mul(weights / outputs);
        self.weights = self.weights.saturating_add(filled_up);
        if self.weights > MAX_ELEMENTS { unsupported("too many weights") } else { Ok(()) }
    }

    fn convolution(&mut self, node: &'g Node) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let Some((kernel, weights)) = self.floats(node, 1)? else { return unsupported("has no weights") };
        let [outputs, inputs, rows, columns] = kernel[..] else { return unsupported("is not over rows and columns") };
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        if kernel.contains(&0) || groups == 0 || outputs % groups != 0 || dims.get(1) != Some(&inputs.saturating_mul(groups)) {
            return unsupported("its weights do not fit its input");
        }
        let bias = self.bias(node, 2, outputs)?;
        let [dilation, stride] = [pair(node, "dilations")?, pair(node, "strides")?];
        let extent = [(rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1];
        let plain = Convolution { weights, bias, groups, kernel: [rows, columns], stride, dilation, before: [0; 2], bounds: Bounds::NONE };
        let Shape::Picture { channels, height, width } = self.shapes[value] else {
            if [rows, columns] != [1, 1] || groups != 1 || pads(node)? != [0; 4] {
                return unsupported("is not a dense layer, but its input is a vector");
            }
            // Strides and dilations have no effect if there is only one pixel.
            let plain = Convolution { stride: [1; 2], dilation: [1; 2], ..plain };
            return self.dense_layer(node, value, plain, vec![1, outputs, 1, 1]);
        };
        let window = window(node, [height, width], extent, stride)?;
        if ![1, 2, 4].contains(&stride[1]) {
            return unsupported("has a stride other than 1, 2 and 4");
        }
        let [height, width] = window.output;
        let weights = Convolution { before: window.before, ..plain };
        let kind = if groups == channels && groups == outputs && groups > 1 {
            self.works(weights.weights.len().saturating_mul(height).saturating_mul(width))?;
            self.holds(outputs, 1, weights.weights.len())?;
            LayerKind::Depthwise(weights)
        } else {
            let weights = ungrouped(weights)?;
            self.works(weights.weights.len().saturating_mul(height).saturating_mul(width))?;
            self.holds(outputs, weights.groups, weights.weights.len())?;
            LayerKind::Convolution(weights)
        };
        self.picture_layer(node, kind, vec![value], [outputs, height, width])
    }

    fn bias(&self, node: &Node, at: usize, outputs: usize) -> Result<Vec<f32>> {
        match self.floats(node, at)? {
            None => Ok(vec![0.0; outputs]),
            Some((dims, bias)) if bias.len() == outputs && dims.last().is_none_or(|&dim| dim == outputs) => Ok(bias),
            Some((_, bias)) if bias.len() == 1 && node.operator == "Gemm" => Ok(vec![bias[0]; outputs]),
            Some(_) => unsupported("its bias does not fit its weights"),
        }
    }

    fn dense(&mut self, node: &'g Node) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let Some((matrix, numbers)) = self.floats(node, 1)? else { return unsupported("has no weights") };
        let ([rows, columns], [_, _]) = (&matrix[..], &dims[..]) else { return unsupported("is not a product of two matrices") };
        let plain = node.float("alpha", 1.0) == 1.0 && node.float("beta", 1.0) == 1.0 && node.int("transA", 0) == 0;
        if !plain {
            return unsupported("has a factor, or a transposed input");
        }
        let turned = node.int("transB", 0) != 0;
        let (inputs, outputs) = if turned { (*columns, *rows) } else { (*rows, *columns) };
        if inputs * outputs == 0 || inputs != self.shapes[value].len() {
            return unsupported("its weights do not fit its input");
        }
        let at = |output: usize, input: usize| if turned { output * inputs + input } else { input * outputs + output };
        let weights = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
        let weights = weights.map(|(output, input)| numbers[at(output, input)]).collect();
        let bias = self.bias(node, 2, outputs)?;
        let layer = Convolution {
            weights,
            bias,
            groups: 1,
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            bounds: Bounds::NONE,
        };
        self.dense_layer(node, value, layer, vec![1, outputs])
    }

    fn dense_layer(&mut self, node: &'g Node, value: Value, layer: Convolution, dims: Vec<usize>) -> Result<()> {
        let outputs = layer.bias.len();
        self.works(layer.weights.len())?;
        self.holds(outputs, 1, layer.weights.len())?;
        self.layer(node, LayerKind::Dense(layer), vec![value], Shape::Vector(outputs), dims)
    }

    /// The layer that makes the node's first input, if nothing else reads its output.
    fn layer_before(&mut self, node: &Node) -> Option<&mut LayerKind> {
        let name = node.inputs[0].as_str();
        let value = self.values.get(name)?.0;
        if self.readers.get(name) != Some(&1) || self.shared.contains(&value) {
            return None;
        }
        self.layers.iter_mut().find(|layer| layer.output == value).map(|layer| &mut layer.kind)
    }

    /// The weights of the layer before a node, if they may be changed: no activation follows the layer yet.
    fn weights_before(&mut self, node: &Node) -> Option<&mut Convolution> {
        match self.layer_before(node)? {
            LayerKind::Convolution(weights) | LayerKind::Depthwise(weights) | LayerKind::Dense(weights) => {
                (weights.bounds == Bounds::NONE).then_some(weights)
            }
            _ => None,
        }
    }

    /// Where the layer before a node stores its activation, if it has none yet.
    fn bounds_before(&mut self, node: &Node) -> Option<&mut Bounds> {
        let range = match self.layer_before(node)? {
            LayerKind::Convolution(weights) | LayerKind::Depthwise(weights) | LayerKind::Dense(weights) => &mut weights.bounds,
            LayerKind::Add(range) => range,
            _ => return None,
        };
        (*range == Bounds::NONE).then_some(range)
    }

    fn batch_normalisation(&mut self, node: &'g Node) -> Result<()> {
        let constants = (1..5).map(|at| self.floats(node, at)).collect::<Result<Vec<_>>>()?;
        let [Some(scale), Some(shift), Some(mean), Some(variance)] = &constants[..] else {
            return unsupported("lacks a constant");
        };
        if node.int("training_mode", 0) != 0 || node.outputs.len() > 1 {
            return unsupported("was exported in training mode");
        }
        let epsilon = f64::from(node.float("epsilon", 1e-5));
        let value = self.input(node, 0)?;
        let Some(weights) = self.weights_before(node) else { return unsupported("does not follow a convolution") };
        let outputs = weights.bias.len();
        if [scale, shift, mean, variance].iter().any(|constant| constant.1.len() != outputs) {
            return unsupported("its constants do not fit its input");
        }
        let each = weights.weights.len() / outputs;
        for output in 0..outputs {
            // In double precision, each rounded once: the same on every machine.
            let factor = f64::from(scale.1[output]) / libm::sqrt(f64::from(variance.1[output]) + epsilon);
            for weight in &mut weights.weights[output * each..][..each] {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            let bias = (f64::from(weights.bias[output]) - f64::from(mean.1[output])) * factor + f64::from(shift.1[output]);
            weights.bias[output] = bias as f32;
        }
        if weights.weights.iter().chain(&weights.bias).any(|weight| !weight.is_finite()) {
            return unsupported("produces weights that are not finite");
        }
        self.name(node, value);
        Ok(())
    }

    fn activation(&mut self, node: &'g Node, bounds: Bounds) -> Result<()> {
        let value = self.input(node, 0)?;
        if let Some(before) = self.bounds_before(node) {
            *before = bounds;
            self.name(node, value);
            return Ok(());
        }
        let shape = self.shapes[value.0];
        self.layer(node, LayerKind::Clamp(bounds), vec![value.0], shape, value.1)
    }

    fn clip(&mut self, node: &'g Node) -> Result<()> {
        let bound = |at: usize, attribute: &str, default: f32| match self.floats(node, at)? {
            Some((_, bound)) if bound.len() == 1 => Ok(bound[0]),
            Some(_) => unsupported("its bounds are not single numbers"),
            None => Ok(node.float(attribute, default)),
        };
        let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        if low.is_nan() || high.is_nan() || low > high {
            return unsupported("its bounds are not a range");
        }
        self.activation(node, Bounds { low, high })
    }

    fn pool(&mut self, node: &'g Node) -> Result<()> {
        let (value, [channels, height, width]) = self.picture(node, 0)?;
        let Some(kernel) = extents(node, "kernel_shape")? else { return unsupported("has no kernel") };
        let stride = pair(node, "strides")?;
        if pair(node, "dilations")? != [1, 1] || node.outputs.len() > 1 || node.int("storage_order", 0) != 0 {
            return unsupported("has dilations or indices");
        }
        let window = window(node, [height, width], kernel, stride)?;
        let kind = match node.operator.as_str() {
            "MaxPool" => LayerKind::Pool(Pooling::Max, window),
            _ if node.int("ceil_mode", 0) != 0 => return unsupported("has a size that is rounded up"),
            _ => LayerKind::Pool(if node.int("count_include_pad", 0) != 0 { Pooling::MeanWithPadding } else { Pooling::Mean }, window),
        };
        let sees = |axis: usize, side: usize| {
            window.before[axis] < window.kernel[axis] && (window.output[axis] - 1) * window.stride[axis] < side + window.before[axis]
        };
        if !(sees(0, height) && sees(1, width)) {
            return unsupported("has a window that sees nothing of the picture");
        }
        self.works(channels.saturating_mul(window.output[0] * window.output[1]).saturating_mul(kernel[0] * kernel[1]))?;
        self.picture_layer(node, kind, vec![value], [channels, window.output[0], window.output[1]])
    }

    fn global_average(&mut self, node: &'g Node, keeps_dims: bool) -> Result<()> {
        let (value, [channels, ..]) = self.picture(node, 0)?;
        let dims = if keeps_dims { vec![1, channels, 1, 1] } else { vec![1, channels] };
        self.layer(node, LayerKind::GlobalAverage, vec![value], Shape::Vector(channels), dims)
    }

    /// An average over rows and columns.
    fn mean(&mut self, node: &'g Node) -> Result<()> {
        let axes = self.axes(node)?;
        if axes != [2, 3] && axes != [-2, -1] {
            return unsupported("is not over rows and columns");
        }
        self.global_average(node, node.int("keepdims", 1) != 0)
    }

    /// The axes of a node, given as an attribute or as a constant.
    fn axes(&self, node: &Node) -> Result<Vec<i64>> {
        match (node.ints("axes"), node.input(1).and_then(|name| Some((name, self.constants.get(name)?)))) {
            (Some(axes), None) => Ok(axes.into()),
            (None, Some((name, tensor))) => integer_values(tensor, name).map(Into::into),
            _ => unsupported("has no axes"),
        }
    }

    fn lrn(&mut self, node: &'g Node) -> Result<()> {
        let (value, shape) = self.picture(node, 0)?;
        let size = usize::try_from(node.int("size", 0)).unwrap_or(0);
        let quarters = node.float("beta", 0.75) * 4.0;
        let quarters = [2_u8, 3, 4].into_iter().find(|&count| f32::from(count) == quarters);
        let Some(quarters) = quarters else { return unsupported("has a beta other than 0.5, 0.75 and 1") };
        if size == 0 || size > 64 {
            return unsupported("has a window that is empty, or larger than 64");
        }
        let lrn = Lrn { size, alpha: node.float("alpha", 1e-4), bias: node.float("bias", 1.0), quarters };
        self.works(shape.iter().product::<usize>().saturating_mul(size))?;
        self.picture_layer(node, LayerKind::Lrn(lrn), vec![value], shape)
    }

    fn concat(&mut self, node: &'g Node) -> Result<()> {
        if ![1, -3].contains(&node.int("axis", 0)) {
            return unsupported("does not concatenate channels");
        }
        let parts = (0..node.inputs.len()).map(|at| self.picture(node, at)).collect::<Result<Vec<_>>>()?;
        let (_, [_, height, width]) = parts[0];
        if parts.iter().any(|(_, part)| part[1..] != [height, width]) {
            return unsupported("concatenates pictures of different sizes");
        }
        let channels = parts.iter().fold(0, |sum: usize, (_, part)| sum.saturating_add(part[0]));
        self.picture_layer(node, LayerKind::Concat, parts.iter().map(|part| part.0).collect(), [channels, height, width])
    }

    fn sum(&mut self, node: &'g Node) -> Result<()> {
        let [first, second] = &node.inputs[..] else { return unsupported("does not have two inputs") };
        if self.constants.contains_key(second.as_str()) {
            return self.late_bias(node);
        }
        let (first, second) = (self.input(node, 0)?, self.input(node, usize::from(first != second))?);
        let shape = self.shapes[first.0];
        if shape != self.shapes[second.0] || first.1 != second.1 {
            return unsupported("adds values of different shapes");
        }
        self.layer(node, LayerKind::Add(Bounds::NONE), vec![first.0, second.0], shape, first.1)
    }

    /// A bias that is added after the layer.
    fn late_bias(&mut self, node: &'g Node) -> Result<()> {
        let value = self.input(node, 0)?;
        let (dims, bias) = self.floats(node, 1)?.unwrap_or_default();
        // After the channels come rows and columns, if any.
        let Some(behind) = value.1.len().checked_sub(2) else { return unsupported("adds to a value without channels") };
        let places = || dims.iter().rev().enumerate();
        let per_channel = dims.len() > behind && dims.len() <= value.1.len() && places().all(|(at, &dim)| at == behind || dim == 1);
        let Some(weights) = self.weights_before(node) else { return unsupported("does not follow a layer with weights") };
        let bare = weights.bias.iter().all(|&bias| bias == 0.0);
        if !per_channel || bias.len() != weights.bias.len() || !bare {
            return unsupported("is not a bias of the layer before it");
        }
        weights.bias = bias;
        self.name(node, value);
        Ok(())
    }

    fn reshape(&mut self, node: &'g Node) -> Result<()> {
        let (value, dims) = self.input(node, 0)?;
        let len = self.shapes[value].len();
        let to = match node.operator.as_str() {
            "Flatten" if node.int("axis", 1) == 1 => vec![1, len],
            "Squeeze" => squeezed(&dims, &self.axes(node)?)?,
            "Reshape" if node.int("allowzero", 0) != 0 => return unsupported("has a shape of 0"),
            "Reshape" => {
                let shape = node.input(1).and_then(|name| Some((name, self.constants.get(name)?)));
                let Some((name, shape)) = shape else { return unsupported("its shape is not a constant") };
                reshaped(&dims, len, integer_values(shape, name)?)?
            }
            _ => return unsupported("does not flatten"),
        };
        if matches!(self.shapes[value], Shape::Vector(_)) || to == dims {
            self.alias(node, (value, to));
            return Ok(());
        }
        if !is_flat(&to[1..], len) {
            return unsupported("does not give a vector");
        }
        self.layer(node, LayerKind::Flatten, vec![value], Shape::Vector(len), to)
    }
}

/// The shape without these axes, each of which must have length 1, and none of which may be the batch.
fn squeezed(dims: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = i64::try_from(dims.len()).unwrap_or(0);
    let axes: BTreeSet<i64> = axes.iter().map(|&axis| if axis < 0 { axis + rank } else { axis }).collect();
    if axes.iter().any(|&axis| usize::try_from(axis).ok().filter(|&axis| axis > 0).and_then(|axis| dims.get(axis)) != Some(&1)) {
        return unsupported("removes more than rows and columns of length 1");
    }
    Ok((0..rank).zip(dims).filter(|(axis, _)| !axes.contains(axis)).map(|(_, &dim)| dim).collect())
}

/// Whether a shape (without the batch) is that of a vector.
fn is_flat(rest: &[usize], len: usize) -> bool {
    rest.first() == Some(&len) && rest[1..].iter().all(|&dim| dim == 1)
}

/// The shape to which a picture of `dims` (batch first) is reshaped: it must stay one row for each picture.
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
        return unsupported("its shape does not keep one row for each picture");
    }
    let rest: Vec<usize> = rest.iter().enumerate().map(|(at, &dim)| known(at, dim).unwrap_or(len / product)).collect();
    if is_flat(&rest, len) || rest == dims[1..] { Ok([&[1], &rest[..]].concat()) } else { unsupported("its shape is not a vector") }
}

/// Turns a grouped convolution whose groups do not start at whole blocks into an ungrouped one: the weights between groups are 0, and
/// adding products of finite numbers with 0 does not change a sum.
fn ungrouped(layer: Convolution) -> Result<Convolution> {
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
    Ok(Convolution { weights, groups: 1, ..layer })
}

/// How a window moves over a picture of `side` rows and columns; `extent` is the size that it spans.
fn window(node: &Node, side: [usize; 2], extent: [usize; 2], stride: [usize; 2]) -> Result<PoolWindow> {
    let mode = node.text("auto_pad").unwrap_or("NOTSET");
    let given = pads(node)?;
    let round_up = node.int("ceil_mode", 0) != 0;
    let mut window = PoolWindow { kernel: extent, stride, before: [0; 2], output: [0; 2] };
    for axis in 0..2 {
        let (before, after) = match mode {
            "NOTSET" | "" => (given[axis], given[axis + 2]),
            "VALID" => (0, 0),
            "SAME_UPPER" | "SAME_LOWER" => {
                let all = ((side[axis].div_ceil(stride[axis]) - 1) * stride[axis] + extent[axis]).saturating_sub(side[axis]);
                let less = all / 2;
                if mode == "SAME_UPPER" { (less, all - less) } else { (all - less, less) }
            }
            _ => return unsupported("has an unknown kind of padding"),
        };
        let Some(room) = (side[axis] + before + after).checked_sub(extent[axis]) else { return unsupported("is larger than its input") };
        let mut count = if round_up { room.div_ceil(stride[axis]) } else { room / stride[axis] } + 1;
        // A window that would start beyond the picture is omitted.
        if round_up && (count - 1) * stride[axis] >= side[axis] + before {
            count -= 1;
        }
        (window.before[axis], window.output[axis]) = (before, count);
    }
    Ok(window)
}

/// An attribute of two positive numbers, for rows and columns; `None` if it is absent.
fn extents(node: &Node, name: &str) -> Result<Option<[usize; 2]>> {
    let Some(numbers) = node.ints(name) else { return Ok(None) };
    let numbers: Option<Vec<usize>> = numbers.iter().map(|&i| usize::try_from(i).ok().filter(|&i| i > 0)).collect();
    match numbers.as_deref() {
        Some(&[rows, columns]) => Ok(Some([rows, columns])),
        _ => unsupported(format!("its `{name}` are not two positive numbers")),
    }
}

fn pair(node: &Node, name: &str) -> Result<[usize; 2]> {
    Ok(extents(node, name)?.unwrap_or([1, 1]))
}

/// Rows above, columns left, rows below, columns right.
fn pads(node: &Node) -> Result<[usize; 4]> {
    let Some(numbers) = node.ints("pads") else { return Ok([0; 4]) };
    let numbers: Option<Vec<usize>> = numbers.iter().map(|&i| usize::try_from(i).ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| Unsupported("its `pads` are not four numbers".into()))
}

fn integer_values<'t>(tensor: &'t Tensor, name: &str) -> Result<&'t [i64]> {
    tensor.integers().map_or_else(|| unsupported(format!("`{}` does not have integers", printable(name))), Ok)
}
