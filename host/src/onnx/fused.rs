//! Operators that onnxruntime's own graph optimisation fuses, taken apart into standard ones.
//!
//! `FusedConv` and `FusedGemm` of the domain `com.microsoft` are a convolution or product with an activation, and `FusedConv` can add
//! another value before it. What onnxruntime computes is the same as what the parts compute, up to rounding.

use std::collections::BTreeMap;

use fooling_engine::{Attribute, ElementType, Graph, Node, Numbers, Tensor};

const DOMAIN: &str = "com.microsoft";
/// The activations that onnxruntime fuses, and the names of their parameters in the order of `activation_params`.
const ACTIVATIONS: [(&str, &[&str]); 6] = [
    ("Relu", &[]),
    ("Sigmoid", &[]),
    ("Tanh", &[]),
    ("LeakyRelu", &["alpha"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("Clip", &["min", "max"]),
];

/// Takes fused operators apart. A node that is not understood stays as it is: an engine then refuses it by name.
pub(super) fn take_apart(graph: &mut Graph) {
    if !graph.nodes.iter().any(|node| node.domain == DOMAIN) {
        return;
    }
    let nodes = std::mem::take(&mut graph.nodes);
    for (at, node) in nodes.into_iter().enumerate() {
        match parts(graph, &node, &format!("fooling.fused.{at}")) {
            Some(parts) => graph.nodes.extend(parts),
            None => graph.nodes.push(node),
        }
    }
}

/// The parts of a fused node; values between them get names that begin with `name`.
fn parts(graph: &mut Graph, node: &Node, name: &str) -> Option<Vec<Node>> {
    let operator = match (node.domain.as_str(), node.operator.as_str()) {
        (DOMAIN, "FusedConv") => "Conv",
        (DOMAIN, "FusedGemm") => "Gemm",
        _ => return None,
    };
    let [output] = &node.outputs[..] else { return None };
    let mut attributes = node.attributes.clone();
    let activation = attributes.remove("activation");
    let parameters = attributes.remove("activation_params");
    let Some(Attribute::Text(activation)) = activation else { return None };
    let (activation, names) = ACTIVATIONS.iter().find(|(name, _)| *name == activation)?;
    let parameters: Vec<Attribute> = match parameters {
        None if operator == "Gemm" => {
            let own = ["activation_alpha", "activation_beta", "activation_gamma"].map(|name| attributes.remove(name));
            own.into_iter().flatten().collect()
        }
        None => Vec::new(),
        Some(Attribute::Floats(parameters)) => parameters.into_iter().map(Attribute::Float).collect(),
        Some(_) => return None,
    };
    // Without parameters, an activation has the defaults of the standard operator.
    let parameters: BTreeMap<String, Attribute> = names.iter().map(|name| (*name).to_owned()).zip(parameters).collect();
    let inner = |part: &str| format!("{name}.{part}");
    let part = |operator: &str, inputs: Vec<String>, output: String, attributes| Node {
        name: node.name.clone(),
        attributes,
        ..Node::new(operator, inputs, output)
    };
    let (own, added) = if operator == "Conv" { node.inputs.split_at(node.inputs.len().min(3)) } else { (&node.inputs[..], &[][..]) };
    let mut parts = vec![part(operator, own.to_vec(), inner("product"), attributes)];
    let mut last = inner("product");
    match added {
        [] => {}
        [other] if other.is_empty() => {}
        [other] => {
            parts.push(part("Add", vec![last, other.clone()], inner("sum"), BTreeMap::new()));
            last = inner("sum");
        }
        _ => return None,
    }
    let mut inputs = vec![last];
    let mut attributes = parameters;
    // The bounds of Clip are inputs since operator set 11.
    if *activation == "Clip" && graph.opset >= 11 {
        for bound in ["min", "max"] {
            let Some(Attribute::Float(value)) = attributes.remove(bound) else { return None };
            let constant = Tensor { element: ElementType::F32, shape: Vec::new(), numbers: Numbers::Floats(vec![value]) };
            graph.constants.insert(inner(bound), constant);
            inputs.push(inner(bound));
        }
    }
    parts.push(part(activation, inputs, output.clone(), attributes));
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fused(operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Graph {
        let node = Node {
            name: "n".into(),
            domain: DOMAIN.into(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..Node::new(operator, inputs.iter().copied(), "y")
        };
        let mut graph = Graph { opset: 17, inputs: vec![], outputs: vec!["y".into()], constants: BTreeMap::new(), nodes: vec![node] };
        take_apart(&mut graph);
        graph
    }

    fn operators(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.operator.as_str()).collect()
    }

    #[test]
    fn convolutions_are_taken_apart_in_the_order_of_onnxruntime() {
        let activation = |name: &str| ("activation", Attribute::Text(name.into()));
        let group = ("group", Attribute::Int(2));
        let graph = fused("FusedConv", &["x", "w", "b"], &[activation("Relu"), group]);
        assert_eq!(operators(&graph), ["Conv", "Relu"]);
        assert_eq!(graph.nodes[0].attributes, BTreeMap::from([("group".to_owned(), Attribute::Int(2))]));
        assert_eq!(graph.nodes[1].inputs, graph.nodes[0].outputs);
        assert_eq!(graph.nodes[1].outputs, ["y"]);
        // The fourth input is added before the activation.
        let graph = fused("FusedConv", &["x", "w", "b", "z"], &[activation("Relu")]);
        assert_eq!(operators(&graph), ["Conv", "Add", "Relu"]);
        assert_eq!(graph.nodes[1].inputs[1], "z");
        let parameters = ("activation_params", Attribute::Floats(vec![0.0, 6.0]));
        let graph = fused("FusedConv", &["x", "w"], &[activation("Clip"), parameters]);
        assert_eq!(graph.nodes[1].inputs.len(), 3);
        assert_eq!(graph.constants.len(), 2);
    }

    #[test]
    fn what_is_not_understood_stays() {
        for attributes in [vec![], vec![("activation", Attribute::Text("Mystery".into()))], vec![("activation", Attribute::Int(1))]] {
            assert_eq!(operators(&fused("FusedConv", &["x", "w"], &attributes)), ["FusedConv"]);
        }
        assert_eq!(operators(&fused("NhwcConv", &["x", "w"], &[])), ["NhwcConv"]);
    }
}
