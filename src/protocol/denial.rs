//! Denials in the form of each protocol, so that the official SDK raises its usual exception.

use super::DenialReply;
use super::json_edit::ObjectWriter;
use crate::wire::json::quote;

/// Denial of a request or a response, for its sender. It contains only texts of the policy, ids and pointers, never
/// text of the exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// Rule that decided, if one did.
    pub rule: Option<String>,
    /// Reason in one or two sentences.
    pub reason: String,
    /// Suggested alternative, if the policy contains one.
    pub remedy: Option<String>,
    /// Id of the exchange in the audit trail.
    pub request_id: String,
    /// JSON Pointers to the parts that the client should drop from the request.
    pub at: Vec<String>,
    /// Approval request, if an approval could let this pass.
    pub approval: Option<String>,
    /// Error in the approval that was supplied by the client.
    pub detail: Option<&'static str>,
    /// Whether only the code and the request id are disclosed (`disclose: code`).
    pub code_only: bool,
    /// Headers in addition to those of the protocol: when to retry.
    pub headers: Vec<(String, String)>,
    /// Whether the response is denied: the request was read, and forwarded to the upstream.
    pub is_answer: bool,
}

impl Denial {
    /// Returns the sentence for people.
    pub fn message(&self) -> String {
        if self.code_only {
            return format!("Blocked by policy ({}).", self.code);
        }
        let mut message = self.reason.clone();
        if let Some(remedy) = &self.remedy {
            message.push(' ');
            message.push_str(remedy);
        }
        // A denied part of a response is replaced by a text, and by nothing else.
        if let Some(approval) = self.approval.as_ref().filter(|_| self.is_answer) {
            message.push_str(" Approval request: ");
            message.push_str(approval);
        }
        message
    }

    /// Writes the `agentguard` member that every form contains.
    pub(super) fn details(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(out);
        object.text("code", self.code);
        if !self.code_only {
            if let Some(rule) = &self.rule {
                object.text("rule", rule);
            }
            object.text("reason", &self.reason);
            if let Some(detail) = self.detail {
                object.text("detail", detail);
            }
            if let Some(remedy) = &self.remedy {
                object.text("remedy", remedy);
            }
        }
        object.text("request_id", &self.request_id);
        if let Some(approval) = self.approval.as_ref().filter(|_| !self.code_only) {
            object.text("approval", approval);
        }
        if !self.code_only && !self.at.is_empty() {
            object.member("at", |out| {
                out.push(b'[');
                for (n, pointer) in self.at.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    quote(pointer, out);
                }
                out.push(b']');
            });
        }
        object.end();
    }
}

/// Form of a protocol's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI, Azure, all compatible APIs, and unknown ones.
    OpenAi,
    /// Anthropic, at every provider that serves its own format.
    Anthropic,
    /// AWS: a header contains the class of the exception.
    Aws,
    /// Ollama: the error is a text.
    Ollama,
    /// Cohere: the error is the message.
    Cohere,
    /// IBM watsonx.ai: a list of errors.
    Watsonx,
    /// DashScope: code and message.
    DashScope,
    /// Cloudflare: a list of errors beside a result.
    Cloudflare,
    /// Dify: status, code and message.
    Dify,
    /// Gemini and Vertex AI: `google.rpc.Status`.
    Google,
    /// A2A's HTTP+JSON: `google.rpc.Status` with the detail that its libraries require.
    A2a,
}

impl Dialect {
    /// Returns a local reply with the status of the denial's code.
    pub fn reply(self, denial: &Denial) -> DenialReply {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if self == Dialect::Aws {
            headers.push(("x-amzn-errortype", aws_exception(denial.status).to_owned()));
        }
        DenialReply {
            status: denial.status,
            headers,
            body: self.body(denial),
        }
    }

