//! The files of an embedded cluster: what lies where in the data directory, and where the socket goes.
//!
//! Invariant: paths are absolute and free of links, so that one data directory has one name; folders the server
//! writes to are 0700 and its own; files root opens in them are never followed through a link.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use super::account::{self, Account};
use super::error::EmbeddedError;
use super::settings::{EmbeddedSettings, Home};

/// The port names the socket's file; nothing listens on the network.
pub(super) const PORT: u16 = 5432;

/// Source: `sun_path` of `struct sockaddr_un`, without its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The paths below one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    data_dir: PathBuf,
}

impl Layout {
    /// Returns the layout of a data directory, which is created when it is missing.
    pub(super) fn prepare(settings: &EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let wanted = &settings.data_dir;
        let data_dir = std::path::absolute(wanted).map_err(EmbeddedError::io("find", wanted))?;
        create_data_dir(&data_dir)?;
        let data_dir = data_dir
            .canonicalize()
            .map_err(EmbeddedError::io("open", &data_dir))?;
        Ok(Self { data_dir })
    }

    /// Returns the layout of a data directory that is already there.
    pub(super) fn existing(settings: &EmbeddedSettings) -> Option<Self> {
        let data_dir = settings.data_dir.canonicalize().ok()?;
        Some(Self { data_dir })
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The PostgreSQL data folder.
    pub(super) fn cluster(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// What the postmaster says before its own log is open; written anew at each start.
    pub(super) fn start_log(&self) -> PathBuf {
        self.data_dir.join("postgres.start.log")
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    pub(super) fn serve_lock(&self) -> PathBuf {
        self.data_dir.join("serve.lock")
    }

    pub(super) fn gate_lock(&self) -> PathBuf {
        self.data_dir.join("cluster.lock")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.data_dir.join("users.lock")
    }

    /// Creates the folder of the socket, inside the data directory if its path is short enough.
    pub(super) fn open_socket_dir(
        &self,
        home: &Home,
        account: &Account,
    ) -> Result<PathBuf, EmbeddedError> {
        let dirs = socket_dirs(&self.data_dir, home, account::is_root());
        for dir in &dirs {
            let opened = dir
                .parent()
                .map_or(Ok(()), |parent| account.check_can_enter(parent));
            match opened.and_then(|()| make_private_dir(dir, account)) {
                Ok(()) => return Ok(dir.clone()),
                Err(error) => {
                    tracing::debug!(dir = %dir.display(), %error, "skipped a folder for the socket")
                }
            }
        }
        Err(EmbeddedError::NoSocketFolder {
            data_dir: self.data_dir.clone(),
            max_bytes: SOCKET_PATH_BYTES_MAX,
            tried: dirs,
        })
    }

    /// Removes a socket folder outside the data directory; one inside stays.
    pub(super) fn close_socket_dir(&self, dir: &Path) {
        if dir.starts_with(&self.data_dir) {
            return;
        }
        if let Err(error) = fs::remove_dir(dir) {
            tracing::debug!(dir = %dir.display(), %error, "left the folder of the socket");
        }
    }

    /// Opens a file of Tidings itself, 0600, for the owner of the data directory even when root creates it.
    pub(super) fn open_own_file(&self, path: &Path) -> Result<File, EmbeddedError> {
        let open = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(path)?;
            if account::is_root() {
                let owner = fs::metadata(&self.data_dir)?;
                fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(file)
        };
        open().map_err(EmbeddedError::io("open", path))
    }
}

/// Returns where the socket may go, best first, without the paths that are too long.
///
/// Outside the data directory the name is derived from its path, so that two of them do not meet.
fn socket_dirs(data_dir: &Path, home: &Home, root: bool) -> Vec<PathBuf> {
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    let mut name = format!("tidings-{}", hex::encode(digest));
    name.truncate("tidings-".len() + 16);
    let runtime = if root {
        Some(Path::new("/run"))
    } else {
        home.xdg_runtime_dir.as_deref()
    };

    let mut dirs = vec![data_dir.join("socket")];
    dirs.extend(
        runtime
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(&name)),
    );
    dirs.push(Path::new("/tmp").join(&name));
    dirs.retain(|dir| fits_a_socket(dir));
    dirs
}

fn fits_a_socket(dir: &Path) -> bool {
    let socket = dir.join(format!(".s.PGSQL.{PORT}"));
    socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// Makes `dir` a folder that `account` owns and nobody else can enter, or refuses one that is not so.
///
/// Someone else may have made it first, in a shared folder such as /tmp: theirs is never used.
pub(super) fn make_private_dir(dir: &Path, account: &Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(EmbeddedError::io("create", dir)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::symlink_metadata(dir).map_err(EmbeddedError::io("look at", dir))?;
    // new, or left by a root that died before handing it over
    if account::is_root() && metadata.uid() == 0 {
        account.own(dir)?;
    } else if metadata.uid() != account.uid {
        let path = dir.to_path_buf();
        return Err(EmbeddedError::Foreign {
            path,
            owner: metadata.uid(),
        });
    }
    if !metadata.is_dir() || metadata.mode() & 0o077 != 0 {
        let error = io::Error::other("it must be a folder of mode 0700");
        return Err(EmbeddedError::io("use", dir)(error));
    }
    Ok(())
}

/// Creates what is missing of the way to the data directory.
///
/// As root, with modes that let the server's user through whatever the umask says; as anyone else, closed.
fn create_data_dir(data_dir: &Path) -> Result<(), EmbeddedError> {
    let missing: Vec<&Path> = data_dir
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            // another command is creating the same
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            created => created.map_err(EmbeddedError::io("create", folder))?,
        }
        let mode = match (account::is_root(), folder == data_dir) {
            (true, true) => 0o711,
            (true, false) => 0o755,
            (false, true) => 0o700,
            (false, false) => continue,
        };
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder, permissions)
            .map_err(EmbeddedError::io("change the mode of", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_runtime_dir() -> Home {
        Home {
            xdg_runtime_dir: Some(PathBuf::from("/run/user/1000")),
            ..Home::default()
        }
    }

    #[test]
    fn the_socket_lies_in_the_data_directory_when_its_path_is_short() {
        let dirs = socket_dirs(Path::new("/var/lib/tidings"), &with_runtime_dir(), true);

        assert_eq!(dirs[0], Path::new("/var/lib/tidings/socket"));
    }

    #[test]
    fn the_socket_of_a_long_path_goes_to_the_runtime_folder_of_whoever_runs_it() {
        let long = PathBuf::from(format!("/{}", "d".repeat(120)));

        let root = socket_dirs(&long, &with_runtime_dir(), true);
        let user = socket_dirs(&long, &with_runtime_dir(), false);
        let bare = socket_dirs(&long, &Home::default(), false);

        assert!(
            root[0].to_string_lossy().starts_with("/run/tidings-"),
            "{root:?}"
        );
        assert!(
            user[0]
                .to_string_lossy()
                .starts_with("/run/user/1000/tidings-"),
            "{user:?}"
        );
        assert!(
            bare[0].to_string_lossy().starts_with("/tmp/tidings-"),
            "{bare:?}"
        );
    }

    #[test]
    fn two_long_paths_have_two_sockets() {
        let one = socket_dirs(
            Path::new(&format!("/{}1", "d".repeat(120))),
            &Home::default(),
            true,
        );
        let two = socket_dirs(
            Path::new(&format!("/{}2", "d".repeat(120))),
            &Home::default(),
            true,
        );

        assert_ne!(one, two);
    }

    #[test]
    fn the_longest_path_that_fits_is_taken_and_one_byte_more_is_not() {
        let room = SOCKET_PATH_BYTES_MAX - "/.s.PGSQL.5432".len();

        assert!(fits_a_socket(Path::new(&format!(
            "/{}",
            "d".repeat(room - 1)
        ))));
        assert!(!fits_a_socket(Path::new(&format!("/{}", "d".repeat(room)))));
    }
}
