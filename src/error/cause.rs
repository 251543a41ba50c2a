//! The causes behind XLA's messages.

use std::fmt;

/// Why XLA, a plugin or NVIDIA's driver refused, if its message tells it. It displays as the cause and the remedy.
///
/// ```
/// use neural::error::Cause;
/// let cause = Cause::of("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4770354232 bytes.");
/// assert_eq!(cause, Some(Cause::OutOfMemory { bytes: Some(4_770_354_232) }));
/// assert_eq!(Cause::of("INVALID_ARGUMENT: something else"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The device has no room for `bytes` more.
    OutOfMemory {
        /// The size of the allocation that failed, if the message tells it.
        bytes: Option<u64>,
    },
    /// There is a driver, but no GPU that this process may use.
    NoGpu,
    /// NVIDIA's driver is not installed, or not visible in this container.
    NoDriver,
    /// The driver is older than the CUDA of the plugin.
    DriverTooOld,
    /// The driver's kernel module and its library are of different releases.
    DriverMismatch,
    /// The driver is installed, but has not started.
    DriverNotReady,
    /// A required shared library is missing.
    MissingLibrary {
        /// The file name, such as `libcudnn.so.9`.
        name: String,
    },
    /// cuDNN is older than the one that the plugin was compiled with.
    CudnnTooOld {
        /// Its version.
        found: String,
        /// The version that the plugin was compiled with.
        needed: String,
    },
    /// cuDNN did not start; an earlier line of the log says why.
    CudnnFailed,
    /// CUDA's assembler or its library of device functions is missing.
    NoPtxas,
    /// The plugin holds no code for this generation of GPUs.
    GpuNotSupported,
    /// The plugin has another version of PJRT than this XLA.
    PluginVersion,
    /// The library exists, but is no PJRT plugin.
    NotAPlugin,
}

