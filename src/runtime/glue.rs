//! The functions of `scripts/xla`'s glue, which another XLA than that of `scripts/setup` lacks. They are linked and not looked
//! up: the linker leaves out a library to which nothing refers.

use std::ffi::c_void;

/// What one compilation is given and hands over, as `program_glue.cc` has it.
#[repr(C)]
pub(super) struct Exchange {
    pub written: *const u8,
    pub size: usize,
    pub keep: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    pub keeper: *mut c_void,
}

/// Has the compilations of this thread read and write programs down, until it is called with null.
pub(super) type ExchangePrograms = unsafe extern "C" fn(*const Exchange);

/// Adds fields of a `CompileOptionsProto` to the compilations of this thread by plugins, until it is called again.
pub(super) type CompileWith = unsafe extern "C" fn(*const u8, usize);

#[cfg(xla_glue)]
mod linked {
    unsafe extern "C" {
        pub fn xla_glue_exchange_programs(exchange: *const super::Exchange);
        pub fn xla_glue_compile_with(fields: *const u8, size: usize);
    }
}

#[cfg(xla_glue)]
pub(super) const EXCHANGE_PROGRAMS: Option<ExchangePrograms> = Some(linked::xla_glue_exchange_programs);
#[cfg(not(xla_glue))]
pub(super) const EXCHANGE_PROGRAMS: Option<ExchangePrograms> = None;

#[cfg(xla_glue)]
pub(super) const COMPILE_WITH: Option<CompileWith> = Some(linked::xla_glue_compile_with);
#[cfg(not(xla_glue))]
pub(super) const COMPILE_WITH: Option<CompileWith> = None;
