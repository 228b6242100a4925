"""The slot writer: any chunking, header last, nothing erased that is right, nothing half valid."""

import hashlib
import io

from fakes import PowerCut, RamSlot, code_of, make_image, make_release, raises, run

from ota.errors import error
from ota.manifest import BLOCK, DIGEST
from ota.reader import HEADER, SECTOR, Reader
from ota.slot import SlotWriter
from ota.wide import WideWriter

IMAGE = make_image(70000)
RELEASE = make_release(IMAGE)


def write_all(
    slot, image=IMAGE, release=RELEASE, chunk=4096, head=b"", interrupted=False, size=SECTOR
):
    """One attempt: only what is wanted is given, in any chunking; `size` of the buffer."""
    writer = writer_of(slot, size, release)
    run(writer.survey(head, interrupted))
    wanted = writer.wanted()
    while wanted and wanted[0] < len(image):
        writer.seek(wanted[0])
        for at in range(wanted[0], min(wanted[1], len(image)), chunk):
            writer.write(image[at : min(at + chunk, wanted[1])])
        wanted = writer.wanted()
    run(writer.prove())
    writer.seal()


def writer_of(slot, size=SECTOR, release=RELEASE, on_head=None):
    """A writer with a buffer of this size."""
    if size == BLOCK:
        return WideWriter(slot, release, bytearray(BLOCK), on_head)
    return SlotWriter(slot, release, on_head)


class Feed:
    """A body of these bytes."""

    link = None

    def __init__(self, data):
        self.readinto = io.BytesIO(data).readinto

    def lost(self, what, at=0):
        return AssertionError("more was asked for than there is")


def holds(slot, image=IMAGE):
    return bytes(slot.data[: len(image)]) == image


def test_any_chunking_gives_the_same_slot():
    for size in (SECTOR, BLOCK):
        wanted = None
        for chunk in (1, 2, 3, 7, 4095, 4096, 4097, 65536, len(IMAGE)):
            slot = RamSlot()
            write_all(slot, chunk=chunk, size=size)
            assert holds(slot), chunk
            wanted = wanted or slot.log
            assert slot.log == wanted, chunk


def test_the_last_sector_is_padded_and_nothing_behind_it_is_touched():
    slot = RamSlot(fill=b"\x00")
    write_all(slot)
    end = (len(IMAGE) + SECTOR - 1) // SECTOR * SECTOR
    assert slot.data[len(IMAGE) : end].count(b"\xff") == end - len(IMAGE)
    assert slot.data[end:].count(b"\x00") == len(slot.data) - end


def test_the_header_goes_first_and_comes_last():
    for size in (SECTOR, BLOCK):
        slot = RamSlot(fill=b"\x0f")
        write_all(slot, size=size)
        assert slot.log[0] == ("program", 0, 16)  # cleared: from here on it is no image
        assert slot.log[1][0] == "erase"
        assert slot.log[-1] == ("program", 0, 16)


def test_a_blank_slot_is_not_erased():
    slot = RamSlot()
    write_all(slot)
    assert slot.erases() == 0


def test_a_slot_that_holds_the_image_is_not_touched():
    slot = RamSlot()
    write_all(slot)
    slot.log.clear()
    write_all(slot)
    assert slot.log == []


