//! What XLA and NVIDIA's libraries are told before they start.

use super::spec::DeviceOptions;
use crate::error::{Error, Result};
use std::sync::{Once, OnceLock};
use xla::TfLogLevel;

/// What is settled once for a process, because XLA and NVIDIA's libraries read it from the environment when they start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    tf32: bool,
    command_buffers: bool,
}

impl Settings {
    pub fn of(options: &DeviceOptions) -> Self {
        Self { tf32: options.tf32, command_buffers: options.command_buffers }
    }

    pub fn settle(self) -> Result<()> {
        static SETTLED: OnceLock<Settings> = OnceLock::new();
        let settled = *SETTLED.get_or_init(|| {
            let flags = std::env::var("XLA_FLAGS").unwrap_or_default();
            // SAFETY: no GPU has been opened, so neither NVIDIA's libraries nor the plugin's XLA have started a thread;
            // a program that opens its device first, as those here do, has no thread that reads the environment.
            unsafe {
                if !self.tf32 {
                    std::env::set_var("NVIDIA_TF32_OVERRIDE", "0");
                }
                if let Some(flags) = self.flags(&flags) {
                    std::env::set_var("XLA_FLAGS", flags);
                }
            }
            self
        });
        let differ = [
            ("tf32", settled.tf32, self.tf32),
            ("command_buffers", settled.command_buffers, self.command_buffers),
        ];
        let show = |on| if on { "on" } else { "off" };
        match differ.into_iter().find(|(_, settled, wanted)| settled != wanted) {
            None => Ok(()),
            Some((name, settled, wanted)) => {
                let expected = format!("{}, as for the GPU opened before in this process", show(settled));
                Err(Error::value(name, expected, show(wanted)))
            }
        }
    }

    /// The user's flags with those that turn off what is not wanted; `None` if there is nothing to add. What the user
    /// has set stays.
    fn flags(self, given: &str) -> Option<String> {
        // Both copies of XLA in the process, the program's and the plugin's, know these flags. One that is unknown to
        // either would end the process. XLA's own kernels for products round to TF32 too.
        let unwanted = [
            (self.tf32, "--xla_gpu_enable_triton_gemm", "false"),
            (self.command_buffers, "--xla_gpu_enable_command_buffer", ""),
        ];
        let mut flags = given.trim().to_string();
        for (_, flag, value) in
            unwanted.into_iter().filter(|(wanted, flag, _)| !wanted && !given.contains(flag))
        {
            flags = format!("{flags} {flag}={value}").trim_start().to_string();
        }
        (flags != given.trim()).then_some(flags)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_turn_off_what_is_not_wanted_and_leave_what_the_user_set() {
        let flags = |tf32, command_buffers, given| Settings { tf32, command_buffers }.flags(given);
        assert_eq!(flags(true, true, "--a=1"), None);
        assert_eq!(flags(false, true, "").as_deref(), Some("--xla_gpu_enable_triton_gemm=false"));
        assert_eq!(flags(true, false, " --a=1 ").as_deref(), Some("--a=1 --xla_gpu_enable_command_buffer="));
        let both = "--xla_gpu_enable_triton_gemm=false --xla_gpu_enable_command_buffer=";
        assert_eq!(flags(false, false, "").as_deref(), Some(both));
        assert_eq!(
            flags(false, false, "--xla_gpu_enable_triton_gemm=true --xla_gpu_enable_command_buffer=FUSION"),
            None
        );
    }
}
