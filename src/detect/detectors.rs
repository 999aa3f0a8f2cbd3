//! Registry of detectors; one file for each, or for each closely related family.

use super::{Detector, Doc};

mod at_svnr;
mod au_abn;
mod au_acn;
mod au_medicare;
mod au_tfn;
mod be_national_number;
mod bg_egn;
mod br_cnpj;
mod br_cpf;
mod ca_sin;
mod ch_ahv;
mod credit_card;
mod crypto_address;
mod cz_rodne_cislo;
mod date_of_birth;
mod de_bsnr;
mod de_driver_licence;
mod de_handelsregister;
mod de_health_insurance;
mod de_id_card;
mod de_lanr;
mod de_passport;
mod de_plate;
mod de_postcode;
mod de_social_security;
mod de_tax_id;
mod de_tax_number;
mod de_vat_id;
mod dk_cpr;
mod email;
mod es_nie;
mod es_nif;
mod es_passport;
mod eu_vat_id;
mod fi_hetu;
mod fr_nir;
mod gr_afm;
mod gr_amka;
mod hu_taj;
mod hu_tax_id;
mod iban;
mod ie_pps;
mod in_aadhaar;
mod in_gstin;
mod in_pan;
mod in_passport;
mod in_vehicle;
mod in_voter;
mod injection;
mod ip_address;
mod it_driver_licence;
mod it_fiscal_code;
mod it_identity_card;
mod it_passport;
mod it_vat;
mod jp_my_number;
mod kr_brn;
mod kr_driver_licence;
mod kr_frn;
mod kr_passport;
mod kr_rrn;
mod mac_address;
mod mx_curp;
mod mx_rfc;
mod ng_nin;
mod ng_vehicle;
mod nl_bsn;
mod no_fodselsnummer;
mod ph_tin;
mod phone;
mod pl_nip;
mod pl_pesel;
mod postal_address;
mod pt_nif;
mod ro_cnp;
mod se_orgnr;
mod se_personnummer;
mod secrets;
mod sg_nric;
mod sg_uen;
mod th_tnin;
mod tr_national_id;
mod tr_vehicle;
mod uk_driving_licence;
mod uk_nhs;
mod uk_nino;
mod uk_passport;
mod uk_postcode;
mod uk_utr;
mod uk_vehicle;
mod us_aba_routing;
mod us_bank;
mod us_dea;
mod us_driver_licence;
mod us_ein;
mod us_itin;
mod us_mbi;
mod us_npi;
mod us_passport;
mod us_ssn;
mod za_id;

/// Returns the part of a detector that is compiled in. The filter omits what only the reference and the tests read,
/// which is 100 KB.
const fn carried(detector: &Detector) -> Detector {
    let is_filter = cfg!(target_arch = "wasm32");
    Detector {
        name: detector.name,
        groups: detector.groups,
        doc: Doc {
            finds: if is_filter { "" } else { detector.doc.finds },
            misses: if is_filter { "" } else { detector.doc.misses },
            source: if is_filter { "" } else { detector.doc.source },
        },
        reach: detector.reach,
        context: detector.context,
        anchors: detector.anchors,
        hits: if is_filter { &[] } else { detector.hits },
        misses: if is_filter { &[] } else { detector.misses },
    }
}

macro_rules! detectors {
    ($(&$detector:path,)*) => {
        /// Every built-in detector; the position in this list is the index in findings.
        pub static DETECTORS: &[&Detector] = &[$(&carried(&$detector)),*];
    };
}

