"""Runs AgentGuard inside a real Envoy and sends three requests through it with OpenAI's own SDK.

    demo.py --envoy PATH --agentguard PATH --wasm PATH --policy PATH --folder PATH

Upstream is a provider that plays a recorded answer and shows what reached it; with OPENAI_API_KEY set, the real one.
Afterwards Envoy keeps running for your own requests until Ctrl-C, or ends by itself without a terminal or with RUN_ONCE=1.
"""

import argparse
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import openai

RECORDED = pathlib.Path(__file__).parent / "recorded" / "chat-completion.json"
PORT = 10000
ADMIN = 9901


class Provider(http.server.BaseHTTPRequestHandler):
    """Plays a recorded answer; keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    received = []

    def do_POST(self):
        self.received.append(self.body())
        answer = RECORDED.read_bytes()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def body(self):
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        chunks = b""
        while True:  # where a body may be edited, the length is not known when the headers leave
            line = self.rfile.readline()
            if not line:
                return chunks  # refused half way: the body never came
            size = int(line.strip() or b"0", 16)
            chunks += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return chunks

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refused request: Envoy has gone

    def log_message(self, *_):
        pass


def free(port):
    """The port if nobody has it, else any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    sys.exit(f"demo: {what} within {seconds} s")


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return None


def authorities():
    """The certificates that this machine trusts; those of the openai package where it keeps none in a file."""
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if path and pathlib.Path(path).is_file():
            return path
    import certifi
    return certifi.where()


class Demo:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.audit = self.folder / "audit.jsonl"
        self.audit.write_text("")
        self.port = free(PORT)
        self.admin = free(ADMIN)
        self.key = os.environ.get("OPENAI_API_KEY")
        self.lines_seen = 0

    def start_provider(self):
        if self.key:
            return "https://api.openai.com"
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def start_envoy(self, upstream):
        config = self.folder / "envoy.json"
        build = [
            self.options.agentguard, "build", self.options.policy, "--for", "envoy", "--bootstrap", "--fail-closed",
            "--wasm", str(pathlib.Path(self.options.wasm).resolve()),
            "--listen", f"127.0.0.1:{self.port}",
            "--admin", f"127.0.0.1:{self.admin}",
            "--upstream", upstream,
            "--trusted-ca", authorities(),
            "--audit-log", str(self.audit),
        ]
        built = subprocess.run(build, stdout=subprocess.PIPE, check=False)
        if built.returncode != 0:
            sys.exit(built.returncode)
        config.write_bytes(built.stdout)
        self.log = self.folder / "envoy.log"
        # A session of its own, so that Ctrl-C reaches this program first and Envoy is ended in order.
        self.envoy = subprocess.Popen(
            [self.options.envoy, "-c", str(config), "--concurrency", "1", "--file-flush-interval-msec", "100",
             "--log-level", "warning", "--component-log-level", "wasm:info", "--use-dynamic-base-id"],
            stdout=self.log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        )

        def ready():
            if self.envoy.poll() is not None:
                sys.exit(f"demo: Envoy did not start:\n{self.log.read_text()}")
            return (get(f"http://127.0.0.1:{self.admin}/ready") or "").strip() == "LIVE"

        wait(ready, "Envoy was not ready")

    def record(self):
        """The next audit line."""

        def next_line():
            lines = self.audit.read_text().splitlines()
            return lines[self.lines_seen:] or None

        line = wait(next_line, "no audit line came")[0]
        self.lines_seen += 1
        return line

    def show(self, title, model, text):
        print(f"\n── {title}")
        print(f"   agent asks {model}: {text!r}")
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key=self.key or "not-needed", max_retries=0
        )
        received = len(Provider.received)
        try:
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
            if not self.key:
                reached = json.loads(Provider.received[received])["messages"][0]["content"]
                print(f"   provider read: {reached!r}")
            print(f"   agent read:    {answer.choices[0].message.content!r}")
        except openai.APIStatusError as error:
            print(f"   SDK raised:    openai.{type(error).__name__}: {error.message}")
        line = self.record()
        print(f"   audit line:    {line}")
        return json.loads(line)["decision"]

    def metrics(self):
        page = wait(
            lambda: get(f"http://127.0.0.1:{self.admin}/stats/prometheus"), "the metrics could not be read"
        )
        shown = ("agentguard_requests_total", "agentguard_policy_decisions_total", "agentguard_findings_total")
        lines = [line for line in page.splitlines() if line.startswith(shown)]
        print("\n── metrics")
        print("\n".join(f"   {line}" for line in lines))

    def run(self):
        self.start_envoy(self.start_provider())
        try:
            seen = [
                self.show("an allowed request", "gpt-4o-mini", "Say this is a test"),
                self.show("a denied one", "o1-pro", "Say this is a test"),
                self.show("a redacted one", "gpt-4o-mini", "My card is 4111 1111 1111 1111, charge it"),
            ]
            self.metrics()
            if not self.key and seen != ["allow", "deny", "redact"]:
                sys.exit(f"demo: expected an allowed, a denied and a redacted exchange, got {seen}")
            self.stay()
        finally:
            self.envoy.terminate()
            self.envoy.wait()

    def stay(self):
        if os.environ.get("RUN_ONCE") == "1" or not sys.stdin.isatty():
            return
        print(f"""
── your turn (Ctrl-C ends it)
   curl -i http://127.0.0.1:{self.port}/v1/chat/completions -H 'content-type: application/json' \\
     -d '{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"SSN 536-22-1234"}}]}}'
   policy  {self.options.policy}
   audit   tail -f {self.audit}
   metrics http://127.0.0.1:{self.admin}/stats/prometheus""")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            self.envoy.wait()
            sys.exit(f"demo: Envoy ended:\n{self.log.read_text()}")
        except KeyboardInterrupt:
            print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("envoy", "agentguard", "wasm", "policy", "folder"):
        parser.add_argument(f"--{name}", required=True)
    Demo(parser.parse_args()).run()


if __name__ == "__main__":
    main()
