//! Rewrites a graph for a GPU: operators for which the backend has no kernel are replaced by operators for which it has one.
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
//! Normalisation over channels (LRN) is a convolution already, see [`lrn`](super::lrn). A node to which no rule applies is left unchanged.
//! Which nodes run on the device is known only when the graph is planned.

use std::collections::{BTreeMap, HashMap, HashSet};

use fooling_engine::{Attribute, ElementType, Graph, Node, Tensor};

use super::rewrite::drop_idle;

/// The shape of every value whose shape is known.
pub(crate) type Shapes = HashMap<String, Vec<usize>>;

/// Graphs with an older operator set are not rewritten: it encodes shapes and pads in another way, and exporters no longer use it.
const OLDEST_OPSET: i64 = 7;

/// Larger than the kernels, and more than the weights of a rewritten kernel, in any known network. A node beyond these limits is left
/// unchanged.
const LARGEST_KERNEL: usize = 64;
const MOST_WEIGHTS: usize = 1 << 25;

/// Rewrites a graph for a GPU, given the shapes of its values. Returns the changes, one line for each node.
pub(crate) fn prepare(graph: &mut Graph, shapes: Shapes) -> Vec<String> {
    if graph.opset < OLDEST_OPSET {
        return Vec::new();
    }
    drop_idle_nodes(graph);
    let constants = std::mem::take(&mut graph.constants);
    let mut writer = Writer { opset: graph.opset, shapes, nodes: Vec::new(), constants, changes: Vec::new(), prefix: String::new() };
    for (at, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        writer.prefix = format!("fooling.gpu.{at}");
        writer.rewrite(node);
    }
    (graph.nodes, graph.constants) = (writer.nodes, writer.constants);
    drop_idle(graph);
    writer.changes
}

/// Removes nodes that do nothing at run time, and turns `Constant` nodes into constants.
fn drop_idle_nodes(graph: &mut Graph) {
    let outputs: HashSet<String> = graph.outputs.iter().cloned().collect();
    let mut same: HashMap<String, String> = HashMap::new();
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        for input in &mut node.inputs {
            if let Some(source) = same.get(input) {
                input.clone_from(source);
            }
        }
        let output = node.outputs.first().cloned().unwrap_or_default();
        let idle = (node.is("Identity") || node.is("Dropout")) && node.outputs.len() == 1;
        match (node.input(0), node.tensor("value")) {
            // An output of the graph must keep its name, so its node stays. A `Dropout` with a mask as second output is not idle.
            (Some(input), _) if idle && !outputs.contains(&output) => {
                same.insert(output, input.to_owned());
            }
            (_, Some(tensor)) if node.is("Constant") && !outputs.contains(&output) => {
                graph.constants.insert(output, tensor.clone());
            }
            _ => kept.push(node),
        }
    }
    graph.nodes = kept;
}

/// A window along one axis: how the outputs read the inputs.
#[derive(Clone, Copy, Debug)]
struct AxisWindow {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    input: usize,
    output: usize,
}

