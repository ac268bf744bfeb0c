//! The source of the CUDA kernel, compiled as C++ (`shim.h`, `shim.cpp`) and run on the CPU. Used by the tests of both crates.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The compiled kernel as a running process, which takes one launch after another.
pub(crate) struct Kernel {
    into: ChildStdin,
    out: ChildStdout,
    _child: Child,
}

/// The arguments of a launch; see the source of the kernel.
#[derive(Default)]
pub(crate) struct Launch {
    pub(crate) view: [i32; 8],
    pub(crate) words: Vec<u32>,
    pub(crate) starts: Vec<u32>,
    pub(crate) crops: Vec<i32>,
    pub(crate) table: Vec<f32>,
    pub(crate) mean: Vec<f32>,
}

impl Kernel {
    /// The compiled kernel of this process. The README requires a C compiler; without a C++ compiler, the tests of the kernel are skipped
    /// with a message.
    pub(crate) fn of_this_process() -> Option<&'static Mutex<Self>> {
        static KERNEL: OnceLock<Option<Mutex<Kernel>>> = OnceLock::new();
        KERNEL.get_or_init(|| Self::compile().map(Mutex::new)).as_ref()
    }

    fn compile() -> Option<Self> {
        let source = [include_str!("shim.h"), include_str!("cppn.cu"), include_str!("shim.cpp")].concat();
        let folder = std::env::temp_dir().join(format!("fooling-kernel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (text, program) = (folder.join("kernel.cpp"), folder.join("kernel"));
        std::fs::write(&text, source).unwrap();
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let options = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-DVALUES=1024", "-o"];
        let compiled = Command::new(&compiler).args(options).args([&program, &text]).output();
        let kernel = match compiled {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                Some(Self { into: child.stdin.take().unwrap(), out: child.stdout.take().unwrap(), _child: child })
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "{}: {error}, and CI must not skip the kernel", compiler.display());
                eprintln!("SKIPPED: the kernel on the CPU: {}: {error}", compiler.display());
                None
            }
        };
        std::fs::remove_dir_all(&folder).unwrap();
        kernel
    }

    /// Launches the kernel; returns this many bytes of pictures, and the bits of this many numbers of the network's input.
    pub(crate) fn launch(kernel: &Mutex<Self>, launch: &Launch, bytes: usize, numbers: usize) -> (Vec<u8>, Vec<u32>) {
        let ints = |numbers: &[i32]| numbers.iter().map(|number| number.cast_unsigned()).collect::<Vec<_>>();
        let floats = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        let sizes = vec![u32::try_from(bytes).unwrap(), u32::try_from(numbers).unwrap()];
        let mut request = ints(&launch.view);
        let lists = [launch.words.clone(), launch.starts.clone(), ints(&launch.crops), floats(&launch.table), floats(&launch.mean), sizes];
        for list in lists {
            request.push(u32::try_from(list.len()).unwrap());
            request.extend(list);
        }
        let request: Vec<u8> = request.into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut kernel = kernel.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.into.write_all(&request).unwrap();
        let (mut picture, mut tensor) = (vec![0; bytes], vec![0; numbers * 4]);
        kernel.out.read_exact(&mut picture).unwrap();
        kernel.out.read_exact(&mut tensor).unwrap();
        (picture, tensor.as_chunks().0.iter().map(|&number| u32::from_ne_bytes(number)).collect())
    }
}
