ALTER TABLE workers DROP COLUMN master_keys;
ALTER TABLE installation DROP COLUMN old_master_key_check;
