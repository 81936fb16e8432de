-- Exports that always end, and whose files are deleted in small steps. Columns with a constant default, or none,
-- change the catalogue alone; the lock is brief.
ALTER TABLE audit_log_exports
    -- Turns in a row that have failed for a reason that may pass.
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    -- Its chunks are to be deleted; until they are gone nothing is written.
    ADD COLUMN clearing boolean NOT NULL DEFAULT false,
    -- The first entry that the file may rest on without holding it; NULL before it was looked for.
    ADD COLUMN relies_from bigint;

-- What those left behind that have ended.
UPDATE audit_log_exports SET clearing = true WHERE state IN ('error', 'expired');

-- Whose turn is next. Reads and writes a few rows: the lock that keeps writers out is brief.
CREATE INDEX audit_log_exports_at_work ON audit_log_exports (environment_id, updated_at)
    WHERE state = 'pending' OR clearing;
-- Those of a trail, and of an environment, of which there is something to delete or to come.
CREATE INDEX audit_log_exports_kept ON audit_log_exports (environment_id, organization_id, id)
    WHERE state <> 'expired' OR clearing;
