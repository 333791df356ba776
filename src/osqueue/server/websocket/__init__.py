"""WebSocket: frames, the handshake, and the requests of one connection."""
