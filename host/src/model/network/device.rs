//! What is changed in a graph for a GPU: operators that the backend has no kernel for, as others that it has.
//!
//! tract's CUDA backend (0.23.9) has convolution, matrix products, reductions, softmax, slices, padding and element-wise operators. It has
//! no pooling, no slice with a step, and its fast convolution (cuDNN's) pads both sides alike. A node that it lacks runs on the CPU, between
//! two transfers of everything that goes in and comes out. So here:
//!
//! - maximum pooling becomes the maximum of shifted slices, rows first and then columns. For every s-th row the rows are cut into
//!   groups of s by a reshape, and one of each group is taken. The same numbers are compared, so the same bits come out;
//! - average pooling becomes a convolution of each channel with a constant kernel;
//! - a convolution that pads two sides differently gets a larger kernel with zeros where it was padded less;
//! - a 1x1 convolution with a stride first takes every s-th row and column, by reshapes and slices;
//! - `Identity`, `Dropout` and `Constant` nodes go.
//!
//! Normalisation over channels (LRN) is a convolution already, see [`lrn`](super::lrn). A node that is beyond these rules is left alone;
//! what became of each node is told by whoever plans the graph.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike as _;
use tract_onnx::tract_hir::infer::Factoid as _;

use super::{ModelProto, contained, opset};

/// The shape of every value whose shape is known.
type Shapes = HashMap<String, Vec<usize>>;

/// Before this version of the operators shapes and pads are written in another way; nobody exports such graphs any more.
const OLDEST_OPSET: i64 = 7;

/// A larger kernel, or more weights in a rewritten one, than any network has: such a node is left alone.
const LARGEST_KERNEL: usize = 64;
const MOST_WEIGHTS: usize = 1 << 25;

/// Rewrites a graph for a GPU. Its input must have its full shape. Returns what was changed, a line a node.
pub(super) fn prepare(proto: &mut ModelProto) -> Result<Vec<String>, String> {
    let opset = opset(proto);
    if opset < OLDEST_OPSET {
        return Ok(Vec::new());
    }
    let shapes = shapes(proto)?;
    let graph = proto.graph.as_mut().ok_or("the file has no graph")?;
    drop_idle_nodes(graph);
    let mut writer = Writer { opset, shapes, nodes: Vec::new(), constants: Vec::new(), changes: Vec::new(), prefix: String::new() };
    let weights: HashMap<String, TensorProto> = graph.initializer.iter().map(|tensor| (tensor.name.clone(), tensor.clone())).collect();
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        writer.prefix = format!("fooling.gpu.{at}");
        writer.rewrite(node, &weights);
    }
    graph.node = writer.nodes;
    graph.initializer.extend(writer.constants);
    drop_idle_constants(graph);
    Ok(writer.changes)
}

/// The engine's own shape inference.
fn shapes(proto: &ModelProto) -> Result<Shapes, String> {
    contained(|| {
        let text = |error: TractError| format!("{error:#}");
        let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(proto, None).map_err(text)?;
        let mut model = parsed.model;
        model.analyse(false).map_err(text)?;
        let shape = |outlet| {
            let dims = model.outlet_fact(outlet).ok()?.shape.concretize()?;
            dims.iter().map(|dim| dim.to_usize().ok()).collect::<Option<Vec<usize>>>()
        };
        Ok(parsed.outlets_by_name.iter().filter_map(|(name, &outlet)| Some((name.clone(), shape(outlet)?))).collect())
    })
}

/// Takes out nodes that do nothing at run time, and makes constants of `Constant` nodes.
fn drop_idle_nodes(graph: &mut GraphProto) {
    let outputs: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let mut same: HashMap<String, String> = HashMap::new();
    let mut kept = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        for input in &mut node.input {
            if let Some(source) = same.get(input) {
                input.clone_from(source);
            }
        }
        let output = node.output.first().cloned().unwrap_or_default();
        let tensor = node.attribute.iter().find(|attribute| attribute.name == "value").and_then(|attribute| attribute.t.clone());
        match (node.op_type.as_str(), node.input.first(), tensor) {
            // An output of the graph keeps its name. A mask that somebody reads is none.
            ("Identity" | "Dropout", Some(input), _) if !outputs.contains(&output) && node.output.len() == 1 => {
                same.insert(output, input.clone());
            }
            ("Constant", _, Some(tensor)) if !outputs.contains(&output) => {
                graph.initializer.push(TensorProto { name: output, ..tensor });
            }
            _ => kept.push(node),
        }
    }
    graph.node = kept;
}

