//! JSON values in little code: a member of an object is one call here, where the macro of serde_json writes out a page for
//! each. Both read and make the same.

use serde_json::{Map, Value};

/// Makes a [`Value`] of what is written like JSON: an object whose values are expressions, objects or `null`; else of the
/// expression, by [`ToJson`]. Names are literals.
macro_rules! json {
    ({ $($members:tt)* }) => {{
        #[allow(unused_mut, reason = "an object without members")]
        let mut object = $crate::json::Object::default();
        $crate::json::members!(object $($members)*);
        $crate::json::Object::finish(object)
    }};
    ($value:expr) => { $crate::json::ToJson::to_json(&$value) };
}

/// The members of an object, one after the other.
macro_rules! members {
    ($object:ident) => {};
    ($object:ident $name:literal: null $(, $($more:tt)*)?) => {
        $object.put($name, ::serde_json::Value::Null);
        $crate::json::members!($object $($($more)*)?);
    };
    ($object:ident $name:literal: { $($inner:tt)* } $(, $($more:tt)*)?) => {
        $object.put($name, $crate::json::json!({ $($inner)* }));
        $crate::json::members!($object $($($more)*)?);
    };
    ($object:ident $name:literal: $value:expr $(, $($more:tt)*)?) => {
        $object.set($name, &$value);
        $crate::json::members!($object $($($more)*)?);
    };
}

pub(crate) use {json, members};

/// An object in the making.
#[derive(Debug, Default)]
pub struct Object(Map<String, Value>);

impl Object {
    /// Adds a member.
    pub fn set(&mut self, name: &'static str, value: &(impl ToJson + ?Sized)) {
        self.put(name, value.to_json());
    }

    /// Adds a member.
    #[inline(never)]
    pub fn put(&mut self, name: &'static str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The object.
    pub fn finish(self) -> Value {
        Value::Object(self.0)
    }
}

/// What has a form in JSON.
pub trait ToJson {
    /// This form.
    fn to_json(&self) -> Value;
}

macro_rules! numbers {
    ($($kind:ty),+) => { $(impl ToJson for $kind {
        fn to_json(&self) -> Value {
            Value::from(*self)
        }
    })+ };
}

numbers!(bool, u8, u16, u32, u64, usize, i8, i16, i32, i64);

impl ToJson for str {
    fn to_json(&self) -> Value {
        Value::String(self.to_owned())
    }
}

impl ToJson for String {
    fn to_json(&self) -> Value {
        self.as_str().to_json()
    }
}

impl ToJson for Value {
    fn to_json(&self) -> Value {
        self.clone()
    }
}

impl ToJson for Map<String, Value> {
    fn to_json(&self) -> Value {
        Value::Object(self.clone())
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn to_json(&self) -> Value {
        (**self).to_json()
    }
}

/// Nothing is `null`.
impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }
}

impl<T: ToJson> ToJson for [T] {
    fn to_json(&self) -> Value {
        self.iter().map(T::to_json).collect()
    }
}

impl<T: ToJson, const N: usize> ToJson for [T; N] {
    fn to_json(&self) -> Value {
        self.as_slice().to_json()
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self) -> Value {
        self.as_slice().to_json()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_those_that_serde_json_makes() {
        let (name, none): (Option<&str>, Option<u16>) = (Some("lamp"), None);
        let list = vec!["a".to_owned(), "b\n".to_owned()];
        let ours = json!({
            "name": name, "vlan": none, "null": null, "list": list, "pair": [-1i8, 5],
            "deep": { "most": u64::MAX, "least": i64::MIN, "yes": true, "none": {} },
            "value": json!({ "octet": 7u8 }),
        });
        let theirs = serde_json::json!({
            "name": name, "vlan": none, "null": null, "list": list, "pair": [-1i8, 5],
            "deep": { "most": u64::MAX, "least": i64::MIN, "yes": true, "none": {} },
            "value": { "octet": 7u8 },
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours.to_string(), theirs.to_string());
        assert_eq!(json!("text"), serde_json::json!("text"));
    }
}
