#include "libgenossm/checkpoint/convert.h"

#include <cstring>

#include "kernels/core/error.h"

namespace genossm {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// The stride of 1 has a loop of its own: that is the one the compiler turns into vectors.
template <class From, class To, class Convert>
void each(const std::byte* from, Index stride, Index count, To* to, Convert convert) {
  constexpr auto kSize = static_cast<Index>(sizeof(From));
  if (stride == 1) {
    for (Index i = 0; i < count; ++i) to[i] = convert(load<From>(from + i * kSize));
  } else {
    for (Index i = 0; i < count; ++i) to[i] = convert(load<From>(from + i * stride * kSize));
  }
}

// f16_to_f32 without branches: the exponent is moved by a multiplication, which is exact and takes
// the subnormals along; infinity and NaN get the full exponent afterwards.
float f16_to_f32_flat(std::uint16_t bits) {
  const auto magnitude = static_cast<std::uint32_t>(bits & 0x7fffu);
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const std::uint32_t full = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  const auto sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | full | sign);
}

template <class From>
std::int64_t widen(From value) {
  return static_cast<std::int64_t>(value);
}

}  // namespace

void convert_to_f32(DType type, const std::byte* from, Index stride, Index count, float* to) {
  if (count == 0) return;
  switch (type) {
    case DType::f32:
      if (stride == 1) {
        std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
        return;
      }
      return each<float>(from, stride, count, to, [](float v) { return v; });
    case DType::f64:
      return each<double>(from, stride, count, to, [](double v) { return static_cast<float>(v); });
    case DType::f16:
      return each<std::uint16_t>(from, stride, count, to, f16_to_f32_flat);
    case DType::bf16:
      return each<std::uint16_t>(from, stride, count, to, bf16_to_f32);
    default:
      fail(Fault::checkpoint,
           "a tensor of type " + std::string(name_of(type)) + ", want floating point");
  }
}

void convert_to_i64(DType type, const std::byte* from, Index stride, Index count,
                    std::int64_t* to) {
  switch (type) {
    case DType::i64:
      return each<std::int64_t>(from, stride, count, to, widen<std::int64_t>);
    case DType::i32:
      return each<std::int32_t>(from, stride, count, to, widen<std::int32_t>);
    case DType::i16:
      return each<std::int16_t>(from, stride, count, to, widen<std::int16_t>);
    case DType::i8:
      return each<std::int8_t>(from, stride, count, to, widen<std::int8_t>);
    case DType::u8:
      return each<std::uint8_t>(from, stride, count, to, widen<std::uint8_t>);
    case DType::boolean:
      return each<std::uint8_t>(from, stride, count, to,
                                [](std::uint8_t v) { return std::int64_t{v != 0}; });
    default:
      fail(Fault::checkpoint, "a tensor of type " + std::string(name_of(type)) + ", want integers");
  }
}

}  // namespace genossm
