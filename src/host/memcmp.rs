//! C's `memcmp` for this module, in place of the C library's: [`compare`] reads eight bytes at a time.
#![expect(
    unsafe_code,
    reason = "a function of C's library takes pointers; whoever calls it vouches for them"
)]

use crate::wire::memory_order::compare;

/// Compares `length` bytes at `a` and `b`: returns a negative number, zero or a positive one. Hundreds of places call
/// it, and none gets an inlined copy.
///
/// # Safety
/// Both pointers have `length` bytes, as C requires.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
    if length == 0 {
        return 0;
    }
    // SAFETY: see above; neither pointer is null if `length` is not 0.
    let (a, b) = unsafe {
        (
            std::slice::from_raw_parts(a, length),
            std::slice::from_raw_parts(b, length),
        )
    };
    compare(a, b) as i32
}
