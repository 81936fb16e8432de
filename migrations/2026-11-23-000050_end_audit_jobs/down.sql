DROP INDEX audit_log_exports_kept;
DROP INDEX audit_log_exports_at_work;
-- What is still to be deleted would pass for a file.
DELETE FROM audit_log_export_chunks USING audit_log_exports AS export
    WHERE audit_log_export_chunks.environment_id = export.environment_id
          AND audit_log_export_chunks.export_id = export.id AND export.clearing;
ALTER TABLE audit_log_exports
    DROP COLUMN relies_from,
    DROP COLUMN clearing,
    DROP COLUMN failures;
