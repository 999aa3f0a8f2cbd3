use super::*;
use crate::event::{Known, Principal};
use crate::policy::{Approver, ApproverKey};
use crate::proxy::{MemorySharedData, SharedData};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_795_000_000;

fn manager() -> SigningKey {
    SigningKey::from_seed("manager", [1; 32])
}

fn lead() -> SigningKey {
    SigningKey::from_seed("lead", [2; 32])
}

fn approver(key: &SigningKey, principal: Option<&str>) -> Approver {
    use base64::Engine;
    let public = key.public().unwrap();
    let encoded = public.strip_prefix("ed25519:").unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded);
    Approver {
        role: key.role.clone(),
        principal: principal.map(Into::into),
        key: ApproverKey::Ed25519(bytes.unwrap().try_into().unwrap()),
    }
}

fn keys() -> VerifyingKeys {
    let list = [approver(&manager(), None), approver(&lead(), Some("lena"))];
    VerifyingKeys::new(&list, &|_| None).unwrap()
}

fn asker() -> Principal {
    Principal {
        id: Known::Is("ada".into()),
        agent: Known::Is("support-bot".into()),
        client: Known::Missing,
        tenant: Known::Is("acme".into()),
        roles: Known::Is(vec!["agent".into()]),
        via: Some("key".into()),
        ..Principal::anonymous()
    }
}

