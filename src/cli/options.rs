use crate::data::{self, Dataset};
use crate::error::Result;
use crate::runtime::{Device, DeviceSpec};
use std::path::PathBuf;

/// What every program that trains takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to compute: auto, cpu, cuda, cuda:N or plugin:NAME=PATH
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,

    /// The seed of the first weights and of everything else that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// The folder of the data: the four IDX files of MNIST, gzipped or not
    #[arg(long, default_value = "data/mnist", value_name = "DIR")]
    pub data: PathBuf,
}

impl Options {
    /// # Errors
    /// When there is no such device.
    pub fn open_device(&self) -> Result<Device> {
        Device::open(&self.device.parse::<DeviceSpec>()?)
    }

    /// # Errors
    /// When a file is missing or is not what it should be.
    pub fn mnist(&self) -> Result<Dataset> {
        data::mnist(&self.data)
    }
}