/// Takes out constants that no node reads any more.
pub(super) fn drop_idle_constants(graph: &mut GraphProto) {
    let read: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    graph.initializer.retain(|tensor| read.contains(tensor.name.as_str()));
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    // Old files declare constants as inputs as well.
    graph.input.retain(|input| read.contains(input.name.as_str()) || constants.contains(input.name.as_str()));
}

/// A window along one axis: how the outputs read the inputs.
#[derive(Clone, Copy, Debug)]
struct Window {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    input: usize,
    output: usize,
}

impl Window {
    /// Of the spatial axis `axis` (0 rows, 1 columns) of a node.
    fn of(node: &NodeProto, axis: usize, kernel: usize, input: usize, output: usize) -> Option<Self> {
        let number = |name: &str, at: usize, default: usize| match ints(node, name) {
            Some(numbers) => usize::try_from(*numbers.get(at)?).ok(),
            None => Some(default),
        };
        let (stride, dilation) = (number("strides", axis, 1)?, number("dilations", axis, 1)?);
        if [kernel, stride, dilation].contains(&0) || kernel > LARGEST_KERNEL {
            return None;
        }
        let reach = output.checked_sub(1)? * stride + (kernel - 1) * dilation + 1;
        let total = reach.saturating_sub(input);
        let before = match auto_pad(node) {
            "NOTSET" | "" => number("pads", axis, 0)?,
            "SAME_UPPER" => total / 2,
            "SAME_LOWER" => total - total / 2,
            "VALID" => 0,
            _ => return None,
        };
        Some(Self { kernel, stride, dilation, before, input, output })
    }

    /// How far the last window reaches beyond the input, where it does.
    fn after(&self) -> usize {
        (self.reach()).saturating_sub(self.before + self.input)
    }

    /// How much the windows read, padding before it included.
    fn reach(&self) -> usize {
        (self.output - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }

    /// The length that whole groups of `stride` take so that every tap finds its group.
    fn grouped(&self) -> usize {
        match self.stride {
            1 => self.reach(),
            stride => stride * ((self.kernel - 1) * self.dilation / stride + self.output),
        }
    }
}

fn ints<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    node.attribute.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.ints.as_slice())
}

pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute.iter().find(|attribute| attribute.name == name).map_or(default, |attribute| attribute.i)
}

fn auto_pad(node: &NodeProto) -> &str {
    let attribute = node.attribute.iter().find(|attribute| attribute.name == "auto_pad");
    attribute.map_or("NOTSET", |attribute| std::str::from_utf8(&attribute.s).unwrap_or("?"))
}

