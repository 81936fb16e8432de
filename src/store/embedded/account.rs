//! The user who runs the server binaries: never root.
//!
//! Invariant: every folder the server writes to is owned by this user; as root, each program of PostgreSQL is
//! started with its uid and gid and no other group. Does not create users.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;

use super::error::EmbeddedError;

/// Who runs `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    /// Tidings is root and has to become this user first.
    switches: bool,
}

impl Account {
    /// Returns who runs the server on `cluster`, inside `data_dir`.
    ///
    /// An ordinary user runs it as itself. Root runs it as the owner of the cluster, so that a user `postgres`
    /// installed later changes nothing; else as the owner of the data directory, so that a service's own user
    /// can go on with what an administrator began; else as `postgres` or `nobody`.
    pub(super) fn of(data_dir: &Path, cluster: &Path) -> Result<Self, EmbeddedError> {
        let me = geteuid();
        let owner = fs::metadata(cluster).ok();
        if !me.is_root() {
            return Self::ordinary(me, owner.as_ref(), cluster);
        }
        match owner {
            Some(owner) if owner.uid() != 0 => Ok(Self::owner(&owner)),
            Some(_) => Err(EmbeddedError::OwnedByRoot {
                cluster: cluster.to_path_buf(),
                user: Self::of_new(data_dir)?.name,
            }),
            None => Self::of_new(data_dir),
        }
    }

    fn of_new(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let owner = fs::metadata(data_dir).map_err(EmbeddedError::io("look at", data_dir))?;
        if owner.uid() != 0
            && let Some(user) = named(Uid::from_raw(owner.uid()))
        {
            return Ok(Self::switched(&user));
        }
        for name in ["postgres", "nobody"] {
            let user = User::from_name(name).ok().flatten();
            if let Some(user) = user.filter(|user| !user.uid.is_root()) {
                return Ok(Self::switched(&user));
            }
        }
        Err(EmbeddedError::NoAccount)
    }

    fn ordinary(me: Uid, owner: Option<&Metadata>, cluster: &Path) -> Result<Self, EmbeddedError> {
        if let Some(owner) = owner.filter(|owner| owner.uid() != me.as_raw()) {
            let path = cluster.to_path_buf();
            return Err(EmbeddedError::Foreign {
                path,
                owner: owner.uid(),
            });
        }
        let user = named(me).ok_or(EmbeddedError::NamelessUser { uid: me.as_raw() })?;
        Ok(Self {
            switches: false,
            ..Self::switched(&user)
        })
    }

    fn owner(owner: &Metadata) -> Self {
        let name = named(Uid::from_raw(owner.uid()));
        Self {
            uid: owner.uid(),
            gid: owner.gid(),
            name: name.map_or_else(|| owner.uid().to_string(), |user| user.name),
            switches: true,
        }
    }

    fn switched(user: &User) -> Self {
        Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            name: user.name.clone(),
            switches: true,
        }
    }

    /// Lets `command` run as this user. The standard library drops root's supplementary groups with it.
    pub(super) fn run(&self, command: &mut Command) {
        if self.switches {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Hands `path` to this user, never what a link there points to; a no-op for a user that runs it as itself.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switches {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    }

    /// Checks that this user can get into `path`, and names the first folder on the way that forbids it.
    ///
    /// Looks at modes alone: a folder opened by an access control list only is refused.
    pub(super) fn check_can_enter(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switches {
            return Ok(());
        }
        let from_the_top: Vec<&Path> = path.ancestors().collect();
        for folder in from_the_top.into_iter().rev() {
            let metadata = fs::metadata(folder).map_err(EmbeddedError::io("look at", folder))?;
            if !self.may_enter(metadata.uid(), metadata.gid(), metadata.mode()) {
                return Err(EmbeddedError::Unenterable {
                    folder: folder.to_path_buf(),
                    path: path.to_path_buf(),
                    user: self.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn may_enter(&self, uid: u32, gid: u32, mode: u32) -> bool {
        let execute = if uid == self.uid {
            0o100
        } else if gid == self.gid {
            0o010
        } else {
            0o001
        };
        mode & execute != 0
    }
}

/// Is Tidings itself run by root?
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

fn named(uid: Uid) -> Option<User> {
    User::from_uid(uid).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_entered_by_the_most_specific_class_alone() {
        let account = Account {
            uid: 101,
            gid: 104,
            name: "postgres".to_owned(),
            switches: true,
        };

        assert!(account.may_enter(0, 0, 0o711));
        assert!(!account.may_enter(0, 0, 0o700));
        assert!(account.may_enter(101, 0, 0o700));
        assert!(!account.may_enter(0, 104, 0o701));
        assert!(account.may_enter(0, 104, 0o710));
    }
}
