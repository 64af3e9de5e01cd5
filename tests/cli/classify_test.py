"""Heads: trained from every form of labelled input, used on every form of sequence, refused in a sentence."""
import gzip
import json
import random

import numpy

from genossm_cli import SOURCE, TINY, Case, main, read_fasta, read_safetensors, reverse_complement

LENGTH = 60


def make_rows(count, seed, length=LENGTH):
    """Two classes that any head can tell apart: rich in G and C, rich in A and T."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        label = "gc" if i % 2 else "at"
        bases = "".join(draw.choices("ACGT", (1, 3, 3, 1) if label == "gc" else (3, 1, 1, 3), k=length))
        rows.append((f"r{seed}_{i}", bases, label))
    return rows


def table(rows, columns=("id", "sequence", "label")):
    where = {"id": 0, "sequence": 1, "label": 2}
    lines = ["\t".join(columns)] + ["\t".join(row[where[c]] for c in columns) for row in rows]
    return "\n".join(lines) + "\n"


class Heads(Case):
    def setUp(self):
        super().setUp()
        self.env = {"GENOSSM_CACHE": str(self.path("cache"))}
        self.train = make_rows(60, 1)
        self.test = make_rows(20, 2)
        self.write("train.tsv", table(self.train))
        self.write("test.tsv", table(self.test))

    def fit(self, *words, output="head.safetensors"):
        return self.good("train-head", "--layer", "1", "--no-version", "-o", output, "--force",
                         *(words or ("--train", "train.tsv", "--test", "test.tsv")), env=self.env)

    def head(self, name="head.safetensors"):
        return self.path(name).read_bytes()

    def metrics(self, name="m.json"):
        return json.loads(self.path(name).read_text())

    def rows(self, text):
        lines = [line.split("\t") for line in text.decode().splitlines() if not line.startswith("##")]
        return lines[0], lines[1:]

    def test_training_and_figures(self):
        done = self.fit("--train", "train.tsv", "--test", "test.tsv", "--metrics", "m.json",
                        "--predictions", "p.tsv")
        self.assertIn("accuracy", done.stdout.decode())
        m = self.metrics()
        self.assertEqual(m["train"]["classes"], {"at": 30, "gc": 30})
        self.assertEqual(m["evaluation"], "test part")
        figures = m["figures"]
        self.assertGreater(figures["accuracy"]["value"], 0.9)
        self.assertLessEqual(figures["accuracy"]["low"], figures["accuracy"]["value"])
        self.assertEqual(numpy.array(figures["confusion"]).sum(), 20)
        header, rows = self.rows(self.path("p.tsv").read_bytes())
        self.assertEqual(header, ["#id", "label", "class", "p", "p_at", "p_gc"])
        right = sum(row[1] == row[2] for row in rows) / len(rows)
        self.assertAlmostEqual(right, figures["accuracy"]["value"], places=6)
        for row in rows:
            self.assertAlmostEqual(float(row[4]) + float(row[5]), 1, places=5)
        # What classify says of the same sequences is what the test part was told.
        self.write("test.fa", "".join(f">{name}\n{bases}\n" for name, bases, _ in self.test))
        header, again = self.rows(self.good("classify", "--head", "head.safetensors", "test.fa").stdout)
        self.assertEqual(header, ["#name", "class", "p", "p_at", "p_gc"])
        self.assertEqual([r[1:] for r in again], [r[2:] for r in rows])

    def test_same_bytes(self):
        self.fit("--train", "train.tsv", "--test", "test.tsv", "--no-cache", "-@", "1")
        one = self.head()
        self.assertFalse(self.path("cache").exists())
        self.fit("--train", "train.tsv", "--test", "test.tsv", "-@", "2", "--chunk", "64")
        self.assertEqual(one, self.head())
        self.assertEqual(len(list(self.path("cache").iterdir())), 2)
        self.fit("--train", "train.tsv", "--test", "test.tsv", "--summary", "s.json")
        self.assertEqual(one, self.head())
        counts = json.loads(self.path("s.json").read_text())["counts"]
        self.assertEqual(counts["records with features from the cache"], 80)
        # A damaged cache is none.
        for file in self.path("cache").iterdir():
            file.write_bytes(file.read_bytes()[:-100])
        self.fit()
        self.assertEqual(one, self.head())
        for kind in ("softmax", "mlp"):
            heads = []
            for threads in ("1", "2"):
                self.fit("--train", "train.tsv", "--type", kind, "--seed", "7", "-@", threads)
                heads.append(self.head())
            self.assertEqual(*heads, kind)

    def test_forms_of_input(self):
        self.fit()
        want = self.head()
        self.write("gz.tsv.gz", gzip.compress(table(self.train, ("label", "sequence", "id")).encode()))
        self.fit("--train", "gz.tsv.gz", "--test", "test.tsv")
        self.assertEqual(want, self.head())
        renamed = table(self.train).replace("sequence", "dna", 1).replace("label", "class", 1)
        self.write("renamed.tsv", renamed)
        self.fit("--train", "renamed.tsv", "--sequence-column", "dna", "--label-column", "class")
        self.fit("--train", "train.tsv")
        without_test = self.head()
        self.fit("--train", "renamed.tsv", "--sequence-column", "dna", "--label-column", "class")
        self.assertEqual(without_test, self.head())
        self.write("after.fa", "".join(f">{n} {c} more words\n{b}\n" for n, b, c in self.train))
        self.write("plain.fa", "".join(f">{n}\n{b}\n" for n, b, _ in self.train))
        self.write("labels.tsv", "".join(f"{n}\t{c}\n" for n, _, c in self.train))
        self.fit("--train", "after.fa")
        self.assertEqual(without_test, self.head())
        self.fit("--train", "plain.fa", "--labels", "labels.tsv")
        self.assertEqual(without_test, self.head())
        # The same as intervals of one contig.
        self.write("ref.fa", ">c\n" + "".join(b for _, b, _ in self.train) + "\n")
        self.write("train.bed", "".join(
            f"c\t{i * LENGTH}\t{(i + 1) * LENGTH}\t{n}\t{c}\n" for i, (n, _, c) in enumerate(self.train)))
        self.fit("--train", "train.bed", "-f", "ref.fa", "--label-column", "5")
        self.assertEqual(without_test, self.head())

    def test_regression(self):
        rows = [(n, b, str(sum(x in "GC" for x in b) / len(b))) for n, b, _ in self.train]
        self.write("r.tsv", table(rows))
        self.fit("--train", "r.tsv", "--type", "ridge", "--metrics", "m.json")
        m = self.metrics()
        self.assertEqual(m["evaluation"], "5-fold cross-validation")
        self.assertGreater(m["figures"]["pearson"]["value"], 0.9)
        self.write("x.fa", f">gc\n{'GC' * 30}\n>at\n{'AT' * 30}\n")
        header, rows = self.rows(self.good("classify", "--head", "head.safetensors", "x.fa").stdout)
        self.assertEqual(header, ["#name", "value"])
        self.assertGreater(float(rows[0][1]), float(rows[1][1]))

    def test_leaks(self):
        leaky = self.test + [("copy", self.train[0][1], "at"),
                             ("turned", reverse_complement(self.train[1][1]).lower(), "gc")]
        self.write("leaky.tsv", table(leaky))
        done = self.fit("--train", "train.tsv", "--test", "leaky.tsv", "--metrics", "m.json")
        self.assertIn("--drop-leaks", done.stderr.decode())
        self.assertEqual(self.metrics()["leaks"]["test_records"], 2)
        self.assertEqual(self.metrics()["leaks"]["as_reverse_complement"], 1)
        self.fit("--train", "train.tsv", "--test", "leaky.tsv", "--metrics", "m.json", "--drop-leaks")
        self.assertEqual(self.metrics()["train"]["records"], 58)
        self.assertEqual(self.metrics()["leaks"]["dropped_from_train"], 2)

    def test_refusals_of_training(self):
        def refuse(code, name, text, says, *words):
            self.write(name, text)
            self.refused(code, "train-head", "--train", name, "--layer", "1", "-o", "no.safetensors", *words,
                         says=says, env=self.env)

        whole = table(self.train)
        refuse(3, "one.tsv", table([r for r in self.train if r[2] == "at"]), ("one.tsv", "'at'"))
        refuse(3, "empty.tsv", "", "is empty")
        refuse(3, "none.tsv", "id\tsequence\tlabel\n", "holds no records")
        refuse(3, "column.tsv", whole.replace("label", "class", 1), ("column.tsv:1", "'label'", "class"))
        refuse(3, "label.tsv", whole + "x\tACGT\t\n", ("label.tsv:62", "the label is empty"))
        refuse(3, "bases.tsv", whole + "x\t\tat\n", ("bases.tsv:62", "the sequence is empty"))
        refuse(3, "letters.tsv", whole + "x\tACGTQ\tat\n", ("letters.tsv:62", "'Q'"))
        refuse(3, "fields.tsv", whole + "x\tACGT\n", ("fields.tsv:62", "2 columns"))
        refuse(3, "long.tsv", whole + f"x\t{'ACGT' * 2000}\tat\n", ("long.tsv:62", "8000", "--window"))
        refuse(3, "nan.tsv", "sequence\tlabel\nACGT\t1\nACGG\tnan\n", ("nan.tsv:3", "'nan'"), "--type",
               "ridge")
        refuse(3, "word.tsv", "sequence\tlabel\nACGT\t1\nACGG\ttwo\n", ("word.tsv:3", "'two'"), "--type",
               "ridge")
        refuse(3, "ids.tsv", table([(n, b, n) for n, b, _ in self.train]), "--label-column")
        refuse(3, "nolabel.fa", ">a at\nACGT\n>b\nACGT\n", ("'b'", "no label"))
        self.write("bad.tsv", table(self.test + [("x", "ACGTACGT", "new")]))
        self.refused(3, "train-head", "--train", "train.tsv", "--test", "bad.tsv", "--layer", "1",
                     says=("bad.tsv:22", "'new'", "at, gc"), env=self.env)
        self.refused(4, "train-head", "--train", "gone.tsv", says="gone.tsv")
        self.refused(2, "train-head", "--train", "train.tsv", "--cv", "1", says="--cv")
        self.refused(2, "train-head", "--train", "train.tsv", "--pool", "segments", says="segments")
        self.refused(2, "train-head", "--train", "train.tsv", "--type", "forest", says="forest")
        self.write("here.safetensors", "x")
        self.refused(5, "train-head", "--train", "train.tsv", "-o", "here.safetensors", says="--force")

    def test_mixed_lengths_are_told(self):
        self.write("mixed.tsv", table(self.train + make_rows(10, 3, 90)))
        self.assertIn("60 to 90 bases", self.fit("--train", "mixed.tsv").stderr.decode())

    def test_windows(self):
        self.fit()
        long = "GC" * 60 + "AT" * 75  # 270 bases, five windows of 60
        self.write("long.fa", f">long\n{long}\n>empty\n>short\nGCGCGCGC\n")
        header, rows = self.rows(
            self.good("classify", "--head", "head.safetensors", "long.fa", "--per-window").stdout)
        self.assertEqual(header, ["#name", "start", "end", "class", "p", "p_at", "p_gc"])
        self.assertEqual([(r[0], r[1], r[2]) for r in rows],
                         [("long", "0", "60"), ("long", "60", "120"), ("long", "120", "180"),
                          ("long", "180", "240"), ("long", "210", "270"), ("empty", "0", "0"),
                          ("short", "0", "8")])
        self.assertEqual([r[3] for r in rows[:5]], ["gc", "gc", "at", "at", "at"])
        p = numpy.array([[float(x) for x in r[5:]] for r in rows[:5]])
        for combine, want in (("mean", p.mean(0)), ("max", p.max(0) / p.max(0).sum())):
            _, one = self.rows(
                self.good("classify", "--head", "head.safetensors", "long.fa", "--combine", combine).stdout)
            numpy.testing.assert_allclose([float(x) for x in one[0][3:]], want, rtol=1e-5)
            self.assertEqual(one[1][1:3], [".", "nan"])
        _, top = self.rows(self.good("classify", "--head", "head.safetensors", "long.fa", "--top", "1",
                                     "--min-prob", "0.999999").stdout)
        self.assertEqual(top[0][1], ".")
        self.assertEqual(len(top[0]), 3)

    def test_regions(self):
        self.fit()
        self.write("ref.fa", f">c\n{'GC' * 60}{'AT' * 60}\n")
        self.write("r.bed", "c\t0\t60\tfirst\nc\t150\t210\tsecond\n")
        header, rows = self.rows(
            self.good("classify", "--head", "head.safetensors", "-f", "ref.fa", "-R", "r.bed").stdout)
        self.assertEqual(header[:5], ["#name", "contig", "start", "end", "class"])
        self.assertEqual([r[:5] for r in rows],
                         [["first", "c", "0", "60", "gc"], ["second", "c", "150", "210", "at"]])

    def test_alignments(self):
        self.fit()
        self.write("in.sam", "@HD\tVN:1.6\n@SQ\tSN:c\tLN:1000\n@PG\tID:map\tPN:map\n"
                   + "\n".join(f"{name}\t{flag}\t{'c' if flag != 4 else '*'}\t{1 if flag != 4 else 0}\t0\t"
                               f"{'20M' if flag != 4 else '*'}\t*\t0\t0\t{bases}\t*{tags}"
                               for name, flag, bases, tags in
                               [("a", 0, "GC" * 10, "\tgc:Z:old\tNM:i:1"), ("a", 256, "GC" * 10, ""),
                                ("b", 16, "AT" * 10, ""), ("b", 2064, "AT" * 10, ""), ("c", 4, "*", ""),
                                ("d", 4, "GC" * 10, "")]) + "\n")
        self.good("classify", "--head", "head.safetensors", "in.sam", "-o", "out.sam")
        lines = self.path("out.sam").read_text().splitlines()
        head = [line for line in lines if line.startswith("@")]
        self.assertTrue(any(line.startswith("@PG\tID:genossm") and "PP:map" in line for line in head), head)
        records = [line.split("\t") for line in lines if not line.startswith("@")]
        self.assertEqual([(r[0], r[1]) for r in records],
                         [("a", "0"), ("a", "256"), ("b", "16"), ("b", "2064"), ("c", "4"), ("d", "4")])
        tags = [[x for x in r[11:] if x.startswith("gc")] for r in records]
        self.assertEqual(tags, [["gc:Z:gc"], [], ["gc:Z:at"], [], [], ["gc:Z:gc"]])
        self.assertIn("NM:i:1", records[0])
        _, rows = self.rows(self.good("classify", "--head", "head.safetensors", "in.sam").stdout)
        numpy.testing.assert_allclose(
            [float(x[5:]) for r in records for x in r[11:] if x.startswith("gq")],
            [float(r[2]) for r in rows], rtol=1e-5)
        # BAM in, BAM out, and the same again from what was written.
        self.good("classify", "--head", "head.safetensors", "in.sam", "-o", "out.bam", "--no-version")
        self.good("classify", "--head", "head.safetensors", "out.bam", "-o", "again.bam", "--no-version")
        self.assertEqual(self.path("out.bam").read_bytes(), self.path("again.bam").read_bytes())
        self.write("x.fa", ">x\nACGT\n")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "-o", "x.bam", says="SAM, BAM or CRAM")

    def test_bundled_head(self):
        self.good("classify", TINY / "human_reads.bam", "-o", "reads.bam")
        header, rows = self.rows(self.good("classify", "-f", TINY / "genomes.fa.gz", "-R",
                                           TINY / "peaks.bed").stdout)
        self.assertEqual(header[4:6], ["class", "p"])
        self.assertEqual(len(rows), 4)
        classes = [name[2:] for name in header[6:]]
        self.assertEqual(len(classes), 9)
        self.assertTrue({r[4] for r in rows} <= set(classes))

    def test_refusals(self):
        self.fit()
        self.write("x.fa", ">x\nACGT\n")
        self.refused(6, "classify", "--head", "head.safetensors", "-m", "genossm-mini-causal", "x.fa",
                     says=("genossm-mini-ps", "genossm-mini-causal"))
        self.refused(6, "classify", "-m", "genossm-mini-ps", "x.fa", says="no classification head")
        self.refused(4, "classify", "--head", "nothing", "x.fa", says="nothing")
        self.write("cut.safetensors", self.head()[:-40])
        self.refused(6, "classify", "--head", "cut.safetensors", "x.fa", says="cut.safetensors")
        self.refused(6, "classify", "--head", SOURCE / "data/models/genossm-mini-ps/model.safetensors", "x.fa",
                     says="is no head")
        tensors = self.head().replace(b'\\"labels\\": [\\"at\\", \\"gc\\"]', b'\\"labels\\": [\\"at\\", \\"at\\"]')
        self.assertNotEqual(tensors, self.head())
        self.write("same.safetensors", tensors)
        self.refused(6, "classify", "--head", "same.safetensors", "x.fa", says="same.safetensors")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "--window", "5000", says="4096")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "--top", "3", says="2 classes")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "--combine", "sum", says="sum")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "--pool", "max", says="--pool")
        self.refused(2, "classify", "--head", "head.safetensors", "x.fa", "--logits", says="--logits")


class PublishedHeads(Case):
    """CaduceusForSequenceClassification, as its authors' code computes it."""

    def test_golden(self):
        seen = 0
        for case in sorted((SOURCE / "tests/golden/caduceus").glob("seqcls_*")):
            with self.subTest(case.name):
                seen += 1
                how = json.loads((case / "case.json").read_text())
                words = ["--pool", how["pooling_strategy"], "--special-tokens",
                         "published" if how["add_special_tokens"] else "none"]
                if how["conjoin_eval"]:
                    words.append("--conjoin")
                done = self.good("classify", "-m", case, case / "input.fa", "--logits", "--no-version", *words)
                row = done.stdout.decode().splitlines()[1].split("\t")
                want = read_safetensors(case / "expected.safetensors")["logits"][0]
                got = numpy.array([float(x) for x in row[3:]])
                self.assertEqual(got.shape, want.shape)
                self.assertLessEqual(abs(got - want).max(), 2e-5 * abs(want).max())
                done = self.good("classify", "-m", case, case / "input.fa", "--no-version", *words)
                p = numpy.array([float(x) for x in done.stdout.decode().splitlines()[1].split("\t")[3:]])
                numpy.testing.assert_allclose(p, numpy.exp(want) / numpy.exp(want).sum(), rtol=1e-4)
                if not how["conjoin_eval"]:
                    ids = read_safetensors(case / "expected.safetensors")["input_ids"][0]
                    numpy.save(self.path("ids.npy"), ids.astype("<i8"))
                    done = self.good("classify", "-m", case, "--token-ids", "ids.npy", "--logits",
                                     "--no-version", *words)
                    row = done.stdout.decode().splitlines()[1].split("\t")
                    numpy.testing.assert_allclose([float(x) for x in row[3:]], want, atol=2e-5 * abs(want).max())
        self.assertEqual(seen, 4)


if __name__ == "__main__":
    main()
