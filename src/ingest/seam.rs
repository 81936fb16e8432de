//! Seam until checkpoints are merged.
use chrono::{DateTime, Utc};

use crate::domain::id::OrganizationId;
use crate::store::events::EnvironmentLock;
use crate::store::vault::Vault;
use crate::store::{Conn, StoreError};

pub struct StoredCheckpoint {
    pub size: u64,
    pub note: String,
}

pub async fn checkpoint_within(
    _conn: &mut Conn,
    _lock: &EnvironmentLock,
    _now: Option<DateTime<Utc>>,
    _vault: &Vault,
    _organization: OrganizationId,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    Ok(None)
}
