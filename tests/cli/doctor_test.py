"""What doctor says of this machine, and that it notices what is wrong with an installation."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from genossm_cli import GENOSSM, SOURCE, Case, main

sys.path.insert(0, str(SOURCE / "tests" / "golden" / "mini"))
import selftest  # noqa: E402


class Doctor(Case):
    def installed(self):
        """A copy of the program and its models that may be spoiled."""
        (self.folder / "bin").mkdir()
        program = self.folder / "bin" / "genossm"
        shutil.copy(GENOSSM, program)
        models = self.folder / "share" / "genossm" / "models"
        shutil.copytree(SOURCE / "data" / "models", models)
        return program, models

    def examine(self, program):
        done = subprocess.run([program, "doctor", "--json"], capture_output=True, timeout=600)
        report = json.loads(done.stdout)
        return done.returncode, report, {line["what"] for line in report["facts"] if line["state"] == "BAD"}

    def test_this_machine_is_sound(self):
        report = json.loads(self.good("doctor", "--json").stdout)
        self.assertTrue(report["well"])
        checks = report["checks"]
        ops = {c["name"] for c in checks if c["back_end"] == "cpu"}
        # Every folder of kernels/ that is an op is among them.
        folders = {p.parent.name for p in SOURCE.glob("kernels/*/reference.cc")}
        self.assertEqual({name.split(" (")[0] for name in ops}, folders)
        models = {(c["back_end"], c["name"]) for c in checks if c["back_end"] not in ("cpu",)}
        for precision in ("cpu fp32", "cpu bf16"):
            for name in ("genossm-mini-ps", "genossm-mini-causal"):
                self.assertIn((precision, name), models)
        for check in checks:
            self.assertTrue(check["good"])
            self.assertLessEqual(check["error"], check["bound"])
        # bf16 is really another computation.
        errors = {(c["back_end"], c["name"]): c["error"] for c in checks}
        self.assertGreater(errors["cpu bf16", "genossm-mini-ps"], 10 * errors["cpu fp32", "genossm-mini-ps"])

    def test_facts(self):
        text = self.good("doctor").stdout.decode()
        allowed = len(os.sched_getaffinity(0))
        self.assertIn(f"the affinity mask allows {allowed}", text)
        one = subprocess.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), GENOSSM, "doctor"],
                             capture_output=True, check=True).stdout.decode()
        self.assertIn("1 threads are used", one)
        self.assertIn("the affinity mask allows 1,", one)
        self.assertIn("htslib", text)
        self.assertIn("libdeflate=", text)
        self.assertIn("network", text)
        self.assertIn("HDF5", text)
        env = {"GENOSSM_MODELS": str(self.folder) + ":/no/such/folder"}
        text = self.good("doctor", env=env).stdout.decode()
        self.assertIn("/no/such/folder, which is no folder", text)
        self.refused(2, "doctor", "--no-such", says="--no-such")

    def test_figures_are_the_golden_ones(self):
        for case, model in selftest.MODELS.items():
            stored = json.loads((SOURCE / "data" / "models" / model / "selftest.json").read_text())
            self.assertEqual(stored, selftest.figures(SOURCE, case, model))

    def test_a_copy_is_sound(self):
        program, models = self.installed()
        code, report, bad = self.examine(program)
        self.assertEqual((code, bad), (0, set()))
        self.assertIn(str(models), [line["text"] for line in report["facts"]])

    def test_damaged_weights(self):
        program, models = self.installed()
        weights = models / "genossm-mini-ps" / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        code, report, bad = self.examine(program)
        self.assertEqual((code, bad), (9, {"genossm-mini-ps"}))
        self.assertFalse(report["well"])

    def test_a_figure_out_of_its_bound(self):
        program, models = self.installed()
        path = models / "genossm-mini-causal" / "selftest.json"
        figures = json.loads(path.read_text())
        figures["values"][3][2] += 1e-3 * figures["largest"]  # between the bounds of fp32 and bf16
        path.write_text(json.dumps(figures))
        code, report, bad = self.examine(program)
        self.assertEqual((code, bad), (9, {"self-test"}))
        good = {(c["back_end"], c["name"]): c["good"] for c in report["checks"]}
        self.assertFalse(good["cpu fp32", "genossm-mini-causal"])
        self.assertTrue(good["cpu bf16", "genossm-mini-causal"])
        self.assertTrue(good["cpu fp32", "genossm-mini-ps"])
        done = subprocess.run([program, "doctor"], capture_output=True)
        self.assertEqual(done.returncode, 9)
        self.assertEqual(done.stderr.decode().count("\n"), 1)
        self.assertTrue(done.stderr.decode().startswith("genossm doctor: error: "))

    def test_no_models(self):
        program, models = self.installed()
        shutil.rmtree(models)
        done = subprocess.run([program, "doctor"], capture_output=True)
        # An installed genossm may lie where this one was configured to go.
        if b"models" in done.stdout and done.returncode == 0:
            self.skipTest("another installation has models")
        self.assertEqual(done.returncode, 9)


if __name__ == "__main__":
    main()
