"""Tracks and matrices of contigs, read by programs that know nothing of genossm: numpy, h5py, anndata, zarr,
pyBigWig, samtools."""
import gzip
import importlib
import json
import shutil
import subprocess
import unittest
import warnings

import numpy

from genossm_cli import SHARED, TINY, Case, have_shared, main, sanitized

GENOME = TINY / "genomes.fa.gz"
QUICK = ("--layer", "1", "--window", "512")


def module(name):
    """The module, or the test is skipped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        raise unittest.SkipTest(f"skipped: no {name} (Debian: python3-{name.lower()})") from None


class Bins(Case):
    def test_bins_are_means_of_bases(self):
        where = ("-f", GENOME, "-r", "lambda:101-1350,phix174:1-200", *QUICK)
        self.good("embed", *where, "--pool", "none", "-o", "bases.npz")
        self.good("embed", *where, "--pool", "bins:128", "-o", "bins.npz")
        bases, bins = numpy.load(self.path("bases.npz")), numpy.load(self.path("bins.npz"))
        expected, places = [], []
        for r, (contig, begin) in enumerate((("lambda", 100), ("phix174", 0))):
            rows = bases["embeddings"][bases["offsets"][r] : bases["offsets"][r + 1]].astype("f8")
            for at in range(0, len(rows), 128):
                expected.append(rows[at : at + 128].mean(0))
                places.append((contig, begin + at, begin + min(at + 128, len(rows))))
        self.assertEqual(list(zip(bins["contigs"], bins["starts"], bins["ends"])), places)
        self.assertEqual(bins["names"][1], "lambda:229-356")
        self.assertLess(abs(bins["embeddings"] - expected).max(), 1e-6)

    def test_same_bytes_however_the_work_is_cut(self):
        for model in ("genossm-mini-ps", "genossm-mini-causal"):
            words = ("embed", "-m", model, "-f", GENOME, "-r", "lambda:1-9000", "--layer", "1", "--pool", "bins:100")
            self.good(*words, "-o", "a.npy", "-@", "1")
            self.good(*words, "-o", "b.npy", "-@", "2", "--chunk", "192", "--save-every", "0")
            self.good(*words, "-o", "c.npy", "-@", "2", "--resume", "never")
            for other in "bc":
                self.assertEqual(self.path("a.npy").read_bytes(), self.path(f"{other}.npy").read_bytes())
                self.assertEqual(self.path("a.names.tsv").read_bytes(), self.path(f"{other}.names.tsv").read_bytes())
                self.path(f"{other}.npy").unlink()
                self.path(f"{other}.names.tsv").unlink()
            self.path("a.npy").unlink()
            self.path("a.names.tsv").unlink()

    def test_files_without_regions(self):
        self.write("in.fa", ">a\n" + "ACGTTGCA" * 30 + "\n>e\n\n>b\nGATTACA\n")
        self.good("embed", "in.fa", *QUICK, "--pool", "bins:100", "-o", "o.npz")
        got = numpy.load(self.path("o.npz"))
        self.assertEqual(got["names"].tolist(), ["a:1-100", "a:101-200", "a:201-240", "b:1-7"])
        self.assertEqual(got["contigs"].tolist(), ["a", "a", "a", "b"])

    def test_refusals(self):
        self.write("in.fa", ">a\nACGT\n")
        for pool in ("bins:", "bins:0", "bins:x", "bins:-1", "bins:10+max"):
            self.refused(2, "embed", "in.fa", "--pool", pool, "-o", "o.npy", says="bins:")


class Matrices(Case):
    words = ("embed", "-f", GENOME, "-r", "lambda:101-1350,phix174:1-200", *QUICK, "--pool", "bins:128")

    def plain(self, *more, words=None):
        self.good(*(words or self.words), *more, "-o", "plain.npz", "--force")
        return numpy.load(self.path("plain.npz"))

    def test_npy_is_mapped(self):
        plain = self.plain()
        self.good(*self.words, "-o", "o.npy")
        mapped = numpy.load(self.path("o.npy"), mmap_mode="r")
        self.assertIsInstance(mapped, numpy.memmap)
        self.assertTrue(numpy.array_equal(mapped, plain["embeddings"]))
        lines = self.path("o.names.tsv").read_text().splitlines()
        self.assertEqual([line.split("\t")[0] for line in lines[2:]], plain["names"].tolist())

    def test_h5(self):
        h5py = module("h5py")
        plain = self.plain()
        for dtype, exact in (("f32", 0), ("f16", 2e-3), ("bf16", 1e-2)):
            self.good(*self.words, "--dtype", dtype, "-o", f"{dtype}.h5")
            with h5py.File(self.path(f"{dtype}.h5")) as file:
                rows = file["embeddings"][:].astype("f4")
                self.assertEqual(file["embeddings"].id.get_type().get_size(), 4 if dtype == "f32" else 2)
                self.assertLessEqual(abs(rows - plain["embeddings"]).max(), exact * abs(rows).max())
                self.assertEqual(file["names"].asstr()[:].tolist(), plain["names"].tolist())
                self.assertEqual(file["contigs"].asstr()[:].tolist(), plain["contigs"].tolist())
                for key in ("starts", "ends", "lengths"):
                    self.assertEqual(file[key][:].tolist(), plain[key].tolist())
                self.assertEqual(json.loads(file.attrs["provenance"])["pool"], "bins:128")

    def test_h5_per_base_and_records(self):
        h5py = module("h5py")
        self.write("in.fa", ">a\nACGTTGCA\n>e\n\n>b\nGATTACA\n")
        words = ("embed", "in.fa", *QUICK, "--pool", "none")
        plain = self.plain(words=words)
        self.good(*words, "-o", "o.h5")
        with h5py.File(self.path("o.h5")) as file:
            self.assertTrue(numpy.array_equal(file["embeddings"][:], plain["embeddings"]))
            self.assertEqual(file["offsets"][:].tolist(), plain["offsets"].tolist())
            self.assertNotIn("contigs", file)
        self.good("embed", "in.fa", *QUICK, "-o", "r.h5")
        with h5py.File(self.path("r.h5")) as file:
            self.assertTrue(numpy.isnan(file["embeddings"][1]).all())

    def test_anndata(self):
        anndata = module("anndata")
        plain = self.plain()
        self.good(*self.words, "-o", "o.h5ad")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", DeprecationWarning)
            data = anndata.read_h5ad(self.path("o.h5ad"))
        self.assertTrue(numpy.array_equal(data.X, plain["embeddings"]))
        self.assertEqual(data.obs_names.tolist(), plain["names"].tolist())
        self.assertEqual(data.obs["contig"].tolist(), plain["contigs"].tolist())
        self.assertEqual(data.obs["start"].tolist(), plain["starts"].tolist())
        self.assertEqual(data.obs["end"].tolist(), plain["ends"].tolist())
        self.assertEqual(data.var_names[0], "v1")
        self.assertEqual(json.loads(data.uns["genossm"])["model"], "genossm-mini-ps")
        # Records without places, and bases.
        self.write("in.fa", ">a\nACGTTGCA\n>b\nGATTACA\n")
        self.good("embed", "in.fa", *QUICK, "-o", "r.h5ad")
        self.assertEqual(anndata.read_h5ad(self.path("r.h5ad")).obs["length"].tolist(), [8, 7])
        self.good("embed", "in.fa", *QUICK, "--pool", "none", "-o", "b.h5ad")
        bases = anndata.read_h5ad(self.path("b.h5ad"))
        self.assertEqual(bases.shape[0], 15)
        self.assertEqual(bases.obs_names[8], "b:1")

    def test_zarr(self):
        zarr = module("zarr")
        plain = self.plain()
        self.good(*self.words, "-o", "o.zarr")
        store = zarr.open(str(self.path("o.zarr")), "r")
        self.assertTrue(numpy.array_equal(store["embeddings"][:], plain["embeddings"]))
        self.assertEqual(store["names"][:].tolist(), plain["names"].tolist())
        self.assertEqual(store["contigs"][:].tolist(), plain["contigs"].tolist())
        self.assertEqual(store["starts"][:].tolist(), plain["starts"].tolist())
        self.assertEqual(json.loads(store.attrs["provenance"])["pool"], "bins:128")
        words = (*self.words[:-1], "none", "--dtype", "f16")
        plain = self.plain(words=words)
        self.good(*words, "-o", "b.zarr")
        store = zarr.open(str(self.path("b.zarr")), "r")
        self.assertTrue(numpy.array_equal(store["embeddings"][:], plain["embeddings"]))
        self.assertEqual(store["offsets"][:].tolist(), plain["offsets"].tolist())
        self.refused(5, *self.words, "-o", "o.zarr", says="exists already")
        self.good(*self.words, "-o", "o.zarr", "--force")
        self.refused(2, *self.words, "-o", "p.zarr", "--dtype", "bf16", says="bf16")
        self.write("file.zarr", "not a folder")
        self.refused(5, *self.words, "-o", "file.zarr", says="is a file")


class Tracks(Case):
    where = ("-f", GENOME, "-r", "lambda:101-1350,phix174:1-200")

    def setUp(self):
        super().setUp()
        self.write("n.fa", ">one\nACGTTGCANNNNNGATTACAGATT\n>two\nNNNN\n>three\nACGACG\n")

    def values(self, *words):
        """{contig: {position from 0: value}} by the table."""
        out = {}
        for line in self.good("score", *words).stdout.decode().splitlines():
            if line.startswith("#"):
                continue
            contig, position, _, value = line.split("\t")
            if value != "nan":
                out.setdefault(contig, {})[int(position) - 1] = float(value)
        return out

    def test_bedgraph(self):
        for words in (self.where, ("n.fa",)):
            expected = self.values(*words)
            self.good("score", *words, "-o", "o.bedgraph.gz", "--force")
            got = {}
            with gzip.open(self.path("o.bedgraph.gz"), "rt") as file:
                for line in file:
                    if line.startswith(("#", "track")):
                        continue
                    contig, begin, end, value = line.split("\t")
                    for at in range(int(begin), int(end)):
                        got.setdefault(contig, {})[at] = float(value)
            self.assertEqual(got, expected)
        self.assertNotIn("two", got, "what is missing stays missing")
        self.assertNotIn(0, got["one"], "the first base has no prediction")

    def test_big_wig(self):
        big_wig = module("pyBigWig")
        for words, sizes in ((self.where, {"lambda": 48502, "phix174": 5386}),
                             (("n.fa",), {"one": 24, "two": 4, "three": 6})):
            expected = self.values(*words)
            self.good("score", *words, "-o", "o.bw", "--force")
            with big_wig.open(str(self.path("o.bw"))) as file:
                self.assertEqual({k: v for k, v in file.chroms().items() if k in sizes}, sizes)
                for contig, size in sizes.items():
                    got = numpy.array(file.values(contig, 0, size))
                    want = numpy.full(size, numpy.nan)
                    for at, value in expected.get(contig, {}).items():
                        want[at] = numpy.float32(value)
                    self.assertTrue(numpy.array_equal(got, want, equal_nan=True), contig)
                mean = numpy.nanmean(list(expected[next(iter(sizes))].values()))
                self.assertAlmostEqual(file.stats(next(iter(sizes)), exact=True)[0], mean, 4)
                self.assertGreater(file.header()["nLevels"], 0)
        self.refused(3, "score", "-f", GENOME, "-r", "phix174:1-20,lambda:1-20", "-o", "x.bw",
                     says="in the order of the contigs")
        self.refused(3, "score", "-f", GENOME, "-r", "lambda:1-20,lambda:10-30", "-o", "x.bw", says="overlaps")
        self.refused(2, "score", *self.where, "--track", "logp,info", "-o", "x.bw", says="one track")

    def test_zoom_levels(self):
        """What a browser draws from afar is what the bases say: bins of every level, on contigs of several lengths."""
        big_wig = module("pyBigWig")
        self.good("score", "-f", GENOME, "-r", "lambda:1-21000,lambda:22501-30720,phix174:11-3000", "-o", "o.bw")
        with big_wig.open(str(self.path("o.bw"))) as file:
            self.assertGreaterEqual(file.header()["nLevels"], 5)
            for contig, end, sizes in (("lambda", 30720, (20, 80, 320, 1280, 5120, 15360)), ("phix174", 2560, (20, 80, 320, 1280))):
                for size in sizes:
                    n = end // size
                    for kind in ("mean", "min", "max", "coverage", "std"):
                        near, far = ([float("nan") if v is None else v for v in
                                      file.stats(contig, 0, n * size, type=kind, nBins=n, exact=exact)]
                                     for exact in (True, False))
                        # Where no base of a bin has a value zoom levels have no record.
                        self.assertTrue(numpy.allclose(near, far, rtol=1e-4, atol=1e-5, equal_nan=True),
                                        (contig, size, kind, near[:3], far[:3]))

    def test_npz(self):
        self.good("score", "n.fa", "--track", "logp,entropy,info", "-o", "o.npz")
        got = numpy.load(self.path("o.npz"))
        self.assertEqual(got["columns"].tolist(), ["logp", "entropy", "info"])
        self.assertEqual(got["offsets"].tolist(), [0, 24, 28, 34])
        expected = self.values("n.fa")
        for r, name in enumerate(got["names"]):
            rows = got["scores"][got["offsets"][r] : got["offsets"][r + 1], 0]
            want = {i: float(v) for i, v in enumerate(rows) if not numpy.isnan(v)}
            self.assertEqual({k: numpy.float32(v) for k, v in expected.get(name, {}).items()},
                             {k: numpy.float32(v) for k, v in want.items()})

    def test_bam(self):
        if shutil.which("samtools") is None:
            self.skipTest("skipped: no samtools")
        reads = TINY / "human_reads.bam"
        expected = {}
        for line in self.good("score", "--per-record", reads).stdout.decode().splitlines():
            if not line.startswith("#"):
                name, length, _, total, *_ = line.split("\t")
                expected.setdefault(name, []).append((int(length), float(total)))
        self.good("score", reads, "-o", "o.bam")

        def view(path):
            return subprocess.run(["samtools", "view", path], capture_output=True, check=True).stdout.decode().splitlines()

        before, after = view(reads), view(self.path("o.bam"))
        self.assertEqual(len(before), len(after))
        seen = {}
        for old, new in zip(before, after):
            self.assertTrue(new.startswith(old.rstrip()), "every field is kept")
            tags = dict(field.split(":", 1) for field in new.split("\t")[11:] if field[:2] in ("gl", "gb"))
            if tags:
                values = tags["gb"].split(",")
                self.assertEqual(values[0], "B:f")
                total = float(tags["gl"].split(":")[1]) if "gl" in tags else float("nan")
                seen.setdefault(new.split("\t")[0], []).append((len(values) - 1, total))
        self.assertEqual(seen.keys(), expected.keys())
        for name, rows in expected.items():
            for (length, total), (got_length, got_total) in zip(rows, seen[name]):
                self.assertEqual(length, got_length)
                self.assertAlmostEqual(total, got_total, delta=1e-3 * abs(total))
        self.refused(2, "score", *self.where, "-o", "x.bam", says="without regions")
        self.refused(2, "score", "n.fa", "-o", "x.bam", says="n.fa")

    def stanzas(self, path):
        """The blocks of a hub's text file, each a dict of its settings."""
        blocks = []
        for block in self.path(path).read_text().strip().split("\n\n"):
            lines = [line.strip().split(None, 1) for line in block.splitlines()]
            self.assertTrue(all(len(line) == 2 for line in lines), block)
            self.assertEqual(len({line[0] for line in lines}), len(lines), "a setting stands once")
            blocks.append(dict(lines))
        return blocks

    def hub_rules(self, hub, assembly):
        """What a browser asks of a track hub: the settings that must be there, and names that lead somewhere."""
        (head,) = self.stanzas(f"{hub}/hub.txt")
        self.assertLessEqual({"hub", "shortLabel", "longLabel", "genomesFile", "email"}, head.keys())
        (genome,) = self.stanzas(f"{hub}/{head['genomesFile']}")
        self.assertEqual(genome["genome"], assembly)
        tracks = self.stanzas(f"{hub}/{genome['trackDb']}")
        self.assertEqual(len({t["track"] for t in tracks}), len(tracks))
        for track in [head, *tracks]:
            self.assertLessEqual(len(track["shortLabel"]), 17)
            self.assertLessEqual(len(track["longLabel"]), 80)
        self.assertEqual(tracks[0]["container"], "multiWig")
        for track in tracks:
            self.assertRegex(track["track"], r"^[A-Za-z][A-Za-z0-9_]*$")
            self.assertTrue(track["type"].startswith("bigWig"))
        for track in tracks[1:]:
            self.assertEqual(track["parent"], tracks[0]["track"])
            self.assertTrue(self.path(f"{hub}/{track['bigDataUrl']}").is_file())
            self.assertRegex(track["color"], r"^\d+,\d+,\d+$")

    def test_logo_hub(self):
        big_wig = module("pyBigWig")
        self.good("score", *self.where, "--logo-hub", "hub")
        names = sorted(p.name for p in self.path("hub").iterdir())
        self.assertEqual(names, ["A.bw", "C.bw", "G.bw", "T.bw", "genomes.txt", "hub.txt", "provenance.json",
                                 "trackDb.txt"])
        total = 0
        for base in "ACGT":
            self.assertIn(f"bigDataUrl {base}.bw", self.path("hub/trackDb.txt").read_text())
            with big_wig.open(str(self.path(f"hub/{base}.bw"))) as file:
                total = total + numpy.array(file.values("lambda", 101, 1350))
        info = {}
        for line in self.good("score", *self.where, "--track", "info").stdout.decode().splitlines():
            if line.startswith("lambda"):
                _, position, _, value = line.split("\t")
                info[int(position) - 1] = float(value)
        want = numpy.array([info[i] for i in range(101, 1350)])
        self.assertLess(abs(total - want).max(), 1e-5, "the four heights add up to the information")
        self.hub_rules("hub", "genomes")
        self.good("score", *self.where, "--logo-hub", "named", "--assembly", "hg38")
        self.hub_rules("named", "hg38")
        self.refused(2, "score", *self.where, "--logo-hub", "h", "--assembly", "hg 38", says="without blanks")
        self.refused(2, "score", *self.where, "-o", "x.bw", "--assembly", "hg38", says="--logo-hub")
        self.refused(2, "score", *self.where, "--logo-hub", "h", "-o", "x.tsv", says="--logo-hub")
        self.refused(5, "score", *self.where, "--logo-hub", "hub", says="exists already")

    def test_average_of_strands(self):
        """However a record is cut into windows, the mean of both strands is that of two runs."""
        for more in ((), ("--window", "100"), ("--window", "100", "--stride", "30"), ("--window", "128", "-@", "2")):
            words = ("-f", GENOME, "-r", "lambda:101-1350,phix174:1-77", "--track", "logp,entropy", *more)
            got = {}
            for strand in ("fwd", "rc", "avg"):
                self.good("score", *words, "--strand", strand, "-o", "o.npz", "--force")
                got[strand] = numpy.load(self.path("o.npz"))["scores"]
            want = numpy.float32(0.5) * (got["fwd"] + got["rc"])
            self.assertTrue(numpy.array_equal(got["avg"], want, equal_nan=True), more)
            self.assertGreater(numpy.isfinite(want).mean(), 0.95)

    def test_strands_and_masks(self):
        """Every format gets the numbers of the table."""
        for more in (("--strand", "avg"), ("--masked", "-m", "genossm-mini-ps", "--window", "16")):
            words = ("-f", GENOME, "-r", "lambda:101-140", *more)
            expected = self.values(*words)["lambda"]
            self.good("score", *words, "-o", "o.npz", "--force")
            got = numpy.load(self.path("o.npz"))["scores"][:, 0]
            for at, value in expected.items():
                self.assertEqual(numpy.float32(value), got[at - 100])


