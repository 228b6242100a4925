"""Goal 6: what the library adds to a request over TLS, beside the least that is possible.

Real TLS on loopback, ota's own server. The bare client opens, writes the request at once with
TCP_NODELAY set, and reads; both take turns in one VM.
"""

import statistics

from ota_tools import certificates
from ota_tools.bench.context import Bench, printed, sample
from ota_tools.bench.result import Result
from ota_tools.serve import Server

_TURNS, _QUICK_TURNS = 60, 20


def measure(bench: Bench) -> Result:
    """Goal 6: median of the differences in milliseconds; met where it is within the spread."""
    bench.say("TLS requests")
    folder = bench.folder / "small"
    folder.mkdir(exist_ok=True)
    (folder / "small").write_bytes(b"x" * 32)
    paths = certificates.ensure(bench.folder / "tls", ["localhost", "127.0.0.1"])
    turns = _QUICK_TURNS if bench.quick else _TURNS
    with Server(folder, paths.server_pem, paths.server_key, host="127.0.0.1") as server:
        output = bench.vm.run("request", server.port, paths.ca_der, turns)
    pairs = [(float(bare), float(ours)) for bare, ours in printed(output)][1:]
    differences = [(ours - bare) / 1000 for bare, ours in pairs]
    added = statistics.median(differences)
    low, _, high = statistics.quantiles(differences, n=4)
    bare, ours = sample([b / 1000 for b, _ in pairs]), sample([o / 1000 for _, o in pairs])
    spread_ms = high - low
    note = (
        f"{added:+.3f} ms per request, quartiles {low:+.3f} to {high:+.3f}, over {len(pairs)} turns:"
        f" bare {bare.median:.2f} ms, ours {ours.median:.2f} ms, handshake included. A delayed"
        " acknowledgement would add 40 ms."
    )
    details = {"ms bare": bare.median, "ms ours": ours.median, "ms added": added}
    met = added <= spread_ms
    return Result(0.0, added, None, met, note, ours.spread, details)
