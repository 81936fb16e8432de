//! What an embedded cluster refuses, and how it says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;

use nix::unistd::{Uid, User, chown, geteuid};
use tidings::store::embedded::{Embedded, EmbeddedError};

use super::scratch::{Scratch, connect, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_and_told_the_process_of_the_first() {
    let scratch = Scratch::new();
    let first = Embedded::start(&scratch.settings).await.unwrap();

    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    let process = format!("process {}", process::id());
    assert!(refused.to_string().contains(&process), "{refused}");
    first.stop().await.unwrap();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_whose_pid_is_another_process_now_does_not_keep_the_server_down() {
    let scratch = Scratch::new();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let pid_file = scratch.cluster().join("postmaster.pid");
    let stale = format!(
        "{}\n{}\n0\n5432\n/nowhere\n",
        process::id(),
        scratch.cluster().display()
    );
    fs::write(&pid_file, stale).unwrap();
    own_like_the_cluster(&scratch, &pid_file);

    let embedded = Embedded::start(&scratch.settings).await.unwrap();

    assert_ne!(embedded.postmaster_pid(), i32::try_from(process::id()).ok());
    let client = connect(embedded.url()).await;
    assert_eq!(text(&client, "SELECT 'up'").await, "up");
    embedded.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_shows_its_fatal_line() {
    let scratch = Scratch::new();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let config = scratch.cluster().join("postgresql.conf");
    let mut content = fs::read_to_string(&config).unwrap();
    content.push_str("\nshared_buffers = 64TB\nmin_wal_size = 1kB\n");
    fs::write(&config, content).unwrap();

    let failed = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        matches!(failed, EmbeddedError::StartFailed { .. }),
        "{failed:?}"
    );
    assert!(
        failed.to_string().contains("FATAL:  configuration file"),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_a_version_that_is_not_installed_names_the_version() {
    let scratch = Scratch::new();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(scratch.cluster().join("PG_VERSION"), "99\n").unwrap();

    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        refused
            .to_string()
            .starts_with("no PostgreSQL 99 (the version of "),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_folder_without_a_server_is_named() {
    let mut scratch = Scratch::new();
    scratch.settings.bin_dir = Some(PathBuf::from("/usr/bin"));

    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        refused
            .to_string()
            .starts_with("no PostgreSQL server in /usr/bin"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_below_a_closed_folder_names_the_folder() {
    let scratch = Scratch::with_data_dir("home/data");
    let home = scratch.root().join("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();

    let started = Embedded::start(&scratch.settings).await;

    // only root has to let another user through
    match started {
        Ok(embedded) => {
            assert!(!geteuid().is_root());
            embedded.stop().await.unwrap();
        }
        Err(refused) => {
            let advice = format!("`chmod o+x {}`", home.display());
            assert!(refused.to_string().contains(&advice), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_files_in_the_place_of_the_cluster_are_left_alone() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.cluster()).unwrap();
    fs::set_permissions(
        &scratch.settings.data_dir,
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let precious = scratch.cluster().join("precious");
    fs::write(&precious, "mine").unwrap();

    if geteuid().is_root() {
        let nobody = User::from_name("nobody").unwrap().unwrap();
        chown(&scratch.cluster(), Some(nobody.uid), Some(nobody.gid)).unwrap();
    }
    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        matches!(refused, EmbeddedError::NotACluster { .. }),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_restored_by_root_is_told_whose_it_should_be() {
    if !geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    chown(&scratch.cluster(), Some(Uid::from_raw(0)), None).unwrap();

    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        matches!(refused, EmbeddedError::OwnedByRoot { .. }),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_said_and_not_replaced() {
    let scratch = Scratch::new();
    Embedded::start(&scratch.settings)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::remove_file(scratch.settings.data_dir.join("postgres.password")).unwrap();

    let refused = Embedded::start(&scratch.settings).await.unwrap_err();

    assert!(
        matches!(refused, EmbeddedError::PasswordLost { .. }),
        "{refused:?}"
    );
}

fn own_like_the_cluster(scratch: &Scratch, path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(scratch.cluster()).unwrap();
    chown(path, Some(owner.uid().into()), Some(owner.gid().into())).unwrap();
}