    /// Returns the body of a denial.
    pub fn body(self, denial: &Denial) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        match self {
            Dialect::OpenAi => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.member("error", |out| {
                    let mut error = ObjectWriter::begin(out);
                    error.text("message", &denial.message());
                    error.text("type", openai_type(denial.status));
                    error.member("param", |out| out.extend_from_slice(b"null"));
                    error.text("code", "agentguard_denied");
                    error.member("agentguard", |out| denial.details(out));
                    error.end();
                });
                outer.end();
            }
            Dialect::Ollama | Dialect::Cohere | Dialect::Aws => {
                let key = if self == Dialect::Ollama {
                    "error"
                } else {
                    "message"
                };
                let mut outer = ObjectWriter::begin(&mut out);
                outer.text(key, &denial.message());
                outer.member("agentguard", |out| denial.details(out));
                outer.end();
            }
            Dialect::Dify => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.number("status", denial.status.into());
                outer.text("code", "agentguard_denied");
                outer.text("message", &denial.message());
                outer.member("agentguard", |out| denial.details(out));
                outer.end();
            }
            Dialect::Cloudflare => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.member("result", |out| out.extend_from_slice(b"null"));
                outer.member("success", |out| out.extend_from_slice(b"false"));
                outer.member("errors", |out| {
                    out.push(b'[');
                    let mut error = ObjectWriter::begin(out);
                    error.number("code", denial.status.into());
                    error.text("message", &denial.message());
                    error.end();
                    out.push(b']');
                });
                outer.member("messages", |out| out.extend_from_slice(b"[]"));
                outer.member("agentguard", |out| denial.details(out));
                outer.end();
            }
            Dialect::DashScope => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.text("code", "agentguard_denied");
                outer.text("message", &denial.message());
                outer.text("request_id", &denial.request_id);
                outer.member("agentguard", |out| denial.details(out));
                outer.end();
            }
            Dialect::Watsonx => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.member("errors", |out| {
                    out.push(b'[');
                    let mut error = ObjectWriter::begin(out);
                    error.text("code", "agentguard_denied");
                    error.text("message", &denial.message());
                    error.end();
                    out.push(b']');
                });
                outer.text("trace", &denial.request_id);
                outer.number("status_code", denial.status.into());
                outer.member("agentguard", |out| denial.details(out));
                outer.end();
            }
            Dialect::Anthropic => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.text("type", "error");
                outer.member("error", |out| {
                    let mut error = ObjectWriter::begin(out);
                    error.text("type", anthropic_type(denial.status));
                    error.text("message", &denial.message());
                    error.member("agentguard", |out| denial.details(out));
                    error.end();
                });
                outer.text("request_id", &denial.request_id);
                outer.end();
            }
            Dialect::Google | Dialect::A2a => {
                let mut outer = ObjectWriter::begin(&mut out);
                outer.member("error", |out| {
                    let mut error = ObjectWriter::begin(out);
                    error.member("code", |out| {
                        out.extend_from_slice(denial.status.to_string().as_bytes());
                    });
                    error.text("message", &denial.message());
                    error.text("status", google_status(denial.status));
                    error.member("details", |out| match self {
                        Dialect::A2a => out.extend_from_slice(error_info(denial.status)),
                        _ => out.extend_from_slice(b"[]"),
                    });
                    error.member("agentguard", |out| denial.details(out));
                    error.end();
                });
                outer.end();
            }
        }
        out
    }
}

/// Returns Anthropic's type of an error, by status.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// Writes the detail by whose `reason` A2A's own libraries choose an exception that contains the message. Without the
/// detail they report only the status.
fn error_info(status: u16) -> &'static [u8] {
    match status {
        400 | 413 | 415 => {
            br#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INVALID_REQUEST","domain":"a2a-protocol.org","metadata":{}}]"#
        }
        500.. => {
            br#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INTERNAL_ERROR","domain":"a2a-protocol.org","metadata":{}}]"#
        }
        _ => {
            br#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"UNSUPPORTED_OPERATION","domain":"a2a-protocol.org","metadata":{}}]"#
        }
    }
}

