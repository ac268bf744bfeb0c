//! Tests of folding with small graphs.

use alloc::string::ToString;

use super::*;
use crate::graph::{Attribute, Input};

/// A graph for a 1 x 3 x 4 x 4 picture `x`, whose output is the last node's.
struct Builder(Graph);

impl Builder {
    fn new() -> Self {
        let input = Input { name: "x".into(), element: ElementType::F32, shape: [None, Some(3), Some(4), Some(4)].into() };
        Self(Graph { opset: 17, inputs: [input].into(), outputs: Vec::new(), constants: BTreeMap::new(), nodes: Vec::new() })
    }

    fn tensor(mut self, name: &str, element: ElementType, shape: &[usize], numbers: Numbers) -> Self {
        self.0.constants.insert(name.into(), Tensor { element, shape: shape.into(), numbers });
        self
    }

    fn integers(self, name: &str, values: &[i64]) -> Self {
        self.tensor(name, ElementType::I64, &[values.len()], Numbers::Integers(values.into()))
    }

    /// A node from one line: `output = Operator(input, input)`.
    fn node(self, line: &str) -> Self {
        self.node_with(line, [])
    }

    fn node_with<const N: usize>(mut self, line: &str, attributes: [(&str, Attribute); N]) -> Self {
        let (outputs, call) = line.split_once(" = ").unwrap();
        let (operator, inputs) = call.strip_suffix(')').unwrap().split_once('(').unwrap();
        let names = |list: &str| list.split(',').map(|name| name.trim().to_string()).collect::<Vec<_>>();
        let outputs = names(outputs);
        self.0.outputs = outputs[..1].into();
        let node = Node::new(operator, if inputs.is_empty() { Vec::new() } else { names(inputs) }, outputs[0].as_str());
        let node = attributes.into_iter().fold(node, |node, (name, value)| node.with(name, value));
        self.0.nodes.push(Node { outputs, ..node });
        self
    }

    fn fold(self) -> Result<Folded, FoldError> {
        fold(self.0, &[1, 3, 4, 4])
    }

    fn shape(self) -> Vec<usize> {
        let folded = self.fold().unwrap();
        folded.types[&folded.graph.outputs[0]].shape.clone()
    }

    fn problem(self) -> String {
        self.fold().unwrap_err().to_string()
    }
}

#[test]
fn shape_arithmetic_becomes_a_constant() {
    let folded = Builder::new()
        .tensor("zero", ElementType::I64, &[], Numbers::Integers([0].into()))
        .integers("axes", &[0])
        .integers("rest", &[-1])
        .node("shape = Shape(x)")
        .node("batch = Gather(shape, zero)")
        .node("list = Unsqueeze(batch, axes)")
        .node_with("wanted = Concat(list, rest)", [("axis", Attribute::Int(0))])
        .node("y = Reshape(x, wanted)")
        .fold()
        .unwrap();
    assert_eq!(folded.graph.nodes.len(), 1);
    assert_eq!(folded.types["y"].shape, [1, 48]);
    let shape = &folded.graph.nodes[0].inputs[1];
    assert_eq!(folded.graph.constants[shape].numbers, Numbers::Integers([1, 48].into()));
    assert_eq!(folded.graph.constants.len(), 1, "nothing reads the others any more");
}

#[test]
fn weights_are_cast_transposed_and_dequantised() {
    let folded = Builder::new()
        .tensor("bytes", ElementType::I8, &[2, 2], Numbers::Bytes([1, -2, 3, 127].into()))
        .tensor("scale", ElementType::F32, &[2], Numbers::Floats([0.5, 2.0].into()))
        .tensor("zero", ElementType::I8, &[2], Numbers::Bytes([1, -1].into()))
        .integers("wanted", &[-1, 2])
        .node_with("floats = DequantizeLinear(bytes, scale, zero)", [("axis", Attribute::Int(0))])
        .node_with("turned = Transpose(floats)", [("perm", Attribute::Ints([1, 0].into()))])
        .node("rows = Reshape(x, wanted)")
        .node("y = MatMul(rows, turned)")
        .fold()
        .unwrap();
    assert_eq!(folded.graph.constants["turned"].numbers, Numbers::Floats([0.0, 8.0, -1.5, 256.0].into()));
    assert_eq!(folded.types["y"].shape, [24, 2]);
}

