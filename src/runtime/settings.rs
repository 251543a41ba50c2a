//! Settings that XLA reads when it starts.

use std::sync::Once;
use xla::TfLogLevel;

/// Settings that must be made once, before XLA starts.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = match std::env::var_os("RUST_LOG") {
            Some(_) => TfLogLevel::Info,
            None => TfLogLevel::Fatal,
        };
        xla::set_tf_min_log_level(level);
        xla::set_min_log_level(level);
    });
}

/// Tunes the process's allocator for training on the CPU: for a program that does little else, before it opens a
/// device. The command line calls it; the library by itself leaves the allocator alone.
///
/// XLA's CPU backend takes the memory for a program's temporaries from malloc on every call. Large blocks glibc maps
/// afresh each time and returns at once, so that every call pays for the page faults again. Here they come from the heap,
/// which is kept, and whose pages are large ones where the system has them: the process gives no memory back to the system
/// until it ends. With another C library this does nothing.
///
/// ```
/// use neural::runtime::{Device, tune_process};
/// tune_process();
/// let device = Device::cpu()?;
/// # assert_eq!(device.name(), "cpu");
/// # Ok::<(), neural::Error>(())
/// ```
pub fn tune_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(keep_freed_memory);
}

fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator, and advice on pages keeps their contents.
    unsafe {
        /// Room for the heap to grow into: addresses, no memory until they are used.
        const ROOM: usize = 4 << 30;
        const LARGE_PAGE: usize = 2 << 20;
        libc::mallopt(libc::M_MMAP_MAX, 0);
        // No memory is returned to the system, in particular not the room requested below.
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        let room = libc::malloc(ROOM);
        if !room.is_null() {
            let from = room.add(room.align_offset(LARGE_PAGE));
            libc::madvise(from, ROOM - LARGE_PAGE, libc::MADV_HUGEPAGE);
            libc::free(room);
        }
    }
}
