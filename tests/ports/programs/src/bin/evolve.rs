//! PLACEHOLDER: proves the path of a target from source to digest with the crates that fooling-core stands on.

#![no_std]
#![no_main]

use ports_common::{Digest, Failure, Report, program};
use rand_core::Rng;
use rand_pcg::Pcg64Mcg;

struct Storage {
    picture: [u8; 28 * 28],
}

impl Storage {
    const EMPTY: Self = Self { picture: [0; 28 * 28] };
}

program!(evolve, Storage);

fn evolve(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let mut rng = Pcg64Mcg::new(0x1234_5678_9abc_def0);
    for name in ["first", "second"] {
        let weights: [f32; 4] = core::array::from_fn(|_| (rng.next_u32() >> 8) as f32 / 1e6 - 8.0);
        report.picture(|| draw(&weights, &mut storage.picture));
        report.digest(name, Digest::of(&storage.picture));
    }
    Ok(())
}

fn draw([a, b, c, d]: &[f32; 4], picture: &mut [u8; 28 * 28]) {
    for (place, pixel) in picture.iter_mut().enumerate() {
        let (x, y) = ((place % 28) as f32 / 13.5 - 1.0, (place / 28) as f32 / 13.5 - 1.0);
        let value = libm::sinf(a * x + b * y) * libm::expf(-c * x * x) + libm::tanhf(d * y);
        *pixel = (value.abs() * 255.0) as u8;
    }
}