/// Weight standardisation; the right numbers are PyTorch's.
#[test]
fn weights_are_normalised_by_their_own_statistics() {
    let floats = |values: &[f32]| Numbers::Floats(values.into());
    let weights = || {
        Builder::new()
            .tensor("w", ElementType::F32, &[1, 3, 4], floats(&[1.0, -2.0, 4.0, 3.0, 0.5, 2.0, -1.0, 5.0, 1.0, 1.0, 2.0, 2.0]))
            .tensor("scale", ElementType::F32, &[3], floats(&[1.0, 2.0, 0.5]))
            .tensor("offset", ElementType::F32, &[3], floats(&[0.0, 1.0, -1.0]))
            .tensor("zero", ElementType::F32, &[3], floats(&[0.0; 3]))
            .tensor("one", ElementType::F32, &[3], floats(&[1.0; 3]))
            .integers("column", &[1, 3, 4, 1])
    };
    let attributes = || [("training_mode", Attribute::Int(1)), ("epsilon", Attribute::Float(1e-3)), ("momentum", Attribute::Float(0.5))];
    let folded = weights()
        .node_with("n, mean, variance = BatchNormalization(w, scale, offset, zero, one)", attributes())
        .node("r = Reshape(n, column)")
        .node("y = Add(x, r)")
        .fold()
        .unwrap();
    let Numbers::Floats(found) = &folded.graph.constants["r"].numbers else { panic!("floats") };
    let right = [
        -0.218_197_1,
        -1.527_38,
        1.090_986,
        0.654_591_3,
        -0.014_082_07,
        1.338_027,
        -1.366_192,
        4.042_246,
        -1.499_003,
        -1.499_003,
        -0.500_997_1,
        -0.500_997_1,
    ];
    assert!(found.iter().zip(right).all(|(found, right)| (found - right).abs() < 2e-6), "{found:?}");
    // On a picture, training mode is a mistake of the export.
    let problem = weights().node_with("y = BatchNormalization(x, scale, offset, zero, one)", attributes()).problem();
    assert!(problem.contains("is in training mode"), "{problem}");
}

#[test]
fn the_largest_of_constants_is_found() {
    let found = |operator: &str, last: i64| {
        let folded = Builder::new()
            .integers("list", &[3, 7, 1, 7, 1])
            .node_with(&format!("at = {operator}(list)"), [("select_last_index", Attribute::Int(last))])
            .node_with("float = Cast(at)", [("to", Attribute::Int(1))])
            .node("y = Add(x, float)")
            .fold()
            .unwrap();
        folded.graph.constants["float"].numbers.clone()
    };
    assert_eq!(found("ArgMax", 0), Numbers::Floats([1.0].into()));
    assert_eq!(found("ArgMax", 1), Numbers::Floats([3.0].into()));
    assert_eq!(found("ArgMin", 1), Numbers::Floats([4.0].into()));
}

#[test]
fn identities_and_float_casts_are_removed() {
    let folded = Builder::new()
        .node("a = Identity(x)")
        .node_with("b = Cast(a)", [("to", Attribute::Int(10))])
        .node("c = Relu(b)")
        .node_with("d = Cast(c)", [("to", Attribute::Int(1))])
        .node("e = Dropout(d)")
        .fold()
        .unwrap();
    assert_eq!(folded.graph.nodes.len(), 1);
    assert_eq!(folded.graph.nodes[0].inputs, ["x"]);
    assert_eq!(folded.graph.outputs, ["c"]);
}

#[test]
fn what_no_output_needs_is_ignored() {
    let mut builder = Builder::new().node("a = NoSuchOperator(x)").node("y = Relu(x)");
    builder.0.outputs = ["y".to_string()].into();
    assert_eq!(builder.fold().unwrap().graph.nodes.len(), 1);
}

#[test]
fn shapes_by_hand() {
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let builder = Builder::new().integers("s", starts).integers("e", ends).integers("a", axes).integers("t", steps);
        builder.node("y = Slice(x, s, e, a, t)").shape()
    };
    assert_eq!(slice(&[1], &[i64::MAX], &[-1], &[2]), [1, 3, 4, 2]);
    assert_eq!(slice(&[-1], &[i64::MIN], &[3], &[-1]), [1, 3, 4, 4]);
    assert_eq!(slice(&[2, 0], &[-1, 1], &[3, 1], &[1, 1]), [1, 1, 4, 1]);
    let pads = Builder::new().integers("p", &[0, 0, -1, 2, 0, 0, -1, 1]);
    assert_eq!(pads.node("y = Pad(x, p)").shape(), [1, 3, 2, 7]);
    let pool =
        [("kernel_shape", Attribute::Ints([3, 3].into())), ("strides", Attribute::Ints([2, 2].into())), ("ceil_mode", Attribute::Int(1))];
    assert_eq!(Builder::new().node_with("y = MaxPool(x)", pool).shape(), [1, 3, 2, 2]);
    let reshape = Builder::new().integers("w", &[0, -1, 2]);
    assert_eq!(reshape.node("y = Reshape(x, w)").shape(), [1, 24, 2]);
    assert_eq!(Builder::new().node_with("y = Flatten(x)", [("axis", Attribute::Int(-1))]).shape(), [12, 4]);
    assert_eq!(Builder::new().node_with("y = SpaceToDepth(x)", [("blocksize", Attribute::Int(2))]).shape(), [1, 12, 2, 2]);
}

