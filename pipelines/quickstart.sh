#!/usr/bin/env bash
# From a fresh Debian 12 machine to embeddings, likelihoods and classes of real DNA, with the bundled models.
#
#   bash pipelines/quickstart.sh [RESULTS_FOLDER]
#
# Installs the Debian packages that are missing (asks nothing, says which), builds, embeds and scores
# the bundled sequences, and says where the results are. A second run skips what is there.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
results=${1:-$root/build/quickstart}
. "$root/pipelines/install_deps.sh"

echo "== 1. What the build needs"
genossm_install "${genossm_build_packages[@]}"

echo "== 2. Build"
preset=$(genossm_preset)
(
  cd "$root"
  cmake --preset "$preset" -DGENOSSM_BUILD_TESTS=OFF >"/tmp/genossm-quickstart-$$.log" 2>&1 || {
    cat "/tmp/genossm-quickstart-$$.log"
    exit 1
  }
  rm -f "/tmp/genossm-quickstart-$$.log"
  cmake --build --preset "$preset" -j "$(genossm_jobs)" --target genossm
)
genossm=$root/build/$preset/genossm
"$genossm" --version | head -n 1

mkdir -p "$results"
tiny=$root/data/tiny
run() {
  echo "+ genossm $*"
  "$genossm" "$@"
}
echo "== 3. One embedding for each bundled sequence and each peak, from the bundled model"
run embed "$tiny/genomes.fa.gz" -o "$results/genomes.npz" --force
run embed -f "$tiny/genomes.fa.gz" -R "$tiny/peaks.bed" -o "$results/peaks.tsv" --force
run embed "$tiny/human_reads.bam" -o "$results/reads.tsv.gz" --force
echo "== 4. How likely the bundled causal model finds every base"
run score --per-record "$tiny/genomes.fa.gz" -o "$results/bits_per_base.tsv" --force
run score --track logp,entropy -f "$tiny/genomes.fa.gz" -R "$tiny/peaks.bed" -o "$results/tracks.tsv.gz" --force
echo "== 5. What organism reads and genomes look like, by the bundled head"
run classify "$tiny/human_reads.bam" -o "$results/classified.bam" --force
run classify "$tiny/human_reads.bam" -o "$results/classes.tsv" --force
run classify "$tiny/genomes.fa.gz" --top 3 -o "$results/genome_classes.tsv" --force

echo
echo "== Results, in $results"
ls -l "$results" | awk 'NR > 1 {print "  " $NF "  " $5 " bytes"}'
echo "-- peaks.tsv: name, place, then the 256 numbers of each peak (first four columns of numbers shown)"
grep -v '^##' "$results/peaks.tsv" | cut -f 1-9
echo "-- bits_per_base.tsv"
grep -v '^##' "$results/bits_per_base.tsv"
echo "-- tracks.tsv.gz, first bases"
zcat "$results/tracks.tsv.gz" | grep -v '^##' | sed -n 1,6p
echo "-- genome_classes.tsv"
grep -v '^##' "$results/genome_classes.tsv"
echo "-- classes.tsv: reads of each class (the reads are human, 100 bases; the head was trained on 512)"
grep -v '^#' "$results/classes.tsv" | cut -f 2 | sort | uniq -c | sort -rn
echo
echo "The program is build/$preset/genossm; try: build/$preset/genossm --help"
