//! A real Chromium, driven by WebDriver: plain JSON over HTTP, so no crate is needed for it.
//!
//! Source: W3C WebDriver. `chromedriver` chooses a port, says so, and ends with the test; its browser ends with it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Client, eventually};
use crate::process::skipped_without;

/// How long the browser may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// One browser with one window.
pub(super) struct Browser {
    client: Client,
    session: String,
    /// Where the portal is.
    base: String,
    // ended when it is dropped
    _driver: Child,
}

impl Browser {
    /// Starts a browser; `None`, and a line that says so, on a machine that has none.
    pub(super) async fn start(base: &str) -> Option<Self> {
        let Some((driver, port)) = driver().await else {
            skipped_without("chromedriver");
            return None;
        };
        let client = Client::new(format!("http://127.0.0.1:{port}"), None);
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = client.post("/session", &wanted).await.expect(200);
        Some(Self {
            client,
            session: made["value"]["sessionId"].as_str().unwrap().to_owned(),
            base: base.to_owned(),
            _driver: driver,
        })
    }

    async fn command(&self, command: &str, body: Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        self.client.post(&path, &body).await.expect(200)["value"].clone()
    }

    /// Opens a page of the portal.
    pub(super) async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.command("url", json!({ "url": url })).await;
    }

    /// Where the browser is, without the server's name.
    pub(super) async fn place(&self) -> String {
        let path = format!("/session/{}/url", self.session);
        let url = self.client.get(&path).await.expect(200)["value"].clone();
        url.as_str().unwrap().replace(&self.base, "")
    }

    /// Runs a script of the test's own.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    /// Commands the browser itself, beneath its pages.
    pub(super) async fn devtools(&self, name: &str, params: Value) {
        let command = json!({ "cmd": name, "params": params });
        self.command("goog/cdp/execute", command).await;
    }

    /// Turns scripts of pages off.
    pub(super) async fn without_scripts(&self) {
        let off = json!({ "value": true });
        self.devtools("Emulation.setScriptExecutionDisabled", off)
            .await;
    }

    /// Runs a script of the test's own in every page, before what the page brings.
    pub(super) async fn before_scripts(&self, script: &str) {
        let source = json!({ "source": script });
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source)
            .await;
    }

    /// Lets pages do what their content security policy forbids.
    pub(super) async fn ignoring_policies(&self) {
        self.devtools("Page.setBypassCSP", json!({ "enabled": true }))
            .await;
    }

    /// Makes the window as narrow as a phone.
    pub(super) async fn narrow(&self) {
        let size = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Forgets every cookie.
    pub(super) async fn forget_cookies(&self) {
        self.devtools("Network.clearBrowserCookies", json!({}))
            .await;
    }

    /// Waits until another page is there, which has no such element.
    pub(super) async fn leaves(&self, css: &str) {
        let script = format!(
            "return document.readyState === 'complete' && !document.querySelector('{css}')"
        );
        let path = format!("/session/{}/execute/sync", self.session);
        let body = json!({ "script": script, "args": [] });
        // While the page changes there may be none to ask.
        eventually("another page", async || {
            let reply = self.client.post(&path, &body).await;
            (reply.json()["value"] == true).then_some(())
        })
        .await;
    }

    async fn element(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.command("element", wanted).await;
        let (_, id) = found.as_object().unwrap().iter().next().unwrap();
        id.as_str().unwrap().to_owned()
    }

    pub(super) async fn click(&self, css: &str) {
        let id = self.element(css).await;
        self.command(&format!("element/{id}/click"), json!({}))
            .await;
    }

    pub(super) async fn fill(&self, css: &str, text: &str) {
        let id = self.element(css).await;
        self.command(&format!("element/{id}/value"), json!({ "text": text }))
            .await;
    }

    /// The text of the page as a reader sees it.
    pub(super) async fn text(&self) -> String {
        // In one step: between two the element may be gone with its page.
        let script = "return document.querySelector('main')?.innerText ?? ''";
        let path = format!("/session/{}/execute/sync", self.session);
        let body = json!({ "script": script, "args": [] });
        let reply = self.client.post(&path, &body).await;
        let text = reply.json()["value"].clone();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The text of the first frame of the page, whoever it comes from; empty where the browser shows none.
    pub(super) async fn text_in_frame(&self) -> String {
        self.command("frame", json!({ "id": 0 })).await;
        let text = self.text().await;
        self.command("frame", json!({ "id": null })).await;
        text
    }

    /// Waits until the page says so.
    pub(super) async fn sees(&self, words: &str) {
        eventually(words, async || {
            self.text().await.contains(words).then_some(())
        })
        .await;
    }

    /// What the browser complained of since it was last asked: scripts that the policy refused, and errors.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Ends the browser.
    pub(super) async fn close(self) {
        let path = format!("/session/{}", self.session);
        self.client.delete(&path).await;
    }
}

/// Starts the driver and reads the port that it chose.
async fn driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = async {
        loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().unwrap();
            }
        }
    };
    let port = tokio::time::timeout(START_MAX, port).await;
    Some((driver, port.expect("chromedriver did not start")))
}
