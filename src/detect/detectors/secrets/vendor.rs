//! Tokens whose prefix identifies their vendor.

use std::ops::Range;

use crate::detect::entropy::shannon_entropy_tenths;
use crate::detect::scan::alphabet::{Alphabet, SearchState};
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::first_in;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};
use crate::wire::work;

const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// The key's number, the key, a checksum.
const PADDLE: &str = "[0-9a-z]{26}_[0-9a-zA-Z]{22}_[0-9a-zA-Z]{3}";

const HELICONE: &str = "[0-9a-z]{7}-[0-9a-z]{7}-[0-9a-z]{7}-[0-9a-z]{7}";

/// The key's number, which ends in `CNTRL`, a hyphen, the key.
const TAILSCALE: &str = "[0-9a-zA-Z]{10,24}-[0-9a-zA-Z]{16,48}";

pub(in crate::detect) static TOKENS: Detector = Detector {
    name: "vendor_token",
    groups: &["secrets.vendor"],
    doc: Doc {
        finds: "Tokens of some hundred vendors that begin with a prefix of theirs: 1Password, Adafruit, Adobe, Age, Aikido, Aiven, Airtable, Alibaba, Apify, Asaas, Asana, Astra DB, Atlassian, Authress, Axiom, Bitbucket, Buildkite, Canva, Cerebras, CircleCI, ClickHouse, ClickUp, Clojars, Cloudflare, CockroachDB, Confluent, Contentful, crates.io, Cursor, Deno, Devin, Docker, Doppler, Dropbox, Duffel, Dynatrace, E2B, EasyPost, Elastic, Facebook, Figma, Firecrawl, Fireworks, Flutterwave, Fly.io, Frame.io, Google OAuth, Groq, Harness, Helicone, Heroku, HubSpot, Infracost, Inngest, Jina, Kimi, Klaviyo, Langfuse, LangSmith, LaunchDarkly, Linear, LlamaCloud, LM Studio, Mapbox, MaxMind, MiniMax, MongoDB Atlas, Neon, Netlify, New Relic, Notion, NVIDIA, Octopus Deploy, OneSignal, OpenRouter, OpenShift, Paddle, PayPal, Perplexity, Pinecone, Plaid, PlanetScale, Polar, PostHog, Postman, Prefect, Pulumi, Ramp, ReadMe, Render, Replicate, Resend, RubyGems, Samsara, Scalingo, Segment, Sendinblue, Sentry, SettleMint, Shippo, Snyk, Sonar, Sourcegraph, Supabase, Tailscale, Tavily, Tencent, Trello, Typeform, UpCloud, Vercel, Voyage, Weights & Biases, xAI, Yandex and others; addresses of Teams webhooks, of Zapier webhooks and of its MCP servers; the data of Kubernetes secrets.",
        misses: "Vendors whose tokens have no prefix: their values are found by the name they are assigned to (`generic_api_key`).",
        source: "The vendors' documentation; GitHub Docs, supported secret scanning patterns",
    },
    reach: 16_384,
    context: &[],
    anchors: &[
        Anchor::Number(15..=16, PreFilter::ALWAYS.before(b"|"), application),
        Anchor::Beginning(&[
            token("p8e-", "[0-9a-z]{32}"),
            token("AGE-SECRET-KEY-1", "[0-9A-Z]{58}").entropy(0),
            token("pat", r"[0-9a-zA-Z]{14}\.[0-9a-f]{64}"),
            token("LTAI", "[0-9a-zA-Z]{20}"),
            token(
                "sc_",
                r"[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[0-9a-zA-Z_-]{11,33}\.[0-9a-zA-Z_.=+/-]{30,120}",
            ),
            token(
                "ext_",
                r"[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[0-9a-zA-Z_-]{11,33}\.[0-9a-zA-Z_.=+/-]{30,120}",
            ),
            token(
                "scauth_",
                r"[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[0-9a-zA-Z_-]{11,33}\.[0-9a-zA-Z_.=+/-]{30,120}",
            ),
            token(
                "authress_",
                r"[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[0-9a-zA-Z_-]{11,33}\.[0-9a-zA-Z_.=+/-]{30,120}",
            ),
            token("4b1d", "[0-9a-zA-Z]{38}"),
            token("CLOJARS_", "[0-9a-z]{60}"),
            token("v1.0-", "[0-9a-f]{24}-[0-9a-f]{146}"),
            token("dp.pt.", "[0-9a-zA-Z]{40,48}"),
            token("dp.st.", "[0-9a-zA-Z_.=-]{40,90}"),
            token("dp.ct.", "[0-9a-zA-Z]{40,48}"),
            token("duffel_test_", "[0-9a-zA-Z_=-]{43}"),
            token("duffel_live_", "[0-9a-zA-Z_=-]{43}"),
            token("dt0c01.", r"[0-9a-zA-Z]{24}\.[0-9a-zA-Z]{64}"),
            token("EZAK", "[0-9a-zA-Z]{54}"),
            token("EZTK", "[0-9a-zA-Z]{54}"),
            // After it the number of the application begins, in Base64.
            token("EAA", "[0-9a-zA-Z]{100,400}"),
            token("FLWPUBK_TEST-", "[0-9a-z]{32}-X"),
            token("FLWSECK_TEST-", "[0-9a-z]{32}-X"),
            token("FLWSECK_TEST-", "[0-9a-z]{12}"),
            token("FLWSECK-", "[0-9a-z]{32}-X"),
            token("fo1_", "[0-9a-zA-Z_-]{43}"),
            token("fm1a_", "[0-9a-zA-Z+/=]{80,1000}"),
            token("fm1r_", "[0-9a-zA-Z+/=]{80,1000}"),
            token("fm2_", "[0-9a-zA-Z+/=]{80,1000}"),
            token("fio-u-", "[0-9a-zA-Z_=-]{64}"),
            token(
                "pat.",
                r"[0-9a-zA-Z_-]{22}\.[0-9a-zA-Z]{24}\.[0-9a-zA-Z]{20}",
            ),
            token(
                "sat.",
                r"[0-9a-zA-Z_-]{22}\.[0-9a-zA-Z]{24}\.[0-9a-zA-Z]{20}",
            ),
            token("HRKU-", "[0-9a-zA-Z_-]{36,62}"),
            token("ico-", "[0-9a-zA-Z]{32}"),
            token("s-s4t2ud-", "[0-9a-f]{64}"),
            token("s-s4t2af-", "[0-9a-f]{64}"),
            token("lin_api_", "[0-9a-zA-Z]{40}"),
            token("lin_oauth_", "[0-9a-f]{64}"),
            token("ntn_", "[0-9]{11,40}[0-9a-zA-Z]{20,46}"),
            token("secret_", "[0-9a-zA-Z]{43}"),
            token("API-", "[0-9A-Z]{26,32}"),
            token("sha256~", "[0-9a-zA-Z_-]{43}"),
            token(
                "A3-",
                "[0-9A-Z]{6}-[0-9A-Z]{11}-[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}",
            ),
            token(
                "A3-",
                "[0-9A-Z]{6}-[0-9A-Z]{6}-[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}",
            ),
            token("ops_eyJ", "[0-9a-zA-Z+/=]{200,1800}"),
            token("pplx-", "[0-9a-zA-Z]{40,56}"),
            token("pscale_tkn_", "[0-9a-zA-Z_.=-]{32,64}"),
            token("pscale_oauth_", "[0-9a-zA-Z_.=-]{32,64}"),
            token("pscale_pw_", "[0-9a-zA-Z_.=-]{32,64}"),
            token("PMAK-", "[0-9a-f]{24}-[0-9a-f]{34}"),
            token("pnu_", "[0-9a-zA-Z]{36}"),
            token("pul-", "[0-9a-f]{40}"),
            token("rdme_", "[0-9a-z]{70}"),
            token("rubygems_", "[0-9a-f]{48}"),
            token("tk-us-", "[0-9a-zA-Z_-]{48}"),
            token("xkeysib-", "[0-9a-f]{64}-[0-9a-zA-Z]{16}"),
            token("xsmtpsib-", "[0-9a-f]{64}-[0-9a-zA-Z]{16}"),
            token("sntrys_eyJ", "[0-9a-zA-Z+/=]{80,600}_[0-9a-zA-Z+/=]{43,44}"),
            token("sntryu_", "[0-9a-f]{64}"),
            token("sm_aat_", "[0-9a-zA-Z]{16}"),
            token("sm_pat_", "[0-9a-zA-Z]{16}"),
            token("sm_sat_", "[0-9a-zA-Z]{16}"),
            token("shippo_live_", "[0-9a-fA-F]{40}"),
            token("shippo_test_", "[0-9a-fA-F]{40}"),
            token("sgp_", "[0-9a-fA-F]{40}"),
            token("sgp_", "[0-9a-fA-F]{16}_[0-9a-fA-F]{40}"),
            token("sgp_local_", "[0-9a-fA-F]{40}"),
            // Segment has the same prefix.
            token("sgp_", "[0-9a-zA-Z]{64}"),
            token("slk_", "[0-9a-f]{64}"),
            token("tfp_", "[0-9a-zA-Z_.=-]{40,70}"),
            token("sqp_", "[0-9a-fA-F]{40}"),
            token("squ_", "[0-9a-fA-F]{40}"),
            token("sqa_", "[0-9a-fA-F]{40}"),
            token("NRAK-", "[0-9a-zA-Z]{27}"),
            token("NRJS-", "[0-9a-f]{19}"),
            token("NRII-", "[0-9a-zA-Z_-]{32}"),
            token("NRIQ-", "[0-9a-zA-Z_-]{32}"),
            token("NRRA-", "[0-9a-f]{42}"),
            token("NRAA-", "[0-9a-f]{27}"),
            token("ATATT3", "[0-9a-zA-Z_=-]{150,250}"),
            token("ATCTT3", "[0-9a-zA-Z_=-]{150,250}"),
            token("ATBB", "[0-9a-zA-Z]{32}"),
            token("bkua_", "[0-9a-z]{40,53}"),
            token("bkaa_", "[0-9a-zA-Z_-]{75}"),
            token("bkaj_", "[0-9a-zA-Z_-]{333}"),
            token("bkar_", "[0-9a-zA-Z_-]{73}"),
            token("bkct_", "[0-9a-zA-Z_-]{73}"),
            token("bkpt_", "[0-9a-zA-Z_-]{199}"),
            token("bkpat_", "[0-9a-zA-Z_-]{54}"),
            token("bkps_", "[0-9a-zA-Z_-]{64}"),
            token("CCIPAT_", "[0-9a-zA-Z]{22}_[0-9a-f]{40}"),
            token("CFPAT-", "[0-9a-zA-Z_-]{43}"),
            token("cio", "[0-9a-zA-Z]{32}"),
            token("ddp_", "[0-9a-zA-Z]{36}"),
            token("dckr_pat_", "[0-9a-zA-Z_-]{27}"),
            token("dckr_oat_", "[0-9a-zA-Z_-]{27,32}"),
            token("sl.", "[0-9a-zA-Z_-]{130,160}"),
            token("sl.u.", "[0-9a-zA-Z_-]{130,1200}"),
            token("figd_", "[0-9a-zA-Z_-]{36,48}"),
            token("ya29.", "[0-9a-zA-Z_-]{50,500}"),
            token("GOCSPX-", "[0-9a-zA-Z_-]{28}"),
            token("nfp_", "[0-9a-zA-Z]{36}"),
            token("sbp_", "[0-9a-f]{40}"),
            token("sbp_oauth_", "[0-9a-f]{40}"),
            token("re_", "[0-9a-zA-Z]{8}_[0-9a-zA-Z]{24}"),
            token("pcsk_", "[0-9a-zA-Z_]{60,80}"),
            token("waka_", UUID),
            token("access-production-", UUID),
            token("access-sandbox-", UUID),
            token("access_token$production$", r"[0-9a-z]{16}\$[0-9a-f]{32}"),
            token("access_token$sandbox$", r"[0-9a-z]{16}\$[0-9a-f]{32}"),
            token("pdl_live_apikey_", PADDLE),
            token("pdl_sdbx_apikey_", PADDLE),
            // `phc_` is the key of the project, which is public.
            token("phx_", "[0-9a-zA-Z]{40,64}"),
            token("rnd_", "[0-9a-zA-Z]{24,32}"),
            token("tskey-api-", TAILSCALE),
            token("tskey-auth-", TAILSCALE),
            token("tskey-client-", TAILSCALE),
            token("tskey-scim-", TAILSCALE),
            token("tskey-webhook-", TAILSCALE),
            token("vercel_blob_rw_", "[0-9a-zA-Z]{16}_[0-9a-zA-Z]{24,40}"),
            // Model providers
            token("sk-or-v1-", "[0-9a-f]{64}"),
            token("gsk_", "[0-9a-zA-Z]{52}"),
            token("xai-", "[0-9a-zA-Z]{80}"),
            token("r8_", "[0-9a-zA-Z]{37}"),
            token("fw_", "[0-9a-zA-Z]{24}"),
            token("nvapi-", "[0-9a-zA-Z_-]{60,70}"),
            token("csk-", "[0-9a-z]{48}"),
            token("pa-", "[0-9a-zA-Z_-]{43}"),
            token("jina_", "[0-9a-zA-Z_]{60,70}"),
            token("tgp_v1_", "[0-9a-zA-Z_-]{43}"),
            token("tvly-", "[0-9a-zA-Z_-]{32,48}"),
            token("lsv2_pt_", "[0-9a-f]{32}_[0-9a-f]{10}"),
            token("lsv2_sk_", "[0-9a-f]{32}_[0-9a-f]{10}"),
            token("sk-lf-", UUID),
            token("sk-", "[0-9a-f]{32}"),
            token("sk_", "[0-9a-f]{48}"),
            token("sk-", "[0-9a-zA-Z]{48}").entropy(42),
            token("cfk_", "[0-9a-zA-Z]{48}"),
            token("cfut_", "[0-9a-zA-Z]{48}"),
            token("cfat_", "[0-9a-zA-Z]{48}"),
            token("sb_secret_", "[0-9a-zA-Z_-]{31}"),
            token("vcp_", "[0-9a-zA-Z]{40,64}"),
            token("vca_", "[0-9a-zA-Z]{40,64}"),
            token("vci_", "[0-9a-zA-Z]{40,64}"),
            token("vcr_", "[0-9a-zA-Z]{40,64}"),
            token("vck_", "[0-9a-zA-Z]{40,64}"),
            token("AQ.Ab8R", "[0-9a-zA-Z_-]{40,64}"),
            token("1//0", "[0-9a-zA-Z_-]{60,110}"),
            token("oy2", "[0-9a-z]{43}").entropy(38),
            token("bedrock-api-key-", "[0-9a-zA-Z+/=]{60,600}"),
            token("ABSKQmVkcm9ja0FQSUtleS", "[0-9a-zA-Z+/=]{80,200}").entropy(0),
            token("ABSK", "[0-9a-zA-Z+/=]{109,269}"),
            token("apify_api_", "[0-9a-zA-Z]{36}"),
            token("ATTA", "[0-9a-fA-F]{72}"),
            token("AVNS_", "[0-9a-zA-Z_-]{19}"),
            token("CCDB1_", "[0-9a-zA-Z]{22}_[0-9a-zA-Z]{40}"),
            token("e2b_", "[0-9a-f]{40}"),
            token("fc-", "[0-9a-f]{32}"),
            token("llx-", "[0-9a-zA-Z]{48}"),
            token("cal_live_", "[0-9a-f]{32}"),
            token("rpa_", "[0-9a-zA-Z]{46}"),
            token("napi_", "[0-9a-z]{64}"),
            token("pat-eu1-", UUID),
            token("pat-na1-", UUID),
            token("sdk-", UUID),
            token("sk-kimi-", "[0-9a-zA-Z]{64}"),
            token("sk.eyJ1Ijoi", r"[0-9a-zA-Z_-]{40,300}\.[0-9a-zA-Z_-]{22}"),
            token("snyk_uat.", r"[0-9a-f]{8}\.[0-9a-zA-Z_-]{100,1500}"),
            token("dnkey-", "[0-9a-zA-Z_=-]{20,120}"),
            token("pk_", "[0-9a-f]{34}"),
            token("pk_", "[0-9]{6,10}_[0-9A-Z]{32}"),
            token("aio_", "[0-9a-zA-Z]{28}"),
            token("AIK_SECRET_", "[0-9a-zA-Z]{64}"),
            token("AIK_CI_", "[0-9a-zA-Z]{20,44}"),
            token("aact_prod_", "[0-9a-zA-Z_-]{20,200}"),
            token("aact_hmlg_", "[0-9a-zA-Z_-]{20,200}"),
            token("AstraCS:", "[0-9a-zA-Z]{20,40}:[0-9a-f]{64}"),
            token("xaat-", UUID),
            token("xapt-", UUID),
            token("cnvca", "[0-9a-zA-Z_-]{51}"),
            token("cflt", "[0-9a-zA-Z+/=]{60}"),
            token("crsr_", "[0-9a-f]{64}"),
            token("apk_user_", "[0-9a-zA-Z+/=]{120,184}"),
            token("cog_", "[0-9a-z]{52}"),
            token("essu_", "[0-9a-zA-Z_=-]{60,204}"),
            token("signkey-prod-", "[0-9a-f]{64}"),
            token("signkey-test-", "[0-9a-f]{64}"),
            token("signkey-branch-", "[0-9a-f]{64}"),
            token("mdb_sa_sk_", "[0-9a-zA-Z_-]{40}"),
            token("os_v2_app_", "[0-9a-z]{48,120}"),
            token("os_v2_org_", "[0-9a-z]{48,120}"),
            token("polar_oat_", "[0-9a-zA-Z_-]{32,100}"),
            token("polar_pat_", "[0-9a-zA-Z_-]{32,100}"),
            token("ramp_sec_", "[0-9a-zA-Z]{48}"),
            token("samsara_api_", "[0-9a-zA-Z]{26,32}"),
            token("AKID", "[0-9a-zA-Z]{32}"),
            token("ucat_", "[0-9a-zA-Z]{24,32}"),
            token("wandb_v1_", "[0-9a-zA-Z_]{77}"),
            token("AQVN", "[0-9a-zA-Z_-]{35,38}"),
            token("sk-lm-", "[0-9a-zA-Z]{8}:[0-9a-zA-Z]{20}"),
            token("sk-api-", "[0-9a-zA-Z_-]{119}"),
            token("sk-ak-", "[0-9a-zA-Z]{24,32}"),
            token("sk-helicone-", HELICONE),
            token("sk-helicone-cp-", HELICONE),
            token("sk-helicone-eu-", HELICONE),
        ]),
        Anchor::Mixed(40..=40, PreFilter::ALWAYS, license),
        Anchor::Number(10..=19, PreFilter::ALWAYS.before(b":"), asana),
        Anchor::Word(
            &["hooks.zapier.com/hooks/catch/", "mcp.zapier.com/api/mcp/s/"],
            zapier,
        ),
        Anchor::Mixed(29..=29, PreFilter::ALWAYS.before(b"_"), maxmind),
        Anchor::Mixed(6..=6, PreFilter::ALWAYS.before(b"_"), maxmind),
        Anchor::Word(
            &[
                "webhook.office.com/webhookb2/",
                "outlook.office.com/webhook/",
            ],
            teams,
        ),
        Anchor::Word(&["data:", "stringData:"], kubernetes),
    ],
    hits: &[
        hit(
            concat!(
                "key: pp",
                "lx-GpvcQDZyrFV81i6A9BeinPquoTmIZ3cQw28mMWGUMHrhGV6u\n"
            ),
            &[concat!(
                "pp",
                "lx-GpvcQDZyrFV81i6A9BeinPquoTmIZ3cQw28mMWGUMHrhGV6u"
            )],
        ),
        hit(
            concat!("\"A3", "-I6IL3T-SIEMPP-YVOON-V6X0F-EFOU8-CTI0G\""),
            &[concat!("A3", "-I6IL3T-SIEMPP-YVOON-V6X0F-EFOU8-CTI0G")],
        ),
        hit(
            concat!(
                "OPENROUTER=sk-or",
                "-v1-1771c9a9ff879ebf899e7b9e91f682db8a19e54379c29063d961cfa28ce26e7f"
            ),
            &[concat!(
                "sk-or",
                "-v1-1771c9a9ff879ebf899e7b9e91f682db8a19e54379c29063d961cfa28ce26e7f"
            )],
        ),
        hit(
            concat!(
                "CLOUDFLARE=cf",
                "ut_k3Vd9QmZ7xRb2TnLw8YpHs4JcGf6AeUo1XiKvBqM05c7e91a"
            ),
            &[concat!(
                "cf",
                "ut_k3Vd9QmZ7xRb2TnLw8YpHs4JcGf6AeUo1XiKvBqM05c7e91a"
            )],
        ),
        hit(
            concat!(
                "tailscale up --auth-key tskey",
                "-auth-kQ7wZp2XcT11CNTRL-8hVdN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa"
            ),
            &[concat!(
                "tskey",
                "-auth-kQ7wZp2XcT11CNTRL-8hVdN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa"
            )],
        ),
        hit(
            concat!(
                "Bearer pdl",
                "_live_apikey_01hq7zk3mw9vd5n2rbx8tcf4ge_Q6xTGnJyv3Iz7LDtXT65bX_kQ4, ph",
                "x_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo, rn",
                "d_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR"
            ),
            &[
                concat!(
                    "pdl",
                    "_live_apikey_01hq7zk3mw9vd5n2rbx8tcf4ge_Q6xTGnJyv3Iz7LDtXT65bX_kQ4"
                ),
                concat!("ph", "x_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo"),
                concat!("rn", "d_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR"),
            ],
        ),
        hit(
            concat!(
                "BLOB_RW=vercel",
                "_blob_rw_hV7dN3rLm5KsJ9tY_bG2fWxQ4zPeR6uCa1kTqZ8mXwEo3Dg access",
                "-sandbox-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394"
            ),
            &[
                concat!(
                    "vercel",
                    "_blob_rw_hV7dN3rLm5KsJ9tY_bG2fWxQ4zPeR6uCa1kTqZ8mXwEo3Dg"
                ),
                concat!("access", "-sandbox-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394"),
            ],
        ),
        hit(
            concat!(
                "LLX=ll",
                "x-hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo3DgYi, av",
                "ns: AV",
                "NS_kQ7wZp2XcT18hVdN3rL, hubspot pat",
                "-na1-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394, e2",
                "b_1771c9a9ff879ebf899e7b9e91f682db8a19e542"
            ),
            &[
                concat!("ll", "x-hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo3DgYi"),
                concat!("AV", "NS_kQ7wZp2XcT18hVdN3rL"),
                concat!("pat", "-na1-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394"),
                concat!("e2", "b_1771c9a9ff879ebf899e7b9e91f682db8a19e542"),
            ],
        ),
        hit(
            concat!(
                "klaviyo = pk",
                "_1771c9a9ff879ebf899e7b9e91f682db8a, clickup = pk",
                "_48213976_H7DN3RLM5KSJ9TYBG2FWXQ4ZPER6UCA1"
            ),
            &[
                concat!("pk", "_1771c9a9ff879ebf899e7b9e91f682db8a"),
                concat!("pk", "_48213976_H7DN3RLM5KSJ9TYBG2FWXQ4ZPER6UCA1"),
            ],
        ),
        hit(
            "kind: Secret\ndata:\n  key: bXlwYXNzd29yZA==\n",
            &["key: bXlwYXNzd29yZA=="],
        ),
        hit(
            concat!("maxmind = w5fruZ_8ZUsgYLu8vwgb3yKsgMna3uIF9Oa4", "_mmk"),
            &[concat!("w5fruZ_8ZUsgYLu8vwgb3yKsgMna3uIF9Oa4", "_mmk")],
        ),
        hit(
            concat!(
                "license_key: 1771c9a9ff879ebf899e7b9e91f682dbFFFF",
                "NRAL\nlicense_key: eu01xx1771c9a9ff879ebf899e7b9e91FFFF",
                "NRAL"
            ),
            &[
                concat!("1771c9a9ff879ebf899e7b9e91f682dbFFFF", "NRAL"),
                concat!("eu01xx1771c9a9ff879ebf899e7b9e91FFFF", "NRAL"),
            ],
        ),
        hit(
            concat!(
                "ASANA=1/1204387562019384:1771c9a9ff879ebf",
                "899e7b9e91f682db, 2/1204387562019384/1207654382910475:8a19e54379c29063",
                "d961cfa28ce26e7f"
            ),
            &[
                concat!("1/1204387562019384:1771c9a9ff879ebf", "899e7b9e91f682db"),
                concat!(
                    "2/1204387562019384/1207654382910475:8a19e54379c29063",
                    "d961cfa28ce26e7f"
                ),
            ],
        ),
        hit(
            concat!(
                "https://hooks.zapier",
                ".com/hooks/catch/4821397/b7xk2qm/ and https://mcp.zapier",
                ".com/api/mcp/s/MTc3MWM5YTktZmY4Ny05ZWJmLTg5OWUtN2I5ZTkxZjY4MmRi/mcp"
            ),
            &[
                concat!("https://hooks.zapier", ".com/hooks/catch/4821397/b7xk2qm"),
                concat!(
                    "https://mcp.zapier",
                    ".com/api/mcp/s/MTc3MWM5YTktZmY4Ny05ZWJmLTg5OWUtN2I5ZTkxZjY4MmRi"
                ),
            ],
        ),
        hit(
            concat!("LM_API_TOKEN=sk-l", "m-hV7dN3rL:m5KsJ9tYbG2fWxQ4zPeR"),
            &[concat!("sk-l", "m-hV7dN3rL:m5KsJ9tYbG2fWxQ4zPeR")],
        ),
    ],
    misses: &[
        miss(
            concat!("sgp", "_local_d45b6G86aBb0F2Cee943902dbaDBCFCFDD1dA089"),
            "not hexadecimal",
        ),
        miss(
            "sk-thisisonlyanameandnotakeyofanythingthatisreal123",
            "words",
        ),
        miss(
            "phc_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo, rnd_generator_of_the_first_kind, pk_48213976",
            "a public key, a name, the key of a row",
        ),
        miss(concat!("nt", "n_12345678901abc"), "too short"),
        miss(
            "fc-cache -fv, sdk-7c1a4f2e, napi_create_function_with_a_name, llx-parser, vcr_cassettes_of_the_tests",
            "names",
        ),
        miss(
            concat!(
                "rd",
                "me_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
            ),
            "a placeholder",
        ),
        miss(
            "src=\"./assets/vipul-f0eb1acf0da84c06a50c5b2c59932001997786b1\"",
            "within a name",
        ),
        miss(
            "blob 1771c9a9ff879ebf899e7b9e91f682db8a19e543, 1771c9a9ff879ebf899e7b9e91f682zzFFFFNRAL",
            "a hash, not hexadecimal",
        ),
        miss(
            "3/1204387562019384:1771c9a9ff879ebf899e7b9e91f682db, 1/1204387562019384:1771c9a9",
            "no such version, too short",
        ),
        miss(
            "https://hooks.zapier.com/hooks/catch/[ID]/okx/, https://mcp.zapier.com/api/mcp/s/YOUR_SECRET/mcp",
            "placeholders",
        ),
        miss(
            "kind: ExternalSecret\ndata:\n  secretKey: api-key-of-the-service\n",
            "a reference",
        ),
    ],
};

