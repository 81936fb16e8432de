DELETE FROM audit_log_exports WHERE range_start IS NULL OR range_end IS NULL OR format = 'ndjson';
ALTER TABLE audit_log_exports
    ALTER COLUMN range_start SET NOT NULL,
    ALTER COLUMN range_end SET NOT NULL,
    DROP COLUMN checkpoint,
    DROP COLUMN checkpoint_size,
    DROP COLUMN authorities_through;
