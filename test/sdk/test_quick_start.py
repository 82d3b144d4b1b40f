"""The lines of Python of docs/quick-start.md, by the client that they import."""
import subprocess
import sys

import pytest

from play.certs import Authority
from play.gateway import Gateway
from play.quick_start import Reader, blocks, commands
from play.upstream import Upstream


@pytest.fixture
def started():
    """started(made): will be stopped."""
    all_of_them = []

    def note(made):
        all_of_them.append(made)
        return made

    yield note
    for made in reversed(all_of_them):
        made.stop()


def test_the_openai_client_of_the_page(started, tmp_path):
    reader = Reader(tmp_path, Authority(), lambda *args: started(Upstream(*args)))
    for command in commands()[1:3]:
        reader.do(command)
    (tmp_path / "gateway").mkdir()
    reader.run_gateway(lambda **more: started(Gateway(tmp_path / "gateway", **more)).start())
    text = reader.at_our_ports(blocks("python")[0])
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "Hi!", done.stderr
