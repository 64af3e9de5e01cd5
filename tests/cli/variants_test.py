"""Variant effects: the authors' numbers, every record kept, a status for every allele, the same bytes
however the work is cut, and prefix reuse against two whole windows."""
import csv
import gzip
import json
import random
import shutil
import subprocess
import sys
import unittest

import numpy

from genossm_cli import (GENOSSM, SHARED, SOURCE, TINY, Case, have_shared, main, read_fasta,
                         read_safetensors, reverse_complement)

GOLDEN = SOURCE / "tests/golden/variant_scoring"
SMALL = GOLDEN / "plantcad_w64"  # a masked model that costs nothing
HUMAN = (TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa")
CAUSAL = ("-m", "genossm-mini-causal")
have_bcftools = unittest.skipUnless(shutil.which("bcftools"), "skipped: no bcftools")


def table(path):
    """The rows of a TSV file, by column name."""
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def records(text):
    """[(chrom, pos, ref, [alts], {info})] of VCF text."""
    out = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        f = line.split("\t")
        info = dict((e.split("=", 1) + [""])[:2] for e in f[7].split(";") if e != ".")
        out.append((f[0], int(f[1]), f[3], f[4].split(",") if f[4] != "." else [], info))
    return out


def scores(text, key="GSSM_LLR"):
    """{(chrom, pos, ref, alt): number}, without alleles that have none."""
    out = {}
    for chrom, pos, ref, alts, info in records(text):
        for alt, value in zip(alts, info.get(key, "").split(",")):
            if value not in (".", ""):
                out[chrom, pos, ref, alt] = float(value)
    return out


def vcf(rows, contigs=()):
    head = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID={c}>\n" for c in contigs)
    head += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    return head + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in rows)


class Variants(Case):
    def read(self, name):
        data = self.path(name).read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()

    def out(self, *words):
        """The VCF of a run, as text."""
        self.good("variants", *words, "-o", "out.vcf", "--force", "-q")
        return self.read("out.vcf")

    def random_genome(self, length, seed, name="c"):
        bases = "".join(random.Random(seed).choices("ACGT", k=length))
        self.write(f"{name}.fa", f">{name}\n{bases}\n")
        self.write(f"{name}.fa.fai", f"{name}\t{length}\t{len(name) + 2}\t{length}\t{length + 1}\n")
        return bases


