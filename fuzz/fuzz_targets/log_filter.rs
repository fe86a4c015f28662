//! Any pattern against any message: reading and matching must not panic, whatever both are, and a
//! pattern that was read must be read the same again.
//!
//! The pattern ends at the first line break.
//!
//! `cargo +nightly fuzz run log_filter -- -max_len=4096`

#![no_main]

use dormouse_api::logs::FilterPattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (pattern, message) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(read) = FilterPattern::parse(pattern) {
        let again = FilterPattern::parse(pattern).expect("it was read a moment ago");
        assert_eq!(read.matches(message), again.matches(message));
    }
});
