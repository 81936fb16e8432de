//! Finds `postgres` and `initdb` on this machine.
//!
//! Invariant: a folder counts only if the user who will run the server can run its `postgres` and it names a
//! supported version. A configured folder is the only one looked at. Does not download anything.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::account::Account;
use super::error::EmbeddedError;
use super::settings::{EmbeddedSettings, Home};

/// The oldest major version whose behaviour Tidings relies on.
pub(super) const MAJOR_MIN: u32 = 14;
/// The search, in words, for the message of a search in vain.
pub(super) const LOOKED_IN: &str = "PATH, pg_config --bindir, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, /usr/local/pgsql/bin, Homebrew, Postgres.app";

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Folders whose children named with the prefix hold a folder `bin`.
const PARENTS: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

/// A folder with server binaries of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds the binaries of `cluster`: of exactly its major version if it exists, else the newest.
    pub(super) async fn find(
        settings: &EmbeddedSettings,
        account: &Account,
        cluster: &Path,
        wanted: Option<u32>,
    ) -> Result<Self, EmbeddedError> {
        let found = match &settings.bin_dir {
            Some(dir) => vec![Self::configured(dir, account).await?],
            None => Self::installed(&settings.home, account).await,
        };
        choose(&found, wanted)
            .cloned()
            .ok_or_else(|| absent(&found, cluster, wanted))
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    async fn configured(dir: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        let dir = std::path::absolute(dir).map_err(EmbeddedError::io("find", dir))?;
        account.check_can_enter(&dir)?;
        if !holds_server(&dir) {
            let reason = "it has no `postgres` and `initdb`".to_owned();
            return Err(EmbeddedError::BadBinDir { dir, reason });
        }
        match major_of(&dir, account).await {
            Ok(major) => Ok(Self { dir, major }),
            Err(reason) => Err(EmbeddedError::BadBinDir { dir, reason }),
        }
    }

    async fn installed(home: &Home, account: &Account) -> Vec<Self> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for dir in candidates(home).await {
            let Ok(real) = dir.canonicalize() else {
                continue;
            };
            if !holds_server(&real) || !seen.insert(real) {
                continue;
            }
            match major_of(&dir, account).await {
                Ok(major) => found.push(Self { dir, major }),
                Err(reason) => {
                    tracing::debug!(dir = %dir.display(), reason, "skipped a PostgreSQL server")
                }
            }
        }
        found
    }
}

/// Returns the wanted major, or the newest supported one; of two folders with it the one found first.
fn choose(found: &[Binaries], wanted: Option<u32>) -> Option<&Binaries> {
    let fits = |binaries: &&Binaries| match wanted {
        Some(wanted) => binaries.major == wanted,
        None => binaries.major >= MAJOR_MIN,
    };
    // `max_by_key` keeps the last of equals, so the search order is turned around
    found
        .iter()
        .rev()
        .filter(fits)
        .max_by_key(|binaries| binaries.major)
}

fn absent(found: &[Binaries], cluster: &Path, wanted: Option<u32>) -> EmbeddedError {
    if let Some(wanted) = wanted {
        let mut majors: Vec<u32> = found.iter().map(|binaries| binaries.major).collect();
        majors.sort_unstable();
        majors.dedup();
        return EmbeddedError::NoSuchMajor {
            wanted,
            cluster: cluster.to_path_buf(),
            found: majors,
        };
    }
    match found.iter().max_by_key(|binaries| binaries.major) {
        Some(newest) => EmbeddedError::TooOld {
            found: newest.major,
            dir: newest.dir.clone(),
        },
        None => EmbeddedError::NoServer,
    }
}

async fn candidates(home: &Home) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = match &home.path {
        // an empty or relative entry means the current directory, which nobody vouches for
        Some(path) => env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .collect(),
        None => Vec::new(),
    };
    if let Some(dir) = pg_config_bindir(&dirs).await {
        dirs.push(dir);
    }
    for (parent, prefix) in PARENTS {
        dirs.extend(versions_in(Path::new(parent), prefix));
    }
    dirs.push(PathBuf::from("/usr/local/pgsql/bin"));
    dirs
}

async fn pg_config_bindir(path: &[PathBuf]) -> Option<PathBuf> {
    let program = path
        .iter()
        .map(|dir| dir.join("pg_config"))
        .find(|file| file.is_file())?;
    let mut command = Command::new(program);
    command.arg("--bindir");
    let answer = answer_of(command).await.ok()?;
    Some(PathBuf::from(answer.trim())).filter(|dir| dir.is_absolute())
}

fn versions_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(children) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut dirs: Vec<PathBuf> = children
        .flatten()
        .filter(|child| child.file_name().to_string_lossy().starts_with(prefix))
        .map(|child| child.path().join("bin"))
        .collect();
    dirs.sort();
    dirs
}

fn holds_server(dir: &Path) -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

async fn major_of(dir: &Path, account: &Account) -> Result<u32, String> {
    let mut command = Command::new(dir.join("postgres"));
    command.arg("--version").current_dir("/");
    account.run(&mut command);
    let answer = answer_of(command).await?;
    parse_major(&answer).ok_or_else(|| format!("`postgres --version` said: {}", answer.trim()))
}

async fn answer_of(mut command: Command) -> Result<String, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(ANSWER_WITHIN, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(elapsed) => return Err(elapsed.to_string()),
    };
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shape: `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, `… 18beta1`.
fn parse_major(answer: &str) -> Option<u32> {
    let (_, version) = answer.split_once("(PostgreSQL) ")?;
    let digits: &str = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(dir: &str, major: u32) -> Binaries {
        Binaries {
            dir: PathBuf::from(dir),
            major,
        }
    }

    #[test]
    fn a_new_cluster_takes_the_newest_major_and_the_folder_found_first() {
        let found = [
            binaries("/a", 15),
            binaries("/b", 17),
            binaries("/c", 17),
            binaries("/d", 16),
        ];

        assert_eq!(choose(&found, None), Some(&binaries("/b", 17)));
    }

    #[test]
    fn an_existing_cluster_takes_its_own_major_or_none() {
        let found = [binaries("/a", 15), binaries("/b", 17)];

        assert_eq!(choose(&found, Some(15)), Some(&binaries("/a", 15)));
        assert_eq!(choose(&found, Some(16)), None);
    }

    #[test]
    fn an_old_server_alone_is_named_not_taken() {
        let found = [binaries("/a", 13)];

        assert_eq!(choose(&found, None), None);
        let error = absent(&found, Path::new("/data/postgres"), None);
        assert_eq!(
            error.to_string(),
            "only PostgreSQL 13 found on this machine, at /a; Tidings needs 14 or newer"
        );
    }

    #[test]
    fn the_major_is_read_from_released_and_unreleased_versions() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("postgres (EdgeDB) 1"), None);
    }
}
