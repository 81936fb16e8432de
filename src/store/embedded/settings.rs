//! What the embedded cluster is told from outside, and where it lives when nobody says.
//!
//! Invariant: nothing here reads the environment; whoever loads the configuration hands over `Home`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

const SYSTEM_DATA_DIR: &str = "/var/lib/tidings";

/// Where a cluster lives and where its server binaries may be found.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// Relative paths are taken from the current directory.
    pub data_dir: PathBuf,
    /// The folder that holds `postgres` and `initdb`; searched for when `None`.
    pub bin_dir: Option<PathBuf>,
    pub home: Home,
}

/// The part of the environment that decides about folders.
#[derive(Debug, Clone, Default)]
pub struct Home {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`
    pub xdg_data_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `PATH`
    pub path: Option<OsString>,
}

/// Returns the data directory of a run that names none.
///
/// Root gets a system folder: its home is 0700, and the unprivileged user who runs PostgreSQL could not enter
/// it. A user without a home gets the same folder, where a service's user is expected to have been let in.
///
/// Source: XDG Base Directory Specification (relative values are to be ignored).
pub fn default_data_dir(home: &Home, root: bool) -> PathBuf {
    if root {
        return PathBuf::from(SYSTEM_DATA_DIR);
    }
    let user_home = absolute(home.home.as_deref());
    if cfg!(target_os = "macos") {
        return match user_home {
            Some(user_home) => user_home.join("Library/Application Support/tidings"),
            None => PathBuf::from(SYSTEM_DATA_DIR),
        };
    }
    match (absolute(home.xdg_data_home.as_deref()), user_home) {
        (Some(data_home), _) => data_home.join("tidings"),
        (None, Some(user_home)) => user_home.join(".local/share/tidings"),
        (None, None) => PathBuf::from(SYSTEM_DATA_DIR),
    }
}

fn absolute(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(home: &str, data_home: Option<&str>) -> Home {
        Home {
            home: Some(PathBuf::from(home)),
            xdg_data_home: data_home.map(PathBuf::from),
            ..Home::default()
        }
    }

    #[test]
    fn root_keeps_its_data_outside_its_closed_home() {
        let home = home("/root", Some("/root/data"));

        assert_eq!(default_data_dir(&home, true), Path::new("/var/lib/tidings"));
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn a_user_keeps_data_in_the_users_data_folder() {
        let plain = default_data_dir(&home("/home/ann", None), false);
        let named = default_data_dir(&home("/home/ann", Some("/data/ann")), false);
        let relative = default_data_dir(&home("/home/ann", Some("data")), false);

        assert_eq!(plain, Path::new("/home/ann/.local/share/tidings"));
        assert_eq!(named, Path::new("/data/ann/tidings"));
        assert_eq!(relative, Path::new("/home/ann/.local/share/tidings"));
    }
}
