"""Also measured: bytes on the wire, of a check that finds nothing and of connections that break.

Real TLS against ota's own server, the library on the 64-bit VM, and a relay between them that counts.
"""

import itertools
from typing import Any

from ota_tools.bench.context import IMAGE, KIB, Bench, printed
from ota_tools.bench.result import Result
from ota_tools.flaky import Passed, Relay

_CUTS = (64 * KIB, 256 * KIB)


def poll(bench: Bench) -> Result:
    """Bytes of a check that finds nothing new."""
    bench.say("bytes of a check")
    served = bench.secure(bench.workshop.publish(256 * KIB).folder)
    with Relay(served.port) as relay:
        output = bench.vm.run("poll", bench.workshop.secure_root(relay.port, served.authority))
        first, second = _last(relay, 2)
    (asked, got), (asked_again, head) = [
        (int(sent), int(received)) for sent, received in printed(output)
    ]
    manifest = (served.folder / "vm-esp32.manifest").stat().st_size
    without, within = first.up + first.down, second.up + second.down
    details: dict[str, Any] = {
        "bytes sent with ETag": second.up,
        "bytes received with ETag": second.down,
        "bytes sent without ETag": first.up,
        "bytes received without ETag": first.down,
        "HTTP request with ETag": asked_again,
        "HTTP answer with ETag": head,
        "HTTP request without ETag": asked,
        "HTTP answer without ETag": got,
    }
    note = (
        f"{second.up} bytes sent and {second.down} received by a check that is answered 304 Not"
        f" Modified, handshake included; without an ETag, when the manifest of {manifest} bytes comes"
        f" again, {first.up} and {first.down}. Without the handshake: a request of {asked_again} bytes"
        f" and an answer of {head}, against {asked} and {got}. The server sends one certificate, with"
        " a P-256 key; public servers send some KiB of them. Headers of TCP and IP are not counted."
    )
    ratio = within / without
    return Result(without, within, ratio, None, note, 0.0, details)


def resume(bench: Bench) -> Result:
    """Bytes of a download whose connection breaks again and again."""
    size = 512 * KIB if bench.quick else IMAGE
    bench.say(f"bytes of a download of {size // KIB} KiB that is cut")
    served = bench.secure(bench.workshop.publish(size).folder)
    found = {}
    for cut in (0, *_CUTS):
        with Relay(served.port, itertools.repeat(cut) if cut else ()) as relay:
            root = bench.workshop.secure_root(relay.port, served.authority)
            links = int(printed(bench.vm.run("resume", root, size))[0][0])
            found[cut] = (sum(c.up + c.down for c in _last(relay, links)), links)
    whole, _ = found[0]
    over = {cut: found[cut][0] / whole - 1 for cut in _CUTS}
    details: dict[str, Any] = {"bytes uncut": whole}
    for cut in _CUTS:
        details[f"bytes cut every {cut // KIB} KiB"] = found[cut][0]
        details[f"connections cut every {cut // KIB} KiB"] = found[cut][1]
        details[f"percent more, cut every {cut // KIB} KiB"] = round(over[cut] * 100, 2)
    parts = ", ".join(
        f"{over[cut]:.1%} more over {found[cut][1]} connections that break after {cut // KIB} KiB"
        f" each ({(found[cut][0] - whole) / (found[cut][1] - 1) / KIB:.1f} KiB for each break)"
        for cut in _CUTS
    )
    note = (
        f"{size // KIB} KiB uncut: {whole} bytes, {whole / size - 1:.1%} more than the image. {parts}."
        " A break costs a handshake, a request, and the TLS record that was on its way, of no use"
        " before its end: this server's hold 16 KiB, and at these lengths nearly all of one is lost."
    )
    return Result(0.0, over[_CUTS[0]] * 100, found[_CUTS[0]][0] / whole, None, note, 0.0, details)


def _last(relay: Relay, count: int) -> list[Passed]:
    # The first one told what is served.
    return relay.connections[-count:]
