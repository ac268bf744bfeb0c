//! Chooses the device that runs the network.
//!
//! Devices add in different orders, so the device affects the last bits of the scores. Therefore a GPU is used only if the user asks for
//! it, or for any that can be used (`auto`). The device is recorded with the run, and a run is only resumed on its own device.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Classifier, open_cpu};
use crate::model::{Model, ModelError};

/// A device that can run networks, as it is recorded with a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// An NVIDIA GPU, through CUDA.
    Cuda,
    /// An Apple GPU, through Metal.
    Metal,
}

/// The user's choice.
#[cfg(feature = "cli")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub(crate) enum DeviceChoice {
    /// The CPU
    #[default]
    Cpu,
    /// An NVIDIA GPU (needs a build with the feature `cuda`)
    Cuda,
    /// An Apple GPU (needs a build with the feature `metal`)
    Metal,
    /// A GPU if one can be used, else the CPU; prints the choice and the reason
    Auto,
}

/// Why a device cannot be used: one line that says what is missing and what to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device `{device}` cannot be used: {missing}")]
pub struct Unavailable {
    /// The device.
    pub device: Device,
    /// What is missing, and what to try.
    pub missing: String,
}

/// Why a model could not be opened on a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The network cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] Unavailable),
}

/// Prepares a model on a device, with the batch size that suits the device.
///
/// # Errors
///
/// [`OpenError`]: the device does not exist or is not part of this build, or the network does not fit it.
pub fn open(model: &Model, device: Device) -> Result<Box<dyn Classifier>, OpenError> {
    match device {
        Device::Cpu => Ok(open_cpu(model, None)?),
        #[cfg(any(feature = "cuda", feature = "metal"))]
        Device::Cuda | Device::Metal => Ok(Box::new(super::TractGpu::new(model, device, None)?)),
        #[cfg(not(any(feature = "cuda", feature = "metal")))]
        Device::Cuda | Device::Metal => Err(OpenError::Device(device.without_feature())),
    }
}

#[cfg(any(test, feature = "cuda"))]
mod cuda;

impl Device {
    /// Its name on the command line and in run.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }

    /// The device with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Cuda, Self::Metal].into_iter().find(|device| device.name() == name)
    }

    /// Whether this build can use the device on this machine.
    ///
    /// # Errors
    ///
    /// [`Unavailable`], which says what is missing.
    pub fn check(self) -> Result<(), Unavailable> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Cuda => cuda::check().map_err(|missing| Unavailable { device: self, missing }),
            #[cfg(all(feature = "metal", target_os = "macos"))]
            Self::Metal => Ok(()),
            #[cfg(all(feature = "metal", not(target_os = "macos")))]
            Self::Metal => Err(Unavailable { device: self, missing: "Metal exists on Macs only".into() }),
            #[allow(unreachable_patterns, reason = "which features a build has")]
            Self::Cuda | Self::Metal => Err(self.without_feature()),
        }
    }

    #[allow(dead_code, reason = "which features a build has")]
    fn without_feature(self) -> Unavailable {
        let missing = format!("this program was built without the feature `{self}`; build it with --features {self}");
        Unavailable { device: self, missing }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(feature = "cli")]
impl DeviceChoice {
    /// The chosen device and, for [`Auto`](Self::Auto), why those before it cannot be used.
    #[must_use]
    pub(crate) fn device(self) -> (Device, Vec<Unavailable>) {
        let mut passed_over = Vec::new();
        let gpus: &[Device] = match self {
            Self::Cpu => return (Device::Cpu, passed_over),
            Self::Cuda => return (Device::Cuda, passed_over),
            Self::Metal => return (Device::Metal, passed_over),
            Self::Auto => &[Device::Cuda, Device::Metal],
        };
        for &gpu in gpus {
            match gpu.check() {
                Ok(()) => return (gpu, passed_over),
                Err(why) => passed_over.push(why),
            }
        }
        (Device::Cpu, passed_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_round_trip() {
        for device in [Device::Cpu, Device::Cuda, Device::Metal] {
            assert_eq!(Device::from_name(device.name()), Some(device));
            assert_eq!(serde_json::to_string(&device).unwrap(), format!("\"{device}\""));
        }
        assert_eq!(Device::from_name("tpu"), None);
    }

    #[test]
    fn the_default_is_always_the_cpu() {
        assert_eq!(DeviceChoice::default().device(), (Device::Cpu, Vec::new()));
    }

    #[test]
    fn auto_chooses_a_usable_device_and_names_the_others() {
        let (device, passed_over) = DeviceChoice::Auto.device();
        assert_eq!(device.check(), Ok(()));
        assert!(passed_over.iter().all(|why| why.device.check() == Err(why.clone())));
        assert!(device != Device::Cpu || passed_over.len() == 2, "{passed_over:?}");
    }

    #[test]
    fn a_device_missing_from_the_build_is_refused_in_one_line() {
        let model = Model::builtin("lenet").unwrap();
        for device in [Device::Cuda, Device::Metal] {
            let Err(why) = device.check() else { continue };
            assert!(!why.missing.contains('\n') && why.to_string().starts_with(&format!("the device `{device}` ")), "{why}");
            assert_eq!(open(&model, device).unwrap_err().to_string(), why.to_string());
        }
        assert_eq!(open(&model, Device::Cpu).unwrap().device(), Device::Cpu);
    }
}
