// Device: where ops run. An op is a value; run(device, op) is an overload set; launch() is the one
// place where the two meet.
#pragma once

#include <variant>

#include "kernels/core/cpu.h"
#include "kernels/core/error.h"
#include "kernels/core/view.h"

namespace genossm {

using Device = std::variant<Reference, Cpu>;

// Checks the op's shapes, then runs it on the device.
template <class Op>
void launch(Device& device, const Op& op) {
  check(op);
  std::visit([&](auto& d) { run(d, op); }, device);
}

// The number of tokens of one tile: token-local ops always see whole tiles, whatever the chunk.
inline constexpr Index kTile = 64;

}  // namespace genossm
