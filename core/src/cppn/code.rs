//! A program as a list of words, for an interpreter outside this crate: a GPU kernel (see `host/src/gpu/cppn.cu`).

use super::program::{COORDINATE, DISTANCE, FIXED_LINES, Operand, Program};

/// Operand: the pixel's x.
pub const CODE_X: u32 = 0;
/// Operand: the pixel's y.
pub const CODE_Y: u32 = 1;
/// Operand: a constant.
pub const CODE_CONSTANT: u32 = 2;
/// Operand: the first value.
pub const CODE_VALUES: u32 = 3;
/// In the header: value 0 starts as the distance from the centre.
pub const CODE_DISTANCE: u32 = 1;

impl<const NODES: usize, const LINKS: usize> Program<NODES, LINKS> {
    /// Passes the program's words to `emit`, one after another.
    ///
    /// The words, in this order:
    ///
    /// - 4 of header: steps, values, outputs, and [`CODE_DISTANCE`] if value 0 starts as the distance from the centre, else 0;
    /// - 2 for each output: its operand, and the bits of its number if it is constant;
    /// - for each step 3 (activation, the value that stores the result, number of terms), followed by 2 for each term: operand, and the
    ///   bits of its weight.
    ///
    /// An operand is [`CODE_X`], [`CODE_Y`], [`CODE_CONSTANT`] (the number one, so that the product is the weight) or [`CODE_VALUES`] plus
    /// the number of a value. Lines and registers of the program are all values here, because an interpreter of single pixels has no use
    /// for lines. A step without terms sums to zero; other sums start with the first product. [`Program::render`] computes the same, in the
    /// same order.
    pub fn code(&self, emit: &mut impl FnMut(u32)) {
        emit(self.steps.len() as u32);
        emit(u32::from(self.registers) + u32::from(self.line_steps));
        emit(self.outputs.len() as u32);
        emit(if self.uses_distance { CODE_DISTANCE } else { 0 });
        for &output in &self.outputs {
            let (operand, number) = self.operand(output);
            emit(operand);
            emit(number.to_bits());
        }
        let mut first = 0;
        for (number, step) in self.steps.iter().enumerate() {
            let terms = &self.terms[first..usize::from(step.terms_end)];
            first = step.terms_end.into();
            let line = number < usize::from(self.line_steps);
            emit(step.activation as u32);
            emit(if line { self.line(step.result) } else { step.result.into() });
            emit(terms.len() as u32);
            for term in terms {
                let (operand, number) = self.operand(term.from);
                emit(operand);
                emit((term.weight * number).to_bits());
            }
        }
    }

    /// The value that represents a line; lines follow the registers, the first of which may be the distance.
    fn line(&self, line: u16) -> u32 {
        u32::from(self.registers) + u32::from(line - FIXED_LINES)
    }

    /// An operand's word, and its number.
    fn operand(&self, operand: Operand) -> (u32, f32) {
        const { assert!(DISTANCE == 0) };
        match operand {
            Operand::Constant(number) => (CODE_CONSTANT, number),
            Operand::AlongX(COORDINATE) => (CODE_X, 1.0),
            Operand::AlongY(COORDINATE) => (CODE_Y, 1.0),
            Operand::AlongX(line) | Operand::AlongY(line) => (CODE_VALUES + self.line(line), 1.0),
            Operand::Register(register) => (CODE_VALUES + u32::from(register), 1.0),
        }
    }
}
