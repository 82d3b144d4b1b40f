"""What a gateway's process holds."""


def status_kib(gw, name):
    with open(f"/proc/{gw.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))


def anonymous_kib(gw):
    return status_kib(gw, "RssAnon")


def is_sanitized(gw):
    """A sanitizer's own memory is no measure; its shadow takes terabytes of addresses."""
    return status_kib(gw, "VmSize") > 1 << 30
