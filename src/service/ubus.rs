//! What the bus of OpenWrt has of the daemon: the method table as signature, calls of it, and events.

use super::control::{ApiError, Call, Kind as Argument, METHODS, event_view, pending_view};
use super::pending::Pending;
use super::revocation::Order;
use crate::decision::event::{Event, Outcome};
use crate::decision::reason::Reason;
use crate::json::json;
use crate::ubus::fits;
use crate::ubus::outbox::Kind;
use crate::wire::ubus::{Malformed, Writer, blobmsg};
use serde_json::{Map, Value};

/// The object's name on the bus.
pub const OBJECT: &str = "latchkey";

/// What uhttpd and LuCI add to the arguments of every call for programs that look at rights themselves; rpcd has looked
/// already when a call comes here.
const SESSION: &str = "ubus_rpc_session";

/// The methods and their arguments, as the fields of a blobmsg table: what `ubus -v list latchkey` shows.
pub fn signature() -> Vec<u8> {
    let mut writer = Writer::default();
    for method in METHODS {
        let table = blobmsg::begin(&mut writer, blobmsg::TABLE, method.name);
        for (name, kind) in method.params {
            let kind = match kind {
                Argument::Text => blobmsg::STRING,
                Argument::Number => blobmsg::INT32,
                Argument::Flag => blobmsg::BOOL,
                Argument::Texts => blobmsg::ARRAY,
                Argument::Table => blobmsg::TABLE,
            };
            blobmsg::put_raw(&mut writer, blobmsg::INT32, name, &u32::from(kind).to_be_bytes());
        }
        writer.end(table);
    }
    // Some kilobytes.
    writer.finish().unwrap_or_default()
}

/// True when there is such a method.
pub fn has(method: &str) -> bool {
    METHODS.iter().any(|known| known.name == method)
}

/// Understands a call.
///
/// # Errors
/// The refusal, for the caller.
pub fn call(method: &str, arguments: &[u8]) -> Result<Call, ApiError> {
    let syntax = |why: Malformed| ApiError::new("syntax", format!("the arguments are no table: {why}"));
    let mut arguments: Map<String, Value> = blobmsg::table(arguments).map_err(syntax)?;
    arguments.remove(SESSION);
    if arguments.get("follow").is_some_and(|follow| follow == true) {
        let mend = "on ubus events come without a call: ubus listen 'latchkey.*'";
        return Err(ApiError::field("unsupported", "follow", mend));
    }
    Call::new(method, arguments)
}

/// A result, or an error, as the fields of a blobmsg table. On the bus an error is a result, too: one of ubus has no room
/// for words.
pub fn result(done: Result<Value, ApiError>) -> Vec<u8> {
    let value = match done {
        Ok(value @ Value::Object(_)) => value,
        // No method gives anything but a table.
        Ok(value) => json!({ "result": value }),
        Err(error) => error.to_json(),
    };
    fields(&value).unwrap_or_else(|| {
        let mend = "ask for less at a time (offset, limit), or on the router itself with the command latchkey";
        let why = format!("the result is longer than a message on ubus may be (1 MiB): {mend}");
        fields(&ApiError::new("too_long", why).to_json()).unwrap_or_default()
    })
}

fn fields(value: &Value) -> Option<Vec<u8>> {
    let mut writer = Writer::default();
    blobmsg::put_fields(&mut writer, value.as_object()?);
    writer.finish().ok().filter(|octets| fits(octets))
}

/// What the bus hears of an event: nothing of steps on the way to a proof.
pub fn kind(event: &Event) -> Option<Kind> {
    match (event.outcome, &event.reason) {
        (
            Outcome::Accepted,
            Reason::KnownAddress | Reason::Offered { .. } | Reason::OnboardingOffered | Reason::PairingOffered,
        ) => None,
        (Outcome::Accepted | Outcome::Joined, _) => Some(Kind::Join),
        (Outcome::Refused, _) => Some(Kind::Refused),
        (Outcome::Disconnect, _) => Some(Kind::Revoked),
    }
}

/// What it says.
pub fn event(event: &Event) -> Value {
    event_view(event)
}

/// What `latchkey.pending` says.
pub fn pending(pending: &Pending) -> Value {
    pending_view(pending)
}

/// True when an order is to send a station off the air for a reason that has no other event.
pub fn is_revocation(order: &Order) -> bool {
    matches!(order, Order::Off { why, .. } if why.code().is_some())
}

