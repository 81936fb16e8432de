-- A master key can be replaced while servers run. Columns with no default, or a constant one, change the catalogue
-- alone; the lock is brief.
ALTER TABLE installation
    -- Seals the known text under the master key before, for as long as something may be sealed under that one.
    ADD COLUMN old_master_key_check bytea;

ALTER TABLE workers
    -- Fingerprints of the master keys that the server has: it must know a new one before anything is sealed under it.
    ADD COLUMN master_keys text[] NOT NULL DEFAULT '{}';
