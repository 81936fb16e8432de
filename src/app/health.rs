//! Health: whether this process can do its work now.

use std::time::Duration;

use super::context::App;
use crate::store::migrate;

/// How long readiness looks before it gives up.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// What one check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Ok,
    Failed(&'static str),
}

/// Whether the platform can take and send events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    pub database: Check,
    pub migrations: Check,
    pub dispatcher: Check,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        [self.database, self.migrations, self.dispatcher]
            .iter()
            .all(|check| *check == Check::Ok)
    }
}

/// Looks at everything that a request needs.
pub async fn ready(app: &App) -> Readiness {
    let looked = tokio::time::timeout(LOOK_FOR, async {
        let mut conn = app.store().express().await?;
        migrate::is_complete(&mut conn).await
    })
    .await;
    let (database, migrations) = match looked {
        Ok(Ok(true)) => (Check::Ok, Check::Ok),
        Ok(Ok(false)) => (
            Check::Ok,
            Check::Failed("migrations are missing; run `tidings migrate`"),
        ),
        Ok(Err(_)) | Err(_) => (
            Check::Failed("the database does not answer"),
            Check::Failed("not known without the database"),
        ),
    };
    let dispatcher = match app.handoff().is_open() {
        true => Check::Ok,
        false => Check::Failed("the dispatcher has stopped"),
    };
    Readiness {
        database,
        migrations,
        dispatcher,
    }
}
