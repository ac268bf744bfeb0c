//! A rewritten graph as an ONNX file, in single or in half precision.

use std::collections::HashSet;

use fooling_engine::{Attribute, ElementType, Graph, Node, Numbers, Tensor};

use super::rewrite::{drop_idle, open_batch};
use super::{Softmax, encode};

/// Writes a graph that was prepared for a device as an ONNX file with a symbolic batch, optionally in half precision up to the softmax.
pub(crate) fn exported(mut graph: Graph, softmax: Option<&Softmax>, half: bool) -> Result<Vec<u8>, String> {
    open_batch(&mut graph);
    if half {
        let last = softmax.map(|softmax| &softmax.logits).or(graph.outputs.first()).ok_or("the network has no output")?.clone();
        halve(&mut graph, &last)?;
        drop_idle(&mut graph);
    }
    Ok(encode(&graph, None))
}

/// Makes a graph compute in half precision from its input to the value `last`. What follows, the softmax, stays in single precision.
fn halve(graph: &mut Graph, last: &str) -> Result<(), String> {
    let input = graph.inputs.first().ok_or("the network has no input")?.name.clone();
    plain_products(graph);
    let (half_input, half_last) = (format!("{input}.half"), format!("{last}.half"));
    let maker = graph.nodes.iter().position(|node| node.outputs.iter().any(|name| name == last)).ok_or("the network has no last layer")?;
    for node in &mut graph.nodes[..=maker] {
        node.inputs.iter_mut().filter(|name| **name == input).for_each(|name| name.clone_from(&half_input));
        node.outputs.iter_mut().filter(|name| *name == last).for_each(|name| name.clone_from(&half_last));
    }
    let halved: HashSet<&str> = graph.nodes[..=maker].iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
    for (_, tensor) in graph.constants.iter_mut().filter(|(name, _)| halved.contains(name.as_str())) {
        if let Numbers::Floats(numbers) = &mut tensor.numbers {
            numbers.iter_mut().for_each(|number| *number = number.clamp(-65504.0, 65504.0));
            tensor.element = ElementType::F16;
        }
    }
    let cast = |from: &str, to: &str, code: i64| {
        // Another layer may already have the name of its output.
        Node { name: format!("{to}.cast"), ..Node::new("Cast", [from], to).with("to", Attribute::Int(code)) }
    };
    graph.nodes.insert(maker + 1, cast(&half_last, last, 1));
    graph.nodes.insert(0, cast(&input, &half_input, 10));
    Ok(())
}

/// Replaces `Gemm` by a product and a sum: tract assumes that the factors of `Gemm` are in single precision, whatever its operands are.
fn plain_products(graph: &mut Graph) {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        match plain_product(&node, graph) {
            Some(plain) => nodes.extend(plain),
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
}

fn plain_product(node: &Node, graph: &mut Graph) -> Option<Vec<Node>> {
    let factors = [node.float("alpha", 1.0), node.float("beta", 1.0)];
    let plain = node.is("Gemm") && node.int("transA", 0) == 0 && factors == [1.0, 1.0];
    let tensor = graph.constants.get(node.input(1)?).filter(|_| plain)?;
    let (numbers, &[rows, columns]) = (tensor.floats()?, &tensor.shape[..]) else { return None };
    let (numbers, shape) = if node.int("transB", 0) == 0 {
        (numbers.to_vec(), [rows, columns])
    } else {
        let turned = (0..columns).flat_map(|column| numbers[column..].iter().step_by(columns).copied());
        (turned.collect(), [columns, rows])
    };
    let output = node.outputs.first()?.clone();
    let (weight, product) = (format!("{output}.weight"), format!("{output}.product"));
    graph.constants.insert(weight.clone(), Tensor::of_floats(&shape, numbers));
    let factors = vec![node.inputs.first()?.clone(), weight];
    Some(match node.input(2) {
        Some(bias) => vec![Node::new("MatMul", factors, product.clone()), Node::new("Add", vec![product, bias.into()], output)],
        None => vec![Node::new("MatMul", factors, output)],
    })
}