fn subject() -> Subject {
    Subject {
        policy: "support".into(),
        event: "tool_call".into(),
        what: "issue_refund".into(),
        args: digest(br#"{"amount":250}"#).unwrap().into(),
        session: Some("s-1".into()),
        ..Subject::default()
    }
    .asked_by(&asker())
    .unwrap()
}

fn request() -> ApprovalRequest {
    ApprovalRequest {
        id: "request-1".into(),
        subject: subject(),
        rules: vec![RequestedRule {
            id: "large".into(),
            by: vec!["manager".into()],
            needed: 1,
        }],
        show: None,
        until: NOW + 600,
        valid_for: 600,
        uses: 1,
    }
}

/// Returns a request with another rule's roles and number of approvers.
fn asked(by: &[Box<str>], needed: u32) -> ApprovalRequest {
    let mut asked = request();
    asked.rules[0].by = by.to_vec();
    asked.rules[0].needed = needed;
    asked
}

fn minted(request: &ApprovalRequest, key: &SigningKey) -> String {
    mint(request, key, NOW, nonce(&[9; 16]))
}

fn demand<'a>(rule: &'a str, by: &'a [Box<str>], needed: u32) -> RuleDemand<'a> {
    RuleDemand {
        rule,
        by,
        needed,
        valid_for: 600,
        uses: 1,
    }
}

fn checked_at(
    now: u64,
    tokens: &[String],
    subject: &Subject,
    demands: &[RuleDemand<'_>],
) -> Checked {
    let keys = keys();
    let tokens: Vec<_> = tokens.iter().map(|token| keys.read(token)).collect();
    let check = Check {
        subject,
        asker: &asker(),
        now,
        reserved: &[],
    };
    check.tokens(&tokens, demands, None)
}

fn checked(tokens: &[String], subject: &Subject) -> Checked {
    let by = ["manager".into()];
    checked_at(NOW, tokens, subject, &[demand("large", &by, 1)])
}

#[test]
fn a_signed_request_is_approved() {
    let token = minted(&request(), &manager());
    let Checked::Approved(grants) = checked(&[token], &subject()) else {
        panic!("not approved");
    };
    assert_eq!(grants.len(), 1);
    assert_eq!(&*grants[0].id, "request-1");
    assert_eq!(grants[0].until, NOW + 600);
}

#[test]
fn without_a_token_an_approval_is_missing() {
    assert_eq!(checked(&[], &subject()), Checked::Missing);
}

#[test]
fn a_request_reads_back_as_it_was_written() {
    let mut request = request();
    let show = canonical(br#"{"args.amount":[250]}"#).unwrap();
    request.subject.shown = Some(digest_of(&show).into());
    request.show = Some(String::from_utf8(show).unwrap().into());
    request.subject.bind = vec!["args.amount".into(), "args.\"quoted\"".into()];
    assert_eq!(ApprovalRequest::parse(&request.encode()), Ok(request));
}

#[test]
fn a_request_that_shows_something_else_than_it_asks_for_is_rejected() {
    let mut request = request();
    request.subject.shown = Some(digest(br#"{"args.amount":[250000]}"#).unwrap().into());
    request.show = Some(r#"{"args.amount":[250]}"#.into());
    assert!(ApprovalRequest::parse(&request.encode()).is_err());
    request.subject.shown = None;
    assert!(ApprovalRequest::parse(&request.encode()).is_err());
}

#[test]
fn a_token_is_for_the_call_that_was_shown_and_no_other() {
    let token = minted(&request(), &manager());
    type Change = fn(&mut Subject);
    let changes: [(Invalid, Change); 11] = [
        (Invalid::OtherPolicy, |it| it.policy = "other".into()),
        (Invalid::OtherCall, |it| it.what = "delete_customer".into()),
        (Invalid::OtherCall, |it| it.event = "request".into()),
        (Invalid::OtherTenant, |it| it.tenant = Some("beta".into())),
        (Invalid::OtherTenant, |it| it.tenant = None),
        (Invalid::OtherPrincipal, |it| it.id = Some("bob".into())),
        (Invalid::OtherPrincipal, |it| {
            it.agent = Some("other-bot".into())
        }),
        (Invalid::OtherPrincipal, |it| {
            it.client = Some("other-app".into())
        }),
        (Invalid::OtherSession, |it| it.session = Some("s-2".into())),
        (Invalid::ChangedArguments, |it| {
            it.args = digest(br#"{"amount":1000}"#).unwrap().into();
        }),
        (Invalid::ChangedArguments, |it| {
            it.shown = Some(digest(br#"{"to":["eve"]}"#).unwrap().into());
        }),
    ];
    for (reason, change) in changes {
        let mut other = subject();
        change(&mut other);
        let outcome = checked(std::slice::from_ref(&token), &other);
        assert_eq!(outcome, Checked::Invalid(reason));
    }
}

#[test]
fn a_changed_request_gives_a_token_for_another_call() {
    let mut tampered = request();
    tampered.subject.args = digest(br#"{"amount":1}"#).unwrap().into();
    let token = minted(&tampered, &manager());
    let outcome = checked(&[token], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::ChangedArguments));
}

#[test]
fn the_role_is_that_of_the_key_whatever_the_key_file_says() {
    let mut claims_to_be_manager = lead();
    claims_to_be_manager.role = "manager".into();
    let token = minted(&request(), &claims_to_be_manager);
    let outcome = checked(&[token], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::WrongRole));
}

#[test]
fn only_keys_of_the_policy_count() {
    let stranger = SigningKey::from_seed("manager", [3; 32]);
    let token = minted(&request(), &stranger);
    let outcome = checked(&[token], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::UnknownKey));
}

#[test]
fn a_token_with_another_signature_is_rejected() {
    let token = minted(&request(), &manager());
    let other = mint(&request(), &manager(), NOW + 1, nonce(&[9; 16]));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let outcome = checked(&[format!("{signed}.{signature}")], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::BadSignature));
    let outcome = checked(&[format!("{signed}.")], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::BadSignature));
}

#[test]
fn a_text_that_is_no_token_is_malformed() {
    for text in [
        "",
        "x",
        "agat1.",
        "agat1.e30.e30",
        "agat2.e30.e30",
        "agar1.e30",
    ] {
        let outcome = checked(&[text.to_owned()], &subject());
        assert_eq!(outcome, Checked::Invalid(Invalid::Malformed), "{text}");
    }
}

/// Every later version of the filter that adds a restriction to a token adds a member: one that does not know it may not take
/// the token for an unrestricted one.
#[test]
fn a_token_with_an_unknown_member_is_malformed_whoever_signed_it() {
    use super::encoding::{base64url, from_base64url};
    let token = minted(&request(), &manager());
    let content = token.strip_prefix("agat1.").unwrap();
    let (content, _) = content.split_once('.').unwrap();
    let content = String::from_utf8(from_base64url(content).unwrap()).unwrap();
    let resigned = |content: &str| {
        let signed = format!("agat1.{}", base64url(content.as_bytes()));
        let signature = manager().sign(signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    };
    assert_eq!(resigned(&content), token);
    let more = content.replacen('{', "{\"only_on\":\"mondays\",", 1);
    assert_eq!(
        checked(&[resigned(&more)], &subject()),
        Checked::Invalid(Invalid::Malformed)
    );
}

#[test]
fn a_token_of_more_than_eight_kilobytes_is_not_read() {
    let mut long = request();
    long.subject.what = "x".repeat(8 << 10).into();
    let token = minted(&long, &manager());
    assert_eq!(
        checked(&[token], &long.subject),
        Checked::Invalid(Invalid::Malformed)
    );
}

#[test]
fn a_token_is_valid_from_its_minting_until_its_end() {
    let token = [minted(&request(), &manager())];
    let by = ["manager".into()];
    let at = |now| checked_at(now, &token, &subject(), &[demand("large", &by, 1)]);
    assert!(matches!(at(NOW), Checked::Approved(_)));
    assert!(matches!(at(NOW + 599), Checked::Approved(_)));
    assert_eq!(at(NOW + 600), Checked::Invalid(Invalid::Expired));
    // The approver's clock may be a minute ahead.
    assert!(matches!(at(NOW - 60), Checked::Approved(_)));
    assert_eq!(at(NOW - 61), Checked::Invalid(Invalid::NotYetValid));
}

#[test]
fn a_token_is_valid_no_longer_than_the_policy_allows() {
    let token = minted(
        &ApprovalRequest {
            valid_for: 601,
            ..request()
        },
        &manager(),
    );
    let outcome = checked(&[token], &subject());
    assert_eq!(outcome, Checked::Invalid(Invalid::TooLong));
}

#[test]
fn no_caller_approves_its_own_request() {
    let by = ["manager".into(), "lead".into()];
    let demands = [demand("large", &by, 1)];
    let outcome = |asker: &Principal, key: &SigningKey| {
        let subject = subject().asked_by(asker).unwrap_or_else(subject);
        let request = ApprovalRequest {
            subject: subject.clone(),
            ..asked(&by, 1)
        };
        let tokens = [keys().read(&minted(&request, key))];
        let check = Check {
            subject: &subject,
            asker,
            now: NOW,
            reserved: &[],
        };
        check.tokens(&tokens, &demands, None)
    };
    // The key names its holder.
    let lena = Principal {
        id: Known::Is("lena".into()),
        ..asker()
    };
    assert_eq!(
        outcome(&lena, &lead()),
        Checked::Invalid(Invalid::SelfApproval)
    );
    assert!(matches!(outcome(&lena, &manager()), Checked::Approved(_)));
    let in_capitals = Principal {
        id: Known::Is("LENA".into()),
        ..asker()
    };
    assert_eq!(
        outcome(&in_capitals, &lead()),
        Checked::Invalid(Invalid::SelfApproval)
    );
    // The name could not be read, so it may be the holder's, and no token can name the caller.
    let of_unread_name = Principal {
        id: Known::Unknown,
        ..asker()
    };
    assert_eq!(subject().asked_by(&of_unread_name), None);
    assert_eq!(
        outcome(&of_unread_name, &lead()),
        Checked::Invalid(Invalid::SelfApproval)
    );
    assert!(matches!(
        outcome(&Principal::anonymous(), &lead()),
        Checked::Approved(_)
    ));
    // The key names no holder: anyone with the role may hold it.
    let boss = Principal {
        roles: Known::Is(vec!["manager".into(), "lead".into()]),
        ..asker()
    };
    assert_eq!(
        outcome(&boss, &manager()),
        Checked::Invalid(Invalid::SelfApproval)
    );
    assert!(matches!(outcome(&boss, &lead()), Checked::Approved(_)));
    // The list of roles is too long to be read, so it may contain the role.
    let of_many_roles = Principal {
        roles: Known::Unknown,
        ..asker()
    };
    assert_eq!(
        outcome(&of_many_roles, &manager()),
        Checked::Invalid(Invalid::SelfApproval)
    );
    let anonymous = outcome(&Principal::anonymous(), &manager());
    assert!(matches!(anonymous, Checked::Approved(_)));
}

#[test]
fn two_approvers_need_two_keys() {
    let by = ["manager".into(), "lead".into()];
    let demands = [demand("large", &by, 2)];
    let request = || asked(&by, 2);
    let first = minted(&request(), &manager());
    let again = mint(&request(), &manager(), NOW, nonce(&[8; 16]));
    let second = minted(&request(), &lead());
    let outcome = |tokens: &[String]| checked_at(NOW, tokens, &subject(), &demands);
    assert_eq!(outcome(std::slice::from_ref(&first)), Checked::Missing);
    assert_eq!(outcome(&[first.clone(), again]), Checked::Missing);
    let Checked::Approved(grants) = outcome(&[first, second]) else {
        panic!("not approved");
    };
    // Both tokens are for one request, whose id is spent once.
    assert_eq!(grants.len(), 1);
}

/// Whoever signs can write any number into a token.
#[test]
fn a_token_has_no_more_uses_than_the_policy_allows() {
    let by = ["manager".into()];
    for (signed, allowed, granted) in [(5, 1, 1), (5, 3, 3), (2, 3, 2)] {
        let request = ApprovalRequest {
            uses: signed,
            ..request()
        };
        let demand = RuleDemand {
            uses: allowed,
            ..demand("large", &by, 1)
        };
        let token = [minted(&request, &manager())];
        let Checked::Approved(grants) = checked_at(NOW, &token, &subject(), &[demand]) else {
            panic!("not approved");
        };
        assert_eq!(grants[0].uses, granted, "{signed} of {allowed}");
    }
}

/// Both tokens of one request spend one id: it has the fewest uses of them, and is remembered until the last one ends.
#[test]
fn two_tokens_of_one_request_grant_the_fewest_uses_and_are_remembered_longest() {
    let by = ["manager".into(), "lead".into()];
    let demand = RuleDemand {
        uses: 9,
        ..demand("large", &by, 2)
    };
    let token = |key: &SigningKey, uses, valid_for| {
        let request = ApprovalRequest {
            uses,
            valid_for,
            ..asked(&by, 2)
        };
        minted(&request, key)
    };
    for [first, second] in [[(9, 100), (2, 600)], [(2, 600), (9, 100)]] {
        let tokens = [
            token(&manager(), first.0, first.1),
            token(&lead(), second.0, second.1),
        ];
        let Checked::Approved(grants) = checked_at(NOW, &tokens, &subject(), &[demand]) else {
            panic!("not approved");
        };
        let grants: Vec<_> = grants.iter().map(|it| (it.uses, it.until)).collect();
        assert_eq!(grants, [(2, NOW + 600)]);
    }
}

#[test]
fn two_keys_of_one_principal_count_as_one_approver() {
    let by = ["manager".into(), "lead".into()];
    let tokens = [manager(), lead()].map(|key| minted(&asked(&by, 2), &key));
    let outcome = |holders: [Option<&str>; 2]| {
        let [first, second] = holders;
        let list = [approver(&manager(), first), approver(&lead(), second)];
        let keys = VerifyingKeys::new(&list, &|_| None).unwrap();
        let tokens = tokens.each_ref().map(|token| keys.read(token));
        let check = Check {
            subject: &subject(),
            asker: &asker(),
            now: NOW,
            reserved: &[],
        };
        check.tokens(&tokens, &[demand("large", &by, 2)], None)
    };
    assert_eq!(outcome([Some("lena"), Some("Lena")]), Checked::Missing);
    for others in [[Some("lena"), Some("max")], [Some("lena"), None]] {
        assert!(matches!(outcome(others), Checked::Approved(_)));
    }
}

#[test]
fn each_rule_requires_its_own_roles() {
    let (managers, leads) = (["manager".into()], ["lead".into()]);
    let demands = [demand("large", &managers, 1), demand("night", &leads, 1)];
    let mut request = request();
    request.rules.push(RequestedRule {
        id: "night".into(),
        by: leads.to_vec(),
        needed: 1,
    });
    let outcome = |tokens: &[String]| checked_at(NOW, tokens, &subject(), &demands);
    let (first, second) = (minted(&request, &manager()), minted(&request, &lead()));
    assert_eq!(
        outcome(std::slice::from_ref(&first)),
        Checked::Invalid(Invalid::WrongRole)
    );
    assert!(matches!(outcome(&[first, second]), Checked::Approved(_)));
}

#[test]
fn a_token_satisfies_only_the_rules_of_its_request() {
    let by = ["manager".into()];
    let token = [minted(&request(), &manager())];
    let outcome = checked_at(NOW, &token, &subject(), &[demand("night", &by, 1)]);
    assert_eq!(outcome, Checked::Invalid(Invalid::OtherRule));
}

#[test]
fn a_token_satisfies_a_rule_only_as_it_was_described_to_the_approver() {
    let by = ["manager".into()];
    for told in [asked(&by, 2), asked(&["manager".into(), "lead".into()], 1)] {
        let token = [minted(&told, &manager())];
        assert_eq!(
            checked(&token, &subject()),
            Checked::Invalid(Invalid::OtherRule)
        );
    }
    let mut told = request();
    told.subject.bind = vec!["args.amount".into()];
    let token = [minted(&told, &manager())];
    assert_eq!(
        checked(&token, &subject()),
        Checked::Invalid(Invalid::ChangedArguments)
    );
}

#[test]
fn a_rule_without_roles_can_not_be_approved() {
    let token = [minted(&asked(&[], 1), &manager())];
    let outcome = checked_at(NOW, &token, &subject(), &[demand("large", &[], 1)]);
    assert_eq!(outcome, Checked::Invalid(Invalid::WrongRole));
}

#[test]
fn a_shared_secret_signs_as_well() {
    let list = [Approver {
        role: "manager".into(),
        principal: None,
        key: ApproverKey::Hmac("K".into()),
    }];
    assert_eq!(
        VerifyingKeys::new(&list, &|_| None).unwrap_err(),
        SecretError::Missing("K".into())
    );
    const SECRET: &str = "a secret of thirty-two characters";
    let short = |_: &str| SECRET.get(..31).map(str::to_owned);
    assert_eq!(
        VerifyingKeys::new(&list, &short).unwrap_err(),
        SecretError::Short("K".into())
    );
    let keys = VerifyingKeys::new(&list, &|_| Some(SECRET.to_owned())).unwrap();
    let by = ["manager".into()];
    let outcome = |secret: &[u8]| {
        let key = SigningKey::from_secret("manager", secret).unwrap();
        let tokens = [keys.read(&minted(&request(), &key))];
        let check = Check {
            subject: &subject(),
            asker: &asker(),
            now: NOW,
            reserved: &[],
        };
        check.tokens(&tokens, &[demand("large", &by, 1)], None)
    };
    assert!(matches!(outcome(SECRET.as_bytes()), Checked::Approved(_)));
    let other = outcome(SECRET.to_uppercase().as_bytes());
    assert_eq!(other, Checked::Invalid(Invalid::UnknownKey));
    assert!(SigningKey::from_secret("manager", b"").is_none());
    assert!(SigningKey::from_secret("manager", &[7; 31]).is_none());
}

#[test]
fn an_id_is_spent_as_often_as_it_may_be_used() {
    let data = MemorySharedData::default();
    SpentTokens::prepare(&data);
    let spent = SpentTokens::new(&data, NOW);
    let grant = |uses| Grant {
        id: "a".into(),
        uses,
        until: NOW + 600,
    };
    assert_eq!(spent.spend(&grant(2)), Ok(()));
    assert_eq!(spent.spend(&grant(2)), Ok(()));
    assert_eq!(spent.spend(&grant(2)), Err(Invalid::Replayed));
    assert_eq!(spent.spend(&grant(1)), Err(Invalid::Replayed));
    let other = Grant {
        id: "b".into(),
        ..grant(1)
    };
    assert_eq!(spent.spend(&other), Ok(()));
}

#[test]
fn a_spent_id_is_remembered_even_when_the_clock_jumps_ahead_and_back() {
    let data = MemorySharedData::default();
    let grant = |id: &str| Grant {
        id: id.into(),
        uses: 1,
        until: NOW + 600,
    };
    SpentTokens::new(&data, NOW).spend(&grant("a")).unwrap();
    SpentTokens::new(&data, NOW + 9_000)
        .spend(&grant("b"))
        .unwrap();
    let back = SpentTokens::new(&data, NOW);
    assert_eq!(back.spend(&grant("a")), Err(Invalid::Replayed));
}

#[test]
fn a_full_table_denies_until_its_entries_have_expired() {
    let data = MemorySharedData::default();
    let grant = |number: u32| Grant {
        id: number.to_string().into(),
        uses: 1,
        until: NOW + 600,
    };
    let early = SpentTokens::new(&data, NOW);
    let full = (0..100_000).find(|number| early.spend(&grant(*number)) == Err(Invalid::TableFull));
    let full = full.expect("the table is bounded");
    assert_eq!(early.spend(&grant(full)), Err(Invalid::TableFull));
    // Spent ids stay spent.
    assert_eq!(early.spend(&grant(0)), Err(Invalid::Replayed));
    let late = SpentTokens::new(&data, NOW + 600);
    assert_eq!(late.spend(&grant(full)), Ok(()));
}

#[test]
fn a_use_with_a_later_token_is_remembered_until_that_token_ends() {
    let data = MemorySharedData::default();
    let grant = |id: &str, until| Grant {
        id: id.into(),
        uses: 2,
        until,
    };
    let early = SpentTokens::new(&data, NOW);
    early.spend(&grant("a", NOW + 100)).unwrap();
    early.spend(&grant("a", NOW + 600)).unwrap();
    // By now every bucket is full, and its expired entries are removed.
    let later = SpentTokens::new(&data, NOW + 200);
    for number in 0..10_000 {
        let _ = later.spend(&grant(&number.to_string(), NOW + 300));
    }
    assert_eq!(later.spend(&grant("a", NOW + 600)), Err(Invalid::Replayed));
}

/// Shared data to which another worker writes between each read and write.
struct Contended(MemorySharedData, std::cell::Cell<u32>);

impl SharedData for Contended {
    fn get(&self, key: &str) -> Option<crate::proxy::Versioned> {
        self.0.get(key)
    }

    fn set(
        &self,
        key: &str,
        value: &[u8],
        version: u32,
    ) -> Result<(), crate::proxy::VersionMismatch> {
        if version != 0 && self.1.get() > 0 {
            self.1.set(self.1.get() - 1);
            let known = self.0.get(key).unwrap();
            self.0.set(key, &known.value, known.version).unwrap();
        }
        self.0.set(key, value, version)
    }
}

#[test]
fn a_write_that_lost_is_repeated() {
    let data = Contended(MemorySharedData::default(), std::cell::Cell::new(5));
    let spent = SpentTokens::new(&data, NOW);
    let grant = Grant {
        id: "a".into(),
        uses: 1,
        until: NOW + 600,
    };
    assert_eq!(spent.spend(&grant), Ok(()));
    assert_eq!(data.1.get(), 0);
    assert_eq!(spent.spend(&grant), Err(Invalid::Replayed));
}

#[test]
fn a_key_file_reads_back() {
    let file = manager().to_file().unwrap();
    let read = SigningKey::from_file(&file).unwrap();
    assert_eq!(read.public(), manager().public());
    assert_eq!(&*read.role, "manager");
    assert!(SigningKey::from_file("-----BEGIN PRIVATE KEY-----").is_err());
}

#[test]
fn a_value_has_one_digest_however_it_is_spelt() {
    let same = [
        r#"{"amount":100,"note":"é/\n","list":[1,true,null]}"#,
        r#"{ "list" : [1.0, true, null], "note": "\u00e9\/\u000a", "amount": 1e2 }"#,
        r#"{"note":"\u00E9/\n","amount":100.00,"list":[10E-1,true,null]}"#,
    ];
    for text in same {
        assert_eq!(
            digest(text.as_bytes()),
            digest(same[0].as_bytes()),
            "{text}"
        );
    }
    let others = [
        r#"{"amount":1000,"note":"é/\n","list":[1,true,null]}"#,
        r#"{"amount":"100","note":"é/\n","list":[1,true,null]}"#,
        r#"{"amount":100,"note":"é/\n","list":[true,1,null]}"#,
        r#"{"amount":100,"note":"é/\n","list":[1,true]}"#,
        r#"{"amount":100.00000000000000000001,"note":"é/\n","list":[1,true,null]}"#,
        r#"{"Amount":100,"note":"é/\n","list":[1,true,null]}"#,
    ];
    for text in others {
        assert_ne!(
            digest(text.as_bytes()),
            digest(same[0].as_bytes()),
            "{text}"
        );
    }
}

#[test]
fn the_definition_of_the_digest_holds_for_a_known_value() {
    // `printf '{"amount":250,"to":"x"}' | openssl dgst -sha256 -binary | basenc --base64url`
    assert_eq!(
        canonical(br#"{"to":"x","amount":2.5e2}"#).unwrap(),
        br#"{"amount":250,"to":"x"}"#
    );
    let digest = digest(br#"{"to":"x","amount":250}"#).unwrap();
    assert_eq!(digest, "60kyqfTE-LMwDJ5Gy4RivWHyTKukumyZP8AGowQJZMg");
}

#[test]
fn a_value_that_parsers_read_differently_has_no_digest() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#""\ud800""#,
        r#"{"\ud800":1}"#,
        "1e9999999999999999999",
        "{",
        "",
    ] {
        assert!(digest(text.as_bytes()).is_err(), "{text}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000i64..1_000_000).prop_map(|n| json!(n as f64 / 64.0)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z\u{e9}\u{ffff}\u{1f600}]{0,3}", inner), 0..5).prop_map(
                |members| members
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            ),
        ]
    })
}

/// Writes a value in another spelling: other order of keys, escapes, spaces, zeros and exponents.
fn respelt(value: &Value, dice: &mut impl FnMut() -> bool, out: &mut String) {
    let text = |text: &str, dice: &mut dyn FnMut() -> bool, out: &mut String| {
        out.push('"');
        for c in text.chars() {
            let mut units = [0; 2];
            match (dice(), c) {
                (true, _) => c
                    .encode_utf16(&mut units)
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04X}"))),
                (false, '"' | '\\') => out.extend(['\\', c]),
                (false, c) if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                (false, c) => out.push(c),
            }
        }
        out.push('"');
    };
    match value {
        Value::String(string) => text(string, dice, out),
        Value::Number(number) => {
            let plain = number.to_string();
            match (plain.contains(['.', 'e']), dice()) {
                (false, true) => out.push_str(&format!("{plain}.000")),
                (false, false) => out.push_str(&format!("{plain}0e-1")),
                (true, _) if plain.contains('e') => out.push_str(&plain),
                (true, true) => out.push_str(&format!("{plain}0")),
                (true, false) => out.push_str(&format!("{plain}E+0")),
            }
        }
        Value::Array(items) => {
            out.push_str("[ ");
            for (number, item) in items.iter().enumerate() {
                out.push_str(if number > 0 { " ,\n" } else { "" });
                respelt(item, dice, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            let mut members: Vec<_> = members.iter().collect();
            if dice() {
                members.reverse();
            }
            for (number, (key, item)) in members.into_iter().enumerate() {
                out.push_str(if number > 0 { ",\t" } else { "" });
                text(key, dice, out);
                out.push_str(" : ");
                respelt(item, dice, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #[test]
    fn another_spelling_of_a_value_has_its_digest(value in values(), seed in any::<u64>()) {
        let mut state = seed | 1;
        let mut dice = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state % 3 == 0 };
        let mut other = String::new();
        respelt(&value, &mut dice, &mut other);
        prop_assert_eq!(digest(other.as_bytes()), digest(value.to_string().as_bytes()), "{}", other);
    }

    #[test]
    fn another_value_has_another_digest(a in values(), b in values()) {
        // `1.0` and `1` are one value.
        let same = |value: &Value| canonical(value.to_string().as_bytes()).unwrap();
        prop_assume!(a != b && same(&a) != same(&b));
        prop_assert_ne!(digest(a.to_string().as_bytes()), digest(b.to_string().as_bytes()));
    }

    #[test]
    fn a_canonical_form_is_the_same_value(value in values()) {
        let form = canonical(value.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&canonical(&form).unwrap(), &form);
        let read: Value = serde_json::from_slice(&form).unwrap();
        prop_assert_eq!(canonical(read.to_string().as_bytes()).unwrap(), form);
    }

    #[test]
    fn a_damaged_token_approves_nothing(at in 0usize..900, with in any::<u8>()) {
        let token = minted(&request(), &manager());
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assume!(text.trim() != token);
            prop_assert!(matches!(checked(&[text], &subject()), Checked::Invalid(_)));
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(agat1\\.|agar1\\.)?[A-Za-z0-9._-]{0,60}|\\PC{0,60}") {
        prop_assert!(SignedToken::parse(&text).is_err());
        prop_assert!(ApprovalRequest::parse(&text).is_err());
    }
}
