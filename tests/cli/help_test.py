"""Help, manual pages, completion of shells, and the word that was meant."""
import os
import pathlib
import re
import shutil
import subprocess

from genossm_cli import GENOSSM, Case, main

WITH_ROOT = {"PATH": f"{pathlib.Path(GENOSSM).parent}:{os.environ['PATH']}"}


class Help(Case):
    def commands(self):
        text = self.good("--help").stdout.decode()
        return re.findall(r"^  ([a-z][a-z-]+)  ", text[text.index("Subcommands:"):], re.M)

    def options(self, command):
        """Long names in the help of a command."""
        return set(re.findall(r"^  (?:-[^\s-]\S*,)?(--[a-z][a-z0-9-]+)", self.good(command, "--help").stdout.decode(), re.M))

    def test_did_you_mean(self):
        for wrong, right in (("embd", "embed"), ("scroe", "score"), ("varients", "variants"), ("doc", "doctor"),
                             ("train_head", "train-head"), ("Embed", "embed")):
            self.assertIn(f"Did you mean {right}?", self.refused(2, wrong))
        self.assertNotIn("mean", self.refused(2, "quux"))
        for words, right in ((("embed", "--windw", "5"), "--window"), (("score", "--per-recrod"), "--per-record"),
                             (("embed", "--poool=mean"), "--pool"), (("inspect", "x", "--tensor"), "--tensors"),
                             (("variants", "--fasta_ref", "x"), "--fasta-ref"), (("trace", "--layers", "1"), "--layer"),
                             (("--vresion",), "--version")):
            self.assertIn(f"Did you mean {right}?", self.refused(2, *words))
        self.assertNotIn("mean", self.refused(2, "embed", "--no-such-thing"))
        self.assertIn("Did you mean trace?", self.refused(2, "help", "trcae"))

    def test_version(self):
        lines = self.good("--version").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^genossm \d+\.\d+\.\d+$")
        for part in ("licence", "compiler", "htslib", "oneDNN", "oneTBB", "Highway", "formats", "CUDA engine", "bfloat16"):
            self.assertEqual(sum(line.startswith(part) for line in lines), 1, part)

    def test_help_says_the_same(self):
        self.assertEqual(self.good("help").stdout, self.good("--help").stdout)
        self.assertEqual(self.good("help", "score").stdout, self.good("score", "--help").stdout)

    def test_manual_pages(self):
        self.path("man").mkdir()
        self.good("help", "--man", "man")
        pages = {p.name: p for p in self.path("man").iterdir()}
        self.assertEqual(set(pages), {"genossm.1"} | {f"genossm-{c}.1" for c in self.commands()})
        embed = pages["genossm-embed.1"].read_text()
        for option in self.options("embed"):
            self.assertIn(option.replace("-", "\\-"), embed)
        self.assertEqual([name for name, page in pages.items() if "EXAMPLES" in page.read_text()], ["genossm.1"])
        if shutil.which("man") is None:
            self.skipTest("no man here to read them with")
        for path in pages.values():
            done = subprocess.run(["man", "--warnings=w", "-l", str(path)], capture_output=True,
                                  env={**os.environ, "MANROFFOPT": "-ww", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
            self.assertEqual((done.returncode, done.stderr), (0, b""), path.name)
        plain = subprocess.run(["man", "-P", "cat", "-l", str(pages["genossm-score.1"])], capture_output=True,
                               env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "200"}).stdout.decode()
        plain = re.sub(".\b", "", plain)
        self.assertIn("genossm-score - Log-likelihood of every base", plain)
        self.assertIn("--per-record", plain)
        self.assertIn("genossm-embed(1)" if "genossm-embed(1)" in plain else "genossm-embed (1)", plain)

    def test_bash(self):
        script = self.write("genossm.bash", self.good("completion", "bash").stdout)

        def complete(*words):
            code = (f"source {script}; complete -p genossm >/dev/null || exit 1; COMP_WORDS=(genossm \"$@\"); "
                    "COMP_CWORD=$#; _genossm genossm; printf '%s\\n' \"${COMPREPLY[@]}\"")
            done = subprocess.run(["bash", "--norc", "-c", code, "bash", *words], capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            return set(done.stdout.decode().split())

        self.assertEqual(complete(""), set(self.commands()) | {"--version", "--help", "-h"})
        self.assertEqual(complete("em"), {"embed"})
        self.assertEqual(complete("t"), {"trace", "train-head"})
        self.assertEqual(complete("embed", "--wi"), {"--window"})
        self.assertEqual(complete("score", "--p"), {"--precision", "--per-record", "--plan", "--progress", "--plot"})
        for command in self.commands():
            self.assertEqual({w for w in complete(command, "--")}, self.options(command), command)
        # A value, or an argument, is left to the completion of files.
        self.assertEqual(complete("embed", "-o", "x"), set())
        self.assertEqual(complete("embed", "--fasta-ref", "-"), set())
        self.assertEqual(complete("embed", "x"), set())

    def test_bash_as_it_is_used(self):
        """The whole way: a shell that is given a tab."""
        script = self.write("genossm.bash", self.good("completion", "bash").stdout)
        self.write("reads.fa", ">x\nACGT\n")
        code = f"source {script}\ncompgen -A function _genossm\n"
        self.assertIn(b"_genossm", subprocess.run(["bash", "--norc", "-c", code], capture_output=True).stdout)
        import pty
        import select
        import time
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                       {**os.environ, **WITH_ROOT, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"})
        seen = b""

        def read_until(word, seconds=60):
            nonlocal seen
            end = time.monotonic() + seconds
            while word not in seen and time.monotonic() < end:
                if select.select([terminal], [], [], 0.2)[0]:
                    try:
                        seen += os.read(terminal, 4096)
                    except OSError:
                        break
            self.assertIn(word, seen)

        try:
            os.write(terminal, f"source {script}; echo rea''dy\n".encode())
            read_until(b"ready")
            os.write(terminal, b"genossm sco\t--per-r\trea\t\n")
            read_until(b"score --per-record reads.fa")
            read_until(b"perplexity")  # and the command so written runs
        finally:
            os.close(terminal)
            os.waitpid(pid, 0)

    def test_zsh_and_fish(self):
        tried = 0
        for shell, flag in (("zsh", "-n"), ("fish", "--no-execute")):
            script = self.write(f"genossm.{shell}", self.good("completion", shell).stdout)
            for command in self.commands():
                self.assertIn(command, script.read_text())
            if shutil.which(shell) is None:
                continue
            tried += 1
            done = subprocess.run([shell, flag, str(script)], capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""), shell)
        if shutil.which("fish"):
            code = f"source {self.path('genossm.fish')}; complete -C 'genossm em'; complete -C 'genossm embed --wind'"
            out = subprocess.run(["fish", "--no-config", "-c", code], capture_output=True).stdout.decode()
            self.assertIn("embed\t", out)
            self.assertIn("--window\t", out)
        if shutil.which("zsh"):
            code = (f"autoload -Uz compinit; compinit -D -u; source {self.path('genossm.zsh')}; "
                    "print -r -- ${_comps[genossm]}")
            done = subprocess.run(["zsh", "-f", "-c", code], capture_output=True)
            self.assertEqual(done.stdout.decode().strip(), "_genossm", done.stderr)
        self.refused(2, "completion", "tcsh", says="tcsh")
        if tried == 0:
            self.skipTest("neither zsh nor fish is here")


if __name__ == "__main__":
    main()
