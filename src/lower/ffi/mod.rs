//! Calls of the kernels of [`neural_kernels`] from XLA's programs, through XLA's typed FFI: each call has its sizes as an
//! attribute, its arrays as buffers that know their shapes, and the threads on which XLA runs the program.

mod c_api;
mod shared;

use crate::library::linked;
use bytemuck::AnyBitPattern;
use c_api::{Api, Buffer, Buffers, CallFrame, Error, ErrorCreate, Handler, size};
use neural_kernels::{Address, Kernel, Pieces, Update, take_rows};
use shared::XlaThreads;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CString, c_int};
use std::num::Wrapping;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The name of the attribute that holds the sizes.
const SIZES: &str = "sizes";

/// The attributes of a call, as a program has them: a dictionary in MLIR's syntax.
pub(super) fn attributes(sizes: &[i64]) -> String {
    let sizes: Vec<_> = sizes.iter().map(i64::to_string).collect();
    format!("{{{SIZES} = array<i64: {}>}}", sizes.join(", "))
}

/// XLA's side of the interface; `None` where this XLA has none that is known here.
fn api() -> Option<&'static Api> {
    static API: OnceLock<Option<&Api>> = OnceLock::new();
    *API.get_or_init(|| {
        // SAFETY: `xla::ffi::GetXlaFfiApi` of `xla/ffi/ffi_api.h` takes nothing and returns a table that is never freed, of
        // which the first word is its size.
        unsafe {
            let get = linked::<unsafe extern "C" fn() -> *const Api>(c"_ZN3xla3ffi12GetXlaFfiApiEv")?;
            let api = get();
            if api.is_null() || ptr::read(api.cast::<usize>()) < size_of::<Api>() {
                return None;
            }
            Some(&*api).filter(|api| api.version.major == c_api::MAJOR)
        }
    })
}

/// The element types of the kernels' arrays, by their numbers in `XLA_FFI_DataType`.
pub(super) trait Element: AnyBitPattern {
    const DTYPE: c_int;
}

impl Element for u8 {
    const DTYPE: c_int = 6;
}

impl Element for i32 {
    const DTYPE: c_int = 4;
}

impl Element for Wrapping<i32> {
    const DTYPE: c_int = 4;
}

impl Element for u32 {
    const DTYPE: c_int = 8;
}

impl Element for u64 {
    const DTYPE: c_int = 9;
}

impl Element for f32 {
    const DTYPE: c_int = 11;
}

impl Element for f64 {
    const DTYPE: c_int = 12;
}

/// Has XLA call `handler` where a program calls `name` on the CPU. Returns whether XLA accepts it.
pub(super) fn register(name: &str, handler: Handler) -> bool {
    let Some(api) = api() else { return false };
    let span = |text: &str| c_api::ByteSpan { ptr: text.as_ptr().cast(), len: text.len() };
    let mut arguments = c_api::HandlerRegister {
        struct_size: size!(c_api::HandlerRegister, traits: u32),
        extension_start: ptr::null_mut(),
        name: span(name),
        platform: span("Host"),
        bundle: c_api::HandlerBundle {
            instantiate: None,
            prepare: None,
            initialize: None,
            execute: Some(handler),
        },
        traits: 0,
    };
    // SAFETY: the arguments are whole, and XLA copies all that it keeps of them.
    api.succeeds(unsafe { (api.handler_register)(&raw mut arguments) })
}

impl Api {
    /// Whether one of XLA's functions returned no error.
    fn succeeds(&self, error: *mut Error) -> bool {
        if !error.is_null() {
            let extension_start = ptr::null_mut();
            let struct_size = size_of::<c_api::ErrorDestroy>();
            let mut arguments = c_api::ErrorDestroy { struct_size, extension_start, error };
            // SAFETY: an error that one of XLA's functions returned is the caller's to free.
            unsafe { (self.error_destroy)(&raw mut arguments) };
        }
        error.is_null()
    }

