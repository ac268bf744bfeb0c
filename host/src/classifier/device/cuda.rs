//! Finds out whether CUDA can be used here, and what is missing if not.

/// Starts tract-cuda once: it loads its libraries, opens the GPU, and compiles its kernels (cached on disk for the next time). The only way
/// to find out whether this works is to try. Missing files make it panic, so it runs in a thread of its own.
#[cfg(feature = "cuda")]
pub(super) fn check() -> Result<(), String> {
    use std::sync::OnceLock;
    static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
    let ask = || {
        tract_cuda::utils::ensure_cuda_runtime_dependencies("CUDA")?;
        tract_cuda::with_cuda_stream(|_| Ok(()))
    };
    let ask = || {
        std::panic::catch_unwind(ask)
            .map_or_else(|panic| Err(crate::util::panics::text(&*panic).to_owned()), |done| done.map_err(|error| format!("{error:#}")))
    };
    let quietly = || {
        let _silence = crate::util::panics::silence();
        ask().map_err(|problem| missing(&problem))
    };
    CHECKED.get_or_init(|| std::thread::scope(|scope| scope.spawn(quietly).join().unwrap_or_else(|_| Err(missing("no thread"))))).clone()
}

/// One line on what is missing, from the message of tract-cuda.
fn missing(problem: &str) -> String {
    let after = |words: &str| problem.split_once(words).map_or("", |(_, rest)| rest);
    let word = |words: &str| after(words).split(|c: char| !c.is_ascii_alphanumeric() && c != '.').find(|word| !word.is_empty());
    if problem.contains("driver library not found") {
        return "no NVIDIA driver is installed (libcuda.so.1); install it, or give the container access to its GPU".into();
    }
    if problem.contains("driver initialization failed") {
        let code = word("cuInit returned").unwrap_or("?");
        return format!(
            "the NVIDIA driver finds no GPU (cuInit returned {code}); check that there is a GPU and that /dev/nvidia0 is \
             visible"
        );
    }
    if problem.contains("driver too old") {
        let found = word("Found driver API").unwrap_or("?").trim_end_matches('.');
        return format!("the NVIDIA driver is too old: it supports CUDA {found}, but 13.0 is needed; update the driver");
    }
    if problem.contains("could not be dlopen'd") {
        let library = word("sub-library").unwrap_or("?");
        return format!(
            "the CUDA library {library} is missing; install the one of CUDA 13 ({}), or add its folder to LD_LIBRARY_PATH",
            match library {
                "cudnn" => "cuDNN 9",
                "cublas" => "cuBLAS",
                "nvrtc" => "NVRTC",
                _ => "the CUDA runtime",
            }
        );
    }
    let headers = ["CUDA toolkit root", "toolkit include dir", "CCCL", "Required header"];
    if headers.iter().any(|words| problem.contains(words)) {
        return "the CUDA header files are missing, which are needed to compile kernels; install those of CUDA 13 (cuda-cudart-dev and \
             cuda-cccl), or set CUDA_HOME to the folder that contains them"
            .into();
    }
    let line: String = problem.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    format!("CUDA does not work here: {line}")
}

#[cfg(test)]
mod tests {
    use super::missing;

    /// The messages of tract-cuda 0.23.9, from its sources.
    const SAID: [(&str, &str); 10] = [
        (
            "CUDA: CUDA driver validation failed: CUDA driver library not found. Tried: [\"libcuda.so.1\", \"libcuda.so\"]. Is an",
            "no NVIDIA driver",
        ),
        (
            "CUDA: CUDA driver validation failed: CUDA driver initialization failed (cuInit returned 100, via libcuda.so.1).",
            "cuInit returned 100",
        ),
        (
            "CUDA driver too old.\nDriver library: libcuda.so.1\nBuilt\nFound driver API 12.4.\nFix: upgrade",
            "it supports CUDA 12.4, but 13.0 is needed",
        ),
        ("CUDA: CUDA runtime sub-library \"cudart (runtime)\" could not be dlopen'd. cudarc", "library cudart is missing"),
        ("CUDA: CUDA runtime sub-library \"nvrtc\" could not be dlopen'd. cudarc searches", "library nvrtc is missing"),
        ("CUDA: CUDA runtime sub-library \"cublas\" could not be dlopen'd. cudarc searches", "library cublas is missing"),
        ("CUDA: CUDA runtime sub-library \"cudnn\" could not be dlopen'd. cudarc searches", "(cuDNN 9)"),
        ("Could not create CUDA context: No CUDA toolkit root found. Tract's NVRTC", "header files are missing"),
        ("Could not create CUDA context: CCCL/libcudacxx headers not found. Tract's", "header files are missing"),
        ("something\nnew", "CUDA does not work here: something new"),
    ];

    #[test]
    fn missing_parts_are_reported_in_one_line() {
        for (said, expected) in SAID {
            let line = missing(said);
            assert!(line.contains(expected) && !line.contains('\n'), "{said}: {line}");
        }
    }
}
