//! The data of one kernel launch, as words and numbers.

use fooling_core::{ColourSpace, Coordinates, PictureSpec, StandardGenome, StandardProgram};

use crate::model::{AxisOrder, ChannelOrder, Preprocess};

/// The kernel's `View`: everything that is the same for all pictures of a run, in the order of the kernel's text.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) side: i32,
    unit: i32,
    colour: i32,
    width: i32,
    height: i32,
    channels: i32,
    last: i32,
    pub(crate) crops: i32,
}

impl View {
    pub(crate) fn new(picture: PictureSpec, preprocess: &Preprocess) -> Self {
        let [_, rest @ ..] = preprocess.shape(1);
        let kind = preprocess.channels();
        let last = preprocess.layout() == AxisOrder::Nhwc;
        let [height, width] = if last { [rest[0], rest[1]] } else { [rest[1], rest[2]] };
        Self {
            side: picture.side.into(),
            unit: i32::from(picture.coordinates == Coordinates::Unit),
            colour: match picture.colour {
                None | Some(ColourSpace::Rgb) => 0,
                Some(ColourSpace::Hsv) => 1,
                Some(ColourSpace::Hls) => 2,
            },
            width: int(width),
            height: int(height),
            channels: if kind == ChannelOrder::Bgr { -3 } else { int(kind.count()) },
            last: last.into(),
            crops: int(preprocess.crops()),
        }
    }

    /// Numbers in the network's input for one crop.
    #[cfg(feature = "cuda")]
    pub(crate) fn numbers(self) -> usize {
        [self.width, self.height, self.channels].iter().map(|side| side.unsigned_abs() as usize).product()
    }

    /// Its words, in the kernel's order.
    #[cfg(test)]
    pub(crate) fn words(self) -> [i32; 8] {
        let Self { side, unit, colour, width, height, channels, last, crops } = self;
        [side, unit, colour, width, height, channels, last, crops]
    }
}

/// Sides, channels and crops are small.
fn int(number: usize) -> i32 {
    i32::try_from(number).expect("limited by the model card")
}

/// The programs of a batch, one picture after another.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    program: Box<StandardProgram>,
    pub(crate) words: Vec<u32>,
    /// The position of each picture's words.
    pub(crate) starts: Vec<u32>,
    /// The largest number of values of a program.
    values: u32,
}

impl Programs {
    #[cfg(feature = "cuda")]
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.starts.clear();
        self.values = 0;
    }

    /// Compiles a genome and adds it. A program has at most a few thousand words, so positions fit into 32 bits for any batch.
    pub(crate) fn add(&mut self, genome: &StandardGenome) {
        self.program.compile(genome);
        self.starts.push(u32::try_from(self.words.len()).expect("a batch of programs is small"));
        let start = self.words.len();
        self.program.code(&mut |word| self.words.push(word));
        self.values = self.values.max(self.words[start + 1]);
    }

    /// The number of values for which the kernel is compiled: few different numbers, so that it is compiled only a few times.
    pub(crate) fn values(&self) -> u32 {
        self.values.next_power_of_two().max(32)
    }
}
