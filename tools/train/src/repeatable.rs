//! Time and random numbers that are the same in each run. The dynamic linker prefers the program's functions to the C
//! library's for the module as well.
#![expect(
    unsafe_code,
    reason = "takes the place of two functions of the C library"
)]

use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicI64, Ordering};

/// `struct timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Nanoseconds that the simulated clock advances with each reading.
const STEP: i64 = 1_000;
const SECOND: i64 = 1_000_000_000;
static NOW: AtomicI64 = AtomicI64::new(1_800_000_000 * SECOND);

#[unsafe(no_mangle)]
extern "C" fn clock_gettime(_clock: c_int, time: *mut Timespec) -> c_int {
    let now = NOW.fetch_add(STEP, Ordering::Relaxed);
    let time_now = Timespec {
        seconds: now / SECOND,
        nanoseconds: now % SECOND,
    };
    // SAFETY: the caller provides the place.
    unsafe { time.write(time_now) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn getrandom(bytes: *mut c_void, size: usize, _flags: c_uint) -> isize {
    // SAFETY: the caller provides `size` bytes.
    unsafe { bytes.cast::<u8>().write_bytes(7, size) };
    size.try_into().unwrap_or(-1)
}
