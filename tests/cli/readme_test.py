"""Every command of the README runs and writes what it names."""
import os
import pathlib
import re
import subprocess
import unittest

from genossm_cli import GENOSSM, SOURCE, Case, main


def blocks():
    """The commands of each block of shell lines."""
    text = (SOURCE / "README.md").read_text()
    return [[line.split("  #")[0].rstrip() for line in block.splitlines() if line.strip()]
            for block in re.findall(r"```sh\n(.*?)```", text, re.S)]


class Readme(Case):
    def test_there_are_ten(self):
        self.assertEqual(len(blocks()[0]), 10)

    def test_every_command_runs(self):
        (self.folder / "data").symlink_to(SOURCE / "data")
        path = f"{pathlib.Path(GENOSSM).parent}:{os.environ['PATH']}"
        for command in sum(blocks(), []):
            with self.subTest(command=command):
                done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=self.folder,
                                      capture_output=True, timeout=1500, env={**os.environ, "PATH": path, "GENOSSM_CACHE": str(self.folder)})
                self.assertEqual(done.returncode, 0, done.stderr.decode())
                output = re.search(r"(?:-o|--logo-hub) (\S+)", command)
                if output and "--plan" not in command:
                    part = re.search(r"--shard (\d)/(\d)", command)
                    suffix = f".shard-{part.group(1)}-of-{part.group(2)}" if part else ""
                    self.assertGreater((self.folder / (output.group(1) + suffix)).stat().st_size, 0)
                else:
                    self.assertTrue(done.stdout)

    def test_help_of_every_command(self):
        for command in ("embed", "score", "variants", "mutate", "train-head", "classify", "generate", "merge", "inspect", "bench", "doctor", "trace", "convert",
                        "completion"):
            self.assertIn(b"--help", self.good(command, "--help").stdout)
        self.assertIn(b"htslib", self.good("--version").stdout)


if __name__ == "__main__":
    main()
