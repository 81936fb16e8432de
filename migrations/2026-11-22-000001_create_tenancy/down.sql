DROP TABLE workers;
DROP TABLE api_keys;
DROP TABLE environments;
DROP TABLE installation;
