//! `RNN`, `GRU` and `LSTM`, step by step.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, given, input};
use crate::fold::MAX_GROWN;
use crate::fold::types::bounded_elements;
use crate::graph::{Attribute, ElementType, Numbers, Tensor};

/// The largest number of steps, of both directions together. Each step becomes about ten layers.
const MAX_STEPS: usize = 1024;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    let (gates, usual): (usize, &[&str]) = match call.node.operator.as_str() {
        "RNN" => (1, &["Tanh"]),
        "GRU" => (3, &["Sigmoid", "Tanh"]),
        "LSTM" => (4, &["Sigmoid", "Tanh", "Tanh"]),
        _ => return Ok(false),
    };
    let (&[steps, batch, _], &[directions, rows, _]) = (call.operand(0)?.shape, call.operand(1)?.shape) else {
        return Err("has operands whose dimensions do not fit".into());
    };
    let hidden = rows / gates;
    check(call, usual, steps, [directions, batch])?;
    let reversed = call.text_or("direction", "forward")? == "reverse";
    let mut ends = [Vec::new(), Vec::new()];
    let mut sequences = Vec::new();
    for direction in 0..directions {
        let cell = Cell::new(call, parts, direction, gates, [hidden, batch])?;
        let order: Vec<usize> = if reversed || direction == 1 { (0..steps).rev().collect() } else { (0..steps).collect() };
        let (mut state, mut memory) = (cell.start(call, parts, 5)?, cell.start(call, parts, 6)?);
        let mut given = vec![String::new(); steps];
        for step in order {
            let row = cell.at(parts, &cell.inputs.clone(), step)?;
            (state, memory) = match gates {
                1 => (cell.rnn(parts, &row, &state), memory),
                3 => (cell.gru(call, parts, &row, &state)?, memory),
                _ => cell.lstm(parts, &row, &state, &memory),
            };
            given[step].clone_from(&state);
        }
        let rows: Vec<String> = given.iter().map(|row| parts.reshape(row, &[1, 1, batch, hidden])).collect::<Result<_, _>>()?;
        sequences.push(join(parts, &rows, 0));
        ends[0].push(parts.reshape(&state, &[1, batch, hidden])?);
        ends[1].push(parts.reshape(&memory, &[1, batch, hidden])?);
    }
    let sequence = join(parts, &sequences, 1);
    parts.give(call, 0, &sequence);
    let outputs = if gates == 4 { 2 } else { 1 };
    for (output, ends) in ends.iter().enumerate().take(outputs) {
        let end = join(parts, ends, 0);
        parts.give(call, output + 1, &end);
    }
    Ok(true)
}

fn check(call: &Call<'_>, usual: &[&str], steps: usize, [directions, batch]: [usize; 2]) -> Result<(), Problem> {
    if let Some(Attribute::Texts(names)) = call.attribute("activations") {
        let fit = names.iter().enumerate().all(|(at, name)| name == usual[at % usual.len()] || usual.len() == 1 && name == "Relu");
        if !fit || usual.len() == 1 && names.iter().any(|name| *name != names[0]) {
            return Err("has unusual activations, which are not supported".into());
        }
    }
    if call.attribute("clip").is_some() || call.flag("layout", false)? || call.flag("input_forget", false)? || given(call, 7) {
        return Err("with clip, layout, input_forget or peepholes is not supported".into());
    }
    if let Some(lengths) = call.integers(4, "sequence lengths")?
        && lengths.iter().any(|&length| usize::try_from(length) != Ok(steps))
    {
        return Err("with sequences of several lengths is not supported".into());
    }
    let expected = if call.text_or("direction", "forward")? == "bidirectional" { 2 } else { 1 };
    if directions != expected || batch == 0 || steps == 0 {
        return Err("has operands whose dimensions do not fit".into());
    }
    if steps.saturating_mul(directions) > MAX_STEPS {
        return Err(format!("has {steps} steps; at most {} are supported", MAX_STEPS / directions));
    }
    Ok(())
}

fn join(parts: &mut Parts, values: &[String], axis: i64) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    parts.op("Concat", &values, &[("axis", Attribute::Int(axis))])
}

/// One direction.
struct Cell {
    direction: usize,
    gates: usize,
    hidden: usize,
    batch: usize,
    /// Steps x batch x all gates: the inputs times their weights, plus the bias.
    inputs: String,
    /// Hidden x all gates; of a GRU, those of two gates and of the new state.
    recurrent: Vec<String>,
    /// The bias of the recurrent products of a GRU; empty if it is part of the inputs.
    bias: Vec<String>,
    activation: String,
}

