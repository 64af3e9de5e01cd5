"""Evo 1 and Evo 2 models through the program: published scores, the same bytes however the work is cut, variants,
generation, 8-bit scales, models without a config, plans."""
import random
import subprocess
import sys

import numpy

from genossm_cli import SOURCE, Case, main, read_fasta

EVO1 = SOURCE / "tests/golden/stripedhyena1/tiny_hf/model.safetensors"
EVO2 = SOURCE / "tests/golden/stripedhyena2/tiny_bf16_pt/model.pt"


def stored(path, name):
    import json
    import struct
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])[name]
    begin, end = entry["data_offsets"]
    return numpy.frombuffer(data[8 + size + begin:8 + size + end], "<f4").reshape(entry["shape"])


def bases(n, seed):
    return "".join(random.Random(seed).choices("ACGT", k=n))


class Striped(Case):
    def setUp(self):
        super().setUp()
        self.contig = bases(700, 1)
        self.write("x.fa", ">c\n" + self.contig + "\n>d\n" + bases(65, 2) + "nNaR\n")

    def rows(self, *words):
        text = self.good(*words, "-q").stdout.decode()
        return [line.split("\t") for line in text.splitlines() if not line.startswith("##")]

    def sums(self, model, fasta, *options):
        rows = self.rows("score", "-m", model, fasta, "--per-record", *options)
        return [(int(row[2]), float(row[3])) for row in rows[1:]]

    def test_scores_are_the_published_ones(self):
        # Evo 1 begins with a token of its own and scores every base, Evo 2 all but the first.
        for model, bos, less in ((EVO1, "off", 0), (EVO2, "on", 1)):
            folder = model.parent
            want = stored(folder / "expected.safetensors", "score_sum_mean")[0]
            lines = (folder / "input.fa").read_text().splitlines()
            length = sum(len(line) for line in lines if line[0] != ">")
            n, got = self.sums(model, folder / "input.fa")[0]
            self.assertEqual(n, length - less)
            self.assertLess(abs(got - want), 1e-4 * abs(want))
            other = self.sums(model, folder / "input.fa", "--bos", bos)[0]
            self.assertEqual(other[0], length - 1 + less)
            self.assertNotEqual(other[1], got)
            # Over four bases there are fewer to share the probability, and fewer letters to score.
            four = self.sums(model, folder / "input.fa", "--alphabet", "acgt")[0]
            self.assertLess(four[0], n)
        self.refused(2, "score", "-m", EVO1, "x.fa", "--bos", "yes", "-o", "a.tsv", says="--bos")
        self.refused(2, "score", "x.fa", "--bos", "on", "-o", "a.tsv", says="--bos")

    def test_the_same_bytes_however_the_work_is_cut(self):
        for model in (EVO1, EVO2):
            for command in (("score", "-m", model, "x.fa"), ("embed", "-m", model, "x.fa", "--pool", "none"),
                            ("embed", "-m", model, "x.fa", "--strand", "avg"),
                            ("score", "-m", model, "x.fa", "--window", "200", "--strand", "rc")):
                want = self.good(*command, "--no-version", "-q", "-@", "1").stdout
                for cut in (("-@", "3"), ("--chunk", "64"), ("-@", "2", "--chunk", "100000")):
                    self.assertEqual(want, self.good(*command, "--no-version", "-q", *cut).stdout, cut)

    def variants(self, *options):
        rows = self.rows("variants", "v.tsv", "-f", "x.fa", "-m", EVO2, *options)
        at = rows[0].index("GSSM_LLR")
        self.assertEqual({row[-1] for row in rows[1:]}, {"OK"})
        return [float(row[at]) for row in rows[1:]]

    def test_variants_share_their_prefix_with_the_bits_of_whole_windows(self):
        places = (150, 151, 300, 310, 500)
        lines = ["chrom\tpos\tref\talt"]
        for i, at in enumerate(places):
            ref = self.contig[at - 1]
            alt = "ACGT"[("ACGT".index(ref) + 1 + i % 3) % 4]
            lines.append(f"c\t{at}\t{ref}\t{alt}" + ("GA" if i == 3 else ""))
        self.write("v.tsv", "\n".join(lines) + "\n")
        shared = self.variants("--window", "256")
        self.assertEqual(shared, self.variants("--window", "256", "--no-reuse"))
        self.assertEqual(shared, self.variants("--window", "256", "-@", "3", "--chunk", "64"))
        # The published score: mean over the window's transitions, all tokens, against two runs of score.
        window = ("--window", "256", "--reduce", "mean", "--length-rule", "equal", "--grid", "1")
        got = self.variants(*window)[0]
        begin = places[0] - 1 - 128
        ref = self.contig[begin:begin + 256]
        alt = lines[1].split("\t")[3]
        self.write("two.fa", f">r\n{ref}\n>a\n{ref[:128]}{alt}{ref[129:]}\n")
        (n, r), (m, a) = self.sums(EVO2, "two.fa")
        self.assertEqual((n, m), (255, 255))
        self.assertLess(abs(got - (a - r) / 255), 2e-5)
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", EVO2, "--settle", "0.1", "-o", "a.tsv",
                     says="--settle", leaves_nothing=False)

    def test_a_saved_state_goes_on_with_the_same_bases(self):
        for model in (EVO1, EVO2):
            def new(*options):
                text = self.good("generate", "-m", model, *options, "-q").stdout.decode()
                return read_fasta(text)["generated_1_1"]
            whole = new("--prompt", "ACGTTGCA", "--length", "150", "--seed", "3", "--top-k", "4")
            for cut in (1, 57, 120):
                first = new("--prompt", "ACGTTGCA", "--length", cut, "--seed", "3", "--top-k", "4",
                            "--save-state", "s", "--force")
                self.assertEqual(first + new("--state", "s", "--length", 150 - cut, "--top-k", "4"), whole, cut)
            data = self.path("s").read_bytes()
            self.write("t", "")
            self.path("t").write_bytes(data[:-5])
            self.refused(3, "generate", "-m", model, "--state", "t", "--length", "5", "-o", "a.fa", says="t:")

    def test_variants_of_every_score(self):
        places = (150, 151, 300, 500)
        lines = ["chrom\tpos\tref\talt"]
        for at in places:
            lines.append(f"c\t{at}\t{self.contig[at - 1]}\t{'ACGT'['ACGT'.index(self.contig[at - 1]) - 1]}")
        lines.append(f"c\t400\t{self.contig[399]}\t{self.contig[399]}GA")
        self.write("v.tsv", "\n".join(lines) + "\n")
        for model in (EVO1, EVO2):
            words = ("variants", "v.tsv", "-f", "x.fa", "-m", model, "--no-version", "-q")
            for score in ("llr", "next", "embdist"):
                want = self.good(*words, "--score", score, "-@", "1").stdout
                for cut in (("-@", "3"), ("--chunk", "64"), ("--window", "700") if score == "next" else ("-@", "2")):
                    self.assertEqual(want.splitlines()[1:],
                                     self.good(*words, "--score", score, *cut).stdout.splitlines()[1:], (score, cut))
            # The next base after what stands before it, as score sees it.
            rows = self.rows("variants", "v.tsv", "-f", "x.fa", "-m", model, "--score", "next")
            self.assertEqual([row[-1] for row in rows[1:]], ["OK"] * 4 + ["NOT_SNV"])
            for at, row in zip(places, rows[1:]):
                alt = self.contig[:at - 1] + row[3] + self.contig[at:]
                self.write("two.fa", f">r\n{self.contig}\n>a\n{alt}\n")
                scored = self.rows("score", "-m", model, "two.fa", "--alphabet", "acgt")[1:]
                r, a = (float([x for x in scored if x[0] == name and int(x[1]) == at][0][3]) for name in "ra")
                self.assertLess(abs(float(row[4]) - (a - r)), 2e-4 * max(1, abs(a - r)), (model, row))

    def test_variants_and_score_begin_alike(self):
        # The first base has a score where a token stands before it; there and elsewhere, an allele's is the difference
        # of the two whole contigs', and those are what score gives.
        places = (1, 2, 65, 300)
        lines = ["chrom\tpos\tref\talt"]
        texts = [self.contig]
        for at in places:
            alt = "ACGT"["ACGT".index(self.contig[at - 1]) - 1]
            lines.append(f"c\t{at}\t{self.contig[at - 1]}\t{alt}")
            texts.append(self.contig[:at - 1] + alt + self.contig[at:])
        self.write("v.tsv", "\n".join(lines) + "\n")
        self.write("all.fa", "".join(f">{i}\n{text}\n" for i, text in enumerate(texts)))
        for model, bos in ((EVO1, True), (EVO2, False)):
            for options in ((), ("--bos", "on"), ("--bos", "off")):
                begins = "on" in options or (bos and not options)
                sums = [s for _, s in self.sums(model, "all.fa", *options)]
                wide = ("--window", "2000", "--suffix", "1000")
                for more in ((), ("--no-reuse",), ("-@", "3")):
                    done = self.good("variants", "v.tsv", "-f", "x.fa", "-m", model, "--score", "llr", *wide, *options,
                                     *more, "-q").stdout.decode()
                    self.assertEqual('"bos": true' in done, begins)
                    rows = [line.split("\t") for line in done.splitlines() if line[0] != "#"][1:]
                    self.assertEqual([row[-1] for row in rows], ["OK" if begins else "EDGE"] + ["OK"] * 3)
                    for i, row in enumerate(rows[0 if begins else 1:], 1 if begins else 2):
                        self.assertLess(abs(float(row[5]) - sums[0]), 2e-6 * abs(sums[0]), row)
                        self.assertLess(abs(float(row[6]) - sums[i]), 2e-6 * abs(sums[i]), row)
                        self.assertLess(abs(float(row[4]) - (sums[i] - sums[0])), 4e-6 * abs(sums[0]), row)
                # The prediction of the base alone, along the contig and in windows.
                scored = self.rows("score", "-m", model, "all.fa", "--alphabet", "acgt", *options)[1:]
                logp = {(row[0], int(row[1])): float(row[3]) for row in scored}
                for window in ((), ("--window", "2000")):
                    rows = self.rows("variants", "v.tsv", "-f", "x.fa", "-m", model, "--score", "next", *window,
                                     *options)[1:]
                    self.assertEqual([row[-1] for row in rows], ["OK" if begins else "EDGE"] + ["OK"] * 3)
                    for i, (at, row) in enumerate(zip(places, rows), 1):
                        if at == 1 and not begins:
                            continue
                        want = logp[str(i), at] - logp["0", at]
                        self.assertLess(abs(float(row[4]) - want), 2e-4 * max(1, abs(want)), (model, row))
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", EVO1, "--score", "embdist", "--bos", "on", "-o", "a.tsv",
                     says="--bos")
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", EVO1, "--bos", "yes", "-o", "a.tsv", says="--bos")
        self.refused(2, "variants", "v.tsv", "-f", "x.fa", "-m", "genossm-mini-causal", "--bos", "on", "-o", "a.tsv",
                     says="--bos")

    def test_a_head_on_top(self):
        draw = random.Random(5)
        def sequence(kind):
            return "".join(draw.choices("ACGT", (6, 1, 1, 6) if kind == "at" else (1, 6, 6, 1), k=60))
        self.write("t.tsv", "sequence\tlabel\n" + "".join(f"{sequence(k)}\t{k}\n" for k in ["at", "gc"] * 40))
        self.write("q.fa", "".join(f">{k}_{i}\n{sequence(k)}\n" for i, k in enumerate(["at", "gc"] * 20)))
        for model in (EVO1, EVO2):
            heads = []
            for threads in ("1", "3"):
                self.good("train-head", "-m", model, "--train", "t.tsv", "--no-cache", "--cv", "3", "--resamples", "0",
                          "-o", "h.safetensors", "--force", "-@", threads, "--no-version", "-q")
                heads.append(self.path("h.safetensors").read_bytes())
            self.assertEqual(*heads)
            rows = self.rows("classify", "-m", model, "--head", "h.safetensors", "q.fa")[1:]
            self.assertEqual(len(rows), 40)
            right = sum(row[0].startswith(row[1]) for row in rows)
            self.assertGreaterEqual(right, 34, model)
            # A head belongs to its model.
            other = EVO2 if model == EVO1 else EVO1
            self.refused(6, "classify", "-m", other, "--head", "h.safetensors", "q.fa", "-o", "c.tsv",
                         says="h.safetensors", leaves_nothing=False)

    def make(self, *options):
        subprocess.run([sys.executable, SOURCE / "tests/bench/evo2_like.py", "--width", "64", "--heads", "4",
                        "--inner", "96", "--groups", "8", "--layers", "5", *options], check=True)

    def test_a_model_without_config_json(self):
        for name in ("a", "b", "c"):
            self.path(name).mkdir()
        self.make(self.path("a/evo2_any.pt"), "--yaml")
        self.make(self.path("b/evo2_any.pt"), "--yaml", "--parts", "65536")
        def table(done):
            return done.stdout.split(b"\n", 1)[1]  # the first line names the folder
        want = table(self.good("score", "-m", self.path("a"), "x.fa", "--no-version"))
        done = self.good("score", "-m", self.path("b"), "x.fa", "--no-version")
        self.assertEqual(want, table(done))
        self.assertNotIn(b"8-bit", done.stderr)
        # Without its scales a model is refused, and computed with 1 where that is asked for, aloud.
        self.make(self.path("c/evo2_any.pt"), "--yaml", "--no-scales")
        for words in (("score",), ("score", "--missing-scales", "refuse"), ("embed",)):
            self.refused(6, *words, "-m", self.path("c"), "x.fa", "-o", "a.tsv",
                         says=("8-bit scales", "--missing-scales one"))
        done = self.good("score", "-m", self.path("c"), "x.fa", "--no-version", "--missing-scales", "one")
        self.assertIn(b"8-bit scales", done.stderr)
        self.assertIn(b'"missing_scales": "one"', done.stdout.split(b"\n", 1)[0])
        self.assertNotEqual(want, table(done))
        # A complete model has nothing to be asked.
        done = self.good("score", "-m", self.path("a"), "x.fa", "--no-version", "--missing-scales", "one")
        self.assertNotIn(b"missing_scales", done.stdout)
        self.assertEqual(want, table(done))
        self.refused(2, "score", "-m", self.path("a"), "x.fa", "--missing-scales", "two", "-o", "a.tsv",
                     says="--missing-scales")
        # Sizes that the config does not have.
        (self.path("c") / "evo2_any.yml").unlink()
        self.refused(6, "score", "-m", self.path("c"), "x.fa", "-o", "a.tsv", says="config.json")
        (self.path("c") / "evo2_any.pt").rename(self.path("c") / "evo2_7b.pt")
        self.refused(6, "score", "-m", self.path("c"), "x.fa", "-o", "a.tsv", says="embedding_layer.weight")

    def test_plans(self):
        # stripedhyena2.md section 8: weights 13.2 GB, keys and values 85.9 GB.
        text = self.good("inspect", "evo2_7b", "--plan", "--window", "1048576", "--chunk", "32768",
                         "--precision", "bf16", "-@", "1").stdout.decode()
        figures = {}
        for line in text.splitlines():
            if line.endswith(" MiB") or line.endswith(" MiB a lane"):
                key, value = line.split(" MiB")[0].rsplit(" ", 1)
                figures[key.strip()] = int(value.replace(",", "")) * 2**20
        self.assertLess(abs(figures["weights"] / 13.2e9 - 1), 0.02, text)
        self.assertLess(abs(figures["keys and values"] / 85.9e9 - 1), 0.001, text)
        rest = figures["peak memory"] - figures["weights"] - figures["keys and values"]
        self.assertLess(rest, 3.6e9, text)
        self.assertIn("81,920 bytes of keys", text)
        self.refused(7, "inspect", "evo2_7b", "--plan", "--window", "1048576", "--memory", "24G",
                     says=("keys and values", "--window"))
        self.refused(7, "score", "-m", EVO2, "x.fa", "--memory", "100K", "-o", "a.tsv", says="not enough memory",
                     leaves_nothing=False)


if __name__ == "__main__":
    main()
