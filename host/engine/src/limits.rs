//! Limits on what a network may ask for. Preparing a network allocates what its graph claims, so the claims are checked first.

/// Most numbers in any tensor, constant or computed, batch included (1 GiB of f32).
pub const MAX_ELEMENTS: usize = 1 << 28;
/// Most multiplications and additions for a picture; VGG-19 takes 2e10.
pub const MAX_WORK: usize = 1 << 40;
