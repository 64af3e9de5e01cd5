#!/usr/bin/env bash
# Run by rattler-build in a copy of the sources: PREFIX is the environment that is packed.
set -euo pipefail
cuda=OFF
if command -v nvcc >/dev/null; then cuda=ON; fi
cmake -S . -B build-conda -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$PREFIX" \
  -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_PREFIX_PATH="$PREFIX" -DGENOSSM_BUILD_TESTS=OFF -DGENOSSM_CUDA="$cuda"
cmake --build build-conda -j "${CPU_COUNT:-1}"
cmake --install build-conda --component runtime