    /// An error, which XLA owns once it is returned.
    fn error(&self, message: &str) -> *mut Error {
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        let mut arguments = ErrorCreate {
            struct_size: size!(ErrorCreate, code: c_int),
            extension_start: ptr::null_mut(),
            message: message.as_ptr(),
            code: c_api::INTERNAL,
        };
        // SAFETY: the arguments are whole, and XLA copies the message.
        unsafe { (self.error_create)(&raw mut arguments) }
    }
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a kernel panicked")
}

/// The handler of a kernel: computes the result before it returns.
///
/// # Safety
/// XLA calls it by the rules of `c_api.h`.
pub(super) unsafe extern "C" fn handle<const N: usize, K>(frame: *mut CallFrame) -> *mut Error
where
    K: Kernel<N, Operand: Element, Result: Element>,
{
    // SAFETY: the caller's.
    unsafe {
        answer(frame, |call| {
            let threads = call.threads();
            let (sizes, operands, result) = (call.sizes()?, call.operands()?, call.result()?);
            threads.keep_awake();
            K::run(&sizes, operands, result, &threads).map_err(|misfit| misfit.to_string())
        })
    }
}

/// The handler of a kernel in pieces: returns once every piece has begun; the thread that ends the last one completes
/// XLA's future.
///
/// # Safety
/// As [`handle`].
pub(super) unsafe extern "C" fn handle_pieces<const N: usize, K>(frame: *mut CallFrame) -> *mut Error
where
    K: Pieces<N, Operand: Element, Result: Element>,
    K::Sizes: Send + Sync,
{
    // SAFETY: the caller's. XLA keeps operands and the result alive until the future is completed.
    unsafe {
        answer(frame, |call| {
            let threads = call.threads();
            let (sizes, operands, result) = (call.sizes()?, call.operands()?, call.result()?);
            K::check(&sizes, &operands, result).map_err(|misfit| misfit.to_string())?;
            if K::at_once(&sizes) {
                K::compute(&sizes, operands, result, &threads);
                return Ok(());
            }
            let pieces = K::pieces(&sizes);
            let result = Address::of(result);
            let work = move |i| K::piece(&sizes, operands, result.get(), i);
            if pieces < 2 {
                threads.keep_awake();
                (0..pieces).for_each(work);
            } else if let Some(future) = threads.share_later(pieces, Box::new(work)) {
                (*call.frame).future = future;
            } else {
                return Err("XLA has no future for a call that goes on".into());
            }
            Ok(())
        })
    }
}

/// The handler of an [`Update`]. After a result without elements come the results that share memory with the first
/// operands.
///
/// # Safety
/// As [`handle`].
pub(super) unsafe extern "C" fn handle_update(frame: *mut CallFrame) -> *mut Error {
    // SAFETY: the caller's. Results lie apart from each other.
    unsafe {
        answer(frame, |call| {
            let threads = call.threads();
            let update = known_update(call.words()?).ok_or("expected the formulas of an update")?;
            let [operands, results] = [arrays(&(*frame).operands)?, arrays(&(*frame).results)?];
            let count = update.replaced();
            if operands.len() < count || results.len() != count + 1 || results[1..] != operands[..count] {
                return Err(format!("expected {count} operands that are replaced where they lie"));
            }
            let (replaced, others) = operands.split_at(count);
            let taken: BTreeMap<_, _> = replaced
                .iter()
                .filter(|(_, length)| *length > 0)
                .map(|&(at, length)| (at, at.add(length)))
                .collect();
            let overlaps = |at: *mut f32, length| {
                let before = taken.range(..at.add(length)).next_back();
                before.is_some_and(|(_, end)| *end > at)
            };
            // An array that XLA holds to be a replaced one in another shape is read as it was before.
            let copies: Vec<_> = others
                .iter()
                .map(|&(at, length)| overlaps(at, length).then(|| slice::from_raw_parts(at, length).to_vec()))
                .collect();
            let others: Vec<&[f32]> = others
                .iter()
                .zip(&copies)
                .map(|(&(at, length), copy)| match copy {
                    Some(copy) => copy.as_slice(),
                    None if length == 0 => &[],
                    None => slice::from_raw_parts(at, length),
                })
                .collect();
            let replaced = replaced.iter().map(|&(at, length)| match length {
                0 => &mut [][..],
                _ => slice::from_raw_parts_mut(at, length),
            });
            update.run(replaced.collect(), &others, &threads).map_err(|misfit| misfit.to_string())
        })
    }
}

