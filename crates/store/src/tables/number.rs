//! Unsigned 64-bit numbers in a database whose integers are signed.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type, TypeInfo, ValueRef};

/// An INTEGER where it fits, else TEXT of 20 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsigned(pub(super) u64);

impl Type<Sqlite> for Unsigned {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        matches!(info.name(), "INTEGER" | "TEXT")
    }
}

impl<'q> Encode<'q, Sqlite> for Unsigned {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match i64::try_from(self.0) {
            Ok(signed) => <i64 as Encode<'q, Sqlite>>::encode(signed, buffer),
            Err(_) => <String as Encode<'q, Sqlite>>::encode(format!("{:020}", self.0), buffer),
        }
    }
}

impl<'r> Decode<'r, Sqlite> for Unsigned {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.type_info().name() == "TEXT" {
            return Ok(Self(<&str as Decode<'r, Sqlite>>::decode(value)?.parse()?));
        }
        Ok(Self(u64::try_from(<i64 as Decode<'r, Sqlite>>::decode(value)?)?))
    }
}

impl rusqlite::ToSql for Unsigned {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match i64::try_from(self.0) {
            Ok(signed) => signed.into(),
            Err(_) => format!("{:020}", self.0).into(),
        })
    }
}

impl rusqlite::types::FromSql for Unsigned {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        use rusqlite::types::{FromSqlError, ValueRef};
        let number = match value {
            ValueRef::Integer(number) => u64::try_from(number).ok(),
            ValueRef::Text(digits) => std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()),
            _ => return Err(FromSqlError::InvalidType),
        };
        number.map(Self).ok_or(FromSqlError::InvalidType)
    }
}
