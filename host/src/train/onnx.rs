//! Writes a trained LeNet as ONNX, and reads it back.
//!
//! Contract: opset 13, weights inside the file, input `input` (N x 1 x 28 x 28 with a symbolic batch N, a pixel's byte times
//! [`SCALE`](super::SCALE)), output `probabilities` (N x classes, softmax); the same parameters give the same bytes.

use std::path::Path;

use std::collections::BTreeMap;

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Tensor};

use super::lenet::{NAMES, shapes};
use super::{LeNet, TrainError};
use crate::mnist::SIDE;
use crate::onnx::{self, ExternalData, Network};
use crate::util::files::FileError;

/// Name of the network's input.
pub(crate) const INPUT: &str = "input";
/// Name of the network's output.
pub(crate) const OUTPUT: &str = "probabilities";

const OPSET: i64 = 13;

/// The network as the bytes of an ONNX file.
///
/// # Errors
/// [`TrainError::Framework`], which no network should cause.
pub(crate) fn encode(network: &LeNet) -> Result<Vec<u8>, TrainError> {
    let classes = network.classes();
    let mut constants = BTreeMap::new();
    for ((name, shape), parameter) in NAMES.iter().zip(shapes(classes)).zip(network.parameters()) {
        constants.insert((*name).into(), Tensor::of_floats(&shape, parameter.flatten_all()?.to_vec1()?));
    }
    let input = Input { name: INPUT.into(), element: ElementType::F32, shape: vec![None, Some(1), Some(SIDE), Some(SIDE)] };
    let graph = Graph { opset: OPSET, inputs: vec![input], outputs: vec![OUTPUT.into()], constants, nodes: nodes() };
    Ok(onnx::encode(&graph, Some(&[None, Some(classes)])))
}

/// Reads a network from a file that [`encode`] made, or from one whose parameters have the same names.
///
/// # Errors
/// [`TrainError::File`] if the file cannot be read, and as [`decode`].
pub(crate) fn read(file: &Path) -> Result<LeNet, TrainError> {
    let bytes = std::fs::read(file).map_err(|reason| FileError::new("read", file, reason))?;
    decode(&bytes)
}

/// Reads a network from the bytes of an ONNX file: its initialisers by name. The number of classes is that of the last layer. The graph
/// itself is ignored.
///
/// # Errors
/// [`TrainError::Onnx`] if an initialiser is missing or does not have LeNet's shape.
pub(crate) fn decode(bytes: &[u8]) -> Result<LeNet, TrainError> {
    let network = Network::decode(bytes, &ExternalData::default(), "the network").map_err(|error| problem("file", error.to_string()))?;
    let constants = &network.graph().constants;
    let last = constants.get(NAMES[7]).ok_or_else(|| problem(NAMES[7], "is missing"))?;
    let [classes @ 1..=256] = last.shape[..] else {
        return Err(problem(NAMES[7], format!("has shape {:?}, expected [1 to 256]", last.shape)));
    };
    let mut parameters: [Vec<f32>; 8] = Default::default();
    for ((name, shape), parameter) in NAMES.iter().zip(shapes(classes)).zip(&mut parameters) {
        let tensor = constants.get(*name).ok_or_else(|| problem(name, "is missing"))?;
        *parameter = floats(name, tensor, &shape)?;
    }
    LeNet::from_parameters(classes, parameters)
}

fn problem(field: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Onnx { field: field.into(), reason: reason.into() }
}

/// The values of an initialiser, which must have this shape.
fn floats(name: &str, tensor: &Tensor, shape: &[usize]) -> Result<Vec<f32>, TrainError> {
    if tensor.shape != shape {
        return Err(problem(name, format!("has shape {:?}, expected {shape:?}", tensor.shape)));
    }
    match tensor.floats() {
        Some(values) if values.iter().all(|value| value.is_finite()) => Ok(values.to_vec()),
        Some(_) => Err(problem(name, "contains values that are not finite")),
        None => Err(problem(name, "does not have floats")),
    }
}

fn nodes() -> Vec<Node> {
    let pool = || vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    let kernel = || vec![integers("kernel_shape", &[5, 5])];
    // A dense layer's weights are [outputs, inputs].
    let transposed = || vec![("transB", Attribute::Int(1))];
    vec![
        node("Conv", "conv1", &[INPUT, NAMES[0], NAMES[1]], kernel()),
        node("MaxPool", "pool1", &["conv1"], pool()),
        node("Conv", "conv2", &["pool1", NAMES[2], NAMES[3]], kernel()),
        node("MaxPool", "pool2", &["conv2"], pool()),
        node("Flatten", "flat", &["pool2"], vec![("axis", Attribute::Int(1))]),
        node("Gemm", "ip1", &["flat", NAMES[4], NAMES[5]], transposed()),
        node("Relu", "relu1", &["ip1"], vec![]),
        node("Gemm", "logits", &["relu1", NAMES[6], NAMES[7]], transposed()),
        node("Softmax", OUTPUT, &["logits"], vec![("axis", Attribute::Int(1))]),
    ]
}

