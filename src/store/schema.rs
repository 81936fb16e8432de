//! The tables as the migrated database has them; tests/it/house/schema.rs holds this text against it.

diesel::table! {
    all_attempts (environment_id, delivery_id, lease_id) {
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
    audit_log_checkpoints (environment_id, id) {
        environment_id -> Uuid,
        organization_id -> Uuid,
        size -> Int8,
        note -> Text,
        created_at -> Timestamptz,
        id -> Uuid,
        root -> Bytea,
    }
}

diesel::table! {
    audit_log_entries (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        organization_id -> Uuid,
        leaf_index -> Int8,
        event_id -> Uuid,
        action -> Text,
        occurred_at -> Timestamptz,
        actor_id -> Text,
        actor_name -> Nullable<Text>,
        targets -> Array<Text>,
        object -> Text,
        salts -> Nullable<Bytea>,
        commitments -> Nullable<Bytea>,
        search -> Text,
    }
}

diesel::table! {
    audit_log_export_chunks (environment_id, export_id, number) {
        environment_id -> Uuid,
        export_id -> Uuid,
        number -> Int4,
        bytes -> Bytea,
    }
}

diesel::table! {
    audit_log_exports (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        organization_id -> Uuid,
        format -> Text,
        filter -> Text,
        range_start -> Nullable<Timestamptz>,
        range_end -> Nullable<Timestamptz>,
        state -> Text,
        written_through -> Nullable<Int8>,
        entries -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        checkpoint -> Nullable<Text>,
        checkpoint_size -> Nullable<Int8>,
        authorities_through -> Nullable<Int8>,
        failures -> Int4,
        clearing -> Bool,
        relies_from -> Nullable<Int8>,
    }
}

diesel::table! {
    audit_log_nodes (environment_id, organization_id, level, number) {
        environment_id -> Uuid,
        organization_id -> Uuid,
        level -> Int2,
        number -> Int8,
        hash -> Bytea,
    }
}

diesel::table! {
    audit_log_redactions (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        organization_id -> Uuid,
        filter -> Text,
        reason -> Nullable<Text>,
        state -> Text,
        size -> Int8,
        looked_through -> Nullable<Int8>,
        redacted -> Int8,
        unreadable -> Int8,
        held_deliveries -> Array<Uuid>,
        held_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    audit_log_schemas (environment_id, action, version) {
        environment_id -> Uuid,
        action -> Text,
        version -> Int4,
        definition -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    audit_log_signing_keys (environment_id, number) {
        environment_id -> Uuid,
        number -> Int4,
        verifier -> Text,
        seed_sealed -> Nullable<Bytea>,
        created_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    audit_log_trees (environment_id, organization_id) {
        environment_id -> Uuid,
        organization_id -> Uuid,
        size -> Int8,
        frontier -> Bytea,
        retention_days -> Nullable<Int4>,
        checkpoint_size -> Int8,
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
        last_lease_id -> Nullable<Uuid>,
        last_started_at -> Nullable<Timestamptz>,
        last_duration_ms -> Nullable<Int4>,
        last_outcome -> Nullable<Text>,
        last_status -> Nullable<Int2>,
        last_detail -> Nullable<Text>,
        last_answer_headers -> Nullable<Text>,
        last_answer_body -> Nullable<Bytea>,
    }
}

diesel::table! {
    endpoint_breakers (environment_id, endpoint_id) {
        environment_id -> Uuid,
        endpoint_id -> Uuid,
        state -> Text,
        since -> Timestamptz,
        probe_at -> Nullable<Timestamptz>,
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
    event_types (environment_id, name) {
        environment_id -> Uuid,
        name -> Text,
        description -> Text,
        json_schema -> Nullable<Text>,
        example -> Nullable<Text>,
        deprecated -> Bool,
        enforced -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
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
        old_master_key_check -> Nullable<Bytea>,
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
    portal_links (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        secret_sha256 -> Bytea,
        role -> Text,
        organization_id -> Nullable<Uuid>,
        name -> Text,
        api_key_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    portal_sessions (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        secret_sha256 -> Bytea,
        role -> Text,
        organization_id -> Nullable<Uuid>,
        name -> Text,
        api_key_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    replays (environment_id, id) {
        environment_id -> Uuid,
        id -> Uuid,
        endpoint_id -> Uuid,
        scope -> Text,
        range_start -> Timestamptz,
        range_end -> Timestamptz,
        rate -> Int4,
        state -> Text,
        failure -> Nullable<Text>,
        total -> Int8,
        total_at_least -> Bool,
        made -> Int8,
        looked_through -> Nullable<Uuid>,
        next_at -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    workers (id) {
        id -> Uuid,
        host -> Text,
        started_at -> Timestamptz,
        master_keys -> Array<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(organization_domains, organizations);
diesel::allow_tables_to_appear_in_same_query!(all_attempts, all_deliveries);
diesel::allow_tables_to_appear_in_same_query!(audit_log_export_chunks, audit_log_exports,);
