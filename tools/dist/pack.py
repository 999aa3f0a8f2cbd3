"""Packs what users install: archives, OCI images, a wheel, an npm package, a bill of materials and checksums.

    pack.py --version 0.1.0 --epoch 1767225600 --module agentguard.wasm --binary amd64=PATH [--binary arm64=PATH]
            --native amd64=PATH [--native arm64=PATH]
            --envoy PATH --trusted-ca PATH --metadata cargo-metadata.json --source FOLDER --output FOLDER

The same input gives the same bytes: names are sorted, times are the epoch, owners are 0. Nothing is fetched and no container engine
is needed. docs/release.md says what each file is for.
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile

# Names of one architecture in Go and OCI, in Python's wheels, and in Node.js.
PYTHON_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
NODE_NAMES = {"amd64": "x64", "arm64": "arm64"}
SUMMARY = "Enforces policies on AI traffic inside Envoy"

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
WASM_CONFIG = "application/vnd.module.wasm.config.v1+json"
WASM_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def as_json(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


class Tar:
    """A tar archive in memory."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.entries = {}

    def file(self, name, data, mode=0o644):
        self.entries[name] = (tarfile.REGTYPE, mode, data)

    def folder(self, name, mode=0o755):
        self.entries[name] = (tarfile.DIRTYPE, mode, b"")

    def bytes(self):
        out = io.BytesIO()
        folders = {str(parent): None for name in self.entries for parent in pathlib.PurePath(name).parents if str(parent) != "."}
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(set(self.entries) | set(folders)):
                kind, mode, data = self.entries.get(name, (tarfile.DIRTYPE, 0o755, b""))
                info = tarfile.TarInfo(name)
                info.type, info.mode, info.size, info.mtime = kind, mode, len(data), self.epoch
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()

    def gzipped(self):
        return zipped(self.bytes())


def zipped(data):
    out = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(data)
    return out.getvalue()


class Layout:
    """An OCI image layout: what `skopeo copy oci-archive:FILE docker://…` and `crane push` read."""

    def __init__(self, epoch):
        self.tar = Tar(epoch)
        self.manifests = []

    def blob(self, data, media_type):
        name = digest(data)
        self.tar.file("blobs/" + name.replace(":", "/"), data)
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    def image(self, name, config, layers, annotations, platform=None):
        manifest = self.blob(as_json({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, "annotations": annotations,
        }), OCI_MANIFEST)
        manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
        if platform:
            manifest["platform"] = platform
        self.manifests.append(manifest)
        return manifest["digest"]

    def platforms(self, name, images):
        """Of images for several platforms, the one of this name."""
        entries = [manifest for manifest in self.manifests if manifest["digest"] in images]
        self.manifests = [manifest for manifest in self.manifests if manifest not in entries]
        listed = [{key: value for key, value in entry.items() if key != "annotations"} for entry in entries]
        index = self.blob(as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}), OCI_INDEX)
        self.manifests.append({**index, "annotations": {"org.opencontainers.image.ref.name": name}})
        return index["digest"]

    def bytes(self):
        self.tar.file("oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
        self.tar.file("index.json", as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests}))
        return self.tar.bytes()


