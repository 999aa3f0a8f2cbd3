"""Unpacks and runs each artefact of a release.

    dist.py FOLDER [PACK_COMMAND…]

With a command, it packs again into another folder, whose files must be the same.
"""

import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import venv
import zipfile

POLICY = pathlib.Path(__file__).parent.parent / "policies" / "getting-started.yaml"


def check(condition, what):
    if not condition:
        sys.exit(f"dist: {what}")


def only(folder, pattern):
    found = sorted(folder.glob(pattern))
    check(len(found) == 1, f"{pattern}: {len(found)} files")
    return found[0]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def validates(command, version):
    check(run(*command, "--version").strip() == f"agentguard {version}", f"{command[0]}: another version")
    check("3 rules, enforce mode" in run(*command, "validate", POLICY), f"{command[0]}: another result")


def machine():
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def checksums(dist):
    listed = {}
    for line in (dist / "sha256sums").read_text().splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
    names = {path.name for path in dist.iterdir()} - {"sha256sums"}
    check(set(listed) == names, f"sha256sums: {sorted(names ^ set(listed))}")
    for name, digest in listed.items():
        check(hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest, f"{name}: another checksum")


def unpacked(dist, version, folder):
    with tarfile.open(dist / f"agentguard-{version}-linux-{machine()}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return only(folder, "*")


def archive(dist, version, folder):
    top = unpacked(dist, version, folder)
    validates([top / "agentguard"], version)
    check("INTERP" not in run("readelf", "--program-headers", "--wide", top / "agentguard"), "the command is not static")
    for name in ("LICENSE", "completions/agentguard.bash", "completions/agentguard.zsh", "completions/agentguard.fish",
                 "man/man1/agentguard.1", "man/man1/agentguard-build.1"):
        check((top / name).stat().st_size > 0, f"{name} is empty")
    run("bash", "-n", top / "completions/agentguard.bash")


def wheel(dist, version, folder):
    venv.create(folder, with_pip=True)
    name = {"amd64": "x86_64", "arm64": "aarch64"}[machine()]
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", only(dist, f"*{name}.whl"))
    validates([folder / "bin/agentguard"], version)
    with zipfile.ZipFile(only(dist, f"*{name}.whl")) as archive:
        check(archive.testzip() is None, "the wheel is damaged")


def npm(dist, version, folder):
    node = os.environ["AGENTGUARD_NODE"]
    with tarfile.open(dist / f"agentguard-{version}.tgz") as tar:
        tar.extractall(folder, filter="data")
    package = json.loads((folder / "package/package.json").read_text())
    check(package["version"] == version, "package.json: another version")
    validates([node, folder / "package" / package["bin"]["agentguard"]], version)
    ended = subprocess.run([node, folder / "package/bin/agentguard.js", "validate", "no-such-file"], stderr=subprocess.DEVNULL, check=False)
    check(ended.returncode == 2, "npm: the exit status is lost")


class Image:
    """An image of a layout, each of whose blobs is checked."""

    def __init__(self, file, name, architecture=None):
        self.tar = tarfile.open(file)
        check(self.read("oci-layout")["imageLayoutVersion"] == "1.0.0", "oci-layout")
        index = self.read("index.json")
        named = [entry for entry in index["manifests"] if entry["annotations"]["org.opencontainers.image.ref.name"] == name]
        check(len(named) == 1, f"{file}: {name}")
        self.digest = named[0]["digest"]
        self.manifest = json.loads(self.blob(named[0]))
        if architecture:
            fitting = [entry for entry in self.manifest["manifests"] if entry["platform"] == {"architecture": architecture, "os": "linux"}]
            check(len(fitting) == 1, f"{file}: {len(fitting)} images for {architecture}")
            self.manifest = json.loads(self.blob(fitting[0]))
        self.config = json.loads(self.blob(self.manifest["config"]))

    def read(self, name):
        return json.loads(self.tar.extractfile(name).read())

    def blob(self, descriptor):
        data = self.tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()
        check(len(data) == descriptor["size"], f"{descriptor}: another size")
        check("sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"], f"{descriptor}: another digest")
        return data

    def layers(self):
        for descriptor, diff in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
            data = gzip.decompress(self.blob(descriptor))
            check("sha256:" + hashlib.sha256(data).hexdigest() == diff, "diff_ids: another digest")
            yield tarfile.open(fileobj=io.BytesIO(data))


def module(dist, version):
    digests = json.loads((dist / "digests.json").read_text())["module"]
    expected = (dist / "agentguard.wasm").read_bytes()
    file = dist / f"agentguard-module-{version}.oci.tar"
    # As Istio and Envoy Gateway read an image: the last layer has a file of this name.
    image = Image(file, version)
    check(image.digest == digests["image"], "digests.json: another digest of the image")
    layer = list(image.layers())[-1]
    check(layer.extractfile("plugin.wasm").read() == expected, "the image has another module")
    # And an artefact: two layers, of which one is the module.
    artifact = Image(file, f"{version}-artifact")
    kinds = {layer["mediaType"]: layer for layer in artifact.manifest["layers"]}
    check(len(artifact.manifest["layers"]) == 2, "an artefact has two layers")
    check(artifact.blob(kinds["application/vnd.module.wasm.content.layer.v1+wasm"]) == expected, "the artefact has another module")