impl Cell {
    fn new(call: &Call<'_>, parts: &mut Parts, direction: usize, gates: usize, [hidden, batch]: [usize; 2]) -> Result<Self, Problem> {
        let mut cell = Self {
            direction,
            gates,
            hidden,
            batch,
            inputs: String::new(),
            recurrent: Vec::new(),
            bias: Vec::new(),
            activation: match call.attribute("activations") {
                Some(Attribute::Texts(names)) if gates == 1 && !names.is_empty() => names[0].clone(),
                _ => "Tanh".into(),
            },
        };
        let weights = cell.at(parts, input(call, 1), direction)?;
        let weights = parts.transpose(&weights, &[1, 0])?;
        let recurrent = cell.at(parts, input(call, 2), direction)?;
        let recurrent = parts.transpose(&recurrent, &[1, 0])?;
        cell.recurrent = if gates == 3 { cell.split(parts, &recurrent, &[2, 1])? } else { vec![recurrent] };
        cell.inputs = parts.op("MatMul", &[input(call, 0), &weights], &[]);
        if given(call, 3) {
            let bias = cell.at(parts, input(call, 3), direction)?;
            let halves = parts.ops("Split", &[&bias], 2, &[("split", Attribute::Ints(super::integers(&[gates * hidden; 2])?))]);
            // The bias of the new state of a GRU can be inside the product with the reset gate.
            let inside = gates == 3 && call.flag("linear_before_reset", false)?;
            let bias = if inside { halves[0].clone() } else { parts.op("Add", &[&halves[0], &halves[1]], &[]) };
            cell.inputs = parts.op("Add", &[&cell.inputs, &bias], &[]);
            if inside {
                cell.bias = cell.split(parts, &halves[1], &[2, 1])?;
            }
        }
        Ok(cell)
    }

    /// One element of the first axis.
    fn at(&self, parts: &mut Parts, value: &str, index: usize) -> Result<String, Problem> {
        let index = i64::try_from(index).map_err(|_| "is too large")?;
        let index = parts.constant(Tensor { element: ElementType::I64, shape: vec![], numbers: Numbers::Integers(vec![index]) });
        Ok(parts.op("Gather", &[value, &index], &[("axis", Attribute::Int(0))]))
    }

    fn start(&self, call: &Call<'_>, parts: &mut Parts, operand: usize) -> Result<String, Problem> {
        if given(call, operand) {
            return self.at(parts, input(call, operand), self.direction);
        }
        let shape = vec![self.batch, self.hidden];
        let numbers = Numbers::Floats(vec![0.0; bounded_elements(&shape, MAX_GROWN)?]);
        Ok(parts.constant(Tensor { element: ElementType::F32, shape, numbers }))
    }

    fn split(&self, parts: &mut Parts, value: &str, sizes: &[usize]) -> Result<Vec<String>, Problem> {
        let sizes: Vec<usize> = sizes.iter().map(|size| size * self.hidden).collect();
        let attributes = [("axis", Attribute::Int(-1)), ("split", Attribute::Ints(super::integers(&sizes)?))];
        Ok(parts.ops("Split", &[value], sizes.len(), &attributes))
    }

    fn rnn(&self, parts: &mut Parts, row: &str, state: &str) -> String {
        let product = parts.op("MatMul", &[state, &self.recurrent[0]], &[]);
        let sum = parts.op("Add", &[row, &product], &[]);
        parts.op(&self.activation, &[&sum], &[])
    }

    /// Gates: update, reset, new.
    fn gru(&self, call: &Call<'_>, parts: &mut Parts, row: &str, state: &str) -> Result<String, Problem> {
        let rows = self.split(parts, row, &[2, 1])?;
        let mut product = parts.op("MatMul", &[state, &self.recurrent[0]], &[]);
        if let Some(bias) = self.bias.first() {
            product = parts.op("Add", &[&product, bias], &[]);
        }
        let sum = parts.op("Add", &[&rows[0], &product], &[]);
        let both = parts.op("Sigmoid", &[&sum], &[]);
        let both = self.split(parts, &both, &[1, 1])?;
        let inner = if call.flag("linear_before_reset", false)? {
            let mut product = parts.op("MatMul", &[state, &self.recurrent[1]], &[]);
            if let Some(bias) = self.bias.get(1) {
                product = parts.op("Add", &[&product, bias], &[]);
            }
            parts.op("Mul", &[&both[1], &product], &[])
        } else {
            let reset = parts.op("Mul", &[&both[1], state], &[]);
            parts.op("MatMul", &[&reset, &self.recurrent[1]], &[])
        };
        let sum = parts.op("Add", &[&rows[1], &inner], &[]);
        let new = parts.op("Tanh", &[&sum], &[]);
        let change = parts.op("Sub", &[state, &new], &[]);
        let kept = parts.op("Mul", &[&both[0], &change], &[]);
        Ok(parts.op("Add", &[&new, &kept], &[]))
    }

    /// Gates: input, output, forget, cell.
    fn lstm(&self, parts: &mut Parts, row: &str, state: &str, memory: &str) -> (String, String) {
        let product = parts.op("MatMul", &[state, &self.recurrent[0]], &[]);
        let sum = parts.op("Add", &[row, &product], &[]);
        let gates = parts.ops("Split", &[&sum], self.gates, &[("axis", Attribute::Int(-1))]);
        let [input, output, forget] = [0, 1, 2].map(|gate| parts.op("Sigmoid", &[&gates[gate]], &[]));
        let new = parts.op("Tanh", &[&gates[3]], &[]);
        let (kept, added) = (parts.op("Mul", &[&forget, memory], &[]), parts.op("Mul", &[&input, &new], &[]));
        let memory = parts.op("Add", &[&kept, &added], &[]);
        let shown = parts.op("Tanh", &[&memory], &[]);
        (parts.op("Mul", &[&output, &shown], &[]), memory)
    }
}
