//! Several processes, on one machine or many, whose devices share each batch: XLA's CPU clients with MPI between them, or its
//! clients for GPUs, which NCCL connects once they have found each other through a store that MPI carries.
//!
//! MPI and the glue (`scripts/xla/mpi.cc`) are a separate library, which `scripts/setup --mpi` builds. It is loaded
//! only here.

use super::cache_folder;
use super::device::Device;
use super::glue::OPEN_WITH;
use super::spec::{Choice, DeviceOptions, DeviceSpec};
use super::written::owner;
use crate::error::{Error, Result};
use crate::library::Library;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::atomic::AtomicPtr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, ptr};
use xla::{HloModuleProto, PjRtClient, PjRtDevice, PjRtLoadedExecutable, XlaComputation};

/// The glue's message about a call: null, or the reason why it failed, until the thread's next call.
type Said = *const c_char;

/// The functions of the glue.
struct Glue {
    client: unsafe extern "C" fn(*mut *mut c_void) -> Said,
    store: unsafe extern "C" fn() -> *const c_void,
    compile: unsafe extern "C" fn(*const u8, usize, c_int, *mut *mut c_void) -> Said,
    broadcast: unsafe extern "C" fn(*mut u8, usize),
    send: unsafe extern "C" fn(*mut u8, usize, c_int),
    receive: unsafe extern "C" fn(*mut u8, usize, c_int),
    barrier: unsafe extern "C" fn(),
    traffic: unsafe extern "C" fn(*mut u64, *mut u64, *mut u64),
    end: unsafe extern "C" fn(),
    abort: unsafe extern "C" fn(c_int),
}

/// The processes that MPI's launcher (`mpiexec`, `srun`) has started together, and which of them this one is.
///
/// All run the same programs at the same time, each with its part of every batch. The first one, of rank 0, decides:
/// its [`Run`](crate::train::Run) has the others do the same, in [`Trainer::follow`](crate::train::Trainer::follow).
/// MPI ends all processes when one of them is lost.
///
/// ```no_run
/// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, train::Trainer};
/// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
/// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
/// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
/// use neural::runtime::{DeviceOptions, DeviceSpec, Processes};
/// let processes = Processes::join()?;
/// let device = processes.open(&DeviceSpec::Cpu, &DeviceOptions::default())?;
/// let trainer = Trainer::new(nn::sequential([nn::dense(2)])).batch_size(4).devices(processes.count());
/// if processes.is_first() {
///     trainer.start(&device, &data)?.fit(|_| std::ops::ControlFlow::Continue(()))?;
/// } else {
///     trainer.follow(&device, &data)?;
/// }
/// processes.leave();
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Processes {
    glue: &'static Glue,
    rank: usize,
    place: usize,
    count: usize,
}

impl Processes {
    /// Joins the processes that were started together.
    ///
    /// # Errors
    /// When `scripts/setup --mpi` has not been run, MPI does not start, or there is only one process, which means that
    /// the launcher belongs to another MPI.
    pub fn join() -> Result<Self> {
        static JOINED: OnceLock<Result<Processes, String>> = OnceLock::new();
        JOINED.get_or_init(start).clone().map_err(|reason| Error::device("processes", reason))
    }

    /// Which process this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Which of the processes on its machine this is, from 0.
    pub fn place(&self) -> usize {
        self.place
    }

    /// The number of processes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether this is the process that decides, prints and writes.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Opens the device of this process. Programs compiled for several devices run on the devices of all processes. All
    /// processes must call it.
    ///
    /// Each process takes as many GPUs of its machine as `options` ask for: from the chosen one on, the first belong to
    /// the first process there, the next ones to the second. Where there are too few, the launcher is assumed to show
    /// each process only its own.
    ///
    /// # Errors
    /// When `spec` is neither a CPU nor CUDA, the device does not open, or other processes have another kind of device or
    /// another number of them.
    pub fn open(&self, spec: &DeviceSpec, options: &DeviceOptions) -> Result<Device> {
        let choice = Choice::of(spec)?;
        // Before any process waits for others with another kind of device.
        agree("device", self.share(&choice.kind().to_string())?.iter())?;
        let device = Device::spanning(*self, choice, options)?;
        let own: Vec<usize> = device.client().addressable_devices().iter().map(PjRtDevice::id).collect();
        let numbers = self.share(&own)?;
        agree("number of devices", numbers.iter().map(Vec::len))?;
        Ok(device.numbered(numbers))
    }