#[test]
fn faults_are_named() {
    let problem = Builder::new().integers("w", &[5, -1]).node("y = Reshape(x, w)").problem();
    assert_eq!(problem, "node `y` (Reshape): cannot make [5, -1] of a tensor of the dimensions [1, 3, 4, 4]");
    let problem = Builder::new().node("y = NonMaxSuppression(x)").problem();
    assert_eq!(problem, "node `y` (NonMaxSuppression): the operator `NonMaxSuppression` is not supported");
    let problem = Builder::new().node("y = Add(x, z)").problem();
    assert_eq!(problem, "node `y` (Add): its operand `z` is neither a constant, an input nor an earlier node's output");
}

#[test]
fn few_elements_do_not_become_many() {
    let big = Builder::new().integers("w", &[1 << 20, 1 << 20]).node("c = ConstantOfShape(w)").node("y = Add(x, c)").problem();
    assert!(big.contains("at most 16777216 elements are supported"), "{big}");
    let overflow = Builder::new().integers("w", &[i64::MAX]).node("c = Add(w, w)").node("y = Reshape(x, c)").problem();
    assert_eq!(overflow, "node `c` (Add): overflows, or divides by 0");
    let kernel = Attribute::Ints([i64::MAX, 3].into());
    let overflow = Builder::new().node_with("y = LpPool(x)", [("kernel_shape", kernel)]).problem();
    assert_eq!(overflow, "node `y` (LpPool): has a kernel that is too large");
    let kernel = Attribute::Ints([2, 2].into());
    let cut = Builder::new().node_with("y = LpPool(x)", [("kernel_shape", kernel), ("ceil_mode", Attribute::Int(1))]).problem();
    assert_eq!(cut, "node `y` (LpPool): has ceil_mode, which is not supported");
    // 3 + (-2^62) + 2^62 would fit.
    let pads = Builder::new().integers("pads", &[0, -(1 << 62), 0, 0, 0, 1 << 62, 0, 0]).node("y = Pad(x, pads)").problem();
    assert!(pads.contains("pads by -4611686018427387904"), "{pads}");
    let row = Builder::new().integers("w", &[1, 1, 1, 4]).node("c = ConstantOfShape(w)").integers("none", &[]);
    let wide = row.integers("sizes", &[1, 1, 1, 1 << 21]).node("y = Resize(c, none, none, sizes)").problem();
    assert!(wide.contains("at most"), "{wide}");
}

/// Strides are products of sides, which must not overflow because another side is 0.
#[test]
fn tensors_without_elements_have_bounded_sides() {
    let empty = || Builder::new().integers("w", &[0, 4, 1 << 40, 1 << 40]).node("c = ConstantOfShape(w)");
    for line in
        ["y = Concat(c, c)", "y = Gather(c, w)", "y = GatherElements(c, w)", "y = DepthToSpace(c)", "y = CumSum(c, w)", "y = TopK(c, w)"]
    {
        let problem = empty().node(line).problem();
        assert!(problem.starts_with("node `c` (ConstantOfShape): makes a tensor of the dimensions"), "{problem}");
    }
}

#[test]
fn only_the_branch_that_is_taken_must_be_possible() {
    let two_branches = |condition: i64| {
        Builder::new()
            .tensor("condition", ElementType::Bool, &[], Numbers::Integers([condition].into()))
            .integers("axes", &[1])
            .node("squeezed = Squeeze(x, axes)")
            .node("small = Relu(squeezed)")
            .node("plain = Relu(x)")
            .node("y = If(condition, small, plain)")
    };
    assert_eq!(two_branches(0).shape(), [1, 3, 4, 4]);
    let problem = two_branches(1).problem();
    assert!(problem.contains("Squeeze"), "{problem}");
    let of_picture = Builder::new().node("a = Relu(x)").node("b = Neg(x)").node("y = If(x, a, b)").problem();
    assert!(of_picture.contains("depends on the picture"), "{of_picture}");
    assert!(Builder::new().node("a = Relu(x)").node("y = If(a)").problem().contains("two branches"));
}

#[test]
fn layers_run_on_constants() {
    let folded = Builder::new()
        .tensor("a", ElementType::F32, &[1, 1, 2, 2], Numbers::Floats([1.0, 2.0, 3.0, 4.0].into()))
        .tensor("w", ElementType::F32, &[3, 1, 1, 1], Numbers::Floats([1.0, -1.0, 0.5].into()))
        .node("c = Conv(a, w)")
        .node("p = GlobalAveragePool(c)")
        .node("y = Add(x, p)")
        .fold()
        .unwrap();
    assert_eq!(folded.graph.nodes.len(), 1);
    assert_eq!(folded.graph.constants["p"].numbers, Numbers::Floats([2.5, -2.5, 1.25].into()));
}

#[test]
fn an_empty_slice_is_a_constant() {
    let folded = Builder::new()
        .integers("zero", &[0])
        .integers("axis", &[1])
        .node("nothing = Slice(x, zero, zero, axis)")
        .node_with("y = Concat(nothing, x)", [("axis", Attribute::Int(1))])
        .node("z = Relu(y)")
        .fold()
        .unwrap();
    assert_eq!(folded.graph.nodes.len(), 1);
    assert_eq!(folded.types["z"].shape, [1, 3, 4, 4]);
}
