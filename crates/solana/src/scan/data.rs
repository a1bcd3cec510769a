//! Account data out of text, into memory that is used again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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

    pub(super) const fn from_bytes(word: &[u8]) -> Option<Self> {
        match word {
            b"base64" => Some(Self::Base64),
            b"base64+zstd" => Some(Self::Base64Zstd),
            _ => None,
        }
    }
}

/// Most bytes of one account after decompression: what a program may own.
const ACCOUNT_MAX: usize = 10 << 20;

/// Decodes account data.
#[derive(Default)]
pub(super) struct Decoder {
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
    pub(super) fn decode(&mut self, text: &[u8], encoding: Encoding) -> Option<&[u8]> {
        let room = text.len().div_ceil(4) * 3;
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        let length = STANDARD.decode_slice(text, &mut self.bytes).ok()?;
        match encoding {
            // Nothing stays nothing.
            Encoding::Base64Zstd if length > 0 => self.inflate(length),
            Encoding::Base64 | Encoding::Base64Zstd => self.bytes.get(..length),
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
