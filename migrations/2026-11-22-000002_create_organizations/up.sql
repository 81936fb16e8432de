-- The customers inside an environment. New tables only: no lock.
-- metadata is text, not jsonb: it comes back as it was sent, and jsonb refuses \u0000.

CREATE TABLE organizations (
    environment_id uuid NOT NULL REFERENCES environments,
    id uuid NOT NULL,
    name text NOT NULL,
    external_id text,
    stripe_customer_id text,
    allow_profiles_outside_organization boolean NOT NULL,
    metadata text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT organizations_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT organizations_external_id_unique UNIQUE (environment_id, external_id)
);

CREATE TABLE organization_domains (
    environment_id uuid NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    domain text NOT NULL,
    state text NOT NULL CONSTRAINT organization_domains_state_known CHECK (state IN ('pending', 'verified')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT organization_domains_pkey PRIMARY KEY (environment_id, id),
    CONSTRAINT organization_domains_domain_unique UNIQUE (environment_id, domain),
    CONSTRAINT organization_domains_organization_fkey FOREIGN KEY (environment_id, organization_id)
        REFERENCES organizations (environment_id, id) ON DELETE CASCADE
);

CREATE INDEX organization_domains_organization ON organization_domains (environment_id, organization_id);
