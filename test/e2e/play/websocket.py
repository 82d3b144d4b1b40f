"""The handshake of WebSocket (RFC 6455 4.2.2)."""
import base64
import hashlib

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def proof(key=KEY):
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