/// Numbers of a constant of floats.
pub(super) fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    Some(tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

/// Writes the new graph.
struct Writer {
    opset: i64,
    shapes: Shapes,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    changes: Vec<String>,
    /// Of the names that the node in work gives.
    prefix: String,
}

impl Writer {
    fn rewrite(&mut self, node: NodeProto, weights: &HashMap<String, TensorProto>) {
        let before = (self.nodes.len(), self.constants.len());
        let changed = match node.op_type.as_str() {
            "MaxPool" if node.output.len() == 1 => self.max_pool(&node),
            "AveragePool" => self.average_pool(&node),
            "Conv" => self.conv(&node, weights),
            _ => None,
        };
        match changed {
            Some(how) => {
                let name = super::super::card::printable(node.output.first().unwrap_or(&node.name));
                self.changes.push(format!("{} `{name}`: {how}", node.op_type));
            }
            None => {
                self.nodes.truncate(before.0);
                self.constants.truncate(before.1);
                self.nodes.push(node);
            }
        }
    }

    /// Rows and columns of a node that reads a picture of four axes, with a kernel of this size.
    fn windows(&self, node: &NodeProto, kernel: [usize; 2]) -> Option<[Window; 2]> {
        let [_, _, input @ ..] = self.shapes.get(node.input.first()?)?.as_slice() else { return None };
        let [_, _, output @ ..] = self.shapes.get(node.output.first()?)?.as_slice() else { return None };
        let ([height, width], [rows, columns]) = (input, output) else { return None };
        Some([Window::of(node, 0, kernel[0], *height, *rows)?, Window::of(node, 1, kernel[1], *width, *columns)?])
    }

    fn max_pool(&mut self, node: &NodeProto) -> Option<String> {
        let [rows, columns] = self.windows(node, kernel_shape(node)?)?;
        // Of f32; nothing that a network computes is below it.
        let fitted = self.fit(node.input[0].clone(), rows, columns, f32::MIN)?;
        let pooled = self.max_along(fitted, 2, rows, columns.grouped(), None)?;
        self.max_along(pooled, 3, columns, 0, node.output.first())?;
        Some(format!("as the maximum of {} shifted slices", rows.kernel + columns.kernel))
    }

    /// Pads and cuts both axes to whole groups.
    fn fit(&mut self, input: String, rows: Window, columns: Window, fill: f32) -> Option<String> {
        let mut value = input;
        let excess = |w: &Window| (w.before + w.input).saturating_sub(w.grouped());
        for (axis, window) in [(2, rows), (3, columns)] {
            if excess(&window) > 0 {
                value = self.slice(&value, axis, 0, window.input.checked_sub(excess(&window))?, None);
            }
        }
        let after = |w: &Window| w.grouped().saturating_sub(w.before + w.input);
        let pads = [0, 0, rows.before, columns.before, 0, 0, after(&rows), after(&columns)];
        if pads.iter().any(|&pad| pad > 0) {
            value = self.pad(&value, &pads, fill);
        }
        Some(value)
    }

    /// The maximum over the window along one axis of a value that has been fitted. `width` is the length of the last axis where `axis` is
    /// not it.
    fn max_along(&mut self, value: String, axis: usize, window: Window, width: usize, output: Option<&String>) -> Option<String> {
        let Window { kernel, stride, dilation, output: length, .. } = window;
        if kernel == 1 && stride == 1 {
            return Some(if output.is_some() { self.operation("Identity", &[value], output) } else { value });
        }
        if stride == 1 {
            let taps: Vec<String> = (0..kernel).map(|j| self.slice(&value, axis, j * dilation, j * dilation + length, None)).collect();
            return Some(self.maximum(taps, output));
        }
        let groups = window.grouped() / stride;
        let grouped = if axis == 2 { vec![0, 0, groups, stride, width] } else { vec![0, 0, 0, groups, stride] };
        let grouped = self.reshape(&value, &grouped, None);
        let tap = |writer: &mut Self, j: usize| {
            let (group, place) = (j * dilation / stride, j * dilation % stride);
            let part = writer.slice(&grouped, axis, group, group + length, None);
            writer.slice(&part, axis + 1, place, place + 1, None)
        };
        let taps: Vec<String> = (0..kernel).map(|j| tap(self, j)).collect();
        let maximum = if kernel == 1 { taps.into_iter().next()? } else { self.maximum(taps, None) };
        let whole = if axis == 2 { vec![0, 0, length, width] } else { vec![0, 0, 0, length] };
        Some(self.reshape(&maximum, &whole, output))
    }

    fn maximum(&mut self, taps: Vec<String>, output: Option<&String>) -> String {
        let mut taps = taps.into_iter();
        let first = taps.next().unwrap_or_default();
        let last = taps.len();
        taps.enumerate().fold(first, |so_far, (i, tap)| self.operation("Max", &[so_far, tap], output.filter(|_| i + 1 == last)))
    }

    fn average_pool(&mut self, node: &NodeProto) -> Option<String> {
        let kernel = kernel_shape(node)?;
        let [rows, columns] = self.windows(node, kernel)?;
        let padded = [rows, columns].iter().any(|window| window.before + window.after() > 0);
        if int(node, "ceil_mode", 0) != 0 && padded {
            return None;
        }
        let channels = *self.shapes.get(&node.input[0])?.get(1)?;
        let counted = int(node, "count_include_pad", 0) != 0 || !padded;
        let weight = if counted { 1.0 / (kernel[0] * kernel[1]) as f32 } else { 1.0 };
        let dims = [channels, 1, kernel[0], kernel[1]];
        if dims.iter().product::<usize>() > MOST_WEIGHTS {
            return None;
        }
        let weights = self.constant("weight", &dims, vec![weight; dims.iter().product()]);
        let mut conv = NodeProto { op_type: "Conv".into(), input: vec![node.input[0].clone(), weights], ..Default::default() };
        conv.attribute =
            node.attribute.iter().filter(|a| !["ceil_mode", "count_include_pad"].contains(&a.name.as_str())).cloned().collect();
        conv.attribute.push(int_attribute("group", channels));
        let output = if counted { node.output[0].clone() } else { format!("{}.sum", self.prefix) };
        (conv.name, conv.output) = (output.clone(), vec![output.clone()]);
        self.shapes.insert(output.clone(), self.shapes.get(&node.output[0])?.clone());
        let constants: HashMap<String, TensorProto> = self.constants.iter().map(|tensor| (tensor.name.clone(), tensor.clone())).collect();
        if self.conv(&conv, &constants).is_none() {
            self.nodes.push(conv);
        }
        if !counted {
            let share = |w: &Window, at: usize| {
                let taps = (0..w.kernel).filter(|j| (w.before..w.before + w.input).contains(&(at * w.stride + j * w.dilation)));
                taps.count().max(1)
            };
            let shares = (0..rows.output).flat_map(|y| (0..columns.output).map(move |x| (y, x)));
            let shares = shares.map(|(y, x)| 1.0 / (share(&rows, y) * share(&columns, x)) as f32).collect();
            let shares = self.constant("shares", &[1, 1, rows.output, columns.output], shares);
            self.operation("Mul", &[output, shares], node.output.first());
        }
        Some("as a convolution of each channel".into())
    }

    fn conv(&mut self, node: &NodeProto, weights: &HashMap<String, TensorProto>) -> Option<String> {
        let tensor = weights.get(node.input.get(1)?)?;
        let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
        let [outputs, inputs, height, width] = dims[..] else { return None };
        let windows = self.windows(node, [height, width])?;
        // What the file says and not what is read of it: a row that no window reads is no padding.
        let pads = match auto_pad(node) {
            "NOTSET" | "" => {
                ints(node, "pads").map_or(Some(vec![0; 4]), |pads| pads.iter().map(|&pad| usize::try_from(pad).ok()).collect())?
            }
            _ => vec![windows[0].before, windows[1].before, windows[0].after(), windows[1].after()],
        };
        let [top, left, bottom, right] = pads[..] else { return None };
        let strided = [height, width] == [1, 1] && windows.iter().any(|w| w.stride > 1) && top + left + bottom + right == 0;
        if strided {
            let [rows, columns] = windows.map(|window| Window { kernel: 1, ..window });
            let fitted = self.fit(node.input[0].clone(), rows, columns, 0.0)?;
            let taken = self.max_along(fitted, 2, rows, columns.grouped(), None)?;
            let taken = self.max_along(taken, 3, columns, 0, None)?;
            let mut conv = node.clone();
            conv.input[0] = taken;
            conv.attribute.retain(|attribute| !["strides", "pads", "auto_pad"].contains(&attribute.name.as_str()));
            self.nodes.push(conv);
            return Some("with its stride taken before it".into());
        }
        if (top, left) == (bottom, right) {
            return None;
        }
        let [rows, columns] = windows;
        let (up, down) = grown(top, bottom, rows.dilation)?;
        let (more_left, more_right) = grown(left, right, columns.dilation)?;
        let (new_height, new_width) = (up + height + down, more_left + width + more_right);
        let old = floats(tensor)?;
        let size = [outputs, inputs, new_height, new_width].iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
        let mut new = vec![0.0; size.filter(|&size| size <= MOST_WEIGHTS && old.len() == outputs * inputs * height * width)?];
        for (plane, old) in old.chunks_exact(height * width).enumerate() {
            for (y, row) in old.chunks_exact(width).enumerate() {
                let start = (plane * new_height + up + y) * new_width + more_left;
                new[start..start + width].copy_from_slice(row);
            }
        }
        let mut conv = node.clone();
        conv.input[1] = self.constant("weight", &[outputs, inputs, new_height, new_width], new);
        conv.attribute.retain(|attribute| !["kernel_shape", "pads", "auto_pad"].contains(&attribute.name.as_str()));
        let (vertical, horizontal) = (top.max(bottom), left.max(right));
        conv.attribute.push(ints_attribute("kernel_shape", &[new_height, new_width]));
        conv.attribute.push(ints_attribute("pads", &[vertical, horizontal, vertical, horizontal]));
        self.nodes.push(conv);
        Some(format!("with a kernel of {new_height} x {new_width}, padded alike on both sides"))
    }

    // --- Nodes and constants.

    fn name(&self, part: &str) -> String {
        format!("{}.{part}.{}", self.prefix, self.nodes.len() + self.constants.len())
    }

    /// Adds a node and returns its output, which has a new name if none is given.
    fn add(&mut self, op_type: &str, input: Vec<String>, attribute: Vec<AttributeProto>, output: Option<&String>) -> String {
        let output = output.cloned().unwrap_or_else(|| self.name(op_type));
        let node = NodeProto {
            name: output.clone(),
            op_type: op_type.into(),
            input,
            output: vec![output.clone()],
            attribute,
            ..Default::default()
        };
        self.nodes.push(node);
        output
    }

    fn operation(&mut self, op_type: &str, input: &[String], output: Option<&String>) -> String {
        self.add(op_type, input.to_vec(), Vec::new(), output)
    }

    fn constant(&mut self, part: &str, dims: &[usize], float_data: Vec<f32>) -> String {
        let name = self.name(part);
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        self.constants.push(TensorProto { name: name.clone(), dims, data_type: DataType::Float as i32, float_data, ..Default::default() });
        name
    }

    fn list(&mut self, part: &str, numbers: &[usize]) -> String {
        let name = self.name(part);
        let int64_data = numbers.iter().map(|&number| number as i64).collect();
        let dims = vec![numbers.len() as i64];
        self.constants.push(TensorProto { name: name.clone(), dims, data_type: DataType::Int64 as i32, int64_data, ..Default::default() });
        name
    }

    fn reshape(&mut self, input: &str, dims: &[usize], output: Option<&String>) -> String {
        let dims = self.list("shape", dims);
        self.add("Reshape", vec![input.into(), dims], Vec::new(), output)
    }

    fn slice(&mut self, input: &str, axis: usize, start: usize, end: usize, output: Option<&String>) -> String {
        if self.opset < 10 {
            let attributes = [("axes", axis), ("starts", start), ("ends", end)].map(|(name, number)| ints_attribute(name, &[number]));
            return self.add("Slice", vec![input.into()], attributes.into(), output);
        }
        let (starts, ends, axes) = (self.list("starts", &[start]), self.list("ends", &[end]), self.list("axes", &[axis]));
        self.add("Slice", vec![input.into(), starts, ends, axes], Vec::new(), output)
    }

    fn pad(&mut self, input: &str, pads: &[usize], fill: f32) -> String {
        let mode =
            AttributeProto { name: "mode".into(), r#type: AttributeType::String as i32, s: b"constant".into(), ..Default::default() };
        if self.opset < 11 {
            let value = AttributeProto { name: "value".into(), r#type: AttributeType::Float as i32, f: fill, ..Default::default() };
            return self.add("Pad", vec![input.into()], vec![mode, ints_attribute("pads", pads), value], None);
        }
        let (pads, fill) = (self.list("pads", pads), self.constant("fill", &[], vec![fill]));
        self.add("Pad", vec![input.into(), pads, fill], vec![mode], None)
    }
}

/// Zeros to be put before and behind a kernel so that a padding of `before` and `after` becomes the larger of the two on both sides.
fn grown(before: usize, after: usize, dilation: usize) -> Option<(usize, usize)> {
    let difference = before.abs_diff(after);
    let zeros = difference / dilation.max(1);
    if zeros * dilation != difference {
        return None;
    }
    Some(if before < after { (zeros, 0) } else { (0, zeros) })
}

fn kernel_shape(node: &NodeProto) -> Option<[usize; 2]> {
    let [height, width] = *ints(node, "kernel_shape")? else { return None };
    Some([usize::try_from(height).ok()?, usize::try_from(width).ok()?])
}

fn ints_attribute(name: &str, numbers: &[usize]) -> AttributeProto {
    let ints = numbers.iter().map(|&number| number as i64).collect();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..Default::default() }
}

pub(super) fn int_attribute(name: &str, number: usize) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: number as i64, ..Default::default() }
}
