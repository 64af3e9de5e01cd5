"""Likelihoods of real sequence against figures measured with the training code."""
import numpy

from genossm_cli import SHARED, TINY, Case, have_shared, main

YEAST = "yeast_XVI_669133_734668"


class Scores(Case):
    def bits(self, *words):
        done = self.good("score", "--per-record", *words)
        rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
        head = next(row for row in rows if row[0] == "#name")
        return float(rows[-1][head.index("bits_per_base")])

    def test_yeast(self):
        self.assertAlmostEqual(self.bits("-f", TINY / "genomes.fa.gz", "-r", YEAST), 1.876, delta=0.005)
        self.assertAlmostEqual(self.bits("-f", TINY / "genomes.fa.gz", "-r", YEAST, "--window", "8192"),
                               1.879, delta=0.005)

    def test_yeast_from_the_whole_genome(self):
        if not have_shared():
            self.skipTest("skipped: the larger real data are not here")
        genome = SHARED / "genomes/scerevisiae_R64-1-1.fa.gz"
        self.assertAlmostEqual(self.bits("-f", genome, "-r", "XVI:669133-734668"), 1.876, delta=0.005)

    def test_tracks_add_up(self):
        region = ("-f", TINY / "genomes.fa.gz", "-r", "lambda:101-1100")
        self.good("score", *region, "--track", "logp,entropy,info", "-o", "t.tsv")
        rows = [l.split("\t") for l in self.path("t.tsv").read_text().splitlines() if not l.startswith("#")]
        self.assertEqual([int(row[1]) for row in rows], list(range(101, 1101)))
        self.assertEqual(rows[0][3:], ["nan", "nan", "nan"])  # nothing stands left of the first base
        values = numpy.array([[float(v) for v in row[3:]] for row in rows[1:]])
        self.assertLess(values[:, 0].max(), 0)
        self.assertTrue((values[:, 1] <= numpy.log(4) + 1e-6).all())
        numpy.testing.assert_allclose(values[:, 2], 2 - values[:, 1] / numpy.log(2), atol=1e-5)
        self.assertAlmostEqual(self.bits(*region), -values[:, 0].mean() / numpy.log(2), delta=1e-5)

    def test_masked_equals_masking_by_hand(self):
        bases = "ACGTTGCAACGGTTACGATCGGATC"
        self.write("x.fa", f">x\n{bases}\n")
        done = self.good("score", "--masked", "-m", "genossm-mini-ps", "x.fa")
        rows = [l.split("\t") for l in done.stdout.decode().splitlines() if not l.startswith("#")]
        ids = ["ACGT".index(b) + 7 for b in bases]
        for at in (0, 11, 24):
            hidden = list(ids)
            hidden[at] = 3  # [MASK]
            numpy.save(self.path("ids.npy"), numpy.array(hidden, "<i8"))
            self.good("embed", "-m", "genossm-mini-ps", "--token-ids", "ids.npy", "--logits", "--pool", "none",
                      "-o", "o.npz", "--force")
            four = numpy.load(self.path("o.npz"))["embeddings"][at, 7:11].astype("f8")
            want = four[ids[at] - 7] - numpy.log(numpy.exp(four - four.max()).sum()) - four.max()
            self.assertAlmostEqual(float(rows[at][3]), want, delta=1e-4)

    def test_memory_does_not_grow_with_length(self):
        import resource
        import subprocess
        from genossm_cli import GENOSSM
        peaks = []
        for copies in (1, 4):
            bases = "".join(numpy.random.default_rng(1).choice(list("ACGT"), 250_000))
            self.write("long.fa", f">x\n{bases * copies}\n")
            code = ("import resource,subprocess,sys;"
                    "r=subprocess.run(sys.argv[1:]).returncode;"
                    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);sys.exit(r)")
            done = subprocess.run(["python3", "-c", code, GENOSSM, "score", "--per-record", "long.fa", "-o",
                                   f"o{copies}.tsv", "-q"], cwd=self.folder, capture_output=True, check=True)
            peaks.append(int(done.stdout.split()[-1]) / 1024)
        self.assertLess(peaks[1], peaks[0] + 16, peaks)  # MiB
        self.assertLess(peaks[1], 1000, peaks)


if __name__ == "__main__":
    main()
