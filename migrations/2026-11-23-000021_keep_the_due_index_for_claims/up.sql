-- While the outbox holds few rows, which is nearly always, every index on it looks as good as any other, and a look-up
-- of one delivery by its key was planned through outbox_due: through all that its environment is owed, and all that
-- vacuum has not removed yet. An index with a predicate is used only by statements that say the same, and those are the
-- ones that look for what is due; every row fulfils it. Building it takes a lock that writers wait for, as long as it
-- takes to read the outbox: under a second for a hundred thousand rows.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (environment_id, endpoint_id, due_at) WHERE due_at > '-infinity';
