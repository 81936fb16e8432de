DROP INDEX deliveries_failed;
DROP TABLE replays;
