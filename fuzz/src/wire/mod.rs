//! What nodes tell subscribers: any text at all, read in one pass and read again the slow way.
//!
//! The tests of the crate that reads it include this folder as a module and run every seed, and mutations of it.

mod oracle;
mod seeds;

pub use seeds::seeds;
use sniper_solana::feed::{Frame, FrameReader};

use oracle::Verdict;

/// A target, as those of the core.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 1] = [("frame", frame)];

/// Reads a frame with a reader that has read others, and compares with a reading by a tree of JSON.
pub fn frame(data: &[u8]) {
    // A socket hands on nothing that is not UTF-8.
    let text = String::from_utf8_lossy(data);
    let mut reader = FrameReader::default();
    let read = reader.read(&text);
    let room = oracle::Room::new();
    match (oracle::read(&text, &room), &read) {
        (Verdict::Frame(frame), Ok(read)) => assert_eq!(*read, frame, "{text}"),
        (Verdict::Frame(frame), Err(error)) => panic!("{error} instead of {frame:?}: {text}"),
        (Verdict::Packed(frame), Ok(read)) => assert_eq!(*read, frame, "{text}"),
        (Verdict::Refused, Ok(read)) => panic!("{read:?} out of {text}"),
        (Verdict::Packed(_) | Verdict::Refused, Err(_)) | (Verdict::Unknown, _) => {}
    }
    let first = format!("{read:?}");
    // What a reader has read before changes nothing.
    for seed in seeds().get("frame").into_iter().flatten().take(3) {
        let other = String::from_utf8_lossy(seed);
        assert!(!matches!(reader.read(&other), Ok(Frame::Other) | Err(_)), "{other}");
    }
    assert_eq!(format!("{:?}", reader.read(&text)), first, "{text}");
}