def wait(url, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"dist: {url} is not ready within {seconds} s")


def native(dist, version, folder):
    """The module for this machine, from its file and from its image, and at work in an Envoy that a stranger has."""
    expected = (dist / f"libagentguard-{version}-linux-{machine()}.so").read_bytes()
    image = Image(dist / f"agentguard-native-{version}.oci.tar", version, machine())
    check(image.digest == json.loads((dist / "digests.json").read_text())["native"]["image"], "digests.json: another digest of the native module")
    check(image.config["architecture"] == machine(), "the image of the native module is for another machine")
    layer = only_item(image.layers())
    check(layer.extractfile("libagentguard.so").read() == expected, "the image has another native module")
    module = folder / "libagentguard.so"
    module.write_bytes(expected)
    settings = json.loads(run(unpacked(dist, version, folder / "command") / "agentguard", "build", POLICY, "--for", "envoy", "--bootstrap",
                              "--host", "native", "--module", module))
    enforces([os.environ["AGENTGUARD_ENVOY_NEWEST"]], settings, folder)


def only_item(items):
    items = list(items)
    check(len(items) == 1, f"{len(items)} in place of one")
    return items[0]


def envoy(dist, version, folder):
    file = dist / f"agentguard-envoy-{version}.oci.tar"
    image = Image(file, version)
    config = image.config["config"]
    check(config["User"] == "65532:65532", "the image runs as root")
    for layer in image.layers():
        layer.extractall(folder, filter="data")
    # Without root no image can be run as one: its own loader, libraries and files are taken where they were unpacked.
    loader = only(folder, "lib64/ld-linux-*")
    libraries = ":".join(sorted({str(path.parent) for path in folder.glob("lib/**/lib*.so*")}))
    start = [loader, "--library-path", libraries, folder / config["Entrypoint"][0].lstrip("/")]
    for name in ["envoy.json", "envoy-native.json"]:
        settings = (folder / "etc/agentguard" / name).read_text()
        for place in ["/etc/", "/usr/lib/agentguard/"]:
            settings = settings.replace(place, f"{folder}{place}")
        enforces(start, json.loads(settings.replace("0.0.0.0", "127.0.0.1")), folder)
    validates([folder / "usr/local/bin/agentguard"], version)


def enforces(start, settings, folder):
    """Starts an Envoy, which has to deny what the policy denies."""
    settings["admin"]["address"]["socket_address"]["port_value"] = 19909
    settings["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 19910
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    upstream = settings["static_resources"]["clusters"][0]
    upstream.pop("transport_socket")
    endpoint = upstream["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    endpoint.update(address="127.0.0.1", port_value=provider.server_port)
    (folder / "envoy.json").write_text(json.dumps(settings))
    process = subprocess.Popen([*start, "-c", folder / "envoy.json", "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"])
    try:
        wait("http://127.0.0.1:19909/ready")
        body = json.dumps({"model": "o1-pro", "messages": [{"role": "user", "content": "hello"}]}).encode()
        request = urllib.request.Request("http://127.0.0.1:19910/v1/chat/completions", body, {"content-type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=30)
            sys.exit("dist: a denied model was allowed")
        except urllib.error.HTTPError as denied:
            answer = denied.read().decode()
            check(denied.code == 400 and "Pro models are not for agents" in answer, f"{denied.code} {answer}")
    finally:
        process.terminate()
        process.wait()


def bill(dist, version):
    bill = json.loads((dist / f"agentguard-{version}.cdx.json").read_text())
    check(bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.5", "another format")
    references = [component["bom-ref"] for component in bill["components"]]
    check(len(references) == len(set(references)) > 30, f"{len(references)} components")
    lock = (POLICY.parent.parent / "Cargo.lock").read_text()
    for component in bill["components"]:
        check(f'name = "{component["name"]}"\nversion = "{component["version"]}"' in lock, f"{component['bom-ref']} is not in Cargo.lock")
    known = {*references, bill["metadata"]["component"]["bom-ref"]}
    for edge in bill["dependencies"]:
        check({edge["ref"], *edge["dependsOn"]} <= known, f"{edge['ref']} depends on what is not listed")
    check(not [name for name in references if "insta@" in name or "proptest@" in name], "dependencies of tests are listed")


def same(dist, command, folder):
    run(*command, "--output", folder / "again")
    for path in sorted(dist.iterdir()):
        check((folder / "again" / path.name).read_bytes() == path.read_bytes(), f"{path.name} differs when it is packed again")


def main():
    dist, command = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    version = json.loads(only(dist, "*.cdx.json").read_text())["metadata"]["component"]["version"]
    steps = [("checksums", lambda _: checksums(dist)), ("bill of materials", lambda _: bill(dist, version)),
             ("archive", lambda folder: archive(dist, version, folder)), ("wheel", lambda folder: wheel(dist, version, folder)),
             ("npm package", lambda folder: npm(dist, version, folder)), ("image of the module", lambda _: module(dist, version)),
             ("native module", lambda folder: native(dist, version, folder)),
             ("image of Envoy", lambda folder: envoy(dist, version, folder))]
    if command:
        steps.append(("packed again", lambda folder: same(dist, command, folder)))
    for name, step in steps:
        with tempfile.TemporaryDirectory() as folder:
            step(pathlib.Path(folder))
        print(f"    {name}: works")


if __name__ == "__main__":
    main()
