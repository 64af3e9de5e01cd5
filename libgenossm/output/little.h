// Little-endian numbers and element bytes, as every format here has them.
#pragma once

#include <bit>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace genossm {

static_assert(std::endian::native == std::endian::little,
              "numbers are written as they lie in memory");

template <class T>
requires std::is_arithmetic_v<T>
void put_little(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// The bytes of the elements. Holds as long as the vector is not changed.
template <class T>
requires std::is_arithmetic_v<T> std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace genossm
