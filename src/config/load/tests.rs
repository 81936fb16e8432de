//! Which source of a setting wins, and what is refused.

use std::os::unix::ffi::OsStringExt;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn listen(value: &str) -> FlagSetting {
    FlagSetting {
        name: "--listen",
        key: "server.listen",
        value: Value::One(value.to_owned()),
    }
}

fn in_effect(loaded: &Loaded, key: &str) -> (String, String) {
    let setting = loaded.settings.get(key).unwrap();
    (setting.value.to_string(), setting.origin.to_string())
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = file("[server]\nlisten = \"127.0.0.1:2\"\n");
    let path = file.path();
    let variables = environment(&[("TIDINGS__SERVER__LISTEN", "127.0.0.1:3")]);

    let default = load_from(None, [], &[]).unwrap();
    let from_file = load_from(Some(path), [], &[]).unwrap();
    let from_environment = load_from(Some(path), variables.clone(), &[]).unwrap();
    let from_flag = load_from(Some(path), variables, &[listen("127.0.0.1:4")]).unwrap();

    let of = |loaded: &Loaded| in_effect(loaded, "server.listen");
    assert_eq!(
        of(&default),
        ("127.0.0.1:8080".to_owned(), "default".to_owned())
    );
    assert_eq!(
        of(&from_file),
        ("127.0.0.1:2".to_owned(), format!("{}:2", path.display()))
    );
    assert_eq!(
        of(&from_environment),
        (
            "127.0.0.1:3".to_owned(),
            "environment TIDINGS__SERVER__LISTEN".to_owned()
        )
    );
    assert_eq!(
        of(&from_flag),
        ("127.0.0.1:4".to_owned(), "flag --listen".to_owned())
    );
    assert_eq!(from_flag.config.server.listen.port(), 4);
}

#[test]
fn every_special_name_sets_its_key_and_gives_way_to_the_spelled_out_one() {
    for (name, key) in SPECIAL {
        let value = match key {
            "database.url" => "postgres://u:p@h/db",
            "server.listen" => "127.0.0.1:9",
            "bootstrap.api_key" => "sk_0123456789abcdef",
            _ => "sixteen bytes at least",
        };
        let loaded = load_from(None, environment(&[(name, value)]), &[]).unwrap();
        assert_eq!(
            in_effect(&loaded, key),
            (value.to_owned(), format!("environment {name}"))
        );
    }
    let both = [
        ("TIDINGS__SERVER__LISTEN", "127.0.0.1:1"),
        ("TIDINGS_LISTEN", "127.0.0.1:2"),
    ];
    let loaded = load_from(None, environment(&both), &[]).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 1);
}

#[test]
fn an_empty_special_name_is_as_if_not_set() {
    let loaded = load_from(
        None,
        environment(&[
            ("DATABASE_URL", ""),
            ("TIDINGS_LISTEN", ""),
            ("TIDINGS_CONFIG", ""),
        ]),
        &[],
    )
    .unwrap();

    assert_eq!(
        in_effect(&loaded, "database.url"),
        (String::new(), "default".to_owned())
    );
}

#[test]
fn a_list_from_the_environment_is_separated_by_commas() {
    let variables = [
        ("TIDINGS__DELIVERY__RETRY_DELAYS", "1s, 2m"),
        ("TIDINGS__EGRESS__ALLOW", "10.0.0.0/8,::1"),
    ];
    let config = load_from(None, environment(&variables), &[])
        .unwrap()
        .config;

    assert_eq!(
        config.delivery.retry_schedule.delays(),
        [1, 120].map(std::time::Duration::from_secs)
    );
    assert_eq!(config.egress.allow.len(), 2);
}

#[test]
fn values_of_a_file_may_be_numbers_truths_and_lists() {
    let file = file("[server]\nworkers = 3\n[egress]\nallow = ['10.0.0.1']\nhttps_only = true\n");
    let config = load_from(Some(file.path()), [], &[]).unwrap().config;

    assert_eq!(
        (
            config.server.workers,
            config.egress.allow.len(),
            config.egress.https_only
        ),
        (3, 1, true)
    );
}

#[test]
fn wrong_names_and_wrong_values_of_all_places_are_reported_together() {
    let file = file("[delivery]\ntimeot = \"15s\"\nlease = \"60\"\n");
    let path = file.path().display().to_string();
    let variables = environment(&[
        ("TIDINGS__SERVR__LISTEN", "127.0.0.1:1"),
        ("TIDINGS__LISTEN", "127.0.0.1:1"),
    ]);

    let error = load_from(Some(file.path()), variables, &[listen("8080")]).unwrap_err();

    let expected = [
        format!("delivery.timeot ({path}:2): there is no such key; did you mean delivery.timeout?"),
        "server.listen (flag --listen): must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned(),
        "servr.listen (environment TIDINGS__SERVR__LISTEN): there is no such key; did you mean server.listen?".to_owned(),
        format!("delivery.lease ({path}:3): must be a duration with its unit, such as 15s, 10m or 90d"),
    ];
    let text = error.to_string();
    for line in expected {
        assert!(text.contains(&line), "{line}\nis not in\n{text}");
    }
    assert_eq!(error.faults.len(), 5, "{text}");
}

#[test]
fn names_that_a_container_platform_makes_are_left_alone() {
    let variables = [
        ("TIDINGS_PORT", "tcp://10.0.0.1:8080"),
        ("TIDINGS_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];

    assert!(load_from(None, environment(&variables), &[]).is_ok());
}

#[test]
fn a_value_that_is_no_text_is_refused_by_name() {
    let variables = [(
        OsString::from("TIDINGS_DATA_DIR"),
        OsString::from_vec(vec![0xff]),
    )];
    let error = load_from(None, variables, &[]).unwrap_err();

    assert_eq!(
        error.faults[0].to_string(),
        "data.dir (environment TIDINGS_DATA_DIR): must be UTF-8"
    );
}

#[test]
fn a_secret_that_is_refused_is_not_repeated() {
    let variables = [
        ("TIDINGS_MASTER_KEY", "hunter2"),
        ("TIDINGS_BOOTSTRAP_API_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@h/db"),
    ];
    let error = load_from(None, environment(&variables), &[]).unwrap_err();

    assert_eq!(error.faults.len(), 3);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = Path::new("/nowhere/tidings.toml");
    let by_flag = load_from(Some(missing), [], &[]).unwrap_err();
    let by_variable = load_from(
        None,
        environment(&[("TIDINGS_CONFIG", "/nowhere/tidings.toml")]),
        &[],
    )
    .unwrap_err();

    assert!(
        by_flag
            .to_string()
            .contains("/nowhere/tidings.toml: cannot be read"),
        "{by_flag}"
    );
    assert_eq!(by_flag, by_variable);
}

#[test]
fn no_secret_is_printed_with_what_was_loaded() {
    let variables = [
        ("TIDINGS_MASTER_KEY", "hunter2hunter2hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@h/db"),
    ];
    let loaded = load_from(None, environment(&variables), &[]).unwrap();

    assert!(!format!("{loaded:?}").contains("hunter2"));
}
