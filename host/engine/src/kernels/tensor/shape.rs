//! Shapes of tensors.

/// The largest number of axes of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// The product of dimensions: the number of elements.
pub(super) fn product(dims: &[usize]) -> usize {
    dims.iter().fold(1, |all, &side| all.saturating_mul(side))
}
