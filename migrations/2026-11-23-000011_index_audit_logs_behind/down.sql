ALTER INDEX audit_log_entries_targets RESET (gin_pending_list_limit);
ALTER INDEX audit_log_entries_search RESET (gin_pending_list_limit);
