// The stored cases of attention and of the diagonal recurrence, at the README's tolerance of 1e-5
// of the largest value.
#include <gtest/gtest.h>

#include "kernels/attention/attention.h"
#include "kernels/diagonal_scan/diagonal_scan.h"
#include "libgenossm/base/json.h"
#include "tests/kernels/cuda_test.h"
#include "tests/support/golden.h"

namespace genossm::testing {
namespace {

constexpr double kTolerance = 1e-5;

// q, o: (1, L, H, E); k, v: (1, L, G, E).
void attention_case(Device& device, const GoldenFile& file, const Json& info) {
  const Golden q = file.tensor("q"), k = file.tensor("k"), v = file.tensor("v");
  const Golden o = file.tensor("o");
  const Index L = q.shape[1], H = q.shape[2], E = q.shape[3], G = k.shape[2];
  std::vector<float> y(o.values.size());
  Attention op{.q = {q.values.data(), {L, H * E}},
               .k = {k.values.data(), {L, G * E}},
               .v = {v.values.data(), {L, G * E}},
               .heads = H,
               .kv_heads = G,
               .scale = static_cast<float>(info.number("scale", 0)),
               .y = {y.data(), {L, H * E}}};
  const std::string mask = info.text("mask");
  if (mask == "window") {
    op.mask = AttentionMask::window;
    op.window = info.integer("window", 0);
  } else if (mask == "bidirectional") {
    op.mask = AttentionMask::bidirectional;
  } else if (mask == "janus") {
    op.mask = AttentionMask::janus;
  } else {
    ASSERT_EQ(mask, "causal");
  }
  launch_anywhere(device, op);
  EXPECT_LE(relative_error(op.y, {o.values.data(), {L, H * E}}), kTolerance);
}

// h[t] = a[t] h[t-1] + b[t], element by element: a token at a time, since poles change here. The op
// adds real numbers, so that h is the sum of one state for the real and i times one for the
// imaginary inputs.
void diagonal_case(Device& device, const GoldenFile& file, const Json& info) {
  const bool complex = info.flag("complex", false);
  const auto part = [&](const std::string& name, bool imaginary) {
    if (!complex && imaginary) return Golden{};
    return file.tensor(complex ? name + (imaginary ? "_im" : "_re") : name);
  };
  const Golden a[2] = {part("a", false), part("a", true)};
  const Golden b[2] = {part("b", false), part("b", true)};
  const Golden h[2] = {part("h", false), part("h", true)};
  const Index L = a[0].shape[0], D = a[0].shape[1], Q = complex ? 2 : 1;
  const auto size = static_cast<std::size_t>(Q * D);
  std::vector<float> states[2] = {std::vector<float>(size), std::vector<float>(size)};
  std::vector<float> residues(size, 1.0f), y(static_cast<std::size_t>(D)), poles(size);
  std::vector<float> got[2];
  for (Index t = 0; t < L; ++t) {
    for (Index q = 0; q < Q; ++q) {
      std::copy_n(a[q].values.data() + t * D, D, poles.data() + q * D);
    }
    for (Index q = 0; q < Q; ++q) {
      launch_anywhere(device, DiagonalScan{.u = {b[q].values.data() + t * D, {1, D}},
                                           .poles = {poles.data(), {1, Q, D}},
                                           .residues = {residues.data(), {1, Q, D}},
                                           .h = {states[q].data(), {1, Q, D}},
                                           .y = {y.data(), {1, D}}});
    }
    for (Index d = 0; d < D; ++d) {
      const auto at = [&](Index of, Index q) {
        return states[of][static_cast<std::size_t>(q * D + d)];
      };
      got[0].push_back(complex ? at(0, 0) - at(1, 1) : at(0, 0));
      if (complex) got[1].push_back(at(0, 1) + at(1, 0));
    }
  }
  for (Index q = 0; q < Q; ++q) {
    EXPECT_LE(relative_error({got[q].data(), {L, D}}, {h[q].values.data(), {L, D}}), kTolerance);
  }
}

class SeqKernelsGolden : public ::testing::TestWithParam<std::string> {};

void check_case(const std::string& name, Device& device) {
  const auto folder = golden_folder() / name;
  const GoldenFile file(folder / "tensors.safetensors");
  const Json info = Json::read(folder / "meta.json");
  const std::string kernel = info.text("kernel");
  if (kernel == "attention") {
    attention_case(device, file, info);
  } else if (kernel == "diag_scan_raw") {
    diagonal_case(device, file, info);
  } else {
    FAIL() << "unknown kernel " << kernel;
  }
}

TEST_P(SeqKernelsGolden, Cpu) {
  Device device{Cpu(1)};
  check_case(GetParam(), device);
}
TEST_P(SeqKernelsGolden, ThreeThreads) {
  Device device{Cpu(3)};
  check_case(GetParam(), device);
}
TEST_P(SeqKernelsGolden, Cuda) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  check_case(GetParam(), *cuda);
}
TEST_P(SeqKernelsGolden, Reference) {
  Device device{Reference{}};
  check_case(GetParam(), device);
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, SeqKernelsGolden, ::testing::ValuesIn(cases_of("seq_kernels")),
                         test_name);

TEST(SeqKernelsGoldenList, IsComplete) { EXPECT_EQ(cases_of("seq_kernels").size(), 6u); }

}  // namespace
}  // namespace genossm::testing
