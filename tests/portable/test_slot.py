"""The slot writer: any chunking, header last, nothing erased that is right, nothing half valid."""

from fakes import PowerCut, RamSlot, code_of, make_image, make_release, raises

from ota.slot import SECTOR, SlotWriter

IMAGE = make_image(70000)
RELEASE = make_release(IMAGE)


def write_all(slot, image=IMAGE, release=RELEASE, chunk=4096, head=b"", interrupted=False):
    writer = SlotWriter(slot, release)
    if not writer.survey(head, interrupted):
        for at in range(0, len(image), chunk):
            writer.write(image[at : at + chunk])
    writer.prove()
    writer.seal()


def holds(slot, image=IMAGE):
    return bytes(slot.data[: len(image)]) == image


def test_any_chunking_gives_the_same_slot():
    wanted = None
    for chunk in (1, 2, 3, 7, 4095, 4096, 4097, 65536, len(IMAGE)):
        slot = RamSlot()
        write_all(slot, chunk=chunk)
        assert holds(slot), chunk
        wanted = wanted or slot.log
        assert slot.log == wanted, chunk


def test_the_last_sector_is_padded_and_nothing_behind_it_is_touched():
    slot = RamSlot(fill=b"\x00")
    write_all(slot)
    end = (len(IMAGE) + SECTOR - 1) // SECTOR * SECTOR
    assert slot.data[len(IMAGE) : end].count(b"\xff") == end - len(IMAGE)
    assert slot.data[end:].count(b"\x00") == len(slot.data) - end


def test_the_first_sixteen_bytes_are_programmed_last():
    slot = RamSlot(fill=b"\x00")
    write_all(slot)
    assert slot.log[-1] == ("program", 0, 16)
    assert slot.log[0] == ("erase", 0, SECTOR)
    assert slot.log[1] == ("program", 16, SECTOR - 16)


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

    writer = SlotWriter(slot, RELEASE, on_head)
    writer.survey()
    writer.write(IMAGE)
    assert told == [(IMAGE[:16], 0)]


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
    assert code_of(write_all, RamSlot(), IMAGE + b"\x00") == "size-mismatch"


def test_corrupt_data_is_noticed_at_the_end_of_its_block():
    bad = bytearray(IMAGE)
    bad[100] ^= 1
    writer = SlotWriter(RamSlot(), RELEASE)
    writer.survey()
    assert code_of(writer.write, bytes(bad[:65536])) == "digest-mismatch"


def test_flash_that_does_not_hold_what_was_written_is_noticed():
    slot = RamSlot()
    writer = SlotWriter(slot, RELEASE)
    writer.survey()
    writer.write(IMAGE)
    slot.data[5000] ^= 1
    assert code_of(writer.prove) == "readback"


def test_a_manifest_whose_digests_disagree_is_refused():
    lying = make_release(IMAGE)
    lying.sha256 = bytes(32)
    slot = RamSlot()
    assert code_of(write_all, slot, IMAGE, lying) == "digest-mismatch"
    assert slot.data[:16].count(b"\xff") == 16


def test_an_error_of_the_device_comes_through():
    raises(OSError, write_all, RamSlot(SECTOR * 4))


def test_after_a_cut_anywhere_there_is_no_half_image_and_the_next_attempt_succeeds():
    clean = RamSlot(fill=b"\x00")
    write_all(clean)
    for cut in range(len(clean.log)):
        slot = RamSlot(fill=b"\x00")
        slot.cut_after = cut
        raises(PowerCut, write_all, slot)
        last = cut == len(clean.log) - 1
        assert bytes(slot.data[:16]) != IMAGE[:16], cut
        slot.cut_after = None
        head = IMAGE[:16] if cut > 1 else b""
        write_all(slot, head=head, interrupted=True)
        assert holds(slot), cut
        assert not last or slot.erases() > 0


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
