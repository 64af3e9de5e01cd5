// Device: where ops run. An op is a value; run(device, op) is an overload set; launch() is the one
// place where the two meet.
#pragma once

#include <string>
#include <type_traits>
#include <variant>

#include "kernels/core/build.h"
#include "kernels/core/cpu.h"
#include "kernels/core/cuda.h"
#include "kernels/core/error.h"
#include "kernels/core/view.h"

namespace genossm {

using Device = std::conditional_t<build::has_cuda, std::variant<Reference, Cpu, Cuda>,
                                  std::variant<Reference, Cpu>>;

// Ops whose check() reads what the views point to overload this: a Cuda device's memory cannot be
// read here, and its kernels take care of values themselves.
template <class AnyDevice, class Op>
void check_on(const AnyDevice&, const Op& op) {
  check(op);
}

// Checks the op's shapes, then runs it on the device, in whose memory its views must lie.
template <class Op>
void launch(Device& device, const Op& op) {
  std::visit(
      [&](auto& d) {
        check_on(d, op);
        run(d, op);
      },
      device);
}

// The Cuda that `device` is; nullptr for other devices and in builds without CUDA.
inline Cuda* as_cuda(Device& device) {
  return std::visit(
      [](auto& d) -> Cuda* {
        if constexpr (std::is_same_v<std::decay_t<decltype(d)>, Cuda>) {
          return &d;
        } else {
          return nullptr;
        }
      },
      device);
}

// A GPU as a Device. Throws Fault::device where there is none, and in builds without CUDA.
template <class D = Device>
D gpu_device(int index) {
  if constexpr (std::is_constructible_v<D, Cuda>) {
    return D{Cuda(index)};
  } else {
    fail(Fault::device, "cuda: this build has no CUDA, so no GPU " + std::to_string(index));
  }
}

// The number of tokens of one tile: token-local ops always see whole tiles, whatever the chunk.
inline constexpr Index kTile = 64;

// Cuda runs recurrences in parallel over segments of this many tokens, counted from the start of
// each sequence (reverse directions: from its end). A sequence may be cut at multiples of it
// without changing a bit.
inline constexpr Index kCudaSegment = 512;

}  // namespace genossm
