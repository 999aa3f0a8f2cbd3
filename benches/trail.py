"""Measures `agentguard audit verify`, `index` and `query` on a trail of any size.

    python3 benches/trail.py target/release/agentguard FOLDER [RECORDS [CONTENT]]

One record in CONTENT has content; 50 if it is not given. FOLDER keeps the trail, so that a second run only measures. Each query is run three times; the best is printed.
"""

import hashlib
import hmac
import os
import random
import subprocess
import sys
import time

KEY = "a key of no one's, for benchmarks"
TOOLS = [f"{server}/{verb}" for server in ("github", "crm", "mail", "shop") for verb in ("get", "list", "create", "delete", "send")]
MODELS = ["gpt-4o", "gpt-4o-mini", "o3", "claude-sonnet-4-5", "gemini-2.5-pro"]
DAYS = 30


WORDS = [f"{start}{end}" for start in ("re", "un", "pro", "con", "inter", "dis") for end in ("fund", "port", "act", "ply", "turn", "mit", "ceed", "serve")]


def said(rand):
    """A message of about 500 bytes."""
    words = " ".join(rand.choice(WORDS) for _ in range(60))
    return f"Refund order {rand.randrange(10**9)} of [EMAIL], please: {words}"


def records(count, content_each):
    """Records of four chains over a month, as the filter writes them: one in ten is denied."""
    rand = random.Random(5)
    chains = [[f"{rand.getrandbits(64):016x}", 0, "0" * 64] for _ in range(4)]
    start = 1_790_000_000_000
    for n in range(count):
        at = start + n * DAYS * 86_400_000 // count
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z"
        chain = chains[n % 4]
        head = ',"start":true' if chain[1] == 0 else ""
        ident = f"{rand.getrandbits(128):032x}"
        request = f"{ident[:8]}-{ident[8:12]}-{ident[12:16]}-{ident[16:20]}-{ident[20:]}"
        denied = rand.random() < 0.1
        tool = rand.choice(TOOLS)
        agent = rand.randrange(400)
        rules = '"rules":[{"id":"no-delete","action":"deny","event":"tool_call","at":"/a","mode":"enforce"}],' if denied else ""
        content = (
            f'"content":{{"form":"redacted","request":[{{"event":"message","from":"user","text":"{said(rand)}"}}]}},'
            if n % content_each == 0
            else ""
        )
        line = (
            f'{{"v":1,"ts":"{stamp}","request_id":"{request}","chain":{{"id":"{chain[0]}","seq":{chain[1]},"prev":"{chain[2]}"{head}}},'
            f'"traceparent":"00-{rand.getrandbits(128):032x}-{rand.getrandbits(64):016x}-01",'
            f'"policy":{{"name":"support","version":"sha256:{1 + n * 5 // count:064x}","mode":"enforce"}},'
            f'"principal":{{"id":"user-{rand.randrange(50_000)}","agent":"agent-{agent}","tenant":"tenant-{agent % 20}","via":"key"}},'
            f'"client":"10.{rand.randrange(256)}.{rand.randrange(256)}.{rand.randrange(256)}","method":"POST","host":"api.openai.com","path":"/v1/chat/completions",'
            f'"protocol":"openai.chat","provider":"openai","model":"{rand.choice(MODELS)}","endpoint":"chat","stream":false,'
            f'"decision":"{"deny" if denied else "allow"}",{chr(34)+"code"+chr(34)+":"+chr(34)+"AG3001"+chr(34)+"," if denied else ""}"status":{403 if denied else 200},'
            f'{rules}"tools":["{tool}"],"coverage":{{"level":"full","reasons":[]}},'
            f'"usage":{{"input_tokens":{rand.randrange(20_000)},"output_tokens":{rand.randrange(3_000)}}},'
            f'"limits":[{{"id":"daily","used":{rand.randrange(10**6)},"max":1000000,"session":"{rand.getrandbits(96):024x}"}}],'
            f'"duration_ms":{rand.randrange(60_000)},"timing":{{"inspect_us":{rand.randrange(3_000)},"held_us":{rand.randrange(100_000)}}},{content}'
        ).rstrip(",") + "}"
        mac = hmac.new(KEY.encode(), line.encode(), hashlib.sha256).hexdigest()
        yield line.replace("}", f',"mac":"{mac}"}}', 1) + "\n"
        chain[1] += 1
        chain[2] = mac


