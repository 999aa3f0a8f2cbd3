//! Check of a call's approval tokens.

use super::keys::{Signer, VerifiedToken, is_same_name};
use super::spent::SpentTokens;
use super::subject::Subject;
use super::token::Token;
use crate::event::{Known, Principal};

/// Seconds that the approver's clock may be ahead.
const SKEW: u64 = 60;

/// Reason why a token is invalid, ordered from the least to the best match: of several tokens, the reason of the best match is
/// reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invalid {
    /// The text is no token of this version.
    Malformed,
    /// The signing key is not in the policy.
    UnknownKey,
    /// The signature is wrong.
    BadSignature,
    /// The token is for another policy.
    OtherPolicy,
    /// The token is for another tool or request.
    OtherCall,
    /// The token is for another tenant.
    OtherTenant,
    /// Another principal requested the approval.
    OtherPrincipal,
    /// The token is for another session.
    OtherSession,
    /// The token is for other arguments.
    ChangedArguments,
    /// The token is for other rules.
    OtherRule,
    /// The key has a role that may not approve.
    WrongRole,
    /// The caller has approved its own request.
    SelfApproval,
    /// The token is valid for longer than the policy allows.
    TooLong,
    /// The token is not valid yet.
    NotYetValid,
    /// The token has expired.
    Expired,
    /// All uses of the token are spent.
    Replayed,
    /// More tokens are in use than the table can store.
    TableFull,
}

impl Invalid {
    /// All reasons.
    pub const ALL: [Invalid; 17] = [
        Invalid::Malformed,
        Invalid::UnknownKey,
        Invalid::BadSignature,
        Invalid::OtherPolicy,
        Invalid::OtherCall,
        Invalid::OtherTenant,
        Invalid::OtherPrincipal,
        Invalid::OtherSession,
        Invalid::ChangedArguments,
        Invalid::OtherRule,
        Invalid::WrongRole,
        Invalid::SelfApproval,
        Invalid::TooLong,
        Invalid::NotYetValid,
        Invalid::Expired,
        Invalid::Replayed,
        Invalid::TableFull,
    ];

    /// Returns the reason's name in denials and audit events.
    pub fn word(self) -> &'static str {
        match self {
            Invalid::Malformed => "malformed",
            Invalid::UnknownKey => "unknown_key",
            Invalid::BadSignature => "bad_signature",
            Invalid::OtherPolicy => "other_policy",
            Invalid::OtherCall => "other_call",
            Invalid::OtherTenant => "other_tenant",
            Invalid::OtherPrincipal => "other_principal",
            Invalid::OtherSession => "other_session",
            Invalid::ChangedArguments => "changed_arguments",
            Invalid::OtherRule => "other_rule",
            Invalid::WrongRole => "wrong_role",
            Invalid::SelfApproval => "self_approval",
            Invalid::TooLong => "too_long",
            Invalid::NotYetValid => "not_yet_valid",
            Invalid::Expired => "expired",
            Invalid::Replayed => "replayed",
            Invalid::TableFull => "table_full",
        }
    }

    /// Returns the message for the client that presented the token.
    pub fn message(self) -> &'static str {
        match self {
            Invalid::Malformed => "The approval token can't be read.",
            Invalid::UnknownKey => {
                "The approval token is signed by a key that the policy does not have."
            }
            Invalid::BadSignature => "The signature of the approval token is wrong.",
            Invalid::OtherPolicy => "The approval token is for another policy.",
            Invalid::OtherCall => "The approval token is for another call.",
            Invalid::OtherTenant => "The approval token is for another tenant.",
            Invalid::OtherPrincipal => "The approval token is for another principal.",
            Invalid::OtherSession => "The approval token is for another session.",
            Invalid::ChangedArguments => "The call was changed after its approval.",
            Invalid::OtherRule => "The approval token is for another rule.",
            Invalid::WrongRole => "The role of the approver may not approve this.",
            Invalid::SelfApproval => "An approver may not approve their own request.",
            Invalid::TooLong => "The approval token is valid for longer than the policy allows.",
            Invalid::NotYetValid => "The approval token is not valid yet.",
            Invalid::Expired => "The approval token has expired.",
            Invalid::Replayed => "The approval token was used before.",
            Invalid::TableFull => "Too many approvals are in use at a time.",
        }
    }
}

/// Approval that a rule requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleDemand<'a> {
    /// The rule's id.
    pub rule: &'a str,
    /// Roles that may approve.
    pub by: &'a [Box<str>],
    /// Number of approvers required.
    pub needed: u32,
    /// Maximum validity of a token in seconds.
    pub valid_for: u64,
    /// Maximum uses of a token.
    pub uses: u32,
}

/// Use of a request's id, spent when the call passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The id of the request.
    pub id: Box<str>,
    /// For how many uses it is.
    pub uses: u32,
    /// Time until which the id must be stored, in seconds since 1970.
    pub until: u64,
}

/// Result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// All required approvals are present. The grants must be spent before the call passes.
    Approved(Vec<Grant>),
    /// An approval is still missing; no token is invalid.
    Missing,
    /// A token is invalid, and the others do not suffice.
    Invalid(Invalid),
}

/// Check of verified tokens against a call.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The call.
    pub subject: &'a Subject,
    /// Caller.
    pub asker: &'a Principal,
    /// Time in seconds since 1970.
    pub now: u64,
    /// Uses by calls that pass together with this one, and that are not spent yet.
    pub reserved: &'a [Grant],
}

