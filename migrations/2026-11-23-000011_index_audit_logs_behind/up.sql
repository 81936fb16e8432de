-- New entries wait in a list of each GIN index until they are merged into it. At the default limit (4 MB) the
-- transaction that fills the list merges it, and that transaction holds an environment's lock. Now upkeep merges
-- every minute, long before the list is full. Changes the catalogue alone; the locks are brief and let reads and
-- writes pass.
ALTER INDEX audit_log_entries_targets SET (gin_pending_list_limit = 32768);
ALTER INDEX audit_log_entries_search SET (gin_pending_list_limit = 32768);