/// Six characters, `_`, 29 characters, `_mmk`; either of the two may be the first with a digit.
fn maxmind(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let long = place.end.wrapping_sub(place.at) == 29;
    let start = if long {
        place.at.checked_sub(7)?
    } else {
        place.at
    };
    place.begins(start);
    let middle = text.run(start, 7, alphanumeric);
    if middle.wrapping_sub(start) != 6
        || text.at(middle) != b'_'
        || alphanumeric(text.before(start))
    {
        return None;
    }
    let from = middle.wrapping_add(1);
    let end = text.run(from, 30, alphanumeric);
    let fits = end.wrapping_sub(from) == 29
        && text.follows(end, "_mmk")
        && !alphanumeric(text.at(end.wrapping_add(4)));
    fits.then_some(Match {
        start,
        end: end.wrapping_add(4),
        confidence: Confidence::High,
    })
}

fn teams(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let host = text.run_back(place.at, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
    });
    let start = place.begins_url(host);
    let end = text.run(place.end, 260, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'@' | b'/')
    });
    let path = text.slice(place.end..end);
    let incoming = path
        .windows(17)
        .any(|window| window == b"/IncomingWebhook/");
    (incoming && path.len() >= 100).then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// New Relic's license key: 36 hexadecimal digits, perhaps with a region such as `eu01xx` in place of the first six, and
