//! The app: everything that the platform's verbs need, built once and handed to both doors.

use std::sync::Arc;

use super::api_keys::KeyCache;
use super::audit_schemas::Demands;
use super::event_types::Enforced;
use crate::config::ShownSetting;
use crate::domain::event::EventLimits;
use crate::domain::time::Clock;
use crate::egress::Policy;
use crate::ingest::Recorder;
use crate::store::Store;
use crate::store::handoff::Handoff;

/// What may be set.
#[derive(Debug, Clone)]
pub struct AppSettings {
    pub event_limits: EventLimits,
    /// Audit log events whose action has no schema are refused.
    pub audit_schemas_required: bool,
    /// Where callers reach the API, without a slash at the end.
    pub public_url: String,
    /// Origins that may show the portal in a frame.
    pub frame_ancestors: Vec<String>,
    /// What operators may see of the configuration.
    pub in_effect: Vec<ShownSetting>,
}

/// What an app is made of.
pub struct AppParts {
    pub store: Store,
    pub recorder: Recorder,
    pub clock: Clock,
    pub policy: Arc<Policy>,
    pub handoff: Handoff,
    pub settings: AppSettings,
}

/// The platform as its doors see it. Cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: Arc<AppParts>,
    keys: Arc<KeyCache>,
    demands: Arc<Demands>,
    enforced: Arc<Enforced>,
}

impl App {
    pub fn new(parts: AppParts) -> Self {
        Self {
            parts: Arc::new(parts),
            keys: Arc::default(),
            demands: Arc::default(),
            enforced: Arc::default(),
        }
    }

    pub fn settings(&self) -> &AppSettings {
        &self.parts.settings
    }

    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    pub(super) fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.parts.recorder
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    pub(super) fn handoff(&self) -> &Handoff {
        &self.parts.handoff
    }

    pub(super) fn keys(&self) -> &KeyCache {
        &self.keys
    }

    /// What entries of audit actions must meet.
    pub(super) fn demands(&self) -> &Demands {
        &self.demands
    }

    /// The schemas that are enforced on events.
    pub(super) fn enforced(&self) -> &Enforced {
        &self.enforced
    }
}
