//! A server that works with what each of its users brings: nothing that one of them has is another's.

use super::{Mount, Unserved};
use crate::access::{Caller, Credentials, Digest, Identity, Lack, Owner};
use crate::peer::Mask;
use crate::protocol::Principal;
use crate::wire::{Code, RpcError};
use std::sync::Arc;

impl Mount {
    /// Whether each of its processes is one user's, who brings what it works with.
    pub fn is_personal(&self) -> bool {
        self.spec.is_personal()
    }

    /// Whether nobody looks after it: only a client can have it started, and so finds out whether it starts.
    pub(super) fn is_alone(&self) -> bool {
        self.spec.pool.is_singleton() || self.is_personal()
    }

    /// What tells a caller apart at this server from others who are called the same, if anything may.
    pub fn marks(&self, caller: &Caller) -> Option<Digest> {
        if self.is_aggregate() {
            // Whatever server is behind it.
            return caller.shown();
        }
        self.is_personal().then(|| caller.shown_in(self.spec.env_from_header.headers()))
    }

    /// What a caller would have to bring.
    pub fn lack(&self, caller: &Caller) -> Option<Lack> {
        caller.credentials(self.spec.env_from_header.variables()).err()
    }

    /// Whether a caller has brought what the server works with.
    pub(super) fn demand(&self, caller: &Caller) -> Result<(), Unserved> {
        self.lack(caller).map_or(Ok(()), |lack| Err(self.lacking(&lack)))
    }

    /// What a caller is told who has not.
    pub(super) fn lacking(&self, lack: &Lack) -> Unserved {
        let error = RpcError::new(Code::NotAllowed, format!("the server {}: {lack}", self.name()));
        Unserved::Denied(error.with("header", lack.header.as_str()))
    }

    /// What a process for a caller has of him.
    pub(super) fn credentials(&self, caller: &Caller) -> Arc<Credentials> {
        Arc::new(caller.credentials(self.spec.env_from_header.variables()).unwrap_or_default())
    }

    /// To whom a session belongs that a caller opens.
    pub(super) fn owner(&self, caller: &Caller) -> Owner {
        Owner { shown: self.marks(caller), ..caller.owner() }
    }

    /// Whether what belongs to one caller belongs to another: he is the same.
    pub(super) fn is_of(&self, owner: &Caller, caller: &Caller) -> bool {
        owner.principal() == caller.principal() && self.marks(owner) == self.marks(caller)
    }

    /// Who a caller is to a process of the legacy era that several use.
    pub(super) fn principal(&self, caller: &Caller) -> Principal {
        let principal = caller.principal();
        self.marks(caller).map_or_else(|| principal.clone(), |marks| principal.marked(&marks.to_word()))
    }

    /// What a process of the modern era must know of its clients to be told apart from others: nothing where all may share it.
    pub(super) fn identity(&self, caller: &Caller) -> (Option<Identity>, Option<Owner>) {
        // One that is a part of this program knows for whom it works.
        (self.is_aggregate().then(|| caller.identity()), self.is_personal().then(|| self.owner(caller)))
    }

    /// What must not be shown of what a process for a caller says.
    pub(super) fn mask(&self, caller: &Caller) -> Arc<Mask> {
        if self.is_personal() {
            return Arc::new(self.settings.mask.and(&self.credentials(caller)));
        }
        self.settings.mask.clone()
    }
}
