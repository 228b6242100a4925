"""The stand-ins for MicroPython's modules, where nothing else would notice."""

import os
import select
import socket
import struct

import pytest
import tls


def test_a_connection_that_is_reset_before_tls_leaves_no_socket_open():
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        select.select([sock], [], [], 5)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ConnectionResetError) as kept:
            context.wrap_socket(sock, server_hostname="x", do_handshake_on_connect=False)
        assert len(os.listdir("/proc/self/fd")) == before, kept
        sock.close()
