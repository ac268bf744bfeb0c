//! Genome files: any line is a genome or an error, and a genome can be drawn, and written and read back.
#![no_main]

use fooling::internals::{CppnRenderer, GenomeEntry, from_line, to_line};
use fooling_core::{Coordinates, PictureSpec, Rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Ok(GenomeEntry { genome, coordinates, colour, .. }) = from_line(line) {
        let picture = PictureSpec { side: 7, coordinates: coordinates.unwrap_or(Coordinates::Pixel), colour };
        let again = from_line(&to_line(&genome, picture)).expect("a written genome can be read");
        assert!(again.genome == genome && again.colour == colour);
        let mut rows = 0;
        let mut renderer = CppnRenderer::new(picture);
        renderer.render(&genome, &mut Rows::new(|row| rows += usize::from(row.bytes.len() == 7 * genome.outputs())));
        assert_eq!(rows, 7);
    }
});