/// A node with the name of its only output.
fn node(operator: &str, output: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> Node {
    let node = Node::new(operator, inputs.iter().copied(), output);
    attributes.into_iter().fold(node, |node, (name, attribute)| node.with(name, attribute))
}

fn integers<'a>(name: &'a str, values: &[i64]) -> (&'a str, Attribute) {
    (name, Attribute::Ints(values.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mnist::PIXELS;
    use rand_core::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    fn network(classes: usize) -> LeNet {
        LeNet::new(classes, &mut Pcg64Mcg::seed_from_u64(11)).unwrap()
    }

    fn inputs(pictures: usize) -> Vec<f32> {
        let mut rng = Pcg64Mcg::seed_from_u64(12);
        (0..pictures * PIXELS).map(|_| super::super::uniform(&mut rng)).collect()
    }

    /// The probabilities that tract computes, with the batch size fixed before it optimises.
    #[cfg(feature = "tract")]
    fn through_tract(network: &[u8], inputs: &[f32]) -> Vec<f32> {
        use tract_onnx::prelude::*;
        let batch = inputs.len() / PIXELS;
        let mut model = tract_onnx::onnx().model_for_read(&mut &*network).unwrap();
        model.set_input_fact(0, f32::fact([batch, 1, SIDE, SIDE]).into()).unwrap();
        let model = model.into_optimized().unwrap().into_runnable().unwrap();
        let input = Tensor::from_shape(&[batch, 1, SIDE, SIDE], inputs).unwrap();
        let output = model.run(tvec!(input.into())).unwrap().remove(0);
        output.to_plain_array_view::<f32>().unwrap().iter().copied().collect()
    }

    #[cfg(feature = "tract")]
    #[test]
    fn tract_agrees_with_the_framework_at_every_batch_size() {
        for classes in [10, 11] {
            let net = network(classes);
            let onnx = encode(&net).unwrap();
            for batch in [1, 16] {
                let inputs = inputs(batch);
                let (theirs, ours) = (through_tract(&onnx, &inputs), net.probabilities(&inputs).unwrap());
                assert_eq!(theirs.len(), batch * classes);
                let difference = theirs.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(difference < 1e-5, "{classes} classes, batch {batch}: {difference}");
            }
        }
    }

    #[test]
    fn the_batch_is_symbolic_and_the_names_are_the_agreed_ones() {
        let network = Network::decode(&encode(&network(10)).unwrap(), &ExternalData::default(), "").unwrap();
        let facts = network.facts();
        assert_eq!((facts.input_name.as_str(), &facts.input[..]), (INPUT, &[None, Some(1), Some(28), Some(28)][..]));
        assert_eq!((facts.outputs[0].name.as_str(), facts.outputs[0].width()), (OUTPUT, Some(10)));
    }

    #[test]
    fn what_is_written_is_read_back_bit_for_bit() {
        let onnx = encode(&network(11)).unwrap();
        let back = decode(&onnx).unwrap();
        assert_eq!(back.classes(), 11);
        assert!(encode(&back).unwrap() == onnx);
    }

    /// The error for a network whose file was changed.
    fn tampered(change: impl Fn(&mut Graph)) -> String {
        let bytes = encode(&network(10)).unwrap();
        let mut graph = Network::decode(&bytes, &ExternalData::default(), "").unwrap().graph().clone();
        change(&mut graph);
        decode(&onnx::encode(&graph, None)).unwrap_err().to_string()
    }

    #[test]
    fn files_without_a_lenet_are_errors_that_name_the_part() {
        let whole = encode(&network(10)).unwrap();
        for length in [1, 100, whole.len() / 2] {
            assert!(matches!(decode(&whole[..length]), Err(TrainError::Onnx { .. })), "cut at {length}");
        }
        assert!(decode(&[]).unwrap_err().to_string().contains("graph: is missing"));
        let message = tampered(|graph| {
            let tensor = graph.constants.remove("conv2_w").unwrap();
            graph.constants.insert("other".into(), tensor);
            graph
                .nodes
                .iter_mut()
                .flat_map(|node| &mut node.inputs)
                .filter(|name| *name == "conv2_w")
                .for_each(|name| *name = "other".into());
        });
        assert!(message.contains("conv2_w: is missing"), "{message}");
        let message = tampered(|graph| graph.constants.get_mut("conv1_w").unwrap().shape.swap(0, 2));
        assert!(message.contains("conv1_w: has shape [5, 1, 20, 5]"), "{message}");
        let message = tampered(|graph| *graph.constants.get_mut("conv1_b").unwrap() = Tensor::of_floats(&[20], vec![f32::NAN; 20]));
        assert!(message.contains("not finite"), "{message}");
        let message = tampered(|graph| *graph.constants.get_mut("conv1_b").unwrap() = Tensor::of_integers(vec![0; 20]));
        assert!(message.contains("does not have floats"), "{message}");
    }
}
