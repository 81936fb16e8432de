-- The paper trail. New tables only: no lock.
-- organization_id is the nil uuid for the environment's own trail: a key column cannot be NULL.

-- What entries of an action must look like, by version; a version never changes.
CREATE TABLE audit_log_schemas (
    environment_id uuid NOT NULL REFERENCES environments,
    action text NOT NULL,
    version integer NOT NULL,
    definition text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT audit_log_schemas_pkey PRIMARY KEY (environment_id, action, version)
);

-- What is known of an event type; when enforced, events that do not fit are refused.
CREATE TABLE event_types (
    environment_id uuid NOT NULL REFERENCES environments,
    name text NOT NULL,
    description text NOT NULL,
    json_schema text,
    example text,
    deprecated boolean NOT NULL,
    enforced boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT event_types_pkey PRIMARY KEY (environment_id, name)
);

-- One row for each trail: the right edge of its Merkle tree. Locked after the environment's lock.
CREATE TABLE audit_log_trees (
    environment_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    size bigint NOT NULL,
    frontier bytea NOT NULL,
    -- Days that entries are kept; NULL: for ever.
    retention_days integer,
    CONSTRAINT audit_log_trees_pkey PRIMARY KEY (environment_id, organization_id)
);

-- Every complete node of every tree, leaves at level 0. Append-only; they stay when entries leave, so that
-- proofs of the rest still verify.
CREATE TABLE audit_log_nodes (
    environment_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    level smallint NOT NULL,
    number bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_log_nodes_pkey PRIMARY KEY (environment_id, organization_id, level, number)
);

-- The entries. object is what is shown; leaf is what the tree commits to: rebuilt from object and salts, or from
-- object and commitments once the entry is redacted.
CREATE TABLE audit_log_entries (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    leaf_index bigint NOT NULL,
    event_id uuid NOT NULL,
    action text NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor_id text NOT NULL,
    actor_name text,
    -- Each target as `type` and as `type:id`.
    targets text[] NOT NULL,
    object text NOT NULL,
    salts bytea,
    commitments bytea,
    -- Names and metadata as words; empty once the entry is redacted.
    search text NOT NULL,
    CONSTRAINT audit_log_entries_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT audit_log_entries_leaf_unique UNIQUE (environment_id, organization_id, leaf_index),
    CONSTRAINT audit_log_entries_salted_or_redacted CHECK ((salts IS NULL) <> (commitments IS NULL))
);

CREATE INDEX audit_log_entries_occurred_at ON audit_log_entries (environment_id, organization_id, occurred_at);
CREATE INDEX audit_log_entries_action ON audit_log_entries (environment_id, action, id);
CREATE INDEX audit_log_entries_actor ON audit_log_entries (environment_id, actor_id, id);
CREATE INDEX audit_log_entries_targets ON audit_log_entries USING gin (targets);
CREATE INDEX audit_log_entries_search ON audit_log_entries USING gin (to_tsvector('simple', search));

-- Exports: durable jobs. The file is kept in chunks, written as it is made, so a restart goes on after the last.
CREATE TABLE audit_log_exports (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    format text NOT NULL CONSTRAINT audit_log_exports_format_known CHECK (format IN ('csv', 'ndjson')),
    filter text NOT NULL,
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT audit_log_exports_state_known
        CHECK (state IN ('pending', 'ready', 'error', 'expired')),
    -- The last entry that is in a chunk; NULL before the first.
    written_through bigint,
    entries bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT audit_log_exports_pkey PRIMARY KEY (environment_id, id)
);

CREATE INDEX audit_log_exports_pending ON audit_log_exports (environment_id, id) WHERE state = 'pending';

CREATE TABLE audit_log_export_chunks (
    environment_id uuid NOT NULL,
    export_id uuid NOT NULL,
    number integer NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT audit_log_export_chunks_pkey PRIMARY KEY (environment_id, export_id, number),
    CONSTRAINT audit_log_export_chunks_export_fkey FOREIGN KEY (environment_id, export_id)
        REFERENCES audit_log_exports (environment_id, id) ON DELETE CASCADE
);

-- Signed tree heads.
CREATE TABLE audit_log_checkpoints (
    environment_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    size bigint NOT NULL,
    note text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT audit_log_checkpoints_pkey PRIMARY KEY (environment_id, organization_id, size)
);

-- The keys that sign checkpoints; the newest signs.
CREATE TABLE audit_log_signing_keys (
    environment_id uuid NOT NULL,
    number integer NOT NULL,
    verifier text NOT NULL,
    seed_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT audit_log_signing_keys_pkey PRIMARY KEY (environment_id, number)
);
