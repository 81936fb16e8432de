DROP TABLE endpoint_breakers;
