ALTER TABLE audit_log_trees DROP COLUMN checkpoint_size;
-- Of a retired key nothing is left that could sign.
DELETE FROM audit_log_signing_keys WHERE seed_sealed IS NULL;
ALTER TABLE audit_log_signing_keys
    DROP CONSTRAINT audit_log_signing_keys_retired_without_seed,
    ALTER COLUMN seed_sealed SET NOT NULL,
    DROP COLUMN retired_at;
DROP INDEX audit_log_checkpoints_trail;
ALTER TABLE audit_log_checkpoints
    DROP CONSTRAINT audit_log_checkpoints_size_unique,
    DROP CONSTRAINT audit_log_checkpoints_pkey,
    ADD CONSTRAINT audit_log_checkpoints_pkey PRIMARY KEY (environment_id, organization_id, size),
    DROP COLUMN root,
    DROP COLUMN id;
