-- The feed. New tables only: no lock.

-- One row for each environment: the lock that makes ids, positions and commits one order. It is locked by
-- every transaction that records an event, and changed only by the rare ones that change the fan-out or
-- drop a partition: a row that was updated at every commit would leave dead versions behind.
CREATE TABLE event_sequences (
    environment_id uuid NOT NULL REFERENCES environments,
    -- Counts the changes of endpoints; a fan-out table of another version is out of date.
    endpoints_version bigint NOT NULL DEFAULT 0,
    -- The last event that retention dropped; the next one comes after it.
    dropped_through_id uuid,
    dropped_through_position bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_sequences_pkey PRIMARY KEY (environment_id)
);

-- An id begins with its time in milliseconds, so partitions by id are partitions by time.
-- body is the event object of the wire: text and not jsonb, because the bytes stored are the bytes signed.
-- created_at is the id's time and has no column.
CREATE TABLE events (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    position bigint NOT NULL,
    organization_id uuid,
    event_type text NOT NULL,
    body text NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (environment_id, id)
) PARTITION BY RANGE (id);

-- Takes what no other partition holds, so that a wrong clock never refuses an insert.
CREATE TABLE events_default PARTITION OF events DEFAULT;

CREATE INDEX events_organization ON events (environment_id, organization_id, id) WHERE organization_id IS NOT NULL;

-- What a request that named itself has made. Not partitioned by time: its key could not hold.
-- An answer is a reference and rendered again, so that no answer, and no secret in one, is kept as text.
-- The events of one request have consecutive ids, so the first and the last name them all.
-- No foreign key: the row is written under the environment's lock, and a check for each insert costs more
-- than the insert.
CREATE TABLE idempotency_keys (
    environment_id uuid NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    first_object_id uuid NOT NULL,
    last_object_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (environment_id, scope, key)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (environment_id, created_at);
