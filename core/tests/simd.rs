//! The same picture, whatever the instruction set, the lanes and the scratch.

use std::convert::Infallible;

use fooling_core::{
    Activation, Birth, Canvas, Channels, ColourSpace, Coordinates, CppnGenome, Encoding as _, Link, PictureSpec, Program, Purpose, Region,
    Row, Scratch, StandardEncoding, StandardGenome, StandardProgram, Stream,
};

#[path = "../benches/simd/mod.rs"]
mod simd;

use simd::Instructions;

fn render<const LANES: usize>(set: Instructions, program: &StandardProgram, picture: PictureSpec, floats: &mut [f32]) -> Vec<u8> {
    let side = usize::from(picture.side);
    let mut bytes = vec![0; side * side * program.channels().unwrap().count()];
    let mut scratch = Scratch { floats, row: &mut vec![0; side * program.channels().unwrap().count()] };
    simd::render_with::<LANES, _, _, _>(set, program, picture, &mut scratch, &mut bytes.as_mut_slice()).unwrap();
    bytes
}

/// Draws with the minimal scratch, with ample scratch, and with scratch that is not aligned to a cache line.
fn assert_same<const LANES: usize>(set: Instructions, program: &StandardProgram, picture: PictureSpec, expected: &[u8]) {
    let side = picture.side.into();
    let ample = program.ample_scratch_floats(side, LANES);
    let mut floats = vec![f32::NAN; ample + 1];
    let ways = [0..program.scratch_floats(side, LANES), 0..ample, 1..ample + 1, 0..ample * 2 / 3];
    for way in ways.into_iter().filter(|way| way.len() >= program.scratch_floats(side, LANES)) {
        let rendered = render::<LANES>(set, program, picture, &mut floats[way.clone()]);
        assert!(rendered == expected, "{set:?}, {LANES} lanes, floats {way:?}, {picture:?}");
    }
}

/// A canvas that needs only some rows and columns.
struct Window {
    region: Region,
    rows: Vec<(usize, Vec<u8>)>,
}

impl Canvas for Window {
    type Error = Infallible;

    fn row(&mut self, row: Row<'_>) -> Result<(), Infallible> {
        let (columns, channels) = (&self.region.columns, row.channels.count());
        self.rows.push((row.y, row.bytes[columns.start * channels..columns.end * channels].to_vec()));
        Ok(())
    }

    fn region(&self, _: usize) -> Region {
        self.region.clone()
    }
}

/// The visible part equals that part of the whole picture.
fn assert_same_in_part<const LANES: usize>(set: Instructions, program: &StandardProgram, picture: PictureSpec, expected: &[u8]) {
    let (side, channels) = (usize::from(picture.side), program.channels().unwrap().count());
    let ranges = [0..side, 0..side / 2, side / 3..side, side / 5..side * 4 / 5, side / 2..side / 2];
    let pairs = (0..ranges.len()).map(|i| (i, i)).chain([(0, 3), (3, 0), (1, 2), (2, 1), (2, 3), (1, 3)]);
    for (rows, columns) in pairs {
        let region = Region { rows: ranges[rows].clone(), columns: ranges[columns].clone() };
        for floats in [program.scratch_floats(side, LANES), program.ample_scratch_floats(side, LANES)] {
            let mut window = Window { region: region.clone(), rows: Vec::new() };
            let mut scratch = Scratch { floats: &mut vec![f32::NAN; floats], row: &mut vec![0; side * channels] };
            simd::render_with::<LANES, _, _, _>(set, program, picture, &mut scratch, &mut window).unwrap();
            let row =
                |y: usize| expected[(y * side + region.columns.start) * channels..(y * side + region.columns.end) * channels].to_vec();
            let rows = if region.columns.is_empty() { 0..0 } else { region.rows.clone() };
            let part: Vec<_> = rows.map(|y| (y, row(y))).collect();
            assert!(window.rows == part, "{set:?}, {LANES} lanes, {region:?} of {picture:?}");
        }
    }
}

fn assert_same_everywhere(genome: &StandardGenome, picture: PictureSpec) {
    let program = Program::new(genome);
    let mut floats = vec![f32::NAN; program.scratch_floats(picture.side.into(), 1)];
    let expected = render::<1>(Instructions::Baseline, &program, picture, &mut floats);
    // Without its instructions, a set would be the baseline once more.
    for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
        assert_same::<4>(set, &program, picture, &expected);
        assert_same::<5>(set, &program, picture, &expected);
        assert_same::<8>(set, &program, picture, &expected);
        assert_same::<16>(set, &program, picture, &expected);
        assert_same::<64>(set, &program, picture, &expected);
        assert_same_in_part::<4>(set, &program, picture, &expected);
        assert_same_in_part::<5>(set, &program, picture, &expected);
        assert_same_in_part::<16>(set, &program, picture, &expected);
    }
}

#[test]
fn evolved_genomes_look_the_same_everywhere() {
    for set in Instructions::ALL.into_iter().filter(|set| !set.available()) {
        eprintln!("SKIPPED: this CPU has no {set:?}");
    }
    let colours = [None, Some(ColourSpace::Hsv), Some(ColourSpace::Hls), Some(ColourSpace::Rgb)];
    for lineage in 0..120 {
        let mut stream = Stream::new(3, Birth { generation: 0, child: lineage }, Purpose::Child);
        let variation = StandardEncoding::paper(if lineage % 2 == 0 { Channels::Grey } else { Channels::Colour });
        let mut genome = StandardGenome::EMPTY;
        variation.random(&mut stream, &mut genome);
        (0..lineage * 2).for_each(|_| variation.mutate(&mut stream, 0, &mut genome));
        let coordinates = if lineage % 3 == 0 { Coordinates::Unit } else { Coordinates::Pixel };
        let side = [1, 7, 16, 28, 61, 100][lineage as usize % 6];
        assert_same_everywhere(&genome, PictureSpec { side, coordinates, colour: colours[lineage as usize / 2 % 4] });
    }
}

/// Enough parallel links for sums beyond the short range reduction of the sine.
#[test]
fn far_sines_look_the_same_everywhere() {
    let nodes = [Activation::Sine; 6];
    // Sums in 300 x 300 pixels leave that range at nine links; with 900, fewer pixels leave it by far, and cost less.
    for (links, side) in [(1, 300), (8, 300), (9, 300), (10, 300), (40, 300), (900, 100)] {
        let mut all: Vec<Link> = (0..links).map(|i| Link { source: i % 2, target: 5, weight: 9.5 - f32::from(i % 3) }).collect();
        all.push(Link { source: 5, target: 4, weight: 3.0 });
        let genome = CppnGenome::from_parts(1, &nodes, &all).unwrap();
        assert_same_everywhere(&genome, PictureSpec { side, coordinates: Coordinates::Pixel, colour: None });
    }
}
