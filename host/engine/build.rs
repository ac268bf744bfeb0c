//! Finds out whether the target has fused multiply-add for single precision. rustc does not show stable programs the features of
//! floating-point units of ARM and RISC-V, so the name of the target decides there.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(scalar_fma)");
    let target = env::var("TARGET").unwrap_or_default();
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let has = |feature: &str| features.split(',').any(|found| found == feature);
    let fma = match target.split('-').next().unwrap_or_default() {
        "aarch64" => has("neon"),
        // Cortex-M4F and M33F; the units of thumbv7em and thumbv8m always have VFMA.
        "thumbv7em" | "thumbv8m.main" => target.ends_with("eabihf"),
        arch if arch.starts_with("riscv") => {
            let extensions = arch.trim_start_matches("riscv32").trim_start_matches("riscv64");
            has("f") || extensions.contains(['f', 'g'])
        }
        "x86_64" => has("fma"),
        _ => false,
    };
    if fma {
        println!("cargo::rustc-cfg=scalar_fma");
    }
}
