//! Limits on what a network may ask for. Preparing a network allocates what its graph claims, so the claims are checked first.

/// The largest number of elements in a tensor, constant or computed, batch included (1 GiB of `f32`).
pub const MAX_ELEMENTS: usize = 1 << 28;
/// The largest number of multiplications for a picture (VGG-19 takes 2e10). On 32-bit targets it is 4e9, which is enough for ResNet-50.
pub const MAX_WORK: usize = power_of_two(40);
/// The largest number of operands of a layer over tensors.
pub(crate) const MAX_OPERANDS: usize = 8;
/// The largest number of pictures from which a layer selects channels.
pub(crate) const MAX_SELECTED: usize = 16;

/// 2^exponent, or `usize::MAX - 1` if that exceeds a `usize`: a sum that saturates is still above the limit.
pub(crate) const fn power_of_two(exponent: u32) -> usize {
    match 1_usize.checked_shl(exponent) {
        Some(power) => power,
        None => usize::MAX - 1,
    }
}
