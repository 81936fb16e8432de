-- The feed is read by type: without this a reader of a rare one waited for a walk through all others. Building it locks
-- the events against writing for as long as it takes, about a minute for ten million of them.
CREATE INDEX events_type ON events (environment_id, event_type, id);
