//! From a node's operator, attributes and operands to an [`Operation`]; one file for each family.

mod dense;
mod generate;
mod normalise;
mod pointwise;
mod reduce;
mod shape;
mod window;

use alloc::format;

use super::call::{Call, Problem};
use super::error::printable;
use super::operation::Operation;

/// What a node does.
pub(crate) fn resolve(call: &Call<'_>) -> Result<Operation, Problem> {
    let domain = call.node.domain.as_str();
    let operator = call.node.operator.as_str();
    if !domain.is_empty() {
        return Err(format!("the operator `{}` of the domain `{}` is not supported", printable(operator), printable(domain)));
    }
    for family in
        [shape::resolve, pointwise::resolve, reduce::resolve, window::resolve, dense::resolve, normalise::resolve, generate::resolve]
    {
        if let Some(operation) = family(operator, call)? {
            return Ok(operation);
        }
    }
    if matches!(operator, "Loop" | "Scan") {
        return Err(format!(
            "the operator `{operator}` is not supported; if it is a recurrent layer, export it unrolled (Keras: `unroll=True`)"
        ));
    }
    Err(format!("the operator `{}` is not supported", printable(operator)))
}
