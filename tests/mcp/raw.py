"""A server that says what it is told to: ``raw.py <JSON>``, over stdio, without any MCP library.

* tools: what it lists; may include some that do something: environment, spawn, count, die, shout
* silent: it answers nothing
* endless: its pages have no end
* lines: printed first
* words: written on stderr first
* stays: when its stdin ends it goes on, until SIGTERM, of which it writes to that file
* exits: it ends at once
* huge: its first answer is a line of that many bytes

It starts twenty times as fast as a server that imports a library.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

told = json.loads(sys.argv[1])


def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def environment(_):
    return json.dumps(dict(os.environ))


def spawn(arguments):
    child = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    Path(arguments["path"]).write_text(f"{os.getpid()} {child.pid}")
    return "spawned"


def count(arguments):
    with Path(arguments["path"]).open("a") as file:
        file.write("x")
    return "counted"


def die(arguments):
    count(arguments)
    os._exit(3)


def shout(_):
    sys.stderr.write("noise\n" * 100_000)
    sys.stderr.flush()
    return "quiet again"


ACTIONS = {each.__name__: each for each in (environment, spawn, count, die, shout)}


def called(params):
    action = ACTIONS.get(params["name"])
    return json.dumps(params) if action is None else action(params["arguments"])


def result_of(method, params):
    if method == "initialize":
        capabilities = {"tools": {}} if "tools" in told else {}
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": capabilities,
            "serverInfo": {"name": "raw", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": told["tools"], **({"nextCursor": "more"} if told.get("endless") else {})}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": called(params)}]}
    return None


if "stays" in told:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sys.stderr.write(told.get("words", ""))
sys.stderr.flush()
for each in told.get("lines", ()):
    print(each, flush=True)
if told.get("exits"):
    sys.exit(4)
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or told.get("silent"):
        continue
    if told.get("huge"):
        sys.stdout.write("x" * told["huge"])
        sys.stdout.flush()
        continue
    result = result_of(request["method"], request.get("params"))
    if result is None:
        say({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
    else:
        say({"id": request["id"], "result": result})
if "stays" in told:
    signal.sigwait([signal.SIGTERM])
    Path(told["stays"]).write_text("told to end")
