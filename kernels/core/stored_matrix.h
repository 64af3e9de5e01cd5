// StoredMatrix: a matrix as a file has it: dense rows of f32, bf16 or f16, little-endian, of any
// alignment. Never owns.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "kernels/core/dtype.h"

namespace genossm {

struct StoredMatrix {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  Index rows = 0, columns = 0;

  std::span<const std::byte> bytes() const {
    return {data, static_cast<std::size_t>(rows * columns * size_of(dtype))};
  }
  // Row i as float32, to [columns].
  void read_row(Index i, float* to) const {
    const std::byte* from = data + i * columns * size_of(dtype);
    if (dtype == DType::f32) {
      std::memcpy(to, from, static_cast<std::size_t>(columns) * sizeof(float));
      return;
    }
    for (Index c = 0; c < columns; ++c) {
      std::uint16_t bits;
      std::memcpy(&bits, from + 2 * c, 2);
      to[c] = dtype == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
    }
  }
};

}  // namespace genossm
