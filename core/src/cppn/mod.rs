//! Indirect encoding: a network from pixel coordinates to colour (a CPPN, Stanley 2007).
//!
//! Data flows through the modules in this order: a genome is varied and compiled into a program, which is rendered row by row.

mod code;
mod genome;
mod program;
mod render;
mod variation;

pub use code::{CODE_CONSTANT, CODE_DISTANCE, CODE_VALUES, CODE_X, CODE_Y};
pub use genome::{CppnGenome, GenomeError, Link, WEIGHT_LIMIT};
pub use program::{Program, largest_sum};
pub use render::Scratch;
pub use variation::CppnEncoding;

use crate::settings::Capacity;

/// A genome for microcontrollers: [`Capacity::CORTEX_M`].
pub type SmallGenome = CppnGenome<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;
/// The encoding of a [`SmallGenome`].
pub type SmallEncoding = CppnEncoding<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;
/// The program of a [`SmallGenome`].
pub type SmallProgram = Program<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;

/// A genome for hosts: [`Capacity::HOST`]. Neutral drift over 200 mutations stays below 80 nodes and 90 links, and selected genomes are
/// smaller.
pub type StandardGenome = CppnGenome<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;
/// The encoding of a [`StandardGenome`].
pub type StandardEncoding = CppnEncoding<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;
/// The program of a [`StandardGenome`].
pub type StandardProgram = Program<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Cell, EliteSlot};
    use crate::encoding::Elite;

    /// The table on the front page.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn sizes_are_those_of_the_documentation() {
        let small = [size_of::<SmallGenome>(), size_of::<EliteSlot<SmallGenome>>(), size_of::<Elite<SmallGenome>>()];
        assert_eq!((small, size_of::<SmallProgram>()), ([856, 888, 880], 1_592));
        let standard = [size_of::<StandardGenome>(), size_of::<EliteSlot<StandardGenome>>(), size_of::<Elite<StandardGenome>>()];
        assert_eq!((standard, size_of::<StandardProgram>()), ([8_728, 8_760, 8_752], 15_416));
        assert_eq!([SmallProgram::max_scratch_floats(28, 4), StandardProgram::max_scratch_floats(28, 4)].map(|n| n * 4), [6_960, 57_136]);
        assert_eq!(size_of::<Cell>(), 16);
    }

    /// No program needs more than the bound for its capacity.
    #[test]
    fn scratch_is_bounded() {
        use crate::canvas::Channels;
        use crate::encoding::Encoding as _;
        use crate::rng::{Birth, Purpose, Stream};
        let encoding = SmallEncoding::paper(Channels::Colour);
        let mut largest = 0;
        for child in 0..40 {
            let mut stream = Stream::new(1, Birth { generation: 0, child }, Purpose::Child);
            let mut genome = SmallGenome::EMPTY;
            encoding.random(&mut stream, &mut genome);
            (0..400).for_each(|_| encoding.mutate(&mut stream, 0, &mut genome));
            let program = SmallProgram::new(&genome);
            for (side, lanes) in [(1, 8), (28, 4), (28, 7), (61, 1)] {
                let needed = program.scratch_floats(side, lanes);
                assert!(needed <= SmallProgram::max_scratch_floats(side, lanes), "{needed} floats, {side} {lanes}");
                largest = largest.max(needed);
            }
        }
        assert!(largest * 8 > SmallProgram::max_scratch_floats(61, 1), "{largest} floats: the bound is far off");
    }
}
