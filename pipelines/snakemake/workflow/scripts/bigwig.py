"""What a bigWig says of itself: its totals, and an overview from its zoom levels. Python's standard library only."""
import struct
import zlib


def blocks(file, offset):
    """(place, size) of every data block below the R tree at `offset`, in order."""
    file.seek(offset)
    leaf, _, count = struct.unpack("<BBH", file.read(4))
    if leaf:
        entries = [struct.unpack("<4I2Q", file.read(32)) for _ in range(count)]
        return [(entry[4], entry[5]) for entry in entries]
    entries = [struct.unpack("<4IQ", file.read(24)) for _ in range(count)]
    return [block for entry in entries for block in blocks(file, entry[4])]


def names(file, offset):
    """{number: name} of the contigs in the B+ tree at `offset`."""
    file.seek(offset)
    _, _, key, _, _, _ = struct.unpack("<4I2Q", file.read(32))
    found, waiting = {}, [offset + 32]
    while waiting:
        file.seek(waiting.pop())
        leaf, _, count = struct.unpack("<BBH", file.read(4))
        for _ in range(count):
            name = file.read(key).rstrip(b"\0").decode()
            if leaf:
                number, _ = struct.unpack("<II", file.read(8))
                found[number] = name
            else:
                waiting.append(struct.unpack("<Q", file.read(8))[0])
    return found


def header(file, path):
    """(zoom levels, place of the contigs, place of the totals, whether blocks are packed)"""
    magic, _, levels, contigs, _, _, _, _, _, totals, packed, _ = struct.unpack("<IHHQQQHHQQIQ", file.read(64))
    if magic != 0x888FFC26:
        raise ValueError(f"{path}: not a bigWig of this machine's byte order")
    return levels, contigs, totals, packed


def totals(path):
    """(bases with a value, their mean)"""
    with open(path, "rb") as file:
        _, _, place, _ = header(file, path)
        file.seek(place)
        bases, _, _, total, _ = struct.unpack("<Q4d", file.read(40))
        return bases, total / bases if bases else 0.0


def records(file, place, packed, name):
    """The rows of the zoom level whose index stands at `place`."""
    rows = []
    # 48 bytes of the index's own header come before its first node.
    for at, size in blocks(file, place + 48):
        file.seek(at)
        data = file.read(size)
        if packed:
            data = zlib.decompress(data)
        for number, begin, end, valid, low, high, total, _ in struct.iter_unpack("<4I4f", data):
            # libBigWig 0.4 leaves the sum of the last stretch 0.
            if valid and low <= total / valid <= high:
                rows.append((name[number], begin, end, low, total / valid, high))
    return rows


def overview(path, wanted=200):
    """[(contig, begin, end, lowest, mean, highest), ...] of the coarsest zoom level that has so many, or of the
    finest; [] where there is none."""
    with open(path, "rb") as file:
        levels, contigs, _, packed = header(file, path)
        zooms = sorted(struct.unpack("<2I2Q", file.read(24)) for _ in range(levels))
        name = names(file, contigs)
        rows = []
        for _, _, _, place in reversed(zooms):
            rows = records(file, place, packed, name)
            if len(rows) >= wanted:
                break
        return rows
