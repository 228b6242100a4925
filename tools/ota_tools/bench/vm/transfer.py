"""Run one of the three once or several times and print what it cost.

Arguments: `ceiling` | `peer` | `ours`; where the bytes come from (a folder, or a port on loopback);
the folder that stands for `/` on the device; image size in bytes; buffer in bytes; 1 to read back;
what the slot holds before: `blank`, or the path of a file; how often; `count` to keep the garbage,
`check` to stop before the download; how many names to intern first.
Prints one line for each run: microseconds, bytes of heap that the run allocated and kept.
"""

import gc
import sys
import time


def _stream(where):
    if where[0] == "/":
        from wire import Stream

        return Stream(where).open("image.bin")
    import socket

    sock = socket.socket()
    sock.connect(socket.getaddrinfo("127.0.0.1", int(where))[0][-1])
    sock.write(b"GET /image.bin HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    while sock.readline() != b"\r\n":
        pass
    return sock


def _ours(where, root, size, buffer, held, times, keep):
    from ours import BUFFERED, make

    chip, updater = make(root, size, where if where[0] == "/" else "")
    if buffer > 4096:
        chip.largest = BUFFERED
    for _ in range(times):
        chip.forget()
        _fill(chip.Partition.slots[1], held)
        release = updater.check()
        if keep == "check":
            continue
        gc.collect()
        if keep == "count":
            gc.disable()
        _report(updater.download, (release,))


def _other(name, where, size, buffer, back, held, times, keep):
    from ram import RamPart

    device = RamPart(size)
    run = __import__(name).run
    buf = bytearray(buffer)
    for _ in range(times):
        _fill(device, held)

        def whole():
            stream = _stream(where)
            run(stream, device, size, buf, back)
            stream.close()

        gc.collect()
        if keep == "count":
            gc.disable()
        _report(whole, ())


def _fill(device, held):
    device.blank()
    if held != "blank":
        device.load(held)


def _report(job, args):
    before = gc.mem_alloc()
    start = time.ticks_us()
    job(*args)
    took = time.ticks_diff(time.ticks_us(), start)
    print("\n#", took, gc.mem_alloc() - before)


def _main(name, where, root, size, buffer, back, held, times, keep, shift="0"):
    for number in range(int(shift)):
        hasattr(sys, "shift%d" % number)  # looking a name up interns it
    if name == "ours":
        _ours(where, root, int(size), int(buffer), held, int(times), keep)
    else:
        _other(name, where, int(size), int(buffer), back == "1", held, int(times), keep == "count")


_main(*sys.argv[1:])
