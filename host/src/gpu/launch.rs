//! Launching the kernel.