def best(command, times=3):
    """The shortest time of a command in seconds, and its last line."""
    shortest = None
    for _ in range(times):
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took = time.monotonic() - began
        shortest = took if shortest is None else min(took, shortest)
    return shortest, (done.stdout.strip().splitlines() or [""])[-1]


def main():
    command, folder = sys.argv[1], sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 5_000_000
    content_each = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    os.makedirs(folder, exist_ok=True)
    name = os.path.join(folder, f"audit-{count}-{content_each}")
    log, index = f"{name}.jsonl", f"{name}.db"
    if not os.path.exists(log):
        with open(log + ".part", "w", buffering=1 << 20) as out:
            out.writelines(records(count, content_each))
        os.rename(log + ".part", log)
    with open(log, "rb") as lines:
        lines.seek(os.path.getsize(log) * 3 // 5)
        lines.readline()
        sample = lines.readline().decode()
    value = lambda name: sample.split(f'"{name}":"')[1].split('"')[0]
    if os.path.exists(index):
        os.remove(index)
    size = os.path.getsize(log)
    os.environ["AUDIT_KEY"] = KEY
    took, _ = best([command, "audit", "verify", log, "--key", "env:AUDIT_KEY"])
    print(f"verify: {took:.2f} s, {size / took / 1e6:.0f} MB/s")
    took, _ = best([command, "audit", "index", log, "--db", index], 1)
    print(f"index: {took:.1f} s, {os.path.getsize(index) / size:.2f} of the trail's {size / 1e9:.2f} GB")
    took, said = best([command, "audit", "index", log, "--db", index])
    print(f"index again, nothing new: {took:.2f} s ({said})")
    more = f"{name}-more.jsonl"
    with open(more, "w", encoding="utf-8") as out:
        out.writelines(records(1_000, content_each))
    took, said = best([command, "audit", "index", log, more, "--db", index], 1)
    print(f"index again, 1000 new: {took:.2f} s ({said})")
    conditions = [
        ["--request-id", value("request_id")],
        ["--decision", "deny", "--since", "2026-10-01"],
        ["--agent", "agent-7", "--tool", "github/*"],
        ["--where", f"chain.mac={value('mac')}"],
        ["--where", f"chain.prev={value('prev')}"],
        ["--where", f"traceparent={value('traceparent')}"],
        ["--where", f"traceparent={value('traceparent')[:20]}*"],
        ["--where", f"request_id={value('request_id')[:12]}*"],
        ["--where", "chain.seq=1000000"],
        ["--where", "chain.seq=12345", "--limit", "0"],
        ["--where", f"limits.session={value('session')}"],
        ["--where", f"limits.session=*{value('session')[5:]}"],
        ["--where", f"client={value('client')}"],
        ["--where", "client=10.1.2.*"],
        ["--where", "timing.held_us>99990"],
        ["--where", "timing.inspect_us<1"],
        ["--where", "duration_ms>59990"],
        ["--where", "usage.input_tokens>19990"],
        ["--where", "limits.used>=999999"],
        ["--where", "principal.id=user-4999*"],
        ["--where", "limits.session!=x"],
        ["--where", "content"],
        ["--where", "content.request.text=*order 123456*"],
        ["--where", "content.request.text=Refund*unturn proply dismit*"],
        ["--where", "content.request.text!=*order 1*"],
        ["--where", "content.request.text"],
        ["--where", "ts=2026-10-0*"],
        ["--where", "traceparent=*5e5e*"],
        ["--where", "status=999"],
    ]
    for condition in conditions:
        took, said = best([command, "audit", "query", index, *condition])
        print(f"{took:6.2f} s  {' '.join(condition):70} {said}")


main()
