"""Every sequence file of the larger data: good ones are read, broken ones get their exit code, one line
and leave no output."""
import csv
import subprocess
import unittest

import numpy

from genossm_cli import SHARED, SOURCE, TINY, Case, have_shared, main

SEQUENCES = (".fa", ".fasta", ".fq", ".fastq", ".gz", ".bgz", ".sam", ".bam", ".cram")
# The references that CRAMs were written with; others hold theirs or need none.
REFERENCE = "mpileup.ref.fa"
REFERENCES = {
    "mpileup.1.cram": REFERENCE,
    "6.quickcheck.cram21.ok.cram": REFERENCE,
    "7.quickcheck.cram30.ok.cram": REFERENCE,
    "pacbio_aligned2.cram": "lambdaNEB.fa",
    "NA12878.unmapped.cram": "human_g1k_v37.20.21.1-100.fasta",
}
# Inputs of hundreds of thousands of bases: their reading is what is tested, a cheap layer does.
CHEAP = ("--layer", "0", "--progress", "none")


@unittest.skipUnless(have_shared(), "skipped: the larger real data are not here")
class Files(Case):
    def test_good(self):
        good = SHARED / "io" / "good"
        for path in sorted(good.iterdir()):
            name = path.name
            if ".vcf" in name or not name.endswith(SEQUENCES):
                continue
            with self.subTest(name):
                words = ["embed", path, "-o", f"{name}.npz", *CHEAP]
                if name in REFERENCES:
                    words += ["-f", good / REFERENCES[name]]
                self.good(*words)
                self.assertIn("embeddings", numpy.load(self.path(f"{name}.npz")).files)

    def test_counts_equal_samtools(self):
        if subprocess.run(["which", "samtools"], capture_output=True).returncode:
            self.skipTest("skipped: no samtools")
        for name in ("mpileup.1.bam", "ex1.bam", "NA12878.20.first500.bam", "pacbio_phi29.bam"):
            path = SHARED / "io" / "good" / name
            count = int(subprocess.run(["samtools", "view", "-c", "-F", "0x900", path],
                                       capture_output=True, check=True).stdout)
            self.good("embed", path, "-o", f"{name}.npz", *CHEAP)
            self.assertEqual(len(numpy.load(self.path(f"{name}.npz"))["names"]), count, name)

    def test_broken(self):
        with open(SOURCE / "tests/unit/io/broken_files.tsv") as table:
            rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
        self.assertGreater(len(rows), 50)
        for row in rows:
            path = SHARED / "io" / "broken" / row["file"]
            words = ["embed", path, "-o", "out.npz", *CHEAP]
            if path.name.endswith(".cram"):
                words += ["-f", SHARED / "io" / "good" / REFERENCE]
            with self.subTest(row["file"]):
                if row["exit"] == "0":
                    said = self.good(*words, "--force").stderr.decode()
                    self.assertIn(row["words"], said)
                    self.assertEqual("warning" in said, row["words"] != "", said)
                    self.path("out.npz").unlink()
                else:
                    self.refused(int(row["exit"]), *words, says=[row["file"], row["words"]])


class Small(Case):
    def test_reads_of_bam_and_cram_are_the_same(self):
        self.good("embed", TINY / "human_reads.bam", "-o", "a.npz", *CHEAP)
        self.good("embed", TINY / "human_reads.cram", "-f", TINY / "human_reads.ref.fa", "-o", "b.npz", *CHEAP)
        a, b = numpy.load(self.path("a.npz")), numpy.load(self.path("b.npz"))
        self.assertEqual(a["names"].tolist(), b["names"].tolist())
        self.assertTrue(numpy.array_equal(a["embeddings"], b["embeddings"]))

    def test_letters(self):
        """Lower case, U, CRLF and an empty record, against the plain form."""
        self.write("plain.fa", ">a\nACGTTGCA\n>b\n>c\nGGNT\n")
        self.write("odd.fa", ">a x\r\nacgu\r\nUGCA\r\n>b\r\n>c\r\nggRt\r\n")
        for name in ("plain", "odd"):
            self.good("embed", f"{name}.fa", "-o", f"{name}.npz")
        plain, odd = numpy.load(self.path("plain.npz")), numpy.load(self.path("odd.npz"))
        self.assertEqual(plain["lengths"].tolist(), [8, 0, 4])
        self.assertTrue(numpy.isnan(plain["embeddings"][1]).all())
        self.assertTrue(numpy.array_equal(plain["embeddings"], odd["embeddings"], equal_nan=True))

    def test_duplicate_names_are_kept_and_reported(self):
        self.write("twice.fa", ">a\nACGT\n>a\nGGGG\n")
        done = self.good("embed", "twice.fa", "-o", "o.npz", *CHEAP)
        self.assertIn(b"duplicate name", done.stderr)
        self.assertEqual(numpy.load(self.path("o.npz"))["names"].tolist(), ["a", "a"])


if __name__ == "__main__":
    main()