/// Returns Google's canonical status (`google.rpc.Code`), by HTTP status.
fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// Returns the exception of Bedrock's service model for a status; its SDKs raise the class with that name.
fn aws_exception(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

/// Returns OpenAI's type of an error, by status.
fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial() -> Denial {
        Denial {
            status: 400,
            code: "AG3001",
            rule: Some("no \"x\"".to_owned()),
            reason: "Not allowed.".to_owned(),
            remedy: Some("Ask.".to_owned()),
            request_id: "r-1".to_owned(),
            at: vec!["/messages/0".to_owned()],
            approval: None,
            detail: None,
            headers: Vec::new(),
            code_only: false,
            is_answer: false,
        }
    }

    #[test]
    fn openai_clients_read_message_type_and_code() {
        let body: serde_json::Value =
            serde_json::from_slice(&Dialect::OpenAi.body(&denial())).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "message": "Not allowed. Ask.",
                "type": "invalid_request_error",
                "param": null,
                "code": "agentguard_denied",
                "agentguard": {
                    "code": "AG3001", "rule": "no \"x\"", "reason": "Not allowed.", "remedy": "Ask.",
                    "request_id": "r-1", "at": ["/messages/0"],
                },
            }})
        );
    }

    fn body(dialect: Dialect, status: u16) -> serde_json::Value {
        let denial = Denial { status, ..denial() };
        serde_json::from_slice(&dialect.body(&denial)).unwrap()
    }

    #[test]
    fn anthropic_clients_read_type_and_message() {
        let shown = body(Dialect::Anthropic, 400);
        assert_eq!(shown["type"], "error");
        assert_eq!(shown["error"]["type"], "invalid_request_error");
        assert_eq!(shown["error"]["message"], "Not allowed. Ask.");
        assert_eq!(shown["error"]["agentguard"]["code"], "AG3001");
        assert_eq!(shown["request_id"], "r-1");
        assert_eq!(
            body(Dialect::Anthropic, 403)["error"]["type"],
            "permission_error"
        );
        assert_eq!(
            body(Dialect::Anthropic, 413)["error"]["type"],
            "request_too_large"
        );
    }

    #[test]
    fn google_clients_read_code_message_and_status() {
        let shown = body(Dialect::Google, 400);
        assert_eq!(shown["error"]["code"], 400);
        assert_eq!(shown["error"]["status"], "INVALID_ARGUMENT");
        assert_eq!(shown["error"]["message"], "Not allowed. Ask.");
        assert_eq!(shown["error"]["details"], serde_json::json!([]));
        assert_eq!(shown["error"]["agentguard"]["rule"], "no \"x\"");
        assert_eq!(
            body(Dialect::Google, 403)["error"]["status"],
            "PERMISSION_DENIED"
        );
        assert_eq!(
            body(Dialect::Google, 429)["error"]["status"],
            "RESOURCE_EXHAUSTED"
        );
    }

    #[test]
    fn aws_clients_read_the_class_from_a_header() {
        let reply = Dialect::Aws.reply(&denial());
        let class = ("x-amzn-errortype", "ValidationException".to_owned());
        assert!(reply.headers.contains(&class));
        assert_eq!(body(Dialect::Aws, 400)["message"], "Not allowed. Ask.");
        assert_eq!(body(Dialect::Aws, 400)["agentguard"]["code"], "AG3001");
        let unknown = Dialect::Aws.reply(&Denial {
            status: 403,
            ..denial()
        });
        let class = ("x-amzn-errortype", "AccessDeniedException".to_owned());
        assert!(unknown.headers.contains(&class));
    }

    #[test]
    fn ollama_and_cohere_clients_read_one_text() {
        for (dialect, key) in [(Dialect::Ollama, "error"), (Dialect::Cohere, "message")] {
            let body: serde_json::Value = serde_json::from_slice(&dialect.body(&denial())).unwrap();
            assert_eq!(body[key], "Not allowed. Ask.");
            assert_eq!(body["agentguard"]["code"], "AG3001");
            assert_eq!(body.as_object().unwrap().len(), 2);
        }
    }

    #[test]
    fn a_policy_may_keep_everything_but_the_code_to_itself() {
        let denial = Denial {
            code_only: true,
            ..denial()
        };
        let body = String::from_utf8(Dialect::OpenAi.body(&denial)).unwrap();
        assert!(body.contains("AG3001") && body.contains("r-1"));
        assert!(
            !body.contains("Not allowed") && !body.contains("Ask") && !body.contains("messages")
        );
    }
}
