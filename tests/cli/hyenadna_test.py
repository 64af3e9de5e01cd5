"""HyenaDNA models through the program: windows, limits, the same bytes however the work is cut, variants."""
import json
import random

import numpy

from genossm_cli import SOURCE, Case, main, read_safetensors, write_safetensors

GOLDEN = SOURCE / "tests/golden/hyenadna"
MODEL = GOLDEN / "tied_hf/model.safetensors"  # filters of 258 tokens
LONG = GOLDEN / "long_hf/model.safetensors"  # of 6,002


def bases(n, seed):
    return "".join(random.Random(seed).choices("ACGT", k=n))


class HyenaDna(Case):
    def setUp(self):
        super().setUp()
        self.contig = bases(900, 1)
        self.write("x.fa", ">c\n" + self.contig + "\n>d\n" + bases(100, 2) + "\n>e\n" + bases(6000, 3) + "\n")

    def bytes_of(self, *words):
        self.good(*words, "-o", "out.npz", "--force", "--no-version", "-q")
        return self.path("out.npz").read_bytes()

    def test_the_same_bytes_however_the_work_is_cut(self):
        for command in (("embed", "-m", LONG, "x.fa", "--pool", "none"), ("embed", "-m", MODEL, "x.fa")):
            want = self.bytes_of(*command, "-@", "1")
            for cut in (("-@", "3"), ("--chunk", "64"), ("-@", "2", "--chunk", "100000")):
                self.assertEqual(want, self.bytes_of(*command, *cut), cut)
        want = self.good("score", "-m", LONG, "x.fa", "--no-version", "-q", "-@", "1").stdout
        for cut in (("-@", "3"), ("--chunk", "64"), ("-@", "2", "--chunk", "100000")):
            self.assertEqual(want, self.good("score", "-m", LONG, "x.fa", "--no-version", "-q", *cut).stdout)

    def test_a_record_does_not_depend_on_its_neighbours(self):
        self.write("d.fa", ">d\n" + bases(100, 2) + "\n")
        whole = self.good("embed", "-m", LONG, "x.fa", "-q").stdout.splitlines()
        alone = self.good("embed", "-m", LONG, "d.fa", "-q").stdout.splitlines()
        self.assertEqual(alone[-1], whole[-2])

    def test_records_longer_than_the_filters_are_cut_into_windows(self):
        # 256 bases: the filters leave room for two special tokens.
        rows = self.bytes_of("embed", "-m", MODEL, "x.fa", "--pool", "none")
        got = numpy.load(self.path("out.npz"))["embeddings"]
        self.assertEqual(len(got), 7000)
        self.assertEqual(rows, self.bytes_of("embed", "-m", MODEL, "x.fa", "--pool", "none", "--window", "256"))
        self.write("w.fa", ">w\n" + self.contig[256:512] + "\n")
        self.bytes_of("embed", "-m", MODEL, "w.fa", "--pool", "none")
        alone = numpy.load(self.path("out.npz"))["embeddings"]
        self.assertTrue((alone == got[256:512]).all())

    def test_lengths_beyond_the_filters_are_refused(self):
        says = ("258", "--window")
        self.refused(2, "embed", "-m", MODEL, "x.fa", "--window", "300", "-o", "a.npz", says=says)
        self.refused(2, "score", "-m", MODEL, "x.fa", "--window", "259", "-o", "a.tsv", says=says)
        # One special token is added to a window of 258 bases.
        self.refused(2, "embed", "-m", MODEL, "x.fa", "--window", "258", "-o", "a.npz", says=says)
        self.good("embed", "-m", MODEL, "x.fa", "--window", "257", "-q")
        numpy.save(self.path("ids.npy"), numpy.full(259, 7, "<i8"))
        self.refused(2, "embed", "-m", MODEL, "--token-ids", "ids.npy", "-o", "a.npz", says=says)
        self.write("v.tsv", "chrom\tpos\tref\talt\nc\t300\t" + self.contig[299] + "\t" +
                   ("A" if self.contig[299] != "A" else "C") + "\n")
        for score in ("llr", "embdist", "next"):
            self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", MODEL, "--score", score, "--window", "300",
                         "-o", "a.tsv", says="258", leaves_nothing=False)
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", MODEL, "--score", "next", "-o", "a.tsv",
                     says="--window", leaves_nothing=False)
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", MODEL, "--settle", "0.1", "-o", "a.tsv",
                     says="--settle", leaves_nothing=False)

    def llr(self, *options):
        text = self.good("variants", "v.tsv", "-f", "x.fa", "-m", MODEL, "-q", *options).stdout.decode()
        rows = [line.split("\t") for line in text.splitlines() if not line.startswith("##")]
        at = rows[0].index("GSSM_LLR")
        self.assertEqual({row[-1] for row in rows[1:]}, {"OK"})
        return [float(row[at]) for row in rows[1:]]

    def logp(self, name, text):
        self.write(name, ">s\n" + text + "\n")
        rows = self.good("score", "-m", MODEL, name, "-q").stdout.decode().splitlines()
        return numpy.array([float(r.split("\t")[3]) for r in rows if not r.startswith("#")])

    def test_variants_are_what_score_says_of_both_windows(self):
        other = {"A": "C", "C": "G", "G": "T", "T": "A"}
        places = (301, 340, 640)
        self.write("v.tsv", "chrom\tpos\tref\talt\n" + "".join(
            f"c\t{p}\t{self.contig[p - 1]}\t{other[self.contig[p - 1]]}\n" for p in places))
        llr = self.llr("--score", "llr", "--window", "192", "--grid", "64", "-@", "2")
        # A window begins at a multiple of the grid, its suffix of 96 bases at the variant.
        for p, got in zip(places, llr):
            at = p - 1
            begin = max(0, at - 96) // 64 * 64
            change = self.contig[:at] + other[self.contig[at]] + self.contig[at + 1:]
            ref, alt = (self.logp("w.fa", text[begin:at + 96]) for text in (self.contig, change))
            self.assertAlmostEqual(got, float((alt[at - begin:] - ref[at - begin:]).sum()), 3)
        # One at a time, and on other threads: the same digits.
        every = {}
        for score in ("llr", "next"):
            options = ("--score", score, "--window", "192", "--grid", "64")
            every[score] = self.llr(*options, "-@", "1")
            self.assertEqual(every[score], self.llr(*options, "-@", "3"))
        lines = self.path("v.tsv").read_text().splitlines()
        for i, line in enumerate(lines[1:]):
            self.write("v.tsv", lines[0] + "\n" + line + "\n")
            for score in ("llr", "next"):
                self.assertEqual(self.llr("--score", score, "--window", "192", "--grid", "64"), [every[score][i]])

    def test_lower_case_is_unknown(self):
        self.write("l.fa", ">l\n" + bases(40, 5).lower() + "\n")
        self.write("u.fa", ">l\n" + "R" * 40 + "\n")
        self.assertEqual(self.bytes_of("embed", "-m", MODEL, "l.fa", "--pool", "none"),
                         self.bytes_of("embed", "-m", MODEL, "u.fa", "--pool", "none"))

    def test_lower_case_can_be_read_as_upper_case(self):
        self.write("l.fa", ">l\n" + bases(40, 5).lower() + "\n")
        self.write("u.fa", ">l\n" + bases(40, 5) + "\n")
        upper = self.good("embed", "-m", MODEL, "u.fa", "-q", "--no-version").stdout
        lower = self.good("embed", "-m", MODEL, "l.fa", "-q", "--no-version", "--lowercase", "upper").stdout
        self.assertEqual(upper.splitlines()[1:], lower.splitlines()[1:])
        self.assertIn(b'"lowercase": "upper"', lower.splitlines()[0])
        numpy.save(self.path("ids.npy"), numpy.full(9, 7, "<i8"))
        self.refused(2, "embed", "-m", MODEL, "--token-ids", "ids.npy", "--lowercase", "upper", says=("--lowercase",))
        self.refused(2, "embed", "-m", MODEL, "l.fa", "--lowercase", "lower", says=("published, upper",))

    def test_a_head_remembers_how_lower_case_was_read(self):
        rows = [f"{letter * 30}\t{letter}" for letter in "ac" for _ in range(8)]
        self.write("t.tsv", "sequence\tlabel\n" + "\n".join(rows) + "\n")
        self.good("train-head", "-m", MODEL, "--train", "t.tsv", "--lowercase", "upper", "--no-cache", "--cv", "2",
                  "--resamples", "0", "-o", "h.safetensors", "-q")
        self.write("r.fa", ">low\n" + "c" * 30 + "\n>up\n" + "C" * 30 + "\n")
        words = ("classify", "-m", MODEL, "--head", "h.safetensors", "r.fa", "-q")
        low, up = self.good(*words).stdout.decode().splitlines()[-2:]
        self.assertEqual(low.split("\t")[1:], up.split("\t")[1:])
        self.assertEqual(low.split("\t")[1], "c")
        self.refused(2, *words, "--lowercase", "upper", says=("--lowercase",))

    def test_a_frequency_that_is_no_parameter(self):
        stored = {k: v for k, v in read_safetensors(MODEL).items() if v.dtype == numpy.float32}
        bare = {k: v for k, v in stored.items() if not k.endswith(".freq")}
        stored = {k: numpy.full_like(v, 7) if k.endswith(".freq") else v for k, v in stored.items()}
        config = json.loads((MODEL.parent / "config.json").read_text())
        vectors = []
        for name, tensors, more in (("stored", stored, {}),
                                    ("bare", bare, {"train_freq": False, "activation_freq": 7})):
            self.path(name).mkdir()
            self.write(name + "/config.json", json.dumps(config | more))
            write_safetensors(self.path(name) / "model.safetensors", tensors)
            self.good("embed", "-m", name, "x.fa", "-o", name + ".npy", "-q")
            vectors.append(numpy.load(self.path(name + ".npy")))
        self.assertTrue((vectors[0] == vectors[1]).all())
        self.write("bare/config.json", json.dumps(config))
        self.refused(6, "embed", "-m", "bare", "x.fa", "-o", "a.npy", says="implicit_filter.1.freq")

    def test_inspect_states_the_limit(self):
        text = self.good("inspect", MODEL, "--plan").stdout.decode()
        self.assertIn("258 tokens at most", text)
        self.assertIn("layer-major", text)
        self.assertIn("256 bases, from the length of its filters", text)

