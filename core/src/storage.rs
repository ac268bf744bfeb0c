//! Storage that the caller lends to core, because core has no allocator.

/// Storage lent or given to core: `&mut [T]`, `[T; N]`, `Vec<T>`.
pub trait Storage<T>: AsRef<[T]> + AsMut<[T]> {}
impl<T, S: AsRef<[T]> + AsMut<[T]>> Storage<T> for S {}
