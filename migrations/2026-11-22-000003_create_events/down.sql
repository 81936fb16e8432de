DROP TABLE idempotency_keys;
DROP TABLE events;
DROP TABLE event_sequences;
