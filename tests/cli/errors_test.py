"""One line, the right exit code, and no output under its final name."""
import json
import os
import unittest

import numpy

from genossm_cli import SOURCE, TINY, Case, main, sanitized


class Errors(Case):
    def setUp(self):
        super().setUp()
        self.write("x.fa", ">x\nACGTACGTAC\n")

    def test_usage(self):
        self.refused(2, "embed", says="no input")
        self.refused(2, "embed", "x.fa", "--no-such-option", says="--no-such-option")
        self.refused(2, "nonsense", says="nonsense")
        self.refused(2, "embed", "x.fa", "--pool", "median", says="median")
        self.refused(2, "embed", "x.fa", "--layer", "99", says="99")
        self.refused(2, "embed", "x.fa", "-o", "a.npz", "-O", "tsv", says="npz")
        self.refused(2, "embed", "x.fa", "-O", "npz", says="npz")
        self.refused(2, "embed", "x.fa", "--window", "4", "--stride", "5", says="stride")
        self.refused(2, "embed", "x.fa", "--window", "16", "--stride", "17", says="stride")  # of short records too
        huge = str(2**62)
        self.refused(2, "embed", "x.fa", "--window", huge, "-o", "a.npz", says="--window")
        self.refused(2, "embed", "x.fa", "--chunk", huge, "-o", "a.npz", says="--chunk")
        self.refused(2, "generate", "--prompt", "A", "--length", huge, says="--length")
        self.refused(2, "generate", "--prompt", "A", "--length", "1", "-n", huge, says="-n")
        variants = ("variants", TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa", "-o", "a.vcf")
        for score in ("masked", "embdist"):
            self.refused(2, *variants, "--score", score, "--window", huge, says="--window")
        self.refused(2, *variants, "--score", "llr", "--window", "64", "--grid", huge, says="--grid")
        self.refused(2, "embed", "x.fa", "--memory", "lots", says="lots")
        self.refused(2, "embed", "x.fa", "-@", "0", says="threads")
        self.refused(2, "embed", "x.fa", "--dtype", "bf16", "-o", "a.npz", says="bf16")
        self.refused(2, "score", "-m", "genossm-mini-ps", "x.fa", says="--masked")
        self.refused(2, "score", "--masked", "x.fa", says="causal")
        self.refused(2, "score", "x.fa", "--track", "loss", says="loss")
        self.refused(2, "embed", "x.fa", "--progress", "loud", says="loud")
        self.refused(2, "embed", "--token-ids", "ids.npy", "x.fa", says="--token-ids")

    def test_an_option_that_would_change_nothing_is_refused(self):
        numpy.save(self.path("ids.npy"), numpy.array([7, 8, 9], "<i8"))
        ps, causal = ("-m", "genossm-mini-ps"), ("-m", "genossm-mini-causal")
        variants = ("variants", TINY / "human_reads.vcf.gz", "-f", TINY / "human_reads.ref.fa")
        head = ("train-head", "--train", TINY / "coding.tsv.gz", "-o", "h.safetensors")
        for words, name in (
            (("score", "x.fa", "--stride", "5"), "--stride"),
            (("embed", *causal, "x.fa", "--stride", "5"), "--stride"),
            (("score", *ps, "--masked", "x.fa", "--window", "8", "--stride", "5"), "--stride"),
            (("score", "--token-ids", "ids.npy", "--window", "2"), "--window"),
            (("embed", "--token-ids", "ids.npy", "--stride", "2"), "--stride"),
            (("score", "x.fa", "--clip"), "--clip"),
            (("score", "x.fa", "--per-record", "--track", "entropy"), "--track"),
            (("score", "x.fa", "--logo-hub", "hub", "--track", "entropy"), "--track"),
            (("score", "x.fa", "--track", "info,info"), "twice"),
            (("inspect", *ps, "--window", "100"), "--window"),
            (("classify", "x.fa", "--per-window", "--combine", "max"), "--combine"),
            ((*variants, "--no-reuse"), "--no-reuse"),
            ((*variants, "--pool-window", "8"), "--pool-window"),
            ((*variants, "--alphabet", "full"), "--alphabet"),
            ((*head, "--hidden", "8"), "--hidden"),
            ((*head, "--type", "mlp", "--max-iterations", "8"), "--max-iterations"),
        ):
            self.refused(2, *words, says=name)

    def test_numbers_out_of_range_say_the_range(self):
        for words in (("score", "x.fa", "--window", "0"), ("generate", "--length", "5", "--seed", "-1")):
            message = self.refused(2, *words, says=words[-2])
            self.assertLess(len(message), 120, message)

    def test_input(self):
        self.refused(4, "embed", "absent.fa", "-o", "a.npz", says="absent.fa")
        self.write("protein.fa", ">p\nMKLV\nEFGH\n")
        self.refused(3, "embed", "protein.fa", "-o", "a.npz", says="protein.fa:2")
        self.refused(3, "embed", "-f", TINY / "genomes.fa.gz", "-r", "lambda:1-99999999", says="lambda")
        self.good("embed", "-f", TINY / "genomes.fa.gz", "-r", "lambda:48000-99999999", "--clip", "-o", "c.npz")
        self.refused(3, "embed", "-f", TINY / "genomes.fa.gz", "-r", "chrNope", says="chrNope")
        numpy.save(self.path("two.npy"), numpy.zeros((2, 2), "<i8"))
        self.refused(3, "embed", "--token-ids", "two.npy", says="one dimension")
        numpy.save(self.path("big.npy"), numpy.array([3, 99], "<i8"))
        self.refused(3, "embed", "--token-ids", "big.npy", "-o", "a.npz", says="99")

    def test_broken_in_the_middle_leaves_nothing(self):
        self.write("late.fa", ">a\n" + "ACGT" * 5000 + "\n>b\nAC1T\n")
        self.refused(3, "embed", "late.fa", "-o", "a.npz", says="late.fa:4")
        self.refused(3, "score", "late.fa", "-o", "a.tsv", says="late.fa:4")

    def test_output(self):
        self.good("embed", "x.fa", "-o", "a.npz")
        before = self.path("a.npz").read_bytes()
        self.refused(5, "embed", "x.fa", "-o", "a.npz", says="--force")
        self.assertEqual(before, self.path("a.npz").read_bytes())
        self.good("embed", "x.fa", "-o", "a.npz", "--force")
        self.refused(5, "embed", "x.fa", "-o", "no/such/folder/a.npz", says="no/such/folder")
        self.path("d.npz").mkdir()
        self.refused(5, "embed", "x.fa", "-o", "d.npz", "--force", says="d.npz")
        done = self.run_genossm("score", "x.fa", "-o", "/dev/full")
        self.assertEqual(done.returncode, 5, done.stderr)

    @unittest.skipIf(os.getuid() == 0, "skipped: root may write everywhere")
    def test_read_only_folder(self):
        self.path("ro").mkdir(mode=0o555)
        self.refused(5, "embed", "x.fa", "-o", "ro/a.npz", says="ro")

    def test_closed_pipe(self):
        import subprocess
        from genossm_cli import GENOSSM
        self.write("long.fa", ">x\n" + "ACGTTGCA" * 20000 + "\n")
        done = subprocess.run(["bash", "-c", f"{GENOSSM} score long.fa | head -n 1; exit ${{PIPESTATUS[0]}}"],
                              cwd=self.folder, capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 5, done.stderr)

    def test_checkpoint(self):
        self.refused(4, "embed", "-m", "no-such-model", "x.fa", says="no-such-model")
        model = self.folder / "model"
        model.mkdir()
        source = SOURCE / "tests/golden/mamba1/lm_opts"
        for name in ("config.json", "model.safetensors"):
            (model / name).write_bytes((source / name).read_bytes())
        (model / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
        self.refused(6, "embed", "-m", "model", "x.fa", says="gpt2")
        (model / "config.json").write_bytes((source / "config.json").read_bytes())
        (model / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:-40])
        self.refused(6, "embed", "-m", "model", "x.fa", says="model.safetensors")
        self.refused(6, "inspect", "model")
        pin = "genossm-mini-ps@sha256:" + "0" * 64
        self.refused(6, "embed", "-m", pin, "x.fa", says="SHA-256")

    def test_memory(self):
        self.refused(7, "embed", "x.fa", "--memory", "1M", "-o", "a.npz", says=["memory", "--memory"])

    def test_device(self):
        self.refused(2, "embed", "x.fa", "--device", "tpu", says="tpu")

    def test_summary(self):
        self.good("embed", "x.fa", "-o", "a.npz", "--summary", "s.json", "-q")
        summary = json.loads(self.path("s.json").read_text())
        self.assertEqual((summary["records"], summary["bases"]), (1, 10))
        for key in ("version", "command", "model_sha256", "seconds", "plan", "skipped", "warnings"):
            self.assertIn(key, summary)

    @unittest.skipIf(sanitized(), "skipped: AddressSanitizer's own memory")
    def test_the_peak_of_memory_is_not_that_of_whoever_starts_the_program(self):
        held = bytearray(b"x") * (400 << 20)
        self.good("score", "x.fa", "-o", "a.tsv", "--summary", "s.json", "-q")
        peak = json.loads(self.path("s.json").read_text())["peak_memory_bytes"]
        self.assertGreater(peak, 10 << 20)
        self.assertLess(peak, len(held) // 2)

    def test_quiet(self):
        self.assertEqual(self.good("embed", "x.fa", "-o", "a.npz", "-q").stderr, b"")


if __name__ == "__main__":
    main()
