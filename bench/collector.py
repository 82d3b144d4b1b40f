#!/usr/bin/python3
"""The collector of the benchmark: takes spans by OTLP over HTTP with 200 and keeps nothing of them but how many requests
they tell of, which GET says.   collector.py PORT"""
import http.server
import sys

SERVER_SPAN = b'"kind":2,'  # one a request; those of attempts are of kind 3


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    n_requests = 0

    def answer(self, body, content_type):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        spans = self.rfile.read(int(self.headers["Content-Length"]))
        Collector.n_requests += spans.count(SERVER_SPAN)
        self.answer(b"{}", "application/json")

    def do_GET(self):
        self.answer(str(Collector.n_requests).encode(), "text/plain")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector).serve_forever()