class Heads(Case):
    """Heads of fine-tuned checkpoints, beside the formula over the rows that embed writes."""

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(3)
        self.text = bases(90, 7)
        self.write("x.fa", f">r\n{self.text}\n")
        self.tensors = {k: v for k, v in read_safetensors(MODEL).items() if v.dtype == numpy.float32}
        del self.tensors["lm_head.weight"]

    def save(self, name, config, tensors):
        self.path(name).mkdir()
        self.write(name + "/config.json", json.dumps(config))
        write_safetensors(self.path(name) / "model.safetensors", tensors)
        return self.path(name)

    def hidden(self, model, ids):
        numpy.save(self.path("ids.npy"), numpy.array(ids, "<i8"))
        self.good("embed", "-m", model, "--token-ids", "ids.npy", "--pool", "none", "-o", "h.npy", "--force", "-q")
        return numpy.load(self.path("h.npy")).astype("f8")

    def values(self, *words):
        rows = self.good("classify", *words, "-q", "--no-version").stdout.decode().splitlines()
        return [row.split("\t") for row in rows if not row.startswith("##")]

    def ids(self, before=(), after=()):
        return [*before, *("ACGT".index(c) + 7 for c in self.text), *after]

    def test_the_last_token_of_the_transformers_layout(self):
        head = self.random.standard_normal((3, 32)).astype("f4")
        config = json.loads((MODEL.parent / "config.json").read_text())
        config["architectures"] = ["HyenaDNAForSequenceClassification"]
        config["id2label"] = {"0": "promoter", "1": "enhancer", "2": "none"}
        model = self.save("hf", config, {**self.tensors, "score.weight": head})
        want = head @ self.hidden(model, self.ids(after=(1,)))[-1]
        rows = self.values("-m", model, "x.fa", "--logits")
        self.assertEqual(rows[0][3:], ["logit_promoter", "logit_enhancer", "logit_none"])
        self.assertEqual(rows[1][1], ["promoter", "enhancer", "none"][want.argmax()])
        numpy.testing.assert_allclose([float(x) for x in rows[1][3:]], want, rtol=1e-4, atol=1e-5)
        p = [float(x) for x in self.values("-m", model, "x.fa")[1][3:]]
        numpy.testing.assert_allclose(p, numpy.exp(want) / numpy.exp(want).sum(), rtol=1e-4)
        bare = head @ self.hidden(model, self.ids())[-1]
        got = self.values("-m", model, "x.fa", "--logits", "--special-tokens", "none")[1][3:]
        numpy.testing.assert_allclose([float(x) for x in got], bare, rtol=1e-4, atol=1e-5)
        self.assertGreater(abs(bare - want).max(), 1e-2)
        # What the head was not made for; and sequences longer than the filters are cut.
        for words in (("--pool", "mean"), ("--conjoin",)):
            self.refused(2, "classify", "-m", model, "x.fa", "-o", "c.tsv", *words, says=words[0])
        self.write("long.fa", ">l\n" + bases(600, 8) + "\n")
        self.assertEqual(len(self.values("-m", model, "long.fa", "--per-window")), 1 + 3)

    def test_the_mean_of_the_original_layout(self):
        head, bias = (self.random.standard_normal(s).astype("f4") for s in ((2, 32), 2))
        config = json.loads((GOLDEN / "tied_ckpt/config.json").read_text())
        tensors = {k.removeprefix("hyena."): v for k, v in self.tensors.items()}
        model = self.save("own", config, {**tensors, "head.output_transform.weight": head,
                                          "head.output_transform.bias": bias})
        rows = self.values("-m", model, "x.fa", "--logits", "--special-tokens", "none")
        want = head @ self.hidden(model, self.ids()).mean(0) + bias
        numpy.testing.assert_allclose([float(x) for x in rows[1][3:]], want, rtol=1e-4, atol=1e-5)
        self.refused(2, "classify", "-m", model, "x.fa", "-o", "c.tsv", "--pool", "max", says="--pool")

    def test_a_decoder_whose_input_is_not_told_is_not_used(self):
        config = json.loads((GOLDEN / "tied_ckpt/config.json").read_text())
        tensors = {k.removeprefix("hyena."): v for k, v in self.tensors.items()}
        tensors["decoder.0.output_transform.weight"] = numpy.zeros((2, 32), "f4")
        tensors["decoder.0.output_transform.bias"] = numpy.zeros(2, "f4")
        model = self.save("tuned", config, tensors)
        self.assertIn(b"decoder.0.output_transform.weight", self.good("embed", "-m", model, "x.fa").stderr)
        self.refused(6, "classify", "-m", model, "x.fa", "-o", "c.tsv", says="no classification head")


if __name__ == "__main__":
    main()
