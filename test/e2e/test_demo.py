"""The demo as a person uses it: it prints curl lines that work, shows the access log, and Ctrl-C ends all."""
import json
import os
import re
import signal
import subprocess
import threading

from play import client
from play.deadline import FACTOR, eventually
from play.gateway import BUILD, ROOT, tollgate
from play.live import Live

DEMO = BUILD / "demo/tollgate-demo"


class Demo:
    def __init__(self):
        self.process = subprocess.Popen([DEMO, "--port-offset=auto"], cwd=ROOT, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True, text=True)
        self.text = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.text += line

    def wait_for(self, pattern):
        return eventually(lambda: re.search(pattern, self.text, re.M), 30, f"{pattern} in the demo's output")

    def children(self):
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == self.process.pid]


def parent(pid):
    """Nobody's, when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def pasted(line, expected):
    """The status of a printed line, pasted; a budget needs a few calls until it is used up."""
    for _ in range(12):
        curl = subprocess.run(["bash", "-c", line + " -o /dev/null -w '%{http_code}'"], capture_output=True, text=True,
                              timeout=20 * FACTOR, check=False)
        if curl.stdout == expected:
            break
    return curl.stdout


def test_each_printed_line_answers_as_is_printed_above_it():
    demo = Demo()
    try:
        demo.wait_for(r"^# The access log follows")
        lines = re.findall(r"^#   answers (\d+).*\n(curl .*)$", demo.text, re.M)
        assert len(lines) > 20 and {"200", "400", "401", "403", "405", "429"} == {status for status, _ in lines}
        wrong = [(line, expected) for expected, line in lines if pasted(line, expected) != expected]
        assert not wrong
        demo.wait_for(r'"POST /v1/chat/completions HTTP/1.1" 200 .*tenant="tenant-a" model="demo-chat" .*tokens_total=22')
    finally:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(20 * FACTOR) == 0


def words_of(line):
    """A printed line's words as the shell has them: (request, headers, content)."""
    made = subprocess.run(["bash", "-c", line.replace("curl", r"printf '%s\0'", 1)], capture_output=True, text=True, check=True)
    words = made.stdout.split("\0")[:-1]
    headers = [value for word, value in zip(words, words[1:]) if word == "-H"]
    body = next((value for word, value in zip(words, words[1:]) if word == "-d"), None)
    if body is not None and not any(h.lower().startswith("content-type:") for h in headers):
        headers.append("content-type: application/x-www-form-urlencoded")
    return f"{'GET' if body is None else 'POST'} {words[-1]}", headers, body


def explained(demo, line):
    request, headers, body = words_of(line)
    asked = ["--admin", f"127.0.0.1:{demo.admin_port}", "--format", "json", "--request", request]
    for header in headers:
        asked += ["-H", header]
    run = tollgate("explain", *asked, *([] if body is None else ["--body", body]))
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["decision"]


def test_what_the_demo_refuses_is_explained_in_the_words_of_the_answer_and_the_page():
    demo = Demo()
    try:
        demo.wait_for(r"^# The access log follows")
        demo.admin_port = int(re.search(r"admin http://127\.0\.0\.1:(\d+)", demo.text)[1])
        seen = set()
        for expected, line in re.findall(r"^#   answers (\d+).*\n(curl .*)$", demo.text, re.M):
            assert pasted(line, expected) == expected
            if int(expected) < 400:
                continue
            decision = explained(demo, line)
            if decision["outcome"] != "refused":
                assert decision["outcome"] == "sent to a backend" and expected == "405", "the model's own word"
                continue
            answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20 * FACTOR, check=True).stdout
            assert decision["status"] == int(expected) and json.dumps(decision["sentence"]) in answer, (line, decision, answer)
            with Live(demo) as live:
                live.wait(lambda p: [(r["status"], r["code"], r["sentence"], r["detail"]) for r in p["refusals"]["refusals"][:1]] == [
                    (int(expected), decision["code"], decision["sentence"], decision.get("detail", ""))], 10, (line, decision))
            seen.add(decision["code"])
        assert {"token_missing", "forbidden", "rate_limited"} < seen and len(seen) > 5, seen
    finally:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(20 * FACTOR) == 0


