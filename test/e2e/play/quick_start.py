"""docs/quick-start.md as a reader follows it: its blocks, and the gateway that it tells to run, with a stand-in for
api.openai.com."""
import json
import re
import subprocess

from .deadline import FACTOR
from .gateway import ROOT
from .upstream import Answer

PAGE = ROOT / "docs/quick-start.md"
CONFIG = ROOT / "config/quick-start"
KEY = "sk-of-the-test"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def commands():
    """The shell commands of the page, in order, each with its continuation lines."""
    return re.findall(r"(?:.*\\\n)*.+\n", "".join(blocks("sh")))


class Reader:
    """Follows the page in a folder of its own."""

    def __init__(self, folder, authority, upstream):
        self.folder = folder
        (folder / "config").symlink_to(ROOT / "config")
        (folder / "ca.pem").write_text(authority.pem)
        self.openai = upstream("openai", authority.server(folder, "api.openai.com"))
        self.openai.script = self.answer
        self.tokens = [9, 3]  # of each answer, in and out
        self.gateway = None

    def answer(self, request, _connection):
        asked = json.loads(request.body)
        usage = dict(zip(("prompt_tokens", "completion_tokens"), self.tokens), total_tokens=sum(self.tokens))
        made = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi!"}}]}
        if not asked.get("stream"):
            return Answer(headers=[("content-type", "application/json")], body=json.dumps(made).encode())
        chunk = {**made, "object": "chat.completion.chunk", "usage": None}
        parts = [{**chunk, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in ("Hi", "!")]
        if asked.get("stream_options", {}).get("include_usage"):
            parts.append({**chunk, "choices": [], "usage": usage})
        frames = [f"data: {json.dumps(part)}\n\n".encode() for part in parts]
        return Answer(headers=[("content-type", "text/event-stream")], chunks=[*frames, b"data: [DONE]\n\n"])

    def do(self, command):
        """Runs a command of the page, at the ports of this test; its output."""
        if self.gateway:
            command = self.at_our_ports(command)
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, env={"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": KEY},
                              capture_output=True, text=True, timeout=20 * FACTOR, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    def at_our_ports(self, text):
        return text.replace(":8080/", f":{self.gateway.port(8080)}/")

    def run_gateway(self, gateway):
        """What `tollgate run -f my-gateway` does, where api.openai.com is ours."""
        self.gateway = gateway(paths=[self.folder / "my-gateway"], env={"SSL_CERT_FILE": str(self.folder / "ca.pem")},
                               args=["--resolve", f"api.openai.com:443=127.0.0.1:{self.openai.port}"])
        return self.gateway
