// Element types that files and weights come in, and their conversions to float.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernels/core/view.h"

namespace genossm {

enum class DType { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

// Storage of one bfloat16, for views and buffers of the Cuda device; arithmetic is done in float32.
struct bf16 {
  std::uint16_t bits;
};

// How the weights and the inputs of matrix products are held; everything else is f32.
enum class Precision { fp32, bf16 };

// What the inputs and the weights of a product in e4m3 are multiplied with before they are rounded.
struct Fp8Scales {
  float input = 1, weight = 1;
};

constexpr Index size_of(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
      return 2;
    default:
      return 1;
  }
}

// The names that safetensors uses.
constexpr std::string_view name_of(DType t) {
  switch (t) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i64:
      return "I64";
    case DType::i32:
      return "I32";
    case DType::i16:
      return "I16";
    case DType::i8:
      return "I8";
    case DType::u8:
      return "U8";
    case DType::boolean:
      return "BOOL";
  }
  return "?";
}

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Round to nearest, ties to even; NaN stays NaN.
inline std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // zero and subnormals, exact
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

// Round to nearest, ties to even; overflow becomes infinity.
inline std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Adding 2^-1 aligns the subnormal grid of f16 (2^-24) with the last bit of the sum.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

// The nearest value of e4m3 (4 bits of exponent, 3 of mantissa, no infinities), ties to even,
// saturating at 448; multiples of 2^-9 below 2^-6. NaN stays NaN.
inline float round_to_e4m3(float value) {
  const float held = value > 448.0f ? 448.0f : value < -448.0f ? -448.0f : value;
  const auto bits = std::bit_cast<std::uint32_t>(held);
  const std::uint32_t rounded = (bits + 0x7ffffu + ((bits >> 20) & 1u)) & ~0xfffffu;
  // Adding 1.5 * 2^14 aligns the last bit of the sum with 2^-9.
  const float small = (held + 24576.0f) - 24576.0f;
  const bool normal = (bits & 0x7fffffffu) >= 0x3c800000u;  // 2^-6
  return value != value ? value : normal ? std::bit_cast<float>(rounded) : small;
}

// The code of a value of e4m3, as round_to_e4m3() gives it; NaN is 0x7f.
inline std::uint8_t e4m3_code(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7f;
  const float size = std::bit_cast<float>(magnitude);
  const auto code = magnitude < 0x3c800000u
                        ? static_cast<std::uint32_t>(size * 512.0f)
                        : (((magnitude >> 23) - 120) << 3) | ((magnitude >> 20) & 7u);
  return static_cast<std::uint8_t>(sign | code);
}

inline float e4m3_to_f32(std::uint8_t code) {
  const float sign = (code & 0x80u) != 0 ? -1.0f : 1.0f;
  const std::uint32_t exponent = (code >> 3) & 15u, mantissa = code & 7u;
  if (exponent == 15 && mantissa == 7) return std::bit_cast<float>(0x7fc00000u);
  if (exponent == 0) return sign * static_cast<float>(mantissa) * 0x1p-9f;
  return sign * std::bit_cast<float>(((exponent + 120) << 23) | (mantissa << 20));
}

}  // namespace genossm
