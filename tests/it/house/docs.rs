//! The documents, held against the code and against each other.

use std::collections::BTreeSet;
use std::fs;

use tidings::domain::access::Permission;
use tidings::domain::audit::OwnAction;
use tidings::http::problem::Code;
use tidings::http::routes;

use super::source::{files, project};

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document, by its path from the project's folder.
fn documents() -> Vec<String> {
    let mut documents = files("docs", "md");
    documents.push("README.md".to_owned());
    documents
}

#[test]
fn every_problem_code_is_documented_with_its_status() {
    let text = read("docs/API.md");
    let documented: BTreeSet<(u16, &str)> = text
        .lines()
        .filter_map(|line| {
            let (status, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
            Some((status.parse().ok()?, rest.split('`').next()?))
        })
        .collect();

    let known: BTreeSet<_> = Code::ALL
        .iter()
        .map(|code| (code.status().as_u16(), code.as_str()))
        .collect();

    assert_eq!(documented, known);
}

#[test]
fn every_operation_and_every_permission_is_documented() {
    let text = read("docs/API.md");
    let operations = text.split("## Operations").nth(1).unwrap();
    let operations = operations.split("\n## ").next().unwrap();

    for route in routes() {
        let action = route.path.split('/').nth(3);
        let named = match action {
            Some(action) if !action.starts_with('{') => action,
            _ => &route.path,
        };
        assert!(
            operations.contains(named),
            "{} {}",
            route.method,
            route.path
        );
        let method = route.method.as_str();
        assert!(operations.contains(method), "{method} {}", route.path);
    }
    for permission in Permission::ALL {
        assert!(
            operations.contains(&format!("`{permission}`")),
            "{permission}"
        );
    }
}

#[test]
fn every_action_of_the_own_trail_is_documented() {
    let text = read("docs/API.md");

    for action in OwnAction::ALL {
        let action = action.as_str();
        assert!(text.contains(&format!("`{action}`")), "{action}");
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for path in documents() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&read(&path)) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => resolve(folder, file),
            };
            let exists = project().join(&target).is_file();
            if !exists || (!anchor.is_empty() && !anchors(&read(&target)).contains(anchor)) {
                broken.push(format!("{path}: {link}"));
            }
        }
    }

    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_decision_is_in_the_architecture() {
    let text = read("docs/ARCHITECTURE.md");

    for path in files("docs/adr", "md") {
        let link = path.trim_start_matches("docs/");
        assert!(text.contains(&format!("({link})")), "{link}");
    }
}

#[test]
fn the_map_names_files_that_are_there() {
    let text = read("docs/ARCHITECTURE.md");
    let walk = text.split("## The walk").nth(1).unwrap();
    let mut named = 0;
    for word in walk
        .split('`')
        .filter(|word| word.ends_with(".rs") && word.contains('/'))
    {
        named += 1;
        let there = project().join("src").join(word).is_file();
        assert!(there, "src/{word} is in the walk and not in the house");
    }

    assert!(named >= 10, "the walk was not found");
}

#[test]
fn the_readme_names_the_two_commands() {
    let text = read("README.md");
    let lines: Vec<_> = text.lines().collect();

    for command in ["cargo run --release", "cargo test"] {
        let alone = |line: &&str| {
            line.split('#')
                .next()
                .is_some_and(|line| line.trim() == command)
        };
        assert!(lines.iter().any(alone), "{command}");
    }
}

/// The targets of links that lead inside the project, code left out.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for prose in text.split("```").step_by(2) {
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split(')').next().unwrap();
            if !target.contains("://") {
                links.push(target.to_owned());
            }
        }
    }
    links
}

/// The path of `file`, as written in a document in `folder`.
fn resolve(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that headings make: lower case, blanks as dashes, other signs dropped.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
        .collect()
}

#[test]
fn links_and_anchors_are_found() {
    let text =
        "# `[log]` and_more!\n[a](../b.md#c) ```\n[no](code)\n``` [web](https://e.org) [d](#e)";

    assert_eq!(links(text), ["../b.md#c", "#e"]);
    assert_eq!(resolve("docs/adr", "../b.md"), "docs/b.md");
    assert!(anchors(text).contains("log-and_more"));
}