/// What `latchkey.revoked` says of a station that is sent off the air of this box; nothing of other orders, nor of a
/// refusal, which has an event of its own.
pub fn revoked(order: &Order) -> Option<Value> {
    match order {
        Order::Off { mac, device, why, .. } => {
            let reason = why.code()?;
            Some(json!({
                "mac": mac.to_string(),
                "device": &**device,
                "outcome": "disconnect",
                "reason": reason,
                "text": format!("sent off the air: {why}"),
            }))
        }
        Order::Lift(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::event::tests::event as made;
    use crate::service::revocation::Why;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn the_signature_has_every_method_with_its_arguments() {
        let signature = blobmsg::table(&signature()).unwrap();
        assert_eq!(signature.len(), METHODS.len());
        for method in METHODS {
            let arguments = signature[method.name].as_object().unwrap();
            assert_eq!(arguments.len(), method.params.len(), "{}", method.name);
        }
        assert_eq!(signature["device_set"], json!({ "name": 3, "set": 2 }));
        assert_eq!(signature["device_block"], json!({ "name": 3 }));
        let add = &signature["device_add"];
        assert_eq!((&add["macs"], &add["max_devices"], &add["generate"]), (&json!(1), &json!(5), &json!(7)));
    }

    fn asked(method: &str, arguments: Value) -> Result<(), String> {
        let arguments = fields(&arguments).unwrap();
        call(method, &arguments).map(|_| ()).map_err(|error| format!("{}: {}", error.code, error.message))
    }

    #[test]
    fn arguments_are_checked_as_on_the_control_socket() {
        assert_eq!(asked("device_block", json!({ "name": "tv" })), Ok(()));
        assert_eq!(asked("device_block", json!({ "name": "tv", "ubus_rpc_session": "00ff" })), Ok(()));
        assert_eq!(asked("device_block", json!({ "name": 5 })), Err("type: name must be a string".into()));
        let why = asked("device_block", json!({ "nmae": "tv" })).unwrap_err();
        assert_eq!(why, "unknown_field: there is no argument 'nmae' (name)");
        let why = asked("log", json!({ "follow": true })).unwrap_err();
        assert!(why.starts_with("unsupported: ") && why.contains("ubus listen"), "{why}");
        assert_eq!(asked("log", json!({ "follow": false, "limit": 3 })), Ok(()));
        let Err(error) = call("status", b"\x83\0\0\x0a\0\x01a\0\xff\0\0\0") else { panic!("it was taken") };
        assert_eq!((error.code, &*error.message), ("syntax", "the arguments are no table: text is no UTF-8"));
    }

    #[test]
    fn an_error_is_a_result_and_so_is_one_that_is_too_long() {
        let error = result(Err(ApiError::field("missing", "name", "name is missing")));
        let expected = json!({ "error": { "code": "missing", "message": "name is missing", "field": "name" } });
        assert_eq!(blobmsg::table(&error).map(Value::Object), Ok(expected));
        let long = result(Ok(json!({ "csv": "x".repeat(1 << 20) })));
        assert_eq!(blobmsg::table(&long).unwrap()["error"]["code"], "too_long");
        // The longest that fits does fit into a message.
        let data = result(Ok(json!({ "csv": "x".repeat((1 << 20) - 64 - 16) })));
        assert!(data.len() > 1_000_000 && fits(&data));
        let message = crate::wire::ubus::Message { object: Some(1), data: Some(&data), ..Default::default() };
        let header = crate::wire::ubus::Header::new(crate::wire::ubus::MessageType::DATA, 1, 1);
        assert!(message.frame(header).is_ok());
    }

    #[test]
    fn which_events_the_bus_hears_of() {
        for (outcome, reason, expected) in [
            (Outcome::Accepted, Reason::KnownAddress, None),
            (Outcome::Accepted, Reason::OnboardingOffered, None),
            (Outcome::Accepted, Reason::ProvedKey, Some(Kind::Join)),
            (Outcome::Joined, Reason::KnownAddress, Some(Kind::Join)),
            (Outcome::Refused, Reason::WrongKey, Some(Kind::Refused)),
        ] {
            assert_eq!(kind(&made(1, outcome, reason, 5)), expected, "{outcome:?}");
        }
        let off = |why| Order::Off { mac: crate::mac::MacAddr([2; 6]), device: Arc::from("tv"), why, ban: false };
        let said = revoked(&off(Why::Blocked)).unwrap();
        let fields =
            ["mac", "device", "outcome", "reason", "text"].map(|field| said[field].as_str().unwrap().to_owned());
        let text = "sent off the air: blocked by the administrator";
        assert_eq!(fields, ["02:02:02:02:02:02", "tv", "disconnect", "blocked", text]);
        assert_eq!(revoked(&off(Why::Refused)), None);
        assert_eq!(revoked(&Order::Lift(crate::mac::MacAddr([2; 6]))), None);
    }
}