/// The update of these words. The last few are kept, as reading the words again would delay every step.
fn known_update(words: &[i64]) -> Option<Arc<Update>> {
    /// A program of several optimizers has as many updates.
    const KEPT: usize = 16;
    type Known = VecDeque<(Box<[i64]>, Arc<Update>)>;
    static KNOWN: Mutex<Known> = Mutex::new(VecDeque::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, update)) = known.iter().find(|(of, _)| **of == *words) {
        return Some(Arc::clone(update));
    }
    let update = Arc::new(Update::from_words(words)?);
    known.truncate(KEPT - 1);
    known.push_front((words.into(), Arc::clone(&update)));
    Some(update)
}

/// The handler of [`take_rows`]: of a table, row numbers and perhaps means and deviations.
///
/// # Safety
/// As [`handle`].
pub(super) unsafe extern "C" fn handle_rows<T: Element + Into<f32> + Sync>(
    frame: *mut CallFrame,
) -> *mut Error {
    // SAFETY: the caller's.
    unsafe {
        answer(frame, |call| {
            let threads = call.threads();
            let count = (*frame).operands.size.max(0) as usize;
            let scaling = match count {
                2 => None,
                4 => Some([call.operand(count, 2)?, call.operand(count, 3)?]),
                _ => return Err(format!("expected 2 or 4 arrays, got {count}")),
            };
            let (table, rows): (&[T], _) = (call.operand(count, 0)?, call.operand(count, 1)?);
            take_rows(table, rows, scaling, call.result()?, &threads).map_err(|misfit| misfit.to_string())
        })
    }
}

/// Answers XLA's query for the version of the interface, or calls `compute`, whose panic becomes an error of the
/// program.
///
/// # Safety
/// `frame` comes from a call by XLA.
unsafe fn answer(frame: *mut CallFrame, compute: impl FnOnce(&Call) -> Result<(), String>) -> *mut Error {
    // SAFETY: the caller's; an extension's kind was checked before it is read as that struct.
    unsafe {
        let extension = (*frame).extension_start;
        if !extension.is_null() && (*extension).kind == c_api::METADATA {
            let metadata = (*extension.cast::<c_api::MetadataExtension>()).metadata;
            (*metadata).api_version.major = c_api::MAJOR;
            // An older XLA has fewer functions, all of which are used as the newer one has them.
            (*metadata).api_version.minor = api().map_or(0, |api| api.version.minor).min(c_api::MINOR);
            return ptr::null_mut();
        }
        let Some(api) = api() else { return ptr::null_mut() };
        let failure = match catch_unwind(AssertUnwindSafe(|| compute(&Call { api, frame }))) {
            Ok(Ok(())) => return ptr::null_mut(),
            Ok(Err(failure)) => failure,
            Err(panic) => message(&*panic).to_string(),
        };
        api.error(&failure)
    }
}

/// A call in progress, of a frame that XLA has filled.
struct Call {
    api: &'static Api,
    frame: *mut CallFrame,
}

impl Call {
    /// The threads on which XLA runs the program.
    ///
    /// # Safety
    /// The frame belongs to a call in progress. So for the functions below.
    unsafe fn threads(&self) -> XlaThreads {
        // SAFETY: the caller's.
        XlaThreads { api: self.api, context: unsafe { (*self.frame).context } }
    }