/// `NRAL`.
fn license(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let head = text.slice(place.at..place.end).strip_suffix(b"NRAL")?;
    let region = if head.get(4..6) == Some(b"xx") { 6 } else { 0 };
    let key = head.get(region..)?;
    let fits = key.iter().all(|byte| Alphabet::Hex.has(*byte)) && shannon_entropy_tenths(key) >= 25;
    fits.then_some(Match {
        start: place.at,
        end: place.end,
        confidence: Confidence::High,
    })
}

/// Asana's personal token: its version, the user's number, in version 2 the token's number, 32 hexadecimal digits.
fn asana(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let number = place.at.checked_sub(1)?;
    let before = text.run_back(number, 20, |byte| byte.is_ascii_digit());
    let start = match text.slice(before..number) {
        b"1" => before,
        user if (10..20).contains(&user.len()) => before.checked_sub(2)?,
        _ => return None,
    };
    let version = text.slice(start..number);
    if text.before(place.at) != b'/'
        || text.before(start).is_ascii_alphanumeric()
        || version != b"1" && !version.starts_with(b"2/")
    {
        return None;
    }
    place.begins(start);
    let from = place.end.wrapping_add(1);
    let end = text.run_of(Alphabet::Hex, from, 33);
    let fits = end.wrapping_sub(from) == 32
        && !text.at(end).is_ascii_alphanumeric()
        && text.is_random(from..end, 25);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Zapier's addresses that are a key by themselves: of webhooks, and of MCP servers.
fn zapier(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place.begins_url(place.at);
    // The number of the account, for webhooks.
    let account = text.run(place.end, 16, |byte| byte.is_ascii_digit());
    let from = match text.at(account) {
        b'/' if account > place.end => account.wrapping_add(1),
        _ => place.end,
    };
    let end = text.run_of(Alphabet::Base64UrlPadded, from, 200);
    let is_server = text.follows(place.at, "mcp");
    let least = if is_server { 24 } else { 6 };
    let key = text.slice(from..end);
    let fits = key.len() >= least && (is_server || from > account) && text.is_random(from..end, 20);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Facebook's application token: the application's number, a bar, its secret.
fn application(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let from = place.end.wrapping_add(1);
    let end = text.run_of(Alphabet::Base64Url, from, 41);
    let secret = text.slice(from..end);
    let fits = (27..=40).contains(&secret.len())
        && text.is_random(from..end, 30)
        && text.before(place.at) != b'|';
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::Medium,
    })
}

