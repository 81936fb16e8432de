-- Replays: what is sent again in bulk, as jobs that outlive the server. A new table: no lock. The index on deliveries
-- takes a lock that settlements wait for, as long as it takes to read the history once: about a second for a million
-- deliveries. It holds only what was not delivered, so a delivery that goes well never writes to it.

CREATE TABLE replays (
    environment_id uuid NOT NULL REFERENCES environments,
    id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    scope text NOT NULL CONSTRAINT replays_scope_known CHECK (scope IN ('failed', 'missing', 'all')),
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL,
    -- Deliveries a second.
    rate integer NOT NULL CONSTRAINT replays_rate_positive CHECK (rate > 0),
    state text NOT NULL CONSTRAINT replays_state_known
        CHECK (state IN ('pending', 'running', 'completed', 'cancelled', 'failed')),
    failure text CONSTRAINT replays_failure_iff_failed CHECK ((failure IS NOT NULL) = (state = 'failed')),
    -- What there was to send when it was asked for, counted so far, and whether that was all.
    total bigint NOT NULL,
    total_at_least boolean NOT NULL,
    made bigint NOT NULL,
    -- The last event, or failed delivery, that was looked at; NULL before the first. It moves in the transaction that
    -- makes the deliveries.
    looked_through uuid,
    -- When the next deliveries may be made: this is what holds the rate.
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT replays_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT replays_finished_iff_ended CHECK ((finished_at IS NULL) = (state IN ('pending', 'running')))
);

-- Whose turn is next.
CREATE INDEX replays_at_work ON replays (environment_id, next_at) WHERE state IN ('pending', 'running');
-- Those of an endpoint, and of an organization's endpoints.
CREATE INDEX replays_endpoint ON replays (environment_id, endpoint_id, id);
-- What an endpoint did not get.
CREATE INDEX deliveries_failed ON deliveries (environment_id, endpoint_id, id) WHERE state <> 'delivered';