class Golden(Variants):
    TOLERANCE = 2e-4  # of the stored cases' README; a float32 engine is within 1e-5

    def test_plantcaduceus(self):
        for case, window in (("plantcad_w64", "64"), ("plantcad_w512", "512")):
            folder = GOLDEN / case
            text = self.out(folder / "variants.vcf", "-m", folder, "-f", folder / "genome.fa",
                            "--window", window)
            got = {(c, p): (i["GSSM_LLR"].split(","), i["GSSM_STATUS"].split(","))
                   for c, p, _, _, i in records(text)}
            rows = table(folder / "expected.tsv")
            self.assertEqual(len(got), len(rows))
            for row in rows:
                llr, status = got[row["chrom"], int(row["pos"])]
                if row["status"] == "dropped":  # by upstream, not here
                    self.assertEqual((set(llr), set(status)), ({"."}, {"NOT_SNV"}))
                    continue
                for mine, theirs in zip(llr, row["score"].split(","), strict=True):
                    if theirs == ".":
                        self.assertEqual(mine, ".")
                    else:
                        self.assertAlmostEqual(float(mine), float(theirs), delta=self.TOLERANCE)

    def test_gpn(self):
        for case in ("gpn_llr_ph", "gpn_llr_ps"):
            folder = GOLDEN / case
            rows = table(folder / "expected.tsv")
            for window in sorted({row["window"] for row in rows}):
                for strand, column in ((None, "llr"), ("fwd", "llr_fwd"), ("rc", "llr_rev")):
                    got = scores(self.out(
                        folder / "variants.vcf", "-m", folder, "-f", folder / "genome.fa", "--window",
                        window, "--anchor", int(window) // 2, *(["--strand", strand] if strand else [])))
                    for row in rows:
                        if row["window"] == window:
                            key = row["chrom"], int(row["pos"]), row["ref"], row["alt"]
                            self.assertAlmostEqual(got[key], float(row[column]), delta=self.TOLERANCE)

    def test_caduceus_embeddings(self):
        for case in ("caduceus_vep_ph", "caduceus_vep_ps"):
            folder = GOLDEN / case
            expected = read_safetensors(folder / "expected.safetensors")
            ref, alt = (read_fasta((folder / f"{n}.fa").read_text()) for n in ("ref", "alt"))
            for i, name in enumerate(ref):
                at = int(expected["variant_idx"][i])
                self.write("v.tsv", f"chrom\tpos\tref\talt\n{name}\t{at + 1}\t{ref[name][at]}\t{alt[name][at]}\n")
                self.good("variants", "v.tsv", "-m", folder, "-f", folder / "ref.fa", "--score", "embdist",
                          "--window", len(ref[name]), "--anchor", at, "-o", "o.npz", "--force")
                got = numpy.load(self.path("o.npz"))["features"][0]
                want = numpy.concatenate([expected["concat_avg_ws"][i], expected["rc_concat_avg_ws"][i]])
                self.assertLess(numpy.abs(got - want).max() / numpy.abs(want).max(), 2e-5)
                d = len(want) // 4
                self.good("variants", "v.tsv", "-m", folder, "-f", folder / "ref.fa", "--score", "embdist",
                          "--window", len(ref[name]), "--anchor", at, "-o", "o.tsv", "--force")
                row = self.read("o.tsv").splitlines()[-1].split("\t")
                a = numpy.concatenate([got[:d], got[2 * d:3 * d]]).astype("f8")
                b = numpy.concatenate([got[d:2 * d], got[3 * d:]]).astype("f8")
                self.assertAlmostEqual(float(row[4]), numpy.linalg.norm(a - b), delta=1e-5)
                cosine = 1 - a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b)
                self.assertAlmostEqual(float(row[5]), cosine, delta=1e-6)


class Kept(Variants):
    """Every record, in order, other fields untouched."""

    SMALL_RUN = ("-m", SMALL, "--window", "64")

    def bcftools(self, *words):
        done = subprocess.run(["bcftools", *map(str, words)], cwd=self.folder, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def fields(self, path):
        return [line.split("\t")[:7] + line.split("\t")[8:]
                for line in self.bcftools("view", "-H", path).splitlines()]

    def test_text_keeps_every_byte(self):
        before = gzip.decompress(HUMAN[0].read_bytes()).decode().splitlines()
        after = self.out(*HUMAN, *self.SMALL_RUN).splitlines()
        ours = ("##INFO=<ID=GSSM_", "##genossm=")
        head = [line for line in after if line.startswith("#") and not line.startswith(ours)]
        self.assertEqual(head, [line for line in before if line.startswith("#")])
        body = [line.split("\t") for line in after if not line.startswith("#")]
        for line in body:
            line[7] = ";".join(e for e in line[7].split(";") if not e.startswith("GSSM_"))
        self.assertEqual(["\t".join(line) for line in body], [l for l in before if not l.startswith("#")])

    @have_bcftools
    def test_every_format(self):
        self.bcftools("view", "-Ob", "-o", "in.bcf", HUMAN[0])
        first = None
        for source in (HUMAN[0], "in.bcf"):
            for name in ("o.vcf", "o.vcf.gz", "o.bcf"):
                index = [] if name == "o.vcf" else ["-W"]
                self.good("variants", source, *HUMAN[1:], *self.SMALL_RUN, "-o", name, "--force", *index)
                self.assertEqual(self.fields(name), self.fields(HUMAN[0]))
                query = self.bcftools("query", "-f", "%POS %GSSM_LLR %GSSM_STATUS\n", name)
                first = first or query
                self.assertEqual(query, first)
                if index:
                    self.assertTrue(self.path(f"{name}.csi").exists())
                    self.assertEqual(len(self.bcftools("view", "-H", "-r", "17:800-900", name).splitlines()), 2)
        self.bcftools("norm", "--check-ref", "e", "-f", HUMAN[2], "o.bcf")
        self.good("variants", *HUMAN, *self.SMALL_RUN, "-o", "t.vcf.gz", "-W=tbi")
        self.assertEqual(len(self.bcftools("view", "-H", "-r", "17:800-900", "t.vcf.gz").splitlines()), 2)

    def test_again_replaces(self):
        once = self.out(*HUMAN, *self.SMALL_RUN, "--no-version")
        self.write("once.vcf", once)
        again = self.out("once.vcf", *HUMAN[1:], *self.SMALL_RUN, "--no-version")
        self.assertEqual(records(once), records(again))
        self.assertEqual(once.count("##INFO"), again.count("##INFO"))

    def test_streams_and_tables(self):
        data = HUMAN[0].read_bytes()
        whole = self.out(*HUMAN, *self.SMALL_RUN, "--no-version")
        piped = self.good("variants", "-", *HUMAN[1:], *self.SMALL_RUN, "--no-version", stdin=data)
        self.assertEqual(piped.stdout.decode(), whole)
        self.good("variants", *HUMAN, *self.SMALL_RUN, "-o", "o.tsv")
        lines = [line.split("\t") for line in self.read("o.tsv").splitlines()]
        self.assertEqual(lines[1], ["#chrom", "pos", "ref", "alt", "GSSM_LLR", "GSSM_STATUS"])
        got = {(l[0], int(l[1]), l[2], l[3]): float(l[4]) for l in lines[2:] if l[4] != "."}
        self.assertEqual(got, scores(whole))
        rows = "".join(f"{l[1]}\tx\t{l[0]}\t{l[2]}\t{l[3]}\n" for l in lines[2:])
        self.write("in.tsv", "pos\tnote\tchrom\tref\talt\n" + rows)
        self.good("variants", "in.tsv", *HUMAN[1:], *self.SMALL_RUN, "-o", "again.tsv", "--no-version")
        again = [line.split("\t") for line in self.read("again.tsv").splitlines()]
        self.assertEqual(again[1], ["pos", "note", "chrom", "ref", "alt", "GSSM_LLR", "GSSM_STATUS"])
        self.assertEqual([l[5:] for l in again[2:]], [l[4:] for l in lines[2:]])
        self.good("variants", "in.tsv", *HUMAN[1:], *self.SMALL_RUN, "-o", "table.vcf", "--no-version")
        self.assertEqual(scores(self.read("table.vcf")), scores(whole))

    def test_windows_in_the_table(self):
        genome = read_fasta((GOLDEN / "plantcad_w64/genome.fa").read_text())["chr1"]
        rows = [(82, "A", "T"), (221, "G", "C")]
        lines = [f"{ref}\t{alt}\t{genome[pos - 32:pos + 32]}\n" for pos, ref, alt in rows]
        self.write("w.tsv", "ref\talt\tsequences\n" + "".join(lines))
        self.good("variants", "w.tsv", *self.SMALL_RUN, "-o", "o.tsv")
        got = [float(l.split("\t")[3]) for l in self.read("o.tsv").splitlines()[2:]]
        self.write("v.vcf", vcf([("chr1", *row) for row in rows]))
        want = scores(self.out("v.vcf", "-f", SMALL / "genome.fa", *self.SMALL_RUN))
        self.assertEqual(got, list(want.values()))

    def test_provenance(self):
        text = self.out(*HUMAN, *self.SMALL_RUN)
        line = next(l for l in text.splitlines() if l.startswith("##genossm="))
        said = json.loads(line[len("##genossm="):])
        for key in ("version", "command", "model_sha256", "score_definition", "window", "strand",
                    "alphabet", "precision"):
            self.assertIn(key, said)

    @unittest.skipUnless(have_shared(), "skipped: the larger real data are not here")
    @have_bcftools
    def test_every_vcf_of_the_larger_data(self):
        seen = 0
        for folder in ("variants", "io/good"):
            for path in sorted((SHARED / folder).rglob("*")):
                if not path.name.endswith((".vcf", ".vcf.gz", ".bcf")):
                    continue
                beside = path.parent / "reference.fa.gz"
                reference = beside if beside.exists() else SHARED / "io/good/norm.fa"
                with self.subTest(path.name):
                    self.good("variants", path, "-f", reference, *self.SMALL_RUN, "-o", "o.vcf.gz", "--force")
                    self.assertEqual(self.fields("o.vcf.gz"), self.fields(path))
                    self.bcftools("query", "-f", "%POS %GSSM_STATUS\n", "o.vcf.gz")
                    seen += 1
        self.assertGreater(seen, 8)


class Statuses(Variants):
    def test_each(self):
        bases = self.random_genome(400, 5)
        at = lambda pos: bases[pos - 1]
        other = lambda pos: "ACGT"[("ACGT".index(at(pos)) + 1) % 4]
        cases = [
            (("c", 100, at(100), other(100)), "OK"),
            (("chrc", 100, at(100), other(100)), "OK"),
            (("c", 100, at(100).lower(), other(100).lower()), "OK"),
            (("c", 100, at(100), other(100) + ",<DEL>"), "OK,SYMBOLIC"),
            (("c", 100, other(100), at(100)), "REF_MISMATCH"),
            (("c", 100, at(100), "<*>"), "SYMBOLIC"),
            (("c", 100, at(100), at(100) + "[c:50["), "BND"),
            (("c", 100, at(100), "." + at(100)), "BND"),
            (("c", 100, at(100), "*"), "STAR"),
            (("c", 100, at(100), other(100) + ",."), "OK,MISSING"),
            (("c", 100, at(100), "R"), "AMBIGUOUS"),
            (("c", 100, "N", at(100)), "AMBIGUOUS"),
            (("c", 100, at(100), "I"), "NOT_DNA"),
            (("c", 100, at(100), at(100)), "SAME"),
            (("d", 100, "A", "C"), "NO_CONTIG"),
            (("c", 401, "A", "C"), "EDGE"),
            (("c", 0, "A", "C"), "EDGE"),
            (("c", 399, bases[398:400] + "A", at(399)), "EDGE"),
            (("c", 100, at(100), at(100) + "ACGT" * 20), "TOO_LONG"),
            (("c", 100, bases[99:102], at(100)), "OK"),
            (("c", 1, at(1), other(1)), "EDGE"),
            (("c", 400, at(400), other(400)), "OK"),
            (("c", 100, at(100), "."), None),
        ]
        self.write("v.vcf", vcf([row for row, _ in cases], ["c", "chrc", "d"]))
        words = ("v.vcf", "-f", "c.fa", "--score", "llr", "--window", "64")
        got = records(self.out(*words))
        self.assertEqual([r[4].get("GSSM_STATUS") for r in got], [status for _, status in cases])
        for record in got:
            for value, status in zip(record[4].get("GSSM_LLR", "").split(","),
                                     record[4].get("GSSM_STATUS", "").split(",")):
                self.assertEqual(value not in (".", ""), status == "OK", record)
        # Single-base scores say so of the others.
        self.write("w.vcf", vcf([("c", 100, bases[99:102], at(100)), ("c", 100, bases[99:101], other(100) + at(101))]))
        for more in (("-m", "genossm-mini-ps", "--window", "64"), (*CAUSAL, "--score", "next")):
            got = records(self.out("w.vcf", "-f", "c.fa", *more))
            self.assertEqual([r[4]["GSSM_STATUS"] for r in got], ["NOT_SNV", "OK"])
        self.refused(3, "variants", *words, "--strict", "-o", "s.vcf", says="SYMBOLIC")

    def test_ref_mismatch(self):
        bases = self.random_genome(200, 6)
        ref, alt = sorted(set("ACGT") - {bases[99]})[:2]
        self.write("v.vcf", vcf([("c", 100, ref, alt)]))
        self.write("r.fa", f">c\n{bases[:99]}{ref}{bases[100:]}\n")
        for more in (("--score", "llr", "--window", "64"), ("-m", "genossm-mini-ps", "--window", "64"),
                     (*CAUSAL, "--score", "next"), (*CAUSAL, "--score", "llr", "--window", "64", "--no-reuse")):
            as_vcf = scores(self.out("v.vcf", "-f", "c.fa", "--ref-mismatch", "use-vcf", *more))
            self.assertEqual(as_vcf, scores(self.out("v.vcf", "-f", "r.fa", *more)))
            self.assertEqual(len(as_vcf), 1)
        self.refused(3, "variants", "v.vcf", "-f", "c.fa", "--ref-mismatch", "error", "-o", "o.vcf",
                     "--window", "64", says=["c:100", "REF"])

    def test_usage(self):
        self.random_genome(200, 6)
        self.write("v.vcf", vcf([]))
        run = ("variants", "v.vcf", "-f", "c.fa")
        self.refused(2, "variants", "v.vcf", says="-f")
        self.refused(2, *run, "-m", "genossm-mini-ps", "--score", "llr", says="masked")
        self.refused(2, *run, *CAUSAL, "--score", "masked", says="causal")
        self.refused(2, *run, "--score", "mean", says="mean")
        self.refused(2, *run, "--anchor", "5000", says="5000")
        self.refused(2, *run, *CAUSAL, "--suffix", "9000", says="9000")
        self.refused(2, *run, "--suffix", "10", says="llr")
        self.refused(2, *run, *CAUSAL, "--score", "next", "--strand", "rc", says="--window")
        self.refused(2, *run, "-o", "o.npz", says="embdist")
        self.refused(2, *run, "-o", "o.vcf", "--write-index", says="vcf.gz")
        self.refused(2, *run, "--write-index", says="standard output")
        self.refused(2, *run, "-o", "o.bam", says="bam")
        self.refused(4, "variants", "none.vcf", "-f", "c.fa", says="none.vcf")
        self.refused(4, "variants", "v.vcf", "-f", "none.fa", says="none.fa")
        self.refused(3, "variants", "c.fa", "-f", "c.fa", says="sequences")
        self.write("t.txt", "some words\nmore words\n")
        self.refused(3, "variants", "t.txt", "-f", "c.fa", says="chrom")


class Hostile(Variants):
    def test_cut(self):
        """A VCF cut anywhere: no output, and the place named."""
        text = vcf([("c", 50 + i, "A", "C") for i in range(20)], ["c"])
        self.random_genome(200, 7)
        for cut in (30, len(text) - 1, len(text) - 5, text.index("c\t60") + 4):
            self.write("cut.vcf", text[:cut])
            self.refused(3, "variants", "cut.vcf", "-f", "c.fa", "-o", "o.vcf.gz", "--window", "64", says="cut.vcf")
        packed = self.path("whole.vcf.gz")
        self.write("whole.vcf", text)
        self.good("variants", "whole.vcf", "-f", "c.fa", "-o", "whole.vcf.gz", "--window", "64")
        data = packed.read_bytes()
        for cut in (len(data) - 28, len(data) - 40, len(data) // 2, 40):
            self.write("cut.vcf.gz", data[:cut])
            self.refused(3, "variants", "cut.vcf.gz", "-f", "c.fa", "-o", "o.vcf", "--window", "64", says="cut.vcf.gz")

    @have_bcftools
    def test_cut_bcf(self):
        subprocess.run(["bcftools", "view", "-Ob", "-o", self.path("in.bcf"), HUMAN[0]], check=True)
        data = self.path("in.bcf").read_bytes()
        for cut in (len(data) - 28, len(data) - 60, 60):
            self.write("cut.bcf", data[:cut])
            self.refused(3, "variants", "cut.bcf", *HUMAN[1:], "-o", "o.vcf", "--window", "64", says="cut.bcf")

    def test_malformed(self):
        self.random_genome(200, 7)
        head = vcf([])
        for body, says in (("c\t10\t.\tA\tC\t.\t.\n", "columns"), ("c\tx\t.\tA\tC\t.\t.\t.\n", "POS"),
                           ("c\t-5\t.\tA\tC\t.\t.\t.\n", "POS"), ("c\t10\t.\tA\t\t.\t.\t.\n", "ALT"),
                           ("c\t10\t.\tA\tC\tbad\t.\t.\n", "QUAL"), ("\n", "empty"),
                           ("c\t99999999999999999999\t.\tA\tC\t.\t.\t.\n", "POS")):
            self.write("bad.vcf", head + "c\t9\t.\tA\tC\t.\t.\t.\n" + body)
            self.refused(3, "variants", "bad.vcf", "-f", "c.fa", "-o", "o.vcf", "--window", "64",
                         says=["bad.vcf:4", says])
        self.write("late.tsv", "chrom\tpos\tref\talt\nc\t5\tA\tC\nc\tfive\tA\tC\n")
        self.refused(3, "variants", "late.tsv", "-f", "c.fa", "-o", "o.tsv", "--window", "64", says="late.tsv:3")

    def test_bcf_of_undefined_tags_is_refused(self):
        bases = self.random_genome(200, 7)
        self.write("v.vcf", vcf([("c", 100, bases[99], "N")]).replace("\t.\n", "\tXX=3\n"))
        self.refused(3, "variants", "v.vcf", "-f", "c.fa", "-o", "o.bcf", "--window", "64", says="vcf.gz")

    def test_unsorted_index_is_refused(self):
        bases = self.random_genome(200, 7)
        rows = [("c", p, bases[p - 1], "N") for p in (100, 50)]
        self.write("v.vcf", vcf(rows, ["c"]))
        self.refused(3, "variants", "v.vcf", "-f", "c.fa", "-o", "o.vcf.gz", "--write-index", "--window", "64",
                     says="sorted")

    @unittest.skipUnless(have_shared(), "skipped: the larger real data are not here")
    def test_table(self):
        self.write("ref.fa", f">1\n{'C' * 14000}\n>20\n{'C' * 100}\n")
        self.write("long.fa", ">20\n" + ("G" * 1000 + "\n") * 10020)
        rows = table(SOURCE / "tests/cli/broken_variants.tsv")
        self.assertEqual({row["file"] for row in rows},
                         {p.name for p in (SHARED / "io/broken").iterdir() if ".vcf" in p.name})
        for row in rows:
            reference = "long.fa" if row["file"] == "vcf_ref_mismatch.vcf" else "ref.fa"
            words = ["variants", SHARED / "io/broken" / row["file"], "-f", reference, "-m", SMALL, "--window", "64",
                     "-o", "out.vcf"]
            with self.subTest(row["file"]):
                if row["exit"] == "0":
                    said = self.good(*words).stderr.decode()
                    self.assertIn(row["words"], said)
                    self.path("out.vcf").unlink()
                else:
                    self.refused(int(row["exit"]), *words, says=[row["file"], row["words"]])


class Reuse(Variants):
    """Prefix reuse gives the bits of two whole windows."""

    def setUp(self):
        super().setUp()
        self.bases = self.random_genome(3000, 11)
        chance = random.Random(12)
        rows = []
        for _ in range(80):
            edges = [2, 3, 63, 64, 65, 66, 128, 129, 2990, 2998]
            pos = chance.choice(edges) if chance.random() < 0.3 else chance.randrange(2, 2990)
            ref = self.bases[pos - 1:pos - 1 + chance.choice([1, 1, 1, 2, 5, 30])]
            alts = {"".join(chance.choice("ACGT") for _ in range(chance.choice([1, 1, 1, 2, 7, 40]))) for _ in range(2)}
            rows.append(("c", pos, ref, ",".join(sorted(alts))))
        self.write("v.vcf", vcf(sorted(rows, key=lambda r: r[1])))
        self.path("tiny").mkdir()
        for name in ("config.json", "model.safetensors"):
            shutil.copy(SOURCE / "tests/golden/mamba2/lm_long" / name, self.path("tiny"))
        shutil.copy(SOURCE / "data/models/genossm-mini-causal/tokenizer.json", self.path("tiny"))

    # A causal model that costs nothing: stored weights with the bundled tokenizer.
    RUN = ("v.vcf", "-f", "c.fa", "-m", "tiny", "--score", "llr")

    def same(self, *words):
        if "--window" not in words:
            words = (*words, "--window", "256")
        quick = records(self.out(*self.RUN, *words, "--summary", "quick.json"))
        full = records(self.out(*self.RUN, *words, "--no-reuse", "--summary", "full.json"))
        self.assertEqual(quick, full, words)
        a, b = (json.loads(self.path(f"{n}.json").read_text()) for n in ("quick", "full"))
        self.assertEqual(b["tokens"], b["counts"]["tokens_of_two_full_windows"])
        self.assertEqual(b["tokens"], a["counts"]["tokens_of_two_full_windows"])
        self.assertLess(a["tokens"], b["tokens"])
        return a, b

    def test_bit_for_bit(self):
        self.same()
        self.same("--suffix", "100", "--grid", "192")
        self.same("--grid", "100", "--strand", "avg")
        self.same("--length-rule", "free", "--strand", "rc")
        self.same("--reduce", "mean", "--suffix", "200", "-@", "2", "--chunk", "64")
        self.same("--precision", "bf16", "--suffix", "100")
        self.same("--window", "1024", "--suffix", "700")

    def test_definition(self):
        """Against `score` on the windows themselves."""
        text = self.out(*self.RUN, "--window", "256", "--suffix", "100", "--grid", "64")
        refs, alts = scores(text, "GSSM_REF_LL"), scores(text, "GSSM_ALT_LL")
        llr = scores(text)
        checked = 0
        for (_, pos, ref, alt), value in list(llr.items())[::9]:
            at, r, a = pos - 1, ref, alt
            while r and a and r[-1] == a[-1]:
                r, a = r[:-1], a[:-1]
            while r and a and r[0] == a[0]:
                r, a, at = r[1:], a[1:], at + 1
            begin = max(0, (at + 100 - 256) // 64 * 64)
            n = min(100, 3000 - at, len(a) + 3000 - at - len(r))
            whole = self.bases[begin:at] + a + self.bases[at + len(r):]
            windows = (self.bases[begin:at + n], whole[:at - begin + n])
            self.write("w.fa", "".join(f">{i}\n{w}\n" for i, w in enumerate(windows)))
            done = self.good("score", "--per-record", "-m", "tiny", "w.fa")
            sums = [float(l.split("\t")[3]) for l in done.stdout.decode().splitlines() if l[0] in "01"]
            key = ("c", pos, ref, alt)
            self.assertAlmostEqual(refs[key], sums[0], delta=1e-3)
            self.assertAlmostEqual(alts[key], sums[1], delta=1e-3)
            self.assertAlmostEqual(value, sums[1] - sums[0], delta=2e-3)
            checked += 1
        self.assertGreater(checked, 3)

    def test_saving(self):
        self.write("d.vcf", vcf([("c", p, self.bases[p - 1], ",".join(sorted(set("ACGT") - {self.bases[p - 1]})))
                                 for p in range(1500, 1530)]))
        self.good("variants", "d.vcf", *self.RUN[1:], "--window", "256", "-o", "d.out.vcf", "--summary", "d.json")
        s = json.loads(self.path("d.json").read_text())
        self.assertGreater(s["counts"]["tokens_of_two_full_windows"] / s["tokens"], 3)

    def test_settle(self):
        run = (*self.RUN, "--window", "1024")
        exact = scores(self.out(*run))
        text = self.out(*run, "--settle", "0.05", "--summary", "s.json")
        settled, reach = scores(text), scores(text, "GSSM_REACH")
        self.assertEqual(exact.keys(), settled.keys())
        self.assertTrue(reach)
        self.assertTrue(all(0 < r <= 512 for r in reach.values()))
        worst = max(abs(exact[k] - settled[k]) for k in exact)
        self.assertLess(worst, 0.2)
        never = self.out(*run, "--settle", "1e-30")
        self.assertEqual(scores(never), exact)
        self.assertEqual(scores(never, "GSSM_REACH"), {})
        self.assertEqual(records(text), records(self.out(*run, "--settle", "0.05", "-@", "1", "--chunk", "64")))

    def test_next(self):
        run = ("-m", "tiny", "--score", "next")
        text = self.out("v.vcf", "-f", "c.fa", *run)
        got = scores(text)
        (contig, pos, ref, alt), value = list(got.items())[len(got) // 2]
        base = lambda allele: self.bases[:pos - 1] + allele
        if len(ref) == 1 == len(alt):
            self.write("w.fa", f">0\n{base(ref)}\n>1\n{base(alt)}\n")
            done = self.good("score", "-m", "tiny", "w.fa")
            last = {l.split("\t")[0]: float(l.split("\t")[3]) for l in done.stdout.decode().splitlines() if l[0] in "01"}
            self.assertAlmostEqual(value, last["1"] - last["0"], delta=1e-4)
        self.assertGreater(len(got), 4)
        # Windows that begin at the contig's beginning see what the whole pass sees.
        windowed = scores(self.out("v.vcf", "-f", "c.fa", *run, "--window", "4096"))
        self.assertEqual(got, windowed)
        # The other strand is the strand of the reverse complement.
        self.write("t.fa", f">c\n{reverse_complement(self.bases)}\n")
        turned = [("c", 3001 - p, reverse_complement(r), reverse_complement(a))
                  for _, p, r, a in got if len(r) == 1 == len(a)]
        self.write("t.vcf", vcf(turned))
        there = scores(self.out("t.vcf", "-f", "t.fa", *run, "--window", "4096", "--strand", "rc"))
        for _, p, r, a in turned:
            self.assertEqual(there["c", p, r, a], windowed["c", 3001 - p, reverse_complement(r), reverse_complement(a)])


class Laws(Variants):
    RUNS = {
        "masked": ("-m", "genossm-mini-ps", "--window", "128"),
        "llr": (*CAUSAL, "--window", "256"),
        "next": (*CAUSAL, "--score", "next"),
        "next_window": (*CAUSAL, "--score", "next", "--window", "256", "--strand", "avg"),
        "embdist": ("-m", "genossm-mini-ps", "--score", "embdist", "--window", "128", "--pool-window", "32"),
    }

    def test_the_same_bytes(self):
        for name, words in self.RUNS.items():
            first = self.out(*HUMAN, *words)
            for more in (("-@", "1"), ("-@", "2"), ("--chunk", "64"), ("-@", "3", "--chunk", "192", "--memory", "1G")):
                self.assertEqual(first, self.out(*HUMAN, *words, *more), f"{name} {more}")

    def test_neighbours_and_order(self):
        text = gzip.decompress(HUMAN[0].read_bytes()).decode()
        head = "".join(l + "\n" for l in text.splitlines() if l.startswith("#"))
        body = [l for l in text.splitlines() if not l.startswith("#")]
        for name, words in self.RUNS.items():
            first = records(self.out(*HUMAN, *words))
            self.write("turned.vcf", head + "".join(l + "\n" for l in reversed(body)))
            self.assertEqual(first[::-1], records(self.out("turned.vcf", *HUMAN[1:], *words)), name)
            self.write("one.vcf", head + body[5] + "\n")
            self.assertEqual([first[5]], records(self.out("one.vcf", *HUMAN[1:], *words)), name)

    def test_memory_does_not_grow_with_variants(self):
        bases = self.random_genome(33_400, 3)
        code = ("import resource,subprocess,sys;"
                "r=subprocess.run(sys.argv[1:]).returncode;"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);sys.exit(r)")
        peaks = []
        for count in (35_000, 100_000):
            rows = [("c", p + 1, bases[p], b) for p in range(1, len(bases)) for b in "ACGT" if b != bases[p]]
            self.write("many.vcf", vcf(rows[:count], ["c"]))
            done = subprocess.run([sys.executable, "-c", code, GENOSSM, "variants", "many.vcf", "-f", "c.fa",
                                   *CAUSAL, "--score", "next", "-o", f"o{count}.vcf.gz", "-q"],
                                  cwd=self.folder, capture_output=True, check=True)
            peaks.append(int(done.stdout.split()[-1]) / 1024)
            self.assertEqual(len(scores(self.read(f"o{count}.vcf.gz"))), count)
        self.assertLess(peaks[1], peaks[0] + 16, peaks)  # MiB


class Mutate(Variants):
    REGION = ("-f", TINY / "genomes.fa.gz", "-r", "lambda:2001-2040")

    def test_equals_variants(self):
        for words in (("-m", "genossm-mini-ps", "--window", "128"), (*CAUSAL, "--window", "256")):
            self.good("mutate", *self.REGION, *words, "-o", "m.npz", "--force")
            matrix = numpy.load(self.path("m.npz"))["scores"]
            self.assertEqual(matrix.shape, (40, 4))
            self.good("mutate", *self.REGION, *words, "-o", "m.vcf", "--force")
            mine = scores(self.read("m.vcf"))
            self.assertEqual(len(mine), 120)
            self.assertEqual((matrix == 0).sum(), 40)
            for (_, pos, _, alt), value in mine.items():
                self.assertEqual(numpy.float32(value), matrix[pos - 2001, "ACGT".index(alt)])
            again = scores(self.out("m.vcf", *self.REGION[:2], *words))
            self.assertEqual(mine, again)
            self.good("mutate", *self.REGION, *words, "-o", "m.tsv", "--force")
            rows = [l.split("\t") for l in self.read("m.tsv").splitlines() if not l.startswith("#")]
            self.assertEqual({(r[0], int(r[1]), r[2], r[3]): float(r[4]) for r in rows}, mine)

    def test_indels_and_plot(self):
        import xml.etree.ElementTree
        self.good("mutate", *self.REGION, *CAUSAL, "--window", "128", "--indels", "1", "-o", "m.npz", "--plot", "m.svg")
        loaded = numpy.load(self.path("m.npz"))
        self.assertEqual(loaded["scores"].shape, (40, 9))
        self.assertTrue(numpy.isfinite(loaded["scores"]).all())
        self.assertEqual(json.loads(str(loaded["provenance"]))["columns"], "A C G T del insA insC insG insT")
        tree = xml.etree.ElementTree.parse(self.path("m.svg"))
        self.assertGreater(len(list(tree.iter())), 40 * 9)
        self.good("mutate", *self.REGION, *CAUSAL, "--window", "128", "--indels", "1", "-o", "i.vcf")
        again = scores(self.out("i.vcf", *self.REGION[:2], *CAUSAL, "--window", "128"))
        self.assertEqual(len(again), 40 * 8)

    def test_edges(self):
        self.write("n.fa", ">n\nNNACGTNN\n")
        self.good("mutate", "-f", "n.fa", "-r", "n", "-m", SMALL, "--window", "64", "-o", "n.npz")
        matrix = numpy.load(self.path("n.npz"))["scores"]
        self.assertTrue(numpy.isnan(matrix[[0, 1, 6, 7]]).all())
        self.assertTrue(numpy.isfinite(matrix[2:6]).all())
        self.refused(2, "mutate", "-f", "n.fa", says="-r")
        self.refused(3, "mutate", "-f", "n.fa", "-r", "n:1-100", says="n:1-100")


if __name__ == "__main__":
    main()
