//! What people write: moments, conditions, checkpoints.

use std::sync::LazyLock;
use taskledger::{
    proof::{Checkpoint, SigningKey, VerifyingKey, generate_keys},
    query::{PREDICATE_BYTES_MAX, Point, Predicate, parse_duration, parse_time},
    time::SeededEntropy,
};

/// How a moment is written.
///
/// # Panics
/// If what is printed is not what was read.
pub fn point(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (parse_time(text), parse_duration(text));
    if let Ok(point) = text.parse::<Point>() {
        assert_eq!(point.to_string().parse(), Ok(point), "{text:?}");
    }
}

/// How a condition is written.
///
/// # Panics
/// If what is printed is not what was read.
pub fn predicate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Predicate>() {
        Ok(predicate) => {
            assert!(text.len() <= PREDICATE_BYTES_MAX, "a condition within its limit");
            let printed = predicate.to_string();
            // Printed it may be longer: spaces are put in where none were needed.
            if printed.len() <= PREDICATE_BYTES_MAX {
                assert_eq!(printed.parse(), Ok(predicate), "{text:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A checkpoint, signed or not.
///
/// # Panics
/// If what is printed is not what was read, or a signature holds that nobody made.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = Checkpoint::parse(text);
    let (signing, verifying) = &*KEY;
    let verified = Checkpoint::verify(text, verifying);
    let Ok(checkpoint) = read else {
        return assert!(verified.is_err(), "what cannot be read is not verified");
    };
    assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
    let Ok(signed) = checkpoint.sign(signing) else { panic!("a checkpoint can be signed") };
    assert_eq!(Checkpoint::verify(&signed, verifying), Ok(checkpoint));
    if verified.is_ok() {
        // The signature is the only one that there can be, over these bytes; others may stand
        // beside it.
        assert_eq!(verified, Ok(checkpoint));
        assert!(signed.lines().all(|line| text.contains(line)), "nobody else can sign");
    }
}

static KEY: LazyLock<(SigningKey, VerifyingKey)> = LazyLock::new(|| {
    let pair = generate_keys("fuzz", &SeededEntropy::new(5));
    let Ok(pair) = pair else { panic!("the name is one") };
    match (pair.signing.parse(), pair.verifying.parse()) {
        (Ok(signing), Ok(verifying)) => (signing, verifying),
        _ => panic!("a key that was just made"),
    }
});
