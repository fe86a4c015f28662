//! How the static binary copies memory.
//!
//! musl's `memcpy` copies one byte at a time up to where eight are aligned and behind them, and starts a
//! string instruction for what lies between: some 30 ns for the values of up to 256 bytes that one warm
//! invocation moves two hundred times. That was a sixth of the daemon's own time. Binaries on other C
//! libraries and processors keep what these have.

#![expect(
    unsafe_code,
    reason = "a function that is called by its name in the C library has no safe form"
)]

use std::arch::global_asm;

global_asm!(include_str!("memory.s"));

// Both, or the linker would take the library's other one, and with it this one's double.
#[cfg(target_env = "musl")]
global_asm!(
    ".globl memcpy",
    ".set memcpy, dormouse_move",
    ".globl memmove",
    ".set memmove, dormouse_move",
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    unsafe extern "C" {
        fn dormouse_move(to: *mut u8, from: *const u8, count: usize) -> *mut u8;
    }

    /// Moves bytes within a buffer; what has become of it.
    fn moved(buffer: &[u8], to: usize, from: usize, count: usize) -> Vec<u8> {
        let mut buffer = buffer.to_vec();
        assert!(to + count <= buffer.len() && from + count <= buffer.len());
        let start = buffer.as_mut_ptr();
        // SAFETY: both ranges lie in the buffer, which nobody else has.
        let returned = unsafe { dormouse_move(start.add(to), start.add(from), count) };
        assert_eq!(returned, start.wrapping_add(to));
        buffer
    }

    fn check(to: usize, from: usize, count: usize) {
        let length = to.max(from) + count + 3;
        let buffer: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut expected = buffer.clone();
        expected.copy_within(from..from + count, to);
        assert!(moved(&buffer, to, from, count) == expected, "{count} from {from} to {to}");
    }

    #[test]
    fn each_size_is_moved_apart_and_within_itself() {
        for count in 0..=600 {
            for (to, from) in
                [(0, 700), (701, 1), (0, 0), (3, 2), (2, 3), (40, 9), (9, 40), (130, 1)]
            {
                check(to, from, count);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_moved_anywhere(to in 0..5_000_usize, from in 0..5_000_usize, count in 0..9_000_usize) {
            check(to, from, count);
        }
    }
}
