"""h2spec, in all its sections and strictly: HTTP/2 over TLS and in clear text. With `make test-h2spec` only.

What does not pass stands in test/h2spec/known.yaml, with its reason, and nothing else may."""
import os
import pathlib
import subprocess
import xml.etree.ElementTree

import pytest
import yaml

from play.certs import self_signed
from play.deadline import FACTOR
from play.manifests import backend, http_listener, https_listener, route, rule, tls_secret, world

pytestmark = pytest.mark.h2spec

HERE = pathlib.Path(__file__).resolve().parent
KNOWN = yaml.safe_load((HERE.parent / "h2spec/known.yaml").read_text())
SECTIONS = ("generic", "http2", "hpack")
N_CASES = 146  # of these sections: a part that did not run is seen
OPTIONS = {"h2c": (80, []), "h2": (443, ["--tls", "--insecure"])}


def judge(port, options, folder):
    """{case: whether it passed}, and what h2spec said."""
    report = folder / "report.xml"
    done = subprocess.run([os.environ["TOLLGATE_H2SPEC"], "--strict", "--port", str(port), "--timeout", str(round(5 * FACTOR)),
                           "--junit-report", str(report), *options, *SECTIONS],
                          capture_output=True, text=True, check=False, timeout=600 * FACTOR)
    assert report.exists(), done.stdout + done.stderr
    cases = {}
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            assert case.find("skipped") is None, case.attrib
            cases[f"{suite.get('package')}/{number}"] = case.find("failure") is None and case.find("error") is None
    return cases, done.stdout


def test_the_list_is_short_and_says_why():
    assert len(KNOWN) <= 5 and all(known["why"].strip() and known["listener"] in OPTIONS for known in KNOWN)


@pytest.mark.parametrize("listener", OPTIONS)
def test_every_case_passes_but_those_of_the_list(gateway, upstream, tmp_path, listener):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", self_signed("one.test")),
                       listeners=[http_listener(), https_listener()]))
    port, options = OPTIONS[listener]
    cases, said = judge(gw.port(port), options, tmp_path)
    known = {entry["case"] for entry in KNOWN if entry["listener"] == listener}
    assert len(cases) == N_CASES, sorted(cases)
    assert {case for case, has_passed in cases.items() if not has_passed} == known, said
    print(f"h2spec, {listener}: {sum(cases.values())} of {len(cases)} cases pass; listed: {sorted(known) or 'none'}")
