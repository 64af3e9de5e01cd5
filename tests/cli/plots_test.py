"""The pictures: what is drawn is what was written."""
import gzip
import re
import xml.etree.ElementTree

import numpy

from genossm_cli import TINY, Case, main, read_fasta

SVG = "{http://www.w3.org/2000/svg}"


class Plots(Case):
    def drawn(self, name):
        root = xml.etree.ElementTree.parse(self.path(name)).getroot()
        width, height = float(root.get("width")), float(root.get("height"))
        # Nothing begins outside the page.
        for text in root.iter(SVG + "text"):
            x, y = float(text.get("x")), float(text.get("y"))
            move = re.match(r"translate\(([\d.]+),([\d.]+)\)", text.get("transform", ""))
            if move:
                x, y = x + float(move.group(1)), y + float(move.group(2))
            self.assertTrue(0 <= x <= width and 0 <= y <= height, text.text)
        return root

    def texts(self, root):
        return [text.text for text in root.iter(SVG + "text")]

    def points(self, line):
        return numpy.array([[float(v) for v in point.split(",")] for point in line.get("points").split()])

    def test_score(self):
        self.write("x.fa", ">a\nACGTNNACGTTACGATTAGACAACGATTACA\n")
        self.good("score", "x.fa", "--track", "logp,info", "-o", "s.npz", "--plot", "s.svg", "-q")
        root = self.drawn("s.svg")
        words = self.texts(root)
        for word in ("ln p(base)", "information, bits", "a, 31 bases"):
            self.assertIn(word, words)
        with numpy.load(self.path("s.npz")) as data:
            values = data["scores"].astype("f8")
        # Letters of a short record, in its order.
        letters = "".join(w for w in words if len(w) == 1 and w in "ACGTN")
        self.assertEqual(letters, "ACGTNNACGTTACGATTAGACAACGATTACA")
        # The lines: heights fall as the values do, and the bases without a number are left out.
        lines = [self.points(line) for line in root.iter(SVG + "polyline")]
        for track in range(2):
            known = numpy.isfinite(values[:, track])
            runs = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], known.astype(int), [0]])))
            spans = [s for s in runs.reshape(-1, 2)]
            mine, lines = lines[: len([s for s in spans if s[1] - s[0] > 1])], lines[len([s for s in spans if s[1] - s[0] > 1]):]
            drawn = numpy.concatenate(mine)
            wanted = numpy.concatenate([values[b:e, track] for b, e in spans if e - b > 1])
            self.assertEqual(len(drawn), len(wanted))
            fit = numpy.polyfit(wanted, drawn[:, 1], 1)
            self.assertLess(fit[0], 0)  # up on the page is a smaller y
            self.assertLess(numpy.abs(numpy.polyval(fit, wanted) - drawn[:, 1]).max(), 0.02)
        self.assertEqual(lines, [])

    def test_score_of_a_long_region_and_of_many(self):
        self.good("score", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1001-9000", "-o", "l.tsv", "--plot", "l.svg", "-q")
        root = self.drawn("l.svg")
        self.assertEqual(len(list(root.iter(SVG + "polygon"))), 1)  # the band
        (line,) = root.iter(SVG + "polyline")
        self.assertEqual(len(self.points(line)), 860)
        self.assertIn("2,000", self.texts(root))
        many = ",".join(f"lambda:{i * 100 + 1}-{i * 100 + 50}" for i in range(17))
        self.refused(2, "score", "-f", TINY / "genomes.fa.gz", "-r", many, "-o", "m.tsv", "--plot", "m.svg", says="16 records")
        self.refused(2, "score", "--per-record", "-f", TINY / "genomes.fa.gz", "-o", "m.tsv", "--plot", "m.svg", says="--per-record")
        self.refused(2, "score", "-f", TINY / "genomes.fa.gz", "--shard", "1/2", "-o", "m.tsv", "--plot", "m.svg", says="--shard")
        self.refused(5, "score", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-50", "-o", "m.tsv", "--plot", "l.svg", says="l.svg")

    def test_embed(self):
        with gzip.open(TINY / "genomes.fa.gz", "rt") as file:
            genomes = read_fasta(file.read())
        text = "".join(f">{name}_{i}\n{bases[i * 500 : i * 500 + 400]}\n" for name, bases in genomes.items() for i in range(4))
        self.write("x.fa", text + ">none\n\n")
        self.good("embed", "x.fa", "-o", "e.npz", "--plot", "e.svg", "-q")
        root = self.drawn("e.svg")
        with numpy.load(self.path("e.npz")) as data:
            x = data["embeddings"].astype("f8")
        x = x[numpy.isfinite(x).all(1)]
        x -= x.mean(0)
        _, sizes, directions = numpy.linalg.svd(x, full_matrices=False)
        shares = sizes ** 2 / (sizes ** 2).sum()
        words = self.texts(root)
        self.assertIn(f"component 1 ({100 * shares[0]:.1f}% of the variance)", words)
        self.assertIn(f"component 2 ({100 * shares[1]:.1f}% of the variance)", words)
        at = numpy.array([[float(c.get("cx")), float(c.get("cy"))] for c in root.iter(SVG + "circle")])
        self.assertEqual(len(at), len(x))
        for k in range(2):
            direction = directions[k]
            direction = direction * numpy.sign(direction[numpy.abs(direction).argmax()])
            along = x @ direction
            fit = numpy.polyfit(along, at[:, k], 1)
            self.assertGreater(fit[0] * (1 if k == 0 else -1), 0)  # the sign is not left to chance
            self.assertLess(numpy.abs(numpy.polyval(fit, along) - at[:, k]).max(), 0.05)
        self.good("embed", "x.fa", "-o", "f.npz", "--plot", "f.svg", "-q", "-@", "1", "--chunk", "64")
        self.assertEqual(self.path("e.svg").read_bytes(), self.path("f.svg").read_bytes())

    def test_embed_of_regions_in_colours(self):
        self.good("embed", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1-9000,phix174:1-5000", "--pool", "bins:500",
                  "-o", "b.npz", "--plot", "b.svg", "-q")
        words = self.texts(self.drawn("b.svg"))
        self.assertIn("lambda", words)
        self.assertIn("phix174", words)
        self.refused(2, "embed", "-f", TINY / "genomes.fa.gz", "--pool", "none", "-o", "n.npz", "--plot", "n.svg", says="--pool none")
        self.refused(2, "embed", "-f", TINY / "genomes.fa.gz", "--pool", "bins:100", "--shard", "1/2", "-o", "n.npz", "--plot",
                     "n.svg", says="--shard")

    def test_one_record_and_none(self):
        self.write("one.fa", ">a\nACGTACGT\n")
        self.good("embed", "one.fa", "-o", "e.npz", "--plot", "e.svg", "-q")
        self.assertEqual(len(list(self.drawn("e.svg").iter(SVG + "circle"))), 1)
        self.write("none.fa", ">a\n\n")
        self.good("embed", "none.fa", "-o", "n.npz", "--plot", "n.svg", "-q")
        self.assertIn("no points", self.texts(self.drawn("n.svg")))
        self.good("score", "none.fa", "-o", "n.tsv", "--plot", "s.svg", "-q")
        self.assertIn("no values", self.texts(self.drawn("s.svg")))

    def test_mutate(self):
        self.good("mutate", "-f", TINY / "genomes.fa.gz", "-r", "lambda:2009-2012", "-o", "m.npz", "--plot", "m.svg", "-q")
        words = self.texts(self.drawn("m.svg"))
        self.assertIn("2010", words)
        self.assertNotIn("2009", words)  # it would lie on the next


if __name__ == "__main__":
    main()
