//! A container's cgroup as systemd has it: a transient scope with properties.
//!
//! `features::systemd` fills it in, `plan::explain` prints it, and [`crate::cgroup`] asks systemd
//! for it. A [`Value`] is one of the D-Bus specification, "Type System".

use std::fmt;

/// A transient scope, systemd.scope(5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The unit's name, `docker-web.scope`.
    pub unit: String,
    /// The slice it is in, `system.slice`.
    pub slice: String,
    /// What else it is given, systemd.resource-control(5).
    pub properties: Vec<Property>,
    /// The address of the user's bus; that of the system if there is none.
    pub bus: Option<String>,
}

/// A property of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name, as on the bus.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// JSON pointer to what asked for it.
    pub pointer: String,
}

/// A value on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// BOOLEAN
    Bool(bool),
    /// BYTE
    Byte(u8),
    /// INT32
    Int32(i32),
    /// UINT32
    Uint32(u32),
    /// INT64
    Int64(i64),
    /// UINT64
    Uint64(u64),
    /// DOUBLE, by its bits.
    Double(u64),
    /// STRING
    Text(String),
    /// ARRAY of values that all have this signature.
    Array(String, Vec<Value>),
    /// STRUCT
    Struct(Vec<Value>),
    /// VARIANT
    Variant(Box<Value>),
}

impl Value {
    /// Its type code.
    pub fn signature(&self) -> String {
        match self {
            Self::Bool(_) => "b".to_owned(),
            Self::Byte(_) => "y".to_owned(),
            Self::Int32(_) => "i".to_owned(),
            Self::Uint32(_) => "u".to_owned(),
            Self::Int64(_) => "x".to_owned(),
            Self::Uint64(_) => "t".to_owned(),
            Self::Double(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(fields) => {
                let fields: String = fields.iter().map(Self::signature).collect();
                format!("({fields})")
            }
            Self::Variant(_) => "v".to_owned(),
        }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Self]| {
            for (i, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if i == 0 { "" } else { " " })?;
            }
            Ok(())
        };
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Byte(value) => write!(f, "{value:#04x}"),
            Self::Int32(value) => write!(f, "{value}"),
            Self::Uint32(value) => write!(f, "{value}"),
            Self::Int64(value) => write!(f, "{value}"),
            Self::Uint64(u64::MAX) => f.write_str("infinity"),
            Self::Uint64(value) => write!(f, "{value}"),
            Self::Double(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Text(text) => f.write_str(&text.escape_default().to_string()),
            Self::Array(_, values) => list(f, values),
            Self::Struct(fields) => list(f, fields),
            Self::Variant(value) => value.fmt(f),
        }
    }
}
