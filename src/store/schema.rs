//! The tables as the migrated database has them; tests/it/house/schema.rs holds this text against it.

diesel::table! {
    all_deliveries (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        event_id -> Uuid,
        endpoint_id -> Uuid,
        state -> Text,
        reason -> Nullable<Text>,
        attempts -> Int2,
        replay_of -> Nullable<Uuid>,
        created_at -> Timestamptz,
        due_at -> Nullable<Timestamptz>,
        leased -> Bool,
        settled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        environment_id -> Uuid,
        name -> Text,
        secret_sha256 -> Bytea,
        hint -> Text,
        permissions -> Array<Text>,
        created_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    attempts (environment_id, delivery_id, lease_id) {
        environment_id -> Uuid,
        delivery_id -> Uuid,
        lease_id -> Uuid,
        number -> Int2,
        started_at -> Timestamptz,
        duration_ms -> Int4,
        outcome -> Text,
        status -> Nullable<Int2>,
        detail -> Nullable<Text>,
        answer_headers -> Nullable<Text>,
        answer_body -> Nullable<Bytea>,
    }
}

diesel::table! {
    deliveries (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        event_id -> Uuid,
        endpoint_id -> Uuid,
        state -> Text,
        reason -> Nullable<Text>,
        attempts -> Int2,
        replay_of -> Nullable<Uuid>,
        created_at -> Timestamptz,
        settled_at -> Timestamptz,
    }
}

diesel::table! {
    endpoints (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        url -> Text,
        event_patterns -> Array<Text>,
        description -> Text,
        disabled_reason -> Nullable<Text>,
        secret_sealed -> Bytea,
        secret_since -> Timestamptz,
        previous_secret_sealed -> Nullable<Bytea>,
        previous_secret_until -> Nullable<Timestamptz>,
        retry_delays_seconds -> Nullable<Array<Int4>>,
        failing_since -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    environments (id) {
        id -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    event_sequences (environment_id) {
        environment_id -> Uuid,
        endpoints_version -> Int8,
        dropped_through_id -> Nullable<Uuid>,
        dropped_through_position -> Int8,
    }
}

diesel::table! {
    events (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        position -> Int8,
        organization_id -> Nullable<Uuid>,
        event_type -> Text,
        body -> Text,
    }
}

diesel::table! {
    idempotency_keys (environment_id, scope, key) {
        environment_id -> Uuid,
        scope -> Text,
        key -> Text,
        fingerprint -> Bytea,
        first_object_id -> Uuid,
        last_object_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    installation (id) {
        id -> Int2,
        master_key_check -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    organization_domains (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        organization_id -> Uuid,
        domain -> Text,
        state -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    organizations (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        name -> Text,
        external_id -> Nullable<Text>,
        stripe_customer_id -> Nullable<Text>,
        allow_profiles_outside_organization -> Bool,
        metadata -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    outbox (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        event_id -> Uuid,
        endpoint_id -> Uuid,
        due_at -> Timestamptz,
        attempts -> Int2,
        lease_id -> Nullable<Uuid>,
        worker_id -> Nullable<Uuid>,
        replay_of -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    workers (id) {
        id -> Uuid,
        host -> Text,
        started_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(organization_domains, organizations);