def test_only_sectors_that_differ_are_written():
    slot = RamSlot()
    write_all(slot)
    slot.data[5 * SECTOR + 9] = 0
    slot.log.clear()
    write_all(slot)
    assert holds(slot)
    # sector 0 loses and regains its header, sector 5 is rewritten
    assert sorted({at // SECTOR for _, at, _ in slot.log}) == [0, 5]


def test_a_wrong_chip_is_refused_before_any_flash_operation():
    slot = RamSlot(fill=b"\x00")
    image = make_image(70000, chip_id=9)
    assert code_of(write_all, slot, image, make_release(image)) == "wrong-chip"
    assert slot.log == []


def test_what_is_no_image_is_refused_before_any_flash_operation():
    for image in (b"hello, captive portal" * 300, b"\xe9" * 9000, b"\xe9"):
        slot = RamSlot(fill=b"\x00")
        assert code_of(write_all, slot, image, make_release(image)) == "image-format"
        assert slot.log == []


def test_the_head_is_told_before_the_first_erase():
    slot = RamSlot(fill=b"\x00")
    told = []

    def on_head(head):
        told.append((bytes(head), len(slot.log)))

    for size in (SECTOR, BLOCK):
        writer = writer_of(slot, size, RELEASE, on_head)
        run(writer.survey())
        writer.write(IMAGE)
        assert told.pop() == (IMAGE[:16], 0)
        slot = RamSlot(fill=b"\x00")


def test_a_flipped_byte_anywhere_is_an_error_and_leaves_no_header():
    for at in range(0, len(IMAGE), 997):
        bad = bytearray(IMAGE)
        bad[at] ^= 0x10
        slot = RamSlot()
        code = code_of(write_all, slot, bytes(bad))
        assert code in ("digest-mismatch", "image-format", "wrong-chip"), (at, code)
        assert slot.data[:16].count(b"\xff") == 16


def test_a_truncation_anywhere_is_an_error_and_leaves_no_header():
    for n in range(0, len(IMAGE), 1999):
        slot = RamSlot()
        assert code_of(write_all, slot, IMAGE[:n]) == "short-body"
        assert slot.data[:16].count(b"\xff") == 16


def test_bytes_behind_the_signed_size_are_an_error():
    writer = SlotWriter(RamSlot(), RELEASE)
    assert code_of(writer.write, IMAGE + b"\x00") == "size-mismatch"


def test_corrupt_data_is_noticed_at_the_end_of_its_block():
    bad = bytearray(IMAGE)
    bad[100] ^= 1
    writer = SlotWriter(RamSlot(), RELEASE)
    run(writer.survey())
    assert code_of(writer.write, bytes(bad[:65536])) == "digest-mismatch"


def test_every_byte_of_a_block_digest_counts():
    for at in range(DIGEST):
        release = make_release(IMAGE)
        digests = bytearray(release.blocks)
        digests[at] ^= 1
        release.blocks = bytes(digests)
        writer = SlotWriter(RamSlot(), release)
        run(writer.survey())
        assert code_of(writer.write, IMAGE[:65536]) == "digest-mismatch", at


def test_flash_that_does_not_hold_what_was_written_is_noticed():
    slot = RamSlot()
    writer = SlotWriter(slot, RELEASE)
    run(writer.survey())
    writer.write(IMAGE)
    slot.data[5000] ^= 1
    assert code_of(run, writer.prove()) == "readback"


def run_append(slot, wrong=False):
    """Put a sector behind an image that fills whole sectors; `wrong`: flash does not take it."""
    image = bytes(make_image(7000, seed=3))
    image += b"\xff" * (2 * SECTOR - len(image))
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey())
    writer.write(image)
    run(writer.prove())
    if wrong:
        read = slot.readblocks
        slot.readblocks = lambda block, buf, offset=0: read(
            0 if block == 2 else block, buf, offset
        )
    run(writer.append(b"\xa5" * SECTOR))
    writer.seal()
    return image


def test_a_sector_can_follow_the_image():
    for fill in (b"\xff", b"\x0f"):
        slot = RamSlot(fill=fill)
        image = run_append(slot)
        assert bytes(slot.data[: len(image) + SECTOR]) == image + b"\xa5" * SECTOR
        assert slot.data[len(image) + SECTOR :].count(fill) == len(slot.data) - 3 * SECTOR


def test_a_sector_that_follows_already_is_left_alone():
    slot = RamSlot()
    run_append(slot)
    slot.log.clear()
    run_append(slot)
    assert slot.log == []


def test_what_follows_an_image_is_read_back():
    assert code_of(run_append, RamSlot(), True) == "readback"


def test_without_block_digests_the_whole_digest_decides():
    image = bytes(make_image(70000, seed=3))
    for size in (SECTOR, BLOCK):
        release = make_release(image)
        release.blocks = b""
        slot = RamSlot()
        write_all(slot, image, release, size=size)
        assert holds(slot, image)
        other = image[:66000] + b"x" + image[66001:]
        assert code_of(write_all, RamSlot(), other, release, 4096, b"", False, size) == (
            "digest-mismatch"
        )
        slot.log.clear()
        write_all(slot, image, release, size=size)  # nothing tells which blocks are right
        assert holds(slot, image)


def test_a_manifest_whose_digests_disagree_is_refused():
    lying = make_release(IMAGE)
    lying.sha256 = bytes(32)
    slot = RamSlot()
    assert code_of(write_all, slot, IMAGE, lying) == "digest-mismatch"
    assert slot.data[:16].count(b"\xff") == 16


def test_an_error_of_the_device_comes_through():
    raises(OSError, write_all, RamSlot(SECTOR * 4))


def test_after_a_cut_anywhere_there_is_no_half_image_and_the_next_attempt_succeeds():
    for size in (SECTOR, BLOCK):
        clean = RamSlot(fill=b"\x0f")
        write_all(clean, size=size)
        for cut in range(len(clean.log)):
            slot = RamSlot(fill=b"\x0f")
            slot.cut_after = cut
            raises(PowerCut, write_all, slot, IMAGE, RELEASE, SECTOR, b"", False, size)
            assert bytes(slot.data[:16]) != IMAGE[:16], cut
            slot.cut_after = None
            write_all(slot, head=IMAGE[:16], interrupted=True, size=size)
            assert holds(slot), cut


def test_a_block_in_doubt_is_written_even_where_it_reads_right():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[:16] = b"\xff" * 16
    slot.data[66000] = 0  # block 1 is wrong: it was being written when the power went
    write_all(slot, head=IMAGE[:16], interrupted=True)
    assert holds(slot)
    assert ("erase", 17 * SECTOR, SECTOR) in slot.log  # reads right, is written all the same
    assert ("erase", 5 * SECTOR, SECTOR) not in slot.log  # block 0 was proven by its digest


def test_a_torn_header_is_mended_without_programming_a_byte_twice():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[8:16] = b"\xff" * 8
    write_all(slot, head=IMAGE[:16], interrupted=True)
    assert holds(slot)


# What is asked for


def test_only_wrong_blocks_are_wanted_in_runs():
    image = make_image(5 * BLOCK + 100)
    release = make_release(image)
    slot = RamSlot(6 * BLOCK)
    write_all(slot, image, release)
    for wrong in (1, 2, 4):
        slot.data[wrong * BLOCK + 7] ^= 1
    writer = SlotWriter(slot, release)
    run(writer.survey())
    runs = []
    while writer.wanted():
        start, end = writer.wanted()
        runs.append((start // BLOCK, end // BLOCK))
        writer.seek(start)
        writer.write(image[start:end])
    assert runs == [(1, 3), (4, 5)]
    run(writer.prove())
    writer.seal()
    assert bytes(slot.data[: len(image)]) == image


def test_what_is_wanted_goes_on_where_the_bytes_stopped():
    writer = SlotWriter(RamSlot(), RELEASE)
    assert writer.wanted() == (0, len(IMAGE))
    writer.write(IMAGE[:5000])
    assert writer.wanted() == (5000, len(IMAGE))
    writer.seek(5000)
    writer.write(IMAGE[5000:])
    assert writer.wanted() is None


def test_bytes_of_right_blocks_may_pass_and_touch_nothing():
    image = make_image(2 * BLOCK + 100)
    slot = RamSlot(3 * BLOCK)
    release = make_release(image)
    write_all(slot, image, release)
    slot.data[2 * BLOCK + 5] ^= 1
    writer = SlotWriter(slot, release)
    run(writer.survey())
    slot.log.clear()
    writer.seek(0)
    writer.write(bytes(2 * BLOCK) + image[2 * BLOCK :])  # others' bytes where they do not matter
    run(writer.prove())
    writer.seal()
    assert bytes(slot.data[: len(image)]) == image
    assert sorted({at // BLOCK for _, at, _ in slot.log}) == [0, 2]


def test_a_header_that_comes_twice_is_still_programmed_last():
    for size in (SECTOR, BLOCK):
        slot = RamSlot(fill=b"\x0f")
        writer = writer_of(slot, size)
        writer.write(IMAGE[:BLOCK])
        writer.seek(0)  # a server without ranges begins again
        writer._state[0] = 0  # as where a cut left the block wrong
        writer.write(IMAGE[:BLOCK])
        assert slot.data[:16].count(b"\xff") == 16
        writer.write(IMAGE[BLOCK:])
        run(writer.prove())
        writer.seal()
        assert holds(slot)


def test_a_block_that_was_erased_ahead_and_begins_again_is_looked_at():
    image = make_image(4 * BLOCK)
    slot = RamSlot(5 * BLOCK, fill=b"\x0f")
    writer = SlotWriter(slot, make_release(image))
    writer.write(image[:SECTOR])
    run(writer.erase_ahead(b"\xff" * BLOCK))
    writer.write(image[SECTOR : BLOCK + 5000])
    writer.seek(BLOCK)  # a server that has no ranges any more
    writer.write(image[BLOCK:])
    run(writer.prove())
    writer.seal()
    assert bytes(slot.data[: len(image)]) == image


def test_a_block_whose_erase_ahead_was_cut_half_way_is_in_doubt():
    image = make_image(5 * BLOCK)
    release = make_release(image)
    slot = RamSlot(6 * BLOCK, fill=b"\x0f")
    writer = SlotWriter(slot, release)
    writer.write(image[:SECTOR])
    slot.cut_after = 1
    raises(PowerCut, run, writer.erase_ahead(b"\xff" * BLOCK))
    slot.cut_after = None
    slot.data[BLOCK : BLOCK + BLOCK // 2] = b"\xff" * (BLOCK // 2)  # the first half reads blank
    slot.data[BLOCK + BLOCK // 2 : 2 * BLOCK] = b"\x0f" * (BLOCK // 2)
    slot.log.clear()
    write_all(slot, image, release, head=image[:16], interrupted=True)
    assert bytes(slot.data[: len(image)]) == image
    assert ("erase", BLOCK, SECTOR) in slot.log  # it reads blank, today


def test_a_position_inside_a_block_is_the_callers_mistake():
    raises(ValueError, SlotWriter(RamSlot(), RELEASE).seek, 5000)


def test_a_slot_that_begins_blank_is_not_hashed_without_a_reason():
    slot = RamSlot()
    assert run(SlotWriter(slot, RELEASE).survey()) == 0
    assert slot.reads == 1
    assert run(SlotWriter(slot, RELEASE).survey(IMAGE[:16], True)) > 4
    assert slot.reads > 16


# Large blocks


def test_with_64_kib_a_corrupt_block_is_refused_before_anything_of_it_is_erased():
    bad = bytearray(IMAGE)
    bad[60000] ^= 1
    slot = RamSlot(fill=b"\x00")
    writer = writer_of(slot, BLOCK)
    assert code_of(writer.write, bytes(bad)) == "digest-mismatch"
    assert slot.log == []


def test_with_64_kib_a_block_is_erased_at_once_where_that_is_faster():
    slot = RamSlot(fill=b"\x0f")
    write_all(slot, size=BLOCK)
    assert [op for op in slot.log if op[0] == "erase"] == [
        ("erase", 0, BLOCK),
        ("erase", BLOCK, SECTOR),  # the last block is short: nothing behind the image is touched
        ("erase", BLOCK + SECTOR, SECTOR),
    ]


def test_with_64_kib_a_few_wrong_sectors_are_mended_one_by_one():
    slot = RamSlot()
    write_all(slot)
    for sector in (3, 5):
        slot.data[sector * SECTOR + 9] ^= 1
    slot.log.clear()
    write_all(slot, size=BLOCK)
    assert holds(slot)
    assert {(at, n) for kind, at, n in slot.log if kind == "erase"} == {
        (sector * SECTOR, SECTOR) for sector in (0, 3, 5)
    }


def test_erasing_ahead_takes_whole_blocks_but_the_first_and_a_short_last():
    image = make_image(4 * BLOCK + 100)
    slot = RamSlot(5 * BLOCK, fill=b"\x0f")
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey())
    writer.write(image[:SECTOR])
    assert writer.count_to_erase() == 3
    slot.log.clear()
    run(writer.erase_ahead(b"\xff" * BLOCK))
    assert [op for op in slot.log if op[0] == "erase"] == [
        ("erase", block * BLOCK, BLOCK) for block in (1, 2, 3)
    ]
    assert writer.count_to_erase() == 0
    writer.write(image[SECTOR:])
    run(writer.prove())
    writer.seal()
    assert bytes(slot.data[: len(image)]) == image
    assert len([op for op in slot.log if op[:1] == ("erase",) and op[2] == SECTOR]) == 15 + 1


def test_nothing_is_erased_ahead_in_a_blank_slot_or_with_64_kib():
    image = make_image(4 * BLOCK)
    assert SlotWriter(RamSlot(5 * BLOCK), make_release(image)).count_to_erase() == 0
    dirty = RamSlot(5 * BLOCK, fill=b"\x0f")
    assert writer_of(dirty, BLOCK, make_release(image)).count_to_erase() == 0
    assert dirty.log == []


def test_after_a_cut_while_erasing_ahead_the_block_it_was_at_is_erased_again():
    image = make_image(5 * BLOCK)
    release = make_release(image)
    clean = RamSlot(6 * BLOCK, fill=b"\x0f")
    writer = SlotWriter(clean, release)
    writer.write(image[:SECTOR])
    begun = len(clean.log)
    for cut in range(begun, begun + 6):
        slot = RamSlot(6 * BLOCK, fill=b"\x0f")
        slot.cut_after = cut
        writer = SlotWriter(slot, release)
        writer.write(image[:SECTOR])
        raises(PowerCut, run, writer.erase_ahead(b"\xff" * BLOCK))
        _, at, n = slot.log[-1]
        slot.data[at : at + n] = b"\xff" * n  # half-erased bits may read right today
        slot.cut_after = None
        slot.log.clear()
        write_all(slot, image, release, head=image[:16], interrupted=True)
        assert bytes(slot.data[: len(image)]) == image
        assert ("erase", at, SECTOR) in slot.log, cut


# Steps


def test_a_step_is_one_flash_operation_and_in_split_mode_at_most_1_kib():
    for split, sizes in ((False, [SECTOR]), (True, [1024] * 4)):
        slot = RamSlot(fill=b"\x0f")
        writer = SlotWriter(slot, RELEASE, split=split)
        writer.write(IMAGE[:SECTOR])
        slot.log.clear()
        steps = []
        for _ in writer.copy(Feed(IMAGE[SECTOR:]), 2 * SECTOR):
            steps.append(slot.log[:])
            slot.log.clear()
        assert slot.log == []
        assert steps[0] == [("erase", SECTOR, SECTOR)]
        assert [n for step in steps[1:] for _, _, n in step] == sizes
        assert max([len(step) for step in steps]) == 1


def test_with_64_kib_too_a_step_is_one_flash_operation():
    slot = RamSlot(fill=b"\x0f")
    writer = writer_of(slot, BLOCK)
    writer.write(IMAGE[:BLOCK])
    slot.log.clear()
    for _ in writer.copy(Feed(IMAGE[BLOCK:]), len(IMAGE)):
        assert len(slot.log) <= 1
        slot.log.clear()
    assert slot.log == []


class Slow:
    """A body that gives a few bytes at a time, and every other time none."""

    link = "what is waited for"

    def __init__(self, data, most=SECTOR):
        self.file = io.BytesIO(data)
        self.most = most
        self.calls = 0
        self.places = []

    def readinto(self, buf):
        self.calls += 1
        return None if self.calls % 2 else self.file.readinto(buf[: self.most])

    def lost(self, what, at=0):
        assert what is None
        self.places.append(at)
        return None  # try again


def test_a_stream_that_has_nothing_yet_costs_a_step_and_no_byte():
    for size in (SECTOR, BLOCK):
        for most in (SECTOR, 1000):
            slot = RamSlot()
            body = Slow(IMAGE, most)
            writer = writer_of(slot, size)
            waits = [step for step in writer.copy(body, len(IMAGE)) if step]
            assert waits == [body.link] * len(body.places)
            # What came until then is told each time.
            assert body.places[0] == 0 and body.places == sorted(set(body.places))
            run(writer.prove())
            writer.seal()
            assert holds(slot)


def test_a_stream_that_ends_is_gone_on_with_by_another():
    slot = RamSlot()
    writer = SlotWriter(slot, RELEASE)
    run(writer.copy(Feed(IMAGE[:7000]), 7000))
    assert writer.wanted() == (7000, len(IMAGE))
    run(writer.copy(Feed(IMAGE[7000:]), len(IMAGE)))
    run(writer.prove())
    writer.seal()
    assert holds(slot)


def test_nothing_is_done_before_a_buffer_is_full():
    for size in (SECTOR, BLOCK):
        slot = RamSlot(fill=b"\x0f")
        writer = writer_of(slot, size)
        writer.write(IMAGE[: size - 1])
        assert slot.log == []


# Reading


LONG = make_image(5 * BLOCK)
LONG_RELEASE = make_release(LONG)


def result_of(steps):
    """What a generator of the library returns."""
    found = []

    def keep():
        found.append((yield from steps))

    run(keep())
    return found[0]


def blocks_erased(slot, size):
    """Blocks in which an erase of this size began."""
    return sorted({at // BLOCK for kind, at, n in slot.log if kind == "erase" and n == size})


def test_what_is_read_ends_where_the_image_does():
    slot = RamSlot(4 * SECTOR)
    slot.data[:] = IMAGE[: 4 * SECTOR]
    for end in (100, SECTOR - 1, SECTOR, SECTOR + 1, 2 * SECTOR, 9000):
        for start in (0, 16):
            sha = hashlib.sha256()
            run(Reader(slot, RELEASE).hash(sha, start, end))
            assert sha.digest() == hashlib.sha256(IMAGE[start:end]).digest(), (start, end)


def test_a_sector_is_blank_where_every_byte_is():
    reader = Reader(RamSlot(), RELEASE)
    for sector, blank in (
        (b"\xff" * SECTOR, True),
        (b"\x0f" * SECTOR, False),
        (bytes(SECTOR), False),
        (b"\xff" * (SECTOR - 1) + b"\xfe", False),
        (b"\xfe" + b"\xff" * (SECTOR - 1), False),
        (b"\xff" * 2000 + b"\x7f" + b"\xff" * 2095, False),
    ):
        reader.sector[:] = sector
        assert reader.is_blank() == blank, sector[:4]


def test_sectors_are_blank_where_all_of_them_are():
    slot = RamSlot()
    slot.data[2 * SECTOR + 5] = 0
    reader = Reader(slot, RELEASE)
    assert reader.are_blank(0, 2)
    assert not reader.are_blank(0, 3)
    assert not reader.are_blank(2, 4)
    assert reader.are_blank(3, 5)


# What is right, wrong or in doubt


def test_what_an_earlier_attempt_left_is_found_without_a_header():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[:16] = b"\xff" * 16
    writer = SlotWriter(slot, RELEASE)
    run(writer.survey(IMAGE[:16]))
    assert writer.wanted() is None


def test_every_wrong_block_is_in_doubt_after_a_cut():
    slot = RamSlot(6 * BLOCK)
    slot.data[: len(LONG)] = LONG
    slot.data[:16] = b"\xff" * 16
    slot.data[BLOCK + 9] ^= 1
    slot.data[3 * BLOCK : 4 * BLOCK] = b"\xff" * BLOCK
    write_all(slot, LONG, LONG_RELEASE, head=LONG[:16], interrupted=True)
    assert holds(slot, LONG)
    erased = [at // BLOCK for kind, at, _ in slot.log if kind == "erase"]
    assert erased == [1] * 16 + [3] * 16


def test_a_block_may_begin_again():
    slot = RamSlot(6 * BLOCK)
    writer = SlotWriter(slot, LONG_RELEASE)
    writer.write(LONG[: BLOCK + 5000])
    writer.seek(BLOCK)
    writer.write(LONG[BLOCK : 2 * BLOCK])
    assert writer.wanted() == (2 * BLOCK, len(LONG))


def test_a_sector_that_only_begins_blank_is_erased():
    slot = RamSlot()
    slot.data[5 * SECTOR + 100] = 0
    write_all(slot)
    assert ("erase", 5 * SECTOR, SECTOR) in slot.log
    assert holds(slot)


def test_what_a_buffer_held_before_is_not_taken_for_the_head():
    slot = RamSlot()
    writer = SlotWriter(slot, make_release(b"\xe9"), buffer=bytearray(IMAGE[:SECTOR]))
    assert code_of(writer.write, b"\xe9") == "image-format"
    assert slot.log == []


def test_the_header_goes_first_where_its_block_is_right():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[BLOCK + 9] ^= 1
    writer = SlotWriter(slot, RELEASE)
    run(writer.survey())
    writer.seek(BLOCK)
    writer.write(IMAGE[BLOCK:])
    assert slot.log[:3] == [("program", 0, 16), ("erase", 0, SECTOR), ("program", 0, SECTOR)]
    assert slot.data[:16].count(b"\xff") == 16
    run(writer.prove())
    writer.seal()
    assert holds(slot)


def test_a_torn_header_over_a_right_block_is_the_one_of_the_attempt():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[8:16] = b"\xff" * 8
    slot.data[BLOCK + 9] ^= 1
    write_all(slot, head=IMAGE[:16], interrupted=True)
    assert holds(slot)


def test_a_body_that_fails_says_why():
    class Broken:
        def readinto(self, room):
            raise OSError(104, "reset")

        def lost(self, what, at=0):
            return error("link-lost", "%s" % what)

    for size in (SECTOR, BLOCK):
        writer = writer_of(RamSlot(), size)
        assert code_of(run, writer.copy(Broken(), len(IMAGE))) == "link-lost"


class Breaking(Feed):
    """A body whose link breaks after its bytes: an end, or an error."""

    def __init__(self, data, trouble):
        self.file = io.BytesIO(data)
        self.trouble = trouble

    def readinto(self, room):
        n = self.file.readinto(room)
        if not n and self.trouble:
            raise self.trouble
        return n

    def lost(self, what, at=0):
        return error("link-lost", "%s" % what)


def test_after_a_lost_link_it_goes_on_where_the_bytes_stopped():
    image = make_image(2 * BLOCK + 5000)
    release = make_release(image)
    for size in (SECTOR, BLOCK):
        for fill in (b"\xff", b"\x0f"):
            clean = RamSlot(3 * BLOCK, fill)
            write_all(clean, image, release, size=size)
            slot = RamSlot(3 * BLOCK, fill)
            writer = writer_of(slot, size, release)
            for stop in (1, 15, 40, 4096, 5000, BLOCK - 1, BLOCK, BLOCK + 4097, 2 * BLOCK + 4999):
                for trouble in (None, OSError(104, "reset")):
                    start, end = writer.wanted()
                    assert (start, end) == (writer.at, len(image))
                    writer.seek(start)
                    body = Breaking(image[start:stop], trouble)
                    assert code_of(run, writer.copy(body, end)) == "link-lost"
                    assert writer.at == stop
            run(writer.copy(Feed(image[writer.at :]), len(image)))
            run(writer.prove())
            writer.seal()
            assert holds(slot, image)
            assert slot.log == clean.log  # nothing was written twice


def test_after_a_bad_block_it_comes_again_from_its_start():
    for size in (SECTOR, BLOCK):
        for interrupted in (False, True):
            slot = RamSlot(6 * BLOCK, fill=b"\x0f")
            writer = writer_of(slot, size, LONG_RELEASE)
            run(writer.survey(LONG[:16], interrupted))
            for bad in (100, BLOCK - 1, BLOCK, 2 * BLOCK + 5000, len(LONG) - 1):
                start = writer.wanted()[0]
                data = bytearray(LONG)
                data[bad] ^= 1
                end = (bad // BLOCK + 1) * BLOCK
                code = code_of(run, writer.copy(Feed(bytes(data[start:end])), len(LONG)))
                assert code == "digest-mismatch"
                writer.rewind()
                assert writer.wanted() == (bad // BLOCK * BLOCK, len(LONG))
                assert slot.data[:16].count(b"\xff") == 16 or bytes(slot.data[:16]) != LONG[:16]
            run(writer.copy(Feed(LONG[writer.at :]), len(LONG)))
            run(writer.prove())
            writer.seal()
            assert holds(slot, LONG)


def test_what_was_no_image_may_come_again():
    for size in (SECTOR, BLOCK):
        slot = RamSlot(fill=b"\x0f")
        writer = writer_of(slot, size)
        portal = b"hello, captive portal" * 4000
        assert code_of(run, writer.copy(Feed(portal), len(IMAGE))) in (
            "image-format",
            "digest-mismatch",
        )
        writer.rewind()
        assert slot.log == []
        assert writer.wanted() == (0, len(IMAGE))
        run(writer.copy(Feed(IMAGE), len(IMAGE)))
        run(writer.prove())
        writer.seal()
        assert holds(slot)


def test_the_header_of_a_refused_block_is_forgotten():
    # Flash mode and size stand in bytes 2 and 3: another build differs there, and is an image too.
    other = bytearray(IMAGE)
    other[2:4] = b"\x02\x20"
    for size in (SECTOR, BLOCK):
        for again in (SlotWriter.rewind, lambda writer: writer.seek(0)):
            slot, heads = RamSlot(fill=b"\x0f"), []
            writer = writer_of(slot, size, on_head=heads.append)
            assert code_of(run, writer.copy(Feed(bytes(other)), len(IMAGE))) == "digest-mismatch"
            again(writer)
            run(writer.copy(Feed(IMAGE), len(IMAGE)))
            assert heads[-1] == IMAGE[:16]
            run(writer.prove())
            writer.seal()
            assert holds(slot)


def test_a_block_that_was_erased_ahead_and_was_bad_is_looked_at_again():
    slot = RamSlot(6 * BLOCK, fill=b"\x0f")
    writer = SlotWriter(slot, LONG_RELEASE)
    writer.write(LONG[:SECTOR])
    run(writer.erase_ahead(b"\xff" * BLOCK))
    data = bytearray(LONG)
    data[BLOCK + 9] ^= 1
    assert code_of(run, writer.copy(Feed(bytes(data[SECTOR:])), len(LONG))) == "digest-mismatch"
    writer.rewind()
    assert writer.wanted() == (BLOCK, len(LONG))
    run(writer.copy(Feed(LONG[BLOCK:]), len(LONG)))
    run(writer.prove())
    writer.seal()
    assert holds(slot, LONG)


# Erasing ahead


def test_a_first_and_a_short_last_block_are_never_erased_ahead():
    image = make_image(BLOCK + 100)
    slot = RamSlot(fill=b"\x0f")
    writer = SlotWriter(slot, make_release(image))
    assert writer.count_to_erase() == 0
    run(writer.erase_ahead(b"\xff" * BLOCK))
    assert slot.log == []


def test_right_blocks_and_the_one_in_progress_are_not_erased_ahead():
    slot = RamSlot(6 * BLOCK)
    slot.data[: len(LONG)] = LONG
    for block in (1, 3, 4):
        slot.data[block * BLOCK : (block + 1) * BLOCK] = b"\x0f" * BLOCK
    writer = SlotWriter(slot, LONG_RELEASE)
    run(writer.survey())
    writer.seek(BLOCK)
    writer.write(LONG[BLOCK : BLOCK + SECTOR])
    run(writer.erase_ahead(b"\xff" * BLOCK))
    assert blocks_erased(slot, BLOCK) == [3, 4]


def test_a_block_in_doubt_is_erased_ahead_whatever_it_reads_and_only_once():
    slot = RamSlot(6 * BLOCK, fill=b"\x0f")
    slot.data[BLOCK : 2 * BLOCK] = b"\xff" * BLOCK
    writer = SlotWriter(slot, LONG_RELEASE)
    run(writer.survey(LONG[:16], True))
    writer.write(LONG[:SECTOR])
    run(writer.erase_ahead(b"\xff" * BLOCK))
    assert blocks_erased(slot, BLOCK) == [1, 2, 3, 4]
    writer.write(LONG[SECTOR:])
    assert blocks_erased(slot, SECTOR) == [0, 5]  # the first one and a short last


# More of large blocks


def test_with_64_kib_a_blank_slot_is_not_erased():
    slot = RamSlot()
    write_all(slot, size=BLOCK)
    assert holds(slot)
    assert slot.erases() == 0


def test_with_64_kib_a_block_in_doubt_is_erased_at_once():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[:16] = b"\xff" * 16
    slot.data[5 * SECTOR] ^= 1
    write_all(slot, head=IMAGE[:16], interrupted=True, size=BLOCK)
    assert holds(slot)
    assert blocks_erased(slot, BLOCK) == [0]
    assert blocks_erased(slot, SECTOR) == []


def test_with_64_kib_a_short_block_in_doubt_is_erased_whatever_it_reads():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[:16] = b"\xff" * 16
    slot.data[BLOCK + SECTOR : BLOCK + 2 * SECTOR] = b"\xff" * SECTOR
    write_all(slot, head=IMAGE[:16], interrupted=True, size=BLOCK)
    assert holds(slot)
    assert [at for kind, at, _ in slot.log if kind == "erase"] == [BLOCK, BLOCK + SECTOR]


def test_with_64_kib_bytes_of_right_blocks_may_pass_and_touch_nothing():
    slot = RamSlot()
    slot.data[: len(IMAGE)] = IMAGE
    slot.data[BLOCK + 9] ^= 1
    writer = writer_of(slot, BLOCK)
    run(writer.survey())
    writer.seek(0)
    writer.write(bytes(BLOCK))  # others' bytes where they do not matter
    assert slot.log == []
    writer.write(IMAGE[BLOCK:])
    run(writer.prove())
    writer.seal()
    assert holds(slot)


# What wears out, and what was cut


class WornHeader(RamSlot):
    """A slot whose first bytes do not take what is programmed."""

    def writeblocks(self, block, buf, offset=None):
        if (block, offset, len(buf)) != (0, 0, HEADER):
            RamSlot.writeblocks(self, block, buf, offset)


def test_a_header_that_does_not_read_back_is_an_error():
    image = make_image(9000)
    writer = SlotWriter(WornHeader(), make_release(image))
    run(writer.survey())
    writer.write(image)
    run(writer.prove())
    assert code_of(writer.seal) == "readback"


def test_every_wrong_block_is_in_doubt_where_another_image_was_cut():
    image = make_image(200000)
    slot = RamSlot(256 * 1024)
    for start in range(0, len(image) - 4096, 65536):
        slot.data[start + 4096 : start + 5000] = image[start + 4096 : start + 5000]
    slot.data[65536 * 2 : 65536 * 2 + 4096] = image[65536 * 2 : 65536 * 2 + 4096]
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey(b"", True))
    writer.write(image)
    assert ("erase", 65536 * 2, 4096) in slot.log


def in_doubt(slot, image):
    """Write the first block of an image whose writing was cut; what was erased."""
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey(image[:16], True))
    writer.write(image)
    return [at for kind, at, _ in slot.log if kind == "erase"]


def test_a_sector_in_doubt_is_erased_whatever_it_reads():
    image = make_image(9000)
    sectors = [0, 4096, 8192]
    assert in_doubt(RamSlot(), image) == sectors
    slot = RamSlot()
    slot.data[16 : len(image) - 1] = image[16:-1]
    assert in_doubt(slot, image) == sectors


def test_a_block_in_doubt_stays_so_where_its_bytes_come_again():
    image = make_image(9000)
    for again in (SlotWriter.rewind, lambda writer: writer.seek(0)):
        slot = RamSlot()
        slot.data[16 : len(image) - 1] = image[16:-1]
        writer = SlotWriter(slot, make_release(image))
        run(writer.survey(image[:16], True))
        assert code_of(writer.write, image[:-1] + b"?") == "digest-mismatch"
        again(writer)
        slot.log.clear()
        writer.write(image)
        assert [at for kind, at, _ in slot.log if kind == "erase"] == [0, 4096, 8192]


def test_at_most_16_kib_are_read_back_in_a_step():
    image = make_image(200000)
    slot = RamSlot(256 * 1024)
    slot.data[: len(image)] = image
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey())
    assert writer.wanted() is None
    first = before = slot.reads
    for _ in writer.prove():
        assert slot.reads - before <= 4
        before = slot.reads
    assert slot.reads - first >= len(image) // 4096


def test_bytes_behind_the_end_are_refused_not_dropped():
    image = make_image(9000)
    writer = SlotWriter(RamSlot(), make_release(image))
    run(writer.survey())
    assert code_of(writer.write, image + b"x") == "size-mismatch"