    /// Exchanges a value of each process; returns them by rank. All must call it.
    fn share<T: Serialize + DeserializeOwned>(&self, own: &T) -> Result<Vec<T>> {
        let refused =
            |error: serde_json::Error| Error::device(format!("process {}", self.rank), error.to_string());
        let texts = self.gather(serde_json::to_vec(own).map_err(refused)?);
        let all: Vec<T> = texts
            .iter()
            .map(|text| serde_json::from_slice(text))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let all = self.broadcast(serde_json::to_vec(&all).map_err(refused)?);
        serde_json::from_slice(&all).map_err(refused)
    }

    /// XLA's client for this process's CPU.
    pub(super) fn open_cpu(&self) -> Result<PjRtClient> {
        let mut client = ptr::null_mut();
        // SAFETY: the glue writes a client there where it reports no error.
        self.check("open the CPU", unsafe { (self.glue.client)(&raw mut client) })?;
        Ok(own(client))
    }

    /// Returns the result of `open`, whose plugin client finds the clients of the other processes.
    pub(super) fn connected<T>(&self, open: impl FnOnce() -> T) -> Result<T> {
        let Some(open_with) = OPEN_WITH else {
            return Err(Error::device("cuda", "several processes need the XLA of scripts/setup"));
        };
        // SAFETY: the store is the shared pointer that is expected, and outlives the process's threads.
        unsafe { open_with((self.glue.store)()) };
        let opened = open();
        // SAFETY: null is expected too.
        unsafe { open_with(ptr::null()) };
        Ok(opened)
    }

    /// Compiles for the first `devices` devices of every process.
    pub(super) fn compile(
        &self,
        client: &PjRtClient,
        computation: &XlaComputation,
        devices: usize,
    ) -> Result<PjRtLoadedExecutable> {
        let refused = |error| Error::xla("compile the program", &error);
        let program = HloModuleProto::to_bytes(&computation.proto()).map_err(refused)?;
        let mut compiled = ptr::null_mut();
        let devices = c_int::try_from(devices).unwrap_or(c_int::MAX);
        // SAFETY: the length is the program's; the glue writes an executable there where it reports no error.
        let said =
            unsafe { (self.glue.compile)(program.as_ptr(), program.len(), devices, &raw mut compiled) };
        self.check("compile the program", said)?;
        Ok(owner(client, compiled))
    }

    /// Sends the bytes of the first process to all others. All must call it, and only the first one's bytes count.
    pub fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        with_size(bytes, |bytes| {
            // SAFETY: the length is the buffer's.
            unsafe { (self.glue.broadcast)(bytes.as_mut_ptr(), bytes.len()) }
        })
    }

    /// Sends the bytes of all processes to the first, which gets them by rank. All must call it; the others get
    /// nothing.
    pub fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        if !self.is_first() {
            with_size(bytes, |bytes| {
                // SAFETY: the length is that buffer's, which is only read.
                unsafe { (self.glue.send)(bytes.as_mut_ptr(), bytes.len(), 0) }
            });
            return Vec::new();
        }
        let from = |rank: usize| {
            with_size(Vec::new(), |bytes| {
                // SAFETY: the length is the buffer's.
                unsafe { (self.glue.receive)(bytes.as_mut_ptr(), bytes.len(), rank as c_int) }
            })
        };
        std::iter::once(bytes).chain((1..self.count).map(from)).collect()
    }

    /// Waits until all processes have called it.
    pub fn wait(&self) {
        // SAFETY: it takes nothing.
        unsafe { (self.glue.barrier)() }
    }

    /// Totals of the sums over all processes so far.
    pub fn traffic(&self) -> Traffic {
        let (mut sums, mut bytes, mut nanoseconds) = (0, 0, 0);
        // SAFETY: all are written.
        unsafe { (self.glue.traffic)(&raw mut sums, &raw mut bytes, &raw mut nanoseconds) };
        Traffic { sums, bytes, time: Duration::from_nanos(nanoseconds) }
    }

    /// Leaves, once all processes do. No program of theirs may run any more.
    pub fn leave(self) {
        // SAFETY: it takes nothing.
        unsafe { (self.glue.end)() };
    }

    /// Ends all processes at once, this one too.
    pub fn abort(self, code: u8) -> ! {
        // SAFETY: it takes a number.
        unsafe { (self.glue.abort)(c_int::from(code)) };
        std::process::exit(i32::from(code))
    }

    fn check(&self, action: &'static str, said: Said) -> Result<()> {
        match message(said) {
            None => Ok(()),
            Some(message) => Err(Error::xla_message(action, &format!("process {}: {message}", self.rank))),
        }
    }
}

