"""The same bytes however the work is cut; strand-sharing models are equivariant."""
import gzip

import numpy

from genossm_cli import TINY, Case, main, read_fasta, reverse_complement


class Laws(Case):
    def setUp(self):
        super().setUp()
        genomes = read_fasta(gzip.open(TINY / "genomes.fa.gz", "rt").read())
        self.records = {"lambda": genomes["lambda"][:4701], "phix": genomes["phix174"],
                        "human": genomes["human_20_1000001_1030000"][:2500], "tiny": "ACGTN", "one": "G"}
        self.write("in.fa", "".join(f">{n}\n{s}\n" for n, s in self.records.items()))

    def same(self, name, *words, variants):
        self.good(*words, "-o", f"first.{name}")
        first = self.path(f"first.{name}").read_bytes()
        for i, more in enumerate(variants):
            self.good(*words, *more, "-o", f"{i}.{name}")
            self.assertEqual(first, self.path(f"{i}.{name}").read_bytes(), f"{words} {more}")

    CUTS = (["-@", "1"], ["-@", "2"], ["--chunk", "64"], ["--chunk", "1000"], ["--chunk", "65536"],
            ["-@", "3", "--chunk", "192", "--memory", "1G"])

    def test_embed_two_way(self):
        self.same("npz", "embed", "in.fa", variants=self.CUTS)
        self.same("tsv", "embed", "in.fa", "--window", "512", variants=self.CUTS)

    def test_embed_one_way(self):
        self.same("npz", "embed", "-m", "genossm-mini-causal", "in.fa", variants=self.CUTS)

    def test_score(self):
        self.same("tsv", "score", "in.fa", "--track", "logp,entropy", variants=self.CUTS)
        self.same("tsv.gz", "score", "in.fa", "--window", "1000", "--strand", "avg", variants=self.CUTS)

    def test_compressed_by_threads(self):
        threads = (["-@", "1"], ["-@", "2"], ["-@", "5"])
        self.same("tsv.gz", "embed", "in.fa", "--window", "512", "--layer", "0", "--pool", "none", variants=threads)
        self.same("vcf.gz", "mutate", "-f", TINY / "genomes.fa.gz", "-r", "lambda:2001-3000", "-m",
                  "genossm-mini-causal", "--score", "next", variants=threads)
        text = gzip.decompress(self.path("first.vcf.gz").read_bytes())
        self.assertGreater(len(text), 1 << 17)  # some blocks

    def test_bf16(self):
        self.same("npz", "embed", "in.fa", "--precision", "bf16", variants=self.CUTS[:4])

    def test_neighbours_and_order(self):
        for model in ("genossm-mini-ps", "genossm-mini-causal"):
            self.good("embed", "-m", model, "in.fa", "-o", f"all.{model}.npz")
            together = numpy.load(self.path(f"all.{model}.npz"))
            rows = dict(zip(together["names"].tolist(), together["embeddings"]))
            names = list(self.records)
            self.write("turned.fa", "".join(f">{n}\n{self.records[n]}\n" for n in reversed(names)))
            self.good("embed", "-m", model, "turned.fa", "-o", f"turned.{model}.npz")
            turned = numpy.load(self.path(f"turned.{model}.npz"))
            self.assertEqual(turned["names"].tolist(), names[::-1])
            self.assertTrue(numpy.array_equal(turned["embeddings"], together["embeddings"][::-1]))
            for name in names:
                self.write(f"{name}.fa", f">{name}\n{self.records[name]}\n")
                self.good("embed", "-m", model, f"{name}.fa", "-o", f"{name}.{model}.npz")
                alone = numpy.load(self.path(f"{name}.{model}.npz"))["embeddings"][0]
                self.assertTrue(numpy.array_equal(alone, rows[name]), name)

    def test_strands(self):
        """f(rc x) = rc f(x), for each stream and for the mean; per base."""
        bases = self.records["lambda"][:1777]
        self.write("x.fa", f">x\n{bases}\n")
        self.write("rc.fa", f">x\n{reverse_complement(bases)}\n")
        for strand in ("fwd", "rc", "avg"):
            for name in ("x", "rc"):
                self.good("embed", f"{name}.fa", "--pool", "none", "--strand", strand, "-o", f"{name}.{strand}.npz")
        load = lambda name, strand: numpy.load(self.path(f"{name}.{strand}.npz"))["embeddings"]
        self.assertTrue(numpy.array_equal(load("x", "fwd"), load("rc", "rc")[::-1]))
        self.assertTrue(numpy.array_equal(load("x", "avg"), load("rc", "avg")[::-1]))
        for name in ("x", "rc"):
            self.good("embed", f"{name}.fa", "--pool", "none", "--logits", "-o", f"{name}.logits.npz")
        # Rows of A C G T N (tokens 7..11) against those of their complements.
        one, two = load("x", "logits"), load("rc", "logits")[::-1]
        self.assertTrue(numpy.array_equal(one[:, [7, 8, 9, 10, 11]], two[:, [10, 9, 8, 7, 11]]))

    def test_the_recorded_command_does_not_depend_on_the_cut(self):
        done = self.good("score", "--per-record", "in.fa", "-@", "2", "--chunk", "128")
        self.assertIn(b'"command": "genossm score --per-record in.fa"', done.stdout)
        plain = self.good("score", "--per-record", "in.fa", "--no-version").stdout
        self.assertNotIn(b"command", plain)
        self.assertIn(b"model_sha256", plain)


if __name__ == "__main__":
    main()
