//! A rewritten graph as an ONNX file, in single or in half precision.

use std::collections::HashSet;

use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::f16;

use super::device::{drop_idle_constants, floats, int, int_attribute};
use super::{ModelProto, check, data_inputs, opset, rewrite};

/// A graph from [`Network::for_device`] as an ONNX file that takes any batch, in half precision if that is wanted.
pub(crate) fn exported(mut proto: ModelProto, half: bool) -> Result<Vec<u8>, String> {
    let opset = opset(&proto);
    let graph = proto.graph.as_mut().ok_or("the file has no graph")?;
    rewrite::open_batch(graph);
    if half {
        let last = rewrite::final_softmax(graph, opset).map_or_else(|| graph.output[0].name.clone(), |softmax| softmax.logits);
        halve(graph, &last)?;
        drop_idle_constants(graph);
    }
    check_again(&proto)?;
    Ok(proto.encode_to_vec())
}

/// Makes a graph compute in half precision from its input to the value `last`; what comes behind that, the softmax, stays in single.
fn halve(graph: &mut GraphProto, last: &str) -> Result<(), String> {
    let input = data_inputs(graph).next().ok_or("the network has no input")?.name.clone();
    plain_products(graph);
    let (half_input, half_last) = (format!("{input}.half"), format!("{last}.half"));
    let maker = graph.node.iter().position(|node| node.output.iter().any(|name| name == last)).ok_or("the network has no last layer")?;
    for node in &mut graph.node[..=maker] {
        node.input.iter_mut().filter(|name| **name == input).for_each(|name| name.clone_from(&half_input));
        node.output.iter_mut().filter(|name| *name == last).for_each(|name| name.clone_from(&half_last));
    }
    let halved: HashSet<&str> = graph.node[..=maker].iter().flat_map(|node| &node.input).map(String::as_str).collect();
    for tensor in graph.initializer.iter_mut().filter(|tensor| halved.contains(tensor.name.as_str())) {
        if let Some(numbers) = floats(tensor) {
            let half = numbers.iter().map(|&number| f16::from_f32(number.clamp(-65504.0, 65504.0)));
            tensor.raw_data = half.flat_map(|number| number.to_bits().to_le_bytes()).collect();
            tensor.float_data.clear();
            tensor.data_type = DataType::Float16 as i32;
        }
    }
    let cast = |from: &str, to: &str, kind: DataType| NodeProto {
        name: format!("{to}.cast"),
        op_type: "Cast".into(),
        input: vec![from.into()],
        output: vec![to.into()],
        attribute: vec![int_attribute("to", kind as usize)],
        ..Default::default()
    };
    graph.node.insert(maker + 1, cast(&half_last, last, DataType::Float));
    graph.node.insert(0, cast(&input, &half_input, DataType::Float16));
    Ok(())
}

/// `Gemm` as a product and a sum, for tract takes its factors for single precision whatever its operands are.
fn plain_products(graph: &mut GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        match plain_product(&node, &mut graph.initializer) {
            Some(plain) if node.op_type == "Gemm" => nodes.extend(plain),
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
}

fn plain_product(node: &NodeProto, constants: &mut Vec<TensorProto>) -> Option<Vec<NodeProto>> {
    let factor = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name).map_or(1.0, |attribute| attribute.f);
    let plain = node.op_type == "Gemm" && int(node, "transA", 0) == 0 && [factor("alpha"), factor("beta")] == [1.0, 1.0];
    let tensor = constants.iter().find(|tensor| plain && Some(&tensor.name) == node.input.get(1))?;
    let (mut numbers, mut dims) = (floats(tensor)?, tensor.dims.clone());
    if int(node, "transB", 0) != 0 {
        let columns = usize::try_from(*dims.get(1)?).ok()?;
        numbers = (0..columns).flat_map(|column| numbers[column..].iter().step_by(columns).copied().collect::<Vec<_>>()).collect();
        dims.swap(0, 1);
    }
    let output = node.output.first()?.clone();
    let (weight, product) = (format!("{output}.weight"), format!("{output}.product"));
    constants.push(TensorProto {
        name: weight.clone(),
        dims,
        data_type: DataType::Float as i32,
        float_data: numbers,
        ..Default::default()
    });
    let node_of = |op_type: &str, input: Vec<String>, output: String| NodeProto {
        name: output.clone(),
        op_type: op_type.into(),
        input,
        output: vec![output],
        ..Default::default()
    };
    let factors = vec![node.input.first()?.clone(), weight];
    Some(match node.input.get(2) {
        Some(bias) => vec![node_of("MatMul", factors, product.clone()), node_of("Add", vec![product, bias.clone()], output)],
        None => vec![node_of("MatMul", factors, output)],
    })
}

/// That what was written is still a network that this program takes.
fn check_again(proto: &ModelProto) -> Result<(), String> {
    let graph = proto.graph.as_ref().ok_or("the file has no graph")?;
    check::check(proto, graph).map_err(|(part, problem)| format!("{part}: {problem}"))
}
