DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (environment_id, endpoint_id, due_at);
