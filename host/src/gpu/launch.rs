//! Compiles the kernel for this machine's GPU, and launches it.
//!
//! It runs on the stream that tract uses in this thread, and writes into a tensor that becomes tract's input, so nothing is copied to the
//! host and back. Work on one stream is done in order. **None of this has run on a GPU yet.**
//!
//! The unsafe code relies on two things that no compiler can check: that the arguments of a launch match the kernel's text, and that the
//! memory which the kernel writes is large enough.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg as _};
use cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use fooling_core::{PictureSpec, StandardGenome};
use tract_gpu::tensor::{DeviceTensor, LazyHostStorage};
use tract_onnx::prelude::*;

use super::plan::{Programs, View};
use crate::model::{InputTables, Preprocess};

// SAFETY: eight 32-bit integers in the order of the kernel's `View` (`repr(C)`), without padding or pointers.
unsafe impl DeviceRepr for View {}

/// Threads in a block.
const THREADS: u32 = 128;

/// What to draw; keeps its memory between batches.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    view: Option<View>,
    programs: Programs,
    tables: InputTables,
}

impl Drawing {
    /// Takes the genomes of a batch.
    pub(crate) fn fill(&mut self, genomes: &[&StandardGenome], picture: PictureSpec, preprocess: &Preprocess) {
        self.view = Some(View::new(picture, preprocess));
        self.tables = preprocess.tables();
        self.programs.clear();
        genomes.iter().for_each(|genome| self.programs.add(genome));
    }
}

/// The settings of a run's pictures, on the device.
struct DeviceTables {
    tables: InputTables,
    crops: CudaSlice<i32>,
    table: CudaSlice<f32>,
    mean: Option<CudaSlice<f32>>,
}

/// Draws into the network's input, on one thread.
pub(crate) struct Painter {
    shape: Vec<usize>,
    /// The kernel for this number of values.
    kernels: HashMap<u32, CudaFunction>,
    tables: Option<DeviceTables>,
    input: Option<DeviceTensor>,
}

impl Painter {
    /// For a network whose input has this shape.
    pub(crate) fn new(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), kernels: HashMap::new(), tables: None, input: None }
    }

    /// The last batch drawn, as a tensor for tract.
    pub(crate) fn drawn(&self) -> TractResult<TValue> {
        let input = self.input.clone().ok_or_else(|| TractError::msg("nothing has been drawn"))?;
        Ok(LazyHostStorage::new(input)?.into_tensor().into_tvalue())
    }

    /// Draws a batch into the first slots of the input; the others keep their content.
    pub(crate) fn draw(&mut self, drawing: &Drawing) -> TractResult<()> {
        let Drawing { view: Some(view), programs, tables } = drawing else {
            return Ok(());
        };
        let input = match self.input.take() {
            Some(input) => input,
            None => DeviceTensor::uninitialized_dt(f32::datum_type(), &self.shape)?,
        };
        let pictures = u32::try_from(programs.starts.len())?;
        let numbers = programs.starts.len() * (tables.crops.len() / 3) * view.numbers();
        if numbers > input.len() || tables.crops.len() != usize::try_from(view.crops)? * 3 {
            return Err(TractError::msg("the pictures do not fit into the network's input"));
        }
        let to = input.device_buffer_ptr() as u64 + u64::from(input.buffer_offset::<u32>());
        tract_cuda::with_cuda_stream(|stream| self.launch(stream, *view, programs, tables, pictures, to))?;
        self.input = Some(input);
        Ok(())
    }

    fn launch(
        &mut self,
        stream: &Arc<CudaStream>,
        view: View,
        programs: &Programs,
        tables: &InputTables,
        pictures: u32,
        to: u64,
    ) -> TractResult<()> {
        let values = programs.values();
        let kernel = match self.kernels.entry(values) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => new.insert(compile(stream, values)?),
        };
        if self.tables.as_ref().is_none_or(|there| there.tables != *tables) {
            self.tables = Some(DeviceTables::new(stream, tables)?);
        }
        let there = self.tables.as_ref().ok_or_else(|| TractError::msg("the tables are not on the device"))?;
        let (code, starts) = (stream.clone_htod(&programs.words)?, stream.clone_htod(&programs.starts)?);
        let side = u32::try_from(view.side)?;
        let grid_dim = ((side * side).div_ceil(THREADS), pictures, 1);
        let null = 0_u64;
        let mut launch = stream.launch_builder(kernel);
        launch.arg(&view).arg(&code).arg(&starts).arg(&null).arg(&to).arg(&there.crops).arg(&there.table);
        match &there.mean {
            Some(mean) => launch.arg(mean),
            None => launch.arg(&null),
        };
        // SAFETY: the arguments are those of `draw` in cppn.cu, in their order. `Program::code` wrote `code` and `starts`; its operands
        // name values below `values`, for which the kernel was compiled. `to` has room for the crops of all pictures (checked by the
        // caller). `table` and `mean` have the lengths that `Preprocess` gives them for this view. The memory is freed on this same stream,
        // after the launch.
        unsafe { launch.launch(LaunchConfig { grid_dim, block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }) }?;
        Ok(())
    }
}

