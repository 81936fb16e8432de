-- Endpoints, the outbox, and what came of it. New tables only: no lock.

CREATE TABLE endpoints (
    environment_id uuid NOT NULL REFERENCES environments,
    id uuid NOT NULL,
    organization_id uuid,
    url text NOT NULL,
    event_patterns text[] NOT NULL,
    description text NOT NULL,
    disabled_reason text CONSTRAINT endpoints_disabled_reason_known
        CHECK (disabled_reason IN ('by_hand', 'gone', 'failing')),
    -- Sealed under the master key, with the endpoint's id as associated data.
    secret_sealed bytea NOT NULL,
    secret_since timestamptz NOT NULL,
    previous_secret_sealed bytea,
    previous_secret_until timestamptz,
    retry_delays_seconds integer[],
    failing_since timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT endpoints_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT endpoints_previous_secret_whole
        CHECK ((previous_secret_sealed IS NULL) = (previous_secret_until IS NULL))
);

-- One URL once for each organization, and once for none.
CREATE UNIQUE INDEX endpoints_url_unique ON endpoints
    (environment_id, coalesce(organization_id, '00000000-0000-0000-0000-000000000000'::uuid), url)
    WHERE deleted_at IS NULL;

-- The outbox: deliveries that are still owed, and nothing else, so that it stays small however long the
-- history grows. A row says when it is due; a lease is a later due time plus an id.
-- Settled rows move to deliveries in the transaction that settles them. No foreign key to endpoints: rows
-- are inserted under the environment's lock, and endpoints are only ever marked as deleted.
CREATE TABLE outbox (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    lease_id uuid,
    worker_id uuid,
    replay_of uuid,
    created_at timestamptz NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT outbox_leased_by_a_worker CHECK ((lease_id IS NULL) = (worker_id IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Claims walk it endpoint by endpoint, so that a million rows of one endpoint are never in another's way.
CREATE INDEX outbox_due ON outbox (environment_id, endpoint_id, due_at);

-- The history: written once, never changed. A delivery's id has its event's time, so a partition holds
-- the deliveries of the events of the same range, and both are dropped together.
CREATE TABLE deliveries (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT deliveries_state_known CHECK (state IN ('delivered', 'exhausted', 'cancelled')),
    reason text CONSTRAINT deliveries_reason_iff_cancelled CHECK ((reason IS NOT NULL) = (state = 'cancelled')),
    attempts smallint NOT NULL,
    replay_of uuid,
    created_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL,
    CONSTRAINT deliveries_pkey PRIMARY KEY (environment_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;

CREATE INDEX deliveries_endpoint ON deliveries (environment_id, endpoint_id, id);
-- What went wrong is rare and looked for.
CREATE INDEX deliveries_not_delivered ON deliveries (environment_id, state, id) WHERE state <> 'delivered';

-- One POST each. The key holds the lease and not the number: a worker that lost its lease still records
-- what it did, and a settlement that runs twice records it once.
CREATE TABLE attempts (
    environment_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    lease_id uuid NOT NULL,
    number smallint NOT NULL,
    started_at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL CONSTRAINT attempts_outcome_known
        CHECK (outcome IN ('accepted', 'refused', 'timed_out', 'unreachable', 'forbidden')),
    status smallint,
    detail text,
    answer_headers text,
    answer_body bytea,
    CONSTRAINT attempts_pkey PRIMARY KEY (environment_id, delivery_id, lease_id)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- Every delivery, owed or settled, in one shape.
CREATE VIEW all_deliveries AS
    SELECT environment_id, id, event_id, endpoint_id, 'pending' AS state, NULL AS reason, attempts, replay_of,
           created_at, due_at, lease_id IS NOT NULL AS leased, NULL::timestamptz AS settled_at
    FROM outbox
    UNION ALL
    SELECT environment_id, id, event_id, endpoint_id, state, reason, attempts, replay_of,
           created_at, NULL::timestamptz, false, settled_at
    FROM deliveries;
