"""genossm variants as a rule of Snakemake; meta.yaml says what goes in and out."""
import shlex

from snakemake.shell import shell

words = [snakemake.input.calls, "-f", snakemake.input.reference]
if snakemake.input.get("model"):
    words += ["-m", snakemake.input.model]
if snakemake.output.get("index"):
    words.append("-W=" + snakemake.output.index.rsplit(".", 1)[1])
if snakemake.output.get("summary"):
    words += ["--summary", snakemake.output.summary]

words = " ".join(map(shlex.quote, map(str, words)))
output = shlex.quote(str(snakemake.output.calls))
extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("genossm variants {words} {extra} -@ {snakemake.threads} --progress plain -o {output} {log}")