impl DeviceTables {
    fn new(stream: &Arc<CudaStream>, tables: &InputTables) -> TractResult<Self> {
        let mean = if tables.mean.is_empty() { None } else { Some(stream.clone_htod(&tables.mean)?) };
        Ok(Self { tables: tables.clone(), crops: stream.clone_htod(&tables.crops)?, table: stream.clone_htod(&tables.table)?, mean })
    }
}

/// Compiles the kernel for programs with up to this many values. The options that keep its bits equal to core's are stated explicitly,
/// although most are NVRTC's defaults: no contraction, subnormal numbers kept, correctly rounded division and square root.
fn compile(stream: &Arc<CudaStream>, values: u32) -> TractResult<CudaFunction> {
    Ok(stream.context().load_module(translate(values)?)?.load_function("draw")?)
}

fn translate(values: u32) -> TractResult<Ptx> {
    let options = CompileOptions {
        fmad: Some(false),
        ftz: Some(false),
        prec_div: Some(true),
        prec_sqrt: Some(true),
        options: vec![format!("-DVALUES={values}")],
        name: Some("cppn.cu".into()),
        ..Default::default()
    };
    compile_ptx_with_opts(super::SOURCE, options).map_err(|error| TractError::msg(format!("NVRTC cannot compile the renderer: {error}")))
}

/// NVRTC's output for the kernel, if NVRTC is installed. Needs no GPU.
#[cfg(test)]
pub(crate) fn translated(values: u32) -> Option<TractResult<String>> {
    // SAFETY: this only tries to load the library, which runs no code except its initialisation.
    let there = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    there.then(|| translate(values).map(|ptx| ptx.to_src()))
}

/// The bytes of pictures, for tests.
#[cfg(test)]
pub(crate) fn bytes(genomes: &[&StandardGenome], picture: PictureSpec, preprocess: &Preprocess) -> TractResult<Vec<u8>> {
    let mut drawing = Drawing::default();
    drawing.fill(genomes, picture, preprocess);
    let channels = genomes.first().map_or(1, |genome| genome.outputs());
    let side = usize::from(picture.side);
    let Some(view) = drawing.view else { return Ok(Vec::new()) };
    tract_cuda::with_cuda_stream(|stream| {
        let stream: &Arc<CudaStream> = stream;
        let kernel = compile(stream, drawing.programs.values())?;
        let there = DeviceTables::new(stream, &drawing.tables)?;
        let (code, starts) = (stream.clone_htod(&drawing.programs.words)?, stream.clone_htod(&drawing.programs.starts)?);
        let mut bytes = stream.alloc_zeros::<u8>(genomes.len() * side * side * channels)?;
        let null = 0_u64;
        let grid_dim = (u32::try_from(side * side)?.div_ceil(THREADS), u32::try_from(genomes.len())?, 1);
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&view).arg(&code).arg(&starts).arg(&mut bytes).arg(&null).arg(&there.crops).arg(&there.table).arg(&null);
        // SAFETY: as in `Painter::launch`; `bytes` has a byte for each channel of each pixel, and no tensor is written.
        unsafe { launch.launch(LaunchConfig { grid_dim, block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }) }?;
        Ok(stream.clone_dtoh(&bytes)?)
    })
}

/// The network's input after drawing, for tests.
#[cfg(test)]
pub(crate) fn numbers(genomes: &[&StandardGenome], picture: PictureSpec, preprocess: &Preprocess) -> TractResult<Vec<f32>> {
    let mut drawing = Drawing::default();
    drawing.fill(genomes, picture, preprocess);
    tract_cuda::with_cuda_stream(|_| Ok(()))?;
    let mut painter = Painter::new(&preprocess.shape(genomes.len() * preprocess.crops()));
    painter.draw(&drawing)?;
    Ok(painter.drawn()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}
