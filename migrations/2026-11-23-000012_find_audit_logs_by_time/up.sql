-- Entries are looked for by time with an organization and without. One index is enough for both: what lies between two
-- times is read in the order of time, and the organization is compared in the index. Building it locks the entries
-- against writing for as long as it takes, about a minute for ten million of them.
CREATE INDEX audit_log_entries_time ON audit_log_entries (environment_id, occurred_at, organization_id);
DROP INDEX audit_log_entries_occurred_at;
