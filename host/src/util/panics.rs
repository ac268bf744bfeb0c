//! Panics that are turned into errors.

#[cfg(any(test, feature = "tract"))]
mod silence;
#[cfg(any(test, feature = "tract"))]
pub(crate) use silence::silence;

/// What a panic said.
pub(crate) fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
