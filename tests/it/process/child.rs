//! One process that goes on: what it writes, and how it ends.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::{seconds, signal};

/// A process of this test; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: Lines,
    out: Lines,
    reading: Vec<JoinHandle<()>>,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Process {
    pub(crate) fn start(command: Command) -> Self {
        let mut child = tokio::process::Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (log, out) = (Lines::default(), Lines::default());
        let reading = vec![
            read(child.stderr.take().unwrap(), log.clone()),
            read(child.stdout.take().unwrap(), out.clone()),
        ];
        Self {
            child,
            log,
            out,
            reading,
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// The lines on standard error.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The lines on standard output.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    /// The log lines with this message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        parsed
            .filter(|line: &Value| line["message"] == message)
            .collect()
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to end, and for its last words.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(seconds(60), self.child.wait()).await;
        for reading in self.reading.drain(..) {
            reading.await.unwrap();
        }
        status
            .expect("the process ends when it is told to")
            .unwrap()
    }
}

fn read(from: impl AsyncRead + Unpin + Send + 'static, to: Lines) -> JoinHandle<()> {
    let mut lines = BufReader::new(from).lines();
    tokio::runtime::Handle::current().spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            to.lock().unwrap().push(line);
        }
    })
}