detectors![
    &at_svnr::DETECTOR,
    &au_abn::DETECTOR,
    &au_acn::DETECTOR,
    &au_medicare::DETECTOR,
    &au_tfn::DETECTOR,
    &be_national_number::DETECTOR,
    &bg_egn::DETECTOR,
    &br_cnpj::DETECTOR,
    &br_cpf::DETECTOR,
    &ca_sin::DETECTOR,
    &ch_ahv::DETECTOR,
    &credit_card::DETECTOR,
    &crypto_address::DETECTOR,
    &cz_rodne_cislo::DETECTOR,
    &date_of_birth::DETECTOR,
    &de_bsnr::DETECTOR,
    &de_driver_licence::DETECTOR,
    &de_handelsregister::DETECTOR,
    &de_health_insurance::DETECTOR,
    &de_id_card::DETECTOR,
    &de_lanr::DETECTOR,
    &de_passport::DETECTOR,
    &de_plate::DETECTOR,
    &de_postcode::DETECTOR,
    &de_social_security::DETECTOR,
    &de_tax_id::DETECTOR,
    &de_tax_number::DETECTOR,
    &de_vat_id::DETECTOR,
    &dk_cpr::DETECTOR,
    &email::DETECTOR,
    &es_nie::DETECTOR,
    &es_nif::DETECTOR,
    &es_passport::DETECTOR,
    &eu_vat_id::DETECTOR,
    &fi_hetu::DETECTOR,
    &fr_nir::DETECTOR,
    &gr_afm::DETECTOR,
    &gr_amka::DETECTOR,
    &hu_taj::DETECTOR,
    &hu_tax_id::DETECTOR,
    &iban::DETECTOR,
    &ie_pps::DETECTOR,
    &in_aadhaar::DETECTOR,
    &in_gstin::DETECTOR,
    &in_pan::DETECTOR,
    &in_passport::DETECTOR,
    &in_vehicle::DETECTOR,
    &in_voter::DETECTOR,
    &ip_address::DETECTOR,
    &it_driver_licence::DETECTOR,
    &it_fiscal_code::DETECTOR,
    &it_identity_card::DETECTOR,
    &it_passport::DETECTOR,
    &it_vat::DETECTOR,
    &jp_my_number::DETECTOR,
    &kr_brn::DETECTOR,
    &kr_driver_licence::DETECTOR,
    &kr_frn::DETECTOR,
    &kr_passport::DETECTOR,
    &kr_rrn::DETECTOR,
    &mac_address::DETECTOR,
    &mx_curp::DETECTOR,
    &mx_rfc::DETECTOR,
    &ng_nin::DETECTOR,
    &ng_vehicle::DETECTOR,
    &nl_bsn::DETECTOR,
    &no_fodselsnummer::DETECTOR,
    &ph_tin::DETECTOR,
    &phone::DETECTOR,
    &pl_nip::DETECTOR,
    &pl_pesel::DETECTOR,
    &postal_address::DETECTOR,
    &pt_nif::DETECTOR,
    &ro_cnp::DETECTOR,
    &se_orgnr::DETECTOR,
    &se_personnummer::DETECTOR,
    &sg_nric::DETECTOR,
    &sg_uen::DETECTOR,
    &th_tnin::DETECTOR,
    &tr_national_id::DETECTOR,
    &tr_vehicle::DETECTOR,
    &uk_driving_licence::DETECTOR,
    &uk_nhs::DETECTOR,
    &uk_nino::DETECTOR,
    &uk_passport::DETECTOR,
    &uk_postcode::DETECTOR,
    &uk_utr::DETECTOR,
    &uk_vehicle::DETECTOR,
    &us_aba_routing::DETECTOR,
    &us_bank::DETECTOR,
    &us_dea::DETECTOR,
    &us_driver_licence::DETECTOR,
    &us_ein::DETECTOR,
    &us_itin::DETECTOR,
    &us_mbi::DETECTOR,
    &us_npi::DETECTOR,
    &us_passport::DETECTOR,
    &us_ssn::DETECTOR,
    &za_id::DETECTOR,
    &secrets::aws::ACCESS_KEY,
    &secrets::aws::SECRET_KEY,
    &secrets::azure::SECRET,
    &secrets::github::TOKENS,
    &secrets::gitlab::TOKENS,
    &secrets::slack::TOKEN,
    &secrets::slack::WEBHOOK,
    &secrets::google::API_KEY,
    &secrets::stripe::KEYS,
    &secrets::private_key::BLOCK,
    &secrets::jwt::TOKEN,
    &secrets::model::OPENAI,
    &secrets::model::ANTHROPIC,
    &secrets::model::HUGGING_FACE,
    &secrets::package::NPM,
    &secrets::package::PYPI,
    &secrets::mail::SENDGRID,
    &secrets::mail::TWILIO,
    &secrets::mail::MAILCHIMP,
    &secrets::mail::MAILGUN,
    &secrets::bot::TELEGRAM,
    &secrets::bot::DISCORD,
    &secrets::platform::SQUARE,
    &secrets::platform::SHOPIFY,
    &secrets::platform::DIGITALOCEAN,
    &secrets::platform::DATABRICKS,
    &secrets::platform::GRAFANA,
    &secrets::platform::HASHICORP,
    &secrets::platform::JFROG,
    &secrets::login::BASIC_AUTH,
    &secrets::login::HTTP_AUTH_HEADER,
    &secrets::password::PASSWORD,
    &secrets::generic::KEY,
    &secrets::vendor::TOKENS,
    &injection::HIDDEN_TEXT,
    &injection::HOMOGLYPHS,
    &injection::ROLE_MARKERS,
    &injection::EXFILTRATION,
    &injection::OVERRIDE,
];
