//! A visitor without a browser: keeps cookies, follows nothing, sends the forms that it was shown.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};

use crate::harness::{Client, TestPlatform};

/// Somebody with a jar of cookies.
pub(super) struct Visitor {
    client: Client,
    pub(super) cookies: BTreeMap<String, String>,
}

/// A page as it came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) location: String,
    pub(super) set_cookies: Vec<String>,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Page {
    /// The proof in the page's forms.
    pub(super) fn proof(&self) -> &str {
        let (_, after) = self
            .text
            .split_once(r#"name="proof" value=""#)
            .unwrap_or_else(|| panic!("no form in {}", self.text));
        after.split('"').next().unwrap()
    }
}

impl Visitor {
    pub(super) fn stranger(platform: &TestPlatform) -> Self {
        Self {
            client: platform.client().with_key(None).following_nothing(),
            cookies: BTreeMap::new(),
        }
    }

    /// Somebody who has signed in with this key.
    pub(super) async fn operator(platform: &TestPlatform) -> Self {
        let mut visitor = Self::stranger(platform);
        let key = platform.client().key().to_owned();
        let page = visitor.sign_in(&key, "/portal").await;
        assert_eq!(page.status, 303, "{}", page.text);
        visitor
    }

    /// One of an organization's people.
    pub(super) async fn member(platform: &TestPlatform, organization: &str, role: &str) -> Self {
        let body = serde_json::json!({ "organization_id": organization, "role": role });
        let link = platform.client().post("/portal_links", &body).await;
        let url = link.expect(201)["url"].as_str().unwrap().to_owned();
        let mut visitor = Self::stranger(platform);
        let page = visitor.open_link(&url).await;
        assert_eq!((page.status, page.location.as_str()), (303, "/portal"));
        visitor
    }

    pub(super) async fn sign_in(&mut self, key: &str, next: &str) -> Page {
        let shown = self.get("/portal/sign-in").await;
        let proof = shown.proof().to_owned();
        let form = [("proof", proof.as_str()), ("key", key), ("next", next)];
        self.post("/portal/sign-in", &form).await
    }

    pub(super) async fn open_link(&mut self, url: &str) -> Page {
        let path = &url[url.find("/portal/link/").unwrap()..];
        let shown = self.get(path).await;
        let proof = shown.proof().to_owned();
        self.post(path, &[("proof", &proof)]).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        let request = self.client.request(Method::GET, path);
        self.send(request).await
    }

    pub(super) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self.client.request(Method::POST, path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body)).await
    }

    /// Sends a form of the page at `shown` with the proof that stands there.
    pub(super) async fn submit(&mut self, shown: &str, to: &str, form: &[(&str, &str)]) -> Page {
        let proof = self.get(shown).await.proof().to_owned();
        let mut whole = vec![("proof", proof.as_str())];
        whole.extend(form);
        self.post(to, &whole).await
    }

    pub(super) async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let jar = self.cookies.iter();
        let jar: Vec<_> = jar.map(|(name, value)| format!("{name}={value}")).collect();
        let reply = self
            .client
            .send(request.header(COOKIE, jar.join("; ")))
            .await;
        let set = reply.headers.get_all(SET_COOKIE).iter();
        let set_cookies: Vec<_> = set
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        for cookie in &set_cookies {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page {
            status: reply.status,
            location: reply.header("location").to_owned(),
            set_cookies,
            text: reply.text().to_owned(),
            headers: reply.headers,
        }
    }

    /// A request that the caller completes.
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, path)
    }
}
