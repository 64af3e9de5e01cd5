"""Running the program in a folder of its own, and reading what it wrote with independent means."""
import json
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

import numpy

GENOSSM = os.environ["GENOSSM"]
SOURCE = pathlib.Path(os.environ["GENOSSM_SOURCE_DIR"])
SHARED = pathlib.Path(os.environ.get("GENOSSM_SHARED_DATA", "/nonexistent"))
TINY = SOURCE / "data" / "tiny"


def sanitized():
    """Whether the program was built with AddressSanitizer, whose own memory grows with the work."""
    with open(GENOSSM, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        return program.find(b"__asan_init") >= 0


def have_shared():
    return (SHARED / "genomes").is_dir()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="genossm-test-"))

    def tearDown(self):
        subprocess.run(["chmod", "-R", "u+w", str(self.folder)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run_genossm(self, *words, stdin=None, env=None):
        return subprocess.run(
            [GENOSSM, *map(str, words)], cwd=self.folder, input=stdin, capture_output=True,
            timeout=1500, env={**os.environ, **(env or {})})

    def good(self, *words, **more):
        done = self.run_genossm(*words, **more)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stderr.decode(errors='replace')}")
        return done

    def refused(self, code, *words, says=(), leaves_nothing=True, **more):
        """The command must end with `code` and one line that holds the words of `says`."""
        before = sorted(self.folder.rglob("*"))
        done = self.run_genossm(*words, **more)
        text = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, f"{words}: {text}")
        lines = [line for line in text.splitlines() if ": error: " in line]
        self.assertEqual(len(lines), 1, text)
        self.assertTrue(lines[0].startswith("genossm"), text)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, lines[0])
        if leaves_nothing:
            self.assertEqual(before, sorted(self.folder.rglob("*")), "something was left behind")
        return lines[0]

    def path(self, name):
        return self.folder / name

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path


def read_safetensors(path):
    """{name: array} of a .safetensors file, by the format's definition."""
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin : 8 + size + end]
        if entry["dtype"] == "BF16":
            wide = numpy.frombuffer(raw, "<u2").astype("<u4") << 16
            out[name] = wide.view("<f4").reshape(entry["shape"])
        elif entry["dtype"] in kinds:
            out[name] = numpy.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"])
    return out


def write_safetensors(path, tensors):
    """Float32 arrays by name."""
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + 4 * values.size]}
        at += 4 * values.size
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            out.write(numpy.ascontiguousarray(values, "<f4").tobytes())


def read_fasta(text):
    """{name: bases} of FASTA text."""
    out, name = {}, None
    for line in text.splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            out[name] = []
        elif name is not None:
            out[name].append(line.strip())
    return {name: "".join(parts) for name, parts in out.items()}


def reverse_complement(bases):
    return bases.translate(str.maketrans("ACGTacgtNn", "TGCAtgcaNn"))[::-1]


def main():
    unittest.main()