/// Maximum distance in bytes in which a manifest is searched for its kind, on both sides.
const MANIFEST: usize = 700;

/// Key that contains the kind of a manifest.
const KIND: &[u8] = b"kind:";

/// Kind of a manifest whose data are credentials.
const SECRET: &[u8] = b"secret";

/// Finds the entries of the data of a Kubernetes secret.
fn kubernetes(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !matches!(text.before(place.at), b'\n' | b' ' | 0) {
        return None;
    }
    let line = text.run(place.end, 40, |byte| matches!(byte, b' ' | b'\r'));
    if text.at(line) != b'\n' {
        return None;
    }
    let mut at = line.wrapping_add(1);
    let mut found: Option<(usize, usize)> = None;
    // Comments and entries that are indented.
    for _ in 0..32 {
        let entry = text.run(at, 16, |byte| matches!(byte, b' ' | b'\t'));
        if entry == at {
            break;
        }
        let end = text.run(entry, 8_192, |byte| byte != b'\n');
        if let Some((start, end)) = entry_of(place, entry, end) {
            if found.is_none() {
                place.begins(start);
            }
            found = Some((found.map_or(start, |(first, _)| first), end));
        }
        at = end.wrapping_add(1);
    }
    let (start, end) = found?;
    let from = place.at.saturating_sub(MANIFEST);
    // In many manifests in a row each part is searched once.
    let is_secret = |what, range: Range<usize>| {
        let word = text.find_by(what, SECRET.len(), range.clone(), |range| {
            first_secret(text.slice(0..range.end), range.start)
        });
        word.is_some() && {
            work::spend(MANIFEST);
            is_secret(text.slice(range))
        }
    };
    if !is_secret(SearchState::KindBefore, from..place.at) {
        let to = text.end_within(end, MANIFEST);
        if !is_secret(SearchState::KindBehind, end..to) {
            return None;
        }
    }
    Some(Match {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

/// `name: c2VjcmV0…`, the value perhaps on the next line.
fn entry_of(place: &MatchSite<'_>, entry: usize, line_end: usize) -> Option<(usize, usize)> {
    let text = place.text;
    let name = text.run(entry, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
    });
    if name == entry || text.at(name) != b':' {
        return None;
    }
    let mut value = text.run(name.wrapping_add(1), 8, |byte| {
        matches!(byte, b' ' | b'"' | b'\'')
    });
    if text.at(value) == b'|' && value.wrapping_add(1) >= line_end {
        value = text.run(line_end, 24, |byte| matches!(byte, b'\n' | b' ' | b'\t'));
    }
    let end = text.run_of(Alphabet::Base64, value, 8_000);
    let encoded = text.slice(value..end);
    let fits =
        encoded.len() >= 12 && encoded.len().is_multiple_of(4) && text.is_random(value..end, 25);
    fits.then_some((entry, end))
}

/// Returns the position of the first word `secret` after `kind:`, from `from` on.
fn first_secret(text: &[u8], from: usize) -> Option<usize> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let starts = text.get(from..)?.iter().enumerate();
    starts
        .filter(|(_, byte)| **byte | 0x20 == b's')
        .filter_map(|(place, _)| text.split_at_checked(from.wrapping_add(place)))
        .find(|(before, rest)| {
            let word = rest.get(..SECRET.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(SECRET)) && {
                let blanks = before.iter().rev().take_while(|byte| blank(byte)).count();
                let named = before.len().wrapping_sub(blanks);
                before.get(..named).is_some_and(|to| to.ends_with(KIND))
            }
        })
        .map(|(before, _)| before.len())
}

/// `kind: Secret` on a line of its own.
fn is_secret(manifest: &[u8]) -> bool {
    let mut rest = manifest;
    while let Some((before, kind)) =
        first_in(rest, KIND).and_then(|place| rest.split_at_checked(place))
    {
        let blank = |byte: &u8| byte.is_ascii_whitespace() && *byte != b'\n';
        let before = before.iter().rev().find(|byte| !blank(byte));
        rest = kind.get(KIND.len()..).unwrap_or_default();
        if before.is_some_and(|byte| *byte != b'\n') {
            continue;
        }
        let kind = rest.split(|byte| *byte == b'\n').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        let kind: &[u8] = kind
            .strip_prefix(b"\"")
            .and_then(|kind| kind.strip_suffix(b"\""))
            .unwrap_or(kind);
        let kind: &[u8] = kind
            .strip_prefix(b"'")
            .and_then(|kind| kind.strip_suffix(b"'"))
            .unwrap_or(kind);
        if kind.eq_ignore_ascii_case(SECRET) {
            return true;
        }
    }
    false
}
