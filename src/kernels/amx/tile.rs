//! The instructions of AMX: a core's eight tiles of 16 rows of 64 bytes, and products of tiles of bf16 that are added to tiles
//! of f32.

use super::pack::{PARTS, STEP, STEP_LINES, TILE};
use crate::product::Line;
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Whether the processor has AMX for bf16 and the system lets this process use it.
pub fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        const BF16: u32 = 1 << 22;
        const TILES: u32 = 1 << 24;
        let has_tiles = __cpuid_count(0, 0).eax >= 7 && {
            let features = __cpuid_count(7, 0).edx;
            features & BF16 != 0 && features & TILES != 0
        };
        // The rest of the kernel uses AVX-512.
        let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        has_tiles && has_avx512 && is_permitted()
    })
}

/// Linux saves tiles only for processes that ask for it, as they are large.
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: i32 = 0x1023;
    const XFEATURE_XTILEDATA: i32 = 18;
    // SAFETY: it changes only which registers Linux saves for this process, and fails where there is no such state.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// The tiles of this thread, all whole, for as long as it lives. Four of them hold a result, and two each operand.
///
/// Each number of f32 is the sum of three of bf16, its parts. The six products of parts that count in f32 are added up,
/// the largest last: the first part of `a` times the third of `b`, first times second, second times second, second
/// times first, third times first, and first times first.
pub struct Tiles(());

/// The four products of two tiles of `a` with two of `b`.
macro_rules! products {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
        tdpbf16ps tmm1, tmm4, tmm7
        tdpbf16ps tmm2, tmm5, tmm6
        tdpbf16ps tmm3, tmm5, tmm7"
    };
}

#[expect(clippy::unused_self, reason = "a thread that holds a `Tiles` has configured them")]
impl Tiles {
    /// # Safety
    /// They are available, and the thread has no others.
    pub unsafe fn new() -> Self {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        const { assert!(TILE == 16 && STEP == 32 && PARTS == 3) };
        let mut config = Config([0; 64]);
        config.0[0] = 1;
        for tile in 0..8 {
            // The bytes of a row as 16 bits, and the rows.
            config.0[16 + 2 * tile] = 64;
            config.0[48 + tile] = TILE as u8;
        }
        // SAFETY: the caller's; the configuration is whole.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(())
    }

    /// Writes the product of a panel of 32 rows with one of 32 columns to `result`, whose rows are `row` numbers apart, or adds
    /// it there.
    ///
    /// # Safety
    /// The panels have `steps` steps, at least one, and 32 rows of 32 numbers of the result are this call's alone.
    #[inline(always)]
    pub unsafe fn multiply(
        &self,
        a: *const Line,
        b: *const Line,
        steps: usize,
        result: *mut f32,
        row: usize,
        add: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            if add {
                Self::load(result, row);
            } else {
                Self::clear();
            }
            asm!(
                "2:",
                "tileloadd tmm4, [{a} + {line}]",
                "tileloadd tmm6, [{b} + {line} + 4096]",
                "tileloadd tmm7, [{b} + {line} + 5120]",
                "tileloadd tmm5, [{a} + {line} + 1024]",
                products!(),
                "tileloadd tmm6, [{b} + {line} + 2048]",
                "tileloadd tmm7, [{b} + {line} + 3072]",
                products!(),
                "tileloadd tmm4, [{a} + {line} + 2048]",
                "tileloadd tmm5, [{a} + {line} + 3072]",
                products!(),
                "tileloadd tmm6, [{b} + {line}]",
                "tileloadd tmm7, [{b} + {line} + 1024]",
                products!(),
                "tileloadd tmm4, [{a} + {line} + 4096]",
                "tileloadd tmm5, [{a} + {line} + 5120]",
                products!(),
                "tileloadd tmm4, [{a} + {line}]",
                "tileloadd tmm5, [{a} + {line} + 1024]",
                products!(),
                "add {a}, {step}",
                "add {b}, {step}",
                "dec {steps}",
                "jnz 2b",
                a = inout(reg) a => _,
                b = inout(reg) b => _,
                steps = inout(reg) steps => _,
                line = in(reg) size_of::<Line>(),
                step = const STEP_LINES * size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
            Self::store(result, row);
        }
    }

    /// As [`multiply`](Self::multiply), of rows in place: the rows of a tile are `row` bytes apart, each with the lines
    /// of its parts side by side, and the rows of a step lie behind the rows of the step before by the bytes in
    /// `distances`.
    ///
    /// # Safety
    /// The rows lie there, `b` has as many steps as there are distances, and the result is this call's alone.
    #[inline(always)]
    pub unsafe fn multiply_rows(
        &self,
        [upper, lower]: [*const Line; 2],
        row: usize,
        distances: &[isize],
        b: *const Line,
        result: *mut f32,
        result_row: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            Self::clear();
            asm!(
                "2:",
                "mov {distance}, qword ptr [{distances}]",
                "add {upper}, {distance}",
                "add {lower}, {distance}",
                "tileloadd tmm4, [{upper} + {row}]",
                "tileloadd tmm6, [{b} + {line} + 4096]",
                "tileloadd tmm7, [{b} + {line} + 5120]",
                "tileloadd tmm5, [{lower} + {row}]",
                products!(),
                "tileloadd tmm6, [{b} + {line} + 2048]",
                "tileloadd tmm7, [{b} + {line} + 3072]",
                products!(),
                "tileloadd tmm4, [{upper} + {row} + 64]",
                "tileloadd tmm5, [{lower} + {row} + 64]",
                products!(),
                "tileloadd tmm6, [{b} + {line}]",
                "tileloadd tmm7, [{b} + {line} + 1024]",
                products!(),
                "tileloadd tmm4, [{upper} + {row} + 128]",
                "tileloadd tmm5, [{lower} + {row} + 128]",
                products!(),
                "tileloadd tmm4, [{upper} + {row}]",
                "tileloadd tmm5, [{lower} + {row}]",
                products!(),
                "add {distances}, 8",
                "add {b}, {step}",
                "dec {steps}",
                "jnz 2b",
                upper = inout(reg) upper => _,
                lower = inout(reg) lower => _,
                row = in(reg) row,
                distances = inout(reg) distances.as_ptr() => _,
                distance = out(reg) _,
                b = inout(reg) b => _,
                steps = inout(reg) distances.len() => _,
                line = in(reg) size_of::<Line>(),
                step = const STEP_LINES * size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
            Self::store(result, result_row);
        }
    }

    #[inline(always)]
    unsafe fn clear() {
        // SAFETY: the caller has tiles.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, nomem, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32, row: usize) {
        // SAFETY: the caller has tiles, and 32 rows of 32 numbers lie there.
        unsafe {
            asm!(
                "tileloadd tmm0, [{upper} + {row}]",
                "tileloadd tmm1, [{upper} + {row} + 64]",
                "tileloadd tmm2, [{lower} + {row}]",
                "tileloadd tmm3, [{lower} + {row} + 64]",
                upper = in(reg) from,
                lower = in(reg) from.add(TILE * row),
                row = in(reg) row * size_of::<f32>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, row: usize) {
        // SAFETY: the caller has tiles, and room for 32 rows of 32 numbers.
        unsafe {
            asm!(
                "tilestored [{upper} + {row}], tmm0",
                "tilestored [{upper} + {row} + 64], tmm1",
                "tilestored [{lower} + {row}], tmm2",
                "tilestored [{lower} + {row} + 64], tmm3",
                upper = in(reg) to,
                lower = in(reg) to.add(TILE * row),
                row = in(reg) row * size_of::<f32>(),
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: nothing uses them any more; a thread without tiles has less to save.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
