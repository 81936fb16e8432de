-- Erasure. A new table, and columns that statistics must not copy: both change the catalogue alone.
-- organization_id is the nil uuid for the environment's own trail, as in all tables of audit logs.

-- Requests to redact entries: durable jobs.
CREATE TABLE audit_log_redactions (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    -- What matches: ids and times, never names.
    filter text NOT NULL,
    reason text,
    state text NOT NULL CONSTRAINT audit_log_redactions_state_known CHECK (state IN ('pending', 'done', 'error')),
    -- How many leaves the tree had when it was asked for; none later is redacted.
    size bigint NOT NULL,
    -- The last leaf that was looked at; NULL before the first.
    looked_through bigint,
    redacted bigint NOT NULL,
    -- Entries that match and cannot be read.
    unreadable bigint NOT NULL,
    -- Deliveries that were being sent when they were cancelled, and when the last of their leases ends.
    held_deliveries uuid[] NOT NULL,
    held_until timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT audit_log_redactions_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT audit_log_redactions_finished CHECK ((state = 'pending') = (finished_at IS NULL))
);

CREATE INDEX audit_log_redactions_pending ON audit_log_redactions (environment_id, id) WHERE state = 'pending';

-- The planner's statistics hold samples of values: what is erased must not live on in them. On a partitioned table
-- this reaches the partitions there are; those to come are made so by store/partitions.rs.
ALTER TABLE audit_log_entries
    ALTER COLUMN actor_name SET STATISTICS 0,
    ALTER COLUMN object SET STATISTICS 0,
    ALTER COLUMN search SET STATISTICS 0;
ALTER INDEX audit_log_entries_search ALTER COLUMN 1 SET STATISTICS 0;
ALTER TABLE events ALTER COLUMN body SET STATISTICS 0;
ALTER TABLE attempts
    ALTER COLUMN answer_headers SET STATISTICS 0,
    ALTER COLUMN answer_body SET STATISTICS 0;
ALTER TABLE audit_log_export_chunks ALTER COLUMN bytes SET STATISTICS 0;
ALTER TABLE audit_log_exports ALTER COLUMN filter SET STATISTICS 0;
