//! A log that was recorded, redacted and expired lawfully, a kept checkpoint, and the judge.

use diesel_async::AsyncConnection as _;
use rand::rngs::StdRng;
use tidings::domain::audit::AuditFilter;
use tidings::domain::audit::verify::{Extent, Trust, Verdict, verify};
use tidings::domain::id::AuditLogExportId;
use tidings::ingest::checkpoint_within;
use tidings::store::audit_exports::{self, ExportRow};
use tidings::store::{Conn, StoreError, events};
use tidings::upkeep::exports::write_chunk;

use super::edits::Edit;
use crate::audit::redaction::redact;
use crate::audit::trail::Trail;

pub(super) struct Scene {
    pub(super) trail: Trail,
    trust: Trust,
    untouched: String,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Verdict(Verdict),
    /// The export is what it was without the edit.
    AsBefore,
    /// The platform would not make it.
    NoExport(#[expect(dead_code, reason = "told when a test fails")] String),
}

/// What a transaction ends with, so that it is rolled back.
enum Rollback {
    Done(Option<String>),
    Failed(StoreError),
}

impl From<StoreError> for Rollback {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<diesel::result::Error> for Rollback {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Scene {
    /// Leaves 0 to 19 have expired, which leaf 20 says; 51 says what is redacted. 57 leaves in all.
    pub(super) async fn new() -> Self {
        let mut trail = Trail::new().await;
        trail.record(20).await;
        trail.expire(31).await;
        trail.record(30).await;
        redact(&trail, &[25, 26, 40]).await;
        trail.record(5).await;
        let kept = trail.checkpoint().await;
        let trust = trail.trust(Some(&kept), Extent::Whole).await;
        let mut scene = Self {
            trail,
            trust,
            untouched: String::new(),
        };
        let mut loan = scene.trail.platform.store().conn().await.unwrap();
        let export = scene.export(&mut loan, None).await;
        drop(loan);
        scene.untouched = export.unwrap().expect("an export");
        let report = verify(scene.untouched.lines(), &scene.trust);
        assert_eq!(report.verdict, Verdict::Intact);
        assert_eq!(report.entries, 57);
        scene
    }

    /// What becomes of `edit`.
    pub(super) async fn judge(&self, edit: Edit, random: &mut StdRng) -> Outcome {
        let mut loan = self.trail.platform.store().conn().await.unwrap();
        match self.export(&mut loan, Some((edit, random))).await {
            Err(error) => Outcome::NoExport(error.to_string()),
            Ok(None) => Outcome::NoExport("its state is error".to_owned()),
            Ok(Some(text)) if text == self.untouched => Outcome::AsBefore,
            Ok(Some(text)) => Outcome::Verdict(verify(text.lines(), &self.trust).verdict),
        }
    }

    /// Edits and exports in one transaction, which leaves nothing behind; `None` when the export has failed.
    async fn export(
        &self,
        conn: &mut Conn,
        edit: Option<(Edit, &mut StdRng)>,
    ) -> Result<Option<String>, StoreError> {
        let ended = conn.transaction::<(), Rollback, _>(async |conn| {
            if let Some((edit, random)) = edit {
                let applied = edit.apply(conn, &self.trail, random).await;
                applied.unwrap_or_else(|error| panic!("{} was not applied: {error}", edit.name()));
            }
            Err(Rollback::Done(self.make(conn).await?))
        });
        match ended.await {
            Ok(()) => unreachable!("it ends with an error"),
            Err(Rollback::Done(text)) => Ok(text),
            Err(Rollback::Failed(error)) => Err(error),
        }
    }

    /// Asks for an export as the API does, and makes it as a server does.
    async fn make(&self, conn: &mut Conn) -> Result<Option<String>, StoreError> {
        let platform = &self.trail.platform;
        let (store, clock) = (platform.store(), &platform.clock);
        let environment = platform.environment;
        let organization = self.trail.organization();
        let turn = conn.turn(environment).await;
        let lock = events::lock(conn, &turn).await?;
        let taken = checkpoint_within(
            conn,
            &lock,
            clock.for_database(),
            store.vault(),
            organization,
        );
        let Some(checkpoint) = taken.await? else {
            return Ok(None);
        };
        let mut row = ExportRow {
            environment_id: environment,
            id: AuditLogExportId::new(clock.now()),
            organization_id: organization,
            format: "ndjson".to_owned(),
            filter: String::new(),
            range_start: None,
            range_end: None,
            state: "pending".to_owned(),
            written_through: None,
            entries: 0,
            created_at: clock.now(),
            updated_at: clock.now(),
            checkpoint: None,
            checkpoint_size: None,
            authorities_through: None,
            failures: 0,
            clearing: false,
            relies_from: None,
        };
        row.cover(
            AuditFilter::default(),
            checkpoint.note,
            checkpoint.size,
            None,
        )?;
        audit_exports::insert(conn, &row).await?;
        while write_chunk(conn, store, clock, environment, row.id).await? {}
        let made = audit_exports::find(conn, environment, row.id).await?;
        if made.is_none_or(|made| made.state != "ready") {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut number = 0;
        while let Some(chunk) = audit_exports::chunk(conn, environment, row.id, number).await? {
            bytes.extend(chunk);
            number += 1;
        }
        Ok(Some(String::from_utf8(bytes).unwrap()))
    }
}
