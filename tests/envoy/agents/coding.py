"""Coding agents, each asked once without a person beside it.

Usage: coding.py ADDRESS DOUBLE FOLDER < QUESTIONS

QUESTIONS is one JSON object a line: {"client": one of CLIENTS, "say": what the user says, "touch": the files that the model
then makes with the agent's shell}. FOLDER holds the agents' programs. For each question one JSON object comes out:

    {"said":    what the agent printed,
     "files":   [each of the files that is there afterwards],
     "refused": [what the provider refused, in its words],
     "seconds": how long it took}
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

ADDRESS, DOUBLE = (f"http://{address}" for address in sys.argv[1:3])
FOLDER = sys.argv[3]


def double(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(DOUBLE + path, data) as answer:
        return json.load(answer)


def write(home, path, text):
    path = os.path.join(home, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def codex(home):
    write(
        home,
        ".codex/config.toml",
        'model = "gpt-5"\nmodel_provider = "test"\n[model_providers.test]\nname = "test"\nwire_api = "responses"\n'
        f'env_key = "OPENAI_API_KEY"\nbase_url = "{ADDRESS}/v1"\n',
    )
    options = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return options, {"OPENAI_API_KEY": "none"}


def claude(home):
    variables = {
        "ANTHROPIC_BASE_URL": ADDRESS,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return ["--allowedTools", "Bash", "-p"], variables


def gemini(login, variables):
    def prepare(home):
        settings = {
            "security": {"auth": {"selectedType": login}},
            "telemetry": {"enabled": False},
            "privacy": {"usageStatisticsEnabled": False},
        }
        write(home, ".gemini/settings.json", json.dumps(settings))
        options = ["--skip-trust", "--yolo", "-m", "gemini-2.5-pro", "-p"]
        return options, {"GEMINI_CLI_NO_RELAUNCH": "1", **variables}

    return prepare


BY_KEY = {"GOOGLE_GEMINI_BASE_URL": ADDRESS, "GEMINI_API_KEY": "none"}
# What an account asks goes to Code Assist.
BY_ACCOUNT = {
    "CODE_ASSIST_ENDPOINT": ADDRESS,
    "GOOGLE_GENAI_USE_GCA": "true",
    "GOOGLE_CLOUD_ACCESS_TOKEN": "none",
}


def opencode(package, provider, model):
    def prepare(home):
        options = {"baseURL": f"{ADDRESS}/v1", "apiKey": "none"}
        models = {"npm": package, "options": options, "models": {model: {"name": model}}}
        name = f"{provider}/{model}"
        config = {"provider": {provider: models}, "small_model": name, "autoupdate": False, "share": "disabled"}
        write(home, ".config/opencode/opencode.json", json.dumps(config))
        return ["run", "-m", name], {}

    return prepare


# Each with its program, what prepares it, and how its shell is called.
CLIENTS = {
    "codex": ("codex", codex, "exec_command", "cmd"),
    "claude": ("claude", claude, "Bash", "command"),
    "gemini": ("gemini", gemini("gemini-api-key", BY_KEY), "run_shell_command", "command"),
    "gemini by account": ("gemini", gemini("oauth-personal", BY_ACCOUNT), "run_shell_command", "command"),
    "opencode responses": ("opencode", opencode("@ai-sdk/openai", "openai", "gpt-5"), "bash", "command"),
    "opencode anthropic": ("opencode", opencode("@ai-sdk/anthropic", "anthropic", "claude-sonnet-4-5"), "bash", "command"),
    "opencode chat": ("opencode", opencode("@ai-sdk/openai-compatible", "other", "gpt-4o"), "bash", "command"),
}


def ask(question):
    program, prepare, tool, argument = CLIENTS[question["client"]]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        calls = [
            [tool, {argument: f"touch {home}/{file}", "description": "Makes a file"}] for file in question["touch"]
        ]
        double("/-/scenario", calls)
        options, variables = prepare(home)
        # Some of them are scripts for the Node.js that stands in the path.
        folder = os.path.dirname(os.environ["AGENTGUARD_NODE"])
        path = {"PATH": f"{folder}:{os.environ['PATH']}"}
        begun = time.monotonic()
        done = subprocess.run(
            [os.path.join(FOLDER, program), *options, question["say"]],
            env={**path, "HOME": home, "TERM": "dumb", "NO_COLOR": "1", **variables},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=90,
        )
        return {
            "said": done.stdout.decode(errors="replace"),
            "files": sorted(file for file in os.listdir(home) if file in question["touch"]),
            "refused": double("/-/seen"),
            "seconds": round(time.monotonic() - begun, 1),
        }


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            result = ask(json.loads(line))
        except subprocess.TimeoutExpired as slow:
            result = {"said": (slow.output or b"").decode(errors="replace"), "raised": "TimeoutExpired"}
        print(json.dumps(result), flush=True)
