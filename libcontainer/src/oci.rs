//! The model of the crate `oci-spec`, for callers whose configurations are in its types.
//!
//! Both directions go through JSON, which is what the two models have in common, and cost a
//! fraction of a millisecond. oci-spec cannot hold every valid configuration (names it does not
//! know, a huge page limit above `i64::MAX`, pids without a limit): then the conversion fails and
//! points at the member. Called by embedders only; nothing of the library may depend on it.

use std::cell::RefCell;

use oci_spec::runtime as oci;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Fault};
use crate::spec::lenient::{self, Slot, Trail};
use crate::spec::{Capabilities, Spec};

/// Flags whose names in oci-spec 0.10 are not those of the specification.
const FLAGS: [(&str, oci::LinuxSchedulerFlag); 2] = [
    ("SCHED_FLAG_RESET_ON_FORK", oci::LinuxSchedulerFlag::SchedResetOnFork),
    ("SCHED_FLAG_DL_OVERRUN", oci::LinuxSchedulerFlag::SchedFlagDLOverrun),
];

impl TryFrom<&oci::Spec> for Spec {
    type Error = Error;

    /// The configuration in keel's model: what is not of Linux is left out, and the sets of
    /// capabilities, which oci-spec keeps in no order, are sorted.
    fn try_from(spec: &oci::Spec) -> Result<Self, Error> {
        let mut document = to_value(spec)?;
        for (name, theirs) in flag_names()? {
            rename_flag(&mut document, &theirs, name);
        }
        from_value(&document)
    }
}

impl TryFrom<&Spec> for oci::Spec {
    type Error = Error;

    /// The configuration in oci-spec's model.
    ///
    /// # Errors
    /// One fault, at the first member that oci-spec cannot hold as it is.
    fn try_from(spec: &Spec) -> Result<Self, Error> {
        let mut document = to_value(spec)?;
        let before = from_value(&document)?;
        for (name, theirs) in flag_names()? {
            rename_flag(&mut document, name, &theirs);
        }
        let trail = RefCell::default();
        let converted = oci::Spec::deserialize(Located { value: &document, trail: &trail })
            .map_err(|error| refused(trail.take().pointer(), &error.to_string()))?;
        let after = Spec::try_from(&converted)?;
        if before == after {
            return Ok(converted);
        }
        let lost = first_difference(&to_value(&before)?, &to_value(&after)?, String::new());
        let (pointer, now) = lost.unwrap_or_default();
        Err(refused(pointer, &format!("it would become {now}")))
    }
}

fn refused(pointer: String, why: &str) -> Error {
    let message = lenient::abridged(&format!("oci-spec cannot hold this value: {why}"));
    Error::config(vec![Fault { pointer, message }])
}

fn to_value(document: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(document).map_err(|error| {
        Error::new(ErrorKind::Config, format!("cannot write the configuration: {error}"))
    })
}

/// Reads keel's model, with the sets of capabilities in order.
fn from_value(document: &Value) -> Result<Spec, Error> {
    let mut trail = Trail::default();
    let mut spec: Spec = Slot::new(&mut trail).deserialize(document).map_err(|error| {
        Error::config(vec![Fault { pointer: trail.pointer(), message: error.to_string() }])
    })?;
    let process = spec.process.as_mut();
    if let Some(sets) = process.and_then(|process| process.capabilities.as_mut()) {
        let Capabilities { bounding, effective, inheritable, permitted, ambient } = sets;
        for set in [bounding, effective, inheritable, permitted, ambient] {
            set.sort_unstable();
            set.dedup();
        }
    }
    Ok(spec)
}

/// The specification's name and oci-spec's, which is asked of oci-spec lest a repair there breaks
/// this.
fn flag_names() -> Result<Vec<(&'static str, String)>, Error> {
    let theirs = |flag| Ok(to_value(&flag)?.as_str().unwrap_or_default().to_owned());
    FLAGS.into_iter().map(|(name, flag)| Ok((name, theirs(flag)?))).collect()
}

fn rename_flag(document: &mut Value, from: &str, to: &str) {
    let flags = document.pointer_mut("/process/scheduler/flags").and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        if flag == from {
            *flag = to.into();
        }
    }
}

/// Where the documents differ first, and what stands there in the second one.
fn first_difference(first: &Value, second: &Value, pointer: String) -> Option<(String, Value)> {
    let below = |key: &str| format!("{pointer}/{}", lenient::escaped(key));
    match (first, second) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
            let (a, b) = (a.get(key), b.get(key));
            first_difference(a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null), below(key))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => (a.iter().zip(b))
            .enumerate()
            .find_map(|(i, (a, b))| first_difference(a, b, below(&i.to_string()))),
        _ => (first != second).then(|| (pointer, second.clone())),
    }
}

/// A value that notes the way to whatever its reader refuses.
struct Located<'a> {
    value: &'a Value,
    trail: &'a RefCell<Trail>,
}

impl<'de> Deserializer<'de> for Located<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let trail = self.trail;
        match self.value {
            Value::Object(map) => {
                visitor.visit_map(Members { rest: map.iter(), next: None, trail })
            }
            Value::Array(list) => visitor.visit_seq(Items { rest: list.iter().enumerate(), trail }),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The members of an object that are yet to be read.
struct Members<'a> {
    rest: serde_json::map::Iter<'a>,
    next: Option<(&'a String, &'a Value)>,
    trail: &'a RefCell<Trail>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.next = self.rest.next();
        self.next.map(|(key, _)| seed.deserialize(key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let Some((key, value)) = self.next.take() else {
            return Err(Self::Error::custom("a value is read before its key"));
        };
        let member = Located { value, trail: self.trail };
        seed.deserialize(member).inspect_err(|_| self.trail.borrow_mut().push(key))
    }
}

/// The items of an array that are yet to be read.
struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    trail: &'a RefCell<Trail>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = serde_json::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        let item = seed.deserialize(Located { value, trail: self.trail });
        item.map(Some).inspect_err(|_| self.trail.borrow_mut().push(index))
    }
}
