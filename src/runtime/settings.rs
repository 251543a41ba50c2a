//! What XLA is told before it starts.

use std::sync::Once;
use xla::TfLogLevel;

/// What must be set before XLA starts, once.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = match std::env::var_os("RUST_LOG") {
            Some(_) => TfLogLevel::Info,
            None => TfLogLevel::Fatal,
        };
        xla::set_tf_min_log_level(level);
        xla::set_min_log_level(level);
        keep_freed_memory();
        // Another XLA multiplies in its own way, more slowly.
        #[cfg(xla_glue)]
        super::product::multiply_with_gemm();
    });
}

/// XLA's CPU backend takes the memory for a program's temporaries from malloc on every call. Large blocks glibc maps
/// afresh each time and returns at once, so that every call pays for the page faults again. Here they come from the
/// heap, which is kept, and whose pages are large ones where the system has them.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator, and advice on pages leaves what is in them; both are given
    // before XLA starts its threads.
    unsafe {
        /// Room for the heap to grow into: addresses, no memory until they are used.
        const ROOM: usize = 4 << 30;
        const LARGE_PAGE: usize = 2 << 20;
        libc::mallopt(libc::M_MMAP_MAX, 0);
        // Nothing is given back, the room that is asked for below least of all.
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
