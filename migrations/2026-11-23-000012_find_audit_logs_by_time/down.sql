CREATE INDEX audit_log_entries_occurred_at ON audit_log_entries (environment_id, organization_id, occurred_at);
DROP INDEX audit_log_entries_time;
