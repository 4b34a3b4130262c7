"""A server that says what it is told to: ``raw.py <JSON>``, over stdio, without any MCP library.

tools   what it lists          silent   it answers nothing        endless   its pages have no end
lines   printed first          words    written on stderr         exits     it ends at once
huge    its first answer is a line of that many bytes
"""

import json
import sys

told = json.loads(sys.argv[1])


def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


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
        return {"content": [{"type": "text", "text": json.dumps(params)}]}
    return None


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