/// Checks that all processes have the same value of a setting; `all` is in the order of ranks.
fn agree<T: PartialEq + fmt::Display>(setting: &str, all: impl Iterator<Item = T>) -> Result<()> {
    let mut others = all.enumerate();
    let Some((_, first)) = others.next() else { return Ok(()) };
    match others.find(|(_, other)| *other != first) {
        None => Ok(()),
        Some((rank, other)) => Err(Error::value(
            setting,
            format!("{first} in all processes, as in the first"),
            format!("{other} in process {rank}"),
        )),
    }
}

/// The traffic of a process's devices for sums over all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// How many sums they took part in.
    pub sums: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// The time from the beginning of each sum to its end; other work may overlap it.
    pub time: Duration,
}

/// Moves the number of the bytes, and then the bytes, by `transfer`, which may replace them; returns them.
fn with_size(mut bytes: Vec<u8>, transfer: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut size = (bytes.len() as u64).to_le_bytes();
    transfer(&mut size);
    bytes.resize(u64::from_le_bytes(size) as usize, 0);
    transfer(&mut bytes);
    bytes
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Processes({} of {})", self.rank, self.count)
    }
}

fn message(said: Said) -> Option<String> {
    // SAFETY: a text that is not null is valid until the thread's next call.
    (!said.is_null()).then(|| unsafe { CStr::from_ptr(said) }.to_string_lossy().into_owned())
}

fn start() -> Result<Processes, String> {
    let folder = cache_folder().unwrap_or_default().join("mpi");
    let path: PathBuf = folder.join("lib/libneural_mpi.so");
    if !path.is_file() {
        return Err(format!(
            "several processes need MPI, and {} is not there: run scripts/setup --mpi, or scripts/setup --mpi-from the MPI of your cluster",
            path.display()
        ));
    }
    let library = Library::open(&path)?;
    let lacks =
        || format!("{} is not the library of this version: run scripts/setup --mpi again", path.display());
    type Start = unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int) -> Said;
    // SAFETY: these are the types of the glue's functions.
    let (begin, glue) = unsafe {
        let begin: Start = library.function(c"neural_mpi_start").ok_or_else(lacks)?;
        let glue = Glue {
            client: library.function(c"neural_mpi_client").ok_or_else(lacks)?,
            store: library.function(c"neural_mpi_store").ok_or_else(lacks)?,
            compile: library.function(c"neural_mpi_compile").ok_or_else(lacks)?,
            broadcast: library.function(c"neural_mpi_broadcast").ok_or_else(lacks)?,
            send: library.function(c"neural_mpi_send").ok_or_else(lacks)?,
            receive: library.function(c"neural_mpi_receive").ok_or_else(lacks)?,
            barrier: library.function(c"neural_mpi_barrier").ok_or_else(lacks)?,
            traffic: library.function(c"neural_mpi_traffic").ok_or_else(lacks)?,
            end: library.function(c"neural_mpi_end").ok_or_else(lacks)?,
            abort: library.function(c"neural_mpi_abort").ok_or_else(lacks)?,
        };
        (begin, glue)
    };
    let (mut rank, mut place, mut count) = (0, 0, 0);
    // SAFETY: all are written.
    if let Some(message) = message(unsafe { begin(&raw mut rank, &raw mut place, &raw mut count) }) {
        return Err(format!("MPI does not start: {message}"));
    }
    if count < 2 {
        return Err(format!(
            "expected several processes, got one: start them by {}/bin/mpiexec -n N neural train …, or by the launcher of the MPI that scripts/setup --mpi-from was given",
            folder.display()
        ));
    }
    let (rank, place, count) = (rank as usize, place as usize, count as usize);
    Ok(Processes { glue: Box::leak(Box::new(glue)), rank, place, count })
}

const _: () = assert!(size_of::<PjRtClient>() == size_of::<Arc<AtomicPtr<c_void>>>());

/// The crate's client, which deletes XLA's in the end. It is a counted pointer to a struct whose only field is XLA's.
fn own(client: *mut c_void) -> PjRtClient {
    // SAFETY: both count a pointer, and the glue has given this one away.
    unsafe { std::mem::transmute::<Arc<AtomicPtr<c_void>>, PjRtClient>(Arc::new(AtomicPtr::new(client))) }
}