def test_the_demo_prints_lines_that_work_and_ends_by_ctrl_c():
    demo = Demo()
    try:
        line = demo.wait_for(r"^curl -s .*sklearn-iris:predict$")[0]
        folder = re.search(r"cat (\S+)/tenant-a\.token", line)[1]
        curl = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20 * FACTOR, check=False)
        assert '"predictions":[0]' in curl.stdout, curl
        demo.wait_for(r'"POST /v1/models/sklearn-iris:predict HTTP/1.1" 200 .*tenant="tenant-a" model="sklearn-iris"')
        children = demo.children()
        assert len(children) >= 5 and os.stat(folder).st_mode & 0o777 == 0o700
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(20 * FACTOR) == 0
        assert not os.path.exists(folder), "keys and passwords go with the demo"
        for pid in children:
            assert not os.path.exists(f"/proc/{pid}")
    finally:
        if demo.process.poll() is None:
            os.killpg(demo.process.pid, signal.SIGKILL)
            demo.process.wait()


class Service:
    """One of the demo's neighbours by itself."""

    def __init__(self, name, *args):
        from play.ports import free_port
        self.port = free_port()
        self.process = subprocess.Popen([BUILD / "demo" / name, f"--listen=127.0.0.1:{self.port}", *args],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._is_up, 10)

    def _is_up(self):
        try:
            return client.request(self.port, "/health").status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(10 * FACTOR)


def test_the_issuer_rotates_its_key():
    issuer = Service("demo-jwt-server")
    try:
        def kids():
            return [key["kid"] for key in client.request(issuer.port, "/.well-known/jwks.json").json["keys"]]
        assert kids() == ["jwt-server-key-1"]
        assert client.request(issuer.port, "/rotate", "POST", body=b"").status == 200
        assert kids()[0] != kids()[-1] and len(kids()) == 2
        assert set(client.request(issuer.port, "/tokens").json) == {"tenant-a", "tenant-b", "tenant-c"}
    finally:
        issuer.stop()


def test_the_authorizer_judges_tenant_and_model_for_every_method():
    issuer = Service("demo-jwt-server")
    judge = None
    try:
        tokens = client.request(issuer.port, "/tokens").json
        judge = Judge(issuer.port)
        for method in ("GET", "POST", "DELETE"):
            reply = judge.ask(method, tokens["tenant-a"], "tenant-a", "sklearn-iris")
            assert reply.status == 200 and reply.get("x-tenant") == "tenant-a" and reply.get("x-model") == "sklearn-iris"
            assert judge.ask(method, tokens["tenant-a"], "tenant-c", "sklearn-iris").status == 403
            assert judge.ask(method, tokens["tenant-c"], "tenant-c", "sklearn-iris").status == 403
            assert judge.ask(method, tokens["tenant-a"][:-8] + "AAAAAAAA", "tenant-a", "sklearn-iris").status == 403
            assert judge.ask(method, None, "tenant-a", "sklearn-iris").status == 403
        assert judge.ask("GET", tokens["tenant-b"], "tenant-b", "any-other-model").status == 200
    finally:
        issuer.stop()
        if judge:
            judge.stop()


class Judge(Service):
    def __init__(self, issuer_port):
        super().__init__("demo-ext-auth", f"--jwks=http://127.0.0.1:{issuer_port}/.well-known/jwks.json")

    def _is_up(self):
        try:
            return client.request(self.port, "/anything").status == 403
        except OSError:
            return False

    def ask(self, method, token, tenant, model):
        return client.request(self.port, "/v1/whatever", method, token=token,
                              headers=[("x-tenant", tenant), ("x-model", model)])
