"""Readers of compressed answers, as they come: what can be read so far, and whether the stream is whole. Brotli and zstd
are read by the libraries that the gateway writes with; Python's own has neither."""
import ctypes
import zlib


class Gzip:
    def __init__(self):
        self._reader = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, data):
        return self._reader.decompress(data)

    @property
    def is_whole(self):
        return self._reader.eof


class Brotli:
    ERROR, DONE, _MORE_IN, MORE_OUT = range(4)

    def __init__(self):
        self._lib = ctypes.CDLL("libbrotlidec.so.1")
        self._lib.BrotliDecoderCreateInstance.restype = ctypes.c_void_p
        self._lib.BrotliDecoderDestroyInstance.argtypes = [ctypes.c_void_p]
        self._lib.BrotliDecoderDecompressStream.argtypes = [ctypes.c_void_p] * 6
        self._lib.BrotliDecoderHasMoreOutput.argtypes = [ctypes.c_void_p]
        self._state = self._lib.BrotliDecoderCreateInstance(None, None, None)
        self.is_whole = False

    def feed(self, data):
        source = ctypes.create_string_buffer(data, max(len(data), 1))
        n_in, at = ctypes.c_size_t(len(data)), ctypes.c_void_p(ctypes.addressof(source))
        room = ctypes.create_string_buffer(65536)
        made = b""
        while True:
            n_out, to = ctypes.c_size_t(len(room)), ctypes.c_void_p(ctypes.addressof(room))
            said = self._lib.BrotliDecoderDecompressStream(self._state, ctypes.byref(n_in), ctypes.byref(at), ctypes.byref(n_out),
                                                           ctypes.byref(to), None)
            assert said != self.ERROR, "no brotli"
            made += room.raw[:len(room) - n_out.value]
            if said != self.MORE_OUT and not self._lib.BrotliDecoderHasMoreOutput(self._state):
                self.is_whole = said == self.DONE
                return made

    def __del__(self):
        self._lib.BrotliDecoderDestroyInstance(self._state)


class _Buffer(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


class Zstd:
    def __init__(self):
        self._lib = ctypes.CDLL("libzstd.so.1")
        self._lib.ZSTD_createDCtx.restype = ctypes.c_void_p
        self._lib.ZSTD_freeDCtx.argtypes = [ctypes.c_void_p]
        self._lib.ZSTD_decompressStream.argtypes = [ctypes.c_void_p] * 3
        self._lib.ZSTD_decompressStream.restype = ctypes.c_size_t
        self._lib.ZSTD_isError.argtypes = [ctypes.c_size_t]
        self._state = self._lib.ZSTD_createDCtx()
        self.is_whole = False

    def feed(self, data):
        source = ctypes.create_string_buffer(data, max(len(data), 1))
        given = _Buffer(ctypes.addressof(source), len(data), 0)
        room = ctypes.create_string_buffer(65536)
        made = b""
        while given.pos < given.size:
            to = _Buffer(ctypes.addressof(room), len(room), 0)
            said = self._lib.ZSTD_decompressStream(self._state, ctypes.byref(to), ctypes.byref(given))
            assert not self._lib.ZSTD_isError(said), "no zstd"
            made += room.raw[:to.pos]
            self.is_whole = said == 0
        to = _Buffer(ctypes.addressof(room), len(room), 0)
        while not self.is_whole:  # what it still holds
            to.pos = 0
            self._lib.ZSTD_decompressStream(self._state, ctypes.byref(to), ctypes.byref(given))
            made += room.raw[:to.pos]
            if to.pos < to.size:
                break
        return made

    def __del__(self):
        self._lib.ZSTD_freeDCtx(self._state)


READERS = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}


def read_whole(coding, data):
    """The text of a stream that must be whole."""
    reader = READERS[coding]()
    text = reader.feed(data)
    assert reader.is_whole, f"{coding}: {len(data)} bytes are no whole stream"
    return text
