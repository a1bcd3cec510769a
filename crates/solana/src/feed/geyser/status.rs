//! What a status of gRPC comes to.

use yellowstone_grpc_proto::tonic::{Code, Status};

use crate::feed::event::DownCause;

/// How the client's own words begin when a message is too large; the server's about lost slots have the same code.
const TOO_LONG: &str = "Error, decoded message length";
/// How the client's own words begin when a message is no protobuf.
const NOT_PROTOBUF: &str = "failed to decode Protobuf message";
/// A server that keeps no slots says so under a general code.
const NO_REPLAY: &str = "from_slot is not supported";

/// Why a stream ended, and whether it is because its server never tells anything again. The server's words are read and
/// not repeated: they can hold anything.
pub(super) fn cause(status: &Status, replay: bool) -> (DownCause, bool) {
    let (text, code) = (status.message(), status.code());
    let cause = match code {
        Code::Ok | Code::Cancelled => DownCause::Closed,
        Code::Unavailable => DownCause::Broken,
        Code::Unauthenticated | Code::PermissionDenied => DownCause::Unauthenticated,
        Code::InvalidArgument => DownCause::Limits,
        Code::ResourceExhausted => DownCause::Exhausted,
        Code::OutOfRange if text.starts_with(TOO_LONG) => DownCause::TooLarge,
        Code::OutOfRange if replay => DownCause::NoReplay,
        Code::Internal if text.starts_with(NOT_PROTOBUF) => DownCause::Garbage,
        Code::Internal if text.starts_with("lagged") => DownCause::Lagged,
        Code::Internal if text == NO_REPLAY => return (DownCause::NoReplay, true),
        // How a connection that breaks off looks from here.
        Code::Unknown if std::error::Error::source(status).is_some() => DownCause::Broken,
        code => DownCause::Status { code: code.into() },
    };
    (cause, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_cause_and_no_word_of_the_server_is_repeated() {
        let of = |code, text: &str, replay| {
            let (cause, never) = cause(&Status::new(code, text), replay);
            assert!(!cause.to_string().contains("s3cr3t"), "{cause}");
            (cause, never)
        };
        let secret = "s3cr3t";
        assert_eq!(of(Code::Unauthenticated, secret, false), (DownCause::Unauthenticated, false));
        assert_eq!(of(Code::PermissionDenied, secret, false).0, DownCause::Unauthenticated);
        assert_eq!(of(Code::InvalidArgument, secret, false).0, DownCause::Limits);
        assert_eq!(of(Code::ResourceExhausted, secret, false).0, DownCause::Exhausted);
        let gone = "broadcast from 5 is not available, last available: 9";
        assert_eq!(of(Code::OutOfRange, gone, true), (DownCause::NoReplay, false));
        assert_eq!(of(Code::OutOfRange, gone, false).0, DownCause::Status { code: 11 });
        assert_eq!(of(Code::Internal, NO_REPLAY, true), (DownCause::NoReplay, true));
        for lagged in ["lagged to receive geyser messages", "lagged to send an update", "lagged"] {
            assert_eq!(of(Code::Internal, lagged, false).0, DownCause::Lagged);
        }
        assert_eq!(of(Code::Internal, secret, false).0, DownCause::Status { code: 13 });
        assert_eq!(of(Code::Unavailable, secret, false).0, DownCause::Broken);
    }
}
