//! Tools that are held back until a person approves what they say of themselves.

use super::Mount;
use super::pins::{HeldBack, NotApproved};
use crate::config::Pin;
use std::sync::atomic::Ordering;

/// What came of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The tools that are served from now on.
    pub tools: Vec<String>,
    /// Why that is forgotten with the router, if it is.
    pub unsaved: Option<String>,
}

impl Mount {
    /// Whether what its tools say of themselves is watched.
    pub fn is_pinned(&self) -> bool {
        self.rules.pin() != Pin::Off
    }

    /// The tools that are held back.
    pub fn held_back(&self) -> Vec<HeldBack> {
        if self.is_pinned() { self.pins.held_back(self.name().as_str()) } else { Vec::new() }
    }

    /// Why no tool is served, if that is because it is not known what is approved.
    pub fn unpinned(&self) -> Option<String> {
        self.pins.trouble().filter(|_| self.is_pinned())
    }

    /// Approves what a tool says now, or all that are held back; `digest`: what it was seen to say. Clients are told that the
    /// tools have changed.
    ///
    /// # Errors
    /// Why nothing was approved.
    pub async fn approve(&self, tool: Option<&str>, digest: Option<&str>) -> Result<Approved, NotApproved> {
        let server = self.name().as_str();
        if let Some(reason) = self.unpinned() {
            return Err(NotApproved::Broken(reason));
        }
        let tools = match tool {
            Some(tool) => vec![tool.to_owned()],
            None => self.held_back().into_iter().map(|held| held.tool).collect(),
        };
        for tool in &tools {
            self.pins.approve(server, tool, digest)?;
            tracing::info!(server, tool = %tool.escape_debug(), "approved by an operator");
        }
        if !tools.is_empty() {
            self.sights.fetch_add(1, Ordering::Relaxed);
            for session in self.living() {
                session.announce_tools();
            }
        }
        Ok(Approved { tools, unsaved: self.pins.saved().await.err() })
    }
}
