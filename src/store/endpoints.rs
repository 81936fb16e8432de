//! Endpoints: where events go, with their secrets sealed.
//!
//! Invariant: whatever changes who gets an event happens under the environment's lock and bumps the fan-out's
//! version there. Deleted endpoints stay as rows: deliveries and attempts refer to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::handoff::EndpointKey;
use super::installation;
use super::paging::paged;
use super::schema::endpoints;
use super::vault::{Sealer, Vault};
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointState, PreviousSecret, Secrets};
use crate::domain::event::EventPattern;
use crate::domain::id::{EndpointId, EnvironmentId, OrganizationId};
use crate::domain::page::PageQuery;
use crate::domain::retry::RetrySchedule;
use crate::domain::signature::SigningSecret;

#[derive(Queryable, Selectable)]
#[diesel(table_name = endpoints)]
struct EndpointRow {
    environment_id: EnvironmentId,
    id: EndpointId,
    organization_id: Option<OrganizationId>,
    url: String,
    event_patterns: Vec<String>,
    description: String,
    disabled_reason: Option<String>,
    secret_sealed: Vec<u8>,
    secret_since: DateTime<Utc>,
    previous_secret_sealed: Option<Vec<u8>>,
    previous_secret_until: Option<DateTime<Utc>>,
    retry_delays_seconds: Option<Vec<i32>>,
    failing_since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl EndpointRow {
    fn open(self, vault: &Vault) -> Result<Endpoint, StoreError> {
        let corrupt = |what: &str| StoreError::corrupt(format!("{what} of {}", self.id));
        let open = |sealed: &[u8]| -> Result<SigningSecret, StoreError> {
            let text = vault.open(&self.id.to_bytes(), sealed)?;
            text.parse().map_err(|_malformed| corrupt("signing secret"))
        };
        let previous = match (&self.previous_secret_sealed, self.previous_secret_until) {
            (Some(sealed), Some(valid_until)) => Some(PreviousSecret {
                secret: open(sealed)?,
                valid_until,
            }),
            _ => None,
        };
        let state = match &self.disabled_reason {
            None => EndpointState::Enabled,
            Some(reason) => EndpointState::Disabled(
                DisabledReason::parse(reason).ok_or_else(|| corrupt("state"))?,
            ),
        };
        Ok(Endpoint {
            environment: self.environment_id,
            id: self.id,
            patterns: patterns(&self.event_patterns).ok_or_else(|| corrupt("patterns"))?,
            organization: self.organization_id,
            state,
            secrets: Secrets {
                current: open(&self.secret_sealed)?,
                current_since: self.secret_since,
                previous,
            },
            schedule: schedule(self.retry_delays_seconds.as_deref())
                .ok_or_else(|| corrupt("schedule"))?,
            url: self.url,
            description: self.description,
            failing_since: self.failing_since,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}

fn patterns(texts: &[String]) -> Option<Vec<EventPattern>> {
    texts
        .iter()
        .map(|text| EventPattern::parse("event_patterns", text).ok())
        .collect()
}

/// `Some(None)` for an endpoint without a schedule of its own; `None` when the column does not read.
fn schedule(seconds: Option<&[i32]>) -> Option<Option<RetrySchedule>> {
    let Some(seconds) = seconds else {
        return Some(None);
    };
    let delays: Option<Vec<Duration>> = seconds
        .iter()
        .map(|&seconds| u64::try_from(seconds).ok().map(Duration::from_secs))
        .collect();
    RetrySchedule::new(delays?).ok().map(Some)
}

/// The columns that a caller or a rule may change. Not the health: attempts note it without the lock.
#[derive(AsChangeset)]
#[diesel(table_name = endpoints, treat_none_as_null = true)]
struct EndpointColumns {
    url: String,
    event_patterns: Vec<String>,
    description: String,
    disabled_reason: Option<String>,
    secret_sealed: Vec<u8>,
    secret_since: DateTime<Utc>,
    previous_secret_sealed: Option<Vec<u8>>,
    previous_secret_until: Option<DateTime<Utc>>,
    retry_delays_seconds: Option<Vec<i32>>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl EndpointColumns {
    fn of(endpoint: &Endpoint, sealer: &Sealer<'_>) -> Self {
        let seal = |secret: &SigningSecret| {
            sealer.seal(&endpoint.id.to_bytes(), secret.expose().as_bytes())
        };
        let previous = endpoint.secrets.previous.as_ref();
        let seconds = |schedule: &RetrySchedule| {
            schedule
                .delays()
                .iter()
                .map(|delay| i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                .collect()
        };
        Self {
            url: endpoint.url.clone(),
            event_patterns: endpoint
                .patterns
                .iter()
                .map(EventPattern::to_string)
                .collect(),
            description: endpoint.description.clone(),
            disabled_reason: match endpoint.state {
                EndpointState::Enabled => None,
                EndpointState::Disabled(reason) => Some(reason.as_str().to_owned()),
            },
            secret_sealed: seal(&endpoint.secrets.current),
            secret_since: endpoint.secrets.current_since,
            previous_secret_sealed: previous.map(|previous| seal(&previous.secret)),
            previous_secret_until: previous.map(|previous| previous.valid_until),
            retry_delays_seconds: endpoint.schedule.as_ref().map(seconds),
            updated_at: endpoint.updated_at,
            deleted_at: endpoint.deleted_at,
        }
    }
}

/// Inserts an endpoint; the caller holds the environment's lock and bumps the fan-out's version.
///
/// Errors: `Conflict` of `endpoints_url_unique`.
pub async fn insert(conn: &mut Conn, vault: &Vault, endpoint: &Endpoint) -> Result<(), StoreError> {
    let sealer = installation::sealer_of_server(conn, vault).await?;
    let columns = EndpointColumns::of(endpoint, &sealer);
    diesel::insert_into(endpoints::table)
        .values((
            endpoints::environment_id.eq(endpoint.environment),
            endpoints::id.eq(endpoint.id),
            endpoints::organization_id.eq(endpoint.organization),
            endpoints::url.eq(columns.url),
            endpoints::event_patterns.eq(columns.event_patterns),
            endpoints::description.eq(columns.description),
            endpoints::disabled_reason.eq(columns.disabled_reason),
            endpoints::secret_sealed.eq(columns.secret_sealed),
            endpoints::secret_since.eq(columns.secret_since),
            endpoints::previous_secret_sealed.eq(columns.previous_secret_sealed),
            endpoints::previous_secret_until.eq(columns.previous_secret_until),
            endpoints::retry_delays_seconds.eq(columns.retry_delays_seconds),
            endpoints::created_at.eq(endpoint.created_at),
            endpoints::updated_at.eq(columns.updated_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes an endpoint back; the caller holds the environment's lock and bumps the fan-out's version.
///
/// Shape: since when it fails is left as it is in the row; an endpoint that is enabled again, or that is enabled
/// and has another URL, starts anew.
/// Errors: `Conflict` of `endpoints_url_unique`.
pub async fn update(conn: &mut Conn, vault: &Vault, endpoint: &Endpoint) -> Result<(), StoreError> {
    let sealer = installation::sealer_of_server(conn, vault).await?;
    let columns = EndpointColumns::of(endpoint, &sealer);
    let statement = diesel::update(endpoints::table)
        .filter(endpoints::environment_id.eq(endpoint.environment))
        .filter(endpoints::id.eq(endpoint.id));
    if endpoint.is_enabled() {
        let same = endpoints::disabled_reason
            .is_null()
            .and(endpoints::url.eq(&endpoint.url));
        let kept_if_it_is_the_same = case_when(same, endpoints::failing_since);
        let health = endpoints::failing_since.eq(kept_if_it_is_the_same);
        statement.set((columns, health)).execute(conn).await?;
    } else {
        statement.set(columns).execute(conn).await?;
    }
    Ok(())
}

/// Notes that the endpoint began to fail, or that it is well again; no lock is needed, nobody's fan-out changes.
///
/// Shape: nothing changes when it is no longer `from`; answers whether it was.
pub async fn set_failing_since(
    conn: &mut Conn,
    (environment, id): EndpointKey,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let changed = diesel::update(endpoints::table)
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::id.eq(id))
        .filter(endpoints::failing_since.is_not_distinct_from(from))
        .set(endpoints::failing_since.eq(to))
        .execute(conn)
        .await?;
    Ok(changed > 0)
}

/// Finds one endpoint of `environment`, deleted or not; `None` when it never had one.
pub async fn find(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let row: Option<EndpointRow> = endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::id.eq(id))
        .select(EndpointRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(|row| row.open(vault)).transpose()
}

/// Reads one page of the endpoints that are not deleted, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
    organization: Option<OrganizationId>,
    query: &PageQuery<EndpointId>,
) -> Result<Vec<Endpoint>, StoreError> {
    let mut statement = endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::deleted_at.is_null())
        .select(EndpointRow::as_select())
        .into_boxed();
    if let Some(organization) = organization {
        statement = statement.filter(endpoints::organization_id.eq(organization));
    }
    let statement = paged!(statement, endpoints::id, query);
    let rows: Vec<EndpointRow> = statement.load(conn).await?;
    rows.into_iter().map(|row| row.open(vault)).collect()
}

/// The endpoints that are bound to an organization, deleted ones included.
pub async fn bound_to(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<Vec<EndpointId>, StoreError> {
    Ok(endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::organization_id.eq(organization))
        .select(endpoints::id)
        .load(conn)
        .await?)
}

/// How many endpoints the environment has, deleted ones left out.
pub async fn count(conn: &mut Conn, environment: EnvironmentId) -> Result<i64, StoreError> {
    Ok(endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::deleted_at.is_null())
        .count()
        .get_result(conn)
        .await?)
}

/// What the fan-out needs to know of an enabled endpoint.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub endpoint: EndpointId,
    /// Empty: every event type.
    pub patterns: Vec<EventPattern>,
    pub organization: Option<OrganizationId>,
}

/// All enabled endpoints of the environment; current while the caller holds its lock.
pub async fn subscriptions(
    mut conn: &Conn,
    environment: EnvironmentId,
) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<(EndpointId, Vec<String>, Option<OrganizationId>)> = endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::deleted_at.is_null())
        .filter(endpoints::disabled_reason.is_null())
        .order(endpoints::id)
        .select((
            endpoints::id,
            endpoints::event_patterns,
            endpoints::organization_id,
        ))
        .load(&mut conn)
        .await?;
    let subscription =
        |(endpoint, texts, organization): (EndpointId, Vec<String>, Option<OrganizationId>)| {
            let patterns = patterns(&texts)
                .ok_or_else(|| StoreError::corrupt(format!("patterns of {endpoint}")))?;
            Ok(Subscription {
                endpoint,
                patterns,
                organization,
            })
        };
    rows.into_iter().map(subscription).collect()
}
