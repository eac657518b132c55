//! Error-Causes (RFC 5176, 3.5) in words: those that access points answer us with, and those that we answer with.

use crate::wire::radius::error_cause;

/// What was answered to somebody who asked for a session, in words: an Error-Cause (RFC 5176, 3.5) of ours.
pub(super) fn to_asker(cause: u32) -> String {
    let words = match cause {
        error_cause::UNSUPPORTED_ATTRIBUTE => {
            "refused, since it would change what is ours (VLAN, filter), or is not known"
        }
        error_cause::MISSING_ATTRIBUTE => "refused, since the request does not say which session, or what to change",
        error_cause::NAS_IDENTIFICATION_MISMATCH => "refused, since it means another access point",
        error_cause::INVALID_REQUEST => "refused, since the request has an attribute twice",
        error_cause::UNSUPPORTED_SERVICE => "refused, since that Service-Type is not known",
        error_cause::INVALID_ATTRIBUTE_VALUE => "refused, since the request has a value that makes no sense",
        error_cause::ADMINISTRATIVELY_PROHIBITED => {
            "refused, since the stay may not be longer than option session_timeout"
        }
        error_cause::REQUEST_NOT_ROUTABLE => {
            "not possible, since its access point takes no Disconnect-Requests: set option disconnect_port of the client"
        }
        error_cause::SESSION_CONTEXT_NOT_FOUND => "there is no such session that it let in",
        error_cause::RESOURCES_UNAVAILABLE => "its access point did not do it within a second",
        error_cause::REQUEST_INITIATED => "it is authenticated anew",
        error_cause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED => "refused, since that fits too many sessions",
        cause => return format!("its access point refuses: {}", in_words(cause)),
    };
    format!("{words} (Error-Cause {cause})")
}

/// An Error-Cause (RFC 5176, 3.5) in words, with the mend where there is one.
pub(super) fn in_words(cause: u32) -> String {
    let words = match cause {
        0 => return "it does not say why".into(),
        error_cause::UNSUPPORTED_ATTRIBUTE => "it does not take an attribute of the request",
        error_cause::MISSING_ATTRIBUTE => "it misses an attribute in the request",
        error_cause::NAS_IDENTIFICATION_MISMATCH => {
            "it is another NAS, most likely another BSS of this box: each BSS needs a radius_das_port of its own"
        }
        error_cause::INVALID_REQUEST => "it finds the request malformed",
        error_cause::UNSUPPORTED_SERVICE | error_cause::UNSUPPORTED_EXTENSION => "it does not know this request",
        error_cause::INVALID_ATTRIBUTE_VALUE => "it does not take a value in the request",
        error_cause::ADMINISTRATIVELY_PROHIBITED => "it is set to refuse that",
        error_cause::REQUEST_NOT_ROUTABLE => "a proxy on the way does not know it",
        error_cause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED => "it finds more than one such session",
        _ => return format!("Error-Cause {cause}"),
    };
    format!("{words} (Error-Cause {cause})")
}
