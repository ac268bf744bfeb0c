//! Genome files: any line is a genome or an error, and a genome can be drawn, and written and read back.
#![no_main]

use fooling::internals::CppnRenderer;
use fooling::internals::{from_line, to_line};
use fooling_core::{Coordinates, PictureSpec, Rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Ok(genome) = from_line(line) {
        let again = from_line(&to_line(&genome)).expect("a written genome can be read");
        assert!(again == genome);
        let mut rows = 0;
        let mut renderer = CppnRenderer::new(PictureSpec { side: 7, coordinates: Coordinates::Pixel, colour: None });
        renderer.render(&genome, &mut Rows::new(|row| rows += usize::from(row.bytes.len() == 7 * genome.outputs())));
        assert_eq!(rows, 7);
    }
});
