#!/usr/bin/env bash
# Builds the CUDA engine, runs its tests and its benchmark. For a machine with a GPU, nvcc, CMake and
# the libraries of pipelines/install_deps.sh; where those libraries are carried along instead, source
# the environment that names them first.
#
#   tests/gpu/run.sh [--build FOLDER] [--quick] [--no-bench] [--sanitize]
#
# --sanitize also runs the op tests under compute-sanitizer (memcheck and racecheck).
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
build=$here/build-gpu quick= bench=yes sanitize=
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift ;;
    --quick) quick=quick ;;
    --no-bench) bench= ;;
    --sanitize) sanitize=yes ;;
    *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
targets="kernel_cuda_ops kernel_cuda_hyena kernel_cuda_large golden_models golden_kernels golden_seq_kernels golden_attention golden_hyenadna golden_striped laws cuda_bench striped_bench"
# The formats of files have no part in these tests, and such machines often lack their libraries.
cmake -S "$here" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGENOSSM_CUDA=ON \
  -DGENOSSM_HDF5=OFF -DGENOSSM_BIGWIG=OFF -DGENOSSM_BLOSC=OFF \
  -DCMAKE_CUDA_ARCHITECTURES="${CUDAARCHS:-native}"
cmake --build "$build" --target $targets
failed=0
ctest --test-dir "$build" -L gpu -j 4 --output-on-failure || failed=1
if [ -n "$sanitize" ]; then
  for tool in memcheck racecheck; do
    # The definitions in double take most of the time: eight shares beside each other.
    running=
    for share in 0 1 2 3 4 5 6 7; do
      GTEST_TOTAL_SHARDS=8 GTEST_SHARD_INDEX=$share compute-sanitizer --tool $tool \
        --error-exitcode 1 "$build/tests/kernels/kernel_cuda_ops" \
        --gtest_filter="${GENOSSM_SANITIZE_FILTER:-*}" &
      running="$running $!"
    done
    for process in $running; do wait "$process" || failed=1; done
  done
fi
if [ -n "$bench" ]; then
  "$build/tests/bench/cuda_bench" $quick || failed=1
fi
exit $failed
