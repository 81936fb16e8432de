-- The attempt that ends a delivery is part of its history row: most deliveries have no other, and a row and a key
-- of its own for it cost as much as the rest of the settlement. Nullable columns: the table is not rewritten.
ALTER TABLE deliveries
    ADD COLUMN last_lease_id uuid,
    ADD COLUMN last_started_at timestamptz,
    ADD COLUMN last_duration_ms integer,
    ADD COLUMN last_outcome text CONSTRAINT deliveries_last_outcome_known
        CHECK (last_outcome IN ('accepted', 'refused', 'timed_out', 'unreachable', 'forbidden')),
    ADD COLUMN last_status smallint,
    ADD COLUMN last_detail text,
    ADD COLUMN last_answer_headers text,
    ADD COLUMN last_answer_body bytea;

-- As in attempts: what is erased must not live on in the planner's samples.
ALTER TABLE deliveries
    ALTER COLUMN last_answer_headers SET STATISTICS 0,
    ALTER COLUMN last_answer_body SET STATISTICS 0;

-- Every attempt, in one shape.
CREATE VIEW all_attempts AS
    SELECT environment_id, delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail,
           answer_headers, answer_body
    FROM attempts
    UNION ALL
    SELECT environment_id, id, last_lease_id, attempts, last_started_at, last_duration_ms, last_outcome, last_status,
           last_detail, last_answer_headers, last_answer_body
    FROM deliveries
    WHERE last_outcome IS NOT NULL;
