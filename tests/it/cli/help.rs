//! Help that teaches, and refusals that help.

use super::USAGE;
use crate::process::{Site, text};

#[tokio::test]
async fn every_command_explains_itself() {
    let site = Site::new();
    for (command, words) in [
        ("", "Examples:"),
        ("serve", "SIGTERM"),
        ("migrate", "Examples:"),
        ("environments", "create"),
        ("environments create", "Example:"),
        ("environments list", "--json"),
        ("keys", "revoke"),
        ("keys create", "Permissions: events:write"),
        ("keys list", "--json"),
        ("keys revoke", "key_"),
        ("portal", "link"),
        ("portal link", "opens once"),
        ("audit", "keys"),
        ("audit keys", "rotate"),
        ("audit keys list", "--environment"),
        ("audit keys rotate", "both sign"),
        ("audit keys retire", "stays listed"),
        ("config", "check"),
        ("config print", "--reveal"),
        ("config check", "without starting"),
        ("replays", "cancel"),
        ("replays create", "Examples:"),
        ("replays preview", "missing"),
        ("replays list", "--endpoint"),
        ("replays show", "--json"),
        ("replays cancel", "REPLAY"),
        ("events", "tail"),
        ("events publish", "Examples:"),
        ("events tail", "--no-follow"),
        ("receive", "--fail-first"),
        ("demo", "one flaky, one dead"),
        ("bench", "Without --url a private platform"),
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");

        let help = site.run(&arguments).await;

        let told = text(&help.stdout);
        assert!(help.status.success(), "{command}");
        assert!(told.contains("Usage: tidings"), "{command}: {told}");
        assert!(told.contains(words), "{words} is not in: {told}");
        assert!(help.stderr.is_empty(), "{command}");
    }
    assert!(!site.data_dir().exists(), "help starts nothing");
}

#[tokio::test]
async fn wrong_usage_is_told_on_standard_error_with_its_own_exit_code() {
    let site = Site::new();
    for (arguments, word) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["serve", "--port", "80"], "--port"),
        (&["nonsense"], "nonsense"),
        (&["keys"], "Usage:"),
        (
            &["keys", "revoke", "env_01ARZ3NDEKTSV4RRFFQ69G5FAV"],
            "key_",
        ),
        (
            &["keys", "create", "--permissions", "everything"],
            "everything",
        ),
        (&["--listen", "8080"], "8080"),
    ] {
        let output = site.run(arguments).await;

        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}: {said}");
        assert!(said.contains(word), "{word} is not in: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_version_is_the_package_s() {
    let version = Site::new().run(&["--version"]).await;

    assert_eq!(
        text(&version.stdout),
        concat!("tidings ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
