//! Activations that exporters write as several nodes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Call;
use crate::fold::Folded;
use crate::fold::call::floats_of;
use crate::fold::operation::Operation;
use crate::kernels::function::{Binary, Unary};

/// The largest number of nested products examined.
const MAX_DEPTH: usize = 4;

/// Replaces each activation written as several nodes by one node, and removes the nodes that nothing reads any more.
pub(super) fn simplify<'g>(folded: &'g Folded, calls: Vec<Call<'g>>) -> Vec<Call<'g>> {
    let graph = Nodes::new(folded, &calls);
    let replace = |call: &Call<'g>| graph.activation(call).map(|(function, name)| (Operation::Unary(function), vec![name]));
    let replaced: Vec<Option<(Operation, Vec<&'g str>)>> = calls.iter().map(replace).collect();
    let calls = calls.into_iter().zip(replaced).map(|(call, new)| match new {
        Some((operation, operands)) => Call { operation, operands, ..call },
        None => call,
    });
    needed(folded, calls.collect())
}

/// The nodes on which the output depends.
fn needed<'g>(folded: &'g Folded, calls: Vec<Call<'g>>) -> Vec<Call<'g>> {
    let mut read: BTreeSet<&str> = folded.graph.outputs.iter().map(String::as_str).collect();
    let mut needed: Vec<Call<'g>> = Vec::new();
    for call in calls.into_iter().rev() {
        if call.node.outputs.iter().any(|name| read.contains(name.as_str())) {
            read.extend(call.operands.iter().copied());
            needed.push(call);
        }
    }
    needed.reverse();
    needed
}

/// The graph indexed by the names of values.
struct Nodes<'c, 'g> {
    folded: &'g Folded,
    makers: BTreeMap<&'g str, &'c Call<'g>>,
    readers: BTreeMap<&'g str, usize>,
}

impl<'c, 'g> Nodes<'c, 'g> {
    fn new(folded: &'g Folded, calls: &'c [Call<'g>]) -> Self {
        let mut readers = BTreeMap::new();
        let names = calls.iter().flat_map(|call| call.operands.iter().copied());
        for name in names.chain(folded.graph.outputs.iter().map(String::as_str)) {
            *readers.entry(name).or_default() += 1;
        }
        Self { folded, makers: calls.iter().map(|call| (call.output(), call)).collect(), readers }
    }

    /// The activation that ends with this node, and its operand.
    fn activation(&self, call: &Call<'g>) -> Option<(Unary, &'g str)> {
        if !matches!(call.operation, Operation::Binary(Binary::Mul | Binary::Div)) {
            return None;
        }
        let mut factors = Factors { values: Vec::new(), scale: 1.0 };
        self.factors(call, &mut factors, 0);
        let [first, second] = factors.values[..] else { return None };
        self.gate(first, second, factors.scale).or_else(|| self.gate(second, first, factors.scale))
    }

    /// An activation of the form x times a function of x, times a scale.
    fn gate(&self, x: &'g str, gate: &'g str, scale: f32) -> Option<(Unary, &'g str)> {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
        let maker = self.single(gate)?;
        let of_x = maker.operand(0) == x;
        let function = match maker.operation {
            Operation::Unary(Unary::Sigmoid) if of_x && scale == 1.0 => Unary::Silu,
            Operation::Unary(Unary::HardSigmoid(a, b)) if of_x && scale == 1.0 && near(a, 1.0 / 6.0) && near(b, 0.5) => Unary::HardSwish,
            Operation::Unary(Unary::Clip(0.0, 6.0)) if near(scale, 1.0 / 6.0) => {
                let (inner, term) = self.with_scalar(maker.operand(0), Binary::Add)?;
                (inner == x && term == 3.0).then_some(Unary::HardSwish)?
            }
            Operation::Unary(Unary::Tanh) if scale == 1.0 => {
                let softplus = self.single(maker.operand(0))?;
                let fits = matches!(softplus.operation, Operation::Unary(Unary::Softplus)) && softplus.operand(0) == x;
                fits.then_some(Unary::Mish)?
            }
            Operation::Binary(Binary::Add) if scale == 0.5 => {
                let (erf, term) = self.with_scalar(gate, Binary::Add)?;
                let erf = self.single(erf)?;
                let root = self.single(erf.operand(0))?;
                let fits = term == 1.0 && matches!(erf.operation, Operation::Unary(Unary::Erf));
                (fits && self.is_over_root_of_two(root, x)).then_some(Unary::Gelu)?
            }
            _ => return None,
        };
        Some((function, x))
    }

    fn is_over_root_of_two(&self, call: &Call<'g>, x: &str) -> bool {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
        match call.operation {
            Operation::Binary(Binary::Div) => {
                call.operand(0) == x && self.scalar(call.operand(1)).is_some_and(|root| near(root, core::f32::consts::SQRT_2))
            }
            Operation::Binary(Binary::Mul) => {
                let product = self.with_scalar(call.output(), Binary::Mul);
                product.is_some_and(|(value, factor)| value == x && near(factor, core::f32::consts::FRAC_1_SQRT_2))
            }
            _ => false,
        }
    }

    /// The factors of a product that has no other reader.
    fn factors(&self, call: &Call<'g>, factors: &mut Factors<'g>, depth: usize) {
        let operands = [call.operand(0), call.operand(1)];
        for (at, name) in operands.into_iter().enumerate() {
            let is_divisor = at == 1 && matches!(call.operation, Operation::Binary(Binary::Div));
            if let Some(number) = self.scalar(name) {
                factors.scale *= if is_divisor { 1.0 / number } else { number };
                continue;
            }
            match self.single(name) {
                Some(maker) if !is_divisor && depth < MAX_DEPTH && self.is_scaled(maker) => self.factors(maker, factors, depth + 1),
                // A divisor is not a factor. With three more values the product matches no pattern.
                _ if is_divisor => factors.values.extend([name; 3]),
                _ => factors.values.push(name),
            }
        }
    }

    /// Whether a node is a product, or a quotient by a number.
    fn is_scaled(&self, call: &Call<'g>) -> bool {
        match call.operation {
            Operation::Binary(Binary::Mul) => true,
            Operation::Binary(Binary::Div) => self.scalar(call.operand(1)).is_some(),
            _ => false,
        }
    }

    /// The node that makes a value with a single reader.
    fn single(&self, name: &str) -> Option<&'c Call<'g>> {
        self.makers.get(name).copied().filter(|_| self.readers.get(name) == Some(&1))
    }

    /// A constant with a single element.
    fn scalar(&self, name: &str) -> Option<f32> {
        let tensor = self.folded.graph.constants.get(name)?;
        if tensor.shape.iter().any(|&side| side != 1) {
            return None;
        }
        floats_of(tensor).first().copied()
    }

    /// The other operand of a node that combines a value with a number.
    fn with_scalar(&self, name: &str, function: Binary) -> Option<(&'g str, f32)> {
        let call = self.single(name)?;
        if !matches!(call.operation, Operation::Binary(other) if other == function) {
            return None;
        }
        match (self.scalar(call.operand(0)), self.scalar(call.operand(1))) {
            (None, Some(number)) => Some((call.operand(0), number)),
            (Some(number), None) => Some((call.operand(1), number)),
            _ => None,
        }
    }
}

/// What a product is made of.
struct Factors<'g> {
    values: Vec<&'g str>,
    scale: f32,
}
