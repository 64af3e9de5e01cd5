#include "libgenossm/checkpoint/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/core/error.h"

namespace genossm {
namespace {

template <class T>
std::vector<float> to_f32(DType type, const std::vector<T>& values, Index stride, Index count) {
  // One byte off: data in a file need not be aligned.
  std::vector<std::byte> bytes(values.size() * sizeof(T) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  std::vector<float> out(static_cast<std::size_t>(count));
  convert_to_f32(type, bytes.data() + 1, stride, count, out.data());
  return out;
}

TEST(Convert, EveryF16) {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> out = to_f32(DType::f16, all, 1, 65536);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31), mantissa = static_cast<int>(i & 1023);
    const double magnitude = exponent == 0   ? std::ldexp(mantissa, -24)
                             : exponent < 31 ? std::ldexp(1024 + mantissa, exponent - 25)
                                             : (mantissa == 0 ? INFINITY : NAN);
    const double wanted = i < 32768 ? magnitude : -magnitude;
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(out[i])) << i;
    } else {
      ASSERT_EQ(static_cast<double>(out[i]), wanted) << i;
      ASSERT_EQ(std::signbit(out[i]), i >= 32768) << i;
    }
  }
}

TEST(Convert, OtherFloats) {
  EXPECT_EQ(to_f32<std::uint16_t>(DType::bf16, {0x3fc0, 0xc000, 0x7f80, 0x0001}, 1, 4),
            (std::vector<float>{1.5f, -2.0f, INFINITY, 0x1p-133f}));
  EXPECT_EQ(to_f32<double>(DType::f64, {0.1, -1e300, 3.0}, 1, 3),
            (std::vector<float>{0.1f, -INFINITY, 3.0f}));
  EXPECT_EQ(to_f32<float>(DType::f32, {1, 2, 3, 4, 5, 6}, 1, 6),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(Convert, Strides) {
  EXPECT_EQ(to_f32<float>(DType::f32, {1, 2, 3, 4, 5, 6}, 2, 3), (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(to_f32<float>(DType::f32, {1, 2}, 0, 3), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(to_f32<double>(DType::f64, {1, 2, 3}, 2, 2), (std::vector<float>{1, 3}));
}

template <class T>
std::vector<std::int64_t> to_i64(DType type, const std::vector<T>& values) {
  std::vector<std::int64_t> out(values.size());
  convert_to_i64(type, reinterpret_cast<const std::byte*>(values.data()), 1,
                 static_cast<Index>(values.size()), out.data());
  return out;
}

TEST(Convert, Integers) {
  using Wanted = std::vector<std::int64_t>;
  EXPECT_EQ(to_i64<std::int64_t>(DType::i64, {INT64_MIN, 5}), (Wanted{INT64_MIN, 5}));
  EXPECT_EQ(to_i64<std::int32_t>(DType::i32, {INT32_MIN, 5}), (Wanted{INT32_MIN, 5}));
  EXPECT_EQ(to_i64<std::int16_t>(DType::i16, {-7, 5}), (Wanted{-7, 5}));
  EXPECT_EQ(to_i64<std::int8_t>(DType::i8, {-7, 5}), (Wanted{-7, 5}));
  EXPECT_EQ(to_i64<std::uint8_t>(DType::u8, {255, 5}), (Wanted{255, 5}));
  EXPECT_EQ(to_i64<std::uint8_t>(DType::boolean, {255, 0}), (Wanted{1, 0}));
}

TEST(Convert, TheOtherKindIsRefused) {
  const std::byte bytes[8] = {};
  float f = 0;
  std::int64_t i = 0;
  EXPECT_THROW(convert_to_f32(DType::i64, bytes, 1, 1, &f), Error);
  EXPECT_THROW(convert_to_i64(DType::f32, bytes, 1, 1, &i), Error);
}

}  // namespace
}  // namespace genossm
