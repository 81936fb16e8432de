//! Columns: how ids and states of the domain look in a column.
//!
//! The domain does not know diesel; this file does the mapping for it. An id is a `uuid`: its 16 bytes.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Uuid;

use crate::domain::id::{
    ApiKeyId, AuditLogCheckpointId, AuditLogEventId, AuditLogExportId, AuditLogRedactionId,
    DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId, OrganizationDomainId, OrganizationId,
    PortalLinkId, PortalSessionId, ReplayId, WorkerId,
};

/// An id of any kind, for the one column that refers to objects of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawId([u8; 16]);

impl RawId {
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

macro_rules! id_columns {
    ($($name:ident $proxy:ident),+ $(,)?) => {$(
        #[derive(AsExpression, FromSqlRow)]
        #[diesel(sql_type = Uuid, foreign_derive)]
        #[expect(dead_code, reason = "carries the derives for a type of the domain")]
        struct $proxy($name);

        impl ToSql<Uuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(&self.to_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<Uuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(Self::from_bytes(value.as_bytes().try_into()?))
            }
        }

        impl From<$name> for RawId {
            fn from(id: $name) -> Self {
                Self(id.to_bytes())
            }
        }

        impl From<RawId> for $name {
            fn from(id: RawId) -> Self {
                Self::from_bytes(id.0)
            }
        }
    )+};
}

id_columns! {
    EventId EventIdColumn,
    EndpointId EndpointIdColumn,
    DeliveryId DeliveryIdColumn,
    EnvironmentId EnvironmentIdColumn,
    OrganizationId OrganizationIdColumn,
    OrganizationDomainId OrganizationDomainIdColumn,
    ApiKeyId ApiKeyIdColumn,
    LeaseId LeaseIdColumn,
    WorkerId WorkerIdColumn,
    AuditLogEventId AuditLogEventIdColumn,
    AuditLogExportId AuditLogExportIdColumn,
    AuditLogCheckpointId AuditLogCheckpointIdColumn,
    AuditLogRedactionId AuditLogRedactionIdColumn,
    PortalLinkId PortalLinkIdColumn,
    PortalSessionId PortalSessionIdColumn,
    ReplayId ReplayIdColumn,
}

#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = Uuid, foreign_derive)]
#[expect(dead_code, reason = "carries the derives for RawId")]
struct RawIdColumn(RawId);

impl ToSql<Uuid, Pg> for RawId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&self.0)?;
        Ok(IsNull::No)
    }
}

impl FromSql<Uuid, Pg> for RawId {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.as_bytes().try_into()?))
    }
}
