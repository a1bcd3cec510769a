//! Account data out of text, into memory that is used again.

use base64_simd::{AsOut as _, STANDARD};

/// How a node is asked to write account data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Four characters for three bytes.
    #[default]
    Base64,
    /// The same after compression: less on the wire, more work on both sides.
    Base64Zstd,
}

impl Encoding {
    /// Its word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Base64Zstd => "base64+zstd",
        }
    }

    pub(crate) const fn from_bytes(word: &[u8]) -> Option<Self> {
        match word {
            b"base64" => Some(Self::Base64),
            b"base64+zstd" => Some(Self::Base64Zstd),
            _ => None,
        }
    }
}

/// Most bytes of one account after decompression: what a program may own.
const ACCOUNT_MAX: usize = 10 << 20;

/// Memory that is kept from one account to the next. One that needs more is rare, and gives it back.
const KEPT: usize = 256 << 10;

/// Decodes account data.
#[derive(Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    inflated: Vec<u8>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Decoder {
    /// The data that `text` stands for; none if it stands for none.
    pub(crate) fn decode(&mut self, text: &[u8], encoding: Encoding) -> Option<&[u8]> {
        self.give_back();
        // By the text, which was let in only up to its own limit.
        let room = text.len().div_ceil(4) * 3;
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        let length = STANDARD.decode(text, self.bytes.as_out()).ok()?.len();
        match encoding {
            // Nothing stays nothing.
            Encoding::Base64Zstd if length > 0 => self.inflate(length),
            Encoding::Base64 | Encoding::Base64Zstd => self.bytes.get(..length),
        }
    }

    fn give_back(&mut self) {
        for kept in [&mut self.bytes, &mut self.inflated] {
            if kept.len() > KEPT {
                *kept = Vec::new();
            }
        }
    }

    fn inflate(&mut self, length: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(..length)?;
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        let zstd = self.zstd.as_mut()?;
        // A frame may tell its size; that is believed only up to the most an account can have.
        let told = zstd::zstd_safe::get_frame_content_size(bytes).ok()?;
        let told = told.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        if told.is_some_and(|size| size > ACCOUNT_MAX) {
            return None;
        }
        let mut room = told.unwrap_or(4_096);
        loop {
            if self.inflated.len() < room {
                self.inflated.resize(room, 0);
            }
            match zstd.decompress_to_buffer(bytes, &mut self.inflated[..]) {
                Ok(length) => return self.inflated.get(..length),
                Err(_) if told.is_none() && room < ACCOUNT_MAX => {
                    room = (room * 4).min(ACCOUNT_MAX);
                }
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::{ACCOUNT_MAX, Decoder, Encoding, KEPT};

    fn packed(data: &[u8]) -> Vec<u8> {
        STANDARD.encode(zstd::bulk::compress(data, 3).unwrap()).into_bytes()
    }

    #[test]
    fn what_would_grow_beyond_an_account_is_refused_before_memory_is_taken() {
        let mut decoder = Decoder::default();
        // 64 MiB of zeros are some 6 KB of text that tells its size, or does not.
        let bomb = vec![0; 64 << 20];
        assert!(decoder.decode(&packed(&bomb), Encoding::Base64Zstd).is_none());
        assert_eq!(decoder.inflated.capacity(), 0, "by its own word");
        let mut silent = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        std::io::Write::write_all(&mut silent, &bomb).unwrap();
        let silent = STANDARD.encode(silent.finish().unwrap());
        assert!(decoder.decode(silent.as_bytes(), Encoding::Base64Zstd).is_none());
        assert!(decoder.inflated.capacity() <= ACCOUNT_MAX);
        assert_eq!(decoder.decode(&packed(b"small"), Encoding::Base64Zstd), Some(&b"small"[..]));
        assert!(decoder.inflated.capacity() <= KEPT, "given back");
    }

    #[test]
    fn the_largest_account_is_read_and_its_memory_given_back() {
        let mut decoder = Decoder::default();
        let largest = vec![7; ACCOUNT_MAX];
        let text = packed(&largest);
        assert_eq!(decoder.decode(&text, Encoding::Base64Zstd), Some(&largest[..]));
        let text = STANDARD.encode(&largest);
        assert_eq!(decoder.decode(text.as_bytes(), Encoding::Base64), Some(&largest[..]));
        assert_eq!(decoder.decode(b"AQID", Encoding::Base64), Some(&[1, 2, 3][..]));
        assert!(decoder.bytes.capacity() <= KEPT && decoder.inflated.capacity() <= KEPT);
    }

    proptest! {
        #[test]
        fn data_come_out_as_they_went_in_and_rubbish_not_at_all(
            data in proptest::collection::vec(any::<u8>(), 0..2_000),
            rubbish in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut decoder = Decoder::default();
            let text = STANDARD.encode(&data);
            prop_assert_eq!(decoder.decode(text.as_bytes(), Encoding::Base64), Some(&data[..]));
            prop_assert_eq!(decoder.decode(&packed(&data), Encoding::Base64Zstd), Some(&data[..]));
            let read = decoder.decode(&rubbish, Encoding::Base64).map(<[u8]>::to_vec);
            prop_assert_eq!(read, STANDARD.decode(&rubbish).ok());
            let packed = STANDARD.encode(&rubbish);
            let read = decoder.decode(packed.as_bytes(), Encoding::Base64Zstd);
            prop_assert!(read.is_none_or(|data| data.len() <= ACCOUNT_MAX));
        }

        /// Fails when what reads many characters at a time takes a text that the other library does not, or otherwise.
        #[test]
        fn two_libraries_read_the_same_of_texts_that_are_nearly_right(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), "[A-Za-z0-9+/=_ \\x00\u{e9}-]"), 0..3),
            cut in 0_usize..4,
            more in "[A-D=]{0,3}",
        ) {
            let mut text = STANDARD.encode(&data).into_bytes();
            for (at, with) in changes {
                if !text.is_empty() {
                    let place = at.index(text.len());
                    text[place] = with.as_bytes()[0];
                }
            }
            text.truncate(text.len().saturating_sub(cut));
            text.extend(more.bytes());
            let mut decoder = Decoder::default();
            let read = decoder.decode(&text, Encoding::Base64).map(<[u8]>::to_vec);
            prop_assert_eq!(read, STANDARD.decode(&text).ok());
        }
    }
}
