//! The functions of `scripts/xla`'s glue, which only the XLA of `scripts/setup` has. They are linked and not looked up:
//! the linker leaves out a library to which nothing refers.

use std::ffi::c_void;

/// Calls `keep` with the keeper and a program of XLA written down, unless XLA cannot write it.
pub(super) type WriteProgram = unsafe extern "C" fn(*const c_void, Keep, *mut c_void);
pub(super) type Keep = unsafe extern "C" fn(*mut c_void, *const u8, usize);

/// The program that was written down, for the client of a device; null if XLA refuses it.
pub(super) type ReadProgram = unsafe extern "C" fn(*const c_void, *const u8, usize) -> *mut c_void;

/// Has the clients of plugins that this thread opens share a store with other processes' clients, until it is called
/// again: a `std::shared_ptr<xla::KeyValueStoreInterface>`, or null.
pub(super) type OpenWith = unsafe extern "C" fn(*const c_void);

/// Adds fields of a `CompileOptionsProto` to the compilations of this thread by plugins, until it is called again.
pub(super) type CompileWith = unsafe extern "C" fn(*const u8, usize);

#[cfg(xla_glue)]
mod linked {
    use super::{Keep, c_void};

    unsafe extern "C" {
        pub fn xla_glue_write_program(program: *const c_void, keep: Keep, keeper: *mut c_void);
        pub fn xla_glue_read_program(device: *const c_void, written: *const u8, size: usize) -> *mut c_void;
        pub fn xla_glue_compile_with(fields: *const u8, size: usize);
        pub fn xla_glue_open_with(store: *const c_void);
    }
}

#[cfg(xla_glue)]
pub(super) const PROGRAMS: Option<(WriteProgram, ReadProgram)> =
    Some((linked::xla_glue_write_program, linked::xla_glue_read_program));
#[cfg(not(xla_glue))]
pub(super) const PROGRAMS: Option<(WriteProgram, ReadProgram)> = None;

#[cfg(xla_glue)]
pub(super) const COMPILE_WITH: Option<CompileWith> = Some(linked::xla_glue_compile_with);
#[cfg(not(xla_glue))]
pub(super) const COMPILE_WITH: Option<CompileWith> = None;

#[cfg(xla_glue)]
pub(super) const OPEN_WITH: Option<OpenWith> = Some(linked::xla_glue_open_with);
#[cfg(not(xla_glue))]
pub(super) const OPEN_WITH: Option<OpenWith> = None;
