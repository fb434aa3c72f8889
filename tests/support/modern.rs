//! A lean client of 2026-07-28: each request says all that it needs, in its body and in its headers.

use serde_json::{Value, json};

use super::mcp::{Answer, Client};

/// A client, and what it says of itself with every request.
#[derive(Clone)]
pub(crate) struct Modern {
    pub(crate) client: Client,
    capabilities: Value,
    log_level: Option<&'static str>,
}

impl Modern {
    /// A client that can be asked nothing.
    pub(crate) fn at(url: impl Into<String>) -> Self {
        let client = Client::at(url).with("mcp-protocol-version", "2026-07-28");
        Self { client, capabilities: json!({}), log_level: None }
    }

    /// A client that can be asked everything.
    pub(crate) fn asked(url: impl Into<String>) -> Self {
        Self::able_to(url, json!({ "elicitation": {}, "sampling": {}, "roots": {} }))
    }

    /// A client with these capabilities.
    pub(crate) fn able_to(url: impl Into<String>, capabilities: Value) -> Self {
        Self { capabilities, ..Self::at(url) }
    }

    /// The same client with another header.
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        Self { client: self.client.with(name, value), ..self }
    }

    /// The same client, which wants log lines.
    pub(crate) fn logging(self, level: &'static str) -> Self {
        Self { log_level: Some(level), ..self }
    }

    /// Params with what a request must say of its client.
    pub(crate) fn params(&self, mut params: Value) -> Value {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": "story", "version": "1" });
        if let Some(level) = self.log_level {
            params["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        }
        params
    }

    /// A request as it should be.
    pub(crate) async fn request(&self, id: impl Into<Value>, method: &str, params: Value) -> Answer {
        let client = self.client.clone().with("mcp-method", method);
        let name = params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str);
        let named = name.filter(|_| matches!(method, "tools/call" | "prompts/get" | "resources/read"));
        let client = match named {
            Some(name) => client.with("mcp-name", name),
            None => client,
        };
        client.request(id.into(), method, self.params(params)).await
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Answer {
        self.request(id, "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Calls a tool, and returns the text that it answers with.
    pub(crate) async fn ask(&self, tool: &str, arguments: Value) -> String {
        let outcome = self.call("ask", tool, arguments).await.outcome().await;
        outcome["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
    }

    /// Calls a tool that has a question, and returns the question's key and what to come back with.
    pub(crate) async fn parked(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> (String, Value) {
        let outcome = self.call(id, tool, arguments).await.outcome().await;
        let result = &outcome["result"];
        assert_eq!(result["resultType"], "input_required", "{outcome}");
        let key = result["inputRequests"].as_object().and_then(|asked| asked.keys().next().cloned());
        (key.unwrap_or_else(|| panic!("{outcome}")), result["requestState"].clone())
    }

    /// Comes back to a call with an answer.
    pub(crate) async fn come_back(
        &self,
        id: impl Into<Value>,
        (tool, arguments): (&str, Value),
        (key, state): &(String, Value),
        answer: Value,
    ) -> Answer {
        let answers = json!({ key: answer });
        let params =
            json!({ "name": tool, "arguments": arguments, "inputResponses": answers, "requestState": state });
        self.request(id, "tools/call", params).await
    }
}
