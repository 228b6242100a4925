"""Checks of lib/ota/transfer.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "download: more than the body has is asked for",
        "end = min(end, body.start + body.size)",
        "pass",
        "portable/test_download.py::test_short_parts_come_one_after_another_over_one_connection",
    ),
    (
        "download: a payload of another size is begun",
        "if 0 <= body.total != size:",
        "if False:",
        "portable/test_download.py::test_a_payload_of_another_size_erases_nothing",
    ),
    (
        "download: the size of a part is taken for the payload's",
        "if 0 <= body.total != size:",
        "if 0 <= body.size != size:",
        "portable/test_download.py::test_short_parts_come_one_after_another_over_one_connection",
    ),
    (
        "download: memory is borrowed before the server showed the payload",
        "            url = base.join(name)\n",
        "            url = base.join(name)\n            if self._ahead:\n                yield from self._erase_ahead()\n",
        "portable/test_download.py::test_a_payload_that_is_not_there_erases_nothing",
    ),
    (
        "download: everything comes before anything is erased ahead",
        "end = min(end, start // SECTOR * SECTOR + SECTOR)  # nothing",
        "pass  # nothing",
        "portable/test_download.py::test_one_sector_comes_before_64_kib_are_erased_and_no_connection_is_open_then",
    ),
    (
        "download: a connection is open while 64 KiB are borrowed",
        "source.close()  # TLS",
        "pass  # TLS",
        "portable/test_download.py::test_one_sector_comes_before_64_kib_are_erased_and_no_connection_is_open_then",
    ),
    (
        "download: nothing is erased ahead",
        "yield from self._writer.erase_ahead(blank)",
        "yield",
        "portable/test_download.py::test_one_sector_comes_before_64_kib_are_erased_and_no_connection_is_open_then",
    ),
    (
        "download: memory is borrowed for a few blocks",
        "_WORTH_BORROWING = const(4)",
        "_WORTH_BORROWING = const(1)",
        "portable/test_download.py::test_a_few_blocks_are_written_sector_by_sector_over_one_connection",
    ),
    (
        "download: split mode borrows memory",
        "ahead = not split and writer",
        "ahead = writer",
        "portable/test_download.py::test_who_must_not_stall_gets_no_erase_of_64_kib",
    ),
    (
        "download: split mode writes 64 KiB at once",
        "if not split and port.largest_block():",
        "if port.largest_block():",
        "portable/test_download.py::test_64_kib_are_taken_only_where_tls_has_room_beside_them",
    ),
    (
        "download: nobody asks whether TLS has room",
        "if port.largest_block() >= _TLS_NEEDS:",
        "if True:",
        "portable/test_download.py::test_64_kib_are_taken_only_where_tls_has_room_beside_them",
    ),
    (
        "download: the room for TLS is looked at before allocating",
        "buffer = bytearray(BLOCK)\n            if port.largest_block() >= _TLS_NEEDS:",
        "room = port.largest_block()\n            buffer = bytearray(BLOCK)\n            if room >= _TLS_NEEDS:",
        "portable/test_download.py::test_64_kib_are_taken_only_where_tls_has_room_beside_them",
    ),
    (
        "download: a connection for every part",
        "                body.taken(writer.at - before)\n",
        "",
        "portable/test_download.py::test_short_parts_come_one_after_another_over_one_connection",
    ),
    (
        "download: a whole file is taken for the part",
        "writer.seek(body.start)",
        "writer.seek(start)",
        "portable/test_download.py::test_a_server_without_ranges_is_asked_once",
    ),
    (
        "download: a server without ranges is asked for every part",
        "elif not self._ahead:",
        "elif False:",
        "portable/test_download.py::test_a_server_without_ranges_is_asked_once",
    ),
    (
        "download: parts of any size",
        "end = min(end, start + self._part_size)",
        "pass",
        "portable/test_download.py::test_parts_are_no_larger_than_configured",
    ),
    (
        "download: a range for all of it",
        "0 if end - start == size else end",
        "end",
        "portable/test_download.py::test_a_few_blocks_are_written_sector_by_sector_over_one_connection",
    ),
    (
        "download: a bad block is not taken back",
        "            writer.rewind()\n",
        "",
        "portable/test_download.py::test_what_a_noisy_line_got_wrong_is_asked_for_again",
    ),
    (
        "download: no attempt brings anything",
        "self._patience.is_moving = writer.at - first >= _PROGRESS",
        "pass",
        "portable/test_download.py::test_an_attempt_that_brought_a_kib_was_no_failure",
    ),
    (
        "download: a byte is progress",
        "writer.at - first >= _PROGRESS",
        "writer.at > first",
        "portable/test_download.py::test_an_attempt_that_brought_a_kib_was_no_failure",
    ),
]
