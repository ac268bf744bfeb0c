//! The page's program: evolution against the built-in network, and breeding, as functions that JavaScript calls.
//!
//! A call gets bytes in a buffer that [`input`] lends, and leaves bytes in a buffer that [`output`] shows. It returns 0, or -1 and a message
//! in the output. The page calls from one thread for each instance.
#![no_std]

extern crate alloc;

mod genome;
mod network;
mod run;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use fooling_core::{Birth, ColourSpace, Coordinates, MAX_SIDE, PictureSpec};

use network::Scorer;
use run::Run;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Becomes a trap, which JavaScript catches as an exception.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    // For other targets the crate is only linted.
    #[cfg(not(target_arch = "wasm32"))]
    loop {}
}

/// The state of an instance.
struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    scorer: Option<Scorer>,
    run: Option<Box<dyn Run>>,
    renderer: Option<genome::Renderer>,
}

struct Shared(core::cell::UnsafeCell<State>);

// SAFETY: an instance of a module without shared memory has one thread.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

static STATE: Shared =
    Shared(core::cell::UnsafeCell::new(State { input: Vec::new(), output: Vec::new(), scorer: None, run: None, renderer: None }));

/// Lends the state to a function. Exported functions do not call each other, so it is never lent twice.
fn with_state<T>(function: impl FnOnce(&mut State) -> T) -> T {
    // SAFETY: one thread, and not lent twice.
    #[allow(unsafe_code)]
    let state = unsafe { &mut *STATE.0.get() };
    function(state)
}

/// Runs a call: 0 and its output, or -1 and a message.
fn call(function: impl FnOnce(&mut State, &[u8], &mut Vec<u8>) -> Result<(), String>) -> i32 {
    with_state(|state| {
        let (input, mut output) = (core::mem::take(&mut state.input), core::mem::take(&mut state.output));
        output.clear();
        let result = function(state, &input, &mut output);
        (state.input, state.output) = (input, output);
        match result {
            Ok(()) => 0,
            Err(problem) => {
                state.output = problem.into_bytes();
                -1
            }
        }
    })
}

const NO_NETWORK: &str = "the network is not loaded";
const NO_RUN: &str = "no run has been started";

/// A buffer of this length for the input of the next call.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    with_state(|state| {
        state.input.clear();
        state.input.resize(length, 0);
        state.input.as_mut_ptr()
    })
}

/// Where the output of the last call is.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn output() -> *const u8 {
    with_state(|state| state.output.as_ptr())
}

/// The length of the output of the last call.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn output_length() -> usize {
    with_state(|state| state.output.len())
}

/// 1 if this browser computes exact scores with this module; otherwise another module must be used.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn exact() -> u32 {
    #[cfg(target_feature = "relaxed-simd")]
    let exact = fooling_engine::simd::fused();
    #[cfg(not(target_feature = "relaxed-simd"))]
    let exact = true;
    exact.into()
}

/// Loads the network whose image is the input.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn load() -> i32 {
    call(|state, input, _| {
        state.scorer = Some(Scorer::new(input)?);
        Ok(())
    })
}

/// Starts a run; the input is the provenance for its journal.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn start(direct: u32, released: u32, unit: u32, seed: u64, batch: u32) -> i32 {
    call(|state, input, _| {
        let scorer = state.scorer.as_ref().ok_or(NO_NETWORK)?;
        let provenance = core::str::from_utf8(input).map_err(|error| error.to_string())?;
        let settings = run::settings(scorer, direct != 0, released != 0, unit != 0, seed, batch);
        state.run = Some(run::start(&settings, provenance)?);
        Ok(())
    })
}

/// Evolves a generation; the output says which child took which cell.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn step() -> i32 {
    call(|state, _, output| {
        let scorer = state.scorer.as_mut().ok_or(NO_NETWORK)?;
        state.run.as_mut().ok_or(NO_RUN)?.step(scorer, output)
    })
}

/// The journal of the run.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn journal() -> i32 {
    call(|state, _, output| {
        output.extend_from_slice(state.run.as_ref().ok_or(NO_RUN)?.journal());
        Ok(())
    })
}

/// The placement digest of the run: 32 bytes.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn digest() -> i32 {
    call(|state, _, output| {
        output.extend_from_slice(&state.run.as_ref().ok_or(NO_RUN)?.digest());
        Ok(())
    })
}

/// A random genome, or an offspring of the genome in the input.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn breed(colour: u32, strength: u32, seed: u64, generation: u32, child: u32) -> i32 {
    call(|_, input, output| {
        let parent = if input.is_empty() { None } else { Some(genome::read(input).map_err(|damage| format!("{damage}"))?) };
        let birth = Birth { generation, child };
        // A genome keeps the number of its outputs, whatever the switch says.
        let colour = parent.as_ref().map_or(colour != 0, |parent| parent.outputs() == 3);
        genome::write(&genome::offspring(parent.as_deref(), colour, strength, seed, birth), output);
        Ok(())
    })
}

/// Draws the genome in the input: grey bytes, or red, green and blue. `colour` is 0 for HSV, 1 for HLS, 2 for RGB.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn draw(side: u32, unit: u32, colour: u32) -> i32 {
    call(|state, input, output| {
        let genome = genome::read(input).map_err(|damage| format!("{damage}"))?;
        let spec = picture(side, unit, colour)?;
        state.renderer.get_or_insert_default().render(&genome, spec, output);
        Ok(())
    })
}

/// Scores the picture of the genome in the input: a score (f32) for each class.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn score(unit: u32, colour: u32) -> i32 {
    call(|state, input, output| {
        let genome = genome::read(input).map_err(|damage| format!("{damage}"))?;
        let scorer = state.scorer.as_mut().ok_or(NO_NETWORK)?;
        let spec = picture(scorer.side() as u32, unit, colour)?;
        let mut pixels = Vec::new();
        state.renderer.get_or_insert_default().render(&genome, spec, &mut pixels);
        let mut scores = alloc::vec![0.0; scorer.classes()];
        scorer.score(&pixels, &mut scores)?;
        scores.iter().for_each(|score| output.extend(score.to_le_bytes()));
        Ok(())
    })
}

fn picture(side: u32, unit: u32, colour: u32) -> Result<PictureSpec, String> {
    let side = u16::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let side = side.ok_or_else(|| format!("a picture has 1 to {MAX_SIDE} pixels a side"))?;
    let colour = [ColourSpace::Hsv, ColourSpace::Hls, ColourSpace::Rgb][(colour as usize).min(2)];
    let coordinates = if unit != 0 { Coordinates::Unit } else { Coordinates::Pixel };
    Ok(PictureSpec { side, coordinates, colour: Some(colour) })
}
