-- Exports with proofs. ADD COLUMN without a default and DROP NOT NULL change the catalogue alone; the lock is brief.
ALTER TABLE audit_log_exports
    -- NULL: from the first entry, to the last.
    ALTER COLUMN range_start DROP NOT NULL,
    ALTER COLUMN range_end DROP NOT NULL,
    -- The signed note that the proofs are made against, and its size; NULL for formats without proofs.
    ADD COLUMN checkpoint text,
    ADD COLUMN checkpoint_size bigint,
    -- The last entry that was looked at as an authority; NULL before the entries themselves are written.
    ADD COLUMN authorities_through bigint;
