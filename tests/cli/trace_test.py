"""trace beside a plain computation of the same blocks, beside the authors' code, and as a user meets it."""
import json
import unittest
import xml.dom.minidom

import numpy

from genossm_cli import SOURCE, TINY, Case, main, read_safetensors, sanitized
from plain_mamba import mamba1, mamba2, rms_norm, tracks

GOLDEN = SOURCE / "tests" / "golden"
FIVE = ["delta", "half_life", "slowest", "state_norm", "memory"]
ALL = ",".join(FIVE + ["stream"])
MAMBA1 = GOLDEN / "mamba1" / "hf_small"
MAMBA2 = GOLDEN / "mamba2" / "hf_small"
CADUCEUS = GOLDEN / "caduceus" / "ph_small"
HYENA = GOLDEN / "hyenadna" / "tied_hf" / "model.safetensors"
EVO1 = GOLDEN / "stripedhyena1" / "tiny_hf" / "model.safetensors"


def tensors_of(folder):
    found = read_safetensors(folder / "model.safetensors")
    return {name: value.astype("f8") for name, value in found.items()}


class Trace(Case):
    def trace_ids(self, folder, *words):
        """{column: values} for the golden case's token ids, and what the golden case expects."""
        expected = read_safetensors(folder / "expected.safetensors")
        numpy.save(self.path("ids.npy"), expected["input_ids"][0])
        self.good("trace", "-m", folder, "--token-ids", "ids.npy", "--track", ALL, "-o", "t.npz", "--force",
                  "-q", *words)
        return self.columns("t.npz"), expected

    def columns(self, name):
        with numpy.load(self.path(name)) as data:
            names = [str(n) for n in data["columns"]]
            return dict(zip(names, data["scores"].T.astype("f8")))

    def close(self, got, want, what, bound=2e-5):
        self.assertEqual(len(got), len(want), what)
        self.assertLess(numpy.abs(got - want).max(), bound * numpy.abs(want).max(), what)

    def check_one_way(self, folder, block):
        got, expected = self.trace_ids(folder)
        weights = tensors_of(folder)
        x = weights["backbone.embeddings.weight"][expected["input_ids"][0]]
        for layer in range(3):
            at = f"backbone.layers.{layer}."
            normed = rms_norm(x, weights[at + "norm.weight"])
            delta, A, states, out = block(lambda name: weights[at + "mixer." + name], normed)
            x = x + out
            # The plain computation is right: it gives what the authors' code gave.
            self.close(x, expected[f"hidden_states.{layer + 1}"][0], "plain", 1e-5)
            for name, want in tracks(delta, A, states).items():
                self.close(got[f"L{layer + 1}.{name}"], want, f"{name} of block {layer + 1}")
            self.close(got[f"L{layer + 1}.stream"], numpy.sqrt((x * x).mean(1)), "stream")
        self.assertEqual(len(got), 3 * 6)
        return got, expected, weights

    def test_mamba1(self):
        got, expected, weights = self.check_one_way(MAMBA1, mamba1)
        # And without the plain computation between: the first block of the authors' own run.
        raw = expected["layers.0.scan.delta_raw"][0].astype("f8").T
        delta = numpy.logaddexp(0, raw + weights["backbone.layers.0.mixer.dt_proj.bias"])
        self.close(got["L1.delta"], delta.mean(1), "delta")
        norm = numpy.linalg.norm(expected["layers.0.scan.last_state"].astype("f8"))
        self.assertLess(abs(got["L1.state_norm"][-1] / norm - 1), 2e-5)

    def test_mamba2(self):
        got, expected, _ = self.check_one_way(MAMBA2, mamba2)
        self.close(got["L1.delta"], expected["layers.0.ssd.dt"][0].astype("f8").mean(1), "delta")
        norm = numpy.linalg.norm(expected["layers.0.ssd.final_state"].astype("f8"))
        self.assertLess(abs(got["L1.state_norm"][-1] / norm - 1), 2e-5)

    def test_two_way(self):
        got, expected = self.trace_ids(CADUCEUS)
        weights = tensors_of(CADUCEUS)
        x = weights["caduceus.backbone.embeddings.word_embeddings.weight"][expected["input_ids"][0]]
        for layer in range(3):
            at = f"caduceus.backbone.layers.{layer}."
            forward = lambda name: weights[at + "mixer.mamba_fwd." + name]
            reverse = lambda name: weights[at + "mixer.mamba_rev." + name]
            normed = rms_norm(x, weights[at + "norm.weight"])
            ahead = mamba1(forward, normed)
            back = mamba1(reverse, normed[::-1], projections=forward)
            x = x + ahead[3] + back[3][::-1]
            if layer < 2:
                self.close(x, expected[f"residual.{layer + 1}"][0], "plain", 1e-5)
            for direction, parts, step in (("fwd", ahead, 1), ("rev", back, -1)):
                for name, want in tracks(*parts[:3]).items():
                    self.close(got[f"L{layer + 1}.{name}.{direction}"], want[::step], f"{name} {direction}")
            self.close(got[f"L{layer + 1}.stream"], numpy.sqrt((x * x).mean(1)), "stream")
        self.assertEqual(len(got), 3 * 11)

    def test_the_same_bytes_however_the_work_is_cut(self):
        region = ("-f", TINY / "genomes.fa.gz", "-r", "lambda:101-1300", "--track", ALL, "--no-version", "-q")
        want = self.good("trace", *region, "-@", "1").stdout
        for cut in (("-@", "3"), ("--chunk", "64"), ("--chunk", "640", "-@", "2")):
            self.assertEqual(want, self.good("trace", *region, *cut).stdout, cut)
        self.assertEqual(want.count(b"\n"), 1200 + 2)
        # The values are those of the whole record from its front: a stream goes on with its states.
        front = self.good("trace", "-f", TINY / "genomes.fa.gz", "-r", "lambda:101-200", "--track", ALL,
                          "--no-version", "-q").stdout
        self.assertEqual(front.splitlines()[2:], want.splitlines()[2:102])

    def test_watching_changes_nothing(self):
        # The stream that trace sees is the one that embed gives.
        self.good("trace", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-700", "--track", ALL, "-o", "t.npz", "-q")
        self.good("embed", "-m", "genossm-mini-causal", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-700",
                  "--pool", "none", "--layer", "3", "-o", "e.npz", "-q")
        with numpy.load(self.path("e.npz")) as data:
            rms = numpy.sqrt((data["embeddings"].astype("f8") ** 2).mean(1))
        self.close(self.columns("t.npz")["L3.stream"], rms, "stream", 1e-6)

    @unittest.skipIf(sanitized(), "skipped: AddressSanitizer's own memory grows")
    def test_memory_does_not_grow(self):
        # Peak memory of the program itself, for a record eight times as long.
        def peak(region):
            self.good("trace", "-f", TINY / "genomes.fa.gz", "-r", region, "--track", "delta,memory", "--layer", "1",
                      "--chunk", "512", "-o", "p.tsv", "--force", "--summary", "s.json", "-q")
            return json.loads(self.path("s.json").read_text())["peak_memory_bytes"]
        self.assertLess(peak("lambda:1-40000"), peak("lambda:1-5000") + (8 << 20))

    def test_tables_and_formats(self):
        self.write("x.fa", ">a\nACGTNNACGT\n>empty\n>b\nacgt\n")
        lines = self.good("trace", "x.fa", "--track", "delta,half_life", "--layer", "2,1").stdout.decode().splitlines()
        self.assertTrue(lines[0].startswith("##genossm={"))
        self.assertEqual(lines[1].split("\t"), ["#contig", "pos", "base", "L2.delta", "L1.delta", "L2.half_life",
                                                "L1.half_life"])
        self.assertEqual(len(lines), 2 + 14)
        rows = [line.split("\t") for line in lines[2:]]
        self.assertEqual([row[:3] for row in rows[:2] + rows[-1:]], [["a", "1", "A"], ["a", "2", "C"], ["b", "4", "t"]])
        for row in rows:
            self.assertTrue(all(float(value) > 0 for value in row[3:]))
        self.good("trace", "x.fa", "--track", "delta", "--layer", "1", "-o", "x.bedgraph")
        self.refused(2, "trace", "x.fa", "-O", "bedgraph", says="bedgraph")
        self.refused(2, "trace", "x.fa", "-O", "bam", "-o", "x.bam", says="bam")

    def test_big_wigs(self):
        try:
            import pyBigWig
        except ImportError:
            self.skipTest("no pyBigWig")
        region = ("-f", TINY / "genomes.fa.gz", "-r", "phix174:11-400", "--track", "delta,memory", "--layer", "1,last", "-q")
        done = self.run_genossm("trace", *region, "-o", "t.bw")
        if b"bigWig" in done.stderr and done.returncode == 2:
            self.skipTest("built without bigWig")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.good("trace", *region, "-o", "t.npz")
        columns = self.columns("t.npz")
        self.assertEqual(sorted(p.name for p in self.folder.glob("*.bw")), sorted(f"t.{name}.bw" for name in columns))
        for name, values in columns.items():
            with pyBigWig.open(str(self.path(f"t.{name}.bw"))) as bw:
                numpy.testing.assert_array_equal(bw.values("phix174", 10, 400), values)

    def test_plot(self):
        self.good("trace", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1-3000,phix174:1-60", "--plot", "t.svg", "-o",
                  "t.tsv", "-q")
        text = self.path("t.svg").read_text()
        xml.dom.minidom.parseString(text)
        for word in ("step size", "half-life, bases", "state norm", "memory, bases", "lambda:1-3000", "block 1"):
            self.assertIn(word, text)
        self.assertGreater(text.count("<polyline"), 2 * 4 * 3)
        self.refused(5, "trace", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-60", "--plot", "t.svg", "-o", "u.tsv",
                     says="t.svg")

    def test_what_other_models_have(self):
        self.write("x.fa", ">a\nACGTNNACGT\n")
        for model in (HYENA, EVO1):
            self.refused(2, "trace", "-m", model, "x.fa", says="--track stream")
            lines = self.good("trace", "-m", model, "x.fa", "--track", "stream", "-q").stdout.splitlines()
            self.assertEqual(len(lines), 12)
        self.refused(2, "trace", "x.fa", "--track", "speed", says="half_life")
        self.refused(2, "trace", "x.fa", "--track", "delta,delta", says="twice")
        self.refused(2, "trace", "x.fa", "--layer", "0", says="embedding")
        self.refused(2, "trace", "x.fa", "--layer", "99", says="99")
        self.refused(2, "trace", "x.fa", "--window", "100", says="--window")
        self.refused(8, "trace", "x.fa", "--device", "cuda", says="cuda")
        # A two-way model sees all of a record, or says that it is too long.
        self.refused(2, "trace", "-m", "genossm-mini-ps", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1-5000", says="4096")
        self.good("trace", "-m", "genossm-mini-ps", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1-300", "-o", "ps.npz", "-q")
        names = set(self.columns("ps.npz"))
        self.assertIn("L1.memory.rev", names)


class NotFinite(Case):
    """The finder names the layer and the place."""

    def broken(self, folder, change):
        import shutil
        import struct
        data = bytearray((folder / "model.safetensors").read_bytes())
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        for name, row in change:
            entry = header[name]
            width = 4 * int(numpy.prod(entry["shape"][1:]))
            at = 8 + size + entry["data_offsets"][0] + row * width
            data[at : at + 4] = struct.pack("<f", float("nan"))
        model = self.path("broken")
        model.mkdir()
        shutil.copy(folder / "config.json", model)
        (model / "model.safetensors").write_bytes(data)
        return model

    def warned(self, model, ids):
        numpy.save(self.path("ids.npy"), numpy.array(ids, "<i8"))
        done = self.good("trace", "-m", model, "--token-ids", "ids.npy", "--track", ALL, "-o", "t.npz")
        lines = [line for line in done.stderr.decode().splitlines() if "not finite" in line]
        self.refused(3, "trace", "-m", model, "--token-ids", "ids.npy", "--strict", "-o", "s.npz", says="not finite")
        return lines

    def test_an_embedding(self):
        model = self.broken(MAMBA1, [("backbone.embeddings.weight", 5)])
        (line,) = self.warned(model, [1, 2, 3, 4, 1, 2, 5, 1])
        self.assertIn("from token 7 on, in the embedding", line)

    def test_a_step_size(self):
        # The second block steps wrongly whatever it reads.
        model = self.broken(MAMBA1, [("backbone.layers.1.mixer.dt_proj.bias", 7)])
        (line,) = self.warned(model, [1, 2, 3])
        self.assertIn("from token 1 on, in block 2 (a step size)", line)

    def test_a_norm_of_a_two_way_model(self):
        model = self.broken(CADUCEUS, [("caduceus.backbone.layers.2.mixer.mamba_fwd.D", 3)])
        (line,) = self.warned(model, [7, 8, 9, 10])
        self.assertIn("from token 1 on, in block 3 (the output)", line)

    def test_all_is_well(self):
        self.assertNotIn(b"not finite", self.good("trace", "-f", TINY / "genomes.fa.gz", "-r", "phix174:1-50").stderr)


if __name__ == "__main__":
    main()
