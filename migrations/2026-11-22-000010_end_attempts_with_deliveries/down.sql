DROP VIEW all_attempts;

INSERT INTO attempts (environment_id, delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail,
                      answer_headers, answer_body)
    SELECT environment_id, id, last_lease_id, attempts, last_started_at, last_duration_ms, last_outcome, last_status,
           last_detail, last_answer_headers, last_answer_body
    FROM deliveries
    WHERE last_outcome IS NOT NULL;

ALTER TABLE deliveries
    DROP COLUMN last_lease_id,
    DROP COLUMN last_started_at,
    DROP COLUMN last_duration_ms,
    DROP COLUMN last_outcome,
    DROP COLUMN last_status,
    DROP COLUMN last_detail,
    DROP COLUMN last_answer_headers,
    DROP COLUMN last_answer_body;
