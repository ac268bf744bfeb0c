//! Compares the emulated fused multiply-add with the CPU's instruction and with `libm::fmaf`, for any number of arguments:
//!
//!     cargo run --release -p fooling-engine --example fma -- 400000000
//!
//! A quarter of the arguments have random bits; the others are made to overlap, to cancel, or to give subnormal results.

use fooling_engine::simd::{F32x16, Instructions, Kernel, LANES, Vector, dispatch};

struct Fused<'a>(&'a [[F32x16; 3]], &'a mut [F32x16]);

impl Kernel for Fused<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self) {
        for ([a, b, c], to) in self.0.iter().zip(self.1) {
            V::load(a).mul_add(V::load(b), V::load(c)).store(to);
        }
    }
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Random bits, SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 32) as u32
    }

    fn with_exponent(&mut self, from: u32, count: u32) -> f32 {
        let bits = self.bits();
        f32::from_bits(bits & 0x807f_ffff | (from + self.bits() % count) << 23)
    }

    fn arguments(&mut self, kind: u64) -> [f32; 3] {
        match kind % 4 {
            0 => [(); 3].map(|()| f32::from_bits(self.bits())),
            1 => [(); 3].map(|()| self.with_exponent(112, 32)),
            // The product is around the smallest numbers.
            2 => [self.with_exponent(40, 32), self.with_exponent(40, 32), self.with_exponent(0, 4)],
            // Few bits are set, so that sums fall halfway between two numbers.
            _ => [0x80f8_0003_u32, 0x80f8_0003, 0x80ff_ffff].map(|mask| f32::from_bits(self.bits() & mask | (48 + self.bits() % 96) << 23)),
        }
    }
}

fn main() {
    let wanted: u64 = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().expect("a number of arguments"));
    let set = Instructions::widest();
    let (mut random, mut done) = (Random(1), 0);
    let (mut wrong, mut wrong_in_libm, mut shown) = (0_u64, 0_u64, 0);
    let mut arguments = vec![[F32x16::ZERO; 3]; 4096];
    let (mut by_instruction, mut by_emulation) = (vec![F32x16::ZERO; 4096], vec![F32x16::ZERO; 4096]);
    while done < wanted {
        for (row, vectors) in arguments.iter_mut().enumerate() {
            for lane in 0..LANES {
                let numbers = random.arguments(row as u64);
                vectors.iter_mut().zip(numbers).for_each(|(vector, number)| vector.0[lane] = number);
            }
        }
        dispatch(set, Fused(&arguments, &mut by_instruction));
        dispatch(Instructions::Baseline, Fused(&arguments, &mut by_emulation));
        for ((vectors, right), ours) in arguments.iter().zip(&by_instruction).zip(&by_emulation) {
            for lane in 0..LANES {
                let [a, b, c] = vectors.map(|vector| vector.0[lane]);
                wrong += u64::from(!same(ours.0[lane], right.0[lane]));
                let libm = libm::fmaf(a, b, c);
                if !same(libm, right.0[lane]) {
                    wrong_in_libm += 1;
                    if shown < 3 {
                        shown += 1;
                        println!("libm: fmaf({a:e}, {b:e}, {c:e}) = {libm:e}, not {:e}", right.0[lane]);
                    }
                }
            }
        }
        done += (arguments.len() * LANES) as u64;
    }
    println!("{done} arguments, instruction: {set:?}");
    println!("emulated: {wrong} wrong; libm::fmaf: {wrong_in_libm} wrong");
    assert_eq!(wrong, 0, "the emulation is wrong");
}