    /// The sizes, if their number is the kernel's.
    unsafe fn sizes<S: AnyBitPattern>(&self) -> Result<S, String> {
        // SAFETY: the caller's.
        let words = unsafe { self.words()? };
        let expected = size_of::<S>() / size_of::<i64>();
        if words.len() != expected {
            return Err(format!("expected {expected} {SIZES}, got {} numbers", words.len()));
        }
        // SAFETY: any bits are sizes, and their number was checked.
        Ok(unsafe { words.as_ptr().cast::<S>().read_unaligned() })
    }

    /// All numbers of the attribute.
    unsafe fn words<'a>(&self) -> Result<&'a [i64], String> {
        // SAFETY: the caller's; each attribute has the kind stored beside it.
        unsafe {
            let all = &(*self.frame).attributes;
            if all.size != 1 || *all.types != c_api::ARRAY {
                return Err(format!("expected the attribute {SIZES} alone"));
            }
            let name = &**all.names;
            let array = &*(*all.values).cast::<c_api::Array>();
            let named = slice::from_raw_parts(name.ptr.cast::<u8>(), name.len) == SIZES.as_bytes();
            if !named || array.dtype != S64 {
                return Err(format!("expected {SIZES}, got another attribute"));
            }
            Ok(if array.size == 0 { &[] } else { slice::from_raw_parts(array.data.cast(), array.size) })
        }
    }

    unsafe fn operands<'a, const N: usize, T: Element>(&self) -> Result<[&'a [T]; N], String> {
        // SAFETY: the caller's.
        unsafe {
            let mut operands: [&[T]; N] = [&[]; N];
            for (i, operand) in operands.iter_mut().enumerate() {
                *operand = self.operand(N, i)?;
            }
            Ok(operands)
        }
    }

    /// The `i`-th of `count` operands.
    unsafe fn operand<'a, T: Element>(&self, count: usize, i: usize) -> Result<&'a [T], String> {
        // SAFETY: the caller's; XLA writes to no operand during the call.
        unsafe {
            let (data, length) = buffer::<T>(&(*self.frame).operands, count, i)?;
            // An array of no numbers may have no address.
            Ok(if length == 0 { &[] } else { slice::from_raw_parts(data, length) })
        }
    }

    unsafe fn result<'a, T: Element>(&self) -> Result<&'a mut [T], String> {
        // SAFETY: the caller's; nobody else uses the result during the call.
        unsafe {
            let (data, length) = buffer::<T>(&(*self.frame).results, 1, 0)?;
            // An array of no numbers may have no address.
            Ok(if length == 0 { &mut [] } else { slice::from_raw_parts_mut(data, length) })
        }
    }
}

/// `XLA_FFI_DataType_S64`
const S64: c_int = 5;

/// The address and the number of elements of the `i`-th of `count` buffers.
///
/// # Safety
/// They are the buffers of a call in progress.
unsafe fn buffer<T: Element>(buffers: &Buffers, count: usize, i: usize) -> Result<(*mut T, usize), String> {
    // SAFETY: the caller's; each buffer has the kind stored beside it.
    unsafe {
        if buffers.size != count as i64 || *buffers.types.add(i) != c_api::BUFFER {
            return Err(format!("expected {count} arrays, got {}", buffers.size));
        }
        let buffer: &Buffer = &**buffers.values.add(i);
        if buffer.dtype != T::DTYPE {
            return Err(format!("expected elements of type {}, got {}", T::DTYPE, buffer.dtype));
        }
        let dims = match buffer.rank {
            0 => &[],
            rank => slice::from_raw_parts(buffer.dims, rank as usize),
        };
        Ok((buffer.data.cast(), dims.iter().map(|&n| n as usize).product()))
    }
}

/// All of the buffers, which hold f32.
///
/// # Safety
/// As [`buffer`].
unsafe fn arrays(buffers: &Buffers) -> Result<Vec<(*mut f32, usize)>, String> {
    let count = buffers.size.max(0) as usize;
    // SAFETY: the caller's.
    (0..count).map(|i| unsafe { buffer::<f32>(buffers, count, i) }).collect()
}
