"""Checks of lib/ota/wide.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "slot, 64 KiB: bytes are waited for without end",
        "wrong = body.lost(n, at)\n                    if wrong:",
        "wrong = body.lost(n, at)\n                    if False:",
        "portable/test_slot.py::test_after_a_lost_link_it_goes_on_where_the_bytes_stopped",
    ),
    (
        "slot: the image's header stands in the buffer of 64 KiB",
        "if block == 0:\n                self._blank_header()",
        "if False:\n                pass",
        "portable/test_slot.py::test_a_header_that_comes_twice_is_still_programmed_last",
    ),
    (
        "wide: a block is written before it was judged",
        "            self._judge(block, hashlib.sha256(self._view[:fill]))\n",
        "",
        "portable/test_slot.py::test_with_64_kib_a_corrupt_block_is_refused_before_anything_of_it_is_erased",
    ),
    (
        "wide: a block is judged before all of it came",
        "if at % _BLOCK and at < self.size:",
        "if False:",
        "portable/test_slot.py::test_nothing_is_done_before_a_buffer_is_full",
    ),
    (
        "wide: a block is erased at once where sectors are faster",
        "or self._is_faster_at_once(first))",
        "or True)",
        "portable/test_slot.py::test_with_64_kib_a_few_wrong_sectors_are_mended_one_by_one",
    ),
    (
        "wide: no block is erased at once",
        "or self._is_faster_at_once(first))",
        "or False)",
        "portable/test_slot.py::test_with_64_kib_a_block_is_erased_at_once_where_that_is_faster",
    ),
    (
        "wide: a blank block is erased at once",
        "cost += _PROGRAM_MS if self._slot.is_blank() else",
        "cost +=",
        "portable/test_slot.py::test_with_64_kib_a_blank_slot_is_not_erased",
    ),
    (
        "wide: right sectors count as work",
        "if self._slot.sector != self._sectors[k]:",
        "if True:",
        "portable/test_slot.py::test_with_64_kib_a_few_wrong_sectors_are_mended_one_by_one",
    ),
    (
        "wide: a short last block is written whole",
        "if count == _PER_BLOCK and (",
        "if (",
        "portable/test_slot.py::test_with_64_kib_a_block_is_erased_at_once_where_that_is_faster",
    ),
    (
        "wide: a block in doubt is erased sector by sector",
        "(state == _DOUBTFUL or self._is_faster_at_once(first))",
        "self._is_faster_at_once(first)",
        "portable/test_slot.py::test_with_64_kib_a_block_in_doubt_is_erased_at_once",
    ),
    (
        "wide: a sector in doubt is left as it reads",
        "if state == _WRONG:\n",
        "if True:\n",
        "portable/test_slot.py::test_with_64_kib_a_short_block_in_doubt_is_erased_whatever_it_reads",
    ),
    (
        "wide: a sector in doubt is programmed where it reads blank",
        "if state == _DOUBTFUL or not slot.is_blank():",
        "device.readblocks(first + k, slot.sector)\n                if not slot.is_blank():",
        "portable/test_slot.py::test_with_64_kib_a_short_block_in_doubt_is_erased_whatever_it_reads",
    ),
    (
        "wide: right sectors are written again",
        "if slot.sector == sectors[k]:\n                        continue",
        "if slot.sector == sectors[k]:\n                        pass",
        "portable/test_slot.py::test_with_64_kib_a_few_wrong_sectors_are_mended_one_by_one",
    ),
    (
        "wide: bytes of right blocks are written",
        "if state == _RIGHT:\n                continue",
        "if state == _RIGHT:\n                pass",
        "portable/test_slot.py::test_with_64_kib_bytes_of_right_blocks_may_pass_and_touch_nothing",
    ),
    (
        "wide: an erase has no step of its own",
        "device.ioctl(_ERASE, first + k)\n                    yield\n",
        "device.ioctl(_ERASE, first + k)\n",
        "portable/test_slot.py::test_with_64_kib_too_a_step_is_one_flash_operation",
    ),
    (
        "wide: all sectors of a block in one step",
        "sectors[k], 0)\n                yield",
        "sectors[k], 0)",
        "portable/test_slot.py::test_with_64_kib_too_a_step_is_one_flash_operation",
    ),
    (
        "wide: a body that fails is not asked why",
        "except OSError as e:\n                    raise body.lost(e)",
        "except OSError:\n                    raise",
        "portable/test_slot.py::test_a_body_that_fails_says_why",
    ),
    (
        "wide: memory is borrowed beside the large buffer",
        "return 0\n",
        "return super().count_to_erase()\n",
        "portable/test_slot.py::test_nothing_is_erased_ahead_in_a_blank_slot_or_with_64_kib",
    ),
]
