"""What presidio-analyzer's pattern recognisers and detect-secrets find in the labelled texts, and how fast they look.

others.py CASES.jsonl.gz < TEXTS.jsonl > RESULTS.jsonl; `benches/detect.rs` writes the one and reads the other. A line of
results is a tool with its speeds, in MB/s, and its findings in each case: start and end in code points, and the type.
"""

import gzip
import inspect
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from importlib import metadata

# Longest time for one text; what takes longer is given as slower than its length in that time.
LIMIT = 8.0
# How long a text is scanned over and over.
BUDGET = 0.05

logging.disable(logging.CRITICAL)

# Names that differ from ours by more than their case.
PRESIDIO = {
    "ABA_ROUTING_NUMBER": "us_aba_routing",
    "CREDIT_CARD": "credit_card",
    "CRYPTO": "crypto_address",
    "DE_DRIVER_LICENSE": "de_driver_licence",
    "DE_FUEHRERSCHEIN": "de_driver_licence",
    "DE_KFZ": "de_plate",
    "DE_LICENSE_PLATE": "de_plate",
    "DE_PLZ": "de_postcode",
    "DE_POSTAL_CODE": "de_postcode",
    "EMAIL_ADDRESS": "email",
    "FI_PERSONAL_IDENTITY_CODE": "fi_hetu",
    "IBAN_CODE": "iban",
    "IN_VEHICLE_REGISTRATION": "in_vehicle",
    "IT_DRIVER_LICENSE": "it_driver_licence",
    "IT_VAT_CODE": "it_vat",
    "KR_DRIVER_LICENSE": "kr_driver_licence",
    "MEDICAL_LICENSE": "us_dea",
    "NG_VEHICLE_REGISTRATION": "ng_vehicle",
    "PHONE_NUMBER": "phone",
    "SE_ORGANISATIONSNUMMER": "se_orgnr",
    "SG_NRIC_FIN": "sg_nric",
    "TR_LICENSE_PLATE": "tr_vehicle",
    "UK_VEHICLE_REGISTRATION": "uk_vehicle",
    "US_BANK_NUMBER": "us_bank",
    "US_DRIVER_LICENSE": "us_driver_licence",
    "ZA_ID_NUMBER": "za_id",
}


class Presidio:
    """All recognisers that need no language model, each pattern whatever its score."""

    name, package = "presidio", "presidio-analyzer"

    def __init__(self):
        import tldextract
        from presidio_analyzer import PatternRecognizer, predefined_recognizers

        # Without this the first address asks the network for the list of public suffixes.
        tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        self.recognisers = []
        for _, kind in inspect.getmembers(predefined_recognizers, inspect.isclass):
            phone = kind.__name__ == "PhoneRecognizer"
            if phone or issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
                recogniser = kind()
                # Links and dates are none of the labelled types.
                if not {"URL", "DATE_TIME"} & set(recogniser.supported_entities):
                    self.recognisers.append(recogniser)

    def find(self, text):
        found = []
        for recogniser in self.recognisers:
            for hit in recogniser.analyze(text, recogniser.supported_entities, None) or []:
                name = PRESIDIO.get(hit.entity_type, hit.entity_type.lower())
                found.append([hit.start, hit.end, name])
        return found


class DetectSecrets:
    """All plugins with their usual filters; a finding counts whatever kind of secret it is called."""

    name, package = "detect-secrets", "detect-secrets"

    def __init__(self):
        from detect_secrets.core import scan
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.settings import configure_settings_from_baseline

        plugins = sorted(kind.__name__ for kind in get_mapping_from_secret_type_to_class().values())
        configure_settings_from_baseline({"plugins_used": [{"name": name} for name in plugins]})
        self.scan = scan
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "text.txt")

    def find(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        starts = [0]
        for line in text.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        found = []
        for secret in self.scan.scan_file(self.path):
            value = secret.secret_value
            kind = "ip_address" if secret.type == "Public IP (ipv4)" else "secret"
            line = min(max(secret.line_number, 1), len(starts) - 1) - 1
            # Some plugins give the whole line's number one off; the value is what matters.
            start = text.find(value, starts[line]) if value else -1
            start = text.find(value) if value and start < 0 else start
            if start >= 0:
                found.append([start, start + len(value), kind])
        return found


def speed(tool, text):
    """MB/s of the fastest of several scans; negative: slower than that."""
    size = len(text.encode()) / 1e6

    def scan(answer):
        best, begun = float("inf"), time.perf_counter()
        while time.perf_counter() - begun < BUDGET:
            start = time.perf_counter()
            tool.find(text)
            best = min(best, time.perf_counter() - start)
        answer.send(size / best)

    # In a process of its own, because a regular expression can't be interrupted.
    answer, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=scan, args=(sender,))
    process.start()
    result = answer.recv() if answer.poll(LIMIT) else -size / LIMIT
    process.kill()
    process.join()
    return result


def main():
    texts = [json.loads(line) for line in sys.stdin]
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
        cases = [json.loads(line)["text"] for line in file]
    for kind in (Presidio, DetectSecrets):
        tool = kind()
        speeds = {text["kind"]: speed(tool, text["text"]) for text in texts}
        found = [tool.find(case) for case in cases]
        version = metadata.version(tool.package)
        print(json.dumps({"tool": f"{tool.name} {version}", "speeds": speeds, "found": found}), flush=True)


if __name__ == "__main__":
    main()
