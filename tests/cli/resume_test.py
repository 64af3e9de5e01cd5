"""Runs that are killed, stopped, starved of space, shared out: the bytes are those of one quiet run.

GENOSSM_KILLS: how many SIGKILLs each kind of output must survive [6].
"""
import ctypes
import gzip
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

from genossm_cli import GENOSSM, TINY, Case, main

KILLS = int(os.environ.get("GENOSSM_KILLS", "6"))
GENOME = TINY / "genomes.fa.gz"
# Every wave of work is made safe at once, so that each run comes a little further.
OFTEN = ("--save-every", "0", "--progress", "none", "-@", "1")


def digest(path):
    """Of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    sha = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        sha.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


class Resume(Case):
    def start(self, *words, **more):
        return subprocess.Popen([GENOSSM, *map(str, words)], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **more)

    def left(self, name):
        """What stands in the folder beside the output, hidden things included."""
        keep = {name, name.replace(".npy", ".names.tsv"), name + ".csi"}
        return sorted(p.name for p in self.folder.iterdir()
                      if name.split(".")[0] in p.name and p.name not in keep)

    def kill_often(self, name, *words):
        """KILLS times: start, SIGKILL at a random moment, start again; at the end the same bytes."""
        ref = "ref." + name.split(".", 1)[1]
        begin = time.monotonic()
        self.good(*words, "-o", ref, "--resume", "never", "--progress", "none", "-@", "1")
        whole = time.monotonic() - begin
        expected = digest(self.path(ref))
        chance = random.Random(name)
        kills = rounds = resumed = 0
        journal = self.path(name + ".genossm-journal")

        # Killed between its name and the end of its journal an output is complete, and the run is not.
        def complete():
            return self.path(name).exists() and not journal.exists()

        while kills < KILLS or not complete():
            rounds += 1
            self.assertLess(rounds, 40 * KILLS + 100, "the run never ends")
            if complete():
                self.assertEqual(digest(self.path(name)), expected)
                self.assertEqual(self.left(name), [])
                remove(self.path(name))
                for more in (name.replace(".npy", ".names.tsv"), name + ".csi"):
                    self.path(more).unlink(missing_ok=True)
            resumed += journal.exists()
            run = self.start(*words, "-o", name, *OFTEN)
            try:
                # Short first, longer where nothing moves: the machine may be busy.
                run.wait(chance.uniform(0, whole * (0.5 + rounds / 40)))
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                kills += 1
            _, said = run.communicate()
            self.assertIn(run.returncode, (0, -signal.SIGKILL), said.decode())
        self.assertEqual(digest(self.path(name)), expected)
        self.assertEqual(self.left(name), [])
        return resumed

    def region(self, bases, contig="yeast_XVI_669133_734668"):
        return ("-f", GENOME, "-r", f"{contig}:1-{bases}")

    def test_kill_npy(self):
        # Windows of a two-way model, and records of another contig after it.
        resumed = self.kill_often("bins.npy", "embed", "-f", GENOME, "-r",
                                  "lambda:1-5000,phix174:11-3000", "--window", 1024, "--pool", "bins:100")
        self.assertGreater(resumed, 0)

    def test_kill_records(self):
        self.kill_often("reads.npz", "embed", TINY / "human_reads.bam", "--layer", "1", "--pool", "mean+max")

    def test_kill_zarr(self):
        self.kill_often("bases.zarr", "embed", *self.region(1500), "--window", 512, "--layer", "1",
                        "--pool", "none", "--dtype", "f16")

    def test_kill_h5(self):
        self.kill_often("state.h5", "embed", "-m", "genossm-mini-causal", *self.region(30000),
                        "--pool", "bins:64")

    def test_kill_tsv(self):
        # One window that carries its state through 40,000 bases.
        resumed = self.kill_often("track.tsv", "score", *self.region(40000), "--track", "logp,entropy")
        self.assertGreater(resumed, 0)

    def test_kill_big_wig(self):
        self.kill_often("track.bw", "score", *self.region(40000))

    def test_kill_both_strands(self):
        # Inside a record, where the windows of both strands have come back.
        words = ("score", *self.region(20000), "--window", 2000, "--strand", "avg", "--track", "logp,entropy")
        resumed = self.kill_often("both.tsv", *words)
        self.assertGreater(resumed, 0)
        self.interrupted(*words, "--chunk", 100, out="o.tsv")
        done = self.good(*words, "-o", "o.tsv", "--resume", "require", "--summary", "s.json")
        self.assertLess(json.loads(self.path("s.json").read_text())["windows"], 2 * 11, done.stderr)
        self.assertEqual(digest(self.path("o.tsv")), digest(self.path("both.tsv")))

    def test_kill_vcf(self):
        self.kill_often("effects.vcf.gz", "variants", TINY / "human_reads.vcf.gz", "-f",
                        TINY / "human_reads.ref.fa", "--window", 256, "-W")

    def test_signals_end_with_work_kept(self):
        words = ("score", *self.region(60000), "--chunk", 64)
        self.good(*words, "-o", "ref.tsv.gz")
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            run = self.start(*words, "-o", "out.tsv.gz", "--progress", "none")
            time.sleep(1.5)
            run.send_signal(number)
            _, said = run.communicate(timeout=600)
            if run.returncode == 0:
                self.skipTest("skipped: this machine was done before the signal")
            self.assertEqual(run.returncode, code, said)
            self.assertEqual(said.decode().count(": error: "), 1)
            self.assertIn(b"the same command goes on", said)
            self.assertTrue(self.path("out.tsv.gz.genossm-journal").exists())
            self.assertFalse(self.path("out.tsv.gz").exists())
        self.good(*words, "-o", "out.tsv.gz", "--resume", "require")
        self.assertEqual(digest(self.path("out.tsv.gz")), digest(self.path("ref.tsv.gz")))
        self.assertEqual(self.left("out.tsv.gz"), [])

    def test_killed_once_and_told_so(self):
        for out, words in (("v.npy", ("embed", *self.region(12000), "--window", 512, "--pool", "bins:64")),
                           ("t.tsv", ("score", *self.region(40000))),
                           ("e.vcf", ("variants", self.many_variants(), "-f", GENOME, "--window", 512))):
            with self.subTest(words[0]):
                self.interrupted(*words, out=out)
                done = self.good(*words, "-o", out, "--resume", "require", "--summary", "s.json")
                told = json.loads(self.path("s.json").read_text())
                unit = "base" if "bases" in told else "allele"
                total, found = told[unit + "s"], told[unit + "s_found_finished"]
                self.assertTrue(0 < found < total, told)
                rate, seconds = told[unit + "s_per_second"], told["seconds"]
                self.assertAlmostEqual(rate * seconds / (total - found), 1, delta=0.01)
                self.assertIn(f"({found:,} found finished)".encode(), done.stderr)
                self.good(*words, "-o", "ref." + out, "--resume", "never")
                self.assertEqual(digest(self.path(out)), digest(self.path("ref." + out)))

    def many_variants(self):
        """More than two blocks of alleles, so that a run can be killed between them."""
        self.good("score", "-f", GENOME, "-r", "lambda:2001-2300", "-o", "bases.tsv")
        rows = [r.split("\t") for r in self.path("bases.tsv").read_text().splitlines() if not r.startswith("#")]
        lines = [f"{contig}\t{pos}\t.\t{base}\t{'A' if base != 'A' else 'C'}\t.\t.\t." for contig, pos, base, *_ in rows]
        self.write("many.vcf", "##fileformat=VCFv4.2\n##contig=<ID=lambda>\n"
                               "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines) + "\n")
        return "many.vcf"

    def interrupted(self, *words, out):
        """A run that was killed after it had kept something."""
        run = self.start(*words, "-o", out, *OFTEN)
        end = time.monotonic() + 300
        journal = self.path(out + ".genossm-journal")
        while time.monotonic() < end and run.poll() is None:
            # A second segment has begun: the first one is whole.
            if journal.exists() and journal.read_bytes().count(b"SEG1") > 1:
                break
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        self.assertTrue(journal.exists(), "the run ended before it was killed")

    def test_another_job_is_refused(self):
        self.write("in.fa", ">a\n" + "ACGTTGCA" * 400 + "\n>b\n" + "GATTACAC" * 400 + "\n")
        words = ("embed", "in.fa", "--window", "256", "--pool", "bins:10", "--layer", "1")
        self.interrupted(*words, out="out.npy")
        before = digest(self.path("out.npy.genossm-journal"))

        def refused(says, *change):
            # What the killed run left half-written goes; the journal stays.
            self.refused(3, *change, "-o", "out.npy", says=["unfinished run", *says], leaves_nothing=False)
            self.assertEqual(digest(self.path("out.npy.genossm-journal")), before)

        refused(['window was 256, is 300'], "embed", "in.fa", "--window", "300", "--pool", "bins:10",
                "--layer", "1")
        refused(["model", "genossm-mini-causal"], *words, "-m", "genossm-mini-causal")
        refused(["precision"], *words, "--precision", "bf16")
        self.write("in.fa", ">a\n" + "ACGTTGCA" * 400 + "\n>b\n" + "GATTACAT" * 400 + "\n")
        refused(["sha256 of the input was"], *words)
        # Threads and chunks change no byte: the run goes on.
        self.write("in.fa", ">a\n" + "ACGTTGCA" * 400 + "\n>b\n" + "GATTACAC" * 400 + "\n")
        self.good(*words, "-o", "out.npy", "--resume", "require", "-@", "2", "--chunk", "128")
        self.good(*words, "-o", "ref.npy")
        self.assertEqual(digest(self.path("out.npy")), digest(self.path("ref.npy")))

    def test_killed_between_two_names(self):
        """An output that has its name while its index, or its journal, is not done yet is our own."""
        words = ("score", *self.region(20000))
        self.good(*words, "-o", "ref.tsv")
        self.interrupted(*words, out="out.tsv")
        self.write("out.tsv", "what stood there")
        self.good(*words, "-o", "out.tsv")
        self.assertEqual(digest(self.path("out.tsv")), digest(self.path("ref.tsv")))
        self.assertEqual(self.left("out.tsv"), [])

    def test_resume_options(self):
        words = ("score", *self.region(20000))
        self.refused(4, *words, "-o", "out.tsv", "--resume", "require", says="no unfinished run")
        self.refused(2, *words, "--resume", "require", says="stream")
        self.refused(2, *words, "-o", "out.tsv", "--resume", "maybe", says="none of auto, never, require")
        self.interrupted(*words, out="out.tsv")
        self.good(*words, "-o", "out.tsv", "--resume", "never")
        self.assertEqual(self.left("out.tsv"), [])
        self.refused(5, *words, "-o", "out.tsv", says="exists already")

    def test_torn_and_foreign_journals(self):
        words = ("score", *self.region(20000))
        self.good(*words, "-o", "ref.tsv")
        self.interrupted(*words, out="out.tsv")
        journal = self.path("out.tsv.genossm-journal")
        whole = journal.read_bytes()
        for cut in (5, 40, len(whole) - 1, len(whole) // 2):
            journal.write_bytes(whole[:cut])
            self.good(*words, "-o", "out.tsv")
            self.assertEqual(digest(self.path("out.tsv")), digest(self.path("ref.tsv")))
            self.path("out.tsv").unlink()
        # A flipped bit ends what is believed.
        broken = bytearray(whole)
        broken[len(whole) * 3 // 4] ^= 1
        journal.write_bytes(broken)
        self.good(*words, "-o", "out.tsv")
        self.assertEqual(digest(self.path("out.tsv")), digest(self.path("ref.tsv")))
        self.path("out.tsv").unlink()
        journal.write_bytes(b"my own notes, of some length or other")
        self.refused(3, *words, "-o", "out.tsv", says="is no journal")
        self.assertTrue(journal.exists())

    def test_two_writers(self):
        words = ("score", *self.region(60000), "--chunk", 64)
        for out in (("-o", "out.bw"), ("--logo-hub", "hub")):
            run = self.start(*words, *out, "--progress", "none")
            part = self.path(f".{out[1]}.genossm-part")
            end = time.monotonic() + 120
            while not part.exists() and time.monotonic() < end:
                time.sleep(0.01)
            self.refused(5, *words, *out, says="another process is writing it", leaves_nothing=False)
            self.assertIsNone(run.poll(), "the first one was not disturbed")
            run.kill()
            run.communicate()
        run = self.start(*words, "-o", "out.tsv", "--shard", "1/2", *OFTEN)
        while not self.path("out.tsv.shard-1-of-2.genossm-journal").exists():
            time.sleep(0.01)
        self.refused(5, *words, "-o", "out.tsv", "--shard", "1/2", says="another process",
                     leaves_nothing=False)
        run.kill()
        run.communicate()

    def test_read_only_folder(self):
        folder = self.path("closed")
        folder.mkdir()
        words = ("score", *self.region(2000), "-o", "closed/out.tsv")
        if os.geteuid() != 0:
            folder.chmod(0o555)
            self.refused(5, *words, says="closed")
            return
        # Root may write everywhere but where the file system says no.
        libc = ctypes.CDLL(None, use_errno=True)
        read_only, bind, remount = 1, 4096, 32
        if libc.mount(str(folder).encode(), str(folder).encode(), None, bind, None) != 0:
            self.skipTest("skipped: nothing can be mounted here")
        try:
            self.assertEqual(libc.mount(b"none", str(folder).encode(), None, bind | remount | read_only, None), 0)
            self.refused(5, *words, says=["closed", "Read-only"])
            self.refused(5, *words, "--shard", "1/2", says=["closed", "Read-only"])
        finally:
            libc.umount(str(folder).encode())

    def test_disk_full(self):
        """A small file system: the run ends with 5, and goes on when there is room."""
        disk = self.path("disk")
        disk.mkdir()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"none", str(disk).encode(), b"tmpfs", 0, b"size=16m") != 0:
            self.skipTest("skipped: nothing can be mounted here")
        try:
            for suffix, words in (
                ("tsv", ("score", *self.region(16000))),
                ("bw", ("score", *self.region(16000))),
                ("h5", ("embed", *self.region(1200), "--pool", "none", "--layer", "0")),
                ("zarr", ("embed", *self.region(1200), "--pool", "none", "--layer", "0")),
                ("npy", ("embed", *self.region(1200), "--pool", "none", "--layer", "0")),
            ):
                self.good(*words, "-o", f"ref.{suffix}")
                # Too little for the journal, and too little for the output beside it.
                for room in (20_000, 700_000 if suffix in ("tsv", "bw") else 1_600_000):
                    with self.subTest(suffix=suffix, room=room):
                        filler = disk / "filler"
                        try:
                            with open(filler, "wb", buffering=0) as file:
                                while True:
                                    file.write(b"x" * 4096)
                        except OSError:
                            os.truncate(filler, filler.stat().st_size - room)
                        done = self.run_genossm(*words, "-o", f"disk/out.{suffix}", *OFTEN)
                        said = done.stderr.decode()
                        if done.returncode != 0 or room < 100_000:
                            self.assertEqual(done.returncode, 5, said)
                            self.assertEqual(len(said.strip().splitlines()), 1, said)
                            self.assertIn("No space left", said)
                            self.assertFalse((disk / f"out.{suffix}").exists())
                            filler.unlink()
                            self.good(*words, "-o", f"disk/out.{suffix}", *OFTEN)
                        self.assertEqual(digest(disk / f"out.{suffix}"), digest(self.path(f"ref.{suffix}")))
                        for file in list(disk.iterdir()):
                            remove(file)
        finally:
            libc.umount(str(disk).encode())

    def test_file_may_not_grow(self):
        """The same for everybody: a limit on the size of files."""
        words = ("score", *self.region(24000), "--track", "logp,entropy,info", "-o", "out.tsv", *OFTEN)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

        run = self.start(*words, preexec_fn=limit)
        _, said = run.communicate(timeout=600)
        self.assertEqual(run.returncode, 5, said)
        self.assertEqual(len(said.decode().strip().splitlines()), 1, said)
        self.assertIn(b"What was finished is kept", said)
        kept = self.path("out.tsv.genossm-journal").stat().st_size
        self.assertGreater(kept, 2000)
        self.good(*words, "--resume", "require")
        self.good("score", *self.region(24000), "--track", "logp,entropy,info", "-o", "ref.tsv")
        self.assertEqual(digest(self.path("out.tsv")), digest(self.path("ref.tsv")))


class Shards(Case):
    def shards(self, n, name, *words, numbers=None):
        ref = f"ref-of-{name}"
        self.good(*words, "-o", ref)
        for i in numbers or range(1, n + 1):
            self.good(*words, "-o", name, "--shard", f"{i}/{n}", "--progress", "none")
        self.good("merge", "-o", name, "--remove")
        self.assertEqual(digest(self.path(name)), digest(self.path(ref)))
        self.assertEqual([p.name for p in self.folder.iterdir() if "shard" in p.name], [])

    def test_bins(self):
        where = ("-f", GENOME, "-r", "lambda:1-5000,phix174:11-3000,phix174:1-1")
        for name in ("a.npy", "a.h5ad", "a.zarr", "a.npz", "a.tsv.gz", "a.safetensors"):
            with self.subTest(name):
                self.shards(3, name, "embed", *where, "--layer", "1", "--window", "512", "--pool", "bins:100")

    def test_records(self):
        self.write("in.fa", ">e\n\n>a\n" + "ACGTTGCA" * 40 + "\n>n\n\n>b\nGAT\n>c\n" + "TTACCA" * 30 + "\n>z\n\n")
        for n in (1, 2, 5, 9):
            self.shards(n, "a.npz", "embed", "in.fa", "--layer", "1")
            self.path("ref-of-a.npz").unlink()
            self.path("a.npz").unlink()
        self.shards(3, "b.tsv", "score", "--per-record", "in.fa", numbers=[3, 1, 2])

    def test_tracks(self):
        where = ("-f", GENOME, "-r", "lambda:1-5000,phix174:11-3000", "--window", "700")
        for name in ("a.bw", "a.bedgraph.gz", "a.npz", "a.tsv"):
            with self.subTest(name):
                self.shards(3, name, "score", *where)
        self.shards(3, "s.tsv", "score", *where, "--strand", "avg")
        self.shards(3, "m.bedgraph", "score", "--masked", "-m", "genossm-mini-ps", "-f", GENOME, "-r",
                    "lambda:1-40,phix174:1-7", "--window", "16")

    def test_bases(self):
        self.shards(4, "a.npy", "embed", "-f", GENOME, "-r", "lambda:1-3000,phix174", "--window", "512",
                    "--layer", "1", "--pool", "none")

    # 2,304 columns: a chunk of a Zarr store has 455 rows.
    WIDE = ("--layer", "0,1,2,3,4,5,6,7,8", "--window", "512")

    def store(self, name):
        """The folder of the parts' chunks, and the names of what is in it."""
        (folder,) = self.folder.glob(name + ".shards-*")
        return folder, sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    def test_zarr_chunks(self):
        """Parts write whole chunks into one store, each its own; merge adds what lies across borders."""
        words = ("embed", "-f", GENOME, "-r", "lambda:1-2500,phix174:1-300", *self.WIDE, "--pool", "none")
        self.good(*words, "-o", "ref.zarr")
        rows = 455
        whole = [f"embeddings/{k}.0" for k in range(2800 // rows + 1)]
        written = set()
        for i in (2, 3, 1):
            self.good(*words, "-o", "o.zarr", "--shard", f"{i}/3", "--progress", "none")
            folder, files = self.store("o.zarr")
            now = set(files) - written
            self.assertGreaterEqual(len(now), 1)
            written |= now
            # Labels and the two ends: no more than two chunks without their compression.
            self.assertLess(self.path(f"o.zarr.shard-{i}-of-3").stat().st_size, 2 * rows * 2304 * 4 + 20000)
        self.assertFalse(self.path("o.zarr").exists())
        self.assertLess(written, set(whole))
        self.assertGreaterEqual(len(written), len(whole) - 3)
        for name in written:
            self.assertEqual((folder / name).read_bytes(), self.path(f"ref.zarr/{name}").read_bytes())

        # Nothing is believed that is not as the part left it.
        first = folder / min(written)
        good = first.read_bytes()
        first.unlink()
        self.refused(4, "merge", "-o", "o.zarr", says=["is missing", first.name])
        for bad in (good[:-1], good[:-1] + bytes([good[-1] ^ 1]), good + b"x", b""):
            first.write_bytes(bad)
            self.refused(3, "merge", "-o", "o.zarr", says=["is damaged", first.name])
        first.write_bytes(good)
        self.good("merge", "-o", "o.zarr")
        self.assertEqual(digest(self.path("o.zarr")), digest(self.path("ref.zarr")))
        # A part that is made again leaves the store that stands alone.
        for i in (1, 2, 3):
            self.good(*words, "-o", "o.zarr", "--shard", f"{i}/3", "--force", "--progress", "none")
        self.assertEqual(digest(self.path("o.zarr")), digest(self.path("ref.zarr")))
        self.good("merge", "-o", "o.zarr", "--force", "--remove")
        self.assertEqual(digest(self.path("o.zarr")), digest(self.path("ref.zarr")))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["o.zarr", "ref.zarr"])

    def test_zarr_of_more_kinds(self):
        """Rows are counted in the same way whatever makes them: bases, bins, records; empty ones too."""
        self.write("in.fa", "".join(f">r{i}\n{'ACGTTGCA' * (i % 5)}\n" for i in range(1300)))
        for name, n, words in (
            ("r.zarr", 2, ("in.fa", *self.WIDE, "--pool", "mean", "--dtype", "f16")),
            ("b.zarr", 4, ("-f", GENOME, "-r", "lambda:1-2500,phix174:1-300", *self.WIDE, "--pool", "bins:2")),
            ("e.zarr", 3, ("in.fa", *self.WIDE, "--pool", "none", "--dtype", "f16")),
        ):
            with self.subTest(name):
                self.shards(n, name, "embed", *words)

    def test_zarr_parts_are_killed(self):
        words = ("embed", "-f", GENOME, "-r", "lambda:1-2500,phix174:1-300", *self.WIDE, "--pool", "none")
        begin = time.monotonic()
        self.good(*words, "-o", "ref.zarr", "-@", "1")
        whole = time.monotonic() - begin
        chance = random.Random("zarr parts")
        kills = rounds = 0
        while True:
            rounds += 1
            self.assertLess(rounds, 40 * KILLS + 100, "the parts never end")
            open_parts = [i for i in (1, 2) if not self.path(f"o.zarr.shard-{i}-of-2").exists()
                          or self.path(f"o.zarr.shard-{i}-of-2.genossm-journal").exists()]
            if not open_parts:
                self.good("merge", "-o", "o.zarr", "--remove")
                self.assertEqual(digest(self.path("o.zarr")), digest(self.path("ref.zarr")))
                self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["o.zarr", "ref.zarr"])
                if kills >= KILLS:
                    break
                remove(self.path("o.zarr"))
                continue
            # Both at once, killed at the same moment.
            runs = [subprocess.Popen([GENOSSM, *map(str, words), "-o", "o.zarr", "--shard", f"{i}/2", *OFTEN],
                                     cwd=self.folder, stderr=subprocess.PIPE) for i in open_parts]
            time.sleep(chance.uniform(0, whole * (0.5 + rounds / 40)))
            for run in runs:
                run.kill()
                kills += run.wait() == -signal.SIGKILL
                self.assertIn(run.returncode, (0, -signal.SIGKILL), run.stderr.read().decode())
                run.stderr.close()

    def test_variants(self):
        plain = (TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa")
        human = (*plain, "--window", "128")
        self.good("variants", *human, "-o", "in.bcf", "--no-version")
        self.write("in.tsv", "chrom\tpos\tref\talt\n" + "".join(
            f"{line.split()[0]}\t{line.split()[1]}\t{line.split()[3]}\t{line.split()[4]}\n"
            for line in gzip.decompress((TINY / "human_reads.vcf.gz").read_bytes()).decode().splitlines()
            if not line.startswith("#")))
        from_bcf = ("in.bcf", *human[1:])
        from_table = ("in.tsv", *human[1:])
        for name, n, words in (
            ("a.vcf", 3, human), ("b.vcf.gz", 4, (*human, "-W=tbi")), ("c.bcf", 2, (*human, "-W")),
            ("d.tsv", 5, human), ("e.tsv.gz", 2, from_table), ("f.vcf", 3, from_bcf), ("g.bcf", 3, from_bcf),
            ("h.vcf.gz", 2, from_table), ("i.npz", 3, (*human, "--score", "embdist")),
            # Neighbours share what they compute; across a border they do not.
            ("j.bcf", 20, (*plain, "--score", "next")), ("k.vcf", 4, (*human, "--score", "llr")),
        ):
            with self.subTest(name):
                self.shards(n, name, "variants", *words, numbers=random.Random(name).sample(range(1, n + 1), n))
                for index in self.folder.glob(name + ".?[bs]i"):
                    self.assertEqual(digest(index), digest(self.path("ref-of-" + index.name)))

    def test_variants_that_moved(self):
        shutil.copy(TINY / "human_reads.vcf.gz", self.path("in.vcf.gz"))
        words = ("variants", "in.vcf.gz", "-f", TINY / "human_reads.ref.fa", "--window", "64")
        self.good(*words, "-o", "ref.vcf")
        self.refused(2, *words, "-o", "o.vcf", "-W", "--shard", "1/2", says="cannot be indexed")
        self.refused(2, *words, "--shard", "1/2", says="stream")
        self.good(*words, "-o", "o.vcf", "--shard", "1/2")
        self.refused(4, "merge", "-o", "o.vcf", says="part 2 of 2 is missing")
        self.good(*words, "-o", "o.vcf", "--shard", "2/2", "--score", "embdist")
        self.refused(3, "merge", "-o", "o.vcf", says="another job")
        self.good(*words, "-o", "o.vcf", "--shard", "2/2", "--force")
        self.path("in.vcf.gz").rename(self.path("elsewhere.vcf.gz"))
        self.refused(4, "merge", "-o", "o.vcf", says=["in.vcf.gz", "--input"])
        self.refused(3, "merge", "-o", "o.vcf", "--input", TINY / "human_reads.ref.fa", says="SHA-256")
        self.good("merge", "-o", "o.vcf", "--input", "elsewhere.vcf.gz")
        self.assertEqual(digest(self.path("o.vcf")), digest(self.path("ref.vcf")))

    def test_shard_is_resumed(self):
        words = ("score", "-f", GENOME, "-r", "yeast_XVI_669133_734668:1-20000,phix174", "--window", "2000")
        self.good(*words, "-o", "ref.tsv")
        run = subprocess.Popen([GENOSSM, *map(str, words), "-o", "o.tsv", "--shard", "1/2", *OFTEN],
                               cwd=self.folder, stderr=subprocess.PIPE)
        time.sleep(1)
        run.kill()
        run.communicate()
        for i in (1, 2):
            self.good(*words, "-o", "o.tsv", "--shard", f"{i}/2")
        self.good("merge", "-o", "o.tsv")
        self.assertEqual(digest(self.path("o.tsv")), digest(self.path("ref.tsv")))

    def test_slurm(self):
        self.write("in.fa", ">a\nACGTTGCA\n>b\nGATTACA\n>c\nACCA\n")
        words = ("embed", "in.fa", "--layer", "0", "-o", "o.npy")
        self.good(*words[:-1], "ref.npy")
        for task in ("0", "1", "2"):
            self.good(*words, "--shard", "slurm", env={"SLURM_ARRAY_TASK_ID": task,
                      "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "3"})
        self.good("merge", "-o", "o.npy")
        self.assertEqual(digest(self.path("o.npy")), digest(self.path("ref.npy")))
        self.refused(2, *words, "--shard", "slurm", says="no task of a Slurm array")

    def test_refusals(self):
        self.write("in.fa", ">a\nACGTTGCA\n>b\nGATTACA\n>c\nACCA\n")
        words = ("embed", "in.fa", "--layer", "0", "-o", "o.npy")
        for shard in ("0/3", "4/3", "1", "a/b", "1/0", "-1/3"):
            self.refused(2, *words, "--shard=" + shard, says="--shard")
        self.refused(2, *words[:-2], "--shard", "1/2", says="stream")
        self.refused(4, "merge", "-o", "o.npy", says="no parts")
        for i in (1, 3):
            self.good(*words, "--shard", f"{i}/3")
        self.refused(5, *words, "--shard", "1/3", says="exists already")
        self.refused(4, "merge", "-o", "o.npy", says="part 2 of 3 is missing")
        self.good("embed", "in.fa", "--layer", "0", "--pool", "max", "-o", "o.npy", "--shard", "2/3")
        self.refused(3, "merge", "-o", "o.npy", says=["another job", "pool was", "max"])
        self.path("o.npy.shard-2-of-3").unlink()
        self.good(*words, "--shard", "2/3")
        parts = [f"o.npy.shard-{i}-of-3" for i in (2, 1, 3)]
        self.refused(3, "merge", "-o", "o.npy", *parts, parts[0], says="so is")
        self.refused(2, "merge", "-o", "o.npz", *parts, says="npz")
        data = self.path(parts[0]).read_bytes()
        self.path(parts[0]).write_bytes(data[:-3])
        self.refused(3, "merge", "-o", "o.npy", says="damaged")
        self.path(parts[0]).write_bytes(data)
        self.good("merge", "-o", "o.npy", *parts)
        self.refused(5, "merge", "-o", "o.npy", *parts, says="exists already")
        self.refused(3, "merge", "-o", "p.npy", "in.fa", says="no part of a job")


if __name__ == "__main__":
    main()
