-- Circuit breakers: one small row for each endpoint that is not sent to as usual, and none for the others. What is
-- owed to an endpoint is never rewritten when its breaker opens. A new table: no lock.
-- No foreign key to endpoints, as in the outbox: they are only ever marked as deleted.

CREATE TABLE endpoint_breakers (
    environment_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    state text NOT NULL CONSTRAINT endpoint_breakers_state_known CHECK (state IN ('open', 'half_open')),
    -- Since when it is in this state.
    since timestamptz NOT NULL,
    -- When the next attempt is let through; NULL while it is half open.
    probe_at timestamptz,
    CONSTRAINT endpoint_breakers_pkey PRIMARY KEY (environment_id, endpoint_id),
    CONSTRAINT endpoint_breakers_probe_iff_open CHECK ((probe_at IS NOT NULL) = (state = 'open'))
);
