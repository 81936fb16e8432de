DROP INDEX events_type;
