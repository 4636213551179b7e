//! One table of fields makes a struct of the model, and how it is read and written.
//!
//! So reading and writing cannot differ, and serde's derive, which refuses a key given twice and
//! names no pointer, is not needed. Used by the other modules of `spec` alone; a table must never
//! say more than names, types and whether a void value is written.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::lenient::Trail;

/// A struct of the model, as `record!` makes them.
pub(crate) trait Record: Default {
    /// Reads the value of the member `key`, or skips it if the record has none of that name.
    fn read_member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        members: &mut A,
        trail: &mut Trail,
    ) -> Result<(), A::Error>;
}

/// A member's name, borrowed from the text unless it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Makes a record out of an object.
struct Members<'t, T>(&'t mut Trail, PhantomData<T>);

impl<'de, T: Record> Visitor<'de> for Members<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
        let mut record = T::default();
        let mut known = Vec::new();
        while let Some(key) = members.next_key_seed(Key)? {
            let skipped = self.0.skipped();
            let read = match known.contains(&key) {
                true => Err(A::Error::custom("this member is there twice")),
                false => record.read_member(&key, &mut members, self.0),
            };
            read.inspect_err(|_| self.0.push(&key))?;
            self.0.skipped_within(skipped, &key);
            if self.0.is_strict() {
                known.push(key);
            }
        }
        Ok(record)
    }
}

/// Leaves a member out that the record has no field for.
pub(crate) fn skip_member<'de, A: MapAccess<'de>>(
    members: &mut A,
    trail: &mut Trail,
) -> Result<(), A::Error> {
    if trail.is_strict() {
        return Err(A::Error::custom("there is no member of this name"));
    }
    trail.skip();
    members.next_value::<IgnoredAny>().map(drop)
}

/// Reads a record.
pub(crate) fn read_record<'de, T: Record, D: Deserializer<'de>>(
    input: D,
    trail: &mut Trail,
) -> Result<T, D::Error> {
    input.deserialize_map(Members(trail, PhantomData))
}

/// Makes structs with public fields, and how they are read and written, out of a table. A field is
/// `rust_name: Type = always "jsonName"` or, for one not written while it is void, `optional`.
macro_rules! record {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty = $need:ident $key:literal,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl $crate::spec::record::Record for $name {
            fn read_member<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                members: &mut A,
                trail: &mut $crate::spec::lenient::Trail,
            ) -> Result<(), A::Error> {
                match key {
                    $($key => self.$field = $crate::spec::lenient::read_value(members, trail)?,)*
                    _ => $crate::spec::record::skip_member(members, trail)?,
                }
                Ok(())
            }
        }

        impl $crate::spec::lenient::Lenient for $name {
            fn read<'de, D: serde::Deserializer<'de>>(
                input: D,
                trail: &mut $crate::spec::lenient::Trail,
            ) -> Result<Self, D::Error> {
                $crate::spec::record::read_record(input, trail)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                $crate::spec::lenient::deserialize(input)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut members = output.serialize_map(None)?;
                $(record!(@write $need members $key self.$field);)*
                members.end()
            }
        }
    )*};
    (@write always $members:ident $key:literal $value:expr) => {
        $members.serialize_entry($key, &$value)?
    };
    (@write optional $members:ident $key:literal $value:expr) => {
        if !$crate::spec::lenient::Lenient::is_void(&$value) {
            $members.serialize_entry($key, &$value)?;
        }
    };
}

pub(crate) use record;
