-- The portal: links that let somebody in once, and the sessions of who is in. New tables only: no lock.
-- What opens a link or a session is never stored: 256 random bits need no salt and no slow hash.
-- A row names who may see what: an operator sees the environment, everybody else one organization.

CREATE TABLE portal_links (
    environment_id uuid NOT NULL REFERENCES environments,
    id uuid NOT NULL,
    secret_sha256 bytea NOT NULL,
    role text NOT NULL CONSTRAINT portal_links_role_known CHECK (role IN ('operator', 'manager', 'viewer')),
    organization_id uuid CONSTRAINT portal_links_organization_unless_operator
        CHECK ((organization_id IS NULL) = (role = 'operator')),
    name text NOT NULL,
    -- Whose key made it: revoked, nothing that came of it opens any more.
    api_key_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT portal_links_pkey PRIMARY KEY (environment_id, id)
);

CREATE UNIQUE INDEX portal_links_secret_unique ON portal_links (environment_id, secret_sha256);
CREATE INDEX portal_links_expires_at ON portal_links (environment_id, expires_at);

CREATE TABLE portal_sessions (
    environment_id uuid NOT NULL REFERENCES environments,
    id uuid NOT NULL,
    secret_sha256 bytea NOT NULL,
    role text NOT NULL CONSTRAINT portal_sessions_role_known CHECK (role IN ('operator', 'manager', 'viewer')),
    organization_id uuid CONSTRAINT portal_sessions_organization_unless_operator
        CHECK ((organization_id IS NULL) = (role = 'operator')),
    name text NOT NULL,
    api_key_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT portal_sessions_pkey PRIMARY KEY (environment_id, id)
);

CREATE UNIQUE INDEX portal_sessions_secret_unique ON portal_sessions (environment_id, secret_sha256);
CREATE INDEX portal_sessions_expires_at ON portal_sessions (environment_id, expires_at);
