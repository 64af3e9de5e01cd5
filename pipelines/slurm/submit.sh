#!/usr/bin/env bash
# One genossm job as an array of Slurm tasks, and a merge job that waits for all of them.
usage() {
  cat <<'TEXT'
usage: submit.sh [options] -- COMMAND [genossm options] -o OUT

  bash pipelines/slurm/submit.sh -n 8 -c 4 -t 4:00:00 -- embed -f hg38.fa -r chr20 --pool bins:128 -o chr20.h5ad

COMMAND is embed, score or variants. Each task of the array does one part (--shard), then merge makes OUT of the parts; it
has the bytes of the undivided run. A task that comes near its time limit is told so (SIGTERM), keeps what is
finished, goes back into the queue and goes on there. The same command again goes on with what was killed.

  -n N        parts, which are tasks of the array [4]
  -j N        tasks that run at once [all]
  -c N        threads, which are CPUs of a task [4]
  -m SIZE     memory of a task, as sbatch takes it [8G]
  -t TIME     time limit of a task [4:00:00]
  -s SECONDS  how long before the limit a task is told; at least the time of one wave of windows [120]
  -r N        how often a task may go back into the queue [100]
  -l FOLDER   what tasks say goes here [logs beside OUT]
  -a OPTIONS  more options of sbatch for the array, in one word: '--partition=gpu --gres=gpu:1'
  -h          this text

$GENOSSM: the program, if it is not on the PATH of the nodes. Prints the numbers of the two jobs.
TEXT
}
refuse() {
  echo "submit.sh: error: $*" >&2
  exit 2
}

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
parts=4 at_once= cpus=4 memory=8G limit=4:00:00 warning=120 restarts=100 logs= more=
while getopts n:j:c:m:t:s:r:l:a:h option; do
  case $option in
    n) parts=$OPTARG ;;
    j) at_once=$OPTARG ;;
    c) cpus=$OPTARG ;;
    m) memory=$OPTARG ;;
    t) limit=$OPTARG ;;
    s) warning=$OPTARG ;;
    r) restarts=$OPTARG ;;
    l) logs=$OPTARG ;;
    a) more=$OPTARG ;;
    h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
shift $((OPTIND - 1))
for number in "$parts" "$cpus" "$warning" "$restarts" "${at_once:-1}"; do
  [[ $number =~ ^[0-9]+$ ]] || refuse "$number is not a whole number. See submit.sh -h"
done
[ "$parts" -ge 1 ] || refuse "-n $parts: there must be one part at least"
case ${1:-} in
  embed | score | variants) ;;
  *) refuse "${1:-nothing} after --: embed, score and variants can be shared out. See submit.sh -h" ;;
esac

out=
words=("$@")
for ((i = 1; i < ${#words[@]}; ++i)); do
  case ${words[i]} in
    -o | --output) out=${words[i + 1]:-} ;;
    --output=*) out=${words[i]#*=} ;;
    -o?*) out=${words[i]#-o} ;;
    --shard | --shard=* | -@* | --threads | --threads=*) refuse "${words[i]} is set by the job: use -n and -c" ;;
  esac
done
[ -n "$out" ] || refuse "no -o OUT among the options of genossm"
[ "$out" != - ] || refuse "-o -: parts are files. Name one"
command -v sbatch >/dev/null || refuse "no sbatch on the PATH (this is not a machine of a Slurm cluster)"
logs=${logs:-$(dirname "$out")/logs}
mkdir -p "$logs"
name=genossm-$(basename "$out")

# shellcheck disable=SC2086  # -a holds several words
array=$(sbatch --parsable --job-name="$name" --array="1-$parts${at_once:+%$at_once}" --cpus-per-task="$cpus" \
  --mem="$memory" --time="$limit" --signal="B:TERM@$warning" --requeue --open-mode=append \
  --output="$logs/%x.%A_%a.log" --export="ALL,GENOSSM_RESTARTS=$restarts" $more "$here/part.sh" "$@")
array=${array%%;*}
merge=$(sbatch --parsable --job-name="$name-merge" --dependency="afterok:$array" --kill-on-invalid-dep=yes \
  --cpus-per-task=1 --mem="$memory" --time="$limit" --requeue --open-mode=append \
  --output="$logs/%x.%j.log" "$here/merge.sh" "$out")
echo "array $array merge ${merge%%;*}"
