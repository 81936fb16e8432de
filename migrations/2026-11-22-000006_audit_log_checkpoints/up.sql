-- Checkpoints get ids and keep the root beside the note; signing keys can be retired; a tree knows its last
-- checkpoint. The first two tables are empty until now; a column with a constant default rewrites nothing, so
-- each lock is held for a moment.

ALTER TABLE audit_log_checkpoints
    ADD COLUMN id uuid NOT NULL,
    ADD COLUMN root bytea NOT NULL,
    DROP CONSTRAINT audit_log_checkpoints_pkey,
    ADD CONSTRAINT audit_log_checkpoints_pkey PRIMARY KEY (environment_id, id),
    ADD CONSTRAINT audit_log_checkpoints_size_unique UNIQUE (environment_id, organization_id, size);

-- What lists one trail's checkpoints, newest first.
CREATE INDEX audit_log_checkpoints_trail ON audit_log_checkpoints (environment_id, organization_id, id);

-- A key that is retired has signed its last: its seed is gone, what verifies its signatures stays.
ALTER TABLE audit_log_signing_keys
    ADD COLUMN retired_at timestamptz,
    ALTER COLUMN seed_sealed DROP NOT NULL,
    ADD CONSTRAINT audit_log_signing_keys_retired_without_seed
        CHECK ((seed_sealed IS NULL) = (retired_at IS NOT NULL));

-- The size of the tree at its last checkpoint: where it is smaller than size, there is something new. In no
-- index, so that the row that every entry changes can still be changed in place.
ALTER TABLE audit_log_trees ADD COLUMN checkpoint_size bigint NOT NULL DEFAULT 0;
