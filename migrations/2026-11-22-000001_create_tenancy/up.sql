-- Who owns what: environments, their API keys, the running workers, and the installation itself.
-- These four are lookup tables: small, read by every server, and the only ones whose primary key does not
-- begin with environment_id (on a distributed Postgres they are reference tables). New tables only: no lock.

CREATE TABLE installation (
    -- One row.
    id smallint PRIMARY KEY CONSTRAINT installation_single CHECK (id = 1),
    -- Seals a known text under the master key: a server with another key is refused at start.
    master_key_check bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE environments (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT environments_name_unique UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    environment_id uuid NOT NULL REFERENCES environments,
    name text NOT NULL,
    -- The key itself is never stored. 256 random bits need no salt and no slow hash.
    secret_sha256 bytea NOT NULL CONSTRAINT api_keys_secret_unique UNIQUE,
    hint text NOT NULL,
    permissions text[] NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- A worker holds a session advisory lock on its id; whoever can take that lock may release its leases.
CREATE TABLE workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    started_at timestamptz NOT NULL
);