class Plans(Case):
    def test_embed(self):
        words = ("embed", "-f", GENOME, "-r", "lambda:1-5000", "--pool", "bins:100", "-o", "o.npy")
        plan = json.loads(self.good(*words, "--plan", "--json").stdout)
        self.assertEqual((plan["records"], plan["bases"], plan["rows"]), (1, 5000, 50))
        self.assertEqual(plan["windows"], 2)
        self.assertGreater(plan["seconds"], 0)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), [])
        done = self.good(*words, "--summary", "s.json", "--multiqc", "genossm_mqc.json")
        self.assertIn(b"5,000 bases", done.stderr)
        size = self.path("o.npy").stat().st_size + self.path("o.names.tsv").stat().st_size
        self.assertLess(abs(plan["output_bytes"] - size), 0.25 * size)
        summary = json.loads(self.path("s.json").read_text())
        self.assertEqual((summary["windows"], summary["tokens"]), (plan["windows"], plan["tokens"]))
        content = json.loads(self.path("genossm_mqc.json").read_text())
        self.assertEqual(content["plot_type"], "generalstats")
        self.assertEqual(content["data"]["o.npy"]["units"], 5000)
        text = self.good(*words, "--plan").stdout.decode()
        for word in ("records 1", "peak memory", "journal", "time about"):
            self.assertIn(word, text)
        self.refused(2, *words, "--json", says="--plan")

    def test_sizes_of_every_type_and_the_peak(self):
        embed = ("embed", "-m", "genossm-mini-causal", "-f", GENOME, "-r", "lambda:1-8000", "--layer", "0")
        score = ("score", "-f", GENOME, "-r", "lambda:1-8000")
        for words, name in (((*embed, "--pool", "bins:16"), "o.h5"), ((*embed, "--pool", "bins:16"), "o.h5ad"),
                            ((*embed, "--pool", "none"), "o.h5ad"), ((*embed, "--pool", "bins:16"), "o.tsv.gz"),
                            (score, "o.bw"), (score, "o.bedgraph.gz"), (score, "o.tsv.gz")):
            words = (*words, "-o", name, "--force", "-@", "1")
            plan = json.loads(self.good(*words, "--plan", "--json").stdout)
            self.good(*words, "--summary", "s.json")
            size = self.path(name).stat().st_size
            self.assertLess(abs(plan["output_bytes"] - size), 0.3 * size, (words, plan, size))
            peak = json.loads(self.path("s.json").read_text())["peak_memory_bytes"]
            if not sanitized():
                self.assertLess(abs(plan["plan"]["peak_bytes"] - peak), 24 << 20, (words, plan, peak))

    def test_score_and_shards(self):
        words = ("score", "-f", GENOME, "-r", "lambda:1-5000", "--window", "700", "-o", "o.tsv")
        whole = json.loads(self.good(*words, "--plan", "--json").stdout)
        parts = [json.loads(self.good(*words, "--plan", "--json", "--shard", f"{i}/3").stdout) for i in (1, 2, 3)]
        self.assertEqual(sum(p["bases"] for p in parts), whole["bases"])
        for part in parts:
            self.assertLess(abs(part["bases"] - 1667), 700)
        self.good(*words)
        size = self.path("o.tsv").stat().st_size
        self.assertLess(abs(whole["output_bytes"] - size), size)
        # Scores of one strand wait for the other: of two windows, or of the record.
        peaks = [json.loads(self.good(*w, "--plan", "--json", "-@", "1").stdout)["plan"]["peak_bytes"]
                 for w in (words, (*words, "--strand", "avg"), (*words, "--strand", "rc"))]
        self.assertEqual([p - peaks[0] for p in peaks], [0, 2 * 700 * 16, 2 * 700 * 8])
        self.refused(2, "score", "-", "--plan", stdin=b">a\nACGT\n", says="--plan")


