"""convert: what comes out is the same model, in one file and one type."""
import hashlib
import json
import shutil
import struct
import subprocess
import sys

import numpy

from genossm_cli import SOURCE, Case, main, read_safetensors

GOLDEN = SOURCE / "tests" / "golden"


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        raw = numpy.ascontiguousarray(value).tobytes()
        kind = {"float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16"}[str(value.dtype)]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [at, at + len(raw)]}
        blobs.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def to_bf16(values):
    """Bits, rounded to the nearest, ties to even."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


class Convert(Case):
    def report(self, *words):
        return json.loads(self.good("convert", *words, "--json").stdout)

    def embedded(self, model, case, *more):
        expected = read_safetensors(case / "expected.safetensors")
        numpy.save(self.path("ids.npy"), expected["input_ids"].reshape(-1))
        self.good("embed", "-m", model, "--token-ids", "ids.npy", "--pool", "none", "-o", "e.npy", "--force", "-q", *more)
        return self.path("e.npy").read_bytes()

    def test_float32_is_the_same_model(self):
        cases = ["mamba1/lm_small_bin", "mamba1/hf_small", "mamba1/lm_bf16", "mamba2/lm_small_bin", "mamba2/lm_groups",
                 "caduceus/ps_small_fused3", "plantcaduceus/pc_short"]
        for case in cases:
            with self.subTest(case=case):
                folder = GOLDEN / case
                out = self.path(case.replace("/", "-"))
                report = self.report(folder, "-o", out)
                self.assertEqual(self.embedded(folder, folder), self.embedded(out, folder))
                self.assertEqual((report["rounded"], report["not_finite"], report["verified"]), (0, 0, True))
                made = (out / "model.safetensors").read_bytes()
                self.assertEqual(hashlib.sha256(made).hexdigest(), report["sha256"])
                weights = next(p for p in (folder / "model.safetensors", folder / "pytorch_model.bin") if p.exists())
                self.assertEqual(hashlib.sha256(weights.read_bytes()).hexdigest(), report["source_sha256"])
                self.assertEqual((out / "config.json").read_bytes(), (folder / "config.json").read_bytes())
                self.assertEqual(len(made), report["bytes"])

    def test_bundled_models_keep_name_tokenizer_and_scores(self):
        self.good("convert", "genossm-mini-causal", "-o", "c")
        tiny = SOURCE / "data" / "tiny" / "genomes.fa.gz"
        want = self.good("score", "-f", tiny, "-r", "phix174:1-500", "--no-version", "-q").stdout.splitlines()
        got = self.good("score", "-m", "c", "-f", tiny, "-r", "phix174:1-500", "--no-version", "-q").stdout.splitlines()
        self.assertEqual(want[1:], got[1:])
        self.assertEqual(json.loads((self.path("c") / "genossm.json").read_text())["name"], "genossm-mini-causal")

    def test_half_precision_rounds_to_the_nearest(self):
        folder = GOLDEN / "mamba1" / "hf_small"
        source = read_safetensors(folder / "model.safetensors")
        for dtype, rounded in (("bf16", {n: to_bf16(v) for n, v in source.items()}),
                               ("f16", {n: v.astype("<f2") for n, v in source.items()})):
            with self.subTest(dtype=dtype):
                report = self.report(folder, "-o", dtype, "--dtype", dtype)
                mine = self.path("mine-" + dtype)
                mine.mkdir()
                shutil.copy(folder / "config.json", mine)
                write_safetensors(mine / "model.safetensors", rounded)
                # The engine, with weights that numpy has rounded, gives the very bytes.
                for precision in ("fp32", "bf16"):
                    self.assertEqual(self.embedded(mine, folder, "--precision", precision),
                                     self.embedded(self.path(dtype), folder, "--precision", precision))
                got = read_safetensors(self.path(dtype) / "model.safetensors")
                for name, value in read_safetensors(mine / "model.safetensors").items():
                    numpy.testing.assert_array_equal(got[name], value)
                changed = sum(int((got[n].astype("f8") != v.astype("f8")).sum()) for n, v in source.items())
                self.assertEqual(report["rounded"], changed)
                self.assertGreater(changed, 0)
                self.assertLess(report["largest_rounding"], 2.0 ** -8 if dtype == "bf16" else 0.51)
        # A file in bf16 loses nothing.
        report = self.report(GOLDEN / "mamba1" / "lm_bf16", "-o", "again", "--dtype", "bf16")
        self.assertEqual(report["rounded"], 0)
        case = GOLDEN / "mamba1" / "lm_bf16"
        self.assertEqual(self.embedded(case, case, "--precision", "bf16"),
                         self.embedded(self.path("again"), case, "--precision", "bf16"))

    def test_published_forms(self):
        for case, weights in (("hyenadna/tied_ckpt", "weights.ckpt"), ("stripedhyena1/tiny_hf", "model.safetensors"),
                              ("stripedhyena2/tiny_bf16_pt", "model.pt")):
            with self.subTest(case=case):
                folder = GOLDEN / case
                out = self.path(case.replace("/", "-"))
                self.good("convert", folder / weights, "-o", out)
                self.assertEqual(self.embedded(folder / weights, folder), self.embedded(out, folder))

    def test_a_model_without_config_json(self):
        # Its flat .yml becomes the config.json of the new folder, whose name means nothing.
        case = GOLDEN / "stripedhyena2" / "tiny_bf16_pt"
        self.path("yaml").mkdir()
        for name in ("model.pt", "config.yml"):
            shutil.copy(case / name, self.path("yaml"))
        self.good("convert", "yaml", "-o", "made")
        self.assertEqual({p.name for p in self.path("made").iterdir()}, {"config.json", "model.safetensors"})
        self.assertEqual(self.embedded(self.path("yaml"), case), self.embedded(self.path("made"), case))

    def test_the_published_context_is_kept(self):
        # It is known by the folder's name (data/models.tsv), which is another one afterwards.
        name = "caduceus-ps_seqlen-131k_d_model-256_n_layer-16"
        shutil.copytree(GOLDEN / "caduceus" / "ps_small_fused3", self.path(name))
        context = lambda model: [line for line in self.good("inspect", model).stdout.decode().splitlines()
                                 if line.startswith("context")][0].split()[1]
        self.good("convert", name, "-o", "short")
        self.assertEqual(context("short"), context(name))
        self.assertEqual(context(name), "131,072")

    def test_scales_have_no_place(self):
        made = SOURCE / "tests" / "bench" / "evo2_like.py"
        sizes = ["--width", "64", "--heads", "4", "--inner", "96", "--groups", "8", "--layers", "5", "--yaml"]
        for folder, more in (("scaled", []), ("plain", ["--no-scales"])):
            self.path(folder).mkdir()
            subprocess.run([sys.executable, made, *sizes, *more, self.path(folder) / "evo2_any.pt"], check=True)
        self.refused(6, "convert", "scaled", "-o", "x", says="8-bit")
        self.good("convert", "plain", "-o", "x", "--dtype", "bf16")

    def test_refusals(self):
        folder = GOLDEN / "mamba1" / "hf_small"
        big = self.path("big")
        big.mkdir()
        shutil.copy(folder / "config.json", big)
        tensors = dict(read_safetensors(folder / "model.safetensors"))
        name = "backbone.layers.1.mixer.D"
        tensors[name] = tensors[name].copy()
        tensors[name][:3] = [1e6, -70000, 65519]  # the last one rounds to 65504
        write_safetensors(big / "model.safetensors", tensors)
        line = self.refused(6, "convert", big, "-o", "h", "--dtype", "f16", says=name)
        self.assertIn("2 values are beyond the range of F16", line)
        self.good("convert", big, "-o", "b", "--dtype", "bf16")
        self.refused(5, "convert", folder, "-o", "b", says="--force")
        self.good("convert", folder, "-o", "b", "--force")
        self.refused(2, "convert", big, "-o", big, "--force", says="the model itself")
        self.refused(2, "convert", folder, "-o", "x", "--dtype", "int8", says="int8")
        self.refused(4, "convert", "no-such-model", "-o", "x", says="no-such-model")
        self.refused(6, "convert", f"{folder}@sha256:{'0' * 64}", "-o", "x", says="pins")
        # Not a whole model.
        del tensors["backbone.norm_f.weight"]
        write_safetensors(big / "model.safetensors", tensors)
        self.refused(6, "convert", big, "-o", "x", says="backbone.norm_f.weight")

    def test_not_finite_values_stay_and_are_counted(self):
        folder = GOLDEN / "mamba1" / "hf_small"
        odd = self.path("odd")
        odd.mkdir()
        shutil.copy(folder / "config.json", odd)
        tensors = dict(read_safetensors(folder / "model.safetensors"))
        name = "backbone.layers.0.mixer.D"
        tensors[name] = tensors[name].copy()
        tensors[name][:2] = [numpy.nan, -numpy.inf]
        write_safetensors(odd / "model.safetensors", tensors)
        for dtype in ("f32", "f16", "bf16"):
            self.assertEqual(self.report(odd, "-o", "o-" + dtype, "--dtype", dtype)["not_finite"], 2)
            got = read_safetensors(self.path("o-" + dtype) / "model.safetensors")[name]
            self.assertTrue(numpy.isnan(got[0]) and numpy.isneginf(got[1]))

    def test_the_same_bytes_twice(self):
        folder = GOLDEN / "mamba2" / "lm_small_bin"
        self.good("convert", folder, "-o", "a", "--no-version")
        self.good("convert", folder, "-o", "b", "--no-version")
        for path in self.path("a").iterdir():
            self.assertEqual(path.read_bytes(), (self.path("b") / path.name).read_bytes())


if __name__ == "__main__":
    main()