impl Check<'_> {
    /// Checks the tokens of a call against the demands of all its rules.
    pub fn tokens(
        &self,
        tokens: &[Result<VerifiedToken, Invalid>],
        demands: &[RuleDemand<'_>],
        spent: Option<&SpentTokens<'_>>,
    ) -> Checked {
        let mut best: Option<Invalid> = None;
        let mut note = |reason: Invalid| best = best.max(Some(reason));
        let mut valid: Vec<&VerifiedToken> = Vec::new();
        for token in tokens {
            let fitting = token.as_ref().map_err(|reason| *reason);
            let fitting = fitting.and_then(|verified| {
                self.fits(&verified.token)?;
                Ok(verified)
            });
            match fitting {
                Ok(new) => valid.push(new),
                Err(reason) => note(reason),
            }
        }
        let mut grants: Vec<Grant> = Vec::new();
        let mut is_enough = true;
        for demand in demands {
            let mut agreed: Vec<&Signer> = Vec::new();
            for verified in &valid {
                let signer = &verified.signer;
                if agreed.iter().any(|known| signer.is_same_person(known)) {
                    continue;
                }
                match self.grant_for(verified, demand, spent) {
                    Ok(grant) => {
                        agreed.push(signer);
                        match grants.iter_mut().find(|known| known.id == grant.id) {
                            Some(known) => {
                                known.uses = known.uses.min(grant.uses);
                                known.until = known.until.max(grant.until);
                            }
                            None => grants.push(grant),
                        }
                    }
                    Err(reason) => note(reason),
                }
            }
            let agreed = u32::try_from(agreed.len()).unwrap_or(u32::MAX);
            is_enough &= agreed >= demand.needed.max(1);
        }
        match (is_enough && !demands.is_empty(), best) {
            (true, _) => Checked::Approved(grants),
            (false, None) => Checked::Missing,
            (false, Some(reason)) => Checked::Invalid(reason),
        }
    }

    /// Checks that a token is for this call.
    fn fits(&self, token: &Token) -> Result<(), Invalid> {
        let (own, approved) = (self.subject, &token.subject);
        let is = |same: bool, reason: Invalid| match same {
            true => Ok(()),
            false => Err(reason),
        };
        is(own.policy == approved.policy, Invalid::OtherPolicy)?;
        is(
            own.event == approved.event && own.what == approved.what,
            Invalid::OtherCall,
        )?;
        is(own.tenant == approved.tenant, Invalid::OtherTenant)?;
        is(
            own.id == approved.id && own.agent == approved.agent && own.client == approved.client,
            Invalid::OtherPrincipal,
        )?;
        is(own.session == approved.session, Invalid::OtherSession)?;
        is(
            own.args == approved.args && own.bind == approved.bind && own.shown == approved.shown,
            Invalid::ChangedArguments,
        )
    }

    /// Returns the grant of a token for this call if it satisfies a rule's demand.
    fn grant_for(
        &self,
        verified: &VerifiedToken,
        demand: &RuleDemand<'_>,
        spent: Option<&SpentTokens<'_>>,
    ) -> Result<Grant, Invalid> {
        let VerifiedToken { token, signer } = verified;
        // The rule must be as it was described to the approver: consent on condition that a second person approves is no consent
        // alone.
        let is_for_rule = token.rules.iter().any(|rule| {
            *rule.id == *demand.rule && rule.by == demand.by && rule.needed == demand.needed
        });
        if !is_for_rule {
            return Err(Invalid::OtherRule);
        }
        if !demand.by.contains(&signer.role) {
            return Err(Invalid::WrongRole);
        }
        if self.is_own(signer) {
            return Err(Invalid::SelfApproval);
        }
        if token.until.saturating_sub(token.from) > demand.valid_for {
            return Err(Invalid::TooLong);
        }
        if token.from > self.now.saturating_add(SKEW) {
            return Err(Invalid::NotYetValid);
        }
        if token.until <= self.now {
            return Err(Invalid::Expired);
        }
        let grant = Grant {
            id: token.id.clone(),
            uses: token.uses.min(demand.uses),
            until: token.until,
        };
        if let Some(spent) = spent {
            spent.peek(&grant)?;
            let reserved = self.reserved.iter().filter(|it| it.id == grant.id).count();
            let reserved = u32::try_from(reserved).unwrap_or(u32::MAX);
            if reserved >= grant.uses {
                return Err(Invalid::Replayed);
            }
        }
        Ok(grant)
    }

    /// Returns whether the caller may hold the key: it is the key's principal or, if the key names none, it has the key's role.
    fn is_own(&self, signer: &Signer) -> bool {
        let asker = self.asker;
        match &signer.principal {
            Some(holder) => {
                let mut names = [&asker.id, &asker.agent, &asker.client].into_iter();
                names.any(|name| match name {
                    Known::Is(name) => is_same_name(name, holder),
                    // The caller is identified, and this name could not be read.
                    Known::Unknown => !asker.is_anonymous(),
                    Known::Missing => false,
                })
            }
            None => match &asker.roles {
                Known::Is(roles) => roles.iter().any(|role| is_same_name(role, &signer.role)),
                // The caller is identified, and its list of roles could not be read.
                Known::Unknown => !asker.is_anonymous(),
                Known::Missing => false,
            },
        }
    }
}