@unittest.skipUnless(have_shared(), "skipped: the larger real data are not here")
class Chromosome(Case):
    @unittest.skipIf(sanitized(), "skipped: AddressSanitizer's own memory grows")
    def test_memory_is_flat(self):
        """Three times the bases in the same memory, through windows and through one state-carried pass."""
        genome = sorted((SHARED / "genomes").glob("*chr20*.fa*"))
        genome = [g for g in genome if not g.name.endswith((".fai", ".gzi"))]
        if not genome:
            self.skipTest("skipped: no chromosome 20")
        contig = self.good_contig(genome[0])
        # From the first length on, batches and segments of the journal are as full as they become:
        # segments end by their size alone, whatever the machine's speed. Two short lengths, since
        # the allocator's share of a peak depends on the order in which sizes came.
        routes = ((("--window", "1024"), 2_000_000, 3_000_000, 9_000_000),
                  (("-m", "genossm-mini-causal"), 3_000_000, 4_000_000, 12_000_000))
        for route, *lengths in routes:
            peaks = []
            for bases in lengths:
                self.good("embed", *route, "-f", genome[0], "-r", f"{contig}:10000001-{10_000_000 + bases}", "-@", "1",
                          "--layer", "0", "--pool", "bins:128", "--save-every", "3600", "-o", "o.npy", "--force",
                          "--summary", "s.json")
                peaks.append(json.loads(self.path("s.json").read_text())["peak_memory_bytes"])
            self.assertLess(peaks[2] - max(peaks[:2]), 12 << 20, (route, peaks))

    def good_contig(self, path):
        fai = path.with_name(path.name + ".fai")
        if fai.exists():
            return fai.read_text().split("\t")[0]
        opener = gzip.open if path.suffix in (".gz", ".bgz") else open
        with opener(path, "rt") as file:
            return file.readline()[1:].split()[0]


if __name__ == "__main__":
    main()
