//! NVIDIA's driver and its GPUs, asked through the driver's own library and without XLA.

use crate::error::Cause;
use crate::library::Library;
use serde::Serialize;
use std::ffi::{CStr, c_char, c_int};
use std::fmt;

/// NVIDIA's driver, and the GPUs that this process may use.
///
/// ```
/// use neural::runtime::Driver;
/// match Driver::load() {
///     Ok(driver) => println!("CUDA {}.{}, {} GPUs", driver.cuda.major, driver.cuda.minor, driver.gpus.len()),
///     Err(reason) => assert!(!reason.is_empty()),
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Driver {
    /// The release, such as `580.65.06`, if the system reports it.
    pub release: Option<String>,
    /// The newest CUDA that the driver runs.
    pub cuda: Version,
    /// In the order of `cuda:0`, `cuda:1`, …
    pub gpus: Vec<Gpu>,
}

/// A GPU.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Gpu {
    /// NVIDIA's name of it, such as `NVIDIA H200`.
    pub name: String,
    /// Bytes in all, used or not.
    pub memory: u64,
    /// NVIDIA's number for the generation, such as 9.0.
    pub compute_capability: Version,
}

/// A version of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Version {
    /// From CUDA's own form, 1000 major + 10 minor.
    pub(super) fn of_cuda(number: c_int) -> Self {
        let number = u32::try_from(number).unwrap_or(0);
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const SUCCESS: c_int = 0;
// Attributes of a device, by their numbers in cuda.h.
const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;

/// The functions of cuda.h that are used here.
struct Functions {
    init: unsafe extern "C" fn(flags: u32) -> c_int,
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    count: unsafe extern "C" fn(*mut c_int) -> c_int,
    device: unsafe extern "C" fn(*mut c_int, ordinal: c_int) -> c_int,
    name: unsafe extern "C" fn(*mut c_char, length: c_int, device: c_int) -> c_int,
    memory: unsafe extern "C" fn(*mut usize, device: c_int) -> c_int,
    attribute: unsafe extern "C" fn(*mut c_int, attribute: c_int, device: c_int) -> c_int,
    error_name: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
    error_text: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
}

impl Functions {
    fn of(library: Library) -> Option<Self> {
        // SAFETY: the types match the declarations in cuda.h.
        unsafe {
            Some(Self {
                init: library.function(c"cuInit")?,
                version: library.function(c"cuDriverGetVersion")?,
                count: library.function(c"cuDeviceGetCount")?,
                device: library.function(c"cuDeviceGet")?,
                name: library.function(c"cuDeviceGetName")?,
                memory: library.function(c"cuDeviceTotalMem_v2")?,
                attribute: library.function(c"cuDeviceGetAttribute")?,
                error_name: library.function(c"cuGetErrorName")?,
                error_text: library.function(c"cuGetErrorString")?,
            })
        }
    }

    /// `CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected`
    fn check(&self, code: c_int) -> Result<(), String> {
        if code == SUCCESS {
            return Ok(());
        }
        let text = |get: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int| {
            let mut text = std::ptr::null();
            // SAFETY: on success `text` points to a string of the library that is never freed.
            unsafe {
                (get(code, &raw mut text) == SUCCESS && !text.is_null())
                    .then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            }
        };
        Err(match (text(self.error_name), text(self.error_text)) {
            (Some(name), Some(text)) => format!("{name}: {text}"),
            _ => format!("CUDA error {code}"),
        })
    }

    fn gpu(&self, ordinal: c_int) -> Result<Gpu, String> {
        let (mut device, mut memory, mut name) = (0, 0, [0 as c_char; 256]);
        let attribute = |which, device| {
            let mut value = 0;
            // SAFETY: as below.
            self.check(unsafe { (self.attribute)(&raw mut value, which, device) })?;
            Ok::<_, String>(u32::try_from(value).unwrap_or(0))
        };
        // SAFETY: each function writes to its argument, and `name` has the given length.
        unsafe {
            self.check((self.device)(&raw mut device, ordinal))?;
            self.check((self.memory)(&raw mut memory, device))?;
            self.check((self.name)(name.as_mut_ptr(), name.len() as c_int - 1, device))?;
        }
        // SAFETY: the last byte of `name` is still zero.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let compute_capability = Version {
            major: attribute(COMPUTE_CAPABILITY_MAJOR, device)?,
            minor: attribute(COMPUTE_CAPABILITY_MINOR, device)?,
        };
        Ok(Gpu { name, memory: memory as u64, compute_capability })
    }
}

impl Driver {
    /// Starts the driver and lists its GPUs.
    ///
    /// # Errors
    /// The fault and its remedy in one sentence: no driver, no GPU, or a driver that does not start.
    pub fn load() -> Result<Self, String> {
        let sentence = |message: String| match Cause::of(&message) {
            Some(cause @ (Cause::NoDriver | Cause::NoGpu)) => cause.to_string(),
            Some(cause) => format!("{cause} ({message})"),
            None => format!("NVIDIA's driver does not start ({message})"),
        };
        let library = Library::open("libcuda.so.1").map_err(sentence)?;
        let functions = Functions::of(library).ok_or("libcuda.so.1 is not the library of NVIDIA's driver")?;
        let (mut version, mut count) = (0, 0);
        // SAFETY: cuInit may be called at any time and more than once; the others write to their arguments.
        unsafe {
            functions.check((functions.init)(0)).map_err(sentence)?;
            functions.check((functions.version)(&raw mut version)).map_err(sentence)?;
            functions.check((functions.count)(&raw mut count)).map_err(sentence)?;
        }
        let gpus = (0..count).map(|i| functions.gpu(i)).collect::<Result<Vec<_>, _>>().map_err(sentence)?;
        if gpus.is_empty() {
            return Err(Cause::NoGpu.to_string());
        }
        let release =
            std::fs::read_to_string("/proc/driver/nvidia/version").ok().and_then(|text| release(&text));
        Ok(Self { release, cuda: Version::of_cuda(version), gpus })
    }
}

/// The release in the first line of /proc/driver/nvidia/version.
fn release(text: &str) -> Option<String> {
    let is_release = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    text.lines().next()?.split_whitespace().find(is_release).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::{Version, release};

    #[test]
    fn the_release_is_found_in_both_forms_of_the_line() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  384.130  Wed Mar 21 03:37:26 PDT 2018\nGCC version:  gcc 5.4.0";
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@host)";
        assert_eq!(release(closed).as_deref(), Some("384.130"));
        assert_eq!(release(open).as_deref(), Some("580.65.06"));
        assert_eq!(release(""), None);
    }

    #[test]
    fn cuda_counts_in_thousands_and_tens() {
        assert_eq!(Version::of_cuda(12080), Version { major: 12, minor: 8 });
        assert_eq!(Version::of_cuda(13000).to_string(), "13.0");
    }
}