class Packer:
    def __init__(self, options):
        self.options = options
        self.version, self.epoch = options.version, options.epoch
        self.source = pathlib.Path(options.source)
        self.output = pathlib.Path(options.output)
        self.binaries = by_architecture(options.binary)
        self.natives = by_architecture(options.native)
        self.module = pathlib.Path(options.module).read_bytes()
        self.licence = (self.source / "LICENSE").read_bytes()
        self.readme = (self.source / "README.md").read_bytes()
        self.annotations = {
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.title": "agentguard",
            "org.opencontainers.image.created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.epoch)),
        }

    def write(self, name, data):
        (self.output / name).write_bytes(data)

    def pack(self):
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(parents=True)
        self.write("agentguard.wasm", self.module)
        for arch in self.binaries:
            self.archive(arch)
            self.wheel(arch)
        self.npm()
        for arch, native in self.natives.items():
            self.write(f"libagentguard-{self.version}-linux-{arch}.so", native)
        digests = {"module": self.module_image(), "native": self.native_image()}
        if self.options.envoy:
            digests["envoy"] = self.envoy_image()
        self.write("digests.json", as_json(digests))
        self.write(f"agentguard-{self.version}.cdx.json", self.bill())
        names = sorted(path.name for path in self.output.iterdir())
        lines = [f"{hashlib.sha256((self.output / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
        self.write("sha256sums", "".join(lines).encode())

    def own(self, *arguments):
        """What the command prints. The binary for this machine runs here."""
        return subprocess.run([self.options.command, *arguments], cwd=self.source, check=True, stdout=subprocess.PIPE).stdout

    def archive(self, arch):
        folder = f"agentguard-{self.version}-linux-{arch}"
        tar = Tar(self.epoch)
        tar.file(f"{folder}/agentguard", self.binaries[arch], 0o755)
        tar.file(f"{folder}/LICENSE", self.licence)
        tar.file(f"{folder}/README.md", self.readme)
        for shell in ("bash", "zsh", "fish"):
            tar.file(f"{folder}/completions/agentguard.{shell}", self.own("completions", shell))
        with tempfile.TemporaryDirectory() as pages:
            self.own("man", "--output", pages)
            for page in sorted(pathlib.Path(pages).iterdir()):
                tar.file(f"{folder}/man/man1/{page.name}", page.read_bytes())
        self.write(f"{folder}.tar.gz", tar.gzipped())

    def wheel(self, arch):
        machine = PYTHON_NAMES[arch]
        # A static binary runs with every libc.
        tag = f"py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}.musllinux_1_1_{machine}"
        tags = "".join(f"Tag: py3-none-{platform}\n" for platform in tag.removeprefix("py3-none-").split("."))
        info = f"agentguard-{self.version}.dist-info"
        metadata = (
            f"Metadata-Version: 2.1\nName: agentguard\nVersion: {self.version}\nSummary: {SUMMARY}\nLicense: Apache-2.0\n"
            "Requires-Python: >=3.8\nDescription-Content-Type: text/markdown\n\n"
        ).encode() + self.readme
        files = {
            f"agentguard-{self.version}.data/scripts/agentguard": self.binaries[arch],
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: agentguard\nRoot-Is-Purelib: false\n{tags}".encode(),
            f"{info}/licenses/LICENSE": self.licence,
        }
        record = "".join(
            f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
            for name, data in sorted(files.items()))
        files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        out = io.BytesIO()
        # The zip format begins in 1980.
        date = time.gmtime(max(self.epoch, 315532800))[:6]
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in sorted(files.items()):
                entry = zipfile.ZipInfo(name, date)
                entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
                entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
                archive.writestr(entry, data)
        self.write(f"agentguard-{self.version}-{tag}.whl", out.getvalue())

    def npm(self):
        tar = Tar(self.epoch)
        tar.file("package/package.json", as_json({
            "name": "agentguard", "version": self.version, "description": SUMMARY, "license": "Apache-2.0",
            "bin": {"agentguard": "bin/agentguard.js"}, "os": ["linux"],
            "cpu": [NODE_NAMES[arch] for arch in self.binaries], "engines": {"node": ">=18"},
        }))
        tar.file("package/bin/agentguard.js", (self.source / "tools/dist/agentguard.js").read_bytes(), 0o755)
        tar.file("package/README.md", self.readme)
        tar.file("package/LICENSE", self.licence)
        for arch, binary in self.binaries.items():
            tar.file(f"package/bin/linux-{NODE_NAMES[arch]}", binary, 0o755)
        self.write(f"agentguard-{self.version}.tgz", tar.gzipped())

    def module_image(self):
        """The module in the two forms that Istio and Envoy Gateway read; the first is the one that every registry stores."""
        layout = Layout(self.epoch)
        plugin = Tar(0)
        plugin.file("plugin.wasm", self.module)
        layer = plugin.bytes()
        config = layout.blob(as_json({
            "architecture": "wasm", "os": "wasi", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }), OCI_CONFIG)
        image = layout.image(self.version, config, [layout.blob(zipped(layer), OCI_LAYER)], self.annotations)
        layers = [layout.blob(self.module, WASM_LAYER), layout.blob(as_json({"type": "envoy_proxy"}), WASM_CONFIG)]
        artifact = layout.image(f"{self.version}-artifact", layout.blob(b"{}", WASM_CONFIG), layers, self.annotations)
        self.write(f"agentguard-module-{self.version}.oci.tar", layout.bytes())
        return {"image": image, "artifact": artifact}

    def native_image(self):
        """The native module for each architecture, alone in an image that Envoy Gateway mounts."""
        layout = Layout(self.epoch)
        images = []
        for arch, native in self.natives.items():
            tar = Tar(self.epoch)
            tar.file("libagentguard.so", native, 0o755)
            layer = tar.bytes()
            platform = {"architecture": arch, "os": "linux"}
            config = layout.blob(as_json({
                **platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
            }), OCI_CONFIG)
            layers = [layout.blob(zipped(layer), OCI_LAYER)]
            images.append(layout.image(f"{self.version}-{arch}", config, layers, self.annotations, platform))
        image = layout.platforms(self.version, images)
        self.write(f"agentguard-native-{self.version}.oci.tar", layout.bytes())
        return {"image": image}

    def envoy_image(self):
        """Envoy with both modules and the command; no shell, no root."""
        layout = Layout(self.epoch)
        base = Tar(0)
        native = dict(name.split("=", 1) for name in self.options.native)["amd64"]
        for path in sorted({*libraries(self.options.envoy), *libraries(native)}):
            base.file(path.lstrip("/"), pathlib.Path(path).read_bytes(), 0o755)
        base.file("etc/ssl/certs/ca-certificates.crt", pathlib.Path(self.options.trusted_ca).read_bytes())
        base.file("etc/passwd", b"agentguard:x:65532:65532::/tmp:/sbin/nologin\n")
        base.file("etc/group", b"agentguard:x:65532:\n")
        base.folder("tmp", 0o1777)
        envoy = Tar(0)
        envoy.file("usr/local/bin/envoy", pathlib.Path(self.options.envoy).read_bytes(), 0o755)
        ours = Tar(0)
        ours.file("usr/local/bin/agentguard", self.binaries["amd64"], 0o755)
        ours.file("etc/agentguard/agentguard.wasm", self.module)
        ours.file("etc/agentguard/policy.yaml", (self.source / "policies/getting-started.yaml").read_bytes())
        ours.file("etc/agentguard/envoy.json", self.own(
            "build", "policies/getting-started.yaml", "--for", "envoy", "--bootstrap", "--listen", "0.0.0.0:10000"))
        ours.file("etc/agentguard/envoy-native.json", self.own(
            "build", "policies/getting-started.yaml", "--for", "envoy", "--bootstrap", "--listen", "0.0.0.0:10000",
            "--host", "native", "--module", "/usr/lib/agentguard/libagentguard.so"))
        ours.file("usr/lib/agentguard/libagentguard.so", self.natives["amd64"], 0o755)
        ours.file("usr/share/doc/agentguard/LICENSE", self.licence)
        tars = [tar.bytes() for tar in (base, envoy, ours)]
        config = layout.blob(as_json({
            "architecture": "amd64", "os": "linux", "created": self.annotations["org.opencontainers.image.created"],
            "config": {
                "User": "65532:65532", "WorkingDir": "/etc/agentguard", "Env": ["PATH=/usr/local/bin"],
                "Entrypoint": ["/usr/local/bin/envoy"], "Cmd": ["-c", "/etc/agentguard/envoy.json"],
                "ExposedPorts": {"10000/tcp": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        }), OCI_CONFIG)
        layers = [layout.blob(zipped(tar), OCI_LAYER) for tar in tars]
        image = layout.image(self.version, config, layers, self.annotations, {"architecture": "amd64", "os": "linux"})
        self.write(f"agentguard-envoy-{self.version}.oci.tar", layout.bytes())
        return {"image": image}

    def bill(self):
        """What is in the module and the command, in CycloneDX 1.5, from `cargo metadata`."""
        metadata = json.loads(pathlib.Path(self.options.metadata).read_text())
        edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
        root = metadata["resolve"]["root"]
        packages = {package["id"]: package for package in metadata["packages"]}
        # Only what is linked: neither tests' dependencies nor those of build scripts.
        linked, waiting = set(), [root]
        while waiting:
            package = waiting.pop()
            if package not in linked:
                linked.add(package)
                kinds = [(edge["pkg"], [kind["kind"] for kind in edge["dep_kinds"]]) for edge in edges[package]]
                waiting.extend(name for name, kind in kinds if None in kind)
        reference = {name: f"pkg:cargo/{packages[name]['name']}@{packages[name]['version']}" for name in linked}
        names = sorted(linked, key=reference.get)
        component = lambda name, kind: {
            "type": kind, "bom-ref": reference[name], "name": packages[name]["name"], "version": packages[name]["version"],
            "purl": reference[name],
            **({"licenses": [{"expression": packages[name]["license"].replace("/", " OR ")}]} if packages[name]["license"] else {}),
        }
        return as_json({
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"timestamp": self.annotations["org.opencontainers.image.created"], "component": component(root, "application")},
            "components": [component(name, "library") for name in names if name != root],
            "dependencies": [
                {"ref": reference[name], "dependsOn": sorted({reference[edge["pkg"]] for edge in edges[name] if edge["pkg"] in linked})}
                for name in names
            ],
        })


def by_architecture(named):
    """`amd64=PATH` and the like: the contents by architecture."""
    paths = dict(name.split("=", 1) for name in named)
    return {arch: pathlib.Path(path).read_bytes() for arch, path in sorted(paths.items())}


def libraries(program):
    """The paths of a program's libraries and loader on this machine."""
    listed = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    paths = re.findall(r"(?:=>\s*|^\s*)(/\S+) \(0x", listed, re.MULTILINE)
    return sorted(set(paths))


def main():
    parser = argparse.ArgumentParser()
    for name in ("version", "module", "metadata", "source", "output", "command"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--binary", action="append", required=True)
    parser.add_argument("--native", action="append", required=True)
    parser.add_argument("--envoy")
    parser.add_argument("--trusted-ca", default="/etc/ssl/certs/ca-certificates.crt")
    Packer(parser.parse_args()).pack()


if __name__ == "__main__":
    main()
