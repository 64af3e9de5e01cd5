"""genossm train-head as a rule of Snakemake; meta.yaml says what goes in and out."""
import shlex

from snakemake.shell import shell

words = ["--no-cache"]
for name, option in (("train", "--train"), ("test", "--test"), ("labels", "--labels"), ("reference", "-f"), ("model", "-m")):
    if snakemake.input.get(name):
        words += [option, snakemake.input.get(name)]
for name in ("metrics", "predictions"):
    if snakemake.output.get(name):
        words += ["--" + name, snakemake.output.get(name)]

words = " ".join(map(shlex.quote, map(str, words)))
output = shlex.quote(str(snakemake.output.head))
extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("genossm train-head {words} {extra} -@ {snakemake.threads} -o {output} {log}")
