//! Which nodes of a planned graph run on the device, and which on the CPU.

use tract_onnx::prelude::*;

use crate::util::text::printable;

/// Where the nodes of a graph run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Nodes that run on the device, and their operators.
    pub(crate) device: Vec<String>,
    /// Nodes that run on the device, but with the general kernel, which is used where the fast one is not applicable.
    pub(crate) generic: Vec<String>,
    /// Nodes that run on the CPU, between transfers.
    pub(crate) cpu: Vec<String>,
    /// Transfers between the device and the CPU.
    pub(crate) transfers: usize,
}

impl Report {
    /// The report on a graph that a backend has translated.
    pub(crate) fn of(model: &TypedModel) -> Self {
        let mut report = Self::default();
        for node in model.nodes() {
            let operator = node.op.name();
            let line = format!("{operator} `{}`", printable(&node.name));
            let info = || node.op.info().unwrap_or_default();
            match operator.as_ref() {
                "Source" | "Const" => {}
                transfer if transfer.starts_with("DeviceSync") => report.transfers += 1,
                "CudaConv" if info().iter().any(|line| line.ends_with("Generic")) => report.generic.push(line),
                device if ["Gpu", "Cuda", "Metal"].iter().any(|name| device.starts_with(name)) => report.device.push(line),
                _ => report.cpu.push(line),
            }
        }
        report
    }

    /// The nodes that make the graph slow.
    pub(crate) fn slow(&self) -> Vec<String> {
        let generic = self.generic.iter().map(|line| format!("{line} (the general kernel)"));
        self.cpu.iter().cloned().chain(generic).collect()
    }
}
