"""The stored vectors of the authors' code, through the program and --token-ids."""
import json

import numpy

from genossm_cli import SOURCE, Case, main, read_safetensors

# Tolerances of the families' READMEs, of the largest value.
FAMILIES = {"mamba1": 2e-5, "mamba2": 2e-5, "caduceus": 2e-5, "plantcaduceus": 2e-5, "mini": 2e-5,
            "hyenadna": 1e-4}
# The tolerances of single cases.
CASES = {"hyenadna/long_hf": 3e-4, "hyenadna/order4_ckpt": 3e-4}


class Golden(Case):
    def close(self, got, want, what, tolerance):
        self.assertEqual(got.shape, want.shape, what)
        error = numpy.abs(got.astype("f8") - want).max() / numpy.abs(want).max()
        self.assertLessEqual(error, tolerance, what)

    def test_every_case(self):
        seen = 0
        for family in FAMILIES:
            for case in sorted((SOURCE / "tests/golden" / family).iterdir()):
                # Cases of single ops have no config.
                if not (case / "expected.safetensors").exists() or (case.name == "kernels"):
                    continue
                with self.subTest(f"{family}/{case.name}"):
                    self.one(case, family)
                    seen += 1
        self.assertGreater(seen, 38)

    def one(self, case, family):
        expected = read_safetensors(case / "expected.safetensors")
        tolerance = CASES.get(f"{family}/{case.name}", FAMILIES[family])
        # The folder, or the weights where the folder would leave a choice.
        model = case / "weights.ckpt" if (case / "weights.ckpt").exists() else case
        if family == "mini":
            model = SOURCE / "data/models" / f"genossm-mini-{case.name}"
        ids = expected["input_ids"]
        # Two strands given side by side (a conjoined classifier): the forward one.
        sequences = ids[:, :, 0] if ids.ndim == 3 else numpy.atleast_2d(ids)
        for b, row in enumerate(sequences):
            numpy.save(self.path("ids.npy"), row.astype("<i8"))
            for key, options in (("last_hidden_state", ()), ("logits", ("--logits",))):
                # Logits of classifiers are classes, not tokens.
                if key == "logits" and case.name.startswith("seqcls"):
                    continue
                for part in (key, f"{key}.first64", f"{key}.last64"):
                    if part not in expected:
                        continue
                    self.good("embed", "-m", model, "--token-ids", "ids.npy", "--pool", "none", *options,
                              "-o", "out.npz", "--force")
                    got = numpy.load(self.path("out.npz"))["embeddings"]
                    if part.endswith("first64"):
                        got = got[:64]
                    if part.endswith("last64"):
                        got = got[-64:]
                    want = expected[part][b] if ids.ndim > 1 else expected[part]
                    # Of a long sequence only the last rows are stored.
                    self.close(got[-len(want):] if ids.ndim == 1 else got, want, part, tolerance)


if __name__ == "__main__":
    main()
