//! Serialises compiled programs with PJRT's functions. The crate `xla` exposes neither these functions nor the pointers
//! that they take, so the pointers are read out of its types.

use super::glue::PROGRAMS;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, transmute, transmute_copy};
use std::{ptr, slice};
use xla::{PjRtClient, PjRtDevice, PjRtLoadedExecutable};

/// Whether this XLA can write programs down.
pub(super) const CAN_BE_WRITTEN: bool = PROGRAMS.is_some();

/// A program as bytes; `None` where XLA cannot write it down.
pub(super) fn write(program: &PjRtLoadedExecutable) -> Option<Vec<u8>> {
    unsafe extern "C" fn keep(keeper: *mut c_void, written: *const u8, size: usize) {
        // A program for which there is no memory is not kept.
        let mut copy = Vec::new();
        if !written.is_null() && copy.try_reserve_exact(size).is_ok() {
            // SAFETY: XLA wrote `size` bytes, and the keeper comes from the call below.
            unsafe {
                copy.extend_from_slice(slice::from_raw_parts(written, size));
                *keeper.cast::<Option<Vec<u8>>>() = Some(copy);
            }
        }
    }
    let (write_program, _) = PROGRAMS?;
    let mut written: Option<Vec<u8>> = None;
    // SAFETY: the program lives until the function returns, and so does the keeper.
    unsafe { write_program(pointer(program), keep, (&raw mut written).cast()) };
    written
}

/// The program that was written down for a client of this kind; `None` where XLA refuses it.
pub(super) fn read(client: &PjRtClient, written: &[u8]) -> Option<PjRtLoadedExecutable> {
    let (_, read_program) = PROGRAMS?;
    let devices = client.devices();
    // SAFETY: a device is a pointer to XLA's, which lives as long as the client.
    let device: *const c_void = unsafe { transmute_copy::<PjRtDevice<'_>, _>(devices.first()?) };
    // SAFETY: the length is the slice's.
    let program = unsafe { read_program(device, written.as_ptr(), written.len()) };
    (!program.is_null()).then(|| owner(client, program))
}

// The crate's types hold XLA's pointer, an executable the client beside it.
const _: () = {
    assert!(size_of::<PjRtDevice<'_>>() == size_of::<*mut c_void>());
    assert!(size_of::<PjRtClient>() == size_of::<*mut c_void>());
    assert!(size_of::<PjRtLoadedExecutable>() == 2 * size_of::<*mut c_void>());
};

/// The word of an executable that is not the client.
fn word(program: &PjRtLoadedExecutable) -> usize {
    let client = ptr::from_ref(program.client()).addr() - ptr::from_ref(program).addr();
    1 - client / size_of::<*mut c_void>()
}

/// XLA's executable behind the crate's.
fn pointer(program: &PjRtLoadedExecutable) -> *const c_void {
    // SAFETY: it is two pointers.
    unsafe { ptr::from_ref(program).cast::<*const c_void>().add(word(program)).read() }
}

/// An executable of the crate, which deletes XLA's in the end.
pub(super) fn owner(client: &PjRtClient, program: *mut c_void) -> PjRtLoadedExecutable {
    // The compiler chooses the order of its two words; an executable whose words are both the client reveals it.
    let both = [client, client].map(|client| ManuallyDrop::new(client.clone()));
    // SAFETY: one word is a client, and the other, a pointer that nothing has used, is XLA's executable before it is dropped.
    unsafe {
        let mut executable: ManuallyDrop<PjRtLoadedExecutable> = transmute(both);
        let word = word(&executable);
        let place = ptr::from_mut(&mut executable).cast::<*mut c_void>().add(word);
        drop(transmute::<*mut c_void, PjRtClient>(place.replace(program)));
        ManuallyDrop::into_inner(executable)
    }
}
