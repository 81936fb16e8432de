DROP VIEW all_deliveries;
DROP TABLE attempts;
DROP TABLE deliveries;
DROP TABLE outbox;
DROP TABLE endpoints;