impl AxisWindow {
    /// The window of a node along the spatial axis `axis` (0 rows, 1 columns).
    fn of(node: &Node, axis: usize, kernel: usize, input: usize, output: usize) -> Option<Self> {
        let number = |name: &str, at: usize, default: usize| match node.ints(name) {
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

    /// How far the last window reaches beyond the end of the input; 0 if it does not.
    fn after(&self) -> usize {
        (self.reach()).saturating_sub(self.before + self.input)
    }

    /// The length that the windows read, including the padding before the input.
    fn reach(&self) -> usize {
        (self.output - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }

    /// The length of the axis in whole groups of `stride`, such that the group of every tap of the kernel exists.
    fn grouped(&self) -> usize {
        match self.stride {
            1 => self.reach(),
            stride => stride * ((self.kernel - 1) * self.dilation / stride + self.output),
        }
    }
}

fn auto_pad(node: &Node) -> &str {
    node.text("auto_pad").unwrap_or("NOTSET")
}

/// Writes the new graph.
struct Writer {
    opset: i64,
    shapes: Shapes,
    nodes: Vec<Node>,
    constants: BTreeMap<String, Tensor>,
    changes: Vec<String>,
    /// The beginning of all names that are made for the current node.
    prefix: String,
}

impl Writer {
    fn rewrite(&mut self, node: Node) {
        let before = self.nodes.len();
        let changed = match node.operator.as_str() {
            "MaxPool" if node.outputs.len() == 1 => self.max_pool(&node),
            "AveragePool" => self.average_pool(&node),
            "Conv" => self.conv(&node),
            _ => None,
        };
        match changed {
            Some(how) => {
                let name = crate::util::text::printable(node.outputs.first().unwrap_or(&node.name));
                self.changes.push(format!("{} `{name}`: {how}", node.operator));
            }
            None => {
                // Constants that were made for it are removed if nothing reads them.
                self.nodes.truncate(before);
                self.nodes.push(node);
            }
        }
    }

    /// Rows and columns of a node that reads a picture of four axes, with a kernel of this size.
    fn windows(&self, node: &Node, kernel: [usize; 2]) -> Option<[AxisWindow; 2]> {
        let [_, _, input @ ..] = self.shapes.get(node.inputs.first()?)?.as_slice() else { return None };
        let [_, _, output @ ..] = self.shapes.get(node.outputs.first()?)?.as_slice() else { return None };
        let ([height, width], [rows, columns]) = (input, output) else { return None };
        Some([AxisWindow::of(node, 0, kernel[0], *height, *rows)?, AxisWindow::of(node, 1, kernel[1], *width, *columns)?])
    }

    fn max_pool(&mut self, node: &Node) -> Option<String> {
        let [rows, columns] = self.windows(node, kernel_shape(node)?)?;
        // The padding is the lowest f32, so it never is the maximum.
        let fitted = self.fit(node.inputs[0].clone(), rows, columns, f32::MIN)?;
        let pooled = self.max_along(fitted, 2, rows, columns.grouped(), None)?;
        self.max_along(pooled, 3, columns, 0, node.outputs.first())?;
        Some(format!("as the maximum of {} shifted slices", rows.kernel + columns.kernel))
    }

    /// Pads and cuts both axes to whole groups.
    fn fit(&mut self, input: String, rows: AxisWindow, columns: AxisWindow, fill: f32) -> Option<String> {
        let mut value = input;
        let excess = |w: &AxisWindow| (w.before + w.input).saturating_sub(w.grouped());
        for (axis, window) in [(2, rows), (3, columns)] {
            if excess(&window) > 0 {
                value = self.slice(&value, axis, 0, window.input.checked_sub(excess(&window))?, None);
            }
        }
        let after = |w: &AxisWindow| w.grouped().saturating_sub(w.before + w.input);
        let pads = [0, 0, rows.before, columns.before, 0, 0, after(&rows), after(&columns)];
        if pads.iter().any(|&pad| pad > 0) {
            value = self.pad(&value, &pads, fill);
        }
        Some(value)
    }

    /// The maximum over the window along one axis of a value that has been [fitted](Self::fit). `width` is the length of the last axis, if
    /// `axis` is another one.
    fn max_along(&mut self, value: String, axis: usize, window: AxisWindow, width: usize, output: Option<&String>) -> Option<String> {
        let AxisWindow { kernel, stride, dilation, output: length, .. } = window;
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

    fn average_pool(&mut self, node: &Node) -> Option<String> {
        let kernel = kernel_shape(node)?;
        let [rows, columns] = self.windows(node, kernel)?;
        let padded = [rows, columns].iter().any(|window| window.before + window.after() > 0);
        if node.int("ceil_mode", 0) != 0 && padded {
            return None;
        }
        let channels = *self.shapes.get(&node.inputs[0])?.get(1)?;
        let counted = node.int("count_include_pad", 0) != 0 || !padded;
        let weight = if counted { 1.0 / (kernel[0] * kernel[1]) as f32 } else { 1.0 };
        let dims = [channels, 1, kernel[0], kernel[1]];
        if dims.iter().product::<usize>() > MOST_WEIGHTS {
            return None;
        }
        let weights = self.constant("weight", &dims, vec![weight; dims.iter().product()]);
        let output = if counted { node.outputs[0].clone() } else { format!("{}.sum", self.prefix) };
        let mut conv = Node::new("Conv", vec![node.inputs[0].clone(), weights], output.clone());
        let kept = node.attributes.iter().filter(|(name, _)| !["ceil_mode", "count_include_pad"].contains(&name.as_str()));
        conv.attributes = kept.map(|(name, attribute)| (name.clone(), attribute.clone())).collect();
        conv.attributes.insert("group".into(), Attribute::Int(channels as i64));
        self.shapes.insert(output.clone(), self.shapes.get(&node.outputs[0])?.clone());
        if self.conv(&conv).is_none() {
            self.nodes.push(conv);
        }
        if !counted {
            let share = |w: &AxisWindow, at: usize| {
                let taps = (0..w.kernel).filter(|j| (w.before..w.before + w.input).contains(&(at * w.stride + j * w.dilation)));
                taps.count().max(1)
            };
            let shares = (0..rows.output).flat_map(|y| (0..columns.output).map(move |x| (y, x)));
            let shares = shares.map(|(y, x)| 1.0 / (share(&rows, y) * share(&columns, x)) as f32).collect();
            let shares = self.constant("shares", &[1, 1, rows.output, columns.output], shares);
            self.operation("Mul", &[output, shares], node.outputs.first());
        }
        Some("as a convolution of each channel".into())
    }

    fn conv(&mut self, node: &Node) -> Option<String> {
        let tensor = self.constants.get(node.inputs.get(1)?).filter(|tensor| tensor.element == ElementType::F32)?;
        let [outputs, inputs, height, width] = tensor.shape[..] else { return None };
        let windows = self.windows(node, [height, width])?;
        // The padding that the file states, not only what windows read of it: else equal padding would look unequal if no window reads the
        // last row.
        let pads = match auto_pad(node) {
            "NOTSET" | "" => {
                node.ints("pads").map_or(Some(vec![0; 4]), |pads| pads.iter().map(|&pad| usize::try_from(pad).ok()).collect())?
            }
            _ => vec![windows[0].before, windows[1].before, windows[0].after(), windows[1].after()],
        };
        let [top, left, bottom, right] = pads[..] else { return None };
        let strided = [height, width] == [1, 1] && windows.iter().any(|w| w.stride > 1) && top + left + bottom + right == 0;
        if strided {
            let [rows, columns] = windows.map(|window| AxisWindow { kernel: 1, ..window });
            let fitted = self.fit(node.inputs[0].clone(), rows, columns, 0.0)?;
            let taken = self.max_along(fitted, 2, rows, columns.grouped(), None)?;
            let taken = self.max_along(taken, 3, columns, 0, None)?;
            let mut conv = node.clone();
            conv.inputs[0] = taken;
            conv.attributes.retain(|name, _| !["strides", "pads", "auto_pad"].contains(&name.as_str()));
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
        let old = self.constants.get(&node.inputs[1])?.floats()?;
        let size = [outputs, inputs, new_height, new_width].iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
        let mut new = vec![0.0; size.filter(|&size| size <= MOST_WEIGHTS && old.len() == outputs * inputs * height * width)?];
        for (plane, old) in old.chunks_exact(height * width).enumerate() {
            for (y, row) in old.chunks_exact(width).enumerate() {
                let start = (plane * new_height + up + y) * new_width + more_left;
                new[start..start + width].copy_from_slice(row);
            }
        }
        let mut conv = node.clone();
        conv.inputs[1] = self.constant("weight", &[outputs, inputs, new_height, new_width], new);
        conv.attributes.remove("auto_pad");
        let (vertical, horizontal) = (top.max(bottom), left.max(right));
        conv.attributes.insert("kernel_shape".into(), ints(&[new_height, new_width]));
        conv.attributes.insert("pads".into(), ints(&[vertical, horizontal, vertical, horizontal]));
        self.nodes.push(conv);
        Some(format!("with a kernel of {new_height} x {new_width}, padded alike on both sides"))
    }

    // --- Nodes and constants.

    fn name(&self, part: &str) -> String {
        format!("{}.{part}.{}", self.prefix, self.nodes.len() + self.constants.len())
    }

    /// Adds a node and returns its output, which has a new name if none is given.
    fn add(&mut self, operator: &str, inputs: Vec<String>, attributes: Vec<(&str, Attribute)>, output: Option<&String>) -> String {
        let output = output.cloned().unwrap_or_else(|| self.name(operator));
        let node = Node::new(operator, inputs, output.clone());
        self.nodes.push(attributes.into_iter().fold(node, |node, (name, attribute)| node.with(name, attribute)));
        output
    }

    fn operation(&mut self, operator: &str, inputs: &[String], output: Option<&String>) -> String {
        self.add(operator, inputs.to_vec(), Vec::new(), output)
    }

    fn constant(&mut self, part: &str, shape: &[usize], numbers: Vec<f32>) -> String {
        let name = self.name(part);
        self.constants.insert(name.clone(), Tensor::of_floats(shape, numbers));
        name
    }

    fn list(&mut self, part: &str, numbers: &[usize]) -> String {
        let name = self.name(part);
        self.constants.insert(name.clone(), Tensor::of_integers(numbers.iter().map(|&number| number as i64).collect()));
        name
    }

    fn reshape(&mut self, input: &str, dims: &[usize], output: Option<&String>) -> String {
        let dims = self.list("shape", dims);
        self.add("Reshape", vec![input.into(), dims], Vec::new(), output)
    }

    fn slice(&mut self, input: &str, axis: usize, start: usize, end: usize, output: Option<&String>) -> String {
        if self.opset < 10 {
            let attributes = [("axes", axis), ("starts", start), ("ends", end)].map(|(name, number)| (name, ints(&[number])));
            return self.add("Slice", vec![input.into()], attributes.into(), output);
        }
        let (starts, ends, axes) = (self.list("starts", &[start]), self.list("ends", &[end]), self.list("axes", &[axis]));
        self.add("Slice", vec![input.into(), starts, ends, axes], Vec::new(), output)
    }

    fn pad(&mut self, input: &str, pads: &[usize], fill: f32) -> String {
        let mode = ("mode", Attribute::Text("constant".into()));
        if self.opset < 11 {
            return self.add("Pad", vec![input.into()], vec![mode, ("pads", ints(pads)), ("value", Attribute::Float(fill))], None);
        }
        let (pads, fill) = (self.list("pads", pads), self.constant("fill", &[], vec![fill]));
        self.add("Pad", vec![input.into(), pads, fill], vec![mode], None)
    }
}

/// The numbers of zeros to add before and after a kernel, so that a padding of `before` and `after` becomes the larger of the two on both
/// sides.
fn grown(before: usize, after: usize, dilation: usize) -> Option<(usize, usize)> {
    let difference = before.abs_diff(after);
    let zeros = difference / dilation.max(1);
    if zeros * dilation != difference {
        return None;
    }
    Some(if before < after { (zeros, 0) } else { (0, zeros) })
}

fn kernel_shape(node: &Node) -> Option<[usize; 2]> {
    let [height, width] = *node.ints("kernel_shape")? else { return None };
    Some([usize::try_from(height).ok()?, usize::try_from(width).ok()?])
}

fn ints(numbers: &[usize]) -> Attribute {
    Attribute::Ints(numbers.iter().map(|&number| number as i64).collect())
}
