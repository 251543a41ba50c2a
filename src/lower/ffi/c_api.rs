//! XLA's `xla/ffi/api/c_api.h`: the structs used here, which pass between XLA and the functions that its programs call.
//! XLA keeps this interface stable: structs only grow at their ends, and each carries its size.

use std::ffi::{c_char, c_int, c_void};

/// The version of the interface that these structs follow.
pub const MAJOR: c_int = 0;
pub const MINOR: c_int = 2;

/// An opaque type.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque!(Error, ExecutionContext, Future);

/// The size that a struct has by the header: up to the end of its last field.
macro_rules! size {
    ($name:ty, $last:ident: $type:ty) => {
        std::mem::offset_of!($name, $last) + size_of::<$type>()
    };
}
pub(super) use size;

#[repr(C)]
pub struct ExtensionBase {
    pub struct_size: usize,
    pub kind: c_int,
    pub next: *mut ExtensionBase,
}

/// `XLA_FFI_Extension_Metadata`
pub const METADATA: c_int = 1;

#[repr(C)]
pub struct MetadataExtension {
    pub base: ExtensionBase,
    pub metadata: *mut Metadata,
}

#[repr(C)]
pub struct Metadata {
    pub struct_size: usize,
    pub api_version: ApiVersion,
    pub traits: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct ApiVersion {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub major: c_int,
    pub minor: c_int,
}

#[repr(C)]
pub struct ByteSpan {
    pub ptr: *const c_char,
    pub len: usize,
}

#[repr(C)]
pub struct Buffer {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub dtype: c_int,
    pub data: *mut c_void,
    pub rank: i64,
    pub dims: *const i64,
}

/// An attribute of the kind `XLA_FFI_AttrType_ARRAY`.
#[repr(C)]
pub struct Array {
    pub dtype: c_int,
    pub size: usize,
    pub data: *const c_void,
}

/// `XLA_FFI_ArgType_BUFFER` and `XLA_FFI_RetType_BUFFER`
pub const BUFFER: c_int = 1;
/// `XLA_FFI_AttrType_ARRAY`
pub const ARRAY: c_int = 1;

/// `XLA_FFI_Args` and `XLA_FFI_Rets`, which have the same layout.
#[repr(C)]
pub struct Buffers {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub size: i64,
    pub types: *const c_int,
    pub values: *const *const Buffer,
}

#[repr(C)]
pub struct Attributes {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub size: i64,
    pub types: *const c_int,
    pub names: *const *const ByteSpan,
    pub values: *const *const c_void,
}

#[repr(C)]
pub struct CallFrame {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub api: *const Api,
    pub context: *mut ExecutionContext,
    pub stage: c_int,
    pub operands: Buffers,
    pub results: Buffers,
    pub attributes: Attributes,
    /// Set by a function whose work continues after it has returned.
    pub future: *mut Future,
}

pub type Handler = unsafe extern "C" fn(*mut CallFrame) -> *mut Error;
/// A function of [`Api`], which returns null or an error that is the caller's.
pub type Function<Arguments> = unsafe extern "C" fn(*mut Arguments) -> *mut Error;

#[repr(C)]
pub struct HandlerBundle {
    pub instantiate: Option<Handler>,
    pub prepare: Option<Handler>,
    pub initialize: Option<Handler>,
    pub execute: Option<Handler>,
}

#[repr(C)]
pub struct HandlerRegister {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub name: ByteSpan,
    pub platform: ByteSpan,
    pub bundle: HandlerBundle,
    pub traits: u32,
}

#[repr(C)]
pub struct ErrorCreate {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub message: *const c_char,
    pub code: c_int,
}

/// `XLA_FFI_Error_Code_INTERNAL`
pub const INTERNAL: c_int = 13;

#[repr(C)]
pub struct ErrorDestroy {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub error: *mut Error,
}

#[repr(C)]
pub struct FutureCreate {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub future: *mut Future,
}

#[repr(C)]
pub struct FutureSetAvailable {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub future: *mut Future,
}

#[repr(C)]
pub struct FutureSetError {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub future: *mut Future,
    pub error: *mut Error,
}

#[repr(C)]
pub struct ThreadPoolSchedule {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub context: *mut ExecutionContext,
    pub task: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

#[repr(C)]
pub struct ThreadPoolNumThreads {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub context: *mut ExecutionContext,
    pub threads: *mut i64,
}

/// Functions that are not used here.
type Unused = Function<c_void>;

/// The functions of XLA, up to the last that is used here.
#[repr(C)]
pub struct Api {
    pub struct_size: usize,
    pub extension_start: *mut ExtensionBase,
    pub version: ApiVersion,
    internal: *const c_void,
    pub error_create: unsafe extern "C" fn(*mut ErrorCreate) -> *mut Error,
    error_get_message: Unused,
    pub error_destroy: unsafe extern "C" fn(*mut ErrorDestroy),
    pub handler_register: Function<HandlerRegister>,
    stream_get: Unused,
    type_register: Unused,
    execution_context_get: Unused,
    state_set: Unused,
    state_get: Unused,
    device_memory_allocate: Unused,
    device_memory_free: Unused,
    pub thread_pool_schedule: Function<ThreadPoolSchedule>,
    pub thread_pool_num_threads: Function<ThreadPoolNumThreads>,
    pub future_create: Function<FutureCreate>,
    pub future_set_available: Function<FutureSetAvailable>,
    pub future_set_error: Function<FutureSetError>,
}

// SAFETY: XLA fills the table before it hands it out, and any thread may call its functions.
unsafe impl Send for Api {}
unsafe impl Sync for Api {}

// The layout of a C compiler on a 64-bit machine.
const _: () = {
    assert!(size!(ApiVersion, minor: c_int) == 24);
    assert!(size!(Metadata, traits: u32) == 36);
    assert!(size!(Buffer, dims: *const i64) == 48);
    assert!(size_of::<Array>() == 24);
    assert!(size!(Buffers, values: *const *const Buffer) == 40);
    assert!(size!(Attributes, values: *const *const c_void) == 48);
    assert!(size!(CallFrame, attributes: Attributes) == 168);
    assert!(size!(HandlerRegister, traits: u32) == 84);
    assert!(size!(ErrorCreate, code: c_int) == 28);
    assert!(size_of::<Api>() == 48 + 16 * 8);
};
