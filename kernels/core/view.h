// View: a pointer, extents and strides (in elements). Copied by value, never owns. The last
// dimension is contiguous in every view made here; row strides may be negative, which is how the
// reverse direction of a bidirectional model runs through the same ops (see flip_rows).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace genossm {

using Index = std::int64_t;

template <class T, int Rank>
struct View {
  T* data = nullptr;
  std::array<Index, static_cast<std::size_t>(Rank)> extent{};
  std::array<Index, static_cast<std::size_t>(Rank)> stride{};

  constexpr View() = default;
  constexpr View(T* pointer, std::array<Index, static_cast<std::size_t>(Rank)> extents)
      : data(pointer), extent(extents) {
    Index step = 1;
    for (int i = Rank - 1; i >= 0; --i) {
      stride[static_cast<std::size_t>(i)] = step;
      step *= extent[static_cast<std::size_t>(i)];
    }
  }
  constexpr View(T* pointer, std::array<Index, static_cast<std::size_t>(Rank)> extents,
                 std::array<Index, static_cast<std::size_t>(Rank)> strides)
      : data(pointer), extent(extents), stride(strides) {}

  // A view of mutable elements serves where one of constant elements is wanted.
  template <class U>
  requires(std::is_same_v<const U, T> &&
           !std::is_same_v<U, T>) constexpr View(const View<U, Rank>& other)
      : data(other.data), extent(other.extent), stride(other.stride) {}

  constexpr bool empty() const { return data == nullptr; }
  constexpr Index size() const {
    Index n = 1;
    for (Index e : extent) n *= e;
    return n;
  }
  // Start of row i of the first dimension.
  constexpr T* row(Index i) const { return data + i * stride[0]; }
};

// Rows [begin, end) of a matrix or a higher-rank view.
template <class T, int Rank>
constexpr View<T, Rank> rows(View<T, Rank> v, Index begin, Index end) {
  if (v.empty()) return v;
  v.data += begin * v.stride[0];
  v.extent[0] = end - begin;
  return v;
}

// Columns [begin, end) of a matrix.
template <class T>
constexpr View<T, 2> cols(View<T, 2> v, Index begin, Index end) {
  if (v.empty()) return v;
  v.data += begin * v.stride[1];
  v.extent[1] = end - begin;
  return v;
}

// The same rows, last first: ops that run along the sequence run right to left on it.
template <class T, int Rank>
constexpr View<T, Rank> flip_rows(View<T, Rank> v) {
  if (v.empty() || v.extent[0] == 0) return v;
  v.data += (v.extent[0] - 1) * v.stride[0];
  v.stride[0] = -v.stride[0];
  return v;
}

}  // namespace genossm
