"""Mistakes that the type check of lib/ota must report, so that its silence means something.

Each ends in the code that mypy gives it; tests/host/test_types.py compares. Never run.
"""

import machine
import network
import ota
import tls
from esp32 import NVS, Partition
from ota import errors, image, otadata

partition = Partition(Partition.RUNNING)  # type: ignore[arg-type]
partition.readblocks("0", bytearray(4096))  # expect: call-overload
partition.readblocks(0, "text")  # expect: call-overload
partition.mark_app_valid()  # expect: attr-defined
partition.get_next_update().info()["label"]  # expect: call-overload
NVS("ota").set_i32(1, 1)  # expect: arg-type
machine.restart()  # expect: attr-defined
network.WLAN().connect(ssid=1)  # expect: call-arg
tls.SSLContext(tls.PROTOCOL_TLS_CLIENT).wrap()  # expect: attr-defined

otadata.encode("1", otadata.VALID)  # expect: arg-type
otadata.describe(b"").decode()  # expect: attr-defined
otadata.decoded(b"")  # expect: attr-defined
image.check_head("text", 0)  # expect: arg-type
image.inspect(open, 1).chip  # expect: attr-defined
errors.error("tls")  # expect: call-arg
number: int = errors.error("tls", "no handshake")  # expect: assignment

# What an application may get wrong.
updater = ota.Updater.from_config()
updater.updated()  # expect: attr-defined
updater.update(progress=len)  # expect: arg-type
updater.update(feed=1)  # expect: arg-type
updater.update().size  # expect: union-attr
ota.self_test([("server", updater.reachable), "app"])  # expect: list-item
ota.AsyncUpdater.from_config().update()  # expect: unused-coroutine
ota.boot(window="60")  # expect: call-arg
ota.status().running  # expect: attr-defined
ota.status()["slot"]  # expect: typeddict-item
ota.status()["slots"][0]["label"].decode()  # expect: attr-defined
ota.outcome()["reason"]  # expect: index
ota.history()[0]["when"]  # expect: typeddict-item
ota.trust_status()["numbers"]  # expect: typeddict-item
ota.Wire(machine.UART(1))
ota.Wire("/dev/ttyUSB0")  # expect: arg-type
ota.Updater.from_config(network=ota.Wire(machine.UART(1))).check()
ota.Updater.from_config(network="wifi")  # expect: arg-type
ota.boot(port="board")  # expect: arg-type
