//! The bytes of a journal, without a file: how records are framed, read back and judged.
//!
//! The store writes them to a disk and the simulator to one that loses and damages what it holds; both read them here.
//! The format, and why it is so, stands with the store's journal.

mod frame;
mod record;
mod scan;

pub use frame::{
    FILE_HEAD, HEAD, Head, MAGIC, MAX_RECORD, VERSION, VERSION_OF_ONE_FILE, file_head,
    file_version, seal,
};
pub use record::{Borrowed, Record};
pub use scan::{Place, Scanner, Source, Tail, examine};