impl Cause {
    /// The cause that a message of XLA, of the loader or of the driver names, if it is a known one.
    ///
    /// ```
    /// use neural::error::Cause;
    /// let cause = Cause::of("libcuda.so.1: cannot open shared object file");
    /// assert_eq!(cause, Some(Cause::NoDriver));
    /// ```
    pub fn of(message: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let lower = message.to_lowercase();
        // A cuDNN that cannot start for lack of memory reports both, and memory is the cause.
        if lower.contains("out of memory")
            || lower.contains("resource exhausted")
            || has(&["RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY", "Failed to allocate request for"])
        {
            return Some(Self::OutOfMemory { bytes: bytes(message) });
        }
        if let Some(name) = missing_library(message) {
            return Some(match name.starts_with("libcuda.so") {
                true => Self::NoDriver,
                false => Self::MissingLibrary { name },
            });
        }
        if has(&["Loaded runtime CuDNN library"]) {
            let after = |mark: &str| {
                let text = message.split_once(mark)?.1.trim_start();
                let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
                Some(text[..end].trim_end_matches('.').to_string())
            };
            if let (Some(found), Some(needed)) = (after("CuDNN library:"), after("compiled with:")) {
                return Some(Self::CudnnTooOld { found, needed });
            }
        }
        let known: [(&[&str], Self); 9] = [
            (&["PJRT API version", "The plugin is likely built with"], Self::PluginVersion),
            (&["is not a PJRT plugin", "undefined symbol: GetPjrtApi"], Self::NotAPlugin),
            (
                &[
                    "driver version is insufficient",
                    "cudaErrorInsufficientDriver",
                    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
                    "unsupported toolchain",
                    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
                    "forward compatibility was attempted",
                    "ossibly insufficient driver version",
                ],
                Self::DriverTooOld,
            ),
            (&["CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "does not match DSO version"], Self::DriverMismatch),
            (
                &["CUDA_ERROR_SYSTEM_NOT_READY", "CUDA_ERROR_UNKNOWN", "CUDA_ERROR_NOT_INITIALIZED"],
                Self::DriverNotReady,
            ),
            (
                &[
                    "no kernel image is available",
                    "CUDA_ERROR_NO_BINARY_FOR_GPU",
                    "not built with support for the GPU",
                ],
                Self::GpuNotSupported,
            ),
            (&["ptxas", "libdevice"], Self::NoPtxas),
            (
                &["DNN library initialization failed", "CUDNN_STATUS_NOT_INITIALIZED", "dnn != nullptr"],
                Self::CudnnFailed,
            ),
            (
                &[
                    "No visible GPU devices",
                    "CUDA_ERROR_NO_DEVICE",
                    "no CUDA-capable device",
                    "CUDA_ERROR_INVALID_DEVICE",
                    "no supported devices found for platform CUDA",
                ],
                Self::NoGpu,
            ),
        ];
        known.into_iter().find(|(words, _)| has(words)).map(|(_, cause)| cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { bytes } => {
                f.write_str("the device's memory is full")?;
                if let Some(bytes) = bytes {
                    write!(f, ", {:.1} MB more were asked for", *bytes as f64 / 1e6)?;
                }
                f.write_str("; try a smaller batch_size, or free the memory that other programs hold")
            }
            Self::NoGpu => f.write_str(
                "the driver shows no GPU; look at nvidia-smi and at CUDA_VISIBLE_DEVICES, and in a container grant it the GPUs",
            ),
            Self::NoDriver => f.write_str(
                "NVIDIA's driver is not there (libcuda.so.1); install it, or start the container with its GPUs (--gpus all)",
            ),
            Self::DriverTooOld => f.write_str(
                "NVIDIA's driver is older than the plugin's CUDA; install a newer driver, or a plugin for an older CUDA",
            ),
            Self::DriverMismatch => f.write_str(
                "the driver's kernel module and its library are of different releases; restart the machine",
            ),
            Self::DriverNotReady => f.write_str(
                "NVIDIA's driver has not come up; look at nvidia-smi, and on machines with NVSwitch at nvidia-fabricmanager",
            ),
            Self::MissingLibrary { name } => write!(
                f,
                "the library {name} is missing; scripts/setup --cuda fetches NVIDIA's libraries, and `neural devices` says which are found"
            ),
            Self::CudnnTooOld { found, needed } => write!(
                f,
                "cuDNN {found} was found, and the plugin needs {needed} or a later one of the same major version; scripts/setup --cuda fetches it"
            ),
            Self::CudnnFailed => f.write_str(
                "cuDNN did not start; set RUST_LOG=info to see why, often memory that other programs hold or a cuDNN that is too old",
            ),
            Self::NoPtxas => f.write_str(
                "CUDA's ptxas or libdevice was not found; name CUDA's folder in XLA_FLAGS=--xla_gpu_cuda_data_dir=DIR, or run scripts/setup --cuda",
            ),
            Self::GpuNotSupported => f.write_str(
                "the plugin has no code for this GPU; take a plugin that is older or newer, as the GPU is",
            ),
            Self::PluginVersion => f.write_str(
                "the plugin speaks another version of PJRT than this XLA; take the plugin that scripts/setup --cuda fetches",
            ),
            Self::NotAPlugin => f.write_str("that library is no PJRT plugin; check its path"),
        }
    }
}

/// The number of bytes that a failed allocation requested: `… allocate 123 bytes`, `… 1.00MiB (123B) …`.
fn bytes(message: &str) -> Option<u64> {
    let after = |mark: &str| {
        let (_, text) = message.split_once(mark)?;
        text.split_once(" bytes")?.0.parse().ok()
    };
    after("allocate ").or_else(|| after("allocating ")).or_else(|| {
        let (_, text) = message.split_once("Failed to allocate request for ")?;
        let (_, text) = text.split_once('(')?;
        text.split_once("B)")?.0.parse().ok()
    })
}

/// The name of the library that the loader did not find.
fn missing_library(message: &str) -> Option<String> {
    let end = message.find(": cannot open shared object file")?;
    let start = message[..end].rfind(|c: char| c.is_whitespace() || "'\";".contains(c)).map_or(0, |i| i + 1);
    Some(message[start..end].to_string())
}

#[cfg(test)]
mod tests {
    use super::Cause;

    /// Messages as users met them, with the fault on their machines.
    #[test]
    fn messages_of_the_field_are_understood() {
        let library = |name: &str| Cause::MissingLibrary { name: name.into() };
        let memory = |bytes| Cause::OutOfMemory { bytes: Some(bytes) };
        let cudnn =
            |found: &str, needed: &str| Cause::CudnnTooOld { found: found.into(), needed: needed.into() };
        let cases = [
            (
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4770354232 bytes.\nBufferAssignment OOM Debugging.",
                memory(4_770_354_232),
            ),
            (
                "RESOURCE_EXHAUSTED: Failed to allocate request for 176.00MiB (184549376B) on device ordinal 0",
                memory(184_549_376),
            ),
            (
                "Resource exhausted: Out of memory while trying to allocate 5520758552 bytes.",
                memory(5_520_758_552),
            ),
            (
                "Allocator (GPU_0_bfc) ran out of memory trying to allocate 3.37GiB with freed_by_count=0.",
                Cause::OutOfMemory { bytes: None },
            ),
            ("FAILED_PRECONDITION: No visible GPU devices.", Cause::NoGpu),
            (
                "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
                Cause::NoGpu,
            ),
            ("libcuda.so.1: cannot open shared object file: No such file or directory", Cause::NoDriver),
            (
                "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
                Cause::DriverTooOld,
            ),
            (
                "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
                Cause::DriverTooOld,
            ),
            (
                "failed call to cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was attempted on non supported HW",
                Cause::DriverTooOld,
            ),
            (
                "failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination",
                Cause::DriverMismatch,
            ),
            (
                "kernel version 440.36.0 does not match DSO version 440.33.1 -- cannot find working devices in this configuration",
                Cause::DriverMismatch,
            ),
            (
                "Failed call to cuInit: CUDA_ERROR_SYSTEM_NOT_READY: system not yet initialized",
                Cause::DriverNotReady,
            ),
            ("Failed call to cuInit: CUDA_ERROR_UNKNOWN: unknown error", Cause::DriverNotReady),
            (
                "Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory; LD_LIBRARY_PATH: /opt/cudnn/lib64",
                library("libcudnn.so.8"),
            ),
            (
                "ImportError: libcusolver.so.9.0: cannot open shared object file: No such file or directory",
                library("libcusolver.so.9.0"),
            ),
            (
                "Loaded runtime CuDNN library: 9.10.1 but source was compiled with: 9.13.1.  CuDNN library needs to have matching major version and equal or higher minor version.",
                cudnn("9.10.1", "9.13.1"),
            ),
            (
                "FAILED_PRECONDITION: DNN library initialization failed. Look at the errors above for more details.",
                Cause::CudnnFailed,
            ),
            ("Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED", Cause::CudnnFailed),
            (
                "NOT_FOUND: Couldn't find a suitable version of ptxas. The following locations were considered: ./cuda_sdk_lib/bin/ptxas",
                Cause::NoPtxas,
            ),
            ("Unknown: no kernel image is available for execution on the device", Cause::GpuNotSupported),
            (
                "INVALID_ARGUMENT: Mismatched PJRT plugin PJRT API version (0.54) and framework PJRT API version 0.51).",
                Cause::PluginVersion,
            ),
            (
                "Unexpected PJRT_Plugin_Attributes_Args size: expected 32, got 24. The plugin is likely built with a later version than the framework. This plugin is built with PJRT API version 0.75",
                Cause::PluginVersion,
            ),
        ];
        for (message, cause) in cases {
            assert_eq!(Cause::of(message), Some(cause), "{message}");
        }
    }

    #[test]
    fn other_messages_are_left_alone() {
        for message in [
            "INVALID_ARGUMENT: Cannot infer shape for dot operation",
            "INTERNAL: Failed to execute XLA Runtime executable",
            "",
        ] {
            assert_eq!(Cause::of(message), None, "{message}");
        }
    }
}
