//! The operator's own Postgres: TLS, several hosts, and settings that Tidings does not have in its hand.

use std::path::Path;
use std::process::Command;

use crate::process::{PlainPostgres, Receiver, Site, eventually, free_port, seconds, text};

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_the_database_is_checked_against_the_named_authority() {
    let keys = tempfile::tempdir().unwrap();
    if let Err(missing) = make_keys(keys.path()) {
        println!("skipped: openssl cannot be run: {missing}");
        return;
    }
    let mut postgres = PlainPostgres::create();
    for name in ["server.pem", "server.key"] {
        postgres.write(name, &std::fs::read(keys.path().join(name)).unwrap());
    }
    postgres.write("pg_hba.conf", b"hostssl all all 127.0.0.1/32 trust\n");
    postgres
        .start(&[
            "ssl=on",
            "ssl_cert_file=server.pem",
            "ssl_key_file=server.key",
        ])
        .await;
    let site = |options: &str, authority: Option<&str>| {
        let site = Site::on_database(&postgres.url(options));
        match authority {
            Some(name) => site.with(
                "TIDINGS__DATABASE__CA_FILE",
                keys.path().join(name).to_str().unwrap(),
            ),
            None => site,
        }
    };

    site("sslmode=require", Some("ca.pem"))
        .serve()
        .await
        .stop()
        .await;
    site("sslmode=prefer", Some("ca.pem"))
        .serve()
        .await
        .stop()
        .await;
    for (options, authority, word) in [
        ("sslmode=require", Some("other.pem"), "certificate"),
        ("sslmode=require", None, "certificate"),
        (
            "sslmode=require",
            Some("no-such-file.pem"),
            "no-such-file.pem",
        ),
        // Postgres takes nobody without TLS
        ("sslmode=disable", Some("ca.pem"), "pg_hba.conf"),
    ] {
        let output = site(options, authority)
            .run(&["serve", "--listen", "127.0.0.1:0"])
            .await;

        let said = text(&output.stderr);
        assert!(!output.status.success(), "{options} {authority:?}: {said}");
        assert!(said.contains(word), "{options} {authority:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_the_one_that_lives_is_used() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&[]).await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", free_port(), postgres.port);
    let url = format!("postgres://tidings@{hosts}/postgres?target_session_attrs=read-write");
    let site = Site::on_database(&url);

    let server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let event = server.publish(1).await;

    eventually("it is delivered", seconds(10), async || {
        receiver.ids().contains(&event).then_some(())
    })
    .await;
    let settings = site.json(&["config", "print", "--json", "--reveal"]).await;
    assert_eq!(settings["database"]["url"], *url);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_without_fsync_is_refused() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&["fsync=off", "full_page_writes=off"]).await;
    let site = Site::on_database(&postgres.url("sslmode=disable"));

    let output = site.run(&["serve", "--listen", "127.0.0.1:0"]).await;

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("fsync, full_page_writes"), "{said}");
}

/// Two authorities, and a server's key that the first has signed.
fn make_keys(folder: &Path) -> std::io::Result<()> {
    let openssl = |line: &str| -> std::io::Result<()> {
        let made = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(folder)
            .output()?;
        assert!(made.status.success(), "{line}: {}", text(&made.stderr));
        Ok(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for name in ["ca", "other"] {
        openssl(&format!(
            "req -x509 {key} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"
        ))?;
    }
    std::fs::write(
        folder.join("names"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n",
    )?;
    openssl(&format!(
        "req {key} -keyout server.key -out server.csr -subj /CN=localhost"
    ))?;
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    )
}
