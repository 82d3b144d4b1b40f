"""A gRPC server and calls of gRPC with messages of plain bytes, by the library of Debian's python3-grpcio."""
import concurrent.futures
import threading

import grpc

from play.deadline import FACTOR


def until_over(context):
    """Waits until the call has ended, however."""
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait()


class GrpcServer:
    """Serves every service and method. `scripts["/service/method"]` is called with the iterator of requests and the
    context, and yields the answers; without one, every request is answered by the server's name and itself."""

    def __init__(self, name="server", credentials=None):
        self.name = name
        self.calls = []  # (path, metadata) of each
        self.scripts = {}
        self.ended = threading.Semaphore(0)  # one for each call that is over, however
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), handlers=[self])
        if credentials:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self):
        self._server.stop(None)

    def service(self, details):
        script = self.scripts.get(details.method, self.echo)
        self.calls.append((details.method, dict(details.invocation_metadata)))

        def serve(requests, context):
            context.add_callback(self.ended.release)
            yield from script(requests, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    def echo(self, requests, context):
        context.set_trailing_metadata([("x-server", self.name)])
        for message in requests:
            yield self.name.encode() + b":" + message


class GrpcClient:
    def __init__(self, port, authority="localhost", credentials=None, options=()):
        options = [("grpc.default_authority", authority), ("grpc.enable_retries", 0), *options]
        target = f"127.0.0.1:{port}"
        self._channel = (grpc.secure_channel(target, credentials, options) if credentials
                         else grpc.insecure_channel(target, options))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()

    def stream(self, path, requests, seconds=20, metadata=()):
        """The call, an iterator of answers."""
        return self._channel.stream_stream(path)(iter(requests), timeout=seconds * FACTOR, metadata=metadata)

    def call(self, path="/a.B/C", message=b"hi", seconds=20, metadata=(), compression=None):
        """One message, one answer."""
        return self._channel.unary_unary(path)(message, timeout=seconds * FACTOR, metadata=metadata, compression=compression)

    def refused(self, path="/a.B/C", **more):
        """(status, message) of a call that fails."""
        try:
            answer = self.call(path, **more)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError(f"answered with {answer}")

    def passes(self, path="/a.B/C", message=b"hi"):
        """Is it answered? Its worker may not know yet what another one does."""
        try:
            self.call(path, message)
        except grpc.RpcError:
            return False
        return True
